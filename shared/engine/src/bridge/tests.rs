//! A bridge between real peer machines, wired back to back: rules that only show with the wire protocol in play.

use super::*;
use crate::link::{Direction, Link};
use crate::peer::Opening;
use anatomic_core::{InfoHash, PeerId};

const HASH: InfoHash = InfoHash([7; 20]);
const PIECES: u32 = 6;

/// What a side says first that has these pieces.
fn opening(pieces: &Bitfield) -> Opening<'_> {
    Opening {
        pieces: Some(pieces),
        geometry: Some(geometry()),
        metadata: None,
        upload_only: false,
        introduces: true,
    }
}

fn geometry() -> Geometry {
    Geometry::new(u64::from(PIECES) * 32 * 1024 - 5_000, 32 * 1024).unwrap()
}

fn content(block: Block) -> Bytes {
    Bytes::from(vec![u8::try_from(block.piece.0 * 8 + block.index().0).unwrap(); block.length as usize])
}

#[derive(Default)]
struct Table(BTreeMap<PeerKey, Peer>);

impl Peers for Table {
    fn peer(&mut self, key: PeerKey) -> Option<&mut Peer> {
        self.0.get_mut(&key)
    }
}

/// The other end of a connection, with what it has and what it received.
struct Remote {
    peer: Peer,
    have: Bitfield,
    blocks: Vec<Block>,
    refused: Vec<Block>,
    interested_in: u32,
}

/// A node with its bridge, and whoever is connected to it.
struct Net {
    now: Time,
    bridge: Bridge,
    cache: Cache,
    table: Table,
    remotes: BTreeMap<PeerKey, Remote>,
    demands: Vec<Demand>,
}

impl Net {
    fn new() -> Self {
        let config = Arc::new(Config { role: Role::Node, ..Config::default() });
        Self {
            now: Time::from_secs(1),
            bridge: Bridge::new(config, TorrentKey::from_u64(1), geometry()),
            cache: Cache::new(1 << 20),
            table: Table::default(),
            remotes: BTreeMap::new(),
            demands: Vec::new(),
        }
    }

    fn connect(&mut self, number: u64, transport: Transport, role: Role, have: Bitfield) -> PeerKey {
        let key = PeerKey::from_u64(number);
        let link = |direction| Link { transport, direction, torrent: None, address: None, encrypted: false };
        let id = |tag: u8| PeerId::ours([tag; 12]);
        let node = Arc::new(Config { role: Role::Node, ..Config::default() });
        let theirs = Arc::new(Config { role, ..Config::default() });
        self.table.0.insert(key, Peer::new(self.now, node, id(0), link(Direction::Accepted), Some(HASH)));
        let tag = u8::try_from(number).unwrap();
        let peer = Peer::new(self.now, theirs, id(tag), link(Direction::Offered), Some(HASH));
        self.remotes
            .insert(key, Remote { peer, have, blocks: Vec::new(), refused: Vec::new(), interested_in: 0 });
        self.run();
        key
    }

    fn tab(&mut self, number: u64) -> PeerKey {
        self.connect(number, Transport::WebRtc, Role::Client, Bitfield::empty(PIECES))
    }

    fn seed(&mut self, number: u64) -> PeerKey {
        self.connect(number, Transport::Tcp, Role::Client, Bitfield::full(PIECES))
    }

    fn remote(&mut self, key: PeerKey) -> &mut Remote {
        self.remotes.get_mut(&key).unwrap()
    }

    fn ask(&mut self, key: PeerKey, piece: u32, block: u32) {
        let block = geometry().block(PieceIndex(piece), anatomic_core::BlockIndex(block)).unwrap();
        let peer = &mut self.remote(key).peer;
        peer.express_interest();
        peer.request(block);
        self.run();
    }

    fn leave(&mut self, key: PeerKey) {
        self.remotes.remove(&key);
        self.table.0.remove(&key);
        self.bridge.closed(self.now, &mut self.table, &mut self.cache, key);
        self.run();
    }

    fn wait(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.now += Duration::from_secs(1);
            self.bridge.tick(self.now, &mut self.table, &mut self.cache);
            self.run();
        }
    }

    /// Carries bytes both ways until nothing moves.
    fn run(&mut self) {
        loop {
            while let Some(demand) = self.bridge.poll(&mut self.table) {
                match demand {
                    Demand::Transmit(_) => {}
                    other => self.demands.push(other),
                }
            }
            let keys: Vec<PeerKey> = self.remotes.keys().copied().collect();
            let moved = keys.into_iter().fold(false, |moved, key| self.shuttle(key) | moved);
            if !moved {
                return;
            }
        }
    }

    fn shuttle(&mut self, key: PeerKey) -> bool {
        let (mut down, mut up) = (Vec::new(), Vec::new());
        let now = self.now;
        let near = self.table.0.get_mut(&key).unwrap();
        near.transmit(now, 1 << 20, u64::MAX, &mut down);
        let far = self.remotes.get_mut(&key).unwrap();
        far.peer.transmit(now, 1 << 20, u64::MAX, &mut up);
        let moved = !down.is_empty() || !up.is_empty();
        far.receive(now, down.into());
        near.receive(now, up.into());
        self.bridge.drained(now, &mut self.table, &mut self.cache, key);
        while let Some(event) = self.table.0.get_mut(&key).and_then(|near| near.poll_event(now).unwrap()) {
            if let PeerEvent::Handshaked(_) = event {
                let near = self.table.0.get_mut(&key).unwrap();
                let offered = self.bridge.opening(near.link().transport);
                near.open(opening(offered)).unwrap();
                self.bridge.opened(&mut self.table, key);
            } else {
                self.bridge.handle(now, &mut self.table, &mut self.cache, key, event);
            }
        }
        moved
    }

    fn has_demand(&self, matches: impl Fn(&Demand) -> bool) -> bool {
        self.demands.iter().any(matches)
    }
}

impl Remote {
    fn receive(&mut self, now: Time, bytes: Bytes) {
        self.peer.receive(now, bytes);
        while let Some(event) = self.peer.poll_event(now).unwrap() {
            match event {
                PeerEvent::Handshaked(_) => {
                    self.peer.open(opening(&self.have)).unwrap();
                }
                PeerEvent::Interested => {
                    self.interested_in += 1;
                    self.peer.unchoke();
                }
                PeerEvent::Requested => {
                    while let Some(block) = self.peer.take_request() {
                        self.peer.supply(block, content(block));
                    }
                }
                PeerEvent::Block { block, data, .. } => {
                    assert_eq!(data, content(block));
                    self.blocks.push(block);
                }
                PeerEvent::Rejected(block) => self.refused.push(block),
                _ => {}
            }
        }
    }
}

#[test]
fn a_block_crosses_from_a_tcp_seed_to_a_tab_and_is_fetched_once_for_two() {
    let mut net = Net::new();
    net.seed(1);
    let (first, second) = (net.tab(2), net.tab(3));
    net.ask(first, 2, 1);
    net.ask(second, 2, 1);
    assert_eq!((net.remote(first).blocks.len(), net.remote(second).blocks.len()), (1, 1));
    assert_eq!((net.bridge.counters().fetched, net.bridge.counters().forwarded), (1, 2));
}

#[test]
fn a_block_crosses_from_a_tab_to_a_tcp_leech() {
    let mut net = Net::new();
    net.connect(1, Transport::WebRtc, Role::Client, Bitfield::full(PIECES));
    let leech = net.connect(2, Transport::Tcp, Role::Client, Bitfield::empty(PIECES));
    net.ask(leech, 5, 1);
    assert_eq!(net.remote(leech).blocks.len(), 1);
}

#[test]
fn a_whole_piece_is_given_to_hash() {
    let mut net = Net::new();
    net.seed(1);
    let tab = net.tab(2);
    net.ask(tab, 0, 0);
    net.ask(tab, 0, 1);
    assert!(net.has_demand(
        |demand| matches!(demand, Demand::Hash { piece: PieceIndex(0), blocks } if blocks.len() == 2)
    ));
}

#[test]
fn a_tab_that_came_before_the_seed_learns_of_its_pieces() {
    let mut net = Net::new();
    let tab = net.tab(2);
    assert!(net.remote(tab).peer.pieces().unwrap().is_empty());
    net.seed(1);
    net.wait(1);
    assert!(net.remote(tab).peer.is_seed());
}

#[test]
fn pieces_whose_last_source_left_are_taken_back() {
    let mut net = Net::new();
    let seed = net.seed(1);
    let tab = net.tab(2);
    assert!(net.remote(tab).peer.is_seed());
    net.leave(seed);
    net.wait(12);
    assert!(net.remote(tab).peer.pieces().unwrap().is_empty());
}

#[test]
fn a_request_for_a_piece_that_left_is_rejected() {
    let mut net = Net::new();
    let seed = net.seed(1);
    let tab = net.tab(2);
    net.leave(seed);
    net.ask(tab, 0, 0);
    assert_eq!(net.remote(tab).refused.len(), 1);
}

#[test]
fn a_node_is_recognised_closed_and_never_counted_as_a_source() {
    let mut net = Net::new();
    let node = net.connect(1, Transport::Tcp, Role::Node, Bitfield::full(PIECES));
    let tab = net.tab(2);
    net.wait(1);
    assert!(net.has_demand(|demand| matches!(demand, Demand::Close(key, _) if *key == node)));
    assert!(net.remote(tab).peer.pieces().unwrap().is_empty());
}

#[test]
fn without_anybody_downstream_a_node_wants_nothing() {
    let mut net = Net::new();
    let seed = net.seed(1);
    net.wait(1);
    assert_eq!(net.remote(seed).interested_in, 0);
    let tab = net.tab(2);
    net.ask(tab, 0, 0);
    assert_eq!(net.remote(seed).interested_in, 1);
}

#[test]
fn a_tab_is_told_what_lies_behind_the_node() {
    let mut net = Net::new();
    net.seed(1);
    let tab = net.tab(2);
    let near = net.table.0.get_mut(&tab).unwrap();
    assert!(near.extensions().unwrap().ids.an_bridge.is_some());
    net.wait(3);
    let expected = BridgeReport { tcp: 1, utp: 0, webrtc: 1, seeds: 1, leeches: 0 };
    assert_eq!(net.bridge.reported, Some(expected));
}

#[test]
fn a_classic_seed_is_told_of_nothing_that_it_has_and_never_takes_us_for_a_seed() {
    let mut net = Net::new();
    net.connect(1, Transport::WebRtc, Role::Client, Bitfield::full(PIECES));
    let seed = net.seed(2);
    let leech = net.connect(3, Transport::Tcp, Role::Client, Bitfield::empty(PIECES));
    net.wait(3);
    assert!(net.remote(seed).peer.pieces().unwrap().is_empty());
    assert!(net.remote(leech).peer.is_seed());
}
