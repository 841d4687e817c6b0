//! A node that lies to its sisters, plants without end, and tabs that flood: bounds hold, people are served, counters tell.
//!
//! The hostile side is written here with the protocol's own types; ours is the program as it is. Lying supernodes:
//! `hostile_supernode.rs`; peers that send bad blocks: `liar.rs`.

use anatomic_core::{InfoHash, PeerId};
use anatomic_mesh::Identity;
use anatomic_mesh::sharing::guests::MAX_PER_SISTER;
use anatomic_mesh::sharing::message::Message;
use anatomic_mesh::sharing::{Contact, SharedPeer};
use anatomic_tests::ask::{announce, eventually, metric};
use anatomic_tests::prelude::*;
use anatomic_tests::sister::{self, Sister, gained};
use std::net::{Ipv4Addr, SocketAddr};
use tokio::time::Instant;

/// Peers that nobody has ever seen, at addresses of this machine: number `from` and so many after it.
fn invented(from: u32, count: u32, age: u16) -> Vec<SharedPeer> {
    let peer = |number: u32| SharedPeer {
        contact: Contact::Address(SocketAddr::new(
            Ipv4Addr::from(0x7f40_0000 + number % 0x3f_0000).into(),
            6_881,
        )),
        seed: true,
        bridge: false,
        age,
    };
    (from..from + count).map(peer).collect()
}

/// The peers of a compact reply.
fn peers(reply: &[u8]) -> Vec<SocketAddr> {
    let at = reply.windows(7).position(|window| window == b"5:peers").expect("peers") + 7;
    let colon = at + reply[at..].iter().position(|byte| *byte == b':').expect("a length");
    let length: usize = std::str::from_utf8(&reply[at..colon]).unwrap().parse().unwrap();
    let list = &reply[colon + 1..][..length];
    let peer = |bytes: &[u8]| {
        SocketAddr::from(([bytes[0], bytes[1], bytes[2], bytes[3]], u16::from_be_bytes([bytes[4], bytes[5]])))
    };
    list.chunks_exact(6).map(peer).collect()
}

/// Downloads a link with `anatomic get`; how long it took.
async fn download(s: &Scene, link: &str, name: &str, digest: &str) -> Duration {
    let into = s.folder(&format!("{name}.into"));
    let (out, listen) = (into.display().to_string(), format!("{}:0", ports::address()));
    let begun = Instant::now();
    let _ =
        anatomic::run(s, name, &["get", link, "-o", &out, "--no-seed", "--listen", &listen]).await.success();
    assert_eq!(content::sha256(&into.join("h.bin")), digest);
    begun.elapsed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hostile_sister_gets_nothing_by_forgery_and_no_more_than_her_share_by_lies() {
    scene::run(async |s| {
        let network = Network::start(s, 1, 2).await;
        let home = s.folder("content");
        let digest = content::file(&home.join("h.bin"), 221, 4 * MIB + 7);
        let torrent = torrent::make(&home.join("h.bin"), &s.path("h.torrent"), &[], 64);
        let planted = s.path("planted.torrent");
        let out = planted.display().to_string();
        let answer = network.supernodes[0].plant(s, &torrent.path, &["--nodes", "2", "-o", &out]).await;
        let link = answer["link"].as_str().expect("a link").to_owned();
        network.whole(&[0, 1], SHORT).await;
        let _seed = aria2::seed(s, "seed", &planted, &home);
        let (node, url, hash) = (&network.nodes[0], network.nodes[0].url(), &torrent.info_hash);
        let counter = async |name: &str| metric(node, name).await.expect("a figure");
        let before = download(s, &link, "before", &digest).await;

        // Forged: the key of the honest sister, with another's signature.
        let identity = Identity::from_seed([66; 32]);
        let honest = network.nodes[1].ready()["key"].as_str().expect("a key").parse().expect("a key");
        let mut forger = Sister::open(node, &url, &identity, honest).await;
        let proof = forger.proof().expect("a hello");
        forger.send(&proof).await;
        forger.until_closed().await;
        assert_eq!(counter("mesh_bad_proofs").await, 1);
        // Played back: a proof that was good once.
        let (first, proof) = Sister::prove(node, &url, &identity).await;
        drop(first);
        let mut player = Sister::open(node, &url, &identity, identity.key()).await;
        player.send(&proof).await;
        player.until_closed().await;
        assert_eq!(counter("mesh_bad_proofs").await, 2);
        // Neither made the honest sister suffer.
        assert_eq!(counter("mesh_malformed").await, 0);
        network.whole(&[0, 1], SHORT).await;

        // Claims without a receipt, and receipts that do not hold: changed, of the future, for ever.
        let (mut hostile, _) = Sister::prove(node, &url, &identity).await;
        hostile.send(&gained(hash, &invented(0, 50, 0))).await;
        let far = sister::now().plus(86_400);
        let mut forged = sister::receipt(&identity, hash, "http://127.0.0.1:9", |_| {}).as_bytes().to_vec();
        let last = forged.len() - 10;
        forged[last] ^= 1;
        let future = sister::receipt(&identity, hash, "http://127.0.0.1:9", |receipt| {
            (receipt.issued, receipt.expires) = (far, far.plus(86_400));
        });
        let eternal = sister::receipt(&identity, hash, "http://127.0.0.1:9", |receipt| {
            receipt.expires = far.plus(10 * 365 * 86_400);
        });
        let bad = [forged, future.as_bytes().to_vec(), eternal.as_bytes().to_vec()];
        hostile.send(&Message::Hold(bad.to_vec())).await;
        hostile.send(&gained(hash, &invented(0, 50, 0))).await;
        eventually("all three are refused", SHORT, async || counter("mesh_bad_receipts").await == 3).await;
        assert_eq!(counter("mesh_without_receipt").await, 2);
        let own: Vec<SocketAddr> = peers(&announce(node, hash, 0, 1).await);
        assert!(own.iter().all(|peer| peer.port() != 6_881), "{own:?}");

        // With a receipt of her own she may speak: of 200 peers, however many she invents, however she dates them.
        let receipt = sister::receipt(&identity, hash, "http://127.0.0.1:9", |_| {});
        hostile.send(&Message::Hold(vec![receipt.as_bytes().to_vec()])).await;
        hostile.send(&gained(hash, &invented(0, 1_000, u16::MAX))).await;
        eventually("old peers are refused", SHORT, async || counter("mesh_stale").await == 1_000).await;
        let (memory, flood) = (network_rss(&network), Instant::now());
        for batch in 0..50 {
            hostile.send(&gained(hash, &invented(batch * 2_000, 2_000, 0))).await;
        }
        // Meanwhile somebody downloads.
        let during = download(s, &link, "during", &digest).await;
        eventually("the quota is used up", SHORT, async || counter("mesh_over_quota").await > 70_000).await;
        println!(
            "100,000 invented peers: {:.1} s; gained {}, over quota {}, malformed {}; downloads {before:.1?} and {during:.1?}",
            flood.elapsed().as_secs_f64(),
            counter("mesh_gained").await,
            counter("mesh_over_quota").await,
            counter("mesh_malformed").await,
        );
        let grown = network_rss(&network).saturating_sub(memory);
        assert!(grown < 32 * MIB, "the flood cost {grown} bytes");
        let known = ask::scrape(node, hash).await.expect("a scrape");
        assert!(known.0 <= MAX_PER_SISTER as u64 + 5, "{known:?}");
        // Where the node's own peers suffice, she has a third of a reply at most.
        for port in 0..60 {
            announce(node, hash, 20_000 + port, 1).await;
        }
        for _ in 0..5 {
            let reply = peers(&announce(node, hash, 0, 1).await);
            let hers = reply.iter().filter(|peer| peer.port() == 6_881).count();
            assert!(reply.len() >= 30 && hers * 3 <= reply.len(), "{hers} of {}", reply.len());
        }
        // The honest sister was told of none of it.
        let there = peers(&announce(&network.nodes[1], hash, 0, 1).await);
        assert!(there.iter().all(|peer| peer.port() != 6_881), "what is heard is not passed on: {there:?}");

        // A message that breaks the rules ends it for ten minutes.
        hostile.send_bytes(b"d1:t4:news6:swarmsi1ee".to_vec()).await;
        hostile.until_closed().await;
        eventually("it is counted", SHORT, async || counter("mesh_malformed").await >= 1).await;
        let mut again = Sister::open(node, &url, &identity, identity.key()).await;
        assert!(again.proof().is_none(), "she is not spoken to");
        again.until_closed().await;
        network.whole(&[0, 1], SHORT).await;
    })
    .await;
}

/// Resident memory of the nodes together.
fn network_rss(network: &Network) -> u64 {
    network.nodes.iter().map(Anatomic::rss).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_public_node_is_told_of_no_private_address_and_a_flood_of_plants_stops_only_who_floods() {
    scene::run(async |s| {
        // As behind a proxy on the internet: its own address is public, so it never looks inwards.
        let options = ["--url", "http://node.example", "--proxy", "127.0.0.1/32"];
        let node = Anatomic::start(s, "node", "node", &options).await;
        let hash = InfoHash([0x5a; 20]);
        let client = web::client();
        let plant = async |hash: &InfoHash, from: &str| {
            let url = format!("http://{}/plant?plant={}", node.host(), ask::escaped(&hash.to_string()));
            let answer = client.get(url).header("X-Forwarded-For", from).send().await.expect("an answer");
            answer.text().await.expect("a text")
        };
        assert_eq!(plant(&hash, "198.51.100.1").await, "25:File successfully planted");

        let identity = Identity::from_seed([67; 32]);
        let hash = hash.to_string();
        let (mut hostile, _) = Sister::prove(&node, "http://node.example", &identity).await;
        let receipt = sister::receipt(&identity, &hash, "http://127.0.0.1:9", |_| {});
        hostile.send(&Message::Hold(vec![receipt.as_bytes().to_vec()])).await;
        let private = [
            "10.0.0.1:6881",
            "172.16.0.1:6881",
            "192.168.1.1:6881",
            "127.0.0.1:6881",
            "169.254.169.254:80",
            "100.64.0.1:6881",
            "0.0.0.0:6881",
            "224.0.0.1:6881",
            "8.8.8.8:0",
            "[::1]:6881",
            "[fe80::1]:6881",
            "[fd00::1]:6881",
            "[::ffff:10.0.0.1]:6881",
        ];
        let peer = |address: &&str| SharedPeer {
            contact: Contact::Address(address.parse().expect("an address")),
            seed: true,
            bridge: false,
            age: 0,
        };
        let refused: Vec<SharedPeer> = private.iter().map(peer).collect();
        hostile.send(&gained(&hash, &refused)).await;
        eventually("all are refused", SHORT, async || {
            metric(&node, "mesh_refused_addresses").await == Some(private.len() as u64)
        })
        .await;
        assert_eq!(metric(&node, "mesh_gained").await, Some(0));

        // One address plants 3,000 torrents as fast as it can; another one plants its own meanwhile.
        let begun = Instant::now();
        let flood = async {
            let mut taken = 0;
            for number in 0..3_000_u32 {
                let mut hash = [7; 20];
                hash[..4].copy_from_slice(&number.to_be_bytes());
                taken += u32::from(plant(&InfoHash(hash), "198.51.100.66").await.starts_with("25:"));
            }
            taken
        };
        let honest = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let asked = Instant::now();
            let said = plant(&InfoHash([0x5b; 20]), "198.51.100.2").await;
            (said, asked.elapsed())
        };
        let (taken, (said, waited)) = tokio::join!(flood, honest);
        let minutes = begun.elapsed().as_secs_f64() / 60.0;
        println!("of 3,000 plants {taken} were taken in {minutes:.2} min; an honest one waited {waited:?}");
        assert_eq!(said, "25:File successfully planted");
        assert!(waited < Duration::from_secs(2), "{waited:?}");
        assert!(f64::from(taken) <= 121.0 + 120.0 * minutes, "{taken}");
        assert_eq!(metric(&node, "planted_torrents").await, Some(u64::from(taken) + 2));
        let held_back = metric(&node, "requests_held_back").await.expect("a counter");
        assert_eq!(held_back, u64::from(3_000 - taken));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tab_that_sends_a_thousand_offers_reaches_others_with_forty_and_disturbs_nobody() {
    use anatomic_wire::tracker::websocket::{ClientMessage, Offer, OfferId, ServerMessage, WsAnnounce};
    use futures_util::{SinkExt as _, StreamExt as _};
    use tokio_tungstenite::tungstenite::Message as Frame;

    scene::run(async |s| {
        let node = Anatomic::start(s, "node", "node", &[]).await;
        let hash = InfoHash([0x5c; 20]);
        let escaped = ask::escaped(&hash.to_string());
        ask::get(&node, &format!("/plant?plant={escaped}")).await.expect("it plants");
        let announce = |peer: u8, offers: u16, from: u16| WsAnnounce {
            info_hash: hash,
            peer_id: PeerId([peer; 20]),
            uploaded: 0,
            downloaded: 0,
            left: Some(1),
            event: None,
            want: Some(10),
            tracker_id: None,
            // All of them are for other tabs.
            for_node: Some(0),
            offers: (from..from + offers)
                .map(|number| {
                    let mut id = [peer; 20];
                    id[..2].copy_from_slice(&number.to_be_bytes());
                    Offer { id: OfferId(id), sdp: "v=0\r\n".into() }
                })
                .collect(),
        };
        let connect = async || tokio_tungstenite::connect_async(node.websocket()).await.expect("a socket").0;
        let mut victims = Vec::new();
        for peer in 1..=4 {
            let mut socket = connect().await;
            let message = ClientMessage::Announce(announce(peer, 0, 0)).encode();
            socket.send(Frame::text(message)).await.expect("it takes it");
            // Counts the offers of each peer, and answers nothing.
            victims.push(tokio::spawn(async move {
                let mut offers = std::collections::HashMap::<u8, u32>::new();
                let end = Instant::now() + Duration::from_secs(12);
                while let Ok(Some(Ok(frame))) = tokio::time::timeout_at(end, socket.next()).await {
                    if let Frame::Text(text) = frame
                        && let Some(ServerMessage::Offer { peer_id, .. }) =
                            ServerMessage::decode(text.as_bytes())
                    {
                        *offers.entry(peer_id.0[0]).or_default() += 1;
                    }
                }
                offers
            }));
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        // One message with a thousand, and a hundred messages with ten.
        let mut hostile = connect().await;
        let all = ClientMessage::Announce(announce(66, 1_000, 0)).encode();
        println!("a thousand offers are {} bytes", all.len());
        hostile.send(Frame::text(all)).await.expect("sent");
        let mut hostile = connect().await;
        let begun = Instant::now();
        for message in 0..100 {
            let message = ClientMessage::Announce(announce(66, 10, message * 10)).encode();
            hostile.send(Frame::text(message)).await.expect("sent");
        }
        // An honest tab comes in the middle of it.
        let mut honest = connect().await;
        let message = ClientMessage::Announce(announce(9, 4, 0)).encode();
        honest.send(Frame::text(message)).await.expect("sent");
        let reply = tokio::time::timeout(Duration::from_secs(5), honest.next()).await;
        assert!(matches!(reply, Ok(Some(Ok(Frame::Text(_))))), "it is answered: {reply:?}");
        println!("an honest tab was answered {:?} after the flood began", begun.elapsed());

        let (mut flooded, mut honest_offers) = (0, 0);
        for victim in victims {
            let offers = victim.await.expect("a victim");
            flooded += offers.get(&66).copied().unwrap_or(0);
            honest_offers += offers.get(&9).copied().unwrap_or(0);
        }
        println!(
            "others were shown {flooded} of the thousand offers, and {honest_offers} of the honest tab's four"
        );
        // Forty unanswered ones a tab and swarm within two minutes.
        assert!(flooded <= 40, "{flooded}");
        // One of four went perhaps to the hostile tab.
        assert!(honest_offers >= 3, "{honest_offers}");
        assert!(metric(&node, "tracker_offers_dropped").await.expect("a counter") >= 950);
        drop((hostile, honest));
    })
    .await;
}
