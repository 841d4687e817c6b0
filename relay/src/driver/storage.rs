//! Which torrent is stored where, and when its resume data are written.
//!
//! The files themselves are in [`crate::store`]; what the resume data say is the engine's.

use super::session::Message;
use crate::store::{Files, Handles, Resume, resume_path};
use anatomic_engine::{Engine, TorrentKey};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::UnboundedSender;

/// How long a stored piece may be missing from the resume data: what a killed process loses at most.
const SAVE_EVERY: Duration = Duration::from_secs(1);

/// The stored torrents of a session.
pub(super) struct Storage {
    messages: UnboundedSender<Message>,
    handles: Arc<Handles>,
    places: HashMap<TorrentKey, Place>,
    save_at: Option<Instant>,
}

/// Where one torrent is.
struct Place {
    root: PathBuf,
    files: Option<Arc<Files>>,
    changed: bool,
    saving: bool,
    /// Told once, not every second.
    complained: bool,
}

impl Storage {
    pub(super) fn new(messages: UnboundedSender<Message>) -> Self {
        Self { messages, handles: Arc::new(Handles::default()), places: HashMap::new(), save_at: None }
    }

    /// Stores a torrent below `root`.
    pub(super) fn place(&mut self, torrent: TorrentKey, root: PathBuf) {
        let place = Place { root, files: None, changed: true, saving: false, complained: false };
        self.places.insert(torrent, place);
    }

    /// Forgets a torrent; its files stay.
    pub(super) fn remove(&mut self, torrent: TorrentKey) {
        self.places.remove(&torrent);
    }

    /// The torrent's files, once its metainfo is known; `None` for one that is not stored.
    pub(super) fn files(&mut self, engine: &Engine, torrent: TorrentKey) -> Option<Arc<Files>> {
        let place = self.places.get_mut(&torrent)?;
        if let Some(files) = &place.files {
            return Some(Arc::clone(files));
        }
        let metainfo = engine.view(torrent)?.metainfo?;
        let files = Arc::new(Files::new(place.root.clone(), metainfo, Arc::clone(&self.handles)));
        place.files = Some(Arc::clone(&files));
        let made = Arc::clone(&files);
        tokio::task::spawn_blocking(move || {
            if let Err(error) = made.make_empty_files() {
                tracing::warn!("{error}");
            }
        });
        Some(files)
    }

    /// The torrent's state is not that of its resume data any more.
    pub(super) fn changed(&mut self, torrent: TorrentKey) {
        if let Some(place) = self.places.get_mut(&torrent) {
            place.changed = true;
            self.save_at.get_or_insert_with(|| Instant::now() + SAVE_EVERY);
        }
    }

    /// When to call [`Self::save_due`].
    pub(super) const fn deadline(&self) -> Option<Instant> {
        self.save_at
    }

    /// Writes the resume data of changed torrents, if it is time.
    pub(super) fn save_due(&mut self, engine: &Engine) {
        if self.save_at.is_none_or(|at| at > Instant::now()) {
            return;
        }
        self.save_at = None;
        for (torrent, place) in self.places.iter_mut().filter(|(_, place)| place.changed) {
            if place.saving {
                // A slow disk: the next one follows when this one is done.
                self.save_at.get_or_insert_with(|| Instant::now() + SAVE_EVERY);
                continue;
            }
            let Some((state, path)) = state_of(engine, *torrent, place) else { continue };
            place.changed = false;
            place.saving = true;
            let (torrent, to) = (*torrent, self.messages.clone());
            tokio::task::spawn_blocking(move || {
                let result = Resume::in_use(state).save(&path).map_err(|error| error.to_string());
                // A session that is over has saved by itself.
                let _ = to.send(Message::Saved(torrent, result));
            });
        }
    }

    /// Resume data were written, or not.
    pub(super) fn saved(&mut self, torrent: TorrentKey, result: Result<(), String>) {
        let Some(place) = self.places.get_mut(&torrent) else { return };
        place.saving = false;
        if let Err(reason) = result {
            if !place.complained {
                tracing::warn!("{reason}; after a restart the data will be checked again");
            }
            place.complained = true;
            place.changed = true;
            self.save_at.get_or_insert_with(|| Instant::now() + 10 * SAVE_EVERY);
        }
    }

    /// Writes the last resume data of all torrents; waits for the disk. `quiet`: no thread is writing files any more.
    pub(super) fn close_all(&mut self, engine: &Engine, quiet: bool) {
        for (torrent, place) in self.places.drain() {
            let Some((state, path)) = state_of(engine, torrent, &place) else { continue };
            let resume = match &place.files {
                Some(files) if quiet => Resume::closed(state, files),
                _ => Resume::in_use(state),
            };
            if let Err(error) = resume.save(&path) {
                tracing::warn!("{error}; at the next start the data will be checked again");
            }
        }
        self.save_at = None;
    }
}

/// The resume data of a torrent and where they go; `None` while there is nothing worth keeping.
fn state_of(engine: &Engine, torrent: TorrentKey, place: &Place) -> Option<(Vec<u8>, PathBuf)> {
    let resume = engine.resume_data(torrent)?;
    let info_hash = place.files.as_ref()?.metainfo().info_hash();
    Some((resume.to_bytes(), resume_path(&place.root, info_hash)))
}
