//! The supernode's index on disk: torrents, receipts, nodes. SQLite by `sqlx`.
//!
//! Every statement names an info-hash or a key and uses only what PostgreSQL knows too, so that the same code serves a
//! larger deployment. Decides nothing; losing the file is never fatal, planters and nodes bring everything again.

use anatomic_core::{InfoHash, Sha256Hash};
use anatomic_mesh::api::NodeEntry;
use anatomic_mesh::{Key, Listing, Receipt, Signed, UnixTime};
use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use std::path::Path;
use std::time::Duration;

/// The schema, one step a version; steps are only ever added.
const MIGRATIONS: [&str; 1] = [include_str!("migrations/1.sql")];

/// A torrent as it is indexed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TorrentRow {
    /// The v1 info-hash.
    pub info_hash: InfoHash,
    /// The v2 info-hash of a hybrid torrent.
    pub info_hash_v2: Option<Sha256Hash>,
    /// Its name: proven by `torrent`, else a stranger's text.
    pub name: Option<String>,
    /// Bytes.
    pub length: Option<u64>,
    /// Files.
    pub files: Option<u64>,
    /// The torrent file.
    pub torrent: Option<Vec<u8>>,
    /// Whether search may show it.
    pub listing: Listing,
}

/// The index.
#[derive(Clone, Debug)]
pub struct Index {
    pool: SqlitePool,
}

type TorrentTuple = (Option<Vec<u8>>, Option<String>, Option<i64>, Option<i64>, Option<Vec<u8>>, i64);

impl Index {
    /// Opens the index at `path`, makes it if it is not there, and brings its schema up to date.
    ///
    /// # Errors
    /// When the file cannot be opened, is damaged, or was written by a later version.
    pub async fn open(path: &Path) -> Result<Self, sqlx::Error> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .busy_timeout(Duration::from_secs(10))
            .foreign_keys(true);
        let pool = SqlitePoolOptions::new().max_connections(4).connect_with(options).await?;
        let index = Self { pool };
        index.migrate().await?;
        Ok(index)
    }

    async fn migrate(&self) -> Result<(), sqlx::Error> {
        sqlx::raw_sql("CREATE TABLE IF NOT EXISTS schema_version (version BIGINT NOT NULL)")
            .execute(&self.pool)
            .await?;
        let version: Option<i64> =
            sqlx::query_scalar("SELECT MAX(version) FROM schema_version").fetch_one(&self.pool).await?;
        let done = usize::try_from(version.unwrap_or(0)).unwrap_or(usize::MAX);
        if done > MIGRATIONS.len() {
            let reason =
                format!("the index is of version {done}, this program knows {} at most", MIGRATIONS.len());
            return Err(sqlx::Error::Configuration(reason.into()));
        }
        for (at, step) in MIGRATIONS.iter().enumerate().skip(done) {
            let mut transaction = self.pool.begin().await?;
            sqlx::raw_sql(*step).execute(&mut *transaction).await?;
            sqlx::query("INSERT INTO schema_version (version) VALUES ($1)")
                .bind(at as i64 + 1)
                .execute(&mut *transaction)
                .await?;
            transaction.commit().await?;
        }
        Ok(())
    }

    /// Lists a node as seen `now`, under its key; an older entry at the same address goes.
    ///
    /// # Errors
    /// When the index fails.
    pub async fn put_node(&self, node: &NodeEntry, now: UnixTime) -> Result<(), sqlx::Error> {
        let entry = serde_json::to_string(node).map_err(|error| sqlx::Error::Encode(Box::new(error)))?;
        let mut transaction = self.pool.begin().await?;
        sqlx::query("DELETE FROM nodes WHERE url = $1 AND key <> $2")
            .bind(&node.url)
            .bind(&node.key.0[..])
            .execute(&mut *transaction)
            .await?;
        sqlx::query(
            "INSERT INTO nodes (key, url, entry, seen) VALUES ($1, $2, $3, $4)
             ON CONFLICT (key) DO UPDATE SET url = excluded.url, entry = excluded.entry, seen = excluded.seen",
        )
        .bind(&node.key.0[..])
        .bind(&node.url)
        .bind(entry)
        .bind(seconds(now))
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await
    }

    /// The node of that key, and when it was last seen.
    ///
    /// # Errors
    /// When the index fails.
    pub async fn node(&self, key: &Key) -> Result<Option<(NodeEntry, UnixTime)>, sqlx::Error> {
        let row: Option<(String, i64)> = sqlx::query_as("SELECT entry, seen FROM nodes WHERE key = $1")
            .bind(&key.0[..])
            .fetch_optional(&self.pool)
            .await?;
        Ok(row.and_then(node_of))
    }

    /// The node at that address, and when it was last seen.
    ///
    /// # Errors
    /// When the index fails.
    pub async fn node_at(&self, url: &str) -> Result<Option<(NodeEntry, UnixTime)>, sqlx::Error> {
        let row: Option<(String, i64)> = sqlx::query_as("SELECT entry, seen FROM nodes WHERE url = $1")
            .bind(url)
            .fetch_optional(&self.pool)
            .await?;
        Ok(row.and_then(node_of))
    }

    /// All nodes, the last seen first, at most 1,000.
    ///
    /// # Errors
    /// When the index fails.
    pub async fn nodes(&self) -> Result<Vec<(NodeEntry, UnixTime)>, sqlx::Error> {
        let rows: Vec<(String, i64)> =
            sqlx::query_as("SELECT entry, seen FROM nodes ORDER BY seen DESC LIMIT 1000")
                .fetch_all(&self.pool)
                .await?;
        Ok(rows.into_iter().filter_map(node_of).collect())
    }

    /// Takes a torrent and receipts for it. What is known already stays where `row` says nothing.
    ///
    /// # Errors
    /// When the index fails.
    pub async fn put_torrent(
        &self,
        row: &TorrentRow,
        receipts: &[&Signed<Receipt>],
        now: UnixTime,
    ) -> Result<(), sqlx::Error> {
        let mut transaction = self.pool.begin().await?;
        // A proven name is not replaced by a claimed one: proven ones come with the torrent file.
        sqlx::query(
            "INSERT INTO torrents (info_hash, info_hash_v2, name, length, files, torrent, unlisted, added)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
             ON CONFLICT (info_hash) DO UPDATE SET
               info_hash_v2 = COALESCE(excluded.info_hash_v2, torrents.info_hash_v2),
               name = CASE WHEN excluded.torrent IS NULL THEN COALESCE(torrents.name, excluded.name) ELSE excluded.name END,
               length = CASE WHEN excluded.torrent IS NULL THEN COALESCE(torrents.length, excluded.length) ELSE excluded.length END,
               files = COALESCE(excluded.files, torrents.files),
               torrent = COALESCE(excluded.torrent, torrents.torrent),
               unlisted = CASE WHEN excluded.unlisted = 1 THEN 1 ELSE torrents.unlisted END",
        )
        .bind(&row.info_hash.0[..])
        .bind(row.info_hash_v2.as_ref().map(|hash| &hash[..]))
        .bind(row.name.as_deref().map(|name| name.chars().take(300).collect::<String>()))
        .bind(row.length.and_then(|length| i64::try_from(length).ok()))
        .bind(row.files.and_then(|files| i64::try_from(files).ok()))
        .bind(row.torrent.as_deref())
        .bind(i64::from(row.listing == Listing::Unlisted))
        .bind(seconds(now))
        .execute(&mut *transaction)
        .await?;
        for receipt in receipts {
            sqlx::query(
                "INSERT INTO receipts (info_hash, node, planter, receipt, expires) VALUES ($1, $2, $3, $4, $5)
                 ON CONFLICT (info_hash, node, planter) DO UPDATE SET receipt = excluded.receipt, expires = excluded.expires
                 WHERE excluded.expires > receipts.expires",
            )
            .bind(&receipt.info_hash.0[..])
            .bind(&receipt.node.0[..])
            .bind(&receipt.planter.0[..])
            .bind(receipt.as_bytes())
            .bind(seconds(receipt.expires))
            .execute(&mut *transaction)
            .await?;
        }
        transaction.commit().await
    }

    /// The torrent of that info-hash.
    ///
    /// # Errors
    /// When the index fails.
    pub async fn torrent(&self, info_hash: &InfoHash) -> Result<Option<TorrentRow>, sqlx::Error> {
        let row: Option<TorrentTuple> = sqlx::query_as(
            "SELECT info_hash_v2, name, length, files, torrent, unlisted FROM torrents WHERE info_hash = $1",
        )
        .bind(&info_hash.0[..])
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(|(v2, name, length, files, torrent, unlisted)| TorrentRow {
            info_hash: *info_hash,
            info_hash_v2: v2.and_then(|hash| hash.try_into().ok()),
            name,
            length: length.and_then(|length| u64::try_from(length).ok()),
            files: files.and_then(|files| u64::try_from(files).ok()),
            torrent,
            listing: if unlisted == 0 { Listing::Listed } else { Listing::Unlisted },
        }))
    }

    /// The receipts of a torrent whose lease runs `now`.
    ///
    /// # Errors
    /// When the index fails.
    pub async fn receipts(
        &self,
        info_hash: &InfoHash,
        now: UnixTime,
    ) -> Result<Vec<Signed<Receipt>>, sqlx::Error> {
        let rows: Vec<Vec<u8>> =
            sqlx::query_scalar("SELECT receipt FROM receipts WHERE info_hash = $1 AND expires > $2 ORDER BY expires DESC LIMIT 64")
                .bind(&info_hash.0[..])
                .bind(seconds(now))
                .fetch_all(&self.pool)
                .await?;
        Ok(rows.iter().filter_map(|bytes| Signed::from_bytes(bytes).ok()).collect())
    }

    /// Removes a planter's receipts of a torrent, and the torrent with its last one. False if there was none.
    ///
    /// # Errors
    /// When the index fails.
    pub async fn withdraw(&self, info_hash: &InfoHash, planter: &Key) -> Result<bool, sqlx::Error> {
        let mut transaction = self.pool.begin().await?;
        let gone = sqlx::query("DELETE FROM receipts WHERE info_hash = $1 AND planter = $2")
            .bind(&info_hash.0[..])
            .bind(&planter.0[..])
            .execute(&mut *transaction)
            .await?
            .rows_affected();
        sqlx::query(
            "DELETE FROM torrents WHERE info_hash = $1
             AND NOT EXISTS (SELECT 1 FROM receipts WHERE receipts.info_hash = torrents.info_hash)",
        )
        .bind(&info_hash.0[..])
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(gone > 0)
    }

    /// Forgets receipts whose lease ended, torrents without a receipt, and nodes not seen for a week.
    ///
    /// # Errors
    /// When the index fails.
    pub async fn prune(&self, now: UnixTime) -> Result<(), sqlx::Error> {
        sqlx::query("DELETE FROM receipts WHERE expires <= $1")
            .bind(seconds(now))
            .execute(&self.pool)
            .await?;
        sqlx::query(
            "DELETE FROM torrents WHERE NOT EXISTS (SELECT 1 FROM receipts WHERE receipts.info_hash = torrents.info_hash)",
        )
        .execute(&self.pool)
        .await?;
        let week_ago = UnixTime(now.0.saturating_sub(7 * 86_400));
        sqlx::query("DELETE FROM nodes WHERE seen < $1").bind(seconds(week_ago)).execute(&self.pool).await?;
        Ok(())
    }

    /// How many torrents and nodes there are.
    ///
    /// # Errors
    /// When the index fails.
    pub async fn totals(&self) -> Result<(u64, u64), sqlx::Error> {
        let torrents: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM torrents").fetch_one(&self.pool).await?;
        let nodes: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM nodes").fetch_one(&self.pool).await?;
        Ok((u64::try_from(torrents).unwrap_or(0), u64::try_from(nodes).unwrap_or(0)))
    }

    /// Writes everything to the file and closes it.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

fn seconds(time: UnixTime) -> i64 {
    i64::try_from(time.0).unwrap_or(i64::MAX)
}

fn node_of((entry, seen): (String, i64)) -> Option<(NodeEntry, UnixTime)> {
    Some((serde_json::from_str(&entry).ok()?, UnixTime(u64::try_from(seen).ok()?)))
}
