//! Sinks: what a statement does happens exactly once, with the change or in a transaction of its own, or not at all.

use std::sync::Arc;
use std::time::{Duration, Instant};

use lumo_bridge::model::record::Deposit;
use lumo_bridge::model::retry::{Policy, Verdict};
use lumo_bridge::model::sink::{Sink, Statement};
use lumo_bridge::model::subscriber::{Order, Subscriber};
use lumo_bridge::store::{Backfilled, Claimed, Error, Fed, Settled, Store};
use lumo_bridge_entity::delivery::State;
use lumo_bridge_entity::endpoint;
use sea_orm::DbBackend;

use super::backfill::{dated, import, imported};
use super::fixture::{
    at, claim, config, deliveries, deposit, draft, endpoint as name, events, ingest, migrated, noticed, publish_in,
    settle, settled, subscriber,
};
use crate::database::{Database, on_each_database};

on_each_database!(
    a_statement_runs_in_the_transaction_that_stores_the_event,
    what_is_rolled_back_takes_the_effect_with_it,
    a_statement_that_fails_keeps_no_change_from_being_stored,
    what_is_not_well_or_not_free_is_queued,
    a_statement_that_takes_too_long_is_ended,
    a_page_whose_sinks_take_too_long_together_is_stored_and_the_rest_waits,
    history_is_run_like_a_delivery,
    who_has_lost_the_lease_undoes_what_the_statement_did,
    a_commit_that_the_effect_prevents_is_made_without_it,
    a_replay_is_queued,
    parameters_arrive_as_they_are,
    trying_a_statement_leaves_nothing,
);

const LEDGER: &str =
    "INSERT INTO ledger (event_id, stream, sequence, body) VALUES (:event_id, :stream, :sequence, :body)";

fn sink(sql: &str, timeout: Duration) -> Arc<Sink> {
    let minute = Duration::from_secs(60);
    let policy = Policy { schedule: vec![minute, minute], jitter: 0.0, retry_after_cap: minute };
    Arc::new(Sink { statement: Statement::parse(sql).unwrap(), timeout, policy, max_hold: Duration::from_secs(600) })
}

fn fed_by(sql: &str) -> Subscriber {
    Subscriber { sink: Some(sink(sql, Duration::from_secs(5))), ..subscriber("ledger", &["*"], Order::User) }
}

/// A table that would show what was done twice.
async fn make_ledger(database: &Database) {
    let (id, amount) = match database.backend() {
        DbBackend::Sqlite => ("integer PRIMARY KEY AUTOINCREMENT", "text"),
        DbBackend::Postgres => ("bigserial PRIMARY KEY", "numeric"),
        _ => ("bigint AUTO_INCREMENT PRIMARY KEY", "decimal(65,30)"),
    };
    let sql = format!(
        "CREATE TABLE ledger (id {id}, event_id varchar(128), stream varchar(128), sequence bigint, body text, \
         amount {amount}, external_id varchar(128), kind varchar(64), object_id varchar(128)){}",
        if database.backend() == DbBackend::MySql { " CHARACTER SET utf8mb4" } else { "" }
    );
    database.execute(&sql).await;
}

/// The effects in their order: stream and sequence.
async fn effects(database: &Database) -> Vec<String> {
    let rows = database.rows("SELECT stream, sequence FROM ledger ORDER BY id").await;
    rows.into_iter().map(|row| format!("{} {}", row[0].as_deref().unwrap(), row[1].as_deref().unwrap())).collect()
}

async fn states(store: &Store) -> Vec<(State, i32)> {
    deliveries(store).await.into_iter().map(|row| (row.state, row.attempts)).collect()
}

async fn feed(store: &Store, subscriber: &Subscriber, claimed: &Claimed, seconds: i64) -> Fed {
    let sink = subscriber.sink.as_ref().unwrap();
    store.feed(sink, &subscriber.endpoint, claimed, None, at(seconds)).await.unwrap()
}

async fn feed_all(store: &Store, subscriber: &Subscriber, seconds: i64) {
    loop {
        let claimed = claim(store, "ledger", 10, at(seconds)).await;
        for one in &claimed {
            assert!(matches!(feed(store, subscriber, one, seconds).await, Fed::Done(Settled { .. })));
        }
        if claimed.is_empty() {
            return;
        }
    }
}

async fn a_statement_runs_in_the_transaction_that_stores_the_event(database: Database) {
    make_ledger(&database).await;
    let call = "CALL enter(:event_id, :stream, :sequence, :body)";
    let sql = match database.backend() {
        DbBackend::Sqlite => LEDGER,
        DbBackend::Postgres => {
            let make = "CREATE PROCEDURE enter(a text, b text, c bigint, d text) LANGUAGE plpgsql AS $$ BEGIN \
                        INSERT INTO ledger (event_id, stream, sequence, body) VALUES (a, b, c, d); END $$";
            database.execute(make).await;
            call
        }
        _ => {
            // One that also shows something.
            let make = "CREATE PROCEDURE enter(a text, b text, c bigint, d text) BEGIN \
                        INSERT INTO ledger (event_id, stream, sequence, body) VALUES (a, b, c, d); SELECT 1; END";
            database.execute(make).await;
            call
        }
    };
    let store = migrated(&database, &[fed_by(sql), subscriber("shop", &["*"], Order::User)]).await;
    publish_in(&store, &["user:a", "user:b", "user:a", "user:a"], at(1)).await;
    let mut done = effects(&database).await;
    done.sort();
    assert_eq!(done, ["user:a 1", "user:a 2", "user:a 3", "user:b 1"]);
    let rows: Vec<_> = deliveries(&store).await.into_iter().filter(|row| row.endpoint == name("ledger")).collect();
    for row in &rows {
        assert_eq!((row.state, row.attempts, row.delivered_at), (State::Delivered, 1, Some(at(1))));
        assert_eq!((row.lane.as_deref(), row.lease_token, row.next_attempt_at), (None, None, None));
        assert_eq!(store.attempts(&row.id).await.unwrap().len(), 1);
    }
    assert_eq!(rows.len(), 4);
    assert_eq!(store.endpoint(&name("ledger")).await.unwrap().unwrap().last_success_at, Some(at(1)));
    assert_eq!(claim(&store, "shop", 9, at(2)).await.len(), 2, "who is called is called as ever");
    let differing = "SELECT COUNT(*) FROM ledger l JOIN lumo_events e ON e.id = l.event_id WHERE e.body <> l.body";
    assert_eq!(database.number(differing).await, 0);
}

async fn what_is_rolled_back_takes_the_effect_with_it(database: Database) {
    make_ledger(&database).await;
    let store = migrated(&database, &[fed_by(LEDGER)]).await;
    let undone: Result<(), Error> = store
        .tx("test", |tx| async move {
            assert_eq!(tx.publish(vec![draft("user:a", "d")], at(1)).await?, 1);
            Err(Error::Fenced)
        })
        .await;
    assert!(matches!(undone, Err(Error::Fenced)), "{undone:?}");
    assert_eq!((effects(&database).await.len(), events(&database).await.len()), (0, 0));
    publish_in(&store, &["user:a"], at(2)).await;
    assert_eq!(effects(&database).await, ["user:a 1"]);
}

async fn a_statement_that_fails_keeps_no_change_from_being_stored(database: Database) {
    let ledger = fed_by(LEDGER);
    let store = migrated(&database, std::slice::from_ref(&ledger)).await;
    publish_in(&store, &["user:a", "user:a", "user:b"], at(1)).await;
    assert_eq!(events(&database).await.len(), 3, "the change is stored, and told of");
    assert_eq!(states(&store).await, [(State::Retrying, 1), (State::Pending, 0), (State::Pending, 0)]);
    let first = deliveries(&store).await.remove(0);
    let error = first.last_error.unwrap();
    assert!(error.starts_with("the statement failed: ") && error.contains("ledger"), "{error}");
    assert_eq!((first.next_attempt_at, first.hold_until), (Some(at(61)), Some(at(601))));
    assert_eq!(store.attempts(&first.id).await.unwrap()[0].error.as_deref(), Some(error.as_str()));
    assert_eq!(store.endpoint(&name("ledger")).await.unwrap().unwrap().consecutive_failures, 1);

    // It fails once more, outside of any page; nothing is left of that.
    let claimed = claim(&store, "ledger", 10, at(2)).await.remove(0);
    let Fed::Failed(failure) = feed(&store, &ledger, &claimed, 2).await else { panic!("there is no such table") };
    assert!(!failure.timed_out && failure.text == error, "{failure:?}");
    settle(&store, vec![claimed], "ledger", Verdict::RetryAt(at(62)), at(2)).await;

    make_ledger(&database).await;
    feed_all(&store, &ledger, 62).await;
    let mut done = effects(&database).await;
    assert_eq!(done.iter().filter(|one| one.starts_with("user:a")).collect::<Vec<_>>(), ["user:a 1", "user:a 2"]);
    done.sort();
    assert_eq!(done, ["user:a 1", "user:a 2", "user:b 1"]);
    assert_eq!(states(&store).await, [(State::Delivered, 2), (State::Delivered, 1), (State::Delivered, 2)]);
    publish_in(&store, &["user:c"], at(63)).await;
    assert_eq!(effects(&database).await.len(), 4, "what succeeds is trusted again");
}

async fn what_is_not_well_or_not_free_is_queued(database: Database) {
    make_ledger(&database).await;
    let ledger = fed_by(LEDGER);
    let store = migrated(&database, std::slice::from_ref(&ledger)).await;
    for state in [endpoint::State::Paused, endpoint::State::Suspended, endpoint::State::Failing] {
        store.set_endpoint_state(&name("ledger"), state, at(0)).await.unwrap();
        publish_in(&store, &[&format!("user:{}", state.as_str())], at(0)).await;
    }
    store.set_endpoint_state(&name("ledger"), endpoint::State::Active, at(1)).await.unwrap();
    publish_in(&store, &["user:paused", "user:free"], at(1)).await;
    assert_eq!(effects(&database).await, ["user:free 1"], "who waits is not overtaken");
    feed_all(&store, &ledger, 2).await;
    assert_eq!(effects(&database).await.len(), 5);
    let paused: Vec<_> = effects(&database).await.into_iter().filter(|one| one.contains("paused")).collect();
    assert_eq!(paused, ["user:paused 1", "user:paused 2"]);
}

async fn a_statement_that_takes_too_long_is_ended(database: Database) {
    make_ledger(&database).await;
    let sql = match database.backend() {
        DbBackend::Sqlite => {
            "INSERT INTO ledger (event_id, sequence) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n \
             WHERE i < 100000000) SELECT :event_id, SUM(i) FROM n"
        }
        DbBackend::Postgres => "INSERT INTO ledger (event_id) SELECT :event_id FROM pg_sleep(30)",
        _ => "INSERT INTO ledger (event_id, sequence) SELECT :event_id, SLEEP(30)",
    };
    let slow =
        Subscriber { sink: Some(sink(sql, Duration::from_millis(300))), ..subscriber("ledger", &["*"], Order::User) };
    let store = migrated(&database, std::slice::from_ref(&slow)).await;
    let started = Instant::now();
    publish_in(&store, &["user:a", "user:b"], at(1)).await;
    assert!(started.elapsed() < Duration::from_secs(20), "it took {:?}", started.elapsed());
    assert_eq!((events(&database).await.len(), effects(&database).await.len()), (2, 0));
    let first = deliveries(&store).await.remove(0);
    if database.is_sqlite() {
        // SQLite has ended the whole transaction with the statement, so the page was stored without trying.
        assert_eq!((first.state, first.attempts), (State::Pending, 0));
    } else {
        assert_eq!((first.state, first.attempts), (State::Retrying, 1));
        assert_eq!(first.last_error.as_deref(), Some("the statement took longer than 300ms"));
    }
    let claimed = claim(&store, "ledger", 1, at(90)).await.remove(0);
    let Fed::Failed(failure) = feed(&store, &slow, &claimed, 90).await else { panic!("it is too slow") };
    assert!(failure.timed_out, "{failure:?}");
    settle(&store, vec![claimed], "ledger", Verdict::RetryAt(at(150)), at(90)).await;
    let body = draft("user:a", "d").body(1).unwrap();
    let tried = store.try_sink(slow.sink.as_ref().unwrap(), &body).await.unwrap();
    assert!(tried.is_err_and(|failure| failure.timed_out), "a trial says so too");
    assert_eq!(effects(&database).await.len(), 0);
    assert!(started.elapsed() < Duration::from_secs(25), "it took {:?}", started.elapsed());
}

/// Two sinks that would each fit in, if it were alone.
async fn a_page_whose_sinks_take_too_long_together_is_stored_and_the_rest_waits(database: Database) {
    make_ledger(&database).await;
    let slow = |name: &str| {
        let sql = match database.backend() {
            DbBackend::Sqlite => format!(
                "INSERT INTO ledger (event_id, kind, sequence) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL \
                 SELECT i + 1 FROM n WHERE i < 10000000) SELECT :event_id, '{name}', SUM(i) FROM n"
            ),
            DbBackend::Postgres => {
                format!("INSERT INTO ledger (event_id, kind) SELECT :event_id, '{name}' FROM pg_sleep(0.4)")
            }
            _ => format!("INSERT INTO ledger (event_id, kind, sequence) SELECT :event_id, '{name}', SLEEP(0.4)"),
        };
        Subscriber { sink: Some(sink(&sql, Duration::from_secs(5))), ..subscriber(name, &["*"], Order::User) }
    };
    let store = migrated(&database, &[slow("first"), slow("second")]).await;
    let users: Vec<_> = (0..8).map(|user| format!("user:{user}")).collect();
    publish_in(&store, &users.iter().map(String::as_str).collect::<Vec<_>>(), at(1)).await;
    let done = database.count("ledger", "kind = 'first'").await;
    assert!(done <= 4, "a statement of 5 s is begun within the first second of 6 only: {done}");
    assert_eq!(database.count("ledger", "kind = 'second'").await, 0, "the time is shared");
    let waiting = deliveries(&store).await.into_iter().filter(|row| row.state == State::Pending);
    assert!(waiting.into_iter().all(|row| row.attempts == 0 && row.lease_token.is_none()));
    assert_eq!(claim(&store, "first", 9, at(2)).await.len(), 8 - usize::try_from(done).unwrap());
    assert_eq!(claim(&store, "second", 9, at(2)).await.len(), 8);
}

async fn history_is_run_like_a_delivery(database: Database) {
    make_ledger(&database).await;
    let store = migrated(&database, &[]).await;
    import(&store, vec![dated("d1", "ann", -300), dated("d2", "ann", -200), dated("d3", "bob", -100)]).await;
    imported(&database).await;
    let ledger = Subscriber { history: Some(at(-1000)), ..fed_by(LEDGER) };
    let store = Store::open(&config(&database), vec![ledger.clone()]).await.unwrap();
    store.register_endpoints(at(10)).await.unwrap();
    assert_eq!(store.backfill(&ledger, at(20)).await.unwrap(), Backfilled::Queued(3));
    assert_eq!(effects(&database).await.len(), 0, "history holds up nobody's page");
    feed_all(&store, &ledger, 21).await;
    assert_eq!(store.backfill(&ledger, at(22)).await.unwrap(), Backfilled::Done);
    let mut done = effects(&database).await;
    assert_eq!(done.iter().filter(|one| one.starts_with("user:ann")).collect::<Vec<_>>(), ["user:ann 1", "user:ann 2"]);
    done.sort();
    assert_eq!(done, ["user:ann 1", "user:ann 2", "user:bob 1"]);
}

async fn who_has_lost_the_lease_undoes_what_the_statement_did(database: Database) {
    let ledger = fed_by(LEDGER);
    let store = migrated(&database, std::slice::from_ref(&ledger)).await;
    publish_in(&store, &["user:a"], at(0)).await;
    make_ledger(&database).await;
    let slow = claim(&store, "ledger", 1, at(60)).await.remove(0);
    let quick = claim(&store, "ledger", 1, at(100)).await.remove(0);
    assert_eq!(slow.lease.delivery(), quick.lease.delivery());
    assert!(matches!(feed(&store, &ledger, &slow, 101).await, Fed::Lost));
    assert_eq!(effects(&database).await.len(), 0);
    assert!(matches!(feed(&store, &ledger, &quick, 102).await, Fed::Done(_)));
    assert!(matches!(feed(&store, &ledger, &quick, 103).await, Fed::Lost), "the same once more is too late as well");
    assert_eq!(effects(&database).await, ["user:a 1"]);
    assert_eq!(states(&store).await, [(State::Delivered, 2)]);
}

/// A constraint that is looked at when the transaction ends; MySQL has none.
async fn a_commit_that_the_effect_prevents_is_made_without_it(database: Database) {
    if database.backend() == DbBackend::MySql {
        return;
    }
    database.execute("CREATE TABLE users (name varchar(128) PRIMARY KEY)").await;
    let make = "CREATE TABLE entries (name varchar(128) REFERENCES users (name) DEFERRABLE INITIALLY DEFERRED)";
    database.execute(make).await;
    let entries = fed_by("INSERT INTO entries (name) VALUES (:stream)");
    let store = migrated(&database, std::slice::from_ref(&entries)).await;
    publish_in(&store, &["user:a"], at(1)).await;
    assert_eq!(states(&store).await, [(State::Pending, 0)]);
    let claimed = claim(&store, "ledger", 1, at(2)).await.remove(0);
    let Fed::Failed(failure) = feed(&store, &entries, &claimed, 2).await else { panic!("there is no such user") };
    assert!(failure.text.starts_with("the transaction failed: "), "{failure:?}");
    let failed = settled(claimed, "ledger", Verdict::RetryAt(at(3)), at(2));
    assert_eq!(store.settle(&[failed], at(2)).await.unwrap().lost, [], "its failure can be settled");

    database.execute("INSERT INTO users (name) VALUES ('user:a')").await;
    feed_all(&store, &entries, 3).await;
    assert_eq!(database.count("entries", "name = 'user:a'").await, 1);
}

async fn a_replay_is_queued(database: Database) {
    make_ledger(&database).await;
    let ledger = fed_by(LEDGER);
    let store = migrated(&database, std::slice::from_ref(&ledger)).await;
    publish_in(&store, &["user:a"], at(1)).await;
    let filter = lumo_bridge::store::replay::ReplayFilter::default();
    let mut replay = store.begin_replay(filter, name("ledger"), Order::User).await.unwrap();
    assert_eq!(store.replay(&mut replay, at(2)).await.unwrap().unwrap().queued, 1);
    assert_eq!(effects(&database).await.len(), 1);
    feed_all(&store, &ledger, 3).await;
    assert_eq!(effects(&database).await, ["user:a 1", "user:a 1"], "a replay is asked for");
}

async fn parameters_arrive_as_they_are(database: Database) {
    make_ledger(&database).await;
    let sql = "INSERT INTO ledger (event_id, kind, amount, external_id, object_id) \
               VALUES (:event_id, :type, :amount, :external_id, :object_id)";
    let store = migrated(&database, &[fed_by(sql)]).await;
    let paid = Deposit {
        amount: Some("12345678901234567890.123456789012345678".parse().unwrap()),
        external_id: Some("o'brien \\ 🦊".parse().unwrap()),
        ..deposit("d1")
    };
    ingest(&store, &[noticed(paid), deposit("d2")], at(1)).await;
    let columns =
        format!("SELECT kind, {}, external_id, object_id FROM ledger ORDER BY object_id", database.text("amount"));
    let rows = database.rows(&columns).await;
    let cell = |row: usize, column: usize| rows[row][column].as_deref();
    assert_eq!((cell(0, 0), cell(0, 2), cell(0, 3)), (Some("deposit.created"), Some("o'brien \\ 🦊"), Some("d1")));
    let amount = cell(0, 1).unwrap().trim_end_matches('0');
    assert_eq!(amount, "12345678901234567890.123456789012345678");
    assert_eq!((cell(1, 1), cell(1, 2), cell(1, 3)), (None, None, Some("d2")));
}

async fn trying_a_statement_leaves_nothing(database: Database) {
    make_ledger(&database).await;
    let store = migrated(&database, &[]).await;
    let body = draft("user:a", "d").body(1).unwrap();
    let right = sink(LEDGER, Duration::from_secs(5));
    assert_eq!(store.prepare_sink(&right).await, Ok(()));
    assert_eq!(store.try_sink(&right, &body).await.unwrap(), Ok(()));
    let wrong = sink("INSERT INTO ledgre (event_id) VALUES (:event_id)", Duration::from_secs(5));
    for failure in [store.prepare_sink(&wrong).await, store.try_sink(&wrong, &body).await.unwrap()] {
        let text = failure.unwrap_err().text;
        assert!(text.starts_with("the statement failed: ") && text.contains("ledgre"), "{text}");
    }
    if database.backend() == DbBackend::Postgres {
        let untyped = sink("INSERT INTO ledger (amount) VALUES (:body)", Duration::from_secs(5));
        let text = store.prepare_sink(&untyped).await.unwrap_err().text;
        assert!(text.contains("amount") && text.contains("text"), "the types are those of a run: {text}");
    }
    assert_eq!(effects(&database).await.len(), 0);
}
