//! Reads what trackers send, as tolerantly as trackers are careless.
//!
//! Numbers may be missing, null, fractional or text; unknown fields are ignored. What clients send is read in
//! [`super::request`].

use super::{Action, Json, Offer, OfferId, Refusal, ServerMessage, from_binary_string, within_limits};
use crate::tracker::{for_people, scrape};
use anatomic_core::{InfoHash, PeerId};
use serde_json::Value;

impl Json for &Value {
    fn field(&self, name: &str) -> Option<Self> {
        self.get(name).filter(|value| !value.is_null())
    }

    fn fields(&self) -> Option<Vec<(String, Self)>> {
        Some(self.as_object()?.iter().map(|(name, value)| (name.clone(), value)).collect())
    }

    fn text(&self) -> Option<String> {
        self.as_str().map(str::to_owned)
    }

    fn number(&self) -> Option<f64> {
        self.as_f64()
    }
}

pub(super) fn server_message(message: &impl Json) -> Option<ServerMessage> {
    let hash = id(message, "info_hash").map(InfoHash);
    let action = match text(message, "action").as_deref() {
        Some("scrape") => Action::Scrape,
        _ => Action::Announce,
    };
    if let Some(reason) = text(message, "failure reason") {
        return Some(ServerMessage::Refused(Refusal {
            action,
            info_hash: hash,
            reason: for_people(&reason),
        }));
    }
    if action == Action::Scrape {
        return Some(ServerMessage::Scraped(
            message
                .field("files")?
                .fields()?
                .into_iter()
                .take(scrape::MAX_HASHES)
                .filter_map(|(key, value)| Some((InfoHash(from_binary_string(&key)?), counts(&value)?)))
                .collect(),
        ));
    }
    let info_hash = hash?;
    if let Some(offer) = message.field("offer") {
        let (peer_id, offer) = described(message, &offer)?;
        return Some(ServerMessage::Offer { info_hash, peer_id, offer });
    }
    if let Some(answer) = message.field("answer") {
        let (peer_id, answer) = described(message, &answer)?;
        return Some(ServerMessage::Answer { info_hash, peer_id, answer });
    }
    // Without an interval it is no reply (libtorrent's rule); some trackers say only the least one.
    let interval =
        ["interval", "min interval", "min_interval"].iter().find_map(|key| figure(message, key))?;
    Some(ServerMessage::Announced {
        info_hash,
        complete: figure(message, "complete").unwrap_or(0),
        incomplete: figure(message, "incomplete").unwrap_or(0),
        interval,
        tracker_id: text(message, "tracker id"),
        warning: text(message, "warning message").map(|warning| for_people(&warning)),
    })
}

fn counts(value: &impl Json) -> Option<scrape::SwarmCounts> {
    value.fields()?;
    let figure = |name| figure(value, name).unwrap_or(0);
    Some(scrape::SwarmCounts {
        complete: figure("complete"),
        downloaded: figure("downloaded"),
        incomplete: figure("incomplete"),
    })
}

fn text(message: &impl Json, name: &str) -> Option<String> {
    message.field(name)?.text()
}

fn id(message: &impl Json, name: &str) -> Option<[u8; 20]> {
    from_binary_string(&text(message, name)?)
}

/// Who sent an offer or answer, its id, and its session description if that is within the limits.
fn described<J: Json>(message: &J, description: &J) -> Option<(PeerId, Offer)> {
    let sdp = text(description, "sdp").filter(|sdp| within_limits(sdp))?;
    Some((PeerId(id(message, "peer_id")?), Offer { id: OfferId(id(message, "offer_id")?), sdp }))
}

/// A fraction as a count, if it is in the range of integers that a double holds exactly.
pub(super) fn whole(number: f64) -> Option<u64> {
    let number = Some(number).filter(|number| (0.0..9e15).contains(number))?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let number = number as u64;
    Some(number)
}

/// A count, whether it is written as an integer, a fraction or text; null, negative and others count as absent.
fn figure(message: &impl Json, name: &str) -> Option<u32> {
    let value = message.field(name)?;
    match value.number() {
        Some(number) => u32::try_from(whole(number)?).ok(),
        None => value.text()?.trim().parse().ok(),
    }
}
