//! Gives new endpoints the history that they ask for, no faster than it is delivered.
//!
//! Any number of processes may do this at once: each step is a transaction that another one's makes void.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::chain::Chain;
use crate::clock::Clock;
use crate::outage::Retried;
use crate::store::Store;
use crate::store::delivery::Backfilled;

/// The wait after something was queued, in which it is delivered and others get at the log, …
const AFTER_SOME: Duration = Duration::from_millis(100);
/// … and the wait where it is not its time, or the database failed.
const AFTER_NONE: Duration = Duration::from_millis(500);

/// Queues the history that the endpoints ask for, until all of it is queued or `stop` is cancelled.
pub async fn run(store: &Store, clock: &Clock, stop: &CancellationToken) {
    let wanting = store.subscribers().iter().filter(|subscriber| subscriber.history.is_some());
    let again = "history is queued again";
    let mut waiting: Vec<_> =
        wanting.map(|wanting| (wanting, Retried::of_endpoint(wanting.endpoint.as_str(), again))).collect();
    while !waiting.is_empty() && !stop.is_cancelled() {
        let mut pause = AFTER_NONE;
        for (subscriber, mut log) in std::mem::take(&mut waiting) {
            let (endpoint, began) = (&subscriber.endpoint, Instant::now());
            match store.backfill(subscriber, clock.now()).await {
                Ok(Backfilled::Done) => {
                    tracing::debug!(%endpoint, "all history is queued");
                    log.succeeded();
                    continue;
                }
                Ok(Backfilled::Waits) => log.succeeded(),
                Ok(Backfilled::Queued(deliveries)) => {
                    tracing::debug!(%endpoint, deliveries, "history queued");
                    log.succeeded();
                    pause = AFTER_SOME;
                }
                Err(error) => log.failed("history not queued", began, &Chain(&error)),
            }
            waiting.push((subscriber, log));
        }
        stop.run_until_cancelled(tokio::time::sleep(pause)).await;
    }
}
