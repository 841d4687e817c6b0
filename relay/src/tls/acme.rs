//! Certificates that a certification authority gives by itself (ACME, RFC 8555), and their renewal.
//!
//! Names are proven on the listening socket itself (TLS-ALPN-01, RFC 8737), so port 443 of the names must lead to it; no
//! other port is needed. What was given is kept in the data folder.

use super::certificate::{Certificates, read};
use crate::node::files::{self, Access};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use instant_acme::{
    Account, AccountCredentials, AuthorizationStatus, BodyWrapper, BytesResponse, ChallengeType, HttpClient,
    Identifier, NewAccount, NewOrder, OrderStatus, RetryPolicy,
};
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use rustls::sign::CertifiedKey;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tracing::{info, warn};

/// Let's Encrypt.
pub const DIRECTORY: &str = "https://acme-v02.api.letsencrypt.org/directory";
/// How often it is looked whether the certificate is still good.
const LOOK: Duration = Duration::from_secs(3600);
/// How long it is waited after a failure; doubled up to the second.
const AGAIN: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(6 * 3600));
/// How long the authority may take to look, and then to sign.
const PATIENCE: Duration = Duration::from_secs(120);
/// Longest answer of the authority.
const MAX_ANSWER: usize = 1024 * 1024;

/// Who gives which certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The authority's directory.
    pub directory: String,
    /// The names, the main one first.
    pub names: Vec<String>,
    /// Where the authority reaches the host.
    pub email: Option<String>,
    /// Where account, certificate and key are kept.
    pub folder: PathBuf,
}

/// Shows a certificate as long as the process lives: the kept one, and a new one before it ends.
pub async fn keep_forever(settings: Settings, certificates: Arc<Certificates>) {
    let mut failures = 0u32;
    let mut until = match kept(&settings) {
        Some((key, renew)) => {
            certificates.show(key);
            renew
        }
        None => 0,
    };
    loop {
        if until > crate::node::clock::now().0 {
            tokio::time::sleep(LOOK).await;
            continue;
        }
        match obtain(&settings, &certificates).await {
            Ok((key, renew)) => {
                info!(names = ?settings.names, "the authority gave a certificate");
                certificates.show(key);
                (until, failures) = (renew, 0);
            }
            Err(reason) => {
                let wait = AGAIN.0.saturating_mul(1 << failures.min(9)).min(AGAIN.1);
                warn!(%reason, names = ?settings.names, "no certificate; trying again in {} s", wait.as_secs());
                failures = failures.saturating_add(1);
                tokio::time::sleep(wait).await;
            }
        }
    }
}

/// What is kept, and when it is to be renewed, if it is for these names.
fn kept(settings: &Settings) -> Option<(Arc<CertifiedKey>, u64)> {
    let names = std::fs::read_to_string(settings.folder.join("names")).ok()?;
    if names != listed(settings) {
        return None;
    }
    let chain = std::fs::read(settings.folder.join("certificate.pem")).ok()?;
    let key = std::fs::read(settings.folder.join("key.pem")).ok()?;
    usable(&chain, &key).ok()
}

/// Who is asked for what, in one text.
fn listed(settings: &Settings) -> String {
    format!("{}\n{}\n", settings.directory, settings.names.join("\n"))
}

/// The certificate, and when two thirds of its time have passed.
fn usable(chain: &[u8], key: &[u8]) -> Result<(Arc<CertifiedKey>, u64), String> {
    let certified = read(chain, key)?;
    let (from, to) = {
        let own = certified.cert.first().ok_or("there is no certificate")?;
        let (_, parsed) = x509_parser::parse_x509_certificate(own).map_err(|error| error.to_string())?;
        (parsed.validity().not_before.timestamp(), parsed.validity().not_after.timestamp())
    };
    let renew = from.saturating_add(to.saturating_sub(from) / 3 * 2);
    Ok((Arc::new(certified), u64::try_from(renew).unwrap_or(0)))
}

async fn obtain(
    settings: &Settings,
    certificates: &Certificates,
) -> Result<(Arc<CertifiedKey>, u64), String> {
    std::fs::create_dir_all(&settings.folder)
        .map_err(|error| format!("the folder {} cannot be made: {error}", settings.folder.display()))?;
    let said = |error: instant_acme::Error| error.to_string();
    let account = account(settings).await?;
    let names: Vec<Identifier> = settings.names.iter().cloned().map(Identifier::Dns).collect();
    let mut order = account.new_order(&NewOrder::new(&names)).await.map_err(said)?;
    let mut proven = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization.map_err(said)?;
        match authorization.status {
            AuthorizationStatus::Valid => continue,
            AuthorizationStatus::Pending => {}
            status => return Err(format!("the authority does not let us prove a name: {status:?}")),
        }
        let mut challenge = authorization
            .challenge(ChallengeType::TlsAlpn01)
            .ok_or("the authority knows no proof over TLS (TLS-ALPN-01)")?;
        let name = challenge.identifier().to_string();
        let answer = answer(&name, challenge.key_authorization().digest().as_ref())?;
        certificates.answer(&name, Some(answer));
        proven.push(name);
        challenge.set_ready().await.map_err(said)?;
    }
    let retries = RetryPolicy::new().timeout(PATIENCE);
    let ready = order.poll_ready(&retries).await;
    let result = match ready {
        Ok(OrderStatus::Ready | OrderStatus::Valid) => Ok(()),
        Ok(status) => Err(why_not(&mut order, status).await),
        Err(error) => Err(error.to_string()),
    };
    proven.iter().for_each(|name| certificates.answer(name, None));
    result?;

    let wrong = |error: rcgen::Error| error.to_string();
    let mut params = CertificateParams::new(settings.names.clone()).map_err(wrong)?;
    params.distinguished_name = DistinguishedName::new();
    let key = KeyPair::generate().map_err(wrong)?;
    let request = params.serialize_request(&key).map_err(wrong)?;
    order.finalize_csr(request.der()).await.map_err(said)?;
    let chain = order.poll_certificate(&retries).await.map_err(said)?;
    let key = key.serialize_pem();
    let usable = usable(chain.as_bytes(), key.as_bytes())?;
    let kept = keep(&settings.folder, "key.pem", &key, Access::Secret)
        .and_then(|()| keep(&settings.folder, "certificate.pem", &chain, Access::Default))
        .and_then(|()| keep(&settings.folder, "names", &listed(settings), Access::Default));
    if let Err(reason) = kept {
        warn!(%reason, "the certificate could not be kept");
    }
    Ok(usable)
}

fn keep(folder: &Path, name: &str, text: &str, access: Access) -> Result<(), String> {
    files::write(&folder.join(name), text.as_bytes(), access).map_err(|error| error.to_string())
}

/// What the authority says about names that it could not prove.
async fn why_not(order: &mut instant_acme::Order, status: OrderStatus) -> String {
    let mut reasons = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(Ok(authorization)) = authorizations.next().await {
        let problems = authorization.challenges.iter().filter_map(|challenge| challenge.error.as_ref());
        reasons.extend(problems.filter_map(|problem| problem.detail.clone()));
    }
    if reasons.is_empty() {
        format!("the order is {status:?}")
    } else {
        format!("{}; port 443 of the name must lead here", reasons.join("; "))
    }
}

/// The self-signed certificate that answers a challenge.
fn answer(name: &str, digest: &[u8]) -> Result<Arc<CertifiedKey>, String> {
    let wrong = |error: rcgen::Error| error.to_string();
    let mut params = CertificateParams::new([name.to_owned()]).map_err(wrong)?;
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let key = KeyPair::generate().map_err(wrong)?;
    let certificate = params.self_signed(&key).map_err(wrong)?;
    // Its extension is critical, and unknown to who compares certificate and key.
    let signs = PrivateKeyDer::try_from(key.serialize_der())
        .map_err(str::to_owned)
        .and_then(|key| ring::sign::any_supported_type(&key).map_err(|error| error.to_string()))?;
    Ok(Arc::new(CertifiedKey::new(vec![certificate.der().clone()], signs)))
}

/// Our account at the authority: the kept one, or a new one.
async fn account(settings: &Settings) -> Result<Account, String> {
    let said = |error: instant_acme::Error| error.to_string();
    let path = settings.folder.join("account.json");
    let client = Client(super::http().timeout(PATIENCE).build().map_err(|error| error.to_string())?);
    let builder = Account::builder_with_http(Box::new(client));
    if let Ok(Kept { directory, credentials }) =
        std::fs::read(&path).map_err(drop).and_then(|bytes| serde_json::from_slice(&bytes).map_err(drop))
        && directory == settings.directory
    {
        return builder.from_credentials(credentials).await.map_err(said);
    }
    let contact: Vec<String> = settings.email.iter().map(|email| format!("mailto:{email}")).collect();
    let contact: Vec<&str> = contact.iter().map(String::as_str).collect();
    let wish = NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
    let (account, credentials) =
        builder.create(&wish, settings.directory.clone(), None).await.map_err(said)?;
    let kept = Kept { directory: settings.directory.clone(), credentials };
    let text = serde_json::to_string(&kept).map_err(|error| error.to_string())?;
    keep(&settings.folder, "account.json", &text, Access::Secret)?;
    Ok(account)
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Kept {
    directory: String,
    credentials: AccountCredentials,
}

/// Our own HTTP client in instant-acme's clothes.
struct Client(reqwest::Client);

impl HttpClient for Client {
    fn request(
        &self,
        request: http::Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, instant_acme::Error>> + Send>> {
        let client = self.0.clone();
        Box::pin(async move {
            let failed = |error: reqwest::Error| instant_acme::Error::Other(Box::new(error));
            let (parts, body) = request.into_parts();
            let body = body.collect().await.map_or_else(|never| match never {}, |body| body.to_bytes());
            let mut answer = client
                .request(parts.method, parts.uri.to_string())
                .headers(parts.headers)
                .body(body)
                .send()
                .await
                .map_err(failed)?;
            let mut response = http::Response::builder().status(answer.status());
            if let Some(headers) = response.headers_mut() {
                *headers = answer.headers().clone();
            }
            let mut body = Vec::new();
            while let Some(chunk) = answer.chunk().await.map_err(failed)? {
                body.extend_from_slice(&chunk);
                if body.len() > MAX_ANSWER {
                    return Err(instant_acme::Error::Str("the authority answers with too much"));
                }
            }
            let response = response.body(Full::new(Bytes::from(body)));
            response.map(BytesResponse::from).map_err(|error| instant_acme::Error::Other(Box::new(error)))
        })
    }
}
