//! Decides which old events are still needed, and removes the others with what belongs to them.
//!
//! The order of the queries matters. A group commit moves a position, ends rows and adds attempts in one transaction,
//! and a row that ends leaves an attempt. So a reader that reads positions first, then rows, then attempts sees at
//! least one of them, whatever is committed in between.

use std::collections::{BTreeSet, HashSet};

use chrono::{DateTime, Utc};
use lumo_bridge_entity::attempt::{self, AttemptResult};
use lumo_bridge_entity::exception::{self, State};
use lumo_bridge_entity::{ack, event};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect};

use super::{Candidate, Cutoffs, Pruned, candidates};
use crate::model::id::{EndpointName, EventId};
use crate::store::db::statement::{Sql, padded};
use crate::store::{Error, Tx};

/// A part of the log that an endpoint has not received yet.
#[derive(Debug, FromQueryResult)]
struct Ahead {
    endpoint: EndpointName,
    kind: String,
    from_seq: i64,
    through_seq: Option<i64>,
    /// None counts as the beginning of the log.
    position: Option<i64>,
}

/// The columns of a row of `lumo_exceptions` that decide.
#[derive(Debug, FromQueryResult)]
struct ExceptionRow {
    endpoint: EndpointName,
    seq: i64,
    state: State,
    lane: Option<String>,
    created_at: DateTime<Utc>,
    ended_at: Option<DateTime<Utc>>,
}

#[derive(Debug, FromQueryResult)]
struct AttemptResultRow {
    endpoint: EndpointName,
    seq: i64,
    result: AttemptResult,
}

/// Events that are not needed, and the endpoints with rows or attempts to be removed with them.
#[derive(Debug, Default)]
pub(super) struct Unneeded {
    pub(super) events: Vec<Candidate>,
    with_rows: BTreeSet<EndpointName>,
    with_attempts: BTreeSet<EndpointName>,
}

impl Ahead {
    fn holds(&self, event: &Candidate) -> bool {
        self.kind == event.kind
            && self.position.unwrap_or(0) < event.seq
            && self.from_seq <= event.seq
            && self.through_seq.is_none_or(|through| through >= event.seq)
            && receives(event.audience.as_deref(), &self.endpoint)
    }
}

/// Whether the audience of an event includes the endpoint.
fn receives(audience: Option<&str>, endpoint: &EndpointName) -> bool {
    match audience {
        None => true,
        Some(audience) => audience.strip_prefix('!').is_some_and(|name| name != endpoint.as_str()),
    }
}

impl ExceptionRow {
    /// Whether the row has ended and was kept long enough.
    fn is_over(&self, cutoffs: &Cutoffs) -> bool {
        let cutoff = match self.state {
            State::Dead => cutoffs.dead,
            State::Skipped | State::Delivered => cutoffs.events,
            State::Waiting | State::Retrying | State::Sending | State::AwaitingAck => None,
        };
        // While the row has a lane, the leader has not released the next row yet.
        self.lane.is_none() && cutoff.is_some_and(|cutoff| self.ended_at.unwrap_or(self.created_at) < cutoff)
    }
}

impl From<exception::Model> for ExceptionRow {
    fn from(row: exception::Model) -> Self {
        let exception::Model { endpoint, seq, state, lane, created_at, ended_at, .. } = row;
        Self { endpoint, seq, state, lane, created_at, ended_at }
    }
}

/// The events among these that are old and not needed.
pub(super) async fn unneeded<C: ConnectionTrait>(
    connection: &C,
    mut events: Vec<Candidate>,
    cutoffs: &Cutoffs,
) -> Result<Unneeded, Error> {
    let Some(cutoff) = cutoffs.events else { return Ok(Unneeded::default()) };
    events.retain(|event| event.detected_at < cutoff);
    if !events.is_empty() {
        let ahead = ahead(connection).await?;
        events.retain(|event| !ahead.iter().any(|range| range.holds(event)));
    }
    let rows: Vec<ExceptionRow> = beside("lumo_exceptions", ROW, connection, &events).await?;
    let needed: HashSet<i64> = rows.iter().filter(|row| !row.is_over(cutoffs)).map(|row| row.seq).collect();
    events.retain(|event| !needed.contains(&event.seq));
    let attempts: Vec<AttemptResultRow> = beside("lumo_delivery_attempts", ATTEMPT, connection, &events).await?;
    let was_made = |attempt: &&AttemptResultRow| super::attempts::was_made(attempt.result);
    let needed: HashSet<i64> = attempts.iter().filter(was_made).map(|attempt| attempt.seq).collect();
    events.retain(|event| !needed.contains(&event.seq));

    let seqs: HashSet<i64> = events.iter().map(|event| event.seq).collect();
    let of_rows = rows.into_iter().filter(|row| seqs.contains(&row.seq)).map(|row| row.endpoint);
    let of_attempts = attempts.into_iter().filter(|row| seqs.contains(&row.seq)).map(|row| row.endpoint);
    Ok(Unneeded { with_rows: of_rows.collect(), with_attempts: of_attempts.collect(), events })
}

/// Every part of the log that some endpoint has not received yet.
async fn ahead<C: ConnectionTrait>(connection: &C) -> Result<Vec<Ahead>, Error> {
    let sql = r#"SELECT s.endpoint, s."type" AS kind, s.from_seq, s.through_seq, p.position FROM lumo_subscriptions s
        LEFT JOIN lumo_positions p ON p.endpoint = s.endpoint
        WHERE s.state = 'wanted' AND (s.through_seq IS NULL OR p.position IS NULL OR s.through_seq > p.position)"#;
    let sql = Sql::new(connection.get_database_backend(), sql, []);
    Ok(Ahead::find_by_statement(sql.statement()).all(connection).await?)
}

const ROW: &str = "x.endpoint, x.seq, x.state, x.lane, x.created_at, x.ended_at";
const ATTEMPT: &str = "x.endpoint, x.seq, x.result";

/// The rows of a table that belong to these events. Joined with the endpoints, because the table's key begins with
/// their names.
async fn beside<R: FromQueryResult, C: ConnectionTrait>(
    table: &str,
    columns: &str,
    connection: &C,
    events: &[Candidate],
) -> Result<Vec<R>, Error> {
    if events.is_empty() {
        return Ok(Vec::new());
    }
    let seqs: Vec<i64> = events.iter().map(|event| event.seq).collect();
    let sql = format!(
        "SELECT {columns} FROM lumo_events e JOIN lumo_endpoints n ON 1 = 1
         JOIN {table} x ON x.endpoint = n.name AND x.seq = e.seq WHERE "
    );
    let sql = Sql::new(connection.get_database_backend(), &sql, []).and_numbers("e.seq", &seqs);
    Ok(R::find_by_statement(sql.statement()).all(connection).await?)
}

impl Tx {
    /// Removes the events among these that are not needed, with their rows and attempts. Returns their numbers, too.
    pub(super) async fn forget_events(&self, seqs: &[i64], cutoffs: &Cutoffs) -> Result<(Pruned, Vec<i64>), Error> {
        let events: Vec<Candidate> = candidates()
            .filter(event::Column::Seq.is_in(padded(seqs.iter().copied())))
            // Locking in one order prevents deadlocks.
            .order_by_asc(event::Column::Id)
            .lock_exclusive()
            .into_model()
            .all(self.session())
            .await?;
        // Checked by later statements, so that they see what was committed while this one waited for the locks.
        let mut unneeded = unneeded(self.session(), events, cutoffs).await?;
        let mut pruned = Pruned::default();
        if !unneeded.with_rows.is_empty() {
            self.keep_revived(&mut unneeded, cutoffs).await?;
        }
        let Unneeded { events, with_rows, with_attempts } = unneeded;
        let seqs: Vec<i64> = events.iter().map(|event| event.seq).collect();
        if seqs.is_empty() {
            return Ok((pruned, seqs));
        }
        let padded_seqs = || padded(seqs.iter().copied());
        if !with_rows.is_empty() {
            let rows = exception::Entity::delete_many()
                .filter(exception::Column::Endpoint.is_in(padded(with_rows)))
                .filter(exception::Column::Seq.is_in(padded_seqs()));
            pruned.deliveries = rows.exec(self.session()).await?.rows_affected;
        }
        if !with_attempts.is_empty() {
            let attempts = attempt::Entity::delete_many()
                .filter(attempt::Column::Endpoint.is_in(padded(with_attempts)))
                .filter(attempt::Column::Seq.is_in(padded_seqs()));
            pruned.attempts = attempts.exec(self.session()).await?.rows_affected;
        }
        let ids: Vec<EventId> = padded(events.into_iter().map(|event| event.id));
        let acks = ack::Entity::delete_many().filter(ack::Column::EventId.is_in(ids.clone()));
        acks.exec(self.session()).await?;
        let events = event::Entity::delete_many().filter(event::Column::Id.is_in(ids));
        pruned.events = events.exec(self.session()).await?.rows_affected;
        Ok((pruned, seqs))
    }

    /// Locks the rows to be removed, and keeps the events whose rows a command has revived meanwhile.
    async fn keep_revived(&self, unneeded: &mut Unneeded, cutoffs: &Cutoffs) -> Result<(), Error> {
        let seqs = padded(unneeded.events.iter().map(|event| event.seq));
        let rows = exception::Entity::find()
            .filter(exception::Column::Endpoint.is_in(padded(unneeded.with_rows.iter().cloned())))
            .filter(exception::Column::Seq.is_in(seqs))
            .order_by_asc(exception::Column::Endpoint)
            .order_by_asc(exception::Column::Seq)
            .lock_exclusive();
        let rows = rows.all(self.session()).await?.into_iter().map(ExceptionRow::from);
        let revived: HashSet<i64> = rows.filter(|row| !row.is_over(cutoffs)).map(|row| row.seq).collect();
        unneeded.events.retain(|event| !revived.contains(&event.seq));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    fn endpoint(name: &str) -> EndpointName {
        name.parse().unwrap()
    }

    #[test]
    fn an_event_is_ahead_of_those_who_want_it_and_are_not_so_far() {
        let event = |seq, audience: Option<&str>| Candidate {
            seq,
            id: "evt_1".parse().unwrap(),
            kind: "wallet.updated".to_owned(),
            audience: audience.map(str::to_owned),
            detected_at: at(0),
        };
        let range = |from_seq, through_seq, position| Ahead {
            endpoint: endpoint("shop"),
            kind: "wallet.updated".to_owned(),
            from_seq,
            through_seq,
            position,
        };
        assert!(range(1, None, Some(4)).holds(&event(5, None)));
        assert!(!range(1, None, Some(5)).holds(&event(5, None)), "its position is there");
        assert!(range(1, None, None).holds(&event(5, None)), "an endpoint without a position keeps everything");
        assert!(!range(6, None, Some(0)).holds(&event(5, None)));
        assert!(range(1, Some(5), Some(0)).holds(&event(5, None)));
        assert!(!range(1, Some(4), Some(0)).holds(&event(5, None)));
        assert!(!range(1, None, Some(0)).holds(&event(5, Some("nobody"))));
        assert!(!range(1, None, Some(0)).holds(&event(5, Some("!shop"))));
        assert!(range(1, None, Some(0)).holds(&event(5, Some("!crm"))));
        assert!(!Ahead { kind: "wallet.missing".to_owned(), ..range(1, None, Some(0)) }.holds(&event(5, None)));
    }

    #[test]
    fn a_row_is_over_when_it_ended_long_ago_and_its_lane_goes_on() {
        let row = |state, ended: i64| ExceptionRow {
            endpoint: endpoint("shop"),
            seq: 1,
            state,
            lane: None,
            created_at: at(0),
            ended_at: Some(at(ended)),
        };
        let cutoffs = Cutoffs { events: Some(at(20)), dead: Some(at(10)), attempts: None };
        for (state, oldest_kept) in [(State::Dead, 10), (State::Skipped, 20), (State::Delivered, 20)] {
            assert!(row(state, oldest_kept - 1).is_over(&cutoffs), "{state:?}");
            assert!(!row(state, oldest_kept).is_over(&cutoffs), "{state:?}");
            assert!(!row(state, 0).is_over(&Cutoffs::default()), "{state:?}");
            assert!(!ExceptionRow { lane: Some("a".to_owned()), ..row(state, 0) }.is_over(&cutoffs), "{state:?}");
        }
        for state in [State::Waiting, State::Retrying, State::Sending, State::AwaitingAck] {
            assert!(!row(state, 0).is_over(&cutoffs), "{state:?}");
        }
    }
}
