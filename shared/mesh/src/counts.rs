//! Counts: what a node says of its swarms, and when it last knew a seed to be alive.
//!
//! Signed, so that supernodes can pass them on; about listed torrents only, since whoever reads them learns the
//! info-hashes. How search orders by them is the supernode's business.

use crate::identity::Key;
use crate::signed::{self, Statement, UnixTime};
use anatomic_core::InfoHash;
use anatomic_core::bencode::{Item, Value};

/// Most swarms of one statement; more go into another.
pub const MAX_SWARMS: usize = 256;
/// Bytes of one swarm in a statement.
const RECORD: usize = 20 + 6 * 4;
/// "Never", where an age stands.
const NEVER: u32 = u32::MAX;

/// Seeds and leeches of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Peers {
    /// Those that have everything.
    #[serde(default)]
    pub seeds: u32,
    /// The others.
    #[serde(default)]
    pub leeches: u32,
}

/// One swarm, as a node sees it: different peers, its own and those that sisters named, each once. The largest of several nodes'
/// figures is the best; a sum would count peers twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SwarmCount {
    /// Which.
    pub info_hash: InfoHash,
    /// Browsers.
    pub tabs: Peers,
    /// Clients that came over HTTP or UDP.
    pub classic: Peers,
    /// How many tabs the node has connected with since the torrent was planted.
    pub helped: u32,
    /// Seconds since a seed was last known to be alive, before `issued`.
    pub seed_age: Option<u32>,
}

/// "These are my swarms." Signed by the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counts {
    /// The node.
    pub node: Key,
    /// When it counted. Later counts replace earlier ones.
    pub issued: UnixTime,
    /// At most [`MAX_SWARMS`].
    pub swarms: Vec<SwarmCount>,
}

impl Statement for Counts {
    const DOMAIN: &'static str = "anatomic counts";

    fn signer(&self) -> Key {
        self.node
    }

    fn entries(&self) -> Vec<(&'static str, Item)> {
        let mut swarms = Vec::with_capacity(self.swarms.len() * RECORD);
        for swarm in &self.swarms {
            swarms.extend_from_slice(&swarm.info_hash.0);
            let numbers = [
                swarm.tabs.seeds,
                swarm.tabs.leeches,
                swarm.classic.seeds,
                swarm.classic.leeches,
                swarm.helped,
                swarm.seed_age.unwrap_or(NEVER),
            ];
            numbers.iter().for_each(|number| swarms.extend_from_slice(&number.to_be_bytes()));
        }
        vec![
            ("issued", Item::from(self.issued.0)),
            ("node", Item::from(&self.node.0[..])),
            ("swarms", Item::from(swarms)),
        ]
    }

    fn read(body: Value<'_, '_>) -> Option<Self> {
        let bytes = body.get(b"swarms")?.as_bytes()?;
        if !bytes.len().is_multiple_of(RECORD) || bytes.len() > MAX_SWARMS * RECORD {
            return None;
        }
        let swarms = bytes.chunks_exact(RECORD).map(read_swarm).collect::<Option<Vec<_>>>()?;
        Some(Self { node: Key(signed::array(body, "node")?), issued: signed::time(body, "issued")?, swarms })
    }
}

fn read_swarm(record: &[u8]) -> Option<SwarmCount> {
    let (hash, numbers) = record.split_at_checked(20)?;
    let mut numbers = numbers.chunks_exact(4).map(|number| number.try_into().map(u32::from_be_bytes));
    let mut next = || numbers.next()?.ok();
    Some(SwarmCount {
        info_hash: InfoHash(hash.try_into().ok()?),
        tabs: Peers { seeds: next()?, leeches: next()? },
        classic: Peers { seeds: next()?, leeches: next()? },
        helped: next()?,
        seed_age: next().map(|age| (age != NEVER).then_some(age))?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Identity, Signed, SignedError};

    fn counts(swarms: usize) -> Counts {
        let swarm = |number: usize| SwarmCount {
            info_hash: InfoHash([number as u8; 20]),
            tabs: Peers { seeds: 1, leeches: 2 },
            classic: Peers { seeds: 3, leeches: 4 },
            helped: 5,
            seed_age: number.is_multiple_of(2).then_some(6),
        };
        let node = Identity::from_seed([1; 32]).key();
        Counts { node, issued: UnixTime(1_800_000_000), swarms: (0..swarms).map(swarm).collect() }
    }

    #[test]
    fn counts_survive_the_way_over_text_up_to_256_swarms() {
        for swarms in [0, 1, MAX_SWARMS] {
            let signed = Signed::new(counts(swarms), &Identity::from_seed([1; 32])).unwrap();
            let read: Signed<Counts> = signed.to_string().parse().unwrap();
            assert_eq!(*read, counts(swarms));
        }
        let more = Signed::new(counts(MAX_SWARMS + 1), &Identity::from_seed([1; 32])).unwrap();
        assert_eq!(Signed::<Counts>::from_bytes(more.as_bytes()), Err(SignedError::Malformed));
    }

    #[test]
    fn counts_are_these_bytes_in_every_version_of_the_program() {
        let signed = Signed::new(counts(1), &Identity::from_seed([1; 32])).unwrap();
        assert_eq!(signed.to_string(), include_str!("counts.hex").trim());
    }
}
