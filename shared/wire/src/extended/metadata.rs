//! Exchange of the info dictionary in pieces of 16 KiB: `ut_metadata` ([BEP 9]).
//!
//! Putting the pieces together and checking their hash is the engine's business.
//!
//! [BEP 9]: https://www.bittorrent.org/beps/bep_0009.html

use super::Malformed;
use crate::bencode::{Dict, dict, integer};
use bytes::Bytes;

/// Bytes of every piece of metadata but the last.
pub const METADATA_PIECE_LEN: u32 = 16 * 1024;

/// A message of `ut_metadata`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MetadataMessage {
    /// Please send this piece.
    Request {
        /// Number of the piece.
        piece: u32,
    },
    /// A piece.
    Data {
        /// Number of the piece.
        piece: u32,
        /// Bytes of the whole info dictionary, as the sender says; to be bounded before anything is allocated.
        total_size: Option<u32>,
        /// The piece, at most 16 KiB.
        data: Bytes,
    },
    /// The piece will not be sent.
    Reject {
        /// Number of the piece.
        piece: u32,
    },
    /// Another `msg_type`: to be ignored (BEP 9).
    Unknown,
}

/// The dictionary of a message. Its last entry is an integer: WebTorrent takes the first "ee" for its end.
fn head(kind: u8, piece: u32, total_size: Option<u32>) -> Vec<u8> {
    dict([
        ("msg_type", integer(Some(kind))),
        ("piece", integer(Some(piece))),
        ("total_size", integer(total_size)),
    ])
    .to_bytes()
}

impl MetadataMessage {
    /// Reads the payload of a `ut_metadata` message.
    ///
    /// # Errors
    /// [`Malformed`] if it is no bencoded dictionary with `msg_type` and `piece`, or brings more than 16 KiB.
    pub fn decode(payload: &Bytes) -> Result<Self, Malformed> {
        const MALFORMED: Malformed = Malformed { message: "ut_metadata", source_document: "BEP 9" };
        let (dict, length) = Dict::parse_prefix(payload).ok_or(MALFORMED)?;
        let kind: i64 = dict.integer("msg_type").ok_or(MALFORMED)?;
        let piece = || dict.integer("piece").ok_or(MALFORMED);
        Ok(match kind {
            0 => Self::Request { piece: piece()? },
            1 => {
                if payload.len() - length > METADATA_PIECE_LEN as usize {
                    return Err(MALFORMED);
                }
                Self::Data {
                    piece: piece()?,
                    total_size: dict.integer("total_size"),
                    data: payload.slice(length..),
                }
            }
            2 => Self::Reject { piece: piece()? },
            _ => Self::Unknown,
        })
    }

    /// The payload of a `ut_metadata` message; empty for [`Self::Unknown`].
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Request { piece } => head(0, *piece, None),
            Self::Data { piece, total_size, data } => {
                let mut bytes = head(1, *piece, *total_size);
                bytes.extend_from_slice(data);
                bytes
            }
            Self::Reject { piece } => head(2, *piece, None),
            Self::Unknown => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vectors_of_bep_9_are_written_and_read() {
        let data = MetadataMessage::Data {
            piece: 0,
            total_size: Some(34_256),
            data: Bytes::from_static(b"xxxxxxxx"),
        };
        for (message, bytes) in [
            (MetadataMessage::Request { piece: 0 }, &b"d8:msg_typei0e5:piecei0ee"[..]),
            (data, b"d8:msg_typei1e5:piecei0e10:total_sizei34256eexxxxxxxx"),
            (MetadataMessage::Reject { piece: 0 }, b"d8:msg_typei2e5:piecei0ee"),
        ] {
            assert_eq!(message.encode(), bytes);
            assert_eq!(MetadataMessage::decode(&Bytes::from_static(bytes)), Ok(message));
        }
    }

    #[test]
    fn data_longer_than_a_piece_is_refused() {
        let data = Bytes::from(vec![0; METADATA_PIECE_LEN as usize + 1]);
        let bytes = MetadataMessage::Data { piece: 0, total_size: Some(1), data }.encode();
        assert!(MetadataMessage::decode(&bytes.into()).is_err());
    }

    #[test]
    fn unknown_types_are_no_error_and_negative_pieces_are() {
        assert_eq!(
            MetadataMessage::decode(&Bytes::from_static(b"d8:msg_typei3ee")),
            Ok(MetadataMessage::Unknown)
        );
        assert!(MetadataMessage::decode(&Bytes::from_static(b"d8:msg_typei0e5:piecei-1ee")).is_err());
    }
}
