//! Bencode with the exact bytes kept: a bounded reader that knows every value's raw span, and a canonical writer.
//!
//! For files and messages where the bytes themselves matter (the info-hash is over the raw `info`). Typed messages
//! that do not need that go through `serde_bencode`. Rules: [BEP 3], "bencoding".
//!
//! [BEP 3]: https://www.bittorrent.org/beps/bep_0003.html#bencoding

mod read;
#[cfg(test)]
mod tests;
mod write;

pub use read::{Entries, Items, Kind, Parsed, Value, parse, parse_prefix};
pub use write::Item;

/// What a stranger's bytes may cost us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest input in bytes.
    pub bytes: usize,
    /// How deep lists and dictionaries may nest.
    pub depth: usize,
    /// How many values and keys there may be; each costs 16 bytes while parsed.
    pub tokens: usize,
}

impl Limits {
    /// For torrent files: 10 MB, 100 levels, 3 million tokens, as other loaders allow.
    pub const TORRENT: Self = Self { bytes: 10_000_000, depth: 100, tokens: 3_000_000 };
    /// For the metadata of a magnet, which peers send piecewise ([BEP 9]): 30 MiB as elsewhere.
    ///
    /// [BEP 9]: https://www.bittorrent.org/beps/bep_0009.html
    pub const METADATA: Self = Self { bytes: 30 * 1024 * 1024, depth: 100, tokens: 3_000_000 };
    /// For messages of peers, trackers and nodes: 1 MiB, 32 levels, 100,000 tokens.
    pub const MESSAGE: Self = Self { bytes: 1024 * 1024, depth: 32, tokens: 100_000 };
}

/// Why bytes are not bencode, with the offset of the byte that says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BencodeError {
    /// More bytes than the limit allows.
    #[error("the data is longer than the limit of {0} bytes")]
    TooLong(usize),
    /// The data ends inside a value.
    #[error("the data ends too early, inside a value")]
    Truncated,
    /// A byte with which no value starts.
    #[error("byte {0}: no bencoded value starts like this")]
    UnexpectedByte(usize),
    /// An integer without digits, or with something else in between.
    #[error("byte {0}: not an integer")]
    BadInteger(usize),
    /// The length before a string is no number or reaches beyond every possible input.
    #[error("byte {0}: not a string length")]
    BadLength(usize),
    /// A dictionary's key is not a string.
    #[error("byte {0}: the key of a dictionary is not a string")]
    KeyNotString(usize),
    /// A dictionary ends after a key.
    #[error("byte {0}: a key of a dictionary has no value")]
    MissingValue(usize),
    /// Lists and dictionaries are nested too deeply.
    #[error("byte {0}: nested too deeply")]
    TooDeep(usize),
    /// More values than the limit allows.
    #[error("byte {0}: too many values")]
    TooManyTokens(usize),
    /// Something other than white space follows the value.
    #[error("byte {0}: something follows the end of the data")]
    Trailing(usize),
}

/// Breaches of the canonical form that change no meaning: kept and flagged, fatal only where the caller says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Faults {
    /// A dictionary whose keys do not ascend.
    pub unordered_keys: bool,
    /// A key that comes twice in a row; [`Value::get`] finds the first.
    pub duplicate_keys: bool,
    /// A number or a string length with a leading zero, or a negative zero.
    pub leading_zeros: bool,
}

impl Faults {
    /// Whether the bytes were canonical.
    #[must_use]
    pub const fn none(&self) -> bool {
        !self.unordered_keys && !self.duplicate_keys && !self.leading_zeros
    }
}
