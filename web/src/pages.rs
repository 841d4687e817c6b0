//! What can stand on the screen: so far one page.
//!
//! Routes nothing; the address names torrents, not pages.

mod home;

pub use home::Home;
