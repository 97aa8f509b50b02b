//! Queues for a new endpoint the history that the mirror and the log already contain: a backfill.
//!
//! Each wallet and each deposit is one event: the one that announced it. A blocked wallet is a second one: the one that
//! announced the block. First come the stored events, in the order of the log. Then come the rows of the mirror, in the
//! order of their creation. Rows that were stored without an event get one now, appended to the log with no audience,
//! under the id that it would have had. So the numbers of a stream are in order, too. Rows that are no longer listed
//! are left out.
//!
//! Each transaction handles a few hundred events or rows, and stores its progress. It queues rows of `lumo_exceptions`
//! with the reason `backfill`, which the leader sends after everything else. The next ones are queued when most of the
//! last ones are finished, so there are never many.
//!
//! Events that the endpoint has already are left out: those in a range that its position passes or has passed, and
//! those with a row.

mod source;

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use lumo_bridge_entity::exception::{self, Reason, State};
use lumo_bridge_entity::{endpoint, event, progress, subscription};
use sea_orm::sea_query::Expr;
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect};
use serde::{Deserialize, Serialize};

use super::Delivery;
use crate::model::Listing;
use crate::model::event::EventType;
use crate::model::id::{EndpointName, EventId};
use crate::model::subscriber::{Order, Subscriber};
use crate::store::db::statement::padded;
use crate::store::mirror::insert_rows;
use crate::store::{Error, Store};
use source::Source;

pub use source::history_types;

/// Rows in one transaction.
const BATCH: u64 = 300;
/// The next rows are queued when at most this many of the last ones are unfinished.
const UNDER_WAY: u64 = 50;

const UNFINISHED: [State; 4] = [State::Waiting, State::Retrying, State::Sending, State::AwaitingAck];

/// The result of a step of an endpoint's backfill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backfilled {
    /// All of the history is queued, or none was requested.
    Done,
    /// The first import is under way, or the endpoint is not active, or too many of the last rows are unfinished.
    Waits,
    /// This many rows were queued.
    Queued(u64),
}

/// The last row that was read, by time of creation and id.
type Mark = (DateTime<Utc>, String);

/// The progress of a backfill.
#[derive(Debug, Default, Serialize, Deserialize)]
struct BackfillPlace {
    /// The number of the last stored event that was read; after all of them, the greatest number there is.
    seq: i64,
    wallets: Option<Mark>,
    deposits: Option<Mark>,
    /// The last deposit without a time of creation; these come last.
    undated: Option<String>,
    /// The first and the last number of the events queued last.
    queued: Option<(i64, i64)>,
}

/// A stored event of the history.
#[derive(Clone, Debug)]
struct Past {
    seq: i64,
    id: EventId,
    kind: EventType,
    stream: String,
    /// Whether it was published when it happened, to the endpoints that wanted its type.
    was_published: bool,
}

/// The time of creation up to which the endpoint's history is queued; none before it has begun.
#[must_use]
pub fn reached(row: &endpoint::Model) -> Option<DateTime<Utc>> {
    let BackfillPlace { wallets, deposits, .. } = place(row.backfill_place.as_deref());
    wallets.into_iter().chain(deposits).map(|(at, _)| at).max()
}

/// Reads stored progress. If it cannot be read, the backfill begins anew, and leaves out what the endpoint has.
fn place(text: Option<&str>) -> BackfillPlace {
    text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

impl Store {
    /// Queues the next few hundred rows of the history that an endpoint requested when it was new.
    ///
    /// # Errors
    /// If the database fails; nothing is queued then, and the next call goes on where this one began.
    pub async fn backfill(&self, subscriber: &Subscriber, now: DateTime<Utc>) -> Result<Backfilled, Error> {
        let name = &subscriber.endpoint;
        let Some(row) = self.endpoint(name).await? else { return Ok(Backfilled::Waits) };
        let Some(since) = row.backfill_since.filter(|_| row.backfill_done_at.is_none()) else {
            return Ok(Backfilled::Done);
        };
        let is_active = row.state == endpoint::State::Active && row.removed_at.is_none();
        if !is_active || !self.has_imported().await? || self.has_enough(&row).await? {
            return Ok(Backfilled::Waits);
        }
        let before = row.backfill_place.as_deref();
        let generation = self.generation().await?;
        self.tx("endpoint.backfill", |tx| async move {
            let last = tx.log().lock().await?;
            // The progress changes only under the lock of the log.
            let row = endpoint::Entity::find_by_id(name.clone()).one(tx.session()).await?;
            let is_unmoved =
                |row: &endpoint::Model| row.backfill_place.as_deref() == before && row.backfill_done_at.is_none();
            let Some(row) = row.filter(is_unmoved) else {
                // Another process was faster.
                return Ok(Backfilled::Waits);
            };
            let source = Source { tx: &tx, subscriber, since, generation, now };
            tx.delivery().backfill(&source, &row, last).await
        })
        .await
    }

    /// Whether the first imports of wallets and deposits are complete.
    async fn has_imported(&self) -> Result<bool, Error> {
        let listings = [Listing::Wallets, Listing::Deposits].map(Listing::as_str);
        let done = progress::Entity::find()
            .filter(progress::Column::Listing.is_in(listings))
            .filter(progress::Column::ImportDoneAt.is_not_null());
        Ok(done.count(self.read()).await? == 2)
    }

    /// Whether too many of the rows queued last are unfinished.
    async fn has_enough(&self, row: &endpoint::Model) -> Result<bool, Error> {
        let Some((first, last)) = place(row.backfill_place.as_deref()).queued else { return Ok(false) };
        let unfinished = exception::Entity::find()
            .filter(exception::Column::Endpoint.eq(row.name.clone()))
            .filter(exception::Column::Seq.between(first, last))
            .filter(exception::Column::State.is_in(UNFINISHED))
            .filter(exception::Column::Reason.eq(Reason::Backfill));
        Ok(unfinished.count(self.read()).await? > UNDER_WAY)
    }
}

impl Delivery<'_> {
    /// Queues the next part of the history, after the progress in the row. `last` is the end of the log, which is
    /// locked.
    async fn backfill(&self, source: &Source<'_>, row: &endpoint::Model, last: i64) -> Result<Backfilled, Error> {
        let mut place = place(row.backfill_place.as_deref());
        let mut history = source.stored(&mut place, last).await?;
        if history.is_none() {
            history = source.of_rows(&mut place).await?;
        }
        let Some(history) = history else {
            self.note_place(&row.name, &place, Some(source.now)).await?;
            return Ok(Backfilled::Done);
        };
        let queued = self.queue_history(history, row, source.now).await?;
        if let (Some(first), Some(last)) = (queued.iter().min(), queued.iter().max()) {
            place.queued = Some((*first, *last));
        }
        self.note_place(&row.name, &place, None).await?;
        Ok(Backfilled::Queued(u64::try_from(queued.len()).unwrap_or(u64::MAX)))
    }

    /// Adds rows for the events that the endpoint does not have. Returns their numbers.
    async fn queue_history(
        &self,
        mut history: Vec<Past>,
        row: &endpoint::Model,
        now: DateTime<Utc>,
    ) -> Result<Vec<i64>, Error> {
        self.leave_out_what_it_has(&mut history, &row.name).await?;
        if history.is_empty() {
            return Ok(Vec::new());
        }
        let Some(position) = self.turnstile(&row.name).await? else { return Ok(Vec::new()) };
        // If a newer version wrote an unknown order, the strictest one is used.
        let order = Order::from_name(&row.ordering).unwrap_or(Order::Endpoint);
        let stored = self.lock_events(&history).await?;
        history.retain(|event| stored.contains(&event.seq));
        // Checked again: a replay may have added rows meanwhile.
        self.leave_out_what_it_has(&mut history, &row.name).await?;
        let seqs = history.iter().map(|event| event.seq).collect();
        let row_of = |event: Past| {
            let lane = order.lane(&event.stream);
            exception::ActiveModel {
                endpoint: Set(row.name.clone()),
                seq: Set(event.seq),
                event_id: Set(event.id),
                state: Set(State::Waiting),
                reason: Set(Reason::Backfill),
                tries: Set(0),
                attempts: Set(0),
                // In a lane, the leader sets its due time from the row before it.
                next_attempt_at: Set(if lane.is_none() { Some(now) } else { None }),
                lane: Set(lane),
                hold_until: Set(None),
                ack_by: Set(None),
                epoch: Set(None),
                touched: Set(position.revision),
                last_status: Set(None),
                last_error: Set(None),
                created_at: Set(now),
                ended_at: Set(None),
            }
        };
        insert_rows(self.tx.session(), history.into_iter().map(row_of).collect()).await?;
        Ok(seqs)
    }

    /// Locks the events, and returns those that are still stored. Retention cannot remove them until the transaction
    /// ends.
    async fn lock_events(&self, history: &[Past]) -> Result<HashSet<i64>, Error> {
        let stored: Vec<i64> = event::Entity::find()
            .select_only()
            .column(event::Column::Seq)
            .filter(event::Column::Seq.is_in(padded(history.iter().map(|event| event.seq))))
            // Locking in one order prevents deadlocks.
            .order_by_asc(event::Column::Id)
            .lock_exclusive()
            .into_tuple()
            .all(self.tx.session())
            .await?;
        Ok(stored.into_iter().collect())
    }

    /// Removes the events that have a row of the endpoint, or are in a range of it.
    async fn leave_out_what_it_has(&self, history: &mut Vec<Past>, name: &EndpointName) -> Result<(), Error> {
        if history.is_empty() {
            return Ok(());
        }
        let with_row: Vec<i64> = exception::Entity::find()
            .select_only()
            .column(exception::Column::Seq)
            .filter(exception::Column::Endpoint.eq(name.clone()))
            .filter(exception::Column::Seq.is_in(padded(history.iter().map(|event| event.seq))))
            .into_tuple()
            .all(self.tx.session())
            .await?;
        let with_row: HashSet<i64> = with_row.into_iter().collect();
        let ranges = subscription::Entity::find().filter(subscription::Column::Endpoint.eq(name.clone()));
        let ranges = ranges.all(self.tx.session()).await?;
        let is_held = |event: &Past| event.was_published && ranges.iter().any(|range| holds(range, event));
        history.retain(|event| !with_row.contains(&event.seq) && !is_held(event));
        Ok(())
    }

    async fn note_place(
        &self,
        name: &EndpointName,
        place: &BackfillPlace,
        done_at: Option<DateTime<Utc>>,
    ) -> Result<(), Error> {
        endpoint::Entity::update_many()
            .col_expr(endpoint::Column::BackfillPlace, Expr::value(serde_json::to_string(place)?))
            .col_expr(endpoint::Column::BackfillDoneAt, Expr::value(done_at))
            .filter(endpoint::Column::Name.eq(name.clone()))
            .exec(self.tx.session())
            .await?;
        Ok(())
    }
}

/// Whether the event is in the range, wanted or given up.
fn holds(range: &subscription::Model, event: &Past) -> bool {
    range.kind == event.kind.as_str()
        && range.from_seq <= event.seq
        && range.through_seq.is_none_or(|through| through >= event.seq)
}
