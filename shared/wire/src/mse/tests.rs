//! Two machines against each other, vectors, and strangers' bytes.

use super::exchange::{KEY_LEN, public_key, terms};
use super::*;
use fastrand::Rng;

const TORRENT: InfoHash = InfoHash([7; 20]);

/// Bytes on their way, cut into pieces of any length.
fn cut(rng: &mut Rng, mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut pieces = Vec::new();
    while !bytes.is_empty() {
        let (piece, rest) = bytes.split_at(rng.usize(1..=bytes.len().min(200)));
        pieces.push(piece.to_vec());
        bytes = rest;
    }
    pieces
}

fn noise(rng: &mut Rng, length: usize) -> Vec<u8> {
    std::iter::repeat_with(|| rng.u8(..)).take(length).collect()
}

fn hex(text: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(digit).collect()
}

/// Lets a dialler and an acceptor talk, in pieces, until both are done.
fn talk(rng: &mut Rng, dialler: &mut Dialler, acceptor: &mut Acceptor) -> (Agreed, Agreed) {
    let (mut dialled, mut accepted) = (None, None);
    while dialled.is_none() || accepted.is_none() {
        for piece in cut(rng, &dialler.take_output()) {
            let mut step = acceptor.receive(&piece).unwrap();
            if let Step::Find(asked) = step {
                assert_eq!(asked, hidden(TORRENT));
                step = acceptor.found(TORRENT).unwrap();
            }
            if let Step::Done(agreed) = step {
                accepted = Some(agreed);
            }
        }
        for piece in cut(rng, &acceptor.take_output()) {
            if let Step::Done(agreed) = dialler.receive(&piece).unwrap() {
                dialled = Some(agreed);
            }
        }
    }
    (dialled.unwrap(), accepted.unwrap())
}

#[test]
fn the_cipher_is_rc4_from_byte_1024_on() {
    // RFC 6229, section 2, the stream of each key from offset 1,024 on.
    for (key, stream) in [
        ("0102030405", "30abbcc7c20b01609f23ee2d5f6bb7df"),
        ("0102030405060708090a0b0c0d0e0f10", "bdf0324e6083dcc6d3cedd3ca8c53c16"),
    ] {
        let mut bytes = [0; 16];
        Rc4::new(&hex(key)).apply(&mut bytes);
        assert_eq!(bytes.as_slice(), hex(stream), "{key}");
    }
}

#[test]
fn a_handshake_is_the_bytes_that_another_program_computed() {
    // Computed by a few lines of Python from Azureus' document; PROTOCOL.md shows the same.
    let mut dialler = Dialler::new(TORRENT, [0x0a; SECRET_LEN], &[]);
    let mut acceptor = Acceptor::new([0x0b; SECRET_LEN], &[]);
    let ya = dialler.take_output();
    assert_eq!(
        ya,
        hex(
            "b80fc39324c9f9b9bc7e55f2e30b240e6224c18821c0be4b7c94d7dc46718fbae72d32582cb36c099edbd0a25d23f442\
             cc47293f70f76552963d76591e8799c1515cfbdfa936e5a3da57eb6b0cf2ad0c406f26e67a5be4606bc62020f9f4b545"
        )
    );
    assert!(matches!(acceptor.receive(&ya), Ok(Step::Wait)));
    let yb = acceptor.take_output();
    assert_eq!(
        yb,
        hex(
            "44aa31949a89d9d640b07a25e73dca43c420fa3953f81024b7e4677edae2bfc36b1595f6b0b87fbd95af2d5e8a989d8b\
             8589a18286f9545f3d3bb2e2542a766c671129ad95aa2b806d243442c3adcde8dbe7b887298c61e6d5407b31f22c12cb"
        )
    );
    assert!(matches!(dialler.receive(&yb), Ok(Step::Wait)));
    let third = dialler.take_output();
    assert_eq!(
        third,
        hex(
            "b2cb15074ffdaa3d65e851cdc767e7847a679a746d84c530c6af760d4094a38bda74d5708d89de9722d104dee1244d46\
             2b38be7b18dcd725"
        )
    );
    assert!(matches!(acceptor.receive(&third), Ok(Step::Find(asked)) if asked == hidden(TORRENT)));
    let Ok(Step::Done(agreed)) = acceptor.found(TORRENT) else { panic!("not done") };
    assert_eq!(agreed.info_hash, TORRENT);
    assert!(agreed.ciphers.is_none() && agreed.early.is_empty());
    let fourth = acceptor.take_output();
    assert_eq!(fourth, hex("f293206daf4634b77b218f40b293"));
    let other = Other { exponent: [0x0a; SECRET_LEN], offer: RC4, pad: 0, initial: b"", behind: b"" };
    let (mut answer, mut theirs) = (terms(RC4), other.third(&yb).1);
    theirs.receive.apply(&mut answer);
    assert_eq!(answer, hex("f293206daf4634b77b218f43b293"));
    assert!(matches!(dialler.receive(&fourth), Ok(Step::Done(_))));
}

#[test]
fn both_sides_agree_however_their_bytes_are_cut_and_padded() {
    for seed in 0..200 {
        let mut rng = Rng::with_seed(seed);
        let lengths = match seed {
            0 => [0, 0],
            1 => [MAX_PAD, MAX_PAD],
            _ => [rng.usize(0..=MAX_PAD), rng.usize(0..=MAX_PAD)],
        };
        let [pad_a, pad_b] = lengths.map(|length| noise(&mut rng, length));
        let [x_a, x_b] = [(); 2].map(|()| std::array::from_fn(|_| rng.u8(..)));
        let mut dialler = Dialler::new(TORRENT, x_a, &pad_a);
        let mut acceptor = Acceptor::new(x_b, &pad_b);
        let (dialled, accepted) = talk(&mut rng, &mut dialler, &mut acceptor);
        assert!(dialled.ciphers.is_none() && accepted.ciphers.is_none(), "the cheaper method, seed {seed}");
        assert_eq!((dialled.info_hash, accepted.info_hash), (TORRENT, TORRENT));
        assert!(dialled.early.is_empty() && accepted.early.is_empty());
    }
}

/// A dialler as other clients are: it offers what it likes, pads its third message, and sends a first payload with it.
struct Other {
    exponent: [u8; SECRET_LEN],
    offer: u32,
    pad: usize,
    initial: &'static [u8],
    /// What follows at once, before the acceptor's answer.
    behind: &'static [u8],
}

impl Other {
    /// The third message, and this side's ciphers.
    fn third(&self, their_key: &[u8]) -> (Vec<u8>, Ciphers) {
        let secret = exchange::Secret::agree(&self.exponent, &their_key[..KEY_LEN]);
        let mut ciphers = secret.ciphers(TORRENT, exchange::Side::Dialler);
        let mut bytes = Vec::from(secret.req1());
        bytes.extend(secret.cover(hidden(TORRENT)));
        let mut rest = terms(self.offer);
        rest.truncate(VC.len() + 4);
        rest.extend(u16::try_from(self.pad).unwrap().to_be_bytes());
        rest.extend(vec![0; self.pad]);
        rest.extend(u16::try_from(self.initial.len()).unwrap().to_be_bytes());
        rest.extend(self.initial);
        if self.offer & PLAIN == 0 {
            rest.extend(self.behind);
        }
        ciphers.send.apply(&mut rest);
        bytes.extend(rest);
        if self.offer & PLAIN != 0 {
            bytes.extend(self.behind);
        }
        (bytes, ciphers)
    }

    /// What the acceptor makes of it, and what it sends back.
    fn meet(&self, rng: &mut Rng) -> (Result<Step, Refusal>, Vec<u8>, Ciphers) {
        let mut acceptor = Acceptor::new([3; SECRET_LEN], &noise(rng, 100));
        acceptor.receive(&public_key(&self.exponent)).unwrap();
        let (third, ciphers) = self.third(&acceptor.take_output());
        let mut last = Ok(Step::Wait);
        for piece in cut(rng, &third) {
            last = acceptor.receive(&piece);
            if let Ok(Step::Find(_)) = last {
                last = acceptor.found(TORRENT);
            }
            if !matches!(last, Ok(Step::Wait)) {
                // What comes later is the stream itself.
                break;
            }
        }
        (last, acceptor.take_output(), ciphers)
    }
}

#[test]
fn a_first_payload_and_what_follows_are_read_whatever_is_selected() {
    for (offer, encrypted) in [(PLAIN, false), (RC4, true), (PLAIN | RC4, false), (RC4 | 0xf0, true)] {
        for seed in 0..50 {
            let mut rng = Rng::with_seed(seed);
            let other = Other {
                exponent: [9; SECRET_LEN],
                offer,
                pad: rng.usize(0..=MAX_PAD),
                initial: b"the first",
                behind: b"",
            };
            let (step, answer, mut theirs) = other.meet(&mut rng);
            let Ok(Step::Done(agreed)) = step else { panic!("not done: {step:?}") };
            assert_eq!(agreed.early, b"the first");
            assert_eq!(agreed.ciphers.is_some(), encrypted);
            let mut answer = answer[answer.len().saturating_sub(14)..].to_vec();
            theirs.receive.apply(&mut answer);
            assert_eq!(answer, terms(if encrypted { RC4 } else { PLAIN }));
            if let Some(mut ours) = agreed.ciphers {
                let mut bytes = *b"hello";
                ours.send.apply(&mut bytes);
                theirs.receive.apply(&mut bytes);
                assert_eq!(&bytes, b"hello", "from here on both streams run alike");
                theirs.send.apply(&mut bytes);
                ours.receive.apply(&mut bytes);
                assert_eq!(&bytes, b"hello");
            }
        }
    }
}

#[test]
fn bytes_behind_the_handshake_are_the_streams_first() {
    for offer in [PLAIN, RC4] {
        let other = Other { exponent: [9; SECRET_LEN], offer, pad: 5, initial: b"one ", behind: b"and two" };
        let mut acceptor = Acceptor::new([3; SECRET_LEN], &[]);
        acceptor.receive(&public_key(&other.exponent)).unwrap();
        let (third, _) = other.third(&acceptor.take_output());
        assert!(matches!(acceptor.receive(&third), Ok(Step::Find(_))));
        let Ok(Step::Done(agreed)) = acceptor.found(TORRENT) else { panic!("not done") };
        assert_eq!(agreed.early, b"one and two");
    }
}

#[test]
fn a_peer_that_offers_nothing_that_we_know_or_too_much_is_refused() {
    let rng = &mut Rng::with_seed(1);
    let other = Other { exponent: [9; SECRET_LEN], offer: RC4, pad: 0, initial: b"", behind: b"" };
    let refusal = |other: Other, rng: &mut Rng| other.meet(rng).0.unwrap_err();
    assert_eq!(refusal(Other { offer: 0x10, ..other }, rng), Refusal::NoMethod(0x10));
    assert_eq!(refusal(Other { pad: MAX_PAD + 1, ..other }, rng), Refusal::LongPad(513));
    static LONG: [u8; MAX_INITIAL + 1] = [0; MAX_INITIAL + 1];
    assert_eq!(refusal(Other { initial: &LONG, ..other }, rng), Refusal::LongInitial(8193));
}

#[test]
fn who_means_another_torrent_is_refused() {
    let mut dialler = Dialler::new(InfoHash([8; 20]), [1; SECRET_LEN], &[]);
    let mut acceptor = Acceptor::new([2; SECRET_LEN], &[]);
    acceptor.receive(&dialler.take_output()).unwrap();
    dialler.receive(&acceptor.take_output()).unwrap();
    let Ok(Step::Find(asked)) = acceptor.receive(&dialler.take_output()) else { panic!("not asked") };
    assert_ne!(asked, hidden(TORRENT));
    assert_eq!(acceptor.found(TORRENT).unwrap_err(), Refusal::Unverified);
}

#[test]
fn noise_is_refused_after_at_most_the_longest_padding() {
    for seed in 0..100 {
        let mut rng = Rng::with_seed(seed);
        let mut dialler = Dialler::new(TORRENT, [1; SECRET_LEN], &[]);
        let mut acceptor = Acceptor::new([2; SECRET_LEN], &[]);
        let bytes = noise(&mut rng, 96 + MAX_PAD + 20);
        let (mut heard, mut refused) = ([0, 0], [false, false]);
        for piece in cut(&mut rng, &bytes) {
            let results = [dialler.receive(&piece), acceptor.receive(&piece)];
            for (side, result) in results.into_iter().enumerate() {
                refused[side] |= matches!(result, Err(Refusal::NoSync));
                heard[side] += if refused[side] { 0 } else { piece.len() };
            }
        }
        assert!(heard[0] < 96 + MAX_PAD + 8 && heard[1] < bytes.len(), "{heard:?}, seed {seed}");
    }
}

#[test]
fn degenerate_keys_make_no_machine_stumble() {
    for key in [[0; KEY_LEN], [0xff; KEY_LEN], exchange_one()] {
        let mut dialler = Dialler::new(TORRENT, [1; SECRET_LEN], &[]);
        let mut acceptor = Acceptor::new([0; SECRET_LEN], &[]);
        assert!(matches!(dialler.receive(&key), Ok(Step::Wait)));
        assert!(matches!(acceptor.receive(&key), Ok(Step::Wait)));
    }
}

fn exchange_one() -> [u8; KEY_LEN] {
    let mut one = [0; KEY_LEN];
    one[KEY_LEN - 1] = 1;
    one
}

#[test]
fn the_first_bytes_tell_what_a_connection_is() {
    assert_eq!(beginning(b""), Beginning::Unclear);
    assert_eq!(beginning(b"\x13BitTorrent pro"), Beginning::Unclear);
    assert_eq!(beginning(b"\x13BitTorrent protocol"), Beginning::Plain);
    assert_eq!(beginning(b"\x13BitTorrent protocol and more"), Beginning::Plain);
    assert_eq!(beginning(b"\x13BitTorrent Protocol"), Beginning::Mse);
    assert_eq!(beginning(b"GET / HTTP/1.1\r\n"), Beginning::Mse);
}
