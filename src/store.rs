//! Reads and writes the merchant's database: every SQL statement of the bridge is in a module below this one.
//!
//! Writes exist only on a [`Tx`], and a `Tx` comes only from [`Store::tx`], which names it, retries it after a
//! collision, and commits it as a whole. No network request is made while one is open: on SQLite it holds the only
//! writer. A row and its events share one transaction, and the sync progress is stored with the last rows of a page. So
//! a stored change never loses its callback.

mod action;
mod admin;
mod db;
pub mod delivery;
mod endpoint;
pub mod log;
mod mirror;
mod sync_state;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sea_orm::{DatabaseConnection, DbBackend, EntityTrait};
use tokio::sync::{OnceCell, watch};

use lumo_bridge_entity::meta;

#[cfg(test)]
pub(crate) use db::eye;
#[doc(hidden)]
pub use db::failpoint;
pub use db::{config, schema};

pub use action::Deed;
pub use admin::{activity, query, reconcile, retention};
pub use db::config::Config;
pub use db::connect::Need;
pub use db::doctor::Allowed;
pub use db::error::Error;
pub use db::meters::Meters;
pub use db::process_locks::ProcessLocks;
pub use db::survey::{Survey, survey};
pub use db::trouble::WriteTrouble;
pub use delivery::{replay, retry, skip};
pub use endpoint::Registered;
pub use mirror::Mirrored;
pub use mirror::ingest::{Batch, EventPreview, Ingested, Publishes};
pub use mirror::row_counts::{RowCounts, Whereabouts};
pub use mirror::statuses::{StatusCount, Transition};
pub use sync_state::account::{Account, Adopted, Belongs, Noting};
pub use sync_state::lead::{Fence, Holder};
pub use sync_state::progress::{Advance, Progress, Remembered, Run};
pub use sync_state::rejects::{KeptRejects, KnownReject, KnownRejects, MAX_REJECTS, RejectFilter};
pub use sync_state::standing::HeldRemovals;
pub use sync_state::sweep::{Checkpoint, ImportStart, SweepState};
pub use sync_state::watches::{LONGEST_WATCH, Watch, Watches};

pub use crate::model::diff::{Fate, Regressions};

use crate::model::subscriber::Subscriber;
use crate::setting::Text;
use db::deadline::Deadline;
use db::distrust::Distrust;
use db::failpoint::Failpoint;
use db::file::OpenFile;
use db::kept::Kept;
use db::notifier::Notifier;
use db::process::Process;
use db::timeouts::TimedConnection;
use db::transaction::Transaction;
use db::trouble::Troubles;
use db::{connect, process, process_locks, timeouts};
use mirror::empty::Empty;

/// A handle on the database; cheap to clone.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
    /// The endpoints of the configuration.
    subscribers: Arc<[Subscriber]>,
    /// The statuses with which a deposit counts as settled (`lumo.settled_statuses`).
    settled_statuses: Arc<[String]>,
}

struct Inner {
    /// The connections for transactions. On SQLite, which has one writer, a single one.
    write: DatabaseConnection,
    /// The connections for all other reads.
    read: TimedConnection,
    backend: DbBackend,
    /// The statement that opens a transaction on PostgreSQL.
    settings: Option<String>,
    /// The schema of a PostgreSQL database that has the tables, if the configuration names one.
    schema: Option<Text>,
    /// The time limit of statements on SQLite's one write connection.
    deadline: Deadline,
    /// The file of an SQLite database.
    file: Option<OpenFile>,
    /// The connections that must not be used again.
    distrust: Distrust,
    troubles: Troubles,
    failpoint: Failpoint,
    generation: OnceCell<String>,
    process: Process,
    appended: watch::Sender<()>,
    notifier: Notifier,
    meters: Meters,
    wallet_rows: Kept<u64>,
    deposit_rows: Kept<u64>,
    empty_columns: Kept<Empty>,
}

/// Proof of being inside a named transaction.
pub struct Tx(Arc<OpenTx>);

struct OpenTx {
    session: Transaction,
    store: Store,
    wakes: AtomicBool,
    attempt: TxAttempt,
}

/// One try of a transaction.
struct TxAttempt {
    /// Whether this is the first try.
    is_first: bool,
    /// Whether anything was committed.
    wrote: Arc<AtomicBool>,
}

/// Whether a transaction is committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    Commit,
    /// Everything is done and then undone, to show what would happen.
    RollBack,
}

impl Store {
    /// Connects; the tables need not exist yet. `subscribers` are the endpoints of the configuration.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if the database does not answer.
    pub async fn open(config: &Config, subscribers: Vec<Subscriber>) -> Result<Self, Error> {
        Self::open_for(Need::Everything, config, subscribers).await
    }

    /// Like [`Store::open`], with a choice of how many connections are taken.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub async fn open_for(need: Need, config: &Config, subscribers: Vec<Subscriber>) -> Result<Self, Error> {
        // Large, and awaited in many places.
        Box::pin(Self::open_failing(need, config, subscribers, Failpoint::default())).await
    }

    /// Like [`Store::open_for`], for tests that make transactions fail.
    ///
    /// # Errors
    /// As [`Store::open`].
    #[doc(hidden)]
    pub async fn open_failing(
        need: Need,
        config: &Config,
        subscribers: Vec<Subscriber>,
        failpoint: Failpoint,
    ) -> Result<Self, Error> {
        let distrust = Distrust::default();
        let pools = connect::pools(config, need, &distrust).await?;
        let troubles = Troubles::of(config, need, pools.read.failing());
        let connect::Pools { write, read, deadline, file, has_session } = pools;
        let backend = write.get_database_backend();
        let schema = config.schema.clone().filter(|_| backend == DbBackend::Postgres);
        let settings = (backend == DbBackend::Postgres).then(|| timeouts::transaction_settings(schema.as_deref()));
        let inner = Inner {
            write,
            read,
            backend,
            settings,
            schema,
            deadline,
            file,
            distrust,
            troubles,
            failpoint,
            generation: OnceCell::new(),
            process: Process::new(has_session, process_locks::lock_file(config)),
            appended: watch::Sender::new(()),
            notifier: Notifier::default(),
            meters: Meters::default(),
            wallet_rows: Kept::default(),
            deposit_rows: Kept::default(),
            empty_columns: Kept::default(),
        };
        Ok(Self { inner: Arc::new(inner), subscribers: subscribers.into(), settled_statuses: Arc::default() })
    }

    /// The same database, over the same connections, for other endpoints.
    #[must_use]
    pub fn with_subscribers(&self, subscribers: Vec<Subscriber>) -> Self {
        Self { subscribers: subscribers.into(), ..self.clone() }
    }

    /// The same database, for a configuration that names these statuses as settled.
    #[must_use]
    pub fn with_settled_statuses(&self, statuses: Vec<String>) -> Self {
        Self { settled_statuses: statuses.into(), ..self.clone() }
    }

    /// The statuses with which a deposit counts as settled (`lumo.settled_statuses`).
    #[must_use]
    pub fn settled_statuses(&self) -> &[String] {
        &self.settled_statuses
    }

    /// Why nothing can be written at present; none once the transaction that failed has been committed.
    #[must_use]
    pub fn write_trouble(&self) -> Option<WriteTrouble> {
        self.inner.troubles.longest()
    }

    /// Signals that this process appended events or ran commands. Once it [listens](Store::hold_process_lock), it also
    /// receives the signals of other processes. A signal is a hint: those of other processes can be lost.
    #[must_use]
    pub fn appended(&self) -> watch::Receiver<()> {
        self.inner.appended.subscribe()
    }

    /// The metrics of the store.
    #[must_use]
    pub fn meters(&self) -> &Meters {
        &self.inner.meters
    }

    /// The endpoints of the configuration.
    #[must_use]
    pub fn subscribers(&self) -> &[Subscriber] {
        &self.subscribers
    }

    /// The random name of this set of tables; see [`meta::GENERATION`]. Read once.
    ///
    /// # Errors
    /// If the tables are not there.
    pub async fn generation(&self) -> Result<&str, Error> {
        self.inner.generation.get_or_try_init(|| self.read_generation()).await.map(String::as_str)
    }

    /// Checks that the database answers and has the tables.
    ///
    /// # Errors
    /// If it does not.
    pub async fn ping(&self) -> Result<(), Error> {
        self.read_generation().await.map(drop)
    }

    async fn read_generation(&self) -> Result<String, Error> {
        let row = meta::Entity::find_by_id(meta::GENERATION).one(&self.inner.read).await?;
        row.map(|row| row.value).ok_or(Error::NotMigrated)
    }

    /// Closes every connection, after the other processes have been notified of the last events. On SQLite this folds
    /// the write-ahead log into the file.
    pub async fn close(&self) {
        self.inner.notifier.finish().await;
        self.inner.process.end().await;
        for pool in [self.inner.read.connection(), &self.inner.write] {
            if let Err(error) = timeouts::closing(self.backend(), pool.close_by_ref()).await {
                tracing::debug!(error = %error, "connections not closed cleanly");
            }
        }
    }

    /// A token that no other lease has. The upper half is the process, if others can see whether it is alive; the lower
    /// half is random.
    fn new_token(&self) -> i64 {
        let process = self.inner.process.shown().unwrap_or(process::UNKNOWN);
        i64::from(process.cast_signed()) << 32 | i64::from(rand::random::<u32>())
    }

    fn read(&self) -> &TimedConnection {
        &self.inner.read
    }

    fn backend(&self) -> DbBackend {
        self.inner.backend
    }

    /// The schema of a PostgreSQL database that has the tables, if the configuration names one.
    fn schema(&self) -> Option<&str> {
        self.inner.schema.as_deref()
    }
}

impl Tx {
    fn session(&self) -> &Transaction {
        &self.0.session
    }

    fn store(&self) -> &Store {
        &self.0.store
    }

    /// Whether this is the first try.
    fn is_first_try(&self) -> bool {
        self.0.attempt.is_first
    }

    /// Wakes the dispatchers after the commit.
    fn wake_after_commit(&self) {
        self.0.wakes.store(true, Ordering::Relaxed);
    }

    fn backend(&self) -> DbBackend {
        self.store().backend()
    }
}
