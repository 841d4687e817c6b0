//! What a host lets a node spend: bytes a month and a day, speed, memory, and how many connections, swarms and peers at once.
//!
//! Decides how much is left and who gets new load instead; counting is done where bytes are sent, and what a node does about
//! it where it does it: planting takes nothing new, the bridge takes no newcomers or lets go of all, the doors send
//! newcomers to a sister.

mod counted;
mod ledger;
mod options;

pub use counted::Counted;
pub use ledger::{Ledger, Spent};
pub use options::{Bytes, Options};

use crate::bridge::Bridge;
use crate::fleet::Fleet;
use crate::mesh::Mesh;
use crate::node::clock::Clock;
use crate::node::{Planting, clock};
use crate::tracker::{Handing, Tracker};
use anatomic_core::InfoHash;
use anatomic_mesh::Key;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;
use tracing::{info, warn};

/// How often it is looked what was spent.
const LOOK: Duration = Duration::from_secs(1);
/// After so many looks the ledger is written, if something was spent: a crash loses no more than that.
const WRITE: u32 = 20;
/// After so many looks sisters are asked for.
const SISTERS: u32 = 5;
/// From this part of a budget on, new load is handed on; in hundredths.
const NEAR: u64 = 90;

/// Bytes that this process sent, counted where they are sent. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct Sent(Arc<AtomicU64>);

impl Sent {
    /// So many more were sent.
    pub fn add(&self, bytes: usize) {
        self.0.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// All so far.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How much of its budgets a node has left.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Level {
    /// Enough.
    Plenty,
    /// Nine tenths of one are used: what is under way goes on, new load goes to sisters.
    Near,
    /// The bytes of a day or month, or the memory, are used up: the tracker answers, the bridge rests.
    Spent,
}

impl Level {
    /// Of a budget that is used so far.
    fn of(used: u64, budget: Option<u64>) -> Self {
        match budget {
            Some(most) if used >= most => Self::Spent,
            Some(most) if used.saturating_mul(100) >= most.saturating_mul(NEAR) => Self::Near,
            _ => Self::Plenty,
        }
    }

    /// As a word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Plenty => "plenty",
            Self::Near => "near",
            Self::Spent => "spent",
        }
    }
}

/// A node's budgets.
pub struct Budget {
    options: Options,
    clock: Clock,
    file: PathBuf,
    sent: Sent,
    ledger: Mutex<Ledger>,
    level: AtomicU8,
    /// Sisters with a proven connection, and where each is.
    sisters: RwLock<HashMap<Key, String>>,
    planting: Arc<Planting>,
}

impl Budget {
    /// Goes on with what was spent according to `file`; one that cannot be read counts as empty and is warned of.
    #[must_use]
    pub fn open(options: Options, file: PathBuf, sent: Sent, planting: Arc<Planting>) -> Arc<Self> {
        Self::open_by(options, file, sent, planting, Clock::system())
    }

    /// As [`Self::open`], by another clock than the system's.
    #[must_use]
    pub fn open_by(
        options: Options,
        file: PathBuf,
        sent: Sent,
        planting: Arc<Planting>,
        clock: Clock,
    ) -> Arc<Self> {
        let ledger = Ledger::read(&file).unwrap_or_else(|error| {
            warn!(file = %file.display(), %error, "what was spent before is not known");
            Ledger::default()
        });
        let mut ledger = ledger;
        // Without randomness it has no name and is in no fleet.
        ledger.name(getrandom::u64().unwrap_or_default());
        let budget = Self {
            options,
            clock,
            file,
            sent,
            ledger: Mutex::new(ledger),
            level: AtomicU8::new(Level::Plenty as u8),
            sisters: RwLock::default(),
            planting,
        };
        budget.judge(0, 0, &[]);
        Arc::new(budget)
    }

    /// What the host allows.
    #[must_use]
    pub const fn options(&self) -> &Options {
        &self.options
    }

    /// How much is left.
    #[must_use]
    pub fn level(&self) -> Level {
        match self.level.load(Ordering::Relaxed) {
            0 => Level::Plenty,
            1 => Level::Near,
            _ => Level::Spent,
        }
    }

    /// What was sent in the running day and month, by all processes of the fleet.
    #[must_use]
    pub fn spent(&self) -> Spent {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner).at(self.clock.now())
    }

    /// Takes note of bytes that were sent, and judges again. `counts` are things there are and how many there may be.
    fn judge(&self, bytes: u64, memory: u64, counts: &[(usize, usize)]) -> Level {
        let spent = {
            let mut ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
            ledger.spend(self.clock.now(), bytes);
            ledger.at(self.clock.now())
        };
        // Beyond a count newcomers are refused anyhow; nothing has to rest for it.
        let counted =
            counts.iter().map(|(now, most)| Level::of(*now as u64, Some(*most as u64)).min(Level::Near));
        let level = [
            Level::of(spent.day, self.options.budget_day.map(|bytes| bytes.0)),
            Level::of(spent.month, self.options.budget_month.map(|bytes| bytes.0)),
            Level::of(memory, self.options.max_memory.map(|bytes| bytes.0)),
        ]
        .into_iter()
        .chain(counted)
        .max()
        .unwrap_or(Level::Plenty);
        let before = self.level();
        if level != before {
            info!(level = level.as_str(), day = spent.day, month = spent.month, "the node's budget");
            self.level.store(level as u8, Ordering::Relaxed);
        }
        self.planting.set_busy(level > Level::Plenty);
        level
    }

    /// Writes down what was spent.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn write(&self) -> std::io::Result<()> {
        self.now_known().write(&self.file)
    }

    fn now_known(&self) -> Ledger {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Runs until the end of the process: counts, judges, and tells the bridge and the fleet.
    pub async fn keep(
        self: Arc<Self>,
        tracker: Arc<Tracker>,
        mesh: Option<Mesh>,
        bridge: Option<Bridge>,
        fleet: Option<Fleet>,
    ) {
        let mut timer = tokio::time::interval(LOOK);
        timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        if let (Some(bridge), Some(rate)) = (&bridge, self.options.budget_rate) {
            bridge.limit(rate.saturating_mul(1_000_000 / 8)).await;
        }
        let (mut counted, mut written) = (0, self.now_known());
        for look in 0u32.. {
            timer.tick().await;
            let total = self.sent.total() + bridge.as_ref().map_or(0, Bridge::sent);
            let (swarms, peers) = tracker.swarms.totals();
            let limits = tracker.swarms.limits();
            let counts = [
                (swarms, limits.swarms),
                (peers, limits.peers),
                (tracker.open_sockets(), tracker.config.sockets),
            ];
            let level = self.judge(total.saturating_sub(counted), resident(), &counts);
            counted = total;
            if let Some(fleet) = &fleet {
                let mut ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
                fleet.exchange_spent(ledger.accounts()).into_iter().for_each(|account| ledger.merge(account));
            }
            if let Some(bridge) = &bridge {
                bridge.obey(level).await;
            }
            if look % SISTERS == 0
                && let Some(mesh) = &mesh
                && let Some(known) = sisters(mesh, fleet.as_ref()).await
            {
                *self.sisters.write().unwrap_or_else(PoisonError::into_inner) = known;
            }
            if look % WRITE == WRITE - 1 {
                let known = self.now_known();
                if known == written {
                    continue;
                }
                let budget = self.clone();
                let done = tokio::task::spawn_blocking(move || budget.write()).await;
                match done {
                    Ok(Err(error)) => warn!(%error, "what was spent could not be written down"),
                    _ => written = known,
                }
            }
        }
    }
}

impl Handing for Budget {
    fn hands_on(&self, info_hash: &InfoHash) -> Option<String> {
        if self.level() == Level::Plenty {
            return None;
        }
        let sisters = self.sisters.read().unwrap_or_else(PoisonError::into_inner);
        let of_torrent = self.planting.sisters(info_hash);
        // Which one it is changes by the second, so that no sister gets all.
        let urls: Vec<&String> = of_torrent.iter().filter_map(|key| sisters.get(key)).collect();
        let turn = usize::try_from(clock::now().0).unwrap_or(0) % urls.len().max(1);
        urls.get(turn).map(|url| (*url).clone())
    }
}

/// Sisters with a proven connection, ours or that of the process who speaks for our fleet.
async fn sisters(mesh: &Mesh, fleet: Option<&Fleet>) -> Option<HashMap<Key, String>> {
    if let Some(fleet) = fleet.filter(|_| !mesh.speaks()) {
        let sisters = fleet.sisters();
        return Some(sisters.iter().map(|receipt| (receipt.node, receipt.url.clone())).collect());
    }
    let (sisters, _) = mesh.look().await?;
    let connected = sisters.into_iter().filter(|sister| sister.connected);
    Some(connected.filter_map(|sister| Some((sister.key, sister.url?))).collect())
}

/// Memory of this process in bytes; 0 where the system does not say.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0) * 1024
}

#[cfg(test)]
mod tests;
