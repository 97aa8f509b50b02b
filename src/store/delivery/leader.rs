//! Writes heartbeats, and gives the lead of an endpoint to one process at a time.
//!
//! A process has one heartbeat, and an endpoint names the process that leads it. Clocks of processes are not compared.
//! A process takes the lead from one whose heartbeat it has seen unchanged for the length of the lease, by its own
//! clock, or whose [lock](crate::store) is gone. Each new leader gets an epoch of its own, and nothing is written for
//! an endpoint under another epoch.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use lumo_bridge_entity::exception::{self, State};
use lumo_bridge_entity::{endpoint, position, process};
use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder};

use super::Delivery;
use crate::model::id::EndpointName;
use crate::store::db::process_locks::instance;
use crate::store::{Error, Store};

impl Store {
    /// A new number for a process that will deliver. It tells others which lock shows that the process is alive.
    #[must_use]
    pub fn new_process(&self) -> i64 {
        let process = self.new_token();
        self.inner.process.note_number(process);
        process
    }

    /// Whether this process delivers, or has delivered before it reloaded its configuration, under this number.
    #[must_use]
    pub fn has_number(&self, process: i64) -> bool {
        self.inner.process.has_number(process)
    }

    /// Writes the heartbeat of the process, and the endpoints in its configuration.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn beat(&self, process: i64, beat: i64, endpoints: &str, now: DateTime<Utc>) -> Result<(), Error> {
        let row = || process::ActiveModel {
            process: Set(process),
            beat: Set(beat),
            started_at: Set(now),
            endpoints: Set(endpoints.to_owned()),
        };
        self.tx("process.beat", |tx| async move {
            let beaten = process::Entity::update_many()
                .col_expr(process::Column::Beat, Expr::value(beat))
                .filter(process::Column::Process.eq(process))
                .exec(tx.session())
                .await?;
            if beaten.rows_affected == 0 {
                process::Entity::insert(row())
                    .on_conflict(
                        OnConflict::column(process::Column::Process).update_column(process::Column::Beat).to_owned(),
                    )
                    .exec_without_returning(tx.session())
                    .await?;
            }
            Ok(())
        })
        .await
    }

    /// Every process in the table. Dead ones stay until another process [removes](Self::forget_processes) them.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn processes(&self) -> Result<Vec<process::Model>, Error> {
        Ok(process::Entity::find().order_by_asc(process::Column::Process).all(self.read()).await?)
    }

    /// The processes that are not known to be dead. With SQLite, dead ones are included until another process starts. A
    /// process without a lock is included until its heartbeat has not changed for long enough.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn living_processes(&self) -> Result<HashSet<i64>, Error> {
        let mut living = HashSet::new();
        for row in self.processes().await? {
            if self.lives(instance(row.process)).await? {
                living.insert(row.process);
            }
        }
        Ok(living)
    }

    /// Removes dead processes from the table.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn forget_processes(&self, dead: &[i64]) -> Result<(), Error> {
        self.tx("process.forget", |tx| async move {
            process::Entity::delete_many()
                .filter(process::Column::Process.is_in(dead.iter().copied()))
                .exec(tx.session())
                .await?;
            Ok(())
        })
        .await
    }

    /// Takes the lead of an endpoint from the process `from`, unless the leader has changed since. Deliveries that the
    /// former leader had in flight are due when they count as lost, or at once if it is dead. Returns the endpoint's
    /// position row; none if the lead was not taken.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn take_lead(
        &self,
        endpoint: &EndpointName,
        process: i64,
        from: Option<i64>,
        is_dead: bool,
        now: DateTime<Utc>,
    ) -> Result<Option<position::Model>, Error> {
        self.tx("delivery.lead", |tx| async move {
            let Some(row) = tx.delivery().lock(endpoint).await? else { return Ok(None) };
            let mut taken = endpoint::Entity::update_many()
                .col_expr(endpoint::Column::Process, Expr::value(process))
                .filter(endpoint::Column::Name.eq(endpoint.clone()));
            taken = match from {
                Some(from) => taken.filter(endpoint::Column::Process.eq(from)),
                None => taken.filter(endpoint::Column::Process.is_null()),
            };
            if taken.exec(tx.session()).await?.rows_affected == 0 {
                return Ok(None);
            }
            let row = position::Model { epoch: row.epoch + 1, revision: row.revision + 1, ..row };
            position::Entity::update_many()
                .col_expr(position::Column::Epoch, Expr::value(row.epoch))
                .col_expr(position::Column::Revision, Expr::value(row.revision))
                .filter(position::Column::Endpoint.eq(endpoint.clone()))
                .exec(tx.session())
                .await?;
            if is_dead {
                tx.delivery().release_sending(endpoint, now).await?;
            }
            Ok(Some(row))
        })
        .await
    }

    /// Gives up the lead, so that another process need not wait. Does nothing if it was lost already.
    ///
    /// # Errors
    /// If the database fails; the lead stays on record then, until the process gives it up or is gone.
    pub async fn give_up_lead(&self, endpoint: &EndpointName, process: i64, now: DateTime<Utc>) -> Result<(), Error> {
        self.tx("delivery.give_up", |tx| async move {
            let given = endpoint::Entity::update_many()
                .col_expr(endpoint::Column::Process, Expr::value(Option::<i64>::None))
                .filter(endpoint::Column::Name.eq(endpoint.clone()))
                .filter(endpoint::Column::Process.eq(process))
                .exec(tx.session())
                .await?;
            if given.rows_affected > 0 {
                // Processes that wait for the lead check at once.
                tx.delivery().release_sending(endpoint, now).await?;
                tx.wake_after_commit();
            }
            Ok(())
        })
        .await
    }
}

impl Delivery<'_> {
    /// Makes the rows due that the former leader had in flight.
    async fn release_sending(&self, endpoint: &EndpointName, now: DateTime<Utc>) -> Result<(), Error> {
        exception::Entity::update_many()
            .col_expr(exception::Column::NextAttemptAt, Expr::value(now))
            .filter(exception::Column::Endpoint.eq(endpoint.clone()))
            .filter(exception::Column::State.eq(State::Sending))
            .exec(self.tx.session())
            .await?;
        Ok(())
    }
}
