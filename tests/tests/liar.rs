//! A peer that sends bad blocks is found out, banned, and does not stop the download.
//!
//! Loopback gives every peer the same address, so what is judged is this peer's fate, not its address's.

use anatomic_tests::liar::{Liar, Shares};
use anatomic_tests::prelude::*;

struct Stage {
    node: Anatomic,
    torrent: Torrent,
    link: String,
    digest: String,
    liar: Liar,
    _honest: Transmission,
}

const LENGTH: u64 = 32 * MIB + 777;
const PIECE_KIB: u32 = 256;

/// A planted torrent with an honest but slow seed and a liar.
async fn stage(s: &Scene, seed: u64, lie_every: u64) -> Stage {
    let node = Anatomic::up(s).await;
    let home = s.folder("content");
    let file = home.join("l.bin");
    let digest = content::file(&file, seed, LENGTH);
    let torrent = torrent::make(&file, &s.path("l.torrent"), &[&node.announce()], PIECE_KIB);
    let planted = node.plant(s, &torrent.path, &[]).await;
    let honest = Transmission::start(s, "honest").await;
    honest.limit_upload(Some(3072)).await;
    honest.seed(&torrent, &home).await;
    let shares = Shares {
        info_hash: torrent.info_hash.clone(),
        length: LENGTH,
        piece: u64::from(PIECE_KIB) * 1024,
        lie_every,
    };
    let liar = Liar::start(shares, &file, &node.announce()).await;
    // The tracker knows both before anybody downloads.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let link = planted["link"].as_str().expect("a link").to_owned();
    Stage { node, torrent, link, digest, liar, _honest: honest }
}

fn was_banned(liar: &Liar) {
    let (handshakes, blocks, lies, closed) = liar.counters().now();
    let counters = format!("{handshakes} handshakes, {blocks} blocks, {lies} lies, {closed} closed");
    assert!(lies > 0, "the liar was asked for something: {counters}");
    assert!(closed > 0, "the liar's connection was closed: {counters}");
    assert!(handshakes <= 3, "a banned peer is not dialled again: {counters}");
    let third = LENGTH / 16_384 / 3;
    assert!(blocks < third, "the liar was used for less than a third: {counters}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn get_bans_a_liar_and_still_completes() {
    scene::run(async |s| {
        let stage = stage(s, 91, 1).await;
        let into = s.folder("into");
        let out = into.display().to_string();
        let path = stage.torrent.path.display().to_string();
        let listen = format!("{}:0", ports::address());
        let args = ["get", &path, "-o", &out, "--no-seed", "--listen", &listen];
        let ended = anatomic::run_within(s, "get", &args, TRANSFER).await;
        assert_eq!(ended.code, 0, "{ended:#?}");
        assert_eq!(content::sha256(&into.join("l.bin")), stage.digest);
        was_banned(&stage.liar);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_node_bans_a_liar_and_the_tab_still_completes() {
    scene::run(async |s| {
        let stage = stage(s, 92, 1).await;
        let browser = Browser::launch(s, "browser").await;
        let page = Page::open(s, &browser, &stage.link).await;
        page.wait_complete(&stage.torrent.info_hash, TRANSFER).await;
        let (_, saved) = page.save(&stage.torrent.info_hash, 0, SHORT).await;
        assert_eq!(content::sha256(&saved), stage.digest);
        was_banned(&stage.liar);
        drop(stage.node);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_lies_now_and_then_is_found_out_too() {
    scene::run(async |s| {
        let stage = stage(s, 93, 40).await;
        let into = s.folder("into");
        let (path, out) = (stage.torrent.path.display().to_string(), into.display().to_string());
        let listen = format!("{}:0", ports::address());
        let args = ["get", &path, "-o", &out, "--no-seed", "--listen", &listen];
        let ended = anatomic::run_within(s, "get", &args, TRANSFER).await;
        assert_eq!(ended.code, 0, "{ended:#?}");
        assert_eq!(content::sha256(&into.join("l.bin")), stage.digest);
        let (_, _, lies, _) = stage.liar.counters().now();
        assert!(lies > 0, "it lied at least once");
    })
    .await;
}
