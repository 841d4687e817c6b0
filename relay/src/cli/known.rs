//! The supernodes that this person's programs know: a list file with who answered when.
//!
//! As the 2005 tool did it: what is named stays 30 days after its last answer, and an update asks all of them for others.

use super::Failure;
use crate::node::{client, clock, files};
use anatomic_mesh::UnixTime;
use anatomic_mesh::api::{Directory, paths};
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The supernode that `anatomic up` starts.
pub const DEFAULT: &str = "http://127.0.0.1:4080";
/// A supernode that did not answer for this long is forgotten, in seconds.
const KEPT: u64 = 30 * 86_400;
/// Most that are kept.
const MOST: usize = 100;
/// Most that are asked at a time.
pub const ASKED: usize = 8;
/// How long one may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Scheme and host.
    pub url: String,
    /// When it was added.
    pub added: UnixTime,
    /// When it last answered.
    #[serde(default)]
    pub answered: Option<UnixTime>,
    /// How often it failed since.
    #[serde(default)]
    pub failed: u32,
}

/// The list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// When it was last updated.
    #[serde(default)]
    pub updated: Option<UnixTime>,
    /// Those that answered last first.
    #[serde(default)]
    pub supernodes: Vec<Entry>,
}

fn path(data: Option<&Path>) -> Result<PathBuf, Failure> {
    let folder = match data {
        Some(folder) => folder.to_owned(),
        None => files::default_folder().map_err(Failure::new)?,
    };
    Ok(folder.join("supernodes.json"))
}

impl Known {
    /// Reads the list; one that is not there is empty.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn load(data: Option<&Path>) -> Result<Self, Failure> {
        let path = path(data)?;
        let cannot = |reason: String| {
            Failure::new(format!("the list of supernodes {} cannot be read: {reason}", path.display()))
        };
        match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map_err(|error| cannot(format!("{error}; remove it to begin anew"))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(cannot(error.to_string())),
        }
    }

    /// Writes the list.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn save(&mut self, data: Option<&Path>) -> Result<(), Failure> {
        let path = path(data)?;
        let now = clock::now();
        self.supernodes.retain(|entry| {
            let last = entry.answered.map_or(entry.added, |answered| answered.max(entry.added));
            now.0.saturating_sub(last.0) <= KEPT
        });
        self.supernodes.sort_by_key(|entry| (std::cmp::Reverse(entry.answered), entry.failed));
        self.supernodes.truncate(MOST);
        let json = serde_json::to_vec_pretty(self).map_err(Failure::new)?;
        files::write(&path, &json, files::Access::Default).map_err(|error| {
            Failure::new(format!("the list of supernodes {} cannot be written: {error}", path.display()))
        })
    }

    /// Adds one; false if it is there.
    pub fn add(&mut self, url: &str) -> bool {
        let url = url.trim_end_matches('/');
        if self.supernodes.iter().any(|entry| entry.url == url) {
            return false;
        }
        let entry = Entry { url: url.to_owned(), added: clock::now(), answered: None, failed: 0 };
        self.supernodes.push(entry);
        true
    }

    /// Notes who answered and who did not; who was not known is added if it answered.
    pub fn note<'a>(&mut self, results: impl IntoIterator<Item = (&'a str, bool)>) {
        let now = clock::now();
        for (url, answered) in results {
            if answered {
                self.add(url);
            }
            if let Some(entry) = self.supernodes.iter_mut().find(|entry| entry.url == url) {
                if answered {
                    (entry.answered, entry.failed) = (Some(now), 0);
                } else {
                    entry.failed = entry.failed.saturating_add(1);
                }
            }
        }
    }

    /// Asks all known ones for others, in parallel, and notes who answered. Returns how many did.
    pub async fn update(&mut self, client: &reqwest::Client) -> usize {
        if self.supernodes.is_empty() {
            self.add(DEFAULT);
        }
        let urls: Vec<String> = self.supernodes.iter().map(|entry| entry.url.clone()).collect();
        let asked = urls.iter().map(|url| async move {
            client::ask::<Directory>(client.get(format!("{url}{}", paths::DIRECTORY))).await
        });
        let answers = join_all(asked).await;
        self.note(urls.iter().map(String::as_str).zip(answers.iter().map(Result::is_ok)));
        for other in answers.iter().flatten().flat_map(|directory| &directory.supernodes) {
            self.add(&other.url);
        }
        self.updated = Some(clock::now());
        answers.iter().filter(|answer| answer.is_ok()).count()
    }
}

/// Whom a command asks: those that were named on the command line, else those of the link and those that are known.
#[must_use]
pub fn supernodes(named: &[String], link: &[String], data: Option<&Path>) -> Vec<String> {
    let mut all: Vec<String> = named.to_vec();
    if all.is_empty() {
        all.extend(link.iter().cloned());
        // A list that cannot be read is told of by `anatomic supernodes`.
        all.extend(Known::load(data).unwrap_or_default().supernodes.into_iter().map(|entry| entry.url));
    }
    if all.is_empty() {
        all.push(DEFAULT.to_owned());
    }
    let mut once: Vec<String> = Vec::new();
    for url in all.iter().map(|url| url.trim_end_matches('/').to_owned()) {
        if !once.contains(&url) {
            once.push(url);
        }
    }
    once.truncate(ASKED);
    once
}

/// Remembers who answered a command; that it cannot be written is no reason to fail.
pub fn remember<'a>(results: impl IntoIterator<Item = (&'a str, bool)>, data: Option<&Path>) {
    if let Ok(mut known) = Known::load(data) {
        known.note(results);
        let _ = known.save(data);
    }
}

/// A client for asking supernodes.
///
/// # Errors
/// When the system has no certificates or the like.
pub fn client() -> Result<reqwest::Client, Failure> {
    client::new(PATIENCE).map_err(Failure::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_answered_comes_first_and_who_was_silent_for_30_days_is_forgotten() {
        let folder = std::env::temp_dir().join(format!("anatomic-known-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        let data = Some(folder.as_path());
        let mut known = Known::load(data).unwrap();
        assert!(known.add("http://a/") && known.add("http://b") && !known.add("http://a"));
        known.note([("http://a", false), ("http://b", true), ("http://c", true), ("http://d", false)]);
        let old = UnixTime(clock::now().0 - KEPT - 1);
        known.supernodes.push(Entry { url: "http://old".into(), added: old, answered: None, failed: 1 });
        known.save(data).unwrap();
        let read = Known::load(data).unwrap();
        let urls: Vec<_> = read.supernodes.iter().map(|entry| entry.url.as_str()).collect();
        assert_eq!(urls, ["http://b", "http://c", "http://a"]);
        assert_eq!(
            supernodes(&[], &["http://x".into()], data),
            ["http://x", "http://b", "http://c", "http://a"]
        );
        assert_eq!(supernodes(&["http://y/".into()], &["http://x".into()], data), ["http://y"]);
        std::fs::remove_dir_all(folder).unwrap();
    }
}
