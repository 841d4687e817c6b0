//! The wall clock, for statements that others will read.
//!
//! Not for timers: those use the monotonic clock.

use anatomic_mesh::UnixTime;
use std::time::{SystemTime, UNIX_EPOCH};

/// Now; a clock before 1970 counts as 1970.
#[must_use]
pub fn now() -> UnixTime {
    UnixTime(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()))
}
