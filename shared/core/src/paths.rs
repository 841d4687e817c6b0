//! Names of files as strangers wrote them, made safe: never refused, never outside the torrent's folder.
//!
//! Only what is dangerous everywhere is changed (separators, `.` and `..`, control and direction characters,
//! over-long names, doubles), so that a folder that a classic client made is still found. What a particular disk
//! cannot hold is that disk's driver's business.

use crate::metainfo::{File, FileKind, MAX_DUPLICATES, MetainfoError};
use std::collections::HashMap;
use std::collections::hash_map::Entry::Vacant;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// Longest element in bytes; disks allow 255, and a suffix must still fit.
const MAX_ELEMENT: usize = 240;
/// An extension of up to so many bytes, dot included, survives the cut.
const MAX_EXTENSION: usize = 16;

/// One element of a path made safe; `None` if nothing is left of it (such as `..`).
///
/// Bytes that are no UTF-8 become `_`.
#[must_use]
pub fn sanitise(name: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(name);
    let clean: String =
        text.chars().filter(|c| !is_dropped(*c)).map(|c| if c == '\u{fffd}' { '_' } else { c }).collect();
    if clean.is_empty() || clean == "." || clean == ".." {
        return None;
    }
    Some(cut(clean))
}

/// Like [`sanitise`], but an element that was empty from the start becomes `_`.
#[must_use]
pub fn sanitise_element(name: &[u8]) -> Option<String> {
    if name.is_empty() { Some("_".to_owned()) } else { sanitise(name) }
}

fn is_dropped(c: char) -> bool {
    matches!(c,
        '/' | '\\'
        // Characters that turn the direction of writing let `exe.txt` end in something else.
        | '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        || c.is_control()
}

/// Shortens an over-long name in its middle: the extension tells people and programs what it is.
fn cut(name: String) -> String {
    if name.len() <= MAX_ELEMENT {
        return name;
    }
    let extension = name.rfind('.').and_then(|dot| name.get(dot..)).filter(|ext| ext.len() <= MAX_EXTENSION);
    let extension = extension.unwrap_or_default();
    let mut end = MAX_ELEMENT - extension.len();
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{extension}", name.get(..end).unwrap_or_default())
}

/// Gives a number to every file whose path is that of an earlier file, or that of a folder.
pub(crate) fn make_unique(files: &mut [File]) -> Result<(), MetainfoError> {
    // Hashes instead of the paths: 10 MB of metainfo could else name gigabytes of folders. A collision only
    // costs a needless number. The hasher is unkeyed, so the outcome is the same everywhere.
    // With each, which number a double tries next: a stranger's list of `a.1, a.2, …` is walked once, not once a double.
    let mut taken: HashMap<u64, u32> = HashMap::new();
    for file in files.iter().filter(|file| file.kind == FileKind::Content) {
        taken.extend(folders(&file.path).map(|folder| (folder, 1)));
    }
    let mut doubles = 0;
    for file in files.iter_mut().filter(|file| file.kind == FileKind::Content) {
        let original = whole(&file.path);
        let Some(mut next) = taken.insert(original, 1) else { continue };
        doubles += 1;
        if doubles > MAX_DUPLICATES {
            return Err(MetainfoError::TooManyDuplicates);
        }
        let Some(name) = file.path.pop() else { continue };
        loop {
            file.path.push(numbered(&name, next));
            next += 1;
            if let Vacant(place) = taken.entry(whole(&file.path)) {
                place.insert(1);
                break;
            }
            file.path.pop();
        }
        taken.insert(original, next);
    }
    Ok(())
}

/// `report.pdf` becomes `report.1.pdf`.
fn numbered(name: &str, number: u32) -> String {
    match name.rsplit_once('.').filter(|(stem, _)| !stem.is_empty()) {
        Some((stem, extension)) => format!("{stem}.{number}.{extension}"),
        None => format!("{name}.{number}"),
    }
}

fn whole(path: &[String]) -> u64 {
    let mut hasher = DefaultHasher::new();
    path.iter().for_each(|element| element.hash(&mut hasher));
    hasher.finish()
}

fn folders(path: &[String]) -> impl Iterator<Item = u64> + '_ {
    let mut hasher = DefaultHasher::new();
    path.iter().take(path.len().saturating_sub(1)).map(move |element| {
        element.hash(&mut hasher);
        hasher.finish()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leaves_its_folder() {
        for (name, safe) in [
            (&b"plain.txt"[..], Some("plain.txt")),
            (b"..", None),
            (b".", None),
            (b"/", None),
            (b"..\\", None),
            (b"../..", Some("....")),
            (b"/etc/passwd", Some("etcpasswd")),
            (b"a\0b\x1f\x7f", Some("ab")),
            (b"\xff\xfe.txt", Some("__.txt")),
            ("evil\u{202e}txt.exe".as_bytes(), Some("eviltxt.exe")),
            (b"ends with space ", Some("ends with space ")),
        ] {
            assert_eq!(sanitise(name).as_deref(), safe, "{}", name.escape_ascii());
        }
        assert_eq!(sanitise_element(b"").as_deref(), Some("_"));
    }

    #[test]
    fn an_over_long_name_keeps_its_extension() {
        let name = "ä".repeat(300) + ".tar.gz";
        let short = sanitise(name.as_bytes()).unwrap();
        assert!(short.len() <= MAX_ELEMENT && short.ends_with(".gz"));
        assert_eq!(sanitise(&[b'x'; 1_000]).unwrap().len(), MAX_ELEMENT);
    }

    fn file(path: &[&str]) -> File {
        File {
            path: path.iter().map(|element| (*element).to_owned()).collect(),
            length: 1,
            offset: 0,
            kind: FileKind::Content,
            executable: false,
            hidden: false,
            symlink: None,
        }
    }

    #[test]
    fn doubles_and_names_of_folders_get_a_number() {
        let mut files = [
            file(&["t", "a.txt"]),
            file(&["t", "a.txt"]),
            file(&["t", "a.1.txt"]),
            file(&["t", "b"]),
            file(&["t", "b", "c"]),
        ];
        make_unique(&mut files).unwrap();
        let paths: Vec<_> = files.iter().map(|file| file.path.join("/")).collect();
        assert_eq!(paths, ["t/a.txt", "t/a.1.txt", "t/a.1.1.txt", "t/b.1", "t/b/c"]);
    }

    #[test]
    fn more_than_500_doubles_are_refused() {
        let mut files = vec![file(&["t", "same"]); 501];
        assert!(make_unique(&mut files).is_ok());
        let mut files = vec![file(&["t", "same"]); 502];
        assert_eq!(make_unique(&mut files), Err(MetainfoError::TooManyDuplicates));
    }
}
