//! The way into a running session: add torrents, ask, listen, leave.
//!
//! Holds no state of its own; every call is a message to the session's task, so clones are cheap and any task may hold
//! one.

use super::introductions::enter;
use super::session::{Message, Session};
use crate::utp::Gauge;
use crate::webrtc::Endpoint;
use anatomic_core::{InfoHash, PeerId};
use anatomic_engine::{AddTorrent, Direction, Event, TorrentKey, TorrentView};
use std::net::SocketAddr;
use std::path::PathBuf;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::{broadcast, oneshot};

/// A running session.
#[derive(Clone, Debug)]
pub struct Handle {
    messages: UnboundedSender<Message>,
    events: broadcast::Sender<(TorrentKey, Event)>,
    local: Option<SocketAddr>,
    peer_id: PeerId,
    webrtc: Option<Endpoint>,
    utp: Option<Gauge>,
}

/// Why a session did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// It is over.
    #[error("the session is over")]
    Over,
    /// The torrent is in it already.
    #[error("this torrent is there already")]
    AlreadyAdded(TorrentKey),
    /// The engine refused; the text says why.
    #[error("{0}")]
    Refused(String),
}

/// Why an offer was not answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OfferError {
    /// The torrent is not here.
    #[error("this torrent is not here")]
    Unknown,
    /// It has as many peers as it may have.
    #[error("enough peers")]
    Enough,
    /// There is no WebRTC endpoint, or it refused: the text says why.
    #[error("{0}")]
    Failed(String),
}

impl Handle {
    pub(super) const fn new(
        messages: UnboundedSender<Message>,
        events: broadcast::Sender<(TorrentKey, Event)>,
        local: Option<SocketAddr>,
        peer_id: PeerId,
        webrtc: Option<Endpoint>,
        utp: Option<Gauge>,
    ) -> Self {
        Self { messages, events, local, peer_id, webrtc, utp }
    }

    /// Where classic peers connect, with the port that was picked.
    #[must_use]
    pub const fn local_addr(&self) -> Option<SocketAddr> {
        self.local
    }

    /// Who we are on the wire.
    #[must_use]
    pub const fn peer_id(&self) -> PeerId {
        self.peer_id
    }

    /// What uTP did so far; `None` without it.
    #[must_use]
    pub fn utp(&self) -> Option<anatomic_utp::Counters> {
        self.utp.as_ref().map(Gauge::counters)
    }

    /// What happens from now on. A listener that lags is told so and can look at [`Self::view`].
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<(TorrentKey, Event)> {
        self.events.subscribe()
    }

    /// Does something on the session's task, quickly; `None` if the session is over.
    pub async fn with<R: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Session) -> R + Send + 'static,
    ) -> Option<R> {
        let (reply, answer) = oneshot::channel();
        let command = move |session: &mut Session| {
            // Who asked may have gone.
            let _ = reply.send(act(session));
        };
        self.messages.send(Message::Command(Box::new(command))).ok()?;
        answer.await.ok()
    }

    /// Adds a torrent; its data go below `root`, or nowhere.
    ///
    /// # Errors
    /// When it is there already, or the session is over.
    pub async fn add(&self, torrent: AddTorrent, root: Option<PathBuf>) -> Result<TorrentKey, SessionError> {
        let add = move |session: &mut Session| {
            let now = session.now();
            let key = session.engine.add(now, torrent)?;
            if let Some(root) = root {
                session.storage.place(key, root);
            }
            Ok(key)
        };
        self.with(add).await.ok_or(SessionError::Over)?.map_err(
            |misuse: anatomic_engine::Misuse| match misuse {
                anatomic_engine::Misuse::AlreadyAdded(key) => SessionError::AlreadyAdded(key),
                other => SessionError::Refused(other.to_string()),
            },
        )
    }

    /// Removes a torrent; its data stay.
    pub async fn remove(&self, torrent: TorrentKey) {
        self.with(move |session| {
            let now = session.now();
            session.storage.remove(torrent);
            session.engine.remove(now, torrent);
        })
        .await;
    }

    /// What a torrent is doing.
    pub async fn view(&self, torrent: TorrentKey) -> Option<TorrentView> {
        self.with(move |session| session.engine.view(torrent)).await.flatten()
    }

    /// Answers the offer of a stranger for a torrent; the connection enters the session when it opens.
    ///
    /// # Errors
    /// When the torrent is not here or has enough peers, or the offer cannot be used.
    pub async fn answer(&self, info_hash: InfoHash, offer: &str) -> Result<String, OfferError> {
        let endpoint = self.webrtc.as_ref().ok_or(OfferError::Failed("no WebRTC here".into()))?;
        let wanted = move |session: &mut Session| {
            let torrent = session.engine.find(info_hash).ok_or(OfferError::Unknown)?;
            if session.engine.wants_peer(torrent) { Ok(torrent) } else { Err(OfferError::Enough) }
        };
        let torrent = self.with(wanted).await.ok_or(OfferError::Unknown)??;
        let (answer, pending) =
            endpoint.answer(offer).await.map_err(|error| OfferError::Failed(error.to_string()))?;
        let to = self.messages.clone();
        tokio::spawn(async move {
            enter(&to, torrent, Direction::Accepted, Ok(pending)).await;
        });
        Ok(answer)
    }

    /// Ends the session: torrents are saved, trackers told, connections closed. Returns when all that is done,
    /// within a few seconds.
    pub async fn leave(&self) {
        let (done, wait) = oneshot::channel();
        if self.messages.send(Message::Leave(done)).is_ok() {
            // An error means that it is over already.
            let _ = wait.await;
        }
    }
}
