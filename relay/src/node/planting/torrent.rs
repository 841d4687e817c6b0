//! One planted torrent: what is known of it, and who asked for it.
//!
//! Who may plant, and for how long, is [`super::Planting`]'s part.

use anatomic_core::{InfoHash, Magnet, Metainfo, Sha256Hash};
use anatomic_mesh::{Claim, Listing, Receipt, Signed, UnixTime};
use std::sync::Arc;

/// A torrent that somebody planted here.
#[derive(Clone, Debug)]
pub struct PlantedTorrent {
    /// The v1 info-hash.
    pub info_hash: InfoHash,
    /// The v2 info-hash of a hybrid torrent.
    pub info_hash_v2: Option<Sha256Hash>,
    /// The torrent, once it is known.
    pub metainfo: Option<Arc<Metainfo>>,
    /// What is known besides: name, length, foreign trackers, web seeds.
    pub magnet: Magnet,
    /// One for each planter.
    pub receipts: Vec<Signed<Receipt>>,
    /// What the planters signed; a new sister is shown it.
    pub claims: Vec<Signed<Claim>>,
    /// When a peer was last seen in its swarm.
    pub alive: UnixTime,
    /// How many tabs the node has connected with.
    pub helped: u32,
    /// `alive` as the disk has it.
    pub(super) recorded: UnixTime,
}

impl PlantedTorrent {
    /// Whether search may find it.
    #[must_use]
    pub fn listing(&self) -> Listing {
        Receipt::listing(self.receipts.iter().map(std::ops::Deref::deref))
    }

    /// When the last lease ends.
    #[must_use]
    pub fn expires(&self) -> UnixTime {
        self.receipts.iter().map(|receipt| receipt.expires).max().unwrap_or_default()
    }

    /// Trackers that the torrent or magnet names, without those of this node.
    #[must_use]
    pub fn foreign_trackers(&self, own: &str) -> Vec<Vec<String>> {
        let mut tiers = self.metainfo.as_ref().map_or_else(Vec::new, |metainfo| metainfo.trackers().to_vec());
        for url in &self.magnet.trackers {
            if !tiers.iter().flatten().any(|known| known == url) {
                tiers.push(vec![url.clone()]);
            }
        }
        foreign(tiers, own)
    }
}

/// Tiers of trackers without those on the host of `own`, which is a scheme and host.
#[must_use]
pub fn foreign(tiers: Vec<Vec<String>>, own: &str) -> Vec<Vec<String>> {
    let authority =
        |url: &str| url.split_once("://").map(|(_, rest)| rest.split('/').next().unwrap_or("").to_owned());
    let own = authority(own);
    tiers
        .into_iter()
        .map(|tier| tier.into_iter().filter(|url| authority(url) != own).collect::<Vec<_>>())
        .filter(|tier| !tier.is_empty())
        .collect()
}
