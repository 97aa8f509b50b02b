//! Registers the endpoints of the configuration, with what each wants from now on, and removes the others.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use lumo_bridge_entity::endpoint::{self, State};
use lumo_bridge_entity::process;
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder};

use crate::model::id::EndpointName;
use crate::model::subscriber::Subscriber;
use crate::store::mirror::insert_rows;
use crate::store::{Error, Store, Tx};

/// How the endpoints of the configuration differ from those in the tables.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Registered {
    /// Never seen in this database.
    pub new: Vec<EndpointName>,
    /// Removed before, and configured again now.
    pub put_back: Vec<EndpointName>,
    /// No longer configured.
    pub removed: Vec<EndpointName>,
    /// Their `backfill` is not the one that they were new with, which has no effect.
    pub late: Vec<EndpointName>,
}

impl Store {
    /// Registers the endpoints and the event types that they want, for a process that delivers. `process` is its own
    /// number.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn register_endpoints(&self, process: i64, now: DateTime<Utc>) -> Result<Registered, Error> {
        self.tx("endpoint.register", |tx| async move {
            let last = tx.log().lock().await?;
            let mut registered = tx.add_endpoints(last, now).await?;
            let others = tx.others(process).await?;
            for subscriber in tx.store().subscribers() {
                tx.settle_endpoint(subscriber, last).await?;
            }
            registered.removed = tx.remove_endpoints(&others, last, now).await?;
            Ok(registered)
        })
        .await
    }

    /// Registers this process's settings for these endpoints, except for those for which another process has registered
    /// other settings since these rows were read. Returns the endpoints that have this process's settings now.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn reclaim_endpoints(&self, orphaned: &[endpoint::Model]) -> Result<Vec<EndpointName>, Error> {
        self.tx("endpoint.reclaim", |tx| async move {
            let last = tx.log().lock().await?;
            let mut reclaimed = Vec::new();
            for seen in orphaned {
                let unchanged = endpoint::Entity::find()
                    .filter(endpoint::Column::Name.eq(seen.name.clone()))
                    .filter(endpoint::Column::Fingerprint.eq(seen.fingerprint))
                    .filter(endpoint::Column::RemovedAt.is_null())
                    .one(tx.session())
                    .await?;
                let own = tx.store().subscribers().iter().find(|own| own.endpoint == seen.name);
                if let (Some(_), Some(own)) = (unchanged, own) {
                    tx.settle_endpoint(own, last).await?;
                    reclaimed.push(seen.name.clone());
                }
            }
            Ok(reclaimed)
        })
        .await
    }

    /// Adds the endpoints that are not in the tables, for a process that publishes without delivering. Existing
    /// endpoints do not change.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn introduce_endpoints(&self, now: DateTime<Utc>) -> Result<(), Error> {
        let known = self.endpoints().await?;
        let is_known = |subscriber: &Subscriber| known.iter().any(|row| row.name == subscriber.endpoint);
        if self.subscribers().iter().all(is_known) {
            return Ok(());
        }
        self.tx("endpoint.introduce", |tx| async move {
            let last = tx.log().lock().await?;
            for name in tx.add_endpoints(last, now).await?.new {
                if let Some(subscriber) = tx.store().subscribers().iter().find(|known| known.endpoint == name) {
                    tx.log().subscribe(&name, &subscriber.patterns.wanted().collect(), last).await?;
                }
            }
            Ok(())
        })
        .await
    }

    /// Marks endpoints as removed that no live process has in its configuration, and closes their ranges. Returns them.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn remove_endpoints(&self, process: i64, now: DateTime<Utc>) -> Result<Vec<EndpointName>, Error> {
        let rows = self.endpoints().await?;
        let is_own = |row: &endpoint::Model| self.subscribers().iter().any(|known| known.endpoint == row.name);
        if rows.iter().all(|row| row.removed_at.is_some() || is_own(row)) {
            return Ok(Vec::new());
        }
        self.tx("endpoint.remove", |tx| async move {
            let last = tx.log().lock().await?;
            let others = tx.others(process).await?;
            tx.remove_endpoints(&others, last, now).await
        })
        .await
    }
}

/// The endpoints of a process, with the fingerprints of their settings.
type Known = BTreeMap<EndpointName, i64>;

impl Tx {
    /// The endpoints of the other processes. This process before it reloaded its configuration counts as another one.
    async fn others(&self, process: i64) -> Result<Vec<Known>, Error> {
        let rows = process::Entity::find().filter(process::Column::Process.ne(process)).all(self.session()).await?;
        Ok(rows.iter().map(|row| serde_json::from_str(&row.endpoints).unwrap_or_default()).collect())
    }

    /// Gives an endpoint the settings of this process, and the ranges of what it wants after `last`.
    async fn settle_endpoint(&self, subscriber: &Subscriber, last: i64) -> Result<(), Error> {
        let name = &subscriber.endpoint;
        self.delivery().turnstile(name).await?;
        let form = endpoint::ActiveModel {
            ordering: Set(subscriber.order.as_str().to_owned()),
            fingerprint: Set(subscriber.fingerprint),
            lease_ms: Set(lease_ms(subscriber)),
            ..Default::default()
        };
        self.set_endpoint(name, form).await?;
        self.log().subscribe(name, &subscriber.patterns.wanted().collect(), last).await
    }

    /// Adds the endpoints of the configuration that are not in the tables, and puts back those that were removed.
    async fn add_endpoints(&self, last: i64, now: DateTime<Utc>) -> Result<Registered, Error> {
        let known = endpoint::Entity::find().order_by_asc(endpoint::Column::Name).all(self.session()).await?;
        let mut registered = Registered::default();
        for subscriber in self.store().subscribers() {
            let name = &subscriber.endpoint;
            let Some(row) = known.iter().find(|row| row.name == *name) else {
                insert_rows(self.session(), vec![fresh(subscriber, now)]).await?;
                self.delivery().begin_at(name, last).await?;
                registered.new.push(name.clone());
                continue;
            };
            if subscriber.history.is_some() && subscriber.history != row.backfill_since {
                registered.late.push(name.clone());
            }
            if row.removed_at.is_some() {
                self.put_back_endpoint(row, now).await?;
                registered.put_back.push(name.clone());
            }
        }
        Ok(registered)
    }

    /// Puts back an endpoint that is configured again. Its waiting deliveries become due. If it was failing, it is
    /// probed at once, and its time until suspension begins anew, because it was not called meanwhile. A pause or a
    /// suspension stays.
    async fn put_back_endpoint(&self, row: &endpoint::Model, now: DateTime<Utc>) -> Result<(), Error> {
        self.delivery().turnstile(&row.name).await?;
        let mut back = endpoint::ActiveModel { removed_at: Set(None), ..Default::default() };
        if row.state == State::Failing {
            (back.since, back.hold_until) = (Set(now), Set(None));
        }
        self.set_endpoint(&row.name, back).await?;
        if row.state == State::Active {
            self.delivery().pull_forward(&row.name, i32::MAX, now).await?;
        }
        Ok(())
    }

    async fn remove_endpoints(
        &self,
        others: &[Known],
        last: i64,
        now: DateTime<Utc>,
    ) -> Result<Vec<EndpointName>, Error> {
        let configured = endpoint::Entity::find()
            .filter(endpoint::Column::RemovedAt.is_null())
            .order_by_asc(endpoint::Column::Name)
            .all(self.session())
            .await?;
        let subscribers = self.store().subscribers();
        let is_known = |name: &EndpointName| {
            subscribers.iter().any(|known| known.endpoint == *name)
                || others.iter().any(|other| other.contains_key(name))
        };
        let mut removed = Vec::new();
        for row in configured.into_iter().filter(|row| !is_known(&row.name)) {
            self.delivery().turnstile(&row.name).await?;
            let gone = endpoint::ActiveModel { removed_at: Set(Some(now)), ..Default::default() };
            self.set_endpoint(&row.name, gone).await?;
            self.log().unsubscribe(&row.name, last).await?;
            removed.push(row.name);
        }
        Ok(removed)
    }
}

fn lease_ms(subscriber: &Subscriber) -> i64 {
    i64::try_from(subscriber.lease.as_millis()).unwrap_or(i64::MAX)
}

fn fresh(subscriber: &Subscriber, now: DateTime<Utc>) -> endpoint::ActiveModel {
    endpoint::ActiveModel {
        name: Set(subscriber.endpoint.clone()),
        state: Set(State::Active),
        since: Set(now),
        consecutive_failures: Set(0),
        last_success_at: Set(None),
        last_error: Set(None),
        hold_until: Set(None),
        removed_at: Set(None),
        ordering: Set(subscriber.order.as_str().to_owned()),
        fingerprint: Set(subscriber.fingerprint),
        process: Set(None),
        lease_ms: Set(lease_ms(subscriber)),
        backfill_since: Set(subscriber.history),
        backfill_place: Set(None),
        backfill_done_at: Set(None),
    }
}
