//! The supernode's index: torrents, receipts, withdrawals, counts, nodes and supernodes.
//!
//! Decides nothing; losing it is never fatal, feeds, nodes and planters bring everything again. Every statement names an
//! info-hash or a key, so that a larger deployment can distribute the tables by them.

mod directory;
mod feed;
mod life;
mod put;
mod search;
mod store;

pub use directory::{Follow, Known};
pub use search::Row as SearchRow;

use super::words::words;
use crate::node::clock;
use anatomic_core::{InfoHash, Metainfo, Sha256Hash};
use anatomic_mesh::{Reach, Receipt, Signed, UnixTime, Withdrawal};
use sqlx::{Any, AssertSqlSafe, Transaction};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use store::{Kind, Store};

/// Rows of one statement.
const CHUNK: usize = 200;
/// A torrent without a living seed is dropped from search this long after the last one was proven, in seconds.
pub const DEAD_AFTER: u64 = 3 * 86_400;
/// A torrent that never had a seed is shown this long after it was planted, in seconds.
pub const AWAITED: u64 = 86_400;

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
    /// What search compares.
    pub words: Vec<String>,
}

impl TorrentRow {
    /// What a torrent says of itself.
    #[must_use]
    pub fn of(metainfo: &Metainfo) -> Self {
        let paths: Vec<String> = metainfo.files().iter().map(|file| file.path.join("/")).collect();
        Self {
            info_hash: metainfo.info_hash(),
            info_hash_v2: metainfo.info_hash_v2(),
            name: Some(metainfo.name().to_owned()),
            length: Some(metainfo.geometry().length()),
            files: Some(metainfo.files().len() as u64),
            torrent: Some(metainfo.to_torrent()),
            words: words(std::iter::once(metainfo.name()).chain(paths.iter().map(String::as_str))),
        }
    }

    /// What somebody said of a torrent that is not known itself.
    #[must_use]
    pub fn claimed(
        info_hash: InfoHash,
        info_hash_v2: Option<Sha256Hash>,
        name: Option<String>,
        length: Option<u64>,
    ) -> Self {
        let name: Option<String> = name.map(|name| name.chars().take(300).collect());
        let words = words(name.as_deref());
        Self { info_hash, info_hash_v2, name, length, files: None, torrent: None, words }
    }
}

/// A torrent and receipts for it.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The torrent.
    pub row: TorrentRow,
    /// Receipts of its info-hash.
    pub receipts: Vec<Signed<Receipt>>,
}

/// The index.
#[derive(Clone, Debug)]
pub struct Index {
    store: Store,
    name: [u8; 8],
    /// How far the database's clock is ahead of this machine's, in seconds.
    ahead: Arc<AtomicI64>,
}

impl Index {
    /// Opens the index at `path`, makes it if it is not there, and brings its schema up to date.
    ///
    /// # Errors
    /// When the file cannot be opened, is damaged, or was written by a later version.
    pub async fn open(path: &Path) -> Result<Self, sqlx::Error> {
        Self::of(Store::sqlite(path).await?).await
    }

    /// Connects to the index in a PostgreSQL database, `postgres://user:password@host/database`.
    ///
    /// # Errors
    /// When it cannot be reached, or was written by a later version.
    pub async fn connect(url: &str) -> Result<Self, sqlx::Error> {
        Self::of(Store::postgres(url).await?).await
    }

    async fn of(store: Store) -> Result<Self, sqlx::Error> {
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(|error| sqlx::Error::Configuration(error.to_string().into()))?;
        let name = store.name(random).await?;
        let index = Self { store, name, ahead: Arc::default() };
        index.set_clock().await?;
        Ok(index)
    }

    /// Now, by the clock that all processes of one index have in common: times of one are compared by the others.
    #[must_use]
    pub fn now(&self) -> UnixTime {
        UnixTime(clock::now().0.saturating_add_signed(self.ahead.load(Ordering::Relaxed)))
    }

    /// Looks at the database's clock. A file has none of its own.
    ///
    /// # Errors
    /// When the index fails.
    pub async fn set_clock(&self) -> Result<(), sqlx::Error> {
        if self.store.kind == Kind::Postgres {
            let theirs: i64 =
                sqlx::query_scalar("SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) AS BIGINT) AS now")
                    .fetch_one(&self.store.pool)
                    .await?;
            let ours = i64::try_from(clock::now().0).unwrap_or(i64::MAX);
            self.ahead.store(theirs.saturating_sub(ours), Ordering::Relaxed);
        }
        Ok(())
    }

    /// The name of this index: a new one for one that was made anew.
    #[must_use]
    pub const fn name(&self) -> [u8; 8] {
        self.name
    }

    /// The torrent of that info-hash, without its file and words.
    ///
    /// # Errors
    /// When the index fails.
    pub async fn torrent(&self, info_hash: &InfoHash) -> Result<Option<SearchRow>, sqlx::Error> {
        self.row(info_hash).await
    }

    /// The torrent file of that info-hash.
    ///
    /// # Errors
    /// When the index fails.
    pub async fn torrent_file(&self, info_hash: &InfoHash) -> Result<Option<Vec<u8>>, sqlx::Error> {
        sqlx::query_scalar("SELECT torrent FROM torrent_files WHERE info_hash = $1")
            .bind(info_hash.0.to_vec())
            .fetch_optional(&self.store.pool)
            .await
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
        let rows: Vec<Vec<u8>> = sqlx::query_scalar(
            "SELECT receipt FROM receipts WHERE info_hash = $1 AND expires > $2 ORDER BY expires DESC LIMIT 64",
        )
        .bind(info_hash.0.to_vec())
        .bind(seconds(now))
        .fetch_all(&self.store.pool)
        .await?;
        Ok(rows.iter().filter_map(|bytes| Signed::from_bytes(bytes).ok()).collect())
    }

    /// Whether this receipt, or a later one in its place, is here.
    ///
    /// # Errors
    /// When the index fails.
    pub async fn has_receipt(&self, receipt: &Signed<Receipt>) -> Result<bool, sqlx::Error> {
        let known: Option<i64> = sqlx::query_scalar(
            "SELECT issued FROM receipts WHERE info_hash = $1 AND node = $2 AND planter = $3",
        )
        .bind(receipt.info_hash.0.to_vec())
        .bind(receipt.node.0.to_vec())
        .bind(receipt.planter.0.to_vec())
        .fetch_optional(&self.store.pool)
        .await?;
        Ok(known.is_some_and(|known| known >= seconds(receipt.issued)))
    }

    /// Removes a planter's receipts of a torrent that were issued up to the withdrawal, and the torrent with its last one.
    /// The withdrawal itself is kept, so that old receipts do not come back by a feed. False if there was nothing.
    ///
    /// # Errors
    /// When the index fails.
    pub async fn withdraw(&self, withdrawal: &Signed<Withdrawal>) -> Result<bool, sqlx::Error> {
        let (mut transaction, numbers) = self.store.write(1).await?;
        let (hash, planter) = (withdrawal.info_hash.0.to_vec(), withdrawal.planter.0.to_vec());
        let unlisted: Option<i64> = sqlx::query_scalar("SELECT unlisted FROM torrents WHERE info_hash = $1")
            .bind(hash.clone())
            .fetch_optional(&mut *transaction)
            .await?;
        // Numbers above zero are in the feed: what concerns only us, or what nobody is to hear of, is not.
        let spreads = withdrawal.reach == Reach::Everywhere && unlisted != Some(1);
        let seq = if spreads { *numbers.end() } else { 0 };
        sqlx::query(
            "INSERT INTO withdrawals (info_hash, planter, statement, issued, seq) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (info_hash, planter) DO UPDATE SET statement = excluded.statement, issued = excluded.issued,
               seq = excluded.seq WHERE excluded.issued > withdrawals.issued",
        )
        .bind(hash.clone())
        .bind(planter.clone())
        .bind(withdrawal.as_bytes().to_vec())
        .bind(seconds(withdrawal.issued))
        .bind(seq)
        .execute(&mut *transaction)
        .await?;
        // By the planter's clock, which the receipt repeats; the node's is another.
        let held: Vec<Vec<u8>> =
            sqlx::query_scalar("SELECT receipt FROM receipts WHERE info_hash = $1 AND planter = $2")
                .bind(hash.clone())
                .bind(planter.clone())
                .fetch_all(&mut *transaction)
                .await?;
        let mut gone = 0;
        for receipt in held.iter().filter_map(|bytes| Signed::<Receipt>::from_bytes(bytes).ok()) {
            if receipt.wished() <= withdrawal.issued {
                sqlx::query("DELETE FROM receipts WHERE info_hash = $1 AND planter = $2 AND node = $3")
                    .bind(hash.clone())
                    .bind(planter.clone())
                    .bind(receipt.node.0.to_vec())
                    .execute(&mut *transaction)
                    .await?;
                gone += 1;
            }
        }
        self.drop_bare(&mut transaction, Some(&withdrawal.info_hash)).await?;
        self.settle(&mut transaction, Some(&withdrawal.info_hash)).await?;
        transaction.commit().await?;
        Ok(gone > 0)
    }

    /// Removes torrents without a receipt: one, or all.
    async fn drop_bare(
        &self,
        transaction: &mut Transaction<'static, Any>,
        only: Option<&InfoHash>,
    ) -> Result<(), sqlx::Error> {
        let bare = "NOT EXISTS (SELECT 1 FROM receipts WHERE receipts.info_hash = torrents.info_hash)";
        let only_one = if only.is_some() { "info_hash = $1 AND " } else { "" };
        let mut statements = Vec::new();
        if self.store.kind == Kind::Sqlite {
            statements.push(format!(
                "DELETE FROM search WHERE rowid IN (SELECT id FROM torrents WHERE {only_one}{bare})"
            ));
        }
        statements.push(format!("DELETE FROM torrents WHERE {only_one}{bare}"));
        for table in ["torrent_files", "lives"] {
            statements.push(format!(
                "DELETE FROM {table} WHERE {only_one}NOT EXISTS
                 (SELECT 1 FROM torrents WHERE torrents.info_hash = {table}.info_hash)"
            ));
        }
        for text in statements {
            let mut query = sqlx::query(AssertSqlSafe(text));
            if let Some(only) = only {
                query = query.bind(only.0.to_vec());
            }
            query.execute(&mut **transaction).await?;
        }
        Ok(())
    }

    /// Forgets receipts whose lease ended, torrents without a receipt, old counts and withdrawals, nodes not seen for a week
    /// and candidates that never answered for a day.
    ///
    /// # Errors
    /// When the index fails.
    pub async fn prune(&self, now: UnixTime) -> Result<(), sqlx::Error> {
        let before = |ago: u64| seconds(UnixTime(now.0.saturating_sub(ago)));
        let (mut transaction, _) = self.store.write(0).await?;
        for (text, time) in [
            ("DELETE FROM receipts WHERE expires <= $1", before(0)),
            ("DELETE FROM counts WHERE issued < $1", before(2 * 3_600)),
            // No lease is longer than 400 days: older receipts have ended by themselves.
            ("DELETE FROM withdrawals WHERE issued < $1", before(400 * 86_400)),
            ("DELETE FROM nodes WHERE seen > 0 AND seen < $1", before(7 * 86_400)),
            ("DELETE FROM nodes WHERE seen = 0 AND added < $1", before(86_400)),
            ("DELETE FROM supernodes WHERE seen < $1 AND added < $1", before(7 * 86_400)),
        ] {
            sqlx::query(text).bind(time).execute(&mut *transaction).await?;
        }
        self.drop_bare(&mut transaction, None).await?;
        self.settle(&mut transaction, None).await?;
        transaction.commit().await
    }

    /// How many torrents and proven nodes there are.
    ///
    /// # Errors
    /// When the index fails.
    pub async fn totals(&self) -> Result<(u64, u64), sqlx::Error> {
        let torrents: i64 =
            sqlx::query_scalar("SELECT COUNT(*) AS n FROM torrents").fetch_one(&self.store.pool).await?;
        let nodes: i64 = sqlx::query_scalar("SELECT COUNT(*) AS n FROM nodes WHERE seen > 0")
            .fetch_one(&self.store.pool)
            .await?;
        Ok((u64::try_from(torrents).unwrap_or(0), u64::try_from(nodes).unwrap_or(0)))
    }

    /// Writes everything to the file and closes it.
    pub async fn close(&self) {
        self.store.pool.close().await;
    }
}

pub(super) fn seconds(time: UnixTime) -> i64 {
    i64::try_from(time.0).unwrap_or(i64::MAX)
}

fn time(seconds: i64) -> UnixTime {
    UnixTime(u64::try_from(seconds).unwrap_or(0))
}

fn number(value: i64) -> u32 {
    u32::try_from(value).unwrap_or(if value < 0 { 0 } else { u32::MAX })
}
