//! Piece, block and byte arithmetic of one torrent.
//!
//! The one place where indexes are checked: a [`Block`] that [`Geometry`] made lies inside its piece.
//! Which file a byte belongs to is the metainfo's business.

/// Bytes of a request unit: 16 KiB, the length every client accepts.
pub const BLOCK_LEN: u32 = 16 * 1024;

/// A piece of a torrent, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PieceIndex(pub u32);

/// A block inside its piece, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockIndex(pub u32);

/// A file of a torrent, counted from 0 in the order of the metainfo, pad files included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileIndex(pub u32);

/// A byte range inside a piece, as a `request`, `piece` or `cancel` message names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Block {
    /// The piece.
    pub piece: PieceIndex,
    /// First byte, counted from the start of the piece.
    pub offset: u32,
    /// Length in bytes, at least 1.
    pub length: u32,
}

impl Block {
    /// The index of the 16 KiB unit in which the block starts.
    #[must_use]
    pub const fn index(self) -> BlockIndex {
        BlockIndex(self.offset / BLOCK_LEN)
    }
}

/// How a torrent's bytes are cut into pieces and blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    length: u64,
    piece_length: u32,
    pieces: u32,
}

impl Geometry {
    /// A torrent of `length` bytes in pieces of `piece_length`; `None` if the piece length is zero
    /// or there would be more than `u32::MAX` pieces.
    #[must_use]
    pub fn new(length: u64, piece_length: u32) -> Option<Self> {
        if piece_length == 0 {
            return None;
        }
        let pieces = u32::try_from(length.div_ceil(u64::from(piece_length))).ok()?;
        Some(Self { length, piece_length, pieces })
    }

    /// All bytes of the torrent.
    #[must_use]
    pub const fn length(&self) -> u64 {
        self.length
    }

    /// Bytes of every piece but the last.
    #[must_use]
    pub const fn piece_length(&self) -> u32 {
        self.piece_length
    }

    /// How many pieces there are.
    #[must_use]
    pub const fn pieces(&self) -> u32 {
        self.pieces
    }

    /// The piece of that number, if there is one.
    #[must_use]
    pub const fn piece(&self, index: u32) -> Option<PieceIndex> {
        if index < self.pieces { Some(PieceIndex(index)) } else { None }
    }

    /// Bytes of `piece`; zero beyond the end.
    #[must_use]
    pub const fn length_of(&self, piece: PieceIndex) -> u32 {
        if piece.0 >= self.pieces {
            return 0;
        }
        let rest = self.length - self.start_of(piece);
        if rest < self.piece_length as u64 {
            // Less than piece_length, which is a u32.
            #[expect(clippy::cast_possible_truncation)]
            let short = rest as u32;
            short
        } else {
            self.piece_length
        }
    }

    /// Where `piece` starts in the torrent's bytes.
    #[must_use]
    pub const fn start_of(&self, piece: PieceIndex) -> u64 {
        piece.0 as u64 * self.piece_length as u64
    }

    /// How many blocks `piece` has.
    #[must_use]
    pub const fn blocks_of(&self, piece: PieceIndex) -> u32 {
        self.length_of(piece).div_ceil(BLOCK_LEN)
    }

    /// The block of that number in `piece`, if there is one.
    #[must_use]
    pub fn block(&self, piece: PieceIndex, index: BlockIndex) -> Option<Block> {
        let offset = index.0.checked_mul(BLOCK_LEN)?;
        let length = self.length_of(piece).checked_sub(offset).filter(|left| *left > 0)?;
        Some(Block { piece, offset, length: length.min(BLOCK_LEN) })
    }

    /// All blocks of `piece`, ascending.
    pub fn blocks(self, piece: PieceIndex) -> impl Iterator<Item = Block> {
        (0..self.blocks_of(piece)).filter_map(move |index| self.block(piece, BlockIndex(index)))
    }

    /// Checks a range that a stranger named: inside the torrent, not empty.
    #[must_use]
    pub fn checked(&self, piece: u32, offset: u32, length: u32) -> Option<Block> {
        let piece = self.piece(piece)?;
        let end = offset.checked_add(length)?;
        (length > 0 && end <= self.length_of(piece)).then_some(Block { piece, offset, length })
    }

    /// The piece that holds byte `at` of the torrent.
    #[must_use]
    pub fn piece_at(&self, at: u64) -> Option<PieceIndex> {
        if at >= self.length {
            return None;
        }
        u32::try_from(at / u64::from(self.piece_length)).ok().map(PieceIndex)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_piece_and_its_last_block_are_short() {
        let geometry = Geometry::new(100_000, 65_536).unwrap();
        assert_eq!(geometry.pieces(), 2);
        assert_eq!(geometry.length_of(PieceIndex(1)), 34_464);
        assert_eq!(
            geometry.blocks(PieceIndex(1)).map(|block| block.length).collect::<Vec<_>>(),
            [16_384, 16_384, 1_696]
        );
        assert_eq!(geometry.length_of(PieceIndex(2)), 0);
    }

    #[test]
    fn a_range_outside_its_piece_is_refused() {
        let geometry = Geometry::new(100_000, 65_536).unwrap();
        assert!(geometry.checked(1, 34_464 - 1, 1).is_some());
        for (piece, offset, length) in [(1, 34_464, 1), (2, 0, 1), (0, 0, 0), (0, u32::MAX, 2)] {
            assert_eq!(geometry.checked(piece, offset, length), None);
        }
    }
}
