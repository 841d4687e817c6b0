//! Resume data: what a torrent needs to go on where it was, without hashing again. Versioned bencode.
//!
//! Counts only pieces that are safe in the store. Where it is kept is the driver's business.

use crate::add::{AddTorrent, Mode, PickOrder, Priority, Start, TorrentSource};
use anatomic_core::bencode::{self, Item, Value};
use anatomic_core::{Bitfield, Magnet, Metainfo};
use std::sync::Arc;
use thiserror::Error;

/// The version that is written. A reader refuses what is newer.
const VERSION: i64 = 1;

/// What is kept of a torrent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResumeData {
    /// The torrent, or the magnet while its metadata is unknown.
    pub source: ResumeSource,
    /// Pieces that are safe in the store; `None` while the metadata is unknown.
    pub stored: Option<Bitfield>,
    /// Priorities of the files.
    pub selection: Vec<Priority>,
    /// Picking order.
    pub order: PickOrder,
    /// Whether the user paused it.
    pub paused: bool,
    /// Trackers besides those of the torrent, in tiers.
    pub trackers: Vec<Vec<String>>,
    /// Payload bytes received so far.
    pub downloaded: u64,
    /// Payload bytes sent so far.
    pub uploaded: u64,
}

/// What is known of the torrent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResumeSource {
    /// All.
    Metainfo(Arc<Metainfo>),
    /// Its magnet.
    Magnet(Box<Magnet>),
}

/// Why resume data cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ResumeError {
    /// It is no bencode.
    #[error("the resume data is damaged: {0}")]
    Bencode(#[from] bencode::BencodeError),
    /// It was written by a newer version.
    #[error("the resume data is of version {0}, which this version cannot read")]
    Newer(i64),
    /// A field is missing or makes no sense.
    #[error("the resume data lacks a usable `{0}`")]
    Field(&'static str),
}

impl ResumeData {
    /// The torrent to be added so that it goes on.
    #[must_use]
    pub fn into_add(self) -> AddTorrent {
        AddTorrent {
            source: match self.source {
                ResumeSource::Metainfo(metainfo) => TorrentSource::Metainfo(metainfo),
                ResumeSource::Magnet(magnet) => TorrentSource::Magnet(magnet),
            },
            mode: Mode::Store,
            start: self.stored.map_or(Start::Fresh, Start::Trust),
            paused: self.paused,
            order: self.order,
            selection: self.selection,
            trackers: self.trackers,
            downloaded: self.downloaded,
            uploaded: self.uploaded,
        }
    }

    /// The bytes to keep.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let number = |number: u64| Item::Integer(i64::try_from(number).unwrap_or(i64::MAX));
        let bytes = |bytes: &[u8]| Item::Bytes(bytes.to_vec());
        let source = match &self.source {
            ResumeSource::Metainfo(metainfo) => ("torrent", Item::Bytes(metainfo.to_torrent())),
            ResumeSource::Magnet(magnet) => ("magnet", Item::Bytes(magnet.to_string().into_bytes())),
        };
        let tiers = self
            .trackers
            .iter()
            .map(|tier| Item::List(tier.iter().map(|url| bytes(url.as_bytes())).collect()));
        let mut entries = vec![
            ("version", Item::Integer(VERSION)),
            source,
            ("selection", Item::Bytes(self.selection.iter().map(|priority| priority.level()).collect())),
            ("sequential", Item::Integer(i64::from(self.order == PickOrder::Sequential))),
            ("paused", Item::Integer(i64::from(self.paused))),
            ("trackers", Item::List(tiers.collect())),
            ("downloaded", number(self.downloaded)),
            ("uploaded", number(self.uploaded)),
        ];
        if let Some(stored) = &self.stored {
            entries.push(("stored", bytes(stored.as_wire())));
        }
        Item::dict(entries).to_bytes()
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote.
    ///
    /// # Errors
    /// [`ResumeError`]: then the store must be checked by hashing.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ResumeError> {
        let parsed = bencode::parse(bytes, bencode::Limits::TORRENT)?;
        let root = parsed.root();
        let integer = |key: &str| root.get(key.as_bytes()).and_then(Value::as_int).unwrap_or(0);
        match integer("version") {
            VERSION => {}
            newer if newer > VERSION => return Err(ResumeError::Newer(newer)),
            _ => return Err(ResumeError::Field("version")),
        }
        let (source, stored) = if let Some(torrent) = root.get(b"torrent").and_then(Value::as_bytes) {
            let metainfo = Metainfo::from_torrent(torrent).map_err(|_| ResumeError::Field("torrent"))?;
            let stored = root
                .get(b"stored")
                .and_then(Value::as_bytes)
                .and_then(|wire| Bitfield::from_wire(wire, metainfo.geometry().pieces()))
                .ok_or(ResumeError::Field("stored"))?;
            (ResumeSource::Metainfo(Arc::new(metainfo)), Some(stored))
        } else {
            let magnet = root.get(b"magnet").and_then(Value::as_str).ok_or(ResumeError::Field("torrent"))?;
            let magnet = Magnet::parse(magnet).map_err(|_| ResumeError::Field("magnet"))?;
            (ResumeSource::Magnet(Box::new(magnet)), None)
        };
        let tiers = root.get(b"trackers").map(|tiers| {
            tiers
                .items()
                .map(|tier| tier.items().filter_map(Value::as_str).map(str::to_owned).collect())
                .collect()
        });
        Ok(Self {
            source,
            stored,
            selection: root
                .get(b"selection")
                .and_then(Value::as_bytes)
                .unwrap_or_default()
                .iter()
                .map(|level| Priority::new(*level))
                .collect(),
            order: if integer("sequential") == 0 { PickOrder::RarestFirst } else { PickOrder::Sequential },
            paused: integer("paused") != 0,
            trackers: tiers.unwrap_or_default(),
            downloaded: u64::try_from(integer("downloaded")).unwrap_or(0),
            uploaded: u64::try_from(integer("uploaded")).unwrap_or(0),
        })
    }
}
