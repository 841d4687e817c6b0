//! Two endpoints and the lines between them, in virtual time.
//!
//! Asserts nothing but that bytes arrive as they were sent.

use crate::{CloseReason, Config, Endpoint, Event, Key, Read};
use anatomic_core::Time;
use fastrand::Rng;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

/// One direction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line {
    pub(super) delay: Duration,
    /// Bytes a second; `None`: any.
    pub(super) rate: Option<u64>,
    /// Bytes that wait at most.
    pub(super) queue: usize,
    pub(super) loss: f64,
    pub(super) doubled: f64,
    /// Each packet takes up to so much longer.
    pub(super) jitter: Duration,
    /// Bytes of the longest datagram that passes.
    pub(super) longest: usize,
}

impl Default for Line {
    fn default() -> Self {
        Self {
            delay: Duration::ZERO,
            rate: None,
            queue: 1_000_000,
            loss: 0.0,
            doubled: 0.0,
            jitter: Duration::ZERO,
            longest: 1_472,
        }
    }
}

/// One side, with somebody who writes and reads.
pub(super) struct End {
    pub(super) endpoint: Endpoint,
    pub(super) key: Option<Key>,
    /// Where its clock starts, in microseconds, and how many millionths it runs too fast.
    pub(super) clock: (u64, i64),
    pub(super) to_send: usize,
    sent: usize,
    pub(super) received: usize,
    pub(super) reads: bool,
    pub(super) over: Option<CloseReason>,
}

impl End {
    fn time(&self, now: Time) -> Time {
        let micros = now.as_micros();
        let drift = (micros as i128 * i128::from(self.clock.1) / 1_000_000) as i64;
        Time::from_micros(self.clock.0 + micros.saturating_add_signed(drift))
    }

    /// When, in true time, its clock shows this.
    fn true_time(&self, own: Time) -> Time {
        let micros = u128::from(own.as_micros().saturating_sub(self.clock.0));
        // Rounded up: its clock then shows no less.
        let scaled = micros * 1_000_000 / (1_000_000 + i128::from(self.clock.1)) as u128 + 1;
        if own == Time::NEVER { Time::NEVER } else { Time::from_micros(scaled as u64) }
    }
}

pub(super) struct Network {
    pub(super) now: Time,
    pub(super) ends: [End; 2],
    /// From the first to the second, and back.
    pub(super) lines: [Line; 2],
    busy_until: [Time; 2],
    on_their_way: BTreeMap<(Time, u64), (usize, Vec<u8>)>,
    count: u64,
    rng: Rng,
    /// Lost by chance.
    pub(super) lost: u64,
    /// Lost because a queue was full.
    pub(super) dropped: u64,
    pub(super) longest_wait: Duration,
    pub(super) longest_arrived: usize,
}

fn address(end: usize) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, end as u8 + 1], 4_081))
}

/// Byte number `at` of what `end` sends.
fn byte(end: usize, at: usize) -> u8 {
    ((at.wrapping_mul(2_654_435_761) >> 13) as u8) ^ end as u8
}

impl Network {
    pub(super) fn new(seed: u64, config: Config, there: Line, back: Line) -> Self {
        let end = |number: u64| End {
            endpoint: Endpoint::new(config, seed * 2 + number),
            key: None,
            clock: (0, 0),
            to_send: 0,
            sent: 0,
            received: 0,
            reads: true,
            over: None,
        };
        Self {
            now: Time::from_secs(1),
            ends: [end(0), end(1)],
            lines: [there, back],
            busy_until: [Time::ZERO; 2],
            on_their_way: BTreeMap::new(),
            count: 0,
            rng: Rng::with_seed(seed),
            lost: 0,
            dropped: 0,
            longest_wait: Duration::ZERO,
            longest_arrived: 0,
        }
    }

    /// The first end dials the second and says a byte, so that the second knows it.
    pub(super) fn connect(&mut self) {
        let end = &mut self.ends[0];
        end.key = end.endpoint.connect(end.time(self.now), address(1));
        self.run(Duration::from_secs(20));
    }

    pub(super) fn close(&mut self) {
        self.close_one(0);
        self.close_one(1);
    }

    pub(super) fn close_one(&mut self, which: usize) {
        let now = self.ends[which].time(self.now);
        if let Some(key) = self.ends[which].key.take() {
            self.ends[which].endpoint.close(now, key);
        }
    }

    /// Runs until nothing happens any more, for so long at most.
    pub(super) fn run(&mut self, at_most: Duration) {
        let until = self.now + at_most;
        loop {
            self.exchange();
            let alarms = self.ends.iter().map(|end| end.true_time(end.endpoint.poll_timeout()));
            let arrival = self.on_their_way.first_key_value().map(|((at, _), _)| *at);
            let Some(next) = alarms.chain(arrival).min().filter(|next| *next < until) else { break };
            self.now = self.now.max(next);
            for which in 0..2 {
                let now = self.ends[which].time(self.now);
                if self.ends[which].endpoint.poll_timeout() <= now {
                    self.ends[which].endpoint.handle_timeout(now);
                }
            }
            while let Some(entry) = self.on_their_way.first_entry()
                && entry.key().0 <= self.now
            {
                let (to, datagram) = entry.remove();
                self.longest_arrived = self.longest_arrived.max(datagram.len());
                let now = self.ends[to].time(self.now);
                self.ends[to].endpoint.handle_datagram(now, address(1 - to), &datagram);
            }
        }
        self.now = self.now.max(until);
    }

    /// Lets both ends write, read and send.
    pub(super) fn exchange(&mut self) {
        for which in 0..2 {
            let now = self.ends[which].time(self.now);
            let end = &mut self.ends[which];
            while let Some(event) = end.endpoint.poll_event() {
                if let Event::Accepted(key, _) = event {
                    end.key = Some(key);
                }
            }
            if let Some(key) = end.key {
                end.work(which, key);
            }
            let mut datagram = Vec::new();
            while let Some(to) = self.ends[which].endpoint.poll_transmit(now, &mut datagram) {
                assert_eq!(to, address(1 - which));
                self.send(which, std::mem::take(&mut datagram));
            }
        }
    }

    fn send(&mut self, from: usize, datagram: Vec<u8>) {
        let line = self.lines[from];
        if datagram.len() > line.longest {
            return;
        }
        if self.rng.f64() < line.loss {
            self.lost += 1;
            return;
        }
        let start = self.busy_until[from].max(self.now);
        let waits = start.since(self.now);
        if let Some(rate) = line.rate {
            if waits.as_secs_f64() * rate as f64 > line.queue as f64 {
                self.dropped += 1;
                return;
            }
            self.longest_wait = self.longest_wait.max(waits);
            self.busy_until[from] = start + Duration::from_secs_f64(datagram.len() as f64 / rate as f64);
        }
        let copies = if self.rng.f64() < line.doubled { 2 } else { 1 };
        for _ in 0..copies {
            let jitter = line.jitter.mul_f64(self.rng.f64());
            self.count += 1;
            let at = self.busy_until[from].max(self.now) + line.delay + jitter;
            self.on_their_way.insert((at, self.count), (1 - from, datagram.clone()));
        }
    }
}

impl End {
    fn work(&mut self, which: usize, key: Key) {
        while self.sent < self.to_send {
            let count = (self.to_send - self.sent).min(10_000).min(self.endpoint.room(key));
            let bytes: Vec<u8> = (self.sent..self.sent + count).map(|at| byte(which, at)).collect();
            let taken = self.endpoint.write(key, &bytes);
            self.sent += taken;
            if taken == 0 {
                break;
            }
        }
        while self.reads {
            match self.endpoint.read(key) {
                Read::Bytes(bytes) => {
                    for (at, got) in (self.received..).zip(bytes.iter()) {
                        assert_eq!(*got, byte(1 - which, at), "byte {at}");
                    }
                    self.received += bytes.len();
                }
                Read::Nothing => break,
                Read::Over(reason) => {
                    self.over = Some(reason);
                    break;
                }
            }
        }
    }
}
