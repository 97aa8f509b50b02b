//! One attempt: sent, judged, and on its way to be settled.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use tokio::sync::mpsc;
use tracing::Span;

use super::desk::Desk;
use super::health::Health;
use super::meters::Meters;
use crate::callback::{Attempt, Callback, Endpoint, Sender};
use crate::chain::Chain;
use crate::clock::Clock;
use crate::model::retry::{Outcome, Unreachable, Verdict};
use crate::model::sink::Sink;
use crate::store::{Acks, Attempted, Claimed, Fed, Settled, Settlement, Store};

/// A settlement on its way.
#[derive(Debug)]
pub(super) struct Settling {
    pub(super) settlement: Settlement,
    /// The endpoint said that it is gone for good.
    pub(super) gone: bool,
    /// For how long a successor is claimed, if it may be.
    pub(super) lease: Duration,
    /// What settling it came to, where that was part of the attempt.
    pub(super) settled: Option<Settled>,
}

/// What an attempt means for those that come after it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Met {
    pub(super) succeeded: bool,
    /// The endpoint failed.
    pub(super) failed: bool,
    /// It took too long, here or behind a gateway.
    pub(super) strained: bool,
    pub(super) gone: bool,
    /// Until when the endpoint asked not to be called.
    pub(super) hold_until: Option<DateTime<Utc>>,
}

/// What attempts need, shared by all of an endpoint.
pub(super) struct Post {
    pub(super) store: Store,
    pub(super) sender: Sender,
    pub(super) clock: Clock,
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) desk: Arc<Desk>,
    pub(super) health: Health,
    pub(super) meters: Arc<Meters>,
    pub(super) settle: mpsc::Sender<Settling>,
    /// How long a claim lasts.
    pub(super) lease: Duration,
}

impl Post {
    pub(super) async fn attempt(&self, claimed: Claimed) -> Met {
        let started_at = self.clock.now();
        match self.endpoint.sink() {
            None => {
                let callback = Callback {
                    event_id: &claimed.event_id,
                    event_type: &claimed.event_type,
                    attempt: claimed.attempts.saturating_add(1),
                    reason: claimed.reason.as_str(),
                    body: &claimed.body,
                };
                let attempt = self.sender.send(&self.endpoint, &callback, started_at).await;
                self.conclude(claimed, started_at, attempt, None).await
            }
            Some(sink) => match self.feed(sink, &claimed, started_at).await {
                Some((attempt, settled)) => self.conclude(claimed, started_at, attempt, settled).await,
                None => Met::default(),
            },
        }
    }

    /// Runs a sink. A success is settled already; none if there was no attempt.
    async fn feed(&self, sink: &Sink, claimed: &Claimed, now: DateTime<Utc>) -> Option<(Attempt, Option<Settled>)> {
        let started = Instant::now();
        let hand_over = self.desk.hand_over(self.lease);
        let fed = self.store.feed(sink, self.endpoint.name(), claimed, hand_over, now).await;
        let duration = started.elapsed();
        let attempt = |outcome, error| Attempt { outcome, duration, error, response_body: None };
        match fed {
            Ok(Fed::Done(settled)) => Some((attempt(Outcome::Accepted { status: 200 }, None), Some(settled))),
            Ok(Fed::Failed(failure)) => Some((attempt(failure.outcome(), Some(failure.text)), None)),
            Ok(Fed::Lost) => {
                tracing::warn!("lease lost; another process has the delivery, and what was done here is undone");
                None
            }
            Err(error) => {
                tracing::warn!(error = %Chain(&error), "sink not run; it is tried again when the lease ends");
                None
            }
        }
    }

    async fn conclude(
        &self,
        claimed: Claimed,
        started_at: DateTime<Utc>,
        attempt: Attempt,
        settled: Option<Settled>,
    ) -> Met {
        let Claimed { lease, event_type, attempts: before, not_due_until, .. } = claimed;
        let Attempt { outcome, duration, error, response_body } = attempt;
        let attempt = before.saturating_add(1);
        let now = self.clock.now();
        let status = match outcome {
            // A statement has none.
            Outcome::Accepted { .. } if settled.is_some() => None,
            Outcome::Accepted { status } | Outcome::Refused { status, .. } => Some(status),
            Outcome::Unreachable(_) => None,
        };
        let policy = self.endpoint.policy();
        let succeeded = matches!(outcome, Outcome::Accepted { .. });
        note(&Span::current(), &outcome);
        // To be turned away for coming too often, or before one's time, is no attempt.
        let counts = succeeded || (status != Some(429) && not_due_until.is_none());
        let attempts = if counts { attempt } else { before };
        let verdict = match policy.judge(attempts.max(1), &outcome, now, &mut rand::rng()) {
            Verdict::RetryAt(at) => Verdict::RetryAt(not_due_until.map_or(at, |due| due.max(now))),
            verdict => verdict,
        };
        let counts = counts || verdict == Verdict::Dead;
        self.meters.count(self.endpoint.name().as_str(), &outcome, duration, &verdict);
        self.health.log(&self.endpoint, &event_type, attempt, status, error.as_deref(), &verdict, duration);
        let hold_until = policy.hold(attempts, &outcome).map(|hold| now + hold);
        let blames_endpoint = !matches!(outcome, Outcome::Unreachable(Unreachable::Request));
        let met = Met {
            succeeded,
            failed: !succeeded && blames_endpoint,
            strained: matches!(outcome, Outcome::Unreachable(Unreachable::Timeout))
                || matches!(status, Some(502 | 504)),
            gone: status == Some(410),
            hold_until,
        };
        let settlement = Settlement {
            lease,
            endpoint: self.endpoint.name().clone(),
            attempts,
            counts,
            attempted: Attempted { started_at, duration, status, error, response_body },
            verdict,
            blames_endpoint,
            max_hold: self.endpoint.ordering().max_hold.get(),
            endpoint_hold: hold_until,
            hand_over: None,
            acks: self.endpoint.ack_within().map_or(Acks::Unasked, |within| Acks::Asked { within }),
        };
        self.desk.attempt_made();
        if self.settle.send(Settling { settlement, gone: met.gone, lease: self.lease, settled }).await.is_err() {
            tracing::warn!("attempt not settled; it is made again when its lease ends");
        }
        met
    }
}

/// What came of it, on the span of the attempt.
fn note(span: &Span, outcome: &Outcome) {
    match outcome {
        Outcome::Accepted { status } => span.record("http.response.status_code", status),
        Outcome::Refused { status, .. } => {
            span.record("http.response.status_code", status).record("error.type", status.to_string())
        }
        Outcome::Unreachable(why) => span.record("error.type", tracing::field::debug(why)),
    };
}
