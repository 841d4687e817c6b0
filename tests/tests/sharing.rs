//! What a person drops on the page becomes a torrent with its folders, and a link to pass on in every way.
//!
//! How it then travels to classic clients: `tab_seeds.rs`.

use anatomic_tests::prelude::*;
use std::collections::BTreeMap;
use std::path::Path;

/// The files below `dir`, by path, with their digests.
fn tree(dir: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![dir.to_path_buf()];
    while let Some(folder) = waiting.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                waiting.push(path);
            } else {
                let name = path.strip_prefix(dir).expect("below").to_string_lossy().into_owned();
                found.insert(name, content::sha256(&path));
            }
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_folder_keeps_its_paths_and_leaves_out_what_systems_put_there() {
    scene::run(async |s| {
        let node = Anatomic::up(s).await;
        let home = s.folder("home/holiday");
        for (number, path) in ["a.bin", "day 1/b.bin", "day 1/späße/c.bin", "z/.hidden"].iter().enumerate()
        {
            content::file(&home.join(path), 60 + number as u64, 100_000 + number as u64);
        }
        let wanted = tree(&home);
        for litter in [".DS_Store", "day 1/Thumbs.db", "day 1/._b.bin", "__MACOSX/x.bin", "z/desktop.ini"] {
            content::file(&home.join(litter), 70, 4_000);
        }
        let browser = Browser::launch(s, "browser").await;
        let page = Page::open(s, &browser, &node.url()).await;
        page.tab().drop_files(&[&home]).await;
        let shown = page.wait_planted(TRANSFER).await;
        assert_eq!(shown.files, wanted.len() as u64, "{shown:?}");

        let out = s.folder("out");
        let args = ["get", &shown.link, "-o", out.to_str().expect("a path"), "--no-seed"];
        let _ = anatomic::run(s, "get", &args).await.success();
        assert_eq!(tree(&out.join("holiday")), wanted);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_is_copied_and_shown_as_a_qr_code_that_says_the_same() {
    scene::run(async |s| {
        let node = Anatomic::up(s).await;
        let file = s.path("q.bin");
        content::file(&file, 61, 50_000);
        let browser = Browser::launch(s, "browser").await;
        let page = Page::open(s, &browser, &node.url()).await;
        page.give(&[&file]).await;
        let shown = page.wait_planted(TRANSFER).await;

        page.tab().allow_clipboard().await;
        page.press(&shown.info_hash, "copy-link").await;
        let copied = page.tab().wait_for("a copy", "navigator.clipboard.readText()", SHORT).await;
        assert_eq!(copied.as_str(), Some(shown.link.as_str()));

        page.press(&shown.info_hash, "qr").await;
        page.tab().wait_element("[data-testid=\"qr-code\"]", SHORT).await;
        let picture = page.tab().eval(PIXELS).await;
        let side = picture["side"].as_u64().expect("a number") as usize;
        let grey = picture["grey"].as_str().expect("a picture").as_bytes().to_vec();
        assert_eq!(grey.len(), side * side);
        let mut prepared = rqrr::PreparedImage::prepare_from_greyscale(side, side, |x, y| {
            if grey[y * side + x] == b'0' { 0 } else { 255 }
        });
        let grids = prepared.detect_grids();
        let (_, text) = grids.first().expect("a QR code is seen").decode().expect("it is readable");
        assert_eq!(text, shown.link);
    })
    .await;
}

/// Draws the code as a camera would see it, and gives it pixel by pixel: `0` dark, `1` light.
const PIXELS: &str = "(async () => {
    const svg = document.querySelector('[data-testid=\"qr-code\"]').cloneNode(true);
    const side = svg.viewBox.baseVal.width * 4;
    svg.setAttribute('xmlns', 'http://www.w3.org/2000/svg');
    svg.setAttribute('width', side);
    svg.setAttribute('height', side);
    const image = new Image();
    image.src = 'data:image/svg+xml,' + encodeURIComponent(svg.outerHTML);
    await image.decode();
    const canvas = new OffscreenCanvas(side, side);
    const context = canvas.getContext('2d');
    context.drawImage(image, 0, 0);
    const data = context.getImageData(0, 0, side, side).data;
    let grey = '';
    for (let at = 0; at < data.length; at += 4) grey += data[at] < 128 ? '0' : '1';
    return { side, grey };
})()";
