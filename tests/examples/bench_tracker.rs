//! Measures the tracker: announces a second on one core beside aquatic and opentracker, and memory a peer.
//!
//! Each tracker runs alone on core 0 while aquatic's own load generator (for WebSocket without TLS ours, which does the
//! same) asks from core 1. Limits that a load from one address would meet are lifted by settings, see `LIFTED`. Usage:
//! `cargo run --release -p anatomic-tests --example bench_tracker -- [udp|http|ws|memory] [SECONDS]`

use anatomic_tests::bench::{Table, promise};
use anatomic_tests::process::Process;
use anatomic_tests::{load, ports, programs, rivals};
use anatomic_wire::tracker::announce::AnnounceRequest;
use anatomic_wire::tracker::udp::{UdpReply, UdpRequest};
use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::time::Duration;

/// What a node is set to for a load that comes from one host and is not planted.
const LIFTED: [&str; 12] = [
    "--track",
    "any",
    "--max-swarms",
    "2000000",
    "--max-peers",
    "10000000",
    "--socket-swarms",
    "20000",
    "--socket-pace",
    "1000000",
    "--max-connections",
    "50000",
];
/// Browsers at once.
const BROWSERS: usize = 1_000;
/// Torrents of aquatic's UDP load.
const UDP_TORRENTS: usize = 1_000_000;
/// Peers whose memory is measured, and their swarms: as many a swarm as aquatic's load has.
const PEERS: (u32, u32) = (1_000_000, 100_000);

struct Bench {
    dir: PathBuf,
    seconds: u64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [load, server, connections, offers, seconds] = args.as_slice()
        && load == "load-ws"
    {
        let number = |text: &str| text.parse().expect("a number");
        let server = server.parse().expect("an address");
        let received =
            load::browsers(server, number(connections) as usize, number(offers) as usize, number(seconds))
                .await;
        println!("{received:?}");
        println!("  - Announce responses: {}", received.announced);
        println!("  - Offer responses: {}", received.offers);
        println!("  - Answer responses: {}", received.answers);
        return;
    }
    let wanted =
        |part: &str| args.iter().all(|arg| arg.parse::<u64>().is_ok()) || args.iter().any(|arg| arg == part);
    let seconds = args.iter().find_map(|arg| arg.parse().ok()).unwrap_or(20);
    let dir = programs::target().join("bench-tracker");
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).expect("a folder for logs");
    let bench = Bench { dir, seconds };
    if wanted("udp") {
        bench.udp().await;
    }
    if wanted("http") {
        bench.http().await;
    }
    if wanted("ws") {
        bench.ws().await;
    }
    if wanted("memory") {
        bench.memory().await;
    }
}

fn missing(name: &str) {
    println!("{name} is not installed: left out (`cargo xtask bench tracker` installs it)");
}

impl Bench {
    fn file(&self, name: &str, text: &str) -> String {
        let path = self.dir.join(name);
        fs::write(&path, text).expect("a file in the folder of the logs");
        path.display().to_string()
    }

    /// The tracker of that name, alone on its core; `aquatic` is the configuration of aquatic's. `None` if it is not installed.
    async fn tracker(&self, name: &str, port: u16, aquatic: &str) -> Option<Process> {
        match name {
            "ours" => Some(self.ours(port).await),
            "opentracker" => self.opentracker(port).await,
            _ => self.aquatic(name, aquatic).await,
        }
    }

    /// Our node.
    async fn ours(&self, port: u16) -> Process {
        let mut command = rivals::pinned(&programs::anatomic());
        let data = self.dir.join(format!("data-{port}"));
        command.args(["node", "--listen", &format!("127.0.0.1:{port}"), "--tcp", "127.0.0.1:0"]);
        command.args(["--udp", "127.0.0.1:0", "--data"]).arg(data).args(LIFTED);
        rivals::start("anatomic", command, &self.dir).await
    }

    /// One of aquatic's trackers.
    async fn aquatic(&self, name: &str, config: &str) -> Option<Process> {
        let Some(program) = rivals::aquatic(name) else {
            missing(name);
            return None;
        };
        let config = self.file(&format!("{name}.toml"), config);
        let mut command = rivals::pinned(&program);
        command.args(["-c", &config]);
        Some(rivals::start(name, command, &self.dir).await)
    }

    async fn opentracker(&self, port: u16) -> Option<Process> {
        let Some(program) = rivals::opentracker() else {
            missing("opentracker");
            return None;
        };
        // Debian builds it for a list of torrents, and it reads that as nobody.
        let list = std::env::temp_dir().join("anatomic-bench-whitelist");
        fs::write(&list, rivals::udp_load_hashes(UDP_TORRENTS)).expect("a file for the list");
        let list = list.display();
        let config = format!(
            "listen.tcp 127.0.0.1:{port}\nlisten.udp 127.0.0.1:{port}\nlisten.udp.workers 1\naccess.whitelist {list}\n"
        );
        let config = self.file("opentracker.conf", &config);
        let mut command = rivals::pinned(&program);
        command.args(["-f", &config, "-d", "/", "-u", "nobody"]);
        let process = rivals::start("opentracker", command, &self.dir).await;
        // It reads the list first.
        tokio::time::sleep(Duration::from_secs(10)).await;
        Some(process)
    }

    async fn udp(&self) {
        let mut table = Table::new("Announces over UDP, one core", "announces/s");
        let Some(load) = rivals::aquatic("aquatic_udp_load_test") else {
            return missing("aquatic_udp_load_test");
        };
        let mut memory = Table::new("Memory after that load", "MiB");
        let port = ports::free();
        let at = format!("127.0.0.1:{port}");
        let config = self.file(
            "udp-load.toml",
            // Half of it is the time in which the store fills.
            &format!(
                "server_address = \"{at}\"\nworkers = 1\nduration = {}\nsummarize_last = {}\nextra_statistics = false\n",
                self.seconds, self.seconds / 2 / 5 * 5
            ),
        );
        let aquatic = format!("socket_workers = 1\n[network]\naddress = \"{at}\"\n");
        for name in ["ours", "aquatic_udp", "opentracker"] {
            let Some(mut tracker) = self.tracker(name, port, &aquatic).await else { continue };
            let report = rivals::load("udp-load", &load, &["-c", &config], &self.dir, self.seconds).await;
            let each = rivals::figure(&report, "Peers per announce response").unwrap_or(0.0);
            assert!(each > 0.0, "{name} gave no peers:\n{report}\n{}", tracker.log().tail());
            table.add(name, rivals::figure(&report, "- Announce responses").expect("a report"));
            memory.add(name, tracker.rss() as f64 / (1024.0 * 1024.0));
            eprintln!("    peers a reply: {each}");
            tracker.kill().await;
        }
        table.print();
        memory.print();
        let ours = table.median("ours");
        for (rival, least) in [("aquatic_udp", 0.8), ("opentracker", 0.8)] {
            promise(&format!("UDP announces, times {rival}"), ours / table.median(rival), least);
        }
    }

    async fn http(&self) {
        let Some(load) = rivals::aquatic("aquatic_http_load_test") else {
            return missing("aquatic_http_load_test");
        };
        for keep in [true, false] {
            let kind = if keep { "kept connections" } else { "a connection each" };
            let mut table = Table::new(&format!("Announces over HTTP, one core, {kind}"), "announces/s");
            for name in ["ours", "aquatic_http"] {
                // A port of its own: that of a server that just ended cannot be bound for a minute.
                let port = ports::free();
                let at = format!("127.0.0.1:{port}");
                let config = self.file(
                    "http-load.toml",
                    &format!(
                        "server_address = \"{at}\"\nnum_workers = 1\nnum_connections = 128\nkeep_alive = {keep}\n\
                         connection_creation_interval_ms = {}\nenable_tls = false\nduration = {}\n",
                        if keep { 1 } else { 0 },
                        self.seconds
                    ),
                );
                let aquatic = format!(
                    "socket_workers = 1\nswarm_workers = 1\n[network]\naddress = \"{at}\"\nenable_tls = false\n\
                     keep_alive = {keep}\n"
                );
                let Some(mut tracker) = self.tracker(name, port, &aquatic).await else { continue };
                let report =
                    rivals::load("http-load", &load, &["-c", &config], &self.dir, self.seconds).await;
                let figure = rivals::figure(&report, "Average responses per second:").expect("a report");
                let failures = rivals::figure(&report, "- Failure responses:").unwrap_or(0.0);
                assert!(failures < 1.0 && figure > 0.0, "{name}:\n{report}\n{}", tracker.log().tail());
                table.add(name, figure);
                tracker.kill().await;
            }
            table.print();
            promise(
                &format!("HTTP, {kind}, times aquatic_http"),
                table.median("ours") / table.median("aquatic_http"),
                1.0,
            );
        }
    }

    /// Announces alone, which all trackers answer alike; then each with ten offers, of which a tracker drops as many as it
    /// likes, so that there the messages of all kinds are compared.
    async fn ws(&self) {
        let load = std::env::current_exe().expect("this program");
        for (offers, what, unit) in
            [(0, "announces without offers", "announces/s"), (10, "ten offers each", "messages/s")]
        {
            let mut table = Table::new(&format!("WebSocket, one core, no TLS, {what}"), unit);
            let mut memory = Table::new("Memory after that load", "MiB");
            for name in ["ours", "aquatic_ws"] {
                let port = ports::free();
                let at = format!("127.0.0.1:{port}");
                let aquatic =
                    format!("socket_workers = 1\nswarm_workers = 1\n[network]\naddress = \"{at}\"\n");
                let Some(mut tracker) = self.tracker(name, port, &aquatic).await else { continue };
                let [browsers, offers, seconds] =
                    [BROWSERS, offers, self.seconds as usize].map(|n| n.to_string());
                let args = ["load-ws", &at, &browsers, &offers, &seconds];
                let report = rivals::load("ws-load", &load, &args, &self.dir, self.seconds).await;
                let figure = |label| rivals::figure(&report, label).expect("a report");
                let [announces, offers, answers] =
                    ["- Announce responses", "- Offer responses", "- Answer responses"].map(figure);
                eprintln!("    announces {announces}, offers {offers}, answers {answers} a second");
                table.add(name, announces + offers + answers);
                memory.add(name, tracker.rss() as f64 / (1024.0 * 1024.0));
                tracker.kill().await;
            }
            table.print();
            memory.print();
            promise(
                &format!("WebSocket, {what}, times aquatic_ws"),
                table.median("ours") / table.median("aquatic_ws"),
                1.0,
            );
        }
    }

    /// Memory a peer, each door's trackers asked over UDP by as many peers as [`PEERS`].
    async fn memory(&self) {
        let mut table = Table::new("Memory a peer, one million in 100,000 swarms", "bytes");
        let port = ports::free();
        let at: SocketAddr = ([127, 0, 0, 1], port).into();
        let aquatic = format!("socket_workers = 1\n[network]\naddress = \"{at}\"\n");
        for name in ["ours", "aquatic_udp", "opentracker"] {
            let Some(mut tracker) = self.tracker(name, port, &aquatic).await else { continue };
            let before = tracker.rss();
            let hashes: Vec<[u8; 20]> = hashes(PEERS.1);
            let fill = tokio::task::spawn_blocking(move || fill(at, &hashes, PEERS.0));
            let answered = fill.await.expect("the load ran");
            assert!(answered > PEERS.0 / 100 * 99, "{name} answered {answered} of {}", PEERS.0);
            // A snapshot is written meanwhile.
            tokio::time::sleep(Duration::from_secs(5)).await;
            table.add(name, tracker.rss().saturating_sub(before) as f64 / f64::from(answered));
            eprintln!("    peak {} MiB", tracker.peak_rss() / (1024 * 1024));
            tracker.kill().await;
        }
        table.print();
        promise("peers of ours in 100 bytes", 100.0 / table.median("ours"), 1.0);
    }
}

/// The first hashes on opentracker's list.
fn hashes(count: u32) -> Vec<[u8; 20]> {
    let list = rivals::udp_load_hashes(count as usize);
    let byte = |pair: &[u8]| {
        let digit = |digit: u8| char::from(digit).to_digit(16).unwrap_or(0) as u8;
        digit(pair[0]) << 4 | digit(pair[1])
    };
    list.lines()
        .take(count as usize)
        .map(|line| {
            let bytes: Vec<u8> = line.as_bytes().chunks_exact(2).map(byte).collect();
            bytes.try_into().expect("40 digits")
        })
        .collect()
}

/// Announces `peers` once each, all of different addresses in 127/8 and ports; how many were answered.
fn fill(tracker: SocketAddr, hashes: &[[u8; 20]], peers: u32) -> u32 {
    const WINDOW: u32 = 200;
    let mut answered = 0;
    let mut buffer = [0; 2048];
    // A connection id is good for the address that asked, so one socket each address.
    for host in 0..20u8 {
        let socket =
            UdpSocket::bind(SocketAddr::from(([127, 1, 0, host + 1], 0))).expect("a loopback address");
        socket.connect(tracker).expect("a loopback address");
        socket.set_read_timeout(Some(Duration::from_millis(200))).expect("a time-out");
        let ask = |packet: &[u8], socket: &UdpSocket| {
            let _ = socket.send(packet);
        };
        ask(&UdpRequest::Connect { transaction: 1 }.encode(), &socket);
        let length = socket.recv(&mut buffer).expect("a connection id");
        let Some(UdpReply::Connected { connection, .. }) = UdpReply::decode(&buffer[..length], tracker.ip())
        else {
            panic!("no connection id")
        };
        let share = peers / 20;
        let mut waiting = 0;
        for number in 0..share {
            let all = u32::from(host) * share + number;
            let info_hash = anatomic_core::InfoHash(hashes[all as usize % hashes.len()]);
            let request = AnnounceRequest {
                peer_id: Some(anatomic_core::PeerId([b'x'; 20])),
                left: Some(u64::from(number % 2)),
                want: Some(0),
                ..AnnounceRequest::new(info_hash, (number % 60_000 + 1_000) as u16)
            };
            let packet =
                UdpRequest::Announce { connection, transaction: number, request, url_data: String::new() };
            ask(&packet.encode(), &socket);
            waiting += 1;
            if waiting == WINDOW || number + 1 == share {
                while waiting > 0 {
                    if socket.recv(&mut buffer).is_err() {
                        break;
                    }
                    answered += 1;
                    waiting -= 1;
                }
                waiting = 0;
            }
        }
    }
    answered
}
