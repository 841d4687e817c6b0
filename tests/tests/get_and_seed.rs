//! The terminal's client: `anatomic get` and `anatomic seed` with classic peers and tabs.
//!
//! What the other commands print is in `surface.rs`.

use anatomic_tests::libtorrent::Transport;
use anatomic_tests::prelude::*;
use std::path::Path;

/// `anatomic get X -o DIR --json --no-seed`, to its end.
async fn get(s: &Scene, what: &str, into: &Path, limit: Duration) -> anatomic::Ended {
    get_with(s, what, into, limit, &[]).await
}

async fn get_with(s: &Scene, what: &str, into: &Path, limit: Duration, options: &[&str]) -> anatomic::Ended {
    let into = into.display().to_string();
    let listen = format!("{}:0", ports::address());
    let args = [&["get", what, "-o", &into, "--json", "--no-seed", "--listen", &listen], options].concat();
    anatomic::run_within(s, "get", &args, limit).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn get_downloads_a_planted_link_from_transmission() {
    scene::run(async |s| {
        let node = Anatomic::up(s).await;
        let home = s.folder("content");
        let digest = content::file(&home.join("g.bin"), 61, 24 * MIB + 1);
        let torrent = torrent::make(&home.join("g.bin"), &s.path("g.torrent"), &[&node.announce()], 256);
        let planted = node.plant(s, &torrent.path, &[]).await;
        let seed = Transmission::start(s, "transmission").await;
        seed.seed(&torrent, &home).await;

        for (folder, what) in [
            ("from-link", planted["link"].as_str().expect("a link")),
            ("from-magnet", planted["magnet"].as_str().expect("a magnet")),
            ("from-torrent", torrent.path.to_str().expect("a path")),
        ] {
            let into = s.folder(folder);
            let ended = get(s, what, &into, TRANSFER).await.success();
            for line in ended.stdout.lines() {
                let parsed: Result<Value, _> = serde_json::from_str(line);
                assert!(parsed.is_ok(), "--json prints JSON lines only: {line}");
            }
            assert_eq!(content::sha256(&into.join("g.bin")), digest, "{folder}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn get_downloads_from_a_tab() {
    scene::run(async |s| {
        let node = Anatomic::up(s).await;
        let digest = content::file(&s.path("tab.bin"), 62, 24 * MIB + 1);
        let browser = Browser::launch(s, "browser").await;
        let page = Page::open(s, &browser, &node.url()).await;
        page.give(&[&s.path("tab.bin")]).await;
        let planted = page.wait_planted(SHORT).await;
        let into = s.folder("into");
        let _ = get(s, &planted.link, &into, TRANSFER).await.success();
        assert_eq!(content::sha256(&into.join("tab.bin")), digest);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn get_downloads_from_transmission_and_a_tab_at_once() {
    scene::run(async |s| {
        let mut node = Anatomic::up(s).await;
        let home = s.folder("content");
        let length = 32 * MIB;
        let digest = content::file(&home.join("both.bin"), 63, length);
        let torrent =
            torrent::make(&home.join("both.bin"), &s.path("both.torrent"), &[&node.announce()], 128);
        let planted = node.plant(s, &torrent.path, &[]).await;
        let link = planted["link"].as_str().expect("a link");
        let seed = Transmission::start(s, "transmission").await;
        seed.seed(&torrent, &home).await;
        let browser = Browser::launch(s, "browser").await;
        let page = Page::open(s, &browser, link).await;
        page.wait_complete(&torrent.info_hash, TRANSFER).await;

        let uploaded =
            async || seed.state(&torrent.info_hash).await["uploadedEver"].as_u64().expect("a number");
        // The node forgets what it cached, and `get` is slow enough that Transmission, which lets a newcomer wait
        // for some seconds, is asked too.
        node.crash_and_restart(s).await;
        let before = uploaded().await;
        let into = s.folder("into");
        let _ = get_with(s, link, &into, TRANSFER, &["--download-limit", "2M"]).await.success();
        assert_eq!(content::sha256(&into.join("both.bin")), digest);
        let from_transmission = uploaded().await - before;
        assert!(from_transmission > 0, "Transmission gave a part");
        assert!(from_transmission < length, "the tab gave a part: {from_transmission} of {length}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn get_downloads_two_thousand_small_files() {
    scene::run(async |s| {
        let node = Anatomic::up(s).await;
        let home = s.folder("content");
        content::small_files(&home.join("many"), 64, 2000);
        let torrent = torrent::make(&home.join("many"), &s.path("many.torrent"), &[&node.announce()], 64);
        node.plant(s, &torrent.path, &[]).await;
        let seed = Transmission::start(s, "transmission").await;
        seed.seed(&torrent, &home).await;
        let into = s.folder("into");
        let _ = get(s, torrent.path.to_str().expect("a path"), &into, TRANSFER).await.success();
        let (want, have) =
            (content::sha256_tree(&home.join("many")), content::sha256_tree(&into.join("many")));
        assert_eq!(want.len(), 2000);
        assert!(want == have, "every file is there and equal, and no other");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn get_downloads_four_gibibytes_whose_last_piece_is_short() {
    scene::run_within(Duration::from_secs(900), async |s| {
        let node = Anatomic::up(s).await;
        let home = s.folder("content");
        let digest = content::sparse_file(&home.join("huge.bin"), 65, 4096 * MIB + 54_321);
        let torrent =
            torrent::make(&home.join("huge.bin"), &s.path("huge.torrent"), &[&node.announce()], 4096);
        node.plant(s, &torrent.path, &[]).await;
        // Not Transmission, which sends at most 17 MB/s.
        let _seed = libtorrent::seed(s, "libtorrent", &torrent.path, &home, Transport::Tcp, &[]).await;
        let into = s.folder("into");
        let limit = Duration::from_secs(600);
        let _ = get(s, torrent.path.to_str().expect("a path"), &into, limit).await.success();
        assert_eq!(content::sha256(&into.join("huge.bin")), digest);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn classic_clients_and_tabs_download_what_seed_seeds() {
    scene::run(async |s| {
        let node = Anatomic::up(s).await;
        let home = s.folder("content");
        let digest = content::file(&home.join("s.bin"), 66, 12 * MIB + 1);
        let torrent = torrent::make(&home.join("s.bin"), &s.path("s.torrent"), &[&node.announce()], 128);
        let planted = node.plant(s, &torrent.path, &[]).await;
        let (path, from) = (torrent.path.display().to_string(), home.display().to_string());
        let mut seed = anatomic::start(s, "seed", &["seed", &path, "--from", &from]);

        let into = s.folder("aria2");
        aria2::download(s, "aria2", &path, &into, TRANSFER).await;
        assert_eq!(content::sha256(&into.join("s.bin")), digest);

        let browser = Browser::launch(s, "browser").await;
        let page = Page::open(s, &browser, planted["link"].as_str().expect("a link")).await;
        page.wait_complete(&torrent.info_hash, TRANSFER).await;
        let (_, saved) = page.save(&torrent.info_hash, 0, SHORT).await;
        assert_eq!(content::sha256(&saved), digest);

        seed.interrupt().await;
        let status = seed.wait(SHORT).await;
        assert!(matches!(status.code(), Some(0 | 130)), "Ctrl-C ends it cleanly: {status}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interrupted_get_keeps_what_was_verified() {
    scene::run(async |s| {
        let node = Anatomic::up(s).await;
        let home = s.folder("content");
        let length = 32 * MIB;
        let digest = content::file(&home.join("i.bin"), 67, length);
        let torrent = torrent::make(&home.join("i.bin"), &s.path("i.torrent"), &[&node.announce()], 128);
        node.plant(s, &torrent.path, &[]).await;
        let seed = Transmission::start(s, "transmission").await;
        seed.seed(&torrent, &home).await;
        seed.limit_upload(Some(4096)).await;
        let uploaded =
            async || seed.state(&torrent.info_hash).await["uploadedEver"].as_u64().expect("a number");

        let into = s.folder("into");
        let (path, out) = (torrent.path.display().to_string(), into.display().to_string());
        let listen = format!("{}:0", ports::address());
        let mut first =
            anatomic::start(s, "get-first", &["get", &path, "-o", &out, "--no-seed", "--listen", &listen]);
        let end = tokio::time::Instant::now() + TRANSFER;
        while uploaded().await < length / 2 {
            assert!(tokio::time::Instant::now() < end, "half of it never came");
            assert!(first.is_running(), "{}", first.log().tail());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        first.interrupt().await;
        let status = first.wait(SHORT).await;
        assert_eq!(status.code(), Some(130), "ended by Ctrl-C before it was done");

        seed.limit_upload(None).await;
        let _ = get(s, &path, &into, TRANSFER).await.success();
        assert_eq!(content::sha256(&into.join("i.bin")), digest);
        let twice = uploaded().await.saturating_sub(length);
        assert!(twice < length / 4, "{twice} of {length} bytes were downloaded again");
    })
    .await;
}
