//! Whether anything was lost: the tables against the simulator's world, the receiver against the events.

use std::collections::HashMap;
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use super::Stage;
use crate::model::Amount;
use crate::store::query::{DepositFilter, EventFilter, WalletFilter};

/// What the comparison found.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct Verdict {
    pub(super) wallets: usize,
    pub(super) wallets_differing: usize,
    pub(super) deposits: usize,
    pub(super) deposits_differing: usize,
    pub(super) changes: usize,
    pub(super) events: usize,
    pub(super) delivered: usize,
    pub(super) undelivered: usize,
    pub(super) refused: usize,
    pub(super) invalid: usize,
    pub(super) twice: usize,
    pub(super) out_of_order: usize,
    pub(super) median_ms: Option<f64>,
}

impl Verdict {
    pub(super) fn is_good(&self) -> bool {
        self.wallets_differing == 0
            && self.deposits_differing == 0
            && self.undelivered == 0
            && self.delivered == self.events
            && self.invalid == 0
            && self.twice == 0
            && self.out_of_order == 0
    }
}

/// Gives the bridge time to catch up with a world that stands still, and compares.
pub(super) async fn reach(stage: &Stage, changes: usize, patience: Duration) -> anyhow::Result<Verdict> {
    let deadline = Instant::now() + patience;
    loop {
        let verdict = compare(stage, changes).await?;
        if verdict.is_good() || Instant::now() > deadline {
            return Ok(verdict);
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn compare(stage: &Stage, changes: usize) -> anyhow::Result<Verdict> {
    let world = stage.world.snapshot();
    let everything = i64::MAX.unsigned_abs();
    let wallets = WalletFilter { limit: everything, ..WalletFilter::default() };
    let wallets = stage.store.list_wallets(&wallets).await?;
    let wallets: HashMap<String, _> = wallets.into_iter().map(|row| (row.id.to_string(), row)).collect();
    let deposits = DepositFilter { limit: everything, ..DepositFilter::default() };
    let deposits = stage.store.list_deposits(&deposits).await?;
    let deposits: HashMap<String, _> = deposits.into_iter().map(|row| (row.id.to_string(), row)).collect();
    let events = EventFilter { limit: everything, ..EventFilter::default() };
    let events = stage.store.list_events(&events).await?;
    let undelivered: i64 = stage.store.undelivered().await?.iter().map(|count| count.deliveries).sum();

    let same_amount = |stored: Option<&Amount>, listed: &str| stored == listed.parse().ok().as_ref();
    let wallets_differing = world.wallets.iter().filter(|wallet| {
        wallets.get(&wallet.id.to_string()).is_none_or(|row| {
            row.is_blocked != wallet.is_blocked()
                || row.block_reason.as_deref() != wallet.block_reason.as_deref()
                || row.external_id.as_str() != &*wallet.external_id
                || !same_amount(Some(&row.last_usdt_balance), wallet.usdt_balance.as_str())
        })
    });
    let deposits_differing = world.deposits.iter().filter(|deposit| {
        deposits.get(&deposit.id.to_string()).is_none_or(|row| {
            row.status != *deposit.status || !same_amount(row.amount.as_ref(), deposit.amount.as_str())
        })
    });

    let received = stage.receiver.received();
    let mut taken: HashMap<&str, usize> = HashMap::new();
    let mut latencies = Vec::new();
    let (mut refused, mut invalid) = (0, 0);
    let occurred: HashMap<&str, _> = events.iter().map(|event| (event.id.as_str(), event.occurred_at)).collect();
    for callback in &received {
        let Some(id) = callback.id.as_deref().filter(|_| callback.succeeded()) else {
            let is_invalid = matches!(callback.verdict, lumo_simulator::Verdict::Invalid(_));
            invalid += usize::from(is_invalid);
            refused += usize::from(!is_invalid);
            continue;
        };
        *taken.entry(id).or_default() += 1;
        if let (Some(occurred), Some(1)) = (occurred.get(id), callback.attempt) {
            latencies.push((callback.at - *occurred).as_seconds_f64() * 1000.0);
        }
    }
    latencies.sort_by(f64::total_cmp);
    Ok(Verdict {
        wallets: world.wallets.len(),
        wallets_differing: wallets_differing.count(),
        deposits: world.deposits.len(),
        deposits_differing: deposits_differing.count(),
        changes,
        events: events.len(),
        delivered: taken.len(),
        undelivered: usize::try_from(undelivered).unwrap_or(0),
        refused,
        invalid,
        twice: taken.values().filter(|count| **count > 1).count(),
        out_of_order: stage.receiver.order_violations().inversions.len(),
        median_ms: latencies.get(latencies.len() / 2).copied(),
    })
}
