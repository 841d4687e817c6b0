//! A sister node, as this node knows her: where she is, which torrents both hold, what she was told.
//!
//! Outlives her connections, so that a new one goes on where the last broke off.

use super::agenda::Bucket;
use super::config::Config;
use super::guests::LIFETIME;
use anatomic_core::{InfoHash, Time};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A connection of the driver's, numbered by it; never used twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ConnectionId(pub u64);

/// A torrent that a sister and we have to do with.
#[derive(Clone, Debug, Default)]
pub(super) struct Share {
    /// Her receipt, verified. Only then she is told and heard of this torrent.
    pub(super) receipt: Option<Shown>,
    /// Whether she was shown ours.
    pub(super) said: bool,
    /// She said that she does not hold it: she is shown ours again when she shows hers.
    pub(super) declined: bool,
    /// Up to which number she was told everything.
    pub(super) told: u64,
    /// Whether somebody waits at hers.
    pub(super) waits: bool,
}

/// A receipt that was verified.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    pub(super) bytes: Vec<u8>,
    /// When its lease ends, by the wall clock.
    pub(super) expires: u64,
}

/// Quotas of a connection.
#[derive(Debug)]
pub(super) struct Quotas {
    pub(super) bytes: Bucket,
    pub(super) peers: Bucket,
    pub(super) offers_in: Bucket,
    pub(super) offers_out: Bucket,
}

impl Quotas {
    fn new(now: Time, config: &Config) -> Self {
        // Figures far below 2^52.
        let float = |number: u64| f64::from(u32::try_from(number).unwrap_or(u32::MAX));
        let offers = float(config.offers_per_second);
        let peers = float(config.peers_per_lifetime);
        Self {
            bytes: Bucket::new(now, float(config.bytes_at_once), float(config.bytes_per_second)),
            peers: Bucket::new(now, peers, peers / LIFETIME.as_secs_f64()),
            offers_in: Bucket::new(now, 3.0 * offers, offers),
            offers_out: Bucket::new(now, offers, offers),
        }
    }
}

/// A sister.
#[derive(Debug)]
pub(super) struct Sister {
    /// Scheme and host, once known by a receipt or her own hello.
    pub(super) url: Option<String>,
    /// The connection on which her key was proven, and whether we opened it.
    pub(super) session: Option<ConnectionId>,
    pub(super) shares: BTreeMap<InfoHash, Share>,
    /// Torrents with news for her.
    pub(super) dirty: BTreeSet<InfoHash>,
    /// When something valid last came; `None`: never.
    pub(super) heard: Option<Time>,
    /// When something last went.
    pub(super) sent: Time,
    /// When she became known.
    pub(super) since: Time,
    /// When the next news go, at the earliest.
    pub(super) flush: Time,
    /// When the last batch went.
    pub(super) flushed: Time,
    /// When to dial.
    pub(super) dial: Time,
    pub(super) dialling: bool,
    pub(super) failures: u32,
    /// Her epoch, and up to which number we have everything of it.
    pub(super) epoch: u64,
    pub(super) received: u64,
    /// Whether her resumption has come on this connection.
    pub(super) resumed: bool,
    /// Whether her loss was dealt with.
    pub(super) lost: bool,
    pub(super) banned: Time,
    pub(super) bans: u32,
    pub(super) quotas: Quotas,
}

impl Sister {
    pub(super) fn new(now: Time, config: &Config) -> Self {
        Self {
            url: None,
            session: None,
            shares: BTreeMap::new(),
            dirty: BTreeSet::new(),
            heard: None,
            sent: now,
            since: now,
            flush: Time::NEVER,
            flushed: Time::ZERO,
            dial: Time::NEVER,
            dialling: false,
            failures: 0,
            epoch: 0,
            received: 0,
            resumed: false,
            lost: false,
            banned: Time::ZERO,
            bans: 0,
            quotas: Quotas::new(now, config),
        }
    }

    /// Whether something was heard of her lately.
    pub(super) fn lives(&self, now: Time, config: &Config) -> bool {
        self.heard.is_some_and(|heard| now.since(heard) < config.lost)
    }

    /// Whether both sides have shown their receipts for a torrent.
    pub(super) fn shares(&self, info_hash: &InfoHash) -> bool {
        self.shares.get(info_hash).is_some_and(|share| share.receipt.is_some() && share.said)
    }

    /// Whether she has nothing to do with us, has had time to show that she has, and need not be remembered for a ban.
    pub(super) fn is_stranger(&self, now: Time, config: &Config) -> bool {
        self.shares.is_empty() && now >= self.banned && now.since(self.since) >= config.silence
    }

    /// Whether news may go now.
    pub(super) fn ready(&self) -> bool {
        self.session.is_some() && self.resumed
    }

    /// Has news go after `pause`, if not before.
    pub(super) fn hasten(&mut self, now: Time, pause: Duration) {
        self.flush = self.flush.min(now + pause);
    }

    /// The next moment at which something is to be done about her.
    pub(super) fn next(&self, config: &Config) -> Time {
        let mut next = if self.lost { Time::NEVER } else { self.heard.unwrap_or(self.since) + config.lost };
        if self.shares.is_empty() {
            next = next.min((self.since + config.silence).max(self.banned));
        }
        if self.session.is_some() {
            next = next.min(self.sent + config.keep_alive);
            next = next.min(self.heard.unwrap_or(self.since) + config.silence);
            if self.resumed {
                next = next.min(self.flush);
            }
        } else if !self.dialling && self.url.is_some() {
            next = next.min(self.dial);
        }
        next
    }
}
