//! The programs of 2005: an old planter, an old node, an old client and an ordinary one, byte for byte on a socket.
//!
//! The old programs need Python 2 and PHP 4; what they sent is written down here as they sent it. Rules of today's calls are
//! in `network.rs`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[allow(dead_code, reason = "shared with the tests of today's calls")]
mod network {
    pub(crate) mod bed;
}

use anatomic_core::InfoHash;
use anatomic_core::address::Policy;
use anatomic_relay::supernode::{Index, Supernode};
use network::bed::{Kind, Process};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const HASH: InfoHash = InfoHash([0xa1; 20]);

fn hash() -> String {
    "%A1".repeat(20)
}

/// What an old program gets for a path: status, the whole head, body.
async fn old(process: &Process, path: &str) -> (u16, String, Vec<u8>) {
    let host = process.url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(host).await.unwrap();
    // As httplib of Python 2.4 wrote it for zurllib.
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept-Encoding: identity\r\n\
         User-agent: Anatomic P2P (Main)/0.1 RC1\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(answer[..end].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head, answer[end + 4..].to_vec())
}

async fn body(process: &Process, path: &str) -> String {
    let (status, _, body) = old(process, path).await;
    assert_eq!(status, 200, "{path}");
    String::from_utf8_lossy(&body).into_owned()
}

fn bencoded(text: &str) -> String {
    format!("{}:{text}", text.len())
}

/// What an old client is told of the torrent's nodes, once the node's own word has reached the supernode.
async fn pulled(supernode: &Process) -> String {
    for _ in 0..50 {
        let nodes = body(supernode, &format!("/cache.php?pull={}", hash())).await;
        if nodes != "5:FALSE" {
            return nodes;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    "5:FALSE".into()
}

#[tokio::test]
async fn an_old_planter_plants_on_one_node_and_an_old_client_finds_it() {
    let supernode = Process::start(Kind::Supernode).await;
    let node = Process::start_at(Kind::Node, vec![supernode.url.clone()]).await;
    node.register_at(&supernode).await;
    let announce = format!("{}/announce", node.url);

    // The planter: a node, plant, tell two supernodes.
    assert_eq!(body(&supernode, "/cache.php?ping=1").await, "PONG");
    assert_eq!(body(&supernode, "/cache.php?plant=1").await, bencoded(&announce));
    assert_eq!(body(&node, "/announce.php?ping=1").await, "PONG");
    let planted = body(&node, &format!("/plant.php?plant={}&client=1", hash())).await;
    assert_eq!(planted, "25:File successfully planted");
    let told = body(&supernode, &format!("/cache.php?tpush={announce}.php&client=1")).await;
    assert_eq!(told, "4:TRUE");
    // An old planter took "already planted" for an error; planting is idempotent now.
    assert_eq!(body(&node, &format!("/plant?plant={}", hash())).await, "25:File successfully planted");
    assert_eq!(body(&node, "/request.php").await, format!("l40:{HASH}e"));
    assert_eq!(body(&node, "/request?ping=1").await, "PONG");

    // The client: who holds it?
    assert_eq!(pulled(&supernode).await, format!("l{}e", bencoded(&announce)));
    // The ordinary client: follows the supernode's redirect, which keeps its own query.
    let query = format!("compact=1&port=6881&info_hash={}&left=0&event=started&numwant=0", hash());
    let (status, head, _) = old(&supernode, &format!("/announce.php?{query}")).await;
    assert_eq!(status, 302);
    assert!(head.contains(&format!("location: {announce}?{query}")), "{head}");
    let reply = body(&node, &format!("/announce?{query}")).await;
    assert!(reply.starts_with("d8:completei1e") && reply.contains("8:interval"), "{reply}");
    assert!(body(&node, "/scrape.php").await.contains("8:completei1e"), "the whole scrape");
    let (status, head, _) = old(&supernode, &format!("/scrape.php?info_hash={}", hash())).await;
    assert!(status == 302 && head.contains("/scrape?"), "{head}");
}

#[tokio::test]
async fn an_old_planter_plants_on_several_nodes() {
    let supernode = Process::start(Kind::Supernode).await;
    let nodes = [Process::start(Kind::Node).await, Process::start(Kind::Node).await];
    for node in &nodes {
        node.register_at(&supernode).await;
    }
    let offered = body(&supernode, "/cache.php?multiseed=2").await;
    for node in &nodes {
        assert!(offered.contains(&bencoded(&format!("{}/announce", node.url))), "{offered}");
    }
    assert_eq!(body(&supernode, "/cache.php?multiseed=3").await, "5:FALSE");
    assert_eq!(body(&supernode, "/cache.php?multiseed=9").await, "7:TOOHIGH");
    assert_eq!(body(&supernode, "/cache.php?trackers=1").await.matches("/announce").count(), 2);
    assert_eq!(
        body(&supernode, "/cache.php?strackers=1").await,
        format!("l{}e", bencoded(&format!("{}/cache", supernode.url)))
    );
    for (node, next) in [(&nodes[0], &nodes[1]), (&nodes[1], &nodes[0])] {
        let path = format!("/plant.php?multiplant={}&url={}/announce.php", hash(), next.url);
        assert_eq!(body(node, &path).await, "7:SUCCESS");
    }
}

#[tokio::test]
async fn a_stopped_event_from_a_stranger_adds_nobody() {
    let node = Process::start(Kind::Node).await;
    body(&node, &format!("/plant?plant={}", hash())).await;
    let reply = body(&node, &format!("/announce?port=1&info_hash={}&event=stopped", hash())).await;
    assert!(reply.contains("8:completei0e") && reply.contains("10:incompletei0e"), "{reply}");
    assert!(body(&node, &format!("/scrape?info_hash={}", hash())).await.contains("10:incompletei0e"));
}

#[tokio::test]
async fn a_missing_left_is_no_seed_and_a_numwant_of_zero_is_honoured() {
    let node = Process::start(Kind::Node).await;
    body(&node, &format!("/plant?plant={}", hash())).await;
    for port in [1, 2] {
        let reply = body(&node, &format!("/announce?port={port}&info_hash={}&numwant=0", hash())).await;
        assert!(reply.contains("8:completei0e") && reply.contains("5:peers0:"), "{reply}");
    }
}

#[tokio::test]
async fn nobody_announces_for_another_address() {
    let node = Process::start(Kind::Node).await;
    body(&node, &format!("/plant?plant={}", hash())).await;
    body(&node, &format!("/announce?port=1&info_hash={}&ip=9.9.9.9", hash())).await;
    let (_, _, reply) = old(&node, &format!("/announce?port=2&info_hash={}", hash())).await;
    let listed = [127, 0, 0, 1, 0, 1];
    assert!(reply.windows(6).any(|window| window == listed));
    assert!(!reply.windows(4).any(|window| window == [9, 9, 9, 9]));
}

#[tokio::test]
async fn peers_that_a_stranger_shares_enter_no_swarm() {
    let node = Process::start(Kind::Node).await;
    let share = |data: &str| format!("/multiseed.php?info_hash={}&data={data}", hash());
    let peers = "l26:9.9.9.9:6881:1:4000000000_e";
    assert_eq!(body(&node, &share(peers)).await, "EXPIRED");
    body(&node, &format!("/plant?plant={}", hash())).await;
    assert_eq!(body(&node, &share(peers)).await, "ACCEPTED");
    assert_eq!(body(&node, &share("nonsense")).await, "CORRUPT");
    assert_eq!(body(&node, "/multiseed?info_hash=short&data=le").await, "HASHFAIL");
    let reply = body(&node, &format!("/announce?port=2&info_hash={}", hash())).await;
    assert!(reply.contains("8:completei0e") && reply.contains("5:peers0:"), "{reply}");
}

#[tokio::test]
async fn a_push_of_a_private_address_is_refused() {
    let folder = std::env::temp_dir().join(format!("anatomic-classic-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let index = Index::open(&folder.join("index.sqlite")).await.unwrap();
    let identity = anatomic_mesh::Identity::from_seed([77; 32]);
    let public = Supernode::new(index, identity, "https://s.example".into(), Policy::Public, 1);
    for url in ["http://127.0.0.1:1", "http://10.0.0.1", "http://169.254.169.254", "http://localhost"] {
        let problem = public.register(url).await.unwrap_err();
        assert!(problem.detail.contains("not in the network"), "{problem}");
    }
    public.close().await;
    std::fs::remove_dir_all(&folder).unwrap();

    let supernode = Process::start(Kind::Supernode).await;
    for named in ["http://127.0.0.1:9/announce.php", "file:///etc/passwd", "http://x/admin", ""] {
        assert_eq!(body(&supernode, &format!("/cache.php?tpush={named}&client=1")).await, "5:FALSE");
        let said = body(&supernode, &format!("/cache.php?tpush={named}")).await;
        assert!(said.starts_with("Refused: "), "{said}");
    }
    assert_eq!(body(&supernode, "/cache.php?trackers=1").await, "le");
}

#[tokio::test]
async fn a_claim_without_a_receipt_redirects_nobody() {
    let supernode = Process::start(Kind::Supernode).await;
    let node = Process::start(Kind::Node).await;
    node.register_at(&supernode).await;
    assert_eq!(body(&supernode, &format!("/cache.php?pull={}", hash())).await, "5:FALSE");
    let (status, _, reply) = old(&supernode, &format!("/announce?port=1&info_hash={}", hash())).await;
    assert_eq!(status, 200);
    assert!(String::from_utf8_lossy(&reply).starts_with("d14:failure reason"));
}

#[tokio::test]
async fn a_header_cannot_be_smuggled_into_the_redirect() {
    let supernode = Process::start(Kind::Supernode).await;
    let node = Process::start_at(Kind::Node, vec![supernode.url.clone()]).await;
    node.register_at(&supernode).await;
    body(&node, &format!("/plant?plant={}", hash())).await;
    assert_ne!(pulled(&supernode).await, "5:FALSE");
    let evil = format!("/announce?port=1&info_hash={}&event=%0D%0ASet-Cookie:x", hash());
    let (_, head, _) = old(&supernode, &evil).await;
    assert!(!head.to_lowercase().contains("\nset-cookie"), "{head}");
}

#[tokio::test]
async fn what_old_programs_abused_is_gone_and_their_page_has_moved() {
    let node = Process::start(Kind::Both).await;
    assert_eq!(old(&node, &format!("/force?info_hash={HASH}")).await.0, 410);
    let (status, head, _) = old(&node, "/index.php").await;
    assert!(status == 302 && head.contains("location: /"), "{head}");
    assert!(body(&node, "/plant?plant=short").await.contains("failure reason"));
}
