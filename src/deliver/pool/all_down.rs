//! Notices when no endpoint accepts callbacks any more, so that this is logged once per outage.
//!
//! Pure.

use chrono::{DateTime, TimeDelta, Utc};
use lumo_bridge_entity::endpoint::{self, State};

/// An endpoint that asks not to be called for longer than this counts as down.
const LONG_HOLD: TimeDelta = TimeDelta::minutes(1);

/// The endpoints as a whole.
#[derive(Debug, Default)]
pub(super) struct AllDown {
    is_noted: bool,
}

/// Whether an endpoint takes callbacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    /// It does: its last attempt did not fail, or it was not called yet.
    Well,
    /// Its last attempt failed, but it is still called.
    Doubtful,
    /// It is failing or suspended, or asks not to be called for a long time.
    Down,
    /// An operator has paused it.
    Paused,
}

impl AllDown {
    /// Takes the state of all endpoints. Returns, once per outage, those that are down when no endpoint is left that
    /// accepts callbacks; otherwise an empty list.
    pub(super) fn note<'a>(&mut self, rows: &'a [endpoint::Model], now: DateTime<Utc>) -> Vec<&'a endpoint::Model> {
        let configured = || rows.iter().filter(|row| row.removed_at.is_none());
        let any = |wanted: Health| configured().any(|row| health(row, now) == wanted);
        if any(Health::Well) || !any(Health::Down) {
            // One that fails now and then may never be well for long.
            self.is_noted &= !any(Health::Well);
            return Vec::new();
        }
        if any(Health::Doubtful) || std::mem::replace(&mut self.is_noted, true) {
            return Vec::new();
        }
        configured().filter(|row| health(row, now) == Health::Down).collect()
    }
}

fn health(row: &endpoint::Model, now: DateTime<Utc>) -> Health {
    match row.state {
        State::Failing | State::Suspended => Health::Down,
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

    fn noted(all: &mut AllDown, rows: &[endpoint::Model]) -> Vec<String> {
        all.note(rows, at(100)).into_iter().map(|row| row.name.to_string()).collect()
    }

    #[test]
    fn an_outage_of_the_only_endpoint_is_noted_once() {
        let mut all = AllDown::default();
        let shop = |state, failures| [row("shop", state, failures)];
        assert!(noted(&mut all, &shop(State::Active, 0)).is_empty());
        assert!(noted(&mut all, &shop(State::Active, 4)).is_empty());
        assert_eq!(noted(&mut all, &shop(State::Failing, 5)), ["shop"]);
        assert!(noted(&mut all, &shop(State::Failing, 6)).is_empty());
        assert!(noted(&mut all, &shop(State::Suspended, 7)).is_empty(), "it is the same outage");
        assert!(noted(&mut all, &shop(State::Active, 1)).is_empty());
        assert!(noted(&mut all, &shop(State::Failing, 5)).is_empty(), "it never took anything between the two");
        assert!(noted(&mut all, &shop(State::Active, 0)).is_empty());
        assert_eq!(noted(&mut all, &shop(State::Failing, 5)), ["shop"]);
    }

    #[test]
    fn while_another_endpoint_takes_callbacks_there_is_no_outage() {
        let mut all = AllDown::default();
        let failing = row("shop", State::Failing, 5);
        for (other, expected) in [
            (row("crm", State::Active, 0), &[][..]),
            (row("crm", State::Active, 2), &[]),
            (endpoint::Model { hold_until: Some(at(130)), ..row("crm", State::Active, 1) }, &[]),
            (endpoint::Model { hold_until: Some(at(900)), ..row("crm", State::Active, 1) }, &["shop", "crm"]),
            (row("crm", State::Active, 0), &[]),
            (row("crm", State::Suspended, 9), &["shop", "crm"]),
            (row("crm", State::Active, 0), &[]),
            (row("crm", State::Paused, 0), &["shop"]),
        ] {
            assert_eq!(noted(&mut all, &[failing.clone(), other.clone()]), expected, "{other:?}");
        }
        let removed = endpoint::Model { removed_at: Some(at(1)), ..row("crm", State::Active, 0) };
        assert!(noted(&mut AllDown::default(), &[row("shop", State::Paused, 0), removed.clone()]).is_empty());
        assert_eq!(noted(&mut AllDown::default(), &[failing, removed]), ["shop"]);
    }
}
