//! Announces to the trackers that torrents name: over HTTP, UDP, and over WebSocket with offers for data channels.
//!
//! When to announce is the engine's decision; what a tracker does is others' (ours is elsewhere). Trackers' URLs and
//! replies are strangers' words: hosts are judged before they are called and replies are bounded.

mod families;
mod guard;
mod http;
mod udp;
mod websocket;

pub use guard::{Guard, Refused};
pub use http::{MAX_REPLY, client};
pub(crate) use http::{bounded, words};

use crate::driver::Message;
use crate::webrtc::Endpoint;
use anatomic_core::address::Policy;
use anatomic_engine::{AnnounceKey, AnnounceRequest};
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::UnboundedSender;

/// Announces over HTTP and UDP at once; more wait.
const AT_ONCE: usize = 16;

/// The announcers of one session.
pub(crate) struct Announcers {
    guard: Guard,
    http: Result<http::Clients, String>,
    at_once: Arc<Semaphore>,
    sockets: HashMap<String, websocket::Socket>,
    webrtc: Option<Endpoint>,
    messages: UnboundedSender<Message>,
}

impl Announcers {
    pub(crate) fn new(policy: Policy, webrtc: Option<Endpoint>, messages: UnboundedSender<Message>) -> Self {
        let guard = Guard::new(policy);
        let http = http::Clients::new(guard).map_err(|error| format!("HTTP is not available: {error}"));
        let at_once = Arc::new(Semaphore::new(AT_ONCE));
        Self { guard, http, at_once, sockets: HashMap::new(), webrtc, messages }
    }

    /// Announces; the answer goes to the session.
    pub(crate) fn announce(&mut self, announce: AnnounceKey, request: AnnounceRequest) {
        let scheme = request.url.split(':').next().unwrap_or_default().to_ascii_lowercase();
        match (scheme.as_str(), &self.http, &self.webrtc) {
            ("http" | "https", Ok(clients), _) => {
                let (clients, guard) = (clients.clone(), self.guard);
                let (at_once, to) = (Arc::clone(&self.at_once), self.messages.clone());
                tokio::spawn(async move {
                    // The semaphore is never closed.
                    let _place = at_once.acquire_owned().await;
                    let result = http::announce(&clients, guard, &request).await;
                    // A session that is over wants no answer.
                    let _ = to.send(Message::Announced(announce, result));
                });
            }
            ("http" | "https", Err(reason), _) => self.refuse(announce, reason.clone()),
            ("udp", _, _) => {
                let (at_once, to, guard) = (Arc::clone(&self.at_once), self.messages.clone(), self.guard);
                tokio::spawn(async move {
                    let _place = at_once.acquire_owned().await;
                    let result = udp::announce(guard, &request).await;
                    let _ = to.send(Message::Announced(announce, result));
                });
            }
            ("ws" | "wss", _, Some(endpoint)) => {
                self.sockets.retain(|_, socket| !socket.is_over());
                let socket = self.sockets.entry(request.url.clone()).or_insert_with(|| {
                    websocket::Socket::open(
                        request.url.clone(),
                        self.guard,
                        endpoint.clone(),
                        self.messages.clone(),
                    )
                });
                socket.announce(announce, request);
            }
            ("ws" | "wss", _, None) => {
                self.refuse(announce, "WebSocket trackers need WebRTC, which is off".into())
            }
            _ => self.refuse(announce, format!("trackers of kind {scheme:?} are not spoken to")),
        }
    }

    fn refuse(&self, announce: AnnounceKey, reason: String) {
        // A session that is over wants no answer.
        let _ = self.messages.send(Message::Announced(announce, Err(reason)));
    }
}
