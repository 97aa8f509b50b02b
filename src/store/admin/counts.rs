//! Counts the waiting, dead and skipped deliveries of each endpoint, and finds since when the oldest has waited.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use lumo_bridge_entity::exception::State as Row;
use lumo_bridge_entity::subscription;
use sea_orm::FromQueryResult;

use super::deliveries::{Scope, held};
use crate::model::delivery::{State, beyond, of_row};
use crate::model::id::EndpointName;
use crate::store::db::statement::Sql;
use crate::store::{Error, Store};

/// How many deliveries an endpoint has in a state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Count {
    pub endpoint: EndpointName,
    pub state: State,
    pub deliveries: i64,
    /// Since when the oldest of them waits; none if nothing waits in this state.
    pub oldest: Option<DateTime<Utc>>,
}

#[derive(FromQueryResult)]
struct Rows {
    endpoint: EndpointName,
    state: Row,
    deliveries: i64,
    oldest: Option<DateTime<Utc>>,
}

#[derive(FromQueryResult)]
struct Ended {
    endpoint: EndpointName,
    state: Row,
    deliveries: i64,
}

impl From<Ended> for Rows {
    fn from(ended: Ended) -> Self {
        let Ended { endpoint, state, deliveries } = ended;
        Self { endpoint, state, deliveries, oldest: None }
    }
}

#[derive(FromQueryResult)]
struct Beyond {
    deliveries: i64,
    first: Option<i64>,
}

#[derive(FromQueryResult)]
struct Noticed {
    detected_at: DateTime<Utc>,
}

impl Store {
    /// Counts undelivered deliveries by endpoint and state. Events that a range gave up without a row are not counted.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn undelivered(&self) -> Result<Vec<Count>, Error> {
        let scopes = self.scopes(None).await?;
        let rows = self.counted_rows().await?;
        let mut counts: BTreeMap<(&EndpointName, &str), Count> = BTreeMap::new();
        for scope in &scopes {
            let reach = scope.to.reach();
            let of_endpoint = rows.iter().filter(|row| row.endpoint == scope.name);
            let mut found: Vec<_> =
                of_endpoint.map(|row| (of_row(row.state, reach), row.deliveries, row.oldest)).collect();
            if let Some((deliveries, oldest)) = self.counted_beyond(scope).await? {
                found.push((beyond(reach), deliveries, oldest));
            }
            for (state, deliveries, oldest) in found {
                let none = Count { endpoint: scope.name.clone(), state, deliveries: 0, oldest: None };
                let count = counts.entry((&scope.name, state.as_str())).or_insert(none);
                count.deliveries += deliveries;
                count.oldest = count.oldest.into_iter().chain(oldest).min();
            }
        }
        Ok(counts.into_values().collect())
    }

    async fn counted_rows(&self) -> Result<Vec<Rows>, Error> {
        let waiting = "SELECT x.endpoint, x.state, COUNT(*) AS deliveries, \
             MIN(CASE WHEN x.reason = 'live' THEN e.detected_at ELSE x.created_at END) AS oldest \
             FROM lumo_exceptions x JOIN lumo_events e ON e.seq = x.seq \
             WHERE x.state IN ('waiting', 'retrying', 'sending', 'awaiting_ack') GROUP BY x.endpoint, x.state";
        // Read from the index alone: there may be many, and none of them waits.
        let ended = "SELECT x.endpoint, x.state, COUNT(*) AS deliveries FROM lumo_exceptions x \
             WHERE x.state IN ('dead', 'skipped') GROUP BY x.endpoint, x.state";
        let mut rows =
            Rows::find_by_statement(Sql::new(self.backend(), waiting, []).statement()).all(self.read()).await?;
        let ended = Ended::find_by_statement(Sql::new(self.backend(), ended, []).statement()).all(self.read()).await?;
        rows.extend(ended.into_iter().map(Rows::from));
        Ok(rows)
    }

    /// Counts the events that the endpoint wants and has not reached; none if there are none.
    async fn counted_beyond(&self, scope: &Scope) -> Result<Option<(i64, Option<DateTime<Utc>>)>, Error> {
        let from = scope.position.saturating_add(1);
        let Some(held) = held(scope, subscription::State::Wanted, from, i64::MAX) else { return Ok(None) };
        let counted = "SELECT COUNT(*) AS deliveries, MIN(e.seq) AS first FROM lumo_events e ";
        let sql = Sql::new(self.backend(), counted, []);
        let sql = if self.has_rows_beyond(scope).await? {
            let others = "LEFT JOIN lumo_exceptions x ON x.endpoint = ? AND x.seq = e.seq WHERE x.seq IS NULL";
            sql.and(others, [scope.name.clone().into()])
        } else {
            sql.and("WHERE 1 = 1", [])
        };
        let sql = held.add_to(sql);
        let Some(Beyond { deliveries, first: Some(first) }) =
            Beyond::find_by_statement(sql.statement()).one(self.read()).await?
        else {
            return Ok(None);
        };
        let sql = Sql::new(self.backend(), "SELECT detected_at FROM lumo_events WHERE seq = ?", [first.into()]);
        let noticed = Noticed::find_by_statement(sql.statement()).one(self.read()).await?;
        Ok(Some((deliveries, noticed.map(|noticed| noticed.detected_at))))
    }

    /// Whether anything was skipped ahead of the position.
    async fn has_rows_beyond(&self, scope: &Scope) -> Result<bool, Error> {
        let text =
            "SELECT COUNT(*) AS deliveries, MIN(seq) AS first FROM lumo_exceptions WHERE endpoint = ? AND seq > ?";
        let sql = Sql::new(self.backend(), text, [scope.name.clone().into(), scope.position.into()]);
        let found = Beyond::find_by_statement(sql.statement()).one(self.read()).await?;
        Ok(found.is_some_and(|found| found.deliveries > 0))
    }
}
