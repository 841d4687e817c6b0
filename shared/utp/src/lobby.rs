//! Strangers who sent a first packet and have not yet acknowledged our answer.
//!
//! They are not connections: a source address can be forged, and a forger does not see the random number in our answer.

use crate::packet::{Header, Kind};
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

/// Who waits, by address and the connection number that its packets will have.
#[derive(Debug, Default)]
pub(crate) struct Lobby {
    waiting: BTreeMap<(SocketAddr, u16), Stranger>,
    order: VecDeque<(SocketAddr, u16)>,
}

/// Somebody who asked for a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stranger {
    /// Number of its first packet.
    pub(crate) theirs: u16,
    /// Number of our first packet, drawn at random.
    pub(crate) ours: u16,
}

impl Lobby {
    /// Somebody asks; the same asking again gets the same answer. The oldest of more than `most` is forgotten.
    pub(crate) fn enter(&mut self, from: SocketAddr, syn: &Header, ours: u16, most: usize) -> Stranger {
        let key = (from, syn.connection.wrapping_add(1));
        let fresh = Stranger { theirs: syn.sequence, ours };
        match self.waiting.get_mut(&key) {
            Some(known) if known.theirs == syn.sequence => return *known,
            Some(known) => {
                *known = fresh;
                return fresh;
            }
            None => {}
        }
        while self.order.len() >= most.max(1) {
            let Some(oldest) = self.order.pop_front() else { break };
            self.waiting.remove(&oldest);
        }
        self.waiting.insert(key, fresh);
        self.order.push_back(key);
        fresh
    }

    /// A packet of a stranger: it is let in if it acknowledges our answer, by its number or the one before (implementations
    /// differ in whether the answer takes a number). Returns it and the number of our first packet.
    pub(crate) fn leave(&mut self, from: SocketAddr, header: &Header) -> Option<(Stranger, u16)> {
        let key = (from, header.connection);
        let stranger = *self.waiting.get(&key)?;
        let first = header.acknowledged.wrapping_add(1);
        let acknowledges = first == stranger.ours || header.acknowledged == stranger.ours;
        if !acknowledges || !matches!(header.kind, Kind::Data | Kind::State | Kind::Fin) {
            return None;
        }
        self.waiting.remove(&key);
        self.order.retain(|other| *other != key);
        Some((stranger, first))
    }

    /// Whether somebody waits under this name.
    pub(crate) fn knows(&self, from: SocketAddr, connection: u16) -> bool {
        self.waiting.contains_key(&(from, connection))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(kind: Kind, connection: u16, sequence: u16, acknowledged: u16) -> Header {
        Header { kind, connection, timestamp: 0, difference: 0, window: 0, sequence, acknowledged }
    }

    #[test]
    fn only_who_saw_our_number_comes_in() {
        let from = "192.0.2.1:1".parse().unwrap();
        let mut lobby = Lobby::default();
        let syn = header(Kind::Syn, 7, 500, 0);
        let stranger = lobby.enter(from, &syn, 9_000, 10);
        // Asked again, it is told the same.
        assert_eq!(lobby.enter(from, &syn, 1_234, 10), stranger);
        for (connection, acknowledged) in [(8, 9_001), (8, 8_998), (7, 8_999)] {
            assert_eq!(lobby.leave(from, &header(Kind::Data, connection, 501, acknowledged)), None);
        }
        assert_eq!(lobby.leave(from, &header(Kind::Data, 8, 501, 8_999)), Some((stranger, 9_000)));
        assert_eq!(lobby.leave(from, &header(Kind::Data, 8, 501, 8_999)), None);
        let stranger = lobby.enter(from, &syn, 9_000, 10);
        assert_eq!(lobby.leave(from, &header(Kind::Data, 8, 501, 9_000)), Some((stranger, 9_001)));
    }

    #[test]
    fn it_is_bounded() {
        let mut lobby = Lobby::default();
        for port in 1..1_000 {
            let from = SocketAddr::from(([192, 0, 2, 1], port));
            lobby.enter(from, &header(Kind::Syn, 7, 500, 0), 1, 100);
        }
        assert_eq!((lobby.waiting.len(), lobby.order.len()), (100, 100));
    }
}
