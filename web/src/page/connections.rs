//! The page's peer connections: makes, answers and closes them as the worker says, and hands their channels over.
//!
//! Not what is said on a channel. Where one cannot be handed over, its bytes pass through here untouched, in
//! transferable buffers.

use crate::browser::{Handler, pack, reason, sleep, within};
use crate::protocol::ToWorker;
use crate::protocol::rtc::{Conn, Gathering, RtcCommand, RtcEvent};
use js_sys::{Array, ArrayBuffer, Function, Promise};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{
    MessageEvent, RtcConfiguration, RtcDataChannel, RtcDataChannelEvent, RtcDataChannelState,
    RtcDataChannelType, RtcIceGatheringState, RtcIceServer, RtcPeerConnection, RtcPeerConnectionIceEvent,
    RtcPeerConnectionState, RtcSdpType, RtcSessionDescriptionInit, Worker,
};

/// How long a quick description waits for the first candidate of our own interfaces, in milliseconds. It comes within
/// some; the limit only bounds a browser that is busy. Chromium calls the search ended 100 ms later, which a node need not
/// wait for.
const QUICK: u32 = 100;
/// How long it then waits for the others, which come in the same moment.
const SETTLED: u32 = 4;
/// How long a thorough one waits for the node's STUN, in milliseconds.
const THOROUGH: u32 = 1_000;
/// A channel that cannot be handed over tells the worker when its buffer has drained to this many bytes.
const LOW_WATER: u32 = 64 * 1024;

/// All peer connections of this page.
#[derive(Clone)]
pub struct Connections {
    shared: Rc<Shared>,
}

struct Shared {
    worker: Worker,
    open: RefCell<HashMap<Conn, Rc<Connection>>>,
}

struct Connection {
    peer: RtcPeerConnection,
    channel: RefCell<Option<Rc<Kept>>>,
    /// Resolves when the first candidate is found.
    begun: Promise,
    /// Resolves when all candidates are found.
    gathered: Promise,
    /// Called by the browser; dropped with the connection.
    handlers: RefCell<Vec<Handler>>,
}

/// A channel that stayed on the page.
struct Kept {
    channel: RtcDataChannel,
    sent: Cell<u32>,
}

impl Connections {
    /// None yet; events go to `worker`.
    #[must_use]
    pub fn new(worker: Worker) -> Self {
        Self { shared: Rc::new(Shared { worker, open: RefCell::default() }) }
    }

    /// Carries out what the worker wants.
    pub fn handle(&self, command: RtcCommand, attachments: &Array) {
        let shared = Rc::clone(&self.shared);
        match command {
            RtcCommand::Offer { conn, gathering, stun } => {
                spawn_local(
                    async move { shared.described(conn, shared.offer(conn, gathering, &stun).await) },
                );
            }
            RtcCommand::Answer { conn, sdp, stun } => {
                spawn_local(async move { shared.described(conn, shared.answer(conn, &sdp, &stun).await) });
            }
            RtcCommand::Accept { conn, sdp } => spawn_local(async move {
                if let Err(error) = shared.accept(conn, &sdp).await {
                    shared.failed(conn, &error);
                }
            }),
            RtcCommand::Send(conn) => shared.send(conn, &attachments.get(0)),
            RtcCommand::Close(conn) => shared.close(conn),
        }
    }
}

impl Shared {
    fn tell(&self, event: RtcEvent) {
        // Our own worker takes plain text always.
        let _ = self.worker.post_message(&pack(&ToWorker::Rtc(event), &[]));
    }

    fn described(&self, conn: Conn, result: Result<String, JsValue>) {
        match result {
            Ok(sdp) => self.tell(RtcEvent::Described { conn, sdp }),
            Err(error) => self.failed(conn, &error),
        }
    }

    fn failed(&self, conn: Conn, error: &JsValue) {
        self.close(conn);
        self.tell(RtcEvent::Failed { conn, reason: reason(error) });
    }

    async fn offer(
        self: &Rc<Self>,
        conn: Conn,
        gathering: Gathering,
        stun: &[String],
    ) -> Result<String, JsValue> {
        let stun = if gathering == Gathering::Quick { &[] } else { stun };
        let connection = self.open(conn, stun)?;
        let channel = connection.peer.create_data_channel("anatomic");
        self.hand_over(conn, &connection, channel);
        let offer = JsFuture::from(connection.peer.create_offer()).await?;
        JsFuture::from(connection.peer.set_local_description(offer.unchecked_ref())).await?;
        connection.description(gathering).await
    }

    async fn answer(self: &Rc<Self>, conn: Conn, sdp: &str, stun: &[String]) -> Result<String, JsValue> {
        let connection = self.open(conn, stun)?;
        let (shared, holder) = (Rc::clone(self), Rc::downgrade(&connection));
        connection.on(
            |peer, handler| peer.set_ondatachannel(handler),
            move |event| {
                if let (Some(connection), Ok(event)) =
                    (holder.upgrade(), event.dyn_into::<RtcDataChannelEvent>())
                {
                    // The other side speaks first, perhaps before a hand-over is complete, and Chromium loses
                    // what comes in between: a channel that others made stays here.
                    shared.keep(conn, &connection, event.channel());
                }
            },
        );
        let remote = RtcSessionDescriptionInit::new(RtcSdpType::Offer);
        remote.set_sdp(sdp);
        JsFuture::from(connection.peer.set_remote_description(&remote)).await?;
        let answer = JsFuture::from(connection.peer.create_answer()).await?;
        JsFuture::from(connection.peer.set_local_description(answer.unchecked_ref())).await?;
        let gathering = if stun.is_empty() { Gathering::Quick } else { Gathering::Thorough };
        connection.description(gathering).await
    }

    async fn accept(&self, conn: Conn, sdp: &str) -> Result<(), JsValue> {
        let Some(connection) = self.find(conn) else { return Ok(()) };
        let remote = RtcSessionDescriptionInit::new(RtcSdpType::Answer);
        remote.set_sdp(sdp);
        JsFuture::from(connection.peer.set_remote_description(&remote)).await?;
        Ok(())
    }

    fn find(&self, conn: Conn) -> Option<Rc<Connection>> {
        self.open.borrow().get(&conn).cloned()
    }

    fn open(self: &Rc<Self>, conn: Conn, stun: &[String]) -> Result<Rc<Connection>, JsValue> {
        let configuration = RtcConfiguration::new();
        let servers = Array::new();
        for url in stun {
            let server = RtcIceServer::new();
            server.set_urls(&url.into());
            servers.push(&server);
        }
        configuration.set_ice_servers(servers.unchecked_ref());
        // `Function::default` would be an `eval`, which the page's content security policy refuses.
        let (mut first_found, mut all_found): (Option<Function>, Option<Function>) = (None, None);
        let begun = Promise::new(&mut |resolve, _| first_found = Some(resolve.unchecked_into()));
        let gathered = Promise::new(&mut |resolve, _| all_found = Some(resolve.unchecked_into()));
        let connection = Rc::new(Connection {
            peer: RtcPeerConnection::new_with_configuration(&configuration)?,
            channel: RefCell::default(),
            begun,
            gathered,
            handlers: RefCell::default(),
        });
        connection.on(
            |peer, handler| peer.set_onicecandidate(handler),
            move |event| {
                let Ok(event) = event.dyn_into::<RtcPeerConnectionIceEvent>() else { return };
                let found = if event.candidate().is_some() { &first_found } else { &all_found };
                if let Some(found) = found {
                    let _ = found.call0(&JsValue::UNDEFINED);
                }
            },
        );
        let (shared, holder) = (Rc::clone(self), Rc::downgrade(&connection));
        connection.on(
            |peer, handler| peer.set_onconnectionstatechange(handler),
            move |_| {
                let Some(connection) = holder.upgrade() else { return };
                match connection.peer.connection_state() {
                    RtcPeerConnectionState::Connected => shared.tell(RtcEvent::Connected(conn)),
                    RtcPeerConnectionState::Disconnected => shared.tell(RtcEvent::Disconnected(conn)),
                    RtcPeerConnectionState::Failed | RtcPeerConnectionState::Closed => {
                        shared.close(conn);
                        shared.tell(RtcEvent::Closed(conn));
                    }
                    _ => {}
                }
            },
        );
        self.open.borrow_mut().insert(conn, Rc::clone(&connection));
        Ok(connection)
    }

    /// Gives a fresh channel to the worker. It must happen in the task in which the channel was made:
    /// later it counts as used and stays where it is.
    fn hand_over(self: &Rc<Self>, conn: Conn, connection: &Rc<Connection>, channel: RtcDataChannel) {
        let message = pack(&ToWorker::Rtc(RtcEvent::Channel(conn)), &[channel.clone().into()]);
        if self.worker.post_message_with_transfer(&message, &Array::of1(&channel)).is_err() {
            self.keep(conn, connection, channel);
        }
    }

    fn keep(self: &Rc<Self>, conn: Conn, connection: &Rc<Connection>, channel: RtcDataChannel) {
        channel.set_binary_type(RtcDataChannelType::Arraybuffer);
        channel.set_buffered_amount_low_threshold(LOW_WATER);
        let kept = Rc::new(Kept { channel, sent: Cell::default() });
        let shared = Rc::clone(self);
        let mut handlers = connection.handlers.borrow_mut();
        let mut on = |set: fn(&RtcDataChannel, Option<&js_sys::Function>), call: Box<dyn FnMut(JsValue)>| {
            let closure = Closure::wrap(call);
            set(&kept.channel, Some(closure.as_ref().unchecked_ref()));
            handlers.push(closure);
        };
        let this = Rc::clone(&shared);
        on(RtcDataChannel::set_onopen, Box::new(move |_| this.tell(RtcEvent::Opened(conn))));
        let this = Rc::clone(&shared);
        on(RtcDataChannel::set_onclose, Box::new(move |_| this.tell(RtcEvent::Closed(conn))));
        let this = Rc::clone(&shared);
        on(
            RtcDataChannel::set_onmessage,
            Box::new(move |event| {
                let Ok(event) = event.dyn_into::<MessageEvent>() else { return };
                let data = event.data();
                if !data.is_instance_of::<ArrayBuffer>() {
                    return;
                }
                let message = pack(&ToWorker::Rtc(RtcEvent::Received(conn)), std::slice::from_ref(&data));
                let _ = this.worker.post_message_with_transfer(&message, &Array::of1(&data));
            }),
        );
        let (this, holder) = (shared, Rc::downgrade(&kept));
        on(
            RtcDataChannel::set_onbufferedamountlow,
            Box::new(move |_| {
                if let Some(kept) = holder.upgrade() {
                    this.drained(conn, &kept);
                }
            }),
        );
        drop(handlers);
        let is_open = kept.channel.ready_state() == RtcDataChannelState::Open;
        connection.channel.replace(Some(kept));
        if is_open {
            // Then no event will tell, or one more.
            self.tell(RtcEvent::Opened(conn));
        }
    }

    fn drained(&self, conn: Conn, kept: &Kept) {
        let left = kept.channel.buffered_amount();
        let bytes = kept.sent.replace(left).saturating_sub(left);
        if bytes > 0 {
            self.tell(RtcEvent::Drained { conn, bytes });
        }
    }

    fn send(&self, conn: Conn, buffer: &JsValue) {
        let Some(kept) = self.find(conn).and_then(|connection| connection.channel.borrow().clone()) else {
            return;
        };
        let Some(buffer) = buffer.dyn_ref::<ArrayBuffer>() else { return };
        kept.sent.set(kept.sent.get().saturating_add(buffer.byte_length()));
        if kept.channel.send_with_array_buffer(buffer).is_err() {
            self.close(conn);
            self.tell(RtcEvent::Closed(conn));
        } else if kept.channel.buffered_amount() <= LOW_WATER {
            // No event comes for a buffer that never rose above the mark.
            self.drained(conn, &kept);
        }
    }

    fn close(&self, conn: Conn) {
        let Some(connection) = self.open.borrow_mut().remove(&conn) else { return };
        connection.peer.set_onicecandidate(None);
        connection.peer.set_onconnectionstatechange(None);
        connection.peer.set_ondatachannel(None);
        if let Some(kept) = connection.channel.take() {
            kept.channel.set_onmessage(None);
            kept.channel.set_onclose(None);
            kept.channel.close();
        }
        connection.peer.close();
        // We may be inside one of its handlers: let that return before it is dropped.
        spawn_local(async move {
            sleep(0).await;
            connection.handlers.borrow_mut().clear();
        });
    }
}

impl Connection {
    fn on(
        &self,
        set: impl FnOnce(&RtcPeerConnection, Option<&js_sys::Function>),
        call: impl FnMut(JsValue) + 'static,
    ) {
        let closure = Closure::wrap(Box::new(call) as Box<dyn FnMut(JsValue)>);
        set(&self.peer, Some(closure.as_ref().unchecked_ref()));
        self.handlers.borrow_mut().push(closure);
    }

    /// Our description with the candidates found until then.
    async fn description(&self, gathering: Gathering) -> Result<String, JsValue> {
        if self.peer.ice_gathering_state() != RtcIceGatheringState::Complete {
            // Late or not, what was found by now is what we say.
            match gathering {
                Gathering::Quick => {
                    let _ = within(&Promise::race(&Array::of2(&self.begun, &self.gathered)), QUICK).await;
                    sleep(SETTLED).await;
                }
                Gathering::Thorough => {
                    let _ = within(&self.gathered, THOROUGH).await;
                }
            }
        }
        let sdp = self.peer.local_description().map(|description| description.sdp()).unwrap_or_default();
        // Nothing trickles: the other side need not wait for more.
        Ok(if sdp.contains("a=end-of-candidates") { sdp } else { format!("{sdp}a=end-of-candidates\r\n") })
    }
}
