//! Reads the JSON of the WebTorrent tracker protocol, as tolerantly as clients are careless.
//!
//! Numbers may be missing, null, fractional or text; unknown fields are ignored; a bad offer is left out and the
//! announce still counts.

use super::{
    Action, ClientMessage, MAX_CANDIDATES, MAX_MESSAGE_LEN, MAX_OFFERS, MAX_SDP_LEN, Offer, OfferId, Refusal,
    ServerMessage, WsAnnounce, from_binary_string,
};
use crate::tracker::{Event, for_people, scrape};
use anatomic_core::{InfoHash, PeerId};
use serde_json::{Map, Value};

type Fields = Map<String, Value>;

pub(super) fn client_message(bytes: &[u8]) -> Result<ClientMessage, Refusal> {
    let refuse = |action, info_hash, reason: &str| Refusal { action, info_hash, reason: reason.into() };
    let Some(fields) = object(bytes) else {
        return Err(refuse(Action::Announce, None, "the message is not a JSON object of at most 64 KiB"));
    };
    match fields.get("action").and_then(Value::as_str) {
        Some("announce") => {}
        Some("scrape") => return scrape_request(&fields),
        _ => return Err(refuse(Action::Announce, info_hash(&fields), "invalid action: announce or scrape")),
    }
    let Some(hash) = info_hash(&fields) else {
        return Err(refuse(Action::Announce, None, "invalid info_hash: it must be 20 code points below 256"));
    };
    let refuse = |reason: &str| refuse(Action::Announce, Some(hash), reason);
    let peer_id = id(&fields, "peer_id").map(PeerId).ok_or_else(|| refuse("invalid peer_id"))?;
    if let Some(answer) = fields.get("answer").filter(|answer| !answer.is_null()) {
        let to_peer_id = id(&fields, "to_peer_id").map(PeerId).ok_or_else(|| refuse("invalid to_peer_id"))?;
        let id = id(&fields, "offer_id").map(OfferId).ok_or_else(|| refuse("invalid offer_id"))?;
        let sdp = description(answer).ok_or_else(|| refuse("invalid answer"))?;
        return Ok(ClientMessage::Answer { info_hash: hash, peer_id, to_peer_id, answer: Offer { id, sdp } });
    }
    let offers = match fields.get("offers") {
        Some(Value::Array(offers)) => offers.iter().filter_map(offer).take(MAX_OFFERS).collect(),
        _ => Vec::new(),
    };
    Ok(ClientMessage::Announce(WsAnnounce {
        info_hash: hash,
        peer_id,
        uploaded: number(fields.get("uploaded")).unwrap_or(0),
        downloaded: number(fields.get("downloaded")).unwrap_or(0),
        left: number(fields.get("left")),
        event: fields.get("event").and_then(Value::as_str).and_then(Event::parse),
        want: figure(&fields, "numwant"),
        tracker_id: fields.get("trackerid").and_then(Value::as_str).map(str::to_owned),
        for_node: figure(&fields, "an_node"),
        offers,
    }))
}

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

fn scrape_request(fields: &Fields) -> Result<ClientMessage, Refusal> {
    let refuse = |reason: &str| Refusal { action: Action::Scrape, info_hash: None, reason: reason.into() };
    let hash = |value: &Value| {
        value.as_str().and_then(from_binary_string).map(InfoHash).ok_or_else(|| refuse("invalid info_hash"))
    };
    let hashes = match fields.get("info_hash") {
        Some(Value::Array(values)) => {
            values.iter().take(scrape::MAX_HASHES).map(hash).collect::<Result<Vec<_>, _>>()?
        }
        Some(value @ Value::String(_)) => vec![hash(value)?],
        _ => Vec::new(),
    };
    // A scrape of everything would list what people share.
    if hashes.is_empty() {
        Err(refuse("scrape names no torrent: give info_hash"))
    } else {
        Ok(ClientMessage::Scrape(hashes))
    }
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

fn offer(value: &Value) -> Option<Offer> {
    let fields = value.as_object()?;
    Some(Offer { id: OfferId(id(fields, "offer_id")?), sdp: description(fields.get("offer")?)? })
}

/// The session description of an offer or answer, if it is within the limits.
fn description(value: &Value) -> Option<String> {
    let sdp = value.as_object()?.get("sdp")?.as_str()?;
    let candidates = sdp.lines().filter(|line| line.starts_with("a=candidate:")).count();
    (!sdp.is_empty() && sdp.len() <= MAX_SDP_LEN && candidates <= MAX_CANDIDATES).then(|| sdp.to_owned())
}

/// A count, whether it is written as an integer, a fraction or text; null, negative and others count as absent.
fn number(value: Option<&Value>) -> Option<u64> {
    match value? {
        Value::Number(number) => number.as_u64().or_else(|| {
            let number = number.as_f64().filter(|number| (0.0..9e15).contains(number))?;
            // In the range of integers that a double holds exactly.
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let number = number as u64;
            Some(number)
        }),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

fn figure(fields: &Fields, key: &str) -> Option<u32> {
    number(fields.get(key)).and_then(|number| u32::try_from(number).ok())
}
