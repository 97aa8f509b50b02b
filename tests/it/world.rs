//! The stage of a test: a database, the upstream simulator, a recording receiver, and the bridge between them.
//!
//! The bridge is the real program in a process of its own ([`Stage::daemon`], [`Stage::command`]), or parts of the
//! library where a test must hold the clock or the loop ([`Stage::parts`]). Both read the same configuration file.

mod bridge;
mod changes;
mod gate;
mod mirror;
mod outbox;
mod parts;
pub(crate) mod servers;
mod settings;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use lumo_bridge::clock::Clock;
use lumo_simulator::{Quirks, Received, Receiver, ReceiverConfig, Simulator, SimulatorConfig, Visibility, World};
use serde_json::json;
use tempfile::TempDir;

pub(crate) use bridge::{Bridge, Finished};
pub(crate) use changes::{awkward_changes, random_changes};
pub(crate) use gate::Gate;
pub(crate) use outbox::{Announced, Event};
pub(crate) use parts::Parts;
pub(crate) use settings::Settings;

use crate::database::Database;

/// Longer than anything takes here unless it hangs; a debug build on a busy machine is slow.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// The secret that callbacks are signed with.
pub(crate) const SECRET: &str = "whsec_bHVtby1icmlkZ2UgdGVzdHMga25vdyB0aGlzIGtleQ==";

/// Waits until an expression holds, and fails the test when the time is up.
macro_rules! eventually {
    ($within:expr, $what:expr, $condition:expr) => {{
        let deadline = std::time::Instant::now() + $within;
        while !$condition {
            assert!(std::time::Instant::now() < deadline, "not within {:?}: {}", $within, $what);
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }};
}
pub(crate) use eventually;

/// The seed of a test, printed with its output when it fails.
pub(crate) fn seed() -> u64 {
    let given = std::env::var("LUMO_TEST_SEED").ok().map(|text| text.parse().expect("LUMO_TEST_SEED is no number"));
    let seed = given.unwrap_or_else(|| u64::from(rand::random::<u32>()));
    println!("LUMO_TEST_SEED={seed}");
    seed
}

/// Names what this machine cannot run, in the closing lines of `tests/run`, which fails for it where `CI` is `true`.
pub(crate) fn not_run(what: &str) {
    println!("not run: {what}");
    if let Some(list) = std::env::var_os("LUMO_TEST_NOT_RUN") {
        let list = std::fs::File::options().append(true).open(list);
        writeln!(list.expect("no list of what cannot run"), "{what}").expect("not written");
    }
}

/// What a request for a list gets, where a receiver stands in for Lumo.
pub(crate) fn page<T>(request: &Received, all: Vec<T>) -> Vec<T> {
    let number = |name: &str, or: usize| {
        let value = request.query.split('&').find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
        value.map_or(or, |text| text.parse().expect("a number"))
    };
    all.into_iter().skip(number("offset", 0)).take(number("limit", usize::MAX)).collect()
}

/// Everything around the bridge.
pub(crate) struct Stage {
    pub(crate) database: Database,
    pub(crate) world: World,
    pub(crate) simulator: Simulator,
    pub(crate) receiver: Receiver,
    pub(crate) settings: Settings,
    /// What is set in the environment of the program.
    pub(crate) variables: Vec<(&'static str, PathBuf)>,
    quirks: Quirks,
    directory: TempDir,
}

impl Stage {
    /// A plain server, and one endpoint, `shop`, that wants every event about wallets and deposits.
    pub(crate) async fn new(database: Database, world: World) -> Self {
        Self::with(database, world, Quirks::default(), Duration::ZERO).await
    }

    pub(crate) async fn with(database: Database, world: World, quirks: Quirks, latency: Duration) -> Self {
        let mut config = SimulatorConfig::local(world.clone(), quirks.clone());
        config.latency = latency;
        let simulator = Simulator::start(config).await.expect("simulator not started");
        let receiver = Receiver::start(ReceiverConfig::local(vec![SECRET.to_owned()])).await;
        let receiver = receiver.expect("receiver not started");
        let mut settings = Settings::new(database.url(), &simulator.base_url(), &world.api_key());
        settings.endpoint("shop", &receiver.url("/shop"), &["*", "wallet.balance_changed"]);
        let directory = tempfile::tempdir().expect("no directory for temporary files");
        Self { database, world, simulator, receiver, settings, variables: Vec::new(), quirks, directory }
    }

    /// Writes the configuration as it is now to a file.
    pub(crate) fn config_file(&self) -> PathBuf {
        let path = self.directory.path().join(format!("{:08x}.yaml", rand::random::<u32>()));
        // JSON is YAML.
        std::fs::write(&path, self.settings.to_string()).expect("configuration not written");
        path
    }

    /// Starts the daemon on a file that may change.
    pub(crate) fn daemon_on(&self, file: &Path) -> Bridge {
        Bridge::start(self.directory.path(), file, &["run"], &self.variables)
    }

    /// Starts the daemon.
    pub(crate) fn daemon(&self) -> Bridge {
        self.start(&["run"])
    }

    /// Starts any command.
    pub(crate) fn start(&self, arguments: &[&str]) -> Bridge {
        Bridge::start(self.directory.path(), &self.config_file(), arguments, &self.variables)
    }

    /// Runs a command to its end.
    pub(crate) async fn command(&self, arguments: &[&str]) -> Finished {
        self.start(arguments).finished(PATIENCE).await
    }

    /// The parts of the bridge, in this process.
    pub(crate) async fn parts(&self) -> Parts {
        Box::pin(Parts::new(&self.config_file(), Clock::system())).await
    }

    /// The parts of the bridge, with a clock that stands at the present time until it is moved.
    pub(crate) async fn parts_with_standing_clock(&self) -> Parts {
        Box::pin(Parts::new(&self.config_file(), Clock::manual(Clock::system().now()))).await
    }

    /// Puts another endpoint beside `shop`.
    pub(crate) fn add_endpoint(&mut self, name: &str, path: &str, events: &[&str]) {
        self.settings.endpoint(name, &self.receiver.url(path), events);
    }

    pub(crate) fn announce_history(&mut self) {
        self.settings.set("sync.first_import", json!("notify"));
    }

    /// Waits until each listing has been read to its proved end.
    pub(crate) async fn until_imported(&self) {
        let sql = "SELECT COUNT(*) FROM lumo_sync_state WHERE import_done_at IS NOT NULL";
        self.database.until_at_least(3, PATIENCE, sql).await;
    }

    /// Waits until each listing has been read once more from now on, whatever came of it.
    pub(crate) async fn until_read_again(&self) {
        let runs = "SELECT listing, COUNT(*) FROM lumo_sync_runs GROUP BY listing ORDER BY listing";
        let count = |row: &Vec<Option<String>>| row[1].as_deref().unwrap().parse::<u32>().unwrap();
        let before: Vec<u32> = self.database.rows(runs).await.iter().map(count).collect();
        // The pass under way began before now; the one after it did not.
        let done = |rows: &[Vec<Option<String>>]| {
            rows.len() == 3 && (0..3).all(|at| count(&rows[at]) >= before.get(at).copied().unwrap_or(0) + 2)
        };
        self.database.until("two more passes over each listing", PATIENCE, runs, done).await;
    }

    /// Waits until the tables show what the world shows.
    pub(crate) async fn until_mirrored(&self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let start = Instant::now();
            let differences = self.differences().await;
            if differences.is_empty() {
                return;
            }
            if Instant::now() >= deadline {
                complain(&differences);
            }
            // Comparing a large world takes a while; the bridge must get its share of the machine.
            tokio::time::sleep(2 * start.elapsed()).await;
        }
    }

    /// Asserts that the tables show what the world shows.
    pub(crate) async fn assert_mirrored(&self) {
        let differences = self.differences().await;
        if !differences.is_empty() {
            complain(&differences);
        }
    }

    /// What differs between the tables and the world, as far as the server shows it.
    async fn differences(&self) -> Vec<String> {
        let hides_replaced = self.quirks.replaced == Visibility::Hidden;
        mirror::differences(&self.database, &self.world.snapshot(), hides_replaced, self.quirks.shape).await
    }

    /// Waits until there is nothing left to deliver.
    pub(crate) async fn until_delivered(&self) {
        let sql = "SELECT event_id, endpoint, state, attempts, last_error FROM lumo_undelivered \
                   WHERE state <> 'skipped' LIMIT 5";
        self.database.until("everything is delivered", PATIENCE, sql, <[_]>::is_empty).await;
    }

    /// Callbacks that were received, and of which nothing is recorded yet.
    pub(crate) async fn unrecorded(&self) -> usize {
        let recorded = self.database.count("lumo_delivery_attempts", "1 = 1").await;
        self.receiver.count().saturating_sub(usize::try_from(recorded).unwrap())
    }

    /// All events in their order.
    pub(crate) async fn events(&self) -> Vec<Event> {
        outbox::events(&self.database).await
    }

    /// The versions that rows have now; what is in here needs no event any more.
    pub(crate) async fn announced(&self) -> Announced {
        Announced::now(&self.database).await
    }

    /// Asserts that events are dense, that every version of every row after `announced` has exactly one, and that `shop`
    /// accepted each with the stored bytes, verified and in order, but for balances that a newer one replaced in time.
    pub(crate) async fn assert_told_once_and_in_order(&self, announced: &Announced) {
        let events = self.events().await;
        outbox::assert_dense(&events);
        outbox::assert_one_event_per_change(&self.database, &events, announced).await;
        let replaced = outbox::replaced_balances(&self.database, "shop").await;
        let told: Vec<Event> = events.into_iter().filter(|event| !replaced.contains(&event.id)).collect();
        outbox::assert_received(&told, &self.receiver, "/shop");
    }
}

fn complain(differences: &[String]) -> ! {
    let some = &differences[..differences.len().min(5)];
    panic!("{} rows differ from the world: {some:#?}", differences.len());
}
