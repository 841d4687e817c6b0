//! Writes messages straight into their text: a busy tracker does little else, and a page need not load a writer for it.
//!
//! Text escapes as RFC 8259 wants them; what is read back is in [`super::parse`] and [`super::request`].

use super::{ClientMessage, Offer, Refusal, ServerMessage, WsAnnounce};
use std::fmt::Write as _;

/// The message as JSON.
pub(super) fn server_message(message: &ServerMessage) -> String {
    let mut json = String::with_capacity(match message {
        ServerMessage::Offer { offer, .. } | ServerMessage::Answer { answer: offer, .. } => {
            320 + offer.sdp.len()
        }
        ServerMessage::Scraped(files) => 80 + files.len() * 128,
        ServerMessage::Announced { .. } | ServerMessage::Refused(_) => 192,
    });
    match message {
        ServerMessage::Announced { info_hash, complete, incomplete, interval, tracker_id, warning } => {
            json.push_str("{\"action\":\"announce\",\"info_hash\":");
            binary(&mut json, info_hash.as_bytes());
            // Writing to a String cannot fail.
            let _ =
                write!(json, ",\"complete\":{complete},\"incomplete\":{incomplete},\"interval\":{interval}");
            if let Some(id) = tracker_id {
                json.push_str(",\"tracker id\":");
                text(&mut json, id);
            }
            if let Some(warning) = warning {
                json.push_str(",\"warning message\":");
                text(&mut json, warning);
            }
        }
        ServerMessage::Offer { info_hash, peer_id, offer } => {
            description(&mut json, "offer", info_hash.as_bytes(), peer_id.as_bytes(), offer);
        }
        ServerMessage::Answer { info_hash, peer_id, answer } => {
            description(&mut json, "answer", info_hash.as_bytes(), peer_id.as_bytes(), answer);
        }
        ServerMessage::Scraped(files) => {
            json.push_str("{\"action\":\"scrape\",\"files\":{");
            for (number, (info_hash, counts)) in files.iter().enumerate() {
                json.push_str(if number == 0 { "" } else { "," });
                binary(&mut json, info_hash.as_bytes());
                let _ = write!(
                    json,
                    ":{{\"complete\":{},\"downloaded\":{},\"incomplete\":{}}}",
                    counts.complete, counts.downloaded, counts.incomplete
                );
            }
            json.push_str("},\"flags\":{\"min_request_interval\":600}");
        }
        ServerMessage::Refused(Refusal { action, info_hash, reason }) => {
            json.push_str("{\"action\":\"");
            json.push_str(action.as_str());
            json.push_str("\",\"failure reason\":");
            text(&mut json, reason);
            if let Some(info_hash) = info_hash {
                json.push_str(",\"info_hash\":");
                binary(&mut json, info_hash.as_bytes());
            }
        }
    }
    json.push('}');
    json
}

/// The message as JSON.
pub(super) fn client_message(message: &ClientMessage) -> String {
    let mut json = String::new();
    match message {
        ClientMessage::Announce(message) => announce(&mut json, message),
        ClientMessage::Answer { info_hash, peer_id, to_peer_id, answer } => {
            description(&mut json, "answer", info_hash.as_bytes(), peer_id.as_bytes(), answer);
            json.push_str(",\"to_peer_id\":");
            binary(&mut json, to_peer_id.as_bytes());
        }
        ClientMessage::Scrape(hashes) => {
            json.push_str("{\"action\":\"scrape\",\"info_hash\":[");
            for (number, info_hash) in hashes.iter().enumerate() {
                json.push_str(if number == 0 { "" } else { "," });
                binary(&mut json, info_hash.as_bytes());
            }
            json.push(']');
        }
    }
    json.push('}');
    json
}

fn announce(json: &mut String, announce: &WsAnnounce) {
    json.push_str("{\"action\":\"announce\",\"info_hash\":");
    binary(json, announce.info_hash.as_bytes());
    json.push_str(",\"peer_id\":");
    binary(json, announce.peer_id.as_bytes());
    let WsAnnounce { uploaded, downloaded, .. } = announce;
    // Writing to a String cannot fail.
    let _ = write!(json, ",\"uploaded\":{uploaded},\"downloaded\":{downloaded}");
    // As WebTorrent does: null while unknown. Zero would count us among the seeds.
    let _ = match announce.left {
        Some(left) => write!(json, ",\"left\":{left}"),
        None => write!(json, ",\"left\":null"),
    };
    if let Some(event) = announce.event {
        let _ = write!(json, ",\"event\":\"{}\"", event.as_str());
    }
    if let Some(want) = announce.want {
        let _ = write!(json, ",\"numwant\":{want}");
    }
    if let Some(id) = &announce.tracker_id {
        json.push_str(",\"trackerid\":");
        text(json, id);
    }
    if let Some(count) = announce.for_node {
        let _ = write!(json, ",\"an_node\":{count}");
    }
    if !announce.offers.is_empty() {
        json.push_str(",\"offers\":[");
        for (number, offer) in announce.offers.iter().enumerate() {
            json.push_str(if number == 0 { "{\"offer_id\":" } else { ",{\"offer_id\":" });
            binary(json, &offer.id.0);
            json.push(',');
            session(json, "offer", &offer.sdp);
            json.push('}');
        }
        json.push(']');
    }
}

fn description(json: &mut String, kind: &str, info_hash: &[u8; 20], peer_id: &[u8; 20], offer: &Offer) {
    json.push_str("{\"action\":\"announce\",\"info_hash\":");
    binary(json, info_hash);
    json.push_str(",\"peer_id\":");
    binary(json, peer_id);
    json.push_str(",\"offer_id\":");
    binary(json, &offer.id.0);
    json.push(',');
    session(json, kind, &offer.sdp);
}

/// A session description as a field, of which `kind` is name and type.
fn session(json: &mut String, kind: &str, sdp: &str) {
    json.push('"');
    json.push_str(kind);
    json.push_str("\":{\"type\":\"");
    json.push_str(kind);
    json.push_str("\",\"sdp\":");
    text(json, sdp);
    json.push('}');
}

/// Bytes as a "binary string": byte n is the code point U+00nn.
fn binary(json: &mut String, bytes: &[u8; 20]) {
    json.push('"');
    for byte in bytes {
        if needs_escape(*byte) { escape(json, *byte) } else { json.push(char::from(*byte)) }
    }
    json.push('"');
}

fn text(json: &mut String, text: &str) {
    json.push('"');
    let mut rest = text;
    // What needs an escape is ASCII, so every cut falls between characters.
    while let Some(at) = rest.bytes().position(needs_escape) {
        let (plain, from) = rest.split_at_checked(at).unwrap_or((rest, ""));
        json.push_str(plain);
        if let Some(byte) = from.bytes().next() {
            escape(json, byte);
        }
        rest = from.get(1..).unwrap_or_default();
    }
    json.push_str(rest);
    json.push('"');
}

const fn needs_escape(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

fn escape(json: &mut String, byte: u8) {
    match byte {
        b'"' => json.push_str("\\\""),
        b'\\' => json.push_str("\\\\"),
        b'\n' => json.push_str("\\n"),
        b'\r' => json.push_str("\\r"),
        b'\t' => json.push_str("\\t"),
        other => {
            json.push_str("\\u00");
            for digit in [other >> 4, other & 15] {
                json.push(char::from_digit(u32::from(digit), 16).unwrap_or('0'));
            }
        }
    }
}
