//! The bridge taken apart, in this process: for tests that hold the clock or one of the loops in their hands.

use std::path::Path;
use std::sync::Arc;

use chrono::TimeDelta;
use lumo_bridge::app;
use lumo_bridge::callback::{Endpoint, Sender};
use lumo_bridge::clock::Clock;
use lumo_bridge::config::Config;
use lumo_bridge::deliver::Pool;
use lumo_bridge::lumo::Client;
use lumo_bridge::model::Listing;
use lumo_bridge::store::{self, Store};
use lumo_bridge::sync::{Error, Options, Report, Syncer, Tally};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// What the daemon is made of.
pub(crate) struct Parts {
    pub(crate) config: Config,
    pub(crate) store: Store,
    pub(crate) clock: Clock,
    pub(crate) syncer: Syncer<Client>,
    endpoints: Vec<Arc<Endpoint>>,
}

/// Dispatchers at work; dropping it drops what they have in hand.
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
        let store = store.with_settled_statuses(app::settled_statuses(&config));
        store.register_endpoints(store.new_process(), clock.now()).await.expect("endpoints not registered");
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
    pub(crate) async fn deliver(&self) -> Delivering {
        let sender = Sender::new(&self.config.callbacks.egress, self.endpoints.iter().map(|endpoint| &**endpoint));
        let sender = sender.expect("sender refused");
        let locks =
            Box::pin(self.store.hold_process_lock(&self.config.database)).await.expect("no session to listen in");
        let pool = Pool::new(self.store.clone(), sender, self.clock.clone(), self.endpoints.clone());
        let (soft, hard) = (CancellationToken::new(), CancellationToken::new());
        #[expect(clippy::disallowed_methods, reason = "the handle is kept and awaited")]
        let task = tokio::spawn(pool.run(locks, soft.clone(), hard.clone()));
        Delivering { soft, hard, task }
    }
}

impl Delivering {
    /// Finishes what is in hand.
    pub(crate) async fn stop(mut self) {
        self.soft.cancel();
        (&mut self.task).await.expect("the dispatchers panicked");
    }
}

impl Drop for Delivering {
    fn drop(&mut self) {
        self.hard.cancel();
        self.soft.cancel();
    }
}
