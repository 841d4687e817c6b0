//! The binary under test, through its command line.
//!
//! Uses only what the documentation promises to scripts: options, first line, JSON, exit codes.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use tokio::process::Command;

use crate::halves::Place;
use crate::process::Process;
use crate::programs;
use crate::scene::Scene;

/// Time that a server gets to be ready.
const READY: Duration = Duration::from_secs(30);

/// A running node, supernode or both.
pub struct Anatomic {
    process: Process,
    ready: Value,
    data: PathBuf,
    name: String,
    role: String,
    options: Vec<String>,
    place: Place,
}

/// What a command that ended has said.
#[derive(Debug, Clone)]
pub struct Ended {
    /// Exit code; -1 when a signal ended it.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Ended {
    /// The only, or last, JSON object on standard output.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn json(&self) -> Value {
        if let Ok(value) = serde_json::from_str(&self.stdout) {
            return value;
        }
        self.stdout
            .lines()
            .rev()
            .find_map(|line| serde_json::from_str::<Value>(line).ok().filter(Value::is_object))
            .unwrap_or_else(|| panic!("no JSON object on standard output: {self:#?}"))
    }

    /// Fails the test unless the command succeeded.
    ///
    /// # Panics
    /// When the exit code is not 0.
    #[must_use]
    pub fn success(self) -> Self {
        assert_eq!(self.code, 0, "the command failed: {self:#?}");
        self
    }
}

impl Anatomic {
    /// `anatomic up` without the demo on free ports: node, supernode and page.
    pub async fn up(scene: &Scene) -> Self {
        Self::up_with(scene, &[]).await
    }

    /// As [`Anatomic::up`] with more options.
    pub async fn up_with(scene: &Scene, options: &[&str]) -> Self {
        let mut all = vec!["--no-demo"];
        all.extend(options);
        Self::start(scene, "up", "up", &all).await
    }

    /// `anatomic ROLE --json` on free ports of 127.0.0.1 but for those that options name, its data folder in the scene as
    /// `NAME.data`.
    ///
    /// # Panics
    /// When it is not ready in time.
    pub async fn start(scene: &Scene, name: &str, role: &str, options: &[&str]) -> Self {
        Self::start_at(scene, &Place::here(), name, role, options).await
    }

    /// As [`Anatomic::start`] with variables of its environment.
    ///
    /// # Panics
    /// When it is not ready in time.
    pub async fn start_in(
        scene: &Scene,
        name: &str,
        role: &str,
        options: &[&str],
        env: &[(String, String)],
    ) -> Self {
        Self::start_at(scene, &Place::here().with(env), name, role, options).await
    }

    /// As [`Anatomic::start`] on free ports of a place's own address.
    ///
    /// # Panics
    /// When it is not ready in time.
    pub async fn start_at(scene: &Scene, place: &Place, name: &str, role: &str, options: &[&str]) -> Self {
        let data = scene.folder(&format!("{name}.data"));
        let any = format!("{}:0", place.ip);
        let mut all: Vec<String> = vec!["--listen".into(), any.clone()];
        if role != "supernode" {
            for option in ["--tcp", "--udp"].into_iter().filter(|option| !options.contains(option)) {
                all.extend([option.into(), any.clone()]);
            }
        }
        all.extend(options.iter().map(|option| (*option).to_owned()));
        let (process, ready) = launch(scene, place, name, role, &data, &all).await;
        let (name, role) = (name.to_owned(), role.to_owned());
        Self { process, ready, data, name, role, options: all, place: place.clone() }
    }

    /// Where it runs.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Where its page and trackers are: `http://127.0.0.1:PORT/`.
    #[must_use]
    pub fn url(&self) -> String {
        let url = self.ready["http"].as_str().expect("`http` in the first line");
        let url = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
        format!("{}/", url.trim_end_matches('/'))
    }

    /// `host:port` of [`Anatomic::url`]; of a node that calls itself otherwise (`--url`), where it really is.
    ///
    /// # Panics
    /// When the first line did not say it.
    #[must_use]
    pub fn host(&self) -> String {
        if self.options.iter().any(|option| option == "--url") {
            // The UDP tracker has the number of the HTTP port.
            return self.ready["udp_tracker"].as_str().expect("`udp_tracker` in the first line").to_owned();
        }
        let url = self.url();
        url.split_once("://").map_or(url.as_str(), |(_, rest)| rest).trim_end_matches('/').to_owned()
    }

    /// Its HTTP tracker.
    #[must_use]
    pub fn announce(&self) -> String {
        format!("{}announce", self.url())
    }

    /// Its WebSocket tracker.
    #[must_use]
    pub fn websocket(&self) -> String {
        format!("ws://{}/announce", self.host())
    }

    /// The address where classic peers are accepted.
    ///
    /// # Panics
    /// When the first line did not say it.
    #[must_use]
    pub fn tcp(&self) -> String {
        self.ready["tcp"].as_str().expect("`tcp` in the first line").to_owned()
    }

    /// The first line, as JSON: `http`, `tcp`, `udp`, `key`.
    #[must_use]
    pub fn ready(&self) -> &Value {
        &self.ready
    }

    /// Its data folder.
    #[must_use]
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Its resident memory in bytes.
    #[must_use]
    pub fn rss(&self) -> u64 {
        self.process.rss()
    }

    /// Its process.
    #[must_use]
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// `anatomic plant X --supernode SELF --json` with more options: its answer, with `link`,
    /// `magnet`, `torrent`, `nodes`.
    pub async fn plant(&self, scene: &Scene, what: impl AsRef<OsStr>, options: &[&str]) -> Value {
        let mut args = vec![OsStr::new("plant"), what.as_ref()];
        let url = self.url();
        args.extend([OsStr::new("--supernode"), OsStr::new(&url), OsStr::new("--json")]);
        args.extend(options.iter().map(OsStr::new));
        run(scene, "plant", &args).await.success().json()
    }

    /// Ends it as a crash does and starts it again on the same ports with the same data folder.
    pub async fn crash_and_restart(&mut self, scene: &Scene) {
        self.process.kill().await;
        self.restart(scene).await;
    }

    /// Starts it again, after it has ended, on the same ports with the same data folder.
    pub async fn restart(&mut self, scene: &Scene) {
        let mut options = self.options.clone();
        for (option, field) in [("--listen", "http"), ("--tcp", "tcp"), ("--udp", "udp")] {
            if let Some(at) = options.iter().position(|word| word == option)
                && let Some(address) = self.ready[field].as_str()
            {
                let address =
                    address.split_once("://").map_or(address, |(_, rest)| rest).trim_end_matches('/');
                address.clone_into(&mut options[at + 1]);
            }
        }
        let name = format!("{}-again", self.name);
        let (process, ready) = launch(scene, &self.place, &name, &self.role, &self.data, &options).await;
        self.process = process;
        self.ready = ready;
    }
}

async fn launch(
    scene: &Scene,
    place: &Place,
    name: &str,
    role: &str,
    data: &Path,
    options: &[String],
) -> (Process, Value) {
    let mut command = Command::new(programs::anatomic());
    command.arg(role).arg("--json").arg("--data").arg(data).args(options);
    environment(&mut command);
    let mut process = Process::spawn(name, place.enter(command), scene.log(name));
    let ready = process
        .line_where("its first line, a JSON object", READY, |line| {
            serde_json::from_str::<Value>(line).ok().filter(Value::is_object)
        })
        .await;
    (process, ready)
}

/// Nothing of the person's own configuration may reach a test, but for a page under work and a log filter.
fn environment(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        let ours = matches!(name.as_str(), "ANATOMIC_WWW" | "ANATOMIC_LOG");
        if name.starts_with("ANATOMIC_") && !ours {
            command.env_remove(name);
        }
    }
    command.env("RUST_BACKTRACE", "1");
    // Nobody but this machine is asked for peers; tests of the DHT say so by flags.
    command.env("ANATOMIC_DHT", "off");
}

/// Starts `anatomic ARGS` and returns at once.
pub fn start<S: AsRef<OsStr>>(scene: &Scene, name: &str, args: &[S]) -> Process {
    start_at(scene, &Place::here(), name, args)
}

/// As [`start`] with variables of its environment.
pub fn start_in<S: AsRef<OsStr>>(scene: &Scene, name: &str, args: &[S], env: &[(String, String)]) -> Process {
    start_at(scene, &Place::here().with(env), name, args)
}

/// As [`start`], at a place.
pub fn start_at<S: AsRef<OsStr>>(scene: &Scene, place: &Place, name: &str, args: &[S]) -> Process {
    let mut command = Command::new(programs::anatomic());
    command.args(args);
    command.env("HOME", scene.folder("home"));
    command.env("XDG_DATA_HOME", scene.folder("home/data"));
    command.env("XDG_CONFIG_HOME", scene.folder("home/config"));
    environment(&mut command);
    Process::spawn(name, place.enter(command), scene.log(name))
}

/// Runs `anatomic ARGS` to its end, within two minutes, with variables of its environment.
pub async fn run_in<S: AsRef<OsStr>>(
    scene: &Scene,
    name: &str,
    args: &[S],
    env: &[(String, String)],
) -> Ended {
    ended(start_in(scene, name, args, env), Duration::from_secs(120)).await
}

/// Runs `anatomic ARGS` to its end, within two minutes.
pub async fn run<S: AsRef<OsStr>>(scene: &Scene, name: &str, args: &[S]) -> Ended {
    run_within(scene, name, args, Duration::from_secs(120)).await
}

/// Runs `anatomic ARGS` to its end.
///
/// # Panics
/// When it cannot be started or still runs after `limit`.
pub async fn run_within<S: AsRef<OsStr>>(scene: &Scene, name: &str, args: &[S], limit: Duration) -> Ended {
    ended(start(scene, name, args), limit).await
}

/// What a command says to its end.
///
/// # Panics
/// When it still runs after `limit`.
pub async fn ended(mut process: Process, limit: Duration) -> Ended {
    let code = process.wait(limit).await.code().unwrap_or(-1);
    let (stdout, stderr) = process.said().await;
    process.log().line(&format!("exit {code}"));
    Ended { code, stdout, stderr }
}
