//! libtorrent 2.1, a peer that speaks TCP, uTP and WebRTC by itself.
//!
//! Runs in a Python environment of its own, since distributions carry 2.0 without WebRTC.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tokio::process::Command;

use crate::process::Process;
use crate::programs;
use crate::scene::Scene;
use crate::webtorrent::event;

/// How libtorrent may meet peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// Data channels only.
    WebRtc,
    /// TCP only.
    Tcp,
    /// uTP only.
    Utp,
}

/// How libtorrent is set up besides its transport and trackers; by default as little as possible.
#[derive(Debug, Clone, Default)]
pub struct Setup<'a> {
    /// Where it is a node of the DHT, on 127.0.0.1, and the node through which it enters.
    pub dht: Option<(u16, Option<&'a str>)>,
    /// It takes encrypted connections only.
    pub encrypted: bool,
    /// Where it listens on 127.0.0.1; by default somewhere.
    pub port: Option<u16>,
    /// Peers that it knows.
    pub peers: &'a [&'a str],
    /// Bytes a second that it downloads at most.
    pub download_limit: Option<u32>,
}

impl Setup<'_> {
    /// The environment of the script.
    fn env(&self) -> Vec<(&'static str, String)> {
        let mut env = vec![("ANATOMIC_TEST_PEERS", self.peers.join(" "))];
        if let Some((port, entrance)) = self.dht {
            env.push(("ANATOMIC_TEST_DHT", port.to_string()));
            env.push(("ANATOMIC_TEST_DHT_ENTRANCE", entrance.unwrap_or_default().to_owned()));
        }
        if self.encrypted {
            env.push(("ANATOMIC_TEST_ENCRYPTION", "required".to_owned()));
        }
        env.extend(self.port.map(|port| ("ANATOMIC_TEST_PORT", port.to_string())));
        env.extend(self.download_limit.map(|limit| ("ANATOMIC_TEST_DOWNLOAD_LIMIT", limit.to_string())));
        env
    }
}

/// Seeds `torrent`, whose content lies in `dir`; ready when this returns.
pub async fn seed(
    scene: &Scene,
    name: &str,
    torrent: &Path,
    dir: &Path,
    transport: Transport,
    trackers: &[&str],
) -> Process {
    seed_with(scene, name, torrent, dir, transport, trackers, &Setup::default()).await
}

/// As [`seed`], set up otherwise.
pub async fn seed_with(
    scene: &Scene,
    name: &str,
    torrent: &Path,
    dir: &Path,
    transport: Transport,
    trackers: &[&str],
    setup: &Setup<'_>,
) -> Process {
    let what = torrent.display().to_string();
    let mut process = start(scene, name, ["seed", &what], dir, transport, trackers, setup);
    process.line_where("that it seeds", Duration::from_secs(120), |line| event(line, "seeding")).await;
    process
}

/// Seeds `torrent` over uTP alone, for who is told of its port: that is returned too.
///
/// # Panics
/// When it does not say which.
pub async fn seed_over_utp(scene: &Scene, name: &str, torrent: &Path, dir: &Path) -> (Process, u16) {
    let what = torrent.display().to_string();
    let mut process = start(scene, name, ["seed", &what], dir, Transport::Utp, &[], &Setup::default());
    let limit = Duration::from_secs(120);
    let seeding = process.line_where("that it seeds", limit, |line| event(line, "seeding")).await;
    let port = seeding["port"].as_u64().and_then(|port| u16::try_from(port).ok()).expect("its port");
    (process, port)
}

/// Starts to download `what` (a `.torrent` file or a magnet) into `dir`.
#[must_use]
pub fn leech(
    scene: &Scene,
    name: &str,
    what: &str,
    dir: &Path,
    transport: Transport,
    trackers: &[&str],
) -> Process {
    leech_with(scene, name, what, dir, transport, trackers, &Setup::default())
}

/// As [`leech`], set up otherwise.
#[must_use]
pub fn leech_with(
    scene: &Scene,
    name: &str,
    what: &str,
    dir: &Path,
    transport: Transport,
    trackers: &[&str],
    setup: &Setup<'_>,
) -> Process {
    start(scene, name, ["leech", what], dir, transport, trackers, setup)
}

/// The JSON line in which the script says that it is done: `seconds` since its start, `metadata`.
pub async fn wait_done(process: &mut Process, limit: Duration) -> Value {
    process.line_where("that it is done", limit, |line| event(line, "done")).await
}

/// Starts the script in a role for a torrent.
fn start(
    scene: &Scene,
    name: &str,
    what: [&str; 2],
    dir: &Path,
    transport: Transport,
    trackers: &[&str],
    setup: &Setup<'_>,
) -> Process {
    let transport = match transport {
        Transport::WebRtc => "webrtc",
        Transport::Tcp => "tcp",
        Transport::Utp => "utp",
    };
    let mut command = Command::new(programs::peer_file("venv/bin/python"));
    command.arg(programs::script("libtorrent_peer.py")).args(what).arg(dir).arg(transport);
    command.args(trackers).envs(setup.env());
    Process::spawn(name, command, scene.log(name))
}
