//! A network of nodes that share their peers, in one process and virtual time.
//!
//! Runs the state machines of `anatomic_mesh::sharing` with wires that have latency, splits, crashes and wrong clocks; supernodes
//! are an index of receipts that can be switched off. No block of data moves here.

mod swarm;

pub use swarm::SimSwarm;

use anatomic_core::{InfoHash, Time};
use anatomic_mesh::sharing::{Config, ConnectionId, Contact, Output, Sharing};
use anatomic_mesh::{Identity, Key, Receipt, Signed, UnixTime};
use fastrand::Rng;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// When the simulation begins, by a right clock.
pub const BEGIN: UnixTime = UnixTime(1_800_000_000);
/// Who plants here.
const PLANTER: Key = Key([77; 32]);
/// How long a connection attempt into the void takes.
const DIAL_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a node's driver looks at its swarms.
const LOOK: Duration = Duration::from_millis(250);

/// A node.
pub struct SimNode {
    /// Its state machine; `None` while the process is dead.
    pub sharing: Option<Sharing>,
    /// Who it is.
    pub identity: Identity,
    /// Its swarms.
    pub swarms: BTreeMap<InfoHash, SimSwarm>,
    /// By how many seconds its clock is wrong.
    pub clock: i64,
    /// Which part of a split network it is in; only nodes of the same part reach each other.
    pub part: u8,
    /// Offers and answers that arrived: of which torrent, from which sister, and whether an answer.
    pub signals: Vec<(InfoHash, Key, bool)>,
    receipts: BTreeMap<InfoHash, Signed<Receipt>>,
    wake: Time,
}

enum Event {
    Wake(usize),
    Look(usize, InfoHash),
    Accepted(usize, ConnectionId),
    Connected(usize, ConnectionId, Key),
    DialFailed(usize, Key),
    Message(usize, ConnectionId, Vec<u8>),
    Closed(usize, ConnectionId),
    Found(usize, InfoHash),
}

/// The network.
pub struct MeshWorld {
    /// Now.
    pub now: Time,
    /// The nodes, by number.
    pub nodes: Vec<SimNode>,
    /// Whether supernodes answer.
    pub supernodes: bool,
    /// Whether guests are kept, or only counted: for very large networks.
    pub keep_guests: bool,
    /// How many torrents had a node replaced.
    pub replaced: usize,
    /// How many receipts were signed anew because others had taken the place of lost nodes.
    pub renamed: usize,
    /// How often supernodes were asked.
    pub asked: usize,
    config: Config,
    latency: Duration,
    rng: Rng,
    by_key: BTreeMap<Key, usize>,
    index: BTreeMap<InfoHash, Vec<Signed<Receipt>>>,
    wires: BTreeMap<ConnectionId, (usize, usize)>,
    events: BTreeMap<(Time, u64), Event>,
    looks: BTreeSet<(usize, InfoHash)>,
    counter: u64,
}

impl MeshWorld {
    /// So many nodes that know of nothing.
    #[must_use]
    pub fn new(nodes: usize, config: Config, seed: u64) -> Self {
        let mut world = Self {
            now: Time::from_secs(1_000_000),
            nodes: Vec::new(),
            supernodes: true,
            keep_guests: true,
            replaced: 0,
            renamed: 0,
            asked: 0,
            config,
            latency: Duration::from_millis(50),
            rng: Rng::with_seed(seed),
            by_key: BTreeMap::new(),
            index: BTreeMap::new(),
            wires: BTreeMap::new(),
            events: BTreeMap::new(),
            looks: BTreeSet::new(),
            counter: 0,
        };
        for number in 0..nodes {
            let mut secret = [0; 32];
            world.rng.fill(&mut secret);
            let identity = Identity::from_seed(secret);
            world.by_key.insert(identity.key(), number);
            world.nodes.push(SimNode {
                sharing: None,
                identity,
                swarms: BTreeMap::new(),
                clock: 0,
                part: 0,
                signals: Vec::new(),
                receipts: BTreeMap::new(),
                wake: Time::NEVER,
            });
            world.start(number);
        }
        world
    }

    /// Starts a node's process with what its data folder holds: its receipts.
    pub fn start(&mut self, node: usize) {
        let wall = self.wall(node);
        let Some(simulated) = self.nodes.get_mut(node) else { return };
        let sharing = Sharing::new(
            self.config.clone(),
            simulated.identity.clone(),
            url(node),
            self.rng.u64(..),
            self.now,
            wall,
        );
        let sharing = simulated.sharing.insert(sharing);
        for receipt in simulated.receipts.values() {
            sharing.plant(self.now, std::slice::from_ref(receipt));
        }
        self.drive(node);
    }

    /// Kills a node's process: connections break, its peers are gone.
    pub fn kill(&mut self, node: usize) {
        let Some(simulated) = self.nodes.get_mut(node) else { return };
        simulated.sharing = None;
        simulated.swarms.clear();
        let broken: Vec<_> = self
            .wires
            .iter()
            .filter(|(_, ends)| ends.0 == node || ends.1 == node)
            .map(|(id, _)| *id)
            .collect();
        for id in broken {
            if let Some((one, other)) = self.wires.remove(&id) {
                let left = if one == node { other } else { one };
                self.later(self.latency, Event::Closed(left, id));
            }
        }
    }

    /// Plants a torrent on these nodes, as a planter would, and tells the supernodes.
    pub fn plant(&mut self, info_hash: InfoHash, nodes: &[usize]) {
        let keys: Vec<Key> = nodes.iter().map(|node| self.key(*node)).collect();
        for node in nodes {
            self.plant_on(info_hash, *node, &keys, PLANTER);
        }
    }

    /// A node issues a receipt and holds the torrent from now on.
    fn plant_on(&mut self, info_hash: InfoHash, node: usize, sisters: &[Key], planter: Key) {
        let wall = self.wall(node);
        let Some(simulated) = self.nodes.get_mut(node) else { return };
        let receipt = Receipt {
            info_hash,
            info_hash_v2: None,
            node: simulated.identity.key(),
            url: url(node),
            planter,
            sisters: sisters.iter().copied().filter(|key| *key != simulated.identity.key()).collect(),
            listing: anatomic_mesh::Listing::Listed,
            issued: wall,
            claimed: None,
            expires: wall.plus(anatomic_mesh::receipt::DEFAULT_LEASE),
        };
        let Ok(receipt) = Signed::new(receipt, &simulated.identity) else { return };
        simulated.receipts.insert(info_hash, receipt.clone());
        if let Some(sharing) = &mut simulated.sharing {
            sharing.plant(self.now, std::slice::from_ref(&receipt));
        }
        let known = self.index.entry(info_hash).or_default();
        known.retain(|known| known.node != receipt.node);
        known.push(receipt);
        self.drive(node);
    }

    /// A node holds a torrent no longer, and the supernodes know.
    pub fn unplant(&mut self, info_hash: InfoHash, node: usize) {
        let (now, key) = (self.now, self.key(node));
        if let Some(receipts) = self.index.get_mut(&info_hash) {
            receipts.retain(|receipt| receipt.node != key);
        }
        if let Some(simulated) = self.nodes.get_mut(node) {
            simulated.receipts.remove(&info_hash);
            if let Some(sharing) = &mut simulated.sharing {
                sharing.unplant(now, &info_hash);
            }
        }
        self.drive(node);
    }

    /// A peer comes to a node, or is heard of again.
    pub fn come(&mut self, node: usize, info_hash: InfoHash, contact: Contact, seed: bool) {
        let now = self.now;
        if let Some(simulated) = self.nodes.get_mut(node) {
            simulated.swarms.entry(info_hash).or_default().come(now, contact, seed);
        }
        self.touched(node, info_hash);
    }

    /// A peer leaves a node.
    pub fn go(&mut self, node: usize, info_hash: InfoHash, contact: &Contact) {
        if let Some(swarm) = self.nodes.get_mut(node).and_then(|node| node.swarms.get_mut(&info_hash)) {
            swarm.go(contact);
        }
        self.touched(node, info_hash);
    }

    /// A node's key.
    #[must_use]
    pub fn key(&self, node: usize) -> Key {
        self.nodes.get(node).map_or(Key([0; 32]), |node| node.identity.key())
    }

    /// The sisters that a node's receipt names.
    #[must_use]
    pub fn named(&self, node: usize, info_hash: &InfoHash) -> Option<Vec<Key>> {
        Some(self.nodes.get(node)?.receipts.get(info_hash)?.sisters.clone())
    }

    /// A node's state machine, which must be alive, to be given commands; [`Self::drive`] follows.
    pub fn sharing(&mut self, node: usize) -> Option<&mut Sharing> {
        self.nodes.get_mut(node).and_then(|node| node.sharing.as_mut())
    }

    /// Carries out what a node's state machine wants.
    pub fn drive(&mut self, node: usize) {
        loop {
            let Some(sharing) = self.nodes.get_mut(node).and_then(|node| node.sharing.as_mut()) else {
                return;
            };
            let Some(output) = sharing.poll_output() else { break };
            self.carry_out(node, output);
        }
        let Some(simulated) = self.nodes.get_mut(node) else { return };
        let next = simulated.sharing.as_ref().and_then(Sharing::poll_timeout).unwrap_or(Time::NEVER);
        if next < simulated.wake {
            simulated.wake = next;
            self.at(next.max(self.now), Event::Wake(node));
        }
    }

    /// Lets so much time pass.
    pub fn run(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some(entry) = self.events.first_entry() {
            if entry.key().0 > end {
                break;
            }
            let ((at, _), event) = entry.remove_entry();
            self.now = at;
            self.happen(event);
        }
        self.now = end;
    }

    /// How many proven connections there are: each counted once.
    #[must_use]
    pub fn connections(&self) -> usize {
        let ends = self.nodes.iter().filter_map(|node| node.sharing.as_ref());
        ends.map(|sharing| sharing.sisters(self.now).iter().filter(|sister| sister.connected).count())
            .sum::<usize>()
            / 2
    }

    fn carry_out(&mut self, node: usize, output: Output) {
        match output {
            Output::Dial { sister, .. } => {
                let to = self.by_key.get(&sister).copied();
                let Some(to) = to.filter(|to| self.reach(node, *to)) else {
                    self.later(DIAL_TIMEOUT, Event::DialFailed(node, sister));
                    return;
                };
                if self.nodes.get(to).is_none_or(|to| to.sharing.is_none()) {
                    self.later(self.latency * 2, Event::DialFailed(node, sister));
                    return;
                }
                self.counter += 1;
                let id = ConnectionId(self.counter);
                self.wires.insert(id, (node, to));
                self.later(self.latency, Event::Accepted(to, id));
                self.later(self.latency * 2, Event::Connected(node, id, sister));
            }
            Output::Send { connection, bytes } => {
                let Some((one, other)) = self.wires.get(&connection).copied() else { return };
                let to = if one == node { other } else { one };
                if self.reach(one, other) {
                    self.later(self.latency, Event::Message(to, connection, bytes));
                }
            }
            Output::Close { connection, .. } => {
                let Some((one, other)) = self.wires.remove(&connection) else { return };
                let to = if one == node { other } else { one };
                self.later(self.latency, Event::Closed(to, connection));
            }
            Output::Learned { info_hash, sister, gained, lost, counts } => {
                let (now, keep) = (self.now, self.keep_guests);
                if let Some(simulated) = self.nodes.get_mut(node) {
                    let swarm = simulated.swarms.entry(info_hash).or_default();
                    swarm.learn(now, sister, &gained, &lost, counts, keep);
                }
            }
            Output::Lost { sister, swarms } => {
                for info_hash in swarms {
                    if let Some(swarm) =
                        self.nodes.get_mut(node).and_then(|node| node.swarms.get_mut(&info_hash))
                    {
                        swarm.guests.sister_lost(sister);
                    }
                }
            }
            Output::Offer { info_hash, sister, .. } => self.signal(node, info_hash, sister, false),
            Output::Answer { info_hash, sister, .. } => self.signal(node, info_hash, sister, true),
            Output::Find(info_hash) => {
                self.asked += 1;
                self.later(self.latency * 2, Event::Found(node, info_hash));
            }
            Output::Replace { info_hash, lost } => self.replace(node, info_hash, &lost),
            Output::Rename { info_hash, sisters } => {
                self.renamed += 1;
                self.plant_on(info_hash, node, &sisters, PLANTER);
            }
        }
    }

    fn replace(&mut self, node: usize, info_hash: InfoHash, lost: &[Key]) {
        if !self.supernodes {
            return;
        }
        let Some(mut sisters) = self.named(node, &info_hash) else { return };
        sisters.retain(|key| !lost.contains(key));
        let holds = |other: &usize| {
            self.nodes
                .get(*other)
                .is_none_or(|node| node.sharing.is_none() || node.receipts.contains_key(&info_hash))
        };
        let mut fit: Vec<usize> = (0..self.nodes.len())
            .filter(|other| *other != node && self.reach(node, *other) && !holds(other))
            .collect();
        self.rng.shuffle(&mut fit);
        fit.truncate(lost.len());
        if fit.is_empty() {
            return;
        }
        self.replaced += fit.len();
        // Each is told of the others from the beginning.
        sisters.push(self.key(node));
        sisters.extend(fit.iter().map(|new| self.key(*new)));
        for new in fit {
            self.plant_on(info_hash, new, &sisters, PLANTER);
        }
        self.plant_on(info_hash, node, &sisters, PLANTER);
    }

    fn signal(&mut self, node: usize, info_hash: InfoHash, sister: Key, answer: bool) {
        if let Some(simulated) = self.nodes.get_mut(node) {
            simulated.signals.push((info_hash, sister, answer));
        }
    }

    fn happen(&mut self, event: Event) {
        let now = self.now;
        let node = match &event {
            Event::Wake(node)
            | Event::Look(node, _)
            | Event::Accepted(node, _)
            | Event::Connected(node, ..)
            | Event::DialFailed(node, _)
            | Event::Message(node, ..)
            | Event::Closed(node, _)
            | Event::Found(node, _) => *node,
        };
        let Some(simulated) = self.nodes.get_mut(node) else { return };
        let Some(sharing) = &mut simulated.sharing else {
            self.looks.retain(|(other, _)| *other != node);
            return;
        };
        match event {
            Event::Wake(_) => {
                // One of several that were set: the machine's own moment decides.
                if simulated.wake <= now {
                    simulated.wake = Time::NEVER;
                }
                sharing.handle_timeout(now);
            }
            Event::Look(_, info_hash) => {
                self.looks.remove(&(node, info_hash));
                if let Some(swarm) = simulated.swarms.get(&info_hash) {
                    sharing.observe(now, &info_hash, &swarm.present(now), swarm.counts());
                }
            }
            Event::Accepted(_, id) => sharing.handle_accepted(now, id),
            Event::Connected(_, id, sister) => {
                if self.wires.contains_key(&id) {
                    sharing.handle_connected(now, id, sister);
                } else {
                    sharing.handle_dial_failed(now, sister);
                }
            }
            Event::DialFailed(_, sister) => sharing.handle_dial_failed(now, sister),
            Event::Message(_, id, bytes) => {
                if self.wires.contains_key(&id) {
                    sharing.handle_message(now, id, &bytes);
                }
            }
            Event::Closed(_, id) => sharing.handle_closed(now, id),
            Event::Found(_, info_hash) => {
                if self.supernodes {
                    for receipt in self.index.get(&info_hash).into_iter().flatten() {
                        let _ = sharing.introduce(now, receipt);
                    }
                }
            }
        }
        self.drive(node);
    }

    fn touched(&mut self, node: usize, info_hash: InfoHash) {
        if self.looks.insert((node, info_hash)) {
            let pause = LOOK.mul_f64(self.rng.f64());
            self.later(pause, Event::Look(node, info_hash));
        }
    }

    fn reach(&self, one: usize, other: usize) -> bool {
        let part = |node: usize| self.nodes.get(node).map(|node| node.part);
        part(one) == part(other)
    }

    fn wall(&self, node: usize) -> UnixTime {
        let right = BEGIN.0 + self.now.since(Time::from_secs(1_000_000)).as_secs();
        UnixTime(right.saturating_add_signed(self.nodes.get(node).map_or(0, |node| node.clock)))
    }

    fn later(&mut self, pause: Duration, event: Event) {
        self.at(self.now + pause, event);
    }

    fn at(&mut self, at: Time, event: Event) {
        self.counter += 1;
        self.events.insert((at, self.counter), event);
    }
}

/// Where a node is reached.
fn url(node: usize) -> String {
    format!("http://node{node}.example")
}
