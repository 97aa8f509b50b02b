//! The bridge as the simulation runs it: a store over a file of its own, the engine, a clock set by hand, and processes that
//! die wherever the server wants it.

use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use lumo_bridge::clock::Clock;
use lumo_bridge::model::Listing;
use lumo_bridge::model::facts::History;
use lumo_bridge::store::{Config, Need, Store, schema};
use lumo_bridge::sync::tail::watch::Plan;
use lumo_bridge::sync::{Error, Options, Report, Right, Settings, Syncer};

use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::server::Server;

/// How long a lease lasts without being renewed.
const LEASE: TimeDelta = TimeDelta::seconds(30);
/// Requests that a look may take where no page shows every user.
const LOOK_REQUESTS: u64 = 3;
/// How long a round over deposits waits for the wallets: longer than any round takes, and short enough for a test to wait.
const WALLETS_WAIT: Duration = Duration::from_secs(4);

/// What the engine is told to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Tick(Listing),
    Sweep(Listing, u64),
    Pass(Listing),
    /// A command beside the daemon, in a process of its own.
    Guest(Listing),
    /// A pass that takes for gone whatever is not listed.
    Accept(Listing),
    /// A look for the deposits of so many watched users.
    Look(u64),
}

impl Call {
    pub(crate) const fn listing(self) -> Listing {
        match self {
            Self::Tick(listing)
            | Self::Sweep(listing, _)
            | Self::Pass(listing)
            | Self::Guest(listing)
            | Self::Accept(listing) => listing,
            Self::Look(_) => Listing::Deposits,
        }
    }
}

/// What became of it.
#[derive(Debug)]
pub(crate) enum Ended {
    Done(Report),
    /// A slice of a sweep; with a report where it was the last.
    Swept(Option<Report>),
    Looked,
    Failed(Error),
    Died,
}

/// How the engine is set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    pub(crate) history: History,
    pub(crate) page_size: u32,
    pub(crate) concurrency: usize,
}

impl Default for Setting {
    fn default() -> Self {
        Self { history: History::Silent, page_size: 25, concurrency: 1 }
    }
}

pub(crate) struct Bridge {
    /// Goes with the bridge.
    directory: TempDir,
    config: Config,
    pub(crate) clock: Clock,
    pub(crate) server: Server,
    setting: Setting,
    process: Option<Process>,
}

struct Process {
    store: Store,
    syncer: Syncer<Server>,
}

impl Bridge {
    pub(crate) async fn new(server: Server, clock: Clock, setting: Setting) -> Self {
        let directory = directory();
        let path = directory.path().join("bridge.db");
        std::fs::write(&path, template().await).expect("file not written");
        let config = config(&path);
        Self { directory, config, clock, server, setting, process: None }
    }

    /// Where the database is.
    pub(crate) fn file(&self) -> std::path::PathBuf {
        self.directory.path().join("bridge.db")
    }

    /// Asks for the lease under this name, and writes by it from now on if it is given; tells whether it is.
    pub(crate) async fn lead(&mut self, owner: &str) -> bool {
        let now = self.clock.now();
        let Process { store, syncer } = self.process().await;
        let fence = store.lead("sync", owner, LEASE, now).await.expect("lease not asked for");
        syncer.write_by(fence.map_or(Right::Guest, Right::Lease));
        fence.is_some()
    }

    async fn process(&mut self) -> &Process {
        if self.process.is_none() {
            let failpoint = self.server.failpoint();
            let opened = Store::open_failing(Need::Everything, &self.config, Vec::new(), failpoint).await;
            let store = opened.expect("database not opened");
            let Setting { history, page_size, concurrency } = self.setting;
            let settings = Settings {
                history,
                page_size,
                concurrency,
                first_wait: Duration::ZERO,
                probe_after: Duration::ZERO,
                wallets_wait: WALLETS_WAIT,
                ..Settings::default()
            };
            let syncer = Syncer::new(store.clone(), self.server.clone(), self.clock.clone(), settings);
            self.process = Some(Process { store, syncer });
        }
        self.process.as_ref().expect("it was started a line ago")
    }

    /// Looks at what is due to be looked at again, as is done between two rounds.
    pub(crate) async fn follow_up(&mut self, listing: Listing) {
        self.process().await.syncer.follow_up(listing, &CancellationToken::new()).await;
    }

    /// Whether the next sweep does not wait for its time.
    pub(crate) async fn sweep_is_due(&mut self, listing: Listing) -> bool {
        self.process().await.syncer.sweep_is_due(listing).await.expect("progress not read")
    }

    /// Asks for a sweep of every list while so many look for what is to be swept.
    pub(crate) async fn sweeps_on_schedule(&mut self, runners: usize, pages: u64) {
        let syncer = &self.process().await.syncer;
        let stop = CancellationToken::new();
        syncer.want_sweeps();
        let sweep = || async {
            // As often as a timer would look before the sweep is over.
            for _ in 0..50 {
                syncer.sweep_wanted(pages, || true, &stop).await;
                tokio::task::yield_now().await;
            }
        };
        futures_util::future::join_all((0..runners).map(|_| sweep())).await;
    }

    /// Another process over the same tables.
    pub(crate) fn rival(&self) -> Self {
        let config = config(&self.file());
        let (clock, server, setting) = (self.clock.clone(), self.server.clone(), self.setting);
        Self { directory: directory(), config, clock, server, setting, process: None }
    }

    /// Lets the engine do something, until it has done it or died of it.
    pub(crate) async fn call(&mut self, call: Call) -> Ended {
        if let Call::Guest(listing) = call {
            let mut guest = self.rival();
            guest.process().await.syncer.write_by(Right::Guest);
            return Box::pin(guest.call(Call::Tick(listing))).await;
        }
        let server = self.server.clone();
        let syncer = &self.process().await.syncer;
        let accept_removals = matches!(call, Call::Accept(_));
        let (options, stop) = (Options { accept_removals, ..Options::default() }, CancellationToken::new());
        let work = async {
            match call {
                Call::Tick(listing) | Call::Guest(listing) => {
                    syncer.tick(listing, &options, &stop).await.map(Ended::Done)
                }
                Call::Pass(listing) | Call::Accept(listing) => {
                    syncer.pass(listing, &options, &stop).await.map(Ended::Done)
                }
                Call::Sweep(listing, pages) => syncer.sweep(listing, pages, &stop).await.map(Ended::Swept),
                Call::Look(users) => {
                    let users: Vec<_> = (0..users).filter_map(|user| format!("u{user}").parse().ok()).collect();
                    let plan = Plan { every: TimeDelta::seconds(2), requests: LOOK_REQUESTS, most: 500 };
                    syncer.look_for(&users, plan, &stop).await.map(|_| Ended::Looked)
                }
            }
        };
        let ended = tokio::select! {
            biased;
            () = server.died() => None,
            ended = work => Some(ended),
        };
        match ended {
            Some(Ok(ended)) => ended,
            Some(Err(error)) => Ended::Failed(error),
            None => {
                self.kill();
                server.live().is_dead = false;
                Ended::Died
            }
        }
    }

    /// A command of the operator beside the process that reads.
    pub(crate) async fn accept_as_guest(&mut self, listing: Listing) -> Ended {
        self.process().await.syncer.write_by(Right::Guest);
        self.call(Call::Accept(listing)).await
    }

    /// The tables, as the process that runs sees them.
    pub(crate) fn store(&self) -> &Store {
        &self.process.as_ref().expect("no process runs").store
    }

    /// The engine of the process that runs.
    pub(crate) fn syncer(&self) -> &Syncer<Server> {
        &self.process.as_ref().expect("no process runs").syncer
    }

    /// Starts another process with this setting.
    pub(crate) fn ask_for_pages_of(&mut self, rows: u32) {
        self.setting.page_size = rows;
        self.kill();
    }

    /// Nothing of the process is left but what it stored.
    pub(crate) fn kill(&mut self) {
        self.process = None;
    }

    pub(crate) fn pass_time(&self, by: TimeDelta) {
        self.server.live().world.pass_time(by);
    }
}

/// When every simulation begins.
pub(crate) fn dawn() -> DateTime<Utc> {
    DateTime::from_timestamp(1_777_890_000, 0).unwrap()
}

fn config(path: &Path) -> Config {
    let url = format!("sqlite://{}", path.display()).parse().expect("a path makes a url");
    Config { url, schema: None, max_connections: 2, migrate: false }
}

/// In memory, where the system has a place for that.
fn directory() -> TempDir {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    made.expect("no directory for a temporary file")
}

/// An SQLite file with the tables and nothing in them.
async fn template() -> &'static [u8] {
    static TEMPLATE: OnceLock<Vec<u8>> = OnceLock::new();
    if let Some(bytes) = TEMPLATE.get() {
        return bytes;
    }
    let directory = directory();
    let path = directory.path().join("template.db");
    let config = config(&path);
    schema::up(&config).await.expect("tables not made");
    // The last one to close the file folds the log into it.
    Store::open(&config, Vec::new()).await.expect("database not opened").close().await;
    let bytes = std::fs::read(&path).expect("file not read");
    TEMPLATE.get_or_init(|| bytes)
}
