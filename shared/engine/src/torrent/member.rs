//! The peers of one torrent, and which of them may have something to send.
//!
//! Only a table; rules are in `swarm`.

#[cfg(feature = "classic")]
use super::exchange::Exchange;
use super::introductions::Manners;
use crate::bridge::Peers;
use crate::keys::PeerKey;
use crate::peer::Peer;
use crate::view::Behind;
use anatomic_core::collections::BTreeMap;
use std::net::SocketAddr;

/// A connection of a torrent.
pub(crate) struct Member {
    pub peer: Peer,
    /// The candidate that was dialled for it.
    pub dialled: Option<SocketAddr>,
    /// For a node: what lies behind it.
    pub behind: Option<Behind>,
    /// How often it named hosts.
    pub named_hosts: u8,
    /// How it and we keep to the pace of introductions.
    pub manners: Manners,
    /// Whom it and we told each other of.
    #[cfg(feature = "classic")]
    pub exchange: Exchange,
    /// The driver knows that there is something to send.
    pub signalled: bool,
    touched: bool,
}

impl Member {
    pub(crate) fn new(peer: Peer, dialled: Option<SocketAddr>) -> Self {
        Self {
            peer,
            dialled,
            behind: None,
            named_hosts: 0,
            manners: Manners::default(),
            #[cfg(feature = "classic")]
            exchange: Exchange::default(),
            signalled: false,
            touched: false,
        }
    }
}

/// The connections by key.
#[derive(Default)]
pub(crate) struct Members {
    by_key: BTreeMap<PeerKey, Member>,
    touched: Vec<PeerKey>,
}

impl Members {
    pub(crate) fn len(&self) -> usize {
        self.by_key.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    pub(crate) fn insert(&mut self, key: PeerKey, member: Member) {
        self.by_key.insert(key, member);
    }

    pub(crate) fn remove(&mut self, key: PeerKey) -> Option<Member> {
        self.by_key.remove(&key)
    }

    pub(crate) fn get(&self, key: PeerKey) -> Option<&Member> {
        self.by_key.get(&key)
    }

    pub(crate) fn get_mut(&mut self, key: PeerKey) -> Option<&mut Member> {
        self.by_key.get_mut(&key)
    }

    /// The peer, to be told something: it is looked at before the driver goes on.
    pub(crate) fn tell(&mut self, key: PeerKey) -> Option<&mut Peer> {
        self.touch(key);
        self.by_key.get_mut(&key).map(|member| &mut member.peer)
    }

    pub(crate) fn touch(&mut self, key: PeerKey) {
        if let Some(member) = self.by_key.get_mut(&key)
            && !member.touched
        {
            member.touched = true;
            self.touched.push(key);
        }
    }

    pub(crate) fn touch_all(&mut self) {
        for (key, member) in &mut self.by_key {
            if !std::mem::replace(&mut member.touched, true) {
                self.touched.push(*key);
            }
        }
    }

    pub(crate) fn take_touched(&mut self) -> Option<PeerKey> {
        let key = self.touched.pop()?;
        if let Some(member) = self.by_key.get_mut(&key) {
            member.touched = false;
        }
        Some(key)
    }

    pub(crate) fn keys(&self) -> Vec<PeerKey> {
        self.by_key.keys().copied().collect()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (PeerKey, &Member)> {
        self.by_key.iter().map(|(key, member)| (*key, member))
    }
}

impl Peers for Members {
    fn peer(&mut self, key: PeerKey) -> Option<&mut Peer> {
        self.by_key.get_mut(&key).map(|member| &mut member.peer)
    }
}
