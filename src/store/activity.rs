//! What went on in the last hours, counted.
//!
//! Only the hours are looked at, however much is stored: deposits along the key of their times, deliveries along their ids,
//! which sort by age.

use chrono::{DateTime, TimeDelta, Utc};
use lumo_bridge_entity::delivery::{self, State};
use lumo_bridge_entity::deposit;
use sea_orm::sea_query::{Alias, CaseStatement, Expr, ExprTrait};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect};

use super::mirror::time;
use super::{Error, Store};
use crate::model::id::EndpointName;

/// The name of the column that says which hour.
const HOUR: &str = "hour_no";

/// An hour and what fell into it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hour {
    pub begins_at: DateTime<Utc>,
    pub deposits: i64,
    /// Deliveries that were queued in it, by endpoint and the state that they have now.
    pub deliveries: Vec<(EndpointName, State, i64)>,
}

impl Store {
    /// The last so many hours before a time, the oldest first.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn activity(&self, until: DateTime<Utc>, hours: i32) -> Result<Vec<Hour>, Error> {
        let begin = |ago: i32| until - TimeDelta::hours(ago.into());
        let hour = |ago| Hour { begins_at: begin(ago), deposits: 0, deliveries: Vec::new() };
        let mut all: Vec<Hour> = (1..=hours).rev().map(hour).collect();
        let bounds: Vec<DateTime<Utc>> = all.iter().map(|hour| hour.begins_at).collect();
        let at = |moment| Expr::val(time(Some(moment), self.backend()));

        let deposits: Vec<(i64, i64)> = deposit::Entity::find()
            .select_only()
            .column_as(self.hour_of(Expr::col(deposit::Column::CreatedAt), &bounds), HOUR)
            .column_as(deposit::Column::Id.count(), "counted")
            .filter(Expr::col(deposit::Column::CreatedAt).gte(at(begin(hours))))
            .filter(Expr::col(deposit::Column::CreatedAt).lt(at(until)))
            .group_by(Expr::col(Alias::new(HOUR)))
            .into_tuple()
            .all(self.read())
            .await?;
        for (hour, counted) in deposits {
            if let Some(hour) = place(&mut all, hour) {
                hour.deposits = counted;
            }
        }

        let first = self.first_delivery_since(begin(hours)).await?;
        let deliveries: Vec<(i64, EndpointName, State, i64)> = delivery::Entity::find()
            .select_only()
            .column_as(self.hour_of(Expr::col(delivery::Column::CreatedAt), &bounds), HOUR)
            .columns([delivery::Column::Endpoint, delivery::Column::State])
            .column_as(delivery::Column::Id.count(), "counted")
            .filter(delivery::Column::Id.gte(first))
            .filter(Expr::col(delivery::Column::CreatedAt).lt(at(until)))
            .group_by(Expr::col(Alias::new(HOUR)))
            .group_by(delivery::Column::Endpoint)
            .group_by(delivery::Column::State)
            .into_tuple()
            .all(self.read())
            .await?;
        for (hour, endpoint, state, counted) in deliveries {
            if let Some(hour) = place(&mut all, hour) {
                hour.deliveries.push((endpoint, state, counted));
            }
        }
        Ok(all)
    }

    /// The number of the hour that a time falls into: of the last one that begins before it.
    fn hour_of(&self, column: Expr, bounds: &[DateTime<Utc>]) -> Expr {
        let numbered: Vec<_> = (0_i64..).zip(bounds).collect();
        let case = numbered.into_iter().rev().fold(CaseStatement::new(), |case, (number, begin)| {
            case.case(column.clone().gte(Expr::val(time(Some(*begin), self.backend()))), Expr::val(number))
        });
        case.finally(Expr::val(-1_i64)).into()
    }
}

fn place(hours: &mut [Hour], number: i64) -> Option<&mut Hour> {
    hours.get_mut(usize::try_from(number).ok()?)
}
