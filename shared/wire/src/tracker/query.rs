//! Queries of tracker URLs: pairs whose values are raw bytes, percent-encoded.
//!
//! Not form decoding: values need not be UTF-8, and `+` is a plus.

use std::borrow::Cow;

/// The pairs of a query (what follows `?`), keys and values percent-decoded; malformed escapes stand for themselves.
pub fn pairs(query: &str) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, [u8]>)> + '_ {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let key = if key.contains('%') {
            Cow::Owned(String::from_utf8_lossy(&decode(key)).into_owned())
        } else {
            Cow::Borrowed(key)
        };
        let value =
            if value.contains('%') { Cow::Owned(decode(value)) } else { Cow::Borrowed(value.as_bytes()) };
        (key, value)
    })
}

/// Percent-decodes to bytes.
#[must_use]
pub fn decode(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escaped = match after {
            [high, low, ..] if *first == b'%' => char::from(*high)
                .to_digit(16)
                .zip(char::from(*low).to_digit(16))
                .and_then(|(high, low)| u8::try_from(high * 16 + low).ok()),
            _ => None,
        };
        bytes.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    bytes
}

/// Percent-encodes all bytes but the unreserved of RFC 3986.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(bytes.len() * 3);
    for byte in bytes {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                text.push(char::from(*byte))
            }
            // Writing to a String cannot fail.
            _ => drop(write!(text, "%{byte:02X}")),
        }
    }
    text
}

/// `url` with `query` appended behind what query it already has; a fragment is dropped.
pub(crate) fn append(url: &str, query: &str) -> String {
    let url = url.split_once('#').map_or(url, |(url, _)| url);
    let separator = match url.split_once('?') {
        None => "?",
        Some((_, "")) => "",
        Some((_, old)) if old.ends_with('&') => "",
        Some(_) => "&",
    };
    format!("{url}{separator}{query}")
}

/// A number, if the value is one that fits.
pub(crate) fn number<T: std::str::FromStr>(value: &[u8]) -> Option<T> {
    std::str::from_utf8(value).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_back_as_written() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(decode(&encode(&all)), all);
        assert_eq!(encode(b"a b\xff~"), "a%20b%FF~");
    }

    #[test]
    fn malformed_escapes_stand_for_themselves_and_plus_is_plus() {
        assert_eq!(decode("%zz+%4%"), b"%zz+%4%");
        assert_eq!(decode("%e2%82%AC"), "€".as_bytes());
    }

    #[test]
    fn a_passkey_in_the_url_is_kept() {
        assert_eq!(append("http://t/a?key=1#x", "b=2"), "http://t/a?key=1&b=2");
        assert_eq!(append("http://t/a", "b=2"), "http://t/a?b=2");
        assert_eq!(append("http://t/a?", "b=2"), "http://t/a?b=2");
    }
}
