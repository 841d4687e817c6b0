//! Reads what clients send, as tolerantly as clients are careless and in one pass: a busy tracker does little else.
//!
//! Numbers may be missing, null, fractional or text; unknown fields and values of another kind are ignored; a bad offer is
//! left out and the announce still counts. What servers send is read in [`super::parse`].

use super::parse::whole;
use super::within_limits;
use super::{
    Action, ClientMessage, MAX_MESSAGE_LEN, MAX_OFFERS, Offer, OfferId, Refusal, WsAnnounce,
    from_binary_string,
};
use crate::tracker::{Event, scrape};
use anatomic_core::{InfoHash, PeerId};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;
use std::marker::PhantomData;

pub(super) fn client_message(bytes: &[u8]) -> Result<ClientMessage, Refusal> {
    let refuse = |action, info_hash, reason: &str| Refusal { action, info_hash, reason: reason.into() };
    let read = if bytes.len() > MAX_MESSAGE_LEN { None } else { serde_json::from_slice(bytes).ok() };
    let Some(fields) = read.and_then(|Fields(fields)| fields) else {
        return Err(refuse(Action::Announce, None, "the message is not a JSON object of at most 64 KiB"));
    };
    let hash = fields.info_hash.one.map(InfoHash);
    match fields.action {
        Verb(Some(Action::Announce)) => {}
        Verb(Some(Action::Scrape)) => return scrape_request(fields.info_hash),
        Verb(None) => return Err(refuse(Action::Announce, hash, "invalid action: announce or scrape")),
    }
    let Some(hash) = hash else {
        return Err(refuse(Action::Announce, None, "invalid info_hash: it must be 20 code points below 256"));
    };
    let refuse = |reason: &str| refuse(Action::Announce, Some(hash), reason);
    let peer_id = fields.peer_id.0.map(PeerId).ok_or_else(|| refuse("invalid peer_id"))?;
    if fields.answer.given {
        let to_peer_id = fields.to_peer_id.0.map(PeerId).ok_or_else(|| refuse("invalid to_peer_id"))?;
        let id = fields.offer_id.0.map(OfferId).ok_or_else(|| refuse("invalid offer_id"))?;
        let sdp = fields.answer.sdp.ok_or_else(|| refuse("invalid answer"))?;
        return Ok(ClientMessage::Answer { info_hash: hash, peer_id, to_peer_id, answer: Offer { id, sdp } });
    }
    Ok(ClientMessage::Announce(WsAnnounce {
        info_hash: hash,
        peer_id,
        uploaded: fields.uploaded.0.unwrap_or(0),
        downloaded: fields.downloaded.0.unwrap_or(0),
        left: fields.left.0,
        event: fields.event.0,
        want: fields.want.0.and_then(|want| u32::try_from(want).ok()),
        tracker_id: fields.tracker_id.0,
        for_node: fields.for_node.0.and_then(|count| u32::try_from(count).ok()),
        offers: fields.offers.0,
    }))
}

fn scrape_request(hashes: Hashes) -> Result<ClientMessage, Refusal> {
    let refuse = |reason: &str| Refusal { action: Action::Scrape, info_hash: None, reason: reason.into() };
    // A scrape of everything would list what people share.
    if hashes.bad {
        Err(refuse("invalid info_hash"))
    } else if hashes.all.is_empty() {
        Err(refuse("scrape names no torrent: give info_hash"))
    } else {
        Ok(ClientMessage::Scrape(hashes.all))
    }
}

/// A value that takes what it can use of any JSON and is else as if it were not there.
trait Lenient: Default {
    fn text(_: &str) -> Self {
        Self::default()
    }

    fn number(_: Option<u64>) -> Self {
        Self::default()
    }

    fn list<'de, A: SeqAccess<'de>>(mut list: A) -> Result<Self, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Self::default())
    }

    fn object<'de, A: MapAccess<'de>>(mut object: A) -> Result<Self, A::Error> {
        while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Self::default())
    }
}

struct Look<T>(PhantomData<T>);

impl<'de, T: Lenient> Visitor<'de> for Look<T> {
    type Value = T;

    fn expecting(&self, into: &mut fmt::Formatter<'_>) -> fmt::Result {
        into.write_str("any JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<T, E> {
        Ok(T::number(None))
    }

    fn visit_i64<E>(self, number: i64) -> Result<T, E> {
        Ok(T::number(u64::try_from(number).ok()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<T, E> {
        Ok(T::number(Some(number)))
    }

    fn visit_f64<E>(self, number: f64) -> Result<T, E> {
        Ok(T::number(whole(number)))
    }

    fn visit_str<E>(self, text: &str) -> Result<T, E> {
        Ok(T::text(text))
    }

    fn visit_unit<E>(self) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<T, A::Error> {
        T::list(list)
    }

    fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<T, A::Error> {
        T::object(object)
    }
}

macro_rules! lenient {
    ($($kind:ty),*) => {$(
        impl<'de> Deserialize<'de> for $kind {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                from.deserialize_any(Look(PhantomData))
            }
        }
    )*};
}
lenient!(Fields, Verb, When, Count, Id, Text, Hashes, Description, Sdp, Offers, MaybeOffer);

/// The name of a field.
enum Name {
    Action,
    InfoHash,
    PeerId,
    ToPeerId,
    OfferId,
    Offer,
    Offers,
    Answer,
    Uploaded,
    Downloaded,
    Left,
    Event,
    Want,
    TrackerId,
    ForNode,
    Sdp,
    Other,
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Names;
        impl Visitor<'_> for Names {
            type Value = Name;

            fn expecting(&self, into: &mut fmt::Formatter<'_>) -> fmt::Result {
                into.write_str("a name")
            }

            fn visit_str<E>(self, name: &str) -> Result<Name, E> {
                Ok(match name {
                    "action" => Name::Action,
                    "info_hash" => Name::InfoHash,
                    "peer_id" => Name::PeerId,
                    "to_peer_id" => Name::ToPeerId,
                    "offer_id" => Name::OfferId,
                    "offer" => Name::Offer,
                    "offers" => Name::Offers,
                    "answer" => Name::Answer,
                    "uploaded" => Name::Uploaded,
                    "downloaded" => Name::Downloaded,
                    "left" => Name::Left,
                    "event" => Name::Event,
                    "numwant" => Name::Want,
                    "trackerid" => Name::TrackerId,
                    "an_node" => Name::ForNode,
                    "sdp" => Name::Sdp,
                    _ => Name::Other,
                })
            }
        }
        from.deserialize_identifier(Names)
    }
}

/// A message; `None` if it is no object.
#[derive(Default)]
struct Fields(Option<Box<Message>>);

#[derive(Default)]
struct Message {
    action: Verb,
    info_hash: Hashes,
    peer_id: Id,
    to_peer_id: Id,
    offer_id: Id,
    offers: Offers,
    answer: Description,
    uploaded: Count,
    downloaded: Count,
    left: Count,
    event: When,
    want: Count,
    tracker_id: Text,
    for_node: Count,
}

impl Lenient for Fields {
    fn object<'de, A: MapAccess<'de>>(mut object: A) -> Result<Self, A::Error> {
        let mut message = Box::<Message>::default();
        while let Some(name) = object.next_key()? {
            match name {
                Name::Action => message.action = object.next_value()?,
                Name::InfoHash => message.info_hash = object.next_value()?,
                Name::PeerId => message.peer_id = object.next_value()?,
                Name::ToPeerId => message.to_peer_id = object.next_value()?,
                Name::OfferId => message.offer_id = object.next_value()?,
                Name::Offers => message.offers = object.next_value()?,
                Name::Answer => message.answer = object.next_value()?,
                Name::Uploaded => message.uploaded = object.next_value()?,
                Name::Downloaded => message.downloaded = object.next_value()?,
                Name::Left => message.left = object.next_value()?,
                Name::Event => message.event = object.next_value()?,
                Name::Want => message.want = object.next_value()?,
                Name::TrackerId => message.tracker_id = object.next_value()?,
                Name::ForNode => message.for_node = object.next_value()?,
                Name::Offer | Name::Sdp | Name::Other => {
                    let IgnoredAny = object.next_value()?;
                }
            }
        }
        Ok(Self(Some(message)))
    }
}

#[derive(Default)]
struct Verb(Option<Action>);

impl Lenient for Verb {
    fn text(text: &str) -> Self {
        Self(match text {
            "announce" => Some(Action::Announce),
            "scrape" => Some(Action::Scrape),
            _ => None,
        })
    }
}

#[derive(Default)]
struct When(Option<Event>);

impl Lenient for When {
    fn text(text: &str) -> Self {
        Self(Event::parse(text))
    }
}

/// A count, whether it is written as an integer, a fraction or text; null, negative and others count as absent.
#[derive(Default)]
struct Count(Option<u64>);

impl Lenient for Count {
    fn text(text: &str) -> Self {
        Self(text.trim().parse().ok())
    }

    fn number(number: Option<u64>) -> Self {
        Self(number)
    }
}

#[derive(Default)]
struct Id(Option<[u8; 20]>);

impl Lenient for Id {
    fn text(text: &str) -> Self {
        Self(from_binary_string(text))
    }
}

#[derive(Default)]
struct Text(Option<String>);

impl Lenient for Text {
    fn text(text: &str) -> Self {
        Self(Some(text.to_owned()))
    }
}

/// One info-hash, or several for a scrape.
#[derive(Default)]
struct Hashes {
    one: Option<[u8; 20]>,
    all: Vec<InfoHash>,
    /// One of them is none.
    bad: bool,
}

impl Lenient for Hashes {
    fn text(text: &str) -> Self {
        let one = from_binary_string(text);
        Self { one, all: one.map(InfoHash).into_iter().collect(), bad: one.is_none() }
    }

    fn list<'de, A: SeqAccess<'de>>(mut list: A) -> Result<Self, A::Error> {
        let mut hashes = Self::default();
        let mut read = 0;
        while let Some(Id(id)) = list.next_element()? {
            if read < scrape::MAX_HASHES {
                hashes.all.extend(id.map(InfoHash));
                hashes.bad |= id.is_none();
            }
            read += 1;
        }
        Ok(hashes)
    }
}

/// A session description within the limits.
#[derive(Default)]
struct Sdp(Option<String>);

impl Lenient for Sdp {
    fn text(text: &str) -> Self {
        Self(within_limits(text).then(|| text.to_owned()))
    }
}

/// An offer's or answer's description.
#[derive(Default)]
struct Description {
    /// Whether there is anything at all, if not a description.
    given: bool,
    sdp: Option<String>,
}

impl Lenient for Description {
    fn text(_: &str) -> Self {
        Self { given: true, sdp: None }
    }

    fn number(_: Option<u64>) -> Self {
        Self { given: true, sdp: None }
    }

    fn list<'de, A: SeqAccess<'de>>(mut list: A) -> Result<Self, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Self { given: true, sdp: None })
    }

    fn object<'de, A: MapAccess<'de>>(mut object: A) -> Result<Self, A::Error> {
        let mut sdp = None;
        while let Some(name) = object.next_key()? {
            match name {
                Name::Sdp => Sdp(sdp) = object.next_value()?,
                _ => {
                    let IgnoredAny = object.next_value()?;
                }
            }
        }
        Ok(Self { given: true, sdp })
    }
}

/// The first offers of an announce that are some.
#[derive(Default)]
struct Offers(Vec<Offer>);

impl Lenient for Offers {
    fn list<'de, A: SeqAccess<'de>>(mut list: A) -> Result<Self, A::Error> {
        let mut offers = Vec::new();
        while offers.len() < MAX_OFFERS {
            match list.next_element()? {
                Some(MaybeOffer(offer)) => offers.extend(offer),
                None => return Ok(Self(offers)),
            }
        }
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Self(offers))
    }
}

#[derive(Default)]
struct MaybeOffer(Option<Offer>);

impl Lenient for MaybeOffer {
    fn object<'de, A: MapAccess<'de>>(mut object: A) -> Result<Self, A::Error> {
        let (mut id, mut offer) = (Id(None), Description::default());
        while let Some(name) = object.next_key()? {
            match name {
                Name::OfferId => id = object.next_value()?,
                Name::Offer => offer = object.next_value()?,
                _ => {
                    let IgnoredAny = object.next_value()?;
                }
            }
        }
        let offer = id.0.map(OfferId).zip(offer.sdp).map(|(id, sdp)| Offer { id, sdp });
        Ok(Self(offer))
    }
}
