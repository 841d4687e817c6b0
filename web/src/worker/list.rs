//! The list of torrents and its records: what a reload or a crash must not lose.
//!
//! A record holds the engine's resume data and what the page adds to it. It is written at most a second after
//! something changed.

use super::store::Store;
use super::store::slot::Slot;
use super::views::Shown;
use super::{Driver, clock};
use crate::browser::Json;
use crate::protocol::view::{Planted, View};
use crate::protocol::{DataFate, Id};
use anatomic_core::metainfo::Metainfo;
use anatomic_core::{InfoHash, Time};
use anatomic_engine::{AddTorrent, Misuse, ResumeData, Start, TorrentKey, TorrentSource};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::spawn_local;

/// Longest time that a change stays unwritten.
const SAVE_WITHIN: Duration = Duration::from_millis(500);
/// Name of the record in a torrent's folder.
const RECORD: &str = "record";

/// What the page keeps of a torrent besides the engine's resume data.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// When it was added, in seconds since 1970.
    pub added: u64,
    /// The link to pass on; empty while it is being planted.
    pub link: String,
    /// A person gave it to us, so that planting it here needs no further question.
    pub plant: bool,
    /// Taken off the list; only its files stay.
    pub kept: bool,
    /// A person wants to choose among its files before any is fetched.
    pub choosing: bool,
}

/// A torrent on the list.
pub struct Listed {
    /// Its info-hash.
    pub info_hash: InfoHash,
    /// Its folder in the store.
    pub folder: String,
    /// What the page keeps.
    pub entry: Entry,
    /// Its metainfo, once known.
    pub metainfo: Option<Arc<Metainfo>>,
    /// Whether the host tracks it.
    pub planted: Planted,
    /// What the tabs were told last.
    pub shown: Shown,
    record: Option<Rc<Slot>>,
    saved: Time,
    dirty: bool,
    saving: bool,
}

impl Listed {
    /// Its info-hash as the page writes it.
    #[must_use]
    pub fn id(&self) -> Id {
        Id(self.info_hash.to_string())
    }

    /// Whether planting it had begun when the tab was closed. Planting again does no harm.
    #[must_use]
    pub fn lacks_link(&self) -> bool {
        self.entry.plant && self.entry.link.is_empty() && self.planted != Planted::Asking
    }

    /// Something changed that a record holds.
    pub const fn touch(&mut self) {
        self.dirty = true;
    }
}

/// A torrent whose files stayed when it was taken off the list.
pub struct Kept {
    info_hash: InfoHash,
    folder: String,
    resume: ResumeData,
    record: Rc<Slot>,
}

impl Driver {
    /// Reads the list of the last visit.
    pub(super) async fn load(self: &Rc<Self>, store: &Rc<Store>) {
        let folders = match store.folders().await {
            Ok(folders) => folders,
            Err(error) => {
                self.problem(format!("The list of your last visit cannot be read. {error}"));
                return;
            }
        };
        for folder in folders {
            match self.load_one(store, &folder).await {
                Ok(true) => {}
                // A share that was never finished, or a download that had not stored anything.
                Ok(false) => self.delete_folder(folder),
                Err(reason) => self.problem(format!("A torrent of your last visit cannot be read. {reason}")),
            }
        }
        if self.host.borrow().is_reached() {
            let list = self.list.borrow();
            let begun: Vec<InfoHash> =
                list.values().filter(|listed| listed.lacks_link()).map(|listed| listed.info_hash).collect();
            drop(list);
            begun.into_iter().for_each(|info_hash| self.not_planted(info_hash));
        }
    }

    async fn load_one(self: &Rc<Self>, store: &Rc<Store>, folder: &str) -> Result<bool, String> {
        let place = store.folder(folder).await.map_err(|error| error.to_string())?;
        let (slot, content) = Slot::open(place, RECORD).await.map_err(|error| error.to_string())?;
        let Some(content) = content else { return Ok(false) };
        let (entry, resume) = decode(&content).ok_or("Its record is damaged.")?;
        let resume = ResumeData::from_bytes(resume).map_err(|error| error.to_string())?;
        let (folder, record) = (folder.to_owned(), Rc::new(slot));
        let info_hash = resume.clone().into_add().source.info_hash();
        if entry.kept {
            self.kept.borrow_mut().push(Kept { info_hash, folder, resume, record });
        } else {
            self.put(info_hash, resume.into_add(), entry, folder, Some(record));
        }
        Ok(true)
    }

    /// Adds a torrent, or finds the one that is here. Files kept from earlier are used again.
    pub(super) fn add(self: &Rc<Self>, info_hash: InfoHash, mut add: AddTorrent, entry: Entry) -> TorrentKey {
        let at = self.kept.borrow().iter().position(|kept| kept.info_hash == info_hash);
        let (folder, record) = match at.map(|at| self.kept.borrow_mut().remove(at)) {
            Some(kept) => {
                let before = kept.resume.into_add();
                if add.start == Start::Fresh {
                    add.start = before.start;
                    // What was known and chosen then holds again.
                    add.source = before.source;
                    (add.selection, add.order) = (before.selection, before.order);
                }
                (kept.folder, Some(kept.record))
            }
            None => (info_hash.to_string(), None),
        };
        self.add_in(info_hash, add, entry, folder, record)
    }

    /// The same, for a torrent whose files are in a folder already.
    pub(super) fn add_in(
        self: &Rc<Self>,
        info_hash: InfoHash,
        add: AddTorrent,
        entry: Entry,
        folder: String,
        record: Option<Rc<Slot>>,
    ) -> TorrentKey {
        let key = self.put(info_hash, add, entry, folder, record);
        self.tell(View::Focus(Id(info_hash.to_string())));
        self.pump();
        key
    }

    fn put(
        self: &Rc<Self>,
        info_hash: InfoHash,
        mut add: AddTorrent,
        mut entry: Entry,
        folder: String,
        record: Option<Rc<Slot>>,
    ) -> TorrentKey {
        if let TorrentSource::Metainfo(metainfo) = &add.source
            && entry.choosing
        {
            // One file is no choice.
            entry.choosing = metainfo.files().len() > 1;
            add.paused |= entry.choosing;
        }
        let mut trackers = match &add.source {
            TorrentSource::Metainfo(metainfo) => metainfo.trackers().iter().flatten().cloned().collect(),
            TorrentSource::Magnet(magnet) => magnet.trackers.clone(),
        };
        trackers.extend(add.trackers.iter().flatten().cloned());
        let added = self.engine.borrow_mut().add(clock::now(), add);
        let key = match added {
            Ok(key) => key,
            Err(Misuse::AlreadyAdded(key)) => {
                self.engine.borrow_mut().add_trackers(clock::now(), key, &trackers);
                let mut list = self.list.borrow_mut();
                if let Some(listed) = list.get_mut(&key) {
                    listed.entry.plant |= entry.plant;
                    if listed.folder != folder {
                        drop(list);
                        self.delete_folder(folder);
                    }
                }
                return key;
            }
            Err(other) => {
                self.problem(other.to_string());
                return TorrentKey::from_u64(u64::MAX);
            }
        };
        let metainfo = self.engine.borrow().view(key).and_then(|view| view.metainfo);
        let listed = Listed {
            info_hash,
            folder,
            entry,
            metainfo,
            planted: Planted::Unknown,
            shown: Shown::default(),
            record,
            saved: Time::ZERO,
            dirty: true,
            saving: false,
        };
        self.list.borrow_mut().insert(key, listed);
        self.show_whole(key);
        key
    }

    /// Takes a torrent off the list.
    pub(super) fn remove(self: &Rc<Self>, key: TorrentKey, data: DataFate) {
        let resume = self.engine.borrow().resume_data(key);
        self.engine.borrow_mut().remove(clock::now(), key);
        self.hosts.borrow_mut().remove(&key);
        let Some(listed) = self.list.borrow_mut().remove(&key) else { return };
        self.tell(View::Removed(listed.id()));
        self.pump();
        match (data, resume, listed.record) {
            (DataFate::Keep, Some(resume), Some(record)) if listed.metainfo.is_some() => {
                let content = encode(&Entry { kept: true, ..listed.entry }, &resume);
                let kept = Kept {
                    info_hash: listed.info_hash,
                    folder: listed.folder.clone(),
                    resume,
                    record: Rc::clone(&record),
                };
                self.kept.borrow_mut().push(kept);
                let driver = Rc::clone(self);
                spawn_local(async move {
                    if let Err(error) = record.write(&content).await {
                        driver.problem(format!("The list could not be stored. {error}"));
                    }
                    if let Some(store) = driver.store() {
                        store.close(&listed.folder);
                    }
                });
            }
            _ => self.delete_folder(listed.folder),
        }
    }

    /// Folder and metainfo of a torrent on the list, once it has them.
    pub(super) fn place_of(&self, key: TorrentKey) -> Option<(String, Arc<Metainfo>)> {
        let list = self.list.borrow();
        let listed = list.get(&key)?;
        Some((listed.folder.clone(), Arc::clone(listed.metainfo.as_ref()?)))
    }

    /// The key of a torrent on the list.
    pub(super) fn key_of(&self, id: &Id) -> Option<TorrentKey> {
        self.engine.borrow().find(InfoHash::from_hex(&id.0)?)
    }

    /// Writes the records that changed, each at most so often.
    pub(super) fn save_due(self: &Rc<Self>, now: Time) {
        if self.store().is_none() {
            return;
        }
        let due: Vec<TorrentKey> = self
            .list
            .borrow()
            .iter()
            .filter(|(_, listed)| listed.dirty && !listed.saving && now.since(listed.saved) >= SAVE_WITHIN)
            .map(|(key, _)| *key)
            .collect();
        for key in due {
            self.save(key);
        }
    }

    /// Writes a record now.
    pub(super) fn save(self: &Rc<Self>, key: TorrentKey) {
        let Some(store) = self.store() else { return };
        let Some(resume) = self.engine.borrow().resume_data(key) else { return };
        let mut list = self.list.borrow_mut();
        let Some(listed) = list.get_mut(&key) else { return };
        listed.dirty = false;
        listed.saving = true;
        listed.saved = clock::now();
        let content = encode(&listed.entry, &resume);
        let (record, folder) = (listed.record.clone(), listed.folder.clone());
        drop(list);
        let driver = Rc::clone(self);
        spawn_local(async move {
            let written = async {
                let record = match record {
                    Some(record) => record,
                    None => Rc::new(Slot::open(store.folder(&folder).await?, RECORD).await?.0),
                };
                record.write(&content).await.map(|()| record)
            };
            let written = written.await;
            let mut list = driver.list.borrow_mut();
            if !list.contains_key(&key) {
                // Removed meanwhile; its folder must not come back.
                let used = list.values().any(|listed| listed.folder == folder)
                    || driver.kept.borrow().iter().any(|kept| kept.folder == folder);
                drop(list);
                if !used {
                    driver.delete_folder(folder);
                }
                return;
            }
            let Some(listed) = list.get_mut(&key) else { return };
            listed.saving = false;
            match written {
                Ok(record) => listed.record = Some(record),
                // Tried again with the next change; the torrent itself stops when its pieces find no room.
                Err(_) => listed.dirty = true,
            }
        });
    }
}

/// Length of the entry, entry, resume data.
fn encode(entry: &Entry, resume: &ResumeData) -> Vec<u8> {
    // Exact until the year 285,000,000.
    #[expect(clippy::cast_precision_loss)]
    let added = entry.added as f64;
    let text = Json::text_of(&[
        ("added", added.into()),
        ("link", JsValue::from_str(&entry.link)),
        ("plant", entry.plant.into()),
        ("kept", entry.kept.into()),
        ("choosing", entry.choosing.into()),
    ]);
    let mut bytes = u32::try_from(text.len()).unwrap_or(0).to_be_bytes().to_vec();
    bytes.extend(text.as_bytes());
    bytes.extend(resume.to_bytes());
    bytes
}

fn decode(bytes: &[u8]) -> Option<(Entry, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (entry, resume) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
    let entry = Json::parse(std::str::from_utf8(entry).ok()?)?;
    let entry = Entry {
        added: entry.get("added").number()?,
        link: entry.get("link").text()?,
        plant: entry.get("plant").is_true(),
        kept: entry.get("kept").is_true(),
        choosing: entry.get("choosing").is_true(),
    };
    Some((entry, resume))
}
