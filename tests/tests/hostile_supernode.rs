//! A supernode that lies: wrong nodes, invented receipts, another torrent's data, a feed without end, slow answers.
//!
//! Planter, client, node and honest supernodes ask it as they ask any other, and are not led astray.

use anatomic_tests::ask::{eventually, metric};
use anatomic_tests::lying::LyingSupernode;
use anatomic_tests::prelude::*;
use tokio::time::Instant;

async fn timed<T>(what: &str, act: impl Future<Output = T>) -> T {
    let begun = Instant::now();
    let result = act.await;
    println!("{what}: {:.1} s", begun.elapsed().as_secs_f64());
    result
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lying_supernode_leads_nobody_astray() {
    scene::run(async |s| {
        let home = s.folder("content");
        let make = |name: &str, seed: u64, length: u64| {
            let digest = content::file(&home.join(name), seed, length);
            (torrent::make(&home.join(name), &s.path(&format!("{name}.torrent")), &[], 64), digest)
        };
        let (other, _) = make("other.bin", 231, 200_000);
        let liar = LyingSupernode::start(std::fs::read(&other.path).expect("a torrent")).await;
        let honest = Anatomic::start(s, "honest", "supernode", &[]).await;
        let named = ["--supernode", liar.url(), "--supernode", &honest.url()].map(str::to_owned);
        let named = named.each_ref().map(String::as_str);
        let follower = Anatomic::start(s, "follower", "supernode", &named).await;
        let nodes = [
            Anatomic::start(s, "node0", "node", &named).await,
            Anatomic::start(s, "node1", "node", &named).await,
        ];

        // The liar is asked first by everybody.
        let (whale, digest) = make("humpback whale.bin", 232, 2 * MIB + 7);
        let out = s.path("planted.torrent");
        let (what, out_text) = (whale.path.display().to_string(), out.display().to_string());
        let mut args = vec!["plant", what.as_str(), "--nodes", "2", "-o", &out_text, "--json"];
        args.extend(named);
        let planted = timed("plant", anatomic::run(s, "plant", &args)).await.success().json();
        let mut on: Vec<String> = planted["nodes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|url| format!("{}/", url.as_str().unwrap()))
            .collect();
        on.sort();
        let mut wanted = nodes.each_ref().map(Anatomic::url);
        wanted.sort();
        assert_eq!(on, wanted, "{planted}");
        let link = planted["link"].as_str().expect("a link").to_owned();

        let _seed = aria2::seed(s, "seed", &out, &home);
        eventually("the seed is known", SHORT, async || {
            ask::scrape(&nodes[0], &whale.info_hash).await == Some((1, 0))
        })
        .await;
        // A link that names the liar as its first supernode, and one that names no node but only supernodes.
        let magnet = format!("magnet:?xt=urn:btih:{}", whale.info_hash);
        let supernodes = format!("x.sn={}&x.sn={}", liar.url(), honest.url());
        let links = [format!("{link}&x.sn={}", liar.url()), format!("{magnet}&{supernodes}")];
        for (number, link) in links.iter().enumerate() {
            let name = format!("get{number}");
            let into = s.folder(&format!("{name}.into"));
            let into_text = into.display().to_string();
            let args = ["get", link, "-o", &into_text, "--no-seed"];
            let _ = timed(&name, anatomic::run(s, &name, &args)).await.success();
            assert_eq!(content::sha256(&into.join("humpback whale.bin")), digest);
        }
        let mut args = vec!["search", "whale", "--json"];
        args.extend(named);
        let found = timed("search", anatomic::run(s, "search", &args)).await.success().json();
        let hits = found["hits"].as_array().expect("hits");
        assert!(hits.iter().any(|hit| hit["info_hash"] == whale.info_hash.as_str()), "{found}");
        let mut args = vec!["health", link.as_str(), "--json"];
        args.extend(named);
        let health = timed("health", anatomic::run(s, "health", &args)).await.success().json();
        assert_eq!(health["healthy"], 2, "{health}");

        // Slow and without end: others are followed nevertheless, and nothing invented is taken.
        let (minke, _) = make("minke.bin", 233, 100_000);
        honest.plant(s, &minke.path, &["--nodes", "1"]).await;
        timed(
            "the follower heard of another torrent",
            eventually("the follower hears of it", Duration::from_secs(40), async || {
                let path = format!("/api/v1/torrents/{}", minke.info_hash);
                ask::json(&follower, &path).await.is_some_and(|found| found["info_hash"].is_string())
            }),
        )
        .await;
        let (requests, pages) = liar.asked();
        println!("the liar was asked {requests} times, {pages} of them for its feed");
        assert!(pages > 3, "its feed was followed: {pages}");
        assert_eq!(metric(&follower, "index_torrents").await, Some(2));
        assert_eq!(metric(&follower, "index_nodes").await, Some(2));
        assert_eq!(metric(&honest, "index_torrents").await, Some(2));
        assert!(metric(&follower, "feed_refused").await.expect("a counter") > 1_000);
        // Nodes report to the honest as before (each of both counts the seed that announces to both).
        eventually("the honest one knows of the seed", SHORT, async || {
            let path = format!("/api/v1/torrents/{}", whale.info_hash);
            ask::json(&honest, &path).await.is_some_and(|found| found["seeds"].as_u64() > Some(0))
        })
        .await;
    })
    .await;
}
