//! Peer connections on their way: offered, answering, connecting, open; and how many there may be.
//!
//! A browser counts closed connections for a while: [`Conns::allowance`] keeps clear of its limit (Chromium: 500).

use crate::protocol::rtc::Conn;
use anatomic_core::collections::BTreeMap;
use anatomic_core::{InfoHash, PeerId, Time};
use anatomic_engine::{Direction, IntroductionKey};
use anatomic_wire::tracker::websocket::{Offer, OfferId};
use std::collections::VecDeque;
use std::time::Duration;

/// Connections at a time, open or on their way.
pub const MAX_CONNECTIONS: usize = 120;
/// Connections at a time and closed within [`REMEMBERED`]; a browser refuses at 500.
const MAX_COUNTED: usize = 350;
/// How long a closed connection may still count for the browser.
const REMEMBERED: Duration = Duration::from_secs(60);
/// Offers waiting for an answer, all torrents together.
const MAX_OFFERS: usize = 24;
/// How long an offer waits: as long as WebTorrent's.
const OFFER_LIFE: Duration = Duration::from_secs(50);
/// Time to describe a connection.
const DRAFT_LIFE: Duration = Duration::from_secs(10);
/// Time from answer to open channel: as long as WebTorrent's.
const CONNECT_LIFE: Duration = Duration::from_secs(25);
/// What a description means that does not say how long a message may be (RFC 8841).
const DEFAULT_MESSAGE: usize = 64 * 1024;

/// Who made an offer that we answer, and its id.
pub(super) type Offerer = (PeerId, OfferId);

/// How far a connection is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Our offer is being described.
    Drafting,
    /// Our offer is out.
    Offered { offer_id: OfferId },
    /// We are describing our answer: to whom, and to which of his offers, where a tracker must be told.
    Answering(Option<Offerer>),
    /// Both sides are described.
    Connecting,
    /// The channel is open.
    Open,
}

/// What is known of a connection whose channel opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    /// For which torrent.
    pub info_hash: InfoHash,
    /// Who began.
    pub direction: Direction,
    /// Longest message that the other side takes, in bytes.
    pub max_message: usize,
}

/// How a connection comes about: by which way descriptions reach the other side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// This tracker introduces a peer.
    Tracker(String),
    /// It is with the node behind this tracker.
    Node(String),
    /// A peer introduces one of its own; the engine knows which.
    Peer(IntroductionKey),
}

impl Origin {
    /// The tracker, if it is one.
    pub(super) fn tracker(&self) -> Option<&str> {
        match self {
            Self::Tracker(url) | Self::Node(url) => Some(url),
            Self::Peer(_) => None,
        }
    }
}

struct Entry {
    origin: Origin,
    stage: Stage,
    ready: Ready,
    deadline: Time,
}

/// All connections.
#[derive(Default)]
pub(super) struct Conns {
    all: BTreeMap<Conn, Entry>,
    closed: VecDeque<Time>,
    next: u32,
}

impl Conns {
    /// How many more may be made now.
    pub(super) fn allowance(&mut self, now: Time) -> u32 {
        while self.closed.front().is_some_and(|closed| now.since(*closed) > REMEMBERED) {
            self.closed.pop_front();
        }
        let waiting = self.all.values().filter(|entry| entry.stage.is_offer()).count();
        let room = MAX_CONNECTIONS
            .saturating_sub(self.all.len())
            .min(MAX_COUNTED.saturating_sub(self.all.len() + self.closed.len()))
            .min(MAX_OFFERS.saturating_sub(waiting));
        u32::try_from(room).unwrap_or(u32::MAX)
    }

    /// Offers of a torrent that wait for an answer.
    pub(super) fn offers(&self, info_hash: InfoHash) -> u32 {
        let waiting = self.all.values().filter(|entry| {
            entry.ready.info_hash == info_hash && matches!(entry.stage, Stage::Offered { .. })
        });
        u32::try_from(waiting.count()).unwrap_or(u32::MAX)
    }

    /// Begins an offer.
    pub(super) fn offer(&mut self, origin: Origin, info_hash: InfoHash) -> Conn {
        let ready = Ready { info_hash, direction: Direction::Offered, max_message: DEFAULT_MESSAGE };
        self.insert(origin, Stage::Drafting, ready, Time::NEVER)
    }

    /// Connections of this origin, open or on their way.
    pub(super) fn count(&self, origin: &Origin, info_hash: InfoHash) -> usize {
        let is_one = |entry: &&Entry| entry.ready.info_hash == info_hash && entry.origin == *origin;
        self.all.values().filter(is_one).count()
    }

    /// Offers of ours that nobody has answered.
    pub(super) fn unanswered(&self, url: &str, info_hash: InfoHash) -> Vec<Conn> {
        let is_one = |entry: &Entry| {
            entry.stage.is_offer()
                && entry.ready.info_hash == info_hash
                && entry.origin.tracker() == Some(url)
        };
        self.all.iter().filter(|(_, entry)| is_one(entry)).map(|(conn, _)| *conn).collect()
    }

    /// Where an open connection came from, and for which torrent.
    pub(super) fn origin(&self, conn: Conn) -> Option<(Origin, InfoHash)> {
        self.all.get(&conn).map(|entry| (entry.origin.clone(), entry.ready.info_hash))
    }

    /// Begins an answer.
    pub(super) fn answer(
        &mut self,
        now: Time,
        origin: Origin,
        info_hash: InfoHash,
        to: Option<Offerer>,
        sdp: &str,
    ) -> Conn {
        let max_message = max_message(sdp);
        let ready = Ready { info_hash, direction: Direction::Accepted, max_message };
        self.insert(origin, Stage::Answering(to), ready, now + DRAFT_LIFE)
    }

    /// Our offer goes out now.
    pub(super) fn offered(&mut self, now: Time, conn: Conn, offer_id: OfferId) {
        if let Some(entry) = self.all.get_mut(&conn)
            && entry.stage == Stage::Drafting
        {
            entry.stage = Stage::Offered { offer_id };
            entry.deadline = now + OFFER_LIFE;
        }
    }

    /// An answer came: to which of our offers. Each is answered once.
    pub(super) fn accept(
        &mut self,
        now: Time,
        url: &str,
        info_hash: InfoHash,
        answer: &Offer,
    ) -> Option<Conn> {
        let (conn, entry) = self.all.iter_mut().find(|(_, entry)| {
            entry.ready.info_hash == info_hash
                && entry.origin.tracker() == Some(url)
                && entry.stage == Stage::Offered { offer_id: answer.id }
        })?;
        entry.connecting(now, &answer.sdp);
        Some(*conn)
    }

    /// An answer came through a peer.
    pub(super) fn accept_introduced(
        &mut self,
        now: Time,
        key: IntroductionKey,
        answer: &str,
    ) -> Option<Conn> {
        let is_it =
            |entry: &Entry| entry.origin == Origin::Peer(key) && matches!(entry.stage, Stage::Offered { .. });
        let (conn, entry) = self.all.iter_mut().find(|(_, entry)| is_it(entry))?;
        entry.connecting(now, answer);
        Some(*conn)
    }

    /// Our answer is described: by which way it goes, for which torrent, to whom, and to which of his offers.
    pub(super) fn answered(&mut self, now: Time, conn: Conn) -> Option<(Origin, InfoHash, Option<Offerer>)> {
        let entry = self.all.get_mut(&conn)?;
        let Stage::Answering(to) = entry.stage else { return None };
        entry.deadline = now + CONNECT_LIFE;
        entry.stage = Stage::Connecting;
        Some((entry.origin.clone(), entry.ready.info_hash, to))
    }

    /// The channel opened.
    pub(super) fn connected(&mut self, conn: Conn) -> Option<Ready> {
        let entry = self.all.get_mut(&conn)?;
        if entry.stage == Stage::Open {
            return None;
        }
        entry.stage = Stage::Open;
        entry.deadline = Time::NEVER;
        Some(entry.ready)
    }

    /// It is gone.
    pub(super) fn closed(&mut self, now: Time, conn: Conn) {
        if self.all.remove(&conn).is_some() {
            self.closed.push_back(now);
        }
    }

    /// Connections that took too long.
    pub(super) fn expired(&self, now: Time) -> Vec<Conn> {
        self.all.iter().filter(|(_, entry)| entry.deadline <= now).map(|(conn, _)| *conn).collect()
    }

    /// Connections that cannot come about without this tracker.
    pub(super) fn of_tracker(&self, tracker: &str) -> Vec<Conn> {
        self.on_their_way(|origin| origin.tracker() == Some(tracker))
    }

    /// Connections that cannot come about without this introduction.
    pub(super) fn of_peer(&self, key: IntroductionKey) -> Vec<Conn> {
        self.on_their_way(|origin| *origin == Origin::Peer(key))
    }

    fn on_their_way(&self, is_one: impl Fn(&Origin) -> bool) -> Vec<Conn> {
        let needs =
            |entry: &Entry| is_one(&entry.origin) && !matches!(entry.stage, Stage::Connecting | Stage::Open);
        self.all.iter().filter(|(_, entry)| needs(entry)).map(|(conn, _)| *conn).collect()
    }

    fn insert(&mut self, origin: Origin, stage: Stage, ready: Ready, deadline: Time) -> Conn {
        self.next = self.next.wrapping_add(1);
        let conn = Conn(self.next);
        self.all.insert(conn, Entry { origin, stage, ready, deadline });
        conn
    }
}

impl Entry {
    /// Both sides are described now.
    fn connecting(&mut self, now: Time, answer: &str) {
        self.stage = Stage::Connecting;
        self.ready.max_message = max_message(answer);
        self.deadline = now + CONNECT_LIFE;
    }
}

impl Stage {
    const fn is_offer(&self) -> bool {
        matches!(self, Self::Drafting | Self::Offered { .. })
    }
}

/// The longest message that the writer of a description takes (RFC 8841; 0 is no limit).
fn max_message(sdp: &str) -> usize {
    let said = sdp.lines().find_map(|line| line.strip_prefix("a=max-message-size:")?.trim().parse().ok());
    match said {
        Some(0) => usize::MAX,
        Some(bytes) => bytes,
        None => DEFAULT_MESSAGE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closed_connections_count_for_a_minute() {
        let mut conns = Conns::default();
        let hash = InfoHash([1; 20]);
        for _ in 0..MAX_COUNTED {
            let conn = conns.offer(Origin::Tracker("ws://a".into()), hash);
            conns.closed(Time::from_secs(1), conn);
        }
        assert_eq!(conns.allowance(Time::from_secs(2)), 0);
        assert!(conns.allowance(Time::from_secs(62)) > 0);
    }

    #[test]
    fn a_description_says_how_long_a_message_may_be() {
        assert_eq!(max_message("v=0\r\na=max-message-size:262144\r\n"), 262_144);
        assert_eq!(max_message("v=0\r\na=max-message-size:0\r\n"), usize::MAX);
        assert_eq!(max_message("v=0\r\n"), 65_536);
    }
}
