//! Who holds which torrent: receipts that are shown, sisters that are looked for, lost and replaced.
//!
//! Asks the driver to speak with supernodes; opens no connection beyond [`Output::Dial`].

use super::message::Message;
use super::node::{Output, Sharing, Timer};
use super::sister::{ConnectionId, Shown};
use crate::identity::Key;
use crate::receipt::{MAX_LEASE, Receipt};
use crate::signed::{self, Signed};
use anatomic_core::bencode::{self, Limits};
use anatomic_core::{InfoHash, Time};
use std::time::Duration;

/// A torrent whose nodes are all there is looked at this often.
const CALM: Duration = Duration::from_secs(600);
/// One that lacks nodes is looked at after so many seconds, and then ever after the last of them.
const UNEASY: [u64; 6] = [1, 3, 8, 15, 30, 60];
/// How long to wait for a replacement before another is sought; doubled each time.
const REPLACE_AGAIN: Duration = Duration::from_secs(60);
/// So long after a torrent came here its receipt names sisters that have not appeared though as many others have: its planter
/// may still be on the way to them.
const APPEAR: Duration = Duration::from_secs(30);
/// How long the node with the smallest key has to seek a replacement before the one with the next key does: the first may not
/// know yet that a sister is lost, or not wish to.
const TURN: Duration = Duration::from_secs(12);

/// Why a receipt of a sister brings nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotIntroduced {
    /// This node does not hold the torrent.
    #[error("this node does not hold that torrent")]
    Unknown,
    /// It is a receipt of this node itself.
    #[error("it is this node's own receipt")]
    Own,
    /// The lease has ended or is not believed.
    #[error("the lease has ended")]
    Lease,
    /// The torrent has as many nodes as it may.
    #[error("the torrent has as many nodes as it may")]
    Crowded,
}

impl Sharing {
    /// Makes known who else holds a torrent: from a supernode, another sister, or the data folder.
    ///
    /// # Errors
    /// Why it brings nothing.
    pub fn introduce(&mut self, now: Time, receipt: &Signed<Receipt>) -> Result<(), NotIntroduced> {
        let (key, info_hash) = (receipt.node, receipt.info_hash);
        if key == self.key {
            return Err(NotIntroduced::Own);
        }
        let (wall, skew) = (self.wall(now), self.config.skew.as_secs());
        let sane = receipt.expires.0 <= receipt.issued.0.saturating_add(MAX_LEASE);
        if !sane || receipt.expires.0.saturating_add(skew) < wall || receipt.issued.0 > wall + skew {
            return Err(NotIntroduced::Lease);
        }
        let most = self.config.sisters_per_torrent;
        let Some(torrent) = self.torrents.get_mut(&info_hash) else { return Err(NotIntroduced::Unknown) };
        if !torrent.holders.contains(&key) && torrent.holders.len() >= most {
            // Whom the planter named comes before whom nobody named, and who lives before who does not.
            let sisters = &self.sisters;
            let config = &self.config;
            let worth = |other: &Key| {
                let lives = sisters.get(other).is_some_and(|sister| sister.lives(now, config));
                (torrent.named.contains(other), lives)
            };
            let least = torrent.holders.iter().copied().min_by_key(worth);
            let Some(out) = least.filter(|out| worth(out) < worth(&key)) else {
                self.counters.crowded += 1;
                return Err(NotIntroduced::Crowded);
            };
            self.dropped(out, info_hash);
        }
        let Some(torrent) = self.torrents.get_mut(&info_hash) else { return Err(NotIntroduced::Unknown) };
        let new = torrent.holders.insert(key);
        let others: Vec<Key> = torrent.holders.iter().copied().filter(|other| *other != key).collect();
        let smaller = self.key < key;
        let (redial, ring) = (self.about(self.config.redial / 2), self.about(self.config.ring));
        let Some(sister) = self.sister(now, key) else { return Err(NotIntroduced::Crowded) };
        sister.url = Some(receipt.url.clone());
        let share = sister.shares.entry(info_hash).or_default();
        share.declined = false;
        share.receipt = Some(Shown { bytes: receipt.as_bytes().to_vec(), expires: receipt.expires.0 });
        if new && share.said {
            sister.dirty.insert(info_hash);
            sister.hasten(now, Duration::from_millis(500));
        }
        if sister.dial == Time::NEVER {
            sister.dial = now + if smaller { redial } else { ring };
        }
        self.show(now, key);
        self.set_timer(key);
        if new {
            for other in others {
                if let Some(sister) = self.sisters.get(&other).filter(|other| other.shares(&info_hash))
                    && let Some(connection) = sister.session
                {
                    self.show_receipts(now, connection, vec![receipt.as_bytes().to_vec()]);
                }
            }
        }
        Ok(())
    }

    /// Receipts came from a sister: her own, and of others in the same torrents.
    pub(super) fn held(&mut self, now: Time, connection: ConnectionId, key: Key, receipts: &[Vec<u8>]) {
        let mut unknown = Vec::new();
        for bytes in receipts {
            let Some((info_hash, node)) = peek(bytes) else {
                self.counters.bad_receipts += 1;
                continue;
            };
            if !self.torrents.contains_key(&info_hash) {
                if node == key {
                    self.counters.without_receipt += 1;
                    unknown.push(info_hash);
                }
                continue;
            }
            let known = self.sisters.get(&node).and_then(|sister| sister.shares.get(&info_hash));
            let known = known.and_then(|share| share.receipt.as_ref());
            // Verified before; a third one's older or newer receipt is not worth the work either.
            if known.is_some_and(|known| known.bytes == *bytes || node != key) || node == self.key {
                continue;
            }
            match Signed::<Receipt>::from_bytes(bytes) {
                Ok(receipt) => {
                    if let Err(NotIntroduced::Lease) = self.introduce(now, &receipt) {
                        self.counters.bad_receipts += 1;
                    }
                }
                Err(_) => self.counters.bad_receipts += 1,
            }
        }
        if !unknown.is_empty() {
            self.send(now, connection, &Message::Drop(unknown));
        }
    }

    /// A sister does not hold a torrent, or there is no room for her in it.
    pub(super) fn dropped(&mut self, key: Key, info_hash: InfoHash) {
        let Some(sister) = self.sisters.get_mut(&key) else { return };
        let had = sister.shares.get_mut(&info_hash).and_then(|share| {
            (share.waits, share.said, share.declined) = (false, false, true);
            share.receipt.take()
        });
        sister.dirty.remove(&info_hash);
        let named = self.torrents.get_mut(&info_hash).is_some_and(|torrent| {
            torrent.holders.remove(&key);
            torrent.theirs.remove(&key);
            torrent.judge();
            torrent.named.contains(&key)
        });
        if !named && let Some(sister) = self.sisters.get_mut(&key) {
            sister.shares.remove(&info_hash);
        }
        if had.is_some() {
            self.outputs.push_back(Output::Lost { sister: key, swarms: vec![info_hash] });
        }
    }

    /// A sister has not been heard of for too long.
    pub(super) fn lost(&mut self, now: Time, key: Key) {
        self.counters.lost += 1;
        let swarms = self.took_leave(key);
        for info_hash in swarms {
            // Spread: many torrents may have lost her.
            let pause = Duration::from_millis(self.rng.u64(..5_000));
            self.agenda.set(Timer::Torrent(info_hash), now + pause);
        }
    }

    /// Nothing reaches a sister for now; what she holds stays known.
    pub(super) fn took_leave(&mut self, key: Key) -> Vec<InfoHash> {
        let Some(sister) = self.sisters.get_mut(&key) else { return Vec::new() };
        let swarms: Vec<InfoHash> = sister.shares.keys().copied().collect();
        for info_hash in &swarms {
            if let Some(torrent) = self.torrents.get_mut(info_hash) {
                torrent.theirs.remove(&key);
                torrent.judge();
            }
        }
        if !swarms.is_empty() {
            self.outputs.push_back(Output::Lost { sister: key, swarms: swarms.clone() });
        }
        swarms
    }

    /// A sister is there: torrents that lack nodes may lack none any more, and then receipts are to name who is there.
    pub(super) fn look_again(&mut self, now: Time, key: Key) {
        let Some(sister) = self.sisters.get(&key) else { return };
        let uneasy = |hash: &&InfoHash| self.torrents.get(*hash).is_some_and(|torrent| torrent.asked > 0);
        let uneasy: Vec<InfoHash> = sister.shares.keys().filter(uneasy).copied().collect();
        for info_hash in uneasy {
            // Time for both to show their receipts; spread, since there may be many torrents.
            let pause = Duration::from_millis(self.rng.u64(3_000..8_000));
            self.agenda.set(Timer::Torrent(info_hash), now + pause);
        }
    }

    /// Looks whether all nodes of a torrent are there.
    pub(super) fn check(&mut self, now: Time, info_hash: InfoHash) {
        let wall = self.wall(now);
        let Some(torrent) = self.torrents.get(&info_hash) else { return };
        let ended: Vec<Key> = torrent
            .holders
            .iter()
            .filter(|key| {
                let share = self.sisters.get(key).and_then(|sister| sister.shares.get(&info_hash));
                share
                    .and_then(|share| share.receipt.as_ref())
                    .is_none_or(|shown| shown.expires.saturating_add(self.config.skew.as_secs()) < wall)
            })
            .copied()
            .collect();
        for key in ended {
            self.dropped(key, info_hash);
        }
        let Some(torrent) = self.torrents.get(&info_hash) else { return };
        let lives = |key: &&Key| self.sisters.get(*key).is_some_and(|sister| sister.lives(now, &self.config));
        let living: Vec<Key> = torrent.holders.iter().filter(lives).copied().collect();
        // Named ones that were never heard of have time to appear.
        let young = now.since(torrent.since) < self.config.lost;
        let expected = torrent.named.difference(&torrent.holders).filter(|_| young).count()
            + torrent
                .holders
                .iter()
                .filter(|key| young && self.sisters.get(*key).is_some_and(|sister| sister.heard.is_none()))
                .count();
        let strangers = torrent.named.difference(&torrent.holders).count();
        let missing = torrent.named.len().saturating_sub(living.len());
        let lost: Vec<Key> = torrent.named.iter().filter(|key| !living.contains(key)).copied().collect();
        if missing == 0 {
            let settled = torrent.since + APPEAR;
            let renamed = !lost.is_empty() && settled <= now;
            // Planted where a named sister was dead already: those that are there are named once that is sure.
            let sure = settled.since(now) + self.config.hurry;
            if renamed {
                self.outputs.push_back(Output::Rename { info_hash, sisters: living });
            }
            let calm = self.about(CALM);
            let pause = if lost.is_empty() || renamed { calm } else { sure };
            if let Some(torrent) = self.torrents.get_mut(&info_hash) {
                (torrent.asked, torrent.lacks, torrent.replace) = (0, None, (now, 0));
                torrent.sought.clear();
            }
            self.agenda.set(Timer::Torrent(info_hash), now + pause);
            return;
        }
        if strangers > 0 || !young {
            self.outputs.push_back(Output::Find(info_hash));
        }
        // One of those that are left does it: the one with the smallest key, or who is next if that one does not.
        let before = living.iter().filter(|key| **key < self.key).count();
        let Some(torrent) = self.torrents.get_mut(&info_hash) else { return };
        let step = UNEASY.get(torrent.asked as usize).or(UNEASY.last()).copied().unwrap_or(60);
        torrent.asked = torrent.asked.saturating_add(1);
        let mut next = Time::NEVER;
        if missing > expected {
            let turn = *torrent.lacks.get_or_insert(now) + TURN * u32::try_from(before).unwrap_or(u32::MAX);
            let (again, times) = torrent.replace;
            let mut lost = lost;
            if again > now {
                lost.retain(|key| !torrent.sought.contains(key));
            }
            if turn <= now && !lost.is_empty() {
                torrent.sought.extend(&lost);
                torrent.replace = (now + REPLACE_AGAIN * (1 << times.min(5)), times.saturating_add(1));
                self.outputs.push_back(Output::Replace { info_hash, lost });
            }
            next = if turn > now { turn } else { torrent.replace.0 };
        }
        let pause = self.about(Duration::from_secs(step));
        self.agenda.set(Timer::Torrent(info_hash), next.min(now + pause));
    }
}

/// Of which torrent and node a receipt speaks, without any check.
fn peek(bytes: &[u8]) -> Option<(InfoHash, Key)> {
    let limits = Limits { bytes: signed::MAX_LENGTH, depth: 8, tokens: 1_000 };
    let parsed = bencode::parse(bytes, limits).ok()?;
    let body = parsed.root().get(b"body")?;
    Some((InfoHash(signed::array(body, "info_hash")?), Key(signed::array(body, "node")?)))
}
