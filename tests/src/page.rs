//! Our page, through the surface that scripts may rely on: test ids and data attributes.
//!
//! Knows nothing of the page's inside. A torrent's element carries `data-info-hash`, `data-state`,
//! `data-progress`, `data-link`; its peers `data-transport`; its files a `data-testid="save"` each.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::chromium::{Browser, Tab};
use crate::scene::Scene;

/// JavaScript that lists the torrents of the page.
pub const TORRENTS: &str = "[...document.querySelectorAll('[data-info-hash][data-state]')].map(e => ({
    info_hash: e.dataset.infoHash, state: e.dataset.state, progress: +e.dataset.progress,
    link: e.dataset.link || '', files: e.querySelectorAll('[data-testid=\"save\"]').length,
    peers: [...e.querySelectorAll('[data-transport]')].map(p => p.dataset.transport),
    text: e.innerText }))";

/// A torrent as the page shows it.
#[derive(Debug, Clone)]
pub struct Shown {
    /// v1 info-hash in hexadecimal.
    pub info_hash: String,
    /// `metadata`, `checking`, `downloading`, `seeding`, `paused` or `error`.
    pub state: String,
    /// 0 to 1.
    pub progress: f64,
    /// The planted link; empty while there is none.
    pub link: String,
    /// How many files can be saved.
    pub files: u64,
    /// The transport of each peer shown: `webrtc` or `bridge`.
    pub peers: Vec<String>,
    /// What a person reads.
    pub text: String,
}

/// Looks at the first torrent's element every 10 ms and notes when it changes.
const STOPWATCH: &str = "(() => {
    const times = window.__times = {};
    const note = (name, value) => { times[name] ??= value ?? performance.now() / 1000; };
    setInterval(() => {
        const e = document.querySelector('[data-info-hash][data-state]');
        if (!e) return;
        note('listed');
        if (e.dataset.state !== 'metadata') note('metadata');
        const share = +e.dataset.progress;
        if (share > 0) { note('first'); note('share', share); }
        if (share >= 1) note('done');
    }, 10);
})()";

/// When things happened in the page, in seconds since the document was asked for.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// The torrent was in the list.
    pub listed: f64,
    /// Its metadata was there.
    pub metadata: f64,
    /// Its first pieces were there.
    pub first: f64,
    /// The share (0 to 1) that was there at `first`.
    pub share: f64,
    /// It was complete.
    pub done: f64,
}

impl Times {
    /// Rate in MB/s (10^6 bytes) between the first pieces and the end of `length` bytes.
    #[must_use]
    pub fn rate(&self, length: u64) -> f64 {
        (1.0 - self.share) * length as f64 / 1e6 / (self.done - self.first).max(1e-9)
    }
}

/// A tab with our page in it.
#[derive(Clone)]
pub struct Page {
    tab: Tab,
}

impl Page {
    /// Opens `url`, the page's own address or a planted link, in a new tab of `browser`.
    pub async fn open(scene: &Scene, browser: &Browser, url: &str) -> Self {
        let tab = browser.open(scene, url).await;
        let page = Self { tab };
        page.ready().await;
        page
    }

    /// As [`Page::open`], with storage of its own.
    pub async fn open_apart(scene: &Scene, browser: &Browser, url: &str) -> Self {
        let page = Self { tab: browser.open_apart(scene, url).await };
        page.ready().await;
        page
    }

    /// As [`Page::open`], with a stopwatch in the page: see [`Page::times`].
    pub async fn open_timed(scene: &Scene, browser: &Browser, url: &str) -> Self {
        let tab = browser.open_with(scene, url, STOPWATCH).await;
        let page = Self { tab };
        page.ready().await;
        page
    }

    /// What the stopwatch saw, in seconds since the document was asked for: when the first torrent
    /// was `listed`, had its `metadata`, its `first` piece, was `done`; and the share that it had
    /// at `first`. Only of a page opened with [`Page::open_timed`]; 0 is not yet.
    ///
    /// # Panics
    /// When the page does not answer.
    pub async fn times(&self) -> Times {
        let times = self.tab.eval("window.__times").await;
        let seconds = |name: &str| times[name].as_f64().unwrap_or(0.0);
        Times {
            listed: seconds("listed"),
            metadata: seconds("metadata"),
            first: seconds("first"),
            share: seconds("share"),
            done: seconds("done"),
        }
    }

    /// The tab.
    #[must_use]
    pub fn tab(&self) -> &Tab {
        &self.tab
    }

    /// Waits until the page can be used.
    pub async fn ready(&self) {
        self.tab.wait_element("[data-testid=\"add-input\"]", Duration::from_secs(60)).await;
    }

    /// Adds a link or magnet as a person does: types it and presses the button.
    pub async fn add(&self, text: &str) {
        self.tab.type_into("[data-testid=\"add-input\"]", text).await;
        self.tab.click("[data-testid=\"add-button\"]").await;
    }

    /// Gives files to the page: a `.torrent` is added, anything else is planted and seeded.
    pub async fn give(&self, files: &[&Path]) {
        self.tab.give_files("[data-testid=\"file-input\"]", files).await;
    }

    /// The torrents now shown.
    ///
    /// # Panics
    /// When the page does not answer.
    pub async fn torrents(&self) -> Vec<Shown> {
        shown(&self.tab.eval(TORRENTS).await)
    }

    /// The torrent `info_hash` as now shown.
    pub async fn torrent(&self, info_hash: &str) -> Option<Shown> {
        self.torrents().await.into_iter().find(|shown| shown.info_hash == info_hash)
    }

    /// Waits until a torrent is shown for which `wanted` holds.
    ///
    /// # Panics
    /// When `limit` passes before; says what is shown instead.
    pub async fn wait(&self, what: &str, limit: Duration, wanted: impl Fn(&Shown) -> bool) -> Shown {
        let end = tokio::time::Instant::now() + limit;
        loop {
            let now = self.tab.try_eval(TORRENTS).await.map(|torrents| shown(&torrents));
            if let Ok(torrents) = &now
                && let Some(found) = torrents.iter().find(|torrent| wanted(torrent))
            {
                return found.clone();
            }
            if tokio::time::Instant::now() > end {
                panic!("{}: waited {limit:?} for {what}; shown: {now:#?}", self.tab.name());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Waits until `info_hash` is complete and seeding.
    pub async fn wait_complete(&self, info_hash: &str, limit: Duration) -> Shown {
        self.wait(&format!("{info_hash} to be complete"), limit, |torrent| {
            assert!(
                torrent.info_hash != info_hash || torrent.state != "error",
                "the page says of {info_hash}: {}",
                torrent.text
            );
            torrent.info_hash == info_hash && torrent.state == "seeding" && torrent.progress >= 1.0
        })
        .await
    }

    /// Waits until the stopwatch of [`Page::open_timed`] saw the end, and looks at nothing else: to read the page as
    /// [`Page::wait`] does costs a tenth of a core.
    ///
    /// # Panics
    /// When `limit` passes before.
    pub async fn wait_timed(&self, limit: Duration) -> Times {
        let end = tokio::time::Instant::now() + limit;
        loop {
            let times = self.times().await;
            if times.done > 0.0 {
                return times;
            }
            assert!(tokio::time::Instant::now() < end, "{}: not complete within {limit:?}", self.tab.name());
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Waits until `info_hash` has progressed at least to `progress` (0 to 1).
    pub async fn wait_progress(&self, info_hash: &str, progress: f64, limit: Duration) -> Shown {
        self.wait(&format!("{info_hash} to reach {progress}"), limit, |torrent| {
            torrent.info_hash == info_hash && torrent.progress >= progress
        })
        .await
    }

    /// Waits until the torrent made from files given to the page is seeded and has its link.
    pub async fn wait_planted(&self, limit: Duration) -> Shown {
        self.wait("a planted link", limit, |torrent| {
            assert!(torrent.state != "error", "the page says: {}", torrent.text);
            torrent.state == "seeding" && !torrent.link.is_empty()
        })
        .await
    }

    /// Saves file number `index` of `info_hash` (as shown, from 0) by pressing its button.
    /// Returns the proposed name and where the browser put it.
    pub async fn save(&self, info_hash: &str, index: usize, limit: Duration) -> (String, PathBuf) {
        let script = format!(
            "document.querySelector('[data-info-hash=\"{info_hash}\"][data-state]')\
             .querySelectorAll('[data-testid=\"save\"]')[{index}]"
        );
        self.tab.wait_for("a save button", &format!("!!({script})"), limit).await;
        let click = async {
            self.tab.eval(&format!("{script}.click()")).await;
        };
        self.tab.saved_by(click, limit).await
    }

    /// Presses a button of a torrent's element (`pause`, `resume`, `remove-delete`, `plant`, …).
    pub async fn press(&self, info_hash: &str, test_id: &str) {
        let selector = format!("[data-info-hash=\"{info_hash}\"][data-state] [data-testid=\"{test_id}\"]");
        self.tab.click(&selector).await;
    }

    /// Presses the button that plants a torrent on this node, if the page offers it before the
    /// torrent moves by itself.
    pub async fn plant_if_asked(&self, info_hash: &str, limit: Duration) {
        let button =
            format!("document.querySelector('[data-info-hash=\"{info_hash}\"] [data-testid=\"plant\"]')");
        let moves = format!(
            "(e => e && (e.dataset.state === 'seeding' || +e.dataset.progress > 0) ? 'moves' : '')\
             (document.querySelector('[data-info-hash=\"{info_hash}\"][data-state]'))"
        );
        let script = format!("{button} ? 'asked' : {moves}");
        if self.tab.wait_for("the torrent to move or a button to plant it", &script, limit).await == "asked" {
            self.tab.eval(&format!("{button} && {button}.click()")).await;
        }
    }

    /// The problems that the page tells (`role="alert"`).
    pub async fn problems(&self) -> Vec<String> {
        let script = "[...document.querySelectorAll('[role=\"alert\"]')].map(e => e.innerText)";
        serde_json::from_value(self.tab.eval(script).await).unwrap_or_default()
    }

    /// Waits until the page tells a problem that is not among `known`; returns it.
    ///
    /// # Panics
    /// When `limit` passes before.
    pub async fn wait_problem(&self, known: &[String], limit: Duration) -> String {
        let end = tokio::time::Instant::now() + limit;
        loop {
            if let Some(new) = self.problems().await.into_iter().find(|told| !known.contains(told)) {
                return new;
            }
            assert!(tokio::time::Instant::now() < end, "{}: no problem was told", self.tab.name());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

fn shown(torrents: &Value) -> Vec<Shown> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    torrents
        .as_array()
        .into_iter()
        .flatten()
        .map(|torrent| Shown {
            info_hash: text(&torrent["info_hash"]),
            state: text(&torrent["state"]),
            progress: torrent["progress"].as_f64().unwrap_or(0.0),
            link: text(&torrent["link"]),
            files: torrent["files"].as_u64().unwrap_or(0),
            peers: torrent["peers"].as_array().into_iter().flatten().map(text).collect(),
            text: text(&torrent["text"]),
        })
        .collect()
}
