//! Watching for acknowledgements: what was answered is finished when its row is there, and has failed when it does not come.
//!
//! An acknowledgement says something about one delivery and nothing about the endpoint, which has answered; so nothing here
//! changes the endpoint's state.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use tokio_util::sync::CancellationToken;

use crate::callback::Endpoint;
use crate::chain::Chain;
use crate::clock::Clock;
use crate::model::retry::{Outcome, Verdict};
use crate::setting::Span;
use crate::store::{Acks, Attempted, Error, Overdue, Settlement, Store};

/// How often to look where acknowledgements are asked for, …
const LOOK: Duration = Duration::from_secs(1);
/// … and where they are not: they may have been before the configuration was changed.
const RARE_LOOK: Duration = Duration::from_secs(60);
/// No more than one part in so many of the time is spent looking.
const SHARE: u32 = 5;
/// Deliveries in one transaction.
const BATCH: usize = 500;

/// No acknowledgement is waited for longer.
const LONGEST: TimeDelta = TimeDelta::days(3650);

pub(super) struct Watch {
    pub(super) store: Store,
    pub(super) clock: Clock,
    pub(super) endpoint: Arc<Endpoint>,
}

impl Watch {
    /// Looks again and again, until `soft` is cancelled.
    pub(super) async fn run(&self, soft: &CancellationToken) {
        let pause = if self.endpoint.ack_within().is_some() { LOOK } else { RARE_LOOK };
        let mut wait = pause;
        while soft.run_until_cancelled(tokio::time::sleep(wait)).await.is_some() {
            let started = Instant::now();
            self.look().await;
            wait = pause.max(started.elapsed() * SHARE);
        }
    }

    /// Settles what has been acknowledged, or should have been by now.
    pub(super) async fn look(&self) {
        loop {
            match self.try_look().await {
                Ok(settled) if settled < BATCH => return,
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(error = %Chain(&error), "acknowledgements not looked for; trying again");
                    return;
                }
            }
        }
    }

    async fn try_look(&self) -> Result<usize, Error> {
        let now = self.clock.now();
        // Where none is asked for, nothing that still waits has to.
        let due_by = if self.endpoint.ack_within().is_some() { now } else { now + LONGEST };
        let overdue = self.store.acknowledgements(self.endpoint.name(), BATCH, due_by).await?;
        if overdue.is_empty() {
            return Ok(0);
        }
        let settlements: Vec<_> = overdue.into_iter().map(|overdue| self.judge(overdue)).collect();
        self.store.settle(&settlements, now).await?;
        let of = |verdict: fn(&Verdict) -> bool| settlements.iter().filter(|one| verdict(&one.verdict)).count();
        let (failed, dead) = (of(|one| matches!(one, Verdict::RetryAt(_))), of(|one| *one == Verdict::Dead));
        if failed > 0 {
            tracing::warn!(deliveries = failed, "not acknowledged in time; they are sent again by the schedule");
        }
        if dead > 0 {
            tracing::error!(deliveries = dead, "never acknowledged; they are dead, kept, and can be retried");
        }
        Ok(settlements.len())
    }

    fn judge(&self, overdue: Overdue) -> Settlement {
        let Overdue { lease, attempts, last_status, is_acknowledged } = overdue;
        let now = self.clock.now();
        let policy = self.endpoint.policy();
        let (verdict, error) = match self.endpoint.ack_within() {
            Some(within) if !is_acknowledged => {
                let answered = Outcome::Refused { status: last_status.unwrap_or_default(), retry_after: None };
                let error = format!("not acknowledged within {}", Span(within));
                (policy.judge(attempts.max(1), &answered, now, &mut rand::rng()), Some(error))
            }
            // Where none is asked for any more, the answer is enough.
            _ => (Verdict::Done, None),
        };
        Settlement {
            lease,
            endpoint: self.endpoint.name().clone(),
            attempts,
            counts: true,
            attempted: Attempted {
                started_at: now,
                duration: Duration::ZERO,
                status: last_status,
                error,
                response_body: None,
            },
            verdict,
            blames_endpoint: false,
            max_hold: self.endpoint.ordering().max_hold.get(),
            endpoint_hold: None,
            hand_over: None,
            acks: Acks::Awaited,
        }
    }
}
