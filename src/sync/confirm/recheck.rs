//! Queues rows to be re-read, and decides when an unlikely change of a row counts as confirmed.
//!
//! A list filtered by one user fits into one page, so its answer is a snapshot. An unlikely change (a row is gone, a
//! wallet is no longer blocked) is believed when two such answers agree that are half a minute apart, because one of
//! them may come from a replica that lags behind.

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

/// How far apart two answers must be.
pub(in crate::sync) const CONFIRM_AFTER: TimeDelta = TimeDelta::seconds(30);
/// The most rows that may wait. The next sweep finds the others again.
const MAX_ENTRIES: usize = 4_000;

/// Why a row is re-read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// A sweep did not list it.
    Absent,
    /// It went back to a state that it had left.
    Regression,
    /// A deposit is no longer in the list of status `new`.
    LeftNew,
    /// A wallet is no longer in the list of blocked wallets.
    Unblocked,
    /// Its user was active a moment ago.
    Active,
}

const REASONS: [Reason; 5] = [Reason::Absent, Reason::Regression, Reason::LeftNew, Reason::Unblocked, Reason::Active];

/// A row to re-read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recheck {
    /// The user whose rows to request. Empty if not known: then the row waits until some page or full scan answers.
    pub external_id: String,
    /// The row; empty if all rows of the user are to be read.
    pub id: String,
    pub reason: Reason,
    /// When the state that is to be confirmed was first seen.
    pub first_seen_at: Option<DateTime<Utc>>,
    pub due_at: DateTime<Utc>,
}

/// Whether a state is confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confirmation {
    Pending,
    Confirmed,
}

/// The rows to re-read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<Recheck>", into = "Vec<Recheck>")]
pub struct Rechecks {
    /// The key is the row, or the user if no row is named.
    entries: BTreeMap<(String, Reason), Recheck>,
}

impl Rechecks {
    /// Adds a row. One that already waits for the same reason stays as it was. False if there is no room: users who
    /// were active make room for all other reasons.
    pub fn want(&mut self, entry: Recheck) -> bool {
        if self.entries.contains_key(&key(&entry)) {
            return true;
        }
        if self.entries.len() >= MAX_ENTRIES && (entry.reason == Reason::Active || !self.make_room()) {
            return false;
        }
        self.entries.insert(key(&entry), entry);
        true
    }

    /// Whether the row waits for this reason.
    #[must_use]
    pub fn waits(&self, id: &str, reason: Reason) -> bool {
        self.entries.contains_key(&(id.to_owned(), reason))
    }

    /// How many rows wait for this reason.
    #[must_use]
    pub fn waiting(&self, reason: Reason) -> u64 {
        let waiting = self.entries.values().filter(|entry| entry.reason == reason && !entry.id.is_empty());
        u64::try_from(waiting.count()).unwrap_or(u64::MAX)
    }

    /// Notes that a full scan, which began and ended at these times, did not list a row that waits to be confirmed as
    /// absent. If the row has no user to ask for, that counts as an answer. It confirms the absence if the scan began
    /// long enough after the first answer.
    pub fn missed(&mut self, id: &str, (began_at, ended_at): (DateTime<Utc>, DateTime<Utc>)) -> Confirmation {
        let entry = self.entries.get_mut(&(id.to_owned(), Reason::Absent));
        let Some(entry) = entry.filter(|entry| entry.external_id.is_empty()) else { return Confirmation::Pending };
        match entry.first_seen_at {
            Some(first) if began_at - first >= CONFIRM_AFTER => {
                self.present(id);
                return Confirmation::Confirmed;
            }
            // If the clock was set back, the earlier time counts.
            first => entry.first_seen_at = Some(first.map_or(ended_at, |first| first.min(ended_at))),
        }
        Confirmation::Pending
    }

    fn make_room(&mut self) -> bool {
        let active = self.entries.iter().filter(|(_, entry)| entry.reason == Reason::Active);
        let last = active.max_by_key(|(_, entry)| entry.due_at).map(|(key, _)| key.clone());
        last.is_some_and(|key| self.entries.remove(&key).is_some())
    }

    /// The rows to re-read now, the longest due first. They stay due until a result is noted.
    #[must_use]
    pub fn due(&self, now: DateTime<Utc>) -> Vec<Recheck> {
        let may_ask = |entry: &&Recheck| entry.due_at <= now && !entry.external_id.is_empty();
        let mut due: Vec<Recheck> = self.entries.values().filter(may_ask).cloned().collect();
        due.sort_by_key(|entry| entry.due_at);
        due
    }

    /// When the next row is due.
    #[must_use]
    pub fn next_due(&self) -> Option<DateTime<Utc>> {
        let may_ask = self.entries.values().filter(|entry| !entry.external_id.is_empty());
        may_ask.map(|entry| entry.due_at).min()
    }

    /// Notes that the row was asked for and is not listed. The second time confirms it; then the row no longer waits,
    /// for any reason.
    pub fn seen_absent(&mut self, id: &str, now: DateTime<Utc>) -> Confirmation {
        let confirmation = self.seen(id, Reason::Absent, now);
        if confirmation == Confirmation::Confirmed {
            self.present(id);
        }
        confirmation
    }

    /// Notes that the row was listed since it was seen absent: the next answer without it counts as the first.
    pub fn seen_since(&mut self, id: &str) {
        if let Some(entry) = self.entries.get_mut(&(id.to_owned(), Reason::Absent)) {
            entry.first_seen_at = None;
        }
    }

    /// Notes that the row is listed, in a state that needs no confirmation or has it. It no longer waits. Returns
    /// whether it did.
    pub fn present(&mut self, id: &str) -> bool {
        let count = self.entries.len();
        if !id.is_empty() {
            for reason in REASONS {
                self.entries.remove(&(id.to_owned(), reason));
            }
        }
        self.entries.len() < count
    }

    /// Removes an entry that is settled.
    pub fn done(&mut self, entry: &Recheck) {
        self.entries.remove(&key(entry));
    }

    /// Puts an entry off, because the answer proved nothing.
    pub fn put_off(&mut self, entry: &Recheck, until: DateTime<Utc>) {
        if let Some(entry) = self.entries.get_mut(&key(entry)) {
            entry.due_at = until;
        }
    }

    /// Leaves a row to the full scans, because the server does not filter by user.
    pub fn cannot_ask(&mut self, entry: &Recheck) {
        if let Some(entry) = self.entries.get_mut(&key(entry)) {
            entry.external_id.clear();
        }
    }

    /// Notes that the row was seen in a state that it had left. If that is confirmed, it stays so until the row is
    /// called present.
    pub fn regressed(&mut self, id: &str, now: DateTime<Utc>) -> Confirmation {
        self.seen(id, Reason::Regression, now)
    }

    /// The rows that were seen to step back long enough ago: if a page shows that state now, it is confirmed.
    #[must_use]
    pub fn confirmed_regressions(&self, now: DateTime<Utc>) -> HashSet<String> {
        let regressions = self.entries.values().filter(|entry| entry.reason == Reason::Regression);
        let confirmed =
            regressions.filter(|entry| entry.first_seen_at.is_some_and(|first| now - first >= CONFIRM_AFTER));
        confirmed.map(|entry| entry.id.clone()).collect()
    }

    /// How many rows wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn seen(&mut self, id: &str, reason: Reason, now: DateTime<Utc>) -> Confirmation {
        if !self.entries.contains_key(&(id.to_owned(), reason)) {
            let others = REASONS.iter().filter_map(|reason| self.entries.get(&(id.to_owned(), *reason)));
            let external_id =
                others.map(|entry| entry.external_id.clone()).find(|id| !id.is_empty()).unwrap_or_default();
            let entry = Recheck { external_id, id: id.to_owned(), reason, first_seen_at: None, due_at: now };
            // If there is no room, each sighting counts as the first.
            self.want(entry);
        }
        let Some(entry) = self.entries.get_mut(&(id.to_owned(), reason)) else { return Confirmation::Pending };
        // If the clock was set back, the earlier time counts.
        let first = entry.first_seen_at.map_or(now, |first| first.min(now));
        entry.first_seen_at = Some(first);
        entry.due_at = first + CONFIRM_AFTER;
        if now - first >= CONFIRM_AFTER { Confirmation::Confirmed } else { Confirmation::Pending }
    }
}

fn key(entry: &Recheck) -> (String, Reason) {
    let id = if entry.id.is_empty() { format!("user {}", entry.external_id) } else { entry.id.clone() };
    (id, entry.reason)
}

impl From<Vec<Recheck>> for Rechecks {
    fn from(entries: Vec<Recheck>) -> Self {
        let mut rechecks = Self::default();
        for entry in entries {
            rechecks.want(entry);
        }
        rechecks
    }
}

impl From<Rechecks> for Vec<Recheck> {
    fn from(rechecks: Rechecks) -> Self {
        rechecks.entries.into_values().collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(second)
    }

    fn entry(id: &str, reason: Reason, due: i64) -> Recheck {
        Recheck { external_id: format!("of {id}"), id: id.to_owned(), reason, first_seen_at: None, due_at: at(due) }
    }

    fn ids(entries: Vec<Recheck>) -> Vec<String> {
        entries.into_iter().map(|entry| entry.id).collect()
    }

    #[test]
    fn an_answer_that_was_refuted_is_not_confirmed_by_the_next() {
        let mut rechecks = Rechecks::default();
        assert_eq!(rechecks.seen_absent("a", at(0)), Confirmation::Pending);
        rechecks.seen_since("a");
        assert_eq!(rechecks.seen_absent("a", at(31)), Confirmation::Pending);
        assert_eq!(rechecks.seen_absent("a", at(61)), Confirmation::Confirmed);
        assert!(!rechecks.waits("a", Reason::Absent));
    }

    #[test]
    fn a_row_waits_once_for_each_reason() {
        let mut rechecks = Rechecks::default();
        assert!(rechecks.want(entry("a", Reason::Absent, 5)));
        assert!(rechecks.want(entry("a", Reason::Absent, 1)));
        assert!(rechecks.want(entry("a", Reason::LeftNew, 3)));
        assert_eq!(rechecks.len(), 2);
        assert_eq!(rechecks.due(at(4)), [entry("a", Reason::LeftNew, 3)]);
        assert!(rechecks.present("a"));
        assert!(rechecks.is_empty() && !rechecks.present("a"));
    }

    #[test]
    fn the_longest_due_come_first() {
        let mut rechecks = Rechecks::default();
        for (id, due) in [("a", 30), ("b", 10), ("c", 20), ("d", 99)] {
            rechecks.want(entry(id, Reason::Absent, due));
        }
        assert_eq!(ids(rechecks.due(at(40))), ["b", "c", "a"]);
    }

    #[test]
    fn a_row_is_gone_when_two_answers_half_a_minute_apart_say_so() {
        let mut rechecks = Rechecks::default();
        rechecks.want(entry("a", Reason::Absent, 0));
        assert_eq!(rechecks.seen_absent("a", at(1)), Confirmation::Pending);
        assert!(rechecks.due(at(30)).is_empty());
        assert_eq!(rechecks.seen_absent("a", at(30)), Confirmation::Pending);
        assert_eq!(ids(rechecks.due(at(31))), ["a"]);
        assert_eq!(rechecks.seen_absent("a", at(31)), Confirmation::Confirmed);
        assert!(rechecks.is_empty());
    }

    #[test]
    fn a_row_that_cannot_be_asked_about_is_gone_when_two_full_scans_half_a_minute_apart_missed_it() {
        let mut rechecks = Rechecks::default();
        assert_eq!(rechecks.missed("a", (at(0), at(9))), Confirmation::Pending, "nobody asked");
        rechecks.want(entry("a", Reason::Absent, 0));
        assert_eq!(
            [0, 99].map(|began| rechecks.missed("a", (at(began), at(began)))),
            [Confirmation::Pending; 2],
            "it can be asked"
        );
        rechecks.cannot_ask(&entry("a", Reason::Absent, 0));
        assert!(rechecks.due(at(99)).is_empty());
        assert_eq!(rechecks.missed("a", (at(0), at(9))), Confirmation::Pending);
        assert_eq!(rechecks.missed("a", (at(38), at(50))), Confirmation::Pending, "it may have left at 9");
        assert_eq!(rechecks.missed("a", (at(39), at(50))), Confirmation::Confirmed);
        assert!(rechecks.is_empty());
    }

    #[test]
    fn a_row_that_is_back_in_between_is_not_gone() {
        let mut rechecks = Rechecks::default();
        assert_eq!(rechecks.seen_absent("a", at(0)), Confirmation::Pending);
        rechecks.present("a");
        assert_eq!(rechecks.seen_absent("a", at(40)), Confirmation::Pending);
    }

    #[test]
    fn a_row_that_left_the_new_ones_and_is_absent_is_asked_for_again() {
        let mut rechecks = Rechecks::default();
        rechecks.want(entry("a", Reason::LeftNew, 0));
        rechecks.seen_absent("a", at(0));
        rechecks.done(&entry("a", Reason::LeftNew, 0));
        let due = rechecks.due(at(30));
        assert_eq!((due[0].reason, due[0].external_id.as_str()), (Reason::Absent, "of a"));
    }

    #[test]
    fn a_regression_holds_until_it_is_applied_or_taken_back() {
        let mut rechecks = Rechecks::default();
        assert_eq!(rechecks.regressed("a", at(0)), Confirmation::Pending);
        assert!(rechecks.confirmed_regressions(at(29)).is_empty());
        assert_eq!(rechecks.confirmed_regressions(at(30)), HashSet::from(["a".to_owned()]));
        assert_eq!(rechecks.regressed("a", at(30)), Confirmation::Confirmed);
        assert_eq!(rechecks.regressed("a", at(31)), Confirmation::Confirmed);
        rechecks.present("a");
        assert_eq!(rechecks.regressed("a", at(32)), Confirmation::Pending);
        // Nobody knows whom to ask for.
        assert!(rechecks.due(at(99)).is_empty());
    }

    #[test]
    fn a_clock_that_is_set_back_starts_the_wait_anew() {
        let mut rechecks = Rechecks::default();
        rechecks.want(entry("a", Reason::Absent, 0));
        rechecks.seen_absent("a", at(1_000));
        assert_eq!(rechecks.seen_absent("a", at(10)), Confirmation::Pending);
        assert_eq!(ids(rechecks.due(at(40))), ["a"]);
        assert_eq!(rechecks.seen_absent("a", at(40)), Confirmation::Confirmed);
    }

    #[test]
    fn active_users_make_way_and_the_number_is_bounded() {
        let user = |n: i64| Recheck { id: String::new(), ..entry(&n.to_string(), Reason::Active, n) };
        let mut rechecks = Rechecks::default();
        let most = i64::try_from(MAX_ENTRIES).unwrap();
        (0..most).for_each(|n| assert!(rechecks.want(user(n))));
        assert!(!rechecks.want(user(most)));
        assert!(rechecks.want(entry("a", Reason::Absent, 0)));
        assert_eq!(rechecks.len(), MAX_ENTRIES);
        let last = format!("of {}", most - 1);
        assert!(rechecks.due(at(most + 1)).iter().all(|entry| entry.external_id != last));
        for n in 0..most + 500 {
            assert_eq!(rechecks.want(entry(&format!("row {n}"), Reason::Absent, 0)), n < most - 1);
        }
        assert_eq!(rechecks.len(), MAX_ENTRIES);
        assert!(!rechecks.want(entry("b", Reason::Absent, 0)));
    }

    proptest! {
        #[test]
        fn what_is_kept_comes_back(entries in proptest::collection::vec(("[a-c]{0,2}", "[a-c]{1,2}", 0..5_usize, any::<bool>()), 0..40)) {
            let mut rechecks = Rechecks::default();
            for (id, external_id, reason, was_seen) in entries {
                let first_seen_at = was_seen.then(|| at(7));
                rechecks.want(Recheck { external_id, id, reason: REASONS[reason], first_seen_at, due_at: at(9) });
            }
            let text = serde_json::to_string(&rechecks).unwrap();
            prop_assert_eq!(serde_json::from_str::<Rechecks>(&text).unwrap(), rechecks);
        }
    }
}
