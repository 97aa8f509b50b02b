//! A database that fails now and then, at a statement of a transaction or as it commits.

use std::collections::HashMap;

use lumo_bridge::store::failpoint::{Failpoint, Fault, Step};
use rand::RngExt;
use rand::rngs::StdRng;
use sea_orm::DbBackend;
use serde::{Deserialize, Serialize};

use super::Server;
use crate::store::failures::faults::Kind;

/// How SQLite fails, without whoever waits for it giving up: that is what a process does that dies.
const FAULTS: [Kind; 5] = [Kind::DiskFull, Kind::InputOutput, Kind::ReadOnly, Kind::Unencodable, Kind::AnswerLost];

/// Where in a call a statement fails.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Strike {
    transaction: String,
    /// Which of the call's transactions of this name.
    nth: u32,
    /// Which of its statements.
    number: u32,
    fault: Kind,
}

impl Strike {
    pub(super) fn fault(&self) -> Fault {
        self.fault.fault(DbBackend::Sqlite)
    }
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
