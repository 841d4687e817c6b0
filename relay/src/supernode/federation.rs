//! Supernodes follow each other: the pages of our feed, and the reading of theirs.
//!
//! Of a feed the statements are believed, each by its own signature, and nothing else. Nodes that receipts name are
//! visited before anybody is sent there.

use super::directory::VISITS;
use super::index::{Entry, Follow, TorrentRow};
use super::{LIVING, Supernode, failed};
use crate::node::client;
use anatomic_core::Metainfo;
use anatomic_mesh::api::{Directory, FeedEntry, FeedKind, FeedPage, Problem, codes, paths};
use anatomic_mesh::counts::Counts;
use anatomic_mesh::feed::{FeedHead, MAX_ENTRIES, digest};
use anatomic_mesh::{Key, Listing, Reach, Receipt, Signed, UnixTime, Withdrawal};
use futures_util::future::join_all;
use std::collections::hash_map::Entry::Vacant;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tracing::{debug, info, warn};

/// How often the feeds are read.
const EVERY: Duration = Duration::from_secs(10);
/// How long a page may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// Longest page that is read, in bytes: one that holds the largest torrent file.
const MAX_PAGE: usize = 30_000_000;
/// Most pages of one feed at a time.
const PAGES: usize = 50;
/// How long one supernode is listened to at a time; what it did not say by then is asked for the next time.
const TURN: Duration = Duration::from_secs(30);
/// Most supernodes that are followed.
const FOLLOWED: usize = 16;
/// Every so many rounds the directories are read.
const DIRECTORIES: u32 = 6;
/// Most hosts of one directory that are visited for the first time at once.
const NEWCOMERS: usize = 32;

/// What a page holds, verified.
#[derive(Default)]
struct Facts {
    entries: Vec<Entry>,
    withdrawals: Vec<Signed<Withdrawal>>,
    counts: Vec<Signed<Counts>>,
    /// Entries that prove nothing.
    refused: usize,
}

/// Verifies the entries of a page, each by itself.
fn verify(entries: Vec<FeedEntry>, now: UnixTime) -> Facts {
    let mut facts = Facts::default();
    for entry in entries {
        let taken = match entry.kind {
            FeedKind::Receipt => receipt(&entry, now).map(|entry| facts.entries.push(entry)),
            FeedKind::Withdrawal => Signed::<Withdrawal>::from_bytes(&entry.statement.0)
                .ok()
                .filter(|withdrawal| withdrawal.reach == Reach::Everywhere)
                .map(|withdrawal| facts.withdrawals.push(withdrawal)),
            FeedKind::Counts => {
                Signed::from_bytes(&entry.statement.0).ok().map(|counts| facts.counts.push(counts))
            }
            FeedKind::Unknown => Some(()),
        };
        if taken.is_none() {
            facts.refused += 1;
        }
    }
    facts
}

/// The receipt of an entry, with what is known of its torrent. A torrent that is not the receipt's proves a liar.
fn receipt(entry: &FeedEntry, now: UnixTime) -> Option<Entry> {
    let receipt = Signed::<Receipt>::from_bytes(&entry.statement.0).ok()?;
    if receipt.listing == Listing::Unlisted || receipt.check_time(now).is_err() {
        return None;
    }
    let row = match &entry.torrent {
        Some(file) => {
            let metainfo = Metainfo::from_torrent(&file.0).ok()?;
            if metainfo.info_hash() != receipt.info_hash {
                return None;
            }
            TorrentRow::of(&metainfo)
        }
        None => {
            TorrentRow::claimed(receipt.info_hash, receipt.info_hash_v2, entry.name.clone(), entry.length)
        }
    };
    Some(Entry { row, receipts: vec![receipt] })
}

impl Supernode {
    /// A page of our feed.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub async fn feed(&self, since: u64, count: usize) -> Result<FeedPage, Problem> {
        let cursor = i64::try_from(since).unwrap_or(i64::MAX);
        let count = count.clamp(1, MAX_ENTRIES);
        let (entries, next, more) =
            self.index.changes(cursor, count).await.map_err(|error| failed(&error))?;
        let head = FeedHead {
            supernode: self.key(),
            index: self.index.name(),
            since,
            next: u64::try_from(next).unwrap_or(0),
            digest: digest(&entries),
            issued: self.index.now(),
        };
        let head = Signed::new(head, &self.identity).map_err(|error| Problem::new(codes::INTERNAL, error))?;
        Ok(FeedPage { head, entries, more })
    }

    /// Runs until the end of the process: visits the supernodes that the host named, and follows all that are known.
    pub async fn follow_forever(self: Arc<Self>, named: Vec<String>) {
        let client = match client::new(PATIENCE) {
            Ok(client) => client,
            Err(reason) => return warn!(%reason, "cannot follow other supernodes"),
        };
        let mut timer = tokio::time::interval(EVERY);
        timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut round: u32 = 0;
        loop {
            timer.tick().await;
            let with_directories = round.is_multiple_of(DIRECTORIES);
            round = round.wrapping_add(1);
            self.follow_all(&client, &named, with_directories).await;
        }
    }

    /// Reads what is new in the feeds of all living supernodes.
    async fn follow_all(
        self: &Arc<Self>,
        client: &reqwest::Client,
        named: &[String],
        with_directories: bool,
    ) {
        let known = match self.index.supernodes().await {
            Ok(known) => known,
            Err(error) => return warn!(%error, "could not read the directory"),
        };
        let missing: Vec<&String> =
            named.iter().filter(|url| !known.iter().any(|follow| follow.url == **url)).collect();
        for url in missing {
            if let Err(problem) = self.visit(url).await {
                debug!(%url, %problem, "a supernode that was named does not answer");
            }
        }
        let now = self.index.now();
        let is_living = |follow: &Follow| now.0.saturating_sub(follow.seen.0) <= LIVING;
        let mut living = known;
        living.retain(|follow| follow.key != self.key() && is_living(follow));
        living.truncate(FOLLOWED);
        // All at once, each for so long: one that is slow or never ends keeps nobody from the others.
        let turns = living.iter().map(|follow| async move {
            let turn = async {
                if let Err(reason) = self.follow(client, follow).await {
                    debug!(supernode = %follow.url, %reason, "its feed could not be read");
                }
                if with_directories {
                    self.meet_others(client, &follow.url).await;
                }
            };
            if tokio::time::timeout(TURN, turn).await.is_err() {
                debug!(supernode = %follow.url, "it was listened to long enough for now");
            }
        });
        join_all(turns).await;
    }

    /// Reads what is new in the feed of one supernode.
    ///
    /// # Errors
    /// Why it was given up; the next time goes on from where it was.
    async fn follow(self: &Arc<Self>, client: &reqwest::Client, follow: &Follow) -> Result<(), String> {
        let (mut index, mut since) = (follow.index, follow.feed);
        for _ in 0..PAGES {
            let url = format!("{}{}?since={since}", follow.url, paths::FEED);
            let page: FeedPage =
                client::ask_up_to(client.get(url), MAX_PAGE).await.map_err(|failed| failed.to_string())?;
            page.head
                .check(follow.key, since, &page.entries, self.index.now())
                .map_err(|error| format!("its page does not hold: {error}"))?;
            if index.is_some_and(|index| index != page.head.index) && since > 0 {
                // It lost its index: what it has now begins anew.
                (index, since) = (Some(page.head.index), 0);
                self.index
                    .set_feed(&follow.key, page.head.index, 0)
                    .await
                    .map_err(|error| error.to_string())?;
                continue;
            }
            index = Some(page.head.index);
            let (next, more, count) = (page.head.next, page.more, page.entries.len());
            let now = self.index.now();
            let facts = tokio::task::spawn_blocking(move || verify(page.entries, now))
                .await
                .map_err(|error| error.to_string())?;
            let refused = facts.refused + self.take_facts(facts).await.map_err(|error| error.to_string())?;
            if refused > 0 {
                self.feed_refused.fetch_add(refused as u64, Ordering::Relaxed);
                warn!(supernode = %follow.url, refused, "entries of its feed prove nothing");
            }
            if next == since && !more {
                return Ok(());
            }
            since = next;
            self.index
                .set_feed(&follow.key, page.head.index, since)
                .await
                .map_err(|error| error.to_string())?;
            if count > 0 {
                info!(supernode = %follow.url, entries = count, "followed a feed");
            }
            if !more {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Takes what a page proves; returns how many entries it did not take. Receipts of nodes that do not prove themselves where
    /// they say they are would fill the index without end, since anybody can make keys: such a node reports by itself
    /// once it is there.
    async fn take_facts(self: &Arc<Self>, facts: Facts) -> Result<usize, sqlx::Error> {
        let now = self.index.now();
        for withdrawal in &facts.withdrawals {
            self.index.withdraw(withdrawal).await?;
        }
        let mut unknown: Vec<(Key, String)> = Vec::new();
        let mut seen: HashSet<Key> = HashSet::new();
        let mut news = Vec::new();
        for entry in facts.entries {
            // What we know already would only go round among the feeds for ever.
            let mut is_new = false;
            for receipt in &entry.receipts {
                is_new |= !self.index.has_receipt(receipt).await?;
                if seen.insert(receipt.node) && self.index.node(&receipt.node).await?.is_none() {
                    unknown.push((receipt.node, receipt.url.trim_end_matches('/').to_owned()));
                }
            }
            if is_new {
                news.push(entry);
            }
        }
        self.index.put_candidates(&unknown, now).await?;
        for _ in 0..unknown.len().div_ceil(VISITS.1) {
            self.renew().await;
        }
        let mut proven: HashMap<Key, bool> = HashMap::new();
        let mut taken = Vec::new();
        let mut refused = 0;
        for mut entry in news {
            for receipt in &entry.receipts {
                if let Vacant(unknown) = proven.entry(receipt.node) {
                    unknown.insert(self.index.node(&receipt.node).await?.is_some());
                }
            }
            let before = entry.receipts.len();
            entry.receipts.retain(|receipt| proven.get(&receipt.node).is_some_and(|proven| *proven));
            refused += before - entry.receipts.len();
            if !entry.receipts.is_empty() {
                taken.push(entry);
            }
        }
        if !taken.is_empty() {
            self.index.put(taken, now).await?;
        }
        for counts in &facts.counts {
            if !self.index.has_counts(counts).await? {
                // It was on its way for we do not know how long.
                self.index.put_counts(counts, counts.issued.min(now)).await?;
            }
        }
        Ok(refused)
    }

    /// Visits hosts that another supernode knows and we do not.
    async fn meet_others(&self, client: &reqwest::Client, url: &str) {
        let request = client.get(format!("{url}{}", paths::DIRECTORY));
        let Ok(directory) = client::ask_up_to::<Directory>(request, MAX_PAGE).await else { return };
        let mut new = Vec::new();
        let Ok(known) = self.index.supernodes().await else { return };
        for other in &directory.supernodes {
            if other.key != self.key() && !known.iter().any(|follow| follow.key == other.key) {
                new.push(other.url.clone());
            }
        }
        for node in &directory.nodes {
            if new.len() >= NEWCOMERS {
                break;
            }
            if matches!(self.index.node(&node.key).await, Ok(None))
                && node.seen.is_some_and(|age| age <= LIVING)
            {
                new.push(node.url.clone());
            }
        }
        for url in new.into_iter().take(NEWCOMERS) {
            if let Err(problem) = self.visit(&url).await {
                debug!(%url, %problem, "a host that another supernode named does not prove its key");
            }
        }
    }
}
