//! Rules of introductions, with a tracker made of messages.

use super::*;
use crate::protocol::rtc::Gathering;
use anatomic_engine::{Direction, TorrentKey};
use anatomic_wire::tracker::websocket::{Action, Refusal, WsAnnounce};

const URL: &str = "ws://tracker/announce";
const HASH: InfoHash = InfoHash([7; 20]);
const NOW: Time = Time::from_secs(100);

fn key(number: u64) -> AnnounceKey {
    AnnounceKey::from_u64(number)
}

fn request(event: AnnounceEvent, want: u32) -> AnnounceRequest {
    AnnounceRequest {
        torrent: TorrentKey::from_u64(1),
        info_hash: HASH,
        url: URL.into(),
        event,
        uploaded: 0,
        downloaded: 0,
        left: None,
        want,
        peer_id: PeerId([0; 20]),
        port: None,
        tracker_id: None,
    }
}

fn signalling() -> Signalling {
    let mut signalling = Signalling::new(1);
    signalling.set_stun(NOW, vec!["stun:node:1".into()]);
    signalling
}

fn effects(signalling: &mut Signalling) -> Vec<Effect> {
    std::iter::from_fn(|| signalling.poll()).collect()
}

fn conns(effects: &[Effect]) -> Vec<(Conn, Gathering)> {
    let offer = |effect: &Effect| match effect {
        Effect::Rtc(RtcCommand::Offer { conn, gathering, .. }) => Some((*conn, *gathering)),
        _ => None,
    };
    effects.iter().filter_map(offer).collect()
}

fn announces(effects: &[Effect]) -> Vec<WsAnnounce> {
    let sent = |effect: &Effect| match effect {
        Effect::Send(_, text) => match ClientMessage::decode(text.as_bytes()) {
            Ok(ClientMessage::Announce(announce)) => Some(announce),
            _ => None,
        },
        _ => None,
    };
    effects.iter().filter_map(sent).collect()
}

/// A tracker with an announce of five offers described and sent.
fn announced() -> (Signalling, Vec<WsAnnounce>) {
    let mut signalling = signalling();
    signalling.announce(NOW, key(1), request(AnnounceEvent::Started, 5));
    signalling.opened(NOW, URL);
    let mut sent = Vec::new();
    for (conn, _) in conns(&effects(&mut signalling)) {
        signalling.described(NOW, conn, format!("v=0\r\no={}\r\n", conn.0));
        sent.extend(announces(&effects(&mut signalling)));
    }
    (signalling, sent)
}

#[test]
fn the_first_offer_goes_out_before_the_others_are_described() {
    let mut signalling = signalling();
    signalling.announce(NOW, key(1), request(AnnounceEvent::Started, 5));
    assert_eq!(effects(&mut signalling), [Effect::Connect(URL.into())]);
    signalling.opened(NOW, URL);
    let wanted = conns(&effects(&mut signalling));
    assert_eq!(wanted.iter().map(|(_, gathering)| *gathering).filter(|g| *g == Gathering::Quick).count(), 1);
    assert_eq!(wanted.len(), 5);
    signalling.described(NOW, wanted[0].0, "v=0\r\n".into());
    let sent = announces(&effects(&mut signalling));
    assert_eq!((sent.len(), sent[0].offers.len(), sent[0].event), (1, 1, Some(Event::Started)));
}

#[test]
fn the_second_announce_carries_the_rest_and_no_event() {
    let (_, sent) = announced();
    assert_eq!(sent.iter().map(|announce| announce.offers.len()).collect::<Vec<_>>(), [1, 4]);
    assert_eq!(sent[1].event, None);
    assert_eq!(sent.iter().map(|announce| announce.for_node).collect::<Vec<_>>(), [Some(1), Some(0)]);
}

#[test]
fn a_node_that_refused_is_asked_once_the_torrent_is_planted() {
    let (mut signalling, _) = announced();
    let refusal =
        Refusal { action: Action::Announce, info_hash: Some(HASH), reason: "not planted here".into() };
    let message = ServerMessage::Refused(refusal).encode();
    signalling.heard(NOW, URL, message.as_bytes(), |_| true);
    let closed = |effects: &[Effect]| {
        effects.iter().filter(|e| matches!(e, Effect::Rtc(RtcCommand::Close(_)))).count()
    };
    assert_eq!(closed(&effects(&mut signalling)), 5, "its offers reach nobody");
    signalling.again(NOW, HASH);
    let wanted = conns(&effects(&mut signalling));
    assert_eq!(wanted.first().map(|(_, gathering)| *gathering), Some(Gathering::Quick));
    signalling.described(NOW, wanted[0].0, "v=0\r\n".into());
    let sent = announces(&effects(&mut signalling));
    assert_eq!((sent[0].event, sent[0].for_node), (Some(Event::Started), Some(1)));
}

#[test]
fn a_stripe_is_one_more_offer_for_the_same_node_and_no_other() {
    let (mut signalling, sent) = announced();
    let answer = Offer { id: sent[0].offers[0].id, sdp: "v=0\r\n".into() };
    let answer = ServerMessage::Answer { info_hash: HASH, peer_id: PeerId([9; 20]), answer };
    signalling.heard(NOW, URL, answer.encode().as_bytes(), |_| true);
    let Some(Effect::Rtc(RtcCommand::Accept { conn, .. })) = effects(&mut signalling).pop() else { panic!() };
    signalling.connected(conn).unwrap();
    signalling.widen(NOW, conn, 2);
    signalling.widen(NOW, conn, 2);
    let wanted = conns(&effects(&mut signalling));
    assert_eq!(wanted.iter().map(|(_, gathering)| *gathering).collect::<Vec<_>>(), [Gathering::Quick]);
    signalling.described(NOW, wanted[0].0, "v=0\r\n".into());
    let more = announces(&effects(&mut signalling));
    assert_eq!((more.len(), more[0].event, more[0].for_node), (1, None, Some(1)));
    let answer = Offer { id: more[0].offers[0].id, sdp: "v=0\r\n".into() };
    let answer = ServerMessage::Answer { info_hash: HASH, peer_id: PeerId([9; 20]), answer };
    signalling.heard(NOW, URL, answer.encode().as_bytes(), |_| true);
    signalling.connected(wanted[0].0).unwrap();
    let _ = effects(&mut signalling);
    signalling.widen(NOW, conn, 2);
    assert_eq!(
        effects(&mut signalling),
        [],
        "the second is open, though the engine does not know yet whose it is"
    );
}

#[test]
fn a_reply_answers_the_engine_once() {
    let (mut signalling, _) = announced();
    let reply = ServerMessage::Announced {
        info_hash: HASH,
        complete: 1,
        incomplete: 2,
        interval: 120,
        tracker_id: None,
        warning: None,
    };
    for expected in [1, 0] {
        signalling.heard(NOW, URL, reply.encode().as_bytes(), |_| true);
        let answered = effects(&mut signalling);
        let count = answered.iter().filter(|effect| matches!(effect, Effect::Announced(..))).count();
        assert_eq!(count, expected);
    }
    assert_eq!(signalling.status(URL, HASH), TrackerStatus::Working { seeds: 1, leeches: 2 });
}

#[test]
fn an_answer_finds_its_offer_once() {
    let (mut signalling, sent) = announced();
    let answer = Offer { id: sent[0].offers[0].id, sdp: "v=0\r\na=max-message-size:1000\r\n".into() };
    let message = ServerMessage::Answer { info_hash: HASH, peer_id: PeerId([1; 20]), answer };
    signalling.heard(NOW, URL, message.encode().as_bytes(), |_| true);
    let found = effects(&mut signalling);
    let [Effect::Rtc(RtcCommand::Accept { conn, .. })] = found.as_slice() else { panic!("{found:?}") };
    signalling.heard(NOW, URL, message.encode().as_bytes(), |_| true);
    assert!(effects(&mut signalling).is_empty());
    let ready = signalling.connected(*conn).unwrap();
    assert_eq!((ready.info_hash, ready.max_message), (HASH, 1000));
    assert_eq!(signalling.connected(*conn), None);
}

#[test]
fn an_offer_is_answered_only_where_a_peer_is_wanted_and_not_to_ourselves() {
    let (mut signalling, sent) = announced();
    let offer = |peer_id| {
        let offer = Offer { id: OfferId([3; 20]), sdp: "v=0\r\n".into() };
        ServerMessage::Offer { info_hash: HASH, peer_id, offer }.encode()
    };
    signalling.heard(NOW, URL, offer(PeerId([1; 20])).as_bytes(), |_| false);
    signalling.heard(NOW, URL, offer(sent[0].peer_id).as_bytes(), |_| true);
    assert!(effects(&mut signalling).is_empty());
    signalling.heard(NOW, URL, offer(PeerId([1; 20])).as_bytes(), |_| true);
    let asked = effects(&mut signalling);
    let [Effect::Rtc(RtcCommand::Answer { conn, .. })] = asked.as_slice() else { panic!("{asked:?}") };
    signalling.described(NOW, *conn, "v=0\r\nanswer\r\n".into());
    let answered = effects(&mut signalling);
    let [Effect::Send(_, text)] = answered.as_slice() else { panic!("{answered:?}") };
    let Ok(ClientMessage::Answer { to_peer_id, answer, .. }) = ClientMessage::decode(text.as_bytes()) else {
        panic!("{text}")
    };
    assert_eq!((to_peer_id, answer.id), (PeerId([1; 20]), OfferId([3; 20])));
}

#[test]
fn a_lost_tracker_is_found_again_and_hears_of_every_torrent() {
    let (mut signalling, _) = announced();
    signalling.lost(NOW, URL);
    let lost = effects(&mut signalling);
    assert!(lost.iter().any(|effect| matches!(effect, Effect::Announced(_, Err(_)))));
    assert_eq!(lost.iter().filter(|effect| matches!(effect, Effect::Rtc(RtcCommand::Close(_)))).count(), 5);
    signalling.tick(NOW + Duration::from_millis(500));
    assert!(effects(&mut signalling).is_empty());
    signalling.tick(NOW + Duration::from_secs(2));
    assert_eq!(effects(&mut signalling), [Effect::Connect(URL.into())]);
    signalling.opened(NOW, URL);
    assert_eq!(conns(&effects(&mut signalling)).len(), 5);
}

#[test]
fn offers_that_nobody_answers_are_closed() {
    let (mut signalling, _) = announced();
    signalling.tick(NOW + Duration::from_secs(49));
    assert!(
        !effects(&mut signalling).iter().any(|effect| matches!(effect, Effect::Rtc(RtcCommand::Close(_))))
    );
    signalling.tick(NOW + Duration::from_secs(51));
    let closed = effects(&mut signalling);
    assert_eq!(closed.iter().filter(|effect| matches!(effect, Effect::Rtc(RtcCommand::Close(_)))).count(), 5);
    assert_eq!(signalling.offers(HASH), 0);
}

#[test]
fn an_offer_that_cannot_be_made_does_not_hold_up_the_announce() {
    let mut signalling = signalling();
    signalling.announce(NOW, key(1), request(AnnounceEvent::Regular, 2));
    signalling.opened(NOW, URL);
    let wanted = conns(&effects(&mut signalling));
    for (conn, _) in &wanted {
        signalling.closed(NOW, *conn);
    }
    assert!(announces(&effects(&mut signalling)).iter().all(|announce| announce.offers.is_empty()));
}

#[test]
fn a_refusal_reaches_the_engine_and_names_the_torrent() {
    let (mut signalling, _) = announced();
    let refusal = Refusal { action: Action::Announce, info_hash: Some(HASH), reason: "no".into() };
    signalling.heard(NOW, URL, ServerMessage::Refused(refusal).encode().as_bytes(), |_| true);
    let told = effects(&mut signalling);
    assert!(told.contains(&Effect::Announced(key(1), Err("no".into()))), "{told:?}");
    assert!(told.contains(&Effect::Refused { url: URL.into(), info_hash: HASH, reason: "no".into() }));
}

#[test]
fn the_last_torrent_to_stop_closes_the_socket() {
    let (mut signalling, _) = announced();
    signalling.announce(NOW, key(2), request(AnnounceEvent::Stopped, 0));
    let told = effects(&mut signalling);
    assert_eq!(announces(&told)[0].event, Some(Event::Stopped));
    assert_eq!(told.last(), Some(&Effect::Disconnect(URL.into())));
}

#[test]
fn other_trackers_than_websocket_ones_are_not_in_reach() {
    let mut signalling = signalling();
    let request = AnnounceRequest { url: "udp://a:1".into(), ..request(AnnounceEvent::Started, 5) };
    signalling.announce(NOW, key(1), request);
    assert!(matches!(effects(&mut signalling).as_slice(), [Effect::Announced(_, Err(_))]));
    assert_eq!(signalling.status("udp://a:1", HASH), TrackerStatus::Unreachable);
}

#[test]
fn all_but_the_first_offer_wait_for_the_nodes_stun_but_not_for_ever() {
    for tick in [false, true] {
        let mut signalling = Signalling::new(1);
        signalling.announce(NOW, key(1), request(AnnounceEvent::Started, 5));
        signalling.opened(NOW, URL);
        assert_eq!(conns(&effects(&mut signalling)).len(), 1);
        if tick {
            signalling.tick(NOW + Duration::from_secs(1));
            assert_eq!(conns(&effects(&mut signalling)).len(), 0);
            signalling.tick(NOW + Duration::from_secs(3));
        } else {
            signalling.set_stun(NOW, vec!["stun:node:1".into()]);
        }
        assert_eq!(conns(&effects(&mut signalling)).len(), 4);
    }
}

#[test]
fn a_socket_opened_early_serves_the_first_announce_at_once() {
    let mut signalling = signalling();
    signalling.prepare(NOW, URL);
    signalling.prepare(NOW, URL);
    assert_eq!(effects(&mut signalling), [Effect::Connect(URL.into())]);
    signalling.opened(NOW, URL);
    assert!(effects(&mut signalling).is_empty());
    signalling.announce(NOW, key(1), request(AnnounceEvent::Started, 5));
    assert_eq!(conns(&effects(&mut signalling)).len(), 5);
    signalling.tick(NOW + NEEDED_WITHIN);
    assert!(!effects(&mut signalling).contains(&Effect::Disconnect(URL.into())));
}

#[test]
fn a_socket_opened_early_for_nobody_is_closed() {
    let mut signalling = signalling();
    signalling.prepare(NOW, URL);
    signalling.opened(NOW, URL);
    effects(&mut signalling);
    signalling.tick(NOW + NEEDED_WITHIN);
    assert_eq!(effects(&mut signalling), [Effect::Disconnect(URL.into())]);
}

// ---- introductions by peers

const PEER: IntroductionKey = IntroductionKey::from_u64(7);

#[test]
fn an_offer_for_a_peer_s_peer_goes_to_the_engine_and_its_answer_connects() {
    let mut signalling = signalling();
    signalling.introduce(NOW, PEER, HASH, Step::Offer);
    let wanted = conns(&effects(&mut signalling));
    let [(conn, Gathering::Thorough)] = wanted[..] else { panic!("{wanted:?}") };
    signalling.described(NOW, conn, "v=0\r\n".into());
    assert_eq!(effects(&mut signalling), [Effect::Described(PEER, Some("v=0\r\n".into()))]);
    for times in [1, 0] {
        let sdp = "v=0\r\na=max-message-size:1000\r\n".to_owned();
        signalling.introduce(NOW, PEER, HASH, Step::Accept(sdp));
        assert_eq!(effects(&mut signalling).len(), times, "an offer is answered once");
    }
    assert_eq!(signalling.connected(conn).map(|ready| ready.max_message), Some(1000));
    signalling.introduce(NOW, PEER, HASH, Step::Drop);
    assert_eq!(effects(&mut signalling), [], "what is open needs no introduction any more");
}

#[test]
fn a_peer_s_peer_is_answered_through_the_engine() {
    let mut signalling = signalling();
    signalling.introduce(NOW, PEER, HASH, Step::Answer("v=0\r\n".into()));
    let asked = effects(&mut signalling);
    let [Effect::Rtc(RtcCommand::Answer { conn, .. })] = asked.as_slice() else { panic!("{asked:?}") };
    signalling.described(NOW, *conn, "v=0\r\nanswer\r\n".into());
    assert_eq!(effects(&mut signalling), [Effect::Described(PEER, Some("v=0\r\nanswer\r\n".into()))]);
    assert_eq!(signalling.connected(*conn).map(|ready| ready.direction), Some(Direction::Accepted));
}

#[test]
fn the_engine_hears_of_an_offer_that_cannot_be_made_and_may_give_one_up() {
    let mut signalling = signalling();
    signalling.introduce(NOW, PEER, HASH, Step::Offer);
    let wanted = conns(&effects(&mut signalling));
    signalling.closed(NOW, wanted[0].0);
    assert_eq!(effects(&mut signalling), [Effect::Described(PEER, None)]);
    signalling.introduce(NOW, PEER, HASH, Step::Offer);
    let wanted = conns(&effects(&mut signalling));
    signalling.introduce(NOW, PEER, HASH, Step::Drop);
    assert_eq!(effects(&mut signalling), [Effect::Rtc(RtcCommand::Close(wanted[0].0))]);
    for _ in 0..100 {
        signalling.introduce(NOW, PEER, HASH, Step::Offer);
    }
    let told = effects(&mut signalling);
    assert_eq!(conns(&told).len(), 24, "as many as other offers");
    assert_eq!(told.last(), Some(&Effect::Described(PEER, None)));
}

#[test]
fn a_lost_tracker_takes_no_introduction_with_it() {
    let (mut signalling, _) = announced();
    signalling.introduce(NOW, PEER, HASH, Step::Offer);
    effects(&mut signalling);
    signalling.lost(NOW, URL);
    assert_eq!(effects(&mut signalling).iter().filter(|e| matches!(e, Effect::Rtc(_))).count(), 5);
    assert_eq!(signalling.drafts.len(), 1);
}

#[test]
fn without_a_tracker_a_connection_is_not_given_up_for_a_moment_s_silence() {
    let (mut signalling, _) = announced();
    signalling.introduce(NOW, PEER, HASH, Step::Answer("v=0\r\n".into()));
    let asked = effects(&mut signalling);
    let [Effect::Rtc(RtcCommand::Answer { conn, .. })] = asked.as_slice() else { panic!("{asked:?}") };
    assert!(signalling.can_replace(*conn));
    signalling.lost(NOW, URL);
    assert!(!signalling.can_replace(*conn));
}
