//! One connection: its two halves, how it begins and how it ends.
//!
//! Knows no other connection; whose datagram it is, is the endpoint's part.

use crate::Config;
use crate::delay::Delays;
use crate::packet::{Header, Kind, Packet, write_header};
use crate::receive::{Incoming, Taken};
use crate::send::{Outgoing, TimedOut};
use crate::sequence::{expand, on_wire};
use anatomic_core::Time;
use bytes::Bytes;
use std::net::SocketAddr;
use std::time::Duration;

/// Numbers inside begin here, so that those before the first are not below zero.
const START: u64 = 1 << 32;
/// Wait for an answer to the first packet; it doubles.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// After this silence of ours a packet keeps translators of addresses from forgetting us (libutp: 29 s).
const KEEP_ALIVE: Duration = Duration::from_secs(29);
/// A remote's clock is not taken to drift faster than this between two packets, in microseconds (libutp).
const MAX_DRIFT: u32 = 10_000;

/// Why a connection is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CloseReason {
    /// Nobody answered.
    #[error("no answer over uTP")]
    NoAnswer,
    /// The remote refused the connection, or forgot it.
    #[error("refused over uTP")]
    Reset,
    /// The remote did not acknowledge anything for about a minute.
    #[error("the peer does not answer any more")]
    TimedOut,
    /// The remote ended it.
    #[error("closed by the peer")]
    Ended,
}

/// What an endpoint did so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Datagrams to be sent.
    pub datagrams_sent: u64,
    /// Packets received that belong to a connection or begin one.
    pub packets_received: u64,
    /// Payload bytes sent, again ones not among them.
    pub bytes_sent: u64,
    /// Payload bytes received in order.
    pub bytes_received: u64,
    /// Packets sent again.
    pub sent_again: u64,
    /// Timeouts, questions by the last packet not among them.
    pub timeouts: u64,
    /// Packets of nobody, or that cannot be right.
    pub strays: u64,
    /// Resets sent to strangers.
    pub resets_sent: u64,
}

/// What a packet or a moment changed, for the connection's owner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// It is open.
    pub(crate) opened: bool,
    /// There is something to read, or it is over.
    pub(crate) readable: bool,
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) remote: SocketAddr,
    /// What packets to us are marked with.
    pub(crate) receive_id: u16,
    /// What ours are marked with.
    pub(crate) send_id: u16,
    pub(crate) accepted: bool,
    /// Its owner waits for room.
    pub(crate) wants_room: bool,
    /// It stands in the endpoint's list of those with something to send.
    pub(crate) queued: bool,
    /// When the endpoint looks at it again.
    pub(crate) alarm: Time,
    phase: Phase,
    /// Nobody owns it any more; it is forgotten then at the latest.
    closing: Option<Time>,
    /// How long the remote's last packet took, by both clocks.
    difference: u32,
    /// Delays of the remote's packets, to see its clock drift.
    theirs: Delays,
    quiet_since: Time,
}

#[derive(Debug)]
enum Phase {
    Connecting(Connecting),
    Open(Box<Stream>),
    /// What came before can still be read.
    Over(CloseReason, Bytes),
}

/// Waiting for the answer to our first packet.
#[derive(Clone, Copy, Debug)]
struct Connecting {
    number: u64,
    sent: u32,
    sent_at: Time,
    again_at: Time,
    until: Time,
}

#[derive(Debug)]
struct Stream {
    incoming: Incoming,
    outgoing: Outgoing,
}

impl Connection {
    /// One that we begin.
    pub(crate) fn dial(config: &Config, now: Time, remote: SocketAddr, id: u16, number: u16) -> Self {
        let connecting = Connecting {
            number: START + u64::from(number),
            sent: 0,
            sent_at: now,
            again_at: now,
            until: now + config.connect_timeout,
        };
        Self::new(remote, id, id.wrapping_add(1), Phase::Connecting(connecting), now)
    }

    /// One that a stranger began: its first packet had the number `theirs`, our first one has `ours`.
    pub(crate) fn accept(
        config: &Config,
        now: Time,
        remote: SocketAddr,
        id: u16,
        theirs: u16,
        ours: u16,
    ) -> Self {
        let stream = Stream {
            incoming: Incoming::new(START + u64::from(theirs), config.receive_window),
            outgoing: Outgoing::new(config, remote.ip(), START + u64::from(ours), 0),
        };
        let phase = Phase::Open(Box::new(stream));
        Self { accepted: true, ..Self::new(remote, id, id.wrapping_sub(1), phase, now) }
    }

    fn new(remote: SocketAddr, receive_id: u16, send_id: u16, phase: Phase, now: Time) -> Self {
        Self {
            remote,
            receive_id,
            send_id,
            accepted: false,
            wants_room: false,
            queued: false,
            alarm: Time::NEVER,
            phase,
            closing: None,
            difference: 0,
            theirs: Delays::default(),
            quiet_since: now,
        }
    }

    /// Why it is over, if it is; what came before can still be read.
    pub(crate) const fn over(&self) -> Option<CloseReason> {
        match &self.phase {
            Phase::Over(reason, _) => Some(*reason),
            _ => None,
        }
    }

    /// Bytes that are taken now.
    pub(crate) fn room(&self, config: &Config) -> usize {
        match &self.phase {
            Phase::Open(stream) => config.send_ahead.saturating_sub(stream.outgoing.unsent()),
            _ => 0,
        }
    }

    /// Takes what there is room for.
    pub(crate) fn write(&mut self, config: &Config, bytes: &[u8]) -> usize {
        let count = bytes.len().min(self.room(config));
        if let Phase::Open(stream) = &mut self.phase {
            stream.outgoing.write(bytes.get(..count).unwrap_or_default());
        }
        count
    }

    /// What is in order; empty if nothing is. Then the reason if nothing will come any more.
    pub(crate) fn read(&mut self) -> Result<Bytes, CloseReason> {
        match &mut self.phase {
            Phase::Connecting(_) => Ok(Bytes::new()),
            Phase::Open(stream) => {
                let bytes = stream.incoming.read();
                if bytes.is_empty() && stream.incoming.is_finished() {
                    return Err(CloseReason::Ended);
                }
                Ok(bytes)
            }
            Phase::Over(reason, rest) if rest.is_empty() => Err(*reason),
            Phase::Over(_, rest) => Ok(std::mem::take(rest)),
        }
    }

    /// Nobody will read or write any more: what was written still arrives, if it can.
    pub(crate) fn close(&mut self, config: &Config, now: Time) {
        self.closing = Some(now + config.linger);
        match &mut self.phase {
            Phase::Open(stream) => {
                stream.incoming.discard();
                stream.outgoing.finish();
            }
            Phase::Connecting(_) => self.phase = Phase::Over(CloseReason::Ended, Bytes::new()),
            Phase::Over(..) => {}
        }
    }

    /// Nothing is left to be done, and nobody asks for it.
    pub(crate) fn is_gone(&self, now: Time) -> bool {
        let Some(until) = self.closing else { return false };
        match &self.phase {
            Phase::Over(..) => true,
            Phase::Connecting(_) => false,
            Phase::Open(stream) => {
                now >= until || stream.outgoing.is_finished() && stream.incoming.is_finished()
            }
        }
    }

    /// A packet that is marked with its number. `Err`: it cannot be right.
    pub(crate) fn handle(
        &mut self,
        config: &Config,
        now: Time,
        packet: &Packet<'_>,
        counters: &mut Counters,
    ) -> Result<Changes, ()> {
        let header = &packet.header;
        let mut changes = Changes::default();
        if header.kind == Kind::Reset {
            return Ok(self.end(CloseReason::Reset));
        }
        if let Phase::Connecting(connecting) = &self.phase {
            // Whoever answers knows our random number, so a forger does not.
            let answers = header.acknowledged == on_wire(connecting.number);
            if !answers || !matches!(header.kind, Kind::State | Kind::Data) {
                return Err(());
            }
            let stream = opened(config, connecting, self.remote, header, now);
            self.phase = Phase::Open(Box::new(stream));
            changes.opened = true;
        }
        let Phase::Open(stream) = &mut self.phase else { return Ok(changes) };
        let Stream { incoming, outgoing } = &mut **stream;

        let sent = outgoing.next_number();
        let upto = expand(sent, header.acknowledged).ok_or(())?;
        let window = header.window as usize;
        outgoing.acknowledged(now, upto, packet.sack, header.difference, window).map_err(|_| ())?;

        self.difference = (now.as_micros() as u32).wrapping_sub(header.timestamp);
        let before = self.theirs.base();
        self.theirs.add(now, self.difference);
        if let (Some(before), Some(after)) = (before, self.theirs.base()) {
            // Its packets come sooner than ever: its clock runs slower than ours, and ours seem to take longer to it.
            let drift = before.wrapping_sub(after);
            if (1..=MAX_DRIFT).contains(&drift) {
                outgoing.shift_delays(drift);
            }
        }
        if matches!(header.kind, Kind::Data | Kind::Fin) {
            let number = expand(incoming.upto() + 1, header.sequence).ok_or(())?;
            let is_last = header.kind == Kind::Fin;
            if incoming.take(now, number, packet.payload, is_last) == Taken::News {
                changes.readable = true;
                counters.bytes_received += packet.payload.len() as u64;
            }
        }
        Ok(changes)
    }

    fn end(&mut self, reason: CloseReason) -> Changes {
        let (reason, rest) = match &mut self.phase {
            Phase::Open(stream) if stream.incoming.is_finished() => {
                (CloseReason::Ended, stream.incoming.read())
            }
            Phase::Open(stream) => (reason, stream.incoming.read()),
            Phase::Connecting(_) => (reason, Bytes::new()),
            Phase::Over(..) => return Changes::default(),
        };
        self.phase = Phase::Over(reason, rest);
        Changes { readable: true, ..Changes::default() }
    }

    /// Writes the next datagram, if there is one to send now.
    pub(crate) fn transmit(&mut self, now: Time, counters: &mut Counters, into: &mut Vec<u8>) -> bool {
        let sent = match &mut self.phase {
            Phase::Connecting(connecting) => {
                let due = now >= connecting.again_at;
                if due {
                    connecting.sent_at = now;
                    connecting.again_at = now + FIRST_WAIT * (1 << connecting.sent.min(4));
                    connecting.sent += 1;
                    let header = Header {
                        kind: Kind::Syn,
                        connection: self.receive_id,
                        timestamp: now.as_micros() as u32,
                        difference: 0,
                        window: 0,
                        sequence: on_wire(connecting.number),
                        acknowledged: 0,
                    };
                    write_header(&header, &[], 0, into);
                }
                due
            }
            Phase::Open(stream) => {
                let marks = (self.send_id, self.difference);
                stream.transmit(now, marks, now >= self.quiet_since + KEEP_ALIVE, counters, into)
            }
            Phase::Over(..) => false,
        };
        if sent {
            counters.datagrams_sent += 1;
            self.quiet_since = now;
        }
        sent
    }

    /// When [`timeout`](Self::timeout) or [`transmit`](Self::transmit) has something to do if nothing comes.
    pub(crate) fn deadline(&self) -> Time {
        let deadline = match &self.phase {
            Phase::Connecting(connecting) => connecting.again_at.min(connecting.until),
            Phase::Open(stream) => stream
                .outgoing
                .deadline()
                .min(stream.incoming.acknowledge_at())
                .min(self.quiet_since + KEEP_ALIVE),
            Phase::Over(..) => Time::NEVER,
        };
        deadline.min(self.closing.unwrap_or(Time::NEVER))
    }

    /// The deadline has come.
    pub(crate) fn timeout(&mut self, now: Time, counters: &mut Counters) -> Changes {
        match &mut self.phase {
            Phase::Connecting(connecting) if now >= connecting.until => self.end(CloseReason::NoAnswer),
            Phase::Open(stream) => match stream.outgoing.timeout(now) {
                TimedOut::Gone => self.end(CloseReason::TimedOut),
                TimedOut::Again => {
                    counters.timeouts += 1;
                    Changes::default()
                }
                TimedOut::No => Changes::default(),
            },
            _ => Changes::default(),
        }
    }
}

/// The connection stands: the remote answered our first packet.
fn opened(
    config: &Config,
    connecting: &Connecting,
    remote: SocketAddr,
    header: &Header,
    now: Time,
) -> Stream {
    // The answer bears the number of the remote's first payload (libutp, libtorrent); payload that overtook it bears its own.
    let before_first = header.sequence.wrapping_sub(1);
    let incoming = Incoming::new(START + u64::from(before_first), config.receive_window);
    let mut outgoing = Outgoing::new(config, remote.ip(), connecting.number + 1, header.window as usize);
    if connecting.sent == 1 {
        outgoing.measured(now.since(connecting.sent_at));
    }
    Stream { incoming, outgoing }
}

impl Stream {
    fn transmit(
        &mut self,
        now: Time,
        (send_id, difference): (u16, u32),
        keep_alive: bool,
        counters: &mut Counters,
        into: &mut Vec<u8>,
    ) -> bool {
        let Self { incoming, outgoing } = self;
        let header = |kind, sequence, window, upto| Header {
            kind,
            connection: send_id,
            timestamp: now.as_micros() as u32,
            difference,
            window,
            sequence: on_wire(sequence),
            acknowledged: on_wire(upto),
        };
        if let Some(next) = outgoing.next(now) {
            let kind = if next.is_last { Kind::Fin } else { Kind::Data };
            let window = incoming.acknowledged(false);
            write_header(&header(kind, next.number, window, incoming.upto()), &[], next.filler, into);
            outgoing.copy(next.at, next.length, into);
            if next.again {
                counters.sent_again += 1;
            } else {
                counters.bytes_sent += next.length as u64;
            }
            return true;
        }
        let due = incoming.is_due(now) || keep_alive;
        if due {
            let sack = incoming.sack();
            let window = incoming.acknowledged(true);
            write_header(
                &header(Kind::State, outgoing.next_number(), window, incoming.upto()),
                &sack,
                0,
                into,
            );
        }
        due
    }
}
