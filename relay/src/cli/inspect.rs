//! `anatomic inspect`: says what is inside a torrent, magnet or planted link.
//!
//! Downloads nothing.

use super::Failure;

/// Arguments of `anatomic inspect`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// .torrent file, magnet or planted link
    #[arg(value_name = "X")]
    pub source: String,
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
