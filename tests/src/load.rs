//! A load of browsers for a WebSocket tracker: what `aquatic_ws_load_test` does, without TLS.
//!
//! Each connection sends one message and reads one, for ever: an announce with its offers (aquatic's load has ten), or an answer if the last thing
//! it read was an offer. Torrents are drawn as there, Gamma(0.2, 100) cut off at both ends: two fifths of the announces
//! are for the first. Not a client: it opens no data channel, and its session descriptions are no descriptions.

use futures_util::{SinkExt as _, StreamExt as _};
use std::cell::{Cell, RefCell};
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// Torrents that are announced.
const TORRENTS: usize = 10_000;
/// The session description of every offer and answer, aquatic's own.
const SDP: &str = "abcdefg-abcdefg-abcdefg-abcdefg-abcdefg-abcdefg";

/// Messages that came, by kind.
#[derive(Clone, Copy, Debug, Default)]
pub struct Received {
    /// Replies to announces.
    pub announced: u64,
    /// Offers of others.
    pub offers: u64,
    /// Answers to our offers.
    pub answers: u64,
    /// Refusals and what is none of these.
    pub others: u64,
}

/// What all connections of the load share.
struct Shared {
    torrents: Vec<String>,
    rng: RefCell<fastrand::Rng>,
    received: Cell<Received>,
    /// Offers of an announce.
    offers: usize,
}

/// Twenty bytes as JSON text: byte n is the code point U+00nn.
fn id(rng: &mut fastrand::Rng) -> String {
    let mut text = String::with_capacity(40);
    for _ in 0..20 {
        match rng.u8(..) {
            quoted @ (b'"' | b'\\') => text.extend(['\\', char::from(quoted)]),
            control @ 0..0x20 => drop(write!(text, "\\u{control:04x}")),
            byte => text.push(char::from(byte)),
        }
    }
    text
}

/// Gamma(0.2) by Johnk's and Marsaglia's boost: exact enough to load one torrent far more than the others.
fn gamma(rng: &mut fastrand::Rng) -> f64 {
    const SHAPE: f64 = 0.2;
    // Ahrens and Dieter's GS for shapes below one.
    let bound = 1.0 + SHAPE / std::f64::consts::E;
    loop {
        let p = bound * rng.f64();
        if p <= 1.0 {
            let x = p.powf(1.0 / SHAPE);
            if rng.f64() <= (-x).exp() {
                return x;
            }
        } else {
            let x = -((bound - p) / SHAPE).ln();
            if rng.f64() <= x.powf(SHAPE - 1.0) {
                return x;
            }
        }
    }
}

fn torrent(rng: &mut fastrand::Rng) -> usize {
    let drawn = ((gamma(rng) * 100.0).min(101.0) - 1.0) / 100.0;
    (drawn * (TORRENTS - 1) as f64) as usize
}

/// The text of a field, escapes and all, so that it can be written again.
fn field<'a>(message: &'a str, name: &str) -> Option<&'a str> {
    let from = message.find(name)? + name.len();
    let rest = &message[from..];
    let mut escaped = false;
    let end = rest.bytes().position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })?;
    Some(&rest[..end])
}

/// A WebSocket to `server`, from `local` if that is not unspecified, with small buffers.
///
/// # Panics
/// When the server does not take it.
pub async fn connect(server: SocketAddr, local: Ipv4Addr) -> WebSocketStream<MaybeTlsStream<TcpStream>> {
    let socket = TcpSocket::new_v4().expect("a socket");
    if !local.is_unspecified() {
        socket.bind((local, 0).into()).expect("a port of a loopback address");
    }
    let stream = socket.connect(server).await.expect("the tracker listens");
    let _ = stream.set_nodelay(true);
    let mut config = WebSocketConfig::default();
    config.read_buffer_size = 4 * 1024;
    config.write_buffer_size = 0;
    let stream = MaybeTlsStream::Plain(stream);
    let url = format!("ws://{server}/");
    let (stream, _) = tokio_tungstenite::client_async_with_config(url, stream, Some(config))
        .await
        .expect("the tracker speaks WebSocket");
    stream
}

async fn browser(shared: Rc<Shared>, server: SocketAddr) {
    let mut stream = connect(server, Ipv4Addr::UNSPECIFIED).await;
    let own = id(&mut shared.rng.borrow_mut());
    let mut answer: Option<String> = None;
    loop {
        let message = answer.take().unwrap_or_else(|| {
            let rng = &mut *shared.rng.borrow_mut();
            let offers = shared.offers;
            let (left, event) = if rng.f64() < 0.25 { (0, "completed") } else { (50, "started") };
            let torrent = &shared.torrents[torrent(rng)];
            let mut message = format!(
                "{{\"action\":\"announce\",\"info_hash\":\"{torrent}\",\"peer_id\":\"{own}\",\"left\":{left},\
                 \"event\":\"{event}\",\"numwant\":{offers},\"offers\":["
            );
            for number in 0..offers {
                let comma = if number == 0 { "" } else { "," };
                let _ = write!(
                    message,
                    "{comma}{{\"offer_id\":\"{}\",\"offer\":{{\"type\":\"offer\",\"sdp\":\"{SDP}\"}}}}",
                    id(rng)
                );
            }
            message.push_str("]}");
            message
        });
        if stream.send(Message::text(message)).await.is_err() {
            return;
        }
        let text = loop {
            match stream.next().await {
                Some(Ok(Message::Text(text))) => break text,
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return,
            }
        };
        let mut received = shared.received.get();
        if text.contains("\"offer\":{") {
            received.offers += 1;
            let fields =
                ["\"info_hash\":\"", "\"peer_id\":\"", "\"offer_id\":\""].map(|name| field(&text, name));
            if let [Some(hash), Some(from), Some(offer)] = fields {
                answer = Some(format!(
                    "{{\"action\":\"announce\",\"info_hash\":\"{hash}\",\"peer_id\":\"{own}\",\"to_peer_id\":\"{from}\",\
                     \"offer_id\":\"{offer}\",\"answer\":{{\"type\":\"answer\",\"sdp\":\"{SDP}\"}},\"left\":50,\"numwant\":0}}"
                ));
            }
        } else if text.contains("\"answer\":{") {
            received.answers += 1;
        } else if text.contains("\"interval\":") {
            received.announced += 1;
        } else {
            received.others += 1;
        }
        shared.received.set(received);
    }
}

/// Loads `server` from `connections` browsers, with so many `offers` an announce, for `seconds` after all are connected; what
/// came a second in that time.
pub async fn browsers(server: SocketAddr, connections: usize, offers: usize, seconds: u64) -> Received {
    let seed =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(1, |at| at.subsec_nanos());
    let mut rng = fastrand::Rng::with_seed(seed.into());
    let torrents = (0..TORRENTS).map(|_| id(&mut rng)).collect();
    let received = Cell::new(Received::default());
    let shared = Rc::new(Shared { torrents, rng: RefCell::new(rng), received, offers });
    let local = tokio::task::LocalSet::new();
    local
        .run_until(async {
            for number in 0..connections {
                tokio::task::spawn_local(browser(shared.clone(), server));
                if number % 50 == 49 {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
            // Queues fill, swarms settle.
            tokio::time::sleep(Duration::from_secs(3)).await;
            shared.received.set(Received::default());
            let begun = Instant::now();
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            let (received, took) = (shared.received.get(), begun.elapsed().as_secs_f64());
            let rate = |count: u64| (count as f64 / took) as u64;
            Received {
                announced: rate(received.announced),
                offers: rate(received.offers),
                answers: rate(received.answers),
                others: rate(received.others),
            }
        })
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_fifths_of_the_announces_are_for_the_first_torrent() {
        let mut rng = fastrand::Rng::with_seed(1);
        let first = (0..10_000).filter(|_| torrent(&mut rng) == 0).count();
        assert!((3_500..5_200).contains(&first), "{first}");
    }

    #[test]
    fn a_field_is_taken_with_its_escapes() {
        assert_eq!(field(r#"{"peer_id":"a\"b\\","x":1}"#, "\"peer_id\":\""), Some(r#"a\"b\\"#));
    }
}
