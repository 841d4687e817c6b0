//! The tracker's WebSocket door: browsers announce, offer and answer here (the WebTorrent protocol).
//!
//! One task a socket: reads a message, asks the store, writes what waits in the socket's queue. Slow or silent sockets are
//! closed, hasty ones are read more slowly, and none can make us hold more than its queue.

use super::NodePeer;
use super::Tracker;
use super::stream::{Raw, Stream};
use super::swarms::{Socket, SocketId};
use anatomic_core::InfoHash;
use anatomic_wire::tracker::scrape::SwarmCounts;
use anatomic_wire::tracker::websocket::{Action, ClientMessage, Offer, Refusal, ServerMessage, WsAnnounce};
use anatomic_wire::tracker::{Event, NOT_PLANTED};
use bytes::Bytes;
use hashbrown::HashSet;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::{Error, Message};
use tracing::debug;

/// A socket that was silent for so long lets go of its buffers.
const SILENT: Duration = Duration::from_secs(1);

/// Open sockets by address.
#[derive(Default)]
pub struct Census {
    next: AtomicU64,
    all: AtomicUsize,
    open: Mutex<HashMap<IpAddr, usize>>,
}

impl Census {
    /// All open sockets.
    pub(super) fn total(&self) -> usize {
        self.all.load(Ordering::Relaxed)
    }

    fn enter(&self, ip: IpAddr, most: usize) -> Option<SocketId> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(ip).or_default();
        if *count >= most && !ip.is_loopback() {
            return None;
        }
        *count += 1;
        self.all.fetch_add(1, Ordering::Relaxed);
        Some(SocketId(self.next.fetch_add(1, Ordering::Relaxed)))
    }

    fn leave(&self, ip: IpAddr) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&ip) {
            *count -= 1;
            self.all.fetch_sub(1, Ordering::Relaxed);
            if *count == 0 {
                open.remove(&ip);
            }
        }
    }
}

/// Serves one socket until it closes.
pub async fn serve(tracker: Arc<Tracker>, mut stream: Stream<Raw>, ip: IpAddr) {
    let Some(id) = tracker.sockets.enter(ip, tracker.config.sockets_per_ip) else {
        let refusal = Refusal {
            action: Action::Announce,
            info_hash: None,
            reason: "too many connections of your address".into(),
        };
        let _ = send(&mut stream, text(&ServerMessage::Refused(refusal)), || None).await;
        return;
    };
    let (outbox, inbox) = mpsc::channel(tracker.config.queue);
    let mut session =
        Session { socket: Socket { id, ip, outbox }, tracker: tracker.clone(), swarms: HashSet::new() };
    session.run(&mut stream, inbox).await;
    for info_hash in &session.swarms {
        tracker.swarms.disconnect(id, info_hash);
    }
    tracker.sockets.leave(ip);
    debug!(socket = id.0, "tracker socket closed");
}

/// Sends a message and what else there is.
async fn send(
    stream: &mut Stream<Raw>,
    first: Message,
    mut more: impl FnMut() -> Option<Box<ServerMessage>>,
) -> Result<(), Error> {
    stream.feed(first).await?;
    while let Some(message) = more() {
        stream.feed(text(&message)).await?;
    }
    stream.flush().await
}

fn text(message: &ServerMessage) -> Message {
    Message::Text(message.encode().into())
}

struct Session {
    socket: Socket,
    tracker: Arc<Tracker>,
    /// Swarms in which this socket is listed.
    swarms: HashSet<InfoHash>,
}

impl Session {
    async fn run(&mut self, stream: &mut Stream<Raw>, mut inbox: mpsc::Receiver<Box<ServerMessage>>) {
        let tracker = self.tracker.clone();
        let config = &tracker.config;
        let mut pings = tokio::time::interval(config.ping_interval);
        pings.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        pings.tick().await;
        let mut heard = Instant::now();
        let mut pace = Pace::new(config.messages_per_second);
        loop {
            let outgoing = tokio::select! {
                incoming = stream.next() => {
                    let Some(message) = incoming else { return };
                    heard = Instant::now();
                    match message {
                        Message::Text(text) => self.handle(text.as_bytes()),
                        Message::Binary(bytes) => self.handle(&bytes),
                        Message::Close(_) => return,
                        Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
                    }
                    // The next message is read only after the pause: the sender waits, nothing piles up.
                    let pause = pace.pause(heard);
                    if pause.is_zero() {
                        // Whom offers went to takes them out of his queue before more come.
                        tokio::task::yield_now().await;
                    } else {
                        tokio::time::sleep(pause).await;
                    }
                    continue;
                }
                message = inbox.recv() => match message {
                    Some(message) => text(&message),
                    None => return,
                },
                _ = pings.tick() => {
                    if heard.elapsed() > config.ping_interval * 3 {
                        return;
                    }
                    Message::Ping(Bytes::new())
                }
                () = tokio::time::sleep(SILENT), if stream.is_used() => {
                    stream.shed().await;
                    continue;
                }
            };
            // What else waits goes with it.
            let sending = send(stream, outgoing, || inbox.try_recv().ok());
            match tokio::time::timeout(config.send_timeout, sending).await {
                Ok(Ok(())) => {}
                _ => return,
            }
        }
    }

    fn handle(&mut self, bytes: &[u8]) {
        match ClientMessage::decode(bytes) {
            Ok(ClientMessage::Announce(announce)) => self.announce(announce),
            Ok(ClientMessage::Answer { info_hash, to_peer_id, answer, .. }) => {
                // An answer to no open offer is dropped.
                self.tracker.swarms.answer(Instant::now(), self.socket.id, info_hash, &to_peer_id, answer);
                // As aquatic does it: an answer is an announce, and clients take the news of their swarm.
                if self.swarms.contains(&info_hash) {
                    let counts = self.tracker.swarms.counts(&info_hash);
                    self.reply(info_hash, counts);
                }
            }
            Ok(ClientMessage::Scrape(hashes)) => {
                let scrape = self.tracker.scrape(&hashes);
                let counts = |hash: &InfoHash| scrape.files.get(hash).copied().unwrap_or_default();
                self.send(ServerMessage::Scraped(hashes.iter().map(|hash| (*hash, counts(hash))).collect()));
            }
            Err(refusal) => self.send(ServerMessage::Refused(refusal)),
        }
    }

    fn announce(&mut self, mut announce: WsAnnounce) {
        let info_hash = announce.info_hash;
        if !self.tracker.admission.admits(&info_hash) {
            return self.refuse(info_hash, NOT_PLANTED);
        }
        if !self.swarms.contains(&info_hash) && self.swarms.len() >= self.tracker.config.swarms_per_socket {
            return self.refuse(info_hash, "too many torrents on one connection");
        }
        if !self.swarms.contains(&info_hash)
            && announce.event != Some(Event::Stopped)
            && let Some(sister) = self.tracker.hands_on(&info_hash)
        {
            return self.refuse(info_hash, &format!("this node has enough to do; {sister} takes newcomers"));
        }
        let offers = std::mem::take(&mut announce.offers);
        let offers = self.offer_to_node(&announce, offers);
        match self.tracker.swarms.announce_browser(Instant::now(), &self.socket, &announce, offers) {
            Ok(counts) => {
                if announce.event == Some(Event::Stopped) {
                    self.swarms.remove(&info_hash);
                } else {
                    self.swarms.insert(info_hash);
                }
                self.reply(info_hash, counts);
            }
            Err(full) => self.refuse(info_hash, &full.to_string()),
        }
    }

    /// Gives the offers that are meant for the node's own peer to it, which answers at once; the others are returned.
    /// Of a client that does not say which are, the first.
    fn offer_to_node(&self, announce: &WsAnnounce, mut offers: Vec<Offer>) -> Vec<Offer> {
        let meant = usize::try_from(announce.for_node.unwrap_or(1)).unwrap_or(usize::MAX).min(offers.len());
        let others = offers.split_off(meant);
        let Some(node) = self.tracker.node_in(&announce.info_hash) else {
            offers.extend(others);
            return offers;
        };
        let mut left = Vec::new();
        for offer in offers {
            if announce.event != Some(Event::Stopped)
                && node.wants_offer(&announce.info_hash, &announce.peer_id)
            {
                self.answer_as_node(node.as_ref(), announce, offer);
            } else {
                left.push(offer);
            }
        }
        left.extend(others);
        left
    }

    fn answer_as_node(&self, node: &dyn NodePeer, announce: &WsAnnounce, offer: Offer) {
        let (info_hash, Offer { id, sdp }) = (announce.info_hash, offer);
        let answer = node.offer(info_hash, announce.peer_id, sdp);
        let (peer_id, outbox, patience) =
            (node.peer_id(), self.socket.outbox.clone(), self.tracker.config.answer_timeout);
        tokio::spawn(async move {
            match tokio::time::timeout(patience, answer).await {
                Ok(Some(sdp)) => {
                    let answer = Offer { id, sdp };
                    let message = ServerMessage::Answer { info_hash, peer_id, answer };
                    // Waits for room: this one answer is what the tab is here for.
                    let _ = outbox.send_timeout(Box::new(message), patience).await;
                }
                Ok(None) => debug!(torrent = %info_hash, "the node declined an offer"),
                Err(_) => debug!(torrent = %info_hash, "the node did not answer an offer in time"),
            }
        });
    }

    fn refuse(&self, info_hash: InfoHash, reason: &str) {
        self.send(ServerMessage::Refused(Refusal {
            action: Action::Announce,
            info_hash: Some(info_hash),
            reason: reason.into(),
        }));
    }

    fn reply(&self, info_hash: InfoHash, counts: SwarmCounts) {
        self.send(ServerMessage::Announced {
            info_hash,
            complete: counts.complete,
            incomplete: counts.incomplete,
            interval: self.tracker.config.browser_interval,
            tracker_id: None,
            warning: None,
        });
    }

    fn send(&self, message: ServerMessage) {
        // Full queue: dropped. The client announces again.
        let _ = self.socket.pass(message);
    }
}

/// How fast a socket may be read: a bucket that holds ten seconds' worth.
struct Pace {
    per_second: f64,
    tokens: f64,
    at: Instant,
}

impl Pace {
    fn new(per_second: u32) -> Self {
        let per_second = f64::from(per_second.max(1));
        Self { per_second, tokens: per_second * 10.0, at: Instant::now() }
    }

    /// How long to wait after a message that came `now`.
    fn pause(&mut self, now: Instant) -> Duration {
        let earned = now.saturating_duration_since(self.at).as_secs_f64() * self.per_second;
        self.tokens = (self.tokens + earned).min(self.per_second * 10.0) - 1.0;
        self.at = now;
        if self.tokens >= 0.0 {
            Duration::ZERO
        } else {
            Duration::from_secs_f64(-self.tokens / self.per_second)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hasty_socket_is_slowed_to_its_pace() {
        let mut pace = Pace::new(10);
        let now = pace.at;
        assert!((0..100).all(|_| pace.pause(now).is_zero()));
        assert_eq!(pace.pause(now), Duration::from_millis(100));
        assert!(pace.pause(now + Duration::from_secs(1)).is_zero());
    }

    #[test]
    fn sockets_of_one_address_are_counted_and_limited() {
        let census = Census::default();
        let ip = "203.0.113.1".parse().unwrap();
        assert!(
            census.enter(ip, 2).is_some() && census.enter(ip, 2).is_some() && census.enter(ip, 2).is_none()
        );
        census.leave(ip);
        assert!(census.enter(ip, 2).is_some());
        assert_eq!(census.total(), 2);
    }
}
