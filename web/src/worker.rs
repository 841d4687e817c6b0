//! The worker: drives the engine with what a browser has.
//!
//! Knows no screen and no rule of BitTorrent: the engine decides, the parts here carry out. [`Driver`] holds them
//! together; each other module is one thing that the worker owns, or one kind of work.

pub mod channel;
pub mod choice;
pub mod clock;
pub mod commands;
pub mod driver;
pub mod hashing;
pub mod host;
pub mod hosts;
pub mod jobs;
pub mod list;
pub mod messages;
pub mod peers;
pub mod planter;
pub mod serve;
pub mod signalling;
pub mod sockets;
pub mod store;
pub mod stripes;
pub mod views;

pub use driver::Driver;

use crate::browser::{pack, unpack};
use crate::protocol::{ToPage, ToWorker};
use wasm_bindgen::prelude::*;
use web_sys::MessageEvent;

/// Hears the page from now on, and says so.
pub fn run() {
    let driver = Driver::new();
    let on_message = Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| {
        if let Some((message, attachments)) = unpack::<ToWorker>(&event.data()) {
            driver.heard(message, attachments);
        }
    });
    let scope = clock::scope();
    scope.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
    on_message.forget();
    // Our own page takes plain text always.
    let _ = scope.post_message(&pack(&ToPage::Ready, &[]));
}
