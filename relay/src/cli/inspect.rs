//! `anatomic inspect`: says what is inside a torrent, magnet or planted link.
//!
//! Downloads nothing. Exit code 0 if the torrent can be used, 1 with a line of reason if not.

use super::Failure;
use super::given::{self, Given};
use super::progress::say;
use anatomic_core::human::{Binary, Size};
use anatomic_core::metainfo::{FileKind, MetainfoError, hashes_of};
use anatomic_core::{Magnet, Metainfo, ids};
use serde::Serialize;

/// Arguments of `anatomic inspect`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// .torrent file, magnet or planted link
    #[arg(value_name = "X")]
    pub source: String,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// A file as the report names it.
#[derive(Debug, Serialize)]
struct File {
    /// With the torrent's folder, elements joined by `/`.
    path: String,
    length: u64,
}

/// What is told. Unknown is `null`: a magnet says little.
#[derive(Debug, Default, Serialize)]
struct Report {
    usable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    name: Option<String>,
    info_hash_v1: Option<String>,
    info_hash_v2: Option<String>,
    piece_length: Option<u32>,
    pieces: Option<u32>,
    length: Option<u64>,
    private: Option<bool>,
    planted: bool,
    files: Vec<File>,
    trackers: Vec<String>,
    web_seeds: Vec<String>,
    supernodes: Vec<String>,
}

/// Runs the command.
///
/// # Errors
/// What failed, in one line.
#[expect(clippy::unused_async, reason = "every command is run the same way")]
pub async fn run(args: Args) -> Result<(), Failure> {
    let report = match given::read(&args.source) {
        Ok(Given::Torrent(bytes)) => match Metainfo::from_torrent(&bytes) {
            Ok(metainfo) => of_torrent(&metainfo),
            Err(error) => refused(&bytes, &error),
        },
        Ok(Given::Link(link)) => match link.magnet() {
            Some(magnet) => of_magnet(&magnet),
            None => Report {
                reason: Some("an address is not followed; download the torrent first".to_owned()),
                ..Report::default()
            },
        },
        Ok(Given::Content(path)) => {
            let path = path.display();
            Report {
                reason: Some(format!("{path} is no torrent; make one of it with `anatomic create`")),
                ..Report::default()
            }
        }
        Err(reason) => Report { reason: Some(reason), ..Report::default() },
    };
    if args.json {
        let json = serde_json::to_string(&report).map_err(Failure::new)?;
        say(&json);
    } else if report.usable {
        print(&report);
    }
    match report.reason {
        Some(reason) => Err(Failure::new(reason)),
        None => Ok(()),
    }
}

fn of_torrent(metainfo: &Metainfo) -> Report {
    let geometry = metainfo.geometry();
    let content = metainfo.files().iter().filter(|file| file.kind == FileKind::Content);
    Report {
        usable: true,
        reason: None,
        name: Some(metainfo.name().to_owned()),
        info_hash_v1: Some(metainfo.info_hash().to_string()),
        info_hash_v2: metainfo.info_hash_v2().map(|hash| ids::to_hex(&hash)),
        piece_length: Some(geometry.piece_length()),
        pieces: Some(geometry.pieces()),
        length: Some(geometry.length()),
        private: Some(metainfo.is_private()),
        planted: metainfo.is_planted(),
        files: content.map(|file| File { path: file.path.join("/"), length: file.length }).collect(),
        trackers: metainfo.trackers().concat(),
        web_seeds: metainfo.web_seeds().to_vec(),
        supernodes: Vec::new(),
    }
}

fn of_magnet(magnet: &Magnet) -> Report {
    Report {
        usable: true,
        name: magnet.name.clone(),
        info_hash_v1: Some(magnet.info_hash.to_string()),
        info_hash_v2: magnet.info_hash_v2.map(|hash| ids::to_hex(&hash)),
        length: magnet.length,
        planted: !magnet.supernodes.is_empty(),
        trackers: magnet.trackers.clone(),
        web_seeds: magnet.web_seeds.clone(),
        supernodes: magnet.supernodes.clone(),
        ..Report::default()
    }
}

/// A torrent that cannot be used still has its info-hashes, if its info dictionary can be found.
fn refused(bytes: &[u8], error: &MetainfoError) -> Report {
    let (v1, v2) = hashes_of(bytes).map_or((None, None), |(v1, v2)| (Some(v1), v2));
    let (v1, name) = match error {
        // The SHA-1 of a v2-only torrent names no swarm.
        MetainfoError::V2Only { name, .. } => (None, Some(name.clone())),
        _ => (v1, None),
    };
    Report {
        reason: Some(error.to_string()),
        name,
        info_hash_v1: v1.map(|hash| hash.to_string()),
        info_hash_v2: v2.map(|hash| ids::to_hex(&hash)),
        ..Report::default()
    }
}

fn print(report: &Report) {
    let line = |label: &str, text: &str| say(&format!("{label:<13} {}", plain(text)));
    line("name", report.name.as_deref().unwrap_or("(not known before the metadata is there)"));
    let hashes = [("info-hash v1", &report.info_hash_v1), ("info-hash v2", &report.info_hash_v2)];
    for (label, hash) in hashes {
        if let Some(hash) = hash {
            line(label, hash);
        }
    }
    if let Some(length) = report.length {
        line("length", &format!("{} ({length} bytes)", Size(length)));
    }
    if let (Some(pieces), Some(length)) = (report.pieces, report.piece_length) {
        line("pieces", &format!("{pieces} of {}", Binary(u64::from(length))));
    }
    if report.private == Some(true) {
        line("private", "yes: peers come from the trackers only");
    }
    if report.planted {
        line("planted", "yes");
    }
    for (label, urls) in
        [("tracker", &report.trackers), ("web seed", &report.web_seeds), ("supernode", &report.supernodes)]
    {
        urls.iter().for_each(|url| line(label, url));
    }
    for file in &report.files {
        line("file", &format!("{} ({})", file.path, Size(file.length)));
    }
}

/// A stranger's text without what could steer a terminal.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
