//! Keeping the past for as long as the configuration says, and no longer.
//!
//! A run goes along the deliveries, the attempts and the events, each from its oldest row, batch after batch with a
//! pause between them, and ends where they are too young. It may be stopped between two batches and loses nothing by
//! it; two processes that prune at once would only share the work.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio_util::sync::CancellationToken;

use crate::callback::config::Retention as Config;
use crate::chain::Chain;
use crate::clock::Clock;
use crate::setting::Span;
use crate::store::{Cutoffs, Error, Pruned, Store};

/// The rest that the database gets after each batch.
const PAUSE: Duration = Duration::from_millis(50);

/// Prunes what is over.
pub struct Retention {
    store: Store,
    clock: Clock,
    config: Config,
    /// Where the last run left the events. Those before it were kept for good, or wait for their last delivery, which
    /// takes them with it; a restart goes over them once more.
    events_seen: AtomicI64,
}

impl Retention {
    #[must_use]
    pub fn new(store: Store, clock: Clock, config: Config) -> Self {
        Self { store, clock, config, events_seen: AtomicI64::new(0) }
    }

    /// As [`Retention::apply`]; what came of it goes to the log.
    pub async fn prune(&self, stop: &CancellationToken) {
        match self.apply(stop).await {
            Ok(pruned) if pruned == Pruned::default() => {}
            Ok(Pruned { deliveries, attempts, events }) => {
                tracing::info!(deliveries, attempts, events, "history of callbacks pruned");
            }
            Err(error) => tracing::warn!(error = %Chain(&error), "history of callbacks not pruned; trying again later"),
        }
    }

    /// Prunes everything that is over by now, or as much of it as can be done before `stop`.
    ///
    /// # Errors
    /// If the database fails; what was pruned up to then stays pruned, and the next run goes on.
    pub async fn apply(&self, stop: &CancellationToken) -> Result<Pruned, Error> {
        let now = self.clock.now();
        let cutoffs = Cutoffs {
            delivered: before(now, self.config.delivered),
            dead: before(now, self.config.dead),
            attempts: before(now, self.config.attempts),
        };
        let mut sum = Pruned::default();
        if let Some(latest) = cutoffs.delivered.max(cutoffs.dead) {
            let mut walk = self.store.walk_deliveries(latest).await?;
            while let Some(batch) = self.store.prune_deliveries(&mut walk, &cutoffs).await? {
                add(&mut sum, batch);
                if is_over(stop).await {
                    return Ok(sum);
                }
            }
        }
        if let Some(cutoff) = cutoffs.attempts {
            let mut walk = self.store.walk_deliveries(cutoff).await?;
            while let Some(batch) = self.store.prune_attempts(&mut walk, cutoff).await? {
                add(&mut sum, batch);
                if is_over(stop).await {
                    return Ok(sum);
                }
            }
        }
        if let Some(cutoff) = cutoffs.events() {
            let mut walk = self.store.walk_events(self.events_seen.load(Ordering::Relaxed), cutoff).await?;
            while let Some(batch) = self.store.prune_events(&mut walk, cutoff).await? {
                add(&mut sum, batch);
                self.events_seen.store(walk.after(), Ordering::Relaxed);
                if is_over(stop).await {
                    return Ok(sum);
                }
            }
        }
        Ok(sum)
    }
}

fn add(sum: &mut Pruned, batch: Pruned) {
    sum.deliveries += batch.deliveries;
    sum.attempts += batch.attempts;
    sum.events += batch.events;
}

/// Waits a moment; true if that is the end.
async fn is_over(stop: &CancellationToken) -> bool {
    stop.run_until_cancelled(tokio::time::sleep(PAUSE)).await.is_none()
}

/// The time that is so long before now; none if nothing can be as old.
fn before(now: DateTime<Utc>, span: Span) -> Option<DateTime<Utc>> {
    let time = now.checked_sub_signed(TimeDelta::from_std(span.get()).ok()?)?;
    (time > DateTime::UNIX_EPOCH).then_some(time)
}
