//! Rules of the state machine against a sister that keeps to none: hand-made messages over one connection.

use super::contact::Packed;
use super::handshake::{self, Side};
use super::message::{Hello, Message, Resume, SwarmNews};
use super::*;
use crate::{Identity, Key, Receipt, Signed, UnixTime, VERSION};
use anatomic_core::address::Policy;
use anatomic_core::{InfoHash, PeerId, Time};
use anatomic_wire::tracker::websocket::{Offer, OfferId};
use std::time::Duration;

const HASH: InfoHash = InfoHash([1; 20]);
const OTHER: InfoHash = InfoHash([2; 20]);
const NOW: Time = Time::from_secs(5_000);
const WALL: UnixTime = UnixTime(1_800_000_000);
const URL: &str = "http://us.example";

/// An honest node that holds [`HASH`], and a hostile one that talks to it.
struct Duel {
    us: Sharing,
    hostile: Identity,
    connection: ConnectionId,
    now: Time,
}

fn receipt(node: &Identity, info_hash: InfoHash, url: &str) -> Signed<Receipt> {
    let receipt = Receipt {
        info_hash,
        info_hash_v2: None,
        node: node.key(),
        url: url.into(),
        planter: Identity::from_seed([99; 32]).key(),
        sisters: vec![],
        listing: crate::Listing::Listed,
        issued: WALL,
        claimed: None,
        expires: WALL.plus(86_400),
    };
    Signed::new(receipt, node).unwrap()
}

fn hello(identity: &Identity, to: Option<&str>) -> Hello {
    Hello {
        version: VERSION.into(),
        key: identity.key(),
        nonce: [42; 32],
        url: "http://hostile.example".into(),
        to: to.map(str::to_owned),
    }
}

impl Duel {
    fn new() -> Self {
        let ours = Identity::from_seed([1; 32]);
        let mut us = Sharing::new(Config::default(), ours.clone(), URL.into(), 7, NOW, WALL);
        us.plant(NOW, &[receipt(&ours, HASH, URL)]);
        Self { us, hostile: Identity::from_seed([2; 32]), connection: ConnectionId(0), now: NOW }
    }

    /// Connects and sends a hello; returns it and ours.
    fn greet(&mut self) -> (Hello, Hello) {
        self.connection.0 += 1;
        self.us.handle_accepted(self.now, self.connection);
        let theirs = hello(&self.hostile, Some(URL));
        self.say(&Message::Hello(theirs.clone()));
        let ours = self.sent().into_iter().find_map(|message| match message {
            Message::Hello(hello) => Some(hello),
            _ => None,
        });
        (theirs, ours.expect("a hello is answered"))
    }

    /// Connects and proves the hostile node's own key.
    fn connect(&mut self) {
        let (theirs, ours) = self.greet();
        self.say(&Message::Proof(handshake::sign(&self.hostile, Side::Dialler, &theirs, &ours)));
        let proof = self.sent().into_iter().find_map(|message| match message {
            Message::Proof(proof) => Some(proof),
            _ => None,
        });
        assert!(handshake::verify(
            ours.key,
            Side::Listener,
            &theirs,
            &ours,
            &proof.expect("we prove ours too")
        ));
        self.say(&Message::Resume(Resume { epoch: 5, known: 0, seq: 0 }));
    }

    /// Connects and shows a receipt for [`HASH`].
    fn share(&mut self) {
        self.connect();
        let receipt = receipt(&self.hostile, HASH, "http://hostile.example");
        self.say(&Message::Hold(vec![receipt.as_bytes().to_vec()]));
    }

    fn say(&mut self, message: &Message) {
        self.us.handle_message(self.now, self.connection, &message.encode());
    }

    fn outputs(&mut self) -> Vec<Output> {
        std::iter::from_fn(|| self.us.poll_output()).collect()
    }

    fn sent(&mut self) -> Vec<Message> {
        let decode = |output| match output {
            Output::Send { bytes, .. } => Message::decode(&bytes).unwrap(),
            _ => None,
        };
        self.outputs().into_iter().filter_map(decode).collect()
    }

    fn closed(&mut self) -> bool {
        self.outputs().iter().any(|output| matches!(output, Output::Close { .. }))
    }

    fn learned(&mut self) -> Vec<SharedPeer> {
        let peers = |output| match output {
            Output::Learned { gained, .. } => gained,
            _ => Vec::new(),
        };
        self.outputs().into_iter().flat_map(peers).collect()
    }
}

fn news(info_hash: InfoHash, peers: &[SharedPeer]) -> Message {
    let mut gained = Packed::default();
    peers.iter().for_each(|peer| gained.push_gained(peer));
    let news = SwarmNews { info_hash, gained, lost: Packed::default(), counts: None, waits: false };
    Message::News(vec![news], None)
}

fn peer(address: &str, age: u16) -> SharedPeer {
    SharedPeer { contact: Contact::Address(address.parse().unwrap()), seed: true, bridge: false, age }
}

fn invented(number: u32) -> SharedPeer {
    let [_, a, b, c] = number.to_be_bytes();
    peer(&format!("9.{a}.{b}.{c}:6881"), 0)
}

#[test]
fn a_hundred_thousand_invented_peers_end_at_the_quota() {
    let mut duel = Duel::new();
    duel.share();
    let (mut taken, mut said) = (0, 0);
    for batch in 0..200 {
        let peers: Vec<_> = (0..500).map(|number| invented(batch * 500 + number)).collect();
        said += peers.len();
        duel.say(&news(HASH, &peers));
        taken += duel.learned().len();
        // At the pace that is allowed, so that nothing but the quota stops it.
        duel.now += Duration::from_secs(1);
    }
    let counters = duel.us.counters();
    assert_eq!(said, 100_000);
    // 20,000 at once, and 20,000 in 40 minutes: 199 s of that.
    assert_eq!((taken, counters.gained, counters.over_quota), (21_658, 21_658, 100_000 - 21_658));
    let mut store = Guests::default();
    let kept = (0..100_000).filter(|n| store.learn(NOW, duel.hostile.key(), &invented(*n)).is_ok()).count();
    assert_eq!(kept, 200, "and the store keeps what one sister may name in one swarm");
}

#[test]
fn who_sends_faster_than_allowed_is_cut_off_and_not_spoken_to_for_a_while() {
    let mut duel = Duel::new();
    duel.share();
    let peers: Vec<_> = (0..6_000).map(invented).collect();
    let mut rounds = 0;
    while !duel.closed() {
        duel.say(&news(HASH, &peers));
        rounds += 1;
        assert!(rounds < 100);
    }
    assert_eq!(rounds, 20, "1 MiB at once in messages of 54 kB");
    assert_eq!(duel.us.counters().malformed, 1);
    duel.connection.0 += 1;
    duel.us.handle_accepted(duel.now, duel.connection);
    duel.say(&Message::Hello(hello(&duel.hostile.clone(), Some(URL))));
    assert!(duel.closed(), "it is banned");
    duel.now += Duration::from_secs(601);
    duel.connect();
    assert!(!duel.closed());
}

#[test]
fn a_forged_proof_opens_nothing_and_harms_nobody() {
    let mut duel = Duel::new();
    let (theirs, ours) = duel.greet();
    let forger = Identity::from_seed([3; 32]);
    duel.say(&Message::Proof(handshake::sign(&forger, Side::Dialler, &theirs, &ours)));
    assert!(duel.closed());
    assert_eq!((duel.us.counters().bad_proofs, duel.us.counters().sessions), (1, 0));
    duel.connect();
    assert_eq!(duel.us.counters().sessions, 1, "the true owner of the key is not banned for it");
}

#[test]
fn a_proof_that_is_played_back_is_worth_nothing() {
    let mut duel = Duel::new();
    let (theirs, ours) = duel.greet();
    let proof = Message::Proof(handshake::sign(&duel.hostile, Side::Dialler, &theirs, &ours));
    duel.say(&proof);
    assert_eq!(duel.us.counters().sessions, 1);
    duel.outputs();
    // The same hello and the same proof on another connection: our nonce is another.
    duel.greet();
    duel.say(&proof);
    assert!(duel.closed());
    assert_eq!((duel.us.counters().bad_proofs, duel.us.counters().sessions), (1, 1));
}

#[test]
fn our_own_proof_sent_back_to_us_is_worth_nothing() {
    let mut duel = Duel::new();
    let (theirs, ours) = duel.greet();
    // The listener's part signed by the dialling side, as if mirrored.
    duel.say(&Message::Proof(handshake::sign(&duel.hostile, Side::Listener, &theirs, &ours)));
    assert!(duel.closed());
    assert_eq!(duel.us.counters().bad_proofs, 1);
}

#[test]
fn a_proof_for_another_node_is_not_taken_here() {
    let mut duel = Duel::new();
    duel.us.handle_accepted(NOW, ConnectionId(1));
    duel.connection = ConnectionId(1);
    duel.say(&Message::Hello(hello(&duel.hostile.clone(), Some("http://another.example"))));
    assert!(duel.closed(), "it dialled another address: somebody in between passes it on");
}

#[test]
fn news_before_the_proof_close_the_connection() {
    let mut duel = Duel::new();
    duel.greet();
    duel.say(&news(HASH, &[invented(1)]));
    assert!(duel.closed());
    assert_eq!((duel.us.counters().malformed, duel.us.counters().gained), (1, 0));
}

#[test]
fn hashes_without_a_receipt_of_both_are_not_spoken_of() {
    let mut duel = Duel::new();
    duel.connect();
    duel.outputs();
    duel.say(&news(HASH, &[invented(1)]));
    duel.say(&news(OTHER, &[invented(1)]));
    let offer = Offer { id: OfferId([1; 20]), sdp: "v=0".into() };
    duel.say(&Message::Offer { info_hash: HASH, from: PeerId([1; 20]), offer });
    assert!(duel.outputs().is_empty(), "nothing follows from it");
    assert_eq!(duel.us.counters().without_receipt, 3);

    // A receipt for what we do not hold is answered with that.
    let other = receipt(&duel.hostile, OTHER, "http://hostile.example");
    duel.say(&Message::Hold(vec![other.as_bytes().to_vec()]));
    assert_eq!(duel.sent(), [Message::Drop(vec![OTHER])]);
    duel.say(&news(OTHER, &[invented(1)]));
    assert_eq!((duel.us.counters().without_receipt, duel.us.counters().gained), (5, 0));
}

#[test]
fn a_forged_or_borrowed_receipt_opens_no_torrent() {
    let mut duel = Duel::new();
    duel.connect();
    let mut forged = receipt(&duel.hostile, HASH, "http://hostile.example").as_bytes().to_vec();
    *forged.last_mut().unwrap() = b'e';
    let place = forged.len() - 10;
    forged[place] ^= 1;
    // True, but of another node: it introduces that one and opens nothing for who shows it.
    let borrowed = receipt(&Identity::from_seed([8; 32]), HASH, "http://victim.example");
    duel.say(&Message::Hold(vec![forged, borrowed.as_bytes().to_vec(), b"junk".to_vec()]));
    duel.outputs();
    duel.say(&news(HASH, &[invented(1)]));
    let counters = duel.us.counters();
    assert_eq!((counters.bad_receipts, counters.without_receipt, counters.gained), (2, 1, 0));
}

#[test]
fn peers_of_the_future_or_of_long_ago_and_special_addresses_are_refused() {
    let mut duel = Duel::new();
    duel.share();
    duel.outputs();
    let mut peers = vec![invented(1), peer("9.9.9.9:6881", 2_400)];
    // An age has no sign: the nearest to "from the future" is an age that is too large.
    peers.extend([peer("9.9.9.8:6881", 2_401), peer("9.9.9.7:6881", u16::MAX)]);
    let special = ["10.0.0.1:6881", "127.0.0.1:6881", "169.254.169.254:6881", "224.0.0.1:6881", "8.8.8.8:25"];
    peers.extend(special.map(|address| peer(address, 0)));
    peers.extend(["[::1]:6881", "[::ffff:10.0.0.1]:6881", "[fd00::1]:6881"].map(|address| peer(address, 0)));
    duel.say(&news(HASH, &peers));
    assert_eq!(duel.learned().len(), 2);
    let counters = duel.us.counters();
    assert_eq!((counters.stale, counters.refused_addresses), (2, 8));
}

#[test]
fn a_node_of_a_private_network_takes_private_addresses_and_still_no_special_ones() {
    let ours = Identity::from_seed([1; 32]);
    let config = Config { network: Policy::PrivateNetwork, ..Config::default() };
    let mut duel = Duel::new();
    duel.us = Sharing::new(config, ours.clone(), URL.into(), 7, NOW, WALL);
    duel.us.plant(NOW, &[receipt(&ours, HASH, URL)]);
    duel.share();
    duel.outputs();
    duel.say(&news(
        HASH,
        &["10.0.0.1:6881", "127.0.0.1:80", "224.0.0.1:6881"].map(|address| peer(address, 0)),
    ));
    assert_eq!((duel.learned().len(), duel.us.counters().refused_addresses), (2, 1));
}

#[test]
fn a_thousand_offers_at_once_end_at_the_quota() {
    let mut duel = Duel::new();
    duel.share();
    duel.outputs();
    for number in 0..1_000_u16 {
        let mut id = [0; 20];
        id[..2].copy_from_slice(&number.to_be_bytes());
        let offer = Offer { id: OfferId(id), sdp: "v=0".into() };
        duel.say(&Message::Offer { info_hash: HASH, from: PeerId([1; 20]), offer });
    }
    let offers = duel.outputs().iter().filter(|output| matches!(output, Output::Offer { .. })).count();
    assert_eq!((offers, duel.us.counters().offers_dropped), (60, 940));
}

#[test]
fn a_swarm_has_so_many_nodes_and_strangers_do_not_push_out_the_named() {
    let ours = Identity::from_seed([1; 32]);
    let mut us = Sharing::new(Config::default(), ours.clone(), URL.into(), 7, NOW, WALL);
    let named = Identity::from_seed([200; 32]);
    let own = Receipt { sisters: vec![named.key()], ..(*receipt(&ours, HASH, URL)).clone() };
    us.plant(NOW, &[Signed::new(own, &ours).unwrap()]);
    let stranger = |number: u8| receipt(&Identity::from_seed([number; 32]), HASH, "http://stranger.example");
    let taken = (10..30).filter(|number| us.introduce(NOW, &stranger(*number)).is_ok()).count();
    assert_eq!((taken, us.counters().crowded), (7, 13));
    assert_eq!(us.introduce(NOW, &receipt(&named, HASH, "http://named.example")), Ok(()));
    let holders: Vec<Key> = us.holders(NOW, &HASH).into_iter().map(|(key, _)| key).collect();
    assert!(holders.len() == 7 && holders.contains(&named.key()));
}

#[test]
fn malformed_messages_close_the_connection_and_unknown_kinds_do_not() {
    let mut duel = Duel::new();
    duel.share();
    duel.outputs();
    duel.us.handle_message(NOW, duel.connection, b"d1:t5:dancee");
    assert!(!duel.closed());
    for junk in [&b""[..], b"d", b"de", b"i1e", b"d1:t4:newse", b"d6:swarmsli1ee1:t4:newse", b"d1:t3:byee1"] {
        let mut duel = Duel::new();
        duel.share();
        duel.us.handle_message(NOW, duel.connection, junk);
        assert!(duel.closed(), "{junk:?}");
    }
    let mut duel = Duel::new();
    duel.share();
    duel.us.handle_message(NOW, duel.connection, &vec![b'd'; 64 * 1024 + 1]);
    assert!(duel.closed());
}

#[test]
fn no_bytes_make_it_panic() {
    let mut rng = fastrand::Rng::with_seed(11);
    let mut duel = Duel::new();
    for round in 0..20_000 {
        if round % 100 == 0 {
            duel.now += Duration::from_secs(300);
            duel.us.handle_timeout(duel.now);
            // One that was not banned yet.
            duel.hostile = Identity::from_seed([u8::try_from(3 + round / 100).unwrap(); 32]);
            duel.share();
            duel.outputs();
        }
        let mut bytes = match rng.u8(..5) {
            0 => {
                Message::Resume(Resume { epoch: rng.u64(..), known: rng.u64(..), seq: rng.u64(..) }).encode()
            }
            1 => Message::Drop(vec![HASH, OTHER]).encode(),
            2 => news(HASH, &[invented(rng.u32(..))]).encode(),
            3 => Message::Hold(vec![receipt(&duel.hostile, HASH, URL).as_bytes().to_vec()]).encode(),
            _ => Message::Bye("x".into()).encode(),
        };
        for _ in 0..rng.usize(..3) {
            let place = rng.usize(..bytes.len());
            bytes[place] = rng.u8(..);
        }
        duel.us.handle_message(duel.now, duel.connection, &bytes);
        duel.outputs();
    }
}
