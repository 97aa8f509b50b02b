//! Compares `total` with the number of rows that are stored as listed: the count check.
//!
//! The difference is the gap. It stays the same while every new row is found: 0, or negative while rows that left
//! upstream are not known to be gone. If it rises, a row was missed. It proves something only if `total` is true.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

/// After this many consecutive lower readings, the lower gap is the new base.
const SETTLES_AFTER_READS: u8 = 2;
/// How long full scans must find the same surplus before it counts as known. A cached `total` is of another time.
const SURPLUS_STANDS_AFTER: TimeDelta = TimeDelta::minutes(1);
/// After `total` was untrue for this long, it is no longer trusted.
const DISTRUST_TOTAL_AFTER: TimeDelta = TimeDelta::days(1);

/// The gap, and what is known of `total`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Gap {
    base: i64,
    /// How many consecutive readings were lower than the base.
    lower: u8,
    /// When a sweep first found `total` untrue, if none has found it true since.
    untrue_since: Option<DateTime<Utc>>,
    is_untrusted: bool,
    /// How many rows `total` is known to count that are never listed.
    surplus: u64,
    /// The surplus that was seen last, and since when.
    seeming: Option<(u64, DateTime<Utc>)>,
}

/// The result of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// Nothing: there is no total, or it cannot be trusted.
    Unknown,
    /// The stored rows are as many as expected.
    Equal,
    /// This many rows are missing here, unless writes were in flight.
    Missing(u64),
    /// Rows left the list upstream.
    Fewer,
}

impl Gap {
    /// Compares the latest `total` with the number of rows that are stored as listed.
    pub fn compare(&mut self, total: Option<u64>, listed: i64) -> Comparison {
        let Some(total) = total.filter(|_| !self.is_untrusted) else { return Comparison::Unknown };
        let gap = i64::try_from(total).unwrap_or(i64::MAX).saturating_sub(listed);
        if gap >= self.base {
            self.lower = 0;
            let risen = gap.abs_diff(self.base);
            return if risen == 0 { Comparison::Equal } else { Comparison::Missing(risen) };
        }
        self.lower = self.lower.saturating_add(1);
        if self.lower >= SETTLES_AFTER_READS {
            self.settle(gap);
        }
        Comparison::Fewer
    }

    /// Sets the base that a full scan has proved: the stored rows are the listed ones, except for rows suspected of
    /// being gone.
    pub fn settle(&mut self, gap: i64) {
        (self.base, self.lower) = (gap, 0);
    }

    /// Raises the base by rows that no longer count as listed and are not listed upstream either. It never rises above
    /// the known surplus.
    pub fn raise(&mut self, rows: u64) {
        let surplus = i64::try_from(self.surplus).unwrap_or(i64::MAX);
        self.settle(self.base.saturating_add_unsigned(rows).min(surplus));
    }

    /// Notes how many rows `total` counts beyond the listed ones, as a full scan has found; none if the scan proved
    /// nothing. A total that is untrue for a day, and not always by the same surplus, is not trusted until a scan finds
    /// it true.
    pub fn note_scan(&mut self, beyond: Option<i64>, now: DateTime<Utc>) {
        let surplus = beyond.and_then(|beyond| u64::try_from(beyond).ok());
        // A clock that was set back must not make for a longer wait.
        let since =
            self.seeming.filter(|(seeming, _)| Some(*seeming) == surplus).map_or(now, |(_, since)| since.min(now));
        self.seeming = surplus.filter(|surplus| *surplus != self.surplus).map(|surplus| (surplus, since));
        if let Some(surplus) = surplus.filter(|surplus| *surplus == 0 || now - since >= SURPLUS_STANDS_AFTER) {
            (self.surplus, self.seeming) = (surplus, None);
        }
        if surplus == Some(self.surplus) {
            (self.untrue_since, self.is_untrusted) = (None, false);
            return;
        }
        // A clock that was set back must not make for a longer trust.
        let since = self.untrue_since.map_or(now, |since| since.min(now));
        self.untrue_since = Some(since);
        self.is_untrusted |= now - since >= DISTRUST_TOTAL_AFTER;
    }

    /// How many rows `total` is known to count that are never listed.
    #[must_use]
    pub fn surplus(&self) -> u64 {
        self.surplus
    }

    /// Whether `total` is worth comparing with.
    #[must_use]
    pub fn is_trusted(&self) -> bool {
        !self.is_untrusted
    }

    /// The present base of the gap.
    #[must_use]
    pub fn base(&self) -> i64 {
        self.base
    }
}

/// How many more rows `total` counts than are stored as listed.
#[must_use]
pub fn gap_of(total: Option<u64>, listed: i64) -> Option<i64> {
    Some(i64::try_from(total?).ok()? - listed)
}

/// What to tell an operator about a `total` that counts rows which are never listed.
#[must_use]
pub fn counts_more(rows: u64) -> String {
    let rows = if rows == 1 { "one more row".to_owned() } else { format!("{rows} more rows") };
    format!("Lumo counts {rows} than it lists; every row that it lists is stored")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(hour: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::hours(hour)
    }

    #[test]
    fn a_total_above_what_is_listed_is_a_rise() {
        let mut gap = Gap::default();
        assert_eq!(gap.compare(Some(100), 100), Comparison::Equal);
        assert_eq!(gap.compare(Some(103), 100), Comparison::Missing(3));
        assert_eq!(gap.compare(Some(103), 103), Comparison::Equal);
        assert_eq!(gap.compare(None, 103), Comparison::Unknown);
    }

    #[test]
    fn a_gap_that_is_lower_twice_running_is_how_it_stands() {
        let mut gap = Gap::default();
        assert_eq!(gap.compare(Some(95), 100), Comparison::Fewer);
        assert_eq!(gap.compare(Some(100), 100), Comparison::Equal);
        assert_eq!(gap.compare(Some(95), 100), Comparison::Fewer);
        assert_eq!(gap.compare(Some(95), 100), Comparison::Fewer);
        assert_eq!((gap.base(), gap.compare(Some(95), 100)), (-5, Comparison::Equal));
        // One of the rows that went was known to have gone all along: a new one was missed.
        assert_eq!(gap.compare(Some(96), 100), Comparison::Missing(1));
    }

    #[test]
    fn a_certificate_settles_the_gap() {
        let mut gap = Gap::default();
        gap.compare(Some(90), 100);
        gap.settle(-7);
        assert_eq!((gap.compare(Some(90), 100), gap.base()), (Comparison::Fewer, -7));
    }

    #[test]
    fn rows_that_do_not_count_any_more_raise_it_to_the_surplus_at_most() {
        let mut gap = Gap::default();
        gap.settle(-3);
        gap.raise(2);
        assert_eq!((gap.base(), gap.compare(Some(99), 100)), (-1, Comparison::Equal));
        gap.raise(2);
        assert_eq!((gap.base(), gap.compare(Some(101), 100)), (0, Comparison::Missing(1)));
    }

    #[test]
    fn a_total_that_is_untrue_for_a_day_is_trusted_no_more() {
        let mut gap = Gap::default();
        for (hour, total_was_true, is_trusted) in [
            (0, false, true),
            (23, false, true),
            (24, false, false),
            (30, true, true),
            (31, false, true),
            (50, false, true),
        ] {
            gap.note_scan(total_was_true.then_some(0), at(hour));
            assert_eq!(gap.is_trusted(), is_trusted, "hour {hour}");
            assert_eq!(gap.compare(Some(7), 0) == Comparison::Unknown, !is_trusted);
        }
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_prolong_the_trust() {
        let mut gap = Gap::default();
        [1_000, 10, 34].into_iter().for_each(|hour| gap.note_scan(None, at(hour)));
        assert!(!gap.is_trusted());
    }

    #[test]
    fn a_total_that_counts_the_same_row_too_many_for_a_minute_is_known_to() {
        let second = |second: i64| DateTime::UNIX_EPOCH + TimeDelta::seconds(second);
        let mut gap = Gap::default();
        for (at, beyond, surplus) in [
            (0, 1, 0),
            (59, 1, 0),
            (60, 1, 1),
            (61, 1, 1),
            (70, 2, 1),
            (131, 2, 2),
            (132, 0, 0),
            (200, 5, 0),
            (300, 4, 0),
        ] {
            gap.note_scan(Some(beyond), second(at));
            assert_eq!(gap.surplus(), surplus, "second {at}");
        }
    }

    #[test]
    fn a_surplus_that_stands_is_no_reason_to_distrust_the_total() {
        let mut gap = Gap::default();
        (0..100).for_each(|hour| gap.note_scan(Some(3), at(hour)));
        assert!(gap.is_trusted());
        assert_eq!(
            counts_more(gap.surplus()),
            "Lumo counts 3 more rows than it lists; every row that it lists is stored"
        );
    }

    proptest! {
        #[test]
        fn any_numbers_are_judged_and_kept(total: Option<u64>, listed: i64, base: i64) {
            let mut gap = Gap::default();
            gap.settle(base);
            gap.compare(total, listed);
            let text = serde_json::to_string(&gap).unwrap();
            prop_assert_eq!(serde_json::from_str::<Gap>(&text).unwrap(), gap);
        }
    }
}
