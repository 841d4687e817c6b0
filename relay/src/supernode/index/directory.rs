//! The directory on disk: nodes and supernodes, when they last proved their keys, when that was last tried.
//!
//! Whom to visit and whom to offer is decided by [`crate::supernode`].

use super::{Index, seconds, time};
use anatomic_mesh::api::NodeEntry;
use anatomic_mesh::{Key, UnixTime};
use sqlx::Row as _;
use sqlx::any::AnyRow;

/// Most nodes that are known by hearsay and were not visited yet.
const MAX_CANDIDATES: i64 = 10_000;

/// A node in the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// How it described itself when it was last visited.
    pub entry: NodeEntry,
    /// The block of addresses that it answered from.
    pub network: String,
    /// When it last proved its key.
    pub seen: UnixTime,
}

/// Another supernode, and how far its feed was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Follow {
    /// Its key.
    pub key: Key,
    /// Its scheme and host.
    pub url: String,
    /// When it last proved its key.
    pub seen: UnixTime,
    /// The name of its index.
    pub index: Option<[u8; 8]>,
    /// The cursor of its feed.
    pub feed: u64,
}

fn read(row: &AnyRow) -> Result<Option<Known>, sqlx::Error> {
    let entry: String = row.try_get(0)?;
    let Ok(entry) = serde_json::from_str(&entry) else { return Ok(None) };
    Ok(Some(Known { entry, network: row.try_get(1)?, seen: time(row.try_get(2)?) }))
}

impl Index {
    /// Lists a node as seen `now`, under its key; an older entry at the same address goes.
    ///
    /// # Errors
    /// When the index fails.
    pub async fn put_node(&self, node: &NodeEntry, network: &str, now: UnixTime) -> Result<(), sqlx::Error> {
        let entry = serde_json::to_string(node).map_err(|error| sqlx::Error::Encode(Box::new(error)))?;
        let (mut transaction, _) = self.store.write(0).await?;
        sqlx::query("DELETE FROM nodes WHERE url = $1 AND key <> $2")
            .bind(node.url.clone())
            .bind(node.key.0.to_vec())
            .execute(&mut *transaction)
            .await?;
        sqlx::query(
            "INSERT INTO nodes (key, url, entry, network, added, seen, tried) VALUES ($1, $2, $3, $4, $5, $5, $5)
             ON CONFLICT (key) DO UPDATE SET url = excluded.url, entry = excluded.entry, network = excluded.network,
               seen = excluded.seen, tried = excluded.tried",
        )
        .bind(node.key.0.to_vec())
        .bind(node.url.clone())
        .bind(entry)
        .bind(network.to_owned())
        .bind(seconds(now))
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await
    }

    /// Notes nodes that receipts name and nobody visited yet. Bounded.
    ///
    /// # Errors
    /// When the index fails.
    pub async fn put_candidates(&self, nodes: &[(Key, String)], now: UnixTime) -> Result<(), sqlx::Error> {
        if nodes.is_empty() {
            return Ok(());
        }
        let (mut transaction, _) = self.store.write(0).await?;
        let count: i64 = sqlx::query_scalar("SELECT COUNT(*) AS n FROM nodes WHERE seen = 0")
            .fetch_one(&mut *transaction)
            .await?;
        let room = usize::try_from(MAX_CANDIDATES - count).unwrap_or(0);
        for (key, url) in nodes.iter().take(room) {
            sqlx::query(
                "INSERT INTO nodes (key, url, entry, network, added, seen, tried) VALUES ($1, $2, '', '', $3, 0, 0)
                 ON CONFLICT (key) DO NOTHING",
            )
            .bind(key.0.to_vec())
            .bind(url.clone())
            .bind(seconds(now))
            .execute(&mut *transaction)
            .await?;
        }
        transaction.commit().await
    }

    /// The node of that key, if it ever proved it.
    ///
    /// # Errors
    /// When the index fails.
    pub async fn node(&self, key: &Key) -> Result<Option<Known>, sqlx::Error> {
        let row = sqlx::query("SELECT entry, network, seen FROM nodes WHERE key = $1 AND seen > 0")
            .bind(key.0.to_vec())
            .fetch_optional(&self.store.pool)
            .await?;
        row.as_ref().map_or(Ok(None), read)
    }

    /// The node at that address.
    ///
    /// # Errors
    /// When the index fails.
    pub async fn node_at(&self, url: &str) -> Result<Option<Known>, sqlx::Error> {
        let row = sqlx::query("SELECT entry, network, seen FROM nodes WHERE url = $1 AND seen > 0")
            .bind(url.to_owned())
            .fetch_optional(&self.store.pool)
            .await?;
        row.as_ref().map_or(Ok(None), read)
    }

    /// All proven nodes, the last seen first, at most 1,000.
    ///
    /// # Errors
    /// When the index fails.
    pub async fn nodes(&self) -> Result<Vec<Known>, sqlx::Error> {
        let rows = sqlx::query(
            "SELECT entry, network, seen FROM nodes WHERE seen > 0 ORDER BY seen DESC LIMIT 1000",
        )
        .fetch_all(&self.store.pool)
        .await?;
        let nodes = rows.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        Ok(nodes.into_iter().flatten().collect())
    }

    /// Addresses that are due for a visit, at most `count`, and notes that they are being visited: of several processes
    /// with one index only one gets each. Who was seen lately is visited every `every` seconds, others ever more rarely.
    ///
    /// # Errors
    /// When the index fails.
    pub async fn take_due(
        &self,
        every: u64,
        count: usize,
        now: UnixTime,
    ) -> Result<Vec<String>, sqlx::Error> {
        let before = |ago: u64| seconds(UnixTime(now.0.saturating_sub(ago)));
        let (mut transaction, _) = self.store.write(0).await?;
        let mut due = Vec::new();
        for table in ["nodes", "supernodes"] {
            let limit = i64::try_from(count.saturating_sub(due.len())).unwrap_or(0);
            let text = format!(
                "SELECT url FROM {table} WHERE tried < $1 AND (seen > $2 OR tried < $3) ORDER BY tried LIMIT $4"
            );
            let rows: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(text))
                .bind(before(every))
                .bind(before(3_600))
                .bind(before(10 * every))
                .bind(limit)
                .fetch_all(&mut *transaction)
                .await?;
            for url in &rows {
                let text = format!("UPDATE {table} SET tried = $1 WHERE url = $2");
                sqlx::query(sqlx::AssertSqlSafe(text))
                    .bind(seconds(now))
                    .bind(url.clone())
                    .execute(&mut *transaction)
                    .await?;
            }
            due.extend(rows);
        }
        transaction.commit().await?;
        due.sort();
        due.dedup();
        Ok(due)
    }

    /// Lists a supernode as seen `now`.
    ///
    /// # Errors
    /// When the index fails.
    pub async fn put_supernode(&self, key: &Key, url: &str, now: UnixTime) -> Result<(), sqlx::Error> {
        let (mut transaction, _) = self.store.write(0).await?;
        sqlx::query("DELETE FROM supernodes WHERE url = $1 AND key <> $2")
            .bind(url.to_owned())
            .bind(key.0.to_vec())
            .execute(&mut *transaction)
            .await?;
        sqlx::query(
            "INSERT INTO supernodes (key, url, added, seen, tried, feed) VALUES ($1, $2, $3, $3, $3, 0)
             ON CONFLICT (key) DO UPDATE SET url = excluded.url, seen = excluded.seen, tried = excluded.tried",
        )
        .bind(key.0.to_vec())
        .bind(url.to_owned())
        .bind(seconds(now))
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await
    }

    /// Notes how far the feed of a supernode was read.
    ///
    /// # Errors
    /// When the index fails.
    pub async fn set_feed(&self, key: &Key, index: [u8; 8], feed: u64) -> Result<(), sqlx::Error> {
        sqlx::query("UPDATE supernodes SET index_name = $1, feed = $2 WHERE key = $3")
            .bind(index.to_vec())
            .bind(i64::try_from(feed).unwrap_or(i64::MAX))
            .bind(key.0.to_vec())
            .execute(&self.store.pool)
            .await?;
        Ok(())
    }

    /// All supernodes that are known, the last seen first, at most 100.
    ///
    /// # Errors
    /// When the index fails.
    pub async fn supernodes(&self) -> Result<Vec<Follow>, sqlx::Error> {
        let rows = sqlx::query(
            "SELECT key, url, seen, index_name, feed FROM supernodes ORDER BY seen DESC, url LIMIT 100",
        )
        .fetch_all(&self.store.pool)
        .await?;
        let mut all = Vec::new();
        for row in rows {
            let key: Vec<u8> = row.try_get(0)?;
            let Ok(key) = key.try_into() else { continue };
            let index: Option<Vec<u8>> = row.try_get(3)?;
            all.push(Follow {
                key: Key(key),
                url: row.try_get(1)?,
                seen: time(row.try_get(2)?),
                index: index.and_then(|index| index.try_into().ok()),
                feed: u64::try_from(row.try_get::<i64, _>(4)?).unwrap_or(0),
            });
        }
        Ok(all)
    }
}
