//! Decides when a deposit is settled (`deposit.settled`): when it gets a status of `lumo.settled_statuses`.
//!
//! A deposit is settled once. No event is published if it had such a status before the configuration named the status,
//! or if it was stored as history, without any event.

use chrono::{DateTime, Utc};

use super::diff::Change;
use super::record::Deposit;

/// The statuses that count as settled.
#[derive(Clone, Copy, Debug)]
pub struct Settled<'a>(pub &'a [String]);

impl Settled<'_> {
    fn counts(self, deposit: &Deposit) -> bool {
        self.0.contains(&deposit.status)
    }

    /// Notes in what is to be stored since when it has its status, and whether it is settled.
    pub fn note(self, change: &mut Change<Deposit>, now: DateTime<Utc>) {
        match change {
            Change::Appeared(new) => {
                new.status_since = Some(now);
                new.settled_at = self.counts(new).then_some(now);
            }
            Change::Changed { old, new } => {
                let is_same = old.record.status == new.status;
                new.status_since = if is_same { old.record.status_since } else { Some(now) };
                let counts = self.counts(new) || self.counts(&old.record);
                new.settled_at = old.record.settled_at.or_else(|| counts.then_some(now));
            }
            Change::Vanished(_) => {}
        }
    }

    /// Whether the change, once noted, is what settled the deposit.
    #[must_use]
    pub fn is_news(self, change: &Change<Deposit>) -> bool {
        match change {
            Change::Appeared(new) => new.settled_at.is_some(),
            Change::Changed { old, new } => {
                old.record.settled_at.is_none() && !self.counts(&old.record) && self.counts(new)
            }
            Change::Vanished(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::model::fixture::{deposit, noon, stored};

    /// Whether each status that a deposit shows in turn settles it, and whether it is settled in the end.
    fn told(settled: &[&str], shown: &[&str]) -> (Vec<bool>, bool) {
        let names: Vec<String> = settled.iter().map(|name| (*name).to_owned()).collect();
        let settled = Settled(&names);
        let mut at = noon();
        let mut last: Option<Deposit> = None;
        let mut told = Vec::new();
        for status in shown {
            let new = deposit("d", status, "1");
            let mut change = match last.take() {
                None => Change::Appeared(new),
                Some(old) => Change::Changed { old: stored(old), new },
            };
            settled.note(&mut change, at);
            told.push(settled.is_news(&change));
            last = Some(change.record().clone());
            at += TimeDelta::minutes(1);
        }
        (told, last.is_some_and(|deposit| deposit.settled_at.is_some()))
    }

    #[test]
    fn a_deposit_is_settled_once() {
        for (settled, shown, news, in_the_end) in [
            (&["confirmed"][..], &["new", "confirmed"][..], &[false, true][..], true),
            (&["confirmed"], &["confirmed"], &[true], true),
            (&["confirmed", "done"], &["new", "confirmed", "done"], &[false, true, false], true),
            (&["confirmed"], &["new", "confirmed", "new", "confirmed"], &[false, true, false, false], true),
            (&["confirmed"], &["new", "failed"], &[false, false], false),
            (&[], &["new", "confirmed"], &[false, false], false),
        ] {
            assert_eq!(told(settled, shown), (news.to_vec(), in_the_end), "{settled:?}: {shown:?}");
        }
    }

    #[test]
    fn a_status_that_is_named_later_tells_nothing_of_who_has_it_already() {
        let names = ["confirmed".to_owned()];
        let settled = Settled(&names);
        // It was stored while no status was named.
        let old = deposit("d", "confirmed", "1");
        for status in ["confirmed", "refunded"] {
            let mut change = Change::Changed { old: stored(old.clone()), new: deposit("d", status, "2") };
            settled.note(&mut change, noon());
            assert!(!settled.is_news(&change), "{status}");
            assert!(change.record().settled_at.is_some(), "{status}: and nothing of it when it comes again");
        }
    }

    #[test]
    fn the_time_of_a_status_lasts_as_long_as_the_status() {
        let settled = Settled(&[]);
        let mut old = deposit("d", "new", "1");
        old.status_since = Some(noon());
        let later = noon() + TimeDelta::hours(1);
        for (status, since) in [("new", noon()), ("done", later)] {
            let mut change = Change::Changed { old: stored(old.clone()), new: deposit("d", status, "2") };
            settled.note(&mut change, later);
            assert_eq!(change.record().status_since, Some(since));
        }
    }
}
