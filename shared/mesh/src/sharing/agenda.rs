//! When what has to be looked at: one moment for each name.
//!
//! Knows nothing of what is done then.

use anatomic_core::Time;
use std::collections::{BTreeMap, BTreeSet};

/// A set of names with a moment each, read in the order of their moments.
#[derive(Debug)]
pub(super) struct Agenda<K> {
    moments: BTreeSet<(Time, K)>,
    names: BTreeMap<K, Time>,
}

impl<K> Default for Agenda<K> {
    fn default() -> Self {
        Self { moments: BTreeSet::new(), names: BTreeMap::new() }
    }
}

impl<K: Copy + Ord> Agenda<K> {
    /// Sets the moment of a name; [`Time::NEVER`] takes it off.
    pub(super) fn set(&mut self, name: K, at: Time) {
        if let Some(old) = self.names.remove(&name) {
            self.moments.remove(&(old, name));
        }
        if at != Time::NEVER {
            self.names.insert(name, at);
            self.moments.insert((at, name));
        }
    }

    /// The first moment.
    pub(super) fn next(&self) -> Option<Time> {
        self.moments.first().map(|(at, _)| *at)
    }

    /// Takes off the first name whose moment has come.
    pub(super) fn pop(&mut self, now: Time) -> Option<K> {
        let (_, name) = *self.moments.first().filter(|(at, _)| *at <= now)?;
        self.set(name, Time::NEVER);
        Some(name)
    }
}

/// A leaky bucket: what flows in above the rate for long is refused.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket {
    level: f64,
    most: f64,
    per_second: f64,
    at: Time,
}

impl Bucket {
    /// A full one that holds `most` and refills at `per_second`.
    pub(super) fn new(now: Time, most: f64, per_second: f64) -> Self {
        Self { level: most, most, per_second, at: now }
    }

    /// Takes so much out; whether there was so much.
    pub(super) fn take(&mut self, now: Time, amount: f64) -> bool {
        self.level = (self.level + now.since(self.at).as_secs_f64() * self.per_second).min(self.most);
        self.at = now;
        let enough = self.level >= amount;
        if enough {
            self.level -= amount;
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_moment_and_the_first_comes_first() {
        let mut agenda = Agenda::default();
        agenda.set('a', Time::from_secs(3));
        agenda.set('b', Time::from_secs(2));
        agenda.set('a', Time::from_secs(1));
        assert_eq!(agenda.next(), Some(Time::from_secs(1)));
        assert_eq!(agenda.pop(Time::from_secs(5)), Some('a'));
        assert_eq!(agenda.pop(Time::from_secs(1)), None);
        agenda.set('b', Time::NEVER);
        assert_eq!(agenda.next(), None);
    }

    #[test]
    fn a_bucket_gives_its_rate_and_no_more() {
        let mut bucket = Bucket::new(Time::ZERO, 10.0, 2.0);
        assert!(bucket.take(Time::ZERO, 10.0) && !bucket.take(Time::ZERO, 1.0));
        assert!(bucket.take(Time::from_secs(1), 2.0) && !bucket.take(Time::from_secs(1), 1.0));
    }
}
