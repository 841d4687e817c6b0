//! The stream cipher RC4, as MSE uses it: the first 1,024 bytes of its stream are thrown away.
//!
//! Good for noise and for nothing else; secrets go elsewhere.

use std::fmt;

/// Bytes thrown away, since the first ones tell something about the key.
const DROPPED: usize = 1024;

/// One direction's cipher: encrypting and decrypting are the same.
#[derive(Clone)]
pub struct Rc4 {
    state: [u8; 256],
    i: u8,
    j: u8,
}

impl fmt::Debug for Rc4 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rc4")
    }
}

impl Rc4 {
    /// A cipher at the start of its stream, after what is thrown away. An empty key counts as one zero byte.
    #[must_use]
    pub fn new(key: &[u8]) -> Self {
        let mut cipher = Self { state: [0; 256], i: 0, j: 0 };
        for (number, value) in (0..=u8::MAX).zip(&mut cipher.state) {
            *value = number;
        }
        let mut key = key.iter().copied().cycle();
        let mut j = 0u8;
        for i in 0..=u8::MAX {
            j = j.wrapping_add(cipher.at(i)).wrapping_add(key.next().unwrap_or_default());
            cipher.state.swap(usize::from(i), usize::from(j));
        }
        cipher.apply(&mut [0; DROPPED]);
        cipher
    }

    /// Encrypts or decrypts the next bytes of the stream.
    pub fn apply(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            self.i = self.i.wrapping_add(1);
            let a = self.at(self.i);
            self.j = self.j.wrapping_add(a);
            let b = self.at(self.j);
            self.put(self.i, b);
            self.put(self.j, a);
            *byte ^= self.at(a.wrapping_add(b));
        }
    }

    #[expect(clippy::indexing_slicing, reason = "there are as many values as there are bytes")]
    const fn at(&self, index: u8) -> u8 {
        self.state[index as usize]
    }

    #[expect(clippy::indexing_slicing, reason = "there are as many values as there are bytes")]
    const fn put(&mut self, index: u8, value: u8) {
        self.state[index as usize] = value;
    }
}
