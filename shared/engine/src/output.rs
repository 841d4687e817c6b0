//! What the engine wants done: its outputs, and the answers that drivers give.
//!
//! Only values; who produces them is in `engine` and `torrent`.

use crate::keys::{AnnounceKey, DialKey, IntroductionKey, JobKey, PeerKey, TorrentKey};
use crate::link::Encryption;
use crate::peer::Misbehaviour;
use anatomic_core::{Block, FileIndex, InfoHash, PeerId, PieceIndex, Sha1Hash};
use anatomic_wire::extended::Hosts;
use bytes::Bytes;
use std::net::SocketAddr;
use std::time::Duration;

/// One thing for the driver to do. Taken from `Engine::poll_output` until it gives `None`.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Output {
    /// Connect to `address`; answer with `handle_connected` (direction `Dialled(dial)`) or `handle_dial_failed`.
    Dial {
        /// Names the attempt.
        dial: DialKey,
        /// For which torrent.
        torrent: TorrentKey,
        /// Whom to call.
        address: SocketAddr,
        /// How to begin.
        encryption: Encryption,
    },
    /// The peer has something to send: call `poll_transmit` as its transport has room. Said once; said again
    /// only after `poll_transmit` returned 0 with at least [`MIN_ROOM`] to fill.
    Transmit {
        /// Which peer.
        peer: PeerKey,
    },
    /// Stop or go on reading from a peer's transport.
    Read {
        /// Which peer.
        peer: PeerKey,
        /// Which of the two.
        on: Reading,
    },
    /// Close the transport. The key is dead from here on.
    Close {
        /// Which peer.
        peer: PeerKey,
        /// Why, for logs and the peer list.
        reason: CloseReason,
    },
    /// Announce to a tracker; answer with `handle_announced`.
    Announce {
        /// Names the announce.
        announce: AnnounceKey,
        /// What to say.
        request: AnnounceRequest,
    },
    /// Do something for a data channel that a peer helps to bring about: for the driver, one more place from which offers
    /// and answers come.
    Introduce {
        /// Names the introduction.
        introduction: IntroductionKey,
        /// For which torrent.
        torrent: TorrentKey,
        /// What to do.
        step: Step,
    },
    /// Store or hash something; answer with `handle_done`.
    Job {
        /// Names the job.
        job: JobKey,
        /// For which torrent.
        torrent: TorrentKey,
        /// What to do.
        work: Job,
    },
    /// Something that a person may want to know.
    Event {
        /// About which torrent.
        torrent: TorrentKey,
        /// What happened.
        event: Event,
    },
}

/// What to do for an introduction. A channel that opens enters by `handle_connected`, as one that a tracker brought about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Describe a new connection; answer with `handle_described`.
    Offer,
    /// Describe the answer to this offer of a stranger; answer with `handle_described`. The key is dead then.
    Answer(String),
    /// The answer to our offer: connect. The key is dead.
    Accept(String),
    /// It comes to nothing: give the connection up. The key is dead.
    Drop,
}

/// Room at which `poll_transmit` makes progress whenever there is something to send: a block and its header fit.
pub const MIN_ROOM: usize = 17 * 1024;

/// Whether to read from a peer's transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Stop reading: the engine holds enough that it cannot pass on.
    Pause,
    /// Go on.
    Resume,
}

/// Why the engine closes a connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CloseReason {
    /// The peer broke a rule of the protocol.
    #[error("the peer broke the protocol: {0}")]
    Misbehaved(#[from] Misbehaviour),
    /// It is for a torrent that we do not have, or that is paused.
    #[error("the peer asks for a torrent that is not served here")]
    UnknownTorrent,
    /// The other end is us.
    #[error("connected to ourselves")]
    Ourselves,
    /// A connection to the same peer is kept instead.
    #[error("there is another connection to the same peer")]
    Duplicate,
    /// No handshake in time.
    #[error("no handshake in time")]
    HandshakeTimeout,
    /// Nothing was heard for too long.
    #[error("silent for too long")]
    Idle,
    /// Neither side wants anything of the other.
    #[error("neither side wants anything of the other")]
    NoInterest,
    /// It sends requests but does not read our answers.
    #[error("the peer does not read what it asked for")]
    DoesNotRead,
    /// Its place is needed for others.
    #[error("too many connections")]
    TooMany,
    /// It sent bad data, or its address did.
    #[error("banned for sending bad data")]
    Banned,
    /// The torrent was paused, or stopped by an error.
    #[error("the torrent is paused")]
    Paused,
    /// The torrent was removed.
    #[error("the torrent was removed")]
    Removed,
}

/// One announce, in the terms all trackers share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnnounceRequest {
    /// Which torrent.
    pub torrent: TorrentKey,
    /// Its name on the wire.
    pub info_hash: InfoHash,
    /// The tracker, as the torrent writes it.
    pub url: String,
    /// Why now.
    pub event: AnnounceEvent,
    /// Payload bytes sent since `started`.
    pub uploaded: u64,
    /// Payload bytes received since `started`.
    pub downloaded: u64,
    /// Bytes still missing; `None` while the metadata is unknown.
    pub left: Option<u64>,
    /// Peers wanted; for a WebSocket tracker the number of offers to make. 0 with `stopped`.
    pub want: u32,
    /// Who we are.
    pub peer_id: PeerId,
    /// Where classic peers reach us.
    pub port: Option<u16>,
    /// What this tracker called us last time.
    pub tracker_id: Option<Vec<u8>>,
}

/// Why an announce is made ([BEP 3](https://www.bittorrent.org/beps/bep_0003.html#trackers)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AnnounceEvent {
    /// The first of a session.
    Started,
    /// The download was completed in this session.
    Completed,
    /// We leave.
    Stopped,
    /// One at the usual interval.
    Regular,
}

/// A tracker's answer.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct AnnounceReply {
    /// When it wants to hear from us again.
    pub interval: Option<Duration>,
    /// How soon it allows that.
    pub min_interval: Option<Duration>,
    /// Addresses of peers (empty for WebSocket trackers, whose peers arrive as connections).
    pub peers: Vec<SocketAddr>,
    /// Seeds it knows.
    pub seeds: Option<u32>,
    /// Leeches it knows.
    pub leeches: Option<u32>,
    /// A name for us that it wants to be told next time.
    pub tracker_id: Option<Vec<u8>>,
    /// Something for the user to read.
    pub warning: Option<String>,
}

/// Work for storage or hashing. The driver may do jobs in any order, but a `Write` comes before later `Read`s of
/// the same piece.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Job {
    /// SHA-1 over the blocks one after the other: a whole piece. Answer: [`Done::Digest`].
    Hash {
        /// The piece's bytes.
        blocks: Vec<Bytes>,
    },
    /// Store a whole verified piece. Answer: [`Done::Written`] or [`Done::Failed`].
    Write {
        /// Which piece.
        piece: PieceIndex,
        /// Its bytes, in order.
        blocks: Vec<Bytes>,
    },
    /// Read a block of a stored piece. Answer: [`Done::Read`] or [`Done::Failed`].
    Read {
        /// Which bytes.
        block: Block,
    },
    /// Read a piece from the store and hash it. Answer: [`Done::Checked`].
    Check {
        /// Which piece.
        piece: PieceIndex,
    },
}

/// The answer to a [`Job`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    /// The digest of a [`Job::Hash`].
    Digest(Sha1Hash),
    /// A [`Job::Write`] is safe in the store.
    Written,
    /// The bytes of a [`Job::Read`], exactly as many as asked.
    Read(Bytes),
    /// The digest of a [`Job::Check`]; `None` if the store does not hold the whole piece.
    Checked(Option<Sha1Hash>),
    /// The store could not: what failed, why, what to do, for people.
    Failed(String),
}

/// Where a torrent stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Fetching the info dictionary of a magnet.
    Metadata,
    /// Hashing what the store holds.
    Checking,
    /// Fetching what is wanted.
    Downloading,
    /// Everything wanted is here.
    Seeding,
    /// Stopped by the user.
    Paused,
    /// Stopped by an error of the store; `resume` tries again.
    Error,
}

impl State {
    /// The state in one lower-case word, as the page and JSON show it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
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

/// Something that happened to a torrent.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// The info dictionary is known: name, files and pieces can be shown, and storage made ready.
    MetadataReady,
    /// The torrent stands elsewhere now.
    StateChanged(State),
    /// A piece passed its hash (it is announced to peers; stored when `PieceStored` comes).
    PieceVerified(PieceIndex),
    /// A piece is safe in the store: resume data counts it.
    PieceStored(PieceIndex),
    /// A piece failed its hash and is fetched again.
    PieceFailed(PieceIndex),
    /// All pieces of a file are stored.
    FileComplete(FileIndex),
    /// Everything wanted is stored.
    Complete,
    /// The torrent stopped: what failed, why, what to do.
    Error(String),
    /// A peer was banned, and why.
    PeerBanned {
        /// Its connection, dead by now.
        peer: PeerKey,
        /// Its address, if it has one.
        address: Option<SocketAddr>,
        /// Why.
        reason: String,
    },
    /// A peer named nodes and supernodes. Strangers' words: they are asked for their keys and receipts before anything
    /// follows from them.
    Hosts {
        /// Who named them.
        peer: PeerKey,
        /// Its address, if it has one.
        address: Option<SocketAddr>,
        /// Whom it named.
        hosts: Hosts,
    },
    /// Something worth telling that stopped nothing: a tracker's failure or warning.
    Warning(String),
}
