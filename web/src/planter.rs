//! The planter: what only those need who share, plant, search or ask for a torrent's health.
//!
//! A worker of its own, started by the engine's worker when it is first needed, so that nobody who just opens a link
//! downloads signatures, the network's messages and the making of torrents. Knows no engine and no list.

pub mod create;
pub mod http;
pub mod network;
pub mod plant;
pub mod verify;

use crate::browser::{pack, unpack};
use crate::protocol::ToPage;
use crate::protocol::planter::{FromPlanter, ToPlanter};
use crate::protocol::view::{Level, Notice, View};
use crate::worker::clock;
use crate::worker::store::slot::Slot;
use crate::worker::store::{Store, StoreError};
use anatomic_mesh::Identity;
use anatomic_mesh::api::NodeEntry;
use js_sys::{Array, Promise};
use std::cell::RefCell;
use std::rc::Rc;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, future_to_promise, spawn_local};
use web_sys::{DedicatedWorkerGlobalScope, MessageEvent};

/// Record of this browser's secret key.
const KEY: &str = "planter";

/// Hears the engine's worker from now on, and says so.
pub fn run() {
    let planter = Rc::new(Planter::default());
    let on_message = Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| {
        if let Some((message, attachments)) = unpack::<ToPlanter>(&event.data()) {
            let planter = Rc::clone(&planter);
            spawn_local(async move { planter.heard(message, attachments).await });
        }
    });
    let scope = clock::scope();
    scope.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
    on_message.forget();
    post(&scope, &FromPlanter::Ready, &[]);
}

fn post(scope: &DedicatedWorkerGlobalScope, message: &FromPlanter, attachments: &[JsValue]) {
    // Our own worker takes plain bytes always.
    let _ = scope.post_message(&pack(message, attachments));
}

/// What the planter keeps between wishes.
#[derive(Default)]
pub struct Planter {
    identity: RefCell<Option<Identity>>,
    /// Settled when the key is read.
    loading: RefCell<Option<Promise>>,
    store: RefCell<Option<Rc<Store>>>,
    /// The nodes last offered: a person chooses among them by their keys.
    offered: RefCell<Vec<NodeEntry>>,
}

impl Planter {
    async fn heard(self: &Rc<Self>, message: ToPlanter, attachments: Array) {
        match message {
            ToPlanter::Key => {
                if let Ok(identity) = self.identity().await {
                    self.say(&FromPlanter::Key(identity.key().to_string()));
                }
            }
            ToPlanter::Offers { supernodes } => self.offers(supernodes).await,
            ToPlanter::Plant { id, subject, supernodes, nodes } => {
                let message = match self.plant(&id, subject, supernodes, nodes).await {
                    Ok((magnet, supernodes)) => FromPlanter::Planted { id, magnet, supernodes },
                    Err(reason) => FromPlanter::Refused { id, reason },
                };
                self.say(&message);
            }
            ToPlanter::Verify { id, url } => self.verify(id, url).await,
            ToPlanter::Unplant { id, supernodes } => self.unplant(id, supernodes).await,
            ToPlanter::Health { id, supernodes } => self.health(id, &supernodes).await,
            ToPlanter::Search { words, supernodes } => self.search(words, &supernodes).await,
            ToPlanter::Create { name, paths, folder, client } => {
                let message = match self.create(&name, paths, &attachments, &folder, client).await {
                    Ok(torrent) => FromPlanter::Created { folder, torrent },
                    Err(reason) => {
                        self.problem(format!("{name} could not be shared: {reason}"));
                        FromPlanter::NotCreated { folder }
                    }
                };
                self.say(&message);
            }
        }
    }

    fn say(&self, message: &FromPlanter) {
        post(&clock::scope(), message, &[]);
    }

    /// Tells all tabs.
    fn tell(&self, view: View) {
        post(&clock::scope(), &FromPlanter::Tell, &[pack(&ToPage::View(view), &[]).into()]);
    }

    fn problem(&self, text: String) {
        self.tell(View::Notice(Notice { level: Level::Problem, text }));
    }

    fn inform(&self, text: &str) {
        self.tell(View::Notice(Notice { level: Level::Info, text: text.to_owned() }));
    }

    async fn store(&self) -> Result<Rc<Store>, StoreError> {
        let open = self.store.borrow().clone();
        match open {
            Some(store) => Ok(store),
            None => {
                let store = Store::open().await?;
                Ok(Rc::clone(self.store.borrow_mut().get_or_insert(store)))
            }
        }
    }

    /// This browser's key: that of its storage, or a new one.
    ///
    /// # Errors
    /// In plain words.
    async fn identity(self: &Rc<Self>) -> Result<Identity, String> {
        // Read once, whoever asks meanwhile: two that make a key would make two.
        let loading = self.loading.borrow_mut().get_or_insert_with(|| self.load()).clone();
        if let Err(error) = JsFuture::from(loading).await {
            self.loading.take();
            return Err(error.as_string().unwrap_or_default());
        }
        self.identity.borrow().clone().ok_or_else(|| "this browser keeps no planting key".into())
    }

    /// Resolves when the key is there; rejects with the reason why not.
    fn load(self: &Rc<Self>) -> Promise {
        let planter = Rc::clone(self);
        future_to_promise(async move {
            let read = async {
                let store = planter.store().await?;
                let (slot, content) = Slot::open(store.root().clone(), KEY).await?;
                if let Some(seed) = content.and_then(|bytes| bytes.try_into().ok()) {
                    return Ok(seed);
                }
                let mut seed: [u8; 32] = [0; 32];
                clock::random(&mut seed);
                slot.write(&seed).await?;
                Ok(seed)
            };
            let seed = read.await.map_err(|error: StoreError| {
                JsValue::from(format!("this browser keeps no planting key for the page: {error}"))
            })?;
            planter.identity.replace(Some(Identity::from_seed(seed)));
            Ok(JsValue::UNDEFINED)
        })
    }
}
