//! The page without a mouse and without eyes: by keys alone, and as the browser tells it to assistive programs.
//!
//! Colours and contrasts are the style's; nobody can judge a voice here, only what it is given to say.

use anatomic_tests::accessibility::Node;
use anatomic_tests::prelude::*;

/// Roles that a person acts on; each must say what it is.
const CONTROLS: [&str; 10] = [
    "button",
    "checkbox",
    "textbox",
    "spinbutton",
    "link",
    "progressbar",
    "DisclosureTriangle",
    "dialog",
    "searchbox",
    "ProgressIndicator",
];

/// That every control has a name; a progress bar also a value.
fn check_names(tree: &[Node]) {
    let nameless: Vec<&Node> = tree
        .iter()
        .filter(|node| CONTROLS.contains(&node.role.as_str()) && node.name.trim().is_empty())
        .collect();
    assert!(nameless.is_empty(), "controls without a name: {nameless:#?}");
    for bar in tree.iter().filter(|node| node.role == "progressbar") {
        assert!(!bar.value.is_null(), "a progress bar says no value: {bar:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_download_from_its_link_to_its_removal_needs_no_mouse_and_is_told() {
    scene::run(async |s| {
        let node = Anatomic::up(s).await;
        let home = s.folder("content");
        for (number, length) in [(0, 700_000), (1, 900_000)] {
            content::file(&home.join(format!("pair/{number}.bin")), 95 + number, length);
        }
        let torrent = torrent::make(&home.join("pair"), &s.path("pair.torrent"), &[&node.announce()], 32);
        let planted = node.plant(s, &torrent.path, &[]).await;
        let link = planted["link"].as_str().expect("a link");
        let hash = &torrent.info_hash;
        let seed = Transmission::start(s, "transmission").await;
        seed.limit_upload(Some(64)).await;
        seed.seed(&torrent, &home).await;
        let browser = Browser::launch(s, "browser").await;
        let page = Page::open(s, &browser, &node.url()).await;
        let tab = page.tab();
        check_names(&tab.spoken().await);

        // What cannot be added is told at once.
        tab.key_to("Tab", "[data-testid=\"add-input\"]").await;
        tab.type_text("not a link").await;
        tab.key("Enter").await;
        let alert = |node: &Node| node.role == "alert";
        tab.wait_spoken("an alert", SHORT, alert).await;
        assert!(page.problems().await[0].contains("cannot be added"));

        // Added: the focus stays where a person typed.
        tab.type_text(link).await;
        tab.key("Enter").await;
        page.wait_progress(hash, 0.01, TRANSFER).await;
        assert_eq!(tab.focus().await.on, "add-input");
        let tree = tab.spoken().await;
        check_names(&tree);
        let bar = tree.iter().find(|node| node.role == "progressbar").expect("a progress bar");
        assert!(bar.name.contains("pair"), "it says whose progress it is: {bar:?}");

        // Paused and resumed: the button under the focus is the same one.
        tab.key_to("Tab", "[data-testid=\"pause\"]").await;
        tab.key("Enter").await;
        page.wait("a pause", SHORT, |torrent| torrent.state == "paused").await;
        assert_eq!(tab.focus().await.on, "resume");
        tab.key("Space").await;
        page.wait("it to go on", SHORT, |torrent| torrent.state == "downloading").await;
        assert_eq!(tab.focus().await.on, "pause");

        // A file is left out.
        tab.key_to("Tab", "[data-file=\"1\"] [data-testid=\"wanted\"]").await;
        tab.key("Space").await;
        tab.wait_element("[data-file=\"1\"][data-wanted=\"false\"]", SHORT).await;
        assert_eq!(tab.focus().await.on, "wanted");

        // Complete: told to who hears, without moving the focus.
        seed.limit_upload(None).await;
        page.wait_complete(hash, TRANSFER).await;
        let told = "[...document.querySelectorAll('[role=\"status\"]')].some(e => e.innerText.includes('pair is complete'))";
        tab.wait_for("completion to be told", told, SHORT).await;
        assert!(tab.focus().await.is_somewhere, "the focus is lost when it completes");
        let live = |node: &Node| node.properties.get("live").is_some_and(|live| live == "polite" || live == "assertive");
        assert!(tab.spoken().await.iter().any(live), "no live region");

        tab.key_to("Shift+Tab", "[data-file=\"0\"] [data-testid=\"save\"]").await;
        let (_, saved) = tab.saved_by(async { tab.key("Enter").await }, SHORT).await;
        assert_eq!(saved.metadata().expect("a file").len(), 700_000);

        // Removing asks first; Escape takes the question back, and the focus is where it was.
        tab.key_to("Shift+Tab", "[data-testid=\"remove\"]").await;
        tab.key("Enter").await;
        tab.wait_element("dialog[open]", SHORT).await;
        check_names(&tab.spoken().await);
        assert!(tab.focus().await.is_visible);
        tab.key("Escape").await;
        tab.wait_for("the question to go", "!document.querySelector('dialog[open]')", SHORT).await;
        assert_eq!(tab.focus().await.on, "remove");
        tab.key("Enter").await;
        tab.key_to("Tab", "[data-testid=\"remove-delete\"]").await;
        tab.key("Enter").await;
        tab.wait_for("it to go", "!document.querySelector('[data-info-hash]')", SHORT).await;
        let focus = tab.focus().await;
        assert!(focus.is_somewhere && focus.is_visible, "after the removal the focus is lost: {focus:?}");
        check_names(&tab.spoken().await);
    })
    .await;
}
