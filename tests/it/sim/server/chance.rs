//! What is left to chance: drawn from a seed and noted, or read from a plan that was frozen.
//!
//! A plan states what happens by call and by request of that call. It outlives changes of the engine and of what else may be
//! drawn: where the engine asks for more than was recorded, nothing happens and nothing fails; what belongs to requests that
//! it no longer makes happens at the end of the call.

use std::collections::VecDeque;

use lumo_bridge::model::Listing;
use lumo_bridge::store::failpoint;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};

use super::database::Database;
use super::{Act, Failure, Live};
use crate::sim::bridge::Call;
use crate::sim::churn::churn;
use crate::sim::frozen::{Line, Step};
use crate::sim::model::deed::Deed;
use crate::sim::quirks::Faults;

/// What chance decides about one request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Lot {
    /// Milliseconds that passed before it.
    pub(super) took: i64,
    /// What happened in that time.
    pub(super) world: Vec<Deed>,
    pub(super) fails: Option<Failure>,
    /// The process dies of it.
    pub(super) dies: bool,
    /// How often others go on before it is answered.
    pub(super) pause: u32,
    /// A cap that changes does so now.
    pub(super) changes: bool,
    /// The page has one row less than it may.
    pub(super) short: bool,
    /// How many rows the page has at most.
    pub(super) most: Option<u64>,
    /// By how many the total is off.
    pub(super) torn: i64,
    /// How many moments ago the replica was up to date that answers.
    pub(super) lag: u64,
    /// Decides about rows whose order is not fixed.
    pub(super) salt: u64,
}

impl Lot {
    /// Only what happens to the company.
    pub(crate) fn without_fate(self) -> Self {
        Self { world: self.world, ..Self::default() }
    }
}

pub(crate) struct Chance {
    rng: StdRng,
    /// Decides at which milestones the process dies. Where requests are under way at the same time, nobody knows how many
    /// of them came before a milestone; they must not decide for one another.
    fate: StdRng,
    /// What was recorded, where that decides; the first is the call under way.
    plan: Option<VecDeque<Step>>,
    lot: Lot,
    /// How many milestones the call has come to.
    milestones: u32,
    pub(super) database: Database,
    pub(crate) record: Vec<Line>,
}

impl Chance {
    pub(crate) fn drawn(mut rng: StdRng, database: StdRng) -> Self {
        let fate = StdRng::from_rng(&mut rng);
        let database = Database::new(database);
        Self { rng, fate, plan: None, lot: Lot::default(), milestones: 0, database, record: Vec::new() }
    }

    pub(crate) fn frozen(steps: impl IntoIterator<Item = Step>) -> Self {
        let steps = std::iter::once(Step::default()).chain(steps);
        let unused = || StdRng::seed_from_u64(0);
        Self { plan: Some(steps.collect()), ..Self::drawn(unused(), unused()) }
    }

    /// What is decided about this side of the request, which nothing but a seed draws.
    pub(super) fn of<T: Clone>(&mut self, side: fn(&mut Lot) -> &mut T, draw: impl FnOnce(&mut StdRng) -> T) -> T {
        if self.plan.is_none() {
            *side(&mut self.lot) = draw(&mut self.rng);
        }
        side(&mut self.lot).clone()
    }

    pub(super) fn next_request(&mut self) {
        let recorded = self.plan.as_mut().and_then(|steps| steps.front_mut()?.requests.pop_front());
        self.lot = recorded.unwrap_or_default();
    }

    pub(super) fn end_request(&mut self) {
        self.record.push(Line::Request(std::mem::take(&mut self.lot)));
    }

    pub(super) fn given_salt(&self) -> Option<u64> {
        self.plan.is_some().then_some(self.lot.salt)
    }

    pub(super) const fn note_salt(&mut self, salt: u64) {
        self.lot.salt = salt;
    }

    pub(super) fn is_fatal(&mut self, rate: f64) -> bool {
        self.milestones += 1;
        let fatal = match &self.plan {
            Some(steps) => steps.front().is_some_and(|step| step.dies_at.contains(&self.milestones)),
            None => rate > 0.0 && self.fate.random_bool(rate),
        };
        if fatal {
            self.record.push(Line::DiesAtMilestone(self.milestones));
        }
        fatal
    }

    /// What goes wrong at this step of a transaction.
    pub(super) fn database_fault(&mut self, step: failpoint::Step, rate: f64) -> Option<failpoint::Fault> {
        let strike = match &self.plan {
            Some(steps) => self.database.recorded(step, &steps.front()?.strikes),
            None => self.database.drawn(step, rate),
        }?;
        let fault = strike.fault();
        self.record.push(Line::DatabaseFails(strike));
        Some(fault)
    }

    /// How often the database has failed in the call under way.
    pub(crate) const fn strikes(&self) -> u32 {
        self.database.strikes()
    }
}

impl Live {
    /// What follows belongs to this call.
    pub(crate) fn begin(&mut self, call: Call) {
        self.catch_up();
        self.chance.milestones = 0;
        self.chance.database.begin_call();
        self.chance.record.push(Line::Call(call));
        if let Some(steps) = &mut self.chance.plan {
            match steps.get(1) {
                Some(next) if next.call == Some(call) => drop(steps.pop_front()),
                _ => steps[0] = Step::default(),
            }
        }
    }

    /// Lets happen what was recorded of requests that were not made.
    pub(super) fn catch_up(&mut self) {
        let left = self.chance.plan.as_mut().and_then(|steps| steps.front_mut()).map(std::mem::take);
        for deed in left.into_iter().flat_map(|step| step.requests).flat_map(|lot| lot.world) {
            self.world.happen(&deed);
        }
    }

    /// What happens to the company before a request for this list.
    pub(super) fn live_on(&mut self, near: Listing) {
        if self.chance.plan.is_some() {
            for deed in &self.chance.lot.world {
                self.world.happen(deed);
            }
            return;
        }
        self.world.deeds.clear();
        churn(&mut self.world, near, &self.churn, self.only_deposits, &mut self.chance.rng);
        self.chance.lot.world = std::mem::take(&mut self.world.deeds);
    }

    /// What becomes of a request that no script decides about.
    pub(super) fn act(&mut self) -> Act {
        if self.chance.plan.is_none() {
            self.draw_act();
        }
        match (&self.chance.lot, self.chance.lot.fails) {
            (lot, _) if lot.dies => Act::Die,
            (_, Some(failure)) => Act::Fail(failure),
            _ => Act::Answer,
        }
    }

    fn draw_act(&mut self) {
        let Faults { rate, crash, .. } = self.faults;
        let Chance { rng, lot, .. } = &mut self.chance;
        if crash > 0.0 && rng.random_bool(crash) {
            lot.dies = true;
            return;
        }
        let now = self.world.now();
        if now < self.locked_until {
            lot.fails = Some(Failure::Unauthorized);
            return;
        }
        if rate > 0.0 && rng.random_bool(rate) {
            let failure = Failure::random(rng);
            if failure == Failure::Unauthorized {
                self.locked_until = now + rng.random_range(1..6);
            }
            lot.fails = Some(failure);
        }
    }
}
