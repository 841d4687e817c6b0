//! The sending half of a connection: what is on its way, what was lost, and what may go next.
//!
//! Writes no header; numbers and bytes only.

use crate::Config;
use crate::delay::Delays;
use crate::ledbat::Window;
use crate::mtu::{BASE, Mtu};
use crate::packet::{HEADER, MIN_FILLER};
use crate::rtt::Rtt;
use anatomic_core::Time;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

/// Packets on their way: receivers take no more than 1,023 beyond the next one.
const MOST: usize = 1_000;
/// A packet is lost when so many later ones arrived (BEP 29; RFC 6675).
const LATER: u64 = 3;
/// Timeouts one after the other until the remote counts as gone: about a minute.
const GIVE_UP: u32 = 7;
/// How long a closed window is waited for before it is probed.
const CLOSED_WINDOW: Duration = Duration::from_secs(5);

/// What is sent on a connection.
#[derive(Debug)]
pub(crate) struct Outgoing {
    /// Bytes that were not acknowledged in order, then those that were not sent.
    stream: VecDeque<u8>,
    /// Place of its first byte in the whole stream.
    base: u64,
    /// Place of the first byte that was not sent.
    sent_to: u64,
    packets: VecDeque<Sent>,
    /// Number of the first of them.
    first: u64,
    /// Payload bytes on their way, lost ones not among them.
    in_flight: usize,
    /// Packets on their way, likewise.
    flying: usize,
    /// Numbers to be sent again.
    lost: VecDeque<u64>,
    /// The last packet, to be sent again as a question.
    tail: Option<u64>,
    asked: bool,
    ends: bool,
    ended: bool,
    remote_window: usize,
    window: Window,
    rtt: Rtt,
    mtu: Mtu,
    delays: Delays,
    /// Losses before this number belong to one that was answered.
    recovery: u64,
    /// The newest sending that was acknowledged, and its number.
    newest: (Time, u64),
    deadline: Time,
    /// The remote's window is closed; one packet asks whether it still is.
    probes_window: bool,
}

/// A packet that was sent.
#[derive(Clone, Copy, Debug)]
struct Sent {
    place: u64,
    length: u16,
    /// Bytes of the datagram, if it is a probe of its size.
    probe: u16,
    sendings: u8,
    sent_at: Time,
    state: State,
    is_last: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Flying,
    Lost,
    Arrived,
}

/// A packet to be sent now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Next {
    /// Its number.
    pub(crate) number: u64,
    /// Its payload, from this byte of the stream that is kept.
    pub(crate) at: usize,
    /// Bytes of payload.
    pub(crate) length: usize,
    /// Bytes of filler.
    pub(crate) filler: usize,
    /// It ends the stream.
    pub(crate) is_last: bool,
    /// It was sent before.
    pub(crate) again: bool,
}

/// The remote acknowledged something that was never sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NeverSent;

/// What a timeout means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TimedOut {
    /// Something is sent again.
    Again,
    /// The remote is gone.
    Gone,
    /// It was none.
    No,
}

impl Outgoing {
    /// The first packet will have the number `first`.
    pub(crate) fn new(config: &Config, remote: IpAddr, first: u64, remote_window: usize) -> Self {
        let payload = BASE - HEADER;
        Self {
            stream: VecDeque::new(),
            base: 0,
            sent_to: 0,
            packets: VecDeque::new(),
            first,
            in_flight: 0,
            flying: 0,
            lost: VecDeque::new(),
            tail: None,
            asked: false,
            ends: false,
            ended: false,
            remote_window,
            window: Window::new(payload, MOST * payload, config.target_delay),
            rtt: Rtt::default(),
            mtu: Mtu::new(remote),
            delays: Delays::default(),
            recovery: first,
            newest: (Time::ZERO, 0),
            deadline: Time::NEVER,
            probes_window: false,
        }
    }

    /// Number of the next new packet.
    pub(crate) fn next_number(&self) -> u64 {
        self.first + self.packets.len() as u64
    }

    /// Bytes that were not sent yet.
    pub(crate) fn unsent(&self) -> usize {
        self.stream.len() - (self.sent_to - self.base) as usize
    }

    /// Adds bytes to the stream.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.stream.extend(bytes);
    }

    /// Bytes of the stream that is kept, from `at` on.
    pub(crate) fn copy(&self, at: usize, length: usize, into: &mut Vec<u8>) {
        let (front, back) = self.stream.as_slices();
        let split = front.len();
        into.extend_from_slice(front.get(at..(at + length).min(split)).unwrap_or_default());
        let from = at.saturating_sub(split);
        into.extend_from_slice(back.get(from..(at + length).saturating_sub(split)).unwrap_or_default());
    }

    /// The stream ends with what was written.
    pub(crate) fn finish(&mut self) {
        self.ends = true;
    }

    /// Everything arrived, the end included.
    pub(crate) fn is_finished(&self) -> bool {
        self.ended && self.packets.is_empty()
    }

    /// The round trip of the first packet of the connection.
    pub(crate) fn measured(&mut self, rtt: Duration) {
        self.rtt.add(rtt);
    }

    /// The remote's clock runs differently: delays to it are longer by so much from now on.
    pub(crate) fn shift_delays(&mut self, by: u32) {
        self.delays.shift(by);
    }

    /// When [`timeout`](Self::timeout) is to be called.
    pub(crate) const fn deadline(&self) -> Time {
        self.deadline
    }

    fn payload(&self) -> usize {
        self.mtu.datagram() - HEADER
    }

    /// What to send now; it counts as sent.
    pub(crate) fn next(&mut self, now: Time) -> Option<Next> {
        let next = self.again(now).or_else(|| self.fresh(now))?;
        if self.deadline == Time::NEVER {
            self.set_deadline(now);
        }
        Some(next)
    }

    fn again(&mut self, now: Time) -> Option<Next> {
        if let Some(number) = self.tail.take()
            && let Some(packet) = self.resend(now, number)
        {
            return Some(packet);
        }
        while let Some(number) = self.lost.front().copied() {
            let lost = self.packet(number).filter(|packet| packet.state == State::Lost);
            let Some(length) = lost.map(|packet| usize::from(packet.length)) else {
                self.lost.pop_front();
                continue;
            };
            if self.flying > 0 && self.in_flight + length > self.window.bytes() {
                return None;
            }
            self.lost.pop_front();
            self.in_flight += length;
            self.flying += 1;
            if let Some(packet) = self.packet_mut(number) {
                packet.state = State::Flying;
            }
            return self.resend(now, number);
        }
        None
    }

    fn resend(&mut self, now: Time, number: u64) -> Option<Next> {
        let base = self.base;
        let packet = self.packet_mut(number).filter(|packet| packet.state == State::Flying)?;
        packet.sendings = packet.sendings.saturating_add(1);
        packet.sent_at = now;
        // What was lost as a probe goes without filler now.
        packet.probe = 0;
        let at = (packet.place - base) as usize;
        let (length, is_last) = (usize::from(packet.length), packet.is_last);
        Some(Next { number, at, length, filler: 0, is_last, again: true })
    }

    fn fresh(&mut self, now: Time) -> Option<Next> {
        let unsent = self.unsent();
        if self.packets.len() >= MOST || self.ended {
            return None;
        }
        let mut length = unsent.min(self.payload());
        let (mut filler, mut probe) = (0, 0);
        if length > 0 {
            let room = self.window.bytes().min(self.remote_window).saturating_sub(self.in_flight);
            if length > room {
                // Nothing under way: one packet may go whatever the window, unless the remote has none.
                let alone = self.flying == 0 && self.lost.is_empty();
                if !alone || (self.remote_window == 0 && !self.probes_window) {
                    if alone && self.deadline == Time::NEVER {
                        self.deadline = now + CLOSED_WINDOW;
                    }
                    return None;
                }
                length = length.min(self.remote_window.max(1));
            }
            self.probes_window = false;
            // A probe is a packet of the usual length, so that it can be repeated without the filler.
            if let Some(bytes) = self.mtu.probe()
                && self.rtt.smoothed().is_some()
                && length == self.payload()
                && bytes >= HEADER + length + MIN_FILLER
            {
                (filler, probe) = (bytes - HEADER - length, bytes as u16);
                self.mtu.sent();
            }
        } else if !self.ends {
            return None;
        }
        let is_last = self.ends && length == unsent;
        let sent = Sent {
            place: self.sent_to,
            length: length as u16,
            probe,
            sendings: 1,
            sent_at: now,
            state: State::Flying,
            // The end goes by itself: some take no payload with it.
            is_last: is_last && length == 0,
        };
        let next = Next {
            number: self.next_number(),
            at: (self.sent_to - self.base) as usize,
            length,
            filler,
            is_last: sent.is_last,
            again: false,
        };
        self.ended |= sent.is_last;
        self.packets.push_back(sent);
        self.sent_to += length as u64;
        self.in_flight += length;
        self.flying += 1;
        self.asked = false;
        Some(next)
    }

    /// The remote has everything up to `upto`, and what `sack` says. `delay` is how long our last packet took to it, by both
    /// clocks; 0 if it does not know.
    ///
    /// # Errors
    /// When it cannot have what it says.
    pub(crate) fn acknowledged(
        &mut self,
        now: Time,
        upto: u64,
        sack: &[u8],
        delay: u32,
        remote_window: usize,
    ) -> Result<(), NeverSent> {
        if upto >= self.next_number() {
            return Err(NeverSent);
        }
        if delay != 0 {
            self.delays.add(now, delay);
        }
        if upto + 1 >= self.first {
            self.remote_window = remote_window;
        }
        let limited = self.in_flight + self.payload() > self.window.bytes();
        let mut arrived = Arrived::default();
        while self.first <= upto {
            let number = self.first;
            self.arrive(now, number, &mut arrived);
            let Some(packet) = self.packets.pop_front() else { break };
            self.first += 1;
            let end = packet.place + u64::from(packet.length);
            self.stream.drain(..((end - self.base) as usize).min(self.stream.len()));
            self.base = end;
        }
        for (byte, number) in sack.iter().zip((upto + 2..).step_by(8)) {
            for bit in (0..8u8).filter(|bit| byte & (1 << bit) != 0) {
                self.arrive(now, number + u64::from(bit), &mut arrived);
            }
        }
        if self.stream.is_empty() && self.stream.capacity() > 64 * 1024 {
            self.stream = VecDeque::new();
        }
        if arrived.packets > 0 {
            if let Some(rtt) = arrived.rtt {
                self.rtt.add(rtt);
            }
            self.rtt.heard();
            // A queue cannot hold a packet for longer than its round trip took.
            let queueing = self.delays.queueing().unwrap_or_default();
            let queueing = arrived.rtt.map_or(queueing, |rtt| queueing.min(rtt));
            self.window.acknowledged(arrived.bytes, queueing, self.payload(), limited);
            self.asked = false;
            self.find_losses();
            self.set_deadline(now);
        } else if remote_window == 0 {
            // It is there; it only cannot take anything.
            self.rtt.heard();
        }
        if remote_window > 0 && self.flying == 0 && self.packets.is_empty() {
            self.deadline = Time::NEVER;
        }
        Ok(())
    }

    fn arrive(&mut self, now: Time, number: u64, arrived: &mut Arrived) {
        let Some(packet) = self.packet_mut(number) else { return };
        let (was, sent_at, probe) = (packet.state, packet.sent_at, usize::from(packet.probe));
        let (length, once) = (usize::from(packet.length), packet.sendings == 1);
        if was == State::Arrived {
            return;
        }
        packet.state = State::Arrived;
        if was == State::Flying {
            self.in_flight = self.in_flight.saturating_sub(length);
            self.flying -= 1;
        }
        if probe > 0 {
            self.mtu.arrived(probe);
        }
        arrived.packets += 1;
        arrived.bytes += length;
        if once {
            // Whose acknowledgement this is, is certain only for what was sent once (Karn).
            let rtt = now.since(sent_at);
            arrived.rtt = Some(arrived.rtt.map_or(rtt, |least| least.min(rtt)));
        }
        // Too soon after it was sent again, it is the first sending that arrived (RFC 8985, 6.2, step 2).
        if once || now.since(sent_at) * 2 >= self.rtt.smoothed().unwrap_or_default() {
            self.newest.0 = self.newest.0.max(sent_at);
        }
        self.newest.1 = self.newest.1.max(number);
    }

    /// Finds packets that later ones have overtaken.
    fn find_losses(&mut self) {
        let (newest, highest) = self.newest;
        let reordering = self.rtt.reordering();
        let behind = highest.saturating_sub(self.first).min(self.packets.len() as u64);
        for number in self.first..self.first + behind {
            let Some(packet) = self.packet(number).filter(|packet| packet.state == State::Flying) else {
                continue;
            };
            let overtaken = packet.sendings == 1 && number + LATER <= highest;
            if overtaken || packet.sent_at + reordering < newest {
                self.lose(number);
            }
        }
    }

    fn lose(&mut self, number: u64) {
        let (payload, next) = (self.payload(), self.next_number());
        let Some(packet) = self.packet_mut(number).filter(|packet| packet.state == State::Flying) else {
            return;
        };
        packet.state = State::Lost;
        let (length, probe) = (usize::from(packet.length), std::mem::take(&mut packet.probe));
        self.in_flight = self.in_flight.saturating_sub(length);
        self.flying -= 1;
        self.lost.push_back(number);
        if probe > 0 {
            // Too long for the line, most likely: no sign of a full one.
            self.mtu.lost();
        } else if number >= self.recovery {
            self.window.lost(payload);
            self.recovery = next;
        }
    }

    /// Time has come to the deadline.
    pub(crate) fn timeout(&mut self, now: Time) -> TimedOut {
        if now < self.deadline {
            return TimedOut::No;
        }
        self.deadline = Time::NEVER;
        if self.packets.is_empty() {
            self.probes_window = self.unsent() > 0;
            return TimedOut::Again;
        }
        let last = (self.first..self.next_number())
            .rev()
            .find(|number| self.packet(*number).is_some_and(|packet| packet.state == State::Flying));
        if let Some(last) = last
            && !self.asked
            && self.rtt.timeouts() == 0
            && self.rtt.probe_timeout().is_some()
        {
            self.asked = true;
            self.tail = Some(last);
            self.set_deadline(now);
            return TimedOut::Again;
        }
        self.rtt.timed_out();
        if self.rtt.timeouts() >= GIVE_UP {
            return TimedOut::Gone;
        }
        let next = self.next_number();
        // One cut in the window is enough for all of them.
        self.recovery = next;
        self.lost.clear();
        for number in self.first..next {
            if self.packet(number).is_some_and(|packet| packet.state == State::Lost) {
                self.lost.push_back(number);
            } else {
                self.lose(number);
            }
        }
        self.window.timed_out(self.payload());
        self.set_deadline(now);
        TimedOut::Again
    }

    fn set_deadline(&mut self, now: Time) {
        self.deadline = if self.packets.is_empty() {
            Time::NEVER
        } else {
            let question = if self.asked { None } else { self.rtt.probe_timeout() };
            now + question.unwrap_or_else(|| self.rtt.timeout())
        };
    }

    fn packet(&self, number: u64) -> Option<&Sent> {
        self.packets.get(usize::try_from(number.checked_sub(self.first)?).ok()?)
    }

    fn packet_mut(&mut self, number: u64) -> Option<&mut Sent> {
        self.packets.get_mut(usize::try_from(number.checked_sub(self.first)?).ok()?)
    }
}

/// What one acknowledgement said.
#[derive(Debug, Default)]
struct Arrived {
    packets: usize,
    bytes: usize,
    /// The shortest round trip among packets that were sent once.
    rtt: Option<Duration>,
}
