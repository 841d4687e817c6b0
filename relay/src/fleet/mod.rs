//! A fleet of processes behind one name: what `--fleet nats://…` does.
//!
//! The rules are `anatomic_mesh::fleet`'s and the swarms [`crate::tracker::fleet`]'s; here is the bus that joins them. Without
//! it each process goes on alone, and catches up when it is back.

mod actor;
mod board;
mod bus;
mod torrents;

use crate::node::Planting;
use crate::tracker::Tracker;
use anatomic_mesh::fleet::{Account, Counters, ProcessId};
use anatomic_mesh::{Identity, Key, Receipt, Signed};
use board::Board;
use sha2::{Digest as _, Sha256};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::{mpsc, oneshot, watch};

/// The secret of the connection ids that the fleet's UDP trackers give: a client that proved its address to one need not prove
/// it to another. Only who has the fleet's private key knows it.
#[must_use]
pub fn udp_secret(identity: &Identity) -> [u8; 16] {
    let mut hash = Sha256::new();
    hash.update(b"anatomic fleet udp\0");
    hash.update(identity.seed());
    let hash: [u8; 32] = hash.finalize().into();
    hash.first_chunk().copied().unwrap_or_default()
}

/// The time since 1970.
#[must_use]
pub fn unix() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// How a process joins its fleet.
pub struct Settings {
    /// Addresses of NATS servers, each `nats://[user:password@]host[:port]` or `tls://…`.
    pub servers: Vec<String>,
    /// The key that all processes share; fleets with different keys do not hear each other.
    pub key: Key,
    /// Our name, at random.
    pub id: ProcessId,
    /// Our bridge's address, as classic clients dial it.
    pub bridge: Option<SocketAddr>,
}

/// How it goes with the fleet.
#[derive(Clone, Copy, Debug)]
pub struct Status {
    /// Whether the bus is there.
    pub connected: bool,
    /// Since when that is so.
    pub since: Instant,
    /// How many other processes live.
    pub mates: usize,
    /// Whether this process speaks for the fleet.
    pub speaks: bool,
    /// What happened.
    pub counters: Counters,
}

/// A handle on the fleet; its task ends with the process.
#[derive(Clone)]
pub struct Fleet {
    status: Arc<Mutex<Status>>,
    speaks: watch::Receiver<bool>,
    leave: mpsc::Sender<oneshot::Sender<()>>,
    board: Arc<Mutex<Board>>,
}

impl Fleet {
    /// Joins the fleet, or goes on alone until its bus is there.
    ///
    /// # Errors
    /// When an address of a server makes no sense; for people.
    pub async fn start(
        settings: Settings,
        planting: Arc<Planting>,
        tracker: Arc<Tracker>,
    ) -> Result<Self, String> {
        let bus = bus::Bus::connect(&settings.servers, &settings.key, settings.id).await?;
        let since = Instant::now();
        let status = Status {
            connected: false,
            since,
            mates: 0,
            speaks: false,
            counters: anatomic_mesh::fleet::Counters::default(),
        };
        let status = Arc::new(Mutex::new(status));
        let (speaks, speaks_now) = watch::channel(false);
        let (leave, leaving) = mpsc::channel(1);
        let board = Arc::new(Mutex::new(Board::default()));
        let shown = actor::Shown { status: status.clone(), speaks, board: board.clone() };
        let actor = actor::Actor::new(settings, bus, planting, tracker, shown);
        tokio::spawn(actor.run(leaving));
        Ok(Self { status, speaks: speaks_now, leave, board })
    }

    /// How it goes.
    #[must_use]
    pub fn status(&self) -> Status {
        *self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this process speaks for the fleet to sisters and supernodes.
    #[must_use]
    pub fn speaks(&self) -> watch::Receiver<bool> {
        self.speaks.clone()
    }

    /// What this process knows to be spent is told from now on; returned is what mates told since the last call.
    #[must_use]
    pub fn exchange_spent(&self, known: Vec<Account>) -> Vec<Account> {
        let mut board = self.board.lock().unwrap_or_else(PoisonError::into_inner);
        board.spent = known;
        std::mem::take(&mut board.heard)
    }

    /// Tells the others from now on by which receipts these sisters are found; only who speaks for the fleet is listened to.
    pub fn hand_on_sisters(&self, receipts: Vec<Vec<u8>>) {
        self.board.lock().unwrap_or_else(PoisonError::into_inner).ours = receipts;
    }

    /// Receipts of the sisters to whom the process who speaks is connected, as it last told, one each.
    #[must_use]
    pub fn sisters(&self) -> Arc<[Signed<Receipt>]> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner).sisters.clone()
    }

    /// Says goodbye; the process ends.
    pub async fn leave(&self) {
        let (done, left) = oneshot::channel();
        if self.leave.send(done).await.is_ok() {
            let _ = tokio::time::timeout(Duration::from_secs(1), left).await;
        }
    }
}
