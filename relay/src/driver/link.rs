//! One connection to a peer: a socket or a data channel, pumped by a task of its own.
//!
//! Knows no message. The engine's task writes to it directly, since a write seldom waits; reading, and waiting for
//! room, is the pump's part, so that a connection costs the engine's task nothing while it is quiet.

use crate::budget::Sent;
use crate::{utp, webrtc};
use anatomic_engine::PeerKey;
use anatomic_wire::mse::Rc4;
use bytes::{Bytes, BytesMut};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::sync::mpsc::Sender;

/// Smallest and largest read, in bytes. Large reads make few wake-ups; small ones keep idle peers cheap.
const READ: std::ops::RangeInclusive<usize> = (16 * 1024)..=(256 * 1024);
/// Room for the first bytes of a connection: handshakes.
const FIRST: usize = 1024;
/// Bytes that wait in a socket before it counts as full: enough for a fast path, little enough that a choke or a
/// cancel still means something.
const UNSENT: u32 = 256 * 1024;

/// What a pump tells the engine's task.
#[derive(Debug)]
pub(super) enum Heard {
    /// Bytes came.
    Received(PeerKey, Bytes),
    /// There is room again, after [`Link::wait_for_room`].
    Room(PeerKey),
    /// The connection is over.
    Closed(PeerKey),
}

/// A connection.
#[derive(Debug)]
pub(super) struct Link {
    carrier: Carrier,
    paused: AtomicBool,
    full: AtomicBool,
    closing: AtomicBool,
    changed: Notify,
    /// Counts what goes over TCP; other carriers count themselves.
    sent: Sent,
}

/// What carries the bytes.
#[derive(Debug)]
pub(crate) enum Carrier {
    Tcp(TcpStream),
    Utp(utp::Connection),
    WebRtc(webrtc::Connection),
}

/// How a flush ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Flushed {
    /// Everything was taken.
    All,
    /// There is no more room now.
    Full,
    /// The connection is over.
    Over,
}

/// Bytes on their way to a link.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    /// What they are encrypted with.
    cipher: Option<Box<Rc4>>,
    /// What the engine wrote; empty once everything was taken.
    pub(super) bytes: Vec<u8>,
    /// How many of them were taken.
    at: usize,
}

impl Carrier {
    /// Appends what came; 0 at the end of the stream. Only before there is a [`Link`], of what carries a stream.
    pub(super) async fn read(&self, into: &mut BytesMut) -> io::Result<usize> {
        let stream = match self {
            Self::Tcp(stream) => stream,
            Self::Utp(connection) => {
                let bytes = connection.recv().await.unwrap_or_default();
                into.extend_from_slice(&bytes);
                return Ok(bytes.len());
            }
            Self::WebRtc(_) => return Err(io::ErrorKind::Unsupported.into()),
        };
        into.reserve(FIRST);
        loop {
            stream.readable().await?;
            match stream.try_read_buf(into) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return result,
            }
        }
    }

    /// Sends everything. Only before there is a [`Link`], over what carries a stream.
    pub(super) async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let written = match self {
                Self::Tcp(stream) => {
                    stream.writable().await?;
                    stream.try_write(bytes)
                }
                Self::Utp(connection) => {
                    connection.writable().await;
                    match connection.is_over() {
                        true => Err(io::ErrorKind::ConnectionReset.into()),
                        false => Ok(connection.write(bytes)),
                    }
                }
                Self::WebRtc(_) => Err(io::ErrorKind::Unsupported.into()),
            };
            match written {
                Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl Outbox {
    pub(super) fn new(cipher: Option<Box<Rc4>>) -> Self {
        Self { cipher, ..Self::default() }
    }

    /// Encrypts what the engine wrote; to be called once for all that is in it.
    pub(super) fn encrypt(&mut self) {
        if let Some(cipher) = &mut self.cipher {
            cipher.apply(&mut self.bytes);
        }
    }
}

impl Link {
    pub(super) fn new(carrier: Carrier, sent: Sent) -> Arc<Self> {
        if let Carrier::Tcp(stream) = &carrier {
            // Both only tune; a system without them still works.
            let _ = stream.set_nodelay(true);
            let _ = socket2::SockRef::from(stream).set_tcp_notsent_lowat(UNSENT);
        }
        Arc::new(Self {
            carrier,
            paused: AtomicBool::new(false),
            full: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            changed: Notify::new(),
            sent,
        })
    }

    /// How many bytes are worth preparing now; `None` if the carrier would not take a block.
    pub(super) fn room(&self) -> Option<usize> {
        match &self.carrier {
            Carrier::Tcp(_) => Some(UNSENT as usize / 2),
            Carrier::Utp(connection) => {
                Some(connection.room()).filter(|room| *room >= anatomic_engine::MIN_ROOM)
            }
            Carrier::WebRtc(channel) => {
                Some(channel.room()).filter(|room| *room >= anatomic_engine::MIN_ROOM)
            }
        }
    }

    /// Sends what fits of what waits.
    pub(super) fn flush(&self, outbox: &mut Outbox) -> Flushed {
        while outbox.at < outbox.bytes.len() {
            let rest = outbox.bytes.get(outbox.at..).unwrap_or_default();
            match &self.carrier {
                Carrier::Tcp(stream) => match stream.try_write(rest) {
                    Ok(0) => return Flushed::Over,
                    Ok(count) => {
                        self.sent.add(count);
                        outbox.at += count;
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Flushed::Full,
                    Err(_) => return Flushed::Over,
                },
                Carrier::Utp(connection) => match connection.write(rest) {
                    0 if connection.is_over() => return Flushed::Over,
                    0 => return Flushed::Full,
                    count => outbox.at += count,
                },
                Carrier::WebRtc(channel) => {
                    if channel.close_reason().is_some() {
                        return Flushed::Over;
                    }
                    let count = rest.len().min(channel.room());
                    if count == 0 {
                        return Flushed::Full;
                    }
                    let now = if count == outbox.bytes.len() {
                        Bytes::from(std::mem::take(&mut outbox.bytes))
                    } else {
                        Bytes::copy_from_slice(rest.get(..count).unwrap_or_default())
                    };
                    match channel.try_send(now) {
                        Ok(()) => outbox.at += count,
                        // Nobody else sends on this channel, and room only grows.
                        Err(_) => return Flushed::Over,
                    }
                }
            }
        }
        outbox.bytes.clear();
        outbox.at = 0;
        Flushed::All
    }

    /// Has the pump say [`Heard::Room`] once there is room.
    pub(super) fn wait_for_room(&self) {
        self.full.store(true, Ordering::Release);
        self.changed.notify_one();
    }

    /// Stops or goes on reading.
    pub(super) fn pause(&self, paused: bool) {
        self.paused.store(paused, Ordering::Release);
        self.changed.notify_one();
    }

    /// Ends the connection; the pump says nothing more.
    pub(super) fn close(&self) {
        self.closing.store(true, Ordering::Release);
        if let Carrier::WebRtc(channel) = &self.carrier {
            channel.close();
        }
        self.changed.notify_one();
    }

    /// What the pump should wait for now: reading, writing.
    fn wanted(&self) -> (bool, bool) {
        (!self.paused.load(Ordering::Acquire), self.full.load(Ordering::Acquire))
    }

    fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }
}

/// Where a pump brings what it hears. Its methods give false when the driver is gone.
#[derive(Debug)]
pub(super) struct Ear {
    pub(super) peer: PeerKey,
    pub(super) to: Sender<Heard>,
    /// What the other side encrypts with.
    pub(super) cipher: Option<Box<Rc4>>,
}

impl Ear {
    async fn received(&mut self, bytes: impl Into<BytesMut> + Into<Bytes>) -> bool {
        let bytes = match &mut self.cipher {
            Some(cipher) => {
                let mut bytes: BytesMut = bytes.into();
                cipher.apply(&mut bytes);
                bytes.freeze()
            }
            None => bytes.into(),
        };
        self.to.send(Heard::Received(self.peer, bytes)).await.is_ok()
    }

    async fn room(&self) -> bool {
        self.to.send(Heard::Room(self.peer)).await.is_ok()
    }
}

/// Pumps a connection until it is over or closed.
pub(super) async fn pump(link: Arc<Link>, mut ear: Ear) {
    match &link.carrier {
        Carrier::Tcp(stream) => pump_tcp(&link, stream, &mut ear).await,
        Carrier::Utp(connection) => pump_channel(&link, connection, &mut ear).await,
        Carrier::WebRtc(channel) => pump_channel(&link, channel, &mut ear).await,
    }
    if !link.is_closing() {
        // The receiver is gone only when the driver is.
        let _ = ear.to.send(Heard::Closed(ear.peer)).await;
    }
}

async fn pump_tcp(link: &Link, stream: &TcpStream, ear: &mut Ear) {
    let mut buffer = BytesMut::new();
    let mut size = *READ.start();
    while !link.is_closing() {
        let interest = match link.wanted() {
            (true, true) => Interest::READABLE | Interest::WRITABLE,
            (true, false) => Interest::READABLE,
            (false, true) => Interest::WRITABLE,
            (false, false) => {
                link.changed.notified().await;
                continue;
            }
        };
        let ready = tokio::select! {
            biased;
            () = link.changed.notified() => continue,
            ready = stream.ready(interest) => ready,
        };
        let Ok(ready) = ready else { return };
        if ready.is_writable() && link.full.swap(false, Ordering::AcqRel) && !ear.room().await {
            return;
        }
        if !ready.is_readable() || link.paused.load(Ordering::Acquire) {
            continue;
        }
        // Room is kept until it is used up: the blocks cut from it share one allocation.
        if buffer.capacity() < *READ.start() {
            buffer = BytesMut::with_capacity(size);
        }
        let room = buffer.capacity();
        match stream.try_read_buf(&mut buffer) {
            Ok(0) => return,
            Ok(count) => {
                if count == room {
                    size = (size * 2).min(*READ.end());
                } else if count < size / 8 {
                    size = (size / 2).max(*READ.start());
                }
                if !ear.received(buffer.split()).await {
                    return;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}

/// What carries a stream and tells itself when it can be read or written.
trait Channel {
    /// The next bytes; `None` if nothing comes any more.
    async fn recv(&self) -> Option<Bytes>;
    /// Waits for room, or for the end.
    async fn writable(&self);
    fn is_over(&self) -> bool;
}

impl Channel for webrtc::Connection {
    async fn recv(&self) -> Option<Bytes> {
        self.recv().await
    }

    async fn writable(&self) {
        self.writable().await;
    }

    fn is_over(&self) -> bool {
        self.close_reason().is_some()
    }
}

impl Channel for utp::Connection {
    async fn recv(&self) -> Option<Bytes> {
        self.recv().await
    }

    async fn writable(&self) {
        self.writable().await;
    }

    fn is_over(&self) -> bool {
        self.is_over()
    }
}

async fn pump_channel(link: &Link, channel: &impl Channel, ear: &mut Ear) {
    while !link.is_closing() {
        let (read, write) = link.wanted();
        tokio::select! {
            () = link.changed.notified() => {}
            bytes = channel.recv(), if read => {
                let Some(bytes) = bytes else { return };
                if !ear.received(bytes).await {
                    return;
                }
            }
            () = channel.writable(), if write => {
                if channel.is_over() {
                    return;
                }
                link.full.store(false, Ordering::Release);
                if !ear.room().await {
                    return;
                }
            }
        }
    }
}
