//! Blocks a second through a pair of engines, on one thread, without hashing, network or disk.
//!
//! Run with `cargo run --release -p anatomic-sim --example blocks`. The figure is CPU of both engines together, with
//! the copies of each block that the interface has (one into the transport's buffer).

#![allow(clippy::expect_used, reason = "a figure that cannot be measured stops the run")]

use anatomic_core::{PeerId, Time};
use anatomic_engine::{
    AddTorrent, Config, Direction, Done, Engine, Job, Link, Output, PeerKey, Start, TorrentKey,
    TorrentSource, Transport,
};
use anatomic_sim::Content;
use bytes::Bytes;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

struct Side {
    engine: Engine,
    peer: PeerKey,
    ready: bool,
    reads: VecDeque<Output>,
}

fn main() {
    for (peers, length) in [(1usize, 512 << 20), (20, 256 << 20)] {
        let content = Content::random(1, length, 1 << 20);
        measure(&content, peers);
    }
}

fn engine(content: &Content, number: u8, start: Start) -> (Engine, TorrentKey) {
    let mut engine =
        Engine::new(Config { max_peers: 200, ..Config::default() }, PeerId::ours([number; 12]), 1);
    let add = AddTorrent { start, ..AddTorrent::new(TorrentSource::Metainfo(content.metainfo.clone())) };
    let key = engine.add(Time::ZERO, add).expect("new");
    (engine, key)
}

fn link(torrent: TorrentKey, direction: Direction) -> Link {
    Link { transport: Transport::WebRtc, direction, torrent: Some(torrent), address: None, encrypted: true }
}

/// One leech and `peers` seeds.
fn measure(content: &Content, peers: usize) {
    let mut now = Time::from_secs(1);
    let pieces = content.metainfo.geometry().pieces();
    let (mut leech, key) = engine(content, 0, Start::Fresh);
    let mut seeds = Vec::new();
    for number in 0..peers {
        let full = anatomic_core::Bitfield::full(pieces);
        let number = u8::try_from(number + 1).expect("few");
        let (mut engine, torrent) = engine(content, number, Start::Trust(full));
        let peer = engine.handle_connected(now, link(torrent, Direction::Accepted));
        let here = leech.handle_connected(now, link(key, Direction::Offered));
        seeds.push((Side { engine, peer, ready: true, reads: VecDeque::new() }, here, true));
    }
    let (mut in_seeds, mut in_leech) = (Duration::ZERO, Duration::ZERO);
    let mut blocks = 0u64;
    let mut jobs: VecDeque<Output> = VecDeque::new();
    let started = Instant::now();
    while leech.view(key).is_none_or(|view| view.progress() < 1.0) {
        for _ in 0..50 {
            now += Duration::from_micros(200);
            for (seed, here, ready) in &mut seeds {
                // Seed to leech.
                let at = Instant::now();
                let mut bytes = Vec::with_capacity(64 * 1024);
                if seed.ready {
                    while seed.engine.poll_transmit(now, seed.peer, 64 * 1024 - bytes.len(), &mut bytes) > 0 {
                    }
                    seed.ready = false;
                }
                in_seeds += at.elapsed();
                let at = Instant::now();
                if !bytes.is_empty() {
                    leech.handle_received(now, *here, Bytes::from(bytes));
                    seed.ready = true;
                }
                in_leech += at.elapsed();
                // Leech to seed.
                let at = Instant::now();
                let mut bytes = Vec::new();
                if *ready {
                    while leech.poll_transmit(now, *here, 64 * 1024, &mut bytes) > 0 {}
                    *ready = false;
                }
                in_leech += at.elapsed();
                let at = Instant::now();
                if !bytes.is_empty() {
                    seed.engine.handle_received(now, seed.peer, Bytes::from(bytes));
                }
                while let Some(output) = seed.engine.poll_output() {
                    match output {
                        Output::Transmit { .. } => seed.ready = true,
                        Output::Job { .. } => seed.reads.push_back(output),
                        _ => {}
                    }
                }
                while let Some(Output::Job { job, work, .. }) = seed.reads.pop_front() {
                    if let Job::Read { block } = work {
                        let start = content.metainfo.geometry().start_of(block.piece) as usize
                            + block.offset as usize;
                        let data = content.data.slice(start..start + block.length as usize);
                        blocks += 1;
                        seed.engine.handle_done(now, job, Done::Read(data));
                    }
                }
                while let Some(output) = seed.engine.poll_output() {
                    seed.ready |= matches!(output, Output::Transmit { .. });
                }
                in_seeds += at.elapsed();
            }
            let at = Instant::now();
            while let Some(output) = leech.poll_output() {
                match output {
                    Output::Transmit { peer } => {
                        if let Some(seed) = seeds.iter_mut().find(|(_, here, _)| *here == peer) {
                            seed.2 = true;
                        }
                    }
                    Output::Job { .. } => jobs.push_back(output),
                    _ => {}
                }
            }
            in_leech += at.elapsed();
            while let Some(Output::Job { job, work, .. }) = jobs.pop_front() {
                let (done, piece) = match work {
                    Job::Hash { blocks } => (Done::Digest(digest(content, &blocks)), None),
                    Job::Write { piece, .. } => (Done::Written, Some(piece)),
                    _ => continue,
                };
                let _ = piece;
                let at = Instant::now();
                leech.handle_done(now, job, done);
                in_leech += at.elapsed();
            }
            let at = Instant::now();
            if leech.poll_timeout() <= now {
                leech.handle_timeout(now);
            }
            in_leech += at.elapsed();
        }
    }
    let all = started.elapsed();
    let per = |time: Duration| time.as_nanos() as f64 / blocks as f64;
    println!(
        "{peers} seeds, {blocks} blocks: {:.0} blocks/s of CPU; {:.0} ns a block in the leech, {:.0} ns in the seeds; {:.2} s in all",
        blocks as f64 / (in_seeds + in_leech).as_secs_f64(),
        per(in_leech),
        per(in_seeds),
        all.as_secs_f64(),
    );
}

/// The right digest without hashing: the piece is found by its first block's bytes, which are unique here.
fn digest(content: &Content, blocks: &[Bytes]) -> [u8; 20] {
    let first = blocks.first().map_or(&[][..], |block| block.get(..32).unwrap_or(block));
    let geometry = content.metainfo.geometry();
    for number in 0..geometry.pieces() {
        let piece = anatomic_core::PieceIndex(number);
        let start = geometry.start_of(piece) as usize;
        if content.data.slice(start..).starts_with(first) {
            return content.metainfo.piece_hash(piece).expect("a piece");
        }
    }
    [0; 20]
}
