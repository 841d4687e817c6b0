//! Offers being described, and the announces that carry them.
//!
//! An offer for an introduction by a peer is a draft too: only where it goes differs. Sends nothing itself.

use super::conns::Origin;
use super::{Effect, Signalling};
use crate::protocol::rtc::{Conn, Gathering, RtcCommand};
use anatomic_core::{InfoHash, Time};
use anatomic_wire::tracker::Event;
use anatomic_wire::tracker::websocket::{ClientMessage, Offer, WsAnnounce};
use std::time::Duration;

/// How long offers wait for the node's STUN to be known.
const STUN_PATIENCE: Duration = Duration::from_secs(2);

/// An announce that waits for the node's STUN.
pub(super) struct Postponed {
    pub(super) url: String,
    pub(super) info_hash: InfoHash,
    pub(super) event: Option<Event>,
    pub(super) offers: u32,
    pub(super) until: Time,
}

/// Offers that are being described, to be sent together.
pub(super) struct Draft {
    pub(super) origin: Origin,
    pub(super) info_hash: InfoHash,
    pub(super) event: Option<Event>,
    pub(super) waiting: Vec<Conn>,
    pub(super) ready: Vec<(Conn, Offer)>,
}

impl Signalling {
    /// Begins an announce: asks for its offers, and sends it when they are described.
    ///
    /// The node behind the tracker is asked first and apart, unless we are connected with it: it needs to know no more
    /// of us than that we are here. And it must not be our STUN server at the same time: Chromium takes whatever comes
    /// from the address of a STUN server for its answers, so the node's packets would be lost.
    pub(super) fn draft(&mut self, now: Time, url: &str, info_hash: InfoHash, event: Option<Event>) {
        let want = self.find(url).map_or(0, |tracker| tracker.want(info_hash));
        let want = if event == Some(Event::Completed) { 0 } else { want };
        let has_node = || self.find(url).is_some_and(|tracker| tracker.has_node(info_hash));
        let node = Origin::Node(url.to_owned());
        let to_node = want > 0
            && (event == Some(Event::Started) || has_node())
            && self.conns.count(&node, info_hash) == 0;
        if to_node {
            self.begin(now, node, info_hash, event, 1);
        }
        let event = if to_node { None } else { event };
        let offers = want - u32::from(to_node);
        if self.stun.is_none() && offers > 0 {
            // Without it two tabs behind routers, or behind mDNS names, do not find each other.
            let until = now + STUN_PATIENCE;
            self.postponed.push(Postponed { url: url.to_owned(), info_hash, event, offers, until });
        } else if offers > 0 || !to_node {
            self.begin(now, Origin::Tracker(url.to_owned()), info_hash, event, offers);
        }
        self.send_ready(now);
    }

    /// Asks for offers.
    pub(super) fn begin(
        &mut self,
        now: Time,
        origin: Origin,
        info_hash: InfoHash,
        event: Option<Event>,
        offers: u32,
    ) {
        let gathering = match origin {
            Origin::Node(_) => Gathering::Quick,
            Origin::Tracker(_) | Origin::Peer(_) => Gathering::Thorough,
        };
        let count = offers.min(self.conns.allowance(now));
        let waiting: Vec<Conn> = (0..count).map(|_| self.conns.offer(origin.clone(), info_hash)).collect();
        for conn in &waiting {
            let stun = self.stun.clone().unwrap_or_default();
            self.effects.push_back(Effect::Rtc(RtcCommand::Offer { conn: *conn, gathering, stun }));
        }
        self.drafts.push(Draft { origin, info_hash, event, waiting, ready: Vec::new() });
    }

    pub(super) fn send_ready(&mut self, now: Time) {
        while let Some(at) = self.drafts.iter().position(|draft| draft.waiting.is_empty()) {
            let Draft { origin, info_hash, event, ready, .. } = self.drafts.swap_remove(at);
            for (conn, offer) in &ready {
                self.conns.offered(now, *conn, offer.id);
            }
            let mut offers = ready.into_iter().map(|(_, offer)| offer);
            match origin {
                Origin::Peer(key) => {
                    let sdp = offers.next().map(|offer| offer.sdp);
                    self.effects.push_back(Effect::Described(key, sdp));
                }
                origin => self.send_announce(now, &origin, info_hash, event, offers.collect()),
            }
        }
    }

    /// Announces to the tracker that `to` names.
    pub(super) fn send_announce(
        &mut self,
        now: Time,
        to: &Origin,
        info_hash: InfoHash,
        event: Option<Event>,
        offers: Vec<Offer>,
    ) {
        let Some(url) = to.tracker() else { return };
        let Some(tracker) = self.trackers.iter_mut().find(|tracker| tracker.url == url) else { return };
        let peer_id = tracker.peer_id;
        let Some(request) = tracker.announcing(now, info_hash) else { return };
        let count = u32::try_from(offers.len()).unwrap_or(u32::MAX);
        let message = ClientMessage::Announce(WsAnnounce {
            info_hash,
            peer_id,
            uploaded: request.uploaded,
            downloaded: request.downloaded,
            left: request.left,
            event,
            want: Some(count),
            tracker_id: request.tracker_id.as_deref().map(|id| String::from_utf8_lossy(id).into_owned()),
            for_node: Some(if matches!(to, Origin::Node(_)) { count } else { 0 }),
            offers,
        });
        self.effects.push_back(Effect::Send(url.to_owned(), message.encode()));
    }

    /// Gives up the offers that a tracker will pass to nobody.
    pub(super) fn take_back(&mut self, now: Time, url: &str, info_hash: InfoHash) {
        self.drop_drafts(url, info_hash);
        for conn in self.conns.unanswered(url, info_hash) {
            self.drop_conn(now, conn);
        }
    }

    pub(super) fn drop_drafts(&mut self, url: &str, info_hash: InfoHash) {
        self.drafts.retain(|draft| draft.origin.tracker() != Some(url) || draft.info_hash != info_hash);
        self.postponed.retain(|wait| wait.url != url || wait.info_hash != info_hash);
    }
}
