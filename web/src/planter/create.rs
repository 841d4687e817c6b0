//! Makes a torrent of files that a person dropped: copies them into the browser's storage and hashes them on the way.
//!
//! The copy is why seeding goes on after a reload, when the browser no longer lets the page read the originals.

use super::Planter;
use crate::browser::reason;
use crate::protocol::view::{Creating, View};
use crate::worker::{clock, hashing};
use anatomic_core::Sha1Hash;
use anatomic_core::create::{Options, Plan, Source};
use anatomic_core::metainfo::{FileKind, Metainfo};
use js_sys::{Array, Uint8Array};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::File;

/// Bytes read from a person's disk at a time.
const CHUNK: u64 = 4 * 1024 * 1024;

impl Planter {
    /// Makes a torrent of the files attached: the metainfo file.
    ///
    /// # Errors
    /// In plain words.
    pub(super) async fn create(
        &self,
        name: &str,
        paths: Vec<Vec<String>>,
        files: &Array,
        folder: &str,
        client: String,
    ) -> Result<Vec<u8>, String> {
        let files: Vec<File> = files.iter().map(JsCast::unchecked_into).collect();
        if paths.len() != files.len() {
            return Err("a file got lost".into());
        }
        let made = self.share(name, paths, &files, folder, client).await;
        if let Ok(store) = self.store().await {
            // The engine's worker opens them next.
            store.close(folder);
        }
        self.tell(View::Creating(None));
        made
    }

    async fn share(
        &self,
        name: &str,
        paths: Vec<Vec<String>>,
        files: &[File],
        folder: &str,
        client: String,
    ) -> Result<Vec<u8>, String> {
        let total_of = |done, total| View::Creating(Some(Creating { name: name.to_owned(), done, total }));
        self.tell(total_of(0, 0));
        let store = self.store().await.map_err(|error| error.to_string())?;
        let options = Options { created_by: Some(client), ..Options::default() };
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
                    self.tell(total_of(done, total));
                }
            }
        }
        let metainfo = plan.finish(&hashes.finish().await?).map_err(|error| error.to_string())?;
        check_numbers(&metainfo)?;
        Ok(metainfo.to_torrent())
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
