//! What the processes of a fleet have sent in the running day and month: an account each, and everybody knows all accounts.
//!
//! An account only grows within a day or month, so of two accounts of one process the larger is the later, in whatever order and
//! however often they are heard. Who may spend how much is the driver's.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Most accounts that are kept: processes that started with an empty data folder this month.
pub const MAX_ACCOUNTS: usize = 256;
/// Bytes of an account on the bus.
pub(super) const PACKED: usize = 40;

/// Bytes that one process sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Account {
    /// Whose: drawn at random and kept with the account, so that it survives restarts.
    pub id: u64,
    /// Which day, since 1970.
    pub day: u64,
    /// Sent on that day.
    pub day_bytes: u64,
    /// Which month, since the year 0.
    pub month: u64,
    /// Sent in that month.
    pub month_bytes: u64,
}

impl Account {
    /// What two statements of one account say together.
    #[must_use]
    pub fn merged(self, other: Self) -> Self {
        let (day, day_bytes) = (self.day, self.day_bytes).max((other.day, other.day_bytes));
        let (month, month_bytes) = (self.month, self.month_bytes).max((other.month, other.month_bytes));
        Self { id: self.id, day, day_bytes, month, month_bytes }
    }

    pub(super) fn pack(self) -> [u8; PACKED] {
        let mut packed = [0; PACKED];
        let numbers = [self.id, self.day, self.day_bytes, self.month, self.month_bytes];
        for (place, number) in packed.chunks_exact_mut(8).zip(numbers) {
            place.copy_from_slice(&number.to_be_bytes());
        }
        packed
    }

    pub(super) fn unpack(packed: &[u8; PACKED]) -> Self {
        let mut numbers = packed.as_chunks::<8>().0.iter().map(|bytes| u64::from_be_bytes(*bytes));
        let mut next = || numbers.next().unwrap_or_default();
        Self { id: next(), day: next(), day_bytes: next(), month: next(), month_bytes: next() }
    }
}

/// The accounts of a fleet.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Accounts(BTreeMap<u64, Account>);

impl Accounts {
    /// Takes note of an account. Beyond [`MAX_ACCOUNTS`] those of former months make room, then nothing more is taken.
    pub fn merge(&mut self, account: Account) {
        if let Some(known) = self.0.get_mut(&account.id) {
            *known = known.merged(account);
            return;
        }
        if self.0.len() >= MAX_ACCOUNTS {
            let running = self.0.values().map(|known| known.month).max().unwrap_or_default();
            self.0.retain(|_, known| known.month == running);
        }
        if self.0.len() < MAX_ACCOUNTS {
            self.0.insert(account.id, account);
        }
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = Account> {
        self.0.values().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(id: u64, day: u64, day_bytes: u64, month: u64, month_bytes: u64) -> Account {
        Account { id, day, day_bytes, month, month_bytes }
    }

    #[test]
    fn accounts_come_out_the_same_in_whatever_order_and_however_often_they_are_heard() {
        let said = [account(1, 7, 5, 3, 50), account(2, 7, 9, 3, 9), account(1, 8, 1, 3, 51)];
        let mut one = Accounts::default();
        let mut other = Accounts::default();
        said.into_iter().for_each(|account| one.merge(account));
        said.into_iter().rev().chain(said).for_each(|account| other.merge(account));
        assert_eq!(one, other);
        assert_eq!(one.iter().collect::<Vec<_>>(), [account(1, 8, 1, 3, 51), account(2, 7, 9, 3, 9)]);
    }

    #[test]
    fn accounts_are_bounded_and_those_of_former_months_make_room() {
        let mut accounts = Accounts::default();
        for id in 0..2 * MAX_ACCOUNTS as u64 {
            accounts.merge(account(id, 1, 1, 1 + id % 2, 1));
        }
        assert!(accounts.iter().count() <= MAX_ACCOUNTS);
        accounts.merge(account(5_000, 1, 1, 2, 1));
        assert!(accounts.iter().all(|account| account.month == 2 || accounts.0.len() < MAX_ACCOUNTS));
    }

    #[test]
    fn an_account_is_forty_bytes_on_the_bus() {
        let account = account(1, 2, 3, 4, u64::MAX);
        assert_eq!(Account::unpack(&account.pack()), account);
    }
}
