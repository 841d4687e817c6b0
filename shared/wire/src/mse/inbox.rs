//! What arrived during the handshake and is not read yet.
//!
//! Bounded by its readers: each knows how many bytes it can need and refuses more.

use super::{MAX_PAD, Rc4, Refusal};

/// Bytes in order.
#[derive(Debug, Default)]
pub(super) struct Inbox(Vec<u8>);

impl Inbox {
    pub(super) fn put(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// Whether there are so many bytes.
    pub(super) const fn has(&self, count: usize) -> bool {
        self.0.len() >= count
    }

    /// The next `count` bytes, once they are there.
    pub(super) fn take(&mut self, count: usize) -> Option<Vec<u8>> {
        self.has(count).then(|| self.0.drain(..count).collect())
    }

    /// The same, as an array.
    pub(super) fn take_array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    /// The same, decrypted.
    pub(super) fn decrypt<const N: usize>(&mut self, cipher: &mut Rc4) -> Option<[u8; N]> {
        let mut bytes = self.take_array()?;
        cipher.apply(&mut bytes);
        Some(bytes)
    }

    /// Everything.
    pub(super) fn take_all(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.0)
    }

    /// Skips `count` encrypted bytes; false while they have not come.
    pub(super) fn skip(&mut self, count: usize, cipher: &mut Rc4) -> bool {
        let skipped = self.take(count).map(|mut bytes| cipher.apply(&mut bytes));
        skipped.is_some()
    }

    /// Skips a padding and the mark that ends it; false while it has not come.
    pub(super) fn skip_to(&mut self, mark: &[u8]) -> Result<bool, Refusal> {
        let most = MAX_PAD + mark.len();
        let window = self.0.get(..most).unwrap_or(&self.0);
        if let Some(at) = window.windows(mark.len()).position(|bytes| bytes == mark) {
            self.0.drain(..at + mark.len());
            return Ok(true);
        }
        if self.has(most) { Err(Refusal::NoSync) } else { Ok(false) }
    }
}
