//! What was sent in the running day and month (UTC), kept across restarts and crashes.
//!
//! Counts nothing itself and knows no budget. In a fleet the sum over all processes is what counts: each keeps the accounts of the
//! others beside its own.

use crate::node::files::{self, Access};
use anatomic_mesh::UnixTime;
use anatomic_mesh::fleet::{Account, Accounts};
use serde::{Deserialize, Serialize};
use std::io;
use std::path::Path;

/// Version of the format.
const VERSION: u32 = 1;
/// Longest file that is read, in bytes.
const MAX_LENGTH: u64 = 100_000;

/// Bytes sent in the running day and month.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Spent {
    /// Since midnight.
    pub day: u64,
    /// Since the first.
    pub month: u64,
}

/// The account.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Ledger {
    version: u32,
    /// Days since 1970.
    day: u64,
    day_bytes: u64,
    /// Months since the year 0.
    month: u64,
    month_bytes: u64,
    /// The account's name among those of a fleet; 0 where there was none yet.
    #[serde(default)]
    id: u64,
    /// What other processes of the fleet sent.
    #[serde(default)]
    fleet: Accounts,
}

impl Ledger {
    /// What `file` says; nothing, if it is not there.
    ///
    /// # Errors
    /// When it cannot be read or understood.
    pub fn read(file: &Path) -> io::Result<Self> {
        match std::fs::metadata(file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(error),
            Ok(found) if found.len() > MAX_LENGTH => return Err(io::Error::other("it is too long")),
            Ok(_) => {}
        }
        let ledger: Self = serde_json::from_slice(&std::fs::read(file)?)?;
        if ledger.version == VERSION {
            Ok(ledger)
        } else {
            Err(io::Error::other(format!("it is of version {}, we write {VERSION}", ledger.version)))
        }
    }

    /// Writes it.
    ///
    /// # Errors
    /// When the disk does not take it; the old file is untouched then.
    pub fn write(&self, file: &Path) -> io::Result<()> {
        files::write(file, &serde_json::to_vec(&Self { version: VERSION, ..self.clone() })?, Access::Default)
    }

    /// So many bytes more were sent at that time.
    pub fn spend(&mut self, now: UnixTime, bytes: u64) {
        let Spent { day, month } = self.own(now);
        (self.day, self.month) = dates(now);
        (self.day_bytes, self.month_bytes) = (day.saturating_add(bytes), month.saturating_add(bytes));
    }

    /// What all processes of the fleet sent in the day and month of that time. A clock that goes back does not begin anew.
    #[must_use]
    pub fn at(&self, now: UnixTime) -> Spent {
        self.fleet.iter().map(|account| running(&account, now)).fold(self.own(now), |sum, more| Spent {
            day: sum.day.saturating_add(more.day),
            month: sum.month.saturating_add(more.month),
        })
    }

    fn own(&self, now: UnixTime) -> Spent {
        running(&self.account(), now)
    }

    fn account(&self) -> Account {
        let Self { id, day, day_bytes, month, month_bytes, .. } = *self;
        Account { id, day, day_bytes, month, month_bytes }
    }

    /// Gives the account a name, if it has none.
    pub const fn name(&mut self, id: u64) {
        if self.id == 0 {
            self.id = id;
        }
    }

    /// This process's account, and those of others as far as they are known.
    #[must_use]
    pub fn accounts(&self) -> Vec<Account> {
        std::iter::once(self.account()).chain(self.fleet.iter()).collect()
    }

    /// Takes note of an account that a mate told of. She may know our own better than the file, after a crash.
    pub fn merge(&mut self, account: Account) {
        if account.id != self.id {
            return self.fleet.merge(account);
        }
        let Account { day, day_bytes, month, month_bytes, .. } = self.account().merged(account);
        (self.day, self.day_bytes, self.month, self.month_bytes) = (day, day_bytes, month, month_bytes);
    }
}

/// What of an account belongs to the day and month of that time.
const fn running(account: &Account, now: UnixTime) -> Spent {
    let (day, month) = dates(now);
    Spent {
        day: if day > account.day { 0 } else { account.day_bytes },
        month: if month > account.month { 0 } else { account.month_bytes },
    }
}

/// Days since 1970, and months since the year 0, by Howard Hinnant's `civil_from_days`.
const fn dates(now: UnixTime) -> (u64, u64) {
    let days = now.0 / 86_400;
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Months since March: a year that begins then has its leap day last.
    let month = (5 * day_of_year + 2) / 153;
    (days, (era * 400 + year_of_era) * 12 + month + 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_months_begin_where_the_calendar_says() {
        // Seconds of `date -u -d … +%s`, and whether it is a new month.
        for (before, after, is_new) in [
            (1_709_164_799, 1_709_164_800, false), // 28 to 29 February 2024
            (1_709_251_199, 1_709_251_200, true),  // 29 February to 1 March 2024
            (1_740_787_199, 1_740_787_200, true),  // 28 February to 1 March 2025
            (1_798_761_599, 1_798_761_600, true),  // 31 December 2026 to 1 January 2027
            (1_798_847_999, 1_798_848_000, false), // 1 to 2 January 2027
        ] {
            let (one, two) = (dates(UnixTime(before)), dates(UnixTime(after)));
            assert_eq!(two.0, one.0 + 1, "{after}");
            assert_eq!(two.1 - one.1, u64::from(is_new), "{after}");
        }
    }

    #[test]
    fn a_new_day_begins_with_nothing_and_the_month_goes_on() {
        let mut ledger = Ledger::default();
        let noon = UnixTime(1_798_761_600 + 43_200);
        ledger.spend(noon, 5);
        ledger.spend(noon.plus(60), 2);
        assert_eq!(ledger.at(noon), Spent { day: 7, month: 7 });
        assert_eq!(ledger.at(noon.plus(86_400)), Spent { day: 0, month: 7 });
        assert_eq!(ledger.at(noon.plus(31 * 86_400)), Spent::default());
        ledger.spend(noon.plus(86_400), 1);
        assert_eq!(ledger.at(noon.plus(86_400)), Spent { day: 1, month: 8 });
        assert_eq!(ledger.at(noon).day, 1, "a clock that goes back gives nothing back");
    }

    #[test]
    fn the_fleet_s_spending_is_the_sum_of_all_accounts_and_a_process_that_is_gone_still_counts() {
        let noon = UnixTime(1_798_761_600 + 43_200);
        let (mut one, mut two) = (Ledger::default(), Ledger::default());
        one.name(1);
        two.name(2);
        one.name(3);
        one.spend(noon, 5);
        two.spend(noon, 7);
        for _ in 0..3 {
            one.accounts().into_iter().for_each(|account| two.merge(account));
            two.accounts().into_iter().for_each(|account| one.merge(account));
        }
        assert_eq!(
            (one.at(noon), two.at(noon)),
            (Spent { day: 12, month: 12 }, Spent { day: 12, month: 12 })
        );
        // The first is gone; a third hears of it from the second. The first comes back with an older file.
        let mut three = Ledger::default();
        three.name(4);
        two.accounts().into_iter().for_each(|account| three.merge(account));
        assert_eq!(three.at(noon).month, 12);
        let mut back = Ledger::default();
        back.name(1);
        back.spend(noon, 1);
        three.accounts().into_iter().for_each(|account| back.merge(account));
        assert_eq!(back.at(noon).month, 12);
        assert_eq!(back.at(noon.plus(86_400)), Spent { day: 0, month: 12 });
    }

    #[test]
    fn the_account_is_back_after_a_restart() {
        let file = std::env::temp_dir().join(format!("anatomic-ledger-{}", std::process::id()));
        assert_eq!(Ledger::read(&file).unwrap(), Ledger::default());
        let mut ledger = Ledger::default();
        ledger.spend(UnixTime(1_798_761_600), 9);
        ledger.write(&file).unwrap();
        assert_eq!(Ledger::read(&file).unwrap().at(UnixTime(1_798_761_601)), Spent { day: 9, month: 9 });
        std::fs::write(&file, "nonsense").unwrap();
        assert!(Ledger::read(&file).is_err());
        std::fs::remove_file(file).unwrap();
    }
}
