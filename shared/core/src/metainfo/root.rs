//! What surrounds `info` in a torrent file: trackers, web seeds, and whatever else somebody wrote there.
//!
//! Every key is kept as its raw bytes, so that a rewrite loses nothing.

use crate::bencode::{Item, Kind, Value};
use crate::collections::BTreeMap;
use crate::url::split_scheme;
use bytes::Bytes;

/// Most trackers and most web seeds that are used of one torrent.
const MAX_URLS: usize = 1_000;

#[derive(Clone, PartialEq, Eq, Default)]
pub(super) struct Root {
    raw: BTreeMap<Vec<u8>, Bytes>,
    pub(super) trackers: Vec<Vec<String>>,
    pub(super) web_seeds: Vec<String>,
}

impl Root {
    /// Everything in the dictionary but `info`.
    pub(super) fn read(value: Value<'_, '_>) -> Self {
        let mut raw = BTreeMap::new();
        for (key, value) in value.entries().filter(|(key, _)| *key != b"info") {
            // The first of two equal keys counts, as in every lookup.
            raw.entry(key.to_vec()).or_insert_with(|| Bytes::copy_from_slice(value.raw()));
        }
        Self { raw, trackers: trackers(value), web_seeds: web_seeds(value) }
    }

    pub(super) fn new(trackers: Vec<Vec<String>>, web_seeds: Vec<String>) -> Self {
        let mut root = Self { web_seeds, ..Self::default() };
        if !root.web_seeds.is_empty() {
            root.set(b"url-list", &Item::list(root.web_seeds.iter().map(String::as_str)));
        }
        root.set_trackers(trackers);
        root
    }

    pub(super) fn get(&self, key: &[u8]) -> Option<&Bytes> {
        self.raw.get(key)
    }

    pub(super) fn planted(&self, announce: &str, announce_list: &[Vec<String>]) -> Self {
        let mut root = self.clone();
        root.set_trackers(announce_list.to_vec());
        root.set(b"announce", &Item::from(announce));
        if root.trackers.is_empty() {
            root.trackers = vec![vec![announce.to_owned()]];
        }
        root.set(b"planted", &Item::Integer(1));
        root
    }

    pub(super) fn encode(&self, info: &Bytes) -> Vec<u8> {
        let entries = self.raw.iter().map(|(key, raw)| (key.clone(), raw));
        let entries = entries.chain([(b"info".to_vec(), info)]);
        Item::dict(entries.map(|(key, raw)| (key, Item::Raw(raw.to_vec())))).to_bytes()
    }

    /// Adds a text or number that only people read.
    pub(super) fn set(&mut self, key: &[u8], value: &Item) {
        self.raw.insert(key.to_vec(), value.to_bytes().into());
    }

    /// `announce` is the first tracker; `announce-list` is written when there is more than one.
    fn set_trackers(&mut self, tiers: Vec<Vec<String>>) {
        let tiers: Vec<Vec<String>> = tiers.into_iter().filter(|tier| !tier.is_empty()).collect();
        self.raw.remove(&b"announce"[..]);
        self.raw.remove(&b"announce-list"[..]);
        if let Some(first) = tiers.first().and_then(|tier| tier.first()) {
            self.set(b"announce", &Item::from(first.as_str()));
        }
        if tiers.iter().map(Vec::len).sum::<usize>() > 1 {
            let list = tiers.iter().map(|tier| Item::list(tier.iter().map(String::as_str)));
            self.set(b"announce-list", &Item::list(list));
        }
        self.trackers = tiers;
    }
}

/// BEP 12: `announce` is ignored where `announce-list` names a tracker.
fn trackers(root: Value<'_, '_>) -> Vec<Vec<String>> {
    let mut seen = Vec::new();
    let mut tiers = Vec::new();
    for tier in root.get(b"announce-list").map(Value::items).into_iter().flatten().take(MAX_URLS) {
        // A tier should be a list; a bare string is a common slip and clear enough.
        let urls: Vec<_> = match tier.kind() {
            Kind::Bytes => url(tier).into_iter().collect(),
            _ => tier.items().take(MAX_URLS - seen.len().min(MAX_URLS)).filter_map(url).collect(),
        };
        let fresh: Vec<_> = urls.into_iter().filter(|url| first_time(url, &mut seen)).collect();
        if !fresh.is_empty() {
            tiers.push(fresh);
        }
    }
    if tiers.is_empty() {
        tiers.extend(root.get(b"announce").and_then(url).map(|url| vec![url]));
    }
    tiers
}

fn web_seeds(root: Value<'_, '_>) -> Vec<String> {
    let mut seen = Vec::new();
    let mut urls = Vec::new();
    if let Some(list) = root.get(b"url-list") {
        // BEP 19: one string or a list of them.
        match list.kind() {
            Kind::Bytes => urls.extend(url(list)),
            _ => urls.extend(list.items().take(MAX_URLS).filter_map(url)),
        }
    }
    urls.retain(|url| first_time(url, &mut seen));
    urls
}

/// The text of a URL: no white space around it, none of it raw inside.
fn url(value: Value<'_, '_>) -> Option<String> {
    let text = value.as_str()?.trim();
    let is_url = split_scheme(text).is_some() && !text.contains(char::is_control);
    is_url.then(|| text.replace(' ', "%20"))
}

fn first_time(url: &str, seen: &mut Vec<String>) -> bool {
    if seen.iter().any(|known| known == url) {
        return false;
    }
    seen.push(url.to_owned());
    true
}
