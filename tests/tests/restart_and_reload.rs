//! What was downloaded stays downloaded: the node crashes, the tab is reloaded or closed.
//!
//! Timings are not judged, only that it goes on and what is downloaded twice.

use anatomic_tests::prelude::*;

/// A planted file of so many bytes whose only seed gives `kib` KiB/s.
async fn slow(s: &Scene, seed: u64, length: u64, kib: u32) -> Slow {
    let file = s.folder("content").join("r.bin");
    content::file(&file, seed, length);
    Slow::start(s, &file, 128, kib).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tab_goes_on_after_the_node_crashed_in_the_middle() {
    scene::run(async |s| {
        let mut it = slow(s, 71, 32 * MIB, 3072).await;
        let browser = Browser::launch(s, "browser").await;
        let page = Page::open(s, &browser, &it.link).await;
        let hash = it.torrent.info_hash.clone();
        let shown = page.wait_progress(&hash, 0.25, TRANSFER).await;
        assert!(shown.progress < 0.9, "it is in the middle: {shown:?}");
        it.node.crash_and_restart(s).await;
        it.seed.limit_upload(None).await;
        page.wait_complete(&hash, TRANSFER).await;
        let (_, saved) = page.save(&hash, 0, SHORT).await;
        assert_eq!(content::sha256(&saved), it.digest);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reloaded_tab_goes_on_where_it_was() {
    scene::run(async |s| {
        let it = slow(s, 72, 32 * MIB, 3072).await;
        let browser = Browser::launch(s, "browser").await;
        let page = Page::open(s, &browser, &it.link).await;
        let hash = &it.torrent.info_hash;
        let before = page.wait_progress(hash, 0.5, TRANSFER).await;
        assert!(before.progress < 0.95, "it is in the middle: {before:?}");
        // Pieces of the last second may be lost, no others.
        tokio::time::sleep(Duration::from_millis(1500)).await;
        page.tab().reload().await;
        page.ready().await;
        let after = page.wait("the torrent after the reload", SHORT, |torrent| {
            torrent.info_hash == *hash && torrent.state != "metadata"
        });
        let after = after.await;
        assert!(after.progress >= before.progress, "{} before, {} after", before.progress, after.progress);
        it.seed.limit_upload(None).await;
        page.wait_complete(hash, TRANSFER).await;
        let (_, saved) = page.save(hash, 0, SHORT).await;
        assert_eq!(content::sha256(&saved), it.digest);
        let state = it.seed.state(hash).await;
        let twice = state["uploadedEver"].as_u64().expect("a number").saturating_sub(it.length);
        assert!(twice < it.length / 4, "{twice} of {} bytes were downloaded again", it.length);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_complete_torrent_survives_a_reload_without_any_peer() {
    scene::run(async |s| {
        let it = slow(s, 73, 16 * MIB, 100_000).await;
        let browser = Browser::launch(s, "browser").await;
        let page = Page::open(s, &browser, &it.link).await;
        let hash = &it.torrent.info_hash;
        page.wait_complete(hash, TRANSFER).await;
        drop(it.seed);
        let tab = page.tab();
        tab.go("about:blank").await;
        tab.go(&it.node.url()).await;
        page.ready().await;
        page.wait_complete(hash, SHORT).await;
        let (_, saved) = page.save(hash, 0, SHORT).await;
        assert_eq!(content::sha256(&saved), it.digest);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tab_in_the_background_keeps_downloading() {
    scene::run(async |s| {
        let it = slow(s, 74, 16 * MIB, 2048).await;
        let browser = Browser::launch(s, "browser").await;
        let page = Page::open(s, &browser, &it.link).await;
        let hash = &it.torrent.info_hash;
        page.wait_progress(hash, 0.1, TRANSFER).await;
        page.tab().hide().await;
        it.seed.limit_upload(None).await;
        page.wait_complete(hash, TRANSFER).await;
        let (_, saved) = page.save(hash, 0, SHORT).await;
        assert_eq!(content::sha256(&saved), it.digest);
    })
    .await;
}
