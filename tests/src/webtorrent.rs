//! WebTorrent, unmodified: in a page in Chromium, and in Node.
//!
//! The reference for what browsers speak to each other. Both contact no STUN server.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::process::Command;

use crate::chromium::{Browser, Tab};
use crate::process::Process;
use crate::programs;
use crate::scene::Scene;
use crate::serve::Server;
use crate::torrent::{self, Torrent};

/// A page with nothing on it but WebTorrent's own bundle.
const HTML: &str = include_str!("../peers/webtorrent.html");

/// Serves WebTorrent's page.
pub async fn serve() -> Server {
    let bundle = std::fs::read(programs::peer_file("node_modules/webtorrent/dist/webtorrent.min.js"))
        .expect("WebTorrent's bundle");
    Server::start(HashMap::from([
        ("/".to_owned(), ("text/html", HTML.as_bytes().to_vec())),
        ("/webtorrent.min.js".to_owned(), ("text/javascript", bundle)),
    ]))
    .await
}

/// A tab with WebTorrent's page.
pub struct WebPage {
    tab: Tab,
}

impl WebPage {
    /// Opens one in `browser`.
    pub async fn open(scene: &Scene, browser: &Browser, server: &Server) -> Self {
        let tab = browser.open(scene, server.url()).await;
        tab.wait_for("WebTorrent to be loaded", "!!window.client", Duration::from_secs(60)).await;
        Self { tab }
    }

    /// The tab.
    #[must_use]
    pub fn tab(&self) -> &Tab {
        &self.tab
    }

    /// Seeds `file` with `trackers` and returns its magnet.
    pub async fn seed(&self, file: &Path, trackers: &[&str]) -> String {
        self.tab.give_files("#file", &[file]).await;
        let magnet = self.tab.eval(&format!("seed({})", json!(trackers))).await;
        magnet.as_str().expect("a magnet").to_owned()
    }

    /// Writes to `path` the `.torrent` that WebTorrent makes of `file`, without seeding it yet:
    /// a later [`WebPage::seed`] of the same file makes the same torrent.
    pub async fn torrent_of(&self, file: &Path, path: &Path) -> Torrent {
        self.tab.give_files("#file", &[file]).await;
        let bytes = self.tab.eval("torrentOf()").await;
        let bytes: Vec<u8> = serde_json::from_value(bytes).expect("bytes of a torrent");
        std::fs::write(path, bytes).expect("a torrent file");
        torrent::open(path)
    }

    /// Starts to download a magnet.
    pub async fn add(&self, magnet: &str, trackers: &[&str]) {
        self.tab.eval(&format!("add({}, {})", json!(magnet), json!(trackers))).await;
    }

    /// Waits until the download is complete; returns the SHA-256 of its first file.
    pub async fn wait_complete(&self, limit: Duration) -> String {
        self.tab.wait_for("WebTorrent to complete", "window.state.done", limit).await;
        self.tab.eval("digest()").await.as_str().expect("a digest").to_owned()
    }

    /// What it measured: `metadata` and `done` in seconds after `add`, `wires` (their types), …
    pub async fn state(&self) -> Value {
        self.tab.eval("window.state").await
    }
}

/// Seeds `file`, the content of `torrent`, in Node over WebRTC only; ready when this returns.
pub async fn seed_in_node(
    scene: &Scene,
    name: &str,
    torrent: &Path,
    file: &Path,
    trackers: &[&str],
) -> Process {
    let mut process = node(scene, name, "seed", &torrent.display().to_string(), file, trackers);
    process.line_where("that it seeds", Duration::from_secs(60), |line| event(line, "seeding")).await;
    process
}

/// Starts to download `what` (a `.torrent` file or a magnet) into `dir` in Node over WebRTC only.
#[must_use]
pub fn leech_in_node(scene: &Scene, name: &str, what: &str, dir: &Path, trackers: &[&str]) -> Process {
    node(scene, name, "leech", what, dir, trackers)
}

/// The JSON line in which a peer script says that it is done.
pub async fn wait_done(process: &mut Process, limit: Duration) -> Value {
    process.line_where("that it is done", limit, |line| event(line, "done")).await
}

pub(crate) fn event(line: &str, name: &str) -> Option<Value> {
    let value: Value = serde_json::from_str(line).ok()?;
    (value["event"] == name).then_some(value)
}

fn node(scene: &Scene, name: &str, role: &str, what: &str, path: &Path, trackers: &[&str]) -> Process {
    let package = programs::peer_file("node_modules/webtorrent/index.js");
    let mut command = Command::new(programs::on_path(&["node"]));
    command.arg(programs::script("webtorrent.mjs")).arg(package).arg(role).arg(what).arg(path);
    command.args(trackers);
    Process::spawn(name, command, scene.log(name))
}
