//! Tests that a receiver that refuses the callbacks of some users is not taken for one that is down.

use super::*;

/// Failures in a row that are counted, after this much has been answered with a failure or a success.
fn counted(bench: &mut Bench, answers: &[(i64, u16)]) -> (State, i32) {
    for (seq, status) in answers {
        bench.answer(*seq, *status);
    }
    (bench.machine.breaker.state(), bench.machine.breaker.failures())
}

fn again(seq: i64, user: &str) -> DueRow {
    DueRow { tries: 1, attempts: 1, ..due(seq, user, Reason::Live) }
}

#[test]
fn what_was_refused_before_the_endpoint_took_others_counts_no_more() {
    let mut bench = Bench::new(State::Active, 32);
    bench.due(vec![]);
    let refused = (1..=12).map(|seq| event(seq, &format!("refused {seq}")));
    let taken = (13..=24).map(|seq| event(seq, &format!("taken {seq}")));
    bench.read(refused.chain(taken).collect());
    // Each refusal is followed by a success.
    let mixed: Vec<_> = (1..=12).flat_map(|seq| [(seq, 400), (seq + 12, 200)]).collect();
    assert_eq!(counted(&mut bench, &mixed), (State::Active, 0));
    let commit = bench.commit();
    bench.committed(&commit);
    bench.wait(Duration::from_secs(30));
    bench.due((1..=12).map(|seq| again(seq, &format!("refused {seq}"))).collect());
    let in_a_row: Vec<_> = (1..=12).map(|seq| (seq, 400)).collect();
    assert_eq!(counted(&mut bench, &in_a_row), (State::Active, 0), "twelve in a row, of lanes that are known");
}

#[test]
fn a_lane_that_fails_again_with_no_success_in_between_counts_each_time() {
    let mut bench = Bench::new(State::Active, 1);
    bench.due(vec![]);
    bench.read(vec![event(1, "a")]);
    for failures in 1..=4 {
        assert_eq!(counted(&mut bench, &[(1, 500)]), (State::Active, failures));
        let commit = bench.commit();
        bench.committed(&commit);
        bench.wait(Duration::from_secs(60));
        bench.due(vec![DueRow { tries: failures, attempts: failures, ..due(1, "a", Reason::Live) }]);
    }
    assert_eq!(counted(&mut bench, &[(1, 500)]).0, State::Failing);
}

#[test]
fn answers_that_come_while_the_endpoint_is_left_alone_are_one_wish_to_be() {
    let mut bench = Bench::new(State::Active, 8);
    bench.read((1..=8).map(|seq| event(seq, &seq.to_string())).collect());
    for seq in 1..=8 {
        bench.step(Input::Answered { seq, report: answered(503, Some(600)) });
    }
    assert_eq!((bench.machine.breaker.state(), bench.machine.breaker.failures()), (State::Active, 1));
}

#[test]
fn a_delivery_without_a_lane_is_forgotten_once_it_is_dead_or_skipped() {
    let mut bench = Bench::with(State::Active, |settings| settings.order = Order::None);
    let failed = |seq, tries| DueRow { lane: None, tries, attempts: tries, ..due(seq, "a", Reason::Live) };
    bench.read(vec![event(9, "b")]);
    bench.due(vec![failed(1, 2), failed(2, 0)]);
    bench.answer(9, 200);
    bench.answer(1, 500);
    assert_eq!(bench.machine.lanes.remembered(), 0, "its schedule was spent");
    bench.answer(2, 500);
    assert_eq!(bench.machine.lanes.remembered(), 1);
    let refreshed = Refreshed {
        endpoint: row(State::Active),
        position: position(0),
        touched: vec![2],
        wanted: vec![],
        last_seq: 9,
        corrected: Corrected::default(),
        operated: None,
    };
    bench.step(Input::Refreshed(Some(Some(refreshed))));
    assert_eq!(bench.machine.lanes.remembered(), 0);
}
