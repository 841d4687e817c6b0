//! Rules of the bencode reader and writer.
//!
//! Fatal and soft faults are those that the best loaders of the field agree on.

use super::*;

fn fails(bytes: &[u8]) -> BencodeError {
    parse(bytes, Limits::MESSAGE).expect_err("must be refused")
}

#[test]
fn every_kind_is_read_with_its_raw_span() {
    let bytes = b"d3:fooi-42e4:listl1:a0:e5:outerd1:xi1eee";
    let parsed = parse(bytes, Limits::MESSAGE).unwrap();
    let root = parsed.root();
    assert_eq!(root.raw(), bytes);
    assert_eq!(root.get(b"foo").unwrap().as_int(), Some(-42));
    assert_eq!(root.get(b"list").unwrap().raw(), b"l1:a0:e");
    let items: Vec<_> = root.get(b"list").unwrap().items().map(|item| item.as_bytes().unwrap()).collect();
    assert_eq!(items, [&b"a"[..], b""]);
    assert_eq!(root.get(b"outer").unwrap().get(b"x").unwrap().as_uint(), Some(1));
    assert!(root.get(b"x").is_none() && parsed.faults().none());
}

#[test]
fn fatal_faults_are_refused() {
    use BencodeError::*;
    assert_eq!(fails(b"i-e"), BadInteger(0));
    assert_eq!(fails(b"ie"), BadInteger(0));
    assert_eq!(fails(b"i1-2e"), BadInteger(0));
    assert_eq!(fails(b"i--1e"), BadInteger(0));
    assert_eq!(fails(b"18446744073709551615:a"), BadLength(0));
    assert_eq!(fails(b"18446744073709551616:a"), BadLength(0));
    assert_eq!(fails(b"4294967295:a"), Truncated);
    assert_eq!(fails(b"3a:foo"), BadLength(0));
    assert_eq!(fails(b"e"), UnexpectedByte(0));
    assert_eq!(fails(b"x"), UnexpectedByte(0));
    assert_eq!(fails(b"-1:a"), UnexpectedByte(0));
    assert_eq!(fails(b"di1ei2ee"), KeyNotString(1));
    assert_eq!(fails(b"d1:ae"), MissingValue(4));
    assert_eq!(fails(b"i1eX"), Trailing(3));
    for cut in [&b""[..], b"i", b"i1", b"i-", b"5:four", b"5", b"l", b"d", b"d1:a", b"l1:a"] {
        assert_eq!(fails(cut), Truncated, "{cut:?}");
    }
}

#[test]
fn soft_faults_are_kept_and_flagged() {
    let faults = |bytes: &[u8]| parse(bytes, Limits::MESSAGE).unwrap().faults();
    assert_eq!(faults(b"d1:bi1e1:ai2ee"), Faults { unordered_keys: true, ..Faults::default() });
    assert_eq!(faults(b"d1:ai1e1:ai2ee"), Faults { duplicate_keys: true, ..Faults::default() });
    for bytes in [&b"i01e"[..], b"i-0e", b"i-01e", b"06:foobar"] {
        assert_eq!(faults(bytes), Faults { leading_zeros: true, ..Faults::default() });
    }
    let parsed = parse(b"d1:ai1e1:ai2ee", Limits::MESSAGE).unwrap();
    assert_eq!(parsed.root().get(b"a").unwrap().as_int(), Some(1), "the first of two wins");
    assert!(faults(b"d0:i1e1:ai0ee").none());
}

#[test]
fn an_integer_beyond_64_bits_is_no_integer_but_no_fault() {
    let parsed = parse(b"i9223372036854775808e", Limits::MESSAGE).unwrap();
    assert_eq!((parsed.root().kind(), parsed.root().as_int()), (Kind::Integer, None));
    let parsed = parse(b"i-9223372036854775808e", Limits::MESSAGE).unwrap();
    assert_eq!(parsed.root().as_int(), Some(i64::MIN));
}

#[test]
fn limits_come_first() {
    let limits = Limits { bytes: 1_000, depth: 3, tokens: 5 };
    assert!(parse(b"lllee", limits).is_err());
    assert_eq!(parse(b"lllleeee", limits).unwrap_err(), BencodeError::TooDeep(3));
    assert!(parse(b"llleee", limits).is_ok());
    assert_eq!(parse(b"l0:0:0:0:0:e", limits).unwrap_err(), BencodeError::TooManyTokens(9));
    assert_eq!(parse(&[b'l'; 1_001], limits).unwrap_err(), BencodeError::TooLong(1_000));
    let deep = vec![b'l'; 1_000_000];
    assert_eq!(parse(&deep, Limits::TORRENT).unwrap_err(), BencodeError::TooDeep(100));
}

#[test]
fn white_space_may_follow_the_value() {
    assert!(parse(b"i1e \r\n\t", Limits::MESSAGE).is_ok());
    assert_eq!(parse_prefix(b"i1eDATA", Limits::MESSAGE).unwrap().rest(), b"DATA");
}

#[test]
fn the_writer_sorts_keys_and_copies_raw_bytes() {
    let item = Item::dict([
        ("spam", Item::list(["a", "b"])),
        ("cow", Item::from("moo")),
        ("n", Item::from(-3i64)),
        ("info", Item::Raw(b"d1:bi1e1:ai2ee".to_vec())),
    ]);
    assert_eq!(item.to_bytes(), b"d3:cow3:moo4:infod1:bi1e1:ai2ee1:ni-3e4:spaml1:a1:bee");
}
