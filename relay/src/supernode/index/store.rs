//! The database below the index: SQLite in a file, or PostgreSQL for several supernode processes at once.
//!
//! Opens, migrates and numbers changes; what the tables mean is told beside. Every statement uses what both know; where
//! they differ ([`Kind`]) the difference is spelled out.

use sqlx::any::{AnyArguments, AnyPoolOptions};
use sqlx::query::Query;
use sqlx::{Any, AnyPool, AssertSqlSafe, Transaction};
use std::path::Path;
use std::time::Duration;

/// Steps of the schema; steps are only ever added.
const SQLITE: [&str; 2] =
    [include_str!("../migrations/sqlite-1.sql"), include_str!("../migrations/sqlite-2.sql")];
const POSTGRES: [&str; 1] = [include_str!("../migrations/postgres-1.sql")];
/// The lock under which one of several processes brings the schema up to date.
const MIGRATION_LOCK: i64 = 0x616e_6174;

/// Which database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Sqlite,
    Postgres,
}

/// The database.
#[derive(Clone, Debug)]
pub(super) struct Store {
    pub(super) pool: AnyPool,
    pub(super) kind: Kind,
}

/// A statement with its values.
pub(super) type Statement = Query<'static, Any, AnyArguments>;

/// A statement that we put together ourselves: of fixed text and `$n` alone, never of a stranger's words.
pub(super) fn statement(text: String) -> Statement {
    sqlx::query(AssertSqlSafe(text))
}

/// `($1, $2), ($3, $4)`: `rows` rows of `columns` values each.
pub(super) fn rows(rows: usize, columns: usize) -> String {
    rows_with(rows, columns, |_, number| format!("${number}"))
}

/// As [`rows`]; `column` may wrap a value (column from 0, number from 1).
pub(super) fn rows_with(rows: usize, columns: usize, column: impl Fn(usize, usize) -> String) -> String {
    let mut text = String::with_capacity(rows * columns * 6);
    for row in 0..rows {
        text.push_str(if row == 0 { "(" } else { ", (" });
        for at in 0..columns {
            if at > 0 {
                text.push_str(", ");
            }
            text.push_str(&column(at, row * columns + at + 1));
        }
        text.push(')');
    }
    text
}

/// `$first, …`: so many values.
pub(super) fn list(first: usize, count: usize) -> String {
    (first..first + count).map(|number| format!("${number}")).collect::<Vec<_>>().join(", ")
}

impl Store {
    /// Opens a SQLite file and makes it if it is not there.
    pub(super) async fn sqlite(path: &Path) -> Result<Self, sqlx::Error> {
        sqlx::any::install_default_drivers();
        let path = path.to_str().ok_or_else(|| {
            sqlx::Error::Configuration(
                "the path of the index is not Unicode; name another data folder".into(),
            )
        })?;
        let mut encoded = String::with_capacity(path.len());
        for byte in path.bytes() {
            if byte.is_ascii_alphanumeric() || b"/._-".contains(&byte) {
                encoded.push(char::from(byte));
            } else {
                encoded.push_str(&format!("%{byte:02X}"));
            }
        }
        let pool = AnyPoolOptions::new()
            .max_connections(4)
            .after_connect(|connection, _| {
                Box::pin(async move {
                    for pragma in [
                        "PRAGMA busy_timeout = 10000",
                        "PRAGMA journal_mode = WAL",
                        "PRAGMA synchronous = NORMAL",
                        // Pages in memory, in KiB, and as much of the file as the system likes to keep.
                        "PRAGMA cache_size = -65536",
                        "PRAGMA mmap_size = 2147483648",
                    ] {
                        sqlx::raw_sql(pragma).execute(&mut *connection).await?;
                    }
                    Ok(())
                })
            })
            .connect(&format!("sqlite://{encoded}?mode=rwc"))
            .await?;
        let store = Self { pool, kind: Kind::Sqlite };
        store.migrate(&SQLITE).await?;
        Ok(store)
    }

    /// Connects to PostgreSQL, `postgres://…`; the database must be there.
    pub(super) async fn postgres(url: &str) -> Result<Self, sqlx::Error> {
        sqlx::any::install_default_drivers();
        let pool = AnyPoolOptions::new()
            .max_connections(8)
            .acquire_timeout(Duration::from_secs(10))
            .connect(url)
            .await?;
        let store = Self { pool, kind: Kind::Postgres };
        store.migrate(&POSTGRES).await?;
        Ok(store)
    }

    async fn migrate(&self, steps: &[&'static str]) -> Result<(), sqlx::Error> {
        let mut transaction = self.pool.begin().await?;
        if self.kind == Kind::Postgres {
            sqlx::query("SELECT 1 AS one FROM (SELECT pg_advisory_xact_lock($1)) AS locked")
                .bind(MIGRATION_LOCK)
                .execute(&mut *transaction)
                .await?;
        }
        sqlx::raw_sql("CREATE TABLE IF NOT EXISTS schema_version (version BIGINT NOT NULL)")
            .execute(&mut *transaction)
            .await?;
        let version: Option<i64> = sqlx::query_scalar("SELECT MAX(version) AS version FROM schema_version")
            .fetch_one(&mut *transaction)
            .await?;
        let done = usize::try_from(version.unwrap_or(0)).unwrap_or(usize::MAX);
        if done > steps.len() {
            let reason =
                format!("the index is of version {done}, this program knows {} at most", steps.len());
            return Err(sqlx::Error::Configuration(reason.into()));
        }
        for (at, step) in steps.iter().enumerate().skip(done) {
            sqlx::raw_sql(*step).execute(&mut *transaction).await?;
            sqlx::query("INSERT INTO schema_version (version) VALUES ($1)")
                .bind(at as i64 + 1)
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await
    }

    /// Begins to write: takes `count` numbers for changes and returns them with the transaction. Whoever writes waits for
    /// whoever wrote before, so numbers become visible in their order and no follower of the feed misses one.
    pub(super) async fn write(
        &self,
        count: usize,
    ) -> Result<(Transaction<'static, Any>, std::ops::RangeInclusive<i64>), sqlx::Error> {
        let mut transaction = self.pool.begin().await?;
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        let last: i64 =
            sqlx::query_scalar("UPDATE counters SET value = value + $1 WHERE name = 'seq' RETURNING value")
                .bind(count)
                .fetch_one(&mut *transaction)
                .await?;
        Ok((transaction, last - count + 1..=last))
    }

    /// The name of this index, made with it: followers notice when it was lost.
    pub(super) async fn name(&self, random: [u8; 8]) -> Result<[u8; 8], sqlx::Error> {
        sqlx::query("INSERT INTO names (name, value) VALUES ('index', $1) ON CONFLICT (name) DO NOTHING")
            .bind(random.to_vec())
            .execute(&self.pool)
            .await?;
        let name: Vec<u8> =
            sqlx::query_scalar("SELECT value FROM names WHERE name = 'index'").fetch_one(&self.pool).await?;
        Ok(name.try_into().unwrap_or(random))
    }
}
