//! The feed by which supernodes follow each other: pages of statements, each signed by whom it concerns, under a head that
//! the supernode signs.
//!
//! A follower believes the statements and not the supernode; the head pins down who said what, and which index it was, so
//! that a new index is read from its beginning. Fetching and indexing are the relay's business.

use crate::api::FeedEntry;
use crate::identity::Key;
use crate::signed::{self, SignedError, Statement, UnixTime};
use anatomic_core::bencode::{Item, Value};
use sha2::{Digest as _, Sha256};

/// Most entries of one page.
pub const MAX_ENTRIES: usize = 1_000;

/// The head of a page. Signed by the supernode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedHead {
    /// The supernode.
    pub supernode: Key,
    /// Names its index; another name means that cursors start anew.
    pub index: [u8; 8],
    /// The cursor that was asked for: entries with greater numbers follow.
    pub since: u64,
    /// The cursor for the next page.
    pub next: u64,
    /// [`digest`] of the entries.
    pub digest: [u8; 32],
    /// When it was written.
    pub issued: UnixTime,
}

impl FeedHead {
    /// Checks that the head is of `supernode`, answers `since`, was made just now and is about just these entries, whose
    /// numbers rise from `since` to `next`.
    ///
    /// # Errors
    /// [`SignedError::WrongSigner`] if it is of another supernode or page, [`SignedError::Malformed`] if the entries are
    /// not those it names, [`SignedError::Time`] if it is stale.
    pub fn check(
        &self,
        supernode: Key,
        since: u64,
        entries: &[FeedEntry],
        now: UnixTime,
    ) -> Result<(), SignedError> {
        if self.supernode != supernode || self.since != since {
            return Err(SignedError::WrongSigner);
        }
        let mut last = since;
        for entry in entries {
            if entry.seq <= last {
                return Err(SignedError::Malformed);
            }
            last = entry.seq;
        }
        if entries.len() > MAX_ENTRIES || last > self.next || self.digest != digest(entries) {
            return Err(SignedError::Malformed);
        }
        if now.0.abs_diff(self.issued.0) > signed::MAX_DRIFT { Err(SignedError::Time) } else { Ok(()) }
    }
}

/// SHA-256 over each entry's number (8 bytes, big-endian), the length of its statement (4 bytes, big-endian) and the
/// statement. Torrents and names are not in it: they are checked against the info-hash, or are a stranger's text.
#[must_use]
pub fn digest(entries: &[FeedEntry]) -> [u8; 32] {
    let mut digest = Sha256::new();
    for entry in entries {
        let length = u32::try_from(entry.statement.0.len()).unwrap_or(u32::MAX);
        digest.update(entry.seq.to_be_bytes());
        digest.update(length.to_be_bytes());
        digest.update(&entry.statement.0);
    }
    digest.finalize().into()
}

impl Statement for FeedHead {
    const DOMAIN: &'static str = "anatomic feed";

    fn signer(&self) -> Key {
        self.supernode
    }

    fn entries(&self) -> Vec<(&'static str, Item)> {
        vec![
            ("digest", Item::from(&self.digest[..])),
            ("index", Item::from(&self.index[..])),
            ("issued", Item::from(self.issued.0)),
            ("next", Item::from(self.next)),
            ("since", Item::from(self.since)),
            ("supernode", Item::from(&self.supernode.0[..])),
        ]
    }

    fn read(body: Value<'_, '_>) -> Option<Self> {
        Some(Self {
            supernode: Key(signed::array(body, "supernode")?),
            index: signed::array(body, "index")?,
            since: body.get(b"since")?.as_uint()?,
            next: body.get(b"next")?.as_uint()?,
            digest: signed::array(body, "digest")?,
            issued: signed::time(body, "issued")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{FeedKind, HexBytes};
    use crate::{Identity, Signed};
    use anatomic_core::ids::to_hex;

    const NOW: UnixTime = UnixTime(1_800_000_000);

    fn entry(seq: u64) -> FeedEntry {
        FeedEntry {
            seq,
            kind: FeedKind::Receipt,
            statement: HexBytes(vec![1, 2, 3]),
            torrent: None,
            name: None,
            length: None,
        }
    }

    fn head(entries: &[FeedEntry]) -> FeedHead {
        let supernode = Identity::from_seed([1; 32]).key();
        FeedHead { supernode, index: [7; 8], since: 4, next: 9, digest: digest(entries), issued: NOW }
    }

    #[test]
    fn a_page_holds_for_its_supernode_cursor_entries_and_time() {
        let entries = [entry(5), entry(9)];
        let head = head(&entries);
        let signed = Signed::new(head.clone(), &Identity::from_seed([1; 32])).unwrap();
        assert_eq!(*signed.to_string().parse::<Signed<FeedHead>>().unwrap(), head);
        let key = head.supernode;
        assert_eq!(head.check(key, 4, &entries, NOW), Ok(()));
        assert_eq!(head.check(Key([2; 32]), 4, &entries, NOW), Err(SignedError::WrongSigner));
        assert_eq!(head.check(key, 3, &entries, NOW), Err(SignedError::WrongSigner));
        assert_eq!(head.check(key, 4, &entries, NOW.plus(signed::MAX_DRIFT + 1)), Err(SignedError::Time));
        for other in [vec![entry(5)], vec![entry(9), entry(5)], vec![entry(5), entry(10)], vec![]] {
            assert_eq!(head.check(key, 4, &other, NOW), Err(SignedError::Malformed));
        }
    }

    #[test]
    fn the_digest_is_this_in_every_version_of_the_program() {
        assert_eq!(to_hex(&digest(&[entry(5), entry(9)])), include_str!("feed.hex").trim());
    }
}
