//! A leader that sends nothing: the test says what came of each event, and it is written as a leader writes it.
//!
//! It takes what is due, rows first and then the log, one after the other, and keeps to the order of lanes. So a test can
//! bring the tables into any state that the bridge itself brings them into.

use std::collections::HashSet;
use std::time::Duration;

use chrono::{DateTime, Utc};
use lumo_bridge::model::id::{EndpointName, EventId};
use lumo_bridge::model::subscriber::Order;
use lumo_bridge::store::Store;
use lumo_bridge::store::delivery::{
    Attempted, Committed, DueRow, EndpointNote, Fate, GroupCommit, Item, KnownRow, Written,
};
use lumo_bridge::store::log::LogEvent;
use lumo_bridge_entity::attempt::AttemptResult;
use lumo_bridge_entity::exception::Reason;
use lumo_bridge_entity::position;

use super::fixture::{HOLD, endpoint};

/// The number of the process that leads, in tests.
pub(crate) const PROCESS: i64 = 7;

/// More bytes than any test's events have.
const BYTES: usize = 64 << 20;

/// What came of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Came {
    Delivered,
    RetryAt(DateTime<Utc>),
    Dead,
    /// Answered, and to be acknowledged by then.
    Answered(DateTime<Utc>),
    /// A request is under way until then.
    Sending(DateTime<Utc>),
    /// `when` said no.
    Filtered,
    /// A newer one takes its place.
    Superseded,
}

/// An event that may go out.
#[derive(Clone, Debug)]
pub(crate) struct Next {
    pub(crate) event: LogEvent,
    pub(crate) reason: Reason,
    /// Attempts ever made.
    pub(crate) attempts: i32,
    lane: Option<String>,
    tries: i32,
    hold_until: Option<DateTime<Utc>>,
    row: Option<KnownRow>,
}

/// Of one endpoint.
pub(crate) struct Leader {
    store: Store,
    endpoint: EndpointName,
    order: Order,
    position: position::Model,
    /// Whether a row in `lumo_acks` may say that an event has arrived.
    pub(crate) asks_acks: bool,
    /// What the next commit says about the endpoint.
    pub(crate) note: Option<EndpointNote>,
}

impl Leader {
    /// Takes the lead of an endpoint that nobody leads.
    pub(crate) async fn of(store: &Store, name: &str, now: DateTime<Utc>) -> Self {
        Self::after(store, name, None, now).await
    }

    /// Takes the lead from a process that is dead.
    pub(crate) async fn after(store: &Store, name: &str, from: Option<i64>, now: DateTime<Utc>) -> Self {
        let endpoint = endpoint(name);
        let position = store.take_lead(&endpoint, PROCESS, from, from.is_some(), now).await.unwrap();
        let position = position.expect("somebody else leads");
        let row = store.endpoint(&endpoint).await.unwrap().unwrap();
        let order = Order::from_name(&row.ordering).unwrap();
        Self { store: store.clone(), endpoint, order, position, asks_acks: false, note: None }
    }

    /// Delivers everything that is due, and what becomes due by that. Returns the events, in the order in which they went out.
    pub(crate) async fn deliver(&mut self, now: DateTime<Utc>) -> Vec<EventId> {
        self.deliver_as(Came::Delivered, now).await
    }

    /// The same with another outcome, the same for all.
    pub(crate) async fn deliver_as(&mut self, came: Came, now: DateTime<Utc>) -> Vec<EventId> {
        let mut all = Vec::new();
        loop {
            let sent = self.pass(usize::MAX, now, |_| came).await;
            if sent.is_empty() {
                return all;
            }
            all.extend(sent.into_iter().map(|next| next.event.id));
        }
    }

    /// One pass, of at most so many events: what is due of the rows, and then the log. `came` says what came of each.
    pub(crate) async fn pass(
        &mut self,
        limit: usize,
        now: DateTime<Utc>,
        mut came: impl FnMut(&Next) -> Came,
    ) -> Vec<Next> {
        self.refresh(now).await;
        let mut sent = self.pass_rows(limit, now, &mut came).await;
        let left = limit - sent.len();
        if left > 0 {
            sent.extend(self.pass_log(left, now, &mut came).await);
        }
        sent
    }

    /// A row that is due, as it may go out.
    pub(crate) fn next_of(row: DueRow) -> Next {
        Next::of_row(row)
    }

    /// What the log has for the endpoint after its position; nothing is written.
    pub(crate) async fn look(&self) -> Vec<Next> {
        let slice = self.store.read_log(&self.endpoint, self.position.position, 100_000, BYTES).await.unwrap();
        slice.events.into_iter().map(|event| Next::of_log(event, self.order)).collect()
    }

    /// Takes note of what commands have changed.
    pub(crate) async fn refresh(&mut self, now: DateTime<Utc>) {
        let Self { endpoint, position, .. } = self;
        let refreshed = self.store.refresh(endpoint, position.epoch, position.position, None, now).await.unwrap();
        self.position = refreshed.expect("the lead was lost").position;
    }

    /// Rows that are due; of history at most what the others leave.
    async fn pass_rows(&mut self, limit: usize, now: DateTime<Utc>, came: &mut impl FnMut(&Next) -> Came) -> Vec<Next> {
        let due = self.store.due(&self.endpoint, 100_000, now).await.unwrap();
        let mut rows: Vec<Next> = due.rows.into_iter().map(Next::of_row).collect();
        rows.sort_by_key(|next| next.reason == Reason::Backfill);
        rows.truncate(limit);
        let items = rows.iter().map(|next| next.item(came(next), now)).collect();
        self.commit(items, self.position.position, now).await;
        rows
    }

    async fn pass_log(&mut self, limit: usize, now: DateTime<Utc>, came: &mut impl FnMut(&Next) -> Came) -> Vec<Next> {
        let limit = limit.min(100_000);
        let slice = self.store.read_log(&self.endpoint, self.position.position, limit, BYTES).await.unwrap();
        let mut lanes: Vec<String> = slice.events.iter().filter_map(|event| self.order.lane(&event.stream)).collect();
        lanes.sort();
        lanes.dedup();
        let blocked = self.store.blocked_lanes(&self.endpoint, &lanes, now).await.unwrap();
        let mut blocked: HashSet<String> = blocked.into_iter().collect();
        let superseded: HashSet<i64> = slice.superseded.iter().map(|(seq, _)| *seq).collect();
        let (mut sent, mut items) = (Vec::new(), Vec::new());
        for event in slice.events {
            let next = Next::of_log(event, self.order);
            if next.lane.as_ref().is_some_and(|lane| blocked.contains(lane)) {
                items.push(next.parked());
                continue;
            }
            if superseded.contains(&next.event.seq) {
                items.push(next.item(Came::Superseded, now));
                continue;
            }
            let item = next.item(came(&next), now);
            if !matches!(item.fate, Fate::Done | Fate::Dead) {
                blocked.extend(next.lane.clone());
            }
            items.push(item);
            sent.push(next);
        }
        if !items.is_empty() || slice.through > self.position.position {
            self.commit(items, slice.through, now).await;
        }
        sent
    }

    /// What is written about them, as far as the leader knows.
    pub(crate) fn group(&self, items: Vec<Item>, position: i64) -> GroupCommit {
        GroupCommit {
            endpoint: self.endpoint.clone(),
            epoch: self.position.epoch,
            revision: self.position.revision,
            commits: self.position.commits,
            position,
            items,
            note: None,
            asks_acks: self.asks_acks,
        }
    }

    /// Writes what came of them. No command may have come in between.
    pub(crate) async fn commit(&mut self, items: Vec<Item>, position: i64, now: DateTime<Utc>) {
        if items.is_empty() && position == self.position.position && self.note.is_none() {
            return;
        }
        let commit = GroupCommit { note: self.note.take(), ..self.group(items, position) };
        match self.store.commit_group(&commit, now).await.unwrap() {
            Written::Committed(Committed { revision, commits, dropped, .. }) => {
                assert!(dropped.is_empty(), "a command came in between");
                (self.position.revision, self.position.commits) = (revision, commits);
                self.position.position = position;
            }
            Written::Lost => panic!("the lead was lost"),
        }
    }
}

impl Next {
    fn of_row(row: DueRow) -> Self {
        let DueRow { event, reason, lane, tries, attempts, hold_until, known, .. } = row;
        Self { event, reason, attempts, lane, tries, hold_until, row: Some(known) }
    }

    fn of_log(event: LogEvent, order: Order) -> Self {
        let lane = order.lane(&event.stream);
        Self { event, reason: Reason::Live, attempts: 0, lane, tries: 0, hold_until: None, row: None }
    }

    fn parked(&self) -> Item {
        self.blank(Fate::Wait)
    }

    /// What is written if this came of it.
    pub(crate) fn item(&self, came: Came, now: DateTime<Utc>) -> Item {
        let (result, fate) = match came {
            Came::Delivered => (AttemptResult::Delivered, Fate::Done),
            Came::RetryAt(at) => (AttemptResult::Failed, Fate::RetryAt(at)),
            Came::Dead => (AttemptResult::Failed, Fate::Dead),
            Came::Answered(by) => (AttemptResult::Answered, Fate::AwaitAck { by }),
            Came::Sending(until) => return self.blank(Fate::Sending { until }),
            Came::Filtered => (AttemptResult::Filtered, Fate::Done),
            Came::Superseded => (AttemptResult::Superseded, Fate::Done),
        };
        let (status, error) = match result {
            AttemptResult::Delivered | AttemptResult::Answered => (Some(200), None),
            AttemptResult::Failed => (Some(500), Some("answered 500".to_owned())),
            AttemptResult::Filtered | AttemptResult::Superseded => (None, None),
        };
        let failed = matches!(fate, Fate::RetryAt(_));
        Item {
            tries: self.tries + 1,
            attempts: self.attempts + 1,
            attempt: Some(Attempted {
                started_at: now,
                duration: Duration::from_millis(12),
                status,
                error,
                response_body: None,
                result,
                counts: true,
            }),
            hold_until: if failed { Some(self.hold_until.unwrap_or(now + HOLD)) } else { self.hold_until },
            ..self.blank(fate)
        }
    }

    fn blank(&self, fate: Fate) -> Item {
        Item {
            seq: self.event.seq,
            event: self.event.id.clone(),
            lane: self.lane.clone(),
            reason: self.reason,
            row: self.row,
            tries: self.tries,
            attempts: self.attempts,
            attempt: None,
            amend: None,
            fate,
            hold_until: self.hold_until,
        }
    }
}
