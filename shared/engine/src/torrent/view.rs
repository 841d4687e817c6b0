//! The snapshot of a torrent for people.
//!
//! Read only.

use super::{Body, Torrent};
use crate::view::{PeerView, TorrentView};
use anatomic_core::Time;

impl Torrent {
    pub(crate) fn view(&self, now: Time) -> TorrentView {
        let name = self.metainfo.as_ref().map_or_else(
            || {
                let named = self.magnet.as_ref().and_then(|magnet| magnet.name.clone());
                named.unwrap_or_else(|| self.swarm.info_hash.to_string())
            },
            |metainfo| metainfo.name().to_owned(),
        );
        let store = match &self.body {
            Body::Store(store) => Some(store),
            _ => None,
        };
        let (wanted, done) = store.map_or((0, 0), |store| store.picker.progress());
        TorrentView {
            info_hash: self.swarm.info_hash,
            name,
            state: self.state(),
            error: self.error.clone(),
            metainfo: self.metainfo.clone(),
            have: store.map(|store| store.have().clone()),
            stored: store.map(|store| store.stored().clone()),
            selection: self.selection.clone(),
            order: self.order,
            wanted,
            done,
            checked: store.and_then(|store| store.checking()),
            download_rate: self.swarm.down.bytes_per_second(now),
            upload_rate: self.swarm.up.bytes_per_second(now),
            counters: self.swarm.counters,
            peers: self.peers(now),
            candidates: self.swarm.candidates.idle(),
            trackers: self.swarm.announcer.view(),
            bridge: match &self.body {
                Body::Bridge(bridge) => Some(*bridge.counters()),
                _ => None,
            },
        }
    }

    fn peers(&self, now: Time) -> Vec<PeerView> {
        let snubbed = |key| match &self.body {
            Body::Store(store) => store.traders.get(&key).is_some_and(|trader| trader.snubbed),
            _ => false,
        };
        let view = |(key, member): (_, &super::member::Member)| {
            let peer = &member.peer;
            let link = peer.link();
            let ((downloaded, down), (uploaded, up)) = (peer.downloaded(now), peer.uploaded(now));
            let progress = peer.pieces().map_or(0.0, |pieces| {
                if pieces.pieces() == 0 {
                    1.0
                } else {
                    f64::from(pieces.count()) / f64::from(pieces.pieces())
                }
            });
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let (download_rate, upload_rate) = (down.round() as u64, up.round() as u64);
            PeerView {
                peer: key,
                peer_id: peer.peer_id(),
                client: peer.client(),
                transport: link.transport,
                role: peer.role(),
                address: link.address,
                dialled: link.direction.is_ours(),
                progress,
                download_rate,
                upload_rate,
                downloaded,
                uploaded,
                choking: peer.am_choking(),
                choked: peer.is_choking(),
                interested: peer.am_interested(),
                interesting: peer.is_interested(),
                snubbed: snubbed(key),
                requests: peer.outstanding(),
                incoming_requests: peer.incoming_requests(),
                behind: member.behind,
            }
        };
        self.swarm.members.iter().map(view).collect()
    }
}
