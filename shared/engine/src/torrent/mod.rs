//! One torrent.
//!
//! (Being filled in.)
#![allow(unused_variables, clippy::unused_self, clippy::needless_pass_by_value, clippy::missing_const_for_fn)]

use crate::add::{AddTorrent, Limits, PickOrder, Priority, Source};
use crate::config::Config;
use crate::keys::{PeerKey, TorrentKey};
use crate::output::{AnnounceReply, Done};
use crate::peer::Peer;
use crate::resume::ResumeData;
use crate::shared::{Shared, Task};
use crate::view::TorrentView;
use anatomic_core::{InfoHash, Time};
use bytes::Bytes;
use std::net::SocketAddr;
use std::ops::Range;

pub(crate) struct Torrent {
    info_hash: InfoHash,
}

impl Torrent {
    pub(crate) fn new(key: TorrentKey, add: AddTorrent, shared: &mut Shared) -> Self {
        Self { info_hash: add.source.info_hash() }
    }
    pub(crate) const fn info_hash(&self) -> InfoHash {
        self.info_hash
    }
    pub(crate) fn start(&mut self, shared: &mut Shared) {}
    pub(crate) fn remove(&mut self, shared: &mut Shared) {}
    pub(crate) fn pause(&mut self, shared: &mut Shared) {}
    pub(crate) fn resume(&mut self, shared: &mut Shared) {}
    pub(crate) fn select_files(&mut self, shared: &mut Shared, selection: &[Priority]) {}
    pub(crate) fn set_order(&mut self, order: PickOrder) {}
    pub(crate) fn set_window(&mut self, shared: &mut Shared, stream: u64, window: Option<Range<u64>>) {}
    pub(crate) fn limits_changed(&mut self, shared: &mut Shared) {}
    pub(crate) fn set_limits(&mut self, shared: &mut Shared, limits: Limits) {}
    pub(crate) fn add_trackers(&mut self, shared: &mut Shared, urls: &[String]) {}
    pub(crate) fn announce_now(&mut self, shared: &mut Shared) {}
    pub(crate) fn add_candidates(&mut self, shared: &mut Shared, source: Source, addresses: &[SocketAddr]) {}
    pub(crate) fn connected(&mut self, shared: &mut Shared, key: PeerKey, peer: Peer) {}
    pub(crate) fn dial_failed(&mut self, shared: &mut Shared, address: SocketAddr) {}
    pub(crate) fn received(&mut self, shared: &mut Shared, key: PeerKey, bytes: Bytes) {}
    pub(crate) fn lost(&mut self, shared: &mut Shared, key: PeerKey) {}
    pub(crate) fn announced(
        &mut self,
        shared: &mut Shared,
        tracker: usize,
        result: Result<AnnounceReply, String>,
    ) {
    }
    pub(crate) fn done(&mut self, shared: &mut Shared, task: Task, done: Done) {}
    pub(crate) fn timeout(&mut self, shared: &mut Shared) {}
    pub(crate) fn transmit(
        &mut self,
        shared: &mut Shared,
        key: PeerKey,
        room: usize,
        into: &mut Vec<u8>,
    ) -> usize {
        0
    }
    pub(crate) fn flush(&mut self, shared: &mut Shared) {}
    pub(crate) fn deadline(&self) -> Time {
        Time::NEVER
    }
    pub(crate) fn wants_peer(&self, config: &Config) -> bool {
        false
    }
    pub(crate) fn view(&self, now: Time) -> TorrentView {
        todo!()
    }
    pub(crate) fn resume_data(&self) -> ResumeData {
        todo!()
    }
}
