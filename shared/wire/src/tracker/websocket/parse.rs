//! Reads what trackers send, as tolerantly as trackers are careless.
//!
//! Numbers may be missing, null, fractional or text; unknown fields are ignored. What clients send is read in
//! [`super::request`].

use super::{
    Action, MAX_MESSAGE_LEN, Offer, OfferId, Refusal, ServerMessage, from_binary_string, within_limits,
};
use crate::tracker::{for_people, scrape};
use anatomic_core::{InfoHash, PeerId};
use serde_json::{Map, Value};

type Fields = Map<String, Value>;

pub(super) fn server_message(bytes: &[u8]) -> Option<ServerMessage> {
    let fields = object(bytes)?;
    let hash = info_hash(&fields);
    let action = match fields.get("action").and_then(Value::as_str) {
        Some("scrape") => Action::Scrape,
        _ => Action::Announce,
    };
    if let Some(reason) = fields.get("failure reason").and_then(Value::as_str) {
        return Some(ServerMessage::Refused(Refusal { action, info_hash: hash, reason: for_people(reason) }));
    }
    if action == Action::Scrape {
        let files = fields.get("files")?.as_object()?;
        let counts = |value: &Value| {
            let value = value.as_object()?;
            let figure = |key| figure(value, key).unwrap_or(0);
            Some(scrape::SwarmCounts {
                complete: figure("complete"),
                downloaded: figure("downloaded"),
                incomplete: figure("incomplete"),
            })
        };
        return Some(ServerMessage::Scraped(
            files
                .iter()
                .take(scrape::MAX_HASHES)
                .filter_map(|(key, value)| Some((InfoHash(from_binary_string(key)?), counts(value)?)))
                .collect(),
        ));
    }
    let info_hash = hash?;
    if let Some(offer) = fields.get("offer").filter(|offer| !offer.is_null()) {
        let peer_id = PeerId(id(&fields, "peer_id")?);
        let offer = Offer { id: OfferId(id(&fields, "offer_id")?), sdp: description(offer)? };
        return Some(ServerMessage::Offer { info_hash, peer_id, offer });
    }
    if let Some(answer) = fields.get("answer").filter(|answer| !answer.is_null()) {
        let peer_id = PeerId(id(&fields, "peer_id")?);
        let answer = Offer { id: OfferId(id(&fields, "offer_id")?), sdp: description(answer)? };
        return Some(ServerMessage::Answer { info_hash, peer_id, answer });
    }
    // Without an interval it is no reply (libtorrent's rule); some trackers say only the least one.
    let interval =
        ["interval", "min interval", "min_interval"].iter().find_map(|key| figure(&fields, key))?;
    Some(ServerMessage::Announced {
        info_hash,
        complete: figure(&fields, "complete").unwrap_or(0),
        incomplete: figure(&fields, "incomplete").unwrap_or(0),
        interval,
        tracker_id: fields.get("tracker id").and_then(Value::as_str).map(str::to_owned),
        warning: fields.get("warning message").and_then(Value::as_str).map(for_people),
    })
}

fn object(bytes: &[u8]) -> Option<Fields> {
    if bytes.len() > MAX_MESSAGE_LEN {
        return None;
    }
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(fields)) => Some(fields),
        _ => None,
    }
}

fn id(fields: &Fields, key: &str) -> Option<[u8; 20]> {
    fields.get(key).and_then(Value::as_str).and_then(from_binary_string)
}

fn info_hash(fields: &Fields) -> Option<InfoHash> {
    id(fields, "info_hash").map(InfoHash)
}

/// The session description of an offer or answer, if it is within the limits.
fn description(value: &Value) -> Option<String> {
    let sdp = value.as_object()?.get("sdp")?.as_str()?;
    within_limits(sdp).then(|| sdp.to_owned())
}

/// A fraction as a count, if it is in the range of integers that a double holds exactly.
pub(super) fn whole(number: f64) -> Option<u64> {
    let number = Some(number).filter(|number| (0.0..9e15).contains(number))?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let number = number as u64;
    Some(number)
}

/// A count, whether it is written as an integer, a fraction or text; null, negative and others count as absent.
fn number(value: Option<&Value>) -> Option<u64> {
    match value? {
        Value::Number(number) => number.as_u64().or_else(|| whole(number.as_f64()?)),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

fn figure(fields: &Fields, key: &str) -> Option<u32> {
    number(fields.get(key)).and_then(|number| u32::try_from(number).ok())
}
