//! Loads due rows, and finds the time of the next one.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use lumo_bridge_entity::exception::{Reason, State};
use sea_orm::{ConnectionTrait, FromQueryResult, QueryResult, Value};

use super::commit::KnownRow;
use crate::model::id::{EndpointName, EventId};
use crate::store::db::statement::Sql;
use crate::store::log::LogEvent;
use crate::store::{Error, Store};

/// The columns of a [`DueRow`], without its event.
pub(super) const COLUMNS: &str = "x.seq, x.state, x.reason, x.lane, x.tries, x.attempts, x.next_attempt_at, \
                                  x.hold_until, x.touched, x.last_status";
/// States with a due time.
const TIMED: [State; 3] = [State::Waiting, State::Retrying, State::Sending];
/// An event that the receiver has acknowledged is not sent again, whatever its row says. Reading the acknowledgements
/// finishes it.
const NOT_ACKNOWLEDGED: &str =
    "NOT EXISTS (SELECT 1 FROM lumo_acks k WHERE k.event_id = x.event_id AND k.endpoint = x.endpoint)";
/// Bodies in one statement.
const BODIES: usize = 64;

/// A row that may be attempted.
#[derive(Clone, Debug)]
pub struct DueRow {
    pub event: LogEvent,
    pub state: State,
    pub reason: Reason,
    pub lane: Option<String>,
    /// Attempts since it last began anew, and in total.
    pub tries: i32,
    pub attempts: i32,
    pub hold_until: Option<DateTime<Utc>>,
    pub last_status: Option<i32>,
    pub known: KnownRow,
    /// A newer event of the same wallet that the endpoint also receives.
    pub superseded_by: Option<EventId>,
}

/// The due rows of an endpoint.
#[derive(Clone, Debug, Default)]
pub struct Due {
    /// Those that have been due for longest come first.
    pub rows: Vec<DueRow>,
    /// When the next row is due that is not among them; now if there are more than were requested.
    pub next_at: Option<DateTime<Utc>>,
    /// Whether any row of the endpoint waits for something.
    pub has_rows: bool,
}

/// When the first row of an endpoint is due in each state.
#[derive(FromQueryResult)]
struct Outlook {
    waiting: Option<DateTime<Utc>>,
    retrying: Option<DateTime<Utc>>,
    sending: Option<DateTime<Utc>>,
    /// The first one after the time of the query.
    waiting_later: Option<DateTime<Utc>>,
    retrying_later: Option<DateTime<Utc>>,
    sending_later: Option<DateTime<Utc>>,
    unfinished: Option<i64>,
}

impl Store {
    /// Up to `limit` rows of each state that are due.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn due(&self, endpoint: &EndpointName, limit: usize, now: DateTime<Utc>) -> Result<Due, Error> {
        let Some(outlook) = self.outlook(endpoint, now).await? else { return Ok(Due::default()) };
        let Outlook { waiting, retrying, sending, waiting_later, retrying_later, sending_later, unfinished } = outlook;
        let later = [waiting_later, retrying_later, sending_later].into_iter().flatten().min();
        let mut due = Due { has_rows: unfinished.is_some(), next_at: later, ..Due::default() };
        for (state, first) in TIMED.into_iter().zip([waiting, retrying, sending]) {
            if first.is_some_and(|at| at <= now) {
                let rows = self.due_in(endpoint, state, limit, now).await?;
                if rows.len() >= limit {
                    due.next_at = Some(now);
                }
                due.rows.extend(rows);
            }
        }
        Ok(due)
    }

    /// A row to probe a failing endpoint with. Among those that were attempted, the one that is due first, even if in
    /// the future. Among the others one that is due, so no row of its lane goes before it.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn probe_row(
        &self,
        endpoint: &EndpointName,
        tried: bool,
        now: DateTime<Utc>,
    ) -> Result<Option<DueRow>, Error> {
        let states: &[(State, bool)] =
            if tried { &[(State::Retrying, false), (State::Sending, true)] } else { &[(State::Waiting, true)] };
        for (state, is_due) in states {
            let text = format!(
                "SELECT {COLUMNS} FROM lumo_exceptions x WHERE x.endpoint = ? AND x.state = ? \
                 AND x.next_attempt_at IS NOT NULL{} AND {NOT_ACKNOWLEDGED} ORDER BY x.next_attempt_at, x.seq LIMIT 1",
                if *is_due { " AND x.next_attempt_at <= ?" } else { "" }
            );
            let mut values = vec![endpoint.clone().into(), state.as_str().into()];
            values.extend(is_due.then(|| Value::from(now)));
            let sql = Sql::new(self.backend(), &text, values);
            let rows = self.read().query_all_raw(sql.statement()).await?;
            if let Some(row) = self.due_rows(endpoint, rows).await?.pop() {
                return Ok(Some(row));
            }
        }
        Ok(None)
    }

    /// Reads the first times with two index seeks for each state.
    async fn outlook(&self, endpoint: &EndpointName, now: DateTime<Utc>) -> Result<Option<Outlook>, Error> {
        let first = |state: State, after: &str, name: &str| {
            let state = state.as_str();
            format!(
                "(SELECT MIN(x.next_attempt_at) FROM lumo_exceptions x WHERE x.endpoint = n.endpoint \
                 AND x.state = '{state}' AND x.next_attempt_at {after}) AS {state}{name}, "
            )
        };
        let any: String = TIMED.iter().map(|state| first(*state, "IS NOT NULL", "")).collect();
        let later: String = TIMED.iter().map(|state| first(*state, "> ?", "_later")).collect();
        let text = format!(
            "SELECT {any}{later}(SELECT x.seq FROM lumo_exceptions x WHERE x.endpoint = n.endpoint \
             AND x.state IN ('waiting', 'retrying', 'sending', 'awaiting_ack') LIMIT 1) AS unfinished \
             FROM lumo_positions n WHERE n.endpoint = ?"
        );
        let sql = Sql::new(self.backend(), &text, [now.into(), now.into(), now.into(), endpoint.clone().into()]);
        Ok(Outlook::find_by_statement(sql.statement()).one(self.read()).await?)
    }

    async fn due_in(
        &self,
        endpoint: &EndpointName,
        state: State,
        limit: usize,
        now: DateTime<Utc>,
    ) -> Result<Vec<DueRow>, Error> {
        let text = format!(
            "SELECT {COLUMNS} FROM lumo_exceptions x WHERE x.endpoint = ? AND x.state = ? AND x.next_attempt_at <= ? \
             AND {NOT_ACKNOWLEDGED} ORDER BY x.next_attempt_at, x.seq LIMIT {limit}"
        );
        let values = [endpoint.clone().into(), state.as_str().into(), now.into()];
        let rows = self.read().query_all_raw(Sql::new(self.backend(), &text, values).statement()).await?;
        self.due_rows(endpoint, rows).await
    }

    /// Rows with their events. A row whose event was removed is left out.
    pub(super) async fn due_rows(&self, endpoint: &EndpointName, rows: Vec<QueryResult>) -> Result<Vec<DueRow>, Error> {
        let seqs: Vec<i64> = rows.iter().map(|row| row.try_get("", "seq")).collect::<Result<_, _>>()?;
        let mut events: HashMap<i64, LogEvent> = HashMap::with_capacity(seqs.len());
        let mut wanted = std::collections::HashSet::new();
        let mut superseded: HashMap<i64, EventId> = HashMap::new();
        for chunk in seqs.chunks(BODIES) {
            let read = self.events_by_seq(chunk).await?;
            superseded.extend(self.superseded(endpoint, &read).await?);
            events.extend(read.into_iter().map(|event| (event.seq, event)));
            wanted.extend(self.wanted_among(endpoint, chunk).await?);
        }
        let mut due = Vec::with_capacity(rows.len());
        for row in rows {
            let seq: i64 = row.try_get("", "seq")?;
            let Some(event) = events.remove(&seq) else { continue };
            due.push(DueRow {
                event,
                state: row.try_get("", "state")?,
                reason: row.try_get("", "reason")?,
                lane: row.try_get("", "lane")?,
                tries: row.try_get("", "tries")?,
                attempts: row.try_get("", "attempts")?,
                hold_until: row.try_get("", "hold_until")?,
                last_status: row.try_get("", "last_status")?,
                known: KnownRow { touched: row.try_get("", "touched")?, is_wanted: wanted.contains(&seq) },
                superseded_by: superseded.remove(&seq),
            });
        }
        Ok(due)
    }
}
