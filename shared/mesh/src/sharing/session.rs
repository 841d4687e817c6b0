//! Connections and what comes over them: proofs, then messages, each judged before anything follows from it.
//!
//! What goes out on our own account is elsewhere.

use super::config::Counters;
use super::contact::Contact;
use super::guests::LIFETIME;
use super::handshake::{self, Side};
use super::message::{Hello, MAX_MESSAGE, Message, Resume, SwarmNews};
use super::node::{Connection, Output, Phase, Sharing, Timer};
use super::sister::ConnectionId;
use crate::VERSION;
use crate::identity::Key;
use anatomic_core::{InfoHash, PeerId, Time};
use anatomic_wire::tracker::websocket::Offer;
use std::time::Duration;

impl Sharing {
    /// Somebody connected to us.
    pub fn handle_accepted(&mut self, now: Time, connection: ConnectionId) {
        self.open(now, connection, Side::Listener, None, None);
    }

    /// The connection that [`Output::Dial`] asked for is there.
    pub fn handle_connected(&mut self, now: Time, connection: ConnectionId, sister: Key) {
        // She counts as being dialled until she has proven her key.
        let to = self.sisters.get(&sister).and_then(|sister| sister.url.clone());
        let hello =
            Hello { version: VERSION.into(), key: self.key, nonce: self.nonce(), url: self.url.clone(), to };
        self.open(now, connection, Side::Dialler, Some(sister), Some(hello.clone()));
        self.send(now, connection, &Message::Hello(hello));
        self.set_timer(sister);
    }

    /// The connection that [`Output::Dial`] asked for could not be opened.
    pub fn handle_dial_failed(&mut self, now: Time, sister: Key) {
        self.postpone(now, sister);
    }

    /// A connection was closed by the other side or broke.
    pub fn handle_closed(&mut self, now: Time, connection: ConnectionId) {
        self.agenda.set(Timer::Connection(connection), Time::NEVER);
        let Some(Connection { phase, .. }) = self.connections.remove(&connection) else { return };
        match phase {
            Phase::Active { sister } => self.disconnected(now, sister, connection),
            Phase::AwaitHello { expected: Some(sister), .. } => self.postpone(now, sister),
            Phase::AwaitProof { theirs, .. } => self.postpone(now, theirs.key),
            Phase::AwaitHello { .. } => {}
        }
    }

    /// A message came.
    pub fn handle_message(&mut self, now: Time, connection: ConnectionId, bytes: &[u8]) {
        let Some(Connection { side, phase }) = self.connections.get(&connection) else { return };
        let side = *side;
        self.counters.received += 1;
        self.counters.received_bytes += bytes.len() as u64;
        if bytes.len() > MAX_MESSAGE {
            return self.misbehaved(now, connection, "a message is too large");
        }
        if let Phase::Active { sister } = phase
            && let key = *sister
            && let Some(sister) = self.sisters.get_mut(&key)
        {
            // Fixed cost for the smallest of messages.
            #[expect(clippy::cast_precision_loss, reason = "at most 64 KiB")]
            let cost = bytes.len() as f64 + 64.0;
            if !sister.quotas.bytes.take(now, cost) {
                return self.misbehaved(now, connection, "it sends more than it may");
            }
        }
        let message = match Message::decode(bytes) {
            Ok(Some(message)) => message,
            // A later version's.
            Ok(None) => return,
            Err(_) => return self.misbehaved(now, connection, "a message is malformed"),
        };
        let Some(Connection { phase, .. }) = self.connections.get_mut(&connection) else { return };
        match (phase, message) {
            (Phase::AwaitHello { expected, said }, Message::Hello(hello)) => {
                let (expected, said) = (*expected, said.take());
                self.greeted(now, connection, side, hello, expected, said);
            }
            (Phase::AwaitProof { ours, theirs }, Message::Proof(signature)) => {
                let (ours, theirs) = (ours.clone(), theirs.clone());
                self.proven(now, connection, side, ours, theirs, &signature);
            }
            (Phase::Active { sister }, message) => {
                let key = *sister;
                self.message(now, connection, key, message);
                self.set_timer(key);
            }
            _ => self.misbehaved(now, connection, "a message came before the proof"),
        }
    }

    fn open(
        &mut self,
        now: Time,
        connection: ConnectionId,
        side: Side,
        expected: Option<Key>,
        said: Option<Hello>,
    ) {
        self.connections.insert(connection, Connection { side, phase: Phase::AwaitHello { expected, said } });
        self.agenda.set(Timer::Connection(connection), now + self.config.handshake);
        let unproven = self.connections.values().filter(|open| !matches!(open.phase, Phase::Active { .. }));
        if side == Side::Listener && unproven.count() > self.config.unproven {
            self.close(now, connection, "too many connections without a proof");
        }
    }

    fn greeted(
        &mut self,
        now: Time,
        connection: ConnectionId,
        side: Side,
        theirs: Hello,
        expected: Option<Key>,
        said: Option<Hello>,
    ) {
        if theirs.version != u64::from(VERSION) {
            return self.close(now, connection, "it speaks another version");
        }
        if theirs.key == self.key || expected.is_some_and(|expected| expected != theirs.key) {
            return self.close(now, connection, "another key answers than was expected");
        }
        if self.sisters.get(&theirs.key).is_some_and(|sister| now < sister.banned) {
            return self.close(now, connection, "it broke a rule not long ago");
        }
        let ours = match said {
            Some(ours) => {
                let proof = handshake::sign(&self.identity, side, &ours, &theirs);
                self.send(now, connection, &Message::Proof(proof));
                ours
            }
            None => {
                if theirs.to.as_deref() != Some(&self.url) {
                    return self.close(now, connection, "it dialled somebody else");
                }
                let ours = Hello {
                    version: VERSION.into(),
                    key: self.key,
                    nonce: self.nonce(),
                    url: self.url.clone(),
                    to: None,
                };
                self.send(now, connection, &Message::Hello(ours.clone()));
                ours
            }
        };
        if let Some(open) = self.connections.get_mut(&connection) {
            open.phase = Phase::AwaitProof { ours, theirs };
        }
    }

    fn proven(
        &mut self,
        now: Time,
        connection: ConnectionId,
        side: Side,
        ours: Hello,
        theirs: Hello,
        signature: &[u8; 64],
    ) {
        let (dialler, listener) = match side {
            Side::Dialler => (&ours, &theirs),
            Side::Listener => (&theirs, &ours),
        };
        let key = theirs.key;
        if !handshake::verify(key, side.other(), dialler, listener, signature) {
            self.counters.bad_proofs += 1;
            // Whoever that is, it is not that sister: she is not to suffer for it.
            self.close(now, connection, "its proof does not hold");
            return;
        }
        if side == Side::Listener {
            let proof = handshake::sign(&self.identity, side, dialler, listener);
            self.send(now, connection, &Message::Proof(proof));
        }
        if self.sister(now, key).is_none() {
            return self.close(now, connection, "there are as many sisters as may be");
        }
        let Some(sister) = self.sisters.get_mut(&key) else { return };
        if let Some(old) = sister.session {
            // One connection for a pair: the one that the smaller key opened; of two such the younger.
            let dialled_by_smaller = |side| (side == Side::Dialler) == (self.key < key);
            let old_side = self.connections.get(&old).map(|open| open.side);
            if old_side.is_some_and(dialled_by_smaller) && !dialled_by_smaller(side) {
                return self.close(now, connection, "there is one already");
            }
            sister.session = None;
            self.close(now, old, "there is a better one");
        }
        let Some(sister) = self.sisters.get_mut(&key) else { return };
        if sister.url.is_none() {
            sister.url = Some(theirs.url);
        }
        (sister.session, sister.heard, sister.resumed) = (Some(connection), Some(now), false);
        (sister.failures, sister.lost, sister.dialling, sister.flush) = (0, false, false, Time::NEVER);
        let resume = Resume { epoch: self.epoch, known: sister.epoch, seq: sister.received };
        self.counters.sessions += 1;
        if let Some(open) = self.connections.get_mut(&connection) {
            open.phase = Phase::Active { sister: key };
        }
        self.agenda.set(Timer::Connection(connection), Time::NEVER);
        self.send(now, connection, &Message::Resume(resume));
        self.set_timer(key);
        self.look_again(now, key);
    }

    fn message(&mut self, now: Time, connection: ConnectionId, key: Key, message: Message) {
        if let Some(sister) = self.sisters.get_mut(&key) {
            sister.heard = Some(now);
        }
        match message {
            Message::Hello(_) | Message::Proof(_) => {
                self.misbehaved(now, connection, "it proves itself again");
            }
            Message::Resume(resume) => self.resume(now, key, resume),
            Message::Hold(receipts) => self.held(now, connection, key, &receipts),
            Message::Drop(hashes) => {
                for info_hash in hashes {
                    self.dropped(key, info_hash);
                }
            }
            Message::News(swarms, seq) => {
                for news in swarms {
                    self.learned(now, key, news);
                }
                if let (Some(seq), Some(sister)) = (seq, self.sisters.get_mut(&key)) {
                    sister.received = sister.received.max(seq);
                }
            }
            Message::Offer { info_hash, from, offer } => self.offered(now, key, info_hash, from, offer),
            Message::Answer { info_hash, from, to, answer } => {
                if self.may_speak(key, &info_hash) {
                    self.outputs.push_back(Output::Answer { info_hash, sister: key, from, to, answer });
                }
            }
            Message::Bye(_) => {
                self.took_leave(key);
                self.close(now, connection, "the sister took her leave");
                // She comes back by herself if she comes back at all.
                let pause = self.about(self.config.redial_most / 4);
                if let Some(sister) = self.sisters.get_mut(&key) {
                    sister.dial = now + pause;
                }
            }
        }
    }

    fn resume(&mut self, now: Time, key: Key, resume: Resume) {
        let (torrents, epoch) = (&self.torrents, self.epoch);
        let Some(sister) = self.sisters.get_mut(&key) else { return };
        if sister.resumed {
            return;
        }
        sister.resumed = true;
        if resume.epoch != sister.epoch {
            // She forgot, and says it all again.
            (sister.epoch, sister.received) = (resume.epoch, 0);
        }
        let remembers = resume.known == epoch;
        if remembers {
            self.counters.resumed += 1;
        }
        sister.dirty.clear();
        let mut waits = false;
        for (info_hash, share) in &mut sister.shares {
            if !remembers {
                (share.said, share.told) = (false, 0);
            }
            share.told = share.told.min(resume.seq);
            share.waits = false;
            let Some(torrent) = torrents.get(info_hash) else { continue };
            if torrent.changed > share.told || torrent.waits {
                sister.dirty.insert(*info_hash);
                waits |= torrent.waits;
            }
        }
        // After a split many connections come back at once: their news are spread over a batch.
        let spread = if waits { self.config.hurry * 5 } else { self.config.batch };
        let pause = spread.mul_f64(self.rng.f64());
        sister.hasten(now, pause);
        self.show(now, key);
    }

    fn learned(&mut self, now: Time, key: Key, news: SwarmNews) {
        let info_hash = news.info_hash;
        if !self.may_speak(key, &info_hash) {
            return;
        }
        let Some(sister) = self.sisters.get_mut(&key) else { return };
        let Some(share) = sister.shares.get_mut(&info_hash) else { return };
        let began_to_wait = news.waits && !share.waits;
        share.waits = news.waits;
        let mut gained = Vec::new();
        for peer in news.gained.gained() {
            let refused = match peer.contact {
                Contact::Address(address) => !self.config.network.allows(address),
                Contact::Browser(_) => false,
            };
            let Counters { refused_addresses, stale, over_quota, .. } = &mut self.counters;
            if refused {
                *refused_addresses += 1;
            } else if u64::from(peer.age) > LIFETIME.as_secs() {
                *stale += 1;
            } else if !sister.quotas.peers.take(now, 1.0) {
                *over_quota += 1;
            } else {
                gained.push(peer);
            }
        }
        self.counters.gained += gained.len() as u64;
        let lost: Vec<Contact> = news.lost.lost().collect();
        let counts = news.counts;
        if began_to_wait && sister.dirty.contains(&info_hash) {
            sister.hasten(now, self.config.hurry);
        }
        let Some(torrent) = self.torrents.get_mut(&info_hash) else { return };
        if let Some(counts) = counts {
            torrent.theirs.insert(key, counts);
            if torrent.judge() {
                let (holders, waits) = (torrent.holders.clone(), torrent.waits);
                holders.into_iter().for_each(|holder| self.soil(now, holder, info_hash, waits));
            }
        }
        if !gained.is_empty() || !lost.is_empty() || counts.is_some() {
            self.outputs.push_back(Output::Learned { info_hash, sister: key, gained, lost, counts });
        }
    }

    fn offered(&mut self, now: Time, key: Key, info_hash: InfoHash, from: PeerId, offer: Offer) {
        if !self.may_speak(key, &info_hash) {
            return;
        }
        let Some(sister) = self.sisters.get_mut(&key) else { return };
        if sister.quotas.offers_in.take(now, 1.0) {
            self.outputs.push_back(Output::Offer { info_hash, sister: key, from, offer });
        } else {
            self.counters.offers_dropped += 1;
        }
    }

    /// Whether a sister has shown a receipt for a torrent that we hold too.
    fn may_speak(&mut self, key: Key, info_hash: &InfoHash) -> bool {
        let shown = self
            .sisters
            .get(&key)
            .and_then(|sister| sister.shares.get(info_hash))
            .is_some_and(|share| share.receipt.is_some());
        let may = shown && self.torrents.contains_key(info_hash);
        if !may {
            self.counters.without_receipt += 1;
        }
        may
    }

    /// Closes a connection from our side.
    pub(super) fn close(&mut self, now: Time, connection: ConnectionId, reason: &'static str) {
        if self.connections.contains_key(&connection) {
            self.outputs.push_back(Output::Close { connection, reason });
            self.handle_closed(now, connection);
        }
    }

    fn misbehaved(&mut self, now: Time, connection: ConnectionId, reason: &'static str) {
        self.counters.malformed += 1;
        let phase = self.connections.get(&connection).map(|open| &open.phase);
        if let Some(Phase::Active { sister }) = phase
            && let Some(sister) = self.sisters.get_mut(sister)
        {
            sister.banned = now + self.config.ban * (1 << sister.bans.min(6));
            sister.bans = sister.bans.saturating_add(1);
        }
        self.close(now, connection, reason);
    }

    fn disconnected(&mut self, now: Time, key: Key, connection: ConnectionId) {
        let smaller = self.key < key;
        let (redial, ring) = (self.about(self.config.redial), self.about(self.config.ring));
        let Some(sister) = self.sisters.get_mut(&key) else { return };
        if sister.session == Some(connection) {
            sister.session = None;
            let pause = if smaller { redial } else { ring };
            sister.dial = (now + pause).max(sister.banned);
        }
        self.set_timer(key);
    }

    /// Dials later, the more often it failed.
    pub(super) fn postpone(&mut self, now: Time, key: Key) {
        let Some(sister) = self.sisters.get_mut(&key) else { return };
        sister.dialling = false;
        sister.failures = sister.failures.saturating_add(1);
        // One that never answered may be an address that somebody else is to be bothered at.
        let long_gone = sister.heard.unwrap_or(sister.since) + Duration::from_secs(3_600) < now;
        let most = self.config.redial_most * if long_gone { 10 } else { 1 };
        let pause = (self.config.redial * (1 << sister.failures.min(12))).min(most);
        let pause = self.about(pause);
        if let Some(sister) = self.sisters.get_mut(&key) {
            sister.dial = (now + pause).max(sister.banned);
        }
        self.set_timer(key);
    }

    fn nonce(&mut self) -> [u8; 32] {
        let mut nonce = [0; 32];
        self.rng.fill(&mut nonce);
        nonce
    }
}
