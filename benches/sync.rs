//! How fast lists are read into tables, as shares of what the same machine can do without the bridge, taken in the same run.
//!
//! `cargo bench --bench sync` measures on SQLite; with `LUMO_BENCH_DATABASE_URL` set, on that PostgreSQL database, whose
//! `lumo_` tables are dropped before and afterwards. The simulator is a process of its own, so that the CPU time of this one
//! is the bridge's alone; both and the database share the machine's cores. `LUMO_BENCH_DEPOSITS` changes the size.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement that cannot be made has no result to give"
)]

mod sync {
    pub(crate) mod limit;
    pub(crate) mod process;
}

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use lumo_bridge::app;
use lumo_bridge::clock::Clock;
use lumo_bridge::config::Config;
use lumo_bridge::lumo::{Client, ListQuery, Priority};
use lumo_bridge::model::Listing;
use lumo_bridge::store::{Store, schema};
use lumo_bridge::sync::{Options, Syncer};
use lumo_bridge_entity::run::Outcome;
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::sync::process::{Simulator, cpu_time, resident, resident_peak};

const READ: [Listing; 2] = [Listing::Wallets, Listing::Deposits];
const CONCURRENCY: usize = 8;

struct Bench {
    folder: TempDir,
    url: String,
    wallets: usize,
    deposits: usize,
}

impl Bench {
    fn config(&self, simulator: &Simulator) -> Config {
        let text = format!(
            "
database: {{ url: '{}' }}
lumo: {{ base_url: '{}', api_key: {{ value: {} }}, rate: 1000000/s, concurrency: {CONCURRENCY} }}
sync: {{ sweep: {{ budget: 100% }} }}
",
            self.url,
            simulator.url(),
            lumo_simulator::DEV_KEY,
        );
        let path = self.folder.path().join("bench.yaml");
        std::fs::write(&path, text).unwrap();
        Config::load(Some(&path), []).unwrap().config
    }

    fn rows(&self) -> usize {
        self.wallets + self.deposits
    }

    async fn fresh(&self, config: &Config) -> Store {
        schema::up(&config.database).await.unwrap();
        schema::down(&config.database, u32::MAX).await.unwrap();
        schema::up(&config.database).await.unwrap();
        Store::open(&config.database, Vec::new()).await.unwrap()
    }
}

/// Every page of the listings, read as fast as the client can and thrown away.
async fn read_all(config: &Config, bench: &Bench) -> Duration {
    let client = app::client(config).unwrap();
    let started = Instant::now();
    let reads = |rows: usize| (0..rows as u64).step_by(96).collect::<Vec<u64>>();
    let page = |offset| ListQuery { limit: 100, offset, external_id: None, status: None };
    let wallets = reads(bench.wallets).into_iter().map(|offset| {
        let client = client.clone();
        async move { client.list_wallets(Priority::Fresh, &page(offset)).await.unwrap().returned }
    });
    let deposits = reads(bench.deposits).into_iter().map(|offset| {
        let client = client.clone();
        async move { client.list_deposits(Priority::Fresh, &page(offset)).await.unwrap().returned }
    });
    spread(wallets).await;
    spread(deposits).await;
    started.elapsed()
}

/// Runs futures on all cores, so many at a time.
async fn spread<F: Future<Output = usize> + Send + 'static>(futures: impl Iterator<Item = F>) {
    let mut tasks = JoinSet::new();
    for future in futures {
        if tasks.len() >= CONCURRENCY {
            tasks.join_next().await.unwrap().unwrap();
        }
        tasks.spawn(future);
    }
    while tasks.join_next().await.is_some() {}
}

fn syncer(config: &Config, store: &Store, clock: Clock) -> Syncer<Client> {
    app::syncer(config, store.clone(), app::client(config).unwrap(), clock)
}

/// The first import, up to the end of both lists, which are read side by side as the daemon does.
async fn import(config: &Config, store: &Store) -> Duration {
    let syncer = Arc::new(syncer(config, store, Clock::system()));
    let started = Instant::now();
    let mut imports = JoinSet::new();
    for listing in READ {
        let syncer = Arc::clone(&syncer);
        imports.spawn(async move {
            syncer.tick(listing, &Options::default(), &CancellationToken::new()).await.unwrap();
        });
    }
    while let Some(ended) = imports.join_next().await {
        ended.unwrap();
    }
    started.elapsed()
}

/// A sweep over lists that have not changed. Returns how long it took, and the CPU time of this process.
async fn sweep(config: &Config, store: &Store) -> (Duration, Duration) {
    let syncer = syncer(config, store, Clock::system());
    let (started, cpu) = (Instant::now(), cpu_time());
    for listing in READ {
        loop {
            let report = syncer.sweep(listing, 1_000, &CancellationToken::new()).await.unwrap();
            if let Some(report) = report {
                assert_eq!(report.outcome, Outcome::Complete, "{report:?}");
                assert_eq!((report.tally.appeared, report.tally.changed), (0, 0));
                break;
            }
        }
    }
    (started.elapsed(), cpu_time() - cpu)
}

/// Rounds over lists in which nothing happens.
async fn quiet(config: &Config, store: &Store) {
    // Whatever was created last is older than what is read for being young.
    let clock = Clock::manual(Clock::system().now() + TimeDelta::days(30));
    let syncer = syncer(config, store, clock.clone());
    for listing in READ {
        let (mut requests, mut cpu, mut times) = (0, Duration::ZERO, 0_u32);
        for round in 0..15 {
            clock.advance(TimeDelta::seconds(10));
            let before = cpu_time();
            let report = syncer.tick(listing, &Options::default(), &CancellationToken::new()).await.unwrap();
            assert_eq!(report.outcome, Outcome::Complete, "{report:?}");
            if round > 0 {
                requests = requests.max(report.tally.requests);
                cpu += cpu_time() - before;
                times += 1;
            }
        }
        let cpu = cpu / times;
        println!("| a quiet round over {listing} | at most {requests} requests, {:.1} ms of CPU | |", ms(cpu));
    }
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn show(what: &str, rows: usize, took: Duration, limit: Option<(&str, Duration)>) {
    let rate = |took: Duration| rows as f64 / took.as_secs_f64();
    let share = limit.map(|(name, limit)| format!("{:.0} % of {name}", 100.0 * rate(took) / rate(limit)));
    println!("| {what} | {:.0} rows/s | {} |", rate(took), share.unwrap_or_else(|| "a limit".to_owned()));
}

#[tokio::main]
async fn main() {
    drop(rustls::crypto::ring::default_provider().install_default());
    let deposits = std::env::var("LUMO_BENCH_DEPOSITS").map_or(300_000, |text| text.parse().unwrap());
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("bench.db");
    let url = std::env::var("LUMO_BENCH_DATABASE_URL").unwrap_or_else(|_| format!("sqlite://{}", file.display()));
    let bench = Bench { folder, url, wallets: deposits / 3, deposits };

    println!("| work | figure | share |\n|---|---|---|");
    let simulator = Simulator::start(&bench, "0ms").await;
    let config = bench.config(&simulator);
    let store = bench.fresh(&config).await;
    show("read and parse all pages", bench.rows(), read_all(&config, &bench).await, None);
    let importing = import(&config, &store).await;
    println!("| resident after it | {:.0} MiB | peak {:.0} MiB |", resident(), resident_peak());
    let loading = sync::limit::load(&bench.url, bench.folder.path()).await;
    match loading {
        Ok((name, loading)) => {
            show(&format!("{name} of the same rows into the same tables"), bench.rows(), loading, None);
            show("first silent import", bench.rows(), importing, Some((name, loading)));
        }
        Err(problem) => show(&format!("first silent import ({problem})"), bench.rows(), importing, None),
    }
    let (sweeping, cpu) = sweep(&config, &store).await;
    show("sweep over unchanged rows", bench.rows(), sweeping, None);
    println!("| CPU of the bridge in it | {:.1} µs a row | |", cpu.as_secs_f64() * 1e6 / bench.rows() as f64);
    quiet(&config, &store).await;
    println!("| resident at the end | {:.0} MiB | peak {:.0} MiB |", resident(), resident_peak());
    drop(simulator);
    store.close().await;

    let simulator = Simulator::start(&bench, "20ms").await;
    let config = bench.config(&simulator);
    let store = bench.fresh(&config).await;
    let importing = import(&config, &store).await;
    let pages = bench.rows().div_ceil(96);
    let ideal = Duration::from_millis(20) * u32::try_from(pages).unwrap() / u32::try_from(CONCURRENCY).unwrap();
    show("first import, 20 ms latency", bench.rows(), importing, Some(("latency × pages / concurrency", ideal)));
    store.close().await;
    schema::down(&config.database, u32::MAX).await.unwrap();
}
