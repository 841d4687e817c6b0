//! Rules of the store of swarms.

use super::*;
use anatomic_core::PeerId;
use anatomic_wire::tracker::Event;
use anatomic_wire::tracker::announce::AnnounceRequest;
use anatomic_wire::tracker::websocket::{Offer, OfferId, WsAnnounce};
use std::time::Duration;
use tokio::sync::mpsc::Receiver;

const HASH: InfoHash = InfoHash([3; 20]);

fn store() -> Swarms {
    Swarms::new(Limits { peers: 100, peers_per_ip: 3, ..Limits::default() }, 1)
}

fn classic(port: u16, left: u64, event: Option<Event>) -> AnnounceRequest {
    AnnounceRequest { left: Some(left), event, ..AnnounceRequest::new(HASH, port) }
}

fn browser(id: u8, left: Option<u64>, event: Option<Event>) -> WsAnnounce {
    WsAnnounce {
        info_hash: HASH,
        peer_id: PeerId([id; 20]),
        uploaded: 0,
        downloaded: 0,
        left,
        event,
        want: None,
        tracker_id: None,
        for_node: None,
        offers: vec![],
    }
}

fn socket(id: u64) -> (Socket, Receiver<Box<ServerMessage>>) {
    let (outbox, inbox) = mpsc::channel(16);
    (Socket { id: SocketId(id), ip: "10.0.0.1".parse().unwrap(), outbox }, inbox)
}

fn offers(count: u8) -> Vec<Offer> {
    (0..count).map(|id| Offer { id: OfferId([id; 20]), sdp: "v".into() }).collect()
}

fn ip(last: u8) -> IpAddr {
    [10, 0, 0, last].into()
}

fn announce(
    store: &Swarms,
    now: Instant,
    ip: IpAddr,
    request: &AnnounceRequest,
    want: usize,
) -> Result<(SwarmCounts, Vec<SocketAddr>), Full> {
    let mut drawn = Drawn::default();
    let counts = store.announce_classic(now, ip, request, Wish::both(want, Scope::All), &mut drawn)?;
    Ok((counts, drawn.addresses().collect()))
}

#[test]
fn classic_peers_meet_each_other_and_never_themselves() {
    let (store, now) = (store(), Instant::now());
    announce(&store, now, ip(1), &classic(1, 0, None), 50).unwrap();
    let (counts, peers) = announce(&store, now, ip(2), &classic(2, 9, None), 50).unwrap();
    assert_eq!(peers, ["10.0.0.1:1".parse::<SocketAddr>().unwrap()]);
    assert_eq!((counts.complete, counts.incomplete), (1, 1));
    assert_eq!(store.classic_peers(&HASH, 9).len(), 2);
}

#[test]
fn stopping_removes_and_one_never_known_is_not_inserted() {
    let (store, now) = (store(), Instant::now());
    announce(&store, now, ip(1), &classic(1, 0, Some(Event::Stopped)), 50).unwrap();
    assert_eq!(store.totals(), (0, 0));
    announce(&store, now, ip(1), &classic(1, 0, None), 50).unwrap();
    announce(&store, now, ip(1), &classic(1, 0, Some(Event::Stopped)), 50).unwrap();
    assert_eq!((store.totals().1, store.counts(&HASH)), (0, SwarmCounts::default()));
}

#[test]
fn completion_is_counted_once_and_makes_a_seed() {
    let (store, now) = (store(), Instant::now());
    announce(&store, now, ip(1), &classic(1, 5, None), 0).unwrap();
    for _ in 0..2 {
        announce(&store, now, ip(1), &classic(1, 0, Some(Event::Completed)), 0).unwrap();
    }
    assert_eq!(store.counts(&HASH), SwarmCounts { complete: 1, downloaded: 1, incomplete: 0 });
}

#[test]
fn silent_peers_and_their_swarms_are_forgotten() {
    let (store, now) = (store(), Instant::now());
    let (tab, _inbox) = socket(1);
    announce(&store, now, ip(1), &classic(1, 5, None), 0).unwrap();
    store.announce_browser(now, &tab, &browser(1, None, None), vec![]).unwrap();
    store.expire(now + Duration::from_secs(39 * 60));
    assert_eq!(store.totals(), (1, 1));
    store.expire(now + Duration::from_secs(41 * 60));
    assert_eq!(store.totals(), (0, 0));
}

#[test]
fn beyond_the_ceilings_newcomers_are_refused_and_the_known_stay_welcome() {
    let (store, now) = (store(), Instant::now());
    for port in 1..=3 {
        announce(&store, now, ip(1), &classic(port, 5, None), 0).unwrap();
    }
    assert_eq!(announce(&store, now, ip(1), &classic(9, 5, None), 0), Err(Full::Address));
    for last in 2..99 {
        announce(&store, now, ip(last), &classic(1, 5, None), 0).unwrap();
    }
    assert_eq!(announce(&store, now, ip(200), &classic(1, 5, None), 0), Err(Full::Store));
    assert!(announce(&store, now, ip(1), &classic(1, 5, None), 0).is_ok());
}

#[test]
fn each_offer_goes_to_another_socket_and_its_answer_comes_back() {
    let (store, now) = (store(), Instant::now());
    let mut others = Vec::new();
    for id in 1..=3 {
        let (tab, inbox) = socket(id);
        store.announce_browser(now, &tab, &browser(id as u8, None, None), vec![]).unwrap();
        others.push((tab, inbox));
    }
    let (tab, mut inbox) = socket(9);
    store.announce_browser(now, &tab, &browser(9, Some(0), None), offers(5)).unwrap();
    assert!(inbox.try_recv().is_err(), "no offer comes back to its maker");
    for (other, inbox) in &mut others {
        let ServerMessage::Offer { peer_id, offer, .. } = *inbox.try_recv().unwrap() else { panic!() };
        assert_eq!(peer_id, PeerId([9; 20]));
        assert!(inbox.try_recv().is_err(), "one offer each");
        let answer = Offer { sdp: "a".into(), ..offer };
        assert!(store.answer(now, other.id, HASH, &peer_id, answer.clone()));
        assert!(!store.answer(now, other.id, HASH, &peer_id, answer), "an offer is answered once");
    }
    for _ in 0..3 {
        assert!(matches!(*inbox.try_recv().unwrap(), ServerMessage::Answer { .. }));
    }
}

#[test]
fn an_answer_to_an_offer_that_another_got_is_dropped() {
    let (store, now) = (store(), Instant::now());
    let (first, _first_inbox) = socket(1);
    store.announce_browser(now, &first, &browser(1, None, None), vec![]).unwrap();
    let (offerer, mut inbox) = socket(2);
    store.announce_browser(now, &offerer, &browser(2, None, None), offers(1)).unwrap();
    let (liar, _liar_inbox) = socket(3);
    store.announce_browser(now, &liar, &browser(3, None, None), vec![]).unwrap();
    assert!(!store.answer(now, liar.id, HASH, &PeerId([2; 20]), offers(1).remove(0)));
    assert!(inbox.try_recv().is_err());
}

#[test]
fn a_reconnected_tab_replaces_its_old_socket_whose_end_then_removes_nothing() {
    let (store, now) = (store(), Instant::now());
    let (old, _old_inbox) = socket(1);
    store.announce_browser(now, &old, &browser(7, None, None), vec![]).unwrap();
    let (new, mut new_inbox) = socket(2);
    store.announce_browser(now, &new, &browser(7, None, None), vec![]).unwrap();
    store.disconnect(old.id, &HASH);
    assert_eq!(store.sizes(&HASH), (0, 1));
    let (other, _other_inbox) = socket(3);
    store.announce_browser(now, &other, &browser(8, None, None), offers(1)).unwrap();
    assert!(matches!(*new_inbox.try_recv().unwrap(), ServerMessage::Offer { .. }));
}

#[test]
fn a_stranger_elsewhere_cannot_take_a_living_tabs_peer_id() {
    let (store, now) = (store(), Instant::now());
    let (tab, _inbox) = socket(1);
    store.announce_browser(now, &tab, &browser(7, None, None), vec![]).unwrap();
    let (mut stranger, _stranger_inbox) = socket(2);
    stranger.ip = ip(99);
    assert!(store.announce_browser(now, &stranger, &browser(7, None, None), vec![]).is_err());
    let later = now + Duration::from_secs(61);
    assert!(store.announce_browser(later, &stranger, &browser(7, None, None), vec![]).is_ok());
}

#[test]
fn a_full_queue_drops_offers_and_grows_no_further() {
    let (store, now) = (store(), Instant::now());
    let (slow, mut inbox) = socket(1);
    store.announce_browser(now, &slow, &browser(1, None, None), vec![]).unwrap();
    let (tab, _tab_inbox) = socket(2);
    for _ in 0..100 {
        store.announce_browser(now, &tab, &browser(2, None, None), offers(1)).unwrap();
    }
    let mut queued = 0;
    while inbox.try_recv().is_ok() {
        queued += 1;
    }
    assert_eq!(queued, 16);
}

#[test]
fn listeners_hear_of_comers_and_goers() {
    let (store, now) = (store(), Instant::now());
    let mut changes = store.subscribe();
    announce(&store, now, ip(1), &classic(1, 5, None), 0).unwrap();
    announce(&store, now, ip(1), &classic(1, 5, None), 0).unwrap();
    announce(&store, now, ip(1), &classic(1, 5, Some(Event::Stopped)), 0).unwrap();
    let address = "10.0.0.1:1".parse().unwrap();
    assert_eq!(changes.try_recv().unwrap().kind, Change::ClassicCame(address));
    assert_eq!(changes.try_recv().unwrap().kind, Change::ClassicWent(address));
    assert!(changes.try_recv().is_err());
}

#[test]
fn both_families_are_in_one_swarm_and_private_addresses_stay_inside() {
    let (store, now) = (store(), Instant::now());
    let v6: IpAddr = "2001:db8::1".parse().unwrap();
    let public: IpAddr = "1.1.1.1".parse().unwrap();
    for ip in [ip(1), public, "2606:4700::1".parse().unwrap(), v6] {
        announce(&store, now, ip, &classic(7, 0, None), 0).unwrap();
    }
    let mut drawn = Drawn::default();
    let request = classic(9, 1, None);
    let counts = store
        .announce_classic(
            now,
            "9.9.9.9".parse().unwrap(),
            &request,
            Wish::both(50, Scope::Public),
            &mut drawn,
        )
        .unwrap();
    let mut addresses: Vec<String> = drawn.addresses().map(|address| address.to_string()).collect();
    addresses.sort();
    assert_eq!((counts.complete, counts.incomplete), (4, 1));
    assert_eq!(addresses, ["1.1.1.1:7", "[2606:4700::1]:7"]);
    store.expire(now + Duration::from_secs(41 * 60));
    assert_eq!((store.totals(), store.counts(&HASH)), ((0, 0), SwarmCounts::default()));
}

#[test]
fn a_swarm_of_600_peers_gets_a_full_reply() {
    // The SQL of 2005 had a stray bracket for swarms of more than 500: they got nobody.
    let store = Swarms::new(Limits::default(), 1);
    let now = Instant::now();
    for number in 0..600_u16 {
        let ip = IpAddr::from([10, 1, (number >> 8) as u8, number as u8]);
        announce(&store, now, ip, &classic(1_000 + number, 1, None), 0).unwrap();
    }
    let (counts, peers) = announce(&store, now, ip(1), &classic(1, 1, None), 50).unwrap();
    let different: std::collections::HashSet<_> = peers.iter().collect();
    assert_eq!((counts.incomplete, peers.len(), different.len()), (601, 50, 50));
}

#[test]
fn new_swarms_are_refused_beyond_the_ceiling() {
    let store = Swarms::new(Limits { swarms: 1, ..Limits::default() }, 1);
    let now = Instant::now();
    announce(&store, now, ip(1), &classic(1, 1, None), 0).unwrap();
    let other = AnnounceRequest { info_hash: InfoHash([9; 20]), ..classic(1, 1, None) };
    assert_eq!(announce(&store, now, ip(1), &other, 0), Err(Full::Store));
    store.expire(now + Duration::from_secs(41 * 60));
    assert!(announce(&store, now, ip(1), &other, 0).is_ok());
}
