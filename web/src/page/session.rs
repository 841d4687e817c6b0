//! One tab's part in the session of its origin: takes over the worker, becomes owner or viewer, passes messages.
//!
//! It decides nothing about torrents; wishes go to the owner's worker, facts come back.

use super::connections::Connections;
use super::tabs::{self, Across, Tabs};
use super::{Told, files, streaming};
use crate::browser::{pack, reason, unpack};
use crate::protocol::view::{Level, Notice};
use crate::protocol::{Command, ToPage, ToWorker, View};
use crate::state::Role;
use js_sys::{Array, Reflect};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use wasm_bindgen::prelude::*;
use web_sys::{Blob, MessageEvent, Worker};

/// One tab's part in the session. Lives as long as the page.
pub struct Session {
    worker: Worker,
    tabs: Tabs,
    role: Cell<Role>,
    ready: Cell<bool>,
    /// Packed messages with what they hand over, until the worker hears.
    waiting: RefCell<Vec<(Array, Array)>>,
    /// Wishes made before it was known who owns the engine.
    wishes: RefCell<Vec<(Command, Vec<JsValue>)>>,
    connections: Connections,
    tell: Box<dyn Fn(Told)>,
}

impl Session {
    /// Takes over the worker and asks to own the engine; `tell` hears everything that is to be shown.
    ///
    /// # Errors
    /// In the browser's words, when it has no workers or no way to speak across tabs.
    pub fn start(tell: impl Fn(Told) + 'static) -> Result<Rc<Self>, String> {
        let (worker, early) = early_worker().map_err(|error| reason(&error))?;
        let tabs = Tabs::open().map_err(|error| reason(&error))?;
        let connections = Connections::new(worker.clone());
        let session = Rc::new(Self {
            worker,
            tabs,
            role: Cell::default(),
            ready: Cell::default(),
            waiting: RefCell::default(),
            wishes: RefCell::default(),
            connections,
            tell: Box::new(tell),
        });
        session.listen();
        for data in early.iter() {
            session.heard_data(&data);
        }
        streaming::register(&session);
        Ok(session)
    }

    /// Passes a wish on to the worker that owns the engine.
    pub fn command(&self, command: Command, attachments: &[JsValue]) {
        match self.role.get() {
            Role::Starting => self.wishes.borrow_mut().push((command, attachments.to_vec())),
            Role::Owner => self.post(&ToWorker::Command(command), attachments, &[]),
            Role::Viewer => self.tabs.post(&Across::Command(command), attachments),
        }
    }

    /// Whether this tab's worker owns the engine.
    pub fn is_owner(&self) -> bool {
        self.role.get() == Role::Owner
    }

    /// Sends a message to this tab's worker, handing over what is in `transfer`.
    pub fn post(&self, message: &ToWorker, attachments: &[JsValue], transfer: &[JsValue]) {
        let packed = pack(message, attachments);
        let transfer: Array = transfer.iter().collect();
        if self.ready.get() {
            self.send(&packed, &transfer);
        } else {
            self.waiting.borrow_mut().push((packed, transfer));
        }
    }

    fn send(&self, packed: &Array, transfer: &Array) {
        if let Err(error) = self.worker.post_message_with_transfer(packed, transfer) {
            (self.tell)(Told::Broken(format!("The page cannot reach its worker: {}", reason(&error))));
        }
    }

    fn listen(self: &Rc<Self>) {
        let session = Rc::clone(self);
        let on_message = Closure::<dyn Fn(MessageEvent)>::new(move |event: MessageEvent| {
            session.heard_data(&event.data());
        });
        self.worker.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
        on_message.forget();

        let session = Rc::clone(self);
        let on_error = Closure::<dyn Fn(JsValue)>::new(move |event: JsValue| {
            let text = format!(
                "The part that downloads has stopped ({}). Reload the page to go on.",
                reason(&event)
            );
            (session.tell)(Told::Broken(text));
        });
        self.worker.set_onerror(Some(on_error.as_ref().unchecked_ref()));
        on_error.forget();

        let session = Rc::clone(self);
        self.tabs.listen(move |across, attachments| session.heard_across(across, &attachments));

        let session = Rc::clone(self);
        tabs::when_owner(move || session.own());
        let session = Rc::clone(self);
        wasm_bindgen_futures::spawn_local(async move {
            // The lock comes at once if nobody owns the engine, but on a busy machine that is not soon: only an
            // owner's answer makes this tab a viewer, else its first wishes would go to nobody.
            loop {
                crate::browser::sleep(150).await;
                if session.role.get() != Role::Starting {
                    return;
                }
                session.tabs.post(&Across::Command(Command::Hello), &[]);
            }
        });
    }

    fn own(&self) {
        self.become_(Role::Owner);
        let origin = web_sys::window().and_then(|window| window.location().origin().ok()).unwrap_or_default();
        self.post(&ToWorker::Start { origin }, &[], &[]);
        self.pass_wishes();
    }

    fn pass_wishes(&self) {
        for (command, attachments) in self.wishes.take() {
            self.command(command, &attachments);
        }
    }

    fn become_(&self, role: Role) {
        self.role.set(role);
        (self.tell)(Told::Role(role));
    }

    fn heard_data(self: &Rc<Self>, data: &JsValue) {
        if let Some((message, attachments)) = unpack::<ToPage>(data) {
            self.heard(message, &attachments);
        }
    }

    fn heard(self: &Rc<Self>, message: ToPage, attachments: &Array) {
        match message {
            ToPage::Ready => {
                self.ready.set(true);
                for (packed, transfer) in self.waiting.take() {
                    self.send(&packed, &transfer);
                }
            }
            ToPage::View(view) => {
                self.tabs.post(&Across::View(view.clone()), &[]);
                self.show(view);
            }
            ToPage::Save { name } => {
                let saved = Blob::new_with_buffer_source_sequence(&Array::of1(&attachments.get(0)))
                    .map_err(|error| reason(&error))
                    .and_then(|file| files::save_as(&file, &name));
                if let Err(text) = saved {
                    self.show(View::Notice(Notice { level: Level::Problem, text }));
                }
            }
            ToPage::Rtc(command) => self.connections.handle(command, attachments),
        }
    }

    fn heard_across(&self, across: Across, attachments: &Array) {
        match (across, self.is_owner()) {
            (Across::Command(command), true) => {
                self.post(&ToWorker::Command(command), &attachments.to_vec(), &[]);
            }
            (Across::View(view), false) => {
                if self.role.get() == Role::Starting {
                    self.become_(Role::Viewer);
                    self.pass_wishes();
                }
                self.show(view);
            }
            _ => {}
        }
    }

    fn show(&self, view: View) {
        (self.tell)(Told::View(Box::new(view)));
    }
}

/// The worker that `www/index.html` started, with what it said so far.
fn early_worker() -> Result<(Worker, Array), JsValue> {
    let window = web_sys::window().ok_or("there is no window")?;
    let started = Reflect::get(&window, &"anatomic".into())?;
    let worker = Reflect::get(&started, &"worker".into())?.dyn_into()?;
    let early = Reflect::get(&started, &"early".into())?.dyn_into()?;
    Ok((worker, early))
}
