//! Nodes between classic peers and browsers: blocks cross, nothing is stored, nothing is promised that nobody has.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

use anatomic_engine::{Config, Role, State};
use anatomic_sim::{Content, HostConfig, HostId, World};
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

fn node_config() -> HostConfig {
    let base = HostConfig::default();
    HostConfig {
        engine: Config { role: Role::Node, max_peers: 500, max_peers_per_address: 100, ..base.engine },
        up: Some(50_000_000),
        ..base
    }
}

/// A tab: no address of its own, no tracker in reach.
fn tab_config() -> HostConfig {
    let base = HostConfig::default();
    HostConfig {
        engine: Config {
            listen_port: None,
            schemes: anatomic_engine::Schemes { http: false, udp: false, ws: true },
            ..base.engine
        },
        ..base
    }
}

fn tab(world: &mut World, content: &Content, node: HostId) -> HostId {
    let tab = world.host(tab_config());
    let key = world.leech(tab, content);
    attach(world, content, node, (tab, key));
    tab
}

fn attach(world: &mut World, content: &Content, node: HostId, tab: (HostId, anatomic_engine::TorrentKey)) {
    let bridged = world.at(node).torrent(content.info_hash()).unwrap();
    world.join(tab, (node, bridged));
}

#[test]
fn tabs_download_from_a_classic_seed_and_each_block_is_fetched_once() {
    let mut world = World::new(1);
    let content = Content::random(1, 4_000_000, 65_536);
    let seed = world.host(HostConfig::default());
    world.seed(seed, &content);
    let node = world.host(node_config());
    world.bridge(node, &content);
    world.run(Duration::from_secs(1));
    let tabs: Vec<HostId> = (0..6).map(|_| tab(&mut world, &content, node)).collect();
    assert!(world.run_until(2 * MINUTE, |world| tabs.iter().all(|tab| world.is_complete(*tab, &content))));
    let sent = world.counters(seed, &content).uploaded;
    assert!(sent <= 4_000_000 + 20 * 16_384, "the seed sent {sent} bytes for six tabs");
    world.run(Duration::from_secs(5));
    assert!(world.at(node).stores.values().all(|store| store.writes == 0));
    assert_eq!(world.view(node, &content).state, State::Seeding);
    for tab in tabs {
        let peers = world.view(tab, &content).peers;
        assert_eq!((peers.len(), peers[0].role), (1, Role::Node));
        assert_eq!(peers[0].behind.map(|behind| (behind.tcp, behind.seeds)), Some((1, 1)));
    }
}

#[test]
fn a_tab_seeds_to_classic_leeches() {
    let mut world = World::new(2);
    let content = Content::random(2, 2_000_000, 65_536);
    let node = world.host(node_config());
    world.bridge(node, &content);
    let tab = world.host(tab_config());
    let key = world.seed(tab, &content);
    attach(&mut world, &content, node, (tab, key));
    let leeches: Vec<HostId> = (0..3).map(|_| world.host(HostConfig::default())).collect();
    for leech in &leeches {
        world.leech(*leech, &content);
    }
    assert!(
        world.run_until(2 * MINUTE, |world| leeches.iter().all(|leech| world.is_complete(*leech, &content)))
    );
    // The leeches help each other: the tab sends little more than once.
    let sent = world.counters(tab, &content).uploaded;
    assert!(sent < 2 * 2_000_000, "{sent}");
}

#[test]
fn a_magnet_in_a_tab_starts_through_the_node() {
    let mut world = World::new(3);
    let content = Content::random(3, 2_000_000, 65_536);
    let seed = world.host(HostConfig::default());
    world.seed(seed, &content);
    let node = world.host(node_config());
    world.bridge(node, &content);
    world.run(Duration::from_secs(1));
    let tab = world.host(tab_config());
    let key = world.magnet(tab, &content);
    attach(&mut world, &content, node, (tab, key));
    let start = world.now;
    assert!(world.run_until(MINUTE, |world| world.view(tab, &content).metainfo.is_some()));
    assert!(world.now.since(start) < Duration::from_millis(100));
    assert!(world.run_until(MINUTE, |world| world.is_complete(tab, &content)));
}

#[test]
fn several_channels_to_one_node_all_carry_blocks() {
    let mut world = World::new(4);
    let content = Content::random(4, 6_000_000, 65_536);
    let seed = world.host(HostConfig::default());
    world.seed(seed, &content);
    let node = world.host(node_config());
    world.bridge(node, &content);
    world.run(Duration::from_secs(1));
    let tab = world.host(tab_config());
    let key = world.leech(tab, &content);
    for _ in 0..4 {
        attach(&mut world, &content, node, (tab, key));
    }
    world.run(Duration::from_secs(1));
    let peers = world.view(tab, &content).peers;
    assert_eq!(peers.len(), 4);
    assert!(peers.iter().all(|peer| peer.downloaded > 0));
    assert!(world.run_until(MINUTE, |world| world.is_complete(tab, &content)));
    assert!(world.counters(tab, &content).wasted < 10 * 16_384);
}

#[test]
fn a_node_that_restarts_costs_time_and_nothing_else() {
    let mut world = World::new(5);
    let content = Content::random(5, 8_000_000, 65_536);
    let seed = world.host(HostConfig { up: Some(1_000_000), ..HostConfig::default() });
    world.seed(seed, &content);
    let first = world.host(node_config());
    world.bridge(first, &content);
    world.run(Duration::from_secs(1));
    let tab = tab(&mut world, &content, first);
    assert!(world.run_until(MINUTE, |world| world.view(tab, &content).done > 2_000_000));
    world.set_up(first, false);
    world.run(Duration::from_secs(5));
    let second = world.host(node_config());
    world.bridge(second, &content);
    world.run(Duration::from_secs(2));
    let key = world.at(tab).torrent(content.info_hash()).unwrap();
    attach(&mut world, &content, second, (tab, key));
    assert!(world.run_until(MINUTE, |world| world.is_complete(tab, &content)));
    assert_eq!(world.counters(tab, &content).wasted, 0);
}

#[test]
fn three_nodes_never_promise_a_piece_that_none_of_them_can_get() {
    for shape in 0..8u32 {
        let mut world = World::new(u64::from(shape));
        let content = Content::random(9, 1_000_000, 65_536);
        let nodes: Vec<HostId> = (0..3).map(|_| world.host(node_config())).collect();
        for node in &nodes {
            world.bridge(*node, &content);
        }
        // The nodes are connected to each other by data channels too, in every shape.
        for (bit, (a, b)) in [(0, 1), (1, 2), (2, 0)].into_iter().enumerate() {
            if shape & (1 << bit) != 0 {
                let key = world.at(nodes[a]).torrent(content.info_hash()).unwrap();
                attach(&mut world, &content, nodes[b], (nodes[a], key));
            }
        }
        let tabs: Vec<HostId> = nodes.iter().map(|node| tab(&mut world, &content, *node)).collect();
        let seed = world.host(HostConfig { up: Some(200_000), ..HostConfig::default() });
        world.seed(seed, &content);
        assert!(
            world.run_until(MINUTE, |world| tabs.iter().all(|tab| world.view(*tab, &content).done > 100_000))
        );
        // The only source goes; after the grace time no tab sees a piece that no tab has.
        world.set_up(seed, false);
        world.run(MINUTE);
        let had: Vec<_> = tabs.iter().filter_map(|tab| world.view(*tab, &content).have).collect();
        for tab in &tabs {
            for peer in world.view(*tab, &content).peers {
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
                let promised = (peer.progress * 16.0).round() as u32;
                let most = (0..16)
                    .filter(|piece| had.iter().any(|have| have.has(anatomic_core::PieceIndex(*piece))))
                    .count() as u32;
                assert!(promised <= most, "shape {shape}: promised {promised}, there are {most}");
            }
        }
        // Back again, everybody completes.
        world.set_up(seed, true);
        assert!(
            world.run_until(10 * MINUTE, |world| tabs.iter().all(|tab| world.is_complete(*tab, &content))),
            "shape {shape}"
        );
    }
}

#[test]
fn a_liar_behind_the_node_is_banned_and_tabs_complete() {
    for seed in 0..3 {
        let mut world = World::new(seed);
        let content = Content::random(seed, 2_000_000, 65_536);
        let honest = world.host(HostConfig::default());
        world.seed(honest, &content);
        let liar = world.host(HostConfig { fault: anatomic_sim::Fault::Liar(4), ..HostConfig::default() });
        world.seed(liar, &content);
        let node = world.host(node_config());
        world.bridge(node, &content);
        world.run(Duration::from_secs(1));
        let tabs: Vec<HostId> = (0..2).map(|_| tab(&mut world, &content, node)).collect();
        assert!(
            world.run_until(5 * MINUTE, |world| tabs.iter().all(|tab| world.is_complete(*tab, &content))),
            "seed {seed}: {:?}",
            tabs.iter().map(|tab| world.view(*tab, &content)).collect::<Vec<_>>()
        );
        assert_eq!(world.connections(node), 3, "only the liar is gone");
    }
}

#[test]
fn a_node_is_served_though_all_slots_are_taken() {
    let mut world = World::new(7);
    let content = Content::random(7, 6_000_000, 65_536);
    let node = world.host(node_config());
    world.bridge(node, &content);
    let seed = world.host(HostConfig { up: Some(400_000), ..tab_config() });
    let key = world.seed(seed, &content);
    // Tabs without a node take all slots first.
    for _ in 0..12 {
        let other = world.host(HostConfig { up: Some(1), ..tab_config() });
        let theirs = world.leech(other, &content);
        world.join((other, theirs), (seed, key));
    }
    world.run(Duration::from_secs(1));
    attach(&mut world, &content, node, (seed, key));
    let leech = world.host(HostConfig::default());
    world.leech(leech, &content);
    assert!(world.run_until(Duration::from_secs(10), |world| world.view(leech, &content).done > 0));
}
