//! Ordered maps and sets: std's, or in a browser smaller ones with the same methods.
//!
//! A page is downloaded before it can do anything, and each kind of std's trees costs it some 5 kB. What the engine
//! keeps ordered in a browser is small (peers, unfinished pieces, timers), so a sorted vector serves as well there.
//! Natively these are std's own types, since a node keeps many thousands of things.

#[cfg(any(test, target_family = "wasm"))]
mod sorted;

#[cfg(target_family = "wasm")]
pub use sorted::map::{Entry, SortedMap as BTreeMap, VacantEntry};
#[cfg(target_family = "wasm")]
pub use sorted::set::SortedSet as BTreeSet;
#[cfg(not(target_family = "wasm"))]
pub use std::collections::{
    BTreeMap, BTreeSet,
    btree_map::{Entry, VacantEntry},
};
