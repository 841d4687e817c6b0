//! What the driver needs of a WebRTC protocol stack: one connection with one data channel, without I/O.
//!
//! Not the stack itself: [`super::rtc_core`] implements it over the `rtc` crate; `str0m` has nearly the same shape and
//! could replace it. A core never sees a stranger's session description, only what [`super::sdp`] wrote anew.

use std::net::SocketAddr;
use std::time::Instant;

use bytes::{Bytes, BytesMut};

use super::certificate::Certificate;
use super::sdp::{Description, Setup};

/// A core's complaint; ends its connection and nothing else.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub(super) struct CoreError(pub(super) String);

/// How a core is made.
#[derive(Clone)]
pub(super) struct CoreConfig {
    pub(super) certificate: Certificate,
    /// Answer checks, send none of our own.
    pub(super) ice_lite: bool,
    /// One address of the socket for each family it speaks; a name for "our side", never sent to anybody.
    pub(super) local: Vec<SocketAddr>,
    /// Bytes that the remote may send before we read them.
    pub(super) receive_window: u32,
}

/// Our half of the negotiation, as the core chose it.
#[derive(Debug, Clone)]
pub(super) struct LocalParameters {
    pub(super) ufrag: String,
    pub(super) pwd: String,
    pub(super) fingerprint_hash: String,
    pub(super) fingerprint: String,
    pub(super) setup: Setup,
}

/// One datagram to be sent.
pub(super) struct Outgoing {
    pub(super) to: SocketAddr,
    pub(super) bytes: BytesMut,
}

/// What happened inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum CoreEvent {
    /// The data channel is open both ways.
    Opened,
    /// The remote closed, or the path is gone; the reason is for people.
    Closed(String),
}

/// One connection's protocol state. Call any `handle_*` or command, then drain every `poll_*`.
pub(super) trait Core {
    /// Our credentials, for the session description we send.
    fn local(&self) -> &LocalParameters;
    /// Takes the reply to an offer of ours; `candidates` are the addresses that policy lets us try.
    fn accept_answer(
        &mut self,
        now: Instant,
        answer: &Description,
        candidates: &[SocketAddr],
    ) -> Result<(), CoreError>;
    /// A datagram arrived.
    fn handle_datagram(&mut self, now: Instant, from: SocketAddr, datagram: BytesMut);
    /// The time of [`Self::poll_timeout`] has come.
    fn handle_timeout(&mut self, now: Instant);
    /// When to call [`Self::handle_timeout`].
    fn poll_timeout(&mut self) -> Option<Instant>;
    /// The next datagram to send.
    fn poll_transmit(&mut self) -> Option<Outgoing>;
    /// The next event.
    fn poll_event(&mut self) -> Option<CoreEvent>;
    /// The next message received. Not calling it closes the remote's send window.
    fn poll_message(&mut self) -> Option<Bytes>;
    /// Bytes given to [`Self::send`] that the remote has not acknowledged.
    fn outstanding(&mut self) -> usize;
    /// Queues one message.
    fn send(&mut self, now: Instant, message: BytesMut) -> Result<(), CoreError>;
    /// Ends the connection; farewell datagrams wait in [`Self::poll_transmit`].
    fn close(&mut self);
}
