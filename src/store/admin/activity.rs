//! Counts deposits, deliveries and requests to Lumo per hour, for the last hours.
//!
//! Only the rows of these hours are read, however many are stored: deposits by the index on their times, deliveries by
//! the numbers of their events. The first event of each hour is found by bisection. Of the events themselves, only
//! those that an endpoint has not reached are read, and those of a sample of what was delivered.

mod latency;
mod requests;
mod volume;

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use lumo_bridge_entity::{deposit, exception, subscription};
use sea_orm::sea_query::{Alias, CaseStatement, Expr, ExprTrait};
use sea_orm::{ColumnTrait, EntityTrait, FromQueryResult, QueryFilter, QuerySelect, Select, Value};

use super::deliveries::{Scope, held};
use crate::model::delivery::{State, beyond, of_row};
use crate::model::id::EndpointName;
use crate::store::db::statement::Sql;
use crate::store::{Error, Store};

pub use latency::Latency;
pub use volume::Volume;

/// The name of the column with the number of the hour.
const HOUR: &str = "hour_no";
/// Before the first hour.
const NO_HOUR: i64 = -1;

/// An hour, with its deposits and deliveries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hour {
    pub begins_at: DateTime<Utc>,
    pub deposits: i64,
    /// The sums of its deposits, by currency; none if there are too many to add up.
    pub volume: Option<Vec<Volume>>,
    /// Deliveries of events that were noticed in it, by endpoint and present state.
    pub deliveries: Vec<(EndpointName, State, i64)>,
    /// How long those took that were delivered; none if there are none.
    pub latency: Option<Latency>,
    /// Requests to Lumo of the rounds and full scans that began in it.
    pub requests: i64,
}

#[derive(FromQueryResult)]
struct HourCount {
    hour_no: i64,
    counted: i64,
}

#[derive(FromQueryResult)]
struct CountedRows {
    hour_no: i64,
    state: exception::State,
    counted: i64,
}

/// The number of the first event of each hour.
struct HourBounds(Vec<i64>);

impl HourBounds {
    fn first(&self) -> i64 {
        self.0.first().copied().unwrap_or(i64::MAX)
    }

    /// SQL for the number of the hour in which an event falls: the last hour that begins at or before the event.
    fn hour(&self, column: &str) -> (String, Vec<Value>) {
        let (case, values) = self.case(column, |hour| i64::try_from(hour).unwrap_or(NO_HOUR), NO_HOUR);
        (format!("{case} AS {HOUR}"), values)
    }

    /// SQL for a number by the hour in which an event falls.
    fn case(&self, column: &str, of: impl Fn(usize) -> i64, otherwise: i64) -> (String, Vec<Value>) {
        let cases: String = self.0.iter().map(|_| format!("WHEN {column} >= ? THEN ? ")).collect();
        let firsts = self.0.iter().enumerate().rev();
        let mut values: Vec<Value> =
            firsts.flat_map(|(hour, first)| [Value::from(*first), Value::from(of(hour))]).collect();
        values.push(otherwise.into());
        (format!("CASE {cases}ELSE ? END"), values)
    }

    /// The hour in which an event falls.
    fn hour_of(&self, seq: i64) -> Option<usize> {
        self.0.partition_point(|first| *first <= seq).checked_sub(1)
    }
}

impl Store {
    /// The last `hours` hours before a time, the oldest first.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn activity(&self, until: DateTime<Utc>, hours: i32) -> Result<Vec<Hour>, Error> {
        let begin = |ago: i32| until - TimeDelta::hours(ago.into());
        let hour = |ago| Hour {
            begins_at: begin(ago),
            deposits: 0,
            volume: None,
            deliveries: Vec::new(),
            latency: None,
            requests: 0,
        };
        let mut all: Vec<Hour> = (1..=hours).rev().map(hour).collect();
        for (hour, counted) in self.deposits_by_hour(&all, until).await? {
            if let Some(hour) = place(&mut all, hour) {
                hour.deposits = counted;
            }
        }
        self.add_volumes(&mut all, until).await?;
        self.add_requests(&mut all, until).await?;
        let mut bounds = Vec::with_capacity(all.len());
        for hour in &all {
            let from = bounds.last().copied().unwrap_or(1);
            bounds.push(self.first_event_since(hour.begins_at, from).await?);
        }
        let (bounds, scopes) = (HourBounds(bounds), self.scopes(None).await?);
        self.add_latencies(&mut all, &scopes, &bounds).await?;
        for scope in scopes {
            let mut counts: BTreeMap<(i64, &str), (State, i64)> = BTreeMap::new();
            for (hour, state, counted) in self.deliveries_by_hour(&scope, &bounds).await? {
                counts.entry((hour, state.as_str())).or_insert((state, 0)).1 += counted;
            }
            for ((hour, _), (state, counted)) in counts {
                if let Some(hour) = place(&mut all, hour) {
                    hour.deliveries.push((scope.name.clone(), state, counted));
                }
            }
        }
        Ok(all)
    }

    async fn deposits_by_hour(&self, hours: &[Hour], until: DateTime<Utc>) -> Result<Vec<(i64, i64)>, Error> {
        let Some(deposits) = Self::deposits_in(hours, until) else { return Ok(Vec::new()) };
        let counted = deposits
            .column_as(deposit::Column::Id.count(), "counted")
            .group_by(Expr::col(Alias::new(HOUR)))
            .into_model::<HourCount>()
            .all(self.read())
            .await?;
        Ok(counted.into_iter().map(|row| (row.hour_no, row.counted)).collect())
    }

    /// The deposits of these hours; the first column is the number of the hour. None if there is no hour.
    fn deposits_in(hours: &[Hour], until: DateTime<Utc>) -> Option<Select<deposit::Entity>> {
        let created = || Expr::col(deposit::Column::CreatedAt);
        let deposits = deposit::Entity::find()
            .select_only()
            .column_as(Self::hour_in(deposit::Column::CreatedAt, hours), HOUR)
            .filter(created().gte(Expr::val(hours.first()?.begins_at)))
            .filter(created().lt(Expr::val(until)))
            .filter(deposit::Column::FormerCompanyId.is_null());
        Some(deposits)
    }

    /// The number of the hour in which a time falls: the last hour that begins at or before it.
    fn hour_in(column: impl ColumnTrait, hours: &[Hour]) -> Expr {
        let numbered: Vec<_> = (0_i64..).zip(hours).collect();
        let case = numbered.into_iter().rev().fold(CaseStatement::new(), |case, (number, hour)| {
            case.case(Expr::col(column).gte(Expr::val(hour.begins_at)), Expr::val(number))
        });
        case.finally(Expr::val(NO_HOUR)).into()
    }

    /// Counts the deliveries of each hour's events by state. If there is a row, its state counts, so no delivery is
    /// counted twice.
    async fn deliveries_by_hour(&self, scope: &Scope, bounds: &HourBounds) -> Result<Vec<(i64, State, i64)>, Error> {
        let reach = scope.to.reach();
        let rows = self.rows_by_hour(scope, bounds).await?;
        let mut all: Vec<_> =
            rows.into_iter().map(|row| (row.hour_no, of_row(row.state, reach), row.counted)).collect();
        let mut add = |state, counted: Vec<HourCount>| {
            all.extend(counted.into_iter().map(|row| (row.hour_no, state, row.counted)));
        };
        add(State::Delivered, self.delivered_by_hour(scope, bounds).await?);
        let from = Ord::max(bounds.first(), scope.position.saturating_add(1));
        add(beyond(reach), self.held_by_hour(scope, bounds, subscription::State::Wanted, from).await?);
        let from = bounds.first();
        add(State::Skipped, self.held_by_hour(scope, bounds, subscription::State::Skipped, from).await?);
        Ok(all)
    }

    async fn rows_by_hour(&self, scope: &Scope, bounds: &HourBounds) -> Result<Vec<CountedRows>, Error> {
        let (hour, values) = bounds.hour("x.seq");
        let text = format!("SELECT {hour}, x.state, COUNT(*) AS counted FROM lumo_exceptions x");
        let sql = Sql::new(self.backend(), &text, values)
            .and(" WHERE x.endpoint = ? AND x.seq >= ?", [scope.name.clone().into(), bounds.first().into()])
            .and(&format!(" GROUP BY {HOUR}, x.state"), []);
        Ok(CountedRows::find_by_statement(sql.statement()).all(self.read()).await?)
    }

    async fn delivered_by_hour(&self, scope: &Scope, bounds: &HourBounds) -> Result<Vec<HourCount>, Error> {
        let (hour, values) = bounds.hour("a.seq");
        let text = format!(
            "SELECT {hour}, COUNT(DISTINCT a.seq) AS counted FROM lumo_delivery_attempts a
             LEFT JOIN lumo_exceptions x ON x.endpoint = a.endpoint AND x.seq = a.seq"
        );
        let delivered = " WHERE a.endpoint = ? AND a.seq >= ? AND a.result = 'delivered' AND x.seq IS NULL";
        let sql = Sql::new(self.backend(), &text, values)
            .and(delivered, [scope.name.clone().into(), bounds.first().into()])
            .and(&format!(" GROUP BY {HOUR}"), []);
        Ok(HourCount::find_by_statement(sql.statement()).all(self.read()).await?)
    }

    /// Counts events from a number on that are in ranges of this state.
    async fn held_by_hour(
        &self,
        scope: &Scope,
        bounds: &HourBounds,
        state: subscription::State,
        from: i64,
    ) -> Result<Vec<HourCount>, Error> {
        let Some(held) = held(scope, state, from, i64::MAX) else { return Ok(Vec::new()) };
        let (hour, values) = bounds.hour("e.seq");
        let text = format!(
            "SELECT {hour}, COUNT(*) AS counted FROM lumo_events e
             LEFT JOIN lumo_exceptions x ON x.seq = e.seq AND x.endpoint ="
        );
        let sql = Sql::new(self.backend(), &text, values).and(" ? WHERE x.seq IS NULL", [scope.name.clone().into()]);
        let sql = held.add_to(sql).and(&format!(" GROUP BY {HOUR}"), []);
        Ok(HourCount::find_by_statement(sql.statement()).all(self.read()).await?)
    }
}

fn place(hours: &mut [Hour], number: i64) -> Option<&mut Hour> {
    hours.get_mut(usize::try_from(number).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_hour_that_begins_before_an_event_is_its_hour() {
        let (sql, values) = HourBounds(vec![10, 20]).hour("e.seq");
        assert_eq!(sql, "CASE WHEN e.seq >= ? THEN ? WHEN e.seq >= ? THEN ? ELSE ? END AS hour_no");
        assert_eq!(values, [20_i64, 1, 10, 0, NO_HOUR].map(Value::from));
        // The second hour is empty, as the third begins with the same event.
        let bounds = HourBounds(vec![10, 20, 20]);
        assert_eq!([9, 10, 19, 20, 99].map(|seq| bounds.hour_of(seq)), [None, Some(0), Some(0), Some(2), Some(2)]);
    }
}
