//! What peers say to each other after the handshake: [BEP 3], the fast extension ([BEP 6]), the envelope of the
//! extension protocol ([BEP 10]).
//!
//! Numbers here are as the stranger sent them: a piece or block is checked by `Geometry`, and whether a message is
//! allowed now is the engine's business. What is inside an extended message: [`crate::extended`].
//!
//! [BEP 3]: https://www.bittorrent.org/beps/bep_0003.html#peer-messages
//! [BEP 6]: https://www.bittorrent.org/beps/bep_0006.html
//! [BEP 10]: https://www.bittorrent.org/beps/bep_0010.html

mod decoder;
#[cfg(test)]
mod tests;

pub use decoder::{DecodeError, Decoder, Limits};

use anatomic_core::Block;
use bytes::Bytes;

/// A byte range inside a piece, as a message names it: unchecked. `Geometry::checked` makes it a [`Block`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct BlockRange {
    /// Number of the piece.
    pub piece: u32,
    /// First byte, counted from the start of the piece.
    pub offset: u32,
    /// Bytes.
    pub length: u32,
}

impl From<Block> for BlockRange {
    fn from(block: Block) -> Self {
        Self { piece: block.piece.0, offset: block.offset, length: block.length }
    }
}

/// One message between peers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Message {
    /// Nothing to say, still here: four zero bytes.
    KeepAlive,
    /// 0: requests will not be answered.
    Choke,
    /// 1: requests will be answered.
    Unchoke,
    /// 2: the sender wants something we have.
    Interested,
    /// 3: the sender wants nothing we have.
    NotInterested,
    /// 4: the sender now has this piece.
    Have(u32),
    /// 5: all pieces the sender has.
    Bitfield(Bytes),
    /// 6: please send this block.
    Request(BlockRange),
    /// 7: a block.
    Piece {
        /// Number of the piece.
        piece: u32,
        /// First byte, counted from the start of the piece.
        offset: u32,
        /// The block.
        data: Bytes,
    },
    /// 8: the request is withdrawn.
    Cancel(BlockRange),
    /// 9: the UDP port of the sender's DHT node (BEP 5).
    Port(u16),
    /// 13: the sender would like us to fetch this piece (BEP 6).
    Suggest(u32),
    /// 14: instead of a full bitfield (BEP 6).
    HaveAll,
    /// 15: instead of an empty bitfield (BEP 6).
    HaveNone,
    /// 16: the request will not be answered (BEP 6).
    Reject(BlockRange),
    /// 17: this piece may be requested while choked (BEP 6).
    AllowedFast(u32),
    /// 20: a message of the extension protocol (BEP 10); id 0 is its handshake.
    Extended {
        /// The number that we gave to the extension in our handshake.
        id: u8,
        /// The message without its id.
        payload: Bytes,
    },
    /// Any other id: the payload was skipped.
    Unknown {
        /// The message's id.
        id: u8,
        /// Bytes of the message, id included.
        length: u32,
    },
}

impl Message {
    /// How many bytes [`Message::encode`] appends.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        match self {
            Self::KeepAlive | Self::Unknown { .. } => 4,
            Self::Choke
            | Self::Unchoke
            | Self::Interested
            | Self::NotInterested
            | Self::HaveAll
            | Self::HaveNone => 5,
            Self::Port(_) => 7,
            Self::Have(_) | Self::Suggest(_) | Self::AllowedFast(_) => 9,
            Self::Request(_) | Self::Cancel(_) | Self::Reject(_) => 17,
            Self::Bitfield(bits) => 5 + bits.len(),
            Self::Piece { data, .. } => 13 + data.len(),
            Self::Extended { payload, .. } => 6 + payload.len(),
        }
    }

    /// Appends the message with its length prefix. [`Message::Unknown`], which has no payload left, becomes a keep-alive.
    pub fn encode(&self, into: &mut Vec<u8>) {
        let length = u32::try_from(self.encoded_len() - 4).unwrap_or(u32::MAX);
        into.reserve(self.encoded_len());
        into.extend_from_slice(&length.to_be_bytes());
        match self {
            Self::KeepAlive | Self::Unknown { .. } => {}
            Self::Choke => into.push(0),
            Self::Unchoke => into.push(1),
            Self::Interested => into.push(2),
            Self::NotInterested => into.push(3),
            Self::Have(piece) => put_piece(into, 4, *piece),
            Self::Bitfield(bits) => {
                into.push(5);
                into.extend_from_slice(bits);
            }
            Self::Request(range) => put_range(into, 6, range),
            Self::Piece { piece, offset, data } => {
                put_piece(into, 7, *piece);
                into.extend_from_slice(&offset.to_be_bytes());
                into.extend_from_slice(data);
            }
            Self::Cancel(range) => put_range(into, 8, range),
            Self::Port(port) => {
                into.push(9);
                into.extend_from_slice(&port.to_be_bytes());
            }
            Self::Suggest(piece) => put_piece(into, 13, *piece),
            Self::HaveAll => into.push(14),
            Self::HaveNone => into.push(15),
            Self::Reject(range) => put_range(into, 16, range),
            Self::AllowedFast(piece) => put_piece(into, 17, *piece),
            Self::Extended { id, payload } => {
                into.extend_from_slice(&[20, *id]);
                into.extend_from_slice(payload);
            }
        }
    }
}

fn put_piece(into: &mut Vec<u8>, id: u8, piece: u32) {
    into.push(id);
    into.extend_from_slice(&piece.to_be_bytes());
}

fn put_range(into: &mut Vec<u8>, id: u8, range: &BlockRange) {
    put_piece(into, id, range.piece);
    into.extend_from_slice(&range.offset.to_be_bytes());
    into.extend_from_slice(&range.length.to_be_bytes());
}
