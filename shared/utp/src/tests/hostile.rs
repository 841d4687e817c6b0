//! Strangers' datagrams: whatever they hold, nothing panics, nothing grows, and others are served.

use super::network::{Line, Network};
use crate::packet::{Header, Kind, write_header};
use crate::{Config, Endpoint};
use anatomic_core::Time;
use fastrand::Rng;
use std::net::SocketAddr;
use std::time::Duration;

fn datagram(header: Header, sack: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_header(&header, sack, 0, &mut bytes);
    bytes.extend_from_slice(payload);
    bytes
}

fn syn(connection: u16) -> Vec<u8> {
    let header = Header {
        kind: Kind::Syn,
        connection,
        timestamp: 5,
        difference: 0,
        window: 1 << 20,
        sequence: 1,
        acknowledged: 0,
    };
    datagram(header, &[], &[])
}

fn drain(endpoint: &mut Endpoint, now: Time) -> Vec<(SocketAddr, Vec<u8>)> {
    let mut sent = Vec::new();
    let mut bytes = Vec::new();
    while let Some(to) = endpoint.poll_transmit(now, &mut bytes) {
        sent.push((to, std::mem::take(&mut bytes)));
    }
    sent
}

#[test]
fn a_flood_of_forged_first_packets_makes_no_connection_and_no_amplification() {
    let mut endpoint = Endpoint::new(Config::default(), 1);
    let now = Time::from_secs(1);
    let (mut got, mut sent) = (0, 0);
    for number in 0..100_000u32 {
        let from = SocketAddr::from((number.to_be_bytes(), 1));
        let bytes = syn(number as u16);
        got += bytes.len();
        endpoint.handle_datagram(now, from, &bytes);
        // Forgers guess, too.
        let header = Header {
            kind: Kind::Data,
            connection: (number as u16).wrapping_add(1),
            timestamp: 5,
            difference: 0,
            window: 0,
            sequence: 2,
            acknowledged: 4_711,
        };
        endpoint.handle_datagram(now, from, &datagram(header, &[], b"x"));
        sent += drain(&mut endpoint, now).iter().map(|(_, bytes)| bytes.len()).sum::<usize>();
    }
    // One guess in 32,768 is right by chance.
    assert!(endpoint.connections() <= 12, "{}", endpoint.connections());
    assert!(sent <= got + 64 * 20 + 12 * 20, "{sent} bytes for {got}");
    assert_eq!(endpoint.counters().resets_sent, 64);
}

#[test]
fn bytes_of_every_kind_leave_an_open_connection_as_it_was() {
    for seed in 0..200 {
        let line = Line { delay: Duration::from_millis(5), ..Line::default() };
        let mut network = Network::new(seed, Config::default(), line, line);
        network.connect();
        network.ends[0].to_send = 50_000;
        network.exchange();
        let mut rng = Rng::with_seed(seed);
        for _ in 0..300 {
            let mut bytes: Vec<u8> = (0..rng.usize(0..200)).map(|_| rng.u8(..)).collect();
            if let Some(first) = bytes.first_mut() {
                *first = [0x01, 0x11, 0x21, 0x31, 0x41, *first][rng.usize(0..6)];
            }
            let from = SocketAddr::from(([198, 51, 100, 7], rng.u16(1..)));
            let (now, which) = (network.now, rng.usize(0..2));
            network.ends[which].endpoint.handle_datagram(now, from, &bytes);
            // And its answers go to where they should, not into the network of two.
            let _ = drain_strangers(&mut network, which);
        }
        network.run(Duration::from_secs(60));
        assert_eq!(network.ends[1].received, 50_000, "seed {seed}");
    }
}

/// Takes what is sent to strangers; what is for the other end is lost on the way.
fn drain_strangers(network: &mut Network, which: usize) -> usize {
    let now = network.now;
    drain(&mut network.ends[which].endpoint, now).len()
}

#[test]
fn a_peer_that_lies_in_every_field_costs_its_own_connection_at_most() {
    for seed in 0..300 {
        let mut rng = Rng::with_seed(seed);
        let mut endpoint = Endpoint::new(Config { receive_window: 100_000, ..Config::default() }, seed);
        let (mut now, from) = (Time::from_secs(1), SocketAddr::from(([192, 0, 2, 9], 9)));
        endpoint.handle_datagram(now, from, &syn(40));
        let answer = drain(&mut endpoint, now).remove(0).1;
        let ours = u16::from_be_bytes([answer[16], answer[17]]);
        let honest = Header {
            kind: Kind::Data,
            connection: 41,
            timestamp: 9,
            difference: 0,
            window: 1 << 20,
            sequence: 2,
            acknowledged: ours.wrapping_sub(1),
        };
        endpoint.handle_datagram(now, from, &datagram(honest, &[], b"hello"));
        let Some(crate::Event::Accepted(key, _)) = endpoint.poll_event() else { panic!("not accepted") };
        for _ in 0..500 {
            now += Duration::from_millis(rng.u64(0..300));
            endpoint.write(key, &vec![7; rng.usize(0..20_000)]);
            let lie = Header {
                kind: [Kind::Data, Kind::Fin, Kind::State, Kind::Syn][rng.usize(0..4)],
                connection: 41,
                timestamp: rng.u32(..),
                difference: rng.u32(..),
                window: [0, 1, 5_000, u32::MAX][rng.usize(0..4)],
                sequence: [rng.u16(..), 2u16.wrapping_add(rng.u16(0..40))][rng.usize(0..2)],
                acknowledged: [rng.u16(..), ours.wrapping_add(rng.u16(0..40))][rng.usize(0..2)],
            };
            let sack: Vec<u8> = (0..4 * rng.usize(0..20)).map(|_| rng.u8(..)).collect();
            let payload = vec![1; rng.usize(0..1_500)];
            endpoint.handle_datagram(now, from, &datagram(lie, &sack, &payload));
            if endpoint.poll_timeout() <= now {
                endpoint.handle_timeout(now);
            }
            let _ = drain(&mut endpoint, now);
            while endpoint.poll_event().is_some() {}
            if rng.u8(..) == 0 {
                endpoint.read(key);
            }
        }
        endpoint.close(now, key);
        for _ in 0..200 {
            let _ = drain(&mut endpoint, now);
            let next = endpoint.poll_timeout();
            if next == Time::NEVER {
                break;
            }
            now = now.max(next);
            endpoint.handle_timeout(now);
        }
        assert_eq!(endpoint.connections(), 0, "seed {seed}");
    }
}

#[test]
fn there_are_no_more_connections_than_allowed() {
    let config = Config { max_accepted: 3, ..Config::default() };
    let mut endpoint = Endpoint::new(config, 4);
    let now = Time::from_secs(1);
    for port in 1..10 {
        let from = SocketAddr::from(([192, 0, 2, 9], port));
        endpoint.handle_datagram(now, from, &syn(40));
        let Some((_, answer)) = drain(&mut endpoint, now).pop() else { continue };
        let ours = u16::from_be_bytes([answer[16], answer[17]]);
        let first = Header {
            kind: Kind::Data,
            connection: 41,
            timestamp: 9,
            difference: 0,
            window: 0,
            sequence: 2,
            acknowledged: ours.wrapping_sub(1),
        };
        endpoint.handle_datagram(now, from, &datagram(first, &[], b"hello"));
    }
    assert_eq!(endpoint.connections(), 3);
}
