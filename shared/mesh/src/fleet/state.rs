//! The state machine of one process: who else lives, what was missed, who speaks for the fleet.
//!
//! Holds no peer and no torrent: what mates say of theirs is handed on, and what we have is asked of the driver.

use super::message::{Digest, Message, Planted, ProcessId, Said, Visit};
use super::spent::Account;
use crate::identity::Key;
use crate::sharing::message::SwarmNews;
use anatomic_core::{InfoHash, PeerId, Time};
use anatomic_wire::tracker::websocket::Offer;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// Times and ceilings.
#[derive(Clone, Debug)]
pub struct Config {
    /// How often a process says that it lives.
    pub beat: Duration,
    /// A process that is silent for this long is gone.
    pub gone: Duration,
    /// After the bus is there, a process listens this long before it thinks that it is the oldest.
    pub settle: Duration,
    /// The same process is asked again after this long if it did not recite to the end.
    pub ask: Duration,
    /// Nobody is made to recite more often than this.
    pub recite: Duration,
    /// Most other processes.
    pub mates: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            beat: Duration::from_secs(1),
            gone: Duration::from_secs(6),
            settle: Duration::from_secs(3),
            ask: Duration::from_secs(5),
            recite: Duration::from_secs(2),
            mates: 64,
        }
    }
}

/// What happened since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Messages sent.
    pub sent: u64,
    /// Bytes sent.
    pub sent_bytes: u64,
    /// Messages received.
    pub received: u64,
    /// Bytes received.
    pub received_bytes: u64,
    /// Messages that could not be read.
    pub malformed: u64,
    /// Times that something was missing and asked for.
    pub asked: u64,
    /// Times that everything was recited.
    pub recited: u64,
    /// Mates that were gone.
    pub gone: u64,
}

/// What the driver is to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Output {
    /// Put this on the bus.
    Send {
        /// For one process; `None`: for all.
        to: Option<ProcessId>,
        /// The message.
        bytes: Vec<u8>,
    },
    /// A mate's peers came or went. Browsers that are named carry the number of the `recital` they belong to.
    Learned {
        /// Whose.
        mate: ProcessId,
        /// Grows whenever she begins to recite.
        recital: u64,
        /// The news.
        swarms: Vec<SwarmNews>,
        /// What sisters say, if she speaks to them. With another `recital`, or from another mate, than the last: all.
        visits: Option<Vec<Visit>>,
    },
    /// A mate has recited everything: her browsers of an earlier recital are gone.
    Settled {
        /// Whose.
        mate: ProcessId,
        /// Those of this recital stay.
        recital: u64,
    },
    /// A mate is gone: nobody is reached through her any more.
    Gone(ProcessId),
    /// Call [`Fleet::recite`] with everything that there is, in parts.
    Recite,
    /// A mate has these torrents planted; those with another digest than ours are to be wanted of her.
    Digests(ProcessId, Vec<(InfoHash, Digest)>),
    /// A mate wants to hear of these planted torrents.
    Wanted(ProcessId, Vec<InfoHash>),
    /// A mate tells of a planted torrent.
    Planted(ProcessId, InfoHash, Box<Planted>),
    /// A mate's browser offers to one of ours.
    Offer {
        /// Whose.
        mate: ProcessId,
        /// Which swarm.
        info_hash: InfoHash,
        /// Her browser.
        from: PeerId,
        /// Ours.
        to: PeerId,
        /// The offer.
        offer: Offer,
    },
    /// A mate's browser answers one of ours.
    Answer {
        /// Whose.
        mate: ProcessId,
        /// Which swarm.
        info_hash: InfoHash,
        /// Her browser.
        from: PeerId,
        /// Ours.
        to: PeerId,
        /// The answer.
        answer: Offer,
    },
    /// A mate's browser offers to any browser of a sister, to whom we speak.
    Abroad {
        /// Whose.
        mate: ProcessId,
        /// Which swarm.
        info_hash: InfoHash,
        /// Her browser.
        from: PeerId,
        /// The sister.
        sister: Key,
        /// The offer.
        offer: Offer,
    },
    /// What processes of the fleet have sent, as a mate knows it.
    Spent(Vec<Account>),
    /// Receipts of the sisters to whom the mate who speaks is connected. Not yet verified.
    Sisters(Vec<Vec<u8>>),
    /// From now on we speak for the fleet, or do not.
    Speaks(bool),
}

/// Another process.
#[derive(Debug)]
struct Mate {
    started: Option<u64>,
    heard: Time,
    asked: Option<Time>,
    /// The number of her last news; `None` until she recites.
    seq: Option<u64>,
    /// The number of her recital that is under way, and its next part.
    reciting: Option<(u64, u64)>,
    /// Our count of her recitals.
    recital: u64,
}

/// One process of a fleet.
pub struct Fleet {
    config: Config,
    id: ProcessId,
    started: u64,
    connected: Option<Time>,
    seq: u64,
    beat: Time,
    mates: BTreeMap<ProcessId, Mate>,
    speaks: bool,
    /// Somebody asked; and when we recited last.
    asked: bool,
    recited: Option<Time>,
    recital: u64,
    part: u64,
    reciting: bool,
    outputs: VecDeque<Output>,
    counters: Counters,
}

impl Fleet {
    /// A process that is not yet on the bus. `started` in milliseconds since 1970.
    #[must_use]
    pub fn new(config: Config, id: ProcessId, started: u64) -> Self {
        Self {
            config,
            id,
            started,
            connected: None,
            seq: 0,
            beat: Time::ZERO,
            mates: BTreeMap::new(),
            speaks: false,
            asked: false,
            recited: None,
            recital: 0,
            part: 0,
            reciting: false,
            outputs: VecDeque::new(),
            counters: Counters::default(),
        }
    }

    /// What happened since the start.
    #[must_use]
    pub const fn counters(&self) -> Counters {
        self.counters
    }

    /// How many other processes live.
    #[must_use]
    pub fn mates(&self) -> usize {
        self.mates.len()
    }

    /// Whether we speak for the fleet.
    #[must_use]
    pub const fn speaks(&self) -> bool {
        self.speaks
    }

    /// The bus is there. What was said on its edge may be lost on either side, so all ask all.
    pub fn handle_connected(&mut self, now: Time) {
        self.connected = Some(now);
        self.beat = now;
        self.seq += 1;
        // They were silent because we could not hear them.
        self.mates.values_mut().for_each(|mate| mate.heard = now);
        self.handle_missed(now);
        self.handle_timeout(now);
    }

    /// The bus dropped something that was for us, and nobody knows what.
    pub fn handle_missed(&mut self, now: Time) {
        self.mates.values_mut().for_each(|mate| mate.seq = None);
        let mates: Vec<ProcessId> = self.mates.keys().copied().collect();
        mates.into_iter().for_each(|mate| self.ask(now, mate));
    }

    /// The bus is away. Who speaks stays who it was; mates are gone if it lasts.
    pub const fn handle_disconnected(&mut self) {
        self.connected = None;
    }

    /// Something came over the bus. What is no message of ours is counted, and harms nothing.
    pub fn handle_message(&mut self, now: Time, bytes: &[u8]) {
        self.counters.received += 1;
        self.counters.received_bytes += bytes.len() as u64;
        let Message { from, said } = match Message::decode(bytes) {
            Ok(Some(message)) => message,
            Ok(None) => return,
            Err(_) => return self.counters.malformed += 1,
        };
        if from == self.id {
            return;
        }
        if said == Said::Bye {
            return self.lose(from);
        }
        if !self.mates.contains_key(&from) {
            if self.mates.len() >= self.config.mates {
                return;
            }
            let mate = Mate { started: None, heard: now, asked: None, seq: None, reciting: None, recital: 0 };
            self.mates.insert(from, mate);
        }
        self.take(now, from, said);
        self.ask(now, from);
    }

    fn take(&mut self, now: Time, from: ProcessId, said: Said) {
        let Some(mate) = self.mates.get_mut(&from) else { return };
        mate.heard = now;
        match said {
            Said::Beat { started, seq } => {
                mate.started = Some(started);
                if mate.seq.is_some_and(|known| known != seq) {
                    mate.seq = None;
                }
                self.elect(now);
            }
            Said::News { seq, swarms, visits } => {
                if mate.seq.is_some_and(|known| known.wrapping_add(1) != seq) {
                    mate.seq = None;
                } else if mate.seq.is_some() {
                    mate.seq = Some(seq);
                }
                let recital = mate.recital;
                self.outputs.push_back(Output::Learned { mate: from, recital, swarms, visits });
            }
            Said::State { seq, recital, part, last, swarms, visits, planted } => {
                if part == 0 && mate.seq.is_none() {
                    mate.recital += 1;
                    mate.reciting = Some((recital, 0));
                }
                if mate.reciting != Some((recital, part)) {
                    // We know her, or came too late, or lost a part: the next recital is ours.
                    mate.reciting = None;
                } else {
                    mate.reciting = (!last).then_some((recital, part + 1));
                    let ours = mate.recital;
                    if last {
                        (mate.seq, mate.asked) = (Some(seq), None);
                    } else {
                        mate.asked = Some(now);
                    }
                    self.outputs.push_back(Output::Learned { mate: from, recital: ours, swarms, visits });
                    if last {
                        self.outputs.push_back(Output::Settled { mate: from, recital: ours });
                    }
                }
                if !planted.is_empty() {
                    self.outputs.push_back(Output::Digests(from, planted));
                }
            }
            Said::Ask { of } => self.asked |= of == self.id,
            Said::Want(hashes) => self.outputs.push_back(Output::Wanted(from, hashes)),
            Said::Planted(info_hash, planted) => {
                self.outputs.push_back(Output::Planted(from, info_hash, planted));
            }
            Said::Offer { info_hash, from: offerer, to, offer } => {
                self.outputs.push_back(Output::Offer { mate: from, info_hash, from: offerer, to, offer });
            }
            Said::Answer { info_hash, from: answerer, to, answer } => {
                self.outputs.push_back(Output::Answer { mate: from, info_hash, from: answerer, to, answer });
            }
            Said::Abroad { info_hash, from: offerer, sister, offer } => {
                self.outputs.push_back(Output::Abroad {
                    mate: from,
                    info_hash,
                    from: offerer,
                    sister,
                    offer,
                });
            }
            Said::Spent(accounts) => self.outputs.push_back(Output::Spent(accounts)),
            Said::Sisters(receipts) => self.outputs.push_back(Output::Sisters(receipts)),
            Said::Bye => {}
        }
    }

    /// Asks a mate for everything, if something of hers is missing.
    fn ask(&mut self, now: Time, of: ProcessId) {
        if self.connected.is_none() {
            return;
        }
        let Some(mate) = self.mates.get_mut(&of) else { return };
        let waits = mate.asked.is_some_and(|asked| now.since(asked) < self.config.ask);
        if mate.seq.is_some() || waits {
            return;
        }
        mate.asked = Some(now);
        self.counters.asked += 1;
        self.say(None, Said::Ask { of });
    }

    /// The next moment at which something is to be done.
    #[must_use]
    pub fn poll_timeout(&self) -> Time {
        let silent = self.mates.values().map(|mate| mate.heard + self.config.gone);
        let asked = self.mates.values().filter(|mate| mate.seq.is_none() && self.connected.is_some());
        let asked = asked.filter_map(|mate| mate.asked).map(|asked| asked + self.config.ask);
        let recite = (self.asked && !self.reciting)
            .then(|| self.recited.map_or(Time::ZERO, |recited| recited + self.config.recite));
        let beat = self.connected.map(|_| self.beat);
        silent.chain(asked).chain(recite).chain(beat).min().unwrap_or(Time::NEVER)
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Time) {
        let gone = self.mates.iter().filter(|(_, mate)| now.since(mate.heard) >= self.config.gone);
        let gone: Vec<ProcessId> = gone.map(|(id, _)| *id).collect();
        gone.into_iter().for_each(|mate| self.lose(mate));
        let mates: Vec<ProcessId> = self.mates.keys().copied().collect();
        mates.into_iter().for_each(|mate| self.ask(now, mate));
        if self.connected.is_some() && now >= self.beat {
            self.beat = now + self.config.beat;
            self.say(None, Said::Beat { started: self.started, seq: self.seq });
            self.elect(now);
        }
        let rested = self.recited.is_none_or(|recited| now.since(recited) >= self.config.recite);
        if self.asked && !self.reciting && rested {
            (self.asked, self.reciting, self.recited) = (false, true, Some(now));
            (self.recital, self.part) = (self.recital + 1, 0);
            self.counters.recited += 1;
            self.outputs.push_back(Output::Recite);
        }
    }

    /// The next thing to do; `None`: nothing until [`Fleet::poll_timeout`].
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Tells of what changed in our swarms. While the bus is away it is only counted, and so found missing later.
    pub fn tell(&mut self, swarms: Vec<SwarmNews>) {
        if !swarms.is_empty() {
            self.seq += 1;
            self.say(None, Said::News { seq: self.seq, swarms, visits: None });
        }
    }

    /// Tells of what changed at sisters, if we speak to them.
    pub fn hand_on(&mut self, visits: Vec<Visit>) {
        if !visits.is_empty() && self.speaks {
            self.seq += 1;
            self.say(None, Said::News { seq: self.seq, swarms: Vec::new(), visits: Some(visits) });
        }
    }

    /// Everything has to be told again: the driver missed what happened here.
    pub const fn recite_again(&mut self) {
        self.asked = true;
    }

    /// One more part of everything there is, after [`Output::Recite`]; `last` ends it. News may be told in between. What
    /// sisters say is left out if we do not speak to them.
    pub fn recite(
        &mut self,
        swarms: Vec<SwarmNews>,
        visits: Vec<Visit>,
        planted: Vec<(InfoHash, Digest)>,
        last: bool,
    ) {
        let (seq, recital, part) = (self.seq, self.recital, self.part);
        self.part += 1;
        self.reciting = !last;
        let visits = self.speaks.then_some(visits);
        self.say(None, Said::State { seq, recital, part, last, swarms, visits, planted });
    }

    /// Tells all mates, or one, of a planted torrent.
    pub fn plant(&mut self, to: Option<ProcessId>, info_hash: InfoHash, planted: Planted) {
        self.say(to, Said::Planted(info_hash, Box::new(planted)));
    }

    /// Asks a mate for planted torrents.
    pub fn want(&mut self, of: ProcessId, hashes: Vec<InfoHash>) {
        self.say(Some(of), Said::Want(hashes));
    }

    /// Passes a browser's offer to a browser of that mate.
    pub fn offer(&mut self, mate: ProcessId, info_hash: InfoHash, from: PeerId, to: PeerId, offer: Offer) {
        self.say(Some(mate), Said::Offer { info_hash, from, to, offer });
    }

    /// Passes a browser's answer to a browser of that mate.
    pub fn answer(&mut self, mate: ProcessId, info_hash: InfoHash, from: PeerId, to: PeerId, answer: Offer) {
        self.say(Some(mate), Said::Answer { info_hash, from, to, answer });
    }

    /// Passes a browser's offer to any browser of a sister to whom that mate speaks.
    pub fn abroad(&mut self, mate: ProcessId, info_hash: InfoHash, from: PeerId, sister: Key, offer: Offer) {
        self.say(Some(mate), Said::Abroad { info_hash, from, sister, offer });
    }

    /// Tells what this process and, as it knows, the others have sent. To be repeated: whoever missed it hears it the next time.
    pub fn spent(&mut self, accounts: Vec<Account>) {
        if !self.mates.is_empty() {
            self.say(None, Said::Spent(accounts));
        }
    }

    /// Tells who the sisters are to whom we are connected, if it is we who speak to them. To be repeated.
    pub fn sisters(&mut self, receipts: Vec<Vec<u8>>) {
        if self.speaks && !self.mates.is_empty() && !receipts.is_empty() {
            self.say(None, Said::Sisters(receipts));
        }
    }

    /// The process ends.
    pub fn leave(&mut self) {
        self.say(None, Said::Bye);
    }

    fn lose(&mut self, mate: ProcessId) {
        if self.mates.remove(&mate).is_some() {
            self.counters.gone += 1;
            self.outputs.push_back(Output::Gone(mate));
        }
    }

    /// The oldest speaks. Without the bus nobody knows who that is, so it stays who it was.
    fn elect(&mut self, now: Time) {
        let Some(connected) = self.connected else { return };
        let own = (self.started, self.id);
        let elder =
            self.mates.iter().any(|(id, mate)| mate.started.is_some_and(|started| (started, *id) < own));
        let speaks = !elder && (self.speaks || now.since(connected) >= self.config.settle);
        if speaks != self.speaks {
            self.speaks = speaks;
            self.outputs.push_back(Output::Speaks(speaks));
        }
    }

    fn say(&mut self, to: Option<ProcessId>, said: Said) {
        if self.connected.is_none() {
            return;
        }
        let bytes = Message { from: self.id, said }.encode();
        self.counters.sent += 1;
        self.counters.sent_bytes += bytes.len() as u64;
        self.outputs.push_back(Output::Send { to, bytes });
    }
}
