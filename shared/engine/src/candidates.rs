//! Known addresses of peers that are not connected: who may be dialled next, and when.
//!
//! Compact and bounded; a candidate is no connection. It dials nobody itself.

use crate::add::Source;
use crate::config::Config;
use crate::link::Encryption;
use anatomic_core::Time;
use anatomic_core::collections::BTreeMap;
use fastrand::Rng;
use std::net::SocketAddr;
use std::time::Duration;

/// Wait before a peer that was of use is dialled again.
const RECONNECT: Duration = Duration::from_secs(5);

/// Wait before a peer is dialled again for which there was no use.
const LATER: Duration = Duration::from_secs(300);

/// The candidates of one torrent.
#[derive(Debug, Default)]
pub(crate) struct Candidates {
    known: BTreeMap<SocketAddr, Candidate>,
}

#[derive(Clone, Copy, Debug)]
struct Candidate {
    source: Source,
    failures: u8,
    encryption: Encryption,
    state: State,
    /// Not to be dialled before.
    not_before: Time,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Idle,
    Dialling,
    Connected,
    /// Never to be dialled: ourselves, or banned.
    Refused,
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It had served one of both: worth another call soon.
    Useful,
    /// It had not.
    Useless,
    /// They closed it before they said a word: many clients do that to whoever does not encrypt.
    Mute,
    /// We had no use for it now.
    Later,
    /// Not to be called again.
    Never,
}

impl Candidates {
    /// Addresses that are neither connected nor refused.
    pub(crate) fn idle(&self) -> usize {
        self.known.values().filter(|candidate| candidate.state == State::Idle).count()
    }

    /// Learns of an address; one that is known keeps its failures. A full list drops its worst.
    pub(crate) fn add(&mut self, config: &Config, now: Time, source: Source, address: SocketAddr) {
        if let Some(known) = self.known.get_mut(&address) {
            known.source = known.source.min(source);
            return;
        }
        if self.known.len() >= config.max_candidates {
            let worst = self
                .known
                .iter()
                .filter(|(_, candidate)| candidate.state == State::Idle)
                .max_by_key(|(_, candidate)| (candidate.failures, candidate.source))
                .map(|(address, candidate)| (*address, candidate.failures, candidate.source));
            match worst {
                Some((worst, failures, of)) if (failures, of) > (0, source) => {
                    self.known.remove(&worst);
                }
                _ => return,
            }
        }
        self.known.insert(
            address,
            Candidate {
                source,
                failures: 0,
                encryption: Encryption::Plain,
                state: State::Idle,
                not_before: now,
            },
        );
    }

    /// The next address to dial now, best first; it counts as being dialled.
    pub(crate) fn next(&mut self, now: Time, rng: &mut Rng) -> Option<SocketAddr> {
        let address = self
            .known
            .iter()
            .filter(|(_, candidate)| candidate.state == State::Idle && candidate.not_before <= now)
            .min_by_key(|(_, candidate)| (candidate.failures, candidate.source, rng.u32(..)))
            .map(|(address, _)| *address)?;
        self.set(address, State::Dialling);
        Some(address)
    }

    /// When [`next`](Self::next) may find somebody.
    pub(crate) fn next_at(&self) -> Time {
        self.known
            .values()
            .filter(|candidate| candidate.state == State::Idle)
            .map(|candidate| candidate.not_before)
            .min()
            .unwrap_or(Time::NEVER)
    }

    /// How to begin with the address.
    pub(crate) fn encryption(&self, address: SocketAddr) -> Encryption {
        self.known.get(&address).map_or(Encryption::Plain, |candidate| candidate.encryption)
    }

    pub(crate) fn connected(&mut self, address: SocketAddr) {
        self.set(address, State::Connected);
    }

    /// The dial came to nothing.
    pub(crate) fn failed(&mut self, config: &Config, now: Time, address: SocketAddr) {
        if let Some(candidate) = self.known.get_mut(&address) {
            candidate.encryption = Encryption::Plain;
        }
        self.ended(config, now, address, Ending::Useless);
    }

    /// The connection ended.
    pub(crate) fn ended(&mut self, config: &Config, now: Time, address: SocketAddr, ending: Ending) {
        let Some(candidate) = self.known.get_mut(&address) else { return };
        if candidate.state == State::Refused {
            return;
        }
        candidate.state = State::Idle;
        match ending {
            Ending::Useful => {
                candidate.failures = 0;
                candidate.not_before = now + RECONNECT;
            }
            Ending::Mute if candidate.encryption == Encryption::Plain => {
                candidate.encryption = Encryption::Mse;
                candidate.not_before = now;
            }
            Ending::Useless | Ending::Mute => {
                candidate.failures = candidate.failures.saturating_add(1);
                candidate.not_before = now + config.candidate_backoff * u32::from(candidate.failures);
                // What the user named stays: there may be nobody else.
                if candidate.failures >= config.candidate_failures && candidate.source != Source::User {
                    self.known.remove(&address);
                }
            }
            Ending::Later => candidate.not_before = now + LATER,
            Ending::Never => candidate.state = State::Refused,
        }
    }

    /// All connections were closed on our wish: they may be dialled anew.
    pub(crate) fn all_idle(&mut self, now: Time) {
        for candidate in self.known.values_mut().filter(|candidate| candidate.state != State::Refused) {
            candidate.state = State::Idle;
            candidate.not_before = candidate.not_before.min(now);
        }
    }

    fn set(&mut self, address: SocketAddr, state: State) {
        if let Some(candidate) = self.known.get_mut(&address) {
            candidate.state = state;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: u16) -> SocketAddr {
        SocketAddr::from(([9, 9, 9, 9], number))
    }

    #[test]
    fn failures_wait_longer_each_time_and_then_are_forgotten() {
        let (config, mut rng) = (Config::default(), Rng::with_seed(1));
        let mut candidates = Candidates::default();
        candidates.add(&config, Time::ZERO, Source::Tracker, address(1));
        let mut now = Time::ZERO;
        for wait in [60, 120] {
            assert_eq!(candidates.next(now, &mut rng), Some(address(1)));
            assert_eq!(candidates.next(now, &mut rng), None);
            candidates.failed(&config, now, address(1));
            assert_eq!(candidates.next_at(), now + Duration::from_secs(wait));
            now = candidates.next_at();
        }
        candidates.next(now, &mut rng);
        candidates.failed(&config, now, address(1));
        assert_eq!(candidates.next_at(), Time::NEVER);
    }

    #[test]
    fn who_closes_without_a_word_is_called_again_at_once_with_encryption_and_then_as_before() {
        let (config, mut rng, now) = (Config::default(), Rng::with_seed(1), Time::ZERO);
        let mut candidates = Candidates::default();
        candidates.add(&config, now, Source::Tracker, address(1));
        candidates.next(now, &mut rng);
        candidates.ended(&config, now, address(1), Ending::Mute);
        assert_eq!(candidates.next(now, &mut rng), Some(address(1)));
        assert_eq!(candidates.encryption(address(1)), Encryption::Mse);
        candidates.ended(&config, now, address(1), Ending::Useful);
        assert_eq!(candidates.encryption(address(1)), Encryption::Mse, "it is remembered");
        candidates.ended(&config, now, address(1), Ending::Mute);
        assert_eq!(candidates.next_at(), now + config.candidate_backoff, "there is no third way");
        candidates.failed(&config, now, address(1));
        assert_eq!(candidates.encryption(address(1)), Encryption::Plain);
    }

    #[test]
    fn the_list_is_bounded_and_keeps_the_better_source() {
        let (config, mut rng) = (Config { max_candidates: 3, ..Config::default() }, Rng::with_seed(1));
        let mut candidates = Candidates::default();
        for number in 0..3 {
            candidates.add(&config, Time::ZERO, Source::Pex, address(number));
        }
        candidates.add(&config, Time::ZERO, Source::Pex, address(8));
        candidates.add(&config, Time::ZERO, Source::Tracker, address(9));
        assert_eq!((candidates.idle(), candidates.next(Time::ZERO, &mut rng)), (3, Some(address(9))));
    }

    #[test]
    fn ourselves_are_never_dialled_again() {
        let (config, mut rng) = (Config::default(), Rng::with_seed(1));
        let mut candidates = Candidates::default();
        candidates.add(&config, Time::ZERO, Source::Tracker, address(1));
        candidates.next(Time::ZERO, &mut rng);
        candidates.ended(&config, Time::ZERO, address(1), Ending::Never);
        candidates.add(&config, Time::ZERO, Source::Tracker, address(1));
        assert_eq!(candidates.next(Time::from_secs(9_999), &mut rng), None);
    }
}
