//! SHA-1 of pieces, by the browser's WebCrypto.
//!
//! Runs beside the worker, on the browser's own threads; BENCHMARKS.md compares it with SHA-1 in wasm.

use crate::browser::reason;
use crate::worker::clock;
use anatomic_core::Sha1Hash;
use bytes::Bytes;
use js_sys::Uint8Array;
use std::cell::RefCell;
use wasm_bindgen_futures::JsFuture;

/// The digest of `blocks` one after the other.
///
/// # Errors
/// In plain words.
pub async fn sha1(blocks: &[Bytes]) -> Result<Sha1Hash, String> {
    let length: usize = blocks.iter().map(Bytes::len).sum();
    // A piece is far below 4 GiB.
    let joined = scratch(u32::try_from(length).unwrap_or(u32::MAX));
    let mut at = 0u32;
    for block in blocks {
        let end = at.saturating_add(u32::try_from(block.len()).unwrap_or(u32::MAX));
        joined.subarray(at, end).copy_from(block);
        at = end;
    }
    sha1_of(&joined).await
}

/// Room for `length` bytes in one array that is used again and again: WebCrypto takes its copy before it returns, and
/// fresh memory costs more than the copy into it.
fn scratch(length: u32) -> Uint8Array {
    thread_local!(static SCRATCH: RefCell<Uint8Array> = RefCell::new(Uint8Array::new_with_length(0)));
    SCRATCH.with_borrow_mut(|scratch| {
        if scratch.length() < length {
            *scratch = Uint8Array::new_with_length(length);
        }
        scratch.subarray(0, length)
    })
}

/// The digest of bytes that already are the browser's.
///
/// # Errors
/// In plain words.
pub async fn sha1_of(bytes: &Uint8Array) -> Result<Sha1Hash, String> {
    let digest = async {
        let subtle = clock::scope().crypto()?.subtle();
        JsFuture::from(subtle.digest_with_str_and_buffer_source("SHA-1", bytes)?).await
    };
    let digest = digest.await.map_err(|error| format!("The browser could not hash: {}", reason(&error)))?;
    let mut hash = [0; 20];
    let digest = Uint8Array::new(&digest);
    if digest.length() != 20 {
        return Err("The browser's SHA-1 is not 20 bytes long.".into());
    }
    digest.copy_to(&mut hash);
    Ok(hash)
}
