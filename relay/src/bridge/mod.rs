//! The node's own peer: one driver that bridges what is planted here, and seeds what the node itself stores.
//!
//! Switches no blocks: the engine's bridge mode does. Here a planted torrent enters the engine when a browser comes for it
//! and leaves some time after the last one went, since without browsers there is nothing to bridge; its classic peers come
//! from the tracker's swarms, and browsers' first offers are answered.

mod follow;
mod rest;
mod settings;

pub use settings::Settings;

use crate::budget::Level;
use crate::driver::{self, Handle, SessionError};
use crate::node::{PlantedTorrent, Planting};
use crate::tracker::node_peer::AnswerFuture;
use crate::tracker::{NodePeer, Tracker};
use crate::webrtc::{Counters, Endpoint};
use anatomic_core::{InfoHash, Magnet, Metainfo, PeerId};
use anatomic_engine::{
    AddTorrent, Hosts, Mode, PeerView, Source, Start, TorrentKey, TorrentSource, TorrentView, Transport,
};
use anatomic_mesh::api::Connected;
use anatomic_mesh::counts::Peers;
use std::collections::{HashMap, HashSet};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::AtomicU8;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};
use tracing::{debug, warn};

/// Classic peers of a swarm that are given to the engine at a time.
const CLASSIC_PEERS: usize = 200;
/// Connections that the node keeps with one browser in one swarm. Ours opens more than one where that is faster.
const CONNECTIONS: usize = 4;
/// An answered offer counts as a connection until the engine knows it, or for this long.
const OPENING: Duration = Duration::from_secs(15);
/// A torrent without browsers stays in the engine for this long: they may only have lost their sockets.
const LINGER: Duration = Duration::from_secs(60);
/// Torrents that are bridged without being planted, with an open bridge.
const MAX_UNPLANTED: usize = 1_000;

/// A running bridge. Clones share it.
#[derive(Clone)]
pub struct Bridge {
    shared: Arc<Shared>,
}

struct Shared {
    session: Handle,
    endpoint: Endpoint,
    /// Whom peers are told of: ourselves, and our supernodes.
    hosts: Hosts,
    planting: Arc<Planting>,
    tracker: Arc<Tracker>,
    /// Torrents in the engine.
    torrents: RwLock<HashMap<InfoHash, Torrent>>,
    /// Browsers by the peer id that the tracker knows, and when each of their connections was answered.
    browsers: Mutex<HashMap<(InfoHash, PeerId), Vec<Instant>>>,
    /// Connections with browsers that the engine knows, as last looked at.
    connected: RwLock<HashMap<(InfoHash, PeerId), usize>>,
    /// Connections by kind, as last looked at.
    kinds: RwLock<HashMap<InfoHash, Connected>>,
    /// How much of the node's budgets is left, as [`Level`].
    level: AtomicU8,
}

#[derive(Clone, Copy)]
struct Torrent {
    key: TorrentKey,
    stored: bool,
    /// Whether its metadata were known when it was added, or became so.
    has_metadata: bool,
    /// When a browser was last seen in its swarm, or its metadata were still missing.
    needed: Instant,
}

/// Starts the bridge: binds its ports, adds what is planted, and becomes the tracker's own peer.
///
/// # Errors
/// When a port cannot be bound or a thread cannot be started.
pub async fn start(settings: Settings, planting: Arc<Planting>, tracker: Arc<Tracker>) -> io::Result<Bridge> {
    let endpoint = settings.endpoint()?;
    let url = planting.settings().url.clone();
    let hosts = Hosts { nodes: vec![url], supernodes: settings.supernodes.clone() };
    let session = settings.driver(endpoint.clone()).await?;
    let bridge = Bridge {
        shared: Arc::new(Shared {
            session,
            endpoint,
            hosts,
            planting,
            tracker: tracker.clone(),
            torrents: RwLock::default(),
            browsers: Mutex::default(),
            connected: RwLock::default(),
            kinds: RwLock::default(),
            level: AtomicU8::new(Level::Plenty as u8),
        }),
    };
    tracker.set_node(Arc::new(bridge.clone()), bridge.tcp());
    follow::start(&bridge);
    Ok(bridge)
}

impl Bridge {
    /// Where classic peers connect.
    #[must_use]
    pub fn tcp(&self) -> Option<SocketAddr> {
        self.shared.session.local_addr()
    }

    /// What its WebRTC connections do.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.shared.endpoint.counters()
    }

    /// What its uTP connections do; `None` without uTP.
    #[must_use]
    pub fn utp(&self) -> Option<anatomic_utp::Counters> {
        self.shared.session.utp()
    }

    /// The UDP port of all WebRTC connections.
    #[must_use]
    pub fn udp(&self) -> Option<SocketAddr> {
        Some(self.shared.endpoint.local_addr())
    }

    /// `stun:host:port`, by the host of our address.
    #[must_use]
    pub fn stun(&self, url: &str) -> Option<String> {
        let host = crate::supernode::visit::host(url)?;
        Some(format!("stun:{host}:{}", self.shared.endpoint.local_addr().port()))
    }

    /// Seeds a torrent that is stored below `root`, hashing it first.
    ///
    /// # Errors
    /// When it is there already or the session is over.
    pub async fn seed(&self, metainfo: Arc<Metainfo>, root: PathBuf) -> Result<(), SessionError> {
        let info_hash = metainfo.info_hash();
        let add = AddTorrent {
            start: Start::Check,
            ..AddTorrent::new(TorrentSource::Metainfo(self.without_own_trackers(&metainfo)))
        };
        let key = self.shared.session.add(add, Some(root)).await?;
        self.tell_hosts(key).await;
        self.remember(info_hash, Torrent { key, stored: true, has_metadata: true, needed: Instant::now() });
        self.meet(&info_hash, key).await;
        Ok(())
    }

    /// What a torrent of the bridge is doing.
    pub async fn view(&self, info_hash: &InfoHash) -> Option<TorrentView> {
        let key = self.find(info_hash)?.key;
        self.shared.session.view(key).await
    }

    /// Ends it: connections are closed, trackers told.
    pub async fn leave(&self) {
        self.shared.session.leave().await;
        self.shared.endpoint.close().await;
    }

    /// Sees to it that a torrent for which somebody came is in the engine.
    async fn ensure(&self, info_hash: &InfoHash) {
        if self.rests() || self.find(info_hash).is_some() {
            return;
        }
        match self.shared.planting.get(info_hash) {
            Some(planted) => self.add(&planted).await,
            None if self.shared.planting.settings().open_bridge => self.add_unplanted(*info_hash).await,
            None => {}
        }
    }

    /// Whether a browser is in the swarm, by the tracker or by a connection.
    fn has_browsers(&self, info_hash: &InfoHash) -> bool {
        let connected = self.shared.connected.read().unwrap_or_else(PoisonError::into_inner);
        self.shared.tracker.swarms.sizes(info_hash).1 > 0
            || connected.keys().any(|(hash, _)| hash == info_hash)
    }

    /// Takes a planted torrent into the engine, or takes it in again now that its metadata are known.
    async fn add(&self, planted: &PlantedTorrent) {
        let info_hash = planted.info_hash;
        if self.rests() || !self.shared.planting.bridges(&info_hash) {
            return;
        }
        if let Some(torrent) = self.find(&info_hash) {
            if torrent.has_metadata || planted.metainfo.is_none() {
                return;
            }
            self.shared.session.remove(torrent.key).await;
        }
        let foreign = planted.foreign_trackers(&self.shared.planting.settings().url);
        let source = match &planted.metainfo {
            Some(metainfo) => TorrentSource::Metainfo(self.without_own_trackers(metainfo)),
            None => {
                TorrentSource::Magnet(Box::new(Magnet { trackers: Vec::new(), ..planted.magnet.clone() }))
            }
        };
        self.add_bridged(info_hash, source, foreign).await;
    }

    /// Takes a torrent that nobody planted into the engine: its peers are those of our own swarm alone.
    async fn add_unplanted(&self, info_hash: InfoHash) {
        let unplanted =
            self.all().iter().filter(|(hash, _)| self.shared.planting.get(hash).is_none()).count();
        if unplanted < MAX_UNPLANTED {
            let source = TorrentSource::Magnet(Box::new(Magnet::new(info_hash)));
            self.add_bridged(info_hash, source, Vec::new()).await;
        }
    }

    async fn add_bridged(&self, info_hash: InfoHash, source: TorrentSource, trackers: Vec<Vec<String>>) {
        let has_metadata = matches!(source, TorrentSource::Metainfo(_));
        let add = AddTorrent { mode: Mode::Bridge, trackers, ..AddTorrent::new(source) };
        match self.shared.session.add(add, None).await {
            Ok(key) | Err(SessionError::AlreadyAdded(key)) => {
                if self.shared.planting.get(&info_hash).is_some() {
                    self.tell_hosts(key).await;
                }
                self.remember(
                    info_hash,
                    Torrent { key, stored: false, has_metadata, needed: Instant::now() },
                );
                self.meet(&info_hash, key).await;
            }
            Err(error) => warn!(torrent = %info_hash, %error, "cannot bridge a torrent"),
        }
    }

    /// Has the torrent's peers told where it is tracked, should they lose all they know.
    async fn tell_hosts(&self, key: TorrentKey) {
        let hosts = self.shared.hosts.clone();
        self.shared
            .session
            .with(move |session| {
                let now = session.now();
                session.engine.set_hosts(now, key, hosts);
            })
            .await;
    }

    async fn remove(&self, info_hash: &InfoHash) {
        let Some(torrent) = self.find(info_hash).filter(|torrent| !torrent.stored) else { return };
        self.shared.torrents.write().unwrap_or_else(PoisonError::into_inner).remove(info_hash);
        self.shared.session.remove(torrent.key).await;
    }

    /// Gives the engine the classic peers of our own swarm.
    async fn meet(&self, info_hash: &InfoHash, key: TorrentKey) {
        let mut peers = self.shared.tracker.swarms.classic_peers(info_hash, CLASSIC_PEERS);
        peers.retain(|peer| Some(*peer) != self.tcp());
        self.introduce(key, Source::Tracker, peers).await;
    }

    /// Gives the engine peers of a torrent.
    pub(crate) async fn introduce(&self, key: TorrentKey, source: Source, peers: Vec<SocketAddr>) {
        if peers.is_empty() {
            return;
        }
        self.shared
            .session
            .with(move |session| {
                let now = session.now();
                session.engine.add_candidates(now, key, source, &peers);
            })
            .await;
    }

    /// The torrents in the engine that are not known to be private.
    pub(crate) async fn open_torrents(&self) -> Vec<(InfoHash, TorrentKey)> {
        let look = |session: &mut driver::Session| {
            let keys: Vec<_> = session.engine.torrents().collect();
            let views = keys.into_iter().filter_map(|key| Some((key, session.engine.view(key)?)));
            let is_private =
                |view: &TorrentView| view.metainfo.as_ref().is_some_and(|info| info.is_private());
            let open = views.filter(|(_, view)| !is_private(view));
            open.map(|(key, view)| (view.info_hash, key)).collect()
        };
        self.shared.session.with(look).await.unwrap_or_default()
    }

    fn find(&self, info_hash: &InfoHash) -> Option<Torrent> {
        self.shared.torrents.read().unwrap_or_else(PoisonError::into_inner).get(info_hash).copied()
    }

    fn all(&self) -> Vec<(InfoHash, Torrent)> {
        let torrents = self.shared.torrents.read().unwrap_or_else(PoisonError::into_inner);
        torrents.iter().map(|(hash, torrent)| (*hash, *torrent)).collect()
    }

    fn remember(&self, info_hash: InfoHash, torrent: Torrent) {
        self.shared.torrents.write().unwrap_or_else(PoisonError::into_inner).insert(info_hash, torrent);
    }

    /// The torrent without our own announces: we know our own swarm without asking.
    fn without_own_trackers(&self, metainfo: &Arc<Metainfo>) -> Arc<Metainfo> {
        let own = &self.shared.planting.settings().url;
        let foreign = crate::node::planting::foreign(metainfo.trackers().to_vec(), own);
        if foreign.iter().flatten().count() == metainfo.trackers().iter().flatten().count() {
            return metainfo.clone();
        }
        let info = metainfo.info_bytes().clone();
        Metainfo::from_info(info, foreign, metainfo.web_seeds().to_vec())
            .map_or_else(|_| metainfo.clone(), Arc::new)
    }

    /// Looks which browsers the engine is connected with.
    async fn look_around(&self) {
        let keys: Vec<_> = self.all();
        let wanted: HashSet<_> = keys.iter().map(|(_, torrent)| torrent.key).collect();
        let views = self
            .shared
            .session
            .with(move |session| {
                wanted.into_iter().filter_map(|key| session.engine.view(key)).collect::<Vec<_>>()
            })
            .await
            .unwrap_or_default();
        let mut connected: HashMap<(InfoHash, PeerId), usize> = HashMap::new();
        let mut kinds: HashMap<InfoHash, Connected> = HashMap::new();
        for view in views {
            let [tcp, utp, webrtc] =
                [Transport::Tcp, Transport::Utp, Transport::WebRtc].map(|kind| count(&view, kind));
            kinds.insert(view.info_hash, Connected { tcp, utp, webrtc });
            let browsers = view.peers.iter().filter(|peer| peer.transport == Transport::WebRtc);
            for peer in browsers.filter_map(|peer| peer.peer_id) {
                *connected.entry((view.info_hash, peer)).or_default() += 1;
            }
        }
        *self.shared.kinds.write().unwrap_or_else(PoisonError::into_inner) = kinds;
        let mut helped: HashMap<InfoHash, u32> = HashMap::new();
        {
            let mut before = self.shared.connected.write().unwrap_or_else(PoisonError::into_inner);
            for (info_hash, _) in connected.keys().filter(|key| !before.contains_key(key)) {
                *helped.entry(*info_hash).or_default() += 1;
            }
            *before = connected;
        }
        for (info_hash, tabs) in helped {
            self.shared.planting.helped(&info_hash, tabs);
        }
        {
            let mut browsers = self.shared.browsers.lock().unwrap_or_else(PoisonError::into_inner);
            browsers.retain(|_, answered| {
                answered.retain(|at| at.elapsed() < OPENING);
                !answered.is_empty()
            });
        }
        for (info_hash, torrent) in keys {
            if torrent.stored || !torrent.has_metadata || self.has_browsers(&info_hash) {
                let mut torrents = self.shared.torrents.write().unwrap_or_else(PoisonError::into_inner);
                if let Some(torrent) = torrents.get_mut(&info_hash) {
                    torrent.needed = Instant::now();
                }
            } else if torrent.needed.elapsed() > LINGER {
                debug!(torrent = %info_hash, "no browser is left to bridge to");
                self.remove(&info_hash).await;
            }
        }
    }
}

impl NodePeer for Bridge {
    fn serves(&self, info_hash: &InfoHash) -> bool {
        let planting = &self.shared.planting;
        planting.bridges(info_hash) || (self.find(info_hash).is_some() && !planting.is_blocked(info_hash))
    }

    fn takes_part(&self, info_hash: &InfoHash) -> bool {
        self.takes_newcomers()
            && self.find(info_hash).is_some_and(|torrent| torrent.stored || self.has_browsers(info_hash))
    }

    fn connected(&self, info_hash: &InfoHash) -> Connected {
        let kinds = self.shared.kinds.read().unwrap_or_else(PoisonError::into_inner);
        kinds.get(info_hash).copied().unwrap_or_default()
    }

    fn peer_id(&self) -> PeerId {
        self.shared.session.peer_id()
    }

    fn wants_offer(&self, info_hash: &InfoHash, from: &PeerId) -> bool {
        if !self.takes_newcomers() {
            return false;
        }
        // Others than ours close a second connection with the same peer.
        let most = if from.0.starts_with(b"-AN") { CONNECTIONS } else { 1 };
        let key = (*info_hash, *from);
        let open = self
            .shared
            .connected
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&key)
            .copied()
            .unwrap_or(0);
        let browsers = self.shared.browsers.lock().unwrap_or_else(PoisonError::into_inner);
        let opening = browsers
            .get(&key)
            .map_or(0, |answered| answered.iter().filter(|at| at.elapsed() < OPENING).count());
        open.max(opening) < most
    }

    fn offer(&self, info_hash: InfoHash, from: PeerId, sdp: String) -> AnswerFuture {
        let bridge = self.clone();
        {
            let mut browsers = bridge.shared.browsers.lock().unwrap_or_else(PoisonError::into_inner);
            browsers.entry((info_hash, from)).or_default().push(Instant::now());
        }
        Box::pin(async move {
            bridge.ensure(&info_hash).await;
            match bridge.shared.session.answer(info_hash, &sdp).await {
                Ok(answer) => Some(answer),
                Err(reason) => {
                    debug!(torrent = %info_hash, %reason, "declined an offer");
                    None
                }
            }
        })
    }
}

/// Who is connected by this way; a tab may hold several connections.
fn count(view: &TorrentView, kind: Transport) -> Peers {
    let known = |peer: &&PeerView| peer.transport == kind && peer.peer_id.is_some();
    let peers: HashMap<_, _> =
        view.peers.iter().filter(known).map(|peer| (peer.peer_id, peer.progress >= 1.0)).collect();
    let number = |seeds: bool| {
        u32::try_from(peers.values().filter(|is_seed| **is_seed == seeds).count()).unwrap_or(u32::MAX)
    };
    Peers { seeds: number(true), leeches: number(false) }
}
