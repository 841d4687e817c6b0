//! How two nodes prove their keys to each other: both sign what both said first.
//!
//! The signature is over both keys, both nonces, both addresses, the address that was dialled and the signer's part, so it is
//! worth nothing on another connection, towards another node, or when it is played back. The dialling side signs first.

use super::message::Hello;
use crate::VERSION;
use crate::identity::{Identity, Key};
use anatomic_core::bencode::Item;

/// What kind of statement it is; see [`Identity::sign`].
pub const DOMAIN: &str = "anatomic mesh";

/// Which side of the connection somebody is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// Opened it.
    Dialler,
    /// Accepted it.
    Listener,
}

impl Side {
    /// The other one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Dialler => Self::Listener,
            Self::Listener => Self::Dialler,
        }
    }
}

/// What `signer` signs. `to` of the dialling side's hello counts, the other's does not.
#[must_use]
pub fn transcript(signer: Side, dialler: &Hello, listener: &Hello) -> Vec<u8> {
    let part = match signer {
        Side::Dialler => "dialler",
        Side::Listener => "listener",
    };
    Item::dict([
        ("dialler", Item::from(dialler.key.0.as_slice())),
        ("dialler_nonce", dialler.nonce.as_slice().into()),
        ("dialler_url", dialler.url.as_str().into()),
        ("listener", listener.key.0.as_slice().into()),
        ("listener_nonce", listener.nonce.as_slice().into()),
        ("listener_url", listener.url.as_str().into()),
        ("part", part.into()),
        ("to", dialler.to.as_deref().unwrap_or_default().into()),
        ("v", u64::from(VERSION).into()),
    ])
    .to_bytes()
}

/// The proof of `identity`, which is on that side.
#[must_use]
pub fn sign(identity: &Identity, side: Side, dialler: &Hello, listener: &Hello) -> [u8; 64] {
    identity.sign(DOMAIN, &transcript(side, dialler, listener))
}

/// Whether the proof is that of `key`, which is on that side.
#[must_use]
pub fn verify(key: Key, side: Side, dialler: &Hello, listener: &Hello, signature: &[u8; 64]) -> bool {
    key.verifies(DOMAIN, &transcript(side, dialler, listener), signature)
}
