//! Decides how many bytes one connection may have on its way, and in messages of which size.
//!
//! Pure: fed with what was sent, what came back and the round-trip times of ICE checks; it sends nothing.
//! The story of the numbers: Chromium's UDP socket holds about 65 packets (72 KB). SCTP's congestion window knows
//! nothing of it, overshoots, loses a burst and then waits for retransmission timers of 1 s and more. With a strict cap
//! of 64 KiB and messages of 32 KiB nothing is lost and a download runs at 40 to 50 MB/s instead of 10 to 28. A path
//! of 40 ms would be held to 1.6 MB/s by that cap, so it grows with what the path has proven to carry:
//! *cap = floor + delivery rate × smallest round-trip time*, where the floor is all that may queue in a buffer.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Below this round-trip time the floor alone is enough, and queueing in a busy browser looks like distance.
const NEAR: Duration = Duration::from_millis(5);
/// Two of these hold the best rate; an old one is dropped when the new one is full.
const RATE_EPOCH: Duration = Duration::from_secs(5);
/// The same for the smallest round-trip time.
const RTT_EPOCH: Duration = Duration::from_secs(60);
/// No delivery for so long while bytes are outstanding is a stall: SCTP's shortest retransmission timer is 1 s.
const STALL: Duration = Duration::from_millis(900);
/// Messages are packed up to this size: two blocks of 16 KiB.
const MESSAGE: usize = 32 * 1024;

/// The sender's allowance of one connection.
#[derive(Debug)]
pub(super) struct Window {
    floor: usize,
    ceiling: usize,
    remote_max: usize,
    admitted: u64,
    delivered: u64,
    delivered_at: Instant,
    marks: VecDeque<Mark>,
    rate: Epochs<f64>,
    rtt: Epochs<Duration>,
    last_rtt: Option<Duration>,
    stalled: bool,
    stalls: u64,
}

/// One message on its way.
#[derive(Debug)]
struct Mark {
    /// Its last byte's place in the stream of everything admitted.
    end: u64,
    /// What was delivered when it was sent, and when that was.
    delivered: u64,
    since: Instant,
}

impl Window {
    /// `floor` and `ceiling` bound the cap; `remote_max` is the remote's `max-message-size` (0: any).
    pub(super) fn new(now: Instant, floor: usize, ceiling: usize, remote_max: usize) -> Self {
        Self {
            floor,
            ceiling: ceiling.max(floor),
            remote_max: if remote_max == 0 { usize::MAX } else { remote_max },
            admitted: 0,
            delivered: 0,
            delivered_at: now,
            marks: VecDeque::new(),
            rate: Epochs::new(now, RATE_EPOCH),
            rtt: Epochs::new(now, RTT_EPOCH),
            last_rtt: None,
            stalled: false,
            stalls: 0,
        }
    }

    /// Bytes that may be outstanding.
    pub(super) fn cap(&self) -> usize {
        let Some(rtt) = self.smallest_rtt().filter(|rtt| *rtt > NEAR) else { return self.floor };
        let path = self.rate.best(f64::max).unwrap_or(0.0) * rtt.as_secs_f64();
        self.floor.saturating_add(path as usize).min(self.ceiling)
    }

    /// Bytes in one message at most: never more than half the cap, or every message waits for the acknowledgement of
    /// the one before, which browsers delay by 200 ms.
    pub(super) fn message_size(&self) -> usize {
        MESSAGE.min(self.floor / 2).min(self.remote_max).max(1)
    }

    /// Whether a message of `len` bytes may be sent while `outstanding` bytes are on their way.
    pub(super) fn admits(&self, outstanding: usize, len: usize) -> bool {
        outstanding == 0 || outstanding.saturating_add(len) <= self.cap()
    }

    /// A message was given to the core.
    pub(super) fn on_sent(&mut self, now: Instant, len: usize) {
        if self.admitted == self.delivered {
            self.delivered_at = now;
        }
        self.admitted += len as u64;
        self.marks.push_back(Mark {
            end: self.admitted,
            delivered: self.delivered,
            since: self.delivered_at,
        });
    }

    /// The core's count of unacknowledged bytes, after it has read what arrived.
    pub(super) fn on_outstanding(&mut self, now: Instant, outstanding: usize) {
        let delivered = self.admitted.saturating_sub(outstanding as u64);
        if delivered > self.delivered {
            self.delivered = delivered;
            self.delivered_at = now;
            self.stalled = false;
            while let Some(mark) = self.marks.front().filter(|mark| mark.end <= delivered) {
                let seconds = now.saturating_duration_since(mark.since).as_secs_f64();
                if seconds > 0.0005 {
                    self.rate.add(now, (delivered - mark.delivered) as f64 / seconds, f64::max);
                }
                self.marks.pop_front();
            }
        } else if outstanding > 0 && !self.stalled && now.saturating_duration_since(self.delivered_at) > STALL
        {
            self.stalled = true;
            self.stalls += 1;
            self.rate.clear(now);
        }
    }

    /// An ICE check was answered after so long.
    pub(super) fn on_rtt(&mut self, now: Instant, rtt: Duration) {
        self.last_rtt = Some(rtt);
        self.rtt.add(now, rtt, Duration::min);
    }

    /// The smallest round-trip time of the last one to two minutes.
    pub(super) fn smallest_rtt(&self) -> Option<Duration> {
        self.rtt.best(Duration::min)
    }

    /// The latest round-trip time.
    pub(super) fn last_rtt(&self) -> Option<Duration> {
        self.last_rtt
    }

    /// How often nothing was delivered for longer than SCTP's shortest retransmission timer.
    pub(super) fn stalls(&self) -> u64 {
        self.stalls
    }
}

/// The best value of the current and the previous epoch.
#[derive(Debug)]
struct Epochs<T> {
    length: Duration,
    started: Instant,
    current: Option<T>,
    previous: Option<T>,
}

impl<T: Copy> Epochs<T> {
    fn new(now: Instant, length: Duration) -> Self {
        Self { length, started: now, current: None, previous: None }
    }

    fn add(&mut self, now: Instant, value: T, better: impl Fn(T, T) -> T) {
        if now.saturating_duration_since(self.started) > self.length {
            self.previous = self.current.take();
            self.started = now;
        }
        self.current = Some(self.current.map_or(value, |best| better(best, value)));
    }

    fn best(&self, better: impl Fn(T, T) -> T) -> Option<T> {
        match (self.current, self.previous) {
            (Some(a), Some(b)) => Some(better(a, b)),
            (a, b) => a.or(b),
        }
    }

    fn clear(&mut self, now: Instant) {
        self.current = None;
        self.previous = None;
        self.started = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLOOR: usize = 64 * 1024;

    /// Drives a path that delivers everything one round trip later, at most `rate` bytes a second.
    fn run(rtt: Duration, rate: f64, rounds: usize) -> (Window, usize) {
        let mut now = Instant::now();
        let mut window = Window::new(now, FLOOR, 4 << 20, 262_144);
        window.on_rtt(now, rtt);
        let mut largest = 0;
        for _ in 0..rounds {
            let mut outstanding = 0;
            while window.admits(outstanding, window.message_size()) {
                let len = window.message_size();
                window.on_sent(now, len);
                outstanding += len;
            }
            largest = largest.max(outstanding);
            now += rtt.max(Duration::from_secs_f64(outstanding as f64 / rate));
            window.on_outstanding(now, 0);
        }
        (window, largest)
    }

    #[test]
    fn a_near_browser_never_gets_more_than_the_floor() {
        let (window, largest) = run(Duration::from_millis(1), 50e6, 200);
        assert_eq!(window.cap(), FLOOR);
        assert!(largest <= FLOOR);
    }

    #[test]
    fn a_far_peer_gets_what_its_path_carries() {
        let (window, _) = run(Duration::from_millis(40), 12.5e6, 200);
        let product = 12.5e6 * 0.040;
        assert!(window.cap() as f64 > product, "{}", window.cap());
        assert!(window.cap() as f64 <= product + FLOOR as f64 + 1.0, "{}", window.cap());
    }

    #[test]
    fn the_cap_is_never_exceeded() {
        let (window, largest) = run(Duration::from_millis(200), 1e9, 500);
        assert!(largest <= 4 << 20);
        assert_eq!(window.cap(), 4 << 20);
    }

    #[test]
    fn a_message_is_at_most_half_the_floor_and_what_the_remote_takes() {
        let now = Instant::now();
        assert_eq!(Window::new(now, FLOOR, FLOOR, 262_144).message_size(), 32 * 1024);
        assert_eq!(Window::new(now, FLOOR, FLOOR, 1000).message_size(), 1000);
        assert_eq!(Window::new(now, 16 * 1024, FLOOR, 0).message_size(), 8 * 1024);
    }

    #[test]
    fn a_stall_takes_the_growth_back() {
        let (mut window, _) = run(Duration::from_millis(40), 12.5e6, 100);
        let now = Instant::now() + Duration::from_secs(1000);
        window.on_sent(now, 1000);
        window.on_outstanding(now + Duration::from_secs(1), 1000);
        window.on_outstanding(now + Duration::from_secs(2), 1000);
        assert_eq!((window.stalls(), window.cap()), (1, FLOOR));
    }
}
