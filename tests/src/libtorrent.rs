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

/// Seeds `torrent`, whose content lies in `dir`; ready when this returns.
pub async fn seed(
    scene: &Scene,
    name: &str,
    torrent: &Path,
    dir: &Path,
    transport: Transport,
    trackers: &[&str],
) -> Process {
    let mut process = start(scene, name, "seed", &torrent.display().to_string(), dir, transport, trackers);
    process.line_where("that it seeds", Duration::from_secs(120), |line| event(line, "seeding")).await;
    process
}

/// As [`seed`] for those who encrypt, and for nobody else.
pub async fn seed_encrypted(
    scene: &Scene,
    name: &str,
    torrent: &Path,
    dir: &Path,
    transport: Transport,
) -> Process {
    let env = [("ANATOMIC_TEST_ENCRYPTION", "required".to_owned())];
    let what = torrent.display().to_string();
    let mut process = start_in(scene, name, "seed", &what, dir, transport, &[], &env);
    process.line_where("that it seeds", Duration::from_secs(120), |line| event(line, "seeding")).await;
    process
}

/// Seeds `torrent` over uTP alone, for who is told of its port: that is returned too.
///
/// # Panics
/// When it does not say which.
pub async fn seed_over_utp(scene: &Scene, name: &str, torrent: &Path, dir: &Path) -> (Process, u16) {
    let what = torrent.display().to_string();
    let mut process = start(scene, name, "seed", &what, dir, Transport::Utp, &[]);
    let limit = Duration::from_secs(120);
    let seeding = process.line_where("that it seeds", limit, |line| event(line, "seeding")).await;
    let port = seeding["port"].as_u64().and_then(|port| u16::try_from(port).ok()).expect("its port");
    (process, port)
}

/// Seeds `torrent` as a node of the DHT at `127.0.0.1:port`, entered by another one if that is named.
pub async fn seed_in_dht(
    scene: &Scene,
    name: &str,
    torrent: &Path,
    dir: &Path,
    port: u16,
    entrance: Option<&str>,
) -> Process {
    let dht = [
        ("ANATOMIC_TEST_DHT", port.to_string()),
        ("ANATOMIC_TEST_DHT_ENTRANCE", entrance.unwrap_or_default().to_owned()),
    ];
    let what = torrent.display().to_string();
    let mut process = start_in(scene, name, "seed", &what, dir, Transport::Tcp, &[], &dht);
    process.line_where("that it seeds", Duration::from_secs(120), |line| event(line, "seeding")).await;
    process
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
    start(scene, name, "leech", what, dir, transport, trackers)
}

/// The JSON line in which the script says that it is done: `seconds` since its start, `metadata`.
pub async fn wait_done(process: &mut Process, limit: Duration) -> Value {
    process.line_where("that it is done", limit, |line| event(line, "done")).await
}

fn start(
    scene: &Scene,
    name: &str,
    role: &str,
    what: &str,
    dir: &Path,
    transport: Transport,
    trackers: &[&str],
) -> Process {
    start_in(scene, name, role, what, dir, transport, trackers, &[])
}

#[expect(clippy::too_many_arguments)]
fn start_in(
    scene: &Scene,
    name: &str,
    role: &str,
    what: &str,
    dir: &Path,
    transport: Transport,
    trackers: &[&str],
    env: &[(&str, String)],
) -> Process {
    let transport = match transport {
        Transport::WebRtc => "webrtc",
        Transport::Tcp => "tcp",
        Transport::Utp => "utp",
    };
    let mut command = Command::new(programs::peer_file("venv/bin/python"));
    command.arg(programs::script("libtorrent_peer.py")).args([role, what]).arg(dir).arg(transport);
    command.args(trackers).envs(env.iter().cloned());
    Process::spawn(name, command, scene.log(name))
}
