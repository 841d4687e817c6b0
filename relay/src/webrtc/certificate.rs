//! The DTLS certificate of an endpoint: made once, shared by all its connections.
//!
//! Not a public-key infrastructure: WebRTC certificates are self-signed and vouched for by the fingerprint in the
//! session description ([RFC 8122]). Keep the PEM text to keep the fingerprint across restarts.
//!
//! [RFC 8122]: https://www.rfc-editor.org/rfc/rfc8122

use std::time::{Duration, SystemTime};

use rtc::dtls::crypto::Certificate as DtlsCertificate;
use rtc::peer_connection::certificate::RTCCertificate;

/// Used this long at most by one process; the certificate itself does not expire.
const LIFETIME: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// The certificate cannot be made or read.
#[derive(Debug, thiserror::Error)]
#[error("the WebRTC certificate cannot be {verb}: {reason}; delete the stored one to have a new one made")]
pub struct CertificateError {
    verb: &'static str,
    reason: String,
}

/// A self-signed certificate with its private key (ECDSA P-256).
#[derive(Debug, Clone)]
pub struct Certificate {
    dtls: DtlsCertificate,
}

impl Certificate {
    /// Makes a new one.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn generate() -> Result<Self, CertificateError> {
        let fail = |reason: String| CertificateError { verb: "made", reason };
        let provider = rtc::crypto::default_provider().map_err(|error| fail(error.to_string()))?;
        let dtls = DtlsCertificate::generate_self_signed(vec!["anatomic".to_owned()], provider.crypto())
            .map_err(|error| fail(error.to_string()))?;
        Ok(Self { dtls })
    }

    /// Reads what [`Self::to_pem`] wrote.
    ///
    /// # Errors
    /// When the text holds no private key and certificate.
    pub fn from_pem(pem: &str) -> Result<Self, CertificateError> {
        let fail = |reason: String| CertificateError { verb: "read", reason };
        let provider = rtc::crypto::default_provider().map_err(|error| fail(error.to_string()))?;
        let dtls =
            DtlsCertificate::from_pem(pem, provider.crypto()).map_err(|error| fail(error.to_string()))?;
        Ok(Self { dtls })
    }

    /// Private key and certificate as PEM text. Secret: whoever has it can pose as this endpoint.
    ///
    /// # Errors
    /// When the key cannot be exported.
    pub fn to_pem(&self) -> Result<String, CertificateError> {
        self.dtls
            .serialize_pem()
            .map_err(|error| CertificateError { verb: "written", reason: error.to_string() })
    }

    pub(super) fn for_rtc(&self) -> RTCCertificate {
        RTCCertificate::from_existing(self.dtls.clone(), SystemTime::now() + LIFETIME)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_certificate_keeps_its_fingerprint() {
        let provider = rtc::crypto::default_provider().unwrap();
        let made = Certificate::generate().unwrap();
        let read = Certificate::from_pem(&made.to_pem().unwrap()).unwrap();
        let print = |c: &Certificate| c.for_rtc().get_fingerprints(provider.crypto()).unwrap();
        assert_eq!(print(&made), print(&read));
        assert!(Certificate::from_pem("nonsense").is_err());
    }
}
