//! Announces over HTTP and HTTPS.
//!
//! The query and the reply are `anatomic-wire`'s; here are the request, its limits and its redirects.

use super::Guard;
use super::families::both;
use anatomic_engine::{AnnounceEvent, AnnounceReply, AnnounceRequest};
use anatomic_wire::tracker::{self, announce};
use reqwest::{Url, redirect};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::LazyLock;
use std::time::Duration;

/// Longest reply that is read, in bytes: 1 MiB, as in libtorrent.
pub const MAX_REPLY: usize = 1024 * 1024;
const TIMEOUT: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A supernode redirects to a node, a tracker perhaps to HTTPS and a new name before that.
const MAX_REDIRECTS: usize = 5;

/// An HTTP client for addresses that strangers named: guarded, without cookies and proxies, bounded in time.
///
/// # Errors
/// When TLS cannot be set up.
pub fn client(guard: Guard) -> reqwest::Result<reqwest::Client> {
    builder(guard).build()
}

/// The clients of a session: one for each family of addresses, and one for where there is only one.
#[derive(Clone, Debug)]
pub(super) struct Clients {
    any: reqwest::Client,
    v4: reqwest::Client,
    v6: reqwest::Client,
}

impl Clients {
    pub(super) fn new(guard: Guard) -> reqwest::Result<Self> {
        // Who speaks from an address of a family is connected over that family.
        let from = |ip: IpAddr| builder(guard).local_address(ip).build();
        Ok(Self {
            any: client(guard)?,
            v4: from(Ipv4Addr::UNSPECIFIED.into())?,
            v6: from(Ipv6Addr::UNSPECIFIED.into())?,
        })
    }
}

fn builder(guard: Guard) -> reqwest::ClientBuilder {
    let redirects = redirect::Policy::custom(move |attempt| {
        if attempt.previous().len() > MAX_REDIRECTS {
            return attempt.error("too many redirects");
        }
        match guard.check(attempt.url()) {
            Ok(()) => attempt.follow(),
            Err(refused) => attempt.error(refused),
        }
    });
    crate::tls::http()
        .user_agent(concat!("Anatomic/", env!("CARGO_PKG_VERSION")))
        .dns_resolver(std::sync::Arc::new(guard))
        .redirect(redirects)
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(TIMEOUT)
        .referer(false)
        .no_proxy()
}

/// Announces once, over both families if the tracker has addresses of both.
pub(super) async fn announce(
    clients: &Clients,
    guard: Guard,
    request: &AnnounceRequest,
) -> Result<AnnounceReply, String> {
    let tracker = Url::parse(&request.url).map_err(|error| format!("not a tracker's address: {error}"))?;
    guard.check(&tracker).map_err(|refused| refused.to_string())?;
    let name = tracker.host_str().unwrap_or_default();
    let port = tracker.port_or_known_default().unwrap_or_default();
    let addresses = guard.resolve(name, port).await.map_err(|refused| refused.to_string())?;
    if addresses.iter().any(SocketAddr::is_ipv4) && addresses.iter().any(SocketAddr::is_ipv6) {
        both(ask(&clients.v4, request), ask(&clients.v6, request)).await
    } else {
        ask(&clients.any, request).await
    }
}

async fn ask(client: &reqwest::Client, request: &AnnounceRequest) -> Result<AnnounceReply, String> {
    let url = wire_request(request).to_url(&request.url);
    let response = client.get(url).send().await.map_err(|error| words(&error))?;
    let status = response.status();
    let body = bounded(response, MAX_REPLY).await?;
    let reply = match announce::AnnounceReply::decode(&body) {
        Ok(reply) => reply,
        Err(tracker::ReplyError::Malformed) if !status.is_success() => {
            return Err(format!("the tracker answered {status}"));
        }
        Err(error) => return Err(error.to_string()),
    };
    Ok(AnnounceReply {
        interval: Some(Duration::from_secs(reply.interval.into())).filter(|interval| !interval.is_zero()),
        min_interval: reply.min_interval.map(|secs| Duration::from_secs(secs.into())),
        peers: reply.peers,
        seeds: reply.complete,
        leeches: reply.incomplete,
        tracker_id: reply.tracker_id.map(String::into_bytes),
        warning: reply.warning,
    })
}

/// The announce as trackers read it, over HTTP and UDP.
pub(super) fn wire_request(request: &AnnounceRequest) -> announce::AnnounceRequest {
    announce::AnnounceRequest {
        info_hash: request.info_hash,
        peer_id: Some(request.peer_id),
        // BEP 3 wants a port; 9 (discard) is what clients give that cannot be dialled.
        port: request.port.unwrap_or(9),
        uploaded: request.uploaded,
        downloaded: request.downloaded,
        left: request.left,
        event: event_of(request.event),
        want: Some(request.want),
        key: *KEY,
        tracker_id: request.tracker_id.as_ref().map(|id| String::from_utf8_lossy(id).into_owned()),
    }
}

/// Reads a body, however the server frames it, up to a limit.
pub(crate) async fn bounded(mut response: reqwest::Response, limit: usize) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| words(&error))? {
        if body.len() + chunk.len() > limit {
            return Err(format!("the reply is longer than {limit} bytes"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// What went wrong with a request, without the URL (it may carry a passkey) and down to the cause.
pub(crate) fn words(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    if error.is_connect() { format!("cannot connect: {cause}") } else { cause.to_string() }
}

pub(super) const fn event_of(event: AnnounceEvent) -> Option<tracker::Event> {
    match event {
        AnnounceEvent::Started => Some(tracker::Event::Started),
        AnnounceEvent::Completed => Some(tracker::Event::Completed),
        AnnounceEvent::Stopped => Some(tracker::Event::Stopped),
        AnnounceEvent::Regular => None,
    }
}

/// Proves to a tracker that we are the same peer behind a new address; a secret of this process.
static KEY: LazyLock<Option<u32>> = LazyLock::new(|| getrandom::u32().ok());

#[cfg(test)]
mod tests {
    use super::*;
    use anatomic_core::address::Policy;
    use anatomic_core::{InfoHash, PeerId};
    use anatomic_engine::TorrentKey;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    /// Answers every request with these bytes; `{self}` in them becomes its own address.
    async fn server(reply: Vec<u8>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let reply = String::from_utf8(reply)
            .map_or_else(|error| error.into_bytes(), |text| text.replace("{self}", &address).into_bytes());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let reply = reply.clone();
                tokio::spawn(async move {
                    let mut request = [0; 4096];
                    let _ = stream.read(&mut request).await;
                    let _ = stream.write_all(&reply).await;
                });
            }
        });
        address
    }

    fn ok(body: &[u8]) -> Vec<u8> {
        let mut reply = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
        reply.extend_from_slice(body);
        reply
    }

    fn redirect(to: &str) -> Vec<u8> {
        format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n").into_bytes()
    }

    async fn ask(policy: Policy, url: String) -> Result<AnnounceReply, String> {
        let guard = Guard::new(policy);
        let request = AnnounceRequest {
            torrent: TorrentKey::from_u64(1),
            info_hash: InfoHash([1; 20]),
            url,
            event: AnnounceEvent::Started,
            uploaded: 0,
            downloaded: 0,
            left: None,
            want: 50,
            peer_id: PeerId::ours(*b"123456789012"),
            port: Some(6881),
            tracker_id: None,
        };
        announce(&Clients::new(guard).unwrap(), guard, &request).await
    }

    async fn replies(reply: Vec<u8>) -> Result<AnnounceReply, String> {
        let address = server(reply).await;
        ask(Policy::PrivateNetwork, format!("http://{address}/announce")).await
    }

    #[tokio::test]
    async fn a_reply_gives_peers_and_interval() {
        let reply =
            replies(ok(b"d8:completei3e8:intervali60e5:peers6:\x7f\x00\x00\x01\x1a\xe1e")).await.unwrap();
        assert_eq!(reply.peers, ["127.0.0.1:6881".parse::<std::net::SocketAddr>().unwrap()]);
        assert_eq!((reply.interval, reply.seeds), (Some(Duration::from_secs(60)), Some(3)));
    }

    #[tokio::test]
    async fn a_tracker_of_both_families_is_announced_to_over_both() {
        let name: Vec<_> = tokio::net::lookup_host(("localhost", 0)).await.unwrap().collect();
        if !(name.iter().any(SocketAddr::is_ipv4) && name.iter().any(SocketAddr::is_ipv6)) {
            eprintln!("localhost has one family only here: nothing to test");
            return;
        }
        let v4 = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = v4.local_addr().unwrap().port();
        let v6 = TcpListener::bind(("::1", port)).await.unwrap();
        for (listener, peer) in [(v4, *b"\x01\x01\x01\x01\x00\x01"), (v6, *b"\x02\x02\x02\x02\x00\x02")] {
            let mut body = b"d8:intervali60e5:peers6:".to_vec();
            body.extend(peer);
            body.push(b'e');
            let reply = ok(&body);
            tokio::spawn(async move {
                let (mut stream, _) = listener.accept().await.unwrap();
                let _ = stream.read(&mut [0; 4096]).await;
                let _ = stream.write_all(&reply).await;
            });
        }
        let reply = ask(Policy::PrivateNetwork, format!("http://localhost:{port}/announce")).await.unwrap();
        let mut peers: Vec<_> = reply.peers.iter().map(ToString::to_string).collect();
        peers.sort();
        assert_eq!(peers, ["1.1.1.1:1", "2.2.2.2:2"]);
    }

    #[tokio::test]
    async fn a_refusal_is_told_in_the_trackers_words_even_with_an_error_status() {
        let body = b"d14:failure reason11:not plantede";
        let mut reply = ok(body);
        reply.splice(9..15, *b"404 No");
        assert_eq!(replies(reply).await.unwrap_err(), "the tracker refuses: not planted");
        let mut reply = ok(b"<html>");
        reply.splice(9..15, *b"502 No");
        assert!(replies(reply).await.unwrap_err().contains("502"));
    }

    #[tokio::test]
    async fn what_is_no_reply_is_an_error_in_words() {
        for body in [&b""[..], b"<html>welcome</html>", b"d", b"de", b"d8:intervali-1e5:peers5:abcdee"] {
            let _ = replies(ok(body)).await;
        }
        assert_eq!(replies(ok(b"<html>")).await.unwrap_err(), "the reply is not that of a tracker");
        assert!(replies(b"\x00\x01\x02garbage\r\n\r\n".to_vec()).await.is_err());
        assert!(replies(Vec::new()).await.is_err());
    }

    #[tokio::test]
    async fn an_endless_reply_is_cut_off() {
        let mut endless = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
        endless.resize(3 * MAX_REPLY, b'd');
        assert_eq!(
            replies(endless).await.unwrap_err(),
            format!("the reply is longer than {MAX_REPLY} bytes")
        );
    }

    #[tokio::test]
    async fn a_redirect_is_followed_to_an_announce_only_and_not_for_ever() {
        let target = server(ok(b"d8:intervali60e5:peers0:e")).await;
        assert!(replies(redirect(&format!("http://{target}/announce?info_hash=x"))).await.is_ok());
        let inward = replies(redirect(&format!("http://{target}/admin?delete=all"))).await.unwrap_err();
        assert_eq!(inward, "on this machine only /announce is called");
        assert_eq!(replies(redirect("http://{self}/announce")).await.unwrap_err(), "too many redirects");
    }

    #[tokio::test]
    async fn a_public_node_does_not_call_inwards() {
        let address = server(ok(b"d8:intervali60e5:peers0:e")).await;
        let (_, port) = address.split_once(':').unwrap();
        for url in [format!("http://{address}/announce"), format!("http://localhost:{port}/announce")] {
            assert!(ask(Policy::Public, url).await.unwrap_err().contains("may not be called"));
        }
        assert!(ask(Policy::Public, "http:///announce".into()).await.is_err());
        assert!(ask(Policy::Public, "ftp://tracker.example/announce".into()).await.is_err());
    }
}
