//! The Diffie-Hellman exchange of MSE, and what is derived from its secret.
//!
//! Knows no message. Not in constant time: what it hides is no secret to whoever takes part in the swarm.

use super::{Rc4, SECRET_LEN, VC};
use anatomic_core::{InfoHash, Sha1Hash};
use num_bigint::BigUint;
use sha1::{Digest as _, Sha1};
use std::sync::LazyLock;

/// Bytes of a public key and of the common secret: 768 bits.
pub(super) const KEY_LEN: usize = 96;

/// The prime of the exchange; the generator is 2.
static PRIME: LazyLock<BigUint> = LazyLock::new(|| BigUint::from_bytes_be(&PRIME_BYTES));
const PRIME_BYTES: [u8; KEY_LEN] = [
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xc9, 0x0f, 0xda, 0xa2, 0x21, 0x68, 0xc2, 0x34, //
    0xc4, 0xc6, 0x62, 0x8b, 0x80, 0xdc, 0x1c, 0xd1, 0x29, 0x02, 0x4e, 0x08, 0x8a, 0x67, 0xcc, 0x74, //
    0x02, 0x0b, 0xbe, 0xa6, 0x3b, 0x13, 0x9b, 0x22, 0x51, 0x4a, 0x08, 0x79, 0x8e, 0x34, 0x04, 0xdd, //
    0xef, 0x95, 0x19, 0xb3, 0xcd, 0x3a, 0x43, 0x1b, 0x30, 0x2b, 0x0a, 0x6d, 0xf2, 0x5f, 0x14, 0x37, //
    0x4f, 0xe1, 0x35, 0x6d, 0x6d, 0x51, 0xc2, 0x45, 0xe4, 0x85, 0xb5, 0x76, 0x62, 0x5e, 0x7e, 0xc6, //
    0xf4, 0x4c, 0x42, 0xe9, 0xa6, 0x3a, 0x36, 0x21, 0x00, 0x00, 0x00, 0x00, 0x00, 0x09, 0x05, 0x63,
];

/// The ciphers of one side.
#[derive(Clone, Debug)]
pub struct Ciphers {
    /// For what the other side sends.
    pub receive: Box<Rc4>,
    /// For what this side sends.
    pub send: Box<Rc4>,
}

/// Which side one is.
#[derive(Clone, Copy)]
pub(super) enum Side {
    Dialler,
    Acceptor,
}

/// The common secret, S.
pub(super) struct Secret([u8; KEY_LEN]);

/// The public key that belongs to a secret exponent.
pub(super) fn public_key(exponent: &[u8; SECRET_LEN]) -> [u8; KEY_LEN] {
    padded(&BigUint::from(2u8).modpow(&BigUint::from_bytes_be(exponent), &PRIME))
}

impl Secret {
    /// What both sides know once each has the other's public key.
    pub(super) fn agree(exponent: &[u8; SECRET_LEN], theirs: &[u8]) -> Self {
        let theirs = BigUint::from_bytes_be(theirs);
        Self(padded(&theirs.modpow(&BigUint::from_bytes_be(exponent), &PRIME)))
    }

    /// By which the acceptor finds the end of the dialler's padding.
    pub(super) fn req1(&self) -> Sha1Hash {
        hash(&[b"req1", &self.0])
    }

    /// Covers the torrent's [`hidden`] hash, or takes the cover off.
    pub(super) fn cover(&self, mut hidden: Sha1Hash) -> Sha1Hash {
        for (byte, mask) in hidden.iter_mut().zip(hash(&[b"req3", &self.0])) {
            *byte ^= mask;
        }
        hidden
    }

    /// The ciphers of the exchange for a torrent.
    pub(super) fn ciphers(&self, info_hash: InfoHash, side: Side) -> Ciphers {
        let cipher = |name: &[u8]| Box::new(Rc4::new(&hash(&[name, &self.0, info_hash.as_bytes()])));
        let (dialler, acceptor) = (cipher(b"keyA"), cipher(b"keyB"));
        match side {
            Side::Dialler => Ciphers { receive: acceptor, send: dialler },
            Side::Acceptor => Ciphers { receive: dialler, send: acceptor },
        }
    }
}

/// What names a torrent to those who know it and hides it from others: `HASH("req2", SKEY)`.
#[must_use]
pub fn hidden(info_hash: InfoHash) -> Sha1Hash {
    hash(&[b"req2", info_hash.as_bytes()])
}

/// VC, `method`, and an empty padding: how both sides' encrypted parts begin.
pub(super) fn terms(method: u32) -> Vec<u8> {
    let mut bytes = Vec::from(VC);
    bytes.extend(method.to_be_bytes());
    bytes.extend([0, 0]);
    bytes
}

fn hash(parts: &[&[u8]]) -> Sha1Hash {
    let mut digest = Sha1::new();
    for part in parts {
        digest.update(part);
    }
    digest.finalize().into()
}

/// Big-endian, with zeros before.
fn padded(number: &BigUint) -> [u8; KEY_LEN] {
    let mut bytes = [0; KEY_LEN];
    for (to, from) in bytes.iter_mut().rev().zip(number.to_bytes_le()) {
        *to = from;
    }
    bytes
}
