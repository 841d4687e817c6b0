//! One torrent: its commands and inputs, from `add` to `remove`.
//!
//! Connections are the swarm's ([`Swarm`]), pieces the body's: a store ([`Store`]) or a bridge ([`Bridge`]).

mod choking;
mod connection;
mod embody;
#[cfg(feature = "classic")]
mod exchange;
mod fetch;
mod hosts;
mod introductions;
mod member;
mod store;
mod swarm;
mod trade;
mod verdict;
mod view;

use crate::add::{AddTorrent, Limits, Mode, PickOrder, Priority, Source, Start, TorrentSource};
use crate::bridge::{Bridge, Demand};
use crate::config::Config;
use crate::keys::{PeerKey, TorrentKey};
use crate::metadata::Fetch;
use crate::output::{AnnounceReply, CloseReason, Done, Event, Job, State};
use crate::resume::{ResumeData, ResumeSource};
use crate::shared::{Shared, Task};
use anatomic_core::{InfoHash, Magnet, Metainfo, Time};
use introductions::Introductions;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use store::Store;
use swarm::Swarm;

/// How often connections are looked at.
const TICK: Duration = Duration::from_secs(1);

/// One torrent of the engine.
pub(crate) struct Torrent {
    swarm: Swarm,
    introductions: Introductions,
    body: Body,
    mode: Mode,
    start: Start,
    selection: Vec<Priority>,
    order: PickOrder,
    /// Kept for its name, and for resume data while the metadata is unknown.
    magnet: Option<Box<Magnet>>,
    metainfo: Option<Arc<Metainfo>>,
    extra_trackers: Vec<Vec<String>>,
    paused: bool,
    error: Option<String>,
    told: Option<State>,
    next_tick: Time,
    /// The engine's note of `deadline`.
    pub(crate) timer: Time,
}

/// What a torrent does with pieces.
enum Body {
    /// Nothing yet: the metadata is being fetched.
    Awaiting(Box<Fetch>),
    Store(Box<Store>),
    #[cfg_attr(not(feature = "bridge"), expect(dead_code, reason = "no bridge can be made"))]
    Bridge(Box<Bridge>),
}

impl Torrent {
    pub(crate) fn new(key: TorrentKey, add: AddTorrent, shared: &mut Shared) -> Self {
        let info_hash = add.source.info_hash();
        let mut swarm = Swarm::new(key, info_hash, shared.now);
        swarm.counters.downloaded = add.downloaded;
        swarm.counters.uploaded = add.uploaded;
        let (mut metainfo, mut magnet) = (None, None);
        let mut tiers: Vec<Vec<String>> = Vec::new();
        match add.source {
            TorrentSource::Metainfo(source) => {
                tiers.extend_from_slice(source.trackers());
                metainfo = Some(source);
            }
            TorrentSource::Magnet(source) => {
                tiers.extend(source.trackers.iter().map(|url| vec![url.clone()]));
                magnet = Some(source);
            }
        }
        for tier in tiers.iter().chain(&add.trackers) {
            swarm.announcer.add_tier(&shared.config, shared.now, tier, &mut shared.rng);
        }
        let fetch = Fetch::new(info_hash, shared.config.max_metadata);
        Self {
            swarm,
            introductions: Introductions::default(),
            body: Body::Awaiting(Box::new(fetch)),
            mode: add.mode,
            start: add.start,
            selection: add.selection,
            order: add.order,
            magnet,
            metainfo,
            extra_trackers: add.trackers,
            paused: add.paused,
            error: None,
            told: None,
            next_tick: Time::NEVER,
            timer: Time::NEVER,
        }
    }

    pub(crate) const fn info_hash(&self) -> InfoHash {
        self.swarm.info_hash
    }

    // ---- commands

    pub(crate) fn start(&mut self, shared: &mut Shared) {
        if let Some(metainfo) = self.metainfo.clone() {
            self.embody(shared, metainfo);
        }
        self.run(shared);
        if let Some(peers) = self.magnet.as_ref().map(|magnet| magnet.peers.clone()) {
            self.swarm.add_candidates(shared, Source::User, &peers);
        }
    }

    pub(crate) fn remove(&mut self, shared: &mut Shared) {
        self.halt(shared, &CloseReason::Removed);
        shared.cache.forget_torrent(self.swarm.key);
    }

    pub(crate) fn pause(&mut self, shared: &mut Shared) {
        self.paused = true;
        self.halt(shared, &CloseReason::Paused);
    }

    pub(crate) fn resume(&mut self, shared: &mut Shared) {
        self.paused = false;
        if self.error.take().is_some()
            && let Body::Store(store) = &mut self.body
        {
            store.retry(&self.swarm, shared);
        }
        self.run(shared);
    }

    pub(crate) fn select_files(&mut self, shared: &mut Shared, selection: &[Priority]) {
        self.selection = selection.to_vec();
        if let Body::Store(store) = &mut self.body {
            store.select(&mut self.swarm, shared, selection);
        }
    }

    pub(crate) fn set_order(&mut self, order: PickOrder) {
        self.order = order;
        if let Body::Store(store) = &mut self.body {
            store.set_order(order);
        }
    }

    pub(crate) fn set_window(&mut self, shared: &mut Shared, stream: u64, window: Option<Range<u64>>) {
        if let Body::Store(store) = &mut self.body {
            store.set_window(&mut self.swarm, shared, stream, window);
        }
    }

    pub(crate) fn set_limits(&mut self, shared: &mut Shared, limits: Limits) {
        self.swarm.set_limits(shared.now, limits);
        self.limits_changed(shared);
    }

    pub(crate) fn limits_changed(&mut self, shared: &mut Shared) {
        self.swarm.limit_wake = Time::NEVER;
        self.swarm.upload_blocked = false;
        self.swarm.download_blocked = false;
        self.swarm.members.touch_all();
        if let Body::Store(store) = &mut self.body {
            store.refill_all(&mut self.swarm, shared);
        }
    }

    pub(crate) fn add_trackers(&mut self, shared: &mut Shared, urls: &[String]) {
        for url in urls {
            let tier = std::slice::from_ref(url);
            self.swarm.announcer.add_tier(&shared.config, shared.now, tier, &mut shared.rng);
            if !self.extra_trackers.iter().flatten().any(|known| known == url) {
                self.extra_trackers.push(vec![url.clone()]);
            }
        }
        self.swarm.announce(shared, self.left());
    }

    pub(crate) fn announce_now(&mut self, shared: &mut Shared) {
        self.swarm.announcer.hurry(shared.now);
        self.swarm.announce(shared, self.left());
    }

    pub(crate) fn add_candidates(&mut self, shared: &mut Shared, source: Source, addresses: &[SocketAddr]) {
        self.swarm.add_candidates(shared, source, addresses);
    }

    // ---- running and halting

    /// Whether traffic may flow.
    fn may_run(&self) -> bool {
        let checking = matches!(&self.body, Body::Store(store) if store.checking().is_some());
        !self.paused && self.error.is_none() && !checking
    }

    /// Starts whatever may run and does not.
    fn run(&mut self, shared: &mut Shared) {
        if !self.paused
            && self.error.is_none()
            && let Body::Store(store) = &mut self.body
        {
            store.check_more(&self.swarm, shared);
        }
        if self.may_run() && !self.swarm.running {
            self.swarm.running = true;
            self.next_tick = shared.now + TICK;
            self.swarm.candidates.all_idle(shared.now);
            self.swarm.announce(shared, self.left());
            self.swarm.dial_more(shared);
        }
    }

    /// Stops all traffic: every connection is closed, trackers are told.
    fn halt(&mut self, shared: &mut Shared, reason: &CloseReason) {
        self.swarm.running = false;
        self.end_introductions(shared);
        for key in self.swarm.members.keys() {
            self.close(shared, key, reason.clone());
        }
        self.swarm.announce_stopped(shared, self.left());
        self.next_tick = Time::NEVER;
    }

    /// Stops with an error until `resume`.
    fn fail(&mut self, shared: &mut Shared, error: String) {
        if self.error.is_none() {
            shared.event(self.swarm.key, Event::Error(error.clone()));
            self.error = Some(error);
        }
        self.halt(shared, &CloseReason::Paused);
    }

    // ---- trackers and jobs

    pub(crate) fn announced(
        &mut self,
        shared: &mut Shared,
        tracker: usize,
        result: Result<AnnounceReply, String>,
    ) {
        self.swarm.announced(shared, tracker, result);
        // Another tracker of the tier may have its turn now.
        self.swarm.announce(shared, self.left());
    }

    pub(crate) fn done(&mut self, shared: &mut Shared, task: Task, done: Done) {
        match &mut self.body {
            Body::Awaiting(_) => {}
            Body::Store(store) => {
                if let Err(error) = store.done(&mut self.swarm, shared, task, done) {
                    self.fail(shared, error);
                }
                self.store_progressed(shared);
            }
            Body::Bridge(bridge) => {
                if let (Task::Verify(piece), Done::Digest(digest)) = (task, done) {
                    let right = self.metainfo.as_ref().and_then(|metainfo| metainfo.piece_hash(piece));
                    let verdict = if right == Some(digest) {
                        crate::bridge::Verdict::Right
                    } else {
                        self.swarm.counters.failed += 1;
                        crate::bridge::Verdict::Wrong
                    };
                    bridge.digested(shared.now, &mut self.swarm.members, &mut shared.cache, piece, verdict);
                }
            }
        }
    }

    /// What follows from pieces that came, failed or were found.
    fn store_progressed(&mut self, shared: &mut Shared) {
        while let Body::Store(store) = &mut self.body
            && let Some(culprit) = store.next_culprit()
        {
            self.ban_culprit(shared, culprit);
        }
        let Body::Store(store) = &mut self.body else { return };
        if store.check_ended() {
            self.run(shared);
        }
        let Body::Store(store) = &mut self.body else { return };
        if store.tell_completion(&self.swarm, shared) {
            self.swarm.announcer.completed(shared.now);
            let left = self.left();
            self.swarm.announce(shared, left);
        }
    }

    // ---- time

    pub(crate) fn timeout(&mut self, shared: &mut Shared) {
        let now = shared.now;
        if now >= self.swarm.limit_wake {
            self.swarm.limit_wake = Time::NEVER;
            if std::mem::take(&mut self.swarm.upload_blocked) {
                self.swarm.members.touch_all();
            }
            if std::mem::take(&mut self.swarm.download_blocked)
                && let Body::Store(store) = &mut self.body
            {
                store.refill_all(&mut self.swarm, shared);
            }
        }
        if !self.swarm.running {
            self.next_tick = Time::NEVER;
            return;
        }
        if now >= self.next_tick {
            let idle = self.swarm.members.is_empty() && !self.is_leeching();
            self.next_tick = if idle { Time::NEVER } else { now + TICK };
            self.tick(shared);
        }
        self.swarm.announce(shared, self.left());
        self.swarm.dial_more(shared);
    }

    fn tick(&mut self, shared: &mut Shared) {
        let now = shared.now;
        for key in self.swarm.members.keys() {
            let Some(peer) = self.swarm.members.tell(key) else { continue };
            if let Err(reason) = peer.check(now) {
                self.close(shared, key, reason);
            }
        }
        if self.is_leeching() {
            let gets_something = self.swarm.down.bytes_per_second(now) > 0;
            self.swarm.announcer.look_around(now, gets_something);
        }
        self.introduce(shared);
        #[cfg(feature = "classic")]
        self.exchange(shared);
        match &mut self.body {
            Body::Awaiting(_) => self.ask_metadata(now, None),
            Body::Store(store) => {
                for (key, reason) in store.tick(&mut self.swarm, shared) {
                    self.close(shared, key, reason);
                }
            }
            Body::Bridge(bridge) => bridge.tick(now, &mut self.swarm.members, &mut shared.cache),
        }
    }

    /// Whether seeds are of use.
    #[cfg(feature = "classic")]
    fn wants_seeds(&self) -> bool {
        self.is_leeching() || matches!(self.body, Body::Bridge(_))
    }

    /// Whether it wants something from others for itself.
    fn is_leeching(&self) -> bool {
        match &self.body {
            Body::Awaiting(_) => true,
            Body::Store(store) => !store.is_done(),
            Body::Bridge(_) => false,
        }
    }

    /// When [`timeout`](Self::timeout) has something to do. With peers the tick looks after everything; without, the
    /// trackers and candidates say.
    pub(crate) fn deadline(&self, config: &Config) -> Time {
        if !self.swarm.running {
            return Time::NEVER;
        }
        let next = self.next_tick.min(self.swarm.limit_wake);
        if !self.swarm.members.is_empty() {
            return next;
        }
        next.min(self.swarm.announcer.next_at(config)).min(self.swarm.next_dial(config))
    }

    // ---- outputs

    pub(crate) fn transmit(
        &mut self,
        shared: &mut Shared,
        key: PeerKey,
        room: usize,
        into: &mut Vec<u8>,
    ) -> usize {
        let written = self.swarm.transmit(shared, key, room, into);
        if written > 0 {
            match &mut self.body {
                Body::Awaiting(_) => {}
                Body::Store(store) => store.serve(&mut self.swarm, shared, key),
                Body::Bridge(bridge) => {
                    bridge.drained(shared.now, &mut self.swarm.members, &mut shared.cache, key);
                }
            }
        }
        written
    }

    /// Brings everything that changed to the driver.
    pub(crate) fn flush(&mut self, shared: &mut Shared) {
        self.serve_bridge(shared);
        self.swarm.flush(shared);
        let state = self.state();
        if self.told != Some(state) {
            self.told = Some(state);
            shared.event(self.swarm.key, Event::StateChanged(state));
        }
    }

    fn serve_bridge(&mut self, shared: &mut Shared) {
        while let Body::Bridge(bridge) = &mut self.body
            && let Some(demand) = bridge.poll(&mut self.swarm.members)
        {
            match demand {
                Demand::Transmit(key) => self.swarm.members.touch(key),
                Demand::Hash { piece, blocks } => {
                    shared.job(self.swarm.key, Task::Verify(piece), Job::Hash { blocks });
                }
                Demand::Ban { peer, piece } => {
                    self.ban(shared, peer, &format!("it sent bad data in piece {}", piece.0));
                }
                Demand::Close(key, reason) => self.close(shared, key, reason),
            }
        }
    }

    // ---- facts

    fn state(&self) -> State {
        if self.error.is_some() {
            return State::Error;
        }
        if self.paused {
            return State::Paused;
        }
        match &self.body {
            Body::Awaiting(_) => State::Metadata,
            Body::Store(store) if store.checking().is_some() => State::Checking,
            Body::Store(store) if store.is_done() => State::Seeding,
            Body::Store(_) => State::Downloading,
            Body::Bridge(_) => State::Seeding,
        }
    }

    /// Bytes missing, for trackers: of the whole torrent, whatever is selected.
    fn left(&self) -> Option<u64> {
        match &self.body {
            Body::Awaiting(_) => None,
            Body::Store(store) => Some(store.left_bytes()),
            // A bridge needs both seeds and leeches. Trackers name leeches to everybody, but seeds only to leeches.
            Body::Bridge(_) => self.metainfo.as_ref().map(|metainfo| metainfo.geometry().length()),
        }
    }

    pub(crate) fn wants_peer(&self, config: &Config) -> bool {
        self.swarm.has_room(config)
    }

    pub(crate) fn resume_data(&self) -> ResumeData {
        let source = self.metainfo.as_ref().map_or_else(
            || {
                let magnet = self.magnet.clone();
                ResumeSource::Magnet(magnet.unwrap_or_else(|| Box::new(Magnet::new(self.swarm.info_hash))))
            },
            |metainfo| ResumeSource::Metainfo(metainfo.clone()),
        );
        ResumeData {
            source,
            stored: match &self.body {
                Body::Store(store) => Some(store.stored().clone()),
                _ => self
                    .metainfo
                    .as_ref()
                    .map(|info| anatomic_core::Bitfield::empty(info.geometry().pieces())),
            },
            selection: self.selection.clone(),
            order: self.order,
            paused: self.paused,
            trackers: self.extra_trackers.clone(),
            downloaded: self.swarm.counters.downloaded,
            uploaded: self.swarm.counters.uploaded,
        }
    }
}
