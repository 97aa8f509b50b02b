//! Notices when no endpoint has accepted callbacks for a while, and when one does again, so that each is logged once per
//! outage.
//!
//! An endpoint that refuses some callbacks and accepts others fails for moments only. That is no outage.
//!
//! Pure.

use chrono::{DateTime, TimeDelta, Utc};
use lumo_bridge_entity::endpoint::{self, State};

/// An endpoint that asks not to be called for longer than this counts as down.
const LONG_HOLD: TimeDelta = TimeDelta::minutes(1);
/// An endpoint that has been failing for this time, and has accepted nothing meanwhile, counts as down.
const LONG_FAILURE: TimeDelta = TimeDelta::seconds(30);

/// The endpoints as a whole.
#[derive(Debug, Default)]
pub(super) struct AllDown {
    noted: Option<Noted>,
}

/// An outage that was noted.
#[derive(Debug)]
struct Noted {
    /// When the last callback before it was accepted.
    last_success_at: Option<DateTime<Utc>>,
}

/// What there is to say of the endpoints as a whole.
#[derive(Debug)]
pub(super) enum News<'a> {
    /// Nothing that was not said already.
    Nothing,
    /// No endpoint accepts callbacks. These are down.
    Down(Vec<&'a endpoint::Model>),
    /// This one has accepted a callback.
    Over(&'a endpoint::Model),
}

/// Whether an endpoint takes callbacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    /// It does: its last attempt did not fail, or it was not called yet.
    Well,
    /// Its last attempt failed, but it is still called, or has not been failing for long.
    Doubtful,
    /// It is suspended, has been failing for a while, or asks not to be called for a long time.
    Down,
    /// An operator has paused it.
    Paused,
}

impl AllDown {
    /// Takes the state of all endpoints. Says, once per outage, which are down when no endpoint is left that accepts
    /// callbacks, and then which one has accepted the first.
    pub(super) fn note<'a>(&mut self, rows: &'a [endpoint::Model], now: DateTime<Utc>) -> News<'a> {
        let configured = || rows.iter().filter(|row| row.removed_at.is_none());
        let newest = configured().max_by_key(|row| row.last_success_at);
        let last_success_at = newest.and_then(|row| row.last_success_at);
        if let Some(noted) = &self.noted {
            let over = newest.filter(|_| last_success_at > noted.last_success_at);
            if over.is_some() {
                self.noted = None;
            }
            return over.map_or(News::Nothing, News::Over);
        }
        let any = |wanted: Health| configured().any(|row| health(row, now) == wanted);
        if any(Health::Well) || any(Health::Doubtful) || !any(Health::Down) {
            return News::Nothing;
        }
        self.noted = Some(Noted { last_success_at });
        News::Down(configured().filter(|row| health(row, now) == Health::Down).collect())
    }
}

fn health(row: &endpoint::Model, now: DateTime<Utc>) -> Health {
    let is_long = |since: DateTime<Utc>| now - since >= LONG_FAILURE;
    match row.state {
        State::Suspended => Health::Down,
        State::Failing if is_long(row.since) && row.last_success_at.is_none_or(is_long) => Health::Down,
        State::Failing => Health::Doubtful,
        State::Paused => Health::Paused,
        State::Active if row.hold_until.is_some_and(|until| until - now > LONG_HOLD) => Health::Down,
        State::Active if row.consecutive_failures > 0 => Health::Doubtful,
        State::Active => Health::Well,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deliver::fixture;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(second)
    }

    fn row(name: &str, state: State, consecutive_failures: i32) -> endpoint::Model {
        endpoint::Model { consecutive_failures, ..fixture::row(name, state) }
    }

    /// The names of those that are down, or of the one that has accepted something after a `+`.
    fn noted_at(second: i64, all: &mut AllDown, rows: &[endpoint::Model]) -> Vec<String> {
        match all.note(rows, at(second)) {
            News::Nothing => Vec::new(),
            News::Down(rows) => rows.into_iter().map(|row| row.name.to_string()).collect(),
            News::Over(row) => vec![format!("+{}", row.name)],
        }
    }

    fn noted(all: &mut AllDown, rows: &[endpoint::Model]) -> Vec<String> {
        noted_at(100, all, rows)
    }

    #[test]
    fn an_outage_of_the_only_endpoint_is_noted_once_and_so_is_its_end() {
        let mut all = AllDown::default();
        let shop = |state, failures| [row("shop", state, failures)];
        assert!(noted(&mut all, &shop(State::Active, 0)).is_empty());
        assert!(noted(&mut all, &shop(State::Active, 4)).is_empty());
        assert_eq!(noted(&mut all, &shop(State::Failing, 5)), ["shop"]);
        assert!(noted(&mut all, &shop(State::Failing, 6)).is_empty());
        assert!(noted(&mut all, &shop(State::Suspended, 7)).is_empty(), "it is the same outage");
        assert!(noted(&mut all, &shop(State::Active, 0)).is_empty(), "an operator has resumed it");
        assert!(noted(&mut all, &shop(State::Failing, 5)).is_empty(), "it never took anything between the two");
        let taken = |state, second| [endpoint::Model { last_success_at: Some(at(second)), ..row("shop", state, 0) }];
        assert_eq!(noted_at(101, &mut all, &taken(State::Active, 101)), ["+shop"]);
        assert!(noted_at(102, &mut all, &taken(State::Active, 102)).is_empty());
        assert!(noted_at(131, &mut all, &taken(State::Failing, 102)).is_empty());
        assert_eq!(noted_at(132, &mut all, &taken(State::Failing, 102)), ["shop"], "another outage");
        assert!(noted_at(140, &mut all, &taken(State::Failing, 102)).is_empty());
        assert_eq!(noted_at(141, &mut all, &taken(State::Active, 141)), ["+shop"]);
    }

    #[test]
    fn an_endpoint_that_refuses_some_callbacks_is_no_outage() {
        let mut all = AllDown::default();
        // Every five seconds it fails for a second and takes the next probe.
        for second in 100..200 {
            let since = second - second % 5;
            let (state, failures, taken) =
                if second == since { (State::Failing, 5, second - 1) } else { (State::Active, 0, since + 1) };
            let shop =
                endpoint::Model { since: at(since), last_success_at: Some(at(taken)), ..row("shop", state, failures) };
            assert!(noted_at(second, &mut all, &[shop]).is_empty(), "{second}");
        }
    }

    #[test]
    fn a_quiet_endpoint_is_down_only_after_a_while_of_failing() {
        let (mut all, quiet) = (AllDown::default(), Some(at(1)));
        let shop =
            |since| endpoint::Model { since: at(since), last_success_at: quiet, ..row("shop", State::Failing, 5) };
        assert!(noted_at(100, &mut all, &[shop(100)]).is_empty());
        assert!(noted_at(129, &mut all, &[shop(100)]).is_empty());
        assert_eq!(noted_at(130, &mut all, &[shop(100)]), ["shop"]);
        let gone = endpoint::Model { since: at(100), ..row("shop", State::Suspended, 1) };
        assert_eq!(noted_at(100, &mut AllDown::default(), &[gone]), ["shop"], "nothing is sent to it any more");
    }

    #[test]
    fn while_another_endpoint_takes_callbacks_there_is_no_outage() {
        let failing = row("shop", State::Failing, 5);
        for (other, expected) in [
            (row("crm", State::Active, 0), &[][..]),
            (row("crm", State::Active, 2), &[]),
            (endpoint::Model { since: at(90), ..row("crm", State::Failing, 5) }, &[]),
            (endpoint::Model { hold_until: Some(at(130)), ..row("crm", State::Active, 1) }, &[]),
            (endpoint::Model { hold_until: Some(at(900)), ..row("crm", State::Active, 1) }, &["shop", "crm"]),
            (row("crm", State::Suspended, 9), &["shop", "crm"]),
            (row("crm", State::Paused, 0), &["shop"]),
        ] {
            let mut all = AllDown::default();
            assert_eq!(noted(&mut all, &[failing.clone(), other.clone()]), expected, "{other:?}");
        }
        let removed = endpoint::Model { removed_at: Some(at(1)), ..row("crm", State::Active, 0) };
        assert!(noted(&mut AllDown::default(), &[row("shop", State::Paused, 0), removed.clone()]).is_empty());
        assert_eq!(noted(&mut AllDown::default(), &[failing, removed]), ["shop"]);
    }

    #[test]
    fn the_first_callback_that_any_endpoint_takes_ends_it() {
        let mut all = AllDown::default();
        let failing = row("shop", State::Failing, 5);
        let crm = |taken| endpoint::Model { last_success_at: Some(at(taken)), ..row("crm", State::Active, 0) };
        let gone = endpoint::Model { state: State::Suspended, ..crm(50) };
        assert_eq!(noted(&mut all, &[failing.clone(), gone]), ["shop", "crm"]);
        assert!(noted(&mut all, &[failing.clone(), crm(50)]).is_empty(), "it was resumed, and not called yet");
        assert_eq!(noted(&mut all, &[failing, crm(100)]), ["+crm"]);
    }
}
