//! The task that owns the state machine: everything that happens comes to it as a message, everything it wants is carried out
//! from here.
//!
//! Sockets are [`super::socket`]'s, supernodes [`super::network`]'s.

use super::{dial, kept, network, socket};
use crate::budget::Sent;
use crate::fleet::Fleet;
use crate::node::{Planting, PlantingChange, clock};
use crate::tracker::Tracker;
use crate::tracker::sharing::{Abroad, Present};
use anatomic_core::address::Policy;
use anatomic_core::{InfoHash, Time};
use anatomic_mesh::sharing::{
    Config, ConnectionId, Contact, Counters, Output, SharedPeer, Sharing, SisterView,
};
use anatomic_mesh::{Identity, Key, Receipt, Signed};
use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tracing::{debug, info};

/// How often the swarms are looked at.
const LOOK: Duration = Duration::from_millis(250);
/// How often all of them are, for the ages of their peers.
const SWEEP: Duration = Duration::from_secs(300);
/// How often it is looked whether there are other receipts to be kept.
const KEEP: Duration = Duration::from_secs(10);
/// Messages that wait for one socket; one that does not take them is closed.
const QUEUE: usize = 64;
/// Requests to supernodes at once.
const REQUESTS: usize = 8;

/// How peer-sharing is set up.
pub struct Settings {
    /// Who we are.
    pub identity: Identity,
    /// Scheme and host under which sisters reach us.
    pub url: String,
    /// Which addresses are spoken of and dialled.
    pub network: Policy,
    /// Supernodes, our own included.
    pub supernodes: Vec<String>,
    /// The bridge's address, as classic clients dial it.
    pub bridge: Option<SocketAddr>,
    /// Where the sisters' receipts are kept.
    pub file: PathBuf,
    /// For nonces and pauses.
    pub seed: u64,
    /// Whether this process speaks for its fleet: only one connection to each sister for all processes.
    pub speaks: watch::Receiver<bool>,
    /// The fleet, where there is one.
    pub fleet: Option<Fleet>,
    /// Counts what is sent over connections that we open.
    pub sent: Sent,
}

/// What comes to the task.
pub(super) enum Input {
    Accepted(ConnectionId, mpsc::Sender<Vec<u8>>),
    Connected(ConnectionId, Key, mpsc::Sender<Vec<u8>>),
    DialFailed(Key, String),
    Message(ConnectionId, Vec<u8>),
    Closed(ConnectionId),
    Found(Vec<Signed<Receipt>>),
    View(oneshot::Sender<(Vec<SisterView>, Counters)>),
    Leave(oneshot::Sender<()>),
}

/// A handle on the task; it ends with the process.
#[derive(Clone)]
pub struct Mesh {
    inputs: mpsc::Sender<Input>,
    next: Arc<AtomicU64>,
    network: Policy,
    speaks: watch::Receiver<bool>,
    sent: Sent,
}

impl Mesh {
    /// Starts peer-sharing.
    #[must_use]
    pub fn start(settings: Settings, planting: Arc<Planting>, tracker: Arc<Tracker>) -> Self {
        let (inputs, received) = mpsc::channel(1_024);
        let (abroad, outgoing) = mpsc::channel(256);
        tracker.swarms.share(abroad);
        let mesh = Self {
            inputs,
            next: Arc::new(AtomicU64::new(1)),
            network: settings.network,
            speaks: settings.speaks.clone(),
            sent: settings.sent.clone(),
        };
        let begun = Instant::now();
        let sharing = sharing(&settings, 0, Time::ZERO);
        let actor = Actor {
            mesh: mesh.clone(),
            settings,
            planting,
            tracker,
            sharing,
            begun,
            sockets: HashMap::new(),
            requests: Arc::new(Semaphore::new(REQUESTS)),
            kept: 0,
            begins: 0,
        };
        tokio::spawn(actor.run(received, outgoing));
        mesh
    }

    /// Who is known, and what happened; `None` when the task has ended.
    pub async fn look(&self) -> Option<(Vec<SisterView>, Counters)> {
        let (reply, answer) = oneshot::channel();
        self.inputs.send(Input::View(reply)).await.ok()?;
        answer.await.ok()
    }

    /// Says goodbye to all sisters; the process ends.
    pub async fn leave(&self) {
        let (reply, done) = oneshot::channel();
        if self.inputs.send(Input::Leave(reply)).await.is_ok() {
            let _ = tokio::time::timeout(Duration::from_secs(1), done).await;
        }
    }

    /// Whether this process speaks to sisters; if not, another one of its fleet does.
    #[must_use]
    pub fn speaks(&self) -> bool {
        *self.speaks.borrow()
    }

    /// Serves a sister that connected to us.
    pub async fn serve(self, stream: axum::extract::ws::WebSocket) {
        let id = self.number();
        let (outbox, inbox) = mpsc::channel(QUEUE);
        if self.inputs.send(Input::Accepted(id, outbox)).await.is_ok() {
            socket::run(stream, inbox, id, self.inputs.clone()).await;
        }
    }

    fn number(&self) -> ConnectionId {
        ConnectionId(self.next.fetch_add(1, Ordering::Relaxed))
    }

    async fn dial(self, sister: Key, url: String) {
        match dial::connect(&url, self.network, self.sent.clone()).await {
            Ok(stream) => {
                let id = self.number();
                let (outbox, inbox) = mpsc::channel(QUEUE);
                if self.inputs.send(Input::Connected(id, sister, outbox)).await.is_ok() {
                    socket::run(stream, inbox, id, self.inputs.clone()).await;
                }
            }
            Err(reason) => drop(self.inputs.send(Input::DialFailed(sister, reason)).await),
        }
    }
}

struct Actor {
    mesh: Mesh,
    settings: Settings,
    planting: Arc<Planting>,
    tracker: Arc<Tracker>,
    sharing: Sharing,
    begun: Instant,
    sockets: HashMap<ConnectionId, mpsc::Sender<Vec<u8>>>,
    requests: Arc<Semaphore>,
    /// How many receipts were written last.
    kept: u64,
    /// How often we began to speak.
    begins: u64,
}

fn sharing(settings: &Settings, begins: u64, now: Time) -> Sharing {
    let config = Config { network: settings.network, ..Config::default() };
    let (identity, url) = (settings.identity.clone(), settings.url.clone());
    Sharing::new(config, identity, url, settings.seed.wrapping_add(begins), now, clock::now())
}

impl Actor {
    async fn run(mut self, mut inputs: mpsc::Receiver<Input>, mut abroad: mpsc::Receiver<Abroad>) {
        // First listen, then look: nothing is missed in between.
        let mut changes = self.planting.subscribe();
        let mut speaks = self.settings.speaks.clone();
        if *speaks.borrow_and_update() {
            self.begin();
        }
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut sweep = tokio::time::interval(SWEEP);
        sweep.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut keep = tokio::time::interval_at(tokio::time::Instant::now() + KEEP, KEEP);
        keep.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            self.carry_out();
            let wait = self.sharing.poll_timeout().map_or(Duration::from_secs(60), |at| at.since(self.now()));
            tokio::select! {
                input = inputs.recv() => match input {
                    Some(input) => self.take(input),
                    None => return,
                },
                Some(abroad) = abroad.recv() => {
                    let Abroad { sister, info_hash, from, to, offer } = abroad;
                    self.sharing.forward(self.now(), sister, info_hash, from, to, offer);
                }
                Ok(()) = speaks.changed() => if *speaks.borrow_and_update() { self.begin() } else { self.end() },
                change = changes.recv() => match change {
                    Ok(PlantingChange::Unplanted(hash)) => self.sharing.unplant(self.now(), &hash),
                    Ok(PlantingChange::Metainfo(_)) => {}
                    Ok(PlantingChange::Planted(hash) | PlantingChange::Receipts(hash)) => self.plant(&hash),
                    Err(RecvError::Lagged(_)) => self.everything(),
                    Err(RecvError::Closed) => return,
                },
                _ = look.tick() => {
                    for info_hash in self.tracker.swarms.take_touched() {
                        // Sisters share what is planted; a node may track more than that.
                        if self.planting.get(&info_hash).is_some() {
                            self.observe(&info_hash);
                        }
                    }
                }
                _ = sweep.tick() => {
                    for torrent in self.planting.list() {
                        self.observe(&torrent.info_hash);
                    }
                }
                _ = keep.tick() => self.keep(),
                () = tokio::time::sleep(wait) => {}
            }
            self.sharing.handle_timeout(self.now());
        }
    }

    fn now(&self) -> Time {
        Time::from_micros(u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    fn take(&mut self, input: Input) {
        let now = self.now();
        match input {
            Input::Accepted(id, outbox) => {
                self.sockets.insert(id, outbox);
                self.sharing.handle_accepted(now, id);
            }
            Input::Connected(id, sister, outbox) => {
                self.sockets.insert(id, outbox);
                self.sharing.handle_connected(now, id, sister);
            }
            Input::DialFailed(sister, reason) => {
                debug!(%sister, %reason, "a sister cannot be reached");
                self.sharing.handle_dial_failed(now, sister);
            }
            Input::Message(id, bytes) => self.sharing.handle_message(now, id, &bytes),
            Input::Closed(id) => {
                self.sockets.remove(&id);
                self.sharing.handle_closed(now, id);
            }
            Input::Found(receipts) => {
                for receipt in receipts {
                    if let Err(reason) = self.sharing.introduce(now, &receipt) {
                        debug!(node = %receipt.node, %reason, "a receipt brings no sister");
                    }
                }
            }
            Input::View(reply) => drop(reply.send((self.sharing.sisters(now), self.sharing.counters()))),
            Input::Leave(done) => {
                self.sharing.leave(now);
                self.carry_out();
                self.keep();
                let _ = done.send(());
            }
        }
    }

    fn carry_out(&mut self) {
        while let Some(output) = self.sharing.poll_output() {
            match output {
                Output::Dial { sister, url } => drop(tokio::spawn(self.mesh.clone().dial(sister, url))),
                Output::Send { connection, bytes } => {
                    let full =
                        self.sockets.get(&connection).is_some_and(|outbox| outbox.try_send(bytes).is_err());
                    if full {
                        // It takes nothing: as good as closed. What was told of it is told again.
                        self.sockets.remove(&connection);
                        self.sharing.handle_closed(self.now(), connection);
                    }
                }
                Output::Close { connection, reason } => {
                    debug!(connection = connection.0, reason, "closed a connection to a sister");
                    // Its task ends once what waits has gone.
                    self.sockets.remove(&connection);
                }
                Output::Learned { info_hash, sister, gained, lost, counts } => {
                    self.tracker.swarms.learn(Instant::now(), info_hash, sister, &gained, &lost, counts);
                }
                Output::Lost { sister, swarms } => self.tracker.swarms.sister_lost(sister, &swarms),
                Output::Offer { info_hash, sister, from, offer } => {
                    let swarms = &self.tracker.swarms;
                    if !swarms.offer_from_sister(Instant::now(), sister, info_hash, from, offer) {
                        debug!(torrent = %info_hash, "nobody here for a sister's offer");
                    }
                }
                Output::Answer { info_hash, sister, from, to, answer } => {
                    self.tracker.swarms.answer_from_sister(sister, info_hash, from, &to, answer);
                }
                Output::Find(info_hash) => self.find(info_hash),
                Output::Replace { info_hash, lost } => self.replace(info_hash, lost),
                Output::Rename { info_hash, sisters } => {
                    info!(torrent = %info_hash, "others have taken the place of lost sisters");
                    let planting = self.planting.clone();
                    tokio::task::spawn_blocking(move || planting.set_sisters(&info_hash, &sisters));
                }
            }
        }
    }

    /// From now on we speak for our fleet.
    fn begin(&mut self) {
        self.everything();
        // What the process before us told of its sisters is newer than what we kept.
        let handed = self.settings.fleet.iter().flat_map(|fleet| fleet.sisters().to_vec());
        for receipt in handed.chain(kept::read(&self.settings.file)) {
            let _ = self.sharing.introduce(self.now(), &receipt);
        }
    }

    /// Another process of our fleet speaks now.
    fn end(&mut self) {
        self.sharing.leave(self.now());
        self.carry_out();
        self.begins += 1;
        self.sharing = sharing(&self.settings, self.begins, self.now());
        self.sockets.clear();
    }

    /// What is planted here, all of it.
    fn everything(&mut self) {
        for torrent in self.planting.list() {
            self.plant(&torrent.info_hash);
        }
    }

    fn plant(&mut self, info_hash: &InfoHash) {
        let Some(torrent) = self.planting.get(info_hash).filter(|_| self.mesh.speaks()) else { return };
        self.sharing.plant(self.now(), &torrent.receipts);
        self.observe(info_hash);
    }

    fn observe(&mut self, info_hash: &InfoHash) {
        if !self.mesh.speaks() {
            return;
        }
        let Present { mut peers, counts } = self.tracker.swarms.present(Instant::now(), info_hash);
        if let Some(address) = self.settings.bridge.filter(|_| self.tracker.takes_part(info_hash)) {
            // Classic clients of our sisters reach the browsers behind us by it.
            let contact = Contact::Address(address);
            peers.push(SharedPeer {
                contact,
                seed: counts.browsers > 0 && counts.seeds > 0,
                bridge: true,
                age: 0,
            });
        }
        peers.retain(|peer| match peer.contact {
            Contact::Address(address) => self.settings.network.allows(address),
            Contact::Browser(_) => true,
        });
        self.sharing.observe(self.now(), info_hash, &peers, counts);
    }

    fn find(&self, info_hash: InfoHash) {
        let (inputs, requests) = (self.mesh.inputs.clone(), self.requests.clone());
        let supernodes = self.settings.supernodes.clone();
        tokio::spawn(async move {
            let Ok(_turn) = requests.acquire().await else { return };
            let receipts = network::receipts(&supernodes, &info_hash).await;
            let _ = inputs.send(Input::Found(receipts)).await;
        });
    }

    fn replace(&self, info_hash: InfoHash, lost: Vec<Key>) {
        let (planting, requests) = (self.planting.clone(), self.requests.clone());
        let supernodes = self.settings.supernodes.clone();
        tokio::spawn(async move {
            let Ok(_turn) = requests.acquire().await else { return };
            if let Err(reason) = network::replace(&planting, &supernodes, &info_hash, &lost).await {
                info!(torrent = %info_hash, %reason, "no node takes the place of a lost sister; trying again");
            }
        });
    }

    /// Keeps the sisters' receipts, if there are others than last time, and hands them on to our fleet; who does not speak
    /// for it keeps what was handed on.
    fn keep(&mut self) {
        let receipts: HashSet<Vec<u8>> = match &self.settings.fleet {
            Some(fleet) if !self.mesh.speaks() => {
                let handed = fleet.sisters();
                if handed.is_empty() {
                    return;
                }
                handed.iter().map(|receipt| receipt.as_bytes().to_vec()).collect()
            }
            fleet => {
                if let Some(fleet) = fleet {
                    fleet.hand_on_sisters(self.sharing.introductions().map(<[u8]>::to_vec).collect());
                }
                self.sharing.shown().map(<[u8]>::to_vec).collect()
            }
        };
        let sum = kept::fingerprint(&receipts);
        if sum != self.kept {
            self.kept = sum;
            let file = self.settings.file.clone();
            tokio::task::spawn_blocking(move || kept::write(&file, &receipts));
        }
    }
}
