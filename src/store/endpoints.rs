//! How the configured endpoints fare: `lumo_endpoints`.

use chrono::{DateTime, Utc};
use lumo_bridge_entity::delivery;
use lumo_bridge_entity::endpoint::{self, State};
use sea_orm::sea_query::Expr;
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder};

use super::{Error, Store, Tx};
use crate::model::id::EndpointName;

impl Store {
    /// Makes a row for each subscriber that has none.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn register_endpoints(&self, now: DateTime<Utc>) -> Result<(), Error> {
        self.tx("endpoint.register", |tx| async move {
            let known = endpoint::Entity::find().all(tx.session()).await?;
            for subscriber in tx.store().subscribers() {
                if known.iter().any(|row| row.name == subscriber.endpoint) {
                    continue;
                }
                let row = endpoint::ActiveModel {
                    name: Set(subscriber.endpoint.clone()),
                    state: Set(State::Active),
                    since: Set(now),
                    consecutive_failures: Set(0),
                    last_success_at: Set(None),
                    hold_until: Set(None),
                };
                endpoint::Entity::insert(row).exec_without_returning(tx.session()).await?;
            }
            Ok(())
        })
        .await
    }

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

    /// Sets the state, by order of the operator. Returns whether there is such an endpoint.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn set_endpoint_state(
        &self,
        name: &EndpointName,
        state: State,
        now: DateTime<Utc>,
    ) -> Result<bool, Error> {
        let found = self
            .tx("endpoint.state", |tx| async move {
                let Some(row) = endpoint::Entity::find_by_id(name.clone()).one(tx.session()).await? else {
                    return Ok(false);
                };
                if row.state != state {
                    endpoint::Entity::update_many()
                        .set(endpoint::ActiveModel {
                            state: Set(state),
                            since: Set(now),
                            hold_until: Set(None),
                            ..Default::default()
                        })
                        .filter(endpoint::Column::Name.eq(name.clone()))
                        .exec(tx.session())
                        .await?;
                }
                if state == State::Active {
                    tx.begin_anew(name, now).await?;
                }
                Ok(true)
            })
            .await?;
        if found {
            self.wake();
        }
        Ok(found)
    }
}

impl Tx {
    /// An endpoint that is called again is judged anew, and what failed while it was away need not wait any longer.
    pub(super) async fn begin_anew(&self, name: &EndpointName, now: DateTime<Utc>) -> Result<(), Error> {
        endpoint::Entity::update_many()
            .col_expr(endpoint::Column::ConsecutiveFailures, Expr::value(0))
            .filter(endpoint::Column::Name.eq(name.clone()))
            .exec(self.session())
            .await?;
        delivery::Entity::update_many()
            .col_expr(delivery::Column::NextAttemptAt, Expr::value(now))
            .filter(delivery::Column::Endpoint.eq(name.clone()))
            .filter(delivery::Column::NextAttemptAt.gt(now))
            .filter(delivery::Column::State.eq(delivery::State::Retrying))
            .exec(self.session())
            .await?;
        Ok(())
    }
}
