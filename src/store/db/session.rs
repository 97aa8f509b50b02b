//! Keeps one session of the database open: it holds the process lock and, on PostgreSQL, listens for notifications.
//!
//! The lock ends with its session, so the session is never replaced for its age, and a lost session is opened again at
//! once. Notifications may have been missed meanwhile, so the dispatchers then read the log once.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, DbErr, RuntimeErr, Statement};
use sqlx::postgres::PgListener;
use sqlx::{AssertSqlSafe, Executor, Row};
use tokio_util::sync::CancellationToken;

use crate::chain::Chain;
use crate::store::db::timeouts::{self, TimedConnection};
use crate::store::{Config, Error, Store, connect, process};

/// The wait before a lost session is opened again, …
const FIRST_WAIT: Duration = Duration::from_millis(200);
/// … and the longest wait after repeated failures. Until then other processes may take this one for dead.
const LONGEST_WAIT: Duration = Duration::from_secs(2);
/// After this time without a notification, PostgreSQL is asked whether the lock is still held. A session that ends
/// reports that by itself.
const SILENCE: Duration = Duration::from_secs(20);
/// How often MySQL and MariaDB are asked. There, a session that ends reports nothing.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// How long an answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// A session that holds the process lock.
pub(in crate::store) enum Session {
    /// Nothing is kept open: on SQLite a lock on a file is enough.
    None,
    Postgres {
        pool: DatabaseConnection,
        listener: Box<PgListener>,
    },
    MySql(TimedConnection),
}

impl Session {
    pub(in crate::store) async fn open(store: &Store, config: &Config) -> Result<Self, Error> {
        let backend = store.backend();
        if backend == DbBackend::Sqlite {
            return Ok(Self::None);
        }
        let pool = connect::single(config, connect::Absent::Refuse, &store.inner.distrust).await?;
        let session = if backend == DbBackend::Postgres {
            let mut listener = PgListener::connect_with(pool.get_postgres_connection_pool()).await.map_err(lost)?;
            listener.eager_reconnect(false);
            let mut session = Self::Postgres { pool, listener: Box::new(listener) };
            session.take_lock(store).await?;
            if let Self::Postgres { listener, .. } = &mut session {
                listener.listen(&store.channel().await?).await.map_err(lost)?;
            }
            session
        } else {
            let mut session = Self::MySql(TimedConnection::new(pool, &store.inner.distrust));
            session.take_lock(store).await?;
            session
        };
        // Notifications from before this session were missed.
        store.inner.appended.send_replace(());
        Ok(session)
    }

    /// Takes the process lock, unless the session holds it.
    async fn take_lock(&mut self, store: &Store) -> Result<(), Error> {
        let own = store.inner.process.instance();
        let taken = match self {
            Self::None => return Ok(()),
            Self::Postgres { listener, .. } => {
                let sql = format!(
                    "SELECT CASE WHEN EXISTS (SELECT 1 FROM pg_locks WHERE {} AND pid = pg_backend_pid()) THEN true \
                     ELSE pg_try_advisory_lock({}) END",
                    process::held(own),
                    process::key(own)
                );
                let answer = listener.fetch_one(sqlx::raw_sql(AssertSqlSafe(sql)));
                let row = tokio::time::timeout(ANSWER_TIMEOUT, answer).await.map_err(|_| silence())?.map_err(lost)?;
                row.try_get::<bool, _>(0).map_err(lost)?
            }
            Self::MySql(session) => {
                let name = process::name(own);
                let sql =
                    format!("SELECT IF(IS_USED_LOCK('{name}') <=> CONNECTION_ID(), 1, GET_LOCK('{name}', 0)) = 1");
                let row = session.query_one_raw(Statement::from_string(DbBackend::MySql, sql)).await?;
                row.map(|row| row.try_get_by_index::<Option<bool>>(0)).transpose()?.flatten().unwrap_or(false)
            }
        };
        store.inner.process.show(taken);
        Ok(())
    }

    /// Holds the lock until the session is lost. Returns the reason.
    async fn hold(&mut self, store: &Store) -> Error {
        let own = store.signature();
        let mut distrusted = store.inner.distrust.watch();
        loop {
            if let Self::Postgres { listener, .. } = self {
                let heard = tokio::select! {
                    heard = tokio::time::timeout(SILENCE, listener.try_recv()) => heard,
                    _ = distrusted.changed() => {
                        return lost(sqlx::Error::Io(io::ErrorKind::ConnectionAborted.into()));
                    }
                };
                match heard {
                    Ok(Ok(Some(call))) => {
                        if call.payload() != own {
                            store.inner.appended.send_replace(());
                        }
                        continue;
                    }
                    Ok(Ok(None)) => return lost(sqlx::Error::Io(io::ErrorKind::ConnectionAborted.into())),
                    Ok(Err(error)) => return lost(error),
                    Err(_) => {}
                }
            } else {
                tokio::time::sleep(ASK_EVERY).await;
            }
            if let Err(error) = self.take_lock(store).await {
                return error;
            }
        }
    }

    async fn close(self, backend: DbBackend) {
        let pool = match self {
            Self::None => return,
            Self::Postgres { pool, listener } => {
                drop(listener);
                pool
            }
            Self::MySql(session) => session.connection().clone(),
        };
        if let Err(error) = timeouts::closing(backend, pool.close()).await {
            tracing::debug!(error = %error, "session not closed cleanly");
        }
    }
}

/// Keeps a session until `stop` is cancelled, and replaces it whenever it is lost.
pub(in crate::store) async fn keep(store: Store, config: Config, first: Session, stop: CancellationToken) {
    let mut session = first;
    if let Session::None = session {
        return;
    }
    while let Some(lost) = stop.run_until_cancelled(session.hold(&store)).await {
        tracing::debug!(error = %Chain(&lost), "session of the process lock lost; opening another");
        store.inner.process.show(false);
        session.close(store.backend()).await;
        match stop.run_until_cancelled(Box::pin(reopen(&store, &config))).await {
            Some(opened) => session = opened,
            None => return,
        }
    }
    store.inner.process.show(false);
    session.close(store.backend()).await;
}

async fn reopen(store: &Store, config: &Config) -> Session {
    let mut wait = FIRST_WAIT;
    loop {
        tokio::time::sleep(wait).await;
        match Session::open(store, config).await {
            Ok(session) => return session,
            Err(error) => {
                tracing::debug!(error = %Chain(&error), "no session for the process lock; trying again");
                wait = (wait * 2).min(LONGEST_WAIT);
            }
        }
    }
}

fn silence() -> Error {
    lost(sqlx::Error::Io(io::ErrorKind::TimedOut.into()))
}

fn lost(error: sqlx::Error) -> Error {
    Error::Unavailable(DbErr::Conn(RuntimeErr::SqlxError(Arc::new(error))))
}
