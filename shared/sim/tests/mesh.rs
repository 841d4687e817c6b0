//! Rules of peer-sharing among whole nodes: forming, healing, splits, wrong clocks. Each run prints its seed when it fails.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use anatomic_core::{InfoHash, PeerId};
use anatomic_mesh::Key;
use anatomic_mesh::sharing::{Config, Contact, Counters};
use anatomic_sim::mesh::MeshWorld;
use anatomic_wire::tracker::websocket::{Offer, OfferId};
use std::collections::BTreeSet;
use std::time::Duration;

const HASH: InfoHash = InfoHash([5; 20]);

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn world(nodes: usize, seed: u64) -> MeshWorld {
    println!("seed {seed}");
    MeshWorld::new(nodes, Config::default(), seed)
}

fn peer(number: u16) -> Contact {
    Contact::Address(format!("8.8.{}.{}:6881", number / 250, number % 250 + 1).parse().unwrap())
}

/// Nodes 0, 1 and 2 hold one torrent and have met.
fn three(nodes: usize, seed: u64) -> MeshWorld {
    let mut world = world(nodes, seed);
    world.plant(HASH, &[0, 1, 2]);
    world.run(secs(30));
    assert_eq!(world.connections(), 3, "each pair has one connection");
    world
}

fn counters(world: &mut MeshWorld, node: usize) -> Counters {
    world.sharing(node).unwrap().counters()
}

fn guests(world: &MeshWorld, node: usize) -> usize {
    world.nodes[node].swarms.get(&HASH).map_or(0, |swarm| swarm.guests.len())
}

#[test]
fn every_pair_of_a_torrent_s_nodes_keeps_one_connection_opened_by_the_smaller_key() {
    for seed in 0..20 {
        let mut world = world(8, seed);
        world.plant(HASH, &[0, 1, 2, 3, 4, 5, 6, 7]);
        world.run(secs(60));
        assert_eq!(world.connections(), 28, "seed {seed}");
        let sessions: u64 = (0..8).map(|node| counters(&mut world, node).sessions).sum();
        assert_eq!(sessions, 56, "seed {seed}: none was opened twice");
        world.run(secs(3_600));
        assert_eq!(world.connections(), 28, "seed {seed}");
    }
}

#[test]
fn nodes_of_many_torrents_keep_one_connection_for_all_of_them() {
    let mut world = world(3, 1);
    for number in 0..200 {
        world.plant(InfoHash([number; 20]), &[0, 1, 2]);
    }
    world.run(secs(60));
    assert_eq!(world.connections(), 3);
    for node in 0..3 {
        for sister in world.sharing(node).unwrap().sisters(anatomic_core::Time::ZERO) {
            assert_eq!(sister.torrents, 200);
        }
    }
}

#[test]
fn a_seed_is_known_everywhere_within_a_second_where_a_swarm_waits_and_within_fifteen_otherwise() {
    let mut worst = Duration::ZERO;
    for seed in 0..50 {
        let mut world = three(3, seed);
        world.come(2, HASH, peer(1), false);
        world.run(secs(1) + Duration::from_millis(u64::from(seed as u16) * 37));
        let begun = world.now;
        world.come(0, HASH, peer(2), true);
        world.run(secs(5));
        let known = world.nodes[2].swarms[&HASH].seed_known.expect("it is known");
        worst = worst.max(known.since(begun));
    }
    println!("known where a swarm waits after at most {worst:?}");
    assert!(worst <= secs(1), "{worst:?}");

    let mut worst = Duration::ZERO;
    for seed in 0..50 {
        let mut world = three(3, seed);
        // Nobody waits, and news go out all the time.
        for number in 0..100 {
            world.come(number as usize % 3, HASH, peer(number), number < 3);
            world.run(Duration::from_millis(230));
        }
        let begun = world.now;
        world.come(0, HASH, peer(1_000), true);
        let mut known = None;
        while known.is_none() {
            world.run(Duration::from_millis(50));
            let at = |node: usize| world.nodes[node].swarms[&HASH].guests.contains(&peer(1_000));
            known = (at(1) && at(2)).then(|| world.now.since(begun));
            assert!(world.now.since(begun) < secs(20));
        }
        worst = worst.max(known.unwrap());
    }
    println!("known where nobody waits after at most {worst:?}");
    assert!(worst <= secs(15), "{worst:?}");
}

#[test]
fn what_is_told_is_told_once() {
    let mut world = three(3, 4);
    for number in 0..60 {
        world.come(usize::from(number % 3), HASH, peer(number), false);
    }
    world.run(secs(60));
    let before: Vec<_> = (0..3).map(|node| counters(&mut world, node)).collect();
    assert!(before.iter().all(|counters| counters.told == 40 && counters.gained == 40), "{before:#?}");
    assert!((0..3).all(|node| guests(&world, node) == 40));
    world.run(secs(300));
    let after: Vec<_> = (0..3).map(|node| counters(&mut world, node)).collect();
    assert!(after.iter().all(|counters| counters.told == 40), "silence costs signs of life only");
    let bytes = after[0].sent_bytes - before[0].sent_bytes;
    assert!(bytes < 2 * 16 * 40, "two sisters, one empty message each in 20 s: {bytes} bytes in 300 s");
}

#[test]
fn a_split_heals_without_a_storm_and_nothing_is_told_twice() {
    for seed in 0..10 {
        let mut world = three(3, seed);
        world.supernodes = false;
        for number in 0..150 {
            world.come(usize::from(number % 3), HASH, peer(number), number < 3);
        }
        world.run(secs(60));
        let before = counters(&mut world, 2);

        world.nodes[2].part = 1;
        world.run(secs(150));
        // On both sides some come and some go.
        for number in 150..170 {
            world.come(usize::from(number % 2) * 2, HASH, peer(number), false);
        }
        for number in 0..15 {
            world.go(usize::from(number % 3), HASH, &peer(number));
        }
        world.run(secs(150));
        assert_eq!(world.connections(), 1, "seed {seed}");

        world.nodes[2].part = 0;
        let healed = world.now;
        while world.connections() < 3 {
            world.run(secs(1));
            assert!(world.now.since(healed) < secs(120), "seed {seed}: whole again within two minutes");
        }
        world.run(secs(15));
        let after = counters(&mut world, 2);
        // Two sisters are told of the ten that came here, and two tell of the ten that came to node 0.
        assert_eq!((after.told - before.told, after.gained - before.gained), (20, 10), "seed {seed}");
        assert_eq!(after.resumed - before.resumed, 2, "seed {seed}");
        let messages = after.sent - before.sent;
        assert!(messages < 120, "seed {seed}: {messages} messages");
        for node in 0..3 {
            let own = world.nodes[node].swarms[&HASH].own.len();
            assert_eq!(own + guests(&world, node), 155, "seed {seed}: everyone knows everyone");
        }
    }
}

#[test]
fn halves_that_each_replaced_the_other_become_one_again_with_every_peer_once() {
    const HALF: usize = 5;
    const NODES: usize = 2 * HALF;
    const TORRENTS: u8 = 20;
    let hash = |torrent: u8| InfoHash([torrent + 1; 20]);
    for seed in 0..10 {
        let mut world = world(NODES, seed);
        // Each torrent on two nodes of one half and one of the other; with supernodes in both halves, each finds others for
        // those it lost.
        for torrent in 0..TORRENTS {
            let first = usize::from(torrent) % HALF;
            world.plant(hash(torrent), &[first, (first + 1) % HALF, HALF + first]);
        }
        for number in 0..200 {
            let torrent = (number % u16::from(TORRENTS)) as u8;
            let first = usize::from(torrent) % HALF;
            world.come(
                [first, HALF + first][usize::from(number / 100)],
                hash(torrent),
                peer(number),
                number < 20,
            );
        }
        world.run(secs(60));
        let totals = |world: &mut MeshWorld| {
            let all = (0..NODES).map(|node| counters(world, node));
            all.fold((0, 0), |(sent, told), one| (sent + one.sent, told + one.told))
        };
        let whole = world.connections();
        assert_eq!(world.replaced, 0, "seed {seed}");

        for node in HALF..NODES {
            world.nodes[node].part = 1;
        }
        let (before, _) = totals(&mut world);
        world.run(secs(300));
        let (apart, told) = totals(&mut world);
        let (replaced, asked) = (world.replaced, world.asked);
        assert!(replaced >= usize::from(TORRENTS), "seed {seed}: both halves looked for others: {replaced}");

        for node in HALF..NODES {
            world.nodes[node].part = 0;
        }
        world.run(secs(120));
        let (healed, told_after) = totals(&mut world);
        assert!(world.connections() >= whole, "seed {seed}: within two minutes");
        assert_eq!(world.replaced, replaced, "seed {seed}: nobody is replaced who is there");
        for torrent in 0..TORRENTS {
            let holders: Vec<usize> =
                (0..NODES).filter(|node| world.nodes[*node].swarms.contains_key(&hash(torrent))).collect();
            for node in holders {
                let now = world.now;
                let known = world.sharing(node).unwrap().holders(now, &hash(torrent));
                assert!(known.len() <= 7, "seed {seed}: {known:?}");
                let swarm = &world.nodes[node].swarms[&hash(torrent)];
                // Guests are keyed by contact; what is to be seen is that none is missing and none is counted twice.
                let guests = swarm.guests.counts(|contact| swarm.own.contains_key(contact));
                let own = swarm.own.len() as u32;
                assert_eq!(own + guests.peers(), 10, "seed {seed}: node {node}, torrent {torrent}");
            }
        }
        let (quiet, loud) = (apart - before, healed - apart);
        println!(
            "seed {seed}: {replaced} replaced; {quiet} messages in 300 s apart, {loud} in 120 s after; told {}; asked {asked}",
            told_after - told
        );
        // Each node with each other one at most: a handshake, receipts, a batch or two, signs of life.
        let pairs = NODES as u64 * (NODES as u64 - 1);
        assert!(loud < 15 * pairs, "seed {seed}: {loud} messages are a storm");
        world.run(secs(120));
        let (later, _) = totals(&mut world);
        assert!(later - healed < 8 * pairs, "seed {seed}: it calms down: {}", later - healed);
    }
}

#[test]
fn a_node_that_is_not_heard_of_is_replaced_within_two_minutes() {
    for seed in 0..10 {
        let mut world = three(6, seed);
        world.come(0, HASH, peer(1), true);
        world.come(1, HASH, peer(2), false);
        world.run(secs(20));
        world.kill(2);
        world.run(secs(120));
        let holders: BTreeSet<Key> = world
            .sharing(0)
            .unwrap()
            .holders(anatomic_core::Time::from_secs(1_000_170), &HASH)
            .into_iter()
            .filter(|(_, lives)| *lives)
            .map(|(key, _)| key)
            .collect();
        assert_eq!(
            (world.replaced, holders.len()),
            (1, 2),
            "seed {seed}: by one of the two that are left, once"
        );
        assert_eq!(world.connections(), 3, "seed {seed}: the newcomer has met both");
        let newcomer = (3..6).find(|node| guests(&world, *node) > 0).expect("it was told");
        assert_eq!(guests(&world, newcomer), 2, "seed {seed}");
    }
}

#[test]
fn after_two_of_three_nodes_died_the_receipts_of_three_name_each_other_within_two_minutes() {
    for seed in 0..20 {
        let mut world = three(6, seed);
        world.kill(1);
        // The second dies before the first counts as lost, or with a replacement under way, or after it.
        world.run(secs(seed * 8));
        world.kill(2);
        world.run(secs(125));
        let now = world.now;
        let lives = |world: &mut MeshWorld, node: usize| world.nodes[node].sharing.is_some();
        let holders: Vec<usize> =
            (0..6).filter(|node| lives(&mut world, *node) && world.named(*node, &HASH).is_some()).collect();
        assert_eq!(holders.len(), 3, "seed {seed}");
        for node in &holders {
            let others: BTreeSet<Key> =
                holders.iter().filter(|other| *other != node).map(|other| world.key(*other)).collect();
            let named: BTreeSet<Key> = world.named(*node, &HASH).unwrap().into_iter().collect();
            assert_eq!(named, others, "seed {seed}: the receipt of node {node}");
            let known = world.sharing(*node).unwrap().holders(now, &HASH);
            let living: BTreeSet<Key> =
                known.into_iter().filter(|(_, lives)| *lives).map(|(key, _)| key).collect();
            assert_eq!(living, others, "seed {seed}: whom node {node} knows");
        }
    }
}

#[test]
fn sisters_meet_without_supernodes_when_one_knows_both() {
    let mut world = world(3, 9);
    world.supernodes = false;
    world.plant(HASH, &[0, 1, 2]);
    world.run(secs(20));
    assert_eq!(world.connections(), 0, "nobody knows where anybody is");
    // Node 0 finds the others once; everything else they tell each other.
    world.supernodes = true;
    while world.connections() < 1 {
        world.run(Duration::from_millis(200));
    }
    world.supernodes = false;
    world.run(secs(60));
    assert_eq!(world.connections(), 3);
}

#[test]
fn a_restarted_node_is_told_everything_again_and_replaced_by_nobody() {
    let mut world = three(5, 3);
    for number in 0..10 {
        world.come(0, HASH, peer(number), false);
    }
    world.run(secs(30));
    world.kill(1);
    world.run(secs(40));
    world.start(1);
    world.run(secs(90));
    assert_eq!((world.replaced, world.connections(), guests(&world, 1)), (0, 3, 10));
}

#[test]
fn clocks_that_are_wrong_by_an_hour_do_not_matter() {
    for (seed, clocks) in [(1, [3_600, -3_600, 0]), (2, [0, 3_600, 3_600]), (3, [-3_600, 0, 3_600])] {
        let mut world = world(3, seed);
        for (node, clock) in clocks.into_iter().enumerate() {
            world.nodes[node].clock = clock;
            world.start(node);
        }
        world.plant(HASH, &[0, 1, 2]);
        world.run(secs(30));
        assert_eq!(world.connections(), 3, "seed {seed}");
        world.come(0, HASH, peer(1), true);
        world.run(secs(15));
        for node in [1, 2] {
            assert_eq!(guests(&world, node), 1, "seed {seed}");
            let counters = counters(&mut world, node);
            assert_eq!((counters.bad_receipts, counters.stale, counters.malformed), (0, 0, 0), "seed {seed}");
        }
        // Its age counts by the receiver's clock: it is gone after its lifetime and not before.
        let now = world.now;
        for (after, left) in [(2_300, 1), (2_500, 0)] {
            let swarm = world.nodes[1].swarms.get_mut(&HASH).unwrap();
            swarm.guests.expire(now + secs(after));
            assert_eq!(swarm.guests.len(), left, "seed {seed}");
        }
    }
}

#[test]
fn an_offer_crosses_to_the_sister_and_its_answer_comes_back() {
    let mut world = three(3, 6);
    let (here, there) = (world.key(0), world.key(1));
    let now = world.now;
    let offer = Offer { id: OfferId([1; 20]), sdp: "v=0\r\n".into() };
    world.sharing(0).unwrap().forward(now, there, HASH, PeerId([1; 20]), None, offer.clone());
    world.drive(0);
    world.run(Duration::from_millis(60));
    assert_eq!(world.nodes[1].signals, [(HASH, here, false)], "one way of 50 ms");
    let now = world.now;
    world.sharing(1).unwrap().forward(now, here, HASH, PeerId([2; 20]), Some(PeerId([1; 20])), offer);
    world.drive(1);
    world.run(Duration::from_millis(60));
    assert_eq!(world.nodes[0].signals, [(HASH, there, true)]);
    assert!(world.nodes[2].signals.is_empty());
}

#[test]
fn an_unplanted_torrent_is_spoken_of_no_more() {
    let mut world = three(3, 8);
    world.come(0, HASH, peer(1), true);
    world.run(secs(15));
    world.unplant(HASH, 2);
    world.run(secs(60));
    world.come(0, HASH, peer(2), true);
    world.run(secs(20));
    assert_eq!((guests(&world, 1), guests(&world, 2)), (2, 1));
    assert_eq!(counters(&mut world, 2).without_receipt, 0);
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = || {
        let mut world = three(4, 12);
        for number in 0..40 {
            world.come(usize::from(number % 3), HASH, peer(number), number % 9 == 0);
            world.run(Duration::from_millis(700));
        }
        world.kill(1);
        world.run(secs(200));
        [0, 2, 3].map(|node| counters(&mut world, node))
    };
    assert_eq!(run(), run());
}
