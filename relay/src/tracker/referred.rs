//! Newcomers over UDP that were told of a sister: whoever comes again is taken.
//!
//! HTTP marks those whom it sends on (`handed=1`), so that two sisters who are both near their budgets do not send somebody to and
//! fro. A UDP client cannot be sent; it only hears a reason and asks its other trackers. So the second time it is taken.

use anatomic_core::InfoHash;
use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasher as _, RandomState};
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

/// Most that are remembered, the latest.
const MOST: usize = 10_000;

#[derive(Default)]
pub(super) struct Referred {
    hasher: RandomState,
    known: Mutex<(VecDeque<u64>, HashSet<u64>)>,
}

impl Referred {
    /// Whether it was referred before; from now on it was.
    pub(super) fn again(&self, info_hash: &InfoHash, client: SocketAddr) -> bool {
        let name = self.hasher.hash_one((info_hash, client));
        let (row, all) = &mut *self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if !all.insert(name) {
            return true;
        }
        row.push_back(name);
        if row.len() > MOST
            && let Some(oldest) = row.pop_front()
        {
            all.remove(&oldest);
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_again_is_known_and_only_the_latest_are_remembered() {
        let referred = Referred::default();
        let client = |port| SocketAddr::from(([9, 9, 9, 9], port));
        let hash = InfoHash([1; 20]);
        assert!(!referred.again(&hash, client(1)));
        assert!(referred.again(&hash, client(1)));
        assert!(!referred.again(&InfoHash([2; 20]), client(1)), "in another swarm it is a newcomer");
        for port in 2..=10_001 {
            referred.again(&hash, client(port));
        }
        assert!(!referred.again(&hash, client(1)), "forgotten");
        assert_eq!(referred.known.lock().unwrap().1.len(), MOST);
    }
}
