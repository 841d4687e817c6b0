//! What can be set of an endpoint, each with its unit and reason.
//!
//! Values only.

use std::time::Duration;

/// Settings of an [`Endpoint`](crate::Endpoint).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Bytes received and not read that one connection may hold. What is in order goes on at once, so this is the product of
    /// speed and round trip that a remote can fill.
    pub receive_window: usize,
    /// Bytes beyond those on their way that are taken from a writer: enough for a fast path, little enough that a choke or a
    /// cancel still means something.
    pub send_ahead: usize,
    /// Delay that our packets may add to the line, LEDBAT's target (BEP 29: 100 ms).
    pub target_delay: Duration,
    /// Connections at once, dialled and accepted.
    pub max_connections: usize,
    /// Of those, how many may be accepted.
    pub max_accepted: usize,
    /// Strangers at once that have not acknowledged our answer yet; the oldest makes room.
    pub max_lobby: usize,
    /// Time for a remote's answer to our first packet.
    pub connect_timeout: Duration,
    /// How long a closed connection sees to it that its last bytes arrive.
    pub linger: Duration,
    /// Resets sent to strangers, a second.
    pub resets_per_second: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            receive_window: 1024 * 1024,
            send_ahead: 256 * 1024,
            target_delay: Duration::from_millis(100),
            max_connections: 1_000,
            max_accepted: 500,
            max_lobby: 256,
            connect_timeout: Duration::from_secs(10),
            linger: Duration::from_secs(10),
            resets_per_second: 64,
        }
    }
}
