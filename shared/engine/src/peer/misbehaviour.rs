//! The rules a peer can break, one variant each.
//!
//! Only what closes a connection; what is merely odd is ignored where it is read.

use anatomic_wire::message::DecodeError;
use thiserror::Error;

/// A rule of the protocol that the peer broke: the connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Misbehaviour {
    /// Its bytes are no BitTorrent, or a message has an impossible length (BEP 3, 6, 10).
    #[error(transparent)]
    Framing(#[from] DecodeError),
    /// It answered for another torrent than it was asked for (BEP 3, "handshake").
    #[error("its handshake names another torrent (BEP 3)")]
    WrongInfoHash,
    /// Wrong length or spare bits set (BEP 3, "bitfield").
    #[error("its bitfield does not fit the torrent (BEP 3)")]
    BadBitfield,
    /// A bitfield is sent once (BEP 3, "bitfield"; BEP 6); a few are forgiven.
    #[error("it sent bitfields over and over (BEP 3)")]
    BitfieldRepeated,
    /// There is no such piece (BEP 3, "have"; BEP 54).
    #[error("it named a piece that the torrent does not have (BEP 3)")]
    NoSuchPiece,
    /// A fast-extension message though not both sides speak it (BEP 6).
    #[error("it used the fast extension without agreement (BEP 6)")]
    FastWithoutAgreement,
    /// Longer than 128 KiB: no client serves that (BEP 3, "request").
    #[error("it requested a block that is too long (BEP 3)")]
    RequestTooLong,
    /// Ranges outside the torrent, again and again (BEP 3, "request").
    #[error("it requested what the torrent does not have, again and again (BEP 3)")]
    RequestOutOfRange,
    /// Requests long after it was choked (BEP 3, "choke").
    #[error("it kept requesting while choked (BEP 3)")]
    RequestsWhileChoked,
    /// A block that lies outside the torrent (BEP 3, "piece").
    #[error("it sent a block that the torrent does not have (BEP 3)")]
    BlockOutOfRange,
    /// Blocks that nobody asked for, again and again (BEP 3, "piece").
    #[error("it sent blocks that were not requested (BEP 3)")]
    BlocksUnrequested,
    /// Refusals of what was not requested, again and again (BEP 6, "reject request").
    #[error("it rejected what was not requested (BEP 6)")]
    RejectsUnrequested,
    /// Its extended messages cannot be read (BEP 9, 10, 54).
    #[error("its extended messages are malformed (BEP 10)")]
    MalformedExtension,
    /// Metadata that nobody asked for, again and again (BEP 9).
    #[error("it sent metadata that was not requested (BEP 9)")]
    MetadataUnrequested,
    /// Offers, or answers to nothing, faster than we take them, again and again (PROTOCOL.md, `an_intro`).
    #[error("it sent offers for other peers over and over")]
    IntroductionsRepeated,
    /// Addresses far more often than once a minute (BEP 11).
    #[cfg(feature = "classic")]
    #[error("it sent addresses of peers over and over (BEP 11)")]
    ExchangeRepeated,
}
