//! Rules of `anatomic get` and `anatomic seed`, with the program itself on both sides of a loopback connection.
//!
//! Other people's clients, browsers and trackers are the end-to-end tests' part.

use serde_json::Value;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const MIB: u64 = 1 << 20;

/// A folder that goes away with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("anatomic-get-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A process that is ended with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn anatomic(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_anatomic"));
    // Nothing of the person's own, and nobody but this machine.
    let home = std::env::temp_dir().join(format!("anatomic-get-home-{}", std::process::id()));
    command.env("ANATOMIC_DHT", "off").env("XDG_DATA_HOME", home);
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs a command to its end, within a minute.
fn run(args: &[&str]) -> Output {
    let mut child = anatomic(args).spawn().unwrap();
    let end = Instant::now() + Duration::from_secs(60);
    // Pipes are small: whoever does not read them stops the writer.
    let out = read_all(child.stdout.take().unwrap());
    let err = read_all(child.stderr.take().unwrap());
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if Instant::now() > end {
            let _ = child.kill();
            panic!("{args:?} still runs: {}", String::from_utf8_lossy(&out.join().unwrap()));
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    Output { status, stdout: out.join().unwrap(), stderr: err.join().unwrap() }
}

fn read_all(mut from: impl std::io::Read + Send + 'static) -> std::thread::JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = from.read_to_end(&mut bytes);
        bytes
    })
}

#[track_caller]
fn done(args: &[&str]) -> Vec<Value> {
    let output = run(args);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{args:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn content(path: &Path, length: u64, seed: u64) {
    let mut rng = fastrand::Rng::with_seed(seed);
    let bytes: Vec<u8> = (0..length).map(|_| rng.u8(..)).collect();
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// Makes a torrent of `DIR/from/NAME` and seeds it; gives the torrent's path and a magnet that names the seed.
fn seed(folder: &Folder, name: &str, options: &[&str]) -> (String, String, Running) {
    let torrent = folder.path(&format!("{name}.torrent"));
    done(&["create", &folder.path(&format!("from/{name}")), "-o", &torrent, "--piece-length", "262144"]);
    let hash = done(&["inspect", &torrent, "--json"])[0]["info_hash_v1"].as_str().unwrap().to_owned();
    let address = free_port();
    let (from, listen) = (folder.path("from"), address.to_string());
    let mut args = vec!["seed", &torrent, "--from", &from, "--listen", &listen, "--json"];
    args.extend(options);
    let mut child = anatomic(&args).stderr(Stdio::inherit()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let ready = lines.find(|line| line.as_ref().is_ok_and(|line| line.contains("\"seeding\"")));
    assert!(ready.is_some(), "the seed is ready");
    std::thread::spawn(move || lines.for_each(drop));
    let magnet = format!("magnet:?xt=urn:btih:{hash}&x.pe={address}");
    (torrent, magnet, Running(child))
}

fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn same(a: &Path, b: &Path) -> bool {
    fs::read(a).unwrap() == fs::read(b).unwrap()
}

#[test]
fn a_magnet_with_a_peer_is_enough_and_a_second_get_fetches_nothing() {
    let folder = Folder::new("magnet");
    content(&folder.0.join("from/a.bin"), 5 * MIB + 12_345, 1);
    let (_, magnet, _seed) = seed(&folder, "a.bin", &[]);
    let out = folder.path("out");
    let args = ["get", &magnet, "-o", &out, "--json", "--no-webrtc"];
    let last = done(&args).pop().unwrap();
    assert_eq!((&last["event"], last["length"].as_u64()), (&"complete".into(), Some(5 * MIB + 12_345)));
    assert!(same(&folder.0.join("from/a.bin"), &folder.0.join("out/a.bin")));
    let again = done(&args).pop().unwrap();
    assert_eq!((&again["event"], again["downloaded"].as_u64()), (&"complete".into(), Some(0)));
}

#[test]
fn two_thousand_small_files_arrive_and_only_chosen_ones_if_so_asked() {
    let folder = Folder::new("many");
    let mut rng = fastrand::Rng::with_seed(2);
    for file in 0..2_000u64 {
        let length = rng.u64(0..9_000);
        content(&folder.0.join(format!("from/many/{:02}/{file:04}.bin", file % 50)), length, file);
    }
    let (_, magnet, _seed) = seed(&folder, "many", &[]);
    let out = folder.path("out");
    done(&["get", &magnet, "-o", &out, "--no-webrtc", "--sequential"]);
    for file in 0..2_000u64 {
        let name = format!("many/{:02}/{file:04}.bin", file % 50);
        assert!(same(&folder.0.join("from").join(&name), &folder.0.join("out").join(&name)), "{name}");
    }
    let some = folder.path("some");
    let last =
        done(&["get", &magnet, "-o", &some, "--no-webrtc", "--json", "--select", "1,40"]).pop().unwrap();
    // Pieces are fetched whole.
    assert!(last["downloaded"].as_u64().unwrap() <= 3 * 262_144, "{last}");
    for name in ["many/00/0000.bin", "many/00/1950.bin"] {
        assert!(same(&folder.0.join("from").join(name), &folder.0.join("some").join(name)), "{name}");
    }
    let wrong = run(&["get", &magnet, "-o", &some, "--no-webrtc", "--select", "2001"]);
    assert_eq!(wrong.status.code(), Some(1));
}

#[test]
fn a_killed_get_loses_at_most_the_last_second() {
    let folder = Folder::new("killed");
    content(&folder.0.join("from/k.bin"), 48 * MIB, 3);
    let (_, magnet, _seed) = seed(&folder, "k.bin", &[]);
    let out = folder.path("out");
    let rate = 6 * MIB;
    let limit = rate.to_string();
    let mut get =
        anatomic(&["get", &magnet, "-o", &out, "--json", "--no-webrtc", "--download-limit", &limit])
            .spawn()
            .unwrap();
    let mut told = 0;
    for line in BufReader::new(get.stdout.take().unwrap()).lines() {
        let line: Value = serde_json::from_str(&line.unwrap()).unwrap();
        told = line["done"].as_u64().unwrap_or(told);
        if told > 20 * MIB {
            break;
        }
    }
    get.kill().unwrap();
    get.wait().unwrap();
    let lines = done(&["get", &magnet, "-o", &out, "--json", "--no-webrtc"]);
    let resumed = lines.iter().find_map(|line| line["done"].as_u64()).unwrap();
    assert!(resumed + 2 * rate > told, "{resumed} of {told} bytes were kept");
    let last = lines.last().unwrap();
    assert_eq!(last["event"], "complete");
    assert!(last["downloaded"].as_u64().unwrap() <= 48 * MIB - resumed + MIB, "{last}");
    assert!(same(&folder.0.join("from/k.bin"), &folder.0.join("out/k.bin")));
}

#[test]
fn damaged_data_are_found_and_fetched_again() {
    let folder = Folder::new("damaged");
    content(&folder.0.join("from/d.bin"), 4 * MIB, 4);
    let (_, magnet, _seed) = seed(&folder, "d.bin", &[]);
    let out = folder.path("out");
    let args = ["get", &magnet, "-o", &out, "--json", "--no-webrtc"];
    done(&args);
    let path = folder.0.join("out/d.bin");
    let mut bytes = fs::read(&path).unwrap();
    bytes[MIB as usize] ^= 1;
    fs::write(&path, bytes).unwrap();
    let last = done(&args).pop().unwrap();
    assert_eq!(last["downloaded"].as_u64(), Some(256 * 1024), "one piece: {last}");
    assert!(same(&folder.0.join("from/d.bin"), &path));
}

#[test]
fn a_full_disk_is_told_and_after_space_is_made_the_rest_comes() {
    let folder = Folder::new("full");
    content(&folder.0.join("from/f.bin"), 6 * MIB, 5);
    let (_, magnet, _seed) = seed(&folder, "f.bin", &[]);
    let out = folder.0.join("out");
    fs::create_dir_all(&out).unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=8m", "tmpfs"])
        .arg(&out)
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !mounted {
        eprintln!("not run: mounting a small disk needs root");
        return;
    }
    fs::write(out.join("ballast"), vec![0; 5 * MIB as usize]).unwrap();
    let args = ["get", &magnet, "-o", &folder.path("out"), "--json", "--no-webrtc"];
    let failed = run(&args);
    fs::remove_file(out.join("ballast")).unwrap();
    let again = run(&args);
    let equal = again.status.success() && same(&folder.0.join("from/f.bin"), &out.join("f.bin"));
    let unmounted = Command::new("umount").arg(&out).status().unwrap();
    assert!(unmounted.success());
    let words = String::from_utf8_lossy(&failed.stderr);
    assert_eq!(failed.status.code(), Some(1), "{words}");
    assert!(words.contains("the disk is full; free some space"), "{words}");
    assert!(equal, "{}", String::from_utf8_lossy(&again.stderr));
}

#[test]
fn a_large_sparse_torrent_with_a_short_last_piece_needs_little_memory() {
    let folder = Folder::new("sparse");
    let path = folder.0.join("from/s.bin");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let file = fs::File::create(&path).unwrap();
    file.set_len(768 * MIB + 4_321).unwrap();
    drop(file);
    let (_, magnet, _seed) = seed(&folder, "s.bin", &[]);
    let out = folder.path("out");
    let mut get = anatomic(&["get", &magnet, "-o", &out, "--json", "--no-webrtc"]).spawn().unwrap();
    let status = format!("/proc/{}/status", get.id());
    let mut peak = 0;
    let mut complete = false;
    for line in BufReader::new(get.stdout.take().unwrap()).lines() {
        complete |= line.unwrap().contains("\"complete\"");
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().split(' ').next()).and_then(|kib| kib.parse::<u64>().ok());
        peak = peak.max(kib.unwrap_or(0));
    }
    assert!(get.wait().unwrap().success() && complete);
    assert_eq!(fs::metadata(folder.0.join("out/s.bin")).unwrap().len(), 768 * MIB + 4_321);
    assert!(peak > 0 && peak < 300 * 1024, "{peak} KiB");
}

#[test]
fn what_names_no_torrent_gets_one_line_and_exit_code_1() {
    let folder = Folder::new("wrong");
    let (out, junk) = (folder.path("out"), folder.path("junk.torrent"));
    fs::write(&junk, b"<html>").unwrap();
    for wrong in ["no-such-file.torrent", "magnet:?dn=x", "http://127.0.0.1:1/x.torrent", &junk, &out] {
        let ended = run(&["get", wrong, "-o", &out]);
        let words = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!((ended.status.code(), words.lines().count()), (Some(1), 1), "{wrong}: {words}");
        assert!(words.starts_with("anatomic: "), "{words}");
    }
    assert_eq!(run(&["get"]).status.code(), Some(2));
}

#[test]
fn seed_says_when_there_is_nothing_to_give() {
    let folder = Folder::new("nothing");
    content(&folder.0.join("from/n.bin"), MIB, 6);
    let (torrent, _, running) = seed(&folder, "n.bin", &[]);
    drop(running);
    let empty = folder.path("empty");
    fs::create_dir_all(&empty).unwrap();
    for from in [empty.as_str(), "/no/such/folder"] {
        let ended = run(&["seed", &torrent, "--from", from, "--no-webrtc"]);
        assert_eq!(ended.status.code(), Some(1), "{from}");
    }
    content(&folder.0.join("empty/n.bin"), MIB, 7);
    let other = run(&["seed", &torrent, "--from", &empty, "--no-webrtc"]);
    let words = String::from_utf8_lossy(&other.stderr).into_owned();
    assert_eq!(other.status.code(), Some(1));
    assert!(words.contains("nothing of n.bin is in"), "{words}");
}
