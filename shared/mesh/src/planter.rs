//! The planter: asks supernodes for nodes, plants on each, replaces those that fail, hands the receipts to supernodes.
//!
//! Sends nothing itself: call a `handle_*`, then [`Planter::poll_output`] until `None`, carry the requests out (in
//! any order, with a time limit of the caller's) and bring every answer back. Whether it is right to plant a torrent
//! is a person's decision.

mod output;
#[cfg(test)]
mod tests;

pub use output::{Failure, Outcome, Output, Progress};

use crate::api::{
    Handover, Indexed, NodeEntry, Offer, PlantRequest, Planted, Planting, Problem, TorrentFile,
};
use crate::{Claim, Identity, Key, Listing, Receipt, Signed, UnixTime, link};
use anatomic_core::collections::BTreeMap;
use anatomic_core::{Magnet, Metainfo};
use std::collections::VecDeque;

/// Most nodes that one torrent is planted on.
pub const MAX_NODES: usize = 8;
/// On how many nodes a torrent is planted unless somebody says otherwise.
pub const DEFAULT_NODES: usize = 3;
/// How many supernodes are asked for nodes at a time.
const ASKED_AT_ONCE: usize = 3;
/// How many supernodes get the receipts, where that many are known.
const HANDOVERS: usize = 2;
/// Most nodes that are kept as spares; of one supernode twice as many as a torrent may have.
const MAX_CANDIDATES: usize = 64;
/// Most supernodes that are asked before the planter gives up.
const MAX_SUPERNODES: usize = 16;

/// What is planted.
#[derive(Clone, Debug)]
pub enum Subject {
    /// A torrent whose metadata is known.
    Torrent(Box<Metainfo>),
    /// A magnet; the nodes fetch the metadata.
    Magnet(Box<Magnet>),
}

impl Subject {
    fn magnet(&self) -> Magnet {
        match self {
            Self::Torrent(metainfo) => Magnet::of(metainfo),
            Self::Magnet(magnet) => (**magnet).clone(),
        }
    }
}

/// What a person chose.
#[derive(Clone, Debug)]
pub struct Wish {
    /// What is planted.
    pub subject: Subject,
    /// On how many nodes, 1 to [`MAX_NODES`].
    pub nodes: usize,
    /// Supernodes to ask, by scheme and host, in order.
    pub supernodes: Vec<String>,
    /// Whether search may find it.
    pub listing: Listing,
    /// Nodes that are asked before those that supernodes offer: a person chose them, or they hold the torrent already.
    pub prefer: Vec<NodeEntry>,
}

/// How far a node is.
#[derive(Clone, Debug)]
enum State {
    Spare,
    /// Asked, with these sisters.
    Asked(Vec<Key>),
    Accepted {
        receipt: Box<Signed<Receipt>>,
        /// The sisters that the node was told of.
        told: Vec<Key>,
    },
    Failed,
}

struct Candidate {
    node: NodeEntry,
    state: State,
    /// What the node's clock shows, if it said so: it is another than ours, and claims for it name its time.
    clock: Option<UnixTime>,
}

/// What the planter waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Offers,
    Nodes,
    Supernodes,
    Over,
}

/// The state machine of one planting.
pub struct Planter {
    wish: Wish,
    identity: Identity,
    now: UnixTime,
    phase: Phase,
    /// Supernodes by address: those not asked yet, and those that answered.
    to_ask: VecDeque<String>,
    known: Vec<String>,
    answered: Vec<String>,
    /// How many supernodes are being asked for nodes.
    asking: usize,
    /// By place in the offer they came with, then in the order in which they came: supernodes take turns.
    candidates: BTreeMap<(usize, usize), Candidate>,
    /// Supernodes that may still get the receipts, that are getting them, that have them.
    to_tell: VecDeque<String>,
    telling: usize,
    told: Vec<String>,
    reasons: Vec<(String, String)>,
    outputs: VecDeque<Output>,
}

impl Planter {
    /// Starts planting: the first outputs are there at once. `now` goes into the claims.
    #[must_use]
    pub fn new(wish: Wish, identity: Identity, now: UnixTime) -> Self {
        let wish = Wish { nodes: wish.nodes.clamp(1, MAX_NODES), ..wish };
        let mut planter = Self {
            identity,
            now,
            phase: Phase::Offers,
            to_ask: VecDeque::new(),
            known: Vec::new(),
            answered: Vec::new(),
            asking: 0,
            candidates: BTreeMap::new(),
            to_tell: VecDeque::new(),
            telling: 0,
            told: Vec::new(),
            reasons: Vec::new(),
            outputs: VecDeque::new(),
            wish,
        };
        for supernode in planter.wish.supernodes.clone() {
            planter.learn_supernode(&supernode);
        }
        planter.wish.prefer.clone().into_iter().for_each(|node| planter.learn_node(0, node));
        planter.ask_next();
        planter
    }

    /// The next thing to do, until there is nothing before an answer comes.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// The answer to [`Output::AskNodes`].
    pub fn handle_offer(&mut self, supernode: &str, offer: Result<Offer, String>) {
        self.asking = self.asking.saturating_sub(1);
        match offer {
            Ok(offer) => {
                self.answered.push(supernode.to_owned());
                offer.supernodes.iter().for_each(|other| self.learn_supernode(&other.url));
                let open: Vec<_> =
                    offer.nodes.into_iter().filter(|node| node.planting != Planting::Off).collect();
                let count = open.len();
                let spares = open.into_iter().take(2 * MAX_NODES).enumerate();
                spares.for_each(|(place, node)| self.learn_node(place, node));
                self.progress(Progress::Offered { supernode: supernode.to_owned(), nodes: count });
                if count == 0 {
                    let reason = "knows no node that takes torrents".to_owned();
                    self.reasons.push((supernode.to_owned(), reason));
                }
            }
            Err(reason) => self.supernode_failed(supernode, reason),
        }
        // A late answer is welcome for its spares and as one that gets the receipts.
        if self.phase != Phase::Offers {
            return;
        }
        let refused = |candidate: &&Candidate| matches!(candidate.state, State::Failed);
        let left = self.candidates.len() - self.candidates.values().filter(refused).count();
        if left >= self.wish.nodes {
            self.phase = Phase::Nodes;
            self.plant_next();
        } else {
            self.ask_next();
        }
    }

    /// The answer to [`Output::Plant`]. A node whose clock is another is asked once more, by its own clock.
    pub fn handle_planted(&mut self, node: Key, answer: Result<Planted, Problem>) {
        let found = self.candidates.iter_mut().find(|(_, candidate)| candidate.node.key == node);
        let Some((_, candidate)) = found.filter(|_| self.phase == Phase::Nodes) else { return };
        let State::Asked(told) = candidate.state.clone() else { return };
        let url = candidate.node.url.clone();
        if let Some(clock) = answer.as_ref().err().and_then(Problem::clock)
            && candidate.clock.is_none()
        {
            candidate.clock = Some(clock);
            return self.ask_again(node, told);
        }
        let answer = answer.map_err(|problem| problem.to_string());
        match answer.and_then(|planted| self.checked(node, planted)) {
            Ok(receipt) => {
                self.set(node, State::Accepted { receipt: Box::new(receipt), told });
                let of = (self.accepted().len(), self.wish.nodes);
                self.progress(Progress::Accepted { node: url, of });
            }
            Err(reason) => {
                self.set(node, State::Failed);
                self.reasons.push((url.clone(), reason.clone()));
                self.progress(Progress::Refused { node: url, reason });
            }
        }
        self.plant_next();
    }

    /// The answer to [`Output::HandOver`].
    pub fn handle_indexed(&mut self, supernode: &str, answer: Result<Indexed, String>) {
        if self.phase != Phase::Supernodes {
            return;
        }
        self.telling = self.telling.saturating_sub(1);
        match answer {
            Ok(indexed) if indexed.accepted > 0 => {
                self.told.push(supernode.to_owned());
                self.progress(Progress::Indexed { supernode: supernode.to_owned() });
            }
            Ok(indexed) => {
                let reason = indexed.refused.into_iter().next().map(|refused| refused.reason);
                self.supernode_failed(supernode, reason.unwrap_or_else(|| "took no receipt".to_owned()));
            }
            Err(reason) => self.supernode_failed(supernode, reason),
        }
        self.hand_over_next();
    }

    fn progress(&mut self, progress: Progress) {
        self.outputs.push_back(Output::Progress(progress));
    }

    fn supernode_failed(&mut self, supernode: &str, reason: String) {
        self.reasons.push((supernode.to_owned(), reason.clone()));
        self.progress(Progress::SupernodeFailed { supernode: supernode.to_owned(), reason });
    }

    fn learn_supernode(&mut self, url: &str) {
        let url = url.trim_end_matches('/').to_owned();
        if self.known.len() < MAX_SUPERNODES && !self.known.contains(&url) {
            self.known.push(url.clone());
            self.to_ask.push_back(url);
        }
    }

    fn learn_node(&mut self, place: usize, node: NodeEntry) {
        let is_new = self.candidates.values().all(|known| known.node.key != node.key);
        if is_new && self.candidates.len() < MAX_CANDIDATES {
            let number = self.candidates.len();
            self.candidates.insert((place, number), Candidate { node, state: State::Spare, clock: None });
        }
    }

    /// Asks as many supernodes at a time as are worth it; one that is dead then costs no time.
    fn ask_next(&mut self) {
        while self.asking < ASKED_AT_ONCE {
            let Some(supernode) = self.to_ask.pop_front() else { break };
            // Not only as many as are wanted: of those that a supernode takes for living some may have died since.
            let count = MAX_NODES * 2;
            self.asking += 1;
            self.outputs.push_back(Output::AskNodes { supernode, count });
        }
        if self.asking == 0 {
            self.phase = Phase::Nodes;
            self.plant_next();
        }
    }

    /// A receipt must be of this torrent, this node, this planter, and run now.
    fn checked(&self, node: Key, planted: Planted) -> Result<Signed<Receipt>, String> {
        let receipt = planted.receipt;
        let magnet = self.wish.subject.magnet();
        if receipt.node != node
            || receipt.planter != self.identity.key()
            || receipt.info_hash != magnet.info_hash
        {
            return Err("its receipt is about something else".to_owned());
        }
        receipt.check_time(self.now).map_err(|error| format!("its receipt does not hold: {error}"))?;
        Ok(receipt)
    }

    fn set(&mut self, node: Key, state: State) {
        if let Some(candidate) = self.candidates.values_mut().find(|candidate| candidate.node.key == node) {
            candidate.state = state;
        }
    }

    fn accepted(&self) -> Vec<(NodeEntry, Signed<Receipt>)> {
        let accepted = self.candidates.values().filter_map(|candidate| match &candidate.state {
            State::Accepted { receipt, .. } => Some((candidate.node.clone(), (**receipt).clone())),
            _ => None,
        });
        accepted.collect()
    }

    /// Keeps as many nodes asked or accepted as are wanted; goes on when no answer is open.
    fn plant_next(&mut self) {
        let is_chosen = |state: &State| matches!(state, State::Asked(_) | State::Accepted { .. });
        let chosen = self.candidates.values().filter(|candidate| is_chosen(&candidate.state)).count();
        let missing = self.wish.nodes.saturating_sub(chosen);
        let spares = self.candidates.values().filter(|candidate| matches!(candidate.state, State::Spare));
        let next: Vec<Key> = spares.take(missing).map(|candidate| candidate.node.key).collect();
        for key in &next {
            self.set(*key, State::Asked(Vec::new()));
        }
        let family: Vec<Key> = self
            .candidates
            .values()
            .filter(|candidate| is_chosen(&candidate.state))
            .map(|candidate| candidate.node.key)
            .collect();
        for key in next {
            self.ask_node(key, &family);
        }
        if self.candidates.values().any(|candidate| matches!(candidate.state, State::Asked(_))) {
            return;
        }
        // Too few, but not all supernodes have answered: one that offers nobody who lives must not be the last word.
        if family.len() < self.wish.nodes && (self.asking > 0 || !self.to_ask.is_empty()) {
            self.phase = Phase::Offers;
            self.ask_next();
            return;
        }
        // All answers are there. A node that was told of a sister that failed is asked again (planting is
        // idempotent), so that every receipt names those that really track the torrent.
        let stale: Vec<Key> = self
            .candidates
            .values()
            .filter(|candidate| match &candidate.state {
                State::Accepted { told, .. } => *told != sisters(&family, candidate.node.key),
                _ => false,
            })
            .map(|candidate| candidate.node.key)
            .collect();
        if !stale.is_empty() {
            stale.into_iter().for_each(|key| self.ask_node(key, &family));
            return;
        }
        if family.is_empty() {
            self.phase = Phase::Over;
            let reasons = std::mem::take(&mut self.reasons);
            self.outputs.push_back(Output::Failed(Failure { reasons }));
            return;
        }
        self.phase = Phase::Supernodes;
        // Those that answered first; the others may live nevertheless.
        let silent = self.known.iter().filter(|url| !self.answered.contains(url));
        self.to_tell = self.answered.iter().chain(silent).cloned().collect();
        self.hand_over_next();
    }

    fn ask_node(&mut self, key: Key, family: &[Key]) {
        self.ask_again(key, sisters(family, key));
    }

    /// Sends the node a claim that names these sisters.
    fn ask_again(&mut self, key: Key, sisters: Vec<Key>) {
        let found = self.candidates.values().find(|candidate| candidate.node.key == key);
        let at = found.and_then(|candidate| candidate.clock);
        let magnet = self.wish.subject.magnet();
        let claim = Claim {
            info_hash: magnet.info_hash,
            info_hash_v2: magnet.info_hash_v2,
            node: key,
            planter: self.identity.key(),
            sisters: sisters.clone(),
            listing: self.wish.listing,
            issued: self.now,
            at,
        };
        // The claim names our own key, so signing cannot fail.
        let Ok(claim) = Signed::new(claim, &self.identity) else { return };
        let request = PlantRequest { claim, torrent: self.torrent_file(), trackers: magnet.trackers };
        let Some(candidate) = self.candidates.values_mut().find(|candidate| candidate.node.key == key) else {
            return;
        };
        candidate.state = State::Asked(sisters);
        let node = Box::new(candidate.node.clone());
        self.outputs.push_back(Output::Plant { node, request: Box::new(request) });
    }

    fn torrent_file(&self) -> Option<TorrentFile> {
        match &self.wish.subject {
            Subject::Torrent(metainfo) => Some(TorrentFile(metainfo.to_torrent())),
            Subject::Magnet(_) => None,
        }
    }

    /// Hands over to as many supernodes at a time as are still missing.
    fn hand_over_next(&mut self) {
        let (nodes, receipts): (Vec<_>, Vec<_>) = self.accepted().into_iter().unzip();
        while self.told.len() + self.telling < HANDOVERS {
            let Some(supernode) = self.to_tell.pop_front() else { break };
            let magnet = self.wish.subject.magnet();
            let torrent = match &self.wish.subject {
                Subject::Torrent(metainfo) => {
                    let known: Vec<String> = self.answered.iter().take(HANDOVERS).cloned().collect();
                    Some(TorrentFile(link::torrent(metainfo, &nodes, &known).to_torrent()))
                }
                Subject::Magnet(_) => None,
            };
            let handover =
                Handover { receipts: receipts.clone(), torrent, name: magnet.name, length: magnet.length };
            self.telling += 1;
            self.outputs.push_back(Output::HandOver { supernode, handover: Box::new(handover) });
        }
        if self.telling > 0 {
            return;
        }
        self.phase = Phase::Over;
        let supernodes = std::mem::take(&mut self.told);
        let magnet = link::magnet(self.wish.subject.magnet(), &nodes, &supernodes);
        let torrent = match &self.wish.subject {
            Subject::Torrent(metainfo) => Some(link::torrent(metainfo, &nodes, &supernodes)),
            Subject::Magnet(_) => None,
        };
        self.outputs.push_back(Output::Done(Box::new(Outcome {
            nodes,
            receipts,
            supernodes,
            magnet,
            torrent,
        })));
    }
}

fn sisters(family: &[Key], of: Key) -> Vec<Key> {
    family.iter().copied().filter(|key| *key != of).collect()
}
