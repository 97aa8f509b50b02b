//! Decides for which events a sink's statement runs next, and takes the result of the run.

use lumo_bridge_entity::attempt::AttemptResult;

use super::io::{Action, Input, Notice, SinkEnd};
use super::{Machine, Now, Report};
use crate::deliver::breaker::Sign;
use crate::model::retry::{Outcome, Verdict};
use crate::store::delivery::{GroupCommit, Item, Written};

impl Machine {
    /// Runs the sink for the next entries.
    pub(super) fn run_sink(&mut self, now: Now, actions: &mut Vec<Action>) {
        if let Some((commit, bodies)) = self.next_sink_commit(now, actions) {
            self.busy.running_sink = Some(commit.clone());
            actions.push(Action::RunSink { commit, bodies });
        }
    }

    /// The entries that the sink runs next, with the commit that records them. Events that `when` rejects are recorded
    /// in the same commit, in their places.
    fn next_sink_commit(&mut self, now: Now, actions: &mut Vec<Action>) -> Option<(GroupCommit, Vec<Option<String>>)> {
        if self.hand.has_decided() {
            return None;
        }
        let limit = self.settings.concurrency.max(1) * 8;
        let (seqs, position) = self.hand.first_ready(limit);
        let mut items = Vec::new();
        let mut bodies = Vec::new();
        for seq in &seqs {
            let Some(entry) = self.hand.get(*seq) else { continue };
            let is_wanted = match self.lets_through(&entry.event.body) {
                Ok(is_wanted) => is_wanted,
                Err(failure) => {
                    if items.is_empty() {
                        self.hand.start_in_line(*seq);
                        self.fail_unsent(*seq, failure, now, actions);
                    }
                    break;
                }
            };
            if is_wanted && !self.bucket.take(now.instant) {
                break;
            }
            let result = if is_wanted { AttemptResult::Delivered } else { AttemptResult::Filtered };
            bodies.push(is_wanted.then(|| entry.event.body.clone()));
            items.push(entry.item_of_run(*seq, result, now));
            self.hand.start_in_line(*seq);
        }
        if items.is_empty() {
            return None;
        }
        let is_all = items.len() == seqs.len();
        // If the run fails, its note is lost; the next attempt makes it again. A change of state is written by itself.
        let note = if self.is_noted(now) || self.breaker.is_urgent() { None } else { self.take_note(now) };
        let last_new = items.iter().rev().find(|item| item.row.is_none()).map(|item| item.seq);
        let position = if is_all { position } else { last_new.unwrap_or(self.position) };
        let commit = GroupCommit {
            endpoint: self.settings.endpoint.clone(),
            epoch: self.epoch,
            revision: self.revision,
            commits: self.commits,
            position: position.max(self.position),
            items,
            note,
            asks_acks: false,
        };
        Some((commit, bodies))
    }

    /// Takes the result of a run: entries that ran are written, the one that failed is evaluated, and the others are
    /// ready again.
    pub(super) fn sink_ran(&mut self, end: Option<SinkEnd>, now: Now, actions: &mut Vec<Action>) {
        let Some(commit) = self.busy.running_sink.take() else { return };
        let seqs: Vec<i64> = commit.items.iter().map(|item| item.seq).collect();
        let Some(SinkEnd { done, written, failed }) = end else {
            seqs.into_iter().for_each(|seq| self.hand.put_back(seq));
            return self.failed(now);
        };
        for (at, seq) in seqs.iter().enumerate().rev() {
            if at > done || (at == done && failed.is_none()) {
                self.hand.put_back(*seq);
            }
        }
        if let Some(written) = written {
            if matches!(written, Written::Committed(_)) {
                self.tell_ran(commit.items.get(..done).unwrap_or_default(), now, actions);
            }
            let ran: Vec<i64> = seqs.iter().take(done).copied().collect();
            let sign = Sign { succeeded: true, ..Sign::default() };
            let mut has_any = false;
            for item in commit.items.iter().take(done).filter(|item| has_run(item)) {
                self.lanes.succeeded(item.lane.as_deref(), item.seq);
                has_any = true;
            }
            if has_any && self.breaker.note(&sign, now.utc) {
                actions.push(Action::Notify(Notice::Turned { to: self.breaker.state(), error: None }));
                (self.is_at_end, self.wants_due) = (false, true);
            }
            let position = if done == 0 { self.position } else { commit.position_after(done) };
            // Reads that began before show the old rows.
            self.written.extend(ran.iter().map(|seq| (*seq, commit.commits + 1)));
            self.take_written(written, &ran, position);
        }
        if let (Some(report), Some(seq)) = (failed, seqs.get(done)) {
            self.take(Input::Answered { seq: *seq, report }, now, actions);
        }
    }

    /// Reports each event that the sink ran for as a successful attempt, with an equal share of the total time.
    fn tell_ran(&self, items: &[Item], now: Now, actions: &mut Vec<Action>) {
        let ran = items.iter().filter(|item| has_run(item)).count();
        for item in items {
            if !has_run(item) {
                actions.push(Action::Notify(Notice::LeftOut));
                continue;
            }
            let (Some(entry), Some(attempt)) = (self.hand.get(item.seq), &item.attempt) else { continue };
            let took = (now.utc - attempt.started_at).to_std().unwrap_or_default();
            let report = Report {
                outcome: Outcome::Accepted { status: 200 },
                started_at: attempt.started_at,
                duration: took / u32::try_from(ran).unwrap_or(u32::MAX),
                status: attempt.status,
                error: None,
                response_body: None,
            };
            let (kind, attempt) = (entry.event.kind.clone(), u32::try_from(item.attempts).unwrap_or(u32::MAX));
            let noticed_at = entry.noticed_at();
            actions.push(Action::Notify(Notice::Attempt { kind, noticed_at, attempt, report, verdict: Verdict::Done }));
        }
    }
}

/// Whether the sink ran for the item, which `when` did not reject.
fn has_run(item: &Item) -> bool {
    item.attempt.as_ref().is_some_and(|attempt| attempt.result == AttemptResult::Delivered)
}
