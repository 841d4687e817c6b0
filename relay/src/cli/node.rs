//! `anatomic node`: a tracker and a bridge.
//!
//! Only flags; [`crate::process`] puts the parts together.

use super::Failure;
use crate::process::{self, Common, NodeOptions, Options, Role};

/// Arguments of `anatomic node`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    node: NodeOptions,
    /// Supernode to register with; may be given several times
    #[arg(long, value_name = "URL", env = "ANATOMIC_SUPERNODE", value_delimiter = ',')]
    supernode: Vec<String>,
}

/// Runs the command until Ctrl-C.
///
/// # Errors
/// What failed, in one line.
pub async fn run(args: Args) -> Result<(), Failure> {
    let Args { common, node, supernode } = args;
    process::run(Options {
        role: Role::Node,
        common,
        node: Some(node),
        supernodes: supernode,
        store: None,
        demo: false,
    })
    .await
}
