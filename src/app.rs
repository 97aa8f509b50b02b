//! The composition root: a configuration in, running loops out. The only place where everything meets.

pub mod reload;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use chrono::{DateTime, TimeDelta, Utc};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::admin;
use crate::backfill;
use crate::callback::{self, Endpoint, Sender};
use crate::chain::Chain;
use crate::clock::Clock;
use crate::config::Config;
use crate::deliver::Courier;
use crate::lifecycle::Stop;
use crate::lumo::Client;
use crate::model::Listing;
use crate::model::facts::History;
use crate::model::id::EndpointName;
use crate::model::subscriber::Subscriber;
use crate::retention::Retention;
use crate::schedule::{self, First};
use crate::setting::CronLine;
use crate::store::{self, Registered, Roll, Store};
use crate::sync::config::FirstImport;
use crate::sync::{Lead, Settings, Syncer};

/// How long passes stay in the history.
const RUNS_KEPT: TimeDelta = TimeDelta::days(14);
/// How often leases are looked at for holders that have died.
const DEAD_LOOK: Duration = Duration::from_secs(5);
/// How often what is over is pruned.
const PRUNE_EVERY: Duration = Duration::from_secs(3600);
/// A listing has fallen behind after so long, …
const STALLED_AFTER: TimeDelta = TimeDelta::minutes(5);
/// … or so many rounds, without a complete one.
const STALLED_ROUNDS: i32 = 3;
/// How often to look whether a sweep cannot wait for its time.
const SWEEP_LOOK: Duration = Duration::from_secs(10);
/// Pages that a sweep reads before it hands over what it has learned.
const SWEEP_SLICE: u64 = 50;

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

/// Whether each endpoint has a secret that signs at this moment: for whoever is about to send.
///
/// # Errors
/// The endpoints that have none left.
pub fn check_signing(endpoints: &[Arc<Endpoint>], now: DateTime<Utc>) -> Result<(), Vec<callback::ConfigError>> {
    let errors: Vec<_> = endpoints.iter().filter_map(|endpoint| endpoint.check_signing(now).err()).collect();
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

/// What the outbox needs to know of the endpoints.
#[must_use]
pub fn subscribers(endpoints: &[Arc<Endpoint>]) -> Vec<Subscriber> {
    let subscriber = |endpoint: &Arc<Endpoint>| Subscriber {
        endpoint: endpoint.name().clone(),
        patterns: endpoint.patterns().clone(),
        order: endpoint.ordering().by.into(),
        history: endpoint.history(),
    };
    endpoints.iter().map(subscriber).collect()
}

/// A client of the Lumo API.
///
/// # Errors
/// If the key is not to be had.
pub fn client(config: &Config) -> anyhow::Result<Client> {
    let key = config.lumo.api_key.resolve("lumo.api_key")?;
    Ok(Client::new(&config.lumo, key)?.with_sweep_budget(config.sync.sweep.budget))
}

/// What reads the listings.
#[must_use]
pub fn syncer(config: &Config, store: Store, client: Client, clock: Clock) -> Syncer<Client> {
    let history = match config.sync.first_import {
        FirstImport::Silent => History::Silent,
        FirstImport::Notify => History::Notify,
        FirstImport::Since(since) => History::Since(since),
    };
    let now = clock.now();
    let stalled_after = Listing::ALL.map(|listing| {
        let mut due = schedule_of(config, listing).due_after(now);
        let between = due.next().zip(due.next()).map(|(first, second)| second - first);
        STALLED_AFTER.max(between.unwrap_or_default() * STALLED_ROUNDS)
    });
    let settings = Settings {
        stalled_after,
        history,
        page_size: config.lumo.page_size,
        concurrency: usize::try_from(config.lumo.concurrency).unwrap_or(1),
        ..Settings::default()
    };
    Syncer::new(store, client, clock, settings)
}

fn schedule_of(config: &Config, listing: Listing) -> &CronLine {
    match listing {
        Listing::Wallets => &config.sync.wallets.schedule,
        Listing::Blocked => &config.sync.blocked.schedule,
        Listing::Deposits => &config.sync.deposits.schedule,
    }
}

/// The daemon: everything that runs until it is told to stop.
pub struct Daemon {
    pub config: Config,
    pub clock: Clock,
    pub endpoints: Vec<Arc<Endpoint>>,
}

/// A daemon that was started.
pub struct Running {
    stop: Stop,
    store: Store,
    parts: Vec<Part>,
}

impl Daemon {
    /// Runs until `stop.soft` is cancelled and what was in hand is finished or dropped.
    ///
    /// # Errors
    /// If it cannot start: no database, no rights in it, an address that is taken. Or if a part ended by itself.
    pub async fn run(self, stop: &Stop) -> anyhow::Result<()> {
        let listener = listen(&self.config).await?;
        self.start(stop, listener).await?.ended().await?;
        tracing::info!("stopped");
        Ok(())
    }

    /// Starts every part. When one of them ends by itself, `stop.soft` is cancelled.
    ///
    /// # Errors
    /// If it cannot start: no database, or no rights in it.
    async fn start(self, stop: &Stop, listener: Option<TcpListener>) -> anyhow::Result<Running> {
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
        tell(&store.register_endpoints(clock.now()).await?);
        let sender = Sender::new(&config.callbacks.egress, endpoints.iter().map(|endpoint| &**endpoint))?;
        let client = client(&config)?;
        let syncer = Arc::new(syncer(&config, store.clone(), client.clone(), clock.clone()));
        let lead = Arc::new(Lead::new(store.clone(), clock.clone()));
        let courier = Courier::new(store.clone(), sender.clone(), clock.clone(), endpoints.clone());

        let tasks = TaskTracker::new();
        let mut parts = Vec::new();
        if let Some(listener) = listener {
            let shown = admin::Parts {
                store: store.clone(),
                clock: clock.clone(),
                client,
                syncer: Arc::clone(&syncer),
                lead: Arc::clone(&lead),
                sender,
                endpoints: endpoints.clone(),
                configs: config.callbacks.endpoints.clone(),
                deliveries: courier.meters(),
                stop: stop.soft.clone(),
            };
            let serve = admin::serve(listener, admin::Access::of(&config.server)?, shown);
            parts.push(supervise(&tasks, stop, "admin HTTP", serve));
        }
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            database = %config.database.url,
            upstream = %config.lumo.base_url,
            endpoints = endpoints.len(),
            "started"
        );
        let roll = store.enroll(&config.database).await?;
        let names = endpoints.iter().map(|endpoint| endpoint.name().clone()).collect();
        let (heard, database) = (store.clone(), config.database.clone());
        let deliveries = deliver(courier, roll, names, heard, database, clock.clone(), stop.clone());
        parts.push(supervise(&tasks, stop, "deliveries", deliveries));
        let in_step = keep_in_step(config, syncer, lead, store.clone(), clock, stop.clone());
        parts.push(supervise(&tasks, stop, "sync", in_step));
        Ok(Running { stop: stop.clone(), store, parts })
    }
}

impl Running {
    /// Waits until it is told to stop, or a part ends by itself, and then until what was in hand is finished or dropped.
    ///
    /// # Errors
    /// The parts that ended by themselves.
    async fn ended(self) -> anyhow::Result<()> {
        self.stop.soft.cancelled().await;
        let mut failed = Vec::new();
        for part in self.parts {
            if !part.task.await.unwrap_or(false) {
                failed.push(part.name);
            }
        }
        self.store.close().await;
        anyhow::ensure!(failed.is_empty(), "ended unexpectedly: {}", failed.join(", "));
        Ok(())
    }
}

/// Says what is new about the endpoints.
fn tell(registered: &Registered) {
    for endpoint in &registered.late {
        tracing::warn!(
            %endpoint, "`backfill` has no effect on an endpoint that is known already; `lumo-bridge event replay` sends \
             it stored events"
        );
    }
    for endpoint in &registered.put_back {
        tracing::info!(%endpoint, "endpoint is configured again; what waits for it goes out");
    }
    for endpoint in &registered.removed {
        tracing::warn!(
            %endpoint, "endpoint is no longer configured; what is for it is held until it is, or until it is given up \
             with `lumo-bridge endpoint resume --skip-held`"
        );
    }
}

/// Takes the address of the admin HTTP, if there is to be one.
async fn listen(config: &Config) -> anyhow::Result<Option<TcpListener>> {
    let Some(address) = config.server.listen else { return Ok(None) };
    let listener = TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
    let address = listener.local_addr().unwrap_or(address);
    tracing::info!(%address, "admin HTTP is up");
    Ok(Some(listener))
}

/// Delivers, beginning with what dead processes have left, and looks for more of them from time to time.
async fn deliver(
    courier: Courier,
    mut roll: Roll,
    endpoints: Vec<EndpointName>,
    store: Store,
    database: store::Config,
    clock: Clock,
    stop: Stop,
) {
    let mut at_once = true;
    let mut look = async || match roll.take_back(&endpoints, std::mem::take(&mut at_once), clock.now()).await {
        Ok(0) => {}
        Ok(deliveries) => tracing::info!(deliveries, "what a process that died had in hand is due again"),
        Err(error) => tracing::warn!(error = %Chain(&error), "cannot tell whether other processes live"),
    };
    look().await;
    let watch = async {
        while stop.soft.run_until_cancelled(tokio::time::sleep(DEAD_LOOK)).await.is_some() {
            look().await;
        }
    };
    let listen = stop.soft.run_until_cancelled(store.listen(&database));
    let history = backfill::run(&store, &clock, &stop.soft);
    tokio::join!(courier.run(stop.soft.clone(), stop.hard.clone()), watch, listen, history);
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

/// The first import, if there is one to make, and then every listing on its schedule; all of it only while this process
/// is the one that reads.
async fn keep_in_step(
    config: Config,
    syncer: Arc<Syncer<Client>>,
    lead: Arc<Lead>,
    store: Store,
    clock: Clock,
    stop: Stop,
) {
    let (lead, syncer, stop) = (&lead, &syncer, &stop);
    let listings = async {
        if lead.held(&stop.soft).await {
            import(&config, syncer, stop).await;
        }
        let rounds = Listing::ALL.map(|listing| {
            let round = move || async move {
                if lead.is_held() {
                    syncer.on_schedule(listing, &stop.soft).await;
                }
            };
            Box::pin(schedule::run(
                listing.as_str(),
                schedule_of(&config, listing),
                First::WhenDue,
                &clock,
                &stop.soft,
                round,
            ))
        });
        let begin = || sweep(syncer, lead, stop, Sweeps::All);
        let sweeps =
            Box::pin(schedule::run("sweep", &config.sync.sweep.schedule, First::WhenDue, &clock, &stop.soft, begin));
        let urgent = Box::pin(every(SWEEP_LOOK, stop, || sweep(syncer, lead, stop, Sweeps::Due)));
        let [wallets, blocked, deposits] = rounds;
        tokio::join!(wallets, blocked, deposits, sweeps, urgent);
    };
    let retention = Retention::new(store.clone(), clock.clone(), config.callbacks.retention.clone());
    let prune = every(PRUNE_EVERY, stop, || async {
        if let Err(error) = store.forget_runs(clock.now() - RUNS_KEPT).await {
            tracing::warn!(error = %Chain(&error), "history of passes not pruned");
        }
        if lead.is_held() {
            retention.prune(&stop.soft).await;
        }
    });
    // The lease is given back last, when no round is under way any more.
    let over = CancellationToken::new();
    let working = async {
        tokio::join!(listings, prune);
        over.cancel();
    };
    tokio::join!(Box::pin(working), Box::pin(lead.keep(syncer, &over)));
}

/// Does something again and again, until the process is to end.
async fn every<Job: Future<Output = ()>>(pause: Duration, stop: &Stop, mut job: impl FnMut() -> Job) {
    while stop.soft.run_until_cancelled(tokio::time::sleep(pause)).await.is_some() {
        job().await;
    }
}

/// Which sweeps to go on with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sweeps {
    All,
    /// Those that a restart interrupted, and those that cannot wait for their time.
    Due,
}

/// Sweeps the listings, one after the other, each to its end.
async fn sweep(syncer: &Syncer<Client>, lead: &Lead, stop: &Stop, which: Sweeps) {
    for listing in Listing::ALL {
        let wanted = match which {
            Sweeps::All => !syncer.import_pending(listing).await.unwrap_or(true),
            Sweeps::Due => syncer.sweep_is_due(listing).await.unwrap_or(false),
        };
        while wanted && lead.is_held() && !stop.soft.is_cancelled() {
            match syncer.sweep(listing, SWEEP_SLICE, &stop.soft).await {
                Ok(Some(report)) => {
                    report.log("sweep");
                    break;
                }
                Ok(None) => {}
                // The rounds say so already.
                Err(error) if error.is_unauthorized() => break,
                Err(error) => {
                    tracing::warn!(%listing, error = %Chain(&error), "sweep interrupted; it goes on from where it was");
                    break;
                }
            }
        }
    }
}

/// Wallets before deposits, so that the event of a deposit that names only its wallet names its user. Where nothing is
/// told there is no such event, and the lists are read side by side.
async fn import(config: &Config, syncer: &Syncer<Client>, stop: &Stop) {
    let [wallets, blocked, deposits] = Listing::ALL.map(|listing| Box::pin(import_one(syncer, listing, stop)));
    if config.sync.first_import == FirstImport::Silent {
        tokio::join!(wallets, blocked, deposits);
    } else {
        wallets.await;
        blocked.await;
        deposits.await;
    }
}

async fn import_one(syncer: &Syncer<Client>, listing: Listing, stop: &Stop) {
    match syncer.import_pending(listing).await {
        _ if stop.soft.is_cancelled() => {}
        Ok(false) => {}
        Ok(true) => {
            tracing::info!(%listing, "first import");
            syncer.on_schedule(listing, &stop.soft).await;
        }
        Err(error) => tracing::warn!(%listing, error = %Chain(&error), "progress cannot be read"),
    }
}
