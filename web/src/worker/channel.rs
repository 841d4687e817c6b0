//! A data channel as the worker sees it: bytes in, bytes out, and how much room there is.
//!
//! Two kinds with one face: a channel that the page handed over, and one that stayed there and whose bytes pass
//! through it. What the bytes mean is the engine's business.

use super::clock;
use crate::browser::pack;
use crate::protocol::ToPage;
use crate::protocol::rtc::{Conn, RtcCommand};
use js_sys::{Array, Uint8Array};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use wasm_bindgen::prelude::*;
use web_sys::{
    DedicatedWorkerGlobalScope, MessageEvent, RtcDataChannel, RtcDataChannelState, RtcDataChannelType,
};

/// Fewest bytes that may wait in the browser for a peer.
const LEAST_BUFFER: usize = 64 * 1024;
/// Most bytes that may wait in the browser for a peer.
const MOST_BUFFER: usize = 1024 * 1024;
/// How long a full buffer should last at the rate at which it drains: a choke or cancel is honoured that soon.
const BUFFER_TIME: f64 = 0.25;

/// What happens on a channel.
#[derive(Clone, Debug)]
pub enum Happening {
    /// It is open.
    Opened,
    /// A message came.
    Received(Vec<u8>),
    /// There is room again.
    Room,
    /// It is closed, by whomever.
    Closed,
}

/// Hears what happens on channels.
pub type Tell = Rc<dyn Fn(Conn, Happening)>;

/// An open or opening data channel.
pub struct Channel {
    conn: Conn,
    carrier: Carrier,
    /// Bytes that may wait in the browser.
    limit: Cell<usize>,
    /// Bytes sent, and when, since the limit was last set.
    measured: Cell<(f64, usize)>,
}

enum Carrier {
    /// Handed over by the page.
    Handed { channel: RtcDataChannel, _handlers: Vec<Closure<dyn FnMut(MessageEvent)>> },
    /// Still on the page.
    OnPage {
        scope: DedicatedWorkerGlobalScope,
        /// Bytes given to the page that have not left the browser yet.
        waiting: Cell<usize>,
    },
}

impl Channel {
    /// Takes over a channel that the page handed over; `tell` hears what happens on it.
    #[must_use]
    pub fn handed(conn: Conn, channel: RtcDataChannel, tell: Tell) -> Self {
        channel.set_binary_type(RtcDataChannelType::Arraybuffer);
        let handler = |happening: fn(&MessageEvent) -> Option<Happening>| {
            let tell = Rc::clone(&tell);
            Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| {
                if let Some(happening) = happening(&event) {
                    tell(conn, happening);
                }
            })
        };
        let opened = handler(|_| Some(Happening::Opened));
        let closed = handler(|_| Some(Happening::Closed));
        let room = handler(|_| Some(Happening::Room));
        let received = handler(|event| {
            let data = event.data();
            // Text is no BitTorrent.
            data.is_instance_of::<js_sys::ArrayBuffer>()
                .then(|| Happening::Received(crate::browser::bytes_of(&data)))
        });
        channel.set_onopen(Some(opened.as_ref().unchecked_ref()));
        channel.set_onclose(Some(closed.as_ref().unchecked_ref()));
        channel.set_onbufferedamountlow(Some(room.as_ref().unchecked_ref()));
        channel.set_onmessage(Some(received.as_ref().unchecked_ref()));
        let handlers = vec![opened, closed, room, received];
        let this = Self::new(conn, Carrier::Handed { channel, _handlers: handlers });
        this.set_limit(LEAST_BUFFER * 4);
        this
    }

    /// Stands for a channel that stayed on the page.
    #[must_use]
    pub fn on_page(conn: Conn) -> Self {
        Self::new(conn, Carrier::OnPage { scope: clock::scope(), waiting: Cell::default() })
    }

    const fn new(conn: Conn, carrier: Carrier) -> Self {
        Self { conn, carrier, limit: Cell::new(LEAST_BUFFER * 4), measured: Cell::new((0.0, 0)) }
    }

    /// Whether a channel handed over was open when it came, so that no event will tell.
    #[must_use]
    pub fn is_open(&self) -> bool {
        match &self.carrier {
            Carrier::Handed { channel, .. } => channel.ready_state() == RtcDataChannelState::Open,
            Carrier::OnPage { .. } => true,
        }
    }

    /// Bytes that may be sent now.
    #[must_use]
    pub fn room(&self) -> usize {
        self.limit.get().saturating_sub(self.waiting())
    }

    /// Sends one message.
    ///
    /// # Errors
    /// When the channel is not open any more.
    pub fn send(&self, bytes: &[u8]) -> Result<(), JsValue> {
        let (since, sent) = self.measured.get();
        self.measured.set((since, sent + bytes.len()));
        match &self.carrier {
            Carrier::Handed { channel, .. } => channel.send_with_u8_array(bytes),
            Carrier::OnPage { scope, waiting } => {
                let buffer = Uint8Array::new_from_slice(bytes).buffer();
                waiting.set(waiting.get() + bytes.len());
                let message = pack(&ToPage::Rtc(RtcCommand::Send(self.conn)), &[buffer.clone().into()]);
                scope.post_message_with_transfer(&message, &Array::of1(&buffer))
            }
        }
    }

    /// So many bytes of a channel on the page left the browser.
    pub fn drained(&self, bytes: usize) {
        if let Carrier::OnPage { waiting, .. } = &self.carrier {
            waiting.set(waiting.get().saturating_sub(bytes));
        }
    }

    /// Sets how much may wait by how fast it drains. To be called when there is room again.
    pub fn adapt(&self) {
        const SHORTEST: f64 = 0.05;
        #[expect(clippy::cast_precision_loss)]
        let now = clock::now().as_micros() as f64 / 1e6;
        let (since, sent) = self.measured.get();
        let elapsed = now - since;
        if elapsed < SHORTEST {
            return;
        }
        self.measured.set((now, 0));
        if elapsed < 2.0 {
            #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let wanted = (sent as f64 / elapsed * BUFFER_TIME) as usize;
            // Half way each time: one measurement is only one.
            self.set_limit(usize::midpoint(self.limit.get(), wanted).clamp(LEAST_BUFFER, MOST_BUFFER));
        }
    }

    /// Closes it; nothing is told about it any more.
    pub fn close(&self) {
        if let Carrier::Handed { channel, .. } = &self.carrier {
            channel.set_onopen(None);
            channel.set_onclose(None);
            channel.set_onmessage(None);
            channel.set_onbufferedamountlow(None);
            channel.close();
        }
    }

    fn waiting(&self) -> usize {
        match &self.carrier {
            Carrier::Handed { channel, .. } => channel.buffered_amount() as usize,
            Carrier::OnPage { waiting, .. } => waiting.get(),
        }
    }

    fn set_limit(&self, limit: usize) {
        self.limit.set(limit);
        if let Carrier::Handed { channel, .. } = &self.carrier {
            // Below the limit by more than a message, or the event would never come.
            channel.set_buffered_amount_low_threshold(u32::try_from(limit / 2).unwrap_or(u32::MAX));
        }
    }
}

/// The connections of the worker, by number, with what arrived while reading was stopped.
#[derive(Default)]
pub struct Held {
    messages: RefCell<Vec<Vec<u8>>>,
    reading_stopped: Cell<bool>,
}

impl Held {
    /// Stops reading: a data channel cannot be told to wait, so what comes is held here.
    pub fn stop(&self) {
        self.reading_stopped.set(true);
    }

    /// Goes on reading; gives what came meanwhile.
    pub fn go_on(&self) -> Vec<Vec<u8>> {
        self.reading_stopped.set(false);
        self.messages.take()
    }

    /// Holds a message if reading is stopped, else gives it back.
    pub fn pass(&self, message: Vec<u8>) -> Option<Vec<u8>> {
        if self.reading_stopped.get() {
            self.messages.borrow_mut().push(message);
            return None;
        }
        Some(message)
    }
}
