//! The supernode's index: how many receipts a second it verifies and takes, and how long a search takes among a million.
//!
//! One argument: how many torrents (default 1,000,000); a second one, `postgres://…`, measures that store instead of
//! SQLite. Names are of 20,000 words, drawn so that a few are common; half of the torrents had a seed lately.

use anatomic_core::InfoHash;
use anatomic_mesh::counts::{Counts, MAX_SWARMS, Peers, SwarmCount};
use anatomic_mesh::{Identity, Listing, Receipt, Signed, UnixTime};
use anatomic_relay::supernode::Index;
use anatomic_relay::supernode::index::{Entry, TorrentRow};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Receipts of one transaction, as a follower of a feed takes them.
const BATCH: usize = 1_000;
/// Searches of each kind.
const SEARCHES: usize = 200;

fn now() -> UnixTime {
    UnixTime(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()))
}

/// A word: small numbers are common.
fn word(rng: &mut fastrand::Rng) -> String {
    let rank = (20_000_f64.powf(rng.f64()) - 1.0) as u32;
    format!("word{rank}")
}

fn receipt(node: &Identity, hash: InfoHash) -> Vec<u8> {
    let receipt = Receipt {
        info_hash: hash,
        info_hash_v2: None,
        node: node.key(),
        url: "http://127.0.0.1:1".into(),
        planter: node.key(),
        sisters: vec![],
        listing: Listing::Listed,
        issued: now(),
        claimed: None,
        expires: now().plus(86_400),
    };
    Signed::new(receipt, node).expect("our own key").as_bytes().to_vec()
}

/// Makes the words of a search.
type Words = dyn Fn(&mut fastrand::Rng) -> Vec<String>;

fn percentile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort();
    times[(times.len() * percent / 100).min(times.len() - 1)]
}

#[tokio::main]
async fn main() {
    let mut args = std::env::args().skip(1);
    let total: usize = args.next().map_or(1_000_000, |count| count.parse().expect("a number of torrents"));
    let folder = std::env::temp_dir().join(format!("anatomic-bench-index-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let store = args.next();
    let index = match &store {
        Some(url) => Index::connect(url).await.expect("the database"),
        None => Index::open(&folder.join("index.sqlite")).await.expect("the index"),
    };
    let node = Identity::from_seed([1; 32]);
    let mut rng = fastrand::Rng::with_seed(1);
    let (mut taking, mut slowest) = (Duration::ZERO, Duration::ZERO);
    let mut number = 0;
    while number < total {
        // Made before the clock runs: the network's work, not the index's.
        let batch: Vec<(InfoHash, Vec<u8>, String)> = (0..BATCH.min(total - number))
            .map(|_| {
                number += 1;
                let mut hash = [0; 20];
                hash[..8].copy_from_slice(&(number as u64).to_be_bytes());
                rng.fill(&mut hash[8..]);
                let name: Vec<String> = (0..6).map(|_| word(&mut rng)).collect();
                (InfoHash(hash), receipt(&node, InfoHash(hash)), name.join(" "))
            })
            .collect();
        let hashes: Vec<InfoHash> = batch.iter().map(|(hash, ..)| *hash).collect();
        let start = Instant::now();
        let entries = batch.into_iter().map(|(hash, bytes, name)| Entry {
            row: TorrentRow::claimed(hash, None, Some(name), Some(1)),
            receipts: vec![Signed::from_bytes(&bytes).expect("it was signed just now")],
        });
        index.put(entries.collect(), now()).await.expect("the index takes it");
        taking += start.elapsed();
        slowest = slowest.max(start.elapsed());
        for chunk in hashes[..hashes.len() / 2].chunks(MAX_SWARMS) {
            let age = rng.u32(0..86_400);
            let swarm = |hash: &InfoHash| SwarmCount {
                info_hash: *hash,
                tabs: Peers::default(),
                classic: Peers { seeds: 1, leeches: 0 },
                helped: 0,
                seed_age: Some(age),
            };
            let counts =
                Counts { node: node.key(), issued: now(), swarms: chunk.iter().map(swarm).collect() };
            let counts = Signed::new(counts, &node).expect("our own key");
            index.put_counts(&counts, now()).await.expect("the index takes it");
        }
    }
    println!(
        "{} torrents: {:.0} receipts/s verified and indexed, slowest batch of {BATCH} {slowest:.0?}",
        total,
        total as f64 / taking.as_secs_f64()
    );
    let kinds: [(&str, &Words); 4] = [
        ("one word, drawn as names are", &|rng| vec![word(rng)]),
        ("two words", &|rng| vec![word(rng), word(rng)]),
        ("the commonest word", &|_| vec!["word0".into()]),
        ("a word that nothing has", &|rng| vec![format!("nothing{}", rng.u32(..))]),
    ];
    let mut all = Vec::new();
    for (kind, make) in kinds {
        let mut times = Vec::new();
        for _ in 0..SEARCHES {
            let words = make(&mut rng);
            let start = Instant::now();
            index.search(&words, 51, 0, now()).await.expect("the index answers");
            times.push(start.elapsed());
        }
        let (half, most) = (percentile(&mut times, 50), percentile(&mut times, 95));
        println!("{kind}: median {half:.1?}, 95th percentile {most:.1?}");
        all.extend(times);
    }
    println!("all searches: 95th percentile {:.1?}", percentile(&mut all, 95));
    index.close().await;
    let _ = std::fs::remove_dir_all(folder);
}
