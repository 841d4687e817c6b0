//! How many requests to have under way at a peer, so that it never waits for us.
//!
//! Follows the rate that the peer delivers, by the blocks themselves: it needs no timer, so a throttled tab is as
//! fast as any. Which blocks to ask for is the picker's business.

use crate::config::Config;
use anatomic_core::{BLOCK_LEN, Time};
use std::time::Duration;

/// Requests to a peer that has not delivered yet. Transmission's own floor: it serves twice a second, and from a
/// start of 8 it would take 4 s to reach its full rate.
const INITIAL: f64 = 32.0;
/// Slow start ends when the rate grows by less than this in a second: 5 kB/s, as in libtorrent.
const GROWTH: f64 = 5_000.0;
/// How often the growth is measured.
const INTERVAL: Duration = Duration::from_secs(1);

/// The request window of one peer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    phase: Phase,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    /// Not measuring: choked, or nothing has come.
    Idle,
    /// One more for every block, until the rate stops growing.
    SlowStart { size: f64, rate: f64, measured: Time },
    /// What the peer delivers in the queue time.
    Steady,
    /// It did not deliver in time: one at a time.
    Snubbed,
}

impl Window {
    pub(crate) const fn new() -> Self {
        Self { phase: Phase::Idle }
    }

    /// The peer unchoked us: measuring begins anew (a rate from before says little).
    pub(crate) const fn unchoked(&mut self) {
        self.phase = Phase::Idle;
    }

    /// The peer did not deliver.
    pub(crate) const fn snubbed(&mut self) {
        self.phase = Phase::Snubbed;
    }

    /// A block came; `rate` is the peer's payload in bytes a second.
    pub(crate) fn block(&mut self, now: Time, rate: f64) {
        match &mut self.phase {
            Phase::Idle | Phase::Snubbed => {
                self.phase = Phase::SlowStart { size: INITIAL + 1.0, rate: 0.0, measured: now };
            }
            Phase::SlowStart { size, rate: before, measured } => {
                *size += 1.0;
                if now >= *measured + INTERVAL {
                    if rate < *before + GROWTH {
                        self.phase = Phase::Steady;
                    } else {
                        (*before, *measured) = (rate, now);
                    }
                }
            }
            Phase::Steady => {}
        }
    }

    /// Requests to have under way, at a `rate` of payload in bytes a second and the peer's `reqq`.
    pub(crate) fn size(&self, config: &Config, rate: f64, reqq: usize) -> usize {
        let size = match self.phase {
            Phase::Snubbed => return 1,
            Phase::Idle => INITIAL,
            Phase::SlowStart { size, .. } => size,
            Phase::Steady => rate * config.request_queue_time.as_secs_f64() / f64::from(BLOCK_LEN),
        };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let whole = size.ceil() as usize;
        whole.max(config.min_requests).min(config.max_requests).min(reqq)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_a_block_at_a_time_then_holds_three_seconds() {
        let (mut window, config) = (Window::new(), Config::default());
        assert_eq!(window.size(&config, 0.0, 250), 32);
        for block in 0..20 {
            window.block(Time::from_millis(block * 10), 1e6);
        }
        assert_eq!(window.size(&config, 1e6, 250), 52);
        // The rate does not grow any more: steady at 1 MB/s, 184 blocks.
        window.block(Time::from_millis(1_100), 1e6);
        window.block(Time::from_millis(2_200), 1e6);
        assert_eq!(window.size(&config, 1e6, 250), 184);
        assert_eq!(window.size(&config, 1e8, 250), 250);
        assert_eq!(window.size(&config, 0.0, 250), 2);
        window.snubbed();
        assert_eq!(window.size(&config, 1e6, 250), 1);
    }
}
