//! Decides when to announce what to which tracker (BEP 3, BEP 12).
//!
//! Trackers stand in tiers; of each tier one tracker of a kind (WebSocket, or HTTP and UDP) is asked at a time,
//! the next when it fails. It sends nothing, and counts no bytes.

use crate::config::{Config, Schemes, Tiers};
use crate::output::{AnnounceEvent, AnnounceReply};
use crate::view::TrackerView;
use anatomic_core::Time;
use anatomic_core::url::split_scheme;
use fastrand::Rng;
use std::time::Duration;

/// Interval where a tracker names none: BEP 3's usual half hour.
const INTERVAL: Duration = Duration::from_secs(1_800);
/// No tracker is asked at shorter intervals, whatever it says.
const SHORTEST: Duration = Duration::from_secs(30);
/// Nor at longer ones.
const LONGEST: Duration = Duration::from_secs(3_600);
/// Sooner than this nobody is asked again, even where we are in a hurry.
const HURRY: Duration = Duration::from_secs(10);
/// The same of a tracker whose socket is open anyway.
const SOCKET_HURRY: Duration = Duration::from_secs(4);
/// First wait of a leech that gets nothing; doubled with each time it asks in vain.
const LONELY: Duration = Duration::from_secs(4);
/// Longest such wait.
const LONGEST_LONELY: Duration = Duration::from_secs(900);
/// Wait after a first failure; doubled with each.
const RETRY: Duration = Duration::from_secs(5);
/// Longest such wait.
const LONGEST_RETRY: Duration = Duration::from_secs(600);
/// Trackers of one torrent; the rest is not used.
const MAX_TRACKERS: usize = 100;

/// The trackers of one torrent.
#[derive(Debug, Default)]
pub(crate) struct Announcer {
    trackers: Vec<Tracker>,
    tiers: usize,
    /// Since when nothing comes: when to ask again out of turn, and how long to wait after that.
    lonely: Option<(Time, Duration)>,
}

/// An announce that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Due {
    /// Which tracker, by number.
    pub tracker: usize,
    /// What to say.
    pub event: AnnounceEvent,
}

#[derive(Debug)]
struct Tracker {
    url: String,
    tier: usize,
    kind: Kind,
    /// It knows us: `started` was answered.
    started: bool,
    /// `completed` is owed.
    owes_completed: bool,
    asked: Option<AnnounceEvent>,
    next: Time,
    last: Time,
    interval: Duration,
    min_interval: Option<Duration>,
    failures: u32,
    error: Option<String>,
    seeds: Option<u32>,
    leeches: Option<u32>,
    tracker_id: Option<Vec<u8>>,
    answered: u32,
}

/// Swarms are apart: those who can be reached by address, and those who are introduced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    ByAddress,
    WebSocket,
}

fn kind_of(url: &str, schemes: Schemes) -> Option<Kind> {
    let scheme = split_scheme(url)?.0.to_ascii_lowercase();
    match scheme.as_str() {
        "http" | "https" if schemes.http => Some(Kind::ByAddress),
        "udp" if schemes.udp => Some(Kind::ByAddress),
        "ws" | "wss" if schemes.ws => Some(Kind::WebSocket),
        _ => None,
    }
}

impl Announcer {
    /// Adds a tier; its trackers are shuffled, as BEP 12 asks. Known ones, and those out of reach, are left out.
    pub(crate) fn add_tier(&mut self, config: &Config, now: Time, urls: &[String], rng: &mut Rng) {
        let mut fresh: Vec<(String, Kind)> = Vec::new();
        for url in urls {
            let known = self.trackers.iter().any(|tracker| tracker.url == *url)
                || fresh.iter().any(|(other, _)| other == url);
            if let Some(kind) = kind_of(url, config.schemes)
                && !known
                && self.trackers.len() + fresh.len() < MAX_TRACKERS
            {
                fresh.push((url.clone(), kind));
            }
        }
        if fresh.is_empty() {
            return;
        }
        rng.shuffle(&mut fresh);
        for (url, kind) in fresh {
            self.trackers.push(Tracker {
                url,
                tier: self.tiers,
                kind,
                started: false,
                owes_completed: false,
                asked: None,
                next: now,
                last: Time::ZERO,
                interval: INTERVAL,
                min_interval: None,
                failures: 0,
                error: None,
                seeds: None,
                leeches: None,
                tracker_id: None,
                answered: 0,
            });
        }
        self.tiers += 1;
    }

    /// URL and name for us of a tracker.
    pub(crate) fn tracker(&self, number: usize) -> Option<(&str, Option<&[u8]>)> {
        let tracker = self.trackers.get(number)?;
        Some((&tracker.url, tracker.tracker_id.as_deref()))
    }

    /// Whether the tracker speaks WebSocket: then it is asked for offers.
    pub(crate) fn is_websocket(&self, number: usize) -> bool {
        self.trackers.get(number).is_some_and(|tracker| tracker.kind == Kind::WebSocket)
    }

    /// The next announce that is due; it counts as asked.
    pub(crate) fn poll(&mut self, config: &Config, now: Time) -> Option<Due> {
        let number = (0..self.trackers.len()).find(|number| {
            self.is_its_turn(config, *number)
                && self
                    .trackers
                    .get(*number)
                    .is_some_and(|tracker| tracker.asked.is_none() && tracker.next <= now)
        })?;
        let tracker = self.trackers.get_mut(number)?;
        let event = match (tracker.started, tracker.owes_completed) {
            (false, _) => AnnounceEvent::Started,
            (true, true) => AnnounceEvent::Completed,
            (true, false) => AnnounceEvent::Regular,
        };
        tracker.asked = Some(event);
        tracker.last = now;
        Some(Due { tracker: number, event })
    }

    /// When [`poll`](Self::poll) may find something.
    pub(crate) fn next_at(&self, config: &Config) -> Time {
        (0..self.trackers.len())
            .filter(|number| self.is_its_turn(config, *number))
            .filter_map(|number| self.trackers.get(number))
            .filter(|tracker| tracker.asked.is_none())
            .map(|tracker| tracker.next)
            .min()
            .unwrap_or(Time::NEVER)
    }

    /// BEP 12: of a tier the one that works, at first the first; the next tier, unless all are asked, when those
    /// before it failed more often.
    fn is_its_turn(&self, config: &Config, number: usize) -> bool {
        let Some(own) = self.trackers.get(number) else { return false };
        self.trackers.iter().enumerate().filter(|(_, other)| other.kind == own.kind).all(|(at, other)| {
            if other.tier == own.tier {
                (own.failures, number) <= (other.failures, at)
            } else {
                config.tiers == Tiers::All || other.tier > own.tier || other.failures > own.failures
            }
        })
    }

    /// A tracker answered.
    pub(crate) fn answered(&mut self, now: Time, number: usize, reply: &AnnounceReply) {
        let Some(tracker) = self.trackers.get_mut(number) else { return };
        match tracker.asked.take() {
            Some(AnnounceEvent::Started) => tracker.started = true,
            Some(AnnounceEvent::Completed) => tracker.owes_completed = false,
            Some(AnnounceEvent::Regular | AnnounceEvent::Stopped) => {}
            None => return,
        }
        tracker.failures = 0;
        tracker.error = None;
        tracker.answered += 1;
        tracker.seeds = reply.seeds.or(tracker.seeds);
        tracker.leeches = reply.leeches.or(tracker.leeches);
        if reply.tracker_id.is_some() {
            tracker.tracker_id.clone_from(&reply.tracker_id);
        }
        tracker.min_interval = reply.min_interval;
        tracker.interval = reply.interval.unwrap_or(INTERVAL).clamp(SHORTEST, LONGEST);
        tracker.next = now + if tracker.owes_completed { Duration::ZERO } else { tracker.interval };
        let (tier, kind) = (tracker.tier, tracker.kind);
        // BEP 12: the one that answered is first of its tier from now on.
        for other in self.trackers.iter_mut().take(number) {
            if other.tier == tier && other.kind == kind {
                other.failures = other.failures.max(1);
            }
        }
    }

    /// A tracker failed: the next of its tier has its turn at once, this one later.
    pub(crate) fn failed(&mut self, now: Time, number: usize, why: String) {
        let Some(tracker) = self.trackers.get_mut(number) else { return };
        if tracker.asked.take().is_none() {
            return;
        }
        tracker.failures += 1;
        tracker.error = Some(why);
        let wait = RETRY * 2u32.pow(tracker.failures.min(10) - 1);
        tracker.next = now + wait.min(LONGEST_RETRY);
    }

    /// The download was completed, in this session: trackers are told once (BEP 3).
    pub(crate) fn completed(&mut self, now: Time) {
        for tracker in self.trackers.iter_mut().filter(|tracker| tracker.started) {
            tracker.owes_completed = true;
            tracker.next = now;
        }
    }

    /// To be told often while a torrent wants something, and whether it gets it. Two leeches that came just before
    /// the first seed would else wait a whole interval; so they ask again, ever more rarely.
    pub(crate) fn look_around(&mut self, now: Time, gets_something: bool) {
        self.lonely = match self.lonely {
            _ if gets_something => None,
            None => Some((now + LONELY, LONELY * 2)),
            Some((at, wait)) if at <= now => {
                self.hurry(now);
                Some((now + wait, (wait * 2).min(LONGEST_LONELY)))
            }
            waiting => waiting,
        };
    }

    /// More peers are needed: ask as soon as the trackers allow.
    pub(crate) fn hurry(&mut self, now: Time) {
        for tracker in &mut self.trackers {
            let hurry = match tracker.kind {
                Kind::ByAddress => HURRY,
                Kind::WebSocket => SOCKET_HURRY,
            };
            let allowed = if tracker.failures > 0 {
                tracker.last + RETRY * 2u32.pow(tracker.failures.min(4) - 1)
            } else {
                tracker.last + tracker.min_interval.unwrap_or(hurry).clamp(hurry, tracker.interval)
            };
            tracker.next = tracker.next.min(allowed.max(now));
        }
    }

    /// We leave: the trackers that know us, to be told. All begin anew afterwards.
    pub(crate) fn stop(&mut self, now: Time) -> Vec<usize> {
        let mut known = Vec::new();
        for (number, tracker) in self.trackers.iter_mut().enumerate() {
            if tracker.started || tracker.asked == Some(AnnounceEvent::Started) {
                known.push(number);
            }
            tracker.started = false;
            tracker.owes_completed = false;
            tracker.asked = None;
            tracker.failures = 0;
            tracker.next = now;
            tracker.last = Time::ZERO;
        }
        known
    }

    /// Seeds and leeches, as the best informed tracker knows them.
    pub(crate) fn view(&self) -> Vec<TrackerView> {
        self.trackers
            .iter()
            .map(|tracker| TrackerView {
                url: tracker.url.clone(),
                tier: tracker.tier,
                error: tracker.error.clone(),
                seeds: tracker.seeds,
                leeches: tracker.leeches,
                answered: tracker.answered,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn announcer(config: &Config, tiers: &[&[&str]]) -> Announcer {
        let mut announcer = Announcer::default();
        for tier in tiers {
            let urls: Vec<String> = tier.iter().map(|url| (*url).to_owned()).collect();
            announcer.add_tier(config, Time::ZERO, &urls, &mut Rng::with_seed(1));
        }
        announcer
    }

    fn due(announcer: &mut Announcer, config: &Config, now: Time) -> Vec<(String, AnnounceEvent)> {
        std::iter::from_fn(|| announcer.poll(config, now))
            .map(|due| (due.tracker.to_string(), due.event))
            .collect()
    }

    #[test]
    fn one_of_each_tier_and_kind_is_asked_and_the_next_when_it_fails() {
        let config = Config::default();
        let mut announcer = announcer(&config, &[&["http://a/", "http://b/"], &["wss://c/"], &["udp://d/"]]);
        let started = AnnounceEvent::Started;
        assert_eq!(due(&mut announcer, &config, Time::ZERO), [("0".into(), started), ("2".into(), started)]);
        announcer.failed(Time::ZERO, 0, "no route".into());
        assert_eq!(due(&mut announcer, &config, Time::ZERO), [("1".into(), started)]);
        announcer.answered(Time::ZERO, 1, &AnnounceReply::default());
        // The one that works stays first.
        assert_eq!(due(&mut announcer, &config, Time::from_secs(1_799)), []);
        assert_eq!(
            due(&mut announcer, &config, Time::from_secs(1_800)),
            [("1".into(), AnnounceEvent::Regular)]
        );
    }

    #[test]
    fn strict_tiers_wait_for_the_first() {
        let config = Config { tiers: Tiers::Strict, ..Config::default() };
        let mut announcer = announcer(&config, &[&["http://a/"], &["http://b/"]]);
        assert_eq!(due(&mut announcer, &config, Time::ZERO).len(), 1);
        announcer.failed(Time::ZERO, 0, "no route".into());
        assert_eq!(due(&mut announcer, &config, Time::ZERO), [("1".into(), AnnounceEvent::Started)]);
    }

    #[test]
    fn completed_is_told_once_and_stopped_only_to_those_who_know_us() {
        let config = Config::default();
        let mut announcer = announcer(&config, &[&["http://a/"], &["http://b/"]]);
        assert_eq!(due(&mut announcer, &config, Time::ZERO).len(), 2);
        announcer.answered(Time::ZERO, 0, &AnnounceReply::default());
        announcer.failed(Time::ZERO, 1, "no route".into());
        let now = Time::from_secs(1);
        announcer.completed(now);
        assert_eq!(due(&mut announcer, &config, now), [("0".into(), AnnounceEvent::Completed)]);
        announcer.answered(now, 0, &AnnounceReply::default());
        assert_eq!(due(&mut announcer, &config, now), []);
        assert_eq!(announcer.stop(now), [0]);
        assert_eq!(due(&mut announcer, &config, now).len(), 2);
    }

    #[test]
    fn failures_wait_longer_and_a_hurry_is_bounded_by_the_tracker() {
        let config = Config::default();
        let mut announcer = announcer(&config, &[&["wss://a/"]]);
        let mut now = Time::ZERO;
        for wait in [5, 10, 20] {
            assert_eq!(due(&mut announcer, &config, now).len(), 1);
            announcer.failed(now, 0, "no route".into());
            assert_eq!(announcer.next_at(&config), now + Duration::from_secs(wait));
            now = announcer.next_at(&config);
        }
        assert_eq!(due(&mut announcer, &config, now).len(), 1);
        let reply = AnnounceReply { min_interval: Some(Duration::from_secs(40)), ..AnnounceReply::default() };
        announcer.answered(now, 0, &reply);
        announcer.hurry(now + Duration::from_secs(1));
        assert_eq!(announcer.next_at(&config), now + Duration::from_secs(40));
    }

    #[test]
    fn a_leech_that_gets_nothing_asks_again_ever_more_rarely() {
        let config = Config::default();
        let mut announcer = announcer(&config, &[&["http://a/"], &["wss://b/"]]);
        let mut asked = [Vec::new(), Vec::new()];
        for secs in 0..200 {
            let now = Time::from_secs(secs);
            announcer.look_around(now, false);
            while let Some(due) = announcer.poll(&config, now) {
                asked[due.tracker].push(secs);
                announcer.answered(now, due.tracker, &AnnounceReply::default());
            }
        }
        assert_eq!(asked, [vec![0, 10, 20, 30, 60, 124], vec![0, 4, 12, 28, 60, 124]]);
        announcer.look_around(Time::from_secs(200), true);
        announcer.look_around(Time::from_secs(300), false);
        assert_eq!(due(&mut announcer, &config, Time::from_secs(303)), []);
    }
}
