//! `anatomic up`: node, supernode and web page in one process.
//!
//! Only puts the parts together; each lives in its own module.

use super::Failure;

/// Arguments of `anatomic up`.
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
    /// Address where classic peers connect
    #[arg(long, value_name = "ADDR")]
    pub tcp: Option<std::net::SocketAddr>,
    /// Address of the one UDP port for WebRTC and STUN
    #[arg(long, value_name = "ADDR")]
    pub udp: Option<std::net::SocketAddr>,
    /// Bridge any torrent a tab asks for, not only planted ones
    #[arg(long)]
    pub open_bridge: bool,
    /// Plant no demo torrent
    #[arg(long)]
    pub no_demo: bool,
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
