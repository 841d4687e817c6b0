//! Block lists on the wire.
//!
//! What they mean is in [`crate::blocks`].

use crate::Signed;
use crate::blocks::{BlockHead, Blocked};
use serde::{Deserialize, Serialize};

/// `GET /api/v1/blocks[?since=VERSION&wait=SECONDS]`: the list of this host. With `since` it is answered only once there is
/// a later version, or after so many seconds (at most 55) with what there is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockList {
    /// Whose it is.
    pub head: Signed<BlockHead>,
    /// In rising order.
    pub entries: Vec<Blocked>,
}
