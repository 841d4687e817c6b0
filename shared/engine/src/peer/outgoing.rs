//! Our requests to a peer: not yet written, written, and given up.
//!
//! What is not yet written can be dropped for free; which blocks to ask for is the owner's decision.

use super::event::Standing;
use crate::hash::{FastMap, FastSet};
use anatomic_core::collections::BTreeSet;
use anatomic_core::{Block, Time};
use std::collections::VecDeque;

/// Given-up requests that are remembered so that their late answers are known; more is forgotten all at once.
const MAX_LATE: usize = 2_048;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Unsent,
    Sent,
}

/// The requests to one peer.
#[derive(Debug)]
pub(super) struct Outgoing {
    stages: FastMap<Block, Stage>,
    /// May hold blocks that were dropped since: `stages` decides.
    unsent: VecDeque<Block>,
    unsent_count: usize,
    late: FastSet<Block>,
    /// Since when the peer owes us a block.
    waiting_since: Time,
}

/// Which requests to give up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Void {
    All,
    Unsent,
}

impl Outgoing {
    pub(super) fn new(now: Time) -> Self {
        Self {
            stages: FastMap::default(),
            unsent: VecDeque::new(),
            unsent_count: 0,
            late: FastSet::default(),
            waiting_since: now,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.stages.len()
    }

    pub(super) const fn unsent(&self) -> usize {
        self.unsent_count
    }

    pub(super) fn sent(&self) -> usize {
        self.stages.len() - self.unsent_count
    }

    pub(super) fn contains(&self, block: Block) -> bool {
        self.stages.contains_key(&block)
    }

    pub(super) fn push(&mut self, block: Block) -> bool {
        if self.stages.contains_key(&block) {
            return false;
        }
        self.stages.insert(block, Stage::Unsent);
        self.unsent.push_back(block);
        self.unsent_count += 1;
        true
    }

    /// The next request to write; it counts as sent from here on.
    pub(super) fn pop_unsent(&mut self, now: Time) -> Option<Block> {
        while let Some(block) = self.unsent.pop_front() {
            if let Some(stage) = self.stages.get_mut(&block)
                && *stage == Stage::Unsent
            {
                *stage = Stage::Sent;
                self.unsent_count -= 1;
                if self.stages.len() - self.unsent_count == 1 {
                    self.waiting_since = now;
                }
                return Some(block);
            }
        }
        None
    }

    /// A block arrived.
    pub(super) fn arrived(&mut self, now: Time, block: Block) -> Standing {
        let standing = self.rejected(block);
        if standing != Standing::Unrequested {
            self.waiting_since = now;
        }
        standing
    }

    /// They refuse a block; what is known of it.
    pub(super) fn rejected(&mut self, block: Block) -> Standing {
        match self.stages.remove(&block) {
            Some(stage) => {
                if stage == Stage::Unsent {
                    self.unsent_count -= 1;
                }
                Standing::Requested
            }
            None if self.late.remove(&block) => Standing::Late,
            None => Standing::Unrequested,
        }
    }

    /// Gives a request up; true if a `cancel` must be written because the request was.
    pub(super) fn remove(&mut self, block: Block) -> bool {
        match self.stages.remove(&block) {
            Some(Stage::Unsent) => {
                self.unsent_count -= 1;
                false
            }
            Some(Stage::Sent) => {
                if self.late.len() >= MAX_LATE {
                    self.late.clear();
                }
                self.late.insert(block);
                true
            }
            None => false,
        }
    }

    /// Gives up all requests that `which` names, but those to `keep`, and returns them, ascending.
    pub(super) fn void(&mut self, which: Void, keep: impl Fn(Block) -> bool) -> Vec<Block> {
        let void: BTreeSet<Block> = self
            .stages
            .iter()
            .filter(|(block, stage)| (which == Void::All || **stage == Stage::Unsent) && !keep(**block))
            .map(|(block, _)| *block)
            .collect();
        for block in &void {
            self.remove(*block);
        }
        let stages = &self.stages;
        self.unsent.retain(|block| stages.get(block) == Some(&Stage::Unsent));
        void.into_iter().collect()
    }

    /// Since when the peer has owed us a block without sending one; `None` if it owes none.
    pub(super) fn waiting_since(&self) -> Option<Time> {
        (self.sent() > 0).then_some(self.waiting_since)
    }
}
