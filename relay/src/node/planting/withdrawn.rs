//! Withdrawals of the last minutes: a claim that somebody plays back after its planter took the torrent away plants nothing.
//!
//! In memory only: a claim is fresh for minutes, and a process that starts anew has not heard most of them.

use anatomic_core::InfoHash;
use anatomic_mesh::signed::MAX_SKEW;
use anatomic_mesh::{Claim, Key, UnixTime};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Most that are remembered. Each costs its planter a planting, so nobody fills it with another's.
const MOST: usize = 10_000;

/// By torrent and planter: when the withdrawal was written by the planter's clock, and until when by ours it is remembered.
#[derive(Debug, Default)]
pub(super) struct Withdrawn(Mutex<HashMap<(InfoHash, Key), (UnixTime, UnixTime)>>);

impl Withdrawn {
    /// Remembers a withdrawal for as long as claims from before it are fresh.
    pub(super) fn note(&self, info_hash: InfoHash, planter: Key, issued: UnixTime, now: UnixTime) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MOST {
            all.retain(|_, (_, until)| *until > now);
        }
        if all.len() < MOST {
            // A claim is fresh for so long before and after its time.
            let until = now.plus(2 * MAX_SKEW + 1);
            all.insert((info_hash, planter), (issued, until));
        }
    }

    /// Whether the claim is from before its planter's last withdrawal.
    pub(super) fn undoes(&self, claim: &Claim) -> bool {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(&(claim.info_hash, claim.planter)).is_some_and(|(issued, _)| claim.issued < *issued)
    }
}
