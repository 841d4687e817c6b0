//! The host of this page: what its node and supernode offer, and what it answers about torrents.
//!
//! Only what opening a link needs; whoever plants or searches does it through [`super::planter`]. So the answers are read
//! by the browser's own JSON, and the network's types stay out of this worker.

use super::store::slot::Slot;
use super::{Driver, clock};
use crate::browser::{Json, reason, sleep, within};
use crate::protocol::planter::ToPlanter;
use crate::protocol::view::{self, Planted, View};
use anatomic_core::url::split_scheme;
use anatomic_core::{InfoHash, Link, Magnet};
use anatomic_engine::{ResumeSource, TorrentKey};
use anatomic_mesh::api::paths;
use js_sys::Promise;
use std::rc::Rc;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{Request, RequestInit, Response};

/// Time for an answer, in milliseconds.
const PATIENCE: u32 = 15_000;
/// Wait before a host that did not answer is asked again, in milliseconds.
const AGAIN: u32 = 3_000;

/// What is known of the host.
#[derive(Default)]
pub struct Host {
    /// Scheme and host of the page.
    origin: String,
    known: Option<Known>,
    /// The public key of this browser, where a host asks for it.
    pub(super) planter: String,
    /// Supernodes that were met, and where they are kept.
    pub(super) met: Vec<String>,
    pub(super) met_slot: Option<Rc<Slot>>,
}

/// What its well-known document says, as far as this worker cares.
struct Known {
    websocket: Option<String>,
    stun: Option<String>,
    planting: view::Planting,
    is_supernode: bool,
    supernodes: Vec<String>,
}

impl Known {
    fn read(answer: &Json) -> Self {
        let node = answer.get("node");
        let planting = match node.get("planting").text().as_deref() {
            Some("open") => view::Planting::Open,
            Some("key") => view::Planting::Key,
            _ => view::Planting::Off,
        };
        Self {
            websocket: node.get("announce").get("websocket").text(),
            stun: node.get("stun").text(),
            planting,
            is_supernode: answer.get("roles").texts().iter().any(|role| role == "supernode"),
            supernodes: answer.get("supernodes").texts(),
        }
    }
}

impl Host {
    /// Whether it has answered.
    pub(super) const fn is_reached(&self) -> bool {
        self.known.is_some()
    }

    /// Scheme and host of the page.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Its tracker for browsers.
    #[must_use]
    pub fn tracker(&self) -> String {
        let told = self.known.as_ref().and_then(|known| known.websocket.clone());
        told.unwrap_or_else(|| announce_at(&self.origin))
    }

    /// Whether this URL is its tracker's.
    #[must_use]
    pub fn is_tracker(&self, url: &str) -> bool {
        url == self.tracker() || host_of(url) == host_of(&self.origin)
    }

    /// Who may plant there.
    #[must_use]
    pub fn planting(&self) -> view::Planting {
        self.known.as_ref().map_or(view::Planting::Unknown, |known| known.planting)
    }

    fn view(&self) -> view::Host {
        view::Host {
            name: host_of(&self.origin).to_owned(),
            planting: self.planting(),
            reached: self.known.is_some(),
            planter: self.planter.clone(),
        }
    }

    /// The supernodes to ask, this host first, those of earlier visits last.
    pub(super) fn supernodes(&self) -> Vec<String> {
        let known = self.known.as_ref();
        let own = known.filter(|known| known.is_supernode).map(|_| self.origin.clone());
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

/// Where the host at `origin` tracks browsers, if it says nothing else.
pub(super) fn announce_at(origin: &str) -> String {
    let secure = origin.strip_prefix("http").unwrap_or(origin);
    format!("ws{secure}{}", paths::ANNOUNCE)
}

/// `host:port` of a URL.
fn host_of(url: &str) -> &str {
    let rest = split_scheme(url).map_or(url, |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().unwrap_or(rest)
}

impl Driver {
    /// Asks the host what it offers, until it answers.
    pub(super) fn begin_host(self: &Rc<Self>, origin: String) {
        self.host.borrow_mut().origin = origin;
        // Most torrents need it, and it opens while the list is read.
        let tracker = self.host.borrow().tracker();
        self.signalling.borrow_mut().prepare(clock::now(), &tracker);
        let driver = Rc::clone(self);
        spawn_local(async move {
            let url = format!("{}{}", driver.host.borrow().origin, paths::WELL_KNOWN);
            loop {
                if let Ok(answer) = get(&url).await {
                    let known = Known::read(&answer);
                    let stun = known.stun.iter().cloned().collect();
                    driver.signalling.borrow_mut().set_stun(clock::now(), stun);
                    let supernodes = known.supernodes.clone();
                    driver.host.borrow_mut().known = Some(known);
                    driver.meet(supernodes);
                    break;
                }
                driver.show_host();
                sleep(AGAIN).await;
            }
            driver.pump();
            driver.show_host();
            if driver.host.borrow().planting() == view::Planting::Key {
                driver.ask_planter(&ToPlanter::Key, &[]);
            }
            let waiting: Vec<InfoHash> = driver
                .list
                .borrow()
                .values()
                .filter(|listed| listed.planted == Planted::No || listed.lacks_link())
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

    /// The host tracks a torrent, or not.
    pub(super) fn set_planted(&self, info_hash: InfoHash, planted: Planted) {
        let mut list = self.list.borrow_mut();
        if let Some(listed) = list.values_mut().find(|listed| listed.info_hash == info_hash) {
            listed.planted = planted;
        }
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
        // Whoever closes the tab now has planted it.
        self.save(key);
        self.show_whole(key);
    }

    /// A link to this page that opens a magnet.
    pub(super) fn link_of(&self, magnet: &Magnet) -> String {
        Link::Planted { origin: self.host.borrow().origin.clone(), magnet: magnet.clone() }.to_string()
    }

    /// Asks a host for the magnet of an info-hash.
    pub(super) async fn look_up(&self, origin: &str, info_hash: InfoHash) -> Option<Magnet> {
        let lookup = get(&format!("{origin}{}/{info_hash}", paths::TORRENTS)).await.ok()?;
        // What answers for another torrent than was asked is not believed.
        Magnet::parse(&lookup.get("magnet").text()?).ok().filter(|magnet| magnet.info_hash == info_hash)
    }
}

/// Asks for something in JSON.
///
/// # Errors
/// Why there is no answer.
async fn get(url: &str) -> Result<Json, String> {
    let response = respond(url, &RequestInit::new()).await?;
    if !response.ok() {
        return Err(refused(&response));
    }
    let answer = response.json().map_err(|error| reason(&error))?;
    JsFuture::from(answer).await.map(Json::from).map_err(|error| reason(&error))
}

/// Fetches the bytes at a URL.
///
/// # Errors
/// What the host said, or why it said nothing.
pub(super) async fn fetch_bytes(url: &str) -> Result<Vec<u8>, String> {
    let response = respond(url, &RequestInit::new()).await?;
    if !response.ok() {
        return Err(refused(&response));
    }
    let buffer = response.array_buffer().map_err(|error| reason(&error))?;
    let buffer = JsFuture::from(buffer).await.map_err(|error| reason(&error))?;
    Ok(crate::browser::bytes_of(&buffer))
}

fn refused(response: &Response) -> String {
    format!("it answered {} {}", response.status(), response.status_text())
}

/// Sends a request and waits for the head of its answer. What has a method of its own is JSON.
///
/// # Errors
/// Why there is no answer.
pub async fn respond(url: &str, init: &RequestInit) -> Result<Response, String> {
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
