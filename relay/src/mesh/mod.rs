//! The node's peer-sharing: drives `anatomic_mesh::sharing` over WebSockets, fed from the swarms, the planted torrents, and the
//! supernodes.
//!
//! Decides nothing of the protocol. One task owns the state machine; sockets, requests and files have tasks of their own that
//! send it what came.

mod actor;
mod dial;
mod kept;
mod network;
mod socket;

pub use actor::{Mesh, Settings};

/// Where sisters connect.
pub const PATH: &str = "/api/v1/mesh";
