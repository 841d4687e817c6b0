//! Rules of the WebTorrent tracker protocol.

use super::*;

const HASH: InfoHash = InfoHash(*b"\x00\x1f\x7f\x80\xff\"\\abcdefghijklm");
const PEER: PeerId = PeerId(*b"-WW0300-abcdefghijkl");

fn offer(id: u8) -> Offer {
    Offer { id: OfferId([id; 20]), sdp: "v=0\r\na=candidate:1\r\n".into() }
}

fn announce() -> WsAnnounce {
    WsAnnounce {
        info_hash: HASH,
        peer_id: PEER,
        uploaded: 1,
        downloaded: 2,
        left: None,
        event: Some(Event::Started),
        want: Some(5),
        tracker_id: Some("t".into()),
        for_node: Some(1),
        offers: vec![offer(200), offer(201)],
    }
}

#[test]
fn what_clients_send_comes_back_as_written() {
    for message in [
        ClientMessage::Announce(announce()),
        ClientMessage::Announce(WsAnnounce { left: Some(9), event: None, offers: vec![], ..announce() }),
        ClientMessage::Answer {
            info_hash: HASH,
            peer_id: PEER,
            to_peer_id: PeerId([250; 20]),
            answer: offer(3),
        },
        ClientMessage::Scrape(vec![HASH, InfoHash([1; 20])]),
    ] {
        assert_eq!(ClientMessage::decode(message.encode().as_bytes()), Ok(message));
    }
}

#[test]
fn what_trackers_send_comes_back_as_written() {
    for message in [
        ServerMessage::Announced {
            info_hash: HASH,
            complete: 1,
            incomplete: 2,
            interval: 120,
            tracker_id: Some("t".into()),
            warning: None,
        },
        ServerMessage::Offer { info_hash: HASH, peer_id: PEER, offer: offer(9) },
        ServerMessage::Answer { info_hash: HASH, peer_id: PEER, answer: offer(9) },
        ServerMessage::Scraped(vec![(HASH, SwarmCounts { complete: 1, downloaded: 2, incomplete: 3 })]),
        ServerMessage::Refused(Refusal {
            action: Action::Scrape,
            info_hash: Some(HASH),
            reason: "no".into(),
        }),
    ] {
        assert_eq!(ServerMessage::decode(message.encode().as_bytes()), Some(message));
    }
}

#[test]
fn binary_strings_are_one_code_point_a_byte() {
    assert_eq!(to_binary_string(&[0xff, 0x41]), "\u{ff}A");
    assert_eq!(from_binary_string(&to_binary_string(HASH.as_bytes())), Some(HASH.0));
    assert_eq!(from_binary_string(&"a".repeat(19)), None);
    assert_eq!(from_binary_string(&"a".repeat(21)), None);
    assert_eq!(from_binary_string(&"\u{100}".repeat(20)), None);
}

#[test]
fn a_magnets_null_left_is_unknown_and_not_a_seed() {
    for left in ["null", "-1", "\"x\"", "{}"] {
        let text = format!(
            r#"{{"action":"announce","info_hash":"aaaaaaaaaaaaaaaaaaaa","peer_id":"bbbbbbbbbbbbbbbbbbbb","left":{left}}}"#
        );
        let Ok(ClientMessage::Announce(announce)) = ClientMessage::decode(text.as_bytes()) else {
            panic!("{left}")
        };
        assert_eq!(announce.left, None, "{left}");
    }
    let text = r#"{"action":"announce","info_hash":"aaaaaaaaaaaaaaaaaaaa","peer_id":"bbbbbbbbbbbbbbbbbbbb","left":12.0,"uploaded":"7"}"#;
    let Ok(ClientMessage::Announce(announce)) = ClientMessage::decode(text.as_bytes()) else { panic!() };
    assert_eq!((announce.left, announce.uploaded), (Some(12), 7));
}

#[test]
fn offers_that_are_none_are_left_out_and_the_announce_counts() {
    let long = format!(
        r#"{{"offer_id":"cccccccccccccccccccc","offer":{{"sdp":"{}"}}}}"#,
        "x".repeat(MAX_SDP_LEN + 1)
    );
    let text = format!(
        r#"{{"action":"announce","info_hash":"aaaaaaaaaaaaaaaaaaaa","peer_id":"bbbbbbbbbbbbbbbbbbbb","offers":[null,1,{{}},{long},{{"offer_id":"short","offer":{{"sdp":"v"}}}},{{"offer_id":"dddddddddddddddddddd","offer":{{"type":"offer","sdp":"v"}}}}]}}"#
    );
    let Ok(ClientMessage::Announce(announce)) = ClientMessage::decode(text.as_bytes()) else { panic!() };
    assert_eq!(announce.offers, [Offer { id: OfferId([b'd'; 20]), sdp: "v".into() }]);

    let many = WsAnnounce { offers: (0..30).map(offer).collect(), ..self::announce() };
    let Ok(ClientMessage::Announce(announce)) =
        ClientMessage::decode(ClientMessage::Announce(many).encode().as_bytes())
    else {
        panic!()
    };
    assert_eq!(announce.offers.len(), MAX_OFFERS);
}

#[test]
fn a_refusal_always_names_the_action_and_the_info_hash_where_there_is_one() {
    for (text, action, has_hash) in [
        ("nonsense", Action::Announce, false),
        ("[]", Action::Announce, false),
        (r#"{"action":"zzz","info_hash":"aaaaaaaaaaaaaaaaaaaa"}"#, Action::Announce, true),
        (r#"{"action":"announce","info_hash":"short"}"#, Action::Announce, false),
        (r#"{"action":"announce","info_hash":"aaaaaaaaaaaaaaaaaaaa","peer_id":5}"#, Action::Announce, true),
        (
            r#"{"action":"announce","info_hash":"aaaaaaaaaaaaaaaaaaaa","peer_id":"bbbbbbbbbbbbbbbbbbbb","answer":{"sdp":"v"}}"#,
            Action::Announce,
            true,
        ),
        (r#"{"action":"scrape"}"#, Action::Scrape, false),
        (r#"{"action":"scrape","info_hash":[1]}"#, Action::Scrape, false),
    ] {
        let refusal = ClientMessage::decode(text.as_bytes()).unwrap_err();
        assert_eq!((refusal.action, refusal.info_hash.is_some()), (action, has_hash), "{text}");
        assert!(ServerMessage::Refused(refusal).encode().contains("\"action\""));
    }
}

#[test]
fn a_single_info_hash_may_be_scraped() {
    let text = r#"{"action":"scrape","info_hash":"aaaaaaaaaaaaaaaaaaaa"}"#;
    assert_eq!(ClientMessage::decode(text.as_bytes()), Ok(ClientMessage::Scrape(vec![InfoHash([b'a'; 20])])));
}

#[test]
fn messages_beyond_64_kib_or_with_too_many_candidates_are_refused() {
    let long = format!("{{\"action\":\"announce\",\"x\":\"{}\"}}", "x".repeat(MAX_MESSAGE_LEN));
    assert!(ClientMessage::decode(long.as_bytes()).is_err());
    let sdp = "a=candidate:1\r\n".repeat(MAX_CANDIDATES + 1);
    let answer = Offer { id: OfferId([0; 20]), sdp };
    let message = ClientMessage::Answer { info_hash: HASH, peer_id: PEER, to_peer_id: PEER, answer };
    assert_eq!(ClientMessage::decode(message.encode().as_bytes()).unwrap_err().reason, "invalid answer");
}

#[test]
fn random_messages_never_panic() {
    let text = ClientMessage::Announce(announce()).encode();
    for seed in 0..2_000 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut bytes = text.clone().into_bytes();
        for _ in 0..rng.usize(1..6) {
            let at = rng.usize(..bytes.len());
            bytes[at] = rng.u8(..);
        }
        let _ = ClientMessage::decode(&bytes);
        let _ = ServerMessage::decode(&bytes);
    }
    let deep = "[".repeat(60_000);
    assert!(ClientMessage::decode(deep.as_bytes()).is_err());
}

#[test]
fn every_byte_and_every_character_is_written_so_that_it_is_read_again() {
    for first in (0..=255u8).step_by(20) {
        let bytes: [u8; 20] = std::array::from_fn(|at| first.saturating_add(at as u8));
        let sdp: String = (0..0x250).filter_map(char::from_u32).chain(['\u{1f600}']).collect();
        let offer = Offer { id: OfferId(bytes), sdp };
        let message = ServerMessage::Offer { info_hash: InfoHash(bytes), peer_id: PeerId(bytes), offer };
        let json = message.encode();
        assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok(), "{json}");
        assert_eq!(ServerMessage::decode(json.as_bytes()), Some(message));
    }
}

#[test]
fn values_of_another_kind_are_as_if_they_were_not_there() {
    let text = r#"{"action":"announce","info_hash":"aaaaaaaaaaaaaaaaaaaa","peer_id":"bbbbbbbbbbbbbbbbbbbb",
        "left":[1],"event":7,"numwant":true,"offers":{"a":[{}]},"trackerid":{},"answer":null,"x":[[[{"y":"z"}]]]}"#;
    let Ok(ClientMessage::Announce(announce)) = ClientMessage::decode(text.as_bytes()) else { panic!() };
    assert_eq!((announce.left, announce.event, announce.want), (None, None, None));
    assert_eq!((announce.offers.len(), announce.tracker_id), (0, None));
}
