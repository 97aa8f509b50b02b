//! What the operator does to single deliveries.

use chrono::{DateTime, Utc};
use lumo_bridge_entity::delivery::{self, State};
use lumo_bridge_entity::stream;
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};

use super::{Error, Store};
use crate::model::id::DeliveryId;

/// What became of a request to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retried {
    /// It is due now.
    Due,
    /// There is no such delivery.
    Unknown,
    /// It is delivered, under way, or waits behind another of its lane; nothing was changed.
    Untouched(State),
}

impl Store {
    /// Makes a delivery due now. A dead one gets one more attempt, outside the order of its lane: what came after it has
    /// passed it long ago.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn retry_delivery(&self, id: &DeliveryId, now: DateTime<Utc>) -> Result<Retried, Error> {
        self.tx("delivery.retry", |tx| async move {
            tx.lock_counter(stream::ALL).await?;
            let Some(row) = delivery::Entity::find_by_id(id.clone()).one(tx.session()).await? else {
                return Ok(Retried::Unknown);
            };
            let waits_its_turn = row.state == State::Pending && row.next_attempt_at.is_none();
            if matches!(row.state, State::Delivered | State::Sending) || waits_its_turn {
                return Ok(Retried::Untouched(row.state));
            }
            let waiting = matches!(row.state, State::Pending | State::Held);
            let state = if waiting && row.attempts == 0 { State::Pending } else { State::Retrying };
            delivery::Entity::update_many()
                .col_expr(delivery::Column::State, Expr::value(state.as_str()))
                .col_expr(delivery::Column::NextAttemptAt, Expr::value(now))
                .filter(delivery::Column::Id.eq(id.clone()))
                .filter(delivery::Column::State.eq(row.state))
                .filter(Expr::col(delivery::Column::State).ne(State::Sending.as_str()))
                .exec(tx.session())
                .await?;
            tx.note_queued();
            Ok(Retried::Due)
        })
        .await
    }
}
