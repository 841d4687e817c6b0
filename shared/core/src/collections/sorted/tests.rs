//! The sorted map and set against std's trees.

use super::map::SortedMap;
use super::set::SortedSet;
use std::collections::{BTreeMap, BTreeSet};

/// What both must agree on after any operations.
fn agree(ours: &SortedMap<u8, u32>, stds: &BTreeMap<u8, u32>) {
    assert!(ours.iter().eq(stds.iter()) && ours.keys().eq(stds.keys()) && ours.values().eq(stds.values()));
    assert_eq!((ours.len(), ours.is_empty()), (stds.len(), stds.is_empty()));
    assert_eq!(ours.first_key_value(), stds.first_key_value());
    assert_eq!(ours.last_key_value(), stds.last_key_value());
}

#[test]
fn a_sorted_map_does_what_stds_tree_does() {
    for seed in 0..50 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let (mut ours, mut stds) = (SortedMap::new(), BTreeMap::new());
        for _ in 0..400 {
            let (key, value) = (rng.u8(0..40), rng.u32(..));
            match rng.u8(0..11) {
                0..3 => assert_eq!(ours.insert(key, value), stds.insert(key, value)),
                3 | 4 => assert_eq!(ours.remove(&key), stds.remove(&key)),
                5 => {
                    let own = ours.entry(key).and_modify(|value| *value ^= 1).or_insert(value);
                    *own = own.wrapping_add(1);
                    let other = stds.entry(key).and_modify(|value| *value ^= 1).or_insert(value);
                    *other = other.wrapping_add(1);
                }
                6 => {
                    assert_eq!(ours.get(&key), stds.get(&key));
                    assert_eq!(ours.get_mut(&key), stds.get_mut(&key));
                }
                7 => {
                    let (from, to) = (key.min(20), key.max(20));
                    assert!(ours.range(from..to).eq(stds.range(from..to)));
                    assert!(ours.range(key..).next().eq(&stds.range(key..).next()));
                    assert!(ours.range(..=key).next_back().eq(&stds.range(..=key).next_back()));
                }
                8 => assert_eq!(ours.pop_first(), stds.pop_first()),
                9 if rng.u8(0..10) == 0 => {
                    ours.retain(|key, value| !key.is_multiple_of(3) && *value > 9);
                    stds.retain(|key, value| !key.is_multiple_of(3) && *value > 9);
                }
                _ => assert_eq!(ours.contains_key(&key), stds.contains_key(&key)),
            }
            agree(&ours, &stds);
        }
    }
}

#[test]
fn a_sorted_set_does_what_stds_tree_does() {
    for seed in 0..50 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let (mut ours, mut stds) = (SortedSet::new(), BTreeSet::new());
        for _ in 0..300 {
            let member = rng.u8(0..40);
            match rng.u8(0..6) {
                0..3 => assert_eq!(ours.insert(member), stds.insert(member)),
                3 => assert_eq!(ours.remove(&member), stds.remove(&member)),
                4 => assert!(ours.range(member..).eq(stds.range(member..))),
                _ => assert_eq!(ours.contains(&member), stds.contains(&member)),
            }
            assert!(ours.iter().eq(stds.iter()));
            assert_eq!((ours.first(), ours.last()), (stds.first(), stds.last()));
        }
    }
}

#[test]
fn of_two_equal_keys_the_later_value_counts() {
    let map: SortedMap<_, _> = [(2, 'a'), (1, 'b'), (2, 'c')].into_iter().collect();
    assert_eq!(map.into_iter().collect::<Vec<_>>(), [(1, 'b'), (2, 'c')]);
}
