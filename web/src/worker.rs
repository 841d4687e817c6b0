//! The worker: drives the engine with what a browser has.
//!
//! Knows no screen and no rule of BitTorrent: the engine decides, the parts here carry out. One module a thing that the
//! worker owns: [`store`], [`channel`]s, [`signalling`], …

pub mod channel;
pub mod clock;
pub mod hashing;
pub mod signalling;
pub mod store;

/// Starts.
pub fn run() {}
