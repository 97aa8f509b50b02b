//! Delivering: what is due is claimed, sent and settled, over and over, per endpoint.
//!
//! Each endpoint has a dispatcher of its own, with its own limits, so that none waits for another. A dispatcher claims
//! somewhat more than it can send at once, sends side by side with no transaction open, and hands what the attempts met to
//! one settler, which writes whatever has gathered in one transaction; while it writes, more gathers. That transaction also
//! claims what comes next in the lanes that it frees, so under load one transaction serves hundreds of deliveries.
//! Crash, `kill -9` and a drain that ran out of time are one case: leases end, and somebody claims again.

mod acks;
mod allowance;
mod attempt;
mod desk;
mod dispatch;
mod health;
mod meters;
mod pressure;
pub mod replay;
mod settler;
pub mod trial;
mod turn;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use acks::Watch;
pub use meters::Meters;

use desk::Desk;
use dispatch::Dispatcher;
use settler::Settler;

use crate::callback::{Endpoint, Sender};
use crate::clock::Clock;
use crate::store::Store;

/// Settlements that may wait to be written before sending waits for them.
const BACKLOG: usize = 4000;

/// The longest time without a look at the table: what other processes queue may go unheard, and clocks are stepped.
const POLL: Duration = Duration::from_secs(1);

/// Delivers to all endpoints of the configuration.
pub struct Courier {
    store: Store,
    sender: Sender,
    clock: Clock,
    endpoints: Vec<Arc<Endpoint>>,
    poll: Duration,
    meters: Arc<Meters>,
}

impl Courier {
    #[must_use]
    pub fn new(store: Store, sender: Sender, clock: Clock, endpoints: Vec<Arc<Endpoint>>) -> Self {
        Self { store, sender, clock, endpoints, poll: POLL, meters: Arc::default() }
    }

    /// The same, with another longest time without a look at the table.
    #[must_use]
    pub fn polling_every(self, poll: Duration) -> Self {
        Self { poll, ..self }
    }

    /// What it will have done.
    #[must_use]
    pub fn meters(&self) -> Arc<Meters> {
        Arc::clone(&self.meters)
    }

    /// Delivers until `soft` is cancelled, then finishes what is in hand. When `hard` is cancelled what is left is
    /// dropped; it is claimed again when its leases end.
    ///
    /// # Panics
    /// If one of its loops did: an endpoint that is silently no longer served would be worse.
    pub async fn run(self, soft: CancellationToken, hard: CancellationToken) {
        let (settle, settlements) = mpsc::channel(BACKLOG);
        let desks: BTreeMap<_, _> =
            self.endpoints.iter().map(|endpoint| (endpoint.name().clone(), Arc::new(Desk::default()))).collect();
        let mut loops = JoinSet::new();
        let settler = Settler::new(self.store.clone(), self.clock.clone(), desks.clone());
        loops.spawn(hard.clone().run_until_cancelled_owned(settler.run(settlements)));
        for endpoint in self.endpoints {
            let Some(desk) = desks.get(endpoint.name()).map(Arc::clone) else { continue };
            let span = tracing::debug_span!("deliver", endpoint = %endpoint.name());
            let (store, sender, clock) = (self.store.clone(), self.sender.clone(), self.clock.clone());
            let watch = Watch { store: store.clone(), clock: clock.clone(), endpoint: Arc::clone(&endpoint) };
            let dispatcher =
                Dispatcher::new(store, sender, clock, endpoint, desk, settle.clone(), Arc::clone(&self.meters))
                    .polling_every(self.poll);
            let soft = soft.clone();
            let serve = async move {
                // What was acknowledged while nobody looked is not sent again.
                watch.look().await;
                tokio::join!(dispatcher.run(soft.clone()), watch.run(&soft));
            };
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
}
