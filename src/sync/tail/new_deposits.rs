//! Reads the list of deposits in status `new`, and re-reads the deposits that have left it.
//!
//! The list is read whole with each round while something in it changes. While nothing does, its first page is enough:
//! its `total`, or its end if there is no `total`, is compared with the number of rows that were read. Where the rounds
//! read all of those deposits anyway, even that is done only in turn ([`super::extra_reads`]). Where the order of all
//! deposits is not known, a round that reads this list leaves out their tail.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;

use crate::lumo::Priority;
use crate::model::Listing;
use crate::store::{Fate, Whereabouts};
use crate::sync::confirm::recheck::Reason;
use crate::sync::learn::order::Order;
use crate::sync::round::Round;
use crate::sync::scan::filtered::Reached;
use crate::sync::scan::reader::Scope;
use crate::sync::scan::walk::Walk;
use crate::sync::tail::extra_reads::ExtraRead;
use crate::sync::upstream::{Source, Upstream};
use crate::sync::{Error, Syncer, lock};

/// The only status that the API reference names.
const NEW: &str = "new";
/// The most pages that are read in one round.
const MAX_PAGES_PER_ROUND: u64 = 20;
/// Rows per database query.
const ROWS_PER_QUERY: u64 = 500;

/// What is known of the list.
#[derive(Debug, Default)]
pub(in crate::sync) struct NewDeposits {
    /// The unfinished reading that the next round continues.
    reading: Option<Box<Reading>>,
    /// The length of the list when it was last read whole, if nothing in it has changed since.
    still: Option<u64>,
    /// Whether it was read to its end since the process began, or since that failed.
    was_read: bool,
    /// When the oldest deposit was made that was seen in this status since that reading began.
    oldest: Option<DateTime<Utc>>,
}

/// The list as far as it was read.
#[derive(Debug)]
struct Reading {
    walk: Walk,
    seen: HashSet<String>,
    /// The last row number when the reading began: later rows need not be on the list.
    known_until: i64,
    /// What the oldest deposit was before.
    oldest_before: Option<DateTime<Utc>>,
}

impl NewDeposits {
    /// Begins to read the list, or continues. From the beginning on, it notes which deposits are seen in this status.
    fn begin(&mut self, walk: Walk, known_until: i64) -> Box<Reading> {
        self.reading.take().unwrap_or_else(|| {
            let oldest_before = self.oldest.take();
            Box::new(Reading { walk, seen: HashSet::new(), known_until, oldest_before })
        })
    }

    /// Notes that a look failed, so that nothing is known of the list.
    fn failed(&mut self) {
        (self.still, self.was_read) = (None, false);
    }

    /// Whether the first page showed no change. If it did, the next reading continues from there.
    fn lies_still(&mut self, look: Box<Reading>) -> bool {
        let lies_still = self.still.is_some() && self.still == look.walk.total();
        if lies_still {
            self.oldest = [self.oldest, look.oldest_before].into_iter().flatten().min();
        } else {
            (self.still, self.reading) = (None, Some(look));
        }
        lies_still
    }

    /// Whether a round that reads back to this time reads all deposits that were seen in this status.
    fn is_covered(&self, read_to: Option<DateTime<Utc>>) -> bool {
        self.oldest.is_none_or(|oldest| read_to.is_some_and(|read_to| read_to <= oldest))
    }

    /// Notes a page with deposits in this status, the oldest of them made at that time.
    fn note(&mut self, made_at: DateTime<Utc>, has_moved: bool) {
        self.oldest = [self.oldest, Some(made_at)].into_iter().flatten().min();
        if has_moved {
            self.still = None;
        }
    }
}

/// For each deposit of a page: when it was made, if it is in status `new`.
pub(in crate::sync) fn made_at<R: Source>(records: &[R], now: DateTime<Utc>) -> Vec<Option<DateTime<Utc>>> {
    let is_new = |record: &R| record.status() == Some(NEW);
    records.iter().map(|record| is_new(record).then(|| record.created_at().unwrap_or(now))).collect()
}

impl<U> Syncer<U> {
    /// Notes the deposits in status `new` of a page, and whether each of them changed.
    pub(in crate::sync) fn note_new(&self, made_at: &[Option<DateTime<Utc>>], fates: &[Fate]) {
        let new = || made_at.iter().zip(fates).filter_map(|(made_at, fate)| Some(((*made_at)?, *fate)));
        if let Some(oldest) = new().map(|(made_at, _)| made_at).min() {
            let has_moved = new().any(|(_, fate)| fate != Fate::Known);
            lock(&self.new_deposits).note(oldest, has_moved);
        }
    }
}

impl<U: Upstream> Round<'_, U> {
    /// Reads the list as far as is necessary.
    pub(in crate::sync) async fn new_deposits_in_turn<R: Source>(
        &mut self,
        stop: &CancellationToken,
    ) -> Result<(), Error> {
        // A round in which nothing happens takes at most two requests.
        if self.extent.looks_behind {
            return Ok(());
        }
        let read_to = self.extent.edge.map(|edge| edge.created_at);
        let (is_still, is_covered) = {
            let list = lock(&self.syncer.new_deposits);
            (list.still.is_some(), list.is_covered(read_to))
        };
        match (is_still, is_covered) {
            (false, _) => self.new_deposits::<R>(stop).await,
            (true, _) if self.is_quiet_at_both_ends() => Ok(()),
            (true, true) if self.is_few() || !self.syncer.may_read_extra(ExtraRead::New) => Ok(()),
            (true, _) => self.first_page_of_new_deposits::<R>(stop).await,
        }
    }

    /// Whether this round looks at the list instead of the tail. Where the order is not known, a round reads both ends,
    /// and one request more would be too many. So the first look leaves out the tail, and while deposits are in this
    /// status and nothing moves, so does every second round. A round that continues an unfinished look reads both.
    pub(in crate::sync) fn prefers_new_deposits(&self) -> bool {
        if self.listing != Listing::Deposits || !self.reads_both_ends() || !self.memory.filters(self.now()) {
            return false;
        }
        let list = lock(&self.syncer.new_deposits);
        let is_turn = self.memory.rounds.is_multiple_of(2) && list.still.is_some() && !list.is_covered(None);
        let is_first_look = !list.was_read && list.reading.is_none();
        is_turn || is_first_look
    }

    /// Whether the round has spent its two requests on the ends.
    fn is_quiet_at_both_ends(&self) -> bool {
        self.reads_both_ends() && self.extent.has_all_ends()
    }

    /// Whether rounds read both ends, as the order is not known, and nothing is sought.
    fn reads_both_ends(&self) -> bool {
        self.memory.order.order() == Order::Unknown && self.memory.urgent.is_none()
    }

    /// Reads the first page of a list that had not changed, and the rest if it has.
    async fn first_page_of_new_deposits<R: Source>(&mut self, stop: &CancellationToken) -> Result<(), Error> {
        let read = self.read_new_deposits::<R>(1, stop).await;
        let read = read.inspect_err(|_| lock(&self.syncer.new_deposits).failed())?;
        let Some((look, reached)) = read else { return Ok(()) };
        if !matches!(reached, Reached::Paused) {
            return self.end_new_deposits(&look, reached).await;
        }
        let lies_still = lock(&self.syncer.new_deposits).lies_still(look);
        if lies_still { Ok(()) } else { self.new_deposits::<R>(stop).await }
    }

    /// Reads the list, and at its end notes the deposits to re-read because they have left it. What does not fit into
    /// one round is read in the next.
    pub(in crate::sync) async fn new_deposits<R: Source>(&mut self, stop: &CancellationToken) -> Result<(), Error> {
        let Some((reading, reached)) = self.read_new_deposits::<R>(MAX_PAGES_PER_ROUND, stop).await? else {
            return Ok(());
        };
        if let Reached::Paused = reached {
            tracing::info!(
                listing = %self.listing, read = reading.seen.len(),
                "there are many deposits in status `new`; the next round reads on"
            );
            lock(&self.syncer.new_deposits).reading = Some(reading);
            return Ok(());
        }
        self.end_new_deposits(&reading, reached).await
    }

    /// Reads at most `most` further pages of the list; none if the server does not filter.
    async fn read_new_deposits<R: Source>(
        &mut self,
        most: u64,
        stop: &CancellationToken,
    ) -> Result<Option<(Box<Reading>, Reached)>, Error> {
        if !self.memory.filters(self.now()) {
            return Ok(None);
        }
        let known_until = self.syncer.store.row_counts(self.listing).await?.last_row_no;
        let mut reading = {
            let mut list = lock(&self.syncer.new_deposits);
            let walk = match list.still {
                Some(length) => self.walk().ending_as_before_at(length),
                None => self.walk(),
            };
            list.begin(walk, known_until)
        };
        let scope = Scope { status: Some(NEW.to_owned()), ..Scope::all(self.listing, Priority::Recent) };
        let only = |record: &R| record.status().is_none_or(|status| status == NEW);
        let reader = self.reader(scope, false);
        let reached = self.read_on::<R>(&mut reading.walk, &mut reading.seen, reader, most, &only, stop).await?;
        Ok(Some((reading, reached)))
    }

    /// Evaluates a reading that has ended.
    async fn end_new_deposits(&mut self, reading: &Reading, reached: Reached) -> Result<(), Error> {
        {
            let mut list = lock(&self.syncer.new_deposits);
            (list.still, list.was_read) = (None, true);
        }
        let is_told = matches!(reached, Reached::Ended);
        match reached {
            // No row is called missing for what follows from it, so the server's word about the end is enough.
            Reached::Ended | Reached::Untold => {
                let has_left = self.note_left(reading).await?;
                // A deposit that left the list during the reading was seen, and `total` no longer counts it. Without a
                // `total` one that is gone is never confirmed as such, and must not have the list read in every round.
                let length = u64::try_from(reading.seen.len()).unwrap_or(u64::MAX);
                let has_changed = has_left && is_told;
                let is_still = !has_changed && reading.walk.total().is_none_or(|total| total == length);
                lock(&self.syncer.new_deposits).still = is_still.then_some(length);
            }
            Reached::NotFiltered => {
                tracing::warn!(
                    listing = %self.listing,
                    "the server does not list deposits by status; it is asked to again in 24 hours"
                );
                self.memory.unfiltered_since = Some(self.now());
            }
            Reached::Paused | Reached::Unproved | Reached::Stopped => {}
        }
        Ok(())
    }

    /// Notes the deposits to re-read: those that were in status `new` when the reading began and are not on the list.
    /// Returns whether there are any.
    async fn note_left(&mut self, reading: &Reading) -> Result<bool, Error> {
        let (mut after, mut has_left) = (0, false);
        loop {
            let rows = self.syncer.store.new_deposits(after, ROWS_PER_QUERY).await?;
            let Some(last) = rows.last() else { return Ok(has_left) };
            after = last.row_no;
            // A row that waits as absent is re-read anyway, and an answer that cannot be read says nothing new.
            let left = |row: &Whereabouts| {
                row.row_no <= reading.known_until
                    && !reading.seen.contains(&row.id)
                    && !self.memory.rechecks.waits(&row.id, Reason::Absent)
                    && !self.is_unreadable(self.listing, &row.id)
            };
            let left: Vec<Whereabouts> = rows.into_iter().filter(left).collect();
            has_left |= !left.is_empty();
            for row in left {
                if let Some(user) = row.external_id {
                    self.want(user.as_str(), &row.id, Reason::LeftNew);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::sync::scan::walk::Seen;

    fn at(minute: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::minutes(minute)
    }

    #[test]
    fn a_deposit_is_covered_that_is_no_older_than_what_the_round_reads() {
        let mut list = NewDeposits::default();
        assert!(list.is_covered(None), "there is none");
        list.note(at(10), false);
        list.note(at(20), false);
        let covered = [9, 10, 11].map(|read_to| list.is_covered(Some(at(read_to))));
        assert_eq!((covered, list.is_covered(None)), ([true, true, false], false));
    }

    /// A reading of a page of two rows, with this `total`.
    fn look(list: &mut NewDeposits, total: u64) -> Box<Reading> {
        let mut look = list.begin(Walk::new(2, None), 0);
        look.walk.absorb(&Seen { returned: 2, ids: vec![1, 2], total: Some(total) });
        look
    }

    #[test]
    fn a_look_that_tells_nothing_new_leaves_what_was_known() {
        let mut list = NewDeposits { still: Some(9), ..NewDeposits::default() };
        list.note(at(10), false);
        let nothing_new = look(&mut list, 9);
        list.note(at(20), false);
        assert!(list.lies_still(nothing_new));
        assert_eq!((list.still, list.oldest, list.reading.is_none()), (Some(9), Some(at(10)), true));
    }

    #[test]
    fn from_a_look_that_tells_of_fewer_a_reading_goes_on_and_counts_anew() {
        let mut list = NewDeposits { still: Some(9), ..NewDeposits::default() };
        list.note(at(10), false);
        let one_less = look(&mut list, 8);
        list.note(at(20), false);
        assert!(!list.lies_still(one_less));
        assert_eq!((list.still, list.oldest, list.reading.is_some()), (None, Some(at(20)), true));
    }

    #[test]
    fn a_list_in_which_something_has_moved_is_not_still() {
        let mut list = NewDeposits { still: Some(3), ..NewDeposits::default() };
        list.note(at(10), false);
        assert_eq!(list.still, Some(3));
        list.note(at(10), true);
        assert_eq!(list.still, None);
    }
}
