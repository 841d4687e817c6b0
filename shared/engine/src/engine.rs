//! The engine: takes a driver's inputs to the torrent or peer they are for, and its outputs back.
//!
//! Decides nothing about peers or pieces; that is `torrent`'s part.

use crate::add::{AddTorrent, Limits, Misuse, PickOrder, Priority, Source};
use crate::config::Config;
use crate::keys::{AnnounceKey, DialKey, IntroductionKey, JobKey, PeerKey, Slab, TorrentKey};
use crate::link::{Direction, Link};
use crate::output::{AnnounceReply, CloseReason, Done, Output};
use crate::peer::{Peer, PeerEvent};
use crate::resume::ResumeData;
use crate::shared::{Place, Shared};
use crate::torrent::Torrent;
use crate::view::TorrentView;
#[cfg(feature = "classic")]
use anatomic_core::Sha1Hash;
use anatomic_core::collections::{BTreeMap, BTreeSet};
use anatomic_core::{InfoHash, PeerId, Time};
use anatomic_wire::extended::Hosts;
#[cfg(feature = "classic")]
use anatomic_wire::mse;
use bytes::Bytes;
use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;

/// How often connections that have not told their torrent are looked at.
const LOBBY_TICK: Duration = Duration::from_secs(1);

/// All torrents of one driver. See the crate's documentation for the order of calls.
pub struct Engine {
    torrents: Slab<TorrentKey, Torrent>,
    by_hash: BTreeMap<InfoHash, TorrentKey>,
    /// By what names them in encrypted handshakes.
    #[cfg(feature = "classic")]
    by_hidden: BTreeMap<Sha1Hash, InfoHash>,
    shared: Shared,
    /// Connections in the lobby, to be timed out.
    lobby: Vec<PeerKey>,
    lobby_at: Time,
    /// When each torrent wants to be woken, soonest first; none that never does.
    timers: BTreeSet<(Time, TorrentKey)>,
}

impl Engine {
    /// An engine without torrents. `seed` decides everything that is left to chance.
    #[must_use]
    pub fn new(config: Config, peer_id: PeerId, seed: u64) -> Self {
        Self {
            torrents: Slab::new(),
            by_hash: BTreeMap::new(),
            #[cfg(feature = "classic")]
            by_hidden: BTreeMap::new(),
            shared: Shared::new(config, peer_id, seed),
            lobby: Vec::new(),
            lobby_at: Time::NEVER,
            timers: BTreeSet::new(),
        }
    }

    // ---- commands

    /// Adds a torrent; it starts at once unless it is added paused.
    ///
    /// # Errors
    /// [`Misuse::AlreadyAdded`] with the key of the one that is here.
    pub fn add(&mut self, now: Time, torrent: AddTorrent) -> Result<TorrentKey, Misuse> {
        self.begin(now);
        let info_hash = torrent.source.info_hash();
        if let Some(key) = self.by_hash.get(&info_hash) {
            return Err(Misuse::AlreadyAdded(*key));
        }
        let key = self.torrents.insert_with(|key| Torrent::new(key, torrent, &mut self.shared));
        self.by_hash.insert(info_hash, key);
        #[cfg(feature = "classic")]
        self.by_hidden.insert(mse::hidden(info_hash), info_hash);
        self.with(key, |torrent, shared| torrent.start(shared));
        Ok(key)
    }

    /// Forgets a torrent: its peers are closed, its trackers told. What is stored is the driver's to delete.
    pub fn remove(&mut self, now: Time, torrent: TorrentKey) {
        self.begin(now);
        self.with(torrent, |torrent, shared| torrent.remove(shared));
        if let Some(gone) = self.torrents.remove(torrent) {
            self.timers.remove(&(gone.timer, torrent));
            self.by_hash.remove(&gone.info_hash());
            #[cfg(feature = "classic")]
            self.by_hidden.remove(&mse::hidden(gone.info_hash()));
        }
    }

    /// Stops all traffic of a torrent until [`resume`](Self::resume).
    pub fn pause(&mut self, now: Time, torrent: TorrentKey) {
        self.begin(now);
        self.with(torrent, |torrent, shared| torrent.pause(shared));
    }

    /// Starts a paused torrent, or one that an error of the store has stopped.
    pub fn resume(&mut self, now: Time, torrent: TorrentKey) {
        self.begin(now);
        self.with(torrent, |torrent, shared| torrent.resume(shared));
    }

    /// Says how much each file is wanted; files beyond the end of `selection` are normal.
    pub fn select_files(&mut self, now: Time, torrent: TorrentKey, selection: &[Priority]) {
        self.begin(now);
        self.with(torrent, |torrent, shared| torrent.select_files(shared, selection));
    }

    /// Says in which order pieces are fetched.
    pub fn set_order(&mut self, torrent: TorrentKey, order: PickOrder) {
        self.with(torrent, |torrent, _| torrent.set_order(order));
    }

    /// Bytes of the torrent that a reader wants soon, before all others and in order. `stream` names the reader;
    /// `None` takes it away.
    pub fn set_window(&mut self, now: Time, torrent: TorrentKey, stream: u64, window: Option<Range<u64>>) {
        self.begin(now);
        self.with(torrent, |torrent, shared| torrent.set_window(shared, stream, window));
    }

    /// Limits the payload of all torrents together.
    pub fn set_limits(&mut self, now: Time, limits: Limits) {
        self.begin(now);
        self.shared.limits.set(now, limits);
        self.with_all(|torrent, shared| torrent.limits_changed(shared));
    }

    /// Limits the payload of one torrent, within those of all.
    pub fn set_torrent_limits(&mut self, now: Time, torrent: TorrentKey, limits: Limits) {
        self.begin(now);
        self.with(torrent, |torrent, shared| torrent.set_limits(shared, limits));
    }

    /// Adds trackers, each in a tier of its own; known ones are left as they are.
    pub fn add_trackers(&mut self, now: Time, torrent: TorrentKey, urls: &[String]) {
        self.begin(now);
        self.with(torrent, |torrent, shared| torrent.add_trackers(shared, urls));
    }

    /// Sets which nodes and supernodes peers of a torrent are told of: those that were verified. Private torrents' peers
    /// are told nothing.
    pub fn set_hosts(&mut self, now: Time, torrent: TorrentKey, hosts: Hosts) {
        self.begin(now);
        self.with(torrent, |torrent, _| torrent.set_hosts(hosts));
    }

    /// Announces to all trackers as soon as they allow.
    pub fn announce_now(&mut self, now: Time, torrent: TorrentKey) {
        self.begin(now);
        self.with(torrent, |torrent, shared| torrent.announce_now(shared));
    }

    /// Adds addresses of peers that may be dialled.
    pub fn add_candidates(
        &mut self,
        now: Time,
        torrent: TorrentKey,
        source: Source,
        addresses: &[SocketAddr],
    ) {
        self.begin(now);
        self.with(torrent, |torrent, shared| torrent.add_candidates(shared, source, addresses));
    }

    // ---- inputs

    /// A connection stands: dialled, offered or accepted.
    pub fn handle_connected(&mut self, now: Time, link: Link) -> PeerKey {
        self.begin(now);
        let dialled = match link.direction {
            Direction::Dialled(dial) => self.shared.dials.remove(dial),
            Direction::Offered | Direction::Accepted => None,
        };
        let torrent = dialled.as_ref().map(|ticket| ticket.torrent).or(link.torrent);
        let link = Link { address: dialled.as_ref().map(|ticket| ticket.about).or(link.address), ..link };
        let expects_torrent = torrent.is_some() || matches!(link.direction, Direction::Dialled(_));
        let peer = Peer::new(
            now,
            self.shared.config.clone(),
            self.shared.us,
            link,
            torrent.and_then(|torrent| self.torrents.get(torrent)).map(Torrent::info_hash),
        );
        let key = self.shared.routes.insert(Place::Lobby(Box::new(peer)));
        if self.shared.routes.len() > self.shared.config.max_peers_total {
            self.shared.close(key, CloseReason::TooMany);
        } else if link.address.is_some_and(|address| self.shared.is_banned(address.ip())) {
            self.shared.close(key, CloseReason::Banned);
        } else if expects_torrent {
            self.move_in(key, torrent);
            return key;
        } else {
            self.lobby.push(key);
            self.lobby_at = self.lobby_at.min(now + LOBBY_TICK);
        }
        if let Some(ticket) = dialled {
            self.with(ticket.torrent, |torrent, shared| torrent.dial_failed(shared, ticket.about));
        }
        key
    }

    /// A dial came to nothing.
    pub fn handle_dial_failed(&mut self, now: Time, dial: DialKey) {
        self.begin(now);
        if let Some(ticket) = self.shared.dials.remove(dial) {
            self.with(ticket.torrent, |torrent, shared| torrent.dial_failed(shared, ticket.about));
        }
    }

    /// Bytes arrived from a peer, split in any way.
    pub fn handle_received(&mut self, now: Time, peer: PeerKey, bytes: Bytes) {
        self.begin(now);
        match self.shared.routes.get_mut(peer) {
            Some(Place::In(torrent)) => {
                let torrent = *torrent;
                self.with(torrent, |torrent, shared| torrent.received(shared, peer, bytes));
            }
            Some(Place::Lobby(stranger)) => {
                stranger.receive(now, bytes);
                match stranger.poll_event(now) {
                    Ok(Some(PeerEvent::Handshaked(handshake))) => {
                        let torrent = self.by_hash.get(&handshake.info_hash).copied();
                        self.lobby.retain(|waiting| *waiting != peer);
                        self.move_in(peer, torrent);
                    }
                    Ok(_) => {}
                    Err(reason) => {
                        self.lobby.retain(|waiting| *waiting != peer);
                        self.shared.close(peer, reason);
                    }
                }
            }
            None => {}
        }
    }

    /// The transport of a peer closed.
    pub fn handle_closed(&mut self, now: Time, peer: PeerKey) {
        self.begin(now);
        match self.shared.routes.remove(peer) {
            Some(Place::In(torrent)) => self.with(torrent, |torrent, shared| torrent.lost(shared, peer)),
            Some(Place::Lobby(_)) => self.lobby.retain(|waiting| *waiting != peer),
            None => {}
        }
    }

    /// A tracker answered, or could not be reached: then why, for people.
    pub fn handle_announced(
        &mut self,
        now: Time,
        announce: AnnounceKey,
        result: Result<AnnounceReply, String>,
    ) {
        self.begin(now);
        if let Some(ticket) = self.shared.announces.remove(announce) {
            self.with(ticket.torrent, |torrent, shared| torrent.announced(shared, ticket.about, result));
        }
    }

    /// A connection is described for an introduction: our offer or our answer. `None`: it cannot be made.
    pub fn handle_described(&mut self, now: Time, introduction: IntroductionKey, sdp: Option<String>) {
        self.begin(now);
        if let Some(torrent) = self.shared.introductions.get(introduction).copied() {
            self.with(torrent, |torrent, shared| torrent.described(shared, introduction, sdp));
        }
    }

    /// A job is done.
    pub fn handle_done(&mut self, now: Time, job: JobKey, done: Done) {
        self.begin(now);
        if let Some(ticket) = self.shared.jobs.remove(job) {
            self.with(ticket.torrent, |torrent, shared| torrent.done(shared, ticket.about, done));
        }
    }

    /// The time of [`poll_timeout`](Self::poll_timeout) has come; earlier or later calls do no harm.
    pub fn handle_timeout(&mut self, now: Time) {
        self.begin(now);
        if now >= self.lobby_at {
            let Self { lobby, shared, .. } = self;
            lobby.retain(|key| match shared.routes.get_mut(*key) {
                Some(Place::Lobby(stranger)) => match stranger.check(now) {
                    Ok(()) => true,
                    Err(reason) => {
                        shared.close(*key, reason);
                        false
                    }
                },
                _ => false,
            });
            self.lobby_at = if self.lobby.is_empty() { Time::NEVER } else { now + LOBBY_TICK };
        }
        let due: Vec<TorrentKey> =
            self.timers.iter().take_while(|(at, _)| *at <= now).map(|(_, key)| *key).collect();
        for key in due {
            self.with(key, Torrent::timeout);
        }
    }

    // ---- outputs

    /// The next thing to do; call until `None` after each input or command.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.shared.outputs.pop_front()
    }

    /// Appends at most `room` bytes to be sent to `peer`, and returns how many. 0 with at least
    /// [`MIN_ROOM`](crate::MIN_ROOM) of room: nothing to send now, and another [`Output::Transmit`] tells when there is.
    /// With less room, a block may have to wait: call again when there is more.
    pub fn poll_transmit(&mut self, now: Time, peer: PeerKey, room: usize, into: &mut Vec<u8>) -> usize {
        self.begin(now);
        let Some(Place::In(torrent)) = self.shared.routes.get(peer) else { return 0 };
        let torrent = *torrent;
        self.with(torrent, |torrent, shared| torrent.transmit(shared, peer, room, into))
    }

    /// When to call [`handle_timeout`](Self::handle_timeout); [`Time::NEVER`] if nothing waits.
    #[must_use]
    pub fn poll_timeout(&self) -> Time {
        self.timers.first().map_or(Time::NEVER, |(at, _)| *at).min(self.lobby_at)
    }

    // ---- views

    /// All torrents.
    pub fn torrents(&self) -> impl Iterator<Item = TorrentKey> {
        self.torrents.keys()
    }

    /// The torrent of that info-hash.
    #[must_use]
    pub fn find(&self, info_hash: InfoHash) -> Option<TorrentKey> {
        self.by_hash.get(&info_hash).copied()
    }

    /// The torrent that a peer means which hides its name: see [`mse::hidden`](anatomic_wire::mse::hidden).
    #[cfg(feature = "classic")]
    #[must_use]
    pub fn find_hidden(&self, hidden: Sha1Hash) -> Option<InfoHash> {
        self.by_hidden.get(&hidden).copied()
    }

    /// A torrent's name on the wire.
    #[must_use]
    pub fn info_hash(&self, torrent: TorrentKey) -> Option<InfoHash> {
        Some(self.torrents.get(torrent)?.info_hash())
    }

    /// What a torrent is doing; rates are those of the last input's time.
    #[must_use]
    pub fn view(&self, torrent: TorrentKey) -> Option<TorrentView> {
        Some(self.torrents.get(torrent)?.view(self.shared.now))
    }

    /// Whether a torrent has room for one more connection: whether to answer an offer.
    #[must_use]
    pub fn wants_peer(&self, torrent: TorrentKey) -> bool {
        self.shared.routes.len() < self.shared.config.max_peers_total
            && self.torrents.get(torrent).is_some_and(|torrent| torrent.wants_peer(&self.shared.config))
    }

    /// What to keep so that the torrent goes on where it is; `None` if there is no such torrent.
    #[must_use]
    pub fn resume_data(&self, torrent: TorrentKey) -> Option<ResumeData> {
        Some(self.torrents.get(torrent)?.resume_data())
    }

    /// Bytes of blocks that all bridges hold in memory now.
    #[must_use]
    pub const fn bridge_memory(&self) -> usize {
        self.shared.cache.used()
    }

    /// The settings.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.shared.config
    }

    // ---- inside

    fn begin(&mut self, now: Time) {
        // Clocks of threads may disagree by a little: time never runs back here.
        self.shared.now = self.shared.now.max(now);
    }

    /// Lets a torrent do something, sees that its words reach the driver, and notes when it wants to be woken.
    fn with<R: Default>(&mut self, key: TorrentKey, act: impl FnOnce(&mut Torrent, &mut Shared) -> R) -> R {
        let Some(torrent) = self.torrents.get_mut(key) else { return R::default() };
        let result = act(torrent, &mut self.shared);
        torrent.flush(&mut self.shared);
        let deadline = torrent.deadline(&self.shared.config);
        if deadline != torrent.timer {
            self.timers.remove(&(torrent.timer, key));
            torrent.timer = deadline;
            if deadline != Time::NEVER {
                self.timers.insert((deadline, key));
            }
        }
        result
    }

    fn with_all(&mut self, act: impl Fn(&mut Torrent, &mut Shared)) {
        let keys: Vec<TorrentKey> = self.torrents.keys().collect();
        for key in keys {
            self.with(key, &act);
        }
    }

    /// Takes a peer from the lobby to its torrent.
    fn move_in(&mut self, key: PeerKey, torrent: Option<TorrentKey>) {
        let Some((torrent_key, torrent)) =
            torrent.and_then(|torrent| Some((torrent, self.torrents.get_mut(torrent)?)))
        else {
            self.shared.close(key, CloseReason::UnknownTorrent);
            return;
        };
        let Some(place) = self.shared.routes.get_mut(key) else { return };
        if let Place::Lobby(peer) = std::mem::replace(place, Place::In(torrent_key)) {
            torrent.connected(&mut self.shared, key, *peer);
        }
        self.with(torrent_key, |_, _| ());
    }
}
