//! How much is left, and what planting hears of it.

use super::*;
use crate::node::identity;
use crate::node::planting;
use anatomic_mesh::UnixTime;
use anatomic_mesh::api::{Limits, Planting as Policy};

fn budget(name: &str, options: Options, clock: &Clock) -> (Arc<Budget>, PathBuf) {
    let folder = std::env::temp_dir().join(format!("anatomic-budget-{name}-{}", std::process::id()));
    let identity = identity::load_or_create(&folder.join("key")).unwrap();
    let settings = planting::Settings {
        policy: Policy::Open,
        planters: vec![],
        open_bridge: false,
        track_any: false,
        url: "http://127.0.0.1:1".into(),
        limits: Limits { torrents: Some(10), ..Limits::default() },
        folder: folder.join("planted"),
    };
    let planting = Planting::open(settings, identity).unwrap();
    let file = folder.join("spent");
    (Budget::open_by(options, file, Sent::default(), planting, clock.clone()), folder)
}

fn a_day_of(bytes: u64) -> Options {
    Options { budget_day: Some(Bytes(bytes)), ..Options::default() }
}

#[test]
fn near_its_budget_a_node_takes_no_new_torrents_and_the_next_day_it_does_again() {
    let clock = Clock::by_hand(UnixTime(1_798_761_600));
    let (budget, folder) = budget("near", a_day_of(1_000), &clock);
    assert_eq!((budget.judge(899, 0, &[]), budget.planting.free()), (Level::Plenty, Some(10)));
    assert_eq!((budget.judge(1, 0, &[]), budget.planting.free()), (Level::Near, Some(0)));
    assert_eq!(budget.judge(100, 0, &[]), Level::Spent);
    clock.pass(86_400);
    assert_eq!((budget.judge(0, 0, &[]), budget.planting.free()), (Level::Plenty, Some(10)));
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn what_was_spent_is_known_from_the_first_moment_after_a_crash() {
    let clock = Clock::by_hand(UnixTime(1_798_761_600));
    let (before, folder) = budget("crash", a_day_of(1_000), &clock);
    before.judge(1_000, 0, &[]);
    before.write().unwrap();
    let (after, _) = budget("crash", a_day_of(1_000), &clock);
    assert_eq!((after.level(), after.planting.free()), (Level::Spent, Some(0)));
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn full_swarms_and_sockets_hand_load_on_but_nothing_rests_for_them() {
    let clock = Clock::by_hand(UnixTime(1_798_761_600));
    let (budget, folder) = budget("counts", Options::default(), &clock);
    assert_eq!(budget.judge(u64::MAX / 2, 1 << 40, &[(89, 100), (0, 100)]), Level::Plenty);
    assert_eq!(budget.judge(0, 0, &[(90, 100), (0, 100)]), Level::Near);
    assert_eq!(budget.judge(0, 0, &[(0, 100), (100, 100)]), Level::Near);
    let memory = Options { max_memory: Some(Bytes(1 << 20)), ..Options::default() };
    let (budget, other) = self::budget("memory", memory, &clock);
    assert_eq!(budget.judge(0, 1 << 20, &[]), Level::Spent);
    for folder in [folder, other] {
        std::fs::remove_dir_all(folder).unwrap();
    }
}
