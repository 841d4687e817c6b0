//! What a host lets a node spend: near it newcomers go to a sister and no torrent is taken, and a crash forgets nothing.
//!
//! How much is left is judged by unit tests of the relay; here real processes keep to it.

use anatomic_tests::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::Instant;

/// A day's budget, small enough to be spent on pages of figures.
const BUDGET: &str = "400kB";

/// The whole answer to a plain `GET`, head and body: the head says where somebody is sent.
async fn get(node: &Anatomic, path: &str) -> String {
    let mut stream = TcpStream::connect(node.host()).await.expect("the node listens");
    stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).await.expect("it reads");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("it answers");
    answer.into_iter().map(char::from).collect()
}

async fn metric(node: &Anatomic, name: &str) -> u64 {
    ask::metric(node, name).await.unwrap_or_else(|| panic!("no figure {name}"))
}

fn query(info_hash: &str, port: u16) -> String {
    let hash = ask::escaped(info_hash);
    format!(
        "info_hash={hash}&peer_id=-XX0000-000000000000&port={port}&uploaded=0&downloaded=0&left=1&compact=1"
    )
}

/// Asks until the node says that so much of its budget is used.
async fn spend(node: &Anatomic, level: u64) {
    let begun = Instant::now();
    while metric(node, "budget_level").await < level {
        assert!(begun.elapsed() < SHORT, "the budget is never spent");
        for _ in 0..20 {
            get(node, "/metrics").await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn near_its_budget_a_node_sends_newcomers_to_a_sister_and_takes_no_torrents() {
    scene::run(async |s| {
        let supernode = Anatomic::start(s, "supernode", "supernode", &[]).await;
        let url = supernode.url();
        let poor = Anatomic::start(s, "poor", "node", &["--supernode", &url, "--budget-day", BUDGET]).await;
        let rich = Anatomic::start(s, "rich", "node", &["--supernode", &url]).await;
        let home = s.folder("content");
        content::file(&home.join("a.bin"), 81, MIB);
        let original = torrent::make(&home.join("a.bin"), &s.path("a.torrent"), &[], 64);
        let out = s.path("planted.torrent").display().to_string();
        supernode.plant(s, &original.path, &["--nodes", "2", "-o", &out]).await;
        let begun = Instant::now();
        while metric(&poor, "sisters_connected").await == 0 {
            assert!(begun.elapsed() < SHORT, "the sisters do not meet");
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        let announce = |port| format!("/announce?{}", query(&original.info_hash, port));
        assert!(get(&poor, &announce(7001)).await.contains("8:interval"), "a newcomer is taken");

        spend(&poor, 1).await;
        let begun = Instant::now();
        // A newcomer each time: who was taken once stays.
        let mut port = 7100;
        let moved = loop {
            port += 1;
            let answer = get(&poor, &announce(port)).await;
            if answer.starts_with("HTTP/1.0 302") || answer.starts_with("HTTP/1.1 302") {
                break answer;
            }
            assert!(begun.elapsed() < SHORT, "nobody is sent to the sister: {answer}");
            tokio::time::sleep(Duration::from_millis(500)).await;
        };
        let location = moved.lines().find_map(|line| line.strip_prefix("location: ")).expect("where to");
        let there = location.strip_prefix(rich.url().trim_end_matches('/')).expect("the sister's address");
        assert!(there.ends_with("&handed=1"), "{there}");
        assert!(get(&rich, there).await.contains("8:interval"), "the sister takes him");
        assert!(get(&poor, &announce(7001)).await.contains("8:interval"), "who was known stays");
        assert!(
            get(&poor, &format!("{}&handed=1", announce(7003))).await.contains("8:interval"),
            "no circles"
        );

        let known = ask::json(&poor, "/.well-known/anatomic").await.expect("JSON");
        assert_eq!(known["node"]["free"], json!(0));
        assert_eq!(known["limits"]["bytes_a_day"], json!(400_000));

        // The supernode looks again within a minute or two.
        let begun = Instant::now();
        loop {
            let offered = get(&supernode, "/api/v1/nodes?count=8").await;
            if !offered.contains(&poor.host()) && offered.contains(&rich.host()) {
                break;
            }
            assert!(begun.elapsed() < TRANSFER, "it is offered still: {offered}");
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_spent_survives_kill_9_but_for_the_last_moments() {
    scene::run(async |s| {
        let mut node = Anatomic::start(s, "node", "node", &["--budget-month", BUDGET]).await;
        spend(&node, 1).await;
        let spent = metric(&node, "budget_month_spent_bytes").await;
        // Within a minute it is on the disk.
        let begun = Instant::now();
        let written = |text: String| {
            let ledger: Option<Value> = serde_json::from_str(&text).ok();
            ledger.and_then(|ledger| ledger["month_bytes"].as_u64()).unwrap_or(0)
        };
        while written(std::fs::read_to_string(node.data().join("spent")).unwrap_or_default()) < spent {
            assert!(begun.elapsed() < SHORT, "what was spent is not written down");
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        node.crash_and_restart(s).await;
        assert!(metric(&node, "budget_month_spent_bytes").await >= spent);
        assert!(metric(&node, "budget_level").await >= 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_bridge_keeps_to_the_speed_that_its_host_allows() {
    scene::run(async |s| {
        // 8 Mbit/s are a megabyte a second.
        let node = Anatomic::up_with(s, &["--budget-rate", "8"]).await;
        let home = s.folder("content");
        let digest = content::file(&home.join("r.bin"), 82, 10 * MIB);
        let original = torrent::make(&home.join("r.bin"), &s.path("r.torrent"), &[], 64);
        let out = s.path("planted.torrent");
        node.plant(s, &original.path, &["-o", &out.display().to_string()]).await;
        let _seed = aria2::seed(s, "seed", &out, &home);
        let into = s.folder("into");
        let path = original.path.display().to_string();
        let begun = Instant::now();
        let mut leech = webtorrent::leech_in_node(s, "leech", &path, &into, &[&node.websocket()]);
        webtorrent::wait_done(&mut leech, TRANSFER).await;
        assert_eq!(content::sha256(&into.join("r.bin")), digest);
        let rate = (10 * MIB) as f64 / begun.elapsed().as_secs_f64();
        println!("{:.2} MB/s", rate / 1e6);
        assert!(rate < 1_300_000.0, "{rate} bytes a second, and 1,000,000 are allowed");
    })
    .await;
}
