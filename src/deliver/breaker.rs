//! Decides whether an endpoint may be called: its circuit breaker.
//!
//! Pure. The states are those of `lumo_endpoints`:
//!
//! - `active`: the circuit is closed, and callbacks are sent, except while a `Retry-After` holds them back.
//! - `failing`: [`FAILING_AFTER`] consecutive failures have opened the circuit. Only one probe at a time is sent. The
//!   wait before each is a tenth of the time that the endpoint has been failing, at least a second and at most a
//!   minute, or longer if it asks for that by `Retry-After`. The first success closes the circuit.
//! - `suspended`: it answered 410, or has been failing for three days. An operator must resume it.
//! - `paused`: an operator has paused it, and must resume it.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use lumo_bridge_entity::endpoint::{self, State};

use crate::store::delivery::{EndpointNote, StateTransition};

/// Consecutive failures after which the circuit opens.
pub(super) const FAILING_AFTER: i32 = 5;
/// Time of failing after which the endpoint is suspended.
const SUSPENDED_AFTER: TimeDelta = TimeDelta::hours(72);
/// The wait before the first probe, and before every probe of the first ten seconds.
const FIRST_PROBE: TimeDelta = TimeDelta::seconds(1);
/// The longest wait before a probe.
const LAST_PROBE: TimeDelta = TimeDelta::minutes(1);

/// What the breaker lets through at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gate {
    Open,
    /// Nothing before this time.
    Held(DateTime<Utc>),
    /// One request, to test whether the endpoint works again.
    Probe,
    /// Nothing until an operator resumes the endpoint.
    Shut,
}

/// What an attempt says about the endpoint.
#[derive(Clone, Debug, Default)]
pub(super) struct Sign {
    pub(super) succeeded: bool,
    /// The failure concerns only this delivery or its lane, and is no sign that the endpoint is down.
    pub(super) is_of_one: bool,
    /// It answered 410.
    pub(super) gone: bool,
    /// For how long it asked by `Retry-After` not to be called.
    pub(super) hold: Option<Duration>,
    pub(super) error: Option<String>,
}

#[derive(Clone, Debug)]
pub(super) struct Breaker {
    state: State,
    since: DateTime<Utc>,
    failures: i32,
    hold_until: Option<DateTime<Utc>>,
    last_success_at: Option<DateTime<Utc>>,
    last_error: Option<String>,
    /// A change of state that is not written yet.
    transition: Option<StateTransition>,
    /// Whether anything else is not written yet.
    is_changed: bool,
}

impl Breaker {
    pub(super) fn new(row: &endpoint::Model) -> Self {
        Self {
            state: row.state,
            since: row.since,
            failures: row.consecutive_failures,
            hold_until: row.hold_until,
            last_success_at: row.last_success_at,
            last_error: row.last_error.clone(),
            transition: None,
            is_changed: false,
        }
    }

    pub(super) fn gate(&self, now: DateTime<Utc>) -> Gate {
        let held = self.hold_until.filter(|until| *until > now);
        match (self.state, held) {
            (State::Paused | State::Suspended, _) => Gate::Shut,
            (_, Some(until)) => Gate::Held(until),
            (State::Failing, None) => Gate::Probe,
            (State::Active, None) => Gate::Open,
        }
    }

    /// Whether the last answer was a success. If not, a failure may be the endpoint's and not the delivery's.
    pub(super) const fn took_the_last(&self) -> bool {
        self.last_success_at.is_some() && self.last_error.is_none()
    }

    /// Until when nothing is sent, if the endpoint is not shut.
    pub(super) fn held_until(&self) -> Option<DateTime<Utc>> {
        self.hold_until.filter(|_| matches!(self.state, State::Active | State::Failing))
    }

    pub(super) fn is_failing(&self) -> bool {
        self.state == State::Failing
    }

    /// Records an attempt. Returns whether the state has changed.
    pub(super) fn note(&mut self, sign: &Sign, now: DateTime<Utc>) -> bool {
        // What was in flight when the endpoint asked to be left alone is answered in the same way.
        let is_echo = sign.hold.is_some() && self.hold_until.is_some_and(|until| until > now);
        if sign.succeeded {
            self.failures = 0;
            self.last_success_at = Some(now);
            self.last_error = None;
        } else {
            let counts = self.state != State::Active || !(sign.is_of_one || is_echo);
            self.failures = self.failures.saturating_add(i32::from(counts));
            self.last_error = sign.error.clone();
        }
        self.is_changed = true;
        if let Some(hold) = sign.hold {
            let until = now + TimeDelta::from_std(hold).unwrap_or(TimeDelta::MAX).min(TimeDelta::days(3650));
            self.hold_until = self.hold_until.max(Some(until));
        }
        let away = (now - self.since).max(TimeDelta::zero());
        match self.state {
            State::Active | State::Failing if sign.gone => self.change_to(State::Suspended, None, now),
            State::Failing if sign.succeeded => self.change_to(State::Active, None, now),
            State::Failing if away >= SUSPENDED_AFTER => self.change_to(State::Suspended, None, now),
            State::Failing => {
                let next = now + (away / 10).clamp(FIRST_PROBE, LAST_PROBE);
                self.hold_until =
                    Some(self.hold_until.filter(|_| sign.hold.is_some()).map_or(next, |hold| hold.max(next)));
                false
            }
            State::Active if self.failures >= FAILING_AFTER => {
                let first = now + FIRST_PROBE;
                self.change_to(State::Failing, Some(self.hold_until.map_or(first, |hold| hold.max(first))), now)
            }
            _ => false,
        }
    }

    fn change_to(&mut self, to: State, hold_until: Option<DateTime<Utc>>, now: DateTime<Utc>) -> bool {
        // A transition that is not written yet starts from the state in the table.
        let from = self.transition.map_or(self.state, |transition| transition.from);
        self.transition = (from != to).then_some(StateTransition { from, to });
        (self.state, self.since, self.hold_until) = (to, now, hold_until);
        true
    }

    /// Whether a change of state must be written at once.
    pub(super) const fn is_urgent(&self) -> bool {
        self.transition.is_some()
    }

    /// Takes what is to be written; none if nothing has changed.
    pub(super) fn take_note(&mut self) -> Option<EndpointNote> {
        if self.transition.is_none() && !std::mem::take(&mut self.is_changed) {
            return None;
        }
        self.is_changed = false;
        Some(EndpointNote {
            state: self.state,
            consecutive_failures: self.failures,
            last_success_at: self.last_success_at,
            last_error: self.last_error.clone(),
            hold_until: self.hold_until,
            transition: self.transition.take(),
        })
    }

    pub(super) const fn state(&self) -> State {
        self.state
    }

    pub(super) const fn failures(&self) -> i32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(second)
    }

    fn breaker(state: State, failures: i32) -> Breaker {
        Breaker {
            state,
            since: at(0),
            failures,
            hold_until: None,
            last_success_at: None,
            last_error: None,
            transition: None,
            is_changed: false,
        }
    }

    fn failed() -> Sign {
        Sign { error: Some("answered 500".to_owned()), ..Sign::default() }
    }

    fn succeeded() -> Sign {
        Sign { succeeded: true, ..Sign::default() }
    }

    #[test]
    fn five_consecutive_failures_open_it() {
        let mut breaker = breaker(State::Active, 0);
        for _ in 0..4 {
            assert!(!breaker.note(&failed(), at(9)));
        }
        assert_eq!(breaker.gate(at(9)), Gate::Open);
        assert!(breaker.note(&failed(), at(9)));
        assert_eq!(breaker.gate(at(9)), Gate::Held(at(10)));
        assert_eq!(breaker.gate(at(10)), Gate::Probe);
        let note = breaker.take_note().unwrap();
        assert_eq!(note.transition, Some(StateTransition { from: State::Active, to: State::Failing }));
        assert_eq!((note.consecutive_failures, note.last_error.as_deref()), (5, Some("answered 500")));
        assert_eq!(breaker.take_note(), None);
    }

    #[test]
    fn probes_come_every_second_at_first_and_every_minute_at_last() {
        for (away, wait) in [(0, 1), (9, 1), (10, 1), (50, 5), (599, 59), (600, 60), (100_000, 60), (-100, 1)] {
            let mut breaker = breaker(State::Failing, 7);
            assert!(!breaker.note(&failed(), at(away)));
            let Gate::Held(probe) = breaker.gate(at(away)) else { panic!("{away}") };
            assert_eq!((probe - at(away)).num_seconds(), wait, "{away}");
        }
    }

    #[test]
    fn one_success_closes_it() {
        let mut failing = breaker(State::Failing, 7);
        assert!(failing.note(&succeeded(), at(9)));
        assert_eq!(failing.gate(at(9)), Gate::Open);
        assert!(!breaker(State::Active, 3).note(&succeeded(), at(9)));
    }

    #[test]
    fn gone_or_away_for_three_days_shuts_it() {
        let gone = Sign { gone: true, ..failed() };
        for (state, sign, second) in
            [(State::Active, &gone, 9), (State::Failing, &gone, 9), (State::Failing, &failed(), 72 * 3600)]
        {
            let mut breaker = breaker(state, 1);
            assert!(breaker.note(sign, at(second)));
            assert_eq!(breaker.gate(at(second)), Gate::Shut);
        }
        for state in [State::Paused, State::Suspended] {
            assert!(!breaker(state, 9).note(&gone, at(9)));
        }
    }

    #[test]
    fn a_hold_that_was_asked_for_outlasts_the_first_probe() {
        let mut breaker = breaker(State::Active, 4);
        let asked = Sign { hold: Some(Duration::from_secs(90)), ..failed() };
        assert!(breaker.note(&asked, at(9)));
        assert_eq!(breaker.gate(at(50)), Gate::Held(at(99)));
    }

    #[test]
    fn a_state_that_comes_and_goes_between_two_writes_is_not_written() {
        let mut breaker = breaker(State::Active, 4);
        assert!(breaker.note(&failed(), at(1)));
        assert!(breaker.note(&succeeded(), at(2)));
        assert_eq!(breaker.take_note().unwrap().transition, None);
    }
}
