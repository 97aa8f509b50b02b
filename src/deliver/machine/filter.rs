//! Applies the endpoint's `when` to an event just before it is sent.
//!
//! A filtered event is recorded without a request.

use std::time::Duration;

use lumo_bridge_entity::attempt::AttemptResult;

use super::io::{Action, Notice, Sending};
use super::{Machine, Now, Report};
use crate::chain::Chain;
use crate::model::condition::Failure;
use crate::model::retry::{Outcome, Unreachable};

impl Machine {
    /// Sends the event if `when` is true for it. If `when` is false, records it as filtered. If `when` cannot be
    /// evaluated, the delivery has failed without a request.
    pub(super) fn dispatch(&mut self, sending: Sending, now: Now, actions: &mut Vec<Action>) {
        let seq = sending.event.seq;
        match self.lets_through(&sending.event.body) {
            Ok(true) => actions.push(Action::Send(sending)),
            Ok(false) => {
                self.bucket.give_back();
                self.forget_probe(seq);
                self.record_unsent(seq, AttemptResult::Filtered, None, now);
                actions.push(Action::Notify(Notice::LeftOut));
            }
            Err(failure) => {
                self.bucket.give_back();
                self.fail_unsent(seq, failure, now, actions);
            }
        }
    }

    pub(super) fn lets_through(&self, body: &str) -> Result<bool, Failure> {
        self.settings.when.as_ref().map_or(Ok(true), |when| when.holds(body))
    }

    pub(super) fn fail_unsent(&mut self, seq: i64, failure: Failure, now: Now, actions: &mut Vec<Action>) {
        self.forget_probe(seq);
        let report = Report {
            outcome: Outcome::Unreachable(Unreachable::Request),
            started_at: now.utc,
            duration: Duration::ZERO,
            status: None,
            error: Some(format!("`when`: {}", Chain(&failure))),
            response_body: None,
        };
        self.answered(seq, report, now, actions);
    }

    /// Notes that the event was not sent, so it was no probe.
    fn forget_probe(&mut self, seq: i64) {
        if let Some(entry) = self.hand.get_mut(seq) {
            entry.is_probe = false;
        }
    }
}
