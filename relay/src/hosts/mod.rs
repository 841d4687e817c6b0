//! Finding nodes again: what peers name is verified, used, and passed on (`an_hosts`, PROTOCOL.md).
//!
//! A host counts as a node of a torrent if it proves its key at its address and shows a running receipt of that key for the
//! torrent, and as a supernode if it proves its key. Nothing else that a peer says is believed.

mod session;

pub use session::follow;

use crate::node::client;
use crate::supernode::visit;
use anatomic_core::InfoHash;
use anatomic_core::address::Policy;
use anatomic_mesh::api::{Lookup, NodeEntry, paths};
use std::time::Duration;

/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a host turned out to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// As a node that tracks the torrent.
    pub node: Option<NodeEntry>,
    /// Whether it is a supernode.
    pub is_supernode: bool,
    /// Nodes that it names in receipts of the torrent, by address; they are to be verified themselves.
    pub named: Vec<String>,
}

impl Verified {
    /// Whether it is of any use.
    #[must_use]
    pub const fn is_something(&self) -> bool {
        self.node.is_some() || self.is_supernode
    }
}

/// Asks `url` (scheme and host) who it is and what it knows of a torrent.
///
/// # Errors
/// Why it is of no use, for the log.
pub async fn verify(url: &str, info_hash: &InfoHash, network: Policy) -> Result<Verified, String> {
    let visited = visit::visit(url, network).await?;
    let client = client::new(PATIENCE)?;
    let request = client.get(format!("{url}{}/{info_hash}", paths::TORRENTS));
    let lookup = match client::ask_up_to::<Lookup>(request, 1024 * 1024).await {
        Ok(lookup) if lookup.info_hash == *info_hash => Some(lookup),
        // A supernode may hear of the torrent later.
        Ok(_) | Err(_) => None,
    };
    let now = crate::node::clock::now();
    let receipts = lookup.iter().flat_map(|lookup| &lookup.receipts);
    let running =
        receipts.filter(|receipt| receipt.info_hash == *info_hash && receipt.check_time(now).is_ok());
    let (mut tracks, mut named) = (false, Vec::new());
    for receipt in running {
        let at = receipt.url.trim_end_matches('/');
        if receipt.node == visited.key && at == url {
            tracks = true;
        } else {
            named.push(at.to_owned());
        }
    }
    named.sort();
    named.dedup();
    Ok(Verified { node: visited.node.filter(|_| tracks), is_supernode: visited.is_supernode, named })
}
