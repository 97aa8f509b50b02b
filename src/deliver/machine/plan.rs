//! Decides what to read and send next, and when the machine must run again.

use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::Instant;

use super::io::Action;
use super::{Asked, MAX_ACKS, MAX_BYTES, MAX_IN_HAND, Machine, Now};
use crate::deliver::breaker::Gate;

impl Machine {
    /// Sends as many entries as the limits allow.
    pub(super) fn fill(&mut self, now: Now, actions: &mut Vec<Action>) {
        if self.settings.is_sink || self.gate(now) != Gate::Open || !self.may_send(now) {
            return;
        }
        while self.hand.in_flight() < self.concurrency.limit() && self.hand.has_ready() {
            if !self.bucket.take(now.instant) {
                return;
            }
            let Some(sending) = self.hand.send() else { return };
            self.dispatch(sending, now, actions);
        }
    }

    /// Requests the reads that are needed next.
    pub(super) fn plan(&mut self, now: Now, actions: &mut Vec<Action>) {
        if self.not_before.is_some_and(|at| at > now.instant) {
            return;
        }
        self.not_before = None;
        if self.writing.wants_to_find_out() {
            self.writing.finding_out();
            actions.push(Action::FindOut);
            return;
        }
        // Reads that began before a command are outdated after it.
        let is_asking = self.busy.is_asking();
        // What was decided by a wrong clock is written before times are corrected.
        let corrects = !self.believes_times && self.hand.decided() == 0;
        if (self.wants_refresh || corrects) && self.is_unwritten() && !is_asking {
            (self.wants_refresh, self.busy.refreshing, self.busy.correcting) = (false, true, corrects);
            let longest = corrects.then(|| self.settings.longest_waits());
            actions.push(Action::Refresh { epoch: self.epoch, cursor: self.hand.cursor(), longest });
        }
        if !self.busy.refreshing
            && self.busy.running_sink.is_none()
            && let Some(commit) = self.next_commit(now)
        {
            actions.push(Action::Commit(commit));
        }
        // A new leader first loads the rows that earlier leaders left.
        if self.is_draining || !self.is_acquainted || self.wants_refresh || self.busy.refreshing {
            return;
        }
        match self.gate(now) {
            Gate::Open => self.plan_open(now, actions),
            Gate::Probe => self.plan_probe(now, actions),
            Gate::Held(_) | Gate::Shut => self.give_back(),
        }
        if !self.busy.acks && self.acks_at <= now.instant {
            self.busy.acks = true;
            // If acknowledgements are not configured, no row still has to wait for one.
            let due_by = if self.settings.ack_within.is_some() { now.utc } else { now.utc + TimeDelta::days(3650) };
            actions.push(Action::LoadAcks { limit: MAX_ACKS, due_by });
        }
    }

    fn plan_open(&mut self, now: Now, actions: &mut Vec<Action>) {
        let window = self.concurrency.limit().saturating_mul(8).clamp(64, MAX_IN_HAND);
        let room = window.saturating_sub(self.hand.waiting());
        let has_room = room >= window / 2 && self.hand.len() < MAX_IN_HAND && self.hand.bytes() < MAX_BYTES;
        let is_due = self.next_due.is_some_and(|at| at <= now.utc);
        if self.busy.loading_due.is_none() && has_room && (self.wants_due || is_due) {
            self.wants_due = false;
            self.busy.loading_due = Some(self.commits);
            actions.push(Action::LoadDue { limit: window + self.hand.len() });
        }
        if self.read_again_at.is_some_and(|at| at <= now.instant) {
            (self.read_again_at, self.is_at_end) = (None, false);
        }
        if self.busy.reading.is_none() && !self.is_at_end && has_room {
            let after = self.hand.cursor();
            self.busy.reading = Some(Asked { after, commits: self.commits, is_outdated: false });
            let bytes = MAX_BYTES - self.hand.bytes();
            actions.push(Action::Read { after, limit: room, bytes, asks_acks: self.settings.ack_within.is_some() });
        }
        if self.settings.is_sink && self.may_send(now) && self.is_unwritten() && !self.busy.refreshing {
            self.run_sink(now, actions);
        }
    }

    fn plan_probe(&mut self, now: Now, actions: &mut Vec<Action>) {
        self.give_back();
        let is_quiet = self.hand.in_flight() == 0 && self.is_unwritten() && self.hand.is_empty();
        if self.busy.probing.is_some() || !is_quiet || !self.may_send(now) || self.busy.reading.is_some() {
            return;
        }
        self.busy.probing = Some(self.commits);
        self.probes += 1;
        // In turn, because a delivery that failed before may fail for a reason of its own.
        let tried = self.probes.is_multiple_of(2);
        actions.push(Action::FindProbe {
            after: self.hand.cursor(),
            tried,
            asks_acks: self.settings.ack_within.is_some(),
        });
    }

    /// When to step again if nothing happens. What was due at the last step and could not be done then waits for the
    /// next input.
    pub(in crate::deliver) fn next_wake(&mut self) -> Option<Instant> {
        let now = self.stepped_at;
        let at = |utc: DateTime<Utc>| now.instant + (utc - now.utc).to_std().unwrap_or_default();
        let gate = match self.gate(now) {
            Gate::Held(until) => Some(at(until)),
            Gate::Open | Gate::Probe | Gate::Shut => None,
        };
        let bucket =
            if self.hand.has_ready() { self.bucket.wait(now.instant).map(|wait| now.instant + wait) } else { None };
        let due = self.next_due.filter(|due| *due > now.utc).map(at);
        let acks = (!self.busy.acks).then_some(self.acks_at);
        let commit = self.commit_deadline();
        let all = [gate, bucket, due, acks, commit, self.read_again_at, self.not_before];
        all.into_iter().flatten().filter(|at| *at > now.instant).min()
    }
}
