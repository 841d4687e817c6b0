//! TLS towards trackers over WebSocket: the system's certificates, the same as reqwest uses for HTTPS.
//!
//! Serves nothing; our own servers' TLS is elsewhere.

use rustls::ClientConfig;
use rustls::crypto::aws_lc_rs;
use rustls_platform_verifier::BuilderVerifierExt as _;
use std::sync::Arc;

/// A configuration for one connection.
pub(super) fn client() -> Result<Arc<ClientConfig>, rustls::Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_platform_verifier()?
        .with_no_client_auth();
    Ok(Arc::new(config))
}
