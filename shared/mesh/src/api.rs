//! The JSON API of nodes and supernodes: the types that relay, page and planter share, and the paths they travel on.
//!
//! Types only; what a server does with them is the relay's business. Readers skip entries they do not know, so that
//! a later version may add some. Statements inside (receipts, claims, proofs) verify themselves when read.

mod blocks;
mod directory;
mod federation;
mod health;
mod planting;
mod problem;
mod search;

pub use blocks::BlockList;

pub use directory::{
    Announce, Limits, Lookup, NodeEntry, Offer, Planting, Registration, Role, SupernodeEntry, WellKnown,
};
pub use federation::{
    AdoptRequest, BadHex, Directory, FeedEntry, FeedKind, FeedPage, HexBytes, Registered, Report, Reported,
};
pub use health::{Connected, Health, NodeHealth, Swarm};
pub use planting::{Handover, Indexed, PlantRequest, Planted, RefusedReceipt, TorrentFile, WithdrawRequest};
pub use problem::{Problem, codes};
pub use search::{Found, Hit, merge};

/// Paths below the scheme and host of a node or supernode.
pub mod paths {
    /// `GET`: [`super::WellKnown`]; with `?challenge=TEXT` it carries a proof.
    pub const WELL_KNOWN: &str = "/.well-known/anatomic";
    /// `GET`: the OpenAPI document of all this.
    pub const OPENAPI: &str = "/api/v1/openapi.json";
    /// Node, `POST` [`super::PlantRequest`]: [`super::Planted`].
    pub const PLANT: &str = "/api/v1/plant";
    /// Node and supernode, `POST` [`super::WithdrawRequest`]: nothing (204).
    pub const WITHDRAW: &str = "/api/v1/withdraw";
    /// Supernode, `GET ?count=N[&for=INFOHASH][&not=KEY,KEY]`: [`super::Offer`]; followed by `/KEY`: [`super::NodeEntry`];
    /// `POST` [`super::Registration`]: [`super::Registered`].
    pub const NODES: &str = "/api/v1/nodes";
    /// Supernode, `POST` [`super::Handover`]: [`super::Indexed`].
    pub const RECEIPTS: &str = "/api/v1/receipts";
    /// Supernode and node, `GET` followed by `/INFOHASH`: [`super::Lookup`]; by `/INFOHASH.torrent`: the planted torrent.
    pub const TORRENTS: &str = "/api/v1/torrents";
    /// Supernode, `GET`: [`super::Directory`].
    pub const DIRECTORY: &str = "/api/v1/directory";
    /// Supernode, `GET ?since=CURSOR`: [`super::FeedPage`].
    pub const FEED: &str = "/api/v1/feed";
    /// Supernode, `POST` [`super::Report`] of a node: [`super::Reported`].
    pub const REPORTS: &str = "/api/v1/reports";
    /// Supernode, `GET ?q=WORDS[&limit=N][&offset=N]`: [`super::Found`].
    pub const SEARCH: &str = "/api/v1/search";
    /// Supernode, `GET` followed by `/INFOHASH`: [`super::Health`].
    pub const HEALTH: &str = "/api/v1/health";
    /// Node, `POST` [`super::AdoptRequest`] of a sister: [`super::Planted`].
    pub const ADOPT: &str = "/api/v1/adopt";
    /// Node and supernode, `GET`: [`super::BlockList`].
    pub const BLOCKS: &str = "/api/v1/blocks";
    /// Where ordinary clients announce; on a supernode it redirects to a node.
    pub const ANNOUNCE: &str = "/announce";
}

/// Media type of [`Problem`] documents.
pub const PROBLEM_TYPE: &str = "application/problem+json";
