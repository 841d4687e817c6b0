//! What a planter asks of its caller, what it tells people, and what comes of it.
//!
//! Only values; when each is given is [`Planter`](super::Planter)'s part.

use crate::api::{Handover, NodeEntry, PlantRequest};
use crate::{Receipt, Signed};
use anatomic_core::{Magnet, Metainfo};
use std::fmt;

/// What the caller is to do, or to show.
#[derive(Clone, Debug)]
pub enum Output {
    /// `GET` the list of nodes of this supernode, asking for `count`; answer by [`Planter::handle_offer`](super::Planter::handle_offer).
    AskNodes {
        /// Scheme and host.
        supernode: String,
        /// How many nodes are wanted, spares included.
        count: usize,
    },
    /// `POST` to this node; answer by [`Planter::handle_planted`](super::Planter::handle_planted).
    Plant {
        /// The node.
        node: Box<NodeEntry>,
        /// What to send.
        request: Box<PlantRequest>,
    },
    /// `POST` the receipts to this supernode; answer by [`Planter::handle_indexed`](super::Planter::handle_indexed).
    HandOver {
        /// Scheme and host.
        supernode: String,
        /// What to send.
        handover: Box<Handover>,
    },
    /// Something worth a line of progress.
    Progress(Progress),
    /// The torrent is planted; nothing more will come.
    Done(Box<Outcome>),
    /// No node took the torrent, nothing was changed; nothing more will come.
    Failed(Failure),
}

/// A step, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// A supernode named so many nodes that take torrents.
    Offered {
        /// The supernode.
        supernode: String,
        /// How many.
        nodes: usize,
    },
    /// A supernode gave no answer that helps.
    SupernodeFailed {
        /// The supernode.
        supernode: String,
        /// Why.
        reason: String,
    },
    /// A node took the torrent.
    Accepted {
        /// The node.
        node: String,
        /// How many have, of how many wanted.
        of: (usize, usize),
    },
    /// A node did not; another takes its place if there is one.
    Refused {
        /// The node.
        node: String,
        /// Why.
        reason: String,
    },
    /// A supernode indexed the receipts.
    Indexed {
        /// The supernode.
        supernode: String,
    },
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Offered { supernode, nodes } => write!(f, "{supernode} offers {nodes} node(s)"),
            Self::SupernodeFailed { supernode, reason } => write!(f, "{supernode} did not help: {reason}"),
            Self::Accepted { node, of: (done, wanted) } => {
                write!(f, "planted on {node} ({done} of {wanted})")
            }
            Self::Refused { node, reason } => write!(f, "{node} refused: {reason}"),
            Self::Indexed { supernode } => write!(f, "indexed by {supernode}"),
        }
    }
}

/// What planting gave.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The nodes that took the torrent, in the order of their receipts.
    pub nodes: Vec<NodeEntry>,
    /// Their receipts.
    pub receipts: Vec<Signed<Receipt>>,
    /// The supernodes that indexed them; may be empty if all failed: the link works without, search and redirect do not.
    pub supernodes: Vec<String>,
    /// The planted magnet.
    pub magnet: Magnet,
    /// The planted torrent, if the metadata is known.
    pub torrent: Option<Metainfo>,
}

/// Why nothing was planted: what each supernode and node said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Address and reason, in the order in which they came.
    pub reasons: Vec<(String, String)>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no node took the torrent")?;
        for (at, (who, reason)) in self.reasons.iter().enumerate() {
            write!(f, "{} {who}: {reason}", if at == 0 { ":" } else { ";" })?;
        }
        if self.reasons.is_empty() {
            f.write_str(": no supernode is known; name one with --supernode")?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}
