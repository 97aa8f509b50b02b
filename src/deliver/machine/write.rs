//! Decides which results are written and when, and how far each group commit moves the position.
//!
//! Of the events after the position, a group commit takes a prefix of the log.

use std::time::Duration;

use chrono::TimeDelta;
use lumo_bridge_entity::position;
use tokio::time::Instant;

use super::entry::{Decided, Entry, Stage};
use super::hand::Hand;
use super::{AFTER_ERROR, Machine, Now};
use crate::store::delivery::{Committed, EndpointNote, Fate, GroupCommit, Item, KnownRow, Written};

/// A group commit is written once this many results are decided, …
const BATCH: usize = 200;
/// … or this long after the first of them.
const MAX_LINGER: Duration = Duration::from_millis(50);
/// While a commit takes longer than this, nothing is sent: if its result stays unknown, deliveries that are answered
/// meanwhile are sent again.
const MAX_COMMIT: Duration = Duration::from_millis(500);
/// An undecided event holds back the position for this long, or for one batch; then it gets a row.
const MAX_PIN: Duration = Duration::from_millis(200);
/// The position is written by itself once it has moved by this many events, or has been moving for this long.
const MAX_MOVED: i64 = 10_000;
const MAX_MOVED_FOR: Duration = Duration::from_secs(60);
/// The least time between writes of the endpoint's own row while deliveries only succeed.
const NOTE_EVERY: Duration = Duration::from_secs(1);
/// How much longer than its timeout a request counts as in flight.
const SENDING_MARGIN: TimeDelta = TimeDelta::seconds(15);

/// The group commit in flight, and what is known about it.
#[derive(Debug, Default)]
pub(super) struct Writing {
    under_way: Option<GroupCommit>,
    began_at: Option<Instant>,
    /// Its result is not known, and must be read from the table.
    is_unknown: bool,
    is_asked: bool,
    /// It failed, and will be written again.
    is_failed: bool,
    /// When the first entry was decided that is not written yet.
    first_decided_at: Option<Instant>,
    /// When to check again whether something may be written.
    retry_at: Option<Instant>,
    position_written_at: Option<Instant>,
    noted_at: Option<Instant>,
}

impl Writing {
    pub(super) const fn is_free(&self) -> bool {
        self.under_way.is_none()
    }

    /// Whether sending waits until the result of the last commit is known.
    pub(super) fn is_stuck(&self, now: Now) -> bool {
        let is_slow = self.began_at.is_some_and(|at| at + MAX_COMMIT <= now.instant);
        self.is_unknown || self.is_failed || (self.under_way.is_some() && is_slow)
    }

    pub(super) fn is_idle(&self, hand: &Hand) -> bool {
        self.is_free() && !hand.has_decided()
    }

    pub(super) const fn wants_to_find_out(&self) -> bool {
        self.is_unknown && !self.is_asked
    }

    pub(super) fn finding_out(&mut self) {
        self.is_asked = true;
    }

    pub(super) fn note_decided(&mut self, at: Instant) {
        self.first_decided_at.get_or_insert(at);
    }
}

impl Machine {
    /// When to check again for a commit to write.
    pub(super) fn commit_deadline(&self) -> Option<Instant> {
        if !self.writing.is_free() || self.busy.refreshing || self.busy.running_sink.is_some() {
            return None;
        }
        let first = self.writing.first_decided_at.map(|at| at + MAX_LINGER);
        self.writing.retry_at.or(first)
    }

    /// The commit to write now, if one is due.
    pub(super) fn next_commit(&mut self, now: Now) -> Option<GroupCommit> {
        if self.writing.is_failed {
            self.writing.is_failed = false;
            self.writing.began_at = Some(now.instant);
            let again = self.writing.under_way.clone();
            return again;
        }
        // A commit would acknowledge every command as seen.
        if !self.writing.is_free() || self.wants_refresh {
            return None;
        }
        let is_ripe = self.hand.decided() >= BATCH
            || self.writing.first_decided_at.is_some_and(|at| at + MAX_LINGER <= now.instant)
            || self.is_draining
            || self.breaker.is_urgent();
        let is_waiting = self.writing.retry_at.is_some_and(|at| at > now.instant) && self.hand.decided() < BATCH;
        let written_at = *self.writing.position_written_at.get_or_insert(now.instant);
        let moved = self.hand.cursor() - self.position;
        let is_far = moved >= MAX_MOVED || (moved > 0 && written_at + MAX_MOVED_FOR <= now.instant);
        if !(is_far || (is_ripe && (!is_waiting || self.is_draining || self.breaker.is_urgent()))) {
            return None;
        }
        self.build_commit(now)
    }

    fn build_commit(&mut self, now: Now) -> Option<GroupCommit> {
        // Entries that commands have changed are not written, so they would never leave the hand.
        self.hand.drop_overruled();
        let pins = self.pins(now);
        self.pass_pins(&pins, now);
        let Prefix { items, position, retry_at } = self.prefix(&pins, now);
        self.writing.retry_at = retry_at;
        let wants_note = self.breaker.is_urgent() || self.breaker.failures() > 0 || !self.is_noted(now);
        let moved = position > self.position;
        if items.is_empty() && !self.breaker.is_urgent() && !moved {
            self.writing.first_decided_at = self.writing.first_decided_at.filter(|_| self.hand.has_decided());
            return None;
        }
        let note = if wants_note { self.take_note(now) } else { None };
        let commit = GroupCommit {
            endpoint: self.settings.endpoint.clone(),
            epoch: self.epoch,
            revision: self.revision,
            commits: self.commits,
            position,
            items,
            note,
            asks_acks: self.settings.ack_within.is_some(),
        };
        let number = self.commits + 1;
        for item in &commit.items {
            self.written.insert(item.seq, number);
            if let Some(lane) = item.lane.as_ref().filter(|_| !matches!(item.fate, Fate::Done | Fate::Dead)) {
                self.rowed.insert(lane.clone(), number);
            }
        }
        self.writing.first_decided_at = None;
        self.writing.began_at = Some(now.instant);
        self.writing.position_written_at = Some(now.instant);
        self.writing.under_way = Some(commit.clone());
        Some(commit)
    }

    /// Whether the endpoint's own row was written a moment ago.
    pub(super) fn is_noted(&self, now: Now) -> bool {
        self.writing.noted_at.is_some_and(|at| at + NOTE_EVERY > now.instant)
    }

    /// Takes the changes of the endpoint's own row that are to be written now.
    pub(super) fn take_note(&mut self, now: Now) -> Option<EndpointNote> {
        let note = self.breaker.take_note();
        if note.is_some() {
            self.writing.noted_at = Some(now.instant);
        }
        note
    }

    /// Where undecided events hold back later decided ones, and whether to wait for them.
    fn pins(&self, now: Now) -> Pins {
        let mut is_open = false;
        let (mut stuck, mut stuck_since, mut last) = (0, None::<Instant>, None);
        for (seq, entry) in self.hand.entries().filter(|(_, entry)| entry.row.is_none()) {
            let Some(at) = entry.decided_at() else {
                is_open = true;
                continue;
            };
            last = Some(seq);
            if is_open {
                stuck += 1;
                stuck_since = Some(stuck_since.map_or(at, |since| since.min(at)));
            }
        }
        let is_over = self.is_draining && self.hand.in_flight() == 0;
        let is_pinned = stuck < BATCH && stuck_since.is_none_or(|since| since + MAX_PIN > now.instant) && !is_over;
        Pins { last, stuck_since, is_pinned }
    }

    /// Gives rows to events that were not sent and no longer hold back the position, and to the events behind them in
    /// their lanes.
    fn pass_pins(&mut self, pins: &Pins, now: Now) {
        let Pins { last: Some(last), is_pinned: false, .. } = *pins else { return };
        let is_unsent = |entry: &Entry| entry.row.is_none() && !entry.is_probe && matches!(entry.stage, Stage::Queued);
        let unsent = self.hand.entries().filter(|(seq, entry)| *seq < last && is_unsent(entry));
        for seq in unsent.map(|(seq, _)| seq).collect::<Vec<_>>() {
            self.record(seq, Decided { fate: Fate::Wait, attempt: None, amend: None, at: now.instant });
        }
    }

    /// The results that may be written: those of rows, and those of the log up to the first undecided event, or past it
    /// if it has been undecided for too long.
    ///
    /// `pins` are the undecided events that were passed. Entries behind them in their lanes have been decided since
    /// then, and may lie after events that are neither sent nor decided.
    fn prefix(&self, pins: &Pins, now: Now) -> Prefix {
        let until = now.utc + TimeDelta::from_std(self.settings.timeout).unwrap_or_default() + SENDING_MARGIN;
        let mut items = Vec::new();
        let Pins { last, stuck_since, is_pinned } = *pins;
        let mut position = self.position;
        let mut is_whole = true;
        for (seq, entry) in self.hand.entries() {
            let is_decided = entry.decided_at().is_some();
            if entry.row.is_some() {
                items.extend(entry.item(seq, until));
                continue;
            }
            let is_passed = !is_pinned && last.is_some_and(|last| seq < last) && matches!(entry.stage, Stage::InFlight);
            let passes = is_decided || is_passed;
            if !is_whole || !passes {
                is_whole = false;
                continue;
            }
            position = seq;
            if is_decided || !entry.is_probe {
                items.extend(entry.item(seq, until));
            }
        }
        if is_whole {
            position = position.max(self.hand.cursor());
        }
        let retry_at = stuck_since.filter(|_| is_pinned && !is_whole).map(|since| since + MAX_PIN);
        Prefix { items, position, retry_at }
    }

    pub(super) fn committed(&mut self, written: Option<Written>, now: Now) {
        let Some(commit) = &self.writing.under_way else { return };
        let Some(written) = written else {
            self.writing.is_unknown = true;
            return self.failed(now);
        };
        let seqs: Vec<i64> = commit.items.iter().map(|item| item.seq).collect();
        let position = commit.position;
        self.take_written(written, &seqs, position);
    }

    /// Takes the position that was read after a commit with an unknown result.
    pub(super) fn found_out(&mut self, row: Option<Option<position::Model>>, now: Now) {
        self.writing.is_asked = false;
        let Some(commit) = &self.writing.under_way else { return };
        let Some(row) = row else { return self.failed(now) };
        let Some(row) = row.filter(|row| row.epoch == commit.epoch) else {
            self.is_over = true;
            return;
        };
        self.writing.is_unknown = false;
        if row.commits <= commit.commits {
            // The commit was not applied.
            self.writing.is_failed = true;
            self.writing.retry_at = Some(now.instant + AFTER_ERROR);
            return;
        }
        let seqs: Vec<i64> = commit.items.iter().map(|item| item.seq).collect();
        let position = commit.position;
        let committed = Committed {
            revision: row.revision,
            commits: row.commits,
            // Commands may have changed some of these items.
            is_stale: true,
            dropped: Vec::new(),
            acknowledged: Vec::new(),
            freed: true,
        };
        self.take_written(Written::Committed(committed), &seqs, position);
    }

    /// Notes that the items of these events and the position are written.
    pub(super) fn take_written(&mut self, written: Written, seqs: &[i64], position: i64) {
        let commit = self.writing.under_way.take();
        let Written::Committed(committed) = written else {
            self.is_over = true;
            return;
        };
        (self.revision, self.commits) = (committed.revision, committed.commits);
        self.writing.retry_at = None;
        self.position = position;
        let items = commit.map(|commit| commit.items).unwrap_or_default();
        for seq in seqs {
            let fate = items.iter().find(|item| item.seq == *seq).map(|item| item.fate);
            match fate {
                Some(Fate::Sending { .. }) if !committed.dropped.contains(seq) => {
                    self.hand.give_row(*seq, KnownRow { touched: 0, is_wanted: true });
                }
                Some(Fate::Sending { .. }) => {
                    if let Some(entry) = self.hand.get_mut(*seq) {
                        entry.is_overruled = true;
                    }
                }
                _ => self.hand.remove(*seq),
            }
        }
        self.hand.drop_overruled();
        self.hand.set_floor(position);
        self.has_rows |= items.iter().any(|item| item.fate != Fate::Done);
        self.wants_due |=
            committed.freed || items.iter().any(|item| !matches!(item.fate, Fate::Done | Fate::Sending { .. }));
        if self.read_again_at.is_some() && items.iter().any(|item| matches!(item.fate, Fate::Done | Fate::Dead)) {
            (self.read_again_at, self.is_at_end) = (None, false);
        }
        self.wants_refresh |= committed.is_stale;
        if self.hand.has_decided() {
            self.writing.first_decided_at = self.hand.first_decided_at();
        }
    }
}

struct Pins {
    /// The last decided event of the log.
    last: Option<i64>,
    /// Since when the first decided event waits behind an undecided one.
    stuck_since: Option<Instant>,
    is_pinned: bool,
}

struct Prefix {
    items: Vec<Item>,
    position: i64,
    retry_at: Option<Instant>,
}
