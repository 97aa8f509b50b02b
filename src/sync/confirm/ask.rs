//! Asks about the users that gave reason to: some row of theirs was seen to change, to vanish, or to step back.
//!
//! Each takes a request or two, at whatever rate is free; several are under way at a time. Where the pages of the whole list
//! are fewer than the users, the list is read instead. A round asks for a moment only, since new rows must not wait; what
//! remains is asked in between ([`Syncer::follow_up`]), as soon as it is due.

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
use crate::sync::confirm::recheck::{CONFIRM_AFTER, Entry, Reason, Verdict};
use crate::sync::round::{Round, Want};
use crate::sync::scan::reader::{Reader, Scope};
use crate::sync::scan::walk::Walk;
use crate::sync::tail::recent::Listed;
use crate::sync::upstream::{Source, Upstream};
use crate::sync::{Error, Options, Running, Syncer, lock};

/// How long a round asks before it lets others have their turn.
const MAX_SLICE: TimeDelta = TimeDelta::seconds(2);
/// Pages that one user's rows may take.
const MAX_PAGES_OF_A_USER: u64 = 20;
/// How long a question is left alone whose answer proved nothing.
const RETRY_UNPROVED_AFTER: TimeDelta = TimeDelta::minutes(1);
/// From so many users on, reading the whole list is considered.
const READ_LIST_FROM_USERS: usize = 40;

/// Users that were seen to be active are remembered up to so many.
const MAX_HINTS: usize = 200;

/// What a round leaves for those who follow up.
#[derive(Debug, Default)]
pub(in crate::sync) struct Asks {
    /// When the next row is to be looked at.
    due_at: Option<DateTime<Utc>>,
    /// How many rows the list has.
    length: u64,
    /// Whether they are at it.
    under_way: bool,
}

/// Says that somebody follows up, until it is dropped.
struct Following<'a>(&'a Plain<Asks>);

impl Drop for Following<'_> {
    fn drop(&mut self) {
        lock(self.0).under_way = false;
    }
}

/// A user to be asked about, whose first page is on its way.
pub(in crate::sync) struct Question<U, R> {
    user: ExternalId,
    entries: Vec<Entry>,
    asked_at: DateTime<Utc>,
    walk: Walk,
    reader: Reader<U, R>,
}

impl<U: Upstream> Syncer<U> {
    /// Asks about what is due, between two rounds over the listing, until nothing is. A round that comes meanwhile has its
    /// turn after a moment.
    pub async fn follow_up(&self, listing: Listing, stop: &CancellationToken) {
        while self.asks_are_due(listing) && !self.is_refused(listing) && !stop.is_cancelled() {
            let running: Running<'_, bool> = match listing {
                Listing::Wallets | Listing::Blocked => Box::pin(self.follow_up_once::<Wallet>(listing, stop)),
                Listing::Deposits => Box::pin(self.follow_up_once::<Deposit>(listing, stop)),
            };
            match running.await {
                Ok(true) => {}
                Ok(false) => return,
                // The rounds say so already.
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

    fn follows_up(&self, listing: Listing) -> Following<'_> {
        let asks = self.asks_of(listing);
        lock(asks).under_way = true;
        Following(asks)
    }

    pub(in crate::sync) fn is_following_up(&self, listing: Listing) -> bool {
        lock(self.asks_of(listing)).under_way
    }

    fn asks_are_due(&self, listing: Listing) -> bool {
        lock(self.asks_of(listing)).due_at.is_some_and(|due_at| due_at <= self.clock.now())
    }

    pub(in crate::sync) fn expect_asks(&self, listing: Listing, due_at: Option<DateTime<Utc>>, length: u64) {
        let mut asks = lock(self.asks_of(listing));
        (asks.due_at, asks.length) = (due_at, length);
    }

    /// How many wallets there are, once a round has told.
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

    /// Asks for a moment. Returns whether it came to anything.
    async fn follow_up_once<R: Source>(&self, listing: Listing, stop: &CancellationToken) -> Result<bool, Error> {
        let mut gate = self.gate(listing).lock().await;
        let _following = self.follows_up(listing);
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
    /// Asks about the users that gave reason to, for a moment, and marks as missing what was not there twice.
    pub(in crate::sync) async fn ask_again<R: Source>(&mut self, stop: &CancellationToken) -> Result<(), Error> {
        if self.options.ending == Ending::RollBack {
            return Ok(());
        }
        if self.listing == Listing::Deposits {
            for user in self.syncer.take_hints() {
                self.wants.push(Want { user, id: String::new(), reason: Reason::Active });
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

    /// Nobody is asked whether a row is absent as long as the answer would not count.
    fn put_off_absent(&mut self) {
        let now = self.now();
        for entry in self.memory.rechecks.due(now).iter().filter(|entry| entry.reason == Reason::Absent) {
            self.memory.rechecks.put_off(entry, now + RETRY_UNPROVED_AFTER);
        }
    }

    /// The users to ask about now, with the rows that give reason to, the longest due first.
    fn due(&self) -> VecDeque<(String, Vec<Entry>)> {
        let due = self.memory.rechecks.due(self.now());
        let mut places = BTreeMap::new();
        let mut users: VecDeque<(String, Vec<Entry>)> = VecDeque::new();
        for entry in due {
            let place = *places.entry(entry.external_id.clone()).or_insert(users.len());
            match users.get_mut(place) {
                Some((_, entries)) => entries.push(entry),
                None => users.push_back((entry.external_id.clone(), vec![entry])),
            }
        }
        users
    }

    pub(in crate::sync) fn question<R: Source>(&self, user: ExternalId, entries: Vec<Entry>) -> Question<U, R> {
        let walk = Walk::new(self.syncer.settings.page_size, self.known_cap());
        let mut reader =
            self.reader(Scope { user: Some(user.clone()), ..Scope::all(R::HOME, Priority::Recent) }, false);
        let asked_at = self.now();
        reader.expect(walk.next(), &[]);
        Question { user, entries, asked_at, walk, reader }
    }

    /// All that a user has, where no row is asked for by name.
    pub(in crate::sync) async fn whole_answer<R: Source>(
        &mut self,
        question: Question<U, R>,
        stop: &CancellationToken,
    ) -> Result<Listed, Error> {
        let Question { user, walk, reader, .. } = question;
        self.rows_of::<R>(&user, &[], walk, reader, stop).await
    }

    /// Takes in what became of a question; false if stopped.
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
                    // A wallet that is on no reading of the plain list may be among the blocked ones.
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
            if self.memory.rechecks.seen_absent(&entry.id, asked_at) == Verdict::Confirmed {
                gone.push(entry.id.clone());
                continue;
            }
            self.syncer.recently_seen.expect(&entry.id);
            if entry.reason != Reason::Absent {
                // Whatever it was asked for, it is its absence now that wants to be confirmed.
                self.memory.rechecks.done(entry);
            }
        }
        // Before anybody else is asked about: should that fail, what was confirmed here is not forgotten.
        self.call_missing::<R>(gone, asked_at).await?;
        Ok(true)
    }

    /// The row was asked for in vain, and it is not for this round to say what that means: of a wallet the rounds over all
    /// wallets say it; where absence does not count, a later round.
    fn leave_unlisted<R: Source>(&mut self, entry: &Entry, asked_at: DateTime<Utc>) {
        self.memory.rechecks.put_off(entry, asked_at + RETRY_UNPROVED_AFTER);
        if R::HOME != self.listing {
            self.syncer.recently_seen.expect(&entry.id);
            self.unlisted.push(Entry {
                first_seen_at: Some(asked_at),
                due_at: asked_at + CONFIRM_AFTER,
                ..entry.clone()
            });
        } else if entry.reason != Reason::Absent {
            let absent = Entry {
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

    /// What steps back was stored if that was confirmed, and waits for its time if not.
    fn note_listed(&mut self, entry: &Entry, now: DateTime<Utc>) {
        if entry.reason == Reason::Regression {
            self.memory.rechecks.put_off(entry, now + RETRY_UNPROVED_AFTER);
        } else {
            self.memory.rechecks.done(entry);
        }
    }

    /// Marks rows as missing whose absence was confirmed.
    async fn call_missing<R: Source>(&mut self, gone: Vec<String>, asked_at: DateTime<Utc>) -> Result<(), Error> {
        for id in gone {
            let Ok(row) = id.parse::<R::Id>() else { continue };
            self.vanish::<R>(vec![row], asked_at).await?;
            self.memory.rechecks.present(&id);
        }
        Ok(())
    }

    /// Whether reading the whole list takes fewer requests than asking about so many users.
    fn is_list_shorter(&self, users: usize) -> bool {
        if users < READ_LIST_FROM_USERS {
            return false;
        }
        self.home_pages().is_some_and(|pages| usize::try_from(pages).is_ok_and(|pages| pages < users / 2))
    }

    /// How many pages the list of all rows has, as far as that is known.
    fn home_pages(&self) -> Option<u64> {
        let rows = match self.listing {
            Listing::Blocked => self.syncer.wallets_listed()?,
            _ => self.memory.length,
        };
        let page = u64::from(self.known_cap().unwrap_or(self.syncer.settings.page_size));
        (rows > 0).then(|| rows / page.saturating_sub(4).max(1) + 1)
    }

    /// Reads the list of all rows instead of asking user by user. What is found on it needs not be asked for; what is not
    /// has yet to be. False if it proved nothing.
    async fn read_instead<R: Source>(&mut self, stop: &CancellationToken) -> Result<bool, Error> {
        let now = self.now();
        let due = self.memory.rechecks.due(now);
        let pages = self.home_pages().unwrap_or(0) * 2;
        let walk = Walk::new(self.syncer.settings.page_size, self.known_cap());
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

    /// The ids of all rows that a user has upstream. `wanted` are those whose absence would mean something.
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
            let walk = Walk::new(self.syncer.settings.page_size, self.known_cap());
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
