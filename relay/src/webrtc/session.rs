//! One connection as the driver holds it: its core, its allowance, and the traffic between core and handle.
//!
//! Knows no socket and no other connection; [`super::driver`] owns both.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes, BytesMut};

use super::config::Limits;
use super::connection::{CloseReason, ConnectionId, Facts, Phase, Shared, lock};
use super::core::{Core, CoreEvent, Outgoing};
use super::sdp::{Description, PeerKind};
use super::window::Window;

/// Datagrams taken from one connection in one round. Keeps turns short, and keeps a burst of retransmissions from
/// flooding a browser's small receive buffer.
const DATAGRAMS_A_ROUND: usize = 48;
/// Pause after a full round towards a browser that said nothing in the meantime.
const BREATH: Duration = Duration::from_millis(1);
/// Source addresses remembered for one connection.
const MAX_ADDRESSES: usize = 16;
/// Bytes that may wait inside the core, as a multiple of the receive queue, before datagrams are refused.
const UNREAD_FACTOR: usize = 8;

/// What a connection wants after its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing until something happens.
    Idle,
    /// Another turn when everybody else had theirs.
    Turn,
    /// Another turn at that time.
    At(Instant),
}

/// A connection inside the driver.
pub(super) struct Session {
    pub(super) id: ConnectionId,
    pub(super) core: Box<dyn Core>,
    pub(super) shared: Arc<Shared>,
    window: Window,
    kind: PeerKind,
    receive_queue: usize,
    /// When an opening connection is given up, and after how long that is.
    pub(super) deadline: Option<(Instant, Duration)>,
    /// Source addresses that lead here.
    pub(super) addresses: Vec<SocketAddr>,
    /// When a check with our user name last came from the remote.
    pub(super) checked_at: Instant,
    pub(super) remote: Option<SocketAddr>,
    /// Our address that the remote talks to.
    own_ip: Option<IpAddr>,
    /// A nomination that arrived before our own check of that path was answered.
    nomination: Option<(SocketAddr, BytesMut)>,
    unread: usize,
    paused: bool,
    most_outstanding: usize,
    bytes_sent: u64,
    bytes_received: u64,
    reported_stalls: u64,
    /// The channel opened in this turn.
    pub(super) just_opened: bool,
    pub(super) open: bool,
    pub(super) over: Option<CloseReason>,
    /// Waiting in the driver's list of connections with work.
    pub(super) ready: bool,
    /// When its timer is set to.
    pub(super) timer: Option<Instant>,
}

impl Session {
    pub(super) fn new(
        now: Instant,
        id: ConnectionId,
        core: Box<dyn Core>,
        shared: Arc<Shared>,
        limits: &Limits,
        give_up_after: Duration,
    ) -> Self {
        Self {
            id,
            core,
            shared,
            window: Window::new(now, limits.browser_window, limits.largest_window, limits.browser_pace, 0),
            kind: PeerKind::Browser,
            receive_queue: limits.receive_queue,
            deadline: Some((now + give_up_after, give_up_after)),
            addresses: Vec::new(),
            checked_at: now,
            remote: None,
            own_ip: None,
            nomination: None,
            unread: 0,
            paused: false,
            most_outstanding: 0,
            bytes_sent: 0,
            bytes_received: 0,
            reported_stalls: 0,
            just_opened: false,
            open: false,
            over: None,
            ready: false,
            timer: None,
        }
    }

    /// The remote's half of the negotiation is known.
    pub(super) fn remote_described(&mut self, now: Instant, remote: &Description, limits: &Limits) {
        let (floor, fastest) = match remote.kind {
            PeerKind::Browser => (limits.browser_window, limits.browser_pace),
            PeerKind::Native | PeerKind::Anatomic => (limits.native_window, f64::MAX / 8.0),
        };
        self.kind = remote.kind;
        self.window = Window::new(now, floor, limits.largest_window, fastest, remote.max_message_size);
        let mut facts = lock(&self.shared.facts);
        facts.kind = remote.kind;
        facts.max_message_size = remote.max_message_size;
    }

    /// Remembers a source address; `false` when there are too many.
    pub(super) fn learn(&mut self, address: SocketAddr) -> bool {
        if self.addresses.contains(&address) {
            return true;
        }
        let room = self.addresses.len() < MAX_ADDRESSES;
        if room {
            self.addresses.push(address);
        }
        room
    }

    pub(super) fn on_rtt(&mut self, now: Instant, rtt: Duration) {
        self.window.on_rtt(now, rtt);
    }

    /// Takes a datagram; `false` when it was refused because nobody reads what came before.
    pub(super) fn on_datagram(
        &mut self,
        now: Instant,
        from: SocketAddr,
        to: Option<IpAddr>,
        datagram: &[u8],
    ) -> bool {
        let data = datagram.first().is_some_and(|first| (20..64).contains(first));
        if data {
            if self.paused && self.unread > self.receive_queue * UNREAD_FACTOR {
                return false;
            }
            self.unread += datagram.len();
            self.remote = Some(from);
        }
        self.own_ip = to;
        self.core.handle_datagram(now, from, BytesMut::from(datagram));
        true
    }

    /// Takes a check that chooses its path.
    pub(super) fn on_nomination(&mut self, from: SocketAddr, datagram: &[u8]) {
        if self.remote.is_none() {
            self.nomination = Some((from, BytesMut::from(datagram)));
        }
    }

    /// One of our checks was answered from this address.
    ///
    /// The core leaves a nomination unanswered until it has checked the path itself, and then waits for the remote to
    /// repeat it, which takes browsers 50 ms. It is repeated here instead.
    pub(super) fn on_check_answered(&mut self, now: Instant, from: SocketAddr) {
        if let Some((_, nomination)) = self.nomination.take_if(|(at, _)| *at == from) {
            self.core.handle_datagram(now, from, nomination);
        }
    }

    /// The timer fired.
    pub(super) fn on_timer(&mut self, now: Instant) {
        if let Some((deadline, after)) = self.deadline
            && deadline <= now
        {
            self.over = Some(CloseReason::TimedOut(after));
        }
        if self.core.poll_timeout().is_some_and(|at| at <= now) {
            self.core.handle_timeout(now);
        }
    }

    /// When to call [`Self::on_timer`].
    pub(super) fn next_timeout(&mut self) -> Option<Instant> {
        let deadline = self.deadline.map(|(at, _)| at);
        self.core.poll_timeout().into_iter().chain(deadline).min()
    }

    /// One turn: takes over what arrived, fills the core from the handle, and sends.
    pub(super) fn turn(&mut self, now: Instant, send: impl FnMut(&Outgoing, Option<IpAddr>)) -> Next {
        if self.shared.closing.load(Ordering::Acquire) && self.over.is_none() {
            self.over = Some(CloseReason::Local);
        }
        while let Some(event) = self.core.poll_event() {
            match event {
                CoreEvent::Opened => {
                    self.just_opened = true;
                    self.open = true;
                    self.deadline = None;
                }
                CoreEvent::Closed(why) => {
                    if self.over.is_none() {
                        self.over = Some(CloseReason::Remote(why));
                    }
                }
            }
        }
        if !self.open {
            // The stack sends the first datagram of the next handshake (DTLS after ICE) only when its clock moves.
            self.core.handle_timeout(now);
        }
        self.take_messages();
        self.account(now);
        if self.over.is_some() {
            self.core.close();
            return self.transmit(now, usize::MAX, send);
        }
        self.fill(now);
        self.transmit(now, DATAGRAMS_A_ROUND, send)
    }

    fn take_messages(&mut self) {
        let mut inbox = lock(&self.shared.inbox);
        let before = inbox.queue.len();
        // Once it is over nothing more can come in, so what is left is handed on regardless of the queue's bound.
        let limit = if self.over.is_some() { usize::MAX } else { self.receive_queue };
        self.paused = loop {
            if inbox.bytes >= limit {
                break true;
            }
            let Some(message) = self.core.poll_message() else {
                self.unread = 0;
                break false;
            };
            self.bytes_received += message.len() as u64;
            inbox.bytes += message.len();
            inbox.queue.push_back(message);
        };
        inbox.paused = self.paused;
        let grown = inbox.queue.len() > before;
        drop(inbox);
        if grown {
            self.shared.readable.notify_waiters();
        }
    }

    /// Compares what the remote has acknowledged with what the handle believes to be outstanding.
    fn account(&mut self, now: Instant) {
        let outstanding = self.core.outstanding();
        self.most_outstanding = self.most_outstanding.max(outstanding);
        self.window.on_outstanding(now, outstanding);
        let cap = self.window.cap();
        self.shared.window.store(cap, Ordering::Release);
        let outbox = lock(&self.shared.outbox);
        let queued: usize = outbox.iter().map(Bytes::len).sum();
        self.shared.outstanding.store(outstanding + queued, Ordering::Release);
        drop(outbox);
        self.shared.released();
        let mut facts = lock(&self.shared.facts);
        *facts = Facts {
            remote: self.remote,
            rtt: self.window.last_rtt(),
            smallest_rtt: self.window.smallest_rtt(),
            max_message_size: facts.max_message_size,
            kind: self.kind,
            window: cap,
            most_outstanding: self.most_outstanding,
            bytes_sent: self.bytes_sent.saturating_sub(outstanding as u64),
            bytes_received: self.bytes_received,
            stalls: self.window.stalls(),
        };
    }

    /// Stalls since the last call.
    pub(super) fn new_stalls(&mut self) -> u64 {
        let new = self.window.stalls() - self.reported_stalls;
        self.reported_stalls += new;
        new
    }

    /// Packs queued bytes into messages as far as the cap allows.
    fn fill(&mut self, now: Instant) {
        if !self.open {
            return;
        }
        let size = self.window.message_size();
        let mut outbox = lock(&self.shared.outbox);
        while !outbox.is_empty() {
            let len = outbox.iter().map(Bytes::len).sum::<usize>().min(size);
            if !self.window.admits(self.core.outstanding(), len) {
                break;
            }
            let message = gather(&mut outbox, len);
            if let Err(error) = self.core.send(now, message) {
                self.over = Some(CloseReason::Failed(error.to_string()));
                break;
            }
            self.bytes_sent += len as u64;
            self.window.on_sent(now, len);
            self.most_outstanding = self.most_outstanding.max(self.core.outstanding());
        }
    }

    fn transmit(
        &mut self,
        now: Instant,
        most: usize,
        mut send: impl FnMut(&Outgoing, Option<IpAddr>),
    ) -> Next {
        for _ in 0..most {
            if most == DATAGRAMS_A_ROUND
                && let Some(due) = self.window.wait(now)
            {
                return Next::At(due);
            }
            let Some(datagram) = self.core.poll_transmit() else { return Next::Idle };
            self.window.on_datagram(datagram.bytes.len());
            send(&datagram, self.own_ip);
        }
        match self.kind {
            PeerKind::Browser => Next::At(now + BREATH),
            PeerKind::Native | PeerKind::Anatomic => Next::Turn,
        }
    }

    /// Tells the handle that the channel is open.
    pub(super) fn announce_open(&self) {
        self.shared.phase.send_if_modified(|phase| {
            let opening = *phase == Phase::Opening;
            if opening {
                *phase = Phase::Open;
            }
            opening
        });
    }
}

impl Drop for Session {
    /// Whatever ends the driver, no handle waits for ever. A reason given before stays.
    fn drop(&mut self) {
        self.shared.set_closed(CloseReason::EndpointClosed);
    }
}

/// Takes exactly `len` bytes from the front of the queue (less if it holds less).
fn gather(queue: &mut VecDeque<Bytes>, len: usize) -> BytesMut {
    let mut message = BytesMut::with_capacity(len);
    while message.len() < len {
        let Some(front) = queue.front_mut() else { break };
        let part = front.len().min(len - message.len());
        message.extend_from_slice(front.get(..part).unwrap_or_default());
        front.advance(part);
        if front.is_empty() {
            queue.pop_front();
        }
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_cut_and_packed_across_parts() {
        let mut queue: VecDeque<Bytes> =
            [&b"abc"[..], b"defgh", b"i"].into_iter().map(Bytes::from_static).collect();
        assert_eq!(&gather(&mut queue, 5)[..], b"abcde");
        assert_eq!(&gather(&mut queue, 5)[..], b"fghi");
        assert!(queue.is_empty());
    }
}
