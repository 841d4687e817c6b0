//! A piece that has been begun: which of its blocks are free, requested, here.
//!
//! Holds the bytes until the piece is whole; it does not hash.

use crate::keys::PeerKey;
use anatomic_core::{BlockIndex, Time};
use bytes::Bytes;

/// How fast a peer delivers, so that slow ones spoil each other's pieces only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Speed {
    Slow,
    Medium,
    Fast,
}

/// A block of a begun piece.
#[derive(Clone, Debug)]
pub(super) enum Slot {
    Free,
    /// Asked of one peer, at that time.
    Requested(PeerKey, Time),
    /// End-game, or a late block that is urgent: several peers were asked.
    Shared(Vec<PeerKey>, Time),
    Here {
        data: Bytes,
        from: Option<PeerKey>,
    },
}

/// A begun piece.
#[derive(Debug)]
pub(super) struct Partial {
    pub(super) slots: Vec<Slot>,
    /// Slots that are free.
    pub(super) free: u32,
    /// Slots that are not here.
    pub(super) missing: u32,
    /// Only this peer may fetch of it: it is on parole.
    pub(super) exclusive: Option<PeerKey>,
    /// Of the peer that began it.
    pub(super) speed: Speed,
    /// No slot before is free.
    hint: u32,
    /// Whole, and being hashed.
    pub(super) verifying: bool,
}

impl Partial {
    pub(super) fn new(blocks: u32, speed: Speed) -> Self {
        Self {
            slots: vec![Slot::Free; blocks as usize],
            free: blocks,
            missing: blocks,
            exclusive: None,
            speed,
            hint: 0,
            verifying: false,
        }
    }

    /// Whether somebody was asked for one of its blocks.
    pub(super) fn is_requested(&self) -> bool {
        self.missing > self.free
    }

    pub(super) fn is_untouched(&self) -> bool {
        self.free as usize == self.slots.len()
    }

    /// Takes the first free block for `peer`.
    pub(super) fn take_free(&mut self, now: Time, peer: PeerKey) -> Option<BlockIndex> {
        let (at, slot) = self
            .slots
            .iter_mut()
            .enumerate()
            .skip(self.hint as usize)
            .find(|(_, slot)| matches!(slot, Slot::Free))?;
        *slot = Slot::Requested(peer, now);
        self.free -= 1;
        let at = u32::try_from(at).ok()?;
        self.hint = at + 1;
        Some(BlockIndex(at))
    }

    /// Asks `peer` too for a block that others were asked for; false if it was asked already.
    pub(super) fn share(&mut self, now: Time, index: BlockIndex, peer: PeerKey) -> bool {
        let Some(slot) = self.slots.get_mut(index.0 as usize) else { return false };
        match slot {
            Slot::Requested(other, _) if *other != peer => {
                *slot = Slot::Shared(vec![*other, peer], now);
                true
            }
            Slot::Shared(others, at) if !others.contains(&peer) => {
                others.push(peer);
                *at = now;
                true
            }
            _ => false,
        }
    }

    /// `peer` will not bring the block.
    pub(super) fn release(&mut self, index: BlockIndex, peer: PeerKey) {
        let Some(slot) = self.slots.get_mut(index.0 as usize) else { return };
        match slot {
            Slot::Requested(holder, _) if *holder == peer => {
                *slot = Slot::Free;
                self.free += 1;
                self.hint = self.hint.min(index.0);
            }
            Slot::Shared(holders, at) => {
                holders.retain(|holder| *holder != peer);
                match holders.as_slice() {
                    [] => {
                        *slot = Slot::Free;
                        self.free += 1;
                        self.hint = self.hint.min(index.0);
                    }
                    [last] => *slot = Slot::Requested(*last, *at),
                    _ => {}
                }
            }
            _ => {}
        }
    }

    /// The block is here. Gives the others who were asked for it; `None` if it was here before.
    pub(super) fn fill(
        &mut self,
        index: BlockIndex,
        data: Bytes,
        from: Option<PeerKey>,
    ) -> Option<Vec<PeerKey>> {
        let slot = self.slots.get_mut(index.0 as usize)?;
        let others = match slot {
            Slot::Here { .. } => return None,
            Slot::Free => {
                self.free -= 1;
                Vec::new()
            }
            Slot::Requested(holder, _) if Some(*holder) == from => Vec::new(),
            Slot::Requested(holder, _) => vec![*holder],
            Slot::Shared(holders, _) => {
                holders.retain(|holder| Some(*holder) != from);
                std::mem::take(holders)
            }
        };
        *slot = Slot::Here { data, from };
        self.missing -= 1;
        Some(others)
    }
}
