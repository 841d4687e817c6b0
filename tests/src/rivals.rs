//! Other trackers, and the load generators of aquatic, as `cargo xtask bench tracker` installs them.
//!
//! Starts programs and reads their reports; what is compared with what is the benchmark's business. Each tracker runs on
//! one core and the load on the other.

use crate::process::{Log, Process};
use crate::programs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::process::Command;

/// The core of the tracker and that of the load.
const CORES: [&str; 2] = ["0", "1"];

/// The folder of aquatic's programs: `$ANATOMIC_TRACKERS`, else the set-up's.
#[must_use]
pub fn folder() -> PathBuf {
    std::env::var_os("ANATOMIC_TRACKERS")
        .map_or_else(|| programs::peers().with_file_name("trackers"), PathBuf::from)
}

/// A program of aquatic, if it is installed.
#[must_use]
pub fn aquatic(name: &str) -> Option<PathBuf> {
    Some(folder().join("bin").join(name)).filter(|file| file.is_file())
}

/// opentracker, if it is installed.
#[must_use]
pub fn opentracker() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join("opentracker")).find(|file| file.is_file())
}

/// `program` on the tracker's core.
#[must_use]
pub fn pinned(program: &Path) -> Command {
    on_core(CORES[0], program)
}

fn on_core(core: &str, program: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", core]).arg(program);
    command
}

/// Lets this process, and those it starts, open as many files as the system allows, and more if it may allow itself more.
pub fn raise_files() {
    let pid = std::process::id().to_string();
    let raise = |most: &str| {
        std::process::Command::new("prlimit").args(["--pid", &pid, &format!("--nofile={most}")]).status()
    };
    // Where the system does not let us, opening fails and says so.
    let _ = raise("200000:200000");
}

/// Starts a tracker on its core; returns when it had time to bind its port.
pub async fn start(name: &str, command: Command, dir: &Path) -> Process {
    let process = Process::spawn(name, command, Log::create(dir, name));
    tokio::time::sleep(Duration::from_secs(1)).await;
    process
}

/// Runs a load to its end on the other core and returns what it printed.
///
/// # Panics
/// When it does not end, or fails.
pub async fn load(name: &str, program: &Path, args: &[&str], dir: &Path, seconds: u64) -> String {
    let mut command = on_core(CORES[1], program);
    command.args(args);
    let mut process = Process::spawn(name, command, Log::create(dir, name));
    let status = process.wait(Duration::from_secs(seconds + 120)).await;
    let (out, err) = process.said().await;
    assert!(status.success(), "{name} ended with {status}:\n{err}\n{out}");
    out
}

/// The figure behind `label` in the last report of one of aquatic's loads.
#[must_use]
pub fn figure(report: &str, label: &str) -> Option<f64> {
    let line = report.lines().rev().find(|line| line.trim_start().starts_with(label))?;
    line.rsplit(' ').find_map(|word| word.trim_end_matches("/second").parse().ok())
}

/// The first `count` info-hashes that aquatic's UDP load announces, in hexadecimal, for trackers that want a list.
///
/// It draws them from rand 0.8's `SmallRng` (xoshiro256++, seeded through PCG32) with a seed of its own, a byte a number.
#[must_use]
pub fn udp_load_hashes(count: usize) -> String {
    let mut seed: u64 = 0xc3aa_8be6_17b3_acce;
    let mut half = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(11_634_580_027_462_260_723);
        let shifted = (((seed >> 18) ^ seed) >> 27) as u32;
        u64::from(shifted.rotate_right((seed >> 59) as u32))
    };
    let mut state = [0u64; 4];
    for word in &mut state {
        *word = half() | half() << 32;
    }
    let mut byte = || {
        let result = state[0].wrapping_add(state[3]).rotate_left(23).wrapping_add(state[0]);
        let shifted = state[1] << 17;
        state[2] ^= state[0];
        state[3] ^= state[1];
        state[1] ^= state[2];
        state[0] ^= state[3];
        state[2] ^= shifted;
        state[3] = state[3].rotate_left(45);
        ((result >> 32) & 0xff) as u8
    };
    let mut list = String::with_capacity(count * 41);
    for _ in 0..count {
        for _ in 0..20 {
            let byte = byte();
            for digit in [byte >> 4, byte & 15] {
                list.push(char::from_digit(u32::from(digit), 16).unwrap_or('0'));
            }
        }
        list.push('\n');
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_from_the_last_report() {
        let text =
            "Responses in: 1.00/second\n  - Announce responses: 5.50\n\n  - Announce responses: 7.25\n";
        assert_eq!(figure(text, "- Announce responses"), Some(7.25));
        assert_eq!(figure("  - Announce responses: 12.5/second", "- Announce responses"), Some(12.5));
    }

    #[test]
    fn the_hashes_are_those_that_aquatics_load_was_seen_to_announce() {
        let list = udp_load_hashes(4_763);
        let hash = |number| list.lines().nth(number);
        assert_eq!(hash(1_138), Some("5b865fc37a92de1241443365a8a39ca1070e1199"));
        assert_eq!(hash(4_762), Some("1b3b67e3d642e78fc2d7346344d9f1df1d884ae7"));
    }
}
