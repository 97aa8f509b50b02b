//! Removes what is older than the configuration keeps.
//!
//! A run goes along the actions of operators, the attempts and the events, each from the oldest to the first that is too young,
//! batch after batch with a pause between them. It may be stopped between two batches and loses nothing by it; two processes that
//! run at once would only share the work.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio_util::sync::CancellationToken;

use crate::callback::config::Retention as Config;
use crate::chain::Chain;
use crate::clock::Clock;
use crate::setting::Span;
use crate::store::retention::{Cutoffs, Pruned};
use crate::store::{Error, Store};

/// The pause after each batch that removed something.
const PAUSE: Duration = Duration::from_millis(50);

/// Removes what was kept for long enough.
pub struct Retention {
    store: Store,
    clock: Clock,
    config: Config,
    /// Events below this are kept for good; see [`crate::store::retention::EventWalk::floor`].
    floor: AtomicI64,
}

impl Retention {
    #[must_use]
    pub fn new(store: Store, clock: Clock, config: Config) -> Self {
        Self { store, clock, config, floor: AtomicI64::new(1) }
    }

    /// As [`Retention::apply`]; what came of it goes to the log.
    pub async fn prune(&self, stop: &CancellationToken) {
        match self.apply(stop).await {
            Ok(pruned) if pruned == Pruned::default() => {}
            Ok(Pruned { events, deliveries, attempts, ranges, actions }) => {
                tracing::info!(events, deliveries, attempts, ranges, actions, "history of callbacks pruned");
            }
            Err(error) => tracing::warn!(error = %Chain(&error), "history of callbacks not pruned; trying again later"),
        }
    }

    /// Removes everything that is over by now, or as much of it as can be done before `stop`.
    ///
    /// # Errors
    /// If the database fails; what was removed up to then stays removed, and the next run goes on.
    pub async fn apply(&self, stop: &CancellationToken) -> Result<Pruned, Error> {
        let now = self.clock.now();
        let cutoffs = Cutoffs {
            events: before(now, self.config.events),
            dead: before(now, self.config.dead),
            attempts: before(now, self.config.attempts),
        };
        let mut sum = Pruned::default();
        if let Some(cutoff) = cutoffs.actions() {
            loop {
                let batch = Pruned { actions: self.store.forget_actions(cutoff).await?, ..Pruned::default() };
                if batch == Pruned::default() {
                    break;
                }
                sum += batch;
                if is_over(batch, stop).await {
                    return Ok(sum);
                }
            }
        }
        // Attempts come first: an event goes when none of its attempts is left.
        if let Some(cutoff) = cutoffs.attempts {
            let mut walk = self.store.walk_attempts(cutoff).await?;
            while let Some(batch) = self.store.forget_attempts(&mut walk, cutoff).await? {
                sum += batch;
                if is_over(batch, stop).await {
                    return Ok(sum);
                }
            }
        }
        let Some(cutoff) = cutoffs.events else { return Ok(sum) };
        let mut walk = self.store.walk_events(self.floor.load(Ordering::Relaxed), cutoff).await?;
        while let Some(batch) = self.store.forget_events(&mut walk, &cutoffs).await? {
            sum += batch;
            if is_over(batch, stop).await {
                return Ok(sum);
            }
        }
        self.floor.store(walk.floor(), Ordering::Relaxed);
        sum += self.store.forget_ranges(walk.floor()).await?;
        Ok(sum)
    }
}

/// Pauses after a batch that removed something; true if that is the end.
async fn is_over(batch: Pruned, stop: &CancellationToken) -> bool {
    if batch == Pruned::default() {
        return stop.is_cancelled();
    }
    stop.run_until_cancelled(tokio::time::sleep(PAUSE)).await.is_none()
}

/// The time that is so long before now; none if nothing can be as old.
fn before(now: DateTime<Utc>, span: Span) -> Option<DateTime<Utc>> {
    let time = now.checked_sub_signed(TimeDelta::from_std(span.get()).ok()?)?;
    (time > DateTime::UNIX_EPOCH).then_some(time)
}
