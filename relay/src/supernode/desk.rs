//! The planting desk: receipts that planters hand over and nodes report, withdrawals, counts.
//!
//! Takes what signatures prove; whether a node lives at the address in its receipt is seen by a visit.

use super::index::{Entry, Known, TorrentRow};
use super::{Supernode, failed};
use anatomic_core::Metainfo;
use anatomic_mesh::api::{
    Handover, Indexed, Problem, RefusedReceipt, Report, Reported, TorrentFile, WithdrawRequest, codes,
};
use anatomic_mesh::signed::MAX_DRIFT;
use anatomic_mesh::{Key, Receipt, Signed};
use tracing::info;

/// Most receipts of one handover.
const MAX_RECEIPTS: usize = 64;
/// Most handovers, and most counts, of one report.
const MAX_REPORTED: (usize, usize) = (100, 64);

/// The entry of a handover whose receipts were checked.
fn entry(
    handover: &Handover,
    receipts: Vec<Signed<Receipt>>,
    torrent: Option<&TorrentFile>,
) -> Result<Entry, Problem> {
    let Some(first) = receipts.first() else {
        return Err(Problem::new(codes::MALFORMED, "there is no receipt"));
    };
    let info_hash = first.info_hash;
    let row = match torrent {
        None => TorrentRow::claimed(info_hash, first.info_hash_v2, handover.name.clone(), handover.length),
        Some(file) => {
            let metainfo =
                Metainfo::from_torrent(&file.0).map_err(|error| Problem::new(codes::TORRENT, error))?;
            if metainfo.info_hash() != info_hash {
                return Err(Problem::new(codes::TORRENT, "the torrent is not the one of the receipts"));
            }
            TorrentRow::of(&metainfo)
        }
    };
    Ok(Entry { row, receipts })
}

impl Supernode {
    /// Takes a planter's receipts into the index.
    ///
    /// # Errors
    /// When they are not of one torrent, the torrent is another one, or the index fails. A single bad receipt is only
    /// left out, and named in the answer.
    pub async fn hand_over(&self, handover: Handover) -> Result<Indexed, Problem> {
        let Some(first) = handover.receipts.first() else {
            return Err(Problem::new(codes::MALFORMED, "there is no receipt"));
        };
        let info_hash = first.info_hash;
        if self.is_blocked(&info_hash) {
            return Err(Problem::new(codes::BLOCKED, "this host does not serve that torrent"));
        }
        if handover.receipts.len() > MAX_RECEIPTS
            || handover.receipts.iter().any(|receipt| receipt.info_hash != info_hash)
        {
            let detail = format!("a handover is at most {MAX_RECEIPTS} receipts of one torrent");
            return Err(Problem::new(codes::MALFORMED, detail));
        }
        let mut indexed = Indexed::default();
        let mut accepted = Vec::new();
        for (at, receipt) in handover.receipts.iter().enumerate() {
            match self.check(receipt).await {
                Ok(()) => accepted.push(receipt.clone()),
                Err(reason) => indexed.refused.push(RefusedReceipt { at, reason }),
            }
        }
        indexed.accepted = accepted.len();
        if accepted.is_empty() {
            // What is wrong with the torrent itself is said first.
            entry(&handover, handover.receipts.clone(), handover.torrent.as_ref())?;
            let reason = indexed.refused.first().map_or("", |refused| &refused.reason);
            return Err(Problem::new(codes::SIGNATURE, format!("no receipt could be taken: {reason}")));
        }
        let entry = entry(&handover, accepted, handover.torrent.as_ref())?;
        self.index.put(vec![entry], self.index.now()).await.map_err(|error| failed(&error))?;
        info!(torrent = %info_hash, receipts = indexed.accepted, "indexed");
        Ok(indexed)
    }

    /// Whether a receipt runs, and its node proved itself at the address that it names; a node that is not known yet is
    /// visited.
    async fn check(&self, receipt: &Signed<Receipt>) -> Result<(), String> {
        receipt.check_time(self.index.now()).map_err(|error| error.to_string())?;
        let url = receipt.url.trim_end_matches('/');
        if self.known(receipt.node).await?.is_none_or(|known| known.entry.url != url) {
            // A node of another supernode, or one that moved: look for ourselves.
            self.visit(url).await.map_err(|problem| problem.to_string())?;
        }
        match self.known(receipt.node).await? {
            Some(known) if known.entry.url == url => Ok(()),
            Some(_) => Err("the node is known under another address".into()),
            None => Err("another node answers at the address in the receipt".into()),
        }
    }

    async fn known(&self, key: Key) -> Result<Option<Known>, String> {
        self.index.node(&key).await.map_err(|error| failed(&error).to_string())
    }

    /// Takes what a node reports: receipts of its own and its counts.
    ///
    /// # Errors
    /// When it is too much, of several nodes, or the index fails. What cannot be taken is named in the answer.
    pub async fn take_report(&self, report: Report) -> Result<Reported, Problem> {
        if report.handovers.len() > MAX_REPORTED.0 || report.counts.len() > MAX_REPORTED.1 {
            let detail =
                format!("a report is at most {} torrents and {} counts", MAX_REPORTED.0, MAX_REPORTED.1);
            return Err(Problem::new(codes::MALFORMED, detail));
        }
        let mut nodes =
            report.handovers.iter().flat_map(|handover| &handover.receipts).map(|receipt| receipt.node);
        let node = nodes.next().or_else(|| report.counts.first().map(|counts| counts.node));
        let Some(node) = node else { return Ok(Reported::default()) };
        if nodes.any(|other| other != node) || report.counts.iter().any(|counts| counts.node != node) {
            return Err(Problem::new(codes::MALFORMED, "a node reports what it signed itself"));
        }
        let now = self.index.now();
        let mut reported = Reported::default();
        let mut entries = Vec::new();
        for (at, handover) in report.handovers.iter().enumerate() {
            let first = handover.receipts.first().map(|receipt| receipt.info_hash);
            let one_torrent = handover.receipts.iter().all(|receipt| Some(receipt.info_hash) == first);
            let checked = match handover.receipts.first() {
                None => Err("there is no receipt".to_owned()),
                Some(_) if !one_torrent || handover.receipts.len() > MAX_RECEIPTS => {
                    Err("a handover is of one torrent".to_owned())
                }
                // One node, one address: the first receipt stands for all.
                Some(first) => self.check(first).await,
            };
            let running: Vec<_> =
                handover.receipts.iter().filter(|receipt| receipt.check_time(now).is_ok()).cloned().collect();
            let made = checked.and_then(|()| {
                entry(handover, running, handover.torrent.as_ref()).map_err(|problem| problem.to_string())
            });
            match made {
                Ok(entry) => {
                    reported.accepted += entry.receipts.len();
                    entries.push(entry);
                }
                Err(reason) => reported.refused.push(RefusedReceipt { at, reason }),
            }
        }
        if !entries.is_empty() {
            self.index.put(entries, now).await.map_err(|error| failed(&error))?;
        }
        for counts in &report.counts {
            // The node itself counted just now, whatever its clock shows; what is older is played back.
            let is_fresh = counts.issued.plus(MAX_DRIFT) >= now;
            let counted = if is_fresh { now } else { counts.issued };
            reported.accepted +=
                self.index.put_counts(counts, counted).await.map_err(|error| failed(&error))?;
        }
        Ok(reported)
    }

    /// Forgets a planter's receipts.
    ///
    /// # Errors
    /// Why not.
    pub async fn withdraw(&self, request: &WithdrawRequest) -> Result<(), Problem> {
        let withdrawal = &request.withdrawal;
        let now = self.index.now();
        withdrawal.check(self.key(), now).map_err(|error| Problem::of_statement(error, now))?;
        if self.index.withdraw(withdrawal).await.map_err(|error| failed(&error))? {
            Ok(())
        } else {
            Err(Problem::new(codes::NOT_FOUND, "this planter has no receipt here for that torrent"))
        }
    }
}
