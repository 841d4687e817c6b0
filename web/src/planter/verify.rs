//! Checks what peers say of hosts: a host proves its key, and a node shows its running receipt for the torrent.
//!
//! What follows from that is the engine's worker's business.

use super::Planter;
use super::http::get;
use crate::protocol::Id;
use crate::protocol::planter::FromPlanter;
use crate::worker::clock;
use anatomic_core::InfoHash;
use anatomic_core::ids::to_hex;
use anatomic_mesh::UnixTime;
use anatomic_mesh::api::{Lookup, Role, WellKnown, paths};

impl Planter {
    /// Asks a host who it is and whether it tracks a torrent; says so if it proves it.
    pub(super) async fn verify(&self, id: Id, url: String) {
        let Some(info_hash) = InfoHash::from_hex(&id.0) else { return };
        let mut challenge = [0; 16];
        clock::random(&mut challenge);
        let challenge = to_hex(&challenge);
        let asked = format!("{url}{}?challenge={challenge}", paths::WELL_KNOWN);
        let Ok(document) = get::<WellKnown>(&asked).await else { return };
        let proof = document.proof.as_ref();
        if !proof.is_some_and(|proof| proof.key == document.key && proof.check(&challenge, &url).is_ok()) {
            return;
        }
        let is_supernode = document.roles.contains(&Role::Supernode);
        let lookup = get::<Lookup>(&format!("{url}{}/{info_hash}", paths::TORRENTS)).await.ok();
        let now = UnixTime(clock::seconds_since_1970());
        let tracks = lookup.iter().flat_map(|lookup| &lookup.receipts).any(|receipt| {
            receipt.info_hash == info_hash
                && receipt.node == document.key
                && receipt.url.trim_end_matches('/') == url
                && receipt.check_time(now).is_ok()
        });
        self.say(&FromPlanter::Verified { id, url, is_supernode, tracks });
    }
}
