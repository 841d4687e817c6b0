//! A tolerant view of small bencoded dictionaries: handshakes, metadata messages, tracker replies.
//!
//! Reading itself is `anatomic_core::bencode`'s. Here a field of the wrong type counts as absent, unknown fields are
//! ignored and keys may come in any order, because clients differ. What a page sends and receives is written and read
//! without `serde`, whose code it would have to download; replies of our own trackers are written with it.

use anatomic_core::bencode::{Item, Kind, Limits, Value, parse_prefix};

/// What a message may cost: real ones nest two or three levels.
const LIMITS: Limits = Limits { bytes: usize::MAX, depth: 16, tokens: 20_000 };

/// A dictionary of which only some fields interest us.
pub(crate) struct Dict<'a>(Vec<(&'a [u8], Field<'a>)>);

enum Field<'a> {
    Integer(Option<i64>),
    Bytes(&'a [u8]),
    List(Vec<Field<'a>>),
    Dict(Dict<'a>),
}

impl<'a> Field<'a> {
    /// The nesting is bounded by [`LIMITS`].
    fn of(value: Value<'a, '_>) -> Self {
        match value.kind() {
            Kind::Integer => Self::Integer(value.as_int()),
            Kind::Bytes => Self::Bytes(value.as_bytes().unwrap_or_default()),
            Kind::List => Self::List(value.items().map(Self::of).collect()),
            Kind::Dict => {
                Self::Dict(Dict(value.entries().map(|(key, value)| (key, Self::of(value))).collect()))
            }
        }
    }
}

impl<'a> Dict<'a> {
    /// Reads the dictionary at the start of `bytes`; and its length, for what follows it.
    pub(crate) fn parse_prefix(bytes: &'a [u8]) -> Option<(Self, usize)> {
        let parsed = parse_prefix(bytes, LIMITS).ok()?;
        match Field::of(parsed.root()) {
            Field::Dict(dict) => Some((dict, parsed.length())),
            _ => None,
        }
    }

    /// Reads a dictionary; bytes after it are ignored.
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        Self::parse_prefix(bytes).map(|(dict, _)| dict)
    }

    fn get(&self, key: &str) -> Option<&Field<'a>> {
        self.0.iter().find(|(name, _)| *name == key.as_bytes()).map(|(_, field)| field)
    }

    fn take(&mut self, key: &str) -> Option<Field<'a>> {
        let at = self.0.iter().position(|(name, _)| *name == key.as_bytes())?;
        Some(self.0.swap_remove(at).1)
    }

    /// Takes out a nested dictionary.
    pub(crate) fn take_dict(&mut self, key: &str) -> Option<Self> {
        match self.take(key)? {
            Field::Dict(dict) => Some(dict),
            _ => None,
        }
    }

    /// The entries whose values are dictionaries, in no order.
    pub(crate) fn into_dicts(self) -> impl Iterator<Item = (&'a [u8], Self)> {
        self.0.into_iter().filter_map(|(key, field)| match field {
            Field::Dict(dict) => Some((key, dict)),
            _ => None,
        })
    }

    /// Takes out a list and keeps its dictionaries.
    pub(crate) fn take_dicts(&mut self, key: &str) -> Option<Vec<Self>> {
        let Field::List(items) = self.take(key)? else { return None };
        let dicts = items.into_iter().filter_map(|item| match item {
            Field::Dict(dict) => Some(dict),
            _ => None,
        });
        Some(dicts.collect())
    }

    /// An integer that fits `T`.
    pub(crate) fn integer<T: TryFrom<i64>>(&self, key: &str) -> Option<T> {
        match self.get(key)? {
            Field::Integer(value) => T::try_from((*value)?).ok(),
            _ => None,
        }
    }

    /// A byte string.
    pub(crate) fn bytes(&self, key: &str) -> Option<&'a [u8]> {
        match self.get(key)? {
            Field::Bytes(bytes) => Some(*bytes),
            _ => None,
        }
    }

    /// The first strings of a list that are UTF-8.
    pub(crate) fn texts(&self, key: &str, most: usize) -> Vec<&str> {
        match self.get(key) {
            Some(Field::List(items)) => {
                let texts = items.iter().filter_map(|item| match item {
                    Field::Bytes(bytes) => std::str::from_utf8(bytes).ok(),
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

/// A dictionary of ours: the fields that are there.
pub(crate) fn dict<const N: usize>(fields: [(&str, Option<Item>); N]) -> Item {
    Item::dict(fields.into_iter().filter_map(|(key, value)| Some((key, value?))))
}

/// An integer, if there is one.
pub(crate) fn integer(value: Option<impl Into<i64>>) -> Option<Item> {
    value.map(|value| Item::Integer(value.into()))
}

/// A byte string, if there is one.
pub(crate) fn bytes(value: Option<impl Into<Vec<u8>>>) -> Option<Item> {
    value.map(|value| Item::Bytes(value.into()))
}

/// Serialises a reply of our trackers. Our own types have only strings, integers and dictionaries, which cannot fail.
pub(crate) fn to_bytes<T: serde::Serialize>(message: &T) -> Vec<u8> {
    serde_bencode::to_bytes(message).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_of_a_dictionary_excludes_what_follows() {
        for (bytes, length) in [("d1:ai1eexyz", 8), ("de", 2), ("d1:alllleeeee0", 13)] {
            assert_eq!(
                Dict::parse_prefix(bytes.as_bytes()).map(|(_, length)| length),
                Some(length),
                "{bytes}"
            );
        }
    }

    #[test]
    fn cut_deep_or_malformed_values_are_refused() {
        let deep = format!("d1:a{}{}e", "l".repeat(LIMITS.depth), "e".repeat(LIMITS.depth));
        for bytes in ["", "e", "i12e", "4:abcd", "99999999999:", "d1:a", "d1:ai1e", "x", &deep] {
            assert!(Dict::parse(bytes.as_bytes()).is_none(), "{bytes}");
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
