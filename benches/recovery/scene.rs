//! A company in the simulator, and the tables of a bridge that follows it.

use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use lumo_bridge::app;
use lumo_bridge::clock::Clock;
use lumo_bridge::config::Config;
use lumo_bridge::lumo::Client;
use lumo_bridge::model::Listing;
use lumo_bridge::store::{Store, schema};
use lumo_bridge::sync::{Options, Syncer};
use lumo_bridge_entity::run::Outcome;
use lumo_simulator::{DEV_KEY, Quirks, Simulator, SimulatorConfig, World};
use sqlx::sqlite::SqlitePoolOptions;
use sqlx::{AssertSqlSafe, SqlitePool};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// So high that it is no limit.
const UNLIMITED: &str = "1000000/s";
/// The default of `lumo.rate`.
pub(crate) const DEFAULT_RATE: u64 = 20;

pub(crate) struct Scene {
    pub(crate) simulator: Simulator,
    pub(crate) tables: SqlitePool,
    pub(crate) folder: TempDir,
    /// What the configuration has further on.
    more: String,
}

impl Scene {
    /// A company of that size behind a server that lists in this way, and empty tables.
    pub(crate) async fn new(world: World, quirks: Quirks) -> Self {
        Self::behind(SimulatorConfig::local(world, quirks), String::new()).await
    }

    /// The same behind a server like this, with more in the configuration.
    pub(crate) async fn behind(server: SimulatorConfig, more: String) -> Self {
        let simulator = Simulator::start(server).await.unwrap();
        let folder = TempDir::new().unwrap();
        let url = format!("sqlite://{}", folder.path().join("bench.db").display());
        let tables = SqlitePoolOptions::new().max_connections(1).connect_lazy(&url).unwrap();
        let scene = Self { simulator, tables, folder, more };
        schema::up(&scene.config(UNLIMITED).database).await.unwrap();
        scene
    }

    /// The configuration that a user would have, but for the rate.
    pub(crate) fn config(&self, rate: &str) -> Config {
        let path = self.folder.path().join("bench.yaml");
        let text = format!(
            "
database: {{ url: 'sqlite://{}' }}
lumo: {{ base_url: '{}', api_key: {{ value: {DEV_KEY} }}, rate: {rate} }}
server: {{ listen: null }}
{}
",
            self.folder.path().join("bench.db").display(),
            self.simulator.base_url(),
            self.more,
        );
        std::fs::write(&path, text).unwrap();
        Config::load(Some(&path), []).unwrap().config
    }

    /// An engine in this process, as fast as it can, by this clock.
    pub(crate) async fn engine(&self, clock: Clock) -> Syncer<Client> {
        let config = self.config(UNLIMITED);
        let store = Store::open(&config.database, Vec::new()).await.unwrap();
        app::syncer(&config, store, app::client(&config).unwrap(), clock)
    }

    /// The first import of every list, and a sweep that proves it.
    pub(crate) async fn import(&self) {
        let engine = self.engine(Clock::system()).await;
        let stop = CancellationToken::new();
        for listing in [Listing::Wallets, Listing::Blocked, Listing::Deposits] {
            let report = engine.tick(listing, &Options::default(), &stop).await.unwrap();
            assert_eq!(report.outcome, Outcome::Complete, "{report:?}");
            while engine.sweep(listing, u64::MAX, &stop).await.unwrap().is_none() {}
        }
    }

    /// The first column of what a query finds.
    pub(crate) async fn numbers(&self, sql: &str) -> Vec<i64> {
        sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_all(&self.tables).await.unwrap()
    }

    /// The only number that a query finds.
    pub(crate) async fn number(&self, sql: &str) -> i64 {
        self.numbers(sql).await.first().copied().unwrap()
    }

    /// When rows were last changed, by id.
    pub(crate) async fn changed_at(&self, table: &str) -> HashMap<String, DateTime<Utc>> {
        let sql = format!("SELECT id, changed_at FROM {table}");
        let rows: Vec<(String, String)> = sqlx::query_as(AssertSqlSafe(sql)).fetch_all(&self.tables).await.unwrap();
        rows.into_iter()
            .map(|(id, at)| (id, DateTime::parse_from_rfc3339(&at.replace(' ', "T")).unwrap().into()))
            .collect()
    }

    /// Waits until a query counts as many.
    pub(crate) async fn until(&self, sql: &str, count: i64, at_most: Duration) {
        let waiting = async {
            while self.number(sql).await != count {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        if tokio::time::timeout(at_most, waiting).await.is_err() {
            panic!("after {} s: {sql} is {}, not {count}", at_most.as_secs(), self.number(sql).await);
        }
    }
}
