//! Re-reads all rows of a user when one of them changed, left a list, or went back to an earlier state.
//!
//! Each user takes a request or two, at a rate that other requests leave free; several are asked for at a time. If the
//! whole list has fewer pages than there are users, the list is read instead. A round spends a moment on this, as new
//! rows must not wait. The rest is read between rounds ([`Syncer::follow_up`]), as soon as it is due.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::sync::Mutex as Plain;

use chrono::{DateTime, TimeDelta, Utc};
use tokio_util::sync::CancellationToken;

use crate::chain::Chain;
use crate::lumo::Priority;
use crate::model::Listing;
use crate::model::id::ExternalId;
use crate::model::record::{Deposit, Wallet};
use crate::store::Ending;
use crate::sync::confirm::recheck::{CONFIRM_AFTER, Confirmation, Reason, Recheck};
use crate::sync::round::Round;
use crate::sync::scan::filtered::Listed;
use crate::sync::scan::reader::{Reader, Scope};
use crate::sync::scan::walk::{Paging, Walk};
use crate::sync::upstream::{Source, Upstream};
use crate::sync::{Error, Options, Running, Syncer, lock};

/// How long one round, or one turn between two rounds, spends on re-reading.
const MAX_SLICE: TimeDelta = TimeDelta::seconds(2);
/// The most pages that are read of one user's rows.
const MAX_PAGES_OF_A_USER: u64 = 20;
/// The wait before a row is re-read whose last answer proved nothing.
const RETRY_UNPROVED_AFTER: TimeDelta = TimeDelta::minutes(1);
/// From this number of users on, reading the whole list is considered.
const READ_LIST_FROM_USERS: usize = 40;

/// The most users that are remembered as active.
const MAX_HINTS: usize = 200;

/// What a round leaves to be re-read before the next round.
#[derive(Debug, Default)]
pub(in crate::sync) struct Asks {
    /// When the next row is due.
    due_at: Option<DateTime<Utc>>,
    /// How many rows the list has.
    length: u64,
}

/// A user whose rows are re-read. The first page is already requested.
pub(in crate::sync) struct Question<U, R> {
    user: ExternalId,
    entries: Vec<Recheck>,
    asked_at: DateTime<Utc>,
    walk: Walk,
    reader: Reader<U, R>,
}

impl<U: Upstream> Syncer<U> {
    /// Re-reads the rows that are due, between two rounds over the listing, until none is. Releases the listing every
    /// two seconds, so that a round need not wait longer. Logs the end of an outage that was over since the last round.
    pub async fn follow_up(&self, listing: Listing, stop: &CancellationToken) {
        self.log.look(listing);
        while self.asks_are_due(listing) && !self.is_refused(listing) && !stop.is_cancelled() {
            let running: Running<'_, bool> = match listing {
                Listing::Wallets | Listing::Blocked => Box::pin(self.follow_up_once::<Wallet>(listing, stop)),
                Listing::Deposits => Box::pin(self.follow_up_once::<Deposit>(listing, stop)),
            };
            match running.await {
                Ok(true) => {}
                Ok(false) => return,
                // The rounds log this error already.
                Err(error) => {
                    tracing::debug!(%listing, error = %Chain(&error), "rows not looked at; the next round tries again");
                    lock(self.asks_of(listing)).due_at = None;
                    return;
                }
            }
        }
    }

    fn asks_of(&self, listing: Listing) -> &Plain<Asks> {
        &self.asks[listing]
    }

    fn asks_are_due(&self, listing: Listing) -> bool {
        lock(self.asks_of(listing)).due_at.is_some_and(|due_at| due_at <= self.clock.now())
    }

    pub(in crate::sync) fn expect_asks(&self, listing: Listing, due_at: Option<DateTime<Utc>>, length: u64) {
        let mut asks = lock(self.asks_of(listing));
        (asks.due_at, asks.length) = (due_at, length);
    }

    /// The number of wallets, once a round has read it.
    fn wallets_listed(&self) -> Option<u64> {
        Some(lock(self.asks_of(Listing::Wallets)).length).filter(|length| *length > 0)
    }

    pub(in crate::sync) fn hint(&self, user: &str) {
        let mut hints = lock(&self.hints);
        if hints.len() < MAX_HINTS {
            hints.insert(user.to_owned());
        }
    }

    fn take_hints(&self) -> BTreeSet<String> {
        std::mem::take(&mut lock(&self.hints))
    }

    /// Re-reads for one turn. Returns whether any request was made.
    async fn follow_up_once<R: Source>(&self, listing: Listing, stop: &CancellationToken) -> Result<bool, Error> {
        let mut gate = self.gate(listing).lock().await;
        let options = Options::default();
        if !self.admit(options.ending, stop).await? {
            return Ok(false);
        }
        let mut round = Round::begin(self, listing, &options).await?;
        if round.is_guest() {
            return Ok(false);
        }
        let asked = round.ask_again::<R>(stop).await;
        if matches!(&asked, Err(error) if error.is_unauthorized()) {
            *gate = Some(self.probe_at());
        }
        self.meters.count_rows(listing, &round.tally);
        let came_to_something = round.tally.requests > 0;
        round.remember();
        round.save().await?;
        asked.map(|()| came_to_something)
    }
}

impl<U: Upstream> Round<'_, U> {
    /// Re-reads the users that are due, for a moment. Marks rows as missing that two answers did not list.
    pub(in crate::sync) async fn ask_again<R: Source>(&mut self, stop: &CancellationToken) -> Result<(), Error> {
        if self.options.ending == Ending::RollBack {
            return Ok(());
        }
        if self.listing == Listing::Deposits {
            for user in self.syncer.take_hints() {
                self.want(&user, "", Reason::Active);
            }
        }
        self.admit_removals::<R>().await?;
        let until = self.now() + MAX_SLICE;
        let mut users = self.due();
        let absence_counts = users.is_empty() || self.counts_absence().await?;
        if !absence_counts {
            self.put_off_absent();
            users = self.due();
        }
        if self.is_list_shorter(users.len()) && self.read_instead::<R>(stop).await? {
            users = self.due();
        }
        let mut asked = VecDeque::new();
        let side_by_side = self.syncer.sizes(R::HOME).window(self.syncer.settings.concurrency);
        loop {
            while asked.len() < side_by_side && self.now() < until {
                let Some((user, entries)) = users.pop_front() else { break };
                match user.parse() {
                    Ok(user) => asked.push_back(self.question::<R>(user, entries)),
                    Err(_) => entries.iter().for_each(|entry| self.memory.rechecks.done(entry)),
                }
            }
            let Some(question) = asked.pop_front() else { break };
            if !self.answer(question, absence_counts, stop).await? {
                return Ok(());
            }
        }
        self.remember();
        self.hand_over_unlisted().await
    }

    /// Puts off the rows that wait to be confirmed as absent, because an answer would not count now.
    fn put_off_absent(&mut self) {
        let now = self.now();
        for entry in self.memory.rechecks.due(now).iter().filter(|entry| entry.reason == Reason::Absent) {
            self.memory.rechecks.put_off(entry, now + RETRY_UNPROVED_AFTER);
        }
    }

    /// The users to re-read now, with the rows in question, the longest due first.
    fn due(&self) -> VecDeque<(String, Vec<Recheck>)> {
        let due = self.memory.rechecks.due(self.now());
        let mut places = BTreeMap::new();
        let mut users: VecDeque<(String, Vec<Recheck>)> = VecDeque::new();
        for entry in due {
            let place = *places.entry(entry.external_id.clone()).or_insert(users.len());
            match users.get_mut(place) {
                Some((_, entries)) => entries.push(entry),
                None => users.push_back((entry.external_id.clone(), vec![entry])),
            }
        }
        users
    }

    pub(in crate::sync) fn question<R: Source>(&self, user: ExternalId, entries: Vec<Recheck>) -> Question<U, R> {
        let walk = self.walk();
        let mut reader =
            self.reader(Scope { user: Some(user.clone()), ..Scope::all(R::HOME, Priority::Recent) }, false);
        let asked_at = self.now();
        reader.expect(walk.next(), &[]);
        Question { user, entries, asked_at, walk, reader }
    }

    /// Reads all rows of a user when no particular row is in question.
    pub(in crate::sync) async fn whole_answer<R: Source>(
        &mut self,
        question: Question<U, R>,
        stop: &CancellationToken,
    ) -> Result<Listed, Error> {
        let Question { user, walk, reader, .. } = question;
        self.rows_of::<R>(&user, &[], walk, reader, stop).await
    }

    /// Evaluates the answer for one user; false if stopped.
    async fn answer<R: Source>(
        &mut self,
        question: Question<U, R>,
        absence_counts: bool,
        stop: &CancellationToken,
    ) -> Result<bool, Error> {
        let Question { user, entries, asked_at, walk, reader } = question;
        let wanted: Vec<&str> = entries.iter().map(|entry| entry.id.as_str()).filter(|id| !id.is_empty()).collect();
        let found = match self.rows_of::<R>(&user, &wanted, walk, reader, stop).await? {
            Listed::Whole(found) => found,
            Listed::Stopped => return Ok(false),
            listed => {
                for entry in &entries {
                    self.memory.rechecks.put_off(entry, asked_at + RETRY_UNPROVED_AFTER);
                    // An absent wallet is not handed to the full scans: it may be in the list of blocked wallets.
                    let is_judged_by_scans = R::HOME == Listing::Deposits && entry.reason == Reason::Absent;
                    if is_judged_by_scans && matches!(listed, Listed::NotFiltered) {
                        self.memory.rechecks.cannot_ask(entry);
                    }
                }
                return Ok(true);
            }
        };
        let mut gone = Vec::new();
        for entry in &entries {
            if entry.id.is_empty() || found.contains(&entry.id) {
                self.note_listed(entry, asked_at);
                continue;
            }
            if R::HOME != self.listing || !absence_counts {
                self.leave_unlisted::<R>(entry, asked_at);
                continue;
            }
            if self.syncer.recently_seen.take(&entry.id) {
                self.memory.rechecks.seen_since(&entry.id);
            }
            if self.memory.rechecks.seen_absent(&entry.id, asked_at) == Confirmation::Confirmed {
                gone.push(entry.id.clone());
                continue;
            }
            self.syncer.recently_seen.expect(&entry.id);
            if entry.reason != Reason::Absent {
                // The first reason is dealt with. What is to be confirmed now is that the row is gone.
                self.memory.rechecks.done(entry);
            }
        }
        // This is stored before the next user is asked for, so that an error there does not lose it.
        if !gone.is_empty() {
            self.mark_missing::<R>(&gone, asked_at).await?;
        }
        Ok(true)
    }

    /// Leaves a row that was not listed to a round that may judge it: of a wallet, the rounds over all wallets; of a
    /// row whose absence does not count now, a later round.
    fn leave_unlisted<R: Source>(&mut self, entry: &Recheck, asked_at: DateTime<Utc>) {
        self.memory.rechecks.put_off(entry, asked_at + RETRY_UNPROVED_AFTER);
        if R::HOME != self.listing {
            self.syncer.recently_seen.expect(&entry.id);
            self.absences.unlisted.push(Recheck {
                first_seen_at: Some(asked_at),
                due_at: asked_at + CONFIRM_AFTER,
                ..entry.clone()
            });
        } else if entry.reason != Reason::Absent {
            let absent = Recheck {
                reason: Reason::Absent,
                first_seen_at: None,
                due_at: asked_at + RETRY_UNPROVED_AFTER,
                ..entry.clone()
            };
            if self.memory.rechecks.want(absent) {
                self.memory.rechecks.done(entry);
            }
        }
    }

    /// Notes that the row is listed. One that stepped back waits until that is confirmed, and leaves once stored.
    fn note_listed(&mut self, entry: &Recheck, now: DateTime<Utc>) {
        if entry.reason == Reason::Regression {
            self.memory.rechecks.put_off(entry, now + RETRY_UNPROVED_AFTER);
        } else {
            self.memory.rechecks.done(entry);
        }
    }

    /// Whether reading the whole list takes fewer requests than re-reading this number of users.
    fn is_list_shorter(&self, users: usize) -> bool {
        if users < READ_LIST_FROM_USERS {
            return false;
        }
        self.home_pages().is_some_and(|pages| usize::try_from(pages).is_ok_and(|pages| pages < users / 2))
    }

    /// The number of pages in the list of all rows, if known.
    fn home_pages(&self) -> Option<u64> {
        let rows = match self.listing {
            Listing::Blocked => self.syncer.wallets_listed()?,
            _ => self.memory.length,
        };
        let page = u64::from(self.page_limit());
        (rows > 0).then(|| rows / page.saturating_sub(4).max(1) + 1)
    }

    /// Reads the list of all rows instead of re-reading user by user. The rows on it are done; the others remain to be
    /// asked for. False if it proved nothing.
    async fn read_instead<R: Source>(&mut self, stop: &CancellationToken) -> Result<bool, Error> {
        let now = self.now();
        let due = self.memory.rechecks.due(now);
        let pages = self.home_pages().unwrap_or(0) * 2;
        let walk = self.walk();
        let reader = self.reader(Scope::all(R::HOME, Priority::Recent), false);
        let Listed::Whole(found) = self.all_of::<R>(walk, reader, pages, &|_| true, stop).await? else {
            return Ok(false);
        };
        for entry in due.iter().filter(|entry| found.contains(&entry.id)) {
            self.note_listed(entry, now);
        }
        self.remember();
        Ok(true)
    }

    /// The ids of all rows that a user has upstream. `wanted` are the rows in question.
    async fn rows_of<R: Source>(
        &mut self,
        user: &ExternalId,
        wanted: &[&str],
        walk: Walk,
        reader: Reader<U, R>,
        stop: &CancellationToken,
    ) -> Result<Listed, Error> {
        let only = |record: &R| record.user().is_none_or(|owner| owner == user);
        let mut found = match self.all_of::<R>(walk, reader, MAX_PAGES_OF_A_USER, &only, stop).await? {
            Listed::Whole(found) => found,
            other => return Ok(other),
        };
        let has_all = |found: &HashSet<String>| wanted.iter().all(|id| found.contains(*id));
        if R::HOME != Listing::Wallets || (!wanted.is_empty() && has_all(&found)) {
            return Ok(Listed::Whole(found));
        }
        // A wallet that is unblocked between the two readings is in neither, but then it is in the first list.
        for listing in [Listing::Blocked, R::HOME] {
            let walk = self.walk();
            let reader =
                self.reader(Scope { user: Some(user.clone()), ..Scope::all(listing, Priority::Recent) }, false);
            match self.all_of::<R>(walk, reader, MAX_PAGES_OF_A_USER, &only, stop).await? {
                Listed::Whole(more) => found.extend(more),
                other => return Ok(other),
            }
            if has_all(&found) {
                break;
            }
        }
        Ok(Listed::Whole(found))
    }
}
