//! The worker.

/// Starts.
pub fn run() {}
