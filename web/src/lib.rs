//! The browser side: a page that people see, and a worker that drives the engine.
//!
//! No BitTorrent rule lives here: those are in `shared`. The page ([`page`], [`state`] and the Yew folders) owns what
//! only a page may own, which is `RTCPeerConnection` and the screen; the worker ([`worker`]) drives the engine; the planter
//! ([`planter`]) is a worker too, loaded when somebody plants or searches.
//! They speak [`protocol`]. No Yew type appears outside [`pages`], [`components`] and [`hooks`].
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod browser;
pub mod components;
pub mod hooks;
pub mod page;
pub mod pages;
pub mod planter;
pub mod protocol;
pub mod state;
pub mod worker;
