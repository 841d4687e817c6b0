//! Drives one engine: owns its sockets, files, time and randomness, and carries out what it asks for.
//!
//! Decides nothing about BitTorrent. One task owns the engine; everything else reaches it by message, so nothing is
//! locked and the engine never waits for a socket, a disk or a hash.
//!
//! ```text
//!   pump (a task a connection) --bytes-->  +--------+  --> sockets (written directly, room decides)
//!   disk and hash threads --answers----->  | engine |  --> disk and hash threads
//!   dialler, listener, trackers -------->  +--------+  --> dialler, trackers, files' resume data
//! ```

mod dial;
mod handle;
mod introductions;
mod jobs;
mod link;
mod mse;
mod open;
mod session;
mod storage;
mod unheard;

pub use handle::{Handle, OfferError, SessionError};
pub(crate) use introductions::enter;
pub use open::Open;
use session::Around;
pub(crate) use session::Message;
pub use session::Session;

use crate::announce::Announcers;
use crate::budget::Sent;
use crate::utp::Utp;
use crate::webrtc::Endpoint;
use anatomic_core::PeerId;
use anatomic_core::address::Policy;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::{broadcast, mpsc};

/// How a driver is set up.
#[derive(Clone, Debug)]
pub struct Config {
    /// The engine's settings; the port that others reach us by, and whom to dial, are filled in.
    pub engine: anatomic_engine::Config,
    /// Where classic peers connect; `None`: nowhere, we only dial.
    pub listen: Option<SocketAddr>,
    /// Whom peers, trackers and links may have us dial.
    pub peers: Policy,
    /// Which hosts a torrent's tracker URLs may name.
    pub trackers: Policy,
    /// Makes and answers WebRTC offers; `None`: no data channels.
    pub webrtc: Option<Endpoint>,
    /// Whether peers are reached over uTP too, on the number where TCP listens.
    pub utp: bool,
    /// Connections accepted over TCP and uTP, at once.
    pub accepted: usize,
    /// Threads that hash; 0: one a core, four at most.
    pub hashers: usize,
    /// Threads that read and write files. Pieces are spread over them.
    pub disks: usize,
    /// Counts bytes sent over TCP and uTP.
    pub sent: Sent,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            engine: anatomic_engine::Config::default(),
            listen: None,
            peers: Policy::Public,
            trackers: Policy::Public,
            webrtc: None,
            utp: true,
            accepted: 500,
            hashers: 0,
            disks: 2,
            sent: Sent::default(),
        }
    }
}

/// Starts a driver: binds its port, starts its threads and its task.
///
/// # Errors
/// When the address cannot be bound, a thread cannot be started, or the system gives no randomness.
pub async fn start(mut config: Config) -> io::Result<Handle> {
    // Whoever owns sockets can speak to UDP trackers; a tab cannot.
    config.engine.schemes.udp = true;
    let listener = match config.listen {
        Some(address) => Some(TcpListener::bind(address).await?),
        None => None,
    };
    let local = listener.as_ref().map(TcpListener::local_addr).transpose()?;
    config.engine.listen_port = local.map(|address| address.port());
    config.engine.addresses = config.peers;
    // A fast peer says itself how many requests it takes (`reqq`); memory is no concern here as it is in a tab.
    config.engine.max_requests = config.engine.max_requests.max(MAX_REQUESTS);

    let mut tail = [0; 12];
    getrandom::fill(&mut tail).map_err(io::Error::other)?;
    // Readable in logs, and never mistaken for another field's bytes.
    let alphabet = b"0123456789abcdefghijklmnopqrstuvwxyz";
    for byte in &mut tail {
        *byte = alphabet.get(usize::from(*byte) % alphabet.len()).copied().unwrap_or(b'0');
    }
    let seed = getrandom::u64().map_err(io::Error::other)?;
    let peer_id = PeerId::ours(tail);

    let (messages, inbox) = mpsc::unbounded_channel();
    let (heard_to, heard) = mpsc::channel(HEARD);
    let (events, _) = broadcast::channel(EVENTS);

    let answers = messages.clone();
    let hashers = match config.hashers {
        0 => std::thread::available_parallelism().map_or(2, usize::from).min(4),
        count => count,
    };
    let jobs = jobs::Jobs::start(hashers, config.disks, move |job, done| {
        let _ = answers.send(session::Message::Done(job, done));
    })?;
    let announcers = Announcers::new(config.trackers, config.webrtc.clone(), messages.clone());
    let utp = if config.utp { utp(&config, local) } else { None };
    let places = Arc::new(tokio::sync::Semaphore::new(config.accepted));
    if let Some(listener) = listener {
        if let Some(utp) = utp.clone() {
            tokio::spawn(dial::listen_utp(utp, messages.clone(), Arc::clone(&places)));
        }
        tokio::spawn(dial::listen(listener, messages.clone(), places));
    }
    let engine = anatomic_engine::Engine::new(config.engine.clone(), peer_id, seed);
    let handle = Handle::new(
        messages.clone(),
        events.clone(),
        local,
        peer_id,
        config.webrtc.clone(),
        utp.as_ref().map(Utp::gauge),
    );
    let session = Session::new(engine, config, Around { jobs, announcers, utp }, messages, heard_to, events);
    tokio::spawn(session.run(inbox, heard));
    Ok(handle)
}

/// uTP, where peers find it; else, if that port is taken, only for those whom we dial.
fn utp(config: &Config, local: Option<SocketAddr>) -> Option<Utp> {
    let start = |listen| Utp::start(listen, config.webrtc.as_ref(), config.accepted, config.sent.clone());
    start(local)
        .or_else(|error| {
            tracing::warn!(address = ?local, %error, "nobody can connect over uTP: its UDP port is taken");
            start(local.map(|local| SocketAddr::new(local.ip(), 0)))
        })
        .inspect_err(|error| tracing::warn!(%error, "no uTP"))
        .ok()
}

/// Reads that may wait for the engine; with 256 KiB each at most, this bounds what sockets can pile up (16 MiB).
const HEARD: usize = 64;
/// Requests under way at one peer: what libtorrent takes. Seeds that work in rounds of half a second, as Transmission
/// does, send as much a round as is asked for.
const MAX_REQUESTS: usize = 2_000;
/// Events that a slow listener may lag behind before it misses some.
const EVENTS: usize = 4096;
