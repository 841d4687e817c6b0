//! Browsers come and go, and their offers and answers are passed on: announces over WebSocket.
//!
//! Under the lock of the swarm's shard; the door ([`super::socket`]) speaks.

use super::limits::Full;
use super::swarm::{Browser, Post, Swarm, Target};
use super::swarms::{Change, Shard, Socket, SocketId, Swarms};
use anatomic_core::{InfoHash, PeerId};
use anatomic_mesh::sharing::Contact;
use anatomic_wire::tracker::Event;
use anatomic_wire::tracker::scrape::SwarmCounts;
use anatomic_wire::tracker::websocket::{Offer, ServerMessage, WsAnnounce};
use std::sync::atomic::Ordering;
use std::time::Instant;

impl Swarms {
    /// Takes note of a browser and passes each of its `offers` to another one, drawn at random.
    ///
    /// A peer id that another socket has is taken over if that socket comes from the same address or has long been
    /// silent: a tab that lost its socket comes back before the old one is known to be dead.
    ///
    /// # Errors
    /// [`Full`] if it is a newcomer and there is no room.
    pub fn announce_browser(
        &self,
        now: Instant,
        socket: &Socket,
        announce: &WsAnnounce,
        offers: Vec<Offer>,
    ) -> Result<SwarmCounts, Full> {
        let info_hash = announce.info_hash;
        let mut shard = self.shard(&info_hash);
        shard.touch(&info_hash);
        shard.changed(&info_hash, Contact::Browser(announce.peer_id));
        let Shard { swarms, rng, changed, .. } = &mut *shard;
        if announce.event == Some(Event::Stopped) {
            let Some(swarm) = swarms.get_mut(&info_hash) else { return Ok(SwarmCounts::default()) };
            if swarm.remove_browser(&socket.id) {
                self.note(&info_hash, -1, Change::BrowserWent);
            }
            return Ok(swarm.counts(&self.hasher));
        }
        let seed = announce.left == Some(0);
        self.take_over(now, swarms.get_mut(&info_hash), socket, announce)?;
        let known = swarms.get_mut(&info_hash).filter(|swarm| {
            swarm.browsers.as_ref().is_some_and(|browsers| browsers.roster.get(&socket.id).is_some())
        });
        let swarm = match known {
            Some(swarm) => {
                let was = swarm.browsers.as_mut().and_then(|browsers| {
                    let browser = browsers.roster.get_mut(&socket.id)?;
                    browser.seen = now;
                    let old_id = std::mem::replace(&mut browser.peer_id, announce.peer_id);
                    let was = std::mem::replace(&mut browser.seed, seed);
                    if old_id != announce.peer_id {
                        browsers.by_peer_id.remove(&old_id);
                        if let Some(changed) = changed {
                            changed.entry(info_hash).or_default().insert(Contact::Browser(old_id));
                        }
                        browsers.by_peer_id.insert(announce.peer_id, socket.id);
                    }
                    Some(was)
                });
                swarm.recount(was.unwrap_or(false), seed);
                if announce.event == Some(Event::Completed) && was == Some(false) {
                    swarm.completed();
                }
                swarm
            }
            None => {
                let swarm = self.swarm(swarms, info_hash)?;
                let browser = Browser {
                    socket: socket.clone(),
                    peer_id: announce.peer_id,
                    seed,
                    seen: now,
                    offers: Vec::new(),
                };
                let browsers = swarm.browsers.get_or_insert_default();
                browsers.roster.insert(socket.id, browser);
                browsers.by_peer_id.insert(announce.peer_id, socket.id);
                if let Some(mates) = &mut swarm.mates
                    && mates.tab_went(None, &announce.peer_id)
                {
                    self.at_mates.fetch_sub(1, Ordering::Relaxed);
                }
                swarm.recount(false, seed);
                self.note(&info_hash, 1, Change::BrowserCame);
                swarm
            }
        };
        let lifetime = u32::try_from(self.limits.offer_lifetime.as_secs()).unwrap_or(u32::MAX);
        let offered = offers.len();
        let speaker = self.speaker();
        let post = Post { from: socket.id, info_hash, offers, speaker };
        let elsewhere = swarm.pass_offers(self.second(now), rng, &self.hasher, post, lifetime);
        let dropped = offered.saturating_sub(elsewhere.passed);
        for (counter, more) in self.offers.iter().zip([elsewhere.passed, dropped]) {
            counter.fetch_add(more as u64, Ordering::Relaxed);
        }
        match speaker {
            Some(speaker) => self.send_abroad_by(speaker, info_hash, announce.peer_id, elsewhere.sisters),
            None => self.send_abroad(info_hash, announce.peer_id, elsewhere.sisters),
        }
        self.send_to_mates(info_hash, announce.peer_id, elsewhere.mates);
        Ok(swarm.counts(&self.hasher))
    }

    /// Removes another socket with the peer id of this announce, if this one may take its place.
    fn take_over(
        &self,
        now: Instant,
        swarm: Option<&mut Swarm>,
        socket: &Socket,
        announce: &WsAnnounce,
    ) -> Result<(), Full> {
        let Some(swarm) = swarm else { return Ok(()) };
        let Some(browsers) = &swarm.browsers else { return Ok(()) };
        let Some(other) = browsers.by_peer_id.get(&announce.peer_id).copied() else { return Ok(()) };
        let Some(old) = browsers.roster.get(&other).filter(|_| other != socket.id) else { return Ok(()) };
        let silent = now.saturating_duration_since(old.seen) > self.limits.silent;
        if old.socket.ip != socket.ip && !silent && !old.socket.outbox.is_closed() {
            return Err(Full::Address);
        }
        swarm.remove_browser(&other);
        self.note(&announce.info_hash, -1, Change::BrowserWent);
        Ok(())
    }

    /// Passes an answer to whoever made the offer, if that offer was passed to this socket and is still open.
    /// Returns whether it was.
    pub fn answer(
        &self,
        now: Instant,
        from: SocketId,
        info_hash: InfoHash,
        to: &PeerId,
        answer: Offer,
    ) -> bool {
        let mut shard = self.shard(&info_hash);
        let Some(Swarm { browsers: Some(browsers), visiting, mates, .. }) = shard.swarms.get_mut(&info_hash)
        else {
            return false;
        };
        let Some(answerer) = browsers.roster.get_mut(&from) else { return false };
        answerer.seen = now;
        let peer_id = answerer.peer_id;
        if let Some(sister) = visiting.as_mut().and_then(|visiting| visiting.answered(from, to, &answer)) {
            return self.answer_abroad(sister, info_hash, *to, peer_id, answer);
        }
        if let Some(mate) = mates.as_mut().and_then(|mates| mates.answered(from, to, &answer)) {
            return self.answer_to_mate(mate, info_hash, *to, peer_id, answer);
        }
        let Some(offerer) = browsers.by_peer_id.get(to).and_then(|id| browsers.roster.get_mut(id)) else {
            return false;
        };
        if !offerer.answered(&answer.id, &Target::Socket(from)) {
            return false;
        }
        offerer.socket.pass(ServerMessage::Answer { info_hash, peer_id, answer })
    }

    /// Forgets a closed socket in a swarm, if it is still the one that is known there.
    pub fn disconnect(&self, socket: SocketId, info_hash: &InfoHash) {
        let mut shard = self.shard(info_hash);
        if let Some(swarm) = shard.swarms.get_mut(info_hash)
            && let Some(peer_id) = swarm.browser_at(&socket)
            && swarm.remove_browser(&socket)
        {
            if swarm.is_empty() {
                shard.swarms.remove(info_hash);
                self.swarms.fetch_sub(1, Ordering::Relaxed);
            }
            shard.touch(info_hash);
            shard.changed(info_hash, Contact::Browser(peer_id));
            self.note(info_hash, -1, Change::BrowserWent);
        }
    }
}
