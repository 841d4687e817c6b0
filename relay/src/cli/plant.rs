//! `anatomic plant`: plants files, a torrent or a magnet.
//!
//! The protocol of planting lives elsewhere; here are flags and progress.

use super::Failure;

/// Arguments of `anatomic plant`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// File, folder, .torrent file or magnet
    #[arg(value_name = "X")]
    pub source: String,
    /// Supernode to ask; may be given several times
    #[arg(long, value_name = "URL")]
    pub supernode: Vec<String>,
    /// On how many nodes to plant
    #[arg(long, value_name = "N")]
    pub nodes: Option<u8>,
    /// Where to write the planted torrent
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<std::path::PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Runs the command.
///
/// # Errors
/// What failed, in one line.
#[expect(clippy::unused_async)]
pub async fn run(args: Args) -> Result<(), Failure> {
    let _ = args;
    Err(Failure::new("this command is still being written"))
}
