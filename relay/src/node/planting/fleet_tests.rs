//! Rules of planting in a fleet: two processes with one key, each with its own folder.

use super::*;
use crate::node::clock::{self, Clock};
use crate::node::planting::Settings;
use anatomic_mesh::api::{self, Limits, PlantRequest, WithdrawRequest};
use anatomic_mesh::{Identity, Listing, Withdrawal};
use std::path::PathBuf;
use std::sync::Mutex;

const HASH: InfoHash = InfoHash([1; 20]);

struct Process {
    folder: PathBuf,
    planting: Arc<Planting>,
}

fn process(name: &str, clock: &Clock) -> Process {
    let folder = std::env::temp_dir().join(format!("anatomic-fleet-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    let settings = Settings {
        policy: api::Planting::Open,
        planters: vec![],
        open_bridge: false,
        track_any: false,
        url: "http://127.0.0.1:1".into(),
        limits: Limits::default(),
        folder: folder.clone(),
    };
    let planting = Planting::open_by(settings, Identity::from_seed([1; 32]), clock.clone()).unwrap();
    Process { folder, planting }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Process {
    fn plant(&self, planter: &Identity, now: UnixTime) {
        self.try_plant(planter, now).unwrap();
    }

    fn try_plant(&self, planter: &Identity, now: UnixTime) -> Result<(), Problem> {
        let claim = Claim {
            info_hash: HASH,
            info_hash_v2: None,
            node: self.planting.key(),
            planter: planter.key(),
            sisters: vec![],
            listing: Listing::Listed,
            issued: now,
            at: None,
        };
        let claim = Signed::new(claim, planter).unwrap();
        self.planting.plant(PlantRequest { claim, torrent: None, trackers: vec![] }).map(drop)
    }

    fn withdraw(&self, planter: &Identity, now: UnixTime) {
        let withdrawal = Withdrawal {
            info_hash: HASH,
            node: self.planting.key(),
            planter: planter.key(),
            reach: anatomic_mesh::Reach::Here,
            issued: now,
            at: None,
        };
        let withdrawal = Signed::new(withdrawal, planter).unwrap();
        self.planting.withdraw(&WithdrawRequest { withdrawal }).unwrap();
    }

    /// Tells the other what is known of the torrent; whether the other agrees then.
    fn tell(&self, other: &Self) -> bool {
        let agreed = Mutex::new(None);
        if let Some(told) = self.planting.for_fleet(&HASH) {
            other.planting.merge(HASH, &told, |digest| *agreed.lock().unwrap() = Some(digest)).unwrap();
        }
        let agrees = *agreed.lock().unwrap() == Some(self.planting.digest(&HASH));
        assert!(!agrees || self.planting.digest(&HASH) == other.planting.digest(&HASH));
        agrees
    }
}

#[test]
fn a_torrent_planted_at_one_process_is_planted_at_all_and_withdrawn_at_all() {
    let clock = Clock::by_hand(clock::now());
    let (one, two) = (process("one", &clock), process("two", &clock));
    let (ann, bob) = (Identity::from_seed([7; 32]), Identity::from_seed([8; 32]));
    let planted_at = clock.now();
    one.plant(&ann, clock.now());
    assert!(one.tell(&two));
    two.plant(&bob, clock.now());
    assert!(two.tell(&one));
    assert_eq!((one.planting.get(&HASH).unwrap().receipts.len(), one.planting.count()), (2, 1));

    // While the other is away a planter takes its word back: the other does not bring it back.
    clock.pass(60);
    one.withdraw(&ann, clock.now());
    one.withdraw(&bob, clock.now());
    assert_eq!(one.planting.count(), 0);
    assert!(!two.tell(&one));
    assert_eq!(one.planting.count(), 0, "what was withdrawn stays so");
    assert!(one.tell(&two));
    assert_eq!(two.planting.count(), 0, "and the other hears of it");
    assert_eq!(one.planting.digests(), two.planting.digests());

    // Nobody plays the claim back at the other.
    assert!(two.try_plant(&ann, planted_at).is_err());

    // Planted again, even at once, it is younger than the withdrawal.
    two.plant(&ann, clock.now());
    assert!(two.tell(&one));
    assert_eq!(one.planting.get(&HASH).unwrap().receipts.len(), 1);
    assert_eq!(load(&one.folder).len(), 2, "withdrawals outlive the process");
}

#[test]
fn what_the_fleets_key_did_not_sign_is_passed_over() {
    let clock = Clock::by_hand(clock::now());
    let one = process("signed", &clock);
    let stranger = Identity::from_seed([3; 32]);
    let receipt = |node: &Identity, info_hash| {
        let receipt = Receipt {
            info_hash,
            info_hash_v2: None,
            node: node.key(),
            url: "http://127.0.0.1:1".into(),
            planter: stranger.key(),
            sisters: vec![],
            listing: Listing::Listed,
            issued: clock.now(),
            claimed: None,
            expires: clock.now().plus(1_000),
        };
        Signed::new(receipt, node).unwrap().as_bytes().to_vec()
    };
    let own = Identity::from_seed([1; 32]);
    let receipts = vec![receipt(&stranger, HASH), receipt(&own, InfoHash([2; 20])), vec![1, 2, 3]];
    let told = Planted { receipts, magnet: "nonsense".into(), ..Planted::default() };
    one.planting.merge(HASH, &told, |_| {}).unwrap();
    assert_eq!(one.planting.count(), 0);
    let told = Planted { receipts: vec![receipt(&own, HASH)], torrent: Some(vec![0; 10]), ..told };
    one.planting.merge(HASH, &told, |_| {}).unwrap();
    assert_eq!(one.planting.count(), 1);
}
