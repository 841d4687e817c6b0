//! A peer that keeps the protocol and lies about the content: TCP, plain, says it has everything.
//!
//! Our own because no real client lies on request. It shares no code with the engine, so that both
//! cannot be wrong in the same way; it knows only what [BEP 3] has.
//!
//! [BEP 3]: https://www.bittorrent.org/beps/bep_0003.html

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// What the liar knows of the torrent.
#[derive(Debug, Clone)]
pub struct Shares {
    /// v1 info-hash in hexadecimal.
    pub info_hash: String,
    /// Bytes of content.
    pub length: u64,
    /// Bytes of a piece.
    pub piece: u64,
    /// Every how many blocks it lies: 1 is always.
    pub lie_every: u64,
}

/// What has happened to the liar.
#[derive(Debug, Default)]
pub struct Counters {
    /// Connections whose handshake named the torrent.
    pub handshakes: AtomicU64,
    /// Blocks sent.
    pub blocks: AtomicU64,
    /// Blocks sent that were wrong.
    pub lies: AtomicU64,
    /// Connections that the other side ended.
    pub closed: AtomicU64,
}

impl Counters {
    /// Handshakes, blocks, lies, closed connections.
    #[must_use]
    pub fn now(&self) -> (u64, u64, u64, u64) {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (read(&self.handshakes), read(&self.blocks), read(&self.lies), read(&self.closed))
    }
}

/// A running liar. Dropping it stops it.
pub struct Liar {
    port: u16,
    counters: Arc<Counters>,
    shares: Shares,
    content: Arc<File>,
    _tasks: JoinSet<()>,
}

impl Liar {
    /// Listens on 127.0.0.1 and announces itself as a seed to `tracker` every two seconds.
    ///
    /// # Panics
    /// When the content cannot be read or no port is free.
    pub async fn start(shares: Shares, content: &Path, tracker: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let content = Arc::new(File::open(content).expect("the content"));
        let counters = Arc::new(Counters::default());
        let mut tasks = JoinSet::new();
        tasks.spawn(announce(format!("{tracker}?{}", query(&shares.info_hash, port))));
        tasks.spawn({
            let (shares, content, counters) = (shares.clone(), Arc::clone(&content), Arc::clone(&counters));
            async move {
                let mut connections = JoinSet::new();
                while let Ok((socket, _)) = listener.accept().await {
                    connections.spawn(serve(
                        socket,
                        shares.clone(),
                        Arc::clone(&content),
                        Arc::clone(&counters),
                    ));
                }
            }
        });
        Self { port, counters, shares, content, _tasks: tasks }
    }

    /// The port where it listens, on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What has happened so far.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Dials `address` itself and serves lies there until the other side ends it; whether that side
    /// answered the handshake.
    pub async fn dial(&self, address: &str) -> bool {
        let Ok(socket) = TcpStream::connect(address).await else { return false };
        let before = self.counters.handshakes.load(Ordering::Relaxed);
        let serve = serve(socket, self.shares.clone(), Arc::clone(&self.content), Arc::clone(&self.counters));
        let _ = tokio::time::timeout(Duration::from_secs(10), serve).await;
        self.counters.handshakes.load(Ordering::Relaxed) > before
    }
}

fn query(info_hash: &str, port: u16) -> String {
    let hash: String = unhex(info_hash).iter().map(|byte| format!("%{byte:02x}")).collect();
    format!(
        "info_hash={hash}&peer_id=-XX0001-liarliarliar&port={port}&uploaded=0&downloaded=0&left=0\
         &compact=1&event=started"
    )
}

async fn announce(url: String) {
    let client = crate::web::client();
    loop {
        let _ = client.get(&url).send().await;
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}

async fn serve(mut socket: TcpStream, shares: Shares, content: Arc<File>, counters: Arc<Counters>) {
    if talk(&mut socket, &shares, &content, &counters).await.is_err() {
        counters.closed.fetch_add(1, Ordering::Relaxed);
    }
}

async fn talk(
    socket: &mut TcpStream,
    shares: &Shares,
    content: &File,
    counters: &Counters,
) -> std::io::Result<()> {
    let hash = unhex(&shares.info_hash);
    let mut hello = b"\x13BitTorrent protocol\0\0\0\0\0\0\0\0".to_vec();
    hello.extend(&hash);
    hello.extend(b"-XX0001-liarliarliar");
    socket.write_all(&hello).await?;
    let mut theirs = [0; 68];
    socket.read_exact(&mut theirs).await?;
    if theirs[..20] != hello[..20] || theirs[28..48] != hash {
        return Ok(());
    }
    counters.handshakes.fetch_add(1, Ordering::Relaxed);
    let pieces = shares.length.div_ceil(shares.piece);
    let mut bits = vec![0_u8; pieces.div_ceil(8) as usize];
    for piece in 0..pieces {
        bits[(piece / 8) as usize] |= 0x80 >> (piece % 8);
    }
    send(socket, 5, &bits).await?;
    loop {
        let length = socket.read_u32().await? as usize;
        if length == 0 {
            continue;
        }
        if length > 1 << 20 {
            return Ok(());
        }
        let mut message = vec![0; length];
        socket.read_exact(&mut message).await?;
        match message[0] {
            2 => send(socket, 1, &[]).await?,
            6 if length == 13 => {
                let word = |at: usize| u32::from_be_bytes([0, 1, 2, 3].map(|i| message[at + i]));
                let (piece, begin, size) = (word(1), word(5), word(9));
                let offset = u64::from(piece) * shares.piece + u64::from(begin);
                let mut block = vec![0; size as usize];
                content.read_exact_at(&mut block, offset)?;
                let number = counters.blocks.fetch_add(1, Ordering::Relaxed);
                if number.is_multiple_of(shares.lie_every) {
                    counters.lies.fetch_add(1, Ordering::Relaxed);
                    for byte in &mut block {
                        *byte ^= 0x55;
                    }
                }
                let mut body = message[1..9].to_vec();
                body.extend(block);
                send(socket, 7, &body).await?;
            }
            _ => {}
        }
    }
}

async fn send(socket: &mut TcpStream, id: u8, body: &[u8]) -> std::io::Result<()> {
    let mut message = (body.len() as u32 + 1).to_be_bytes().to_vec();
    message.push(id);
    message.extend(body);
    socket.write_all(&message).await
}

/// The bytes that hexadecimal digits stand for.
fn unhex(digits: &str) -> Vec<u8> {
    (0..digits.len() / 2)
        .map(|at| u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).expect("hexadecimal"))
        .collect()
}
