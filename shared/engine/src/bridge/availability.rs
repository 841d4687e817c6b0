//! What each side of a bridge has, and what is therefore offered to the other side.
//!
//! Counts sources; sends nothing. Nodes are never counted, so that two nodes cannot each "have" what
//! the other only claims (no phantom pieces). An offer outlives its last source by a grace time, so
//! that one seed that reconnects does not cost a message a piece twice over.

use super::action::Side;
use anatomic_core::{Bitfield, PieceIndex, Time};
use std::time::Duration;

/// How long a piece whose last source is gone stays offered, in case the source comes back.
pub(crate) const GRACE: Duration = Duration::from_secs(10);

/// Sources of every piece on both sides, and the offers that follow.
#[derive(Debug)]
pub(crate) struct Availability {
    classic: Sources,
    browser: Sources,
}

#[derive(Debug)]
struct Sources {
    /// How many peers of this side have each piece.
    counts: Vec<u32>,
    /// What the other side has been told.
    offered: Bitfield,
    /// When to take back offers that have no source any more.
    withdraw_at: Time,
}

impl Availability {
    /// Nobody has anything of a torrent of `pieces` pieces.
    pub(crate) fn new(pieces: u32) -> Self {
        Self { classic: Sources::new(pieces), browser: Sources::new(pieces) }
    }

    fn sources(&mut self, side: Side) -> &mut Sources {
        match side {
            Side::Classic => &mut self.classic,
            Side::Browser => &mut self.browser,
        }
    }

    /// What peers of `side` are told that we have: what the other side has.
    pub(crate) const fn offered_to(&self, side: Side) -> &Bitfield {
        match side {
            Side::Classic => &self.browser.offered,
            Side::Browser => &self.classic.offered,
        }
    }

    /// A peer of `side` got `piece`; true if the other side must be told (`have`).
    pub(crate) fn add(&mut self, side: Side, piece: PieceIndex) -> bool {
        let sources = self.sources(side);
        if let Some(count) = sources.counts.get_mut(piece.0 as usize) {
            *count += 1;
        }
        sources.offered.insert(piece)
    }

    /// A peer of `side` lost `piece` ([BEP 54](https://www.bittorrent.org/beps/bep_0054.html)) or is gone.
    pub(crate) fn remove(&mut self, now: Time, side: Side, piece: PieceIndex) {
        let sources = self.sources(side);
        let Some(count) = sources.counts.get_mut(piece.0 as usize) else { return };
        *count = count.saturating_sub(1);
        if *count == 0 && sources.withdraw_at == Time::NEVER {
            sources.withdraw_at = now + GRACE;
        }
    }

    /// When [`withdraw`](Self::withdraw) has something to do.
    #[cfg(test)]
    pub(crate) fn next_withdrawal(&self) -> Time {
        self.classic.withdraw_at.min(self.browser.withdraw_at)
    }

    /// Takes back what has had no source for the grace time: each piece with the side to tell (`lt_donthave`).
    pub(crate) fn withdraw(&mut self, now: Time) -> Vec<(Side, PieceIndex)> {
        let mut gone = Vec::new();
        for side in [Side::Classic, Side::Browser] {
            let sources = self.sources(side);
            if sources.withdraw_at > now {
                continue;
            }
            sources.withdraw_at = Time::NEVER;
            let lost: Vec<PieceIndex> =
                sources.offered.iter().filter(|piece| sources.count(*piece) == 0).collect();
            for piece in lost {
                sources.offered.remove(piece);
                gone.push((side.other(), piece));
            }
        }
        gone
    }
}

impl Sources {
    fn new(pieces: u32) -> Self {
        Self { counts: vec![0; pieces as usize], offered: Bitfield::empty(pieces), withdraw_at: Time::NEVER }
    }

    fn count(&self, piece: PieceIndex) -> u32 {
        self.counts.get(piece.0 as usize).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const P: PieceIndex = PieceIndex(2);

    #[test]
    fn a_piece_is_offered_to_the_other_side_only_and_once() {
        let mut availability = Availability::new(4);
        assert!(availability.add(Side::Classic, P));
        assert!(!availability.add(Side::Classic, P));
        assert!(availability.offered_to(Side::Browser).has(P));
        assert!(!availability.offered_to(Side::Classic).has(P));
    }

    #[test]
    fn a_piece_without_a_source_is_taken_back_after_the_grace_time() {
        let mut availability = Availability::new(4);
        availability.add(Side::Classic, P);
        availability.remove(Time::from_secs(1), Side::Classic, P);
        assert_eq!(availability.withdraw(Time::from_secs(2)), []);
        assert_eq!(availability.next_withdrawal(), Time::from_secs(1) + GRACE);
        assert_eq!(availability.withdraw(Time::from_secs(1) + GRACE), [(Side::Browser, P)]);
        assert!(availability.offered_to(Side::Browser).is_empty());
        assert_eq!(availability.next_withdrawal(), Time::NEVER);
    }

    #[test]
    fn a_source_that_returns_in_time_costs_no_message() {
        let mut availability = Availability::new(4);
        availability.add(Side::Classic, P);
        availability.remove(Time::ZERO, Side::Classic, P);
        assert!(!availability.add(Side::Classic, P));
        assert_eq!(availability.withdraw(Time::ZERO + GRACE), []);
    }
}
