//! The node's own affairs besides tracker and bridge: its key, the torrents planted on it, its supernodes.
//!
//! Moves no data and answers no HTTP; [`crate::http`] calls in, [`crate::bridge`] listens for what is planted.

pub mod blocks;
pub mod client;
pub mod clock;
pub mod files;
pub mod identity;
pub mod planting;
pub mod register;
pub mod report;
pub mod sisters;

pub use planting::{PlantedTorrent, Planting, PlantingChange};
