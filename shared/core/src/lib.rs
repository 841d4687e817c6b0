//! The values and file formats of BitTorrent and Anatomic: ids, piece arithmetic, bencode, metainfo, magnets, paths.
//!
//! Knows no message, no socket, no clock, no disk; every other crate stands on this one.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod address;
pub mod bencode;
pub mod bitfield;
pub mod collections;
pub mod create;
pub mod geometry;
pub mod human;
pub mod ids;
pub mod magnet;
pub mod metainfo;
pub mod paths;
pub mod time;
pub mod url;

pub use bitfield::Bitfield;
pub use geometry::{BLOCK_LEN, Block, BlockIndex, FileIndex, Geometry, PieceIndex};
pub use ids::{InfoHash, PeerId, Sha1Hash, Sha256Hash};
pub use magnet::{Link, Magnet};
pub use metainfo::Metainfo;
pub use time::Time;
