//! Endpoints that change their state by themselves, each time with an event to the others.

use chrono::{DateTime, Utc};
use lumo_bridge_entity::endpoint::{self, State};
use lumo_bridge_entity::stream;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect};

use super::{Error, Store};
use crate::model::facts::{Turned, endpoint_event};
use crate::model::id::EndpointName;

/// A change of state.
#[derive(Clone, Copy, Debug)]
pub struct Turn<'a> {
    pub endpoint: &'a EndpointName,
    /// Nothing happens if it is in another state by now.
    pub from: State,
    pub to: State,
    /// Until when it is not to be called.
    pub hold_until: Option<DateTime<Utc>>,
    /// What the last attempt met.
    pub error: Option<&'a str>,
}

impl Store {
    /// Changes an endpoint's state and tells the others, in one transaction. Returns whether it was in the state that it is to
    /// leave. What failed while it was away is due when it is called again.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn turn_endpoint(&self, turn: Turn<'_>, now: DateTime<Utc>) -> Result<bool, Error> {
        let Turn { endpoint: name, from, to, hold_until, error } = turn;
        let generation = self.generation().await?;
        self.tx("endpoint.turn", |tx| async move {
            tx.lock_counter(stream::ALL).await?;
            let row = endpoint::Entity::find_by_id(name.clone()).lock_exclusive().one(tx.session()).await?;
            let Some(row) = row.filter(|row| row.state == from) else { return Ok(false) };
            endpoint::Entity::update_many()
                .col_expr(endpoint::Column::State, Expr::value(to.as_str()))
                .col_expr(endpoint::Column::Since, Expr::value(now))
                .col_expr(endpoint::Column::HoldUntil, Expr::value(hold_until))
                .filter(endpoint::Column::Name.eq(name.clone()))
                .exec(tx.session())
                .await?;
            if to == State::Active {
                tx.begin_anew(name, now).await?;
                tx.note_queued();
            }
            let (since, consecutive_failures) = (row.since, row.consecutive_failures);
            let turned = Turned { endpoint: name, from, to, since, consecutive_failures, error };
            tx.publish_but(vec![endpoint_event(&turned, generation, now)?], Some(name), now).await?;
            Ok(true)
        })
        .await
    }

    /// Sets when an endpoint that fails is probed next.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn probe_endpoint_at(&self, name: &EndpointName, at: DateTime<Utc>) -> Result<(), Error> {
        self.tx("endpoint.probe", |tx| async move {
            endpoint::Entity::update_many()
                .col_expr(endpoint::Column::HoldUntil, Expr::value(at))
                .filter(endpoint::Column::Name.eq(name.clone()))
                .filter(endpoint::Column::State.eq(State::Failing))
                .exec(tx.session())
                .await?;
            Ok(())
        })
        .await
    }
}
