//! How long packets wait in queues: the one-way delay less the smallest of the last minutes.
//!
//! Clocks of two machines differ by any amount; only differences of delays are used, in 32 bits that wrap.

use anatomic_core::Time;
use std::time::Duration;

/// Minutes whose smallest delays are remembered (RFC 6817, 4.2: `BASE_HISTORY`).
const MINUTES: usize = 10;
/// Of so many samples the smallest counts: one late packet is no queue.
const FILTER: usize = 3;
const MINUTE: Duration = Duration::from_secs(60);

/// Delays in one direction.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Delays {
    bases: [Option<u32>; MINUTES],
    minute: usize,
    turns_at: Time,
    recent: [Option<u32>; FILTER],
    next: usize,
}

/// Whether `a` comes before `b` on a circle of 32 bits.
const fn is_less(a: u32, b: u32) -> bool {
    (a.wrapping_sub(b) as i32) < 0
}

impl Delays {
    /// One packet took so long, by both clocks.
    pub(crate) fn add(&mut self, now: Time, delay: u32) {
        if now >= self.turns_at {
            let first = self.turns_at == Time::ZERO;
            self.turns_at = now + MINUTE;
            if !first {
                self.minute = (self.minute + 1) % MINUTES;
                if let Some(base) = self.bases.get_mut(self.minute) {
                    *base = None;
                }
            }
        }
        if let Some(base) = self.bases.get_mut(self.minute)
            && base.is_none_or(|base| is_less(delay, base))
        {
            *base = Some(delay);
        }
        if let Some(slot) = self.recent.get_mut(self.next) {
            *slot = Some(delay);
        }
        self.next = (self.next + 1) % FILTER;
    }

    /// The smallest delay of the last minutes.
    pub(crate) fn base(&self) -> Option<u32> {
        self.bases.iter().flatten().copied().reduce(|a, b| if is_less(b, a) { b } else { a })
    }

    /// What the last packets waited beyond that.
    pub(crate) fn queueing(&self) -> Option<Duration> {
        let base = self.base()?;
        let least = self.recent.iter().flatten().map(|delay| delay.wrapping_sub(base)).min()?;
        // A sample below the base lowered it; what is left of such is from before the base was shifted.
        let least = if least > u32::MAX / 2 { 0 } else { least };
        Some(Duration::from_micros(u64::from(least)))
    }

    /// The remote's clock was seen to run differently: all bases move.
    pub(crate) fn shift(&mut self, by: u32) {
        for base in self.bases.iter_mut().flatten() {
            *base = base.wrapping_add(by);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u32 = 1_000;

    #[test]
    fn a_queue_is_what_is_above_the_smallest_delay() {
        // Near the end of the circle: clocks of strangers start anywhere.
        let offset = u32::MAX - 5 * MS;
        let mut delays = Delays::default();
        for (delay, queueing) in [(20, 0), (20, 0), (20, 0), (50, 0), (60, 0), (70, 30), (10, 0)] {
            delays.add(Time::from_secs(1), offset.wrapping_add(delay * MS));
            let expected = Duration::from_millis(queueing);
            assert_eq!(delays.queueing(), Some(expected), "{delay}");
        }
    }

    #[test]
    fn a_base_is_forgotten_after_ten_minutes() {
        let mut delays = Delays::default();
        delays.add(Time::from_secs(1), 10 * MS);
        for second in 2..600 {
            delays.add(Time::from_secs(second), 40 * MS);
            assert_eq!(delays.base(), Some(10 * MS), "{second}");
        }
        for second in 600..670 {
            delays.add(Time::from_secs(second), 40 * MS);
        }
        assert_eq!((delays.base(), delays.queueing()), (Some(40 * MS), Some(Duration::ZERO)));
    }

    #[test]
    fn a_drifting_clock_moves_the_base() {
        let mut delays = Delays::default();
        delays.add(Time::from_secs(1), 10 * MS);
        delays.shift(3 * MS);
        for _ in 0..FILTER {
            delays.add(Time::from_secs(2), 15 * MS);
        }
        assert_eq!(delays.queueing(), Some(Duration::from_millis(2)));
    }
}
