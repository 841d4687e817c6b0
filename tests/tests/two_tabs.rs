//! Two tabs exchange directly, without the node in between.
//!
//! Two browsers with a profile each: two tabs of one profile share storage and would prove nothing.

use anatomic_tests::prelude::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_tabs_exchange_directly_and_finish_without_the_node() {
    scene::run(async |s| {
        let mut node = Anatomic::up(s).await;
        let digest = content::file(&s.path("direct.bin"), 41, 96 * MIB);
        let one = Browser::launch(s, "one").await;
        let seed = Page::open(s, &one, &node.url()).await;
        seed.give(&[&s.path("direct.bin")]).await;
        let planted = seed.wait_planted(TRANSFER).await;

        let two = Browser::launch(s, "two").await;
        let leech = Page::open(s, &two, &planted.link).await;
        let hash = &planted.info_hash;
        let shown = leech
            .wait("a direct peer that gives pieces", TRANSFER, |torrent| {
                torrent.progress > 0.05 && torrent.peers.iter().any(|peer| peer == "webrtc")
            })
            .await;
        assert!(shown.progress < 1.0, "the transfer is still under way: {shown:?}");
        // What still comes after the node is gone can come from nobody but the other tab.
        node.process().kill().await;
        leech.wait_complete(hash, TRANSFER).await;
        let (_, saved) = leech.save(hash, 0, SHORT).await;
        assert_eq!(content::sha256(&saved), digest);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_tabs_on_two_nodes_meet_through_signalling_across_nodes() {
    scene::run(async |s| {
        let mut network = Network::start(s, 1, 2).await;
        let digest = content::file(&s.path("across.bin"), 43, 48 * MIB);
        let torrent = torrent::make(&s.path("across.bin"), &s.path("across.torrent"), &[], 256);
        network.supernodes[0].plant(s, &torrent.path, &["--nodes", "2"]).await;
        network.whole(&[0, 1], SHORT).await;
        // A page of one node each, and that node's tracker alone.
        let link = |node: &Anatomic| {
            let tracker = node.websocket().replace(':', "%3A").replace('/', "%2F");
            format!("{}#magnet:?xt=urn:btih:{}&tr={tracker}", node.url(), torrent.info_hash)
        };
        let (here, there) = (link(&network.nodes[0]), link(&network.nodes[1]));
        let seed = Transmission::start(s, "transmission").await;
        let at_one = torrent::make(
            &s.path("across.bin"),
            &s.path("at-one.torrent"),
            &[&network.nodes[0].announce()],
            256,
        );
        assert_eq!(at_one.info_hash, torrent.info_hash);
        seed.seed(&at_one, s.dir()).await;
        let browser = Browser::launch(s, "browser").await;
        let first = Page::open_apart(s, &browser, &here).await;
        first.wait_complete(&torrent.info_hash, TRANSFER).await;
        // From now on the only copy is in a tab that knows the other node by no means.
        drop(seed);
        let second = Page::open_apart(s, &browser, &there).await;
        let shown = second
            .wait("a direct peer that gives pieces", TRANSFER, |torrent| {
                torrent.progress > 0.05 && torrent.peers.iter().any(|peer| peer == "webrtc")
            })
            .await;
        assert!(shown.progress < 1.0, "the transfer is still under way: {shown:?}");
        for node in &mut network.nodes {
            assert_eq!(ask::metric(node, "mesh_offers_dropped").await, Some(0));
            node.process().kill().await;
        }
        second.wait_complete(&torrent.info_hash, TRANSFER).await;
        let (_, saved) = second.save(&torrent.info_hash, 0, SHORT).await;
        assert_eq!(content::sha256(&saved), digest);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tab_in_the_background_keeps_seeding() {
    scene::run(async |s| {
        let node = Anatomic::up(s).await;
        let digest = content::file(&s.path("behind.bin"), 42, 16 * MIB);
        let one = Browser::launch(s, "one").await;
        let seed = Page::open(s, &one, &node.url()).await;
        seed.give(&[&s.path("behind.bin")]).await;
        let planted = seed.wait_planted(SHORT).await;
        seed.tab().hide().await;

        let two = Browser::launch(s, "two").await;
        let leech = Page::open(s, &two, &planted.link).await;
        leech.wait_complete(&planted.info_hash, TRANSFER).await;
        let (_, saved) = leech.save(&planted.info_hash, 0, SHORT).await;
        assert_eq!(content::sha256(&saved), digest);
    })
    .await;
}
