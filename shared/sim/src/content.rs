//! Torrents of random bytes, with their metainfo.
//!
//! Made without files: the creator of `core` is fed from memory by hand here, so that odd shapes can be made too.

use anatomic_core::bencode::Item;
use anatomic_core::{Block, InfoHash, Metainfo, PieceIndex};
use bytes::Bytes;
use sha1::{Digest, Sha1};
use std::sync::Arc;

/// A torrent and its bytes.
#[derive(Clone, Debug)]
pub struct Content {
    /// The metainfo.
    pub metainfo: Arc<Metainfo>,
    /// All bytes, padding included.
    pub data: Bytes,
}

impl Content {
    /// One file of `length` random bytes.
    #[must_use]
    pub fn random(seed: u64, length: usize, piece_length: u32) -> Self {
        Self::files(seed, &[("file", length)], piece_length)
    }

    /// Files of random bytes; a name that starts with `.pad` makes a pad file of zeros (BEP 47).
    ///
    /// # Panics
    /// If that makes no torrent: a mistake in a test.
    #[must_use]
    pub fn files(seed: u64, files: &[(&str, usize)], piece_length: u32) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut data = Vec::new();
        let mut list = Vec::new();
        for (name, length) in files {
            let is_pad = name.starts_with(".pad");
            let start = data.len();
            data.resize(start + length, 0);
            if !is_pad && let Some(fresh) = data.get_mut(start..) {
                rng.fill(fresh);
            }
            let mut entry = vec![
                ("length", Item::Integer(i64::try_from(*length).unwrap_or(0))),
                ("path", Item::List(vec![Item::Bytes(name.as_bytes().to_vec())])),
            ];
            if is_pad {
                entry.push(("attr", Item::Bytes(b"p".to_vec())));
            }
            list.push(Item::dict(entry));
        }
        let mut pieces = Vec::new();
        for piece in data.chunks(piece_length as usize) {
            pieces.extend_from_slice(&Sha1::digest(piece));
        }
        let mut info = vec![
            ("name", Item::Bytes(format!("content {seed}").into_bytes())),
            ("piece length", Item::Integer(i64::from(piece_length))),
            ("pieces", Item::Bytes(pieces)),
        ];
        if let [(_, length)] = files {
            info.push(("length", Item::Integer(i64::try_from(*length).unwrap_or(0))));
        } else {
            info.push(("files", Item::List(list)));
        }
        let info = Item::dict(info).to_bytes();
        let metainfo =
            match Metainfo::from_info(info.into(), vec![vec!["http://tracker/announce".into()]], vec![]) {
                Ok(metainfo) => metainfo,
                #[expect(clippy::panic)]
                Err(error) => panic!("not a torrent: {error}"),
            };
        Self { metainfo: Arc::new(metainfo), data: data.into() }
    }

    /// Its name on the wire.
    #[must_use]
    pub fn info_hash(&self) -> InfoHash {
        self.metainfo.info_hash()
    }

    /// The bytes of a piece.
    #[must_use]
    pub fn piece(&self, piece: PieceIndex) -> Bytes {
        let geometry = self.metainfo.geometry();
        let block = Block { piece, offset: 0, length: geometry.length_of(piece) };
        let start = usize::try_from(geometry.start_of(piece)).unwrap_or(usize::MAX);
        self.data.slice(start..start + block.length as usize)
    }
}
