//! Announces over UDP (BEP 15), with the URL's path and query where they say something (BEP 41).
//!
//! Packets are `anatomic-wire`'s; here are names, sockets, repeats and patience. A tracker that has addresses of both
//! families is announced to over both, since each lists us for its own.

use super::Guard;
use super::families::both;
use super::http::wire_request;
use anatomic_engine::{AnnounceReply, AnnounceRequest};
use anatomic_wire::tracker::udp::{UdpReply, UdpRequest};
use reqwest::Url;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::time::timeout;

/// How long to wait for a reply before asking again. BEP 15 would have an hour go by; the engine asks other trackers meanwhile
/// and comes back, so a minute is enough here.
const PATIENCE: [Duration; 3] = [Duration::from_secs(4), Duration::from_secs(8), Duration::from_secs(16)];
/// Longest reply that is read, in bytes: more addresses than anybody asks for.
const MAX_REPLY: usize = 8 * 1024;

/// Announces once.
pub(super) async fn announce(guard: Guard, request: &AnnounceRequest) -> Result<AnnounceReply, String> {
    let url = Url::parse(&request.url).map_err(|error| format!("not a tracker's address: {error}"))?;
    guard.check(&url).map_err(|refused| refused.to_string())?;
    let (Some(host), Some(port)) = (url.host_str(), url.port()) else {
        return Err("a UDP tracker's address needs a host and a port".into());
    };
    let addresses = guard.resolve(host, port).await.map_err(|refused| refused.to_string())?;
    let family = |v4: bool| addresses.iter().copied().find(|address| address.is_ipv4() == v4);
    let data = url_data(&url);
    match (family(true), family(false)) {
        (Some(address), None) | (None, Some(address)) => ask(address, request, &data).await,
        (Some(v4), Some(v6)) => both(ask(v4, request, &data), ask(v6, request, &data)).await,
        (None, None) => Err("the tracker has no address".into()),
    }
}

/// What of the URL a tracker cannot know by itself: a passkey. The usual `/announce` is left out, since there are
/// trackers that take no longer packet.
fn url_data(url: &Url) -> String {
    match (url.path(), url.query()) {
        ("" | "/" | "/announce", None) => String::new(),
        (path, None) => path.to_owned(),
        (path, Some(query)) => format!("{path}?{query}"),
    }
}

async fn ask(tracker: SocketAddr, request: &AnnounceRequest, data: &str) -> Result<AnnounceReply, String> {
    let any: IpAddr =
        if tracker.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let cannot = |error: std::io::Error| format!("cannot reach the tracker: {error}");
    let socket = UdpSocket::bind((any, 0)).await.map_err(cannot)?;
    // The kernel then lets only the tracker's packets in.
    socket.connect(tracker).await.map_err(cannot)?;
    let mut last = "no answer in time".to_owned();
    for patience in PATIENCE {
        match timeout(patience, attempt(&socket, tracker.ip(), request, data)).await {
            Ok(Ok(reply)) => return Ok(reply),
            Ok(Err(Failed::ForGood(reason))) => return Err(reason),
            Ok(Err(Failed::Perhaps(reason))) => {
                last = reason;
                // Nobody listens there now; asking at once would only get the same.
                tokio::time::sleep(patience / 4).await;
            }
            Err(_) => {}
        }
    }
    Err(last)
}

enum Failed {
    /// The tracker refuses.
    ForGood(String),
    /// The way there may be open the next time.
    Perhaps(String),
}

async fn attempt(
    socket: &UdpSocket,
    tracker: IpAddr,
    request: &AnnounceRequest,
    data: &str,
) -> Result<AnnounceReply, Failed> {
    let refused = |reason: String| Failed::ForGood(format!("the tracker refuses: {reason}"));
    let transaction = getrandom::u32().map_err(|error| Failed::ForGood(error.to_string()))?;
    let connection =
        match exchange(socket, tracker, &UdpRequest::Connect { transaction }, transaction).await? {
            UdpReply::Connected { connection, .. } => connection,
            UdpReply::Refused { reason, .. } => return Err(refused(reason)),
            _ => return Err(Failed::ForGood("the reply is not that of a tracker".into())),
        };
    let transaction = transaction.wrapping_add(1);
    let announce = UdpRequest::Announce {
        connection,
        transaction,
        request: wire_request(request),
        url_data: data.to_owned(),
    };
    match exchange(socket, tracker, &announce, transaction).await? {
        UdpReply::Announced { interval, incomplete, complete, peers, .. } => Ok(AnnounceReply {
            interval: Some(Duration::from_secs(interval.into())).filter(|interval| !interval.is_zero()),
            min_interval: None,
            peers,
            seeds: Some(complete),
            leeches: Some(incomplete),
            tracker_id: None,
            warning: None,
        }),
        UdpReply::Refused { reason, .. } => Err(refused(reason)),
        _ => Err(Failed::ForGood("the reply is not that of a tracker".into())),
    }
}

/// Sends a packet and waits for the reply with the same number; others are left alone.
async fn exchange(
    socket: &UdpSocket,
    tracker: IpAddr,
    request: &UdpRequest,
    number: u32,
) -> Result<UdpReply, Failed> {
    let perhaps = |error: std::io::Error| Failed::Perhaps(format!("cannot reach the tracker: {error}"));
    socket.send(&request.encode()).await.map_err(perhaps)?;
    let mut buffer = vec![0; MAX_REPLY];
    loop {
        let length = socket.recv(&mut buffer).await.map_err(perhaps)?;
        let reply = UdpReply::decode(buffer.get(..length).unwrap_or_default(), tracker);
        let same = |reply: &UdpReply| match reply {
            UdpReply::Connected { transaction, .. }
            | UdpReply::Announced { transaction, .. }
            | UdpReply::Scraped { transaction, .. }
            | UdpReply::Refused { transaction, .. } => *transaction == number,
        };
        if let Some(reply) = reply.filter(same) {
            return Ok(reply);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tracker::udp::UdpDoor;
    use crate::tracker::{Admission, Config, Swarms, Tracker, swarms::Limits};
    use anatomic_core::address::Policy;
    use anatomic_core::{InfoHash, PeerId};
    use anatomic_engine::{AnnounceEvent, TorrentKey};
    use std::sync::Arc;

    struct All;

    impl Admission for All {
        fn admits(&self, info_hash: &InfoHash) -> bool {
            *info_hash != InfoHash([9; 20])
        }
    }

    fn tracker() -> u16 {
        let swarms = Arc::new(Swarms::new(Limits::default(), 1));
        let tracker = Tracker::new(Config::default(), swarms, Arc::new(All));
        let door = UdpDoor::bind("127.0.0.1:0".parse().unwrap(), tracker).unwrap();
        let port = door.local_addr().port();
        tokio::spawn(door.serve());
        port
    }

    fn request(url: String, hash: u8, port: u16) -> AnnounceRequest {
        AnnounceRequest {
            torrent: TorrentKey::from_u64(1),
            info_hash: InfoHash([hash; 20]),
            url,
            event: AnnounceEvent::Started,
            uploaded: 0,
            downloaded: 0,
            left: Some(0),
            want: 50,
            peer_id: PeerId::ours(*b"123456789012"),
            port: Some(port),
            tracker_id: None,
        }
    }

    #[tokio::test]
    async fn a_reply_gives_peers_and_interval_and_a_refusal_its_reason() {
        let (guard, port) = (Guard::new(Policy::PrivateNetwork), tracker());
        let url = format!("udp://127.0.0.1:{port}/announce");
        announce(guard, &request(url.clone(), 1, 1_001)).await.unwrap();
        let reply = announce(guard, &request(format!("udp://localhost:{port}"), 1, 1_002)).await.unwrap();
        assert_eq!(reply.peers, ["127.0.0.1:1001".parse::<SocketAddr>().unwrap()]);
        assert_eq!((reply.seeds, reply.leeches), (Some(2), Some(0)));
        assert!(reply.interval.is_some());
        let refused = announce(guard, &request(url, 9, 1_003)).await.unwrap_err();
        assert!(refused.starts_with("the tracker refuses: "), "{refused}");
    }

    #[tokio::test]
    async fn a_lost_packet_is_sent_again_and_a_foreign_reply_is_left_alone() {
        let door = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let url = format!("udp://{}/x?key=1", door.local_addr().unwrap());
        let serving = async move {
            let mut buffer = [0; 2_048];
            let mut connects = 0;
            loop {
                let (length, from) = door.recv_from(&mut buffer).await.unwrap();
                match UdpRequest::decode(&buffer[..length]) {
                    Some(UdpRequest::Connect { transaction }) => {
                        connects += 1;
                        if connects == 1 {
                            continue;
                        }
                        for (transaction, connection) in [(transaction ^ 1, 5), (transaction, 6)] {
                            let reply = UdpReply::Connected { transaction, connection };
                            door.send_to(&reply.encode(from.ip()), from).await.unwrap();
                        }
                    }
                    Some(UdpRequest::Announce { connection: 6, transaction, url_data, .. }) => {
                        assert_eq!(url_data, "/x?key=1");
                        let peers = vec!["1.2.3.4:5".parse().unwrap()];
                        let reply = UdpReply::Announced {
                            transaction,
                            interval: 9,
                            incomplete: 1,
                            complete: 2,
                            peers,
                        };
                        door.send_to(&reply.encode(from.ip()), from).await.unwrap();
                    }
                    other => panic!("{other:?}"),
                }
            }
        };
        let asked = request(url, 1, 1);
        let reply = tokio::select! {
            reply = announce(Guard::new(Policy::PrivateNetwork), &asked) => reply.unwrap(),
            () = serving => unreachable!(),
        };
        assert_eq!((reply.peers.len(), reply.interval), (1, Some(Duration::from_secs(9))));
    }

    #[tokio::test]
    async fn a_public_node_sends_nothing_inwards() {
        let guard = Guard::new(Policy::Public);
        for url in
            ["udp://127.0.0.1:1/announce", "udp://10.0.0.1:53", "udp://[::1]:1", "udp://tracker.example"]
        {
            assert!(announce(guard, &request(url.into(), 1, 1)).await.is_err(), "{url}");
        }
    }

    #[test]
    fn only_what_the_tracker_cannot_know_is_sent_along() {
        for (url, data) in [
            ("udp://t:1", ""),
            ("udp://t:1/", ""),
            ("udp://t:1/announce", ""),
            ("udp://t:1/announce?key=1", "/announce?key=1"),
            ("udp://t:1/secret/announce", "/secret/announce"),
        ] {
            assert_eq!(url_data(&Url::parse(url).unwrap()), data);
        }
    }
}
