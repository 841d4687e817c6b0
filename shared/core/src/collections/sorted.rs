//! A map and a set in sorted vectors, with those methods of std's trees that are used here.
//!
//! For few entries: putting one in or out in the middle moves all that follow.

pub(super) mod map;
pub(super) mod set;
#[cfg(test)]
mod tests;

use std::ops::{Bound, RangeBounds};

/// Puts `item` at `at`, which [`slice::binary_search`] gave: never beyond the end.
fn put<T>(items: &mut Vec<T>, at: usize, item: T) {
    // At the end, where most go, nothing moves.
    if at >= items.len() {
        items.push(item);
    } else {
        items.insert(at, item);
    }
}

/// The places from `range`'s begin to its end among sorted keys.
fn places<Q: Ord + ?Sized>(
    range: &impl RangeBounds<Q>,
    length: usize,
    first_not: impl Fn(&dyn Fn(&Q) -> bool) -> usize,
) -> (usize, usize) {
    let start = match range.start_bound() {
        Bound::Included(bound) => first_not(&|key| key < bound),
        Bound::Excluded(bound) => first_not(&|key| key <= bound),
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(bound) => first_not(&|key| key <= bound),
        Bound::Excluded(bound) => first_not(&|key| key < bound),
        Bound::Unbounded => length,
    };
    (start.min(end), end)
}
