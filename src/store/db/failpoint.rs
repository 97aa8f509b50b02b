//! Makes the database fail at a statement of a test's choice, in the middle of a transaction.
//!
//! A released program never has one: no option sets it, and without it a statement only checks a `None`.

use std::future::pending;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, RuntimeErr};

/// A step of a transaction, before it is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    pub transaction: &'static str,
    /// 1 for the first statement.
    pub number: u32,
    pub is_commit: bool,
}

/// What goes wrong at a step.
#[derive(Clone, Debug)]
pub enum Fault {
    /// This SQL is run before the step; if it fails, the step fails with its error.
    First(String),
    /// Nothing is run, and the driver returns this error.
    Fails(Arc<sqlx::Error>),
    /// This SQL is run before the step. Then the driver returns this error, even if the SQL succeeded.
    FirstThenFails(String, Arc<sqlx::Error>),
    /// The step is made, and its answer is lost.
    AnswerLost,
    /// The step never ends.
    Hangs,
}

type Choose = dyn Fn(Step) -> Option<Fault> + Send + Sync;

/// Chooses what goes wrong, if anything.
#[derive(Clone, Default)]
pub struct Failpoint(Option<Arc<Choose>>);

impl Failpoint {
    pub fn new(choose: impl Fn(Step) -> Option<Fault> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(choose)))
    }

    pub(in crate::store) fn counter(&self, transaction: &'static str) -> Counter {
        Counter(self.0.clone().map(|choose| Armed { choose, transaction, steps: AtomicU32::new(0) }))
    }
}

/// Counts the steps of one transaction.
pub(in crate::store) struct Counter(Option<Armed>);

struct Armed {
    choose: Arc<Choose>,
    transaction: &'static str,
    steps: AtomicU32,
}

impl Counter {
    /// Makes a step that is a statement.
    pub(in crate::store) async fn pass<T>(
        &self,
        session: &DatabaseTransaction,
        statement: impl Future<Output = Result<T, DbErr>> + Send,
    ) -> Result<T, DbErr> {
        match &self.0 {
            None => statement.await,
            Some(armed) => armed.pass(session, statement).await,
        }
    }

    /// Makes the last step.
    pub(in crate::store) async fn commit(self, session: DatabaseTransaction) -> Result<(), DbErr> {
        let Some(armed) = self.0 else { return session.commit().await };
        let fault = armed.reach(true);
        let is_lost = matches!(fault, Some(Fault::AnswerLost));
        if !is_lost {
            armed.meet(&session, fault).await?;
        }
        session.commit().await?;
        if is_lost { Err(lost()) } else { Ok(()) }
    }
}

impl Armed {
    fn reach(&self, is_commit: bool) -> Option<Fault> {
        let number = self.steps.fetch_add(1, Ordering::Relaxed) + 1;
        (self.choose)(Step { transaction: self.transaction, number, is_commit })
    }

    async fn pass<T>(
        &self,
        session: &DatabaseTransaction,
        statement: impl Future<Output = Result<T, DbErr>> + Send,
    ) -> Result<T, DbErr> {
        let fault = self.reach(false);
        let is_lost = matches!(fault, Some(Fault::AnswerLost));
        if !is_lost {
            self.meet(session, fault).await?;
        }
        let result = statement.await?;
        if is_lost { Err(lost()) } else { Ok(result) }
    }

    async fn meet(&self, session: &DatabaseTransaction, fault: Option<Fault>) -> Result<(), DbErr> {
        match fault {
            None | Some(Fault::AnswerLost) => Ok(()),
            Some(Fault::First(sql)) => session.execute_unprepared(&sql).await.map(drop),
            Some(Fault::Fails(error)) => Err(DbErr::Exec(RuntimeErr::SqlxError(error))),
            Some(Fault::FirstThenFails(sql, error)) => {
                drop(session.execute_unprepared(&sql).await);
                Err(DbErr::Exec(RuntimeErr::SqlxError(error)))
            }
            Some(Fault::Hangs) => pending().await,
        }
    }
}

fn lost() -> DbErr {
    let lost = sqlx::Error::Io(io::ErrorKind::ConnectionReset.into());
    DbErr::Exec(RuntimeErr::SqlxError(Arc::new(lost)))
}
