//! Takes the events that were read from the log, and decides whether the log must be read again.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use lumo_bridge_entity::attempt::AttemptResult;
use tokio::time::Instant;

use super::io::Read;
use super::{Asked, Machine, Now};
use crate::deliver::breaker::Gate;
use crate::model::id::EventId;
use crate::store::log::{LogEvent, Slice};

/// An endpoint that received no events for this long does not read the log itself; the shared tail does.
const KEEN_FOR: Duration = Duration::from_secs(10);
/// How often to check whether the log may be read again while one row blocks everything.
const BLOCKED_POLL: Duration = Duration::from_secs(1);

/// What is known about the events of a read.
pub(super) struct Known {
    /// Lanes in which rows go first, including rows that are not written yet.
    blocked: HashSet<String>,
    acknowledged: Vec<EventId>,
    /// For each superseded event, the newer one.
    superseded: HashMap<i64, EventId>,
}

impl Machine {
    /// Whether it reads the log itself after every append, because it probably wants the new events.
    pub(in crate::deliver) fn is_keen(&self, now: Instant) -> bool {
        !self.is_at_end || self.busy.reading.is_some() || self.found_at.is_some_and(|at| at + KEEN_FOR > now)
    }

    /// Notes that no event in a part of the log is wanted. If the position is before that part, the log is still read
    /// up to it.
    pub(super) fn passed(&mut self, from: i64, through: i64) {
        let cursor = self.hand.cursor();
        if through <= cursor {
            return;
        }
        if self.is_at_end && self.busy.reading.is_none() && from <= cursor {
            self.hand.advance(through);
        } else {
            self.appended();
        }
    }

    /// Notes that events were appended. A read in flight may have begun before.
    pub(super) fn appended(&mut self) {
        self.is_at_end = false;
        if let Some(asked) = &mut self.busy.reading {
            asked.is_outdated = true;
        }
    }

    pub(super) fn take_read(&mut self, read: Option<Read>, now: Now) {
        let Some(Asked { after, commits: began, is_outdated }) = self.busy.reading.take() else { return };
        let Some(read) = read else { return self.failed(now) };
        let slice = &read.slice;
        self.is_at_end = slice.events.is_empty() && slice.through <= self.hand.cursor() && !is_outdated;
        if !slice.events.is_empty() {
            self.found_at = Some(now.instant);
        } else if !read.blocked.is_empty() {
            // With one lane for everything, reading continues when the row that blocks it ends, or its hold does.
            self.read_again_at = Some(now.instant + BLOCKED_POLL);
        }
        let is_wanted = self.gate(now) == Gate::Open && !self.is_draining;
        if !is_wanted || after != self.hand.cursor() {
            // Events that were not taken, or were forgotten meanwhile, are read again.
            self.is_at_end = false;
            return;
        }
        let (events, through, known) = self.know(read, began);
        for event in events {
            let seq = event.seq;
            if self.takes(event, &known, now) {
                self.hand.queue(seq);
            }
        }
        self.hand.advance(through);
    }

    /// Adds to a read what it cannot know: rows that were written since it began, or are not written yet.
    pub(super) fn know(&mut self, read: Read, began: i64) -> (Vec<LogEvent>, i64, Known) {
        let Read { slice, blocked, acknowledged } = read;
        let Slice { events, through, superseded } = slice;
        self.rowed.retain(|_, commit| *commit > began);
        let mut blocked: HashSet<String> = blocked.into_iter().collect();
        blocked.extend(self.rowed.keys().cloned());
        blocked.extend(self.hand.lanes_to_be_written());
        (events, through, Known { blocked, acknowledged, superseded: superseded.into_iter().collect() })
    }

    /// Takes an event, and records results that need no request. Returns whether the event is still to be sent.
    pub(super) fn takes(&mut self, event: LogEvent, known: &Known, now: Now) -> bool {
        let lane = self.settings.order.lane(&event.stream);
        let seq = event.seq;
        let is_blocked = lane.as_ref().is_some_and(|lane| known.blocked.contains(lane));
        let is_acknowledged = known.acknowledged.contains(&event.id);
        self.hand.take_event(event, lane);
        if is_acknowledged {
            self.record_unsent(seq, AttemptResult::Delivered, None, now);
            return false;
        }
        if let Some(newer) = known.superseded.get(&seq) {
            self.supersede(seq, newer, now);
            return false;
        }
        if is_blocked {
            self.hand.park(seq, now.instant);
            self.writing.note_decided(now.instant);
        }
        !is_blocked
    }
}
