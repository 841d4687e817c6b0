//! A snapshot of the classic peers in all swarms, so that a restart need not wait half an hour for their next announces.
//!
//! Browsers are not in it: they come back by themselves within seconds. Losing the file loses nothing that lasts.

use super::peers::{Address, State, V4, V6};
use super::swarms::{Change, Swarms, lock};
use crate::node::clock;
use crate::node::files::{self, Access};
use anatomic_core::InfoHash;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::broadcast::error::RecvError;
use tracing::warn;

/// What the file begins with: name and version of the format.
const HEAD: &[u8; 18] = b"anatomic swarms 2\n";
/// Longest snapshot that is read, in bytes.
const MAX_LENGTH: u64 = 512 * 1024 * 1024;
/// After a change, how long to wait for more before writing.
const GATHER: Duration = Duration::from_secs(2);
/// After so long without a change it is written nevertheless: peers were heard of again.
const REFRESH: Duration = Duration::from_secs(45);
/// Writing takes at most one part in so many of the time.
const SHARE: u32 = 50;

/// A classic peer, as it is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeptPeer {
    /// Where it listens.
    pub address: SocketAddr,
    /// Whether it is a seed.
    pub seed: bool,
    /// Seconds since it was heard of.
    pub age: u64,
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
    let bytes = std::fs::read(path)?;
    let damaged = || io::Error::other("it is damaged, or of another version");
    let (written, rest) = bytes.strip_prefix(HEAD).and_then(<[u8]>::split_first_chunk).ok_or_else(damaged)?;
    // Once to the end before anything is believed.
    walk(rest, |_, _| {}).ok_or_else(damaged)?;
    let down = clock::now().0.saturating_sub(u64::from_be_bytes(*written));
    let now = Instant::now();
    walk(rest, |info_hash, peer| {
        swarms.restore(now, info_hash, KeptPeer { age: peer.age.saturating_add(down), ..peer });
    });
    Ok(())
}

/// Gives every peer of a snapshot to `take`; `None` if it breaks off.
fn walk(mut rest: &[u8], mut take: impl FnMut(InfoHash, KeptPeer)) -> Option<()> {
    fn cut<'a, const N: usize>(rest: &mut &'a [u8]) -> Option<&'a [u8; N]> {
        let (first, behind) = rest.split_first_chunk()?;
        *rest = behind;
        Some(first)
    }
    let state = |rest: &mut &[u8], address: SocketAddr| {
        let state = u32::from_be_bytes(*cut(rest)?);
        Some(KeptPeer { address, seed: state & 1 == 1, age: u64::from(state >> 1) })
    };
    while !rest.is_empty() {
        let info_hash = InfoHash(*cut(&mut rest)?);
        let (v4, v6) = (u32::from_be_bytes(*cut(&mut rest)?), u32::from_be_bytes(*cut(&mut rest)?));
        for _ in 0..v4 {
            let address = cut::<6>(&mut rest)?.unpack();
            take(info_hash, state(&mut rest, address)?);
        }
        for _ in 0..v6 {
            let address = cut::<18>(&mut rest)?.unpack();
            take(info_hash, state(&mut rest, address)?);
        }
    }
    Some(())
}

/// Writes the snapshot, a part of the store after the other: it takes little memory and holds up nobody.
///
/// # Errors
/// When the disk does not take it; the old one is untouched then.
pub fn write(swarms: &Swarms, path: &Path) -> io::Result<()> {
    files::write_by(path, Access::Secret, |file| {
        file.write_all(HEAD)?;
        file.write_all(&clock::now().0.to_be_bytes())?;
        let mut part = Vec::new();
        for number in 0..Swarms::PARTS {
            part.clear();
            swarms.write_part(number, Instant::now(), &mut part);
            file.write_all(&part)?;
        }
        Ok(())
    })
}

impl Swarms {
    /// Appends the classic peers of one part of the store.
    fn write_part(&self, number: usize, now: Instant, into: &mut Vec<u8>) {
        let Some(shard) = self.shards.get(number) else { return };
        let now = self.second(now);
        let row = |into: &mut Vec<u8>, address: &[u8], state: State| {
            into.extend_from_slice(address);
            let age = now.saturating_sub(state.second()).min(u32::MAX >> 1);
            into.extend_from_slice(&State::new(age, state.seed()).bits().to_be_bytes());
        };
        for (info_hash, swarm) in &lock(shard).swarms {
            let v6 = swarm.classic.v6();
            let count = |count| u32::try_from(count).unwrap_or(u32::MAX).to_be_bytes();
            if swarm.classic_len() == 0 {
                continue;
            }
            into.extend_from_slice(info_hash.as_bytes());
            into.extend_from_slice(&count(swarm.classic.v4.len()));
            into.extend_from_slice(&count(v6.map_or(0, super::peers::Peers::<V6>::len)));
            swarm.classic.v4.iter().for_each(|(address, state): (&V4, _)| row(into, address, state));
            for (address, state) in v6.iter().flat_map(|peers| peers.iter()) {
                row(into, address, state);
            }
        }
    }
}

/// Runs until the end of the process: writes a snapshot soon after classic peers came or went.
pub async fn keep(swarms: Arc<Swarms>, path: PathBuf) {
    keep_every(REFRESH, swarms, path).await;
}

async fn keep_every(period: Duration, swarms: Arc<Swarms>, path: PathBuf) {
    let mut changes = swarms.subscribe();
    let mut refresh = tokio::time::Instant::now() + period;
    loop {
        let change = tokio::time::timeout_at(refresh, changes.recv()).await;
        match change {
            Ok(Ok(change)) if matches!(change.kind, Change::ClassicCame(_) | Change::ClassicWent(_)) => {
                tokio::time::sleep(GATHER).await;
            }
            Ok(Err(RecvError::Lagged(_))) => tokio::time::sleep(GATHER).await,
            Ok(Ok(_)) => continue,
            Ok(Err(RecvError::Closed)) => return,
            Err(_) if swarms.totals().1 == 0 => {
                refresh = tokio::time::Instant::now() + period;
                continue;
            }
            Err(_) => {}
        }
        changes = changes.resubscribe();
        let (store, file, begun) = (swarms.clone(), path.clone(), Instant::now());
        if let Ok(Err(error)) = tokio::task::spawn_blocking(move || write(&store, &file)).await {
            warn!(%error, "the snapshot of the swarms could not be written");
        }
        tokio::time::sleep(begun.elapsed() * SHARE).await;
        refresh = tokio::time::Instant::now() + period;
    }
}

#[cfg(test)]
mod tests {
    use super::super::swarms::Limits;
    use super::*;

    #[tokio::test]
    async fn peers_that_were_only_heard_of_again_are_written_all_the_same() {
        let path = std::env::temp_dir().join(format!("anatomic-snapshot-again-{}", std::process::id()));
        let store = Arc::new(Swarms::new(Limits::default(), 1));
        let period = Duration::from_millis(300);
        let keeping = tokio::spawn(keep_every(period, store.clone(), path.clone()));
        tokio::time::sleep(period * 2).await;
        assert!(!path.exists(), "there is nothing");
        let address = SocketAddr::from(([10, 0, 0, 1], 1));
        // Nobody is told of a peer that is put back, as of one that announces again.
        store.restore(Instant::now(), InfoHash([1; 20]), KeptPeer { address, seed: true, age: 0 });
        let written = async {
            while !path.exists() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), written).await.unwrap();
        let new = Swarms::new(Limits::default(), 1);
        restore(&new, &path).unwrap();
        assert_eq!(new.sizes(&InfoHash([1; 20])).0, 1);
        keeping.abort();
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn peers_are_back_after_a_restart_unless_their_lifetime_is_over() {
        let folder = std::env::temp_dir().join(format!("anatomic-snapshot-{}", std::process::id()));
        let path = folder.join("swarms");
        let store = || Swarms::new(Limits::default(), 1);
        let (old, hash, now) = (store(), InfoHash([1; 20]), Instant::now());
        let peer =
            |port, age| KeptPeer { address: SocketAddr::from(([10, 0, 0, 1], port)), seed: port == 1, age };
        old.restore(now, hash, peer(1, 60));
        old.restore(now, hash, peer(2, 0));
        old.restore(now, hash, peer(3, 3 * 3600));
        let v6 = KeptPeer { address: "[2001:db8::1]:6".parse().unwrap(), seed: false, age: 0 };
        old.restore(now, InfoHash([2; 20]), v6);
        assert_eq!(old.sizes(&hash).0, 2, "one was too old from the beginning");
        write(&old, &path).unwrap();

        let new = store();
        restore(&new, &path).unwrap();
        assert_eq!((new.sizes(&hash).0, new.counts(&hash).complete), (2, 1));
        assert_eq!(new.classic_peers(&InfoHash([2; 20]), 9), [v6.address]);
        new.expire(now + Duration::from_secs(39 * 60 + 30));
        assert_eq!(new.sizes(&hash).0, 1, "age goes on counting");

        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() - 1]).unwrap();
        let broken = store();
        assert!(restore(&broken, &path).is_err());
        assert_eq!(broken.totals(), (0, 0), "nothing of a broken snapshot is believed");
        std::fs::write(&path, "damaged").unwrap();
        assert!(restore(&store(), &path).is_err());
        assert!(restore(&store(), &folder.join("none")).is_ok());
        std::fs::remove_dir_all(folder).unwrap();
    }
}
