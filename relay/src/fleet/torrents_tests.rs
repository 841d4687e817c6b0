//! Rules of hearing of many torrents at once.

use super::*;

fn hash(number: u16) -> InfoHash {
    let [high, low] = number.to_be_bytes();
    let mut bytes = [0; 20];
    (bytes[0], bytes[1]) = (high, low);
    InfoHash(bytes)
}

#[test]
fn a_process_that_missed_thousands_of_torrents_asks_for_few_at_a_time_and_holds_few_bytes() {
    let (told, mut received) = mpsc::unbounded_channel();
    let waiting = Arc::new((AtomicUsize::new(0), AtomicUsize::new(0)));
    let mut torrents = Torrents { told, waiting, wanted: HashMap::new(), asked: HashMap::new() };
    let (mate, mut now) = (ProcessId(1), Instant::now());
    for number in 0..3_000 {
        torrents.want(mate, hash(number));
    }
    let first = torrents.next(now);
    assert_eq!(first[&mate].len(), AT_ONCE);
    assert!(torrents.next(now).is_empty(), "not before these are here");
    // None answers: it goes on with others.
    now += PATIENCE;
    assert_eq!(torrents.next(now)[&mate].len(), AT_ONCE);

    // The disk takes nothing, and mates tell of more and more.
    let large = || Box::new(Planted { torrent: Some(vec![0; 500_000]), ..Planted::default() });
    for number in 0..1_000 {
        torrents.take(mate, hash(number), large());
    }
    assert!(torrents.waiting.1.load(Ordering::Relaxed) <= HELD);
    let held = torrents.waiting.0.load(Ordering::Relaxed);
    assert!(held < 70, "{held}");
    assert!(torrents.next(now).is_empty(), "and nothing more is asked for");
    let mut written = 0;
    while let Ok((_, _, cost)) = received.try_recv() {
        written += 1;
        torrents.waiting.0.fetch_sub(1, Ordering::Relaxed);
        torrents.waiting.1.fetch_sub(cost, Ordering::Relaxed);
    }
    assert_eq!(written, held);
    now += PATIENCE;
    assert!(!torrents.next(now).is_empty(), "what was passed over is asked for again");
    torrents.gone(mate);
    assert!(torrents.next(now + PATIENCE).is_empty());
}
