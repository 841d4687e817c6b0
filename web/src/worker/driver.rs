//! Drives the engine: carries its outputs out, wakes it in time, keeps everything else in step.
//!
//! Decides nothing itself. Each output goes to the part that owns the thing it is about.

use super::clock;
use super::host::Host;
use super::hosts;
use super::jobs::Jobs;
use super::list::{Kept, Listed};
use super::peers::Peers;
use super::planter::Planter;
use super::serve::Streams;
use super::signalling::{Effect, Signalling};
use super::sockets::Sockets;
use super::store::Store;
use crate::browser::{Soon, clear_timeout, pack, set_timeout};
use crate::protocol::view::{Level, Notice, Planted, View};
use crate::protocol::{Limits, RtcEvent, ToPage, ToWorker};
use crate::worker::channel::{Channel, Tell};
use anatomic_core::collections::BTreeMap;
use anatomic_core::{PeerId, Time};
use anatomic_engine::{Config, Engine, Event, Output, Schemes, State, TorrentKey};
use anatomic_wire::tracker::NOT_PLANTED;
use js_sys::{Array, Promise};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, future_to_promise, spawn_local};
use web_sys::{DedicatedWorkerGlobalScope, RtcDataChannel};

/// How often tabs are told what moved, in milliseconds.
const TICK: u32 = 250;
/// Ticks between the rarer duties: a second.
const TICKS_A_SECOND: u32 = 1000 / TICK;
/// How often the browser is asked for the room that is left.
const ROOM_EVERY: Duration = Duration::from_secs(10);

/// Everything the worker owns.
pub struct Driver {
    scope: DedicatedWorkerGlobalScope,
    pub(super) engine: RefCell<Engine>,
    pub(super) peers: Peers,
    pub(super) signalling: RefCell<Signalling>,
    pub(super) sockets: Sockets,
    pub(super) jobs: Jobs,
    pub(super) streams: Streams,
    pub(super) list: RefCell<BTreeMap<TorrentKey, Listed>>,
    pub(super) kept: RefCell<Vec<Kept>>,
    pub(super) host: RefCell<Host>,
    pub(super) hosts: RefCell<BTreeMap<TorrentKey, hosts::Known>>,
    pub(super) planter: Planter,
    pub(super) limits: Cell<Limits>,
    pub(super) room_asked: Cell<Time>,
    store: RefCell<Option<Rc<Store>>>,
    /// Settled when the store is open; begun before the page asks, because a browser takes its time with the first one.
    opening: RefCell<Promise>,
    /// Wishes that came before the list was read.
    early: RefCell<Option<Vec<(ToWorker, Array)>>>,
    pumping: Cell<bool>,
    timer: RefCell<Option<(Time, JsValue)>>,
    ticks: Cell<u32>,
    /// What the timers call; kept because they call it again and again.
    wake: RefCell<Option<Closure<dyn FnMut()>>>,
    beat: RefCell<Option<Closure<dyn FnMut()>>>,
    tell_channel: RefCell<Option<Tell>>,
    flush: RefCell<Option<Soon>>,
}

impl Driver {
    /// A driver that waits for [`ToWorker::Start`].
    #[must_use]
    pub fn new() -> Rc<Self> {
        let seed = clock::random_u64();
        let mut tail = [0; 12];
        clock::random(&mut tail);
        let config = Config { schemes: Schemes { http: false, udp: false, ws: true }, ..Config::default() };
        let driver = Rc::new(Self {
            scope: clock::scope(),
            engine: RefCell::new(Engine::new(config, PeerId::ours(tail), seed)),
            peers: Peers::default(),
            signalling: RefCell::new(Signalling::new(clock::random_u64())),
            sockets: Sockets::default(),
            jobs: Jobs::default(),
            streams: Streams::default(),
            list: RefCell::default(),
            kept: RefCell::default(),
            host: RefCell::default(),
            hosts: RefCell::default(),
            planter: Planter::default(),
            limits: Cell::default(),
            room_asked: Cell::default(),
            store: RefCell::default(),
            opening: RefCell::new(Promise::new(&mut |_, _| {})),
            early: RefCell::new(Some(Vec::new())),
            pumping: Cell::default(),
            timer: RefCell::default(),
            ticks: Cell::default(),
            wake: RefCell::default(),
            beat: RefCell::default(),
            tell_channel: RefCell::default(),
            flush: RefCell::default(),
        });
        let opening = Rc::clone(&driver);
        *driver.opening.borrow_mut() = future_to_promise(async move {
            let store = Store::open().await.map_err(|error| JsValue::from(error.to_string()))?;
            opening.store.replace(Some(store));
            Ok(JsValue::UNDEFINED)
        });
        let weak = Rc::downgrade(&driver);
        driver.wake.replace(Some(Closure::new(move || {
            if let Some(driver) = weak.upgrade() {
                driver.timer.replace(None);
                driver.engine.borrow_mut().handle_timeout(clock::now());
                driver.pump();
            }
        })));
        let weak = Rc::downgrade(&driver);
        driver.beat.replace(Some(Closure::new(move || {
            if let Some(driver) = weak.upgrade() {
                driver.tick();
            }
        })));
        let weak = Rc::downgrade(&driver);
        driver.tell_channel.replace(Some(Rc::new(move |conn, happening| {
            if let Some(driver) = weak.upgrade() {
                driver.happened(conn, happening);
            }
        })));
        let weak = Rc::downgrade(&driver);
        let flush = Soon::new(move || {
            if let Some(driver) = weak.upgrade() {
                driver.flush();
            }
        });
        driver.flush.replace(flush.ok());
        driver
    }

    /// Has what the engine wants to send sent soon.
    pub(super) fn flush_soon(&self) {
        if let Some(flush) = self.flush.borrow().as_ref() {
            flush.ask();
        }
    }

    /// Takes a message of the page.
    pub fn heard(self: &Rc<Self>, message: ToWorker, attachments: Array) {
        match message {
            ToWorker::Start { origin } => self.start(origin),
            ToWorker::Rtc(event) => self.heard_rtc(event, &attachments),
            message @ (ToWorker::Command(_) | ToWorker::Serve { .. }) => {
                if let Some(early) = self.early.borrow_mut().as_mut() {
                    early.push((message, attachments));
                    return;
                }
                self.carry_out_wish(message, &attachments);
            }
        }
        self.pump();
    }

    /// Tells all tabs.
    pub fn tell(&self, view: View) {
        self.post(&ToPage::View(view));
    }

    /// Tells all tabs of a problem.
    pub fn problem(&self, text: String) {
        self.tell(View::Notice(Notice { level: Level::Problem, text }));
    }

    /// The store, once it is open.
    pub(super) fn store(&self) -> Option<Rc<Store>> {
        self.store.borrow().clone()
    }

    /// Has the owning page save something.
    pub(super) fn save_file(&self, name: String, bytes: &[u8]) {
        let bytes = js_sys::Uint8Array::new_from_slice(bytes);
        // Our own page takes plain bytes always.
        let _ = self.scope.post_message(&pack(&ToPage::Save { name }, &[bytes.into()]));
    }

    fn post(&self, message: &ToPage) {
        // Our own page takes plain text always.
        let _ = self.scope.post_message(&pack(message, &[]));
    }

    fn start(self: &Rc<Self>, origin: String) {
        self.begin_host(origin);
        let driver = Rc::clone(self);
        spawn_local(async move {
            let opening = driver.opening.borrow().clone();
            let opened = JsFuture::from(opening).await.map(|_| driver.store());
            match opened {
                Ok(None) => {}
                Ok(Some(store)) => {
                    let (settings, place) = (Rc::clone(&driver), Rc::clone(&store));
                    spawn_local(async move { settings.load_settings(&place).await });
                    driver.load(&store).await;
                }
                Err(error) => driver.problem(error.as_string().unwrap_or_default()),
            }
            driver.tell(View::Listed);
            let early = driver.early.borrow_mut().take().unwrap_or_default();
            for (message, attachments) in early {
                driver.carry_out_wish(message, &attachments);
            }
            driver.pump();
            driver.tick();
            driver.room_changed();
        });
    }

    fn carry_out_wish(self: &Rc<Self>, message: ToWorker, attachments: &Array) {
        match message {
            ToWorker::Command(command) => self.command(command, attachments),
            ToWorker::Serve { id, file } => self.serve(&id, file, &attachments.get(0)),
            ToWorker::Start { .. } | ToWorker::Rtc(_) => {}
        }
    }

    fn heard_rtc(self: &Rc<Self>, event: RtcEvent, attachments: &Array) {
        use super::channel::Happening;
        let now = clock::now();
        match event {
            RtcEvent::Described { conn, sdp } => self.signalling.borrow_mut().described(now, conn, sdp),
            RtcEvent::Failed { conn, .. } | RtcEvent::Closed(conn) => self.channel_closed(conn),
            RtcEvent::Channel(conn) => {
                let channel: RtcDataChannel = attachments.get(0).unchecked_into();
                let Some(tell) = self.tell_channel.borrow().clone() else { return };
                let channel = Channel::handed(conn, channel, tell);
                let is_open = channel.is_open();
                self.peers.insert(conn, channel);
                if is_open {
                    self.happened(conn, Happening::Opened);
                }
            }
            RtcEvent::Opened(conn) => {
                if self.peers.insert(conn, Channel::on_page(conn)) {
                    self.happened(conn, Happening::Opened);
                }
            }
            RtcEvent::Received(conn) => {
                let bytes = crate::browser::bytes_of(&attachments.get(0));
                self.happened(conn, Happening::Received(bytes));
            }
            RtcEvent::Drained { conn, bytes } => self.drained(conn, bytes),
            RtcEvent::Disconnected(conn) => self.peers.set_disconnected(conn, Some(now)),
            RtcEvent::Connected(conn) => self.peers.set_disconnected(conn, None),
        }
    }

    /// Carries out what engine and signalling want, until they want nothing; then sleeps until the engine's time.
    pub fn pump(self: &Rc<Self>) {
        if self.pumping.replace(true) {
            // Further up the stack it goes on until there is nothing left.
            return;
        }
        loop {
            let output = self.engine.borrow_mut().poll_output();
            if let Some(output) = output {
                self.carry_out(output);
                continue;
            }
            let effect = self.signalling.borrow_mut().poll();
            match effect {
                Some(effect) => self.carry_out_effect(effect),
                None => break,
            }
        }
        self.pumping.set(false);
        self.sleep();
    }

    fn carry_out(self: &Rc<Self>, output: Output) {
        let now = clock::now();
        match output {
            Output::Dial { dial, .. } => self.engine.borrow_mut().handle_dial_failed(now, dial),
            Output::Transmit { peer } => self.want_to_send(peer),
            Output::Read { peer, on } => self.set_reading(peer, on),
            Output::Close { peer, .. } => self.close_peer(peer),
            Output::Announce { announce, request } => {
                self.signalling.borrow_mut().announce(now, announce, request);
            }
            Output::Introduce { introduction, torrent, step } => {
                let info_hash = self.list.borrow().get(&torrent).map(|listed| listed.info_hash);
                if let Some(info_hash) = info_hash {
                    self.signalling.borrow_mut().introduce(now, introduction, info_hash, step);
                }
            }
            Output::Job { job, torrent, work } => self.take_job(job, torrent, work),
            Output::Event { torrent, event } => self.take_event(torrent, event),
            // What a later engine may want besides is nothing that a tab can do.
            _ => {}
        }
    }

    fn carry_out_effect(self: &Rc<Self>, effect: Effect) {
        match effect {
            Effect::Connect(url) => self.sockets.connect(self, &url),
            Effect::Send(url, text) => self.sockets.send(&url, &text),
            Effect::Disconnect(url) => self.sockets.disconnect(&url),
            Effect::Rtc(command) => self.post(&ToPage::Rtc(command)),
            Effect::Announced(key, result) => {
                if result.is_err() {
                    self.verify_named();
                }
                self.engine.borrow_mut().handle_announced(clock::now(), key, result);
            }
            Effect::Described(introduction, sdp) => {
                self.engine.borrow_mut().handle_described(clock::now(), introduction, sdp);
            }
            Effect::Served { url, info_hash } => {
                if self.host.borrow().is_tracker(&url) {
                    self.set_planted(info_hash, Planted::Yes);
                }
            }
            Effect::Refused { url, info_hash, reason } => {
                if self.host.borrow().is_tracker(&url) && reason == NOT_PLANTED {
                    self.not_planted(info_hash);
                }
            }
        }
    }

    fn take_event(self: &Rc<Self>, key: TorrentKey, event: Event) {
        let mut list = self.list.borrow_mut();
        let Some(listed) = list.get_mut(&key) else { return };
        match event {
            Event::MetadataReady => {
                listed.metainfo = self.engine.borrow().view(key).and_then(|view| view.metainfo);
                listed.touch();
                drop(list);
                self.wait_for_choice(key);
                self.show_whole(key);
                self.save(key);
            }
            Event::PieceStored(_) => {
                listed.touch();
                drop(list);
                self.stream_on(key);
            }
            Event::StateChanged(state) => {
                listed.touch();
                drop(list);
                if matches!(state, State::Seeding | State::Paused | State::Error) {
                    self.save(key);
                }
            }
            Event::Hosts { hosts, .. } => {
                drop(list);
                self.named(key, &hosts);
            }
            Event::Complete => {
                listed.touch();
                drop(list);
                self.save(key);
                self.room_changed();
                self.show_changes();
            }
            _ => {}
        }
    }

    /// Sets the timer for the engine.
    fn sleep(self: &Rc<Self>) {
        let wanted = self.engine.borrow().poll_timeout();
        let mut timer = self.timer.borrow_mut();
        if timer.as_ref().is_some_and(|(at, _)| *at <= wanted) || wanted == Time::NEVER {
            return;
        }
        if let Some((_, old)) = timer.take() {
            clear_timeout(&old);
        }
        let millis = wanted.since(clock::now()).as_micros().div_ceil(1000);
        if let Some(wake) = self.wake.borrow().as_ref() {
            let millis = u32::try_from(millis).unwrap_or(i32::MAX as u32).min(i32::MAX as u32);
            *timer = Some((wanted, set_timeout(wake.as_ref().unchecked_ref(), millis)));
        }
    }

    fn tick(self: &Rc<Self>) {
        let now = clock::now();
        let ticks = self.ticks.get().wrapping_add(1);
        self.ticks.set(ticks);
        if ticks.is_multiple_of(TICKS_A_SECOND) {
            self.signalling.borrow_mut().tick(now);
            for conn in self.peers.given_up(now) {
                if self.signalling.borrow().can_replace(conn) {
                    self.channel_closed(conn);
                }
            }
            if now.since(self.room_asked.get()) > ROOM_EVERY && self.is_busy() {
                self.room_changed();
            }
        }
        self.engine.borrow_mut().handle_timeout(now);
        self.pump();
        self.show_changes();
        self.save_due(now);
        if let Some(beat) = self.beat.borrow().as_ref() {
            set_timeout(beat.as_ref().unchecked_ref(), TICK);
        }
    }

    fn is_busy(&self) -> bool {
        let engine = self.engine.borrow();
        engine.torrents().any(|key| engine.view(key).is_some_and(|view| view.download_rate > 0))
    }
}
