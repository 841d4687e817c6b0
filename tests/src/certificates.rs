//! An authority of our own that signs certificates for names and addresses of this machine.
//!
//! For TLS in tests only; the authority that speaks ACME is [`crate::pebble`].

use base64::Engine as _;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, PublicKeyData as _};
use sha2::{Digest as _, Sha256};
use std::path::{Path, PathBuf};

/// The authority.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    folder: PathBuf,
}

/// A certificate with its key, in files.
#[derive(Debug, Clone)]
pub struct Signed {
    /// The certificate, in PEM.
    pub certificate: PathBuf,
    /// Its key, in PEM.
    pub key: PathBuf,
    /// SHA-256 of its public key in base64, as Chromium wants it.
    pub spki: String,
}

impl Authority {
    /// A new one, whose files go into `folder`.
    ///
    /// # Panics
    /// When the system gives no randomness or takes no file.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        let key = KeyPair::generate().expect("randomness");
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "Tests' authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).expect("a certificate").pem();
        std::fs::write(folder.join("ca.pem"), &pem).expect("a file");
        Self { issuer: Issuer::new(params, key), pem, folder: folder.to_path_buf() }
    }

    /// Its own certificate, in PEM.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// The file with its own certificate.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    /// Lets a process believe it, besides nobody else.
    #[must_use]
    pub fn env(&self) -> Vec<(String, String)> {
        vec![("SSL_CERT_FILE".into(), self.file().display().to_string())]
    }

    /// Signs a certificate for names and addresses; its files are called `name.pem` and `name.key`.
    ///
    /// # Panics
    /// When a name is none, or the system takes no file.
    #[must_use]
    pub fn sign(&self, name: &str, names: &[&str]) -> Signed {
        let key = KeyPair::generate().expect("randomness");
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let params = CertificateParams::new(names).expect("names");
        let signed = params.signed_by(&key, &self.issuer).expect("a certificate");
        let (certificate, path) =
            (self.folder.join(format!("{name}.pem")), self.folder.join(format!("{name}.key")));
        std::fs::write(&path, key.serialize_pem()).expect("a file");
        std::fs::write(&certificate, signed.pem()).expect("a file");
        let digest = Sha256::digest(key.subject_public_key_info());
        let spki = base64::engine::general_purpose::STANDARD.encode(digest);
        Signed { certificate, key: path, spki }
    }
}
