//! What bad input gets: a clear reason, and nothing else is harmed.
//!
//! Parsers are tested byte by byte beside their code; here whole programs are given rubbish.

use anatomic_tests::prelude::*;
use tokio::io::AsyncWriteExt as _;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inspect_gives_one_line_of_reason_and_exit_code_one() {
    scene::run(async |s| {
        let home = s.folder("content");
        content::file(&home.join("x.bin"), 111, 100_000);
        let good = torrent::make(&home.join("x.bin"), &s.path("x.torrent"), &["http://127.0.0.1:9/a"], 32);
        let bytes = std::fs::read(&good.path).expect("a torrent");
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let broken: [(&str, Vec<u8>); 8] = [
            ("empty", vec![]),
            ("noise", (0..5000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect()),
            ("cut", bytes[..bytes.len() / 2].to_vec()),
            ("deep", vec![b'l'; 200_000]),
            ("huge-string", b"d4:info99999999999999999999:x".to_vec()),
            ("no-info", b"d8:announce3:abce".to_vec()),
            ("info-is-a-list", b"d4:infolee".to_vec()),
            ("negative-length", text.replace("6:lengthi100000e", "6:lengthi-1000e").into_bytes()),
        ];
        for (name, bytes) in broken {
            let path = s.path(&format!("{name}.torrent"));
            std::fs::write(&path, bytes).expect("a file");
            let path = path.display().to_string();
            let ended = anatomic::run(s, name, &["inspect", &path, "--json"]).await;
            assert_eq!(ended.code, 1, "{name}: {ended:#?}");
            assert_eq!(ended.stderr.trim().lines().count(), 1, "{name}: {ended:#?}");
            assert!(!ended.stderr.contains("panicked"), "{name}: {ended:#?}");
        }
        for text in ["magnet:?dn=nothing", "magnet:?xt=urn:btih:123", "/no/such/file", "hello"] {
            let ended = anatomic::run(s, "words", &["inspect", text]).await;
            assert_eq!(ended.code, 1, "{text}: {ended:#?}");
            assert_eq!(ended.stderr.trim().lines().count(), 1, "{text}: {ended:#?}");
        }
        let usage = anatomic::run(s, "usage", &["inspect", "--no-such-option"]).await;
        assert_eq!(usage.code, 2, "wrong usage: {usage:#?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_outlives_rubbish_on_every_port() {
    scene::run(async |s| {
        let mut node = Anatomic::up(s).await;
        let before = node.process().rss();
        let noise: Vec<u8> =
            (0..200_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();

        // Classic peers' port: noise, a cut handshake, a handshake of an unknown torrent, an endless message.
        let tcp = node.tcp();
        let mut hello = b"\x13BitTorrent protocol\0\0\0\0\0\x10\0\x04".to_vec();
        hello.extend([7; 40]);
        let mut endless = hello.clone();
        endless.extend([0xff, 0xff, 0xff, 0xff]);
        for bytes in [noise.clone(), hello[..30].to_vec(), hello, endless, vec![0; 100_000]] {
            let mut socket = tokio::net::TcpStream::connect(&tcp).await.expect("it listens");
            let _ = socket.write_all(&bytes).await;
        }

        // WebRTC's and STUN's port.
        let udp = node.ready()["udp"].as_str().expect("`udp` in the first line").to_owned();
        let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
        for datagram in noise.chunks(1200) {
            let _ = socket.send_to(datagram, &udp).await;
        }
        for first in 0..=255_u8 {
            let _ = socket.send_to(&[first; 40], &udp).await;
        }

        // HTTP.
        let url = node.url();
        let client = web::client();
        for query in [
            "announce",
            "announce?info_hash=short",
            "announce?info_hash=%zz&peer_id=x",
            "announce?info_hash=aaaaaaaaaaaaaaaaaaaa&peer_id=bbbbbbbbbbbbbbbbbbbb&port=99999&left=-1",
            "scrape?info_hash=%",
            "api/v1/no/such/thing",
            "../../etc/passwd",
            "%2e%2e/%2e%2e/etc/passwd",
        ] {
            let answer = client.get(format!("{url}{query}")).send().await.expect("an answer");
            assert!(!answer.status().is_server_error(), "{query}: {}", answer.status());
            let body = answer.bytes().await.expect("a body");
            assert!(!body.windows(5).any(|part| part == b"root:"), "{query}");
            if query.starts_with("announce") {
                let body = String::from_utf8_lossy(&body);
                assert!(body.contains("failure reason"), "{query}: {body}");
            }
        }
        let mut raw = tokio::net::TcpStream::connect(node.host()).await.expect("it listens");
        let _ = raw.write_all(&noise).await;

        // WebSocket tracker.
        use futures_util::{SinkExt as _, StreamExt as _};
        use tokio_tungstenite::tungstenite::Message;
        let (mut socket, _) = tokio_tungstenite::connect_async(node.websocket()).await.expect("a WebSocket");
        for text in [
            "{",
            "null",
            "[[[[[[",
            "{\"action\":\"zzz\"}",
            "{\"action\":\"announce\"}",
            "{\"action\":\"announce\",\"info_hash\":\"short\",\"peer_id\":\"short\"}",
            "{\"action\":\"announce\",\"info_hash\":\"aaaaaaaaaaaaaaaaaaaa\",\
              \"peer_id\":\"bbbbbbbbbbbbbbbbbbbb\",\"left\":null,\"offers\":[{\"offer\":7}]}",
        ] {
            let _ = socket.send(Message::text(text)).await;
        }
        let answer = tokio::time::timeout(Duration::from_secs(10), socket.next()).await;
        if let Ok(Some(Ok(Message::Text(text)))) = answer {
            assert!(text.contains("failure reason") && text.contains("action"), "{text}");
        } else {
            panic!("a bad message is answered with a reason: {answer:?}");
        }
        let _ = socket.send(Message::binary(noise.repeat(20))).await;

        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(node.process().is_running());
        let page = client.get(&url).send().await.expect("the page");
        assert!(page.status().is_success(), "it still serves");
        let grown = node.process().rss().saturating_sub(before);
        assert!(grown < 64 * MIB, "it grew by {} MiB", grown / MIB);
        let log = node.process().log().tail();
        assert!(!log.contains("panicked"), "{log}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_says_what_is_wrong_and_other_torrents_are_untouched() {
    scene::run(async |s| {
        let node = Anatomic::up(s).await;
        content::file(&s.path("fine.bin"), 112, MIB);
        let browser = Browser::launch(s, "browser").await;
        let page = Page::open(s, &browser, &node.url()).await;
        page.give(&[&s.path("fine.bin")]).await;
        let fine = page.wait_planted(SHORT).await;

        let mut known = page.problems().await;
        for text in ["hello", "magnet:?dn=nothing", "magnet:?xt=urn:btih:zz", "http://127.0.0.1:9/x"] {
            page.add(text).await;
            let told = page.wait_problem(&known, SHORT).await;
            assert!(told.len() > 20, "{text}: {told}");
            known = page.problems().await;
        }
        let bad = s.path("bad.torrent");
        std::fs::write(&bad, b"d4:infod6:lengthi-5e4:name1:x12:piece lengthi0e6:pieces0:ee").expect("a file");
        page.give(&[&bad]).await;
        page.wait_problem(&known, SHORT).await;

        let torrents = page.torrents().await;
        assert_eq!(torrents.len(), 1, "{torrents:?}");
        assert_eq!((torrents[0].state.as_str(), &torrents[0].info_hash), ("seeding", &fine.info_hash));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_torrent_stops_when_storage_is_full_and_resumes_after_space_is_made() {
    scene::run(async |s| {
        let node = Anatomic::up(s).await;
        let home = s.folder("content");
        let digest = content::file(&home.join("q.bin"), 113, 24 * MIB);
        let torrent = torrent::make(&home.join("q.bin"), &s.path("q.torrent"), &[&node.announce()], 128);
        let planted = node.plant(s, &torrent.path, &[]).await;
        let seed = Transmission::start(s, "transmission").await;
        seed.seed(&torrent, &home).await;
        let browser = Browser::launch(s, "browser").await;
        let page = Page::open(s, &browser, &node.url()).await;
        page.tab().set_quota(Some(8 * MIB)).await;
        page.add(planted["link"].as_str().expect("a link")).await;
        let hash = &torrent.info_hash;
        let stopped = page
            .wait("it to stop", TRANSFER, |torrent| torrent.info_hash == *hash && torrent.state == "error")
            .await;
        assert!(stopped.progress < 1.0, "{stopped:?}");
        page.tab().set_quota(None).await;
        page.press(hash, "resume").await;
        page.wait("it to go on", SHORT, |torrent| torrent.info_hash == *hash && torrent.state != "error")
            .await;
        page.wait_complete(hash, TRANSFER).await;
        let (_, saved) = page.save(hash, 0, SHORT).await;
        assert_eq!(content::sha256(&saved), digest);
    })
    .await;
}
