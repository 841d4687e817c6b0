//! Clients that take only encrypted connections (MSE): each finds its way to and from ours.
//!
//! The handshake itself, byte for byte, is tested beside its machine (`shared/wire/src/mse`).

use anatomic_tests::libtorrent::{Setup, Transport};
use anatomic_tests::prelude::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn get_downloads_from_a_seed_that_insists_on_encryption() {
    scene::run(async |s| {
        let node = Anatomic::up(s).await;
        let home = s.folder("content");
        let digest = content::file(&home.join("e.bin"), 91, 24 * MIB + 1);
        let torrent = torrent::make(&home.join("e.bin"), &s.path("e.torrent"), &[&node.announce()], 256);
        node.plant(s, &torrent.path, &[]).await;
        let setup = Setup { encrypted: true, ..Setup::default() };
        let path = torrent.path.display().to_string();
        for (name, transport) in [("tcp", Transport::Tcp), ("utp", Transport::Utp)] {
            let _seed = libtorrent::seed_with(s, name, &torrent.path, &home, transport, &[], &setup).await;
            let into = s.folder(&format!("into-{name}"));
            let to = into.display().to_string();
            let args = ["get", &path, "-o", &to, "--no-seed"];
            let _ = anatomic::run_within(s, "get", &args, TRANSFER).await.success();
            assert_eq!(content::sha256(&into.join("e.bin")), digest, "over {name}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn aria2_downloads_what_seed_seeds_though_it_insists_on_encryption() {
    scene::run(async |s| {
        let node = Anatomic::up(s).await;
        let home = s.folder("content");
        let digest = content::file(&home.join("a.bin"), 92, 24 * MIB + 1);
        let torrent = torrent::make(&home.join("a.bin"), &s.path("a.torrent"), &[&node.announce()], 256);
        node.plant(s, &torrent.path, &[]).await;
        let (path, from) = (torrent.path.display().to_string(), home.display().to_string());
        let _seed = anatomic::start(s, "seed", &["seed", &path, "--from", &from]);
        let into = s.folder("aria2");
        let options = ["--bt-require-crypto=true", "--bt-min-crypto-level=arc4"];
        let mut aria2 = aria2::start(s, "aria2", &path, &into, &options);
        let status = aria2.wait(TRANSFER).await;
        assert!(status.success(), "{status}\n{}", aria2.log().tail());
        assert_eq!(content::sha256(&into.join("a.bin")), digest);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transmission_downloads_from_a_tab_though_it_insists_on_encryption() {
    scene::run(async |s| {
        let node = Anatomic::up(s).await;
        let digest = content::file(&s.path("tab.bin"), 93, 24 * MIB + 1);
        let browser = Browser::launch(s, "browser").await;
        let page = Page::open(s, &browser, &node.url()).await;
        page.give(&[&s.path("tab.bin")]).await;
        let shown = page.wait_planted(SHORT).await;
        let leech = Transmission::start_with(s, "transmission", json!({ "encryption": 2 })).await;
        leech.limit_download(Some(8192)).await;
        leech.add(torrent::magnet_of(&shown.link)).await;
        // It never dials a loopback address: the node did, plainly first.
        leech.wait_peer(&shown.info_hash, TRANSFER, |peer| peer["isEncrypted"] == true).await;
        leech.limit_download(None).await;
        leech.wait_complete(&shown.info_hash, TRANSFER).await;
        assert_eq!(content::sha256(&leech.downloads().join("tab.bin")), digest);
    })
    .await;
}
