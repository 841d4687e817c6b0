//! TLS by the program itself: with given certificates, which are read again when they change, and with those of an authority
//! (ACME). And whose request it is behind a proxy.
//!
//! Certificates are signed by the tests' own authority, or by Pebble.

use anatomic_tests::certificates::Authority;
use anatomic_tests::pebble::Pebble;
use anatomic_tests::prelude::*;
use anatomic_tests::programs;
use std::path::Path;

async fn curl(ca: &Path, out: &Path, url: &str) {
    let mut command = tokio::process::Command::new(programs::on_path(&["curl"]));
    command
        .args(["--silent", "--show-error", "--fail", "--cacert"])
        .arg(ca)
        .arg("--output")
        .arg(out)
        .arg(url);
    let ended = command.output().await.expect("curl runs");
    assert!(ended.status.success(), "curl {url}: {}", String::from_utf8_lossy(&ended.stderr));
}

/// The certificate that a server shows, in DER.
async fn shown(client: &reqwest::Client, url: &str) -> Option<Vec<u8>> {
    let answer = client.get(url).send().await.ok()?;
    let info = answer.extensions().get::<reqwest::tls::TlsInfo>()?;
    info.peer_certificate().map(<[u8]>::to_vec)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tab_curl_and_aria2_are_served_over_tls() {
    scene::run(async |s| {
        let authority = Authority::new(s.dir());
        let signed = authority.sign("node", &["127.0.0.1", "localhost"]);
        let (certificate, key) = (signed.certificate.display().to_string(), signed.key.display().to_string());
        let options = ["--no-demo", "--tls-cert", &certificate, "--tls-key", &key];
        let node = Anatomic::start_in(s, "up", "up", &options, &authority.env()).await;
        assert!(node.url().starts_with("https://127.0.0.1:"), "{}", node.url());

        let digest = content::file(&s.path("tls.bin"), 91, 2 * MIB);
        let flag = format!("--ignore-certificate-errors-spki-list={}", signed.spki);
        let browser = Browser::launch_with(s, "browser", &[&flag]).await;
        let page = Page::open(s, &browser, &node.url()).await;
        page.give(&[&s.path("tls.bin")]).await;
        let planted = page.wait_planted(SHORT).await;
        assert!(planted.link.starts_with("https://"), "{}", planted.link);

        let file = s.path("planted.torrent");
        let url = format!("{}api/v1/torrents/{}.torrent", node.url(), planted.info_hash);
        curl(&authority.file(), &file, &url).await;
        let dir = s.folder("aria2");
        let ca = format!("--ca-certificate={}", authority.file().display());
        let mut aria2 = aria2::start(s, "aria2", &file.display().to_string(), &dir, &[&ca]);
        let status = aria2.wait(TRANSFER).await;
        assert!(status.success(), "aria2: {status}\n{}", aria2.log().tail());
        assert_eq!(content::sha256(&dir.join("tls.bin")), digest);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renewed_certificate_is_shown_without_a_restart_and_a_broken_one_is_not() {
    scene::run(async |s| {
        let authority = Authority::new(s.dir());
        let signed = authority.sign("node", &["127.0.0.1"]);
        let (certificate, key) = (signed.certificate.display().to_string(), signed.key.display().to_string());
        let options = ["--tls-cert", &certificate, "--tls-key", &key];
        let node = Anatomic::start_in(s, "supernode", "supernode", &options, &authority.env()).await;
        let health = format!("{}healthz", node.url());
        let ask = async || shown(&web::client_with(authority.pem(), &[]), &health).await;
        let first = ask().await.expect("a certificate");
        std::fs::write(&signed.certificate, "broken").expect("a file");
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(ask().await.as_ref(), Some(&first), "the old one is shown on");
        let _ = authority.sign("node", &["127.0.0.1"]);
        for _ in 0..40 {
            tokio::time::sleep(Duration::from_millis(250)).await;
            if ask().await.is_some_and(|now| now != first) {
                return;
            }
        }
        panic!("the new certificate is not shown within ten seconds");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_authority_gives_a_certificate_which_is_kept_over_a_restart() {
    scene::run(async |s| {
        let authority = Authority::new(s.dir());
        let port = ports::free();
        let pebble = Pebble::start(s, &authority, port).await;
        let name = "node.anatomic.test";
        let listen = format!("127.0.0.1:{port}");
        let args = [
            "supernode",
            "--json",
            "--data",
            &s.folder("acme.data").display().to_string(),
            "--listen",
            &listen,
            "--acme",
            name,
            "--acme-email",
            "host@anatomic.test",
            "--acme-directory",
            pebble.directory(),
        ]
        .map(str::to_owned);
        let health = format!("https://{name}:{port}/healthz");
        let start = |label: &str| anatomic::start_in(s, label, &args, &authority.env());
        let mut process = start("acme");
        let ready = process
            .line_where("its first line", SHORT, |line| serde_json::from_str::<Value>(line).ok())
            .await;
        assert_eq!(ready["http"], format!("https://{name}:{port}/"));
        let root = pebble.root(&authority).await;
        let ask = async || {
            let client = web::client_with(&root, &[(name, listen.parse().expect("an address"))]);
            shown(&client, &health).await
        };
        let mut first = None;
        for _ in 0..120 {
            first = ask().await;
            if first.is_some() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        let first =
            first.unwrap_or_else(|| panic!("no certificate in half a minute\n{}", process.log().tail()));
        process.kill().await;
        let mut process = start("acme-again");
        let _ = process
            .line_where("its first line", SHORT, |line| serde_json::from_str::<Value>(line).ok())
            .await;
        assert_eq!(ask().await, Some(first), "no second one is asked for");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forwarded_address_is_believed_of_configured_proxies_only() {
    scene::run(async |s| {
        for (name, options, seen) in [
            ("strangers", &["--no-demo", "--open-bridge"][..], [127, 0, 0, 1]),
            ("proxied", &["--no-demo", "--open-bridge", "--proxy", "127.0.0.0/8"][..], [203, 0, 113, 9]),
        ] {
            let node = Anatomic::start(s, name, "up", options).await;
            let raw = "%11".repeat(20);
            let url =
                format!("{}?info_hash={raw}&peer_id=-XX0001-abcdefghijkl&port=7000&left=0", node.announce());
            let answer = web::client().get(&url).header("x-forwarded-for", "203.0.113.9").send().await;
            let body = answer.expect("an answer").bytes().await.expect("bytes");
            let mut wanted = b"11:external ip4:".to_vec();
            wanted.extend(seen);
            let found = body.windows(wanted.len()).any(|window| window == wanted);
            assert!(found, "{name}: {}", String::from_utf8_lossy(&body));
        }
    })
    .await;
}
