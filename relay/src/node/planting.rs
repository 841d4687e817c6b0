//! The torrents planted on this node: who asked, until when, and the receipts given.
//!
//! Tracks nothing and bridges nothing itself: the tracker asks [`Planting::admits`](Admission::admits), the bridge listens to
//! [`Planting::subscribe`]. Kept in the data folder, a record a torrent, each written whole before the planter is answered.

mod adopt;
mod fleet;
mod lease;
mod record;
mod torrent;
mod withdrawn;

pub use torrent::{PlantedTorrent, foreign};

use super::blocks::Blocks;
use super::clock::Clock;
use crate::tracker::Admission;
use anatomic_core::{InfoHash, Magnet, Metainfo};
use anatomic_mesh::api::{self, Limits, PlantRequest, Planted, Problem, WithdrawRequest, codes};
use anatomic_mesh::receipt::DEFAULT_LEASE;
use anatomic_mesh::{Claim, Identity, Key, Receipt, Signed, UnixTime};
use std::collections::{HashMap, HashSet};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use tokio::sync::broadcast;
use tracing::{info, warn};
use withdrawn::Withdrawn;

/// Most planters of one torrent that are remembered.
const MAX_PLANTERS: usize = 64;

/// What changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PlantingChange {
    /// A torrent was planted.
    Planted(InfoHash),
    /// Its metadata became known.
    Metainfo(InfoHash),
    /// Its receipts were renewed or name other sisters.
    Receipts(InfoHash),
    /// It is tracked no longer.
    Unplanted(InfoHash),
}

/// Who may plant, what may be tracked, and how this node calls itself.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Who may plant.
    pub policy: api::Planting,
    /// Planters that `policy = key` lets in.
    pub planters: Vec<Key>,
    /// Track and bridge any torrent, planted or not.
    pub open_bridge: bool,
    /// Track any torrent; bridge what is planted.
    pub track_any: bool,
    /// Scheme and host of this node, without a slash at the end.
    pub url: String,
    /// Ceilings.
    pub limits: Limits,
    /// Where the records lie.
    pub folder: PathBuf,
}

/// The torrents planted here.
pub struct Planting {
    settings: Settings,
    identity: Identity,
    clock: Clock,
    blocks: OnceLock<Arc<Blocks>>,
    opened: UnixTime,
    torrents: RwLock<HashMap<InfoHash, Arc<PlantedTorrent>>>,
    /// What planters took back lately.
    withdrawn: Withdrawn,
    /// Which planters took their word back.
    taken_back: Mutex<fleet::Withdrawn>,
    /// Held while a record is written, so that two writers of one torrent cannot cross.
    writing: Mutex<()>,
    changes: broadcast::Sender<PlantingChange>,
    /// Nothing new is taken: the host's budgets are nearly spent.
    busy: AtomicBool,
}

impl Planting {
    /// Reads what was planted before. A record that cannot be read is left where it is and warned of.
    ///
    /// # Errors
    /// When the folder cannot be made or read.
    pub fn open(settings: Settings, identity: Identity) -> io::Result<Arc<Self>> {
        Self::open_by(settings, identity, Clock::system())
    }

    /// As [`Planting::open`], by another clock than the system's.
    ///
    /// # Errors
    /// When the folder cannot be made or read.
    pub fn open_by(settings: Settings, identity: Identity, clock: Clock) -> io::Result<Arc<Self>> {
        std::fs::create_dir_all(&settings.folder)?;
        let torrents = record::load_all(&settings.folder)?;
        Ok(Arc::new(Self {
            taken_back: Mutex::new(fleet::load(&settings.folder)),
            settings,
            identity,
            opened: clock.now(),
            clock,
            blocks: OnceLock::new(),
            torrents: RwLock::new(
                torrents.into_iter().map(|torrent| (torrent.info_hash, Arc::new(torrent))).collect(),
            ),
            withdrawn: Withdrawn::default(),
            writing: Mutex::new(()),
            changes: broadcast::channel(256).0,
            busy: AtomicBool::new(false),
        }))
    }

    /// How this node is set up.
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Serves nothing from now on that these lists name; takes away what they come to name, and serves again what they
    /// name no more. Runs until the end of the process. Only the first call counts.
    pub async fn obey_forever(self: Arc<Self>, blocks: Arc<Blocks>) {
        if self.blocks.set(blocks.clone()).is_err() {
            return;
        }
        let mut changes = blocks.subscribe();
        let mut blocked: HashSet<InfoHash> = HashSet::new();
        loop {
            for torrent in self.list() {
                let info_hash = torrent.info_hash;
                if blocks.blocks(&info_hash) {
                    if blocked.insert(info_hash) {
                        info!(torrent = %info_hash, "blocked by a list");
                        self.tell(PlantingChange::Unplanted(info_hash));
                    }
                } else if blocked.remove(&info_hash) {
                    self.tell(PlantingChange::Planted(info_hash));
                }
            }
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    /// Whether a list names this torrent.
    #[must_use]
    pub fn is_blocked(&self, info_hash: &InfoHash) -> bool {
        self.blocks.get().is_some_and(|blocks| blocks.blocks(info_hash))
    }

    /// The node's name.
    #[must_use]
    pub fn key(&self) -> Key {
        self.identity.key()
    }

    /// Tells of every change from now on; a slow listener should then look at [`Self::list`].
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<PlantingChange> {
        self.changes.subscribe()
    }

    /// All planted torrents.
    #[must_use]
    pub fn list(&self) -> Vec<Arc<PlantedTorrent>> {
        self.torrents.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// How many torrents are planted.
    #[must_use]
    pub fn count(&self) -> usize {
        self.torrents.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// The planted torrent of that info-hash.
    #[must_use]
    pub fn get(&self, info_hash: &InfoHash) -> Option<Arc<PlantedTorrent>> {
        self.torrents.read().unwrap_or_else(PoisonError::into_inner).get(info_hash).cloned()
    }

    /// The planted torrent of that info-hash, unless a list names it.
    #[must_use]
    pub fn served(&self, info_hash: &InfoHash) -> Option<Arc<PlantedTorrent>> {
        self.get(info_hash).filter(|_| !self.is_blocked(info_hash))
    }

    /// Whether the node's own peer takes part in the swarms of this torrent.
    #[must_use]
    pub fn bridges(&self, info_hash: &InfoHash) -> bool {
        (self.settings.open_bridge || self.get(info_hash).is_some()) && !self.is_blocked(info_hash)
    }

    /// Takes nothing new, or again what there is room for.
    pub fn set_busy(&self, busy: bool) {
        self.busy.store(busy, Ordering::Relaxed);
    }

    /// How many more torrents would be taken.
    #[must_use]
    pub fn free(&self) -> Option<u64> {
        if self.busy.load(Ordering::Relaxed) {
            return Some(0);
        }
        self.settings.limits.torrents.map(|most| most.saturating_sub(self.count() as u64))
    }

    /// Takes a planter's claim: checks it, writes the record, signs a receipt. Planting again renews the lease; a second
    /// planter gets a receipt of its own.
    ///
    /// # Errors
    /// Why not, as a problem document.
    pub fn plant(&self, request: PlantRequest) -> Result<Planted, Problem> {
        let now = self.clock.now();
        let claim = &request.claim;
        self.admit_planter(&claim.planter)?;
        claim.check(self.identity.key(), now).map_err(|error| Problem::of_statement(error, now))?;
        if self.withdrawn.undoes(claim) {
            return Err(Problem::new(codes::SIGNATURE, "the planter has withdrawn this claim"));
        }
        let metainfo = self.read_torrent(request.torrent.as_ref(), &claim.info_hash)?;
        let lease = self.settings.limits.lease.unwrap_or(DEFAULT_LEASE).min(DEFAULT_LEASE);
        let receipt = self.sign(Receipt {
            info_hash: claim.info_hash,
            info_hash_v2: claim.info_hash_v2,
            node: self.identity.key(),
            url: self.settings.url.clone(),
            planter: claim.planter,
            sisters: claim.sisters.clone(),
            listing: claim.listing,
            issued: self.later(&claim.info_hash, &claim.planter, now),
            claimed: Some(claim.issued),
            expires: now.plus(lease),
        })?;
        self.take(receipt, &request.claim, metainfo, &request.trackers)
    }

    /// When a receipt that takes the place of an older one, or of a withdrawn one, was written: after that, even if our
    /// clock was set back.
    fn later(&self, info_hash: &InfoHash, planter: &Key, now: UnixTime) -> UnixTime {
        let torrent = self.get(info_hash);
        let receipts = torrent.iter().flat_map(|torrent| &torrent.receipts);
        let old = receipts.filter(|receipt| receipt.planter == *planter).map(|receipt| receipt.issued);
        let withdrawn = self.withdrawn_of(info_hash).into_iter();
        let withdrawn = withdrawn.filter(|(who, _)| who == planter).map(|(_, at)| at);
        old.chain(withdrawn).max().map_or(now, |old| old.plus(1).max(now))
    }

    /// Whether this planter may plant here.
    fn admit_planter(&self, planter: &Key) -> Result<(), Problem> {
        match self.settings.policy {
            api::Planting::Open => Ok(()),
            api::Planting::Key if self.settings.planters.contains(planter) => Ok(()),
            api::Planting::Key => {
                let detail = format!(
                    "this node takes torrents of planters it knows only; its host would have to allow the key {planter}"
                );
                Err(Problem::new(codes::PLANTING_OFF, detail))
            }
            api::Planting::Off => {
                Err(Problem::new(codes::PLANTING_OFF, "this node takes no torrents; ask another"))
            }
        }
    }

    /// Reads the torrent that came with a request; it must be the one that the request names.
    fn read_torrent(
        &self,
        file: Option<&api::TorrentFile>,
        info_hash: &InfoHash,
    ) -> Result<Option<Arc<Metainfo>>, Problem> {
        if self.is_blocked(info_hash) {
            return Err(Problem::new(codes::BLOCKED, "this host does not serve that torrent"));
        }
        let Some(file) = file else { return Ok(None) };
        let metainfo =
            Metainfo::from_torrent(&file.0).map_err(|error| Problem::new(codes::TORRENT, error))?;
        if metainfo.info_hash() != *info_hash {
            return Err(Problem::new(codes::TORRENT, "the torrent is not the one that the claim names"));
        }
        let length = metainfo.geometry().length();
        if self.settings.limits.torrent_length.is_some_and(|most| length > most) {
            return Err(Problem::new(codes::TORRENT, "the torrent is larger than this node bridges"));
        }
        Ok(Some(Arc::new(metainfo)))
    }

    /// Writes down what a receipt was given for.
    fn take(
        &self,
        receipt: Signed<Receipt>,
        claim: &Signed<Claim>,
        metainfo: Option<Arc<Metainfo>>,
        trackers: &[String],
    ) -> Result<Planted, Problem> {
        let now = self.clock.now();
        let info_hash = receipt.info_hash;
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let old = self.get(&info_hash);
        if old.is_none() && self.free() == Some(0) {
            return Err(Problem::new(
                codes::FULL,
                "this node has taken on as much as its host lets it; ask another",
            ));
        }
        let mut torrent = old.as_deref().cloned().unwrap_or_else(|| PlantedTorrent {
            info_hash,
            info_hash_v2: receipt.info_hash_v2,
            metainfo: None,
            magnet: Magnet::new(info_hash),
            receipts: Vec::new(),
            claims: Vec::new(),
            alive: now,
            helped: 0,
            recorded: now,
        });
        let news = torrent.metainfo.is_none() && metainfo.is_some();
        if let Some(metainfo) = metainfo {
            // The later torrent may name more trackers; its info is the same to the bit.
            torrent.magnet = Magnet::of(&metainfo);
            torrent.info_hash_v2 = metainfo.info_hash_v2();
            torrent.metainfo = Some(metainfo);
        }
        for url in trackers.iter().filter(|url| url.len() <= 1_000).take(64) {
            if torrent.magnet.trackers.len() < 100 && !torrent.magnet.trackers.contains(url) {
                torrent.magnet.trackers.push(url.clone());
            }
        }
        torrent.receipts.retain(|other| other.planter != receipt.planter && other.check_time(now).is_ok());
        if torrent.receipts.len() >= MAX_PLANTERS {
            return Err(Problem::new(codes::FULL, "this torrent has as many planters as a node remembers"));
        }
        torrent.receipts.push(receipt.clone());
        torrent.claims.retain(|other| {
            other.planter != claim.planter
                && torrent.receipts.iter().any(|receipt| receipt.planter == other.planter)
        });
        torrent.claims.push(claim.clone());
        self.keep(torrent)?;
        if old.is_none() {
            info!(torrent = %info_hash, "planted");
            self.tell(PlantingChange::Planted(info_hash));
        } else {
            if news {
                self.tell(PlantingChange::Metainfo(info_hash));
            }
            self.tell(PlantingChange::Receipts(info_hash));
        }
        Ok(Planted { receipt })
    }

    /// Takes a planter's word back; the torrent goes with its last planter.
    ///
    /// # Errors
    /// Why not, as a problem document.
    pub fn withdraw(&self, request: &WithdrawRequest) -> Result<(), Problem> {
        let withdrawal = &request.withdrawal;
        let now = self.clock.now();
        withdrawal.check(self.identity.key(), now).map_err(|error| Problem::of_statement(error, now))?;
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let torrent = self
            .get(&withdrawal.info_hash)
            .filter(|torrent| torrent.receipts.iter().any(|receipt| receipt.planter == withdrawal.planter));
        let Some(torrent) = torrent else {
            return Err(Problem::new(codes::NOT_FOUND, "this planter has not planted that torrent here"));
        };
        let mut torrent = (*torrent).clone();
        self.withdrawn.note(withdrawal.info_hash, withdrawal.planter, withdrawal.issued, now);
        // No other process of a fleet may bring it back; planted again, it is younger.
        let before = UnixTime(now.0.saturating_sub(1));
        let own = torrent.receipts.iter().filter(|receipt| receipt.planter == withdrawal.planter);
        let at = own.map(|receipt| receipt.issued).fold(before, UnixTime::max);
        self.remember_withdrawn(withdrawal.info_hash, withdrawal.planter, at);
        torrent.receipts.retain(|receipt| receipt.planter != withdrawal.planter);
        torrent.claims.retain(|claim| claim.planter != withdrawal.planter);
        if torrent.receipts.is_empty() { self.drop_torrent(&torrent.info_hash) } else { self.keep(torrent) }
    }

    /// Keeps the metadata that the bridge got from the swarm.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn set_metainfo(&self, metainfo: Arc<Metainfo>) -> Result<(), Problem> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let info_hash = metainfo.info_hash();
        let Some(old) = self.get(&info_hash).filter(|old| old.metainfo.is_none()) else { return Ok(()) };
        let mut torrent = (*old).clone();
        let trackers = std::mem::take(&mut torrent.magnet.trackers);
        torrent.magnet = Magnet { trackers, ..Magnet::of(&metainfo) };
        torrent.info_hash_v2 = metainfo.info_hash_v2();
        torrent.metainfo = Some(metainfo);
        self.keep(torrent)?;
        self.tell(PlantingChange::Metainfo(info_hash));
        Ok(())
    }

    fn sign(&self, receipt: Receipt) -> Result<Signed<Receipt>, Problem> {
        Signed::new(receipt, &self.identity).map_err(|error| Problem::new(codes::INTERNAL, error))
    }

    fn keep(&self, torrent: PlantedTorrent) -> Result<(), Problem> {
        record::save(&self.settings.folder, &torrent).map_err(|error| {
            warn!(torrent = %torrent.info_hash, %error, "could not write a record");
            Problem::new(codes::INTERNAL, "the node could not write its record; its disk may be full")
        })?;
        self.remember(PlantedTorrent { recorded: torrent.alive, ..torrent });
        Ok(())
    }

    fn remember(&self, torrent: PlantedTorrent) {
        let mut torrents = self.torrents.write().unwrap_or_else(PoisonError::into_inner);
        torrents.insert(torrent.info_hash, Arc::new(torrent));
    }

    fn drop_torrent(&self, info_hash: &InfoHash) -> Result<(), Problem> {
        self.forget(info_hash)?;
        self.tell(PlantingChange::Unplanted(*info_hash));
        Ok(())
    }

    fn forget(&self, info_hash: &InfoHash) -> Result<(), Problem> {
        record::remove(&self.settings.folder, info_hash)
            .map_err(|_| Problem::new(codes::INTERNAL, "the node could not remove its record"))?;
        self.torrents.write().unwrap_or_else(PoisonError::into_inner).remove(info_hash);
        Ok(())
    }

    fn tell(&self, change: PlantingChange) {
        // Nobody listening is no error.
        let _ = self.changes.send(change);
    }
}

impl Admission for Planting {
    fn admits(&self, info_hash: &InfoHash) -> bool {
        !self.is_blocked(info_hash)
            && (self.settings.open_bridge
                || self.settings.track_any
                || self.torrents.read().unwrap_or_else(PoisonError::into_inner).contains_key(info_hash))
    }
}

#[cfg(test)]
mod tests;
