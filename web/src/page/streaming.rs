//! The page's part in streaming: registers the service worker and passes its requests on to the engine's worker.
//!
//! No byte of a file passes through the page: service worker and worker get the two ends of one port.

use super::Session;
use crate::protocol::{Id, ToWorker};
use js_sys::Reflect;
use std::cell::Cell;
use std::rc::Rc;
use wasm_bindgen::prelude::*;
use web_sys::MessageEvent;

/// Where the service worker is served.
const SCRIPT: &str = "/sw.js";
/// When it is registered, in milliseconds after the start.
const REGISTER_AFTER: u32 = 500;

/// Registers the service worker, if this browser and address allow one; without it complete files can still be saved.
pub fn register(session: &Rc<Session>) {
    let Some(window) = web_sys::window() else { return };
    let navigator = window.navigator();
    if Reflect::get(&navigator, &"serviceWorker".into()).is_ok_and(|value| value.is_undefined()) {
        return;
    }
    let container = navigator.service_worker();
    let session = Rc::clone(session);
    let serving = Cell::new(false);
    let on_message = Closure::<dyn Fn(MessageEvent)>::new(move |event: MessageEvent| {
        if session.is_owner() {
            if !serving.replace(true) {
                keep_alive();
            }
            pass_on(&session, &event);
        }
    });
    container.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
    on_message.forget();
    wasm_bindgen_futures::spawn_local(async move {
        // It starts a thread of its own; what the page was opened for comes first.
        crate::browser::sleep(REGISTER_AFTER).await;
        let _ = container.register(SCRIPT);
    });
}

/// Whether a service worker answers this page's requests.
#[must_use]
pub fn works() -> bool {
    web_sys::window().is_some_and(|window| {
        let navigator = window.navigator();
        Reflect::get(&navigator, &"serviceWorker".into()).is_ok_and(|value| !value.is_undefined())
            && navigator.service_worker().controller().is_some()
    })
}

/// `{ serve: [id, file] }` with a port, as `sw.js` posts it.
fn pass_on(session: &Session, event: &MessageEvent) {
    let Ok(serve) = Reflect::get(&event.data(), &"serve".into()) else { return };
    let Some(serve) = serve.dyn_ref::<js_sys::Array>() else { return };
    let (Some(id), Some(file)) = (serve.get(0).as_string(), serve.get(1).as_f64()) else { return };
    let port: JsValue = event.ports().get(0);
    // What is no index of a file saturates to one that no torrent has.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let message = ToWorker::Serve { id: Id(id), file: file as u32 };
    session.post(&message, std::slice::from_ref(&port), std::slice::from_ref(&port));
}

/// A browser ends a service worker that heard nothing for a while, even in the middle of a film.
fn keep_alive() {
    const EVERY: u32 = 20_000;
    wasm_bindgen_futures::spawn_local(async {
        loop {
            crate::browser::sleep(EVERY).await;
            let Some(window) = web_sys::window() else { return };
            let _ = wasm_bindgen_futures::JsFuture::from(window.fetch_with_str("/files/keepalive")).await;
        }
    });
}
