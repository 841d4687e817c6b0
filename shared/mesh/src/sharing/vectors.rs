//! The test vectors of PROTOCOL.md: one message of each kind, as bytes.
//!
//! Rules of the state machine are in [`super::tests`].

use super::contact::{Contact, Packed, SharedPeer};
use super::guests::Counts;
use super::handshake::{self, Side};
use super::message::{Hello, Message, Resume, SwarmNews};
use crate::Identity;
use anatomic_core::ids::to_hex;
use anatomic_core::{InfoHash, PeerId};
use anatomic_wire::tracker::websocket::{Offer, OfferId};

/// The messages, in the order in which they could come; `> ` is the dialling side, `< ` the listening one.
fn conversation() -> Vec<(&'static str, Message)> {
    let (dialler, listener) = (Identity::from_seed([1; 32]), Identity::from_seed([2; 32]));
    let hello = |identity: &Identity, nonce, url: &str, to: Option<&str>| Hello {
        version: 1,
        key: identity.key(),
        nonce: [nonce; 32],
        url: url.into(),
        to: to.map(str::to_owned),
    };
    let ours = hello(&dialler, 0x11, "https://a.example", Some("https://b.example"));
    let theirs = hello(&listener, 0x22, "https://b.example", None);
    let proof = |identity, side| Message::Proof(handshake::sign(identity, side, &ours, &theirs));
    let mut gained = Packed::default();
    gained.push_gained(&SharedPeer {
        contact: Contact::Address("8.8.4.4:6881".parse().unwrap()),
        seed: true,
        bridge: false,
        age: 300,
    });
    gained.push_gained(&SharedPeer {
        contact: Contact::Address("[2600::1]:51413".parse().unwrap()),
        seed: true,
        bridge: true,
        age: 0,
    });
    gained.push_gained(&SharedPeer {
        contact: Contact::Browser(PeerId(*b"-WW0208-abcdefghijkl")),
        seed: false,
        bridge: false,
        age: 5,
    });
    let mut lost = Packed::default();
    lost.push_lost(&Contact::Address("8.8.8.8:6881".parse().unwrap()));
    let counts = Some(Counts { seeds: 2, leeches: 1, browsers: 1 });
    let info_hash = InfoHash([0x33; 20]);
    let news = SwarmNews { info_hash, gained, lost, counts, waits: true };
    let offer = || Offer { id: OfferId([0x44; 20]), sdp: "v=0\r\n".into() };
    let (one, other) = (PeerId(*b"-WW0208-abcdefghijkl"), PeerId(*b"-WW0208-mnopqrstuvwx"));
    let receipt = crate::text::bytes_from_hex(include_str!("../receipt.hex").trim()).unwrap();
    vec![
        ("> hello", Message::Hello(ours.clone())),
        ("< hello", Message::Hello(theirs.clone())),
        ("> proof", proof(&dialler, Side::Dialler)),
        ("< proof", proof(&listener, Side::Listener)),
        ("> resume", Message::Resume(Resume { epoch: 1_234_567, known: 0, seq: 0 })),
        ("< resume", Message::Resume(Resume { epoch: 7_654_321, known: 1_234_567, seq: 42 })),
        ("> hold", Message::Hold(vec![receipt])),
        ("< drop", Message::Drop(vec![info_hash])),
        ("> news", Message::News(vec![news], Some(43))),
        ("> news, a sign of life", Message::News(vec![], None)),
        ("> offer", Message::Offer { info_hash, from: one, offer: offer() }),
        ("< answer", Message::Answer { info_hash, from: other, to: one, answer: offer() }),
        ("< bye", Message::Bye("the node is shut down".into())),
    ]
}

#[test]
fn messages_are_those_of_the_protocol_s_vectors() {
    let lines =
        conversation().into_iter().map(|(name, message)| format!("{name}: {}\n", to_hex(&message.encode())));
    let made: String = lines.collect();
    assert_eq!(made, include_str!("vectors.txt"), "\n{made}");
    for (name, message) in conversation() {
        assert_eq!(Message::decode(&message.encode()), Ok(Some(message)), "{name}");
    }
}
