//! A database that fails now and then, at a statement of a transaction or as it commits.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use lumo_bridge::store::failpoint::{self, Failpoint, Step};
use rand::RngExt;
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};

use super::Server;

/// How a statement fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Fault {
    /// The disk is full: SQLite ends the transaction by itself.
    DiskFull,
    /// The file cannot be read or written: so does it then.
    InputOutput,
    /// A value cannot be written, and the transaction is as it was.
    Unencodable,
    /// It was done, and nobody hears of it.
    AnswerLost,
}

const FAULTS: [Fault; 4] = [Fault::DiskFull, Fault::InputOutput, Fault::Unencodable, Fault::AnswerLost];

impl Fault {
    pub(super) fn at(self, step: Step) -> failpoint::Fault {
        match self {
            // What fills it cannot be written in the place of a commit.
            Self::DiskFull if !step.is_commit => failpoint::Fault::First(
                "PRAGMA max_page_count = 1; \
                 INSERT INTO lumo_meta (name, value) VALUES ('full', hex(zeroblob(4000000)))"
                    .to_owned(),
            ),
            Self::DiskFull | Self::InputOutput => {
                let broken = sqlx::Error::Io(io::ErrorKind::BrokenPipe.into());
                failpoint::Fault::FirstThenFails("ROLLBACK".to_owned(), Arc::new(broken))
            }
            Self::Unencodable => failpoint::Fault::Fails(Arc::new(sqlx::Error::Encode("out of range".into()))),
            Self::AnswerLost => failpoint::Fault::AnswerLost,
        }
    }
}

/// Where in a call a statement fails.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Strike {
    transaction: String,
    /// Which of the call's transactions of this name.
    nth: u32,
    /// Which of its statements.
    number: u32,
    pub(super) fault: Fault,
}

pub(super) struct Database {
    rng: StdRng,
    /// How many transactions of each name the call has begun.
    begun: HashMap<&'static str, u32>,
    strikes: u32,
}

impl Database {
    pub(super) fn new(rng: StdRng) -> Self {
        Self { rng, begun: HashMap::new(), strikes: 0 }
    }

    pub(super) fn begin_call(&mut self) {
        self.begun.clear();
        self.strikes = 0;
    }

    pub(super) const fn strikes(&self) -> u32 {
        self.strikes
    }

    /// What a seed decides about this step.
    pub(super) fn drawn(&mut self, step: Step, rate: f64) -> Option<Strike> {
        let nth = self.reach(step);
        if rate == 0.0 || !self.rng.random_bool(rate) {
            return None;
        }
        self.strikes += 1;
        let fault = FAULTS[self.rng.random_range(0..FAULTS.len())];
        Some(Strike { transaction: step.transaction.to_owned(), nth, number: step.number, fault })
    }

    /// What was recorded of this step.
    pub(super) fn recorded(&mut self, step: Step, strikes: &[Strike]) -> Option<Strike> {
        let nth = self.reach(step);
        let is_it = |strike: &&Strike| {
            (strike.transaction.as_str(), strike.nth, strike.number) == (step.transaction, nth, step.number)
        };
        let strike = strikes.iter().find(is_it).cloned();
        self.strikes += u32::from(strike.is_some());
        strike
    }

    fn reach(&mut self, step: Step) -> u32 {
        let begun = self.begun.entry(step.transaction).or_default();
        *begun += u32::from(step.number == 1);
        *begun
    }
}

impl Server {
    /// Lets the database of whoever reads this server fail as the seed wants it.
    pub(crate) fn failpoint(&self) -> Failpoint {
        let server = self.clone();
        Failpoint::new(move |step| {
            let mut live = server.live();
            let rate = live.faults.database;
            live.chance.database_fault(step, rate)
        })
    }
}
