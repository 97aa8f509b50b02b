//! The admin HTTP: whether the process lives and is ready, what it has done so far, and what an operator may do.
//!
//! `/healthz`, `/readyz` and `/metrics` are for machines that watch and tell nothing of anybody. Everything under `/api` is
//! behind [`Access`]; the page at `/dashboard/` asks it like anybody else. There are no cross-origin headers: only a page that this
//! server has sent may read an answer.

mod access;
mod api;
mod cached;
pub mod config;
mod dashboard;
mod day;
mod front;
mod health;
mod live;
mod metrics;
mod openapi;
mod problem;
mod route;
mod serve;
mod stall;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use chrono::TimeDelta;
use tokio::sync::{Mutex, Semaphore};
use tokio_util::sync::CancellationToken;

pub use access::Access;
pub use config::Config;
pub use front::Front;

use crate::callback::{Endpoint, EndpointConfig, Sender};
use crate::clock::Clock;
use crate::deliver;
use crate::lumo::Client;
use crate::model::PerListing;
use crate::model::id::EndpointName;
use crate::model::subscriber::Statements;
use crate::model::suggest::endpoint_instead;
use crate::store::activity::Hour;
use crate::store::query::Count;
use crate::store::{self, Store};
use crate::sync::tail::watch::Plan;
use crate::sync::{Lead, Syncer};
use crate::view;
use crate::wallets::Wallets;

use cached::Cached;
use day::Day;
use problem::Problem;

/// The answer of a process that lives.
pub const ALIVE: &str = "ok\n";
/// Largest body of a request.
const LARGEST_BODY: usize = 64 * 1024;
/// Counts of deliveries are at least this old before they are made again.
const COUNTS_KEPT: Duration = Duration::from_secs(2);

/// So does what went on in the last hours.
const ACTIVITY_KEPT: Duration = Duration::from_secs(15);

/// The parts of the daemon that the HTTP side shows and moves.
pub struct Parts {
    pub store: Store,
    pub clock: Clock,
    pub client: Client,
    pub syncer: Arc<Syncer<Client>>,
    pub lead: Arc<Lead>,
    pub sender: Sender,
    pub endpoints: Vec<Arc<Endpoint>>,
    pub configs: BTreeMap<String, EndpointConfig>,
    /// Statuses of deposits that mean that the money is there.
    pub settled_statuses: Vec<String>,
    pub deliveries: Arc<deliver::Meters>,
    /// How long each listing may go without the end of a round.
    pub overdue_after: PerListing<TimeDelta>,
    /// How watched users are looked for.
    pub watch: Plan,
    /// What is under way ends soon.
    pub stop: CancellationToken,
}

/// What every handler is given; cheap to clone.
#[derive(Clone)]
struct Admin(Arc<Inner>);

struct Inner {
    parts: Parts,
    access: Access,
    wallets: Wallets,
    counts: Cached<Vec<Count>>,
    activity: Cached<Vec<Hour>>,
    day: Mutex<Day>,
    /// Places for those who follow the events.
    readers: Arc<Semaphore>,
}

impl std::ops::Deref for Admin {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0.parts
    }
}

impl Admin {
    fn new(parts: Parts, access: Access) -> Self {
        let wallets = Wallets::new(parts.store.clone(), parts.client.clone(), parts.clock.clone());
        let (counts, activity, day) = (Cached::default(), Cached::default(), Mutex::default());
        let readers = Arc::new(Semaphore::new(live::READERS));
        Self(Arc::new(Inner { parts, access, wallets, counts, activity, day, readers }))
    }

    fn wallets(&self) -> &Wallets {
        &self.0.wallets
    }

    /// A configured endpoint.
    fn endpoint(&self, name: &EndpointName) -> Result<&Arc<Endpoint>, Problem> {
        self.endpoints.iter().find(|endpoint| endpoint.name() == name).ok_or_else(|| {
            let known: Vec<&str> = self.endpoints.iter().map(|endpoint| endpoint.name().as_str()).collect();
            let hint = endpoint_instead(name.as_str(), &known);
            Problem::absent("endpoint", name).with_hint(hint)
        })
    }

    /// The endpoints that are statements.
    fn statements(&self) -> Statements {
        let statements = self.endpoints.iter().filter(|one| one.sink().is_some());
        statements.map(|one| (one.name().clone(), one.patterns().clone())).collect()
    }

    /// Every endpoint that is configured, or once was.
    async fn endpoint_views(&self) -> Result<Vec<view::Endpoint>, store::Error> {
        let (rows, living) = (self.store.endpoints().await?, self.store.living_processes().await?);
        Ok(view::Endpoint::gather(&self.configs, &rows, &living, &self.counts().await?))
    }

    /// The last day, hour by hour.
    async fn activity(&self) -> Result<Arc<Vec<Hour>>, store::Error> {
        let count = async { self.0.day.lock().await.count(&self.store, self.clock.now()).await };
        self.0.activity.get(ACTIVITY_KEPT, count).await
    }

    /// Undelivered deliveries by endpoint and state: a count over a large table, so not made at everybody's whim.
    async fn counts(&self) -> Result<Arc<Vec<Count>>, store::Error> {
        self.0.counts.get(COUNTS_KEPT, self.store.undelivered()).await
    }
}

fn router(admin: Admin) -> Router {
    let mut router = Router::new()
        .route("/healthz", get(async || ALIVE))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(metrics::metrics))
        .route(openapi::PATH, get(openapi::document))
        .merge(dashboard::router());
    for route in api::routes() {
        router = router.route(route.path, route.handler);
    }
    router
        .fallback(async || Problem::no_such_path())
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .layer(from_fn_with_state(admin.clone(), access::guard))
        .with_state(admin)
}
