//! When an endpoint changes its state by itself.

use chrono::{DateTime, TimeDelta, Utc};
use lumo_bridge_entity::endpoint::{self, State};

/// So many failures running, and it counts as failing.
pub(super) const FAILURES: i32 = 5;
/// For so long it may fail before it is called no more.
const SUSPENDED_AFTER: TimeDelta = TimeDelta::hours(72);
/// The wait before the first probe, and before every probe of the first ten seconds.
const FIRST_PROBE: TimeDelta = TimeDelta::seconds(1);
/// No wait before a probe is longer.
const LAST_PROBE: TimeDelta = TimeDelta::minutes(1);

/// What attempts that were settled together met.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Met {
    pub(super) succeeded: bool,
    pub(super) failed: bool,
    /// It said that it is gone for good.
    pub(super) gone: bool,
}

/// What is to be done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    Nothing,
    Turn { to: State, hold_until: Option<DateTime<Utc>> },
    ProbeAt(DateTime<Utc>),
}

/// `row` as it stands with what was met written into it.
pub(super) fn decide(row: &endpoint::Model, met: Met, now: DateTime<Utc>) -> Decision {
    let away = (now - row.since).max(TimeDelta::zero());
    match row.state {
        State::Active | State::Failing if met.gone => Decision::Turn { to: State::Suspended, hold_until: None },
        State::Failing if met.succeeded => Decision::Turn { to: State::Active, hold_until: None },
        State::Failing if met.failed && away >= SUSPENDED_AFTER => {
            Decision::Turn { to: State::Suspended, hold_until: None }
        }
        State::Failing if met.failed => Decision::ProbeAt(now + (away / 10).clamp(FIRST_PROBE, LAST_PROBE)),
        State::Active if row.consecutive_failures >= FAILURES => {
            let hold = row.hold_until.map_or(now + FIRST_PROBE, |hold| hold.max(now + FIRST_PROBE));
            Decision::Turn { to: State::Failing, hold_until: Some(hold) }
        }
        _ => Decision::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(second)
    }

    fn row(state: State, consecutive_failures: i32) -> endpoint::Model {
        endpoint::Model {
            name: "shop".parse().unwrap(),
            state,
            since: at(0),
            consecutive_failures,
            last_success_at: None,
            hold_until: None,
            removed_at: None,
            backfill_since: None,
            backfill_place: None,
            backfill_done_at: None,
        }
    }

    const FAILED: Met = Met { succeeded: false, failed: true, gone: false };
    const SUCCEEDED: Met = Met { succeeded: true, failed: false, gone: false };
    const GONE: Met = Met { succeeded: false, failed: true, gone: true };

    #[test]
    fn five_failures_running_make_it_fail() {
        assert_eq!(decide(&row(State::Active, 4), FAILED, at(9)), Decision::Nothing);
        let failing = Decision::Turn { to: State::Failing, hold_until: Some(at(10)) };
        assert_eq!(decide(&row(State::Active, 5), FAILED, at(9)), failing);
        let asked = endpoint::Model { hold_until: Some(at(99)), ..row(State::Active, 5) };
        let failing = Decision::Turn { to: State::Failing, hold_until: Some(at(99)) };
        assert_eq!(decide(&asked, FAILED, at(9)), failing);
    }

    #[test]
    fn probes_come_every_second_at_first_and_every_minute_at_last() {
        for (away, wait) in [(0, 1), (9, 1), (10, 1), (50, 5), (599, 59), (600, 60), (100_000, 60)] {
            let Decision::ProbeAt(probe) = decide(&row(State::Failing, 7), FAILED, at(away)) else { panic!("{away}") };
            assert_eq!((probe - at(away)).num_seconds(), wait, "{away}");
        }
        let clock_went_back = decide(&row(State::Failing, 7), FAILED, at(-100));
        assert_eq!(clock_went_back, Decision::ProbeAt(at(-99)));
    }

    #[test]
    fn one_success_is_recovery() {
        let active = Decision::Turn { to: State::Active, hold_until: None };
        assert_eq!(decide(&row(State::Failing, 0), SUCCEEDED, at(9)), active);
        assert_eq!(decide(&row(State::Active, 0), SUCCEEDED, at(9)), Decision::Nothing);
    }

    #[test]
    fn gone_or_away_for_three_days_is_suspended() {
        let suspended = Decision::Turn { to: State::Suspended, hold_until: None };
        assert_eq!(decide(&row(State::Active, 1), GONE, at(9)), suspended);
        assert_eq!(decide(&row(State::Failing, 9), GONE, at(9)), suspended);
        assert_eq!(decide(&row(State::Failing, 9), FAILED, at(72 * 3600)), suspended);
        for state in [State::Paused, State::Suspended] {
            assert_eq!(decide(&row(state, 9), GONE, at(9)), Decision::Nothing);
        }
    }
}
