//! Rules of the store's side of a fleet: several stores, and a bus between them that the test carries.

use super::super::drawn::{Drawn, Wish};
use super::super::peers::Scope;
use super::super::sharing::Abroad;
use super::super::swarms::{Limits, Socket, SocketId};
use super::*;
use anatomic_wire::tracker::Event;
use anatomic_wire::tracker::announce::AnnounceRequest;
use anatomic_wire::tracker::websocket::{OfferId, ServerMessage, WsAnnounce};
use std::time::Duration;
use tokio::sync::mpsc::Receiver;

const HASH: InfoHash = InfoHash([3; 20]);

struct Process {
    id: ProcessId,
    store: Swarms,
    outgoing: Receiver<ToMate>,
}

fn fleet(processes: u64) -> Vec<Process> {
    let start = |number| {
        let (id, store) = (ProcessId(number), Swarms::new(Limits::default(), number));
        let (sender, outgoing) = mpsc::channel(16);
        store.join_fleet(id, sender);
        Process { id, store, outgoing }
    };
    (1..=processes).map(start).collect()
}

/// Carries all news, and what is for browsers elsewhere.
fn carry(fleet: &mut [Process], now: Instant) {
    for _ in 0..3 {
        let told: Vec<_> = fleet
            .iter()
            .map(|process| {
                let news = (0..Swarms::PARTS).flat_map(|part| process.store.take_changed(now, part));
                (process.id, news.collect::<Vec<_>>())
            })
            .collect();
        for (from, news) in &told {
            for process in fleet.iter().filter(|process| process.id != *from) {
                for news in news {
                    process.store.learn_of_mate(now, *from, 1, news);
                }
            }
        }
    }
    for place in 0..fleet.len() {
        while let Ok(ToMate { mate, info_hash, from, kind, offer }) = fleet[place].outgoing.try_recv() {
            let by = fleet[place].id;
            let there = fleet.iter().find(|process| process.id == mate).unwrap();
            let store = &there.store;
            assert!(match kind {
                Kind::Offer(to) => store.offer_from_mate(now, by, info_hash, from, &to, offer),
                Kind::Answer(to) => store.answer_from_mate(by, info_hash, from, &to, offer),
                Kind::Abroad(sister) => store.abroad_for_mate(now, by, info_hash, from, sister, offer),
            });
        }
    }
}

fn request(left: u64, event: Option<Event>) -> AnnounceRequest {
    AnnounceRequest { left: Some(left), event, ..AnnounceRequest::new(HASH, 6881) }
}

fn announce(process: &Process, now: Instant, last: u8, left: u64, event: Option<Event>) -> Vec<SocketAddr> {
    let request = request(left, event);
    let (wish, mut drawn) = (Wish::both(50, Scope::All), Drawn::default());
    process.store.announce_classic(now, [8, 8, 4, last].into(), &request, wish, &mut drawn).unwrap();
    drawn.addresses().collect()
}

fn tab(process: &Process, now: Instant, number: u8, offers: u8, outbox: &mpsc::Sender<Box<ServerMessage>>) {
    let socket =
        Socket { id: SocketId(number.into()), ip: [10, 0, 0, number].into(), outbox: outbox.clone() };
    let announce = WsAnnounce {
        info_hash: HASH,
        peer_id: PeerId([number; 20]),
        left: Some(1),
        event: None,
        offers: Vec::new(),
        uploaded: 0,
        downloaded: 0,
        want: None,
        tracker_id: None,
        for_node: None,
    };
    let offers = (0..offers).map(|id| Offer { id: OfferId([id; 20]), sdp: format!("offer {id}") }).collect();
    process.store.announce_browser(now, &socket, &announce, offers).unwrap();
}

fn sizes(process: &Process) -> (u32, u32) {
    let counts = process.store.counts(&HASH);
    (counts.complete, counts.incomplete)
}

#[test]
fn an_announce_at_any_process_sees_the_whole_swarm() {
    let (mut fleet, now) = (fleet(3), Instant::now());
    for last in 0..90 {
        announce(&fleet[usize::from(last) % 3], now, last, u64::from(last % 10), None);
    }
    carry(&mut fleet, now);
    for process in &fleet {
        assert_eq!(sizes(process), (9, 81));
        let drawn = announce(process, now, 200, 1, Some(Event::Stopped));
        assert!(drawn.is_empty());
        let mut all = HashSet::new();
        for _ in 0..40 {
            let drawn = process.store.classic_peers(&HASH, 50);
            assert_eq!(drawn.iter().collect::<HashSet<_>>().len(), 50, "each at most once");
            all.extend(drawn);
        }
        assert_eq!(all.len(), 90, "and all have their turn");
    }
}

#[test]
fn nobody_is_counted_twice_who_announces_at_two_processes() {
    let (mut fleet, now) = (fleet(3), Instant::now());
    announce(&fleet[0], now, 1, 0, None);
    carry(&mut fleet, now);
    announce(&fleet[1], now + Duration::from_secs(900), 1, 0, None);
    carry(&mut fleet, now + Duration::from_secs(900));
    for process in &fleet {
        assert_eq!(sizes(process), (1, 0));
    }
    assert_eq!(fleet[0].store.sizes(&HASH).0, 0, "it moved to where it was heard of last");
    assert_eq!(fleet[1].store.sizes(&HASH).0, 1);
    // At both in one moment: they agree on one.
    let later = now + Duration::from_secs(1_000);
    announce(&fleet[2], later, 2, 5, None);
    announce(&fleet[0], later, 2, 5, None);
    carry(&mut fleet, later);
    for process in &fleet {
        assert_eq!(sizes(process), (1, 1));
        assert_eq!(process.store.classic_peers(&HASH, 50).len(), 2);
    }
    // One process hears of it from the other before it has told of it itself.
    announce(&fleet[1], later, 3, 5, None);
    announce(&fleet[2], later, 3, 5, None);
    let told = (0..Swarms::PARTS).flat_map(|part| fleet[1].store.take_changed(later, part));
    for news in told.collect::<Vec<_>>() {
        for place in [0, 2] {
            fleet[place].store.learn_of_mate(later, fleet[1].id, 1, &news);
        }
    }
    carry(&mut fleet, later);
    for process in &fleet {
        assert_eq!(sizes(process), (1, 2));
    }
    announce(&fleet[2], later + Duration::from_secs(5), 3, 5, Some(Event::Stopped));
    // A goodbye at any process is one.
    announce(&fleet[1], later + Duration::from_secs(9), 2, 5, Some(Event::Stopped));
    carry(&mut fleet, later + Duration::from_secs(9));
    fleet.iter().for_each(|process| assert_eq!(sizes(process), (1, 0)));
}

#[tokio::test]
async fn offers_and_answers_cross_between_processes() {
    let (mut fleet, now) = (fleet(2), Instant::now());
    let (one_outbox, mut one) = mpsc::channel(16);
    let (two_outbox, mut two) = mpsc::channel(16);
    tab(&fleet[1], now, 2, 0, &two_outbox);
    carry(&mut fleet, now);
    tab(&fleet[0], now, 1, 3, &one_outbox);
    carry(&mut fleet, now);
    assert_eq!((sizes(&fleet[0]), sizes(&fleet[1])), ((0, 2), (0, 2)));
    let Some(ServerMessage::Offer { info_hash, peer_id, offer }) =
        two.try_recv().ok().map(|message| *message)
    else {
        panic!("an offer came over");
    };
    assert_eq!((info_hash, peer_id), (HASH, PeerId([1; 20])));
    assert!(two.try_recv().is_err(), "one browser gets one offer");
    let answer = Offer { id: offer.id, sdp: "answer".into() };
    let store = &fleet[1].store;
    assert!(!store.answer(now, SocketId(9), HASH, &PeerId([1; 20]), answer.clone()), "not asked");
    assert!(store.answer(now, SocketId(2), HASH, &PeerId([1; 20]), answer.clone()));
    assert!(!store.answer(now, SocketId(2), HASH, &PeerId([1; 20]), answer.clone()), "answered already");
    carry(&mut fleet, now);
    let Some(ServerMessage::Answer { peer_id, answer: got, .. }) =
        one.try_recv().ok().map(|message| *message)
    else {
        panic!("the answer came back");
    };
    assert_eq!((peer_id, got.sdp.as_str()), (PeerId([2; 20]), "answer"));
    // A forged one goes nowhere.
    assert!(!fleet[0].store.answer_from_mate(fleet[1].id, HASH, PeerId([2; 20]), &PeerId([1; 20]), answer));
}

#[test]
fn browsers_go_with_their_process_and_classic_peers_when_they_are_too_old() {
    let (mut fleet, now) = (fleet(2), Instant::now());
    let (outbox, _inbox) = mpsc::channel(16);
    tab(&fleet[1], now, 2, 0, &outbox);
    announce(&fleet[1], now, 1, 0, None);
    carry(&mut fleet, now);
    let (store, dead) = (&fleet[0].store, fleet[1].id);
    assert_eq!((sizes(&fleet[0]), store.at_mates()), ((1, 1), 2));
    store.mate_gone(dead);
    assert_eq!((sizes(&fleet[0]), store.at_mates()), ((1, 0), 1));
    store.expire(now + Duration::from_secs(41 * 60));
    assert_eq!((sizes(&fleet[0]), store.at_mates(), store.totals().0), ((0, 0), 0, 0));
}

#[test]
fn after_a_recital_only_the_browsers_are_left_that_were_in_it() {
    let (mut fleet, now) = (fleet(2), Instant::now());
    let (outbox, _inbox) = mpsc::channel(16);
    for number in [2, 3] {
        tab(&fleet[1], now, number, 0, &outbox);
    }
    carry(&mut fleet, now);
    // That one went was lost on the way.
    fleet[1].store.disconnect(SocketId(3), &HASH);
    let _ = (0..Swarms::PARTS).flat_map(|part| fleet[1].store.take_changed(now, part)).count();
    assert_eq!(sizes(&fleet[0]), (0, 2));
    for news in (0..Swarms::PARTS).flat_map(|part| fleet[1].store.recite(now, part)) {
        fleet[0].store.learn_of_mate(now, fleet[1].id, 2, &news);
    }
    fleet[0].store.mate_settled(fleet[1].id, 2);
    assert_eq!((sizes(&fleet[0]), fleet[0].store.at_mates()), ((0, 1), 1));
}

#[test]
fn a_tab_with_sockets_at_two_processes_stays_while_one_of_them_has_it() {
    let (mut fleet, now) = (fleet(3), Instant::now());
    let (outbox, _inbox) = mpsc::channel(16);
    tab(&fleet[0], now, 2, 0, &outbox);
    carry(&mut fleet, now);
    tab(&fleet[1], now, 2, 0, &outbox);
    carry(&mut fleet, now);
    fleet.iter().for_each(|process| assert_eq!(sizes(process), (0, 1)));
    fleet[1].store.disconnect(SocketId(2), &HASH);
    carry(&mut fleet, now);
    fleet.iter().for_each(|process| assert_eq!(sizes(process), (0, 1)));
    fleet[0].store.disconnect(SocketId(2), &HASH);
    carry(&mut fleet, now);
    fleet.iter().for_each(|process| assert_eq!((sizes(process), process.store.totals().0), ((0, 0), 0)));
}

#[tokio::test]
async fn a_sisters_offer_reaches_a_browser_at_another_process_and_the_answer_comes_back() {
    let (mut fleet, now) = (fleet(2), Instant::now());
    let sister = Key([9; 32]);
    let (abroad, mut to_sisters) = mpsc::channel(16);
    fleet[0].store.share(abroad);
    let (outbox, mut inbox) = mpsc::channel(16);
    tab(&fleet[1], now, 2, 0, &outbox);
    carry(&mut fleet, now);
    let offer = Offer { id: OfferId([7; 20]), sdp: "offer".into() };
    assert!(fleet[0].store.offer_from_sister(now, sister, HASH, PeerId([5; 20]), offer));
    carry(&mut fleet, now);
    assert!(matches!(inbox.try_recv().map(|message| *message), Ok(ServerMessage::Offer { .. })));
    let answer = Offer { id: OfferId([7; 20]), sdp: "answer".into() };
    assert!(fleet[1].store.answer(now, SocketId(2), HASH, &PeerId([5; 20]), answer));
    carry(&mut fleet, now);
    let Abroad { sister: to, from, to: offerer, offer, .. } = to_sisters.try_recv().unwrap();
    assert_eq!(
        (to, from, offerer, offer.sdp.as_str()),
        (sister, PeerId([2; 20]), Some(PeerId([5; 20])), "answer")
    );
    let present = fleet[0].store.present(now, &HASH);
    assert_eq!((present.peers.len(), present.counts.browsers), (1, 1), "she is told of the fleet's");
}

/// What the first process has heard of a sister is handed on to the others.
fn hand_on(fleet: &[Process], now: Instant) {
    for visit in (0..Swarms::PARTS).flat_map(|part| fleet[0].store.take_visits(now, part)) {
        fleet[1..].iter().for_each(|process| process.store.learn_visit(now, &visit));
    }
}

#[test]
fn an_announce_at_any_process_names_what_sisters_told_one_of_them() {
    let (mut fleet, now) = (fleet(3), Instant::now());
    let sister = Key([9; 32]);
    let peer = |last: u8, seed| {
        let contact = Contact::Address(SocketAddr::new([8, 8, 8, last].into(), 6881));
        SharedPeer { contact, seed, bridge: false, age: 3 }
    };
    let tab = SharedPeer { contact: Contact::Browser(PeerId([5; 20])), ..peer(0, false) };
    let mut changes = fleet[2].store.subscribe();
    let said = [peer(1, true), peer(2, false), tab];
    fleet[0].store.learn(now, HASH, sister, &said, &[], None);
    hand_on(&fleet, now);
    for process in &fleet {
        assert_eq!(sizes(process), (1, 2));
        assert_eq!(process.store.classic_peers(&HASH, 50).len(), 2);
    }
    assert!(
        matches!(changes.try_recv().map(|change| change.kind), Ok(Change::GuestCame(_))),
        "bridges hear of it"
    );
    // One of them announces at another process: it is the fleet's now, and counted once.
    let (wish, mut drawn) = (Wish::both(50, Scope::All), Drawn::default());
    let (store, ip) = (&fleet[1].store, [8, 8, 8, 2].into());
    store.announce_classic(now, ip, &request(5, None), wish, &mut drawn).unwrap();
    carry(&mut fleet, now);
    fleet.iter().for_each(|process| assert_eq!(sizes(process), (1, 2)));
    // She takes one back, and then she is gone.
    fleet[0].store.learn(now, HASH, sister, &[], &[peer(1, true).contact], None);
    hand_on(&fleet, now);
    fleet.iter().for_each(|process| assert_eq!(sizes(process), (0, 2)));
    fleet[0].store.sister_lost(sister, &[HASH]);
    hand_on(&fleet, now);
    fleet.iter().for_each(|process| assert_eq!(sizes(process), (0, 1)));
}

#[test]
fn a_late_process_is_told_of_sisters_and_forgets_their_browsers_when_nobody_reaches_them() {
    let (fleet, now) = (fleet(2), Instant::now());
    let sister = Key([9; 32]);
    let address = Contact::Address(SocketAddr::new([8, 8, 8, 1].into(), 6881));
    let peer = SharedPeer { contact: address, seed: true, bridge: false, age: 3 };
    let tab = SharedPeer { contact: Contact::Browser(PeerId([5; 20])), seed: false, ..peer };
    fleet[0].store.learn(now, HASH, sister, &[peer, tab], &[], None);
    for visit in (0..Swarms::PARTS).flat_map(|part| fleet[0].store.recite_visits(now, part)) {
        fleet[1].store.learn_visit(now, &visit);
    }
    assert_eq!(sizes(&fleet[1]), (1, 1));
    fleet[1].store.forget_visits();
    assert_eq!(sizes(&fleet[1]), (1, 0), "the classic peer is out there still");
    fleet[1].store.expire(now + Duration::from_secs(41 * 60));
    assert_eq!((sizes(&fleet[1]), fleet[1].store.totals().0), ((0, 0), 0));
}

#[tokio::test]
async fn an_offer_to_a_sisters_browser_goes_through_the_process_that_speaks_to_her() {
    let (mut fleet, now) = (fleet(2), Instant::now());
    let sister = Key([9; 32]);
    let (abroad, mut to_sisters) = mpsc::channel(16);
    fleet[0].store.share(abroad);
    let contact = Contact::Browser(PeerId([5; 20]));
    let peer = SharedPeer { contact, seed: true, bridge: false, age: 0 };
    fleet[0].store.learn(now, HASH, sister, &[peer], &[], None);
    hand_on(&fleet, now);
    fleet[1].store.set_speaker(Some(fleet[0].id));
    let (outbox, mut inbox) = mpsc::channel(16);
    tab(&fleet[1], now, 2, 1, &outbox);
    carry(&mut fleet, now);
    let Abroad { sister: to, from, to: nobody, offer, .. } = to_sisters.try_recv().unwrap();
    assert_eq!((to, from, nobody), (sister, PeerId([2; 20]), None));
    let answer = Offer { id: offer.id, sdp: "answer".into() };
    let answered = |by, answer: &Offer| {
        fleet[0].store.answer_from_sister(by, HASH, PeerId([5; 20]), &PeerId([2; 20]), answer.clone())
    };
    assert!(!answered(Key([8; 32]), &answer), "another sister was not asked");
    assert!(answered(sister, &answer));
    assert!(!answered(sister, &answer), "once");
    carry(&mut fleet, now);
    let got = inbox.try_recv().map(|message| *message);
    assert!(matches!(got, Ok(ServerMessage::Answer { answer: got, .. }) if got.sdp == "answer"));
}
