//! Planted torrents that mates speak of, written down one after the other beside the task that hears of them.
//!
//! How two processes come to the same is `Planting::merge`'s.

use crate::node::Planting;
use anatomic_core::InfoHash;
use anatomic_mesh::fleet::Planted;
use anatomic_mesh::fleet::message::Digest;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc;
use tracing::warn;

/// The digests of torrents that a mate has just told us, and we agree.
pub(super) type Agreed = Arc<Mutex<HashMap<InfoHash, Digest>>>;

/// Starts the task; it ends with the sender.
pub(super) fn start(
    planting: Arc<Planting>,
    agreed: Agreed,
) -> mpsc::UnboundedSender<(InfoHash, Box<Planted>)> {
    let (sender, mut told) = mpsc::unbounded_channel::<(InfoHash, Box<Planted>)>();
    tokio::task::spawn_blocking(move || {
        while let Some((info_hash, planted)) = told.blocking_recv() {
            // Before anybody hears of the change: it need not be told again.
            let remember = |digest| {
                agreed.lock().unwrap_or_else(PoisonError::into_inner).insert(info_hash, digest);
            };
            match planting.merge(info_hash, &planted, remember) {
                Ok(()) => {}
                Err(problem) => warn!(torrent = %info_hash, %problem, "a torrent of the fleet was not kept"),
            }
        }
    });
    sender
}
