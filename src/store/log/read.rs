//! Reads the next events of the log that an endpoint wants.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use lumo_bridge_entity::{event, stream};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, QueryFilter, QueryOrder};

use super::Log;
use crate::model::id::{EndpointName, EventId};
use crate::store::db::statement::Sql;
use crate::store::{Error, Store};

/// The most bodies of the first statement and of any later one, because bodies may be large.
const FIRST_BODIES: usize = 64;
const MAX_BODIES: usize = 500;
/// The numbers of the log in the first and in the largest window.
const FIRST_WINDOW: i64 = 64;
const LAST_WINDOW: i64 = 16_384;

/// Joins the ranges in which the endpoint wants the event `e`. Two values: the endpoint, twice.
pub(in crate::store) const WANTED: &str = r#"JOIN lumo_subscriptions s ON s.endpoint = ? AND s."type" = e."type"
AND s.from_seq <= e.seq AND (s.through_seq IS NULL OR s.through_seq >= e.seq) AND s.state = 'wanted'
AND (e.audience IS NULL OR e.audience <> 'nobody' AND SUBSTR(e.audience, 2) <> ?)"#;

/// An event, to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEvent {
    pub seq: i64,
    pub id: EventId,
    pub kind: String,
    pub stream: String,
    pub detected_at: DateTime<Utc>,
    pub body: String,
}

/// A part of the log, filtered for one endpoint.
#[derive(Clone, Debug, Default)]
pub struct Slice {
    /// The events that the endpoint wants and has no row of, in the order of the log.
    pub events: Vec<LogEvent>,
    /// The log was read up to this number.
    pub through: i64,
    /// Events among them that are superseded, with the id of the newer one.
    pub superseded: Vec<(i64, EventId)>,
}

#[derive(FromQueryResult)]
struct Key {
    seq: i64,
}

impl From<event::Model> for LogEvent {
    fn from(row: event::Model) -> Self {
        let event::Model { seq, id, kind, stream, detected_at, body, .. } = row;
        Self { seq, id, kind, stream, detected_at, body }
    }
}

impl Store {
    /// The next events after `after` that the endpoint wants and has no row of: at most `limit`, with about `bytes` of
    /// bodies, and at least one if there is any.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn read_log(
        &self,
        endpoint: &EndpointName,
        after: i64,
        limit: usize,
        bytes: usize,
    ) -> Result<Slice, Error> {
        // The end is read first: a later end could lie after events that the next statement does not see yet.
        let last = self.last_number(stream::ALL).await?;
        if last <= after {
            return Ok(Slice { through: after, ..Slice::default() });
        }
        let keys = self.wanted_keys(endpoint, after, last, limit).await?;
        let is_full = keys.len() >= limit;
        let mut events: Vec<LogEvent> = Vec::with_capacity(keys.len());
        let mut size = 0;
        let mut through = if is_full { keys.last().copied().unwrap_or(last) } else { last };
        let (mut left, mut at_once) = (&keys[..], FIRST_BODIES);
        while !left.is_empty() {
            if size >= bytes && !events.is_empty() {
                through = events.last().map_or(after, |event| event.seq);
                break;
            }
            let (chunk, others) = left.split_at(at_once.min(left.len()));
            left = others;
            let read = self.events_by_seq(chunk).await?;
            size += read.iter().map(|event| event.body.len()).sum::<usize>();
            events.extend(read);
            // As many as fit, if they are as large as those before.
            let each = (size / events.len().max(1)).max(1);
            at_once = (bytes.saturating_sub(size) / each).clamp(1, MAX_BODIES);
        }
        let superseded = self.superseded(endpoint, &events).await?;
        Ok(Slice { events, through, superseded })
    }

    /// The numbers of the events in `(after, through]` that the endpoint wants and has no row of, in order, at most
    /// `limit`.
    ///
    /// The log is read window by window, and only then joined. So the cost is that of the windows, whatever plan the
    /// database chooses.
    pub(in crate::store) async fn wanted_keys(
        &self,
        endpoint: &EndpointName,
        after: i64,
        through: i64,
        limit: usize,
    ) -> Result<Vec<i64>, Error> {
        let first = i64::try_from(limit).unwrap_or(LAST_WINDOW).clamp(FIRST_WINDOW, LAST_WINDOW);
        let (mut low, mut window) = (after, first);
        let mut keys = Vec::new();
        while low < through && keys.len() < limit {
            let high = through.min(low.saturating_add(window));
            let rows = self.rows_between(endpoint, low, high);
            let events = self.wanted_between(endpoint, low, high).await?;
            let rows = if events.is_empty() { HashSet::new() } else { rows.await? };
            keys.extend(events.into_iter().filter(|seq| !rows.contains(seq)));
            (low, window) = (high, (window * 4).min(LAST_WINDOW));
        }
        keys.truncate(limit);
        Ok(keys)
    }

    async fn wanted_between(&self, endpoint: &EndpointName, low: i64, high: i64) -> Result<Vec<i64>, Error> {
        let name = || endpoint.clone().into();
        let text = r#"SELECT e.seq FROM (SELECT seq, "type", audience FROM lumo_events WHERE seq > ? AND seq <= ? "#;
        let sql = Sql::new(self.backend(), text, [low.into(), high.into()])
            .and(&format!("ORDER BY seq LIMIT {LAST_WINDOW}) e "), [])
            .and(WANTED, [name(), name()])
            .and(" ORDER BY e.seq", []);
        let rows = Key::find_by_statement(sql.statement()).all(self.read()).await?;
        Ok(rows.into_iter().map(|row| row.seq).collect())
    }

    /// The numbers of the endpoint's rows. Read after the events, so events that get a row meanwhile are left out.
    async fn rows_between(&self, endpoint: &EndpointName, low: i64, high: i64) -> Result<HashSet<i64>, Error> {
        let text = "SELECT seq FROM lumo_exceptions WHERE endpoint = ? AND seq > ? AND seq <= ?";
        let sql = Sql::new(self.backend(), text, [endpoint.clone().into(), low.into(), high.into()]);
        let rows = Key::find_by_statement(sql.statement()).all(self.read()).await?;
        Ok(rows.into_iter().map(|row| row.seq).collect())
    }

    /// The events with these numbers, in order.
    pub(in crate::store) async fn events_by_seq(&self, seqs: &[i64]) -> Result<Vec<LogEvent>, Error> {
        let text = r#"SELECT seq, id, "type" AS kind, stream, detected_at, body FROM lumo_events WHERE "#;
        let sql = Sql::new(self.backend(), text, []).and_numbers("seq", seqs).and(" ORDER BY seq", []);
        let rows = self.read().query_all_raw(sql.statement()).await?;
        let event = |row: &sea_orm::QueryResult| {
            Ok(LogEvent {
                seq: row.try_get("", "seq")?,
                id: row.try_get("", "id")?,
                kind: row.try_get("", "kind")?,
                stream: row.try_get("", "stream")?,
                detected_at: row.try_get("", "detected_at")?,
                body: row.try_get("", "body")?,
            })
        };
        rows.iter().map(event).collect()
    }

    /// The events in `(after, through]`, wanted by an endpoint or not.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn read_events(&self, after: i64, through: i64) -> Result<Vec<LogEvent>, Error> {
        let query = event::Entity::find()
            .filter(event::Column::Seq.gt(after))
            .filter(event::Column::Seq.lte(through))
            .order_by_asc(event::Column::Seq);
        Ok(query.all(self.read()).await?.into_iter().map(LogEvent::from).collect())
    }
}

/// Selects the events among these that the endpoint wants, with or without rows.
fn wanted_of(backend: sea_orm::DbBackend, endpoint: &EndpointName, seqs: &[i64]) -> sea_orm::Statement {
    let name = || endpoint.clone().into();
    let sql = Sql::new(backend, r#"SELECT e.seq FROM (SELECT seq, "type", audience FROM lumo_events WHERE "#, []);
    let sql = sql.and_numbers("seq", seqs).and(&format!(" LIMIT {LAST_WINDOW}) e "), []);
    sql.and(WANTED, [name(), name()]).statement()
}

impl Store {
    /// The events among these that the endpoint wants, with or without rows.
    pub(in crate::store) async fn wanted_among(
        &self,
        endpoint: &EndpointName,
        seqs: &[i64],
    ) -> Result<Vec<i64>, Error> {
        let rows = Key::find_by_statement(wanted_of(self.backend(), endpoint, seqs)).all(self.read()).await?;
        Ok(rows.into_iter().map(|row| row.seq).collect())
    }
}

impl Log<'_> {
    /// As [`Store::wanted_among`], within the transaction.
    pub(in crate::store) async fn wanted_among(
        &self,
        endpoint: &EndpointName,
        seqs: &[i64],
    ) -> Result<Vec<i64>, Error> {
        let statement = wanted_of(self.tx.backend(), endpoint, seqs);
        let rows = Key::find_by_statement(statement).all(self.tx.session()).await?;
        Ok(rows.into_iter().map(|row| row.seq).collect())
    }
}
