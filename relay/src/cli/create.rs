//! `anatomic create`: makes a torrent from files and folders.
//!
//! The format lives in the core crate; here files are read.

use super::Failure;

/// Arguments of `anatomic create`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Files or folders
    #[arg(value_name = "PATH", required = true)]
    pub paths: Vec<std::path::PathBuf>,
    /// Where to write the torrent
    #[arg(short, long, value_name = "FILE")]
    pub output: std::path::PathBuf,
    /// Name of the torrent
    #[arg(long)]
    pub name: Option<String>,
    /// Bytes of a piece
    #[arg(long, value_name = "BYTES")]
    pub piece_length: Option<u32>,
    /// Tracker to announce to; may be given several times
    #[arg(long, value_name = "URL")]
    pub tracker: Vec<String>,
    /// Mark as private (BEP 27)
    #[arg(long)]
    pub private: bool,
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
