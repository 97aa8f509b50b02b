//! One process reads, however many run: the lease that says which.
//!
//! The lease lies in the merchant's database and is renewed long before it ends. Its epoch is the fencing token: every
//! transaction of a round checks it, so a process that was stopped, suspended or cut off and comes back late cannot store
//! anything that another has overtaken. Clocks need not agree for that; they only decide how soon another one takes over.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{Right, Syncer, Upstream};
use crate::chain::Chain;
use crate::clock::Clock;
use crate::store::{Fence, Store};

/// What the lease is for.
pub const RESOURCE: &str = "sync";
/// How long a lease lasts without being renewed.
const LEASE: TimeDelta = TimeDelta::seconds(15);
/// How often it is renewed, or asked for.
const RENEW_EVERY: Duration = Duration::from_secs(4);

/// This process's claim to be the one that reads.
pub struct Lead {
    store: Store,
    clock: Clock,
    owner: String,
    leading: watch::Sender<Option<bool>>,
}

impl Lead {
    #[must_use]
    pub fn new(store: Store, clock: Clock) -> Self {
        let owner = format!("{:032x}", rand::random::<u128>());
        Self { store, clock, owner, leading: watch::Sender::new(None) }
    }

    /// Whether this process leads.
    #[must_use]
    pub fn is_held(&self) -> bool {
        *self.leading.borrow() == Some(true)
    }

    /// Waits until this process leads; false if it is to end first.
    pub async fn held(&self, stop: &CancellationToken) -> bool {
        let mut leading = self.leading.subscribe();
        stop.run_until_cancelled(leading.wait_for(|leading| *leading == Some(true)))
            .await
            .is_some_and(|held| held.is_ok())
    }

    /// Waits until it is known whether this process leads.
    pub async fn decided(&self) {
        let mut leading = self.leading.subscribe();
        // The sender lives as long as `self`.
        drop(leading.wait_for(Option::is_some).await);
    }

    /// Gets the lease and keeps it, until `stop`; then gives it back, so that another process, or this one started again,
    /// need not wait for its end.
    pub async fn keep<U: Upstream>(&self, syncer: &Syncer<U>, stop: &CancellationToken) {
        let mut held: Option<(Fence, DateTime<Utc>)> = None;
        loop {
            held = self.renew(held).await;
            syncer.write_by(held.map_or(Right::Guest, |(fence, _)| Right::Lease(fence)));
            let leads = held.is_some();
            if self.leading.send_if_modified(|leading| leading.replace(leads) != Some(leads)) {
                if leads {
                    tracing::info!("this process reads the listings");
                } else {
                    tracing::info!("another process reads the listings; this one stands by");
                }
            }
            if stop.run_until_cancelled(tokio::time::sleep(RENEW_EVERY)).await.is_none() {
                break;
            }
        }
        self.leading.send_replace(Some(false));
        if let Some((fence, _)) = held
            && let Err(error) = self.store.resign(fence, &self.owner, self.clock.now()).await
        {
            tracing::debug!(error = %Chain(&error), "lease not given back; it ends by itself");
        }
    }

    /// The lease, and until when it is ours.
    async fn renew(&self, held: Option<(Fence, DateTime<Utc>)>) -> Option<(Fence, DateTime<Utc>)> {
        let now = self.clock.now();
        match self.store.lead(RESOURCE, &self.owner, LEASE, now).await {
            Ok(fence) => fence.map(|fence| (fence, now + LEASE)),
            Err(error) => {
                tracing::warn!(error = %Chain(&error), "lease not renewed");
                held.filter(|(_, until)| now < *until)
            }
        }
    }
}
