//! When a trouble begins and ends, and what the log says of it.

use sea_orm::{DbErr, RuntimeErr};

use super::*;

fn away() -> Error {
    Error::Unavailable(DbErr::Custom("refused".to_owned()))
}

fn full() -> Error {
    Error::Unwritable(DbErr::Custom("disk full".to_owned()))
}

#[test]
fn trouble_lasts_until_what_failed_is_committed() {
    let troubles = Troubles {
        database: String::new(),
        is_server: true,
        is_logged: false,
        queries: FailingQueries::default(),
        failing: Mutex::default(),
    };
    let now = Instant::now();
    troubles.failed("sync.page", &Error::Fenced, now);
    assert_eq!(troubles.longest(), None, "another process leads, which is no trouble");
    troubles.failed("sync.page", &full(), now);
    troubles.failed("delivery.claim", &full(), now);
    troubles.committed("delivery.claim");
    troubles.committed("lease.lead");
    let trouble = troubles.longest().unwrap();
    assert_eq!(trouble.transaction, "sync.page");
    assert!(trouble.reason.contains("nothing can be written") && trouble.reason.contains("disk full"), "{trouble:?}");
    assert!(trouble.hint.is_some_and(|hint| hint.contains("make room")), "{trouble:?}");
    troubles.committed("sync.page");
    assert_eq!(troubles.longest(), None);
}

#[test]
fn an_outage_is_over_once_others_are_committed_and_what_failed_is_not_tried_again() {
    let (mut failing, start) = (Failing::default(), Instant::now());
    let at = |seconds| start + Duration::from_secs(seconds);
    failing.failed("watch.cut", &away(), Kind::Silent, (at(0), at(0)));
    assert!(failing.longest(at(59)).is_some(), "nothing is known of the server since");

    failing.failed("watch.cut", &away(), Kind::Silent, (at(59), at(59)));
    failing.committed("process.beat", at(60));
    assert!(failing.longest(at(68)).is_some(), "it may be tried again");
    failing.failed("watch.cut", &away(), Kind::Silent, (at(68), at(68)));
    failing.committed("process.beat", at(69));
    assert_eq!(failing.longest(at(77)).unwrap().lasting, Duration::from_secs(77), "it fails while others do not");
    assert_eq!(failing.longest(at(78)), None);
}

#[test]
fn a_full_disk_may_take_what_is_small() {
    let (mut failing, start) = (Failing::default(), Instant::now());
    let at = |seconds| start + Duration::from_secs(seconds);
    failing.failed("sync.page", &full(), Kind::Unwritable, (at(0), at(0)));
    failing.committed("process.beat", at(1));
    assert!(failing.longest(at(59)).is_some());
    assert_eq!(failing.longest(at(60)), None);
}

#[test]
fn only_a_server_can_fall_silent() {
    for (error, server, file) in
        [(away(), Kind::Silent, Kind::Unwritable), (full(), Kind::Unwritable, Kind::Unwritable)]
    {
        assert_eq!((Kind::of(&error, true), Kind::of(&error, false)), (server, file), "{error:?}");
    }
}

#[test]
fn an_outage_is_a_line_as_it_begins_one_a_minute_and_one_at_its_end() {
    let (mut failing, start) = (Failing::default(), Instant::now());
    let at = |seconds| start + Duration::from_secs(seconds);
    let mut said = Vec::new();
    for second in 0..130 {
        let transaction = if second % 3 == 0 { "process.beat" } else { "sync.page" };
        let line = failing.failed(transaction, &away(), Kind::Silent, (at(second), at(second)));
        if line != Line::Nothing {
            said.push(line);
        }
    }
    let goes = |failures, lasted| Line::Goes { kind: Kind::Silent, failures, lasted: Duration::from_secs(lasted) };
    assert_eq!(said, [Line::Begun(Kind::Silent), goes(61, 60), goes(60, 120)]);

    // Another server answers, and takes no writes yet.
    let read_only = failing.failed("process.beat", &full(), Kind::Unwritable, (at(131), at(131)));
    assert_eq!(read_only, Line::Begun(Kind::Unwritable));
    assert_eq!(failing.committed("sync.page", at(140)), Line::Nothing);
    let over = Line::Over { kind: Kind::Unwritable, lasted: Duration::from_secs(141) };
    assert_eq!(failing.committed("process.beat", at(141)), over, "since the first of all failures");
    assert_eq!(failing.committed("process.beat", at(142)), Line::Nothing);
}

#[test]
fn an_outage_has_lasted_since_the_first_request_began_to_wait() {
    let (start, queries) = (Instant::now(), FailingQueries::default());
    let at = |seconds| start + Duration::from_secs(seconds);
    let lost = || Err::<(), _>(DbErr::Conn(RuntimeErr::Internal("refused".to_owned())));
    let transactions = [("process.beat", 10, 20), ("sync.page", 8, 25), ("process.beat", 20, 30)];
    for (queried, lasted) in [(None, 24), (Some(0), 32)] {
        let mut failing = Failing::default();
        queries.note(&Ok(()), at(1));
        if let Some(queried) = queried {
            queries.note(&lost(), at(queried));
            queries.note(&lost(), at(12));
        }
        for (transaction, began, failed) in transactions {
            failing.failed(transaction, &away(), Kind::Silent, (at(began), at(failed)));
            failing.date_back(queries.since());
        }
        let trouble = failing.longest(at(30)).unwrap();
        assert_eq!((trouble.transaction, trouble.lasting.as_secs()), ("sync.page", 22));
        assert_eq!(failing.committed("sync.page", at(31)), Line::Nothing);
        let over = Line::Over { kind: Kind::Silent, lasted: Duration::from_secs(lasted) };
        assert_eq!(failing.committed("process.beat", at(32)), over);
    }
}

#[test]
fn a_query_that_is_answered_or_refused_is_no_outage() {
    let (queries, now) = (FailingQueries::default(), Instant::now());
    let lost = Err::<(), _>(DbErr::Conn(RuntimeErr::Internal("refused".to_owned())));
    queries.note(&Err::<(), _>(DbErr::Custom("odd".to_owned())), now);
    assert_eq!(queries.since(), None);
    queries.note(&lost, now);
    assert_eq!(queries.since(), Some(now));
    queries.note(&Ok(()), now);
    assert_eq!(queries.since(), None);
}

#[test]
fn the_end_is_said_of_what_was_forgotten_too() {
    let (mut failing, start) = (Failing::default(), Instant::now());
    let at = |seconds| start + Duration::from_secs(seconds);
    failing.failed("watch.cut", &away(), Kind::Silent, (at(0), at(0)));
    failing.failed("watch.cut", &away(), Kind::Silent, (at(2), at(2)));
    assert_eq!(failing.committed("process.beat", at(3)), Line::Nothing, "it may be tried again");
    assert_eq!(failing.longest(at(30)), None);
    let over = Line::Over { kind: Kind::Silent, lasted: Duration::from_secs(2) };
    assert_eq!(failing.committed("process.beat", at(31)), over);
}
