//! Tests how the machine reacts to new events and to commands, and what it reports of them.

use lumo_bridge_entity::operator_action::{self, Action as Deed};

use super::*;

fn refreshes(actions: &[Action]) -> bool {
    actions.iter().any(|action| matches!(action, Action::Refresh { .. }))
}

/// What the leader reads after so many commands since the commit of the first event: the second is still wanted.
fn refreshed(commit: &GroupCommit, commands: i64) -> Input {
    let position = position::Model { revision: commit.revision + commands, commits: commit.commits + 1, ..position(1) };
    Input::Refreshed(Some(Some(Refreshed {
        endpoint: row(State::Active),
        position,
        touched: vec![],
        wanted: vec![2],
        last_seq: 2,
        corrected: Corrected::default(),
        operated: None,
    })))
}

#[test]
fn what_others_have_found_spares_a_read_and_never_an_event() {
    let reads_after = |actions: &[Action]| {
        actions.iter().find_map(|action| match action {
            Action::Read { after, .. } => Some(*after),
            _ => None,
        })
    };
    let mut bench = Bench::new(State::Active, 8);
    bench.read(vec![event(1, "bob")]);
    assert!(bench.machine.is_keen(bench.now.instant), "it has just been sent something");
    bench.now.instant += Duration::from_secs(11);
    assert!(!bench.machine.is_keen(bench.now.instant));

    // From where it is, or from before: it goes on behind.
    assert_eq!(reads_after(&bench.step(Input::Passed { from: 1, through: 4 })), None);
    assert_eq!(reads_after(&bench.step(Input::Passed { from: 2, through: 7 })), None);
    assert_eq!(reads_after(&bench.step(Input::Snapshot { revision: 0, last: 9 })), None, "others look there");
    // A look that began behind it leaves out what lies between.
    assert_eq!(reads_after(&bench.step(Input::Passed { from: 9, through: 10 })), Some(7));
    assert!(bench.machine.is_keen(bench.now.instant), "until it has come to the end");
    assert_eq!(reads_after(&bench.step(Input::Passed { from: 7, through: 11 })), None, "one read at a time");
    let slice = Slice { events: vec![event(10, "eve")], through: 10, superseded: vec![] };
    let read = Read { slice, blocked: vec![], acknowledged: vec![] };
    let actions = bench.step(Input::Read(Some(read)));
    assert_eq!(
        (Bench::sent(&actions), reads_after(&actions)),
        (vec![10], Some(10)),
        "and on, as something came meanwhile"
    );
}

#[test]
fn nothing_is_written_while_what_a_command_left_is_still_to_be_finished() {
    let commits = |actions: &[Action]| actions.iter().any(|one| matches!(one, Action::Commit(_)));
    let mut bench = Bench::new(State::Active, 8);
    bench.read(vec![event(1, "bob"), event(2, "eve")]);
    bench.due(vec![]);
    bench.step(Input::Acknowledged(Some(vec![])));
    bench.answer(1, 200);
    let commit = bench.commit();
    // A read is under way, so the leader cannot look after the command at once.
    bench.step(Input::Appended);
    bench.written(&commit, commit.revision + 3);
    bench.answer(2, 200);
    assert!(!commits(&bench.wait(Duration::from_millis(60))), "it would say that the command was seen");
    assert!(!commits(&bench.step(Input::Drain)));
    let actions = bench.step(Input::Read(Some(Read::default())));
    assert!(refreshes(&actions) && !commits(&actions));
    assert!(commits(&bench.step(refreshed(&commit, 4))), "and then what came meanwhile");
}

#[test]
fn a_lease_that_had_ended_is_of_use_once_the_lead_is_known() {
    let mut bench = Bench::new(State::Active, 1);
    assert_eq!(Bench::sent(&bench.read(vec![event(1, "bob"), event(2, "eve")])), [1]);
    bench.due(vec![]);
    bench.step(Input::Acknowledged(Some(vec![])));
    bench.step(Input::Read(Some(Read::default())));
    // The process was stopped for longer than its lease, and goes on with the answer of before.
    bench.now.instant += Duration::from_secs(3601);
    bench.now.utc += TimeDelta::seconds(3601);
    let commit = bench.answer(1, 200).into_iter().find_map(|action| match action {
        Action::Commit(commit) => Some(commit),
        _ => None,
    });
    let commit = commit.expect("no commit, or something is sent");
    let actions = bench.step(Input::Lease(bench.now.instant + Duration::from_secs(60)));
    assert!(actions.is_empty(), "{actions:?}");
    bench.step(Input::Acknowledged(Some(vec![])));
    let actions = bench.committed(&commit);
    assert!(refreshes(&actions) && Bench::sent(&actions).is_empty(), "{actions:?}");
    let actions = bench.step(refreshed(&commit, 1));
    assert_eq!(Bench::sent(&actions), [2], "nobody else has taken the lead");
    // One that is renewed in time is as good as before.
    bench.now.instant += Duration::from_secs(50);
    assert!(!refreshes(&bench.step(Input::Lease(bench.now.instant + Duration::from_secs(60)))));
}

fn turn(id: i64, action: Deed) -> Option<Box<operator_action::Model>> {
    let (actor, object) = ("cli:ann".to_owned(), "shop".to_owned());
    Some(Box::new(operator_action::Model { id, at: at(100), actor, action, object, event_id: None, reason: None }))
}

/// What is reported once the endpoint is found in this state.
fn found(bench: &mut Bench, state: State, operated: Option<Box<operator_action::Model>>) -> Vec<String> {
    let refreshed = Refreshed {
        endpoint: row(state),
        position: position(0),
        touched: vec![],
        wanted: vec![],
        last_seq: 0,
        corrected: Corrected::default(),
        operated,
    };
    let reported = |action| match action {
        Action::Notify(Notice::Paused { by, since }) => Some(format!("paused by {by:?} since {}", since.timestamp())),
        Action::Notify(Notice::Resumed { by }) => Some(format!("resumed by {by:?}")),
        Action::Notify(Notice::Turned { to, .. }) => Some(format!("is {to:?}")),
        _ => None,
    };
    bench.step(Input::Refreshed(Some(Some(refreshed)))).into_iter().filter_map(reported).collect()
}

#[test]
fn what_an_operator_does_with_the_endpoint_is_reported_once() {
    let mut bench = Bench::new(State::Active, 8);
    let ann = r#"Some("cli:ann")"#;
    assert_eq!(found(&mut bench, State::Paused, turn(7, Deed::Pause)), [format!("paused by {ann} since 0")]);
    assert!(found(&mut bench, State::Paused, turn(7, Deed::Pause)).is_empty());
    assert!(found(&mut bench, State::Paused, None).is_empty());
    assert_eq!(found(&mut bench, State::Active, turn(9, Deed::Resume)), [format!("resumed by {ann}")]);
    // One that ends a hold, or forgets failures, changes no state.
    assert_eq!(found(&mut bench, State::Active, turn(10, Deed::Resume)), [format!("resumed by {ann}")]);
    assert!(found(&mut bench, State::Active, turn(10, Deed::Resume)).is_empty());
    // The record is too far back.
    assert_eq!(found(&mut bench, State::Paused, turn(10, Deed::Resume)), ["paused by None since 0"]);
    assert_eq!(found(&mut bench, State::Active, None), ["resumed by None"]);
}

#[test]
fn a_new_leader_reports_that_nothing_is_sent_before_an_operator_resumes_the_endpoint() {
    for (state, operated, expected) in [
        (State::Active, turn(7, Deed::Resume), &[][..]),
        (State::Failing, None, &[]),
        (State::Suspended, turn(7, Deed::Pause), &["is Suspended"]),
        (State::Paused, turn(7, Deed::Pause), &[r#"paused by Some("cli:ann") since 0"#]),
        (State::Paused, turn(7, Deed::Resume), &["paused by None since 0"]),
    ] {
        let mut bench = Bench::new(state, 8);
        bench.machine.latest_turn = None;
        assert_eq!(found(&mut bench, state, operated.clone()), expected, "{state:?}");
        assert!(found(&mut bench, state, operated).is_empty(), "{state:?}");
    }
}

#[test]
fn a_hold_that_the_endpoint_asks_for_is_reported_with_its_end() {
    let held = |retry_after| {
        let mut bench = Bench::new(State::Active, 8);
        bench.read(vec![event(1, "bob")]);
        let actions = bench.step(Input::Answered { seq: 1, report: answered(503, retry_after) });
        actions.into_iter().find_map(|action| match action {
            Action::Notify(Notice::Held { until, error }) => Some((until, error)),
            _ => None,
        })
    };
    assert_eq!(held(Some(60)), Some((at(160), Some("answered 503".to_owned()))));
    assert_eq!(held(None), None);
}
