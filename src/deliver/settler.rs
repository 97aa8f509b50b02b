//! Writes what attempts met, many at a time.

use std::time::Duration;

use tokio::sync::mpsc;

use super::Settling;
use crate::chain::Chain;
use crate::clock::Clock;
use crate::store::{Error, Settlement, Store};

/// Settlements in one transaction.
const BATCH: usize = 500;
/// The wait after the database failed.
const AFTER_ERROR: Duration = Duration::from_secs(1);

/// Settles until the channel is closed and empty. While one batch is written the next one gathers, so the batches grow
/// with the load and a single settlement waits for nothing.
pub(super) async fn run(store: Store, clock: Clock, mut settlements: mpsc::Receiver<Settling>) {
    let mut batch = Vec::with_capacity(BATCH);
    while settlements.recv_many(&mut batch, BATCH).await > 0 {
        let (settled, permits): (Vec<_>, Vec<_>) =
            batch.drain(..).map(|Settling { settlement, permit }| (settlement, permit)).unzip();
        settle(&store, &clock, &settled).await;
        drop(permits);
    }
}

/// Writes a batch, however long the database is away: what was answered must not be sent again for nothing. If the
/// database refuses it, each of its settlements is tried alone, so that one cannot hold up the others.
async fn settle(store: &Store, clock: &Clock, batch: &[Settlement]) {
    loop {
        match store.settle(batch, clock.now()).await {
            Ok(lost) => {
                for delivery in lost {
                    tracing::warn!(delivery.id = %delivery, "lease lost; another process delivers it again");
                }
                return;
            }
            Err(error @ (Error::Unavailable(_) | Error::Conflict { .. })) => {
                tracing::warn!(error = %Chain(&error), settlements = batch.len(), "attempts not settled; trying again");
                tokio::time::sleep(AFTER_ERROR).await;
            }
            Err(error) => {
                let [single] = batch else { break };
                let delivery = single.lease.delivery();
                tracing::error!(
                    delivery.id = %delivery, error = %Chain(&error),
                    "attempt cannot be settled; it is made again when its lease ends"
                );
                return;
            }
        }
    }
    for single in batch {
        Box::pin(settle(store, clock, std::slice::from_ref(single))).await;
    }
}
