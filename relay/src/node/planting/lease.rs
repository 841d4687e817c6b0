//! Leases: a living swarm renews them, and what has neither lease nor peer for a day is dropped.
//!
//! Called on a timer, never by a visit. Whether a swarm lives is the tracker's knowledge.

use super::{PlantedTorrent, Planting, PlantingChange};
use anatomic_core::InfoHash;
use anatomic_mesh::api::Problem;
use anatomic_mesh::receipt::DEFAULT_LEASE;
use anatomic_mesh::{Receipt, Signed, UnixTime};
use std::sync::PoisonError;
use tracing::{info, warn};

/// A torrent is kept this long after its lease ended and its last peer left, in seconds.
const GRACE: u64 = 24 * 3600;
/// After its start a node drops nothing for this long, in seconds: living peers have announced by then.
const SETTLING: u64 = 3600;
/// How old the record of the last peer may become on the disk while peers are there, in seconds.
const RECORDED: u64 = 3600;

impl Planting {
    /// Renews what lives and drops what has neither lease nor peer for a day; `has_peers` says whether a swarm lives.
    pub fn tend(&self, has_peers: impl Fn(&InfoHash) -> bool) {
        let now = self.clock.now();
        for torrent in self.list() {
            let lives = has_peers(&torrent.info_hash);
            let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
            // It may have changed while we waited.
            let Some(torrent) = self.get(&torrent.info_hash) else { continue };
            let result = if lives {
                self.prolong(&torrent, now)
            } else if torrent.expires().max(torrent.alive).plus(GRACE) < now
                && self.opened.plus(SETTLING) < now
            {
                info!(torrent = %torrent.info_hash, "dropped: its lease ended and nobody is there");
                self.drop_torrent(&torrent.info_hash)
            } else {
                Ok(())
            };
            if let Err(problem) = result {
                warn!(torrent = %torrent.info_hash, %problem, "could not tend a torrent");
            }
        }
    }

    /// Notes that a swarm lives; a lease of which less than half is left is renewed.
    fn prolong(&self, torrent: &PlantedTorrent, now: UnixTime) -> Result<(), Problem> {
        let lease = self.settings.limits.lease.unwrap_or(DEFAULT_LEASE).min(DEFAULT_LEASE);
        let is_short = |receipt: &Signed<Receipt>| receipt.expires < now.plus(lease / 2);
        let mut receipts = Vec::with_capacity(torrent.receipts.len());
        let mut renewed = false;
        for receipt in &torrent.receipts {
            if is_short(receipt) {
                let issued = self.later(&torrent.info_hash, &receipt.planter, now);
                let longer = Receipt { issued, expires: now.plus(lease), ..(**receipt).clone() };
                receipts.push(self.sign(longer)?);
                renewed = true;
            } else {
                receipts.push(receipt.clone());
            }
        }
        let living = PlantedTorrent { alive: now, receipts, ..torrent.clone() };
        let info_hash = torrent.info_hash;
        if renewed || torrent.recorded.plus(RECORDED) < now {
            self.keep(living)?;
        } else {
            self.remember(living);
        }
        if renewed {
            info!(torrent = %info_hash, "its swarm lives: renewed the lease");
            self.tell(PlantingChange::Receipts(info_hash));
        }
        Ok(())
    }

    /// The bridge connected with so many tabs that it did not know before.
    pub fn helped(&self, info_hash: &InfoHash, tabs: u32) {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(torrent) = self.get(info_hash) {
            // Written with the next change of the record.
            let helped = torrent.helped.saturating_add(tabs);
            self.remember(PlantedTorrent { helped, ..(*torrent).clone() });
        }
    }
}
