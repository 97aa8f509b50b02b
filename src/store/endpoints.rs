//! How the configured endpoints fare: `lumo_endpoints`.

use chrono::{DateTime, Utc};
use lumo_bridge_entity::delivery;
use lumo_bridge_entity::endpoint::{self, State};
use sea_orm::sea_query::Expr;
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::mirror::time;
use super::{Error, Store, Tx};
use crate::model::id::EndpointName;
use crate::model::subscriber::Subscriber;

/// What is new about the endpoints of the configuration.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Registered {
    /// Never seen in this database.
    pub new: Vec<EndpointName>,
    /// Seen before, and not configured until now.
    pub put_back: Vec<EndpointName>,
    /// No longer configured.
    pub removed: Vec<EndpointName>,
    /// They ask for other history than they did when they were new, which is too late.
    pub late: Vec<EndpointName>,
}

impl Store {
    /// Makes the table say which endpoints there are: those of the configuration, and those that once were in it.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn register_endpoints(&self, now: DateTime<Utc>) -> Result<Registered, Error> {
        self.tx("endpoint.register", |tx| async move {
            let mut registered = Registered::default();
            let known = endpoint::Entity::find().order_by_asc(endpoint::Column::Name);
            let known = known.lock_exclusive().all(tx.session()).await?;
            let subscribers = tx.store().subscribers();
            for Subscriber { endpoint: name, history, .. } in subscribers {
                let Some(row) = known.iter().find(|row| row.name == *name) else {
                    tx.add_endpoint(name, *history, now).await?;
                    registered.new.push(name.clone());
                    continue;
                };
                if history.is_some() && *history != row.backfill_since {
                    registered.late.push(name.clone());
                }
                if row.removed_at.is_some() {
                    tx.put_back_endpoint(row, now).await?;
                    registered.put_back.push(name.clone());
                }
            }
            let is_configured = |name: &EndpointName| subscribers.iter().any(|known| known.endpoint == *name);
            for row in known.into_iter().filter(|row| row.removed_at.is_none() && !is_configured(&row.name)) {
                let removed = endpoint::ActiveModel { removed_at: Set(Some(now)), ..Default::default() };
                tx.set_endpoint(&row.name, removed).await?;
                registered.removed.push(row.name);
            }
            Ok(registered)
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
                    let turned = endpoint::ActiveModel {
                        state: Set(state),
                        since: Set(now),
                        hold_until: Set(None),
                        ..Default::default()
                    };
                    tx.set_endpoint(name, turned).await?;
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
    async fn add_endpoint(
        &self,
        name: &EndpointName,
        history: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> Result<(), Error> {
        let row = endpoint::ActiveModel {
            name: Set(name.clone()),
            state: Set(State::Active),
            since: Set(now),
            consecutive_failures: Set(0),
            last_success_at: Set(None),
            hold_until: Set(None),
            removed_at: Set(None),
            backfill_since: Set(None),
            backfill_place: Set(None),
            backfill_done_at: Set(None),
        };
        endpoint::Entity::insert(row).exec_without_returning(self.session()).await?;
        if history.is_some() {
            endpoint::Entity::update_many()
                .col_expr(endpoint::Column::BackfillSince, Expr::value(time(history, self.backend())))
                .filter(endpoint::Column::Name.eq(name.clone()))
                .exec(self.session())
                .await?;
        }
        Ok(())
    }

    /// What waits for an endpoint that is configured again is due. One that failed is probed at once, and has the whole time
    /// before it: nobody called it meanwhile. What the operator or the endpoint itself decided still holds.
    async fn put_back_endpoint(&self, row: &endpoint::Model, now: DateTime<Utc>) -> Result<(), Error> {
        let mut back = endpoint::ActiveModel { removed_at: Set(None), ..Default::default() };
        if row.state == State::Failing {
            (back.since, back.hold_until) = (Set(now), Set(None));
        }
        self.set_endpoint(&row.name, back).await?;
        if row.state == State::Active { self.begin_anew(&row.name, now).await } else { Ok(()) }
    }

    async fn set_endpoint(&self, name: &EndpointName, row: endpoint::ActiveModel) -> Result<(), Error> {
        let update = endpoint::Entity::update_many().set(row).filter(endpoint::Column::Name.eq(name.clone()));
        Ok(update.exec(self.session()).await.map(drop)?)
    }

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
