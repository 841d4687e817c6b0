//! Several nodes and supernodes as real processes: sisters share their peers, pass offers on, and replace whom they lose.
//!
//! Planting, receipts and search have tests of their own; here swarms live on more than one node.

use anatomic_tests::prelude::*;
use std::path::Path;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::Instant;

/// Nodes and their supernodes.
struct Network {
    supernodes: Vec<Anatomic>,
    nodes: Vec<Anatomic>,
}

impl Network {
    async fn start(s: &Scene, supernodes: usize, nodes: usize) -> Self {
        let mut network = Self { supernodes: Vec::new(), nodes: Vec::new() };
        for number in 0..supernodes {
            let name = format!("supernode{number}");
            network.supernodes.push(Anatomic::start(s, &name, "supernode", &[]).await);
        }
        let urls: Vec<String> = network.supernodes.iter().map(Anatomic::url).collect();
        let options: Vec<&str> = urls.iter().flat_map(|url| ["--supernode", url]).collect();
        for number in 0..nodes {
            let name = format!("node{number}");
            network.nodes.push(Anatomic::start(s, &name, "node", &options).await);
        }
        network
    }

    /// Plants on three nodes by all supernodes; returns the answer and which nodes hold it now.
    async fn plant(&self, s: &Scene, what: &Path, out: &Path) -> (Value, Vec<usize>) {
        let out = out.display().to_string();
        let others: Vec<String> = self.supernodes.iter().skip(1).map(Anatomic::url).collect();
        let mut options = vec!["--nodes", "3", "-o", &out];
        options.extend(others.iter().flat_map(|url| ["--supernode", url.as_str()]));
        let planted = self.supernodes[0].plant(s, what, &options).await;
        let mut holders = Vec::new();
        for (number, node) in self.nodes.iter().enumerate() {
            if metric(node, "planted_torrents").await == Some(1) {
                holders.push(number);
            }
        }
        assert_eq!(holders.len(), 3, "{planted}");
        (planted, holders)
    }

    /// Waits until each of these nodes has a connection to each other one.
    async fn whole(&self, nodes: &[usize], limit: Duration) -> Duration {
        let begun = Instant::now();
        loop {
            let mut connected = Vec::new();
            for node in nodes {
                connected.push(metric(&self.nodes[*node], "sisters_connected").await.unwrap_or(0));
            }
            if connected.iter().all(|count| *count + 1 >= nodes.len() as u64) {
                return begun.elapsed();
            }
            assert!(begun.elapsed() < limit, "not whole after {limit:?}: {connected:?}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

/// The body of a plain `GET`; `None` if the node does not answer.
async fn get(node: &Anatomic, path: &str) -> Option<Vec<u8>> {
    let mut stream = TcpStream::connect(node.host()).await.ok()?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).await.ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.ok()?;
    let body = answer.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    Some(answer.split_off(body))
}

/// A figure of a node's `/metrics`; `None` if it does not answer.
async fn metric(node: &Anatomic, name: &str) -> Option<u64> {
    let text = String::from_utf8(get(node, "/metrics").await?).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("anatomic_{name} ")))?;
    line.trim().parse().ok()
}

/// Announces a classic peer at a node; returns the reply's bytes.
async fn announce(node: &Anatomic, info_hash: &str, port: u16, left: u64) -> Vec<u8> {
    let hash: String = info_hash
        .as_bytes()
        .chunks(2)
        .map(|pair| format!("%{}{}", char::from(pair[0]), char::from(pair[1])))
        .collect();
    let path = format!(
        "/announce?info_hash={hash}&peer_id=-XX0000-000000000000&port={port}&uploaded=0&downloaded=0&left={left}&compact=1"
    );
    get(node, &path).await.expect("an answer")
}

fn names(reply: &[u8], port: u16) -> bool {
    let [high, low] = port.to_be_bytes();
    reply.windows(6).any(|window| window == [127, 0, 0, 1, high, low])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_seed_that_announces_at_one_node_is_found_by_a_leech_that_asks_another() {
    scene::run(async |s| {
        let network = Network::start(s, 1, 3).await;
        let home = s.folder("content");
        let digest = content::file(&home.join("a.bin"), 71, 8 * MIB + 7);
        let original = torrent::make(&home.join("a.bin"), &s.path("a.torrent"), &[], 64);
        let (planted, holders) = network.plant(s, &original.path, &s.path("planted.torrent")).await;
        let whole = network.whole(&holders, SHORT).await;
        println!("the mesh was whole {whole:?} after planting");
        let link = planted["link"].as_str().expect("a link");
        for node in &holders {
            let tracker = network.nodes[*node].websocket().replace(':', "%3A").replace('/', "%2F");
            assert!(link.contains(&tracker), "{link} names {tracker}");
        }

        // A seed at the first is known at the third soon, though nobody waits there.
        let (one, three) = (&network.nodes[holders[0]], &network.nodes[holders[2]]);
        announce(one, &original.info_hash, 7_001, 0).await;
        let begun = Instant::now();
        while !names(&announce(three, &original.info_hash, 0, 1).await, 7_001) {
            assert!(begun.elapsed() < Duration::from_secs(15), "known within fifteen seconds");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        println!("a seed was known after {:?}", begun.elapsed());

        // A real seed and a real leech, each with one tracker only.
        let only = |node: &Anatomic, name: &str| {
            torrent::make(&home.join("a.bin"), &s.path(name), &[&node.announce()], 64)
        };
        let (at_one, at_three) = (only(one, "one.torrent"), only(three, "three.torrent"));
        let _seed = aria2::seed(s, "seed", &at_one.path, &home);
        let into = s.folder("into");
        aria2::download(s, "leech", &at_three.path.display().to_string(), &into, TRANSFER).await;
        assert_eq!(content::sha256(&into.join("a.bin")), digest);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_nodes_are_replaced_while_downloads_go_on_and_newcomers_find_the_swarm() {
    scene::run_within(Duration::from_secs(480), async |s| {
        let mut network = Network::start(s, 2, 5).await;
        let home = s.folder("content");
        let digest = content::file(&home.join("a.bin"), 72, 24 * MIB + 7);
        let original = torrent::make(&home.join("a.bin"), &s.path("a.torrent"), &[], 64);
        let planted = s.path("planted.torrent");
        let (_, holders) = network.plant(s, &original.path, &planted).await;
        network.whole(&holders, SHORT).await;

        let _seed = aria2::seed(s, "seed", &planted, &home);
        let planted = planted.display().to_string();
        let into = s.folder("slow");
        let mut slow = aria2::start(s, "slow", &planted, &into, &["--max-download-limit=300K"]);
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert!(slow.is_running());

        // One node of three and one supernode of two.
        network.nodes[holders[0]].process().kill().await;
        network.supernodes[0].process().kill().await;
        let killed = Instant::now();
        let early = s.folder("early");
        aria2::download(s, "early", &planted, &early, TRANSFER).await;
        assert_eq!(content::sha256(&early.join("a.bin")), digest);

        // Another node takes its place, and the three are connected.
        let newcomer = loop {
            let mut found = None;
            for number in 0..5 {
                if !holders.contains(&number)
                    && metric(&network.nodes[number], "planted_torrents").await == Some(1)
                {
                    found = Some(number);
                }
            }
            if let Some(found) = found {
                break found;
            }
            assert!(killed.elapsed() < Duration::from_secs(140), "replaced within about two minutes");
            tokio::time::sleep(Duration::from_secs(1)).await;
        };
        let rest = [holders[1], holders[2], newcomer];
        network.whole(&rest, Duration::from_secs(30)).await;
        println!("the mesh was whole again {:?} after the kill", killed.elapsed());
        assert!(killed.elapsed() < Duration::from_secs(140), "{:?}", killed.elapsed());

        // The two that are left of the first three die too: the newcomer knows the swarm.
        let known = Instant::now();
        while metric(&network.nodes[newcomer], "mesh_gained").await.unwrap_or(0) == 0 {
            assert!(known.elapsed() < Duration::from_secs(30), "the newcomer is told of the seed");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        network.nodes[holders[1]].process().kill().await;
        network.nodes[holders[2]].process().kill().await;
        let late = s.folder("late");
        let only = torrent::make(
            &home.join("a.bin"),
            &s.path("late.torrent"),
            &[&network.nodes[newcomer].announce()],
            64,
        );
        aria2::download(s, "late", &only.path.display().to_string(), &late, TRANSFER).await;
        assert_eq!(content::sha256(&late.join("a.bin")), digest);
        assert!(slow.wait(TRANSFER).await.success(), "{}", slow.log().tail());
        assert_eq!(content::sha256(&into.join("a.bin")), digest);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_all_supernodes_dead_links_work_and_restarted_nodes_meet_again() {
    scene::run(async |s| {
        let mut network = Network::start(s, 1, 3).await;
        let home = s.folder("content");
        let digest = content::file(&home.join("a.bin"), 73, 4 * MIB + 7);
        let original = torrent::make(&home.join("a.bin"), &s.path("a.torrent"), &[], 64);
        let planted = s.path("planted.torrent");
        let (answer, holders) = network.plant(s, &original.path, &planted).await;
        network.whole(&holders, SHORT).await;
        network.supernodes[0].process().kill().await;

        // All nodes end and come back: they find each other by what they kept.
        for node in &holders {
            network.nodes[*node].process().interrupt().await;
            network.nodes[*node].process().wait(SHORT).await;
        }
        for node in &holders {
            network.nodes[*node].restart(s).await;
        }
        let whole = network.whole(&holders, SHORT).await;
        println!("the mesh was whole {whole:?} after all nodes had been restarted");

        let _seed = aria2::seed(s, "seed", &planted, &home);
        let into = s.folder("into");
        let link = answer["link"].as_str().expect("a link");
        let into_text = into.display().to_string();
        let args = ["get", link, "-o", into_text.as_str(), "--no-seed", "--json"];
        let _ = anatomic::run(s, "get", &args).await.success();
        assert_eq!(content::sha256(&into.join("a.bin")), digest);
    })
    .await;
}
