//! Rules of planting, against nodes and supernodes that sign as real ones do.
//!
//! The HTTP side is tested where relays talk to each other.

use super::*;
use crate::api::{Announce, SupernodeEntry};
use anatomic_core::InfoHash;

const NOW: UnixTime = UnixTime(1_800_000_000);

fn host(number: u8) -> Identity {
    Identity::from_seed([number; 32])
}

fn entry(number: u8) -> NodeEntry {
    NodeEntry {
        key: host(number).key(),
        url: format!("http://node{number}"),
        announce: Announce { http: Some(format!("http://node{number}/announce")), ..Announce::default() },
        tcp: None,
        stun: None,
        planting: Planting::Open,
        free: None,
        seen: None,
    }
}

fn metainfo() -> Metainfo {
    let info = format!("d6:lengthi5e4:name1:a12:piece lengthi16384e6:pieces20:{}e", "h".repeat(20));
    Metainfo::from_info(info.into(), vec![vec!["http://old/announce".into()]], Vec::new()).unwrap()
}

fn wish(nodes: usize, supernodes: &[&str]) -> Wish {
    Wish {
        subject: Subject::Torrent(Box::new(metainfo())),
        nodes,
        supernodes: supernodes.iter().map(|url| (*url).to_owned()).collect(),
        listing: Listing::Listed,
        prefer: Vec::new(),
    }
}

/// A network in which some nodes and supernodes fail.
#[derive(Default)]
struct World {
    nodes: Vec<u8>,
    broken_nodes: Vec<u8>,
    broken_supernodes: Vec<&'static str>,
    more_supernodes: Vec<&'static str>,
    /// The supernode that offers nodes of its own, and which.
    partial: Option<(&'static str, std::ops::Range<u8>)>,
    /// The node whose clock is an hour behind; 0 is none.
    wrong_clock: u8,
    log: Vec<String>,
}

impl World {
    fn run(&mut self, wish: Wish) -> Result<Outcome, Failure> {
        let mut planter = Planter::new(wish, host(200), NOW);
        loop {
            match planter.poll_output().expect("the planter never waits for nothing") {
                Output::AskNodes { supernode, count } => {
                    self.log.push(format!("ask {supernode} {count}"));
                    let answer = self.offer(&supernode);
                    planter.handle_offer(&supernode, answer);
                }
                Output::Plant { node, request } => {
                    self.log.push(format!("plant {}", node.url));
                    let answer = self.plant(&node, &request);
                    planter.handle_planted(node.key, answer);
                }
                Output::HandOver { supernode, handover } => {
                    self.log.push(format!("tell {supernode} {}", handover.receipts.len()));
                    let broken = self.broken_supernodes.contains(&supernode.as_str());
                    let accepted = Indexed { accepted: handover.receipts.len(), refused: Vec::new() };
                    planter
                        .handle_indexed(&supernode, if broken { Err("down".into()) } else { Ok(accepted) });
                }
                Output::Progress(progress) => self.log.push(progress.to_string()),
                Output::Done(outcome) => return Ok(*outcome),
                Output::Failed(failure) => return Err(failure),
            }
        }
    }

    fn offer(&self, supernode: &str) -> Result<Offer, String> {
        if self.broken_supernodes.contains(&supernode) {
            return Err("down".into());
        }
        let other = |url: &&str| SupernodeEntry { key: Key([0; 32]), url: (*url).to_owned(), seen: None };
        let own = self.partial.clone().filter(|(name, _)| *name == supernode).map(|(_, own)| own.collect());
        let nodes: Vec<u8> = own.unwrap_or_else(|| self.nodes.clone());
        Ok(Offer {
            nodes: nodes.into_iter().map(entry).collect(),
            supernodes: self.more_supernodes.iter().map(other).collect(),
        })
    }

    fn plant(&self, node: &NodeEntry, request: &PlantRequest) -> Result<Planted, Problem> {
        let number = (0..=u8::MAX).find(|number| host(*number).key() == node.key).unwrap();
        let clock =
            UnixTime(NOW.0.saturating_add_signed(if number == self.wrong_clock { -3_600 } else { 0 }));
        request.claim.check(node.key, clock).map_err(|error| Problem::of_statement(error, clock))?;
        if self.broken_nodes.contains(&number) {
            return Err(Problem::without_document("full"));
        }
        let receipt = Receipt {
            info_hash: request.claim.info_hash,
            info_hash_v2: None,
            node: node.key,
            url: node.url.clone(),
            planter: request.claim.planter,
            sisters: request.claim.sisters.clone(),
            listing: request.claim.listing,
            issued: clock,
            claimed: Some(request.claim.issued),
            expires: clock.plus(crate::receipt::DEFAULT_LEASE),
        };
        Ok(Planted { receipt: Signed::new(receipt, &host(number)).unwrap() })
    }
}

#[test]
fn a_node_whose_clock_is_an_hour_behind_is_asked_again_by_its_clock() {
    let mut world = World { nodes: vec![1, 2], wrong_clock: 2, ..World::default() };
    let outcome = world.run(wish(2, &["http://a/"])).unwrap();
    assert_eq!(outcome.nodes.len(), 2);
    let claimed: Vec<_> = outcome.receipts.iter().map(|receipt| receipt.wished()).collect();
    assert_eq!(claimed, [NOW, NOW], "withdrawals are measured by one clock, the planter's");
    assert_eq!(world.log.iter().filter(|line| *line == "plant http://node2").count(), 2);
}

#[test]
fn a_torrent_is_planted_on_as_many_nodes_as_wanted_and_told_to_two_supernodes() {
    let mut world =
        World { nodes: vec![1, 2, 3, 4], more_supernodes: vec!["http://b", "http://c"], ..World::default() };
    let outcome = world.run(wish(3, &["http://a/"])).unwrap();
    assert_eq!(outcome.supernodes, ["http://a", "http://b"]);
    let urls: Vec<_> = outcome.nodes.iter().map(|node| node.url.as_str()).collect();
    assert_eq!(urls, ["http://node1", "http://node2", "http://node3"]);
    for receipt in &outcome.receipts {
        assert_eq!(receipt.sisters.len(), 2);
        assert!(!receipt.sisters.contains(&receipt.node));
    }
    let torrent = outcome.torrent.unwrap();
    assert!(torrent.is_planted());
    assert_eq!(torrent.trackers()[1], ["http://a/announce", "http://b/announce"]);
    assert_eq!(outcome.magnet.supernodes, ["http://a", "http://b"]);
    assert_eq!(outcome.magnet.trackers.len(), 3);
}

#[test]
fn a_node_that_fails_is_replaced_and_its_sisters_learn_of_it() {
    let mut world = World { nodes: vec![1, 2, 3], broken_nodes: vec![2], ..World::default() };
    let outcome = world.run(wish(2, &["http://a"])).unwrap();
    let keys: Vec<Key> = outcome.nodes.iter().map(|node| node.key).collect();
    assert_eq!(keys, [host(1).key(), host(3).key()]);
    assert_eq!(outcome.receipts[0].sisters, [host(3).key()]);
    assert_eq!(outcome.receipts[1].sisters, [host(1).key()]);
    assert!(world.log.contains(&"http://node2 refused: full".to_owned()), "{:?}", world.log);
}

#[test]
fn a_supernode_that_offers_only_the_dead_is_not_the_last_word() {
    let supernodes = ["http://liar", "http://a", "http://b", "http://c"];
    let mut world = World {
        nodes: vec![1, 2],
        broken_nodes: (10..80).collect(),
        partial: Some(("http://liar", 10..80)),
        ..World::default()
    };
    let outcome = world.run(wish(2, &supernodes)).unwrap();
    let urls: Vec<_> = outcome.nodes.iter().map(|node| node.url.as_str()).collect();
    assert_eq!(urls, ["http://node1", "http://node2"], "{:?}", world.log);
    let tried = world.log.iter().filter(|line| line.starts_with("plant ")).count();
    assert!(tried <= 16 + 4, "one supernode brings sixteen spares at most: {tried}");
}

#[test]
fn supernodes_take_turns_in_naming_nodes() {
    let mut planter = Planter::new(wish(3, &["http://liar", "http://a"]), host(200), NOW);
    let offer =
        |numbers: std::ops::Range<u8>| Offer { nodes: numbers.map(entry).collect(), supernodes: Vec::new() };
    planter.handle_offer("http://liar", Ok(offer(10..12)));
    planter.handle_offer("http://a", Ok(offer(1..9)));
    let asked: Vec<_> = std::iter::from_fn(|| planter.poll_output())
        .filter_map(|output| match output {
            Output::Plant { node, .. } => Some(node.url),
            _ => None,
        })
        .collect();
    assert_eq!(asked, ["http://node10", "http://node1", "http://node11"]);
}

#[test]
fn fewer_nodes_than_wanted_are_better_than_none() {
    let mut world = World { nodes: vec![1, 2, 3], broken_nodes: vec![1, 3], ..World::default() };
    let outcome = world.run(wish(3, &["http://a"])).unwrap();
    assert_eq!((outcome.nodes.len(), outcome.receipts[0].sisters.len()), (1, 0));
}

#[test]
fn if_no_node_accepts_the_failure_says_who_said_what() {
    let mut world = World {
        nodes: vec![1, 2],
        broken_nodes: vec![1, 2],
        broken_supernodes: vec!["http://a"],
        ..World::default()
    };
    let failure = world.run(wish(2, &["http://a", "http://b"])).unwrap_err();
    assert_eq!(
        failure.to_string(),
        "no node took the torrent: http://a: down; http://node1: full; http://node2: full"
    );
    assert!(!world.log.iter().any(|line| line.starts_with("tell")));
    let failure = World::default().run(wish(1, &[])).unwrap_err();
    assert!(failure.to_string().contains("--supernode"));
}

#[test]
fn a_dead_supernode_is_passed_over_in_both_directions() {
    let mut world = World { nodes: vec![1], broken_supernodes: vec!["http://a"], ..World::default() };
    let outcome = world.run(wish(1, &["http://a", "http://b", "http://c"])).unwrap();
    assert_eq!(outcome.supernodes, ["http://b", "http://c"]);
}

#[test]
fn without_any_supernode_for_the_receipts_the_nodes_alone_are_named() {
    let node = entry(1);
    let mut planter = Planter::new(wish(1, &["http://a"]), host(200), NOW);
    let _ = planter.poll_output();
    planter.handle_offer("http://a", Ok(Offer { nodes: vec![node.clone()], supernodes: Vec::new() }));
    let mut done = None;
    while let Some(output) = planter.poll_output() {
        match output {
            Output::Plant { node, request } => {
                planter.handle_planted(node.key, World::default().plant(&node, &request));
            }
            Output::HandOver { supernode, .. } => planter.handle_indexed(&supernode, Err("disk full".into())),
            Output::Done(outcome) => done = Some(outcome),
            _ => {}
        }
    }
    let outcome = done.unwrap();
    assert!(outcome.supernodes.is_empty());
    assert!(
        outcome
            .torrent
            .unwrap()
            .to_torrent()
            .escape_ascii()
            .to_string()
            .contains("8:announce21:http://node1/announce")
    );
}

#[test]
fn a_receipt_about_something_else_counts_as_a_refusal() {
    let mut planter = Planter::new(wish(1, &["http://a"]), host(200), NOW);
    let _ = planter.poll_output();
    planter.handle_offer("http://a", Ok(Offer { nodes: vec![entry(1)], supernodes: Vec::new() }));
    let receipt = Receipt {
        info_hash: InfoHash([9; 20]),
        info_hash_v2: None,
        node: host(1).key(),
        url: "http://node1".into(),
        planter: host(200).key(),
        sisters: Vec::new(),
        listing: Listing::Listed,
        issued: NOW,
        claimed: None,
        expires: NOW.plus(100),
    };
    let receipt = Signed::new(receipt, &host(1)).unwrap();
    planter.handle_planted(host(1).key(), Ok(Planted { receipt }));
    let last = std::iter::from_fn(|| planter.poll_output()).last();
    assert!(matches!(last, Some(Output::Failed(_))), "{last:?}");
}

#[test]
fn nodes_that_a_person_chose_are_asked_first() {
    let mut world = World { nodes: vec![1, 2, 3], ..World::default() };
    let wish = Wish { prefer: vec![entry(9), entry(2)], ..wish(3, &["http://a"]) };
    let urls: Vec<_> = world.run(wish).unwrap().nodes.into_iter().map(|node| node.url).collect();
    assert_eq!(urls, ["http://node9", "http://node2", "http://node1"]);
}
