//! Runs simulated processes, each with the machines of the endpoints that it leads and their running actions.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rand::RngExt;
use tokio::time::Instant;

use super::Situation;
use super::leads::known;
use super::world::{TIMEOUT, World, short};
use crate::deliver::attempt::run_sink;
use crate::deliver::dispatcher::jobs::{self, JobLog};
use crate::deliver::machine::{Action, Input, Machine, Report, Sending};
use crate::deliver::pool::rivals::Rivals;
use crate::model::id::EndpointName;
use crate::model::retry::{Outcome, Unreachable};
use crate::model::sink::{Sink, Statement};

/// The percentage of operations that fail before they begin; as many lose their answer.
pub(super) const FAILURES: u32 = 3;

pub(super) struct Process {
    pub(super) id: i64,
    pub(super) is_alive: bool,
    pub(super) is_draining: bool,
    pub(super) machines: BTreeMap<EndpointName, Running>,
    pub(super) beat: i64,
    pub(super) beat_at: Instant,
    pub(super) rivals: Rivals,
    /// The fingerprint of its endpoints.
    pub(super) form: i64,
    /// The endpoints of its configuration.
    pub(super) configured: BTreeSet<EndpointName>,
    /// The number up to which it has read the end of the log.
    pub(super) looked: i64,
}

pub(super) struct Running {
    pub(super) machine: Machine,
    pub(super) jobs: Vec<Job>,
}

pub(super) enum Job {
    /// Not begun yet.
    Do(Action),
    /// On its way to the receiver.
    Request { sending: Sending, deadline: Instant },
    /// On its way back.
    Tell(Input),
}

impl Running {
    fn take(&mut self, actions: Vec<Action>, now: Instant) -> bool {
        for action in actions {
            match action {
                Action::Stop => return false,
                Action::Notify(_) => {}
                Action::Send(sending) => self.jobs.push(Job::Request { sending, deadline: now + TIMEOUT }),
                action => self.jobs.push(Job::Do(action)),
            }
        }
        true
    }
}

impl World {
    pub(super) async fn start_process(&mut self) {
        if self.processes.iter().filter(|process| process.is_alive && !process.is_draining).count() >= 2 {
            return;
        }
        let id = self.new_process();
        let now = self.now();
        // Its configuration may differ from that of the others.
        let form = self.rng.random_range(1..3);
        let configured = self.configured();
        let store = self.store.with_subscribers(self.subscribers(form, &configured));
        self.note(format!("process {id} starts with form {form}"));
        store.beat(id, 1, &known(&configured, form), now.utc).await.unwrap();
        store.register_endpoints(id, now.utc).await.unwrap();
        self.processes.push(Process {
            id,
            is_alive: true,
            is_draining: false,
            machines: BTreeMap::new(),
            beat: 1,
            beat_at: now.instant,
            rivals: Rivals::new(id),
            form,
            configured,
            looked: 0,
        });
        self.check().await;
    }

    fn any_process(&mut self) -> Option<usize> {
        let alive = self.processes.iter().enumerate().filter(|(_, process)| process.is_alive);
        let alive: Vec<usize> = alive.map(|(at, _)| at).collect();
        (!alive.is_empty()).then(|| alive[self.rng.random_range(0..alive.len())])
    }

    /// Kills a process. Its requests in flight arrive or not.
    pub(super) fn kill_one(&mut self) {
        let Some(at) = self.any_process() else { return };
        let process = &mut self.processes[at];
        process.is_alive = false;
        let id = process.id;
        let machines = std::mem::take(&mut process.machines);
        self.note(format!("process {id} is killed"));
        if machines.values().flat_map(|running| &running.jobs).any(|job| matches!(job, Job::Request { .. })) {
            self.came_up(Situation::Killed);
        }
        let now = self.now();
        for (name, running) in machines {
            for job in running.jobs {
                if let Job::Request { sending, .. } = job
                    && self.chance(50)
                {
                    self.receivers.get_mut(&name).unwrap().take(sending.event.seq, now, &mut self.rng);
                }
            }
        }
    }

    pub(super) fn drain_one(&mut self) {
        if let Some(at) = self.any_process() {
            self.drain(at);
        }
    }

    pub(super) fn drain(&mut self, at: usize) {
        let process = &mut self.processes[at];
        process.is_draining = true;
        for running in process.machines.values_mut() {
            running.jobs.push(Job::Tell(Input::Drain));
        }
        let id = process.id;
        process.is_alive = !process.machines.is_empty();
        self.note(format!("process {id} drains"));
    }

    /// Tells all machines that something was appended.
    pub(super) fn tell_all(&mut self) {
        for running in self.processes.iter_mut().flat_map(|process| process.machines.values_mut()) {
            running.jobs.push(Job::Tell(Input::Appended));
        }
    }

    /// Runs one of the running actions, at random.
    pub(super) async fn some_job(&mut self) {
        let Some(at) = self.any_process() else { return };
        let with_jobs = self.processes[at].machines.iter().filter(|(_, running)| !running.jobs.is_empty());
        let names: Vec<EndpointName> = with_jobs.map(|(name, _)| name.clone()).collect();
        if names.is_empty() {
            return;
        }
        let name = names[self.rng.random_range(0..names.len())].clone();
        let jobs = self.processes[at].machines[&name].jobs.len();
        let job = self.rng.random_range(0..jobs);
        self.do_job(at, &name, job).await;
    }

    /// Runs the next of the running actions. Returns whether there was one.
    pub(super) async fn some_job_at_rest(&mut self) -> bool {
        for at in 0..self.processes.len() {
            let busy = self.processes[at].machines.iter().find(|(_, running)| !running.jobs.is_empty());
            if let Some(name) = busy.map(|(name, _)| name.clone()) {
                self.do_job(at, &name, 0).await;
                return true;
            }
        }
        false
    }

    async fn do_job(&mut self, at: usize, name: &EndpointName, job: usize) {
        let job = self.processes[at].machines.get_mut(name).unwrap().jobs.remove(job);
        let now = self.now();
        let back = match job {
            Job::Tell(input) => return self.tell(at, name, input).await,
            Job::Request { sending, .. } => Some(self.arrive(name, &sending).await),
            Job::Do(action) => {
                let failed = failure_of(&action);
                let fails = !self.is_calm && self.chance(FAILURES);
                let is_lost = !self.is_calm && self.chance(FAILURES);
                let how = match (fails, is_lost) {
                    (true, _) => "fails",
                    (_, true) => "loses its answer",
                    _ => "is done",
                };
                self.note(short(format_args!("{name}: {how}: {action:?}")));
                match &action {
                    Action::Commit(_) if is_lost && !fails => self.came_up(Situation::CommitUnknown),
                    Action::FindProbe { .. } => self.came_up(Situation::Probed),
                    Action::RunSink { .. } if !fails => self.came_up(Situation::SinkRan),
                    _ => {}
                }
                if fails {
                    failed
                } else {
                    let (order, log) = (self.settings(name).order, JobLog::of(name));
                    let publishes = matches!(action, Action::Commit(_));
                    let writes = publishes || matches!(action, Action::RunSink { .. } | Action::Refresh { .. });
                    let input = match action {
                        Action::RunSink { commit, bodies } => {
                            let began = Instant::now().into_std();
                            let run = run_sink(&self.store, &ledger(), &commit, &bodies, now.utc).await;
                            Input::SinkRan(log.said("sink not run", began, run))
                        }
                        action => jobs::run(&self.store, &log, (name, order), now.utc, action).await,
                    };
                    if let Input::Acknowledged(Some(rows)) = &input
                        && rows.iter().any(|row| !row.is_acknowledged)
                    {
                        self.came_up(Situation::Unacknowledged);
                    }
                    if publishes {
                        self.tell_all();
                    }
                    if writes {
                        self.check().await;
                    }
                    if is_lost { failed } else { Some(input) }
                }
            }
        };
        if let Some(input) = back {
            self.processes[at].machines.get_mut(name).unwrap().jobs.push(Job::Tell(input));
        }
    }

    async fn arrive(&mut self, name: &EndpointName, sending: &Sending) -> Input {
        let now = self.now();
        let seq = sending.event.seq;
        self.check_arrival(name, sending).await;
        if self.rng.random_range(0..40) == 0 && !self.is_calm {
            self.receivers.get_mut(name).unwrap().poison.insert(seq);
        }
        let receiver = self.receivers.get_mut(name).unwrap();
        let mut outcome = receiver.take(seq, now, &mut self.rng);
        self.note(format!("{name}: {seq} arrives: {outcome:?}"));
        let is_accepted = matches!(outcome, Outcome::Accepted { .. });
        self.came_up(if is_accepted { Situation::Sent } else { Situation::Refused });
        // The answer may be lost.
        if !self.is_calm && self.chance(2) {
            outcome = Outcome::Unreachable(Unreachable::Connection);
        }
        Input::Answered { seq, report: report(outcome, now.utc) }
    }

    async fn tell(&mut self, at: usize, name: &EndpointName, input: Input) {
        let now = self.now();
        self.note(short(format_args!("{name}: told: {input:?}")));
        let process = &mut self.processes[at];
        let own = process.id;
        let running = process.machines.get_mut(name).unwrap();
        let actions = running.machine.step(input, now);
        if !running.take(actions, now.instant) {
            process.machines.remove(name);
        } else if running.machine.is_drained() {
            process.machines.remove(name);
            // Otherwise others take the lead when its process is gone, or it tries again.
            if self.is_calm || self.rng.random_range(0..100) >= FAILURES {
                self.store.give_up_lead(name, own, now.utc).await.unwrap();
            }
        }
        let process = &mut self.processes[at];
        if process.is_draining && process.machines.is_empty() {
            process.is_alive = false;
            self.store.forget_processes(&[own]).await.unwrap();
        }
    }

    /// Ends requests that have timed out, and steps machines whose wake time has come.
    pub(super) async fn tick(&mut self) {
        let now = self.now();
        for at in 0..self.processes.len() {
            for name in self.processes[at].machines.keys().cloned().collect::<Vec<_>>() {
                let Some(running) = self.processes[at].machines.get_mut(&name) else { continue };
                let over = |job: &mut Job| matches!(job, Job::Request { deadline, .. } if *deadline <= now.instant);
                let late: Vec<Job> = running.jobs.extract_if(.., over).collect();
                if !late.is_empty() && !self.is_calm {
                    *self.situations.entry(Situation::TimedOut).or_default() += 1;
                }
                for job in late {
                    if let Job::Request { sending, .. } = job {
                        let seq = sending.event.seq;
                        self.receivers.get_mut(&name).unwrap().never_heard(seq, now);
                        let report = report(Outcome::Unreachable(Unreachable::Timeout), now.utc);
                        running.jobs.push(Job::Tell(Input::Answered { seq, report }));
                    }
                }
                if running.machine.next_wake().is_some_and(|at| at <= now.instant) {
                    self.tell(at, &name, Input::Tick).await;
                }
            }
        }
    }

    /// The next time at which something happens by itself.
    pub(super) fn next_wake(&mut self) -> Option<Instant> {
        let mut next: Option<Instant> = None;
        for running in self.processes.iter_mut().flat_map(|process| process.machines.values_mut()) {
            let deadlines = running.jobs.iter().filter_map(|job| match job {
                Job::Request { deadline, .. } => Some(*deadline),
                Job::Do(_) | Job::Tell(_) => None,
            });
            let first = deadlines.chain(running.machine.next_wake()).min();
            next = next.into_iter().chain(first).min();
        }
        next
    }
}

/// A sink that records each event.
fn ledger() -> Sink {
    let statement = Statement::parse("INSERT INTO ledger (event_id) VALUES (:event_id)").unwrap();
    Sink { statement, timeout: TIMEOUT }
}

/// The input that the machine gets if the database fails.
fn failure_of(action: &Action) -> Option<Input> {
    match action {
        Action::Read { .. } => Some(Input::Read(None)),
        Action::LoadDue { .. } => Some(Input::Due(None)),
        Action::FindProbe { .. } => Some(Input::ProbeFound(None)),
        Action::Commit(_) => Some(Input::Committed(None)),
        Action::FindOut => Some(Input::FoundOut(None)),
        Action::Refresh { .. } => Some(Input::Refreshed(None)),
        Action::LoadAcks { .. } => Some(Input::Acknowledged(None)),
        Action::RunSink { .. } => Some(Input::SinkRan(None)),
        Action::Send(_) | Action::Notify(_) | Action::Stop => None,
    }
}

fn report(outcome: Outcome, started_at: chrono::DateTime<chrono::Utc>) -> Report {
    let status = match &outcome {
        Outcome::Accepted { status } | Outcome::Refused { status, .. } => Some(*status),
        Outcome::Unreachable(_) => None,
    };
    let error = (!matches!(outcome, Outcome::Accepted { .. })).then(|| format!("{outcome:?}"));
    Report { outcome, started_at, duration: Duration::from_millis(1), status, error, response_body: None }
}
