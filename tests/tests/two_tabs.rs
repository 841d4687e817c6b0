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
