//! Counts the requests to Lumo of an hour.

use chrono::{DateTime, Utc};
use lumo_bridge_entity::run;
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ColumnTrait, DbBackend, EntityTrait, QueryFilter, QuerySelect};

use super::Counted;
use crate::model::Listing;
use crate::store::{Error, Store};

impl Store {
    /// The requests of the rounds and full scans that began between these times. Requests for watched users
    /// are not recorded.
    pub(super) async fn requests_in(&self, from: DateTime<Utc>, until: DateTime<Utc>) -> Result<i64, Error> {
        let started = || Expr::col(run::Column::StartedAt);
        // A sum of integers is a decimal on PostgreSQL and MySQL.
        let integer = if self.backend() == DbBackend::MySql { "SIGNED" } else { "BIGINT" };
        let counted = run::Entity::find()
            .select_only()
            .column_as(Expr::cust(format!("CAST(COALESCE(SUM(requests), 0) AS {integer})")), "counted")
            // The listings are named because the key begins with them.
            .filter(run::Column::Listing.is_in(Listing::ALL.map(Listing::as_str)))
            .filter(started().gte(Expr::val(from)))
            .filter(started().lt(Expr::val(until)))
            .into_model::<Counted>()
            .one(self.read())
            .await?;
        Ok(counted.map_or(0, |row| row.counted))
    }
}
