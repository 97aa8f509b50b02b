//! A stage for one scenario: a calm company, a bridge, and a hand on everything that happens.

use chrono::TimeDelta;
use lumo_bridge::model::Listing;
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::sim::bridge::{Call, Ended};
use crate::sim::driver::Driver;
use crate::sim::model::{Kind, World};
use crate::sim::oracle::tables::{Marks, Stored};
use crate::sim::quirks::Plan;
use crate::sim::server::{Act, Asked, Logged, Server};

/// As many pages as any sweep takes.
const WHOLE: u64 = 100_000;

pub(super) struct Scene(pub(super) Driver);

impl Scene {
    /// Before the bridge has read anything.
    pub(super) async fn new(plan: Plan) -> Self {
        let rng = StdRng::seed_from_u64;
        Self(Driver::with(plan, rng(1), rng(2), rng(3)).await)
    }

    /// After the first import, with every list proved.
    pub(super) async fn imported(plan: Plan) -> Self {
        Self::new(plan).await.import().await
    }

    /// The first import, until every list is proved.
    pub(super) async fn import(mut self) -> Self {
        for listing in Listing::ALL {
            self.done(Call::Pass(listing)).await;
            self.done(Call::Sweep(listing, WHOLE)).await;
        }
        self.rest(10);
        // Where new rows join is learned from those that do.
        self
    }

    pub(super) fn server(&self) -> Server {
        self.0.bridge.server.clone()
    }

    /// Lets something happen at a moment of its own.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
        let server = self.server();
        let world = &mut server.live().world;
        world.pass_time(TimeDelta::milliseconds(1));
        change(world)
    }

    /// Lets a deposit be one that no client can read, or can read again.
    pub(super) fn spoil(&self, index: usize, spoiled: bool) {
        self.change(|world| world.change(Kind::Deposit, index, |state| state.spoiled = spoiled));
    }

    pub(super) fn rest(&self, seconds: i64) {
        self.0.bridge.pass_time(TimeDelta::seconds(seconds));
    }

    /// Lets something happen before the request of this number from now, counted from 1.
    pub(super) fn before_request(&self, number: u64, change: impl FnOnce(&mut World) + Send + 'static) {
        let mut change = Some(change);
        self.script(move |world, nth, _| {
            if nth == number
                && let Some(change) = change.take()
            {
                change(world);
            }
            Act::Answer
        });
    }

    /// Decides what becomes of each request, by its number from now.
    pub(super) fn script(&self, mut script: impl FnMut(&mut World, u64, &Asked) -> Act + Send + 'static) {
        let before = u64::try_from(self.requests()).unwrap();
        self.server().script(move |world, asked| script(world, asked.number - before, asked));
    }

    /// How many requests were made so far.
    pub(super) fn requests(&self) -> usize {
        self.server().live().log.len()
    }

    /// How many requests for a page of this whole list were made so far.
    pub(super) fn plain_requests(&self, listing: Listing) -> usize {
        let is_such = |logged: &&Logged| logged.asked.listing == listing && logged.asked.is_plain();
        self.server().live().log.iter().filter(is_such).count()
    }

    /// The latest requests, in order.
    pub(super) fn last_requests(&self, number: usize) -> Vec<Logged> {
        let log = self.server().live().log.clone();
        log[log.len() - number..].to_vec()
    }

    /// How many requests this took.
    pub(super) async fn cost(&mut self, call: Call) -> usize {
        let before = self.requests();
        self.done(call).await;
        self.requests() - before
    }

    /// Lets the engine do something; the oracle must have nothing to say against it.
    pub(super) async fn call(&mut self, call: Call) -> Ended {
        self.0.judged(call).await.unwrap_or_else(|breaches| panic!("{call:?}: {breaches:#?}\n{:#?}", self.0.steps()))
    }

    /// Lets the engine do something that must not fail.
    pub(super) async fn done(&mut self, call: Call) -> Ended {
        match self.call(call).await {
            Ended::Failed(error) => panic!("{call:?} failed: {error:?}"),
            Ended::Died => panic!("{call:?}: died"),
            ended => ended,
        }
    }

    pub(super) async fn tick(&mut self) {
        self.done(Call::Tick(Listing::Deposits)).await;
        self.rest(10);
    }

    pub(super) async fn pass(&mut self) {
        self.done(Call::Pass(Listing::Deposits)).await;
        self.rest(10);
    }

    /// A sweep from its beginning, or from where it stands, to its end.
    pub(super) async fn sweep(&mut self) {
        self.done(Call::Sweep(Listing::Deposits, WHOLE)).await;
        self.rest(10);
    }

    /// The world stands still, and the tables become as it is.
    pub(super) async fn settles(&mut self) {
        let settled = self.0.settle().await;
        settled.unwrap_or_else(|breaches| panic!("{breaches:#?}\n{:#?}", self.0.steps()));
    }

    pub(super) async fn deposit(&self, id: &str) -> Option<Stored> {
        self.0.oracle.tables.rows(Kind::Deposit).await.remove(id)
    }

    pub(super) async fn wallet(&self, id: &str) -> Option<Stored> {
        self.0.oracle.tables.rows(Kind::Wallet).await.remove(id)
    }

    /// How many deposits are stored and not missing.
    pub(super) async fn deposits(&self) -> usize {
        self.0.oracle.tables.rows(Kind::Deposit).await.values().filter(|row| row.missing_since.is_none()).count()
    }

    pub(super) async fn missing(&self, id: &str) -> bool {
        let row = self.deposit(id).await.unwrap_or_else(|| panic!("{id} is not stored"));
        row.missing_since.is_some()
    }

    /// How many deposits are held back from being called missing, as the tables say.
    pub(super) async fn held(&self) -> Option<i64> {
        self.0.bridge.store().progress(Listing::Deposits).await.unwrap().removals_held
    }

    /// How many items of the list are kept that could not be read.
    pub(super) async fn rejects(&self, listing: Listing) -> u64 {
        self.0.bridge.store().rejects(listing).await.unwrap()
    }

    /// Whether a sweep of the deposits is to go on, or wanted at once.
    pub(super) async fn sweep_is_due(&self) -> bool {
        self.0.bridge.syncer().sweep_is_due(Listing::Deposits).await.unwrap()
    }

    pub(super) async fn marks(&self, listing: Listing) -> Marks {
        self.0.oracle.tables.marks().await.remove(&listing).unwrap_or_default()
    }

    /// Whether everything that was listed before the call was proved to be stored.
    pub(super) async fn proves(&mut self, call: Call) -> bool {
        let before = self.marks(call.listing()).await.proved_through;
        self.done(call).await;
        self.rest(10);
        self.marks(call.listing()).await.proved_through > before
    }

    /// Whether the tick says that everything that was listed before it is stored.
    pub(super) async fn is_green(&mut self) -> bool {
        let before = self.marks(Listing::Deposits).await.complete_through;
        self.tick().await;
        self.marks(Listing::Deposits).await.complete_through > before
    }

    /// The types of the events about a thing, in order.
    pub(super) async fn told(&self, id: &str) -> Vec<String> {
        let events = self.0.oracle.tables.events(0).await;
        events.into_iter().filter(|event| event.object_id == id).map(|event| event.kind).collect()
    }

    /// How many events of a type there are.
    pub(super) async fn events(&self, kind: &str) -> usize {
        self.0.oracle.tables.events(0).await.iter().filter(|event| event.kind == kind).count()
    }
}
