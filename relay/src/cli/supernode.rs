//! `anatomic supernode`: the index of planted torrents.
//!
//! Only puts the parts together.

use super::Failure;

/// Arguments of `anatomic supernode`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Address for HTTP, WebSocket and the page
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:4080")]
    pub listen: std::net::SocketAddr,
    /// Folder for key, index and state
    #[arg(long, value_name = "DIR")]
    pub data: Option<std::path::PathBuf>,
    /// Print one JSON object when ready
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
