//! Every version that the set-up pins, in one place.
//!
//! Not here: what `Cargo.lock` pins. `wasm-bindgen` above all, whose command-line tool must equal the library
//! to the letter; [`wasm_bindgen`] reads it from there.

use crate::paths;

/// Bundles the page. 0.22 wants a newer compiler than this workspace.
pub(crate) const TRUNK: &str = "0.21.14";
/// The one peer that speaks TCP, uTP and WebRTC: the oracle of the bridge tests.
pub(crate) const LIBTORRENT: &str = "2.1.1";
/// The reference browser client.
pub(crate) const WEBTORRENT: &str = "3.0.21";
/// What WebTorrent uses for WebRTC outside a browser; the version it asks for itself downloads a binary from a
/// place that is not a package registry, this one carries its binary in the package.
pub(crate) const NODE_DATACHANNEL: &str = "0.33.4";
/// The reference HTTP, UDP and WebSocket tracker.
pub(crate) const BITTORRENT_TRACKER: &str = "11.2.3";

/// Trackers and load generators that ours is measured beside.
pub(crate) const AQUATIC: &str = "0.9.0";

/// The version of `wasm-bindgen` in `Cargo.lock`.
pub(crate) fn wasm_bindgen() -> Result<String, String> {
    let lock = paths::root().join("Cargo.lock");
    let text = std::fs::read_to_string(&lock).map_err(|e| format!("cannot read {}: {e}", lock.display()))?;
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line == "name = \"wasm-bindgen\"" {
            let version =
                lines.next().and_then(|l| l.strip_prefix("version = \"")).map(|l| l.trim_end_matches('"'));
            return version
                .map(str::to_owned)
                .ok_or_else(|| "Cargo.lock: wasm-bindgen has no version".to_owned());
        }
    }
    Err("Cargo.lock names no wasm-bindgen".to_owned())
}
