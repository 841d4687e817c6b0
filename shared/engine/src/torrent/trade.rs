//! What a store keeps of each peer: how much to ask of it, what it is good for, when it was unchoked.
//!
//! Only books; the rules that use them are in `store`.

use crate::config::Config;
use crate::peer::Peer;
use crate::picker::Speed;
use crate::window::Window;
use anatomic_core::collections::BTreeSet;
use anatomic_core::{BLOCK_LEN, PieceIndex, Time};
use std::time::Duration;

/// Pieces of which a peer refused a block are not asked of it again for so long.
const REFUSAL: Duration = Duration::from_secs(2);

/// The books on one peer.
#[derive(Debug)]
pub(super) struct Trader {
    pub(super) window: Window,
    /// Pieces it has that we want.
    pub(super) interesting: u32,
    /// It counts as a seed in the picker, its pieces not one by one.
    pub(super) is_seed: bool,
    pub(super) snubbed: bool,
    /// The piece it was last asked for.
    pub(super) current: Option<PieceIndex>,
    /// At this version of the picker there was nothing to ask of it.
    pub(super) nothing_at: u64,
    pub(super) refused: BTreeSet<PieceIndex>,
    refused_until: Time,
    /// Pieces that failed in which it had a part.
    pub(super) failed: u32,
    /// When it was unchoked or choked last.
    pub(super) turned_at: Time,
    /// Payload to it at that moment.
    pub(super) sent_at_turn: u64,
    /// It was unchoked before.
    pub(super) had_turn: bool,
    /// Payload from and to it at the last round of choking.
    pub(super) at_round: (u64, u64),
    /// When one of the two sides last wanted something.
    pub(super) interest_at: Time,
}

impl Trader {
    pub(super) const fn new(now: Time) -> Self {
        Self {
            window: Window::new(),
            interesting: 0,
            is_seed: false,
            snubbed: false,
            current: None,
            nothing_at: 0,
            refused: BTreeSet::new(),
            refused_until: Time::NEVER,
            failed: 0,
            turned_at: now,
            sent_at_turn: 0,
            had_turn: false,
            at_round: (0, 0),
            interest_at: now,
        }
    }

    /// It refused a block: it is not asked for that piece for a while, or both would do nothing else.
    pub(super) fn refuses(&mut self, now: Time, piece: PieceIndex) {
        self.refused.insert(piece);
        self.refused_until = now + REFUSAL;
        if self.current == Some(piece) {
            self.current = None;
        }
    }

    /// Forgets refusals when their time is over; true if there were some.
    pub(super) fn forgive(&mut self, now: Time) -> bool {
        if now < self.refused_until {
            return false;
        }
        self.refused_until = Time::NEVER;
        self.nothing_at = 0;
        !std::mem::take(&mut self.refused).is_empty()
    }

    /// How many more requests it should have.
    pub(super) fn room(&self, config: &Config, peer: &Peer, now: Time) -> usize {
        let (_, rate) = peer.downloaded(now);
        self.window.size(config, rate, peer.reqq()).saturating_sub(peer.outstanding())
    }
}

/// The speed class of a peer: whether it fetches a piece of this length in 20 s (fast), in a minute, or not.
pub(super) fn speed(peer: &Peer, now: Time, piece_length: u32) -> Speed {
    let (_, rate) = peer.downloaded(now);
    let seconds = f64::from(piece_length.max(BLOCK_LEN)) / rate.max(1.0);
    if seconds <= 20.0 {
        Speed::Fast
    } else if seconds <= 60.0 {
        Speed::Medium
    } else {
        Speed::Slow
    }
}
