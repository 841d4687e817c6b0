//! What the page and the worker say to each other.
//!
//! Not the transport: a message is JSON text, and what cannot be text (bytes, files, channels, ports) travels beside
//! it as attachments ([`crate::browser::post`]). [`View`]s and [`Command`]s also cross tabs, by broadcast, since
//! one tab's worker serves all tabs of the origin.

pub mod rtc;
pub mod view;

use serde::{Deserialize, Serialize};

pub use rtc::{Conn, RtcCommand, RtcEvent};
pub use view::View;

/// A torrent as the page names it: the 40 hexadecimal digits of its info-hash.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Id(pub String);

impl std::fmt::Display for Id {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// From the page to the worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ToWorker {
    /// This page's worker owns the engine from now on.
    Start {
        /// Scheme and host of the page, as `http://127.0.0.1:8080`: where the node's API and tracker are.
        origin: String,
    },
    /// What a person wants; from any tab.
    Command(Command),
    /// What became of a peer connection.
    Rtc(RtcEvent),
    /// The service worker asks for a file; attachment 0 is the `MessagePort` on which it names a range and pulls bytes.
    Serve {
        /// The torrent.
        id: Id,
        /// The file, counted from 0.
        file: u32,
    },
}

/// From the worker to the page.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ToPage {
    /// The worker's code runs and hears messages.
    Ready,
    /// Something to show, in every tab.
    View(View),
    /// Something to do with a peer connection, for the owning page only.
    Rtc(RtcCommand),
}

/// What a person wants.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Command {
    /// A tab opened: send it everything.
    Hello,
    /// Add what a link, magnet or info-hash names.
    AddLink {
        /// The text as typed or opened.
        text: String,
        /// How it came.
        origin: Origin,
        /// When its files are fetched.
        begin: Begin,
    },
    /// Add a metainfo file; attachment 0 is an `ArrayBuffer` with its bytes.
    AddTorrent {
        /// The file's name, for messages.
        name: String,
        /// When its files are fetched.
        begin: Begin,
    },
    /// Make a torrent of the files attached, plant it on this host and seed it.
    Create {
        /// Name of the torrent: the file's, or the folder's.
        name: String,
        /// Path of each attached file inside the torrent, without the torrent's own name.
        paths: Vec<Vec<String>>,
    },
    /// Stop all traffic of a torrent.
    Pause(Id),
    /// Start it again; after an error, try again.
    Resume(Id),
    /// Take a torrent off the list.
    Remove {
        /// Which.
        id: Id,
        /// What becomes of its bytes.
        data: DataFate,
    },
    /// Say whether files are wanted.
    Select {
        /// The torrent.
        id: Id,
        /// Numbers of the files; `None` for all of them.
        files: Option<Vec<u32>>,
        /// Whether they are.
        wanted: bool,
    },
    /// Say in which order pieces are fetched.
    SetOrder(Id, Order),
    /// Plant a torrent on this host.
    Plant(Id),
    /// Change the limits on speed.
    SetLimits(Limits),
}

/// How a link reached us: what a click on a strange page may start is less than what a person typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Origin {
    /// It was in the address of the page.
    Opened,
    /// A person typed or pasted it.
    Typed,
}

/// When the files of a torrent that was added are fetched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Begin {
    /// At once.
    #[default]
    AtOnce,
    /// When a person has chosen among them: it waits, paused, as soon as they are known.
    AfterChoice,
}

/// In which order pieces are fetched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// Those that fewest peers have first: best for all.
    #[default]
    RarestFirst,
    /// From the first to the last: for looking at a file while it comes.
    Sequential,
}

/// What becomes of the bytes of a torrent taken off the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DataFate {
    /// They stay in the browser's storage and are found again when the torrent is added again.
    Keep,
    /// They are deleted.
    Delete,
}

/// Limits on speed, in bytes a second; `None` is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Towards us.
    pub download: Option<u64>,
    /// From us.
    pub upload: Option<u64>,
}
