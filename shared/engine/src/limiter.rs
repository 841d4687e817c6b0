//! Token buckets: how much payload may flow now, and when more may.
//!
//! A bucket may be overdrawn by one block, and pays that back before the next. It sends nothing and delays
//! nothing itself.

use crate::add::Limits;
use anatomic_core::Time;
use std::time::Duration;

/// The share of a second that an idle bucket saves up.
const BURST: f64 = 0.25;
/// The least that it saves up: one block, or nothing would ever be sent at low rates.
const LEAST: f64 = 16_384.0;

/// One direction.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Bucket {
    /// Bytes a second; `None`: unlimited.
    rate: Option<f64>,
    tokens: f64,
    at: Time,
}

/// Both directions.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Buckets {
    pub down: Bucket,
    pub up: Bucket,
}

impl Buckets {
    pub(crate) fn set(&mut self, now: Time, limits: Limits) {
        self.down.set(now, limits.download);
        self.up.set(now, limits.upload);
    }
}

impl Bucket {
    #[expect(clippy::cast_precision_loss)]
    fn set(&mut self, now: Time, rate: Option<u64>) {
        self.refill(now);
        self.rate = rate.map(|rate| (rate as f64).max(1.0));
        self.tokens = self.tokens.min(self.most());
    }

    fn most(&self) -> f64 {
        self.rate.map_or(0.0, |rate| (rate * BURST).max(LEAST))
    }

    fn refill(&mut self, now: Time) {
        if let Some(rate) = self.rate {
            let gained = now.since(self.at).as_secs_f64() * rate;
            self.tokens = (self.tokens + gained).min(self.most());
        }
        self.at = self.at.max(now);
    }

    /// Bytes that may flow now.
    pub(crate) fn available(&mut self, now: Time) -> u64 {
        if self.rate.is_none() {
            return u64::MAX;
        }
        self.refill(now);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let whole = self.tokens.max(0.0) as u64;
        whole
    }

    /// Bytes have flowed.
    pub(crate) fn take(&mut self, now: Time, bytes: u64) {
        if self.rate.is_some() {
            self.refill(now);
            #[expect(clippy::cast_precision_loss)]
            let bytes = bytes as f64;
            self.tokens -= bytes;
        }
    }

    /// When something may flow again.
    pub(crate) fn ready_at(&self) -> Time {
        match self.rate {
            Some(rate) if self.tokens < 1.0 => {
                self.at
                    + Duration::from_secs_f64(((1.0 - self.tokens) / rate).min(86_400.0))
                    + Duration::from_millis(1)
            }
            _ => self.at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_long_run_average_is_the_limit() {
        let mut bucket = Bucket::default();
        assert_eq!(bucket.available(Time::ZERO), u64::MAX);
        bucket.set(Time::ZERO, Some(100_000));
        let (mut now, mut flowed) = (Time::ZERO, 0u64);
        while now < Time::from_secs(100) {
            if bucket.available(now) > 0 {
                bucket.take(now, 16_384);
                flowed += 16_384;
            } else {
                now = bucket.ready_at();
                assert!(bucket.available(now) > 0, "ready_at must be when it is ready");
            }
        }
        assert!((9_900_000..10_100_000).contains(&flowed), "{flowed}");
    }
}
