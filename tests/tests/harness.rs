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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn harness_libtorrent_and_webtorrent_in_node_exchange_over_webrtc() {
    scene::run(async |s| {
        let tracker = Tracker::start(s, "tracker", Duration::from_secs(25)).await;
        let home = s.folder("content");
        let digest = content::file(&home.join("c.bin"), 3, 2 * MIB + 1);
        let ws = tracker.websocket();
        let torrent = torrent::make(&home.join("c.bin"), &s.path("c.torrent"), &[&tracker.http()], 64);
        let path = torrent.path.display().to_string();
        let rtc = libtorrent::Transport::WebRtc;
        let seed = libtorrent::seed(s, "libtorrent-seed", &torrent.path, &home, rtc, &[&ws]).await;
        let into = s.folder("into-webtorrent");
        let mut leech = webtorrent::leech_in_node(s, "webtorrent-leech", &path, &into, &[&ws]);
        webtorrent::wait_done(&mut leech, TRANSFER).await;
        assert_eq!(content::sha256(&into.join("c.bin")), digest);
        drop((seed, leech));

        let file = home.join("c.bin");
        let _seed = webtorrent::seed_in_node(s, "webtorrent-seed", &torrent.path, &file, &[&ws]).await;
        let into = s.folder("into-libtorrent");
        let mut leech = libtorrent::leech(s, "libtorrent-leech", &path, &into, rtc, &[&ws]);
        libtorrent::wait_done(&mut leech, TRANSFER).await;
        assert_eq!(content::sha256(&into.join("c.bin")), digest);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn harness_the_liar_is_believable_and_aria2_sees_through_it() {
    scene::run(async |s| {
        let tracker = Tracker::start(s, "tracker", Duration::from_secs(5)).await;
        let home = s.folder("content");
        let digest = content::file(&home.join("d.bin"), 4, 4 * MIB);
        let torrent = torrent::make(&home.join("d.bin"), &s.path("d.torrent"), &[&tracker.http()], 64);
        let shares = liar::Shares {
            info_hash: torrent.info_hash.clone(),
            length: 4 * MIB,
            piece: 64 * 1024,
            lie_every: 1,
        };
        let liar = liar::Liar::start(shares, &home.join("d.bin"), &tracker.http()).await;
        let honest = Transmission::start(s, "honest").await;
        honest.limit_upload(Some(1024)).await;
        honest.seed(&torrent, &home).await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        let into = s.folder("into");
        aria2::download(s, "aria2", &torrent.path.display().to_string(), &into, TRANSFER).await;
        assert_eq!(content::sha256(&into.join("d.bin")), digest);
        let (handshakes, _, lies, _) = liar.counters().now();
        assert!(handshakes > 0 && lies > 0, "{:?}", liar.counters().now());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn harness_a_webtorrent_page_makes_the_same_torrent_twice_and_a_tab_can_be_hidden() {
    scene::run(async |s| {
        let tracker = Tracker::start(s, "tracker", Duration::from_secs(10)).await;
        content::file(&s.path("e.bin"), 5, MIB + 1);
        let server = webtorrent::serve().await;
        let browser = Browser::launch(s, "browser").await;
        let page = webtorrent::WebPage::open(s, &browser, &server).await;
        let made = page.torrent_of(&s.path("e.bin"), &s.path("e.torrent")).await;
        let magnet = page.seed(&s.path("e.bin"), &[&tracker.websocket()]).await;
        assert_eq!(torrent::info_hash_of(&magnet), made.info_hash);
        page.tab().hide().await;
        page.tab().set_quota(Some(MIB)).await;
        page.tab().set_quota(None).await;
    })
    .await;
}
