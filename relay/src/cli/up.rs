//! `anatomic up`: node, supernode and web page in one process.
//!
//! Only flags; [`crate::process`] puts the parts together.

use super::Failure;
use crate::process::{self, Common, NodeOptions, Options, Role, SupernodeOptions};

/// Arguments of `anatomic up`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    node: NodeOptions,
    #[command(flatten)]
    index: SupernodeOptions,
    /// Another supernode to register with; may be given several times
    #[arg(long, value_name = "URL", env = "ANATOMIC_SUPERNODE", value_delimiter = ',')]
    supernode: Vec<String>,
    /// Plant no demo torrent
    #[arg(long, env = "ANATOMIC_NO_DEMO")]
    no_demo: bool,
}

/// Runs the command until Ctrl-C.
///
/// # Errors
/// What failed, in one line.
pub async fn run(args: Args) -> Result<(), Failure> {
    let Args { common, node, index, supernode, no_demo } = args;
    process::run(Options {
        role: Role::Up,
        common,
        node: Some(node),
        supernodes: supernode,
        store: index.store,
        demo: !no_demo,
    })
    .await
}
