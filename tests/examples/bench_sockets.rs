//! Measures the node's memory of an idle browser's WebSocket: thousands are opened, announce once, and stay.
//!
//! Usage: `cargo run --release -p anatomic-tests --example bench_sockets -- [SOCKETS]` (20,000 unless said otherwise).
//! Each browser announces to one of as many swarms as make ten a swarm, with two offers, and reads what comes. The
//! sockets come from many addresses of 127/8, since one address has only so many ports. The browsers are in processes of
//! their own. Where the system lets no process open as many files as there are to be sockets, the node is a fleet of several
//! processes (NATS), and its memory what they take together.

use anatomic_tests::bench::{Table, promise};
use anatomic_tests::process::Process;
use anatomic_tests::{load, ports, programs, rivals};
use futures_util::{SinkExt as _, StreamExt as _};
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio_tungstenite::tungstenite::Message;

/// Browsers of one swarm.
const SWARM: usize = 10;
/// Sockets from one address.
const ADDRESS: usize = 5_000;
/// Opened at once.
const WAVE: usize = 200;
/// Files that a process opens besides sockets of browsers.
const RESERVE: usize = 100;

fn announce(number: usize) -> String {
    let offer = |which: usize| {
        format!(
            r#"{{"offer_id":"{:020}","offer":{{"type":"offer","sdp":"{}"}}}}"#,
            number * 10 + which,
            "x".repeat(1_500)
        )
    };
    format!(
        r#"{{"action":"announce","info_hash":"{:020}","peer_id":"-WW0100-{:012}","uploaded":0,"downloaded":0,"left":1,"event":"started","numwant":2,"offers":[{},{}]}}"#,
        number / SWARM,
        number,
        offer(0),
        offer(1)
    )
}

async fn browser(server: SocketAddr, number: usize, up: tokio::sync::mpsc::Sender<()>) {
    let address = Ipv4Addr::new(127, 2, 0, u8::try_from(number / ADDRESS).expect("few addresses") + 1);
    let mut stream = load::connect(server, address).await;
    stream.send(Message::text(announce(number))).await.expect("the node reads");
    while let Some(Ok(message)) = stream.next().await {
        if message.is_text() && message.to_text().is_ok_and(|text| text.contains("\"interval\"")) {
            let _ = up.send(()).await;
        }
    }
}

/// Opens browsers in a process of its own, since both ends of each are open files; says so, and holds them until its input ends.
async fn hold(server: SocketAddr, numbers: std::ops::Range<usize>) {
    let (up, mut ups) = tokio::sync::mpsc::channel(WAVE);
    let mut opened = numbers.start;
    while opened < numbers.end {
        let wave = WAVE.min(numbers.end - opened);
        for number in opened..opened + wave {
            tokio::spawn(browser(server, number, up.clone()));
        }
        for _ in 0..wave {
            let announced = tokio::time::timeout(Duration::from_secs(60), ups.recv()).await;
            announced.unwrap_or_else(|_| panic!("{opened} sockets open, no more answers"));
        }
        opened += wave;
    }
    println!("open");
    let ended = tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink()));
    // The browsers go on reading meanwhile.
    let _ = ended.await;
}

/// Browsers of one process of the node, in a process of their own.
async fn browsers(server: SocketAddr, numbers: std::ops::Range<usize>) -> Child {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(["hold", &server.to_string(), &numbers.start.to_string(), &numbers.end.to_string()]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().expect("this program");
    let mut said = String::new();
    let mut out = BufReader::new(child.stdout.take().expect("its output"));
    out.read_line(&mut said).await.expect("its output");
    assert_eq!(said.trim(), "open", "the browsers could not be opened");
    child
}

/// How many files a process may open.
fn files() -> usize {
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(1_024)
}

/// The server that joins the processes of the node, where it takes several.
async fn bus(dir: &std::path::Path, port: u16) -> Process {
    let debian = std::path::PathBuf::from("/usr/sbin/nats-server");
    let program = if debian.is_file() { debian } else { programs::on_path(&["nats-server"]) };
    let mut command = rivals::pinned(&program);
    command.args(["--addr", "127.0.0.1", "--port", &port.to_string()]);
    rivals::start("nats", command, dir).await
}

async fn measure(sockets: usize) {
    // Both ends of each are open files.
    rivals::raise_files();
    let most = files().saturating_sub(RESERVE);
    let processes = sockets.div_ceil(most);
    let dir = programs::target().join("bench-sockets");
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).expect("a folder for logs");
    let port = ports::free();
    let (fleet, key) = (format!("nats://127.0.0.1:{port}"), dir.join("key").display().to_string());
    let nats = if processes > 1 { Some(bus(&dir, port).await) } else { None };
    let mut node: Vec<(SocketAddr, Process)> = Vec::new();
    for number in 0..processes {
        let server: SocketAddr = ([127, 0, 0, 1], ports::free()).into();
        let name = format!("anatomic-{number}");
        let mut command = rivals::pinned(&programs::anatomic());
        command.args([
            "node",
            "--track",
            "any",
            "--max-connections",
            "100000",
            "--listen",
            &server.to_string(),
        ]);
        command.args(["--tcp", "127.0.0.1:0", "--udp", "127.0.0.1:0", "--data"]).arg(dir.join(&name));
        if nats.is_some() {
            command.args(["--fleet", &fleet, "--key", &key]);
        }
        node.push((server, rivals::start(&name, command, &dir).await));
    }
    let rss = |node: &[(SocketAddr, Process)]| node.iter().map(|(_, process)| process.rss()).sum::<u64>();
    let before = rss(&node);
    let (each, mut held) = (sockets.div_ceil(processes), Vec::new());
    for (number, (server, _)) in node.iter().enumerate() {
        held.push(browsers(*server, number * each..sockets.min((number + 1) * each)).await);
    }
    let of = if processes == 1 { "one process".to_owned() } else { format!("{processes} processes") };
    let title = format!("Node's memory a WebSocket, {sockets} open, {of} (at most {} files each)", files());
    let mut table = Table::new(&title, "KiB");
    let each = |bytes: u64| bytes.saturating_sub(before) as f64 / 1024.0 / sockets as f64;
    table.add("just announced", each(rss(&node)));
    tokio::time::sleep(Duration::from_secs(40)).await;
    let idle = each(rss(&node));
    table.add("idle, pinged once", idle);
    for (server, process) in &node {
        let now = process.rss() / 1024;
        eprintln!("  {server}: {now} KiB, at most {} KiB", process.peak_rss() / 1024);
        let open = fs::read_dir(format!("/proc/{}/fd", process.pid())).map_or(0, Iterator::count);
        eprintln!("  {server}: {open} files open");
    }
    table.print();
    promise("an idle WebSocket in 8 KiB", 8.0 / idle, 1.0);
    drop(held);
    for (_, mut process) in node {
        process.kill().await;
    }
    if let Some(mut nats) = nats {
        nats.kill().await;
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["hold", server, from, to] => {
            let number = |text: &str| text.parse().expect("a number");
            hold(server.parse().expect("an address"), number(from)..number(to)).await;
        }
        [] => measure(20_000).await,
        [sockets] => measure(sockets.parse().expect("a number")).await,
        _ => panic!("usage: [SOCKETS]"),
    }
}
