//! Builds the statements that find deliveries.
//!
//! Raw SQL, because the query builder cannot join a table twice in readable form.

use chrono::{DateTime, Utc};
use lumo_bridge_entity::attempt::AttemptResult;
use lumo_bridge_entity::exception::{self, Reason, State as Row};
use lumo_bridge_entity::subscription;
use sea_orm::{DbBackend, FromQueryResult, Value};

use super::DeliveryFilter;
use super::parts::{Part, Passed};
use super::scope::Scope;
use crate::model::id::{EventId, ExternalId};
use crate::store::db::statement::Sql;

/// The event, its row, and the attempt that ended it.
const COLUMNS: &str = r#"SELECT e.id AS event_id, e.seq, e."type" AS kind, e.stream, e.external_id, e.detected_at, e.audience,
x.state AS row_state, x.reason AS row_reason, x.lane, x.tries, x.attempts, x.next_attempt_at, x.hold_until, x.ack_by,
x.last_status, x.last_error, x.created_at,
a.attempt, a.started_at, a.status, a.result, a.reason AS attempt_reason "#;

/// Joins only the last attempt that ended the delivery: no later one ended it. One value: the endpoint.
const LAST_END: &str = " LEFT JOIN lumo_delivery_attempts l ON l.endpoint = ? AND l.seq = e.seq \
AND l.result IN ('delivered', 'filtered', 'superseded') AND l.attempt > a.attempt WHERE l.seq IS NULL";

const END: &str = "JOIN lumo_delivery_attempts a ON a.endpoint = ? AND a.seq = e.seq \
AND a.result IN ('delivered', 'filtered', 'superseded')";

/// The event numbers to read.
#[derive(Clone, Copy, Debug)]
pub(super) struct SeqBounds {
    pub(super) oldest: i64,
    pub(super) newest: i64,
}

/// The stored data of one delivery.
#[derive(Debug, FromQueryResult)]
pub(super) struct Found {
    pub(super) event_id: EventId,
    pub(super) seq: i64,
    pub(super) kind: String,
    pub(super) stream: String,
    pub(super) external_id: Option<ExternalId>,
    pub(super) detected_at: DateTime<Utc>,
    pub(super) audience: Option<String>,
    pub(super) row_state: Option<exception::State>,
    pub(super) row_reason: Option<Reason>,
    pub(super) lane: Option<String>,
    pub(super) tries: Option<i32>,
    pub(super) attempts: Option<i32>,
    pub(super) next_attempt_at: Option<DateTime<Utc>>,
    pub(super) hold_until: Option<DateTime<Utc>>,
    pub(super) ack_by: Option<DateTime<Utc>>,
    pub(super) last_status: Option<i32>,
    pub(super) last_error: Option<String>,
    pub(super) created_at: Option<DateTime<Utc>>,
    pub(super) attempt: Option<i32>,
    pub(super) started_at: Option<DateTime<Utc>>,
    pub(super) status: Option<i32>,
    pub(super) result: Option<AttemptResult>,
    pub(super) attempt_reason: Option<Reason>,
}

impl Found {
    /// Whether its row or its last recorded attempt says that it was delivered.
    pub(super) fn was_delivered(&self) -> bool {
        self.row_state == Some(Row::Delivered) || self.result == Some(AttemptResult::Delivered)
    }
}

/// Rows in these states, or in any.
pub(super) fn rows(
    backend: DbBackend,
    scope: &Scope,
    states: &[Row],
    filter: &DeliveryFilter,
    bounds: &SeqBounds,
) -> Sql {
    let name = || Value::from(scope.name.clone());
    let sql = Sql::new(backend, COLUMNS, [])
        .and("FROM lumo_exceptions x JOIN lumo_events e ON e.seq = x.seq LEFT ", [])
        .and(END, [name()])
        .and(LAST_END, [name()])
        .and(" AND x.endpoint = ?", [name()]);
    let sql = match states {
        [] => sql,
        [state] => sql.and(" AND x.state = ?", [state.as_str().into()]),
        states => {
            let states: Vec<&str> = states.iter().map(|state| state.as_str()).collect();
            sql.and(" AND ", []).and_texts("x.state", &states)
        }
    };
    let sql = sql.and(" AND x.seq >= ? AND x.seq <= ?", [bounds.oldest.into(), bounds.newest.into()]);
    narrowed(sql, filter).and(&format!(" ORDER BY x.seq DESC LIMIT {}", filter.limit), [])
}

/// Selects events without a row; none if no range can contain one.
pub(super) fn log(
    backend: DbBackend,
    scope: &Scope,
    part: Part,
    filter: &DeliveryFilter,
    bounds: &SeqBounds,
) -> Option<Sql> {
    let name = || Value::from(scope.name.clone());
    let (state, from, through) = match part {
        Part::Beyond => (subscription::State::Wanted, scope.position.saturating_add(1), i64::MAX),
        Part::Skipped => (subscription::State::Skipped, 0, i64::MAX),
        Part::Passed(_) => (subscription::State::Wanted, 0, scope.position),
    };
    let held = held(scope, state, from.max(bounds.oldest), through.min(bounds.newest))?;
    // A delivery that ended without being sent must have an attempt that says so.
    let join = if matches!(part, Part::Passed(Passed::Without(_))) { "" } else { "LEFT " };
    let sql = Sql::new(backend, COLUMNS, [])
        .and("FROM lumo_events e LEFT JOIN lumo_exceptions x ON x.endpoint = ? AND x.seq = e.seq ", [name()])
        .and(join, [])
        .and(END, [name()])
        .and(LAST_END, [name()])
        .and(" AND x.seq IS NULL", []);
    let sql = held.add_to(sql);
    let sql = match part {
        Part::Passed(Passed::Delivered) => sql.and(" AND (a.result IS NULL OR a.result = 'delivered')", []),
        Part::Passed(Passed::Without(result)) => sql.and(" AND a.result = ?", [result.as_str().into()]),
        Part::Passed(Passed::AnyWay) | Part::Beyond | Part::Skipped => sql,
    };
    Some(narrowed(sql, filter).and(&format!(" ORDER BY e.seq DESC LIMIT {}", filter.limit), []))
}

/// Adds the filter's conditions on the event.
fn narrowed(sql: Sql, filter: &DeliveryFilter) -> Sql {
    let mut sql = sql;
    if let Some(kind) = &filter.kind {
        sql = sql.and(r#" AND e."type" = ?"#, [kind.clone().into()]);
    }
    if let Some(user) = &filter.external_id {
        sql = sql.and(" AND e.external_id = ?", [user.clone().into()]);
    }
    if let Some(object) = &filter.object_id {
        sql = sql.and(" AND e.object_id = ?", [object.clone().into()]);
    }
    if let Some(event) = &filter.event {
        sql = sql.and(" AND e.id = ?", [event.clone().into()]);
    }
    if let Some(since) = filter.since {
        sql = sql.and(" AND e.detected_at >= ?", [since.into()]);
    }
    if let Some(until) = filter.until {
        sql = sql.and(" AND e.detected_at < ?", [until.into()]);
    }
    sql
}

/// The condition that the event `e` is in a range of an endpoint.
pub(in crate::store::admin) struct Held {
    text: String,
    values: Vec<Value>,
}

impl Held {
    pub(in crate::store::admin) fn add_to(self, sql: Sql) -> Sql {
        sql.and(&self.text, self.values)
    }
}

/// The condition that the event `e`, with a number in these bounds, is in a range of this state; none if no range can
/// contain one. The ranges are written into the text, so that no database starts from them and sorts a million events.
pub(in crate::store::admin) fn held(
    scope: &Scope,
    state: subscription::State,
    from: i64,
    through: i64,
) -> Option<Held> {
    let stretches = scope.stretches(state, from, through);
    let first = stretches.iter().map(|(from, ..)| *from).min()?;
    let last = stretches.iter().map(|(_, through, _)| *through).max()?;
    let mut text = " AND e.seq >= ? AND e.seq <= ? AND (".to_owned();
    let mut values = vec![Value::from(first), Value::from(last)];
    for (number, (from, through, kinds)) in stretches.into_iter().enumerate() {
        let or = if number == 0 { "" } else { " OR " };
        let marks = vec!["?"; kinds.len()].join(", ");
        text.push_str(&format!(r#"{or}e."type" IN ({marks}) AND e.seq >= ? AND e.seq <= ?"#));
        values.extend(kinds.into_iter().map(Value::from));
        values.extend([Value::from(from), Value::from(through)]);
    }
    text.push_str(") AND (e.audience IS NULL OR e.audience <> 'nobody' AND e.audience <> ?)");
    values.push(format!("!{}", scope.name).into());
    Some(Held { text, values })
}
