//! Holds the simulated world: a database, processes, receivers, and a clock.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::value::RawValue;
use tempfile::TempDir;
use tokio::time::Instant;

use super::bridge::Process;
use super::endpoints::{endpoints, when};
use super::file::{config, folder, template};
use super::receiver::{Mood, SimulatedReceiver};
use super::{Situation, Situations};
use crate::deliver::machine::{Now, Settings};
use crate::model::draft::{Draft, Origin, once, repeated};
use crate::model::event::EventType;
use crate::model::id::EndpointName;
use crate::model::pattern::Patterns;
use crate::model::subscriber::Subscriber;
use crate::store::Store;
use crate::store::eye::Eye;

pub(super) const LEASE: Duration = Duration::from_secs(30);
pub(super) const TIMEOUT: Duration = Duration::from_secs(5);
pub(super) const MAX_HOLD: TimeDelta = TimeDelta::seconds(60);
/// The most steps until everything is at rest.
const MAX_STEPS: usize = 4_000;
/// The most actions while no time passes.
const MAX_JOBS: usize = 2_000;
/// The most time until everything is at rest.
const MAX_TIME: Duration = Duration::from_secs(2 * 3600);
/// The same for events that are published without faults: a minute, in which a position that only moved is not written,
/// and a margin.
const SOON: Duration = Duration::from_secs(90);
const USERS: u32 = 3;

pub(super) struct World {
    pub(super) seed: u64,
    pub(super) store: Store,
    pub(super) eye: Eye,
    pub(super) rng: StdRng,
    pub(super) endpoints: Vec<Settings>,
    /// Endpoints that want balances as well.
    pub(super) wants_balances: BTreeSet<EndpointName>,
    pub(super) processes: Vec<Process>,
    pub(super) receivers: BTreeMap<EndpointName, SimulatedReceiver>,
    /// Deliveries that a command was about.
    pub(super) commanded: BTreeSet<(EndpointName, i64)>,
    /// Deliveries that were recorded before old records were removed.
    pub(super) decided: BTreeSet<(EndpointName, i64)>,
    /// Endpoints that are in no configuration at present.
    pub(super) removed: BTreeSet<EndpointName>,
    pub(super) is_calm: bool,
    /// The state of the database in which the invariants were last checked.
    pub(super) checked: Option<i64>,
    start: (DateTime<Utc>, Instant),
    pub(super) passed: Duration,
    /// The offset of the calendar clock.
    skew: TimeDelta,
    pub(super) has_ledger: bool,
    pub(super) situations: Situations,
    /// What has happened, as text.
    pub(super) history: Vec<String>,
    published: u32,
    next_process: i64,
    directory: TempDir,
}

impl World {
    pub(super) async fn new(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let directory = tempfile::tempdir_in(folder()).unwrap();
        let path = directory.path().join("bridge.db");
        let url = format!("sqlite://{}", path.display());
        std::fs::write(&path, template().await).unwrap();
        let config = config(&url);
        let mut all = endpoints();
        while all.len() > 2 {
            all.remove(rng.random_range(0..all.len()));
        }
        for (at, settings) in all.iter_mut().enumerate() {
            settings.when = when(seed.wrapping_add(at as u64));
        }
        let store = Store::open(&config, Vec::new()).await.unwrap();
        let eye = Eye::open(&url).await;
        eye.execute("CREATE TABLE ledger (event_id text NOT NULL)").await;
        eye.execute("CREATE INDEX ledger_event ON ledger (event_id)").await;
        let start = (DateTime::from_timestamp(1_777_890_000, 0).unwrap(), Instant::now());
        let receivers = all.iter().map(|one| (one.endpoint.clone(), SimulatedReceiver::default())).collect();
        let mut world = Self {
            seed,
            store,
            eye,
            rng,
            endpoints: all,
            wants_balances: BTreeSet::new(),
            processes: Vec::new(),
            receivers,
            commanded: BTreeSet::new(),
            decided: BTreeSet::new(),
            removed: BTreeSet::new(),
            is_calm: false,
            checked: None,
            start,
            passed: Duration::ZERO,
            skew: TimeDelta::zero(),
            has_ledger: true,
            situations: Situations::new(),
            history: Vec::new(),
            published: 0,
            next_process: 1,
            directory,
        };
        world.start_process().await;
        world
    }

    /// A calm world in which a statement was run, and a receiver has taken something.
    pub(super) async fn in_use() -> Self {
        for seed in 1.. {
            let mut world = Box::pin(Self::new(seed)).await;
            if !world.endpoints.iter().any(|settings| settings.is_sink) {
                continue;
            }
            world.is_calm = true;
            Box::pin(world.go_on_well()).await;
            if world.receivers.values().any(|receiver| !receiver.events.is_empty()) {
                return world;
            }
        }
        unreachable!("each seed lacks a statement or a receiver")
    }

    pub(super) fn url(&self) -> String {
        format!("sqlite://{}", self.directory.path().join("bridge.db").display())
    }

    pub(super) fn now(&self) -> Now {
        Now { utc: self.start.0 + self.passed + self.skew, instant: self.start.1 + self.passed }
    }

    pub(super) fn note(&mut self, what: String) {
        self.history.push(format!("{:>9.3} {what}", self.passed.as_secs_f64()));
    }

    pub(super) fn came_up(&mut self, situation: Situation) {
        if !self.is_calm {
            *self.situations.entry(situation).or_default() += 1;
        }
    }

    pub(super) fn chance(&mut self, percent: u32) -> bool {
        self.rng.random_range(0..100) < percent
    }

    pub(super) fn settings(&self, endpoint: &EndpointName) -> &Settings {
        self.endpoints.iter().find(|settings| settings.endpoint == *endpoint).unwrap()
    }

    pub(super) fn any_endpoint(&mut self) -> EndpointName {
        let at = self.rng.random_range(0..self.endpoints.len());
        self.endpoints[at].endpoint.clone()
    }

    pub(super) fn subscribers(&self, form: i64, configured: &BTreeSet<EndpointName>) -> Vec<Subscriber> {
        let subscriber = |settings: &Settings| {
            let with = self.wants_balances.contains(&settings.endpoint);
            let patterns =
                if with { vec!["deposit.created", "wallet.balance_changed"] } else { vec!["deposit.created"] };
            Subscriber {
                endpoint: settings.endpoint.clone(),
                patterns: Patterns::parse(patterns).unwrap(),
                order: settings.order,
                history: None,
                fingerprint: form,
                lease: LEASE,
            }
        };
        self.endpoints.iter().filter(|one| configured.contains(&one.endpoint)).map(subscriber).collect()
    }

    /// The endpoints of the newest configuration.
    pub(super) fn configured(&self) -> BTreeSet<EndpointName> {
        let names = self.endpoints.iter().map(|one| one.endpoint.clone());
        names.filter(|name| !self.removed.contains(name)).collect()
    }

    pub(super) fn new_process(&mut self) -> i64 {
        self.next_process += 1;
        self.next_process
    }

    /// One random step.
    pub(super) async fn step(&mut self) {
        if self.processes.iter().all(|process| !process.is_alive) {
            return self.start_process().await;
        }
        // Most steps are work: where commands and crashes come faster than answers, hardly anything is ever sent.
        match self.rng.random_range(0..1_000) {
            0..740 => self.some_job().await,
            740..785 => self.publish().await,
            785..855 => self.let_time_pass().await,
            855..895 => self.look_around().await,
            895..945 => self.show_life().await,
            945..957 => self.command().await,
            957..961 => self.kill_one(),
            961..969 => self.start_process().await,
            969..971 => self.drain_one(),
            971..981 => self.change_mood().await,
            981..984 => self.jump(),
            984..987 => self.forget_old().await,
            _ => self.acknowledge_something().await,
        }
    }

    /// Whether the clock has jumped, so that times before and after cannot be compared.
    pub(super) fn has_jumped(&self) -> bool {
        !self.skew.is_zero()
    }

    async fn change_mood(&mut self) {
        let name = self.any_endpoint();
        let mood = SimulatedReceiver::any_mood(&mut self.rng);
        self.note(format!("{name} is {mood:?}"));
        let is_ledger = self.settings(&name).is_sink;
        self.receivers.get_mut(&name).unwrap().mood = mood;
        if is_ledger {
            self.keep_ledger(mood == Mood::Well).await;
        }
    }

    /// Renames the sink's table away, or back.
    async fn keep_ledger(&mut self, is_there: bool) {
        if self.has_ledger != is_there {
            let (from, to) = if is_there { ("ledger_away", "ledger") } else { ("ledger", "ledger_away") };
            self.eye.execute(&format!("ALTER TABLE {from} RENAME TO {to}")).await;
            self.has_ledger = is_there;
        }
    }

    /// Changes the offset of the calendar clock: by some minutes, or by years, which the next jump ends.
    fn jump(&mut self) {
        let is_far = self.skew > TimeDelta::days(1);
        let seconds = TimeDelta::seconds(self.rng.random_range(-120..120));
        self.skew = match self.rng.random_range(0..4) {
            _ if is_far => seconds,
            0 => TimeDelta::days(self.rng.random_range(2..70 * 365)),
            _ => self.skew + seconds,
        };
        self.note(format!("the calendar is off by {}", self.skew));
    }

    pub(super) async fn publish(&mut self) {
        let now = self.now().utc;
        let generation = self.store.generation().await.unwrap().to_owned();
        let count = self.rng.random_range(1..5);
        let mut drafts = Vec::new();
        for _ in 0..count {
            self.published += 1;
            let user = self.rng.random_range(0..USERS);
            let is_balance = self.rng.random_range(0..4) == 0;
            let kind = if is_balance { EventType::WalletBalanceChanged } else { EventType::DepositCreated };
            let object = if is_balance { format!("wallet {user}") } else { self.published.to_string() };
            drafts.push(Draft {
                id: if is_balance {
                    repeated("company", kind, &object, self.published.into(), &generation)
                } else {
                    once("company", kind, &object)
                },
                kind,
                stream: format!("user:{user}"),
                object_kind: if is_balance { "wallet" } else { "deposit" },
                object_id: object,
                external_id: None,
                occurred_at: now,
                detected_at: now,
                origin: Origin::Live,
                object: RawValue::from_string("{}".to_owned()).unwrap(),
                changes: None,
                upstream: None,
            });
        }
        self.note(format!("{count} events are published"));
        let drafts = &drafts;
        self.store.tx("test", |tx| async move { tx.publish(drafts.clone(), now).await }).await.unwrap();
        // Another program may have published it. Then the dispatchers are not woken.
        if self.chance(70) {
            self.tell_all();
        }
        self.check().await;
    }

    /// Checks that events published without faults are delivered soon, whatever happened before.
    pub(super) async fn go_on_well(&mut self) {
        for _ in 0..3 {
            self.publish().await;
            for _ in 0..self.rng.random_range(0..12) {
                self.some_job().await;
            }
            self.publish().await;
            let within = if self.is_at_odds() { MAX_TIME } else { SOON };
            self.come_to_rest(within).await;
        }
    }

    /// Ends all faults: nothing is lost from now on, and what waits is sent.
    pub(super) async fn become_well(&mut self) {
        for (name, seq) in self.pairs("SELECT endpoint, seq FROM lumo_exceptions WHERE state = 'dead'").await {
            if self.receivers[&name].events.contains_key(&seq) {
                self.came_up(Situation::Died);
            }
        }
        self.is_calm = true;
        self.note("from now on all is well".to_owned());
        if self.skew > TimeDelta::days(1) {
            self.jump();
        }
        for receiver in self.receivers.values_mut() {
            receiver.mood = Mood::Well;
        }
        self.keep_ledger(true).await;
        self.put_all_back().await;
        self.come_to_rest(MAX_TIME).await;
    }

    /// Whether an endpoint cannot evaluate `when` for some events: each of those takes its whole schedule, whatever the
    /// receiver does.
    fn is_at_odds(&self) -> bool {
        let nobody = r#"{"stream":"user:1","data":{"object":{}}}"#;
        self.endpoints.iter().any(|one| one.when.as_ref().is_some_and(|when| when.holds(nobody).is_err()))
    }

    async fn come_to_rest(&mut self, within: Duration) {
        let until = self.passed + within;
        for step in 0..MAX_STEPS {
            // A request in flight may have suspended an endpoint again.
            if step % 20 == 0 {
                self.resume_suspended().await;
                // An event that is refused for what it is dies as soon as its receiver takes another one.
                if self.waits_only_for_poison().await {
                    self.publish().await;
                }
            }
            let mut jobs = 0;
            while self.some_job_at_rest().await {
                jobs += 1;
                assert!(jobs < MAX_JOBS, "seed {}: goes round in circles: {}", self.seed, self.picture().await);
            }
            if self.is_at_rest().await {
                return self.check_rest().await;
            }
            assert!(self.passed < until, "seed {}: not at rest after {within:?}: {}", self.seed, self.picture().await);
            self.show_life().await;
            if self.processes.iter().all(|process| !process.is_alive || process.is_draining) {
                self.start_process().await;
            }
            self.look_around().await;
            self.acknowledge_all().await;
            self.let_time_pass().await;
        }
        panic!("seed {}: not at rest after {MAX_STEPS} steps: {}", self.seed, self.picture().await);
    }

    /// Lets time pass, at most until the next timed event.
    pub(super) async fn let_time_pass(&mut self) {
        let now = self.now();
        let furthest = now.instant + Duration::from_secs(if self.is_calm { 20 } else { 8 });
        let next = self.next_wake().unwrap_or(furthest).max(now.instant + Duration::from_millis(1)).min(furthest);
        self.passed += next - now.instant;
        self.tick().await;
    }
}

/// The beginning of a text. The rest is not even formatted.
pub(super) fn short(text: std::fmt::Arguments<'_>) -> String {
    struct Short(String);
    impl std::fmt::Write for Short {
        fn write_str(&mut self, text: &str) -> std::fmt::Result {
            self.0.push_str(text);
            if self.0.len() < 400 { Ok(()) } else { Err(std::fmt::Error) }
        }
    }
    let mut short = Short(String::new());
    if std::fmt::write(&mut short, text).is_err() {
        short.0.push('…');
    }
    short.0
}
