//! Writes the endpoint's own state in a group commit, and publishes the events about it.

use chrono::{DateTime, Utc};
use lumo_bridge_entity::endpoint;
use lumo_bridge_entity::exception::{self, State};
use sea_orm::sea_query::Expr;
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter};

use super::Item;
use crate::model::facts::{Died, Turned, dead_event, endpoint_event};
use crate::model::id::{DeliveryId, EndpointName};
use crate::model::retry::EARLY_TRIES;
use crate::store::Error;
use crate::store::delivery::Delivery;
use crate::store::log::Audience;

/// The changes of the endpoint's own row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointNote {
    /// The state that the endpoint is in, or turns to.
    pub state: endpoint::State,
    pub consecutive_failures: i32,
    pub last_success_at: Option<DateTime<Utc>>,
    /// The error of the last attempt; none if it succeeded.
    pub last_error: Option<String>,
    pub hold_until: Option<DateTime<Utc>>,
    pub transition: Option<StateTransition>,
}

/// An automatic change of an endpoint's state. The other endpoints receive an event about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateTransition {
    pub from: endpoint::State,
    pub to: endpoint::State,
}

impl Delivery<'_> {
    pub(super) async fn publish_death(
        &self,
        endpoint: &EndpointName,
        item: &Item,
        generation: &str,
        now: DateTime<Utc>,
    ) -> Result<(), Error> {
        let delivery = DeliveryId { event: item.event.clone(), endpoint: endpoint.clone() };
        let attempt = item.attempt.as_ref();
        let died = Died {
            delivery: &delivery,
            attempts: u32::try_from(item.attempts).unwrap_or(0),
            status: attempt.and_then(|attempt| attempt.status),
            error: attempt.and_then(|attempt| attempt.error.as_deref()),
        };
        let draft = dead_event(&died, generation, now)?;
        self.tx.log().append(vec![draft], Audience::AllBut(endpoint), now).await.map(drop)
    }

    /// Writes the changes of the endpoint's row, unless an operator has changed its state meanwhile: a transition applies
    /// only in the state that it leaves, and anything else only in the state that it was noted in. Returns whether rows have become due.
    pub(super) async fn write_note(
        &self,
        name: &EndpointName,
        note: &EndpointNote,
        generation: &str,
        now: DateTime<Utc>,
    ) -> Result<bool, Error> {
        let mut row = endpoint::ActiveModel {
            consecutive_failures: Set(note.consecutive_failures),
            last_error: Set(note.last_error.clone()),
            hold_until: Set(note.hold_until),
            ..Default::default()
        };
        if note.last_success_at.is_some() {
            row.last_success_at = Set(note.last_success_at);
        }
        let update = |row| {
            let update = endpoint::Entity::update_many().set(row);
            update.filter(endpoint::Column::Name.eq(name.clone()))
        };
        let Some(StateTransition { from, to }) = note.transition else {
            update(row).filter(endpoint::Column::State.eq(note.state)).exec(self.tx.session()).await?;
            return Ok(false);
        };
        let before = endpoint::Entity::find_by_id(name.clone()).one(self.tx.session()).await?;
        let Some(before) = before.filter(|before| before.state == from) else { return Ok(false) };
        row.state = Set(to);
        row.since = Set(now);
        update(row).exec(self.tx.session()).await?;
        let turned = Turned {
            endpoint: name,
            from,
            to,
            since: before.since,
            consecutive_failures: note.consecutive_failures,
            error: note.last_error.as_deref(),
        };
        let draft = endpoint_event(&turned, generation, now)?;
        self.tx.log().append(vec![draft], Audience::AllBut(name), now).await?;
        if to == endpoint::State::Active {
            self.pull_forward(name, EARLY_TRIES, now).await?;
        }
        Ok(to == endpoint::State::Active)
    }

    /// Makes the failed deliveries of at most so many tries due. Returns how many.
    pub(in crate::store) async fn pull_forward(
        &self,
        name: &EndpointName,
        tries: i32,
        now: DateTime<Utc>,
    ) -> Result<u64, Error> {
        let pulled = exception::Entity::update_many()
            .col_expr(exception::Column::NextAttemptAt, Expr::value(now))
            .filter(exception::Column::Endpoint.eq(name.clone()))
            .filter(exception::Column::State.eq(State::Retrying))
            .filter(exception::Column::Tries.lte(tries))
            .filter(exception::Column::NextAttemptAt.gt(now))
            .exec(self.tx.session())
            .await?;
        Ok(pulled.rows_affected)
    }
}
