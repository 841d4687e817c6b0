//! The settings of budgets, as a host writes them.
//!
//! Values only.

use std::fmt;
use std::str::FromStr;

/// Budgets of a node.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Options {
    /// Bytes that may be sent in a calendar month (UTC), by all processes of a fleet together, as 500GB; near it new load goes to sister nodes, beyond it the bridge rests
    #[arg(long, value_name = "SIZE", env = "ANATOMIC_BUDGET_MONTH")]
    pub budget_month: Option<Bytes>,
    /// Bytes that may be sent in a day (UTC), by all processes of a fleet together
    #[arg(long, value_name = "SIZE", env = "ANATOMIC_BUDGET_DAY")]
    pub budget_day: Option<Bytes>,
    /// Speed of the bridge in Mbit/s, for each direction
    #[arg(long, value_name = "MBIT", env = "ANATOMIC_BUDGET_RATE", value_parser = clap::value_parser!(u64).range(1..))]
    pub budget_rate: Option<u64>,
    /// Memory of the process, as 2GiB
    #[arg(long, value_name = "SIZE", env = "ANATOMIC_MAX_MEMORY")]
    pub max_memory: Option<Bytes>,
}

/// A number of bytes: `500GB` is 500 thousand million, `2GiB` two times 1024³.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bytes(pub u64);

impl FromStr for Bytes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let problem = || format!("{text:?} is no size: write 500GB, 1.5TB or 2GiB");
        let text = text.trim();
        let end = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(text.len());
        let (number, unit) = text.split_at(end);
        let factor: f64 = match unit.trim().to_ascii_lowercase().as_str() {
            "" | "b" => 1.0,
            "kb" => 1e3,
            "mb" => 1e6,
            "gb" => 1e9,
            "tb" => 1e12,
            "kib" => 1024.0,
            "mib" => 1_048_576.0,
            "gib" => 1_073_741_824.0,
            "tib" => 1_099_511_627_776.0,
            _ => return Err(problem()),
        };
        let bytes = number.parse::<f64>().map_err(|_| problem())? * factor;
        if !(1.0..9e15).contains(&bytes) {
            return Err(problem());
        }
        // In the range of integers that a double holds exactly.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let bytes = bytes as u64;
        Ok(Self(bytes))
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, into: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(into, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        for (text, bytes) in [
            ("500GB", 500_000_000_000),
            ("1.5 TB", 1_500_000_000_000),
            ("2GiB", 2 << 30),
            ("10mb", 10_000_000),
            ("4096", 4096),
        ] {
            assert_eq!(text.parse(), Ok(Bytes(bytes)), "{text}");
        }
        for bad in ["", "GB", "-1GB", "5 parsecs", "0", "1.2.3GB", "99999999TB"] {
            assert!(bad.parse::<Bytes>().is_err(), "{bad}");
        }
    }
}
