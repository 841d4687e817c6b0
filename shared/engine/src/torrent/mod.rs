//! One torrent: its commands and inputs, from `add` to `remove`.
//!
//! Connections are the swarm's ([`Swarm`]), pieces the body's: a store ([`Store`]) or a bridge ([`Bridge`]).

mod choking;
mod member;
mod store;
mod swarm;
mod trade;
mod view;

use crate::add::{AddTorrent, Limits, Mode, PickOrder, Priority, Source, Start, TorrentSource};
use crate::bridge::{Bridge, Demand};
use crate::config::Config;
use crate::keys::{PeerKey, TorrentKey};
use crate::link::{Direction, Transport};
use crate::metadata::{Fetch, Outcome};
use crate::output::{AnnounceReply, CloseReason, Done, Event, Job, State};
use crate::peer::{Opening, Peer, PeerEvent};
use crate::resume::{ResumeData, ResumeSource};
use crate::shared::{Shared, Task};
use crate::view::Behind;
use anatomic_core::{InfoHash, Magnet, Metainfo, Time};
use anatomic_wire::handshake::Handshake;
use bytes::Bytes;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use store::Store;
use swarm::{Swarm, Verdict};

/// How often connections are looked at.
const TICK: Duration = Duration::from_secs(1);

/// One torrent of the engine.
pub(crate) struct Torrent {
    swarm: Swarm,
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
}

/// What a torrent does with pieces.
enum Body {
    /// Nothing yet: the metadata is being fetched.
    Awaiting(Box<Fetch>),
    Store(Box<Store>),
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

    /// The metadata is known: a store or a bridge takes over.
    fn embody(&mut self, shared: &mut Shared, metainfo: Arc<Metainfo>) {
        self.swarm.private = metainfo.is_private();
        shared.event(self.swarm.key, Event::MetadataReady);
        match self.mode {
            Mode::Store => {
                if self.selection.is_empty()
                    && let Some(magnet) = &self.magnet
                    && !magnet.select.is_empty()
                {
                    let wanted = |index: usize| {
                        u32::try_from(index)
                            .is_ok_and(|index| magnet.selects(anatomic_core::FileIndex(index)))
                    };
                    self.selection = (0..metainfo.files().len())
                        .map(|index| if wanted(index) { Priority::NORMAL } else { Priority::SKIP })
                        .collect();
                }
                let start = std::mem::take(&mut self.start);
                let mut store = Store::new(&metainfo, start, self.order, shared);
                store.select(&mut self.swarm, shared, &self.selection);
                self.body = Body::Store(Box::new(store));
                self.store_progressed(shared);
            }
            Mode::Bridge => {
                let bridge = Bridge::new(shared.config.clone(), self.swarm.key, metainfo.geometry());
                self.body = Body::Bridge(Box::new(bridge));
            }
        }
        self.metainfo = Some(metainfo);
    }

    // ---- connections

    pub(crate) fn connected(&mut self, shared: &mut Shared, key: PeerKey, peer: Peer) {
        let handshake = peer.handshake().copied();
        if let Err(reason) = self.swarm.admit(shared, key, peer) {
            shared.close(key, reason);
            return;
        }
        self.next_tick = self.next_tick.min(shared.now + TICK);
        if let Some(handshake) = handshake {
            self.handshaked(shared, key, handshake);
        }
        self.read_on(shared, key);
    }

    pub(crate) fn dial_failed(&mut self, shared: &mut Shared, address: SocketAddr) {
        self.swarm.dial_failed(shared, address);
    }

    pub(crate) fn received(&mut self, shared: &mut Shared, key: PeerKey, bytes: Bytes) {
        let Some(member) = self.swarm.members.get_mut(key) else { return };
        member.peer.receive(shared.now, bytes);
        self.read_on(shared, key);
    }

    /// Acts on everything that the peer's bytes say.
    fn read_on(&mut self, shared: &mut Shared, key: PeerKey) {
        while let Some(member) = self.swarm.members.get_mut(key) {
            match member.peer.poll_event(shared.now) {
                Ok(Some(event)) => self.on_event(shared, key, event),
                Ok(None) => break,
                Err(reason) => {
                    self.close(shared, key, reason);
                    return;
                }
            }
        }
        if let Body::Store(store) = &mut self.body {
            store.after_events(&mut self.swarm, shared, key);
        }
        self.swarm.members.touch(key);
    }

    fn on_event(&mut self, shared: &mut Shared, key: PeerKey, event: PeerEvent) {
        match event {
            PeerEvent::Handshaked(handshake) => self.handshaked(shared, key, handshake),
            PeerEvent::Metadata { piece, data } => self.on_metadata(shared, key, piece, data),
            PeerEvent::MetadataRejected(piece) => {
                if let Body::Awaiting(fetch) = &mut self.body {
                    fetch.on_reject(shared.now, key, piece);
                    self.ask_metadata(shared.now, None);
                }
            }
            PeerEvent::Bridge(report) => {
                if let Some(member) = self.swarm.members.get_mut(key) {
                    member.behind = Some(Behind {
                        tcp: report.tcp,
                        utp: report.utp,
                        webrtc: report.webrtc,
                        seeds: report.seeds,
                        leeches: report.leeches,
                    });
                }
            }
            PeerEvent::Extended => {
                self.extended(shared, key);
                self.pass_on(shared, key, PeerEvent::Extended);
            }
            event => self.pass_on(shared, key, event),
        }
    }

    fn pass_on(&mut self, shared: &mut Shared, key: PeerKey, event: PeerEvent) {
        match &mut self.body {
            Body::Awaiting(_) => {}
            Body::Store(store) => store.on_event(&mut self.swarm, shared, key, event),
            Body::Bridge(bridge) => {
                if let PeerEvent::Block { data, .. } = &event {
                    self.swarm.counters.downloaded += data.len() as u64;
                    self.swarm.counters.blocks += 1;
                    self.swarm.down.add(shared.now, data.len() as u64);
                }
                bridge.handle(shared.now, &mut self.swarm.members, &mut shared.cache, key, event);
            }
        }
    }

    fn handshaked(&mut self, shared: &mut Shared, key: PeerKey, handshake: Handshake) {
        // Stripes between a tab and a node are told from doubles by the extended handshake, which follows.
        let waits = self.swarm.members.get(key).is_some_and(|member| {
            member.peer.link().transport == Transport::WebRtc && handshake.reserved.extended()
        });
        if (!waits || handshake.peer_id == shared.us) && !self.judge(shared, key, &handshake) {
            return;
        }
        let transport =
            self.swarm.members.get(key).map_or(Transport::Tcp, |member| member.peer.link().transport);
        let pieces = match &self.body {
            Body::Awaiting(_) => None,
            Body::Store(store) => Some(store.have()),
            Body::Bridge(bridge) => Some(bridge.offered_to(transport)),
        };
        let opening = Opening {
            pieces,
            geometry: self.metainfo.as_ref().map(|metainfo| metainfo.geometry()),
            metadata: self.metainfo.as_ref().map(|metainfo| metainfo.info_bytes().clone()),
            upload_only: matches!(&self.body, Body::Store(store) if store.is_done()),
        };
        let Some(peer) = self.swarm.members.tell(key) else { return };
        if let Err(reason) = peer.open(opening) {
            self.close(shared, key, reason);
            return;
        }
        self.opened(shared, key);
    }

    /// The connection is open and the torrent's size known.
    fn opened(&mut self, shared: &mut Shared, key: PeerKey) {
        match &mut self.body {
            Body::Awaiting(_) => {}
            Body::Store(store) => store.opened(&mut self.swarm, shared, key),
            Body::Bridge(bridge) => bridge.opened(&mut self.swarm.members, key),
        }
    }

    fn extended(&mut self, shared: &mut Shared, key: PeerKey) {
        let Some(member) = self.swarm.members.get(key) else { return };
        let link = *member.peer.link();
        let Some(handshake) = member.peer.handshake().copied() else { return };
        let port = member.peer.extensions().and_then(|extensions| extensions.port);
        let size = member.peer.metadata_size();
        if link.transport == Transport::WebRtc && !self.judge(shared, key, &handshake) {
            return;
        }
        if let (Direction::Accepted, Some(address), Some(port)) = (link.direction, link.address, port) {
            // Where it listens: to be dialled should the connection be lost.
            let listening = SocketAddr::new(address.ip(), port);
            if shared.config.addresses.allows(listening) {
                self.swarm.candidates.add(&shared.config, shared.now, Source::Incoming, listening);
                self.swarm.candidates.connected(listening);
                if let Some(member) = self.swarm.members.get_mut(key) {
                    member.dialled = member.dialled.or(Some(listening));
                }
            }
        }
        if let (Body::Awaiting(fetch), Some(size)) = (&mut self.body, size) {
            fetch.add_source(shared.now, key, size);
            self.ask_metadata(shared.now, Some(key));
        }
    }

    /// False if the connection was closed.
    fn judge(&mut self, shared: &mut Shared, key: PeerKey, handshake: &Handshake) -> bool {
        match self.swarm.judge(shared, key, handshake.peer_id) {
            Verdict::Keep => true,
            Verdict::Replace(old) => {
                self.close(shared, old, CloseReason::Duplicate);
                true
            }
            Verdict::Close(reason) => {
                self.close(shared, key, reason);
                false
            }
        }
    }

    /// Closes a connection on our wish.
    fn close(&mut self, shared: &mut Shared, key: PeerKey, reason: CloseReason) {
        self.part(shared, key, Some(&reason));
        shared.close(key, reason);
    }

    /// A connection is gone.
    pub(crate) fn lost(&mut self, shared: &mut Shared, key: PeerKey) {
        self.part(shared, key, None);
    }

    fn part(&mut self, shared: &mut Shared, key: PeerKey, reason: Option<&CloseReason>) {
        let Some(member) = self.swarm.members.remove(key) else { return };
        self.swarm.departed(shared, &member, reason);
        match &mut self.body {
            Body::Awaiting(fetch) => {
                fetch.remove_source(key);
                self.ask_metadata(shared.now, None);
            }
            Body::Store(store) => store.left(&mut self.swarm, shared, key, member),
            Body::Bridge(bridge) => {
                bridge.closed(shared.now, &mut self.swarm.members, &mut shared.cache, key);
            }
        }
        if self.swarm.running && self.swarm.members.is_empty() {
            // Alone: ask for peers as soon as trackers allow.
            self.swarm.announcer.hurry(shared.now);
        }
    }

    // ---- metadata

    /// Asks one peer, or all, for pieces of the info dictionary.
    fn ask_metadata(&mut self, now: Time, only: Option<PeerKey>) {
        let Body::Awaiting(fetch) = &mut self.body else { return };
        let keys = only.map_or_else(|| self.swarm.members.keys(), |key| vec![key]);
        for key in keys {
            while let Some(piece) = fetch.next(now, key) {
                if !self.swarm.members.tell(key).is_some_and(|peer| peer.request_metadata(piece)) {
                    break;
                }
            }
        }
    }

    fn on_metadata(&mut self, shared: &mut Shared, key: PeerKey, piece: u32, data: Bytes) {
        let Body::Awaiting(fetch) = &mut self.body else { return };
        match fetch.on_piece(shared.now, key, piece, data) {
            Outcome::Pending => self.ask_metadata(shared.now, None),
            Outcome::Liar(liar) => self.ban(shared, liar, "it sent a wrong info dictionary"),
            Outcome::Complete(info) => self.metadata_complete(shared, info),
        }
    }

    fn metadata_complete(&mut self, shared: &mut Shared, info: Bytes) {
        let (trackers, web_seeds) = self.magnet.as_ref().map_or_else(Default::default, |magnet| {
            let tiers: Vec<Vec<String>> = magnet.trackers.iter().map(|url| vec![url.clone()]).collect();
            (tiers, magnet.web_seeds.clone())
        });
        let metainfo = match Metainfo::from_info(info, trackers, web_seeds) {
            Ok(metainfo) => Arc::new(metainfo),
            Err(error) => {
                self.fail(shared, format!("this torrent cannot be used: {error}"));
                return;
            }
        };
        self.embody(shared, metainfo.clone());
        for key in self.swarm.members.keys() {
            let Some(peer) = self.swarm.members.tell(key) else { continue };
            peer.set_metadata(metainfo.info_bytes().clone());
            if !peer.is_open() {
                continue;
            }
            if let Err(reason) = peer.set_geometry(metainfo.geometry()) {
                self.close(shared, key, reason);
                continue;
            }
            self.opened(shared, key);
        }
        if !self.may_run() {
            self.halt(shared, &CloseReason::Paused);
        }
        self.run(shared);
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

    fn ban_culprit(&mut self, shared: &mut Shared, culprit: store::Culprit) {
        let reason = format!("it sent bad data in piece {}", culprit.piece.0);
        self.swarm.ban(shared, culprit.peer, culprit.peer_id, culprit.address, &reason);
        self.close(shared, culprit.peer, CloseReason::Banned);
    }

    fn ban(&mut self, shared: &mut Shared, key: PeerKey, reason: &str) {
        let (peer_id, address) = self
            .swarm
            .members
            .get(key)
            .map_or((None, None), |member| (member.peer.peer_id(), member.peer.link().address));
        self.swarm.ban(shared, key, peer_id, address, reason);
        self.close(shared, key, CloseReason::Banned);
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
            self.next_tick = if self.swarm.members.is_empty() { Time::NEVER } else { now + TICK };
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
