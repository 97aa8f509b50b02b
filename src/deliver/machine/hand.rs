//! Holds the events that the machine has in memory, in lanes: events of the log after the position, and due rows.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use lumo_bridge_entity::exception::Reason;
use tokio::time::Instant;

use super::entry::{Decided, Entry, Stage};
use super::io::Sending;
use crate::store::delivery::{DueRow, Fate, KnownRow};
use crate::store::log::LogEvent;

#[derive(Debug, Default)]
struct Lane {
    /// The entry that is ready or in flight.
    running: Option<i64>,
    queue: BTreeSet<i64>,
}

#[derive(Debug)]
pub(super) struct Hand {
    entries: BTreeMap<i64, Entry>,
    lanes: HashMap<String, Lane>,
    ready_events: BTreeSet<i64>,
    ready_rows: VecDeque<i64>,
    ready_backfill: VecDeque<i64>,
    /// The log was read up to here.
    cursor: i64,
    /// The endpoint's position, from which the log is read.
    floor: i64,
    in_flight: usize,
    decided: usize,
    bytes: usize,
    /// Whether a row is sent next when both events and rows are ready.
    rows_are_next: bool,
    /// Whether an entry that waits behind a row gets a row, too. With one lane for everything it does not: the log is
    /// the queue.
    parks: bool,
}

impl Hand {
    pub(super) fn new(position: i64, parks: bool) -> Self {
        Self {
            parks,
            entries: BTreeMap::new(),
            lanes: HashMap::new(),
            ready_events: BTreeSet::new(),
            ready_rows: VecDeque::new(),
            ready_backfill: VecDeque::new(),
            cursor: position,
            floor: position,
            in_flight: 0,
            decided: 0,
            bytes: 0,
            rows_are_next: false,
        }
    }

    pub(super) fn cursor(&self) -> i64 {
        self.cursor
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many entries wait to be sent.
    pub(super) fn waiting(&self) -> usize {
        self.entries.len() - self.in_flight - self.decided
    }

    pub(super) fn has_decided(&self) -> bool {
        self.decided > 0
    }

    pub(super) fn decided(&self) -> usize {
        self.decided
    }

    /// Whether nothing waits to be sent or to be written.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn holds(&self, seq: i64) -> bool {
        self.entries.contains_key(&seq)
    }

    pub(super) fn get(&self, seq: i64) -> Option<&Entry> {
        self.entries.get(&seq)
    }

    pub(super) fn get_mut(&mut self, seq: i64) -> Option<&mut Entry> {
        self.entries.get_mut(&seq)
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = (i64, &Entry)> {
        self.entries.iter().map(|(seq, entry)| (*seq, entry))
    }

    /// The log was read up to here.
    pub(super) fn advance(&mut self, through: i64) {
        self.cursor = self.cursor.max(through);
    }

    pub(super) fn set_floor(&mut self, position: i64) {
        self.floor = position;
        self.cursor = self.cursor.max(position);
    }

    pub(super) fn take_event(&mut self, event: LogEvent, lane: Option<String>) {
        self.insert(Entry::of_event(event, lane));
    }

    pub(super) fn take_row(&mut self, row: DueRow) {
        self.insert(Entry::of_row(row));
    }

    fn insert(&mut self, entry: Entry) {
        self.bytes += entry.event.body.len();
        self.entries.insert(entry.event.seq, entry);
    }

    /// Queues an entry: it is ready if its lane is free.
    pub(super) fn queue(&mut self, seq: i64) {
        let Some(entry) = self.entries.get(&seq) else { return };
        if let Some(name) = &entry.lane {
            let lane = self.lanes.entry(name.clone()).or_default();
            if lane.running.is_some() {
                lane.queue.insert(seq);
                return;
            }
            lane.running = Some(seq);
        }
        self.make_ready(seq);
    }

    fn make_ready(&mut self, seq: i64) {
        let Some(entry) = self.entries.get(&seq).filter(|entry| matches!(entry.stage, Stage::Queued)) else { return };
        match (&entry.row, entry.reason) {
            (None, _) => drop(self.ready_events.insert(seq)),
            (Some(_), Reason::Backfill) => self.ready_backfill.push_back(seq),
            (Some(_), _) => self.ready_rows.push_back(seq),
        }
    }

    pub(super) fn has_ready(&self) -> bool {
        !self.ready_events.is_empty() || !self.ready_rows.is_empty() || !self.ready_backfill.is_empty()
    }

    /// The next entry to send: events and rows in turn, rows of a backfill after both.
    pub(super) fn send(&mut self) -> Option<Sending> {
        let seq = if self.rows_are_next && !self.ready_rows.is_empty() {
            self.ready_rows.pop_front()
        } else {
            self.ready_events.pop_first().or_else(|| self.ready_rows.pop_front())
        };
        self.rows_are_next = !self.rows_are_next;
        let seq = seq.or_else(|| self.ready_backfill.pop_front())?;
        self.start(seq)
    }

    /// Marks an entry as in flight.
    pub(super) fn start(&mut self, seq: i64) -> Option<Sending> {
        let entry = self.entries.get_mut(&seq)?;
        entry.stage = Stage::InFlight;
        self.in_flight += 1;
        let attempt = u32::try_from(entry.attempts).unwrap_or(0).saturating_add(1);
        Some(Sending { event: Arc::clone(&entry.event), attempt, reason: entry.reason })
    }

    /// The entries that a sink runs next: due rows, then the first events of the log without a gap. None of them waits
    /// behind a row of its lane. Returns also the position after them.
    pub(super) fn first_ready(&self, limit: usize) -> (Vec<i64>, i64) {
        let rows: Vec<i64> = self.ready_rows.iter().chain(&self.ready_backfill).take(limit).copied().collect();
        let mut seqs = rows;
        let mut position = self.floor;
        let mut is_whole = true;
        for (seq, entry) in self.entries.iter().filter(|(_, entry)| entry.row.is_none()) {
            if seqs.len() >= limit || !matches!(entry.stage, Stage::Queued) {
                is_whole = false;
                break;
            }
            seqs.push(*seq);
            position = *seq;
        }
        (seqs, if is_whole { self.cursor } else { position })
    }

    /// Makes an entry ready again that the sink did not run.
    pub(super) fn put_back(&mut self, seq: i64) {
        let Some(entry) = self.entries.get_mut(&seq) else { return };
        if matches!(entry.stage, Stage::InFlight) {
            self.in_flight -= 1;
            entry.stage = Stage::Queued;
            let is_behind = entry.lane.as_ref().and_then(|lane| self.lanes.get(lane));
            if is_behind.is_none_or(|lane| lane.running == Some(seq)) {
                self.make_ready(seq);
            }
        }
    }

    pub(super) fn start_in_line(&mut self, seq: i64) {
        self.unready(seq);
        self.start(seq);
    }

    fn unready(&mut self, seq: i64) {
        if !self.ready_events.remove(&seq) {
            self.ready_rows.retain(|ready| *ready != seq);
            self.ready_backfill.retain(|ready| *ready != seq);
        }
    }

    /// Records the result of an entry. If the delivery has ended, its lane continues. Otherwise the entries behind it
    /// wait in the table from now on. Returns whether the lane is blocked.
    pub(super) fn record(&mut self, seq: i64, decided: Decided) -> bool {
        let at = decided.at;
        let ends = matches!(decided.fate, Fate::Done | Fate::Dead);
        let Some(entry) = self.entries.get_mut(&seq) else { return false };
        if matches!(entry.stage, Stage::InFlight) {
            self.in_flight -= 1;
        }
        if !matches!(entry.stage, Stage::Decided(_)) {
            self.decided += 1;
        }
        let was_queued = matches!(entry.stage, Stage::Queued);
        entry.stage = Stage::Decided(decided);
        let lane = entry.lane.clone();
        if was_queued {
            self.unready(seq);
        }
        let Some(name) = lane else { return false };
        if ends {
            self.leave_lane(&name, seq);
            return false;
        }
        let behind = self.lanes.remove(&name).map(|lane| lane.queue).unwrap_or_default();
        if !self.parks {
            self.untake_all();
        }
        for seq in behind {
            self.park(seq, at);
        }
        true
    }

    /// Gives an entry that waits in a lane behind a row a row of its own.
    pub(super) fn park(&mut self, seq: i64, at: Instant) {
        let Some(entry) = self.entries.get_mut(&seq) else { return };
        if entry.row.is_some() {
            // It has a row, and is read again when that is due.
            self.remove(seq);
            return;
        }
        if !matches!(entry.stage, Stage::Decided(_)) {
            self.decided += 1;
        }
        entry.stage = Stage::Decided(Decided { fate: Fate::Wait, attempt: None, amend: None, at });
    }

    fn leave_lane(&mut self, name: &str, seq: i64) {
        let Some(lane) = self.lanes.get_mut(name) else { return };
        lane.queue.remove(&seq);
        if lane.running != Some(seq) {
            return;
        }
        lane.running = lane.queue.pop_first();
        match lane.running {
            Some(next) => self.make_ready(next),
            None => drop(self.lanes.remove(name)),
        }
    }

    /// The lanes in which the next commit will write a row.
    pub(super) fn lanes_to_be_written(&self) -> impl Iterator<Item = String> {
        let waits = |entry: &&Entry| match &entry.stage {
            Stage::Decided(decided) => !matches!(decided.fate, Fate::Done | Fate::Dead),
            Stage::Queued | Stage::InFlight => false,
        };
        self.entries.values().filter(waits).filter_map(|entry| entry.lane.clone())
    }

    /// Forgets an entry.
    pub(super) fn remove(&mut self, seq: i64) {
        let Some(entry) = self.entries.remove(&seq) else { return };
        self.bytes -= entry.event.body.len();
        match entry.stage {
            Stage::Queued => self.unready(seq),
            Stage::InFlight => self.in_flight -= 1,
            Stage::Decided(_) => self.decided -= 1,
        }
        if let Some(lane) = &entry.lane {
            self.leave_lane(lane, seq);
        }
    }

    /// Notes that an event after the position has a row now.
    pub(super) fn give_row(&mut self, seq: i64, row: KnownRow) {
        if let Some(entry) = self.entries.get_mut(&seq) {
            entry.row = Some(row);
        }
    }

    /// Forgets the entries that wait to be sent: rows stay in the table, and the last events of the log are read again.
    /// An event stays if a later one is in flight or decided, until it gets a row. Returns whether any entry was
    /// forgotten.
    pub(super) fn untake_all(&mut self) -> bool {
        if self.waiting() == 0 {
            return false;
        }
        let queued = |entry: &Entry| matches!(entry.stage, Stage::Queued);
        let rows: Vec<i64> =
            self.entries().filter(|(_, entry)| entry.row.is_some() && queued(entry)).map(|(seq, _)| seq).collect();
        let tail = self.entries.iter().rev().filter(|(_, entry)| entry.row.is_none());
        let tail: Vec<i64> = tail.take_while(|(_, entry)| queued(entry)).map(|(seq, _)| *seq).collect();
        if !tail.is_empty() {
            let last = self.entries.iter().rev().filter(|(_, entry)| entry.row.is_none());
            let last = last.map(|(seq, _)| *seq).find(|seq| !tail.contains(seq));
            self.cursor = last.unwrap_or(self.floor);
        }
        let is_any = !rows.is_empty() || !tail.is_empty();
        for seq in rows.into_iter().chain(tail) {
            self.remove(seq);
        }
        is_any
    }

    /// Notes that commands have changed these rows, and which events the endpoint still wants.
    pub(super) fn overrule(&mut self, touched: &[i64], wanted: &[i64]) {
        let touched: HashSet<i64> = touched.iter().copied().collect();
        let wanted: HashSet<i64> = wanted.iter().copied().collect();
        let decided = |seq: i64, entry: &Entry| match entry.row {
            Some(_) => touched.contains(&seq),
            None => !wanted.contains(&seq),
        };
        let decided: Vec<i64> =
            self.entries().filter(|(seq, entry)| decided(*seq, entry)).map(|(seq, _)| seq).collect();
        for seq in decided {
            match self.entries.get_mut(&seq) {
                Some(Entry { stage: Stage::Queued, .. }) => self.remove(seq),
                Some(entry) => entry.is_overruled = true,
                None => {}
            }
        }
    }

    /// Restarts from another position. Entries in flight are left to end, and their results are ignored.
    pub(super) fn restart_at(&mut self, position: i64) {
        for seq in self.entries.keys().copied().collect::<Vec<_>>() {
            match self.entries.get_mut(&seq) {
                Some(entry) if matches!(entry.stage, Stage::InFlight) => entry.is_overruled = true,
                _ => self.remove(seq),
            }
        }
        (self.cursor, self.floor) = (position, position);
    }

    /// Forgets entries that commands have changed, once they are no longer in flight.
    pub(super) fn drop_overruled(&mut self) {
        let is_over = |entry: &Entry| entry.is_overruled && matches!(entry.stage, Stage::Decided(_));
        let over: Vec<i64> = self.entries().filter(|(_, entry)| is_over(entry)).map(|(seq, _)| seq).collect();
        over.into_iter().for_each(|seq| self.remove(seq));
    }

    /// When the first of the decided entries was decided.
    pub(super) fn first_decided_at(&self) -> Option<Instant> {
        let at = |entry: &Entry| match &entry.stage {
            Stage::Decided(decided) => Some(decided.at),
            _ => None,
        };
        self.entries.values().filter_map(at).min()
    }
}
