//! A set in a sorted vector.
//!
//! For few members: putting one in or out in the middle moves all that follow.

use super::{places, put};
use std::borrow::Borrow;
use std::ops::RangeBounds;

/// A set in the order of its members.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SortedSet<T> {
    members: Vec<T>,
}

impl<T> Default for SortedSet<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> SortedSet<T> {
    /// An empty set.
    #[must_use]
    pub const fn new() -> Self {
        Self { members: Vec::new() }
    }

    /// How many members there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Removes all.
    pub fn clear(&mut self) {
        self.members.clear();
    }

    /// The members in order.
    pub fn iter(&self) -> std::slice::Iter<'_, T> {
        self.members.iter()
    }

    /// The first member.
    #[must_use]
    pub fn first(&self) -> Option<&T> {
        self.members.first()
    }

    /// The last member.
    #[must_use]
    pub fn last(&self) -> Option<&T> {
        self.members.last()
    }

    /// Takes the first member out.
    pub fn pop_first(&mut self) -> Option<T> {
        if self.members.is_empty() { None } else { Some(self.members.remove(0)) }
    }

    /// Takes the last member out.
    pub fn pop_last(&mut self) -> Option<T> {
        self.members.pop()
    }

    /// Keeps only the members for which `keep` says so.
    pub fn retain(&mut self, keep: impl FnMut(&T) -> bool) {
        self.members.retain(keep);
    }
}

impl<T: Ord> SortedSet<T> {
    fn find<Q: Ord + ?Sized>(&self, member: &Q) -> Result<usize, usize>
    where
        T: Borrow<Q>,
    {
        self.members.binary_search_by(|own| own.borrow().cmp(member))
    }

    /// Whether it is a member.
    #[must_use]
    pub fn contains<Q: Ord + ?Sized>(&self, member: &Q) -> bool
    where
        T: Borrow<Q>,
    {
        self.find(member).is_ok()
    }

    /// Puts a member in; false if it was there.
    pub fn insert(&mut self, member: T) -> bool {
        let place = self.find(&member);
        if let Err(at) = place {
            put(&mut self.members, at, member);
        }
        place.is_err()
    }

    /// Takes a member out; false if it was not there.
    pub fn remove<Q: Ord + ?Sized>(&mut self, member: &Q) -> bool
    where
        T: Borrow<Q>,
    {
        let place = self.find(member);
        if let Ok(at) = place {
            self.members.remove(at);
        }
        place.is_ok()
    }

    /// The members in `range`, in order.
    pub fn range<Q: Ord + ?Sized>(&self, range: impl RangeBounds<Q>) -> std::slice::Iter<'_, T>
    where
        T: Borrow<Q>,
    {
        let (start, end) = places(&range, self.members.len(), |before| {
            self.members.partition_point(|member| before(member.borrow()))
        });
        self.members.get(start..end).unwrap_or_default().iter()
    }
}

impl<T: Ord> Extend<T> for SortedSet<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, members: I) {
        for member in members {
            self.insert(member);
        }
    }
}

impl<T: Ord> FromIterator<T> for SortedSet<T> {
    fn from_iter<I: IntoIterator<Item = T>>(members: I) -> Self {
        let mut set = Self::new();
        set.extend(members);
        set
    }
}

impl<T: Ord, const N: usize> From<[T; N]> for SortedSet<T> {
    fn from(members: [T; N]) -> Self {
        members.into_iter().collect()
    }
}

impl<T> IntoIterator for SortedSet<T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;
    fn into_iter(self) -> Self::IntoIter {
        self.members.into_iter()
    }
}

impl<'a, T> IntoIterator for &'a SortedSet<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;
    fn into_iter(self) -> Self::IntoIter {
        self.members.iter()
    }
}
