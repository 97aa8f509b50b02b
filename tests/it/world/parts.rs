//! The bridge taken apart, in this process: for tests that hold the clock or one of the loops in their hands.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use lumo_bridge::app;
use lumo_bridge::callback::{Endpoint, Sender};
use lumo_bridge::clock::Clock;
use lumo_bridge::config::Config;
use lumo_bridge::deliver::Courier;
use lumo_bridge::lumo::Client;
use lumo_bridge::model::Listing;
use lumo_bridge::store::{self, Store};
use lumo_bridge::sync::{Error, Options, Report, Syncer, Tally};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::PATIENCE;

/// What the daemon is made of.
pub(crate) struct Parts {
    pub(crate) config: Config,
    pub(crate) store: Store,
    pub(crate) clock: Clock,
    pub(crate) syncer: Syncer<Client>,
    endpoints: Vec<Arc<Endpoint>>,
}

/// A courier at work; dropping it drops what it has in hand.
pub(crate) struct Delivering {
    soft: CancellationToken,
    hard: CancellationToken,
    task: JoinHandle<()>,
}

impl Parts {
    pub(super) async fn new(config: &Path, clock: Clock) -> Self {
        // Somebody else in this process may have been first.
        drop(rustls::crypto::ring::default_provider().install_default());
        let config = Config::load(Some(config), []).expect("configuration refused").config;
        Box::pin(store::schema::up(&config.database)).await.expect("tables not made");
        let endpoints = app::endpoints(&config.callbacks).expect("endpoints refused");
        let store = Store::open(&config.database, app::subscribers(&endpoints)).await.expect("database not opened");
        store.register_endpoints(clock.now()).await.expect("endpoints not registered");
        let client = app::client(&config).expect("client refused");
        let syncer = app::syncer(&config, store.clone(), client, clock.clone());
        Self { config, store, clock, syncer, endpoints }
    }

    /// One pass over a listing.
    pub(crate) async fn pass(&self, listing: Listing) -> Result<Report, Error> {
        self.pass_observed(listing, &|_| {}).await
    }

    /// One pass over a listing; `observe` is called after each page.
    pub(crate) async fn pass_observed(
        &self,
        listing: Listing,
        observe: &(dyn Fn(&Tally) + Send + Sync),
    ) -> Result<Report, Error> {
        // No two passes begin at the same time, not even by a clock that stands.
        self.clock.advance(TimeDelta::milliseconds(1));
        self.syncer.pass(listing, &Options { observe, ..Options::default() }, &CancellationToken::new()).await
    }

    /// One pass over each listing, all of them complete.
    pub(crate) async fn sync(&self) {
        for listing in Listing::ALL {
            let report = self.pass(listing).await.expect("pass failed");
            assert_eq!(report.doubt, None, "{listing}");
        }
    }

    /// Delivers from now on.
    pub(crate) fn deliver(&self) -> Delivering {
        Self::begin(self.courier(), std::future::ready(()))
    }

    /// Delivers from now on, and looks at the table only when it is called.
    pub(crate) async fn deliver_when_woken(&self) -> Delivering {
        let mut woken = self.store.queued();
        let roll = Box::pin(self.store.enroll(&self.config.database)).await.expect("no session to listen in");
        let listen = async move {
            let _roll = roll;
            std::future::pending::<()>().await;
        };
        let delivering = Self::begin(self.courier().polling_every(Duration::from_secs(3600)), listen);
        let listening = tokio::time::timeout(PATIENCE, woken.changed()).await;
        listening.expect("not listening").expect("the store is gone");
        delivering
    }

    fn courier(&self) -> Courier {
        let sender = Sender::new(&self.config.callbacks.egress, self.endpoints.iter().map(|endpoint| &**endpoint));
        let sender = sender.expect("sender refused");
        Courier::new(self.store.clone(), sender, self.clock.clone(), self.endpoints.clone())
    }

    fn begin(courier: Courier, beside: impl Future<Output = ()> + Send + 'static) -> Delivering {
        let (soft, hard) = (CancellationToken::new(), CancellationToken::new());
        #[expect(clippy::disallowed_methods, reason = "the handle is kept and awaited")]
        let task = tokio::spawn({
            let (soft, hard) = (soft.clone(), hard.clone());
            async move {
                let beside = soft.clone().run_until_cancelled_owned(beside);
                tokio::join!(courier.run(soft, hard), beside);
            }
        });
        Delivering { soft, hard, task }
    }
}

impl Delivering {
    /// Finishes what is in hand.
    pub(crate) async fn stop(mut self) {
        self.soft.cancel();
        (&mut self.task).await.expect("the courier panicked");
    }
}

impl Drop for Delivering {
    fn drop(&mut self) {
        self.hard.cancel();
        self.soft.cancel();
    }
}
