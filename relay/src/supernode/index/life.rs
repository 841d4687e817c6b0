//! What nodes report of their swarms, and the last proof of a living seed that follows from it.
//!
//! A node is believed for torrents alone of which its receipt is here.

use super::store::{list, rows, statement};
use super::{Index, number, seconds, time};
use anatomic_core::InfoHash;
use anatomic_mesh::counts::{Counts, SwarmCount};
use anatomic_mesh::{Key, Signed, UnixTime};
use sqlx::Row as _;
use std::collections::HashSet;

/// What a node last said of a swarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    /// The node.
    pub node: Key,
    /// Tabs that it helped.
    pub helped: u32,
    /// When it counted.
    pub issued: UnixTime,
}

impl Index {
    /// Takes counts of a node, made at `counted` by our clock. Those of torrents without its receipt are left out. Returns how
    /// many were taken.
    ///
    /// # Errors
    /// When the index fails.
    pub async fn put_counts(&self, counts: &Signed<Counts>, counted: UnixTime) -> Result<usize, sqlx::Error> {
        if counts.swarms.is_empty() {
            return Ok(0);
        }
        let (mut transaction, numbers) = self.store.write(1).await?;
        let text = format!(
            "SELECT DISTINCT info_hash FROM receipts WHERE node = $1 AND expires > $2 AND unlisted = 0 AND info_hash IN ({})",
            list(3, counts.swarms.len())
        );
        let query = statement(text).bind(counts.node.0.to_vec()).bind(seconds(counted));
        let query = counts.swarms.iter().fold(query, |query, swarm| query.bind(swarm.info_hash.0.to_vec()));
        let mut held: HashSet<Vec<u8>> = HashSet::new();
        for row in query.fetch_all(&mut *transaction).await? {
            held.insert(row.try_get(0)?);
        }
        let mut swarms: Vec<&SwarmCount> =
            counts.swarms.iter().filter(|swarm| held.contains(&swarm.info_hash.0[..])).collect();
        swarms.sort_by_key(|swarm| swarm.info_hash.0);
        swarms.dedup_by_key(|swarm| swarm.info_hash);
        if swarms.is_empty() {
            return Ok(0);
        }
        let text = format!(
            "INSERT INTO lives (info_hash, node, tab_seeds, tab_leeches, classic_seeds, classic_leeches, helped, seed_seen,
               issued) VALUES {}
             ON CONFLICT (info_hash, node) DO UPDATE SET tab_seeds = excluded.tab_seeds,
               tab_leeches = excluded.tab_leeches, classic_seeds = excluded.classic_seeds,
               classic_leeches = excluded.classic_leeches, helped = excluded.helped,
               seed_seen = COALESCE(excluded.seed_seen, lives.seed_seen), issued = excluded.issued
             WHERE excluded.issued > lives.issued",
            rows(swarms.len(), 9)
        );
        let mut query = statement(text);
        for swarm in &swarms {
            let seen = swarm.seed_age.map(|age| seconds(UnixTime(counted.0.saturating_sub(u64::from(age)))));
            query = query
                .bind(swarm.info_hash.0.to_vec())
                .bind(counts.node.0.to_vec())
                .bind(i64::from(swarm.tabs.seeds))
                .bind(i64::from(swarm.tabs.leeches))
                .bind(i64::from(swarm.classic.seeds))
                .bind(i64::from(swarm.classic.leeches))
                .bind(i64::from(swarm.helped))
                .bind(seen)
                .bind(seconds(counts.issued));
        }
        query.execute(&mut *transaction).await?;
        let of = |what: &str| {
            format!("(SELECT MAX({what}) FROM lives WHERE lives.info_hash = torrents.info_hash)")
        };
        let text = format!(
            "UPDATE torrents SET tab_seeds = {}, tab_leeches = {}, classic_seeds = {}, classic_leeches = {},
               seed_seen = {seen}, life = COALESCE({seen}, life) WHERE info_hash IN ({})",
            of("tab_seeds"),
            of("tab_leeches"),
            of("classic_seeds"),
            of("classic_leeches"),
            list(1, swarms.len()),
            seen = of("seed_seen"),
        );
        let query =
            swarms.iter().fold(statement(text), |query, swarm| query.bind(swarm.info_hash.0.to_vec()));
        query.execute(&mut *transaction).await?;
        statement("INSERT INTO counts (seq, node, statement, issued) VALUES ($1, $2, $3, $4)".into())
            .bind(*numbers.end())
            .bind(counts.node.0.to_vec())
            .bind(counts.as_bytes().to_vec())
            .bind(seconds(counts.issued))
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(swarms.len())
    }

    /// When this node last counted, by its own clock: older or equal counts say nothing new.
    ///
    /// # Errors
    /// When the index fails.
    pub async fn has_counts(&self, counts: &Signed<Counts>) -> Result<bool, sqlx::Error> {
        let Some(first) = counts.swarms.first() else { return Ok(true) };
        let known: Option<i64> =
            sqlx::query_scalar("SELECT issued FROM lives WHERE node = $1 AND info_hash = $2")
                .bind(counts.node.0.to_vec())
                .bind(first.info_hash.0.to_vec())
                .fetch_optional(&self.store.pool)
                .await?;
        Ok(known.is_some_and(|known| known >= seconds(counts.issued)))
    }

    /// What the nodes last said of a swarm.
    ///
    /// # Errors
    /// When the index fails.
    pub async fn lives(&self, info_hash: &InfoHash) -> Result<Vec<Life>, sqlx::Error> {
        let rows = sqlx::query("SELECT node, helped, issued FROM lives WHERE info_hash = $1")
            .bind(info_hash.0.to_vec())
            .fetch_all(&self.store.pool)
            .await?;
        let mut lives = Vec::new();
        for row in rows {
            let node: Vec<u8> = row.try_get(0)?;
            let Ok(node) = node.try_into() else { continue };
            let (helped, issued) = (number(row.try_get(1)?), time(row.try_get(2)?));
            lives.push(Life { node: Key(node), helped, issued });
        }
        Ok(lives)
    }
}
