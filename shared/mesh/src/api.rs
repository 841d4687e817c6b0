//! The JSON API of nodes and supernodes: the types that relay, page and planter share, and the paths they travel on.
//!
//! Types only; what a server does with them is the relay's business. Readers skip entries they do not know, so that
//! a later version may add some. Statements inside (receipts, claims, proofs) verify themselves when read.

mod directory;
mod planting;
mod problem;

pub use directory::{
    Announce, Limits, Lookup, NodeEntry, Offer, Planting, Registration, Role, SupernodeEntry, WellKnown,
};
pub use planting::{Handover, Indexed, PlantRequest, Planted, RefusedReceipt, TorrentFile, WithdrawRequest};
pub use problem::{Problem, codes};

/// Paths below the scheme and host of a node or supernode.
pub mod paths {
    /// `GET`: [`super::WellKnown`]; with `?challenge=TEXT` it carries a proof.
    pub const WELL_KNOWN: &str = "/.well-known/anatomic";
    /// Node, `POST` [`super::PlantRequest`]: [`super::Planted`].
    pub const PLANT: &str = "/api/v1/plant";
    /// Node and supernode, `POST` [`super::WithdrawRequest`]: nothing (204).
    pub const WITHDRAW: &str = "/api/v1/withdraw";
    /// Supernode, `GET ?count=N`: [`super::Offer`]; `POST` [`super::Registration`]: nothing (204).
    pub const NODES: &str = "/api/v1/nodes";
    /// Supernode, `POST` [`super::Handover`]: [`super::Indexed`].
    pub const RECEIPTS: &str = "/api/v1/receipts";
    /// Supernode and node, `GET` followed by `/INFOHASH`: [`super::Lookup`]; by `/INFOHASH.torrent`: the planted torrent.
    pub const TORRENTS: &str = "/api/v1/torrents";
    /// Where ordinary clients announce; on a supernode it redirects to a node.
    pub const ANNOUNCE: &str = "/announce";
}

/// Media type of [`Problem`] documents.
pub const PROBLEM_TYPE: &str = "application/problem+json";
