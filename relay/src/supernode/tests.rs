//! Rules of the supernode's index.

use super::*;
use crate::node::clock;
use anatomic_mesh::api::{Announce, FeedKind, Handover, Planting, TorrentFile, WithdrawRequest};
use anatomic_mesh::counts::{Counts, Peers, SwarmCount};
use anatomic_mesh::{Identity, Listing, Reach, Withdrawal};
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
        let supernode = Supernode::new(
            index,
            Identity::from_seed([50; 32]),
            "http://s".into(),
            Policy::PrivateNetwork,
            1,
        );
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
        claimed: None,
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
    let supernode =
        Supernode::new(again, Identity::from_seed([50; 32]), "http://s".into(), Policy::PrivateNetwork, 1);
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
    bed.supernode.index.put_node(&silent, "", long_ago).await.unwrap();
    let offer = bed.supernode.offer(8, &[], None).await.unwrap();
    assert_eq!(offer.nodes.iter().map(|node| node.url.as_str()).collect::<Vec<_>>(), ["http://127.0.0.1"]);
    assert_eq!(offer.supernodes[0].url, "http://s");
}

#[tokio::test]
async fn a_node_that_does_not_answer_is_offered_no_more_though_it_lived_a_moment_ago() {
    let bed = Bed::new("dead").await;
    let (_, living) = node(1);
    bed.supernode.list(&living).await.unwrap();
    let (_, dead) = node(2);
    let dead = NodeEntry { url: "http://127.0.0.1:1".into(), ..dead };
    let moments_ago = UnixTime(clock::now().0 - 30);
    bed.supernode.index.put_node(&dead, "", moments_ago).await.unwrap();
    for _ in 0..2 {
        let offer = bed.supernode.offer(8, &[], None).await.unwrap();
        assert_eq!(offer.nodes.iter().map(|node| node.key).collect::<Vec<_>>(), [living.key]);
    }
    assert!(bed.supernode.is_silent(&dead.url), "it is not asked each time");
    // One that is wanted is sought among all.
    let offer = bed.supernode.offer(1, &[], None).await.unwrap();
    assert_eq!(offer.nodes[0].key, living.key);
    let hash = InfoHash([9; 20]);
    let receipts =
        [(2, &dead), (1, &living)].map(|(number, entry)| receipt(&node(number).0, &entry.url, hash, 1_000));
    bed.supernode.hand_over(handover(receipts.to_vec(), None)).await.unwrap();
    for _ in 0..8 {
        let there = bed.supernode.redirect(&hash, None).await.unwrap();
        assert_eq!(there, living.announce.http, "nobody is sent there either");
    }
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
        let reason = visit::visit(url, Policy::Public).await.unwrap_err();
        assert!(reason.contains("not in the network"), "{url}: {reason}");
    }
    for url in ["ftp://x", "http://a/b", "http://u@a", "nonsense", "http://a/?x", "http://127.0.0.1/"] {
        assert!(visit::visit(url, Policy::PrivateNetwork).await.is_err(), "{url}");
    }
}

fn counts(
    node: &Identity,
    hash: InfoHash,
    seeds: u32,
    issued: UnixTime,
    seed_age: Option<u32>,
) -> Signed<Counts> {
    let swarm = SwarmCount {
        info_hash: hash,
        tabs: Peers { seeds: 0, leeches: 2 },
        classic: Peers { seeds, leeches: 0 },
        helped: 0,
        seed_age,
    };
    Signed::new(Counts { node: node.key(), issued, swarms: vec![swarm] }, node).unwrap()
}

/// Plants a torrent of that name on node 1.
async fn planted(bed: &Bed, hash: InfoHash, name: &str, listing: Listing) {
    planted_by(bed, &Identity::from_seed([99; 32]), clock::now(), hash, name, listing).await;
}

async fn planted_by(
    bed: &Bed,
    planter: &Identity,
    now: UnixTime,
    hash: InfoHash,
    name: &str,
    listing: Listing,
) {
    let (identity, entry) = node(1);
    let receipt = Receipt {
        info_hash: hash,
        info_hash_v2: None,
        node: identity.key(),
        url: entry.url,
        planter: planter.key(),
        sisters: vec![],
        listing,
        issued: now,
        claimed: None,
        expires: now.plus(1_000),
    };
    let receipts = vec![Signed::new(receipt, &identity).unwrap()];
    let handover = Handover { receipts, torrent: None, name: Some(name.into()), length: Some(7) };
    bed.supernode.hand_over(handover).await.unwrap();
}

async fn found(bed: &Bed, query: &str) -> Vec<String> {
    let found = bed.supernode.search(query, 10, 0).await.unwrap();
    found.hits.into_iter().map(|hit| hit.name.unwrap_or_default()).collect()
}

#[tokio::test]
async fn search_finds_by_all_words_the_last_proven_alive_first_and_drops_the_dead() {
    let bed = Bed::new("search").await;
    let (identity, entry) = node(1);
    bed.supernode.list(&entry).await.unwrap();
    for (byte, name) in [(1, "Blue Whale.iso"), (2, "whale songs"), (3, "blue whale (2)"), (4, "blue sky")] {
        planted(&bed, InfoHash([byte; 20]), name, Listing::Listed).await;
    }
    let now = clock::now();
    assert_eq!(found(&bed, "WHALE").await.len(), 3, "what waits for its first seed is shown");
    // The third has a seed now, the first had one an hour ago, the second four days ago.
    for (byte, ago) in [(3, 0), (1, 3_600), (2, 4 * 86_400)] {
        let counts = counts(&identity, InfoHash([byte; 20]), 1, now, Some(ago));
        bed.supernode.index.put_counts(&counts, now).await.unwrap();
    }
    assert_eq!(found(&bed, "whale").await, ["blue whale (2)", "Blue Whale.iso"]);
    assert_eq!(found(&bed, "blue whale").await, ["blue whale (2)", "Blue Whale.iso"]);
    assert_eq!(found(&bed, "blue").await, ["blue whale (2)", "Blue Whale.iso", "blue sky"]);
    assert!(found(&bed, "whal\" OR \"blue").await.is_empty());
    assert!(bed.supernode.search(" --- ", 10, 0).await.is_err());
    let hit = &bed.supernode.search("whale", 1, 0).await.unwrap();
    assert_eq!((hit.hits[0].classic.seeds, hit.hits[0].tabs.leeches, hit.more), (1, 2, true));
    assert!(hit.hits[0].seed_seen.unwrap() < 5);
}

#[tokio::test]
async fn an_unlisted_torrent_is_found_by_its_link_alone() {
    let bed = Bed::new("unlisted").await;
    let (identity, entry) = node(1);
    bed.supernode.list(&entry).await.unwrap();
    let hash = InfoHash([5; 20]);
    planted(&bed, hash, "secret garden", Listing::Unlisted).await;
    assert!(found(&bed, "garden").await.is_empty());
    assert!(bed.supernode.feed(0, 100).await.unwrap().entries.is_empty(), "nor is it passed on");
    assert!(bed.supernode.lookup(&hash).await.unwrap().is_some());
    assert!(bed.supernode.redirect(&hash, None).await.unwrap().is_some());
    let counts = counts(&identity, hash, 1, clock::now(), Some(0));
    assert_eq!(bed.supernode.index.put_counts(&counts, clock::now()).await.unwrap(), 0);
}

#[tokio::test]
async fn each_planter_hides_what_they_alone_planted_and_nobody_what_another_one_shows() {
    let bed = Bed::new("hiding").await;
    let (_, entry) = node(1);
    bed.supernode.list(&entry).await.unwrap();
    let (hash, now) = (InfoHash([5; 20]), clock::now());
    let [one, other] = [1, 2].map(|seed| Identity::from_seed([seed; 32]));
    let plant = async |planter: &Identity, later: u64, listing| {
        planted_by(&bed, planter, now.plus(later), hash, "secret garden", listing).await;
        found(&bed, "garden").await.len()
    };
    assert_eq!(plant(&one, 0, Listing::Listed).await, 1);
    assert_eq!(plant(&other, 0, Listing::Unlisted).await, 1, "a stranger does not hide it");
    assert_eq!(plant(&one, 1, Listing::Unlisted).await, 0, "its planter does");
    assert_eq!(plant(&one, 0, Listing::Listed).await, 0, "an old receipt brings nothing back");
    assert_eq!(plant(&other, 1, Listing::Listed).await, 1);
    let withdrawal = Withdrawal {
        info_hash: hash,
        node: entry.key,
        planter: other.key(),
        reach: Reach::Everywhere,
        issued: now.plus(2),
        at: None,
    };
    bed.supernode.index.withdraw(&Signed::new(withdrawal, &other).unwrap()).await.unwrap();
    assert_eq!(found(&bed, "garden").await.len(), 0, "the one who showed it took it back");
    assert_eq!(plant(&other, 3, Listing::Listed).await, 1);
    // Both leases end 1,000 s after they began: first that of the one who hides it.
    bed.supernode.index.prune(now.plus(1_002)).await.unwrap();
    assert_eq!(found(&bed, "garden").await.len(), 1);
}

#[tokio::test]
async fn a_node_proves_life_of_torrents_that_it_has_a_receipt_for_and_of_no_other() {
    let bed = Bed::new("foreign").await;
    let (_, entry) = node(1);
    bed.supernode.list(&entry).await.unwrap();
    let hash = InfoHash([5; 20]);
    planted(&bed, hash, "whale", Listing::Listed).await;
    let (stranger, _) = node(2);
    let now = clock::now();
    assert_eq!(
        bed.supernode.index.put_counts(&counts(&stranger, hash, 9, now, Some(0)), now).await.unwrap(),
        0
    );
    assert_eq!(bed.supernode.lookup(&hash).await.unwrap().unwrap().seed_seen, None);
    let (owner, _) = node(1);
    let ahead = counts(&owner, hash, 9, now.plus(500), Some(0));
    bed.supernode.index.put_counts(&ahead, now).await.unwrap();
    let row = bed.supernode.index.torrent(&hash).await.unwrap().unwrap();
    assert!(row.seed_seen.unwrap() <= now, "a clock that is ahead gains nothing");
}

#[tokio::test]
async fn a_withdrawn_receipt_does_not_come_back_but_a_younger_one_does() {
    let bed = Bed::new("withdrawn").await;
    let (identity, entry) = node(1);
    bed.supernode.list(&entry).await.unwrap();
    let planter = Identity::from_seed([99; 32]);
    let hash = InfoHash([5; 20]);
    let old = receipt(&identity, &entry.url, hash, 1_000);
    bed.supernode.hand_over(handover(vec![old.clone()], None)).await.unwrap();
    let withdrawal = Withdrawal {
        info_hash: hash,
        node: bed.supernode.key(),
        planter: planter.key(),
        reach: anatomic_mesh::Reach::Everywhere,
        issued: clock::now(),
        at: None,
    };
    let request = WithdrawRequest { withdrawal: Signed::new(withdrawal, &planter).unwrap() };
    bed.supernode.withdraw(&request).await.unwrap();
    assert!(bed.supernode.lookup(&hash).await.unwrap().is_none());
    bed.supernode.hand_over(handover(vec![old.clone()], None)).await.unwrap();
    assert!(bed.supernode.lookup(&hash).await.unwrap().is_none(), "the old receipt comes back");
    let page = bed.supernode.feed(0, 100).await.unwrap();
    assert_eq!(page.entries.iter().map(|entry| entry.kind).collect::<Vec<_>>(), [FeedKind::Withdrawal]);
    let younger = Receipt { issued: old.issued.plus(5), ..(*old).clone() };
    let younger = Signed::new(younger, &identity).unwrap();
    bed.supernode.hand_over(handover(vec![younger], None)).await.unwrap();
    assert!(bed.supernode.lookup(&hash).await.unwrap().is_some());
}

#[tokio::test]
async fn nodes_of_different_operators_and_networks_are_offered_first() {
    let bed = Bed::new("kin").await;
    let now = clock::now();
    for (number, host, network) in [
        (1, "http://a.one.example", "10.1"),
        (2, "http://b.one.example", "10.2"),
        (3, "http://c.two.example", "10.1"),
        (4, "http://d.three.example", "10.3"),
        (5, "http://e.one.example", "10.4"),
    ] {
        let (_, entry) = node(number);
        bed.supernode.index.put_node(&NodeEntry { url: host.into(), ..entry }, network, now).await.unwrap();
    }
    for _ in 0..20 {
        let offer = bed.supernode.offer(5, &[], None).await.unwrap();
        assert_eq!(offer.nodes.len(), 5);
        let first: Vec<_> = offer.nodes[..2].iter().map(|node| node.url.clone()).collect();
        let of_one = first.iter().filter(|url| url.contains("one.example")).count();
        assert!(of_one < 2, "{first:?}");
    }
    let (_, third) = node(3);
    let offer = bed.supernode.offer(5, &[third.key], None).await.unwrap();
    assert!(offer.nodes.iter().all(|node| node.key != third.key));
}

#[tokio::test]
async fn a_page_of_the_feed_is_signed_bounded_and_goes_on_where_it_ended() {
    let bed = Bed::new("feed").await;
    let (_, entry) = node(1);
    bed.supernode.list(&entry).await.unwrap();
    for byte in 1..=7 {
        planted(&bed, InfoHash([byte; 20]), "x", Listing::Listed).await;
    }
    let (mut since, mut sizes) = (0, Vec::new());
    loop {
        let page = bed.supernode.feed(since, 3).await.unwrap();
        page.head.check(bed.supernode.key(), since, &page.entries, clock::now()).unwrap();
        sizes.push(page.entries.len());
        since = page.head.next;
        if !page.more {
            break;
        }
    }
    assert_eq!(sizes, [3, 3, 1]);
    assert!(bed.supernode.feed(since, 3).await.unwrap().entries.is_empty());
}
