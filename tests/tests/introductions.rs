//! Peers introduce their peers when no tracker is left: those who never met at one become connected, and the one who knew
//! both leaves.
//!
//! Each tracker here is the reference tracker, which is no node and has no receipts, so nobody finds another by any other
//! way. The seed is at one, the newcomer at another that starts its part when the first is dead, and only the introducer was
//! at both.

use anatomic_tests::prelude::*;

const LENGTH: u64 = 12 * MIB;
/// Bytes a second that seed and introducer send: slow enough that the newcomer still lacks most when it is introduced.
const LIMIT: &str = "250";

/// A page's link to the torrent by these trackers alone.
fn link(host: &Anatomic, info_hash: &str, trackers: &[&Tracker]) -> String {
    let trackers: Vec<String> = trackers
        .iter()
        .map(|tracker| format!("&tr={}", tracker.websocket().replace(':', "%3A").replace('/', "%2F")))
        .collect();
    format!("{}#magnet:?xt=urn:btih:{info_hash}{}", host.url(), trackers.concat())
}

/// The tracker that dies first, the other, and the page's host.
async fn places(s: &Scene) -> (Tracker, Tracker, Anatomic) {
    let often = Duration::from_secs(5);
    let first = Tracker::start(s, "first-tracker", often).await;
    (first, Tracker::start(s, "second-tracker", often).await, Anatomic::up(s).await)
}

/// A torrent of `i.bin` with that tracker for browsers alone.
async fn make(s: &Scene, tracker: &Tracker) -> Torrent {
    let (content, out) = (s.path("i.bin").display().to_string(), s.path("i.torrent"));
    let (path, tracker) = (out.display().to_string(), tracker.websocket());
    let args = ["create", &content, "-o", &path, "--tracker", &tracker, "--piece-length", "64K", "--json"];
    let _ = anatomic::run(s, "create", &args).await.success();
    torrent::open(&out)
}

/// Limits what a page sends.
async fn slow_down(page: &Page) {
    let set = format!(
        "(() => {{ const field = document.querySelectorAll('.settings input')[1]; field.value = '{LIMIT}';
         field.dispatchEvent(new Event('change', {{ bubbles: true }})); return field.value; }})()"
    );
    assert_eq!(page.tab().eval(&set).await, LIMIT);
}

/// Waits until a page is connected with so many others by data channels.
async fn wait_direct(page: &Page, what: &str, count: usize) {
    // Introductions are asked for after 10 s, then 20, 40 and 80 s: the first ones may be lost.
    let shown = page.wait(what, TRANSFER, |torrent| torrent.peers == vec!["webrtc"; count]).await;
    assert!(shown.progress < 0.9, "the transfer is still under way: {shown:?}");
}

/// The newcomer goes on alone with the seed to the end.
async fn finish(newcomer: &Page, info_hash: &str, digest: &str) {
    newcomer.wait_complete(info_hash, TRANSFER).await;
    let (_, saved) = newcomer.save(info_hash, 0, SHORT).await;
    assert_eq!(content::sha256(&saved), digest);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tab_is_introduced_to_a_native_seed_when_trackers_and_nodes_are_gone() {
    scene::run(async |s| {
        let (first, second, mut host) = places(s).await;
        let digest = content::file(&s.path("i.bin"), 91, LENGTH);
        let torrent = make(s, &first).await;
        let (path, from) = (torrent.path.display().to_string(), s.dir().display().to_string());
        let (listen, limit) = (format!("{}:0", ports::address()), format!("{LIMIT}k"));
        let args = ["seed", &path, "--from", &from, "--listen", &listen, "--upload-limit", &limit, "--json"];
        let _seed = anatomic::start(s, "seed", &args);

        let browser = Browser::launch(s, "browser").await;
        let between =
            Page::open_apart(s, &browser, &link(&host, &torrent.info_hash, &[&first, &second])).await;
        slow_down(&between).await;
        wait_direct(&between, "the native seed", 1).await;
        drop(first);
        let newcomer = Page::open_apart(s, &browser, &link(&host, &torrent.info_hash, &[&second])).await;
        wait_direct(&newcomer, "the other tab", 1).await;
        drop(second);
        host.process().kill().await;

        wait_direct(&newcomer, "the seed, by introduction", 2).await;
        between.tab().clone().close().await;
        wait_direct(&newcomer, "the seed alone", 1).await;
        finish(&newcomer, &torrent.info_hash, &digest).await;
    })
    .await;
}

/// Three tabs of three profiles; what is alive when the newcomer is introduced, besides them.
async fn three_tabs(s: &Scene, rest: Rest) {
    let (first, second, mut host) = places(s).await;
    let digest = content::file(&s.path("i.bin"), 92, LENGTH);
    let torrent = make(s, &first).await;
    let (path, from) = (torrent.path.display().to_string(), s.dir().display().to_string());
    let listen = format!("{}:0", ports::address());
    let origin = anatomic::start(s, "seed", &["seed", &path, "--from", &from, "--listen", &listen, "--json"]);

    let (one, two, three) =
        (Browser::launch(s, "one").await, Browser::launch(s, "two").await, Browser::launch(s, "three").await);
    let seed = Page::open(s, &one, &link(&host, &torrent.info_hash, &[&first])).await;
    slow_down(&seed).await;
    seed.wait_complete(&torrent.info_hash, TRANSFER).await;
    // From here on the only copy is in a tab.
    drop(origin);
    let between = Page::open(s, &two, &link(&host, &torrent.info_hash, &[&first, &second])).await;
    slow_down(&between).await;
    wait_direct(&between, "the tab that seeds", 1).await;
    drop(first);
    let newcomer = Page::open(s, &three, &link(&host, &torrent.info_hash, &[&second])).await;
    if rest == Rest::Nobody {
        // Ten seconds pass until the newcomer asks: what tabs describe then has nothing but mDNS names.
        host.process().kill().await;
    }
    wait_direct(&newcomer, "the other tab", 1).await;
    drop(second);
    if rest == Rest::Host {
        let tracked = ask::metric(&host, "planted_torrents").await;
        assert_eq!(tracked, Some(0), "the page's host tracks nothing: it answers STUN and no more");
    }

    wait_direct(&newcomer, "the tab that seeds, by introduction", 2).await;
    two.kill().await;
    wait_direct(&newcomer, "the tab that seeds alone", 1).await;
    finish(&newcomer, &torrent.info_hash, &digest).await;
}

/// What is alive besides the tabs.
#[derive(PartialEq, Eq)]
enum Rest {
    /// The page's host, which tracks nothing.
    Host,
    /// Nothing: then the browsers find each other by multicast, so within one network.
    Nobody,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tab_is_introduced_to_a_tab_when_no_tracker_is_left() {
    scene::run(async |s| three_tabs(s, Rest::Host).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tab_is_introduced_to_a_tab_when_nothing_else_is_left() {
    scene::run(async |s| three_tabs(s, Rest::Nobody).await).await;
}
