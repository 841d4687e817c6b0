//! The bridge keeps to the node's budgets: near them it takes no newcomers, beyond them it lets go of everybody.
//!
//! What is spent and how much is left is [`crate::budget`]'s judgement.

use super::Bridge;
use crate::budget::Level;
use anatomic_engine::Limits;
use std::sync::atomic::Ordering;

impl Bridge {
    /// Bytes of datagrams that went to browsers; TCP is counted apart.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.shared.endpoint.bytes_sent()
    }

    /// Sends and receives at most so many bytes a second.
    pub async fn limit(&self, bytes: u64) {
        let limits = Limits { download: Some(bytes), upload: Some(bytes) };
        let limit = move |session: &mut crate::driver::Session| {
            let now = session.now();
            session.engine.set_limits(now, limits);
        };
        self.shared.session.with(limit).await;
    }

    /// From now on keeps to this. Once all is spent torrents leave the engine, but for those that the node stores itself; they
    /// come back with the next offers when there is something to spend again.
    pub async fn obey(&self, level: Level) {
        let before = self.shared.level.swap(level as u8, Ordering::Relaxed);
        if level == Level::Spent && before != Level::Spent as u8 {
            for (info_hash, _) in self.all() {
                self.remove(&info_hash).await;
            }
        }
    }

    /// Nothing is bridged now.
    pub(super) fn rests(&self) -> bool {
        self.shared.level.load(Ordering::Relaxed) >= Level::Spent as u8
    }

    /// Browsers and classic clients that are not connected yet may come.
    pub(super) fn takes_newcomers(&self) -> bool {
        self.shared.level.load(Ordering::Relaxed) == Level::Plenty as u8
    }
}
