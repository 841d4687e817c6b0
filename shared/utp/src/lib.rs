//! uTP, the transport over UDP that steps back when the line is full ([BEP 29]), without I/O.
//!
//! An [`Endpoint`] is all connections of one UDP socket. It knows no socket, clock or random device, and no BitTorrent: to
//! the engine a connection is one more stream of bytes. Tabs have no UDP, so nothing of this is in the page.
//!
//! # The contract
//! Call any command or `handle_*`, then [`Endpoint::poll_event`] and [`Endpoint::poll_transmit`] until `None`, then sleep
//! until [`Endpoint::poll_timeout`] (and then call [`Endpoint::handle_timeout`]) or until a datagram comes.
//!
//! - **Connections** begin with [`Endpoint::connect`], or with [`Event::Accepted`]. A [`Key`] lives until
//!   [`Endpoint::close`], also when the connection is over by itself; using it later does nothing.
//! - **Bytes in**: [`Event::Readable`], then [`Endpoint::read`]. Not reading closes the remote's window.
//! - **Bytes out**: [`Endpoint::room`], [`Endpoint::write`]; [`Event::Writable`] says that there is room again.
//!
//! # Where it goes beyond the BEP
//! - Losses are found by the order of sending and by time ([RFC 8985]) besides three later acknowledgements, and the last
//!   packet is repeated before the timeout.
//! - The size of packets is searched with filler in an extension ([RFC 8899]): a lost probe loses no data, and no fragmenting
//!   is asked of anybody.
//! - A stranger costs 48 bytes until it has acknowledged our random sequence number: a forged source gets no connection.
//! - The window starts with ten packets ([RFC 6928]); after that LEDBAT as in BEP 29 and [RFC 6817], with slow start.
//!
//! [BEP 29]: https://www.bittorrent.org/beps/bep_0029.html
//! [RFC 6817]: https://www.rfc-editor.org/rfc/rfc6817
//! [RFC 6928]: https://www.rfc-editor.org/rfc/rfc6928
//! [RFC 8899]: https://www.rfc-editor.org/rfc/rfc8899
//! [RFC 8985]: https://www.rfc-editor.org/rfc/rfc8985
#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod config;
mod connection;
mod delay;
mod endpoint;
mod ledbat;
mod lobby;
mod mtu;
pub mod packet;
mod receive;
mod rtt;
mod send;
mod sequence;
#[cfg(test)]
mod tests;

pub use config::Config;
pub use connection::{CloseReason, Counters};
pub use endpoint::{Endpoint, Event, Key, Read};
