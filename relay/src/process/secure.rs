//! The TLS of the listening socket, as the flags say: files that the host names, or an authority, or none.
//!
//! What certificates are and where they come from is [`crate::tls`]'s.

use crate::cli::Failure;
use crate::tls::acme::{self, DIRECTORY};
use crate::tls::certificate::{Certificates, Files};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// Flags of TLS.
#[derive(Clone, Debug, Default, clap::Args)]
#[group(skip)]
pub struct Options {
    /// Speak TLS with this certificate chain (PEM); read again when the file changes
    #[arg(long, value_name = "FILE", env = "ANATOMIC_TLS_CERT")]
    pub tls_cert: Option<PathBuf>,
    /// The private key of --tls-cert (PEM)
    #[arg(long, value_name = "FILE", env = "ANATOMIC_TLS_KEY")]
    pub tls_key: Option<PathBuf>,
    /// Speak TLS with a certificate that an authority gives for this name, whose port 443 leads here; may be given
    /// several times. By this the host agrees to the authority's terms
    #[arg(long = "acme", value_name = "DOMAIN", env = "ANATOMIC_ACME", value_delimiter = ',')]
    pub acme: Vec<String>,
    /// Where the authority reaches the host
    #[arg(long, value_name = "ADDRESS", env = "ANATOMIC_ACME_EMAIL")]
    pub acme_email: Option<String>,
    /// Directory of the authority, another than Let's Encrypt
    #[arg(long, value_name = "URL", env = "ANATOMIC_ACME_DIRECTORY", default_value = DIRECTORY)]
    pub acme_directory: String,
}

/// TLS that is to be spoken.
pub(super) struct Secure {
    acceptor: TlsAcceptor,
    certificates: Arc<Certificates>,
    source: Source,
}

enum Source {
    Files(Files),
    Authority(acme::Settings),
}

impl Options {
    /// What the flags say; `None`: plain HTTP.
    pub(super) fn secure(&self, folder: &Path) -> Result<Option<Secure>, Failure> {
        let certificates = Arc::new(Certificates::default());
        let source = match (&self.tls_cert, &self.tls_key, self.acme.is_empty()) {
            (None, None, true) => return Ok(None),
            (Some(certificate), Some(key), true) => {
                let files = Files { certificate: certificate.clone(), key: key.clone() };
                certificates.show(files.load().map_err(Failure::new)?);
                Source::Files(files)
            }
            (None, None, false) => Source::Authority(acme::Settings {
                directory: self.acme_directory.clone(),
                names: self.acme.clone(),
                email: self.acme_email.clone(),
                folder: folder.join("acme"),
            }),
            (Some(_), Some(_), false) => {
                return Err(Failure::new("--acme and --tls-cert cannot both be; leave one out"));
            }
            _ => return Err(Failure::new("--tls-cert and --tls-key belong together; name both")),
        };
        let config = certificates.config().map_err(Failure::new)?;
        Ok(Some(Secure { acceptor: config.into(), certificates, source }))
    }
}

impl Secure {
    /// The name under which we are reached unless the host says otherwise.
    pub(super) fn name(&self) -> Option<&str> {
        match &self.source {
            Source::Files(_) => None,
            Source::Authority(settings) => settings.names.first().map(String::as_str),
        }
    }

    /// Keeps the certificate good, and gives what the socket needs.
    pub(super) fn start(self, tasks: &mut JoinSet<()>) -> TlsAcceptor {
        match self.source {
            Source::Files(files) => tasks.spawn(files.watch_forever(self.certificates)),
            Source::Authority(settings) => tasks.spawn(acme::keep_forever(settings, self.certificates)),
        };
        self.acceptor
    }
}
