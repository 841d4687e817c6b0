//! One engine an origin: a Web Lock says which tab owns it, a broadcast channel joins the others to it.
//!
//! When the owner closes, the browser hands the lock to the next tab in line.

use crate::browser::{pack, unpack};
use crate::protocol::{Command, View};
use js_sys::{Array, Function, Promise};
use nanoserde::{DeBin, SerBin};
use wasm_bindgen::prelude::*;
use web_sys::{BroadcastChannel, MessageEvent};

/// Name of lock and channel.
const NAME: &str = "anatomic-engine";

/// What tabs say to each other.
#[derive(Clone, Debug, DeBin, SerBin)]
pub enum Across {
    /// From a viewer to the owner.
    Command(Command),
    /// From the owner to the viewers.
    View(View),
}

/// The other tabs of this origin.
pub struct Tabs {
    channel: BroadcastChannel,
}

impl Tabs {
    /// Joins them.
    ///
    /// # Errors
    /// The browser's, when it has no broadcast channels.
    pub fn open() -> Result<Self, JsValue> {
        Ok(Self { channel: BroadcastChannel::new(NAME)? })
    }

    /// Says something to all others.
    pub fn post(&self, message: &Across, attachments: &[JsValue]) {
        // Fails only after the channel was closed, and we never close it.
        let _ = self.channel.post_message(&pack(message, attachments));
    }

    /// Has `heard` called with all that the others say.
    pub fn listen(&self, heard: impl Fn(Across, Array) + 'static) {
        let on_message = Closure::<dyn Fn(MessageEvent)>::new(move |event: MessageEvent| {
            if let Some((across, attachments)) = unpack(&event.data()) {
                heard(across, attachments);
            }
        });
        self.channel.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
        on_message.forget();
    }
}

/// Calls `own` when this tab becomes the owner: at once, or when the present owner closes. Never given back.
pub fn when_owner(own: impl Fn() + 'static) {
    let Some(window) = web_sys::window() else { return };
    let navigator = window.navigator();
    // Without a secure context there are no locks; then there is no shared storage to protect either.
    let locks = js_sys::Reflect::get(&navigator, &"locks".into()).unwrap_or(JsValue::UNDEFINED);
    if locks.is_undefined() {
        own();
        return;
    }
    let granted = Closure::<dyn Fn(JsValue) -> Promise>::new(move |_lock: JsValue| {
        own();
        // The lock is held as long as this promise is pending: for ever.
        Promise::new(&mut |_, _| {})
    });
    // web-sys has no stable binding for locks.
    let requested = js_sys::Reflect::get(&locks, &"request".into())
        .and_then(|request| request.dyn_into::<Function>())
        .and_then(|request| request.call2(&locks, &NAME.into(), granted.as_ref()));
    if requested.is_err() {
        let _ = granted.as_ref().unchecked_ref::<Function>().call0(&JsValue::UNDEFINED);
    }
    granted.forget();
}
