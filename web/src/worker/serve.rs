//! Serves files to the service worker: ranges of a torrent, piece by piece as they come.
//!
//! What it reads soon is fetched before all else, by a window that moves along. What is said on the port is told at
//! the head of `www/sw.js`.

use super::{Driver, clock};
use crate::browser::Handler;
use crate::protocol::Id;
use anatomic_core::collections::BTreeMap;
use anatomic_engine::TorrentKey;
use js_sys::{Array, Uint8Array};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::spawn_local;
use web_sys::{MessageEvent, MessagePort};

/// Bytes sent at a time.
const CHUNK: u64 = 1024 * 1024;
/// Bytes ahead of the reader that are fetched first.
const AHEAD: u64 = 16 * 1024 * 1024;

/// The readers.
#[derive(Default)]
pub struct Streams {
    open: RefCell<BTreeMap<u64, Rc<Stream>>>,
    next: Cell<u64>,
}

struct Stream {
    torrent: TorrentKey,
    port: MessagePort,
    /// First byte of the file in the torrent, and its length.
    offset: u64,
    length: u64,
    /// Next byte of the torrent to send, and one past the last.
    at: Cell<u64>,
    end: Cell<u64>,
    /// The service worker asked for more, and has not got it yet.
    asked: Cell<bool>,
    reading: Cell<bool>,
    handler: RefCell<Option<Handler>>,
}

impl Driver {
    /// The service worker wants a file; `port` is where.
    pub(super) fn serve(self: &Rc<Self>, id: &Id, file: u32, port: &JsValue) {
        let Some(port) = port.dyn_ref::<MessagePort>().cloned() else { return };
        let found = self.key_of(id).and_then(|key| {
            let (_, metainfo) = self.place_of(key)?;
            let file = metainfo.files().get(file as usize)?;
            Some((key, file.offset, file.length))
        });
        let Some((torrent, offset, length)) = found else {
            let _ = port.post_message(&"This page has no such file (any more).".into());
            return;
        };
        let number = self.streams.next.get();
        self.streams.next.set(number + 1);
        let stream = Rc::new(Stream {
            torrent,
            port,
            offset,
            length,
            at: Cell::new(offset),
            end: Cell::new(offset),
            asked: Cell::default(),
            reading: Cell::default(),
            handler: RefCell::default(),
        });
        let driver = Rc::downgrade(self);
        let handler = Handler::new(move |event: JsValue| {
            if let Some(driver) = driver.upgrade() {
                driver.heard_stream(number, &event.unchecked_into::<MessageEvent>().data());
                driver.pump();
            }
        });
        stream.port.set_onmessage(Some(handler.as_ref().unchecked_ref()));
        stream.handler.replace(Some(handler));
        // Exact up to 2^53.
        #[expect(clippy::cast_precision_loss)]
        let _ = stream.port.post_message(&(length as f64).into());
        self.streams.open.borrow_mut().insert(number, stream);
    }

    /// A piece of a torrent was stored: readers that wait for it go on.
    pub(super) fn stream_on(self: &Rc<Self>, torrent: TorrentKey) {
        let waiting: Vec<u64> = self
            .streams
            .open
            .borrow()
            .iter()
            .filter(|(_, stream)| stream.torrent == torrent && stream.asked.get())
            .map(|(number, _)| *number)
            .collect();
        for number in waiting {
            self.send_chunk(number);
        }
    }

    fn heard_stream(self: &Rc<Self>, number: u64, said: &JsValue) {
        let Some(stream) = self.streams.open.borrow().get(&number).cloned() else { return };
        if let Some(range) = said.dyn_ref::<Array>() {
            let byte = |at| {
                // Clamped to the file; what is no number counts as 0.
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
                let byte = range.get(at).as_f64().unwrap_or(0.0) as u64;
                stream.offset + byte.min(stream.length)
            };
            stream.at.set(byte(0));
            stream.end.set(byte(1));
            self.move_window(number, &stream);
        } else if said.as_bool() == Some(true) {
            stream.asked.set(true);
            self.send_chunk(number);
        } else {
            self.end_stream(number);
        }
    }

    fn move_window(&self, number: u64, stream: &Stream) {
        let window = stream.at.get()..stream.end.get().min(stream.at.get() + AHEAD);
        self.engine.borrow_mut().set_window(clock::now(), stream.torrent, number, Some(window));
    }

    fn end_stream(&self, number: u64) {
        if let Some(stream) = self.streams.open.borrow_mut().remove(&number) {
            self.engine.borrow_mut().set_window(clock::now(), stream.torrent, number, None);
            stream.port.set_onmessage(None);
            stream.port.close();
            // Perhaps we are inside its handler.
            spawn_local(async move {
                crate::browser::sleep(0).await;
                stream.handler.replace(None);
            });
        }
    }

    /// Sends the next chunk if it is asked for and stored.
    fn send_chunk(self: &Rc<Self>, number: u64) {
        let Some(stream) = self.streams.open.borrow().get(&number).cloned() else { return };
        if !stream.asked.get() || stream.reading.get() {
            return;
        }
        if stream.at.get() >= stream.end.get() {
            let _ = stream.port.post_message(&JsValue::NULL);
            self.end_stream(number);
            return;
        }
        let Some((folder, metainfo)) = self.place_of(stream.torrent) else {
            let _ = stream.port.post_message(&"The torrent was removed.".into());
            self.end_stream(number);
            return;
        };
        let length = self.stored_from(&stream);
        if length == 0 {
            return;
        }
        let Some(store) = self.store() else { return };
        stream.reading.set(true);
        let driver = Rc::clone(self);
        spawn_local(async move {
            let read = store.read(&folder, &metainfo, stream.at.get(), length).await;
            stream.reading.set(false);
            match read {
                Ok(bytes) => {
                    stream.at.set(stream.at.get() + bytes.len() as u64);
                    stream.asked.set(false);
                    let chunk = Uint8Array::new_from_slice(&bytes);
                    let sent =
                        stream.port.post_message_with_transferable(&chunk, &Array::of1(&chunk.buffer()));
                    if sent.is_err() {
                        driver.end_stream(number);
                    } else {
                        driver.move_window(number, &stream);
                    }
                }
                Err(error) => {
                    let _ = stream.port.post_message(&error.to_string().into());
                    driver.end_stream(number);
                }
            }
            driver.pump();
        });
    }

    /// How many of the next bytes are stored, at most a chunk.
    fn stored_from(&self, stream: &Stream) -> usize {
        let Some(view) = self.engine.borrow().view(stream.torrent) else { return 0 };
        let (Some(metainfo), Some(stored)) = (view.metainfo, view.stored) else { return 0 };
        let geometry = metainfo.geometry();
        let (start, limit) = (stream.at.get(), stream.end.get().min(stream.at.get() + CHUNK));
        let mut end = start;
        while end < limit {
            let Some(piece) = geometry.piece_at(end).filter(|piece| stored.has(*piece)) else { break };
            end = geometry.start_of(piece) + u64::from(geometry.length_of(piece));
        }
        usize::try_from(end.min(limit) - start).unwrap_or(0)
    }
}
