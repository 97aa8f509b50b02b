//! Tests `when`: which events are sent, and how the others are recorded.

use std::sync::Arc;

use lumo_bridge_entity::attempt::AttemptResult;

use super::*;
use crate::model::condition::Condition;

/// Sends what has an even number, and has no answer for what has none.
fn bench(state: State, change: impl FnOnce(&mut Settings)) -> Bench {
    Bench::with(state, |settings| {
        settings.when = Some(Arc::new(Condition::parse("sequence in [2, 4, 6]").unwrap()));
        change(settings);
    })
}

fn numbered(seq: i64, user: &str) -> LogEvent {
    LogEvent { body: format!(r#"{{"sequence":{seq}}}"#), ..event(seq, user) }
}

fn left_out(actions: &[Action]) -> usize {
    actions.iter().filter(|action| matches!(action, Action::Notify(Notice::LeftOut))).count()
}

fn results(commit: &GroupCommit) -> Vec<(i64, Option<AttemptResult>, bool)> {
    let result = |item: &Item| item.attempt.as_ref().map(|attempt| attempt.result);
    commit.items.iter().map(|item| (item.seq, result(item), item.fate == Fate::Done)).collect()
}

#[test]
fn what_is_rejected_is_recorded_and_takes_no_room_and_no_token() {
    let mut bench = bench(State::Active, |settings| {
        settings.per_second = Some(1.0);
        settings.concurrency = 1;
    });
    let actions =
        bench.read([(1, "a"), (2, "a"), (3, "a"), (5, "b"), (7, "b")].map(|(seq, user)| numbered(seq, user)).into());
    assert_eq!((Bench::sent(&actions), left_out(&actions)), (vec![2], 1), "the rest waits for its turn");
    let actions = bench.answer(2, 200);
    assert_eq!((Bench::sent(&actions), left_out(&actions)), (vec![], 0), "there is a token in a second");
    let actions = bench.wait(Duration::from_secs(1));
    assert_eq!((Bench::sent(&actions), left_out(&actions)), (vec![], 3), "one token is enough for all of them");
    let commits = |action| if let Action::Commit(commit) = action { Some(commit) } else { None };
    let commit = actions.into_iter().find_map(commits).unwrap();
    let filtered = Some(AttemptResult::Filtered);
    let expected = [(1, filtered), (2, Some(AttemptResult::Delivered)), (3, filtered), (5, filtered), (7, filtered)];
    assert_eq!(results(&commit), expected.map(|(seq, result)| (seq, result, true)));
    assert_eq!((commit.position, commit.note.map(|note| note.consecutive_failures)), (7, Some(0)));
}

#[test]
fn what_cannot_be_judged_has_failed_and_is_tried_by_the_schedule_and_then_dead() {
    let mut bench = bench(State::Active, |_| {});
    bench.due(vec![]);
    let lacking = LogEvent { body: "{}".to_owned(), ..event(1, "a") };
    let actions = bench.read(vec![lacking.clone(), numbered(2, "a"), numbered(4, "b")]);
    assert_eq!(Bench::sent(&actions), [4], "what stands behind it in its lane waits");
    bench.answer(4, 200);
    let commit = bench.commit();
    let [first, second, _] = commit.items.as_slice() else { panic!("{commit:?}") };
    let attempt = first.attempt.as_ref().unwrap();
    assert_eq!((attempt.result, attempt.status), (AttemptResult::Failed, None));
    let error = attempt.error.as_deref().unwrap();
    assert!(error.starts_with("`when`: `sequence` is not there; "), "{error}");
    assert!(matches!(first.fate, Fate::RetryAt(retry) if retry == at(105)), "{:?}", first.fate);
    assert_eq!((first.tries, second.fate), (1, Fate::Wait));
    assert!(commit.note.as_ref().is_none_or(|note| note.consecutive_failures == 0), "it says nothing of the receiver");
    bench.committed(&commit);

    bench.wait(Duration::from_secs(60));
    let row = DueRow { event: lacking, tries: 2, attempts: 2, ..due(1, "a", Reason::Live) };
    let actions = bench.due(vec![row]);
    assert_eq!(Bench::sent(&actions), [] as [i64; 0]);
    let commit = bench.commit();
    assert_eq!((commit.items[0].fate, commit.items[0].attempts), (Fate::Dead, 3));
}

#[test]
fn what_waits_in_the_table_is_judged_anew() {
    let mut bench = bench(State::Active, |_| {});
    bench.read(vec![]);
    let row = |seq, user| DueRow { event: numbered(seq, user), tries: 1, attempts: 1, ..due(seq, user, Reason::Live) };
    let actions = bench.due(vec![row(1, "a"), row(2, "b")]);
    assert_eq!((Bench::sent(&actions), left_out(&actions)), (vec![2], 1));
}

#[test]
fn an_endpoint_that_fails_is_not_tried_with_what_is_left_out() {
    let mut bench = bench(State::Failing, |_| {});
    bench.step(Input::Tick);
    let row = |seq| {
        let row = DueRow { event: numbered(seq, "a"), ..due(seq, "a", Reason::Live) };
        Input::ProbeFound(Some(Some(Candidate::Row(Box::new(row)))))
    };
    let actions = bench.step(row(1));
    assert_eq!((Bench::sent(&actions), left_out(&actions)), (vec![], 1));
    let commit = bench.commit();
    assert_eq!(results(&commit), [(1, Some(AttemptResult::Filtered), true)]);
    let actions = bench.committed(&commit);
    assert!(actions.iter().any(|action| matches!(action, Action::FindProbe { .. })), "{actions:?}");
    assert_eq!(Bench::sent(&bench.step(row(2))), [2]);
}

#[test]
fn a_sink_runs_for_what_is_let_through_and_records_the_rest_in_its_place() {
    let mut bench = bench(State::Active, |settings| (settings.is_sink, settings.per_second) = (true, Some(2.0)));
    let sink_run = |actions: Vec<Action>| {
        let of_sink =
            |action| if let Action::RunSink { commit, bodies } = action { Some((commit, bodies)) } else { None };
        actions.into_iter().find_map(of_sink)
    };
    let lacking = LogEvent { body: "{}".to_owned(), ..event(5, "c") };
    let mut events: Vec<LogEvent> =
        [(1, "a"), (2, "a"), (3, "b"), (4, "b")].map(|(seq, user)| numbered(seq, user)).into();
    events.push(lacking);
    let (commit, bodies) = sink_run(bench.read(events)).unwrap();
    assert_eq!(bodies.iter().map(Option::is_some).collect::<Vec<_>>(), [false, true, false, true]);
    let (ran, left) = (Some(AttemptResult::Delivered), Some(AttemptResult::Filtered));
    assert_eq!(results(&commit), [(1, left, true), (2, ran, true), (3, left, true), (4, ran, true)]);
    assert_eq!(commit.position, 4);
    let committed = Committed {
        revision: commit.revision + 1,
        commits: commit.commits + 1,
        is_stale: false,
        dropped: vec![],
        acknowledged: vec![],
        freed: false,
    };
    let end = SinkEnd { done: 4, written: Some(Written::Committed(committed)), failed: None };
    let actions = bench.step(Input::SinkRan(Some(end)));
    assert_eq!(left_out(&actions), 2);
    let ran = actions
        .iter()
        .filter(|action| matches!(action, Action::Notify(Notice::Attempt { verdict: Verdict::Done, .. })));
    assert_eq!(ran.count(), 2);
    assert!(sink_run(actions).is_none(), "what cannot be judged has failed by now");
    let commit = bench.commit();
    assert!(
        matches!(commit.items.as_slice(), [item] if item.seq == 5 && matches!(item.fate, Fate::RetryAt(_))),
        "{commit:?}"
    );
}
