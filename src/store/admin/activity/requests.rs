//! Counts the requests to Lumo per hour.

use chrono::{DateTime, Utc};
use lumo_bridge_entity::run;
use sea_orm::sea_query::{Alias, Expr, ExprTrait};
use sea_orm::{ColumnTrait, DbBackend, EntityTrait, QueryFilter, QuerySelect};

use super::{HOUR, Hour, HourCount, place};
use crate::model::Listing;
use crate::store::{Error, Store};

impl Store {
    /// Adds the requests of the rounds and full scans that began in each hour. What watched users take is not recorded.
    pub(super) async fn add_requests(&self, hours: &mut [Hour], until: DateTime<Utc>) -> Result<(), Error> {
        let Some(first) = hours.first() else { return Ok(()) };
        let started = || Expr::col(run::Column::StartedAt);
        // A sum of integers is a decimal on PostgreSQL and MySQL.
        let integer = if self.backend() == DbBackend::MySql { "SIGNED" } else { "BIGINT" };
        let counted = run::Entity::find()
            .select_only()
            .column_as(Self::hour_in(run::Column::StartedAt, hours), HOUR)
            .column_as(Expr::cust(format!("CAST(SUM(requests) AS {integer})")), "counted")
            // The listings are named because the key begins with them.
            .filter(run::Column::Listing.is_in(Listing::ALL.map(Listing::as_str)))
            .filter(started().gte(Expr::val(first.begins_at)))
            .filter(started().lt(Expr::val(until)))
            .group_by(Expr::col(Alias::new(HOUR)))
            .into_model::<HourCount>()
            .all(self.read())
            .await?;
        for row in counted {
            if let Some(hour) = place(hours, row.hour_no) {
                hour.requests = row.counted;
            }
        }
        Ok(())
    }
}
