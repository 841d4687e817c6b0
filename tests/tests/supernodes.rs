//! Supernodes as processes: federation, search, a lost index, block lists, PostgreSQL, and a planter's commands.
//!
//! Everything through the command line and the documented API; downloads are proven elsewhere.

use anatomic_tests::ask::eventually;
use anatomic_tests::postgres::Postgres;
use anatomic_tests::prelude::*;

async fn get(url: &str) -> Option<Value> {
    let answer = web::get(url).await.ok()?;
    if answer.status().is_success() { answer.json().await.ok() } else { None }
}

async fn finds(supernode: &Anatomic, words: &str) -> usize {
    let found = get(&format!("{}api/v1/search?q={words}", supernode.url())).await;
    found.and_then(|found| found["hits"].as_array().map(Vec::len)).unwrap_or(0)
}

/// A torrent of that name.
fn make(s: &Scene, name: &str) -> Torrent {
    let home = s.folder("content");
    content::file(&home.join(name), 5, 100_000);
    torrent::make(&home.join(name), &s.path(&format!("{name}.torrent")), &[], 32)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_supernodes_end_with_one_index_and_a_lost_one_comes_back() {
    scene::run(async |s| {
        let one = Anatomic::start(s, "one", "supernode", &[]).await;
        let first = one.url();
        let mut two = Anatomic::start(s, "two", "supernode", &["--supernode", &first]).await;
        let node = Anatomic::start(s, "node", "node", &["--supernode", &first]).await;
        let torrent = make(s, "humpback-whale.bin");
        one.plant(s, &torrent.path, &[]).await;
        eventually("the second finds it", SHORT, async || finds(&two, "humpback").await == 1).await;

        two.process().kill().await;
        for name in ["index.sqlite", "index.sqlite-wal", "index.sqlite-shm"] {
            let _ = std::fs::remove_file(two.data().join(name));
        }
        two.restart(s).await;
        eventually("it finds it again", SHORT, async || finds(&two, "whale").await == 1).await;
        let lookup = get(&format!("{}api/v1/torrents/{}", two.url(), torrent.info_hash)).await.unwrap();
        assert_eq!(format!("{}/", lookup["nodes"][0]["url"].as_str().unwrap()), node.url());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_that_no_other_supernode_has_comes_back_from_the_nodes() {
    scene::run(async |s| {
        let mut supernode = Anatomic::start(s, "supernode", "supernode", &[]).await;
        let url = supernode.url();
        let _node = Anatomic::start(s, "node", "node", &["--supernode", &url]).await;
        supernode.plant(s, &make(s, "narwhal.bin").path, &[]).await;
        assert_eq!(finds(&supernode, "narwhal").await, 1);
        supernode.process().kill().await;
        for name in ["index.sqlite", "index.sqlite-wal", "index.sqlite-shm"] {
            let _ = std::fs::remove_file(supernode.data().join(name));
        }
        supernode.restart(s).await;
        assert_eq!(finds(&supernode, "narwhal").await, 0, "it is lost");
        // A node registers every minute, and sees by the index's name that it is another.
        eventually("it is found again", Duration::from_secs(90), async || {
            finds(&supernode, "narwhal").await == 1
        })
        .await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_planter_sees_renews_and_ends_what_was_planted() {
    scene::run(async |s| {
        let supernode = Anatomic::start(s, "supernode", "supernode", &[]).await;
        let url = supernode.url();
        let options = ["--supernode", url.as_str()];
        let mut nodes = Vec::new();
        for name in ["a", "b", "c"] {
            nodes.push(Anatomic::start(s, name, "node", &options).await);
        }
        let torrent = make(s, "minke.bin");
        let planted = supernode.plant(s, &torrent.path, &["--nodes", "2"]).await;
        let link = planted["link"].as_str().unwrap().to_owned();
        let health = async || anatomic::run(s, "health", &["health", &link, "--json"]).await.success().json();
        assert_eq!(
            (health().await["healthy"].as_u64(), health().await["nodes"].as_array().unwrap().len()),
            (Some(2), 2)
        );

        // One of its nodes dies: planting again finds another, and the link stays good.
        let dead = planted["nodes"][0].as_str().unwrap().to_owned();
        let at = nodes.iter().position(|node| node.url().starts_with(&dead)).unwrap();
        nodes[at].process().kill().await;
        assert_eq!(health().await["healthy"], 1);
        let _ = anatomic::run(s, "replant", &["replant", &link, "--nodes", "2", "--json"]).await.success();
        assert_eq!(health().await["healthy"], 2);

        let found = anatomic::run(s, "search", &["search", "MINKE", "--supernode", &url, "--json"]).await;
        assert_eq!(found.success().json()["hits"][0]["info_hash"], torrent.info_hash.as_str());

        let stranger = s.folder("stranger").display().to_string();
        let refused = anatomic::run(s, "unplant", &["unplant", &link, "--data", &stranger]).await;
        assert_eq!(refused.code, 1);
        let _ = anatomic::run(s, "unplant", &["unplant", &link]).await.success();
        assert_eq!(finds(&supernode, "minke").await, 0);

        let listed = anatomic::run(s, "list", &["supernodes", "--json"]).await.success().json();
        assert_eq!(format!("{}/", listed["supernodes"][0]["url"].as_str().unwrap()), url);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_block_is_effective_within_a_second_here_and_at_subscribers() {
    scene::run(async |s| {
        let keeper = Anatomic::up(s).await;
        let list = keeper.url();
        let other = Anatomic::start(s, "other", "up", &["--no-demo", "--block-list", &list]).await;
        let torrent = make(s, "sperm-whale.bin");
        keeper.plant(s, &torrent.path, &["--nodes", "1"]).await;
        other.plant(s, &torrent.path, &["--nodes", "1"]).await;
        let knows = async |host: &Anatomic| {
            get(&format!("{}api/v1/torrents/{}", host.url(), torrent.info_hash)).await.is_some()
        };
        assert!(knows(&keeper).await && knows(&other).await);
        let data = keeper.data().display().to_string();
        for (what, known) in [("add", false), ("remove", true)] {
            let command = ["block", what, &torrent.info_hash, "--data", &data];
            let _ = anatomic::run(s, what, &command).await.success();
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert_eq!((knows(&keeper).await, finds(&keeper, "sperm").await == 1), (known, known));
            assert_eq!(knows(&other).await, known, "the subscriber");
            for host in [&keeper, &other] {
                let reply = ask::announce(host, &torrent.info_hash, 7_001, 1).await;
                let taken = !String::from_utf8_lossy(&reply).contains("failure reason");
                assert_eq!(taken, known, "its tracker");
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_block_ends_what_the_bridge_is_carrying_within_a_second() {
    scene::run(async |s| {
        // A megabyte a second: a quarter of a minute for this one.
        let node = Anatomic::up_with(s, &["--budget-rate", "8"]).await;
        let home = s.folder("content");
        content::file(&home.join("slow.bin"), 6, 15 * MIB);
        let original = torrent::make(&home.join("slow.bin"), &s.path("slow.torrent"), &[], 64);
        let out = s.path("planted.torrent");
        node.plant(s, &original.path, &["-o", &out.display().to_string()]).await;
        let _seed = aria2::seed(s, "seed", &out, &home);
        let (into, path) = (s.folder("into"), original.path.display().to_string());
        let _leech = webtorrent::leech_in_node(s, "leech", &path, &into, &[&node.websocket()]);
        let sent = async || ask::metric(&node, "budget_day_spent_bytes").await.expect("a figure");
        eventually("it is under way", TRANSFER, async || sent().await > 2_000_000).await;
        let data = node.data().display().to_string();
        let _ = anatomic::run(s, "block", &["block", "add", &original.info_hash, "--data", &data])
            .await
            .success();
        // A second, and one in which it was counted.
        tokio::time::sleep(Duration::from_secs(2)).await;
        let before = sent().await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        let more = sent().await - before;
        assert!(more < 200_000, "{more} bytes went on");
        assert!(before < 12_000_000, "there was more to send: {before}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_supernodes_share_a_postgresql_database() {
    scene::run(async |s| {
        let database = Postgres::start(s).await;
        let store = database.url();
        let one = Anatomic::start(s, "one", "supernode", &["--store", &store]).await;
        let two = Anatomic::start(s, "two", "supernode", &["--store", &store]).await;
        let first = one.url();
        let _node = Anatomic::start(s, "node", "node", &["--supernode", &first]).await;
        let torrent = make(s, "blue whale.bin");
        one.plant(s, &torrent.path, &[]).await;
        for supernode in [&one, &two] {
            assert_eq!(finds(supernode, "blue+WHALE").await, 1);
            assert_eq!(finds(supernode, "blue+sky").await, 0);
        }
        let lookup = get(&format!("{}api/v1/torrents/{}", two.url(), torrent.info_hash)).await.unwrap();
        assert_eq!(lookup["receipts"].as_array().unwrap().len(), 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_list_of_supernodes_is_added_to_updated_and_taken_from() {
    scene::run(async |s| {
        let mut one = Anatomic::start(s, "one", "supernode", &[]).await;
        let first = one.url();
        let two = Anatomic::start(s, "two", "supernode", &["--supernode", &first]).await;
        let bare = |host: &Anatomic| host.url().trim_end_matches('/').to_owned();
        let run = async |args: &[&str]| {
            let all: Vec<&str> = ["supernodes", "--json"].iter().chain(args).copied().collect();
            anatomic::run(s, args.first().unwrap_or(&"list"), &all).await
        };
        let listed = async |args: &[&str]| {
            let list = run(args).await.success().json()["supernodes"].clone();
            list.as_array().cloned().unwrap_or_default()
        };
        let mut list = listed(&["add", &bare(&one)]).await;
        assert!(list.iter().any(|entry| entry["url"] == bare(&one).as_str() && entry["answered"].is_null()));
        // The first names the second, once it has met it.
        let begun = std::time::Instant::now();
        while !list.iter().any(|entry| entry["url"] == bare(&two).as_str()) {
            assert!(begun.elapsed() < SHORT, "the other is never named: {list:?}");
            list = listed(&["update"]).await;
        }
        let entry = list.iter().find(|entry| entry["url"] == bare(&one).as_str()).expect("it is listed");
        assert!(entry["answered"].as_u64().is_some(), "when it answered: {entry}");
        one.process().kill().await;
        let kept = listed(&["update"]).await;
        assert!(kept.iter().any(|entry| entry["url"] == bare(&one).as_str()), "one silence is not the end");
        let left = listed(&["remove", &bare(&one)]).await;
        assert!(left.iter().all(|entry| entry["url"] != bare(&one).as_str()));
        assert_eq!(run(&["remove", "http://nobody.example"]).await.code, 1);
    })
    .await;
}
