//! What the data folder keeps of a planted torrent: `INFOHASH.json`, and `INFOHASH.torrent` once the metadata is known.
//!
//! Only reading and writing; what it means is decided beside.

use super::PlantedTorrent;
use crate::node::files::{self, Access};
use anatomic_core::{InfoHash, Magnet, Metainfo};
use anatomic_mesh::{Claim, Receipt, Signed, UnixTime};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tracing::warn;

/// Version of the record's format.
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Record {
    version: u32,
    magnet: String,
    alive: UnixTime,
    receipts: Vec<Signed<Receipt>>,
    #[serde(default)]
    claims: Vec<Signed<Claim>>,
    #[serde(default)]
    helped: u32,
}

fn path(folder: &Path, info_hash: &InfoHash, extension: &str) -> PathBuf {
    folder.join(format!("{info_hash}.{extension}"))
}

/// Writes a torrent: first the metadata, then the record that counts.
pub(super) fn save(folder: &Path, torrent: &PlantedTorrent) -> io::Result<()> {
    if let Some(metainfo) = &torrent.metainfo {
        let file = path(folder, &torrent.info_hash, "torrent");
        let bytes = metainfo.to_torrent();
        if fs::read(&file).ok().as_deref() != Some(&bytes) {
            files::write(&file, &bytes, Access::Default)?;
        }
    }
    let record = Record {
        version: VERSION,
        magnet: torrent.magnet.to_string(),
        alive: torrent.alive,
        receipts: torrent.receipts.clone(),
        claims: torrent.claims.clone(),
        helped: torrent.helped,
    };
    let json = serde_json::to_vec_pretty(&record).map_err(io::Error::other)?;
    files::write(&path(folder, &torrent.info_hash, "json"), &json, Access::Default)
}

/// Removes a torrent: first the record that counts.
pub(super) fn remove(folder: &Path, info_hash: &InfoHash) -> io::Result<()> {
    for extension in ["json", "torrent"] {
        match fs::remove_file(path(folder, info_hash, extension)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Reads all records; one that cannot be read is skipped and warned of.
pub(super) fn load_all(folder: &Path) -> io::Result<Vec<PlantedTorrent>> {
    let mut torrents = Vec::new();
    for entry in fs::read_dir(folder)? {
        let file = entry?.path();
        if file.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        match load(&file) {
            Ok(torrent) => torrents.push(torrent),
            Err(error) => warn!(file = %file.display(), %error, "skipped a record of a planted torrent"),
        }
    }
    Ok(torrents)
}

fn load(file: &Path) -> io::Result<PlantedTorrent> {
    let record: Record = serde_json::from_slice(&fs::read(file)?)?;
    if record.version != VERSION {
        return Err(io::Error::other(format!("it is of version {}, we write {VERSION}", record.version)));
    }
    let magnet = Magnet::parse(&record.magnet).map_err(io::Error::other)?;
    let metainfo = match fs::read(file.with_extension("torrent")) {
        Ok(bytes) => Metainfo::from_torrent(&bytes)
            .ok()
            .filter(|metainfo| metainfo.info_hash() == magnet.info_hash)
            .map(Arc::new),
        Err(_) => None,
    };
    Ok(PlantedTorrent {
        info_hash: magnet.info_hash,
        info_hash_v2: magnet.info_hash_v2,
        metainfo,
        magnet,
        receipts: record.receipts,
        claims: record.claims,
        helped: record.helped,
        alive: record.alive,
        recorded: record.alive,
    })
}
