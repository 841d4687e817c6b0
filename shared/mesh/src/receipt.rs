//! Receipts: a node's signed word that it tracks a torrent until a given day.
//!
//! Verified offline by anyone. A supernode indexes and redirects by receipts only; a claim alone moves nobody.

use crate::claim::Listing;
use crate::identity::Key;
use crate::signed::{self, MAX_DRIFT, SignedError, Statement, UnixTime};
use anatomic_core::bencode::{Item, Value};
use anatomic_core::{InfoHash, Sha256Hash};

/// How long a node undertakes to track a torrent unless told otherwise: 30 days, in seconds.
pub const DEFAULT_LEASE: u64 = 30 * 86_400;
/// Longest lease that is believed: 400 days, in seconds.
pub const MAX_LEASE: u64 = 400 * 86_400;

/// What a node undertakes. Signed by the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The v1 info-hash.
    pub info_hash: InfoHash,
    /// The v2 info-hash of a hybrid torrent.
    pub info_hash_v2: Option<Sha256Hash>,
    /// The node.
    pub node: Key,
    /// Where the node is reached, scheme and host; announces go to `url` + `/announce`.
    pub url: String,
    /// Who asked; the only one who may unplant.
    pub planter: Key,
    /// The other nodes that track the torrent, as far as the planter named them.
    pub sisters: Vec<Key>,
    /// Whether search may find it. Supernodes pass receipts of unlisted torrents to nobody.
    pub listing: Listing,
    /// When it was written, by the node's clock. Of two receipts of a node for one planter the later counts.
    pub issued: UnixTime,
    /// When the planter's claim was written, by the planter's clock: a withdrawal takes away what was claimed before it.
    /// `None` in receipts of older versions.
    pub claimed: Option<UnixTime>,
    /// When the lease ends.
    pub expires: UnixTime,
}

impl Receipt {
    /// When the planter wished for it, to be compared with the planter's withdrawals.
    #[must_use]
    pub fn wished(&self) -> UnixTime {
        self.claimed.unwrap_or(self.issued)
    }

    /// Whether search may find a torrent of which these are the receipts: not if each of its planters marked one of theirs
    /// unlisted. So each hides what they alone planted, and nobody what another one shows.
    #[must_use]
    pub fn listing<'a>(receipts: impl Iterator<Item = &'a Self> + Clone) -> Listing {
        let hidden = |planter: &Key| {
            receipts
                .clone()
                .any(|receipt| receipt.planter == *planter && receipt.listing == Listing::Unlisted)
        };
        let none_shown = receipts.clone().all(|receipt| hidden(&receipt.planter));
        let some = receipts.clone().next().is_some();
        if some && none_shown { Listing::Unlisted } else { Listing::Listed }
    }

    /// Checks that the lease runs at `now`. The node's clock may be ahead by [`MAX_DRIFT`].
    ///
    /// # Errors
    /// [`SignedError::Time`] if it ended, begins later, or is longer than [`MAX_LEASE`].
    pub fn check_time(&self, now: UnixTime) -> Result<(), SignedError> {
        let begun = self.issued <= now.plus(MAX_DRIFT);
        let sane = self.expires <= self.issued.plus(MAX_LEASE);
        if begun && sane && now < self.expires { Ok(()) } else { Err(SignedError::Time) }
    }
}

impl Statement for Receipt {
    const DOMAIN: &'static str = "anatomic receipt";

    fn signer(&self) -> Key {
        self.node
    }

    fn entries(&self) -> Vec<(&'static str, Item)> {
        let mut entries = vec![
            ("expires", Item::from(self.expires.0)),
            ("info_hash", Item::from(&self.info_hash.0[..])),
            ("issued", Item::from(self.issued.0)),
            ("node", Item::from(&self.node.0[..])),
            ("planter", Item::from(&self.planter.0[..])),
            ("sisters", signed::keys_item(&self.sisters)),
            ("url", Item::from(self.url.as_str())),
        ];
        entries.extend(self.claimed.map(|claimed| ("claimed", Item::from(claimed.0))));
        entries.extend(self.info_hash_v2.map(|hash| ("info_hash_v2", Item::from(&hash[..]))));
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
            url: signed::url(body, "url")?,
            planter: Key(signed::array(body, "planter")?),
            sisters: signed::keys(body, "sisters")?,
            listing: signed::listing(body),
            issued: signed::time(body, "issued")?,
            claimed: signed::optional_time(body, "claimed")?,
            expires: signed::time(body, "expires")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Identity, Signed};

    fn receipt() -> Receipt {
        Receipt {
            info_hash: InfoHash([0x11; 20]),
            info_hash_v2: None,
            node: Identity::from_seed([1; 32]).key(),
            url: "https://node.example".into(),
            planter: Identity::from_seed([2; 32]).key(),
            sisters: vec![Identity::from_seed([3; 32]).key()],
            listing: Listing::Listed,
            issued: UnixTime(1_800_000_000),
            claimed: None,
            expires: UnixTime(1_800_000_000 + DEFAULT_LEASE),
        }
    }

    #[test]
    fn a_receipt_is_these_bytes_in_every_version_of_the_program() {
        let signed = Signed::new(receipt(), &Identity::from_seed([1; 32])).unwrap();
        assert_eq!(signed.to_string(), include_str!("receipt.hex").trim());
        assert_eq!(include_str!("receipt.hex").trim().parse(), Ok(signed.clone()));
        let json = serde_json::to_string(&signed).unwrap();
        assert_eq!(serde_json::from_str::<Signed<Receipt>>(&json).unwrap(), signed);
    }

    #[test]
    fn a_receipt_with_any_byte_changed_is_worth_nothing() {
        let signed = Signed::new(receipt(), &Identity::from_seed([1; 32])).unwrap();
        let mut bytes = signed.as_bytes().to_vec();
        for at in 0..bytes.len() {
            for flip in [0x01, 0x80] {
                bytes[at] ^= flip;
                assert!(Signed::<Receipt>::from_bytes(&bytes).is_err(), "byte {at}");
                bytes[at] ^= flip;
            }
        }
        bytes.push(b'\n');
        assert_eq!(Signed::<Receipt>::from_bytes(&bytes), Err(SignedError::Malformed));
    }

    #[test]
    fn nobody_signs_for_another_node() {
        let other = Identity::from_seed([9; 32]);
        assert_eq!(Signed::new(receipt(), &other), Err(SignedError::WrongSigner));
    }

    #[test]
    fn a_lease_runs_from_issue_to_expiry_and_not_for_ever() {
        let mut receipt = receipt();
        let issued = receipt.issued;
        for (now, runs) in [
            (issued.0 - MAX_DRIFT - 1, false),
            (issued.0 - MAX_DRIFT, true),
            (issued.0 + DEFAULT_LEASE - 1, true),
            (issued.0 + DEFAULT_LEASE, false),
        ] {
            assert_eq!(receipt.check_time(UnixTime(now)).is_ok(), runs, "{now}");
        }
        receipt.expires = issued.plus(MAX_LEASE + 1);
        assert_eq!(receipt.check_time(issued), Err(SignedError::Time));
    }
}
