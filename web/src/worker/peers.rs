//! The data channels in use, and the engine's peers behind them.
//!
//! Moves bytes: from channels into the engine, and from the engine into channels as far as they have room.

use super::channel::{Channel, Happening, Held};
use super::{Driver, clock};
use crate::protocol::rtc::Conn;
use anatomic_core::Time;
use anatomic_core::collections::BTreeMap;
use anatomic_engine::{Link, MIN_ROOM, PeerKey, Reading, Transport};
use bytes::Bytes;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

/// Longest message sent: two blocks with their headers, which node and Chromium take best.
const MESSAGE: usize = 2 * (16 * 1024 + 13);
/// A connection without network for so long is given up; the browser itself would wait half a minute.
const PATIENCE: Duration = Duration::from_secs(5);

/// The channels in use.
#[derive(Default)]
pub struct Peers {
    by_conn: RefCell<BTreeMap<Conn, Rc<Peer>>>,
    by_key: RefCell<BTreeMap<PeerKey, Conn>>,
    buffer: RefCell<Vec<u8>>,
}

struct Peer {
    channel: Channel,
    held: Held,
    key: Cell<Option<PeerKey>>,
    max_message: Cell<usize>,
    /// The engine has something to send.
    wanting: Cell<bool>,
    /// Since when its network is gone.
    disconnected: Cell<Option<Time>>,
}

impl Peers {
    /// Takes a channel into use; false if it is already.
    pub fn insert(&self, conn: Conn, channel: Channel) -> bool {
        if self.by_conn.borrow().contains_key(&conn) {
            return false;
        }
        let peer = Peer {
            channel,
            held: Held::default(),
            key: Cell::default(),
            max_message: Cell::new(MESSAGE),
            wanting: Cell::default(),
            disconnected: Cell::default(),
        };
        self.by_conn.borrow_mut().insert(conn, Rc::new(peer));
        true
    }

    /// Notes that the network of a connection is gone or back.
    pub fn set_disconnected(&self, conn: Conn, since: Option<Time>) {
        if let Some(peer) = self.find(conn) {
            peer.disconnected.set(since);
        }
    }

    /// Connections whose network has been gone for too long.
    pub fn given_up(&self, now: Time) -> Vec<Conn> {
        let gone = |peer: &Peer| peer.disconnected.get().is_some_and(|since| now.since(since) > PATIENCE);
        self.by_conn.borrow().iter().filter(|(_, peer)| gone(peer)).map(|(conn, _)| *conn).collect()
    }

    /// The connection of a peer.
    pub(super) fn conn_of(&self, key: PeerKey) -> Option<Conn> {
        self.by_key.borrow().get(&key).copied()
    }

    fn find(&self, conn: Conn) -> Option<Rc<Peer>> {
        self.by_conn.borrow().get(&conn).cloned()
    }

    fn remove(&self, conn: Conn) -> Option<Rc<Peer>> {
        let peer = self.by_conn.borrow_mut().remove(&conn)?;
        peer.channel.close();
        if let Some(key) = peer.key.get() {
            self.by_key.borrow_mut().remove(&key);
        }
        Some(peer)
    }
}

impl Driver {
    /// Something happened on a channel.
    pub fn happened(self: &Rc<Self>, conn: Conn, happening: Happening) {
        match happening {
            Happening::Opened => self.channel_opened(conn),
            Happening::Received(message) => {
                let Some(peer) = self.peers.find(conn) else { return };
                if let (Some(key), Some(message)) = (peer.key.get(), peer.held.pass(message)) {
                    self.engine.borrow_mut().handle_received(clock::now(), key, Bytes::from(message));
                }
            }
            Happening::Room => {
                if let Some(peer) = self.peers.find(conn) {
                    peer.channel.adapt();
                }
                self.transmit(conn);
            }
            Happening::Closed => self.channel_closed(conn),
        }
        self.pump();
    }

    /// Bytes of a channel on the page left the browser.
    pub fn drained(self: &Rc<Self>, conn: Conn, bytes: u32) {
        if let Some(peer) = self.peers.find(conn) {
            peer.channel.drained(bytes as usize);
        }
        self.happened(conn, Happening::Room);
    }

    /// The engine has something to send. It goes out after the messages that wait to be read now, so that the requests
    /// that these cause make one message and not many.
    pub(super) fn want_to_send(self: &Rc<Self>, key: PeerKey) {
        let conn = self.peers.conn_of(key);
        if let Some(peer) = conn.and_then(|conn| self.peers.find(conn)) {
            peer.wanting.set(true);
            self.flush_soon();
        }
    }

    /// Sends what the engine has for all peers.
    pub(super) fn flush(self: &Rc<Self>) {
        let wanting: Vec<Conn> = {
            let all = self.peers.by_conn.borrow();
            all.iter().filter(|(_, peer)| peer.wanting.get()).map(|(conn, _)| *conn).collect()
        };
        for conn in wanting {
            self.transmit(conn);
        }
        self.pump();
    }

    /// The engine stops or goes on reading.
    pub(super) fn set_reading(&self, key: PeerKey, on: Reading) {
        let conn = self.peers.conn_of(key);
        let Some(peer) = conn.and_then(|conn| self.peers.find(conn)) else { return };
        match on {
            Reading::Pause => peer.held.stop(),
            Reading::Resume => {
                for message in peer.held.go_on() {
                    // The engine may stop again in between; then the rest is held again.
                    if let Some(message) = peer.held.pass(message) {
                        self.engine.borrow_mut().handle_received(clock::now(), key, Bytes::from(message));
                    }
                }
            }
        }
    }

    /// The engine is done with a peer.
    pub(super) fn close_peer(&self, key: PeerKey) {
        let conn = self.peers.conn_of(key);
        if let Some(conn) = conn {
            self.peers.remove(conn);
            self.signalling.borrow_mut().drop_conn(clock::now(), conn);
        }
    }

    /// A channel is gone, by whomever.
    pub(super) fn channel_closed(&self, conn: Conn) {
        let now = clock::now();
        if let Some(key) = self.peers.remove(conn).and_then(|peer| peer.key.get()) {
            self.engine.borrow_mut().handle_closed(now, key);
        }
        self.signalling.borrow_mut().drop_conn(now, conn);
    }

    fn channel_opened(self: &Rc<Self>, conn: Conn) {
        let Some(peer) = self.peers.find(conn) else { return };
        let Some(ready) = self.signalling.borrow_mut().connected(conn) else { return };
        let mut engine = self.engine.borrow_mut();
        let Some(torrent) = engine.find(ready.info_hash) else {
            drop(engine);
            self.channel_closed(conn);
            return;
        };
        let link = Link {
            transport: Transport::WebRtc,
            direction: ready.direction,
            torrent: Some(torrent),
            address: None,
            encrypted: true,
        };
        let key = engine.handle_connected(clock::now(), link);
        drop(engine);
        peer.max_message.set(ready.max_message.max(1));
        peer.key.set(Some(key));
        self.peers.by_key.borrow_mut().insert(key, conn);
    }

    /// Sends what the engine has for a peer, as long as there is room.
    fn transmit(self: &Rc<Self>, conn: Conn) {
        let Some(peer) = self.peers.find(conn) else { return };
        let Some(key) = peer.key.get() else { return };
        let now = clock::now();
        while peer.wanting.get() {
            let room = peer.channel.room();
            if room < MIN_ROOM {
                return;
            }
            let mut buffer = self.peers.buffer.borrow_mut();
            buffer.clear();
            if self.engine.borrow_mut().poll_transmit(now, key, room.min(MESSAGE), &mut buffer) == 0 {
                peer.wanting.set(false);
                return;
            }
            // One message, unless the other side takes only smaller ones: it reads a stream of bytes either way.
            if buffer.chunks(peer.max_message.get()).try_for_each(|chunk| peer.channel.send(chunk)).is_err() {
                drop(buffer);
                self.channel_closed(conn);
                return;
            }
        }
    }
}
