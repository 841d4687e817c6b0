//! aria2, the simplest classic leech: one process a download.
//!
//! It dials loopback addresses, which Transmission does not. Here each does so from an address of
//! its own ([`ports::address`]).

use std::path::Path;
use std::time::Duration;

use tokio::process::Command;

use crate::halves::Place;
use crate::process::Process;
use crate::scene::Scene;
use crate::{ports, programs};

/// Starts to download `what` (a `.torrent` file or a magnet) into `dir` with `options` added.
#[must_use]
pub fn start(scene: &Scene, name: &str, what: &str, dir: &Path, options: &[&str]) -> Process {
    let mut command = command(dir);
    command.arg("--seed-time=0").args(options).arg(what);
    Process::spawn(name, command, scene.log(name))
}

/// Starts to download `what` into `dir` with the DHT, entered by the node of it at `entrance` and listening at `port`.
#[must_use]
pub fn start_with_dht(
    scene: &Scene,
    name: &str,
    what: &str,
    dir: &Path,
    port: u16,
    entrance: &str,
) -> Process {
    let options = [
        "--enable-dht=true".to_owned(),
        format!("--dht-listen-port={port}"),
        format!("--dht-entry-point={entrance}"),
        format!("--dht-file-path={}", dir.join("dht.dat").display()),
        "--bt-max-peers=20".to_owned(),
    ];
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    start(scene, name, what, dir, &options)
}

/// Downloads `what` into `dir`, to the end.
///
/// # Panics
/// When aria2 fails or needs longer than `limit`.
pub async fn download(scene: &Scene, name: &str, what: &str, dir: &Path, limit: Duration) {
    let mut process = start(scene, name, what, dir, &[]);
    let status = process.wait(limit).await;
    assert!(status.success(), "{name}: {status}\n{}", process.log().tail());
}

/// Seeds a `.torrent` file whose content lies in `dir`.
#[must_use]
pub fn seed(scene: &Scene, name: &str, torrent: &Path, dir: &Path) -> Process {
    seed_with(scene, name, torrent, dir, &[])
}

/// As [`seed`] with `options` added.
#[must_use]
pub fn seed_with(scene: &Scene, name: &str, torrent: &Path, dir: &Path, options: &[&str]) -> Process {
    let mut command = command(dir);
    command.args(["--check-integrity=true", "--seed-ratio=0.0"]).args(options).arg(torrent);
    Process::spawn(name, command, scene.log(name))
}

/// As [`seed`], at a place.
#[must_use]
pub fn seed_at(scene: &Scene, place: &Place, name: &str, torrent: &Path, dir: &Path) -> Process {
    let mut command = command(dir);
    command.args(["--check-integrity=true", "--seed-ratio=0.0"]);
    command.arg(format!("--interface={}", place.ip)).arg(torrent);
    Process::spawn(name, place.enter(command), scene.log(name))
}

fn command(dir: &Path) -> Command {
    let mut command = Command::new(programs::on_path(&["aria2c"]));
    command
        .args([
            "--no-conf=true",
            "--enable-dht=false",
            "--enable-dht6=false",
            "--bt-enable-lpd=false",
            "--enable-peer-exchange=false",
            "--disable-ipv6=true",
            "--file-allocation=none",
            "--allow-overwrite=true",
            "--bt-tracker-interval=3",
            "--summary-interval=5",
            "--console-log-level=notice",
            "--show-console-readout=false",
        ])
        .arg(format!("--interface={}", ports::address()))
        .arg(format!("--listen-port={}", ports::free()))
        .arg(format!("--dir={}", dir.display()));
    command
}
