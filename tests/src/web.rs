//! The HTTP client of the harness: small questions to programs on this machine.
//!
//! Not for measurements: each call may make a new client.

/// A client with nothing set.
///
/// # Panics
/// When TLS cannot be set up, which none of these questions uses.
#[must_use]
pub fn client() -> reqwest::Client {
    // reqwest brings no provider of cryptography; another test of this process may have been quicker.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}

/// A client that believes the authority with this certificate and no other, and that asks the named hosts at addresses of
/// the caller's.
///
/// # Panics
/// When the text is no certificate.
#[must_use]
pub fn client_with(root: &str, hosts: &[(&str, std::net::SocketAddr)]) -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let root = reqwest::Certificate::from_pem(root.as_bytes()).expect("a certificate");
    let builder = reqwest::Client::builder().tls_certs_only([root]).tls_info(true);
    let builder = hosts.iter().fold(builder, |builder, (host, address)| builder.resolve(host, *address));
    builder.build().expect("a client")
}

/// Fetches an address.
///
/// # Errors
/// When nobody answers.
pub async fn get(url: &str) -> reqwest::Result<reqwest::Response> {
    client().get(url).send().await
}
