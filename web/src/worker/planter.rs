//! The way to the planter: a worker of its own, started when it is first needed.
//!
//! What it does is [`crate::planter`]; here is what follows from it for the list and the engine.

use super::list::Entry;
use super::{Driver, clock};
use crate::browser::{pack, unpack};
use crate::protocol::planter::{FromPlanter, Nodes, Subject, ToPlanter};
use crate::protocol::view::{self, Level, Notice, Planted, View};
use crate::protocol::{Id, Plant};
use anatomic_core::metainfo::Metainfo;
use anatomic_core::{Bitfield, InfoHash, Magnet};
use anatomic_engine::{AddTorrent, ResumeSource, Start, TorrentKey, TorrentSource};
use js_sys::Array;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use wasm_bindgen::prelude::*;
use web_sys::{MessageEvent, Worker, WorkerOptions, WorkerType};

/// The planter's script.
const SCRIPT: &str = "/planter_loader.js";

/// The planter, if it was ever needed.
#[derive(Default)]
pub struct Planter {
    worker: RefCell<Option<Worker>>,
    ready: Cell<bool>,
    /// Messages that wait until it hears.
    waiting: RefCell<Vec<Array>>,
    /// What is planted when the files that are being hashed are a torrent.
    creating: Cell<Option<Plant>>,
}

impl Driver {
    /// Asks the planter for something; starts it if it does not run.
    pub(super) fn ask_planter(self: &Rc<Self>, message: &ToPlanter, attachments: &[JsValue]) {
        let packed = pack(message, attachments);
        let mut worker = self.planter.worker.borrow_mut();
        if worker.is_none() {
            match self.start_planter() {
                Ok(started) => *worker = Some(started),
                Err(_) => {
                    drop(worker);
                    self.planter_failed();
                    return;
                }
            }
        }
        if self.planter.ready.get()
            && let Some(worker) = &*worker
        {
            // Our own worker takes files and plain bytes always.
            let _ = worker.post_message(&packed);
        } else {
            self.planter.waiting.borrow_mut().push(packed);
        }
    }

    fn start_planter(self: &Rc<Self>) -> Result<Worker, JsValue> {
        let options = WorkerOptions::new();
        options.set_type(WorkerType::Module);
        let worker = Worker::new_with_options(SCRIPT, &options)?;
        let driver = Rc::downgrade(self);
        let on_message = Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| {
            let Some(driver) = driver.upgrade() else { return };
            match unpack::<FromPlanter>(&event.data()) {
                Some((message, attachments)) => driver.heard_planter(message, &attachments),
                // Its script is of a later version of the page than this one.
                None => driver.planter_failed(),
            }
            driver.pump();
        });
        worker.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
        on_message.forget();
        let driver = Rc::downgrade(self);
        let on_error = Closure::<dyn FnMut(JsValue)>::new(move |_: JsValue| {
            if let Some(driver) = driver.upgrade() {
                driver.planter_failed();
            }
        });
        worker.set_onerror(Some(on_error.as_ref().unchecked_ref()));
        on_error.forget();
        Ok(worker)
    }

    /// The planter cannot be loaded, or broke: what waited for it will not come.
    fn planter_failed(self: &Rc<Self>) {
        if let Some(worker) = self.planter.worker.take() {
            worker.terminate();
        }
        self.planter.ready.set(false);
        self.planter.waiting.take();
        self.planter.creating.set(None);
        self.tell(View::Creating(None));
        let reason = "the part of this page that plants and searches did not load";
        for listed in self.list.borrow_mut().values_mut() {
            if listed.planted == Planted::Asking {
                listed.planted = Planted::Refused(reason.to_owned());
            }
        }
        self.problem(format!("It did not work: {reason}. Reload the page, then try again."));
    }

    fn heard_planter(self: &Rc<Self>, message: FromPlanter, attachments: &Array) {
        match message {
            FromPlanter::Ready => {
                self.planter.ready.set(true);
                if let Some(worker) = &*self.planter.worker.borrow() {
                    for packed in self.planter.waiting.take() {
                        let _ = worker.post_message(&packed);
                    }
                }
            }
            FromPlanter::Tell => {
                // Our own page takes plain bytes always.
                let _ = clock::scope().post_message(&attachments.get(0));
            }
            FromPlanter::Key(key) => {
                self.host.borrow_mut().planter = key;
                self.show_host();
            }
            FromPlanter::Verified { id, url, is_supernode, tracks } => {
                self.verified(&id, url, is_supernode, tracks);
            }
            FromPlanter::Planted { id, magnet, supernodes } => {
                self.meet(supernodes);
                if let (Some(key), Ok(magnet)) = (self.key_of(&id), Magnet::parse(&magnet)) {
                    self.planted(key, &magnet);
                }
            }
            FromPlanter::Refused { id, reason } => {
                if let Some(key) = self.key_of(&id) {
                    self.mark(key, Planted::Refused(reason));
                    self.set_link(key, None);
                }
            }
            FromPlanter::Unplanted(id) => {
                if let Some(key) = self.key_of(&id) {
                    // It must not be planted again by itself.
                    self.plants_itself(key, false);
                    self.mark(key, Planted::No);
                }
            }
            FromPlanter::Created { folder, torrent } => self.created(folder, &torrent),
            FromPlanter::NotCreated { folder } => {
                self.planter.creating.set(None);
                self.delete_folder(folder);
            }
        }
    }

    fn mark(&self, key: TorrentKey, planted: Planted) {
        if let Some(listed) = self.list.borrow_mut().get_mut(&key) {
            listed.planted = planted;
        }
    }

    fn plants_itself(&self, key: TorrentKey, plant: bool) {
        if let Some(listed) = self.list.borrow_mut().get_mut(&key) {
            listed.entry.plant = plant;
            listed.touch();
        }
    }

    /// The supernodes to ask, this host first.
    pub(super) fn supernodes(&self) -> Vec<String> {
        self.host.borrow().supernodes()
    }

    /// The host's tracker does not know a torrent. It is planted at once if a person gave it to us and the host
    /// lets everybody plant; else the page offers it.
    pub(super) fn not_planted(self: &Rc<Self>, info_hash: InfoHash) {
        let key = self.engine.borrow().find(info_hash);
        let mut list = self.list.borrow_mut();
        let Some((key, listed)) = key.and_then(|key| Some((key, list.get_mut(&key)?))) else { return };
        if matches!(listed.planted, Planted::Asking | Planted::Refused(_)) {
            return;
        }
        listed.planted = Planted::No;
        let wanted = listed.entry.plant;
        drop(list);
        if wanted && self.may_plant() {
            self.plant(key, Nodes::default());
        }
    }

    /// Whether the host plants for everybody.
    pub(super) fn may_plant(&self) -> bool {
        self.host.borrow().planting() == view::Planting::Open
    }

    /// Plants a torrent on nodes that the host's supernode offers.
    pub(super) fn plant(self: &Rc<Self>, key: TorrentKey, nodes: Nodes) {
        let Some(resume) = self.engine.borrow().resume_data(key) else { return };
        let subject = match resume.source {
            ResumeSource::Metainfo(metainfo) => Subject::Torrent(metainfo.to_torrent()),
            ResumeSource::Magnet(magnet) => Subject::Magnet(magnet.to_string()),
        };
        let Some(id) = self.list.borrow().get(&key).map(super::list::Listed::id) else { return };
        self.mark(key, Planted::Asking);
        self.plants_itself(key, true);
        let supernodes = self.supernodes();
        self.ask_planter(&ToPlanter::Plant { id, subject, supernodes, nodes }, &[]);
    }

    fn planted(self: &Rc<Self>, key: TorrentKey, magnet: &Magnet) {
        self.mark(key, Planted::Yes);
        let now = clock::now();
        let mut engine = self.engine.borrow_mut();
        engine.add_trackers(now, key, &magnet.trackers);
        engine.announce_now(now, key);
        drop(engine);
        // The engine waits as long as the tracker that refused wished; we know that it will not refuse again.
        self.signalling.borrow_mut().again(now, magnet.info_hash);
        self.set_link(key, Some(magnet));
    }

    /// Has a torrent made of the files attached; it is seeded then, and planted as `plant` says.
    pub(super) fn create(
        self: &Rc<Self>,
        name: String,
        paths: Vec<Vec<String>>,
        files: &Array,
        plant: Plant,
    ) {
        if self.planter.creating.get().is_some() {
            self.problem(format!(
                "{name} was not taken: another share is still being hashed. Drop it again after that."
            ));
            return;
        }
        self.planter.creating.set(Some(plant));
        let folder = format!("new-{:016x}", clock::random_u64());
        let client = self.engine.borrow().config().client.clone();
        self.ask_planter(&ToPlanter::Create { name, paths, folder, client }, &files.to_vec());
    }

    fn created(self: &Rc<Self>, folder: String, torrent: &[u8]) {
        let plant = self.planter.creating.take().unwrap_or_default();
        let Ok(metainfo) = Metainfo::from_torrent(torrent) else { return };
        let info_hash = metainfo.info_hash();
        let have = Bitfield::full(metainfo.geometry().pieces());
        let tracker = self.host.borrow().tracker();
        let source = TorrentSource::Metainfo(Arc::new(metainfo));
        let add = AddTorrent {
            start: Start::Trust(have),
            trackers: vec![vec![tracker]],
            ..AddTorrent::new(source)
        };
        // The link comes with planting, so that nobody passes on one that does not work yet.
        let wanted = plant == Plant::AtOnce;
        let entry = Entry { added: clock::seconds_since_1970(), plant: wanted, ..Entry::default() };
        let key = self.add_in(info_hash, add, entry, folder, None);
        self.save(key);
        if !self.may_plant() {
            self.set_link(key, None);
            let text =
                "It is shared from this tab, but the host plants for nobody, so only those can find it who \
                        announce elsewhere."
                    .to_owned();
            self.tell(View::Notice(Notice { level: Level::Info, text }));
        } else if wanted {
            self.plant(key, Nodes::default());
        }
    }

    /// The torrent as other clients take it: with every tracker that is known of it.
    pub(super) fn torrent_file(&self, key: TorrentKey) -> Option<(String, Vec<u8>)> {
        let view = self.engine.borrow().view(key)?;
        let metainfo = view.metainfo?;
        let mut tiers: Vec<Vec<String>> = metainfo.trackers().to_vec();
        for tracker in view.trackers {
            if !tiers.iter().flatten().any(|url| *url == tracker.url) {
                tiers.push(vec![tracker.url]);
            }
        }
        let announce =
            tiers.iter().flatten().find(|url| url.starts_with("http")).or(tiers.first()?.first())?;
        let planted: Metainfo = metainfo.with_root(announce, &tiers);
        Some((format!("{}.torrent", metainfo.name()), planted.to_torrent()))
    }

    /// Asks the planter about a torrent.
    pub(super) fn ask_about(self: &Rc<Self>, id: Id, ask: impl FnOnce(Id, Vec<String>) -> ToPlanter) {
        let supernodes = self.supernodes();
        self.ask_planter(&ask(id, supernodes), &[]);
    }
}
