//! Remembers which rows an answer did not list, and whether any page has listed them since.
//!
//! A row that was listed in between is not gone, so a second answer without it confirms nothing.

use std::collections::BTreeMap;
use std::sync::Mutex;

use crate::sync::lock;

/// More rows than can wait for a second answer. Beyond it all of them are forgotten. A second answer then confirms an
/// absence, as it does after a restart.
const MAX_IDS: usize = 10_000;

/// The rows, and whether each was listed since.
#[derive(Debug, Default)]
pub(in crate::sync) struct RecentlySeen(Mutex<BTreeMap<String, bool>>);

impl RecentlySeen {
    pub(in crate::sync) fn is_empty(&self) -> bool {
        lock(&self.0).is_empty()
    }

    /// Notes that an answer did not list the row.
    pub(in crate::sync) fn expect(&self, id: &str) {
        let mut rows = lock(&self.0);
        if rows.len() >= MAX_IDS {
            rows.clear();
        }
        rows.insert(id.to_owned(), false);
    }

    /// Notes that some reading listed the row.
    pub(in crate::sync) fn note(&self, id: &str) {
        if let Some(was_seen) = lock(&self.0).get_mut(id) {
            *was_seen = true;
        }
    }

    /// Whether the row was listed since [`RecentlySeen::expect`]. Forgets the row.
    pub(in crate::sync) fn take(&self, id: &str) -> bool {
        lock(&self.0).remove(id).unwrap_or(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_expected_is_noted_and_only_once() {
        let recently_seen = RecentlySeen::default();
        recently_seen.note("a");
        assert!(recently_seen.is_empty() && !recently_seen.take("a"));
        recently_seen.expect("a");
        recently_seen.expect("b");
        recently_seen.note("a");
        assert_eq!([recently_seen.take("a"), recently_seen.take("b"), recently_seen.take("a")], [true, false, false]);
        assert!(recently_seen.is_empty());
    }

    #[test]
    fn what_nobody_asks_for_again_takes_no_room_for_ever() {
        let recently_seen = RecentlySeen::default();
        for number in 0..3 * MAX_IDS {
            recently_seen.expect(&number.to_string());
        }
        assert!(lock(&recently_seen.0).len() <= MAX_IDS);
    }
}
