//! What their messages mean, and the rules they must keep.
//!
//! Each check stands beside the clause it enforces. Nothing is decided here that is policy.

#[cfg(feature = "classic")]
use super::UT_PEX;
use super::event::{PeerEvent, Standing};
use super::incoming::{Admission, Stage};
use super::outgoing::Void;
use super::phase::Phase;
use super::{AN_BRIDGE, AN_HOSTS, AN_INTRO, LT_DONTHAVE, Misbehaviour, Peer, UT_METADATA};
use crate::output::CloseReason;
use anatomic_core::{PieceIndex, Time};
use anatomic_wire::extended::{
    BridgeReport, DontHave, ExtendedHandshake, Hosts, Introduction, METADATA_PIECE_LEN, MetadataMessage,
};
use anatomic_wire::message::{BlockRange, Message};
use bytes::Bytes;
use std::time::Duration;

/// Bitfields taken from one peer: BEP 3 has one, but clients that get a magnet's metadata send a second.
const MAX_BITFIELDS: u32 = 8;
/// Requests outside the torrent that are only refused.
const MAX_BAD_REQUESTS: u32 = 50;
/// Requests while choked that are only refused, after the choke must have arrived.
const MAX_CHOKED_REQUESTS: u32 = 50;
/// How long requests that crossed our choke may still arrive.
const CHOKE_GRACE: Duration = Duration::from_secs(10);
/// Rejects of unknown requests that are ignored.
const MAX_UNREQUESTED_REJECTS: u32 = 500;
/// Unreadable extended messages that are skipped.
const MAX_MALFORMED: u32 = 16;
/// Allowed-fast pieces remembered of a peer.
const MAX_ALLOWED_FAST: usize = 100;
/// Metadata requests of a peer waiting for an answer: enough for 16 MiB asked for at once.
const MAX_METADATA_REQUESTS: usize = 1_024;

impl Peer {
    /// Takes bytes that arrived, split in any way; what they mean is polled.
    pub(crate) fn receive(&mut self, now: Time, bytes: Bytes) {
        if !bytes.is_empty() {
            self.last_received = now;
            self.decoder.push(bytes);
        }
    }

    /// The next event; `None` when more bytes are needed, or [`open`](Self::open) is.
    ///
    /// # Errors
    /// Why the connection must be closed. Nothing is read after an error.
    pub(crate) fn poll_event(&mut self, now: Time) -> Result<Option<PeerEvent>, CloseReason> {
        let event = self.next_event(now);
        if event.is_err() {
            self.phase.close();
        }
        event
    }

    fn next_event(&mut self, now: Time) -> Result<Option<PeerEvent>, CloseReason> {
        if let Phase::AwaitHandshake(_) = self.phase {
            let Some(handshake) = self.decoder.poll_handshake().map_err(Misbehaviour::from)? else {
                return Ok(None);
            };
            self.phase.handshaked(handshake)?;
            return Ok(Some(PeerEvent::Handshaked(handshake)));
        }
        if !self.phase.is_open() {
            return Ok(None);
        }
        while let Some(message) = self.decoder.poll_message().map_err(Misbehaviour::from)? {
            let event = self.understand(now, message)?;
            if self.control.len() - self.control_at > self.config.max_control {
                return Err(CloseReason::DoesNotRead);
            }
            if event.is_some() {
                return Ok(event);
            }
        }
        Ok(None)
    }

    fn understand(&mut self, now: Time, message: Message) -> Result<Option<PeerEvent>, Misbehaviour> {
        Ok(match message {
            Message::KeepAlive | Message::Port(_) | Message::Unknown { .. } => None,
            Message::Choke => self.on_choke(),
            Message::Unchoke => std::mem::take(&mut self.peer_choking).then_some(PeerEvent::Unchoked),
            Message::Interested => {
                (!std::mem::replace(&mut self.peer_interested, true)).then_some(PeerEvent::Interested)
            }
            Message::NotInterested => {
                std::mem::take(&mut self.peer_interested).then_some(PeerEvent::NotInterested)
            }
            Message::Have(piece) => self.pieces.insert(piece)?.map(PeerEvent::Have),
            Message::Bitfield(bits) => return self.on_pieces(|pieces| pieces.set(&bits)),
            Message::HaveAll => {
                self.agreed_fast()?;
                return self.on_pieces(|pieces| {
                    pieces.set_all();
                    Ok(())
                });
            }
            Message::HaveNone => {
                self.agreed_fast()?;
                return self.on_pieces(|pieces| {
                    pieces.set_none();
                    Ok(())
                });
            }
            Message::Request(range) => return self.on_request(now, range),
            Message::Piece { piece, offset, data } => return self.on_block(now, piece, offset, data),
            Message::Cancel(range) => self.on_cancel(range),
            Message::Suggest(piece) => {
                self.agreed_fast()?;
                self.known_piece(piece)?.map(PeerEvent::Suggested)
            }
            Message::AllowedFast(piece) => {
                self.agreed_fast()?;
                let known = self.known_piece(piece)?;
                if self.allowed_by_them.len() < MAX_ALLOWED_FAST {
                    self.allowed_by_them.insert(PieceIndex(piece));
                }
                known.map(PeerEvent::AllowedFast)
            }
            Message::Reject(range) => {
                self.agreed_fast()?;
                return self.on_reject(range);
            }
            Message::Extended { id, payload } => return self.on_extended(id, &payload),
        })
    }

    /// BEP 6: these messages may be used only if both sides set the bit; else the connection is closed.
    fn agreed_fast(&self) -> Result<(), Misbehaviour> {
        if self.is_fast() { Ok(()) } else { Err(Misbehaviour::FastWithoutAgreement) }
    }

    fn known_piece(&self, piece: u32) -> Result<Option<PieceIndex>, Misbehaviour> {
        let Some(geometry) = &self.geometry else { return Ok(None) };
        geometry.piece(piece).map(Some).ok_or(Misbehaviour::NoSuchPiece)
    }

    fn on_choke(&mut self) -> Option<PeerEvent> {
        if std::mem::replace(&mut self.peer_choking, true) {
            return None;
        }
        let allowed = &self.allowed_by_them;
        // BEP 6: a choke no longer implies that requests are discarded, each is rejected.
        let fast = self.phase.handshake().is_some_and(|handshake| handshake.reserved.fast());
        let void = if fast {
            self.outgoing.void(Void::Unsent, |block| allowed.contains(&block.piece))
        } else {
            self.outgoing.void(Void::All, |_| false)
        };
        Some(PeerEvent::Choked { void })
    }

    fn on_pieces(
        &mut self,
        change: impl FnOnce(&mut super::Pieces) -> Result<(), Misbehaviour>,
    ) -> Result<Option<PeerEvent>, Misbehaviour> {
        self.strikes.bitfields += 1;
        if self.strikes.bitfields > MAX_BITFIELDS {
            return Err(Misbehaviour::BitfieldRepeated);
        }
        let before = self.pieces.known().cloned();
        change(&mut self.pieces)?;
        Ok(before.map(|before| PeerEvent::Bitfield { before }))
    }

    fn on_request(&mut self, now: Time, range: BlockRange) -> Result<Option<PeerEvent>, Misbehaviour> {
        // Clients ask for 16 KiB; libtorrent and WebTorrent close above 128 KiB, and so do we.
        if range.length > self.config.max_block {
            return Err(Misbehaviour::RequestTooLong);
        }
        let Some(block) =
            self.geometry.and_then(|geometry| geometry.checked(range.piece, range.offset, range.length))
        else {
            self.strikes.bad_requests += 1;
            if self.strikes.bad_requests > MAX_BAD_REQUESTS {
                return Err(Misbehaviour::RequestOutOfRange);
            }
            self.reject(range);
            return Ok(None);
        };
        if self.am_choking {
            let allowed = self.allowed_by_us.contains(&block.piece) && self.allowance_fast > 0;
            if !allowed {
                // BEP 3: choking means that requests are not answered; BEP 6: they are rejected. Those that
                // crossed the choke on the way are nobody's fault.
                if now > self.choked_at + CHOKE_GRACE {
                    self.strikes.choked_requests += 1;
                    if self.strikes.choked_requests > MAX_CHOKED_REQUESTS {
                        return Err(Misbehaviour::RequestsWhileChoked);
                    }
                }
                self.reject(range);
                return Ok(None);
            }
            self.allowance_fast -= 1;
        }
        Ok(match self.incoming.push(block, self.config.max_incoming_requests) {
            Admission::Queued => Some(PeerEvent::Requested),
            Admission::Duplicate => None,
            Admission::Full => {
                self.reject(range);
                None
            }
        })
    }

    fn on_cancel(&mut self, range: BlockRange) -> Option<PeerEvent> {
        let block = self.geometry?.checked(range.piece, range.offset, range.length)?;
        let stage = self.incoming.remove(block)?;
        // BEP 6: a cancelled request is answered by the block or by a reject.
        self.reject(range);
        (stage == Stage::Taken).then_some(PeerEvent::Cancelled(block))
    }

    fn on_block(
        &mut self,
        now: Time,
        piece: u32,
        offset: u32,
        data: Bytes,
    ) -> Result<Option<PeerEvent>, Misbehaviour> {
        let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
        self.downloaded += u64::from(length);
        self.down.add(now, u64::from(length));
        let Some(geometry) = self.geometry else {
            self.unrequested()?;
            return Ok(None);
        };
        if length == 0 {
            self.unrequested()?;
            return Ok(None);
        }
        let block = geometry.checked(piece, offset, length).ok_or(Misbehaviour::BlockOutOfRange)?;
        let standing = self.outgoing.arrived(now, block);
        if standing == Standing::Unrequested {
            self.unrequested()?;
        }
        Ok(Some(PeerEvent::Block { block, data, standing }))
    }

    fn unrequested(&mut self) -> Result<(), Misbehaviour> {
        self.strikes.unrequested += 1;
        if self.strikes.unrequested > self.config.max_unrequested {
            return Err(Misbehaviour::BlocksUnrequested);
        }
        Ok(())
    }

    fn on_reject(&mut self, range: BlockRange) -> Result<Option<PeerEvent>, Misbehaviour> {
        let block =
            self.geometry.and_then(|geometry| geometry.checked(range.piece, range.offset, range.length));
        match block.map(|block| (block, self.outgoing.rejected(block))) {
            Some((block, Standing::Requested)) => Ok(Some(PeerEvent::Rejected(block))),
            Some((_, Standing::Late)) => Ok(None),
            Some((_, Standing::Unrequested)) | None => {
                self.strikes.rejects += 1;
                if self.strikes.rejects > MAX_UNREQUESTED_REJECTS {
                    return Err(Misbehaviour::RejectsUnrequested);
                }
                Ok(None)
            }
        }
    }

    fn reject(&mut self, range: BlockRange) {
        if self.is_fast() {
            self.push(&Message::Reject(range));
        }
    }

    fn on_extended(&mut self, id: u8, payload: &Bytes) -> Result<Option<PeerEvent>, Misbehaviour> {
        if !self.phase.speaks_extensions() {
            return Ok(None);
        }
        let event = match id {
            0 => ExtendedHandshake::decode(payload).map(|extensions| {
                self.phase.extended(extensions);
                Some(PeerEvent::Extended)
            }),
            UT_METADATA => match MetadataMessage::decode(payload) {
                Ok(message) => return self.on_metadata(message),
                Err(malformed) => Err(malformed),
            },
            LT_DONTHAVE => match DontHave::decode(payload) {
                Ok(gone) => return Ok(self.pieces.remove(gone.piece)?.map(PeerEvent::DontHave)),
                Err(malformed) => Err(malformed),
            },
            AN_BRIDGE => BridgeReport::decode(payload).map(|report| Some(PeerEvent::Bridge(report))),
            AN_HOSTS => Hosts::decode(payload).map(|hosts| Some(PeerEvent::Hosts(hosts))),
            #[cfg(feature = "classic")]
            UT_PEX if self.exchanges => {
                anatomic_wire::extended::Pex::decode(payload).map(|news| Some(PeerEvent::Exchange(news)))
            }
            AN_INTRO if self.introduces => {
                Introduction::decode(payload).map(|introduction| Some(PeerEvent::Introduction(introduction)))
            }
            // BEP 10: an id that we did not name is ignored.
            _ => Ok(None),
        };
        event.or_else(|_| {
            self.strikes.extension += 1;
            if self.strikes.extension > MAX_MALFORMED {
                return Err(Misbehaviour::MalformedExtension);
            }
            Ok(None)
        })
    }

    fn on_metadata(&mut self, message: MetadataMessage) -> Result<Option<PeerEvent>, Misbehaviour> {
        match message {
            MetadataMessage::Request { piece } => {
                let known = self
                    .metadata
                    .as_ref()
                    .is_some_and(|info| u64::from(piece) * u64::from(METADATA_PIECE_LEN) < info.len() as u64);
                if known && self.metadata_wanted.len() < MAX_METADATA_REQUESTS {
                    self.metadata_wanted.push_back(piece);
                } else if let Some(id) = self.their_id(|ids| ids.ut_metadata) {
                    let payload = MetadataMessage::Reject { piece }.encode().into();
                    self.push(&Message::Extended { id, payload });
                }
                Ok(None)
            }
            MetadataMessage::Data { piece, data, .. } => {
                if self.metadata_asked.remove(&piece) {
                    return Ok(Some(PeerEvent::Metadata { piece, data }));
                }
                self.strikes.metadata += 1;
                if self.strikes.metadata > MAX_MALFORMED {
                    return Err(Misbehaviour::MetadataUnrequested);
                }
                Ok(None)
            }
            MetadataMessage::Reject { piece } => {
                Ok(self.metadata_asked.remove(&piece).then_some(PeerEvent::MetadataRejected(piece)))
            }
            MetadataMessage::Unknown => Ok(None),
        }
    }
}
