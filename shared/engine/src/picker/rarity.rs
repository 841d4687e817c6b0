//! Pieces that are wanted and not begun, rarest first, for each level of priority.
//!
//! Knows how many peers have each piece, not which. A change of one count costs one swap; a pick from a peer that
//! has everything costs nothing.

use anatomic_core::PieceIndex;
use fastrand::Rng;

/// Levels of priority; level 0 is not wanted and has no list.
const LEVELS: usize = 8;
/// Where a piece is that stands in no list.
const NOWHERE: u32 = u32::MAX;

/// The lists, and the counts that order them.
#[derive(Debug)]
pub(super) struct Rarity {
    levels: [Level; LEVELS],
    pieces: Vec<Entry>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    /// Peers that have it, seeds not counted.
    count: u32,
    position: u32,
    level: u8,
}

/// Pieces of one level, ordered by count; `ends[c]` is where those of count `c` end.
#[derive(Debug, Default)]
struct Level {
    order: Vec<PieceIndex>,
    ends: Vec<u32>,
}

impl Rarity {
    pub(super) fn new(pieces: u32) -> Self {
        let entry = Entry { count: 0, position: NOWHERE, level: 0 };
        Self { levels: std::array::from_fn(|_| Level::default()), pieces: vec![entry; pieces as usize] }
    }

    fn entry(&self, piece: PieceIndex) -> Option<Entry> {
        self.pieces.get(piece.0 as usize).copied()
    }

    pub(super) fn is_listed(&self, piece: PieceIndex) -> bool {
        self.entry(piece).is_some_and(|entry| entry.position != NOWHERE)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.levels.iter().all(|level| level.order.is_empty())
    }

    /// Peers that have the piece, seeds not counted.
    #[cfg(test)]
    pub(super) fn count(&self, piece: PieceIndex) -> u32 {
        self.entry(piece).map_or(0, |entry| entry.count)
    }

    /// Lists a piece on its level; one that stands in a list is moved.
    pub(super) fn list(&mut self, piece: PieceIndex, level: u8, rng: &mut Rng) {
        self.unlist(piece);
        let Some(entry) = self.pieces.get_mut(piece.0 as usize) else { return };
        let Some(list) = self.levels.get_mut(usize::from(level)).filter(|_| level > 0) else { return };
        entry.level = level;
        let count = entry.count as usize;
        while list.ends.len() <= count {
            list.ends.push(u32::try_from(list.order.len()).unwrap_or(NOWHERE));
        }
        list.order.push(piece);
        let mut at = list.order.len() - 1;
        self.place(level, at);
        // Let the hole wander to the front of each rarer-than group until it is in its own.
        for bucket in (count..self.buckets(level)).rev() {
            let start = self.start(level, bucket);
            if bucket > count {
                self.swap(level, at, start);
                at = start;
            }
            if let Some(end) = self.end_mut(level, bucket) {
                *end += 1;
            }
        }
        // Random among its equals.
        let (start, end) = (self.start(level, count), self.start(level, count + 1));
        if end > start {
            let other = rng.usize(start..end);
            self.swap(level, at, other);
        }
    }

    /// Takes a piece from its list.
    pub(super) fn unlist(&mut self, piece: PieceIndex) {
        let Some(entry) = self.entry(piece).filter(|entry| entry.position != NOWHERE) else { return };
        let mut at = entry.position as usize;
        for bucket in entry.count as usize..self.buckets(entry.level) {
            let last = self.start(entry.level, bucket + 1).saturating_sub(1);
            self.swap(entry.level, at, last);
            at = last;
            if let Some(end) = self.end_mut(entry.level, bucket) {
                *end -= 1;
            }
        }
        if let Some(level) = self.levels.get_mut(usize::from(entry.level)) {
            level.order.pop();
        }
        if let Some(entry) = self.pieces.get_mut(piece.0 as usize) {
            entry.position = NOWHERE;
        }
    }

    /// One more peer has the piece.
    pub(super) fn more(&mut self, piece: PieceIndex) {
        let Some(entry) = self.entry(piece) else { return };
        if entry.position != NOWHERE {
            let (level, count) = (entry.level, entry.count as usize);
            if let Some(list) = self.levels.get_mut(usize::from(level))
                && list.ends.len() <= count + 1
            {
                list.ends.push(u32::try_from(list.order.len()).unwrap_or(NOWHERE));
            }
            let last = self.start(level, count + 1).saturating_sub(1);
            self.swap(level, entry.position as usize, last);
            if let Some(end) = self.end_mut(level, count) {
                *end -= 1;
            }
        }
        if let Some(entry) = self.pieces.get_mut(piece.0 as usize) {
            entry.count += 1;
        }
    }

    /// One peer less has the piece.
    pub(super) fn fewer(&mut self, piece: PieceIndex) {
        let Some(entry) = self.entry(piece).filter(|entry| entry.count > 0) else { return };
        if entry.position != NOWHERE {
            let (level, count) = (entry.level, entry.count as usize);
            let first = self.start(level, count);
            self.swap(level, entry.position as usize, first);
            if let Some(end) = self.end_mut(level, count - 1) {
                *end += 1;
            }
        }
        if let Some(entry) = self.pieces.get_mut(piece.0 as usize) {
            entry.count -= 1;
        }
    }

    /// Pieces of the highest priority first, within it the rarest first.
    pub(super) fn rarest(&self) -> impl Iterator<Item = PieceIndex> + '_ {
        self.levels.iter().rev().flat_map(|level| level.order.iter().copied())
    }

    /// Pieces of the highest priority first, within it the most common first.
    pub(super) fn most_common(&self) -> impl Iterator<Item = PieceIndex> + '_ {
        self.levels.iter().rev().flat_map(|level| level.order.iter().rev().copied())
    }

    /// Pieces of the highest priority first, within it from a random place on.
    pub(super) fn random<'a>(&'a self, rng: &mut Rng) -> impl Iterator<Item = PieceIndex> + use<'a> {
        let start = rng.usize(..);
        self.levels.iter().rev().flat_map(move |level| {
            let start = start.checked_rem(level.order.len()).unwrap_or(0);
            level.order.iter().cycle().skip(start).take(level.order.len()).copied()
        })
    }

    fn buckets(&self, level: u8) -> usize {
        self.levels.get(usize::from(level)).map_or(0, |list| list.ends.len())
    }

    fn start(&self, level: u8, bucket: usize) -> usize {
        let Some(list) = self.levels.get(usize::from(level)) else { return 0 };
        match bucket.checked_sub(1) {
            None => 0,
            Some(before) => list.ends.get(before).map_or(list.order.len(), |end| *end as usize),
        }
    }

    fn end_mut(&mut self, level: u8, bucket: usize) -> Option<&mut u32> {
        self.levels.get_mut(usize::from(level))?.ends.get_mut(bucket)
    }

    fn swap(&mut self, level: u8, a: usize, b: usize) {
        if let Some(list) = self.levels.get_mut(usize::from(level))
            && a < list.order.len()
            && b < list.order.len()
        {
            list.order.swap(a, b);
        }
        self.place(level, a);
        self.place(level, b);
    }

    fn place(&mut self, level: u8, at: usize) {
        if let Some(piece) = self.levels.get(usize::from(level)).and_then(|list| list.order.get(at))
            && let Some(entry) = self.pieces.get_mut(piece.0 as usize)
        {
            entry.position = u32::try_from(at).unwrap_or(NOWHERE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_right_after_any_changes() {
        for seed in 0..200 {
            let mut rng = Rng::with_seed(seed);
            let mut rarity = Rarity::new(30);
            for _ in 0..rng.usize(0..400) {
                let piece = PieceIndex(rng.u32(0..30));
                match rng.u8(0..5) {
                    0 => rarity.list(piece, rng.u8(0..8), &mut rng),
                    1 => rarity.unlist(piece),
                    2 => rarity.fewer(piece),
                    _ => rarity.more(piece),
                }
                let mut listed = 0;
                for (number, level) in rarity.levels.iter().enumerate() {
                    let counts: Vec<u32> = level.order.iter().map(|piece| rarity.count(*piece)).collect();
                    assert!(counts.is_sorted(), "seed {seed}: {counts:?}");
                    for (at, piece) in level.order.iter().enumerate() {
                        let entry = rarity.entry(*piece).unwrap();
                        assert_eq!(
                            (entry.position as usize, usize::from(entry.level)),
                            (at, number),
                            "seed {seed}"
                        );
                        listed += 1;
                    }
                }
                assert_eq!(listed, (0..30).filter(|n| rarity.is_listed(PieceIndex(*n))).count());
            }
        }
    }
}
