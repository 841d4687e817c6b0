//! Which pieces the other side has, before and after the torrent's size is known.
//!
//! Before, its word is kept raw and bounded; it is judged when the geometry comes.

use super::Misbehaviour;
use anatomic_core::{Bitfield, Geometry, PieceIndex};

/// Most pieces a torrent can have (as in libtorrent): bounds what is kept before the metadata is known.
const MAX_PIECES: u32 = 2_097_152;

/// A peer's pieces.
#[derive(Debug)]
pub(super) enum Pieces {
    /// The torrent's size is unknown.
    Early(Early),
    /// Checked.
    Known(Bitfield),
}

/// What was said before the torrent's size was known.
#[derive(Debug, Default)]
pub(super) struct Early {
    all: bool,
    /// One bit a piece, as on the wire.
    bits: Vec<u8>,
    /// The length of the bitfield message, if there was one.
    stated: Option<usize>,
}

impl Pieces {
    pub(super) fn new(geometry: Option<&Geometry>) -> Self {
        geometry.map_or_else(
            || Self::Early(Early::default()),
            |geometry| Self::Known(Bitfield::empty(geometry.pieces())),
        )
    }

    pub(super) const fn known(&self) -> Option<&Bitfield> {
        match self {
            Self::Known(bits) => Some(bits),
            Self::Early(_) => None,
        }
    }

    /// The torrent's size is known: what was said is judged.
    pub(super) fn settle(&mut self, geometry: &Geometry) -> Result<(), Misbehaviour> {
        let Self::Early(early) = self else { return Ok(()) };
        let pieces = geometry.pieces();
        let bits = if early.all {
            Bitfield::full(pieces)
        } else {
            let length = (pieces as usize).div_ceil(8);
            if early.stated.is_some_and(|stated| stated != length) {
                return Err(Misbehaviour::BadBitfield);
            }
            if early.bits.len() > length {
                return Err(Misbehaviour::NoSuchPiece);
            }
            early.bits.resize(length, 0);
            Bitfield::from_wire(&early.bits, pieces).ok_or(Misbehaviour::BadBitfield)?
        };
        *self = Self::Known(bits);
        Ok(())
    }

    pub(super) fn set_all(&mut self) {
        match self {
            Self::Early(early) => *early = Early { all: true, ..Early::default() },
            Self::Known(bits) => *bits = Bitfield::full(bits.pieces()),
        }
    }

    pub(super) fn set_none(&mut self) {
        match self {
            Self::Early(early) => *early = Early::default(),
            Self::Known(bits) => *bits = Bitfield::empty(bits.pieces()),
        }
    }

    pub(super) fn set(&mut self, wire: &[u8]) -> Result<(), Misbehaviour> {
        match self {
            Self::Early(early) => {
                *early = Early { all: false, bits: wire.to_vec(), stated: Some(wire.len()) };
            }
            Self::Known(bits) => {
                *bits = Bitfield::from_wire(wire, bits.pieces()).ok_or(Misbehaviour::BadBitfield)?;
            }
        }
        Ok(())
    }

    /// They have one more; `Some` if that is news.
    pub(super) fn insert(&mut self, piece: u32) -> Result<Option<PieceIndex>, Misbehaviour> {
        match self {
            Self::Early(early) => {
                early.change(piece, |byte, mask| *byte |= mask)?;
                Ok(None)
            }
            Self::Known(bits) if piece < bits.pieces() => {
                Ok(bits.insert(PieceIndex(piece)).then_some(PieceIndex(piece)))
            }
            Self::Known(_) => Err(Misbehaviour::NoSuchPiece),
        }
    }

    /// They lost one; `Some` if that is news.
    pub(super) fn remove(&mut self, piece: u32) -> Result<Option<PieceIndex>, Misbehaviour> {
        match self {
            Self::Early(early) => {
                // From "all", one cannot be taken away before their number is known: such a peer counts as
                // having it until it rejects the request.
                early.change(piece, |byte, mask| *byte &= !mask)?;
                Ok(None)
            }
            Self::Known(bits) if piece < bits.pieces() => {
                Ok(bits.remove(PieceIndex(piece)).then_some(PieceIndex(piece)))
            }
            Self::Known(_) => Err(Misbehaviour::NoSuchPiece),
        }
    }
}

impl Early {
    fn change(&mut self, piece: u32, with: impl Fn(&mut u8, u8)) -> Result<(), Misbehaviour> {
        if piece >= MAX_PIECES {
            return Err(Misbehaviour::NoSuchPiece);
        }
        let at = piece as usize / 8;
        if self.bits.len() <= at {
            if self.stated.is_some() {
                return Err(Misbehaviour::NoSuchPiece);
            }
            self.bits.resize(at + 1, 0);
        }
        if let Some(byte) = self.bits.get_mut(at) {
            with(byte, 0x80 >> (piece % 8));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(pieces: &mut Pieces, count: u32) -> Result<Vec<u32>, Misbehaviour> {
        pieces.settle(&Geometry::new(u64::from(count) * 10, 10).unwrap())?;
        Ok(pieces.known().unwrap().iter().map(|piece| piece.0).collect())
    }

    #[test]
    fn what_was_said_early_is_judged_when_the_size_is_known() {
        let mut pieces = Pieces::new(None);
        pieces.insert(3).unwrap();
        pieces.insert(9).unwrap();
        assert_eq!(settled(&mut pieces, 11), Ok(vec![3, 9]));

        let mut pieces = Pieces::new(None);
        pieces.insert(17).unwrap();
        assert_eq!(settled(&mut pieces, 11), Err(Misbehaviour::NoSuchPiece));

        let mut pieces = Pieces::new(None);
        pieces.set(&[0xff, 0xff]).unwrap();
        assert_eq!(settled(&mut pieces, 11), Err(Misbehaviour::BadBitfield));

        let mut pieces = Pieces::new(None);
        pieces.set_all();
        assert_eq!(settled(&mut pieces, 3), Ok(vec![0, 1, 2]));
    }

    #[test]
    fn a_far_away_piece_takes_no_memory() {
        let mut pieces = Pieces::new(None);
        assert_eq!(pieces.insert(u32::MAX), Err(Misbehaviour::NoSuchPiece));
    }
}
