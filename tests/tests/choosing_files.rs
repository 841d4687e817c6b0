//! What of a torrent is fetched, and in which order, is a person's choice: before it starts and while it runs.
//!
//! Not the picking itself, which the engine's own tests judge.

use anatomic_tests::prelude::*;

/// A planted folder of `count` files of `length` bytes each, seeded by Transmission at `kib` KiB/s.
struct Folder {
    _node: Anatomic,
    seed: Transmission,
    info_hash: String,
    link: String,
    url: String,
    digests: Vec<String>,
}

async fn folder(s: &Scene, count: u64, length: u64, kib: u32) -> Folder {
    let node = Anatomic::up(s).await;
    let home = s.folder("content");
    let digests = (0..count)
        .map(|number| content::file(&home.join(format!("set/{number}.bin")), 80 + number, length))
        .collect();
    let torrent = torrent::make(&home.join("set"), &s.path("set.torrent"), &[&node.announce()], 64);
    let planted = node.plant(s, &torrent.path, &[]).await;
    let seed = Transmission::start(s, "transmission").await;
    seed.limit_upload(Some(kib)).await;
    seed.seed(&torrent, &home).await;
    let link = planted["link"].as_str().expect("a link").to_owned();
    Folder { seed, info_hash: torrent.info_hash, link, url: node.url(), digests, _node: node }
}

/// Whether each file is wanted, and the thousandths of it that are here.
async fn files(page: &Page, info_hash: &str) -> Vec<(bool, u64)> {
    let script = format!(
        "[...document.querySelectorAll('[data-info-hash=\"{info_hash}\"] [data-file]')]\
         .map(e => [e.dataset.wanted === 'true', +e.dataset.done])"
    );
    serde_json::from_value(page.tab().eval(&script).await).expect("pairs")
}

async fn tick(page: &Page, info_hash: &str, file: usize) {
    page.tab()
        .click(&format!("[data-info-hash=\"{info_hash}\"] [data-file=\"{file}\"] [data-testid=\"wanted\"]"))
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_fetched_before_the_choice_and_then_only_the_files_ticked() {
    scene::run(async |s| {
        let it = folder(s, 3, 2 * MIB, 50_000).await;
        let browser = Browser::launch(s, "browser").await;
        let page = Page::open(s, &browser, &it.url).await;
        page.tab().click("[data-testid=\"choose-first\"]").await;
        page.add(&it.link).await;
        let waits = |torrent: &anatomic_tests::page::Shown| torrent.state == "paused" && torrent.files == 3;
        page.wait("the choice", SHORT, waits).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(files(&page, &it.info_hash).await, [(true, 0); 3], "nothing came before the choice");

        page.press(&it.info_hash, "select-none").await;
        page.tab().wait_for("none", "!document.querySelector('[data-wanted=\"true\"]')", SHORT).await;
        tick(&page, &it.info_hash, 1).await;
        page.tab().wait_for("one", "!!document.querySelector('[data-wanted=\"true\"]')", SHORT).await;
        page.press(&it.info_hash, "start").await;
        page.wait_complete(&it.info_hash, TRANSFER).await;
        let shown = files(&page, &it.info_hash).await;
        assert_eq!(shown[1], (true, 1000), "{shown:?}");
        // Pieces on the borders belong to two files; all else of the others stays away.
        assert!(!shown[0].0 && shown[0].1 < 100 && !shown[2].0 && shown[2].1 < 100, "{shown:?}");
        let (_, saved) = page.save(&it.info_hash, 1, SHORT).await;
        assert_eq!(content::sha256(&saved), it.digests[1]);

        tick(&page, &it.info_hash, 2).await;
        let third = "document.querySelector('[data-file=\"2\"]').dataset.done === '1000'";
        page.tab().wait_for("the file ticked later", third, TRANSFER).await;
        let (_, saved) = page.save(&it.info_hash, 2, SHORT).await;
        assert_eq!(content::sha256(&saved), it.digests[2]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_unticked_while_it_downloads_is_left_out_also_after_a_reload() {
    scene::run(async |s| {
        let it = folder(s, 4, 4 * MIB, 1024).await;
        let browser = Browser::launch(s, "browser").await;
        let page = Page::open(s, &browser, &it.link).await;
        page.wait_progress(&it.info_hash, 0.01, TRANSFER).await;
        for file in [0, 3] {
            tick(&page, &it.info_hash, file).await;
        }
        page.tab()
            .wait_for(
                "two files left out",
                "document.querySelectorAll('[data-wanted=\"false\"]').length === 2",
                SHORT,
            )
            .await;
        tokio::time::sleep(Duration::from_millis(1500)).await;
        page.tab().reload().await;
        page.ready().await;
        it.seed.limit_upload(None).await;
        page.wait_complete(&it.info_hash, TRANSFER).await;
        let shown = files(&page, &it.info_hash).await;
        let wanted: Vec<bool> = shown.iter().map(|file| file.0).collect();
        assert_eq!(wanted, [false, true, true, false]);
        assert!(
            shown[1].1 == 1000 && shown[2].1 == 1000 && shown[0].1 < 1000 && shown[3].1 < 1000,
            "{shown:?}"
        );
        for file in [1, 2] {
            let (_, saved) = page.save(&it.info_hash, file, SHORT).await;
            assert_eq!(content::sha256(&saved), it.digests[file]);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_order_the_first_file_is_here_before_the_last_has_begun() {
    scene::run(async |s| {
        let it = folder(s, 4, 4 * MIB, 2048).await;
        let browser = Browser::launch(s, "browser").await;
        let page = Page::open(s, &browser, &it.url).await;
        page.tab().click("[data-testid=\"choose-first\"]").await;
        page.add(&it.link).await;
        page.wait("the choice", SHORT, |torrent| torrent.state == "paused" && torrent.files == 4).await;
        page.press(&it.info_hash, "order").await;
        page.press(&it.info_hash, "start").await;
        page.wait_progress(&it.info_hash, 0.4, TRANSFER).await;
        let shown = files(&page, &it.info_hash).await;
        assert!(shown[0].1 == 1000 && shown[3].1 < 10, "{shown:?}");
        assert_eq!(page.tab().eval("document.querySelector('[data-testid=\"order\"]').checked").await, true);
    })
    .await;
}
