//! Judges an answer: decides the delivery's result, how long it holds back its lane, and the endpoint's health.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use lumo_bridge_entity::attempt::AttemptResult;

use super::entry::Decided;
use super::{ACK_POLL, Action, Candidate, LONGEST, MAX_ACKS, Machine, Notice, Now, RARE_ACK_POLL, Read};
use crate::deliver::breaker::Sign;
use crate::model::id::EventId;
use crate::model::retry::{EARLY_TRIES, Outcome, Unreachable, Verdict};
use crate::setting::Span;
use crate::store::delivery::{Acknowledged, Amend, Attempted, DueRow, Fate};

/// The result of one request, or of one run of a sink.
#[derive(Clone, Debug)]
pub(in crate::deliver) struct Report {
    pub(in crate::deliver) outcome: Outcome,
    pub(in crate::deliver) started_at: DateTime<Utc>,
    pub(in crate::deliver) duration: Duration,
    /// A statement has none.
    pub(in crate::deliver) status: Option<u16>,
    pub(in crate::deliver) error: Option<String>,
    pub(in crate::deliver) response_body: Option<String>,
}

impl Report {
    const fn is_success(&self) -> bool {
        matches!(self.outcome, Outcome::Accepted { .. })
    }

    /// Whether the request could not be made, which says nothing about the endpoint.
    const fn is_ours(&self) -> bool {
        matches!(self.outcome, Outcome::Unreachable(Unreachable::Request))
    }

    /// Whether it took too long, here or behind a gateway.
    const fn is_strain(&self) -> bool {
        matches!(self.outcome, Outcome::Unreachable(Unreachable::Timeout)) || matches!(self.status, Some(502 | 504))
    }

    fn attempted(&self, result: AttemptResult, counts: bool) -> Attempted {
        Attempted {
            started_at: self.started_at,
            duration: self.duration,
            status: self.status,
            error: self.error.clone(),
            response_body: self.response_body.clone(),
            result,
            counts,
        }
    }
}

impl Machine {
    pub(super) fn answered(&mut self, seq: i64, report: Report, now: Now, actions: &mut Vec<Action>) {
        let Some(entry) = self.hand.get(seq) else { return };
        let (is_probe, tries, attempts) = (entry.is_probe, entry.tries, entry.attempts);
        let (kind, noticed_at) = (entry.event.kind.clone(), entry.noticed_at());
        let is_success = report.is_success();
        // A 429, or a probe that failed, does not count as an attempt.
        let counts = is_success || (report.status != Some(429) && !is_probe);
        let tries = if counts { tries.saturating_add(1) } else { tries };
        let attempts = if counts { attempts.saturating_add(1) } else { attempts };
        let made = u32::try_from(tries).unwrap_or(u32::MAX).max(1);
        let policy = &self.settings.policy;
        // Nothing dies of an outage: while the endpoint takes nothing else, the last wait of the schedule is repeated.
        let may_die = !is_probe && (report.is_ours() || self.breaker.took_the_last());
        let spent = if may_die { made } else { made.min(policy.retries()) };
        // The next probe takes another delivery: those that are due at a recovery anyway are due after all that were
        // tried before, the others wait as after an attempt.
        let verdict = if is_probe && !is_success && tries <= EARLY_TRIES {
            Verdict::RetryAt(now.utc)
        } else {
            policy.judge(spent, &report.outcome, now.utc, &mut self.rng)
        };
        let lane = entry.lane.as_deref();
        let is_of_one = if is_success {
            self.lanes.succeeded(lane, seq);
            false
        } else {
            !report.is_ours() && !self.lanes.failed(lane, seq)
        };
        if verdict == Verdict::Dead {
            self.lanes.ended(lane, seq);
        }
        let sign = Sign {
            succeeded: is_success,
            is_of_one,
            gone: report.status == Some(410),
            hold: policy.hold(spent, &report.outcome),
            error: report.error.clone(),
        };
        self.judge_endpoint(&sign, &report, now, actions);
        let attempt = u32::try_from(attempts).unwrap_or(u32::MAX);
        actions.push(Action::Notify(Notice::Attempt { kind, noticed_at, attempt, report: report.clone(), verdict }));
        self.record_attempt(seq, &report, verdict, (tries, attempts, counts), now);
    }

    fn judge_endpoint(&mut self, sign: &Sign, report: &Report, now: Now, actions: &mut Vec<Action>) {
        if sign.succeeded {
            self.concurrency.eased();
        } else if report.is_strain() {
            self.concurrency.strained(now.instant);
        }
        if report.is_ours() {
            return;
        }
        let was_failing = self.breaker.is_failing();
        if self.breaker.note(sign, now.utc) {
            let told = Notice::Turned { to: self.breaker.state(), error: sign.error.clone() };
            actions.push(Action::Notify(told));
            if was_failing && sign.succeeded {
                self.concurrency.begin_anew();
                (self.is_at_end, self.wants_due) = (false, true);
            }
        }
        if let Some(until) = self.breaker.held_until().filter(|_| sign.hold.is_some()) {
            actions.push(Action::Notify(Notice::Held { until, error: sign.error.clone() }));
        }
    }

    fn record_attempt(
        &mut self,
        seq: i64,
        report: &Report,
        verdict: Verdict,
        (tries, attempts, counts): (i32, i32, bool),
        now: Now,
    ) {
        let max_hold = self.settings.max_hold.min(LONGEST);
        let ack_within = self.settings.ack_within;
        let (fate, result) = match (verdict, ack_within) {
            (Verdict::Done, Some(within)) => {
                let within = TimeDelta::from_std(within).unwrap_or(LONGEST).min(LONGEST);
                (Fate::AwaitAck { by: now.utc + within }, AttemptResult::Answered)
            }
            (Verdict::Done, None) => (Fate::Done, AttemptResult::Delivered),
            (Verdict::RetryAt(at), _) => (Fate::RetryAt(at), AttemptResult::Failed),
            (Verdict::Dead, _) => (Fate::Dead, AttemptResult::Failed),
        };
        if let Some(entry) = self.hand.get_mut(seq) {
            (entry.tries, entry.attempts) = (tries, attempts);
            // The time for which it holds its lane begins with its first failure or unacknowledged answer.
            if entry.hold_until.is_none() && counts && !matches!(fate, Fate::Done | Fate::Dead) {
                entry.hold_until = Some(now.utc + max_hold);
            }
        }
        let attempt = Some(report.attempted(result, counts || verdict == Verdict::Dead));
        self.record(seq, Decided { fate, attempt, amend: None, at: now.instant });
    }

    pub(super) fn record(&mut self, seq: i64, decided: Decided) {
        let at = decided.at;
        if self.hand.record(seq, decided) {
            self.is_at_end = false;
        }
        self.writing.note_decided(at);
    }

    /// Records an event as superseded by a newer one, without sending it.
    pub(super) fn supersede(&mut self, seq: i64, newer: &EventId, now: Now) {
        self.record_unsent(seq, AttemptResult::Superseded, Some(format!("superseded by {newer}")), now);
    }

    /// Records a result that needs no request by this process.
    pub(super) fn record_unsent(&mut self, seq: i64, result: AttemptResult, error: Option<String>, now: Now) {
        if let Some(entry) = self.hand.get_mut(seq) {
            entry.attempts = entry.attempts.saturating_add(1);
        }
        let attempt = Attempted {
            started_at: now.utc,
            duration: Duration::ZERO,
            status: None,
            error,
            response_body: None,
            result,
            counts: true,
        };
        self.record(seq, Decided { fate: Fate::Done, attempt: Some(attempt), amend: None, at: now.instant });
    }

    pub(super) fn take_probe(&mut self, found: Option<Option<Candidate>>, now: Now, actions: &mut Vec<Action>) {
        let Some(began) = self.busy.probing.take() else { return };
        let Some(found) = found else { return self.failed(now) };
        if self.gate(now) != super::Gate::Probe || !self.may_send(now) {
            return;
        }
        let Some(found) = found else {
            // Nothing waits. The next event triggers another search.
            self.not_before = Some(now.instant + super::AFTER_ERROR);
            return;
        };
        let seq = match found {
            Candidate::Row(row) => self.take_probe_row(*row, began),
            Candidate::Log(read) => self.take_probe_event(read, began, now),
        };
        let Some(seq) = seq else { return };
        if let Some(entry) = self.hand.get_mut(seq) {
            entry.is_probe = true;
        }
        if self.settings.is_sink {
            self.hand.queue(seq);
            return self.run_sink(now, actions);
        }
        self.hand.queue(seq);
        if let Some(sending) = self.hand.send() {
            self.dispatch(sending, now, actions);
        }
    }

    fn take_probe_row(&mut self, row: DueRow, began: i64) -> Option<i64> {
        let seq = row.event.seq;
        let is_known = self.hand.holds(seq) || self.written.get(&seq).is_some_and(|commit| *commit > began);
        if is_known {
            return None;
        }
        self.hand.take_row(row);
        Some(seq)
    }

    /// The first event that no other one of its lane precedes. The events before it get rows.
    fn take_probe_event(&mut self, read: Read, began: i64, now: Now) -> Option<i64> {
        let (events, through, known) = self.know(read, began);
        for event in events {
            let seq = event.seq;
            let is_free = self.takes(event, &known, now);
            self.hand.advance(seq);
            if is_free {
                return Some(seq);
            }
        }
        self.hand.advance(through);
        None
    }

    pub(super) fn acknowledged(&mut self, rows: Option<Vec<Acknowledged>>, now: Now, actions: &mut Vec<Action>) {
        self.busy.acks = false;
        let pause = if self.settings.ack_within.is_some() { ACK_POLL } else { RARE_ACK_POLL };
        self.acks_at = now.instant + pause;
        let Some(rows) = rows else { return };
        if rows.len() >= MAX_ACKS {
            self.acks_at = now.instant;
        }
        let (mut failed, mut dead) = (0, 0);
        for Acknowledged { row, is_acknowledged } in rows {
            let seq = row.event.seq;
            if self.hand.holds(seq) || self.written.contains_key(&seq) {
                continue;
            }
            let (fate, amend) = match self.settings.ack_within {
                Some(within) if !is_acknowledged => {
                    let status = row.last_status.and_then(|status| u16::try_from(status).ok()).unwrap_or_default();
                    let answered = Outcome::Refused { status, retry_after: None };
                    let tries = u32::try_from(row.tries).unwrap_or(0).max(1);
                    let fate = match self.settings.policy.judge(tries, &answered, now.utc, &mut self.rng) {
                        Verdict::RetryAt(at) => Fate::RetryAt(at),
                        Verdict::Dead => Fate::Dead,
                        Verdict::Done => Fate::Done,
                    };
                    let error = format!("not acknowledged within {}", Span(within));
                    (fate, Amend { result: AttemptResult::Failed, error: Some(error) })
                }
                // If acknowledgements are no longer configured, the answer is enough.
                _ => (Fate::Done, Amend { result: AttemptResult::Delivered, error: None }),
            };
            failed += usize::from(matches!(fate, Fate::RetryAt(_)));
            dead += usize::from(fate == Fate::Dead);
            self.hand.take_row(row);
            self.record(seq, Decided { fate, attempt: None, amend: Some(amend), at: now.instant });
        }
        if failed + dead > 0 {
            actions.push(Action::Notify(Notice::Unacknowledged { failed, dead }));
        }
    }
}
