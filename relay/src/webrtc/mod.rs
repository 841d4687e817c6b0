//! A native WebRTC data-channel endpoint: every connection of the node on one UDP port.
//!
//! Not a general WebRTC library: no media, one ordered reliable data channel a connection, used as a stream of bytes.
//! What is signalled (offers, answers) is text that the caller passes on: through a WebSocket tracker, an HTTP request
//! or another data channel.
//!
//! ```no_run
//! use anatomic_relay::webrtc::{Endpoint, EndpointConfig};
//! # async fn example(offer_from_a_browser: &str) -> Result<(), Box<dyn std::error::Error>> {
//! let endpoint = Endpoint::bind(EndpointConfig::new("0.0.0.0:6969".parse()?))?;
//!
//! // Answer an offer: the answer is complete (no trickling) and goes back by the way the offer came.
//! let (answer_sdp, pending) = endpoint.answer(offer_from_a_browser).await?;
//! # let _ = answer_sdp;
//! let connection = pending.opened().await?;
//!
//! // Transmit is pulled: ask for room, fill it, wait for more. Not receiving closes the remote's window.
//! loop {
//!     tokio::select! {
//!         bytes = connection.recv() => match bytes {
//!             Some(bytes) => drop(bytes), // to the engine
//!             None => break,              // over: connection.close_reason()
//!         },
//!         () = connection.writable() => {
//!             let room = connection.room(); // the engine's budget
//!             # let _ = room;
//!             connection.try_send("up to `room` bytes".into())?;
//!         }
//!     }
//! }
//!
//! // Or make the offer ourselves.
//! let (offer_sdp, pending) = endpoint.offer().await?;
//! # let _ = offer_sdp;
//! # let answer_from_remote = "";
//! let connection = pending.accept_answer(answer_from_remote).await?.opened().await?;
//! # drop(connection);
//! # Ok(())
//! # }
//! ```
//!
//! The same port answers plain STUN binding requests, so that pages need no third party's STUN server.
//!
//! Inside: [`endpoint`](Endpoint) (negotiation) and `driver` (the task: socket, routing, turns) know connections;
//! `session` is one connection in the driver, `connection` its handle; `window` decides how much may be on its way;
//! `core` is the protocol stack behind a trait and `rtc_core` its implementation; `sdp` and `stun` read strangers' bytes.

mod addresses;
mod certificate;
mod config;
mod connection;
mod core;
mod counters;
mod driver;
mod endpoint;
mod outbound;
mod rtc_core;
mod sdp;
mod session;
mod stun;
mod window;

pub use certificate::{Certificate, CertificateError};
pub use config::{AddressPolicy, EndpointConfig, Limits, any_unicast};
pub use connection::{CloseReason, Connection, Facts, Pending, SendError};
pub use counters::Counters;
pub use endpoint::{Endpoint, NegotiationError, PendingOffer};
pub use sdp::{Description, PeerKind, SdpError, Setup};
