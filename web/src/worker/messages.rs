//! Reads what WebSocket trackers send, with the reader of JSON that a browser has anyhow.
//!
//! Which fields there are, and what is forgiven, is [`anatomic_wire`]'s business.

use anatomic_wire::tracker::websocket::ServerMessage;

/// Reads a message; `None` if it is not understood, and to be ignored.
#[cfg(target_family = "wasm")]
#[must_use]
pub fn read(bytes: &[u8]) -> Option<ServerMessage> {
    if bytes.len() > anatomic_wire::tracker::websocket::MAX_MESSAGE_LEN {
        return None;
    }
    ServerMessage::from_json(&crate::browser::Json::parse(std::str::from_utf8(bytes).ok()?)?)
}

/// Reads a message as the relay does: tests run outside a browser.
#[cfg(not(target_family = "wasm"))]
#[must_use]
pub fn read(bytes: &[u8]) -> Option<ServerMessage> {
    ServerMessage::decode(bytes)
}

#[cfg(target_family = "wasm")]
impl anatomic_wire::tracker::websocket::Json for crate::browser::Json {
    fn field(&self, name: &str) -> Option<Self> {
        Some(self.get(name)).filter(|value| !value.is_nothing())
    }

    fn fields(&self) -> Option<Vec<(String, Self)>> {
        self.entries()
    }

    fn text(&self) -> Option<String> {
        self.text()
    }

    fn number(&self) -> Option<f64> {
        self.fraction()
    }
}
