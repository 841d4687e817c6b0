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

/// Fetches an address.
///
/// # Errors
/// When nobody answers.
pub async fn get(url: &str) -> reqwest::Result<reqwest::Response> {
    client().get(url).send().await
}
