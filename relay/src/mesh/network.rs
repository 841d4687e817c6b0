//! What peer-sharing asks of the rest of the network: who holds a torrent, and who takes a lost sister's place.
//!
//! Asks all supernodes at once; one that answers is enough.

use crate::node::{Planting, client, sisters};
use anatomic_core::InfoHash;
use anatomic_mesh::api::{Lookup, paths};
use anatomic_mesh::{Key, Receipt, Signed};
use futures_util::future::join_all;
use std::time::Duration;

/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The receipts of a torrent, as all supernodes that answer know them.
pub(super) async fn receipts(supernodes: &[String], info_hash: &InfoHash) -> Vec<Signed<Receipt>> {
    let Ok(client) = client::new(PATIENCE) else { return Vec::new() };
    let asked = supernodes.iter().map(|supernode| {
        client::ask::<Lookup>(client.get(format!("{supernode}{}/{info_hash}", paths::TORRENTS)))
    });
    let mut receipts: Vec<Signed<Receipt>> = Vec::new();
    for receipt in join_all(asked).await.into_iter().flatten().flat_map(|lookup| lookup.receipts) {
        if receipt.info_hash == *info_hash && !receipts.contains(&receipt) {
            receipts.push(receipt);
        }
    }
    receipts
}

/// Has nodes take the places of lost sisters.
///
/// # Errors
/// Why none does.
pub(super) async fn replace(
    planting: &Planting,
    supernodes: &[String],
    info_hash: &InfoHash,
    lost: &[Key],
) -> Result<(), String> {
    let client = client::new(Duration::from_secs(20))?;
    sisters::replace(&client, planting, supernodes, info_hash, lost).await.map(drop)
}
