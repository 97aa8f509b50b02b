//! Endpoints that change their state, and what the others are told of it and of deliveries that die.

use lumo_bridge::model::retry::Verdict;
use lumo_bridge::model::subscriber::{Order, Subscriber};
use lumo_bridge::store::Turn;
use lumo_bridge_entity::delivery::State;
use lumo_bridge_entity::endpoint::State as Health;
use serde_json::{Value, json};

use super::fixture::{ALL, at, claim, deliveries, endpoint, kinds, migrated, publish_in, settle, subscriber};
use crate::database::{Database, on_each_database};

on_each_database!(
    a_change_is_told_once_and_only_to_the_others,
    a_state_that_was_left_meanwhile_is_not_changed,
    whoever_recovers_gets_what_failed_at_once,
    what_waits_for_an_endpoint_that_fails_is_listed_as_held,
    a_death_is_told_to_the_others,
);

fn two() -> Vec<Subscriber> {
    ["crm", "shop"].map(|name| subscriber(name, &["*", "endpoint.*", "delivery.*"], Order::User)).into()
}

async fn last_event(store: &lumo_bridge::store::Store) -> Value {
    let filter = lumo_bridge::store::query::EventFilter { limit: ALL, ..Default::default() };
    let event = store.list_events(&filter).await.unwrap().remove(0);
    serde_json::from_str(&event.body).unwrap()
}

fn turn<'a>(name: &'a lumo_bridge::model::id::EndpointName, from: Health, to: Health) -> Turn<'a> {
    Turn { endpoint: name, from, to, hold_until: Some(at(11)), error: Some("answered 500") }
}

async fn a_change_is_told_once_and_only_to_the_others(database: Database) {
    let store = migrated(&database, &two()).await;
    let shop = endpoint("shop");
    assert!(store.turn_endpoint(turn(&shop, Health::Active, Health::Failing), at(10)).await.unwrap());
    assert!(!store.turn_endpoint(turn(&shop, Health::Active, Health::Failing), at(11)).await.unwrap());
    assert_eq!(kinds(&database).await, ["endpoint.failing"]);
    let told: Vec<_> = deliveries(&store).await.into_iter().map(|row| row.endpoint).collect();
    assert_eq!(told, [endpoint("crm")]);
    let row = store.endpoint(&shop).await.unwrap().unwrap();
    assert_eq!((row.state, row.since, row.hold_until), (Health::Failing, at(10), Some(at(11))));
    let body = last_event(&store).await;
    assert_eq!(body["stream"], "endpoint:shop");
    assert_eq!(body["data"]["object"]["error"], "answered 500");
    assert_eq!(body["data"]["changes"]["state"], json!({ "from": "active", "to": "failing" }));
}

async fn a_state_that_was_left_meanwhile_is_not_changed(database: Database) {
    let store = migrated(&database, &two()).await;
    let shop = endpoint("shop");
    store.set_endpoint_state(&shop, Health::Paused, at(1)).await.unwrap();
    assert!(!store.turn_endpoint(turn(&shop, Health::Active, Health::Failing), at(2)).await.unwrap());
    store.probe_endpoint_at(&shop, at(9)).await.unwrap();
    let row = store.endpoint(&shop).await.unwrap().unwrap();
    assert_eq!((row.state, row.hold_until), (Health::Paused, None));
    assert!(kinds(&database).await.is_empty());
}

async fn whoever_recovers_gets_what_failed_at_once(database: Database) {
    let store = migrated(&database, &two()).await;
    let shop = endpoint("shop");
    publish_in(&store, &["user:a"], at(0)).await;
    let failed = claim(&store, "shop", 9, at(1)).await;
    settle(&store, failed, "shop", Verdict::RetryAt(at(1000)), at(1)).await;
    store.turn_endpoint(turn(&shop, Health::Active, Health::Failing), at(2)).await.unwrap();
    let recovered = Turn { hold_until: None, error: None, ..turn(&shop, Health::Failing, Health::Active) };
    assert!(store.turn_endpoint(recovered, at(3)).await.unwrap());
    let row = store.endpoint(&shop).await.unwrap().unwrap();
    assert_eq!((row.state, row.consecutive_failures, row.hold_until), (Health::Active, 0, None));
    assert_eq!(claim(&store, "shop", 9, at(3)).await.len(), 1);
    assert_eq!(last_event(&store).await["type"], "endpoint.recovered");
}

async fn what_waits_for_an_endpoint_that_fails_is_listed_as_held(database: Database) {
    let store = migrated(&database, &two()).await;
    publish_in(&store, &["user:a"], at(0)).await;
    store.set_endpoint_state(&endpoint("shop"), Health::Paused, at(1)).await.unwrap();
    let states =
        |endpoint: &str| format!("SELECT COUNT(*) FROM lumo_undelivered WHERE endpoint = '{endpoint}' AND state = ");
    assert_eq!(database.number(&format!("{} 'held'", states("shop"))).await, 1);
    assert_eq!(database.number(&format!("{} 'pending'", states("crm"))).await, 1);
    store.set_endpoint_state(&endpoint("shop"), Health::Active, at(2)).await.unwrap();
    assert_eq!(database.number(&format!("{} 'pending'", states("shop"))).await, 1);
}

async fn a_death_is_told_to_the_others(database: Database) {
    let store = migrated(&database, &two()).await;
    publish_in(&store, &["user:a"], at(0)).await;
    let claimed = claim(&store, "shop", 9, at(1)).await;
    let id = claimed[0].lease.delivery().clone();
    settle(&store, claimed, "shop", Verdict::Dead, at(1)).await;
    let body = last_event(&store).await;
    assert_eq!((&body["type"], &body["data"]["object"]["id"]), (&json!("delivery.dead"), &json!(id)));
    assert_eq!(body["data"]["object"]["last_error"], "answered 500");
    let told: Vec<_> = deliveries(&store).await.into_iter().filter(|row| row.state == State::Pending).collect();
    assert!(told.iter().all(|row| row.endpoint == endpoint("crm")));
    assert_eq!(told.len(), 2, "the event itself, and that it died elsewhere");
}
