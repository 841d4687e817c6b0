//! A connection whose sent bytes count towards the budgets.
//!
//! For connections that we open; those that are accepted are counted by the HTTP server.

use super::Sent;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A connection that counts what is written to it.
#[derive(Debug)]
pub struct Counted<S> {
    stream: S,
    sent: Sent,
}

impl<S> Counted<S> {
    /// Counts from now on.
    pub const fn new(stream: S, sent: Sent) -> Self {
        Self { stream, sent }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        if let Poll::Ready(Ok(bytes)) = &written {
            self.sent.add(*bytes);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    #[tokio::test]
    async fn what_is_sent_over_a_connection_that_we_opened_is_counted() {
        let (one, mut other) = tokio::io::duplex(1_024);
        let sent = Sent::default();
        let mut counted = Counted::new(one, sent.clone());
        counted.write_all(&[0; 700]).await.unwrap();
        other.write_all(&[0; 50]).await.unwrap();
        counted.read_exact(&mut [0; 50]).await.unwrap();
        assert_eq!(sent.total(), 700);
    }
}
