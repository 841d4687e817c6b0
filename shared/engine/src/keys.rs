//! Generational keys, and the slab that hands them out.
//!
//! A key that outlived its entry finds nothing: late answers for the dead fall on the floor. Keys mean nothing
//! outside the engine that made them.

use std::fmt;

/// What a key must offer so that a [`Slab`] can use it.
pub(crate) trait Key: Copy {
    fn from_parts(index: u32, generation: u32) -> Self;
    fn index(self) -> u32;
    fn generation(self) -> u32;
}

macro_rules! key {
    ($(#[$doc:meta])* $name:ident, $tag:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name {
            generation: u32,
            index: u32,
        }

        impl $name {
            /// The key as one number, unique for the engine's life: for drivers that pass keys through messages.
            #[must_use]
            pub const fn as_u64(self) -> u64 {
                ((self.generation as u64) << 32) | self.index as u64
            }

            /// The key that [`as_u64`](Self::as_u64) wrote. A number that is no key finds nothing.
            #[must_use]
            pub const fn from_u64(number: u64) -> Self {
                #[expect(clippy::cast_possible_truncation)]
                let key = Self { generation: (number >> 32) as u32, index: number as u32 };
                key
            }
        }

        impl Key for $name {
            fn from_parts(index: u32, generation: u32) -> Self {
                Self { generation, index }
            }
            fn index(self) -> u32 {
                self.index
            }
            fn generation(self) -> u32 {
                self.generation
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}{}.{}", $tag, self.index, self.generation)
            }
        }
    };
}

key!(
    /// One torrent of the engine, from `add` to `remove`.
    TorrentKey,
    "torrent"
);
key!(
    /// One connection, from `handle_connected` to `Output::Close` or `handle_closed`.
    PeerKey,
    "peer"
);
key!(
    /// One attempt to connect, from `Output::Dial` to its answer.
    DialKey,
    "dial"
);
key!(
    /// One announce to one tracker, from `Output::Announce` to `handle_announced`.
    AnnounceKey,
    "announce"
);
key!(
    /// One job for storage or hashing, from `Output::Job` to `handle_done`.
    JobKey,
    "job"
);

key!(
    /// One introduction by a peer, from the first `Output::Introduce` until the driver has both descriptions.
    IntroductionKey,
    "introduction"
);

/// Entries under generational keys; a freed place is used again under the next generation.
pub(crate) struct Slab<K, V> {
    entries: Vec<Entry<V>>,
    free: Vec<u32>,
    count: usize,
    key: std::marker::PhantomData<K>,
}

struct Entry<V> {
    generation: u32,
    value: Option<V>,
}

impl<K: Key, V> Slab<K, V> {
    pub(crate) const fn new() -> Self {
        Self { entries: Vec::new(), free: Vec::new(), count: 0, key: std::marker::PhantomData }
    }

    pub(crate) const fn len(&self) -> usize {
        self.count
    }

    pub(crate) fn insert(&mut self, value: V) -> K {
        self.insert_with(|_| value)
    }

    /// As [`insert`](Self::insert), where the value knows its key.
    pub(crate) fn insert_with(&mut self, make: impl FnOnce(K) -> V) -> K {
        let index = self.free.pop().unwrap_or_else(|| {
            self.entries.push(Entry { generation: 1, value: None });
            u32::try_from(self.entries.len() - 1).unwrap_or(u32::MAX)
        });
        let generation = self.entries.get(index as usize).map_or(1, |entry| entry.generation);
        let key = K::from_parts(index, generation);
        let value = make(key);
        if let Some(entry) = self.entries.get_mut(index as usize) {
            entry.value = Some(value);
            self.count += 1;
        }
        key
    }

    pub(crate) fn remove(&mut self, key: K) -> Option<V> {
        let entry = self.entries.get_mut(key.index() as usize)?;
        if entry.generation != key.generation() {
            return None;
        }
        let value = entry.value.take()?;
        entry.generation = entry.generation.wrapping_add(1).max(1);
        self.free.push(key.index());
        self.count -= 1;
        Some(value)
    }

    pub(crate) fn get(&self, key: K) -> Option<&V> {
        let entry = self.entries.get(key.index() as usize)?;
        if entry.generation == key.generation() { entry.value.as_ref() } else { None }
    }

    pub(crate) fn get_mut(&mut self, key: K) -> Option<&mut V> {
        let entry = self.entries.get_mut(key.index() as usize)?;
        if entry.generation == key.generation() { entry.value.as_mut() } else { None }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (K, &V)> {
        self.entries.iter().enumerate().filter_map(|(index, entry)| {
            let index = u32::try_from(index).ok()?;
            Some((K::from_parts(index, entry.generation), entry.value.as_ref()?))
        })
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = K> {
        self.iter().map(|(key, _)| key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_outlived_its_entry_finds_nothing() {
        let mut slab: Slab<PeerKey, &str> = Slab::new();
        let old = slab.insert("a");
        assert_eq!(slab.remove(old), Some("a"));
        let new = slab.insert("b");
        assert_eq!((slab.get(old), slab.get(new)), (None, Some(&"b")));
        assert_eq!(slab.remove(old), None);
        assert_eq!(PeerKey::from_u64(new.as_u64()), new);
        assert_eq!(slab.len(), 1);
    }
}
