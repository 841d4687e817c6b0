//! The parts of the browser that only a page may own, and the way to the worker.
//!
//! No Yew and nothing on screen: what is to be shown goes out through a callback as [`View`]s.

pub mod connections;
pub mod files;
pub mod focus;
pub mod session;
pub mod streaming;
pub mod tabs;

pub use session::Session;

use crate::protocol::View;
use crate::state::Role;

/// What a session tells the screen.
#[derive(Clone, Debug)]
pub enum Told {
    /// From the worker of this or another tab.
    View(Box<View>),
    /// This tab became owner or viewer.
    Role(Role),
    /// Nothing will work here, and why.
    Broken(String),
}
