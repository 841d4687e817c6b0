//! Rules of a fleet, on a bus in memory that can be away or lose what it carries.

use super::message::{Digest, Message, Planted, ProcessId, Said, Visit};
use super::spent::Account;
use super::state::{Config, Fleet, Output};
use crate::identity::Key;
use crate::sharing::contact::{Contact, Packed, SharedPeer};
use crate::sharing::message::SwarmNews;
use crate::signed::UnixTime;
use anatomic_core::{InfoHash, PeerId, Time};
use anatomic_wire::tracker::websocket::{Offer, OfferId};
use fastrand::Rng;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const HASH: InfoHash = InfoHash([1; 20]);
const SISTER: Key = Key([6; 32]);

/// A process: the machine, its own peers, and what it heard of others'.
struct Process {
    id: ProcessId,
    fleet: Fleet,
    connected: bool,
    own: BTreeSet<Contact>,
    heard: BTreeMap<(ProcessId, Contact), u64>,
    gone: Vec<ProcessId>,
    /// Who handed on what sisters say, and of which sisters.
    told: Option<(ProcessId, u64)>,
    visits: BTreeSet<Key>,
    spent: Vec<u64>,
    sisters: Vec<Vec<u8>>,
    recite: bool,
}

struct Bus {
    now: Time,
    processes: Vec<Process>,
    lose: bool,
}

fn browser(number: u8) -> Contact {
    Contact::Browser(PeerId([number; 20]))
}

fn news(gained: &[Contact], lost: &[Contact]) -> SwarmNews {
    let (mut plus, mut minus) = (Packed::default(), Packed::default());
    for contact in gained {
        plus.push_gained(&SharedPeer { contact: *contact, seed: false, bridge: false, age: 0 });
    }
    lost.iter().for_each(|contact| minus.push_lost(contact));
    SwarmNews { info_hash: HASH, gained: plus, lost: minus, counts: None, waits: false }
}

impl Bus {
    fn new() -> Self {
        Self { now: Time::from_secs(100), processes: Vec::new(), lose: false }
    }

    fn start(&mut self) -> usize {
        let number = self.processes.len() as u64;
        let id = ProcessId(1_000 - number);
        let mut fleet = Fleet::new(Config::default(), id, 5_000 + number);
        fleet.handle_connected(self.now);
        self.processes.push(Process {
            id,
            fleet,
            connected: true,
            own: BTreeSet::new(),
            heard: BTreeMap::new(),
            gone: Vec::new(),
            told: None,
            visits: BTreeSet::new(),
            spent: Vec::new(),
            sisters: Vec::new(),
            recite: false,
        });
        self.carry();
        self.processes.len() - 1
    }

    fn comes(&mut self, at: usize, contact: Contact) {
        self.processes[at].own.insert(contact);
        self.processes[at].fleet.tell(vec![news(&[contact], &[])]);
        self.carry();
    }

    fn goes(&mut self, at: usize, contact: Contact) {
        self.processes[at].own.remove(&contact);
        self.processes[at].fleet.tell(vec![news(&[], &[contact])]);
        self.carry();
    }

    fn carry(&mut self) {
        loop {
            let mut mail = Vec::new();
            for (number, process) in self.processes.iter_mut().enumerate() {
                while let Some(output) = process.fleet.poll_output() {
                    match output {
                        Output::Send { to, bytes } => mail.push((number, to, bytes)),
                        Output::Learned { mate, recital, swarms, visits } => {
                            if let Some(visits) = visits {
                                process.told = Some((mate, recital));
                                process.visits.extend(visits.into_iter().map(|visit| visit.sister));
                            }
                            for news in swarms {
                                for peer in news.gained.gained() {
                                    process.heard.insert((mate, peer.contact), recital);
                                }
                                for contact in news.lost.lost() {
                                    process.heard.remove(&(mate, contact));
                                }
                            }
                        }
                        Output::Settled { mate, recital } => {
                            process.heard.retain(|(other, _), at| *other != mate || *at == recital);
                        }
                        Output::Gone(mate) => {
                            process.heard.retain(|(other, _), _| *other != mate);
                            process.gone.push(mate);
                        }
                        Output::Spent(accounts) => {
                            process.spent.extend(accounts.iter().map(|account| account.id));
                        }
                        Output::Sisters(receipts) => process.sisters = receipts,
                        Output::Recite => process.recite = true,
                        _ => {}
                    }
                }
                if std::mem::take(&mut process.recite) {
                    let own: Vec<Contact> = process.own.iter().copied().collect();
                    for contact in &own {
                        process.fleet.recite(vec![news(&[*contact], &[])], vec![], vec![], false);
                    }
                    let visits = vec![Visit { sister: SISTER, news: news(&[browser(200)], &[]) }];
                    process.fleet.recite(vec![], visits, vec![], true);
                }
            }
            if mail.is_empty() {
                return;
            }
            for (from, to, bytes) in mail {
                for (number, process) in self.processes.iter_mut().enumerate() {
                    let meant = to.is_none_or(|to| to == process.id) && number != from;
                    if meant && process.connected && !self.lose {
                        process.fleet.handle_message(self.now, &bytes);
                    }
                }
            }
        }
    }

    fn pass(&mut self, seconds: u64) {
        for _ in 0..seconds * 10 {
            self.now += Duration::from_millis(100);
            for process in &mut self.processes {
                if process.fleet.poll_timeout() <= self.now {
                    process.fleet.handle_timeout(self.now);
                    assert!(process.fleet.poll_timeout() > self.now, "a timeout that was handled is over");
                }
            }
            self.carry();
        }
    }

    fn knows(&self, at: usize, of: usize) -> BTreeSet<Contact> {
        let id = self.processes[of].id;
        let heard = self.processes[at].heard.keys();
        heard.filter(|(mate, _)| *mate == id).map(|(_, contact)| *contact).collect()
    }

    fn speakers(&self) -> Vec<usize> {
        (0..self.processes.len()).filter(|number| self.processes[*number].fleet.speaks()).collect()
    }
}

#[test]
fn a_late_process_asks_and_is_told_everything_once() {
    let mut bus = Bus::new();
    let (one, two) = (bus.start(), bus.start());
    bus.pass(5);
    for number in 0..20 {
        bus.comes(one, browser(number));
    }
    bus.comes(two, browser(99));
    assert_eq!(bus.knows(two, one).len(), 20, "news need no recital");
    let recited = bus.processes[one].fleet.counters().recited;
    let late = bus.start();
    bus.pass(4);
    assert_eq!(bus.knows(late, one), bus.processes[one].own);
    assert_eq!(bus.knows(late, two), bus.processes[two].own);
    assert_eq!(bus.processes[one].fleet.counters().recited, recited + 1);
    bus.pass(60);
    assert_eq!(bus.processes[one].fleet.counters().recited, recited + 1, "and never again");
}

#[test]
fn a_lost_message_is_missed_and_made_up_for() {
    let mut bus = Bus::new();
    let (one, two) = (bus.start(), bus.start());
    bus.pass(5);
    bus.comes(one, browser(1));
    bus.lose = true;
    bus.goes(one, browser(1));
    bus.comes(one, browser(2));
    bus.lose = false;
    assert_eq!(bus.knows(two, one), [browser(1)].into());
    bus.pass(8);
    assert_eq!(bus.knows(two, one), [browser(2)].into(), "what came is there and what went is gone");
}

#[test]
fn a_silent_process_is_gone_and_one_that_says_goodbye_at_once() {
    let mut bus = Bus::new();
    let (one, two, three) = (bus.start(), bus.start(), bus.start());
    bus.pass(5);
    bus.comes(one, browser(1));
    bus.comes(two, browser(2));
    bus.processes[one].fleet.leave();
    bus.carry();
    bus.processes[one].fleet.handle_disconnected();
    assert!(bus.knows(three, one).is_empty());
    // The other is killed.
    bus.processes[two].connected = false;
    bus.processes[two].fleet.handle_disconnected();
    bus.pass(4);
    assert!(!bus.knows(three, two).is_empty());
    bus.pass(4);
    assert!(bus.knows(three, two).is_empty());
    assert_eq!(bus.processes[three].gone.len(), 2);
}

#[test]
fn while_the_bus_is_away_each_goes_on_alone_and_then_all_catch_up() {
    let mut bus = Bus::new();
    let (one, two) = (bus.start(), bus.start());
    bus.pass(5);
    bus.comes(one, browser(1));
    assert_eq!(bus.speakers(), [one]);
    for process in &mut bus.processes {
        process.connected = false;
        process.fleet.handle_disconnected();
    }
    bus.comes(one, browser(2));
    bus.comes(two, browser(3));
    bus.pass(30);
    assert!(bus.knows(two, one).is_empty(), "nobody is reached any more");
    assert_eq!(bus.speakers(), [one], "and nobody else begins to speak");
    for process in &mut bus.processes {
        process.connected = true;
        process.fleet.handle_connected(bus.now);
    }
    bus.pass(10);
    assert_eq!(bus.knows(two, one), bus.processes[one].own);
    assert_eq!(bus.knows(one, two), bus.processes[two].own);
    assert_eq!(bus.speakers(), [one]);
}

#[test]
fn the_oldest_speaks_alone_and_the_next_when_it_is_gone() {
    let mut bus = Bus::new();
    let one = bus.start();
    assert!(bus.speakers().is_empty(), "first it listens");
    bus.pass(5);
    assert_eq!(bus.speakers(), [one]);
    let (two, three) = (bus.start(), bus.start());
    for _ in 0..10 {
        bus.pass(1);
        assert_eq!(bus.speakers(), [one]);
    }
    bus.processes[one].fleet.leave();
    bus.carry();
    bus.processes[one].connected = false;
    bus.processes[one].fleet.handle_disconnected();
    bus.pass(5);
    assert_eq!(bus.speakers(), [one, two], "it does not know that it went");
    let _ = three;
}

#[test]
fn what_sisters_say_is_handed_on_by_the_one_who_speaks_to_them() {
    let mut bus = Bus::new();
    let (one, two) = (bus.start(), bus.start());
    bus.pass(5);
    assert!(bus.processes[two].visits.is_empty(), "nobody spoke when they met");
    let visit = |key: u8| vec![Visit { sister: Key([key; 32]), news: news(&[browser(9)], &[]) }];
    bus.processes[two].fleet.hand_on(visit(1));
    bus.processes[one].fleet.hand_on(visit(2));
    bus.carry();
    assert!(bus.processes[one].visits.is_empty(), "the younger has no word from them");
    assert_eq!(bus.processes[two].visits, [Key([2; 32])].into());
    let first = bus.processes[two].told;
    // Who comes later is told with everything else.
    let late = bus.start();
    bus.pass(4);
    assert_eq!(bus.processes[late].visits, [SISTER].into());
    assert_eq!(bus.processes[late].told.map(|(mate, _)| mate), Some(bus.processes[one].id));
    assert_eq!(bus.processes[two].told, first, "it missed nothing and takes no recital");
}

#[test]
fn malformed_messages_are_counted_and_harm_nothing() {
    let mut rng = Rng::with_seed(7);
    let mut fleet = Fleet::new(Config::default(), ProcessId(1), 1);
    fleet.handle_connected(Time::ZERO);
    let good: Vec<Vec<u8>> = every_kind().into_iter().map(|message| message.encode()).collect();
    for round in 0..20_000 {
        let mut bytes = good[round % good.len()].clone();
        match rng.u8(..3) {
            0 => bytes.truncate(rng.usize(..bytes.len())),
            1 => {
                let at = rng.usize(..bytes.len());
                bytes[at] = rng.u8(..);
            }
            _ => bytes = (0..rng.usize(..200)).map(|_| rng.u8(..)).collect(),
        }
        fleet.handle_message(Time::from_millis(round as u64), &bytes);
        while fleet.poll_output().is_some() {}
        let _ = fleet.poll_timeout();
    }
    let counters = fleet.counters();
    assert!(counters.malformed > 10_000 && counters.received == 20_000, "{counters:?}");
    assert!(fleet.mates() <= Config::default().mates);
}

#[test]
fn what_was_spent_is_told_by_all_and_who_the_sisters_are_by_the_one_who_speaks() {
    let mut bus = Bus::new();
    let (old, young) = (bus.start(), bus.start());
    bus.pass(10);
    assert_eq!(bus.speakers(), [old]);
    for at in [old, young] {
        let id = at as u64 + 1;
        bus.processes[at].fleet.spent(vec![Account { id, ..Account::default() }]);
        bus.processes[at].fleet.sisters(vec![vec![id as u8]]);
    }
    bus.carry();
    assert_eq!(bus.processes[young].spent, [1]);
    assert_eq!(bus.processes[old].spent, [2]);
    assert_eq!(bus.processes[young].sisters, [vec![1]]);
    assert!(bus.processes[old].sisters.is_empty(), "who does not speak knows none");
}

fn every_kind() -> Vec<Message> {
    let offer = || Offer { id: OfferId([4; 20]), sdp: "v=0\r\n".into() };
    let (from, to) = (PeerId([2; 20]), PeerId([3; 20]));
    let digest: Digest = [9; 8];
    let planted = Planted {
        magnet: "magnet:?xt=urn:btih:0101010101010101010101010101010101010101".into(),
        alive: UnixTime(1_700_000_000),
        receipts: vec![vec![1, 2], vec![3]],
        claims: vec![vec![4]],
        withdrawn: vec![(Key([5; 32]), UnixTime(1_600_000_000))],
        torrent: Some(b"d4:infode".to_vec()),
    };
    let swarms = vec![news(&[Contact::Address("8.8.4.4:6881".parse().unwrap()), browser(6)], &[browser(7)])];
    let said = [
        Said::Beat { started: 1_700_000_000_000, seq: 7 },
        Said::News { seq: 8, swarms: swarms.clone(), visits: None },
        Said::State {
            seq: 8,
            recital: 1,
            part: 0,
            last: true,
            swarms,
            visits: Some(vec![Visit { sister: SISTER, news: news(&[browser(8)], &[]) }]),
            planted: vec![(HASH, digest)],
        },
        Said::Abroad { info_hash: HASH, from, sister: SISTER, offer: offer() },
        Said::Ask { of: ProcessId(0xabcd) },
        Said::Want(vec![HASH]),
        Said::Planted(HASH, Box::new(planted)),
        Said::Offer { info_hash: HASH, from, to, offer: offer() },
        Said::Answer { info_hash: HASH, from: to, to: from, answer: offer() },
        Said::Spent(vec![Account { id: 1, day: 2, day_bytes: 3, month: 4, month_bytes: 5 }]),
        Said::Sisters(vec![vec![1, 2], vec![3]]),
        Said::Bye,
    ];
    said.map(|said| Message { from: ProcessId(0x0102_0304_0506_0708), said }).into()
}

#[test]
fn messages_are_read_back_as_they_were_and_look_as_documented() {
    for message in every_kind() {
        assert_eq!(Message::decode(&message.encode()), Ok(Some(message)));
    }
    let beat = every_kind().remove(0).encode();
    let expected = b"d1:f8:\x01\x02\x03\x04\x05\x06\x07\x081:ni7e1:t4:beat2:upi1700000000000e1:vi1ee";
    assert_eq!(beat, expected);
    let unknown = b"d1:f8:\x01\x02\x03\x04\x05\x06\x07\x081:t5:later1:vi1ee";
    assert_eq!(Message::decode(unknown), Ok(None));
    let version = b"d1:f8:\x01\x02\x03\x04\x05\x06\x07\x081:t3:bye1:vi2ee";
    assert!(Message::decode(version).is_err());
}
