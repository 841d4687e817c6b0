//! What the page shows of the network: steps of planting, the health of a planted torrent, what a search found.
//!
//! Facts as nodes and supernodes tell them; their own types are in `anatomic_mesh`.

use super::Id;
use nanoserde::{DeBin, SerBin};

/// A step of planting.
#[derive(Clone, Debug, PartialEq, Eq, DeBin, SerBin)]
pub struct Step {
    /// How far it is.
    pub state: StepState,
    /// What is or was done, or why not.
    pub text: String,
}

/// How far a step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, DeBin, SerBin)]
pub enum StepState {
    /// Under way.
    Doing,
    /// Done.
    Done,
    /// It failed.
    Failed,
}

/// The nodes that would take a torrent.
#[derive(Clone, Debug, Default, PartialEq, Eq, DeBin, SerBin)]
pub struct Offered {
    /// The best first, of different operators where that is possible.
    pub nodes: Vec<OfferedNode>,
    /// How many are usually planted on.
    pub usual: u32,
    /// Why there are none.
    pub error: Option<String>,
}

/// A node that would take a torrent, as it describes itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, DeBin, SerBin)]
pub struct OfferedNode {
    /// Its public key, by which its operator is known.
    pub key: String,
    /// Its host and port.
    pub host: String,
    /// The block of its address, as `192.0.0.0/16`, if that is known.
    pub block: Option<String>,
    /// How many more torrents it would take, if it says.
    pub free: Option<u64>,
    /// What it speaks.
    pub protocols: Vec<String>,
    /// It takes torrents only of planters whose key its host allowed.
    pub needs_key: bool,
}

/// Seeds and leeches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, DeBin, SerBin)]
pub struct Count {
    /// Those that have everything.
    pub seeds: u32,
    /// The others.
    pub leeches: u32,
}

/// The health of a planted torrent.
#[derive(Clone, Debug, Default, PartialEq, Eq, DeBin, SerBin)]
pub struct Health {
    /// The torrent.
    pub id: Id,
    /// Why nothing is known.
    pub error: Option<String>,
    /// The nodes with a receipt, those that live and hold it first.
    pub nodes: Vec<NodeHealth>,
    /// Browsers in the swarm.
    pub tabs: Count,
    /// Other clients in the swarm.
    pub classic: Count,
    /// How many tabs the nodes have helped since it was planted.
    pub helped: u64,
    /// Whether this browser planted it, and so may unplant it.
    pub ours: bool,
}

/// One node's part.
#[derive(Clone, Debug, PartialEq, Eq, DeBin, SerBin)]
pub struct NodeHealth {
    /// Its scheme and host.
    pub url: String,
    /// Whether it answered just now and tracks the torrent.
    pub healthy: bool,
    /// Seconds that its lease still runs; `None` if it has ended.
    pub lease: Option<u64>,
    /// With whom it is connected: over TCP, over uTP, browsers.
    pub connected: [Count; 3],
    /// Why it is not healthy.
    pub reason: Option<String>,
}

/// What a search found.
#[derive(Clone, Debug, Default, PartialEq, Eq, DeBin, SerBin)]
pub struct Found {
    /// What was looked for.
    pub words: String,
    /// Why nothing could be found.
    pub error: Option<String>,
    /// The torrents, the liveliest first.
    pub hits: Vec<Hit>,
    /// Whether there are more.
    pub more: bool,
}

/// A torrent that was found.
#[derive(Clone, Debug, PartialEq, Eq, DeBin, SerBin)]
pub struct Hit {
    /// Its info-hash.
    pub id: Id,
    /// Its name; a stranger's text.
    pub name: String,
    /// Bytes, if known.
    pub length: Option<u64>,
    /// Files, if known.
    pub files: Option<u64>,
    /// What adds it.
    pub magnet: String,
    /// Its swarm, browsers and others together.
    pub peers: Count,
}
