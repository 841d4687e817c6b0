//! Clocks wrong by an hour: the network plants, indexes, finds, shares, redirects, unplants and serves all the same.
//!
//! Real processes under libfaketime; a tab's clock is right and the node's wrong, which is the same for both.

use anatomic_mesh::api::{Health, Lookup};
use anatomic_tests::ask::eventually;
use anatomic_tests::clocks;
use anatomic_tests::postgres::Postgres;
use anatomic_tests::prelude::*;

async fn json<T: serde::de::DeserializeOwned>(url: &str) -> Option<T> {
    web::get(url).await.ok()?.json().await.ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_clocks_an_hour_apart_a_torrent_is_planted_found_shared_unplanted_and_planted_again() {
    scene::run(async |s| {
        let (ahead, behind) = (clocks::wrong("+1h"), clocks::wrong("-1h"));
        let supernode = Anatomic::start_in(s, "supernode", "supernode", &[], &ahead).await;
        let at = supernode.url();
        let names = ["--supernode", at.trim_end_matches('/')];
        let late = Anatomic::start_in(s, "late", "node", &names, &behind).await;
        let right = Anatomic::start(s, "right", "node", &names).await;
        let early = Anatomic::start_in(s, "early", "node", &names, &ahead).await;
        let digest = content::file(&s.folder("content").join("hour.bin"), 71, 4 * MIB);
        let made = torrent::make(&s.folder("content").join("hour.bin"), &s.path("hour.torrent"), &[], 64);
        let hash = &made.info_hash;
        let path = made.path.display().to_string();

        // A planter whose clock is behind, on nodes of three clocks.
        let plant = ["plant", &path, "--supernode", at.trim_end_matches('/'), "--nodes", "3", "--json"];
        let planted = anatomic::run_in(s, "plant", &plant, &behind).await.success().json();
        assert_eq!(planted["nodes"].as_array().map(Vec::len), Some(3), "{planted}");
        let health = format!("{at}api/v1/health/{hash}");
        let found: Health = json(&health).await.expect("health");
        assert_eq!((found.healthy, found.nodes.len()), (3, 3), "{found:?}");

        // A seed that announces at one node is known at the others.
        let announce = |node: &Anatomic, peer: &str, left: u32| {
            let raw: String = (0..20).map(|byte| format!("%{}", &hash[2 * byte..2 * byte + 2])).collect();
            format!(
                "{}?info_hash={raw}&peer_id=-XX0001-abcdefghijk{peer}&port=700{peer}&left={left}&compact=1",
                node.announce()
            )
        };
        let answer =
            web::get(&announce(&late, "1", 0)).await.expect("an answer").text().await.expect("a text");
        assert!(answer.contains("8:interval"), "{answer}");
        for node in [&right, &early] {
            let url = announce(node, "2", 5);
            eventually("the sister knows the seed", SHORT, async || {
                let answer = web::get(&url).await.expect("an answer").bytes().await.expect("bytes");
                String::from_utf8_lossy(&answer).contains("8:completei1e")
            })
            .await;
        }
        // Counts of nodes with other clocks are counts of now.
        eventually("search finds it alive", SHORT, async || {
            let found: Option<Value> = json(&format!("{at}api/v1/search?q=hour")).await;
            found.is_some_and(|found| found["hits"][0]["seed_seen"].as_u64().is_some_and(|age| age < 120))
        })
        .await;

        // Taken away by a planter whose clock is behind, though nodes signed their receipts later by theirs.
        let unplant = ["unplant", hash, "--supernode", at.trim_end_matches('/'), "--json"];
        let _ = anatomic::run_in(s, "unplant", &unplant, &behind).await.success();
        let lookup = format!("{at}api/v1/torrents/{hash}");
        assert!(json::<Lookup>(&lookup).await.is_none(), "it is unplanted everywhere");
        for node in [&late, &right, &early] {
            let url = format!("{}api/v1/torrents/{hash}", node.url());
            assert!(json::<Lookup>(&url).await.is_none());
        }
        // And planted again, which the withdrawal does not forbid.
        tokio::time::sleep(Duration::from_secs(2)).await;
        let planted = anatomic::run_in(s, "plant-again", &plant, &behind).await.success().json();
        assert_eq!(planted["nodes"].as_array().map(Vec::len), Some(3), "{planted}");
        let found: Lookup = json(&lookup).await.expect("it is there again");
        assert_eq!(found.receipts.len(), 3);

        // A download by the link, with a clock of its own.
        let home = s.folder("content").display().to_string();
        let torrent = s.path("planted.torrent").display().to_string();
        let file =
            web::get(&format!("{lookup}.torrent")).await.expect("an answer").bytes().await.expect("bytes");
        std::fs::write(&torrent, file).expect("a file");
        let _seed = anatomic::start_in(s, "seed", &["seed", &torrent, "--from", &home], &ahead);
        let out = s.folder("out").display().to_string();
        let link = planted["link"].as_str().expect("a link");
        let _ = anatomic::run_in(s, "get", &["get", link, "-o", &out], &behind).await.success();
        assert_eq!(content::sha256(&s.folder("out").join("hour.bin")), digest);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn supernodes_of_one_database_go_by_its_clock() {
    scene::run(async |s| {
        let database = Postgres::start(s).await;
        let options = ["--store", &database.url()];
        let ahead = Anatomic::start_in(s, "ahead", "supernode", &options, &clocks::wrong("+1h")).await;
        let behind = Anatomic::start_in(s, "behind", "supernode", &options, &clocks::wrong("-1h")).await;
        for (name, supernode) in [("one", &ahead), ("two", &behind)] {
            let at = supernode.url();
            let _node = Anatomic::start(s, name, "node", &["--supernode", at.trim_end_matches('/')]).await;
            for asked in [&ahead, &behind] {
                let offer: Value =
                    json(&format!("{}api/v1/nodes?count=8", asked.url())).await.expect("an offer");
                let ages: Vec<_> =
                    offer["nodes"].as_array().into_iter().flatten().map(|node| &node["seen"]).collect();
                assert!(ages.iter().any(|age| age.as_u64().is_some_and(|age| age < 60)), "{offer}");
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tab_plants_and_another_loads_at_a_node_whose_clock_is_an_hour_off() {
    scene::run(async |s| {
        for (name, by) in [("ahead", "+1h"), ("behind", "-1h")] {
            let node = Anatomic::start_in(s, name, "up", &["--no-demo"], &clocks::wrong(by)).await;
            let digest = content::file(&s.path(&format!("{name}.bin")), 72, MIB);
            let one = Browser::launch(s, &format!("one-{name}")).await;
            let seed = Page::open(s, &one, &node.url()).await;
            seed.give(&[&s.path(&format!("{name}.bin"))]).await;
            let planted = seed.wait_planted(SHORT).await;
            let two = Browser::launch(s, &format!("two-{name}")).await;
            let leech = Page::open(s, &two, &planted.link).await;
            leech.wait_complete(&planted.info_hash, TRANSFER).await;
            let (_, saved) = leech.save(&planted.info_hash, 0, SHORT).await;
            assert_eq!(content::sha256(&saved), digest);
        }
    })
    .await;
}
