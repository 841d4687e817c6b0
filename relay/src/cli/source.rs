//! What people type for a torrent (`X`): a file, a link, a magnet, an info-hash, an address; made into what it names.
//!
//! Fetches a torrent file or asks a supernode where the text says so; touches no swarm.

use super::{Failure, known};
use crate::announce::bounded;
use anatomic_core::metainfo::Metainfo;
use anatomic_core::{InfoHash, Link, Magnet};
use anatomic_engine::TorrentSource;
use anatomic_mesh::api::{Lookup, paths};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Longest torrent file that is read, in bytes.
const MAX_TORRENT: usize = 32 * 1024 * 1024;
/// Longest answer of a supernode that is read, in bytes.
const MAX_LOOKUP: usize = 1024 * 1024;
/// Time for a torrent file to come.
const FETCH_TIMEOUT: Duration = Duration::from_secs(60);
/// Time for a supernode to answer; where the link names nodes itself, it is only asked for more.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);

/// Finds out what `text` names.
///
/// # Errors
/// Why it names no torrent, or why that could not be fetched.
pub async fn torrent(text: &str) -> Result<TorrentSource, Failure> {
    let path = Path::new(text);
    if path.is_file() {
        return read(path).map(|metainfo| TorrentSource::Metainfo(Arc::new(metainfo)));
    }
    let magnet = match Link::parse(text) {
        Ok(Link::Magnet(magnet) | Link::Planted { magnet, .. }) => with_supernodes(magnet).await,
        Ok(Link::Short { origin, info_hash }) => {
            let magnet = lookup(&origin, info_hash).await.map_err(|reason| {
                Failure::new(format!("{origin} does not tell where this torrent is: {reason}"))
            })?;
            with_supernodes(magnet).await
        }
        Ok(Link::Url(url)) => {
            let bytes = fetch(&url, MAX_TORRENT, FETCH_TIMEOUT)
                .await
                .map_err(|reason| Failure::new(format!("cannot fetch {url}: {reason}")))?;
            let metainfo = Metainfo::from_torrent(&bytes)
                .map_err(|error| Failure::new(format!("{url} cannot be used: {error}")))?;
            return Ok(TorrentSource::Metainfo(Arc::new(metainfo)));
        }
        Err(_) if path.is_dir() => {
            return Err(Failure::new(format!(
                "{text} is a folder; give a .torrent file, a link or a magnet"
            )));
        }
        Err(anatomic_core::magnet::LinkError::Unknown) => {
            return Err(Failure::new(format!(
                "{text}: no such file, and neither a link, a magnet nor an info-hash"
            )));
        }
        Err(error) => return Err(Failure::new(error)),
    };
    Ok(TorrentSource::Magnet(Box::new(magnet)))
}

fn read(path: &Path) -> Result<Metainfo, Failure> {
    let cannot = |reason: String| Failure::new(format!("{} cannot be used: {reason}", path.display()));
    let length = std::fs::metadata(path).map_err(|error| cannot(error.to_string()))?.len();
    if length > MAX_TORRENT as u64 {
        return Err(cannot("it is too large for a torrent file".into()));
    }
    let bytes = std::fs::read(path).map_err(|error| cannot(error.to_string()))?;
    Metainfo::from_torrent(&bytes).map_err(|error| cannot(error.to_string()))
}

/// Asks the supernodes that a link names for further nodes, all at once; what they do not know does no harm.
async fn with_supernodes(mut magnet: Magnet) -> Magnet {
    let asked = if magnet.supernodes.is_empty() && magnet.trackers.is_empty() {
        // The link names nobody: perhaps those know it who answered before.
        known::supernodes(&[], &[], None)
    } else {
        magnet.supernodes.iter().take(4).cloned().collect()
    };
    let answers = asked.iter().map(|origin| lookup(origin, magnet.info_hash));
    let answers = futures_util::future::join_all(answers).await;
    if !magnet.supernodes.is_empty() {
        let answered = asked.iter().zip(&answers).filter(|(_, answer)| answer.is_ok());
        known::remember(answered.map(|(origin, _)| (origin.as_str(), true)), None);
    }
    for known in answers.into_iter().flatten() {
        for url in known.trackers {
            if !magnet.trackers.contains(&url) {
                magnet.trackers.push(url);
            }
        }
    }
    magnet
}

/// What a supernode or node knows of a torrent.
async fn lookup(origin: &str, info_hash: InfoHash) -> Result<Magnet, String> {
    let url = format!("{}{}/{info_hash}", origin.trim_end_matches('/'), paths::TORRENTS);
    let body = fetch(&url, MAX_LOOKUP, LOOKUP_TIMEOUT).await?;
    let lookup: Lookup =
        serde_json::from_slice(&body).map_err(|_| "its answer is not understood".to_owned())?;
    let magnet = Magnet::parse(&lookup.magnet).map_err(|error| error.to_string())?;
    if magnet.info_hash == info_hash { Ok(magnet) } else { Err("it answers for another torrent".into()) }
}

/// Fetches what the user named; their own network is theirs to name.
async fn fetch(url: &str, limit: usize, timeout: Duration) -> Result<Vec<u8>, String> {
    let client = crate::tls::http()
        .user_agent(concat!("Anatomic/", env!("CARGO_PKG_VERSION")))
        .timeout(timeout)
        .build()
        .map_err(|error| error.to_string())?;
    let response = client.get(url).send().await.map_err(|error| crate::announce::words(&error))?;
    if !response.status().is_success() {
        return Err(format!("it answers {}", response.status()));
    }
    bounded(response, limit).await
}
