//! A download that takes its time: one node, and one classic seed that gives so much a second and no more.
//!
//! Who downloads, and what happens to it on the way, is the tests' business.

use std::path::Path;

use crate::anatomic::Anatomic;
use crate::content;
use crate::scene::Scene;
use crate::torrent::{self, Torrent};
use crate::transmission::Transmission;

/// A planted torrent whose only seed, Transmission, is slow.
pub struct Slow {
    /// Node, supernode and page.
    pub node: Anatomic,
    /// The seed.
    pub seed: Transmission,
    /// What is downloaded.
    pub torrent: Torrent,
    /// The planted link.
    pub link: String,
    /// SHA-256 of the content.
    pub digest: String,
    /// Bytes of content.
    pub length: u64,
}

impl Slow {
    /// Plants `file`, in pieces of `piece_kib` KiB, and seeds it with `kib` KiB a second.
    ///
    /// # Panics
    /// When the file cannot be read, or something does not start.
    pub async fn start(scene: &Scene, file: &Path, piece_kib: u32, kib: u32) -> Self {
        let node = Anatomic::up(scene).await;
        let (digest, length) = (content::sha256(file), file.metadata().expect("a file").len());
        let torrent = torrent::make(file, &scene.path("slow.torrent"), &[&node.announce()], piece_kib);
        let planted = node.plant(scene, &torrent.path, &[]).await;
        let seed = Transmission::start(scene, "transmission").await;
        seed.limit_upload(Some(kib)).await;
        seed.seed(&torrent, file.parent().expect("the content's folder")).await;
        let link = planted["link"].as_str().expect("a link").to_owned();
        Self { node, seed, torrent, link, digest, length }
    }
}
