//! Counts deposits, deliveries and requests to Lumo of one hour.
//!
//! Only the rows of this hour are read, however many are stored: deposits by the index on their times, deliveries by
//! the numbers of their events. The first of these events, and the first one after them, are found by bisection. Of the
//! events themselves, only those that an endpoint has not reached are read, and those of a sample of what was delivered.

mod latency;
mod requests;
mod volume;

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use lumo_bridge_entity::{deposit, exception, subscription};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ColumnTrait, EntityTrait, FromQueryResult, QueryFilter, QuerySelect, Select};

use super::deliveries::{Scope, held};
use crate::model::delivery::{State, beyond, of_row};
use crate::model::id::EndpointName;
use crate::store::db::statement::Sql;
use crate::store::{Error, Store};

pub use latency::Latency;
pub use volume::Volume;

pub const HOUR: TimeDelta = TimeDelta::hours(1);

/// An hour, with its deposits and deliveries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hour {
    pub begins_at: DateTime<Utc>,
    pub deposits: i64,
    /// The sums of its deposits, by currency; none if there are too many to add up.
    pub volume: Option<Vec<Volume>>,
    /// Deliveries of events that were noticed in it, by endpoint and present state.
    pub deliveries: Vec<(EndpointName, State, i64)>,
    /// How long the delivered ones took; none if nothing was delivered.
    pub latency: Option<Latency>,
    /// Requests to Lumo of the rounds and full scans that began in it.
    pub requests: i64,
}

/// The events of an hour, by their numbers.
#[derive(Clone, Copy, Debug)]
struct Events {
    first: i64,
    /// The number after the last one.
    end: i64,
}

#[derive(FromQueryResult)]
struct Counted {
    counted: i64,
}

#[derive(FromQueryResult)]
struct CountedRows {
    state: exception::State,
    counted: i64,
}

impl Store {
    /// The hour that begins then.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn hour(&self, begins_at: DateTime<Utc>) -> Result<Hour, Error> {
        let until = begins_at + HOUR;
        let first = self.first_event_since(begins_at, 1).await?;
        let events = Events { first, end: self.first_event_since(until, first).await? };
        let scopes = self.scopes(None).await?;
        let mut deliveries = Vec::new();
        for scope in &scopes {
            let mut counts: BTreeMap<&str, (State, i64)> = BTreeMap::new();
            for (state, counted) in self.deliveries_in(scope, events).await? {
                counts.entry(state.as_str()).or_insert((state, 0)).1 += counted;
            }
            deliveries.extend(counts.into_values().map(|(state, counted)| (scope.name.clone(), state, counted)));
        }
        Ok(Hour {
            begins_at,
            deposits: self.deposits_in(begins_at, until).await?,
            volume: self.volume_in(begins_at, until).await?,
            deliveries,
            latency: self.latency_in(&scopes, events).await?,
            requests: self.requests_in(begins_at, until).await?,
        })
    }

    async fn deposits_in(&self, from: DateTime<Utc>, until: DateTime<Utc>) -> Result<i64, Error> {
        let counted = deposits_made(from, until).column_as(deposit::Column::Id.count(), "counted");
        let counted = counted.into_model::<Counted>().one(self.read()).await?;
        Ok(counted.map_or(0, |row| row.counted))
    }

    /// Counts the deliveries of these events by state; a state may be there twice. If there is a row, its state counts,
    /// so no delivery is counted twice.
    async fn deliveries_in(&self, scope: &Scope, events: Events) -> Result<Vec<(State, i64)>, Error> {
        let reach = scope.to.reach();
        let rows = self.rows_in(scope, events).await?;
        let mut all: Vec<_> = rows.into_iter().map(|row| (of_row(row.state, reach), row.counted)).collect();
        all.push((State::Delivered, self.delivered_in(scope, events).await?));
        let first = Ord::max(events.first, scope.position.saturating_add(1));
        all.push((beyond(reach), self.held_in(scope, Events { first, ..events }, subscription::State::Wanted).await?));
        all.push((State::Skipped, self.held_in(scope, events, subscription::State::Skipped).await?));
        all.retain(|(_, counted)| *counted > 0);
        Ok(all)
    }

    async fn rows_in(&self, scope: &Scope, Events { first, end }: Events) -> Result<Vec<CountedRows>, Error> {
        // Grouped by an expression, as there is an index by state, which has the rows of all hours.
        let text = "SELECT COALESCE(x.state, '') AS state, COUNT(*) AS counted FROM lumo_exceptions x \
             WHERE x.endpoint = ? AND x.seq >= ? AND x.seq < ? GROUP BY COALESCE(x.state, '')";
        let sql = Sql::new(self.backend(), text, [scope.name.clone().into(), first.into(), end.into()]);
        Ok(CountedRows::find_by_statement(sql.statement()).all(self.read()).await?)
    }

    async fn delivered_in(&self, scope: &Scope, Events { first, end }: Events) -> Result<i64, Error> {
        let text = "SELECT COUNT(DISTINCT a.seq) AS counted FROM lumo_delivery_attempts a \
             LEFT JOIN lumo_exceptions x ON x.endpoint = a.endpoint AND x.seq = a.seq \
             WHERE a.endpoint = ? AND a.seq >= ? AND a.seq < ? AND a.result = 'delivered' AND x.seq IS NULL";
        self.counted(Sql::new(self.backend(), text, [scope.name.clone().into(), first.into(), end.into()])).await
    }

    /// Counts those of these events that are in ranges of this state.
    async fn held_in(&self, scope: &Scope, events: Events, state: subscription::State) -> Result<i64, Error> {
        let Some(held) = held(scope, state, events.first, events.end.saturating_sub(1)) else { return Ok(0) };
        let text = "SELECT COUNT(*) AS counted FROM lumo_events e \
             LEFT JOIN lumo_exceptions x ON x.seq = e.seq AND x.endpoint = ? WHERE x.seq IS NULL";
        self.counted(held.add_to(Sql::new(self.backend(), text, [scope.name.clone().into()]))).await
    }

    async fn counted(&self, sql: Sql) -> Result<i64, Error> {
        let counted = Counted::find_by_statement(sql.statement()).one(self.read()).await?;
        Ok(counted.map_or(0, |row| row.counted))
    }
}

/// The deposits that were made between these times, without a column.
fn deposits_made(from: DateTime<Utc>, until: DateTime<Utc>) -> Select<deposit::Entity> {
    let created = || Expr::col(deposit::Column::CreatedAt);
    deposit::Entity::find()
        .select_only()
        .filter(created().gte(Expr::val(from)))
        .filter(created().lt(Expr::val(until)))
        .filter(deposit::Column::FormerCompanyId.is_null())
}
