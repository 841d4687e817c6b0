//! Proofs of life: a node or supernode signs a challenge together with its address, and so shows that its key lives there.
//!
//! Asked with `/.well-known/anatomic?challenge=…`; the asker makes the challenge and must have reached the address itself.

use crate::identity::Key;
use crate::signed::{self, SignedError, Statement, UnixTime};
use anatomic_core::bencode::{Item, Value};

/// Longest challenge in bytes.
pub const MAX_CHALLENGE: usize = 64;

/// "I, this key, answer at this address." Signed by the node or supernode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// Who answers.
    pub key: Key,
    /// Under which address it says it is reached: scheme and host.
    pub url: String,
    /// What the asker sent; also part of what is signed, so an old answer is worth nothing.
    pub challenge: String,
    /// When it was written, by the clock of who answers. Nothing depends on it: the challenge makes the proof fresh.
    pub issued: UnixTime,
}

impl Proof {
    /// Checks that the proof answers `challenge`, which was made just now, for `url`.
    ///
    /// # Errors
    /// [`SignedError::WrongSigner`] if it is about another address or challenge.
    pub fn check(&self, challenge: &str, url: &str) -> Result<(), SignedError> {
        if self.challenge == challenge && self.url == url { Ok(()) } else { Err(SignedError::WrongSigner) }
    }
}

impl Statement for Proof {
    const DOMAIN: &'static str = "anatomic proof";

    fn signer(&self) -> Key {
        self.key
    }

    fn entries(&self) -> Vec<(&'static str, Item)> {
        vec![
            ("challenge", Item::from(self.challenge.as_str())),
            ("issued", Item::from(self.issued.0)),
            ("key", Item::from(&self.key.0[..])),
            ("url", Item::from(self.url.as_str())),
        ]
    }

    fn read(body: Value<'_, '_>) -> Option<Self> {
        let challenge = body.get(b"challenge")?.as_str().filter(|text| text.len() <= MAX_CHALLENGE)?;
        Some(Self {
            key: Key(signed::array(body, "key")?),
            url: signed::url(body, "url")?,
            challenge: challenge.to_owned(),
            issued: signed::time(body, "issued")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Identity, Signed};

    #[test]
    fn a_proof_holds_for_its_challenge_and_address_only() {
        let node = Identity::from_seed([4; 32]);
        let now = UnixTime(1_800_000_000);
        let (challenge, url) = ("abc".to_owned(), "http://127.0.0.1:8080".to_owned());
        let signed = Signed::new(Proof { key: node.key(), url, challenge, issued: now }, &node).unwrap();
        let read: Signed<Proof> = signed.to_string().parse().unwrap();
        assert_eq!(read.check("abc", "http://127.0.0.1:8080"), Ok(()));
        assert_eq!(read.check("abd", "http://127.0.0.1:8080"), Err(SignedError::WrongSigner));
        assert_eq!(read.check("abc", "http://evil.example"), Err(SignedError::WrongSigner));
    }
}
