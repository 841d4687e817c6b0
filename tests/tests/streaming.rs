//! A file plays and seeks while it is still downloading.
//!
//! Sound, because a test can make it by itself: the path of its bytes is that of pictures and of everything saved.

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
        let node = Anatomic::up(s).await;
        let home = s.folder("content");
        let length = tone(&home.join("tone.wav"), 240);
        let torrent = torrent::make(&home.join("tone.wav"), &s.path("t.torrent"), &[&node.announce()], 64);
        let planted = node.plant(s, &torrent.path, &[]).await;
        let seed = Transmission::start(s, "transmission").await;
        // Six times as fast as it plays: the whole takes 40 s.
        seed.limit_upload(Some(1024)).await;
        seed.seed(&torrent, &home).await;
        let browser = Browser::launch(s, "browser").await;
        let page = Page::open(s, &browser, planted["link"].as_str().expect("a link")).await;
        let hash = &torrent.info_hash;
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

        seed.limit_upload(None).await;
        page.wait_complete(hash, TRANSFER).await;
        let (_, saved) = page.save(hash, 0, SHORT).await;
        assert_eq!(saved.metadata().expect("a file").len(), length);
        assert_eq!(content::sha256(&saved), content::sha256(&home.join("tone.wav")));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_can_be_saved_while_it_is_still_coming() {
    scene::run(async |s| {
        let node = Anatomic::up(s).await;
        let home = s.folder("content");
        let digest = content::file(&home.join("d.bin"), 90, 16 * MIB);
        let torrent = torrent::make(&home.join("d.bin"), &s.path("d.torrent"), &[&node.announce()], 64);
        let planted = node.plant(s, &torrent.path, &[]).await;
        let seed = Transmission::start(s, "transmission").await;
        seed.limit_upload(Some(2048)).await;
        seed.seed(&torrent, &home).await;
        let browser = Browser::launch(s, "browser").await;
        let page = Page::open(s, &browser, planted["link"].as_str().expect("a link")).await;
        let controlled = "navigator.serviceWorker.controller !== null";
        page.tab().wait_for("the service worker", controlled, SHORT).await;
        let shown = page.wait_progress(&torrent.info_hash, 0.05, TRANSFER).await;
        assert!(shown.progress < 0.9, "it is still coming: {shown:?}");
        let (name, saved) = page.save(&torrent.info_hash, 0, TRANSFER).await;
        assert_eq!((name.as_str(), content::sha256(&saved)), ("d.bin", digest));
    })
    .await;
}
