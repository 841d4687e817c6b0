//! Numbers and states in words for people.
//!
//! Pure text; the decisions behind it are made elsewhere.

use crate::protocol::view::{Behind, Path, Progress, State, Torrent};

/// Bytes as people read them: `0 B`, `13.4 kB`, `2.10 GB`; powers of 1000, three digits.
#[must_use]
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if count < 1000 {
        return format!("{count} B");
    }
    // Integer arithmetic keeps float formatting out of most of the page.
    let mut unit = 0;
    let mut thousandths = u128::from(count);
    while thousandths >= 1_000_000 && unit + 1 < UNITS.len() {
        thousandths /= 1000;
        unit += 1;
    }
    let (whole, rest) = (thousandths / 1000, thousandths % 1000);
    let name = UNITS.get(unit).copied().unwrap_or_default();
    match whole {
        0..10 => format!("{whole}.{:02} {name}", rest / 10),
        10..100 => format!("{whole}.{} {name}", rest / 100),
        _ => format!("{whole} {name}"),
    }
}

/// A speed, as `1.25 MB/s`.
#[must_use]
pub fn speed(bytes_per_second: u64) -> String {
    format!("{}/s", bytes(bytes_per_second))
}

/// A duration in its two largest units: `3 s`, `4 min 10 s`, `2 h 5 min`, `3 d 4 h`.
#[must_use]
pub fn duration(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let two = |a: u64, a_unit: &str, b: u64, b_unit: &str| {
        if b == 0 { format!("{a} {a_unit}") } else { format!("{a} {a_unit} {b} {b_unit}") }
    };
    if days > 0 {
        two(days, "d", hours % 24, "h")
    } else if hours > 0 {
        two(hours, "h", minutes % 60, "min")
    } else if minutes > 0 {
        two(minutes, "min", seconds % 60, "s")
    } else {
        format!("{seconds} s")
    }
}

/// The share of `wanted` that is done, in thousandths; all, when nothing is wanted of a known torrent.
#[must_use]
pub fn thousandths(done: u64, wanted: u64) -> u64 {
    if wanted == 0 { 0 } else { (u128::from(done.min(wanted)) * 1000 / u128::from(wanted)) as u64 }
}

/// A share in percent with one decimal: `42.7 %`; never `100 %` before it is.
#[must_use]
pub fn percent(done: u64, wanted: u64) -> String {
    match thousandths(done, wanted) {
        1000 => "100 %".into(),
        share => format!("{}.{} %", share / 10, share % 10),
    }
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

/// Time left at the present speed, in seconds.
#[must_use]
pub fn time_left(progress: &Progress) -> Option<u64> {
    if progress.state != State::Downloading || progress.down < 512 {
        return None;
    }
    Some(progress.wanted.saturating_sub(progress.done).div_ceil(progress.down))
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
        Path::Direct => "direct, browser to browser".into(),
        Path::Node(None) => "through a node".into(),
        Path::Node(Some(behind)) => format!("through a node: {}", self::behind(behind)),
    }
}

/// What lies behind a node.
#[must_use]
pub fn behind(behind: Behind) -> String {
    let all = [(behind.tcp, "over TCP"), (behind.utp, "over uTP"), (behind.webrtc, "in browsers")];
    let kinds: Vec<String> =
        all.iter().filter(|(count, _)| *count > 0).map(|(count, kind)| format!("{count} {kind}")).collect();
    if kinds.is_empty() {
        return "nobody behind it yet".into();
    }
    let peers = behind.tcp + behind.utp + behind.webrtc;
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
    let mut parts = vec![state(progress)];
    if torrent.length > 0 {
        parts.push(if progress.done >= progress.wanted {
            bytes(torrent.length)
        } else {
            format!("{} of {}", bytes(progress.done), bytes(progress.wanted))
        });
    }
    if progress.down > 0 && progress.state != State::Seeding {
        parts.push(format!("↓ {}", speed(progress.down)));
    }
    if progress.up > 0 {
        parts.push(format!("↑ {}", speed(progress.up)));
    }
    if let Some(seconds) = time_left(progress) {
        parts.push(format!("{} left", duration(seconds)));
    }
    parts.join(" · ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_three_digits() {
        let cases = [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.00 kB"),
            (16_384, "16.3 kB"),
            (999_999, "999 kB"),
            (1_000_000, "1.00 MB"),
            (4_294_967_296, "4.29 GB"),
            (u64::MAX, "18446 PB"),
        ];
        for (count, text) in cases {
            assert_eq!(bytes(count), text);
        }
    }

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
    fn durations_have_two_units() {
        for (seconds, text) in
            [(0, "0 s"), (59, "59 s"), (120, "2 min"), (3_725, "1 h 2 min"), (90_000, "1 d 1 h")]
        {
            assert_eq!(duration(seconds), text);
        }
    }

    #[test]
    fn a_node_tells_what_lies_behind_it() {
        assert_eq!(behind(Behind::default()), "nobody behind it yet");
        let report = Behind { tcp: 2, webrtc: 1, seeds: 1, leeches: 2, ..Behind::default() };
        assert_eq!(behind(report), "3 peers behind it (2 over TCP, 1 in browsers), 1 seed");
    }
}
