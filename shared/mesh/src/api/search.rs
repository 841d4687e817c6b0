//! Search: what people look for, and what a supernode finds.
//!
//! How words are matched and ordered is the supernode's business. Names are strangers' text.

use crate::counts::Peers;
use crate::{Key, text};
use anatomic_core::InfoHash;
use anatomic_core::collections::BTreeMap;
use serde::{Deserialize, Serialize};

/// A torrent that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hit {
    /// The v1 info-hash; `/t/INFOHASH` on the supernode's host opens it.
    #[serde(with = "text::info_hash")]
    pub info_hash: InfoHash,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<u64>,
    /// Files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<u64>,
    /// A magnet that names the supernode, which knows the nodes.
    pub magnet: String,
    /// Browsers, as last reported.
    #[serde(default)]
    pub tabs: Peers,
    /// Other clients, as last reported.
    #[serde(default)]
    pub classic: Peers,
    /// Seconds since a seed was last known to be alive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed_seen: Option<u64>,
}

/// The answer to a search: torrents of which a seed was alive lately, the last proven first; and those that were planted
/// within the last day and wait for their first seed, at the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// Who found them.
    pub supernode: Key,
    /// What was found.
    pub hits: Vec<Hit>,
    /// Whether there are more: ask again with a greater `offset`.
    #[serde(default)]
    pub more: bool,
}

/// What several supernodes found, as one list: each torrent once, with whom it is from.
///
/// Every supernode has its turn: the first of each answer, then the second of each, so that one that claims much cannot crowd
/// out the others; among those by who proved it alive last, those that wait for their first seed at the end.
#[must_use]
pub fn merge<T: Copy>(answers: impl IntoIterator<Item = (T, Vec<Hit>)>, limit: usize) -> Vec<(T, Hit)> {
    let mut all: BTreeMap<InfoHash, (usize, T, Hit)> = BTreeMap::new();
    let age = |hit: &Hit| hit.seed_seen.unwrap_or(u64::MAX);
    for (from, hits) in answers {
        for (place, hit) in hits.into_iter().enumerate() {
            let known = all.get(&hit.info_hash);
            let place = known.map_or(place, |(known, ..)| place.min(*known));
            if known.is_none_or(|(_, _, known)| age(&hit) < age(known)) {
                all.insert(hit.info_hash, (place, from, hit));
            } else if let Some(known) = all.get_mut(&hit.info_hash) {
                known.0 = place;
            }
        }
    }
    let mut hits: Vec<_> = all.into_values().collect();
    hits.sort_by_key(|(place, _, hit)| (*place, age(hit)));
    hits.truncate(limit);
    hits.into_iter().map(|(_, from, hit)| (from, hit)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_supernode_has_its_turn_and_a_torrent_is_there_once_by_the_latest_proof() {
        let hit = |hash: u8, seed_seen| Hit {
            info_hash: InfoHash([hash; 20]),
            name: None,
            length: None,
            files: None,
            magnet: String::new(),
            tabs: Peers::default(),
            classic: Peers::default(),
            seed_seen,
        };
        let crowd = (10..40).map(|hash| hit(hash, Some(0))).collect();
        let answers = [
            ("a", vec![hit(1, Some(50)), hit(2, None)]),
            ("b", vec![hit(3, Some(20)), hit(1, Some(10)), hit(2, None)]),
            ("crowd", crowd),
        ];
        let found = |limit| -> Vec<(&str, u8)> {
            merge(answers.clone(), limit).into_iter().map(|(from, hit)| (from, hit.info_hash.0[0])).collect()
        };
        assert_eq!(found(5), [("crowd", 10), ("b", 1), ("b", 3), ("crowd", 11), ("a", 2)]);
        assert_eq!(found(1), [("crowd", 10)]);
    }
}
