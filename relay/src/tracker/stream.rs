//! A browser's WebSocket that holds no buffers while nothing comes: thousands of tabs are silent most of the time.
//!
//! The library keeps its buffers as large as they once were (12 KiB after an announce with two offers). Where nothing is
//! left in them they are exchanged for new ones, which are empty. What is said over the socket is [`super::socket`]'s
//! business.

use anatomic_wire::tracker::websocket::MAX_MESSAGE_LEN;
use futures_util::{SinkExt as _, StreamExt as _};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

/// Bytes that are read at once into an empty buffer; what a longer message lacks is then read at once.
const READ: usize = 512;
/// What is written gathers up to this length, and is then sent.
const WRITE: usize = 8 * 1024;
/// Most that a slow socket may hold.
const MOST_UNSENT: usize = 256 * 1024;

/// What a browser's WebSocket runs over.
pub type Raw = TokioIo<Upgraded>;

/// The WebSocket.
pub struct Stream<S> {
    /// Always there but while it is exchanged.
    socket: Option<WebSocketStream<Counted<S>>>,
    /// Least length that the frames of all messages had which were taken out of the buffers.
    taken: u64,
    /// Whether something went through the buffers since they were new.
    used: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream<S> {
    /// A WebSocket of a client that was told yes ([`crate::http::upgrade`]).
    pub async fn new(raw: S) -> Self {
        Self { socket: Some(wrap(Counted { raw, read: 0 }).await), taken: 0, used: false }
    }

    /// The next message; `None` at the end, whatever brought it about.
    pub async fn next(&mut self) -> Option<Message> {
        let message = self.socket.as_mut()?.next().await?.ok()?;
        self.used = true;
        self.taken += shortest_frame(&message);
        Some(message)
    }

    /// Queues a message.
    ///
    /// # Errors
    /// When the socket is broken, or holds more than it may.
    pub async fn feed(&mut self, message: Message) -> Result<(), Error> {
        self.used = true;
        match &mut self.socket {
            Some(socket) => socket.feed(message).await,
            None => Err(Error::ConnectionClosed),
        }
    }

    /// Sends what is queued.
    ///
    /// # Errors
    /// When the socket is broken.
    pub async fn flush(&mut self) -> Result<(), Error> {
        match &mut self.socket {
            Some(socket) => socket.flush().await,
            None => Err(Error::ConnectionClosed),
        }
    }

    /// Whether [`Self::shed`] may free something.
    pub const fn is_used(&self) -> bool {
        self.used
    }

    /// Lets go of the buffers, if nothing is in them.
    ///
    /// To be called after [`Self::flush`]. A message's frames are at least as long as the shortest frame for it, so if all
    /// bytes that came in are those of the shortest frames, then none is left, nor is a message half read.
    pub async fn shed(&mut self) {
        self.used = false;
        let came = self.socket.as_ref().map(|socket| socket.get_ref().read);
        if came == Some(self.taken)
            && let Some(socket) = self.socket.take()
        {
            self.socket = Some(wrap(socket.into_inner()).await);
        }
    }
}

async fn wrap<S: AsyncRead + AsyncWrite + Unpin>(raw: Counted<S>) -> WebSocketStream<Counted<S>> {
    let config = WebSocketConfig::default()
        .max_message_size(Some(MAX_MESSAGE_LEN))
        .max_frame_size(Some(MAX_MESSAGE_LEN))
        .read_buffer_size(READ)
        .write_buffer_size(WRITE)
        .max_write_buffer_size(MOST_UNSENT);
    WebSocketStream::from_raw_socket(raw, Role::Server, Some(config)).await
}

/// Length of the shortest frame of a client that holds a message (RFC 6455, 5.2): head, mask and payload.
fn shortest_frame(message: &Message) -> u64 {
    let payload = message.len() as u64;
    let length = match payload {
        0..=125 => 0,
        126..=0xffff => 2,
        _ => 8,
    };
    2 + 4 + length + payload
}

/// Counts what is read.
struct Counted<S> {
    raw: S,
    read: u64,
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        ready!(Pin::new(&mut self.raw).poll_read(cx, into))?;
        self.read += (into.filled().len() - before) as u64;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.raw).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.raw).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.raw).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt as _;

    /// A frame of a client with a mask of zeros; `fin` unless more frames of the message follow.
    fn frame(op: u8, fin: bool, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![op | u8::from(fin) << 7];
        match payload.len() {
            length @ 0..=125 => frame.push(0x80 | length as u8),
            length => {
                frame.push(0x80 | 126);
                frame.extend_from_slice(&(length as u16).to_be_bytes());
            }
        }
        frame.extend_from_slice(&[0; 4]);
        frame.extend_from_slice(payload);
        frame
    }

    #[tokio::test]
    async fn nothing_is_lost_when_buffers_are_shed_at_any_byte() {
        let long = vec![b'x'; 3_000];
        let mut wire = frame(1, true, &long);
        wire.extend(frame(9, true, b"ping"));
        wire.extend(frame(1, false, b"in "));
        wire.extend(frame(0, true, b"two parts"));
        wire.extend(frame(1, true, b"last"));
        for cut in 0..=wire.len() {
            let (mut client, server) = tokio::io::duplex(1 << 16);
            let mut stream = Stream::new(server).await;
            let (first, rest) = wire.split_at(cut);
            let mut said = Vec::new();
            let mut sheds = 0;
            for part in [first, rest] {
                client.write_all(part).await.unwrap();
                while let Ok(message) = tokio::time::timeout(std::time::Duration::ZERO, stream.next()).await {
                    if let Message::Text(text) = message.expect("the stream goes on") {
                        said.push(text.as_str().to_owned());
                    }
                    stream.flush().await.unwrap();
                }
                let before = stream.taken;
                stream.shed().await;
                sheds += u32::from(before == stream.socket.as_ref().unwrap().get_ref().read);
            }
            assert_eq!(said.len(), 3, "cut at {cut}");
            assert_eq!(said[0].len(), long.len());
            assert_eq!(said[1..], ["in two parts", "last"]);
            assert!(cut != 3_008 || sheds == 1, "shed between two messages");
        }
    }
}
