//! Tests the machine alone: its actions for inputs that a test makes up.

mod filter;
mod news;
mod outage;
mod refusals;

use lumo_bridge_entity::endpoint::State;
use lumo_bridge_entity::exception::{self, Reason};

use super::*;
use crate::deliver::fixture;
use crate::model::id::EventId;
use crate::model::retry::Outcome;
use crate::model::retry::Verdict;
use crate::store::delivery::{Committed, Corrected, DueRow, Fate, Item, KnownRow, Refreshed, Written};
use crate::store::log::{LogEvent, Slice};

struct Bench {
    machine: Machine,
    now: Now,
}

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
}

fn row(state: State) -> endpoint::Model {
    fixture::row("shop", state)
}

fn position(position: i64) -> position::Model {
    position::Model { endpoint: "shop".parse().unwrap(), position, epoch: 1, revision: 1, commits: 0, seen: 1 }
}

fn event(seq: i64, user: &str) -> LogEvent {
    let id: EventId = format!("evt_{}", "a".repeat(26)).parse().unwrap();
    let (kind, body) = ("deposit.created".to_owned(), "{}".to_owned());
    LogEvent { seq, id, kind, stream: format!("user:{user}"), detected_at: at(90), body }
}

fn due(seq: i64, user: &str, reason: Reason) -> DueRow {
    let event = event(seq, user);
    DueRow {
        lane: Order::User.lane(&event.stream),
        event,
        state: exception::State::Waiting,
        reason,
        tries: 0,
        attempts: 0,
        hold_until: None,
        last_status: None,
        known: KnownRow { touched: 0, is_wanted: true },
        superseded_by: None,
    }
}

fn answered(status: u16, retry_after: Option<u64>) -> Report {
    let outcome = match status {
        200 => Outcome::Accepted { status },
        _ => Outcome::Refused { status, retry_after: retry_after.map(Duration::from_secs) },
    };
    let error = (status != 200).then(|| format!("answered {status}"));
    Report { outcome, started_at: at(0), duration: Duration::ZERO, status: Some(status), error, response_body: None }
}

impl Bench {
    fn new(state: State, concurrency: usize) -> Self {
        Self::with(state, |settings| settings.concurrency = concurrency)
    }

    fn with(state: State, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings {
            endpoint: "shop".parse().unwrap(),
            order: Order::User,
            policy: Policy {
                schedule: [5, 30].map(Duration::from_secs).to_vec(),
                jitter: 0.0,
                retry_after_cap: Duration::from_secs(3600),
            },
            max_hold: TimeDelta::minutes(10),
            concurrency: 8,
            per_second: None,
            timeout: Duration::from_secs(5),
            ack_within: None,
            is_sink: false,
            when: None,
        };
        change(&mut settings);
        let now = Now { utc: at(100), instant: Instant::now() };
        let lease = now.instant + Duration::from_secs(3600);
        let machine = Machine::new(settings, &position(0), &row(state), lease, 1, now);
        let mut bench = Self { machine, now };
        bench.step(Input::Tick);
        let refreshed = Refreshed {
            endpoint: row(state),
            position: position(0),
            touched: vec![],
            wanted: vec![],
            last_seq: 0,
            corrected: Corrected::default(),
            operated: None,
        };
        bench.step(Input::Refreshed(Some(Some(refreshed))));
        bench
    }

    fn step(&mut self, input: Input) -> Vec<Action> {
        self.machine.step(input, self.now)
    }

    /// Numbers of the events that are sent.
    fn sent(actions: &[Action]) -> Vec<i64> {
        let seq = |action: &Action| match action {
            Action::Send(sending) => Some(sending.event.seq),
            _ => None,
        };
        actions.iter().filter_map(seq).collect()
    }

    fn read(&mut self, events: Vec<LogEvent>) -> Vec<Action> {
        let through = events.iter().map(|event| event.seq).max().unwrap_or(0);
        let mut read = |events| {
            let slice = Slice { events, through, superseded: vec![] };
            self.step(Input::Read(Some(Read { slice, blocked: vec![], acknowledged: vec![] })))
        };
        let mut actions = read(events);
        // Nothing comes after them.
        actions.extend(read(vec![]));
        actions
    }

    fn due(&mut self, rows: Vec<DueRow>) -> Vec<Action> {
        self.step(Input::Due(Some(Due { rows, next_at: None, has_rows: true })))
    }

    fn answer(&mut self, seq: i64, status: u16) -> Vec<Action> {
        self.step(Input::Answered { seq, report: answered(status, None) })
    }

    fn wait(&mut self, time: Duration) -> Vec<Action> {
        self.now = Now { utc: self.now.utc + time, instant: self.now.instant + time };
        self.step(Input::Tick)
    }

    /// Waits for a group commit.
    fn commit(&mut self) -> GroupCommit {
        let actions = self.wait(Duration::from_millis(60));
        let commit = actions.into_iter().find_map(|action| match action {
            Action::Commit(commit) => Some(commit),
            _ => None,
        });
        commit.expect("no commit")
    }

    fn committed(&mut self, commit: &GroupCommit) -> Vec<Action> {
        self.written(commit, commit.revision + 1)
    }

    /// The commit was written, with so high a revision, as commands had raised it meanwhile.
    fn written(&mut self, commit: &GroupCommit, revision: i64) -> Vec<Action> {
        let committed = Committed {
            revision,
            commits: commit.commits + 1,
            is_stale: revision > commit.revision + 1,
            dropped: vec![],
            acknowledged: vec![],
            freed: false,
        };
        self.step(Input::Committed(Some(Written::Committed(committed))))
    }
}

#[test]
fn retries_and_what_is_new_go_out_in_turns_and_history_behind_both() {
    let mut bench = Bench::new(State::Active, 1);
    let rows = vec![
        due(1, "a", Reason::Backfill),
        due(2, "b", Reason::Live),
        due(3, "c", Reason::Live),
        due(4, "d", Reason::Replay),
    ];
    // Events take what room there is first, as none of them waits yet.
    let mut order = Bench::sent(&bench.read(vec![event(11, "x"), event(12, "y"), event(13, "z")]));
    bench.due(rows);
    while let Some(last) = order.last().copied() {
        let next = Bench::sent(&bench.answer(last, 200));
        assert!(next.len() <= 1, "one at a time");
        if next.is_empty() {
            break;
        }
        order.extend(next);
    }
    assert_eq!(order, [11, 2, 12, 3, 13, 4, 1]);
}

#[test]
fn a_lane_goes_on_at_the_answer_and_waits_behind_a_failure() {
    let mut bench = Bench::new(State::Active, 8);
    let sent = Bench::sent(&bench.read(vec![event(1, "a"), event(2, "a"), event(3, "b"), event(4, "a")]));
    assert_eq!(sent, [1, 3]);
    assert_eq!(Bench::sent(&bench.answer(1, 200)), [2]);
    assert_eq!(Bench::sent(&bench.answer(2, 500)), [] as [i64; 0]);
    bench.answer(3, 200);
    let commit = bench.commit();
    let fates: Vec<_> = commit.items.iter().map(|item| (item.seq, item.fate)).collect();
    let retry = Fate::RetryAt(at(105));
    assert_eq!(fates, [(1, Fate::Done), (2, retry), (3, Fate::Done), (4, Fate::Wait)]);
    assert_eq!(commit.position, 4, "everything up to here is accounted for");
}

#[test]
fn a_group_commit_is_a_prefix_and_what_holds_it_up_gets_a_row() {
    let mut bench = Bench::new(State::Active, 8);
    bench.read(vec![event(1, "a"), event(2, "b"), event(3, "c")]);
    bench.answer(1, 200);
    bench.answer(3, 200);
    let commit = bench.commit();
    assert_eq!((commit.items.len(), commit.position), (1, 1), "the second is under way");
    bench.committed(&commit);
    let actions = bench.wait(Duration::from_millis(200));
    let commit = actions.into_iter().find_map(|action| match action {
        Action::Commit(commit) => Some(commit),
        _ => None,
    });
    let commit = commit.unwrap();
    assert_eq!(commit.position, 3);
    assert!(matches!(commit.items[0].fate, Fate::Sending { .. }), "{:?}", commit.items[0]);
}

#[test]
fn a_lane_is_held_from_its_first_failure_on() {
    let mut bench = Bench::new(State::Active, 1);
    bench.due(vec![]);
    bench.read(vec![event(1, "a")]);
    bench.answer(1, 500);
    let commit = bench.commit();
    let until = commit.items[0].hold_until;
    assert_eq!(until, Some(at(100) + TimeDelta::minutes(10)));
    let actions = bench.committed(&commit);
    assert!(actions.iter().any(|action| matches!(action, Action::LoadDue { .. })), "{actions:?}");
    bench.wait(Duration::from_secs(30));
    let again = DueRow { tries: 1, attempts: 1, hold_until: until, ..due(1, "a", Reason::Live) };
    assert_eq!(Bench::sent(&bench.due(vec![again])), [1]);
    bench.answer(1, 500);
    assert_eq!(bench.commit().items[0].hold_until, until, "not from the last");
}

#[test]
fn failures_that_follow_each_other_are_counted_and_a_success_ends_the_count() {
    let mut bench = Bench::new(State::Active, 8);
    bench.read((1..=5).map(|seq| event(seq, &seq.to_string())).collect());
    bench.answer(1, 500);
    bench.answer(2, 500);
    bench.answer(3, 200);
    bench.answer(4, 500);
    bench.answer(5, 500);
    let commit = bench.commit();
    let note = commit.note.unwrap();
    assert_eq!((note.consecutive_failures, note.transition), (2, None));
}

#[test]
fn an_endpoint_that_asks_for_quiet_is_left_alone_until_the_latest_time() {
    let mut bench = Bench::new(State::Active, 3);
    bench.read((1..=9).map(|seq| event(seq, &seq.to_string())).collect());
    for (seq, seconds) in [(1, 60), (2, 90), (3, 30)] {
        let report = answered(429, Some(seconds));
        assert_eq!(Bench::sent(&bench.step(Input::Answered { seq, report })), [] as [i64; 0]);
    }
    let commit = bench.commit();
    assert_eq!(commit.note.as_ref().unwrap().hold_until, Some(at(190)));
    let untried = commit.items.iter().filter(|item| item.tries == 0 && item.attempts == 0).count();
    assert_eq!(untried, commit.items.len(), "to be turned away is no attempt");
    bench.committed(&commit);
    let actions = bench.wait(Duration::from_secs(89));
    assert!(
        !actions.iter().any(|action| matches!(action, Action::Read { .. } | Action::LoadDue { .. })),
        "{actions:?}"
    );
    let actions = bench.wait(Duration::from_secs(1));
    assert!(actions.iter().any(|action| matches!(action, Action::Read { after: 3, .. })), "{actions:?}");
}

#[test]
fn an_endpoint_that_fails_is_tried_with_one_request_at_a_time() {
    let mut bench = Bench::new(State::Failing, 8);
    let actions = bench.step(Input::Tick);
    assert!(!actions.iter().any(|action| matches!(action, Action::FindProbe { .. })), "one is looked for already");
    let row = Box::new(due(1, "a", Reason::Live));
    let actions = bench.step(Input::ProbeFound(Some(Some(Candidate::Row(row)))));
    assert_eq!(Bench::sent(&actions), [1]);
    assert_eq!(bench.wait(Duration::from_secs(1)).len(), 0, "and waited for");
    bench.answer(1, 500);
    let commit = bench.commit();
    let item = &commit.items[0];
    assert_eq!((item.tries, item.attempts, item.hold_until), (0, 0, None), "it is as if it had never been sent");
    assert!(matches!(item.fate, Fate::RetryAt(_)) && item.attempt.as_ref().is_some_and(|attempt| !attempt.counts));
    bench.committed(&commit);
    // A tenth of the time for which it has failed.
    let actions = bench.wait(Duration::from_secs(11));
    assert!(actions.iter().any(|action| matches!(action, Action::FindProbe { tried: true, .. })), "{actions:?}");
}

#[test]
fn what_waits_to_be_written_blocks_its_lane_when_no_row_does_any_more() {
    let mut bench = Bench::new(State::Active, 8);
    let read = |seq, blocked: &[&str]| {
        let slice = Slice { events: vec![event(seq, "a")], through: seq, superseded: vec![] };
        let blocked = blocked.iter().map(|lane| (*lane).to_owned()).collect();
        Input::Read(Some(Read { slice, blocked, acknowledged: vec![] }))
    };
    let lane = Order::User.lane(&event(1, "a").stream).unwrap();
    assert_eq!(Bench::sent(&bench.step(read(2, &[&lane]))), [] as [i64; 0]);
    assert_eq!(Bench::sent(&bench.step(read(3, &[]))), [] as [i64; 0], "the second goes first");
    let commit = bench.commit();
    assert_eq!(
        commit.items.iter().map(|item| (item.seq, item.fate)).collect::<Vec<_>>(),
        [(2, Fate::Wait), (3, Fate::Wait)]
    );
}

#[test]
fn what_waits_behind_what_is_passed_takes_nothing_along_that_was_not_sent() {
    let mut bench = Bench::new(State::Active, 2);
    let events = [(1, "a"), (2, "a"), (3, "b"), (4, "c"), (5, "a"), (6, "c")];
    assert_eq!(Bench::sent(&bench.read(events.map(|(seq, user)| event(seq, user)).into())), [1, 3]);
    // Nothing more is sent for now: the lease may end before an answer comes.
    bench.step(Input::Lease(bench.now.instant + Duration::from_secs(1)));
    bench.answer(3, 200);
    let actions = bench.wait(Duration::from_millis(250));
    let commit = actions.into_iter().find_map(|action| match action {
        Action::Commit(commit) => Some(commit),
        _ => None,
    });
    let commit = commit.unwrap();
    let written: Vec<_> = commit.items.iter().map(|item| item.seq).collect();
    assert_eq!(
        (written, commit.position),
        (vec![1, 2, 3], 3),
        "the fourth is still to be sent, and the fifth lies behind it"
    );
    bench.committed(&commit);
    let lease = bench.now.instant + Duration::from_secs(3600);
    assert_eq!(Bench::sent(&bench.step(Input::Lease(lease))), [4], "and the sixth comes after it");
}

#[test]
fn what_is_appended_while_the_log_is_read_is_read_as_well() {
    let empty = || Input::Read(Some(Read::default()));
    let reads = |actions: &[Action]| actions.iter().any(|action| matches!(action, Action::Read { .. }));
    for news in [Input::Appended, Input::Snapshot { revision: 1, last: 1 }] {
        let mut bench = Bench::new(State::Active, 8);
        bench.step(news);
        assert!(reads(&bench.step(empty())), "the read that was under way may have begun before");
        assert!(!reads(&bench.step(empty())), "one that began afterwards has found nothing");
    }
}
