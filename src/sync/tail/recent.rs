//! Reads rows that have probably changed: young ones, deposits that are or were in status `new`, and those in question.
//!
//! Lumo does not report that a row deep in the list has changed; a sweep notices it when it gets there. More important
//! rows are read sooner: deposits of the last hour in every round, of the last day every 10 minutes, of the last week
//! every hour; those in status `new` ([`crate::sync::tail::new_deposits`]); and all rows of a user of whom one was seen
//! to change, to disappear, or to step back ([`crate::sync::confirm::ask`]).

use std::collections::HashSet;

use chrono::TimeDelta;
use tokio_util::sync::CancellationToken;

use crate::lumo::{self, Priority};
use crate::model::Listing;
use crate::sync::learn::memory::is_past;
use crate::sync::learn::order::Order;
use crate::sync::round::Round;
use crate::sync::scan::reader::{Reader, Scope};
use crate::sync::scan::walk::{Read, Step, Walk};
use crate::sync::tail::ends::Edge;
use crate::sync::upstream::{Source, Upstream};
use crate::sync::{Error, refuses_limit};

/// The greatest age of a row, how often rows up to that age are read, and the most pages for that.
const TIERS: [(TimeDelta, TimeDelta, u64); 3] = [
    (TimeDelta::hours(1), TimeDelta::zero(), 8),
    (TimeDelta::days(1), TimeDelta::minutes(10), 32),
    (TimeDelta::days(7), TimeDelta::hours(1), 128),
];
/// The most ids of a list that is read over several rounds. A longer list is read anew from its beginning.
const MAX_IDS: usize = 200_000;

/// The ids of a list that was read whole, or why it was not.
#[derive(Debug)]
pub(in crate::sync) enum Listed {
    Whole(HashSet<String>),
    /// The server does not filter, or refuses to.
    NotFiltered,
    /// The list is too long, or its end was not proved.
    Unproved,
    Stopped,
}

/// How a part of a reading ended.
pub(in crate::sync) enum Reached {
    Ended,
    /// The most pages that may be read were read.
    Paused,
    NotFiltered,
    Unproved,
    Stopped,
}

impl<U: Upstream> Round<'_, U> {
    pub(in crate::sync) async fn recent_rows<R: Source>(&mut self, stop: &CancellationToken) -> Result<(), Error> {
        if self.listing == Listing::Deposits && !self.is_read_whole {
            self.young::<R>(stop).await?;
            self.new_deposits_in_turn::<R>(stop).await?;
        }
        self.ask_again::<R>(stop).await
    }

    /// Reads on from the end where new rows join, up to the greatest age that is due.
    async fn young<R: Source>(&mut self, stop: &CancellationToken) -> Result<(), Error> {
        let Some(mut edge) = self.edge else { return Ok(()) };
        let now = self.now();
        let order = self.memory.order.order();
        let read_at = [None, self.memory.day_read_at, self.memory.week_read_at];
        let mut due = TIERS.into_iter().zip(read_at).filter(|((_, every, _), at)| is_past(*at, *every, now));
        let Some(((age, every, most), _)) = due.next_back() else { return Ok(()) };
        let mut reader: Reader<U, R> = self.reader(Scope::all(self.listing, Priority::Recent), false);
        let limit = self.known_cap().unwrap_or(self.syncer.settings.page_size);
        for _ in 0..most {
            if now - edge.created_at > age {
                break;
            }
            let offset = match order {
                Order::Newest => edge.offset,
                Order::Oldest if edge.offset > 0 => edge.offset.saturating_sub(u64::from(limit)),
                _ => break,
            };
            // What was not read to its end stays due.
            let Some(page) = self.take(&mut reader, Read { offset, limit }, &[], stop).await? else { return Ok(()) };
            let returned = u64::try_from(page.page.returned).unwrap_or(u64::MAX);
            let dates = page.page.items.iter().filter_map(R::created_at);
            let (oldest, next) = match order {
                Order::Newest => (dates.last(), offset.saturating_add(returned)),
                _ => (dates.into_iter().next(), offset),
            };
            self.keep(page).await?;
            let Some(created_at) = oldest else { break };
            edge = Edge { offset: next, created_at };
        }
        self.edge = Some(edge);
        if every >= TimeDelta::minutes(10) {
            self.memory.day_read_at = Some(now);
        }
        if every >= TimeDelta::hours(1) {
            self.memory.week_read_at = Some(now);
        }
        Ok(())
    }

    /// Reads a list whole, in at most `most` pages, and stores its rows.
    pub(in crate::sync) async fn all_of<R: Source>(
        &mut self,
        mut walk: Walk,
        reader: Reader<U, R>,
        most: u64,
        belongs: &(dyn Fn(&R) -> bool + Send + Sync),
        stop: &CancellationToken,
    ) -> Result<Listed, Error> {
        let mut ids = HashSet::new();
        Ok(match self.read_on::<R>(&mut walk, &mut ids, reader, most, belongs, stop).await? {
            Reached::Ended => Listed::Whole(ids),
            Reached::NotFiltered => Listed::NotFiltered,
            Reached::Paused | Reached::Unproved => Listed::Unproved,
            Reached::Stopped => Listed::Stopped,
        })
    }

    /// Reads at most `most` further pages of a list, and stores their rows. `belongs` says whether a row matches the
    /// filter, to detect a server that does not filter.
    pub(in crate::sync) async fn read_on<R: Source>(
        &mut self,
        walk: &mut Walk,
        ids: &mut HashSet<String>,
        mut reader: Reader<U, R>,
        most: u64,
        belongs: &(dyn Fn(&R) -> bool + Send + Sync),
        stop: &CancellationToken,
    ) -> Result<Reached, Error> {
        for _ in 0..most {
            let ahead = walk.ahead(reader.window());
            let page = match self.take(&mut reader, walk.next(), &ahead, stop).await {
                Ok(Some(page)) => page,
                Ok(None) => return Ok(Reached::Stopped),
                Err(error) if refuses_limit(&error) && walk.refused().is_some() => continue,
                // A request for one user may be refused. That does not fail the round.
                Err(lumo::Error::Refused { .. }) if reader.is_of_user() => return Ok(Reached::Unproved),
                // The server may refuse the filter itself.
                Err(error) if refuses_limit(&error) => return Ok(Reached::NotFiltered),
                Err(error) => return Err(error.into()),
            };
            let seen = page.seen();
            let filtered = !reader.is_filtered()
                || (page.page.items.iter().all(belongs) && self.is_part(seen.total, &page.page.items));
            ids.extend(page.page.items.iter().map(|record| record.id_str().to_owned()));
            ids.extend(page.page.rejects.iter().filter_map(|reject| reject.id.clone()));
            let total = self.tally.total;
            self.keep(page).await?;
            self.tally.total = total;
            if !filtered {
                return Ok(Reached::NotFiltered);
            }
            match walk.absorb(&seen) {
                Step::Read(_) => {}
                Step::End => return Ok(Reached::Ended),
                Step::Unproved(_) => return Ok(Reached::Unproved),
            }
        }
        Ok(if ids.len() > MAX_IDS { Reached::Unproved } else { Reached::Paused })
    }

    /// Whether an answer may be the filtered part of the list. If its items do not name their user, its `total` must be
    /// smaller than the list.
    fn is_part<R: Source>(&self, total: Option<u64>, items: &[R]) -> bool {
        items.iter().all(|record| record.user().is_some()) || total.is_some_and(|total| total < self.memory.length)
    }
}
