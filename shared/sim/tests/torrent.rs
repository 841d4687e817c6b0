//! One torrent's life: pause, magnet, selection, errors of the store, resume, limits.

use anatomic_core::PieceIndex;
use anatomic_engine::{
    AddTorrent, AnnounceEvent, Event, Limits, Misuse, PickOrder, Priority, ResumeData, Start, State,
    TorrentSource,
};
use anatomic_sim::{Content, Fault, HostConfig, HostId, StoreFault, World};
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);

fn pair(world: &mut World, content: &Content, config: &HostConfig) -> (HostId, HostId) {
    let seed = world.host(config.clone());
    world.seed(seed, content);
    let leech = world.host(config.clone());
    world.leech(leech, content);
    (seed, leech)
}

fn slow() -> HostConfig {
    HostConfig { up: Some(500_000), ..HostConfig::default() }
}

#[test]
fn pause_stops_all_traffic_and_resume_starts_it_again() {
    let mut world = World::new(1);
    let content = Content::random(1, 2_000_000, 32_768);
    let (_, leech) = pair(&mut world, &content, &slow());
    assert!(world.run_until(MINUTE, |world| world.view(leech, &content).done > 500_000));
    let key = world.at(leech).torrent(content.info_hash()).unwrap();
    world.with(leech, |now, host| host.engine.pause(now, key));
    world.run(SECOND);
    let (before, sent) = (world.view(leech, &content), world.at(leech).sent);
    assert_eq!((before.state, before.peers.len(), world.connections(leech)), (State::Paused, 0, 0));
    assert_eq!(world.announces(leech, AnnounceEvent::Stopped), 1);
    world.run(10 * MINUTE);
    let after = world.view(leech, &content);
    assert_eq!((after.counters, world.at(leech).sent), (before.counters, sent));
    world.with(leech, |now, host| host.engine.resume(now, key));
    assert!(world.run_until(MINUTE, |world| world.is_complete(leech, &content)));
    assert_eq!(world.announces(leech, AnnounceEvent::Started), 2);
}

#[test]
fn a_magnet_starts_at_once_from_several_peers() {
    let mut world = World::new(2);
    // 40 kB of metadata: three pieces.
    let content = Content::random(2, 32_000_000, 16_384);
    let hosts: Vec<HostId> = (0..3).map(|_| world.host(HostConfig::default())).collect();
    for host in &hosts {
        world.seed(*host, &content);
    }
    let leech = world.host(HostConfig::default());
    let start = world.now;
    world.magnet(leech, &content);
    assert!(world.run_until(MINUTE, |world| world.view(leech, &content).metainfo.is_some()));
    let waited = world.now.since(start);
    assert!(waited < Duration::from_millis(300), "{waited:?}");
    assert!(world.run_until(MINUTE, |world| world.is_complete(leech, &content)));
    // The end-game may fetch a few late blocks twice.
    assert!(world.counters(leech, &content).wasted < 10 * 16_384);
}

#[test]
fn only_selected_files_are_fetched() {
    let mut world = World::new(3);
    let content = Content::files(3, &[("a", 300_000), ("b", 300_000), ("c", 300_000)], 32_768);
    let seed = world.host(HostConfig::default());
    world.seed(seed, &content);
    let leech = world.host(HostConfig::default());
    let add = AddTorrent {
        selection: vec![Priority::SKIP, Priority::NORMAL, Priority::SKIP],
        ..AddTorrent::new(TorrentSource::Metainfo(content.metainfo.clone()))
    };
    let key = world.add(leech, add);
    assert!(world.run_until(MINUTE, |world| world.view(leech, &content).state == State::Seeding));
    world.run(SECOND);
    let view = world.view(leech, &content);
    // Bytes 300,000 to 599,999 lie in pieces 9 to 18.
    let have: Vec<u32> = view.have.unwrap().iter().map(|piece| piece.0).collect();
    assert_eq!(have, (9..19).collect::<Vec<_>>());
    assert_eq!((view.wanted, view.done), (10 * 32_768, 10 * 32_768));
    let events = &world.at(leech).events;
    assert_eq!(
        events.iter().filter(|(_, event)| matches!(event, Event::FileComplete(file) if file.0 == 1)).count(),
        1
    );
    assert_eq!(world.announces(leech, AnnounceEvent::Completed), 0);
    // Wanting the rest brings the rest.
    world.with(leech, |now, host| host.engine.select_files(now, key, &[]));
    assert_eq!(world.view(leech, &content).state, State::Downloading);
    assert!(world.run_until(MINUTE, |world| world.is_complete(leech, &content)));
    world.run(SECOND);
    assert_eq!(world.announces(leech, AnnounceEvent::Completed), 1);
}

#[test]
fn sequential_order_verifies_pieces_in_order() {
    let mut world = World::new(4);
    let content = Content::random(4, 2_000_000, 32_768);
    let seed = world.host(slow());
    world.seed(seed, &content);
    let leech = world.host(slow());
    let add = AddTorrent {
        order: PickOrder::Sequential,
        ..AddTorrent::new(TorrentSource::Metainfo(content.metainfo.clone()))
    };
    world.add(leech, add);
    assert!(world.run_until(MINUTE, |world| world.is_complete(leech, &content)));
    let verified: Vec<u32> = world
        .at(leech)
        .events
        .iter()
        .filter_map(|(_, event)| match event {
            Event::PieceVerified(piece) => Some(piece.0),
            _ => None,
        })
        .collect();
    assert!(verified.is_sorted());
}

#[test]
fn a_reader_gets_its_window_first() {
    let mut world = World::new(5);
    let content = Content::random(5, 4_000_000, 32_768);
    let (_, leech) = pair(&mut world, &content, &slow());
    let key = world.at(leech).torrent(content.info_hash()).unwrap();
    world.with(leech, |now, host| host.engine.set_window(now, key, 1, Some(3_000_000..3_300_000)));
    let window = 3_000_000 / 32_768..3_300_000 / 32_768 + 1;
    let whole = |world: &World| {
        let have = world.view(leech, &content).have.unwrap();
        window.clone().all(|piece| have.has(PieceIndex(piece)))
    };
    assert!(world.run_until(MINUTE, whole));
    let done = world.view(leech, &content).done;
    assert!(done < 700_000, "{done} bytes came before the reader had its 300,000");
}

#[test]
fn a_full_disk_stops_the_torrent_and_space_starts_it_again() {
    let mut world = World::new(6);
    let content = Content::random(6, 1_000_000, 32_768);
    let (_, leech) = pair(&mut world, &content, &slow());
    let key = world.at(leech).torrent(content.info_hash()).unwrap();
    world.with(leech, |_, host| host.stores.get_mut(&key).unwrap().fault = StoreFault::Full(300_000));
    assert!(world.run_until(MINUTE, |world| world.view(leech, &content).state == State::Error));
    world.run(MINUTE);
    let view = world.view(leech, &content);
    assert!(view.error.unwrap().contains("no space left"));
    assert_eq!((view.state, world.connections(leech)), (State::Error, 0));
    world.with(leech, |now, host| {
        host.stores.get_mut(&key).unwrap().fault = StoreFault::None;
        host.engine.resume(now, key);
    });
    assert!(world.run_until(MINUTE, |world| world.is_complete(leech, &content)));
    // Nothing that was verified was fetched again.
    assert_eq!(world.counters(leech, &content).verified, 31);
}

#[test]
fn resume_data_goes_on_without_hashing() {
    let mut world = World::new(7);
    let content = Content::random(7, 2_000_000, 32_768);
    let (_, leech) = pair(&mut world, &content, &slow());
    assert!(world.run_until(MINUTE, |world| world.view(leech, &content).done > 1_000_000));
    let key = world.at(leech).torrent(content.info_hash()).unwrap();
    let bytes = world.at(leech).engine.resume_data(key).unwrap().to_bytes();
    let resume = ResumeData::from_bytes(&bytes).unwrap();
    let stored = resume.stored.clone().unwrap();
    assert!(stored.count() > 25);
    world.set_up(leech, false);
    // A new process with the same store.
    let again = world.host(slow());
    let kept: Vec<_> = stored.iter().map(|piece| (piece, content.piece(piece))).collect();
    let key = world.add(again, resume.into_add());
    world.with(again, |_, host| {
        let store = host.stores.get_mut(&key).unwrap();
        kept.into_iter().for_each(|(piece, data)| store.write(piece, &[data]).unwrap());
    });
    assert!(world.run_until(MINUTE, |world| world.is_complete(again, &content)));
    let counters = world.counters(again, &content);
    assert_eq!(counters.verified, u64::from(62 - stored.count()));
    assert!(ResumeData::from_bytes(&bytes[..bytes.len() / 2]).is_err());
}

#[test]
fn a_check_finds_what_is_there_and_only_that() {
    let mut world = World::new(8);
    let content = Content::random(8, 1_000_000, 32_768);
    let seed = world.host(HostConfig::default());
    world.seed(seed, &content);
    let leech = world.host(HostConfig::default());
    let add = AddTorrent {
        start: Start::Check,
        paused: true,
        ..AddTorrent::new(TorrentSource::Metainfo(content.metainfo.clone()))
    };
    let key = world.add(leech, add);
    world.with(leech, |now, host| {
        let store = host.stores.get_mut(&key).unwrap();
        for piece in (0..20).map(PieceIndex) {
            store.write(piece, &[content.piece(piece)]).unwrap();
        }
        store.damage(PieceIndex(5), Some(vec![0; 32_768].into()));
        host.engine.resume(now, key);
    });
    assert_eq!(world.view(leech, &content).state, State::Checking);
    assert!(world.run_until(MINUTE, |world| world.is_complete(leech, &content)));
    assert_eq!(world.counters(leech, &content).verified, 31 - 19);
}

#[test]
fn limits_hold_on_both_sides() {
    for (download, upload) in [(Some(100_000), None), (None, Some(100_000))] {
        let mut world = World::new(9);
        let content = Content::random(9, 2_000_000, 32_768);
        let (seed, leech) = pair(&mut world, &content, &HostConfig::default());
        world.with(leech, |now, host| host.engine.set_limits(now, Limits { download, upload: None }));
        world.with(seed, |now, host| host.engine.set_limits(now, Limits { download: None, upload }));
        world.run(Duration::from_secs(10));
        let done = world.counters(leech, &content).downloaded;
        assert!((800_000..1_150_000).contains(&done), "{done}");
        world.with(leech, |now, host| host.engine.set_limits(now, Limits::default()));
        world.with(seed, |now, host| host.engine.set_limits(now, Limits::default()));
        assert!(world.run_until(Duration::from_secs(5), |world| world.is_complete(leech, &content)));
    }
}

#[test]
fn pad_files_complete_without_being_sent() {
    let files = [("a", 40_000), (".pad1", 25_536), ("b", 100), (".pad2", 200_000), ("c", 70_000)];
    let mut world = World::new(10);
    let content = Content::files(10, &files, 65_536);
    let (seed, leech) = pair(&mut world, &content, &HostConfig::default());
    assert!(world.run_until(MINUTE, |world| world.is_complete(leech, &content)));
    let sent = world.counters(seed, &content).uploaded;
    assert!(sent < 40_000 + 100 + 70_000 + 5 * 16_384, "{sent}");
}

#[test]
fn a_torrent_of_empty_files_is_complete_at_once() {
    let mut world = World::new(11);
    let content = Content::files(11, &[("a", 0), ("b", 16_384)], 16_384);
    let (_, leech) = pair(&mut world, &content, &HostConfig::default());
    assert!(world.run_until(MINUTE, |world| world.is_complete(leech, &content)));
}

#[test]
fn removed_means_gone_whatever_comes_late() {
    for millis in [0, 1, 20, 25, 30, 60, 200, 1_000] {
        let mut world = World::new(12);
        let content = Content::random(12, 2_000_000, 32_768);
        let (_, leech) = pair(&mut world, &content, &slow());
        world.run(Duration::from_millis(millis));
        let key = world.at(leech).torrent(content.info_hash()).unwrap();
        world.with(leech, |now, host| host.engine.remove(now, key));
        world.run(MINUTE);
        assert_eq!((world.at(leech).engine.torrents().count(), world.connections(leech)), (0, 0));
        world.leech(leech, &content);
        assert!(world.run_until(10 * MINUTE, |world| world.is_complete(leech, &content)));
    }
}

#[test]
fn adding_twice_is_misuse() {
    let mut world = World::new(13);
    let content = Content::random(13, 100, 16_384);
    let host = world.host(HostConfig::default());
    let key = world.leech(host, &content);
    let again = AddTorrent::new(TorrentSource::Metainfo(content.metainfo.clone()));
    let result = world.with(host, |now, host| host.engine.add(now, again));
    assert_eq!(result, Err(Misuse::AlreadyAdded(key)));
}

#[test]
fn two_connections_between_the_same_two_become_one() {
    for seed in 0..8 {
        let mut world = World::new(seed);
        let content = Content::random(seed, 3_000_000, 32_768);
        let hosts: Vec<HostId> = (0..2).map(|_| world.host(slow())).collect();
        let first = world.seed(hosts[0], &content);
        let second = world.leech(hosts[1], &content);
        // Both dial each other at the same time, and a data channel opens too.
        world.introduce(hosts[0], first, hosts[1]);
        world.introduce(hosts[1], second, hosts[0]);
        world.join((hosts[0], first), (hosts[1], second));
        world.run(SECOND);
        assert_eq!(world.connections(hosts[0]), 1, "seed {seed}");
        assert_eq!(world.connections(hosts[1]), 1, "seed {seed}");
        assert!(world.run_until(MINUTE, |world| world.is_complete(hosts[1], &content)), "seed {seed}");
    }
}

#[test]
fn a_host_that_finds_itself_lets_go() {
    let mut world = World::new(14);
    let content = Content::random(14, 100_000, 32_768);
    let host = world.host(HostConfig::default());
    let key = world.leech(host, &content);
    world.introduce(host, key, host);
    world.run(10 * MINUTE);
    assert_eq!(world.connections(host), 0);
    assert_eq!(world.counters(host, &content).dials, 1);
}

#[test]
fn a_peer_that_takes_requests_and_never_answers_is_snubbed() {
    let mut world = World::new(15);
    let content = Content::random(15, 500_000, 32_768);
    let mute = world.host(HostConfig { fault: Fault::Mute, ..HostConfig::default() });
    world.seed(mute, &content);
    let leech = world.host(HostConfig::default());
    world.leech(leech, &content);
    world.run(Duration::from_secs(70));
    let counters = world.counters(leech, &content);
    assert_eq!((counters.snubbed, counters.blocks), (1, 0));
    assert_eq!(world.view(leech, &content).peers[0].requests, 1);
}

#[test]
fn a_seed_that_restarts_is_found_again() {
    let mut world = World::new(16);
    let content = Content::random(16, 2_000_000, 32_768);
    let (seed, leech) = pair(&mut world, &content, &slow());
    assert!(world.run_until(MINUTE, |world| world.view(leech, &content).done > 500_000));
    world.set_up(seed, false);
    world.run(30 * SECOND);
    world.set_up(seed, true);
    assert!(world.run_until(5 * MINUTE, |world| world.is_complete(leech, &content)));
}

#[test]
fn a_magnet_whose_store_must_be_checked_keeps_the_peers_that_brought_its_metadata() {
    let mut world = World::new(17);
    let content = Content::random(17, 3_000_000, 32_768);
    let seed = world.host(HostConfig::default());
    world.seed(seed, &content);
    let address = world.at(seed).address;
    // No tracker: the magnet names the only peer.
    let leech = world.host(HostConfig { job_time: Duration::from_millis(20), ..HostConfig::default() });
    let magnet =
        anatomic_core::Magnet { peers: vec![address], ..anatomic_core::Magnet::new(content.info_hash()) };
    let add = AddTorrent { start: Start::Check, ..AddTorrent::new(TorrentSource::Magnet(Box::new(magnet))) };
    world.add(leech, add);
    assert!(world.run_until(5 * SECOND, |world| world.is_complete(leech, &content)));
    assert_eq!(world.counters(leech, &content).dials, 1);
}

#[test]
fn a_torrent_that_was_halted_dials_again_at_once() {
    let mut world = World::new(18);
    let content = Content::random(18, 3_000_000, 32_768);
    let (seed, leech) = pair(&mut world, &content, &slow());
    assert!(world.run_until(MINUTE, |world| world.view(leech, &content).done > 500_000));
    let key = world.at(leech).torrent(content.info_hash()).unwrap();
    let _ = seed;
    for _ in 0..3 {
        world.with(leech, |now, host| host.engine.pause(now, key));
        world.run(Duration::from_millis(100));
        world.with(leech, |now, host| host.engine.resume(now, key));
        world.run(Duration::from_millis(300));
        assert_eq!(world.view(leech, &content).peers.len(), 1);
    }
}
