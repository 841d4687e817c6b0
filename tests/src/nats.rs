//! A real NATS server on a free port, which can be killed and started again there.
//!
//! Keeps nothing on the disk, as a fleet wants nothing kept.

use std::time::Duration;

use tokio::process::Command;

use crate::process::Process;
use crate::programs;
use crate::scene::Scene;

/// A running server.
pub struct Nats {
    port: u16,
    process: Process,
}

impl Nats {
    /// Starts it.
    ///
    /// # Panics
    /// When it is not installed or does not start within half a minute.
    pub async fn start(scene: &Scene) -> Self {
        Self::start_at(scene, crate::ports::free()).await
    }

    /// Starts it at a port that processes have been told before.
    pub async fn start_at(scene: &Scene, port: u16) -> Self {
        Self { port, process: launch(scene, port).await }
    }

    /// Where processes reach it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Its process.
    #[must_use]
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Starts it again at the same port, after it has ended.
    pub async fn restart(&mut self, scene: &Scene) {
        self.process = launch(scene, self.port).await;
    }
}

async fn launch(scene: &Scene, port: u16) -> Process {
    // Debian keeps servers where only root looks.
    let debian = std::path::PathBuf::from("/usr/sbin/nats-server");
    let program = if debian.is_file() { debian } else { programs::on_path(&["nats-server"]) };
    let mut command = Command::new(program);
    command.args(["--addr", "127.0.0.1", "--port", &port.to_string()]);
    let process = Process::spawn("nats", command, scene.log("nats"));
    let ready = async {
        while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), ready).await.expect("NATS starts");
    process
}
