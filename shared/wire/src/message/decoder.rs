//! Cuts a stream of bytes into messages, whatever the pieces in which it arrives.
//!
//! A block that lies in one received buffer is handed on without a copy, one that straddles buffers is copied once.
//! Holds at most one unfinished message, never more than the limits allow, and grows only with bytes really received.

use super::{BlockRange, Message};
use crate::handshake::{HANDSHAKE_LEN, Handshake, NotBitTorrent, PROTOCOL};
use bytes::{Buf, Bytes, BytesMut};
use std::collections::VecDeque;
use thiserror::Error;

/// Bytes of a length prefix, an id and the two numbers before a block.
const PIECE_HEAD: usize = 13;

/// The longest payloads that are accepted, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// A block in a `piece` message. 128 KiB is the most that clients ask for.
    pub block: u32,
    /// A bitfield: set it to that of the torrent once the metainfo is known.
    pub bitfield: u32,
    /// An extended message. uTorrent's handshakes and 16 KiB of metadata are far below.
    pub extended: u32,
    /// A message with an unknown id, which is skipped without being kept.
    pub unknown: u32,
}

impl Default for Limits {
    fn default() -> Self {
        // 2,097,152 pieces is the most that a torrent may have (as in libtorrent).
        Self { block: 128 * 1024, bitfield: 2_097_152 / 8, extended: 1024 * 1024, unknown: 1024 * 1024 }
    }
}

/// The peer broke the rules of framing; nothing after it can be understood, so the connection must be closed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum DecodeError {
    /// The first bytes are no handshake.
    #[error(transparent)]
    NotBitTorrent(#[from] NotBitTorrent),
    /// Longer than our limit for its kind.
    #[error("message {id} of {length} bytes is longer than the limit of {limit}")]
    TooLong {
        /// The message's id.
        id: u8,
        /// The length it announces, id included.
        length: u32,
        /// The length we accept, id included.
        limit: u32,
    },
    /// Not of the length that its kind has (BEP 3, 6, 10).
    #[error("message {id} cannot be {length} bytes long (BEP 3, 6, 10)")]
    WrongLength {
        /// The message's id.
        id: u8,
        /// The length it announces, id included.
        length: u32,
    },
}

/// The payload that is awaited after a message's head.
#[derive(Clone, Copy)]
enum Kind {
    Bitfield,
    Piece { piece: u32, offset: u32 },
    Extended { id: u8 },
}

/// An unfinished message.
enum Partial {
    /// The length prefix, id and fixed fields are being collected in `head`.
    Head,
    /// `left` bytes of payload are to come.
    Payload { kind: Kind, left: usize, buffer: BytesMut },
    /// `left` bytes of a message that interests nobody are to come.
    Skip { id: u8, length: u32, left: usize },
}

/// Turns received bytes into a [`Handshake`] and then [`Message`]s.
///
/// Call [`push`](Self::push) with what arrives, then [`poll_handshake`](Self::poll_handshake) once until it answers, then
/// [`poll_message`](Self::poll_message) until `None`. After an error the decoder must be dropped with its connection.
pub struct Decoder {
    limits: Limits,
    chunks: VecDeque<Bytes>,
    buffered: usize,
    head: [u8; HANDSHAKE_LEN],
    head_len: usize,
    partial: Partial,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

impl Decoder {
    /// A decoder at the start of a connection.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            chunks: VecDeque::new(),
            buffered: 0,
            head: [0; HANDSHAKE_LEN],
            head_len: 0,
            partial: Partial::Head,
        }
    }

    /// Changes the longest bitfield that is accepted, in bytes: to that of the torrent once it is known.
    pub fn set_bitfield_limit(&mut self, bytes: u32) {
        self.limits.bitfield = bytes;
    }

    /// Takes received bytes; they are kept until polled.
    pub fn push(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.buffered += bytes.len();
            self.chunks.push_back(bytes);
        }
    }

    /// Bytes received but not yet polled, without the unfinished message at the end.
    #[must_use]
    pub const fn buffered(&self) -> usize {
        self.buffered
    }

    /// The handshake, once its 68 bytes are there. To be called only at the start of a connection.
    ///
    /// # Errors
    /// [`DecodeError::NotBitTorrent`] as soon as one byte is not that of the protocol's name.
    pub fn poll_handshake(&mut self) -> Result<Option<Handshake>, DecodeError> {
        let complete = self.fill_head(HANDSHAKE_LEN);
        let seen = self.head.iter().take(self.head_len);
        if seen.zip(PROTOCOL).any(|(byte, expected)| byte != expected) {
            return Err(NotBitTorrent.into());
        }
        if !complete {
            return Ok(None);
        }
        self.head_len = 0;
        Ok(Some(Handshake::decode(&self.head)?))
    }

    /// The next whole message.
    ///
    /// # Errors
    /// [`DecodeError`] if a message is longer than its limit or of a length that its kind cannot have.
    pub fn poll_message(&mut self) -> Result<Option<Message>, DecodeError> {
        loop {
            match &mut self.partial {
                Partial::Head => {
                    if let Some(message) = match self.read_head()? {
                        Step::Message(message) => Some(message),
                        Step::Starve => return Ok(None),
                        Step::Payload => None,
                    } {
                        return Ok(Some(message));
                    }
                }
                Partial::Payload { .. } => return Ok(self.read_payload()),
                Partial::Skip { id, length, left } => {
                    let (id, length) = (*id, *length);
                    while *left > 0 {
                        let Some(chunk) = self.chunks.front_mut() else { return Ok(None) };
                        let skipped = chunk.len().min(*left);
                        chunk.advance(skipped);
                        *left -= skipped;
                        self.buffered -= skipped;
                        if chunk.is_empty() {
                            self.chunks.pop_front();
                        }
                    }
                    self.partial = Partial::Head;
                    return Ok(Some(Message::Unknown { id, length }));
                }
            }
        }
    }

    fn read_head(&mut self) -> Result<Step, DecodeError> {
        if !self.fill_head(4) {
            return Ok(Step::Starve);
        }
        let length = self.head_u32(0);
        if length == 0 {
            self.head_len = 0;
            return Ok(Step::Message(Message::KeepAlive));
        }
        if !self.fill_head(5) {
            return Ok(Step::Starve);
        }
        let [_, _, _, _, id, ..] = self.head;
        let limits = self.limits;
        let exactly = |expected: u32| {
            if length == expected { Ok(()) } else { Err(DecodeError::WrongLength { id, length }) }
        };
        let between = |least: u32, most: u32| {
            let limit = most.saturating_add(least);
            match length {
                _ if length > limit => Err(DecodeError::TooLong { id, length, limit }),
                _ if length < least => Err(DecodeError::WrongLength { id, length }),
                _ => Ok(()),
            }
        };
        let fixed = match id {
            0..=3 | 14 | 15 => 1,
            4 | 13 | 17 => 5,
            6 | 8 | 16 => 13,
            9 => 3,
            5 => {
                between(1, limits.bitfield)?;
                return Ok(self.expect_payload(Kind::Bitfield, length - 1));
            }
            7 => {
                between(9, limits.block)?;
                if !self.fill_head(PIECE_HEAD) {
                    return Ok(Step::Starve);
                }
                let kind = Kind::Piece { piece: self.head_u32(5), offset: self.head_u32(9) };
                return Ok(self.expect_payload(kind, length - 9));
            }
            20 => {
                between(2, limits.extended)?;
                if !self.fill_head(6) {
                    return Ok(Step::Starve);
                }
                let [_, _, _, _, _, id, ..] = self.head;
                return Ok(self.expect_payload(Kind::Extended { id }, length - 2));
            }
            _ => {
                between(1, limits.unknown)?;
                self.head_len = 0;
                self.partial = Partial::Skip { id, length, left: length as usize - 1 };
                return Ok(Step::Payload);
            }
        };
        exactly(fixed)?;
        if !self.fill_head(4 + fixed as usize) {
            return Ok(Step::Starve);
        }
        self.head_len = 0;
        let number = self.head_u32(5);
        let range = BlockRange { piece: number, offset: self.head_u32(9), length: self.head_u32(13) };
        Ok(Step::Message(match id {
            0 => Message::Choke,
            1 => Message::Unchoke,
            2 => Message::Interested,
            3 => Message::NotInterested,
            4 => Message::Have(number),
            6 => Message::Request(range),
            8 => Message::Cancel(range),
            9 => Message::Port(u16::try_from(number >> 16).unwrap_or(0)),
            13 => Message::Suggest(number),
            14 => Message::HaveAll,
            15 => Message::HaveNone,
            16 => Message::Reject(range),
            _ => Message::AllowedFast(number),
        }))
    }

    fn expect_payload(&mut self, kind: Kind, length: u32) -> Step {
        self.head_len = 0;
        self.partial = Partial::Payload { kind, left: length as usize, buffer: BytesMut::new() };
        Step::Payload
    }

    /// The awaited payload as one buffer: a part of what was received, or put together.
    fn read_payload(&mut self) -> Option<Message> {
        let Partial::Payload { kind, left, buffer } = &mut self.partial else { return None };
        let kind = *kind;
        let payload = if *left == 0 && buffer.is_empty() {
            Bytes::new()
        } else {
            let chunk = self.chunks.front_mut()?;
            if buffer.is_empty() && chunk.len() >= *left {
                self.buffered -= *left;
                let payload = chunk.split_to(*left);
                if chunk.is_empty() {
                    self.chunks.pop_front();
                }
                payload
            } else {
                if buffer.is_empty() {
                    // A block's room is taken at once, so that it is copied once; anything else grows as it comes.
                    buffer.reserve(if matches!(kind, Kind::Piece { .. }) {
                        *left
                    } else {
                        (*left).min(16 * 1024)
                    });
                }
                while *left > 0 {
                    let chunk = self.chunks.front_mut()?;
                    let part = chunk.split_to(chunk.len().min(*left));
                    buffer.extend_from_slice(&part);
                    *left -= part.len();
                    self.buffered -= part.len();
                    if chunk.is_empty() {
                        self.chunks.pop_front();
                    }
                }
                std::mem::take(buffer).freeze()
            }
        };
        self.partial = Partial::Head;
        Some(match kind {
            Kind::Bitfield => Message::Bitfield(payload),
            Kind::Piece { piece, offset } => Message::Piece { piece, offset, data: payload },
            Kind::Extended { id } => Message::Extended { id, payload },
        })
    }

    /// Collects the first `wanted` bytes of a message; false if they are not all there yet.
    fn fill_head(&mut self, wanted: usize) -> bool {
        while self.head_len < wanted {
            let Some(chunk) = self.chunks.front_mut() else { return false };
            let Some(room) = self.head.get_mut(self.head_len..wanted) else { return false };
            let count = room.len().min(chunk.len());
            for (to, from) in room.iter_mut().zip(chunk.iter()) {
                *to = *from;
            }
            chunk.advance(count);
            self.head_len += count;
            self.buffered -= count;
            if chunk.is_empty() {
                self.chunks.pop_front();
            }
        }
        true
    }

    fn head_u32(&self, at: usize) -> u32 {
        self.head.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |bytes| u32::from_be_bytes(*bytes))
    }
}

enum Step {
    Message(Message),
    Payload,
    Starve,
}
