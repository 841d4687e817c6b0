//! Rules of planting.

use super::*;
use anatomic_mesh::api::TorrentFile;
use anatomic_mesh::{Claim, Withdrawal};

struct Bed {
    folder: PathBuf,
    node: Identity,
}

impl Bed {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("anatomic-planting-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        Self { folder, node: Identity::from_seed([1; 32]) }
    }

    fn open(&self, policy: api::Planting) -> Arc<Planting> {
        let settings = Settings {
            policy,
            planters: vec![planter(2).key()],
            open_bridge: false,
            url: "http://127.0.0.1:1".into(),
            limits: Limits { torrents: Some(2), ..Limits::default() },
            folder: self.folder.clone(),
        };
        Planting::open(settings, self.node.clone()).unwrap()
    }

    fn request(&self, planter: &Identity, torrent: Option<&Metainfo>, info_hash: InfoHash) -> PlantRequest {
        let claim = Claim {
            info_hash,
            info_hash_v2: None,
            node: self.node.key(),
            planter: planter.key(),
            sisters: vec![],
            listing: Listing::Listed,
            issued: clock::now(),
        };
        PlantRequest {
            claim: Signed::new(claim, planter).unwrap(),
            torrent: torrent.map(|torrent| TorrentFile(torrent.to_torrent())),
            trackers: vec!["http://127.0.0.1:1/announce".into(), "http://t.example/announce".into()],
        }
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn planter(number: u8) -> Identity {
    Identity::from_seed([number; 32])
}

fn torrent() -> Metainfo {
    let info = format!("d6:lengthi5e4:name1:a12:piece lengthi16384e6:pieces20:{}e", "h".repeat(20));
    Metainfo::from_info(info.into(), Vec::new(), Vec::new()).unwrap()
}

#[test]
fn a_planted_torrent_survives_a_restart_with_its_receipts_and_metadata() {
    let bed = Bed::new("restart");
    let torrent = torrent();
    let hash = torrent.info_hash();
    let planting = bed.open(api::Planting::Open);
    assert!(!planting.admits(&hash));
    let planted = planting.plant(bed.request(&planter(2), Some(&torrent), hash)).unwrap();
    assert_eq!((planted.receipt.node, planted.receipt.check_time(clock::now())), (bed.node.key(), Ok(())));
    drop(planting);
    let planting = bed.open(api::Planting::Open);
    let read = planting.get(&hash).unwrap();
    assert!(planting.admits(&hash));
    assert_eq!(
        (read.receipts.len(), read.metainfo.is_some(), read.magnet.name.as_deref()),
        (1, true, Some("a"))
    );
    let foreign = read.foreign_trackers("http://127.0.0.1:1");
    assert!(foreign.is_empty() || foreign == [["http://t.example/announce"]], "{foreign:?}");
}

#[test]
fn planting_again_renews_and_a_second_planter_gets_a_receipt_of_its_own() {
    let bed = Bed::new("again");
    let planting = bed.open(api::Planting::Open);
    let mut changes = planting.subscribe();
    let hash = InfoHash([9; 20]);
    for number in [2, 2, 3] {
        planting.plant(bed.request(&planter(number), None, hash)).unwrap();
    }
    assert_eq!(planting.get(&hash).unwrap().receipts.len(), 2);
    assert_eq!(changes.try_recv().unwrap(), PlantingChange::Planted(hash));
    assert!(changes.try_recv().is_err());
}

#[test]
fn the_host_decides_who_may_plant() {
    let bed = Bed::new("policy");
    let hash = InfoHash([9; 20]);
    let code = |policy, number| {
        bed.open(policy).plant(bed.request(&planter(number), None, hash)).map_err(|p| p.code)
    };
    assert_eq!(code(api::Planting::Off, 2).unwrap_err(), codes::PLANTING_OFF);
    assert_eq!(code(api::Planting::Key, 3).unwrap_err(), codes::PLANTING_OFF);
    assert!(code(api::Planting::Key, 2).is_ok());
}

#[test]
fn a_claim_for_another_node_or_another_torrent_is_refused() {
    let bed = Bed::new("claim");
    let planting = bed.open(api::Planting::Open);
    let other = Bed { folder: PathBuf::from("/nonexistent"), node: Identity::from_seed([8; 32]) };
    let refused = planting.plant(other.request(&planter(2), None, InfoHash([9; 20]))).unwrap_err();
    assert_eq!(refused.code, codes::SIGNATURE);
    let refused = planting.plant(bed.request(&planter(2), Some(&torrent()), InfoHash([9; 20]))).unwrap_err();
    assert_eq!(refused.code, codes::TORRENT);
    assert_eq!(planting.count(), 0);
}

#[test]
fn a_full_node_says_so_and_still_renews() {
    let bed = Bed::new("full");
    let planting = bed.open(api::Planting::Open);
    for byte in [1, 2] {
        planting.plant(bed.request(&planter(2), None, InfoHash([byte; 20]))).unwrap();
    }
    assert_eq!(
        planting.plant(bed.request(&planter(2), None, InfoHash([3; 20]))).unwrap_err().code,
        codes::FULL
    );
    assert!(planting.plant(bed.request(&planter(2), None, InfoHash([1; 20]))).is_ok());
}

#[test]
fn only_its_planter_unplants_and_the_last_one_takes_the_torrent_along() {
    let bed = Bed::new("withdraw");
    let planting = bed.open(api::Planting::Open);
    let hash = InfoHash([9; 20]);
    planting.plant(bed.request(&planter(2), None, hash)).unwrap();
    let withdraw = |number: u8| {
        let identity = planter(number);
        let withdrawal = Withdrawal {
            info_hash: hash,
            node: bed.node.key(),
            planter: identity.key(),
            reach: anatomic_mesh::Reach::Here,
            issued: clock::now(),
        };
        planting.withdraw(&WithdrawRequest { withdrawal: Signed::new(withdrawal, &identity).unwrap() })
    };
    assert_eq!(withdraw(3).unwrap_err().code, codes::NOT_FOUND);
    withdraw(2).unwrap();
    assert!(!planting.admits(&hash));
    assert_eq!(bed.open(api::Planting::Open).count(), 0);
}

#[test]
fn metadata_found_later_is_kept() {
    let bed = Bed::new("later");
    let torrent = torrent();
    let hash = torrent.info_hash();
    let planting = bed.open(api::Planting::Open);
    planting.plant(bed.request(&planter(2), None, hash)).unwrap();
    planting.set_metainfo(Arc::new(torrent)).unwrap();
    let read = bed.open(api::Planting::Open).get(&hash).unwrap();
    assert!(read.metainfo.is_some());
}
