//! Open files, the least recently used closed first.
//!
//! A torrent may have thousands of files and a process may open few; opening one for every block would cost more than
//! the block. Which file to open is the caller's decision.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

/// Names an open file: a store's number and the file's index in its torrent.
pub(super) type HandleKey = (u64, u32);

/// What a file is opened for. A writable handle also serves readers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Access {
    Read,
    Write,
}

/// A bounded set of open files, shared by all stores of a process.
#[derive(Debug)]
pub struct Handles {
    open: Mutex<Open>,
    capacity: usize,
}

#[derive(Debug, Default)]
struct Open {
    files: HashMap<HandleKey, Entry>,
    clock: u64,
    stores: u64,
}

#[derive(Debug)]
struct Entry {
    file: Arc<File>,
    access: Access,
    used: u64,
}

impl Default for Handles {
    /// 40 files, as libtorrent keeps: enough for every torrent being busy, far below any system's limit.
    fn default() -> Self {
        Self::new(40)
    }
}

impl Handles {
    /// At most `capacity` files stay open, at least one.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { open: Mutex::default(), capacity: capacity.max(1) }
    }

    /// A number for a new store.
    pub(super) fn next_store(&self) -> u64 {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.stores += 1;
        open.stores
    }

    /// The open file, or what `opener` opens. The lock is not held while opening: a slow disk stops nobody else.
    pub(super) fn get(
        &self,
        key: HandleKey,
        access: Access,
        opener: impl FnOnce() -> io::Result<File>,
    ) -> io::Result<Arc<File>> {
        {
            let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            open.clock += 1;
            let now = open.clock;
            if let Some(entry) = open.files.get_mut(&key)
                && entry.access >= access
            {
                entry.used = now;
                return Ok(Arc::clone(&entry.file));
            }
        }
        let file = Arc::new(opener()?);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let used = open.clock;
        open.files.insert(key, Entry { file: Arc::clone(&file), access, used });
        let mut evicted = Vec::new();
        while open.files.len() > self.capacity {
            let oldest = open.files.iter().min_by_key(|(other, entry)| (**other == key, entry.used));
            let Some(oldest) = oldest.map(|(key, _)| *key) else { break };
            evicted.extend(open.files.remove(&oldest));
        }
        // Closing a file can wait for the disk; not under the lock.
        drop(open);
        drop(evicted);
        Ok(file)
    }

    /// Closes the files of one store.
    pub(super) fn close(&self, store: u64) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.files.retain(|(owner, _), _| *owner != store);
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.open.lock().unwrap().files.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn null() -> io::Result<File> {
        File::open("/dev/null")
    }

    #[test]
    fn the_least_recently_used_file_is_closed() {
        let handles = Handles::new(2);
        handles.get((1, 0), Access::Read, null).unwrap();
        handles.get((1, 1), Access::Read, null).unwrap();
        handles.get((1, 0), Access::Read, || panic!("was open")).unwrap();
        handles.get((1, 2), Access::Read, null).unwrap();
        handles.get((1, 0), Access::Read, || panic!("was used last")).unwrap();
        assert_eq!(handles.len(), 2);
        let mut opened_again = false;
        handles.get((1, 1), Access::Read, || null().inspect(|_| opened_again = true)).unwrap();
        assert!(opened_again);
    }

    #[test]
    fn a_writer_does_not_get_a_reading_handle() {
        let handles = Handles::new(2);
        handles.get((1, 0), Access::Read, null).unwrap();
        let mut opened = false;
        handles.get((1, 0), Access::Write, || null().inspect(|_| opened = true)).unwrap();
        assert!(opened);
        handles.get((1, 0), Access::Read, || panic!("a writable handle serves readers")).unwrap();
        handles.close(1);
        assert_eq!(handles.len(), 0);
    }
}
