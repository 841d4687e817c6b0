//! The browser's private files (OPFS): the bytes of torrents, and what must survive a reload.
//!
//! `torrents/FOLDER/files/INDEX` holds a torrent's file by its number, so that no stranger's path becomes a name here;
//! [`slot`] keeps small records. Knows pieces and files, not what a torrent is doing.

pub mod handles;
pub mod slot;

use crate::browser::{name_of, reason};
use anatomic_core::metainfo::{FileKind, Metainfo, Span};
use bytes::Bytes;
use handles::{Handles, Missing};
use js_sys::{AsyncIterator, Uint8Array};
use std::rc::Rc;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    FileSystemDirectoryHandle, FileSystemGetDirectoryOptions, FileSystemRemoveOptions,
    FileSystemSyncAccessHandle, StorageEstimate,
};

/// Why the store could not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The browser allows no more.
    #[error(
        "The browser's storage is full. Remove a torrent with its files, or free disk space, and press “Try again”."
    )]
    Full,
    /// The bytes are not there.
    #[error(
        "The file is not, or not wholly, in the browser's storage. It may have been cleared; add the torrent again."
    )]
    Missing,
    /// Anything else, in the browser's words.
    #[error("The browser's storage failed: {0}")]
    Browser(String),
}

impl From<JsValue> for StoreError {
    fn from(error: JsValue) -> Self {
        match name_of(&error).as_str() {
            "QuotaExceededError" => Self::Full,
            "NotFoundError" => Self::Missing,
            _ => Self::Browser(reason(&error)),
        }
    }
}

/// The torrents' folder and the files open in it.
pub struct Store {
    torrents: FileSystemDirectoryHandle,
    root: FileSystemDirectoryHandle,
    handles: Handles,
}

impl Store {
    /// Opens the browser's storage.
    ///
    /// # Errors
    /// When this browser or address has none.
    pub async fn open() -> Result<Rc<Self>, StoreError> {
        let navigator = super::clock::scope().navigator();
        let storage = js_sys::Reflect::get(&navigator, &"storage".into()).unwrap_or(JsValue::UNDEFINED);
        if storage.is_undefined() {
            return Err(StoreError::Browser(
                "pages have storage only at addresses that begin with https:// or at 127.0.0.1".into(),
            ));
        }
        let root: FileSystemDirectoryHandle =
            JsFuture::from(navigator.storage().get_directory()).await?.unchecked_into();
        let torrents = folder(&root, "torrents", Missing::Create).await?;
        // Ask that the browser not clear it by itself; it may say no.
        let _ = navigator.storage().persist();
        Ok(Rc::new(Self { handles: Handles::new(torrents.clone()), torrents, root }))
    }

    /// The folders of torrents.
    ///
    /// # Errors
    /// The browser's.
    pub async fn folders(&self) -> Result<Vec<String>, StoreError> {
        let keys: AsyncIterator = self.torrents.keys().unchecked_into();
        let mut names = Vec::new();
        loop {
            let next: js_sys::IteratorNext = JsFuture::from(keys.next()?).await?.unchecked_into();
            if next.done() {
                return Ok(names);
            }
            names.extend(next.value().as_string());
        }
    }

    /// Where the records of a torrent are.
    ///
    /// # Errors
    /// The browser's.
    pub async fn folder(&self, name: &str) -> Result<FileSystemDirectoryHandle, StoreError> {
        folder(&self.torrents, name, Missing::Create).await
    }

    /// Where the records of the whole page are.
    #[must_use]
    pub const fn root(&self) -> &FileSystemDirectoryHandle {
        &self.root
    }

    /// Stores the bytes `blocks` from byte `start` of the torrent on. Pad files are left out.
    ///
    /// # Errors
    /// Why not; then some of it may be stored.
    pub async fn write(
        &self,
        name: &str,
        metainfo: &Metainfo,
        start: u64,
        blocks: &[Bytes],
    ) -> Result<(), StoreError> {
        // One write a file costs less than one a block, even with the copy.
        let whole = match blocks {
            [one] => one.clone(),
            many => Bytes::from(many.concat()),
        };
        let mut rest = whole.as_ref();
        for span in metainfo.spans_at(start, whole.len() as u64) {
            let take = usize::try_from(span.length).unwrap_or(usize::MAX).min(rest.len());
            let (now, later) = rest.split_at_checked(take).unwrap_or((rest, &[]));
            if is_content(metainfo, span) {
                let file = self.handles.get(name, span.file.0, Missing::Create).await?;
                write_all(&file, now, span.offset)?;
            }
            rest = later;
        }
        Ok(())
    }

    /// Reads `length` bytes from byte `start` of the torrent; pad files are zeros.
    ///
    /// # Errors
    /// [`StoreError::Missing`] if they are not all there.
    pub async fn read(
        &self,
        name: &str,
        metainfo: &Metainfo,
        start: u64,
        length: usize,
    ) -> Result<Vec<u8>, StoreError> {
        let mut bytes = vec![0; length];
        let mut rest = bytes.as_mut_slice();
        for span in metainfo.spans_at(start, length as u64) {
            let take = usize::try_from(span.length).unwrap_or(usize::MAX).min(rest.len());
            let Some((now, later)) = rest.split_at_mut_checked(take) else { break };
            if is_content(metainfo, span) {
                let file = self.handles.get(name, span.file.0, Missing::Fail).await?;
                read_all(&file, now, span.offset)?;
            }
            rest = later;
        }
        Ok(bytes)
    }

    /// Stores bytes of one file that is being shared, as they come from the person's disk.
    ///
    /// # Errors
    /// Why not.
    pub async fn write_file(
        &self,
        name: &str,
        file: u32,
        bytes: &Uint8Array,
        at: u64,
    ) -> Result<(), StoreError> {
        let handle = self.handles.get(name, file, Missing::Create).await?;
        let options = web_sys::FileSystemReadWriteOptions::new();
        options.set_at(position(at));
        let written = handle.write_with_js_u8_array_and_options(bytes, &options)?;
        if written < f64::from(bytes.length()) { Err(StoreError::Full) } else { Ok(()) }
    }

    /// Makes the bytes of a torrent safe against a loss of power, and closes its files.
    pub fn close(&self, name: &str) {
        self.handles.close(name);
    }

    /// Deletes a torrent's records and files.
    ///
    /// # Errors
    /// The browser's.
    pub async fn remove(&self, name: &str) -> Result<(), StoreError> {
        self.close(name);
        let options = FileSystemRemoveOptions::new();
        options.set_recursive(true);
        handles::patiently(async || {
            match JsFuture::from(self.torrents.remove_entry_with_options(name, &options)).await {
                Ok(_) => Ok(Some(())),
                Err(error) if handles::is_held(&error) => Ok(None),
                Err(error) => match error.into() {
                    StoreError::Missing => Ok(Some(())),
                    other => Err(other),
                },
            }
        })
        .await
    }

    /// How much is used and how much allowed, in bytes.
    ///
    /// # Errors
    /// The browser's.
    pub async fn room(&self) -> Result<(u64, u64), StoreError> {
        let estimate: StorageEstimate =
            JsFuture::from(super::clock::scope().navigator().storage().estimate()?).await?.unchecked_into();
        // Sizes are whole numbers.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let whole = |size: Option<f64>| size.unwrap_or(0.0) as u64;
        Ok((whole(estimate.get_usage()), whole(estimate.get_quota())))
    }
}

/// A folder below `parent`.
async fn folder(
    parent: &FileSystemDirectoryHandle,
    name: &str,
    missing: Missing,
) -> Result<FileSystemDirectoryHandle, StoreError> {
    let options = FileSystemGetDirectoryOptions::new();
    options.set_create(missing == Missing::Create);
    Ok(JsFuture::from(parent.get_directory_handle_with_options(name, &options)).await?.unchecked_into())
}

fn is_content(metainfo: &Metainfo, span: Span) -> bool {
    metainfo.files().get(span.file.0 as usize).is_some_and(|file| file.kind == FileKind::Content)
}

/// Writes all of `bytes` at byte `at`.
fn write_all(file: &FileSystemSyncAccessHandle, bytes: &[u8], at: u64) -> Result<(), StoreError> {
    let options = web_sys::FileSystemReadWriteOptions::new();
    options.set_at(position(at));
    let written = file.write_with_u8_array_and_options(bytes, &options)?;
    // A browser writes less than asked only where the disk is full.
    if written < bytes.len() as f64 { Err(StoreError::Full) } else { Ok(()) }
}

/// Fills `bytes` from byte `at`.
fn read_all(file: &FileSystemSyncAccessHandle, bytes: &mut [u8], at: u64) -> Result<(), StoreError> {
    let options = web_sys::FileSystemReadWriteOptions::new();
    options.set_at(position(at));
    let wanted = bytes.len() as f64;
    let read = file.read_with_u8_array_and_options(bytes, &options)?;
    if read < wanted { Err(StoreError::Missing) } else { Ok(()) }
}

/// A position in a file as the browser counts: exact up to 2^53.
#[expect(clippy::cast_precision_loss)]
const fn position(at: u64) -> f64 {
    at as f64
}
