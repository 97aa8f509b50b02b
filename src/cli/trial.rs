//! Tries an endpoint with what the configuration says of it.

use std::time::Duration;

use anyhow::Context as _;
use tokio::time::timeout;

use super::context::Context;
use crate::callback::{Endpoint, Sender};
use crate::config::Config;
use crate::deliver::trial::{Trial, known_account};
use crate::store::{Need, Store};

/// Longest wait for the database to say whose events an endpoint gets.
const PATIENCE: Duration = Duration::from_secs(2);

/// Calls it, or runs its statement and rolls that back. A call is made without the database, if that does not answer.
pub(super) async fn try_out(context: &Context, config: &Config, endpoint: &Endpoint) -> anyhow::Result<Trial> {
    let clock = context.clock();
    let opened = Store::open_for(Need::Little, &config.database, Vec::new());
    let Some(sink) = endpoint.sink() else {
        let asked = timeout(PATIENCE, async {
            let store = opened.await.ok()?;
            let account = known_account(&store).await;
            store.close().await;
            account
        });
        let account = asked.await.ok().flatten();
        let sender = Sender::new(&config.callbacks.egress, [endpoint])?;
        return Ok(Trial::make(clock, &sender, endpoint, account.as_ref()).await?);
    };
    let store = opened.await.with_context(|| format!("{} not opened", config.database.url))?;
    let trial = Trial::of_sink(clock, &store, endpoint, sink).await;
    store.close().await;
    Ok(trial?)
}
