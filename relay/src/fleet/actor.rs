//! The task that owns the state machine of this process: what changes here goes to the bus, what comes from it into the store.
//!
//! The bus is [`super::bus`]'s, torrents are written down by [`super::torrents`].

use super::board::Board;
use super::bus::{Bus, Input};
use super::torrents::{Agreed, Torrents};
use super::{Settings, Status};
use crate::node::{Planting, PlantingChange};
use crate::tracker::fleet::{Kind, ToMate};
use crate::tracker::{Swarms, Tracker};
use anatomic_core::{InfoHash, Time};
use anatomic_mesh::fleet::message::{Digest, MAX_HASHES, MAX_SISTERS};
use anatomic_mesh::fleet::spent::MAX_ACCOUNTS;
use anatomic_mesh::fleet::{Config, Fleet, Output, ProcessId, Visit};
use anatomic_mesh::sharing::contact::Packed;
use anatomic_mesh::sharing::message::SwarmNews;
use anatomic_mesh::sharing::{Contact, SharedPeer};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{mpsc, oneshot, watch};
use tracing::{info, warn};

/// How often changes are told.
const BATCH: Duration = Duration::from_millis(200);
/// How often it is handed on what sisters say.
const VISITS: Duration = Duration::from_secs(1);
/// The host is told if the bus is not there so long after the start.
const LATE: Duration = Duration::from_secs(3);
/// How often it is looked in which swarms our bridge takes part.
const LOOK: Duration = Duration::from_secs(2);
/// How often it is told what was spent.
const SPENT: Duration = Duration::from_secs(1);
/// How often it is told who the sisters are, in turns of the former.
const SISTERS: u32 = 10;
/// A part of a recital goes out this often.
const PART: Duration = Duration::from_millis(5);
/// Bytes of one message, about; one more swarm still fits.
const LENGTH: usize = 200_000;
/// Swarms of one message.
const SWARMS: usize = 1_000;

/// What the rest of the process sees of the fleet.
pub(super) struct Shown {
    pub(super) status: Arc<Mutex<Status>>,
    pub(super) speaks: watch::Sender<bool>,
    pub(super) board: Arc<Mutex<Board>>,
}

pub(super) struct Actor {
    settings: Settings,
    bus: Bus,
    planting: Arc<Planting>,
    tracker: Arc<Tracker>,
    fleet: Fleet,
    begun: Instant,
    shown: Shown,
    /// Swarms in which mates were told of our bridge.
    bridged: HashSet<InfoHash>,
    /// The next part of a recital, while there is one.
    reciting: Option<usize>,
    digests: Vec<(InfoHash, Digest)>,
    agreed: Agreed,
    torrents: Torrents,
    /// Who hands on what sisters say, and with which recital that began.
    visits: Option<(ProcessId, u64)>,
}

impl Actor {
    pub(super) fn new(
        settings: Settings,
        bus: Bus,
        planting: Arc<Planting>,
        tracker: Arc<Tracker>,
        shown: Shown,
    ) -> Self {
        let started = u64::try_from(super::unix().as_millis()).unwrap_or(u64::MAX);
        let agreed: Agreed = Arc::new(Mutex::new(HashMap::new()));
        Self {
            fleet: Fleet::new(Config::default(), settings.id, started),
            torrents: Torrents::start(planting.clone(), agreed.clone()),
            settings,
            bus,
            planting,
            tracker,
            begun: Instant::now(),
            shown,
            bridged: HashSet::new(),
            reciting: None,
            digests: Vec::new(),
            agreed,
            visits: None,
        }
    }

    pub(super) async fn run(mut self, mut leaving: mpsc::Receiver<oneshot::Sender<()>>) {
        let (outgoing, mut to_mates) = mpsc::channel::<ToMate>(1_024);
        self.tracker.swarms.join_fleet(self.settings.id, outgoing);
        let mut changes = self.planting.subscribe();
        let timer = |period| {
            let mut timer = tokio::time::interval(period);
            timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            timer
        };
        let (mut batch, mut look, mut part, mut visits) =
            (timer(BATCH), timer(LOOK), timer(PART), timer(VISITS));
        let (mut spent, mut turn) = (timer(SPENT), 0_u32);
        let late = tokio::time::sleep(LATE);
        tokio::pin!(late);
        let mut met = false;
        loop {
            self.carry_out().await;
            self.show();
            let wait = self.fleet.poll_timeout().since(self.now()).min(Duration::from_secs(60));
            tokio::select! {
                input = self.bus.next() => match input {
                    Some(Input::Connected) => {
                        met = true;
                        info!(at = %self.bus.place, "the fleet's bus is there");
                        self.set_connected(true);
                        self.fleet.handle_connected(self.now());
                    }
                    Some(Input::Disconnected) => {
                        warn!("the fleet's bus is away: going on alone until it is back");
                        self.set_connected(false);
                        self.fleet.handle_disconnected();
                    }
                    Some(Input::Missed) => self.fleet.handle_missed(self.now()),
                    Some(Input::Message(bytes)) => self.fleet.handle_message(self.now(), &bytes),
                    None => return warn!("the fleet's bus was closed: going on alone"),
                },
                Some(ToMate { mate, info_hash, from, kind, offer }) = to_mates.recv() => match kind {
                    Kind::Offer(to) => self.fleet.offer(mate, info_hash, from, to, offer),
                    Kind::Answer(to) => self.fleet.answer(mate, info_hash, from, to, offer),
                    Kind::Abroad(sister) => self.fleet.abroad(mate, info_hash, from, sister, offer),
                },
                change = changes.recv() => match change {
                    Ok(
                        PlantingChange::Planted(hash) | PlantingChange::Metainfo(hash)
                        | PlantingChange::Receipts(hash) | PlantingChange::Unplanted(hash),
                    ) => self.planted(hash),
                    // Nobody knows what: all are told all digests.
                    Err(RecvError::Lagged(_)) => self.fleet.recite_again(),
                    Err(RecvError::Closed) => return,
                },
                _ = batch.tick() => self.tell(),
                _ = visits.tick() => self.hand_on(),
                _ = look.tick() => self.look_at_bridge(),
                _ = spent.tick() => {
                    self.tell_board(turn % SISTERS == 0);
                    turn = turn.wrapping_add(1);
                }
                _ = part.tick(), if self.reciting.is_some() => self.recite(),
                Some(done) = leaving.recv() => {
                    self.tell();
                    self.fleet.leave();
                    self.carry_out().await;
                    self.bus.flush().await;
                    let _ = done.send(());
                    return;
                }
                () = &mut late, if !met => {
                    met = true;
                    warn!(
                        at = %self.bus.place,
                        "the fleet's bus is not there: going on alone and trying again until it is"
                    );
                }
                () = tokio::time::sleep(wait) => {}
            }
            self.fleet.handle_timeout(self.now());
            for (mate, hashes) in self.torrents.next(Instant::now()) {
                self.fleet.want(mate, hashes);
            }
        }
    }

    fn now(&self) -> Time {
        Time::from_micros(u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    fn board(&self) -> std::sync::MutexGuard<'_, Board> {
        self.shown.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_connected(&self, connected: bool) {
        let mut status = self.shown.status.lock().unwrap_or_else(PoisonError::into_inner);
        (status.connected, status.since) = (connected, Instant::now());
    }

    fn show(&self) {
        let mut status = self.shown.status.lock().unwrap_or_else(PoisonError::into_inner);
        status.mates = self.fleet.mates();
        status.speaks = self.fleet.speaks();
        status.counters = self.fleet.counters();
    }

    async fn carry_out(&mut self) {
        while let Some(output) = self.fleet.poll_output() {
            let tracker = self.tracker.clone();
            let (now, swarms) = (Instant::now(), &tracker.swarms);
            match output {
                Output::Send { to, bytes } => drop(self.bus.send(to, bytes).await),
                Output::Learned { mate, recital, swarms: news, visits } => {
                    if let Some(visits) = visits {
                        self.learn_visits(mate, recital, &visits);
                    }
                    for news in &news {
                        // News may come before the torrent that they are about; what is blocked here is never kept.
                        if !self.planting.is_blocked(&news.info_hash) {
                            swarms.learn_of_mate(now, mate, recital, news);
                        }
                    }
                }
                Output::Settled { mate, recital } => swarms.mate_settled(mate, recital),
                Output::Gone(mate) => {
                    info!(%mate, "a process of the fleet is gone");
                    swarms.mate_gone(mate);
                    self.torrents.gone(mate);
                    if self.visits.is_some_and(|(by, _)| by == mate) {
                        self.visits = None;
                        swarms.set_speaker(None);
                        swarms.forget_visits();
                    }
                }
                Output::Recite => {
                    self.digests = self.planting.digests();
                    self.reciting = Some(0);
                }
                Output::Digests(mate, theirs) => {
                    let other =
                        theirs.into_iter().filter(|(hash, digest)| self.planting.digest(hash) != *digest);
                    other.for_each(|(hash, _)| self.torrents.want(mate, hash));
                }
                Output::Wanted(mate, hashes) => {
                    for hash in hashes {
                        if let Some(planted) = self.planting.for_fleet(&hash) {
                            self.fleet.plant(Some(mate), hash, planted);
                        }
                    }
                }
                Output::Planted(mate, info_hash, planted) => self.torrents.take(mate, info_hash, planted),
                Output::Offer { mate, info_hash, from, to, offer } => {
                    swarms.offer_from_mate(now, mate, info_hash, from, &to, offer);
                }
                Output::Answer { mate, info_hash, from, to, answer } => {
                    swarms.answer_from_mate(mate, info_hash, from, &to, answer);
                }
                Output::Abroad { mate, info_hash, from, sister, offer } => {
                    swarms.abroad_for_mate(now, mate, info_hash, from, sister, offer);
                }
                Output::Spent(accounts) => self.board().hear(accounts),
                Output::Sisters(receipts) => self.board().take_sisters(receipts),
                Output::Speaks(speaks) => {
                    info!(speaks, "whether this process speaks for the fleet");
                    if speaks {
                        self.visits = None;
                        swarms.set_speaker(None);
                    }
                    self.shown.speaks.send_replace(speaks);
                }
            }
        }
    }

    fn learn_visits(&mut self, mate: ProcessId, recital: u64, visits: &[Visit]) {
        if self.fleet.speaks() {
            return;
        }
        let swarms = &self.tracker.swarms;
        if self.visits != Some((mate, recital)) {
            self.visits = Some((mate, recital));
            swarms.forget_visits();
            swarms.set_speaker(Some(mate));
        }
        for visit in visits.iter().filter(|visit| !self.planting.is_blocked(&visit.news.info_hash)) {
            swarms.learn_visit(Instant::now(), visit);
        }
    }

    /// Tells of a planted torrent that changed here; not of one that changed because a mate told us.
    fn planted(&mut self, info_hash: InfoHash) {
        let digest = self.planting.digest(&info_hash);
        let known = self.agreed.lock().unwrap_or_else(PoisonError::into_inner).remove(&info_hash);
        if known == Some(digest) {
            self.agreed.lock().unwrap_or_else(PoisonError::into_inner).insert(info_hash, digest);
        } else if let Some(planted) = self.planting.for_fleet(&info_hash) {
            self.fleet.plant(None, info_hash, planted);
        }
    }

    /// Tells of what changed.
    fn tell(&mut self) {
        let now = Instant::now();
        let news = (0..Swarms::PARTS).flat_map(|part| self.tracker.swarms.take_changed(now, part));
        for some in messages(news, SwarmNews::cost) {
            self.fleet.tell(some);
        }
    }

    /// Tells what was spent, and who the sisters are.
    fn tell_board(&mut self, sisters: bool) {
        let board = self.shown.board.clone();
        let board = board.lock().unwrap_or_else(PoisonError::into_inner);
        if !board.spent.is_empty() {
            self.fleet.spent(board.spent.iter().take(MAX_ACCOUNTS).copied().collect());
        }
        if sisters {
            self.fleet.sisters(board.ours.iter().take(MAX_SISTERS).cloned().collect());
        }
    }

    /// Hands on what sisters said anew, if it is we who speak to them.
    fn hand_on(&mut self) {
        let now = Instant::now();
        let visits = (0..Swarms::PARTS).flat_map(|part| self.tracker.swarms.take_visits(now, part));
        for some in messages(visits, visit_cost) {
            self.fleet.hand_on(some);
        }
    }

    fn bridge(&self, info_hash: InfoHash, takes_part: bool) -> Option<SwarmNews> {
        let contact = Contact::Address(self.settings.bridge?);
        let (mut gained, mut lost) = (Packed::default(), Packed::default());
        if takes_part {
            gained.push_gained(&SharedPeer { contact, seed: false, bridge: true, age: 0 });
        } else {
            lost.push_lost(&contact);
        }
        Some(SwarmNews { info_hash, gained, lost, counts: None, waits: false })
    }

    /// Classic clients of mates reach the browsers behind our bridge by it.
    fn look_at_bridge(&mut self) {
        let planted = self.planting.list();
        let now: HashSet<InfoHash> = planted
            .iter()
            .map(|torrent| torrent.info_hash)
            .filter(|info_hash| self.tracker.takes_part(info_hash))
            .collect();
        let went = self.bridged.difference(&now).filter_map(|hash| self.bridge(*hash, false));
        let came = now.difference(&self.bridged).filter_map(|hash| self.bridge(*hash, true));
        let news: Vec<SwarmNews> = went.chain(came).collect();
        self.bridged = now;
        for some in messages(news, SwarmNews::cost) {
            self.fleet.tell(some);
        }
    }

    /// The next part of everything there is.
    fn recite(&mut self) {
        let Some(part) = self.reciting else { return };
        let last = part + 1 >= Swarms::PARTS;
        let mut news = self.tracker.swarms.recite(Instant::now(), part);
        if last {
            news.extend(self.bridged.iter().filter_map(|hash| self.bridge(*hash, true)));
        }
        let visits = self.tracker.swarms.recite_visits(Instant::now(), part);
        let (news, visits) = (messages(news, SwarmNews::cost), messages(visits, visit_cost));
        let mut messages: Vec<_> = news.into_iter().map(|news| (news, Vec::new())).collect();
        messages.extend(visits.into_iter().map(|visits| (Vec::new(), visits)));
        if last || part == 0 {
            // Something has to begin it, and to end it.
            messages.push(Default::default());
        }
        let count = messages.len();
        for (number, (swarms, visits)) in messages.into_iter().enumerate() {
            let rest = self.digests.len().saturating_sub(MAX_HASHES / 4);
            let digests = self.digests.split_off(rest);
            self.fleet.recite(swarms, visits, digests, last && number + 1 == count);
        }
        self.reciting = (!last).then_some(part + 1);
    }
}

fn visit_cost(visit: &Visit) -> usize {
    visit.news.cost() + 50
}

/// Puts news into messages that are not too long.
fn messages<T>(news: impl IntoIterator<Item = T>, cost: impl Fn(&T) -> usize) -> Vec<Vec<T>> {
    let mut messages: Vec<Vec<T>> = Vec::new();
    let mut length = 0;
    for news in news {
        let cost = cost(&news);
        match messages.last_mut().filter(|last| length + cost <= LENGTH && last.len() < SWARMS) {
            Some(last) => last.push(news),
            None => {
                length = 0;
                messages.push(vec![news]);
            }
        }
        length += cost;
    }
    messages
}
