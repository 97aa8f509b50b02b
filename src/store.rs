//! The merchant's database: every statement of the bridge is below this module.
//!
//! Writes exist only on a [`Tx`], and a `Tx` comes only from [`Store::tx`], which names it, retries it when it collides
//! with another, and commits it as a whole. No request to anybody is made while one is open: on SQLite it holds the only
//! writer. Rows, events, deliveries and progress of a page share one transaction, so there is no moment at which a change
//! is stored and its callback can still be lost.

mod ack;
pub mod activity;
mod backfill;
mod bell;
mod blocks;
mod census;
mod claim;
pub mod config;
mod connect;
mod courier;
mod deadline;
mod doctor;
mod empty;
mod endpoints;
mod error;
mod feed;
mod ingest;
mod lead;
mod look;
pub mod manual;
mod meters;
mod mirror;
mod outbox;
mod patience;
mod process;
mod progress;
mod prune;
pub mod query;
mod rejects;
mod remember;
pub mod replay;
pub mod schema;
mod session;
mod settle;
mod sink;
pub mod skip;
mod speed;
mod standing;
mod supersede;
mod survey;
mod sweep;
mod turn;
mod vanish;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use rand::RngExt;
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, EntityTrait, IsolationLevel,
    SqliteTransactionMode, TransactionOptions, TransactionTrait,
};
use tokio::sync::{OnceCell, watch};

use lumo_bridge_entity::meta;

pub use ack::{Acks, Overdue};
pub use backfill::{Backfilled, reached};
use bell::Bell;
pub use census::{Census, Whereabouts};
pub use claim::{Claimed, Lease};
pub use config::Config;
pub use connect::Need;
pub use courier::Roll;
pub use doctor::Allowed;
pub use endpoints::Registered;
pub use error::Error;
pub use feed::Fed;
pub use ingest::{Batch, Ingested, Preview, Told};
pub use lead::{Fence, Holder};
pub use look::Look;
pub use meters::Meters;
pub use mirror::Mirrored;
pub use progress::{Advance, Progress, Remembered, Run};
pub use prune::{Cutoffs, DeliveryWalk, EventWalk, Pruned};
pub use rejects::{KeptRejects, KnownReject, KnownRejects, MAX_REJECTS, RejectFilter};
pub use settle::{Attempted, Settled, Settlement};
pub use sink::Failure;
pub use survey::{Survey, survey};
pub use sweep::{Checkpoint, SweepState};
pub use turn::Turn;

pub use crate::model::diff::{Fate, Regressions};

use deadline::Deadline;

use crate::chain::Chain;
use crate::model::subscriber::Subscriber;
use patience::Patient;
use process::Process;

/// How often a transaction that collides with another is tried.
const TRIES: u32 = 8;

/// A handle on the database; cheap to clone.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
    /// The endpoints that new events are queued for.
    subscribers: Arc<[Subscriber]>,
}

struct Inner {
    /// Where transactions are opened. One connection on SQLite, which has one writer.
    write: DatabaseConnection,
    /// Where everything else is read.
    read: Patient,
    backend: DbBackend,
    /// What a transaction of PostgreSQL is told as it begins.
    settings: Option<String>,
    /// The limit of what is run on SQLite's one writer.
    deadline: Deadline,
    generation: OnceCell<String>,
    process: Process,
    queued: watch::Sender<()>,
    bell: Bell,
    meters: Meters,
}

/// Proof of being inside a named transaction.
pub struct Tx(Arc<Session>);

struct Session {
    session: DatabaseTransaction,
    store: Store,
    queued: AtomicBool,
    attempt: Attempt,
}

/// One try of a transaction.
struct Attempt {
    /// Whether the work has not been tried before and collided.
    is_first: bool,
    /// Whether sinks may be run in it.
    sinks: bool,
    /// Whether any was.
    fed: Arc<AtomicBool>,
    /// When their time began.
    feeding: OnceLock<Instant>,
}

/// Whether a transaction is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    Commit,
    /// Everything is done and then undone: for showing what would happen.
    RollBack,
}

impl Store {
    /// Connects; the tables may not be there yet. `subscribers` are the endpoints that new events are queued for.
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
        let connect::Pools { write, read, deadline, has_session } = Box::pin(connect::pools(config, need)).await?;
        let backend = write.get_database_backend();
        let generation = OnceCell::new();
        let (process, queued) = (Process::new(has_session), watch::Sender::new(()));
        let (bell, meters) = (Bell::default(), Meters::default());
        let settings =
            (backend == DbBackend::Postgres).then(|| patience::transaction_settings(config.schema.as_deref()));
        let inner = Inner { write, read, backend, settings, deadline, generation, process, queued, bell, meters };
        Ok(Self { inner: Arc::new(inner), subscribers: subscribers.into() })
    }

    /// The same database, over the same connections, for other endpoints.
    #[must_use]
    pub fn with_subscribers(&self, subscribers: Vec<Subscriber>) -> Self {
        Self { inner: Arc::clone(&self.inner), subscribers: subscribers.into() }
    }

    /// Runs `work` in a transaction. A collision (deadlock, busy writer, a key that another writer took first) runs it
    /// again from the start, after a short, jittered wait; so `work` must do nothing but database work. One that failed after
    /// sinks were run in it runs again without them, whatever it was: what they do must not keep a change from being stored.
    ///
    /// # Errors
    /// What `work` returned, or [`Error::Conflict`] if every try collided. Nothing is stored then.
    pub async fn tx<T, Work>(&self, name: &'static str, work: impl Fn(Tx) -> Work) -> Result<T, Error>
    where
        Work: Future<Output = Result<T, Error>>,
    {
        self.tx_ending(name, Ending::Commit, work).await
    }

    /// Like [`Store::tx`], with a choice of ending.
    ///
    /// # Errors
    /// As [`Store::tx`].
    // The transaction is handed over and not lent: a closure over a borrowed one makes a future that the compiler cannot
    // prove to be `Send` for every lifetime, and everything here runs in spawned tasks.
    pub async fn tx_ending<T, Work>(
        &self,
        name: &'static str,
        ending: Ending,
        work: impl Fn(Tx) -> Work,
    ) -> Result<T, Error>
    where
        Work: Future<Output = Result<T, Error>>,
    {
        let mut tries = 0;
        let mut sinks = ending == Ending::Commit;
        loop {
            tries += 1;
            let attempt = Attempt { is_first: tries == 1, sinks, fed: Arc::default(), feeding: OnceLock::new() };
            let fed = Arc::clone(&attempt.fed);
            // A transaction is large, and waited for in many places.
            let attempt = Box::pin(self.attempt(ending, attempt, &work));
            let result = patience::transaction(self.backend(), attempt).await;
            let outcome = match (&result, ending) {
                (Ok(_), Ending::Commit) => "committed",
                (Ok(_), Ending::RollBack) => "rolled_back",
                (Err(Error::Collision(_)), _) => "collided",
                (Err(_), _) => "failed",
            };
            self.meters().transactions.add([name, outcome], 1);
            match result {
                Err(error) if fed.load(Ordering::Relaxed) => {
                    tracing::warn!(tx = name, error = %Chain(&error), "transaction failed with sinks; running it without");
                    sinks = false;
                }
                Err(Error::Collision(source)) if tries < TRIES => {
                    self.meters().retries.add([name], 1);
                    tracing::debug!(tx = name, tries, error = %source, "transaction collided");
                    let wait = rand::rng().random_range(2..=10 * u64::from(tries));
                    tokio::time::sleep(Duration::from_millis(wait)).await;
                }
                Err(Error::Collision(source)) => return Err(Error::Conflict { name, source }),
                result => return result,
            }
        }
    }

    /// One try. Dropping a session that was not committed rolls it back.
    async fn attempt<T, Work>(&self, ending: Ending, attempt: Attempt, work: &impl Fn(Tx) -> Work) -> Result<T, Error>
    where
        Work: Future<Output = Result<T, Error>>,
    {
        let session = self.begin(attempt).await?;
        let value = work(Tx(Arc::clone(&session))).await?;
        self.end(session, ending).await?;
        Ok(value)
    }

    async fn begin(&self, attempt: Attempt) -> Result<Arc<Session>, Error> {
        let options = TransactionOptions {
            // Repeatable read would lock gaps of the outbox's index, and show a writer a past that others have changed; what
            // must not move is locked row by row. PostgreSQL is told so with the rest.
            isolation_level: (self.inner.backend == DbBackend::MySql).then_some(IsolationLevel::ReadCommitted),
            access_mode: None,
            // A deferred transaction that turns from reading to writing fails at once when another wrote in between.
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        };
        let session = self.inner.write.begin_with_options(options).await?;
        if let Some(settings) = &self.inner.settings {
            session.execute_unprepared(settings).await?;
        }
        Ok(Arc::new(Session { session, store: self.clone(), queued: AtomicBool::new(false), attempt }))
    }

    async fn end(&self, session: Arc<Session>, ending: Ending) -> Result<(), Error> {
        // The work has ended, and with it every other handle; one that was kept could only write to nowhere.
        let Some(Session { session, queued, .. }) = Arc::into_inner(session) else { return Err(Error::Leaked) };
        match ending {
            Ending::RollBack => session.rollback().await?,
            Ending::Commit => {
                session.commit().await?;
                if queued.into_inner() {
                    self.wake();
                }
            }
        }
        Ok(())
    }

    /// Tells when deliveries were queued by this process, or by others once it is [enrolled](Store::enroll). A hint: what
    /// others queue may go unheard.
    #[must_use]
    pub fn queued(&self) -> watch::Receiver<()> {
        self.inner.queued.subscribe()
    }

    /// What this process has done to the database.
    #[must_use]
    pub fn meters(&self) -> &Meters {
        &self.inner.meters
    }

    /// The endpoints that new events are queued for.
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

    /// Asks the database whether it answers and has the tables.
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

    /// Closes every connection, once the others have been woken for what was queued last; on SQLite this folds the
    /// write-ahead log into the file.
    pub async fn close(&self) {
        self.inner.bell.settle().await;
        self.inner.process.end().await;
        for pool in [self.inner.read.connection(), &self.inner.write] {
            if let Err(error) = patience::farewell(self.backend(), pool.close_by_ref()).await {
                tracing::debug!(error = %error, "connections not closed cleanly");
            }
        }
    }

    /// A token that no other lease has: the process in its upper half if others can see whether it lives, chance in the lower.
    fn new_token(&self) -> i64 {
        let process = self.inner.process.shown().unwrap_or(process::UNKNOWN);
        i64::from(process.cast_signed()) << 32 | i64::from(rand::random::<u32>())
    }

    fn read(&self) -> &Patient {
        &self.inner.read
    }

    fn backend(&self) -> DbBackend {
        self.inner.backend
    }
}

impl Tx {
    fn session(&self) -> &DatabaseTransaction {
        &self.0.session
    }

    fn store(&self) -> &Store {
        &self.0.store
    }

    /// Whether the work has not been tried before and collided.
    fn is_first_try(&self) -> bool {
        self.0.attempt.is_first
    }

    /// Notes that there will be something to deliver once the transaction is committed.
    fn note_queued(&self) {
        self.0.queued.store(true, Ordering::Relaxed);
    }

    fn backend(&self) -> DbBackend {
        self.store().backend()
    }
}
