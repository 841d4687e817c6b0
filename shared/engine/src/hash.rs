//! A fast map with the same order in every run.
//!
//! For keys that we chose ourselves or have range-checked, such as blocks of one torrent: it does not resist
//! chosen keys, and its maps are bounded. A browser keeps few things in each, and sorts them instead: there each kind
//! of hash table would be another kilobyte to download.

#[cfg(target_family = "wasm")]
pub(crate) use anatomic_core::collections::{BTreeMap as FastMap, BTreeSet as FastSet};
#[cfg(not(target_family = "wasm"))]
pub(crate) use tables::{FastMap, FastSet};

#[cfg(not(target_family = "wasm"))]
mod tables {
    use std::collections::{HashMap, HashSet};
    use std::hash::{BuildHasherDefault, Hasher};

    /// A map with deterministic order.
    pub(crate) type FastMap<K, V> = HashMap<K, V, BuildHasherDefault<FastHasher>>;
    /// A set with deterministic order.
    pub(crate) type FastSet<K> = HashSet<K, BuildHasherDefault<FastHasher>>;

    /// Multiply and rotate, as rustc's own hasher does.
    #[derive(Clone, Copy, Debug, Default)]
    pub(crate) struct FastHasher(u64);

    impl FastHasher {
        const fn add(&mut self, word: u64) {
            self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
        }
    }

    impl Hasher for FastHasher {
        fn finish(&self) -> u64 {
            // The high bits are the mixed ones, and hashbrown looks at both ends.
            self.0.rotate_left(26)
        }
        fn write(&mut self, bytes: &[u8]) {
            for byte in bytes {
                self.add(u64::from(*byte));
            }
        }
        fn write_u32(&mut self, number: u32) {
            self.add(u64::from(number));
        }
        fn write_u64(&mut self, number: u64) {
            self.add(number);
        }
        fn write_usize(&mut self, number: usize) {
            self.add(number as u64);
        }
    }
}
