//! One connection to a peer: the wire protocol, without storage, picking or choking policy.
//!
//! [`Peer`] turns bytes into [`PeerEvent`]s and the owner's wishes into bytes. It knows the rules of the
//! messages (who may say what when) and closes on the one who breaks them ([`Misbehaviour`]); which block to ask
//! of whom, whom to unchoke, and what is served, its owner decides. Storing torrents and bridges share it.
//!
//! # How to own one
//! 1. [`Peer::new`]; give it what arrives with [`Peer::receive`], then call [`Peer::poll_event`] until `None`,
//!    acting between events. An error closes the connection.
//! 2. On [`PeerEvent::Handshaked`] decide whether to keep it, then [`Peer::open`]: nothing more is read before.
//! 3. Ask with [`Peer::request`] while unchoked; a block comes as [`PeerEvent::Block`], a refusal as
//!    [`PeerEvent::Rejected`] or in [`PeerEvent::Choked`]. Requests are given up with [`Peer::cancel`].
//! 4. On [`PeerEvent::Requested`] take requests with [`Peer::take_request`] as far as reading ahead is worth while, and
//!    answer each with [`Peer::supply`] or [`Peer::refuse`].
//! 5. Whenever [`Peer::has_control`] or [`Peer::has_payload`], write with [`Peer::transmit`] as there is room.
//! 6. Call [`Peer::check`] about once a second.

mod allowed_fast;
mod event;
mod incoming;
mod misbehaviour;
mod outgoing;
mod phase;
mod pieces;
mod receive;
mod transmit;
mod wishes;

#[cfg(test)]
mod tests;

pub(crate) use allowed_fast::allowed_fast_set;
pub(crate) use event::{PeerEvent, Standing};
pub use misbehaviour::Misbehaviour;

use crate::config::{Config, Role};
use crate::link::{Link, Transport};
use crate::output::CloseReason;
use crate::rate::Rate;
use anatomic_core::collections::BTreeSet;
use anatomic_core::{Bitfield, Geometry, InfoHash, PeerId, PieceIndex, Time};
use anatomic_wire::extended::{ExtendedHandshake, ExtensionIds};
use anatomic_wire::handshake::Handshake;
use anatomic_wire::message::{Decoder, Limits, Message};
use bytes::Bytes;
use incoming::Incoming;
use outgoing::Outgoing;
use phase::Phase;
use pieces::Pieces;
use std::collections::VecDeque;
use std::sync::Arc;

/// Our numbers for the extensions that we take (BEP 10, `m`).
const UT_METADATA: u8 = 1;
const LT_DONTHAVE: u8 = 2;
const AN_BRIDGE: u8 = 3;
#[cfg(feature = "classic")]
const UT_PEX: u8 = 4;
const AN_HOSTS: u8 = 5;
const AN_INTRO: u8 = 6;

/// What we say right after the handshakes.
pub(crate) struct Opening<'a> {
    /// What we have; `None` while the metadata is unknown.
    pub pieces: Option<&'a Bitfield>,
    /// The torrent's arithmetic; `None` while the metadata is unknown.
    pub geometry: Option<Geometry>,
    /// The info dictionary, to be served; `None` while it is unknown.
    pub metadata: Option<Bytes>,
    /// Whether we download nothing (BEP 21).
    pub upload_only: bool,
    /// Whether peers may be introduced to each other, or named: not in a private torrent.
    pub introduces: bool,
}

/// One connection. See the module's documentation.
pub(crate) struct Peer {
    config: Arc<Config>,
    us: PeerId,
    link: Link,
    phase: Phase,
    decoder: Decoder,
    geometry: Option<Geometry>,
    pieces: Pieces,
    metadata: Option<Bytes>,

    am_choking: bool,
    am_interested: bool,
    peer_choking: bool,
    peer_interested: bool,
    choked_at: Time,

    incoming: Incoming,
    outgoing: Outgoing,
    /// Pieces that they serve us while choking (BEP 6).
    allowed_by_them: BTreeSet<PieceIndex>,
    /// Pieces that we serve them while choking, and how many such requests we still take.
    allowed_by_us: Vec<PieceIndex>,
    allowance_fast: u32,
    metadata_asked: BTreeSet<u32>,
    metadata_wanted: VecDeque<u32>,
    metadata_given: bool,
    /// We told it that we take introductions.
    introduces: bool,
    /// We told it that we take addresses of peers.
    #[cfg(feature = "classic")]
    exchanges: bool,

    /// Messages without payload, encoded, from `control_at` on.
    control: Vec<u8>,
    control_at: usize,
    /// The rest of a message that was longer than the room.
    spill: Bytes,

    created: Time,
    last_received: Time,
    last_sent: Time,
    down: Rate,
    up: Rate,
    downloaded: u64,
    uploaded: u64,
    strikes: Strikes,
}

/// Small offences, counted until they are too many.
#[derive(Debug, Default)]
struct Strikes {
    bitfields: u32,
    bad_requests: u32,
    choked_requests: u32,
    unrequested: u32,
    rejects: u32,
    extension: u32,
    metadata: u32,
}

impl Peer {
    /// A fresh connection. With an info-hash our handshake is sent at once; without, after theirs.
    pub(crate) fn new(
        now: Time,
        config: Arc<Config>,
        us: PeerId,
        link: Link,
        info_hash: Option<InfoHash>,
    ) -> Self {
        let limits = Limits { block: config.max_block, ..Limits::default() };
        let mut peer = Self {
            config,
            us,
            link,
            phase: Phase::new(info_hash),
            decoder: Decoder::new(limits),
            geometry: None,
            pieces: Pieces::new(None),
            metadata: None,
            am_choking: true,
            am_interested: false,
            peer_choking: true,
            peer_interested: false,
            choked_at: now,
            incoming: Incoming::default(),
            outgoing: Outgoing::new(now),
            allowed_by_them: BTreeSet::new(),
            allowed_by_us: Vec::new(),
            allowance_fast: 0,
            metadata_asked: BTreeSet::new(),
            metadata_wanted: VecDeque::new(),
            metadata_given: false,
            introduces: false,
            #[cfg(feature = "classic")]
            exchanges: false,
            control: Vec::new(),
            control_at: 0,
            spill: Bytes::new(),
            created: now,
            last_received: now,
            last_sent: now,
            down: Rate::new(now),
            up: Rate::new(now),
            downloaded: 0,
            uploaded: 0,
            strikes: Strikes::default(),
        };
        if let Some(info_hash) = info_hash {
            Handshake::new(info_hash, us).encode(&mut peer.control);
        }
        peer
    }

    // ---- facts

    /// How it is connected.
    pub(crate) const fn link(&self) -> &Link {
        &self.link
    }

    /// Its handshake, once there.
    pub(crate) const fn handshake(&self) -> Option<&Handshake> {
        self.phase.handshake()
    }

    /// Its id, after the handshake.
    pub(crate) fn peer_id(&self) -> Option<PeerId> {
        self.handshake().map(|handshake| handshake.peer_id)
    }

    /// Its extended handshake, once there.
    pub(crate) const fn extensions(&self) -> Option<&ExtendedHandshake> {
        self.phase.extensions()
    }

    /// Whether both sides speak the fast extension (BEP 6).
    pub(crate) fn is_fast(&self) -> bool {
        self.handshake().is_some_and(|handshake| handshake.reserved.fast())
    }

    /// Whether the handshakes are over and [`open`](Self::open) was called.
    pub(crate) const fn is_open(&self) -> bool {
        self.phase.is_open()
    }

    /// What it says that it is.
    pub(crate) fn role(&self) -> Role {
        if self.extensions().is_some_and(|extensions| extensions.node) { Role::Node } else { Role::Client }
    }

    /// Its pieces; `None` while the torrent's size is unknown.
    pub(crate) const fn pieces(&self) -> Option<&Bitfield> {
        self.pieces.known()
    }

    /// Whether it has every piece.
    #[cfg(any(feature = "bridge", feature = "classic"))]
    pub(crate) fn is_seed(&self) -> bool {
        self.pieces().is_some_and(Bitfield::is_full)
    }

    /// Whether it has `piece`.
    pub(crate) fn has(&self, piece: PieceIndex) -> bool {
        self.pieces().is_some_and(|pieces| pieces.has(piece))
    }

    /// We choke it.
    pub(crate) const fn am_choking(&self) -> bool {
        self.am_choking
    }

    /// We want something of it.
    pub(crate) const fn am_interested(&self) -> bool {
        self.am_interested
    }

    /// It chokes us.
    pub(crate) const fn is_choking(&self) -> bool {
        self.peer_choking
    }

    /// It wants something of us.
    pub(crate) const fn is_interested(&self) -> bool {
        self.peer_interested
    }

    /// Pieces that it serves while choking us.
    pub(crate) const fn allowed_fast(&self) -> &BTreeSet<PieceIndex> {
        &self.allowed_by_them
    }

    /// Requests that it takes at a time: its `reqq`, else the assumption. One less, since Transmission (3.00) rejects
    /// the last one of those it promises, and keeps the reject to itself for up to ten seconds.
    pub(crate) fn reqq(&self) -> usize {
        self.extensions()
            .and_then(|extensions| extensions.request_queue)
            .map_or(self.config.default_reqq, |reqq| (reqq as usize).saturating_sub(1).max(1))
            .max(1)
    }

    /// Our requests to it, written or not.
    pub(crate) fn outstanding(&self) -> usize {
        self.outgoing.len()
    }

    /// Since when it owes us a block; `None` if no request is written.
    pub(crate) fn waiting_since(&self) -> Option<Time> {
        self.outgoing.waiting_since()
    }

    /// Its requests that are not answered yet.
    pub(crate) fn incoming_requests(&self) -> usize {
        self.incoming.len()
    }

    /// Bytes of its requests that the owner took and that are not sent yet.
    pub(crate) const fn backlog(&self) -> usize {
        self.incoming.backlog()
    }

    /// Payload from it: all bytes, and bytes a second.
    pub(crate) fn downloaded(&self, now: Time) -> (u64, f64) {
        (self.downloaded, self.down.per_second(now))
    }

    /// Payload to it: all bytes, and bytes a second.
    pub(crate) fn uploaded(&self, now: Time) -> (u64, f64) {
        (self.uploaded, self.up.per_second(now))
    }

    /// Whether the connection was of use to one of both: payload went over it, or the info dictionary, after which some
    /// clients (Transmission 3.00) leave and come back for the rest.
    pub(crate) const fn was_useful(&self) -> bool {
        self.downloaded > 0 || self.uploaded > 0 || self.metadata_given
    }

    /// Since when it is connected.
    #[cfg(feature = "classic")]
    pub(crate) const fn created(&self) -> Time {
        self.created
    }

    /// When it last said something.
    pub(crate) const fn last_received(&self) -> Time {
        self.last_received
    }

    /// Its client's name: as it says, else as its peer id starts.
    pub(crate) fn client(&self) -> Option<String> {
        if let Some(version) = self.extensions().and_then(|extensions| extensions.version.clone()) {
            return Some(version);
        }
        let id = self.peer_id()?;
        let code: String = id.as_bytes().iter().take(8).map(|byte| char::from(*byte)).collect();
        Some(if code.chars().all(|c| c.is_ascii_graphic()) { code } else { "unknown".to_owned() })
    }

    /// Bytes of the info dictionary, as the peer says; `None` if it cannot be asked for it.
    pub(crate) fn metadata_size(&self) -> Option<u32> {
        self.their_id(|ids| ids.ut_metadata)?;
        self.extensions()?.metadata_size
    }

    /// Looks at the clock: time-outs, and keep-alives.
    ///
    /// # Errors
    /// Why the connection must be closed.
    pub(crate) fn check(&mut self, now: Time) -> Result<(), CloseReason> {
        if self.handshake().is_none() {
            let allowed = match self.link.transport {
                Transport::WebRtc => self.config.handshake_timeout_webrtc,
                Transport::Tcp | Transport::Utp => self.config.handshake_timeout,
            };
            return if now >= self.created + allowed { Err(CloseReason::HandshakeTimeout) } else { Ok(()) };
        }
        if now >= self.last_received + self.config.idle_timeout {
            return Err(CloseReason::Idle);
        }
        if self.is_open() && now >= self.last_sent + self.config.keep_alive && !self.has_control() {
            self.push(&Message::KeepAlive);
        }
        Ok(())
    }

    fn their_id(&self, which: impl Fn(&ExtensionIds) -> Option<u8>) -> Option<u8> {
        which(&self.extensions()?.ids).filter(|id| *id != 0)
    }

    /// Queues a message without payload.
    fn push(&mut self, message: &Message) {
        message.encode(&mut self.control);
    }
}
