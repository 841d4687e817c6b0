//! Signed statements: a canonical bencoded body with the signature of the key that it names.
//!
//! A [`Signed`] value in hand was verified; nothing else can make one. What bodies say is the modules' of their
//! kinds: receipts, claims, withdrawals, proofs.

use crate::claim::Listing;
use crate::identity::{Identity, Key};
use crate::{VERSION, text};
use anatomic_core::bencode::{self, Item, Limits, Value};
use anatomic_core::ids::to_hex;
use std::fmt;
use std::ops::Deref;
use std::str::FromStr;

/// Longest statement in bytes.
pub const MAX_LENGTH: usize = 16 * 1024;

/// Seconds since 1970-01-01 UTC.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize,
)]
#[serde(transparent)]
pub struct UnixTime(pub u64);

impl UnixTime {
    /// So many seconds later.
    #[must_use]
    pub const fn plus(self, seconds: u64) -> Self {
        Self(self.0.saturating_add(seconds))
    }
}

/// A kind of statement.
pub trait Statement: Sized {
    /// Says what kind it is; part of what is signed. Holds no zero byte.
    const DOMAIN: &'static str;

    /// Who must have signed it.
    fn signer(&self) -> Key;

    /// The body's entries without the version.
    fn entries(&self) -> Vec<(&'static str, Item)>;

    /// Reads a body. `None` if an entry is missing or malformed; unknown entries are skipped.
    fn read(body: Value<'_, '_>) -> Option<Self>;
}

/// Why bytes are no valid statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignedError {
    /// Not canonical bencode of a body and a signature, or not hexadecimal text of it.
    #[error("the signed statement is malformed")]
    Malformed,
    /// A version of the protocol that we do not speak.
    #[error("the signed statement is of version {0}, we speak {VERSION}")]
    Version(u64),
    /// The signature is not that of the key that the statement names.
    #[error("the signature of the statement is wrong")]
    Signature,
    /// The identity that was to sign is not the one that the statement names.
    #[error("the statement names another key than the one that signs")]
    WrongSigner,
    /// Its time has passed or has not come; clocks may differ by [`MAX_SKEW`], or [`MAX_DRIFT`].
    #[error("the statement is not valid at this time; check the clock")]
    Time,
}

/// How far the time in a statement that is good for now may be from the clock of who judges it, in seconds. Who is refused
/// for it learns that clock ([`crate::api::Problem::time`]) and signs again.
pub const MAX_SKEW: u64 = 600;

/// How far the clocks of hosts may differ where statements are meant to last, in seconds: an hour ahead here and an hour
/// behind there.
pub const MAX_DRIFT: u64 = 2 * 3_600;

/// A statement with a signature that was verified.
///
/// As bytes: the bencoded dictionary of `body` and `sig`; as text and in JSON: their lower-case hexadecimal digits.
#[derive(Clone, PartialEq, Eq)]
pub struct Signed<T> {
    statement: T,
    bytes: Vec<u8>,
}

impl<T: Statement> Signed<T> {
    /// Signs a statement.
    ///
    /// # Errors
    /// [`SignedError::WrongSigner`] if the statement names another key.
    pub fn new(statement: T, identity: &Identity) -> Result<Self, SignedError> {
        if statement.signer() != identity.key() {
            return Err(SignedError::WrongSigner);
        }
        let version = [("v", Item::from(u64::from(VERSION)))];
        let body = Item::dict(statement.entries().into_iter().chain(version)).to_bytes();
        let signature = identity.sign(T::DOMAIN, &body);
        let bytes = Item::dict([("body", Item::Raw(body)), ("sig", Item::from(&signature[..]))]).to_bytes();
        Ok(Self { statement, bytes })
    }

    /// Reads and verifies a statement; says nothing about its time.
    ///
    /// # Errors
    /// Why it is worth nothing.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SignedError> {
        let limits = Limits { bytes: MAX_LENGTH, depth: 8, tokens: 1_000 };
        let parsed = bencode::parse(bytes, limits).map_err(|_| SignedError::Malformed)?;
        // One statement, one form: else the same receipt could be counted twice.
        if !parsed.faults().none() || !parsed.rest().is_empty() || parsed.root().entries().count() != 2 {
            return Err(SignedError::Malformed);
        }
        let body = parsed.root().get(b"body").ok_or(SignedError::Malformed)?;
        let signature =
            parsed.root().get(b"sig").and_then(Value::as_bytes).and_then(|sig| sig.try_into().ok());
        match body.get(b"v").and_then(Value::as_uint) {
            Some(version) if version == u64::from(VERSION) => {}
            Some(version) => return Err(SignedError::Version(version)),
            None => return Err(SignedError::Malformed),
        }
        let statement = T::read(body).ok_or(SignedError::Malformed)?;
        if !statement.signer().verifies(T::DOMAIN, body.raw(), signature.ok_or(SignedError::Malformed)?) {
            return Err(SignedError::Signature);
        }
        Ok(Self { statement, bytes: bytes.to_vec() })
    }

    /// The signed form.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl<T> Deref for Signed<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.statement
    }
}

impl<T: fmt::Debug> fmt::Debug for Signed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Signed").field(&self.statement).finish()
    }
}

impl<T> fmt::Display for Signed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&to_hex(&self.bytes))
    }
}

impl<T: Statement> FromStr for Signed<T> {
    type Err = SignedError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() > 2 * MAX_LENGTH {
            return Err(SignedError::Malformed);
        }
        Self::from_bytes(&text::bytes_from_hex(text).ok_or(SignedError::Malformed)?)
    }
}

impl<T> serde::Serialize for Signed<T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, T: Statement> serde::Deserialize<'de> for Signed<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Reads an entry of exactly `N` bytes.
pub(crate) fn array<const N: usize>(body: Value<'_, '_>, key: &str) -> Option<[u8; N]> {
    body.get(key.as_bytes())?.as_bytes()?.try_into().ok()
}

/// Reads an entry that may be absent but not malformed.
pub(crate) fn optional_array<const N: usize>(body: Value<'_, '_>, key: &str) -> Option<Option<[u8; N]>> {
    if body.get(key.as_bytes()).is_none() { Some(None) } else { array(body, key).map(Some) }
}

/// Reads a moment.
pub(crate) fn time(body: Value<'_, '_>, key: &str) -> Option<UnixTime> {
    body.get(key.as_bytes())?.as_uint().map(UnixTime)
}

/// Reads a moment that may be absent but not malformed.
pub(crate) fn optional_time(body: Value<'_, '_>, key: &str) -> Option<Option<UnixTime>> {
    if body.get(key.as_bytes()).is_none() { Some(None) } else { time(body, key).map(Some) }
}

/// Reads an HTTP address of at most 1,000 bytes.
pub(crate) fn url(body: Value<'_, '_>, key: &str) -> Option<String> {
    let url = body.get(key.as_bytes())?.as_str()?;
    let http = url.starts_with("https://") || url.starts_with("http://");
    let plain = url.len() <= 1_000 && !url.contains(|c: char| c.is_control() || c.is_whitespace());
    (http && plain).then(|| url.to_owned())
}

/// Reads a list of at most 16 keys.
pub(crate) fn keys(body: Value<'_, '_>, key: &str) -> Option<Vec<Key>> {
    let list = body.get(key.as_bytes())?;
    let keys = list.items().map(|item| item.as_bytes()?.try_into().ok().map(Key));
    keys.collect::<Option<Vec<_>>>().filter(|keys| keys.len() <= 16)
}

/// Reads whether search may find a torrent.
pub(crate) fn listing(body: Value<'_, '_>) -> Listing {
    if body.get(b"unlisted").is_some() { Listing::Unlisted } else { Listing::Listed }
}

/// Writes a list of keys.
pub(crate) fn keys_item(keys: &[Key]) -> Item {
    Item::list(keys.iter().map(|key| key.0.to_vec()))
}
