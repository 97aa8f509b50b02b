//! The composition root: a configuration in, running loops out. The only place where everything meets.

mod listings;
pub mod reload;
mod speed;
mod watch;

use std::sync::Arc;

use anyhow::Context;
use chrono::{DateTime, TimeDelta, Utc};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;

use crate::admin::{self, Front};
use crate::backfill;
use crate::callback::{self, Endpoint, EndpointConfig, Sender};
use crate::chain::Chain;
use crate::clock::Clock;
use crate::config::Config;
use crate::deliver::Pool;
use crate::lifecycle::Stop;
use crate::lumo::Client;
use crate::model::facts::History;
use crate::model::id::EndpointName;
use crate::model::subscriber::{Statements, Subscriber};
use crate::model::{Listing, PerListing};
use crate::setting::CronLine;
use crate::store::{self, ProcessLocks, Registered, Store};
use crate::sync::config::FirstImport;
use crate::sync::{Lead, Settings, Syncer};
pub use watch::watch_plan;

/// A listing has fallen behind after so long, …
const STALLED_AFTER: TimeDelta = TimeDelta::minutes(5);
/// … or so many rounds, without a complete one.
const STALLED_ROUNDS: i32 = 3;

/// The endpoints of the configuration, ready to be called.
///
/// # Errors
/// Everything that is wrong with them.
pub fn endpoints(config: &callback::Config) -> Result<Vec<Arc<Endpoint>>, Vec<callback::ConfigError>> {
    read_each(config, |name, endpoint| Endpoint::compile(name, endpoint, &config.defaults).map(Arc::new))
}

/// The endpoints of the configuration as the log sees them, for what publishes and sends nothing: no secret of theirs is
/// loaded.
///
/// # Errors
/// Everything that is wrong with that.
pub fn configured_subscribers(config: &callback::Config) -> Result<Vec<Subscriber>, Vec<callback::ConfigError>> {
    read_each(config, |name, endpoint| Endpoint::read_subscriber(name, endpoint, &config.defaults))
}

/// The statements of the configuration, with the types that their `events` name.
///
/// # Errors
/// Everything that is wrong with the endpoints.
pub fn statements(config: &callback::Config) -> Result<Statements, Vec<callback::ConfigError>> {
    let is_statement = |name: &EndpointName| config.endpoints.get(name.as_str()).is_some_and(|one| one.sink.is_some());
    let statements = configured_subscribers(config)?.into_iter().filter(|one| is_statement(&one.endpoint));
    Ok(statements.map(|one| (one.endpoint, one.patterns)).collect())
}

fn read_each<T>(
    config: &callback::Config,
    read: impl Fn(&str, &EndpointConfig) -> Result<T, callback::ConfigError>,
) -> Result<Vec<T>, Vec<callback::ConfigError>> {
    let (mut all, mut errors) = (Vec::new(), Vec::new());
    for (name, endpoint) in &config.endpoints {
        match read(name, endpoint) {
            Ok(one) => all.push(one),
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() { Ok(all) } else { Err(errors) }
}

/// Whether each endpoint has a secret that signs at this moment: for whoever is about to send.
///
/// # Errors
/// The endpoints that have none left.
pub fn check_signing(endpoints: &[Arc<Endpoint>], now: DateTime<Utc>) -> Result<(), Vec<callback::ConfigError>> {
    let errors: Vec<_> = endpoints.iter().filter_map(|endpoint| endpoint.check_signing(now).err()).collect();
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

/// What the log needs to know of the endpoints.
#[must_use]
pub fn subscribers(endpoints: &[Arc<Endpoint>]) -> Vec<Subscriber> {
    endpoints.iter().map(|endpoint| endpoint.subscriber().clone()).collect()
}

/// The statuses of deposits that mean that the money is there.
#[must_use]
pub fn settled_statuses(config: &Config) -> Vec<String> {
    config.lumo.settled_statuses.iter().map(|status| status.as_str().to_owned()).collect()
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
    let stalled_after = PerListing::of(|listing| {
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

/// Beyond its schedule, this long without the end of a round is too long.
const OVERDUE_AFTER: TimeDelta = TimeDelta::minutes(10);
/// Rounds of a schedule that are looked at for its longest pause, as one over night.
const ROUNDS_LOOKED_AT: usize = 200;

/// How long each listing may go without the end of a round.
#[must_use]
pub fn overdue_after(config: &Config, now: DateTime<Utc>) -> PerListing<TimeDelta> {
    PerListing::of(|listing| {
        let due: Vec<_> = schedule_of(config, listing).due_after(now).take(ROUNDS_LOOKED_AT).collect();
        let longest = due.windows(2).filter_map(|pair| Some(*pair.get(1)? - *pair.first()?)).max();
        OVERDUE_AFTER + longest.unwrap_or(TimeDelta::MAX / 2)
    })
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
        let start = Box::pin(self.start(stop, listener, None));
        if let Some(running) = stop.soft.run_until_cancelled(start).await {
            let running = running?;
            let store = running.store.clone();
            let ended = running.ended().await;
            store.close().await;
            ended?;
        }
        tracing::info!("stopped");
        Ok(())
    }

    /// Starts every part, over the connections of the parts before, if there are any. When one of them ends by itself,
    /// `stop.soft` is cancelled. May be dropped at any time.
    ///
    /// # Errors
    /// If it cannot start: no database, or no rights in it.
    async fn start(
        self,
        stop: &Stop,
        listener: Option<TcpListener>,
        before: Option<&Store>,
    ) -> anyhow::Result<Running> {
        let Self { config, clock, endpoints } = self;
        for parameter in config.database.url.unknown_parameters() {
            tracing::warn!(%parameter, "`database.url` has a parameter that the driver does not know; it has no effect");
        }
        let tasks = TaskTracker::new();
        let mut parts = Vec::new();
        let front = Front::new("starting");
        let address = listener.as_ref().filter(|_| before.is_none()).and_then(|listener| listener.local_addr().ok());
        let serve = |listener| supervise(&tasks, stop, "admin HTTP", front.clone().serve(listener, stop.soft.clone()));
        // While there are parts before, they answer until these can.
        let (at_once, later) = if before.is_none() { (listener, None) } else { (None, listener) };
        parts.extend(at_once.map(serve));
        let store = match before {
            Some(store) => {
                store.with_subscribers(subscribers(&endpoints)).with_settled_statuses(settled_statuses(&config))
            }
            None => open(&config, &endpoints, &front, clock.now()).await?,
        };
        if before.is_some() {
            tasks.spawn(tell_settled(store.clone(), settled_statuses(&config)));
        }
        let sender = Sender::new(&config.callbacks.egress, endpoints.iter().map(|endpoint| &**endpoint))?;
        let client = client(&config)?;
        let noted_client = client.clone();
        let syncer = Arc::new(syncer(&config, store.clone(), client.clone(), clock.clone()));
        let lead = Arc::new(Lead::new(store.clone(), clock.clone()));
        // Comes before the process gets its number, which says by which lock others see that it lives.
        let locks = store.hold_process_lock(&config.database).await?;
        let pool = Pool::new(store.clone(), sender.clone(), clock.clone(), endpoints.clone());
        tell(&store.register_endpoints(pool.process(), clock.now()).await?);

        let shown = admin::Parts {
            store: store.clone(),
            clock: clock.clone(),
            client,
            syncer: Arc::clone(&syncer),
            lead: Arc::clone(&lead),
            sender,
            endpoints: endpoints.clone(),
            configs: config.callbacks.endpoints.clone(),
            settled_statuses: settled_statuses(&config),
            deliveries: pool.meters(),
            overdue_after: overdue_after(&config, clock.now()),
            watch: watch_plan(&config),
            stop: stop.soft.clone(),
        };
        let access = admin::Access::of(&config.server)?;
        front.open(access, shown);
        parts.extend(later.map(serve));
        if let Some(address) = address {
            tracing::info!(%address, "admin HTTP is up");
        }
        let noting = speed::keep_noted(noted_client, store.clone(), Arc::clone(&lead), clock.clone(), stop.clone());
        parts.push(supervise(&tasks, stop, "speed", noting));
        // A reload says by itself that it is in force.
        if before.is_none() {
            tracing::info!(
                version = env!("CARGO_PKG_VERSION"),
                database = %config.database.url,
                upstream = %config.lumo.base_url,
                endpoints = endpoints.len(),
                "started"
            );
        }
        let deliveries = deliver(pool, locks, store.clone(), clock.clone(), stop.clone());
        parts.push(supervise(&tasks, stop, "deliveries", deliveries));
        let in_step = listings::keep_in_step(config, syncer, lead, store.clone(), clock, stop.clone());
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
        anyhow::ensure!(failed.is_empty(), "ended unexpectedly: {}", failed.join(", "));
        Ok(())
    }
}

/// Opens the database, with the tables as this program knows them.
async fn open(
    config: &Config,
    endpoints: &[Arc<Endpoint>],
    front: &Front,
    now: DateTime<Utc>,
) -> anyhow::Result<Store> {
    if config.database.migrate {
        front.say("the database is being opened, and its tables brought up to date");
        let applied = store::schema::up(&config.database)
            .await
            .with_context(|| format!("tables not brought up to date in {}", config.database.url))?;
        if applied > 0 {
            tracing::info!(applied, "tables brought up to date");
        }
        front.say("starting");
    }
    let store = Store::open(&config.database, subscribers(endpoints))
        .await
        .with_context(|| format!("{} not opened", config.database.url))?;
    let store = store.with_settled_statuses(settled_statuses(config));
    store.ping().await.context("database not ready")?;
    match store.try_everything(now).await {
        Err(error) if !error.is_outage() => Err(error).context("the daemon cannot work with this database")?,
        // Every part of the daemon reports an outage that it meets, and waits for its end.
        _ => Ok(store),
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
             with `lumo-bridge endpoint resume NAME --skip-held --yes`"
        );
    }
}

/// Says how many deposits have a status that counts as settled since they had it: nothing is sent about them.
async fn tell_settled(store: Store, statuses: Vec<String>) {
    if statuses.is_empty() {
        return;
    }
    match store.settled_before(&statuses).await {
        Ok(0) => {}
        Ok(deposits) => tracing::info!(
            deposits,
            "deposits had a settled status before it was named; nothing is sent about them, \
                       `lumo-bridge deposit list --settled` shows them"
        ),
        Err(error) => tracing::debug!(error = %Chain(&error), "deposits with a settled status not counted"),
    }
}

/// Takes the address of the admin HTTP, if there is to be one.
async fn listen(config: &Config) -> anyhow::Result<Option<TcpListener>> {
    let Some(address) = config.server.listen else { return Ok(None) };
    let listener = TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
    let address = listener.local_addr().unwrap_or(address);
    tracing::info!(%address, "listening");
    Ok(Some(listener))
}

/// Delivers, and gives new endpoints their history.
async fn deliver(pool: Pool, locks: ProcessLocks, store: Store, clock: Clock, stop: Stop) {
    let history = backfill::run(&store, &clock, &stop.soft);
    tokio::join!(pool.run(locks, stop.soft.clone(), stop.hard.clone()), history);
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
