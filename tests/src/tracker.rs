//! A tracker that is not ours: the reference bittorrent-tracker, HTTP and WebSocket on one port.
//!
//! Our own tracker is part of [`crate::anatomic`].

use std::time::Duration;

use tokio::process::Command;

use crate::process::Process;
use crate::scene::Scene;
use crate::{ports, programs};

/// A running bittorrent-tracker. Dropping it ends it.
pub struct Tracker {
    _process: Process,
    port: u16,
}

impl Tracker {
    /// Starts one; clients are asked to announce every `interval` (WebSocket ones at a fifth of it).
    pub async fn start(scene: &Scene, name: &str, interval: Duration) -> Self {
        let port = ports::free();
        let mut command = Command::new(programs::on_path(&["node"]));
        command
            .arg(programs::peer_file("node_modules/bittorrent-tracker/bin/cmd.js"))
            .args(["--http", "--ws", "--http-hostname", "127.0.0.1"])
            .args(["--port", &port.to_string(), "--interval", &interval.as_millis().to_string()]);
        let mut process = Process::spawn(name, command, scene.log(name));
        process
            .line_where("that it is ready", Duration::from_secs(30), |line| {
                line.contains("WebSocket tracker:").then_some(())
            })
            .await;
        Self { _process: process, port }
    }

    /// Its HTTP announce address.
    #[must_use]
    pub fn http(&self) -> String {
        format!("http://127.0.0.1:{}/announce", self.port)
    }

    /// Its WebSocket announce address.
    #[must_use]
    pub fn websocket(&self) -> String {
        format!("ws://127.0.0.1:{}", self.port)
    }
}
