//! Opens a torrent in a folder: finds out what of it is there already, so that nothing is fetched or hashed twice.
//!
//! What the found state means for the torrent is the engine's part.

use super::handle::{Handle, SessionError};
use crate::store::{Files, Handles, Resume, resume_path};
use anatomic_core::{FileIndex, Magnet};
use anatomic_engine::{
    AddTorrent, PickOrder, Priority, ResumeData, ResumeSource, Source, Start, TorrentKey, TorrentSource,
};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A torrent to be opened.
#[derive(Clone, Debug)]
pub struct Open {
    /// What is known of it.
    pub source: TorrentSource,
    /// The folder that holds it, or will.
    pub root: PathBuf,
    /// Picking order.
    pub order: PickOrder,
    /// Priorities of the files; `None`: as they were last time, else all normal.
    pub selection: Option<Vec<Priority>>,
}

impl Handle {
    /// Adds a torrent that is stored below a folder, going on from what is there.
    ///
    /// # Errors
    /// When it is there already, or the session is over.
    pub async fn open(&self, open: Open) -> Result<TorrentKey, SessionError> {
        let peers = match &open.source {
            TorrentSource::Magnet(magnet) => magnet.peers.clone(),
            TorrentSource::Metainfo(_) => Vec::new(),
        };
        let root = open.root.clone();
        let planned = tokio::task::spawn_blocking(move || plan(open)).await;
        let add = planned.map_err(|error| SessionError::Refused(error.to_string()))?;
        let is_known = matches!(add.source, TorrentSource::Metainfo(_));
        let torrent = self.add(add, Some(root)).await?;
        if is_known && !peers.is_empty() {
            // The magnet's peers; its metainfo, that we found here, does not name them.
            self.with(move |session| {
                let now = session.now();
                session.engine.add_candidates(now, torrent, Source::User, &peers);
            })
            .await;
        }
        Ok(torrent)
    }
}

/// Looks at the disk and says how the torrent is to be added.
fn plan(open: Open) -> AddTorrent {
    let Open { source, root, order, selection } = open;
    let found = find(&source, &root);
    let mut wanted = Vec::new();
    let mut add = match found {
        Some((record, data)) => {
            let mut add = data.into_add();
            if let TorrentSource::Metainfo(known) = &add.source {
                let files = Files::new(root, Arc::clone(known), Arc::new(Handles::default()));
                if let Start::Trust(have) = &add.start
                    && !record.is_believable(&files, have)
                {
                    add.start = Start::Check;
                }
            }
            match source {
                // What was given now may name other trackers than what was given then.
                TorrentSource::Metainfo(_) => add.source = source,
                TorrentSource::Magnet(magnet) => {
                    add.trackers.extend(magnet.trackers.iter().map(|url| vec![url.clone()]));
                    wanted = magnet_selection(&magnet, &add.source);
                }
            }
            add.paused = false;
            add
        }
        None => {
            let start = match &source {
                TorrentSource::Metainfo(metainfo) => {
                    let files = Files::new(root, Arc::clone(metainfo), Arc::new(Handles::default()));
                    if files.any_exists() { Start::Check } else { Start::Fresh }
                }
                // Which files to look for is known only with the metadata.
                TorrentSource::Magnet(_) => Start::Check,
            };
            AddTorrent { start, ..AddTorrent::new(source) }
        }
    };
    add.order = order;
    if let Some(selection) = selection {
        // A magnet may say itself which files it means (`so=`).
        add.selection = if selection.is_empty() { wanted } else { selection };
    }
    add
}

/// What the magnet wants of a torrent that is known.
fn magnet_selection(magnet: &Magnet, known: &TorrentSource) -> Vec<Priority> {
    let TorrentSource::Metainfo(metainfo) = known else { return Vec::new() };
    if magnet.select.is_empty() {
        return Vec::new();
    }
    let wanted = |index| if magnet.selects(FileIndex(index)) { Priority::NORMAL } else { Priority::SKIP };
    (0u32..).take(metainfo.files().len()).map(wanted).collect()
}

/// The resume data of this torrent below `root`, if they can be used.
fn find(source: &TorrentSource, root: &Path) -> Option<(Resume, ResumeData)> {
    let record = Resume::load(&resume_path(root, source.info_hash()))?;
    let data = ResumeData::from_bytes(&record.state).ok()?;
    match &data.source {
        ResumeSource::Metainfo(metainfo) if metainfo.info_hash() == source.info_hash() => {
            Some((record, data))
        }
        _ => None,
    }
}
