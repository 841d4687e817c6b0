//! Rules of the switch, one test a rule.

use super::*;

type TestSwitch = Switch<u8, u8>;
type TestCache = BlockCache<u8, u8>;

const SEED: u8 = 1;
const OTHER_SEED: u8 = 2;
const TAB: u8 = 11;
const OTHER_TAB: u8 = 12;

fn geometry() -> Geometry {
    Geometry::new(8 * 32 * 1024, 32 * 1024).unwrap()
}

fn block(piece: u32, index: u32) -> Block {
    geometry().block(PieceIndex(piece), BlockIndex(index)).unwrap()
}

fn data(block: Block) -> Bytes {
    Bytes::from(vec![u8::try_from(block.piece.0).unwrap(); block.length as usize])
}

/// A switch with one ready seed on the classic side.
fn switch() -> (TestSwitch, TestCache) {
    let mut switch = Switch::new(0, geometry());
    switch.join(SEED, Side::Classic, Bitfield::full(8));
    switch.set_ready(SEED, true);
    (switch, BlockCache::new(1 << 20))
}

fn request(switch: &mut TestSwitch, cache: &mut TestCache, peer: u8, range: Block) -> Vec<Action<u8>> {
    let mut actions = Vec::new();
    switch.requested(cache, peer, Side::Browser, range, &mut actions);
    switch.assign(|_| 100, &mut actions);
    actions
}

fn deliver(switch: &mut TestSwitch, cache: &mut TestCache, from: u8, range: Block) -> Vec<Action<u8>> {
    let mut actions = Vec::new();
    switch.arrived(cache, from, range, data(range), &mut actions);
    actions
}

#[test]
fn many_tabs_that_want_one_block_cost_one_fetch() {
    let (mut switch, mut cache) = switch();
    assert_eq!(
        request(&mut switch, &mut cache, TAB, block(0, 0)),
        [Action::Fetch { from: SEED, block: block(0, 0) }]
    );
    assert_eq!(request(&mut switch, &mut cache, OTHER_TAB, block(0, 0)), []);
    let sent = deliver(&mut switch, &mut cache, SEED, block(0, 0));
    let to: Vec<u8> =
        sent.iter().map(|action| if let Action::Send { to, .. } = action { *to } else { 0 }).collect();
    assert_eq!(to, [TAB, OTHER_TAB]);
    assert_eq!((switch.counters().fetched, switch.counters().forwarded, switch.counters().joined), (1, 2, 1));
}

#[test]
fn a_block_still_in_memory_is_not_fetched_again() {
    let (mut switch, mut cache) = switch();
    request(&mut switch, &mut cache, TAB, block(0, 0));
    deliver(&mut switch, &mut cache, SEED, block(0, 0));
    let sent = request(&mut switch, &mut cache, OTHER_TAB, block(0, 0));
    assert!(matches!(sent.as_slice(), [Action::Send { to: OTHER_TAB, .. }]));
    assert_eq!(switch.counters().cache_hits, 1);
}

#[test]
fn nothing_is_fetched_that_nobody_asked_for() {
    let (mut switch, _) = switch();
    let mut actions = Vec::new();
    switch.assign(|_| 100, &mut actions);
    assert_eq!(actions, []);
}

#[test]
fn a_request_that_nobody_can_serve_is_rejected() {
    let mut switch: TestSwitch = Switch::new(0, geometry());
    // A tab's own side does not count: it meets those peers directly.
    switch.join(OTHER_TAB, Side::Browser, Bitfield::full(8));
    let mut cache = BlockCache::new(1 << 20);
    assert_eq!(
        request(&mut switch, &mut cache, TAB, block(3, 1)),
        [Action::Reject { to: TAB, block: block(3, 1) }]
    );
}

#[test]
fn a_range_over_two_blocks_is_sent_once_when_both_are_here() {
    let (mut switch, mut cache) = switch();
    let range = geometry().checked(0, 16_000, 1_000).unwrap();
    assert_eq!(request(&mut switch, &mut cache, TAB, range).len(), 2);
    assert_eq!(deliver(&mut switch, &mut cache, SEED, block(0, 0)), []);
    let sent = deliver(&mut switch, &mut cache, SEED, block(0, 1));
    assert!(
        matches!(&sent[..], [Action::Send { to: TAB, block, data }, Action::Hash { .. }] if *block == range && data.len() == 1_000)
    );
}

#[test]
fn a_cancel_of_the_last_waiter_takes_the_fetch_back() {
    let (mut switch, mut cache) = switch();
    request(&mut switch, &mut cache, TAB, block(0, 0));
    request(&mut switch, &mut cache, OTHER_TAB, block(0, 0));
    let mut actions = Vec::new();
    switch.cancelled(TAB, block(0, 0), &mut actions);
    assert_eq!(actions, []);
    switch.cancelled(OTHER_TAB, block(0, 0), &mut actions);
    assert_eq!(actions, [Action::Cancel { from: SEED, block: block(0, 0) }]);
}

#[test]
fn what_a_seed_that_left_was_asked_for_is_asked_of_another() {
    let (mut switch, mut cache) = switch();
    request(&mut switch, &mut cache, TAB, block(0, 0));
    switch.join(OTHER_SEED, Side::Classic, Bitfield::full(8));
    switch.set_ready(OTHER_SEED, true);
    let mut actions = Vec::new();
    switch.leave(SEED, &mut actions);
    switch.assign(|_| 100, &mut actions);
    assert_eq!(actions, [Action::Fetch { from: OTHER_SEED, block: block(0, 0) }]);
}

#[test]
fn when_the_last_source_leaves_its_waiters_are_rejected() {
    let (mut switch, mut cache) = switch();
    request(&mut switch, &mut cache, TAB, block(0, 0));
    let mut actions = Vec::new();
    switch.leave(SEED, &mut actions);
    switch.reject_orphans(&mut actions);
    assert_eq!(actions, [Action::Reject { to: TAB, block: block(0, 0) }]);
}

#[test]
fn no_peer_is_asked_for_more_than_its_room() {
    let (mut switch, mut cache) = switch();
    let mut actions = Vec::new();
    for piece in 0..8 {
        switch.requested(&mut cache, TAB, Side::Browser, block(piece, 0), &mut actions);
    }
    switch.assign(|_| 3, &mut actions);
    assert_eq!(actions.len(), 3);
    switch.assign(|_| 2, &mut actions);
    assert_eq!(actions.len(), 5);
}

#[test]
fn the_blocks_of_a_piece_come_from_one_peer_while_it_has_room() {
    let (mut switch, mut cache) = switch();
    switch.join(OTHER_SEED, Side::Classic, Bitfield::full(8));
    switch.set_ready(OTHER_SEED, true);
    for piece in 0..8 {
        let first = request(&mut switch, &mut cache, TAB, block(piece, 0));
        let second = request(&mut switch, &mut cache, TAB, block(piece, 1));
        let from = |actions: &[Action<u8>]| matches!(actions, [Action::Fetch { from: SEED, .. }]);
        assert_eq!(from(&first), from(&second));
    }
}

#[test]
fn a_bad_piece_is_not_forwarded_again_and_its_sole_source_is_banned() {
    let (mut switch, mut cache) = switch();
    for index in 0..2 {
        request(&mut switch, &mut cache, TAB, block(0, index));
        deliver(&mut switch, &mut cache, SEED, block(0, index));
    }
    let mut actions = Vec::new();
    switch.digested(&mut cache, PieceIndex(0), Verdict::Wrong, &mut actions);
    assert_eq!(actions, [Action::Ban { peer: SEED, piece: PieceIndex(0) }]);
    assert_eq!(
        request(&mut switch, &mut cache, TAB, block(0, 0)),
        [Action::Fetch { from: SEED, block: block(0, 0) }]
    );
}

#[test]
fn blocks_of_a_peer_on_parole_are_held_until_the_piece_is_verified() {
    let (mut switch, mut cache) = switch();
    switch.join(OTHER_SEED, Side::Classic, Bitfield::full(8));
    switch.set_ready(OTHER_SEED, true);
    // A piece by two senders fails: both are on parole.
    request(&mut switch, &mut cache, TAB, block(0, 0));
    request(&mut switch, &mut cache, TAB, block(0, 1));
    deliver(&mut switch, &mut cache, SEED, block(0, 0));
    deliver(&mut switch, &mut cache, OTHER_SEED, block(0, 1));
    switch.digested(&mut cache, PieceIndex(0), Verdict::Wrong, &mut Vec::new());
    // The tab asks for one block; the switch fetches the whole piece and sends only after the verdict.
    let asked = request(&mut switch, &mut cache, TAB, block(1, 0));
    let [Action::Fetch { from, .. }] = asked.as_slice() else { panic!("{asked:?}") };
    assert_eq!(deliver(&mut switch, &mut cache, *from, block(1, 0)), []);
    let mut actions = Vec::new();
    switch.assign(|_| 100, &mut actions);
    assert_eq!(actions, [Action::Fetch { from: *from, block: block(1, 1) }]);
    assert!(matches!(deliver(&mut switch, &mut cache, *from, block(1, 1)).as_slice(), [Action::Hash { .. }]));
    let mut actions = Vec::new();
    switch.digested(&mut cache, PieceIndex(1), Verdict::Right, &mut actions);
    assert!(matches!(actions.as_slice(), [Action::Send { to: TAB, .. }]));
}

#[test]
fn a_snubbed_peer_loses_its_requests_to_one_that_is_not() {
    let (mut switch, mut cache) = switch();
    request(&mut switch, &mut cache, TAB, block(0, 0));
    switch.join(OTHER_SEED, Side::Classic, Bitfield::full(8));
    switch.set_ready(OTHER_SEED, true);
    let mut actions = Vec::new();
    switch.snubbed(SEED, &mut actions);
    switch.assign(|_| 100, &mut actions);
    assert_eq!(
        actions,
        [
            Action::Cancel { from: SEED, block: block(0, 0) },
            Action::Fetch { from: OTHER_SEED, block: block(0, 0) }
        ]
    );
}
