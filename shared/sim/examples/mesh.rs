//! What peer-sharing costs a node, and how soon a new seed is known: `cargo run --release -p anatomic-sim --example mesh`.
//!
//! Arguments: nodes, torrents, peers; without any, 1,000 nodes with 100,000 torrents and 5 million peers, after two smaller networks
//! with the same load a node, which show that a node's cost does not grow with the network. Every torrent is planted on three nodes;
//! each peer announces to one of them every half hour and stays for an hour, all at random. The state machines are the real ones
//! with real keys, signatures and messages; of the guests only the number is kept, since 10 million would not fit a small machine.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::cast_precision_loss
)]

use anatomic_core::InfoHash;
use anatomic_mesh::sharing::{Config, Contact, Counters};
use anatomic_sim::mesh::MeshWorld;
use fastrand::Rng;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

const SEED: u64 = 1;
/// How long the steady state is watched.
const WATCHED: Duration = Duration::from_secs(300);
/// How many times it is measured how soon a seed is known.
const PROBES: usize = 1_000;
const STEP: Duration = Duration::from_millis(100);

fn main() {
    let given: Vec<usize> = std::env::args().skip(1).map(|text| text.parse().expect("a number")).collect();
    println!("seed {SEED}; watched for {} s of virtual time", WATCHED.as_secs());
    println!(
        "{:>6} {:>9} {:>10} | {:>8} {:>9} | {:>8} {:>8} {:>9} | {:>22} | {:>22} | {:>6}",
        "nodes",
        "torrents",
        "peers",
        "sessions",
        "formation",
        "msg/s",
        "B/s out",
        "B/s worst",
        "seed known, waiting",
        "seed known, otherwise",
        "took"
    );
    match given[..] {
        [nodes, torrents, peers] => run(nodes, torrents, peers),
        _ => [(250, 25_000, 1_250_000), (500, 50_000, 2_500_000), (1_000, 100_000, 5_000_000)]
            .into_iter()
            .for_each(|(nodes, torrents, peers)| run(nodes, torrents, peers)),
    }
}

fn hash(number: usize) -> InfoHash {
    let mut hash = [0; 20];
    hash[..8].copy_from_slice(&(number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    hash[8..16].copy_from_slice(&(number as u64).to_be_bytes());
    InfoHash(hash)
}

fn contact(number: usize) -> Contact {
    let [.., a, b, c, d] = (number as u64).to_be_bytes();
    Contact::Address(SocketAddr::from(([11 + a, b, c, d], 6881)))
}

fn run(nodes: usize, torrents: usize, peers: usize) {
    let began = Instant::now();
    let mut rng = Rng::with_seed(SEED);
    let mut world = MeshWorld::new(nodes, Config::default(), SEED);
    world.keep_guests = false;

    let mut places = Vec::with_capacity(torrents);
    for number in 0..torrents {
        let mut three = rng.choose_multiple(0..nodes, 3);
        rng.shuffle(&mut three);
        world.plant(hash(number), &three);
        places.push([three[0], three[1], three[2]]);
        // Planting is spread over time, as it is in life.
        if number % 1_000 == 999 {
            world.run(Duration::from_secs(1));
        }
    }
    world.run(Duration::from_secs(120));
    let formed = world.connections() as f64 * 2.0 / nodes as f64;
    let formation = total(&mut world, nodes).sent_bytes as f64 / nodes as f64;

    // Half of the torrents hold nine tenths of the peers; every tenth peer is a seed.
    let mut next = 0;
    let mut arrivals =
        |world: &mut MeshWorld, rng: &mut Rng, many: usize, alive: &mut Vec<(u32, u8, u32, bool)>| {
            for _ in 0..many {
                let half = torrents / 2;
                let torrent = if rng.u8(..10) < 9 { rng.usize(..half) } else { rng.usize(half..torrents) };
                let place = rng.u8(..3);
                let seed = rng.u8(..10) == 0;
                world.come(places[torrent][usize::from(place)], hash(torrent), contact(next), seed);
                alive.push((torrent as u32, place, next as u32, seed));
                next += 1;
            }
        };
    let mut alive = Vec::with_capacity(peers);
    let filling = 600;
    for _ in 0..filling {
        arrivals(&mut world, &mut rng, peers / filling, &mut alive);
        world.run(Duration::from_millis(500));
    }
    world.run(Duration::from_secs(60));

    let before = each(&mut world, nodes);
    let steps = WATCHED.as_millis() / STEP.as_millis();
    let per_step = |every: f64| peers as f64 / every * STEP.as_secs_f64();
    let (mut churn, mut again) = (0.0, 0.0);
    // Probes: their torrent, their nodes, and when the seed came.
    let mut probes: Vec<(usize, [usize; 3], anatomic_core::Time)> = Vec::new();
    for step in 0..steps {
        churn += per_step(3_600.0);
        again += per_step(1_800.0);
        while churn >= 1.0 {
            churn -= 1.0;
            let (torrent, place, number, _) = alive.swap_remove(rng.usize(..alive.len()));
            world.go(
                places[torrent as usize][usize::from(place)],
                hash(torrent as usize),
                &contact(number as usize),
            );
            arrivals(&mut world, &mut rng, 1, &mut alive);
        }
        while again >= 1.0 {
            again -= 1.0;
            let (torrent, place, number, seed) = alive[rng.usize(..alive.len())];
            world.come(
                places[torrent as usize][usize::from(place)],
                hash(torrent as usize),
                contact(number as usize),
                seed,
            );
        }
        // Ten probes a second in torrents of their own: a leech waits at the second node, and later a seed comes to the first.
        let number = step as usize;
        if number < PROBES {
            let three = rng.choose_multiple(0..nodes, 3);
            let torrent = torrents + number;
            world.plant(hash(torrent), &three);
            world.come(three[1], hash(torrent), contact(210_000_000 + number), false);
            probes.push((torrent, [three[0], three[1], three[2]], world.now));
        } else if let Some((torrent, three, begun)) = probes.get_mut(number - PROBES) {
            world.come(three[0], hash(*torrent), contact(200_000_000 + number), true);
            *begun = world.now;
        }
        world.run(STEP);
    }
    world.run(Duration::from_secs(15));
    let after = each(&mut world, nodes);
    let span = WATCHED.as_secs_f64() + 15.0;
    let rates: Vec<(f64, f64)> = before
        .iter()
        .zip(&after)
        .map(|(before, after)| {
            ((after.sent - before.sent) as f64 / span, (after.sent_bytes - before.sent_bytes) as f64 / span)
        })
        .collect();
    let mean = |pick: fn(&(f64, f64)) -> f64| rates.iter().map(pick).sum::<f64>() / nodes as f64;
    let worst = rates.iter().map(|rate| rate.1).fold(0.0, f64::max);

    let mut waiting = Vec::new();
    let mut otherwise = Vec::new();
    for (torrent, three, begun) in &probes {
        let known = |node: usize| {
            let swarm = world.nodes[node].swarms.get(&hash(*torrent));
            let known = swarm.and_then(|swarm| swarm.seed_known);
            known.map_or(f64::INFINITY, |known| known.since(*begun).as_secs_f64())
        };
        waiting.push(known(three[1]));
        // Nobody is at the third.
        otherwise.push(known(three[2]));
    }
    println!(
        "{nodes:>6} {torrents:>9} {peers:>10} | {formed:>8.0} {:>6.0} kB | {:>8.1} {:>8.0} {worst:>9.0} | {:>22} | {:>22} | {:>4} s",
        formation / 1e3,
        mean(|rate| rate.0),
        mean(|rate| rate.1),
        quantiles(&mut waiting),
        quantiles(&mut otherwise),
        began.elapsed().as_secs()
    );
}

fn quantiles(values: &mut [f64]) -> String {
    values.sort_by(f64::total_cmp);
    let at = |part: f64| values[((values.len() - 1) as f64 * part) as usize];
    format!("{:.2} / {:.2} / {:.2} s", at(0.5), at(0.95), at(1.0))
}

fn each(world: &mut MeshWorld, nodes: usize) -> Vec<Counters> {
    (0..nodes).map(|node| world.sharing(node).expect("it lives").counters()).collect()
}

fn total(world: &mut MeshWorld, nodes: usize) -> Counters {
    each(world, nodes).into_iter().fold(Counters::default(), |sum, counters| Counters {
        sent: sum.sent + counters.sent,
        sent_bytes: sum.sent_bytes + counters.sent_bytes,
        ..sum
    })
}
