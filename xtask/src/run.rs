//! Runs other programs and tells a person what is going on.
//!
//! Knows no tool: what to run and why is the caller's.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use crate::paths;

/// How often a quiet step says that it is still alive.
const SIGN_OF_LIFE: Duration = Duration::from_secs(15);

/// A time as a person says it.
pub(crate) fn human(time: Duration) -> String {
    let secs = time.as_secs();
    match secs {
        0..10 => format!("{:.1} s", time.as_secs_f64()),
        10..60 => format!("{secs} s"),
        _ => format!("{} min {:02} s", secs / 60, secs % 60),
    }
}

/// Cargo, or a program that calls cargo, in the project's folder and without what the cargo that runs *us* says of
/// `xtask` by the environment: build scripts look at it, and would run again at each change from `cargo build` to
/// `cargo xtask` and back.
pub(crate) fn cargo_like(program: &str) -> Command {
    let mut command = Command::new(program);
    command.current_dir(paths::root());
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        let ours = [
            "CARGO_MANIFEST_DIR",
            "CARGO_MANIFEST_PATH",
            "CARGO_PRIMARY_PACKAGE",
            "OUT_DIR",
            "LD_LIBRARY_PATH",
        ];
        if ours.contains(&name.as_str())
            || ["CARGO_PKG_", "CARGO_BIN_", "CARGO_CRATE_"].iter().any(|p| name.starts_with(p))
        {
            command.env_remove(name);
        }
    }
    command
}

/// The program and its arguments, for messages.
pub(crate) fn line(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(command.get_args().map(|a| a.to_string_lossy().into_owned()));
    words.join(" ")
}

/// Runs `command` with its output on the terminal.
///
/// # Errors
/// Says which program failed and with what status.
pub(crate) fn loud(command: &mut Command) -> Result<(), String> {
    let status = command.status().map_err(|e| format!("cannot run `{}`: {e}", line(command)))?;
    if status.success() { Ok(()) } else { Err(format!("`{}` failed ({status})", line(command))) }
}

/// Runs `command` and gives its standard output; `None` if it is absent or fails.
pub(crate) fn ask(command: &mut Command) -> Option<String> {
    let out = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    out.status.success().then(|| String::from_utf8_lossy(&out.stdout).trim().to_owned())
}

/// Runs `command` quietly as one step called `what`: its output goes to a log in the cache, and a line every
/// 15 seconds tells how long it has been running and what it said last.
///
/// # Errors
/// If it fails or passes `limit`; the message ends with the log's last lines and its place.
pub(crate) fn step(what: &str, command: &mut Command, limit: Duration) -> Result<(), String> {
    eprintln!("  {what} ...");
    let name: String =
        what.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(48).collect();
    let folder = paths::cache().join("log");
    fs::create_dir_all(&folder).map_err(|e| format!("cannot make {}: {e}", folder.display()))?;
    let log = folder.join(format!("{name}.log"));
    let file = File::create(&log).map_err(|e| format!("cannot write {}: {e}", log.display()))?;
    let also = file.try_clone().map_err(|e| format!("cannot write {}: {e}", log.display()))?;
    let start = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(file)
        .stderr(also)
        .spawn()
        .map_err(|e| format!("{what}: cannot run `{}`: {e}", line(command)))?;
    let (done, alive) = channel::<()>();
    let (told, log_of_thread) = (what.to_owned(), log.clone());
    let reporter = std::thread::spawn(move || {
        while let Err(RecvTimeoutError::Timeout) = alive.recv_timeout(SIGN_OF_LIFE) {
            let last = tail(&log_of_thread, 1);
            eprintln!("  {told} ... {} so far: {}", human(start.elapsed()), last.trim());
        }
    });
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break Ok(status),
            Ok(None) if start.elapsed() > limit => {
                let _ = child.kill();
                let _ = child.wait();
                break Err(format!("gave up after {}", human(limit)));
            }
            Ok(None) => std::thread::sleep(Duration::from_millis(50)),
            Err(e) => break Err(e.to_string()),
        }
    };
    drop(done);
    let _ = reporter.join();
    match status {
        Ok(status) if status.success() => {
            eprintln!("  {what}: done in {}", human(start.elapsed()));
            Ok(())
        }
        Ok(status) => {
            Err(format!("{what}: failed ({status})\n{}\n(all of it: {})", tail(&log, 25), log.display()))
        }
        Err(why) => Err(format!("{what}: {why}\n{}\n(all of it: {})", tail(&log, 25), log.display())),
    }
}

/// The last `count` lines of a text file that are not blank.
fn tail(file: &Path, count: usize) -> String {
    let text = fs::read(file).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let lines: Vec<&str> = text.lines().filter(|l| !l.trim().is_empty()).collect();
    lines.iter().skip(lines.len().saturating_sub(count)).copied().collect::<Vec<_>>().join("\n")
}
