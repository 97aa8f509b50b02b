//! The end of the demonstration: the world stands still, the lists are read once more from end to end, and all is compared.

use std::collections::HashSet;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Stage;
use super::book::Credited;
use super::verdict::{Callbacks, Tables, Verdict};
use crate::lumo::Client;
use crate::model::Listing;
use crate::store::query::{DepositFilter, EventFilter, WalletFilter};
use crate::sync::{Options, Syncer};

/// The pause before everything is compared once more.
const PAUSE: Duration = Duration::from_millis(200);

/// Reads every list to its end, which finds what changed far from where new rows join, and waits until all callbacks are
/// delivered, for `patience` at most.
pub(super) async fn catch_up(
    stage: &Stage,
    syncer: &Syncer<Client>,
    unblocked: &HashSet<String>,
    changes: usize,
    patience: Duration,
) -> anyhow::Result<Verdict> {
    let deadline = Instant::now() + patience;
    loop {
        for listing in Listing::ALL {
            syncer.pass(listing, &Options::default(), &CancellationToken::new()).await?;
        }
        // What the passes found is delivered now.
        loop {
            let verdict = compare(stage, unblocked, changes).await?;
            if verdict.is_good() || Instant::now() > deadline {
                return Ok(verdict);
            }
            if !verdict.differences.is_empty() {
                break;
            }
            tokio::time::sleep(PAUSE).await;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn compare(stage: &Stage, unblocked: &HashSet<String>, changes: usize) -> anyhow::Result<Verdict> {
    let limit = i64::MAX.unsigned_abs();
    let tables = Tables {
        wallets: stage.store.list_wallets(&WalletFilter { limit, ..WalletFilter::default() }).await?,
        deposits: stage.store.list_deposits(&DepositFilter { limit, ..DepositFilter::default() }).await?,
        events: stage.store.list_events(&EventFilter { limit, ..EventFilter::default() }).await?,
        undelivered: stage.store.undelivered().await?.iter().map(|count| count.deliveries).sum(),
    };
    let received = stage.receiver.received();
    let out_of_order = stage.receiver.order_violations().inversions.len();
    let callbacks = Callbacks { credited: Credited::of(&received)?, received, out_of_order };
    Ok(Verdict::of(&stage.world.snapshot(), &tables, &callbacks, unblocked, changes))
}
