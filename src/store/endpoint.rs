//! Reads endpoints and changes their states (`lumo_endpoints`).

mod register;

pub use register::Registered;

use chrono::{DateTime, Utc};
use lumo_bridge_entity::endpoint::{self, State};
use lumo_bridge_entity::operator_action::Action;
use lumo_bridge_entity::position;
use sea_orm::sea_query::Expr;
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::{Deed, Error, Store, Tx};
use crate::model::actor::Actor;
use crate::model::id::EndpointName;

impl Store {
    /// One endpoint's row.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn endpoint(&self, name: &EndpointName) -> Result<Option<endpoint::Model>, Error> {
        Ok(endpoint::Entity::find_by_id(name.clone()).one(self.read()).await?)
    }

    /// Every endpoint that ever was configured.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn endpoints(&self) -> Result<Vec<endpoint::Model>, Error> {
        Ok(endpoint::Entity::find().order_by_asc(endpoint::Column::Name).all(self.read()).await?)
    }

    /// The endpoints that no process leads.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn unled(&self) -> Result<Vec<EndpointName>, Error> {
        let query = endpoint::Entity::find()
            .select_only()
            .column(endpoint::Column::Name)
            .filter(endpoint::Column::Process.is_null())
            .filter(endpoint::Column::RemovedAt.is_null());
        Ok(query.into_tuple().all(self.read()).await?)
    }

    /// Sets the state by an operator's command: `active` removes every hold and resets the count of failures. Returns
    /// the endpoint's position row, with the revision that the leader has not seen yet; none if there is no such
    /// endpoint.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn set_endpoint_state(
        &self,
        name: &EndpointName,
        state: State,
        by: &Actor,
        now: DateTime<Utc>,
    ) -> Result<Option<position::Model>, Error> {
        self.tx("endpoint.state", |tx| async move {
            // A resume also corrects a position after the end of the log, as after a restored backup.
            let last = if state == State::Active { Some(tx.log().lock().await?) } else { None };
            let Some(mut position) = tx.delivery().turnstile(name).await? else { return Ok(None) };
            let Some(row) = endpoint::Entity::find_by_id(name.clone()).one(tx.session()).await? else {
                return Ok(None);
            };
            let mut set = endpoint::ActiveModel { hold_until: Set(None), ..Default::default() };
            if row.state != state {
                set.state = Set(state);
                set.since = Set(now);
            }
            if state == State::Active {
                set.consecutive_failures = Set(0);
            }
            tx.set_endpoint(name, set).await?;
            let mut is_changed = row.state != state;
            if state == State::Active {
                let pulled = tx.delivery().pull_forward(name, i32::MAX, now).await?;
                is_changed |= pulled > 0 || row.consecutive_failures > 0 || row.hold_until.is_some();
            }
            if let Some(last) = last.filter(|last| *last < position.position) {
                is_changed = true;
                position.position = last;
                position::Entity::update_many()
                    .col_expr(position::Column::Position, Expr::value(last))
                    .filter(position::Column::Endpoint.eq(name.clone()))
                    .exec(tx.session())
                    .await?;
            }
            if is_changed && let Some(action) = action(state) {
                tx.record(by, vec![Deed::new(action, name)], now).await?;
            }
            Ok(Some(position))
        })
        .await
    }
}

impl Tx {
    async fn set_endpoint(&self, name: &EndpointName, row: endpoint::ActiveModel) -> Result<(), Error> {
        let update = endpoint::Entity::update_many().set(row).filter(endpoint::Column::Name.eq(name.clone()));
        Ok(update.exec(self.session()).await.map(drop)?)
    }
}

/// The operator's action that sets this state.
const fn action(state: State) -> Option<Action> {
    match state {
        State::Paused => Some(Action::Pause),
        State::Active => Some(Action::Resume),
        State::Failing | State::Suspended => None,
    }
}
