//! All connections of one UDP socket: leads packets to them, lets them take turns in sending, wakes them in time.
//!
//! Knows no window and no sequence; see `connection`.

use crate::Config;
use crate::connection::{Changes, CloseReason, Connection, Counters};
use crate::lobby::Lobby;
use crate::packet::{Header, Kind, Packet, write_header};
use anatomic_core::Time;
use bytes::Bytes;
use fastrand::Rng;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

/// Datagrams of one connection before others have their turn: what leaves in one call to the kernel.
const TURN: usize = 32;
/// Answers to strangers that wait to be sent; more are left out.
const MAX_ANSWERS: usize = 256;

/// Names a connection; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(u64);

/// Something that happened to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// One that we began is open.
    Connected(Key),
    /// A stranger began one, and its address is its own.
    Accepted(Key, SocketAddr),
    /// There is something to read, or it is over: [`Endpoint::read`] tells.
    Readable(Key),
    /// There is room after [`Endpoint::wait_for_room`], or it is over.
    Writable(Key),
}

/// What reading gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read {
    /// The next bytes.
    Bytes(Bytes),
    /// Nothing now.
    Nothing,
    /// Nothing any more.
    Over(CloseReason),
}

/// All connections of one UDP socket. See the crate's documentation for the order of calls.
#[derive(Debug)]
pub struct Endpoint {
    config: Config,
    rng: Rng,
    connections: BTreeMap<Key, Connection>,
    by_name: BTreeMap<(SocketAddr, u16), Key>,
    lobby: Lobby,
    accepted: usize,
    /// Those that may have something to send.
    ready: VecDeque<Key>,
    /// How much the first of them has sent in its turn.
    turn: usize,
    alarms: BTreeSet<(Time, Key)>,
    answers: VecDeque<(SocketAddr, Header)>,
    events: VecDeque<Event>,
    resets: Resets,
    counters: Counters,
    next_key: u64,
}

/// How many resets may still be sent in this second.
#[derive(Clone, Copy, Debug, Default)]
struct Resets {
    until: Time,
    sent: u32,
}

impl Endpoint {
    /// One without connections. `seed` decides the numbers that a forger must not guess.
    #[must_use]
    pub fn new(config: Config, seed: u64) -> Self {
        Self {
            config,
            rng: Rng::with_seed(seed),
            connections: BTreeMap::new(),
            by_name: BTreeMap::new(),
            lobby: Lobby::default(),
            accepted: 0,
            ready: VecDeque::new(),
            turn: 0,
            alarms: BTreeSet::new(),
            answers: VecDeque::new(),
            events: VecDeque::new(),
            resets: Resets::default(),
            counters: Counters::default(),
            next_key: 0,
        }
    }

    // ---- commands

    /// Begins a connection; [`Event::Connected`] tells when it is open, [`Event::Readable`] when it is over. `None` if there
    /// are as many as there may be.
    pub fn connect(&mut self, now: Time, remote: SocketAddr) -> Option<Key> {
        if self.connections.len() >= self.config.max_connections {
            return None;
        }
        // Two names may not lead to two connections; 65,536 of one remote would have to be open for this to last.
        let id = loop {
            let id = self.rng.u16(..);
            if !self.by_name.contains_key(&(remote, id)) && !self.lobby.knows(remote, id) {
                break id;
            }
        };
        let number = self.rng.u16(..);
        Some(self.insert(Connection::dial(&self.config, now, remote, id, number)))
    }

    /// Bytes that [`write`](Self::write) would take now.
    #[must_use]
    pub fn room(&self, key: Key) -> usize {
        self.connections.get(&key).map_or(0, |connection| connection.room(&self.config))
    }

    /// Takes what there is room for, and says how much that was.
    pub fn write(&mut self, key: Key, bytes: &[u8]) -> usize {
        let Some(connection) = self.connections.get_mut(&key) else { return 0 };
        let count = connection.write(&self.config, bytes);
        self.attend(key);
        count
    }

    /// Has [`Event::Writable`] told as soon as half of what is taken ahead has left.
    pub fn wait_for_room(&mut self, key: Key) {
        if let Some(connection) = self.connections.get_mut(&key) {
            connection.wants_room = true;
        }
        self.attend(key);
    }

    /// The next bytes.
    pub fn read(&mut self, key: Key) -> Read {
        let Some(connection) = self.connections.get_mut(&key) else { return Read::Over(CloseReason::Ended) };
        match connection.read() {
            Ok(bytes) if bytes.is_empty() => Read::Nothing,
            Ok(bytes) => {
                self.attend(key);
                Read::Bytes(bytes)
            }
            Err(reason) => Read::Over(reason),
        }
    }

    /// Gives a connection up. What was written is still sent, for [`Config::linger`] at most; the key is dead.
    pub fn close(&mut self, now: Time, key: Key) {
        if let Some(connection) = self.connections.get_mut(&key) {
            connection.close(&self.config, now);
            self.attend(key);
        }
    }

    // ---- inputs

    /// A datagram came. What is no uTP, or is nobody's, costs nothing but a reset, and those are counted.
    pub fn handle_datagram(&mut self, now: Time, from: SocketAddr, datagram: &[u8]) {
        let Some(packet) = Packet::parse(datagram) else {
            self.counters.strays += 1;
            return;
        };
        let header = &packet.header;
        if header.kind == Kind::Syn {
            self.knock(now, from, header);
            return;
        }
        let Some(key) = self.find(now, from, header) else {
            self.stray(now, from, header);
            return;
        };
        let Some(connection) = self.connections.get_mut(&key) else { return };
        match connection.handle(&self.config, now, &packet, &mut self.counters) {
            Ok(changes) => {
                self.counters.packets_received += 1;
                self.tell(key, changes);
            }
            Err(()) => self.counters.strays += 1,
        }
        self.attend(key);
    }

    /// The time of [`poll_timeout`](Self::poll_timeout) has come.
    pub fn handle_timeout(&mut self, now: Time) {
        while let Some((at, key)) = self.alarms.first().copied()
            && at <= now
        {
            self.alarms.pop_first();
            let Some(connection) = self.connections.get_mut(&key) else { continue };
            connection.alarm = Time::NEVER;
            let changes = connection.timeout(now, &mut self.counters);
            self.tell(key, changes);
            self.attend(key);
        }
    }

    // ---- outputs

    /// What happened; call until `None` after each input.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Appends the next datagram to `into` and says where it goes; call until `None`, or until the socket is full.
    pub fn poll_transmit(&mut self, now: Time, into: &mut Vec<u8>) -> Option<SocketAddr> {
        if let Some((to, header)) = self.answers.pop_front() {
            write_header(&header, &[], 0, into);
            self.counters.datagrams_sent += 1;
            return Some(to);
        }
        while let Some(key) = self.ready.front().copied() {
            let Some(connection) = self.connections.get_mut(&key) else {
                self.next_turn();
                continue;
            };
            if connection.transmit(now, &mut self.counters, into) {
                let to = connection.remote;
                self.turn += 1;
                if self.turn >= TURN {
                    self.next_turn();
                    self.ready.push_back(key);
                }
                return Some(to);
            }
            connection.queued = false;
            self.next_turn();
            self.settle(now, key);
        }
        None
    }

    fn next_turn(&mut self) {
        self.ready.pop_front();
        self.turn = 0;
    }

    /// When to call [`handle_timeout`](Self::handle_timeout); [`Time::NEVER`] if nothing waits.
    #[must_use]
    pub fn poll_timeout(&self) -> Time {
        self.alarms.first().map_or(Time::NEVER, |(at, _)| *at)
    }

    // ---- views

    /// Whether a connection is over, although there may be something to read.
    #[must_use]
    pub fn is_over(&self, key: Key) -> bool {
        self.connections.get(&key).is_none_or(|connection| connection.over().is_some())
    }

    /// Connections, opening and lingering ones among them.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.len()
    }

    /// What happened so far.
    #[must_use]
    pub const fn counters(&self) -> Counters {
        self.counters
    }

    // ---- inside

    fn insert(&mut self, connection: Connection) -> Key {
        let key = Key(self.next_key);
        self.next_key += 1;
        self.by_name.insert((connection.remote, connection.receive_id), key);
        self.accepted += usize::from(connection.accepted);
        self.connections.insert(key, connection);
        self.attend(key);
        key
    }

    /// A stranger asks for a connection.
    fn knock(&mut self, now: Time, from: SocketAddr, syn: &Header) {
        self.counters.packets_received += 1;
        let id = syn.connection.wrapping_add(1);
        let full = self.accepted >= self.config.max_accepted
            || self.connections.len() >= self.config.max_connections;
        if full || self.by_name.contains_key(&(from, id)) {
            return;
        }
        let ours = self.rng.u16(..);
        let stranger = self.lobby.enter(from, syn, ours, self.config.max_lobby);
        let timestamp = now.as_micros() as u32;
        self.answer(
            from,
            Header {
                kind: Kind::State,
                connection: syn.connection,
                timestamp,
                difference: timestamp.wrapping_sub(syn.timestamp),
                window: u32::try_from(self.config.receive_window).unwrap_or(u32::MAX),
                sequence: stranger.ours,
                acknowledged: stranger.theirs,
            },
        );
    }

    /// Whose packet this is. A stranger that acknowledges our answer becomes a connection.
    fn find(&mut self, now: Time, from: SocketAddr, header: &Header) -> Option<Key> {
        if let Some(key) = self.by_name.get(&(from, header.connection)) {
            return Some(*key);
        }
        if header.kind == Kind::Reset {
            // Marked with the number that our packets bear (libutp).
            let ours = [header.connection.wrapping_sub(1), header.connection.wrapping_add(1)];
            return ours.into_iter().find_map(|id| {
                let key = self.by_name.get(&(from, id))?;
                let connection = self.connections.get(key)?;
                (connection.send_id == header.connection).then_some(*key)
            });
        }
        if self.accepted >= self.config.max_accepted {
            return None;
        }
        let (stranger, first) = self.lobby.leave(from, header)?;
        let (id, theirs) = (header.connection, stranger.theirs);
        let key = self.insert(Connection::accept(&self.config, now, from, id, theirs, first));
        self.events.push_back(Event::Accepted(key, from));
        Some(key)
    }

    /// A packet of nobody: who sent it should forget the connection.
    fn stray(&mut self, now: Time, from: SocketAddr, header: &Header) {
        self.counters.strays += 1;
        if header.kind == Kind::Reset {
            return;
        }
        if now >= self.resets.until {
            self.resets = Resets { until: now + Duration::from_secs(1), sent: 0 };
        }
        if self.resets.sent >= self.config.resets_per_second {
            return;
        }
        self.resets.sent += 1;
        self.counters.resets_sent += 1;
        self.answer(
            from,
            Header {
                kind: Kind::Reset,
                connection: header.connection,
                timestamp: now.as_micros() as u32,
                difference: 0,
                window: 0,
                sequence: 0,
                acknowledged: header.sequence,
            },
        );
    }

    fn answer(&mut self, to: SocketAddr, header: Header) {
        if self.answers.len() < MAX_ANSWERS {
            self.answers.push_back((to, header));
        }
    }

    fn tell(&mut self, key: Key, changes: Changes) {
        if changes.opened {
            self.events.push_back(Event::Connected(key));
        }
        if changes.readable && self.events.back() != Some(&Event::Readable(key)) {
            self.events.push_back(Event::Readable(key));
        }
    }

    /// Something changed: gives it a turn in sending, which ends with [`settle`](Self::settle).
    fn attend(&mut self, key: Key) {
        let Some(connection) = self.connections.get_mut(&key) else { return };
        if !connection.queued {
            connection.queued = true;
            self.ready.push_back(key);
        }
    }

    /// It has nothing more to send now: tells of room, and sets its alarm.
    fn settle(&mut self, now: Time, key: Key) {
        let Some(connection) = self.connections.get_mut(&key) else { return };
        let has_room = connection.room(&self.config) >= self.config.send_ahead / 2;
        if connection.wants_room && (has_room || connection.over().is_some()) {
            connection.wants_room = false;
            self.events.push_back(Event::Writable(key));
        }
        if connection.is_gone(now) {
            self.forget(key);
            return;
        }
        let deadline = connection.deadline();
        if deadline != connection.alarm {
            self.alarms.remove(&(connection.alarm, key));
            connection.alarm = deadline;
            if deadline != Time::NEVER {
                self.alarms.insert((deadline, key));
            }
        }
    }

    fn forget(&mut self, key: Key) {
        if let Some(connection) = self.connections.remove(&key) {
            self.by_name.remove(&(connection.remote, connection.receive_id));
            self.alarms.remove(&(connection.alarm, key));
            self.accepted -= usize::from(connection.accepted);
        }
    }
}
