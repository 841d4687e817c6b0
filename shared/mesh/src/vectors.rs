//! The test vectors of PROTOCOL.md: one statement of each kind, as text.
//!
//! Those of peer-sharing are in [`crate::sharing`], those of the UDP tracker in `anatomic-wire`.

use crate::api::{FeedEntry, FeedKind, HexBytes};
use crate::blocks::{self, BlockHead, Blocked};
use crate::claim::{Claim, Listing, Reach, Withdrawal};
use crate::counts::{Counts, Peers, SwarmCount};
use crate::feed::{self, FeedHead};
use crate::receipt::DEFAULT_LEASE;
use crate::{Adoption, Identity, Proof, Receipt, Signed, UnixTime};
use anatomic_core::InfoHash;
use std::fmt::Write as _;

const NOW: UnixTime = UnixTime(1_800_000_000);
const HASH: InfoHash = InfoHash([0x11; 20]);

fn all() -> String {
    let [node, planter, sister, supernode] = [1, 2, 3, 4].map(|seed| Identity::from_seed([seed; 32]));
    let claim = Claim {
        info_hash: HASH,
        info_hash_v2: None,
        node: node.key(),
        planter: planter.key(),
        sisters: vec![sister.key()],
        listing: Listing::Listed,
        issued: NOW,
        at: None,
    };
    let late = Claim { info_hash_v2: Some([0x22; 32]), at: Some(UnixTime(NOW.0 - 3_600)), ..claim.clone() };
    let unlisted = Claim { listing: Listing::Unlisted, ..claim.clone() };
    let receipt = Receipt {
        info_hash: HASH,
        info_hash_v2: None,
        node: node.key(),
        url: "https://node.example".into(),
        planter: planter.key(),
        sisters: vec![sister.key()],
        listing: Listing::Listed,
        issued: NOW,
        claimed: Some(NOW.plus(5)),
        expires: NOW.plus(DEFAULT_LEASE),
    };
    let withdrawal = Withdrawal {
        info_hash: HASH,
        node: node.key(),
        planter: planter.key(),
        reach: Reach::Everywhere,
        issued: NOW.plus(60),
        at: None,
    };
    let adoption = Adoption {
        info_hash: HASH,
        node: sister.key(),
        from: node.key(),
        sisters: vec![node.key()],
        issued: NOW,
    };
    let swarm = SwarmCount {
        info_hash: HASH,
        tabs: Peers { seeds: 1, leeches: 2 },
        classic: Peers { seeds: 3, leeches: 4 },
        helped: 5,
        seed_age: None,
    };
    let counts = Counts { node: node.key(), issued: NOW, swarms: vec![swarm] };
    let entry = |seq| FeedEntry {
        seq,
        kind: FeedKind::Receipt,
        statement: HexBytes(vec![1, 2, 3]),
        torrent: None,
        name: None,
        length: None,
    };
    let feed = FeedHead {
        supernode: supernode.key(),
        index: [0x33; 8],
        since: 4,
        next: 9,
        digest: feed::digest(&[entry(5), entry(9)]),
        issued: NOW,
    };
    let mut blocked = vec![Blocked::of(&HASH), Blocked::of(&InfoHash([0x12; 20]))];
    blocked.sort();
    let list = BlockHead {
        owner: supernode.key(),
        version: 7,
        count: 2,
        digest: blocks::digest(&blocked),
        issued: NOW,
    };
    let proof = Proof {
        key: node.key(),
        url: "https://node.example".into(),
        challenge: "0123456789abcdef".into(),
        issued: NOW,
    };
    let mut text = String::new();
    let mut line = |name: &str, statement: &dyn std::fmt::Display| {
        let _ = writeln!(text, "{name}: {statement}");
    };
    line("claim", &Signed::new(claim, &planter).unwrap());
    line("claim, unlisted", &Signed::new(unlisted, &planter).unwrap());
    line("claim, hybrid, to a node whose clock is behind", &Signed::new(late, &planter).unwrap());
    line("receipt", &Signed::new(receipt, &node).unwrap());
    line("withdrawal", &Signed::new(withdrawal, &planter).unwrap());
    line("adoption", &Signed::new(adoption, &node).unwrap());
    line("counts", &Signed::new(counts, &node).unwrap());
    line("feed head", &Signed::new(feed, &supernode).unwrap());
    line("block list entries", &format!("{} {}", blocked[0], blocked[1]));
    line("block list head", &Signed::new(list, &supernode).unwrap());
    line("proof", &Signed::new(proof, &node).unwrap());
    text
}

#[test]
fn statements_are_those_of_the_protocol_s_vectors() {
    let made = all();
    let protocol = include_str!("../../../PROTOCOL.md");
    assert!(protocol.contains(&made), "\n{made}");
}

#[test]
fn the_vectors_of_peer_sharing_are_in_the_protocol() {
    assert!(include_str!("../../../PROTOCOL.md").contains(include_str!("sharing/vectors.txt")));
}
