//! What the worker lets every tab see.
//!
//! Facts only; the words for people are made of them in [`crate::state`]. What moves ([`Progress`]) is apart from what does
//! not ([`Torrent`]), so that a torrent of thousands of files costs nothing while it downloads.

use super::network::{Found, Health, Offered, Step};
use super::{Id, Limits, Order};
use nanoserde::{DeBin, SerBin};

/// Something to show.
#[derive(Clone, Debug, PartialEq, DeBin, SerBin)]
pub enum View {
    /// All that is known of one torrent: when it is added, when its metadata came, when a tab asks.
    Torrent(Box<Torrent>),
    /// What changed lately, at most some times a second.
    Progress(Vec<Progress>),
    /// A torrent left the list.
    Removed(Id),
    /// The list from the last visit is complete.
    Listed,
    /// The host of this page.
    Host(Host),
    /// A torrent is being made of files; `None` when that is over.
    Creating(Option<Creating>),
    /// Something a person should read once.
    Notice(Notice),
    /// The settings in force.
    Limits(Limits),
    /// Room in the browser's storage.
    Storage(Storage),
    /// Which nodes would take a torrent.
    Offered(Offered),
    /// The steps of planting a torrent, so far.
    Steps(Id, Vec<Step>),
    /// How a planted torrent fares.
    Health(Box<Health>),
    /// What a search found.
    Found(Found),
    /// The torrent that was just added or asked for: unfold it.
    Focus(Id),
}

/// One torrent.
#[derive(Clone, Debug, PartialEq, DeBin, SerBin)]
pub struct Torrent {
    /// Its info-hash.
    pub id: Id,
    /// Its name, or what stands in for it until the metadata comes.
    pub name: String,
    /// Folder in the browser's storage under which its files are.
    pub folder: String,
    /// All its bytes; 0 until the metadata comes.
    pub length: u64,
    /// Bytes of a piece; 0 until the metadata comes.
    pub piece_length: u32,
    /// How many pieces; 0 until the metadata comes.
    pub pieces: u32,
    /// Its files, without pad files.
    pub files: Vec<File>,
    /// The link to pass on.
    pub link: String,
    /// Whether it came with the private flag (BEP 27).
    pub private: bool,
    /// When it was added, in seconds since 1970.
    pub added: u64,
    /// In which order its pieces are fetched.
    pub order: Order,
    /// It waits for a person to choose among its files.
    pub choosing: bool,
    /// What moves.
    pub progress: Progress,
}

/// A file of a torrent.
#[derive(Clone, Debug, PartialEq, DeBin, SerBin)]
pub struct File {
    /// Its number among all files of the torrent, pad files included.
    pub index: u32,
    /// Its path, with `/`.
    pub path: String,
    /// Its bytes.
    pub length: u64,
    /// How many of them are there and verified.
    pub done: u64,
    /// Whether it is to be fetched.
    pub wanted: bool,
}

/// What a torrent is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, DeBin, SerBin)]
pub enum State {
    /// Waiting for the info dictionary from peers.
    #[default]
    Metadata,
    /// Hashing what is stored.
    Checking,
    /// Downloading.
    Downloading,
    /// Complete, uploading to whoever asks.
    Seeding,
    /// Stopped by a person.
    Paused,
    /// Stopped by a failure.
    Error,
}

impl State {
    /// The word that scripts read in `data-state`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Metadata => "metadata",
            Self::Checking => "checking",
            Self::Downloading => "downloading",
            Self::Seeding => "seeding",
            Self::Paused => "paused",
            Self::Error => "error",
        }
    }
}

/// What moves in a torrent.
#[derive(Clone, Debug, Default, PartialEq, DeBin, SerBin)]
pub struct Progress {
    /// Which torrent.
    pub id: Id,
    /// What it is doing.
    pub state: State,
    /// Bytes there and verified.
    pub done: u64,
    /// Bytes wanted in all.
    pub wanted: u64,
    /// Bytes a second towards us.
    pub down: u64,
    /// Bytes a second from us.
    pub up: u64,
    /// Bytes downloaded since it was added.
    pub downloaded: u64,
    /// Bytes uploaded since it was added.
    pub uploaded: u64,
    /// Bytes that failed their hash.
    pub wasted: u64,
    /// How full each stretch of pieces is, a digit each: `0` none to `9` all; `None` if unchanged.
    pub map: Option<String>,
    /// Connected peers.
    pub peers: Vec<Peer>,
    /// Trackers, and what became of the last announce to each.
    pub trackers: Vec<Tracker>,
    /// Files whose verified bytes changed: number and bytes.
    pub files: Vec<(u32, u64)>,
    /// Offers sent that nobody answered yet.
    pub offers: u32,
    /// Whether this host's node tracks it.
    pub planted: Planted,
    /// Why it is in `error`.
    pub error: Option<String>,
}

/// Whether the host of this page tracks a torrent.
#[derive(Clone, Debug, Default, PartialEq, Eq, DeBin, SerBin)]
pub enum Planted {
    /// Not known yet.
    #[default]
    Unknown,
    /// It does.
    Yes,
    /// It does not; planting there was not asked for.
    No,
    /// We asked it to.
    Asking,
    /// It refused.
    Refused(String),
}

/// A connected peer.
#[derive(Clone, Debug, PartialEq, DeBin, SerBin)]
pub struct Peer {
    /// The path its bytes take.
    pub path: Path,
    /// Its program, as its peer id or handshake says.
    pub client: String,
    /// The share of the torrent that it has, 0 to 1.
    pub has: f32,
    /// Bytes a second towards us.
    pub down: u64,
    /// Bytes a second from us.
    pub up: u64,
    /// It does not send us anything now.
    pub choking: bool,
    /// It wants something of ours.
    pub interested: bool,
    /// We want something of its.
    pub wanted: bool,
    /// Blocks that we asked it for and that have not come yet.
    pub asked: u32,
    /// It has not answered for long.
    pub late: bool,
}

/// The path that a peer's bytes take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, DeBin, SerBin)]
pub enum Path {
    /// Another browser or WebRTC program, directly.
    Direct,
    /// A node, which speaks to peers behind it.
    Node(Option<Behind>),
}

/// What lies behind a node, as it reports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, DeBin, SerBin)]
pub struct Behind {
    /// Peers over TCP.
    pub tcp: u32,
    /// Peers over uTP.
    pub utp: u32,
    /// Browsers.
    pub webrtc: u32,
    /// How many of all these have everything.
    pub seeds: u32,
    /// How many have not.
    pub leeches: u32,
}

/// A tracker of a torrent.
#[derive(Clone, Debug, PartialEq, Eq, DeBin, SerBin)]
pub struct Tracker {
    /// Its URL.
    pub url: String,
    /// How it stands.
    pub status: TrackerStatus,
}

/// How a tracker stands.
#[derive(Clone, Debug, PartialEq, Eq, DeBin, SerBin)]
pub enum TrackerStatus {
    /// A browser cannot speak its protocol.
    Unreachable,
    /// Connecting, or waiting for its first reply.
    Waiting,
    /// It answered: seeds and leeches that it knows.
    Working {
        /// Seeds.
        seeds: u32,
        /// Leeches.
        leeches: u32,
    },
    /// It could not be reached, or refused.
    Failed(String),
}

/// The host of this page.
#[derive(Clone, Debug, Default, PartialEq, Eq, DeBin, SerBin)]
pub struct Host {
    /// Its name, as `127.0.0.1:8080`.
    pub name: String,
    /// Who may plant there.
    pub planting: Planting,
    /// Whether it was reached.
    pub reached: bool,
    /// The public key under which this browser plants.
    pub planter: String,
}

/// Who may plant on a host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, DeBin, SerBin)]
pub enum Planting {
    /// Not known (yet).
    #[default]
    Unknown,
    /// Everybody.
    Open,
    /// Planters whose key the host allowed.
    Key,
    /// Nobody.
    Off,
}

/// A torrent being made.
#[derive(Clone, Debug, PartialEq, Eq, DeBin, SerBin)]
pub struct Creating {
    /// Its name.
    pub name: String,
    /// Bytes copied and hashed.
    pub done: u64,
    /// Bytes in all.
    pub total: u64,
}

/// Something a person should read once.
#[derive(Clone, Debug, PartialEq, Eq, DeBin, SerBin)]
pub struct Notice {
    /// How bad.
    pub level: Level,
    /// What.
    pub text: String,
}

/// How bad a notice is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, DeBin, SerBin)]
pub enum Level {
    /// Good to know.
    Info,
    /// Something failed.
    Problem,
}

/// Room in the browser's storage, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, DeBin, SerBin)]
pub struct Storage {
    /// Used.
    pub used: u64,
    /// Allowed.
    pub quota: u64,
}
