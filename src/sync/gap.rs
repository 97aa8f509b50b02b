//! The count check: what `total` says against what is stored as listed.
//!
//! The difference stands still while every new row is found: it is 0, or below as long as rows that went upstream are not
//! known to have gone. If it rises, a row was missed. It proves something only where `total` is true.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

/// How often running the gap must be lower before that is how it stands.
const PATIENCE: u8 = 2;
/// For how long sweeps must find `total` untrue before it is believed no more.
const UNTRUE_FOR: TimeDelta = TimeDelta::days(1);

/// How the gap stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Gap {
    base: i64,
    /// How often running it was lower than that.
    lower: u8,
    /// When a sweep first found `total` untrue, if none has found it true since.
    untrue_since: Option<DateTime<Utc>>,
    is_untrusted: bool,
}

/// What a count tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judged {
    /// Nothing: there is no total, or it cannot be trusted.
    Untold,
    /// As many rows are listed as should be.
    Even,
    /// So many rows are missing here, unless writes were in flight.
    Risen(u64),
    /// Rows went upstream.
    Fallen,
}

impl Gap {
    /// Compares `total`, as just told, with how many rows are stored as listed.
    pub fn judge(&mut self, total: Option<u64>, listed: i64) -> Judged {
        let Some(total) = total.filter(|_| !self.is_untrusted) else { return Judged::Untold };
        let gap = i64::try_from(total).unwrap_or(i64::MAX).saturating_sub(listed);
        if gap >= self.base {
            self.lower = 0;
            let risen = gap.abs_diff(self.base);
            return if risen == 0 { Judged::Even } else { Judged::Risen(risen) };
        }
        self.lower = self.lower.saturating_add(1);
        if self.lower >= PATIENCE {
            self.settle(gap);
        }
        Judged::Fallen
    }

    /// The gap as a certificate has found it: what is stored is what is listed, but for the rows that are suspected of
    /// having gone.
    pub fn settle(&mut self, gap: i64) {
        (self.base, self.lower) = (gap, 0);
    }

    /// What a sweep that read the whole list says of `total`: whether it was the number of rows. One that is untrue for
    /// a day is trusted no more, until a sweep finds it true.
    pub fn note_sweep(&mut self, total_was_true: bool, now: DateTime<Utc>) {
        if total_was_true {
            (self.untrue_since, self.is_untrusted) = (None, false);
            return;
        }
        // A clock that was set back must not make for a longer trust.
        let since = self.untrue_since.map_or(now, |since| since.min(now));
        self.untrue_since = Some(since);
        self.is_untrusted |= now - since >= UNTRUE_FOR;
    }

    /// Whether `total` is worth comparing with.
    #[must_use]
    pub fn is_trusted(&self) -> bool {
        !self.is_untrusted
    }

    /// The gap as it stands.
    #[must_use]
    pub fn base(&self) -> i64 {
        self.base
    }
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
        assert_eq!(gap.judge(Some(100), 100), Judged::Even);
        assert_eq!(gap.judge(Some(103), 100), Judged::Risen(3));
        assert_eq!(gap.judge(Some(103), 103), Judged::Even);
        assert_eq!(gap.judge(None, 103), Judged::Untold);
    }

    #[test]
    fn a_gap_that_is_lower_twice_running_is_how_it_stands() {
        let mut gap = Gap::default();
        assert_eq!(gap.judge(Some(95), 100), Judged::Fallen);
        assert_eq!(gap.judge(Some(100), 100), Judged::Even);
        assert_eq!(gap.judge(Some(95), 100), Judged::Fallen);
        assert_eq!(gap.judge(Some(95), 100), Judged::Fallen);
        assert_eq!((gap.base(), gap.judge(Some(95), 100)), (-5, Judged::Even));
        // One of the rows that went was known to have gone all along: a new one was missed.
        assert_eq!(gap.judge(Some(96), 100), Judged::Risen(1));
    }

    #[test]
    fn a_certificate_settles_the_gap() {
        let mut gap = Gap::default();
        gap.judge(Some(90), 100);
        gap.settle(-7);
        assert_eq!((gap.judge(Some(90), 100), gap.base()), (Judged::Fallen, -7));
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
            gap.note_sweep(total_was_true, at(hour));
            assert_eq!(gap.is_trusted(), is_trusted, "hour {hour}");
            assert_eq!(gap.judge(Some(7), 0) == Judged::Untold, !is_trusted);
        }
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_prolong_the_trust() {
        let mut gap = Gap::default();
        [1_000, 10, 34].into_iter().for_each(|hour| gap.note_sweep(false, at(hour)));
        assert!(!gap.is_trusted());
    }

    proptest! {
        #[test]
        fn any_numbers_are_judged_and_kept(total: Option<u64>, listed: i64, base: i64) {
            let mut gap = Gap::default();
            gap.settle(base);
            gap.judge(total, listed);
            let text = serde_json::to_string(&gap).unwrap();
            prop_assert_eq!(serde_json::from_str::<Gap>(&text).unwrap(), gap);
        }
    }
}
