//! Introductions: WebSocket trackers, the offers sent through them, and the answers.
//!
//! Opens no socket and makes no connection: inputs are what happened, [`Signalling::poll`] says what to do. When to
//! announce is the engine's decision; here an announce waits until its offers are described, and is repeated when a
//! tracker comes back after a loss.

mod conns;
mod tracker;

use crate::protocol::rtc::{Conn, Gathering, RtcCommand};
use crate::protocol::view::TrackerStatus;
use anatomic_core::{InfoHash, PeerId, Time};
use anatomic_engine::{AnnounceEvent, AnnounceKey, AnnounceReply, AnnounceRequest};
use anatomic_wire::tracker::Event;
use anatomic_wire::tracker::websocket::{ClientMessage, Offer, OfferId, ServerMessage, WsAnnounce};
use conns::Conns;
pub use conns::{MAX_CONNECTIONS, Ready};
use std::collections::VecDeque;
use std::time::Duration;
use tracker::{Link, Tracker};

/// A tracker that did not answer an announce in this time will not.
const REPLY_TIMEOUT: Duration = Duration::from_secs(20);
/// How long offers wait for the node's STUN to be known.
const STUN_PATIENCE: Duration = Duration::from_secs(2);
/// A socket opened for torrents still to come is closed if none comes in this time.
const NEEDED_WITHIN: Duration = Duration::from_secs(15);

/// Something for the driver to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Open a socket to the tracker.
    Connect(String),
    /// Send a text message to the tracker.
    Send(String, String),
    /// Close the socket to the tracker; nobody needs it.
    Disconnect(String),
    /// Something to do with a peer connection.
    Rtc(RtcCommand),
    /// Tell the engine.
    Announced(AnnounceKey, Result<AnnounceReply, String>),
    /// A tracker refused to serve a torrent.
    Refused {
        /// The tracker.
        url: String,
        /// The torrent.
        info_hash: InfoHash,
        /// In the tracker's words.
        reason: String,
    },
    /// A tracker serves a torrent.
    Served {
        /// The tracker.
        url: String,
        /// The torrent.
        info_hash: InfoHash,
    },
}

/// All introductions of this worker.
pub struct Signalling {
    trackers: Vec<Tracker>,
    conns: Conns,
    drafts: Vec<Draft>,
    effects: VecDeque<Effect>,
    /// A tracker whose socket was opened for torrents still to come, and until when it waits for them.
    prepared: Option<(String, Time)>,
    /// The node's STUN; `None` while it is not known.
    stun: Option<Vec<String>>,
    /// Announces whose offers are only worth making once it is.
    postponed: Vec<Postponed>,
    rng: fastrand::Rng,
}

/// An announce that waits for the node's STUN.
struct Postponed {
    url: String,
    info_hash: InfoHash,
    event: Option<Event>,
    offers: u32,
    until: Time,
}

/// An announce that waits for its offers.
struct Draft {
    url: String,
    info_hash: InfoHash,
    event: Option<Event>,
    for_node: bool,
    waiting: Vec<Conn>,
    ready: Vec<(Conn, Offer)>,
}

/// Whom the offers of an announce are for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum For {
    /// One for the node behind the tracker.
    Node,
    /// So many for other peers of the swarm.
    Peers(u32),
}

impl Signalling {
    /// No tracker yet.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            trackers: Vec::new(),
            conns: Conns::default(),
            drafts: Vec::new(),
            effects: VecDeque::new(),
            prepared: None,
            stun: None,
            postponed: Vec::new(),
            rng: fastrand::Rng::with_seed(seed),
        }
    }

    /// The next thing to do.
    pub fn poll(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// The node's STUN, as `stun:host:port` URLs, once it is known.
    pub fn set_stun(&mut self, now: Time, urls: Vec<String>) {
        self.stun = Some(urls);
        for wait in std::mem::take(&mut self.postponed) {
            self.begin(now, &wait.url, wait.info_hash, wait.event, For::Peers(wait.offers));
        }
        self.send_ready(now);
    }

    /// How a tracker stands with a torrent.
    #[must_use]
    pub fn status(&self, url: &str, info_hash: InfoHash) -> TrackerStatus {
        if !is_websocket(url) {
            return TrackerStatus::Unreachable;
        }
        self.find(url).map_or(TrackerStatus::Waiting, |tracker| tracker.status(info_hash))
    }

    /// Offers of a torrent that nobody answered yet.
    #[must_use]
    pub fn offers(&self, info_hash: InfoHash) -> u32 {
        self.conns.offers(info_hash)
    }

    /// The engine wants to announce.
    pub fn announce(&mut self, now: Time, key: AnnounceKey, request: AnnounceRequest) {
        let (url, info_hash, event) = (request.url.clone(), request.info_hash, request.event);
        if !is_websocket(&url) {
            self.effects.push_back(Effect::Announced(key, Err("a browser cannot speak to it".into())));
            return;
        }
        let at = self.tracker(&url);
        let Some(tracker) = self.trackers.get_mut(at) else { return };
        tracker.remember(request, key);
        match (tracker.link(), event) {
            (Link::Open, AnnounceEvent::Stopped) => {
                self.send_announce(now, &url, info_hash, Some(Event::Stopped), false, Vec::new());
                self.effects.push_back(Effect::Announced(key, Ok(AnnounceReply::default())));
                self.forget(&url, info_hash);
            }
            (_, AnnounceEvent::Stopped) => {
                self.effects.push_back(Effect::Announced(key, Ok(AnnounceReply::default())));
                self.forget(&url, info_hash);
            }
            (Link::Open, _) => self.draft(now, &url, info_hash, event_of(event)),
            (Link::Connecting, _) => {}
            (Link::Lost { .. }, _) => {
                tracker.connecting();
                self.effects.push_back(Effect::Connect(url));
            }
        }
    }

    /// Opens the socket to a tracker that will probably be needed in a moment.
    pub fn prepare(&mut self, now: Time, url: &str) {
        if self.find(url).is_some() {
            return;
        }
        let at = self.tracker(url);
        if let Some(tracker) = self.trackers.get_mut(at) {
            tracker.connecting();
            self.effects.push_back(Effect::Connect(url.to_owned()));
            self.prepared = Some((url.to_owned(), now + NEEDED_WITHIN));
        }
    }

    /// Opens one more connection with the node that `conn` leads to, up to `most`: a *stripe* of the same transfer.
    pub fn widen(&mut self, now: Time, conn: Conn, most: usize) {
        if let Some((origin, info_hash)) = self.conns.origin(conn)
            && origin.for_node
            && self.conns.with_node(&origin.url, info_hash) < most
        {
            self.begin(now, &origin.url, info_hash, None, For::Node);
        }
    }

    /// Announces a torrent anew wherever it is: it is planted there now, and the node that refused it may take part.
    pub fn again(&mut self, now: Time, info_hash: InfoHash) {
        let open: Vec<String> = self
            .trackers
            .iter()
            .filter(|tracker| tracker.link() == Link::Open && tracker.has(info_hash))
            .map(|tracker| tracker.url.clone())
            .collect();
        for url in open {
            self.draft(now, &url, info_hash, Some(Event::Started));
        }
    }

    /// The socket to a tracker is open.
    pub fn opened(&mut self, now: Time, url: &str) {
        let id = self.peer_id();
        let Some(tracker) = self.trackers.iter_mut().find(|tracker| tracker.url == url) else { return };
        for (info_hash, event) in tracker.opened(id) {
            self.draft(now, url, info_hash, event);
        }
    }

    /// The socket to a tracker could not be opened, or is gone.
    pub fn lost(&mut self, now: Time, url: &str) {
        self.drafts.retain(|draft| draft.url != url);
        self.postponed.retain(|wait| wait.url != url);
        for conn in self.conns.of_tracker(url) {
            self.drop_conn(now, conn);
        }
        let jitter = self.rng.u32(75..=125);
        let Some(tracker) = self.trackers.iter_mut().find(|tracker| tracker.url == url) else { return };
        for key in tracker.lost(now, jitter) {
            self.effects.push_back(Effect::Announced(key, Err("it cannot be reached".into())));
        }
    }

    /// A message came from a tracker. `wants` says whether a torrent has room for another peer.
    pub fn heard(&mut self, now: Time, url: &str, bytes: &[u8], wants: impl Fn(InfoHash) -> bool) {
        let Some(message) = ServerMessage::decode(bytes) else { return };
        let Some(tracker) = self.trackers.iter_mut().find(|tracker| tracker.url == url) else { return };
        match message {
            ServerMessage::Announced { info_hash, complete, incomplete, interval, tracker_id, warning } => {
                let reply = AnnounceReply {
                    interval: Some(Duration::from_secs(interval.into())),
                    seeds: Some(complete),
                    leeches: Some(incomplete),
                    tracker_id: tracker_id.map(String::into_bytes),
                    warning,
                    ..AnnounceReply::default()
                };
                if !tracker.has(info_hash) {
                    return;
                }
                if let Some(key) = tracker.answered(info_hash, complete, incomplete) {
                    self.effects.push_back(Effect::Announced(key, Ok(reply)));
                }
                self.effects.push_back(Effect::Served { url: url.into(), info_hash });
            }
            ServerMessage::Refused(refusal) => {
                let refused = tracker.refused(refusal.info_hash, &refusal.reason);
                for info_hash in &refused {
                    if let Some(key) = tracker.take_key(*info_hash) {
                        self.effects.push_back(Effect::Announced(key, Err(refusal.reason.clone())));
                    }
                    let (url, reason) = (url.to_owned(), refusal.reason.clone());
                    self.effects.push_back(Effect::Refused { url, info_hash: *info_hash, reason });
                }
                for info_hash in refused {
                    self.take_back(now, url, info_hash);
                }
            }
            ServerMessage::Offer { info_hash, peer_id, offer } => {
                if tracker.has(info_hash)
                    && peer_id != tracker.peer_id
                    && self.conns.allowance(now) > 0
                    && wants(info_hash)
                {
                    let conn = self.conns.answer(now, url, info_hash, peer_id, &offer);
                    let stun = self.stun.clone().unwrap_or_default();
                    self.effects.push_back(Effect::Rtc(RtcCommand::Answer { conn, sdp: offer.sdp, stun }));
                }
            }
            ServerMessage::Answer { info_hash, answer, .. } => {
                if let Some(conn) = self.conns.accept(now, url, info_hash, &answer) {
                    if self.conns.origin(conn).is_some_and(|(origin, _)| origin.for_node) {
                        tracker.found_node(info_hash);
                    }
                    self.effects.push_back(Effect::Rtc(RtcCommand::Accept { conn, sdp: answer.sdp }));
                }
            }
            ServerMessage::Scraped(_) => {}
        }
    }

    /// The page described a connection: our offer or our answer is ready.
    pub fn described(&mut self, now: Time, conn: Conn, sdp: String) {
        if let Some((url, text)) = self.answer_text(now, conn, &sdp) {
            self.effects.push_back(Effect::Send(url, text));
            return;
        }
        let id = OfferId(self.bytes());
        let Some(draft) = self.drafts.iter_mut().find(|draft| draft.waiting.contains(&conn)) else { return };
        draft.waiting.retain(|other| *other != conn);
        draft.ready.push((conn, Offer { id, sdp }));
        self.send_ready(now);
    }

    /// A connection's channel opened: what is known of it, once.
    pub fn connected(&mut self, conn: Conn) -> Option<Ready> {
        self.conns.connected(conn)
    }

    /// A connection failed or closed.
    pub fn closed(&mut self, now: Time, conn: Conn) {
        self.conns.closed(now, conn);
        for draft in &mut self.drafts {
            draft.waiting.retain(|other| *other != conn);
        }
        self.send_ready(now);
    }

    /// Closes a connection from our side.
    pub fn drop_conn(&mut self, now: Time, conn: Conn) {
        self.closed(now, conn);
        self.effects.push_back(Effect::Rtc(RtcCommand::Close(conn)));
    }

    /// Time passed: gives up what took too long, opens lost sockets again. To be called about once a second.
    pub fn tick(&mut self, now: Time) {
        if self.postponed.iter().any(|wait| wait.until <= now) {
            // This host tells no STUN: then without.
            self.set_stun(now, Vec::new());
        }
        if let Some((url, _)) = self.prepared.take_if(|(_, until)| *until <= now)
            && self.find(&url).is_some_and(Tracker::is_idle)
        {
            self.trackers.retain(|tracker| tracker.url != url);
            self.effects.push_back(Effect::Disconnect(url));
        }
        for conn in self.conns.expired(now) {
            self.drop_conn(now, conn);
        }
        for tracker in &mut self.trackers {
            if tracker.is_due(now) {
                tracker.connecting();
                self.effects.push_back(Effect::Connect(tracker.url.clone()));
            }
            for key in tracker.overdue(now, REPLY_TIMEOUT) {
                self.effects.push_back(Effect::Announced(key, Err("it did not answer in time".into())));
            }
        }
    }

    fn answer_text(&mut self, now: Time, conn: Conn, sdp: &str) -> Option<(String, String)> {
        let (url, info_hash, to_peer_id, offer_id) = self.conns.answered(now, conn)?;
        let peer_id = self.find(&url)?.peer_id;
        let answer = Offer { id: offer_id, sdp: sdp.to_owned() };
        let message = ClientMessage::Answer { info_hash, peer_id, to_peer_id, answer };
        Some((url, message.encode()))
    }

    /// Begins an announce: asks for its offers, and sends it when they are described.
    ///
    /// The node behind the tracker is asked first and apart, unless we are connected with it: it needs to know no more
    /// of us than that we are here. And it must not be our STUN server at the same time: Chromium takes whatever comes
    /// from the address of a STUN server for its answers, so the node's packets would be lost.
    fn draft(&mut self, now: Time, url: &str, info_hash: InfoHash, event: Option<Event>) {
        let want = self.find(url).map_or(0, |tracker| tracker.want(info_hash));
        let want = if event == Some(Event::Completed) { 0 } else { want };
        let has_node = || self.find(url).is_some_and(|tracker| tracker.has_node(info_hash));
        let to_node = want > 0
            && (event == Some(Event::Started) || has_node())
            && self.conns.with_node(url, info_hash) == 0;
        if to_node {
            self.begin(now, url, info_hash, event, For::Node);
        }
        let event = if to_node { None } else { event };
        let offers = want - u32::from(to_node);
        if self.stun.is_none() && offers > 0 {
            // Without it two tabs behind routers, or behind mDNS names, do not find each other.
            let until = now + STUN_PATIENCE;
            self.postponed.push(Postponed { url: url.to_owned(), info_hash, event, offers, until });
        } else if offers > 0 || !to_node {
            self.begin(now, url, info_hash, event, For::Peers(offers));
        }
        self.send_ready(now);
    }

    /// Asks for the offers of an announce.
    fn begin(&mut self, now: Time, url: &str, info_hash: InfoHash, event: Option<Event>, whom: For) {
        let (offers, gathering) = match whom {
            For::Node => (1, Gathering::Quick),
            For::Peers(offers) => (offers, Gathering::Thorough),
        };
        let count = offers.min(self.conns.allowance(now));
        let for_node = whom == For::Node;
        let waiting: Vec<Conn> = (0..count).map(|_| self.conns.offer(url, info_hash, for_node)).collect();
        for conn in &waiting {
            let stun = self.stun.clone().unwrap_or_default();
            self.effects.push_back(Effect::Rtc(RtcCommand::Offer { conn: *conn, gathering, stun }));
        }
        let ready = Vec::new();
        self.drafts.push(Draft { url: url.to_owned(), info_hash, event, for_node, waiting, ready });
    }

    fn send_ready(&mut self, now: Time) {
        while let Some(at) = self.drafts.iter().position(|draft| draft.waiting.is_empty()) {
            let Draft { url, info_hash, event, for_node, ready, .. } = self.drafts.swap_remove(at);
            for (conn, offer) in &ready {
                self.conns.offered(now, *conn, offer.id);
            }
            let offers = ready.into_iter().map(|(_, offer)| offer).collect();
            self.send_announce(now, &url, info_hash, event, for_node, offers);
        }
    }

    fn send_announce(
        &mut self,
        now: Time,
        url: &str,
        info_hash: InfoHash,
        event: Option<Event>,
        for_node: bool,
        offers: Vec<Offer>,
    ) {
        let Some(tracker) = self.trackers.iter_mut().find(|tracker| tracker.url == url) else { return };
        let peer_id = tracker.peer_id;
        let Some(request) = tracker.announcing(now, info_hash) else { return };
        let message = ClientMessage::Announce(WsAnnounce {
            info_hash,
            peer_id,
            uploaded: request.uploaded,
            downloaded: request.downloaded,
            left: request.left,
            event,
            want: Some(u32::try_from(offers.len()).unwrap_or(u32::MAX)),
            tracker_id: request.tracker_id.as_deref().map(|id| String::from_utf8_lossy(id).into_owned()),
            for_node: Some(if for_node { u32::try_from(offers.len()).unwrap_or(u32::MAX) } else { 0 }),
            offers,
        });
        self.effects.push_back(Effect::Send(url.to_owned(), message.encode()));
    }

    /// Gives up the offers that a tracker will pass to nobody.
    fn take_back(&mut self, now: Time, url: &str, info_hash: InfoHash) {
        self.drop_drafts(url, info_hash);
        for conn in self.conns.unanswered(url, info_hash) {
            self.drop_conn(now, conn);
        }
    }

    fn drop_drafts(&mut self, url: &str, info_hash: InfoHash) {
        self.drafts.retain(|draft| draft.url != url || draft.info_hash != info_hash);
        self.postponed.retain(|wait| wait.url != url || wait.info_hash != info_hash);
    }

    fn forget(&mut self, url: &str, info_hash: InfoHash) {
        self.drop_drafts(url, info_hash);
        if let Some(tracker) = self.trackers.iter_mut().find(|tracker| tracker.url == url)
            && tracker.forget(info_hash)
        {
            self.trackers.retain(|tracker| tracker.url != url);
            self.effects.push_back(Effect::Disconnect(url.to_owned()));
        }
    }

    fn find(&self, url: &str) -> Option<&Tracker> {
        self.trackers.iter().find(|tracker| tracker.url == url)
    }

    fn tracker(&mut self, url: &str) -> usize {
        if let Some(at) = self.trackers.iter().position(|tracker| tracker.url == url) {
            return at;
        }
        let id = self.peer_id();
        self.trackers.push(Tracker::new(url, id));
        self.trackers.len() - 1
    }

    /// A fresh id: a tracker that still holds a socket of ours under the old one must not take us for that.
    fn peer_id(&mut self) -> PeerId {
        const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        PeerId::ours(std::array::from_fn(|_| self.rng.choice(LETTERS).copied().unwrap_or(b'0')))
    }

    fn bytes(&mut self) -> [u8; 20] {
        std::array::from_fn(|_| self.rng.u8(..))
    }
}

/// Whether a browser can speak to this tracker.
#[must_use]
pub fn is_websocket(url: &str) -> bool {
    url.starts_with("ws://") || url.starts_with("wss://")
}

const fn event_of(event: AnnounceEvent) -> Option<Event> {
    match event {
        AnnounceEvent::Started => Some(Event::Started),
        AnnounceEvent::Completed => Some(Event::Completed),
        AnnounceEvent::Stopped => Some(Event::Stopped),
        AnnounceEvent::Regular => None,
    }
}

#[cfg(test)]
mod tests;
