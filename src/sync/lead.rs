//! Keeps the lease that makes exactly one process read, however many run.
//!
//! The lease is a row in the merchant's database, and is renewed long before it ends. Its epoch is the fencing token:
//! every transaction of a round checks it, so a process that was stopped, suspended or cut off and comes back late
//! cannot store anything after another has taken over. The clocks of the processes need not agree or be right. A
//! standby takes the lease when its stored end has passed, when it has not been renewed for its whole duration by the
//! standby's own clock, or when the leader's process has lost its lock.
//!
//! A leader whose key is refused, or turns out to be another company's, keeps the lease: it reports the fault, and reads
//! as soon as that is mended. It loses the lease only to a standby that has the right key, so that the two do not
//! alternate for ever.

mod right;
mod rival;
mod standby;

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub use right::Right;
pub(in crate::sync) use right::is_key_accepted;

use super::{Syncer, Upstream};
use crate::chain::Chain;
use crate::clock::Clock;
use crate::model::Listing;
use crate::store::{self, Belongs, Fence, Store};
use rival::Rival;
use standby::{Answer, Standby};

/// The name of the lease.
pub const RESOURCE: &str = "sync";
/// How long a lease lasts without being renewed.
pub const LEASE: TimeDelta = TimeDelta::seconds(15);
/// How often it is renewed.
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

    /// Gets the lease and renews it until `stop`. Then it gives the lease back, so that another process, or this one
    /// after a restart, need not wait for its end.
    pub async fn keep<U: Upstream>(&self, syncer: &Syncer<U>, stop: &CancellationToken) {
        let mut held: Option<(Fence, DateTime<Utc>)> = None;
        let mut standby = Standby::new();
        loop {
            held = self.renew(held, &mut standby, syncer, stop).await;
            syncer.write_by(held.map_or(Right::Guest, |(fence, _)| Right::Lease(fence)));
            self.leading.send_replace(Some(held.is_some()));
            if standby.announce(&self.store, held.is_some()) {
                syncer.forget_failures();
            }
            let pause = if held.is_some() { RENEW_EVERY } else { standby.pause() };
            if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
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

    /// Gets or renews the lease. Returns it with the time at which it ends.
    async fn renew<U: Upstream>(
        &self,
        held: Option<(Fence, DateTime<Utc>)>,
        standby: &mut Standby,
        syncer: &Syncer<U>,
        stop: &CancellationToken,
    ) -> Option<(Fence, DateTime<Utc>)> {
        let (now, began) = (self.clock.now(), Instant::now());
        let asked = match self.ask(standby, now).await {
            Ok(None) => self.relieve(standby, syncer, stop).await,
            asked => asked.map(|fence| fence.map(|fence| (fence, now + LEASE))),
        };
        standby.answer = Answer::of(&asked);
        match asked {
            Ok(held) => {
                standby.renewals.succeeded();
                held
            }
            Err(error) => {
                standby.renewals.failed("lease of the listings not renewed or taken", began, &Chain(&error));
                held.filter(|(_, until)| now < *until)
            }
        }
    }

    /// Asks for the lease. Takes it from a holder that no longer keeps it.
    async fn ask(&self, standby: &mut Standby, now: DateTime<Utc>) -> Result<Option<Fence>, store::Error> {
        if let Some(fence) = self.store.lead(RESOURCE, &self.owner, LEASE, now).await? {
            standby.rival = None;
            return Ok(Some(fence));
        }
        let Some(holder) = self.store.holder(RESOURCE).await? else { return Ok(None) };
        let lives = match holder.process {
            Some(process) => self.store.lives(process).await?,
            None => true,
        };
        let rival = Rival::seen(standby.rival.take(), holder, lives, Instant::now());
        let is_gone = rival.is_gone(LEASE, standby.is_beginning());
        let rival = standby.rival.insert(rival);
        if is_gone && self.store.depose(RESOURCE, rival.holder(), now).await? {
            return self.store.lead(RESOURCE, &self.owner, LEASE, now).await;
        }
        Ok(None)
    }

    /// Takes the lease from a holder whose key is refused, or that has the key of another company, or another server, if
    /// this process has the right one.
    async fn relieve<U: Upstream>(
        &self,
        standby: &mut Standby,
        syncer: &Syncer<U>,
        stop: &CancellationToken,
    ) -> Result<Option<(Fence, DateTime<Utc>)>, store::Error> {
        let Some(seen) = standby.rival.as_ref().map(|rival| rival.holder().clone()) else { return Ok(None) };
        if !standby.may_identify() {
            return Ok(None);
        }
        let Some(account) = self.store.account().await? else { return Ok(None) };
        let is_refused = account.wrong_since.is_none();
        // Before a reload this process itself may have had the refused one, and gives up the lease unasked.
        let is_own = seen.process.is_some_and(|process| self.store.is_own_process(process));
        if is_refused && (is_own || !self.store.is_key_refused().await?) {
            return Ok(None);
        }
        let identifying = async { if is_refused { syncer.identify_anew().await } else { syncer.identify().await } };
        let Some(Ok(Some(found))) = stop.run_until_cancelled(identifying).await else {
            standby.unidentified = Some(Instant::now());
            return Ok(None);
        };
        if !account.is(&found) {
            // Each further look would be a request.
            standby.unidentified = is_refused.then(Instant::now);
            return Ok(None);
        }
        // The request may have taken long.
        let now = self.clock.now();
        let Some(fence) = self.store.relieve((RESOURCE, &seen), &found, &self.owner, LEASE, now).await? else {
            return Ok(None);
        };
        standby.rival = None;
        if is_refused {
            tracing::warn!("Lumo refuses the key of the process that read, and takes this one's: this one takes over");
            // So that no other standby with the right key takes it from this one before its first round.
            syncer.note_key(Listing::Deposits, true, Some(fence)).await?;
        } else {
            tracing::warn!(
                "the process that read has the key of another company, or another server: this one takes over"
            );
        }
        Ok(Some((fence, now + LEASE)))
    }
}
