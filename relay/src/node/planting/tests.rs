//! Rules of planting.

use super::*;
use crate::node::clock;
use anatomic_mesh::api::TorrentFile;
use anatomic_mesh::{Claim, Listing, Withdrawal};

struct Bed {
    folder: PathBuf,
    node: Identity,
}

impl Bed {
    fn new(name: &str) -> Self {
        Self::of(name, 1)
    }

    fn of(name: &str, number: u8) -> Self {
        let folder = std::env::temp_dir().join(format!("anatomic-planting-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        Self { folder, node: Identity::from_seed([number; 32]) }
    }

    fn open(&self, policy: api::Planting) -> Arc<Planting> {
        self.open_by(policy, Clock::system())
    }

    fn open_by(&self, policy: api::Planting, clock: Clock) -> Arc<Planting> {
        let settings = Settings {
            policy,
            planters: vec![planter(2).key()],
            open_bridge: false,
            track_any: false,
            url: "http://127.0.0.1:1".into(),
            limits: Limits { torrents: Some(2), ..Limits::default() },
            folder: self.folder.clone(),
        };
        Planting::open_by(settings, self.node.clone(), clock).unwrap()
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
            at: None,
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
    assert_eq!(changes.try_recv().unwrap(), PlantingChange::Receipts(hash));
    assert_eq!(changes.try_recv().unwrap(), PlantingChange::Receipts(hash));
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
            at: None,
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

const DAY: u64 = 86_400;

#[test]
fn a_torrent_with_neither_lease_nor_peer_for_a_day_is_dropped() {
    let bed = Bed::new("dropped");
    let clock = Clock::by_hand(clock::now());
    let planting = bed.open_by(api::Planting::Open, clock.clone());
    let hash = InfoHash([9; 20]);
    planting.plant(bed.request(&planter(2), None, hash)).unwrap();
    for (days, kept) in [(0, true), (29, true), (1, true), (1, false)] {
        // A little more than the day itself.
        clock.pass(days * DAY + 10);
        planting.tend(|_| false);
        assert_eq!(planting.admits(&hash), kept, "{clock:?}");
    }
    assert_eq!(bed.open(api::Planting::Open).count(), 0, "nor does it come back");
}

#[test]
fn a_lease_that_ended_keeps_a_torrent_whose_last_peer_left_less_than_a_day_ago() {
    let bed = Bed::new("peers");
    let clock = Clock::by_hand(clock::now());
    let planting = bed.open_by(api::Planting::Key, clock.clone());
    let hash = InfoHash([9; 20]);
    planting.plant(bed.request(&planter(2), None, hash)).unwrap();
    clock.pass(10 * DAY);
    planting.tend(|_| true);
    clock.pass(20 * DAY + DAY / 2);
    planting.tend(|_| false);
    assert!(planting.admits(&hash), "the lease ended half a day ago, nobody came for twenty days");
    clock.pass(DAY);
    planting.tend(|_| false);
    assert!(!planting.admits(&hash));
}

#[test]
fn a_living_swarm_renews_the_lease() {
    let bed = Bed::new("renewed");
    let clock = Clock::by_hand(clock::now());
    let planting = bed.open_by(api::Planting::Open, clock.clone());
    let hash = InfoHash([9; 20]);
    let mut changes = planting.subscribe();
    planting.plant(bed.request(&planter(2), None, hash)).unwrap();
    let ends = planting.get(&hash).unwrap().expires();
    clock.pass(14 * DAY);
    planting.tend(|_| true);
    assert_eq!(planting.get(&hash).unwrap().expires(), ends, "more than half is left");
    clock.pass(2 * DAY);
    planting.tend(|_| true);
    assert_eq!(planting.get(&hash).unwrap().expires(), ends.plus(16 * DAY));
    assert_eq!(changes.try_recv().unwrap(), PlantingChange::Planted(hash));
    assert_eq!(changes.try_recv().unwrap(), PlantingChange::Receipts(hash));
}

#[test]
fn a_node_that_was_off_for_days_waits_an_hour_before_it_drops_anything() {
    let bed = Bed::new("off");
    let clock = Clock::by_hand(clock::now());
    let hash = InfoHash([9; 20]);
    bed.open_by(api::Planting::Open, clock.clone()).plant(bed.request(&planter(2), None, hash)).unwrap();
    clock.pass(40 * DAY);
    let planting = bed.open_by(api::Planting::Open, clock.clone());
    planting.tend(|_| false);
    assert!(planting.admits(&hash), "its peers could not announce yet");
    clock.pass(3_700);
    planting.tend(|_| false);
    assert!(!planting.admits(&hash));
}

#[test]
fn a_sister_adopts_by_the_planters_claim_for_as_long_as_the_lease_runs() {
    let (bed, other) = (Bed::new("asks"), Bed::of("asked", 8));
    let torrent = torrent();
    let hash = torrent.info_hash();
    let (planting, asked) = (bed.open(api::Planting::Open), other.open(api::Planting::Key));
    planting.plant(bed.request(&planter(2), Some(&torrent), hash)).unwrap();
    let sister = Key([5; 32]);
    let request = planting.adoption(&hash, other.node.key(), &[sister], None).unwrap();
    let receipt = asked.adopt(&request).unwrap().receipt;
    assert_eq!(
        (receipt.planter, receipt.expires),
        (planter(2).key(), planting.get(&hash).unwrap().expires())
    );
    assert_eq!(receipt.sisters, [bed.node.key(), sister]);
    assert!(asked.get(&hash).unwrap().metainfo.is_some());
    assert_eq!(asked.adopt(&request).unwrap().receipt, receipt, "asked twice, one receipt");
    // Who was adopted can have it adopted further.
    let third = Bed::of("third", 7);
    let request = asked.adoption(&hash, third.node.key(), &[], None).unwrap();
    assert!(third.open(api::Planting::Key).adopt(&request).is_ok());
    // A planter that the host does not know gets nothing in by a sister either.
    planting.plant(bed.request(&planter(3), None, InfoHash([1; 20]))).unwrap();
    let request = planting.adoption(&InfoHash([1; 20]), other.node.key(), &[], None).unwrap();
    assert_eq!(asked.adopt(&request).unwrap_err().code, codes::PLANTING_OFF);
}

#[test]
fn new_sisters_are_named_in_the_receipts_and_change_no_lease() {
    let bed = Bed::new("sisters");
    let planting = bed.open(api::Planting::Open);
    let hash = InfoHash([9; 20]);
    planting.plant(bed.request(&planter(2), None, hash)).unwrap();
    let ends = planting.get(&hash).unwrap().expires();
    planting.set_sisters(&hash, &[Key([6; 32]), bed.node.key(), Key([5; 32])]).unwrap();
    assert_eq!(planting.sisters(&hash), [Key([5; 32]), Key([6; 32])]);
    assert_eq!(bed.open(api::Planting::Open).get(&hash).unwrap().expires(), ends);
}
