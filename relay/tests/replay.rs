//! Whole conversations of 2005, replayed byte for byte against running programs: an old planter's, an old node's, an old
//! client's and an ordinary client's.
//!
//! What the old programs sent is written down as `httplib` of Python 2.4 and PHP's `fopen` wrote it; what they get is compared
//! byte for byte, but for the date. Single calls and their faults: `classic.rs`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(30);
/// The info-hash of the torrent, as old programs wrote it into a query (`urllib.quote`), and in hexadecimal.
const QUOTED: &str = "%12%34Vx%9A%BC%DE%F1%23Eg%89%AB%CD%EF%124Vx%9A";
const HEX: &str = "123456789abcdef123456789abcdef123456789a";

/// A running program.
struct Running {
    _child: Child,
    /// `127.0.0.1:PORT`
    host: String,
    folder: PathBuf,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Running {
    async fn start(role: &str, name: &str, options: &[&str]) -> Self {
        let folder = std::env::temp_dir().join(format!("anatomic-replay-{}-{name}", std::process::id()));
        let mut command = Command::new(env!("CARGO_BIN_EXE_anatomic"));
        command.args([role, "--json", "--listen", "127.0.0.1:0"]).arg("--data").arg(&folder);
        if role != "supernode" {
            command.args(["--tcp", "127.0.0.1:0", "--udp", "127.0.0.1:0", "--udp-tracker", "off"]);
        }
        command.args(options).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let mut child = command.spawn().expect("the program");
        let mut line = String::new();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        timeout(PATIENCE, out.read_line(&mut line)).await.expect("it is ready").unwrap();
        let ready: serde_json::Value = serde_json::from_str(&line).unwrap();
        let host =
            ready["http"].as_str().unwrap().trim_start_matches("http://").trim_end_matches('/').to_owned();
        Self { _child: child, host, folder }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.host)
    }
}

/// Who asks; each program had its own way of writing a request.
#[derive(Clone, Copy)]
enum Old {
    /// Planter and client: `zurllib` on `httplib` of Python 2.4. The connection stays open; the length says where an answer ends.
    Python,
    /// Node and supernode: PHP 4's `fopen`. HTTP/1.0, and the end of the connection is the end of the answer.
    Php,
    /// An ordinary client of that time: BitTorrent 3.4.2.
    Ordinary,
}

/// Sends `GET path` and returns the whole answer, its date left out.
async fn ask(host: &str, old: Old, path: &str) -> Vec<u8> {
    let mut stream = TcpStream::connect(host).await.unwrap();
    let request = match old {
        Old::Python => format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept-encoding: gzip\r\n\
             User-agent: Anatomic P2P (Main)/0.1 RC1\r\n\r\n"
        ),
        Old::Php => format!("GET {path} HTTP/1.0\r\nHost: {host}\r\nUser-Agent: PHP/4.3.10\r\n\r\n"),
        Old::Ordinary => format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept-Encoding: gzip\r\nUser-Agent: BitTorrent/3.4.2\r\n\r\n"
        ),
    };
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    if matches!(old, Old::Php) {
        timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("the end").unwrap();
    } else {
        let whole = async {
            while !is_whole(&answer) {
                assert_ne!(stream.read_buf(&mut answer).await.unwrap(), 0, "it ended early");
            }
        };
        timeout(PATIENCE, whole).await.expect("a whole answer");
    }
    without_date(&answer)
}

fn head_end(answer: &[u8]) -> Option<usize> {
    answer.windows(4).position(|end| end == b"\r\n\r\n").map(|at| at + 4)
}

fn is_whole(answer: &[u8]) -> bool {
    let Some(end) = head_end(answer) else { return false };
    let head = String::from_utf8_lossy(&answer[..end]);
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
    answer.len() >= end + length.parse::<usize>().unwrap()
}

fn without_date(answer: &[u8]) -> Vec<u8> {
    let end = head_end(answer).expect("a head");
    let head = String::from_utf8(answer[..end].to_vec()).unwrap();
    let kept: String = head.split_inclusive("\r\n").filter(|line| !line.starts_with("date: ")).collect();
    [kept.as_bytes(), &answer[end..]].concat()
}

/// An answer of ours: its headers behind the content type, and its body.
fn answer(kind: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// A bencoded answer.
fn bencoded(body: impl AsRef<[u8]>) -> Vec<u8> {
    answer("text/plain\r\ncache-control: no-store", body)
}

fn plain(body: &str) -> Vec<u8> {
    answer("text/plain", body)
}

fn word(text: &str) -> Vec<u8> {
    bencoded(format!("{}:{text}", text.len()))
}

fn list(texts: &[&str]) -> Vec<u8> {
    let words: String = texts.iter().map(|text| format!("{}:{text}", text.len())).collect();
    bencoded(format!("l{words}e"))
}

/// The same for a program that speaks HTTP/1.0.
fn php(mut answer: Vec<u8>) -> Vec<u8> {
    answer[b"HTTP/1.".len()] = b'0';
    answer
}

fn moved(to: &str) -> Vec<u8> {
    format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n").into_bytes()
}

fn same(asked: &str, got: &[u8], wanted: &[u8]) {
    assert!(
        got == wanted,
        "{asked}\n got    {:?}\n wanted {:?}",
        String::from_utf8_lossy(got),
        String::from_utf8_lossy(wanted)
    );
}

/// A whole conversation: each request, and the answer that it must get.
async fn replay(old: Old, conversation: &[(&str, String, Vec<u8>)]) {
    for (host, path, wanted) in conversation {
        same(path, &ask(host, old, path).await, wanted);
    }
}

/// Asks until the answer is the one that is wanted: what a node plants reaches its supernodes a moment later.
async fn in_time(host: &str, old: Old, path: &str, wanted: &[u8]) {
    for _ in 0..100 {
        if ask(host, old, path).await == wanted {
            return;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    same(path, &ask(host, old, path).await, wanted);
}

/// What a node answers to an announce: counts, and peers in their compact form.
fn announced(complete: u8, incomplete: u8, peers: &[u8]) -> Vec<u8> {
    let mut body = format!("d8:completei{complete}e11:external ip4:").into_bytes();
    body.extend([127, 0, 0, 1]);
    let rest = format!("10:incompletei{incomplete}e8:intervali60e12:min intervali10e5:peers{}:", peers.len());
    body.extend(rest.as_bytes());
    body.extend(peers);
    body.push(b'e');
    bencoded(body)
}

/// 127.0.0.1 and a port, compact.
fn peer(port: u16) -> Vec<u8> {
    [&[127, 0, 0, 1][..], &port.to_be_bytes()].concat()
}

#[tokio::test]
async fn conversations_of_2005_are_answered_byte_for_byte() {
    let first = Running::start("supernode", "first", &[]).await;
    let first_url = first.url("");
    let second = Running::start("supernode", "second", &["--supernode", &first_url]).await;
    let second_url = second.url("");
    let known = ["--supernode", first_url.as_str(), "--supernode", second_url.as_str()];
    let node = Running::start("node", "node", &known).await;
    let (host, one, two) = (node.host.as_str(), first.host.as_str(), second.host.as_str());
    let announce = node.url("/announce");
    in_time(one, Old::Python, "/cache.php?plant=1", &word(&announce)).await;
    in_time(two, Old::Python, "/cache.php?plant=1", &word(&announce)).await;

    // The planter, for one node (A: Main/plantwizard.py): a node of one supernode, planted, told to two.
    replay(
        Old::Python,
        &[
            (one, "/cache.php?ping=1".into(), plain("PONG")),
            (one, "/cache.php?plant=1".into(), word(&announce)),
            (host, format!("/plant.php?plant={QUOTED}&client=1"), word("File successfully planted")),
            (two, format!("/cache.php?tpush={announce}&client=1"), word("TRUE")),
            (one, format!("/cache.php?tpush={announce}&client=1"), word("TRUE")),
        ],
    )
    .await;
    // A supernode of 2005 that was told of a node asks it: is it one, and what does it hold?
    replay(
        Old::Php,
        &[
            (host, "/announce.php?ping=1".into(), php(answer("text/plain; charset=utf-8", "PONG"))),
            (host, "/request.php?ping=1".into(), php(plain("PONG"))),
            (host, "/request.php".into(), php(list(&[HEX]))),
        ],
    )
    .await;
    // The planter, for two nodes, where there is one: it says so, and plants on what there is.
    replay(
        Old::Python,
        &[
            (one, "/cache.php?multiseed=2".into(), word("FALSE")),
            (one, "/cache.php?multiseed=1".into(), list(&[&announce])),
            (host, format!("/plant.php?multiplant={QUOTED}&url={announce}"), word("SUCCESS")),
        ],
    )
    .await;
    // `anaupdatesnodes.py`: each supernode is asked for all it knows.
    let (cache_one, cache_two) = (first.url("/cache"), second.url("/cache"));
    in_time(one, Old::Python, "/cache.php?strackers=1", &list(&[&cache_one, &cache_two])).await;
    in_time(two, Old::Python, "/cache.php?strackers=1", &list(&[&cache_two, &cache_one])).await;

    // The client (A: Main/BitTornado/download_bt1.py): every supernode is asked, then the node is announced to.
    let nodes = list(&[&announce]);
    in_time(one, Old::Python, &format!("/cache.php?pull={QUOTED}"), &nodes).await;
    in_time(two, Old::Python, &format!("/cache.php?pull={QUOTED}"), &nodes).await;
    let query = |port: u16, left: u64, event: &str| {
        format!(
            "?info_hash={QUOTED}&peer_id=M4-0-0--{port}abcdefg&port={port}&uploaded=0&downloaded=0&left={left}\
             &no_peer_id=1&compact=1{event}&key=abcdef"
        )
    };
    replay(
        Old::Python,
        &[
            (host, format!("/announce.php{}", query(6_881, 0, "&event=started")), announced(1, 0, &[])),
            (
                host,
                format!("/announce.php{}", query(6_882, 5, "&event=started")),
                announced(1, 1, &peer(6_881)),
            ),
        ],
    )
    .await;
    // The ordinary client has the planted torrent's supernode as its tracker: it is sent on, and asks there.
    let ordinary = query(6_883, 5, "&event=started");
    let stopped = query(6_883, 5, "&event=stopped");
    replay(
        Old::Ordinary,
        &[
            (one, format!("/announce.php{ordinary}"), moved(&format!("{announce}{ordinary}"))),
            (
                one,
                format!("/scrape.php?info_hash={QUOTED}"),
                moved(&node.url(&format!("/scrape?info_hash={QUOTED}"))),
            ),
            (two, format!("/announce{stopped}"), moved(&format!("{announce}{stopped}"))),
        ],
    )
    .await;
    let got = ask(host, Old::Ordinary, &format!("/announce{ordinary}")).await;
    let both = [[peer(6_881), peer(6_882)].concat(), [peer(6_882), peer(6_881)].concat()];
    assert!(both.iter().any(|peers| got == announced(1, 2, peers)), "{}", String::from_utf8_lossy(&got));
    replay(
        Old::Ordinary,
        &[
            (host, format!("/announce{stopped}"), announced(1, 1, &[])),
            (
                host,
                format!("/announce{}", query(6_882, 0, "&event=completed")),
                announced(2, 0, &peer(6_881)),
            ),
            (host, format!("/scrape.php?info_hash={QUOTED}"), bencoded(scraped())),
            (host, "/scrape.php".into(), bencoded(scraped())),
        ],
    )
    .await;
    // What no node holds, and what is no announce.
    let missing = "%00".repeat(20);
    let failure = |reason: &str| bencoded(format!("d14:failure reason{}:{reason}e", reason.len()));
    replay(
        Old::Ordinary,
        &[
            (
                one,
                format!("/announce.php?info_hash={missing}&port=1&compact=1"),
                failure("no living node tracks this torrent"),
            ),
            (one, format!("/cache.php?pull={missing}"), word("FALSE")),
            (host, "/announce.php?port=1".into(), failure("invalid info_hash: it must be 20 bytes")),
        ],
    )
    .await;

    // A node of 2005 shares its peers and is told that they came; none of them is believed.
    let data: String = "l26:10.1.2.3:6881:1:1112470620e".bytes().map(|byte| format!("%{byte:02X}")).collect();
    let share = |hash: &str| format!("/multiseed.php?info_hash={hash}&data={data}");
    replay(
        Old::Php,
        &[
            (host, share(QUOTED), php(plain("ACCEPTED"))),
            (host, share(&missing), php(plain("EXPIRED"))),
            (host, share("short"), php(plain("HASHFAIL"))),
            (host, format!("/scrape.php?info_hash={QUOTED}"), php(bencoded(scraped()))),
        ],
    )
    .await;
}

/// The counts of the torrent's swarm at the end.
fn scraped() -> Vec<u8> {
    let hash = (0..20).map(|at| u8::from_str_radix(&HEX[2 * at..2 * at + 2], 16).unwrap());
    let mut body = b"d5:filesd20:".to_vec();
    body.extend(hash);
    body.extend(b"d8:completei2e10:downloadedi1e10:incompletei0eeee");
    body
}
