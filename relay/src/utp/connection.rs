//! One uTP connection, as the driver's pump uses it.
//!
//! Every call is a short visit to the machine; nothing is kept here.

use super::Shared;
use anatomic_utp::{CloseReason, Key, Read};
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Notify;

/// Whom to wake for a connection.
#[derive(Debug, Default)]
pub(super) struct Wakes {
    open: AtomicBool,
    pub(super) readable: Notify,
    pub(super) writable: Notify,
}

impl Wakes {
    /// It is open.
    pub(super) fn open(&self) {
        self.open.store(true, Ordering::Release);
        self.readable.notify_one();
    }
}

/// A connection; dropping it closes it, after what was written has left.
#[derive(Debug)]
pub(crate) struct Connection {
    shared: Arc<Shared>,
    key: Key,
    wakes: Arc<Wakes>,
}

impl Connection {
    pub(super) const fn new(shared: Arc<Shared>, key: Key, wakes: Arc<Wakes>) -> Self {
        Self { shared, key, wakes }
    }

    /// Waits until it is open.
    pub(super) async fn opened(&self) -> Result<(), CloseReason> {
        loop {
            if self.wakes.open.load(Ordering::Acquire) {
                // Bytes may have come with the answer: their reader finds them.
                self.wakes.readable.notify_one();
                return Ok(());
            }
            if let Read::Over(reason) = self.read() {
                return Err(reason);
            }
            self.wakes.readable.notified().await;
        }
    }

    fn read(&self) -> Read {
        self.shared.lock().endpoint.read(self.key)
    }

    /// The next bytes; `None` if nothing comes any more. One caller at a time.
    pub(crate) async fn recv(&self) -> Option<Bytes> {
        loop {
            match self.read() {
                Read::Bytes(bytes) => {
                    // The remote may be waiting to hear of room.
                    self.shared.wake.notify_one();
                    return Some(bytes);
                }
                Read::Nothing => self.wakes.readable.notified().await,
                Read::Over(_) => return None,
            }
        }
    }

    /// Bytes that [`write`](Self::write) takes now.
    pub(crate) fn room(&self) -> usize {
        self.shared.lock().endpoint.room(self.key)
    }

    /// Takes what there is room for, and says how much that was.
    pub(crate) fn write(&self, bytes: &[u8]) -> usize {
        let taken = self.shared.lock().endpoint.write(self.key, bytes);
        if taken > 0 {
            self.shared.wake.notify_one();
        }
        taken
    }

    /// Waits for room, or for the end. One caller at a time.
    pub(crate) async fn writable(&self) {
        self.shared.lock().endpoint.wait_for_room(self.key);
        self.shared.wake.notify_one();
        self.wakes.writable.notified().await;
    }

    /// Whether it is over, although there may be something to read.
    pub(crate) fn is_over(&self) -> bool {
        self.shared.lock().endpoint.is_over(self.key)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let now = self.shared.now();
        {
            let mut state = self.shared.lock();
            state.endpoint.close(now, self.key);
            state.wakes.remove(&self.key);
        }
        self.shared.wake.notify_one();
    }
}
