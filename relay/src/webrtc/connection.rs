//! The caller's side of a connection: a byte stream with room to ask for and facts to read.
//!
//! No protocol here; the driver's task fills and empties what stands between the two sides.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Notify, watch};

use super::sdp::PeerKind;

/// Slack above the cap that [`Connection::room`] grants: 3 ms at 45 MB/s, so that the next messages are ready, and
/// whole, when the last one is acknowledged, although the writer is another thread on a busy machine.
const AHEAD: usize = 128 * 1024;
/// Room that wakes a waiting writer.
const WORTH_WAKING: usize = 64 * 1024;

/// Key of a connection inside its endpoint; never reused.
pub(super) type ConnectionId = u64;

/// Why a connection is over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CloseReason {
    /// We closed it, or dropped its handle.
    #[error("closed by us")]
    Local,
    /// The remote closed it, or its path died; the text says which.
    #[error("{0}")]
    Remote(String),
    /// No data channel within the time allowed.
    #[error("no data channel opened within {} s", .0.as_secs())]
    TimedOut(Duration),
    /// A limit of this endpoint.
    #[error("refused: {0}")]
    Limit(&'static str),
    /// The protocol stack failed.
    #[error("WebRTC failed: {0}")]
    Failed(String),
    /// The endpoint was closed.
    #[error("the WebRTC endpoint was closed")]
    EndpointClosed,
}

/// What is known of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Where the remote's datagrams come from.
    pub remote: Option<SocketAddr>,
    /// Latest round-trip time of an ICE check.
    pub rtt: Option<Duration>,
    /// Smallest round-trip time of the last minute or two.
    pub smallest_rtt: Option<Duration>,
    /// Largest message that the remote accepts, in bytes; 0 means any.
    pub max_message_size: usize,
    /// Who the remote probably is.
    pub kind: PeerKind,
    /// Bytes that may be on their way now.
    pub window: usize,
    /// Most bytes that were ever on their way.
    pub most_outstanding: usize,
    /// Payload bytes sent and acknowledged.
    pub bytes_sent: u64,
    /// Payload bytes received.
    pub bytes_received: u64,
    /// Waits longer than a retransmission timer.
    pub stalls: u64,
}

/// How far a connection is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Phase {
    Opening,
    Open,
    Closed(CloseReason),
}

/// Tells the driver which connections want attention.
#[derive(Debug, Default)]
pub(super) struct Waker {
    list: Mutex<Vec<ConnectionId>>,
    pub(super) notify: Notify,
}

impl Waker {
    pub(super) fn take(&self, into: &mut Vec<ConnectionId>) {
        into.append(&mut lock(&self.list));
    }

    fn wake(&self, id: ConnectionId) {
        lock(&self.list).push(id);
        self.notify.notify_one();
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What stands between a connection's handle and the driver.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) id: ConnectionId,
    waker: Arc<Waker>,
    woken: AtomicBool,
    pub(super) phase: watch::Sender<Phase>,
    pub(super) inbox: Mutex<Inbox>,
    pub(super) readable: Notify,
    pub(super) outbox: Mutex<VecDeque<Bytes>>,
    /// Bytes accepted from the caller that the remote has not acknowledged.
    pub(super) outstanding: AtomicUsize,
    pub(super) window: AtomicUsize,
    pub(super) writable: Notify,
    pub(super) closing: AtomicBool,
    pub(super) facts: Mutex<Facts>,
}

/// Received bytes that nobody has taken.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    pub(super) queue: VecDeque<Bytes>,
    pub(super) bytes: usize,
    /// The driver stopped reading and waits to be woken when the queue has shrunk to `resume_at`.
    pub(super) paused: bool,
    pub(super) resume_at: usize,
}

impl Shared {
    pub(super) fn new(id: ConnectionId, waker: Arc<Waker>, window: usize, resume_at: usize) -> Arc<Self> {
        Arc::new(Self {
            id,
            waker,
            woken: AtomicBool::new(false),
            phase: watch::Sender::new(Phase::Opening),
            inbox: Mutex::new(Inbox { resume_at, ..Inbox::default() }),
            readable: Notify::new(),
            outbox: Mutex::default(),
            outstanding: AtomicUsize::new(0),
            window: AtomicUsize::new(window),
            writable: Notify::new(),
            closing: AtomicBool::new(false),
            facts: Mutex::new(Facts {
                remote: None,
                rtt: None,
                smallest_rtt: None,
                max_message_size: 0,
                kind: PeerKind::Browser,
                window,
                most_outstanding: 0,
                bytes_sent: 0,
                bytes_received: 0,
                stalls: 0,
            }),
        })
    }

    /// Asks the driver to look at this connection.
    pub(super) fn wake(&self) {
        if !self.woken.swap(true, Ordering::AcqRel) {
            self.waker.wake(self.id);
        }
    }

    /// The driver is about to look.
    pub(super) fn attended(&self) {
        self.woken.store(false, Ordering::Release);
    }

    pub(super) fn room(&self) -> usize {
        let allowed = self.window.load(Ordering::Acquire).saturating_add(AHEAD);
        allowed.saturating_sub(self.outstanding.load(Ordering::Acquire))
    }

    /// Wakes a writer if there is room worth it.
    pub(super) fn released(&self) {
        if self.room() >= WORTH_WAKING {
            self.writable.notify_waiters();
        }
    }

    pub(super) fn set_closed(&self, reason: CloseReason) {
        self.phase.send_if_modified(|phase| {
            let first = !matches!(phase, Phase::Closed(_));
            if first {
                *phase = Phase::Closed(reason);
            }
            first
        });
        self.readable.notify_waiters();
        self.writable.notify_waiters();
    }

    fn close(&self) {
        self.closing.store(true, Ordering::Release);
        self.wake();
    }
}

/// A connection whose data channel is not open yet. Dropping it gives the attempt up.
#[derive(Debug)]
pub struct Pending(Option<Arc<Shared>>);

impl Pending {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self(Some(shared))
    }

    pub(super) fn shared(&self) -> Option<&Arc<Shared>> {
        self.0.as_ref()
    }

    /// Waits for the data channel.
    ///
    /// # Errors
    /// When it does not open in time, or either side gives up.
    pub async fn opened(mut self) -> Result<Connection, CloseReason> {
        let Some(shared) = self.0.clone() else { return Err(CloseReason::Local) };
        let mut phase = shared.phase.subscribe();
        let reached = phase.wait_for(|phase| *phase != Phase::Opening).await;
        let outcome = match reached.as_deref() {
            Ok(Phase::Open) => Ok(()),
            Ok(Phase::Closed(reason)) => Err(reason.clone()),
            Ok(Phase::Opening) | Err(_) => Err(CloseReason::EndpointClosed),
        };
        drop(reached);
        outcome?;
        self.0 = None;
        Ok(Connection(shared))
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if let Some(shared) = &self.0 {
            shared.close();
        }
    }
}

/// Bytes were refused; nothing of them was taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// More bytes than [`Connection::room`] says. Wait for [`Connection::writable`].
    #[error("only {0} bytes may be sent now")]
    Full(usize),
    /// The connection is over.
    #[error("the connection is over: {0}")]
    Closed(CloseReason),
}

/// An open data channel, used as an ordered, reliable stream of bytes: message boundaries mean nothing.
///
/// All methods take `&self`; share it with an `Arc` to read and write from different tasks. Dropping it closes the
/// connection at once; bytes that the remote has not acknowledged may be lost.
#[derive(Debug)]
pub struct Connection(Arc<Shared>);

impl Connection {
    /// The next bytes received, or `None` when the connection is over and everything received was taken.
    ///
    /// Not calling it is back-pressure: after [`Limits::receive_queue`](super::Limits::receive_queue) bytes the
    /// remote's window is left to close. Cancel safe.
    pub async fn recv(&self) -> Option<Bytes> {
        loop {
            let notified = self.0.readable.notified();
            tokio::pin!(notified);
            notified.as_mut().enable();
            if let Some(bytes) = self.try_recv() {
                return Some(bytes);
            }
            if self.close_reason().is_some() {
                return self.try_recv();
            }
            notified.await;
        }
    }

    /// The next bytes received, if any are there.
    pub fn try_recv(&self) -> Option<Bytes> {
        let mut inbox = lock(&self.0.inbox);
        let bytes = inbox.queue.pop_front()?;
        inbox.bytes -= bytes.len();
        let resume = inbox.paused && inbox.bytes <= inbox.resume_at;
        if resume {
            inbox.paused = false;
        }
        drop(inbox);
        if resume {
            self.0.wake();
        }
        Some(bytes)
    }

    /// How many bytes [`Self::try_send`] takes now: what the adaptive cap leaves, and one message more.
    pub fn room(&self) -> usize {
        self.0.room()
    }

    /// Waits until [`Self::room`] is worth filling (64 KiB), or the connection is over. Cancel safe.
    pub async fn writable(&self) {
        loop {
            let notified = self.0.writable.notified();
            tokio::pin!(notified);
            notified.as_mut().enable();
            if self.0.room() >= WORTH_WAKING || self.close_reason().is_some() {
                return;
            }
            notified.await;
        }
    }

    /// Sends bytes. They are cut and packed into messages as suits the remote.
    ///
    /// # Errors
    /// When they do not fit [`Self::room`], or the connection is over.
    pub fn try_send(&self, bytes: Bytes) -> Result<(), SendError> {
        if let Some(reason) = self.close_reason() {
            return Err(SendError::Closed(reason));
        }
        if bytes.is_empty() {
            return Ok(());
        }
        // The lock makes check and count one step for senders of several tasks.
        let mut outbox = lock(&self.0.outbox);
        let room = self.0.room();
        if bytes.len() > room {
            return Err(SendError::Full(room));
        }
        self.0.outstanding.fetch_add(bytes.len(), Ordering::AcqRel);
        outbox.push_back(bytes);
        drop(outbox);
        self.0.wake();
        Ok(())
    }

    /// Sends bytes of any length, waiting for room as often as needed. Not cancel safe: a part may have been sent.
    ///
    /// # Errors
    /// When the connection is over.
    pub async fn send(&self, mut bytes: Bytes) -> Result<(), SendError> {
        while !bytes.is_empty() {
            self.writable().await;
            let now = bytes.split_to(bytes.len().min(self.room().max(1)));
            match self.try_send(now.clone()) {
                Ok(()) => {}
                Err(SendError::Full(_)) => bytes = Bytes::from([now, bytes].concat()),
                Err(closed) => return Err(closed),
            }
        }
        Ok(())
    }

    /// Bytes accepted that the remote has not acknowledged.
    pub fn outstanding(&self) -> usize {
        self.0.outstanding.load(Ordering::Acquire)
    }

    /// Waits until everything sent is acknowledged, or the connection is over.
    pub async fn flushed(&self) {
        loop {
            let notified = self.0.writable.notified();
            tokio::pin!(notified);
            notified.as_mut().enable();
            if self.outstanding() == 0 || self.close_reason().is_some() {
                return;
            }
            notified.await;
        }
    }

    /// What is known of the remote and the path.
    pub fn facts(&self) -> Facts {
        lock(&self.0.facts).clone()
    }

    /// Why the connection is over, if it is.
    pub fn close_reason(&self) -> Option<CloseReason> {
        match &*self.0.phase.borrow() {
            Phase::Closed(reason) => Some(reason.clone()),
            Phase::Opening | Phase::Open => None,
        }
    }

    /// Ends the connection now; the remote is told. Bytes not yet acknowledged may be lost.
    pub fn close(&self) {
        self.0.close();
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.close();
    }
}
