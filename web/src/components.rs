//! The parts of the page, one file each.
//!
//! They draw [`crate::state`] and pass wishes on; no rule of BitTorrent, no call of a browser API that is not about drawing.

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
pub use health::Health;
pub use icon::{Icon, Shape};
pub use link::Link;
pub use notices::Notices;
pub use peers::Peers;
pub use pieces::Pieces;
pub use player::Player;
pub use qr::Qr;
pub use remove::Remove;
pub use search::Search;
pub use settings::Settings;
pub use torrent::Torrent;
pub use why::WhyPanel;
pub use wizard::Wizard;
