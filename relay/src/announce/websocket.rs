//! Announces over WebSocket, with offers for data channels (the WebTorrent tracker protocol).
//!
//! The messages are `anatomic-wire`'s and the data channels are [`crate::webrtc`]'s; here is one socket a tracker, which
//! serves all torrents that name it, so replies are matched by info-hash.
//!
//! A socket that breaks is opened again and everything announced anew, since offers come only over an open socket; under
//! another peer id, since some trackers keep the first socket of an id for ever.

use super::Guard;
use super::http::event_of;
use crate::driver::{Message, enter};
use crate::webrtc::{Endpoint, PendingOffer};
use anatomic_core::{InfoHash, PeerId};
use anatomic_engine::{AnnounceEvent, AnnounceKey, AnnounceReply, AnnounceRequest, Direction, TorrentKey};
use anatomic_wire::tracker::websocket::{
    ClientMessage, MAX_MESSAGE_LEN, MAX_OFFERS, Offer, OfferId, ServerMessage, WsAnnounce,
};
use futures_util::{SinkExt as _, StreamExt as _};
use reqwest::Url;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{Semaphore, oneshot};
use tokio_tungstenite::tungstenite::{self, protocol::WebSocketConfig};
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream};

/// Time to connect, TLS and upgrade included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// Time for the reply to an announce.
const REPLY_TIMEOUT: Duration = Duration::from_secs(30);
/// Silence after which we ping; proxies cut connections that are quiet for two minutes, some after one.
const PING_EVERY: Duration = Duration::from_secs(45);
/// Silence after which the socket counts as dead.
const SILENCE: Duration = Duration::from_secs(150);
/// First wait before a broken socket is opened again; doubled each time.
const BACKOFF: Duration = Duration::from_secs(4);
const MAX_BACKOFF: Duration = Duration::from_secs(300);
/// Offers of strangers answered at once, all torrents of a tracker together.
const NEGOTIATIONS: usize = 10;
/// How long an offer may wait for its answer; libtorrent waits 120 s, WebTorrent 50 s.
const OFFER_LIFE: Duration = Duration::from_secs(60);

type Stream = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// The socket to one tracker, run by a task of its own.
pub(super) struct Socket {
    orders: UnboundedSender<Order>,
}

enum Order {
    Announce(AnnounceKey, Box<AnnounceRequest>),
    Send(ClientMessage),
}

impl Socket {
    pub(super) fn open(
        url: String,
        guard: Guard,
        endpoint: Endpoint,
        session: UnboundedSender<Message>,
    ) -> Self {
        let (orders, inbox) = unbounded_channel();
        let weak = orders.downgrade();
        let task = Task {
            url,
            guard,
            endpoint,
            session,
            send_back: weak,
            negotiations: Arc::new(Semaphore::new(NEGOTIATIONS)),
            torrents: HashMap::new(),
            waiting: HashMap::new(),
            offers: HashMap::new(),
            peer_id: None,
            failures: 0,
        };
        tokio::spawn(task.run(inbox));
        Self { orders }
    }

    pub(super) fn is_over(&self) -> bool {
        self.orders.is_closed()
    }

    pub(super) fn announce(&self, announce: AnnounceKey, request: AnnounceRequest) {
        // The task ends only when its last torrent has left; who races with that is asked again by the engine's timer.
        let _ = self.orders.send(Order::Announce(announce, Box::new(request)));
    }
}

struct Task {
    url: String,
    guard: Guard,
    endpoint: Endpoint,
    session: UnboundedSender<Message>,
    send_back: tokio::sync::mpsc::WeakUnboundedSender<Order>,
    negotiations: Arc<Semaphore>,
    /// What was last said of each torrent, to be said again on a new socket.
    torrents: HashMap<InfoHash, AnnounceRequest>,
    /// Announces without a reply.
    waiting: HashMap<InfoHash, (AnnounceKey, Instant)>,
    offers: HashMap<OfferId, (TorrentKey, PendingOffer, Instant)>,
    peer_id: Option<PeerId>,
    failures: u32,
}

/// Why a socket was left.
enum Left {
    /// No torrent names this tracker any more, or the session is over.
    Done,
    /// It broke.
    Broken(String),
}

impl Task {
    async fn run(mut self, mut inbox: UnboundedReceiver<Order>) {
        loop {
            // Nothing to say: wait until there is, however long; and with something to say, not too eagerly.
            if !self.torrents.is_empty() {
                let pause = BACKOFF.saturating_mul(1 << self.failures.min(10)).min(MAX_BACKOFF);
                let pause = pause.mul_f64(0.75 + 0.5 * random_part());
                if let Ok(order) = tokio::time::timeout(pause, inbox.recv()).await
                    && self.note(order).is_err()
                {
                    return;
                }
            } else {
                let order = inbox.recv().await;
                if self.note(order).is_err() {
                    return;
                }
            }
            if self.torrents.is_empty() {
                continue;
            }
            let connected = tokio::time::timeout(CONNECT_TIMEOUT, connect(&self.url, self.guard)).await;
            let reason = match connected.unwrap_or_else(|_| Err("no answer in time".into())) {
                Ok(stream) => match self.serve(stream, &mut inbox).await {
                    Left::Done => return,
                    Left::Broken(reason) => reason,
                },
                Err(reason) => reason,
            };
            self.failures = self.failures.saturating_add(1);
            self.peer_id = None;
            self.offers.clear();
            for (announce, _) in std::mem::take(&mut self.waiting).into_values() {
                self.tell(announce, Err(reason.clone()));
            }
        }
    }

    /// Takes an order while there is no socket. An error: the session is over.
    fn note(&mut self, order: Option<Order>) -> Result<(), ()> {
        match order {
            None => return Err(()),
            Some(Order::Announce(announce, request)) if request.event == AnnounceEvent::Stopped => {
                self.torrents.remove(&request.info_hash);
                // Without a socket the tracker knows already that we are gone.
                self.tell(announce, Ok(AnnounceReply::default()));
            }
            Some(Order::Announce(announce, request)) => {
                self.waiting.insert(request.info_hash, (announce, Instant::now() + REPLY_TIMEOUT));
                self.torrents.insert(request.info_hash, *request);
            }
            // An answer to an offer that came over a socket that is gone.
            Some(Order::Send(_)) => {}
        }
        Ok(())
    }

    async fn serve(&mut self, mut stream: Stream, inbox: &mut UnboundedReceiver<Order>) -> Left {
        let all: Vec<_> = self.torrents.values().cloned().collect();
        for request in all {
            if let Err(reason) = self.announce(&mut stream, &request).await {
                return Left::Broken(reason);
            }
        }
        let mut heard = Instant::now();
        let mut tick = tokio::time::interval(Duration::from_secs(5));
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut pinged = Instant::now();
        loop {
            tokio::select! {
                order = inbox.recv() => {
                    let sent = match order {
                        None => return Left::Done,
                        Some(Order::Announce(announce, request)) => {
                            let sent = self.order(&mut stream, announce, *request).await;
                            if sent.is_ok() && self.torrents.is_empty() {
                                // The farewell must get out; a tracker that does not answer it changes nothing.
                                let _ = tokio::time::timeout(Duration::from_secs(1), stream.close(None)).await;
                                return Left::Done;
                            }
                            sent
                        }
                        Some(Order::Send(message)) => send(&mut stream, &message).await,
                    };
                    if let Err(reason) = sent {
                        return Left::Broken(reason);
                    }
                }
                message = stream.next() => {
                    heard = Instant::now();
                    match message {
                        Some(Ok(tungstenite::Message::Text(text))) => self.receive(text.as_bytes()),
                        Some(Ok(tungstenite::Message::Binary(bytes))) => self.receive(&bytes),
                        Some(Ok(tungstenite::Message::Close(_))) | None => {
                            return Left::Broken("the tracker closed the connection".into());
                        }
                        Some(Ok(_)) => {}
                        Some(Err(error)) => return Left::Broken(error.to_string()),
                    }
                }
                _ = tick.tick() => {
                    self.expire();
                    if heard.elapsed() > SILENCE {
                        return Left::Broken("the tracker is silent".into());
                    }
                    if heard.elapsed() > PING_EVERY && pinged.elapsed() > PING_EVERY {
                        pinged = Instant::now();
                        if let Err(error) = stream.send(tungstenite::Message::Ping(Default::default())).await {
                            return Left::Broken(error.to_string());
                        }
                    }
                }
            }
        }
    }

    async fn order(
        &mut self,
        stream: &mut Stream,
        announce: AnnounceKey,
        request: AnnounceRequest,
    ) -> Result<(), String> {
        if request.event == AnnounceEvent::Stopped {
            self.torrents.remove(&request.info_hash);
            self.waiting.remove(&request.info_hash);
            self.offers.retain(|_, (torrent, _, _)| *torrent != request.torrent);
            let sent = self.announce(stream, &request).await;
            self.tell(announce, Ok(AnnounceReply::default()));
            return sent;
        }
        self.waiting.insert(request.info_hash, (announce, Instant::now() + REPLY_TIMEOUT));
        let sent = self.announce(stream, &request).await;
        // What is repeated on a new socket is no event any more.
        self.torrents.insert(request.info_hash, AnnounceRequest { event: AnnounceEvent::Regular, ..request });
        sent
    }

    async fn announce(&mut self, stream: &mut Stream, request: &AnnounceRequest) -> Result<(), String> {
        let asks = matches!(request.event, AnnounceEvent::Started | AnnounceEvent::Regular);
        let want = if asks { request.want.min(u32::try_from(MAX_OFFERS).unwrap_or(u32::MAX)) } else { 0 };
        let mut offers = Vec::new();
        for _ in 0..want {
            match self.endpoint.offer().await {
                Ok((sdp, pending)) => {
                    let id = OfferId(random());
                    self.offers.insert(id, (request.torrent, pending, Instant::now() + OFFER_LIFE));
                    offers.push(Offer { id, sdp });
                }
                Err(error) => {
                    tracing::debug!(%error, "no offer could be made");
                    break;
                }
            }
        }
        let peer_id = self.peer_id(request.peer_id);
        let announce = WsAnnounce {
            info_hash: request.info_hash,
            peer_id,
            uploaded: request.uploaded,
            downloaded: request.downloaded,
            left: request.left,
            event: event_of(request.event),
            want: Some(want),
            tracker_id: request.tracker_id.as_ref().map(|id| String::from_utf8_lossy(id).into_owned()),
            for_node: None,
            offers,
        };
        send(stream, &ClientMessage::Announce(announce)).await
    }

    /// What we are called on this socket: the engine's peer id on the first, another on every later one.
    fn peer_id(&mut self, own: PeerId) -> PeerId {
        let failures = self.failures;
        *self.peer_id.get_or_insert_with(|| if failures == 0 { own } else { PeerId::ours(random()) })
    }

    fn receive(&mut self, bytes: &[u8]) {
        match ServerMessage::decode(bytes) {
            Some(ServerMessage::Announced {
                info_hash,
                complete,
                incomplete,
                interval,
                tracker_id,
                warning,
            }) => {
                self.failures = 0;
                let Some((announce, _)) = self.waiting.remove(&info_hash) else { return };
                let reply = AnnounceReply {
                    interval: Some(Duration::from_secs(interval.into()))
                        .filter(|interval| !interval.is_zero()),
                    min_interval: None,
                    peers: Vec::new(),
                    seeds: Some(complete),
                    leeches: Some(incomplete),
                    tracker_id: tracker_id.map(String::into_bytes),
                    warning,
                };
                self.tell(announce, Ok(reply));
            }
            Some(ServerMessage::Offer { info_hash, peer_id, offer }) => {
                self.offered(info_hash, peer_id, offer)
            }
            Some(ServerMessage::Answer { answer, .. }) => self.answered(answer),
            Some(ServerMessage::Refused(refusal)) => {
                // Some trackers do not say which announce they mean; if it can only be one, it is that one.
                let meant = refusal.info_hash.or_else(|| match self.waiting.len() {
                    1 => self.waiting.keys().next().copied(),
                    _ => None,
                });
                let waiting = meant.and_then(|info_hash| self.waiting.remove(&info_hash));
                if let Some((announce, _)) = waiting {
                    self.tell(announce, Err(format!("the tracker refuses: {}", refusal.reason)));
                }
            }
            Some(ServerMessage::Scraped(_)) | None => {}
        }
    }

    /// A stranger offers a data channel.
    fn offered(&mut self, info_hash: InfoHash, to_peer_id: PeerId, offer: Offer) {
        let Some(peer_id) = self.peer_id.filter(|own| *own != to_peer_id) else { return };
        let Some(torrent) = self.torrents.get(&info_hash).map(|request| request.torrent) else { return };
        let Ok(place) = Arc::clone(&self.negotiations).try_acquire_owned() else { return };
        let (endpoint, session, back) = (self.endpoint.clone(), self.session.clone(), self.send_back.clone());
        tokio::spawn(async move {
            let _place = place;
            if !wants_peer(&session, torrent).await {
                return;
            }
            let (sdp, pending) = match endpoint.answer(&offer.sdp).await {
                Ok(answer) => answer,
                Err(error) => return tracing::debug!(%error, "an offer cannot be answered"),
            };
            let answer =
                ClientMessage::Answer { info_hash, peer_id, to_peer_id, answer: Offer { id: offer.id, sdp } };
            // Gone with its socket: then the answer has no way to go.
            let Some(back) = back.upgrade() else { return };
            let _ = back.send(Order::Send(answer));
            drop(back);
            enter(&session, torrent, Direction::Accepted, Ok(pending)).await;
        });
    }

    /// A stranger answers an offer of ours.
    fn answered(&mut self, answer: Offer) {
        let Some((torrent, pending, _)) = self.offers.remove(&answer.id) else { return };
        let session = self.session.clone();
        tokio::spawn(async move {
            enter(&session, torrent, Direction::Offered, pending.accept_answer(&answer.sdp).await).await;
        });
    }

    /// Gives up what has waited too long.
    fn expire(&mut self) {
        let now = Instant::now();
        self.offers.retain(|_, (_, _, until)| *until > now);
        let late: Vec<_> =
            self.waiting.iter().filter(|(_, (_, until))| *until <= now).map(|(hash, _)| *hash).collect();
        for info_hash in late {
            if let Some((announce, _)) = self.waiting.remove(&info_hash) {
                self.tell(announce, Err("no answer in time".into()));
            }
        }
    }

    fn tell(&self, announce: AnnounceKey, result: Result<AnnounceReply, String>) {
        // A session that is over wants no answer.
        let _ = self.session.send(Message::Announced(announce, result));
    }
}

/// Asks the session whether a torrent has room for a peer.
async fn wants_peer(session: &UnboundedSender<Message>, torrent: TorrentKey) -> bool {
    let (reply, answer) = oneshot::channel();
    let ask = Message::Command(Box::new(move |session| {
        // Who asked may have gone.
        let _ = reply.send(session.engine.wants_peer(torrent));
    }));
    session.send(ask).is_ok() && answer.await.unwrap_or(false)
}

async fn send(stream: &mut Stream, message: &ClientMessage) -> Result<(), String> {
    let sent = stream.send(tungstenite::Message::text(message.encode()));
    match tokio::time::timeout(CONNECT_TIMEOUT, sent).await {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(_) => Err("the tracker does not read".into()),
    }
}

async fn connect(url: &str, guard: Guard) -> Result<Stream, String> {
    let parsed = Url::parse(url).map_err(|error| format!("not a tracker's address: {error}"))?;
    guard.check(&parsed).map_err(|refused| refused.to_string())?;
    let host = parsed.host_str().unwrap_or_default();
    let port = parsed.port().unwrap_or(if parsed.scheme() == "wss" { 443 } else { 80 });
    let addresses = guard.resolve(host, port).await.map_err(|refused| refused.to_string())?;
    let stream = TcpStream::connect(&*addresses).await.map_err(|error| format!("cannot connect: {error}"))?;
    // Only tunes.
    let _ = stream.set_nodelay(true);
    let mut config = WebSocketConfig::default();
    config.max_message_size = Some(MAX_MESSAGE_LEN);
    config.max_frame_size = Some(MAX_MESSAGE_LEN);
    let connector = match parsed.scheme() {
        "wss" => {
            Connector::Rustls(crate::tls::config().map_err(|error| format!("TLS is not available: {error}"))?)
        }
        _ => Connector::Plain,
    };
    let upgraded =
        tokio_tungstenite::client_async_tls_with_config(url, stream, Some(config), Some(connector)).await;
    upgraded.map(|(stream, _)| stream).map_err(|error| error.to_string())
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // Neither an offer's id nor a peer id is a secret; without randomness the tracker mixes them up, no more.
    let _ = getrandom::fill(&mut bytes);
    bytes
}

/// A number from 0 to 1.
fn random_part() -> f64 {
    let [byte] = random::<1>();
    f64::from(byte) / 255.0
}
