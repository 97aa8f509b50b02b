//! One seed: a company lives, a bridge follows it and dies now and then, and after every step the oracle looks.

mod calm;

use std::fmt::{self, Display};

use chrono::TimeDelta;
use lumo_bridge::clock::Clock;
use lumo_bridge::model::Listing;
use lumo_bridge::model::facts::History;
use lumo_bridge::sync::Error;
use lumo_simulator::serving::{Section, View, Visibility};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::bridge::{Bridge, Call, Ended, Setting, dawn};
use super::churn::GROWTH;
use super::frozen::{Frozen, Line, Step};
use super::model::{Place, Shown, World};
use super::oracle::{Assumptions, Breaches, Oracle};
use super::quirks::{Churn, Plan};
use super::server::chance::Chance;
use super::server::{Logged, Server};

/// After so many requests no further round begins: two short seeds find more than a long one.
const ENOUGH: usize = 80;

/// How far a clock jumps, or a process sleeps, now and then, in seconds.
const A_DAY: i64 = 86_400;

/// How far the server's clock jumps, in seconds: what is never believed, and what may be.
const SKEWS: [i64; 7] = [-50 * 365 * A_DAY, -A_DAY, -3_600, 0, 3_600, A_DAY, 70 * 365 * A_DAY];

/// As many pages as any sweep takes.
const WHOLE: u64 = 100_000;

/// How much of the log a failure shows.
const SHOWN: usize = 4000;

/// A seed that broke a promise.
pub(crate) struct Failure {
    plan: Plan,
    breaches: Breaches,
    steps: Vec<String>,
    log: Vec<Logged>,
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "LUMO_TEST_SEED={} breaks what was promised:", self.plan.seed)?;
        for breach in self.breaches.iter().take(12) {
            writeln!(f, "  {breach}")?;
        }
        if self.breaches.len() > 12 {
            writeln!(f, "  and {} more", self.breaches.len() - 12)?;
        }
        writeln!(f, "{:?}\nsteps:", self.plan)?;
        for step in &self.steps {
            writeln!(f, "  {step}")?;
        }
        writeln!(f, "the last of {} requests:", self.log.len())?;
        for logged in self.log.iter().skip(self.log.len().saturating_sub(SHOWN)) {
            let Logged { moment, asked, answered } = logged;
            writeln!(
                f,
                "  {moment:4} {} {:?} {}+{}{}{}: {answered:?}",
                asked.listing,
                asked.priority,
                asked.offset,
                asked.limit,
                asked.external_id.as_ref().map(|id| format!(" of {id}")).unwrap_or_default(),
                asked.status.as_ref().map(|status| format!(" {status}")).unwrap_or_default(),
            )?;
        }
        Ok(())
    }
}

/// One run under way.
pub(crate) struct Driver {
    pub(crate) plan: Plan,
    pub(crate) bridge: Bridge,
    pub(crate) oracle: Oracle,
    rng: StdRng,
    /// Decides what the operator does, without which a seed would be another one.
    commands: StdRng,
    /// The same for looks between the rounds.
    looks: StdRng,
    /// The same for the server's clock.
    clocks: StdRng,
    steps: Vec<String>,
}

/// Runs a seed to its end. Returns every request that was made.
pub(crate) async fn simulate(seed: u64) -> Result<Vec<Logged>, Box<Failure>> {
    let mut driver = Driver::new(seed).await;
    let ran = driver.run().await;
    match ran {
        Ok(()) => Ok(driver.bridge.server.live().log.clone()),
        Err(breaches) => Err(Box::new(driver.failure(breaches))),
    }
}

impl Driver {
    pub(crate) async fn new(seed: u64) -> Self {
        let rng = |of: u64| StdRng::seed_from_u64(seed.wrapping_mul(8).wrapping_add(of));
        Self::with(Plan::of(seed, &mut rng(0)), rng(1), rng(2), rng(3)).await
    }

    pub(crate) async fn with(plan: Plan, ours: StdRng, worlds: StdRng, servers: StdRng) -> Self {
        let database = StdRng::seed_from_u64(!plan.seed.rotate_left(16));
        Self::given(plan, [Vec::new(), Vec::new()], ours, worlds, Chance::drawn(servers, database)).await
    }

    /// A run that was recorded.
    pub(crate) async fn frozen(frozen: &Frozen) -> Self {
        let Frozen { plan, ranks, steps } = frozen.clone();
        let unused = || StdRng::seed_from_u64(0);
        Self::given(plan, ranks, unused(), unused(), Chance::frozen(steps)).await
    }

    async fn given(plan: Plan, ranks: [Vec<i64>; 2], ours: StdRng, worlds: StdRng, chance: Chance) -> Self {
        let clock = Clock::manual(dawn());
        let visible = |hides| if hides { Visibility::Hidden } else { Visibility::Listed };
        let (blocked, replaced) = (visible(plan.hides_blocked), visible(plan.hides_replaced));
        let shown = |listing: Listing| {
            let is_blocked = listing == Listing::Blocked;
            let section = if is_blocked { Section::OnlyBlocked } else { Section::Plain { blocked } };
            Shown { order: plan.quirks[listing as usize].order, view: View { section, replaced } }
        };
        let mut world = World::new(clock.clone(), Listing::ALL.map(shown), worlds);
        let [wallets, deposits] = ranks;
        world.given_ranks = wallets.into();
        world.fill(Listing::Wallets, plan.wallets, 0);
        world.given_ranks = deposits.into();
        world.fill(Listing::Deposits, plan.deposits, plan.young);
        world.pass_time(TimeDelta::seconds(1));
        let server = Server::new(world, plan.quirks, chance);
        {
            let mut live = server.live();
            live.churn = Churn { most_rows: plan.wallets.max(plan.deposits) + GROWTH, ..plan.churn };
            live.faults = plan.faults;
            live.only_deposits = plan.only_deposits;
            live.concurrent = plan.concurrency > 1;
        }
        let history = if plan.notify { History::Notify } else { History::Silent };
        let setting = Setting { history, page_size: plan.page_size, concurrency: plan.concurrency };
        let bridge = Bridge::new(server, clock, setting).await;
        let assumed = Assumptions {
            quirks: plan.quirks,
            faults: plan.faults,
            late: plan.churn.late + plan.churn.spoil > 0,
            notify: plan.notify,
        };
        let oracle = Oracle::new(&bridge.file(), assumed).await;
        let commands = StdRng::seed_from_u64(!plan.seed);
        let looks = StdRng::seed_from_u64(!plan.seed.rotate_left(32));
        let clocks = StdRng::seed_from_u64(!plan.seed.rotate_left(48));
        Self { plan, bridge, oracle, rng: ours, commands, looks, clocks, steps: Vec::new() }
    }

    pub(crate) async fn run(&mut self) -> Result<(), Breaches> {
        for _ in 0..self.plan.rounds {
            if self.bridge.server.live().log.len() > ENOUGH {
                break;
            }
            for listing in self.listings() {
                self.step(Call::Tick(*listing)).await?;
            }
            let listings = self.listings();
            let listing = listings[self.rng.random_range(0..listings.len())];
            if self.rng.random_bool(0.5) {
                let pages = self.rng.random_range(1..12);
                self.step(Call::Sweep(listing, pages)).await?;
            }
            if self.rng.random_bool(0.08) {
                self.step(Call::Pass(listing)).await?;
            }
            if self.rng.random_bool(0.1) {
                self.step(Call::Guest(listing)).await?;
            }
            if self.plan.faults.clock && self.clocks.random_bool(0.5) {
                let skew = SKEWS[self.clocks.random_range(0..SKEWS.len())];
                self.bridge.server.live().chance.record.push(Line::Skew(skew));
                self.bridge.server.live().clock_skew = TimeDelta::seconds(skew);
            }
            if self.looks.random_bool(0.2) {
                let users = self.looks.random_range(1..8);
                self.step(Call::Look(users)).await?;
            }
            if self.commands.random_bool(0.05) {
                self.step(Call::Accept(listing)).await?;
            }
            let rest = match self.rng.random_range(0..100) {
                0..3 => A_DAY,
                3..13 => 300,
                _ => self.rng.random_range(8..13),
            };
            self.bridge.server.live().chance.record.push(Line::Rest(rest));
            self.bridge.pass_time(TimeDelta::seconds(rest));
        }
        self.settle().await?;
        self.idle().await
    }

    /// Does what was done in the run that these steps are of.
    pub(crate) async fn replay(&mut self, steps: &[Step]) -> Result<(), Breaches> {
        for step in steps.iter().take_while(|step| !step.is_calm) {
            if let Some(call) = step.call {
                self.step(call).await?;
            }
            if let Some(seconds) = step.skew {
                self.bridge.server.live().clock_skew = TimeDelta::seconds(seconds);
            }
            if step.rest > 0 {
                self.bridge.pass_time(TimeDelta::seconds(step.rest));
            }
        }
        self.settle().await?;
        self.idle().await
    }

    /// Where the rows of the beginning are, if a list has an order of its own: wallets, deposits.
    pub(crate) fn ranks(&self) -> [Vec<i64>; 2] {
        let live = self.bridge.server.live();
        [Listing::Wallets, Listing::Deposits].map(|listing| {
            let is_given = live.world.shown(listing).order.place() == Place::AsOrdered;
            let ranks = live.world.of(listing).iter().map(|row| row.rank);
            if is_given { ranks.collect() } else { Vec::new() }
        })
    }

    fn listings(&self) -> &'static [Listing] {
        if self.plan.only_deposits { &[Listing::Deposits] } else { &Listing::ALL }
    }

    /// One call that nothing may be said against.
    async fn step(&mut self, call: Call) -> Result<(), Breaches> {
        self.judged(call).await.map(drop)
    }

    /// What was done so far.
    pub(crate) fn steps(&self) -> &[String] {
        &self.steps
    }

    /// One call that nobody judges, as the time of day makes no sense.
    pub(crate) async fn timeless(&mut self, call: Call) {
        let ended = self.bridge.call(call).await;
        assert!(!matches!(ended, Ended::Failed(_) | Ended::Died), "{call:?}: {ended:?}");
    }

    /// The same where the server does not answer.
    pub(crate) async fn timeless_failing(&mut self, call: Call) {
        let ended = self.bridge.call(call).await;
        assert!(matches!(ended, Ended::Failed(_)), "{call:?}: {ended:?}");
    }

    /// One call, and what the oracle says against it.
    pub(crate) async fn judged(&mut self, call: Call) -> Result<Ended, Breaches> {
        // No two rounds begin at the same time.
        self.bridge.pass_time(TimeDelta::milliseconds(1));
        self.bridge.server.live().begin(call);
        let before = self.bridge.server.live().log.len();
        let ended = self.bridge.call(call).await;
        let requests = self.bridge.server.live().log.len() - before;
        self.steps.push(format!("{before:4}: {call:?}: {}, {requests} requests", words(&ended)));
        let listing = call.listing();
        let server = self.bridge.server.clone();
        let budget = self.budget(listing);
        let accepts = matches!(call, Call::Accept(_));
        let mut breaches = self.oracle.judge(&server, listing, accepts).await;
        if requests > budget {
            breaches.push(format!("{call:?} took {requests} requests, more than {budget}"));
        }
        let struck = server.live().chance.strikes();
        match &ended {
            Ended::Failed(error) if is_ours(error) && struck == 0 => {
                breaches.push(format!("{call:?} failed: {error:?}"));
            }
            _ => {}
        }
        if breaches.is_empty() { Ok(ended) } else { Err(breaches) }
    }

    /// More requests than this no call may take: a pass that finds no end gives up at twelve times what is ideal, and a tick
    /// has few of them.
    fn budget(&self, listing: Listing) -> usize {
        let rows = self.bridge.server.live().world.of(listing).len();
        let least = self.plan.quirks[listing as usize].cap.least(self.plan.page_size);
        let least = usize::try_from(least).unwrap();
        let pass = 32 + 12 * (rows / least.saturating_sub(4).max(1) + 1);
        let tries = if self.plan.faults.rate > 0.0 { 2 } else { 1 };
        tries * (5 * pass + 100)
    }

    pub(crate) fn failure(self, breaches: Breaches) -> Failure {
        let log = self.bridge.server.live().log.clone();
        Failure { plan: self.plan, breaches, steps: self.steps, log }
    }
}

/// Whether the server has no part in it.
fn is_ours(error: &Error) -> bool {
    matches!(error, Error::Store(_)) && !error.is_fenced()
}

fn words(ended: &Ended) -> String {
    match ended {
        Ended::Done(report) => format!("{:?} {}", report.outcome, report.doubt.as_deref().unwrap_or_default()),
        Ended::Swept(None) => "goes on".to_owned(),
        Ended::Looked => "looked".to_owned(),
        Ended::Swept(Some(report)) => format!("{:?} {}", report.outcome, report.doubt.as_deref().unwrap_or_default()),
        Ended::Failed(error) => format!("failed, {error:?}"),
        Ended::Died => "died".to_owned(),
    }
}
