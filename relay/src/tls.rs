//! TLS: as a client here, as a server in [`certificate`] and [`acme`]. One provider of cryptography (`ring`, which WebRTC uses too) and the system's certificates.
//!
//! Every HTTP client of this crate is begun here, because reqwest brings no provider of its own and a second one would
//! mean a second build of C.

pub mod acme;
pub mod certificate;

use rustls::ClientConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls_platform_verifier::BuilderVerifierExt as _;
use std::sync::Arc;

/// Makes `ring` the process's provider; called any number of times.
pub fn install() {
    if CryptoProvider::get_default().is_none() {
        // Another thread may have been quicker, with the same provider.
        let _ = ring::default_provider().install_default();
    }
}

/// An HTTP client to be set up further.
pub fn http() -> reqwest::ClientBuilder {
    install();
    reqwest::Client::builder()
}

/// A configuration for connections that are not HTTP's own, as those to WebSocket trackers.
///
/// # Errors
/// When the system's certificates cannot be read.
pub fn config() -> Result<Arc<ClientConfig>, rustls::Error> {
    let provider = Arc::new(ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_platform_verifier()?
        .with_no_client_auth();
    Ok(Arc::new(config))
}
