//! Several nodes and supernodes as real processes: sisters share their peers and pass offers on.
//!
//! Planting, receipts and search have tests of their own; here swarms live on more than one node. Whom they lose: `faults.rs`.

use anatomic_tests::ask::{announce, names};
use anatomic_tests::prelude::*;
use tokio::time::Instant;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_seed_that_announces_at_one_node_is_found_by_a_leech_that_asks_another() {
    scene::run(async |s| {
        let network = Network::start(s, 1, 3).await;
        let home = s.folder("content");
        let digest = content::file(&home.join("a.bin"), 71, 8 * MIB + 7);
        let original = torrent::make(&home.join("a.bin"), &s.path("a.torrent"), &[], 64);
        let (planted, holders) = network.plant(s, &original.path, &s.path("planted.torrent")).await;
        let whole = network.whole(&holders, SHORT).await;
        println!("the mesh was whole {whole:?} after planting");
        let link = planted["link"].as_str().expect("a link");
        for node in &holders {
            let tracker = network.nodes[*node].websocket().replace(':', "%3A").replace('/', "%2F");
            assert!(link.contains(&tracker), "{link} names {tracker}");
        }

        // A seed at the first is known at the third soon, though nobody waits there.
        let (one, three) = (&network.nodes[holders[0]], &network.nodes[holders[2]]);
        announce(one, &original.info_hash, 7_001, 0).await;
        let begun = Instant::now();
        while !names(&announce(three, &original.info_hash, 0, 1).await, 7_001) {
            assert!(begun.elapsed() < Duration::from_secs(15), "known within fifteen seconds");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        println!("a seed was known after {:?}", begun.elapsed());

        // A real seed and a real leech, each with one tracker only.
        let only = |node: &Anatomic, name: &str| {
            torrent::make(&home.join("a.bin"), &s.path(name), &[&node.announce()], 64)
        };
        let (at_one, at_three) = (only(one, "one.torrent"), only(three, "three.torrent"));
        let _seed = aria2::seed(s, "seed", &at_one.path, &home);
        let into = s.folder("into");
        aria2::download(s, "leech", &at_three.path.display().to_string(), &into, TRANSFER).await;
        assert_eq!(content::sha256(&into.join("a.bin")), digest);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_all_supernodes_dead_links_work_and_restarted_nodes_meet_again() {
    scene::run(async |s| {
        let mut network = Network::start(s, 1, 3).await;
        let home = s.folder("content");
        let digest = content::file(&home.join("a.bin"), 73, 4 * MIB + 7);
        let original = torrent::make(&home.join("a.bin"), &s.path("a.torrent"), &[], 64);
        let planted = s.path("planted.torrent");
        let (answer, holders) = network.plant(s, &original.path, &planted).await;
        network.whole(&holders, SHORT).await;
        network.supernodes[0].process().kill().await;

        // All nodes end and come back: they find each other by what they kept.
        for node in &holders {
            network.nodes[*node].process().interrupt().await;
            network.nodes[*node].process().wait(SHORT).await;
        }
        for node in &holders {
            network.nodes[*node].restart(s).await;
        }
        let whole = network.whole(&holders, SHORT).await;
        println!("the mesh was whole {whole:?} after all nodes had been restarted");

        let _seed = aria2::seed(s, "seed", &planted, &home);
        let into = s.folder("into");
        let link = answer["link"].as_str().expect("a link");
        let into_text = into.display().to_string();
        let args = ["get", link, "-o", into_text.as_str(), "--no-seed", "--json"];
        let _ = anatomic::run(s, "get", &args).await.success();
        assert_eq!(content::sha256(&into.join("a.bin")), digest);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_announce_waits_for_no_dead_sister() {
    scene::run(async |s| {
        let mut network = Network::start(s, 1, 2).await;
        let home = s.folder("content");
        content::file(&home.join("a.bin"), 72, 100_000);
        let original = torrent::make(&home.join("a.bin"), &s.path("a.torrent"), &[], 64);
        let out = s.path("planted.torrent").display().to_string();
        network.supernodes[0].plant(s, &original.path, &["--nodes", "2", "-o", &out]).await;
        network.whole(&[0, 1], SHORT).await;
        // Neither one that is gone nor one that takes connections and says nothing.
        for dead in [false, true] {
            if dead {
                network.nodes[1].process().resume().await;
                network.nodes[1].process().kill().await;
            } else {
                network.nodes[1].process().pause().await;
            }
            let begun = Instant::now();
            for port in 7_001..7_051 {
                announce(&network.nodes[0], &original.info_hash, port, 1).await;
            }
            assert!(begun.elapsed() < Duration::from_secs(5), "{:?} for fifty announces", begun.elapsed());
        }
    })
    .await;
}
