//! Peers that introduce their peers to each other, so that a swarm of data channels outlives its trackers (`an_intro`,
//! PROTOCOL.md).
//!
//! Makes no connection: offers and answers are texts that the driver writes and reads, and here is who passes on what to
//! whom. Three parts that every client plays: it *asks* while it lacks peers, it *answers* where there is room, and as an
//! introducer it passes an offer on, one hop and to one peer, and the answer back.

use super::Torrent;
use crate::config::Role;
use crate::keys::{IntroductionKey, PeerKey};
use crate::link::Transport;
use crate::output::{CloseReason, Step};
use crate::peer::Misbehaviour;
use crate::shared::Shared;
use anatomic_core::{PeerId, Time};
use anatomic_wire::extended::{Introduction, MAX_KNOWN, ShortId};
use anatomic_wire::tracker::websocket::{Offer, OfferId, within_limits};
use std::time::Duration;

/// Data channels with others than nodes that a leech wants; with fewer it asks its peers for more.
const WANTED: usize = 4;
/// How long it has fewer before it asks, since trackers bring most in a moment; doubled with each time it asks.
const FIRST: Duration = Duration::from_secs(10);
/// Longest such wait.
const LONGEST: Duration = Duration::from_secs(600);
/// Time for the driver to describe a connection.
const DESCRIBED_WITHIN: Duration = Duration::from_secs(15);
/// How long an offer waits for its answer, here and at the introducer: as long as a tracker's (WebTorrent: 50 s).
const ANSWERED_WITHIN: Duration = Duration::from_secs(50);
/// Offers passed on that wait for their answers.
const MAX_ROUTES: usize = 32;
/// The same for one asker, who has no reason for more than one.
const MAX_ROUTES_OF_ONE: usize = 2;
/// Answers being described at a time.
const MAX_ANSWERING: usize = 4;
/// An offer more may be sent to a peer, or heard from it, every so often.
const PACE: Duration = Duration::from_secs(3);
/// Offers passed to one peer at once, at most.
const BURST_TOLD: u32 = 4;
/// The same heard from one peer: more, since the network brings together what was sent apart.
const BURST_HEARD: u32 = 8;
/// Offers and answers beyond the pace that are only skipped.
const MAX_EXCESS: u32 = 64;

/// What goes on in one torrent.
#[derive(Debug, Default)]
pub(super) struct Introductions {
    asked: Option<Asked>,
    /// While peers are lacking: when to ask next, and how long to wait after that.
    lacking: Option<(Time, Duration)>,
    answering: Vec<Answering>,
    routes: Vec<Route>,
}

/// Our own offer.
#[derive(Debug)]
struct Asked {
    key: IntroductionKey,
    introducer: PeerKey,
    /// By which the answer finds it; `None` while it is being described.
    id: Option<OfferId>,
    until: Time,
}

/// Our answer to an offer, being described.
#[derive(Debug)]
struct Answering {
    key: IntroductionKey,
    introducer: PeerKey,
    id: OfferId,
    until: Time,
}

/// An offer that we passed on.
#[derive(Debug)]
struct Route {
    id: OfferId,
    asker: PeerKey,
    target: PeerKey,
    until: Time,
}

/// How a connection keeps to the pace.
#[derive(Debug, Default)]
pub(crate) struct Manners {
    heard: Pace,
    told: Pace,
    excess: u32,
    /// When we last asked it.
    asked: Time,
}

/// So many at once, and one more every [`PACE`].
#[derive(Debug, Default)]
struct Pace {
    /// When all that was counted is worn off.
    clear: Time,
}

impl Pace {
    fn allows(&self, now: Time, burst: u32) -> bool {
        self.clear + PACE <= now + PACE * burst
    }

    /// Counts one more, if it is allowed.
    fn take(&mut self, now: Time, burst: u32) -> bool {
        let allowed = self.allows(now, burst);
        if allowed {
            self.clear = self.clear.max(now) + PACE;
        }
        allowed
    }
}

impl Introductions {
    /// Peers came or went: who lacks some asks again soon.
    pub(super) fn hurry(&mut self, now: Time) {
        if let Some((at, wait)) = &mut self.lacking {
            *at = (*at).min(now + FIRST);
            *wait = FIRST * 2;
        }
    }

    /// Whether it is time to ask. To be called often.
    fn is_due(&mut self, now: Time, lacks: bool) -> bool {
        let (due, wait) = match self.lacking {
            _ if !lacks => (false, None),
            None => (false, Some((now + FIRST, FIRST * 2))),
            Some((at, wait)) if at <= now => (true, Some((now + wait, (wait * 2).min(LONGEST)))),
            waiting => (false, waiting),
        };
        self.lacking = wait;
        due
    }
}

impl Torrent {
    /// About a second passed: gives up what took too long, and asks if peers are lacking.
    pub(super) fn introduce(&mut self, shared: &mut Shared) {
        let now = shared.now;
        self.give_up(shared, &|_, until| until <= now);
        let lacks = self.lacks_peers(shared);
        if !self.introductions.is_due(now, lacks) || self.introductions.asked.is_some() {
            return;
        }
        // In turn: what one cannot give, the next may.
        let able = self.swarm.members.iter().filter(|(_, member)| member.peer.introduces());
        let Some(introducer) =
            able.min_by_key(|(key, member)| (member.manners.asked, *key)).map(|(key, _)| key)
        else {
            return;
        };
        if let Some(member) = self.swarm.members.get_mut(introducer) {
            member.manners.asked = now;
        }
        let key = shared.introduce(self.swarm.key, Step::Offer);
        let until = now + DESCRIBED_WITHIN;
        self.introductions.asked = Some(Asked { key, introducer, id: None, until });
    }

    /// The driver described our offer or our answer, or could not.
    pub(crate) fn described(&mut self, shared: &mut Shared, key: IntroductionKey, sdp: Option<String>) {
        let now = shared.now;
        let sdp = sdp.filter(|sdp| within_limits(sdp));
        if let Some(asked) = &mut self.introductions.asked
            && asked.key == key
        {
            let (introducer, id) = (asked.introducer, OfferId(std::array::from_fn(|_| shared.rng.u8(..))));
            asked.id = Some(id);
            asked.until = now + ANSWERED_WITHIN;
            let ids = self.swarm.members.iter().filter_map(|(_, member)| member.peer.peer_id());
            let known = ids.map(ShortId::from).take(MAX_KNOWN).collect();
            let ask = sdp.map(|sdp| Introduction::Ask { offer: Offer { id, sdp }, known });
            if ask.is_some_and(|ask| self.say(introducer, &ask)) {
                self.swarm.counters.introductions_asked += 1;
            } else {
                self.introductions.asked = None;
                shared.end_introduction(key, Step::Drop);
            }
            return;
        }
        let Some(at) = self.introductions.answering.iter().position(|answering| answering.key == key) else {
            return;
        };
        let Answering { introducer, id, .. } = self.introductions.answering.swap_remove(at);
        shared.introductions.remove(key);
        let answer = match sdp {
            Some(sdp) => {
                self.swarm.counters.introductions_answered += 1;
                Introduction::Answer(Offer { id, sdp })
            }
            None => Introduction::Refusal(id),
        };
        self.say(introducer, &answer);
    }

    pub(super) fn on_introduction(&mut self, shared: &mut Shared, key: PeerKey, said: Introduction) {
        let (id, answer) = match said {
            Introduction::Ask { offer, known } if self.is_in_pace(shared, key) => {
                return self.pass_offer_on(shared, key, offer, &known);
            }
            Introduction::Offer { offer, from } if self.is_in_pace(shared, key) => {
                return self.answer_offer(shared, key, offer, from);
            }
            Introduction::Ask { .. } | Introduction::Offer { .. } | Introduction::Unknown => return,
            Introduction::Answer(answer) => (answer.id, Some(answer.sdp)),
            Introduction::Refusal(id) => (id, None),
        };
        let ours = |asked: &mut Asked| asked.introducer == key && asked.id == Some(id);
        if let Some(asked) = self.introductions.asked.take_if(ours) {
            shared.end_introduction(asked.key, answer.map_or(Step::Drop, Step::Accept));
            return;
        }
        let routes = &mut self.introductions.routes;
        if let Some(at) = routes.iter().position(|route| route.target == key && route.id == id) {
            let asker = routes.swap_remove(at).asker;
            let back =
                answer.map_or(Introduction::Refusal(id), |sdp| Introduction::Answer(Offer { id, sdp }));
            self.say(asker, &back);
        } else {
            // Too late, or to nothing.
            self.is_in_pace(shared, key);
        }
    }

    /// As introducer: gives an offer to one of our peers that its maker does not know.
    fn pass_offer_on(&mut self, shared: &mut Shared, asker: PeerKey, offer: Offer, known: &[ShortId]) {
        let now = shared.now;
        let from = self.swarm.members.get(asker).and_then(|member| member.peer.peer_id());
        let routes = &self.introductions.routes;
        let open = routes.iter().filter(|route| route.asker == asker).count();
        let has_room = routes.len() < MAX_ROUTES && open < MAX_ROUTES_OF_ONE && self.may_introduce();
        let suits = |key: PeerKey, peer_id: PeerId| {
            // Of two offers with one id the answers could not be told apart.
            let is_new =
                |route: &Route| route.target != key || (route.asker != asker && route.id != offer.id);
            Some(peer_id) != from && !known.contains(&peer_id.into()) && routes.iter().all(is_new)
        };
        let able = self.swarm.members.iter().filter(|(key, member)| {
            has_room
                && member.peer.introduces()
                && member.manners.told.allows(now, BURST_TOLD)
                && member.peer.peer_id().is_some_and(|peer_id| suits(*key, peer_id))
        });
        let able: Vec<PeerKey> = able.map(|(key, _)| key).collect();
        let id = offer.id;
        if let (Some(target), Some(from)) = (shared.rng.choice(able), from)
            && self.say(target, &Introduction::Offer { offer, from })
        {
            if let Some(member) = self.swarm.members.get_mut(target) {
                member.manners.told.take(now, BURST_TOLD);
            }
            self.introductions.routes.push(Route { id, asker, target, until: now + ANSWERED_WITHIN });
            self.swarm.counters.introductions_made += 1;
        } else {
            self.say(asker, &Introduction::Refusal(id));
        }
    }

    /// Has an offer answered that a peer passed on, if its maker is new and there is room.
    fn answer_offer(&mut self, shared: &mut Shared, introducer: PeerKey, offer: Offer, from: PeerId) {
        let is_known = || self.swarm.members.iter().any(|(_, member)| member.peer.peer_id() == Some(from));
        if !self.may_introduce()
            || !self.swarm.has_room(&shared.config)
            || shared.routes.len() >= shared.config.max_peers_total
            || self.introductions.answering.len() >= MAX_ANSWERING
            || from == shared.us
            || self.swarm.is_banned(from)
            || is_known()
        {
            self.say(introducer, &Introduction::Refusal(offer.id));
            return;
        }
        let key = shared.introduce(self.swarm.key, Step::Answer(offer.sdp));
        let until = shared.now + DESCRIBED_WITHIN;
        self.introductions.answering.push(Answering { key, introducer, id: offer.id, until });
    }

    /// A connection is gone, and with it the ways that led over it.
    pub(super) fn lost_introducer(&mut self, shared: &mut Shared, gone: PeerKey) {
        self.give_up(shared, &|over, _| over.contains(&gone));
    }

    /// All traffic stops.
    pub(super) fn end_introductions(&mut self, shared: &mut Shared) {
        self.give_up(shared, &|_, _| true);
        self.introductions.lacking = None;
    }

    /// Gives up whatever `is_over`, by the connections that it goes over and the time that it has.
    fn give_up(&mut self, shared: &mut Shared, is_over: &dyn Fn(&[PeerKey], Time) -> bool) {
        let Introductions { asked, answering, routes, .. } = &mut self.introductions;
        let mut dropped = Vec::new();
        if let Some(asked) = asked.take_if(|asked| is_over(&[asked.introducer], asked.until)) {
            dropped.push(asked.key);
        }
        answering.retain(|answering| {
            let stays = !is_over(&[answering.introducer], answering.until);
            if !stays {
                dropped.push(answering.key);
            }
            stays
        });
        let mut refused = Vec::new();
        routes.retain(|route| {
            let stays = !is_over(&[route.asker, route.target], route.until);
            if !stays {
                refused.push((route.asker, route.id));
            }
            stays
        });
        for key in dropped {
            shared.end_introduction(key, Step::Drop);
        }
        for (asker, id) in refused {
            // If the asker itself is gone, nobody is told.
            self.say(asker, &Introduction::Refusal(id));
        }
    }

    /// Whether peers may be introduced: the torrent is known, and known not to be private (BEP 27).
    fn may_introduce(&self) -> bool {
        self.swarm.running && self.metainfo.is_some() && !self.swarm.private
    }

    fn lacks_peers(&self, shared: &Shared) -> bool {
        let is_direct = |(_, member): &(PeerKey, &super::member::Member)| {
            member.peer.link().transport == Transport::WebRtc && member.peer.role() == Role::Client
        };
        self.may_introduce()
            && self.is_leeching()
            && self.swarm.has_room(&shared.config)
            && self.swarm.members.iter().filter(is_direct).count() < WANTED
    }

    fn say(&mut self, key: PeerKey, introduction: &Introduction) -> bool {
        self.swarm.members.tell(key).is_some_and(|peer| peer.introduce(introduction))
    }

    /// Counts what a peer sent against its pace; who does not care is closed in the end.
    fn is_in_pace(&mut self, shared: &mut Shared, key: PeerKey) -> bool {
        let Some(member) = self.swarm.members.get_mut(key) else { return false };
        if member.manners.heard.take(shared.now, BURST_HEARD) {
            return true;
        }
        member.manners.excess += 1;
        if member.manners.excess > MAX_EXCESS {
            self.close(shared, key, CloseReason::Misbehaved(Misbehaviour::IntroductionsRepeated));
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_lacks_peers_asks_after_a_while_and_then_ever_more_rarely() {
        let mut introductions = Introductions::default();
        let at = |second| Time::ZERO + Duration::from_secs(second);
        let mut asked = |from: u64, to: u64| -> Vec<u64> {
            (from..to).filter(|second| introductions.is_due(at(*second), true)).collect()
        };
        assert_eq!(asked(0, 3_000), [10, 30, 70, 150, 310, 630, 1_230, 1_830, 2_430]);
        introductions.hurry(at(3_000));
        assert!(!introductions.is_due(at(3_009), true) && introductions.is_due(at(3_010), true));
        assert!(!introductions.is_due(at(3_011), false), "enough");
        assert!(!introductions.is_due(at(9_000), true), "and then too few anew");
    }

    #[test]
    fn a_pace_allows_a_burst_and_then_one_at_a_time() {
        let mut pace = Pace::default();
        let taken =
            |pace: &mut Pace, second| (0..10).filter(|_| pace.take(Time::from_secs(second), 4)).count();
        assert_eq!([100, 100, 102, 103, 109, 200].map(|second| taken(&mut pace, second)), [4, 0, 0, 1, 2, 4]);
    }
}
