//! Whole connections over lines that lose, delay, reorder, double and cut, in virtual time.
//!
//! The lines and the two ends are in `network`; here are the rules.

mod hostile;
mod network;

use crate::{CloseReason, Config, Read};
use network::{Line, Network};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);
const MIB: usize = 1024 * 1024;

#[test]
fn a_stream_arrives_whole_whatever_the_line_does() {
    for seed in 0..60 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut line = || Line {
            delay: MS * rng.u32(0..80),
            rate: (rng.bool()).then(|| rng.u64(50_000..5_000_000)),
            queue: rng.usize(10_000..300_000),
            loss: [0.0, 0.01, 0.1][rng.usize(0..3)],
            doubled: [0.0, 0.02][rng.usize(0..2)],
            jitter: MS * [0, 0, 30][rng.usize(0..3)],
            longest: rng.usize(1_200..1_600),
        };
        let (there, back) = (line(), line());
        // Three first packets may be lost one after the other.
        let config = Config { connect_timeout: Duration::from_secs(60), ..Config::default() };
        let mut network = Network::new(seed, config, there, back);
        network.connect();
        network.ends[0].to_send = 300_000;
        network.ends[1].to_send = 100_000;
        network.run(Duration::from_secs(600));
        let got = [network.ends[0].received, network.ends[1].received];
        assert_eq!(got, [100_000, 300_000], "seed {seed}: {there:?} {back:?}");
        network.close();
        network.run(Duration::from_secs(60));
        let left = network.ends.each_ref().map(|end| end.endpoint.connections());
        assert_eq!(left, [0, 0], "seed {seed}: both sides forget");
    }
}

#[test]
fn a_plain_transfer_costs_no_packet_too_many() {
    let line = Line { delay: MS * 20, rate: Some(10_000_000), ..Line::default() };
    let mut network = Network::new(1, Config::default(), line, line);
    network.connect();
    network.ends[0].to_send = 10 * MIB;
    network.run(Duration::from_secs(60));
    let (sender, receiver) = (network.ends[0].endpoint.counters(), network.ends[1].endpoint.counters());
    assert_eq!(network.ends[1].received, 10 * MIB);
    // 1,452 bytes of payload from the second round trip on: one more byte a packet would be too long.
    let least = (10 * MIB / 1_452) as u64;
    assert!((least..least + 60).contains(&sender.datagrams_sent), "{sender:?}");
    assert!(receiver.datagrams_sent <= sender.datagrams_sent / 2 + 30, "{receiver:?}");
    assert_eq!((sender.sent_again, sender.timeouts, network.dropped), (0, 0, 0), "{sender:?}");
}

#[test]
fn a_full_line_is_shared_with_a_delay_of_a_tenth_of_a_second() {
    // A line of 1 MB/s that could hold two seconds of packets.
    let line = Line { delay: MS * 20, rate: Some(1_000_000), queue: 2_000_000, ..Line::default() };
    let back = Line { delay: MS * 20, ..Line::default() };
    let mut network = Network::new(1, Config::default(), line, back);
    network.connect();
    network.ends[0].to_send = 30 * MIB;
    network.run(Duration::from_secs(10));
    let before = (network.now, network.ends[1].received);
    network.longest_wait = Duration::ZERO;
    network.run(Duration::from_secs(10));
    let seconds = network.now.since(before.0).as_secs_f64();
    let rate = (network.ends[1].received - before.1) as f64 / seconds;
    assert!(rate > 950_000.0, "{rate}");
    // What is on its way when the target is passed comes on top.
    assert!(network.longest_wait < MS * 150, "{:?}", network.longest_wait);
    assert_eq!(network.dropped, 0);
}

#[test]
fn clocks_that_differ_and_drift_do_not_matter() {
    for (offset, drift) in
        [(0u64, 0i64), (u64::from(u32::MAX) - 3_000_000, 0), (7_777_777, 100), (1 << 40, -100)]
    {
        let line = Line { delay: MS * 20, rate: Some(1_000_000), queue: 2_000_000, ..Line::default() };
        let back = Line { delay: MS * 20, ..Line::default() };
        let mut network = Network::new(1, Config::default(), line, back);
        network.ends[1].clock = (offset, drift);
        network.connect();
        network.ends[0].to_send = 60 * MIB;
        network.run(Duration::from_secs(20));
        network.longest_wait = Duration::ZERO;
        network.run(Duration::from_secs(20));
        assert!(network.ends[1].received > 34_000_000, "{offset} {drift}: {}", network.ends[1].received);
        assert!(network.longest_wait < MS * 150, "{offset} {drift}: {:?}", network.longest_wait);
    }
}

#[test]
fn losses_are_repaired_without_a_timeout() {
    let line = Line { delay: MS * 20, rate: Some(5_000_000), loss: 0.01, ..Line::default() };
    let back = Line { delay: MS * 20, loss: 0.01, ..Line::default() };
    let mut network = Network::new(5, Config::default(), line, back);
    network.connect();
    network.ends[0].to_send = 5 * MIB;
    network.run(Duration::from_secs(120));
    let sender = network.ends[0].endpoint.counters();
    assert_eq!(network.ends[1].received, 5 * MIB);
    assert!(sender.sent_again <= 2 * network.lost, "{sender:?} {}", network.lost);
    assert_eq!(sender.timeouts, sender.timeouts.min(2), "{sender:?}");
}

#[test]
fn a_line_for_short_packets_only_is_found_out_and_nothing_is_lost_to_it() {
    for (longest, found) in [(1_472, 1_472), (1_464, 1_464), (1_400, 1_392), (1_300, 1_200)] {
        let line = Line { delay: MS * 20, rate: Some(5_000_000), longest, ..Line::default() };
        let mut network = Network::new(5, Config::default(), line, line);
        network.connect();
        network.ends[0].to_send = 3 * MIB;
        network.run(Duration::from_secs(60));
        let sender = network.ends[0].endpoint.counters();
        assert_eq!((network.ends[1].received, network.longest_arrived), (3 * MIB, found));
        assert!(sender.sent_again <= 9 && sender.timeouts == 0, "{longest}: {sender:?}");
    }
}

#[test]
fn a_reader_that_stops_stops_the_writer_and_costs_a_window_at_most() {
    let line = Line { delay: MS * 5, ..Line::default() };
    let config = Config { receive_window: 200_000, ..Config::default() };
    let mut network = Network::new(9, config, line, line);
    network.connect();
    network.ends[0].to_send = MIB;
    network.ends[1].reads = false;
    network.run(Duration::from_secs(120));
    let taken = network.ends[1].endpoint.counters().bytes_received;
    assert!((190_000..=202_000).contains(&taken), "{taken}");
    network.ends[1].reads = true;
    network.run(Duration::from_secs(60));
    assert_eq!(network.ends[1].received, MIB);
}

#[test]
fn a_remote_that_vanishes_is_given_up_within_two_minutes() {
    let line = Line { delay: MS * 5, ..Line::default() };
    let mut network = Network::new(9, Config::default(), line, line);
    network.connect();
    network.lines = [Line { loss: 1.0, ..line }; 2];
    network.ends[0].to_send = 10;
    network.run(Duration::from_secs(120));
    let key = network.ends[0].key.unwrap();
    assert_eq!(network.ends[0].endpoint.read(key), Read::Over(CloseReason::TimedOut));
}

#[test]
fn nobody_there_is_told_as_such() {
    let line = Line { loss: 1.0, ..Line::default() };
    let mut network = Network::new(9, Config::default(), line, line);
    network.connect();
    let key = network.ends[0].key.unwrap();
    assert_eq!(network.ends[0].endpoint.read(key), Read::Over(CloseReason::NoAnswer));
    assert_eq!(network.ends[0].endpoint.counters().datagrams_sent, 4);
}

#[test]
fn an_endpoint_that_started_anew_resets_what_it_does_not_know() {
    let line = Line { delay: MS * 5, ..Line::default() };
    let mut network = Network::new(9, Config::default(), line, line);
    network.connect();
    network.ends[1].endpoint = crate::Endpoint::new(Config::default(), 77);
    network.ends[0].to_send = 10;
    network.run(Duration::from_secs(5));
    let key = network.ends[0].key.unwrap();
    assert_eq!(network.ends[0].endpoint.read(key), Read::Over(CloseReason::Reset));
}

#[test]
fn a_quiet_connection_keeps_translators_of_addresses_awake() {
    let line = Line { delay: MS * 5, ..Line::default() };
    let mut network = Network::new(9, Config::default(), line, line);
    network.connect();
    network.run(Duration::from_secs(5));
    let before = network.ends[0].endpoint.counters().datagrams_sent;
    network.run(Duration::from_secs(290));
    let sent = network.ends[0].endpoint.counters().datagrams_sent - before;
    assert!((9..=11).contains(&sent), "{sent}");
}

#[test]
fn last_bytes_arrive_after_closing() {
    let line = Line { delay: MS * 50, loss: 0.05, ..Line::default() };
    for seed in 0..20 {
        let mut network = Network::new(seed, Config::default(), line, line);
        network.connect();
        network.ends[0].to_send = 20_000;
        network.exchange();
        network.close_one(0);
        network.run(Duration::from_secs(60));
        assert_eq!(
            (network.ends[1].received, network.ends[1].over),
            (20_000, Some(CloseReason::Ended)),
            "{seed}"
        );
    }
}
