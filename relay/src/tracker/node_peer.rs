//! What the tracker asks of the rest of the node: which torrents it serves, and the node's own part in their swarms.
//!
//! Only the questions; planting answers the first, the bridge the second.

use anatomic_core::{InfoHash, PeerId};
use anatomic_mesh::api::Connected;
use std::future::Future;
use std::pin::Pin;

/// A future of an answer to an offer; `None`: the node does not want the connection.
pub type AnswerFuture = Pin<Box<dyn Future<Output = Option<String>> + Send>>;

/// Decides which torrents the tracker serves.
pub trait Admission: Send + Sync + 'static {
    /// Whether announces for this torrent are accepted.
    fn admits(&self, info_hash: &InfoHash) -> bool;
}

/// Decides which swarms' newcomers are sent to a sister node.
pub trait Handing: Send + Sync + 'static {
    /// Scheme and host of a sister that takes newcomers of this torrent in our place; `None`: we take them ourselves.
    fn hands_on(&self, info_hash: &InfoHash) -> Option<String>;
}

/// The node's own peer: an ordinary member of the swarms it bridges or seeds.
pub trait NodePeer: Send + Sync + 'static {
    /// Whether the node would answer a browser's offer for this torrent.
    fn serves(&self, info_hash: &InfoHash) -> bool;

    /// Whether classic clients have something of the node in this swarm: browsers are behind it, or it seeds itself.
    fn takes_part(&self, info_hash: &InfoHash) -> bool;

    /// Whom the node is connected with in this swarm.
    fn connected(&self, info_hash: &InfoHash) -> Connected {
        let _ = info_hash;
        Connected::default()
    }

    /// The peer id under which browsers know the node.
    fn peer_id(&self) -> PeerId;

    /// Whether an offer of this browser would be answered: not if it is connected already or the node is full.
    fn wants_offer(&self, info_hash: &InfoHash, from: &PeerId) -> bool;

    /// Answers a browser's offer at once; the connection that follows is the node's business.
    fn offer(&self, info_hash: InfoHash, from: PeerId, sdp: String) -> AnswerFuture;
}
