//! Wake-ups that cross processes, on PostgreSQL.
//!
//! What is queued wakes the dispatchers of this process through a channel in memory. Those of other processes are woken by
//! a NOTIFY, sent after the commit and not in it: transactions that notify commit one after the other, whatever they are
//! about. One is on its way at a time, and whatever is committed meanwhile costs one more. Whoever delivers listens in its
//! [session](crate::store::db::session). All of it is a hint: where no session can listen or one is lost, the dispatchers look at the
//! table from time to time, as they do everywhere.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sea_orm::{ConnectionTrait, DbBackend, Statement};
use tokio_util::task::TaskTracker;

use crate::chain::Chain;
use crate::store::{Error, Store};

/// How long a process that ends waits for its last wake-up to go out.
const PATIENCE: Duration = Duration::from_secs(5);

/// Calls the other processes.
#[derive(Default)]
pub(in crate::store) struct Bell {
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
    pub(in crate::store) async fn settle(&self) {
        self.calls.close();
        drop(tokio::time::timeout(PATIENCE, self.calls.wait()).await);
    }
}

impl Store {
    /// Says to whoever delivers, here and elsewhere, that there may be something to deliver.
    pub(in crate::store) fn wake(&self) {
        self.inner.appended.send_replace(());
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

    /// One for each set of tables, wherever in the database they are.
    pub(in crate::store) async fn channel(&self) -> Result<String, Error> {
        Ok(format!("lumo_queued_{}", self.generation().await?))
    }

    /// What this process's own calls carry.
    pub(in crate::store) fn signature(&self) -> String {
        format!("{:08x}", self.inner.process.instance())
    }
}
