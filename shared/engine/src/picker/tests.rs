//! The picker's rules, one a test, and its invariants under random operations.

use super::*;
use crate::keys::PeerKey;

const HABITS: Habits = Habits { random_first: 4, partials_per_peer: 1.5, max_partial_blocks: 2_048 };

static NONE: BTreeSet<PieceIndex> = BTreeSet::new();

fn peer(number: u64) -> PeerKey {
    PeerKey::from_u64((1 << 32) | number)
}

fn picker(pieces: u32, blocks: u32) -> (Picker, Rng) {
    let mut rng = Rng::with_seed(7);
    let piece = blocks * BLOCK_LEN;
    let geometry = Geometry::new(u64::from(pieces) * u64::from(piece), piece).unwrap();
    let picker = Picker::new(geometry, HABITS, Bitfield::empty(pieces), &[], &mut rng);
    (picker, rng)
}

fn who(peer: PeerKey, pieces: &Bitfield) -> Picking<'_> {
    Picking {
        now: Time::ZERO,
        peer,
        pieces,
        speed: Speed::Medium,
        standing: Standing::Good,
        only: None,
        refused: &NONE,
        outstanding: 0,
        current: None,
        memory: u64::MAX,
        peers: 2,
    }
}

fn pick(picker: &mut Picker, who: Picking<'_>, count: usize, rng: &mut Rng) -> Vec<Block> {
    let mut blocks = Vec::new();
    picker.pick(who, count, rng, &mut blocks);
    blocks
}

fn fill_all(picker: &mut Picker, blocks: &[Block], from: PeerKey) {
    for block in blocks {
        let data = Bytes::from(vec![1; block.length as usize]);
        match picker.fill(*block, data, from) {
            Filled::Whole(_) => assert!(picker.passed(block.piece)),
            Filled::Kept(_) => {}
            Filled::Unneeded => panic!("{block:?} was asked for"),
        }
    }
}

#[test]
fn no_block_is_picked_twice_before_the_end_game() {
    let (mut picker, mut rng) = picker(20, 4);
    let all = Bitfield::full(20);
    let mut seen = BTreeSet::new();
    for number in 0..8 {
        for block in pick(&mut picker, who(peer(number % 3), &all), 10, &mut rng) {
            assert!(seen.insert(block), "{block:?}");
        }
    }
    assert_eq!(seen.len(), 80);
    assert!(picker.is_end_game());
}

#[test]
fn the_rarest_piece_comes_first_after_the_first_four() {
    let (mut picker, mut rng) = picker(10, 1);
    for piece in 0..4 {
        picker.found(PieceIndex(piece));
    }
    for piece in (4..10).filter(|piece| *piece != 7) {
        picker.more(PieceIndex(piece));
    }
    let all = Bitfield::full(10);
    assert_eq!(pick(&mut picker, who(peer(1), &all), 1, &mut rng)[0].piece, PieceIndex(7));
    // A snubbed peer gets the most common one.
    picker.more(PieceIndex(5));
    let snubbed = Picking { standing: Standing::Snubbed, ..who(peer(2), &all) };
    assert_eq!(pick(&mut picker, snubbed, 1, &mut rng)[0].piece, PieceIndex(5));
}

#[test]
fn sequential_order_is_ascending() {
    let (mut picker, mut rng) = picker(6, 2);
    picker.set_order(PickOrder::Sequential);
    let all = Bitfield::full(6);
    let blocks = pick(&mut picker, who(peer(1), &all), 12, &mut rng);
    assert!(blocks.is_sorted());
    assert_eq!(blocks.len(), 12);
}

#[test]
fn what_a_reader_waits_for_comes_before_all_else_and_in_order() {
    let (mut picker, mut rng) = picker(50, 2);
    picker.set_window(1, Some(30..33));
    let all = Bitfield::full(50);
    let pieces: Vec<u32> =
        pick(&mut picker, who(peer(1), &all), 6, &mut rng).iter().map(|block| block.piece.0).collect();
    assert_eq!(pieces, [30, 30, 31, 31, 32, 32]);
}

#[test]
fn skipped_pieces_are_not_picked_and_levels_rule() {
    let (mut picker, mut rng) = picker(4, 1);
    picker.set_levels(&[4, 0, 7, 4], &mut rng);
    let all = Bitfield::full(4);
    let pieces: Vec<u32> =
        pick(&mut picker, who(peer(1), &all), 9, &mut rng).iter().map(|block| block.piece.0).collect();
    assert_eq!((pieces.len(), pieces[0]), (3, 2));
    assert!(!pieces.contains(&1));
}

#[test]
fn a_peer_on_parole_fetches_whole_pieces_alone() {
    let (mut picker, mut rng) = picker(3, 2);
    let all = Bitfield::full(3);
    let parole = Picking { standing: Standing::Parole, ..who(peer(1), &all) };
    let first = pick(&mut picker, parole, 1, &mut rng);
    let others = pick(&mut picker, who(peer(2), &all), 9, &mut rng);
    assert!(others.iter().all(|block| block.piece != first[0].piece));
    assert_eq!(others.len(), 4);
    let rest = pick(&mut picker, Picking { current: Some(first[0].piece), ..parole }, 9, &mut rng);
    assert_eq!((rest.len(), rest[0].piece), (1, first[0].piece));
}

#[test]
fn padding_is_never_asked_for() {
    let mut rng = Rng::with_seed(1);
    let geometry = Geometry::new(4 * 65_536, 65_536).unwrap();
    // Padding from the middle of the second block of piece 1 to the end of piece 2.
    let pads = std::iter::once(65_536 + 20_000..3 * 65_536).collect::<Vec<_>>();
    let mut picker = Picker::new(geometry, HABITS, Bitfield::empty(4), &pads, &mut rng);
    let all = Bitfield::full(4);
    let blocks = pick(&mut picker, who(peer(1), &all), 100, &mut rng);
    let count = |piece: u32| blocks.iter().filter(|block| block.piece.0 == piece).count();
    assert_eq!((count(0), count(1), count(2), count(3)), (4, 2, 0, 4));
    assert_eq!(picker.take_whole(), [PieceIndex(2)]);
    assert!(picker.passed(PieceIndex(2)));
    fill_all(&mut picker, &blocks, peer(1));
    assert!(picker.is_done() && picker.have().is_full());
}

#[test]
fn the_end_game_gives_one_busy_block_to_an_idle_peer() {
    let (mut picker, mut rng) = picker(1, 3);
    let all = Bitfield::full(1);
    let slow = pick(&mut picker, who(peer(1), &all), 9, &mut rng);
    assert_eq!(slow.len(), 3);
    let busy = pick(
        &mut picker,
        Picking { outstanding: 1, now: Time::from_secs(1), ..who(peer(2), &all) },
        9,
        &mut rng,
    );
    assert!(busy.is_empty(), "only an idle peer joins in");
    let early = pick(&mut picker, who(peer(2), &all), 9, &mut rng);
    assert!(early.is_empty(), "what is on its way is not fetched twice");
    let now = Time::from_secs(1);
    let fast = pick(&mut picker, Picking { now, ..who(peer(2), &all) }, 9, &mut rng);
    assert_eq!(fast.len(), 1);
    let again = pick(&mut picker, Picking { now, ..who(peer(1), &all) }, 9, &mut rng);
    assert!(again.is_empty(), "never twice of one peer");
    let data = Bytes::from(vec![0; BLOCK_LEN as usize]);
    assert_eq!(picker.fill(fast[0], data.clone(), peer(2)), Filled::Kept(vec![peer(1)]));
    assert_eq!(picker.fill(fast[0], data, peer(1)), Filled::Unneeded);
}

#[test]
fn a_released_block_is_picked_again() {
    let (mut picker, mut rng) = picker(1, 2);
    let all = Bitfield::full(1);
    let blocks = pick(&mut picker, who(peer(1), &all), 2, &mut rng);
    let version = picker.version();
    picker.release(blocks[1], peer(1));
    assert!(picker.version() > version && picker.free_blocks(PieceIndex(0)) == 1);
    assert_eq!(pick(&mut picker, who(peer(2), &all), 2, &mut rng), [blocks[1]]);
}

#[test]
fn memory_bounds_the_begun_pieces() {
    let (mut picker, mut rng) = picker(100, 4);
    let all = Bitfield::full(100);
    let memory = 10 * 4 * u64::from(BLOCK_LEN);
    let blocks = pick(&mut picker, Picking { memory, ..who(peer(1), &all) }, 1_000, &mut rng);
    assert_eq!(blocks.len(), 40);
    fill_all(&mut picker, &blocks[..4], peer(1));
    assert_eq!(pick(&mut picker, Picking { memory, ..who(peer(1), &all) }, 1_000, &mut rng).len(), 4);
}

#[test]
fn random_operations_keep_the_books() {
    for seed in 0..150 {
        let mut rng = Rng::with_seed(seed);
        let pieces = 1 + rng.u32(0..12);
        let length = u64::from(pieces) * 3 * u64::from(BLOCK_LEN) - rng.u64(0..40_000).min(30_000);
        let geometry = Geometry::new(length, 3 * BLOCK_LEN).unwrap();
        let pieces = geometry.pieces();
        let mut picker = Picker::new(geometry, HABITS, Bitfield::empty(pieces), &[], &mut rng);
        let mut asked: Vec<(Block, PeerKey)> = Vec::new();
        for _ in 0..300 {
            let key = peer(rng.u64(0..4));
            let mut set = Bitfield::empty(pieces);
            (0..pieces).filter(|_| rng.u8(0..3) > 0).for_each(|n| _ = set.insert(PieceIndex(n)));
            match rng.u8(0..8) {
                0..=2 => {
                    let standing = [Standing::Good, Standing::Snubbed, Standing::Parole][rng.usize(0..3)];
                    let picking = Picking { standing, ..who(key, &set) };
                    for block in pick(&mut picker, picking, rng.usize(0..6), &mut rng) {
                        assert!(!asked.contains(&(block, key)), "seed {seed}: asked twice of one peer");
                        asked.push((block, key));
                    }
                }
                3 | 4 if !asked.is_empty() => {
                    let (block, from) = asked.swap_remove(rng.usize(0..asked.len()));
                    match picker.fill(block, Bytes::from(vec![0; block.length as usize]), from) {
                        Filled::Whole(_) => {
                            let passed = rng.bool();
                            assert_eq!(
                                picker.blocks(block.piece).blocks.len() as u32,
                                geometry.blocks_of(block.piece)
                            );
                            if passed {
                                picker.passed(block.piece)
                            } else {
                                picker.failed(block.piece, &mut rng)
                            };
                            asked.retain(|(other, _)| other.piece != block.piece);
                        }
                        Filled::Kept(others) => {
                            asked.retain(|(other, who)| *other != block || !others.contains(who))
                        }
                        Filled::Unneeded => {}
                    }
                }
                5 if !asked.is_empty() => {
                    let (block, from) = asked.swap_remove(rng.usize(0..asked.len()));
                    picker.release(block, from);
                }
                6 => {
                    picker.release_reservations(key);
                    let piece = PieceIndex(rng.u32(0..pieces));
                    if rng.bool() { picker.more(piece) } else { picker.fewer(piece) }
                }
                _ => {
                    let levels: Vec<u8> = (0..pieces).map(|_| rng.u8(0..8)).collect();
                    picker.set_levels(&levels, &mut rng);
                }
            }
            picker.check_books();
        }
    }
}

impl Picker {
    fn check_books(&self) {
        for number in 0..self.geometry.pieces() {
            let piece = PieceIndex(number);
            let states =
                [self.have.has(piece), self.partials.contains_key(&piece), self.rarity.is_listed(piece)];
            let count = states.iter().filter(|state| **state).count();
            assert!(count == 1 || (count == 0 && self.level(piece) == 0), "{piece:?} {states:?}");
        }
        for (piece, partial) in &self.partials {
            let free = partial.slots.iter().filter(|slot| matches!(slot, Slot::Free)).count() as u32;
            let here = partial.slots.iter().filter(|slot| matches!(slot, Slot::Here { .. })).count() as u32;
            assert_eq!((partial.free, partial.missing), (free, partial.slots.len() as u32 - here));
            assert_eq!(self.open.contains(piece), free > 0 && !partial.verifying);
        }
        let bytes: u64 = self.partials.keys().map(|piece| u64::from(self.geometry.length_of(*piece))).sum();
        assert_eq!(self.partial_bytes, bytes);
        let done: u64 = self
            .have
            .iter()
            .filter(|p| self.level(*p) > 0)
            .map(|p| u64::from(self.geometry.length_of(p)))
            .sum();
        assert_eq!(self.done_bytes, done);
    }
}
