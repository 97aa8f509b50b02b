//! What goes wrong, as each database spells it, and when.

use std::io;
use std::sync::{Arc, Mutex};

use lumo_bridge::store::failpoint::{Failpoint, Fault, Step};
use sea_orm::DbBackend;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    DiskFull,
    InputOutput,
    /// The server ends the session, or the connection is lost.
    Killed,
    ReadOnly,
    TimedOut,
    /// A value cannot be encoded.
    Unencodable,
    /// Whoever waits for it gives up.
    Cancelled,
    /// The database has done what it was asked, and the answer is lost.
    AnswerLost,
}

pub(super) const KINDS: [Kind; 8] = [
    Kind::DiskFull,
    Kind::InputOutput,
    Kind::Killed,
    Kind::ReadOnly,
    Kind::TimedOut,
    Kind::Unencodable,
    Kind::Cancelled,
    Kind::AnswerLost,
];

impl Kind {
    /// As this database fails. SQLite ends the transaction by itself when its file fails.
    pub(crate) fn fault(self, backend: DbBackend) -> Fault {
        let lost = || Arc::new(sqlx::Error::Io(io::ErrorKind::BrokenPipe.into()));
        let first = |sql: &str| Fault::First(sql.to_owned());
        let raise = |state: &str| first(&format!("DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{state}'; END $$"));
        let signal =
            |number: u16| first(&format!("SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = {number}, MESSAGE_TEXT = 'no'"));
        match (self, backend) {
            (Self::Cancelled, _) => Fault::Hangs,
            (Self::AnswerLost, _) => Fault::AnswerLost,
            (Self::Unencodable, _) => Fault::Fails(Arc::new(sqlx::Error::Encode("out of range".into()))),
            (Self::DiskFull, DbBackend::Sqlite) => first(
                "PRAGMA max_page_count = 1; \
                 INSERT INTO lumo_meta (name, value) VALUES ('full', hex(zeroblob(4000000)))",
            ),
            (Self::ReadOnly, DbBackend::Sqlite) => {
                first("PRAGMA query_only = on; DELETE FROM lumo_meta WHERE name = 'read-only'")
            }
            (_, DbBackend::Sqlite) => Fault::FirstThenFails("ROLLBACK".to_owned(), lost()),
            (Self::DiskFull, DbBackend::Postgres) => raise("53100"),
            (Self::InputOutput, DbBackend::Postgres) => raise("58030"),
            (Self::Killed, DbBackend::Postgres) => first("SELECT pg_terminate_backend(pg_backend_pid())"),
            (Self::ReadOnly, DbBackend::Postgres) => {
                first("SET TRANSACTION READ ONLY; DELETE FROM lumo_meta WHERE false")
            }
            (Self::TimedOut, DbBackend::Postgres) => first("SET LOCAL statement_timeout = 1; SELECT pg_sleep(30)"),
            (Self::DiskFull, _) => signal(1021),
            (Self::InputOutput, _) => signal(1030),
            (Self::Killed, _) => first("KILL CONNECTION_ID()"),
            (Self::ReadOnly, _) => signal(1290),
            (Self::TimedOut, _) => signal(1969),
        }
    }

    /// Whether it says of the database that it takes nothing at present.
    pub(super) fn is_outage(self, backend: DbBackend) -> bool {
        match self {
            Self::DiskFull | Self::InputOutput | Self::Killed | Self::ReadOnly | Self::AnswerLost => true,
            Self::TimedOut => backend == DbBackend::Sqlite,
            Self::Unencodable | Self::Cancelled => false,
        }
    }
}

/// What fails next, and what was seen of transactions of that name.
#[derive(Default)]
pub(super) struct Plan {
    transaction: &'static str,
    at: Option<(u32, Fault)>,
    /// Fails every commit.
    uncommitted: bool,
    pub(super) steps: u32,
    pub(super) has_commit: bool,
    pub(super) struck: u32,
}

#[derive(Clone, Default)]
pub(super) struct Saboteur {
    pub(super) plan: Arc<Mutex<Plan>>,
    pub(super) struck: Arc<Notify>,
}

impl Saboteur {
    pub(super) fn failpoint(&self) -> Failpoint {
        let this = self.clone();
        Failpoint::new(move |step| this.choose(step))
    }

    fn choose(&self, Step { transaction, number, is_commit }: Step) -> Option<Fault> {
        let mut plan = self.plan.lock().unwrap();
        if transaction != plan.transaction {
            return None;
        }
        plan.steps = plan.steps.max(number);
        plan.has_commit |= is_commit;
        if plan.uncommitted && is_commit {
            return Some(Fault::Fails(Arc::new(sqlx::Error::WorkerCrashed)));
        }
        let fault = plan.at.clone().filter(|(at, _)| *at == number).map(|(_, fault)| fault)?;
        plan.struck += 1;
        if matches!(fault, Fault::Hangs) {
            self.struck.notify_one();
        }
        Some(fault)
    }

    pub(super) fn set(&self, transaction: &'static str, at: Option<(u32, Fault)>, uncommitted: bool) {
        *self.plan.lock().unwrap() = Plan { transaction, at, uncommitted, ..Plan::default() };
    }
}
