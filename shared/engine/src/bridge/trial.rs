//! Who sent the bad block: parole for the contributors of a failed piece, a ban for the proven liar.
//!
//! Smart-ban: the digests of a failed piece's blocks are kept; when the piece passes, whoever sent a
//! block that differs is the liar. A piece that came from one peer alone needs no second try.

use anatomic_core::collections::{BTreeMap, BTreeSet};
use anatomic_core::{BlockIndex, PieceIndex, Sha1Hash};
use bytes::Bytes;
use sha1::{Digest, Sha1};

/// Failed pieces remembered; more at a time means an attack, and parole alone holds it off.
const MAX_TRIALS: usize = 64;
/// Failed pieces a peer may have a part in before it is banned without proof: as libtorrent's
/// trust points, which start at 0, lose 2 a failure and end at −7.
const MAX_STRIKES: u8 = 4;

/// What the digest said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The piece is what the metainfo promises.
    Right,
    /// It is not.
    Wrong,
}

/// The record of failed pieces and of their senders.
#[derive(Debug)]
pub(crate) struct Trials<P> {
    failed: BTreeMap<PieceIndex, Vec<(BlockIndex, Sha1Hash, P)>>,
    strikes: BTreeMap<P, u8>,
}

impl<P> Default for Trials<P> {
    fn default() -> Self {
        Self { failed: BTreeMap::new(), strikes: BTreeMap::new() }
    }
}

impl<P: Copy + Ord> Trials<P> {
    /// Whether blocks of this peer are held until their piece is verified.
    pub(crate) fn is_on_parole(&self, peer: P) -> bool {
        self.strikes.get(&peer).is_some_and(|strikes| *strikes > 0)
    }

    /// Judges a piece by its `blocks`; returns the peers to ban.
    pub(crate) fn judge(
        &mut self,
        piece: PieceIndex,
        verdict: Verdict,
        blocks: &[(BlockIndex, Bytes, P)],
    ) -> BTreeSet<P> {
        let senders: BTreeSet<P> = blocks.iter().map(|(_, _, from)| *from).collect();
        match verdict {
            Verdict::Wrong => self.convict(piece, blocks, senders),
            Verdict::Right => self.acquit(piece, blocks, senders),
        }
    }

    fn convict(
        &mut self,
        piece: PieceIndex,
        blocks: &[(BlockIndex, Bytes, P)],
        senders: BTreeSet<P>,
    ) -> BTreeSet<P> {
        if senders.len() == 1 {
            return senders;
        }
        if self.failed.len() < MAX_TRIALS || self.failed.contains_key(&piece) {
            let record = self.failed.entry(piece).or_default();
            record
                .extend(blocks.iter().map(|(index, data, from)| (*index, Sha1::digest(data).into(), *from)));
        }
        let mut banned = BTreeSet::new();
        for peer in senders {
            let strikes = self.strikes.entry(peer).or_default();
            *strikes += 1;
            if *strikes >= MAX_STRIKES {
                banned.insert(peer);
            }
        }
        banned
    }

    fn acquit(
        &mut self,
        piece: PieceIndex,
        blocks: &[(BlockIndex, Bytes, P)],
        senders: BTreeSet<P>,
    ) -> BTreeSet<P> {
        for peer in senders {
            if let Some(strikes) = self.strikes.get_mut(&peer) {
                *strikes = strikes.saturating_sub(1);
            }
        }
        let mut liars = BTreeSet::new();
        for (index, digest, from) in self.failed.remove(&piece).unwrap_or_default() {
            let truth = blocks.iter().find(|(at, _, _)| *at == index).map(|(_, data, _)| Sha1::digest(data));
            if truth.is_some_and(|truth| digest != <Sha1Hash>::from(truth)) {
                liars.insert(from);
            }
        }
        liars
    }

    /// The peer is gone; its record goes with it (its address stays banned elsewhere if it was).
    pub(crate) fn forget_peer(&mut self, peer: P) {
        self.strikes.remove(&peer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks(contents: &[(&'static [u8], u8)]) -> Vec<(BlockIndex, Bytes, u8)> {
        (0..)
            .zip(contents)
            .map(|(at, (data, from))| (BlockIndex(at), Bytes::from_static(data), *from))
            .collect()
    }

    #[test]
    fn the_sole_source_of_a_bad_piece_is_banned_at_once() {
        let banned = Trials::default().judge(PieceIndex(0), Verdict::Wrong, &blocks(&[(b"x", 1), (b"y", 1)]));
        assert_eq!(banned, BTreeSet::from([1]));
    }

    #[test]
    fn of_two_suspects_the_one_whose_block_differs_is_banned_and_the_other_leaves_parole() {
        let mut trials = Trials::default();
        assert!(
            trials.judge(PieceIndex(0), Verdict::Wrong, &blocks(&[(b"good", 1), (b"bad!", 2)])).is_empty()
        );
        assert!(trials.is_on_parole(1) && trials.is_on_parole(2));
        let banned = trials.judge(PieceIndex(0), Verdict::Right, &blocks(&[(b"good", 1), (b"well", 1)]));
        assert_eq!(banned, BTreeSet::from([2]));
        assert!(!trials.is_on_parole(1));
    }

    #[test]
    fn four_failures_without_proof_end_in_a_ban() {
        let mut trials = Trials::default();
        let mut banned = BTreeSet::new();
        for piece in 0..4u8 {
            let pair = [(b"a".as_slice(), 1), (b"b".as_slice(), 10 + piece)];
            banned = trials.judge(PieceIndex(piece.into()), Verdict::Wrong, &blocks(&pair));
        }
        assert_eq!(banned, BTreeSet::from([1]));
    }
}
