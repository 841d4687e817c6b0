//! `anatomic supernode`: the index of planted torrents.
//!
//! Only flags; [`crate::process`] puts the parts together.

use super::Failure;
use crate::process::{self, Common, Options, Role};

/// Arguments of `anatomic supernode`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    common: Common,
}

/// Runs the command until Ctrl-C.
///
/// # Errors
/// What failed, in one line.
pub async fn run(args: Args) -> Result<(), Failure> {
    let common = args.common;
    process::run(Options { role: Role::Supernode, common, node: None, supernodes: Vec::new(), demo: false })
        .await
}
