//! Reads between the rounds the deposits of users who are about to pay.
//!
//! Where new rows join the list at a known end, one page of that end shows the deposits of all users. Where they join
//! anywhere, a few users are asked for one by one. If there are more, the list of deposits in status `new` is read, and
//! the users are asked for in turn.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use chrono::{DateTime, TimeDelta, Utc};
use tokio_util::sync::CancellationToken;

use crate::model::Listing;
use crate::model::id::ExternalId;
use crate::model::record::Deposit;
use crate::store::{Fate, Progress};
use crate::sync::learn::memory::Memory;
use crate::sync::round::Round;
use crate::sync::scan::filtered::Listed;
use crate::sync::upstream::{Source, Upstream};
use crate::sync::{Error, Options, Running, Syncer, lock};

/// How long a user is watched after an unsettled deposit was first seen.
const AFTER_DEPOSIT: TimeDelta = TimeDelta::minutes(15);
/// The most deposits that are waited for in this way; later ones are left to the rounds.
const MAX_UNSETTLED: usize = 500;

/// Which users to look for, and how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    pub every: TimeDelta,
    /// The most requests of one read, besides pages that show all users.
    pub requests: u64,
    /// The most users at a time.
    pub most: u32,
}

/// What the process remembers of the users that it watches.
#[derive(Debug, Default)]
pub(in crate::sync) struct Watching {
    /// Deposits that were first seen live and are not settled: their user, and until when they are waited for.
    unsettled: BTreeMap<String, (ExternalId, DateTime<Utc>)>,
    /// How many users were asked for in turn.
    turn: usize,
    /// How many users the last read was for.
    users: usize,
}

impl Watching {
    fn note(&mut self, id: &str, user: &ExternalId, until: DateTime<Utc>) {
        if self.unsettled.len() < MAX_UNSETTLED || self.unsettled.contains_key(id) {
            self.unsettled.insert(id.to_owned(), (user.clone(), until));
        }
    }

    /// The watched users, then those with an unsettled deposit, each once.
    fn merge(&mut self, named: &[ExternalId], now: DateTime<Utc>) -> Vec<ExternalId> {
        self.unsettled.retain(|_, (_, until)| *until > now);
        let mut known: BTreeSet<&ExternalId> = BTreeSet::new();
        let waiting = self.unsettled.values().map(|(user, _)| user);
        let users = named.iter().chain(waiting).filter(|user| known.insert(user)).cloned().collect();
        self.users = known.len();
        users
    }

    /// At most `most` of the users, from where the last call ended.
    fn next(&mut self, users: &[ExternalId], most: usize) -> Vec<ExternalId> {
        let most = most.min(users.len());
        let next = users.iter().cycle().skip(self.turn % users.len().max(1)).take(most).cloned().collect();
        self.turn = self.turn.wrapping_add(most);
        next
    }
}

/// The longest time between two reads for one user, as far as the list is known.
#[must_use]
pub fn apart(progress: &Progress, users: u64, plan: Plan, now: DateTime<Utc>) -> TimeDelta {
    let memory = Memory::of(progress);
    let shows_all = memory.order.order().is_known_end() || memory.filters(now);
    let looks = if shows_all { 1 } else { users.div_ceil(plan.requests.max(1)).max(1) };
    plan.every * i32::try_from(looks).unwrap_or(i32::MAX)
}

impl<U: Upstream> Syncer<U> {
    /// Looks for deposits of these users, and of those with an unsettled deposit. Does nothing during the first import,
    /// or where another process reads. Returns how many requests it took.
    ///
    /// # Errors
    /// What stopped it. What it had read by then is stored.
    pub async fn look_for(&self, named: &[ExternalId], plan: Plan, stop: &CancellationToken) -> Result<u64, Error> {
        let users = lock(&self.watching).merge(named, self.clock.now());
        if users.is_empty() || self.is_refused(Listing::Deposits) {
            return Ok(0);
        }
        let running: Running<'_, u64> = Box::pin(self.look::<Deposit>(&users, plan.requests, stop));
        let requests = running.await?;
        self.meters.count_watch(requests);
        Ok(requests)
    }

    /// How many users the last read was for.
    #[must_use]
    pub fn watched_users(&self) -> usize {
        lock(&self.watching).users
    }

    async fn look<R: Source>(&self, users: &[ExternalId], most: u64, stop: &CancellationToken) -> Result<u64, Error> {
        let listing = Listing::Deposits;
        let mut gate = self.gate(listing).lock().await;
        let options = Options::default();
        if !self.admit(options.ending, stop).await? {
            return Ok(0);
        }
        let mut round = Round::begin(self, listing, &options).await?;
        if round.is_guest() || round.progress.import_done_at.is_none() {
            return Ok(0);
        }
        let looked = round.look::<R>(users, most, stop).await;
        if matches!(&looked, Err(error) if error.is_unauthorized()) {
            *gate = Some(self.probe_at());
        }
        self.meters.count_rows(listing, &round.tally);
        let requests = round.tally.requests;
        round.remember();
        round.save().await?;
        looked.map(|()| requests)
    }

    /// Notes a stored deposit: the user of a new, unsettled one is watched.
    pub(in crate::sync) fn note_deposit(
        &self,
        id: &str,
        user: Option<&ExternalId>,
        is_settled: bool,
        fate: Fate,
        is_news: bool,
    ) {
        let mut watching = lock(&self.watching);
        match (fate, user) {
            (Fate::Appeared, Some(user)) if is_news && !is_settled => {
                watching.note(id, user, self.clock.now() + AFTER_DEPOSIT);
            }
            _ if is_settled => drop(watching.unsettled.remove(id)),
            _ => {}
        }
    }
}

impl<U: Upstream> Round<'_, U> {
    async fn look<R: Source>(
        &mut self,
        users: &[ExternalId],
        most: u64,
        stop: &CancellationToken,
    ) -> Result<(), Error> {
        if self.memory.order.order().is_known_end() {
            match self.joining_end::<R>(stop).await? {
                None | Some(Ok(())) => return Ok(()),
                // The end proved nothing, so the users are read one by one.
                Some(Err(_)) => {}
            }
        }
        let is_many = users.len() as u64 > most;
        if is_many {
            self.new_deposits::<R>(stop).await?;
        }
        let left = most.saturating_sub(self.tally.requests);
        let asked = lock(&self.syncer.watching).next(users, usize::try_from(left).unwrap_or(usize::MAX));
        self.ask_for::<R>(asked, stop).await
    }

    /// Reads the deposits of each user, several at a time.
    async fn ask_for<R: Source>(&mut self, users: Vec<ExternalId>, stop: &CancellationToken) -> Result<(), Error> {
        let side_by_side = self.syncer.sizes(R::HOME).window(self.syncer.settings.concurrency);
        let (mut users, mut asked) = (users.into_iter(), VecDeque::new());
        loop {
            while asked.len() < side_by_side
                && let Some(user) = users.next()
            {
                asked.push_back(self.question::<R>(user, Vec::new()));
            }
            let Some(question) = asked.pop_front() else { return Ok(()) };
            if let Listed::Stopped = self.whole_answer::<R>(question, stop).await? {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users(names: &[&str]) -> Vec<ExternalId> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    fn noon() -> DateTime<Utc> {
        "2026-05-04T12:00:00Z".parse().unwrap()
    }

    #[test]
    fn who_waits_for_money_is_watched_behind_those_that_were_named_and_each_once() {
        let mut watching = Watching::default();
        let (eve, bob) = (&users(&["eve"])[0], &users(&["bob"])[0]);
        watching.note("d1", eve, noon() + AFTER_DEPOSIT);
        watching.note("d2", bob, noon() + TimeDelta::seconds(1));
        watching.note("d3", eve, noon() + AFTER_DEPOSIT);
        assert_eq!(watching.merge(&users(&["zoe", "eve"]), noon()), users(&["zoe", "eve", "bob"]));
        assert_eq!(watching.merge(&[], noon() + TimeDelta::seconds(1)), users(&["eve"]));
        assert_eq!(watching.merge(&[], noon() + AFTER_DEPOSIT), users(&[]));
        for deposit in 0..2 * MAX_UNSETTLED {
            watching.note(&deposit.to_string(), eve, noon() + AFTER_DEPOSIT);
        }
        assert_eq!(watching.unsettled.len(), MAX_UNSETTLED);
    }

    #[test]
    fn everybody_has_a_turn() {
        let mut watching = Watching::default();
        let all = users(&["a", "b", "c", "d", "e"]);
        let mut asked = Vec::new();
        for _ in 0..5 {
            asked.extend(watching.next(&all, 2));
        }
        assert_eq!(asked, [all.clone(), all.clone()].concat());
        assert_eq!(watching.next(&all, 9).len(), 5, "nobody twice");
        assert!(watching.next(&[], 9).is_empty());
    }

    #[test]
    fn looks_are_as_far_apart_as_the_requests_allow() {
        let plan = Plan { every: TimeDelta::seconds(2), requests: 10, most: 500 };
        let scattered = Memory { unfiltered_since: Some(noon()), ..Memory::default() };
        let progress = |memory: &Memory| Progress { memory: memory.to_json(), ..Progress::fresh("deposits") };
        for (memory, users, seconds) in
            [(&Memory::default(), 500, 2), (&scattered, 10, 2), (&scattered, 11, 4), (&scattered, 500, 100)]
        {
            let apart = apart(&progress(memory), users, plan, noon());
            assert_eq!(apart, TimeDelta::seconds(seconds), "{users}");
        }
    }
}
