//! Why nothing happens: the first thing in a torrent's way, and what a person can do about it.
//!
//! Looks only at facts that the worker reported; asks nobody.

use super::words::counted;
use crate::protocol::view::{Host, Path, Planted, Planting, State, Torrent, TrackerStatus};

/// What is in the way, and what would help.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Why {
    /// What is in the way.
    pub reason: String,
    /// What would help.
    pub help: Help,
}

/// What would help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Help {
    /// Time: it goes on by itself.
    Wait,
    /// Planting the torrent on this host.
    Plant,
    /// Starting it, once its files are chosen.
    Start,
    /// Starting it again.
    Resume,
    /// Nothing that this page could do.
    Nothing,
}

/// Why `torrent` does not move; `None` while it does, or is done.
#[must_use]
pub fn why(torrent: &Torrent, host: &Host) -> Option<Why> {
    let progress = &torrent.progress;
    match progress.state {
        State::Seeding | State::Checking => return None,
        State::Paused if torrent.choosing => {
            let reason = "Choose the files that you want, then start.".into();
            return Some(Why { reason, help: Help::Start });
        }
        State::Paused => {
            return Some(Why { reason: "You paused it.".into(), help: Help::Resume });
        }
        State::Error => {
            let reason = progress.error.clone().unwrap_or_else(|| "It failed for an unknown reason.".into());
            return Some(Why { reason, help: Help::Resume });
        }
        State::Metadata | State::Downloading if progress.down > 0 => return None,
        State::Metadata | State::Downloading => {}
    }
    if let Some(why) = no_peer(torrent, host).or_else(|| idle_peers(torrent)) {
        return Some(why);
    }
    None
}

fn no_peer(torrent: &Torrent, host: &Host) -> Option<Why> {
    let progress = &torrent.progress;
    if !progress.peers.is_empty() {
        return None;
    }
    match &progress.planted {
        Planted::Asking => {
            return Some(Why { reason: format!("Asking {} to plant it …", host.name), help: Help::Wait });
        }
        Planted::No => return Some(not_planted(host)),
        Planted::Refused(reason) => {
            return Some(Why {
                reason: format!("{} did not plant it: {reason}", host.name),
                help: again(host),
            });
        }
        Planted::Unknown | Planted::Yes => {}
    }
    let usable: Vec<_> =
        progress.trackers.iter().filter(|tracker| tracker.status != TrackerStatus::Unreachable).collect();
    let known = usable.iter().find_map(|tracker| match tracker.status {
        TrackerStatus::Working { seeds, leeches } => Some((seeds, leeches)),
        _ => None,
    });
    let (reason, help) = match known {
        None if usable.is_empty() => ("It names no tracker that a browser can reach.".into(), again(host)),
        None => match usable.iter().find_map(|tracker| match &tracker.status {
            TrackerStatus::Failed(reason) => Some((&tracker.url, reason)),
            _ => None,
        }) {
            Some((url, reason)) => {
                (format!("No tracker answers. {url}: {reason}. Trying again."), Help::Wait)
            }
            None => ("Waiting for the tracker to answer.".into(), Help::Wait),
        },
        Some((0, 0 | 1)) => (
            "The tracker answers but knows nobody who has it yet. It starts as soon as somebody seeds."
                .into(),
            Help::Wait,
        ),
        Some((seeds, leeches)) => (
            format!(
                "The tracker knows {} and {}; connecting to them.",
                counted(seeds, "seed", "seeds"),
                counted(leeches, "leech", "leeches")
            ),
            Help::Wait,
        ),
    };
    Some(Why { reason, help })
}

fn not_planted(host: &Host) -> Why {
    let name = &host.name;
    match host.planting {
        Planting::Open => Why {
            reason: format!(
                "{name} does not know this torrent. Planted there, it fetches from classic peers too."
            ),
            help: Help::Plant,
        },
        Planting::Key => Why {
            reason: format!(
                "{name} does not know this torrent and plants only for those whom its host allowed. Give the host this browser's planting key: {}",
                host.planter
            ),
            help: Help::Plant,
        },
        Planting::Off | Planting::Unknown => Why {
            reason: format!(
                "{name} does not know this torrent and does not plant for visitors. Only other browsers with it could help."
            ),
            help: Help::Nothing,
        },
    }
}

fn again(host: &Host) -> Help {
    match host.planting {
        Planting::Open | Planting::Key => Help::Plant,
        Planting::Off | Planting::Unknown => Help::Nothing,
    }
}

fn idle_peers(torrent: &Torrent) -> Option<Why> {
    let peers = &torrent.progress.peers;
    let wait = |reason: &str| Some(Why { reason: reason.into(), help: Help::Wait });
    if torrent.progress.state == State::Metadata {
        return wait("Connected; waiting for a peer to send the description.");
    }
    if peers.iter().all(|peer| !peer.wanted) {
        let alone = peers.iter().all(|peer| {
            matches!(peer.path, Path::Node(behind) if behind.is_none_or(|behind| behind.seeds + behind.leeches == 0))
        });
        return wait(if alone {
            "The node is connected, but nobody behind it has the torrent yet. It is looking for peers."
        } else {
            "The peers connected now lack the pieces that are missing here. Waiting for a seed."
        });
    }
    if peers.iter().filter(|peer| peer.wanted).all(|peer| peer.choking) {
        return wait("The peers that have what is missing are busy with others. Your turn will come.");
    }
    wait("Pieces have been asked for and are on their way.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::view::{Behind, Peer, Progress, Tracker};
    use crate::protocol::{Id, Order};

    fn torrent(progress: Progress) -> Torrent {
        Torrent {
            id: Id::default(),
            name: "t".into(),
            folder: String::new(),
            length: 1,
            piece_length: 1,
            pieces: 1,
            files: Vec::new(),
            link: String::new(),
            private: false,
            added: 0,
            order: Order::default(),
            choosing: false,
            progress: Progress { state: State::Downloading, wanted: 1, ..progress },
        }
    }

    fn node(behind: Option<Behind>, wanted: bool, choking: bool) -> Peer {
        let client = String::new();
        Peer {
            path: Path::Node(behind),
            client,
            has: 0.0,
            down: 0,
            up: 0,
            choking,
            interested: false,
            wanted,
            asked: 0,
            late: false,
        }
    }

    #[test]
    fn an_unplanted_torrent_offers_what_the_host_allows() {
        for (planting, help) in
            [(Planting::Open, Help::Plant), (Planting::Key, Help::Plant), (Planting::Off, Help::Nothing)]
        {
            let host = Host { planting, ..Host::default() };
            let torrent = torrent(Progress { planted: Planted::No, ..Progress::default() });
            assert_eq!(why(&torrent, &host).unwrap().help, help);
        }
    }

    #[test]
    fn a_torrent_that_waits_for_a_choice_says_so_and_offers_to_start() {
        let progress = Progress { state: State::Paused, ..Progress::default() };
        let waiting = Torrent { choosing: true, progress, ..torrent(Progress::default()) };
        assert_eq!(why(&waiting, &Host::default()).unwrap().help, Help::Start);
        let paused = Torrent { choosing: false, ..waiting };
        assert_eq!(why(&paused, &Host::default()).unwrap().help, Help::Resume);
    }

    #[test]
    fn a_moving_torrent_needs_no_explanation() {
        let torrent = torrent(Progress { down: 1, ..Progress::default() });
        assert_eq!(why(&torrent, &Host::default()), None);
    }

    #[test]
    fn the_failing_tracker_is_named() {
        let trackers = vec![
            Tracker { url: "udp://a".into(), status: TrackerStatus::Unreachable },
            Tracker { url: "ws://b".into(), status: TrackerStatus::Failed("connection refused".into()) },
        ];
        let why = why(&torrent(Progress { trackers, ..Progress::default() }), &Host::default()).unwrap();
        assert!(why.reason.contains("ws://b: connection refused"), "{}", why.reason);
    }

    #[test]
    fn a_node_with_nobody_behind_it_and_choking_peers_are_told_apart() {
        let reason = |peer| {
            why(&torrent(Progress { peers: vec![peer], ..Progress::default() }), &Host::default())
                .unwrap()
                .reason
        };
        assert!(reason(node(Some(Behind::default()), false, true)).contains("nobody behind it"));
        assert!(reason(node(Some(Behind { seeds: 1, ..Behind::default() }), true, true)).contains("busy"));
    }
}
