//! A sister node by hand: it proves a key to a node and then says what the test wants.
//!
//! Uses the types of the protocol, as any program could; whether what it says is true is nobody's business here.

use anatomic_core::InfoHash;
use anatomic_mesh::sharing::contact::{Packed, SharedPeer};
use anatomic_mesh::sharing::handshake::{self, Side};
use anatomic_mesh::sharing::message::{Hello, Message, SwarmNews};
use anatomic_mesh::{Identity, Key, Listing, Receipt, Signed, UnixTime, VERSION};
use futures_util::{SinkExt as _, StreamExt as _};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::anatomic::Anatomic;

/// Where a node takes its sisters.
const PATH: &str = "/api/v1/mesh";

/// A connection to a node.
pub struct Sister {
    identity: Identity,
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// What we said first, and what the node did, once it has.
    hellos: (Hello, Option<Hello>),
}

/// Now, by this machine's clock.
///
/// # Panics
/// When that stands before 1970.
#[must_use]
pub fn now() -> UnixTime {
    UnixTime(SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_secs())
}

/// A node's own word that it tracks a torrent, as any key can give it; `change` makes it a lie.
///
/// # Panics
/// When `change` names another node.
#[must_use]
pub fn receipt(
    identity: &Identity,
    info_hash: &str,
    url: &str,
    change: impl FnOnce(&mut Receipt),
) -> Signed<Receipt> {
    let mut receipt = Receipt {
        info_hash: InfoHash::from_hex(info_hash).expect("an info-hash"),
        info_hash_v2: None,
        node: identity.key(),
        url: url.to_owned(),
        planter: identity.key(),
        sisters: Vec::new(),
        listing: Listing::Listed,
        issued: now(),
        claimed: None,
        expires: now().plus(86_400),
    };
    change(&mut receipt);
    Signed::new(receipt, identity).expect("its own receipt")
}

/// News of peers that came.
///
/// # Panics
/// When that is no info-hash.
#[must_use]
pub fn gained(info_hash: &str, peers: &[SharedPeer]) -> Message {
    let mut gained = Packed::default();
    for peer in peers {
        gained.push_gained(peer);
    }
    let info_hash = InfoHash::from_hex(info_hash).expect("an info-hash");
    let news = SwarmNews { info_hash, gained, lost: Packed::default(), counts: None, waits: false };
    Message::News(vec![news], None)
}

impl Sister {
    /// Connects to `node`, which calls itself `url`, and says hello as `claimed`.
    ///
    /// # Panics
    /// When the node takes no connection.
    pub async fn open(node: &Anatomic, url: &str, identity: &Identity, claimed: Key) -> Self {
        let address = format!("ws://{}{PATH}", node.host());
        let (stream, _) = tokio_tungstenite::connect_async(address).await.expect("a connection");
        let moment = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_nanos();
        let mut rng = fastrand::Rng::with_seed(moment as u64);
        let hello = Hello {
            version: VERSION.into(),
            key: claimed,
            nonce: std::array::from_fn(|_| rng.u8(..)),
            url: "http://127.0.0.1:9".into(),
            to: Some(url.trim_end_matches('/').to_owned()),
        };
        let mut sister = Self { identity: identity.clone(), stream, hellos: (hello.clone(), None) };
        sister.send(&Message::Hello(hello)).await;
        if let Some(Message::Hello(theirs)) = sister.next().await {
            sister.hellos.1 = Some(theirs);
        }
        sister
    }

    /// Connects and proves `identity`; returns the proof as well.
    ///
    /// # Panics
    /// When the node does not take it.
    pub async fn prove(node: &Anatomic, url: &str, identity: &Identity) -> (Self, Message) {
        let mut sister = Self::open(node, url, identity, identity.key()).await;
        let proof = sister.proof().expect("the node says hello");
        sister.send(&proof).await;
        let answer = sister.next().await;
        assert!(matches!(answer, Some(Message::Proof(_))), "the node proves itself: {answer:?}");
        (sister, proof)
    }

    /// The proof for this connection, by our own key whatever was claimed; `None` if the node said no hello.
    #[must_use]
    pub fn proof(&self) -> Option<Message> {
        let (ours, theirs) = (&self.hellos.0, self.hellos.1.as_ref()?);
        Some(Message::Proof(handshake::sign(&self.identity, Side::Dialler, ours, theirs)))
    }

    /// Sends a message; the node may have closed already.
    pub async fn send(&mut self, message: &Message) {
        self.send_bytes(message.encode()).await;
    }

    /// Sends bytes as one message.
    pub async fn send_bytes(&mut self, bytes: Vec<u8>) {
        let _ = self.stream.send(Frame::binary(bytes)).await;
    }

    /// The next message that is understood; `None` once the node has closed.
    ///
    /// # Panics
    /// When neither happens within half a minute.
    pub async fn next(&mut self) -> Option<Message> {
        loop {
            let next = tokio::time::timeout(Duration::from_secs(30), self.stream.next()).await;
            match next.expect("a message or the end") {
                Some(Ok(Frame::Binary(bytes))) => {
                    if let Ok(Some(message)) = Message::decode(&bytes) {
                        return Some(message);
                    }
                }
                Some(Ok(Frame::Ping(_) | Frame::Pong(_))) => {}
                _ => return None,
            }
        }
    }

    /// Reads until the node closes.
    pub async fn until_closed(&mut self) {
        while self.next().await.is_some() {}
    }
}
