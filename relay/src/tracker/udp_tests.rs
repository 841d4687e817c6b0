//! Rules of the UDP door, seen from the other end of a socket.

use super::super::swarms::{Limits, Swarms};
use super::super::{Admission, Config};
use super::*;
use anatomic_core::{InfoHash, PeerId};
use anatomic_wire::tracker::Event;
use anatomic_wire::tracker::announce::AnnounceRequest;
use std::time::Duration;
use tokio::net::UdpSocket;

const PLANTED: InfoHash = InfoHash([1; 20]);

struct Planted;

impl Admission for Planted {
    fn admits(&self, info_hash: &InfoHash) -> bool {
        *info_hash == PLANTED
    }
}

struct Client {
    socket: UdpSocket,
    door: SocketAddr,
}

fn start(listen: &str) -> (Arc<Tracker>, SocketAddr) {
    let swarms = Arc::new(Swarms::new(Limits::default(), 1));
    let tracker = Tracker::new(Config::default(), swarms, Arc::new(Planted));
    let door = UdpDoor::bind(listen.parse().unwrap(), tracker.clone()).unwrap();
    let address = door.local_addr();
    tokio::spawn(door.serve());
    (tracker, address)
}

impl Client {
    async fn new(bind: &str, door: SocketAddr) -> Self {
        Self { socket: UdpSocket::bind(bind).await.unwrap(), door }
    }

    /// The reply to a packet; `None` if none comes.
    async fn raw(&self, packet: &[u8]) -> Option<Vec<u8>> {
        self.socket.send_to(packet, self.door).await.unwrap();
        let mut reply = [0; 2_048];
        let received = self.socket.recv_from(&mut reply);
        let (length, _) = tokio::time::timeout(Duration::from_millis(300), received).await.ok()?.unwrap();
        Some(reply[..length].to_vec())
    }

    async fn ask(&self, request: UdpRequest) -> Option<UdpReply> {
        let reply = self.raw(&request.encode()).await?;
        UdpReply::decode(&reply, self.door.ip())
    }

    async fn connect(&self) -> u64 {
        match self.ask(UdpRequest::Connect { transaction: 7 }).await {
            Some(UdpReply::Connected { transaction: 7, connection }) => connection,
            other => panic!("{other:?}"),
        }
    }

    async fn announce(&self, connection: u64, request: AnnounceRequest) -> Option<UdpReply> {
        let url_data = "/announce?key=x".into();
        self.ask(UdpRequest::Announce { connection, transaction: 8, request, url_data }).await
    }
}

fn request(info_hash: InfoHash, port: u16, event: Option<Event>) -> AnnounceRequest {
    let peer_id = Some(PeerId([2; 20]));
    AnnounceRequest { peer_id, left: Some(0), event, ..AnnounceRequest::new(info_hash, port) }
}

#[tokio::test]
async fn clients_meet_over_udp_and_are_scraped_in_the_order_asked() {
    let (tracker, door) = start("127.0.0.1:0");
    let client = Client::new("127.0.0.1:0", door).await;
    let connection = client.connect().await;
    client.announce(connection, request(PLANTED, 1_001, Some(Event::Started))).await.unwrap();
    let reply = client.announce(connection, request(PLANTED, 1_002, None)).await.unwrap();
    let UdpReply::Announced { transaction, complete, incomplete, peers, interval } = reply else { panic!() };
    assert_eq!((transaction, complete, incomplete), (8, 2, 0));
    assert!(interval > 0);
    assert_eq!(peers, ["127.0.0.1:1001".parse::<SocketAddr>().unwrap()]);
    assert_eq!(tracker.swarms.sizes(&PLANTED).0, 2, "the same store as the other doors'");

    let hashes = vec![InfoHash([9; 20]), PLANTED];
    let scraped = client.ask(UdpRequest::Scrape { connection, transaction: 9, hashes }).await.unwrap();
    let UdpReply::Scraped { counts, .. } = scraped else { panic!() };
    assert_eq!(counts.iter().map(|swarm| swarm.complete).collect::<Vec<_>>(), [0, 2]);
}

#[tokio::test]
async fn without_a_good_connection_id_there_is_silence() {
    let (tracker, door) = start("127.0.0.1:0");
    let client = Client::new("127.0.0.1:0", door).await;
    let connection = client.connect().await;
    assert_eq!(client.announce(connection ^ 1, request(PLANTED, 1, None)).await, None);
    assert_eq!(client.announce(0x0417_2710_1980, request(PLANTED, 1, None)).await, None);
    let other = Client::new("127.0.0.2:0", door).await;
    assert_eq!(other.announce(connection, request(PLANTED, 1, None)).await, None, "a stolen id");
    for noise in [&b""[..], b"x", &[0; 15], &[0xff; 1_400]] {
        assert_eq!(client.raw(noise).await, None);
    }
    assert_eq!(tracker.swarms.totals(), (0, 0));
    assert!(tracker.udp.dropped.load(Ordering::Relaxed) >= 6);
}

#[tokio::test]
async fn a_refusal_is_shorter_than_the_request() {
    let (_, door) = start("127.0.0.1:0");
    let client = Client::new("127.0.0.1:0", door).await;
    let connection = client.connect().await;
    let announce = UdpRequest::Announce {
        connection,
        transaction: 8,
        request: request(InfoHash([9; 20]), 1, None),
        url_data: String::new(),
    }
    .encode();
    let reply = client.raw(&announce).await.unwrap();
    assert!(reply.len() < announce.len());
    let Some(UdpReply::Refused { transaction: 8, reason }) = UdpReply::decode(&reply, door.ip()) else {
        panic!()
    };
    assert!(anatomic_wire::tracker::NOT_PLANTED.starts_with(&reason) && !reason.is_empty(), "{reason}");
}

#[tokio::test]
async fn one_socket_serves_both_families_each_with_its_own_peers() {
    let (tracker, door) = start("[::]:0");
    let v4 = Client::new("127.0.0.1:0", SocketAddr::new([127, 0, 0, 1].into(), door.port())).await;
    let Ok(v6) = UdpSocket::bind("[::1]:0").await else { return };
    let v6 = Client { socket: v6, door: SocketAddr::new("::1".parse().unwrap(), door.port()) };
    for (client, first, second) in [(&v4, 1, 2), (&v6, 3, 4)] {
        let connection = client.connect().await;
        client.announce(connection, request(PLANTED, first, None)).await.unwrap();
        let reply = client.announce(connection, request(PLANTED, second, None)).await.unwrap();
        let UdpReply::Announced { peers, .. } = reply else { panic!() };
        assert_eq!(peers, [SocketAddr::new(client.door.ip(), first)]);
    }
    assert_eq!(tracker.swarms.sizes(&PLANTED).0, 4);
}

struct Busy;

impl crate::tracker::Handing for Busy {
    fn hands_on(&self, info_hash: &InfoHash) -> Option<String> {
        (*info_hash == PLANTED).then(|| "http://sister.example".to_owned())
    }
}

#[tokio::test]
async fn a_busy_node_names_a_sister_to_newcomers_once_and_keeps_whom_it_knows() {
    let (tracker, door) = start("127.0.0.1:0");
    let client = Client::new("127.0.0.1:0", door).await;
    let connection = client.connect().await;
    let known = client.announce(connection, request(PLANTED, 1_001, None)).await;
    assert!(matches!(known, Some(UdpReply::Announced { .. })));
    tracker.set_handing(Arc::new(Busy));
    let known = client.announce(connection, request(PLANTED, 1_001, None)).await;
    assert!(matches!(known, Some(UdpReply::Announced { .. })), "who was there stays");
    let Some(UdpReply::Refused { reason, .. }) =
        client.announce(connection, request(PLANTED, 1_002, Some(Event::Started))).await
    else {
        panic!("a newcomer is to go elsewhere")
    };
    assert_eq!(reason, "busy: http://sister.example takes newcomers");
    let again = client.announce(connection, request(PLANTED, 1_002, Some(Event::Started))).await;
    assert!(matches!(again, Some(UdpReply::Announced { .. })), "who found nobody else is taken: no circles");
}
