//! Delivering: what is due is claimed, sent and settled, over and over, per endpoint.
//!
//! Each endpoint has a loop of its own, with its own permits, so that none waits for another. A loop takes permits first,
//! then claims as many deliveries as it has permits for, then sends them side by side with no transaction open. What the
//! attempts met flows to one settler, which writes whatever has gathered in one transaction; while it writes, more
//! gathers. Crash, `kill -9` and a drain that ran out of time are one case: leases end, and somebody claims again.

mod allowance;
mod health;
mod settler;

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use lumo_bridge_entity::endpoint::State;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use allowance::Allowance;
use health::Health;

use crate::callback::{Attempt, Callback, Endpoint, Sender};
use crate::chain::Chain;
use crate::clock::Clock;
use crate::model::retry::Outcome;
use crate::store::{Attempted, Claimed, Settlement, Store};

/// The longest time without a look at the table: other processes queue deliveries too, and clocks are stepped.
const POLL: Duration = Duration::from_secs(1);
/// The wait after a claim that found what was due in the hands of another process.
const AFTER_NOTHING: Duration = Duration::from_millis(20);
/// The wait after the database failed.
const AFTER_ERROR: Duration = Duration::from_secs(1);
/// Deliveries in one claim.
const CLAIM: usize = 200;
/// How much longer than the endpoint's timeout a lease lasts: time to be settled in.
const LEASE_MARGIN: Duration = Duration::from_secs(15);
/// Settlements that may wait to be written before sending waits for them.
const BACKLOG: usize = 1000;

/// A settlement on its way. What closes the endpoint keeps its permit until that is written: nobody else is to be called
/// before the table says so.
struct Settling {
    settlement: Settlement,
    permit: Option<OwnedSemaphorePermit>,
}

/// Delivers to all endpoints of the configuration.
pub struct Courier {
    store: Store,
    sender: Sender,
    clock: Clock,
    endpoints: Vec<Arc<Endpoint>>,
}

impl Courier {
    #[must_use]
    pub fn new(store: Store, sender: Sender, clock: Clock, endpoints: Vec<Arc<Endpoint>>) -> Self {
        Self { store, sender, clock, endpoints }
    }

    /// Delivers until `soft` is cancelled, then finishes what is in hand. When `hard` is cancelled what is left is
    /// dropped; it is claimed again when its leases end.
    ///
    /// # Panics
    /// If one of its loops did: an endpoint that is silently no longer served would be worse.
    pub async fn run(self, soft: CancellationToken, hard: CancellationToken) {
        let courier = Arc::new(self);
        let (settle, settlements) = mpsc::channel(BACKLOG);
        let mut loops = JoinSet::new();
        let settler = settler::run(courier.store.clone(), courier.clock.clone(), settlements);
        loops.spawn(hard.clone().run_until_cancelled_owned(settler));
        for endpoint in &courier.endpoints {
            let span = tracing::debug_span!("deliver", endpoint = %endpoint.name());
            let serve = Arc::clone(&courier).serve(Arc::clone(endpoint), settle.clone(), soft.clone(), hard.clone());
            loops.spawn(hard.clone().run_until_cancelled_owned(serve).instrument(span));
        }
        // With the last sender gone the settler writes what it has and ends; with no endpoint at all, not before its time.
        loops.spawn(hard.clone().run_until_cancelled_owned(async move {
            soft.cancelled().await;
            drop(settle);
        }));
        while let Some(ended) = loops.join_next().await {
            if let Err(error) = ended
                && let Ok(panic) = error.try_into_panic()
            {
                std::panic::resume_unwind(panic);
            }
        }
    }

    async fn serve(
        self: Arc<Self>,
        endpoint: Arc<Endpoint>,
        settle: mpsc::Sender<Settling>,
        soft: CancellationToken,
        hard: CancellationToken,
    ) {
        let attempts = TaskTracker::new();
        let permits = Arc::new(Semaphore::new(endpoint.concurrency()));
        let mut allowance = Allowance::new(endpoint.rate().map(|rate| rate.per_second()));
        let health = Arc::new(Health::default());
        let mut queued = self.store.queued();
        while !soft.is_cancelled() {
            let Some(Ok(permit)) = soft.run_until_cancelled(Arc::clone(&permits).acquire_owned()).await else { break };
            // Register first, then look: what is queued after the look wakes the wait below.
            queued.mark_unchanged();
            let now = self.clock.now();
            let wait = match self.ready_at(&endpoint, now).await {
                Ok(Some(at)) if at <= now => allowance.wait(tokio::time::Instant::now()),
                Ok(Some(at)) => Some((at - now).to_std().unwrap_or_default().min(POLL)),
                Ok(None) => Some(POLL),
                Err(error) => {
                    tracing::warn!(error = %Chain(&error), "deliveries cannot be read; trying again");
                    Some(AFTER_ERROR)
                }
            };
            if let Some(wait) = wait {
                drop(permit);
                tokio::select! {
                    () = soft.cancelled() => {}
                    _ = queued.changed() => {}
                    () = tokio::time::sleep(wait) => {}
                }
                continue;
            }
            let mut taken = vec![permit];
            let most = CLAIM.min(allowance.available(tokio::time::Instant::now()));
            while taken.len() < most {
                let Ok(permit) = Arc::clone(&permits).try_acquire_owned() else { break };
                taken.push(permit);
            }
            let lease = endpoint.timeout().saturating_add(LEASE_MARGIN);
            let claimed = match self.store.claim(endpoint.name(), taken.len(), lease, self.clock.now()).await {
                Ok(claimed) => claimed,
                Err(error) => {
                    tracing::warn!(error = %Chain(&error), "deliveries cannot be claimed; trying again");
                    drop(taken);
                    tokio::time::sleep(AFTER_ERROR).await;
                    continue;
                }
            };
            if claimed.is_empty() {
                tokio::time::sleep(AFTER_NOTHING).await;
            }
            allowance.spend(claimed.len(), tokio::time::Instant::now());
            for (claimed, permit) in claimed.into_iter().zip(taken) {
                let span = tracing::debug_span!("deliver.attempt", delivery.id = %claimed.lease.delivery());
                let (courier, endpoint) = (Arc::clone(&self), Arc::clone(&endpoint));
                let attempt = courier.attempt(endpoint, claimed, Arc::clone(&health), settle.clone(), permit);
                let attempt = attempt.instrument(span);
                attempts.spawn(hard.clone().run_until_cancelled_owned(attempt).in_current_span());
            }
        }
        attempts.close();
        attempts.wait().await;
    }

    /// When the endpoint may be called and has something to be called for; none while it is not to be called at all.
    async fn ready_at(
        &self,
        endpoint: &Endpoint,
        now: DateTime<Utc>,
    ) -> Result<Option<DateTime<Utc>>, crate::store::Error> {
        let Some(due) = self.store.next_due(endpoint.name()).await? else { return Ok(None) };
        if due > now {
            return Ok(Some(due));
        }
        let Some(row) = self.store.endpoint(endpoint.name()).await? else { return Ok(Some(due)) };
        Ok(match row.state {
            State::Paused | State::Suspended => None,
            State::Active | State::Failing => Some(row.hold_until.map_or(due, |hold| hold.max(due))),
        })
    }

    async fn attempt(
        self: Arc<Self>,
        endpoint: Arc<Endpoint>,
        claimed: Claimed,
        health: Arc<Health>,
        settle: mpsc::Sender<Settling>,
        permit: OwnedSemaphorePermit,
    ) {
        let Claimed { lease, event_id, event_type, body, reason, attempts } = claimed;
        let attempts = attempts.saturating_add(1);
        let callback = Callback {
            event_id: &event_id,
            event_type: &event_type,
            attempt: attempts,
            reason: reason.as_str(),
            body: &body,
        };
        let started_at = self.clock.now();
        let Attempt { outcome, duration, error, response_body } =
            self.sender.send(&endpoint, &callback, started_at).await;
        let now = self.clock.now();
        let verdict = endpoint.policy().judge(attempts, &outcome, now, &mut rand::rng());
        let status = match outcome {
            Outcome::Accepted { status } | Outcome::Refused { status, .. } => Some(status),
            Outcome::Unreachable(_) => None,
        };
        health.log(&endpoint, &event_type, attempts, status, error.as_deref(), &verdict, duration);
        let hold = endpoint.policy().hold(attempts, &outcome);
        let settlement = Settlement {
            lease,
            endpoint: endpoint.name().clone(),
            attempts,
            attempted: Attempted { started_at, duration, status, error, response_body },
            verdict,
            max_hold: endpoint.ordering().max_hold.get(),
            endpoint_hold: hold.map(|hold| now + hold),
            gone: status == Some(410),
        };
        let closes = settlement.gone || settlement.endpoint_hold.is_some();
        let settling = Settling { settlement, permit: closes.then_some(permit) };
        if settle.send(settling).await.is_err() {
            tracing::warn!("attempt not settled; it is made again when its lease ends");
        }
    }
}
