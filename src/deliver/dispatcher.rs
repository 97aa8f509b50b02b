//! Runs the machine of an endpoint: carries out each of its actions in a task, and passes the result back to it.

pub(in crate::deliver) mod jobs;
mod news;

use std::sync::Arc;
use std::time::Duration;

use lumo_bridge_entity::{endpoint, position};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use self::jobs::JobLog;
use self::news::News;
use super::attempt::{Destination, run_sink};
use super::machine::{Action, Input, Machine, Notice, Now, Settings};
use super::meters::Meters;
use super::pool::tail::{LogEnd, Tail};
use crate::callback::Endpoint;
use crate::model::retry::Outcome;

/// A message from the pool to a dispatcher.
#[derive(Clone, Copy, Debug)]
pub(super) enum Message {
    /// The process wrote its heartbeat at this time.
    Beat(Instant),
    /// The endpoint's revision and the end of the log, as read from the tables.
    Looked { revision: i64, last: i64 },
    /// Another process should lead.
    StepDown,
}

pub(super) struct Dispatcher {
    destination: Arc<Destination>,
    machine: Machine,
    lease: Duration,
    jobs: JoinSet<Input>,
    news: News,
    job_log: Arc<JobLog>,
    tail: Tail,
    meters: Arc<Meters>,
}

/// How a dispatcher ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// Nothing is in flight or unwritten: the lead may be given up.
    Drained,
    /// Another process leads.
    Lost,
}

impl Dispatcher {
    pub(super) fn new(
        destination: Destination,
        position: &position::Model,
        row: &endpoint::Model,
        beat: Instant,
        lease: Duration,
        tail: Tail,
        meters: Arc<Meters>,
    ) -> Self {
        let now = Now { utc: destination.clock.now(), instant: Instant::now() };
        let settings = settings(&destination.endpoint);
        let machine = Machine::new(settings, position, row, beat + lease, rand::random(), now);
        let news = News::new(destination.endpoint.name().clone());
        let job_log = Arc::new(JobLog::of(destination.endpoint.name()));
        Self { destination: Arc::new(destination), machine, lease, jobs: JoinSet::new(), news, job_log, tail, meters }
    }

    /// Delivers until `soft` is cancelled and everything in hand is written, or until another process leads.
    pub(super) async fn run(
        mut self,
        mut messages: mpsc::UnboundedReceiver<Message>,
        soft: CancellationToken,
    ) -> Ended {
        let mut appended = self.destination.store.appended();
        let mut tail = None;
        let mut is_draining = false;
        let mut inputs = vec![Input::Tick];
        loop {
            // The pool sends a message each second.
            self.news.look();
            self.job_log.look();
            for input in std::mem::take(&mut inputs) {
                let now = self.now();
                for action in self.machine.step(input, now) {
                    if matches!(action, Action::Stop) {
                        return Ended::Lost;
                    }
                    self.start(action);
                }
            }
            if self.machine.is_drained() {
                while self.jobs.join_next().await.is_some() {}
                return Ended::Drained;
            }
            let is_keen = self.machine.is_keen(Instant::now());
            if is_keen {
                tail = None;
            } else if tail.is_none() {
                tail = Some(self.tail.listen());
                // A wake-up that was seen is not passed on again.
                if appended.has_changed().unwrap_or(false) {
                    appended.mark_unchanged();
                    inputs.push(Input::Appended);
                    continue;
                }
            }
            let wake = self.machine.next_wake().unwrap_or_else(|| Instant::now() + Duration::from_secs(3600));
            tokio::select! {
                biased;
                () = soft.cancelled(), if !is_draining => {
                    is_draining = true;
                    inputs.push(Input::Drain);
                }
                Some(done) = self.jobs.join_next(), if !self.jobs.is_empty() => {
                    inputs.extend(unwound(done));
                    while let Some(done) = self.jobs.try_join_next() {
                        inputs.extend(unwound(done));
                    }
                }
                Some(message) = messages.recv() => inputs.push(match message {
                    Message::Beat(at) => Input::Lease(at + self.lease),
                    Message::Looked { revision, last } => Input::Snapshot { revision, last },
                    Message::StepDown => Input::Drain,
                }),
                Ok(()) = appended.changed(), if is_keen => inputs.push(Input::Appended),
                Some(end) = next(&mut tail) => inputs.push(self.found(&end)),
                () = tokio::time::sleep_until(wake) => inputs.push(Input::Tick),
            }
        }
    }

    /// The input that follows for this endpoint from a read of the log's end.
    fn found(&self, end: &LogEnd) -> Input {
        if end.wanting.contains(self.destination.endpoint.name()) {
            return Input::Appended;
        }
        Input::Passed { from: end.from, through: end.through }
    }

    fn now(&self) -> Now {
        Now { utc: self.destination.clock.now(), instant: Instant::now() }
    }

    fn start(&mut self, action: Action) {
        let (destination, log) = (Arc::clone(&self.destination), Arc::clone(&self.job_log));
        let job = match action {
            Action::Notify(told) => return self.tell(told),
            Action::Send(sending) => {
                let seq = sending.event.seq;
                self.jobs.spawn(async move { Input::Answered { seq, report: destination.send(sending).await } });
                return;
            }
            Action::RunSink { commit, bodies } => {
                let Some(sink) = self.destination.endpoint.sink().cloned() else { return };
                self.jobs.spawn(async move {
                    let began = Instant::now().into_std();
                    let run = run_sink(&destination.store, &sink, &commit, &bodies, destination.clock.now()).await;
                    Input::SinkRan(log.said("sink not run", began, run))
                });
                return;
            }
            action => {
                let (order, now) = (self.machine.order(), destination.clock.now());
                async move {
                    let name = destination.endpoint.name();
                    jobs::run(&destination.store, &log, (name, order), now, action).await
                }
            }
        };
        self.jobs.spawn(job.in_current_span());
    }

    fn tell(&mut self, told: Notice) {
        let name = self.destination.endpoint.name().as_str();
        match &told {
            Notice::Attempt { report, verdict, noticed_at, .. } => {
                self.meters.count(name, &report.outcome, report.duration, verdict);
                if let (Outcome::Accepted { .. }, Some(noticed_at)) = (&report.outcome, noticed_at) {
                    let took = self.destination.clock.now() - *noticed_at;
                    self.meters.time(name, took.to_std().unwrap_or_default());
                }
            }
            Notice::LeftOut => self.meters.count_left_out(name),
            _ => {}
        }
        self.news.tell(&told);
    }
}

/// Waits for the next read of the log's end; none if there will be none.
async fn next(tail: &mut Option<watch::Receiver<LogEnd>>) -> Option<LogEnd> {
    let tail = tail.as_mut()?;
    tail.changed().await.ok()?;
    Some(tail.borrow_and_update().clone())
}

/// The result of a task. A panic is resumed here, because an endpoint that is silently no longer served would be worse.
fn unwound<T>(ended: Result<T, JoinError>) -> Option<T> {
    match ended {
        Ok(value) => Some(value),
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => None,
        },
    }
}

fn settings(endpoint: &Endpoint) -> Settings {
    let ordering = endpoint.ordering();
    Settings {
        endpoint: endpoint.name().clone(),
        order: ordering.by.into(),
        policy: endpoint.policy().clone(),
        max_hold: chrono::TimeDelta::from_std(ordering.max_hold.get()).unwrap_or(chrono::TimeDelta::MAX),
        concurrency: endpoint.concurrency(),
        per_second: endpoint.rate().map(|rate| rate.per_second()),
        timeout: endpoint.timeout(),
        ack_within: endpoint.ack_within(),
        is_sink: endpoint.sink().is_some(),
        when: endpoint.when().cloned(),
    }
}
