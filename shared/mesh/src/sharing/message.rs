//! What sister nodes send each other, one bencoded dictionary a message, and its limits.
//!
//! Formats only: whether a message may come now, and what follows from it, is the session's business. Readers skip entries and
//! kinds of messages that they do not know.

use super::contact::Packed;
use super::guests::Counts;
use crate::identity::Key;
use crate::signed::array;
use anatomic_core::bencode::{self, Item, Limits, Value};
use anatomic_core::{InfoHash, PeerId};
use anatomic_wire::tracker::websocket::{MAX_SDP_LEN, Offer, OfferId, within_limits};

/// Longest message in bytes.
pub const MAX_MESSAGE: usize = 64 * 1024;
/// Most receipts in one message.
pub const MAX_RECEIPTS: usize = 100;
/// Most swarms in one message.
pub const MAX_SWARMS: usize = 500;
/// Most info-hashes in one message.
pub const MAX_HASHES: usize = 2_000;
/// Longest URL in bytes.
const MAX_URL: usize = 1_000;
/// Longest farewell in bytes.
const MAX_REASON: usize = 200;
/// Strangers' bytes meet these before anything else.
const LIMITS: Limits = Limits { bytes: MAX_MESSAGE, depth: 5, tokens: 20_000 };

/// The first message of both sides.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hello {
    /// Version of the protocol.
    pub version: u64,
    /// Who speaks.
    pub key: Key,
    /// 32 random bytes, for this connection only.
    pub nonce: [u8; 32],
    /// Under which address the speaker is reached: scheme and host.
    pub url: String,
    /// The address that was dialled; only the dialling side says it.
    pub to: Option<String>,
}

/// Where to go on after a connection was lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Resume {
    /// Names the speaker's memory: another number means that it was lost.
    pub epoch: u64,
    /// The listener's epoch that the speaker remembers; 0 for none.
    pub known: u64,
    /// Up to which number of that epoch's news the speaker has everything.
    pub seq: u64,
}

/// What is new in a swarm.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SwarmNews {
    /// Which one.
    pub info_hash: InfoHash,
    /// Peers that came or were heard of again.
    pub gained: Packed,
    /// Peers that went.
    pub lost: Packed,
    /// How many there are, if that changed.
    pub counts: Option<Counts>,
    /// Whether somebody waits for peers there: then news of it are sent at once.
    pub waits: bool,
}

/// A message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Message {
    /// Who speaks.
    Hello(Hello),
    /// The signature over both hellos.
    Proof([u8; 64]),
    /// Where to go on.
    Resume(Resume),
    /// Receipts of the speaker, or of other nodes of the same torrents. Not yet verified.
    Hold(Vec<Vec<u8>>),
    /// Torrents that the speaker does not hold, or holds no longer.
    Drop(Vec<InfoHash>),
    /// What is new; with a number once everything up to it has been said.
    News(Vec<SwarmNews>, Option<u64>),
    /// An offer of a browser for any browser of the swarm.
    Offer {
        /// Which swarm.
        info_hash: InfoHash,
        /// Who offers.
        from: PeerId,
        /// The offer.
        offer: Offer,
    },
    /// The answer to an offer.
    Answer {
        /// Which swarm.
        info_hash: InfoHash,
        /// Who answers.
        from: PeerId,
        /// Who offered.
        to: PeerId,
        /// The answer, with the offer's id.
        answer: Offer,
    },
    /// The speaker goes; for people, why.
    Bye(String),
}

/// The bytes are no message of this version, or break a limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the message is malformed or too large")]
pub struct Malformed;

impl Message {
    /// The bencoded message.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let item = match self {
            Self::Hello(hello) => {
                let mut entries = vec![
                    ("t", Item::from("hello")),
                    ("v", hello.version.into()),
                    ("key", hello.key.0.as_slice().into()),
                    ("nonce", hello.nonce.as_slice().into()),
                    ("url", hello.url.as_str().into()),
                ];
                entries.extend(hello.to.as_deref().map(|to| ("to", to.into())));
                Item::dict(entries)
            }
            Self::Proof(signature) => {
                Item::dict([("t", Item::from("proof")), ("sig", signature.as_slice().into())])
            }
            Self::Resume(resume) => Item::dict([
                ("t", Item::from("resume")),
                ("epoch", resume.epoch.into()),
                ("known", resume.known.into()),
                ("seq", resume.seq.into()),
            ]),
            Self::Hold(receipts) => {
                Item::dict([("t", Item::from("hold")), ("receipts", Item::list(receipts.iter().cloned()))])
            }
            Self::Drop(hashes) => {
                let bytes: Vec<u8> = hashes.iter().flat_map(|hash| hash.0).collect();
                Item::dict([("t", Item::from("drop")), ("hashes", bytes.into())])
            }
            Self::News(swarms, seq) => {
                let mut entries = vec![
                    ("t", Item::from("news")),
                    ("swarms", Item::list(swarms.iter().map(SwarmNews::item))),
                ];
                entries.extend(seq.map(|seq| ("seq", seq.into())));
                Item::dict(entries)
            }
            Self::Offer { info_hash, from, offer } => Item::dict([
                ("t", Item::from("offer")),
                ("hash", info_hash.0.as_slice().into()),
                ("from", from.0.as_slice().into()),
                ("id", offer.id.0.as_slice().into()),
                ("sdp", offer.sdp.as_str().into()),
            ]),
            Self::Answer { info_hash, from, to, answer } => Item::dict([
                ("t", Item::from("answer")),
                ("hash", info_hash.0.as_slice().into()),
                ("from", from.0.as_slice().into()),
                ("to", to.0.as_slice().into()),
                ("id", answer.id.0.as_slice().into()),
                ("sdp", answer.sdp.as_str().into()),
            ]),
            Self::Bye(why) => Item::dict([("t", Item::from("bye")), ("why", why.as_str().into())]),
        };
        item.to_bytes()
    }

    /// Reads a message; `None` for a kind that we do not know.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn decode(bytes: &[u8]) -> Result<Option<Self>, Malformed> {
        let parsed = bencode::parse(bytes, LIMITS).map_err(|_| Malformed)?;
        if !parsed.faults().none() || !parsed.rest().is_empty() {
            return Err(Malformed);
        }
        let root = parsed.root();
        let kind = root.get(b"t").and_then(Value::as_bytes).ok_or(Malformed)?;
        let message = match kind {
            b"hello" => hello(root).map(Self::Hello),
            b"proof" => array(root, "sig").map(Self::Proof),
            b"resume" => resume(root).map(Self::Resume),
            b"hold" => receipts(root).map(Self::Hold),
            b"drop" => hashes(root).map(Self::Drop),
            b"news" => news(root),
            b"offer" => (|| {
                let (info_hash, from) = (InfoHash(array(root, "hash")?), PeerId(array(root, "from")?));
                Some(Self::Offer { info_hash, from, offer: session_description(root)? })
            })(),
            b"answer" => (|| {
                let (info_hash, from) = (InfoHash(array(root, "hash")?), PeerId(array(root, "from")?));
                let to = PeerId(array(root, "to")?);
                Some(Self::Answer { info_hash, from, to, answer: session_description(root)? })
            })(),
            b"bye" => text(root, "why", MAX_REASON).map(Self::Bye),
            _ => return Ok(None),
        };
        message.map(Some).ok_or(Malformed)
    }
}

impl SwarmNews {
    /// About how many bytes it takes in a message.
    #[must_use]
    pub const fn cost(&self) -> usize {
        120 + self.gained.len() + self.lost.len()
    }

    pub(crate) fn item(&self) -> Item {
        let mut entries = vec![("h", Item::from(self.info_hash.0.as_slice()))];
        let lists = [
            ("+4", &self.gained.v4),
            ("+6", &self.gained.v6),
            ("+b", &self.gained.browsers),
            ("-4", &self.lost.v4),
            ("-6", &self.lost.v6),
            ("-b", &self.lost.browsers),
        ];
        let lists = lists.into_iter().filter(|(_, list)| !list.is_empty());
        entries.extend(lists.map(|(name, list)| (name, Item::from(list.as_slice()))));
        if let Some(Counts { seeds, leeches, browsers }) = self.counts {
            entries.push(("c", Item::list([seeds, leeches, browsers].map(u64::from))));
        }
        if self.waits {
            entries.push(("w", Item::Integer(1)));
        }
        Item::dict(entries)
    }
}

fn hello(root: Value<'_, '_>) -> Option<Hello> {
    let to = match root.get(b"to") {
        Some(_) => Some(text(root, "to", MAX_URL)?),
        None => None,
    };
    Some(Hello {
        version: root.get(b"v")?.as_uint()?,
        key: Key(array(root, "key")?),
        nonce: array(root, "nonce")?,
        url: text(root, "url", MAX_URL)?,
        to,
    })
}

fn resume(root: Value<'_, '_>) -> Option<Resume> {
    let number = |key: &[u8]| root.get(key)?.as_uint();
    Some(Resume { epoch: number(b"epoch")?, known: number(b"known")?, seq: number(b"seq")? })
}

fn receipts(root: Value<'_, '_>) -> Option<Vec<Vec<u8>>> {
    let list = root.get(b"receipts")?;
    if list.items().count() > MAX_RECEIPTS {
        return None;
    }
    list.items().map(|item| item.as_bytes().map(<[u8]>::to_vec)).collect()
}

fn hashes(root: Value<'_, '_>) -> Option<Vec<InfoHash>> {
    let bytes = root.get(b"hashes")?.as_bytes()?;
    let (whole, rest) = bytes.as_chunks::<20>();
    (rest.is_empty() && whole.len() <= MAX_HASHES).then(|| whole.iter().map(|hash| InfoHash(*hash)).collect())
}

fn news(root: Value<'_, '_>) -> Option<Message> {
    let list = root.get(b"swarms")?;
    if list.items().count() > MAX_SWARMS {
        return None;
    }
    let seq = match root.get(b"seq") {
        Some(seq) => Some(seq.as_uint()?),
        None => None,
    };
    Some(Message::News(list.items().map(swarm_news).collect::<Option<_>>()?, seq))
}

pub(crate) fn swarm_news(item: Value<'_, '_>) -> Option<SwarmNews> {
    let list = |key: &[u8]| match item.get(key) {
        Some(bytes) => bytes.as_bytes().map(<[u8]>::to_vec),
        None => Some(Vec::new()),
    };
    let gained = Packed { v4: list(b"+4")?, v6: list(b"+6")?, browsers: list(b"+b")? };
    let lost = Packed { v4: list(b"-4")?, v6: list(b"-6")?, browsers: list(b"-b")? };
    if !gained.is_whole(3) || !lost.is_whole(0) {
        return None;
    }
    let counts = match item.get(b"c") {
        Some(list) => {
            let mut numbers = list.items().map(|number| u32::try_from(number.as_uint()?).ok());
            let mut next = || numbers.next().flatten();
            Some(Counts { seeds: next()?, leeches: next()?, browsers: next()? })
        }
        None => None,
    };
    let waits = item.get(b"w").and_then(Value::as_uint) == Some(1);
    Some(SwarmNews { info_hash: InfoHash(array(item, "h")?), gained, lost, counts, waits })
}

pub(crate) fn session_description(root: Value<'_, '_>) -> Option<Offer> {
    let sdp = text(root, "sdp", MAX_SDP_LEN)?;
    within_limits(&sdp).then_some(Offer { id: OfferId(array(root, "id")?), sdp })
}

pub(crate) fn text(root: Value<'_, '_>, key: &str, most: usize) -> Option<String> {
    root.get(key.as_bytes())?.as_str().filter(|text| text.len() <= most).map(str::to_owned)
}
