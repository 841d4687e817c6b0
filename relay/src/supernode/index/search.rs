//! Finding torrents: by words, the last proven alive first; and by info-hash.
//!
//! What words are is [`crate::supernode::words`]'s business. The work of a search is bounded whatever the words are.

use super::store::Kind;
use super::{DEAD_AFTER, Index, number, seconds, time};
use anatomic_core::{InfoHash, Sha256Hash};
use anatomic_mesh::counts::Peers;
use anatomic_mesh::{Listing, UnixTime};
use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row as _};

/// Up to so many torrents with the words are ordered by life; with more of them the living are walked instead.
const RARE: i64 = 10_000;
/// Most living torrents that are walked.
const WALK: i64 = 30_000;
const COLUMNS: &str =
    "t.info_hash, t.info_hash_v2, t.name, t.length, t.files, t.proven, t.unlisted, t.seed_seen,
    t.tab_seeds, t.tab_leeches, t.classic_seeds, t.classic_leeches";

/// What is known of a torrent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The v1 info-hash.
    pub info_hash: InfoHash,
    /// The v2 info-hash of a hybrid torrent.
    pub info_hash_v2: Option<Sha256Hash>,
    /// Its name.
    pub name: Option<String>,
    /// Bytes.
    pub length: Option<u64>,
    /// Files.
    pub files: Option<u64>,
    /// Whether the torrent file is known, and name, length and files are its own.
    pub proven: bool,
    /// Whether search may show it.
    pub listing: Listing,
    /// When a seed was last known to be alive.
    pub seed_seen: Option<UnixTime>,
    /// Browsers, as last reported.
    pub tabs: Peers,
    /// Other clients, as last reported.
    pub classic: Peers,
}

fn read(row: &AnyRow) -> Result<Row, sqlx::Error> {
    let hash: Vec<u8> = row.try_get(0)?;
    let v2: Option<Vec<u8>> = row.try_get(1)?;
    let unsigned = |value: Option<i64>| value.and_then(|value| u64::try_from(value).ok());
    let peers = |at: usize| -> Result<Peers, sqlx::Error> {
        Ok(Peers { seeds: number(row.try_get(at)?), leeches: number(row.try_get(at + 1)?) })
    };
    Ok(Row {
        info_hash: InfoHash(
            hash.try_into().map_err(|_| sqlx::Error::Decode("an info-hash of another length".into()))?,
        ),
        info_hash_v2: v2.and_then(|hash| hash.try_into().ok()),
        name: row.try_get(2)?,
        length: unsigned(row.try_get(3)?),
        files: unsigned(row.try_get(4)?),
        proven: row.try_get::<i64, _>(5)? == 1,
        listing: if row.try_get::<i64, _>(6)? == 0 { Listing::Listed } else { Listing::Unlisted },
        seed_seen: row.try_get::<Option<i64>, _>(7)?.map(time),
        tabs: peers(8)?,
        classic: peers(10)?,
    })
}

impl Index {
    pub(super) async fn row(&self, info_hash: &InfoHash) -> Result<Option<Row>, sqlx::Error> {
        let text = format!("SELECT {COLUMNS} FROM torrents AS t WHERE t.info_hash = $1");
        let row = sqlx::query(AssertSqlSafe(text))
            .bind(info_hash.0.to_vec())
            .fetch_optional(&self.store.pool)
            .await?;
        row.as_ref().map(read).transpose()
    }

    /// Listed torrents with all these words, of which a seed was alive in the last three days, the last proven first.
    ///
    /// # Errors
    /// When the index fails.
    pub async fn search(
        &self,
        words: &[String],
        limit: usize,
        offset: usize,
        now: UnixTime,
    ) -> Result<Vec<Row>, sqlx::Error> {
        if words.is_empty() {
            return Ok(Vec::new());
        }
        let cutoff = seconds(UnixTime(now.0.saturating_sub(DEAD_AFTER)));
        let (limit, offset) =
            (i64::try_from(limit).unwrap_or(i64::MAX), i64::try_from(offset).unwrap_or(i64::MAX));
        let rows = match self.store.kind {
            Kind::Postgres => {
                // The planner chooses between the words' index and a walk over the living by how common the words are.
                let query: Vec<String> = (4..4 + words.len()).map(|at| format!("${at}::tsquery")).collect();
                let query = query.join(" && ");
                let text = format!(
                    "SELECT {COLUMNS} FROM torrents AS t WHERE t.unlisted = 0 AND t.life > $1 AND t.words @@ ({query})
                     ORDER BY t.life DESC LIMIT $2 OFFSET $3"
                );
                // Not prepared for good: the plan depends on how common the words are.
                let query = sqlx::query(AssertSqlSafe(text)).persistent(false);
                let query = query.bind(cutoff).bind(limit).bind(offset);
                let query = words.iter().fold(query, |query, word| query.bind(format!("'{word}'")));
                query.fetch_all(&self.store.pool).await?
            }
            Kind::Sqlite => self.search_sqlite(words, limit, offset, cutoff).await?,
        };
        rows.iter().map(read).collect()
    }

    async fn search_sqlite(
        &self,
        words: &[String],
        limit: i64,
        offset: i64,
        cutoff: i64,
    ) -> Result<Vec<AnyRow>, sqlx::Error> {
        // Words hold letters and digits only, so the quotes cannot be closed from inside.
        let quoted: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
        let quoted = quoted.join(" ");
        let found: i64 = sqlx::query_scalar(
            "SELECT COUNT(*) AS n FROM (SELECT rowid FROM search WHERE search MATCH $1 LIMIT $2)",
        )
        .bind(quoted.clone())
        .bind(RARE + 1)
        .fetch_one(&self.store.pool)
        .await?;
        if found <= RARE {
            let text = format!(
                "SELECT {COLUMNS} FROM torrents AS t JOIN (
                   SELECT k.id AS id, k.life AS life FROM (SELECT rowid AS id FROM search WHERE search MATCH $1) AS m
                   CROSS JOIN torrents AS k INDEXED BY torrents_by_id ON k.id = m.id
                   WHERE k.unlisted = 0 AND k.life > $2 ORDER BY k.life DESC LIMIT $3 OFFSET $4
                 ) AS best ON best.id = t.id ORDER BY best.life DESC"
            );
            let query = sqlx::query(AssertSqlSafe(text)).bind(quoted).bind(cutoff).bind(limit).bind(offset);
            return query.fetch_all(&self.store.pool).await;
        }
        let has: Vec<String> = (5..5 + words.len()).map(|at| format!("instr(t.words, ${at}) > 0")).collect();
        let text = format!(
            "SELECT {COLUMNS} FROM (
               SELECT * FROM torrents WHERE unlisted = 0 AND life > $1 ORDER BY life DESC LIMIT $2
             ) AS t WHERE {} LIMIT $3 OFFSET $4",
            has.join(" AND ")
        );
        let query = sqlx::query(AssertSqlSafe(text)).bind(cutoff).bind(WALK).bind(limit).bind(offset);
        let query = words.iter().fold(query, |query, word| query.bind(format!(" {word} ")));
        query.fetch_all(&self.store.pool).await
    }
}
