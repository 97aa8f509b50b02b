//! Removes old events with their ended deliveries, old attempts, and ranges without events, batch by batch: retention.
//!
//! An event is removed when it is old and nothing needs it: every endpoint has received it or given it up, and it has
//! neither a row of `lumo_exceptions` nor an attempt. Ended rows, and records of events that were not sent, say why an
//! event was not delivered. So they are removed in the same transaction as their event, never before it. Attempts that
//! were made are removed by their own age.
//!
//! Events of types that can happen only once ([`EventType::happens_once`]) are never removed. Their id is derived from
//! the fact, and the key refuses a second one. When a table is emptied and read again, every wallet and deposit is
//! found anew and must yield the event that it was before. The id of any other event contains the row's version or the
//! time, so it is never made again. `seq` and `stream_seq` continue from `lumo_streams`, which is never reset.
//!
//! Each batch is a transaction of its own and locks neither the log nor a turnstile, so publishing and delivering do
//! not wait for it. A transaction that gives an old event a row locks the event first. Retention locks it too, and then
//! checks again.

mod attempts;
mod need;

use chrono::{DateTime, Utc};
use lumo_bridge_entity::{event, stream, subscription};
use sea_orm::sea_query::{Condition, Expr, ExprTrait};
use sea_orm::{ColumnTrait, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect};

use crate::model::event::EventType;
use crate::model::id::EventId;
use crate::store::{Error, Store};

pub use attempts::AttemptWalk;

/// Events in one batch.
const BATCH: u64 = 500;
/// Numbers of the log that one query searches for events that can be removed.
const WINDOW: i64 = 20_000;

/// Rows older than these times are removed; none keeps everything.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cutoffs {
    /// For events, by when they were noticed; for skipped and replayed deliveries, by when they ended.
    pub events: Option<DateTime<Utc>>,
    /// For dead deliveries, by when they died.
    pub dead: Option<DateTime<Utc>>,
    /// For attempts that were made.
    pub attempts: Option<DateTime<Utc>>,
}

impl Cutoffs {
    /// For actions of operators: kept as long as the deliveries that they may be about.
    #[must_use]
    pub fn actions(&self) -> Option<DateTime<Utc>> {
        self.events.zip(self.dead).map(|(events, dead)| Ord::min(events, dead))
    }
}

/// How many rows were removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    pub events: u64,
    /// Dead, skipped and replayed ones.
    pub deliveries: u64,
    pub attempts: u64,
    pub ranges: u64,
    /// Actions of operators.
    pub actions: u64,
}

impl std::ops::AddAssign for Pruned {
    fn add_assign(&mut self, other: Self) {
        self.events += other.events;
        self.deliveries += other.deliveries;
        self.attempts += other.attempts;
        self.ranges += other.ranges;
        self.actions += other.actions;
    }
}

/// The progress of a pass over the events.
#[derive(Debug)]
pub struct EventWalk {
    /// The last number that was checked.
    after: i64,
    /// The first event that is too young.
    before: i64,
    /// The first event that could be removed and is still needed.
    kept: Option<i64>,
}

impl EventWalk {
    /// Below this number no event is left that could ever be removed: a later pass may begin there.
    #[must_use]
    pub fn floor(&self) -> i64 {
        self.kept.unwrap_or(self.after + 1)
    }

    fn keep(&mut self, seq: i64) {
        self.kept = Some(self.kept.map_or(seq, |kept| Ord::min(kept, seq)));
    }
}

/// An event of a type that can be removed.
#[derive(Clone, Debug, FromQueryResult)]
struct Candidate {
    seq: i64,
    id: EventId,
    kind: String,
    audience: Option<String>,
    detected_at: DateTime<Utc>,
}

impl Store {
    /// Begins a pass over the events from this number on that were noticed before this time.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn walk_events(&self, from: i64, before: DateTime<Utc>) -> Result<EventWalk, Error> {
        let before = self.first_event_since(before, from).await?;
        Ok(EventWalk { after: from - 1, before, kept: None })
    }

    /// Removes those of the next few hundred events that are old and not needed; none at the end of the pass.
    ///
    /// # Errors
    /// If the database fails; nothing of the batch is removed then.
    pub async fn forget_events(&self, walk: &mut EventWalk, cutoffs: &Cutoffs) -> Result<Option<Pruned>, Error> {
        let through = Ord::min(walk.before - 1, walk.after.saturating_add(WINDOW));
        if through <= walk.after {
            return Ok(None);
        }
        let candidates: Vec<Candidate> = candidates()
            .filter(event::Column::Seq.gt(walk.after))
            .filter(event::Column::Seq.lte(through))
            .order_by_asc(event::Column::Seq)
            .limit(BATCH)
            .into_model()
            .all(self.read())
            .await?;
        let is_full = u64::try_from(candidates.len()).is_ok_and(|length| length >= BATCH);
        let end = candidates.last().filter(|_| is_full).map_or(through, |event| event.seq);
        let seqs: Vec<i64> = candidates.iter().map(|event| event.seq).collect();
        let unneeded = need::unneeded(self.read(), candidates, cutoffs).await?;
        let unneeded: Vec<i64> = unneeded.events.iter().map(|event| event.seq).collect();
        let (mut pruned, mut removed) = (Pruned::default(), Vec::new());
        if !unneeded.is_empty() {
            let seqs = &unneeded;
            let work = self.tx("retention.events", |tx| async move { tx.forget_events(seqs, cutoffs).await });
            (pruned, removed) = work.await?;
        }
        if let Some(kept) = seqs.into_iter().find(|seq| !removed.contains(seq)) {
            walk.keep(kept);
        }
        walk.after = end;
        Ok(Some(pruned))
    }

    /// Removes the ranges that contain no event any more. `floor` is that of a pass over the events.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn forget_ranges(&self, floor: i64) -> Result<Pruned, Error> {
        let first = event::Entity::find().select_only().column(event::Column::Seq).order_by_asc(event::Column::Seq);
        let first: Option<i64> = first.limit(1).into_tuple().one(self.read()).await?;
        // A range that ended never gets another event.
        let first = first.unwrap_or(i64::MAX);
        let through = || Expr::col(subscription::Column::ThroughSeq);
        let of_removed = Condition::all()
            .add(through().lt(floor))
            .add(subscription::Column::Kind.is_in(removable().map(EventType::as_str)));
        let empty = Condition::any().add(through().lt(first)).add(of_removed);
        let found = subscription::Entity::find().filter(empty.clone()).one(self.read()).await?;
        if found.is_none() {
            return Ok(Pruned::default());
        }
        let empty = &empty;
        let gone = self.tx("retention.ranges", |tx| async move {
            Ok(subscription::Entity::delete_many().filter(empty.clone()).exec(tx.session()).await?)
        });
        Ok(Pruned { ranges: gone.await?.rows_affected, ..Pruned::default() })
    }

    /// The number, not below `from`, that separates events noticed before this time from those noticed at this time or
    /// later. Found by bisection, because the log is in order of time.
    pub(in crate::store) async fn first_event_since(&self, time: DateTime<Utc>, from: i64) -> Result<i64, Error> {
        let (mut low, mut high) = (from, self.last_number(stream::ALL).await?.saturating_add(1));
        while low < high {
            let middle = low + (high - low) / 2;
            let query = event::Entity::find().select_only().column(event::Column::DetectedAt);
            let query = query.filter(event::Column::Seq.gte(middle)).order_by_asc(event::Column::Seq);
            let detected: Option<DateTime<Utc>> = query.limit(1).into_tuple().one(self.read()).await?;
            if detected.is_some_and(|detected| detected < time) { low = middle + 1 } else { high = middle }
        }
        Ok(low)
    }
}

/// Events that can be removed, without their bodies.
fn candidates() -> sea_orm::Select<event::Entity> {
    event::Entity::find()
        .select_only()
        .columns([event::Column::Seq, event::Column::Id, event::Column::Audience, event::Column::DetectedAt])
        .column_as(event::Column::Kind, "kind")
        .filter(event::Column::Kind.is_in(removable().map(EventType::as_str)))
}

/// The types that can be removed: their facts cannot be noticed again. A type that this program does not know is kept.
fn removable() -> impl Iterator<Item = EventType> {
    EventType::ALL.iter().copied().filter(|kind| !kind.happens_once())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_knows_below_which_number_nothing_is_left() {
        let mut walk = EventWalk { after: 0, before: 100, kept: None };
        assert_eq!(walk.floor(), 1);
        walk.after = 50;
        assert_eq!(walk.floor(), 51);
        walk.keep(40);
        walk.keep(45);
        walk.after = 99;
        assert_eq!(walk.floor(), 40);
    }
}
