//! The worker's clocks: monotonic for the engine, of the wall for the list.
//!
//! The engine reads no clock; every call hands it `now` from here.

use anatomic_core::Time;
use js_sys::{Date, Reflect};
use wasm_bindgen::JsCast;
use web_sys::DedicatedWorkerGlobalScope;

/// This worker's global scope.
#[must_use]
pub fn scope() -> DedicatedWorkerGlobalScope {
    js_sys::global().unchecked_into()
}

/// Now, on the monotonic clock that started with this worker.
#[must_use]
pub fn now() -> Time {
    let millis = scope().performance().map_or_else(Date::now, |performance| performance.now());
    // Microseconds of a session fit; negative times do not occur.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    Time::from_micros((millis * 1000.0) as u64)
}

/// Seconds since 1970.
#[must_use]
pub fn seconds_since_1970() -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let seconds = (Date::now() / 1000.0) as u64;
    seconds
}

/// Fills `bytes` from the browser's source of randomness.
pub fn random(bytes: &mut [u8]) {
    // Every browser that runs this has `crypto`; without it the bytes stay zero and only uniqueness suffers.
    if let Ok(crypto) = Reflect::get(&js_sys::global(), &"crypto".into()) {
        let _ = crypto.unchecked_ref::<web_sys::Crypto>().get_random_values_with_u8_array(bytes);
    }
}

/// A random number, for seeds and names.
#[must_use]
pub fn random_u64() -> u64 {
    let mut bytes = [0; 8];
    random(&mut bytes);
    u64::from_le_bytes(bytes)
}
