//! Rules of the peer messages and their decoder.

use super::*;
use crate::handshake::{Handshake, NotBitTorrent};
use anatomic_core::{InfoHash, PeerId};

fn every_message() -> Vec<Message> {
    let range = BlockRange { piece: 1, offset: 0x4000, length: 0x0102_0304 };
    vec![
        Message::KeepAlive,
        Message::Choke,
        Message::Unchoke,
        Message::Interested,
        Message::NotInterested,
        Message::Have(7),
        Message::Bitfield(Bytes::from_static(&[0xff, 0x80])),
        Message::Request(range),
        Message::Piece { piece: 9, offset: 16_384, data: Bytes::from(vec![3; 1000]) },
        Message::Cancel(range),
        Message::Port(6881),
        Message::Suggest(u32::MAX),
        Message::HaveAll,
        Message::HaveNone,
        Message::Reject(range),
        Message::AllowedFast(0),
        Message::Extended { id: 0, payload: Bytes::from_static(b"de") },
        Message::Extended { id: 3, payload: Bytes::new() },
        Message::Piece { piece: 0, offset: 0, data: Bytes::new() },
        Message::Bitfield(Bytes::new()),
    ]
}

fn encode(messages: &[Message]) -> Bytes {
    let mut bytes = Vec::new();
    for message in messages {
        let before = bytes.len();
        message.encode(&mut bytes);
        assert_eq!(bytes.len() - before, message.encoded_len(), "{message:?}");
    }
    bytes.into()
}

fn drain(decoder: &mut Decoder) -> Vec<Message> {
    std::iter::from_fn(|| decoder.poll_message().unwrap()).collect()
}

#[test]
fn bytes_of_a_request_are_those_of_bep_3() {
    let request = Message::Request(BlockRange { piece: 1, offset: 2, length: 16_384 });
    assert_eq!(encode(&[request])[..], [0, 0, 0, 13, 6, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0x40, 0]);
}

#[test]
fn every_message_comes_back_however_the_stream_is_split() {
    let messages = every_message();
    let stream = encode(&messages);
    for split in 0..=stream.len() {
        let mut decoder = Decoder::default();
        decoder.push(stream.slice(..split));
        let mut got = drain(&mut decoder);
        decoder.push(stream.slice(split..));
        got.extend(drain(&mut decoder));
        assert_eq!(got, messages, "split at {split}");
        assert_eq!(decoder.buffered(), 0);
    }
    let mut decoder = Decoder::default();
    let mut got = Vec::new();
    for at in 0..stream.len() {
        decoder.push(stream.slice(at..=at));
        got.extend(drain(&mut decoder));
    }
    assert_eq!(got, messages);
}

#[test]
fn the_handshake_comes_before_the_messages_and_may_share_their_buffer() {
    let handshake = Handshake::new(InfoHash([1; 20]), PeerId::ours([2; 12]));
    let mut stream = Vec::new();
    handshake.encode(&mut stream);
    Message::Unchoke.encode(&mut stream);
    let stream = Bytes::from(stream);
    for split in 0..stream.len() {
        let mut decoder = Decoder::default();
        decoder.push(stream.slice(..split));
        let early = decoder.poll_handshake().unwrap();
        assert_eq!(early.is_some(), split >= 68);
        decoder.push(stream.slice(split..));
        let late = if early.is_some() { early } else { decoder.poll_handshake().unwrap() };
        assert_eq!(late, Some(handshake));
        assert_eq!(drain(&mut decoder), [Message::Unchoke]);
    }
}

#[test]
fn a_stranger_is_recognised_by_its_first_byte() {
    let mut decoder = Decoder::default();
    decoder.push(Bytes::from_static(b"G"));
    assert_eq!(decoder.poll_handshake(), Err(NotBitTorrent.into()));
}

#[test]
fn a_block_in_one_buffer_is_not_copied() {
    let stream = encode(&[Message::Piece { piece: 0, offset: 0, data: Bytes::from(vec![5; 16_384]) }]);
    let mut decoder = Decoder::default();
    decoder.push(stream.clone());
    let Some(Message::Piece { data, .. }) = decoder.poll_message().unwrap() else { panic!() };
    assert_eq!(data.as_ptr(), stream[13..].as_ptr());

    // WebTorrent sends head and block as two messages of the data channel.
    let mut decoder = Decoder::default();
    decoder.push(stream.slice(..13));
    assert_eq!(decoder.poll_message().unwrap(), None);
    let block = stream.slice(13..);
    decoder.push(block.clone());
    let Some(Message::Piece { data, .. }) = decoder.poll_message().unwrap() else { panic!() };
    assert_eq!(data.as_ptr(), block.as_ptr());
}

#[test]
fn unknown_ids_are_skipped_without_being_kept() {
    let mut stream = vec![0, 0, 0x40, 1, 99];
    stream.extend(vec![1; 0x4000]);
    stream.extend([0, 0, 0, 1, 1]);
    let mut decoder = Decoder::default();
    for chunk in stream.chunks(1000) {
        decoder.push(Bytes::copy_from_slice(chunk));
        if let Some(message) = decoder.poll_message().unwrap() {
            assert_eq!(message, Message::Unknown { id: 99, length: 0x4001 });
        }
    }
    assert_eq!(drain(&mut decoder), [Message::Unchoke]);
}

#[test]
fn lengths_beyond_their_limit_are_refused_before_the_payload_comes() {
    for (id, length) in [(7u8, 9 + 131_073u32), (5, 262_146), (20, 1_048_580), (200, u32::MAX)] {
        let mut decoder = Decoder::default();
        let mut stream = length.to_be_bytes().to_vec();
        stream.push(id);
        decoder.push(stream.into());
        assert!(matches!(decoder.poll_message(), Err(DecodeError::TooLong { .. })), "{id}");
    }
    // 128 KiB, the longest block that WebTorrent serves, is accepted.
    let block = Message::Piece { piece: 0, offset: 0, data: Bytes::from(vec![0; 131_072]) };
    let mut decoder = Decoder::default();
    decoder.push(encode(std::slice::from_ref(&block)));
    assert_eq!(drain(&mut decoder), [block]);
}

#[test]
fn fixed_messages_of_another_length_are_refused() {
    for (id, length) in
        [(0u8, 2u32), (4, 4), (6, 12), (8, 14), (9, 2), (13, 1), (14, 5), (16, 1), (17, 6), (7, 8), (20, 1)]
    {
        let mut decoder = Decoder::default();
        let mut stream = length.to_be_bytes().to_vec();
        stream.push(id);
        stream.extend([0; 32]);
        decoder.push(stream.into());
        assert_eq!(decoder.poll_message(), Err(DecodeError::WrongLength { id, length }));
    }
}

#[test]
fn random_streams_never_panic_and_never_hold_more_than_they_were_sent() {
    for seed in 0..2_000 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut stream = encode(&every_message()).to_vec();
        for _ in 0..rng.usize(0..20) {
            let at = rng.usize(..stream.len());
            stream[at] = rng.u8(..);
        }
        let mut decoder = Decoder::default();
        let mut sent = 0;
        for chunk in stream.chunks(rng.usize(1..200)) {
            sent += chunk.len();
            decoder.push(Bytes::copy_from_slice(chunk));
            loop {
                match decoder.poll_message() {
                    Ok(Some(message)) => {
                        assert!(matches!(message, Message::Unknown { .. }) || message.encoded_len() <= sent)
                    }
                    Ok(None) => break,
                    Err(_) => break,
                }
            }
        }
    }
}
