//! Offers and answers that a peer passes between two of its peers: our extension `an_intro`, described in PROTOCOL.md.
//!
//! Strangers' words within limits, no more: who passes on what to whom is the engine's business.

use super::Malformed;
use crate::bencode::{Dict, bytes, dict};
use crate::tracker::websocket::{Offer, OfferId, within_limits};
use anatomic_core::PeerId;

/// Most peers that an offer names as known.
pub const MAX_KNOWN: usize = 100;

/// The last eight bytes of a peer id, the random ones: enough to tell the peers of a swarm apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ShortId(pub [u8; 8]);

impl From<PeerId> for ShortId {
    fn from(id: PeerId) -> Self {
        let [.., a, b, c, d, e, f, g, h] = id.0;
        Self([a, b, c, d, e, f, g, h])
    }
}

/// What two peers say to each other through a third, which both are connected with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Introduction {
    /// To the introducer: an offer for one of its peers.
    Ask {
        /// The offer.
        offer: Offer,
        /// Whom the sender knows already: not for these.
        known: Vec<ShortId>,
    },
    /// From the introducer: the offer of one of its peers. It is passed on no further.
    Offer {
        /// The offer.
        offer: Offer,
        /// Who made it.
        from: PeerId,
    },
    /// The answer to an offer, by the way it came.
    Answer(Offer),
    /// Nobody answers that offer: the introducer has no other peer, or the one it asked wants no more.
    Refusal(OfferId),
    /// Of a kind that this version does not know.
    Unknown,
}

impl Introduction {
    /// Reads the payload of an `an_intro` message. Known peers beyond the limit are left out.
    ///
    /// # Errors
    /// [`Malformed`] if it is no such dictionary, or its session description is too long or too rich.
    pub fn decode(payload: &[u8]) -> Result<Self, Malformed> {
        Self::read(payload).ok_or(Malformed { message: "an_intro", source_document: "PROTOCOL.md" })
    }

    fn read(payload: &[u8]) -> Option<Self> {
        let dict = Dict::parse(payload)?;
        let id = OfferId(dict.bytes("id")?.try_into().ok()?);
        let offer = || {
            let sdp = std::str::from_utf8(dict.bytes("sdp")?).ok()?;
            within_limits(sdp).then(|| Offer { id, sdp: sdp.to_owned() })
        };
        Some(match (dict.bytes("t")?, dict.bytes("from")) {
            (b"offer", Some(from)) => Self::Offer { offer: offer()?, from: PeerId(from.try_into().ok()?) },
            (b"offer", None) => {
                let known = dict.bytes("known").unwrap_or_default().as_chunks().0;
                Self::Ask {
                    offer: offer()?,
                    known: known.iter().copied().map(ShortId).take(MAX_KNOWN).collect(),
                }
            }
            (b"answer", _) => Self::Answer(offer()?),
            (b"none", _) => Self::Refusal(id),
            _ => Self::Unknown,
        })
    }

    /// The payload of an `an_intro` message.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let (kind, id, sdp, from, known) = match self {
            Self::Ask { offer, known } => {
                let known: Vec<u8> = known.iter().take(MAX_KNOWN).flat_map(|id| id.0).collect();
                ("offer", offer.id, Some(&offer.sdp), None, Some(known))
            }
            Self::Offer { offer, from } => ("offer", offer.id, Some(&offer.sdp), Some(from.0), None),
            Self::Answer(answer) => ("answer", answer.id, Some(&answer.sdp), None, None),
            Self::Refusal(id) => ("none", *id, None, None, None),
            // Nobody says it.
            Self::Unknown => ("", OfferId([0; 20]), None, None, None),
        };
        dict([
            ("from", bytes(from)),
            ("id", bytes(Some(id.0))),
            ("known", bytes(known)),
            ("sdp", bytes(sdp.map(String::as_str))),
            ("t", bytes(Some(kind))),
        ])
        .to_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tracker::websocket::{MAX_CANDIDATES, MAX_SDP_LEN};
    use anatomic_core::ids::to_hex;

    /// Those of PROTOCOL.md: offer id twenty `D`, description `v=0`.
    fn vectors() -> [(&'static str, Introduction); 4] {
        let offer = Offer { id: OfferId([b'D'; 20]), sdp: "v=0\r\n".into() };
        let from = PeerId(*b"-AN0100-abcdefghijkl");
        [
            ("offer to the introducer", Introduction::Ask { offer: offer.clone(), known: vec![from.into()] }),
            ("offer passed on", Introduction::Offer { offer: offer.clone(), from }),
            ("answer", Introduction::Answer(offer.clone())),
            ("refusal", Introduction::Refusal(offer.id)),
        ]
    }

    #[test]
    fn introductions_come_back_as_written_and_as_documented() {
        let document = include_str!("../../../../PROTOCOL.md");
        for (name, introduction) in vectors() {
            let payload = introduction.encode();
            assert_eq!(Introduction::decode(&payload).as_ref(), Ok(&introduction));
            let line = format!("{name}: {}", to_hex(&payload));
            assert!(document.contains(&line), "PROTOCOL.md lacks the line\n{line}");
        }
        assert_eq!(ShortId::from(PeerId(*b"-AN0100-abcdefghijkl")), ShortId(*b"efghijkl"));
    }

    #[test]
    fn what_is_beyond_the_limits_is_refused_and_what_is_not_known_skipped() {
        let offer = |sdp: String| Introduction::Answer(Offer { id: OfferId([1; 20]), sdp }).encode();
        for sdp in ["".into(), "x".repeat(MAX_SDP_LEN + 1), "a=candidate:1\r\n".repeat(MAX_CANDIDATES + 1)] {
            assert!(Introduction::decode(&offer(sdp)).is_err());
        }
        assert!(Introduction::decode(&offer("x".repeat(MAX_SDP_LEN))).is_ok());
        for bad in [
            &b"le"[..],
            b"de",
            b"d2:id3:abc1:t4:nonee",
            b"d2:id20:DDDDDDDDDDDDDDDDDDDDe",
            b"d4:from1:a2:id20:DDDDDDDDDDDDDDDDDDDD3:sdp3:v=01:t5:offere",
            b"d2:id20:DDDDDDDDDDDDDDDDDDDD3:sdp2:\xff\xff1:t6:answere",
        ] {
            assert!(Introduction::decode(bad).is_err(), "{}", bad.escape_ascii());
        }
        let later = b"d2:id20:DDDDDDDDDDDDDDDDDDDD1:t5:latere";
        assert_eq!(Introduction::decode(later), Ok(Introduction::Unknown));
        let known = vec![ShortId([7; 8]); MAX_KNOWN + 9];
        let ask = Introduction::Ask { offer: Offer { id: OfferId([1; 20]), sdp: "v=0".into() }, known };
        let Ok(Introduction::Ask { known, .. }) = Introduction::decode(&ask.encode()) else { panic!() };
        assert_eq!(known.len(), MAX_KNOWN);
    }
}
