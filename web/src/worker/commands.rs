//! Carries out what people want.
//!
//! Reads what they typed and dropped; what then happens is the list's, the engine's and the host's business.

use super::list::Entry;
use super::store::Store;
use super::store::slot::Slot;
use super::{Driver, clock, host, signalling};
use crate::browser::Json;
use crate::protocol::planter::ToPlanter;
use crate::protocol::view::{Level, Notice, View};
use crate::protocol::{Begin, Command, Limits, Origin, Plant};
use anatomic_core::metainfo::Metainfo;
use anatomic_core::{Link, Magnet};
use anatomic_engine::{AddTorrent, TorrentKey, TorrentSource};
use js_sys::Array;
use std::rc::Rc;
use std::sync::Arc;
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::spawn_local;

/// Record of the settings.
const SETTINGS: &str = "settings";

impl Driver {
    /// Carries out a wish.
    pub(super) fn command(self: &Rc<Self>, command: Command, attachments: &Array) {
        let now = clock::now();
        match command {
            Command::Hello => self.show_all(),
            Command::AddLink { text, origin, begin } => self.add_link(&text, origin, begin),
            Command::AddTorrent { name, begin, plant } => {
                self.add_torrent(&name, &crate::browser::bytes_of(&attachments.get(0)), begin, plant);
            }
            Command::Create { name, paths, plant } => self.create(name, paths, attachments, plant),
            Command::Pause(id) => {
                if let Some(key) = self.key_of(&id) {
                    self.engine.borrow_mut().pause(now, key);
                }
            }
            Command::Resume(id) => {
                if let Some(key) = self.key_of(&id) {
                    self.chosen(key);
                    self.engine.borrow_mut().resume(now, key);
                }
            }
            Command::Select { id, files, wanted } => {
                if let Some(key) = self.key_of(&id) {
                    self.select(key, files, wanted);
                }
            }
            Command::SetOrder(id, order) => {
                if let Some(key) = self.key_of(&id) {
                    self.set_order(key, order);
                }
            }
            Command::Remove { id, data } => {
                if let Some(key) = self.key_of(&id) {
                    self.remove(key, data);
                }
            }
            Command::Plant(id, nodes) => {
                if let Some(key) = self.key_of(&id) {
                    self.plant(key, nodes);
                }
            }
            Command::AskOffer => {
                let supernodes = self.supernodes();
                self.ask_planter(&ToPlanter::Offers { supernodes }, &[]);
            }
            Command::Unplant(id) => {
                self.ask_about(id, |id, supernodes| ToPlanter::Unplant { id, supernodes });
            }
            Command::AskHealth(id) => {
                self.ask_about(id, |id, supernodes| ToPlanter::Health { id, supernodes });
            }
            Command::Search { words } => {
                let supernodes = self.supernodes();
                self.ask_planter(&ToPlanter::Search { words, supernodes }, &[]);
            }
            Command::TorrentFile(id) => {
                if let Some((name, bytes)) = self.key_of(&id).and_then(|key| self.torrent_file(key)) {
                    self.save_file(name, &bytes);
                }
            }
            Command::SetLimits(limits) => {
                self.set_limits(limits);
                self.save_settings();
            }
        }
        self.pump();
        self.show_changes();
    }

    /// Reads the settings of the last visit.
    pub(super) async fn load_settings(self: &Rc<Self>, store: &Store) {
        self.load_met(store).await;
        if let Ok((_, Some(content))) = Slot::open(store.root().clone(), SETTINGS).await
            && let Some(limits) = Json::parse(&String::from_utf8_lossy(&content))
        {
            let (download, upload) = (limits.get("download").number(), limits.get("upload").number());
            self.set_limits(Limits { download, upload });
        }
    }

    fn save_settings(self: &Rc<Self>) {
        let Some(store) = self.store() else { return };
        let Limits { download, upload } = self.limits.get();
        // Exact up to 2^53 bytes a second.
        #[expect(clippy::cast_precision_loss)]
        let value = |limit: Option<u64>| limit.map_or(JsValue::NULL, |limit| (limit as f64).into());
        let content = Json::text_of(&[("download", value(download)), ("upload", value(upload))]);
        let driver = Rc::clone(self);
        spawn_local(async move {
            let written =
                async { Slot::open(store.root().clone(), SETTINGS).await?.0.write(content.as_bytes()).await };
            if let Err(error) = written.await {
                driver.problem(format!("The settings hold until this page is closed only. {error}"));
            }
        });
    }

    fn set_limits(&self, limits: Limits) {
        self.limits.set(limits);
        let engine = anatomic_engine::Limits { download: limits.download, upload: limits.upload };
        self.engine.borrow_mut().set_limits(clock::now(), engine);
        self.tell(View::Limits(limits));
    }

    fn show_all(self: &Rc<Self>) {
        let keys: Vec<TorrentKey> = self.list.borrow().keys().copied().collect();
        for key in keys {
            self.show_whole(key);
        }
        self.show_host();
        self.tell(View::Limits(self.limits.get()));
        self.tell(View::Listed);
        self.room_changed();
    }

    fn add_link(self: &Rc<Self>, text: &str, from: Origin, begin: Begin) {
        match Link::parse(text) {
            Ok(Link::Magnet(magnet)) if magnet.trackers.is_empty() => {
                let origin = self.host.borrow().origin().to_owned();
                self.look_up_and_add(origin, magnet, from, begin);
            }
            Ok(Link::Magnet(magnet) | Link::Planted { magnet, .. }) => self.add_magnet(magnet, from, begin),
            Ok(Link::Short { origin, info_hash }) => {
                self.look_up_and_add(origin, Magnet::new(info_hash), from, begin);
            }
            Ok(Link::Url(url)) => self.add_url(url, begin),
            Err(error) => self.problem(format!("That cannot be added: {error}.")),
        }
    }

    fn look_up_and_add(self: &Rc<Self>, origin: String, magnet: Magnet, from: Origin, begin: Begin) {
        let driver = Rc::clone(self);
        spawn_local(async move {
            let found = driver.look_up(&origin, magnet.info_hash).await;
            driver.add_magnet(found.unwrap_or(magnet), from, begin);
            driver.pump();
        });
    }

    fn add_url(self: &Rc<Self>, url: String, begin: Begin) {
        let driver = Rc::clone(self);
        spawn_local(async move {
            match host::fetch_bytes(&url).await {
                Ok(bytes) => driver.add_torrent(&url, &bytes, begin, Plant::AtOnce),
                Err(reason) => driver.problem(format!(
                    "{url} could not be fetched: {reason}. Many hosts let no page of another host read from them; \
                     download the file and drop it here."
                )),
            }
            driver.pump();
        });
    }

    fn add_magnet(self: &Rc<Self>, magnet: Magnet, from: Origin, begin: Begin) {
        let entry = Entry {
            added: clock::seconds_since_1970(),
            link: self.link_of(&magnet),
            plant: from == Origin::Typed,
            kept: false,
            choosing: begin == Begin::AfterChoice,
        };
        let info_hash = magnet.info_hash;
        let trackers = self.own_tracker(&magnet.trackers);
        let add = AddTorrent { trackers, ..AddTorrent::new(TorrentSource::Magnet(Box::new(magnet))) };
        self.add(info_hash, add, entry);
    }

    fn add_torrent(self: &Rc<Self>, name: &str, bytes: &[u8], begin: Begin, plant: Plant) {
        let metainfo = match Metainfo::from_torrent(bytes) {
            Ok(metainfo) => metainfo,
            Err(error) => {
                self.problem(format!("{name} cannot be added: {error}."));
                return;
            }
        };
        let named: Vec<String> = metainfo.trackers().iter().flatten().cloned().collect();
        // A private torrent's peers come from its own trackers only (BEP 27): no node may be told.
        let private = metainfo.is_private();
        let trackers = if private { Vec::new() } else { self.own_tracker(&named) };
        let entry = Entry {
            added: clock::seconds_since_1970(),
            link: self.link_of(&Magnet::of(&metainfo)),
            plant: !private && plant == Plant::AtOnce,
            kept: false,
            choosing: begin == Begin::AfterChoice,
        };
        if private && trackers.is_empty() && !named.iter().any(|url| signalling::is_websocket(url)) {
            let text = format!(
                "{} is private: only its own trackers may introduce peers, and a browser can speak to none of them.",
                metainfo.name()
            );
            self.tell(View::Notice(Notice { level: Level::Problem, text }));
        }
        let info_hash = metainfo.info_hash();
        let source = TorrentSource::Metainfo(Arc::new(metainfo));
        self.add(info_hash, AddTorrent { trackers, ..AddTorrent::new(source) }, entry);
    }

    /// The host's tracker, for a torrent that names none in a browser's reach.
    fn own_tracker(&self, named: &[String]) -> Vec<Vec<String>> {
        if named.iter().any(|url| signalling::is_websocket(url)) {
            return Vec::new();
        }
        vec![vec![self.host.borrow().tracker()]]
    }
}
