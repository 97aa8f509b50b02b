//! Feeding sinks: the statement and the delivery's end are one commit, so that what it does happens exactly once.
//!
//! First in the transaction that stores the change, if nothing stands before it: where that fails the change is stored all
//! the same, and the delivery is one like any other from then on. A transaction that ran sinks and failed, for whatever
//! reason, runs again without them ([`Store::tx`]). Every further attempt is a transaction of its own, with the lease's
//! token as its fence: who has lost the lease rolls back what the statement did.

use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use lumo_bridge_entity::{delivery, endpoint};
use sea_orm::{Condition, EntityTrait};

use super::claim::Stamp;
use super::mirror::{among, at_once};
use super::sink::Failure;
use super::{Acks, Attempted, Claimed, Error, Lease, Settled, Settlement, Store, Tx};
use crate::model::id::{DeliveryId, EndpointName};
use crate::model::retry::{Outcome, Unreachable, Verdict};
use crate::model::sink::Sink;

/// Longer than the transaction in which it is given back.
const LEASE: Duration = Duration::from_secs(60);
/// Time for all sinks of a transaction together: all others wait for it, and what it is given to end in must do for the rest
/// of its work as well. A statement is begun only if its own time fits in.
const BUDGET: Duration = Duration::from_secs(6);

/// What came of running a sink for a delivery.
#[derive(Debug)]
pub enum Fed {
    /// It ran, and the delivery is settled.
    Done(Settled),
    /// It failed and left nothing behind; that is to be settled.
    Failed(Failure),
    /// Somebody else has the delivery now; nothing was done.
    Lost,
}

impl Failure {
    /// What it means for the delivery and the endpoint.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        Outcome::Unreachable(if self.timed_out { Unreachable::Timeout } else { Unreachable::Statement })
    }
}

impl Store {
    /// Runs a sink for a claimed delivery and settles it, in one transaction. What comes next in its lane is claimed for
    /// `hand_over`, if it is given.
    ///
    /// # Errors
    /// If the database is away.
    pub async fn feed(
        &self,
        sink: &Sink,
        endpoint: &EndpointName,
        claimed: &Claimed,
        hand_over: Option<Duration>,
        now: DateTime<Utc>,
    ) -> Result<Fed, Error> {
        let generation = self.generation().await?;
        let fed = self.tx("sink.feed", |tx| async move {
            let begun = Instant::now();
            if let Err(failure) = tx.run_sink(sink, &claimed.body).await? {
                return Ok(Fed::Failed(failure));
            }
            let ran = Ran { endpoint, sink, begun, now, failure: None, hand_over };
            let settled = tx.settle(&[ran.settlement(claimed)], generation, now).await?;
            if settled.lost.is_empty() { Ok(Fed::Done(settled)) } else { Err(Error::LeaseLost) }
        });
        match fed.await {
            Ok(fed) => Ok(fed),
            Err(Error::LeaseLost) => Ok(Fed::Lost),
            Err(error) => Failure::of_transaction(error, sink).map(Fed::Failed),
        }
    }
}

impl Tx {
    /// Runs the sinks of deliveries that were queued in this transaction and that nothing stands before. Boxed, because to
    /// settle may be to publish, which ends here.
    pub(super) fn feed(
        &self,
        free: Vec<(EndpointName, DeliveryId)>,
        now: DateTime<Utc>,
    ) -> Pin<Box<dyn Future<Output = Result<(), Error>> + Send + '_>> {
        Box::pin(async move {
            if !self.0.attempt.sinks {
                return Ok(());
            }
            for subscriber in self.store().subscribers() {
                let Some(sink) = &subscriber.sink else { continue };
                let name = &subscriber.endpoint;
                let ids: Vec<_> =
                    free.iter().filter(|(endpoint, _)| endpoint == name).map(|(_, id)| id.clone()).collect();
                if !ids.is_empty() && self.is_well(name, now).await? {
                    self.feed_one(sink, name, ids, now).await?;
                }
            }
            Ok(())
        })
    }

    /// Whether there is nothing that speaks against calling an endpoint at once, its last failure included.
    async fn is_well(&self, name: &EndpointName, now: DateTime<Utc>) -> Result<bool, Error> {
        let row = endpoint::Entity::find_by_id(name.clone()).one(self.session()).await?;
        Ok(row.is_some_and(|row| {
            row.state == endpoint::State::Active
                && row.consecutive_failures == 0
                && row.hold_until.is_none_or(|until| until <= now)
        }))
    }

    /// Runs one sink for one delivery after the other, lane by lane, until one fails or the transaction's [`BUDGET`] is used
    /// up. The rest is left to wait.
    async fn feed_one(
        &self,
        sink: &Sink,
        name: &EndpointName,
        ids: Vec<DeliveryId>,
        now: DateTime<Utc>,
    ) -> Result<(), Error> {
        let generation = self.store().generation().await?;
        let latest = *self.0.attempt.feeding.get_or_init(Instant::now) + BUDGET.saturating_sub(sink.timeout);
        if Instant::now() > latest {
            return Ok(());
        }
        let mut is_over = false;
        let mut wave = self.hand_over(&ids, Stamp::new(self.store(), LEASE, now)).await?;
        while !wave.is_empty() {
            let (mut settlements, mut left) = (Vec::new(), Vec::new());
            for claimed in wave {
                let begun = Instant::now();
                is_over |= begun > latest;
                if is_over {
                    left.push(claimed.lease.delivery);
                    continue;
                }
                self.0.attempt.fed.store(true, Ordering::Relaxed);
                let failure = self.run_sink(sink, &claimed.body).await?.err();
                is_over = failure.is_some();
                self.store().meters().sinks.add([name.as_str(), if is_over { "failed" } else { "done" }], 1);
                let ran = Ran { endpoint: name, sink, begun, now, failure, hand_over: Some(LEASE) };
                settlements.push(ran.settlement(&claimed));
            }
            for chunk in left.chunks(at_once(self.backend())) {
                let left = among(self.backend(), delivery::Column::Id, chunk.iter().cloned());
                self.put_back(Condition::all().add(left), now).await?;
            }
            if settlements.is_empty() {
                break;
            }
            let settled = self.settle(&settlements, generation, now).await?;
            wave = settled.handed.into_iter().map(|(_, claimed)| claimed).collect();
        }
        Ok(())
    }
}

/// A statement that was run.
struct Ran<'a> {
    endpoint: &'a EndpointName,
    sink: &'a Sink,
    begun: Instant,
    now: DateTime<Utc>,
    failure: Option<Failure>,
    hand_over: Option<Duration>,
}

impl Ran<'_> {
    fn settlement(self, claimed: &Claimed) -> Settlement {
        let Claimed { lease: Lease { delivery, token, until }, attempts, .. } = claimed;
        let attempts = attempts.saturating_add(1);
        let verdict = match &self.failure {
            None => Verdict::Done,
            Some(failure) => self.sink.policy.judge(attempts, &failure.outcome(), self.now, &mut rand::rng()),
        };
        Settlement {
            lease: Lease { delivery: delivery.clone(), token: *token, until: *until },
            endpoint: self.endpoint.clone(),
            attempts,
            counts: true,
            attempted: Attempted {
                started_at: self.now,
                duration: self.begun.elapsed(),
                status: None,
                error: self.failure.map(|failure| failure.text),
                response_body: None,
            },
            verdict,
            blames_endpoint: true,
            max_hold: self.sink.max_hold,
            endpoint_hold: None,
            hand_over: self.hand_over,
            acks: Acks::Unasked,
        }
    }
}
