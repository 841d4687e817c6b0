//! The demo torrent: made by this program, seeded by this process, planted on its own node.
//!
//! So that a fresh machine has a link to open. An ordinary torrent in every respect; its content is the same everywhere, and
//! so is its info-hash.

mod content;

use crate::bridge::Bridge;
use crate::driver::SessionError;
use crate::http::App;
use crate::node::{clock, files};
use anatomic_core::create::{Hasher, Options, Plan, Source};
use anatomic_core::{Magnet, Metainfo};
use anatomic_mesh::api::{Handover, PlantRequest, TorrentFile};
use anatomic_mesh::{Claim, Listing, PlantedLink, Signed};
use std::path::Path;
use std::sync::Arc;

/// Name of the torrent and of its folder.
const NAME: &str = "Anatomic demo";

/// Makes the content where it is missing, seeds and plants it; returns the planted link.
///
/// # Errors
/// Why there is no demo, in one line.
pub async fn start(app: &App, bridge: &Bridge, folder: &Path) -> Result<String, String> {
    let folder = folder.to_owned();
    let root = folder.clone();
    let metainfo = tokio::task::spawn_blocking(move || make(&root))
        .await
        .map_err(|error| error.to_string())?
        .map_err(|error| error.to_string())?;
    let metainfo = Arc::new(metainfo);
    match bridge.seed(metainfo.clone(), folder).await {
        Ok(()) | Err(SessionError::AlreadyAdded(_)) => {}
        Err(error) => return Err(error.to_string()),
    }
    plant(app, &metainfo).await
}

async fn plant(app: &App, metainfo: &Metainfo) -> Result<String, String> {
    let (Some(planting), Some(entry)) = (&app.planting, app.node_entry()) else {
        return Err("this process is no node".into());
    };
    let identity = &app.about.identity;
    let claim = Claim {
        info_hash: metainfo.info_hash(),
        info_hash_v2: metainfo.info_hash_v2(),
        node: identity.key(),
        planter: identity.key(),
        sisters: Vec::new(),
        listing: Listing::Listed,
        issued: clock::now(),
        at: None,
    };
    let claim = Signed::new(claim, identity).map_err(|error| error.to_string())?;
    let torrent = Some(TorrentFile(metainfo.to_torrent()));
    let request = PlantRequest { claim, torrent: torrent.clone(), trackers: Vec::new() };
    let planted = planting.plant(request).map_err(|problem| problem.to_string())?;
    let mut supernodes = app.about.supernodes.clone();
    if let Some(supernode) = &app.supernode {
        let handover = Handover { receipts: vec![planted.receipt], torrent, name: None, length: None };
        supernode.hand_over(handover).await.map_err(|problem| problem.to_string())?;
        supernodes.insert(0, app.about.url.clone());
    }
    Ok(PlantedLink::new(&app.about.url, Magnet::of(metainfo), &[entry], &supernodes).to_string())
}

/// Writes the files that are not there, and the torrent of them.
fn make(folder: &Path) -> std::io::Result<Metainfo> {
    let mut sources = Vec::new();
    let mut all = Vec::new();
    for (name, bytes) in content::files() {
        let path = folder.join(NAME).join(name);
        if std::fs::metadata(&path).map_or(0, |found| found.len()) != bytes.len() as u64 {
            files::write(&path, &bytes, files::Access::Default)?;
        }
        sources.push(Source { path: vec![name.to_owned()], length: bytes.len() as u64 });
        all.push((name, bytes));
    }
    let options = Options { comment: Some("Made by Anatomic itself".into()), ..Options::default() };
    let plan = Plan::folder(NAME, sources, options).map_err(std::io::Error::other)?;
    let order: Vec<_> = plan.sources().iter().filter_map(|source| source.path.first().cloned()).collect();
    let mut hasher = Hasher::new(plan);
    for wanted in order {
        if let Some((_, bytes)) = all.iter().find(|(name, _)| **name == wanted) {
            hasher.feed(bytes);
        }
    }
    hasher.finish().map_err(std::io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demo_is_the_same_torrent_on_every_machine() {
        let folder = std::env::temp_dir().join(format!("anatomic-demo-{}", std::process::id()));
        let first = make(&folder).unwrap();
        let again = make(&folder).unwrap();
        assert_eq!(first.info_hash(), again.info_hash());
        assert_eq!(first.files().len(), 3);
        let length: u64 = first.files().iter().map(|file| file.length).sum();
        assert!((1_000_000..10_000_000).contains(&length), "{length}");
        std::fs::remove_dir_all(folder).unwrap();
    }
}
