//! Which endpoints there are, and what becomes of one that is configured again.

use lumo_bridge::model::retry::Verdict;
use lumo_bridge::store::{Registered, Store, Turn};
use lumo_bridge_entity::endpoint::{Model, State};

use super::fixture::{at, claim, config, draft, endpoint, migrated, next_due, publish, settle, shop};
use crate::database::{Database, on_each_database};

on_each_database!(
    endpoints_that_come_and_go_are_noted_once,
    an_endpoint_that_is_put_back_is_judged_anew_unless_somebody_decided_about_it,
);

async fn row(store: &Store) -> Model {
    store.endpoint(&endpoint("shop")).await.unwrap().unwrap()
}

async fn endpoints_that_come_and_go_are_noted_once(database: Database) {
    let with = migrated(&database, &shop()).await;
    let without = Store::open(&config(&database), Vec::new()).await.unwrap();
    let removed = Registered { removed: vec![endpoint("shop")], ..Registered::default() };
    assert_eq!(with.register_endpoints(at(1)).await.unwrap(), Registered::default());
    assert_eq!(without.register_endpoints(at(2)).await.unwrap(), removed);
    assert_eq!(without.register_endpoints(at(3)).await.unwrap(), Registered::default());
    assert_eq!(row(&with).await.removed_at, Some(at(2)));
    let put_back = Registered { put_back: vec![endpoint("shop")], ..Registered::default() };
    assert_eq!(with.register_endpoints(at(4)).await.unwrap(), put_back);
    assert_eq!(row(&with).await.removed_at, None);
}

async fn an_endpoint_that_is_put_back_is_judged_anew_unless_somebody_decided_about_it(database: Database) {
    let store = migrated(&database, &shop()).await;
    let without = Store::open(&config(&database), Vec::new()).await.unwrap();
    let away = async |seconds: i64| {
        without.register_endpoints(at(seconds)).await.unwrap();
        store.register_endpoints(at(seconds + 1)).await.unwrap();
        row(&store).await
    };
    publish(&store, &[draft("user:a", "1")], at(0)).await;
    settle(&store, claim(&store, "shop", 1, at(1)).await, "shop", Verdict::RetryAt(at(9999)), at(1)).await;
    assert_eq!(next_due(&store, "shop").await, Some(at(9999)));
    let back = away(10).await;
    assert_eq!((back.state, back.consecutive_failures), (State::Active, 0));
    assert_eq!(next_due(&store, "shop").await, Some(at(11)), "what failed need not wait any longer");

    let shop = endpoint("shop");
    let turn = |to| Turn { endpoint: &shop, from: State::Active, to, hold_until: Some(at(500)), error: None };
    assert!(store.turn_endpoint(turn(State::Failing), at(20)).await.unwrap());
    let back = away(30).await;
    assert_eq!((back.state, back.since, back.hold_until), (State::Failing, at(31), None), "it is probed at once");

    for (seconds, state) in [(40, State::Paused), (50, State::Suspended)] {
        assert!(store.set_endpoint_state(&shop, state, at(seconds)).await.unwrap());
        let back = away(seconds + 1).await;
        assert_eq!((back.state, back.since), (state, at(seconds)), "it waits for the operator");
    }
}
