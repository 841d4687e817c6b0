//! The receiving half of a connection: puts packets in order, within the window, and knows what to acknowledge.
//!
//! Sends nothing itself.

use crate::packet::MAX_SACK;
use anatomic_core::Time;
use bytes::{Bytes, BytesMut};
use std::collections::BTreeMap;
use std::time::Duration;

/// Packets beyond the next one that are taken (libutp sends no further ahead either).
const AHEAD: u64 = 1_023;
/// After so many packets an acknowledgement does not wait (BEP 29 leaves it open; TCP's rule).
const OWED: u32 = 2;
/// How long one waits for payload to travel with.
const WAIT: Duration = Duration::from_millis(20);
/// Bytes allocated at once for what comes in order.
const CHUNK: usize = 64 * 1024;

/// What was received on a connection.
#[derive(Debug)]
pub(crate) struct Incoming {
    /// Number of the last packet before which nothing is missing.
    upto: u64,
    /// In order, not read yet.
    ready: BytesMut,
    /// What came before its turn.
    later: BTreeMap<u64, Bytes>,
    later_bytes: usize,
    window: usize,
    /// The window that the remote was told last.
    told: usize,
    /// Number of the packet that ends the stream.
    end: Option<u64>,
    /// Packets received since the last acknowledgement.
    owed: u32,
    /// When it is sent whatever comes.
    acknowledge_at: Time,
    /// Nobody reads any more.
    discards: bool,
}

/// What a packet brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// Something new to read, or the end.
    News,
    /// Nothing to read yet.
    Nothing,
}

impl Incoming {
    /// After packet `upto`, taking up to `window` bytes ahead of the reader.
    pub(crate) fn new(upto: u64, window: usize) -> Self {
        Self {
            upto,
            ready: BytesMut::new(),
            later: BTreeMap::new(),
            later_bytes: 0,
            window,
            told: window,
            end: None,
            owed: 0,
            acknowledge_at: Time::NEVER,
            discards: false,
        }
    }

    /// Up to which number everything came.
    pub(crate) const fn upto(&self) -> u64 {
        self.upto
    }

    /// The remote sent its last byte, and it came.
    pub(crate) fn is_finished(&self) -> bool {
        self.end.is_some_and(|end| self.upto >= end)
    }

    /// Nobody will read: what comes is acknowledged and forgotten.
    pub(crate) fn discard(&mut self) {
        self.discards = true;
        self.ready = BytesMut::new();
    }

    /// A packet that carries a number.
    pub(crate) fn take(&mut self, now: Time, number: u64, payload: &[u8], is_last: bool) -> Taken {
        let beyond = self.end.is_some_and(|end| number > end);
        if number > self.upto + 1 + AHEAD || beyond || self.is_finished() && number > self.upto {
            return Taken::Nothing;
        }
        self.owed += 1;
        if self.acknowledge_at == Time::NEVER {
            self.acknowledge_at = now + WAIT;
        }
        if is_last
            && number > self.upto
            && self.end.is_none()
            && self.later.keys().all(|later| *later < number)
        {
            self.end = Some(number);
        }
        if number == self.upto + 1 && self.ready.len() < self.window {
            self.append(payload);
            self.upto = number;
            let before = self.later.len();
            while let Some(payload) = self.later.remove(&(self.upto + 1)) {
                self.later_bytes -= payload.len();
                self.append(&payload);
                self.upto += 1;
            }
            if before > 0 || self.is_finished() {
                // The remote waits to hear that a gap is closed.
                self.acknowledge_now();
            }
            return Taken::News;
        }
        // Out of order, twice, or beyond the window: the remote should know at once.
        self.acknowledge_now();
        let fits = self.ready.len() + self.later_bytes + payload.len() <= self.window;
        if number > self.upto + 1 && fits && !self.later.contains_key(&number) {
            self.later_bytes += payload.len();
            self.later.insert(number, Bytes::copy_from_slice(payload));
        }
        Taken::Nothing
    }

    fn append(&mut self, payload: &[u8]) {
        if self.discards {
            return;
        }
        if self.ready.is_empty() && self.ready.capacity() < payload.len() {
            // Requests are small and blocks are large: what is quiet stays cheap.
            let size = if payload.len() < 1_000 { payload.len() } else { CHUNK };
            self.ready = BytesMut::with_capacity(size);
        }
        self.ready.extend_from_slice(payload);
    }

    /// Takes what is in order; empty if there is nothing.
    pub(crate) fn read(&mut self) -> Bytes {
        let bytes = self.ready.split().freeze();
        // A remote that stopped should know that it can go on.
        if self.told < self.window / 2 && self.free() >= self.window / 2 {
            self.acknowledge_now();
        }
        bytes
    }

    /// Bytes that the remote may send.
    fn free(&self) -> usize {
        self.window.saturating_sub(self.ready.len() + self.later_bytes)
    }

    fn acknowledge_now(&mut self) {
        self.owed = self.owed.max(OWED);
    }

    /// When an acknowledgement is due by time.
    pub(crate) const fn acknowledge_at(&self) -> Time {
        self.acknowledge_at
    }

    /// Whether an acknowledgement is to be sent now.
    pub(crate) fn is_due(&self, now: Time) -> bool {
        self.owed >= OWED || now >= self.acknowledge_at
    }

    /// A header leaves that acknowledges everything in order: the window to tell. What came out of order is told by
    /// [`sack`](Self::sack) in packets without payload; until then one is owed.
    pub(crate) fn acknowledged(&mut self, with_sack: bool) -> u32 {
        self.told = self.free();
        if with_sack || self.later.is_empty() {
            self.owed = 0;
            self.acknowledge_at = Time::NEVER;
        }
        u32::try_from(self.told).unwrap_or(u32::MAX)
    }

    /// Which packets came out of order, as a bitmask from `upto + 2` on, of a multiple of 4 bytes.
    pub(crate) fn sack(&self) -> Vec<u8> {
        let first = self.upto + 2;
        let Some(last) = self.later.keys().next_back() else { return Vec::new() };
        let length = (((last - first) / 32 + 1) * 4).min(MAX_SACK as u64);
        let mut mask = vec![0u8; length as usize];
        for number in self.later.keys() {
            let bit = number - first;
            if let Some(byte) = mask.get_mut((bit / 8) as usize) {
                *byte |= 1 << (bit % 8);
            }
        }
        mask
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time::from_secs(1);

    #[test]
    fn packets_are_put_in_order_and_gaps_are_told() {
        let mut incoming = Incoming::new(100, 1_000);
        assert_eq!(incoming.take(NOW, 103, b"c", false), Taken::Nothing);
        assert_eq!(incoming.take(NOW, 102, b"b", false), Taken::Nothing);
        assert_eq!(incoming.take(NOW, 140, b"z", false), Taken::Nothing);
        assert_eq!(incoming.sack(), [0b11, 0, 0, 0, 0b100_0000, 0, 0, 0]);
        assert_eq!(incoming.take(NOW, 101, b"a", false), Taken::News);
        assert_eq!((incoming.upto(), &incoming.read()[..]), (103, &b"abc"[..]));
        assert_eq!(incoming.sack(), [0, 0, 0, 0, 0b1000, 0, 0, 0]);
    }

    #[test]
    fn two_packets_are_acknowledged_at_once_and_one_soon() {
        let mut incoming = Incoming::new(100, 1_000);
        incoming.take(NOW, 101, b"a", false);
        assert!(!incoming.is_due(NOW) && incoming.is_due(NOW + WAIT));
        assert_eq!(incoming.acknowledge_at(), NOW + WAIT);
        incoming.take(NOW, 102, b"b", false);
        assert!(incoming.is_due(NOW));
        assert_eq!(incoming.acknowledged(false), 998);
        assert!(!incoming.is_due(NOW + WAIT));
        // Twice the same: the first acknowledgement was lost.
        incoming.take(NOW, 102, b"b", false);
        assert!(incoming.is_due(NOW));
    }

    #[test]
    fn the_window_bounds_what_is_kept() {
        let mut incoming = Incoming::new(0, 1_000);
        for number in 2..50 {
            incoming.take(NOW, number, &[0; 100], false);
        }
        assert_eq!(incoming.later_bytes, 1_000);
        assert_eq!(incoming.acknowledged(true), 0);
        // What closes the gap is taken all the same, or nothing would ever go on.
        assert_eq!(incoming.take(NOW, 1, &[0; 100], false), Taken::News);
        assert_eq!((incoming.upto(), incoming.ready.len()), (11, 1_100));
        assert_eq!(incoming.take(NOW, 12, &[0; 100], false), Taken::Nothing);
        incoming.acknowledged(true);
        assert_eq!(incoming.read().len(), 1_100);
        assert!(incoming.is_due(NOW), "the remote is told that there is room again");
        assert_eq!(incoming.acknowledged(true), 1_000);
    }

    #[test]
    fn nothing_comes_after_the_end() {
        let mut incoming = Incoming::new(0, 1_000);
        incoming.take(NOW, 2, b"", true);
        assert_eq!(incoming.take(NOW, 3, b"x", false), Taken::Nothing);
        assert!(!incoming.is_finished());
        assert_eq!(incoming.take(NOW, 1, b"a", false), Taken::News);
        assert!(incoming.is_finished() && incoming.is_due(NOW));
        incoming.take(NOW, 3, b"x", false);
        assert_eq!(&incoming.read()[..], b"a");
    }

    #[test]
    fn numbers_far_ahead_cost_nothing() {
        let mut incoming = Incoming::new(0, 1 << 20);
        for number in [1_100, 30_000, u64::from(u16::MAX)] {
            incoming.take(NOW, number, &[0; 1_000], false);
        }
        assert_eq!((incoming.later.len(), incoming.is_due(Time::NEVER - WAIT)), (0, false));
    }
}
