//! Decides what to read, send and write for one endpoint, and when.
//!
//! Pure: no IO, no clock, no tasks.
//!
//! [`Machine::step`] takes what happened and returns actions; [`Machine::next_wake`] returns when to call it again if
//! nothing happens. The [dispatcher](super::dispatcher) reads, sends and writes. Only requests run in parallel; of
//! every other action, one runs at a time. A simulation drives machine and store together and stops them between any
//! two actions.

mod entry;
mod failed_lanes;
mod filter;
mod hand;
mod io;
mod judge;
mod plan;
mod reading;
mod refresh;
mod sink;
#[cfg(test)]
mod tests;
mod write;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use lumo_bridge_entity::{endpoint, position};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::time::Instant;

pub(super) use io::{Action, Candidate, Input, Notice, Read, Sending, SinkEnd};
pub(super) use judge::Report;

use super::breaker::{Breaker, Gate};
use super::limits::{Concurrency, TokenBucket};
use crate::model::condition::Condition;
use crate::model::id::EndpointName;
use crate::model::retry::Policy;
use crate::model::subscriber::Order;
use crate::store::delivery::{Due, GroupCommit, LongestWaits};
use failed_lanes::FailedLanes;
use hand::Hand;
use write::Writing;

/// The most events in hand, and the most bytes of their bodies.
const MAX_IN_HAND: usize = 2_000;
const MAX_BYTES: usize = 4 * 1024 * 1024;
/// The most answers in hand that are not written yet. After a `kill -9` they are sent again, with the requests in
/// flight.
const MAX_UNWRITTEN: usize = 300;
/// The wait after the database failed.
const AFTER_ERROR: Duration = Duration::from_secs(1);
/// How often to read acknowledgements: while the endpoint uses them, and after it stopped using them.
const ACK_POLL: Duration = Duration::from_secs(1);
const RARE_ACK_POLL: Duration = Duration::from_secs(60);
/// The most acknowledgements that are read at once.
const MAX_ACKS: usize = 500;
/// The longest wait for an acknowledgement, and the longest hold of a lane.
const LONGEST: TimeDelta = TimeDelta::days(3650);
/// If the clock was set back by more, times that were stored before are not believed.
const CLOCK_TOLERANCE: TimeDelta = TimeDelta::minutes(1);
/// The part of the lease that must remain when a request times out, to write its result.
const WRITE_MARGIN: Duration = Duration::from_secs(5);

/// The endpoint's settings for delivery.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) endpoint: EndpointName,
    pub(super) order: Order,
    pub(super) policy: Policy,
    pub(super) max_hold: TimeDelta,
    pub(super) concurrency: usize,
    pub(super) per_second: Option<f64>,
    pub(super) timeout: Duration,
    pub(super) ack_within: Option<Duration>,
    pub(super) is_sink: bool,
    /// Which events are sent; none for all.
    pub(super) when: Option<Arc<Condition>>,
}

impl Settings {
    fn longest_waits(&self) -> LongestWaits {
        let most = |time: Duration| TimeDelta::from_std(time).unwrap_or(LONGEST).min(LONGEST);
        LongestWaits {
            retry: most(self.policy.longest_wait()),
            hold: self.max_hold.min(LONGEST),
            ack: self.ack_within.map(most),
        }
    }
}

/// One moment by two clocks: schedules use the calendar, and waits of this process its monotonic clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now {
    pub(super) utc: DateTime<Utc>,
    pub(super) instant: Instant,
}

impl Now {
    /// Whether the calendar was set back since.
    fn is_set_back_since(self, before: Self) -> bool {
        let passed = TimeDelta::from_std(self.instant - before.instant).unwrap_or(LONGEST);
        before.utc + passed - self.utc > CLOCK_TOLERANCE
    }
}

/// Which of the jobs that run one at a time are running.
#[derive(Debug, Default)]
struct Busy {
    reading: Option<Asked>,
    /// The number of group commits that were written when loading due rows, or the search for a probe, began.
    loading_due: Option<i64>,
    probing: Option<i64>,
    refreshing: bool,
    /// Whether the refresh corrects times.
    correcting: bool,
    acks: bool,
    running_sink: Option<GroupCommit>,
}

/// What a read of the log builds on.
#[derive(Clone, Copy, Debug)]
struct Asked {
    after: i64,
    /// The number of group commits that were written when it began.
    commits: i64,
    /// Whether something was appended since.
    is_outdated: bool,
}

impl Busy {
    /// Whether a read of rows, of the log or of acknowledgements is running.
    const fn is_asking(&self) -> bool {
        self.reading.is_some() || self.loading_due.is_some() || self.probing.is_some() || self.acks
    }
}

pub(super) struct Machine {
    settings: Settings,
    rng: StdRng,
    epoch: i64,
    /// The values in the table, as last known.
    revision: i64,
    commits: i64,
    position: i64,
    hand: Hand,
    writing: Writing,
    breaker: Breaker,
    lanes: FailedLanes,
    concurrency: Concurrency,
    bucket: TokenBucket,
    busy: Busy,
    lease_until: Instant,
    /// Whether no event is known after the cursor.
    is_at_end: bool,
    /// When the log last had an event for this endpoint.
    found_at: Option<Instant>,
    read_again_at: Option<Instant>,
    /// Whether rows may have become due, and whether there are any rows.
    wants_due: bool,
    has_rows: bool,
    next_due: Option<DateTime<Utc>>,
    wants_refresh: bool,
    /// Whether times of the rows were corrected since the clock was wrong.
    believes_times: bool,
    acks_at: Instant,
    /// No reads before this time, after the database failed.
    not_before: Option<Instant>,
    probes: u64,
    is_draining: bool,
    is_beyond_log: bool,
    is_over: bool,
    is_acquainted: bool,
    /// The operator's latest pause or resume that was reported or found at the beginning; none before the first refresh.
    latest_turn: Option<i64>,
    stepped_at: Now,
    /// Lanes that got a row, with the number of the commit that wrote it. Reads that began before do not show the row.
    rowed: HashMap<String, i64>,
    /// Rows that were written, with the number of the commit. Reads that began before show their old state.
    written: HashMap<i64, i64>,
}

impl Machine {
    /// A machine for a process that has just taken the lead.
    pub(super) fn new(
        settings: Settings,
        position: &position::Model,
        endpoint: &endpoint::Model,
        lease_until: Instant,
        seed: u64,
        now: Now,
    ) -> Self {
        Self {
            rng: StdRng::seed_from_u64(seed),
            epoch: position.epoch,
            revision: position.revision,
            commits: position.commits,
            position: position.position,
            hand: Hand::new(position.position, settings.order != Order::Endpoint),
            writing: Writing::default(),
            breaker: Breaker::new(endpoint),
            lanes: FailedLanes::default(),
            concurrency: Concurrency::new(settings.concurrency),
            bucket: TokenBucket::new(settings.per_second),
            busy: Busy::default(),
            lease_until,
            is_at_end: false,
            found_at: None,
            read_again_at: None,
            wants_due: true,
            has_rows: true,
            next_due: None,
            // Reads what commands left to the leader, and the end of the log.
            wants_refresh: true,
            // The clock of an earlier leader may have been ahead.
            believes_times: false,
            acks_at: now.instant,
            not_before: None,
            probes: 0,
            is_draining: false,
            is_beyond_log: false,
            is_over: false,
            is_acquainted: false,
            latest_turn: None,
            stepped_at: now,
            rowed: HashMap::new(),
            written: HashMap::new(),
            settings,
        }
    }

    pub(super) fn order(&self) -> Order {
        self.settings.order
    }

    /// Takes what happened, and returns what to do.
    pub(super) fn step(&mut self, input: Input, now: Now) -> Vec<Action> {
        let mut actions = Vec::new();
        if now.is_set_back_since(self.stepped_at) {
            (self.believes_times, self.busy.correcting) = (false, false);
        }
        self.stepped_at = now;
        self.take(input, now, &mut actions);
        if self.is_over {
            return vec![Action::Stop];
        }
        self.fill(now, &mut actions);
        self.plan(now, &mut actions);
        actions
    }

    /// Whether nothing is in flight and nothing is left to write: the lead may be given up.
    pub(super) fn is_drained(&self) -> bool {
        self.is_draining
            && self.hand.in_flight() == 0
            && self.busy.running_sink.is_none()
            && self.writing.is_idle(&self.hand)
    }

    fn take(&mut self, input: Input, now: Now, actions: &mut Vec<Action>) {
        match input {
            Input::Appended => self.appended(),
            Input::Passed { from, through } => self.passed(from, through),
            Input::Snapshot { revision, last } => {
                // A snapshot from before the last commit says nothing new.
                self.wants_refresh |= revision > self.revision && self.writing.is_free();
                // Otherwise the shared tail reads the end of the log.
                if last > self.hand.cursor() && self.is_keen(now.instant) {
                    self.appended();
                }
            }
            Input::Lease(until) => self.renewed(until, now),
            Input::Read(read) => self.take_read(read, now),
            Input::Due(due) => self.take_due(due, now),
            Input::ProbeFound(found) => self.take_probe(found, now, actions),
            Input::Answered { seq, report } => self.answered(seq, report, now, actions),
            Input::Committed(written) => self.committed(written, now),
            Input::FoundOut(row) => self.found_out(row, now),
            Input::SinkRan(end) => self.sink_ran(end, now, actions),
            Input::Refreshed(refreshed) => self.refreshed(refreshed, now, actions),
            Input::Acknowledged(rows) => self.acknowledged(rows, now, actions),
            Input::Tick => {}
            Input::Drain => {
                self.is_draining = true;
                self.give_back();
            }
        }
    }

    fn take_due(&mut self, due: Option<Due>, now: Now) {
        let Some(began) = self.busy.loading_due.take() else { return };
        let Some(Due { rows, next_at, has_rows }) = due else {
            self.wants_due = true;
            return self.failed(now);
        };
        self.has_rows = has_rows;
        self.next_due = next_at;
        let is_wanted = self.gate(now) == Gate::Open && !self.is_draining;
        for row in rows {
            let seq = row.event.seq;
            let is_known = self.hand.holds(seq) || self.written.get(&seq).is_some_and(|commit| *commit > began);
            if !is_wanted || is_known {
                continue;
            }
            // A delivery that a command requested is sent even if it is superseded.
            let newer = row.superseded_by.clone().filter(|_| row.known.is_wanted && seq <= self.position);
            self.hand.take_row(row);
            match newer {
                Some(newer) => self.supersede(seq, &newer, now),
                None => self.hand.queue(seq),
            }
        }
        self.written.retain(|_, commit| *commit > began);
    }

    /// Forgets the entries that wait to be sent: they stay in the tables, and are loaded again when they are due.
    fn give_back(&mut self) {
        if self.hand.untake_all() {
            (self.is_at_end, self.wants_due) = (false, true);
        }
    }

    /// The database failed: starts no read for a moment.
    fn failed(&mut self, now: Now) {
        self.not_before = Some(now.instant + AFTER_ERROR);
    }

    fn gate(&self, now: Now) -> Gate {
        if self.is_beyond_log { Gate::Shut } else { self.breaker.gate(now.utc) }
    }

    /// If the lease had ended, another process may have taken the lead, sent, and given it back. So what is in hand
    /// counts again only once the tables show that this process leads.
    fn renewed(&mut self, until: Instant, now: Now) {
        if now.instant >= self.lease_until {
            (self.is_acquainted, self.wants_refresh) = (false, true);
        }
        self.lease_until = until;
    }

    /// Whether this process is known to lead, and a request that is sent now ends before the lease does.
    fn may_send(&self, now: Now) -> bool {
        let is_over = now.instant + self.settings.timeout + WRITE_MARGIN > self.lease_until;
        self.is_acquainted
            && !is_over
            && !self.is_draining
            && self.hand.decided() < MAX_UNWRITTEN
            && !self.writing.is_stuck(now)
    }

    /// Whether this process runs no transaction for the endpoint.
    fn is_unwritten(&self) -> bool {
        self.writing.is_free() && self.busy.running_sink.is_none() && !self.busy.refreshing
    }
}
