//! Rows that are likely to have changed: young ones, deposits that are new or were, and those that gave reason to ask.
//!
//! Nothing upstream tells that a row deep in the list has changed; a sweep finds out in its time. What matters sooner is
//! read sooner: deposits of the last hour in every round, of the last day every ten minutes, of the last week every hour;
//! all that are in status `new`; and every user of whom some row was seen to change, to vanish, or to step back.

use std::collections::HashSet;

use chrono::{DateTime, TimeDelta, Utc};
use tokio_util::sync::CancellationToken;

use super::memory::is_past;
use super::order::Order;
use super::reader::{Reader, Scope};
use super::recheck::{Reason, Verdict};
use super::round::{Round, Want};
use super::upstream::{Source, Upstream};
use super::walk::{Read, Step, Walk};
use super::{Error, refuses_limit};
use crate::lumo::Lane;
use crate::model::Listing;
use crate::model::id::ExternalId;
use crate::store::Ending;

/// How old a row may be, how often rows up to that age are read, and how many pages that may take.
const TIERS: [(TimeDelta, TimeDelta, u64); 3] = [
    (TimeDelta::hours(1), TimeDelta::zero(), 8),
    (TimeDelta::days(1), TimeDelta::minutes(10), 32),
    (TimeDelta::days(7), TimeDelta::hours(1), 128),
];
/// The status that the API's reference names.
const NEW: &str = "new";
/// The list of new deposits is read as long as it has at most so many pages.
const NEW_PAGES: u64 = 20;
/// Users asked about in one round.
const USERS: usize = 20;
/// Pages that one user's rows may take.
const USER_PAGES: u64 = 20;
/// How long a question is left alone whose answer proved nothing.
const PATIENCE: TimeDelta = TimeDelta::minutes(1);
/// Rows asked of the database at a time.
const ROWS: u64 = 500;

/// How far the end of the list was read that new rows join, and how old the row there is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Edge {
    pub(super) offset: u64,
    pub(super) created_at: DateTime<Utc>,
}

impl<U: Upstream> Round<'_, U> {
    pub(super) async fn hot<R: Source>(&mut self, stop: &CancellationToken) -> Result<(), Error> {
        if self.listing == Listing::Deposits && !self.is_read_whole {
            self.young::<R>(stop).await?;
            // A round is two requests where nothing happens: one that looked at the other end leaves these to the next.
            if !self.memory.order.order().wants_the_other_end(self.memory.rounds) {
                self.new_ones::<R>(stop).await?;
            }
        }
        self.ask_again::<R>(stop).await
    }

    /// Reads on from the end where new rows join, up to the age that it is time for.
    async fn young<R: Source>(&mut self, stop: &CancellationToken) -> Result<(), Error> {
        let Some(mut edge) = self.edge else { return Ok(()) };
        let now = self.now();
        let order = self.memory.order.order();
        let read_at = [None, self.memory.day_read_at, self.memory.week_read_at];
        let mut due = TIERS.into_iter().zip(read_at).filter(|((_, every, _), at)| is_past(*at, *every, now));
        let Some(((age, every, most), _)) = due.next_back() else { return Ok(()) };
        let mut reader: Reader<U, R> = self.reader(Scope::all(self.listing, Lane::Hot), false);
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
            let Some(page) = stop.run_until_cancelled(reader.take(Read { offset, limit }, &[])).await else { break };
            self.note_requests(&reader);
            let page = page?;
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
        if every >= TimeDelta::minutes(10) {
            self.memory.day_read_at = Some(now);
        }
        if every >= TimeDelta::hours(1) {
            self.memory.week_read_at = Some(now);
        }
        Ok(())
    }

    /// Reads the deposits in status `new`, and notes those to ask after that have left it.
    async fn new_ones<R: Source>(&mut self, stop: &CancellationToken) -> Result<(), Error> {
        let now = self.now();
        if !self.memory.filters(now) {
            return Ok(());
        }
        let scope = Scope { status: Some(NEW.to_owned()), ..Scope::all(self.listing, Lane::Hot) };
        let only = |record: &R| record.status().is_none_or(|status| status == NEW);
        let Some(seen) = self.all_of::<R>(scope, NEW_PAGES, &only, stop).await? else { return Ok(()) };
        let Some(seen) = seen else {
            self.memory.unfiltered_since = Some(now);
            return Ok(());
        };
        let mut after = 0;
        loop {
            let rows = self.syncer.store.new_deposits(after, ROWS).await?;
            let Some(last) = rows.last() else { return Ok(()) };
            after = last.row_no;
            for row in rows.into_iter().filter(|row| !seen.contains(&row.id)) {
                if let Some(user) = row.external_id {
                    self.want(user.as_str(), &row.id, Reason::LeftNew);
                }
            }
        }
    }

    /// Asks about the users that gave reason to, and marks as missing what was not there twice.
    async fn ask_again<R: Source>(&mut self, stop: &CancellationToken) -> Result<(), Error> {
        if self.options.ending == Ending::RollBack {
            return Ok(());
        }
        if self.listing == Listing::Deposits {
            for user in self.syncer.take_hints() {
                self.wants.push(Want { user, id: String::new(), reason: Reason::Active });
            }
        }
        self.remember();
        let due = self.memory.rechecks.due(self.now(), USERS);
        let mut users: Vec<&str> = due.iter().map(|entry| entry.external_id.as_str()).collect();
        users.sort_unstable();
        users.dedup();
        let mut gone = Vec::new();
        for user in users {
            let Ok(user_id) = user.parse::<ExternalId>() else { continue };
            let asked_at = self.now();
            let wanted = due.iter().filter(|entry| entry.external_id == user && !entry.id.is_empty());
            let wanted: Vec<&str> = wanted.map(|entry| entry.id.as_str()).collect();
            let Some(found) = self.rows_of::<R>(&user_id, &wanted, stop).await? else { return Ok(()) };
            for entry in due.iter().filter(|entry| entry.external_id == user) {
                match &found {
                    None => self.memory.rechecks.put_off(entry, asked_at + PATIENCE),
                    // What steps back was stored if that was confirmed, and waits for its time if not.
                    Some(found) if entry.id.is_empty() || found.contains(&entry.id) => {
                        if entry.reason != Reason::Regression {
                            self.memory.rechecks.done(entry);
                        }
                    }
                    Some(_) => {
                        if self.syncer.sightings.take(&entry.id) {
                            self.memory.rechecks.seen_since(&entry.id);
                        }
                        if self.memory.rechecks.seen_absent(&entry.id, asked_at) == Verdict::Confirmed {
                            gone.push((entry.id.clone(), asked_at));
                            continue;
                        }
                        self.syncer.sightings.expect(&entry.id);
                        if entry.reason != Reason::Absent {
                            // Whatever it was asked for, it is its absence now that wants to be confirmed.
                            self.memory.rechecks.done(entry);
                        }
                    }
                }
            }
        }
        self.remember();
        for (id, asked_at) in gone {
            let Ok(row) = id.parse::<R::Id>() else { continue };
            let vanished = self.syncer.store.vanish::<R>(vec![row], asked_at, self.syncer.fence(), self.now()).await?;
            // One row less is stored as listed, and none less is listed.
            let base = self.memory.gap.base().saturating_add_unsigned(vanished);
            self.memory.gap.settle(base.min(0));
            self.memory.rechecks.present(&id);
        }
        Ok(())
    }

    /// The ids of all rows that a user has upstream; the inner none if that cannot be told, the outer if stopped. `wanted`
    /// are those whose absence would mean something.
    async fn rows_of<R: Source>(
        &mut self,
        user: &ExternalId,
        wanted: &[&str],
        stop: &CancellationToken,
    ) -> Result<Option<Option<HashSet<String>>>, Error> {
        let only = |record: &R| record.user().is_none_or(|owner| owner == user);
        let scope = |listing| Scope { user: Some(user.clone()), ..Scope::all(listing, Lane::Hot) };
        let Some(found) = self.all_of::<R>(scope(R::HOME), USER_PAGES, &only, stop).await? else { return Ok(None) };
        let (Some(mut found), Listing::Wallets) = (found.clone(), R::HOME) else { return Ok(Some(found)) };
        // A wallet that is unblocked between the two readings is in neither, but then it is in the first list.
        for listing in [Listing::Blocked, R::HOME] {
            let Some(more) = self.all_of::<R>(scope(listing), USER_PAGES, &only, stop).await? else { return Ok(None) };
            let Some(more) = more else { return Ok(Some(None)) };
            found.extend(more);
            if wanted.iter().all(|id| found.contains(*id)) {
                break;
            }
        }
        Ok(Some(Some(found)))
    }

    /// Reads a filtered list whole and stores what it shows. Returns the ids of its rows; the inner none if the server does
    /// not filter or the list is too long or not proved, the outer if stopped.
    async fn all_of<R: Source>(
        &mut self,
        scope: Scope,
        most: u64,
        belongs: &(dyn Fn(&R) -> bool + Send + Sync),
        stop: &CancellationToken,
    ) -> Result<Option<Option<HashSet<String>>>, Error> {
        let mut walk = Walk::new(self.syncer.settings.page_size, self.known_cap());
        let mut reader: Reader<U, R> = self.reader(scope, false);
        let mut ids = HashSet::new();
        for _ in 0..most {
            let taken = stop.run_until_cancelled(reader.take(walk.next(), &[])).await;
            self.note_requests(&reader);
            let page = match taken {
                None => return Ok(None),
                Some(Ok(page)) => page,
                Some(Err(error)) if refuses_limit(&error) && walk.refused().is_some() => continue,
                // The whole query may be what is refused.
                Some(Err(error)) if refuses_limit(&error) => return Ok(Some(None)),
                Some(Err(error)) => return Err(error.into()),
            };
            let seen = page.seen();
            let filtered = page.page.items.iter().all(belongs) && self.is_part(seen.total, &page.page.items);
            ids.extend(page.page.items.iter().map(|record| record.id_str().to_owned()));
            ids.extend(page.page.rejects.iter().filter_map(|reject| reject.id.clone()));
            let total = self.tally.total;
            self.keep(page).await?;
            self.tally.total = total;
            if !filtered {
                return Ok(Some(None));
            }
            match walk.absorb(&seen) {
                Step::Read(_) => {}
                Step::End => return Ok(Some(Some(ids))),
                Step::Unproved(_) => return Ok(Some(None)),
            }
        }
        Ok(Some(None))
    }

    /// Whether an answer can be one user's part of the list and not the whole of it, where its items do not say whose they
    /// are.
    fn is_part<R: Source>(&self, total: Option<u64>, items: &[R]) -> bool {
        items.iter().all(|record| record.user().is_some()) || total.is_some_and(|total| total < self.memory.length)
    }
}
