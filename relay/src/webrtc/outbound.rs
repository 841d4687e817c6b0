//! Collects outgoing datagrams into trains and gives them to the socket.
//!
//! Holds no more than what one round of the driver produced; while the kernel's buffer is full the driver asks no
//! connection for more.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use crate::udp::{Train, UdpPort};

use super::connection::ConnectionId;
use super::counters::{Live, add};
use super::stun::Transaction;

/// Datagrams on their way to the kernel.
#[derive(Debug, Default)]
pub(super) struct Outbound {
    current: Option<Train>,
    waiting: VecDeque<Train>,
}

impl Outbound {
    /// Adds a datagram; sends the train before it when it does not fit.
    pub(super) fn push(
        &mut self,
        port: &UdpPort,
        live: &Live,
        to: SocketAddr,
        from: Option<IpAddr>,
        datagram: &[u8],
    ) {
        let longest = port.longest_train();
        if let Some(train) = &mut self.current
            && train.from == from
            && train.push(to, datagram, longest)
        {
            return;
        }
        self.flush(port, live);
        self.current = Some(Train::new(to, from, datagram));
    }

    /// Sends what was collected.
    pub(super) fn flush(&mut self, port: &UdpPort, live: &Live) {
        self.waiting.extend(self.current.take());
        while let Some(train) = self.waiting.front() {
            match port.send(train) {
                Ok(()) => {
                    add(&live.send_calls, 1);
                    add(&live.datagrams_sent, train.count as u64);
                    add(&live.bytes_sent, train.bytes.len() as u64);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // Unreachable network, closed port of another peer and so on: the datagram is lost, as on any path.
                Err(error) => {
                    tracing::trace!(%error, "a datagram could not be sent");
                    add(&live.send_errors, 1);
                }
            }
            self.waiting.pop_front();
        }
    }

    /// The kernel's buffer is full.
    pub(super) fn blocked(&self) -> bool {
        !self.waiting.is_empty()
    }
}

/// Binding requests that our cores sent, by transaction: routes their answers and measures round trips.
#[derive(Debug, Default)]
pub(super) struct Checks {
    sent: HashMap<Transaction, (ConnectionId, Instant)>,
    order: VecDeque<(Instant, Transaction)>,
}

/// An answer that comes later than this is not recognised any more.
const CHECK_LIFETIME: Duration = Duration::from_secs(5);

impl Checks {
    /// A check left us.
    pub(super) fn sent(&mut self, now: Instant, transaction: Transaction, id: ConnectionId) {
        while let Some((at, old)) = self.order.front()
            && now.saturating_duration_since(*at) > CHECK_LIFETIME
        {
            self.sent.remove(old);
            self.order.pop_front();
        }
        if self.sent.insert(transaction, (id, now)).is_none() {
            self.order.push_back((now, transaction));
        }
    }

    /// Its answer arrived: whose it is and how long it took.
    pub(super) fn answered(
        &mut self,
        now: Instant,
        transaction: &Transaction,
    ) -> Option<(ConnectionId, Duration)> {
        let (id, at) = self.sent.remove(transaction)?;
        Some((id, now.saturating_duration_since(at)))
    }
}
