//! What the page shows of the network: the steps of planting, the health of a link, search, taking a torrent back.
//!
//! The API behind it has tests of its own in the relay.

use anatomic_tests::prelude::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shared_file_shows_its_health_is_found_by_search_and_can_be_taken_back() {
    scene::run(async |s| {
        let node = Anatomic::up(s).await;
        let file = s.path("walnut harvest.bin");
        content::file(&file, 62, 200_000);
        let browser = Browser::launch(s, "browser").await;
        let page = Page::open(s, &browser, &node.url()).await;
        page.give(&[&file]).await;
        let shown = page.wait_planted(TRANSFER).await;
        let tab = page.tab();

        tab.click("[data-testid=\"health\"] summary").await;
        tab.wait_element("[data-testid=\"health\"] [data-healthy=\"true\"]", SHORT).await;
        tab.wait_element("[data-testid=\"steps\"] [data-done=\"true\"]", SHORT).await;

        let torrent_file = async { page.press(&shown.info_hash, "torrent-file").await };
        let (name, saved) = tab.saved_by(torrent_file, SHORT).await;
        assert_eq!(name, "walnut harvest.bin.torrent");
        assert_eq!(torrent::open(&saved).info_hash, shown.info_hash);

        // The node reports its seed to the supernode before the search finds it.
        let other = Browser::launch(s, "other").await;
        let visitor = Page::open(s, &other, &node.url()).await;
        let hit = format!("[data-hit=\"{}\"] button", shown.info_hash);
        visitor.tab().click(".search summary").await;
        visitor.tab().type_into("[data-testid=\"search-input\"]", "walnut").await;
        let found = format!(
            "document.querySelector('[data-testid=\"search-button\"]').click(),\
             !!document.querySelector({})",
            json!(hit)
        );
        visitor.tab().wait_for("the torrent to be found", &found, SHORT).await;
        visitor.tab().click(&hit).await;
        visitor.wait_complete(&shown.info_hash, TRANSFER).await;

        page.press(&shown.info_hash, "unplant").await;
        let gone = "!document.querySelector('[data-testid=\"health\"] [data-healthy=\"true\"]')";
        tab.wait_for("nobody to hold it any more", gone, SHORT).await;
    })
    .await;
}
