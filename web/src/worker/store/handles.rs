//! Files held open: synchronous access handles, of which a browser likes to give some but not thousands.
//!
//! Not what is in them. A file is opened when it is first needed; the one unused for longest is closed for it.

use super::{StoreError, folder};
use std::cell::RefCell;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    FileSystemDirectoryHandle, FileSystemFileHandle, FileSystemGetFileOptions, FileSystemSyncAccessHandle,
};

/// Files open at a time.
const OPEN: usize = 96;
/// How often and how long to wait for a file that the worker of a tab just closed still holds.
const PATIENCE: (u32, u32) = (40, 50);

/// What to do about a file that is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// Make it.
    Create,
    /// Say so.
    Fail,
}

/// The open files.
pub struct Handles {
    torrents: FileSystemDirectoryHandle,
    open: RefCell<Vec<Open>>,
    folders: RefCell<Vec<(String, FileSystemDirectoryHandle)>>,
}

/// Most recently used last.
struct Open {
    folder: String,
    file: u32,
    handle: FileSystemSyncAccessHandle,
}

impl Handles {
    /// None open yet.
    #[must_use]
    pub fn new(torrents: FileSystemDirectoryHandle) -> Self {
        Self { torrents, open: RefCell::default(), folders: RefCell::default() }
    }

    /// The file `file` of the torrent in `name`.
    ///
    /// # Errors
    /// [`StoreError::Missing`] if it is not there and not to be made; else the browser's.
    pub async fn get(
        &self,
        name: &str,
        file: u32,
        missing: Missing,
    ) -> Result<FileSystemSyncAccessHandle, StoreError> {
        // Somebody else may be opening it just now.
        patiently(async || {
            if let Some(handle) = self.find(name, file) {
                return Ok(Some(handle));
            }
            let files = self.files_of(name, missing).await?;
            let Some(handle) = try_open(&files, &file.to_string(), missing).await? else { return Ok(None) };
            let mut open = self.open.borrow_mut();
            if open.len() >= OPEN {
                open.remove(0).handle.close();
            }
            open.push(Open { folder: name.to_owned(), file, handle: handle.clone() });
            Ok(Some(handle))
        })
        .await
    }

    /// Flushes and closes the files of a torrent.
    pub fn close(&self, name: &str) {
        self.folders.borrow_mut().retain(|(folder, _)| folder != name);
        self.open.borrow_mut().retain(|open| {
            if open.folder != name {
                return true;
            }
            // What could not be flushed was still written; only a loss of power could harm it.
            let _ = open.handle.flush();
            open.handle.close();
            false
        });
    }

    fn find(&self, name: &str, file: u32) -> Option<FileSystemSyncAccessHandle> {
        let mut all = self.open.borrow_mut();
        let at = all.iter().rposition(|open| open.file == file && open.folder == name)?;
        let last = all.len() - 1;
        if at != last {
            let open = all.remove(at);
            all.push(open);
        }
        all.last().map(|open| open.handle.clone())
    }

    async fn files_of(&self, name: &str, missing: Missing) -> Result<FileSystemDirectoryHandle, StoreError> {
        let known =
            self.folders.borrow().iter().find(|(folder, _)| folder == name).map(|(_, files)| files.clone());
        if let Some(files) = known {
            return Ok(files);
        }
        let torrent = folder(&self.torrents, name, missing).await?;
        let files = folder(&torrent, "files", missing).await?;
        self.folders.borrow_mut().push((name.to_owned(), files.clone()));
        Ok(files)
    }
}

/// Opens a file for synchronous access, waiting for another tab to let go of it.
///
/// # Errors
/// [`StoreError::Missing`] if it is not there and not to be made; else the browser's.
pub async fn open(
    parent: &FileSystemDirectoryHandle,
    name: &str,
    missing: Missing,
) -> Result<FileSystemSyncAccessHandle, StoreError> {
    patiently(async || try_open(parent, name, missing).await).await
}

/// Does what another tab's worker, or a part of this one, may be in the way of: again and again for some seconds, as
/// long as `attempt` gives `None`.
///
/// # Errors
/// That of the attempt, or that the file is still held.
pub async fn patiently<T>(attempt: impl AsyncFn() -> Result<Option<T>, StoreError>) -> Result<T, StoreError> {
    let (tries, pause) = PATIENCE;
    for _ in 0..tries {
        if let Some(done) = attempt().await? {
            return Ok(done);
        }
        crate::browser::sleep(pause).await;
    }
    Err(StoreError::Browser("another tab still holds the file; close it and try again".into()))
}

/// Whether a failure means that the file is open elsewhere.
#[must_use]
pub fn is_held(error: &JsValue) -> bool {
    crate::browser::name_of(error) == "NoModificationAllowedError"
}

/// Opens a file; `None` if it is open elsewhere.
async fn try_open(
    parent: &FileSystemDirectoryHandle,
    name: &str,
    missing: Missing,
) -> Result<Option<FileSystemSyncAccessHandle>, StoreError> {
    let options = FileSystemGetFileOptions::new();
    options.set_create(missing == Missing::Create);
    let file: FileSystemFileHandle =
        JsFuture::from(parent.get_file_handle_with_options(name, &options)).await?.unchecked_into();
    match JsFuture::from(file.create_sync_access_handle()).await {
        Ok(handle) => Ok(Some(handle.unchecked_into())),
        Err(error) if is_held(&error) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
