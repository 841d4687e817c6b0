//! The blocks that a node holds while they cross its bridges: bounded memory, nothing on disk.
//!
//! One cache serves all bridged torrents of an engine. It forgets the pieces least recently used; a
//! block that was forwarded already is not missed, one that is asked for again is fetched again.

use anatomic_core::collections::BTreeMap;
use anatomic_core::{Block, BlockIndex, Geometry, PieceIndex};
use bytes::{Bytes, BytesMut};
use std::collections::HashMap;
use std::hash::Hash;

/// Blocks of pieces in transit. `T` names a torrent, `P` a peer.
#[derive(Debug)]
pub(crate) struct BlockCache<T, P> {
    capacity: usize,
    used: usize,
    pieces: HashMap<(T, PieceIndex), CachedPiece<P>>,
    /// Pieces by last use, oldest first.
    by_use: BTreeMap<u64, (T, PieceIndex)>,
    uses: u64,
}

/// What is known of a piece whose blocks are in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Blocks are still missing, or the digest is not known yet.
    Unverified,
    /// The digest matched.
    Verified,
}

#[derive(Debug)]
struct CachedPiece<P> {
    blocks: Vec<Option<(Bytes, P)>>,
    filled: usize,
    standing: Standing,
    last_use: u64,
}

/// What [`BlockCache::insert`] did.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Inserted {
    /// The block is kept; its piece still lacks others.
    Partial,
    /// The piece is whole now: its blocks in order, to be hashed.
    Whole(Vec<Bytes>),
    /// The block was there already, or cannot be kept.
    Ignored,
}

impl<T: Copy + Eq + Hash, P: Copy> BlockCache<T, P> {
    /// A cache of at most `capacity` bytes.
    pub(crate) fn new(capacity: usize) -> Self {
        Self { capacity, used: 0, pieces: HashMap::new(), by_use: BTreeMap::new(), uses: 0 }
    }

    /// Bytes of blocks held now.
    pub(crate) const fn used(&self) -> usize {
        self.used
    }

    /// Keeps `data`, the whole block `block`, that `from` sent.
    pub(crate) fn insert(
        &mut self,
        torrent: T,
        geometry: &Geometry,
        block: Block,
        data: Bytes,
        from: P,
    ) -> Inserted {
        let key = (torrent, block.piece);
        if data.len() > self.capacity {
            return Inserted::Ignored;
        }
        let piece = self.pieces.entry(key).or_insert_with(|| CachedPiece {
            blocks: std::iter::repeat_with(|| None).take(geometry.blocks_of(block.piece) as usize).collect(),
            filled: 0,
            standing: Standing::Unverified,
            last_use: 0,
        });
        let length = data.len();
        match piece.blocks.get_mut(block.index().0 as usize) {
            // Copied: a slice would keep the whole buffer alive in which it was received, a third more on the whole.
            Some(slot @ None) => *slot = Some((Bytes::copy_from_slice(&data), from)),
            _ => return Inserted::Ignored,
        }
        piece.filled += 1;
        let whole = (piece.filled == piece.blocks.len())
            .then(|| piece.blocks.iter().flatten().map(|(data, _)| data.clone()).collect());
        self.used += length;
        self.touch(key);
        self.shrink(key);
        whole.map_or(Inserted::Partial, Inserted::Whole)
    }

    /// The bytes of `range`, if every block it touches is here.
    pub(crate) fn read(&mut self, torrent: T, range: Block) -> Option<Bytes> {
        let key = (torrent, range.piece);
        let piece = self.pieces.get(&key)?;
        let first = range.index().0;
        let end = range.offset.checked_add(range.length)?;
        let last = end.checked_sub(1)? / anatomic_core::BLOCK_LEN;
        let skip = (range.offset - first * anatomic_core::BLOCK_LEN) as usize;
        let length = range.length as usize;
        let data = if first == last {
            let (block, _) = piece.blocks.get(first as usize)?.as_ref()?;
            (block.len() >= skip + length).then(|| block.slice(skip..skip + length))?
        } else {
            let mut joined = BytesMut::with_capacity(length + skip);
            for index in first..=last {
                let (block, _) = piece.blocks.get(index as usize)?.as_ref()?;
                joined.extend_from_slice(block);
            }
            let joined = joined.freeze();
            (joined.len() >= skip + length).then(|| joined.slice(skip..skip + length))?
        };
        self.touch(key);
        Some(data)
    }

    /// Whether the block is held.
    pub(crate) fn has(&self, torrent: T, piece: PieceIndex, block: BlockIndex) -> bool {
        let blocks = self.pieces.get(&(torrent, piece)).and_then(|piece| piece.blocks.get(block.0 as usize));
        blocks.is_some_and(Option::is_some)
    }

    /// The digest of `piece` matched.
    pub(crate) fn verified(&mut self, torrent: T, piece: PieceIndex) {
        if let Some(piece) = self.pieces.get_mut(&(torrent, piece)) {
            piece.standing = Standing::Verified;
        }
    }

    /// Who sent each block held of `piece`, with the block's bytes, in order.
    pub(crate) fn contributions(&self, torrent: T, piece: PieceIndex) -> Vec<(BlockIndex, Bytes, P)> {
        let Some(piece) = self.pieces.get(&(torrent, piece)) else { return Vec::new() };
        (0u32..)
            .zip(&piece.blocks)
            .filter_map(|(index, slot)| {
                slot.as_ref().map(|(data, from)| (BlockIndex(index), data.clone(), *from))
            })
            .collect()
    }

    /// Forgets `piece`.
    pub(crate) fn forget(&mut self, torrent: T, piece: PieceIndex) {
        if let Some(gone) = self.pieces.remove(&(torrent, piece)) {
            self.by_use.remove(&gone.last_use);
            self.used -= gone.bytes();
        }
    }

    /// Forgets everything of `torrent`.
    pub(crate) fn forget_torrent(&mut self, torrent: T) {
        let pieces: Vec<PieceIndex> =
            self.pieces.keys().filter(|(of, _)| *of == torrent).map(|(_, piece)| *piece).collect();
        for piece in pieces {
            self.forget(torrent, piece);
        }
    }

    fn touch(&mut self, key: (T, PieceIndex)) {
        if let Some(piece) = self.pieces.get_mut(&key) {
            self.uses += 1;
            self.by_use.remove(&piece.last_use);
            piece.last_use = self.uses;
            self.by_use.insert(self.uses, key);
        }
    }

    /// Drops the least recently used pieces, `keep` last, until the rest fits.
    fn shrink(&mut self, keep: (T, PieceIndex)) {
        while self.used > self.capacity {
            let Some(oldest) = self.by_use.values().copied().find(|key| *key != keep).or(Some(keep)) else {
                return;
            };
            self.forget(oldest.0, oldest.1);
            if oldest == keep {
                return;
            }
        }
    }
}

impl<P> CachedPiece<P> {
    fn bytes(&self) -> usize {
        self.blocks.iter().flatten().map(|(data, _)| data.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anatomic_core::BLOCK_LEN;

    fn geometry() -> Geometry {
        Geometry::new(4 * 32 * 1024 - 100, 32 * 1024).unwrap()
    }

    fn fill(cache: &mut BlockCache<u8, u8>, piece: u32, index: u32) -> Inserted {
        let block = geometry().block(PieceIndex(piece), BlockIndex(index)).unwrap();
        let data = vec![u8::try_from(piece * 16 + index).unwrap(); block.length as usize];
        cache.insert(0, &geometry(), block, Bytes::from(data), 7)
    }

    #[test]
    fn a_whole_piece_is_handed_out_for_hashing_once() {
        let mut cache = BlockCache::new(1 << 20);
        assert_eq!(fill(&mut cache, 3, 1), Inserted::Partial);
        assert_eq!(fill(&mut cache, 3, 1), Inserted::Ignored);
        let Inserted::Whole(blocks) = fill(&mut cache, 3, 0) else { panic!("not whole") };
        assert_eq!(blocks.iter().map(Bytes::len).collect::<Vec<_>>(), [16_384, 16_284]);
        assert_eq!(cache.used(), 32_768 - 100);
    }

    #[test]
    fn the_least_recently_used_piece_makes_room() {
        let mut cache = BlockCache::new(3 * BLOCK_LEN as usize);
        fill(&mut cache, 0, 0);
        fill(&mut cache, 1, 0);
        fill(&mut cache, 2, 0);
        let first = geometry().block(PieceIndex(0), BlockIndex(0)).unwrap();
        assert!(cache.read(0, first).is_some());
        fill(&mut cache, 2, 1);
        assert!(cache.has(0, PieceIndex(0), BlockIndex(0)));
        assert!(!cache.has(0, PieceIndex(1), BlockIndex(0)));
        assert!(cache.used() <= 3 * BLOCK_LEN as usize);
    }

    #[test]
    fn a_range_over_two_blocks_is_joined_and_a_missing_one_is_not_guessed() {
        let mut cache = BlockCache::new(1 << 20);
        fill(&mut cache, 1, 0);
        let across = geometry().checked(1, BLOCK_LEN - 2, 4).unwrap();
        assert_eq!(cache.read(0, across), None);
        fill(&mut cache, 1, 1);
        assert_eq!(cache.read(0, across).as_deref(), Some(&[16, 16, 17, 17][..]));
    }

    #[test]
    fn forgetting_gives_every_byte_back() {
        let mut cache = BlockCache::new(1 << 20);
        for piece in 0..4 {
            fill(&mut cache, piece, 0);
        }
        cache.forget_torrent(0);
        assert_eq!((cache.used(), cache.by_use.len()), (0, 0));
    }
}
