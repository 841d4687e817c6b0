//! A torrent's store in memory, with the faults that real ones have.
//!
//! Holds pieces as they were written; it does not verify them, as no store does.

use anatomic_core::{Block, PieceIndex, Sha1Hash};
use bytes::{Bytes, BytesMut};
use sha1::{Digest, Sha1};
use std::collections::BTreeMap;

/// What is wrong with a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum StoreFault {
    /// Nothing.
    #[default]
    None,
    /// It takes no more than so many bytes.
    Full(usize),
}

/// Pieces in memory.
#[derive(Debug, Default)]
pub struct MemoryStore {
    pieces: BTreeMap<PieceIndex, Bytes>,
    bytes: usize,
    /// What is wrong with it; may be changed at any time.
    pub fault: StoreFault,
    /// Writes that were carried out.
    pub writes: u64,
}

impl MemoryStore {
    /// Writes a piece.
    ///
    /// # Errors
    /// Why not, for people.
    pub fn write(&mut self, piece: PieceIndex, blocks: &[Bytes]) -> Result<(), String> {
        let length: usize = blocks.iter().map(Bytes::len).sum();
        if let StoreFault::Full(capacity) = self.fault
            && self.bytes + length > capacity
        {
            return Err("no space left on the device; free some and resume".to_owned());
        }
        let mut whole = BytesMut::with_capacity(length);
        blocks.iter().for_each(|block| whole.extend_from_slice(block));
        self.writes += 1;
        self.bytes += length;
        if let Some(before) = self.pieces.insert(piece, whole.freeze()) {
            self.bytes -= before.len();
        }
        Ok(())
    }

    /// Reads a block.
    ///
    /// # Errors
    /// Why not, for people.
    pub fn read(&self, block: Block) -> Result<Bytes, String> {
        let from = block.offset as usize;
        self.pieces
            .get(&block.piece)
            .filter(|piece| piece.len() >= from + block.length as usize)
            .map(|piece| piece.slice(from..from + block.length as usize))
            .ok_or_else(|| format!("piece {} is not stored", block.piece.0))
    }

    /// The digest of a piece; `None` if it is not there.
    #[must_use]
    pub fn check(&self, piece: PieceIndex) -> Option<Sha1Hash> {
        self.pieces.get(&piece).map(|data| Sha1::digest(data).into())
    }

    /// The bytes of a piece.
    #[must_use]
    pub fn piece(&self, piece: PieceIndex) -> Option<&Bytes> {
        self.pieces.get(&piece)
    }

    /// Damages or removes a piece behind the engine's back.
    pub fn damage(&mut self, piece: PieceIndex, with: Option<Bytes>) {
        match with {
            Some(data) => self.pieces.insert(piece, data),
            None => self.pieces.remove(&piece),
        };
    }
}
