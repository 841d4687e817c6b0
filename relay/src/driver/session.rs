//! The task that owns an engine: feeds it what happened and carries out what it answers.
//!
//! No rule of BitTorrent and no blocking call is here. A round takes everything that has come, lets the engine work on
//! all of it, then writes to whoever has something to be sent; so a busy session wakes up seldom and for much.

use super::Config;
use super::dial;
use super::introductions::Introductions;
use super::jobs::Jobs;
use super::link::{Carrier, Ear, Flushed, Heard, Link, Outbox, pump};
use super::mse::{self, Begun};
use super::storage::Storage;
use super::unheard::Unheard;
use crate::announce::Announcers;
use crate::utp::Utp;
use crate::webrtc;
use anatomic_core::Time;
use anatomic_engine::{
    AnnounceEvent, AnnounceKey, AnnounceReply, DialKey, Direction, Done, Encryption, Engine, Event,
    IntroductionKey, JobKey, Output, PeerKey, Reading, TorrentKey, Transport,
};
use anatomic_wire::mse::Ciphers;
use bytes::Bytes;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{Receiver, Sender, UnboundedReceiver, UnboundedSender};
use tokio::sync::{OwnedSemaphorePermit, broadcast, oneshot};

/// Bytes written to one peer before the others have their turn.
const TURN: usize = 1024 * 1024;
/// Messages and reads taken in one round.
const ROUND: usize = 256;
/// How long leaving waits for the trackers to be told.
const FAREWELL: Duration = Duration::from_secs(2);

/// Something for the session to take in.
pub(crate) enum Message {
    /// Something to do with the session.
    Command(Box<dyn FnOnce(&mut Session) + Send>),
    /// A dial ended.
    Dialled { dial: DialKey, torrent: TorrentKey, address: SocketAddr, result: std::io::Result<Begun> },
    /// Somebody connected; the place is free again when the connection is over.
    Accepted { begun: Begun, address: SocketAddr, place: OwnedSemaphorePermit },
    /// A data channel opened.
    Opened { channel: webrtc::Connection, torrent: TorrentKey, direction: Direction },
    /// A connection is described for an introduction, or cannot be made; an offer of ours waits for its answer.
    Described { introduction: IntroductionKey, sdp: Option<String>, offer: Option<webrtc::PendingOffer> },
    /// A job is done.
    Done(JobKey, Done),
    /// A tracker answered, or did not.
    Announced(AnnounceKey, Result<AnnounceReply, String>),
    /// Resume data were written, or not.
    Saved(TorrentKey, Result<(), String>),
    /// Leave: tell trackers, save, end; the sender is told when all is done.
    Leave(oneshot::Sender<()>),
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Message")
    }
}

/// An open connection, as the session sees it.
struct Peer {
    link: Arc<Link>,
    outbox: Outbox,
    /// It is in the list of those to be written to.
    queued: bool,
    /// Its link is full; the pump will say when there is room.
    full: bool,
    /// Whom we dialled, by what, until something comes from there.
    unheard: Option<(SocketAddr, Transport)>,
    _place: Option<OwnedSemaphorePermit>,
}

/// The engine with everything around it.
pub struct Session {
    /// The engine. Whoever changes it leaves its outputs to the session's round.
    pub engine: Engine,
    pub(super) storage: Storage,
    config: Config,
    jobs: Jobs,
    announcers: Announcers,
    introductions: Introductions,
    messages: UnboundedSender<Message>,
    heard: Sender<Heard>,
    events: broadcast::Sender<(TorrentKey, Event)>,
    peers: HashMap<PeerKey, Peer>,
    utp: Option<Utp>,
    unheard: Unheard,
    to_flush: Vec<PeerKey>,
    start: Instant,
    farewells: HashSet<AnnounceKey>,
    /// Jobs that have not been answered.
    working: usize,
    leaving: Option<Leaving>,
}

/// What the driver set up around the engine.
pub(super) struct Around {
    pub(super) jobs: Jobs,
    pub(super) announcers: Announcers,
    pub(super) utp: Option<Utp>,
}

/// How far leaving has come.
struct Leaving {
    /// When the next step is taken whatever has not come.
    until: Instant,
    /// Whether the torrents are saved and removed.
    saved: bool,
    done: oneshot::Sender<()>,
}

impl Session {
    pub(super) fn new(
        engine: Engine,
        config: Config,
        around: Around,
        messages: UnboundedSender<Message>,
        heard: Sender<Heard>,
        events: broadcast::Sender<(TorrentKey, Event)>,
    ) -> Self {
        let Around { jobs, announcers, utp } = around;
        let storage = Storage::new(messages.clone());
        let introductions = Introductions::new(config.webrtc.clone(), messages.clone());
        Self {
            engine,
            storage,
            config,
            jobs,
            announcers,
            introductions,
            messages,
            heard,
            events,
            peers: HashMap::new(),
            utp,
            unheard: Unheard::default(),
            to_flush: Vec::new(),
            start: Instant::now(),
            farewells: HashSet::new(),
            working: 0,
            leaving: None,
        }
    }

    /// The moment, on the engine's clock.
    #[must_use]
    pub fn now(&self) -> Time {
        Time::ZERO + self.start.elapsed()
    }

    /// Runs until told to leave.
    pub(super) async fn run(mut self, mut inbox: UnboundedReceiver<Message>, mut heard: Receiver<Heard>) {
        let mut messages = Vec::with_capacity(ROUND);
        let mut reads = Vec::with_capacity(ROUND);
        let alarm = tokio::time::sleep(Duration::ZERO);
        tokio::pin!(alarm);
        loop {
            if self.to_flush.is_empty() {
                let deadline = self.deadline();
                if let Some(deadline) = deadline {
                    alarm.as_mut().reset(deadline.into());
                }
                tokio::select! {
                    biased;
                    _ = inbox.recv_many(&mut messages, ROUND) => {}
                    _ = heard.recv_many(&mut reads, ROUND) => {}
                    () = &mut alarm, if deadline.is_some() => {}
                }
            } else {
                // There is more to write; let the pumps run, then go on.
                tokio::task::yield_now().await;
            }
            take_waiting(&mut messages, || inbox.try_recv().ok());
            take_waiting(&mut reads, || heard.try_recv().ok());
            let now = self.now();
            for message in messages.drain(..) {
                self.take(now, message);
            }
            for read in reads.drain(..) {
                self.hear(now, read);
            }
            self.round(now);
            if self.has_left(now) {
                break;
            }
        }
        for peer in self.peers.values() {
            peer.link.close();
        }
        // Answers that come later find nobody; that is fine.
        inbox.close();
        if let Some(leaving) = self.leaving.take() {
            // Who asked may have gone.
            let _ = leaving.done.send(());
        }
    }

    /// Takes the next step of leaving when its time has come: first the disk threads finish what they have begun,
    /// then everything is saved and the trackers are told.
    fn has_left(&mut self, now: Time) -> bool {
        let Some(leaving) = &mut self.leaving else { return false };
        let late = leaving.until <= Instant::now();
        if leaving.saved {
            return self.farewells.is_empty() || late;
        }
        if self.working > 0 && !late {
            return false;
        }
        leaving.saved = true;
        leaving.until = Instant::now() + FAREWELL;
        self.storage.close_all(&self.engine, self.working == 0);
        let torrents: Vec<_> = self.engine.torrents().collect();
        for torrent in torrents {
            self.engine.remove(now, torrent);
        }
        self.round(now);
        self.farewells.is_empty()
    }

    /// When there is something to do if nothing comes.
    fn deadline(&self) -> Option<Instant> {
        let engine = self.engine.poll_timeout();
        let engine = (engine != Time::NEVER).then(|| self.start + engine.since(Time::ZERO));
        let leaving = self.leaving.as_ref().map(|leaving| leaving.until);
        [engine, self.storage.deadline(), leaving].into_iter().flatten().min()
    }

    fn take(&mut self, now: Time, message: Message) {
        match message {
            Message::Command(command) => command(self),
            Message::Dialled { dial, torrent, address, result: Ok(begun) } => {
                let direction = Direction::Dialled(dial);
                self.connect(now, begun, direction, Some(torrent), Some(address), None);
            }
            Message::Dialled { dial, address, result: Err(error), .. } => {
                tracing::debug!(%address, %error, "dial failed");
                self.engine.handle_dial_failed(now, dial);
            }
            Message::Accepted { begun, address, place } => {
                self.connect(now, begun, Direction::Accepted, None, Some(address), Some(place));
            }
            Message::Opened { channel, torrent, direction } => {
                let carrier = Carrier::WebRtc(channel);
                let begun = Begun { carrier, ciphers: None, early: Bytes::new() };
                self.connect(now, begun, direction, Some(torrent), None, None);
            }
            Message::Described { introduction, sdp, offer } => {
                if let Some(offer) = offer {
                    self.introductions.offered(introduction, offer);
                }
                self.engine.handle_described(now, introduction, sdp);
            }
            Message::Done(job, done) => {
                self.working = self.working.saturating_sub(1);
                self.engine.handle_done(now, job, done);
            }
            Message::Announced(announce, result) => {
                match &result {
                    Ok(reply) => tracing::debug!(?announce, peers = reply.peers.len(), "a tracker answered"),
                    Err(reason) => tracing::debug!(?announce, %reason, "a tracker did not answer"),
                }
                self.farewells.remove(&announce);
                self.engine.handle_announced(now, announce, result);
            }
            Message::Saved(torrent, result) => self.storage.saved(torrent, result),
            Message::Leave(done) => {
                let torrents: Vec<_> = self.engine.torrents().collect();
                for torrent in torrents {
                    self.engine.pause(now, torrent);
                }
                let until = Instant::now() + FAREWELL;
                self.leaving.get_or_insert(Leaving { until, saved: false, done });
            }
        }
    }

    fn connect(
        &mut self,
        now: Time,
        begun: Begun,
        direction: Direction,
        torrent: Option<TorrentKey>,
        address: Option<SocketAddr>,
        place: Option<OwnedSemaphorePermit>,
    ) {
        let Begun { carrier, ciphers, early } = begun;
        let transport = match &carrier {
            Carrier::Tcp(_) => Transport::Tcp,
            Carrier::Utp(_) => Transport::Utp,
            Carrier::WebRtc(_) => Transport::WebRtc,
        };
        let encrypted = ciphers.is_some() || transport == Transport::WebRtc;
        let facts = anatomic_engine::Link { transport, direction, torrent, address, encrypted };
        let key = self.engine.handle_connected(now, facts);
        tracing::debug!(peer = ?key, ?transport, ?direction, "connected");
        let link = Link::new(carrier, self.config.sent.clone());
        let (receive, send) = ciphers.map(|Ciphers { receive, send }| (receive, send)).unzip();
        let ear = Ear { peer: key, to: self.heard.clone(), cipher: receive };
        tokio::spawn(pump(Arc::clone(&link), ear));
        let outbox = Outbox::new(send);
        let dialled = address.filter(|_| matches!(direction, Direction::Dialled(_)) && early.is_empty());
        let unheard = dialled.map(|address| (address, transport));
        let peer = Peer { link, outbox, queued: false, full: false, unheard, _place: place };
        self.peers.insert(key, peer);
        self.engine.handle_received(now, key, early);
    }

    fn hear(&mut self, now: Time, heard: Heard) {
        match heard {
            Heard::Received(key, bytes) => {
                if let Some((address, transport)) =
                    self.peers.get_mut(&key).and_then(|peer| peer.unheard.take())
                {
                    self.unheard.ended(address, transport, true);
                }
                self.engine.handle_received(now, key, bytes);
            }
            Heard::Room(key) => {
                if let Some(peer) = self.peers.get_mut(&key) {
                    peer.full = false;
                    queue(&mut self.to_flush, key, peer);
                }
            }
            Heard::Closed(peer) => self.forget(now, peer),
        }
    }

    /// The other side ended a connection.
    fn forget(&mut self, now: Time, key: PeerKey) {
        if let Some(peer) = self.peers.remove(&key) {
            tracing::debug!(peer = ?key, "the peer closed the connection");
            peer.link.close();
            if let Some((address, transport)) = peer.unheard {
                self.unheard.ended(address, transport, false);
            }
            self.engine.handle_closed(now, key);
        }
    }

    /// Lets the engine work on what came in, and carries out what it wants.
    fn round(&mut self, now: Time) {
        if self.engine.poll_timeout() <= now {
            self.engine.handle_timeout(now);
        }
        self.carry_out_all(now);
        for key in std::mem::take(&mut self.to_flush) {
            if let Some(peer) = self.peers.get_mut(&key) {
                peer.queued = false;
                self.flush(now, key);
            }
        }
        self.carry_out_all(now);
        self.storage.save_due(&self.engine);
    }

    fn carry_out_all(&mut self, now: Time) {
        while let Some(output) = self.engine.poll_output() {
            self.carry_out(now, output);
        }
    }

    fn carry_out(&mut self, now: Time, output: Output) {
        match output {
            Output::Dial { dial, torrent, address, encryption } => {
                self.dial(now, dial, torrent, address, encryption);
            }
            Output::Transmit { peer: key } => {
                if let Some(peer) = self.peers.get_mut(&key) {
                    queue(&mut self.to_flush, key, peer);
                }
            }
            Output::Read { peer, on } => {
                if let Some(peer) = self.peers.get(&peer) {
                    peer.link.pause(on == Reading::Pause);
                }
            }
            Output::Close { peer: key, reason } => {
                tracing::debug!(peer = ?key, %reason, "connection closed");
                if let Some(peer) = self.peers.remove(&key) {
                    peer.link.close();
                }
            }
            Output::Announce { announce, request } => {
                tracing::debug!(?announce, url = %request.url, event = ?request.event, want = request.want, "announcing");
                if request.event == AnnounceEvent::Stopped {
                    self.farewells.insert(announce);
                }
                self.announcers.announce(announce, request);
            }
            Output::Introduce { introduction, torrent, step } => {
                tracing::debug!(?torrent, ?introduction, "a peer introduces a peer");
                self.introductions.carry_out(introduction, torrent, step);
            }
            Output::Job { job, torrent, work } => {
                let files = self.storage.files(&self.engine, torrent);
                self.working += 1;
                self.jobs.submit(job, work, files);
            }
            Output::Event { torrent, event } => self.tell(torrent, event),
            // The engine may learn to want more; what this driver does not know it cannot do.
            other => tracing::debug!(?other, "an output that this driver does not know"),
        }
    }

    /// Connects to a candidate, if policy allows.
    fn dial(
        &mut self,
        now: Time,
        dial: DialKey,
        torrent: TorrentKey,
        address: SocketAddr,
        encryption: Encryption,
    ) {
        let refusal = self.config.peers.check(address).err();
        let Some(info_hash) = self.engine.info_hash(torrent).filter(|_| refusal.is_none()) else {
            tracing::debug!(%address, ?refusal, "not dialled");
            self.engine.handle_dial_failed(now, dial);
            return;
        };
        let (to, listen, utp) = (self.messages.clone(), self.config.listen, self.utp.clone());
        let first = self.unheard.first(address);
        tokio::spawn(async move {
            let result = match dial::connect(address, listen, utp, first).await {
                Ok(carrier) => mse::dialled(carrier, encryption, info_hash).await,
                Err(error) => Err(error),
            };
            // Without a session nobody wants the connection.
            let _ = to.send(Message::Dialled { dial, torrent, address, result });
        });
    }

    fn tell(&mut self, torrent: TorrentKey, event: Event) {
        match &event {
            Event::MetadataReady => {
                // Makes the store, and with it the files that have no bytes.
                let _ = self.storage.files(&self.engine, torrent);
                self.storage.changed(torrent);
            }
            Event::PieceStored(_) | Event::StateChanged(_) | Event::Complete => self.storage.changed(torrent),
            Event::Error(reason) => tracing::warn!(?torrent, "{reason}"),
            Event::Warning(reason) => tracing::info!(?torrent, "{reason}"),
            Event::PeerBanned { peer, reason, .. } => {
                tracing::info!(?torrent, ?peer, "peer banned: {reason}")
            }
            _ => {}
        }
        // Nobody may be listening.
        let _ = self.events.send((torrent, event));
    }

    /// Writes to a peer what it is owed, as far as its link has room.
    fn flush(&mut self, now: Time, key: PeerKey) {
        let Some(peer) = self.peers.get_mut(&key) else { return };
        let mut left = TURN;
        while !peer.full {
            if peer.outbox.bytes.is_empty() {
                let Some(room) = peer.link.room() else {
                    peer.full = true;
                    break;
                };
                if left == 0 {
                    queue(&mut self.to_flush, key, peer);
                    return;
                }
                let count = self.engine.poll_transmit(now, key, room, &mut peer.outbox.bytes);
                peer.outbox.encrypt();
                if count == 0 {
                    return;
                }
                left = left.saturating_sub(count);
            }
            match peer.link.flush(&mut peer.outbox) {
                Flushed::All => {}
                Flushed::Full => peer.full = true,
                Flushed::Over => {
                    self.forget(now, key);
                    return;
                }
            }
        }
        peer.link.wait_for_room();
    }
}

fn queue(list: &mut Vec<PeerKey>, key: PeerKey, peer: &mut Peer) {
    if !peer.queued {
        peer.queued = true;
        list.push(key);
    }
}

fn take_waiting<T>(into: &mut Vec<T>, mut next: impl FnMut() -> Option<T>) {
    while into.len() < ROUND {
        let Some(message) = next() else { return };
        into.push(message);
    }
}
