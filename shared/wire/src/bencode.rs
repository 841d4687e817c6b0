//! A tolerant view of small bencoded dictionaries: handshakes, metadata messages, tracker replies.
//!
//! Not for metainfo, where the exact bytes matter: that reader is `anatomic_core::bencode`. Here a field of the wrong
//! type counts as absent, unknown fields are ignored and keys may come in any order, because clients differ.

use serde_bencode::value::Value;
use std::collections::HashMap;

/// How deep lists and dictionaries may nest. Real messages nest two or three levels.
const MAX_DEPTH: usize = 16;
/// How many strings, integers, lists and dictionaries a message may have.
const MAX_TOKENS: usize = 20_000;

/// A dictionary of which only some fields interest us.
pub(crate) struct Dict(HashMap<Vec<u8>, Value>);

impl Dict {
    /// Reads the dictionary at the start of `bytes`; what follows it is returned untouched.
    pub(crate) fn parse_prefix(bytes: &[u8]) -> Option<(Self, usize)> {
        let length = value_length(bytes)?;
        match serde_bencode::from_bytes(bytes.get(..length)?) {
            Ok(Value::Dict(fields)) => Some((Self(fields), length)),
            _ => None,
        }
    }

    /// Reads a dictionary; bytes after it are ignored.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        Self::parse_prefix(bytes).map(|(dict, _)| dict)
    }

    /// Takes out a nested dictionary.
    pub(crate) fn take_dict(&mut self, key: &str) -> Option<Self> {
        match self.0.remove(key.as_bytes())? {
            Value::Dict(fields) => Some(Self(fields)),
            _ => None,
        }
    }

    /// The entries whose values are dictionaries, in no order.
    pub(crate) fn into_dicts(self) -> impl Iterator<Item = (Vec<u8>, Self)> {
        self.0.into_iter().filter_map(|(key, value)| match value {
            Value::Dict(fields) => Some((key, Self(fields))),
            _ => None,
        })
    }

    /// Takes out a list and keeps its dictionaries.
    pub(crate) fn take_dicts(&mut self, key: &str) -> Option<Vec<Self>> {
        match self.0.remove(key.as_bytes())? {
            Value::List(items) => Some(
                items
                    .into_iter()
                    .filter_map(|item| match item {
                        Value::Dict(fields) => Some(Self(fields)),
                        _ => None,
                    })
                    .collect(),
            ),
            _ => None,
        }
    }

    /// An integer that fits `T`.
    pub(crate) fn integer<T: TryFrom<i64>>(&self, key: &str) -> Option<T> {
        match self.0.get(key.as_bytes())? {
            Value::Int(value) => T::try_from(*value).ok(),
            _ => None,
        }
    }

    /// A byte string.
    pub(crate) fn bytes(&self, key: &str) -> Option<&[u8]> {
        match self.0.get(key.as_bytes())? {
            Value::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The first strings of a list that are UTF-8.
    pub(crate) fn texts(&self, key: &str, most: usize) -> Vec<&str> {
        match self.0.get(key.as_bytes()) {
            Some(Value::List(items)) => {
                let texts = items.iter().filter_map(|item| match item {
                    Value::Bytes(bytes) => std::str::from_utf8(bytes).ok(),
                    _ => None,
                });
                texts.take(most).collect()
            }
            _ => Vec::new(),
        }
    }

    /// A byte string as text; bytes that are not UTF-8 are replaced.
    pub(crate) fn text(&self, key: &str) -> Option<String> {
        self.bytes(key).map(|bytes| String::from_utf8_lossy(bytes).into_owned())
    }
}

/// The length of the bencoded value at the start of `bytes`; `None` if it is cut short, malformed, nested too deep
/// or made of too many parts. Guards the recursive reader behind it, which has no limits of its own.
pub(crate) fn value_length(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    let mut depth = 0;
    for _ in 0..MAX_TOKENS {
        match bytes.get(at)? {
            b'i' => {
                let digits = bytes.get(at + 1..)?.iter().take(21).position(|byte| *byte == b'e')?;
                at += digits + 2;
            }
            b'0'..=b'9' => {
                let digits = bytes.get(at..)?.iter().take(10).position(|byte| *byte == b':')?;
                let length: usize = std::str::from_utf8(bytes.get(at..at + digits)?).ok()?.parse().ok()?;
                at = at.checked_add(digits + 1)?.checked_add(length)?;
                if at > bytes.len() {
                    return None;
                }
            }
            b'l' | b'd' => {
                depth += 1;
                at += 1;
                if depth > MAX_DEPTH {
                    return None;
                }
                continue;
            }
            b'e' => {
                depth = usize::checked_sub(depth, 1)?;
                at += 1;
            }
            _ => return None,
        }
        if depth == 0 {
            return Some(at);
        }
    }
    None
}

/// Serialises a message of ours. Our own types have only strings, integers and dictionaries, which cannot fail.
pub(crate) fn to_bytes<T: serde::Serialize>(message: &T) -> Vec<u8> {
    serde_bencode::to_bytes(message).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_of_the_first_value_excludes_what_follows() {
        for (bytes, length) in [
            ("i12e", Some(4)),
            ("3:abcd", Some(5)),
            ("d1:ai1eexyz", Some(8)),
            ("lllleeee0", Some(8)),
            ("de", Some(2)),
        ] {
            assert_eq!(value_length(bytes.as_bytes()), length, "{bytes}");
        }
    }

    #[test]
    fn cut_deep_or_malformed_values_are_refused() {
        let deep = "l".repeat(MAX_DEPTH + 1) + &"e".repeat(MAX_DEPTH + 1);
        for bytes in ["", "e", "i12", "4:abc", "99999999999:", "d1:a", "x", &deep] {
            assert_eq!(value_length(bytes.as_bytes()), None, "{bytes}");
        }
    }

    #[test]
    fn a_field_of_the_wrong_type_counts_as_absent() {
        let dict = Dict::parse(b"d1:ai-1e1:b2:xy1:\xff0:e").unwrap();
        assert_eq!(dict.integer::<u32>("a"), None);
        assert_eq!(dict.integer::<i64>("a"), Some(-1));
        assert_eq!((dict.integer::<u32>("b"), dict.bytes("b")), (None, Some(&b"xy"[..])));
    }
}
