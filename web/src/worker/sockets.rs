//! The WebSockets to trackers.
//!
//! Opened here, in the worker, where no browser slows them down when the tab is in the background. What is said on
//! them is [`super::signalling`]'s business.

use super::{Driver, clock};
use crate::browser::bytes_of;
use anatomic_core::collections::BTreeMap;
use std::cell::RefCell;
use std::rc::Rc;
use wasm_bindgen::prelude::*;
use web_sys::{BinaryType, MessageEvent, WebSocket};

/// The open and opening sockets, by URL.
#[derive(Default)]
pub struct Sockets {
    open: RefCell<BTreeMap<String, Socket>>,
}

struct Socket {
    socket: WebSocket,
    _handlers: [Closure<dyn FnMut(JsValue)>; 3],
}

impl Sockets {
    /// Opens a socket; the driver hears of it. One that cannot even be begun counts as lost.
    pub fn connect(&self, driver: &Rc<Driver>, url: &str) {
        let Ok(socket) = WebSocket::new(url) else {
            driver.signalling.borrow_mut().lost(clock::now(), url);
            return;
        };
        socket.set_binary_type(BinaryType::Arraybuffer);
        let handler = |act: fn(&Rc<Driver>, &str, JsValue)| {
            let (driver, url) = (Rc::downgrade(driver), url.to_owned());
            Closure::<dyn FnMut(JsValue)>::new(move |event: JsValue| {
                if let Some(driver) = driver.upgrade() {
                    act(&driver, &url, event);
                    driver.pump();
                }
            })
        };
        let opened = handler(|driver, url, _| driver.signalling.borrow_mut().opened(clock::now(), url));
        let closed = handler(|driver, url, _| {
            driver.signalling.borrow_mut().lost(clock::now(), url);
        });
        let heard = handler(|driver, url, event| {
            let data = event.unchecked_into::<MessageEvent>().data();
            let bytes = data.as_string().map_or_else(|| bytes_of(&data), String::into_bytes);
            let engine = driver.engine.borrow();
            let wants = |info_hash| engine.find(info_hash).is_some_and(|torrent| engine.wants_peer(torrent));
            driver.signalling.borrow_mut().heard(clock::now(), url, &bytes, wants);
        });
        socket.set_onopen(Some(opened.as_ref().unchecked_ref()));
        socket.set_onclose(Some(closed.as_ref().unchecked_ref()));
        socket.set_onmessage(Some(heard.as_ref().unchecked_ref()));
        let old = self
            .open
            .borrow_mut()
            .insert(url.to_owned(), Socket { socket, _handlers: [opened, closed, heard] });
        if let Some(old) = old {
            old.close();
        }
    }

    /// Sends text, if the socket is open.
    pub fn send(&self, url: &str, text: &str) {
        if let Some(open) = self.open.borrow().get(url) {
            // If it is not open any more, its loss is told by an event.
            let _ = open.socket.send_with_str(text);
        }
    }

    /// Closes a socket; nothing is told about it any more.
    pub fn disconnect(&self, url: &str) {
        if let Some(open) = self.open.borrow_mut().remove(url) {
            open.close();
        }
    }
}

impl Socket {
    fn close(self) {
        self.socket.set_onopen(None);
        self.socket.set_onclose(None);
        self.socket.set_onmessage(None);
        // What was sent before still goes out.
        let _ = self.socket.close();
        // Perhaps we are inside one of its handlers.
        wasm_bindgen_futures::spawn_local(async move {
            crate::browser::sleep(0).await;
            drop(self);
        });
    }
}
