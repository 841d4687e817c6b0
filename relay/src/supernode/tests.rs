//! Rules of the supernode's index.

use super::*;
use anatomic_mesh::api::{Announce, TorrentFile};
use anatomic_mesh::{Identity, Listing};
use std::path::PathBuf;

struct Bed {
    folder: PathBuf,
    supernode: Arc<Supernode>,
}

impl Bed {
    async fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("anatomic-supernode-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        let index = Index::open(&folder.join("index.sqlite")).await.unwrap();
        let key = Identity::from_seed([50; 32]).key();
        let supernode = Supernode::new(index, key, "http://s".into(), Policy::PrivateNetwork, 1);
        Self { folder, supernode }
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn node(number: u8) -> (Identity, NodeEntry) {
    let identity = Identity::from_seed([number; 32]);
    let url = format!("http://127.0.0.{number}");
    let entry = NodeEntry {
        key: identity.key(),
        url: url.clone(),
        announce: Announce { http: Some(format!("{url}/announce")), udp: None, websocket: None },
        tcp: None,
        stun: None,
        planting: Planting::Open,
        free: None,
        seen: None,
    };
    (identity, entry)
}

fn torrent() -> Metainfo {
    let info = format!("d6:lengthi5e4:name1:a12:piece lengthi16384e6:pieces20:{}e", "h".repeat(20));
    Metainfo::from_info(info.into(), Vec::new(), Vec::new()).unwrap()
}

fn receipt(node: &Identity, url: &str, info_hash: InfoHash, lease: u64) -> Signed<Receipt> {
    let now = clock::now();
    let receipt = Receipt {
        info_hash,
        info_hash_v2: None,
        node: node.key(),
        url: url.into(),
        planter: Identity::from_seed([99; 32]).key(),
        sisters: vec![],
        listing: Listing::Listed,
        issued: now,
        expires: now.plus(lease),
    };
    Signed::new(receipt, node).unwrap()
}

fn handover(receipts: Vec<Signed<Receipt>>, torrent: Option<&Metainfo>) -> Handover {
    Handover {
        receipts,
        torrent: torrent.map(|torrent| TorrentFile(torrent.to_torrent())),
        name: Some("claimed".into()),
        length: None,
        listing: Listing::Listed,
    }
}

#[tokio::test]
async fn what_receipts_prove_is_found_redirected_and_survives_a_restart() {
    let bed = Bed::new("found").await;
    let (identity, entry) = node(1);
    bed.supernode.list(&entry).await.unwrap();
    let torrent = torrent();
    let hash = torrent.info_hash();
    assert_eq!(bed.supernode.redirect(&hash, None).await.unwrap(), None);
    let given = receipt(&identity, &entry.url, hash, 1_000);
    let indexed = bed.supernode.hand_over(handover(vec![given], Some(&torrent))).await.unwrap();
    assert_eq!((indexed.accepted, indexed.refused), (1, vec![]));

    let again = Index::open(&bed.folder.join("index.sqlite")).await.unwrap();
    let supernode = Supernode::new(again, entry.key, "http://s".into(), Policy::PrivateNetwork, 1);
    let lookup = supernode.lookup(&hash).await.unwrap().unwrap();
    assert_eq!((lookup.name.as_deref(), lookup.length, lookup.files), (Some("a"), Some(5), Some(1)));
    assert!(lookup.magnet.contains("x.sn=http%3A%2F%2Fs"), "{}", lookup.magnet);
    assert_eq!(supernode.redirect(&hash, None).await.unwrap().as_deref(), Some("http://127.0.0.1/announce"));
    assert_eq!(supernode.redirect(&hash, Some(entry.key)).await.unwrap(), None, "nobody is sent in a circle");
    let file = Metainfo::from_torrent(&supernode.torrent_file(&hash).await.unwrap().unwrap()).unwrap();
    assert_eq!((file.info_hash(), file.is_planted()), (hash, true));
}

#[tokio::test]
async fn a_receipt_of_a_node_that_does_not_answer_or_has_another_address_moves_nobody() {
    let bed = Bed::new("unknown").await;
    let hash = InfoHash([7; 20]);
    let (stranger, _) = node(2);
    let nowhere = receipt(&stranger, "http://127.0.0.1:1", hash, 1_000);
    assert!(bed.supernode.hand_over(handover(vec![nowhere.clone()], None)).await.is_err());

    let (known, entry) = node(1);
    bed.supernode.list(&entry).await.unwrap();
    let elsewhere = receipt(&known, "http://127.0.0.9", hash, 1_000);
    assert!(bed.supernode.hand_over(handover(vec![elsewhere], None)).await.is_err());
    let good = receipt(&known, &entry.url, hash, 1_000);
    let indexed = bed.supernode.hand_over(handover(vec![nowhere, good], None)).await.unwrap();
    assert_eq!((indexed.accepted, indexed.refused.len(), indexed.refused[0].at), (1, 1, 0));
}

#[tokio::test]
async fn a_lease_that_ended_is_forgotten() {
    let bed = Bed::new("lease").await;
    let (identity, entry) = node(1);
    bed.supernode.list(&entry).await.unwrap();
    let hash = InfoHash([7; 20]);
    let short = receipt(&identity, &entry.url, hash, 1);
    bed.supernode.hand_over(handover(vec![short], None)).await.unwrap();
    bed.supernode.index.prune(clock::now().plus(2)).await.unwrap();
    assert!(bed.supernode.lookup(&hash).await.unwrap().is_none());
    assert_eq!(bed.supernode.totals().await.unwrap(), (0, 1));
}

#[tokio::test]
async fn a_proven_name_is_not_replaced_by_a_claimed_one() {
    let bed = Bed::new("name").await;
    let (identity, entry) = node(1);
    bed.supernode.list(&entry).await.unwrap();
    let torrent = torrent();
    let hash = torrent.info_hash();
    for metainfo in [None, Some(&torrent), None] {
        let given = receipt(&identity, &entry.url, hash, 1_000);
        bed.supernode.hand_over(handover(vec![given], metainfo)).await.unwrap();
    }
    assert_eq!(bed.supernode.lookup(&hash).await.unwrap().unwrap().name.as_deref(), Some("a"));
}

#[tokio::test]
async fn only_living_nodes_that_take_torrents_are_offered() {
    let bed = Bed::new("offer").await;
    let (_, living) = node(1);
    bed.supernode.list(&living).await.unwrap();
    let (_, closed) = node(2);
    bed.supernode.list(&NodeEntry { planting: Planting::Off, ..closed }).await.unwrap();
    let (_, silent) = node(3);
    let long_ago = UnixTime(clock::now().0 - LIVING - 10);
    bed.supernode.index.put_node(&silent, long_ago).await.unwrap();
    let offer = bed.supernode.offer(8).await.unwrap();
    assert_eq!(offer.nodes.iter().map(|node| node.url.as_str()).collect::<Vec<_>>(), ["http://127.0.0.1"]);
    assert_eq!(offer.supernodes[0].url, "http://s");
}

#[tokio::test]
async fn strangers_cannot_make_a_public_supernode_look_inwards() {
    for url in [
        "http://127.0.0.1:1",
        "http://10.0.0.1",
        "http://[::1]",
        "http://localhost:1",
        "http://169.254.169.254",
    ] {
        let reason = visit::node(url, Policy::Public).await.unwrap_err();
        assert!(reason.contains("not in the network"), "{url}: {reason}");
    }
    for url in ["ftp://x", "http://a/b", "http://u@a", "nonsense", "http://a/?x", "http://127.0.0.1/"] {
        assert!(visit::node(url, Policy::PrivateNetwork).await.is_err(), "{url}");
    }
}
