//! What the engine's worker and the planter say to each other.
//!
//! The planter is a worker of its own whose code is downloaded when it is first needed; most people who open a link never
//! need it. What it has for the screen travels as it is ([`FromPlanter::Tell`]), so that the engine's worker need not
//! understand it.

use super::Id;
use nanoserde::{DeBin, SerBin};

/// From the engine's worker.
#[derive(Clone, Debug, PartialEq, DeBin, SerBin)]
pub enum ToPlanter {
    /// Who this browser is to the hosts that ask.
    Key,
    /// Which nodes would take a torrent.
    Offers {
        /// Whom to ask, by scheme and host.
        supernodes: Vec<String>,
    },
    /// Plant a torrent.
    Plant {
        /// Which.
        id: Id,
        /// Its bytes or its magnet.
        subject: Subject,
        /// Whom to ask for nodes, and who gets the receipts.
        supernodes: Vec<String>,
        /// Where.
        nodes: Nodes,
    },
    /// Have a host that a peer named prove what it is.
    Verify {
        /// For which torrent.
        id: Id,
        /// Its scheme and host.
        url: String,
    },
    /// Take back what this browser planted.
    Unplant {
        /// Which.
        id: Id,
        /// Who is told besides the nodes that hold it.
        supernodes: Vec<String>,
    },
    /// Ask how a planted torrent fares.
    Health {
        /// Which.
        id: Id,
        /// Whom to ask.
        supernodes: Vec<String>,
    },
    /// Look for planted torrents.
    Search {
        /// Words of their names.
        words: String,
        /// Whom to ask.
        supernodes: Vec<String>,
    },
    /// Make a torrent of the files attached: copy them into the browser's storage and hash them.
    Create {
        /// Its name.
        name: String,
        /// Path of each file inside the torrent.
        paths: Vec<Vec<String>>,
        /// Folder of the store to put them into.
        folder: String,
        /// What made it, for `created by`.
        client: String,
    },
}

/// What is planted.
#[derive(Clone, Debug, PartialEq, DeBin, SerBin)]
pub enum Subject {
    /// A metainfo file.
    Torrent(Vec<u8>),
    /// A magnet; the nodes fetch the metadata.
    Magnet(String),
}

/// On which nodes something is planted.
#[derive(Clone, Debug, Default, PartialEq, Eq, DeBin, SerBin)]
pub struct Nodes {
    /// On how many; `None` for as many as usual.
    pub count: Option<u32>,
    /// The keys of those to ask first, of the last offer.
    pub first: Vec<String>,
    /// The keys of those that are not asked, whatever happens to the others.
    pub not: Vec<String>,
}

/// From the planter.
#[derive(Clone, Debug, PartialEq, DeBin, SerBin)]
pub enum FromPlanter {
    /// It hears messages.
    Ready,
    /// A message for the page, packed, is attached.
    Tell,
    /// This browser's public key.
    Key(String),
    /// A torrent is planted.
    Planted {
        /// Which.
        id: Id,
        /// The planted magnet.
        magnet: String,
        /// The supernodes that list it.
        supernodes: Vec<String>,
    },
    /// A host that a peer named has proven its key.
    Verified {
        /// For which torrent it was asked.
        id: Id,
        /// Its scheme and host.
        url: String,
        /// Whether it is a supernode.
        is_supernode: bool,
        /// Whether it tracks the torrent, by its receipt.
        tracks: bool,
    },
    /// It is not, and nothing was changed.
    Refused {
        /// Which.
        id: Id,
        /// What each node and supernode said.
        reason: String,
    },
    /// It is planted no longer.
    Unplanted(Id),
    /// A torrent was made; its files are in the store and closed.
    Created {
        /// Where.
        folder: String,
        /// The metainfo file.
        torrent: Vec<u8>,
    },
    /// It could not be made, which was told; what is in the folder is of no use.
    NotCreated {
        /// Where.
        folder: String,
    },
}
