//! What the page and the worker say to each other.
//!
//! Not the transport: a message is packed into bytes, and what cannot be bytes (files, channels, ports) travels beside
//! it as attachments ([`crate::browser::pack`]). [`View`]s and [`Command`]s also cross tabs, by broadcast, since
//! one tab's worker serves all tabs of the origin. Nothing of it is ever stored: what a reload must find again is in
//! the records of [`crate::worker::list`].

pub mod network;
pub mod planter;
pub mod rtc;
pub mod view;

use nanoserde::{DeBin, SerBin};

pub use planter::Nodes;
pub use rtc::{Conn, RtcCommand, RtcEvent};
pub use view::View;

/// Says how messages are laid out. A tab opened before the page was updated packs them otherwise and must not be
/// understood by halves; so this is a digest of what declares them.
pub const LAYOUT: u32 = {
    let hash = fnv(include_str!("protocol.rs"), 0x811c_9dc5);
    let hash = fnv(include_str!("protocol/network.rs"), hash);
    let hash = fnv(include_str!("protocol/planter.rs"), hash);
    let hash = fnv(include_str!("protocol/rtc.rs"), hash);
    fnv(include_str!("protocol/view.rs"), hash)
};

/// FNV-1a.
const fn fnv(text: &str, mut hash: u32) -> u32 {
    let mut rest = text.as_bytes();
    while let [byte, after @ ..] = rest {
        hash = (hash ^ *byte as u32).wrapping_mul(0x0100_0193);
        rest = after;
    }
    hash
}

/// A torrent as the page names it: the 40 hexadecimal digits of its info-hash.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, DeBin, SerBin)]
pub struct Id(pub String);

impl std::fmt::Display for Id {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// From the page to the worker.
#[derive(Clone, Debug, PartialEq, DeBin, SerBin)]
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
#[derive(Clone, Debug, PartialEq, DeBin, SerBin)]
pub enum ToPage {
    /// The worker's code runs and hears messages.
    Ready,
    /// Something to show, in every tab.
    View(View),
    /// Something to do with a peer connection, for the owning page only.
    Rtc(RtcCommand),
    /// Something to save, by the owning page; attachment 0 is a `Uint8Array` with its bytes.
    Save {
        /// Its name.
        name: String,
    },
}

/// What a person wants.
#[derive(Clone, Debug, PartialEq, DeBin, SerBin)]
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
        /// When it is planted.
        plant: Plant,
    },
    /// Make a torrent of the files attached, seed it and plant it.
    Create {
        /// Name of the torrent: the file's, or the folder's.
        name: String,
        /// Path of each attached file inside the torrent, without the torrent's own name.
        paths: Vec<Vec<String>>,
        /// When it is planted.
        plant: Plant,
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
    /// Plant a torrent; again, if it is planted.
    Plant(Id, Nodes),
    /// Ask which nodes would take a torrent.
    AskOffer,
    /// Take back what this browser planted.
    Unplant(Id),
    /// Ask how a planted torrent fares.
    AskHealth(Id),
    /// Look for planted torrents.
    Search {
        /// Words of their names.
        words: String,
    },
    /// Save the torrent file, for other clients.
    TorrentFile(Id),
    /// Change the limits on speed.
    SetLimits(Limits),
}

/// How a link reached us: what a click on a strange page may start is less than what a person typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, DeBin, SerBin)]
pub enum Origin {
    /// It was in the address of the page.
    Opened,
    /// A person typed or pasted it.
    Typed,
}

/// When the files of a torrent that was added are fetched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, DeBin, SerBin)]
pub enum Begin {
    /// At once.
    #[default]
    AtOnce,
    /// When a person has chosen among them: it waits, paused, as soon as they are known.
    AfterChoice,
}

/// When something that a person gives us is planted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, DeBin, SerBin)]
pub enum Plant {
    /// At once, on as many nodes as usual, those that are offered first.
    #[default]
    AtOnce,
    /// When a person has chosen the nodes ([`Command::Plant`]).
    AfterChoice,
}

/// In which order pieces are fetched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, DeBin, SerBin)]
pub enum Order {
    /// Those that fewest peers have first: best for all.
    #[default]
    RarestFirst,
    /// From the first to the last: for looking at a file while it comes.
    Sequential,
}

/// What becomes of the bytes of a torrent taken off the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, DeBin, SerBin)]
pub enum DataFate {
    /// They stay in the browser's storage and are found again when the torrent is added again.
    Keep,
    /// They are deleted.
    Delete,
}

/// Limits on speed, in bytes a second; `None` is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, DeBin, SerBin)]
pub struct Limits {
    /// Towards us.
    pub download: Option<u64>,
    /// From us.
    pub upload: Option<u64>,
}
