//! What scripts rely on: options, first lines, JSON, exit codes, addresses.
//!
//! Not whether transfers work, which the other files prove.

use anatomic_tests::prelude::*;
use anatomic_tests::programs;
use std::collections::BTreeSet;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn up_says_in_its_first_line_where_it_is() {
    scene::run(async |s| {
        let data = s.folder("plain.data").display().to_string();
        let args = [
            "up",
            "--no-demo",
            "--data",
            &data,
            "--listen",
            "127.0.0.1:0",
            "--tcp",
            "127.0.0.1:0",
            "--udp",
            "127.0.0.1:0",
        ];
        let mut plain = anatomic::start(s, "plain", &args);
        let line = plain.next_line(SHORT).await.expect("a first line");
        let url = line.strip_prefix("anatomic up: ").unwrap_or_else(|| panic!("{line}"));
        assert!(url.starts_with("http://127.0.0.1:") && url.ends_with('/'), "{line}");
        let page = web::get(url).await.expect("the page");
        assert!(page.status().is_success());
        assert!(page.text().await.expect("text").to_lowercase().contains("<!doctype html"));
        plain.interrupt().await;
        let status = plain.wait(SHORT).await;
        assert!(matches!(status.code(), Some(0 | 130)), "Ctrl-C ends it cleanly: {status}");

        let node = Anatomic::up(s).await;
        for field in ["http", "tcp", "udp", "key"] {
            assert!(node.ready()[field].is_string(), "{field} in {}", node.ready());
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn up_plants_a_demo_that_can_be_downloaded() {
    scene::run(async |s| {
        let data = s.folder("demo.data").display().to_string();
        let args = [
            "up",
            "--data",
            &data,
            "--listen",
            "127.0.0.1:0",
            "--tcp",
            "127.0.0.1:0",
            "--udp",
            "127.0.0.1:0",
        ];
        let mut up = anatomic::start(s, "demo", &args);
        let link = up
            .line_where("a planted link", SHORT, |line| {
                let at = line.find("http")?;
                line.contains("#magnet:").then(|| line[at..].trim().to_owned())
            })
            .await;
        let browser = Browser::launch(s, "browser").await;
        let page = Page::open(s, &browser, &link).await;
        page.wait_complete(&torrent::info_hash_of(&link), TRANSFER).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inspect_says_what_is_inside_a_torrent() {
    scene::run(async |s| {
        let home = s.folder("content");
        content::file(&home.join("set/a.bin"), 101, 100_000);
        content::file(&home.join("set/sub/b.bin"), 102, 200_001);
        let trackers = ["http://127.0.0.1:9/announce", "udp://127.0.0.1:9/announce"];
        let made = torrent::make(&home.join("set"), &s.path("set.torrent"), &trackers, 32);
        let path = made.path.display().to_string();
        let told = anatomic::run(s, "inspect", &["inspect", &path, "--json"]).await.success().json();
        assert_eq!(told["name"], "set");
        assert_eq!(told["info_hash_v1"], made.info_hash.as_str());
        assert!(told["info_hash_v2"].is_null(), "{told}");
        assert_eq!(told["piece_length"], 32 * 1024);
        assert_eq!(told["pieces"], 10);
        assert_eq!(told["length"], 300_001);
        assert_eq!(told["private"], false);
        assert_eq!(told["web_seeds"], json!([]));
        let files: BTreeSet<(String, u64)> = told["files"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|file| (file["path"].to_string(), file["length"].as_u64().unwrap_or(0)))
            .collect();
        assert_eq!(files.len(), 2);
        assert!(files.iter().any(|(path, length)| path.contains("sub/b.bin") && *length == 200_001));
        for tracker in trackers {
            assert!(told["trackers"].as_array().expect("a list").iter().any(|t| t == tracker));
        }
        let plain = anatomic::run(s, "inspect", &["inspect", &path]).await.success();
        assert!(plain.stdout.contains(&made.info_hash), "{plain:#?}");

        let magnet = format!("magnet:?xt=urn:btih:{}&dn=set", made.info_hash);
        for link in [magnet.clone(), format!("http://127.0.0.1:9/#{magnet}")] {
            let told = anatomic::run(s, "inspect", &["inspect", &link, "--json"]).await.success().json();
            assert_eq!(told["info_hash_v1"], made.info_hash.as_str(), "{link}");
            assert_eq!(told["name"], "set");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_created_torrent_is_good_for_transmission() {
    scene::run(async |s| {
        let home = s.folder("content");
        content::file(&home.join("set/a.bin"), 103, MIB + 5);
        content::file(&home.join("set/b.bin"), 104, 2 * MIB);
        let (set, out) = (home.join("set").display().to_string(), s.path("c.torrent"));
        let out_text = out.display().to_string();
        let args = [
            "create",
            &set,
            "-o",
            &out_text,
            "--piece-length",
            "65536",
            "--tracker",
            "http://127.0.0.1:9/announce",
            "--private",
        ];
        let _ = anatomic::run(s, "create", &args).await.success();
        let made = torrent::open(&out);
        let told = anatomic::run(s, "inspect", &["inspect", &out_text, "--json"]).await.success().json();
        assert_eq!(told["info_hash_v1"], made.info_hash.as_str(), "both read the same info-hash");
        assert_eq!((&told["piece_length"], &told["private"]), (&json!(65536), &json!(true)));
        assert_eq!(told["length"], 3 * MIB + 5);
        let seed = Transmission::start(s, "transmission").await;
        seed.seed(&made, &home).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plant_prints_link_magnet_torrent_and_nodes() {
    scene::run(async |s| {
        let node = Anatomic::up(s).await;
        let home = s.folder("content");
        content::file(&home.join("p.bin"), 105, MIB);
        let torrent = torrent::make(&home.join("p.bin"), &s.path("p.torrent"), &[&node.announce()], 64);
        let out = s.path("planted.torrent");
        let planted = node.plant(s, &torrent.path, &["--nodes", "1", "-o", &out.display().to_string()]).await;
        let link = planted["link"].as_str().expect("a link");
        assert!(link.starts_with(&format!("{}#magnet:?xt=urn:btih:", node.url())), "{link}");
        assert_eq!(torrent::info_hash_of(link), torrent.info_hash);
        assert!(planted["magnet"].as_str().expect("a magnet").starts_with("magnet:?"));
        assert_eq!(planted["nodes"].as_array().map(Vec::len), Some(1), "{planted}");
        assert_eq!(torrent::open(&out).info_hash, torrent.info_hash);

        // Twice is no error, and a magnet alone will do.
        let again = node.plant(s, &torrent.path, &[]).await;
        assert_eq!(torrent::info_hash_of(again["link"].as_str().expect("a link")), torrent.info_hash);
        let from_magnet = node.plant(s, planted["magnet"].as_str().expect("a magnet"), &[]).await;
        assert_eq!(torrent::info_hash_of(from_magnet["link"].as_str().expect("a link")), torrent.info_hash);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_planted_torrents_are_tracked() {
    scene::run(async |s| {
        let node = Anatomic::up(s).await;
        let home = s.folder("content");
        content::file(&home.join("t.bin"), 106, MIB);
        let torrent = torrent::make(&home.join("t.bin"), &s.path("t.torrent"), &[&node.announce()], 64);
        let hash: String = (0..20).map(|at| format!("%{}", &torrent.info_hash[2 * at..2 * at + 2])).collect();
        let announce = format!(
            "{}?info_hash={hash}&peer_id=-XX0001-abcdefghijkl&port=6999&uploaded=0&downloaded=0&left=0&compact=1",
            node.announce()
        );
        let ask = async |url: &str| {
            let answer = web::get(url).await.expect("an answer");
            String::from_utf8_lossy(&answer.bytes().await.expect("bytes")).into_owned()
        };
        let before = ask(&announce).await;
        assert!(before.starts_with('d') && before.contains("failure reason"), "{before}");
        node.plant(s, &torrent.path, &[]).await;
        let after = ask(&announce).await;
        assert!(after.contains("8:interval") && after.contains("5:peers"), "{after}");
        let scrape = ask(&format!("{}scrape?info_hash={hash}", node.url())).await;
        assert!(scrape.contains("5:files") && scrape.contains("8:completei1e"), "{scrape}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_torrent_stops_and_a_resumed_one_goes_on() {
    scene::run(async |s| {
        let file = s.folder("content").join("w.bin");
        content::file(&file, 107, 24 * MIB);
        let Slow { node, seed, torrent, link, digest, .. } = Slow::start(s, &file, 128, 2048).await;
        let browser = Browser::launch(s, "browser").await;
        let page = Page::open(s, &browser, &link).await;
        let hash = &torrent.info_hash;
        page.wait_progress(hash, 0.2, TRANSFER).await;
        page.press(hash, "pause").await;
        page.wait("it to be paused", SHORT, |torrent| torrent.state == "paused").await;
        // What was under way may still arrive; then nothing may.
        tokio::time::sleep(Duration::from_secs(3)).await;
        let still = page.torrent(hash).await.expect("the torrent");
        let uploaded = seed.state(hash).await["uploadedEver"].clone();
        tokio::time::sleep(Duration::from_secs(5)).await;
        let later = page.torrent(hash).await.expect("the torrent");
        assert!((later.progress - still.progress).abs() < f64::EPSILON, "{still:?} {later:?}");
        assert_eq!(seed.state(hash).await["uploadedEver"], uploaded, "the node fetches nothing either");
        seed.limit_upload(None).await;
        page.press(hash, "resume").await;
        page.wait_complete(hash, TRANSFER).await;
        let (_, saved) = page.save(hash, 0, SHORT).await;
        assert_eq!(content::sha256(&saved), digest);
        // Removed with its data, it is gone after a reload too.
        page.press(hash, "remove").await;
        page.press(hash, "remove-delete").await;
        let gone = format!("!document.querySelector('[data-info-hash=\"{hash}\"]')");
        page.tab().wait_for("the torrent to be gone", &gone, SHORT).await;
        page.tab().go("about:blank").await;
        page.tab().go(&node.url()).await;
        page.ready().await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(page.torrent(hash).await.is_none(), "it does not come back");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn config_prints_every_setting_with_where_it_came_from() {
    scene::run(async |s| {
        let file = s.path("host.toml");
        let text = "listen = \"127.0.0.1:4081\"\nmax-swarms = 7\nbudget-month = \"5GB\"\n";
        std::fs::write(&file, text).expect("it is written");
        let path = file.display().to_string();
        let args = ["config", "node", "--config", &path, "--max-swarms", "9"];
        let env = [("ANATOMIC_BUDGET_MONTH", "6GB"), ("ANATOMIC_BUDGET_DAY", "1GB")];
        let env = env.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let told = anatomic::run_in(s, "config", &args, &env).await.success().stdout;
        let line =
            |key: &str| told.lines().find(|line| line.starts_with(&format!("{key} = "))).unwrap_or_default();
        for (key, value, source) in [
            ("listen", "127.0.0.1:4081", "# file "),
            ("max-swarms", "9", "# flag --max-swarms"),
            ("budget-month", "6000000000", "# environment ANATOMIC_BUDGET_MONTH"),
            ("budget-day", "1000000000", "# environment ANATOMIC_BUDGET_DAY"),
            ("max-peers", "", "# default"),
        ] {
            let line = line(key);
            let value = line.contains(value) || line.contains(&value.replace("000000000", "GB"));
            assert!(value && line.contains(source), "{key}: {line:?}\n{told}");
        }
        std::fs::write(&file, "lisen = \"127.0.0.1:4081\"\n").expect("it is written");
        for command in ["config", "node"] {
            let refused = anatomic::run(s, command, &[command, "--config", &path]).await;
            assert!(refused.code != 0 && refused.stderr.contains("listen"), "{}", refused.stderr);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plant_without_arguments_asks_on_a_terminal() {
    scene::run(async |s| {
        let supernode = Anatomic::start(s, "supernode", "supernode", &[]).await;
        let url = supernode.url();
        let node = Anatomic::start(s, "node", "node", &["--supernode", &url]).await;
        let file = s.path("asked.bin");
        content::file(&file, 105, 100_000);
        // `script` gives it a terminal; the answers: what, the first node, no search, no seeding.
        let answers = s.path("answers");
        std::fs::write(&answers, format!("{}\n1\nn\nn\n", file.display())).expect("it is written");
        let (home, program) = (s.folder("home"), programs::anatomic());
        let line = format!("{} plant --supernode {url} --data {}", program.display(), home.display());
        let mut command = tokio::process::Command::new("script");
        command.args(["-qec", &line, "/dev/null"]).env("HOME", &home).env("ANATOMIC_DHT", "off");
        command.stdin(std::fs::File::open(&answers).expect("the answers")).kill_on_drop(true);
        let ended = tokio::time::timeout(SHORT, command.output()).await.expect("it ends").expect("it runs");
        let said = String::from_utf8_lossy(&ended.stdout).into_owned();
        assert!(ended.status.success(), "{said}");
        for part in
            ["What shall be planted?", "Nodes that take torrents now:", "#magnet:?xt=urn:btih:", "(1 of 1)"]
        {
            assert!(said.contains(part), "{part}: {said}");
        }
        assert_eq!(ask::metric(&node, "planted_torrents").await, Some(1));
        let found = ask::json(&supernode, "/api/v1/search?q=asked").await.expect("an answer");
        assert_eq!(found["hits"].as_array().map(Vec::len), Some(0), "it is unlisted: {found}");
    })
    .await;
}
