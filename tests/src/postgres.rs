//! A real PostgreSQL server on a free port, with an empty database.
//!
//! It runs in the scene's folder and ends with the test.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use crate::process::Process;
use crate::scene::Scene;

/// A running server.
pub struct Postgres {
    port: u16,
    _process: Process,
}

/// Where Debian and others put the server's programs.
fn program(name: &str) -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let found = versions.map(|version| version.path().join("bin").join(name)).filter(|path| path.is_file());
    found.max().unwrap_or_else(|| PathBuf::from(name))
}

/// PostgreSQL refuses to run as root: then as the user that its package made.
fn command(name: &str, root: bool) -> Command {
    if !root {
        return Command::new(program(name));
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "postgres", "--regid", "postgres", "--clear-groups", "--pdeathsig", "KILL"]);
    command.arg(program(name));
    command
}

impl Postgres {
    /// Makes a cluster and starts it.
    ///
    /// # Panics
    /// When PostgreSQL is not installed or does not start within half a minute.
    pub async fn start(scene: &Scene) -> Self {
        let output = std::process::Command::new("id").arg("-u").output().expect("id runs");
        let root = output.stdout.starts_with(b"0\n");
        // Not in the scene's folder: another user could not enter it.
        let folder = std::env::temp_dir().join(format!("anatomic-postgres-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).expect("a folder for the database");
        if root {
            let owned = std::process::Command::new("chown").arg("postgres").arg(&folder).status();
            assert!(owned.is_ok_and(|status| status.success()), "the user postgres exists");
        }
        let data = folder.join("data");
        let made = command("initdb", root)
            .args([
                "--auth",
                "trust",
                "--username",
                "anatomic",
                "--encoding",
                "UTF8",
                "--no-sync",
                "--pgdata",
            ])
            .arg(&data)
            .current_dir(&folder)
            .stdout(Stdio::null())
            .status()
            .await;
        assert!(made.is_ok_and(|status| status.success()), "initdb runs; is PostgreSQL installed?");
        let port = crate::ports::free();
        let mut server = command("postgres", root);
        server.arg("-D").arg(&data).args(["-h", "127.0.0.1", "-p", &port.to_string(), "-F", "-k", ""]);
        server.current_dir(&folder);
        let process = Process::spawn("postgres", server, scene.log("postgres"));
        let ready = async {
            while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            // It listens before it takes connections.
            tokio::time::sleep(Duration::from_millis(500)).await;
        };
        tokio::time::timeout(Duration::from_secs(30), ready).await.expect("PostgreSQL starts");
        scene.keep(Box::new(Folder(folder)));
        Self { port, _process: process }
    }

    /// The address of its database.
    #[must_use]
    pub fn url(&self) -> String {
        format!("postgres://anatomic@127.0.0.1:{}/postgres", self.port)
    }
}

/// Removed at the end.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
