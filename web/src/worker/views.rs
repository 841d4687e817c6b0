//! What the tabs are told about torrents: the engine's facts, put so that little moves.
//!
//! No words for people; those are made on the page.

use super::list::Listed;
use super::{Driver, clock, hosts, signalling, stripes};
use crate::protocol::Order;
use crate::protocol::view::{
    Behind, File, Path, Peer, Progress, State, Torrent, Tracker, TrackerStatus, View,
};
use anatomic_core::collections::BTreeMap;
use anatomic_core::metainfo::{FileKind, Metainfo};
use anatomic_core::{Bitfield, Geometry};
use anatomic_engine::{PeerView, PickOrder, Role, TorrentKey, TorrentView};
use std::rc::Rc;

/// Cells in the picture of the pieces.
const CELLS: u32 = 512;

/// What the tabs were told last of a torrent.
#[derive(Default)]
pub struct Shown {
    progress: Progress,
    stored: Bitfield,
    /// Verified bytes of each file.
    done: Vec<u64>,
    named: bool,
}

impl Driver {
    /// Tells all that is known of a torrent.
    pub(super) fn show_whole(self: &Rc<Self>, key: TorrentKey) {
        let Some(view) = self.engine.borrow().view(key) else { return };
        let mut list = self.list.borrow_mut();
        let Some(listed) = list.get_mut(&key) else { return };
        listed.shown = Shown::default();
        let progress = self.progress(listed, &view);
        let metainfo = listed.metainfo.as_deref();
        let geometry = metainfo.map(Metainfo::geometry);
        let torrent = Torrent {
            id: listed.id(),
            name: view.name.clone(),
            folder: listed.folder.clone(),
            length: geometry.map_or(0, |geometry| geometry.length()),
            piece_length: geometry.map_or(0, |geometry| geometry.piece_length()),
            pieces: geometry.map_or(0, |geometry| geometry.pieces()),
            files: metainfo.map(|metainfo| files(metainfo, &listed.shown.done, &view)).unwrap_or_default(),
            link: listed.entry.link.clone(),
            private: metainfo.is_some_and(Metainfo::is_private),
            added: listed.entry.added,
            order: match view.order {
                PickOrder::RarestFirst => Order::RarestFirst,
                PickOrder::Sequential => Order::Sequential,
            },
            choosing: listed.entry.choosing,
            progress: Progress { files: Vec::new(), ..progress },
        };
        listed.shown.named = metainfo.is_some();
        drop(list);
        self.tell(View::Torrent(Box::new(torrent)));
    }

    /// Tells what moved since it was told last.
    pub(super) fn show_changes(self: &Rc<Self>) {
        let keys: Vec<TorrentKey> = self.list.borrow().keys().copied().collect();
        let (mut changes, mut alone) = (Vec::new(), Vec::new());
        for key in keys {
            let Some(view) = self.engine.borrow().view(key) else { continue };
            if let Some(peer) = stripes::narrow(&view) {
                self.widen(peer);
            }
            let mut list = self.list.borrow_mut();
            let Some(listed) = list.get_mut(&key) else { continue };
            if listed.metainfo.is_some() && !listed.shown.named {
                drop(list);
                self.show_whole(key);
                continue;
            }
            let before = listed.shown.progress.clone();
            let progress = self.progress(listed, &view);
            let private = listed.metainfo.as_ref().is_some_and(|metainfo| metainfo.is_private());
            alone.push((key, !private && hosts::is_alone(&progress)));
            if listed.shown.progress.uploaded != before.uploaded {
                listed.touch();
            }
            if progress.map.is_some() || !progress.files.is_empty() || listed.shown.progress != before {
                changes.push(progress);
            }
        }
        for (key, alone) in alone {
            self.find_again(key, alone);
        }
        if !changes.is_empty() {
            self.tell(View::Progress(changes));
        }
    }

    /// What moves in a torrent; remembers it as shown.
    fn progress(&self, listed: &mut Listed, view: &TorrentView) -> Progress {
        let signalling = self.signalling.borrow();
        let info_hash = listed.info_hash;
        let mut trackers: Vec<Tracker> = view
            .trackers
            .iter()
            .map(|tracker| Tracker {
                url: tracker.url.clone(),
                status: signalling.status(&tracker.url, info_hash),
            })
            .collect();
        let named = listed.metainfo.iter().flat_map(|metainfo| metainfo.trackers().iter().flatten());
        for url in named.filter(|url| !signalling::is_websocket(url)) {
            if !trackers.iter().any(|tracker| tracker.url == *url) {
                trackers.push(Tracker { url: url.clone(), status: TrackerStatus::Unreachable });
            }
        }
        let progress = Progress {
            id: listed.id(),
            state: state(view.state),
            done: view.done,
            wanted: view.wanted,
            down: view.download_rate,
            up: view.upload_rate,
            downloaded: view.counters.downloaded,
            uploaded: view.counters.uploaded,
            wasted: view.counters.wasted,
            map: None,
            peers: peers(&view.peers),
            trackers,
            files: Vec::new(),
            offers: signalling.offers(info_hash),
            planted: listed.planted.clone(),
            error: view.error.clone(),
        };
        listed.shown.progress.clone_from(&progress);
        let Some(metainfo) = listed.metainfo.as_deref() else { return progress };
        let geometry = metainfo.geometry();
        let empty = Bitfield::empty(geometry.pieces());
        let stored = view.stored.as_ref().unwrap_or(&empty);
        let (files, fresh) = listed.shown.count(metainfo, stored);
        let map = (fresh || !files.is_empty()).then(|| map(stored, geometry));
        Progress { map, files, ..progress }
    }
}

impl Shown {
    /// Counts the bytes of newly stored pieces to their files: those that changed, and whether counting began anew.
    fn count(&mut self, metainfo: &Metainfo, stored: &Bitfield) -> (Vec<(u32, u64)>, bool) {
        let fresh = self.done.is_empty() || stored.count() < self.stored.count();
        if fresh {
            self.done = vec![0; metainfo.files().len()];
            self.stored = Bitfield::empty(stored.pieces());
        }
        let mut changed = BTreeMap::new();
        if stored.count() > self.stored.count() {
            let geometry = metainfo.geometry();
            for piece in stored.iter().filter(|piece| !self.stored.has(*piece)) {
                let length = u64::from(geometry.length_of(piece));
                for span in metainfo.spans_at(geometry.start_of(piece), length) {
                    if let Some(done) = self.done.get_mut(span.file.0 as usize) {
                        *done += span.length;
                        changed.insert(span.file.0, *done);
                    }
                }
            }
            self.stored = stored.clone();
        }
        (changed.into_iter().collect(), fresh)
    }
}

/// The files that people see, with the bytes there of each, and whether it is wanted.
fn files(metainfo: &Metainfo, done: &[u64], view: &TorrentView) -> Vec<File> {
    let numbered = (0u32..).zip(metainfo.files());
    numbered
        .filter(|(_, file)| file.kind == FileKind::Content && file.symlink.is_none())
        .map(|(index, file)| {
            // A folder's own name stands above its files already.
            let path = if file.path.len() > 1 { file.path.get(1..).unwrap_or_default() } else { &file.path };
            let done = done.get(index as usize).copied().unwrap_or(0);
            let wanted = view.selection.get(index as usize).is_none_or(|priority| priority.is_wanted());
            File { index, path: path.join("/"), length: file.length, done, wanted }
        })
        .collect()
}

/// How full each stretch of pieces is, a digit each: `0` none to `9` all.
fn map(stored: &Bitfield, geometry: Geometry) -> String {
    let pieces = geometry.pieces();
    let cells = pieces.min(CELLS);
    let mut counts = vec![(0u32, 0u32); cells as usize];
    let cell = |piece: u32| (u64::from(piece) * u64::from(cells) / u64::from(pieces.max(1))) as usize;
    for piece in 0..pieces {
        if let Some((_, all)) = counts.get_mut(cell(piece)) {
            *all += 1;
        }
    }
    for piece in stored.iter() {
        if let Some((here, _)) = counts.get_mut(cell(piece.0)) {
            *here += 1;
        }
    }
    counts
        .into_iter()
        .map(|(here, all)| match (here, all) {
            (0, _) => '0',
            (here, all) if here >= all => '9',
            (here, all) => char::from(b'1' + u8::try_from(u64::from(here) * 8 / u64::from(all)).unwrap_or(7)),
        })
        .collect()
}

/// Each peer once: the stripes of one transfer are one peer for people.
fn peers(views: &[PeerView]) -> Vec<Peer> {
    let mut shown: Vec<(&PeerView, Peer)> = Vec::new();
    for view in views.iter().filter(|view| view.peer_id.is_some()) {
        if let Some((_, first)) = shown.iter_mut().find(|(first, _)| first.peer_id == view.peer_id) {
            first.down += view.download_rate;
            first.up += view.upload_rate;
            first.asked += u32::try_from(view.requests).unwrap_or(u32::MAX);
        } else {
            shown.push((view, peer(view)));
        }
    }
    shown.into_iter().map(|(_, peer)| peer).collect()
}

fn peer(peer: &PeerView) -> Peer {
    let path = match peer.role {
        Role::Client => Path::Direct,
        Role::Node => Path::Node(peer.behind.map(|behind| Behind {
            tcp: behind.tcp,
            utp: behind.utp,
            // We are one of them.
            webrtc: behind.webrtc.saturating_sub(1),
            seeds: behind.seeds,
            leeches: behind.leeches,
        })),
    };
    #[expect(clippy::cast_possible_truncation)]
    let has = peer.progress as f32;
    Peer {
        path,
        client: peer.client.clone().unwrap_or_default(),
        has,
        down: peer.download_rate,
        up: peer.upload_rate,
        choking: peer.choked,
        interested: peer.interesting,
        wanted: peer.interested,
        asked: u32::try_from(peer.requests).unwrap_or(u32::MAX),
        late: peer.snubbed,
    }
}

const fn state(state: anatomic_engine::State) -> State {
    use anatomic_engine::State as Engine;
    match state {
        Engine::Metadata => State::Metadata,
        Engine::Checking => State::Checking,
        Engine::Downloading => State::Downloading,
        Engine::Seeding => State::Seeding,
        Engine::Paused => State::Paused,
        Engine::Error => State::Error,
    }
}

impl Driver {
    /// Asks the browser how much room there is, and tells it.
    pub(super) fn room_changed(self: &Rc<Self>) {
        let Some(store) = self.store() else { return };
        self.room_asked.set(clock::now());
        let driver = Rc::clone(self);
        wasm_bindgen_futures::spawn_local(async move {
            if let Ok((used, quota)) = store.room().await {
                driver.tell(View::Storage(crate::protocol::view::Storage { used, quota }));
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anatomic_core::PieceIndex;

    #[test]
    fn the_map_is_full_only_where_all_pieces_are() {
        let geometry = Geometry::new(1024 * 16_384, 16_384).unwrap();
        let mut stored = Bitfield::empty(1024);
        for piece in [0, 1, 2] {
            stored.insert(PieceIndex(piece));
        }
        let map = map(&stored, geometry);
        assert_eq!((map.len(), &map[..3]), (512, "950"));
    }

    #[test]
    fn a_short_torrent_has_a_cell_a_piece() {
        let geometry = Geometry::new(3 * 16_384, 16_384).unwrap();
        assert_eq!(map(&Bitfield::full(3), geometry), "999");
        assert_eq!(map(&Bitfield::empty(3), geometry), "000");
    }
}
