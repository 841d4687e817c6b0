//! How fast bytes flow, without a timer: an average that forgets with time.
//!
//! Accurate from the first second on (the start-up bias is divided out), and decays to zero in silence. It
//! limits nothing: that is `limiter`'s part.

use anatomic_core::Time;

/// Time after which a byte counts 1/e, in seconds.
const MEMORY: f64 = 4.0;
/// Below this age an average says nothing yet; the divisor is held at it, in seconds.
const YOUNG: f64 = 0.5;

/// Bytes a second, exponentially forgetting.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    /// Bytes, decayed up to `at`.
    amount: f64,
    at: Time,
    since: Time,
}

impl Rate {
    /// Nothing has flowed since `now`.
    pub(crate) const fn new(now: Time) -> Self {
        Self { amount: 0.0, at: now, since: now }
    }

    /// `bytes` flowed at `now`.
    pub(crate) fn add(&mut self, now: Time, bytes: u64) {
        self.decay(now);
        #[expect(clippy::cast_precision_loss)]
        let bytes = bytes as f64;
        self.amount += bytes;
    }

    /// Bytes a second at `now`.
    pub(crate) fn per_second(&self, now: Time) -> f64 {
        let mut here = *self;
        here.decay(now);
        let age = now.since(self.since).as_secs_f64().max(YOUNG);
        here.amount / (MEMORY * (1.0 - (-age / MEMORY).exp()))
    }

    /// The same as whole bytes.
    pub(crate) fn bytes_per_second(&self, now: Time) -> u64 {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let whole = self.per_second(now).round() as u64;
        whole
    }

    fn decay(&mut self, now: Time) {
        if now > self.at {
            let passed = now.since(self.at).as_secs_f64();
            self.amount *= (-passed / MEMORY).exp();
            self.at = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_flow_is_measured_within_a_second_and_forgotten_in_silence() {
        let mut rate = Rate::new(Time::ZERO);
        for step in 1..=100 {
            rate.add(Time::from_millis(step * 10), 16_384);
        }
        let steady = rate.per_second(Time::from_secs(1));
        assert!((steady / 1_638_400.0 - 1.0).abs() < 0.1, "{steady}");
        assert!(rate.per_second(Time::from_secs(61)) < 10.0);
    }
}
