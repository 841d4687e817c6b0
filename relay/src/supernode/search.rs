//! Search for people, and the health of a torrent.
//!
//! How rows are found is the index's business; what they look like in JSON is `anatomic_mesh::api`'s.

use super::{Supernode, failed, words};
use anatomic_core::{InfoHash, Magnet};
use anatomic_mesh::api::{Found, Health, Hit, Problem, codes};

/// Most torrents of one answer.
const MAX_HITS: usize = 100;
/// The last torrent that can be reached by an offset.
const MAX_OFFSET: usize = 10_000;
/// Longest query in bytes.
const MAX_QUERY: usize = 1_000;

impl Supernode {
    /// Torrents whose name and files have all the words of `query`, the last proven alive first.
    ///
    /// # Errors
    /// When the query has no word or is too long, or the index fails.
    pub async fn search(&self, query: &str, limit: usize, offset: usize) -> Result<Found, Problem> {
        if query.len() > MAX_QUERY || offset > MAX_OFFSET {
            return Err(Problem::new(codes::MALFORMED, "the search is too long or goes too far"));
        }
        let words = words::query(query);
        if words.is_empty() {
            return Err(Problem::new(codes::MALFORMED, "a search has at least one word: ?q=WORDS"));
        }
        let now = self.index.now();
        let limit = limit.clamp(1, MAX_HITS);
        let rows = self.index.search(&words, limit + 1, offset, now).await.map_err(|error| failed(&error))?;
        let more = rows.len() > limit;
        let shown = rows.into_iter().take(limit).filter(|row| !self.is_blocked(&row.info_hash));
        let hit = |row: super::index::SearchRow| {
            let magnet = Magnet {
                info_hash_v2: row.info_hash_v2,
                name: row.name.clone(),
                length: row.length,
                supernodes: vec![self.url.clone()],
                ..Magnet::new(row.info_hash)
            };
            Hit {
                info_hash: row.info_hash,
                name: row.name,
                length: row.length,
                files: row.files,
                magnet: magnet.to_string(),
                tabs: row.tabs,
                classic: row.classic,
                seed_seen: row.seed_seen.map(|seen| now.0.saturating_sub(seen.0)),
            }
        };
        Ok(Found { supernode: self.key(), hits: shown.map(hit).collect(), more })
    }

    /// How a torrent fares: its nodes are asked just now. `None` if it is not indexed.
    ///
    /// # Errors
    /// When the index fails.
    pub async fn health(&self, info_hash: &InfoHash) -> Result<Option<Health>, Problem> {
        let Some(lookup) = self.lookup(info_hash).await? else { return Ok(None) };
        let nodes = lookup.nodes.clone();
        let client = crate::node::client::new(crate::planter::health::PATIENCE)
            .map_err(|reason| Problem::new(codes::INTERNAL, reason))?;
        let asked = crate::planter::health::ask_nodes(&client, info_hash, nodes).await;
        Ok(Some(Health::new(*info_hash, &[lookup], &asked, self.index.now())))
    }
}
