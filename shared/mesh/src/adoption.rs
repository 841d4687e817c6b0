//! Adoptions: a node that lost a sister asks another node to take her place.
//!
//! It shows the planter's own claim (to whichever node), so nothing is tracked that no planter wished for, and its own receipt, so the lease
//! is no longer than what was agreed. Which node is asked, and when, is peer-sharing's business.

use crate::claim::{Claim, fresh};
use crate::identity::Key;
use crate::receipt::Receipt;
use crate::signed::{self, Signed, SignedError, Statement, UnixTime};
use anatomic_core::InfoHash;
use anatomic_core::bencode::{Item, Value};

/// "Track this torrent with us." Signed by a node that tracks it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adoption {
    /// The v1 info-hash.
    pub info_hash: InfoHash,
    /// The node that is asked.
    pub node: Key,
    /// The node that asks.
    pub from: Key,
    /// All nodes that track the torrent, the one that is asked not included.
    pub sisters: Vec<Key>,
    /// When it was written.
    pub issued: UnixTime,
}

impl Adoption {
    /// Checks that the adoption is meant for `node` and was made just now, and that the planter's claim and the lease of
    /// the node that asks are about the same torrent.
    ///
    /// # Errors
    /// [`SignedError::WrongSigner`] if the three are not about one torrent and planter, or another node is meant;
    /// [`SignedError::Time`] if it is stale or the lease has ended.
    pub fn check(
        &self,
        claim: &Signed<Claim>,
        receipt: &Signed<Receipt>,
        node: Key,
        now: UnixTime,
    ) -> Result<(), SignedError> {
        fresh(self.node, self.issued, node, now)?;
        let one_torrent = claim.info_hash == self.info_hash && receipt.info_hash == self.info_hash;
        // The claim may name a node that is lost by now: who adopted a torrent can have it adopted further.
        if !one_torrent || claim.planter != receipt.planter || receipt.node != self.from {
            return Err(SignedError::WrongSigner);
        }
        receipt.check_time(now)
    }
}

impl Statement for Adoption {
    const DOMAIN: &'static str = "anatomic adoption";

    fn signer(&self) -> Key {
        self.from
    }

    fn entries(&self) -> Vec<(&'static str, Item)> {
        vec![
            ("from", Item::from(&self.from.0[..])),
            ("info_hash", Item::from(&self.info_hash.0[..])),
            ("issued", Item::from(self.issued.0)),
            ("node", Item::from(&self.node.0[..])),
            ("sisters", signed::keys_item(&self.sisters)),
        ]
    }

    fn read(body: Value<'_, '_>) -> Option<Self> {
        Some(Self {
            info_hash: InfoHash(signed::array(body, "info_hash")?),
            node: Key(signed::array(body, "node")?),
            from: Key(signed::array(body, "from")?),
            sisters: signed::keys(body, "sisters")?,
            issued: signed::time(body, "issued")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Identity, Listing};

    const NOW: UnixTime = UnixTime(1_800_000_000);

    fn made(claim_of: u8, receipt_of: u8) -> (Signed<Adoption>, Signed<Claim>, Signed<Receipt>) {
        let [planter, asks, asked] = [1, 2, 3].map(|seed| Identity::from_seed([seed; 32]));
        let claim = Claim {
            info_hash: InfoHash([claim_of; 20]),
            info_hash_v2: None,
            node: asks.key(),
            planter: planter.key(),
            sisters: vec![],
            listing: Listing::Listed,
            // Long ago: an adoption may come at the end of a lease.
            issued: UnixTime(1_790_000_000),
            at: None,
        };
        let receipt = Receipt {
            info_hash: InfoHash([receipt_of; 20]),
            info_hash_v2: None,
            node: asks.key(),
            url: "http://n".into(),
            planter: planter.key(),
            sisters: vec![],
            listing: Listing::Listed,
            issued: NOW,
            claimed: None,
            expires: NOW.plus(100),
        };
        let adoption = Adoption {
            info_hash: InfoHash([7; 20]),
            node: asked.key(),
            from: asks.key(),
            sisters: vec![asks.key()],
            issued: NOW,
        };
        let adoption = Signed::new(adoption, &asks).unwrap();
        let read = Signed::from_bytes(adoption.as_bytes()).unwrap();
        assert_eq!(adoption, read);
        (read, Signed::new(claim, &planter).unwrap(), Signed::new(receipt, &asks).unwrap())
    }

    #[test]
    fn an_adoption_needs_the_planters_claim_and_a_running_lease_of_the_same_torrent() {
        let asked = Identity::from_seed([3; 32]).key();
        let (adoption, claim, receipt) = made(7, 7);
        assert_eq!(adoption.check(&claim, &receipt, asked, NOW), Ok(()));
        assert_eq!(adoption.check(&claim, &receipt, asked, NOW.plus(100)), Err(SignedError::Time));
        assert_eq!(adoption.check(&claim, &receipt, Key([9; 32]), NOW), Err(SignedError::WrongSigner));
        for (claim_of, receipt_of) in [(8, 7), (7, 8)] {
            let (adoption, claim, receipt) = made(claim_of, receipt_of);
            assert_eq!(adoption.check(&claim, &receipt, asked, NOW), Err(SignedError::WrongSigner));
        }
    }
}
