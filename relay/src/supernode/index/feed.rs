//! Reading the feed: what changed in the index, by rising number.
//!
//! Signing and serving pages is [`crate::supernode::federation`]'s business.

use super::Index;
use anatomic_mesh::api::{FeedEntry, FeedKind, HexBytes, TorrentFile};
use sqlx::Row as _;

/// A page ends once its torrents are larger than this together, in bytes.
const MAX_BYTES: usize = 1_000_000;

/// An entry by its number, its kind, its signed bytes and what it is about.
type Found = (i64, FeedKind, Vec<u8>, Option<Vec<u8>>);

impl Index {
    /// Up to `count` changes after `since`, the number up to which all were looked at, and whether there are more.
    /// Unlisted torrents are left out.
    ///
    /// # Errors
    /// When the index fails.
    pub async fn changes(
        &self,
        since: i64,
        count: usize,
    ) -> Result<(Vec<FeedEntry>, i64, bool), sqlx::Error> {
        let limit = i64::try_from(count).unwrap_or(i64::MAX).saturating_add(1);
        let last: i64 = sqlx::query_scalar("SELECT value FROM counters WHERE name = 'seq'")
            .fetch_one(&self.store.pool)
            .await?;
        let mut found: Vec<Found> = Vec::new();
        for (kind, text) in [
            (
                FeedKind::Receipt,
                "SELECT seq, receipt, info_hash FROM receipts WHERE seq > $1 AND seq <= $2 AND NOT EXISTS (
                   SELECT 1 FROM torrents WHERE torrents.info_hash = receipts.info_hash AND torrents.unlisted = 1)
                 AND unlisted = 0 ORDER BY seq LIMIT $3",
            ),
            (
                FeedKind::Withdrawal,
                "SELECT seq, statement, info_hash FROM withdrawals WHERE seq > $1 AND seq <= $2 ORDER BY seq LIMIT $3",
            ),
            (
                FeedKind::Counts,
                "SELECT seq, statement, node FROM counts WHERE seq > $1 AND seq <= $2 ORDER BY seq LIMIT $3",
            ),
        ] {
            let rows =
                sqlx::query(text).bind(since).bind(last).bind(limit).fetch_all(&self.store.pool).await?;
            for row in rows {
                let about = (kind == FeedKind::Receipt).then(|| row.try_get(2)).transpose()?;
                found.push((row.try_get(0)?, kind, row.try_get(1)?, about));
            }
        }
        found.sort_by_key(|(seq, ..)| *seq);
        let mut more = found.len() > count;
        found.truncate(count);
        let mut entries: Vec<FeedEntry> = Vec::with_capacity(found.len());
        let mut size = 0;
        let mut next = if more { since } else { last };
        for (seq, kind, statement, about) in found {
            if size > MAX_BYTES {
                (more, next) =
                    (true, entries.last().map_or(since, |entry| i64::try_from(entry.seq).unwrap_or(since)));
                break;
            }
            let mut entry = FeedEntry {
                seq: u64::try_from(seq).unwrap_or(0),
                kind,
                statement: HexBytes(statement),
                torrent: None,
                name: None,
                length: None,
            };
            if let Some(hash) = about {
                self.describe(&mut entry, hash).await?;
            }
            size += entry.statement.0.len() + entry.torrent.as_ref().map_or(0, |torrent| torrent.0.len());
            if more {
                next = seq;
            }
            entries.push(entry);
        }
        Ok((entries, next, more))
    }

    async fn describe(&self, entry: &mut FeedEntry, info_hash: Vec<u8>) -> Result<(), sqlx::Error> {
        let torrent: Option<Vec<u8>> =
            sqlx::query_scalar("SELECT torrent FROM torrent_files WHERE info_hash = $1")
                .bind(info_hash.clone())
                .fetch_optional(&self.store.pool)
                .await?;
        if let Some(torrent) = torrent {
            entry.torrent = Some(TorrentFile(torrent));
            return Ok(());
        }
        let row = sqlx::query("SELECT name, length FROM torrents WHERE info_hash = $1")
            .bind(info_hash)
            .fetch_optional(&self.store.pool)
            .await?;
        if let Some(row) = row {
            entry.name = row.try_get(0)?;
            entry.length = row.try_get::<Option<i64>, _>(1)?.and_then(|length| u64::try_from(length).ok());
        }
        Ok(())
    }
}
