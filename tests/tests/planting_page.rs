//! What the page shows of the network: planting step by step, the health of a link, search, taking a torrent back.
//!
//! The API behind it has tests of its own in the relay.

use anatomic_mesh::{Receipt, Signed};
use anatomic_tests::prelude::*;

/// Whether the page has fetched the planter's code.
fn has_planter(browser: &Browser) -> bool {
    browser.network().urls.iter().any(|url| url.contains("/planter"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shared_file_shows_its_health_is_found_by_search_and_can_be_taken_back() {
    scene::run(async |s| {
        let node = Anatomic::up(s).await;
        let file = s.path("walnut harvest.bin");
        content::file(&file, 62, 200_000);
        let browser = Browser::launch(s, "browser").await;
        let page = Page::open(s, &browser, &node.url()).await;
        assert!(!has_planter(&browser), "nobody has planted yet");
        page.give(&[&file]).await;
        let shown = page.wait_planted(TRANSFER).await;
        assert!(has_planter(&browser));
        let tab = page.tab();

        tab.click("[data-testid=\"health\"] summary").await;
        tab.wait_element("[data-testid=\"health\"] [data-healthy=\"true\"]", SHORT).await;
        tab.wait_element("[data-testid=\"steps\"] [data-done=\"true\"]", SHORT).await;

        let torrent_file = async { page.press(&shown.info_hash, "torrent-file").await };
        let (name, saved) = tab.saved_by(torrent_file, SHORT).await;
        assert_eq!(name, "walnut harvest.bin.torrent");
        assert_eq!(torrent::open(&saved).info_hash, shown.info_hash);

        // The link opens without the planter's code.
        let reader = Browser::launch(s, "reader").await;
        let opened = Page::open(s, &reader, &shown.link).await;
        opened.wait_complete(&shown.info_hash, TRANSFER).await;
        assert!(!has_planter(&reader), "opening a link fetches no planter");

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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_wizard_plants_on_the_nodes_chosen_and_replaces_one_that_died() {
    scene::run(async |s| {
        let up = Anatomic::up(s).await;
        let home = up.url();
        let mut nodes = Vec::new();
        for name in ["a", "b", "c"] {
            nodes.push(Anatomic::start(s, name, "node", &["--supernode", &home]).await);
        }
        let file = s.path("hazel.bin");
        content::file(&file, 63, 150_000);
        let browser = Browser::launch(s, "browser").await;
        let page = Page::open(s, &browser, &home).await;
        let tab = page.tab();
        let all = "fetch('/api/v1/nodes?count=9').then(r => r.json()).then(o => o.nodes.length === 4)";
        tab.wait_for("four nodes in the directory", all, SHORT).await;

        tab.eval("document.querySelector('[data-testid=\"open-wizard\"]').focus()").await;
        tab.click("[data-testid=\"open-wizard\"]").await;
        tab.give_files("[data-testid=\"wizard-file-input\"]", &[&file]).await;
        tab.wait_element("[data-testid=\"stage-2\"]", TRANSFER).await;
        let listed = "[...document.querySelectorAll('.wizard [data-node]')].map(e => e.dataset.node)";
        tab.wait_for("the nodes offered", &format!("({listed}).length === 4"), SHORT).await;
        let shown = page.torrents().await;
        assert!(shown[0].link.is_empty(), "it is not planted before the button: {shown:?}");

        // One is left out; of the three others two are wanted, and one of those dies now.
        let host =
            |node: &Anatomic| node.url().trim_start_matches("http://").trim_end_matches('/').to_owned();
        let refused = host(&nodes[0]);
        tab.click(&format!("[data-node=\"{refused}\"] input")).await;
        let offered: Vec<String> = serde_json::from_value(tab.eval(listed).await).expect("hosts");
        let first: Vec<&String> = offered.iter().filter(|host| **host != refused).take(2).collect();
        let dying =
            nodes[1..].iter_mut().find(|node| first.contains(&&host(node))).expect("one of the first two");
        let dead = host(dying);
        dying.process().kill().await;
        let count = "(e => { e.value = '2'; e.dispatchEvent(new Event('change', { bubbles: true })); })\
                     (document.querySelector('[data-testid=\"node-count\"]'))";
        tab.eval(count).await;
        tab.click("[data-testid=\"wizard-plant\"]").await;
        tab.wait_element("[data-testid=\"stage-4\"]", TRANSFER).await;
        let steps = tab.eval("document.querySelector('.wizard [data-testid=\"steps\"]').innerText").await;
        let steps = steps.as_str().expect("text");
        assert!(steps.contains(&format!("{dead} did not take it: it cannot be reached")), "{steps}");
        assert!(steps.contains("(2 of 2)") && !steps.contains(&refused), "{steps}");

        let shown = page.wait_planted(SHORT).await;
        tab.wait_element(".wizard [data-testid=\"qr-code\"]", SHORT).await;
        tab.allow_clipboard().await;
        tab.click(".wizard [data-testid=\"copy-link\"]").await;
        let copied = "navigator.clipboard.readText()";
        tab.wait_for(
            "the link to be copied",
            &format!("{copied}.then(t => t === {})", json!(shown.link)),
            SHORT,
        )
        .await;
        let save = async { tab.click("[data-testid=\"wizard-torrent\"]").await };
        let (name, saved) = tab.saved_by(save, SHORT).await;
        assert_eq!(
            (name.as_str(), torrent::open(&saved).info_hash),
            ("hazel.bin.torrent", shown.info_hash.clone())
        );

        let lookup =
            web::get(&format!("{home}api/v1/torrents/{}", shown.info_hash)).await.expect("an answer");
        let lookup: Value = lookup.json().await.expect("JSON");
        let holders: Vec<&str> = lookup["nodes"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|node| node["url"].as_str())
            .collect();
        assert_eq!(holders.len(), 2, "{lookup}");
        assert!(holders.iter().all(|url| !url.contains(&refused) && !url.contains(&dead)), "{lookup}");

        tab.click("[data-testid=\"wizard-done\"]").await;
        let back =
            "!document.querySelector('dialog[open]') && document.activeElement?.dataset.testid === 'open-wizard'";
        tab.wait_for("the page behind, and the focus where it was", back, SHORT).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_was_loaded_again_renews_and_takes_back_what_it_planted() {
    scene::run(async |s| {
        let node = Anatomic::up(s).await;
        let file = s.path("sloe.bin");
        content::file(&file, 64, 200_000);
        let browser = Browser::launch(s, "browser").await;
        let page = Page::open(s, &browser, &node.url()).await;
        page.give(&[&file]).await;
        let shown = page.wait_planted(TRANSFER).await;
        let path = format!("/api/v1/torrents/{}", shown.info_hash);
        let receipts = async || {
            let known = ask::json(&node, &path).await.unwrap_or_default()["receipts"].clone();
            serde_json::from_value::<Vec<Signed<Receipt>>>(known).expect("receipts that are good")
        };
        let before = receipts().await;
        assert_eq!(before.len(), 1);

        // The key that planted is the page's own, and is still there.
        page.tab().reload().await;
        page.wait("the torrent after the reload", SHORT, |torrent| torrent.info_hash == shown.info_hash)
            .await;
        let tab = page.tab();
        tab.click("[data-testid=\"health\"] summary").await;
        tab.wait_element("[data-testid=\"health\"] [data-healthy=\"true\"]", SHORT).await;
        let text = tab.eval("document.querySelector('[data-testid=\"health\"]').innerText").await;
        let text = text.as_str().expect("text").to_owned();
        for part in ["Held by 1 of 1 node", "holds it, 30 days more", "connected with", "Tabs helped"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        page.press(&shown.info_hash, "replant").await;
        ask::eventually("the lease is renewed by the same planter", SHORT, async || {
            let after = receipts().await;
            after.len() == 1 && after[0].issued > before[0].issued && after[0].planter == before[0].planter
        })
        .await;
        page.press(&shown.info_hash, "unplant").await;
        ask::eventually("nobody holds it any more", SHORT, async || {
            ask::metric(&node, "planted_torrents").await == Some(0)
        })
        .await;
    })
    .await;
}
