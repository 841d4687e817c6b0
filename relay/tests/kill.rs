//! `kill -9` at random moments: what a planter was told is planted stays planted, and the key stays the same.
//!
//! The program itself runs, as its host runs it; the moment of its death is drawn anywhere between its start and shortly after
//! it has planted again. `ANATOMIC_KILLS` says how often (200), `ANATOMIC_SEED` replays a run.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use anatomic_core::InfoHash;
use anatomic_mesh::api::Lookup;
use fastrand::Rng;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep_until, timeout};

/// How long a process may take to be ready.
const READY: Duration = Duration::from_secs(30);

struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Starts the program; `kill_on_drop` is SIGKILL.
fn start(data: &Path) -> (Child, BufReader<tokio::process::ChildStdout>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_anatomic"));
    command.args(["up", "--no-demo", "--json", "--udp-tracker", "off"]);
    command.args(["--listen", "127.0.0.1:0", "--tcp", "127.0.0.1:0", "--udp", "127.0.0.1:0"]);
    command.arg("--data").arg(data).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    let mut child = command.spawn().expect("the program");
    let out = BufReader::new(child.stdout.take().unwrap());
    (child, out)
}

/// Its address and key, from the first line.
async fn ready(out: &mut BufReader<tokio::process::ChildStdout>) -> (String, String) {
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_process_loses_no_planted_torrent_no_receipt_and_no_key() {
    let kills: u32 = std::env::var("ANATOMIC_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(200);
    let seed: u64 = std::env::var("ANATOMIC_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or_else(|| getrandom::u64().unwrap());
    eprintln!("ANATOMIC_SEED={seed}");
    let mut rng = Rng::with_seed(seed);
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
