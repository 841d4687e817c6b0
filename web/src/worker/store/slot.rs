//! A small record that survives a crash at any moment: two files written in turn, the newer whole one counts.
//!
//! Not for content. What is in a record is its owner's business.

use super::handles::{Missing, open};
use super::{StoreError, read_all, write_all};
use sha1::{Digest as _, Sha1};
use std::cell::Cell;
use web_sys::FileSystemDirectoryHandle;

/// First bytes of a record; the last is the version of this form.
const MAGIC: [u8; 8] = *b"anatomi\x01";
/// Magic, sequence number, length, SHA-1 of the content.
const HEADER: usize = 8 + 8 + 8 + 20;
/// Larger than any record, in bytes: a damaged length shall not fill the memory.
const MAX: f64 = 64.0 * 1024.0 * 1024.0;

/// A record under a name in a folder.
pub struct Slot {
    folder: FileSystemDirectoryHandle,
    name: &'static str,
    sequence: Cell<u64>,
}

impl Slot {
    /// The record and its present content, if it has one.
    ///
    /// # Errors
    /// The browser's; a damaged record is none.
    pub async fn open(
        folder: FileSystemDirectoryHandle,
        name: &'static str,
    ) -> Result<(Self, Option<Vec<u8>>), StoreError> {
        let mut newest: Option<(u64, Vec<u8>)> = None;
        for side in 0..2u8 {
            let file = match open(&folder, &file_name(name, side), Missing::Fail).await {
                Ok(file) => file,
                Err(StoreError::Missing) => continue,
                Err(other) => return Err(other),
            };
            let size = file.get_size()?;
            // Whole and far below 4 GiB after the check.
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let mut bytes = vec![0; if size <= MAX { size as usize } else { 0 }];
            let read = read_all(&file, &mut bytes, 0);
            file.close();
            read?;
            if let Some((sequence, content)) = decode(&bytes)
                && newest.as_ref().is_none_or(|(best, _)| sequence > *best)
            {
                newest = Some((sequence, content.to_vec()));
            }
        }
        let sequence = newest.as_ref().map_or(0, |(sequence, _)| *sequence);
        Ok((Self { folder, name, sequence: Cell::new(sequence) }, newest.map(|(_, content)| content)))
    }

    /// Replaces the content. Until it is wholly written the old one counts.
    ///
    /// # Errors
    /// Why it could not be written; the old content still counts.
    pub async fn write(&self, content: &[u8]) -> Result<(), StoreError> {
        let sequence = self.sequence.get() + 1;
        let side = u8::from(sequence % 2 == 1);
        let file = open(&self.folder, &file_name(self.name, side), Missing::Create).await?;
        let written = (|| {
            let bytes = encode(sequence, content);
            write_all(&file, &bytes, 0)?;
            file.truncate_with_f64(bytes.len() as f64)?;
            Ok(())
        })();
        file.close();
        if written.is_ok() {
            self.sequence.set(sequence);
        }
        written
    }
}

fn file_name(name: &str, side: u8) -> String {
    format!("{name}.{side}")
}

fn encode(sequence: u64, content: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER + content.len());
    bytes.extend(MAGIC);
    bytes.extend(sequence.to_be_bytes());
    bytes.extend((content.len() as u64).to_be_bytes());
    bytes.extend(digest(sequence, content));
    bytes.extend(content);
    bytes
}

fn decode(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (magic, rest) = bytes.split_first_chunk::<8>()?;
    let (sequence, rest) = rest.split_first_chunk::<8>()?;
    let (length, rest) = rest.split_first_chunk::<8>()?;
    let (sum, rest) = rest.split_first_chunk::<20>()?;
    let (sequence, length) = (u64::from_be_bytes(*sequence), u64::from_be_bytes(*length));
    let content = rest.get(..usize::try_from(length).ok()?)?;
    (*magic == MAGIC && *sum == digest(sequence, content)).then_some((sequence, content))
}

fn digest(sequence: u64, content: &[u8]) -> [u8; 20] {
    let mut sha1 = Sha1::new();
    sha1.update(sequence.to_be_bytes());
    sha1.update(content);
    sha1.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_back_whatever_follows_it() {
        let mut bytes = encode(7, b"content");
        bytes.extend(b"left from a longer one");
        assert_eq!(decode(&bytes), Some((7, b"content".as_slice())));
    }

    #[test]
    fn a_record_cut_or_changed_anywhere_does_not_count() {
        let bytes = encode(7, b"content");
        for at in 0..bytes.len() {
            assert_eq!(decode(&bytes[..at]), None);
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert_eq!(decode(&changed), None);
        }
    }
}
