//! Planted torrents that mates speak of: wanted a few at a time, and written down one after the other beside the task that hears
//! of them.
//!
//! How two processes come to the same is `Planting::merge`'s.

use crate::node::Planting;
use anatomic_core::InfoHash;
use anatomic_mesh::fleet::message::Digest;
use anatomic_mesh::fleet::{Planted, ProcessId};
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tracing::warn;

/// Torrents that are asked for, or wait to be written, at a time.
const AT_ONCE: usize = 64;
/// Bytes of torrents that wait to be written, about.
const HELD: usize = 32 << 20;
/// Most torrents that wait to be asked for.
const WANTED: usize = 1_000_000;
/// A torrent is not waited for longer than this.
const PATIENCE: Duration = Duration::from_secs(5);

/// The digests of torrents that a mate has just told us, and we agree.
pub(super) type Agreed = Arc<Mutex<HashMap<InfoHash, Digest>>>;

/// What is still to be heard, and what waits for the disk.
pub(super) struct Torrents {
    told: mpsc::UnboundedSender<(InfoHash, Box<Planted>, usize)>,
    /// How many wait for the disk, and their bytes.
    waiting: Arc<(AtomicUsize, AtomicUsize)>,
    wanted: HashMap<InfoHash, ProcessId>,
    asked: HashMap<InfoHash, Instant>,
}

impl Torrents {
    /// Starts the task that writes; it ends with this.
    pub(super) fn start(planting: Arc<Planting>, agreed: Agreed) -> Self {
        let (told, mut received) = mpsc::unbounded_channel::<(InfoHash, Box<Planted>, usize)>();
        let waiting = Arc::new((AtomicUsize::new(0), AtomicUsize::new(0)));
        let done = waiting.clone();
        tokio::task::spawn_blocking(move || {
            while let Some((info_hash, planted, cost)) = received.blocking_recv() {
                // Before anybody hears of the change: it need not be told again.
                let remember = |digest| {
                    agreed.lock().unwrap_or_else(PoisonError::into_inner).insert(info_hash, digest);
                };
                match planting.merge(info_hash, &planted, remember) {
                    Ok(()) => {}
                    Err(problem) => {
                        warn!(torrent = %info_hash, %problem, "a torrent of the fleet was not kept");
                    }
                }
                done.0.fetch_sub(1, Ordering::Relaxed);
                done.1.fetch_sub(cost, Ordering::Relaxed);
            }
        });
        Self { told, waiting, wanted: HashMap::new(), asked: HashMap::new() }
    }

    /// A mate knows other things of a torrent than we do.
    pub(super) fn want(&mut self, mate: ProcessId, info_hash: InfoHash) {
        if self.wanted.len() < WANTED {
            self.wanted.insert(info_hash, mate);
        }
    }

    /// A mate told of a torrent. While too many wait for the disk it is wanted again later.
    pub(super) fn take(&mut self, mate: ProcessId, info_hash: InfoHash, planted: Box<Planted>) {
        self.asked.remove(&info_hash);
        let cost = cost(&planted);
        if self.waiting.1.load(Ordering::Relaxed) + cost > HELD {
            return self.want(mate, info_hash);
        }
        self.waiting.0.fetch_add(1, Ordering::Relaxed);
        self.waiting.1.fetch_add(cost, Ordering::Relaxed);
        let _ = self.told.send((info_hash, planted, cost));
    }

    /// Whom to ask for which torrents now.
    pub(super) fn next(&mut self, now: Instant) -> HashMap<ProcessId, Vec<InfoHash>> {
        let mut next: HashMap<ProcessId, Vec<InfoHash>> = HashMap::new();
        if self.wanted.is_empty() {
            return next;
        }
        self.asked.retain(|_, at| now.saturating_duration_since(*at) < PATIENCE);
        let busy = self.asked.len() + self.waiting.0.load(Ordering::Relaxed);
        // Not one by one.
        let room = if busy > AT_ONCE / 2 { 0 } else { AT_ONCE - busy };
        let some: Vec<_> = self.wanted.iter().take(room).map(|(hash, mate)| (*hash, *mate)).collect();
        for (info_hash, mate) in some {
            self.wanted.remove(&info_hash);
            self.asked.insert(info_hash, now);
            next.entry(mate).or_default().push(info_hash);
        }
        next
    }

    /// A mate is gone and tells nothing any more.
    pub(super) fn gone(&mut self, mate: ProcessId) {
        self.wanted.retain(|_, other| *other != mate);
    }
}

fn cost(planted: &Planted) -> usize {
    let statements = planted.receipts.iter().chain(&planted.claims).map(Vec::len).sum::<usize>();
    500 + planted.magnet.len() + statements + planted.torrent.as_ref().map_or(0, Vec::len)
}

#[cfg(test)]
#[path = "torrents_tests.rs"]
mod tests;
