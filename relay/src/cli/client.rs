//! What `get` and `seed` share: the session of a client on a person's own machine, and how it ends.
//!
//! Nodes set themselves up elsewhere: what strangers may have them do is another matter.

use super::Failure;
use super::progress::Progress;
use crate::dht;
use crate::driver::{self, Handle};
use crate::hosts;
use crate::node::files;
use crate::webrtc::{Endpoint, EndpointConfig, any_unicast};
use anatomic_core::address::Policy;
use anatomic_engine::Limits;
use std::future::Future;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

/// Options that both commands have.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Address where peers connect; by default any free port of all addresses
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<SocketAddr>,
    /// Do without WebRTC, hence without browsers
    #[arg(long)]
    pub no_webrtc: bool,
    /// Do without uTP
    #[arg(long)]
    pub no_utp: bool,
    /// Send at most so many bytes a second (`500k`, `2M`)
    #[arg(long, value_name = "RATE", value_parser = rate)]
    pub upload_limit: Option<u64>,
    /// Print JSON lines
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    #[expect(missing_docs)]
    pub dht: dht::Options,
}

/// Reads a rate: a number of bytes, or of `k`, `M`, `G` (powers of 1000).
pub fn rate(text: &str) -> Result<u64, String> {
    let text = text.trim().trim_end_matches("/s").trim_end_matches(['b', 'B']);
    let (digits, unit) = match text.char_indices().next_back() {
        Some((at, 'k' | 'K')) => (text.get(..at), 1_000),
        Some((at, 'm' | 'M')) => (text.get(..at), 1_000_000),
        Some((at, 'g' | 'G')) => (text.get(..at), 1_000_000_000),
        _ => (Some(text), 1),
    };
    let number: u64 = digits
        .and_then(|digits| digits.trim().parse().ok())
        .ok_or("a number of bytes a second is wanted, such as 500000, 500k or 2M")?;
    number.checked_mul(unit).ok_or_else(|| "that is too many".to_owned())
}

/// Starts a client's session.
///
/// # Errors
/// When the port is taken or the system gives no threads.
pub async fn start(options: &Options, limits: Limits) -> Result<Handle, Failure> {
    let mut config = driver::Config {
        // Whoever runs a client on their own machine may use their own network.
        peers: Policy::PrivateNetwork,
        trackers: Policy::PrivateNetwork,
        webrtc: if options.no_webrtc { None } else { webrtc(options.listen) },
        utp: !options.no_utp,
        ..driver::Config::default()
    };
    let addresses = match options.listen {
        Some(address) => vec![address],
        None => vec![(Ipv6Addr::UNSPECIFIED, 0).into(), (Ipv4Addr::UNSPECIFIED, 0).into()],
    };
    let mut failed = None;
    for address in addresses {
        config.listen = Some(address);
        match driver::start(config.clone()).await {
            Ok(handle) => {
                handle
                    .with(move |session| {
                        let now = session.now();
                        session.engine.set_limits(now, limits);
                    })
                    .await;
                tokio::spawn(hosts::follow(handle.clone(), None));
                let file = files::default_folder().ok().map(|folder| folder.join("dht"));
                if let Some(settings) = options.dht.settings(address.ip(), false, file) {
                    tokio::spawn(dht::follow(handle.clone(), settings));
                }
                return Ok(handle);
            }
            Err(error) => failed = Some(format!("cannot listen on {address}: {error}")),
        }
    }
    Err(Failure::new(failed.unwrap_or_default()))
}

/// The WebRTC endpoint; without one there are still classic peers.
fn webrtc(listen: Option<SocketAddr>) -> Option<Endpoint> {
    let addresses = match listen {
        Some(address) => vec![(address.ip(), 0).into()],
        None => vec![(Ipv6Addr::UNSPECIFIED, 0).into(), SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0))],
    };
    for address in addresses {
        let mut config = EndpointConfig::new(address);
        config.policy = Arc::new(any_unicast);
        match Endpoint::bind(config) {
            Ok(endpoint) => return Some(endpoint),
            Err(error) => tracing::warn!(%address, %error, "no WebRTC there"),
        }
    }
    None
}

/// Waits for Ctrl-C, or to be told to end.
pub async fn interrupted() {
    let Ok(mut term) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) else {
        // Without signals there is only the other way.
        let _ = tokio::signal::ctrl_c().await;
        return;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = term.recv() => {}
    }
}

/// Runs a command's work until it ends or is interrupted; then leaves the swarm in order. A second interrupt ends it
/// at once.
pub async fn until_interrupted<T>(
    handle: &Handle,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let result = tokio::select! {
        result = work => result,
        () = interrupted() => Err(Failure::interrupted()),
    };
    tokio::select! {
        () = handle.leave() => {}
        () = interrupted() => {}
    }
    result
}

/// Tells of what went wrong with a torrent but did not stop it.
pub fn warn(progress: &Progress, reason: &str) {
    progress.tell(&format!("note: {reason}"), &serde_json::json!({"event": "warning", "reason": reason}));
}
