//! Makes a torrent of files that a person dropped: copies them into the browser's storage and hashes them on the way.
//!
//! The copy is why seeding goes on after a reload, when the browser no longer lets the page read the originals.

use super::list::Entry;
use super::store::Store;
use super::{Driver, clock, hashing};
use crate::browser::reason;
use crate::protocol::view::{Creating, Level, Notice, View};
use anatomic_core::create::{Options, Plan, Source};
use anatomic_core::metainfo::{FileKind, Metainfo};
use anatomic_core::{Bitfield, Sha1Hash};
use anatomic_engine::{AddTorrent, Start, TorrentSource};
use js_sys::{Array, Uint8Array};
use std::rc::Rc;
use std::sync::Arc;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::File;

/// Bytes read from a person's disk at a time.
const CHUNK: u64 = 4 * 1024 * 1024;

impl Driver {
    /// Makes a torrent of the files attached, plants it on the host, seeds it.
    pub(super) fn create(self: &Rc<Self>, name: String, paths: Vec<Vec<String>>, files: &Array) {
        if self.creating.borrow().is_some() {
            self.problem(format!(
                "{name} was not taken: another share is still being hashed. Drop it again after that."
            ));
            return;
        }
        let files: Vec<File> = files.iter().map(JsCast::unchecked_into).collect();
        if paths.len() != files.len() {
            return;
        }
        self.show_creating(Some(Creating { name: name.clone(), done: 0, total: 0 }));
        let driver = Rc::clone(self);
        spawn_local(async move {
            let folder = format!("new-{:016x}", clock::random_u64());
            if let Err(error) = driver.share(&name, paths, &files, &folder).await {
                driver.problem(format!("{name} could not be shared: {error}"));
                driver.delete_folder(folder);
            }
            driver.show_creating(None);
            driver.pump();
        });
    }

    async fn share(
        self: &Rc<Self>,
        name: &str,
        paths: Vec<Vec<String>>,
        files: &[File],
        folder: &str,
    ) -> Result<(), String> {
        let store = self.store().ok_or("this browser gives the page no storage")?;
        let options = Options { created_by: Some(self.client()), ..Options::default() };
        let plan = plan(name, &paths, files, options).map_err(|error| error.to_string())?;
        let mut hashes = Hashes::new(&plan);
        let total = plan.content();
        let (mut done, mut told) = (0, clock::now());
        for (number, source) in (0u32..).zip(plan.sources()) {
            let at = paths.iter().position(|path| *path == source.path);
            let file = at.and_then(|at| files.get(at)).ok_or("a file got lost")?;
            let mut offset = 0;
            while offset < source.length {
                let end = (offset + CHUNK).min(source.length);
                let chunk = read(file, offset, end).await?;
                store.write_file(folder, number, &chunk, offset).await.map_err(|error| error.to_string())?;
                hashes.feed(&chunk).await?;
                done += end - offset;
                offset = end;
                if clock::now().since(told).as_millis() > 100 {
                    told = clock::now();
                    self.show_creating(Some(Creating { name: name.to_owned(), done, total }));
                }
            }
        }
        let metainfo = plan.finish(&hashes.finish().await?).map_err(|error| error.to_string())?;
        check_numbers(&metainfo)?;
        self.seed(metainfo, folder, &store);
        Ok(())
    }

    fn seed(self: &Rc<Self>, metainfo: Metainfo, folder: &str, store: &Rc<Store>) {
        let info_hash = metainfo.info_hash();
        let have = Bitfield::full(metainfo.geometry().pieces());
        let tracker = self.host.borrow().tracker();
        store.close(folder);
        let source = TorrentSource::Metainfo(Arc::new(metainfo));
        let add = AddTorrent {
            start: Start::Trust(have),
            trackers: vec![vec![tracker]],
            ..AddTorrent::new(source)
        };
        // The link comes with planting, so that nobody passes on one that does not work yet.
        let entry = Entry { added: clock::seconds_since_1970(), plant: true, ..Entry::default() };
        let key = self.add_in(info_hash, add, entry, folder.to_owned(), None);
        self.save(key);
        if self.may_plant() {
            self.plant(key);
        } else {
            self.set_link(key, None);
            let text =
                "It is shared from this tab, but the host plants for nobody, so only those can find it who \
                        announce elsewhere."
                    .to_owned();
            self.tell(View::Notice(Notice { level: Level::Info, text }));
        }
    }

    fn client(&self) -> String {
        self.engine.borrow().config().client.clone()
    }

    fn show_creating(&self, creating: Option<Creating>) {
        self.creating.borrow_mut().clone_from(&creating);
        self.tell(View::Creating(creating));
    }
}

fn plan(
    name: &str,
    paths: &[Vec<String>],
    files: &[File],
    options: Options,
) -> Result<Plan, anatomic_core::create::CreateError> {
    // Sizes are whole and not negative.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let length = |file: &File| file.size() as u64;
    if let ([path], [file]) = (paths, files)
        && path.is_empty()
    {
        return Plan::file(name, length(file), options);
    }
    let sources =
        paths.iter().zip(files).map(|(path, file)| Source { path: path.clone(), length: length(file) });
    Plan::folder(name, sources.collect(), options)
}

/// The store numbers the files of a torrent; a plan without pad files numbers them the same.
fn check_numbers(metainfo: &Metainfo) -> Result<(), String> {
    let plain = metainfo.files().iter().all(|file| file.kind == FileKind::Content);
    plain.then_some(()).ok_or_else(|| "the files could not be laid out".to_owned())
}

async fn read(file: &File, start: u64, end: u64) -> Result<Uint8Array, String> {
    let fail = |error: JsValue| format!("{} cannot be read: {}", file.name(), reason(&error));
    // Exact up to 2^53.
    #[expect(clippy::cast_precision_loss)]
    let slice = file.slice_with_f64_and_f64(start as f64, end as f64).map_err(fail)?;
    let buffer = JsFuture::from(slice.array_buffer()).await.map_err(fail)?;
    let bytes = Uint8Array::new(&buffer);
    if u64::from(bytes.length()) == end - start {
        Ok(bytes)
    } else {
        Err(format!("{} changed while it was read", file.name()))
    }
}

/// Digests of the pieces, as bytes come.
struct Hashes {
    piece: Uint8Array,
    filled: u32,
    digests: Vec<Sha1Hash>,
}

impl Hashes {
    fn new(plan: &Plan) -> Self {
        let piece = Uint8Array::new_with_length(plan.geometry().piece_length());
        Self { piece, filled: 0, digests: Vec::new() }
    }

    async fn feed(&mut self, bytes: &Uint8Array) -> Result<(), String> {
        let mut at = 0;
        while at < bytes.length() {
            let take = (bytes.length() - at).min(self.piece.length() - self.filled);
            self.piece.set(&bytes.subarray(at, at + take), self.filled);
            self.filled += take;
            at += take;
            if self.filled == self.piece.length() {
                self.digests.push(hashing::sha1_of(&self.piece).await?);
                self.filled = 0;
            }
        }
        Ok(())
    }

    async fn finish(mut self) -> Result<Vec<Sha1Hash>, String> {
        if self.filled > 0 {
            let last = self.piece.slice(0, self.filled);
            self.digests.push(hashing::sha1_of(&last).await?);
        }
        Ok(self.digests)
    }
}
