//! Limits how many absent rows may be confirmed and marked as missing at a time: the guard against false removals.
//!
//! The other absent rows are held back.
//!
//! A full scan that proves the list shows which known rows it does not contain. Each of them is then asked for alone,
//! twice ([`super::recheck`]). That is enough proof for each row, whatever their number. So the guard limits the speed,
//! and makes the removals visible: rows are confirmed in portions, and the rest waits, which is reported. Only if more
//! than half of the list is gone at one moment, a broken server is the more likely reason. Then no answer without a row
//! counts until a full scan lists the rows again, or the operator accepts the removals. Pure: it works on counts and
//! row numbers.

use serde::{Deserialize, Serialize};

/// This number of rows may always be confirmed at a time, and never counts as most of a list.
const MIN_PORTION: u64 = 20;
/// One row in this number of listed rows may be confirmed at a time.
const PORTION_DIVISOR: u64 = 100;
/// The most rows that are confirmed at a time.
const MAX_PORTION: u64 = 500;
/// The most row numbers that are kept while they wait. The next full scan finds the others again.
const MAX_QUEUED: usize = 2_000;

/// The rows that are held back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Removals {
    /// The numbers of the rows that are next, the longest known first.
    queue: Vec<i64>,
    /// How many more rows are held back and not in the queue.
    unqueued: u64,
    /// Whether most of the list was gone at one moment.
    suspended: bool,
    /// What `total` was when the list was last read whole.
    total: Option<u64>,
    /// How many rows were absent then and are not marked as missing yet, held back or being confirmed.
    absent: u64,
}

/// The rows that a full scan did not list, collected while they are read from the table.
#[derive(Debug, Default)]
pub struct Absent {
    queue: Vec<i64>,
    unqueued: u64,
    /// How many of them are being confirmed already.
    asked: u64,
}

impl Absent {
    /// Adds a row that is not being confirmed yet.
    pub fn note(&mut self, row_no: i64) {
        if self.queue.len() < MAX_QUEUED {
            self.queue.push(row_no);
        } else {
            self.unqueued += 1;
        }
    }

    /// Counts a row that is being confirmed already.
    pub fn note_asked(&mut self) {
        self.asked += 1;
    }

    fn held(&self) -> u64 {
        count(self.queue.len()) + self.unqueued
    }
}

impl Removals {
    /// Notes the rows that a full scan did not list, the number of rows that are stored as listed, and the `total` of
    /// the list.
    pub fn found(&mut self, absent: Absent, listed: u64, total: Option<u64>) {
        let all = absent.held() + absent.asked;
        // Rows that were known to be absent before are not gone at this moment.
        let fresh = if self.suspended { all } else { all.saturating_sub(self.absent) };
        self.suspended = is_most(fresh, listed);
        (self.total, self.absent) = (total, all);
        (self.queue, self.unqueued) = (absent.queue, absent.unqueued);
    }

    /// Notes that this number of rows was marked as missing.
    pub fn marked(&mut self, rows: u64) {
        self.absent = self.absent.saturating_sub(rows);
    }

    /// Notes that all rows that are held back were marked as missing.
    pub fn accepted(&mut self) {
        *self = Self::default();
    }

    /// The rows to confirm next, while `asked` others are being confirmed.
    pub fn next(&mut self, asked: u64, listed: u64) -> Vec<i64> {
        if self.suspended {
            return Vec::new();
        }
        let room = usize::try_from(portion(listed).saturating_sub(asked)).unwrap_or(0);
        self.queue.drain(..room.min(self.queue.len())).collect()
    }

    /// Whether an answer without a row proves anything about the row. `total` is its present value, and `listed` is the
    /// number of rows that are stored as listed. It proves nothing while most of the list is gone: by the last full
    /// scan, or because `total` has fallen since.
    #[must_use]
    pub fn is_plausible(&self, total: Option<u64>, listed: u64) -> bool {
        let fallen = self.total.zip(total).map_or(0, |(before, now)| before.saturating_sub(now));
        !self.is_suspended() && !is_most(fallen, listed)
    }

    /// How many rows are held back.
    #[must_use]
    pub fn held(&self) -> u64 {
        if self.suspended { self.absent } else { count(self.queue.len()) + self.unqueued }
    }

    /// How many rows were absent from the last full scan and are not marked as missing yet, held back or not.
    #[must_use]
    pub fn absent(&self) -> u64 {
        self.absent
    }

    /// Whether the rows wait until the operator accepts the removals or the list shows them again.
    #[must_use]
    pub fn is_suspended(&self) -> bool {
        self.suspended && self.held() > 0
    }

    /// Whether another full scan is needed to know which rows are next.
    #[must_use]
    pub fn wants_scan(&self) -> bool {
        !self.suspended && self.queue.is_empty() && self.unqueued > 0
    }

    /// What is held back and why, as a sentence without its final stop; `None` if nothing is.
    #[must_use]
    pub fn why(&self, listing: &str, listed: u64) -> Option<String> {
        let held = self.held();
        if held == 0 {
            return None;
        }
        Some(if self.suspended {
            format!(
                "{held} of {listed} rows left the list at once, which a broken server is the likelier reason for; they stay as \
                 listed until the list shows them again, or `lumo-bridge sync {listing} --accept-removals` says that they are gone"
            )
        } else {
            let (rows, stay, them) = if held == 1 { ("row", "stays", "it") } else { ("rows", "stay", "them all") };
            format!(
                "{held} {rows} that left the list {stay} as listed until each is confirmed, {} at a time; `lumo-bridge sync \
                 {listing} --accept-removals` marks {them} as missing now",
                portion(listed)
            )
        })
    }
}

/// How many rows may be confirmed at a time.
fn portion(listed: u64) -> u64 {
    (listed / PORTION_DIVISOR).clamp(MIN_PORTION, MAX_PORTION)
}

fn is_most(rows: u64, listed: u64) -> bool {
    rows > MIN_PORTION && rows > listed / 2
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn absent(rows: std::ops::Range<i64>, asked: u64) -> Absent {
        let mut absent = Absent::default();
        rows.for_each(|row| absent.note(row));
        (0..asked).for_each(|_| absent.note_asked());
        absent
    }

    fn found(removals: &mut Removals, absent: Absent, listed: u64) {
        let total = listed - absent.held() - absent.asked;
        removals.found(absent, listed, Some(total));
    }

    #[test]
    fn rows_are_asked_about_in_portions() {
        let mut removals = Removals::default();
        found(&mut removals, absent(1..101, 0), 3_000);
        assert_eq!((removals.held(), removals.is_suspended()), (100, false));
        assert_eq!(removals.next(0, 3_000).len(), 30);
        assert_eq!(removals.next(25, 3_000), [31, 32, 33, 34, 35]);
        assert!(removals.next(30, 3_000).is_empty());
        assert_eq!(removals.held(), 65);
        let why = removals.why("deposits", 3_000).unwrap();
        assert!(why.contains("65 rows") && why.contains("30 at a time"), "{why}");
        found(&mut removals, absent(1..2, 0), 3_000);
        let why = removals.why("deposits", 3_000).unwrap();
        assert!(why.starts_with("1 row that left the list stays") && why.ends_with("marks it as missing now"), "{why}");
    }

    #[test]
    fn most_of_a_list_at_one_moment_waits_for_the_operator() {
        let mut removals = Removals::default();
        found(&mut removals, absent(1..62, 0), 120);
        assert!(removals.is_suspended() && removals.next(0, 120).is_empty());
        assert!(removals.why("wallets", 120).unwrap().contains("`lumo-bridge sync wallets --accept-removals`"));
        // It stays so while they are gone, and ends when they are back.
        found(&mut removals, absent(1..62, 0), 120);
        assert!(removals.is_suspended());
        found(&mut removals, absent(1..1, 0), 120);
        assert_eq!((removals.is_suspended(), removals.why("wallets", 120)), (false, None));
        // A few are never most of a list.
        found(&mut removals, absent(1..21, 0), 20);
        assert_eq!(removals.next(0, 20).len(), 20);
    }

    #[test]
    fn what_piles_up_is_not_gone_at_one_moment() {
        let (mut removals, mut gone) = (Removals::default(), 0);
        for _ in 0..10 {
            gone += 20;
            found(&mut removals, absent(1..gone + 1, 0), 250);
            assert!(!removals.is_suspended(), "{gone}");
            assert!(removals.is_plausible(Some(250 - u64::try_from(gone).unwrap()), 250));
        }
    }

    #[test]
    fn rows_that_were_asked_for_in_vain_before_the_list_was_read_are_gone_at_one_moment_as_well() {
        let mut removals = Removals::default();
        found(&mut removals, absent(1..1, 0), 100);
        found(&mut removals, absent(1..21, 80), 100);
        assert_eq!((removals.is_suspended(), removals.held()), (true, 100));
    }

    #[test]
    fn what_was_marked_is_not_among_the_rows_that_were_known_to_be_absent() {
        let mut removals = Removals::default();
        found(&mut removals, absent(1..101, 0), 250);
        removals.marked(100);
        found(&mut removals, absent(1..77, 0), 150);
        assert!(removals.is_suspended());
    }

    #[test]
    fn a_total_that_fell_by_more_than_half_is_not_plausible() {
        let mut removals = Removals::default();
        assert!(removals.is_plausible(Some(0), 1_000), "nothing to compare with");
        found(&mut removals, absent(1..1, 0), 1_000);
        assert!(removals.is_plausible(Some(500), 1_000) && removals.is_plausible(None, 1_000));
        assert!(!removals.is_plausible(Some(499), 1_000));
        found(&mut removals, absent(1..401, 0), 1_000);
        assert!(removals.is_plausible(Some(100), 1_000), "400 of them are known to have left");
        found(&mut removals, absent(1..951, 0), 1_000);
        assert!(!removals.is_plausible(Some(50), 1_000), "they are held back");
        removals.accepted();
        assert!(removals.is_plausible(Some(50), 50));
    }

    #[test]
    fn a_total_that_was_never_true_is_plausible() {
        let mut removals = Removals::default();
        removals.found(Absent::default(), 1_000, Some(0));
        assert!(removals.is_plausible(Some(0), 1_000));
    }

    #[test]
    fn what_finds_no_place_in_the_queue_wants_another_scan() {
        let mut removals = Removals::default();
        found(&mut removals, absent(1..2_011, 0), 1_000_000);
        assert_eq!(removals.held(), 2_010);
        while !removals.next(0, 1_000_000).is_empty() {}
        assert_eq!((removals.held(), removals.wants_scan()), (10, true));
    }
}
