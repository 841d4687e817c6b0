//! The harness proves itself on other people's programs alone, before ours is judged by it.
//!
//! Nothing of Anatomic runs here.

use anatomic_tests::prelude::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn harness_aria2_downloads_what_transmission_seeds() {
    scene::run(async |s| {
        let tracker = Tracker::start(s, "tracker", Duration::from_secs(5)).await;
        let home = s.folder("content");
        let digest = content::file(&home.join("a.bin"), 1, 3 * MIB + 17);
        let torrent = torrent::make(&home.join("a.bin"), &s.path("a.torrent"), &[&tracker.http()], 64);
        let seed = Transmission::start(s, "transmission").await;
        seed.seed(&torrent, &home).await;
        let into = s.folder("into");
        aria2::download(s, "aria2", &torrent.path.display().to_string(), &into, TRANSFER).await;
        assert_eq!(content::sha256(&into.join("a.bin")), digest);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn harness_two_webtorrent_pages_exchange_over_the_reference_tracker() {
    scene::run(async |s| {
        let tracker = Tracker::start(s, "tracker", Duration::from_secs(10)).await;
        let digest = content::file(&s.path("b.bin"), 2, 4 * MIB + 1);
        let server = webtorrent::serve().await;
        let one = Browser::launch(s, "one").await;
        let two = Browser::launch(s, "two").await;
        let seed = webtorrent::WebPage::open(s, &one, &server).await;
        let magnet = seed.seed(&s.path("b.bin"), &[&tracker.websocket()]).await;
        let leech = webtorrent::WebPage::open(s, &two, &server).await;
        leech.add(&magnet, &[&tracker.websocket()]).await;
        assert_eq!(leech.wait_complete(TRANSFER).await, digest);
        let hosts = two.network().hosts();
        assert!(hosts.contains(server.url().trim_start_matches("http://")), "{hosts:?}");
        assert!(hosts.contains(tracker.websocket().trim_start_matches("ws://")), "{hosts:?}");
    })
    .await;
}
