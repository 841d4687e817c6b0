//! Taking torrents and receipts into the index, and which of them search may show.
//!
//! Whether they are true was checked before.

use super::store::{Kind, list, rows, rows_with, statement};
use super::{AWAITED, CHUNK, DEAD_AFTER, Entry, Index, TorrentRow, seconds};
use anatomic_core::InfoHash;
use anatomic_mesh::{Key, Listing, Receipt, Signed, UnixTime};
use sqlx::{Any, AssertSqlSafe, Row as _, Transaction};
use std::collections::{HashMap, HashSet};

impl Index {
    /// Takes torrents and receipts in one transaction. What is known already stays where an entry says nothing; receipts
    /// older than those known, or than a withdrawal, are left out.
    ///
    /// # Errors
    /// When the index fails; nothing of it was taken then.
    pub async fn put(&self, entries: Vec<Entry>, now: UnixTime) -> Result<(), sqlx::Error> {
        let mut torrents: HashMap<InfoHash, TorrentRow> = HashMap::new();
        let mut receipts: HashMap<(InfoHash, Key, Key), Signed<Receipt>> = HashMap::new();
        let mut order = Vec::new();
        for Entry { row, receipts: given } in entries {
            for receipt in given {
                let key = (receipt.info_hash, receipt.node, receipt.planter);
                if receipts.get(&key).is_none_or(|other| other.issued < receipt.issued) {
                    receipts.insert(key, receipt);
                }
            }
            match torrents.get_mut(&row.info_hash) {
                None => {
                    order.push(row.info_hash);
                    torrents.insert(row.info_hash, row);
                }
                Some(known) => {
                    if known.torrent.is_none() && row.torrent.is_some() {
                        *known = row;
                    }
                }
            }
        }
        let known: Vec<TorrentRow> = order.iter().filter_map(|hash| torrents.remove(hash)).collect();
        let mut receipts: Vec<Signed<Receipt>> = receipts.into_values().collect();
        receipts.sort_by_key(|receipt| (receipt.info_hash.0, receipt.node, receipt.planter));
        let (mut transaction, mut numbers) = self.store.write(receipts.len().max(1)).await?;
        self.drop_withdrawn(&mut transaction, &mut receipts).await?;
        let held: HashSet<InfoHash> = receipts.iter().map(|receipt| receipt.info_hash).collect();
        let hides = |receipt: &&Signed<Receipt>| receipt.listing == Listing::Unlisted;
        let mut hidden: HashSet<InfoHash> =
            receipts.iter().filter(hides).map(|receipt| receipt.info_hash).collect();
        let known: Vec<TorrentRow> = known.into_iter().filter(|row| held.contains(&row.info_hash)).collect();
        for chunk in known.chunks(CHUNK) {
            hidden.extend(self.put_rows(&mut transaction, chunk, now).await?);
        }
        for chunk in receipts.chunks(CHUNK) {
            let text = format!(
                "INSERT INTO receipts (info_hash, node, planter, receipt, url, issued, expires, unlisted, seq) VALUES {}
                 ON CONFLICT (info_hash, node, planter) DO UPDATE SET receipt = excluded.receipt, url = excluded.url,
                   issued = excluded.issued, expires = excluded.expires, unlisted = excluded.unlisted, seq = excluded.seq
                 WHERE excluded.issued > receipts.issued",
                rows(chunk.len(), 9)
            );
            let mut query = statement(text);
            for receipt in chunk {
                query = query
                    .bind(receipt.info_hash.0.to_vec())
                    .bind(receipt.node.0.to_vec())
                    .bind(receipt.planter.0.to_vec())
                    .bind(receipt.as_bytes().to_vec())
                    .bind(receipt.url.trim_end_matches('/').to_owned())
                    .bind(seconds(receipt.issued))
                    .bind(seconds(receipt.expires))
                    .bind(i64::from(receipt.listing == Listing::Unlisted))
                    .bind(numbers.next().unwrap_or(i64::MAX));
            }
            query.execute(&mut *transaction).await?;
        }
        for info_hash in &hidden {
            self.settle(&mut transaction, Some(info_hash)).await?;
        }
        transaction.commit().await
    }

    /// Hides a torrent, or all, that none of its planters shows any more, and shows what one of them does: the rule of
    /// [`Receipt::listing`].
    pub(super) async fn settle(
        &self,
        transaction: &mut Transaction<'static, Any>,
        only: Option<&InfoHash>,
    ) -> Result<(), sqlx::Error> {
        // Where nothing is hidden nothing changes: most torrents are not looked at.
        let which = match only {
            Some(_) => "info_hash = $1",
            None => "unlisted = 1 OR info_hash IN (SELECT info_hash FROM receipts WHERE unlisted = 1)",
        };
        let text = format!(
            "UPDATE torrents SET unlisted = CASE WHEN EXISTS (
               SELECT 1 FROM receipts AS shown WHERE shown.info_hash = torrents.info_hash AND NOT EXISTS (
                 SELECT 1 FROM receipts AS hidden WHERE hidden.info_hash = shown.info_hash
                   AND hidden.planter = shown.planter AND hidden.unlisted = 1)
             ) THEN 0 ELSE 1 END WHERE {which}"
        );
        let mut query = sqlx::query(AssertSqlSafe(text));
        if let Some(only) = only {
            query = query.bind(only.0.to_vec());
        }
        query.execute(&mut **transaction).await.map(|_| ())
    }

    /// Leaves out receipts that their planter withdrew later.
    async fn drop_withdrawn(
        &self,
        transaction: &mut Transaction<'static, Any>,
        receipts: &mut Vec<Signed<Receipt>>,
    ) -> Result<(), sqlx::Error> {
        let mut withdrawn: HashMap<(Vec<u8>, Vec<u8>), i64> = HashMap::new();
        for chunk in receipts.chunks(CHUNK) {
            let text = format!(
                "SELECT info_hash, planter, issued FROM withdrawals WHERE info_hash IN ({})",
                list(1, chunk.len())
            );
            let query =
                chunk.iter().fold(statement(text), |query, receipt| query.bind(receipt.info_hash.0.to_vec()));
            for row in query.fetch_all(&mut **transaction).await? {
                withdrawn.insert((row.try_get(0)?, row.try_get(1)?), row.try_get(2)?);
            }
        }
        receipts.retain(|receipt| {
            let key = (receipt.info_hash.0.to_vec(), receipt.planter.0.to_vec());
            withdrawn.get(&key).is_none_or(|at| seconds(receipt.wished()) > *at)
        });
        Ok(())
    }

    /// Writes torrents down; returns those that are hidden so far.
    async fn put_rows(
        &self,
        transaction: &mut Transaction<'static, Any>,
        chunk: &[TorrentRow],
        now: UnixTime,
    ) -> Result<Vec<InfoHash>, sqlx::Error> {
        let postgres = self.store.kind == Kind::Postgres;
        let values = rows_with(chunk.len(), 10, |column, number| match column {
            9 if postgres => format!("array_to_tsvector(string_to_array(${number}, ' '))"),
            _ => format!("${number}"),
        });
        let returning = if postgres { "info_hash, unlisted" } else { "info_hash, unlisted, id" };
        // A proven name is not replaced by a claimed one: proven ones come with the torrent file.
        let text = format!(
            "INSERT INTO torrents (info_hash, info_hash_v2, name, length, files, proven, unlisted, added, life, words)
             VALUES {values}
             ON CONFLICT (info_hash) DO UPDATE SET
               info_hash_v2 = COALESCE(excluded.info_hash_v2, torrents.info_hash_v2),
               name = CASE WHEN excluded.proven = 1 OR torrents.name IS NULL THEN excluded.name ELSE torrents.name END,
               length = CASE WHEN excluded.proven = 1 OR torrents.length IS NULL THEN excluded.length ELSE torrents.length END,
               files = COALESCE(excluded.files, torrents.files),
               words = CASE WHEN excluded.proven = 1 OR torrents.name IS NULL THEN excluded.words ELSE torrents.words END,
               proven = CASE WHEN excluded.proven = 1 THEN 1 ELSE torrents.proven END
             RETURNING {returning}"
        );
        let mut query = statement(text);
        for row in chunk {
            query = query
                .bind(row.info_hash.0.to_vec())
                .bind(row.info_hash_v2.map(|hash| hash.to_vec()))
                .bind(row.name.clone())
                .bind(row.length.and_then(|length| i64::try_from(length).ok()))
                .bind(row.files.and_then(|files| i64::try_from(files).ok()))
                .bind(i64::from(row.torrent.is_some()))
                // Shown, unless the receipts say otherwise: see `settle`.
                .bind(0_i64)
                .bind(seconds(now))
                // Ordered as if its last seed had gone so long ago that a day is left.
                .bind(seconds(UnixTime(now.0.saturating_sub(DEAD_AFTER - AWAITED))))
                .bind(if postgres { row.words.join(" ") } else { format!(" {} ", row.words.join(" ")) });
        }
        let written = query.fetch_all(&mut **transaction).await?;
        let mut hidden = Vec::new();
        for row in &written {
            if row.try_get::<i64, _>(1)? == 1 {
                let hash: Vec<u8> = row.try_get(0)?;
                hidden.extend(<[u8; 20]>::try_from(hash).map(InfoHash));
            }
        }
        if !postgres {
            let mut found: Vec<i64> = Vec::with_capacity(written.len());
            for row in &written {
                found.push(row.try_get(2)?);
            }
            // The words as they now are: a claimed name may have had to give way to a proven one.
            let text = format!(
                "INSERT OR REPLACE INTO search (rowid, words) SELECT id, words FROM torrents WHERE id IN ({})",
                list(1, found.len())
            );
            let query = found.iter().fold(statement(text), |query, id| query.bind(*id));
            query.execute(&mut **transaction).await?;
        }
        let files: Vec<(&InfoHash, &Vec<u8>)> =
            chunk.iter().filter_map(|row| Some((&row.info_hash, row.torrent.as_ref()?))).collect();
        if !files.is_empty() {
            let text = format!(
                "INSERT INTO torrent_files (info_hash, torrent) VALUES {} ON CONFLICT (info_hash) DO NOTHING",
                rows(files.len(), 2)
            );
            let query = files.iter().fold(statement(text), |query, (hash, torrent)| {
                query.bind(hash.0.to_vec()).bind((*torrent).clone())
            });
            query.execute(&mut **transaction).await?;
        }
        Ok(hidden)
    }
}
