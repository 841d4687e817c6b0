//! Swarms of data channels without a tracker: peers introduce their peers to each other, and nobody is flooded.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "helpers of tests")]

use anatomic_core::{InfoHash, Metainfo, PeerId, Time};
use anatomic_engine::{
    AddTorrent, CloseReason, Config, Direction, Engine, Link, Misbehaviour, Output, PeerKey, Schemes, Start,
    Step, TorrentKey, TorrentSource, Transport,
};
use anatomic_sim::{Content, HostConfig, HostId, World};
use anatomic_wire::extended::{ExtendedHandshake, ExtensionIds, Introduction, ShortId};
use anatomic_wire::handshake::Handshake;
use anatomic_wire::message::{Decoder, Limits, Message};
use anatomic_wire::tracker::websocket::{Offer, OfferId};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
/// Bytes of the swarms' torrent, and what a tab sends a second: a minute's worth.
const LENGTH: usize = 3_000_000;
const UP: u64 = 50_000;

fn tab(world: &mut World) -> HostId {
    let base = HostConfig::default();
    let schemes = Schemes { http: false, udp: false, ws: true };
    let engine = Config { listen_port: None, schemes, ..base.engine };
    // What is queued ahead keeps offers waiting.
    world.host(HostConfig { engine, up: Some(UP), send_buffer: 20 * 1024, ..base })
}

/// Tabs of which the first has everything; `channels` says who met whom while there was a tracker.
fn swarm(world: &mut World, content: &Content, tabs: usize, channels: &[(usize, usize)]) -> Vec<HostId> {
    let hosts: Vec<HostId> = (0..tabs).map(|_| tab(world)).collect();
    let keys: Vec<TorrentKey> = hosts
        .iter()
        .enumerate()
        .map(|(at, host)| if at == 0 { world.seed(*host, content) } else { world.leech(*host, content) })
        .collect();
    for (a, b) in channels {
        world.join((hosts[*a], keys[*a]), (hosts[*b], keys[*b]));
    }
    hosts
}

/// Offers that a host asked others to pass on, passed on itself, and answered.
fn counts(world: &World, content: &Content, host: HostId) -> [u64; 3] {
    let counters = world.counters(host, content);
    [counters.introductions_asked, counters.introductions_made, counters.introductions_answered]
}

fn all_counts(world: &World, content: &Content, hosts: &[HostId]) -> Vec<[u64; 3]> {
    hosts.iter().map(|host| counts(world, content, *host)).collect()
}

#[test]
fn who_was_introduced_goes_on_when_the_introducer_has_left() {
    let mut world = World::new(1);
    let content = Content::random(1, LENGTH, 32_768);
    let hosts = swarm(&mut world, &content, 3, &[(0, 1), (1, 2)]);
    let [a, b, c] = hosts[..] else { unreachable!() };
    world.run(9 * SECOND);
    assert_eq!([a, b, c].map(|host| world.connections(host)), [1, 2, 1]);
    assert_eq!(all_counts(&world, &content, &hosts), [[0; 3]; 3], "not at once");
    assert!(world.run_until(5 * SECOND, |world| world.connections(c) == 2));
    world.run(SECOND);
    assert_eq!([a, b, c].map(|host| world.connections(host)), [2, 2, 2]);
    // Both leeches asked once; of B's peers none knew one more, C's knew the seed.
    assert_eq!(all_counts(&world, &content, &hosts), [[0, 0, 1], [1, 1, 0], [1, 0, 0]]);
    assert!(matches!(&world.at(a).steps[..], [Step::Answer(_)]));
    assert!(matches!(&world.at(b).steps[..], [Step::Offer, Step::Drop]));
    assert!(matches!(&world.at(c).steps[..], [Step::Offer, Step::Accept(_)]));
    assert!(!world.is_complete(b, &content) && !world.is_complete(c, &content));
    world.set_up(b, false);
    assert!(world.run_until(3 * MINUTE, |world| world.is_complete(c, &content)));
}

#[test]
fn a_star_outlives_its_centre() {
    let mut world = World::new(2);
    let content = Content::random(2, LENGTH, 32_768);
    let channels: Vec<(usize, usize)> = (0..12).filter(|tab| *tab != 1).map(|tab| (1, tab)).collect();
    let hosts = swarm(&mut world, &content, 12, &channels);
    world.run(2 * MINUTE);
    let mut sums = [0; 3];
    for counts in all_counts(&world, &content, &hosts) {
        sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
    }
    // Ten leeches that look for three more each, and are found by others meanwhile.
    assert_eq!(sums, [22, 21, 21]);
    assert!(hosts[1..].iter().all(|host| world.connections(*host) >= 4), "each leech has found some");
    world.set_up(hosts[1], false);
    let rest: Vec<HostId> = hosts.iter().copied().filter(|host| *host != hosts[1]).collect();
    assert!(world.run_until(10 * MINUTE, |world| rest.iter().all(|host| world.is_complete(*host, &content))));
}

#[test]
fn a_swarm_with_peers_enough_pays_nothing() {
    let mut world = World::new(3);
    let content = Content::random(3, LENGTH, 32_768);
    let all: Vec<(usize, usize)> = (0..5).flat_map(|a| (a + 1..5).map(move |b| (a, b))).collect();
    let hosts = swarm(&mut world, &content, 5, &all);
    world.run(5 * MINUTE);
    for host in hosts {
        assert_eq!((counts(&world, &content, host), world.at(host).steps.len()), ([0; 3], 0));
    }
}

#[test]
fn two_that_know_only_each_other_ask_ever_more_rarely() {
    let mut world = World::new(4);
    let content = Content::random(4, 60 * LENGTH, 262_144);
    let hosts = swarm(&mut world, &content, 2, &[(0, 1)]);
    world.run(21 * MINUTE);
    assert_eq!(all_counts(&world, &content, &hosts), [[0, 0, 0], [7, 0, 0]]);
}

#[test]
fn nobody_is_introduced_in_a_private_torrent() {
    let mut world = World::new(5);
    let open = Content::random(5, LENGTH, 32_768);
    let mut info = open.metainfo.info_bytes().to_vec();
    info.pop();
    info.extend(b"7:privatei1ee");
    let metainfo = Metainfo::from_info(info.into(), Vec::new(), Vec::new()).unwrap();
    assert!(metainfo.is_private());
    let content = Content { metainfo: Arc::new(metainfo), data: open.data };
    let hosts = swarm(&mut world, &content, 3, &[(0, 1), (1, 2)]);
    world.run(MINUTE);
    assert_eq!(all_counts(&world, &content, &hosts), [[0; 3]; 3]);
}

// ---- strangers

/// An engine that has a torrent, and scripted peers of it.
struct Scene {
    engine: Engine,
    now: Time,
    torrent: TorrentKey,
    info_hash: InfoHash,
    steps: Vec<Step>,
    closed: Vec<(PeerKey, CloseReason)>,
    decoders: BTreeMap<PeerKey, Decoder>,
}

impl Scene {
    fn new() -> Self {
        let content = Content::random(9, 100_000, 32_768);
        let mut engine = Engine::new(Config::default(), PeerId([1; 20]), 9);
        let add = AddTorrent {
            start: Start::Trust(anatomic_core::Bitfield::full(content.metainfo.geometry().pieces())),
            ..AddTorrent::new(TorrentSource::Metainfo(content.metainfo.clone()))
        };
        let now = Time::from_secs(1);
        let torrent = engine.add(now, add).unwrap();
        let info_hash = content.info_hash();
        Self {
            engine,
            now,
            torrent,
            info_hash,
            steps: Vec::new(),
            closed: Vec::new(),
            decoders: BTreeMap::new(),
        }
    }

    /// A peer that speaks introductions under the number 1.
    fn peer(&mut self, id: u8) -> PeerKey {
        let link = Link {
            transport: Transport::WebRtc,
            direction: Direction::Accepted,
            torrent: Some(self.torrent),
            address: None,
            encrypted: true,
        };
        let peer = self.engine.handle_connected(self.now, link);
        let mut bytes = Vec::new();
        Handshake::new(self.info_hash, PeerId([id; 20])).encode(&mut bytes);
        let ids = ExtensionIds { an_intro: Some(1), ..ExtensionIds::default() };
        let payload = ExtendedHandshake { ids, ..ExtendedHandshake::default() }.encode().into();
        Message::Extended { id: 0, payload }.encode(&mut bytes);
        self.engine.handle_received(self.now, peer, bytes.into());
        peer
    }

    fn say(&mut self, peer: PeerKey, introduction: &Introduction) {
        let mut bytes = Vec::new();
        // The engine's own number for it.
        Message::Extended { id: 6, payload: introduction.encode().into() }.encode(&mut bytes);
        self.engine.handle_received(self.now, peer, bytes.into());
        while let Some(output) = self.engine.poll_output() {
            match output {
                Output::Introduce { step, .. } => self.steps.push(step),
                Output::Close { peer, reason } => self.closed.push((peer, reason)),
                _ => {}
            }
        }
    }

    /// What the engine says to a peer of introductions.
    fn hear(&mut self, peer: PeerKey) -> Vec<Introduction> {
        let mut bytes = Vec::new();
        while self.engine.poll_transmit(self.now, peer, 1 << 20, &mut bytes) > 0 {}
        let is_first = !self.decoders.contains_key(&peer);
        let decoder = self.decoders.entry(peer).or_insert_with(|| Decoder::new(Limits::default()));
        decoder.push(Bytes::from(bytes));
        if is_first {
            decoder.poll_handshake().unwrap();
        }
        let messages = std::iter::from_fn(|| decoder.poll_message().unwrap());
        let said = messages.filter_map(|message| match message {
            Message::Extended { id: 1, payload } => Introduction::decode(&payload).ok(),
            _ => None,
        });
        said.collect()
    }
}

fn offer(id: u8) -> Offer {
    Offer { id: OfferId([id; 20]), sdp: "v=0\r\n".into() }
}

fn ask(id: u8, known: &[u8]) -> Introduction {
    Introduction::Ask { offer: offer(id), known: known.iter().map(|id| ShortId([*id; 8])).collect() }
}

#[test]
fn an_offer_goes_one_hop_to_one_who_is_not_known_and_its_answer_comes_back_once() {
    let mut scene = Scene::new();
    let (asker, known, target) = (scene.peer(10), scene.peer(11), scene.peer(12));
    for peer in [asker, known, target] {
        scene.hear(peer);
    }
    scene.say(asker, &ask(1, &[11]));
    assert_eq!(scene.hear(known), []);
    let passed = Introduction::Offer { offer: offer(1), from: PeerId([10; 20]) };
    assert_eq!(scene.hear(target), [passed]);
    // Another's answer is none.
    scene.say(known, &Introduction::Answer(offer(1)));
    assert_eq!(scene.hear(asker), []);
    scene.say(target, &Introduction::Answer(offer(1)));
    scene.say(target, &Introduction::Answer(offer(1)));
    assert_eq!(scene.hear(asker), [Introduction::Answer(offer(1))]);
    // Whom nobody else would be new to is told so.
    scene.say(asker, &ask(2, &[11, 12]));
    assert_eq!(scene.hear(asker), [Introduction::Refusal(OfferId([2; 20]))]);
    // So is one whose way is cut.
    scene.say(asker, &ask(3, &[11]));
    scene.engine.handle_closed(scene.now, target);
    assert_eq!(scene.hear(asker), [Introduction::Refusal(OfferId([3; 20]))]);
    assert!(scene.steps.is_empty(), "an introducer makes no connection");
}

#[test]
fn who_floods_an_introducer_reaches_few_and_is_closed() {
    let mut scene = Scene::new();
    let (flood, target) = (scene.peer(10), scene.peer(12));
    for peer in [flood, target] {
        scene.hear(peer);
    }
    for id in 0..200 {
        scene.say(flood, &ask(id, &[]));
    }
    // One offer of one asker at a time goes to the same peer.
    assert_eq!(scene.hear(target).len(), 1);
    let reason = CloseReason::Misbehaved(Misbehaviour::IntroductionsRepeated);
    assert_eq!(scene.closed, [(flood, reason)]);
}

#[test]
fn many_askers_cannot_flood_one_peer_through_an_introducer() {
    let mut scene = Scene::new();
    let target = scene.peer(200);
    scene.hear(target);
    let known: Vec<u8> = (10..60).collect();
    for id in 10..60 {
        let asker = scene.peer(id);
        scene.say(asker, &ask(id, &known));
    }
    assert_eq!(scene.hear(target).len(), 4);
    scene.now += 30 * SECOND;
    for id in 70..90 {
        let asker = scene.peer(id);
        scene.say(asker, &ask(id, &[&known[..], &(60..90).collect::<Vec<u8>>()].concat()));
    }
    assert_eq!(scene.hear(target).len(), 4);
    assert_eq!(scene.closed, []);
}

#[test]
fn a_false_introducer_gets_few_answers_and_is_closed() {
    let mut scene = Scene::new();
    let liar = scene.peer(10);
    for id in 20..220 {
        scene.say(liar, &Introduction::Offer { offer: offer(id), from: PeerId([id; 20]) });
    }
    let answers = scene.steps.iter().filter(|step| matches!(step, Step::Answer(_))).count();
    assert_eq!(answers, 4, "as many as are described at a time");
    assert!(matches!(scene.closed[..], [(_, CloseReason::Misbehaved(Misbehaviour::IntroductionsRepeated))]));
    let dropped = scene.steps.iter().filter(|step| **step == Step::Drop).count();
    assert_eq!(dropped, 4, "what it would have brought about is given up");
}

#[test]
fn ourselves_and_those_we_know_are_not_answered() {
    let mut scene = Scene::new();
    let (introducer, _friend) = (scene.peer(10), scene.peer(11));
    scene.hear(introducer);
    for from in [1, 11] {
        scene.say(introducer, &Introduction::Offer { offer: offer(from), from: PeerId([from; 20]) });
        assert_eq!(scene.hear(introducer), [Introduction::Refusal(OfferId([from; 20]))]);
    }
    assert_eq!(scene.steps, []);
}
