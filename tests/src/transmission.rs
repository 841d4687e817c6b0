//! Transmission, the classic peer that most people know, driven by its RPC.
//!
//! It cannot do WebRTC, and it never dials a loopback address, so somebody else must dial it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::process::Command;

use crate::process::Process;
use crate::scene::Scene;
use crate::torrent::Torrent;
use crate::{ports, programs};

/// A running transmission-daemon. Dropping it ends it.
pub struct Transmission {
    process: Process,
    name: String,
    rpc: String,
    port: u16,
    downloads: PathBuf,
    http: reqwest::Client,
}

impl Transmission {
    /// Starts one with TCP only: no uTP, DHT, local discovery, port forwarding.
    pub async fn start(scene: &Scene, name: &str) -> Self {
        Self::start_with(scene, name, json!({})).await
    }

    /// As [`Transmission::start`] with settings of `settings.json` changed.
    ///
    /// # Panics
    /// When it is missing or not ready in time.
    pub async fn start_with(scene: &Scene, name: &str, changed: Value) -> Self {
        let home = scene.folder(&format!("{name}.home"));
        let downloads = scene.folder(&format!("{name}.downloads"));
        let (port, rpc_port) = (ports::free(), ports::free());
        let mut settings = json!({
            "bind-address-ipv4": "127.0.0.1",
            "bind-address-ipv6": "::1",
            "peer-port": port,
            "peer-port-random-on-start": false,
            "port-forwarding-enabled": false,
            "dht-enabled": false,
            "lpd-enabled": false,
            "pex-enabled": false,
            "utp-enabled": false,
            "encryption": 0,
            "download-dir": downloads,
            "incomplete-dir-enabled": false,
            "preallocation": 0,
            "rename-partial-files": false,
            "rpc-bind-address": "127.0.0.1",
            "rpc-port": rpc_port,
            "rpc-authentication-required": false,
            "rpc-whitelist-enabled": false,
            "rpc-host-whitelist-enabled": false,
            "ratio-limit-enabled": false,
            "idle-seeding-limit-enabled": false,
            "speed-limit-up-enabled": false,
            "speed-limit-down-enabled": false,
            "upload-slots-per-torrent": 50,
        });
        for (key, value) in changed.as_object().into_iter().flatten() {
            settings[key] = value.clone();
        }
        std::fs::write(home.join("settings.json"), settings.to_string()).expect("its settings");
        let mut command = Command::new(programs::on_path(&["transmission-daemon"]));
        command.arg("--foreground").arg("--config-dir").arg(&home);
        let process = Process::spawn(name, command, scene.log(name));
        let client = Self {
            process,
            name: name.to_owned(),
            rpc: format!("http://127.0.0.1:{rpc_port}/transmission/rpc"),
            port,
            downloads,
            http: crate::web::client(),
        };
        for _ in 0..200 {
            if client.try_call("session-get", json!({})).await.is_ok() {
                return client;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{name} is not ready after 10 s:\n{}", client.process.log().tail());
    }

    /// The port where it accepts peers, on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where it puts what it downloads.
    #[must_use]
    pub fn downloads(&self) -> &Path {
        &self.downloads
    }

    /// Seeds `torrent` with the content that lies in `dir`, and waits until it does.
    pub async fn seed(&self, torrent: &Torrent, dir: &Path) {
        let added = json!({ "filename": torrent.path, "download-dir": dir, "paused": false });
        self.call("torrent-add", added).await;
        let what = format!("{} to seed {}", self.name, torrent.info_hash);
        self.wait(&torrent.info_hash, &what, Duration::from_secs(240), |state| {
            state["status"] == 6 && state["percentDone"].as_f64() == Some(1.0)
        })
        .await;
    }

    /// Starts to download a `.torrent` file or a magnet.
    pub async fn add(&self, what: &str) {
        self.call("torrent-add", json!({ "filename": what, "paused": false })).await;
    }

    /// Waits until `info_hash` is complete and verified.
    pub async fn wait_complete(&self, info_hash: &str, limit: Duration) {
        let what = format!("{} to complete {info_hash}", self.name);
        self.wait(info_hash, &what, limit, |state| {
            state["percentDone"].as_f64() == Some(1.0)
                && state["leftUntilDone"] == 0
                && state["metadataPercentComplete"].as_f64() == Some(1.0)
        })
        .await;
    }

    /// Announces `info_hash` again now.
    pub async fn reannounce(&self, info_hash: &str) {
        self.call("torrent-reannounce", json!({ "ids": [info_hash] })).await;
    }

    /// What it knows about a torrent (`uploadedEver`, `peers`, `trackerStats`, …).
    pub async fn state(&self, info_hash: &str) -> Value {
        let fields = json!([
            "status",
            "percentDone",
            "leftUntilDone",
            "metadataPercentComplete",
            "error",
            "errorString",
            "uploadedEver",
            "downloadedEver",
            "corruptEver",
            "peers",
            "trackerStats",
        ]);
        let mut answer = self.call("torrent-get", json!({ "ids": [info_hash], "fields": fields })).await;
        answer["torrents"][0].take()
    }

    /// Waits until it is connected to a peer of that kind.
    pub async fn wait_peer(&self, info_hash: &str, limit: Duration, wanted: impl Fn(&Value) -> bool) {
        let what = format!("a peer of {}", self.name);
        self.wait(info_hash, &what, limit, |state| {
            state["peers"].as_array().is_some_and(|peers| peers.iter().any(&wanted))
        })
        .await;
    }

    /// Limits its download to `kib` KiB/s (`None`: no limit).
    pub async fn limit_download(&self, kib: Option<u32>) {
        let limit = json!({
            "speed-limit-down-enabled": kib.is_some(), "speed-limit-down": kib.unwrap_or(0),
        });
        self.call("session-set", limit).await;
    }

    /// Limits its upload to `kib` KiB/s (`None`: no limit).
    pub async fn limit_upload(&self, kib: Option<u32>) {
        let limit = json!({
            "speed-limit-up-enabled": kib.is_some(), "speed-limit-up": kib.unwrap_or(0),
        });
        self.call("session-set", limit).await;
    }

    async fn wait(&self, info_hash: &str, what: &str, limit: Duration, wanted: impl Fn(&Value) -> bool) {
        let end = tokio::time::Instant::now() + limit;
        loop {
            let state = self.state(info_hash).await;
            if wanted(&state) {
                return;
            }
            if tokio::time::Instant::now() > end {
                panic!("waited {limit:?} for {what}; it is {state:#}");
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    async fn call(&self, method: &str, arguments: Value) -> Value {
        self.try_call(method, arguments)
            .await
            .unwrap_or_else(|error| panic!("{}: {method}: {error}", self.name))
    }

    async fn try_call(&self, method: &str, arguments: Value) -> Result<Value, String> {
        let body = json!({ "method": method, "arguments": arguments }).to_string();
        let mut session = String::new();
        for _ in 0..2 {
            let answer = self
                .http
                .post(&self.rpc)
                .header("X-Transmission-Session-Id", &session)
                .body(body.clone())
                .send()
                .await
                .map_err(|error| error.to_string())?;
            if answer.status() == reqwest::StatusCode::CONFLICT {
                let id = answer.headers().get("X-Transmission-Session-Id");
                session = id.and_then(|id| id.to_str().ok()).unwrap_or_default().to_owned();
                continue;
            }
            let text = answer.text().await.map_err(|error| error.to_string())?;
            let mut answer: Value =
                serde_json::from_str(&text).map_err(|error| format!("{error}: {text}"))?;
            if answer["result"] != "success" {
                return Err(answer["result"].to_string());
            }
            return Ok(answer["arguments"].take());
        }
        Err("no session id".into())
    }
}
