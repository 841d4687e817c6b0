//! Swarms of peers with addresses and without a tracker: who knows one learns of all, by peer exchange (BEP 11).

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "helpers of tests")]

use anatomic_core::address::Policy;
use anatomic_core::{InfoHash, Metainfo, PeerId, Time};
use anatomic_engine::{
    AddTorrent, CloseReason, Config, Direction, Engine, Link, Misbehaviour, Output, PeerKey, Schemes, Start,
    TorrentKey, TorrentSource, Transport,
};
use anatomic_sim::{Content, HostConfig, HostId, World};
use anatomic_wire::extended::{ExtendedHandshake, ExtensionIds, Pex, PexFlags, PexPeer};
use anatomic_wire::handshake::Handshake;
use anatomic_wire::message::{Decoder, Limits, Message};
use bytes::Bytes;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// Announces to nobody.
fn lonely() -> HostConfig {
    let base = HostConfig::default();
    let schemes = Schemes { http: false, udp: false, ws: false };
    HostConfig { engine: Config { schemes, ..base.engine }, up: Some(200_000), ..base }
}

/// Whom a host is connected with, by address.
fn met(world: &World, host: HostId, content: &Content) -> usize {
    world.view(host, content).peers.iter().filter(|peer| peer.address.is_some()).count()
}

#[test]
fn a_swarm_of_which_only_the_first_peer_is_known_finds_all() {
    for seed in 1..4 {
        let mut world = World::new(seed);
        let content = Content::random(seed, 4_000_000, 65_536);
        let first = world.host(lonely());
        world.seed(first, &content);
        let leeches: Vec<HostId> = (0..9).map(|_| world.host(lonely())).collect();
        for (at, leech) in leeches.iter().enumerate() {
            // Some must get the metadata first.
            let key =
                if at % 2 == 0 { world.leech(*leech, &content) } else { world.magnet(*leech, &content) };
            world.introduce(*leech, key, first);
        }
        assert!(
            world
                .run_until(3 * MINUTE, |world| leeches.iter().all(|leech| met(world, *leech, &content) == 9)),
            "everybody meets everybody, seed {seed}"
        );
        assert!(
            world.run_until(3 * MINUTE, |world| leeches
                .iter()
                .all(|leech| world.is_complete(*leech, &content)))
        );
        let sent = world.counters(first, &content).uploaded;
        assert!(sent < 5 * 4_000_000, "the first sent {sent} bytes: the others traded");
    }
}

#[test]
fn who_was_exchanged_goes_on_when_the_first_has_left() {
    let mut world = World::new(4);
    let content = Content::random(4, 2_000_000, 65_536);
    let (first, seed, leech) = (world.host(lonely()), world.host(lonely()), world.host(lonely()));
    // The first has nothing itself.
    let hub = world.leech(first, &content);
    world.seed(seed, &content);
    world.introduce(first, hub, seed);
    world.run(SECOND);
    let key = world.leech(leech, &content);
    world.introduce(leech, key, first);
    assert!(world.run_until(MINUTE, |world| met(world, leech, &content) == 2));
    world.set_up(first, false);
    assert!(world.run_until(MINUTE, |world| world.is_complete(leech, &content)));
}

#[test]
fn a_node_tells_classic_peers_of_each_other_and_a_tab_of_nobody() {
    let mut world = World::new(5);
    let content = Content::random(5, 3_000_000, 65_536);
    let node = world.host(lonely());
    let bridge = world.bridge(node, &content);
    let tab = world.host(lonely());
    let there = world.seed(tab, &content);
    world.join((tab, there), (node, bridge));
    let leeches: Vec<HostId> = (0..3).map(|_| world.host(lonely())).collect();
    for leech in &leeches {
        let key = world.leech(*leech, &content);
        world.introduce(*leech, key, node);
    }
    assert!(
        world.run_until(2 * MINUTE, |world| leeches.iter().all(|leech| met(world, *leech, &content) == 3))
    );
    assert_eq!(world.view(tab, &content).candidates, 0, "the tab was told of nobody");
    assert_eq!(world.view(tab, &content).peers.len(), 1, "and nobody was told of the tab");
}

/// An engine among peers that are played by hand.
struct Scene {
    engine: Engine,
    now: Time,
    info_hash: InfoHash,
    dialled: Vec<SocketAddr>,
    closed: Vec<CloseReason>,
}

impl Scene {
    fn new(metainfo: Arc<Metainfo>, start: Start, addresses: Policy) -> (Self, TorrentKey) {
        let engine = Config { addresses, dials_per_second: 1_000, max_dials: 1_000, ..Config::default() };
        let config = Config { max_peers: 1_000, max_peers_total: 1_000, ..engine };
        let mut engine = Engine::new(config, PeerId([1; 20]), 1);
        let now = Time::from_secs(1);
        let info_hash = metainfo.info_hash();
        let add = AddTorrent { start, ..AddTorrent::new(TorrentSource::Metainfo(metainfo)) };
        let key = engine.add(now, add).unwrap();
        (Self { engine, now, info_hash, dialled: Vec::new(), closed: Vec::new() }, key)
    }

    /// A peer that connected from 8.8.8.`id`, listens at port 6881, and takes addresses under the number 9.
    fn peer(&mut self, id: u8, transport: Transport) -> PeerKey {
        self.peer_at([8, 8, 8, id], id, transport)
    }

    fn peer_at(&mut self, ip: [u8; 4], id: u8, transport: Transport) -> PeerKey {
        self.now += Duration::from_millis(1);
        let address = (transport != Transport::WebRtc).then(|| SocketAddr::from((ip, 40_000)));
        let torrent = self.engine.find(self.info_hash).filter(|_| transport == Transport::WebRtc);
        let link = Link { transport, direction: Direction::Accepted, torrent, address, encrypted: false };
        let peer = self.engine.handle_connected(self.now, link);
        let mut bytes = Vec::new();
        Handshake::new(self.info_hash, PeerId([id; 20])).encode(&mut bytes);
        let ids = ExtensionIds { ut_pex: Some(9), ..ExtensionIds::default() };
        let ours = ExtendedHandshake { ids, port: Some(6881), ..ExtendedHandshake::default() };
        Message::Extended { id: 0, payload: ours.encode().into() }.encode(&mut bytes);
        self.engine.handle_received(self.now, peer, bytes.into());
        self.drain();
        peer
    }

    fn say(&mut self, peer: PeerKey, news: &Pex) {
        let mut bytes = Vec::new();
        // The engine's own number for it.
        Message::Extended { id: 4, payload: news.encode().into() }.encode(&mut bytes);
        self.engine.handle_received(self.now, peer, bytes.into());
        self.drain();
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.now += SECOND;
            self.engine.handle_timeout(self.now);
            self.drain();
        }
    }

    fn drain(&mut self) {
        while let Some(output) = self.engine.poll_output() {
            match output {
                Output::Dial { address, .. } => self.dialled.push(address),
                Output::Close { reason, .. } => self.closed.push(reason),
                _ => {}
            }
        }
    }

    /// All that the engine said to a peer: whether it takes addresses, and its news in order.
    fn hear(&mut self, peer: PeerKey) -> (bool, Vec<Pex>) {
        let mut bytes = Vec::new();
        while self.engine.poll_transmit(self.now, peer, 1 << 20, &mut bytes) > 0 {}
        let mut decoder = Decoder::new(Limits::default());
        decoder.push(Bytes::from(bytes));
        decoder.poll_handshake().unwrap();
        let (mut takes, mut news) = (false, Vec::new());
        while let Some(message) = decoder.poll_message().unwrap() {
            match message {
                Message::Extended { id: 0, payload } => {
                    takes = ExtendedHandshake::decode(&payload).unwrap().ids.ut_pex.is_some();
                }
                Message::Extended { id: 9, payload } => news.push(Pex::decode(&payload).unwrap()),
                _ => {}
            }
        }
        (takes, news)
    }
}

fn victims(ports: std::ops::Range<u16>) -> Pex {
    let victim =
        |port| PexPeer { address: SocketAddr::from(([9, 9, 9, 9], port)), flags: PexFlags::default() };
    Pex { added: ports.map(victim).collect(), dropped: Vec::new() }
}

fn scene() -> Scene {
    Scene::new(Content::random(1, 100_000, 16_384).metainfo, Start::Fresh, Policy::Public).0
}

#[test]
fn of_a_message_fifty_addresses_are_taken_and_of_a_flood_one_message_in_half_a_minute() {
    let mut scene = scene();
    let flood = scene.peer(10, Transport::Tcp);
    for second in 0..60 {
        scene.say(flood, &victims(20_000 + second * 100..20_100 + second * 100));
        scene.pass(SECOND);
    }
    assert_eq!(scene.closed, [CloseReason::Misbehaved(Misbehaviour::ExchangeRepeated)]);
    assert_eq!(scene.dialled.len(), 100, "two messages were heard");
}

#[test]
fn addresses_inside_of_networks_and_ports_of_other_services_are_not_dialled() {
    let mut scene = scene();
    let peer = scene.peer(10, Transport::Tcp);
    let bad =
        ["127.0.0.1:6881", "10.0.0.1:6881", "[::1]:6881", "[64:ff9b::a00:1]:6881", "9.9.9.9:25", "9.9.9.9:0"];
    let described = |address: &str| PexPeer { address: address.parse().unwrap(), flags: PexFlags::default() };
    scene.say(peer, &Pex { added: bad.map(described).to_vec(), dropped: Vec::new() });
    scene.pass(5 * SECOND);
    assert_eq!(scene.dialled, []);
}

#[test]
fn who_is_outside_of_our_network_names_and_learns_no_address_inside_of_it() {
    let content = Content::random(1, 100_000, 16_384);
    let (mut scene, _) = Scene::new(content.metainfo, Start::Fresh, Policy::PrivateNetwork);
    let (outside, inside) =
        (scene.peer(10, Transport::Tcp), scene.peer_at([10, 0, 0, 3], 11, Transport::Tcp));
    let other = scene.peer_at([10, 0, 0, 4], 12, Transport::Tcp);
    let named = |ip| PexPeer { address: SocketAddr::from((ip, 6881)), flags: PexFlags::default() };
    scene.say(outside, &Pex { added: vec![named([10, 0, 0, 9])], dropped: Vec::new() });
    scene.say(inside, &Pex { added: vec![named([10, 0, 0, 8])], dropped: Vec::new() });
    scene.pass(10 * SECOND);
    assert_eq!(scene.dialled, [SocketAddr::from(([10, 0, 0, 8], 6881))]);
    assert_eq!(scene.hear(outside).1, []);
    let addresses =
        |pex: &Pex| pex.added.iter().map(|peer| peer.address.ip().to_string()).collect::<Vec<_>>();
    assert_eq!(addresses(&scene.hear(other).1[0]), ["8.8.8.10", "10.0.0.3"]);
}

#[test]
fn a_seed_calls_no_seeds() {
    let content = Content::random(1, 100_000, 16_384);
    let full = anatomic_core::Bitfield::full(content.metainfo.geometry().pieces());
    let (mut scene, _) = Scene::new(content.metainfo, Start::Trust(full), Policy::Public);
    let peer = scene.peer(10, Transport::Tcp);
    let mut news = victims(2_000..2_004);
    news.added[0].flags = PexFlags::SEED;
    news.added[3].flags = PexFlags::SEED.with(PexFlags::REACHABLE);
    scene.say(peer, &news);
    scene.pass(SECOND);
    assert_eq!(scene.dialled.len(), 2);
}

#[test]
fn a_peer_is_told_where_others_listen_at_most_once_a_minute_and_nothing_of_browsers() {
    let mut scene = scene();
    let first = scene.peer(10, Transport::Tcp);
    let others: Vec<PeerKey> = (11..14).map(|id| scene.peer(id, Transport::Utp)).collect();
    scene.peer(20, Transport::WebRtc);
    let at = |id| SocketAddr::from(([8, 8, 8, id], 6881));
    let added = |pex: &Pex| pex.added.iter().map(|peer| peer.address).collect::<Vec<_>>();
    scene.pass(5 * SECOND);
    let (takes, news) = scene.hear(others[2]);
    assert!(takes);
    assert_eq!(added(&news[0]), [at(10), at(11), at(12)], "a newcomer hears at once of those before it");
    assert_eq!(news[0].added[0].flags, PexFlags::default());
    assert_eq!(news[0].added[1].flags, PexFlags::UTP, "nor was any of them dialled");
    scene.pass(40 * SECOND);
    scene.engine.handle_closed(scene.now, others[0]);
    scene.peer(30, Transport::Tcp);
    scene.pass(70 * SECOND);
    let (_, news) = scene.hear(first);
    assert_eq!(news.len(), 2, "{news:?}");
    assert_eq!(added(&news[0]), [at(11), at(12), at(13)], "and those before it of a newcomer later");
    assert_eq!((added(&news[1]), news[1].dropped.clone()), (vec![at(30)], vec![at(11)]));
}

#[test]
fn in_a_private_torrent_nothing_is_told_and_nothing_believed() {
    let content = Content::random(1, 100_000, 16_384);
    let mut info = content.metainfo.info_bytes().to_vec();
    info.pop();
    info.extend(b"7:privatei1ee");
    let private = Arc::new(Metainfo::from_info(info.into(), vec![], vec![]).unwrap());
    assert!(private.is_private());
    let (mut scene, _) = Scene::new(private, Start::Fresh, Policy::Public);
    let (peer, _other) = (scene.peer(10, Transport::Tcp), scene.peer(11, Transport::Tcp));
    scene.say(peer, &victims(2_000..2_050));
    scene.pass(2 * MINUTE);
    assert_eq!(scene.hear(peer), (false, Vec::new()));
    assert_eq!(scene.dialled, []);
}
