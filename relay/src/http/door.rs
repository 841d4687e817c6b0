//! The trackers' HTTP, first thing on every connection: announces of classic clients are answered here at once.
//!
//! A busy tracker does little else, and most of what a general server does for a request is of no use to it. Only what is
//! plainly an announce is taken; everything else, and the connection with it, goes to the server ([`super::server`]) as
//! it came in.

use super::App;
use crate::budget::Sent;
use crate::tracker::http::{Families, Origin};
use crate::tracker::swarms::Drawn;
use crate::tracker::{Addresses, Tracker};
use anatomic_wire::tracker::announce::{AnnounceReply, AnnounceRequest};
use std::io::Write as _;
use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};

/// Longest head that is read here, in bytes; a longer one is no ordinary announce.
const MAX_HEAD: usize = 4_096;
/// Bytes that are read at once.
const CHUNK: usize = 1_024;
/// Headers of a request; who sends more is no ordinary client.
const MAX_HEADERS: usize = 24;
/// What announces begin with.
const BEGIN: &[u8] = b"GET /announce";

/// What a request turned out to be.
enum Found {
    /// More of it has to come.
    Part,
    /// Something for the server.
    Other,
    /// An announce, and the length of its head.
    Announce { length: usize, keep: bool },
}

/// Answers announces until the connection ends (`None`) or asks for something else: then the server has to go on, with
/// what was read of it.
pub(super) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    app: &App,
    mut stream: S,
    from: Addresses,
    patience: Duration,
) -> Option<Handed<S>> {
    // Behind a proxy the client's address is in a header, which the server reads.
    let tracker = app.tracker.as_deref().filter(|_| app.proxies.0.is_empty());
    let mut read = Vec::new();
    let sent = app.tracker.as_ref().map(|tracker| tracker.sent.clone()).unwrap_or_default();
    let Some(tracker) = tracker else { return Some(Handed { read, taken: 0, sent, stream }) };
    let (mut drawn, mut reply) = (Drawn::default(), Vec::new());
    loop {
        match look(app, tracker, from, &read, &mut drawn, &mut reply) {
            Found::Other => return Some(Handed { read, taken: 0, sent, stream }),
            Found::Announce { length, keep } => {
                let written = tokio::time::timeout(patience, stream.write_all(&reply)).await;
                tracker.sent.add(reply.len());
                if !keep || !matches!(written, Ok(Ok(()))) {
                    // The client reads to the end before the connection goes.
                    let _ = stream.shutdown().await;
                    return None;
                }
                read.drain(..length);
            }
            Found::Part => {
                read.reserve(CHUNK);
                match tokio::time::timeout(patience, stream.read_buf(&mut read)).await {
                    Ok(Ok(bytes)) if bytes > 0 => {}
                    _ => return None,
                }
            }
        }
    }
}

/// Reads one request and, if it is an announce for us, writes the answer into `reply`.
fn look(
    app: &App,
    tracker: &Tracker,
    from: Addresses,
    read: &[u8],
    drawn: &mut Drawn,
    reply: &mut Vec<u8>,
) -> Found {
    let known = read.len().min(BEGIN.len());
    if read.get(..known) != BEGIN.get(..known) || read.len() > MAX_HEAD {
        return Found::Other;
    }
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    let length = match request.parse(read) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Found::Part,
        Err(_) => return Found::Other,
    };
    let Some((path, query)) = request.path.and_then(|path| path.split_once('?')) else { return Found::Other };
    if !matches!(path, "/announce" | "/announce.php") || query == "ping=1" {
        return Found::Other;
    }
    let mut keep = request.version == Some(1);
    for header in request.headers.iter() {
        let name = header.name;
        if name.eq_ignore_ascii_case("connection") {
            if has(header.value, b"upgrade") {
                return Found::Other;
            }
            keep = (keep || has(header.value, b"keep-alive")) && !has(header.value, b"close");
        } else if ["content-length", "transfer-encoding", "expect"]
            .iter()
            .any(|body| name.eq_ignore_ascii_case(body))
        {
            return Found::Other;
        }
    }
    let client = from.remote.ip().to_canonical();
    let body = match AnnounceRequest::from_query(query) {
        Ok(request) if app.supernode.is_some() && !tracker.admission.admits(&request.info_hash) => {
            // Perhaps another node's.
            return Found::Other;
        }
        // Sent to a sister: the server says where.
        Ok(request) if tracker.handed_on(&request, client, query).is_some() => return Found::Other,
        Ok(request) => answer(tracker, &request, Origin { client, local: from.local }, client, drawn),
        Err(error) => AnnounceReply::refusal(&error.to_string()),
    };
    reply.clear();
    // Writing to a vector cannot fail.
    let _ = write!(
        reply,
        "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncache-control: no-store\r\ncontent-length: {}\r\n{}\r\n",
        body.len(),
        if keep { "" } else { "connection: close\r\n" }
    );
    reply.extend_from_slice(&body);
    Found::Announce { length, keep }
}

fn answer(
    tracker: &Tracker,
    request: &AnnounceRequest,
    origin: Origin,
    client: IpAddr,
    drawn: &mut Drawn,
) -> Vec<u8> {
    match tracker.announce(request, origin, Families::Both, drawn) {
        Ok(announced) => announced.encode(drawn, client),
        Err(reason) => AnnounceReply::refusal(&reason),
    }
}

/// Whether a list of words in a header has that one.
pub(super) fn has(value: &[u8], word: &[u8]) -> bool {
    value.split(|byte| *byte == b',').any(|item| item.trim_ascii().eq_ignore_ascii_case(word))
}

/// A connection whose first bytes were read already, and whose bytes are counted.
pub(super) struct Handed<S> {
    read: Vec<u8>,
    taken: usize,
    sent: Sent,
    stream: S,
}

impl<S> Handed<S> {
    fn count(&self, written: &Poll<std::io::Result<usize>>) {
        if let Poll::Ready(Ok(bytes)) = written {
            self.sent.add(*bytes);
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Handed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let Self { read, taken, stream, .. } = &mut *self;
        let rest = read.get(*taken..).unwrap_or_default();
        if rest.is_empty() {
            return Pin::new(stream).poll_read(cx, into);
        }
        let count = rest.len().min(into.remaining());
        into.put_slice(rest.get(..count).unwrap_or_default());
        *taken += count;
        if *taken == read.len() {
            // It may stay open for hours.
            (*read, *taken) = (Vec::new(), 0);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Handed<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.count(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bytes);
        self.count(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_header_are_told_apart() {
        assert!(has(b"keep-alive, Upgrade", b"upgrade"));
        assert!(!has(b"upgraded", b"upgrade") && !has(b"", b"close"));
    }
}
