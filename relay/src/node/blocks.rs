//! Which torrents this host does not serve: its own list and those it subscribed to.
//!
//! The own list is a file of the data folder that `anatomic block` writes and a running process watches; others' come
//! signed over HTTP. Tracker, planting, bridge and supernode ask [`Blocks::blocks`]; they act on it themselves.

use super::{client, clock, files};
use anatomic_core::InfoHash;
use anatomic_mesh::api::{BlockList, paths};
use anatomic_mesh::blocks::{BlockHead, Blocked, MAX_ENTRIES, digest};
use anatomic_mesh::{Identity, Key, Signed};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};
use tokio::sync::watch;
use tracing::{info, warn};

/// How often the own list's file is looked at.
const LOOK: Duration = Duration::from_millis(300);
/// How long a list waits for a change before it answers all the same, in seconds.
pub const MAX_WAIT: u64 = 55;
/// Longest list that is read, in bytes.
const MAX_LIST: usize = 16_000_000;
/// After a list could not be read.
const RETRY: Duration = Duration::from_secs(30);

/// The own list, as the data folder keeps it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnList {
    /// Rises with every change.
    pub version: u64,
    /// In rising order.
    pub entries: BTreeSet<Blocked>,
}

impl OwnList {
    /// Where it lies in a data folder.
    #[must_use]
    pub fn path(folder: &Path) -> PathBuf {
        folder.join("blocks.json")
    }

    /// Reads it; one that is not there is empty.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn load(folder: &Path) -> io::Result<Self> {
        match std::fs::read(Self::path(folder)) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(io::Error::other),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error),
        }
    }

    /// Writes it as the next version.
    ///
    /// # Errors
    /// When the disk does not take it, or it has too many entries.
    pub fn save(&mut self, folder: &Path) -> io::Result<()> {
        if self.entries.len() > MAX_ENTRIES {
            return Err(io::Error::other(format!("a block list has at most {MAX_ENTRIES} entries")));
        }
        self.version += 1;
        let json = serde_json::to_vec_pretty(self).map_err(io::Error::other)?;
        files::write(&Self::path(folder), &json, files::Access::Default)
    }
}

/// A list of somebody else's to follow: `https://host`, and the key that must have signed it after `#`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// Scheme and host.
    pub url: String,
    /// Who keeps it; `None`: whoever answers there first.
    pub owner: Option<Key>,
}

impl std::str::FromStr for Subscription {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (url, owner) = match text.split_once('#') {
            Some((url, key)) => (url, Some(key.parse().map_err(|error| format!("{key}: {error}"))?)),
            None => (text, None),
        };
        if url.starts_with("https://") || url.starts_with("http://") {
            Ok(Self { url: url.trim_end_matches('/').to_owned(), owner })
        } else {
            Err("write it as https://host or https://host#KEY".into())
        }
    }
}

#[derive(Default)]
struct State {
    own: OwnList,
    others: HashMap<String, Vec<Blocked>>,
    all: HashSet<Blocked>,
}

/// The lists of this host.
pub struct Blocks {
    folder: PathBuf,
    identity: Identity,
    state: RwLock<State>,
    changes: watch::Sender<u64>,
}

impl Blocks {
    /// Reads the own list.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn open(folder: &Path, identity: Identity) -> io::Result<Arc<Self>> {
        let own = OwnList::load(folder)?;
        let state = State { all: own.entries.iter().copied().collect(), own, others: HashMap::new() };
        Ok(Arc::new(Self {
            folder: folder.to_owned(),
            identity,
            state: RwLock::new(state),
            changes: watch::channel(0).0,
        }))
    }

    /// Whether a list names this torrent.
    #[must_use]
    pub fn blocks(&self, info_hash: &InfoHash) -> bool {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        !state.all.is_empty() && state.all.contains(&Blocked::of(info_hash))
    }

    /// How many torrents are named.
    #[must_use]
    pub fn count(&self) -> usize {
        self.state.read().unwrap_or_else(PoisonError::into_inner).all.len()
    }

    /// Tells of every change from now on.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// The own list, signed. `None` if signing fails, which it cannot with our own key.
    #[must_use]
    pub fn own(&self) -> Option<BlockList> {
        let own = self.state.read().unwrap_or_else(PoisonError::into_inner).own.clone();
        let entries: Vec<Blocked> = own.entries.into_iter().collect();
        let head = BlockHead {
            owner: self.identity.key(),
            version: own.version,
            count: entries.len() as u64,
            digest: digest(&entries),
            issued: clock::now(),
        };
        Some(BlockList { head: Signed::new(head, &self.identity).ok()?, entries })
    }

    /// The own list once it is later than `since`, or after `wait` seconds as it is.
    pub async fn own_after(&self, since: Option<u64>, wait: u64) -> Option<BlockList> {
        let mut changes = self.subscribe();
        let later = || {
            let version = self.state.read().unwrap_or_else(PoisonError::into_inner).own.version;
            since.is_none_or(|since| version > since)
        };
        let change = async { while !later() && changes.changed().await.is_ok() {} };
        let _ = tokio::time::timeout(Duration::from_secs(wait.min(MAX_WAIT)), change).await;
        self.own()
    }

    fn update(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        change(&mut state);
        let State { own, others, .. } = &*state;
        let all = own.entries.iter().chain(others.values().flatten()).copied().collect();
        state.all = all;
        drop(state);
        self.changes.send_modify(|number| *number += 1);
    }

    /// Runs until the end of the process: takes the own list in whenever its file changes.
    pub async fn watch_forever(self: Arc<Self>) {
        let path = OwnList::path(&self.folder);
        let mark = |path: &Path| -> Option<(SystemTime, u64)> {
            let found = std::fs::metadata(path).ok()?;
            Some((found.modified().ok()?, found.len()))
        };
        let mut last = None;
        let mut timer = tokio::time::interval(LOOK);
        timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            timer.tick().await;
            let now = mark(&path);
            if now == last {
                continue;
            }
            match OwnList::load(&self.folder) {
                Ok(own) => {
                    let known = self.state.read().unwrap_or_else(PoisonError::into_inner).own == own;
                    if !known {
                        info!(entries = own.entries.len(), "the block list changed");
                        self.update(|state| state.own = own);
                    }
                    last = now;
                }
                Err(error) => {
                    warn!(file = %path.display(), %error, "the block list cannot be read; the last one stays");
                    last = now;
                }
            }
        }
    }

    /// Runs until the end of the process: follows somebody else's list.
    pub async fn follow_forever(self: Arc<Self>, subscription: Subscription) {
        let Ok(client) = client::new(Duration::from_secs(MAX_WAIT + 10)) else { return };
        let Subscription { url, mut owner } = subscription;
        let mut version: Option<u64> = None;
        loop {
            let since =
                version.map_or_else(String::new, |version| format!("?since={version}&wait={MAX_WAIT}"));
            let request = client.get(format!("{url}{}{since}", paths::BLOCKS));
            let answer = client::ask_up_to::<BlockList>(request, MAX_LIST).await;
            let checked = answer.map_err(|failed| failed.to_string()).and_then(|list| {
                let expected = owner.unwrap_or(list.head.owner);
                list.head.check(expected, &list.entries).map_err(|error| error.to_string())?;
                if version.is_some_and(|version| list.head.version < version) {
                    return Err("it is older than what was seen before".into());
                }
                Ok(list)
            });
            match checked {
                Ok(list) => {
                    owner = Some(list.head.owner);
                    if version != Some(list.head.version) {
                        info!(%url, entries = list.entries.len(), "took a block list");
                        version = Some(list.head.version);
                        self.update(|state| drop(state.others.insert(url.clone(), list.entries)));
                    } else {
                        // An answer that did not wait must not make us ask without end.
                        tokio::time::sleep(Duration::from_millis(500)).await;
                    }
                }
                Err(reason) => {
                    warn!(%url, %reason, "a block list cannot be followed; the last one stays");
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_change_of_the_file_is_effective_within_a_second() {
        let folder = std::env::temp_dir().join(format!("anatomic-blocks-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        let blocks = Blocks::open(&folder, Identity::from_seed([1; 32])).unwrap();
        let watching = tokio::spawn(blocks.clone().watch_forever());
        let hash = InfoHash([7; 20]);
        assert!(!blocks.blocks(&hash));
        let waiting = tokio::spawn({
            let blocks = blocks.clone();
            async move { blocks.own_after(Some(0), 10).await }
        });
        let mut list = OwnList::load(&folder).unwrap();
        list.entries.insert(Blocked::of(&hash));
        list.save(&folder).unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(blocks.blocks(&hash));
        let told = waiting.await.unwrap().unwrap();
        assert_eq!(told.head.check(Identity::from_seed([1; 32]).key(), &told.entries), Ok(()));
        assert_eq!((told.head.version, told.entries), (1, vec![Blocked::of(&hash)]));
        watching.abort();
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_subscription_may_pin_the_key() {
        let key = Identity::from_seed([1; 32]).key();
        let pinned: Subscription = format!("https://a/#{key}").parse().unwrap();
        assert_eq!(pinned, Subscription { url: "https://a".into(), owner: Some(key) });
        assert!("https://a#zz".parse::<Subscription>().is_err() && "a".parse::<Subscription>().is_err());
    }
}
