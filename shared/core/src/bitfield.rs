//! Which pieces a peer, or we, have: one bit a piece, most significant bit first ([BEP 3], "bitfield").
//!
//! Always exactly as long as the torrent has pieces, with spare bits zero; counts its ones as they change.
//!
//! [BEP 3]: https://www.bittorrent.org/beps/bep_0003.html#peer-messages

use crate::geometry::PieceIndex;
use std::fmt;

/// A set of pieces of one torrent.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Bitfield {
    bytes: Vec<u8>,
    pieces: u32,
    ones: u32,
}

impl Bitfield {
    /// The empty set over `pieces` pieces.
    #[must_use]
    pub fn empty(pieces: u32) -> Self {
        Self { bytes: vec![0; bytes_for(pieces)], pieces, ones: 0 }
    }

    /// The full set over `pieces` pieces.
    #[must_use]
    pub fn full(pieces: u32) -> Self {
        let mut set = Self { bytes: vec![0xff; bytes_for(pieces)], pieces, ones: pieces };
        let spare = bytes_for(pieces) * 8 - pieces as usize;
        if let Some(last) = set.bytes.last_mut() {
            *last <<= spare;
        }
        set
    }

    /// Reads the wire form. `None` if the length is not that of `pieces` pieces or a spare bit is set.
    #[must_use]
    pub fn from_wire(bytes: &[u8], pieces: u32) -> Option<Self> {
        if bytes.len() != bytes_for(pieces) {
            return None;
        }
        let spare = bytes.len() * 8 - pieces as usize;
        if let Some(last) = bytes.last()
            && spare > 0
            && last & ((1u8 << spare) - 1) != 0
        {
            return None;
        }
        let ones = bytes.iter().map(|byte| byte.count_ones()).sum();
        Some(Self { bytes: bytes.to_vec(), pieces, ones })
    }

    /// The wire form.
    #[must_use]
    pub fn as_wire(&self) -> &[u8] {
        &self.bytes
    }

    /// Over how many pieces this set ranges.
    #[must_use]
    pub const fn pieces(&self) -> u32 {
        self.pieces
    }

    /// How many pieces are in the set.
    #[must_use]
    pub const fn count(&self) -> u32 {
        self.ones
    }

    /// Whether every piece is in the set. A torrent of no pieces is complete.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.ones == self.pieces
    }

    /// Whether no piece is in the set.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.ones == 0
    }

    /// Whether `piece` is in the set; false beyond the end.
    #[must_use]
    pub fn has(&self, piece: PieceIndex) -> bool {
        piece.0 < self.pieces
            && self.bytes.get(piece.0 as usize / 8).is_some_and(|byte| byte & mask(piece) != 0)
    }

    /// Puts `piece` in; true if it was not there. Beyond the end nothing changes.
    pub fn insert(&mut self, piece: PieceIndex) -> bool {
        if piece.0 >= self.pieces || self.has(piece) {
            return false;
        }
        if let Some(byte) = self.bytes.get_mut(piece.0 as usize / 8) {
            *byte |= mask(piece);
            self.ones += 1;
        }
        true
    }

    /// Takes `piece` out; true if it was there.
    pub fn remove(&mut self, piece: PieceIndex) -> bool {
        if !self.has(piece) {
            return false;
        }
        if let Some(byte) = self.bytes.get_mut(piece.0 as usize / 8) {
            *byte &= !mask(piece);
            self.ones -= 1;
        }
        true
    }

    /// The pieces in the set, ascending.
    pub fn iter(&self) -> impl Iterator<Item = PieceIndex> + '_ {
        self.bytes.iter().enumerate().flat_map(|(at, byte)| {
            let byte = *byte;
            (0..8u32)
                .filter(move |bit| byte & (0x80 >> bit) != 0)
                .map(move |bit| PieceIndex(u32::try_from(at).unwrap_or(u32::MAX).saturating_mul(8) + bit))
        })
    }

    /// Whether `other` has a piece that this set lacks.
    #[must_use]
    pub fn lacks_any_of(&self, other: &Self) -> bool {
        self.bytes.iter().zip(&other.bytes).any(|(ours, theirs)| theirs & !ours != 0)
    }
}

impl fmt::Debug for Bitfield {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bitfield({} of {})", self.ones, self.pieces)
    }
}

const fn bytes_for(pieces: u32) -> usize {
    (pieces as usize).div_ceil(8)
}

const fn mask(piece: PieceIndex) -> u8 {
    0x80 >> (piece.0 % 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spare_bits_of_a_full_set_are_zero() {
        assert_eq!(Bitfield::full(11).as_wire(), [0xff, 0b1110_0000]);
        assert_eq!(Bitfield::full(8).as_wire(), [0xff]);
        assert_eq!(Bitfield::full(0).as_wire(), [0u8; 0]);
    }

    #[test]
    fn wire_form_with_wrong_length_or_spare_bits_is_refused() {
        assert!(Bitfield::from_wire(&[0xff], 9).is_none());
        assert!(Bitfield::from_wire(&[0xff, 0b1100_0000], 9).is_none());
        assert_eq!(Bitfield::from_wire(&[0xff, 0b1000_0000], 9), Some(Bitfield::full(9)));
    }

    #[test]
    fn the_count_follows_every_change() {
        let mut set = Bitfield::empty(10);
        assert!(set.insert(PieceIndex(9)) && !set.insert(PieceIndex(9)) && !set.insert(PieceIndex(10)));
        assert_eq!((set.count(), set.iter().collect::<Vec<_>>()), (1, vec![PieceIndex(9)]));
        assert!(set.remove(PieceIndex(9)) && !set.remove(PieceIndex(9)));
        assert!(set.is_empty());
    }
}
