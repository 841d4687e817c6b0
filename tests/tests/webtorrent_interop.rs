//! Ours with other people's WebRTC peers: WebTorrent in a page and in Node, libtorrent 2.1.
//!
//! None of them is changed or told that we are anything but an ordinary peer and tracker.

use anatomic_tests::libtorrent::Transport;
use anatomic_tests::prelude::*;
use anatomic_tests::webtorrent::WebPage;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webtorrent_page_downloads_from_our_tab_over_our_tracker() {
    scene::run(async |s| {
        let node = Anatomic::up(s).await;
        let digest = content::file(&s.path("ours.bin"), 51, 12 * MIB + 3);
        let (one, two) = (Browser::launch(s, "one").await, Browser::launch(s, "two").await);
        let seed = Page::open(s, &one, &node.url()).await;
        seed.give(&[&s.path("ours.bin")]).await;
        let planted = seed.wait_planted(SHORT).await;

        let server = webtorrent::serve().await;
        let leech = WebPage::open(s, &two, &server).await;
        leech.add(torrent::magnet_of(&planted.link), &[]).await;
        assert_eq!(leech.wait_complete(TRANSFER).await, digest);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_tab_downloads_from_a_webtorrent_page_over_our_tracker() {
    scene::run(async |s| {
        let node = Anatomic::up(s).await;
        let file = s.path("theirs.bin");
        let digest = content::file(&file, 52, 12 * MIB + 5);
        let (one, two) = (Browser::launch(s, "one").await, Browser::launch(s, "two").await);
        let server = webtorrent::serve().await;
        let seed = WebPage::open(s, &one, &server).await;
        let made = seed.torrent_of(&file, &s.path("theirs.torrent")).await;
        let planted = node.plant(s, &made.path, &[]).await;
        seed.seed(&file, &[&node.websocket()]).await;

        let leech = Page::open(s, &two, planted["link"].as_str().expect("a link")).await;
        leech.wait_complete(&made.info_hash, TRANSFER).await;
        let (_, saved) = leech.save(&made.info_hash, 0, SHORT).await;
        assert_eq!(content::sha256(&saved), digest);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_tab_and_webtorrent_pages_exchange_over_the_reference_tracker() {
    scene::run_within(Duration::from_secs(420), async |s| {
        let tracker = Tracker::start(s, "tracker", Duration::from_secs(25)).await;
        let node = Anatomic::up(s).await;
        let file = s.path("foreign.bin");
        let digest = content::file(&file, 53, 8 * MIB + 5);
        let server = webtorrent::serve().await;

        // Theirs to ours.
        let one = Browser::launch(s, "one").await;
        let seed = WebPage::open(s, &one, &server).await;
        let magnet = seed.seed(&file, &[&tracker.websocket()]).await;
        let hash = torrent::info_hash_of(&magnet);
        let two = Browser::launch(s, "two").await;
        let ours = Page::open(s, &two, &node.url()).await;
        ours.add(&magnet).await;
        ours.wait_complete(&hash, TRANSFER).await;
        let (_, saved) = ours.save(&hash, 0, SHORT).await;
        assert_eq!(content::sha256(&saved), digest);

        // Ours to theirs: the first seed leaves before the next page comes.
        one.kill().await;
        let three = Browser::launch(s, "three").await;
        let leech = WebPage::open(s, &three, &server).await;
        leech.add(&magnet, &[&tracker.websocket()]).await;
        assert_eq!(leech.wait_complete(TRANSFER).await, digest);
    })
    .await;
}

/// A node, and content that a planted torrent of that name stands for.
struct Planted {
    node: Anatomic,
    home: std::path::PathBuf,
    torrent: Torrent,
    link: String,
    digest: String,
}

async fn planted(s: &Scene, seed: u64) -> Planted {
    let node = Anatomic::up(s).await;
    let home = s.folder("content");
    let digest = content::file(&home.join("p.bin"), seed, 8 * MIB + 1);
    let torrent = torrent::make(&home.join("p.bin"), &s.path("p.torrent"), &[&node.announce()], 64);
    let planted = node.plant(s, &torrent.path, &[]).await;
    let link = planted["link"].as_str().expect("a link").to_owned();
    Planted { node, home, torrent, link, digest }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webtorrent_page_downloads_from_transmission_through_the_node() {
    scene::run(async |s| {
        let p = planted(s, 54).await;
        let seed = Transmission::start(s, "transmission").await;
        seed.seed(&p.torrent, &p.home).await;
        let browser = Browser::launch(s, "browser").await;
        let server = webtorrent::serve().await;
        let leech = WebPage::open(s, &browser, &server).await;
        leech.add(torrent::magnet_of(&p.link), &[]).await;
        assert_eq!(leech.wait_complete(TRANSFER).await, p.digest);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn webtorrent_in_node_downloads_from_transmission_through_the_node() {
    scene::run(async |s| {
        let p = planted(s, 55).await;
        let seed = Transmission::start(s, "transmission").await;
        seed.seed(&p.torrent, &p.home).await;
        let into = s.folder("into");
        let torrent = p.torrent.path.display().to_string();
        let trackers = [p.node.websocket()];
        let mut leech = webtorrent::leech_in_node(s, "webtorrent", &torrent, &into, &[&trackers[0]]);
        webtorrent::wait_done(&mut leech, TRANSFER).await;
        assert_eq!(content::sha256(&into.join("p.bin")), p.digest);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn aria2_downloads_from_webtorrent_in_node_through_the_node() {
    scene::run(async |s| {
        let p = planted(s, 56).await;
        let ws = p.node.websocket();
        let _seed =
            webtorrent::seed_in_node(s, "webtorrent", &p.torrent.path, &p.home.join("p.bin"), &[&ws]).await;
        let into = s.folder("into");
        let torrent = p.torrent.path.display().to_string();
        aria2::download(s, "aria2", &torrent, &into, TRANSFER).await;
        assert_eq!(content::sha256(&into.join("p.bin")), p.digest);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn libtorrent_downloads_over_webrtc_from_transmission_through_the_node() {
    scene::run(async |s| {
        let p = planted(s, 57).await;
        let seed = Transmission::start(s, "transmission").await;
        seed.seed(&p.torrent, &p.home).await;
        let into = s.folder("into");
        let torrent = p.torrent.path.display().to_string();
        let ws = p.node.websocket();
        let mut leech = libtorrent::leech(s, "libtorrent", &torrent, &into, Transport::WebRtc, &[&ws]);
        libtorrent::wait_done(&mut leech, TRANSFER).await;
        assert_eq!(content::sha256(&into.join("p.bin")), p.digest);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn aria2_downloads_from_libtorrent_over_webrtc_through_the_node() {
    scene::run(async |s| {
        let p = planted(s, 58).await;
        let ws = p.node.websocket();
        let _seed =
            libtorrent::seed(s, "libtorrent", &p.torrent.path, &p.home, Transport::WebRtc, &[&ws]).await;
        let into = s.folder("into");
        let torrent = p.torrent.path.display().to_string();
        aria2::download(s, "aria2", &torrent, &into, TRANSFER).await;
        assert_eq!(content::sha256(&into.join("p.bin")), p.digest);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_tab_downloads_from_libtorrent_over_webrtc() {
    scene::run(async |s| {
        let p = planted(s, 59).await;
        let ws = p.node.websocket();
        let _seed =
            libtorrent::seed(s, "libtorrent", &p.torrent.path, &p.home, Transport::WebRtc, &[&ws]).await;
        let browser = Browser::launch(s, "browser").await;
        let leech = Page::open(s, &browser, &p.link).await;
        leech.wait_complete(&p.torrent.info_hash, TRANSFER).await;
        let (_, saved) = leech.save(&p.torrent.info_hash, 0, SHORT).await;
        assert_eq!(content::sha256(&saved), p.digest);
    })
    .await;
}
