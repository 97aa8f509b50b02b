//! Defines the machine's inputs and actions.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use lumo_bridge_entity::exception::Reason;
use lumo_bridge_entity::{endpoint, position};
use tokio::time::Instant;

use super::judge::Report;
use crate::model::id::EventId;
use crate::model::retry::Verdict;
use crate::store::delivery::{Acknowledged, Due, DueRow, GroupCommit, LongestWaits, Refreshed, Written};
use crate::store::log::{LogEvent, Slice};

/// An input of the machine. `None` means that the database failed.
#[derive(Debug)]
pub(in crate::deliver) enum Input {
    /// Something may have been appended to the log.
    Appended,
    /// Nothing in `(from, through]` is wanted.
    Passed {
        from: i64,
        through: i64,
    },
    /// The endpoint's revision and the end of the log, as read from the tables.
    Snapshot {
        revision: i64,
        last: i64,
    },
    /// The lease lasts until this time.
    Lease(Instant),
    Read(Option<Read>),
    Due(Option<Due>),
    /// A delivery to probe the endpoint with; none if nothing waits.
    ProbeFound(Option<Option<Candidate>>),
    Answered {
        seq: i64,
        report: Report,
    },
    Committed(Option<Written>),
    /// The endpoint's position, read after the transaction that wrote it has ended.
    FoundOut(Option<Option<position::Model>>),
    SinkRan(Option<SinkEnd>),
    Refreshed(Option<Option<Refreshed>>),
    Acknowledged(Option<Vec<Acknowledged>>),
    Tick,
    /// Send nothing more.
    Drain,
}

/// A part of the log, and the lanes in which rows go first.
#[derive(Debug, Default)]
pub(in crate::deliver) struct Read {
    pub(in crate::deliver) slice: Slice,
    pub(in crate::deliver) blocked: Vec<String>,
    /// Events that the receiver has acknowledged by row, if that is configured: a process that is gone had sent them.
    pub(in crate::deliver) acknowledged: Vec<EventId>,
}

/// A delivery to probe a failing endpoint with.
#[derive(Debug)]
pub(in crate::deliver) enum Candidate {
    Row(Box<DueRow>),
    /// The first of these events that no row of its lane precedes.
    Log(Read),
}

/// How a run of a sink ended.
#[derive(Debug)]
pub(in crate::deliver) struct SinkEnd {
    /// How many items ran, from the first on. `written` says whether they were written.
    pub(in crate::deliver) done: usize,
    pub(in crate::deliver) written: Option<Written>,
    /// The failure of the item after those.
    pub(in crate::deliver) failed: Option<Report>,
}

/// What the dispatcher must do.
#[derive(Debug)]
pub(in crate::deliver) enum Action {
    Read {
        after: i64,
        limit: usize,
        bytes: usize,
        asks_acks: bool,
    },
    LoadDue {
        limit: usize,
    },
    FindProbe {
        after: i64,
        tried: bool,
        asks_acks: bool,
    },
    Send(Sending),
    Commit(GroupCommit),
    FindOut,
    /// Run the sink for the commit's items, in their order, and write the commit with it.
    RunSink {
        commit: GroupCommit,
        bodies: Vec<Option<String>>,
    },
    Refresh {
        epoch: i64,
        cursor: i64,
        /// With it, times that lie further ahead are corrected.
        longest: Option<LongestWaits>,
    },
    LoadAcks {
        limit: usize,
        due_by: DateTime<Utc>,
    },
    Notify(Notice),
    /// Another process leads the endpoint.
    Stop,
}

/// A request to send.
#[derive(Clone, Debug)]
pub(in crate::deliver) struct Sending {
    pub(in crate::deliver) event: Arc<LogEvent>,
    pub(in crate::deliver) attempt: u32,
    pub(in crate::deliver) reason: Reason,
}

/// What the log and the metrics report.
#[derive(Debug)]
pub(in crate::deliver) enum Notice {
    Attempt {
        kind: String,
        /// When the event was noticed, if it is sent for the first time.
        noticed_at: Option<DateTime<Utc>>,
        attempt: u32,
        report: Report,
        verdict: Verdict,
    },
    Turned {
        to: endpoint::State,
        error: Option<String>,
    },
    /// An operator has paused the endpoint; `by` is none if the pause is not among the latest actions of operators.
    Paused {
        by: Option<String>,
        since: DateTime<Utc>,
    },
    /// An operator has resumed the endpoint.
    Resumed {
        by: Option<String>,
    },
    /// Nothing is sent until this time, because the endpoint asked for that by `Retry-After`.
    Held {
        until: DateTime<Utc>,
        error: Option<String>,
    },
    Unacknowledged {
        failed: usize,
        dead: usize,
    },
    /// `when` was false for an event.
    LeftOut,
    /// The position is greater than the number of the last event of the log.
    BeyondTheLog {
        position: i64,
        last: i64,
    },
}
