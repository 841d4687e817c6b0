//! What is written to the peer, pulled by the transport's room.
//!
//! Small messages go first, then requests, then metadata, then blocks: so a choke or a cancel overtakes the
//! blocks that wait, and a block is taken from the queue only when it is written.

use super::Peer;
use crate::output::MIN_ROOM;
use anatomic_core::Time;
use anatomic_wire::extended::{METADATA_PIECE_LEN, MetadataMessage};
use anatomic_wire::message::Message;
use bytes::Bytes;

/// Bytes of a request on the wire.
const REQUEST_LEN: usize = 17;
/// Bytes of a block's message before the block.
const BLOCK_HEAD: usize = 13;
/// An empty buffer larger than this is given back.
const SPARE: usize = 16 * 1024;

/// What one call of [`Peer::transmit`] wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Written {
    /// Bytes in all.
    pub bytes: usize,
    /// Of these, bytes of blocks.
    pub payload: u64,
    /// Requests.
    pub requests: u64,
    /// Blocks.
    pub blocks: u64,
}

impl Peer {
    /// Whether something other than blocks waits to be written.
    pub(crate) fn has_control(&self) -> bool {
        self.control.len() > self.control_at
            || !self.spill.is_empty()
            || self.outgoing.unsent() > 0
            || !self.metadata_wanted.is_empty()
    }

    /// Whether a block waits to be written.
    pub(crate) fn has_payload(&self) -> bool {
        self.incoming.next_ready().is_some()
    }

    /// Appends at most `room` bytes to `into`. Blocks are written while their bytes are fewer than `allowance`,
    /// which may be overdrawn by one block.
    pub(crate) fn transmit(&mut self, now: Time, room: usize, allowance: u64, into: &mut Vec<u8>) -> Written {
        let start = into.len();
        let mut written = Written::default();
        self.write_rest(room, into);
        let left = |into: &Vec<u8>| room - (into.len() - start);
        if self.spill.is_empty() {
            self.write_control(left(into), into);
        }
        if self.control_at == self.control.len() && self.spill.is_empty() {
            while left(into) >= REQUEST_LEN
                && let Some(block) = self.outgoing.pop_unsent(now)
            {
                Message::Request(block.into()).encode(into);
                written.requests += 1;
            }
            self.write_metadata(room, start, into);
            while written.payload < allowance
                && let Some((_, data)) = self.incoming.next_ready()
            {
                let length = BLOCK_HEAD + data.len();
                let splits = length > MIN_ROOM && left(into) >= MIN_ROOM;
                if length > left(into) && !splits {
                    break;
                }
                let Some((block, mut data)) = self.incoming.pop_ready() else { break };
                written.payload += data.len() as u64;
                written.blocks += 1;
                let message_len = u32::try_from(9 + data.len()).unwrap_or(u32::MAX);
                into.extend_from_slice(&message_len.to_be_bytes());
                into.push(7);
                into.extend_from_slice(&block.piece.0.to_be_bytes());
                into.extend_from_slice(&block.offset.to_be_bytes());
                let now_part = data.split_to(data.len().min(left(into)));
                into.extend_from_slice(&now_part);
                if !data.is_empty() {
                    self.spill = data;
                    break;
                }
            }
        }
        written.bytes = into.len() - start;
        if written.bytes > 0 {
            self.last_sent = now;
            self.uploaded += written.payload;
            self.up.add(now, written.payload);
        }
        written
    }

    fn write_rest(&mut self, room: usize, into: &mut Vec<u8>) {
        if !self.spill.is_empty() {
            let part = self.spill.split_to(self.spill.len().min(room));
            into.extend_from_slice(&part);
            if self.spill.is_empty() {
                self.spill = Bytes::new();
            }
        }
    }

    fn write_control(&mut self, room: usize, into: &mut Vec<u8>) {
        let rest = self.control.get(self.control_at..).unwrap_or_default();
        let count = rest.len().min(room);
        into.extend_from_slice(rest.get(..count).unwrap_or_default());
        self.control_at += count;
        if self.control_at == self.control.len() {
            self.control_at = 0;
            self.control.clear();
            if self.control.capacity() > SPARE {
                self.control = Vec::new();
            }
        }
    }

    fn write_metadata(&mut self, room: usize, start: usize, into: &mut Vec<u8>) {
        let (Some(metadata), Some(id)) = (self.metadata.clone(), self.their_id(|ids| ids.ut_metadata)) else {
            self.metadata_wanted.clear();
            return;
        };
        let total_size = u32::try_from(metadata.len()).ok();
        while room - (into.len() - start) >= MIN_ROOM
            && let Some(piece) = self.metadata_wanted.pop_front()
        {
            self.metadata_given = true;
            let from = (piece as usize).saturating_mul(METADATA_PIECE_LEN as usize).min(metadata.len());
            let to = (from + METADATA_PIECE_LEN as usize).min(metadata.len());
            let message = MetadataMessage::Data { piece, total_size, data: metadata.slice(from..to) };
            Message::Extended { id, payload: message.encode().into() }.encode(into);
        }
    }
}
