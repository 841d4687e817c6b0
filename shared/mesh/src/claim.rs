//! What a planter signs: the claim that asks a node to track a torrent, and the withdrawal that ends it.
//!
//! A claim names the one node that it is for, so that it cannot be carried to another. It proves nothing to third
//! parties; the receipt that answers it does.

use crate::identity::Key;
use crate::signed::{self, MAX_SKEW, SignedError, Statement, UnixTime};
use anatomic_core::bencode::{Item, Value};
use anatomic_core::{InfoHash, Sha256Hash};

/// Whether supernodes may show a torrent to people who search.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Listing {
    /// Found by search.
    #[default]
    Listed,
    /// Found by its link alone.
    Unlisted,
}

/// "Track this torrent." Signed by the planter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The v1 info-hash.
    pub info_hash: InfoHash,
    /// The v2 info-hash of a hybrid torrent.
    pub info_hash_v2: Option<Sha256Hash>,
    /// The node that is asked.
    pub node: Key,
    /// Who asks.
    pub planter: Key,
    /// The other nodes that are asked for the same torrent.
    pub sisters: Vec<Key>,
    /// Whether search may find it.
    pub listing: Listing,
    /// When it was written, by the planter's clock: orders the planter's own claims and withdrawals.
    pub issued: UnixTime,
    /// The same moment by the node's clock, where the node said that it is another.
    pub at: Option<UnixTime>,
}

impl Claim {
    /// Checks that the claim is meant for `node` and was made just now.
    ///
    /// # Errors
    /// [`SignedError::WrongSigner`] if it names another node, [`SignedError::Time`] if it is stale.
    pub fn check(&self, node: Key, now: UnixTime) -> Result<(), SignedError> {
        fresh(self.node, self.at.unwrap_or(self.issued), node, now)
    }
}

impl Statement for Claim {
    const DOMAIN: &'static str = "anatomic claim";

    fn signer(&self) -> Key {
        self.planter
    }

    fn entries(&self) -> Vec<(&'static str, Item)> {
        let mut entries = vec![
            ("info_hash", Item::from(&self.info_hash.0[..])),
            ("issued", Item::from(self.issued.0)),
            ("node", Item::from(&self.node.0[..])),
            ("planter", Item::from(&self.planter.0[..])),
            ("sisters", signed::keys_item(&self.sisters)),
        ];
        entries.extend(self.info_hash_v2.map(|hash| ("info_hash_v2", Item::from(&hash[..]))));
        entries.extend(self.at.map(|at| ("at", Item::from(at.0))));
        if self.listing == Listing::Unlisted {
            entries.push(("unlisted", Item::Integer(1)));
        }
        entries
    }

    fn read(body: Value<'_, '_>) -> Option<Self> {
        Some(Self {
            info_hash: InfoHash(signed::array(body, "info_hash")?),
            info_hash_v2: signed::optional_array(body, "info_hash_v2")?,
            node: Key(signed::array(body, "node")?),
            planter: Key(signed::array(body, "planter")?),
            sisters: signed::keys(body, "sisters")?,
            listing: signed::listing(body),
            issued: signed::time(body, "issued")?,
            at: signed::optional_time(body, "at")?,
        })
    }
}

/// How far a withdrawal reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Reach {
    /// Who is told forgets its own part.
    #[default]
    Here,
    /// The planter wants the torrent gone everywhere: supernodes tell each other.
    Everywhere,
}

/// "Track it no longer." Signed by the planter; sent to each node and supernode by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Withdrawal {
    /// The v1 info-hash.
    pub info_hash: InfoHash,
    /// The node or supernode that is told.
    pub node: Key,
    /// Who planted.
    pub planter: Key,
    /// How far it reaches.
    pub reach: Reach,
    /// When it was written, by the planter's clock. Receipts of claims that are younger stay.
    pub issued: UnixTime,
    /// The same moment by the clock of who is told, where that one said that it is another.
    pub at: Option<UnixTime>,
}

impl Withdrawal {
    /// Checks that the withdrawal is meant for `node` and was made just now.
    ///
    /// # Errors
    /// [`SignedError::WrongSigner`] if it names another node, [`SignedError::Time`] if it is stale.
    pub fn check(&self, node: Key, now: UnixTime) -> Result<(), SignedError> {
        fresh(self.node, self.at.unwrap_or(self.issued), node, now)
    }
}

impl Statement for Withdrawal {
    const DOMAIN: &'static str = "anatomic withdrawal";

    fn signer(&self) -> Key {
        self.planter
    }

    fn entries(&self) -> Vec<(&'static str, Item)> {
        let mut entries = vec![
            ("info_hash", Item::from(&self.info_hash.0[..])),
            ("issued", Item::from(self.issued.0)),
            ("node", Item::from(&self.node.0[..])),
            ("planter", Item::from(&self.planter.0[..])),
        ];
        entries.extend(self.at.map(|at| ("at", Item::from(at.0))));
        if self.reach == Reach::Everywhere {
            entries.push(("everywhere", Item::Integer(1)));
        }
        entries
    }

    fn read(body: Value<'_, '_>) -> Option<Self> {
        Some(Self {
            info_hash: InfoHash(signed::array(body, "info_hash")?),
            node: Key(signed::array(body, "node")?),
            planter: Key(signed::array(body, "planter")?),
            reach: if body.get(b"everywhere").is_some() { Reach::Everywhere } else { Reach::Here },
            issued: signed::time(body, "issued")?,
            at: signed::optional_time(body, "at")?,
        })
    }
}

pub(crate) fn fresh(named: Key, issued: UnixTime, node: Key, now: UnixTime) -> Result<(), SignedError> {
    if named != node {
        return Err(SignedError::WrongSigner);
    }
    if now.0.abs_diff(issued.0) > MAX_SKEW { Err(SignedError::Time) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Identity, Signed};

    fn claim(planter: &Identity) -> Claim {
        Claim {
            info_hash: InfoHash([7; 20]),
            info_hash_v2: Some([8; 32]),
            node: Key([1; 32]),
            planter: planter.key(),
            sisters: vec![Key([2; 32])],
            listing: Listing::Unlisted,
            issued: UnixTime(1_800_000_000),
            at: None,
        }
    }

    #[test]
    fn a_claim_survives_the_way_over_text() {
        let planter = Identity::from_seed([5; 32]);
        let signed = Signed::new(claim(&planter), &planter).unwrap();
        let read: Signed<Claim> = signed.to_string().parse().unwrap();
        assert_eq!(*read, claim(&planter));
    }

    #[test]
    fn a_claim_is_good_for_its_node_and_for_ten_minutes() {
        let claim = claim(&Identity::from_seed([5; 32]));
        assert_eq!(claim.check(Key([1; 32]), claim.issued.plus(MAX_SKEW)), Ok(()));
        assert_eq!(claim.check(Key([1; 32]), claim.issued.plus(MAX_SKEW + 1)), Err(SignedError::Time));
        assert_eq!(claim.check(Key([2; 32]), claim.issued), Err(SignedError::WrongSigner));
    }

    #[test]
    fn a_claim_is_fresh_by_the_clock_of_the_node_that_told_it() {
        let planter = Identity::from_seed([5; 32]);
        let now = UnixTime(1_800_003_600);
        assert_eq!(claim(&planter).check(Key([1; 32]), now), Err(SignedError::Time));
        let again = Claim { at: Some(now), ..claim(&planter) };
        let read: Signed<Claim> = Signed::new(again.clone(), &planter).unwrap().to_string().parse().unwrap();
        assert_eq!((&*read, read.check(Key([1; 32]), now)), (&again, Ok(())));
        assert_eq!(read.check(Key([1; 32]), now.plus(MAX_SKEW + 1)), Err(SignedError::Time), "and no longer");
    }

    #[test]
    fn a_claim_is_no_withdrawal() {
        let planter = Identity::from_seed([5; 32]);
        let claim = Signed::new(claim(&planter), &planter).unwrap();
        assert_eq!(Signed::<Withdrawal>::from_bytes(claim.as_bytes()), Err(SignedError::Signature));
    }
}
