//! A supernode that proves its key as every supernode does, and lies about everything else.
//!
//! Our own because no program of ours does so on request. It answers by hand on a socket and shares with the relay only the
//! types of the protocol.

use anatomic_core::InfoHash;
use anatomic_mesh::api::{
    Announce, Directory, FeedEntry, FeedKind, FeedPage, Found, HexBytes, Hit, Indexed, Lookup, NodeEntry,
    Offer, Planting, Registered, Reported, Role, SupernodeEntry, WellKnown, paths,
};
use anatomic_mesh::counts::Peers;
use anatomic_mesh::feed::{FeedHead, digest};
use anatomic_mesh::{Identity, Key, Proof, Signed, VERSION};
use serde::Serialize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

use crate::sister;

/// Receipts on a page of its feed.
const PAGE: u64 = 500;
/// Pages that it gives at once; then it takes its time.
const QUICK: u64 = 3;

/// A running liar. Dropping it stops it.
pub struct LyingSupernode {
    shared: Arc<Shared>,
    task: AbortHandle,
}

struct Shared {
    identity: Identity,
    url: String,
    other: Vec<u8>,
    requests: AtomicU64,
    pages: AtomicU64,
}

impl LyingSupernode {
    /// Starts it on 127.0.0.1; `other` is the torrent file that it gives whatever is asked for.
    ///
    /// # Panics
    /// When no port is free.
    pub async fn start(other: Vec<u8>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let shared = Arc::new(Shared {
            identity: Identity::from_seed([90; 32]),
            url,
            other,
            requests: AtomicU64::new(0),
            pages: AtomicU64::new(0),
        });
        let task = tokio::spawn({
            let shared = shared.clone();
            async move {
                while let Ok((socket, _)) = listener.accept().await {
                    tokio::spawn(serve(socket, shared.clone()));
                }
            }
        });
        Self { shared, task: task.abort_handle() }
    }

    /// Its scheme and host.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.shared.url
    }

    /// How many requests came, and how many of them for its feed.
    #[must_use]
    pub fn asked(&self) -> (u64, u64) {
        (self.shared.requests.load(Ordering::Relaxed), self.shared.pages.load(Ordering::Relaxed))
    }
}

impl Drop for LyingSupernode {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One request a connection.
async fn serve(mut socket: TcpStream, shared: Arc<Shared>) -> Option<()> {
    let mut request = Vec::new();
    let head_end = loop {
        if let Some(at) = request.windows(4).position(|end| end == b"\r\n\r\n") {
            break at + 4;
        }
        if request.len() > 65_536 || socket.read_buf(&mut request).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8_lossy(&request[..head_end]).to_lowercase();
    let length =
        head.split("content-length:").nth(1).and_then(|rest| rest.lines().next()?.trim().parse().ok());
    let mut left = length.unwrap_or(0_usize).saturating_sub(request.len() - head_end);
    let mut sink = vec![0; 65_536];
    while left > 0 {
        let read = socket.read(&mut sink).await.ok()?;
        left = left.saturating_sub(read.max(1));
    }
    let line = String::from_utf8_lossy(&request).lines().next()?.to_owned();
    let mut words = line.split(' ');
    let (method, target) = (words.next()?, words.next()?);
    shared.requests.fetch_add(1, Ordering::Relaxed);
    let body = shared.answer(method, target).await;
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    socket.write_all(head.as_bytes()).await.ok()?;
    socket.write_all(&body).await.ok()?;
    socket.shutdown().await.ok()
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("JSON")
}

/// A node that nobody has ever seen, at a port where nobody is.
fn invented(number: u64) -> (Identity, NodeEntry) {
    let mut seed = [91; 32];
    seed[..8].copy_from_slice(&number.to_be_bytes());
    let identity = Identity::from_seed(seed);
    let url = format!("http://127.0.0.1:{}", 1 + number % 8);
    let announce = Announce {
        http: Some(format!("{url}/announce")),
        udp: None,
        websocket: Some(url.replacen("http", "ws", 1)),
    };
    let node = NodeEntry {
        key: identity.key(),
        url,
        announce,
        tcp: None,
        stun: None,
        planting: Planting::Open,
        free: Some(1_000_000),
        seen: Some(0),
    };
    (identity, node)
}

/// An info-hash that nobody has planted.
fn hash(number: u64) -> InfoHash {
    let mut bytes = [0x77; 20];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    InfoHash(bytes)
}

fn supernodes(count: u64) -> Vec<SupernodeEntry> {
    let entry = |number| {
        let (identity, node) = invented(number);
        SupernodeEntry { key: identity.key(), url: node.url, seen: Some(0) }
    };
    (0..count).map(entry).collect()
}

impl Shared {
    async fn answer(&self, method: &str, target: &str) -> Vec<u8> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let value = |name: &str| {
            query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=').map(str::to_owned))
        };
        if path == paths::WELL_KNOWN {
            return json(&self.well_known(value("challenge")));
        }
        if path == paths::FEED {
            let since = value("since").and_then(|since| since.parse().ok()).unwrap_or(0);
            let page = self.pages.fetch_add(1, Ordering::Relaxed);
            if page >= QUICK {
                tokio::time::sleep(Duration::from_secs(15)).await;
            }
            return tokio::task::block_in_place(|| json(&self.feed(since)));
        }
        if path == paths::DIRECTORY {
            let nodes = (0..1_000).map(|number| invented(number).1).collect();
            return json(&Directory { nodes, supernodes: supernodes(100) });
        }
        if path == paths::SEARCH {
            return json(&self.found());
        }
        if let Some(name) = path.strip_prefix(&format!("{}/", paths::TORRENTS)) {
            // It takes its time and then says something else.
            tokio::time::sleep(Duration::from_secs(3)).await;
            return match InfoHash::from_hex(name) {
                Some(asked) => json(&self.lookup(asked)),
                None => self.other.clone(),
            };
        }
        if let Some(key) = path.strip_prefix(&format!("{}/", paths::NODES)) {
            // Somebody's key at somebody else's address.
            let key: Option<Key> = key.parse().ok();
            let node = invented(1).1;
            return json(&NodeEntry { key: key.unwrap_or(node.key), ..node });
        }
        match (method, path) {
            ("POST", paths::NODES) => json(&Registered {
                key: self.identity.key(),
                index: "77".repeat(8),
                supernodes: supernodes(100),
            }),
            (_, paths::NODES) => json(&Offer {
                nodes: (0..8).map(|number| invented(number).1).collect(),
                supernodes: supernodes(100),
            }),
            ("POST", paths::RECEIPTS) => json(&Indexed { accepted: 1_000, refused: Vec::new() }),
            ("POST", paths::REPORTS) => json(&Reported { accepted: 1_000, refused: Vec::new() }),
            _ => b"\"everything is fine\"".to_vec(),
        }
    }

    /// The truth: without it nobody would ask.
    fn well_known(&self, challenge: Option<String>) -> WellKnown {
        let proof = challenge.map(|challenge| {
            let (key, url) = (self.identity.key(), self.url.clone());
            let proof = Proof { key, url, challenge, issued: sister::now() };
            Signed::new(proof, &self.identity).expect("its own proof")
        });
        WellKnown {
            version: VERSION,
            software: "a liar".into(),
            key: self.identity.key(),
            roles: vec![Role::Supernode],
            node: None,
            supernode: Some(SupernodeEntry { key: self.identity.key(), url: self.url.clone(), seen: None }),
            supernodes: Vec::new(),
            limits: anatomic_mesh::api::Limits::default(),
            proof,
        }
    }

    /// Receipts without end, each well signed, by nodes that are not there; among them one of another torrent's file.
    fn feed(&self, since: u64) -> FeedPage {
        let entry = |number: u64| {
            let (identity, node) = invented(number);
            let receipt = sister::receipt(&identity, &hash(number).to_string(), &node.url, |_| {});
            let torrent =
                number.is_multiple_of(100).then(|| anatomic_mesh::api::TorrentFile(self.other.clone()));
            FeedEntry {
                seq: number,
                kind: FeedKind::Receipt,
                statement: HexBytes(receipt.as_bytes().to_vec()),
                torrent,
                name: Some(format!("whale number {number}")),
                length: Some(1),
            }
        };
        let entries: Vec<FeedEntry> = (since + 1..=since + PAGE).map(entry).collect();
        let head = FeedHead {
            supernode: self.identity.key(),
            index: [0x77; 8],
            since,
            next: since + PAGE,
            digest: digest(&entries),
            issued: sister::now(),
        };
        let head = Signed::new(head, &self.identity).expect("its own head");
        FeedPage { head, entries, more: true }
    }

    fn found(&self) -> Found {
        let hit = |number: u64| Hit {
            info_hash: hash(number),
            name: Some(format!("whale number {number}")),
            length: Some(1),
            files: Some(1),
            magnet: format!("magnet:?xt=urn:btih:{}", hash(number)),
            tabs: Peers { seeds: 9_999, leeches: 0 },
            classic: Peers { seeds: 9_999, leeches: 0 },
            seed_seen: Some(0),
        };
        Found { supernode: self.identity.key(), hits: (0..100).map(hit).collect(), more: true }
    }

    /// Wrong nodes, receipts of nodes that are not there, another torrent's magnet.
    fn lookup(&self, asked: InfoHash) -> Lookup {
        let nodes: Vec<_> = (0..8).map(invented).collect();
        let receipts = nodes
            .iter()
            .map(|(identity, node)| sister::receipt(identity, &asked.to_string(), &node.url, |_| {}));
        Lookup {
            info_hash: asked,
            info_hash_v2: None,
            name: Some("whale number 0".into()),
            length: Some(1),
            files: Some(1),
            magnet: format!("magnet:?xt=urn:btih:{}&tr=http://127.0.0.1:1/announce", hash(0)),
            torrent: Some(format!("{}/{asked}.torrent", paths::TORRENTS)),
            seeds: 9_999,
            leeches: 0,
            seed_seen: Some(0),
            swarm: None,
            receipts: receipts.collect(),
            nodes: nodes.into_iter().map(|(_, node)| node).collect(),
        }
    }
}
