//! Decides which peers may download from us.
//!
//! Pure: takes a snapshot of the peers and returns the new set; it holds no clock and sends nothing. The torrent
//! calls it every `Config::unchoke_interval`. Rules follow BEP 3, "choking", with libtorrent's slots.

use crate::keys::PeerKey;
use anatomic_core::collections::{BTreeMap, BTreeSet};
use fastrand::Rng;
use std::cmp::Reverse;
use std::time::Duration;

/// A peer that had its turn while we seed: after so long, and so many pieces, others come first.
const TURN: Duration = Duration::from_secs(60);
/// Pieces of such a turn.
const TURN_PIECES: u64 = 20;

/// What the choice depends on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    /// Who.
    pub peer: PeerKey,
    /// Payload from it since the last round, in bytes.
    pub received: u64,
    /// Payload to it since the last round, in bytes.
    pub sent: u64,
    /// Payload to it since it was unchoked, in bytes.
    pub sent_this_turn: u64,
    /// Whether it is unchoked, and for how long; else how long it has waited.
    pub since: Duration,
    /// Whether it is unchoked now.
    pub unchoked: bool,
    /// Whether it was never unchoked.
    pub is_new: bool,
}

/// How many may download.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slots {
    /// In all, optimistic ones included.
    pub total: usize,
    /// Bytes of a piece, for turns.
    pub piece_length: u64,
}

/// Whether we still download.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rank {
    /// By what they send us.
    Leeching,
    /// By turns, the fastest first.
    Seeding,
}

/// Chooses who is unchoked for the next round, of peers that are interested. `optimistic` are those who hold an
/// optimistic slot; it is brought up to date, and moved on where `rotate`.
///
/// Never returns more than `slots.total` peers. One slot in five, at least one when there are two or more, is
/// optimistic, so that a newcomer with nothing to trade can start; three of four of these go to newcomers (BEP 3).
pub(crate) fn choose(
    peers: &[Sample],
    slots: Slots,
    rank: Rank,
    rotation: Rotation,
    optimistic: &mut BTreeSet<PeerKey>,
    rng: &mut Rng,
) -> BTreeSet<PeerKey> {
    if peers.len() <= slots.total {
        optimistic.clear();
        return peers.iter().map(|sample| sample.peer).collect();
    }
    let reserved = if slots.total >= 2 { (slots.total / 5).max(1) } else { 0 };
    let interested: BTreeSet<PeerKey> = peers.iter().map(|sample| sample.peer).collect();
    optimistic.retain(|peer| interested.contains(peer));
    if rotation == Rotation::Due {
        optimistic.clear();
    }
    // Equals: whoever waits longest.
    let had_turn = |sample: &Sample| {
        sample.unchoked && sample.since >= TURN && sample.sent_this_turn >= TURN_PIECES * slots.piece_length
    };
    let merit = |sample: &Sample| {
        let waited = if sample.unchoked { Duration::ZERO } else { sample.since };
        let merit = match rank {
            Rank::Leeching => (0, sample.received),
            Rank::Seeding => (u8::from(!had_turn(sample)), sample.sent),
        };
        Reverse((merit, waited, sample.unchoked))
    };
    // Ordered by maps, because each sort of std's would cost a page another 2 kB.
    let ranked: BTreeMap<_, &Sample> =
        peers.iter().enumerate().map(|(at, sample)| ((merit(sample), at), sample)).collect();
    let mut chosen: BTreeSet<PeerKey> = BTreeSet::new();
    for sample in ranked.values() {
        if chosen.len() + reserved >= slots.total {
            break;
        }
        if !optimistic.contains(&sample.peer) {
            chosen.insert(sample.peer);
        }
    }
    // Those who wait longest are likelier to be next, but it is left to chance so that nobody can plan it.
    let mut waiting: Vec<&Sample> = peers
        .iter()
        .filter(|sample| !chosen.contains(&sample.peer) && !optimistic.contains(&sample.peer))
        .collect();
    rng.shuffle(&mut waiting);
    // In a swarm where all know each other a newcomer would be last in every queue.
    let favours = rng.u8(0..4) > 0;
    let waited = |sample: &Sample| {
        (sample.unchoked, !(favours && sample.is_new), Reverse(sample.since.as_secs() / 30))
    };
    let waiting: BTreeMap<_, &Sample> =
        waiting.into_iter().enumerate().map(|(at, sample)| ((waited(sample), at), sample)).collect();
    let mut waiting = waiting.into_values();
    while optimistic.len() < reserved
        && let Some(sample) = waiting.next()
    {
        optimistic.insert(sample.peer);
    }
    chosen.extend(optimistic.iter().copied().take(slots.total - chosen.len()));
    chosen
}

/// Whether the optimistic slots move on in this round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rotation {
    Due,
    NotDue,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(number: u64) -> PeerKey {
        PeerKey::from_u64((1 << 32) | number)
    }

    fn sample(number: u64, received: u64) -> Sample {
        Sample {
            peer: peer(number),
            received,
            sent: 0,
            sent_this_turn: 0,
            since: Duration::from_secs(10),
            unchoked: false,
            is_new: false,
        }
    }

    const SLOTS: Slots = Slots { total: 8, piece_length: 1 };

    #[test]
    fn never_more_than_the_slots_and_the_best_senders_are_in() {
        for seed in 0..50 {
            let mut rng = Rng::with_seed(seed);
            let samples: Vec<Sample> = (0..30).map(|number| sample(number, number * 100)).collect();
            let mut optimistic = BTreeSet::new();
            let chosen = choose(&samples, SLOTS, Rank::Leeching, Rotation::Due, &mut optimistic, &mut rng);
            assert_eq!((chosen.len(), optimistic.len()), (8, 1));
            assert!((23..30).all(|number| chosen.contains(&peer(number))));
        }
    }

    #[test]
    fn everybody_gets_an_optimistic_slot_in_time() {
        let mut rng = Rng::with_seed(3);
        let (mut optimistic, mut seen) = (BTreeSet::new(), BTreeSet::new());
        for _ in 0..400 {
            let samples: Vec<Sample> = (0..20).map(|number| sample(number, number * 100)).collect();
            seen.extend(choose(&samples, SLOTS, Rank::Leeching, Rotation::Due, &mut optimistic, &mut rng));
        }
        assert_eq!(seen.len(), 20);
    }

    #[test]
    fn who_never_got_anything_starts_before_those_who_wait_longer() {
        let mut rng = Rng::with_seed(3);
        let mut samples: Vec<Sample> = (0..20).map(|number| sample(number, number * 100)).collect();
        for waiting in &mut samples {
            waiting.since = Duration::from_secs(300);
        }
        samples[4] = Sample { since: Duration::from_secs(1), is_new: true, ..samples[4] };
        let starts = |_: &u32| {
            let mut optimistic = BTreeSet::new();
            choose(&samples, SLOTS, Rank::Leeching, Rotation::Due, &mut optimistic, &mut rng);
            optimistic.contains(&peer(4))
        };
        let count = (0..400).filter(starts).count();
        assert!((260..340).contains(&count), "{count} of 400");
    }

    #[test]
    fn a_seed_gives_turns() {
        let mut rng = Rng::with_seed(3);
        let mut samples: Vec<Sample> = (0..9).map(|number| sample(number, 0)).collect();
        for served in samples.iter_mut().take(8) {
            *served = Sample { unchoked: true, sent: 1_000, sent_this_turn: 100, since: TURN, ..*served };
        }
        let chosen = choose(&samples, SLOTS, Rank::Seeding, Rotation::Due, &mut BTreeSet::new(), &mut rng);
        assert!(chosen.contains(&peer(8)));
    }
}
