//! The network over real sockets: a supernode, nodes, browsers' sockets and classic announces in one process.
//!
//! Blocks of data are moved by the tests of the whole; here it is who finds whom.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod network {
    pub(crate) mod bed;
}

use anatomic_core::{InfoHash, PeerId};
use anatomic_mesh::Listing;
use anatomic_mesh::api::{Lookup, Problem, WellKnown, codes};
use anatomic_mesh::planter::{Progress, Subject, Wish};
use anatomic_relay::planter;
use anatomic_relay::webrtc::{Endpoint, EndpointConfig, any_unicast};
use anatomic_wire::tracker::NOT_PLANTED;
use anatomic_wire::tracker::announce::{AnnounceReply, AnnounceRequest};
use anatomic_wire::tracker::scrape::{ScrapeReply, scrape_url};
use anatomic_wire::tracker::websocket::{ClientMessage, Offer, OfferId, ServerMessage};
use network::bed::{Browser, Kind, Process, announce, metainfo, planter_identity};
use std::sync::Arc;

async fn plant(supernode: &Process, nodes: usize) -> Result<planter::Outcome, planter::Failure> {
    let wish = Wish {
        subject: Subject::Torrent(Box::new(metainfo())),
        nodes,
        supernodes: vec![supernode.url.clone()],
        listing: Listing::Listed,
        prefer: Vec::new(),
    };
    planter::plant(wish, planter_identity(), |_: Progress| {}).await
}

fn classic(info_hash: InfoHash) -> AnnounceRequest {
    let peer_id = Some(PeerId([1; 20]));
    AnnounceRequest { peer_id, left: Some(0), ..AnnounceRequest::new(info_hash, 7000) }
}

async fn get(url: &str) -> reqwest::Response {
    let client = anatomic_relay::tls::http().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    client.get(url).send().await.unwrap()
}

#[tokio::test]
async fn a_torrent_is_planted_on_two_nodes_found_and_ordinary_clients_are_redirected() {
    let supernode = Process::start(Kind::Supernode).await;
    let one = Process::start(Kind::Node).await;
    let two = Process::start(Kind::Node).await;
    for node in [&one, &two] {
        node.register_at(&supernode).await;
    }
    let hash = metainfo().info_hash();
    let refused = get(&classic(hash).to_url(&format!("{}/announce", one.url))).await.bytes().await.unwrap();
    assert_eq!(
        AnnounceReply::decode(&refused).unwrap_err().to_string(),
        format!("the tracker refuses: {NOT_PLANTED}")
    );

    let outcome = plant(&supernode, 2).await.unwrap();
    assert_eq!((outcome.nodes.len(), outcome.supernodes.len()), (2, 1));

    let redirect = get(&classic(hash).to_url(&format!("{}/announce.php", supernode.url))).await;
    assert_eq!(redirect.status(), 302);
    let location = redirect.headers()["location"].to_str().unwrap().to_owned();
    assert!(location.starts_with(&one.url) || location.starts_with(&two.url), "{location}");
    let reply = AnnounceReply::decode(&get(&location).await.bytes().await.unwrap()).unwrap();
    assert_eq!((reply.complete, reply.external_ip), (Some(1), Some([127, 0, 0, 1].into())));

    let scraped = get(&scrape_url(&format!("{}/announce", supernode.url), &[hash]).unwrap()).await;
    let location = scraped.headers()["location"].to_str().unwrap().to_owned();
    let scrape = ScrapeReply::decode(&get(&location).await.bytes().await.unwrap()).unwrap();
    assert!(scrape.files.contains_key(&hash));

    let lookup: Lookup =
        get(&format!("{}/api/v1/torrents/{hash}", supernode.url)).await.json().await.unwrap();
    assert_eq!((lookup.nodes.len(), lookup.receipts.len(), lookup.name.as_deref()), (2, 2, Some("a")));
    let file = get(&format!("{}{}", supernode.url, lookup.torrent.unwrap())).await.bytes().await.unwrap();
    assert_eq!(anatomic_core::Metainfo::from_torrent(&file).unwrap().info_hash(), hash);
    let short = get(&format!("{}/t/{hash}", supernode.url)).await;
    assert!(short.headers()["location"].to_str().unwrap().starts_with("/#magnet:?xt=urn:btih:"));
}

#[tokio::test]
async fn a_node_and_supernode_in_one_process_answers_by_itself() {
    let both = Process::start(Kind::Both).await;
    plant(&both, 3).await.unwrap();
    let hash = metainfo().info_hash();
    let reply = get(&classic(hash).to_url(&format!("{}/announce", both.url))).await;
    assert_eq!(reply.status(), 200);
    assert!(AnnounceReply::decode(&reply.bytes().await.unwrap()).is_ok());
}

#[tokio::test]
async fn without_a_living_node_nothing_is_planted_and_everybody_is_told_why() {
    let supernode = Process::start(Kind::Supernode).await;
    let failure = plant(&supernode, 1).await.unwrap_err().to_string();
    assert!(failure.contains("knows no node"), "{failure}");
    let problem = get(&format!("{}/api/v1/torrents/{}", supernode.url, metainfo().info_hash())).await;
    assert_eq!(problem.headers()["content-type"], "application/problem+json");
    let problem: Problem = problem.json().await.unwrap();
    assert_eq!(problem.code, codes::NOT_FOUND);
    let nobody = get(&classic(metainfo().info_hash()).to_url(&format!("{}/announce", supernode.url))).await;
    assert!(AnnounceReply::decode(&nobody.bytes().await.unwrap()).is_err());
}

#[tokio::test]
async fn two_browsers_exchange_an_offer_and_its_answer() {
    let node = Process::start(Kind::Both).await;
    plant(&node, 1).await.unwrap();
    let hash = metainfo().info_hash();
    let mut first = Browser::connect(&node).await;
    first.send(&ClientMessage::Announce(announce(hash, 1, 0))).await;
    assert!(matches!(first.next().await, ServerMessage::Announced { interval: 120, incomplete: 1, .. }));
    let mut second = Browser::connect(&node).await;
    second.send_binary(&ClientMessage::Announce(announce(hash, 2, 3))).await;
    let ServerMessage::Offer { peer_id, offer, .. } = first.next().await else { panic!() };
    assert_eq!(peer_id, PeerId([2; 20]));
    assert!(matches!(second.next().await, ServerMessage::Announced { incomplete: 2, .. }));
    let answer = ClientMessage::Answer {
        info_hash: hash,
        peer_id: PeerId([1; 20]),
        to_peer_id: peer_id,
        answer: Offer { id: offer.id, sdp: "answer".into() },
    };
    first.send(&answer).await;
    let ServerMessage::Answer { peer_id, answer, .. } = second.next().await else { panic!() };
    assert_eq!((peer_id, answer.id, answer.sdp.as_str()), (PeerId([1; 20]), offer.id, "answer"));
}

#[tokio::test]
async fn what_a_browser_does_wrong_is_said_with_action_and_info_hash_and_the_socket_stays_open() {
    let node = Process::start(Kind::Node).await;
    let mut browser = Browser::connect(&node).await;
    browser.send_text("nonsense").await;
    assert!(matches!(browser.next().await, ServerMessage::Refused(_)));
    let hash = InfoHash([0xfe; 20]);
    browser.send(&ClientMessage::Announce(announce(hash, 1, 1))).await;
    let ServerMessage::Refused(refusal) = browser.next().await else { panic!() };
    assert_eq!((refusal.info_hash, refusal.reason.as_str()), (Some(hash), NOT_PLANTED));
    browser.send_text(r#"{"action":"scrape"}"#).await;
    assert!(matches!(browser.next().await, ServerMessage::Refused(_)));
    browser.send(&ClientMessage::Scrape(vec![hash])).await;
    assert!(matches!(browser.next().await, ServerMessage::Scraped(files) if files.len() == 1));
}

#[tokio::test]
async fn the_first_offer_of_a_tab_is_answered_by_the_node_itself_and_the_channel_opens() {
    let node = Process::start(Kind::Both).await;
    node.bridge().await;
    plant(&node, 1).await.unwrap();
    let endpoint = Endpoint::bind(EndpointConfig {
        policy: Arc::new(any_unicast),
        ..EndpointConfig::new("127.0.0.1:0".parse().unwrap())
    })
    .unwrap();
    let (sdp, pending) = endpoint.offer().await.unwrap();
    let hash = metainfo().info_hash();
    let mut browser = Browser::connect(&node).await;
    let mut message = announce(hash, 1, 0);
    message.offers = vec![Offer { id: OfferId([5; 20]), sdp }];
    browser.send(&ClientMessage::Announce(message)).await;
    let answer = loop {
        match browser.next().await {
            ServerMessage::Answer { answer, .. } => break answer,
            ServerMessage::Announced { .. } => {}
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(answer.id, OfferId([5; 20]));
    let channel = pending.accept_answer(&answer.sdp).await.unwrap().opened().await.unwrap();
    // The node begins with its handshake, as an ordinary peer does.
    let first = channel.recv().await.unwrap();
    assert!(first.starts_with(b"\x13BitTorrent protocol"), "{first:?}");
    channel.close();
}

#[tokio::test]
async fn the_well_known_document_proves_the_key_to_whoever_asks() {
    let node = Process::start(Kind::Both).await;
    let document: WellKnown =
        get(&format!("{}/.well-known/anatomic?challenge=abc", node.url)).await.json().await.unwrap();
    let proof = document.proof.unwrap();
    assert_eq!(
        (proof.key, proof.challenge.as_str(), proof.url.as_str()),
        (document.key, "abc", node.url.as_str())
    );
    let long = get(&format!("{}/.well-known/anatomic?challenge={}", node.url, "a".repeat(65))).await;
    assert_eq!(long.status(), 400);
    assert_eq!(get(&format!("{}/healthz", node.url)).await.status(), 200);
    assert!(
        get(&format!("{}/metrics", node.url))
            .await
            .text()
            .await
            .unwrap()
            .contains("anatomic_tracker_sockets")
    );
}

#[tokio::test]
async fn pages_of_any_origin_may_call_the_api() {
    let node = Process::start(Kind::Both).await;
    let client = anatomic_relay::tls::http().build().unwrap();
    let url = format!("{}/api/v1/plant", node.url);
    let preflight =
        client.request(reqwest::Method::OPTIONS, &url).header("origin", "https://x").send().await.unwrap();
    assert_eq!(
        (preflight.status().as_u16(), &preflight.headers()["access-control-allow-origin"]),
        (204, &"*".parse().unwrap())
    );
    let problem = client.post(&url).body("{").send().await.unwrap();
    assert_eq!(problem.headers()["access-control-allow-origin"], "*");
    assert_eq!(problem.json::<Problem>().await.unwrap().code, codes::MALFORMED);
}

/// Waits until something is so; feeds are read every ten seconds.
async fn eventually(what: &str, is_so: impl AsyncFn() -> bool) {
    for _ in 0..200 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("not within twenty seconds: {what}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn supernodes_follow_each_other_and_a_lost_index_is_rebuilt_from_feeds() {
    let (one, mut two) = (Process::start(Kind::Supernode).await, Process::start(Kind::Supernode).await);
    let node = Process::start(Kind::Node).await;
    node.register_at(&one).await;
    plant(&one, 1).await.unwrap();
    let hash = metainfo().info_hash();
    two.follow(&one);
    let known = async |supernode: &Process| {
        get(&format!("{}/api/v1/torrents/{hash}", supernode.url)).await.status() == 200
            && get(&classic(hash).to_url(&format!("{}/announce", supernode.url))).await.status() == 302
    };
    eventually("the second supernode knows the torrent", async || known(&two).await).await;
    let found: anatomic_mesh::api::Found =
        get(&format!("{}/api/v1/search?q=a", two.url)).await.json().await.unwrap();
    assert_eq!(found.hits.first().map(|hit| hit.info_hash), Some(hash));
    two.lose_index().await;
    assert!(!known(&two).await);
    two.follow(&one);
    eventually("the second supernode knows it again", async || known(&two).await).await;
}

#[tokio::test]
async fn a_planter_unplants_everywhere_by_its_key() {
    let supernode = Process::start(Kind::Supernode).await;
    let node = Process::start(Kind::Node).await;
    node.register_at(&supernode).await;
    plant(&supernode, 1).await.unwrap();
    let hash = metainfo().info_hash();
    let stranger = anatomic_mesh::Identity::from_seed([201; 32]);
    let supernodes = [supernode.url.clone()];
    let nobody = planter::unplant(&hash, &supernodes, &stranger).await;
    assert!(nobody.iter().all(|told| told.result.is_err()), "{nobody:?}");
    let told = planter::unplant(&hash, &supernodes, &planter_identity()).await;
    assert!(told.len() == 2 && told.iter().all(|told| told.result.is_ok()), "{told:?}");
    for process in [&supernode, &node] {
        assert_eq!(get(&format!("{}/api/v1/torrents/{hash}", process.url)).await.status(), 404);
    }
}

#[tokio::test]
async fn health_names_the_nodes_that_live_and_hold_and_why_others_do_not() {
    let supernode = Process::start(Kind::Supernode).await;
    let nodes = [Process::start(Kind::Node).await, Process::start(Kind::Node).await];
    for node in &nodes {
        node.register_at(&supernode).await;
    }
    plant(&supernode, 2).await.unwrap();
    let hash = metainfo().info_hash();
    get(&classic(hash).to_url(&format!("{}/announce", nodes[0].url))).await;
    let url = format!("{}/api/v1/health/{hash}", supernode.url);
    let health: anatomic_mesh::api::Health = get(&url).await.json().await.unwrap();
    assert_eq!((health.healthy, health.nodes.len(), health.classic.seeds), (2, 2, 1));
    assert!(health.lease.unwrap() > 29 * 86_400);
    assert_eq!(health.planters, [planter_identity().key()]);
}
