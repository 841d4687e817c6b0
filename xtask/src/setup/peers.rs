//! The programs of others that the tests run against: a browser, classic clients, WebTorrent, libtorrent.
//!
//! None of them is needed to build or to run Anatomic.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::system;
use crate::{paths, run, versions};

/// Where the tests find them.
pub(crate) struct TestPeers {
    /// A Chromium or Chrome that can run headless.
    pub(crate) chromium: PathBuf,
    /// `node_modules` (WebTorrent, bittorrent-tracker) and `venv` (libtorrent).
    pub(crate) folder: PathBuf,
}

impl TestPeers {
    /// Tells a test where they are, by its environment.
    pub(crate) fn tell(&self, command: &mut Command) {
        command.env("ANATOMIC_CHROMIUM", &self.chromium).env("ANATOMIC_PEERS", &self.folder);
    }
}

/// Programs of the system and Debian's package of each.
const PROGRAMS: [(&str, &str); 9] = [
    ("transmission-daemon", "transmission-daemon"),
    ("transmission-remote", "transmission-cli"),
    ("aria2c", "aria2"),
    ("node", "nodejs"),
    ("npm", "npm"),
    ("python3", "python3-venv"),
    ("faketime", "faketime"),
    ("curl", "curl"),
    ("ip", "iproute2"),
];
/// Any of these is the browser.
const BROWSERS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// Looks for every peer and installs what is absent.
///
/// # Errors
/// If one cannot be had; the message says what to install.
pub(crate) fn find_or_install() -> Result<TestPeers, String> {
    let missing: Vec<&str> = PROGRAMS
        .iter()
        .filter(|(program, _)| paths::which(program).is_none())
        .map(|(_, package)| *package)
        .collect();
    system::install("clients that the tests run against", &missing)?;
    if !postgres() {
        system::install("the database that several supernodes share in a test", &["postgresql"])?;
    }
    if paths::which("pebble").is_none() || paths::which("pebble-challtestsrv").is_none() {
        system::install("the authority that gives certificates in a test", &["pebble"])?;
    }
    if paths::which("nats-server").is_none() && !Path::new("/usr/sbin/nats-server").is_file() {
        system::install("the bus that joins a fleet of nodes in a test", &["nats-server"])?;
    }
    if browser().is_none() {
        system::install("the browser that the tests drive", &["chromium"])?;
    }
    let chromium = browser().ok_or("no browser: install Chromium or set ANATOMIC_CHROMIUM to one")?;
    let folder = paths::peers();
    fs::create_dir_all(&folder).map_err(|e| format!("cannot make {}: {e}", folder.display()))?;
    node_packages(&folder)?;
    libtorrent(&folder)?;
    Ok(TestPeers { chromium, folder })
}

/// Whether a PostgreSQL server is installed; Debian keeps its programs off the path.
fn postgres() -> bool {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut programs = versions.map(|version| version.path().join("bin/initdb"));
    programs.any(|program| program.is_file()) || paths::which("initdb").is_some()
}

fn browser() -> Option<PathBuf> {
    let named = std::env::var_os("ANATOMIC_CHROMIUM").map(PathBuf::from).filter(|file| file.is_file());
    named.or_else(|| BROWSERS.iter().find_map(|name| paths::which(name)))
}

/// WebTorrent and the reference tracker.
fn node_packages(folder: &Path) -> Result<(), String> {
    let (webtorrent, tracker, channel) =
        (versions::WEBTORRENT, versions::BITTORRENT_TRACKER, versions::NODE_DATACHANNEL);
    let manifest = format!(
        "{{\"name\":\"anatomic-test-peers\",\"private\":true,\"type\":\"module\",\
         \"dependencies\":{{\"webtorrent\":\"{webtorrent}\",\"bittorrent-tracker\":\"{tracker}\"}},\
         \"overrides\":{{\"node-datachannel\":\"{channel}\"}}}}\n"
    );
    let file = folder.join("package.json");
    let same = fs::read_to_string(&file).is_ok_and(|old| old.trim() == manifest.trim());
    if same && node_loads(folder).is_some() {
        return Ok(());
    }
    fs::write(&file, manifest).map_err(|e| format!("cannot write {}: {e}", file.display()))?;
    let mut command = Command::new("npm");
    command.current_dir(folder).args(["install", "--ignore-scripts", "--no-audit", "--no-fund"]);
    let what = format!("npm install webtorrent {webtorrent}, bittorrent-tracker {tracker}");
    run::step(&what, &mut command, Duration::from_secs(10 * 60))?;
    node_loads(folder).ok_or_else(|| {
        format!("WebTorrent for Node does not load in {}: is Node at least version 20?", folder.display())
    })
}

/// Whether the packages and the WebRTC binary among them really load here.
fn node_loads(folder: &Path) -> Option<()> {
    let script = "Promise.all(['node-datachannel','webtorrent','bittorrent-tracker'].map(n => import(n)))\
                  .then(() => process.exit(0), () => process.exit(1))";
    run::ask(Command::new("node").current_dir(folder).args(["-e", script])).map(drop)
}

/// libtorrent with its Python binding.
fn libtorrent(folder: &Path) -> Result<(), String> {
    let venv = folder.join("venv");
    let python = venv.join("bin/python");
    let wanted = versions::LIBTORRENT;
    let script = "import libtorrent; print(libtorrent.__version__)";
    let version = || run::ask(Command::new(&python).args(["-c", script]));
    if version().is_some_and(|found| found.starts_with(wanted)) {
        return Ok(());
    }
    let two_minutes = Duration::from_secs(120);
    run::step(
        "making a Python environment",
        Command::new("python3").args(["-m", "venv"]).arg(&venv),
        two_minutes,
    )?;
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "--quiet", &format!("libtorrent=={wanted}")]);
    run::step(&format!("pip install libtorrent {wanted}"), &mut pip, Duration::from_secs(10 * 60))?;
    version().map(drop).ok_or_else(|| format!("libtorrent {wanted} does not load in {}", venv.display()))
}
