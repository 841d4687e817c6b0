//! What the processes of a fleet say to each other, one bencoded dictionary a message, and its limits.
//!
//! Formats only. Readers skip entries and kinds of messages that they do not know. The bus is trusted to carry only what
//! processes of the fleet said, but a message of another version must not harm: everything is read within limits.

use super::spent::{Account, MAX_ACCOUNTS, PACKED};
use crate::identity::Key;
use crate::sharing::message::{SwarmNews, session_description, swarm_news, text};
use crate::signed::{MAX_LENGTH, UnixTime, array};
use anatomic_core::bencode::{self, Item, Limits, Value};
use anatomic_core::{InfoHash, PeerId};
use anatomic_wire::tracker::websocket::Offer;
use std::fmt;

/// Longest message in bytes; a NATS server takes 1 MiB unless it is told otherwise.
pub const MAX_MESSAGE: usize = 900_000;
/// Longest torrent file that travels on the bus; a longer one is fetched from the swarm, as for a magnet.
pub const MAX_TORRENT: usize = 600_000;
/// Most swarms in one message.
pub const MAX_SWARMS: usize = 4_000;
/// Most info-hashes in one message.
pub const MAX_HASHES: usize = 10_000;
/// Most sisters in one message: about what the length of a message allows.
pub const MAX_SISTERS: usize = 1_000;
/// Most receipts, claims or withdrawals of one torrent in one message.
const MAX_PLANTERS: usize = 64;
/// Longest magnet in bytes.
const MAX_MAGNET: usize = 100_000;
const LIMITS: Limits = Limits { bytes: MAX_MESSAGE, depth: 5, tokens: 100_000 };
/// The version of these messages.
const VERSION: u64 = 1;

/// One process of a fleet, named by itself at random when it starts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ProcessId(pub u64);

impl fmt::Display for ProcessId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// A torrent's digest: processes that planted the same have the same.
pub type Digest = [u8; 8];

/// What a process knows of a planted torrent.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Planted {
    /// The magnet: name, length, foreign trackers, web seeds.
    pub magnet: String,
    /// When a peer was last seen in its swarm.
    pub alive: UnixTime,
    /// The receipts, signed by the fleet's key. Not yet verified.
    pub receipts: Vec<Vec<u8>>,
    /// What the planters signed. Not yet verified.
    pub claims: Vec<Vec<u8>>,
    /// Planters that took their word back; their receipts issued up to then are worth nothing.
    pub withdrawn: Vec<(Key, UnixTime)>,
    /// The torrent file, if it is known and no longer than [`MAX_TORRENT`].
    pub torrent: Option<Vec<u8>>,
}

/// All that a sister node says of one swarm, handed on by the process that speaks to her: it takes the place of what was
/// handed on before.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Visit {
    /// The sister.
    pub sister: Key,
    /// The swarm, her peers, and how many she counts. None: she is gone, or has none.
    pub news: SwarmNews,
}

/// What is said.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Said {
    /// The speaker lives.
    Beat {
        /// When it started, in milliseconds since 1970 by its own clock. The least one speaks for the fleet.
        started: u64,
        /// The number of its last news.
        seq: u64,
    },
    /// What is new in its swarms.
    News {
        /// One more than before.
        seq: u64,
        /// The news.
        swarms: Vec<SwarmNews>,
        /// What is new at sisters; nothing from one that does not speak to them.
        visits: Option<Vec<Visit>>,
    },
    /// A part of everything it has, after it was asked.
    State {
        /// The number of its last news when this part was made.
        seq: u64,
        /// Which recital, counted since it started.
        recital: u64,
        /// Which part, from 0.
        part: u64,
        /// Whether it is the last part.
        last: bool,
        /// Its swarms.
        swarms: Vec<SwarmNews>,
        /// What sisters say; nothing from one that does not speak to them.
        visits: Option<Vec<Visit>>,
        /// What is planted there, with digests.
        planted: Vec<(InfoHash, Digest)>,
    },
    /// That process is to recite what it has.
    Ask {
        /// Which one.
        of: ProcessId,
    },
    /// The listener is to tell of these planted torrents.
    Want(Vec<InfoHash>),
    /// A planted torrent.
    Planted(InfoHash, Box<Planted>),
    /// An offer of one of the speaker's browsers.
    Offer {
        /// Which swarm.
        info_hash: InfoHash,
        /// Who offers.
        from: PeerId,
        /// For which browser of the listener.
        to: PeerId,
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
    /// An offer of one of the speaker's browsers, for any browser of a sister to whom the listener speaks.
    Abroad {
        /// Which swarm.
        info_hash: InfoHash,
        /// Who offers.
        from: PeerId,
        /// Which sister.
        sister: Key,
        /// The offer.
        offer: Offer,
    },
    /// What processes of the fleet have sent, as the speaker knows it.
    Spent(Vec<Account>),
    /// A receipt of each sister to whom the speaker is connected, by which another one finds them. Not yet verified.
    Sisters(Vec<Vec<u8>>),
    /// The speaker goes.
    Bye,
}

/// A message: who says what.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    /// Who speaks.
    pub from: ProcessId,
    /// What it says.
    pub said: Said,
}

/// The bytes are no message of this version, or break a limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the message is malformed or too large")]
pub struct Malformed;

impl Message {
    /// The bencoded message.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let swarms = |swarms: &[SwarmNews]| Item::list(swarms.iter().map(SwarmNews::item));
        let hash = |info_hash: &InfoHash| Item::from(info_hash.0.as_slice());
        let (kind, mut entries) = match &self.said {
            Said::Beat { started, seq } => ("beat", vec![("up", Item::from(*started)), ("n", (*seq).into())]),
            Said::News { seq, swarms: news, visits: visiting } => {
                let mut entries = vec![("n", (*seq).into()), ("s", swarms(news))];
                entries.extend(visiting.as_deref().map(visits_item));
                ("news", entries)
            }
            Said::State { seq, recital, part, last, swarms: all, visits: visiting, planted } => {
                let digests: Vec<u8> =
                    planted.iter().flat_map(|(hash, digest)| hash.0.into_iter().chain(*digest)).collect();
                let mut entries = vec![
                    ("n", Item::from(*seq)),
                    ("g", (*recital).into()),
                    ("i", (*part).into()),
                    ("s", swarms(all)),
                    ("p", digests.into()),
                ];
                entries.extend(visiting.as_deref().map(visits_item));
                entries.extend(last.then_some(("e", Item::Integer(1))));
                ("state", entries)
            }
            Said::Ask { of } => ("ask", vec![("of", of.0.to_be_bytes().as_slice().into())]),
            Said::Want(hashes) => {
                let bytes: Vec<u8> = hashes.iter().flat_map(|hash| hash.0).collect();
                ("want", vec![("p", bytes.into())])
            }
            Said::Planted(info_hash, planted) => {
                let mut entries = planted.entries();
                entries.push(("h", hash(info_hash)));
                ("planted", entries)
            }
            Said::Offer { info_hash, from, to, offer } => {
                ("offer", signal(info_hash, from, ("to", &to.0), offer))
            }
            Said::Answer { info_hash, from, to, answer } => {
                ("answer", signal(info_hash, from, ("to", &to.0), answer))
            }
            Said::Abroad { info_hash, from, sister, offer } => {
                ("abroad", signal(info_hash, from, ("k", &sister.0), offer))
            }
            Said::Spent(accounts) => {
                let bytes: Vec<u8> = accounts.iter().flat_map(|account| account.pack()).collect();
                ("spent", vec![("b", bytes.into())])
            }
            Said::Sisters(receipts) => ("sisters", vec![("r", Item::list(receipts.iter().cloned()))]),
            Said::Bye => ("bye", Vec::new()),
        };
        entries.push(("t", kind.into()));
        entries.push(("v", VERSION.into()));
        entries.push(("f", self.from.0.to_be_bytes().as_slice().into()));
        Item::dict(entries).to_bytes()
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
        if root.get(b"v").and_then(Value::as_uint) != Some(VERSION) {
            return Err(Malformed);
        }
        let from = ProcessId(u64::from_be_bytes(array(root, "f").ok_or(Malformed)?));
        let number = |key: &[u8]| root.get(key)?.as_uint();
        let kind = root.get(b"t").and_then(Value::as_bytes).ok_or(Malformed)?;
        let said = match kind {
            b"beat" => (|| Some(Said::Beat { started: number(b"up")?, seq: number(b"n")? }))(),
            b"news" => (|| {
                let (swarms, visits) = (swarms(root)?, visits(root)?);
                Some(Said::News { seq: number(b"n")?, swarms, visits })
            })(),
            b"state" => (|| {
                Some(Said::State {
                    seq: number(b"n")?,
                    recital: number(b"g")?,
                    part: number(b"i")?,
                    last: root.get(b"e").is_some(),
                    swarms: swarms(root)?,
                    visits: visits(root)?,
                    planted: digests(root)?,
                })
            })(),
            b"ask" => array(root, "of").map(|of| Said::Ask { of: ProcessId(u64::from_be_bytes(of)) }),
            b"want" => hashes(root).map(Said::Want),
            b"planted" => (|| {
                let info_hash = InfoHash(array(root, "h")?);
                Some(Said::Planted(info_hash, Box::new(Planted::read(root)?)))
            })(),
            b"offer" => (|| {
                let (info_hash, from, to) = addressed(root)?;
                Some(Said::Offer { info_hash, from, to, offer: session_description(root)? })
            })(),
            b"answer" => (|| {
                let (info_hash, from, to) = addressed(root)?;
                Some(Said::Answer { info_hash, from, to, answer: session_description(root)? })
            })(),
            b"abroad" => (|| {
                let (info_hash, from) = (InfoHash(array(root, "h")?), PeerId(array(root, "from")?));
                let sister = Key(array(root, "k")?);
                Some(Said::Abroad { info_hash, from, sister, offer: session_description(root)? })
            })(),
            b"spent" => accounts(root).map(Said::Spent),
            b"sisters" => sisters(root).map(Said::Sisters),
            b"bye" => Some(Said::Bye),
            _ => return Ok(None),
        };
        said.map(|said| Some(Self { from, said })).ok_or(Malformed)
    }
}

impl Planted {
    fn entries(&self) -> Vec<(&'static str, Item)> {
        let withdrawn: Vec<u8> =
            self.withdrawn.iter().flat_map(|(key, at)| key.0.into_iter().chain(at.0.to_be_bytes())).collect();
        let mut entries = vec![
            ("mag", Item::from(self.magnet.as_str())),
            ("alive", self.alive.0.into()),
            ("r", Item::list(self.receipts.iter().cloned())),
            ("c", Item::list(self.claims.iter().cloned())),
            ("w", withdrawn.into()),
        ];
        entries.extend(self.torrent.as_deref().map(|torrent| ("m", torrent.into())));
        entries
    }

    fn read(root: Value<'_, '_>) -> Option<Self> {
        let (withdrawn, rest) = root.get(b"w")?.as_bytes()?.as_chunks::<40>();
        if !rest.is_empty() || withdrawn.len() > MAX_PLANTERS {
            return None;
        }
        let withdrawn = withdrawn.iter().filter_map(|entry| {
            let (key, at) = entry.split_first_chunk::<32>()?;
            Some((Key(*key), UnixTime(u64::from_be_bytes(at.try_into().ok()?))))
        });
        let torrent = match root.get(b"m") {
            Some(torrent) => Some(torrent.as_bytes().filter(|bytes| bytes.len() <= MAX_TORRENT)?.to_vec()),
            None => None,
        };
        Some(Self {
            magnet: text(root, "mag", MAX_MAGNET)?,
            alive: UnixTime(root.get(b"alive")?.as_uint()?),
            receipts: statements(root.get(b"r")?)?,
            claims: statements(root.get(b"c")?)?,
            withdrawn: withdrawn.collect(),
            torrent,
        })
    }
}

fn signal(
    info_hash: &InfoHash,
    from: &PeerId,
    (to, whom): (&'static str, &[u8]),
    offer: &Offer,
) -> Vec<(&'static str, Item)> {
    vec![
        ("h", info_hash.0.as_slice().into()),
        ("from", from.0.as_slice().into()),
        (to, whom.into()),
        ("id", offer.id.0.as_slice().into()),
        ("sdp", offer.sdp.as_str().into()),
    ]
}

fn addressed(root: Value<'_, '_>) -> Option<(InfoHash, PeerId, PeerId)> {
    Some((InfoHash(array(root, "h")?), PeerId(array(root, "from")?), PeerId(array(root, "to")?)))
}

fn swarms(root: Value<'_, '_>) -> Option<Vec<SwarmNews>> {
    let list = root.get(b"s")?;
    (list.items().count() <= MAX_SWARMS).then(|| list.items().map(swarm_news).collect())?
}

fn visits_item(visits: &[Visit]) -> (&'static str, Item) {
    let item =
        |visit: &Visit| Item::dict([("k", visit.sister.0.as_slice().into()), ("s", visit.news.item())]);
    ("x", Item::list(visits.iter().map(item)))
}

fn visits(root: Value<'_, '_>) -> Option<Option<Vec<Visit>>> {
    let Some(list) = root.get(b"x") else { return Some(None) };
    let read = |item: Value<'_, '_>| {
        Some(Visit { sister: Key(array(item, "k")?), news: swarm_news(item.get(b"s")?)? })
    };
    (list.items().count() <= MAX_SWARMS).then(|| list.items().map(read).collect::<Option<_>>().map(Some))?
}

fn statements(list: Value<'_, '_>) -> Option<Vec<Vec<u8>>> {
    let short =
        |item: Value<'_, '_>| item.as_bytes().filter(|bytes| bytes.len() <= MAX_LENGTH).map(<[u8]>::to_vec);
    (list.items().count() <= MAX_PLANTERS).then(|| list.items().map(short).collect())?
}

fn hashes(root: Value<'_, '_>) -> Option<Vec<InfoHash>> {
    let (whole, rest) = root.get(b"p")?.as_bytes()?.as_chunks::<20>();
    (rest.is_empty() && whole.len() <= MAX_HASHES).then(|| whole.iter().map(|hash| InfoHash(*hash)).collect())
}

fn accounts(root: Value<'_, '_>) -> Option<Vec<Account>> {
    let (whole, rest) = root.get(b"b")?.as_bytes()?.as_chunks::<PACKED>();
    (rest.is_empty() && whole.len() <= MAX_ACCOUNTS).then(|| whole.iter().map(Account::unpack).collect())
}

fn sisters(root: Value<'_, '_>) -> Option<Vec<Vec<u8>>> {
    let list = root.get(b"r")?;
    let short =
        |item: Value<'_, '_>| item.as_bytes().filter(|bytes| bytes.len() <= MAX_LENGTH).map(<[u8]>::to_vec);
    (list.items().count() <= MAX_SISTERS).then(|| list.items().map(short).collect())?
}

fn digests(root: Value<'_, '_>) -> Option<Vec<(InfoHash, Digest)>> {
    let (whole, rest) = root.get(b"p")?.as_bytes()?.as_chunks::<28>();
    let read = |entry: &[u8; 28]| {
        let (hash, digest) = entry.split_first_chunk::<20>()?;
        Some((InfoHash(*hash), digest.try_into().ok()?))
    };
    (rest.is_empty() && whole.len() <= MAX_HASHES).then(|| whole.iter().filter_map(read).collect())
}
