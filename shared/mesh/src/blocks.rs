//! Block lists: which torrents a host does not serve. Entries are hashes of info-hashes, so that a list can be published
//! without telling anybody what to look for.
//!
//! Whose list is followed is the host's decision; a list blocks nothing by itself.

use crate::identity::Key;
use crate::signed::{self, SignedError, Statement, UnixTime};
use crate::text;
use anatomic_core::InfoHash;
use anatomic_core::bencode::{Item, Value};
use anatomic_core::ids::{from_hex, to_hex};
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::str::FromStr;

/// Most entries of one list.
pub const MAX_ENTRIES: usize = 200_000;

/// SHA-256 of a v1 info-hash. As text 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Blocked(pub [u8; 32]);

impl Blocked {
    /// The entry of a torrent.
    #[must_use]
    pub fn of(info_hash: &InfoHash) -> Self {
        Self(Sha256::digest(info_hash.0).into())
    }
}

impl fmt::Display for Blocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&to_hex(&self.0))
    }
}

impl fmt::Debug for Blocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is no entry of a block list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an entry of a block list is 64 hexadecimal digits")]
pub struct BadEntry;

impl FromStr for Blocked {
    type Err = BadEntry;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        from_hex(text).map(Self).ok_or(BadEntry)
    }
}

text::serde_as_text!(Blocked);

/// The head of a list. Signed by its owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockHead {
    /// Who keeps the list.
    pub owner: Key,
    /// Rises with every change; a smaller one than was seen before is refused.
    pub version: u64,
    /// How many entries there are.
    pub count: u64,
    /// [`digest`] of the entries.
    pub digest: [u8; 32],
    /// When it was written.
    pub issued: UnixTime,
}

impl BlockHead {
    /// Checks that the head is about just these entries, in rising order.
    ///
    /// # Errors
    /// [`SignedError::WrongSigner`] if another owner was expected, [`SignedError::Malformed`] if the entries are others.
    pub fn check(&self, owner: Key, entries: &[Blocked]) -> Result<(), SignedError> {
        if self.owner != owner {
            return Err(SignedError::WrongSigner);
        }
        let rising = entries.windows(2).all(|pair| matches!(pair, [a, b] if a < b));
        let right = entries.len() as u64 == self.count && digest(entries) == self.digest;
        if rising && right && entries.len() <= MAX_ENTRIES { Ok(()) } else { Err(SignedError::Malformed) }
    }
}

/// SHA-256 over the entries one behind the other.
#[must_use]
pub fn digest(entries: &[Blocked]) -> [u8; 32] {
    let mut digest = Sha256::new();
    entries.iter().for_each(|entry| digest.update(entry.0));
    digest.finalize().into()
}

impl Statement for BlockHead {
    const DOMAIN: &'static str = "anatomic block list";

    fn signer(&self) -> Key {
        self.owner
    }

    fn entries(&self) -> Vec<(&'static str, Item)> {
        vec![
            ("count", Item::from(self.count)),
            ("digest", Item::from(&self.digest[..])),
            ("issued", Item::from(self.issued.0)),
            ("owner", Item::from(&self.owner.0[..])),
            ("version", Item::from(self.version)),
        ]
    }

    fn read(body: Value<'_, '_>) -> Option<Self> {
        Some(Self {
            owner: Key(signed::array(body, "owner")?),
            version: body.get(b"version")?.as_uint()?,
            count: body.get(b"count")?.as_uint()?,
            digest: signed::array(body, "digest")?,
            issued: signed::time(body, "issued")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Identity, Signed};

    #[test]
    fn an_entry_is_the_hash_of_an_info_hash() {
        let entry = Blocked::of(&InfoHash([0; 20]));
        // sha256sum of twenty zero bytes.
        assert_eq!(entry.to_string(), "de47c9b27eb8d300dbb5f2c353e632c393262cf06340c4fa7f1b40c4cbd36f90");
        assert_eq!(entry.to_string().parse(), Ok(entry));
    }

    #[test]
    fn a_list_holds_for_its_owner_and_just_its_entries_in_order() {
        let owner = Identity::from_seed([1; 32]);
        let mut entries: Vec<_> = (0..3).map(|byte| Blocked::of(&InfoHash([byte; 20]))).collect();
        entries.sort();
        let head = BlockHead {
            owner: owner.key(),
            version: 2,
            count: 3,
            digest: digest(&entries),
            issued: UnixTime(1_800_000_000),
        };
        let signed = Signed::new(head.clone(), &owner).unwrap();
        assert_eq!(*signed.to_string().parse::<Signed<BlockHead>>().unwrap(), head);
        assert_eq!(head.check(owner.key(), &entries), Ok(()));
        assert_eq!(head.check(Key([3; 32]), &entries), Err(SignedError::WrongSigner));
        assert_eq!(head.check(owner.key(), &entries[1..]), Err(SignedError::Malformed));
        entries.reverse();
        assert_eq!(head.check(owner.key(), &entries), Err(SignedError::Malformed));
    }
}
