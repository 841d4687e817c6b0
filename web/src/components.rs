//! The parts of the page, one file each.
//!
//! They draw [`crate::state`] and pass wishes on; no rule of BitTorrent, no call of a browser API that is not about drawing.
//! What remembers something itself is a component; the rest are functions, which take less code.

mod add;
mod drop_zone;
mod files;
mod health;
mod icon;
mod link;
mod notices;
mod peers;
mod pieces;
mod player;
mod qr;
mod remove;
mod search;
mod settings;
mod torrent;
mod why;
mod wizard;

pub use add::{Add, FileInputs};
pub use drop_zone::DropZone;
pub use files::Files;
pub use health::health;
pub use icon::{Shape, icon};
pub use link::Link;
pub use notices::notices;
pub use peers::peers;
pub use pieces::pieces;
pub use player::Player;
pub use qr::qr;
pub use remove::Remove;
pub use search::Search;
pub use settings::settings;
pub use torrent::torrent;
pub use why::explanation;
pub use wizard::Wizard;
