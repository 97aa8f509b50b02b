//! The list of deposits in status `new`: who has left it is asked after.
//!
//! It is read with each round as long as something in it moves or may be about to: in the hour after a deposit was made, where
//! the rounds do not read that deposit anyway. A list that lies still is read a page at a time, when it is its turn to look
//! further.

use std::collections::HashSet;

use chrono::{DateTime, TimeDelta, Utc};
use tokio_util::sync::CancellationToken;

use crate::lumo::Lane;
use crate::store::Whereabouts;
use crate::sync::confirm::recheck::Reason;
use crate::sync::round::Round;
use crate::sync::scan::reader::Scope;
use crate::sync::scan::walk::Walk;
use crate::sync::tail::further::Look;
use crate::sync::tail::hot::Reached;
use crate::sync::upstream::{Source, Upstream};
use crate::sync::{Error, Syncer, lock};

/// The status that the API's reference names.
const NEW: &str = "new";
/// Pages that are read in one round.
pub(in crate::sync) const PAGES: u64 = 20;
/// Rows asked of the database at a time.
const ROWS: u64 = 500;
/// How old a deposit is of which no change is expected any more.
const YOUNG: TimeDelta = TimeDelta::hours(1);

/// What is known of the list.
#[derive(Debug, Default)]
pub(in crate::sync) struct News {
    /// The reading that a later round goes on with.
    reading: Option<Box<Reading>>,
    /// When the youngest deposit was made that was seen in this status since the last reading began.
    youngest: Option<DateTime<Utc>>,
    /// Whether the last reading came to its end and found nothing.
    is_still: bool,
}

/// The list as far as it was read.
#[derive(Debug)]
struct Reading {
    walk: Walk,
    seen: HashSet<String>,
    /// The last row number when it was begun: what came later need not be on it.
    known_until: i64,
    has_moved: bool,
}

impl News {
    /// Begins to read the list, or goes on. From the beginning on it counts what is seen to be in this status.
    fn begin(&mut self, reading: impl FnOnce() -> Reading) -> Box<Reading> {
        self.reading.take().unwrap_or_else(|| {
            self.youngest = None;
            Box::new(reading())
        })
    }

    /// Whether something is expected to happen in the list that the rounds do not see. `read_to` is the time down to which this
    /// round has read all deposits.
    fn is_lively(&self, read_to: Option<DateTime<Utc>>, now: DateTime<Utc>) -> bool {
        let is_unread = |made_at: &DateTime<Utc>| read_to.is_none_or(|read| *made_at < read);
        !self.is_still || self.youngest.filter(is_unread).is_some_and(|made_at| now - made_at < YOUNG)
    }
}

impl<U> Syncer<U> {
    /// Takes note of deposits in status `new` that a page showed; of those that tell no time, as of now.
    pub(in crate::sync) fn note_new<R: Source>(&self, records: &[R]) {
        let is_new = |record: &&R| record.status() == Some(NEW);
        let made_at = |record: &R| record.created_at().unwrap_or_else(|| self.clock.now());
        if let Some(made_at) = records.iter().filter(is_new).map(made_at).max() {
            let mut news = lock(&self.news);
            news.youngest = news.youngest.max(Some(made_at));
        }
    }
}

impl<U: Upstream> Round<'_, U> {
    /// Reads the list if it is time to.
    pub(in crate::sync) async fn new_ones_in_turn<R: Source>(&mut self, stop: &CancellationToken) -> Result<(), Error> {
        // A round is two requests where nothing happens.
        if self.looks_behind {
            return Ok(());
        }
        let read_to = self.edge.map(|edge| edge.created_at);
        if lock(&self.syncer.news).is_lively(read_to, self.now()) {
            return self.new_ones::<R>(PAGES, stop).await;
        }
        if self.syncer.may_look(Look::New) { self.new_ones::<R>(1, stop).await } else { Ok(()) }
    }

    /// Reads on in the list for at most so many pages, and at its end notes those to ask after that have left it.
    pub(in crate::sync) async fn new_ones<R: Source>(
        &mut self,
        most: u64,
        stop: &CancellationToken,
    ) -> Result<(), Error> {
        let now = self.now();
        if !self.memory.filters(now) {
            return Ok(());
        }
        let known_until = self.syncer.store.census(self.listing).await?.last_row_no;
        let mut reading = lock(&self.syncer.news).begin(|| {
            let walk = Walk::new(self.syncer.settings.page_size, self.known_cap());
            Reading { walk, seen: HashSet::new(), known_until, has_moved: false }
        });
        let scope = Scope { status: Some(NEW.to_owned()), ..Scope::all(self.listing, Lane::Hot) };
        let only = |record: &R| record.status().is_none_or(|status| status == NEW);
        let reader = self.reader(scope, false);
        let before = self.tally.appeared + self.tally.changed;
        let reached = self.read_on::<R>(&mut reading.walk, &mut reading.seen, reader, most, &only, stop).await?;
        if self.tally.appeared + self.tally.changed > before {
            reading.has_moved = true;
            lock(&self.syncer.news).is_still = false;
        }
        match reached {
            Reached::Ended => {
                let has_left = self.note_left(&reading).await?;
                lock(&self.syncer.news).is_still = !(reading.has_moved || has_left);
            }
            Reached::Paused => {
                if most == PAGES {
                    tracing::info!(
                        listing = %self.listing, read = reading.seen.len(),
                        "there are many deposits in status `new`; the next round reads on"
                    );
                }
                lock(&self.syncer.news).reading = Some(reading);
            }
            Reached::NotFiltered => {
                tracing::warn!(
                    listing = %self.listing,
                    "the server does not list deposits by status; it is asked to again in 24 hours"
                );
                self.memory.unfiltered_since = Some(now);
            }
            Reached::Unproved | Reached::Stopped => {}
        }
        Ok(())
    }

    /// Notes the deposits to ask after that were in status `new` when that list was begun and are not on it. Returns whether
    /// there are any.
    async fn note_left(&mut self, reading: &Reading) -> Result<bool, Error> {
        let (mut after, mut has_left) = (0, false);
        loop {
            let rows = self.syncer.store.new_deposits(after, ROWS).await?;
            let Some(last) = rows.last() else { return Ok(has_left) };
            after = last.row_no;
            // What waits as absent is asked for already, and an answer that cannot be read says nothing new.
            let left = |row: &Whereabouts| {
                row.row_no <= reading.known_until
                    && !reading.seen.contains(&row.id)
                    && !self.memory.rechecks.waits(&row.id, Reason::Absent)
                    && !self.rejects.contains_key(&(self.listing, row.id.clone()))
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
    use super::*;

    fn at(minute: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::minutes(minute)
    }

    #[test]
    fn a_list_is_lively_until_a_reading_has_found_nothing_in_it() {
        let mut news = News::default();
        assert!(news.is_lively(None, at(0)), "nothing is known of it");
        news.is_still = true;
        assert!(!news.is_lively(None, at(0)));
    }

    #[test]
    fn it_is_as_long_as_a_deposit_in_it_is_young_that_the_rounds_do_not_read_anyway() {
        let mut news = News { is_still: true, ..News::default() };
        for (made, read_to, now, is_lively) in [
            (950, None, 1_000, true),
            (950, Some(960), 1_000, true),
            (950, Some(950), 1_000, false),
            (950, Some(900), 1_000, false),
            (950, None, 1_009, true),
            (950, None, 1_010, false),
        ] {
            news.youngest = Some(at(made));
            let told = news.is_lively(read_to.map(at), at(now));
            assert_eq!(told, is_lively, "made {made}, read to {read_to:?}, now {now}");
        }
    }

    #[test]
    fn what_was_young_is_judged_anew_with_each_reading() {
        let mut news = News { is_still: true, youngest: Some(at(999)), ..News::default() };
        let reading = || Reading { walk: Walk::new(100, None), seen: HashSet::new(), known_until: 0, has_moved: false };
        let begun = news.begin(reading);
        assert!(!news.is_lively(None, at(1_000)), "it is not on the list any more");
        news.reading = Some(begun);
        news.youngest = Some(at(998));
        news.begin(|| unreachable!("one was begun"));
        assert!(news.is_lively(None, at(1_000)));
    }
}
