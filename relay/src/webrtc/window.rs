//! Decides how many bytes one connection may have on its way, and in messages of which size.
//!
//! Pure: fed with what was sent, what came back and the round-trip times of ICE checks; it sends nothing.
//! The story of the numbers: Chromium's UDP socket holds about 65 packets (72 KB). SCTP's congestion window knows
//! nothing of it, overshoots, loses a burst and then waits for retransmission timers of 1 s and more. With a strict cap
//! of 64 KiB and messages of 32 KiB nothing is lost and a download runs at 40 to 50 MB/s instead of 10 to 28. A path
//! of 40 ms would be held to 1.6 MB/s by that cap, so it grows with what the path has proven to carry:
//! *cap = floor + delivery rate × smallest round-trip time*, where the floor is all that may queue in a buffer.
//! What a far peer is allowed is spread over the round trip; sent as one burst it would arrive as one, and a browser's
//! socket would lose the end of it.

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
/// The pace is this much faster than cap ÷ round trip, or the cap could never be reached.
const PACE_GAIN: f64 = 1.25;
/// How long a rate is measured before it is compared.
const EPOCH: Duration = Duration::from_millis(500);
/// Bytes that may leave at once towards a far peer: a third of what a browser's socket holds.
const BURST: f64 = 24.0 * 1024.0;
/// The driver's timers are no finer.
const TICK: Duration = Duration::from_millis(1);

/// The sender's allowance of one connection.
#[derive(Debug)]
pub(super) struct Window {
    floor: usize,
    ceiling: usize,
    /// Bytes a second that are not exceeded towards a far peer: where it stands, and the bound of its growth.
    fastest: f64,
    fastest_ever: f64,
    epoch: Epoch,
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
    /// Bytes that may leave now towards a far peer, as of `paced_at`; below zero while it must wait.
    tokens: f64,
    paced_at: Instant,
}

/// Half a second of delivery, to notice that losses have slowed SCTP down: it halves its window at each.
#[derive(Debug)]
struct Epoch {
    started: Instant,
    delivered: u64,
    /// At some time nothing was outstanding: the rate is then the caller's and says nothing of the path.
    dry: bool,
    /// Best rate since the last slow-down, in bytes a second.
    peak: f64,
}

/// One message on its way.
#[derive(Debug)]
struct Mark {
    /// Its last byte's place in the stream of everything admitted.
    end: u64,
    /// What was delivered when it was sent, and when that was.
    delivered: u64,
    since: Instant,
    sent: Instant,
}

impl Window {
    /// `floor` and `ceiling` bound the cap, `fastest` the bytes a second towards a far peer; `remote_max` is the
    /// remote's `max-message-size` (0: any).
    pub(super) fn new(now: Instant, floor: usize, ceiling: usize, fastest: f64, remote_max: usize) -> Self {
        Self {
            fastest,
            fastest_ever: fastest * 4.0,
            epoch: Epoch { started: now, delivered: 0, dry: true, peak: 0.0 },
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
            tokens: BURST,
            paced_at: now,
        }
    }

    /// Bytes that may be outstanding.
    pub(super) fn cap(&self) -> usize {
        let Some(rtt) = self.far() else { return self.floor };
        let path = self.rate.best(f64::max).unwrap_or(0.0).min(self.fastest) * rtt.as_secs_f64();
        self.floor.saturating_add(path as usize).min(self.ceiling)
    }

    /// Bytes in one message at most: never more than half the cap, or every message waits for the acknowledgement of
    /// the one before, which browsers delay by 200 ms.
    pub(super) fn message_size(&self) -> usize {
        MESSAGE.min(self.floor / 2).min(self.remote_max).max(1)
    }

    /// The smallest round-trip time, if it is one of distance.
    fn far(&self) -> Option<Duration> {
        self.smallest_rtt().filter(|rtt| *rtt > NEAR)
    }

    /// Bytes a second that may leave; `None` is without bound.
    fn pace(&self) -> Option<f64> {
        self.far().map(|rtt| (self.cap() as f64 / rtt.as_secs_f64() * PACE_GAIN).min(self.fastest))
    }

    /// When the next datagram may leave, if that is not now.
    ///
    /// Datagrams are paced and not messages: acknowledgements arrive in bunches, each releases as much again at once, and
    /// a path without a bottleneck hands the burst on as it is.
    pub(super) fn wait(&mut self, now: Instant) -> Option<Instant> {
        let pace = self.pace()?;
        let passed = now.saturating_duration_since(self.paced_at).as_secs_f64();
        self.tokens = (self.tokens + passed * pace).min(BURST);
        self.paced_at = now;
        (self.tokens < 0.0).then(|| now + Duration::from_secs_f64(-self.tokens / pace).max(TICK))
    }

    /// A datagram of `len` bytes left.
    pub(super) fn on_datagram(&mut self, len: usize) {
        self.tokens -= len as f64;
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
            sent: now,
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
                // Never less than the round trip, so a peer whose checks were slow is known to be near all the same.
                self.rtt.add(now, now.saturating_duration_since(mark.sent), Duration::min);
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
            self.slow_down(self.epoch.peak);
        }
        self.epoch.dry |= outstanding == 0;
        if now.saturating_duration_since(self.epoch.started) >= EPOCH {
            self.end_epoch(now);
        }
    }

    /// Compares the epoch's rate with the best before: a fall is taken for losses at that best rate.
    fn end_epoch(&mut self, now: Instant) {
        let seconds = now.saturating_duration_since(self.epoch.started).as_secs_f64();
        let rate = (self.delivered - self.epoch.delivered) as f64 / seconds;
        if !self.epoch.dry {
            if rate < self.epoch.peak * 0.7 {
                self.slow_down(self.epoch.peak);
                self.epoch.peak = rate;
            } else {
                self.epoch.peak = self.epoch.peak.max(rate);
                if rate > self.fastest * 0.7 {
                    self.fastest = (self.fastest * 1.03).min(self.fastest_ever);
                }
            }
        }
        self.epoch = Epoch { started: now, delivered: self.delivered, dry: false, peak: self.epoch.peak };
    }

    /// Stays below a rate that led to losses, but never below what the floor alone would give.
    fn slow_down(&mut self, lost_at: f64) {
        if let Some(rtt) = self.far() {
            let least = self.floor as f64 / rtt.as_secs_f64();
            self.fastest = self.fastest.min(lost_at * 0.8).max(least);
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
        let mut window = Window::new(now, FLOOR, 4 << 20, 1e12, 262_144);
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
        assert_eq!(Window::new(now, FLOOR, FLOOR, 1e12, 262_144).message_size(), 32 * 1024);
        assert_eq!(Window::new(now, FLOOR, FLOOR, 1e12, 1000).message_size(), 1000);
        assert_eq!(Window::new(now, 16 * 1024, FLOOR, 1e12, 0).message_size(), 8 * 1024);
    }

    #[test]
    fn a_far_browser_gets_its_bytes_spread_over_the_round_trip() {
        let start = Instant::now();
        let mut window = Window::new(start, FLOOR, 4 << 20, 8e6, 262_144);
        window.on_rtt(start, Duration::from_millis(40));
        let (mut now, mut sent) = (start, 0.0);
        while now < start + Duration::from_secs(1) {
            match window.wait(now) {
                Some(due) => now = due,
                None => {
                    window.on_datagram(1200);
                    sent += 1200.0;
                }
            }
        }
        let pace = FLOOR as f64 / 0.040 * PACE_GAIN;
        assert!(sent < pace + BURST + 2400.0 && sent > pace * 0.9, "{sent}");
    }

    #[test]
    fn quick_deliveries_prove_a_peer_near() {
        let start = Instant::now();
        let mut window = Window::new(start, FLOOR, 4 << 20, 8e6, 262_144);
        window.on_rtt(start, Duration::from_millis(9));
        window.on_sent(start, 1000);
        window.on_outstanding(start + Duration::from_millis(2), 0);
        assert_eq!((window.cap(), window.pace()), (FLOOR, None));
    }

    #[test]
    fn losses_at_a_rate_keep_the_pace_below_it() {
        let mut now = Instant::now();
        let mut window = Window::new(now, FLOOR, 4 << 20, 8e6, 262_144);
        window.on_rtt(now, Duration::from_millis(40));
        for rate in [6e6, 6e6, 3e6] {
            for _ in 0..10 {
                window.on_sent(now, (rate * 0.06) as usize);
                now += Duration::from_millis(60);
                window.on_outstanding(now, 1);
            }
        }
        assert!(window.fastest < 6e6 * 0.9, "{}", window.fastest);
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
