//! Does the steps that all commands on deliveries share: pass the turnstile, replace rows, wait for the leader.
//!
//! A command raises the revision at the turnstile, sets the state of the rows that it names, and leaves the rest to the
//! leader, who finishes it and writes the revision that it has seen.

use std::collections::BTreeMap;
use std::time::Duration;

use lumo_bridge_entity::{endpoint, exception};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use tokio::time::Instant;

use super::Delivery;
use super::target::{BATCH, LockedEndpoint};
use crate::model::id::{DeliveryId, EndpointName, EventId};
use crate::store::db::statement::padded;
use crate::store::mirror::insert_rows;
use crate::store::{Error, Store};

/// How long a command waits for the leader.
const LEADER_SEES_WITHIN: Duration = Duration::from_secs(2);
/// How often to check whether the leader has seen the change.
const LOOK_EVERY: Duration = Duration::from_millis(50);

impl Store {
    /// Waits until the leader of an endpoint has seen a revision: from then on it starts nothing that the command
    /// forbids. Returns false if that is not certain after two seconds.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn until_seen(&self, endpoint: &EndpointName, revision: i64) -> Result<bool, Error> {
        let deadline = Instant::now() + LEADER_SEES_WITHIN;
        loop {
            let is_led = self.endpoint(endpoint).await?.is_some_and(|row| row.process.is_some());
            let is_seen = self.position(endpoint).await?.is_none_or(|row| row.seen >= revision);
            if is_seen || !is_led {
                return Ok(true);
            }
            if Instant::now() >= deadline {
                return Ok(false);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

impl Delivery<'_> {
    /// Raises the endpoint's revision and locks its row; none if there is no such endpoint.
    pub(super) async fn enter(&self, name: &EndpointName) -> Result<Option<LockedEndpoint>, Error> {
        let Some(position) = self.turnstile(name).await? else { return Ok(None) };
        let endpoint = endpoint::Entity::find_by_id(name.clone()).one(self.tx.session()).await?;
        Ok(endpoint.map(|endpoint| LockedEndpoint {
            endpoint,
            position: position.position,
            revision: position.revision,
        }))
    }

    /// Writes rows, replacing those of the same events.
    pub(super) async fn replace_rows(
        &self,
        endpoint: &EndpointName,
        seqs: &[i64],
        rows: Vec<exception::ActiveModel>,
    ) -> Result<(), Error> {
        if seqs.is_empty() {
            return Ok(());
        }
        exception::Entity::delete_many()
            .filter(exception::Column::Endpoint.eq(endpoint.clone()))
            .filter(exception::Column::Seq.is_in(padded(seqs.iter().copied())))
            .exec(self.tx.session())
            .await?;
        Ok(insert_rows(self.tx.session(), rows).await?)
    }
}

/// The events of these deliveries, in batches, each for one endpoint.
pub(super) fn batches(ids: &[DeliveryId]) -> Vec<(EndpointName, Vec<EventId>)> {
    let mut by_endpoint: BTreeMap<&EndpointName, Vec<EventId>> = BTreeMap::new();
    for id in ids {
        by_endpoint.entry(&id.endpoint).or_default().push(id.event.clone());
    }
    let chunks = |(endpoint, events): (&EndpointName, Vec<EventId>)| {
        let batch = |events: &[EventId]| (endpoint.clone(), events.to_vec());
        events.chunks(BATCH).map(batch).collect::<Vec<_>>()
    };
    by_endpoint.into_iter().flat_map(chunks).collect()
}
