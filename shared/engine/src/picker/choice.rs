//! The choice itself: which block for which peer, in which order of reasons.
//!
//! The books that it reads and writes are the picker's.

use super::partial::Slot;
use super::{Picker, Picking, Standing};
use crate::add::PickOrder;
use anatomic_core::{Block, BlockIndex, PieceIndex};
use fastrand::Rng;
use std::ops::Range;
use std::time::Duration;

/// A block that was asked of somebody is not asked of others before this time: most are on their way, and a
/// download of many peers would otherwise fetch its end twice.
const LATE: Duration = Duration::from_secs(1);

impl Picker {
    /// Picks up to `count` blocks for a peer; they count as requested from here on. Says how many of them others
    /// were asked for too.
    pub(crate) fn pick(
        &mut self,
        who: Picking<'_>,
        count: usize,
        rng: &mut Rng,
        into: &mut Vec<Block>,
    ) -> u64 {
        let most = into.len() + count;
        self.pick_windows(&who, most, rng, into);
        let mut current = who.current;
        while into.len() < most {
            let piece = current
                .take()
                .filter(|piece| self.may_continue(&who, *piece))
                .or_else(|| self.next_piece(&who, rng));
            let Some(piece) = piece else { break };
            if !self.begin(piece, &who, rng) {
                break;
            }
            self.take_from(piece, &who, most, into);
        }
        if into.is_empty() && who.outstanding == 0 {
            self.pick_busy(&who, rng, into);
            return into.len() as u64;
        }
        0
    }

    /// Whether a peer with nothing to do may be asked for blocks that others were asked for.
    pub(crate) fn may_double(&self) -> bool {
        !self.windows.is_empty() || self.is_end_game()
    }

    /// Whether picking for somebody would begin the end-game: every missing block was asked of somebody.
    pub(crate) fn is_end_game(&self) -> bool {
        self.open.is_empty() && self.rarity.is_empty() && !self.partials.is_empty()
    }

    fn allowed(who: &Picking<'_>, piece: PieceIndex) -> bool {
        who.pieces.has(piece)
            && who.only.is_none_or(|only| only.contains(&piece))
            && (who.refused.is_empty() || !who.refused.contains(&piece))
    }

    fn may_continue(&self, who: &Picking<'_>, piece: PieceIndex) -> bool {
        self.open.contains(&piece)
            && Self::allowed(who, piece)
            && self.partials.get(&piece).is_some_and(|partial| match partial.exclusive {
                Some(owner) => owner == who.peer,
                None => who.standing != Standing::Parole || partial.is_untouched(),
            })
    }

    fn pick_windows(&mut self, who: &Picking<'_>, most: usize, rng: &mut Rng, into: &mut Vec<Block>) {
        if self.windows.is_empty() || who.standing != Standing::Good {
            return;
        }
        let (have, levels) = (&self.have, &self.levels);
        for window in self.windows.values_mut() {
            // What is here at the front is never looked at again.
            while window.start < window.end
                && (have.has(PieceIndex(window.start))
                    || levels.get(window.start as usize).is_none_or(|level| *level == 0))
            {
                window.start += 1;
            }
        }
        let windows: Vec<Range<u32>> = self.windows.values().cloned().collect();
        for piece in windows.into_iter().flatten().map(PieceIndex) {
            if into.len() >= most {
                return;
            }
            let begun = self.partials.contains_key(&piece);
            let useful = Self::allowed(who, piece)
                && if begun { self.may_continue(who, piece) } else { self.rarity.is_listed(piece) };
            if useful && self.begin(piece, who, rng) {
                self.take_from(piece, who, most, into);
            }
        }
    }

    /// The next piece of which `who` should fetch.
    fn next_piece(&self, who: &Picking<'_>, rng: &mut Rng) -> Option<PieceIndex> {
        let crowded = self.is_crowded(who);
        let finish_first = crowded || self.have.count() < self.habits.random_first;
        let mut shared: Option<(PieceIndex, bool)> = None;
        for piece in &self.open {
            if !self.may_continue(who, *piece) {
                continue;
            }
            let Some(partial) = self.partials.get(piece) else { continue };
            // Left behind by a peer that is gone, or the cap says to finish; else only as the last resort, and
            // preferably with peers of the same speed.
            let orphaned = !partial.is_requested();
            if orphaned || partial.exclusive.is_some() || (finish_first && partial.speed == who.speed) {
                return Some(*piece);
            }
            if shared.is_none_or(|(_, same)| !same && partial.speed == who.speed) {
                shared = Some((*piece, partial.speed == who.speed));
            }
        }
        let shared = shared.map(|(piece, _)| piece);
        if crowded && shared.is_some() {
            return shared;
        }
        self.new_piece(who, rng).or(shared)
    }

    fn is_crowded(&self, who: &Picking<'_>) -> bool {
        #[expect(clippy::cast_precision_loss)]
        let too_many =
            self.open.len() as f64 > (who.peers.max(1) as f64 * self.habits.partials_per_peer).ceil();
        too_many || self.partial_blocks > self.habits.max_partial_blocks || self.partial_bytes > who.memory
    }

    fn new_piece(&self, who: &Picking<'_>, rng: &mut Rng) -> Option<PieceIndex> {
        let fits = |piece: &PieceIndex| {
            Self::allowed(who, *piece)
                && (self.partials.is_empty()
                    || self.partial_bytes + u64::from(self.geometry.length_of(*piece)) <= who.memory)
        };
        if let Some(only) = who.only {
            // What they happen to allow is not what comes next.
            if self.order == PickOrder::Sequential {
                return None;
            }
            return only.iter().copied().find(|piece| self.rarity.is_listed(*piece) && fits(piece));
        }
        if who.standing == Standing::Snubbed {
            return self.rarity.most_common().find(fits);
        }
        if self.order == PickOrder::Sequential {
            return (self.cursor..self.geometry.pieces())
                .map(PieceIndex)
                .find(|piece| self.rarity.is_listed(*piece) && fits(piece));
        }
        if self.have.count() < self.habits.random_first {
            return self.rarity.random(rng).find(fits);
        }
        self.rarity.rarest().find(fits)
    }

    /// Makes sure that the piece is begun; false if nothing of it is free.
    fn begin(&mut self, piece: PieceIndex, who: &Picking<'_>, rng: &mut Rng) -> bool {
        if !self.partials.contains_key(&piece) {
            self.start(piece, who.speed, rng);
        }
        let Some(partial) = self.partials.get_mut(&piece) else { return false };
        if who.standing == Standing::Parole && partial.exclusive.is_none() {
            partial.exclusive = Some(who.peer);
        }
        partial.free > 0
    }

    fn take_from(&mut self, piece: PieceIndex, who: &Picking<'_>, most: usize, into: &mut Vec<Block>) {
        let Some(partial) = self.partials.get_mut(&piece) else { return };
        while into.len() < most
            && let Some(index) = partial.take_free(who.now, who.peer)
        {
            into.extend(self.geometry.block(piece, index));
        }
        if partial.free == 0 {
            self.open.remove(&piece);
        }
    }

    /// End-game: one late block that others were asked for, for a peer that has nothing to do. Only when every
    /// remaining block was asked of somebody (or a reader waits for it), never on parole, never twice of one peer.
    fn pick_busy(&mut self, who: &Picking<'_>, rng: &mut Rng, into: &mut Vec<Block>) {
        let urgent = !self.windows.is_empty();
        if who.standing != Standing::Good || !(urgent || self.is_end_game()) {
            return;
        }
        let in_window = |piece: PieceIndex| self.windows.values().any(|window| window.contains(&piece.0));
        let mut best: Option<(usize, PieceIndex, BlockIndex)> = None;
        let mut ties = 0;
        let end_game = self.is_end_game();
        for (piece, partial) in &self.partials {
            if partial.verifying || partial.exclusive.is_some() || !Self::allowed(who, *piece) {
                continue;
            }
            if !end_game && !in_window(*piece) {
                continue;
            }
            for (at, slot) in partial.slots.iter().enumerate() {
                let (holders, asked) = match slot {
                    Slot::Requested(holder, asked) if *holder != who.peer => (1, *asked),
                    Slot::Shared(holders, asked) if !holders.contains(&who.peer) => (holders.len(), *asked),
                    _ => continue,
                };
                if who.now < asked + LATE {
                    continue;
                }
                let Ok(at) = u32::try_from(at) else { continue };
                let fewer = best.is_none_or(|(fewest, ..)| holders < fewest);
                let tie = best.is_some_and(|(fewest, ..)| holders == fewest);
                ties = if fewer { 1 } else { ties + usize::from(tie) };
                // Among equals at random, or all idle peers would fetch the same.
                if fewer || (tie && rng.usize(0..ties) == 0) {
                    best = Some((holders, *piece, BlockIndex(at)));
                }
            }
        }
        if let Some((_, piece, index)) = best
            && let Some(partial) = self.partials.get_mut(&piece)
            && partial.share(who.now, index, who.peer)
        {
            into.extend(self.geometry.block(piece, index));
        }
    }
}
