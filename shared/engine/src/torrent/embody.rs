//! How a torrent gets its metadata, and then a body: a store or a bridge.
//!
//! What is asked of which peer is `metadata`'s part.

use super::store::Store;
use super::{Body, Torrent};
use crate::add::{Mode, Priority};
#[cfg(feature = "bridge")]
use crate::bridge::Bridge;
use crate::keys::PeerKey;
use crate::metadata::Outcome;
use crate::output::Event;
use crate::shared::Shared;
use anatomic_core::{Metainfo, Time};
use bytes::Bytes;
use std::sync::Arc;

impl Torrent {
    /// Asks one peer, or all, for pieces of the info dictionary.
    pub(super) fn ask_metadata(&mut self, now: Time, only: Option<PeerKey>) {
        let Body::Awaiting(fetch) = &mut self.body else { return };
        let keys = only.map_or_else(|| self.swarm.members.keys(), |key| vec![key]);
        for key in keys {
            while let Some(piece) = fetch.next(now, key) {
                if !self.swarm.members.tell(key).is_some_and(|peer| peer.request_metadata(piece)) {
                    break;
                }
            }
        }
    }

    pub(super) fn on_metadata(&mut self, shared: &mut Shared, key: PeerKey, piece: u32, data: Bytes) {
        let Body::Awaiting(fetch) = &mut self.body else { return };
        match fetch.on_piece(shared.now, key, piece, data) {
            Outcome::Pending => self.ask_metadata(shared.now, None),
            Outcome::Liar(liar) => self.ban(shared, liar, "it sent a wrong info dictionary"),
            Outcome::Complete(info) => self.metadata_complete(shared, info),
        }
    }

    pub(super) fn metadata_complete(&mut self, shared: &mut Shared, info: Bytes) {
        let (trackers, web_seeds) = self.magnet.as_ref().map_or_else(Default::default, |magnet| {
            let tiers: Vec<Vec<String>> = magnet.trackers.iter().map(|url| vec![url.clone()]).collect();
            (tiers, magnet.web_seeds.clone())
        });
        let metainfo = match Metainfo::from_info(info, trackers, web_seeds) {
            Ok(metainfo) => Arc::new(metainfo),
            Err(error) => {
                self.fail(shared, format!("this torrent cannot be used: {error}"));
                return;
            }
        };
        self.embody(shared, metainfo.clone());
        for key in self.swarm.members.keys() {
            let Some(peer) = self.swarm.members.tell(key) else { continue };
            peer.set_metadata(metainfo.info_bytes().clone());
            if !peer.is_open() {
                continue;
            }
            if let Err(reason) = peer.set_geometry(metainfo.geometry()) {
                self.close(shared, key, reason);
                continue;
            }
            self.opened(shared, key);
        }
        // Should the store have to be checked first, the peers that brought the metadata stay for what follows.
        self.run(shared);
    }

    /// The metadata is known: a store or a bridge takes over.
    pub(super) fn embody(&mut self, shared: &mut Shared, metainfo: Arc<Metainfo>) {
        self.swarm.private = metainfo.is_private();
        shared.event(self.swarm.key, Event::MetadataReady);
        match self.mode {
            Mode::Store => {
                if self.selection.is_empty()
                    && let Some(magnet) = &self.magnet
                    && !magnet.select.is_empty()
                {
                    let wanted = |index: usize| {
                        u32::try_from(index)
                            .is_ok_and(|index| magnet.selects(anatomic_core::FileIndex(index)))
                    };
                    self.selection = (0..metainfo.files().len())
                        .map(|index| if wanted(index) { Priority::NORMAL } else { Priority::SKIP })
                        .collect();
                }
                let start = std::mem::take(&mut self.start);
                let mut store = Store::new(&metainfo, start, self.order, shared);
                store.select(&mut self.swarm, shared, &self.selection);
                self.body = Body::Store(Box::new(store));
                self.store_progressed(shared);
            }
            #[cfg(feature = "bridge")]
            Mode::Bridge => {
                let bridge = Bridge::new(shared.config.clone(), self.swarm.key, metainfo.geometry());
                self.body = Body::Bridge(Box::new(bridge));
            }
        }
        self.metainfo = Some(metainfo);
    }
}
