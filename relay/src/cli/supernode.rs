//! `anatomic supernode`: the index of planted torrents.
//!
//! Only flags; [`crate::process`] puts the parts together.

use super::Failure;
use crate::process::{self, Common, Options, Role, SupernodeOptions};

/// Arguments of `anatomic supernode`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    index: SupernodeOptions,
    /// Another supernode to follow; may be given several times. Those that it knows are found by it
    #[arg(long, value_name = "URL", env = "ANATOMIC_SUPERNODE", value_delimiter = ',')]
    supernode: Vec<String>,
}

/// Runs the command until Ctrl-C.
///
/// # Errors
/// What failed, in one line.
pub async fn run(args: Args) -> Result<(), Failure> {
    let Args { common, index, supernode } = args;
    process::run(Options {
        role: Role::Supernode,
        common,
        node: None,
        supernodes: supernode,
        store: index.store,
        demo: false,
    })
    .await
}
