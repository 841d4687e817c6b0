//! What happens in the world: bytes leave and arrive, calls are answered, jobs are done.
//!
//! A host sends through one uplink; each connection has a delay and keeps its order.

use super::{Draining, Happening, Socket, World};
use crate::host::{Fault, HostId};
use anatomic_core::Time;
use anatomic_engine::{Direction, Done, Job, Link, MIN_ROOM, Output, TorrentKey, Transport};
use sha1::{Digest, Sha1};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

#[expect(clippy::indexing_slicing, reason = "a HostId or socket number is only made for what exists")]
impl World {
    pub(super) fn happen(&mut self, event: Happening) {
        self.steps += 1;
        let now = self.now;
        match event {
            Happening::Wake(host) => {
                if self.hosts[host.0].wake <= now {
                    self.hosts[host.0].wake = Time::NEVER;
                    self.hosts[host.0].engine.handle_timeout(now);
                    self.drain(host);
                }
            }
            Happening::Arrive { socket, bytes } => {
                let Socket { host, peer, open, .. } = self.sockets[socket];
                if open {
                    self.hosts[host.0].engine.handle_received(now, peer, bytes);
                    self.drain(host);
                }
            }
            Happening::Left { socket, bytes } => {
                self.sockets[socket].queued -= bytes;
                self.pump(socket);
            }
            Happening::Closed { socket } => {
                if self.shut(socket) {
                    let Socket { host, peer, .. } = self.sockets[socket];
                    self.hosts[host.0].engine.handle_closed(now, peer);
                    self.drain(host);
                }
            }
            Happening::DialArrives { from, dial, torrent, address } => {
                let to = self.hosts.iter().position(|host| host.address == address && host.up);
                let back = now + self.hosts[from.0].config.latency;
                match to {
                    Some(to) => self.push(back, Happening::Dialled { from, dial, torrent, to: HostId(to) }),
                    None => self.push(back, Happening::DialFailed { host: from, dial }),
                }
            }
            Happening::Dialled { from, dial, torrent, to } => {
                if !self.hosts[to.0].up || !self.hosts[from.0].up {
                    self.hosts[from.0].engine.handle_dial_failed(now, dial);
                    self.drain(from);
                    return;
                }
                let tcp = |direction, torrent, address| Link {
                    transport: Transport::Tcp,
                    direction,
                    torrent,
                    address: Some(address),
                    encrypted: false,
                };
                let (here, there) = (self.hosts[from.0].address, self.hosts[to.0].address);
                // The one who is called sees a port of the moment.
                let seen = SocketAddr::new(here.ip(), self.rng.u16(20_000..60_000));
                self.connect(
                    (from, tcp(Direction::Dialled(dial), Some(torrent), there)),
                    (to, tcp(Direction::Accepted, None, seen)),
                );
            }
            Happening::Described { host, introduction, sdp } => {
                self.hosts[host.0].engine.handle_described(now, introduction, sdp);
                self.drain(host);
            }
            Happening::DialFailed { host, dial } => {
                self.hosts[host.0].engine.handle_dial_failed(now, dial);
                self.drain(host);
            }
            Happening::Done { host, job, done } => {
                self.hosts[host.0].engine.handle_done(now, job, done);
                self.drain(host);
            }
            Happening::Announced { host, announce, request } => {
                let reply = self.tracker.announce(self.hosts[host.0].address, &request);
                self.hosts[host.0].engine.handle_announced(now, announce, Ok(reply));
                self.drain(host);
            }
        }
    }

    pub(super) fn connect(&mut self, a: (HostId, Link), b: (HostId, Link)) {
        let (first, second) = (self.sockets.len(), self.sockets.len() + 1);
        for ((host, link), other) in [(a, second), (b, first)] {
            let number = self.sockets.len();
            let peer = self.hosts[host.0].engine.handle_connected(self.now, link);
            let last_arrival = self.now;
            self.sockets.push(Socket { host, peer, other, open: true, queued: 0, last_arrival });
            self.hosts[host.0].sockets.insert(peer, number);
        }
        self.drain(a.0);
        self.drain(b.0);
    }

    /// Closes one end; false if it was closed.
    pub(super) fn shut(&mut self, socket: usize) -> bool {
        let end = &mut self.sockets[socket];
        let (host, peer) = (end.host, end.peer);
        self.hosts[host.0].sockets.remove(&peer);
        std::mem::replace(&mut end.open, false)
    }

    /// Carries out what the engine of a host wants, now or at the end of the moment.
    pub(super) fn drain(&mut self, host: HostId) {
        match self.draining {
            Draining::EachInput => self.carry_out(host),
            Draining::EachMoment => {
                self.hosts[host.0].dirty = true;
                // Commands come from outside of events: somebody must look after them.
                self.push(self.now, Happening::Wake(host));
            }
        }
    }

    pub(super) fn carry_out(&mut self, host: HostId) {
        let mut outputs = VecDeque::new();
        loop {
            while let Some(output) = self.hosts[host.0].engine.poll_output() {
                outputs.push_back(output);
            }
            let Some(output) = outputs.pop_front() else { break };
            self.carry_out_one(host, output);
        }
        let wake = self.hosts[host.0].engine.poll_timeout();
        if wake < self.hosts[host.0].wake {
            self.hosts[host.0].wake = wake;
            self.push(wake.max(self.now), Happening::Wake(host));
        }
    }

    pub(super) fn carry_out_one(&mut self, host: HostId, output: Output) {
        let now = self.now;
        let config = &self.hosts[host.0].config;
        let latency = config.latency;
        match output {
            Output::Dial { dial, torrent, address, .. } => {
                self.push(now + latency, Happening::DialArrives { from: host, dial, torrent, address });
            }
            Output::Transmit { peer } => {
                if let Some(socket) = self.hosts[host.0].sockets.get(&peer).copied() {
                    self.pump(socket);
                }
            }
            Output::Read { .. } => {}
            Output::Close { peer, reason } => {
                self.hosts[host.0].closed.push(reason);
                if let Some(socket) = self.hosts[host.0].sockets.get(&peer).copied() {
                    self.shut(socket);
                    // What was sent before still arrives.
                    let at = self.sockets[socket].last_arrival.max(now + latency);
                    let other = self.sockets[socket].other;
                    self.push(at, Happening::Closed { socket: other });
                }
            }
            Output::Announce { announce, request } => {
                self.push(now + latency * 2, Happening::Announced { host, announce, request });
            }
            Output::Job { job, torrent, work } => {
                let at = now + config.job_time;
                let done = self.work(host, torrent, work);
                self.push(at, Happening::Done { host, job, done });
            }
            Output::Introduce { introduction, torrent, step } => {
                self.describe(host, introduction, torrent, step);
            }
            Output::Event { event, .. } => self.hosts[host.0].events.push((now, event)),
            _ => {}
        }
    }

    pub(super) fn work(&mut self, host: HostId, torrent: TorrentKey, work: Job) -> Done {
        let host = &mut self.hosts[host.0];
        let fault = host.config.fault;
        let store = host.stores.entry(torrent).or_default();
        match work {
            Job::Hash { blocks } => {
                let mut sha = Sha1::new();
                blocks.iter().for_each(|block| sha.update(block));
                Done::Digest(sha.finalize().into())
            }
            Job::Write { piece, blocks } => {
                store.write(piece, &blocks).map_or_else(Done::Failed, |()| Done::Written)
            }
            Job::Read { block } => match store.read(block) {
                Ok(data) => {
                    host.served += 1;
                    match fault {
                        Fault::Liar(every) if host.served.is_multiple_of(every) => {
                            let mut wrong = data.to_vec();
                            wrong.iter_mut().for_each(|byte| *byte = !*byte);
                            Done::Read(wrong.into())
                        }
                        _ => Done::Read(data),
                    }
                }
                Err(why) => Done::Failed(why),
            },
            Job::Check { piece } => Done::Checked(store.check(piece)),
        }
    }

    /// Takes from the engine what the socket has room for.
    pub(super) fn pump(&mut self, socket: usize) {
        let Socket { host, peer, other, open, .. } = self.sockets[socket];
        if !open {
            return;
        }
        let there = self.sockets[other].host;
        let latency = self.hosts[host.0].config.latency + self.hosts[there.0].config.latency;
        let (up, buffer, fault) = {
            let config = &self.hosts[host.0].config;
            (config.up, config.send_buffer, config.fault)
        };
        loop {
            let room = buffer.saturating_sub(self.sockets[socket].queued);
            if room < MIN_ROOM {
                return;
            }
            let mut bytes = Vec::new();
            // Small bites, so that connections take turns.
            let count =
                self.hosts[host.0].engine.poll_transmit(self.now, peer, room.min(32 * 1024), &mut bytes);
            if count == 0 {
                break;
            }
            if fault == Fault::Mute && count > 1_000 {
                continue;
            }
            let start = self.hosts[host.0].busy_until.max(self.now);
            let takes = up
                .map_or(Duration::ZERO, |up| Duration::from_nanos(count as u64 * 1_000_000_000 / up.max(1)));
            let left = start + takes;
            self.hosts[host.0].busy_until = left;
            self.hosts[host.0].sent += count as u64;
            self.hosts[host.0].writes += 1;
            let arrival = (left + latency).max(self.sockets[socket].last_arrival);
            self.sockets[socket].last_arrival = arrival;
            self.sockets[socket].queued += count;
            self.push(left, Happening::Left { socket, bytes: count });
            self.push(arrival, Happening::Arrive { socket: other, bytes: bytes.into() });
        }
        // poll_transmit may have made work for the driver: reads.
        if self.draining == Draining::EachMoment {
            self.hosts[host.0].dirty = true;
        } else if self.hosts[host.0].engine.poll_timeout() < self.hosts[host.0].wake {
            let wake = self.hosts[host.0].engine.poll_timeout();
            self.hosts[host.0].wake = wake;
            self.push(wake.max(self.now), Happening::Wake(host));
        }
        self.collect(host);
    }

    /// Outputs that `poll_transmit` made are carried out too, but not by calling itself without end.
    pub(super) fn collect(&mut self, host: HostId) {
        if self.draining == Draining::EachInput {
            while let Some(output) = self.hosts[host.0].engine.poll_output() {
                self.carry_out_one(host, output);
            }
        }
    }
}
