//! Whole swarms in one process: a virtual clock, links with latency and rate, stores in memory, a tracker.
//!
//! For development only; nothing here goes into a product. The engines are the real ones, and everything that is
//! left to chance comes from one seed, which is printed when a test fails: the same seed gives the same run.
//!
//! ```
//! use anatomic_sim::{Content, HostConfig, World};
//! use std::time::Duration;
//!
//! let mut world = World::new(7);
//! let content = Content::random(7, 1_000_000, 65_536);
//! let seed = world.host(HostConfig::default());
//! let leech = world.host(HostConfig::default());
//! world.seed(seed, &content);
//! world.leech(leech, &content);
//! assert!(world.run_until(Duration::from_secs(60), |world| world.is_complete(leech, &content)));
//! ```
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod content;
mod host;
pub mod mesh;
mod store;
mod tracker;
mod world;

pub use content::Content;
pub use host::{Fault, Host, HostConfig, HostId};
pub use store::{MemoryStore, StoreFault};
pub use world::{Draining, World};
