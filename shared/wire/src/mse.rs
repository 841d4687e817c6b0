//! Message stream encryption (MSE, also called protocol encryption): how two peers agree on a key before the BitTorrent
//! handshake, so that what follows looks like noise. Many clients take no other connections.
//!
//! It hides the protocol from networks that slow it down; it proves nobody's identity and protects no bytes from change.
//! No socket, clock or random device is here: [`Dialler`] and [`Acceptor`] are given bytes and give bytes back.
//!
//! ```text
//! 1 A->B: Ya, PadA                                  A dialled; Y are Diffie-Hellman keys, pads 0 to 512 bytes
//! 2 B->A: Yb, PadB
//! 3 A->B: HASH("req1", S), HASH("req2", SKEY) xor HASH("req3", S),
//!         ENCRYPT(VC, crypto_provide, len(PadC), PadC, len(IA)), ENCRYPT(IA)
//! 4 B->A: ENCRYPT(VC, crypto_select, len(PadD), PadD), ENCRYPT2(payload)
//! 5 A->B: ENCRYPT2(payload)
//! ```
//! S is the common secret, SKEY the info-hash, VC eight zero bytes, IA the dialler's first payload. ENCRYPT is RC4 whose
//! first 1,024 bytes are thrown away, ENCRYPT2 what B selected: RC4, or nothing at all. The document is Azureus' "Message
//! Stream Encryption", which all clients follow and no BEP repeats.

mod acceptor;
mod dialler;
mod exchange;
mod inbox;
mod rc4;
#[cfg(test)]
mod tests;

pub use acceptor::Acceptor;
pub use dialler::Dialler;
pub use exchange::{Ciphers, hidden};
pub use rc4::Rc4;

use crate::handshake::PROTOCOL;
use anatomic_core::{InfoHash, Sha1Hash};

use thiserror::Error;

/// Longest padding, in bytes.
pub const MAX_PAD: usize = 512;
/// Random bytes of a secret exponent: 160 bits, as the document advises.
pub const SECRET_LEN: usize = 20;
/// Longest first payload (IA) taken from a dialler: far more than a handshake, and far less than 65,535.
const MAX_INITIAL: usize = 8 * 1024;
/// What follows the handshake is not encrypted (`crypto_provide`, `crypto_select`).
const PLAIN: u32 = 1;
/// What follows the handshake is encrypted by RC4.
const RC4: u32 = 2;
/// The verification constant.
const VC: [u8; 8] = [0; 8];

/// How a connection begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Beginning {
    /// With a BitTorrent handshake.
    Plain,
    /// With something else: noise, if it is a peer.
    Mse,
    /// There are too few bytes to tell.
    Unclear,
}

/// Tells from the first bytes of an accepted connection what it is.
#[must_use]
pub fn beginning(bytes: &[u8]) -> Beginning {
    let same = bytes.iter().zip(PROTOCOL).take_while(|(got, plain)| got == plain).count();
    match same {
        _ if same == PROTOCOL.len() => Beginning::Plain,
        _ if same == bytes.len() => Beginning::Unclear,
        _ => Beginning::Mse,
    }
}

/// What a machine needs next.
#[derive(Debug)]
pub enum Step {
    /// More bytes of the peer.
    Wait,
    /// The torrent whose [`hidden`] hash is this: say it with [`Acceptor::found`], or close.
    Find(Sha1Hash),
    /// Nothing: both sides agree.
    Done(Agreed),
}

/// How far a machine comes with the bytes that it has.
enum Progress<S> {
    /// To this state; there may be bytes for more.
    To(S),
    /// To this state, and no further without what the step names.
    Stop(S, Step),
}

/// Advances from state to state as far as the bytes reach; `over` stands in meanwhile, and after a refusal.
fn advance<S>(
    state: &mut S,
    over: S,
    mut next: impl FnMut(S) -> Result<Progress<S>, Refusal>,
) -> Result<Step, Refusal> {
    let mut now = std::mem::replace(state, over);
    loop {
        match next(now)? {
            Progress::To(there) => now = there,
            Progress::Stop(there, step) => {
                *state = there;
                return Ok(step);
            }
        }
    }
}

/// What both sides agreed on.
#[derive(Debug)]
pub struct Agreed {
    /// The torrent.
    pub info_hash: InfoHash,
    /// What the stream is encrypted with from here on; `None`: nothing.
    pub ciphers: Option<Ciphers>,
    /// The first bytes of the stream, decrypted, that came together with the last of the handshake.
    pub early: Vec<u8>,
}

/// Why there will be no agreement.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The bytes that end the padding do not come: it is no peer, or the torrents differ.
    #[error(
        "no synchronisation within {MAX_PAD} bytes of padding: it does not speak message stream encryption"
    )]
    NoSync,
    /// The verification constant is not zero.
    #[error("the verification constant is wrong: the two sides mean different torrents")]
    Unverified,
    /// A padding says that it is longer than 512 bytes.
    #[error("a padding of {0} bytes; {MAX_PAD} are the most")]
    LongPad(u16),
    /// The first payload is longer than any handshake.
    #[error("a first payload of {0} bytes; {MAX_INITIAL} are the most")]
    LongInitial(u16),
    /// No method in common.
    #[error("no encryption method in common (theirs: {0:#x})")]
    NoMethod(u32),
}
