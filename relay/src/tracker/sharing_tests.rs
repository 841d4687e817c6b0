//! Rules of the store's side of peer-sharing.

use super::super::peers::Scope;
use super::super::swarms::{Drawn, Limits, Socket, Wish};
use super::*;
use anatomic_mesh::sharing::guests::Kinds;
use anatomic_wire::tracker::announce::AnnounceRequest;
use anatomic_wire::tracker::websocket::{ServerMessage, WsAnnounce};
use tokio::sync::mpsc::Receiver;

const HASH: InfoHash = InfoHash([3; 20]);
const SISTER: Key = Key([9; 32]);

fn store() -> (Swarms, Receiver<Abroad>) {
    let store = Swarms::new(Limits::default(), 1);
    let (sender, receiver) = mpsc::channel(16);
    store.share(sender);
    (store, receiver)
}

fn announce(store: &Swarms, last: u8, left: u64, want: usize) -> Vec<SocketAddr> {
    let request = AnnounceRequest { left: Some(left), ..AnnounceRequest::new(HASH, 6881) };
    let (ip, wish, mut drawn) = ([8, 8, 4, last].into(), Wish::both(want, Scope::All), Drawn::default());
    store.announce_classic(Instant::now(), ip, &request, wish, &mut drawn).unwrap();
    drawn.addresses().collect()
}

fn guest(last: u8, seed: bool) -> SharedPeer {
    let contact = Contact::Address(SocketAddr::from(([9, 9, 9, last], 6881)));
    SharedPeer { contact, seed, bridge: false, age: 0 }
}

fn tab(store: &Swarms, number: u8, offers: u8) -> Receiver<Box<ServerMessage>> {
    let (outbox, inbox) = mpsc::channel(16);
    let socket = Socket { id: SocketId(number.into()), ip: [10, 0, 0, number].into(), outbox };
    let announce = WsAnnounce {
        info_hash: HASH,
        peer_id: PeerId([number; 20]),
        uploaded: 0,
        downloaded: 0,
        left: Some(1),
        event: None,
        want: None,
        tracker_id: None,
        for_node: None,
        offers: vec![],
    };
    let offers = (0..offers).map(|id| Offer { id: OfferId([id; 20]), sdp: "v".into() }).collect();
    store.announce_browser(Instant::now(), &socket, &announce, offers).unwrap();
    inbox
}

#[test]
fn a_seed_that_only_a_sister_knows_is_in_the_reply_and_in_the_counts() {
    let (store, _) = store();
    store.learn(Instant::now(), HASH, SISTER, &[guest(1, true)], &[], None);
    assert_eq!(announce(&store, 1, 5, 50), [SocketAddr::from(([9, 9, 9, 1], 6881))]);
    let counts = store.counts(&HASH);
    assert_eq!((counts.complete, counts.incomplete), (1, 1));
    store.learn(Instant::now(), HASH, SISTER, &[], &[guest(1, true).contact], None);
    assert!(announce(&store, 1, 5, 50).is_empty());
}

#[test]
fn guests_are_a_third_of_a_reply_while_own_peers_suffice() {
    let (store, _) = store();
    for last in 0..60 {
        announce(&store, last, 1, 0);
    }
    let guests: Vec<_> = (0..100).map(|last| guest(last, true)).collect();
    store.learn(Instant::now(), HASH, SISTER, &guests, &[], None);
    let reply = announce(&store, 1, 1, 30);
    let foreign = reply.iter().filter(|address| address.ip().to_string().starts_with("9.")).count();
    assert_eq!((reply.len(), foreign), (30, 10));
}

#[test]
fn what_changed_is_noted_and_told_without_guests() {
    let (store, _) = store();
    announce(&store, 1, 0, 0);
    let _inbox = tab(&store, 2, 0);
    store.learn(Instant::now(), HASH, SISTER, &[guest(1, true)], &[], None);
    assert_eq!(store.take_touched().into_iter().collect::<Vec<_>>(), [HASH]);
    assert!(store.take_touched().is_empty());
    let present = store.present(Instant::now(), &HASH);
    assert_eq!(present.counts, Counts { seeds: 1, leeches: 1, browsers: 1 });
    assert_eq!(present.peers.len(), 2, "what came from a sister goes to no other");
}

#[test]
fn an_offer_goes_to_a_sister_s_browser_and_only_her_answer_comes_back() {
    let (here, mut to_there) = store();
    let (there, mut to_here) = store();
    let browser = SharedPeer { contact: Contact::Browser(PeerId([2; 20])), ..guest(0, false) };
    here.learn(Instant::now(), HASH, SISTER, &[browser], &[], None);
    let mut at_there = tab(&there, 2, 0);
    let mut at_here = tab(&here, 1, 2);

    let abroad = to_there.try_recv().unwrap();
    assert_eq!((abroad.sister, abroad.from, abroad.to), (SISTER, PeerId([1; 20]), None));
    let us = Key([7; 32]);
    assert!(there.offer_from_sister(Instant::now(), us, HASH, abroad.from, abroad.offer.clone()));
    assert!(matches!(*at_there.try_recv().unwrap(), ServerMessage::Offer { .. }));

    let answer = Offer { sdp: "a".into(), ..abroad.offer };
    let stranger = there.answer(Instant::now(), SocketId(9), HASH, &abroad.from, answer.clone());
    assert!(!stranger, "only the asked browser answers");
    assert!(there.answer(Instant::now(), SocketId(2), HASH, &abroad.from, answer.clone()));
    let back = to_here.try_recv().unwrap();
    assert_eq!((back.sister, back.from, back.to), (us, PeerId([2; 20]), Some(PeerId([1; 20]))));

    let to = PeerId([1; 20]);
    assert!(!here.answer_from_sister(us, HASH, back.from, &to, answer.clone()), "another sister");
    assert!(here.answer_from_sister(SISTER, HASH, back.from, &to, answer.clone()));
    assert!(matches!(*at_here.try_recv().unwrap(), ServerMessage::Answer { .. }));
    assert!(!here.answer_from_sister(SISTER, HASH, back.from, &to, answer), "an offer is answered once");
}

#[test]
fn a_browser_at_both_nodes_is_not_offered_to_itself() {
    let (store, _) = store();
    let mut inbox = tab(&store, 1, 0);
    let offer = Offer { id: OfferId([1; 20]), sdp: "v".into() };
    assert!(!store.offer_from_sister(Instant::now(), SISTER, HASH, PeerId([1; 20]), offer));
    assert!(inbox.try_recv().is_err());
}

#[test]
fn a_peer_that_announces_to_two_sisters_is_counted_once_at_both() {
    let (one, _) = store();
    let (two, _) = store();
    let now = Instant::now();
    // A seed at both, a leech at one, a tab at both, a tab at two.
    announce(&one, 1, 0, 0);
    announce(&two, 1, 0, 0);
    announce(&one, 2, 9, 0);
    let _tabs = [tab(&one, 3, 0), tab(&two, 3, 0), tab(&two, 4, 0)];
    for (to, from, key) in [(&one, &two, Key([1; 32])), (&two, &one, Key([2; 32]))] {
        let Present { peers, counts } = from.present(now, &HASH);
        to.learn(now, HASH, key, &peers, &[], Some(counts));
    }
    for store in [&one, &two] {
        let Kinds { tabs, classic } = store.kinds(&HASH);
        assert_eq!((tabs.seeds, tabs.leeches), (0, 2));
        assert_eq!((classic.seeds, classic.leeches), (1, 1));
        let counts = store.counts(&HASH);
        assert_eq!((counts.complete, counts.incomplete), (1, 3), "as tracker replies have it");
    }
    // One that was known from a sister and comes here, too.
    announce(&two, 2, 9, 0);
    assert_eq!(two.kinds(&HASH).classic.leeches, 1);
}

#[test]
fn what_a_sister_says_of_a_seed_proves_none() {
    let (store, _abroad) = store();
    store.learn(Instant::now(), HASH, SISTER, &[guest(1, true)], &[], None);
    assert_eq!((store.kinds(&HASH).classic.seeds, store.has_seed(&HASH)), (1, false));
    announce(&store, 1, 0, 0);
    assert_eq!((store.kinds(&HASH).classic.seeds, store.has_seed(&HASH)), (2, true));
}
