//! Several processes that are one node, joined by a NATS server: one swarm, one set of planted torrents, and what happens when
//! a process or the server dies.
//!
//! What two processes say to each other is tested beside the code; here they are real, and so is the server.

use anatomic_tests::ask::{announce, eventually, get, metric, names, scrape};
use anatomic_tests::nats::Nats;
use anatomic_tests::prelude::*;
use tokio::time::Instant;

/// Time in which news are known everywhere, and a dead process is missed.
const SOON: Duration = Duration::from_secs(40);

/// Three processes with one key, the first with a supernode.
struct Fleet {
    nats: Nats,
    processes: Vec<Anatomic>,
}

impl Fleet {
    async fn start(s: &Scene) -> Self {
        Self::start_by(s, None).await
    }

    /// Three nodes that register at another process's supernode.
    async fn start_by(s: &Scene, supernode: Option<&str>) -> Self {
        let nats = Nats::start(s).await;
        let (url, key) = (nats.url(), s.path("key").display().to_string());
        let mut options = vec!["--fleet", &url, "--key", &key];
        options.extend(supernode.iter().flat_map(|url| ["--supernode", url]));
        let first = match supernode {
            Some(_) => Anatomic::start(s, "one", "node", &options).await,
            None => Anatomic::up_with(s, &options).await,
        };
        let mut processes = vec![first];
        for name in ["two", "three"] {
            processes.push(Anatomic::start(s, name, "node", &options).await);
        }
        let fleet = Self { nats, processes };
        fleet.all("they meet", async |process| metric(process, "fleet_processes").await == Some(3)).await;
        fleet
    }

    /// How many speak for the fleet.
    async fn speakers(&self) -> u64 {
        let mut speakers = 0;
        for process in &self.processes {
            speakers += metric(process, "fleet_speaks").await.unwrap_or(0);
        }
        speakers
    }

    /// Waits until something holds of every process.
    async fn all(&self, what: &str, holds: impl AsyncFn(&Anatomic) -> bool) {
        for process in &self.processes {
            wait(what, async || holds(process).await).await;
        }
    }
}

async fn wait(what: &str, holds: impl AsyncFn() -> bool) {
    eventually(what, SOON, holds).await;
}

/// Plants a file at the first process; returns the torrent and the file's digest.
async fn plant(s: &Scene, fleet: &Fleet, number: u64, size: u64) -> (Torrent, String) {
    plant_by(s, &fleet.processes[0], number, size).await
}

async fn plant_by(s: &Scene, supernode: &Anatomic, number: u64, size: u64) -> (Torrent, String) {
    let file = s.folder("content").join(format!("{number}.bin"));
    let digest = content::file(&file, number, size);
    let original = torrent::make(&file, &s.path(&format!("{number}.torrent")), &[], 64);
    let out = s.path(&format!("{number}.planted.torrent")).display().to_string();
    supernode.plant(s, &original.path, &["-o", &out]).await;
    (original, digest)
}

/// A torrent of the same content with one tracker only.
fn only(s: &Scene, process: &Anatomic, number: u64, name: &str) -> String {
    let file = s.folder("content").join(format!("{number}.bin"));
    torrent::make(&file, &s.path(name), &[&process.announce()], 64).path.display().to_string()
}

/// Sends a packet to a node's UDP tracker and waits a moment for the answer.
async fn by_udp(process: &Anatomic, packet: &[u8]) -> Option<Vec<u8>> {
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
    let address = process.ready()["udp_tracker"].as_str().expect("a UDP tracker");
    socket.send_to(packet, address).await.expect("it is sent");
    let mut answer = vec![0; 1_500];
    let read = tokio::time::timeout(Duration::from_secs(1), socket.recv(&mut answer)).await.ok()?.ok()?;
    answer.truncate(read);
    Some(answer)
}

/// The connection number that a node gives (BEP 15).
async fn connect_by_udp(process: &Anatomic) -> [u8; 8] {
    let packet = [&0x0417_2710_1980_u64.to_be_bytes()[..], &[0, 0, 0, 0, 1, 2, 3, 4]].concat();
    let answer = by_udp(process, &packet).await.expect("an answer");
    answer[8..16].try_into().expect("16 bytes")
}

/// Seeds and leeches by a connection number; `None`: no answer.
async fn scrape_by_udp(process: &Anatomic, number: [u8; 8], info_hash: &str) -> Option<(u64, u64)> {
    let hash: Vec<u8> = (0..20)
        .map(|at| u8::from_str_radix(&info_hash[2 * at..2 * at + 2], 16).expect("hexadecimal"))
        .collect();
    let packet = [&number[..], &[0, 0, 0, 2, 5, 6, 7, 8], &hash].concat();
    let answer = by_udp(process, &packet).await?;
    let number = |at: usize| u32::from_be_bytes(answer[at..at + 4].try_into().expect("4 bytes")).into();
    (answer[..8] == [0, 0, 0, 2, 5, 6, 7, 8]).then(|| (number(8), number(16)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_processes_are_one_node_and_survive_the_death_of_one() {
    scene::run(async |s| {
        let mut fleet = Fleet::start(s).await;
        let (original, digest) = plant(s, &fleet, 81, 4 * MIB + 7).await;
        let hash = &original.info_hash;
        fleet
            .all("it is planted", async |process| metric(process, "planted_torrents").await == Some(1))
            .await;
        wait("one speaks for the fleet", async || fleet.speakers().await == 1).await;

        // A peer that announces everywhere is one peer.
        for process in &fleet.processes {
            announce(process, hash, 7_001, 0).await;
        }
        announce(&fleet.processes[1], hash, 7_002, 5).await;
        fleet
            .all("all count one seed and one leech", async |process| {
                scrape(process, hash).await == Some((1, 1))
            })
            .await;
        let reply = announce(&fleet.processes[2], hash, 0, 1).await;
        assert!(names(&reply, 7_001) && names(&reply, 7_002), "and name both");

        // Whoever proved its address to one need not prove it to another.
        let number = connect_by_udp(&fleet.processes[0]).await;
        for process in &fleet.processes {
            assert_eq!(scrape_by_udp(process, number, hash).await, Some((1, 1)));
        }
        assert_eq!(
            scrape_by_udp(&fleet.processes[1], [9; 8], hash).await,
            None,
            "a wrong number is no proof"
        );

        // A real seed at the second, a real leech at the first.
        let seed = only(s, &fleet.processes[1], 81, "two.torrent");
        let _seed = aria2::seed(s, "seed", seed.as_ref(), &s.folder("content"));
        let into = s.folder("into");
        aria2::download(s, "leech", &only(s, &fleet.processes[0], 81, "one.torrent"), &into, TRANSFER).await;
        assert_eq!(content::sha256(&into.join("81.bin")), digest);

        // The second dies; its seed is still found, by the others and by itself when it is back.
        fleet.processes[1].process().kill().await;
        for number in [0, 2] {
            let process = &fleet.processes[number];
            wait("it is missed", async || metric(process, "fleet_processes").await == Some(2)).await;
        }
        let into = s.folder("after");
        aria2::download(s, "after", &only(s, &fleet.processes[2], 81, "three.torrent"), &into, TRANSFER)
            .await;
        assert_eq!(content::sha256(&into.join("81.bin")), digest);
        fleet.processes[1].restart(s).await;
        fleet
            .all("they meet again", async |process| metric(process, "fleet_processes").await == Some(3))
            .await;
        let back = &fleet.processes[1];
        wait("it knows the swarm", async || names(&announce(back, hash, 0, 1).await, 7_002)).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_nats_each_goes_on_alone_and_all_catch_up_when_it_is_back() {
    scene::run(async |s| {
        let mut fleet = Fleet::start(s).await;
        let (original, _) = plant(s, &fleet, 82, MIB).await;
        let hash = &original.info_hash;
        fleet
            .all("it is planted", async |process| metric(process, "planted_torrents").await == Some(1))
            .await;

        fleet.nats.process().kill().await;
        fleet.all("it is seen", async |process| metric(process, "fleet_connected").await == Some(0)).await;
        for process in &fleet.processes {
            let (status, body) = get(process, "/healthz").await.expect("an answer");
            let body = String::from_utf8_lossy(&body).into_owned();
            assert!(status == 200 && body.contains("alone"), "{status} {body}");
        }
        // Each serves on.
        announce(&fleet.processes[0], hash, 7_001, 0).await;
        announce(&fleet.processes[1], hash, 7_002, 5).await;
        assert_eq!(scrape(&fleet.processes[0], hash).await, Some((1, 0)));
        let (later, _) = plant(s, &fleet, 83, MIB).await;
        assert_eq!(metric(&fleet.processes[2], "planted_torrents").await, Some(1));

        fleet.nats.restart(s).await;
        fleet
            .all("they meet again", async |process| metric(process, "fleet_processes").await == Some(3))
            .await;
        fleet.all("all know the swarm", async |process| scrape(process, hash).await == Some((1, 1))).await;
        fleet
            .all("all track the new torrent", async |process| {
                metric(process, "planted_torrents").await == Some(2)
            })
            .await;
        announce(&fleet.processes[2], &later.info_hash, 7_003, 0).await;
        fleet
            .all("and its swarm", async |process| scrape(process, &later.info_hash).await == Some((1, 0)))
            .await;
        for process in &fleet.processes {
            assert_eq!(metric(process, "fleet_malformed").await, Some(0));
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tabs_at_two_processes_exchange_directly() {
    scene::run(async |s| {
        let mut fleet = Fleet::start(s).await;
        let digest = content::file(&s.path("direct.bin"), 84, 48 * MIB);
        let one = Browser::launch(s, "one").await;
        let seed = Page::open(s, &one, &fleet.processes[0].url()).await;
        seed.give(&[&s.path("direct.bin")]).await;
        let planted = seed.wait_planted(TRANSFER).await;
        let second = &fleet.processes[1];
        wait("it is planted there", async || metric(second, "planted_torrents").await == Some(1)).await;

        // The same link at the other process: its page and its trackers.
        let link = planted.link.replace(&fleet.processes[0].host(), &second.host());
        let escaped = |host: String| host.replace(':', "%3A");
        let link = link.replace(&escaped(fleet.processes[0].host()), &escaped(second.host()));
        let two = Browser::launch(s, "two").await;
        let leech = Page::open(s, &two, &link).await;
        let hash = &planted.info_hash;
        // No bridge joins them: that of one process has no peer but the seed's tab, that of the other none but this.
        leech
            .wait("a direct peer that gives pieces", TRANSFER, |torrent| {
                torrent.progress > 0.02 && torrent.peers.iter().any(|peer| peer == "webrtc")
            })
            .await;
        fleet.processes[0].process().kill().await;
        fleet.processes[1].process().kill().await;
        leech.wait_complete(hash, TRANSFER).await;
        let (_, saved) = leech.save(hash, 0, SHORT).await;
        assert_eq!(content::sha256(&saved), digest);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_starts_before_nats_serves_alone_and_joins_when_it_is_there() {
    scene::run(async |s| {
        let key = s.path("key").display().to_string();
        let wrong = ["up", "--fleet", "http://127.0.0.1:1", "--key", &key, "--listen", "127.0.0.1:0"];
        let ended = anatomic::run(s, "wrong", &wrong).await;
        assert!(ended.code != 0 && ended.stderr.contains("nats://host:4222"), "{}", ended.stderr);

        let port = ports::free();
        let url = format!("nats://127.0.0.1:{port}");
        let options = ["--fleet", &url, "--key", &key];
        let mut one = Anatomic::up_with(s, &options).await;
        announce(&one, &"ab".repeat(20), 7_001, 0).await;
        let (status, body) = get(&one, "/healthz").await.expect("an answer");
        assert!(status == 200 && String::from_utf8_lossy(&body).contains("alone"));
        let log = one.process().log().clone();
        let told = async || log.tail().contains("the fleet's bus is not there") && log.tail().contains(&url);
        wait("the host is told", told).await;
        let _nats = Nats::start_at(s, port).await;
        let two = Anatomic::start(s, "two", "node", &options).await;
        for process in [&one, &two] {
            wait("they meet", async || metric(process, "fleet_processes").await == Some(2)).await;
        }
        let (_, body) = get(&one, "/healthz").await.expect("an answer");
        assert_eq!(body, b"ok\n");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_sister_node_knows_is_known_at_every_process() {
    scene::run(async |s| {
        let sister = Anatomic::up(s).await;
        let mut fleet = Fleet::start_by(s, Some(&sister.url())).await;
        wait("they are registered", async || metric(&sister, "index_nodes").await == Some(2)).await;
        let (original, _) = plant_by(s, &sister, 85, MIB).await;
        let hash = &original.info_hash;
        assert_eq!(metric(&sister, "planted_torrents").await, Some(1));
        announce(&sister, hash, 7_001, 0).await;
        fleet
            .all("each names the sister's seed", async |process| {
                names(&announce(process, hash, 0, 1).await, 7_001)
                    && scrape(process, hash).await.is_some_and(|(seeds, _)| seeds == 1)
            })
            .await;
        // The one who speaks to her dies: the next does.
        announce(&fleet.processes[2], hash, 7_003, 5).await;
        wait("she knows the fleet's", async || names(&announce(&sister, hash, 0, 1).await, 7_003)).await;
        announce(&sister, hash, 7_002, 5).await;
        fleet
            .all("and a leech that came later", async |process| {
                names(&announce(process, hash, 0, 1).await, 7_002)
            })
            .await;
        fleet.processes[0].process().kill().await;
        let rest = &fleet.processes[1..];
        wait("another speaks", async || metric(&rest[0], "fleet_speaks").await == Some(1)).await;
        for process in rest {
            wait("classic peers stay", async || names(&announce(process, hash, 0, 1).await, 7_001)).await;
        }
        wait("it speaks to her", async || metric(&rest[0], "sisters_connected").await == Some(1)).await;
        announce(&sister, hash, 7_004, 5).await;
        for process in rest {
            wait("and hands on", async || names(&announce(process, hash, 0, 1).await, 7_004)).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_has_one_budget_and_who_speaks_next_finds_the_sisters_without_a_supernode() {
    scene::run(async |s| {
        let mut supernode = Anatomic::start(s, "supernode", "supernode", &[]).await;
        let nats = Nats::start(s).await;
        let (bus, key, known) = (nats.url(), s.path("key").display().to_string(), supernode.url());
        let sister = Anatomic::start(s, "sister", "node", &["--supernode", &known]).await;
        let options = ["--fleet", &bus, "--key", &key, "--supernode", &known, "--budget-month", "1MB"];
        let mut first = Anatomic::start(s, "one", "node", &options).await;
        let second = Anatomic::start(s, "two", "node", &options).await;
        wait("they meet", async || metric(&second, "fleet_processes").await == Some(2)).await;
        wait("they are registered", async || metric(&supernode, "index_nodes").await == Some(2)).await;
        let (original, _) = plant_by(s, &supernode, 87, MIB).await;
        let hash = &original.info_hash;
        wait("the first speaks to the sister", async || metric(&first, "sisters_connected").await == Some(1))
            .await;
        wait("the second has heard who she is", async || {
            std::fs::metadata(second.data().join("sisters")).is_ok_and(|found| found.len() > 0)
        })
        .await;

        // The first spends what is everybody's.
        async fn month(process: &Anatomic) -> u64 {
            metric(process, "budget_month_spent_bytes").await.unwrap_or_default()
        }
        wait("nine tenths are spent", async || {
            for _ in 0..20 {
                get(&first, "/metrics").await;
            }
            month(&first).await > 900_000
        })
        .await;
        wait("the second knows it", async || metric(&second, "budget_level").await > Some(0)).await;
        let path = format!(
            "/announce?info_hash={}&peer_id=-XX0000-000000000000&port=7001&left=1&compact=1",
            ask::escaped(hash)
        );
        wait("and sends newcomers to the sister, to whom only the first is connected", async || {
            get(&second, &path).await.is_some_and(|(status, _)| status == 302)
        })
        .await;

        supernode.process().kill().await;
        let spent = month(&second).await;
        first.process().kill().await;
        wait("the second speaks", async || metric(&second, "fleet_speaks").await == Some(1)).await;
        wait("and finds the sister", async || metric(&second, "sisters_connected").await == Some(1)).await;
        wait("who sees it too", async || metric(&sister, "sisters_connected").await == Some(1)).await;
        assert!(month(&second).await >= spent, "what the first spent is spent");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_nats_server_that_hangs_stops_nobody_and_costs_no_memory() {
    scene::run(async |s| {
        let mut fleet = Fleet::start(s).await;
        let (original, _) = plant(s, &fleet, 86, MIB).await;
        let hash = &original.info_hash;
        fleet
            .all("it is planted", async |process| metric(process, "planted_torrents").await == Some(1))
            .await;
        let before = fleet.processes[0].process().rss();
        fleet.nats.process().pause().await;
        let begun = Instant::now();
        let mut sent = 0_u16;
        while begun.elapsed() < Duration::from_secs(6) {
            for _ in 0..100 {
                announce(&fleet.processes[usize::from(sent % 2)], hash, 10_000 + sent % 2_000, 5).await;
                sent += 1;
            }
        }
        assert_eq!(scrape(&fleet.processes[0], hash).await.map(|(seeds, _)| seeds), Some(0), "it answers");
        let grown = fleet.processes[0].process().rss().saturating_sub(before);
        assert!(grown < 32 * MIB, "grew by {grown} bytes while the bus hung");
        fleet.nats.process().resume().await;
        let known = u64::from(sent.min(2_000));
        fleet
            .all("all know the whole swarm", async |process| scrape(process, hash).await == Some((0, known)))
            .await;
        fleet
            .all("and each other", async |process| metric(process, "fleet_processes").await == Some(3))
            .await;
    })
    .await;
}
