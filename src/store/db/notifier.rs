//! Wakes the dispatchers of this process and, on PostgreSQL, those of other processes.
//!
//! A channel in memory wakes this process. NOTIFY wakes the others. It is sent after the commit and not in it, because
//! PostgreSQL commits transactions with a NOTIFY one after the other. At most one NOTIFY is in flight; all commits in
//! the meantime cost one more. Processes that deliver listen in their [session](crate::store::db::session). A NOTIFY is
//! only a hint: it can be lost, and other databases have none. So dispatchers also read the table once a second.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sea_orm::{ConnectionTrait, DbBackend, Statement};
use tokio_util::task::TaskTracker;

use crate::chain::Chain;
use crate::store::{Error, Store};

/// How long a process that ends waits for its last NOTIFY to be sent.
const FINISH_TIMEOUT: Duration = Duration::from_secs(5);

/// Sends NOTIFYs to the other processes, one at a time.
#[derive(Default)]
pub(in crate::store) struct Notifier {
    calls: TaskTracker,
    state: Mutex<NotifyState>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum NotifyState {
    #[default]
    Idle,
    Sending,
    /// Something was appended after the current NOTIFY began.
    SendingThenAgain,
}

impl Notifier {
    /// Whether the caller must send a NOTIFY. If one is in flight, another one follows it.
    fn begin(&self) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let is_idle = *state == NotifyState::Idle;
        *state = if is_idle { NotifyState::Sending } else { NotifyState::SendingThenAgain };
        is_idle
    }

    /// Whether to send another NOTIFY.
    fn again(&self) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let again = *state == NotifyState::SendingThenAgain;
        *state = if again { NotifyState::Sending } else { NotifyState::Idle };
        again
    }

    /// Waits for the NOTIFY in flight.
    pub(in crate::store) async fn finish(&self) {
        self.calls.close();
        drop(tokio::time::timeout(FINISH_TIMEOUT, self.calls.wait()).await);
    }
}

impl Store {
    /// Wakes the dispatchers of this process and of others: there may be something to deliver.
    pub(in crate::store) fn wake(&self) {
        self.inner.appended.send_replace(());
        if self.backend() == DbBackend::Postgres && self.inner.notifier.begin() {
            let store = self.clone();
            self.inner.notifier.calls.spawn(async move {
                loop {
                    if let Err(error) = store.notify().await {
                        tracing::debug!(error = %Chain(&error), "other processes not woken; they look by themselves");
                    }
                    if !store.inner.notifier.again() {
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

    /// The name of the NOTIFY channel. Each set of tables has its own, in any schema of the database.
    pub(in crate::store) async fn channel(&self) -> Result<String, Error> {
        Ok(format!("lumo_queued_{}", self.generation().await?))
    }

    /// The payload of this process's NOTIFYs, by which it ignores them.
    pub(in crate::store) fn signature(&self) -> String {
        format!("{:08x}", self.inner.process.instance())
    }
}
