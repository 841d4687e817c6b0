//! Percent-escapes and base32, as magnets use them.
//!
//! Not a URL library: it reads no structure.

/// Escapes all but the unreserved characters of RFC 3986 (section 2.3).
#[must_use]
pub fn escape(text: &str) -> String {
    escape_bytes(text.as_bytes())
}

/// Escapes all bytes but the unreserved characters of RFC 3986: the form of `info_hash` in a tracker's URL.
#[must_use]
pub fn escape_bytes(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut escaped = String::with_capacity(bytes.len());
    for byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) {
            escaped.push(char::from(*byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

/// Undoes percent-escapes and `+` for a space; a broken escape stays as it is, bytes that are no UTF-8 become U+FFFD.
#[must_use]
pub fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, tail)) = rest.split_first() {
        rest = tail;
        match (byte, tail) {
            (b'%', [high, low, after @ ..]) => match (digit(*high), digit(*low)) {
                (Some(high), Some(low)) => {
                    bytes.push(high * 16 + low);
                    rest = after;
                }
                _ => bytes.push(b'%'),
            },
            (b'+', _) => bytes.push(b' '),
            (byte, _) => bytes.push(*byte),
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// Reads 32 characters of RFC 4648 base32 (20 bytes), of either case.
pub(super) fn base32(text: &str) -> Option<[u8; 20]> {
    let mut bytes = [0; 20];
    let mut groups = text.as_bytes().chunks_exact(8);
    if groups.len() != 4 {
        return None;
    }
    for (out, group) in bytes.chunks_exact_mut(5).zip(&mut groups) {
        let value = group.iter().try_fold(0u64, |value, byte| {
            let digit = match byte.to_ascii_uppercase() {
                letter @ b'A'..=b'Z' => letter - b'A',
                number @ b'2'..=b'7' => number - b'2' + 26,
                _ => return None,
            };
            Some(value << 5 | u64::from(digit))
        })?;
        // 40 bits: the last five of the eight bytes.
        let [_, _, _, tail @ ..] = value.to_be_bytes();
        out.copy_from_slice(&tail);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_undone_and_broken_ones_kept() {
        for (escaped, text) in [("a%20b+c", "a b c"), ("100%", "100%"), ("%zz%4", "%zz%4"), ("%C3%A4", "ä")]
        {
            assert_eq!(unescape(escaped), text);
        }
        assert_eq!(unescape("%ff"), "\u{fffd}");
        assert_eq!(unescape(&escape("ä b&c=d/e?f#g%")), "ä b&c=d/e?f#g%");
    }
}
