//! A set of peers from which any number is drawn at random in time that does not grow with the set.
//!
//! Knows nothing of what a peer is.

use fastrand::Rng;
use hashbrown::HashMap;
use std::hash::Hash;

/// A map whose entries also stand in a row, so that one can be drawn by number.
#[derive(Debug)]
pub struct Roster<K, V> {
    row: Vec<(K, V)>,
    places: HashMap<K, u32>,
}

impl<K, V> Default for Roster<K, V> {
    fn default() -> Self {
        Self { row: Vec::new(), places: HashMap::new() }
    }
}

impl<K: Copy + Eq + Hash, V> Roster<K, V> {
    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.row.len()
    }

    /// Whether there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.row.is_empty()
    }

    fn place(&self, key: &K) -> Option<usize> {
        self.places.get(key).map(|place| *place as usize)
    }

    /// The entry of that key.
    #[must_use]
    pub fn get(&self, key: &K) -> Option<&V> {
        self.place(key).and_then(|place| self.row.get(place)).map(|(_, value)| value)
    }

    /// The entry of that key, to be changed.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let place = self.place(key)?;
        self.row.get_mut(place).map(|(_, value)| value)
    }

    /// Adds or replaces an entry; the old one is returned.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        if let Some(entry) = self.get_mut(&key) {
            return Some(std::mem::replace(entry, value));
        }
        // Four thousand million sockets are more than a process has.
        if let Ok(place) = u32::try_from(self.row.len()) {
            self.places.insert(key, place);
            self.row.push((key, value));
        }
        None
    }

    /// Removes an entry.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let place = self.places.remove(key)?;
        let (_, value) = self.row.swap_remove(place as usize);
        if let Some((moved, _)) = self.row.get(place as usize) {
            self.places.insert(*moved, place);
        }
        Some(value)
    }

    /// All entries, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &(K, V)> {
        self.row.iter()
    }

    /// Draws up to `count` entries, each at most once and with the same chance, never that of `except`; in no order that
    /// means anything.
    ///
    /// The row is cut into as many parts as entries are wanted, beginning anywhere, and each part gives one of its own.
    pub fn draw<'a>(
        &'a self,
        rng: &mut Rng,
        count: usize,
        except: Option<&'a K>,
    ) -> impl Iterator<Item = &'a (K, V)> + use<'a, K, V> {
        let all = self.row.len();
        let parts = if count == 0 { 0 } else { count.saturating_add(1).min(all) };
        let begin = if all == 0 { 0 } else { rng.usize(..all) };
        let mut rng = rng.fork();
        (0..parts)
            .filter_map(move |part| {
                let (from, to) = (part * all / parts, (part + 1) * all / parts);
                let place = begin + if to - from > 1 { rng.usize(from..to) } else { from };
                self.row.get(if place >= all { place - all } else { place })
            })
            .filter(move |(key, _)| Some(key) != except)
            .take(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn roster(entries: u32) -> Roster<u32, u32> {
        let mut roster = Roster::default();
        for key in 0..entries {
            roster.insert(key, key * 10);
        }
        roster
    }

    #[test]
    fn removal_keeps_every_other_entry_findable() {
        let mut roster = roster(100);
        for key in (0..100).step_by(3) {
            assert_eq!(roster.remove(&key), Some(key * 10));
            assert_eq!(roster.remove(&key), None);
        }
        for key in 0..100 {
            assert_eq!(roster.get(&key).copied(), (key % 3 != 0).then_some(key * 10));
        }
    }

    #[test]
    fn a_draw_never_repeats_and_never_has_the_excepted() {
        let roster = roster(50);
        let mut rng = Rng::with_seed(1);
        for count in [0, 1, 2, 48, 49, 50, 80] {
            let drawn: Vec<_> = roster.draw(&mut rng, count, Some(&7)).collect();
            let different: HashSet<u32> = drawn.iter().map(|(key, _)| *key).collect();
            assert_eq!(
                (drawn.len(), different.len(), different.contains(&7)),
                (count.min(49), count.min(49), false)
            );
        }
    }

    #[test]
    fn everyone_is_drawn_about_equally_often() {
        let roster = roster(20);
        let mut rng = Rng::with_seed(2);
        let mut times = [0; 20];
        for _ in 0..4_000 {
            roster.draw(&mut rng, 5, None).for_each(|(key, _)| times[*key as usize] += 1);
        }
        assert!(times.iter().all(|count| (800..1_200).contains(count)), "{times:?}");
    }
}
