//! What goes out on our own account: batches of news, receipts that are shown, signs of life.
//!
//! Judges nothing that comes in.

use super::message::{MAX_RECEIPTS, MAX_SWARMS, Message, SwarmNews};
use super::node::{Output, Sharing};
use crate::identity::Key;
use anatomic_core::{InfoHash, Time};

/// A message of news is sent once it is about this long, in bytes; one more swarm still fits.
const LONG_ENOUGH: usize = 50_000;
/// Bytes of receipts in one message.
const RECEIPT_BYTES: usize = 48_000;

impl Sharing {
    /// There is news for a sister; with `hurry` it goes at once.
    pub(super) fn soil(&mut self, now: Time, key: Key, info_hash: InfoHash, hurry: bool) {
        let pause = if hurry { self.config.hurry } else { self.config.hurry * 5 };
        let Some(sister) = self.sisters.get_mut(&key) else { return };
        if !sister.shares(&info_hash) {
            return;
        }
        sister.dirty.insert(info_hash);
        if hurry {
            sister.hasten(now, pause);
        } else {
            // The first news after a quiet time wait for a moment only, the next for the rest of the batch.
            let at = (now + pause).max(sister.flushed + self.config.batch);
            sister.flush = sister.flush.min(at);
        }
        self.set_timer(key);
    }

    /// Does what is due about a sister.
    pub(super) fn attend(&mut self, now: Time, key: Key) {
        let Some(sister) = self.sisters.get_mut(&key) else { return };
        let heard = sister.heard.unwrap_or(sister.since);
        if now.since(heard) >= self.config.lost && !sister.lost {
            sister.lost = true;
            self.lost(now, key);
        }
        let Some(sister) = self.sisters.get_mut(&key) else { return };
        if sister.is_stranger(now, &self.config) {
            if let Some(connection) = sister.session {
                self.close(now, connection, "there is no torrent that both hold");
            }
            self.sisters.remove(&key);
            return self.set_timer(key);
        }
        match sister.session {
            Some(connection) if now.since(heard) >= self.config.silence => {
                return self.close(now, connection, "nothing was heard for too long");
            }
            Some(connection) => {
                if sister.resumed && sister.flush <= now {
                    self.flush(now, key);
                }
                if let Some(sister) = self.sisters.get(&key)
                    && now.since(sister.sent) >= self.config.keep_alive
                {
                    self.send(now, connection, &Message::News(Vec::new(), None));
                }
            }
            None if !sister.dialling && sister.dial <= now => {
                if let Some(url) = sister.url.clone() {
                    sister.dialling = true;
                    self.outputs.push_back(Output::Dial { sister: key, url });
                }
            }
            None => {}
        }
        self.set_timer(key);
    }

    /// Sends a batch.
    fn flush(&mut self, now: Time, key: Key) {
        let up_to = self.seq;
        let Some(sister) = self.sisters.get_mut(&key) else { return };
        let Some(connection) = sister.session else { return };
        (sister.flush, sister.flushed) = (Time::NEVER, now);
        let mut messages: Vec<Vec<SwarmNews>> = vec![Vec::new()];
        let mut length = 0;
        while let Some(info_hash) = sister.dirty.first().copied() {
            let open =
                sister.shares.get_mut(&info_hash).filter(|share| share.said && share.receipt.is_some());
            let (Some(torrent), Some(share)) = (self.torrents.get(&info_hash), open) else {
                sister.dirty.remove(&info_hash);
                continue;
            };
            let full = length >= LONG_ENOUGH || messages.last().is_some_and(|last| last.len() >= MAX_SWARMS);
            if full && messages.len() >= self.config.burst {
                break;
            }
            if full {
                messages.push(Vec::new());
                length = 0;
            }
            let news = torrent.news(now, info_hash, share.told);
            self.counters.told += news.gained.gained().count() as u64;
            share.told = up_to;
            sister.dirty.remove(&info_hash);
            length += news.cost();
            if let Some(last) = messages.last_mut() {
                last.push(news);
            }
        }
        // What did not fit comes with the next batch.
        let whole = sister.dirty.is_empty();
        if !whole {
            sister.flush = now + self.config.batch;
        }
        let count = messages.len();
        for (number, swarms) in messages.into_iter().enumerate() {
            let seq = (whole && number + 1 == count).then_some(up_to);
            if !swarms.is_empty() {
                self.send(now, connection, &Message::News(swarms, seq));
            }
        }
    }

    /// Shows a sister our receipts of what we have to do with her, and to each other those of sisters in the same torrent, so
    /// that they meet without a supernode.
    pub(super) fn show(&mut self, now: Time, key: Key) {
        let Some(sister) = self.sisters.get(&key).filter(|sister| sister.ready()) else { return };
        let Some(connection) = sister.session else { return };
        let unsaid = sister.shares.iter().filter(|(_, share)| !share.said && !share.declined);
        let unsaid: Vec<InfoHash> = unsaid.map(|(info_hash, _)| *info_hash).collect();
        let mut receipts = Vec::new();
        for info_hash in &unsaid {
            let Some(torrent) = self.torrents.get(info_hash) else { continue };
            receipts.push(torrent.receipt.clone());
            for other in torrent.holders.iter().filter(|other| **other != key) {
                let shown = self.sisters.get(other).and_then(|other| other.shares.get(info_hash));
                receipts
                    .extend(shown.and_then(|share| share.receipt.as_ref()).map(|shown| shown.bytes.clone()));
            }
        }
        let Some(sister) = self.sisters.get_mut(&key) else { return };
        for info_hash in unsaid.iter().filter(|info_hash| self.torrents.contains_key(info_hash)) {
            if let Some(share) = sister.shares.get_mut(info_hash) {
                share.said = true;
                share.told = 0;
                if share.receipt.is_some() {
                    sister.dirty.insert(*info_hash);
                }
            }
        }
        if !sister.dirty.is_empty() {
            sister.hasten(now, self.config.hurry * 5);
        }
        self.show_receipts(now, connection, receipts);
        self.set_timer(key);
    }

    /// Sends receipts, so many a message as may be.
    pub(super) fn show_receipts(
        &mut self,
        now: Time,
        connection: super::sister::ConnectionId,
        receipts: Vec<Vec<u8>>,
    ) {
        let (mut message, mut length) = (Vec::new(), 0);
        for receipt in receipts {
            if message.len() >= MAX_RECEIPTS || length + receipt.len() > RECEIPT_BYTES {
                self.send(now, connection, &Message::Hold(std::mem::take(&mut message)));
                length = 0;
            }
            length += receipt.len();
            message.push(receipt);
        }
        if !message.is_empty() {
            self.send(now, connection, &Message::Hold(message));
        }
    }
}
