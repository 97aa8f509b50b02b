//! The group commit: what a leader writes about events, rows and the endpoint itself.

use std::time::Duration;

use lumo_bridge::model::actor::Actor;
use lumo_bridge::model::id::EndpointName;
use lumo_bridge::model::retry::EARLY_TRIES;
use lumo_bridge::model::subscriber::{Order, Subscriber};
use lumo_bridge::store::Store;
use lumo_bridge::store::delivery::{Attempted, EndpointNote, GroupCommit, StateTransition, Written};
use lumo_bridge::store::query::EventFilter;
use lumo_bridge_entity::attempt::AttemptResult;
use lumo_bridge_entity::endpoint::State as Health;
use serde_json::{Value, json};

use super::fixture::{ALL, at, deliveries, draft, endpoint, kinds, migrated, publish, publish_in, shop, subscriber};
use super::leader::{Came, Leader};
use crate::database::{Database, on_each_database};

on_each_database!(
    each_attempt_is_recorded_with_what_came_of_it,
    what_succeeds_leaves_an_attempt_and_nothing_else,
    what_dies_keeps_why,
    a_commit_larger_than_a_statement_is_written_whole,
    what_a_command_has_decided_is_not_overwritten,
    a_change_of_state_is_told_once_and_only_to_the_others,
    a_state_that_was_left_meanwhile_is_not_changed,
    whoever_recovers_gets_what_failed_at_once_unless_it_failed_often,
    a_death_is_told_to_the_others,
);

fn two() -> Vec<Subscriber> {
    ["crm", "shop"].map(|name| subscriber(name, &["*", "endpoint.*", "delivery.*"], Order::User)).into()
}

async fn last_event(store: &Store) -> Value {
    let filter = EventFilter { limit: ALL, ..EventFilter::default() };
    let event = store.list_events(&filter).await.unwrap().remove(0);
    serde_json::from_str(&event.body).unwrap()
}

fn note(transition: Option<(Health, Health)>) -> EndpointNote {
    EndpointNote {
        state: Health::Failing,
        consecutive_failures: 5,
        last_success_at: None,
        last_error: Some("answered 500".to_owned()),
        hold_until: Some(at(11)),
        transition: transition.map(|(from, to)| StateTransition { from, to }),
    }
}

/// Who is to receive the events of this type.
async fn told(store: &Store, kind: &str) -> Vec<EndpointName> {
    deliveries(store).await.into_iter().filter(|row| row.kind == kind).map(|row| row.id.endpoint).collect()
}

async fn each_attempt_is_recorded_with_what_came_of_it(database: Database) {
    let store = migrated(&database, &shop()).await;
    publish_in(&store, &["user:a", "user:b", "user:c"], at(0)).await;
    let came = [
        (None, Some("connection refused: \u{1f4a5}"), None, AttemptResult::Failed),
        (Some(503), Some("answered 503"), Some("ответ \"busy\"\n".repeat(99)), AttemptResult::Failed),
        (Some(204), None, None, AttemptResult::Delivered),
    ];
    let mut leader = Leader::of(&store, "shop", at(1)).await;
    let started_at = at(2) - chrono::TimeDelta::microseconds(1);
    let mut items = Vec::new();
    for (next, (status, error, response_body, result)) in leader.look().await.iter().zip(came.clone()) {
        let duration = Duration::from_micros(12_999);
        let error = error.map(str::to_owned);
        let attempted = Attempted { started_at, duration, status, error, response_body, result, counts: true };
        let outcome = if result == AttemptResult::Delivered { Came::Delivered } else { Came::RetryAt(at(9)) };
        let mut item = next.item(outcome, at(2));
        item.attempt = Some(attempted);
        items.push(item);
    }
    leader.commit(items, 3, at(2)).await;
    for (row, (status, error, response_body, result)) in deliveries(&store).await.iter().zip(came) {
        let attempts = store.attempts(row).await.unwrap();
        let [attempt] = attempts.as_slice() else { panic!("{attempts:?}") };
        assert_eq!((attempt.attempt, attempt.status, attempt.result), (1, status.map(i32::from), result));
        assert_eq!((attempt.error.as_deref(), &attempt.response_body), (error, &response_body));
        assert_eq!((attempt.started_at, attempt.duration_ms), (started_at, 12));
        assert_eq!((row.attempts, row.last_status), (1, status.map(i32::from)));
        assert_eq!(row.last_error.as_deref(), error);
    }
}

async fn what_succeeds_leaves_an_attempt_and_nothing_else(database: Database) {
    let store = migrated(&database, &shop()).await;
    publish_in(&store, &["user:a", "user:a", "user:b"], at(0)).await;
    let mut leader = Leader::of(&store, "shop", at(1)).await;
    leader.pass(1, at(1), |_| Came::RetryAt(at(2))).await;
    leader.deliver(at(2)).await;
    assert_eq!(database.count("lumo_exceptions", "1 = 1").await, 0);
    assert_eq!(database.number("SELECT position FROM lumo_positions").await, 3);
    let attempts = database.rows("SELECT seq, attempt, result FROM lumo_delivery_attempts ORDER BY seq, attempt").await;
    let attempts: Vec<_> =
        attempts.into_iter().map(|row| row.into_iter().flatten().collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(attempts, ["1 1 failed", "1 2 delivered", "2 1 delivered", "3 1 delivered"]);
    assert_eq!(store.undelivered().await.unwrap(), []);
    let shown = database.rows("SELECT state, attempts, last_status FROM lumo_deliveries ORDER BY seq").await;
    let shown: Vec<_> = shown.into_iter().map(|row| row.into_iter().flatten().collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(shown, ["delivered 2 200", "delivered 1 200", "delivered 1 200"]);
    assert_eq!(database.count("lumo_undelivered", "1 = 1").await, 0);
}

async fn what_dies_keeps_why(database: Database) {
    let store = migrated(&database, &shop()).await;
    publish_in(&store, &["user:a", "user:b"], at(0)).await;
    let mut leader = Leader::of(&store, "shop", at(1)).await;
    let reasons = [(400, "answered 400"), (410, "answered 410")];
    // Different reasons in one commit must not be written over each other.
    let mut items = Vec::new();
    for (next, (status, error)) in leader.look().await.iter().zip(reasons) {
        let mut item = next.item(Came::Dead, at(2));
        let attempt = item.attempt.as_mut().unwrap();
        (attempt.status, attempt.error) = (Some(status), Some(error.to_owned()));
        items.push(item);
    }
    leader.commit(items, 2, at(2)).await;
    let rows = database.rows("SELECT state, attempts, last_status, last_error FROM lumo_exceptions ORDER BY seq").await;
    for (row, (status, error)) in rows.into_iter().zip(reasons) {
        let cells: Vec<_> = row.into_iter().flatten().collect();
        assert_eq!(cells, ["dead", "1", &status.to_string(), error]);
    }
    let unfinished = "next_attempt_at IS NOT NULL OR lane IS NOT NULL OR ended_at IS NULL";
    assert_eq!(database.count("lumo_exceptions", unfinished).await, 0);
    assert_eq!(store.undelivered().await.unwrap()[0].deliveries, 2);
}

async fn a_commit_larger_than_a_statement_is_written_whole(database: Database) {
    let store = migrated(&database, &shop()).await;
    let drafts: Vec<_> =
        (0..1202).map(|number| draft(&format!("user:{}", number % 601), &number.to_string())).collect();
    publish(&store, &drafts, at(0)).await;
    let mut leader = Leader::of(&store, "shop", at(1)).await;
    assert_eq!(leader.pass(usize::MAX, at(1), |_| Came::RetryAt(at(2))).await.len(), 601, "and 601 wait behind them");
    assert_eq!(leader.pass(usize::MAX, at(2), |_| Came::Delivered).await.len(), 601);
    assert_eq!(leader.pass(usize::MAX, at(3), |_| Came::Delivered).await.len(), 601);
    assert_eq!(database.count("lumo_exceptions", "1 = 1").await, 0);
    assert_eq!(database.count("lumo_delivery_attempts", "result = 'delivered'").await, 1202);
}

async fn what_a_command_has_decided_is_not_overwritten(database: Database) {
    let store = migrated(&database, &shop()).await;
    publish_in(&store, &["user:a", "user:b", "user:c", "user:d"], at(0)).await;
    let mut leader = Leader::of(&store, "shop", at(1)).await;
    leader.pass(2, at(1), |_| Came::RetryAt(at(2))).await;
    let ids: Vec<_> = deliveries(&store).await.into_iter().map(|row| row.id).collect();
    let position = store.position(&endpoint("shop")).await.unwrap().unwrap();

    // What it had in hand when the operator gave up one with a row, and one ahead of the position.
    let due = store.due(&endpoint("shop"), 9, at(2)).await.unwrap().rows;
    let items = due.into_iter().map(|row| Leader::next_of(row).item(Came::Delivered, at(3)));
    let ahead = leader.look().await;
    let items = items.chain(ahead.iter().map(|next| next.item(Came::Delivered, at(3)))).collect();
    store.skip_deliveries(&[ids[0].clone(), ids[2].clone()], "booked by hand", &Actor::API, at(2)).await.unwrap();

    let commit = GroupCommit {
        endpoint: endpoint("shop"),
        epoch: position.epoch,
        revision: position.revision,
        commits: position.commits,
        position: 4,
        items,
        note: None,
        asks_acks: false,
    };
    let Written::Committed(committed) = store.commit_group(&commit, at(3)).await.unwrap() else { panic!("lost") };
    assert!(committed.is_stale);
    assert_eq!(committed.dropped, [1, 3]);
    let states: Vec<_> = deliveries(&store).await.into_iter().map(|row| row.state.as_str()).collect();
    assert_eq!(states, ["skipped", "delivered", "skipped", "delivered"]);
    assert_eq!(database.count("lumo_delivery_attempts", "result = 'delivered'").await, 2);
}

async fn a_change_of_state_is_told_once_and_only_to_the_others(database: Database) {
    let store = migrated(&database, &two()).await;
    let mut leader = Leader::of(&store, "shop", at(1)).await;
    for seconds in [10, 12] {
        leader.note = Some(note(Some((Health::Active, Health::Failing))));
        leader.commit(Vec::new(), 0, at(seconds)).await;
    }
    assert_eq!(kinds(&database).await, ["endpoint.failing"]);
    assert_eq!(told(&store, "endpoint.failing").await, [endpoint("crm")]);
    let row = store.endpoint(&endpoint("shop")).await.unwrap().unwrap();
    assert_eq!((row.state, row.since, row.hold_until), (Health::Failing, at(10), Some(at(11))));
    assert_eq!((row.consecutive_failures, row.last_error.as_deref()), (5, Some("answered 500")));
    let body = last_event(&store).await;
    assert_eq!(body["stream"], "endpoint:shop");
    assert_eq!(body["data"]["object"]["error"], "answered 500");
    assert_eq!(body["data"]["changes"]["state"], json!({ "from": "active", "to": "failing" }));
}

async fn a_state_that_was_left_meanwhile_is_not_changed(database: Database) {
    let store = migrated(&database, &two()).await;
    let mut leader = Leader::of(&store, "shop", at(1)).await;
    leader.refresh(at(1)).await;
    store.set_endpoint_state(&endpoint("shop"), Health::Paused, &Actor::API, at(1)).await.unwrap();
    leader.note = Some(note(Some((Health::Active, Health::Failing))));
    leader.commit(Vec::new(), 0, at(2)).await;
    let row = store.endpoint(&endpoint("shop")).await.unwrap().unwrap();
    assert_eq!((row.state, row.since, row.hold_until), (Health::Paused, at(1), None));
    assert!(kinds(&database).await.is_empty());

    // A probe that was under way when an operator resumed the endpoint holds nothing.
    store.set_endpoint_state(&endpoint("shop"), Health::Active, &Actor::API, at(3)).await.unwrap();
    leader.note = Some(note(None));
    leader.commit(Vec::new(), 0, at(4)).await;
    let row = store.endpoint(&endpoint("shop")).await.unwrap().unwrap();
    assert_eq!((row.state, row.consecutive_failures, row.hold_until), (Health::Active, 0, None));
    leader.note = Some(EndpointNote { state: Health::Active, ..note(None) });
    leader.commit(Vec::new(), 0, at(5)).await;
    let row = store.endpoint(&endpoint("shop")).await.unwrap().unwrap();
    assert_eq!((row.state, row.consecutive_failures, row.hold_until), (Health::Active, 5, Some(at(11))));
}

async fn whoever_recovers_gets_what_failed_at_once_unless_it_failed_often(database: Database) {
    let store = migrated(&database, &two()).await;
    publish_in(&store, &["user:a", "user:b"], at(0)).await;
    let mut leader = Leader::of(&store, "shop", at(1)).await;
    let mut items: Vec<_> = leader.look().await.iter().map(|next| next.item(Came::RetryAt(at(1000)), at(1))).collect();
    (items[0].tries, items[1].tries) = (EARLY_TRIES, EARLY_TRIES + 1);
    leader.commit(items, 2, at(1)).await;
    leader.note = Some(note(Some((Health::Active, Health::Failing))));
    leader.commit(Vec::new(), 2, at(2)).await;
    let transition = Some(StateTransition { from: Health::Failing, to: Health::Active });
    leader.note = Some(EndpointNote {
        state: Health::Active,
        consecutive_failures: 0,
        last_success_at: Some(at(3)),
        last_error: None,
        hold_until: None,
        transition,
    });
    leader.commit(Vec::new(), 2, at(3)).await;
    let row = store.endpoint(&endpoint("shop")).await.unwrap().unwrap();
    assert_eq!((row.state, row.consecutive_failures, row.hold_until), (Health::Active, 0, None));
    assert_eq!((row.last_success_at, row.last_error), (Some(at(3)), None));
    assert_eq!(leader.pass(9, at(3), |_| Came::Delivered).await.len(), 1);
    assert_eq!(last_event(&store).await["type"], "endpoint.recovered");
}

async fn a_death_is_told_to_the_others(database: Database) {
    let store = migrated(&database, &two()).await;
    publish_in(&store, &["user:a"], at(0)).await;
    let mut leader = Leader::of(&store, "shop", at(1)).await;
    leader.pass(9, at(1), |_| Came::Dead).await;
    let body = last_event(&store).await;
    let dead = deliveries(&store).await.into_iter().find(|row| row.id.endpoint == endpoint("shop")).unwrap();
    assert_eq!((&body["type"], &body["data"]["object"]["id"]), (&json!("delivery.dead"), &json!(dead.id.to_string())));
    assert_eq!(body["data"]["object"]["last_error"], "answered 500");
    assert_eq!(told(&store, "delivery.dead").await, [endpoint("crm")]);
    assert_eq!(dead.state.as_str(), "dead");
    assert!(leader.deliver(at(2)).await.is_empty());
    assert_eq!(
        Leader::of(&store, "crm", at(2)).await.deliver(at(2)).await.len(),
        2,
        "the event, and that it died elsewhere"
    );
}
