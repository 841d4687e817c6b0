//! The peers of one swarm that sister nodes spoke of: kept apart from the node's own, bounded, and drawn from sparingly.
//!
//! Sends nothing and knows no connection. The store of swarms keeps one of these beside its own peers; whether what a sister
//! says is listened to at all was decided before it comes here.

use super::contact::{Contact, SharedPeer};
use crate::counts::Peers;
use crate::identity::Key;
use anatomic_core::Time;
use fastrand::Rng;
use std::collections::HashMap;
use std::time::Duration;

/// Most peers of one swarm that one sister may name.
pub const MAX_PER_SISTER: usize = 200;
/// A guest not spoken of for this long is forgotten: the lifetime of a classic peer.
pub const LIFETIME: Duration = Duration::from_secs(40 * 60);

/// How many peers of a swarm a node has itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Those that have everything.
    pub seeds: u32,
    /// The others.
    pub leeches: u32,
    /// How many of both are browsers.
    pub browsers: u32,
}

impl Counts {
    /// Seeds and leeches.
    #[must_use]
    pub const fn peers(&self) -> u32 {
        self.seeds.saturating_add(self.leeches)
    }
}

/// Peers by kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Kinds {
    /// Browsers.
    pub tabs: Peers,
    /// Other clients.
    pub classic: Peers,
}

/// What a sister named who has more than she may name.
#[derive(Default)]
struct Named {
    all: u32,
    /// Those that we do not have ourselves.
    strange: u32,
    seeds: u32,
    browsers: u32,
}

/// `number · part / whole`, at most `number`; nothing of nothing.
fn share(number: u32, part: u32, whole: u32) -> u32 {
    let share = (u64::from(number) * u64::from(part)).checked_div(u64::from(whole)).unwrap_or(0);
    u32::try_from(share).unwrap_or(u32::MAX).min(number)
}

/// How many peers of a reply are the node's own and how many are guests.
///
/// Guests are second-class: they get what the own peers leave, and a third at most while those would fill the reply.
#[must_use]
pub fn split(want: usize, own: usize, guests: usize) -> (usize, usize) {
    let guests = guests.min((want / 3).max(want.saturating_sub(own)));
    (own.min(want - guests), guests)
}

#[derive(Clone, Copy, Debug)]
struct Guest {
    sister: Key,
    seed: bool,
    bridge: bool,
    seen: Time,
}

/// What one sister says of the swarm.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Origin {
    guests: usize,
    counts: Counts,
}

/// The guests of one swarm.
#[derive(Debug, Default)]
pub struct Guests {
    row: Vec<(Contact, Guest)>,
    places: HashMap<Contact, usize>,
    sisters: Vec<(Key, Origin)>,
}

/// A sister has named as many peers of this swarm as she may.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the sister has named as many peers of this swarm as she may")]
pub struct OverQuota;

impl Guests {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.row.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.row.is_empty()
    }

    /// Whether no sister says anything of this swarm.
    #[must_use]
    pub fn is_forgotten(&self) -> bool {
        self.row.is_empty() && self.sisters.is_empty()
    }

    /// Takes note of a peer that a sister spoke of. Of one that two sisters speak of the first owns the entry; the second
    /// only makes it younger. Returns whether it is new.
    ///
    /// # Errors
    /// [`OverQuota`]: nothing was noted.
    pub fn learn(&mut self, now: Time, sister: Key, peer: &SharedPeer) -> Result<bool, OverQuota> {
        // Clamped to our own clock: an age is never negative, so nothing can be heard of in the future.
        let seen = now - Duration::from_secs(u64::from(peer.age));
        if let Some((_, guest)) = self.places.get(&peer.contact).and_then(|place| self.row.get_mut(*place)) {
            guest.seen = guest.seen.max(seen);
            guest.bridge = peer.bridge;
            guest.seed = peer.seed;
            return Ok(false);
        }
        let origin = self.origin(sister);
        if origin.guests >= MAX_PER_SISTER {
            return Err(OverQuota);
        }
        origin.guests += 1;
        self.places.insert(peer.contact, self.row.len());
        self.row.push((peer.contact, Guest { sister, seed: peer.seed, bridge: peer.bridge, seen }));
        Ok(true)
    }

    /// Forgets a peer that this sister spoke of; what another said stays. Returns whether it was known.
    pub fn lose(&mut self, sister: Key, contact: &Contact) -> bool {
        let known = self.places.get(contact).and_then(|place| self.row.get(*place));
        if known.is_none_or(|(_, guest)| guest.sister != sister) {
            return false;
        }
        self.remove(contact);
        true
    }

    /// Takes note of how many peers a sister has.
    pub fn set_counts(&mut self, sister: Key, counts: Counts) {
        self.origin(sister).counts = counts;
    }

    /// All that a sister said of the swarm, with ages: what makes another node know the same of her.
    #[must_use]
    pub fn of(&self, now: Time, sister: Key) -> (Vec<SharedPeer>, Counts) {
        let age = |seen| u16::try_from(now.since(seen).as_secs()).unwrap_or(u16::MAX);
        let own = self.row.iter().filter(|(_, guest)| guest.sister == sister);
        let shared = own.map(|(contact, guest)| SharedPeer {
            contact: *contact,
            seed: guest.seed,
            bridge: guest.bridge,
            age: age(guest.seen),
        });
        let counts = self.sisters.iter().find(|(key, _)| *key == sister).map(|(_, origin)| origin.counts);
        (shared.collect(), counts.unwrap_or_default())
    }

    /// The sisters that say anything of this swarm.
    pub fn sisters(&self) -> impl Iterator<Item = Key> {
        self.sisters.iter().map(|(key, _)| *key)
    }

    /// Takes note of all that a sister says of the swarm: what she does not say is forgotten. Returns the peers that are new.
    pub fn replace(
        &mut self,
        now: Time,
        sister: Key,
        peers: &[SharedPeer],
        counts: Counts,
    ) -> Vec<SharedPeer> {
        let named: std::collections::HashSet<Contact> = peers.iter().map(|peer| peer.contact).collect();
        let own = self.row.iter().filter(|(_, guest)| guest.sister == sister);
        let gone: Vec<Contact> =
            own.map(|(contact, _)| *contact).filter(|contact| !named.contains(contact)).collect();
        gone.iter().for_each(|contact| self.remove(contact));
        let new = peers.iter().filter(|peer| self.learn(now, sister, peer) == Ok(true)).copied().collect();
        self.set_counts(sister, counts);
        self.sisters.retain(|(key, origin)| *key != sister || *origin != Origin::default());
        new
    }

    /// A sister is lost: her browsers cannot be reached any more and her counts mean nothing. Her classic peers are still
    /// out there and stay until they are too old.
    pub fn sister_lost(&mut self, sister: Key) {
        let browsers: Vec<Contact> = self
            .row
            .iter()
            .filter(|(contact, guest)| guest.sister == sister && matches!(contact, Contact::Browser(_)))
            .map(|(contact, _)| *contact)
            .collect();
        browsers.iter().for_each(|contact| self.remove(contact));
        self.origin(sister).counts = Counts::default();
        self.sisters.retain(|(key, origin)| *key != sister || origin.guests > 0);
    }

    /// Forgets guests that have not been spoken of for [`LIFETIME`].
    pub fn expire(&mut self, now: Time) {
        let old: Vec<Contact> = self
            .row
            .iter()
            .filter(|(_, guest)| now.since(guest.seen) > LIFETIME)
            .map(|(contact, _)| *contact)
            .collect();
        old.iter().for_each(|contact| self.remove(contact));
    }

    /// Whether this sister named this peer.
    #[must_use]
    pub fn contains(&self, contact: &Contact) -> bool {
        self.places.contains_key(contact)
    }

    /// Whose sister has browsers of this swarm that `own` does not know, in no order.
    #[must_use]
    pub fn sisters_with_browsers(&self, own: impl Fn(&Contact) -> bool) -> Vec<Key> {
        let mut sisters = Vec::new();
        for (contact, guest) in &self.row {
            if matches!(contact, Contact::Browser(_)) && !sisters.contains(&guest.sister) && !own(contact) {
                sisters.push(guest.sister);
            }
        }
        for (key, origin) in &self.sisters {
            // More browsers than she may name.
            if origin.guests >= MAX_PER_SISTER && origin.counts.browsers > 0 && !sisters.contains(key) {
                sisters.push(*key);
            }
        }
        sisters
    }

    /// Up to `count` guests that `wanted` accepts, beginning at a random place of the row.
    #[must_use]
    pub fn draw(&self, rng: &mut Rng, count: usize, wanted: impl Fn(&Contact, bool) -> bool) -> Vec<Contact> {
        if self.row.is_empty() || count == 0 {
            return Vec::new();
        }
        let start = rng.usize(..self.row.len());
        let (before, after) = self.row.split_at_checked(start).unwrap_or_default();
        let row = after.iter().chain(before);
        let accepted = row.filter(|(contact, guest)| wanted(contact, guest.bridge));
        accepted.map(|(contact, _)| *contact).take(count).collect()
    }

    /// How many peers the sisters have that `own` does not know: see [`Guests::kinds`].
    #[must_use]
    pub fn counts(&self, own: impl Fn(&Contact) -> bool) -> Counts {
        let Kinds { tabs, classic } = self.kinds(own);
        Counts {
            seeds: tabs.seeds.saturating_add(classic.seeds),
            leeches: tabs.leeches.saturating_add(classic.leeches),
            browsers: tabs.seeds.saturating_add(tabs.leeches),
        }
    }

    /// How many peers the sisters have that `own` does not know, by kind: each named one once, however many sisters name it,
    /// and of those not named as many as a sister counts beyond the named, less the share that is our own among the named.
    #[must_use]
    pub fn kinds(&self, own: impl Fn(&Contact) -> bool) -> Kinds {
        let mut kinds = Kinds::default();
        let more = self.sisters.iter().filter(|(_, origin)| origin.guests >= MAX_PER_SISTER);
        let mut more: Vec<(Key, Counts, Named)> =
            more.map(|(sister, origin)| (*sister, origin.counts, Named::default())).collect();
        for (contact, guest) in self.row.iter().filter(|(_, guest)| !guest.bridge) {
            let (browser, strange) = (matches!(contact, Contact::Browser(_)), !own(contact));
            if strange {
                let kind = if browser { &mut kinds.tabs } else { &mut kinds.classic };
                let number = if guest.seed { &mut kind.seeds } else { &mut kind.leeches };
                *number = number.saturating_add(1);
            }
            if let Some((_, _, named)) = more.iter_mut().find(|(sister, ..)| *sister == guest.sister) {
                named.all += 1;
                named.strange += u32::from(strange);
                named.seeds += u32::from(guest.seed);
                named.browsers += u32::from(browser);
            }
        }
        for (_, counts, named) in more {
            // A count that nobody can check is worth no more than as many again.
            let beyond = counts.peers().saturating_sub(named.all).min(named.all);
            let beyond = share(beyond, named.strange, named.all);
            let seeds = counts.seeds.saturating_sub(named.seeds).min(beyond);
            let browsers = counts.browsers.saturating_sub(named.browsers).min(beyond);
            let tab_seeds = share(seeds, browsers, beyond);
            for (kind, seeds, all) in [
                (&mut kinds.tabs, tab_seeds, browsers),
                (&mut kinds.classic, seeds.saturating_sub(tab_seeds), beyond.saturating_sub(browsers)),
            ] {
                kind.seeds = kind.seeds.saturating_add(seeds);
                kind.leeches = kind.leeches.saturating_add(all.saturating_sub(seeds));
            }
        }
        kinds
    }

    fn origin(&mut self, sister: Key) -> &mut Origin {
        let place = self.sisters.iter().position(|(key, _)| *key == sister).unwrap_or(self.sisters.len());
        if place == self.sisters.len() {
            self.sisters.push((sister, Origin::default()));
        }
        #[expect(clippy::indexing_slicing, reason = "it was found or just pushed")]
        &mut self.sisters[place].1
    }

    fn remove(&mut self, contact: &Contact) {
        let Some(place) = self.places.remove(contact) else { return };
        if place >= self.row.len() {
            return;
        }
        let (_, guest) = self.row.swap_remove(place);
        if let Some((moved, _)) = self.row.get(place) {
            self.places.insert(*moved, place);
        }
        let origin = self.origin(guest.sister);
        origin.guests = origin.guests.saturating_sub(1);
        let empty = origin.guests == 0 && origin.counts == Counts::default();
        self.sisters.retain(|(key, _)| *key != guest.sister || !empty);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anatomic_core::PeerId;

    const A: Key = Key([1; 32]);
    const B: Key = Key([2; 32]);

    fn peer(number: u16, age: u16) -> SharedPeer {
        let contact =
            Contact::Address(format!("8.8.{}.{}:6881", number / 256, number % 256).parse().unwrap());
        SharedPeer { contact, seed: number == 0, bridge: false, age }
    }

    #[test]
    fn guests_fill_a_third_while_own_peers_suffice_and_the_rest_when_they_do_not() {
        assert_eq!(split(30, 100, 100), (20, 10));
        assert_eq!(split(30, 25, 100), (20, 10));
        assert_eq!(split(30, 5, 100), (5, 25));
        assert_eq!(split(30, 0, 100), (0, 30));
        assert_eq!(split(30, 100, 4), (26, 4));
        assert_eq!(split(30, 3, 4), (3, 4));
        assert_eq!(split(0, 3, 4), (0, 0));
        assert_eq!(split(2, 9, 9), (2, 0));
    }

    #[test]
    fn a_sister_names_so_many_peers_and_no_more() {
        let mut guests = Guests::default();
        let taken = (0..1_000).filter(|n| guests.learn(Time::ZERO, A, &peer(*n, 0)).is_ok()).count();
        assert_eq!((taken, guests.len()), (MAX_PER_SISTER, MAX_PER_SISTER));
        assert_eq!(guests.learn(Time::ZERO, B, &peer(5_000, 0)), Ok(true), "another one still may");
        assert!(guests.lose(A, &peer(3, 0).contact));
        assert_eq!(guests.learn(Time::ZERO, A, &peer(4_000, 0)), Ok(true));
        assert_eq!(guests.learn(Time::ZERO, A, &peer(4_001, 0)), Err(OverQuota));
    }

    #[test]
    fn a_sister_takes_back_only_what_she_said_herself() {
        let mut guests = Guests::default();
        guests.learn(Time::ZERO, A, &peer(1, 0)).unwrap();
        guests.learn(Time::ZERO, B, &peer(1, 0)).unwrap();
        assert!(!guests.lose(B, &peer(1, 0).contact));
        assert_eq!(guests.counts(|_| false).peers(), 1, "counted once");
        assert!(guests.lose(A, &peer(1, 0).contact));
        assert!(guests.is_forgotten());
    }

    #[test]
    fn what_is_handed_on_of_a_sister_takes_the_place_of_what_was_known_of_her() {
        let (mut one, mut two) = (Guests::default(), Guests::default());
        let now = Time::from_secs(10_000);
        let counts = Counts { seeds: 1, leeches: 2, browsers: 0 };
        one.learn(now, A, &peer(0, 5)).unwrap();
        one.learn(now, A, &peer(1, 60)).unwrap();
        one.learn(now, B, &peer(2, 0)).unwrap();
        one.set_counts(A, counts);
        two.learn(now, A, &peer(9, 0)).unwrap();
        let (peers, counted) = one.of(now, A);
        assert_eq!((peers.len(), counted), (2, counts));
        assert_eq!(two.replace(now, A, &peers, counted), peers);
        assert_eq!(two.of(now, A), (peers.clone(), counts));
        assert!(two.replace(now, A, &peers, counted).is_empty(), "nothing is new the second time");
        two.replace(now, A, &[], Counts::default());
        assert!(two.is_forgotten());
        assert_eq!(one.sisters().collect::<Vec<_>>(), [A, B]);
    }

    #[test]
    fn a_guest_is_forgotten_when_nobody_speaks_of_it_for_its_lifetime() {
        let mut guests = Guests::default();
        let now = Time::from_secs(10_000);
        guests.learn(now, A, &peer(1, 0)).unwrap();
        guests.learn(now, A, &peer(2, 1_800)).unwrap();
        guests.expire(now + Duration::from_secs(601));
        assert_eq!(guests.len(), 1, "the second was half an hour old when it came");
        guests.learn(now + Duration::from_secs(2_000), A, &peer(1, 10)).unwrap();
        guests.expire(now + Duration::from_secs(4_000));
        assert_eq!(guests.len(), 1);
        guests.expire(now + Duration::from_secs(4_500));
        assert!(guests.is_forgotten());
    }

    #[test]
    fn a_lost_sister_takes_her_browsers_along_and_leaves_her_classic_peers() {
        let mut guests = Guests::default();
        let browser = SharedPeer { contact: Contact::Browser(PeerId([3; 20])), ..peer(1, 0) };
        guests.learn(Time::ZERO, A, &browser).unwrap();
        guests.learn(Time::ZERO, A, &peer(1, 0)).unwrap();
        assert_eq!(guests.sisters_with_browsers(|_| false), [A]);
        assert!(guests.sisters_with_browsers(|contact| *contact == browser.contact).is_empty());
        guests.sister_lost(A);
        assert_eq!((guests.len(), guests.sisters_with_browsers(|_| false).len()), (1, 0));
    }

    #[test]
    fn counts_hold_everyone_once_and_unnamed_ones_by_the_sister_s_word_within_bounds() {
        let mut guests = Guests::default();
        for number in 0..200 {
            guests.learn(Time::ZERO, A, &peer(number, 0)).unwrap();
        }
        assert_eq!(guests.counts(|_| false), Counts { seeds: 1, leeches: 199, browsers: 0 });
        assert_eq!(guests.counts(|contact| *contact == peer(0, 0).contact).seeds, 0);
        guests.set_counts(A, Counts { seeds: 60, leeches: 190, browsers: 0 });
        assert_eq!(guests.counts(|_| false), Counts { seeds: 51, leeches: 199, browsers: 0 });
        guests.set_counts(A, Counts { seeds: u32::MAX, leeches: u32::MAX, browsers: 0 });
        assert_eq!(guests.counts(|_| false).peers(), 400);
    }

    #[test]
    fn of_peers_that_a_sister_does_not_name_as_many_are_ours_as_of_those_that_she_names() {
        let mut guests = Guests::default();
        for number in 0..100 {
            guests.learn(Time::ZERO, A, &peer(number, 0)).unwrap();
            let browser = Contact::Browser(PeerId([number as u8; 20]));
            guests.learn(Time::ZERO, A, &SharedPeer { contact: browser, ..peer(number, 0) }).unwrap();
        }
        guests.set_counts(A, Counts { seeds: 2, leeches: 298, browsers: 150 });
        let (tabs, classic) = (Peers { seeds: 1, leeches: 149 }, Peers { seeds: 1, leeches: 149 });
        assert_eq!(guests.kinds(|_| false), Kinds { tabs, classic });
        assert_eq!(guests.kinds(|_| true), Kinds::default(), "all that announce there announce here, too");
        let classic_is_ours = guests.kinds(|contact| matches!(contact, Contact::Address(_)));
        assert_eq!(classic_is_ours.tabs.seeds + classic_is_ours.tabs.leeches, 150);
        assert_eq!(classic_is_ours.classic, Peers::default());
    }
}
