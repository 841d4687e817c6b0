//! How much may be on its way: LEDBAT ([BEP 29], [RFC 6817]), which steps back before a queue grows long.
//!
//! Knows bytes, delays and losses; which packets they were it does not know.
//!
//! [BEP 29]: https://www.bittorrent.org/beps/bep_0029.html#congestion-control
//! [RFC 6817]: https://www.rfc-editor.org/rfc/rfc6817

use std::time::Duration;

/// Most bytes by which the window grows in a round trip once it does not start any more (BEP 29).
const GAIN: f64 = 3_000.0;
/// Packets on their way at the beginning (RFC 6928).
const FIRST: usize = 10;
/// Fewest packets.
const LEAST: usize = 2;
/// Slow start ends at this part of the target.
const NEAR: f64 = 0.9;

/// A congestion window, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    bytes: f64,
    /// Until here it doubles in each round trip.
    threshold: f64,
    target: Duration,
    most: f64,
}

impl Window {
    /// For packets of so many bytes, and at most `most` bytes on their way.
    pub(crate) fn new(packet: usize, most: usize, target: Duration) -> Self {
        Self { bytes: (FIRST * packet) as f64, threshold: f64::INFINITY, target, most: most as f64 }
    }

    pub(crate) const fn bytes(&self) -> usize {
        self.bytes as usize
    }

    /// `acked` bytes were acknowledged; packets wait for `queueing` in queues. `limited`: the window was what held
    /// the sender back, else there is no reason for it to grow.
    pub(crate) fn acknowledged(&mut self, acked: usize, queueing: Duration, packet: usize, limited: bool) {
        let target = self.target.as_secs_f64();
        let off_target = ((target - queueing.as_secs_f64()) / target).clamp(-1.0, 1.0);
        let acked = acked as f64;
        let part = acked.min(self.bytes) / acked.max(self.bytes).max(1.0);
        if off_target > 0.0 && !limited {
            return;
        }
        if self.bytes < self.threshold {
            if off_target > 1.0 - NEAR {
                self.set(self.bytes + acked, packet);
                return;
            }
            self.threshold = self.bytes;
        }
        self.set(self.bytes + GAIN * off_target * part, packet);
    }

    /// Packets were lost: once for all that were on their way together.
    pub(crate) fn lost(&mut self, packet: usize) {
        self.set(self.bytes / 2.0, packet);
        self.threshold = self.bytes;
    }

    /// Nothing came back for a whole timeout.
    pub(crate) fn timed_out(&mut self, packet: usize) {
        self.threshold = (self.bytes / 2.0).max((LEAST * packet) as f64);
        self.set(0.0, packet);
    }

    fn set(&mut self, bytes: f64, packet: usize) {
        self.bytes = bytes.min(self.most).max((LEAST * packet) as f64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKET: usize = 1_000;

    fn window() -> Window {
        Window::new(PACKET, 1_000_000, Duration::from_millis(100))
    }

    #[test]
    fn it_doubles_until_a_queue_shows_and_then_grows_by_the_gain() {
        let mut window = window();
        for expected in [20_000, 40_000, 80_000] {
            window.acknowledged(window.bytes(), Duration::ZERO, PACKET, true);
            assert_eq!(window.bytes(), expected);
        }
        window.acknowledged(window.bytes(), Duration::from_millis(95), PACKET, true);
        let before = window.bytes();
        window.acknowledged(before, Duration::from_millis(50), PACKET, true);
        assert_eq!(window.bytes() - before, 1_500);
    }

    #[test]
    fn it_steps_back_when_the_queue_is_longer_than_the_target() {
        let mut window = window();
        window.lost(PACKET);
        let before = window.bytes();
        window.acknowledged(before, Duration::from_millis(150), PACKET, false);
        assert_eq!(before - window.bytes(), 1_500);
        // However wild the delay, not by more than the gain in a round trip.
        window.acknowledged(window.bytes(), Duration::from_secs(4_000), PACKET, false);
        assert_eq!(window.bytes(), LEAST * PACKET);
    }

    #[test]
    fn it_does_not_grow_while_the_writer_is_slow() {
        let mut window = window();
        window.acknowledged(window.bytes(), Duration::ZERO, PACKET, false);
        assert_eq!(window.bytes(), FIRST * PACKET);
    }

    #[test]
    fn losses_halve_it_and_a_timeout_begins_anew() {
        let mut window = window();
        window.lost(PACKET);
        assert_eq!(window.bytes(), 5 * PACKET);
        window.timed_out(PACKET);
        assert_eq!(window.bytes(), LEAST * PACKET);
        window.acknowledged(2_000, Duration::ZERO, PACKET, true);
        assert_eq!(window.bytes(), 4 * PACKET, "slow start up to half of what was");
    }
}
