//! Sizes, speeds and durations as people read them: the same in the terminal and on the page.
//!
//! Decimal units (1 kB = 1000 bytes), as disks, networks and browsers count, but for lengths of pieces. Not for machines: JSON carries plain numbers.

use crate::time::Duration;
use std::fmt;

/// A number of bytes: `950 B`, `1.25 MB`, `12.5 GB`, `734 MB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(pub u64);

/// A length that is a power of two by its nature, as that of pieces: `16 KiB`, `1 MiB`; any other in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Binary(pub u64);

/// Bytes in a second: `1.25 MB/s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Speed(pub u64);

/// A time that something takes: `850 ms`, `12 s`, `3 min 20 s`, `2 h 05 min`, `4 d 3 h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(pub Duration);

/// How much of a whole is done, rounded down so that 100 % means complete: `42.0 %`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Percent {
    /// The part.
    pub done: u64,
    /// The whole; if it is zero, everything is done.
    pub of: u64,
}

const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 1_000 {
            return f.pad(&format!("{} B", self.0));
        }
        let bytes = u128::from(self.0);
        // The first unit of which there are less than 999.5, and how many bytes it has.
        let mut unit = ("EB", 1_000u128.pow(6));
        for (name, power) in UNITS.into_iter().zip(1..) {
            unit = (name, 1_000u128.pow(power));
            if bytes * 2 < unit.1 * 1_999 {
                break;
            }
        }
        let (name, one) = unit;
        let rounded = |parts: u128| (bytes * parts + one / 2) / one;
        // Three digits are enough to read.
        let (hundredths, tenths) = (rounded(100), rounded(10));
        let text = if hundredths < 1_000 {
            format!("{}.{:02} {name}", hundredths / 100, hundredths % 100)
        } else if tenths < 1_000 {
            format!("{}.{} {name}", tenths / 10, tenths % 10)
        } else {
            format!("{} {name}", rounded(1))
        };
        f.pad(&text)
    }
}

impl fmt::Display for Binary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
        let unit = units.into_iter().find(|(bytes, _)| self.0 >= *bytes && self.0.is_multiple_of(*bytes));
        let (bytes, name) = unit.unwrap_or((1, "B"));
        f.pad(&format!("{} {name}", self.0 / bytes))
    }
}

impl fmt::Display for Speed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}/s", Size(self.0)))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secs = self.0.as_secs();
        let (minutes, hours, days) = (secs / 60, secs / 3_600, secs / 86_400);
        let text = match (days, hours, minutes, secs) {
            (0, 0, 0, 0) => format!("{} ms", self.0.as_millis()),
            (0, 0, 0, _) => format!("{secs} s"),
            (0, 0, _, _) => format!("{minutes} min {:02} s", secs % 60),
            (0, _, _, _) => format!("{hours} h {:02} min", minutes % 60),
            (1..1_000, ..) => format!("{days} d {} h", hours % 24),
            _ => "years".to_owned(),
        };
        f.pad(&text)
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = match self.of {
            0 => 1_000,
            of => u128::from(self.done.min(of)) * 1_000 / u128::from(of),
        };
        f.pad(&format!("{}.{} %", tenths / 10, tenths % 10))
    }
}

/// How long `left` bytes take at `speed` bytes a second; `None` while nothing moves.
#[must_use]
pub fn time_left(left: u64, speed: u64) -> Option<Duration> {
    left.checked_div(speed).map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_three_digits() {
        for (bytes, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1.00 kB"),
            (1_234, "1.23 kB"),
            (16_384, "16.4 kB"),
            (262_144, "262 kB"),
            (999_499, "999 kB"),
            (9_996, "10.0 kB"),
            (999_999, "1.00 MB"),
            (1_250_000, "1.25 MB"),
            (4_294_967_296, "4.29 GB"),
            (u64::MAX, "18.4 EB"),
        ] {
            assert_eq!(Size(bytes).to_string(), text);
        }
        assert_eq!(Speed(1_250_000).to_string(), "1.25 MB/s");
    }

    #[test]
    fn powers_of_two_stay_exact() {
        for (bytes, text) in
            [(0, "0 B"), (16_384, "16 KiB"), (3 << 20, "3 MiB"), (1 << 30, "1 GiB"), (1_025, "1025 B")]
        {
            assert_eq!(Binary(bytes).to_string(), text);
        }
    }

    #[test]
    fn durations_name_their_two_largest_units() {
        for (secs, text) in [
            (12, "12 s"),
            (200, "3 min 20 s"),
            (7_500, "2 h 05 min"),
            (356_400, "4 d 3 h"),
            (u64::MAX, "years"),
        ] {
            assert_eq!(Span(Duration::from_secs(secs)).to_string(), text);
        }
        assert_eq!(Span(Duration::from_millis(850)).to_string(), "850 ms");
    }

    #[test]
    fn a_hundred_per_cent_means_complete() {
        assert_eq!(Percent { done: 999_999, of: 1_000_000 }.to_string(), "99.9 %");
        assert_eq!(Percent { done: 5, of: 5 }.to_string(), "100.0 %");
        assert_eq!(Percent { done: 0, of: 0 }.to_string(), "100.0 %");
        assert_eq!((time_left(10, 0), time_left(10, 5)), (None, Some(Duration::from_secs(2))));
    }
}
