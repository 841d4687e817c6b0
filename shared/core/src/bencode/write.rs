//! The writer: a tree of values that always encodes canonically.
//!
//! Keys ascend because the tree keeps them sorted; raw bytes (an `info` that must not change) pass through untouched.

use crate::collections::BTreeMap;

/// A value to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// An integer.
    Integer(i64),
    /// A byte string.
    Bytes(Vec<u8>),
    /// A list.
    List(Vec<Item>),
    /// A dictionary; its keys are written in ascending order.
    Dict(BTreeMap<Vec<u8>, Item>),
    /// Bytes that are bencode already and are copied as they are.
    Raw(Vec<u8>),
}

impl Item {
    /// A dictionary of the given entries; a later entry replaces an earlier one of the same key.
    pub fn dict<K: Into<Vec<u8>>>(entries: impl IntoIterator<Item = (K, Self)>) -> Self {
        Self::Dict(entries.into_iter().map(|(key, value)| (key.into(), value)).collect())
    }

    /// A list of the given values.
    pub fn list<T: Into<Self>>(values: impl IntoIterator<Item = T>) -> Self {
        Self::List(values.into_iter().map(Into::into).collect())
    }

    /// Appends the encoded form.
    pub fn encode(&self, into: &mut Vec<u8>) {
        match self {
            Self::Integer(value) => into.extend_from_slice(format!("i{value}e").as_bytes()),
            Self::Bytes(bytes) => encode_bytes(bytes, into),
            Self::List(values) => {
                into.push(b'l');
                values.iter().for_each(|value| value.encode(into));
                into.push(b'e');
            }
            Self::Dict(entries) => {
                into.push(b'd');
                for (key, value) in entries {
                    encode_bytes(key, into);
                    value.encode(into);
                }
                into.push(b'e');
            }
            Self::Raw(raw) => into.extend_from_slice(raw),
        }
    }

    /// The encoded form.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.encode(&mut bytes);
        bytes
    }
}

fn encode_bytes(bytes: &[u8], into: &mut Vec<u8>) {
    into.extend_from_slice(format!("{}:", bytes.len()).as_bytes());
    into.extend_from_slice(bytes);
}

impl From<i64> for Item {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}

impl From<u64> for Item {
    /// Values beyond 2^63 - 1 become that: no field of the format means more.
    fn from(value: u64) -> Self {
        Self::Integer(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

impl From<&str> for Item {
    fn from(text: &str) -> Self {
        Self::Bytes(text.as_bytes().to_vec())
    }
}

impl From<String> for Item {
    fn from(text: String) -> Self {
        Self::Bytes(text.into_bytes())
    }
}

impl From<Vec<u8>> for Item {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes)
    }
}

impl From<&[u8]> for Item {
    fn from(bytes: &[u8]) -> Self {
        Self::Bytes(bytes.to_vec())
    }
}

impl From<Vec<Item>> for Item {
    fn from(values: Vec<Item>) -> Self {
        Self::List(values)
    }
}
