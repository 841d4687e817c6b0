//! Sisters: which other nodes track a torrent, and how a lost one is replaced without its planter.
//!
//! A node asks another to adopt the torrent, showing the planter's claim and its own receipt. Whether a sister is lost is
//! peer-sharing's judgement; the way to supernodes is [`crate::node::sisters`].

use super::{PlantedTorrent, Planting, PlantingChange};
use anatomic_core::InfoHash;
use anatomic_mesh::api::{AdoptRequest, Planted, Problem, TorrentFile, codes};
use anatomic_mesh::planter::MAX_NODES;
use anatomic_mesh::{Adoption, Key, Receipt, Signed, UnixTime};
use std::sync::PoisonError;

impl PlantedTorrent {
    /// The other nodes that track it, by the receipts given here.
    #[must_use]
    pub fn sisters(&self) -> Vec<Key> {
        let mut sisters: Vec<Key> =
            self.receipts.iter().flat_map(|receipt| &receipt.sisters).copied().collect();
        sisters.sort();
        sisters.dedup();
        sisters
    }
}

impl Planting {
    /// The other nodes that track a torrent; empty if it is not planted here.
    #[must_use]
    pub fn sisters(&self, info_hash: &InfoHash) -> Vec<Key> {
        self.get(info_hash).map_or_else(Vec::new, |torrent| torrent.sisters())
    }

    /// Signs the torrent's receipts anew, with these sisters. Their leases stay.
    ///
    /// # Errors
    /// When the torrent is not planted here, or the disk does not take it.
    pub fn set_sisters(&self, info_hash: &InfoHash, sisters: &[Key]) -> Result<(), Problem> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(torrent) = self.get(info_hash) else {
            return Err(Problem::new(codes::NOT_FOUND, "this torrent is not planted here"));
        };
        let own = self.identity.key();
        let mut sisters: Vec<Key> = sisters.iter().copied().filter(|key| *key != own).collect();
        sisters.sort();
        sisters.dedup();
        sisters.truncate(2 * MAX_NODES);
        if torrent.sisters() == sisters {
            return Ok(());
        }
        let now = self.clock.now();
        let renamed = torrent.receipts.iter().map(|receipt| {
            let issued = self.later(info_hash, &receipt.planter, now);
            self.sign(Receipt { sisters: sisters.clone(), issued, ..(**receipt).clone() })
        });
        let receipts = renamed.collect::<Result<Vec<_>, _>>()?;
        self.keep(PlantedTorrent { receipts, ..(*torrent).clone() })?;
        self.tell(PlantingChange::Receipts(*info_hash));
        Ok(())
    }

    /// What `node` has to be sent so that it tracks the torrent with us and the `others`; `at` is what its clock shows, if it
    /// said that. `None` if no lease runs here, or the planter's claim is not known (it was planted by an older version).
    #[must_use]
    pub fn adoption(
        &self,
        info_hash: &InfoHash,
        node: Key,
        others: &[Key],
        at: Option<UnixTime>,
    ) -> Option<AdoptRequest> {
        let torrent = self.get(info_hash)?;
        let now = self.clock.now();
        let own = self.identity.key();
        let longest = torrent
            .receipts
            .iter()
            .filter(|receipt| receipt.check_time(now).is_ok())
            .filter_map(|receipt| {
                let claim = torrent.claims.iter().find(|claim| claim.planter == receipt.planter)?;
                Some((receipt, claim))
            })
            .max_by_key(|(receipt, _)| receipt.expires);
        let (receipt, claim) = longest?;
        let mut sisters = vec![own];
        sisters.extend(others.iter().copied().filter(|key| *key != node && *key != own));
        sisters.truncate(2 * MAX_NODES);
        let adoption =
            Adoption { info_hash: *info_hash, node, from: own, sisters, issued: at.unwrap_or(now) };
        Some(AdoptRequest {
            adoption: Signed::new(adoption, &self.identity).ok()?,
            claim: claim.clone(),
            receipt: receipt.clone(),
            torrent: torrent.metainfo.as_ref().map(|metainfo| TorrentFile(metainfo.to_torrent())),
            trackers: torrent.magnet.trackers.clone(),
        })
    }

    /// Takes a sister's torrent, for as long as her own lease runs.
    ///
    /// # Errors
    /// Why not, as a problem document.
    pub fn adopt(&self, request: &AdoptRequest) -> Result<Planted, Problem> {
        let now = self.clock.now();
        let AdoptRequest { adoption, claim, receipt, .. } = request;
        self.admit_planter(&claim.planter)?;
        adoption
            .check(claim, receipt, self.identity.key(), now)
            .map_err(|error| Problem::of_statement(error, now))?;
        if self.is_blocked(&adoption.info_hash) {
            return Err(Problem::new(codes::BLOCKED, "this host does not serve that torrent"));
        }
        if let Some(own) = self
            .get(&adoption.info_hash)
            .and_then(|torrent| torrent.receipts.iter().find(|own| own.planter == claim.planter).cloned())
            && own.expires >= receipt.expires
        {
            // Two sisters asked: one receipt is enough, and the planter's own word is not weakened.
            return Ok(Planted { receipt: own });
        }
        let metainfo = self.read_torrent(request.torrent.as_ref(), &adoption.info_hash)?;
        let lease = self.settings.limits.lease.unwrap_or(u64::MAX);
        let own = self.sign(Receipt {
            info_hash: adoption.info_hash,
            info_hash_v2: receipt.info_hash_v2,
            node: self.identity.key(),
            url: self.settings.url.clone(),
            planter: claim.planter,
            sisters: adoption.sisters.clone(),
            listing: receipt.listing,
            issued: self.later(&adoption.info_hash, &claim.planter, now),
            claimed: Some(receipt.wished()),
            expires: receipt.expires.min(now.plus(lease)),
        })?;
        self.take(own, claim, metainfo, &request.trackers)
    }
}
