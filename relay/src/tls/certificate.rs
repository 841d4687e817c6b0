//! The certificate of the listening socket: read from files, read again when they change, and replaced while running.
//!
//! Where certificates come from by themselves is [`super::acme`]'s business.

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};
use tracing::{info, warn};

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(2);
/// The protocol of challenges (RFC 8737).
pub(super) const CHALLENGE: &[u8] = b"acme-tls/1";

/// What is shown to whoever connects. Clones of the `Arc` share it.
#[derive(Debug, Default)]
pub struct Certificates {
    current: RwLock<Option<Arc<CertifiedKey>>>,
    /// Answers to challenges, by name.
    challenges: RwLock<HashMap<String, Arc<CertifiedKey>>>,
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        if is_challenge(&hello) {
            let challenges = self.challenges.read().unwrap_or_else(PoisonError::into_inner);
            return challenges.get(hello.server_name()?).cloned();
        }
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Whether somebody only wants to see the answer to a challenge.
fn is_challenge(hello: &ClientHello<'_>) -> bool {
    hello
        .alpn()
        .is_some_and(|mut protocols| protocols.next() == Some(CHALLENGE) && protocols.next().is_none())
}

impl Certificates {
    /// Shows this from now on; connections that stand keep what they saw.
    pub fn show(&self, key: Arc<CertifiedKey>) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Some(key);
    }

    /// Answers challenges for a name, or no longer.
    pub(super) fn answer(&self, name: &str, key: Option<Arc<CertifiedKey>>) {
        let mut challenges = self.challenges.write().unwrap_or_else(PoisonError::into_inner);
        match key {
            Some(key) => drop(challenges.insert(name.to_owned(), key)),
            None => drop(challenges.remove(name)),
        }
    }

    /// The configuration of a socket that shows it.
    ///
    /// # Errors
    /// When the provider of cryptography lacks what TLS needs.
    pub fn config(self: &Arc<Self>) -> Result<Arc<ServerConfig>, rustls::Error> {
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(self.clone());
        config.alpn_protocols = vec![b"http/1.1".to_vec(), CHALLENGE.to_vec()];
        Ok(Arc::new(config))
    }
}

/// A certificate chain and its key, as PEM texts.
///
/// # Errors
/// What is wrong with them, for people.
pub fn read(chain: &[u8], key: &[u8]) -> Result<CertifiedKey, String> {
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(chain)
        .collect::<Result<_, _>>()
        .map_err(|error| format!("the certificate is no PEM text: {error}"))?;
    if chain.is_empty() {
        return Err("there is no certificate".into());
    }
    let key =
        PrivateKeyDer::from_pem_slice(key).map_err(|error| format!("there is no private key: {error}"))?;
    CertifiedKey::from_der(chain, key, &ring::default_provider())
        .map_err(|error| format!("certificate and key do not fit: {error}"))
}

/// Where the certificate and its key are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// The chain, ours first, in PEM.
    pub certificate: PathBuf,
    /// The private key, in PEM.
    pub key: PathBuf,
}

impl Files {
    /// Reads both.
    ///
    /// # Errors
    /// Which of them cannot be used, and why.
    pub fn load(&self) -> Result<Arc<CertifiedKey>, String> {
        let file = |path: &Path| {
            std::fs::read(path).map_err(|error| format!("{} cannot be read: {error}", path.display()))
        };
        let (chain, key) = (file(&self.certificate)?, file(&self.key)?);
        read(&chain, &key).map(Arc::new).map_err(|reason| format!("{}: {reason}", self.certificate.display()))
    }

    /// When they were changed, and how long they are: what says that they are others.
    fn state(&self) -> Option<[(SystemTime, u64); 2]> {
        let of = |path: &Path| {
            let meta = std::fs::metadata(path).ok()?;
            Some((meta.modified().ok()?, meta.len()))
        };
        Some([of(&self.certificate)?, of(&self.key)?])
    }

    /// Shows what the files hold whenever they change; what cannot be used is warned of, and the old is shown on.
    pub async fn watch_forever(self, certificates: Arc<Certificates>) {
        let mut known = self.state();
        let mut timer = tokio::time::interval(LOOK);
        loop {
            timer.tick().await;
            let state = self.state();
            if state.is_none() || state == known {
                continue;
            }
            match self.load() {
                Ok(key) => {
                    certificates.show(key);
                    info!(file = %self.certificate.display(), "a new certificate is shown");
                    known = state;
                }
                // One of the two may still be on its way.
                Err(reason) => {
                    warn!(%reason, "the new certificate cannot be used; the old one is shown on");
                    known = state;
                }
            }
        }
    }
}
