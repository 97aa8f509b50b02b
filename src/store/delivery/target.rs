//! Loads the deliveries that a command acts on: events, each with its row at one endpoint, if it has one.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use lumo_bridge_entity::attempt::AttemptResult;
use lumo_bridge_entity::exception::{self, Reason, State as Row};
use lumo_bridge_entity::{attempt, endpoint, event, subscription};
use sea_orm::{ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use crate::model::delivery::{Reach, Recorded, State};
use crate::model::id::{EndpointName, EventId};
use crate::model::subscriber::Order;
use crate::store::Error;
use crate::store::db::statement::padded;

/// Deliveries in one transaction of a command: as many as fit into one statement.
pub(super) const BATCH: usize = 300;

/// Whether the events are locked until the transaction ends, so that retention cannot remove them. Giving
/// an old event a row needs that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Events {
    Locked,
    Read,
}

/// An event at an endpoint.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) event: EventId,
    pub(super) seq: i64,
    /// The name of its type.
    pub(super) kind: String,
    pub(super) row: Option<exception::Model>,
    pub(super) recorded: Recorded,
    stream: String,
    /// Attempts ever made.
    attempts: i32,
}

/// The endpoint's rows, locked by its turnstile.
pub(super) struct LockedEndpoint {
    pub(super) endpoint: endpoint::Model,
    pub(super) position: i64,
    pub(super) revision: i64,
}

impl LockedEndpoint {
    pub(super) fn reach(&self) -> Reach {
        Reach::of(self.endpoint.state, self.endpoint.removed_at.is_some())
    }
}

impl Target {
    /// The state that is shown; none if the endpoint was never to receive the event.
    pub(super) fn state(&self) -> Option<State> {
        self.recorded.state()
    }

    /// Whether it is in flight or will be sent.
    pub(super) fn is_under_way(&self) -> bool {
        self.state().is_some_and(|state| !state.is_final())
    }

    /// A row that begins anew, with its whole retry schedule. In a lane, the leader sets its due time from the row
    /// before it.
    pub(super) fn anew(&self, place: &LockedEndpoint, reason: Reason, now: DateTime<Utc>) -> exception::ActiveModel {
        // If a newer version wrote an unknown order, the strictest one is used.
        let order = Order::from_name(&place.endpoint.ordering).unwrap_or(Order::Endpoint);
        let lane = order.lane(&self.stream);
        let due = if lane.is_none() { Some(now) } else { None };
        exception::ActiveModel {
            state: Set(Row::Waiting),
            lane: Set(lane),
            next_attempt_at: Set(due),
            ended_at: Set(None),
            ..self.blank(place, reason, now)
        }
    }

    /// A row that is skipped before anything was sent.
    pub(super) fn skipped(&self, place: &LockedEndpoint, why: &str, now: DateTime<Utc>) -> exception::ActiveModel {
        exception::ActiveModel { last_error: Set(Some(why.to_owned())), ..self.blank(place, Reason::Live, now) }
    }

    fn blank(&self, place: &LockedEndpoint, reason: Reason, now: DateTime<Utc>) -> exception::ActiveModel {
        exception::ActiveModel {
            endpoint: Set(place.endpoint.name.clone()),
            seq: Set(self.seq),
            event_id: Set(self.event.clone()),
            state: Set(Row::Skipped),
            reason: Set(reason),
            lane: Set(None),
            tries: Set(0),
            attempts: Set(self.attempts),
            next_attempt_at: Set(None),
            hold_until: Set(None),
            ack_by: Set(None),
            epoch: Set(None),
            touched: Set(place.revision),
            last_status: Set(None),
            last_error: Set(None),
            created_at: Set(now),
            ended_at: Set(Some(now)),
        }
    }
}

/// The events among these that are stored, in the order of the log; at most [`BATCH`].
pub(super) async fn targets<C: ConnectionTrait>(
    connection: &C,
    events: Events,
    place: &LockedEndpoint,
    ids: &[EventId],
) -> Result<Vec<Target>, Error> {
    let query = event::Entity::find()
        .select_only()
        .columns([event::Column::Id, event::Column::Seq, event::Column::Kind, event::Column::Stream])
        .column(event::Column::Audience)
        .filter(event::Column::Id.is_in(padded(ids.iter().cloned())))
        // Locking in one order prevents deadlocks.
        .order_by_asc(event::Column::Id);
    let query = if events == Events::Locked { query.lock_exclusive() } else { query };
    let stored: Vec<(EventId, i64, String, String, Option<String>)> = query.into_tuple().all(connection).await?;
    let seqs: Vec<i64> = stored.iter().map(|(_, seq, ..)| *seq).collect();
    if seqs.is_empty() {
        return Ok(Vec::new());
    }
    let name = &place.endpoint.name;
    let mut rows = rows(connection, name, &seqs).await?;
    let ranges = subscription::Entity::find().filter(subscription::Column::Endpoint.eq(name.clone()));
    let ranges = ranges.all(connection).await?;
    let attempts = attempts(connection, name, &seqs).await?;
    let target = |(event, seq, kind, stream, audience): (EventId, i64, String, String, Option<String>)| {
        let row = rows.remove(&seq);
        let (made, result) = attempts.get(&seq).copied().unwrap_or_default();
        let is_for_it =
            audience.is_none_or(|audience| audience != "nobody" && audience.get(1..) != Some(name.as_str()));
        let holds = |range: &&subscription::Model| {
            range.kind == kind && range.from_seq <= seq && range.through_seq.is_none_or(|through| through >= seq)
        };
        let recorded = Recorded {
            row: row.as_ref().map(|row| row.state),
            range: ranges.iter().find(holds).filter(|_| is_for_it).map(|range| range.state),
            is_passed: seq <= place.position,
            result,
            reach: place.reach(),
        };
        let attempts = made.max(row.as_ref().map_or(0, |row| row.attempts));
        Target { event, seq, kind, row, recorded, stream, attempts }
    };
    let mut targets: Vec<Target> = stored.into_iter().map(target).collect();
    targets.sort_by_key(|target| target.seq);
    Ok(targets)
}

async fn rows<C: ConnectionTrait>(
    connection: &C,
    endpoint: &EndpointName,
    seqs: &[i64],
) -> Result<HashMap<i64, exception::Model>, Error> {
    let rows = exception::Entity::find()
        .filter(exception::Column::Endpoint.eq(endpoint.clone()))
        .filter(exception::Column::Seq.is_in(padded(seqs.iter().copied())))
        .all(connection)
        .await?;
    Ok(rows.into_iter().map(|row| (row.seq, row)).collect())
}

/// For each event, the number of attempts, and the result of the last one that ended the delivery.
async fn attempts<C: ConnectionTrait>(
    connection: &C,
    endpoint: &EndpointName,
    seqs: &[i64],
) -> Result<HashMap<i64, (i32, Option<AttemptResult>)>, Error> {
    let made: Vec<(i64, i32, AttemptResult)> = attempt::Entity::find()
        .select_only()
        .columns([attempt::Column::Seq, attempt::Column::Attempt, attempt::Column::Result])
        .filter(attempt::Column::Endpoint.eq(endpoint.clone()))
        .filter(attempt::Column::Seq.is_in(padded(seqs.iter().copied())))
        .order_by_asc(attempt::Column::Seq)
        .order_by_asc(attempt::Column::Attempt)
        .into_tuple()
        .all(connection)
        .await?;
    let mut attempts: HashMap<i64, (i32, Option<AttemptResult>)> = HashMap::new();
    for (seq, attempt, result) in made {
        let (last, end) = attempts.entry(seq).or_default();
        *last = attempt;
        if matches!(result, AttemptResult::Delivered | AttemptResult::Filtered | AttemptResult::Superseded) {
            *end = Some(result);
        }
    }
    Ok(attempts)
}
