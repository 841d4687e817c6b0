//! Keys of nodes, supernodes and planters: ed25519 (RFC 8032), named by their public half.
//!
//! Makes no randomness and stores nothing: a driver passes the 32 secret bytes in and keeps them safe.

use crate::text;
use anatomic_core::ids::{from_hex, to_hex};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use std::fmt;
use std::str::FromStr;

/// A public key: the name of a node, supernode or planter. Its text form is 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(pub [u8; 32]);

impl Key {
    /// Whether `signature` was made by this key's owner over `payload` in `domain`. Strict: a signature has one
    /// form, and weak keys sign nothing.
    #[must_use]
    pub fn verifies(&self, domain: &str, payload: &[u8], signature: &[u8; 64]) -> bool {
        let Ok(key) = VerifyingKey::from_bytes(&self.0) else { return false };
        key.verify_strict(&message(domain, payload), &Signature::from_bytes(signature)).is_ok()
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&to_hex(&self.0))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not the canonical form of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key is 64 lower-case hexadecimal digits")]
pub struct BadKey;

impl FromStr for Key {
    type Err = BadKey;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // One key, one text: upper case would make two names of it.
        let canonical = !text.bytes().any(|byte| byte.is_ascii_uppercase());
        from_hex(text).filter(|_| canonical).map(Self).ok_or(BadKey)
    }
}

text::serde_as_text!(Key);

/// A key pair: somebody who can sign.
#[derive(Clone)]
pub struct Identity(SigningKey);

impl Identity {
    /// The identity of 32 secret random bytes.
    #[must_use]
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self(SigningKey::from_bytes(&seed))
    }

    /// The secret bytes, for keeping.
    #[must_use]
    pub fn seed(&self) -> [u8; 32] {
        self.0.to_bytes()
    }

    /// The public half.
    #[must_use]
    pub fn key(&self) -> Key {
        Key(self.0.verifying_key().to_bytes())
    }

    /// Signs `payload`. The domain says what kind of statement it is, so that a signature under one kind is worth
    /// nothing under another.
    #[must_use]
    pub fn sign(&self, domain: &str, payload: &[u8]) -> [u8; 64] {
        self.0.sign(&message(domain, payload)).to_bytes()
    }
}

impl fmt::Debug for Identity {
    /// Shows the public half only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({})", self.key())
    }
}

/// What is really signed: the domain, a zero byte, the payload. No domain holds a zero byte.
fn message(domain: &str, payload: &[u8]) -> Vec<u8> {
    let mut message = Vec::with_capacity(domain.len() + 1 + payload.len());
    message.extend_from_slice(domain.as_bytes());
    message.push(0);
    message.extend_from_slice(payload);
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_a_seed_is_that_of_rfc_8032() {
        // RFC 8032, section 7.1, test 1.
        let seed = from_hex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60").unwrap();
        let key = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
        assert_eq!(Identity::from_seed(seed).key().to_string(), key);
        assert_eq!(key.parse(), Ok(Identity::from_seed(seed).key()));
    }

    #[test]
    fn a_key_has_one_text_form() {
        let key = Identity::from_seed([1; 32]).key().to_string();
        for wrong in [&key.to_uppercase(), &key[1..], "", &format!("{key}0"), &format!(" {key}")] {
            assert_eq!(wrong.parse::<Key>(), Err(BadKey));
        }
    }

    #[test]
    fn a_signature_holds_for_its_payload_domain_and_key_only() {
        let (one, other) = (Identity::from_seed([1; 32]), Identity::from_seed([2; 32]));
        let signature = one.sign("a", b"text");
        assert!(one.key().verifies("a", b"text", &signature));
        assert!(!one.key().verifies("b", b"text", &signature));
        assert!(!one.key().verifies("a", b"Text", &signature));
        assert!(!other.key().verifies("a", b"text", &signature));
        assert!(!Key([0; 32]).verifies("a", b"text", &signature));
        assert!(!Key([0xff; 32]).verifies("a", b"text", &signature));
    }
}
