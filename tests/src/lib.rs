//! The harness of the end-to-end tests: it starts real programs, drives them, and looks at what they did.
//!
//! Not for tests of one crate: those stand beside the code they test, and need no program but cargo.
//! Here nothing is mocked: the binary `anatomic`, Chromium with its default WebRTC settings, Transmission,
//! aria2, WebTorrent, libtorrent and the reference tracker run as they are installed (`cargo xtask setup --test`).
//!
//! A test is one call of [`scene::run`]. It takes the machine's turn (browser tests do not overlap),
//! owns a folder under `target/e2e/`, and when it fails prints the last words of each program and
//! leaves a picture of each page there.

pub mod accessibility;
pub mod anatomic;
pub mod aria2;
pub mod ask;
pub mod bench;
pub mod cdp;
pub mod certificates;
pub mod chromium;
pub mod clocks;
pub mod content;
pub mod halves;
pub mod liar;
pub mod libtorrent;
pub mod link;
pub mod load;
pub mod lying;
pub mod nats;
pub mod network;
pub mod page;
pub mod pebble;
pub mod ports;
pub mod postgres;
pub mod process;
pub mod programs;
pub mod rivals;
pub mod scene;
pub mod serve;
pub mod sister;
pub mod slow;
pub mod torrent;
pub mod tracker;
pub mod transmission;
pub mod web;
pub mod webtorrent;

/// What tests import.
pub mod prelude {
    pub use crate::anatomic::{self, Anatomic};
    pub use crate::ask;
    pub use crate::chromium::{Browser, Tab};
    pub use crate::content::{self, MIB};
    pub use crate::halves::{Halves, Place};
    pub use crate::network::{self, Network};
    pub use crate::page::Page;
    pub use crate::scene::{self, Scene};
    pub use crate::slow::Slow;
    pub use crate::torrent::{self, Torrent};
    pub use crate::tracker::Tracker;
    pub use crate::transmission::Transmission;
    pub use crate::{aria2, liar, libtorrent, ports, serve, web, webtorrent};
    pub use serde_json::{Value, json};
    pub use std::time::Duration;

    /// Time that a transfer of a few dozen MiB gets before the test gives up: far more than it needs.
    pub const TRANSFER: Duration = Duration::from_secs(180);
    /// Time that something quick (an element to show, a process to be ready) gets.
    pub const SHORT: Duration = Duration::from_secs(60);
}
