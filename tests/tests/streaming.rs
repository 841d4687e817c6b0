//! A file plays and seeks while it is still downloading.
//!
//! Sound that the test makes by itself, and a small film of our own whose left half is red for 20 seconds, then blue, so
//! that what is on the screen says which part is shown.

use anatomic_tests::prelude::*;
use std::io::Write as _;
use std::path::Path;

/// Samples a second, two channels of 16 bits each.
const RATE: u32 = 44_100;

/// Writes `seconds` of a rising tone as WAV; returns its length in bytes.
fn tone(path: &Path, seconds: u32) -> u64 {
    let data = RATE * 4 * seconds;
    let mut bytes = Vec::with_capacity(data as usize + 44);
    bytes.extend(b"RIFF");
    bytes.extend((data + 36).to_le_bytes());
    bytes.extend(b"WAVEfmt ");
    bytes.extend(16u32.to_le_bytes());
    for word in [1u16, 2] {
        bytes.extend(word.to_le_bytes());
    }
    bytes.extend(RATE.to_le_bytes());
    bytes.extend((RATE * 4).to_le_bytes());
    for word in [4u16, 16] {
        bytes.extend(word.to_le_bytes());
    }
    bytes.extend(b"data");
    bytes.extend(data.to_le_bytes());
    let mut phase = 0.0f64;
    for sample in 0..RATE * seconds {
        phase += (200.0 + f64::from(sample) / 4000.0) / f64::from(RATE);
        let value = ((phase * std::f64::consts::TAU).sin() * 12_000.0) as i16;
        bytes.extend(value.to_le_bytes());
        bytes.extend((value / 2).to_le_bytes());
    }
    std::fs::File::create(path).expect("a file").write_all(&bytes).expect("space");
    bytes.len() as u64
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_plays_and_seeks_while_it_is_still_coming() {
    scene::run(async |s| {
        let file = s.folder("content").join("tone.wav");
        let length = tone(&file, 240);
        // Six times as fast as it plays: the whole takes 40 s.
        let it = Slow::start(s, &file, 64, 1024).await;
        let browser = Browser::launch(s, "browser").await;
        let page = Page::open(s, &browser, &it.link).await;
        let hash = &it.torrent.info_hash;
        page.wait_progress(hash, 0.005, TRANSFER).await;
        page.press(hash, "play").await;
        let player = "document.querySelector('[data-testid=\"player\"]')";
        page.tab().wait_for("sound", &format!("{player}?.currentTime > 1"), SHORT).await;
        let shown = page.torrent(hash).await.expect("it is shown");
        assert!(shown.progress < 0.6, "it plays long before it is complete: {shown:?}");

        // Near the end, where rarest-first had no reason to be: the reader's place comes before all else.
        let before = tokio::time::Instant::now();
        page.tab().eval(&format!("{player}.currentTime = 220")).await;
        page.tab().wait_for("sound after the seek", &format!("{player}.currentTime > 220.5"), SHORT).await;
        let shown = page.torrent(hash).await.expect("it is shown");
        assert!(shown.progress < 0.8, "the seek did not wait for the rest: {shown:?}");
        assert!(before.elapsed() < Duration::from_secs(10), "the seek took {:?}", before.elapsed());

        it.seed.limit_upload(None).await;
        page.wait_complete(hash, TRANSFER).await;
        let (_, saved) = page.save(hash, 0, SHORT).await;
        assert_eq!(saved.metadata().expect("a file").len(), length);
        assert_eq!(content::sha256(&saved), it.digest);
    })
    .await;
}

/// Made with ffmpeg: VP8, 192 by 108, a key frame every 2 s, its index of places at the front. Between its clusters are
/// empty elements (`Void`) of 256 KiB, whose zeros are left out of the file that is kept.
const FILM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/video/red_then_blue.webm");
/// The head of such an element (RFC 8794): its id, and its length in eight bytes.
const VOID: [u8; 9] = [0xEC, 0x01, 0, 0, 0, 0, 0x04, 0, 0];

/// Writes the film with its zeros; returns its length.
fn film(path: &Path) -> u64 {
    let kept = std::fs::read(FILM).expect("the film");
    let mut whole = Vec::new();
    let mut rest = kept.as_slice();
    while let Some(at) = rest.windows(VOID.len()).position(|bytes| bytes == VOID) {
        let (before, after) = rest.split_at(at + VOID.len());
        whole.extend_from_slice(before);
        whole.resize(whole.len() + 256 * 1024, 0);
        rest = after;
    }
    whole.extend_from_slice(rest);
    std::fs::write(path, &whole).expect("space");
    whole.len() as u64
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_film_is_seen_and_seeks_while_it_is_still_coming() {
    scene::run(async |s| {
        let node = Anatomic::up(s).await;
        let home = s.folder("content");
        assert!(film(&home.join("film.webm")) > 5_000_000);
        let torrent = torrent::make(&home.join("film.webm"), &s.path("t.torrent"), &[&node.announce()], 64);
        let planted = node.plant(s, &torrent.path, &[]).await;
        let seed = Transmission::start(s, "transmission").await;
        // Twice as fast as it plays: the whole takes 20 s or so.
        seed.limit_upload(Some(256)).await;
        seed.seed(&torrent, &home).await;
        let browser = Browser::launch(s, "browser").await;
        let page = Page::open(s, &browser, planted["link"].as_str().expect("a link")).await;
        let (hash, tab) = (&torrent.info_hash, page.tab());
        tab.wait_for("the service worker", "navigator.serviceWorker.controller !== null", SHORT).await;
        // Red and blue of a place in the left half of what the film shows now.
        let colour = "(v => { if (!v || v.readyState < 2) return null;
            const c = Object.assign(document.createElement('canvas'), { width: 192, height: 108 }).getContext('2d');
            c.drawImage(v, 0, 0, 192, 108); const p = c.getImageData(40, 54, 1, 1).data; return [p[0], p[2]];
        })(document.querySelector('video[data-testid=\"player\"]'))";
        page.press(hash, "play").await;
        let player = "document.querySelector('video[data-testid=\"player\"]')";
        tab.wait_for("pictures", &format!("{player}?.currentTime > 0.5"), SHORT).await;
        let red = tab.wait_for("the first half", colour, SHORT).await;
        assert!(red[0].as_u64() > Some(200) && red[1].as_u64() < Some(60), "it begins red: {red}");
        let shown = page.torrent(hash).await.expect("it is shown");
        assert!(shown.progress < 0.9, "it plays before it is complete: {shown:?}");

        tab.eval(&format!("{player}.currentTime = 36")).await;
        tab.wait_for("pictures after the seek", &format!("{player}.currentTime > 36.3"), SHORT).await;
        let blue = tab.wait_for("the second half", colour, SHORT).await;
        assert!(blue[0].as_u64() < Some(60) && blue[1].as_u64() > Some(200), "it ends blue: {blue}");
        let shown = page.torrent(hash).await.expect("it is shown");
        assert!(shown.progress < 1.0, "the seek did not wait for the rest: {shown:?}");
        let frames = tab.eval(&format!("{player}.getVideoPlaybackQuality().totalVideoFrames")).await;
        assert!(frames.as_u64() > Some(5), "frames shown: {frames}");

        seed.limit_upload(None).await;
        page.wait_complete(hash, TRANSFER).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_can_be_saved_while_it_is_still_coming() {
    scene::run(async |s| {
        let file = s.folder("content").join("d.bin");
        content::file(&file, 90, 16 * MIB);
        let it = Slow::start(s, &file, 64, 2048).await;
        let browser = Browser::launch(s, "browser").await;
        let page = Page::open(s, &browser, &it.link).await;
        let controlled = "navigator.serviceWorker.controller !== null";
        page.tab().wait_for("the service worker", controlled, SHORT).await;
        let shown = page.wait_progress(&it.torrent.info_hash, 0.05, TRANSFER).await;
        assert!(shown.progress < 0.9, "it is still coming: {shown:?}");
        let (name, saved) = page.save(&it.torrent.info_hash, 0, TRANSFER).await;
        assert_eq!((name.as_str(), content::sha256(&saved)), ("d.bin", it.digest));
    })
    .await;
}
