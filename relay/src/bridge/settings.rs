//! How the bridge's sockets are set up.
//!
//! Values and binding only.

use super::driver::{self, Handle};
use crate::budget::Sent;
use crate::node::files::{self, Access};
use crate::webrtc::{Certificate, Endpoint, EndpointConfig};
use anatomic_core::address::Policy;
use anatomic_engine::Role;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use tracing::warn;

/// The port for classic peers and browsers unless somebody says otherwise.
const PORT: u16 = 4081;

/// What the bridge needs to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where classic peers connect; `None`: port 4081 of `host`, or a free one.
    pub tcp: Option<SocketAddr>,
    /// The UDP port of all WebRTC connections; `None` as for `tcp`.
    pub udp: Option<SocketAddr>,
    /// Whether classic peers are reached over uTP too.
    pub utp: bool,
    /// The address on which the process listens for HTTP.
    pub host: IpAddr,
    /// Public addresses of a NAT in front that forwards the same ports.
    pub announce_ip: Vec<IpAddr>,
    /// Whom peers and trackers may have us dial.
    pub network: Policy,
    /// Supernodes that peers are told of.
    pub supernodes: Vec<String>,
    /// Where the DTLS certificate is kept, so that it stays the same after a restart.
    pub certificate: PathBuf,
    /// Counts bytes sent over TCP and uTP.
    pub sent: Sent,
}

impl Settings {
    /// Binds the WebRTC endpoint.
    pub(super) fn endpoint(&self) -> io::Result<Endpoint> {
        let certificate = self.certificate();
        let bind = |listen| {
            let config = EndpointConfig {
                announced: self.announce_ip.clone(),
                // Everybody reaches a public node; it then need not send checks.
                ice_lite: self.network == Policy::Public,
                certificate: certificate.clone(),
                policy: match self.network {
                    Policy::Public => std::sync::Arc::new(anatomic_core::address::is_public),
                    Policy::PrivateNetwork => std::sync::Arc::new(crate::webrtc::any_unicast),
                },
                ..EndpointConfig::new(listen)
            };
            Endpoint::bind(config)
        };
        match self.udp {
            Some(listen) => bind(listen).map_err(|error| named(&error, "UDP", listen, "--udp")),
            None => bind(SocketAddr::new(self.host, PORT)).or_else(|_| bind(SocketAddr::new(self.host, 0))),
        }
    }

    /// Starts the driver and binds its TCP port.
    pub(super) async fn driver(&self, endpoint: Endpoint) -> io::Result<Handle> {
        let start = async |listen| {
            let config = driver::Config {
                engine: anatomic_engine::Config {
                    role: Role::Node,
                    addresses: self.network,
                    ..anatomic_engine::Config::default()
                },
                listen: Some(listen),
                peers: self.network,
                trackers: self.network,
                webrtc: Some(endpoint.clone()),
                utp: self.utp,
                sent: self.sent.clone(),
                ..driver::Config::default()
            };
            driver::start(config).await
        };
        match self.tcp {
            Some(listen) => start(listen).await.map_err(|error| named(&error, "TCP", listen, "--tcp")),
            None => match start(SocketAddr::new(self.host, PORT)).await {
                Ok(handle) => Ok(handle),
                Err(_) => start(SocketAddr::new(self.host, 0)).await,
            },
        }
    }

    /// The certificate of earlier starts, or a new one that is kept; one that cannot be kept is used all the same.
    fn certificate(&self) -> Option<Certificate> {
        if let Ok(pem) = std::fs::read_to_string(&self.certificate)
            && let Ok(certificate) = Certificate::from_pem(&pem)
        {
            return Some(certificate);
        }
        let certificate = Certificate::generate().ok()?;
        let kept = certificate
            .to_pem()
            .map_err(io::Error::other)
            .and_then(|pem| files::write(&self.certificate, pem.as_bytes(), Access::Secret));
        if let Err(error) = kept {
            warn!(%error, "the DTLS certificate could not be kept");
        }
        Some(certificate)
    }
}

fn named(error: &io::Error, protocol: &str, address: SocketAddr, flag: &str) -> io::Error {
    io::Error::new(
        error.kind(),
        format!("cannot listen on {protocol} {address}: {error}; choose another with {flag}"),
    )
}
