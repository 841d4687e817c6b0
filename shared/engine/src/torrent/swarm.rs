//! The connections of one torrent and what finds them: candidates, dials, trackers.
//!
//! The same for storing and bridging; which pieces move is the body's part.

use super::member::{Member, Members};
use crate::add::{Limits, Source};
use crate::announcer::Announcer;
use crate::candidates::{Candidates, Ending};
use crate::config::{Config, Role};
use crate::keys::{PeerKey, TorrentKey};
use crate::limiter::Buckets;
use crate::link::{Direction, Transport};
use crate::output::{AnnounceEvent, AnnounceReply, AnnounceRequest, CloseReason, Event, Output};
use crate::peer::Peer;
use crate::rate::Rate;
use crate::shared::Shared;
use crate::view::Counters;
use anatomic_core::collections::BTreeSet;
use anatomic_core::{InfoHash, PeerId, Time};
use anatomic_wire::extended::Hosts;
use std::net::SocketAddr;
use std::time::Duration;

/// Silence after which a connection gives way to a new one from the same peer.
const STALE: Duration = Duration::from_secs(20);
/// How soon to look again when the engine as a whole may not dial.
const DIAL_PAUSE: Duration = Duration::from_millis(50);
/// Banned peer ids remembered; they are cheap to change, so more would not help.
const MAX_BANNED_IDS: usize = 256;

/// The connections of one torrent.
pub(crate) struct Swarm {
    pub key: TorrentKey,
    pub info_hash: InfoHash,
    pub members: Members,
    pub candidates: Candidates,
    pub announcer: Announcer,
    pub limits: Buckets,
    pub counters: Counters,
    /// Payload, bytes a second.
    pub down: Rate,
    pub up: Rate,
    /// Whether peers are wanted at all: neither paused nor stopped nor checking.
    pub running: bool,
    /// Only trackers may name peers (BEP 27).
    pub private: bool,
    /// Nodes and supernodes that peers may be told of.
    pub hosts: Hosts,
    dials: usize,
    /// The engine's limits allow no dial before.
    dial_not_before: Time,
    banned_ids: BTreeSet<PeerId>,
    /// Somebody could not send because of a limit.
    pub upload_blocked: bool,
    /// Somebody could not be asked because of a limit.
    pub download_blocked: bool,
    /// When the limits allow more.
    pub limit_wake: Time,
}

/// What must become of a connection whose peer id is known now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Keep,
    Close(CloseReason),
    /// It stays, and this older one goes.
    Replace(PeerKey),
}

impl Swarm {
    pub(crate) fn new(key: TorrentKey, info_hash: InfoHash, now: Time) -> Self {
        Self {
            key,
            info_hash,
            members: Members::default(),
            candidates: Candidates::default(),
            announcer: Announcer::default(),
            limits: Buckets::default(),
            counters: Counters::default(),
            down: Rate::new(now),
            up: Rate::new(now),
            running: false,
            private: false,
            hosts: Hosts::default(),
            dials: 0,
            dial_not_before: Time::ZERO,
            banned_ids: BTreeSet::new(),
            upload_blocked: false,
            download_blocked: false,
            limit_wake: Time::NEVER,
        }
    }

    // ---- connections

    /// Whether one more connection is welcome.
    pub(crate) fn has_room(&self, config: &Config) -> bool {
        self.running && self.members.len() < config.max_peers
    }

    /// Takes a connection in; why not, if not.
    pub(crate) fn admit(&mut self, shared: &mut Shared, key: PeerKey, peer: Peer) -> Result<(), CloseReason> {
        let link = *peer.link();
        let mut dialled = None;
        if let (Direction::Dialled(_), Some(address)) = (link.direction, link.address) {
            self.dials = self.dials.saturating_sub(1);
            self.candidates.connected(address);
            dialled = Some(address);
        }
        let refusal = if !self.running {
            Some(CloseReason::Paused)
        } else if self.members.len() >= shared.config.max_peers {
            Some(CloseReason::TooMany)
        } else {
            link.address.and_then(|address| {
                let same = self.members.iter().filter(|(_, member)| {
                    member.peer.link().address.is_some_and(|other| other.ip() == address.ip())
                });
                (same.count() >= shared.config.max_peers_per_address).then_some(CloseReason::TooMany)
            })
        };
        if let Some(reason) = refusal {
            if let Some(address) = dialled {
                self.candidates.ended(&shared.config, shared.now, address, Ending::Later);
            }
            return Err(reason);
        }
        self.members.insert(key, Member::new(peer, dialled));
        self.members.touch(key);
        Ok(())
    }

    /// Judges a connection by its peer id: ourselves, banned, or a second connection to the same peer.
    ///
    /// Of two connections the one begun by the side with the larger id stays, so that both sides close the
    /// same; of two begun by the same side the older, unless it is silent. Several data channels between a tab and
    /// a node stay: they carry stripes of one download.
    pub(crate) fn judge(&self, shared: &Shared, key: PeerKey, peer_id: PeerId) -> Verdict {
        if peer_id == shared.us {
            // The end that dialled must learn it, to strike the address out: it closes when our answer arrives.
            let dialled = self.members.get(key).is_none_or(|member| member.peer.link().direction.is_ours());
            return if dialled { Verdict::Close(CloseReason::Ourselves) } else { Verdict::Keep };
        }
        if self.is_banned(peer_id) {
            return Verdict::Close(CloseReason::Banned);
        }
        let Some(new) = self.members.get(key) else { return Verdict::Keep };
        let same: Vec<(PeerKey, &Member)> = self
            .members
            .iter()
            .filter(|(other, member)| *other != key && member.peer.peer_id() == Some(peer_id))
            .collect();
        let Some((old_key, old)) = same.first().copied() else { return Verdict::Keep };
        let all_webrtc = new.peer.link().transport == Transport::WebRtc
            && same.iter().all(|(_, member)| member.peer.link().transport == Transport::WebRtc);
        let with_node = shared.config.role == Role::Node
            || new.peer.role() == Role::Node
            || same.iter().any(|(_, member)| member.peer.role() == Role::Node);
        if all_webrtc && with_node && same.len() < shared.config.stripes {
            return Verdict::Keep;
        }
        let ours_stays = shared.us > peer_id;
        let (new_ours, old_ours) = (new.peer.link().direction.is_ours(), old.peer.link().direction.is_ours());
        let new_stays = if new_ours == old_ours {
            shared.now >= old.peer.last_received() + STALE
        } else {
            new_ours == ours_stays
        };
        if new_stays { Verdict::Replace(old_key) } else { Verdict::Close(CloseReason::Duplicate) }
    }

    /// Whether a peer of that id was banned.
    pub(crate) fn is_banned(&self, peer_id: PeerId) -> bool {
        self.banned_ids.contains(&peer_id)
    }

    /// Notes the end of a connection that was taken out of `members`.
    pub(crate) fn departed(&mut self, shared: &Shared, member: &Member, reason: Option<&CloseReason>) {
        let Some(address) = member.dialled else { return };
        let now = shared.now;
        let ending = match reason {
            Some(CloseReason::Misbehaved(_) | CloseReason::Banned | CloseReason::Ourselves) => Ending::Never,
            Some(
                CloseReason::Duplicate
                | CloseReason::TooMany
                | CloseReason::NoInterest
                | CloseReason::Paused
                | CloseReason::Removed,
            ) => Ending::Later,
            _ if member.peer.was_useful() => Ending::Useful,
            None if member.peer.handshake().is_none() => Ending::Mute,
            _ => Ending::Useless,
        };
        self.candidates.ended(&shared.config, now, address, ending);
    }

    /// Bans a peer by its id, and by its address where that is one machine's on the internet.
    pub(crate) fn ban(
        &mut self,
        shared: &mut Shared,
        key: PeerKey,
        peer_id: Option<PeerId>,
        address: Option<SocketAddr>,
        reason: &str,
    ) {
        if let Some(peer_id) = peer_id
            && self.banned_ids.len() < MAX_BANNED_IDS
        {
            self.banned_ids.insert(peer_id);
        }
        if let Some(address) = address {
            self.candidates.ended(&shared.config, shared.now, address, Ending::Never);
            // Behind a private or loopback address there may be others.
            if anatomic_core::address::is_public(address.ip()) {
                shared.ban(address.ip());
            }
        }
        self.counters.banned += 1;
        shared.event(self.key, Event::PeerBanned { peer: key, address, reason: reason.to_owned() });
    }

    // ---- candidates and dials

    pub(crate) fn add_candidates(&mut self, shared: &mut Shared, source: Source, addresses: &[SocketAddr]) {
        if self.private
            && !matches!(source, Source::User | Source::Tracker | Source::Resume | Source::Incoming)
        {
            return;
        }
        for address in addresses {
            let address = anatomic_core::address::unmapped(*address);
            if source == Source::User || shared.config.addresses.allows(address) {
                self.candidates.add(&shared.config, shared.now, source, address);
            }
        }
        self.dial_more(shared);
    }

    pub(crate) fn dial_failed(&mut self, shared: &mut Shared, address: SocketAddr) {
        self.dials = self.dials.saturating_sub(1);
        self.candidates.failed(&shared.config, shared.now, address);
        self.dial_more(shared);
    }

    /// When [`dial_more`](Self::dial_more) may find somebody.
    pub(crate) fn next_dial(&self, config: &Config) -> Time {
        let full = self.members.len() + self.dials >= config.max_peers || self.dials >= config.max_dials;
        if full || !self.running {
            return Time::NEVER;
        }
        self.candidates.next_at().max(self.dial_not_before)
    }

    /// Begins as many dials as are allowed and worth while.
    pub(crate) fn dial_more(&mut self, shared: &mut Shared) {
        while self.next_dial(&shared.config) <= shared.now {
            if !shared.may_dial() {
                self.dial_not_before = shared.now + DIAL_PAUSE;
                break;
            }
            let Some(address) = self.candidates.next(shared.now, &mut shared.rng) else { break };
            if shared.is_banned(address.ip()) {
                self.candidates.ended(&shared.config, shared.now, address, Ending::Never);
                continue;
            }
            self.dials += 1;
            self.counters.dials += 1;
            shared.dial(self.key, address, self.candidates.encryption(address));
        }
    }

    // ---- trackers

    /// Sends the announces that are due.
    pub(crate) fn announce(&mut self, shared: &mut Shared, left: Option<u64>) {
        if !self.running {
            return;
        }
        while let Some(due) = self.announcer.poll(&shared.config, shared.now) {
            self.put_announce(shared, due.tracker, due.event, left);
        }
    }

    /// Tells the trackers that know us that we leave.
    pub(crate) fn announce_stopped(&mut self, shared: &mut Shared, left: Option<u64>) {
        for tracker in self.announcer.stop(shared.now) {
            self.put_announce(shared, tracker, AnnounceEvent::Stopped, left);
        }
    }

    fn put_announce(&self, shared: &mut Shared, tracker: usize, event: AnnounceEvent, left: Option<u64>) {
        let Some((url, tracker_id)) = self.announcer.tracker(tracker) else { return };
        let room = shared.config.max_peers.saturating_sub(self.members.len() + self.dials);
        let most = if self.announcer.is_websocket(tracker) {
            shared.config.want_offers
        } else {
            shared.config.want_peers
        };
        let want =
            if event == AnnounceEvent::Stopped { 0 } else { most.min(u32::try_from(room).unwrap_or(most)) };
        let request = AnnounceRequest {
            torrent: self.key,
            info_hash: self.info_hash,
            url: url.to_owned(),
            event,
            uploaded: self.counters.uploaded,
            downloaded: self.counters.downloaded,
            left,
            want,
            peer_id: shared.us,
            port: shared.config.listen_port,
            tracker_id: tracker_id.map(<[u8]>::to_vec),
        };
        shared.announce(tracker, request);
    }

    pub(crate) fn announced(
        &mut self,
        shared: &mut Shared,
        tracker: usize,
        result: Result<AnnounceReply, String>,
    ) {
        match result {
            Ok(reply) => {
                self.announcer.answered(shared.now, tracker, &reply);
                if let Some(warning) = reply.warning {
                    shared.event(self.key, Event::Warning(warning));
                }
                if self.running {
                    self.add_candidates(shared, Source::Tracker, &reply.peers);
                }
            }
            Err(why) => {
                if let Some((url, _)) = self.announcer.tracker(tracker) {
                    shared
                        .event(self.key, Event::Warning(format!("the tracker {url} did not answer: {why}")));
                }
                self.announcer.failed(shared.now, tracker, why);
            }
        }
    }

    // ---- limits and sending

    pub(crate) fn set_limits(&mut self, now: Time, limits: Limits) {
        self.limits.set(now, limits);
    }

    /// Bytes of payload that may be sent now, at once.
    pub(crate) fn upload_allowance(&mut self, shared: &mut Shared) -> u64 {
        let now = shared.now;
        let allowed = self.limits.up.available(now).min(shared.limits.up.available(now));
        if allowed == u64::MAX {
            return allowed;
        }
        // Shared among those who wait: a part at a time.
        if allowed == 0 { 0 } else { (allowed / 4).max(1) }
    }

    /// Requests that may be made now.
    pub(crate) fn request_allowance(&mut self, shared: &mut Shared) -> usize {
        let now = shared.now;
        let allowed = self.limits.down.available(now).min(shared.limits.down.available(now));
        if allowed == u64::MAX {
            return usize::MAX;
        }
        if allowed == 0 {
            self.download_blocked = true;
            self.wake_for(shared.limits.down.ready_at().max(self.limits.down.ready_at()));
        }
        usize::try_from(allowed.div_ceil(u64::from(anatomic_core::BLOCK_LEN))).unwrap_or(usize::MAX)
    }

    /// Counts requests against the limits.
    pub(crate) fn requested(&mut self, shared: &mut Shared, bytes: u64) {
        self.limits.down.take(shared.now, bytes);
        shared.limits.down.take(shared.now, bytes);
    }

    fn wake_for(&mut self, at: Time) {
        self.limit_wake = self.limit_wake.min(at);
    }

    /// Lets a peer send into `into`; bytes written.
    pub(crate) fn transmit(
        &mut self,
        shared: &mut Shared,
        key: PeerKey,
        room: usize,
        into: &mut Vec<u8>,
    ) -> usize {
        let now = shared.now;
        let allowance = self.upload_allowance(shared);
        let Some(member) = self.members.get_mut(key) else { return 0 };
        let written = member.peer.transmit(now, room, allowance, into);
        let blocked = member.peer.has_payload() && written.payload >= allowance;
        if written.bytes == 0 {
            let waits_for_room = room < crate::MIN_ROOM
                && (member.peer.has_control() || (member.peer.has_payload() && allowance > 0));
            member.signalled = waits_for_room;
        }
        self.counters.requests += written.requests;
        self.counters.served += written.blocks;
        if written.payload > 0 {
            self.counters.uploaded += written.payload;
            self.up.add(now, written.payload);
            self.limits.up.take(now, written.payload);
            shared.limits.up.take(now, written.payload);
        }
        if blocked {
            self.upload_blocked = true;
            self.wake_for(
                shared
                    .limits
                    .up
                    .ready_at()
                    .max(self.limits.up.ready_at())
                    .max(now + Duration::from_millis(1)),
            );
        }
        written.bytes
    }

    /// Tells the driver of the peers that have something to send.
    pub(crate) fn flush(&mut self, shared: &mut Shared) {
        let mut allowance = None;
        while let Some(key) = self.members.take_touched() {
            let Some(member) = self.members.get_mut(key) else { continue };
            if member.signalled {
                continue;
            }
            let mut ready = member.peer.has_control();
            if !ready && member.peer.has_payload() {
                let allowed = match allowance {
                    Some(allowed) => allowed,
                    None => {
                        let allowed = self.upload_allowance(shared) > 0;
                        allowance = Some(allowed);
                        allowed
                    }
                };
                ready = allowed;
                if !allowed {
                    self.upload_blocked = true;
                    self.wake_for(shared.limits.up.ready_at().max(self.limits.up.ready_at()));
                }
            }
            if ready && let Some(member) = self.members.get_mut(key) {
                member.signalled = true;
                shared.outputs.push_back(Output::Transmit { peer: key });
            }
        }
    }
}
