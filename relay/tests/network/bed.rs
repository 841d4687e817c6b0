//! A node, a supernode or both on a free port of the loopback, and a browser's socket to it.
//!
//! Built of the same parts as `anatomic up`, without its process.

use anatomic_core::address::Policy;
use anatomic_core::{InfoHash, Metainfo, PeerId};
use anatomic_mesh::Identity;
use anatomic_mesh::api::{Limits, Planting as WhoMayPlant};
use anatomic_relay::bridge;
use anatomic_relay::http::about::About;
use anatomic_relay::http::pace::Pace;
use anatomic_relay::http::page::Page;
use anatomic_relay::http::{App, server};
use anatomic_relay::node::{Planting, planting, register};
use anatomic_relay::supernode::{Index, Supernode};
use anatomic_relay::tracker::{self, Proxies, Swarms, Tracker, swarms};
use anatomic_wire::tracker::websocket::{ClientMessage, Offer, OfferId, ServerMessage, WsAnnounce};
use futures_util::{SinkExt as _, StreamExt as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// What a process is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Node,
    Supernode,
    Both,
}

/// A running process.
pub(crate) struct Process {
    pub(crate) url: String,
    app: Arc<App>,
    folder: PathBuf,
}

static STARTED: AtomicU8 = AtomicU8::new(1);

impl Process {
    pub(crate) async fn start(kind: Kind) -> Self {
        Self::start_at(kind, vec![]).await
    }

    /// Starts a process that knows these supernodes.
    pub(crate) async fn start_at(kind: Kind, supernodes: Vec<String>) -> Self {
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("anatomic-network-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let identity = Identity::from_seed([number; 32]);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let node = (kind != Kind::Supernode).then(|| {
            let settings = planting::Settings {
                policy: WhoMayPlant::Open,
                planters: vec![],
                open_bridge: false,
                track_any: false,
                url: url.clone(),
                limits: Limits::default(),
                folder: folder.join("planted"),
            };
            let planting = Planting::open(settings, identity.clone()).unwrap();
            let store = Arc::new(Swarms::new(swarms::Limits::default(), 1));
            let tracker = Tracker::new(tracker::Config::default(), store, planting.clone());
            (planting, tracker)
        });
        let supernode = if kind == Kind::Node {
            None
        } else {
            let index = Index::open(&folder.join("index.sqlite")).await.unwrap();
            Some(Supernode::new(index, identity.clone(), url.clone(), Policy::PrivateNetwork, 1))
        };
        let app = Arc::new(App {
            about: About { identity, url: url.clone(), supernodes, udp_tracker: None, tcp: None, stun: None },
            mesh: None,
            bridge: None,
            budget: None,
            fleet: None,
            tracker: node.as_ref().map(|(_, tracker)| tracker.clone()),
            planting: node.map(|(planting, _)| planting),
            supernode,
            blocks: None,
            page: Some(Page::new(None)),
            proxies: Proxies::default(),
            max_connections: 1_000,
            pace: Pace::per_minute(100),
        });
        if let (Some(supernode), Some(entry)) = (&app.supernode, app.node_entry()) {
            supernode.list(&entry).await.unwrap();
        }
        tokio::spawn(server::serve(listener, app.clone(), std::future::pending()));
        Self { url, app, folder }
    }

    pub(crate) async fn register_at(&self, supernode: &Self) {
        register::register(&anatomic_relay::tls::http().build().unwrap(), &supernode.url, &self.url)
            .await
            .unwrap();
    }

    /// Follows another supernode from now on.
    pub(crate) fn follow(&self, other: &Self) {
        let supernode = self.app.supernode.clone().unwrap();
        tokio::spawn(supernode.follow_forever(vec![other.url.clone()]));
    }

    /// The index file is gone, and the process starts anew with the same key on another port.
    pub(crate) async fn lose_index(&mut self) {
        self.app.supernode.as_ref().unwrap().close().await;
        for name in ["index.sqlite", "index.sqlite-wal", "index.sqlite-shm"] {
            let _ = std::fs::remove_file(self.folder.join(name));
        }
        let identity = self.app.about.identity.clone();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        self.url = format!("http://{}", listener.local_addr().unwrap());
        let index = Index::open(&self.folder.join("index.sqlite")).await.unwrap();
        let url = self.url.clone();
        let supernode = Supernode::new(index, identity.clone(), url.clone(), Policy::PrivateNetwork, 1);
        self.app = Arc::new(App {
            about: About { identity, url, supernodes: vec![], tcp: None, stun: None, udp_tracker: None },
            mesh: None,
            bridge: None,
            budget: None,
            fleet: None,
            tracker: None,
            planting: None,
            supernode: Some(supernode),
            blocks: None,
            page: Some(Page::new(None)),
            proxies: Proxies::default(),
            max_connections: 1_000,
            pace: Pace::per_minute(100),
        });
        tokio::spawn(server::serve(listener, self.app.clone(), std::future::pending()));
    }

    /// Starts the node's own peer.
    pub(crate) async fn bridge(&self) -> bridge::Bridge {
        let settings = bridge::Settings {
            supernodes: Vec::new(),
            tcp: Some("127.0.0.1:0".parse().unwrap()),
            udp: Some("127.0.0.1:0".parse().unwrap()),
            utp: true,
            host: [127, 0, 0, 1].into(),
            announce_ip: vec![],
            network: Policy::PrivateNetwork,
            certificate: self.folder.join("dtls.pem"),
            sent: anatomic_relay::budget::Sent::default(),
        };
        let (planting, tracker) = (self.app.planting.clone().unwrap(), self.app.tracker.clone().unwrap());
        bridge::start(settings, planting, tracker).await.unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A browser's socket.
pub(crate) struct Browser(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Browser {
    pub(crate) async fn connect(node: &Process) -> Self {
        let url = format!("{}/", node.url.replacen("http", "ws", 1));
        Self(tokio_tungstenite::connect_async(url).await.unwrap().0)
    }

    pub(crate) async fn send(&mut self, message: &ClientMessage) {
        self.send_text(&message.encode()).await;
    }

    pub(crate) async fn send_text(&mut self, text: &str) {
        self.0.send(Message::text(text)).await.unwrap();
    }

    pub(crate) async fn send_binary(&mut self, message: &ClientMessage) {
        self.0.send(Message::binary(message.encode().into_bytes())).await.unwrap();
    }

    pub(crate) async fn next(&mut self) -> ServerMessage {
        loop {
            let message = tokio::time::timeout(Duration::from_secs(20), self.0.next());
            match message.await.expect("a message in time").unwrap().unwrap() {
                Message::Text(text) => {
                    return ServerMessage::decode(text.as_bytes()).expect("a tracker's message");
                }
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }
}

/// The torrent that the tests plant.
pub(crate) fn metainfo() -> Metainfo {
    let info = format!("d6:lengthi5e4:name1:a12:piece lengthi16384e6:pieces20:{}e", "h".repeat(20));
    Metainfo::from_info(info.into(), Vec::new(), Vec::new()).unwrap()
}

pub(crate) fn planter_identity() -> Identity {
    Identity::from_seed([200; 32])
}

/// A leech's announce with so many offers.
pub(crate) fn announce(info_hash: InfoHash, peer: u8, offers: u8) -> WsAnnounce {
    WsAnnounce {
        info_hash,
        peer_id: PeerId([peer; 20]),
        uploaded: 0,
        downloaded: 0,
        left: None,
        event: None,
        want: None,
        tracker_id: None,
        for_node: None,
        offers: (0..offers).map(|id| Offer { id: OfferId([id; 20]), sdp: "offer".into() }).collect(),
    }
}
