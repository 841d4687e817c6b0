//! `kill -9` at random moments: what a planter was told is planted stays planted, keys stay the same, and a download goes on.
//!
//! The programs themselves run, as their hosts run them; the moment of a death is drawn anywhere between the start and shortly
//! after the work is done. `ANATOMIC_KILLS` says how often (200), `ANATOMIC_SEED` replays a run.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use anatomic_core::{InfoHash, Metainfo};
use anatomic_mesh::api::Lookup;
use fastrand::Rng;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::{Instant, sleep_until, timeout};

/// How long a process may take to be ready.
const READY: Duration = Duration::from_secs(30);
/// Bytes of what is downloaded again and again.
const LENGTH: u64 = 6 * 1024 * 1024;

struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Starts the program; `kill_on_drop` is SIGKILL.
fn program(data: &Path, args: &[&str]) -> (Child, BufReader<ChildStdout>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_anatomic"));
    command.args(args).env("HOME", data).env("XDG_DATA_HOME", data).env("XDG_CONFIG_HOME", data);
    command.stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    let mut child = command.spawn().expect("the program");
    let out = BufReader::new(child.stdout.take().unwrap());
    (child, out)
}

/// Starts node and supernode in one.
fn start(data: &Path) -> (Child, BufReader<ChildStdout>) {
    let any = "127.0.0.1:0";
    let folder = data.display().to_string();
    let args = ["up", "--no-demo", "--json", "--udp-tracker", "off", "--data", &folder];
    program(data, &[&args[..], &["--listen", any, "--tcp", any, "--udp", any]].concat())
}

/// Its address and key, from the first line.
async fn ready(out: &mut BufReader<ChildStdout>) -> (String, String) {
    let mut line = String::new();
    out.read_line(&mut line).await.unwrap();
    let said: serde_json::Value =
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("it did not start again, but said {line:?}"));
    let text = |name: &str| said[name].as_str().unwrap().to_owned();
    (text("http").trim_end_matches('/').to_owned(), text("key"))
}

/// The info-hashes that the node says are planted.
async fn planted(client: &reqwest::Client, url: &str) -> HashSet<String> {
    let list = client.get(format!("{url}/request")).send().await.unwrap().text().await.unwrap();
    list.split("40:").skip(1).map(|hash| hash[..40].to_owned()).collect()
}

/// The seed of this run.
fn drawn() -> Rng {
    let given = std::env::var("ANATOMIC_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed: u64 = given.unwrap_or_else(|| getrandom::u64().unwrap());
    eprintln!("ANATOMIC_SEED={seed}");
    Rng::with_seed(seed)
}

/// How many kills are wanted.
fn wanted() -> u32 {
    std::env::var("ANATOMIC_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(200)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_process_loses_no_planted_torrent_no_receipt_and_no_key() {
    let (kills, mut rng) = (wanted(), drawn());
    let folder = Folder(std::env::temp_dir().join(format!("anatomic-kill-{}", std::process::id())));
    let client = anatomic_relay::tls::http().timeout(READY).build().unwrap();
    let (mut key, mut promised): (Option<String>, Vec<InfoHash>) = (None, Vec::new());
    let (mut before_ready, begun) = (0, Instant::now());

    for round in 0..kills {
        let (mut child, mut out) = start(&folder.0);
        // One in four dies while it starts.
        let early = rng.u8(..4) == 0;
        if early {
            let moment = Instant::now() + Duration::from_micros(rng.u64(..120_000));
            sleep_until(moment).await;
            child.kill().await.unwrap();
            before_ready += 1;
            continue;
        }
        let (url, its_key) = timeout(READY, ready(&mut out)).await.expect("it starts again");
        assert_eq!(key.get_or_insert_with(|| its_key.clone()), &its_key, "kill {round}: another key");
        let there = planted(&client, &url).await;
        for hash in &promised {
            assert!(there.contains(&hash.to_string()), "kill {round}: {hash} was planted and is not");
        }
        let moment = Instant::now() + Duration::from_micros(rng.u64(..60_000));
        let planting = async {
            loop {
                let hash = InfoHash(std::array::from_fn(|_| rng.u8(..)));
                let escaped: String = hash.0.iter().map(|byte| format!("%{byte:02x}")).collect();
                let Ok(answer) = client.get(format!("{url}/plant?plant={escaped}")).send().await else {
                    return;
                };
                let Ok(text) = answer.text().await else { return };
                assert_eq!(text, "25:File successfully planted");
                promised.push(hash);
            }
        };
        tokio::select! {
            () = sleep_until(moment) => {}
            () = planting => {}
        }
        child.kill().await.unwrap();
    }

    let (_child, mut out) = start(&folder.0);
    let (url, _) = timeout(READY, ready(&mut out)).await.expect("it starts again");
    for hash in &promised {
        let answer = client.get(format!("{url}/api/v1/torrents/{hash}")).send().await.unwrap();
        assert!(answer.status().is_success(), "{hash}: the index has lost it");
        // Reading it checks the receipts' signatures.
        let lookup: Lookup = answer.json().await.unwrap();
        assert!(!lookup.receipts.is_empty(), "{hash}: its receipt is lost");
    }
    eprintln!(
        "{kills} kills ({before_ready} while starting), {} torrents, {:.1} s",
        promised.len(),
        begun.elapsed().as_secs_f64()
    );
    assert!(promised.len() as u32 > kills / 10, "too few torrents for a proof");
}

#[tokio::test]
async fn a_killed_node_knows_its_peers_again_but_for_the_last_moments() {
    let folder = Folder(std::env::temp_dir().join(format!("anatomic-kill-peers-{}", std::process::id())));
    let client = anatomic_relay::tls::http().timeout(READY).build().unwrap();
    let hash = "%a7".repeat(20);
    let (mut child, mut out) = start(&folder.0);
    let (url, _) = timeout(READY, ready(&mut out)).await.expect("it starts");
    let ask = async |url: &str, path: String| {
        client.get(format!("{url}{path}")).send().await.unwrap().text().await.unwrap_or_default()
    };
    ask(&url, format!("/plant?plant={hash}")).await;
    for port in 1_001..1_031 {
        let query = format!("info_hash={hash}&peer_id=-XX0000-000000000000&left=0&compact=1&port={port}");
        ask(&url, format!("/announce?{query}")).await;
    }
    // A minute is promised.
    let begun = Instant::now();
    while !std::fs::metadata(folder.0.join("swarms")).is_ok_and(|found| found.len() > 30 * 10) {
        assert!(begun.elapsed() < Duration::from_secs(60), "peers are written within a minute");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    child.kill().await.unwrap();
    let (_child, mut out) = start(&folder.0);
    let (url, _) = timeout(READY, ready(&mut out)).await.expect("it starts again");
    let scraped = ask(&url, format!("/scrape?info_hash={hash}")).await;
    assert!(scraped.contains("8:completei30e"), "{scraped}");
}

/// A server with a fixed port, that is killed and started again.
struct Server {
    data: PathBuf,
    args: Vec<String>,
    url: String,
    child: Child,
    /// Kept open: a program whose output nobody takes ends.
    _out: BufReader<ChildStdout>,
}

/// A port that is free and stays so while its server is dead: below those from which connections are made.
fn port() -> u16 {
    let free = |port: &u16| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok();
    std::iter::repeat_with(|| getrandom::u32().unwrap() as u16 % 20_000 + 10_000).find(free).unwrap()
}

impl Server {
    async fn start(role: &str, data: PathBuf, options: &[&str]) -> Self {
        let (listen, folder) = (format!("127.0.0.1:{}", port()), data.display().to_string());
        let mut args = vec![role, "--json", "--listen", &listen, "--data", &folder];
        if role == "node" {
            args.extend(["--tcp", "127.0.0.1:0", "--udp", "127.0.0.1:0", "--udp-tracker", "off"]);
        }
        args.extend(options);
        let (child, mut out) = program(&data, &args);
        let (url, _) = timeout(READY, ready(&mut out)).await.expect("it starts");
        let args = args.into_iter().map(str::to_owned).collect();
        Self { data, args, url, child, _out: out }
    }

    async fn kill_and_restart(&mut self) {
        self.child.kill().await.unwrap();
        let args: Vec<&str> = self.args.iter().map(String::as_str).collect();
        let (child, mut out) = program(&self.data, &args);
        let (url, _) = timeout(READY, ready(&mut out)).await.expect("it starts again");
        assert_eq!(url, self.url);
        (self.child, self._out) = (child, out);
    }
}

/// Runs a program to its end, and returns its success and the last thing that it said.
async fn ended(data: &Path, args: &[String]) -> (bool, serde_json::Value) {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let (mut child, mut out) = program(data, &args);
    let mut said = String::new();
    let read = tokio::io::AsyncReadExt::read_to_string(&mut out, &mut said);
    timeout(Duration::from_secs(120), read).await.unwrap_or_else(|_| panic!("{args:?} ends")).unwrap();
    let success = child.wait().await.unwrap().success();
    (success, said.lines().rev().find_map(|line| serde_json::from_str(line).ok()).unwrap_or_default())
}

/// Runs a program that is to succeed.
async fn run(data: &Path, args: &[String]) -> serde_json::Value {
    let (success, said) = ended(data, args).await;
    assert!(success, "{args:?}: {said}");
    said
}

/// Everything that was confirmed is known, by one and the same planter.
async fn nothing_is_lost(client: &reqwest::Client, hosts: &[&str], confirmed: &[InfoHash]) {
    for host in hosts {
        for hash in confirmed {
            let answer = client.get(format!("{host}/api/v1/torrents/{hash}")).send().await.unwrap();
            let status = answer.status();
            assert!(status.is_success(), "{host} has lost {hash}: {status}, {:?}", answer.text().await);
            let lookup: Lookup = answer.json().await.unwrap();
            assert_eq!(lookup.receipts.len(), 1, "{host}, {hash}: one planter, whose key is not lost");
        }
    }
}

/// The words of a command.
fn words(text: &[&str]) -> Vec<String> {
    text.iter().map(|word| (*word).to_owned()).collect()
}

fn info_hash(planted: &serde_json::Value) -> InfoHash {
    InfoHash::from_hex(planted["info_hash"].as_str().unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_supernodes_nodes_planters_seeds_and_downloads_lose_nothing_that_was_confirmed() {
    let (kills, mut rng) = (wanted(), drawn());
    let folder = Folder(std::env::temp_dir().join(format!("anatomic-kill-all-{}", std::process::id())));
    let path = |name: &str| folder.0.join(name);
    let text = |name: &str| path(name).display().to_string();
    std::fs::create_dir_all(&folder.0).unwrap();
    let client = anatomic_relay::tls::http().timeout(READY).build().unwrap();
    let mut supernode = Server::start("supernode", path("supernode"), &[]).await;
    let supernode_url = supernode.url.clone();
    let mut node = Server::start("node", path("node"), &["--supernode", &supernode_url]).await;
    let plant = |file: &str, out: &str| {
        words(&["plant", file, "--supernode", &supernode_url, "--nodes", "1", "-o", out, "--json"])
    };

    // What is downloaded again and again, from a seed that is killed as well.
    let content: Vec<u8> = (0..LENGTH / 8).flat_map(|_| rng.u64(..).to_le_bytes()).collect();
    std::fs::write(path("content.bin"), &content).unwrap();
    let planted = run(&path("planter"), &plant(&text("content.bin"), &text("content.torrent"))).await;
    let link = planted["link"].as_str().unwrap().to_owned();
    let mut confirmed = vec![info_hash(&planted)];
    let (torrent, from, out) = (text("content.torrent"), text("content.bin"), text("download"));
    let seeding = ["seed", &torrent, "--from", &from, "--listen", "127.0.0.1:0", "--no-webrtc"];
    let get =
        words(&["get", &link, "-o", &out, "--no-seed", "--listen", "127.0.0.1:0", "--no-webrtc", "--json"]);
    let slowly: Vec<&str> = get.iter().map(String::as_str).chain(["--download-limit", "2M"]).collect();
    let mut seed = program(&path("seed"), &seeding);
    let (mut by_kind, mut downloads, begun) = ([0_u32; 5], 0, Instant::now());

    for round in 0..kills {
        let kind = if round + 1 == kills { 4 } else { rng.usize(..5) };
        by_kind[kind] += 1;
        match kind {
            // While somebody plants.
            0..=2 => {
                let (file, out) = (text(&format!("{round}.bin")), text(&format!("{round}.torrent")));
                std::fs::write(&file, round.to_be_bytes().repeat(20_000)).unwrap();
                let args = plant(&file, &out);
                let moment = Instant::now() + Duration::from_micros(rng.u64(..250_000));
                let planted = if kind == 2 {
                    let args: Vec<&str> = args.iter().map(String::as_str).collect();
                    let (mut child, _out) = program(&path("planter"), &args);
                    sleep_until(moment).await;
                    child.kill().await.unwrap();
                    None
                } else {
                    let data = path("planter");
                    let planting = tokio::spawn({
                        let args = args.clone();
                        async move { ended(&data, &args).await }
                    });
                    sleep_until(moment).await;
                    if kind == 0 {
                        supernode.kill_and_restart().await
                    } else {
                        node.kill_and_restart().await
                    }
                    let (success, planted) = planting.await.unwrap();
                    if success {
                        // By the node at least; by the supernode if it is named.
                        nothing_is_lost(&client, &[&node.url], &[info_hash(&planted)]).await;
                    }
                    let indexed = planted["supernodes"].as_array().is_some_and(|named| !named.is_empty());
                    (success && indexed).then_some(planted)
                };
                if let Ok(bytes) = std::fs::read(&out) {
                    Metainfo::from_torrent(&bytes).expect("a torrent is written whole or not at all");
                }
                // What was not confirmed is planted once more.
                let planted = match planted {
                    Some(planted) => planted,
                    None => run(&path("planter"), &args).await,
                };
                confirmed.push(info_hash(&planted));
                nothing_is_lost(&client, &[&supernode.url, &node.url], &confirmed[confirmed.len() - 1..])
                    .await;
            }
            3 => {
                seed.0.kill().await.unwrap();
                seed = program(&path("seed"), &seeding);
            }
            _ => {
                let moment = Instant::now() + Duration::from_micros(rng.u64(..1_500_000));
                let (mut child, _out) = program(&path("get"), &slowly);
                tokio::time::timeout_at(moment, child.wait()).await.ok();
                child.kill().await.unwrap();
                if std::fs::read(path("download").join("content.bin")).is_ok_and(|bytes| bytes == content) {
                    // The next one begins anew.
                    std::fs::remove_dir_all(&out).unwrap();
                    downloads += 1;
                }
            }
        }
    }
    nothing_is_lost(&client, &[&supernode.url, &node.url], &confirmed).await;
    // Whatever was killed, a download that was killed is completed, is right, and brings only what it did not have. A node that
    // was killed may have lost the last minute's peers, so the seed announces itself anew.
    drop(seed);
    let _seed = program(&path("seed"), &seeding);
    let _ = std::fs::remove_dir_all(&out);
    let (mut child, _out) = program(&path("get"), &slowly);
    let file = path("download").join("content.bin");
    let some = async {
        // Pieces are written as they are verified.
        while std::fs::metadata(&file).map_or(0, |meta| std::os::unix::fs::MetadataExt::blocks(&meta)) < 4_096
        {
            assert!(child.try_wait().unwrap().is_none(), "it goes on until it is killed");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(Duration::from_secs(60), some).await.expect("the download goes on");
    child.kill().await.unwrap();
    let done = run(&path("get"), &get).await;
    assert!(std::fs::read(&file).unwrap() == content);
    let brought = done["downloaded"].as_u64().unwrap();
    assert!(0 < brought && brought < LENGTH - 512 * 1024, "{brought} of {LENGTH} bytes once more: {done}");
    // The planter's key is the one that planted: it may unplant.
    run(&path("planter"), &words(&["unplant", &link, "--supernode", &supernode_url, "--json"])).await;
    eprintln!(
        "{kills} kills: supernode {}, node {}, planter {}, seed {}, get {}; {} torrents, {downloads} downloads, {:.1} s",
        by_kind[0],
        by_kind[1],
        by_kind[2],
        by_kind[3],
        by_kind[4],
        confirmed.len(),
        begun.elapsed().as_secs_f64()
    );
}
