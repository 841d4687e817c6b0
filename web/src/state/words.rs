//! Numbers and states in words for people.
//!
//! Pure text; the decisions behind it are made elsewhere, and how sizes and times are written in [`anatomic_core::human`].

use crate::protocol::view::{Behind, Path, Progress, State, Torrent};
use anatomic_core::human::{self, Percent, Size, Span, Speed};
use std::time::Duration;

/// Bytes as people read them: `13.4 kB`.
#[must_use]
pub fn bytes(count: u64) -> String {
    Size(count).to_string()
}

/// A speed: `1.25 MB/s`.
#[must_use]
pub fn speed(bytes_per_second: u64) -> String {
    Speed(bytes_per_second).to_string()
}

/// The share of `wanted` that is done, in thousandths; all, when nothing is wanted of a known torrent.
#[must_use]
pub fn thousandths(done: u64, wanted: u64) -> u64 {
    if wanted == 0 { 0 } else { (u128::from(done.min(wanted)) * 1000 / u128::from(wanted)) as u64 }
}

/// A share in percent with one decimal: `42.7 %`; never `100 %` before it is.
#[must_use]
pub fn percent(done: u64, wanted: u64) -> String {
    if done >= wanted { "100 %".into() } else { Percent { done, of: wanted }.to_string() }
}

/// The number that scripts read in `data-progress`: 0 to 1, and 1 only when complete.
#[must_use]
pub fn progress(progress: &Progress) -> String {
    if progress.wanted == 0 {
        // A torrent of empty files is complete as soon as it is known.
        return if progress.state == State::Seeding { "1" } else { "0" }.into();
    }
    if progress.done >= progress.wanted {
        return "1".into();
    }
    format!("0.{:04}", u128::from(progress.done) * 10_000 / u128::from(progress.wanted))
}

/// Time left at the present speed.
#[must_use]
pub fn time_left(progress: &Progress) -> Option<String> {
    if progress.state != State::Downloading || progress.down < 512 {
        return None;
    }
    let left = progress.wanted.saturating_sub(progress.done);
    human::time_left(left, progress.down).map(|time| Span(time.max(Duration::from_secs(1))).to_string())
}

/// How long a lease still runs: `30 days`, `3 hours`.
#[must_use]
pub fn lease(seconds: u64) -> String {
    let (count, one, many) = match seconds {
        0..7_200 => (seconds / 60, "minute", "minutes"),
        // To the nearest: a lease of 30 days is one all through its first hours.
        7_200..172_800 => ((seconds + 1_800) / 3_600, "hour", "hours"),
        _ => ((seconds + 43_200) / 86_400, "day", "days"),
    };
    counted(u32::try_from(count).unwrap_or(u32::MAX), one, many)
}

/// What the torrent is doing, in a few words.
#[must_use]
pub fn state(progress: &Progress) -> String {
    match progress.state {
        State::Metadata => "Fetching the description".into(),
        State::Checking => "Checking what is stored".into(),
        State::Downloading if progress.peers.is_empty() => "Looking for peers".into(),
        State::Downloading if progress.down == 0 => "Waiting for pieces".into(),
        State::Downloading => "Downloading".into(),
        State::Seeding if progress.up > 0 => "Complete, sending to others".into(),
        State::Seeding => "Complete, ready to send".into(),
        State::Paused => "Paused".into(),
        State::Error => "Stopped".into(),
    }
}

/// The path a peer's bytes take.
#[must_use]
pub fn path(path: Path) -> String {
    match path {
        Path::Direct => "direct, over WebRTC".into(),
        Path::Node(None) => "through a node".into(),
        Path::Node(Some(behind)) => format!("through a node: {}", self::behind(behind)),
    }
}

/// What lies behind a node.
#[must_use]
pub fn behind(behind: Behind) -> String {
    // The node counts everybody, and we are one of them.
    let others = behind.webrtc.saturating_sub(1);
    let all = [(behind.tcp, "over TCP"), (behind.utp, "over uTP"), (others, "in browsers")];
    let kinds: Vec<String> =
        all.iter().filter(|(count, _)| *count > 0).map(|(count, kind)| format!("{count} {kind}")).collect();
    if kinds.is_empty() {
        return "nobody behind it yet".into();
    }
    let peers = behind.tcp + behind.utp + others;
    format!(
        "{} {} behind it ({}), {}",
        peers,
        if peers == 1 { "peer" } else { "peers" },
        kinds.join(", "),
        counted(behind.seeds, "seed", "seeds"),
    )
}

/// `1 seed`, `2 seeds`, `no seeds`.
#[must_use]
pub fn counted(count: u32, one: &str, many: &str) -> String {
    match count {
        0 => format!("no {many}"),
        1 => format!("1 {one}"),
        _ => format!("{count} {many}"),
    }
}

/// The line under a torrent's name.
#[must_use]
pub fn summary(torrent: &Torrent) -> String {
    let progress = &torrent.progress;
    let mut parts = vec![if torrent.choosing && progress.state == State::Paused {
        "Waiting for your choice".into()
    } else {
        state(progress)
    }];
    if torrent.length > 0 {
        parts.push(if progress.done >= progress.wanted && progress.wanted < torrent.length {
            format!("{} of {} chosen", bytes(progress.wanted), bytes(torrent.length))
        } else if progress.done >= progress.wanted {
            bytes(torrent.length)
        } else {
            format!("{} of {}", bytes(progress.done), bytes(progress.wanted))
        });
    }
    // What was measured before it stopped says nothing any more.
    let moves = !matches!(progress.state, State::Paused | State::Error);
    if progress.down > 0 && moves && progress.state != State::Seeding {
        parts.push(format!("↓ {}", speed(progress.down)));
    }
    if progress.up > 0 && moves {
        parts.push(format!("↑ {}", speed(progress.up)));
    }
    if let Some(time) = time_left(progress) {
        parts.push(format!("{time} left"));
    }
    parts.join(" · ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_one_only_when_complete() {
        let at = |done, wanted| progress(&Progress { done, wanted, ..Progress::default() });
        assert_eq!(at(0, 0), "0");
        assert_eq!(at(1, 3), "0.3333");
        assert_eq!(at(999_999, 1_000_000), "0.9999");
        assert_eq!(at(3, 3), "1");
        assert_eq!(percent(999_999, 1_000_000), "99.9 %");
    }

    #[test]
    fn a_lease_is_told_in_its_largest_unit() {
        assert_eq!([lease(90), lease(7_300), lease(2_592_000)], ["1 minute", "2 hours", "30 days"]);
    }

    #[test]
    fn a_node_tells_what_lies_behind_it() {
        assert_eq!(behind(Behind::default()), "nobody behind it yet");
        let report = Behind { tcp: 2, webrtc: 2, seeds: 1, leeches: 2, ..Behind::default() };
        assert_eq!(behind(report), "3 peers behind it (2 over TCP, 1 in browsers), 1 seed");
    }
}
