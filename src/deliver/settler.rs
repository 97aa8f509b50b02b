//! Writes what attempts met, many at a time, and lets endpoints change their state.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use lumo_bridge_entity::endpoint;
use tokio::sync::mpsc;

use super::attempt::Settling;
use super::desk::Desk;
use super::dispatch::TO_SETTLE;
use super::turn::{Decision, Met, decide};
use crate::chain::Chain;
use crate::clock::Clock;
use crate::model::id::EndpointName;
use crate::model::retry::Verdict;
use crate::store::{self, Error, Settled, Settlement, Store, Turn};

/// Settlements in one transaction.
const BATCH: usize = 1000;
/// From so many that have come together on, more are waited for, …
const BUSY: usize = 16;
/// … until there are so many, …
const ENOUGH: usize = 200;
/// … for no longer than so many of these.
const MOMENTS: u32 = 5;
const MOMENT: Duration = Duration::from_millis(1);
/// The wait after the database failed.
const AFTER_ERROR: Duration = Duration::from_secs(1);

pub(super) struct Settler {
    store: Store,
    clock: Clock,
    desks: BTreeMap<EndpointName, Arc<Desk>>,
}

/// What the attempts at one endpoint met, in a batch.
#[derive(Default)]
struct Summary {
    attempts: usize,
    met: Met,
    error: Option<String>,
}

impl Settler {
    pub(super) fn new(store: Store, clock: Clock, desks: BTreeMap<EndpointName, Arc<Desk>>) -> Self {
        Self { store, clock, desks }
    }

    /// Settles until the channel is closed and empty. While one batch is written the next one gathers, so the batches grow
    /// with the load and a single settlement waits for nothing.
    pub(super) async fn run(self, mut settlements: mpsc::Receiver<Settling>) {
        let mut batch = Vec::with_capacity(BATCH);
        while settlements.recv_many(&mut batch, BATCH).await > 0 {
            self.gather(&mut settlements, &mut batch).await;
            let mut summaries: BTreeMap<EndpointName, Summary> = BTreeMap::new();
            let (mut settled, mut settlements) = (Settled::default(), Vec::with_capacity(batch.len()));
            for settling in batch.drain(..) {
                let (settlement, already) = self.prepare(settling, &mut summaries);
                match already {
                    Some(already) => settled.add(already),
                    None => settlements.push(settlement),
                }
            }
            settled.add(self.settle_in_time(&settlements).await);
            let Settled { handed, endpoints, .. } = settled;
            for (name, claimed) in handed {
                let unwanted = match self.desks.get(&name) {
                    Some(desk) => desk.put(claimed),
                    None => Some(claimed),
                };
                if let Some(claimed) = unwanted {
                    self.give_back(claimed).await;
                }
            }
            for row in endpoints {
                if let Some(summary) = summaries.get(&row.name) {
                    self.review(&row, summary).await;
                }
            }
            for (name, summary) in summaries {
                if let Some(desk) = self.desks.get(&name) {
                    desk.settled(summary.attempts);
                }
            }
            self.desks.values().for_each(|desk| desk.unstick());
        }
    }

    /// Under load, lets a batch grow for as long as nobody waits for what it frees: most of what a transaction costs, it costs
    /// once.
    async fn gather(&self, settlements: &mut mpsc::Receiver<Settling>, batch: &mut Vec<Settling>) {
        if batch.len() < BUSY {
            return;
        }
        for _ in 0..MOMENTS {
            let enough = batch.len() + settlements.len() >= ENOUGH;
            if enough || !self.desks.values().any(|desk| desk.has_plenty()) {
                break;
            }
            tokio::time::sleep(MOMENT).await;
        }
        while batch.len() < BATCH
            && let Ok(settling) = settlements.try_recv()
        {
            batch.push(settling);
        }
    }

    /// A settlement, and what it came to if it is written already.
    fn prepare(
        &self,
        settling: Settling,
        summaries: &mut BTreeMap<EndpointName, Summary>,
    ) -> (Settlement, Option<Settled>) {
        let Settling { mut settlement, gone, lease, settled } = settling;
        settlement.hand_over = self.desks.get(&settlement.endpoint).and_then(|desk| desk.hand_over(lease));
        let summary = summaries.entry(settlement.endpoint.clone()).or_default();
        summary.attempts += 1;
        let succeeded = settlement.verdict == Verdict::Done;
        summary.met.succeeded |= succeeded;
        summary.met.failed |= !succeeded && settlement.blames_endpoint;
        summary.met.gone |= gone;
        if !succeeded {
            summary.error = settlement.attempted.error.clone();
        }
        (settlement, settled)
    }

    /// Writes a batch. While that takes longer than leases are sure to last, nothing else is claimed or sent.
    async fn settle_in_time(&self, batch: &[Settlement]) -> Settled {
        let mut settling = pin!(self.settle(batch));
        if let Ok(settled) = tokio::time::timeout(TO_SETTLE, &mut settling).await {
            return settled;
        }
        self.desks.values().for_each(|desk| desk.set_stuck());
        settling.await
    }

    /// Writes a batch, however long the database is away: what was answered must not be sent again for nothing. If the
    /// database refuses it, each of its settlements is tried alone, so that one cannot hold up the others.
    async fn settle(&self, batch: &[Settlement]) -> Settled {
        loop {
            match self.store.settle(batch, self.clock.now()).await {
                Ok(settled) => {
                    for delivery in &settled.lost {
                        tracing::warn!(delivery.id = %delivery, "lease lost; another process delivers it again");
                    }
                    return settled;
                }
                Err(error) if error.is_outage() => {
                    tracing::warn!(
                        error = %Chain(&error), settlements = batch.len(), "attempts not settled; trying again"
                    );
                    self.desks.values().for_each(|desk| desk.set_stuck());
                    tokio::time::sleep(AFTER_ERROR).await;
                }
                Err(error) => {
                    let [single] = batch else { break };
                    let delivery = single.lease.delivery();
                    tracing::error!(
                        delivery.id = %delivery, error = %Chain(&error),
                        "attempt cannot be settled; it is made again when its lease ends"
                    );
                    return Settled::default();
                }
            }
        }
        let mut all = Settled::default();
        for single in batch {
            all.add(Box::pin(self.settle(std::slice::from_ref(single))).await);
        }
        all
    }

    async fn give_back(&self, claimed: store::Claimed) {
        if let Err(error) = self.store.release(vec![claimed.lease], self.clock.now()).await {
            tracing::warn!(error = %Chain(&error), "claim not given back; it ends by itself");
        }
    }

    /// Lets an endpoint change its state if what was met is reason to.
    async fn review(&self, row: &endpoint::Model, summary: &Summary) {
        let now = self.clock.now();
        let done = match decide(row, summary.met, now) {
            Decision::Nothing => return,
            Decision::ProbeAt(at) => self.store.probe_endpoint_at(&row.name, at).await,
            Decision::Turn { to, hold_until } => self.turn(row, to, hold_until, summary.error.as_deref(), now).await,
        };
        if let Err(error) = done {
            // The next attempt is reason enough again.
            tracing::warn!(endpoint = %row.name, error = %Chain(&error), "endpoint's state not written");
        }
    }

    async fn turn(
        &self,
        row: &endpoint::Model,
        to: endpoint::State,
        hold_until: Option<DateTime<Utc>>,
        error: Option<&str>,
        now: DateTime<Utc>,
    ) -> Result<(), Error> {
        let endpoint = &row.name;
        let error = if to == endpoint::State::Active { None } else { error };
        let turn = Turn { endpoint, from: row.state, to, hold_until, error };
        if !self.store.turn_endpoint(turn, now).await? {
            return Ok(());
        }
        match to {
            endpoint::State::Active => tracing::info!(%endpoint, "endpoint recovered; what was held goes out"),
            endpoint::State::Failing => tracing::warn!(
                %endpoint, error, "endpoint fails; what is for it is held, and it is probed until it answers"
            ),
            endpoint::State::Suspended | endpoint::State::Paused => tracing::error!(
                %endpoint, error, "endpoint is suspended; what is for it waits for `lumo-bridge endpoint resume`"
            ),
        }
        Ok(())
    }
}
