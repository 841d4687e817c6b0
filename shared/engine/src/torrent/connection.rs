//! A torrent's connections: from the handshake to the end.
//!
//! Which to keep is the swarm's judgement; what their messages mean for pieces, the body's.

use super::swarm::Verdict;
use super::{Body, TICK, Torrent, store};
use crate::add::Source;
use crate::keys::PeerKey;
use crate::link::{Direction, Transport};
use crate::output::CloseReason;
use crate::peer::{Opening, Peer, PeerEvent};
use crate::shared::Shared;
use crate::view::Behind;
use anatomic_wire::handshake::Handshake;
use bytes::Bytes;
use std::net::SocketAddr;

impl Torrent {
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
    pub(super) fn read_on(&mut self, shared: &mut Shared, key: PeerKey) {
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

    pub(super) fn on_event(&mut self, shared: &mut Shared, key: PeerKey, event: PeerEvent) {
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
            PeerEvent::Hosts(hosts) => self.on_hosts(shared, key, hosts),
            PeerEvent::Introduction(introduction) => self.on_introduction(shared, key, introduction),
            #[cfg(feature = "classic")]
            PeerEvent::Exchange(news) => self.on_exchange(shared, key, &news),
            PeerEvent::Extended => {
                self.extended(shared, key);
                self.pass_on(shared, key, PeerEvent::Extended);
            }
            event => self.pass_on(shared, key, event),
        }
    }

    pub(super) fn pass_on(&mut self, shared: &mut Shared, key: PeerKey, event: PeerEvent) {
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

    pub(super) fn handshaked(&mut self, shared: &mut Shared, key: PeerKey, handshake: Handshake) {
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
            Body::Bridge(bridge) => Some(bridge.opening(transport)),
        };
        let opening = Opening {
            pieces,
            geometry: self.metainfo.as_ref().map(|metainfo| metainfo.geometry()),
            metadata: self.metainfo.as_ref().map(|metainfo| metainfo.info_bytes().clone()),
            upload_only: matches!(&self.body, Body::Store(store) if store.is_done()),
            introduces: !self.swarm.private,
        };
        let Some(peer) = self.swarm.members.tell(key) else { return };
        if let Err(reason) = peer.open(opening) {
            self.close(shared, key, reason);
            return;
        }
        self.opened(shared, key);
    }

    /// The connection is open and the torrent's size known.
    pub(super) fn opened(&mut self, shared: &mut Shared, key: PeerKey) {
        match &mut self.body {
            Body::Awaiting(_) => {}
            Body::Store(store) => store.opened(&mut self.swarm, shared, key),
            Body::Bridge(bridge) => bridge.opened(&mut self.swarm.members, key),
        }
    }

    pub(super) fn extended(&mut self, shared: &mut Shared, key: PeerKey) {
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
        if self.swarm.members.get(key).is_some_and(|member| member.peer.introduces()) {
            self.introductions.hurry(shared.now);
        }
        self.tell_hosts(key);
        if let (Body::Awaiting(fetch), Some(size)) = (&mut self.body, size) {
            fetch.add_source(shared.now, key, size);
            self.ask_metadata(shared.now, Some(key));
        }
    }

    /// False if the connection was closed.
    pub(super) fn judge(&mut self, shared: &mut Shared, key: PeerKey, handshake: &Handshake) -> bool {
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
    pub(super) fn close(&mut self, shared: &mut Shared, key: PeerKey, reason: CloseReason) {
        self.part(shared, key, Some(&reason));
        shared.close(key, reason);
    }

    /// A connection is gone.
    pub(crate) fn lost(&mut self, shared: &mut Shared, key: PeerKey) {
        self.part(shared, key, None);
    }

    pub(super) fn part(&mut self, shared: &mut Shared, key: PeerKey, reason: Option<&CloseReason>) {
        let Some(member) = self.swarm.members.remove(key) else { return };
        self.swarm.departed(shared, &member, reason);
        if member.peer.introduces() {
            self.introductions.hurry(shared.now);
            self.lost_introducer(shared, key);
        }
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

    pub(super) fn ban_culprit(&mut self, shared: &mut Shared, culprit: store::Culprit) {
        let reason = format!("it sent bad data in piece {}", culprit.piece.0);
        self.swarm.ban(shared, culprit.peer, culprit.peer_id, culprit.address, &reason);
        self.close(shared, culprit.peer, CloseReason::Banned);
    }

    pub(super) fn ban(&mut self, shared: &mut Shared, key: PeerKey, reason: &str) {
        let (peer_id, address) = self
            .swarm
            .members
            .get(key)
            .map_or((None, None), |member| (member.peer.peer_id(), member.peer.link().address));
        self.swarm.ban(shared, key, peer_id, address, reason);
        self.close(shared, key, CloseReason::Banned);
    }
}
