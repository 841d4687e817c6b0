//! How bytes look in JSON: hexadecimal text.
//!
//! Helpers of this crate for serde; no format of its own.

/// Makes a type that has `Display` and `FromStr` a string in JSON.
macro_rules! serde_as_text {
    ($type:ty) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
pub(crate) use serde_as_text;

/// Reads an even number of hexadecimal digits of either case.
pub(crate) fn bytes_from_hex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) {
        return None;
    }
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    let pairs = text.as_bytes().chunks_exact(2).map(|pair| {
        let [high, low] = pair else { return None };
        u8::try_from(digit(high)? * 16 + digit(low)?).ok()
    });
    pairs.collect()
}

/// For `#[serde(with)]`: an info-hash as 40 digits.
pub(crate) mod info_hash {
    use anatomic_core::InfoHash;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(crate) fn serialize<S: Serializer>(hash: &InfoHash, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(hash)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<InfoHash, D::Error> {
        let text = String::deserialize(from)?;
        InfoHash::from_hex(&text).ok_or_else(|| D::Error::custom("an info-hash is 40 hexadecimal digits"))
    }
}

/// For `#[serde(with)]`: a v2 info-hash as 64 digits, or null.
pub(crate) mod info_hash_v2 {
    use anatomic_core::Sha256Hash;
    use anatomic_core::ids::{from_hex, to_hex};
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    #[expect(clippy::ref_option)]
    pub(crate) fn serialize<S: Serializer>(hash: &Option<Sha256Hash>, to: S) -> Result<S::Ok, S::Error> {
        match hash {
            Some(hash) => to.serialize_some(&to_hex(hash)),
            None => to.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Sha256Hash>, D::Error> {
        let wrong = || D::Error::custom("a v2 info-hash is 64 hexadecimal digits");
        Option::<String>::deserialize(from)?.map(|text| from_hex(&text).ok_or_else(wrong)).transpose()
    }
}
