//! Tests what happens to a delivery while its receiver is down, and when the clock is set back.

use super::*;
use crate::model::retry::EARLY_TRIES;

/// A row that has made every attempt but its last.
fn on_its_last(seq: i64, user: &str) -> DueRow {
    DueRow { tries: 2, attempts: 2, hold_until: Some(at(500)), ..due(seq, user, Reason::Live) }
}

fn fates(commit: &GroupCommit) -> Vec<(i64, Fate)> {
    commit.items.iter().map(|item| (item.seq, item.fate)).collect()
}

#[test]
fn a_schedule_ends_only_while_the_endpoint_takes_something_else() {
    let mut bench = Bench::new(State::Active, 8);
    bench.read(vec![]);
    bench.due((1..=4).map(|seq| on_its_last(seq, &seq.to_string())).collect());
    bench.answer(1, 500);
    bench.answer(2, 200);
    bench.answer(3, 500);
    bench.answer(4, 500);
    let again = Fate::RetryAt(at(130));
    // Nothing was taken before the first, and nothing between the last two.
    assert_eq!(fates(&bench.commit()), [(1, again), (2, Fate::Done), (3, Fate::Dead), (4, again)]);
}

#[test]
fn a_request_that_cannot_be_made_says_nothing_of_the_receiver() {
    let mut bench = Bench::new(State::Active, 8);
    bench.read(vec![]);
    bench.due(vec![on_its_last(1, "a")]);
    let outcome = Outcome::Unreachable(crate::model::retry::Unreachable::Request);
    bench.step(Input::Answered { seq: 1, report: Report { outcome, status: None, ..answered(500, None) } });
    assert_eq!(fates(&bench.commit()), [(1, Fate::Dead)]);
}

#[test]
fn a_clock_that_is_set_back_has_the_times_corrected() {
    let corrects = |actions: &[Action]| {
        actions.iter().find_map(|one| match one {
            Action::Refresh { longest, .. } => Some(longest.is_some()),
            _ => None,
        })
    };
    let mut bench = Bench::new(State::Active, 8);
    bench.read(vec![]);
    bench.due(vec![]);
    bench.step(Input::Acknowledged(Some(vec![])));
    bench.now.utc += TimeDelta::days(1);
    assert_eq!(corrects(&bench.step(Input::Tick)), None, "ahead");
    bench.now.utc -= TimeDelta::seconds(50);
    assert_eq!(corrects(&bench.step(Input::Tick)), None, "by less than a minute");
    bench.now.utc -= TimeDelta::seconds(70);
    assert_eq!(corrects(&bench.step(Input::Tick)), Some(true));
}

#[test]
fn a_probe_that_fails_gives_nothing_up_and_brings_nothing_nearer_that_failed_often() {
    for (tries, due) in [(EARLY_TRIES, at(100)), (EARLY_TRIES + 1, at(130))] {
        let mut bench = Bench::new(State::Failing, 8);
        bench.step(Input::Tick);
        let row = DueRow { tries, attempts: tries, ..super::due(1, "a", Reason::Live) };
        bench.step(Input::ProbeFound(Some(Some(Candidate::Row(Box::new(row))))));
        bench.answer(1, 500);
        let commit = bench.commit();
        assert_eq!((commit.items[0].tries, commit.items[0].fate), (tries, Fate::RetryAt(due)));
    }
}
