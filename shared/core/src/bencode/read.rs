//! The reader: one pass over the bytes into a flat list of tokens; values are handles into it.
//!
//! Copies no string and recurses nowhere, so depth and memory are bounded by [`Limits`] alone.

use super::{BencodeError, Faults, Limits};
use std::fmt;

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An integer of any size.
    Integer,
    /// A byte string.
    Bytes,
    /// A list.
    List,
    /// A dictionary.
    Dict,
}

/// One value or key: its raw bytes are `start..end`, the next sibling is token `next`.
#[derive(Clone, Copy)]
struct Token {
    start: u32,
    end: u32,
    next: u32,
    /// For strings, how many bytes the length prefix with its colon takes (at most 10).
    prefix: u8,
    kind: Kind,
}

/// Bytes that were read, with the place of every value in them.
pub struct Parsed<'a> {
    bytes: &'a [u8],
    tokens: Vec<Token>,
    faults: Faults,
}

impl<'a> Parsed<'a> {
    /// The outermost value.
    #[must_use]
    pub fn root(&self) -> Value<'a, '_> {
        Value { parsed: self, at: 0 }
    }

    /// Which rules of the canonical form the bytes break.
    #[must_use]
    pub const fn faults(&self) -> Faults {
        self.faults
    }

    /// How many bytes the outermost value takes.
    #[must_use]
    pub fn length(&self) -> usize {
        self.tokens.first().map_or(0, |token| token.end as usize)
    }

    /// What follows the outermost value: empty or white space after [`parse`].
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.length()..).unwrap_or_default()
    }
}

impl fmt::Debug for Parsed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.root().fmt(f)
    }
}

/// Reads one value that fills `bytes`; white space after it is accepted.
///
/// # Errors
/// The first rule of the format, or the first limit, that the bytes break.
pub fn parse(bytes: &[u8], limits: Limits) -> Result<Parsed<'_>, BencodeError> {
    let parsed = parse_prefix(bytes, limits)?;
    match parsed.rest().iter().position(|byte| !byte.is_ascii_whitespace() && *byte != 0x0b) {
        None => Ok(parsed),
        Some(at) => Err(BencodeError::Trailing(parsed.length() + at)),
    }
}

/// Reads the value with which `bytes` begin; anything may follow it (a metadata message carries its piece there).
///
/// # Errors
/// The first rule of the format, or the first limit, that the bytes break.
pub fn parse_prefix(bytes: &[u8], limits: Limits) -> Result<Parsed<'_>, BencodeError> {
    // Offsets are kept in 32 bits.
    if bytes.len() > limits.bytes || u32::try_from(bytes.len()).is_err() {
        return Err(BencodeError::TooLong(limits.bytes.min(u32::MAX as usize)));
    }
    let mut reader = Reader { bytes, at: 0, tokens: Vec::new(), open: Vec::new(), faults: Faults::default() };
    reader.run(limits)?;
    Ok(Parsed { bytes, tokens: reader.tokens, faults: reader.faults })
}

/// A list or dictionary whose end has not come yet.
struct Open {
    token: usize,
    /// For a dictionary: whether a key comes next, and where the last key is.
    dict: Option<Keys>,
}

#[derive(Default)]
struct Keys {
    awaits_value: bool,
    last: Option<usize>,
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    tokens: Vec<Token>,
    open: Vec<Open>,
    faults: Faults,
}

impl<'a> Reader<'a> {
    fn run(&mut self, limits: Limits) -> Result<(), BencodeError> {
        loop {
            let byte = self.peek()?;
            if byte == b'e' {
                self.close()?;
            } else {
                if self.tokens.len() >= limits.tokens {
                    return Err(BencodeError::TooManyTokens(self.at));
                }
                self.value(byte, limits)?;
            }
            if self.open.is_empty() {
                return Ok(());
            }
        }
    }

    fn peek(&self) -> Result<u8, BencodeError> {
        self.bytes.get(self.at).copied().ok_or(BencodeError::Truncated)
    }

    fn value(&mut self, byte: u8, limits: Limits) -> Result<(), BencodeError> {
        let is_key =
            self.open.last().and_then(|open| open.dict.as_ref()).is_some_and(|keys| !keys.awaits_value);
        if is_key && !byte.is_ascii_digit() {
            return Err(BencodeError::KeyNotString(self.at));
        }
        let start = self.at;
        match byte {
            b'i' => {
                self.integer()?;
                self.push(start, 0, Kind::Integer);
            }
            b'0'..=b'9' => {
                let prefix = self.string()?;
                self.push(start, prefix, Kind::Bytes);
            }
            b'l' | b'd' => {
                if self.open.len() >= limits.depth {
                    return Err(BencodeError::TooDeep(start));
                }
                self.at += 1;
                let (kind, dict) =
                    if byte == b'd' { (Kind::Dict, Some(Keys::default())) } else { (Kind::List, None) };
                self.push(start, 0, kind);
                self.open.push(Open { token: self.tokens.len() - 1, dict });
                // The container counts as its parent's value only when it is closed.
                return Ok(());
            }
            _ => return Err(BencodeError::UnexpectedByte(start)),
        }
        self.finished(self.tokens.len() - 1);
        Ok(())
    }

    /// Takes the `e` of the innermost list or dictionary.
    fn close(&mut self) -> Result<(), BencodeError> {
        let Some(open) = self.open.pop() else { return Err(BencodeError::UnexpectedByte(self.at)) };
        if open.dict.is_some_and(|keys| keys.awaits_value) {
            return Err(BencodeError::MissingValue(self.at));
        }
        self.at += 1;
        let (end, next) = (narrow(self.at), narrow(self.tokens.len()));
        if let Some(token) = self.tokens.get_mut(open.token) {
            token.end = end;
            token.next = next;
        }
        self.finished(open.token);
        Ok(())
    }

    /// Tells the enclosing dictionary, if any, that a key or value is complete.
    fn finished(&mut self, token: usize) {
        let Some(keys) = self.open.last_mut().and_then(|open| open.dict.as_mut()) else { return };
        if keys.awaits_value {
            keys.awaits_value = false;
            return;
        }
        keys.awaits_value = true;
        let last = keys.last.replace(token);
        let text = |at: usize| self.tokens.get(at).map(|token| string_of(self.bytes, *token));
        match last.map(|last| text(last).cmp(&text(token))) {
            Some(std::cmp::Ordering::Greater) => self.faults.unordered_keys = true,
            Some(std::cmp::Ordering::Equal) => self.faults.duplicate_keys = true,
            Some(std::cmp::Ordering::Less) | None => {}
        }
    }

    fn integer(&mut self) -> Result<(), BencodeError> {
        let start = self.at;
        self.at += 1;
        let negative = self.peek()? == b'-';
        if negative {
            self.at += 1;
        }
        let digits = self.digits();
        match (digits, self.peek()?) {
            ([], _) => return Err(BencodeError::BadInteger(start)),
            ([b'0', _, ..], b'e') => self.faults.leading_zeros = true,
            ([b'0'], b'e') if negative => self.faults.leading_zeros = true,
            (_, b'e') => {}
            _ => return Err(BencodeError::BadInteger(start)),
        }
        self.at += 1;
        Ok(())
    }

    /// Reads `length:bytes`; gives the length of the prefix.
    fn string(&mut self) -> Result<u8, BencodeError> {
        let start = self.at;
        let digits = self.digits();
        if digits.len() > 1 && digits.first() == Some(&b'0') {
            self.faults.leading_zeros = true;
        }
        if self.peek()? != b':' {
            return Err(BencodeError::BadLength(start));
        }
        let length = digits
            .iter()
            .try_fold(0u32, |value, digit| value.checked_mul(10)?.checked_add(u32::from(digit - b'0')))
            .ok_or(BencodeError::BadLength(start))?;
        let prefix = u8::try_from(digits.len() + 1).map_err(|_| BencodeError::BadLength(start))?;
        self.at += 1;
        let end = self.at + length as usize;
        if end > self.bytes.len() {
            return Err(BencodeError::Truncated);
        }
        self.at = end;
        Ok(prefix)
    }

    fn digits(&mut self) -> &'a [u8] {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += count;
        rest.get(..count).unwrap_or_default()
    }

    fn push(&mut self, start: usize, prefix: u8, kind: Kind) {
        let next = narrow(self.tokens.len() + 1);
        self.tokens.push(Token { start: narrow(start), end: narrow(self.at), next, prefix, kind });
    }
}

/// Offsets were checked against `u32::MAX` at the door.
fn narrow(offset: usize) -> u32 {
    u32::try_from(offset).unwrap_or(u32::MAX)
}

fn string_of(bytes: &[u8], token: Token) -> &[u8] {
    bytes.get(token.start as usize + usize::from(token.prefix)..token.end as usize).unwrap_or_default()
}

/// One value inside [`Parsed`]: `'a` is the life of the bytes, `'p` that of the parse.
#[derive(Clone, Copy)]
pub struct Value<'a, 'p> {
    parsed: &'p Parsed<'a>,
    at: usize,
}

impl<'a, 'p> Value<'a, 'p> {
    fn token(self) -> Token {
        // A handle is only made for a token that exists; the fallback is an empty string.
        self.parsed.tokens.get(self.at).copied().unwrap_or(Token {
            start: 0,
            end: 0,
            next: 0,
            prefix: 0,
            kind: Kind::Bytes,
        })
    }

    /// What it is.
    #[must_use]
    pub fn kind(self) -> Kind {
        self.token().kind
    }

    /// Its exact bytes, prefix and `e` included.
    #[must_use]
    pub fn raw(self) -> &'a [u8] {
        let token = self.token();
        self.parsed.bytes.get(token.start as usize..token.end as usize).unwrap_or_default()
    }

    /// Where [`Self::raw`] lies in the bytes that were parsed.
    #[must_use]
    pub fn span(self) -> std::ops::Range<usize> {
        let token = self.token();
        token.start as usize..token.end as usize
    }

    /// Its value, if it is an integer of 64 bits.
    #[must_use]
    pub fn as_int(self) -> Option<i64> {
        if self.kind() != Kind::Integer {
            return None;
        }
        let raw = self.raw();
        std::str::from_utf8(raw.get(1..raw.len().checked_sub(1)?)?).ok()?.parse().ok()
    }

    /// Its value, if it is an integer from 0 to 2^63 - 1.
    #[must_use]
    pub fn as_uint(self) -> Option<u64> {
        self.as_int().and_then(|value| u64::try_from(value).ok())
    }

    /// Its bytes, if it is a string.
    #[must_use]
    pub fn as_bytes(self) -> Option<&'a [u8]> {
        (self.kind() == Kind::Bytes).then(|| string_of(self.parsed.bytes, self.token()))
    }

    /// Its text, if it is a string of UTF-8.
    #[must_use]
    pub fn as_str(self) -> Option<&'a str> {
        std::str::from_utf8(self.as_bytes()?).ok()
    }

    /// The items of a list, in order; nothing for any other value.
    #[must_use]
    pub fn items(self) -> Items<'a, 'p> {
        let token = self.token();
        let end = if token.kind == Kind::List { token.next as usize } else { self.at + 1 };
        Items { parsed: self.parsed, at: self.at + 1, end }
    }

    /// The entries of a dictionary, in the order of the bytes; nothing for any other value.
    #[must_use]
    pub fn entries(self) -> Entries<'a, 'p> {
        let token = self.token();
        let end = if token.kind == Kind::Dict { token.next as usize } else { self.at + 1 };
        Entries { items: Items { parsed: self.parsed, at: self.at + 1, end } }
    }

    /// The first entry of that key, if it is a dictionary and has one.
    #[must_use]
    pub fn get(self, key: &[u8]) -> Option<Self> {
        self.entries().find(|(name, _)| *name == key).map(|(_, value)| value)
    }
}

impl fmt::Debug for Value<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The raw form, cut: a torrent's pieces would fill the screen.
        let raw = self.raw();
        write!(f, "{}", raw.get(..200).unwrap_or(raw).escape_ascii())
    }
}

/// Walks a list.
#[derive(Clone)]
pub struct Items<'a, 'p> {
    parsed: &'p Parsed<'a>,
    at: usize,
    end: usize,
}

impl<'a, 'p> Iterator for Items<'a, 'p> {
    type Item = Value<'a, 'p>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.end {
            return None;
        }
        let value = Value { parsed: self.parsed, at: self.at };
        self.at = value.token().next as usize;
        Some(value)
    }
}

/// Walks a dictionary.
#[derive(Clone)]
pub struct Entries<'a, 'p> {
    items: Items<'a, 'p>,
}

impl<'a, 'p> Iterator for Entries<'a, 'p> {
    type Item = (&'a [u8], Value<'a, 'p>);

    fn next(&mut self) -> Option<Self::Item> {
        Some((self.items.next()?.as_bytes()?, self.items.next()?))
    }
}
