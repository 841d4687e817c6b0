//! What the driver answered: digests, writes, reads, checks, and what follows from them.
//!
//! Bad pieces are charged on their senders here; who is guilty, [`Trials`](crate::bridge::Trials) finds out.

use super::store::{Culprit, MAX_NODE_FAILURES, MAX_READ_FAILURES, MAX_SUSPECTS, Store};
use super::swarm::Swarm;
use crate::bridge::Verdict;
use crate::config::Role;
use crate::keys::PeerKey;
use crate::output::{Done, Event, Job};
use crate::shared::{Shared, Task};
use anatomic_core::collections::BTreeSet;
use anatomic_core::{Block, BlockIndex, FileIndex, PieceIndex, Time};
use bytes::Bytes;

impl Store {
    /// A job is done.
    ///
    /// # Errors
    /// Why the torrent must stop, for people.
    pub(super) fn done(
        &mut self,
        swarm: &mut Swarm,
        shared: &mut Shared,
        task: Task,
        done: Done,
    ) -> Result<(), String> {
        match (task, done) {
            (Task::Verify(piece), Done::Digest(digest)) => {
                self.digested(swarm, shared, piece, self.metainfo.piece_hash(piece) == Some(digest));
                Ok(())
            }
            (Task::Verify(piece), done) => {
                // It could not be hashed: fetched again, nobody's fault.
                self.picker.failed(piece, &mut shared.rng);
                self.refill_all(swarm, shared);
                Err(failure("could not hash a piece", &done))
            }
            (Task::Write(piece), Done::Written) => {
                if let Some(blocks) = self.unwritten.remove(&piece) {
                    self.unwritten_bytes -= blocks.iter().map(|block| block.len() as u64).sum::<u64>();
                }
                self.store(swarm, shared, piece);
                if !self.picker.is_done() {
                    self.refill_all(swarm, shared);
                }
                Ok(())
            }
            (Task::Write(piece), done) => {
                self.failed_writes.insert(piece);
                Err(failure("could not store a piece", &done))
            }
            (Task::Read(key, block), Done::Read(data)) => {
                self.read_failures = 0;
                if let Some(peer) = swarm.members.tell(key)
                    && !peer.supply(block, data)
                {
                    peer.refuse(block);
                }
                Ok(())
            }
            (Task::Read(key, block), done) => {
                if let Some(peer) = swarm.members.tell(key) {
                    peer.refuse(block);
                }
                self.read_failures += 1;
                if self.read_failures > MAX_READ_FAILURES {
                    return Err(failure("could not read what was stored", &done));
                }
                shared.event(swarm.key, Event::Warning(failure("could not read a block", &done)));
                Ok(())
            }
            (Task::Check(piece), done) => self.checked(swarm, shared, piece, done),
        }
    }

    pub(super) fn digested(
        &mut self,
        swarm: &mut Swarm,
        shared: &mut Shared,
        piece: PieceIndex,
        right: bool,
    ) {
        let whole = self.picker.blocks(piece);
        if right {
            if !self.picker.passed(piece) {
                return;
            }
            swarm.counters.verified += 1;
            self.fetched = true;
            if self.distrust {
                self.judge(swarm, piece, Verdict::Right, &whole.senders, &whole.blocks);
            }
            shared.event(swarm.key, Event::PieceVerified(piece));
            self.announce_piece(swarm, shared.now, piece);
            self.unwritten_bytes += u64::from(self.geometry.length_of(piece));
            self.unwritten.insert(piece, whole.blocks.clone());
            shared.job(swarm.key, Task::Write(piece), Job::Write { piece, blocks: whole.blocks });
        } else {
            if !self.picker.failed(piece, &mut shared.rng) {
                return;
            }
            swarm.counters.failed += 1;
            swarm.counters.wasted += u64::from(self.geometry.length_of(piece));
            shared.event(swarm.key, Event::PieceFailed(piece));
            self.distrust = true;
            let senders: BTreeSet<PeerKey> = whole.senders.iter().flatten().copied().collect();
            for sender in senders {
                if let Some(trader) = self.traders.get_mut(&sender) {
                    trader.failed += 1;
                }
                if let Some(member) = swarm.members.get(sender)
                    && self.suspects.len() < MAX_SUSPECTS
                {
                    let facts = (member.peer.peer_id(), member.peer.link().address);
                    self.suspects.insert(sender, facts);
                }
            }
            self.judge(swarm, piece, Verdict::Wrong, &whole.senders, &whole.blocks);
        }
        self.refill_all(swarm, shared);
    }

    pub(super) fn judge(
        &mut self,
        swarm: &Swarm,
        piece: PieceIndex,
        verdict: Verdict,
        senders: &[Option<PeerKey>],
        blocks: &[Bytes],
    ) {
        let evidence: Vec<(BlockIndex, Bytes, PeerKey)> = (0..)
            .map(BlockIndex)
            .zip(blocks.iter().zip(senders))
            .filter_map(|(index, (data, sender))| Some((index, data.clone(), (*sender)?)))
            .collect();
        for peer in self.trials.judge(piece, verdict, &evidence) {
            // A node passes blocks on before it can verify them, and finds the liar behind it by itself: it is
            // banned only when it does not.
            let is_node = swarm.members.get(peer).is_some_and(|member| member.peer.role() == Role::Node);
            if is_node && self.traders.get(&peer).is_some_and(|trader| trader.failed < MAX_NODE_FAILURES) {
                continue;
            }
            let (peer_id, address) = self.suspects.remove(&peer).unwrap_or_default();
            self.culprits.push_back(Culprit { peer, peer_id, address, piece });
        }
    }

    /// The next peer that was found guilty.
    pub(super) fn next_culprit(&mut self) -> Option<Culprit> {
        self.culprits.pop_front()
    }

    /// Tells all peers that we have a piece, and looks whether they are still of interest.
    pub(super) fn announce_piece(&mut self, swarm: &mut Swarm, now: Time, piece: PieceIndex) {
        let keys: Vec<PeerKey> = self.traders.keys().copied().collect();
        for key in keys {
            let Some(peer) = swarm.members.tell(key) else { continue };
            peer.have(piece);
            if peer.has(piece)
                && let Some(trader) = self.traders.get_mut(&key)
            {
                trader.interesting = trader.interesting.saturating_sub(1);
            }
            self.update_interest(swarm, now, key);
        }
    }

    /// A piece is safe.
    pub(super) fn store(&mut self, swarm: &Swarm, shared: &mut Shared, piece: PieceIndex) {
        if !self.stored.insert(piece) {
            return;
        }
        shared.event(swarm.key, Event::PieceStored(piece));
        let block = Block { piece, offset: 0, length: self.geometry.length_of(piece) };
        let files: Vec<FileIndex> = self.metainfo.spans(block).map(|span| span.file).collect();
        for file in files {
            if let Some(left) = self.file_pieces.get_mut(file.0 as usize) {
                *left = left.saturating_sub(1);
                if *left == 0 {
                    shared.event(swarm.key, Event::FileComplete(file));
                }
            }
        }
    }

    pub(super) fn checked(
        &mut self,
        swarm: &mut Swarm,
        shared: &mut Shared,
        piece: PieceIndex,
        done: Done,
    ) -> Result<(), String> {
        if let Some(checking) = &mut self.checking {
            checking.under_way -= 1;
            checking.done += 1;
        }
        let found = match done {
            Done::Checked(digest) => digest.is_some() && digest == self.metainfo.piece_hash(piece),
            // What cannot be read is fetched again; if it cannot be written either, that will be told.
            _ => false,
        };
        if found {
            self.picker.found(piece);
            self.announce_piece(swarm, shared.now, piece);
            self.store(swarm, shared, piece);
        }
        self.check_more(swarm, shared);
        if self.checking.is_some_and(|checking| checking.done >= self.geometry.pieces()) {
            self.checking = None;
            self.check_ended = true;
            self.refill_all(swarm, shared);
        }
        Ok(())
    }

    /// Tells once that everything wanted is stored. True if trackers must be told too: the whole torrent is here,
    /// and part of it came in this session (BEP 3).
    pub(super) fn tell_completion(&mut self, swarm: &Swarm, shared: &mut Shared) -> bool {
        let complete = self.picker.is_done() && self.unwritten.is_empty() && self.checking.is_none();
        if !complete || std::mem::replace(&mut self.complete_told, true) {
            return false;
        }
        shared.event(swarm.key, Event::Complete);
        self.fetched && self.picker.have().is_full()
    }

    /// Tries again what the store failed to write.
    pub(super) fn retry(&mut self, swarm: &Swarm, shared: &mut Shared) {
        self.read_failures = 0;
        for piece in std::mem::take(&mut self.failed_writes) {
            if let Some(blocks) = self.unwritten.get(&piece) {
                let blocks = blocks.clone();
                shared.job(swarm.key, Task::Write(piece), Job::Write { piece, blocks });
            }
        }
    }

    /// Keeps the check of the store going.
    pub(super) fn check_more(&mut self, swarm: &Swarm, shared: &mut Shared) {
        let Some(checking) = &mut self.checking else { return };
        while (checking.under_way as usize) < shared.config.max_checks
            && let Some(piece) = self.geometry.piece(checking.next)
        {
            checking.next += 1;
            checking.under_way += 1;
            shared.job(swarm.key, Task::Check(piece), Job::Check { piece });
        }
    }

    /// Whether the check of the store has just ended.
    pub(super) const fn check_ended(&mut self) -> bool {
        std::mem::replace(&mut self.check_ended, false)
    }
}

fn failure(what: &str, done: &Done) -> String {
    match done {
        Done::Failed(why) => format!("{what}: {why}"),
        _ => format!("{what}: the answer does not fit the job"),
    }
}
