//! Whole swarms: everybody completes, whatever happens on the way.

use anatomic_engine::{AnnounceEvent, Event, State};
use anatomic_sim::{Content, Draining, Fault, HostConfig, HostId, World};
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

fn swarm(world: &mut World, content: &Content, leeches: usize, config: &HostConfig) -> (HostId, Vec<HostId>) {
    let seed = world.host(config.clone());
    world.seed(seed, content);
    let leeches: Vec<HostId> = (0..leeches).map(|_| world.host(config.clone())).collect();
    for leech in &leeches {
        world.leech(*leech, content);
    }
    (seed, leeches)
}

fn all_complete(world: &World, hosts: &[HostId], content: &Content) -> bool {
    hosts.iter().all(|host| world.is_complete(*host, content))
}

#[test]
fn one_seed_and_one_leech_exchange_exactly_what_is_needed() {
    for (length, piece) in
        [(1_000_000, 65_536), (16_384, 16_384), (1, 16_384), (300_000, 16_384), (100_001, 262_144)]
    {
        let mut world = World::new(1);
        let content = Content::random(1, length, piece);
        let (seed, leeches) = swarm(&mut world, &content, 1, &HostConfig::default());
        assert!(world.run_until(MINUTE, |world| all_complete(world, &leeches, &content)), "{length} {piece}");
        world.run(Duration::from_secs(1));
        let (up, down) = (world.counters(seed, &content), world.counters(leeches[0], &content));
        let blocks = (length as u64).div_ceil(16_384);
        assert_eq!((down.blocks, down.requests, down.wasted, down.doubled), (blocks, blocks, 0, 0));
        assert_eq!((down.downloaded, up.uploaded, up.served), (length as u64, length as u64, blocks));
        assert_eq!(world.view(leeches[0], &content).state, State::Seeding);
        assert_eq!(world.announces(leeches[0], AnnounceEvent::Completed), 1);
        assert_eq!(world.announces(seed, AnnounceEvent::Completed), 0);
        let complete =
            world.at(leeches[0]).events.iter().filter(|(_, event)| *event == Event::Complete).count();
        assert_eq!(complete, 1);
    }
}

#[test]
fn a_fast_leech_asks_for_many_blocks_in_one_write() {
    let mut world = World::new(3);
    let content = Content::random(3, 32 << 20, 1 << 20);
    let config = HostConfig { up: Some(50_000_000), ..HostConfig::default() };
    let (_, leeches) = swarm(&mut world, &content, 1, &config);
    assert!(world.run_until(MINUTE, |world| all_complete(world, &leeches, &content)));
    let (blocks, writes) = (world.counters(leeches[0], &content).blocks, world.at(leeches[0]).writes);
    assert_eq!(blocks, 2048);
    // Sixteen at a time once many are under way; and a `have` for each piece.
    assert!(writes < 2048 / 6, "{writes} writes for {blocks} blocks");
}

#[test]
fn thirty_engines_complete_and_the_seed_sends_little_more_than_once() {
    for seed in [1, 2] {
        let mut world = World::new(seed);
        let content = Content::random(seed, 4_000_000, 32_768);
        let config = HostConfig { up: Some(1_000_000), ..HostConfig::default() };
        let (first, leeches) = swarm(&mut world, &content, 29, &config);
        assert!(world.run_until(10 * MINUTE, |world| all_complete(world, &leeches, &content)));
        let sent = world.counters(first, &content).uploaded;
        assert!(sent < 5 * 4_000_000, "the seed sent {sent} bytes");
        for leech in &leeches {
            let counters = world.counters(*leech, &content);
            assert!(counters.wasted <= 64 * 16_384, "{counters:?}");
            assert_eq!((counters.failed, counters.banned), (0, 0));
        }
    }
}

#[test]
fn several_inputs_in_a_row_are_legal_and_change_nothing_that_matters() {
    for seed in 0..6 {
        let result = |draining| {
            let mut world = World::new(seed);
            world.draining = draining;
            let content = Content::random(seed, 700_000, 32_768);
            let (_, leeches) = swarm(&mut world, &content, 3, &HostConfig::default());
            assert!(world.run_until(5 * MINUTE, |world| all_complete(world, &leeches, &content)));
            world.run(Duration::from_secs(2));
            leeches
                .iter()
                .map(|leech| {
                    let counters = world.counters(*leech, &content);
                    (counters.verified, counters.failed, world.view(*leech, &content).state)
                })
                .collect::<Vec<_>>()
        };
        assert_eq!(result(Draining::EachInput), result(Draining::EachMoment), "seed {seed}");
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = || {
        let mut world = World::new(5);
        let content = Content::random(5, 900_000, 32_768);
        let (_, leeches) = swarm(&mut world, &content, 5, &HostConfig::default());
        assert!(world.run_until(5 * MINUTE, |world| all_complete(world, &leeches, &content)));
        (
            world.now,
            world.steps,
            leeches.iter().map(|leech| world.counters(*leech, &content)).collect::<Vec<_>>(),
        )
    };
    assert_eq!(run(), run());
}

#[test]
fn broken_connections_delay_but_do_not_stop() {
    for seed in 0..4 {
        let mut world = World::new(seed);
        let content = Content::random(seed, 2_000_000, 32_768);
        let config = HostConfig { up: Some(400_000), ..HostConfig::default() };
        let (_, leeches) = swarm(&mut world, &content, 6, &config);
        for _ in 0..600 {
            world.run(Duration::from_millis(300));
            if all_complete(&world, &leeches, &content) {
                break;
            }
            let victim = *world.rng.clone().choice(&leeches).unwrap();
            world.break_one(victim);
        }
        assert!(world.run_until(20 * MINUTE, |world| all_complete(world, &leeches, &content)));
    }
}

#[test]
fn a_liar_is_banned_and_the_download_completes() {
    for seed in 0..5 {
        let mut world = World::new(seed);
        let content = Content::random(seed, 1_500_000, 65_536);
        let (_, leeches) = swarm(&mut world, &content, 2, &HostConfig::default());
        let liar = world.host(HostConfig { fault: Fault::Liar(3), ..HostConfig::default() });
        world.seed(liar, &content);
        assert!(world.run_until(10 * MINUTE, |world| all_complete(world, &leeches, &content)), "seed {seed}");
        let caught = leeches.iter().filter(|leech| world.counters(**leech, &content).failed > 0).count();
        let banned: u64 = leeches.iter().map(|leech| world.counters(*leech, &content).banned).sum();
        assert!(banned as usize >= caught.min(1), "seed {seed}: {caught} saw bad pieces, {banned} bans");
        // Nobody honest was banned: only the liar is.
        assert!(banned <= 2, "seed {seed}: {banned}");
    }
}

#[test]
fn a_peer_that_never_answers_does_not_stall_the_end() {
    let mut world = World::new(3);
    let content = Content::random(3, 2_000_000, 65_536);
    let (_, leeches) = swarm(&mut world, &content, 1, &HostConfig::default());
    let mute = world.host(HostConfig { fault: Fault::Mute, ..HostConfig::default() });
    world.seed(mute, &content);
    assert!(world.run_until(Duration::from_secs(20), |world| all_complete(world, &leeches, &content)));
    assert!(world.counters(leeches[0], &content).doubled > 0);
}

#[test]
fn a_slow_peer_does_not_stall_the_end() {
    let mut world = World::new(4);
    let content = Content::random(4, 8_000_000, 262_144);
    let (_, leeches) = swarm(&mut world, &content, 1, &HostConfig::default());
    let slow = world.host(HostConfig { up: Some(3_000), ..HostConfig::default() });
    world.seed(slow, &content);
    // Alone the fast one needs 1.6 s.
    assert!(world.run_until(Duration::from_secs(6), |world| all_complete(world, &leeches, &content)));
}

#[test]
fn a_path_of_200_ms_is_filled() {
    let mut world = World::new(5);
    let content = Content::random(5, 40_000_000, 262_144);
    let far = HostConfig {
        latency: Duration::from_millis(50),
        up: Some(5_000_000),
        send_buffer: 4_000_000,
        ..HostConfig::default()
    };
    let (_, leeches) = swarm(&mut world, &content, 1, &far);
    let start = world.now;
    assert!(world.run_until(MINUTE, |world| all_complete(world, &leeches, &content)));
    let seconds = world.now.since(start).as_secs_f64();
    // 8 s at full rate; 250 requests of 16 KiB at 200 ms allow 20 MB/s.
    assert!(seconds < 11.0, "{seconds}");
}
