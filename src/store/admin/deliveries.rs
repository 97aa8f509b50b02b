//! Lists deliveries, and shows single ones with their attempts.
//!
//! A delivery has no table of its own. It is an event after an endpoint's position, a row of `lumo_exceptions`, an
//! event in a range that was given up, or an event that the position has passed. The requested state decides which of
//! these are read, so a few waiting deliveries are found at once beside a million delivered ones. The views are not
//! read.

mod behind;
mod parts;
mod scope;
mod select;

use std::collections::{BTreeSet, HashSet};

use chrono::{DateTime, Utc};
use lumo_bridge_entity::attempt;
use lumo_bridge_entity::exception::Reason;
use sea_orm::{ColumnTrait, EntityTrait, FromQueryResult, QueryFilter, QueryOrder};

use crate::model::delivery::{Recorded, State};
use crate::model::id::{DeliveryId, EndpointName, EventId, ExternalId};
use crate::store::db::statement::padded;
use crate::store::{Error, Store};

use parts::Asked;
use select::{Found, SeqBounds};

pub use scope::Addressee;
pub(super) use scope::Scope;
pub(super) use select::held;

/// Which deliveries to list: by event, newest first, and for one event by endpoint.
#[derive(Clone, Debug, Default)]
pub struct DeliveryFilter {
    pub state: Option<State>,
    /// Only undelivered ones, including dead ones, without skipped ones.
    pub undelivered: bool,
    /// Only unfinished ones: the same that an endpoint's count of waiting deliveries includes.
    pub waiting: bool,
    pub endpoint: Option<EndpointName>,
    /// Only of events of this type.
    pub kind: Option<String>,
    pub external_id: Option<ExternalId>,
    /// Only of events about this wallet, deposit or endpoint.
    pub object_id: Option<String>,
    pub event: Option<EventId>,
    /// Only of events that were noticed at this time or later.
    pub since: Option<DateTime<Utc>>,
    /// Only of events that were noticed before this time.
    pub until: Option<DateTime<Utc>>,
    /// Only those after this one in the list: an event's number, and an endpoint.
    pub before: Option<(i64, EndpointName)>,
    pub limit: u64,
}

/// A delivery.
#[derive(Clone, Debug, PartialEq)]
pub struct DeliveryRow {
    pub id: DeliveryId,
    pub seq: i64,
    pub kind: String,
    pub stream: String,
    pub external_id: Option<ExternalId>,
    pub state: State,
    pub reason: Reason,
    /// Attempts ever made.
    pub attempts: i32,
    /// Attempts since the retry schedule of the delivery last started from its beginning.
    pub tries: i32,
    /// For one in flight: when it is sent again if its result stays unknown.
    pub next_attempt_at: Option<DateTime<Utc>>,
    /// Until when it holds its lane after its failure.
    pub hold_until: Option<DateTime<Utc>>,
    pub ack_by: Option<DateTime<Utc>>,
    pub delivered_at: Option<DateTime<Utc>>,
    pub last_status: Option<i32>,
    pub last_error: Option<String>,
    /// When the event was noticed; for a replay or a backfill, when it was queued.
    pub since: DateTime<Utc>,
    /// The event whose delivery holds this one back in its lane.
    pub is_behind: Option<EventId>,
    pub to: Addressee,
}

impl Store {
    /// # Errors
    /// If the database fails.
    pub async fn list_deliveries(&self, filter: &DeliveryFilter) -> Result<Vec<DeliveryRow>, Error> {
        let times = self.times(filter).await?;
        let limit = usize::try_from(filter.limit).unwrap_or(usize::MAX);
        let mut all: Vec<(DeliveryRow, Option<String>)> = Vec::new();
        let scopes = self.scopes(filter.endpoint.as_ref()).await?;
        for scope in &scopes {
            let bounds = SeqBounds { newest: times.newest.min(newest(filter, scope)), ..times };
            let found = self.found(scope, filter, &bounds).await?;
            all.extend(found.into_iter().filter_map(|found| row(scope, found)));
        }
        all.sort_by(|(a, _), (b, _)| b.seq.cmp(&a.seq).then_with(|| a.id.endpoint.cmp(&b.id.endpoint)));
        all.truncate(limit);
        self.note_who_goes_first(all).await
    }

    /// The numbers of the newest events that have a delivery which the filter takes, whatever its endpoint; the newest
    /// first. With `before`, only smaller ones.
    pub(super) async fn seqs_of_deliveries(
        &self,
        filter: &DeliveryFilter,
        before: Option<i64>,
    ) -> Result<Vec<i64>, Error> {
        let times = self.times(filter).await?;
        let newest = before.map_or(times.newest, |seq| times.newest.min(seq.saturating_sub(1)));
        let mut seqs = BTreeSet::new();
        for scope in &self.scopes(filter.endpoint.as_ref()).await? {
            let found = self.found(scope, filter, &SeqBounds { newest, ..times }).await?;
            seqs.extend(found.into_iter().filter_map(|found| row(scope, found)).map(|(row, _)| row.seq));
        }
        let limit = usize::try_from(filter.limit).unwrap_or(usize::MAX);
        Ok(seqs.into_iter().rev().take(limit).collect())
    }

    /// The range of event numbers that the times of a filter allow.
    async fn times(&self, filter: &DeliveryFilter) -> Result<SeqBounds, Error> {
        let oldest = match filter.since {
            Some(since) => self.seq_about(since).await?,
            None => 0,
        };
        let newest = match filter.until {
            Some(until) => self.last_seq_about(until).await?,
            None => i64::MAX,
        };
        Ok(SeqBounds { oldest, newest })
    }

    /// One delivery; none if the endpoint was never to receive the event.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn delivery(&self, id: &DeliveryId) -> Result<Option<DeliveryRow>, Error> {
        let filter = DeliveryFilter {
            endpoint: Some(id.endpoint.clone()),
            event: Some(id.event.clone()),
            limit: 1,
            ..DeliveryFilter::default()
        };
        Ok(self.list_deliveries(&filter).await?.pop())
    }

    /// The attempts of one delivery, the oldest first.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn attempts(&self, delivery: &DeliveryRow) -> Result<Vec<attempt::Model>, Error> {
        let query = attempt::Entity::find()
            .filter(attempt::Column::Endpoint.eq(delivery.id.endpoint.clone()))
            .filter(attempt::Column::Seq.eq(delivery.seq));
        Ok(query.order_by_asc(attempt::Column::Attempt).all(self.read()).await?)
    }

    /// The attempts of an event's deliveries, at most 500 of them; the oldest first for each.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn attempts_of(&self, seq: i64, endpoints: &[EndpointName]) -> Result<Vec<attempt::Model>, Error> {
        if endpoints.is_empty() {
            return Ok(Vec::new());
        }
        let query = attempt::Entity::find()
            .filter(attempt::Column::Endpoint.is_in(padded(endpoints.iter().cloned())))
            .filter(attempt::Column::Seq.eq(seq));
        let query = query.order_by_asc(attempt::Column::Endpoint).order_by_asc(attempt::Column::Attempt);
        Ok(query.all(self.read()).await?)
    }

    /// The newest of an endpoint's deliveries that match the filter, from each place where they may be.
    async fn found(&self, scope: &Scope, filter: &DeliveryFilter, bounds: &SeqBounds) -> Result<Vec<Found>, Error> {
        let asked = Asked::of(filter);
        // A row that is removed meanwhile hid its event from the log, and is not among the rows any more. In a long
        // list nobody notices that. Where one event is shown, its delivery would vanish for a moment.
        let earlier = match filter.event {
            Some(_) => self.found_rows(scope, filter, bounds, &asked).await?,
            None => Vec::new(),
        };
        let mut found: Vec<Found> = Vec::new();
        // The log is read before the rows, so an event that gets a row meanwhile is found twice rather than not at all.
        for part in asked.log(scope.to.reach()) {
            if let Some(sql) = select::log(self.backend(), scope, part, filter, bounds) {
                found.extend(Found::find_by_statement(sql.statement()).all(self.read()).await?);
            }
        }
        let rows = self.found_rows(scope, filter, bounds, &asked).await?;
        let with_row: HashSet<i64> = rows.iter().map(|row| row.seq).collect();
        found.retain(|event| !with_row.contains(&event.seq));
        found.extend(rows);
        let seen: HashSet<i64> = found.iter().map(|found| found.seq).collect();
        found.extend(earlier.into_iter().filter(|row| !seen.contains(&row.seq)));
        Ok(found)
    }

    /// The newest rows that match the filter.
    async fn found_rows(
        &self,
        scope: &Scope,
        filter: &DeliveryFilter,
        bounds: &SeqBounds,
        asked: &Asked<'_>,
    ) -> Result<Vec<Found>, Error> {
        let mut found: Vec<Found> = Vec::new();
        for states in asked.rows(scope.to.reach()) {
            let sql = select::rows(self.backend(), scope, &states, filter, bounds);
            let rows = Found::find_by_statement(sql.statement()).all(self.read()).await?;
            // Its state may have changed between two statements.
            found.retain(|earlier| rows.iter().all(|row| row.seq != earlier.seq));
            found.extend(rows);
        }
        Ok(found)
    }
}

/// The last event whose delivery to the endpoint may be listed.
fn newest(filter: &DeliveryFilter, scope: &Scope) -> i64 {
    match &filter.before {
        None => i64::MAX,
        Some((seq, endpoint)) if scope.name > *endpoint => *seq,
        Some((seq, _)) => seq.saturating_sub(1),
    }
}

/// The delivery and the lane in which it waits; none if the event is no delivery of this endpoint.
fn row(scope: &Scope, found: Found) -> Option<(DeliveryRow, Option<String>)> {
    let range = scope.range(found.seq, &found.kind, found.audience.as_deref());
    let recorded = Recorded {
        row: found.row_state,
        range: range.map(|range| range.state),
        is_passed: found.seq <= scope.position,
        result: found.result,
        reach: scope.to.reach(),
    };
    let state = recorded.state()?;
    let delivered_at = found.started_at.filter(|_| state == State::Delivered && found.was_delivered());
    let lane = match found.row_state {
        Some(_) => found.lane,
        None if state.is_final() => None,
        None => scope.to.order.and_then(|order| order.lane(&found.stream)),
    };
    let reason = found.row_reason.or(found.attempt_reason).unwrap_or(Reason::Live);
    let row = DeliveryRow {
        id: DeliveryId { event: found.event_id, endpoint: scope.name.clone() },
        seq: found.seq,
        kind: found.kind,
        stream: found.stream,
        external_id: found.external_id,
        state,
        reason,
        attempts: found.attempts.or(found.attempt).unwrap_or(0),
        tries: found.tries.unwrap_or(0),
        next_attempt_at: found.next_attempt_at,
        hold_until: found.hold_until,
        ack_by: found.ack_by,
        delivered_at,
        last_status: found.last_status.or(found.status),
        last_error: found.last_error.or_else(|| range.and_then(|range| range.reason.clone())),
        since: found.created_at.filter(|_| reason != Reason::Live).unwrap_or(found.detected_at),
        is_behind: None,
        to: scope.to.clone(),
    };
    Some((row, lane))
}
