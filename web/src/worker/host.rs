//! The host of this page: what its node and supernode offer, and planting there.
//!
//! Only requests over HTTP and what follows from their answers. In what order a torrent is planted is
//! [`anatomic_mesh::Planter`]'s part.

use super::store::Store;
use super::store::slot::Slot;
use super::{Driver, clock};
use crate::browser::{reason, sleep, within};
use crate::protocol::Id;
use crate::protocol::network::Step;
use crate::protocol::view::{self, Planted, View};
use anatomic_core::{InfoHash, Link, Magnet};
use anatomic_engine::{ResumeSource, TorrentKey};
use anatomic_mesh::api::{Lookup, Planting, Problem, Role, WellKnown, paths};
use anatomic_mesh::planter::{DEFAULT_NODES, Outcome, Output, Progress, Subject, Wish};
use anatomic_mesh::{Identity, Listing, Planter, UnixTime};
use js_sys::Promise;
use serde::de::DeserializeOwned;
use std::rc::Rc;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{Request, RequestInit, Response};

/// Time for an answer, in milliseconds.
const PATIENCE: u32 = 15_000;
/// Wait before a host that did not answer is asked again, in milliseconds.
const AGAIN: u32 = 3_000;
/// Record of this browser's secret key.
const KEY: &str = "planter";

/// What is known of the host.
#[derive(Default)]
pub struct Host {
    /// Scheme and host of the page.
    origin: String,
    known: Option<Box<WellKnown>>,
    identity: Option<Identity>,
    /// Supernodes that were met, and where they are kept.
    pub(super) met: Vec<String>,
    pub(super) met_slot: Option<Rc<Slot>>,
}

impl Host {
    /// Scheme and host of the page.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Its tracker for browsers.
    #[must_use]
    pub fn tracker(&self) -> String {
        let told = self.known.as_ref().and_then(|known| known.node.as_ref()?.announce.websocket.clone());
        told.unwrap_or_else(|| format!("{}{}", self.origin.replacen("http", "ws", 1), paths::ANNOUNCE))
    }

    /// Whether this URL is its tracker's.
    #[must_use]
    pub fn is_tracker(&self, url: &str) -> bool {
        url == self.tracker() || host_of(url) == host_of(&self.origin)
    }

    /// Who may plant there.
    #[must_use]
    pub fn planting(&self) -> view::Planting {
        match self.known.as_ref().map(|known| known.node.as_ref().map_or(Planting::Off, |node| node.planting))
        {
            None => view::Planting::Unknown,
            Some(Planting::Open) => view::Planting::Open,
            Some(Planting::Key) => view::Planting::Key,
            Some(Planting::Off) => view::Planting::Off,
        }
    }

    fn view(&self) -> view::Host {
        view::Host {
            name: host_of(&self.origin).to_owned(),
            planting: self.planting(),
            reached: self.known.is_some(),
            planter: self.identity.as_ref().map(|identity| identity.key().to_string()).unwrap_or_default(),
        }
    }

    /// This browser's key, once it is read.
    pub(super) const fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }

    /// The supernodes to ask, this host first, those of earlier visits last.
    pub(super) fn supernodes(&self) -> Vec<String> {
        let known = self.known.as_ref();
        let own = known.filter(|known| known.roles.contains(&Role::Supernode)).map(|_| self.origin.clone());
        let named = known.iter().flat_map(|known| &known.supernodes).chain(&self.met);
        let mut all: Vec<String> = own.into_iter().collect();
        for url in named {
            if *url != self.origin && !all.contains(url) {
                all.push(url.clone());
            }
        }
        all
    }
}

/// `host:port` of a URL.
fn host_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().unwrap_or(rest)
}

impl Driver {
    /// Asks the host what it offers, until it answers.
    pub(super) fn begin_host(self: &Rc<Self>, origin: String) {
        self.host.borrow_mut().origin = origin;
        let driver = Rc::clone(self);
        spawn_local(async move {
            let url = format!("{}{}", driver.host.borrow().origin, paths::WELL_KNOWN);
            loop {
                match get::<WellKnown>(&url).await {
                    Ok(known) => {
                        let stun = known.node.as_ref().and_then(|node| node.stun.clone());
                        driver.signalling.borrow_mut().set_stun(clock::now(), stun.into_iter().collect());
                        let supernodes = known.supernodes.clone();
                        driver.host.borrow_mut().known = Some(Box::new(known));
                        driver.meet(supernodes);
                        break;
                    }
                    Err(_) => {
                        driver.show_host();
                        sleep(AGAIN).await;
                    }
                }
            }
            driver.pump();
            driver.show_host();
            let waiting: Vec<InfoHash> = driver
                .list
                .borrow()
                .values()
                .filter(|listed| listed.planted == Planted::No)
                .map(|listed| listed.info_hash)
                .collect();
            for info_hash in waiting {
                driver.not_planted(info_hash);
            }
        });
    }

    /// Tells what is known of the host.
    pub(super) fn show_host(&self) {
        self.tell(View::Host(self.host.borrow().view()));
    }

    /// Reads this browser's key, or makes one.
    pub(super) async fn load_identity(&self, store: &Store) {
        let Ok((slot, content)) = Slot::open(store.root().clone(), KEY).await else { return };
        let seed: [u8; 32] = match content.and_then(|bytes| bytes.try_into().ok()) {
            Some(seed) => seed,
            None => {
                let mut seed = [0; 32];
                clock::random(&mut seed);
                if slot.write(&seed).await.is_err() {
                    return;
                }
                seed
            }
        };
        self.host.borrow_mut().identity = Some(Identity::from_seed(seed));
    }

    /// The host tracks a torrent, or not.
    pub(super) fn set_planted(&self, info_hash: InfoHash, planted: Planted) {
        let mut list = self.list.borrow_mut();
        if let Some(listed) = list.values_mut().find(|listed| listed.info_hash == info_hash) {
            listed.planted = planted;
        }
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
        if wanted && self.host.borrow().planting() == view::Planting::Open {
            self.plant(key);
        }
    }

    /// Plants a torrent on the host and on what its supernode offers besides.
    pub(super) fn plant(self: &Rc<Self>, key: TorrentKey) {
        let Some(resume) = self.engine.borrow().resume_data(key) else { return };
        let subject = match resume.source {
            ResumeSource::Metainfo(metainfo) => Subject::Torrent(Box::new((*metainfo).clone())),
            ResumeSource::Magnet(magnet) => Subject::Magnet(magnet),
        };
        let host = self.host.borrow();
        let (supernodes, identity) = (host.supernodes(), host.identity.clone());
        drop(host);
        let Some(info_hash) = self.list.borrow().get(&key).map(|listed| listed.info_hash) else { return };
        let Some(identity) = identity else {
            let reason = "this browser gives the page no storage for its planting key".to_owned();
            self.set_planted(info_hash, Planted::Refused(reason));
            return;
        };
        self.set_planted(info_hash, Planted::Asking);
        let wish = Wish {
            subject,
            nodes: DEFAULT_NODES,
            supernodes,
            listing: Listing::default(),
            prefer: Vec::new(),
        };
        let driver = Rc::clone(self);
        spawn_local(async move {
            let id = Id(info_hash.to_string());
            let mut steps = Vec::new();
            let told = |progress: &Progress| {
                steps.push(step(progress));
                driver.tell(View::Steps(id.clone(), steps.clone()));
            };
            match plant(wish, identity, told).await {
                Ok(outcome) => driver.planted(key, info_hash, &outcome),
                Err(reason) => {
                    driver.set_planted(info_hash, Planted::Refused(reason));
                    driver.set_link(key, None);
                }
            }
            driver.pump();
        });
    }

    fn planted(self: &Rc<Self>, key: TorrentKey, info_hash: InfoHash, outcome: &Outcome) {
        self.set_planted(info_hash, Planted::Yes);
        self.meet(outcome.supernodes.iter().cloned());
        let now = clock::now();
        let mut engine = self.engine.borrow_mut();
        engine.add_trackers(now, key, &outcome.magnet.trackers);
        engine.announce_now(now, key);
        drop(engine);
        // The engine waits as long as the tracker that refused wished; we know that it will not refuse again.
        self.signalling.borrow_mut().again(now, info_hash);
        self.set_link(key, Some(&outcome.magnet));
    }

    /// Sets the link to pass on: of the planted magnet, else of what is known.
    pub(super) fn set_link(self: &Rc<Self>, key: TorrentKey, magnet: Option<&Magnet>) {
        let known = match self.engine.borrow().resume_data(key).map(|resume| resume.source) {
            Some(ResumeSource::Metainfo(metainfo)) => Magnet::of(&metainfo),
            Some(ResumeSource::Magnet(magnet)) => *magnet,
            None => return,
        };
        let link = self.link_of(magnet.unwrap_or(&known));
        if let Some(listed) = self.list.borrow_mut().get_mut(&key) {
            listed.entry.link = link;
            listed.touch();
        }
        self.show_whole(key);
    }

    /// A link to this page that opens a magnet.
    pub(super) fn link_of(&self, magnet: &Magnet) -> String {
        Link::Planted { origin: self.host.borrow().origin.clone(), magnet: magnet.clone() }.to_string()
    }

    /// Asks a host for the magnet of an info-hash.
    pub(super) async fn look_up(&self, origin: &str, info_hash: InfoHash) -> Option<Magnet> {
        let lookup = get::<Lookup>(&format!("{origin}{}/{info_hash}", paths::TORRENTS)).await.ok()?;
        // What answers for another torrent than was asked is not believed.
        Magnet::parse(&lookup.magnet).ok().filter(|magnet| magnet.info_hash == info_hash)
    }
}

/// A step of planting, for people.
fn step(progress: &Progress) -> Step {
    let failed = matches!(progress, Progress::SupernodeFailed { .. } | Progress::Refused { .. });
    Step { done: !failed, text: progress.to_string() }
}

/// Carries out what the planter wants until it is done or has failed.
async fn plant(wish: Wish, identity: Identity, mut told: impl FnMut(&Progress)) -> Result<Outcome, String> {
    let mut planter = Planter::new(wish, identity, UnixTime(clock::seconds_since_1970()));
    while let Some(output) = planter.poll_output() {
        match output {
            Output::AskNodes { supernode, count } => {
                let offer = get(&format!("{supernode}{}?count={count}", paths::NODES)).await;
                planter.handle_offer(&supernode, offer);
            }
            Output::Plant { node, request } => {
                let planted = post(&format!("{}{}", node.url, paths::PLANT), &*request).await;
                planter.handle_planted(node.key, planted);
            }
            Output::HandOver { supernode, handover } => {
                let indexed = post(&format!("{supernode}{}", paths::RECEIPTS), &*handover).await;
                planter.handle_indexed(&supernode, indexed.map_err(|problem| problem.to_string()));
            }
            Output::Progress(progress) => told(&progress),
            Output::Done(outcome) => return Ok(*outcome),
            Output::Failed(failure) => return Err(failure.to_string()),
        }
    }
    Err("planting stopped half way".into())
}

/// Asks for something.
///
/// # Errors
/// What the host said, or why it said nothing.
pub(super) async fn get<T: DeserializeOwned>(url: &str) -> Result<T, String> {
    let text = fetch(url, None).await.map_err(|problem| problem.to_string())?;
    read(&text)
}

/// Posts something whose answer has no body.
///
/// # Errors
/// What the host said, or why it said nothing.
pub(super) async fn send(url: &str, body: &impl serde::Serialize) -> Result<(), Problem> {
    let body = serde_json::to_string(body).map_err(Problem::without_document)?;
    fetch(url, Some(body)).await.map(drop)
}

async fn post<T: DeserializeOwned>(url: &str, body: &impl serde::Serialize) -> Result<T, Problem> {
    let body = serde_json::to_string(body).map_err(Problem::without_document)?;
    read(&fetch(url, Some(body)).await?).map_err(Problem::without_document)
}

fn read<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|error| format!("it answered something else than was asked: {error}"))
}

/// Fetches text; an error is what the host said, or why it said nothing.
async fn fetch(url: &str, body: Option<String>) -> Result<String, Problem> {
    let init = RequestInit::new();
    if let Some(body) = body {
        init.set_method("POST");
        init.set_body(&body.into());
    }
    let failed = |error: JsValue| Problem::without_document(reason(&error));
    let response = respond(url, &init).await.map_err(Problem::without_document)?;
    let text = response.text().map_err(failed)?;
    let text = JsFuture::from(text).await.map_err(failed)?.as_string().unwrap_or_default();
    if response.ok() {
        return Ok(text);
    }
    Err(serde_json::from_str(&text).unwrap_or_else(|_| {
        Problem::without_document(format!("it answered {} {}", response.status(), response.status_text()))
    }))
}

/// Fetches the bytes at a URL.
///
/// # Errors
/// What the host said, or why it said nothing.
pub(super) async fn fetch_bytes(url: &str) -> Result<Vec<u8>, String> {
    let response = respond(url, &RequestInit::new()).await?;
    if !response.ok() {
        return Err(format!("it answered {} {}", response.status(), response.status_text()));
    }
    let buffer = response.array_buffer().map_err(|error| reason(&error))?;
    let buffer = JsFuture::from(buffer).await.map_err(|error| reason(&error))?;
    Ok(crate::browser::bytes_of(&buffer))
}

async fn respond(url: &str, init: &RequestInit) -> Result<Response, String> {
    let request = Request::new_with_str_and_init(url, init).map_err(|error| reason(&error))?;
    if init.get_method().is_some() {
        let _ = request.headers().set("content-type", "application/json");
    }
    let promise: Promise = clock::scope().fetch_with_request(&request).unchecked_into();
    match within(&promise, PATIENCE).await {
        Some(Ok(response)) => Ok(response.unchecked_into()),
        Some(Err(_)) => Err("it cannot be reached".into()),
        None => Err("it did not answer in time".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tracker_of_the_host_is_known_by_its_host() {
        let host = Host { origin: "https://host:8443".into(), ..Host::default() };
        assert_eq!(host.tracker(), "wss://host:8443/announce");
        assert!(host.is_tracker("wss://host:8443/") && !host.is_tracker("wss://other/announce"));
    }
}
