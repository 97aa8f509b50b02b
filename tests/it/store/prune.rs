//! Retention: what is over goes, in small batches, and nothing that is still needed.

use std::time::Duration;

use lumo_bridge::callback::config::Retention as Config;
use lumo_bridge::clock::Clock;
use lumo_bridge::model::draft::{Draft, repeated};
use lumo_bridge::model::event::EventType;
use lumo_bridge::model::retry::Verdict;
use lumo_bridge::model::subscriber::Order;
use lumo_bridge::retention::Retention;
use lumo_bridge::setting::Span;
use lumo_bridge::store::replay::{ReplayFilter, Replayed};
use lumo_bridge::store::{Cutoffs, Pruned, Store};
use lumo_bridge_entity::delivery::State;
use tokio_util::sync::CancellationToken;

use super::fixture::{
    at, claim, deliveries, draft, endpoint, ingest, migrated, publish, settle, shop, subscriber, wallet,
};
use crate::database::{Database, on_each_database};

on_each_database!(
    each_state_goes_when_its_time_has_come,
    attempts_go_by_their_own_age,
    events_go_after_their_last_delivery_but_not_what_can_be_told_again,
    a_table_that_is_read_again_tells_nothing_twice,
    a_walk_looks_only_at_what_is_old_and_takes_it_in_batches,
    an_event_that_is_replayed_is_not_pruned,
    publishing_and_claiming_do_not_wait_for_it,
    a_run_keeps_to_the_configuration,
);

const DAY: i64 = 86_400;

/// An event that can happen again.
fn news(stream: &str, version: i64) -> Draft {
    let kind = EventType::DepositUpdated;
    let id = repeated("company", kind, stream, version, "generation");
    Draft { id, kind, detected_at: at(version), ..draft(stream, stream) }
}

fn cutoffs(delivered: i64, dead: i64, attempts: i64) -> Cutoffs {
    Cutoffs { delivered: Some(at(delivered)), dead: Some(at(dead)), attempts: Some(at(attempts)) }
}

async fn prune(store: &Store, cutoffs: &Cutoffs) -> Pruned {
    let mut sum = Pruned::default();
    let mut add = |batch: Pruned| {
        sum.deliveries += batch.deliveries;
        sum.attempts += batch.attempts;
        sum.events += batch.events;
    };
    let mut walk = store.walk_deliveries(cutoffs.delivered.max(cutoffs.dead).unwrap()).await.unwrap();
    while let Some(batch) = store.prune_deliveries(&mut walk, cutoffs).await.unwrap() {
        add(batch);
    }
    let mut walk = store.walk_deliveries(cutoffs.attempts.unwrap()).await.unwrap();
    while let Some(batch) = store.prune_attempts(&mut walk, cutoffs.attempts.unwrap()).await.unwrap() {
        add(batch);
    }
    let mut walk = store.walk_events(0, cutoffs.events().unwrap()).await.unwrap();
    while let Some(batch) = store.prune_events(&mut walk, cutoffs.events().unwrap()).await.unwrap() {
        add(batch);
    }
    sum
}

/// The streams of the deliveries that are left.
async fn left(store: &Store) -> Vec<String> {
    let mut streams = Vec::new();
    for row in deliveries(store).await {
        streams.push(store.event(&row.event_id).await.unwrap().unwrap().stream);
    }
    streams
}

async fn each_state_goes_when_its_time_has_come(database: Database) {
    let store = migrated(&database, &shop()).await;
    publish(&store, &[news("delivered", 1)], at(10)).await;
    settle(&store, claim(&store, "shop", 9, at(11)).await, "shop", Verdict::Done, at(20)).await;
    for (state, version) in ["pending", "sending", "retrying", "held", "dead", "skipped"].into_iter().zip(2..) {
        publish(&store, &[news(state, version)], at(10)).await;
        let id = deliveries(&store).await.pop().unwrap().id;
        database.execute(&format!("UPDATE lumo_deliveries SET state = '{state}' WHERE id = '{id}'")).await;
    }

    // What is exactly as old stays.
    assert_eq!(prune(&store, &cutoffs(10, 10, 0)).await, Pruned::default());
    assert_eq!(prune(&store, &cutoffs(20, 10, 0)).await, Pruned { deliveries: 1, attempts: 0, events: 1 });
    assert_eq!(left(&store).await, ["delivered", "pending", "sending", "retrying", "held", "dead"]);
    let all = prune(&store, &cutoffs(21, 10, 0)).await;
    assert_eq!((all.deliveries, all.attempts), (1, 1), "a delivery takes its attempts with it");
    assert_eq!(left(&store).await, ["pending", "sending", "retrying", "held", "dead"]);
    assert_eq!(prune(&store, &cutoffs(21, 11, 0)).await.deliveries, 1);
    assert_eq!(left(&store).await, ["pending", "sending", "retrying", "held"]);
    assert_eq!(prune(&store, &cutoffs(9_999, 9_999, 0)).await.deliveries, 0, "what is not finished never goes");
}

async fn attempts_go_by_their_own_age(database: Database) {
    let store = migrated(&database, &shop()).await;
    publish(&store, &[news("a", 1)], at(0)).await;
    for seconds in [10, 20, 30] {
        let claimed = claim(&store, "shop", 9, at(seconds)).await;
        settle(&store, claimed, "shop", Verdict::RetryAt(at(seconds + 10)), at(seconds)).await;
    }
    publish(&store, &[news("b", 15)], at(15)).await;
    let claimed = claim(&store, "shop", 9, at(16)).await;
    settle(&store, claimed, "shop", Verdict::Done, at(16)).await;

    assert_eq!(prune(&store, &cutoffs(0, 0, 10)).await.attempts, 0);
    assert_eq!(prune(&store, &cutoffs(0, 0, 20)).await.attempts, 2);
    let rows = deliveries(&store).await;
    let numbers: Vec<_> = store.attempts(&rows[0].id).await.unwrap().into_iter().map(|row| row.attempt).collect();
    assert_eq!(numbers, [2, 3], "the delivery itself is still on its way");
    assert_eq!(store.attempts(&rows[1].id).await.unwrap().len(), 0);
}

async fn events_go_after_their_last_delivery_but_not_what_can_be_told_again(database: Database) {
    let two = [subscriber("shop", &["*"], Order::User), subscriber("crm", &["deposit.updated"], Order::User)];
    let store = migrated(&database, &two).await;
    let unwanted = Draft { kind: EventType::SyncStalled, ..news("sync:wallets", 1) };
    publish(&store, &[news("a", 2), draft("user:once", "d"), unwanted], at(0)).await;
    let claimed = claim(&store, "shop", 9, at(1)).await;
    assert_eq!(claimed.len(), 2);
    settle(&store, claimed, "shop", Verdict::Done, at(1)).await;
    // One is still on its way to the other endpoint.
    assert_eq!(prune(&store, &cutoffs(100, 3, 0)).await, Pruned { deliveries: 2, attempts: 2, events: 1 });
    let streams = "SELECT stream FROM lumo_events ORDER BY seq";
    let names = |rows: Vec<Vec<Option<String>>>| rows.into_iter().flatten().flatten().collect::<Vec<_>>();
    assert_eq!(names(database.rows(streams).await), ["a", "user:once"]);

    settle(&store, claim(&store, "crm", 9, at(2)).await, "crm", Verdict::Done, at(2)).await;
    // Events outlive the longer of the two times.
    assert_eq!(prune(&store, &cutoffs(100, 2, 0)).await, Pruned { deliveries: 1, attempts: 1, events: 0 });
    assert_eq!(prune(&store, &cutoffs(2, 100, 0)).await.events, 0);
    assert_eq!(prune(&store, &cutoffs(100, 3, 0)).await.events, 1);
    assert_eq!(names(database.rows(streams).await), ["user:once"], "what happens once stays");

    // Numbers go on where they were.
    publish(&store, &[news("a", 200)], at(200)).await;
    let rows = database.rows("SELECT seq, stream_seq FROM lumo_events WHERE stream = 'a'").await;
    assert_eq!(names(rows), ["4", "2"]);
}

/// The promise that keeps some events for good.
async fn a_table_that_is_read_again_tells_nothing_twice(database: Database) {
    let store = migrated(&database, &shop()).await;
    let listed = [wallet("w1", "bob"), wallet("w2", "eve")];
    ingest(&store, &listed, at(1)).await;
    let deposits = [super::fixture::deposit("d1"), super::fixture::deposit("d2")];
    ingest(&store, &deposits, at(2)).await;
    while let claimed = claim(&store, "shop", 9, at(3)).await
        && !claimed.is_empty()
    {
        settle(&store, claimed, "shop", Verdict::Done, at(3)).await;
    }
    assert_eq!(prune(&store, &cutoffs(DAY, DAY, DAY)).await.deliveries, 4);
    for table in ["lumo_user_wallets", "lumo_user_deposits"] {
        database.execute(&format!("DELETE FROM {table}")).await;
    }
    assert_eq!(ingest(&store, &listed, at(2 * DAY)).await.events, 0);
    assert_eq!(ingest(&store, &deposits, at(2 * DAY)).await.events, 0);
    assert_eq!(database.count("lumo_deliveries", "1 = 1").await, 0, "nobody is told again");
}

async fn a_walk_looks_only_at_what_is_old_and_takes_it_in_batches(database: Database) {
    let store = migrated(&database, &[subscriber("shop", &["*"], Order::None)]).await;
    for seconds in [10, 20, 30] {
        let drafts: Vec<_> = (0..600).map(|number| news(&format!("{seconds}-{number}"), seconds)).collect();
        publish(&store, &drafts, at(seconds)).await;
    }
    loop {
        let claimed = claim(&store, "shop", 500, at(31)).await;
        if claimed.is_empty() {
            break;
        }
        settle(&store, claimed, "shop", Verdict::Done, at(31)).await;
    }
    let old = cutoffs(100, 20, 0);
    let mut batches = Vec::new();
    let mut walk = store.walk_deliveries(at(30)).await.unwrap();
    while let Some(batch) = store.prune_deliveries(&mut walk, &old).await.unwrap() {
        batches.push(batch.deliveries);
    }
    assert_eq!(batches, [500, 500, 200], "what was queued later is not even looked at");
    // Gaps do not mislead the next walk.
    let mut walk = store.walk_deliveries(at(30)).await.unwrap();
    assert_eq!(store.prune_deliveries(&mut walk, &old).await.unwrap(), None);
    let mut walk = store.walk_deliveries(at(31)).await.unwrap();
    assert_eq!(store.prune_deliveries(&mut walk, &old).await.unwrap().map(|batch| batch.deliveries), Some(500));

    let mut walk = store.walk_events(0, at(21)).await.unwrap();
    let mut events = 0;
    while let Some(batch) = store.prune_events(&mut walk, at(21)).await.unwrap() {
        events += batch.events;
    }
    assert_eq!((events, walk.after()), (600, 1200), "those of the first went with their deliveries");
    let mut walk = store.walk_events(walk.after(), at(21)).await.unwrap();
    assert_eq!(store.prune_events(&mut walk, at(21)).await.unwrap(), None, "the next walk goes on from there");
}

/// Many times at once: an event that gets a delivery must still be there.
async fn an_event_that_is_replayed_is_not_pruned(database: Database) {
    let store = migrated(&database, &[]).await;
    for round in 0..10 {
        let drafts: Vec<_> = (0..40).map(|number| news(&format!("{round}-{number}"), 1)).collect();
        publish(&store, &drafts, at(1)).await;
        let replays = async {
            let mut replay = store.begin_replay(ReplayFilter::default(), endpoint("shop"), Order::None).await.unwrap();
            let mut sum = Replayed::default();
            while let Some(batch) = store.replay(&mut replay, at(2)).await.unwrap() {
                sum.queued += batch.queued;
            }
            sum.queued
        };
        let prunes = async {
            let mut walk = store.walk_events(0, at(DAY)).await.unwrap();
            let mut events = 0;
            while let Some(batch) = store.prune_events(&mut walk, at(DAY)).await.unwrap() {
                events += batch.events;
            }
            events
        };
        let (queued, pruned) = tokio::join!(replays, prunes);
        assert!(queued + pruned <= 40 * (round + 1), "round {round}: {queued} queued, {pruned} pruned");
        let orphans = "NOT EXISTS (SELECT 1 FROM lumo_events e WHERE e.id = lumo_deliveries.event_id)";
        assert_eq!(database.count("lumo_deliveries", orphans).await, 0, "round {round}");
        database.execute("UPDATE lumo_deliveries SET state = 'delivered', next_attempt_at = NULL").await;
    }
}

/// A batch that is not committed yet holds up nobody.
async fn publishing_and_claiming_do_not_wait_for_it(database: Database) {
    if database.is_sqlite() {
        return; // It has one writer, and a batch is over in no time.
    }
    let store = migrated(&database, &shop()).await;
    publish(&store, &[news("old", 1)], at(1)).await;
    settle(&store, claim(&store, "shop", 9, at(1)).await, "shop", Verdict::Done, at(1)).await;
    let old = cutoffs(DAY, DAY, DAY);
    // Somebody keeps the event locked, so that the batch stops in the middle, with its delivery gone.
    let held = database.hold("SELECT id FROM lumo_events FOR UPDATE").await;
    let batch = async {
        let mut walk = store.walk_deliveries(at(DAY)).await.unwrap();
        store.prune_deliveries(&mut walk, &old).await.unwrap()
    };
    let others = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        publish(&store, &[news("new", 2)], at(2)).await;
        let claimed = claim(&store, "shop", 9, at(2)).await;
        assert_eq!(claimed.len(), 1);
        settle(&store, claimed, "shop", Verdict::Done, at(2)).await;
        held.release().await;
    };
    let both = Box::pin(async { tokio::join!(batch, others) });
    let (pruned, ()) = tokio::time::timeout(Duration::from_secs(30), both).await.expect("they wait for each other");
    assert_eq!(pruned, Some(Pruned { deliveries: 1, attempts: 1, events: 1 }));
    assert_eq!(left(&store).await, ["new"]);
}

async fn a_run_keeps_to_the_configuration(database: Database) {
    let store = migrated(&database, &shop()).await;
    let clock = Clock::manual(at(0));
    let days = |days: u64| Span(Duration::from_secs(days * 86_400));
    let config = Config { delivered: days(14), dead: days(90), attempts: days(7) };
    let retention = Retention::new(store.clone(), clock.clone(), config.clone());
    publish(&store, &[news("a", 1), news("b", 1), draft("user:once", "d")], at(0)).await;
    let mut claimed = claim(&store, "shop", 9, at(0)).await;
    let dead = claimed.pop().into_iter().collect();
    settle(&store, claimed, "shop", Verdict::Done, at(0)).await;
    settle(&store, dead, "shop", Verdict::Dead, at(0)).await;
    let stop = CancellationToken::new();
    let mut day = 0;
    for (until, deliveries, attempts, events) in
        [(7, 0, 0, 0), (8, 0, 3, 0), (14, 0, 0, 0), (15, 2, 0, 0), (90, 0, 0, 0), (91, 1, 0, 3), (9_999, 0, 0, 0)]
    {
        clock.advance(chrono::TimeDelta::days(until - day));
        day = until;
        assert_eq!(retention.apply(&stop).await.unwrap(), Pruned { deliveries, attempts, events }, "day {until}");
    }
    assert_eq!(database.count("lumo_events", "1 = 1").await, 1);
    let forever = Span(Duration::from_secs(u64::MAX));
    let keeps = Retention::new(store.clone(), clock, Config { delivered: forever, dead: forever, attempts: forever });
    publish(&store, &[news("c", 3)], at(0)).await;
    settle(&store, claim(&store, "shop", 9, at(0)).await, "shop", Verdict::Done, at(0)).await;
    assert_eq!(keeps.apply(&stop).await.unwrap(), Pruned::default());
    stop.cancel();
    assert_eq!(retention.apply(&stop).await.unwrap().deliveries, 1, "told to stop, it ends after a batch");
    assert!(deliveries(&store).await.iter().all(|row| row.state != State::Delivered));
}
