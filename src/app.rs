//! The composition root: a configuration in, running loops out. The only place where everything meets.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use chrono::TimeDelta;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;

use crate::callback::{self, Endpoint, Sender};
use crate::chain::Chain;
use crate::clock::Clock;
use crate::config::Config;
use crate::deliver::Courier;
use crate::lifecycle::Stop;
use crate::lumo::Client;
use crate::model::Listing;
use crate::model::facts::History;
use crate::model::subscriber::{Order, Subscriber};
use crate::schedule::{self, First};
use crate::setting::CronLine;
use crate::store::{self, Store};
use crate::sync::config::FirstImport;
use crate::sync::{Options, Syncer};
use crate::{admin, callback::config::OrderBy};

/// How long passes stay in the history.
const RUNS_KEPT: TimeDelta = TimeDelta::days(14);
/// How often the history of passes is pruned.
const PRUNE_EVERY: Duration = Duration::from_secs(3600);

/// The endpoints of the configuration, ready to be called.
///
/// # Errors
/// Everything that is wrong with them.
pub fn endpoints(config: &callback::Config) -> Result<Vec<Arc<Endpoint>>, Vec<callback::ConfigError>> {
    let (mut endpoints, mut errors) = (Vec::new(), Vec::new());
    for (name, endpoint) in &config.endpoints {
        match Endpoint::compile(name, endpoint, &config.defaults) {
            Ok(endpoint) => endpoints.push(Arc::new(endpoint)),
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() { Ok(endpoints) } else { Err(errors) }
}

/// What the outbox needs to know of the endpoints.
#[must_use]
pub fn subscribers(endpoints: &[Arc<Endpoint>]) -> Vec<Subscriber> {
    let subscriber = |endpoint: &Arc<Endpoint>| Subscriber {
        endpoint: endpoint.name().clone(),
        patterns: endpoint.patterns().clone(),
        order: match endpoint.ordering().by {
            OrderBy::User => Order::User,
            OrderBy::Endpoint => Order::Endpoint,
            OrderBy::None => Order::None,
        },
    };
    endpoints.iter().map(subscriber).collect()
}

/// A client of the Lumo API.
///
/// # Errors
/// If the key is not to be had.
pub fn client(config: &Config) -> anyhow::Result<Client> {
    let key = config.lumo.api_key.resolve("lumo.api_key")?;
    Ok(Client::new(&config.lumo, key)?)
}

/// What walks the listings.
#[must_use]
pub fn syncer(config: &Config, store: Store, client: Client, clock: Clock) -> Syncer {
    let history = match config.sync.first_import {
        FirstImport::Silent => History::Silent,
        FirstImport::Notify => History::Notify,
        FirstImport::Since(since) => History::Since(since),
    };
    Syncer::new(store, client, clock, history, config.lumo.page_size)
}

/// The daemon: everything that runs until it is told to stop.
pub struct Daemon {
    pub config: Config,
    pub clock: Clock,
    pub endpoints: Vec<Arc<Endpoint>>,
}

impl Daemon {
    /// Runs until `stop.soft` is cancelled and what was in hand is finished or dropped.
    ///
    /// # Errors
    /// If it cannot start: no database, no rights in it, an address that is taken.
    pub async fn run(self, stop: &Stop) -> anyhow::Result<()> {
        let Self { config, clock, endpoints } = self;
        if config.database.migrate {
            let applied = store::schema::up(&config.database)
                .await
                .with_context(|| format!("tables not brought up to date in {}", config.database.url))?;
            if applied > 0 {
                tracing::info!(applied, "tables brought up to date");
            }
        }
        let store = Store::open(&config.database, subscribers(&endpoints))
            .await
            .with_context(|| format!("{} not opened", config.database.url))?;
        store.ping().await.context("database not ready")?;
        store.register_endpoints(clock.now()).await?;
        let sender = Sender::new(&config.callbacks.egress, endpoints.iter().map(|endpoint| &**endpoint))?;
        let syncer = Arc::new(syncer(&config, store.clone(), client(&config)?, clock.clone()));

        let tasks = TaskTracker::new();
        let mut parts = Vec::new();
        if let Some(address) = config.server.listen {
            let listener = TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
            tracing::info!(%address, "admin HTTP is up");
            let serve = admin::serve(listener, store.clone(), stop.soft.clone());
            parts.push(supervise(&tasks, stop, "admin HTTP", async move {
                if let Err(error) = serve.await {
                    tracing::error!(error = %Chain(&error), "admin HTTP stopped");
                }
            }));
        }
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            database = %config.database.url,
            upstream = %config.lumo.base_url,
            endpoints = endpoints.len(),
            "started"
        );
        let courier = Courier::new(store.clone(), sender, clock.clone(), endpoints);
        let deliveries = courier.run(stop.soft.clone(), stop.hard.clone());
        parts.push(supervise(&tasks, stop, "deliveries", deliveries));
        let in_step = keep_in_step(config, syncer, store.clone(), clock, stop.clone());
        parts.push(supervise(&tasks, stop, "sync", in_step));

        stop.soft.cancelled().await;
        let mut failed = Vec::new();
        for part in parts {
            if !part.task.await.unwrap_or(false) {
                failed.push(part.name);
            }
        }
        store.close().await;
        anyhow::ensure!(failed.is_empty(), "ended unexpectedly: {}", failed.join(", "));
        tracing::info!("stopped");
        Ok(())
    }
}

/// A part of the daemon.
struct Part {
    name: &'static str,
    /// Gives whether the part ended because it was told to.
    task: JoinHandle<bool>,
}

/// Spawns a part of the daemon whose end, by a panic too, ends everything: half a daemon helps nobody.
fn supervise(
    tasks: &TaskTracker,
    stop: &Stop,
    name: &'static str,
    part: impl Future<Output = ()> + Send + 'static,
) -> Part {
    let guard = stop.guard();
    let soft = stop.soft.clone();
    let part = stop.hard.clone().run_until_cancelled_owned(part);
    let task = tasks.spawn(async move {
        let _guard = guard;
        part.await;
        soft.is_cancelled()
    });
    Part { name, task }
}

/// The first import, if there is one to make, and then every listing on its schedule.
async fn keep_in_step(config: Config, syncer: Arc<Syncer>, store: Store, clock: Clock, stop: Stop) {
    import(&syncer, &stop).await;
    let listed = |listing| match listing {
        Listing::Wallets => &config.sync.wallets.schedule,
        Listing::Blocked => &config.sync.blocked.schedule,
        Listing::Deposits => &config.sync.deposits.schedule,
    };
    let (syncer, stop) = (&syncer, &stop);
    let passes = Listing::ALL.map(|listing| {
        let tick = move || async move { syncer.tick(listing, &Options::default(), &stop.soft).await };
        on_schedule(listing.as_str(), listed(listing), &clock, stop, tick)
    });
    let sweep = || async {
        for listing in Listing::ALL {
            let options = Options { probe_page_size: true, ..Options::default() };
            syncer.tick(listing, &options, &stop.soft).await;
        }
    };
    let sweeps = on_schedule("sweep", &config.sync.sweep.schedule, &clock, stop, sweep);
    let prune = async {
        while stop.soft.run_until_cancelled(tokio::time::sleep(PRUNE_EVERY)).await.is_some() {
            if let Err(error) = store.forget_runs(clock.now() - RUNS_KEPT).await {
                tracing::warn!(error = %Chain(&error), "history of passes not pruned");
            }
        }
    };
    let [wallets, blocked, deposits] = passes;
    tokio::join!(wallets, blocked, deposits, sweeps, prune);
}

fn on_schedule<Run: Future<Output = ()>>(
    name: &'static str,
    line: &CronLine,
    clock: &Clock,
    stop: &Stop,
    job: impl FnMut() -> Run,
) -> impl Future<Output = ()> {
    schedule::run(name, line, First::WhenDue, clock, &stop.soft, job)
}

/// Wallets before deposits, so that a deposit that names only its wallet finds its user.
async fn import(syncer: &Syncer, stop: &Stop) {
    for listing in Listing::ALL {
        match syncer.import_pending(listing).await {
            _ if stop.soft.is_cancelled() => return,
            Ok(false) => {}
            Ok(true) => {
                tracing::info!(%listing, "first import");
                syncer.tick(listing, &Options::default(), &stop.soft).await;
            }
            Err(error) => tracing::warn!(%listing, error = %Chain(&error), "progress cannot be read"),
        }
    }
}
