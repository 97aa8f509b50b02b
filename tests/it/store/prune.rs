//! Retention: what is over goes, in small batches, and nothing that is still needed.

use std::time::Duration;

use lumo_bridge::callback::config::Retention as Config;
use lumo_bridge::clock::Clock;
use lumo_bridge::model::actor::Actor;
use lumo_bridge::model::draft::{Draft, repeated};
use lumo_bridge::model::event::EventType;
use lumo_bridge::model::subscriber::Order;
use lumo_bridge::retention::Retention;
use lumo_bridge::setting::Span;
use lumo_bridge::store::Store;
use lumo_bridge::store::replay::{ReplayFilter, Replayed, Types};
use lumo_bridge::store::retention::{Cutoffs, Pruned};
use tokio_util::sync::CancellationToken;

use super::fixture::{at, deposit, draft, endpoint, ingest, migrated, publish, shop, subscriber, wallet};
use super::leader::{Came, Leader};
use crate::database::{Database, on_each_database};

on_each_database!(
    each_state_goes_when_its_time_has_come_and_takes_its_event_with_it,
    a_row_whose_lane_is_not_free_yet_stays,
    attempts_go_by_their_own_age,
    what_was_not_sent_says_so_as_long_as_its_event_is_there,
    what_an_endpoint_has_still_to_receive_stays,
    what_happens_once_stays_with_everything_that_is_said_about_it,
    a_table_that_is_read_again_tells_nothing_twice,
    acknowledgements_go_with_their_event,
    ranges_that_hold_nothing_any_more_go,
    a_walk_looks_only_at_what_is_old_and_takes_it_in_batches,
    an_event_that_is_replayed_is_not_pruned,
    a_row_that_is_brought_back_to_life_meanwhile_stays,
    publishing_and_delivering_do_not_wait_for_it,
    a_run_keeps_to_the_configuration,
);

const DAY: i64 = 86_400;

/// An event that can happen again, noticed so many seconds after the start.
fn news(stream: &str, seconds: i64) -> Draft {
    let kind = EventType::DepositUpdated;
    let id = repeated("company", kind, stream, seconds, "generation");
    Draft { id, kind, detected_at: at(seconds), ..draft(stream, stream) }
}

fn cutoffs(events: i64, dead: i64, attempts: i64) -> Cutoffs {
    Cutoffs { events: Some(at(events)), dead: Some(at(dead)), attempts: Some(at(attempts)) }
}

/// One run over everything.
async fn prune(store: &Store, cutoffs: &Cutoffs) -> Pruned {
    let mut sum = Pruned::default();
    let cutoff = cutoffs.attempts.unwrap();
    let mut walk = store.walk_attempts(cutoff).await.unwrap();
    while let Some(batch) = store.forget_attempts(&mut walk, cutoff).await.unwrap() {
        sum += batch;
    }
    let mut walk = store.walk_events(1, cutoffs.events.unwrap()).await.unwrap();
    while let Some(batch) = store.forget_events(&mut walk, cutoffs).await.unwrap() {
        sum += batch;
    }
    sum += store.forget_ranges(walk.floor()).await.unwrap();
    sum
}

/// The streams of the events that are left.
async fn left(database: &Database) -> Vec<String> {
    let rows = database.rows("SELECT stream FROM lumo_events ORDER BY seq").await;
    rows.into_iter().flatten().flatten().collect()
}

async fn each_state_goes_when_its_time_has_come_and_takes_its_event_with_it(database: Database) {
    let store = migrated(&database, &shop()).await;
    let streams = ["dead", "skipped", "delivered", "waiting", "retrying", "sending", "awaiting_ack"];
    publish(&store, &streams.map(|stream| news(stream, 10)), at(10)).await;
    Leader::of(&store, "shop", at(11)).await.deliver_as(Came::Dead, at(20)).await;
    // What died is no event of its own for the endpoint that it died at.
    database.execute(&format!("DELETE FROM lumo_events WHERE {} = 'delivery.dead'", database.quote("type"))).await;
    for (seq, state) in (1..).zip(streams) {
        database.execute(&format!("UPDATE lumo_exceptions SET state = '{state}' WHERE seq = {seq}")).await;
    }

    let attempts = |attempts| Pruned { attempts, ..Pruned::default() };
    let event = |events| Pruned { events, deliveries: events, ..Pruned::default() };
    assert_eq!(prune(&store, &cutoffs(99, 99, 20)).await, Pruned::default(), "an attempt is left of each");
    assert_eq!(prune(&store, &cutoffs(10, 99, 21)).await, attempts(7), "what is exactly as old stays");
    assert_eq!(prune(&store, &cutoffs(20, 20, 99)).await, Pruned::default(), "rows count from their end");
    assert_eq!(prune(&store, &cutoffs(20, 21, 99)).await, event(1));
    assert_eq!(left(&database).await, streams[1..]);
    assert_eq!(prune(&store, &cutoffs(21, 10, 99)).await, event(2));
    assert_eq!(left(&database).await, streams[3..]);
    assert_eq!(
        prune(&store, &cutoffs(9_999, 9_999, 9_999)).await,
        Pruned::default(),
        "what is not finished never goes"
    );
}

async fn a_row_whose_lane_is_not_free_yet_stays(database: Database) {
    let store = migrated(&database, &shop()).await;
    publish(&store, &[news("a", 1)], at(1)).await;
    Leader::of(&store, "shop", at(1)).await.deliver_as(Came::Dead, at(1)).await;
    let lane = Order::User.lane("a").unwrap();
    database.execute(&format!("UPDATE lumo_exceptions SET lane = '{lane}'")).await;
    assert_eq!(prune(&store, &cutoffs(DAY, DAY, DAY)).await.deliveries, 0);
    database.execute("UPDATE lumo_exceptions SET lane = NULL").await;
    assert_eq!(prune(&store, &cutoffs(DAY, DAY, DAY)).await.deliveries, 1);
}

async fn attempts_go_by_their_own_age(database: Database) {
    let both = [subscriber("crm", &["*"], Order::User), subscriber("shop", &["*"], Order::User)];
    let store = migrated(&database, &both).await;
    publish(&store, &[news("a", 0)], at(0)).await;
    let mut leader = Leader::of(&store, "shop", at(0)).await;
    for seconds in [10, 20, 30] {
        leader.deliver_as(Came::RetryAt(at(seconds + 10)), at(seconds)).await;
    }
    publish(&store, &[news("b", 15)], at(15)).await;
    leader.pass(9, at(16), |_| Came::Delivered).await;
    Leader::of(&store, "crm", at(20)).await.deliver(at(20)).await;

    assert_eq!(prune(&store, &cutoffs(0, 0, 10)).await.attempts, 0);
    assert_eq!(prune(&store, &cutoffs(0, 0, 20)).await.attempts, 2);
    let sql = "SELECT endpoint, seq, attempt FROM lumo_delivery_attempts ORDER BY endpoint, seq, attempt";
    let rows = database.rows(sql).await.into_iter();
    let rows: Vec<_> = rows.map(|row| row.into_iter().flatten().collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(rows, ["crm 1 1", "crm 2 1", "shop 1 2", "shop 1 3"], "the delivery itself is still on its way");
    // Numbers go on.
    leader.deliver(at(40)).await;
    assert_eq!(database.number("SELECT MAX(attempt) FROM lumo_delivery_attempts").await, 4);
}

/// Without its attempt it would be shown as delivered.
async fn what_was_not_sent_says_so_as_long_as_its_event_is_there(database: Database) {
    let store = migrated(&database, &shop()).await;
    publish(&store, &[news("a", 1), draft("once", "d"), news("b", 2)], at(2)).await;
    let mut leader = Leader::of(&store, "shop", at(3)).await;
    leader.pass(1, at(3), |_| Came::Superseded).await;
    leader.deliver_as(Came::Filtered, at(3)).await;
    assert_eq!(prune(&store, &cutoffs(2, DAY, DAY)).await, Pruned { events: 1, attempts: 1, ..Pruned::default() });
    assert_eq!(prune(&store, &cutoffs(2, DAY, DAY)).await, Pruned::default());
    assert_eq!(prune(&store, &cutoffs(DAY, DAY, DAY)).await, Pruned { events: 1, attempts: 1, ..Pruned::default() });
    let results = database.rows("SELECT event_id, result FROM lumo_delivery_attempts").await;
    let once = draft("once", "d").id.as_str().to_owned();
    assert_eq!(results, [vec![Some(once), Some("filtered".to_owned())]]);
}

async fn what_an_endpoint_has_still_to_receive_stays(database: Database) {
    let two = [subscriber("shop", &["*"], Order::User), subscriber("crm", &["deposit.updated"], Order::User)];
    let store = migrated(&database, &two).await;
    let stalled = Draft { kind: EventType::SyncStalled, ..news("sync:wallets", 1) };
    publish(&store, &[news("a", 1), stalled, news("b", 2)], at(2)).await;
    Leader::of(&store, "shop", at(2)).await.deliver(at(2)).await;
    let old = cutoffs(DAY, DAY, DAY);
    // `crm` was never called; the other type nobody wants.
    assert_eq!(prune(&store, &old).await, Pruned { events: 1, attempts: 2, ..Pruned::default() });
    assert_eq!(left(&database).await, ["a", "b"]);
    // It no longer wants the type, and still gets what there was until then.
    database.execute("UPDATE lumo_subscriptions SET through_seq = 3 WHERE endpoint = 'crm'").await;
    assert_eq!(prune(&store, &old).await.events, 0);
    // What is given up it never gets.
    database.execute("UPDATE lumo_subscriptions SET state = 'skipped' WHERE endpoint = 'crm'").await;
    assert_eq!(prune(&store, &Cutoffs { events: Some(at(2)), ..old }).await.events, 1);
    database.execute("UPDATE lumo_subscriptions SET state = 'wanted' WHERE endpoint = 'crm'").await;
    database.execute("UPDATE lumo_positions SET position = 2 WHERE endpoint = 'crm'").await;
    assert_eq!(prune(&store, &old).await.events, 0);
    database.execute("UPDATE lumo_positions SET position = 3 WHERE endpoint = 'crm'").await;
    assert_eq!(prune(&store, &old).await.events, 1);

    // Numbers go on where they were.
    publish(&store, &[news("a", 200)], at(200)).await;
    let rows = database.rows("SELECT seq, stream_seq FROM lumo_events WHERE stream = 'a'").await;
    assert_eq!(rows, [vec![Some("4".to_owned()), Some("2".to_owned())]]);
}

async fn what_happens_once_stays_with_everything_that_is_said_about_it(database: Database) {
    let store = migrated(&database, &[subscriber("shop", &["deposit.*"], Order::User)]).await;
    publish(&store, &[draft("a", "d-1"), draft("b", "d-2")], at(1)).await;
    let mut leader = Leader::of(&store, "shop", at(1)).await;
    leader.pass(1, at(1), |_| Came::Delivered).await;
    leader.deliver_as(Came::Dead, at(1)).await;
    assert_eq!(prune(&store, &cutoffs(DAY, DAY, DAY)).await, Pruned { attempts: 2, events: 1, ..Pruned::default() });
    assert_eq!(left(&database).await, ["a", "b"], "only the event of the death is gone");
    assert_eq!(database.count("lumo_exceptions", "state = 'dead'").await, 1);
}

/// The promise that keeps some events for good.
async fn a_table_that_is_read_again_tells_nothing_twice(database: Database) {
    let store = migrated(&database, &shop()).await;
    let listed = [wallet("w1", "bob"), wallet("w2", "eve")];
    ingest(&store, &listed, at(1)).await;
    let deposits = [deposit("d1"), deposit("d2")];
    ingest(&store, &deposits, at(2)).await;
    let mut leader = Leader::of(&store, "shop", at(3)).await;
    assert_eq!(leader.deliver(at(3)).await.len(), 4);
    assert_eq!(prune(&store, &cutoffs(DAY, DAY, DAY)).await, Pruned { attempts: 4, ..Pruned::default() });
    for table in ["lumo_user_wallets", "lumo_user_deposits"] {
        database.execute(&format!("DELETE FROM {table}")).await;
    }
    assert_eq!(ingest(&store, &listed, at(2 * DAY)).await.events, 0);
    assert_eq!(ingest(&store, &deposits, at(2 * DAY)).await.events, 0);
    assert!(leader.deliver(at(2 * DAY)).await.is_empty(), "nobody is told again");
}

async fn acknowledgements_go_with_their_event(database: Database) {
    let store = migrated(&database, &shop()).await;
    publish(&store, &[news("a", 1), news("b", 1), draft("once", "d")], at(1)).await;
    Leader::of(&store, "shop", at(1)).await.deliver(at(1)).await;
    database.execute("INSERT INTO lumo_acks (event_id, endpoint) SELECT id, 'shop' FROM lumo_events").await;
    database.execute("UPDATE lumo_positions SET position = 1").await;
    assert_eq!(prune(&store, &cutoffs(DAY, DAY, DAY)).await.events, 1);
    let orphans = "event_id NOT IN (SELECT id FROM lumo_events)";
    assert_eq!(database.count("lumo_acks", "1 = 1").await, 2);
    assert_eq!(database.count("lumo_acks", orphans).await, 0);
}

async fn ranges_that_hold_nothing_any_more_go(database: Database) {
    let store = migrated(&database, &[subscriber("shop", &["deposit.*"], Order::User)]).await;
    publish(&store, &[draft("once", "d"), news("a", 1), news("a", 5)], at(5)).await;
    Leader::of(&store, "shop", at(5)).await.deliver(at(5)).await;
    database.execute("UPDATE lumo_subscriptions SET through_seq = 2").await;
    let closed = database.count("lumo_subscriptions", "1 = 1").await;
    assert_eq!(prune(&store, &cutoffs(1, DAY, DAY)).await.ranges, 0, "the second event lies in one");
    // A type that happens once keeps its range, as its events stay.
    assert_eq!(
        prune(&store, &cutoffs(5, DAY, DAY)).await,
        Pruned { events: 1, ranges: u64::try_from(closed).unwrap() - 2, ..Pruned::default() }
    );
    let kind = database.quote("type");
    let left = database.rows(&format!("SELECT {kind} FROM lumo_subscriptions ORDER BY {kind}")).await.concat();
    assert_eq!(left, ["deposit.created", "deposit.settled"].map(|kind| Some(kind.to_owned())));
    database.execute("UPDATE lumo_subscriptions SET through_seq = NULL, from_seq = 9").await;
    assert_eq!(prune(&store, &cutoffs(DAY, DAY, DAY)).await.ranges, 0, "what is open never goes");
}

async fn a_walk_looks_only_at_what_is_old_and_takes_it_in_batches(database: Database) {
    let store = migrated(&database, &[subscriber("shop", &["deposit.*"], Order::None)]).await;
    for seconds in [10, 20, 30] {
        let drafts: Vec<_> = (0..600).map(|number| news(&format!("{seconds}-{number}"), seconds)).collect();
        publish(&store, &drafts, at(seconds)).await;
    }
    let mut leader = Leader::of(&store, "shop", at(31)).await;
    assert_eq!(leader.pass(1, at(31), |_| Came::RetryAt(at(99))).await.len(), 1);
    assert_eq!(leader.deliver(at(31)).await.len(), 1_799);

    let mut attempts = Vec::new();
    let mut walk = store.walk_attempts(at(32)).await.unwrap();
    while let Some(batch) = store.forget_attempts(&mut walk, at(32)).await.unwrap() {
        attempts.push(batch.attempts);
    }
    assert_eq!(attempts, [1_000, 800, 0]);

    let old = cutoffs(30, 30, 30);
    let mut events = Vec::new();
    let mut walk = store.walk_events(1, at(30)).await.unwrap();
    while let Some(batch) = store.forget_events(&mut walk, &old).await.unwrap() {
        events.push(batch.events);
    }
    assert_eq!(events, [499, 500, 200], "what came later is not even looked at");
    assert_eq!(walk.floor(), 1, "the first is still needed");
    leader.deliver(at(99)).await;
    // Gaps do not mislead the next walk.
    let all = cutoffs(31, 31, 100);
    assert_eq!(prune(&store, &all).await, Pruned { events: 601, attempts: 1, ..Pruned::default() });
    let mut walk = store.walk_events(1, at(31)).await.unwrap();
    assert_eq!(store.forget_events(&mut walk, &all).await.unwrap(), None);
}

/// Many times at once: an event that gets a row must still be there.
async fn an_event_that_is_replayed_is_not_pruned(database: Database) {
    let store = migrated(&database, &[subscriber("shop", &["bridge.test"], Order::None)]).await;
    let old = cutoffs(DAY, DAY, DAY);
    for round in 0..10 {
        let drafts: Vec<_> = (0..40).map(|number| news(&format!("{round}-{number}"), 1)).collect();
        publish(&store, &drafts, at(1)).await;
        let replays = async {
            let mut replay =
                store.begin_replay(ReplayFilter::default(), endpoint("shop"), Types::Any, Actor::API).await.unwrap();
            let mut sum = Replayed::default();
            while let Some(batch) = store.replay(&mut replay, at(2)).await.unwrap() {
                sum.queued += batch.queued;
            }
            sum.queued
        };
        let prunes = async {
            let mut walk = store.walk_events(1, at(DAY)).await.unwrap();
            let mut events = 0;
            while let Some(batch) = store.forget_events(&mut walk, &old).await.unwrap() {
                events += batch.events;
            }
            events
        };
        let (queued, pruned) = tokio::join!(replays, prunes);
        assert_eq!(queued + pruned, 40, "round {round}");
        let orphans = "NOT EXISTS (SELECT 1 FROM lumo_events e WHERE e.seq = lumo_exceptions.seq)";
        assert_eq!(database.count("lumo_exceptions", orphans).await, 0, "round {round}");
        database.execute("DELETE FROM lumo_exceptions").await;
        database.execute("DELETE FROM lumo_events").await;
    }
}

/// A command that was first has the last word.
async fn a_row_that_is_brought_back_to_life_meanwhile_stays(database: Database) {
    if database.is_sqlite() {
        return; // It has one writer.
    }
    let store = migrated(&database, &shop()).await;
    publish(&store, &[news("a", 1), news("b", 1)], at(1)).await;
    Leader::of(&store, "shop", at(1)).await.deliver_as(Came::Dead, at(1)).await;
    database.execute("DELETE FROM lumo_delivery_attempts").await;
    let held = database.hold("UPDATE lumo_exceptions SET state = 'waiting' WHERE seq = 1").await;
    let old = cutoffs(2, DAY, DAY);
    let prunes = prune(&store, &old);
    let revives = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        held.commit().await;
    };
    let both = Box::pin(async { tokio::join!(prunes, revives) });
    let (pruned, ()) = tokio::time::timeout(Duration::from_secs(30), both).await.expect("they wait for each other");
    // The events of both deaths go as well.
    assert_eq!(pruned, Pruned { events: 3, deliveries: 1, ..Pruned::default() });
    assert_eq!(database.number("SELECT seq FROM lumo_exceptions").await, 1);
    assert_eq!(left(&database).await.first().map(String::as_str), Some("a"));
}

/// A batch that is not committed yet holds up nobody.
async fn publishing_and_delivering_do_not_wait_for_it(database: Database) {
    if database.is_sqlite() {
        return; // It has one writer, and a batch is over in no time.
    }
    let store = migrated(&database, &shop()).await;
    publish(&store, &[news("dead", 1), news("delivered", 1)], at(1)).await;
    let mut leader = Leader::of(&store, "shop", at(1)).await;
    leader.pass(1, at(1), |_| Came::Dead).await;
    leader.deliver(at(1)).await;
    // Somebody keeps an acknowledgement locked, so that the batch stops in the middle, with the row gone.
    database
        .execute("INSERT INTO lumo_acks (event_id, endpoint) SELECT id, 'shop' FROM lumo_events WHERE seq = 1")
        .await;
    let held = database.hold("SELECT event_id FROM lumo_acks FOR UPDATE").await;
    let old = cutoffs(2, DAY, DAY);
    let prunes = prune(&store, &old);
    let others = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        publish(&store, &[news("new", 2)], at(2)).await;
        assert!(!leader.deliver(at(2)).await.is_empty());
        held.release().await;
    };
    let both = Box::pin(async { tokio::join!(prunes, others) });
    let (pruned, ()) = tokio::time::timeout(Duration::from_secs(30), both).await.expect("they wait for each other");
    assert_eq!((pruned.events, pruned.deliveries), (3, 1), "the event of the death goes as well");
}

async fn a_run_keeps_to_the_configuration(database: Database) {
    let store = migrated(&database, &[subscriber("shop", &["deposit.*"], Order::User)]).await;
    let clock = Clock::manual(at(0));
    let days = |days: u64| Span(Duration::from_secs(days * 86_400));
    let config = Config { events: days(14), dead: days(90), attempts: days(7) };
    let retention = Retention::new(store.clone(), clock.clone(), config.clone());
    publish(&store, &[news("a", 0), draft("user:once", "d"), news("b", 0)], at(0)).await;
    let mut leader = Leader::of(&store, "shop", at(0)).await;
    leader.pass(2, at(0), |_| Came::Delivered).await;
    leader.deliver_as(Came::Dead, at(0)).await;
    let stop = CancellationToken::new();
    let mut day = 0;
    // The event of the death goes as well: nobody wants it.
    for (until, events, deliveries, attempts) in
        [(7, 0, 0, 0), (8, 0, 0, 3), (14, 0, 0, 0), (15, 2, 0, 0), (90, 0, 0, 0), (91, 1, 1, 0), (9_999, 0, 0, 0)]
    {
        clock.advance(chrono::TimeDelta::days(until - day));
        day = until;
        let expected = Pruned { events, deliveries, attempts, ..Pruned::default() };
        assert_eq!(retention.apply(&stop).await.unwrap(), expected, "day {until}");
    }
    assert_eq!(left(&database).await, ["user:once"]);
    let forever = Span(Duration::from_secs(u64::MAX));
    let keeps = Retention::new(store.clone(), clock, Config { events: forever, dead: forever, attempts: forever });
    publish(&store, &[news("c", 3)], at(3)).await;
    leader.deliver(at(3)).await;
    assert_eq!(keeps.apply(&stop).await.unwrap(), Pruned::default());
    stop.cancel();
    assert_eq!(retention.apply(&stop).await.unwrap().attempts, 1, "told to stop, it ends after a batch");
    assert_eq!(left(&database).await, ["user:once", "c"]);
}
