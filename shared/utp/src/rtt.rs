//! Round-trip times and what follows from them: how long to wait for an acknowledgement ([RFC 6298]).
//!
//! [RFC 6298]: https://www.rfc-editor.org/rfc/rfc6298

use std::time::Duration;

/// Shortest wait before a timeout: peers hold acknowledgements back for up to 100 ms (libutp), and BEP 29 says 500 ms.
const MIN_TIMEOUT: Duration = Duration::from_millis(500);
/// Longest, however often it was doubled.
const MAX_TIMEOUT: Duration = Duration::from_secs(15);
/// Wait while nothing was measured.
const FIRST_TIMEOUT: Duration = Duration::from_secs(1);
/// What a remote may hold an acknowledgement back, besides the round trip.
const HELD_BACK: Duration = Duration::from_millis(110);

/// Round-trip times of one connection.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rtt {
    measured: Option<Measured>,
    /// Timeouts since the last acknowledgement.
    doublings: u32,
}

#[derive(Clone, Copy, Debug)]
struct Measured {
    smoothed: Duration,
    variation: Duration,
}

impl Rtt {
    /// A packet that was sent once was acknowledged after this long.
    pub(crate) fn add(&mut self, sample: Duration) {
        self.measured = Some(match self.measured {
            None => Measured { smoothed: sample, variation: sample / 2 },
            Some(Measured { smoothed, variation }) => Measured {
                smoothed: (smoothed * 7 + sample) / 8,
                variation: (variation * 3 + smoothed.abs_diff(sample)) / 4,
            },
        });
    }

    /// Something new was acknowledged.
    pub(crate) fn heard(&mut self) {
        self.doublings = 0;
    }

    /// Nothing was, in time.
    pub(crate) fn timed_out(&mut self) {
        self.doublings += 1;
    }

    /// Timeouts one after the other.
    pub(crate) const fn timeouts(&self) -> u32 {
        self.doublings
    }

    pub(crate) fn smoothed(&self) -> Option<Duration> {
        self.measured.map(|measured| measured.smoothed)
    }

    /// How long to wait before everything on its way counts as lost.
    pub(crate) fn timeout(&self) -> Duration {
        let once = self
            .measured
            .map_or(FIRST_TIMEOUT, |measured| (measured.smoothed + measured.variation * 4).max(MIN_TIMEOUT));
        once.saturating_mul(1 << self.doublings.min(5)).min(MAX_TIMEOUT)
    }

    /// How long to wait before the last packet is repeated, so that its acknowledgement tells what is lost (RFC 8985, 7.2).
    pub(crate) fn probe_timeout(&self) -> Option<Duration> {
        let smoothed = self.smoothed()?;
        Some(smoothed * 2 + HELD_BACK).filter(|wait| *wait < self.timeout())
    }

    /// How much later than others a packet may come without being lost (RFC 8985, 6.2: a quarter of the round trip).
    pub(crate) fn reordering(&self) -> Duration {
        self.smoothed().unwrap_or_default() / 4 + Duration::from_millis(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_follow_the_round_trip_and_double() {
        let mut rtt = Rtt::default();
        assert_eq!((rtt.timeout(), rtt.probe_timeout()), (Duration::from_secs(1), None));
        rtt.add(Duration::from_millis(400));
        assert_eq!(rtt.timeout(), Duration::from_millis(1_200));
        for seconds in [2_400, 4_800, 9_600, 15_000, 15_000] {
            rtt.timed_out();
            assert_eq!(rtt.timeout(), Duration::from_millis(seconds));
        }
        rtt.heard();
        assert_eq!(rtt.timeout(), Duration::from_millis(1_200));
        for _ in 0..100 {
            rtt.add(Duration::from_millis(10));
        }
        assert_eq!(rtt.timeout(), MIN_TIMEOUT);
        assert_eq!(rtt.probe_timeout(), Some(rtt.smoothed().unwrap() * 2 + HELD_BACK));
    }
}
