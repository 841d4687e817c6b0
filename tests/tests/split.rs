//! A network that is cut in two: both halves go on by themselves, and afterwards they are one again.
//!
//! The same in virtual time, with more nodes: `shared/sim/tests/mesh.rs`.

use anatomic_tests::ask::{announce, eventually, metric, scrape};
use anatomic_tests::prelude::*;
use std::path::Path;
use tokio::time::Instant;

/// How long the network is in two. After two minutes each half gives up the other.
const APART: Duration = Duration::from_secs(300);

/// `anatomic ARGS` at a place, to its end.
async fn run(s: &Scene, place: &Place, name: &str, args: &[&str]) -> anatomic::Ended {
    anatomic::ended(anatomic::start_at(s, place, name, args), TRANSFER).await.success()
}

/// Plants by one supernode, from where it is; returns the link.
async fn plant(s: &Scene, supernode: &Anatomic, what: &Path, nodes: &str, out: &Path) -> String {
    let (url, what, out) = (supernode.url(), what.display().to_string(), out.display().to_string());
    let args = ["plant", &what, "--supernode", &url, "--nodes", nodes, "-o", &out, "--json"];
    let planted = run(s, supernode.place(), "plant", &args).await.json();
    planted["link"].as_str().expect("a link").to_owned()
}

/// Downloads a link at a place.
async fn download(s: &Scene, place: &Place, link: &str, name: &str, (file, digest): (&str, &str)) {
    let into = s.folder(&format!("{name}.into"));
    let (out, listen) = (into.display().to_string(), format!("{}:0", place.ip));
    let args = ["get", link, "-o", &out, "--no-seed", "--listen", &listen];
    let _ = run(s, place, name, &args).await;
    assert_eq!(content::sha256(&into.join(file)), digest, "{name}");
}

async fn figures(nodes: &[Anatomic], name: &str) -> Vec<u64> {
    let mut figures = Vec::new();
    for node in nodes {
        figures.push(metric(node, name).await.unwrap_or_default());
    }
    figures
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_network_that_was_cut_in_two_becomes_one_again_without_duplicates_or_a_storm() {
    scene::run_within(Duration::from_secs(580), async |s| {
        let Some(halves) = Halves::new() else { return };
        let place = [halves.place(0), halves.place(1)];
        let one = Anatomic::start_at(s, &place[0], "supernode1", "supernode", &[]).await;
        let follow = one.url();
        let two =
            Anatomic::start_at(s, &place[1], "supernode2", "supernode", &["--supernode", &follow]).await;
        let known = [one.url(), two.url()];
        let options = ["--supernode", known[0].as_str(), "--supernode", known[1].as_str()];
        let mut nodes = Vec::new();
        for (number, half) in [0, 0, 1, 1].into_iter().enumerate() {
            let name = format!("node{number}");
            nodes.push(Anatomic::start_at(s, &place[half], &name, "node", &options).await);
        }
        let home = s.folder("content");
        let make = |name: &str, seed: u64, length: u64| {
            let file = home.join(name);
            let digest = content::file(&file, seed, length);
            (torrent::make(&file, &s.path(&format!("{name}.torrent")), &[], 64), digest)
        };
        // One torrent whose swarm is counted, and one that is downloaded.
        let (counted, _) = make("counted.bin", 211, 100_000);
        let (shared, shared_digest) = make("shared.bin", 212, 4 * MIB + 1);
        plant(s, &one, &counted.path, "4", &s.path("counted.planted")).await;
        let shared_planted = s.path("shared.planted");
        let shared_link = plant(s, &one, &shared.path, "4", &shared_planted).await;
        eventually("four nodes know each other", SHORT, async || {
            figures(&nodes, "sisters_connected").await == [3; 4]
        })
        .await;
        for port in 0..10 {
            announce(&nodes[0], &counted.info_hash, 7_000 + port, u64::from(port % 2)).await;
            announce(&nodes[3], &counted.info_hash, 7_500 + port, 1).await;
        }
        let counts = async |wanted: (u64, u64)| {
            for node in &nodes {
                if scrape(node, &counted.info_hash).await != Some(wanted) {
                    return false;
                }
            }
            true
        };
        eventually("twenty peers are known everywhere", SHORT, async || counts((5, 15)).await).await;
        // A seed in each half.
        let _seeds = [0, 1]
            .map(|half| aria2::seed_at(s, &place[half], &format!("seed{half}"), &shared_planted, &home));
        eventually("both seeds are known everywhere", SHORT, async || {
            scrape(&nodes[1], &shared.info_hash).await == Some((2, 0))
                && scrape(&nodes[2], &shared.info_hash).await == Some((2, 0))
        })
        .await;

        halves.cut();
        let cut = Instant::now();
        // In both halves people come, download, and plant what the other half has not.
        for port in 0..5 {
            announce(&nodes[1], &counted.info_hash, 8_000 + port, 1).await;
            announce(&nodes[2], &counted.info_hash, 8_500 + port, 1).await;
        }
        download(s, &place[0], &shared_link, "get1", ("shared.bin", &shared_digest)).await;
        download(s, &place[1], &shared_link, "get2", ("shared.bin", &shared_digest)).await;
        let (left, left_digest) = make("left.bin", 213, MIB);
        let (right, _) = make("right.bin", 214, MIB);
        let left_link = plant(s, &one, &left.path, "2", &s.path("left.planted")).await;
        plant(s, &two, &right.path, "2", &s.path("right.planted")).await;
        println!("planted in both halves {:.0} s after the cut", cut.elapsed().as_secs_f64());
        tokio::time::sleep(APART.saturating_sub(cut.elapsed())).await;
        assert_eq!(figures(&nodes, "sisters_connected").await, [1; 4], "each half is alone");
        eventually("each half gives up the other", SHORT, async || {
            figures(&nodes, "mesh_lost").await.iter().all(|lost| *lost >= 2)
        })
        .await;
        for (node, wanted) in [(0, (5, 20)), (3, (5, 20))] {
            assert_eq!(scrape(&nodes[node], &counted.info_hash).await, Some(wanted), "node {node}");
        }
        let before = figures(&nodes, "mesh_sent").await;
        let told = figures(&nodes, "mesh_told").await;

        halves.join();
        let joined = Instant::now();
        eventually("four nodes know each other again", Duration::from_secs(120), async || {
            figures(&nodes, "sisters_connected").await == [3; 4]
        })
        .await;
        println!("one network again {:.1} s after the halves were joined", joined.elapsed().as_secs_f64());
        eventually("thirty peers are known everywhere, each once", SHORT, async || counts((5, 25)).await)
            .await;
        tokio::time::sleep(Duration::from_secs(15)).await;
        assert!(counts((5, 25)).await, "and no more later");
        let sent: Vec<u64> =
            figures(&nodes, "mesh_sent").await.iter().zip(&before).map(|(now, then)| now - then).collect();
        let told: Vec<u64> =
            figures(&nodes, "mesh_told").await.iter().zip(&told).map(|(now, then)| now - then).collect();
        println!("messages since: {sent:?}; peers told: {told:?}");
        // Each node tells two others of the five that came to it, and of the few clients of the other torrents.
        assert!(sent.iter().all(|sent| *sent < 100), "no storm: {sent:?}");
        assert!(told.iter().all(|told| *told < 30), "nothing is told again: {told:?}");
        assert!(figures(&nodes, "mesh_resumed").await.iter().all(|resumed| *resumed >= 2));
        for bad in ["mesh_malformed", "mesh_bad_proofs", "mesh_bad_receipts"] {
            assert_eq!(figures(&nodes, bad).await, [0; 4], "{bad}");
        }

        // Both indexes hold all four torrents, once, with every receipt once.
        for supernode in [&one, &two] {
            eventually("both indexes are one", SHORT, async || {
                metric(supernode, "index_torrents").await == Some(4)
                    && metric(supernode, "index_nodes").await == Some(4)
            })
            .await;
            for (info_hash, wanted) in [(&counted.info_hash, 4), (&left.info_hash, 2), (&right.info_hash, 2)]
            {
                let found = ask::json(supernode, &format!("/api/v1/torrents/{info_hash}")).await;
                let found = found.expect("it is indexed");
                let mut holders: Vec<&str> = found["nodes"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .filter_map(|node| node["key"].as_str())
                    .collect();
                holders.sort_unstable();
                holders.dedup();
                let receipts = found["receipts"].as_array().map_or(0, Vec::len);
                assert_eq!((holders.len(), receipts), (wanted, wanted), "{info_hash}");
            }
        }
        // What was planted in one half is downloaded in the other.
        let _seed = aria2::seed_at(s, &place[0], "seed3", &s.path("left.planted"), &home);
        download(s, &place[1], &left_link, "get3", ("left.bin", &left_digest)).await;
    })
    .await;
}
