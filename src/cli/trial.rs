//! Tries an endpoint with what the configuration says of it, and records that.

use std::time::Duration;

use anyhow::Context as _;
use lumo_bridge_entity::endpoint;
use tokio::time::timeout;

use super::context::Context;
use super::user;
use crate::callback::{Endpoint, Sender};
use crate::config::Config;
use crate::deliver::trial::{Trial, test_event};
use crate::model::event::EventType;
use crate::model::id::EndpointName;
use crate::model::sample::Setting;
use crate::store::{self, Need, Store};

/// Longest wait for the database to say whose events an endpoint gets.
const PATIENCE: Duration = Duration::from_secs(2);

/// Calls it, or runs its statement and rolls that back. A call is made without the database, if that does not answer.
pub(super) async fn try_out(
    context: &Context,
    config: &Config,
    endpoint: &Endpoint,
    kind: EventType,
    settings: &[Setting],
) -> anyhow::Result<Trial> {
    let clock = context.clock();
    let opened = Store::open_for(Need::Little, &config.database, Vec::new());
    let Some(sink) = endpoint.sink() else {
        let store = timeout(PATIENCE, opened).await.ok().and_then(Result::ok);
        let test = test_event(store.as_ref(), endpoint, kind, settings, clock.now()).await;
        if let Some(store) = store {
            store.close().await;
        }
        let sender = Sender::new(&config.callbacks.egress, [endpoint])?;
        return Ok(Trial::make(clock, &sender, endpoint, test?).await);
    };
    let store = opened.await.with_context(|| format!("{} not opened", config.database.url))?;
    let trial = match test_event(Some(&store), endpoint, kind, settings, clock.now()).await {
        Ok(test) => Trial::of_sink(&store, endpoint, sink, test).await.map_err(Into::into),
        Err(refused) => Err(refused.into()),
    };
    store.close().await;
    trial
}

/// Records that a test was sent. Returns what the tables know of the endpoint.
pub(super) async fn record(
    context: &Context,
    config: &Config,
    name: &EndpointName,
) -> Result<Option<endpoint::Model>, store::Error> {
    let store = Store::open_for(Need::Little, &config.database, Vec::new()).await?;
    let recorded = match store.record_test(name, &user::actor(), context.clock().now()).await {
        Ok(()) => store.endpoint(name).await,
        Err(error) => Err(error),
    };
    store.close().await;
    recorded
}
