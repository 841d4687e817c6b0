//! A program that a test started: its output, its life, its memory.
//!
//! Not for finding programs ([`crate::programs`]) nor for what they say (each client's own file).
//! Only processes started here are ever ended, each by its own id.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;

/// Lines of a program's output kept for a failure's report.
const TAIL: usize = 80;

/// What a program has said so far: all of it in a file, its last lines at hand.
#[derive(Clone)]
pub struct Log {
    inner: Arc<Mutex<LogInner>>,
}

struct LogInner {
    name: String,
    file: File,
    tail: VecDeque<String>,
}

impl Log {
    /// Opens the log `dir/name.log`.
    #[must_use]
    pub fn create(dir: &Path, name: &str) -> Self {
        let file = File::options()
            .create(true)
            .append(true)
            .open(dir.join(format!("{name}.log")))
            .expect("a log file in the scene's folder");
        Self { inner: Arc::new(Mutex::new(LogInner { name: name.to_owned(), file, tail: VecDeque::new() })) }
    }

    /// Adds a line.
    pub fn line(&self, line: &str) {
        let mut inner = self.inner.lock().expect("no writer panicked");
        let _ = writeln!(inner.file, "{line}");
        if inner.tail.len() == TAIL {
            inner.tail.pop_front();
        }
        inner.tail.push_back(line.chars().take(600).collect());
    }

    /// The last lines, headed by the program's name.
    #[must_use]
    pub fn tail(&self) -> String {
        let inner = self.inner.lock().expect("no writer panicked");
        let mut text = format!("--- {} (last {} lines)\n", inner.name, inner.tail.len());
        for line in &inner.tail {
            text.push_str("    ");
            text.push_str(line);
            text.push('\n');
        }
        text
    }
}

/// A running program. Dropping it ends it.
pub struct Process {
    name: String,
    child: Child,
    pid: u32,
    log: Log,
    stdout: mpsc::UnboundedReceiver<String>,
    stderr: mpsc::UnboundedReceiver<String>,
}

impl Process {
    /// Starts `command` with its output collected in `log`.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn spawn(name: &str, mut command: Command, log: Log) -> Self {
        log.line(&format!("$ {:?}", command.as_std()));
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        let pid = child.id().expect("a child just started has an id");
        let (lines, stdout) = mpsc::unbounded_channel();
        tokio::spawn(read(child.stdout.take().expect("piped"), log.clone(), lines));
        let (lines, stderr) = mpsc::unbounded_channel();
        tokio::spawn(read(child.stderr.take().expect("piped"), log.clone(), lines));
        Self { name: name.to_owned(), child, pid, log, stdout, stderr }
    }

    /// The process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// What it has said.
    #[must_use]
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// The next line on its standard output; `None` when it has closed it.
    ///
    /// # Panics
    /// When no line comes within `limit`.
    pub async fn next_line(&mut self, limit: Duration) -> Option<String> {
        tokio::time::timeout(limit, self.stdout.recv())
            .await
            .unwrap_or_else(|_| panic!("{} printed no line within {limit:?}", self.name))
    }

    /// The first line on its standard output from now on that `wanted` maps to a value.
    ///
    /// # Panics
    /// When the program ends, or `limit` passes, before.
    pub async fn line_where<T>(
        &mut self,
        what: &str,
        limit: Duration,
        mut wanted: impl FnMut(&str) -> Option<T>,
    ) -> T {
        let found = tokio::time::timeout(limit, async {
            while let Some(line) = self.stdout.recv().await {
                if let Some(value) = wanted(&line) {
                    return Some(value);
                }
            }
            None
        });
        match found.await {
            Ok(Some(value)) => value,
            Ok(None) => panic!("{} ended without printing {what}\n{}", self.name, self.log.tail()),
            Err(_) => panic!("{} did not print {what} within {limit:?}", self.name),
        }
    }

    /// Everything that it says to its end on standard output and standard error, without what was
    /// read before. Call it when it has ended.
    pub async fn said(&mut self) -> (String, String) {
        let (mut out, mut err) = (String::new(), String::new());
        for (lines, text) in [(&mut self.stdout, &mut out), (&mut self.stderr, &mut err)] {
            while let Some(line) = lines.recv().await {
                text.push_str(&line);
                text.push('\n');
            }
        }
        (out, err)
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it still runs after `limit`.
    pub async fn wait(&mut self, limit: Duration) -> ExitStatus {
        match tokio::time::timeout(limit, self.child.wait()).await {
            Ok(status) => status.expect("a child can be waited for"),
            Err(_) => panic!("{} still runs after {limit:?}", self.name),
        }
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Asks it to end as Ctrl-C does (SIGINT).
    pub async fn interrupt(&self) {
        let _ = Command::new("kill").arg("-INT").arg(self.pid.to_string()).status().await;
    }

    /// Lets it hang (SIGSTOP) until [`Process::resume`]: its sockets stay open and answer nothing.
    pub async fn pause(&self) {
        let _ = Command::new("kill").arg("-STOP").arg(self.pid.to_string()).status().await;
    }

    /// Lets it go on.
    pub async fn resume(&self) {
        let _ = Command::new("kill").arg("-CONT").arg(self.pid.to_string()).status().await;
    }

    /// Ends it at once (SIGKILL), as a crash does.
    pub async fn kill(&mut self) {
        let _ = self.child.kill().await;
    }

    /// Resident memory in bytes (`VmRSS`), 0 when it has ended.
    #[must_use]
    pub fn rss(&self) -> u64 {
        status_kib(self.pid, "VmRSS:") * 1024
    }

    /// The most resident memory it ever had, in bytes (`VmHWM`), 0 when it has ended.
    #[must_use]
    pub fn peak_rss(&self) -> u64 {
        status_kib(self.pid, "VmHWM:") * 1024
    }

    /// Bytes it has caused to be written to disks (`write_bytes` of `/proc/PID/io`).
    #[must_use]
    pub fn disk_written(&self) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/io", self.pid)).unwrap_or_default();
        field(&text, "write_bytes:")
    }
}

fn status_kib(pid: u32, name: &str) -> u64 {
    field(&std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default(), name)
}

fn field(text: &str, name: &str) -> u64 {
    text.lines()
        .find_map(|line| line.strip_prefix(name))
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|number| number.parse().ok())
        .unwrap_or(0)
}

async fn read(from: impl AsyncRead + Unpin, log: Log, lines: mpsc::UnboundedSender<String>) {
    let mut from = BufReader::new(from);
    let mut bytes = Vec::new();
    while matches!(from.read_until(b'\n', &mut bytes).await, Ok(1..)) {
        let line = String::from_utf8_lossy(&bytes).trim_end().to_owned();
        log.line(&line);
        let _ = lines.send(line);
        bytes.clear();
    }
}
