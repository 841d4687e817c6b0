//! What the processes of a fleet tell each other of planted torrents, and how two of them come to the same.
//!
//! Merging is the union: of each planter the youngest receipt, unless the planter took its word back later. Receipts are
//! signed by the key that the fleet shares, so what the bus says of them need not be believed. The bus is [`crate::fleet`]'s.

use super::{PlantedTorrent, Planting, PlantingChange};
use crate::node::files::{self, Access};
use anatomic_core::{InfoHash, Magnet, Metainfo};
use anatomic_mesh::api::Problem;
use anatomic_mesh::fleet::Planted;
use anatomic_mesh::fleet::message::{Digest, MAX_TORRENT};
use anatomic_mesh::{Claim, Key, Receipt, Signed, UnixTime};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, HashSet};
use std::io;
use std::path::Path;
use std::sync::{Arc, PoisonError};
use tracing::warn;

/// Withdrawals are remembered for so many seconds: longer than any lease runs.
const REMEMBERED: u64 = 40 * 24 * 3600;
/// Most withdrawals that are remembered.
const MOST: usize = 50_000;
/// The file in the folder of records.
const FILE: &str = "withdrawn";

/// Which planters took their word back, and when: their receipts issued up to then are worth nothing.
pub(super) type Withdrawn = BTreeMap<(InfoHash, Key), UnixTime>;

/// Reads what was withdrawn; a damaged file is warned of, and is an empty one.
pub(super) fn load(folder: &Path) -> Withdrawn {
    let bytes = match std::fs::read(folder.join(FILE)) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Withdrawn::new(),
        Err(error) => {
            warn!(%error, "cannot read which torrents were withdrawn");
            return Withdrawn::new();
        }
    };
    let read = |line: &str| {
        let mut words = line.split(' ');
        let info_hash = InfoHash::from_hex(words.next()?)?;
        Some(((info_hash, words.next()?.parse().ok()?), UnixTime(words.next()?.parse().ok()?)))
    };
    String::from_utf8_lossy(&bytes).lines().filter_map(read).take(MOST).collect()
}

impl Planting {
    /// Remembers that a planter took its word back. Called while the records are locked.
    pub(super) fn remember_withdrawn(&self, info_hash: InfoHash, planter: Key, at: UnixTime) {
        let now = self.clock.now();
        let mut withdrawn = self.taken_back.lock().unwrap_or_else(PoisonError::into_inner);
        withdrawn.retain(|_, at| at.plus(REMEMBERED) > now);
        if withdrawn.len() >= MOST {
            return warn!("more torrents were withdrawn than are remembered");
        }
        let known = withdrawn.entry((info_hash, planter)).or_default();
        *known = at.max(*known);
        let lines: String =
            withdrawn.iter().map(|((hash, key), at)| format!("{hash} {key} {}\n", at.0)).collect();
        if let Err(error) = files::write(&self.settings.folder.join(FILE), lines.as_bytes(), Access::Default)
        {
            warn!(%error, "could not write which torrents were withdrawn");
        }
    }

    /// Which planters took their word back for a torrent, and when.
    pub(super) fn withdrawn_of(&self, info_hash: &InfoHash) -> Vec<(Key, UnixTime)> {
        let withdrawn = self.taken_back.lock().unwrap_or_else(PoisonError::into_inner);
        let of = withdrawn.range((*info_hash, Key([0; 32]))..=(*info_hash, Key([255; 32])));
        of.map(|((_, planter), at)| (*planter, *at)).take(64).collect()
    }

    /// All that other processes of the fleet are told of a torrent; `None` if there is nothing to tell.
    #[must_use]
    pub fn for_fleet(&self, info_hash: &InfoHash) -> Option<Planted> {
        let withdrawn = self.withdrawn_of(info_hash);
        let Some(torrent) = self.get(info_hash) else {
            return (!withdrawn.is_empty()).then(|| Planted { withdrawn, ..Planted::default() });
        };
        let file = torrent.metainfo.as_ref().map(|metainfo| metainfo.to_torrent());
        Some(Planted {
            magnet: torrent.magnet.to_string(),
            alive: torrent.alive,
            receipts: torrent.receipts.iter().map(|receipt| receipt.as_bytes().to_vec()).collect(),
            claims: torrent.claims.iter().map(|claim| claim.as_bytes().to_vec()).collect(),
            withdrawn,
            torrent: file.filter(|file| file.len() <= MAX_TORRENT),
        })
    }

    /// The digest of [`Planting::for_fleet`]: the same at processes that agree.
    #[must_use]
    pub fn digest(&self, info_hash: &InfoHash) -> Digest {
        let mut parts: Vec<Vec<u8>> = Vec::new();
        if let Some(torrent) = self.get(info_hash) {
            parts.extend(torrent.receipts.iter().map(|receipt| {
                let mut part = receipt.planter.0.to_vec();
                part.extend(receipt.issued.0.to_be_bytes());
                part
            }));
            let small = |metainfo: &Arc<Metainfo>| metainfo.to_torrent().len() <= MAX_TORRENT;
            parts.extend(torrent.metainfo.as_ref().is_some_and(small).then(|| vec![2]));
        }
        parts.extend(self.withdrawn_of(info_hash).into_iter().map(|(planter, at)| {
            let mut part = vec![3];
            part.extend(planter.0);
            part.extend(at.0.to_be_bytes());
            part
        }));
        parts.sort();
        let mut sum = Sha256::new();
        for part in parts {
            sum.update([u8::try_from(part.len()).unwrap_or(u8::MAX)]);
            sum.update(part);
        }
        let sum: [u8; 32] = sum.finalize().into();
        sum.first_chunk().copied().unwrap_or_default()
    }

    /// The digests of everything that is planted, or was withdrawn.
    #[must_use]
    pub fn digests(&self) -> Vec<(InfoHash, Digest)> {
        let mut hashes: HashSet<InfoHash> = self.list().iter().map(|torrent| torrent.info_hash).collect();
        {
            let withdrawn = self.taken_back.lock().unwrap_or_else(PoisonError::into_inner);
            hashes.extend(withdrawn.keys().map(|(info_hash, _)| *info_hash));
        }
        hashes.into_iter().map(|hash| (hash, self.digest(&hash))).collect()
    }

    /// Takes what another process of the fleet says of a torrent. Statements that do not hold are passed over. Before anybody
    /// hears of a change, `agreed` is given the digest if the other process has the same now.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn merge(&self, info_hash: InfoHash, told: &Planted, agreed: impl Fn(Digest)) -> Result<(), Problem> {
        let now = self.clock.now();
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        for (planter, at) in &told.withdrawn {
            // A clock that is far ahead must not forbid planting for ever.
            let at = (*at).min(now.plus(anatomic_mesh::signed::MAX_SKEW));
            if self.withdrawn_of(&info_hash).iter().all(|(known, then)| known != planter || *then < at) {
                self.remember_withdrawn(info_hash, *planter, at);
            }
        }
        let withdrawn = self.withdrawn_of(&info_hash);
        let worth = |receipt: &Signed<Receipt>| {
            withdrawn.iter().all(|(planter, at)| *planter != receipt.planter || *at < receipt.issued)
        };
        let own = self.identity.key();
        let read = |bytes: &Vec<u8>| Signed::<Receipt>::from_bytes(bytes).ok();
        let valid = |receipt: &Signed<Receipt>| receipt.info_hash == info_hash && receipt.node == own;
        let theirs = told.receipts.iter().filter_map(read).filter(valid);
        let theirs: Vec<_> = theirs.filter(|receipt| receipt.check_time(now).is_ok()).collect();

        let old = self.get(&info_hash);
        let mut receipts = old.as_ref().map_or_else(Vec::new, |old| old.receipts.clone());
        for receipt in theirs {
            let known = receipts.iter().position(|known| known.planter == receipt.planter);
            if let Some(known) = known.and_then(|place| receipts.get_mut(place)) {
                if known.issued < receipt.issued {
                    *known = receipt;
                }
            } else if receipts.len() < super::MAX_PLANTERS {
                receipts.push(receipt);
            }
        }
        for receipt in receipts.iter().filter(|receipt| !worth(receipt)) {
            // Nobody plays the planter's claim back here.
            self.withdrawn.note(info_hash, receipt.planter, receipt.wished().plus(1), now);
        }
        receipts.retain(worth);
        if receipts.is_empty() {
            if old.is_none_or(|old| old.receipts.is_empty()) {
                return Ok(());
            }
            self.forget(&info_hash)?;
            self.agree(&info_hash, told, agreed);
            self.tell(PlantingChange::Unplanted(info_hash));
            return Ok(());
        }
        if old.is_none() && self.free() == Some(0) {
            warn!(torrent = %info_hash, "a torrent of the fleet is not tracked here: as many as may be are");
            return Ok(());
        }
        let mut torrent = match &old {
            Some(old) => (**old).clone(),
            None => PlantedTorrent {
                info_hash,
                info_hash_v2: receipts.iter().find_map(|receipt| receipt.info_hash_v2),
                metainfo: None,
                magnet: Magnet::new(info_hash),
                receipts: Vec::new(),
                claims: Vec::new(),
                alive: told.alive.min(now),
                helped: 0,
                recorded: now,
            },
        };
        if let Ok(magnet) = Magnet::parse(&told.magnet)
            && magnet.info_hash == info_hash
        {
            let known = std::mem::take(&mut torrent.magnet.trackers);
            let more = magnet.trackers.iter().filter(|url| !known.contains(url)).cloned();
            let trackers = known.iter().cloned().chain(more).take(100).collect();
            torrent.magnet = Magnet { trackers, ..magnet };
        }
        if torrent.metainfo.is_none()
            && let Some(bytes) = &told.torrent
            && let Ok(metainfo) = Metainfo::from_torrent(bytes)
            && metainfo.info_hash() == info_hash
        {
            torrent.info_hash_v2 = metainfo.info_hash_v2();
            torrent.metainfo = Some(Arc::new(metainfo));
        }
        torrent.receipts = receipts;
        for claim in told.claims.iter().filter_map(|bytes| Signed::<Claim>::from_bytes(bytes).ok()) {
            if claim.info_hash == info_hash
                && torrent.claims.iter().all(|known| known.planter != claim.planter)
            {
                torrent.claims.push(claim);
            }
        }
        torrent.claims.retain(|claim| torrent.receipts.iter().any(|known| known.planter == claim.planter));
        torrent.alive = torrent.alive.max(told.alive.min(now));
        let Some(old) = old else {
            self.keep(torrent)?;
            self.agree(&info_hash, told, agreed);
            self.tell(PlantingChange::Planted(info_hash));
            return Ok(());
        };
        let (metainfo, renewed) =
            (torrent.metainfo.is_some() && old.metainfo.is_none(), torrent.receipts != old.receipts);
        if metainfo || renewed || torrent.magnet != old.magnet {
            self.keep(torrent)?;
        }
        self.agree(&info_hash, told, agreed);
        if metainfo {
            self.tell(PlantingChange::Metainfo(info_hash));
        }
        if renewed {
            self.tell(PlantingChange::Receipts(info_hash));
        }
        Ok(())
    }

    fn agree(&self, info_hash: &InfoHash, told: &Planted, agreed: impl Fn(Digest)) {
        let Some(ours) = self.for_fleet(info_hash) else { return };
        let parts = |planted: &Planted| {
            let mut receipts = planted.receipts.clone();
            receipts.sort();
            let mut withdrawn = planted.withdrawn.clone();
            withdrawn.sort();
            (receipts, withdrawn, planted.torrent.is_some())
        };
        if parts(&ours) == parts(told) {
            agreed(self.digest(info_hash));
        }
    }
}

#[cfg(test)]
#[path = "fleet_tests.rs"]
mod tests;
