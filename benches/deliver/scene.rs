//! Tables with events that wait, receivers that they are for, and the bridge as a process of its own.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use lumo_bridge::app;
use lumo_bridge::callback::{Callback, Endpoint, Sender};
use lumo_bridge::clock::Clock;
use lumo_bridge::config::Config;
use lumo_bridge::deliver::Pool;
use lumo_bridge::model::draft::{Draft, Origin, Upstream, once};
use lumo_bridge::model::event::EventType;
use lumo_bridge::model::retry::Outcome;
use lumo_bridge::store::{Store, schema};
use sea_orm::{ConnectionTrait, Statement};
use serde_json::json;
use serde_json::value::to_raw_value;
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::receiver::Arrival;

const SECRET: &str = "whsec_ZGVtb25zdHJhdGlvbi1vbmx5LXNlY3JldC0wMDAx";
const USERS: usize = 1_000;
/// Bytes of a body, give or take what its numbers take.
const BODY: usize = 600;
/// Events in one transaction.
const PAGE: usize = 500;

/// A database to measure on.
pub(crate) struct Database {
    pub(crate) name: &'static str,
    /// None: a new SQLite file.
    pub(crate) url: Option<String>,
}

/// Whose event it is, and the how manieth of theirs.
pub(crate) type Published = HashMap<String, (usize, usize)>;

pub(crate) struct Scene {
    pub(crate) config: Config,
    pub(crate) store: Store,
    pub(crate) published: Published,
    /// Events that were published and are not waited for.
    before: usize,
    path: PathBuf,
    folder: TempDir,
}

impl Scene {
    /// Fresh tables, and one endpoint for each url that wants everything.
    pub(crate) async fn new(database: &Database, concurrency: usize, urls: &[String]) -> Self {
        Self::wanting(database, concurrency, urls, &["*"]).await
    }

    /// Fresh tables, and one endpoint for each url.
    pub(crate) async fn wanting(database: &Database, concurrency: usize, urls: &[String], events: &[&str]) -> Self {
        let folder = TempDir::new().unwrap();
        let file = || format!("sqlite://{}", folder.path().join("bench.db").display());
        let endpoint =
            |url| json!({"url": url, "events": events, "secrets": [{"value": SECRET}], "concurrency": concurrency});
        let endpoints: HashMap<String, _> =
            urls.iter().enumerate().map(|(number, url)| (format!("bench-{number}"), endpoint(url))).collect();
        // The lists are not read meanwhile.
        let yearly = json!({"schedule": "0 0 4 1 1 *"});
        let settings = json!({
            "database": {"url": database.url.clone().unwrap_or_else(file)},
            "lumo": {"base_url": "http://127.0.0.1:9", "api_key": {"value": "unused"}},
            "sync": {"deposits": yearly, "blocked": yearly, "wallets": yearly, "sweep": yearly},
            "callbacks": {"endpoints": endpoints},
            "server": {"listen": null},
        });
        let path = folder.path().join("bench.yaml");
        std::fs::write(&path, settings.to_string()).unwrap();
        let config = Config::load(Some(&path), []).unwrap().config;
        schema::up(&config.database).await.unwrap();
        schema::down(&config.database, u32::MAX).await.unwrap();
        schema::up(&config.database).await.unwrap();
        let endpoints = app::endpoints(&config.callbacks).unwrap();
        let store = Store::open(&config.database, app::subscribers(&endpoints)).await.unwrap();
        store.register_endpoints(0, Clock::system().now()).await.unwrap();
        Self { config, store, published: HashMap::new(), before: 0, path, folder }
    }

    /// Drops the tables.
    pub(crate) async fn end(self) {
        self.store.close().await;
        schema::down(&self.config.database, u32::MAX).await.unwrap();
        drop(self.folder);
    }

    /// Stores so many more events, the users in turn.
    pub(crate) async fn publish(&mut self, events: usize) {
        let mut left = events;
        while left > 0 {
            let drafts: Vec<Draft> = (0..left.min(PAGE)).map(|_| self.next()).collect();
            left -= drafts.len();
            self.publish_together(drafts).await;
        }
    }

    pub(crate) async fn publish_together(&self, drafts: Vec<Draft>) {
        let (now, drafts) = (Clock::system().now(), &drafts);
        self.store.tx("bench", |tx| async move { tx.publish(drafts.clone(), now).await }).await.unwrap();
    }

    /// The next event.
    pub(crate) fn next(&mut self) -> Draft {
        let number = self.published.len();
        let draft = draft(self.before + number, Clock::system().now());
        self.published.insert(draft.id.to_string(), (number % USERS, number / USERS));
        draft
    }

    fn endpoints(&self) -> Vec<Arc<Endpoint>> {
        app::endpoints(&self.config.callbacks).unwrap()
    }

    /// Posts so many bodies, signed, with the client of the bridge and nothing else of it, so many at a time.
    pub(crate) async fn post(&self, posts: usize, concurrency: usize) {
        let endpoint = self.endpoints().remove(0);
        let sender = Sender::new(&self.config.callbacks.egress, [&*endpoint]).unwrap();
        let now = Clock::system().now();
        let bodies: Arc<Vec<_>> = Arc::new(
            (0..USERS)
                .map(|number| {
                    let draft = draft(number, now);
                    let body = draft.body(1, None).unwrap();
                    (draft, body)
                })
                .collect(),
        );
        let next = Arc::new(AtomicUsize::new(0));
        let mut workers = JoinSet::new();
        for _ in 0..concurrency {
            let (sender, endpoint) = (sender.clone(), Arc::clone(&endpoint));
            let (bodies, next) = (Arc::clone(&bodies), Arc::clone(&next));
            workers.spawn(async move {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= posts {
                        return;
                    }
                    let (draft, body) = &bodies[number % USERS];
                    let callback = Callback {
                        event_id: &draft.id,
                        event_type: draft.kind.as_str(),
                        attempt: 1,
                        reason: "live",
                        body,
                    };
                    let attempt = sender.send(&endpoint, &callback, Clock::system().now()).await;
                    assert!(matches!(attempt.outcome, Outcome::Accepted { .. }), "{attempt:?}");
                }
            });
        }
        while let Some(ended) = workers.join_next().await {
            ended.unwrap();
        }
    }

    /// Begins to deliver in this process, as the daemon does in the one that publishes.
    pub(crate) async fn deliver(&self) -> Delivering {
        let endpoints = self.endpoints();
        let sender = Sender::new(&self.config.callbacks.egress, endpoints.iter().map(Arc::as_ref)).unwrap();
        let locks = self.store.hold_process_lock(&self.config.database).await.unwrap();
        let pool = Pool::new(self.store.clone(), sender, Clock::system(), endpoints);
        let stop = CancellationToken::new();
        let mut running = JoinSet::new();
        running.spawn(pool.run(locks, stop.clone(), stop.clone()));
        Delivering { running, stop }
    }

    /// How many deliveries are so.
    pub(crate) async fn count(&self, condition: &str) -> i64 {
        let database = sea_orm::Database::connect(self.config.database.url.expose()).await.unwrap();
        let sql = format!("SELECT COUNT(*) FROM lumo_deliveries WHERE {condition}");
        let statement = Statement::from_string(database.get_database_backend(), sql);
        let row = database.query_one_raw(statement).await.unwrap().unwrap();
        database.close().await.unwrap();
        row.try_get_by_index(0).unwrap()
    }

    /// What is published from now on is of its own: nothing before it is waited for.
    pub(crate) fn begin_anew(&mut self) {
        self.before += self.published.len();
        self.published.clear();
    }

    pub(crate) fn daemon(&self) -> Daemon {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lumo-bridge"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("LUMO_")) {
            command.env_remove(name);
        }
        command.arg("--config").arg(&self.path).args(["-q", "run"]);
        Daemon(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }

    /// Whether each user's events arrived in order, and each event at all; what arrived again is let pass.
    pub(crate) fn check(&self, arrivals: &[Arrival]) {
        let mut next: HashMap<usize, usize> = HashMap::new();
        let mut came = 0;
        for arrival in arrivals.iter().filter(|arrival| arrival.good) {
            let (user, number) = self.published[&arrival.event];
            let next = next.entry(user).or_default();
            assert!(number <= *next, "user {user}: event {number} came before {next}");
            if number == *next {
                (*next, came) = (*next + 1, came + 1);
            }
        }
        assert_eq!(came, self.published.len());
    }
}

fn draft(number: usize, now: DateTime<Utc>) -> Draft {
    let user = format!("user-{:06}", number % USERS);
    let object = format!("00000000-0000-4000-8000-{number:012}");
    let id = once("bench", EventType::DepositCreated, &object);
    let item = |padding: usize| {
        let amount = "12.345678";
        let item = json!({"id": object, "externalId": user, "amount": amount, "txHash": "7".repeat(padding)});
        Upstream::new(&item.to_string(), &[]).unwrap()
    };
    let mut draft = Draft {
        id,
        kind: EventType::DepositCreated,
        stream: format!("user:{user}"),
        object_kind: "deposit",
        object_id: object.clone(),
        external_id: None,
        occurred_at: now,
        detected_at: now,
        origin: Origin::Live,
        object: to_raw_value(&json!({"kind": "deposit", "id": object, "version": 1, "amount": "12.345678"})).unwrap(),
        changes: None,
        upstream: Some(item(0)),
    };
    let length = draft.body(100, None).unwrap().len();
    draft.upstream = Some(item(BODY.saturating_sub(length)));
    draft
}

/// How fast arrivals followed each other.
pub(crate) fn rate(arrivals: &[Arrival]) -> f64 {
    let times = || arrivals.iter().map(|arrival| arrival.at);
    let took: Duration = times().max().unwrap().duration_since(times().min().unwrap());
    (arrivals.len() - 1) as f64 / took.as_secs_f64()
}

/// The bridge, running. Dropping it is `kill -9`.
pub(crate) struct Daemon(Child);

impl Daemon {
    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// When an event arrived for the first time.
pub(crate) fn first_arrivals(arrivals: &[Arrival]) -> HashMap<&str, Instant> {
    let mut first = HashMap::new();
    for arrival in arrivals.iter().filter(|arrival| arrival.good) {
        first.entry(arrival.event.as_str()).or_insert(arrival.at);
    }
    first
}

/// The value that this share of all does not exceed.
pub(crate) fn quantile(values: &mut [Duration], share: f64) -> Duration {
    values.sort();
    values[((values.len() - 1) as f64 * share) as usize]
}

/// Deliveries that this process makes.
pub(crate) struct Delivering {
    running: JoinSet<()>,
    stop: CancellationToken,
}

impl Delivering {
    pub(crate) async fn end(mut self) {
        self.stop.cancel();
        while let Some(ended) = self.running.join_next().await {
            ended.unwrap();
        }
    }
}
