//! Fixed-length identifiers: digests, info-hashes, peer ids.
//!
//! How they are computed or parsed from text lives where it is needed (metainfo, magnet); here are only the values.

use std::fmt;

/// A SHA-1 digest: 20 bytes.
pub type Sha1Hash = [u8; 20];
/// A SHA-256 digest: 32 bytes.
pub type Sha256Hash = [u8; 32];

/// The 20 bytes that name a swarm on the wire: SHA-1 of the info dictionary ([BEP 3]), or the first
/// 20 bytes of its SHA-256 for a v2 torrent ([BEP 52]).
///
/// [BEP 3]: https://www.bittorrent.org/beps/bep_0003.html
/// [BEP 52]: https://www.bittorrent.org/beps/bep_0052.html
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InfoHash(pub [u8; 20]);

impl InfoHash {
    /// Reads 40 hexadecimal digits of either case.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        from_hex(text).map(Self)
    }

    /// The 20 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 20] {
        &self.0
    }
}

impl fmt::Display for InfoHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

impl fmt::Debug for InfoHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

/// The 20 bytes with which a peer names itself in handshakes and announces ([BEP 20]).
///
/// [BEP 20]: https://www.bittorrent.org/beps/bep_0020.html
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId(pub [u8; 20]);

impl PeerId {
    /// Our client code and version, Azureus style: `AN`, 0.1.0.0.
    pub const PREFIX: [u8; 8] = *b"-AN0100-";

    /// A peer id of ours with the given random tail.
    #[must_use]
    pub fn ours(tail: [u8; 12]) -> Self {
        let mut id = [0; 20];
        let (prefix, rest) = id.split_at_mut(8);
        prefix.copy_from_slice(&Self::PREFIX);
        rest.copy_from_slice(&tail);
        Self(id)
    }

    /// The 20 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 20] {
        &self.0
    }
}

impl fmt::Debug for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

/// Reads exactly `2 * N` hexadecimal digits of either case.
#[must_use]
pub fn from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let [high, low] = pair else { return None };
        let value = char::from(*high).to_digit(16)? * 16 + char::from(*low).to_digit(16)?;
        *byte = u8::try_from(value).ok()?;
    }
    Some(bytes)
}

/// Lower-case hexadecimal digits of `bytes`.
#[must_use]
pub fn to_hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn write_hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}
