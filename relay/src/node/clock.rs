//! The wall clock, for statements that others will read.
//!
//! Not for timers: those use the monotonic clock.

use anatomic_mesh::UnixTime;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Now; a clock before 1970 counts as 1970.
#[must_use]
pub fn now() -> UnixTime {
    UnixTime(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()))
}

/// A clock that can be wound by hand: leases run for weeks, and tests do not.
#[derive(Clone, Default)]
pub struct Clock(Option<Arc<AtomicU64>>);

impl Clock {
    /// The system's.
    #[must_use]
    pub const fn system() -> Self {
        Self(None)
    }

    /// One that stands still until it is moved on. Clones show the same time.
    #[must_use]
    pub fn by_hand(start: UnixTime) -> Self {
        Self(Some(Arc::new(AtomicU64::new(start.0))))
    }

    /// Now.
    #[must_use]
    pub fn now(&self) -> UnixTime {
        self.0.as_ref().map_or_else(now, |time| UnixTime(time.load(Ordering::Relaxed)))
    }

    /// Moves a clock of [`Clock::by_hand`] on by so many seconds; the system's stays.
    pub fn pass(&self, seconds: u64) {
        if let Some(time) = &self.0 {
            time.fetch_add(seconds, Ordering::Relaxed);
        }
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clock({})", self.now().0)
    }
}
