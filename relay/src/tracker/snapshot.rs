//! A snapshot of the classic peers in all swarms, so that a restart need not wait half an hour for their next announces.
//!
//! Browsers are not in it: they come back by themselves within seconds. Losing the file loses nothing that lasts.

use super::swarms::{Change, Swarms};
use crate::node::clock;
use crate::node::files::{self, Access};
use anatomic_core::InfoHash;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::broadcast::error::RecvError;
use tracing::warn;

/// Version of the format.
const VERSION: u32 = 1;
/// Longest snapshot that is read, in bytes.
const MAX_LENGTH: u64 = 256 * 1024 * 1024;
/// After a change, how long to wait for more before writing.
const GATHER: Duration = Duration::from_secs(2);
/// Writing takes at most one part in so many of the time.
const SHARE: u32 = 50;

/// A classic peer, as it is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct KeptPeer {
    /// Where it listens.
    pub address: SocketAddr,
    /// Whether it is a seed.
    pub seed: bool,
    /// Seconds since it was heard of.
    pub age: u64,
}

#[derive(Serialize, Deserialize)]
struct Snapshot {
    version: u32,
    written: anatomic_mesh::UnixTime,
    swarms: BTreeMap<String, Vec<KeptPeer>>,
}

/// Puts back what `path` holds, without those whose lifetime is over. A file that is not there is an empty one.
///
/// # Errors
/// When it cannot be read or understood; nothing is put back then.
pub fn restore(swarms: &Swarms, path: &Path) -> io::Result<()> {
    match std::fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
        Ok(found) if found.len() > MAX_LENGTH => return Err(io::Error::other("it is too long")),
        Ok(_) => {}
    }
    let snapshot: Snapshot = serde_json::from_slice(&std::fs::read(path)?)?;
    if snapshot.version != VERSION {
        return Err(io::Error::other(format!("it is of version {}, we write {VERSION}", snapshot.version)));
    }
    let down = clock::now().0.saturating_sub(snapshot.written.0);
    let now = Instant::now();
    for (hash, peers) in snapshot.swarms {
        let Some(info_hash) = InfoHash::from_hex(&hash) else { continue };
        for peer in peers {
            swarms.restore(now, info_hash, KeptPeer { age: peer.age.saturating_add(down), ..peer });
        }
    }
    Ok(())
}

/// Writes the snapshot.
///
/// # Errors
/// When the disk does not take it; the old one is untouched then.
pub fn write(swarms: &Swarms, path: &Path) -> io::Result<()> {
    let kept = swarms.classic_by_swarm(Instant::now());
    let swarms = kept.into_iter().map(|(hash, peers)| (hash.to_string(), peers)).collect();
    let snapshot = Snapshot { version: VERSION, written: clock::now(), swarms };
    files::write(path, &serde_json::to_vec(&snapshot)?, Access::Secret)
}

/// Runs until the end of the process: writes a snapshot soon after classic peers came or went.
pub async fn keep(swarms: Arc<Swarms>, path: PathBuf) {
    let mut changes = swarms.subscribe();
    loop {
        match changes.recv().await {
            Ok(change) if matches!(change.kind, Change::ClassicCame(_) | Change::ClassicWent(_)) => {}
            Err(RecvError::Lagged(_)) => {}
            Ok(_) => continue,
            Err(RecvError::Closed) => return,
        }
        tokio::time::sleep(GATHER).await;
        changes = changes.resubscribe();
        let (store, file, begun) = (swarms.clone(), path.clone(), Instant::now());
        if let Ok(Err(error)) = tokio::task::spawn_blocking(move || write(&store, &file)).await {
            warn!(%error, "the snapshot of the swarms could not be written");
        }
        tokio::time::sleep(begun.elapsed() * SHARE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::super::swarms::Limits;
    use super::*;

    #[test]
    fn peers_are_back_after_a_restart_unless_their_lifetime_is_over() {
        let folder = std::env::temp_dir().join(format!("anatomic-snapshot-{}", std::process::id()));
        let path = folder.join("swarms.json");
        let store = || Swarms::new(Limits::default(), 1);
        let (old, hash, now) = (store(), InfoHash([1; 20]), Instant::now());
        let peer =
            |port, age| KeptPeer { address: SocketAddr::from(([10, 0, 0, 1], port)), seed: port == 1, age };
        old.restore(now, hash, peer(1, 60));
        old.restore(now, hash, peer(2, 0));
        old.restore(now, hash, peer(3, 3 * 3600));
        assert_eq!(old.sizes(&hash).0, 2, "one was too old from the beginning");
        write(&old, &path).unwrap();

        let new = store();
        restore(&new, &path).unwrap();
        assert_eq!((new.sizes(&hash).0, new.counts(&hash).complete), (2, 1));
        new.expire(now + Duration::from_secs(39 * 60 + 30));
        assert_eq!(new.sizes(&hash).0, 1, "age goes on counting");

        std::fs::write(&path, "damaged").unwrap();
        assert!(restore(&store(), &path).is_err());
        assert!(restore(&store(), &folder.join("none")).is_ok());
        std::fs::remove_dir_all(folder).unwrap();
    }
}
