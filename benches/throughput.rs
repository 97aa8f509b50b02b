//! How fast the bridge is, as shares of what the same machine can do without it, taken in the same run.
//!
//! `cargo bench --bench throughput` measures on SQLite; with `LUMO_BENCH_DATABASE_URL` set, on that database, whose `lumo_`
//! tables are dropped before and afterwards. Simulator, receiver and bridge share the machine's cores.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement that cannot be made has no result to give"
)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use lumo_bridge::app;
use lumo_bridge::callback::{Callback, Sender};
use lumo_bridge::clock::Clock;
use lumo_bridge::config::Config;
use lumo_bridge::deliver::Pool;
use lumo_bridge::lumo::Priority;
use lumo_bridge::model::Listing;
use lumo_bridge::model::retry::Outcome;
use lumo_bridge::store::query::EventFilter;
use lumo_bridge::store::{Store, schema};
use lumo_bridge::sync::Options;
use lumo_simulator::{Quirks, Receiver, ReceiverConfig, Simulator, SimulatorConfig, World};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

const WALLETS: usize = 5_000;
const DEPOSITS: usize = 20_000;
const SECRET: &str = "whsec_ZGVtb25zdHJhdGlvbi1vbmx5LXNlY3JldC0wMDAx";

struct Bench {
    config: Config,
    simulator: Simulator,
    receiver: Receiver,
    _folder: TempDir,
}

impl Bench {
    async fn new() -> Self {
        let world = World::live(1);
        world.seed(WALLETS, DEPOSITS);
        let simulator = Simulator::start(SimulatorConfig::local(world, Quirks::default())).await.unwrap();
        let receiver = Receiver::start(ReceiverConfig::local(vec![SECRET.to_owned()])).await.unwrap();
        let folder = TempDir::new().unwrap();
        let url = std::env::var("LUMO_BENCH_DATABASE_URL")
            .unwrap_or_else(|_| format!("sqlite://{}", folder.path().join("bench.db").display()));
        let text = format!(
            "
database: {{ url: '{url}' }}
lumo: {{ base_url: '{}', api_key: {{ value: {} }}, rate: 1000000/s }}
sync: {{ first_import: notify }}
callbacks:
  endpoints:
    bench: {{ url: '{}', events: ['deposit.*'], secrets: [{{ value: {SECRET} }}], concurrency: 32 }}
",
            simulator.base_url(),
            simulator.world().api_key(),
            receiver.url("/")
        );
        let path = folder.path().join("bench.yaml");
        std::fs::write(&path, text).unwrap();
        let config = Config::load(Some(&path), []).unwrap().config;
        Self { config, simulator, receiver, _folder: folder }
    }

    /// Every page of the listings, read as fast as the client can and thrown away.
    async fn read_all(&self) -> Duration {
        let client = app::client(&self.config).unwrap();
        let query = |offset| lumo_bridge::lumo::ListQuery { limit: 100, offset, external_id: None, status: None };
        let started = Instant::now();
        for offset in (0..WALLETS as u64).step_by(96) {
            client.list_wallets(Priority::Fresh, &query(offset)).await.unwrap();
        }
        for offset in (0..DEPOSITS as u64).step_by(96) {
            client.list_deposits(Priority::Fresh, &query(offset)).await.unwrap();
        }
        started.elapsed()
    }

    /// Reads the wallets and deposits once.
    async fn pass(&self, store: &Store) -> Duration {
        let client = app::client(&self.config).unwrap();
        let syncer = app::syncer(&self.config, store.clone(), client, Clock::system());
        let started = Instant::now();
        for listing in [Listing::Wallets, Listing::Deposits] {
            syncer.pass(listing, &Options::default(), &CancellationToken::new()).await.unwrap();
        }
        started.elapsed()
    }

    /// Posts the bodies of the stored events, signed, with the same client and receiver and no database.
    async fn post_all(&self, store: &Store) -> (usize, Duration) {
        let endpoints = app::endpoints(&self.config.callbacks).unwrap();
        let endpoint = &endpoints[0];
        let sender = Sender::new(&self.config.callbacks.egress, [&**endpoint]).unwrap();
        let filter =
            EventFilter { kind: Some("deposit.created".to_owned()), limit: DEPOSITS as u64, ..Default::default() };
        let events = store.list_events(&filter).await.unwrap();
        let started = Instant::now();
        let now = Clock::system().now();
        let posts = futures_util::stream::iter(&events).map(|event| {
            let callback = Callback {
                event_id: &event.id,
                event_type: &event.kind,
                attempt: 1,
                reason: "live",
                body: &event.body,
            };
            let (sender, endpoint) = (&sender, endpoint);
            async move { sender.send(endpoint, &callback, now).await }
        });
        let accepted = posts.buffer_unordered(32).filter(|attempt| {
            let accepted = matches!(attempt.outcome, Outcome::Accepted { .. });
            async move { accepted }
        });
        (accepted.count().await, started.elapsed())
    }

    /// Delivers everything that waits.
    async fn drain(&self, store: &Store) -> Duration {
        let endpoints = app::endpoints(&self.config.callbacks).unwrap();
        let sender = Sender::new(&self.config.callbacks.egress, endpoints.iter().map(Arc::as_ref)).unwrap();
        let locks = store.hold_process_lock(&self.config.database).await.unwrap();
        let (soft, hard) = (CancellationToken::new(), CancellationToken::new());
        let pool = Pool::new(store.clone(), sender, Clock::system(), endpoints);
        let started = Instant::now();
        let (took, ()) = tokio::join!(
            async {
                assert!(self.receiver.wait_for(DEPOSITS, Duration::from_secs(300)).await);
                let took = started.elapsed();
                soft.cancel();
                took
            },
            pool.run(locks, soft.clone(), hard)
        );
        took
    }
}

fn show(what: &str, count: usize, took: Duration, limit: Option<(&str, Duration)>) {
    let rate = |took: Duration| count as f64 / took.as_secs_f64();
    let share = limit.map(|(name, limit)| format!("{:>5.0} % of {name}", 100.0 * rate(took) / rate(limit)));
    println!("| {what:<38} | {:>9.0}/s | {} |", rate(took), share.unwrap_or_else(|| "the limit".to_owned()));
}

#[tokio::main]
async fn main() {
    drop(rustls::crypto::ring::default_provider().install_default());
    let bench = Bench::new().await;
    // Whatever a run that was stopped has left behind goes first.
    schema::up(&bench.config.database).await.unwrap();
    schema::down(&bench.config.database, u32::MAX).await.unwrap();
    schema::up(&bench.config.database).await.unwrap();
    let endpoints = app::endpoints(&bench.config.callbacks).unwrap();
    let store = Store::open(&bench.config.database, app::subscribers(&endpoints)).await.unwrap();

    store.register_endpoints(0, Clock::system().now()).await.unwrap();

    let rows = WALLETS + DEPOSITS;
    let reading = bench.read_all().await;
    let importing = bench.pass(&store).await;
    let comparing = bench.pass(&store).await;
    let (posted, posting) = bench.post_all(&store).await;
    assert_eq!(posted, DEPOSITS);
    bench.receiver.clear();
    let draining = bench.drain(&store).await;

    println!("| work                                   | rate        | share |");
    println!("|----------------------------------------|-------------|-------|");
    show("read and parse all pages, no tables", rows, reading, None);
    show("first import with an event per row", rows, importing, Some(("reading", reading)));
    show("pass over unchanged rows", rows, comparing, Some(("reading", reading)));
    show("signed POSTs, no tables", DEPOSITS, posting, None);
    show("deliver what waits, in order per user", DEPOSITS, draining, Some(("posting", posting)));

    store.close().await;
    schema::down(&bench.config.database, u32::MAX).await.unwrap();
    bench.simulator.shutdown().await;
    bench.receiver.shutdown().await;
}
