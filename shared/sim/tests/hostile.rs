//! An engine among strangers, by operation lists: whatever comes in whatever order, it neither panics nor loops.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

use anatomic_core::{Bitfield, InfoHash, PeerId, PieceIndex, Time};
use anatomic_engine::{
    AddTorrent, AnnounceKey, AnnounceReply, Config, DialKey, Direction, Done, Engine, IntroductionKey, Job,
    JobKey, Limits, Link, Mode, Output, PeerKey, PickOrder, Priority, Role, Source, Start, TorrentKey,
    TorrentSource, Transport,
};
use anatomic_sim::Content;
use anatomic_wire::extended::{
    BridgeReport, DontHave, ExtendedHandshake, ExtensionIds, Introduction, MetadataMessage, Pex, PexFlags,
    PexPeer, ShortId,
};
use anatomic_wire::handshake::{Handshake, Reserved};
use anatomic_wire::message::{BlockRange, Message};
use anatomic_wire::tracker::websocket::{Offer, OfferId};
use bytes::Bytes;
use fastrand::Rng;
use std::net::SocketAddr;
use std::time::Duration;

struct Fuzz {
    rng: Rng,
    now: Time,
    engine: Engine,
    content: Content,
    torrents: Vec<TorrentKey>,
    peers: Vec<PeerKey>,
    dials: Vec<(DialKey, SocketAddr)>,
    jobs: Vec<(JobKey, Job)>,
    announces: Vec<AnnounceKey>,
    introductions: Vec<IntroductionKey>,
}

impl Fuzz {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let config = Config {
            max_peers: 6,
            max_peers_total: 9,
            max_unfinished: 200_000,
            max_candidates: 20,
            role: if rng.bool() { Role::Node } else { Role::Client },
            addresses: anatomic_core::address::Policy::PrivateNetwork,
            ..Config::default()
        };
        let length = rng.usize(1..400_000);
        let content = Content::random(seed, length, 32_768);
        let engine = Engine::new(config, PeerId([1; 20]), seed);
        Self {
            rng,
            now: Time::ZERO,
            engine,
            content,
            torrents: Vec::new(),
            peers: Vec::new(),
            dials: Vec::new(),
            jobs: Vec::new(),
            announces: Vec::new(),
            introductions: Vec::new(),
        }
    }

    fn any<T: Copy>(rng: &mut Rng, list: &[T]) -> Option<T> {
        rng.choice(list).copied()
    }

    fn add(&mut self) {
        let rng = &mut self.rng;
        let source = if rng.bool() {
            TorrentSource::Metainfo(self.content.metainfo.clone())
        } else {
            TorrentSource::Magnet(Box::new(anatomic_core::Magnet::of(&self.content.metainfo)))
        };
        let pieces = self.content.metainfo.geometry().pieces();
        let start = match rng.u8(0..5) {
            0 => Start::Check,
            1 => Start::Trust(Bitfield::full(pieces)),
            2 => Start::Trust(Bitfield::empty(pieces + 9)),
            _ => Start::Fresh,
        };
        let mode = if rng.u8(0..3) == 0 { Mode::Bridge } else { Mode::Store };
        let add = AddTorrent { start, mode, paused: rng.u8(0..5) == 0, ..AddTorrent::new(source) };
        if let Ok(key) = self.engine.add(self.now, add) {
            self.torrents.push(key);
        }
    }

    fn message(&mut self, into: &mut Vec<u8>) {
        let rng = &mut self.rng;
        let pieces = self.content.metainfo.geometry().pieces();
        let piece = if rng.u8(0..20) == 0 { rng.u32(..) } else { rng.u32(0..pieces + 1) };
        let offset = if rng.u8(0..20) == 0 { rng.u32(..) } else { rng.u32(0..3) * 16_384 };
        let length = if rng.u8(0..10) == 0 { rng.u32(0..140_000) } else { 16_384 };
        let range = BlockRange { piece, offset, length };
        let message = match rng.u8(0..27) {
            0 => Message::KeepAlive,
            1 => Message::Choke,
            2 | 3 => Message::Unchoke,
            4 => Message::Interested,
            5 => Message::NotInterested,
            6 => Message::Have(piece),
            7 => {
                let mut bits = vec![0; (pieces as usize).div_ceil(8)];
                rng.fill(&mut bits);
                if let (Some(last), spare @ 1..) = (bits.last_mut(), (8 - pieces % 8) % 8) {
                    *last &= 0xff << spare;
                }
                Message::Bitfield(bits.into())
            }
            8 => Message::HaveAll,
            9 => Message::HaveNone,
            10 | 11 => Message::Request(range),
            12..=14 => {
                let block = BlockRange { length: length.min(40_000), ..range };
                let mut data = vec![0; block.length as usize];
                let start = u64::from(piece) * 32_768 + u64::from(offset);
                if let Ok(start) = usize::try_from(start)
                    && let Some(right) =
                        self.content.data.get(start..(start + data.len()).min(self.content.data.len()))
                    && rng.u8(0..4) > 0
                {
                    data = right.to_vec();
                }
                Message::Piece { piece, offset, data: data.into() }
            }
            15 => Message::Cancel(range),
            16 => Message::Reject(range),
            17 => Message::AllowedFast(piece),
            18 => Message::Suggest(piece),
            19 => {
                let handshake = ExtendedHandshake {
                    ids: ExtensionIds {
                        ut_metadata: Some(rng.u8(0..4)),
                        lt_donthave: Some(7),
                        an_bridge: Some(9),
                        ut_pex: rng.bool().then_some(4),
                        an_intro: rng.bool().then_some(6),
                        ..ExtensionIds::default()
                    },
                    metadata_size: Some(if rng.bool() {
                        self.content.metainfo.info_bytes().len() as u32
                    } else {
                        rng.u32(..)
                    }),
                    request_queue: Some(rng.u32(0..300)),
                    port: Some(rng.u16(..)),
                    node: rng.bool(),
                    ..ExtendedHandshake::default()
                };
                Message::Extended { id: 0, payload: handshake.encode().into() }
            }
            20 => {
                let info = self.content.metainfo.info_bytes();
                let piece = rng.u32(0..2);
                let data =
                    if rng.u8(0..3) > 0 { info.clone() } else { Bytes::from(vec![0; rng.usize(0..16_384)]) };
                let message = match rng.u8(0..3) {
                    0 => MetadataMessage::Request { piece },
                    1 => MetadataMessage::Data { piece, total_size: Some(info.len() as u32), data },
                    _ => MetadataMessage::Reject { piece },
                };
                Message::Extended { id: 1, payload: message.encode().into() }
            }
            21 => Message::Extended { id: 2, payload: DontHave { piece }.encode().into() },
            22 => Message::Extended {
                id: 3,
                payload: BridgeReport { tcp: rng.u32(..), ..BridgeReport::default() }.encode().into(),
            },
            23..=24 => {
                let offer = Offer { id: OfferId([rng.u8(0..4); 20]), sdp: "v=0".into() };
                let introduction = match rng.u8(0..4) {
                    0 => Introduction::Ask { offer, known: vec![ShortId([rng.u8(0..8); 8])] },
                    1 => Introduction::Offer { offer, from: PeerId([rng.u8(0..8); 20]) },
                    2 => Introduction::Answer(offer),
                    _ => Introduction::Refusal(offer.id),
                };
                Message::Extended { id: 6, payload: introduction.encode().into() }
            }
            25 => {
                let peer = |port| PexPeer {
                    address: SocketAddr::from(([10, 0, 0, 9], port)),
                    flags: PexFlags(port as u8),
                };
                let added = (0..rng.u16(0..90)).map(peer).collect();
                Message::Extended { id: 4, payload: Pex { added, dropped: Vec::new() }.encode().into() }
            }
            _ => {
                into.extend((0..rng.usize(0..30)).map(|_| rng.u8(..)));
                return;
            }
        };
        message.encode(into);
    }

    fn connect(&mut self) {
        let rng = &mut self.rng;
        let address = SocketAddr::from(([10, 0, 0, rng.u8(0..6)], rng.u16(0..9_000)));
        let direction = match Self::any(rng, &self.dials) {
            Some((dial, _)) if rng.bool() => Direction::Dialled(dial),
            _ if rng.bool() => Direction::Offered,
            _ => Direction::Accepted,
        };
        let link = Link {
            transport: [Transport::Tcp, Transport::Utp, Transport::WebRtc][rng.usize(0..3)],
            direction,
            torrent: Self::any(rng, &self.torrents).filter(|_| rng.bool()),
            address: rng.bool().then_some(address),
            encrypted: rng.bool(),
        };
        let peer = self.engine.handle_connected(self.now, link);
        self.peers.push(peer);
        let mut bytes = Vec::new();
        if self.rng.u8(0..8) > 0 {
            let reserved = if self.rng.bool() { Reserved::OURS } else { Reserved([0; 8]) };
            let info_hash = if self.rng.u8(0..9) > 0 { self.content.info_hash() } else { InfoHash([3; 20]) };
            let peer_id = PeerId([self.rng.u8(1..8); 20]);
            Handshake { reserved, info_hash, peer_id }.encode(&mut bytes);
        }
        for _ in 0..self.rng.usize(0..4) {
            self.message(&mut bytes);
        }
        self.feed(peer, bytes);
    }

    fn feed(&mut self, peer: PeerKey, bytes: Vec<u8>) {
        let split = self.rng.usize(1..40_000);
        for chunk in bytes.chunks(split) {
            self.engine.handle_received(self.now, peer, Bytes::copy_from_slice(chunk));
        }
    }

    fn drain(&mut self) {
        for count in 0.. {
            assert!(count < 100_000, "outputs without end");
            let Some(output) = self.engine.poll_output() else { break };
            match output {
                Output::Dial { dial, address, .. } => self.dials.push((dial, address)),
                Output::Job { job, work, .. } => self.jobs.push((job, work)),
                Output::Announce { announce, .. } => self.announces.push(announce),
                Output::Introduce { introduction, .. } => self.introductions.push(introduction),
                Output::Transmit { peer } if self.rng.bool() => {
                    let room = self.rng.usize(0..40_000);
                    let mut into = Vec::new();
                    while self.engine.poll_transmit(self.now, peer, room, &mut into) > 0 {
                        assert!(into.len() < 400_000_000, "bytes without end");
                    }
                }
                _ => {}
            }
        }
    }

    fn finish_job(&mut self) {
        if self.jobs.is_empty() {
            return;
        }
        let (key, job) = self.jobs.swap_remove(self.rng.usize(0..self.jobs.len()));
        let right = self.rng.u8(0..8) > 0;
        let done = match job {
            _ if !right => [
                Done::Failed("x".into()),
                Done::Written,
                Done::Checked(None),
                Done::Digest([0; 20]),
                Done::Read(Bytes::new()),
            ][self.rng.usize(0..5)]
            .clone(),
            Job::Hash { blocks } => {
                let whole: Vec<u8> = blocks.concat();
                let geometry = self.content.metainfo.geometry();
                let found =
                    (0..geometry.pieces()).map(PieceIndex).find(|piece| self.content.piece(*piece) == whole);
                Done::Digest(
                    found.and_then(|piece| self.content.metainfo.piece_hash(piece)).unwrap_or([0; 20]),
                )
            }
            Job::Write { .. } => Done::Written,
            Job::Read { block } => Done::Read(vec![0; block.length as usize].into()),
            Job::Check { piece } => {
                Done::Checked(self.content.metainfo.piece_hash(piece).filter(|_| self.rng.bool()))
            }
        };
        self.engine.handle_done(self.now, key, done);
    }

    fn command(&mut self) {
        let now = self.now;
        let Some(torrent) = Self::any(&mut self.rng, &self.torrents) else { return };
        let rng = &mut self.rng;
        match rng.u8(0..10) {
            0 if rng.u8(0..4) == 0 => self.engine.remove(now, torrent),
            1 => self.engine.pause(now, torrent),
            2 | 3 => self.engine.resume(now, torrent),
            4 => self.engine.select_files(now, torrent, &[Priority::new(rng.u8(0..9))]),
            5 => self
                .engine
                .set_order(torrent, if rng.bool() { PickOrder::Sequential } else { PickOrder::RarestFirst }),
            6 => {
                let (from, to) = (rng.u64(0..500_000), rng.u64(0..500_000));
                self.engine.set_window(now, torrent, rng.u64(0..2), rng.bool().then_some(from..to));
            }
            7 => {
                let limit = |rng: &mut Rng| rng.bool().then(|| rng.u64(0..200_000));
                let limits = Limits { download: limit(rng), upload: limit(rng) };
                self.engine.set_limits(now, limits);
            }
            8 => {
                let addresses: Vec<SocketAddr> =
                    (0..5).map(|_| SocketAddr::from((rng.u32(..).to_be_bytes(), rng.u16(..)))).collect();
                self.engine.add_candidates(now, torrent, Source::Pex, &addresses);
            }
            _ => self.engine.add_trackers(now, torrent, &[format!("wss://{}/", rng.u8(0..4))]),
        }
        let _ =
            (self.engine.view(torrent), self.engine.resume_data(torrent), self.engine.wants_peer(torrent));
    }

    fn step(&mut self) {
        match self.rng.u8(0..20) {
            0 => self.add(),
            1 | 2 => self.connect(),
            3..=9 => {
                if let Some(peer) = Self::any(&mut self.rng, &self.peers) {
                    let mut bytes = Vec::new();
                    for _ in 0..self.rng.usize(1..6) {
                        self.message(&mut bytes);
                    }
                    self.feed(peer, bytes);
                }
            }
            10 => {
                if let Some(peer) = Self::any(&mut self.rng, &self.peers) {
                    self.engine.handle_closed(self.now, peer);
                }
            }
            11 => {
                if let Some((dial, _)) = Self::any(&mut self.rng, &self.dials) {
                    self.engine.handle_dial_failed(self.now, dial);
                }
            }
            12..=14 => self.finish_job(),
            15 => {
                if let Some(announce) = Self::any(&mut self.rng, &self.announces) {
                    let reply = AnnounceReply {
                        interval: Some(Duration::from_secs(self.rng.u64(..))),
                        peers: vec![SocketAddr::from(([9, 9, 9, self.rng.u8(..)], self.rng.u16(..)))],
                        ..AnnounceReply::default()
                    };
                    let result = if self.rng.bool() { Ok(reply) } else { Err("no".to_owned()) };
                    self.engine.handle_announced(self.now, announce, result);
                }
            }
            16 if self.rng.bool() => {
                if let Some(key) = Self::any(&mut self.rng, &self.introductions) {
                    let sdp = self.rng.bool().then(|| "v=0".to_owned());
                    self.engine.handle_described(self.now, key, sdp);
                }
            }
            16 => self.command(),
            17 => {
                if let Some(peer) = Self::any(&mut self.rng, &self.peers) {
                    let room = self.rng.usize(0..60_000);
                    let mut into = Vec::new();
                    let count = self.engine.poll_transmit(self.now, peer, room, &mut into);
                    assert!(count == into.len() && count <= room);
                }
            }
            _ => {
                self.now += Duration::from_millis(self.rng.u64(0..4_000));
                self.engine.handle_timeout(self.now);
                assert!(self.engine.poll_timeout() > self.now, "woken without end");
            }
        }
        if self.rng.u8(0..4) > 0 {
            self.drain();
        }
    }
}

#[test]
fn whatever_comes_the_engine_neither_panics_nor_loops() {
    let seeds: u64 = std::env::var("HOSTILE_SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(250);
    for seed in 0..seeds {
        let result = std::panic::catch_unwind(|| {
            let mut fuzz = Fuzz::new(seed);
            fuzz.add();
            for _ in 0..400 {
                fuzz.step();
            }
        });
        assert!(result.is_ok(), "seed {seed}");
    }
}
