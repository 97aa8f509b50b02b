//! Wake-ups that cross processes, on PostgreSQL.
//!
//! What is queued wakes the dispatchers of this process through a channel in memory. Those of other processes are woken by
//! a NOTIFY, sent after the commit and not in it: transactions that notify commit one after the other, whatever they are
//! about. One is on its way at a time, and whatever is committed meanwhile costs one more. Whoever delivers listens in a
//! session of its own. All of it is a hint: where no session can listen (a pooler that lends connections per transaction
//! keeps none) or one is lost, the dispatchers look at the table from time to time, as they do everywhere.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sea_orm::{ConnectionTrait, DbBackend, DbErr, RuntimeErr, Statement};
use sqlx::Executor;
use sqlx::postgres::PgListener;
use tokio_util::task::TaskTracker;

use super::{Config, Error, Store, connect};
use crate::chain::Chain;

/// The wait before a session that was lost is made again, …
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// … and the longest one, when that fails again and again.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// After so long without a word the session is asked whether it is still there.
const SILENCE: Duration = Duration::from_secs(60);
/// How long it may take to answer; also how long a process that ends waits for its last wake-up to go out.
const PATIENCE: Duration = Duration::from_secs(5);

/// Calls the other processes.
#[derive(Default)]
pub(super) struct Bell {
    calls: TaskTracker,
    state: Mutex<State>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Quiet,
    Ringing,
    /// Something was queued since the call that is on its way was begun.
    RingingAgain,
}

impl Bell {
    /// Whether to begin a call; if one is on its way already, another one follows it.
    fn begin(&self) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let quiet = *state == State::Quiet;
        *state = if quiet { State::Ringing } else { State::RingingAgain };
        quiet
    }

    /// Whether to call again.
    fn again(&self) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let again = *state == State::RingingAgain;
        *state = if again { State::Ringing } else { State::Quiet };
        again
    }

    /// Waits for the call that is on its way.
    pub(super) async fn settle(&self) {
        self.calls.close();
        drop(tokio::time::timeout(PATIENCE, self.calls.wait()).await);
    }
}

impl Store {
    /// Says to whoever delivers, here and elsewhere, that there may be something to deliver.
    pub(super) fn wake(&self) {
        self.inner.queued.send_replace(());
        if self.backend() == DbBackend::Postgres && self.inner.bell.begin() {
            let store = self.clone();
            self.inner.bell.calls.spawn(async move {
                loop {
                    if let Err(error) = store.notify().await {
                        tracing::debug!(error = %Chain(&error), "other processes not woken; they look by themselves");
                    }
                    if !store.inner.bell.again() {
                        break;
                    }
                }
            });
        }
    }

    async fn notify(&self) -> Result<(), Error> {
        let values = [self.channel().await?.into(), self.signature().into()];
        let statement = Statement::from_sql_and_values(DbBackend::Postgres, "SELECT pg_notify($1, $2)", values);
        self.read().query_one_raw(statement).await?;
        Ok(())
    }

    /// Hears what other processes queue, for as long as it is not dropped. Ends at once where nothing is to be heard.
    pub async fn listen(&self, config: &Config) {
        if self.backend() != DbBackend::Postgres {
            return;
        }
        let mut wait = FIRST_WAIT;
        loop {
            match self.open_ear(config).await {
                Ok(ear) => {
                    // What was called before is not heard.
                    self.inner.queued.send_replace(());
                    wait = FIRST_WAIT;
                    let lost = self.hear(ear).await;
                    tracing::debug!(error = %Chain(&lost), "session lost that hears of deliveries; opening it again");
                }
                Err(error) => {
                    tracing::debug!(error = %Chain(&error), "cannot hear what other processes queue; trying again");
                }
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    async fn open_ear(&self, config: &Config) -> Result<PgListener, Error> {
        let connection = connect::single(config, connect::Absent::Refuse).await?;
        let mut ear = PgListener::connect_with(connection.get_postgres_connection_pool()).await.map_err(lost)?;
        ear.eager_reconnect(false);
        ear.listen(&self.channel().await?).await.map_err(lost)?;
        Ok(ear)
    }

    /// Hears until the session is lost; says why it was.
    async fn hear(&self, mut ear: PgListener) -> Error {
        let own = self.signature();
        loop {
            match tokio::time::timeout(SILENCE, ear.try_recv()).await {
                Ok(Ok(Some(call))) if call.payload() == own => {}
                Ok(Ok(Some(_))) => {
                    self.inner.queued.send_replace(());
                }
                Ok(Ok(None)) => return lost(sqlx::Error::Io(std::io::ErrorKind::ConnectionAborted.into())),
                Ok(Err(error)) => return lost(error),
                Err(_) => match tokio::time::timeout(PATIENCE, ear.execute("SELECT 1")).await {
                    Ok(Ok(_)) => {}
                    Ok(Err(error)) => return lost(error),
                    Err(_) => return lost(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())),
                },
            }
        }
    }

    /// One for each set of tables, wherever in the database they are.
    async fn channel(&self) -> Result<String, Error> {
        Ok(format!("lumo_queued_{}", self.generation().await?))
    }

    /// What this process's own calls carry.
    fn signature(&self) -> String {
        format!("{:08x}", self.inner.instance)
    }
}

fn lost(error: sqlx::Error) -> Error {
    Error::Unavailable(DbErr::Conn(RuntimeErr::SqlxError(std::sync::Arc::new(error))))
}
