//! Yew hooks: they join the pure state and the session to the screen.
//!
//! The only place where state, session and Yew meet.

mod use_session;

pub use use_session::{App, Shown, use_session};
