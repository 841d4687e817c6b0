//! What a person chose of a torrent: which files are fetched, in which order, and whether to wait for that choice.
//!
//! What follows from it for pieces and requests is the engine's business.

use super::{Driver, clock};
use crate::protocol::Order;
use anatomic_engine::{PickOrder, Priority, TorrentKey};
use std::rc::Rc;

impl Driver {
    /// Files are wanted or not; `None` stands for all of them.
    pub(super) fn select(self: &Rc<Self>, key: TorrentKey, files: Option<Vec<u32>>, wanted: bool) {
        let Some(view) = self.engine.borrow().view(key) else { return };
        let Some(metainfo) = view.metainfo else { return };
        let count = metainfo.files().len();
        let priority = if wanted { Priority::NORMAL } else { Priority::SKIP };
        let mut selection = view.selection;
        selection.resize(count, Priority::NORMAL);
        match files {
            None => selection.fill(priority),
            Some(files) => {
                for file in files {
                    if let Some(own) = selection.get_mut(file as usize) {
                        *own = priority;
                    }
                }
            }
        }
        self.engine.borrow_mut().select_files(clock::now(), key, &selection);
        self.changed(key);
    }

    /// In which order pieces are fetched.
    pub(super) fn set_order(self: &Rc<Self>, key: TorrentKey, order: Order) {
        let order = match order {
            Order::RarestFirst => PickOrder::RarestFirst,
            Order::Sequential => PickOrder::Sequential,
        };
        self.engine.borrow_mut().set_order(key, order);
        self.changed(key);
    }

    /// The files are known: if a person wants to choose among them, it waits for that.
    pub(super) fn wait_for_choice(&self, key: TorrentKey) {
        let mut list = self.list.borrow_mut();
        let Some(listed) = list.get_mut(&key).filter(|listed| listed.entry.choosing) else { return };
        if listed.metainfo.as_ref().is_some_and(|metainfo| metainfo.files().len() > 1) {
            self.engine.borrow_mut().pause(clock::now(), key);
        } else {
            // One file is no choice.
            listed.entry.choosing = false;
        }
    }

    /// The person has chosen: nothing waits for that any more.
    pub(super) fn chosen(self: &Rc<Self>, key: TorrentKey) {
        let mut list = self.list.borrow_mut();
        let Some(listed) = list.get_mut(&key).filter(|listed| listed.entry.choosing) else { return };
        listed.entry.choosing = false;
        drop(list);
        self.changed(key);
    }

    /// Tells the tabs, and has the record written.
    fn changed(self: &Rc<Self>, key: TorrentKey) {
        if let Some(listed) = self.list.borrow_mut().get_mut(&key) {
            listed.touch();
        }
        self.show_whole(key);
    }
}
