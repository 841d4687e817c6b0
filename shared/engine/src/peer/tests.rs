//! Two machines face to face, and one against hostile bytes.

use super::*;
use crate::link::Direction;
use anatomic_core::{Block, BlockIndex};
use anatomic_wire::extended::MetadataMessage;

const HASH: InfoHash = InfoHash([7; 20]);

fn geometry() -> Geometry {
    Geometry::new(10 * 32 * 1024, 32 * 1024).unwrap()
}

fn block(piece: u32, index: u32) -> Block {
    geometry().block(PieceIndex(piece), BlockIndex(index)).unwrap()
}

fn machine(us: u8, info_hash: Option<InfoHash>) -> Peer {
    let link = Link {
        transport: Transport::Tcp,
        direction: Direction::Accepted,
        torrent: None,
        address: None,
        encrypted: false,
    };
    Peer::new(Time::ZERO, Arc::new(Config::default()), PeerId([us; 20]), link, info_hash)
}

/// Carries everything from one to the other, in pieces of `split` bytes, and returns the events there.
fn carry(now: Time, from: &mut Peer, to: &mut Peer, split: usize) -> Result<Vec<PeerEvent>, CloseReason> {
    let mut bytes = Vec::new();
    while from.transmit(now, split.max(MIN), u64::MAX, &mut bytes).bytes > 0 {}
    let mut events = Vec::new();
    for chunk in bytes.chunks(split) {
        to.receive(now, Bytes::copy_from_slice(chunk));
        while let Some(event) = to.poll_event(now)? {
            if matches!(event, PeerEvent::Handshaked(_)) {
                to.open(Opening {
                    pieces: Some(&Bitfield::full(10)),
                    geometry: Some(geometry()),
                    metadata: Some(Bytes::from(vec![5; 20_000])),
                    upload_only: false,
                    introduces: true,
                })?;
            }
            events.push(event);
        }
    }
    Ok(events)
}
const MIN: usize = crate::output::MIN_ROOM;

fn pair(split: usize) -> (Peer, Peer) {
    let (mut a, mut b) = (machine(1, Some(HASH)), machine(2, None));
    for _ in 0..3 {
        carry(Time::ZERO, &mut a, &mut b, split).unwrap();
        carry(Time::ZERO, &mut b, &mut a, split).unwrap();
    }
    assert!(a.is_open() && b.is_open() && a.extensions().is_some() && b.extensions().is_some());
    assert!(a.is_seed() && b.is_seed());
    (a, b)
}

#[test]
fn a_block_crosses_whatever_the_splits() {
    for split in [1, 3, 1_000, 100_000] {
        let (mut a, mut b) = pair(split);
        a.express_interest();
        assert_eq!(carry(Time::ZERO, &mut a, &mut b, split), Ok(vec![PeerEvent::Interested]));
        b.unchoke();
        assert_eq!(carry(Time::ZERO, &mut b, &mut a, split), Ok(vec![PeerEvent::Unchoked]));
        assert!(a.request(block(3, 1)) && !a.request(block(3, 1)));
        assert_eq!(carry(Time::ZERO, &mut a, &mut b, split), Ok(vec![PeerEvent::Requested]));
        assert_eq!((b.take_request(), b.take_request()), (Some(block(3, 1)), None));
        let data = Bytes::from(vec![9; 16 * 1024]);
        assert!(b.supply(block(3, 1), data.clone()) && !b.supply(block(3, 1), data.clone()));
        let arrived = PeerEvent::Block { block: block(3, 1), data, standing: Standing::Requested };
        assert_eq!(carry(Time::ZERO, &mut b, &mut a, split), Ok(vec![arrived]));
        assert_eq!((a.outstanding(), b.incoming_requests(), b.backlog()), (0, 0, 0));
    }
}

#[test]
fn a_choke_overtakes_waiting_blocks_and_rejects_them() {
    let (mut a, mut b) = pair(500);
    b.unchoke();
    carry(Time::ZERO, &mut b, &mut a, 500).unwrap();
    a.request(block(0, 0));
    a.request(block(0, 1));
    carry(Time::ZERO, &mut a, &mut b, 500).unwrap();
    b.take_request();
    assert!(b.supply(block(0, 0), Bytes::from(vec![1; 16 * 1024])));
    assert_eq!(b.choke(Time::ZERO), vec![block(0, 0), block(0, 1)]);
    let events = carry(Time::ZERO, &mut b, &mut a, 500).unwrap();
    assert_eq!(
        events,
        [
            PeerEvent::Choked { void: vec![] },
            PeerEvent::Rejected(block(0, 0)),
            PeerEvent::Rejected(block(0, 1))
        ]
    );
}

#[test]
fn an_unwritten_request_is_dropped_for_free_and_a_written_one_is_cancelled() {
    let (mut a, mut b) = pair(500);
    b.unchoke();
    carry(Time::ZERO, &mut b, &mut a, 500).unwrap();
    a.request(block(0, 0));
    a.cancel(block(0, 0));
    assert_eq!(carry(Time::ZERO, &mut a, &mut b, 500), Ok(vec![]));
    a.request(block(0, 1));
    carry(Time::ZERO, &mut a, &mut b, 500).unwrap();
    b.take_request();
    a.cancel(block(0, 1));
    assert_eq!(carry(Time::ZERO, &mut a, &mut b, 500), Ok(vec![PeerEvent::Cancelled(block(0, 1))]));
    assert!(!b.supply(block(0, 1), Bytes::from(vec![1; 16 * 1024])));
}

#[test]
fn the_info_dictionary_is_served_in_pieces() {
    let (mut a, mut b) = pair(700);
    assert_eq!(a.metadata_size(), Some(20_000));
    assert!(a.request_metadata(1));
    carry(Time::ZERO, &mut a, &mut b, 700).unwrap();
    let events = carry(Time::ZERO, &mut b, &mut a, 700).unwrap();
    assert_eq!(events, [PeerEvent::Metadata { piece: 1, data: Bytes::from(vec![5; 20_000 - 16 * 1024]) }]);
    assert!(a.request_metadata(2));
    carry(Time::ZERO, &mut a, &mut b, 700).unwrap();
    assert_eq!(carry(Time::ZERO, &mut b, &mut a, 700), Ok(vec![PeerEvent::MetadataRejected(2)]));
}

#[test]
fn each_broken_rule_has_its_name() {
    let broken = |message: Message| {
        let (_, mut b) = pair(1000);
        let mut bytes = Vec::new();
        message.encode(&mut bytes);
        b.receive(Time::ZERO, bytes.into());
        loop {
            match b.poll_event(Time::ZERO) {
                Ok(Some(_)) => {}
                Ok(None) => break None,
                Err(CloseReason::Misbehaved(rule)) => break Some(rule),
                Err(other) => panic!("{other}"),
            }
        }
    };
    use anatomic_wire::message::BlockRange;
    let range = |piece, offset, length| BlockRange { piece, offset, length };
    assert_eq!(broken(Message::Have(10)), Some(Misbehaviour::NoSuchPiece));
    assert_eq!(broken(Message::Have(9)), None);
    assert_eq!(broken(Message::Bitfield(Bytes::from_static(&[0xff]))), Some(Misbehaviour::BadBitfield));
    assert_eq!(
        broken(Message::Piece { piece: 10, offset: 0, data: Bytes::from_static(b"x") }),
        Some(Misbehaviour::BlockOutOfRange)
    );
    assert_eq!(broken(Message::Request(range(0, 0, 131_073))), Some(Misbehaviour::RequestTooLong));
    assert_eq!(broken(Message::Request(range(99, 0, 1))), None);
    assert_eq!(broken(Message::AllowedFast(10)), Some(Misbehaviour::NoSuchPiece));
    assert_eq!(broken(Message::Unknown { id: 99, length: 1 }), None);
}

#[test]
fn another_torrent_in_the_answer_is_refused() {
    let (mut a, mut b) = (machine(1, Some(HASH)), machine(2, Some(InfoHash([8; 20]))));
    let reason = CloseReason::Misbehaved(Misbehaviour::WrongInfoHash);
    assert_eq!(carry(Time::ZERO, &mut b, &mut a, 100), Err(reason));
}

#[test]
fn silence_is_answered_by_a_keep_alive_then_by_a_close() {
    let (mut a, mut b) = pair(100);
    assert_eq!(a.check(Time::from_secs(60)), Ok(()));
    assert!(a.has_control());
    carry(Time::from_secs(60), &mut a, &mut b, 100).unwrap();
    assert_eq!(a.check(Time::from_secs(120)), Err(CloseReason::Idle));
    assert_eq!(b.check(Time::from_secs(179)), Ok(()));
    assert_eq!(machine(1, None).check(Time::from_secs(10)), Err(CloseReason::HandshakeTimeout));
}

#[test]
fn who_asks_and_never_reads_is_closed_before_memory_is_lost() {
    let (_, mut b) = pair(1000);
    let mut bytes = Vec::new();
    for piece in 0..20_000u32 {
        Message::Request(block(piece % 10, 0).into()).encode(&mut bytes);
        Message::Extended { id: 1, payload: MetadataMessage::Request { piece: 0 }.encode().into() }
            .encode(&mut bytes);
    }
    b.receive(Time::ZERO, bytes.into());
    let reason = loop {
        match b.poll_event(Time::ZERO) {
            Ok(Some(_)) => {}
            Ok(None) => panic!("nothing stopped it"),
            Err(reason) => break reason,
        }
    };
    assert_eq!(reason, CloseReason::DoesNotRead);
}

#[test]
fn random_operations_never_panic() {
    for seed in 0..400 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let (mut a, mut b) = pair(1 + rng.usize(0..5_000));
        let mut now = Time::ZERO;
        for _ in 0..rng.usize(1..200) {
            let (x, y) = if rng.bool() { (&mut a, &mut b) } else { (&mut b, &mut a) };
            let some = block(rng.u32(0..10), rng.u32(0..2));
            match rng.u8(0..16) {
                0 => drop(x.request(some)),
                1 => drop(x.cancel(some)),
                2 => x.unchoke(),
                3 => drop(x.choke(now)),
                4 => x.have(some.piece),
                5 => drop(x.dont_have(some.piece)),
                6 => drop(x.take_request()),
                7 => drop(x.supply(some, Bytes::from(vec![1; some.length as usize]))),
                8 => x.refuse(some),
                9 => drop(x.request_metadata(rng.u32(0..4))),
                10 => x.allow_fast(&[some.piece]),
                11 => drop(x.cancel_all()),
                12 => {
                    now += std::time::Duration::from_millis(rng.u64(0..30_000));
                    drop(x.check(now));
                }
                13 => {
                    let mut bytes: Vec<u8> = (0..rng.usize(0..40)).map(|_| rng.u8(..)).collect();
                    if rng.bool() {
                        bytes.splice(0..0, [0, 0, 0, rng.u8(0..40), rng.u8(0..21)]);
                    }
                    y.receive(now, bytes.into());
                    while let Ok(Some(_)) = y.poll_event(now) {}
                }
                _ => drop(carry(now, x, y, 1 + rng.usize(0..30_000))),
            }
        }
    }
}
