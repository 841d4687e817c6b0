//! Their requests to us: queued, taken by the owner to be read, ready to be sent.
//!
//! Bounded by `reqq`; it neither reads nor sends.

use crate::hash::FastMap;
use anatomic_core::Block;
use anatomic_core::collections::BTreeSet;
use bytes::Bytes;
use std::collections::VecDeque;

/// How far a request has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Queued,
    Taken,
    Ready,
}

/// What became of a new request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    Queued,
    Duplicate,
    Full,
}

/// The requests of one peer.
#[derive(Debug, Default)]
pub(super) struct Incoming {
    stages: FastMap<Block, Stage>,
    /// May hold blocks that were cancelled since: `stages` decides.
    queue: VecDeque<Block>,
    ready: VecDeque<(Block, Bytes)>,
    /// Bytes taken or ready.
    backlog: usize,
}

impl Incoming {
    pub(super) fn len(&self) -> usize {
        self.stages.len()
    }

    pub(super) const fn backlog(&self) -> usize {
        self.backlog
    }

    pub(super) fn next_ready(&self) -> Option<&(Block, Bytes)> {
        self.ready.front()
    }

    pub(super) fn push(&mut self, block: Block, most: usize) -> Admission {
        if self.stages.contains_key(&block) {
            return Admission::Duplicate;
        }
        if self.stages.len() >= most {
            return Admission::Full;
        }
        // Requests that are cancelled again and again leave stale entries: throw them out before they add up.
        if self.queue.len() > 2 * most {
            let stages = &self.stages;
            self.queue.retain(|block| stages.get(block) == Some(&Stage::Queued));
        }
        self.stages.insert(block, Stage::Queued);
        self.queue.push_back(block);
        Admission::Queued
    }

    pub(super) fn take(&mut self) -> Option<Block> {
        while let Some(block) = self.queue.pop_front() {
            if let Some(stage) = self.stages.get_mut(&block)
                && *stage == Stage::Queued
            {
                *stage = Stage::Taken;
                self.backlog += block.length as usize;
                return Some(block);
            }
        }
        None
    }

    /// The bytes of a taken request; false if it was withdrawn meanwhile.
    pub(super) fn supply(&mut self, block: Block, data: Bytes) -> bool {
        let Some(stage) = self.stages.get_mut(&block) else { return false };
        if *stage != Stage::Taken || data.len() != block.length as usize {
            return false;
        }
        *stage = Stage::Ready;
        self.ready.push_back((block, data));
        true
    }

    /// The next block to send; it is no longer a request from here on.
    pub(super) fn pop_ready(&mut self) -> Option<(Block, Bytes)> {
        let (block, data) = self.ready.pop_front()?;
        self.stages.remove(&block);
        self.backlog = self.backlog.saturating_sub(block.length as usize);
        Some((block, data))
    }

    /// Withdraws a request; how far it had come.
    pub(super) fn remove(&mut self, block: Block) -> Option<Stage> {
        let stage = self.stages.remove(&block)?;
        if stage != Stage::Queued {
            self.backlog = self.backlog.saturating_sub(block.length as usize);
        }
        if stage == Stage::Ready {
            self.ready.retain(|(ready, _)| *ready != block);
        }
        Some(stage)
    }

    /// Withdraws all requests but those to `keep`, and returns them, ascending.
    pub(super) fn clear(&mut self, keep: impl Fn(Block) -> bool) -> Vec<Block> {
        let gone: BTreeSet<Block> = self.stages.keys().copied().filter(|block| !keep(*block)).collect();
        for block in &gone {
            self.stages.remove(block);
        }
        let stages = &self.stages;
        self.ready.retain(|(block, _)| stages.contains_key(block));
        self.queue.retain(|block| stages.contains_key(block));
        self.backlog = stages
            .iter()
            .filter(|(_, stage)| **stage != Stage::Queued)
            .map(|(block, _)| block.length as usize)
            .sum();
        gone.into_iter().collect()
    }
}
