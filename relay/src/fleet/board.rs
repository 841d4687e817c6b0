//! What the fleet's task and the rest of the process lay out for each other: what was spent, and who the sisters are.
//!
//! Values only; both sides look when it is time.

use anatomic_mesh::fleet::Account;
use anatomic_mesh::{Receipt, Signed};
use std::sync::Arc;

/// Most accounts that wait to be taken note of; what is beyond is told again.
const MAX_HEARD: usize = 4_096;

#[derive(Default)]
pub(super) struct Board {
    /// All accounts that we know.
    pub(super) spent: Vec<Account>,
    /// What mates told since it was last taken.
    pub(super) heard: Vec<Account>,
    /// A receipt of each sister to whom we are connected.
    pub(super) ours: Vec<Vec<u8>>,
    /// The same of whoever speaks, as it was last told, and read.
    told: Vec<Vec<u8>>,
    pub(super) sisters: Arc<[Signed<Receipt>]>,
}

impl Board {
    pub(super) fn hear(&mut self, accounts: Vec<Account>) {
        let room = MAX_HEARD.saturating_sub(self.heard.len());
        self.heard.extend(accounts.into_iter().take(room));
    }

    /// Signatures are verified where something is new.
    pub(super) fn take_sisters(&mut self, receipts: Vec<Vec<u8>>) {
        if self.told != receipts {
            let read = receipts.iter().filter_map(|receipt| Signed::from_bytes(receipt).ok());
            self.sisters = read.collect();
            self.told = receipts;
        }
    }
}
