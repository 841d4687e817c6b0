//! Fetches the info dictionary of a magnet from many peers at once (BEP 9).
//!
//! Strangers' sizes are bounded before anything is kept, the result must have the info-hash, and who spoils it
//! is found out: after a failure it is fetched from one peer alone. It sends nothing itself.

use crate::keys::PeerKey;
use anatomic_core::collections::BTreeMap;
use anatomic_core::{InfoHash, Time};
use anatomic_wire::extended::METADATA_PIECE_LEN;
use bytes::{Bytes, BytesMut};
use sha1::{Digest, Sha1};
use std::time::Duration;

/// A piece that did not come in this time is asked of others.
const PATIENCE: Duration = Duration::from_secs(10);
/// Pieces asked of one peer at a time.
const AT_A_TIME: usize = 8;
/// Sizes that are pursued at a time: the true one, and liars'.
const MAX_SIZES: usize = 4;
/// How long a peer that refused is left alone.
const REFUSED: Duration = Duration::from_secs(20);

/// The metadata being fetched for one magnet.
#[derive(Debug)]
pub(crate) struct Fetch {
    info_hash: InfoHash,
    most: u32,
    attempts: BTreeMap<u32, Attempt>,
    sources: BTreeMap<PeerKey, Source>,
    /// A mixed result was wrong: from now on each attempt has one source.
    alone: bool,
}

#[derive(Debug)]
struct Attempt {
    pieces: Vec<Option<(Bytes, PeerKey)>>,
    /// Where `alone`: the one source.
    owner: Option<(PeerKey, Time)>,
}

#[derive(Debug)]
struct Source {
    size: u32,
    asked: BTreeMap<u32, Time>,
    not_before: Time,
}

/// What a piece of metadata led to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// More is needed.
    Pending,
    /// Here it is: the hash is right.
    Complete(Bytes),
    /// The hash is wrong, and this peer sent all of it.
    Liar(PeerKey),
}

impl Fetch {
    /// Nothing is known but the hash; more than `most` bytes are not taken.
    pub(crate) const fn new(info_hash: InfoHash, most: u32) -> Self {
        Self { info_hash, most, attempts: BTreeMap::new(), sources: BTreeMap::new(), alone: false }
    }

    /// A peer that has the metadata said how large it is.
    pub(crate) fn add_source(&mut self, now: Time, peer: PeerKey, size: u32) {
        if size == 0 || size > self.most || self.sources.contains_key(&peer) {
            return;
        }
        self.sources.insert(peer, Source { size, asked: BTreeMap::new(), not_before: now });
    }

    /// A peer is gone.
    pub(crate) fn remove_source(&mut self, peer: PeerKey) {
        self.sources.remove(&peer);
        for attempt in self.attempts.values_mut() {
            if attempt.owner.is_some_and(|(owner, _)| owner == peer) {
                attempt.owner = None;
                attempt.pieces.iter_mut().for_each(|piece| *piece = None);
            }
        }
        self.drop_idle_attempts();
    }

    /// The next piece to ask of `peer`; it counts as asked.
    pub(crate) fn next(&mut self, now: Time, peer: PeerKey) -> Option<u32> {
        let alone = self.alone;
        let source = self.sources.get(&peer)?;
        if source.asked.len() >= AT_A_TIME || source.not_before > now {
            return None;
        }
        let size = source.size;
        if !self.attempts.contains_key(&size) {
            self.drop_idle_attempts();
            if self.attempts.len() >= MAX_SIZES {
                return None;
            }
            let pieces = size.div_ceil(METADATA_PIECE_LEN) as usize;
            self.attempts.insert(size, Attempt { pieces: vec![None; pieces], owner: None });
        }
        let attempt = self.attempts.get_mut(&size)?;
        if alone {
            match attempt.owner {
                Some((owner, since)) if owner != peer && now < since + PATIENCE => return None,
                Some((owner, _)) if owner == peer => {}
                _ => {
                    attempt.owner = Some((peer, now));
                    attempt.pieces.iter_mut().for_each(|piece| *piece = None);
                }
            }
        }
        let missing = |piece: u32| attempt.pieces.get(piece as usize).is_some_and(Option::is_none);
        let fresh = |piece: u32| {
            !self.sources.values().any(|source| {
                source.size == size && source.asked.get(&piece).is_some_and(|at| now < *at + PATIENCE)
            })
        };
        let count = u32::try_from(attempt.pieces.len()).unwrap_or(u32::MAX);
        let piece = (0..count).find(|piece| missing(*piece) && fresh(*piece))?;
        self.sources.get_mut(&peer)?.asked.insert(piece, now);
        Some(piece)
    }

    /// A piece came.
    pub(crate) fn on_piece(&mut self, now: Time, peer: PeerKey, piece: u32, data: Bytes) -> Outcome {
        let Some(source) = self.sources.get_mut(&peer) else { return Outcome::Pending };
        if source.asked.remove(&piece).is_none() {
            return Outcome::Pending;
        }
        let size = source.size;
        let expected = size.saturating_sub(piece.saturating_mul(METADATA_PIECE_LEN)).min(METADATA_PIECE_LEN);
        if data.len() != expected as usize {
            // Not what it said itself.
            source.not_before = now + REFUSED;
            return Outcome::Pending;
        }
        let alone = self.alone;
        let Some(attempt) = self.attempts.get_mut(&size) else { return Outcome::Pending };
        if alone && attempt.owner.is_none_or(|(owner, _)| owner != peer) {
            return Outcome::Pending;
        }
        if let Some((_, since)) = &mut attempt.owner {
            *since = now;
        }
        if let Some(slot) = attempt.pieces.get_mut(piece as usize)
            && slot.is_none()
        {
            // A copy: the received buffer is larger and would be kept alive.
            *slot = Some((Bytes::copy_from_slice(&data), peer));
        }
        if attempt.pieces.iter().any(Option::is_none) {
            return Outcome::Pending;
        }
        self.judge(size)
    }

    /// A peer will not send a piece.
    pub(crate) fn on_reject(&mut self, now: Time, peer: PeerKey, piece: u32) {
        if let Some(source) = self.sources.get_mut(&peer) {
            source.asked.remove(&piece);
            source.not_before = now + REFUSED;
        }
        for attempt in self.attempts.values_mut() {
            if attempt.owner.is_some_and(|(owner, _)| owner == peer) {
                attempt.owner = None;
            }
        }
    }

    fn judge(&mut self, size: u32) -> Outcome {
        let Some(attempt) = self.attempts.remove(&size) else { return Outcome::Pending };
        let mut whole = BytesMut::with_capacity(size as usize);
        let mut senders: Vec<PeerKey> = Vec::new();
        for (data, sender) in attempt.pieces.into_iter().flatten() {
            whole.extend_from_slice(&data);
            senders.push(sender);
        }
        let digest: [u8; 20] = Sha1::digest(&whole).into();
        if digest == self.info_hash.0 {
            return Outcome::Complete(whole.freeze());
        }
        for source in self.sources.values_mut().filter(|source| source.size == size) {
            source.asked.clear();
        }
        senders.dedup();
        if let [liar] = senders.as_slice() {
            self.sources.remove(liar);
            return Outcome::Liar(*liar);
        }
        self.alone = true;
        Outcome::Pending
    }

    fn drop_idle_attempts(&mut self) {
        let sources = &self.sources;
        self.attempts.retain(|size, _| sources.values().any(|source| source.size == *size));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(number: u64) -> PeerKey {
        PeerKey::from_u64((1 << 32) | number)
    }

    fn truth() -> (Bytes, InfoHash) {
        let data = Bytes::from((0..40_000u32).map(|n| (n % 251) as u8).collect::<Vec<_>>());
        let hash = InfoHash(Sha1::digest(&data).into());
        (data, hash)
    }

    fn piece_of(data: &Bytes, piece: u32) -> Bytes {
        let from = piece as usize * 16_384;
        data.slice(from..(from + 16_384).min(data.len()))
    }

    #[test]
    fn pieces_come_from_several_peers() {
        let (data, hash) = truth();
        let mut fetch = Fetch::new(hash, 1 << 20);
        fetch.add_source(Time::ZERO, peer(1), 40_000);
        fetch.add_source(Time::ZERO, peer(2), 40_000);
        let a = fetch.next(Time::ZERO, peer(1)).unwrap();
        let b = fetch.next(Time::ZERO, peer(2)).unwrap();
        let c = fetch.next(Time::ZERO, peer(1)).unwrap();
        assert_eq!((a, b, c, fetch.next(Time::ZERO, peer(1))), (0, 1, 2, None));
        assert_eq!(fetch.on_piece(Time::ZERO, peer(1), 0, piece_of(&data, 0)), Outcome::Pending);
        assert_eq!(fetch.on_piece(Time::ZERO, peer(1), 2, piece_of(&data, 2)), Outcome::Pending);
        assert_eq!(fetch.on_piece(Time::ZERO, peer(2), 1, piece_of(&data, 1)), Outcome::Complete(data));
    }

    #[test]
    fn a_liar_among_many_is_found_by_asking_one_at_a_time() {
        let (data, hash) = truth();
        let mut fetch = Fetch::new(hash, 1 << 20);
        let bad = Bytes::from(vec![0; 40_000]);
        for number in 1..3 {
            fetch.add_source(Time::ZERO, peer(number), 40_000);
        }
        let (mut liars, mut now) = (Vec::new(), Time::ZERO);
        for _ in 0..100 {
            now += Duration::from_secs(1);
            for number in 1..3 {
                // One piece a turn, so that both have a part in the first attempt.
                if let Some(piece) = fetch.next(now, peer(number)) {
                    let source = if number == 1 { &bad } else { &data };
                    match fetch.on_piece(now, peer(number), piece, piece_of(source, piece)) {
                        Outcome::Pending => {}
                        Outcome::Liar(liar) => liars.push(liar),
                        Outcome::Complete(found) => {
                            assert_eq!((found, liars.iter().all(|liar| *liar == peer(1))), (data, true));
                            return;
                        }
                    }
                }
            }
        }
        panic!("never completed");
    }

    #[test]
    fn absurd_sizes_are_refused_and_many_sizes_bounded() {
        let (_, hash) = truth();
        let mut fetch = Fetch::new(hash, 1 << 20);
        fetch.add_source(Time::ZERO, peer(1), u32::MAX);
        fetch.add_source(Time::ZERO, peer(2), 0);
        assert_eq!((fetch.next(Time::ZERO, peer(1)), fetch.next(Time::ZERO, peer(2))), (None, None));
        for number in 10..20 {
            fetch.add_source(Time::ZERO, peer(number), u32::try_from(number).unwrap() * 1_000);
            fetch.next(Time::ZERO, peer(number));
        }
        assert!(fetch.attempts.len() <= MAX_SIZES);
    }
}
