//! What the owner of a connection wants said: interest, requests, choking, news.
//!
//! Only queues messages; they are written by `transmit`.

#[cfg(feature = "classic")]
use super::UT_PEX;
use super::outgoing::Void;
use super::{AN_BRIDGE, AN_HOSTS, AN_INTRO, LT_DONTHAVE, Opening, Peer, UT_METADATA};
use crate::config::Role;
use crate::link::Transport;
use crate::output::CloseReason;
use anatomic_core::{Block, Geometry, PieceIndex, Time};
#[cfg(feature = "bridge")]
use anatomic_wire::extended::{BridgeReport, DontHave};
use anatomic_wire::extended::{ExtendedHandshake, ExtensionIds, Hosts, Introduction, MetadataMessage};
use anatomic_wire::handshake::Handshake;
use anatomic_wire::message::Message;
use bytes::Bytes;

impl Peer {
    /// Begins: our first words after the handshakes. Call once, on [`PeerEvent::Handshaked`].
    ///
    /// # Errors
    /// As [`set_geometry`](Self::set_geometry).
    pub(crate) fn open(&mut self, opening: Opening<'_>) -> Result<(), CloseReason> {
        let Some(handshake) = self.phase.open() else { return Ok(()) };
        if !self.phase.handshake_sent() {
            Handshake::new(handshake.info_hash, self.us).encode(&mut self.control);
        }
        // Who can be reached by address needs nobody in between, and a node's tracker introduces its browsers.
        self.introduces = opening.introduces
            && self.link.transport == Transport::WebRtc
            && self.config.role == Role::Client;
        #[cfg(feature = "classic")]
        {
            self.exchanges = opening.introduces && self.link.transport != Transport::WebRtc;
        }
        if handshake.reserved.extended() {
            let ours = ExtendedHandshake {
                ids: ExtensionIds {
                    ut_metadata: Some(UT_METADATA),
                    lt_donthave: Some(LT_DONTHAVE),
                    an_bridge: Some(AN_BRIDGE),
                    an_hosts: Some(AN_HOSTS),
                    #[cfg(feature = "classic")]
                    ut_pex: self.exchanges.then_some(UT_PEX),
                    an_intro: self.introduces.then_some(AN_INTRO),
                    ..ExtensionIds::default()
                },
                version: Some(self.config.client.clone()),
                port: self.config.listen_port,
                request_queue: u32::try_from(self.config.max_incoming_requests).ok(),
                metadata_size: opening.metadata.as_ref().and_then(|info| u32::try_from(info.len()).ok()),
                your_ip: self.link.address.map(|address| address.ip()),
                upload_only: opening.upload_only.then_some(true),
                node: self.config.role == Role::Node,
            };
            self.push(&Message::Extended { id: 0, payload: ours.encode().into() });
        }
        match opening.pieces {
            Some(pieces) if pieces.is_full() && self.is_fast() => self.push(&Message::HaveAll),
            Some(pieces) if !pieces.is_empty() => {
                self.push(&Message::Bitfield(Bytes::copy_from_slice(pieces.as_wire())));
            }
            _ if self.is_fast() => self.push(&Message::HaveNone),
            _ => {}
        }
        self.metadata = opening.metadata;
        match opening.geometry {
            Some(geometry) => self.set_geometry(geometry),
            None => Ok(()),
        }
    }

    /// The torrent's size is known: what the peer said before is judged.
    ///
    /// # Errors
    /// If what it said cannot be.
    pub(crate) fn set_geometry(&mut self, geometry: Geometry) -> Result<(), CloseReason> {
        self.geometry = Some(geometry);
        self.decoder.set_bitfield_limit(geometry.pieces().div_ceil(8));
        self.pieces.settle(&geometry)?;
        self.allowed_by_them.retain(|piece| piece.0 < geometry.pieces());
        Ok(())
    }

    /// The info dictionary is known: it is served from here on.
    pub(crate) fn set_metadata(&mut self, metadata: Bytes) {
        self.metadata = Some(metadata);
    }

    /// Asks for a block; false if it is asked for already.
    pub(crate) fn request(&mut self, block: Block) -> bool {
        self.outgoing.push(block)
    }

    /// Gives a request up; false if there was none. An answer on the way arrives as [`Standing::Late`].
    pub(crate) fn cancel(&mut self, block: Block) -> bool {
        let known = self.outgoing.contains(block);
        if self.outgoing.remove(block) {
            self.push(&Message::Cancel(block.into()));
        }
        known
    }

    /// Gives up the requests that are not written yet, and returns them: costs nothing.
    pub(crate) fn drop_unsent(&mut self) -> Vec<Block> {
        self.outgoing.void(Void::Unsent, |_| false)
    }

    /// Gives up all requests, with `cancel`s for those written, and returns them.
    pub(crate) fn cancel_all(&mut self) -> Vec<Block> {
        let mut gone = self.drop_unsent();
        for block in self.outgoing.void(Void::All, |_| false) {
            self.push(&Message::Cancel(block.into()));
            gone.push(block);
        }
        gone
    }

    /// Forgets all requests without a word and returns them: for a connection that is gone, or whose requests
    /// are as good as lost. Answers still count as [`Standing::Late`].
    pub(crate) fn abandon_requests(&mut self) -> Vec<Block> {
        self.outgoing.void(Void::All, |_| false)
    }

    /// Says that we want something of it; nothing if said before.
    pub(crate) fn express_interest(&mut self) {
        if !self.am_interested {
            self.am_interested = true;
            self.push(&Message::Interested);
        }
    }

    /// Says that we want nothing more of it; nothing if said before.
    pub(crate) fn withdraw_interest(&mut self) {
        if self.am_interested {
            self.am_interested = false;
            self.push(&Message::NotInterested);
        }
    }

    /// Serves it from here on.
    pub(crate) fn unchoke(&mut self) {
        if self.am_choking {
            self.am_choking = false;
            self.strikes.choked_requests = 0;
            self.push(&Message::Unchoke);
        }
    }

    /// Serves it no longer (but for allowed-fast pieces). Returns the requests that fall.
    pub(crate) fn choke(&mut self, now: Time) -> Vec<Block> {
        if self.am_choking {
            return Vec::new();
        }
        self.am_choking = true;
        self.choked_at = now;
        self.push(&Message::Choke);
        let allowed = std::mem::take(&mut self.allowed_by_us);
        let gone = self.incoming.clear(|block| allowed.contains(&block.piece));
        self.allowed_by_us = allowed;
        if self.is_fast() {
            for block in &gone {
                self.push(&Message::Reject((*block).into()));
            }
        }
        gone
    }

    /// Lets it fetch these pieces while choked (BEP 6). Nothing without the fast extension.
    pub(crate) fn allow_fast(&mut self, pieces: &[PieceIndex]) {
        let Some(geometry) = self.geometry else { return };
        if !self.is_fast() {
            return;
        }
        for piece in pieces {
            self.push(&Message::AllowedFast(piece.0));
            // Twice each block: BEP 6 expects a limit, so that it is a start and no supply.
            self.allowance_fast += 2 * geometry.blocks_of(*piece);
            self.allowed_by_us.push(*piece);
        }
    }

    /// Tells that we have a piece.
    pub(crate) fn have(&mut self, piece: PieceIndex) {
        self.push(&Message::Have(piece.0));
    }

    /// Takes back that we have a piece (BEP 54); false if the peer does not know how.
    #[cfg(feature = "bridge")]
    pub(crate) fn dont_have(&mut self, piece: PieceIndex) -> bool {
        let Some(id) = self.their_id(|ids| ids.lt_donthave) else { return false };
        self.push(&Message::Extended { id, payload: DontHave { piece: piece.0 }.encode().into() });
        true
    }

    /// Tells what lies behind us, a node; false if the peer does not listen.
    #[cfg(feature = "bridge")]
    pub(crate) fn report(&mut self, report: &BridgeReport) -> bool {
        let Some(id) = self.their_id(|ids| ids.an_bridge) else { return false };
        self.push(&Message::Extended { id, payload: report.encode().into() });
        true
    }

    /// Tells which nodes and supernodes we know, if the peer listens.
    pub(crate) fn tell_hosts(&mut self, hosts: &Hosts) {
        if let Some(id) = self.their_id(|ids| ids.an_hosts) {
            self.push(&Message::Extended { id, payload: hosts.encode().into() });
        }
    }

    /// Whether offers can be passed to it, and by it.
    pub(crate) fn introduces(&self) -> bool {
        self.introduces && self.role() == Role::Client && self.their_id(|ids| ids.an_intro).is_some()
    }

    /// Says something of an introduction; false if the peer does not listen.
    pub(crate) fn introduce(&mut self, introduction: &Introduction) -> bool {
        let Some(id) = self.their_id(|ids| ids.an_intro) else { return false };
        self.push(&Message::Extended { id, payload: introduction.encode().into() });
        true
    }

    /// Whether peers' addresses are exchanged with it.
    #[cfg(feature = "classic")]
    pub(crate) fn exchanges(&self) -> bool {
        self.exchanges && self.their_id(|ids| ids.ut_pex).is_some()
    }

    /// Tells it whom we met and lost (BEP 11).
    #[cfg(feature = "classic")]
    pub(crate) fn exchange(&mut self, news: &anatomic_wire::extended::Pex) {
        if let Some(id) = self.their_id(|ids| ids.ut_pex) {
            self.push(&Message::Extended { id, payload: news.encode().into() });
        }
    }

    /// Asks for 16 KiB of the info dictionary (BEP 9); false if the peer does not serve it.
    pub(crate) fn request_metadata(&mut self, piece: u32) -> bool {
        let Some(id) = self.their_id(|ids| ids.ut_metadata) else { return false };
        if self.metadata_asked.insert(piece) {
            self.push(&Message::Extended { id, payload: MetadataMessage::Request { piece }.encode().into() });
        }
        true
    }

    /// The next of its requests; from here on the owner owes [`supply`](Self::supply) or [`refuse`](Self::refuse).
    pub(crate) fn take_request(&mut self) -> Option<Block> {
        self.incoming.take()
    }

    /// Answers a taken request; false if it fell meanwhile or the length is wrong.
    pub(crate) fn supply(&mut self, block: Block, data: Bytes) -> bool {
        self.incoming.supply(block, data)
    }

    /// Refuses a request (with the fast extension: says so).
    pub(crate) fn refuse(&mut self, block: Block) {
        if self.incoming.remove(block).is_some() && self.is_fast() {
            self.push(&Message::Reject(block.into()));
        }
    }
}
