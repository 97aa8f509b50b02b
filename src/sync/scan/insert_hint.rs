//! Guesses where in its table the next rows of a list are stored.
//!
//! Rows are numbered as they are stored, and a list is mostly stored in its order, so consecutive rows have consecutive
//! numbers. Reading one stretch of the table costs a fraction of finding each row by its key. A wrong guess costs only
//! that stretch: the other rows are found by key.

use std::ops::RangeInclusive;

use crate::model::diff::Head;

/// Numbers beyond those expected, for rows that moved and for pages that overlap.
const SLACK_ROWS: i64 = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Up,
    Down,
}

/// Where the last rows were stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::sync) struct InsertHint(Option<(i64, Way)>);

impl InsertHint {
    /// The row numbers among which the next rows are looked up first; none if the last rows had scattered numbers.
    pub(in crate::sync) fn guess(self, rows: usize) -> Option<RangeInclusive<i64>> {
        let (edge, way) = self.0?;
        let rows = i64::try_from(rows).ok()?;
        // Some numbers belong to rows that are no longer listed.
        let far = edge.checked_add(match way {
            Way::Up => rows + rows / 4 + SLACK_ROWS,
            Way::Down => -(rows + rows / 4 + SLACK_ROWS),
        })?;
        Some(match way {
            Way::Up => edge.saturating_sub(SLACK_ROWS)..=far,
            Way::Down => far..=edge.saturating_add(SLACK_ROWS),
        })
    }

    /// Learns from the row numbers of consecutive rows of the list.
    pub(in crate::sync) fn learn(&mut self, heads: &[Option<Head>]) {
        let numbers = || heads.iter().flatten().map(|head| head.row_no);
        let known = numbers().count();
        let (first, last) = (numbers().next(), numbers().next_back());
        let (lowest, highest) = (numbers().min(), numbers().max());
        self.0 = match (first, last, lowest, highest) {
            (Some(first), Some(last), Some(lowest), Some(highest)) => {
                let together = i64::try_from(known).unwrap_or(i64::MAX).saturating_mul(2).saturating_add(SLACK_ROWS);
                let is_run = known * 2 >= heads.len() && highest - lowest <= together;
                is_run.then_some(if last < first { (lowest, Way::Down) } else { (highest, Way::Up) })
            }
            _ => None,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(numbers: impl IntoIterator<Item = i64>, new: usize) -> InsertHint {
        let head = |row_no| Some(Head { fingerprint: 0, missing: false, row_no });
        let heads: Vec<_> = numbers.into_iter().map(head).chain((0..new).map(|_| None)).collect();
        let mut insert_hint = InsertHint::default();
        insert_hint.learn(&heads);
        insert_hint
    }

    #[test]
    fn the_next_rows_are_expected_where_the_run_goes_on() {
        assert_eq!(after(1_000..1_100, 0).guess(100), Some(1_099 - SLACK_ROWS..=1_099 + 125 + SLACK_ROWS));
        assert_eq!(after((1_000..1_100).rev(), 0).guess(100), Some(1_000 - 125 - SLACK_ROWS..=1_000 + SLACK_ROWS));
        assert_eq!(after(1_000..1_100, 80).guess(100), after(1_000..1_100, 0).guess(100), "a few are new");
    }

    #[test]
    fn nothing_is_expected_of_rows_that_stand_apart() {
        assert_eq!(InsertHint::default().guess(100), None);
        assert_eq!(after([], 100).guess(100), None);
        assert_eq!(after(1_000..1_100, 101).guess(100), None, "most are new");
        assert_eq!(after((1_000..1_100).map(|number| number * 7), 0).guess(100), None);
    }
}
