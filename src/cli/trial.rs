//! Tries an endpoint with what the configuration says of it.

use anyhow::Context as _;

use super::context::Context;
use crate::callback::{Endpoint, Sender};
use crate::config::Config;
use crate::deliver::trial::Trial;
use crate::store::{Need, Store};

/// Calls it, or runs its statement and rolls that back.
pub(super) async fn try_out(context: &Context, config: &Config, endpoint: &Endpoint) -> anyhow::Result<Trial> {
    let Some(sink) = endpoint.sink() else {
        let sender = Sender::new(&config.callbacks.egress, [endpoint])?;
        return Ok(Trial::make(context.clock(), &sender, endpoint).await?);
    };
    let store = Store::open_for(Need::Little, &config.database, Vec::new()).await;
    let store = store.with_context(|| format!("{} not opened", config.database.url))?;
    let trial = Trial::of_sink(context.clock(), &store, endpoint, sink).await;
    store.close().await;
    Ok(trial?)
}
