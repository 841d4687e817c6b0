//! Keeps this node listed at its supernodes, and tells them what is planted here and who is in the swarms.
//!
//! A supernode believes nothing of it: it visits us, and checks our signatures. One that lost its index is told everything
//! again. Unlisted torrents are reported to the supernodes alone that the host named.

use super::clock;
use super::register::register;
use super::{Planting, PlantingChange, client, files};
use crate::supernode::Supernode;
use crate::supernode::visit;
use crate::tracker::Tracker;
use anatomic_core::InfoHash;
use anatomic_core::address::Policy;
use anatomic_mesh::api::{Handover, Problem, Report, Reported, TorrentFile, paths};
use anatomic_mesh::counts::{Counts, MAX_SWARMS, SwarmCount};
use anatomic_mesh::sharing::guests::Kinds;
use anatomic_mesh::{Identity, Listing, Signed};
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::broadcast::error::RecvError;
use tracing::{debug, warn};

/// How often a node says that it lives.
const REGISTER: Duration = Duration::from_secs(60);
/// How often changes are reported.
const REPORT: Duration = Duration::from_secs(5);
/// How often swarms are counted: those that changed, and those with a seed every [`SAME`].
const COUNT: Duration = Duration::from_secs(15);
/// How often the same counts are reported again while a seed lives: so old is the proof of life at most.
const SAME: Duration = Duration::from_secs(300);
/// How long a request may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// Most supernodes that are reported to.
const MAX_SUPERNODES: usize = 8;
/// Torrents of one report, and its torrent files together in bytes.
const BATCH: (usize, usize) = (100, 4_000_000);

/// A supernode that is reported to.
struct Desk {
    /// Scheme and host; `None`: the supernode of this process.
    url: Option<String>,
    /// Whether the host named it.
    named: bool,
    /// The name of its index, once it answered.
    index: Option<String>,
    /// Torrents whose receipts it has not been told.
    news: HashSet<InfoHash>,
}

/// Who reports.
pub struct Reporter {
    /// The node's key.
    pub identity: Identity,
    /// Scheme and host of this node.
    pub url: String,
    /// What is planted here.
    pub planting: Arc<Planting>,
    /// Who is in the swarms.
    pub tracker: Arc<Tracker>,
    /// The supernode of this process.
    pub own: Option<Arc<Supernode>>,
    /// Supernodes that the host named.
    pub supernodes: Vec<String>,
    /// Where those that supernodes named are kept, so that they are found again when the host's own are gone.
    pub met: PathBuf,
    /// Which hosts are called that others name.
    pub network: Policy,
    /// Whether this process speaks for its fleet; the others only say that they live.
    pub speaks: tokio::sync::watch::Receiver<bool>,
}

/// What was last said of a swarm, and when.
type Said = HashMap<InfoHash, (SwarmCount, Instant)>;

impl Reporter {
    /// Reports until the end of the process.
    pub async fn run(self) {
        let client = match client::new(PATIENCE) {
            Ok(client) => client,
            Err(reason) => return warn!(%reason, "cannot report to supernodes"),
        };
        // First listen, then look: nothing is missed in between.
        let mut changes = self.planting.subscribe();
        let all = || self.planting.list().iter().map(|torrent| torrent.info_hash).collect::<HashSet<_>>();
        let desk = |url: Option<String>| Desk { url, named: true, index: None, news: all() };
        let mut desks: Vec<Desk> = Vec::new();
        desks.extend(self.own.is_some().then(|| desk(None)));
        desks.extend(self.supernodes.iter().cloned().map(|url| desk(Some(url))));
        let kept = std::fs::read_to_string(&self.met).unwrap_or_default();
        let kept: Vec<String> = kept.lines().take(MAX_SUPERNODES).map(str::to_owned).collect();
        self.meet(kept, &mut desks).await;
        let mut said = Said::new();
        let (mut registering, mut reporting, mut counting) =
            (tokio::time::interval(REGISTER), tokio::time::interval(REPORT), tokio::time::interval(COUNT));
        for timer in [&mut registering, &mut reporting, &mut counting] {
            timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        }
        loop {
            tokio::select! {
                change = changes.recv() => match change {
                    Ok(PlantingChange::Planted(hash) | PlantingChange::Metainfo(hash) | PlantingChange::Receipts(hash)) => {
                        desks.iter_mut().for_each(|desk| desk.news.extend([hash]));
                    }
                    Ok(PlantingChange::Unplanted(hash)) => {
                        desks.iter_mut().for_each(|desk| desk.news.retain(|other| *other != hash));
                        said.remove(&hash);
                    }
                    Err(RecvError::Lagged(_)) => {
                        let all = all();
                        desks.iter_mut().for_each(|desk| desk.news.extend(&all));
                    }
                    Err(RecvError::Closed) => return,
                },
                _ = registering.tick() => self.register(&client, &mut desks).await,
                _ = reporting.tick() => {
                    for desk in desks.iter_mut().filter(|desk| self.tells(desk)) {
                        self.report_receipts(&client, desk).await;
                    }
                }
                _ = counting.tick() => self.report_counts(&client, &mut desks, &mut said).await,
            }
        }
    }

    /// Says that we live; a supernode with a new index will hear everything, and those that it knows are met.
    async fn register(&self, client: &reqwest::Client, desks: &mut Vec<Desk>) {
        let mut met = Vec::new();
        for desk in desks.iter_mut() {
            let Some(url) = desk.url.clone() else { continue };
            match register(client, &url, &self.url).await {
                Ok(Some(registered)) => {
                    if desk.index.as_ref().is_some_and(|index| *index != registered.index) {
                        desk.news = self.planting.list().iter().map(|torrent| torrent.info_hash).collect();
                    }
                    desk.index = Some(registered.index);
                    met.extend(registered.supernodes.into_iter().map(|supernode| supernode.url));
                }
                Ok(None) => debug!(%url, "registered"),
                Err(reason) => warn!(%reason, "could not register; trying again in a minute"),
            }
        }
        if self.meet(met, desks).await {
            let mut text = String::new();
            for url in desks.iter().filter(|desk| !desk.named).filter_map(|desk| desk.url.as_ref()) {
                text.push_str(url);
                text.push('\n');
            }
            if let Err(error) = files::write(&self.met, text.as_bytes(), files::Access::Default) {
                debug!(%error, "the supernodes that were met could not be kept");
            }
        }
    }

    /// Reports to these supernodes too, if they prove their keys; whether any is new.
    async fn meet(&self, met: Vec<String>, desks: &mut Vec<Desk>) -> bool {
        let before = desks.len();
        for url in met {
            let known = url == self.url || desks.iter().any(|desk| desk.url.as_ref() == Some(&url));
            if known || desks.len() >= MAX_SUPERNODES {
                continue;
            }
            match visit::visit(&url, self.network).await {
                Ok(visited) if visited.is_supernode => {
                    let news = self.planting.list().iter().map(|torrent| torrent.info_hash).collect();
                    desks.push(Desk { url: Some(url), named: false, index: None, news });
                }
                Ok(_) | Err(_) => debug!(%url, "a supernode that was named does not prove its key"),
            }
        }
        desks.len() > before
    }

    async fn report_receipts(&self, client: &reqwest::Client, desk: &mut Desk) {
        while !desk.news.is_empty() {
            let (mut handovers, mut told, mut size) = (Vec::new(), Vec::new(), 0);
            for hash in &desk.news {
                if handovers.len() >= BATCH.0 || size >= BATCH.1 {
                    break;
                }
                told.push(*hash);
                let Some(torrent) = self.planting.get(hash) else { continue };
                if torrent.receipts.is_empty() || (torrent.listing() == Listing::Unlisted && !desk.named) {
                    continue;
                }
                let file = torrent.metainfo.as_ref().map(|metainfo| TorrentFile(metainfo.to_torrent()));
                size += file.as_ref().map_or(0, |file| file.0.len());
                handovers.push(Handover {
                    receipts: torrent.receipts.clone(),
                    torrent: file,
                    name: torrent.magnet.name.clone(),
                    length: torrent.magnet.length,
                });
            }
            if !handovers.is_empty() {
                let report = Report { handovers, counts: Vec::new() };
                match self.send(client, desk, report).await {
                    Ok(reported) => {
                        for refused in reported.refused {
                            debug!(reason = %refused.reason, "a supernode took no receipt of ours");
                        }
                    }
                    // The rest is told when it answers again.
                    Err(reason) => return debug!(%reason, "could not report"),
                }
            }
            desk.news.retain(|hash| !told.contains(hash));
        }
    }

    async fn report_counts(&self, client: &reqwest::Client, desks: &mut [Desk], said: &mut Said) {
        let now = Instant::now();
        let mut swarms = Vec::new();
        for torrent in self.planting.list() {
            if torrent.listing() == Listing::Unlisted {
                continue;
            }
            let Kinds { tabs, classic } = self.tracker.swarms.kinds(&torrent.info_hash);
            let seed_age = self.tracker.swarms.has_seed(&torrent.info_hash).then_some(0);
            let count =
                SwarmCount { info_hash: torrent.info_hash, tabs, classic, helped: torrent.helped, seed_age };
            let news = match said.get(&torrent.info_hash) {
                None => count.tabs != Default::default() || count.classic != Default::default(),
                Some((last, at)) => *last != count || (seed_age.is_some() && at.elapsed() >= SAME),
            };
            if news {
                said.insert(torrent.info_hash, (count, now));
                swarms.push(count);
            }
        }
        if swarms.is_empty() {
            return;
        }
        let issued = clock::now();
        let signed = swarms.chunks(MAX_SWARMS).filter_map(|swarms| {
            let counts = Counts { node: self.identity.key(), issued, swarms: swarms.to_vec() };
            Signed::new(counts, &self.identity).ok()
        });
        let signed: Vec<_> = signed.collect();
        for counts in signed.chunks(16) {
            for desk in desks.iter().filter(|desk| self.tells(desk)) {
                let report = Report { handovers: Vec::new(), counts: counts.to_vec() };
                if let Err(reason) = self.send(client, desk, report).await {
                    debug!(%reason, "could not report counts");
                }
            }
        }
    }

    fn tells(&self, desk: &Desk) -> bool {
        desk.url.is_none() || *self.speaks.borrow()
    }

    async fn send(&self, client: &reqwest::Client, desk: &Desk, report: Report) -> Result<Reported, String> {
        match (&desk.url, &self.own) {
            (Some(url), _) => client::post(client, &format!("{url}{}", paths::REPORTS), &report).await,
            (None, Some(own)) => {
                own.take_report(report).await.map_err(|problem: Problem| problem.to_string())
            }
            (None, None) => Err("there is no supernode in this process".into()),
        }
    }
}
