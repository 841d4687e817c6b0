//! Files that people drop, pick and save.
//!
//! Not what becomes of them: the worker hashes, plants and stores.

use super::Session;
use crate::browser::reason;
use crate::protocol::{Begin, Command, Plant};
use anatomic_core::collections::BTreeMap;
use js_sys::{Array, Function, Promise};
use std::rc::Rc;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    Blob, DataTransfer, File, FileSystemDirectoryEntry, FileSystemDirectoryHandle, FileSystemEntry,
    FileSystemFileEntry, FileSystemFileHandle, HtmlAnchorElement, Url,
};

/// Larger than any sensible metainfo file, in bytes: what is larger is content.
const MAX_METAINFO: f64 = 32.0 * 1024.0 * 1024.0;
/// Most files taken from one drop.
const MAX_FILES: usize = 50_000;

/// Names, in lower case, of files and folders that Finder, Explorer and desktops leave behind.
const LITTER: [&str; 12] = [
    ".ds_store",
    ".localized",
    ".spotlight-v100",
    ".trashes",
    ".fseventsd",
    ".temporaryitems",
    "__macosx",
    "icon\r",
    "thumbs.db",
    "desktop.ini",
    "$recycle.bin",
    ".directory",
];

/// A file with its path below what was dropped or picked.
struct Found {
    path: Vec<String>,
    file: File,
}

/// Adds what was picked: each `.torrent` as a torrent, all else together as one new torrent.
///
/// # Errors
/// In plain words.
pub async fn take_picked(
    session: &Rc<Session>,
    files: Vec<File>,
    begin: Begin,
    plant: Plant,
) -> Result<(), String> {
    let found = files.into_iter().map(|file| Found { path: path_of(&file), file });
    take(session, found.filter(|found| !is_litter(&found.path)).collect(), begin, plant).await
}

/// The things that were dropped. They must be read while the event is being handled, so this does not wait.
#[must_use]
pub fn dropped(transfer: &DataTransfer) -> Vec<FileSystemEntry> {
    let items = transfer.items();
    (0..items.length())
        .filter_map(|at| items.get(at))
        .filter_map(|item| item.webkit_get_as_entry().ok().flatten())
        .collect()
}

/// Adds what was dropped, folders with all that is in them.
///
/// # Errors
/// In plain words.
pub async fn take_dropped(
    session: &Rc<Session>,
    entries: Vec<FileSystemEntry>,
    begin: Begin,
    plant: Plant,
) -> Result<(), String> {
    let mut found = Vec::new();
    let mut waiting: Vec<(Vec<String>, FileSystemEntry)> =
        entries.into_iter().rev().map(|entry| (Vec::new(), entry)).collect();
    while let Some((mut path, entry)) = waiting.pop() {
        path.push(entry.name());
        if is_litter(&path) {
            continue;
        }
        if entry.is_directory() {
            let inside = children(entry.unchecked_ref()).await.map_err(|error| reason(&error))?;
            waiting.extend(inside.into_values().rev().map(|child| (path.clone(), child)));
        } else {
            let file = file_of(entry.unchecked_ref()).await.map_err(|error| reason(&error))?;
            found.push(Found { path, file });
        }
        if found.len() > MAX_FILES {
            return Err(format!(
                "That is more than {MAX_FILES} files; a torrent of so many would serve nobody."
            ));
        }
    }
    if found.is_empty() {
        return Err("There is nothing to share in that: it holds no file.".into());
    }
    take(session, found, begin, plant).await
}

async fn take(session: &Rc<Session>, found: Vec<Found>, begin: Begin, plant: Plant) -> Result<(), String> {
    let (metainfo, content): (Vec<_>, Vec<_>) = found.into_iter().partition(|found| {
        found.path.len() == 1 && found.file.name().ends_with(".torrent") && found.file.size() <= MAX_METAINFO
    });
    for Found { file, .. } in metainfo {
        let buffer = JsFuture::from(file.array_buffer())
            .await
            .map_err(|error| format!("{} cannot be read: {}", file.name(), reason(&error)))?;
        session.command(Command::AddTorrent { name: file.name(), begin, plant }, &[buffer]);
    }
    let Some((name, paths)) = named(&content) else { return Ok(()) };
    let files: Vec<JsValue> = content.into_iter().map(|found| found.file.into()).collect();
    session.command(Command::Create { name, paths, plant }, &files);
    Ok(())
}

/// Name of the torrent and paths below it: one file alone, one folder, or several things under a common name.
fn named(content: &[Found]) -> Option<(String, Vec<Vec<String>>)> {
    let first = content.first()?;
    let top = first.path.first()?.clone();
    let paths = content.iter().map(|found| found.path.clone());
    if content.len() == 1 && first.path.len() == 1 {
        return Some((top, vec![Vec::new()]));
    }
    if content.iter().all(|found| found.path.len() > 1 && found.path.first() == Some(&top)) {
        return Some((top, paths.map(|path| path.into_iter().skip(1).collect()).collect()));
    }
    Some((format!("{top} and {} more", content.len() - 1), paths.collect()))
}

/// Whether a path lies in, or is, what an operating system leaves in people's folders: none of their content.
fn is_litter(path: &[String]) -> bool {
    // What was picked or dropped by name itself is meant; only what lies below may be litter.
    path.iter().skip(1).any(|name| {
        let name = name.to_ascii_lowercase();
        name.starts_with("._") || LITTER.contains(&name.as_str())
    })
}

fn path_of(file: &File) -> Vec<String> {
    // A picked folder gives `folder/sub/name`; a picked file nothing.
    let relative =
        js_sys::Reflect::get(file, &"webkitRelativePath".into()).ok().and_then(|path| path.as_string());
    match relative {
        Some(path) if !path.is_empty() => path.split('/').map(str::to_owned).collect(),
        _ => vec![file.name()],
    }
}

async fn file_of(entry: &FileSystemFileEntry) -> Result<File, JsValue> {
    let promise = Promise::new(&mut |resolve, reject| {
        call(entry, "file", &resolve.unchecked_into(), &reject.unchecked_into());
    });
    JsFuture::from(promise).await?.dyn_into()
}

/// What a folder holds, by name: its own order is nothing that a torrent should depend on.
async fn children(folder: &FileSystemDirectoryEntry) -> Result<BTreeMap<String, FileSystemEntry>, JsValue> {
    let reader = folder.create_reader();
    let mut all = BTreeMap::new();
    loop {
        // A reader gives some at a time, and none at the end.
        let promise = Promise::new(&mut |resolve, reject| {
            call(&reader, "readEntries", &resolve.unchecked_into(), &reject.unchecked_into());
        });
        let some: Array = JsFuture::from(promise).await?.unchecked_into();
        if some.length() == 0 || all.len() > MAX_FILES {
            break;
        }
        let some = some.iter().map(JsCast::unchecked_into::<FileSystemEntry>);
        all.extend(some.map(|entry| (entry.name(), entry)));
    }
    Ok(all)
}

fn call(on: &JsValue, method: &str, resolve: &Function, reject: &Function) {
    let result = js_sys::Reflect::get(on, &method.into())
        .and_then(|method| method.dyn_into::<Function>())
        .and_then(|method| method.call2(on, resolve, reject));
    if let Err(error) = result {
        let _ = reject.call1(&JsValue::UNDEFINED, &error);
    }
}

/// The address under which the service worker serves a file, complete or not.
#[must_use]
pub fn address(id: &str, index: u32, path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or(path);
    format!("/files/{id}/{index}/{}", String::from(js_sys::encode_uri_component(name)))
}

/// A complete file from the browser's storage.
///
/// # Errors
/// In plain words.
pub async fn stored(folder: &str, index: u32) -> Result<File, String> {
    let lookup = async {
        let storage = web_sys::window().ok_or(JsValue::NULL)?.navigator().storage();
        let mut directory: FileSystemDirectoryHandle =
            JsFuture::from(storage.get_directory()).await?.unchecked_into();
        for name in ["torrents", folder, "files"] {
            directory = JsFuture::from(directory.get_directory_handle(name)).await?.unchecked_into();
        }
        let handle: FileSystemFileHandle =
            JsFuture::from(directory.get_file_handle(&index.to_string())).await?.unchecked_into();
        JsFuture::from(handle.get_file()).await?.dyn_into::<File>()
    };
    lookup.await.map_err(|error: JsValue| {
        format!("The file cannot be read from the browser's storage: {}", reason(&error))
    })
}

/// An address, for as long as this page is open, of a complete file in the browser's storage.
///
/// # Errors
/// In plain words.
pub async fn stored_address(folder: &str, index: u32) -> Result<String, String> {
    let file = stored(folder, index).await?;
    Url::create_object_url_with_blob(&file).map_err(|error| reason(&error))
}

/// Has the browser save a complete file under its name.
///
/// # Errors
/// In plain words.
pub async fn save(folder: &str, index: u32, path: &str, length: u64) -> Result<(), String> {
    // The store keeps no file without bytes.
    let file: Blob = match length {
        0 => Blob::new().map_err(|error| reason(&error))?,
        _ => stored(folder, index).await?.into(),
    };
    save_as(&file, path)
}

/// Has the browser save bytes under the name at the end of `path`.
///
/// # Errors
/// In plain words.
pub fn save_as(file: &Blob, path: &str) -> Result<(), String> {
    let save = || -> Result<(), JsValue> {
        let url = Url::create_object_url_with_blob(file)?;
        let document = web_sys::window().and_then(|window| window.document()).ok_or(JsValue::NULL)?;
        let anchor: HtmlAnchorElement = document.create_element("a")?.unchecked_into();
        anchor.set_href(&url);
        anchor.set_download(path.rsplit('/').next().unwrap_or(path));
        anchor.click();
        wasm_bindgen_futures::spawn_local(async move {
            // The browser needs the address until the download has begun, which no event tells.
            crate::browser::sleep(60_000).await;
            let _ = Url::revoke_object_url(&url);
        });
        Ok(())
    };
    save().map_err(|error| format!("The browser did not save the file: {}", reason(&error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_systems_leave_in_folders_is_not_shared() {
        let litter = |path: &str| is_litter(&path.split('/').map(str::to_owned).collect::<Vec<_>>());
        for path in ["photos/.DS_Store", "photos/a/Thumbs.db", "photos/._a.jpg", "photos/__MACOSX/a.jpg"] {
            assert!(litter(path), "{path}");
        }
        for path in ["photos/.hidden", "photos/a.jpg", "desktop.ini", "photos/.git/config"] {
            assert!(!litter(path), "{path}");
        }
    }
}
