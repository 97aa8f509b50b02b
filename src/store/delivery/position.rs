//! Reads and locks positions: one narrow row per endpoint with its position, epoch and revision.
//!
//! A position moves in a group commit ([`super::commit`]), and back to the end of the log when an operator resumes an
//! endpoint after a restore.

use lumo_bridge_entity::position;
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QuerySelect};

use super::Delivery;
use crate::model::id::EndpointName;
use crate::store::{Ending, Error, Store, Tx};

impl Store {
    /// The position row of an endpoint; none if it was never registered.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn position(&self, endpoint: &EndpointName) -> Result<Option<position::Model>, Error> {
        Ok(position::Entity::find_by_id(endpoint.clone()).one(self.read()).await?)
    }

    /// The position rows of all endpoints.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn positions(&self) -> Result<Vec<position::Model>, Error> {
        Ok(position::Entity::find().all(self.read()).await?)
    }

    /// The position rows of endpoints that commands have changed since their leaders' last read.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn commanded(&self) -> Result<Vec<position::Model>, Error> {
        let unseen = Expr::col(position::Column::Revision).gt(Expr::col(position::Column::Seen));
        Ok(position::Entity::find().filter(unseen).all(self.read()).await?)
    }

    /// As [`Store::position`], but waits for a transaction that is writing the row: for a leader that does not know the
    /// result of its last commit.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn confirmed_position(&self, endpoint: &EndpointName) -> Result<Option<position::Model>, Error> {
        // Nothing is written, so that nothing is to be committed, nor called unwritten where the database is away.
        let read = |tx: Tx| async move { tx.delivery().lock(endpoint).await };
        self.tx_ending("delivery.position", Ending::RollBack, read).await
    }
}

impl Delivery<'_> {
    /// Raises the endpoint's revision and returns the new row, locked; none if there is no such endpoint. Comes before
    /// every change of the endpoint's deliveries. The dispatchers wake up after the commit.
    pub(in crate::store) async fn turnstile(&self, endpoint: &EndpointName) -> Result<Option<position::Model>, Error> {
        let raised = position::Entity::update_many()
            .col_expr(position::Column::Revision, Expr::col(position::Column::Revision).add(1))
            .filter(position::Column::Endpoint.eq(endpoint.clone()))
            .exec(self.tx.session())
            .await?;
        if raised.rows_affected == 0 {
            return Ok(None);
        }
        self.tx.wake_after_commit();
        Ok(position::Entity::find_by_id(endpoint.clone()).one(self.tx.session()).await?)
    }

    /// The endpoint's row, locked until the transaction ends.
    pub(super) async fn lock(&self, endpoint: &EndpointName) -> Result<Option<position::Model>, Error> {
        let row = position::Entity::find_by_id(endpoint.clone()).lock_exclusive();
        Ok(row.one(self.tx.session()).await?)
    }

    /// Sets the position of a new endpoint to the end of the log.
    pub(in crate::store) async fn begin_at(&self, endpoint: &EndpointName, last: i64) -> Result<(), Error> {
        let row = position::ActiveModel {
            endpoint: Set(endpoint.clone()),
            position: Set(last),
            epoch: Set(0),
            revision: Set(0),
            commits: Set(0),
            seen: Set(0),
        };
        position::Entity::insert(row).exec_without_returning(self.tx.session()).await?;
        Ok(())
    }
}
