//! A tab seeds a dropped file, and classic clients download it through the node.
//!
//! Also: an ordinary client that has nothing but a planted torrent finds the swarm by the
//! supernode's redirect.

use anatomic_tests::prelude::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn classic_clients_download_what_a_tab_seeds() {
    scene::run(async |s| {
        let node = Anatomic::up(s).await;
        let digest = content::file(&s.path("talk.bin"), 31, 24 * MIB + 99);
        let browser = Browser::launch(s, "browser").await;
        let page = Page::open(s, &browser, &node.url()).await;
        page.give(&[&s.path("talk.bin")]).await;
        let shown = page.wait_planted(SHORT).await;
        assert_eq!(torrent::info_hash_of(&shown.link), shown.info_hash);
        let magnet = torrent::magnet_of(&shown.link);

        let into = s.folder("aria2");
        aria2::download(s, "aria2", magnet, &into, TRANSFER).await;
        assert_eq!(content::sha256(&into.join("talk.bin")), digest);

        let leech = Transmission::start(s, "transmission").await;
        leech.add(magnet).await;
        leech.wait_complete(&shown.info_hash, TRANSFER).await;
        assert_eq!(content::sha256(&leech.downloads().join("talk.bin")), digest);

        assert_eq!(content::files_with_content(node.data()), Vec::<std::path::PathBuf>::new());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn aria2_with_only_the_planted_torrent_follows_the_supernodes_redirect() {
    scene::run(async |s| {
        let supernode = Anatomic::start(s, "supernode", "supernode", &[]).await;
        let node = Anatomic::start(s, "node", "node", &["--supernode", &supernode.url()]).await;
        let home = s.folder("content");
        let digest = content::file(&home.join("a.bin"), 32, 4 * MIB + 7);
        let original = torrent::make(&home.join("a.bin"), &s.path("a.torrent"), &[&node.announce()], 64);
        let planted_path = s.path("planted.torrent");
        let out = planted_path.display().to_string();
        supernode.plant(s, &original.path, &["-o", &out]).await;
        let planted = torrent::open(&planted_path);
        assert_eq!(planted.info_hash, original.info_hash, "planting leaves the info untouched");

        let seed = Transmission::start(s, "transmission").await;
        seed.seed(&original, &home).await;

        // Every tracker but the supernode's is taken away, so that only its redirect can help.
        let known = anatomic::run(s, "inspect", &["inspect", &out, "--json"]).await.success().json();
        let trackers: Vec<&str> =
            known["trackers"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let own = supernode.announce();
        assert!(trackers.contains(&own.as_str()), "{own} is among {trackers:?}");
        let others: Vec<&str> =
            trackers.iter().copied().filter(|tracker| !tracker.starts_with(&own)).collect();
        let into = s.folder("into");
        let log = s.path("aria2-redirects.log");
        let mut aria2 = aria2::start(
            s,
            "aria2",
            &out,
            &into,
            &[
                &format!("--bt-exclude-tracker={}", others.join(",")),
                &format!("--log={}", log.display()),
                "--log-level=info",
            ],
        );
        assert!(aria2.wait(TRANSFER).await.success(), "{}", aria2.log().tail());
        assert_eq!(content::sha256(&into.join("a.bin")), digest);
        let log = std::fs::read_to_string(log).unwrap_or_default();
        let redirected =
            log.lines().any(|line| line.contains("Redirecting to") && line.contains(&node.host()));
        assert!(redirected, "aria2 was sent on to the node");
    })
    .await;
}
