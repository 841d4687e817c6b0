//! Counts what an endpoint does, for `/metrics`, tests and benchmarks.
//!
//! Not a log: numbers only, read without stopping the driver.

use std::sync::atomic::{AtomicU64, Ordering};

/// A snapshot of an endpoint's counters. All but `open` and `negotiating` only grow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Datagrams given to the kernel.
    pub datagrams_sent: u64,
    /// Datagrams received.
    pub datagrams_received: u64,
    /// Bytes of datagrams sent, without UDP and IP headers.
    pub bytes_sent: u64,
    /// Bytes of datagrams received, without UDP and IP headers.
    pub bytes_received: u64,
    /// Calls to the kernel that sent them (several datagrams go out in one).
    pub send_calls: u64,
    /// Sends that the kernel refused.
    pub send_errors: u64,
    /// Datagrams that belonged to no connection.
    pub strays: u64,
    /// Datagrams refused because their connection's reader is too slow.
    pub refused: u64,
    /// Plain STUN questions answered.
    pub stun_answered: u64,
    /// Plain STUN questions over the rate limit.
    pub stun_limited: u64,
    /// Connections whose data channel opened.
    pub opened: u64,
    /// Connections that never opened.
    pub failed: u64,
    /// Times a sender waited longer than SCTP's shortest retransmission timer for any acknowledgement.
    pub stalls: u64,
    /// Connections open now.
    pub open: u64,
    /// Connections opening now.
    pub negotiating: u64,
    /// Datagrams that the kernel dropped because our socket was full (Linux; 0 elsewhere).
    pub receive_drops: u64,
}

macro_rules! live {
    ($($name:ident),*) => {
        #[derive(Debug, Default)]
        pub(super) struct Live { $(pub(super) $name: AtomicU64),* }

        impl Live {
            pub(super) fn snapshot(&self) -> Counters {
                Counters { $($name: self.$name.load(Ordering::Relaxed),)* receive_drops: 0 }
            }
        }
    };
}

live!(
    datagrams_sent,
    datagrams_received,
    bytes_sent,
    bytes_received,
    send_calls,
    send_errors,
    strays,
    refused,
    stun_answered,
    stun_limited,
    opened,
    failed,
    stalls,
    open,
    negotiating
);

pub(super) fn add(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Ordering::Relaxed);
}

/// Drops of the UDP socket at this port, as the kernel counts them in its table of sockets.
pub(super) fn kernel_drops(port: u16) -> u64 {
    let suffix = format!(":{port:04X}");
    ["/proc/self/net/udp", "/proc/self/net/udp6"]
        .iter()
        .filter_map(|path| std::fs::read_to_string(path).ok())
        .flat_map(|table| {
            table
                .lines()
                .filter_map(|line| {
                    let mut words = line.split_ascii_whitespace();
                    let local = words.nth(1)?;
                    local.ends_with(&suffix).then(|| words.next_back()?.parse::<u64>().ok())?
                })
                .collect::<Vec<_>>()
        })
        .sum()
}
