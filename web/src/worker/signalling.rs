//! Introductions: WebSocket trackers, and peers that take their place; the offers sent through them, and the answers.
//!
//! Opens no socket and makes no connection: inputs are what happened, [`Signalling::poll`] says what to do. When to
//! announce is the engine's decision; here an announce waits until its offers are described, and is repeated when a
//! tracker comes back after a loss.

mod conns;
mod drafts;
mod tracker;

use crate::protocol::rtc::{Conn, RtcCommand};
use crate::protocol::view::TrackerStatus;
use anatomic_core::{InfoHash, PeerId, Time};
use anatomic_engine::{AnnounceEvent, AnnounceKey, AnnounceReply, AnnounceRequest, IntroductionKey, Step};
use anatomic_wire::tracker::Event;
use anatomic_wire::tracker::websocket::{ClientMessage, Offer, OfferId, ServerMessage};
use conns::{Conns, Offerer, Origin};
pub use conns::{MAX_CONNECTIONS, Ready};
use drafts::{Draft, Postponed};
use std::collections::VecDeque;
use std::time::Duration;
use tracker::{Link, Tracker};

/// A tracker that did not answer an announce in this time will not.
const REPLY_TIMEOUT: Duration = Duration::from_secs(20);
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
    /// Tell the engine: a connection for an introduction is described, or cannot be made.
    Described(IntroductionKey, Option<String>),
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
            self.begin(now, Origin::Tracker(wait.url), wait.info_hash, wait.event, wait.offers);
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
                let to = Origin::Tracker(url.clone());
                self.send_announce(now, &to, info_hash, Some(Event::Stopped), Vec::new());
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

    /// Whether a connection is worth less than the try to make it anew. With a peer, without a tracker, there is no other
    /// try: then the browser's patience counts.
    #[must_use]
    pub fn can_replace(&self, conn: Conn) -> bool {
        matches!(self.conns.origin(conn), Some((Origin::Node(_), _)))
            || self.trackers.iter().any(|tracker| tracker.link() == Link::Open)
    }

    /// Opens one more connection with the node that `conn` leads to, up to `most`: a *stripe* of the same transfer.
    pub fn widen(&mut self, now: Time, conn: Conn, most: usize) {
        if let Some((origin @ Origin::Node(_), info_hash)) = self.conns.origin(conn)
            && self.conns.count(&origin, info_hash) < most
        {
            self.begin(now, origin, info_hash, None, 1);
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
        self.drafts.retain(|draft| draft.origin.tracker() != Some(url));
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
        let Some(message) = super::messages::read(bytes) else { return };
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
                    let to = Some((peer_id, offer.id));
                    self.answer(now, Origin::Tracker(url.to_owned()), info_hash, to, offer.sdp);
                }
            }
            ServerMessage::Answer { info_hash, answer, .. } => {
                if let Some(conn) = self.conns.accept(now, url, info_hash, &answer) {
                    if matches!(self.conns.origin(conn), Some((Origin::Node(_), _))) {
                        tracker.found_node(info_hash);
                    }
                    self.effects.push_back(Effect::Rtc(RtcCommand::Accept { conn, sdp: answer.sdp }));
                }
            }
            ServerMessage::Scraped(_) => {}
        }
    }

    /// Does what the engine wants for an introduction by a peer.
    pub fn introduce(&mut self, now: Time, key: IntroductionKey, info_hash: InfoHash, step: Step) {
        let origin = Origin::Peer(key);
        match step {
            Step::Offer => {
                self.begin(now, origin, info_hash, None, 1);
                self.send_ready(now);
            }
            Step::Answer(sdp) if self.conns.allowance(now) > 0 => {
                self.answer(now, origin, info_hash, None, sdp);
            }
            Step::Answer(_) => self.effects.push_back(Effect::Described(key, None)),
            Step::Accept(sdp) => {
                if let Some(conn) = self.conns.accept_introduced(now, key, &sdp) {
                    self.effects.push_back(Effect::Rtc(RtcCommand::Accept { conn, sdp }));
                }
            }
            Step::Drop => {
                self.drafts.retain(|draft| draft.origin != origin);
                for conn in self.conns.of_peer(key) {
                    self.drop_conn(now, conn);
                }
            }
        }
    }

    /// The page described a connection: our offer or our answer is ready.
    pub fn described(&mut self, now: Time, conn: Conn, sdp: String) {
        if let Some(effect) = self.answered(now, conn, &sdp) {
            self.effects.push_back(effect);
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

    /// Has a stranger's offer answered.
    fn answer(&mut self, now: Time, origin: Origin, info_hash: InfoHash, to: Option<Offerer>, sdp: String) {
        let conn = self.conns.answer(now, origin, info_hash, to, &sdp);
        let stun = self.stun.clone().unwrap_or_default();
        self.effects.push_back(Effect::Rtc(RtcCommand::Answer { conn, sdp, stun }));
    }

    /// What to do with our answer, if it is one.
    fn answered(&mut self, now: Time, conn: Conn, sdp: &str) -> Option<Effect> {
        let (origin, info_hash, to) = self.conns.answered(now, conn)?;
        let url = match origin {
            Origin::Peer(key) => return Some(Effect::Described(key, Some(sdp.to_owned()))),
            Origin::Tracker(url) | Origin::Node(url) => url,
        };
        let (to_peer_id, id) = to?;
        let peer_id = self.find(&url)?.peer_id;
        let answer = Offer { id, sdp: sdp.to_owned() };
        let message = ClientMessage::Answer { info_hash, peer_id, to_peer_id, answer };
        Some(Effect::Send(url, message.encode()))
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
