//! The operator's hand: a delivery is made due, whatever state it is in.

use lumo_bridge::model::retry::Verdict;
use lumo_bridge::store::Store;
use lumo_bridge::store::manual::Retried;
use lumo_bridge_entity::delivery::{Model, State};

use super::fixture::{at, claim, deliveries, delivery, migrated, publish_in, settle, shop};
use crate::database::{Database, on_each_database};

on_each_database!(
    a_retry_makes_due_what_can_be_tried,
    a_retry_leaves_alone_what_is_delivered_or_under_way,
    a_retry_does_not_overtake_what_goes_first,
    a_retry_of_nothing_says_so,
    a_dead_one_that_is_tried_again_holds_nobody,
);

/// One delivery in the state, which no method of the store makes.
async fn in_state(database: &Database, store: &Store, stream: &str, state: &str) -> Model {
    publish_in(store, &[stream], at(0)).await;
    let row = deliveries(store).await.pop().unwrap();
    let id = row.id.as_str();
    database
        .execute(&format!("UPDATE lumo_deliveries SET state = '{state}', next_attempt_at = NULL WHERE id = '{id}'"))
        .await;
    delivery(store, &row.id).await
}

async fn a_retry_makes_due_what_can_be_tried(database: Database) {
    let store = migrated(&database, &shop()).await;
    for (state, after) in
        [("held", State::Held), ("retrying", State::Retrying), ("dead", State::Retrying), ("skipped", State::Retrying)]
    {
        let row = in_state(&database, &store, &format!("user:{state}"), state).await;
        let mut queued = store.queued();
        queued.mark_unchanged();
        assert_eq!(store.retry_delivery(&row.id, at(7)).await.unwrap(), Retried::Due, "{state}");
        let expected = Model { state: after, next_attempt_at: Some(at(7)), ..row };
        assert_eq!(delivery(&store, &expected.id).await, expected, "{state}");
        assert!(queued.has_changed().unwrap(), "{state}: the delivery was not woken");

        let claimed = claim(&store, "shop", 9, at(7)).await;
        assert_eq!(claimed.len(), 1, "{state}");
        assert_eq!(*claimed[0].lease.delivery(), expected.id);
        settle(&store, claimed, "shop", Verdict::Done, at(8)).await;
    }
}

async fn a_retry_leaves_alone_what_is_delivered_or_under_way(database: Database) {
    let store = migrated(&database, &shop()).await;
    for (name, state) in [("delivered", State::Delivered), ("sending", State::Sending)] {
        let row = in_state(&database, &store, &format!("user:{name}"), name).await;
        assert_eq!(store.retry_delivery(&row.id, at(7)).await.unwrap(), Retried::Untouched(state));
        assert_eq!(delivery(&store, &row.id).await, row);
    }
    assert!(claim(&store, "shop", 9, at(9)).await.is_empty());
}

async fn a_retry_does_not_overtake_what_goes_first(database: Database) {
    let store = migrated(&database, &shop()).await;
    publish_in(&store, &["user:a", "user:a"], at(0)).await;
    let rows = deliveries(&store).await;
    let waiting = rows.iter().find(|row| row.next_attempt_at.is_none()).unwrap();
    assert_eq!(store.retry_delivery(&waiting.id, at(7)).await.unwrap(), Retried::Untouched(State::Pending));
    assert_eq!(delivery(&store, &waiting.id).await, *waiting);
}

async fn a_retry_of_nothing_says_so(database: Database) {
    let store = migrated(&database, &shop()).await;
    assert_eq!(store.retry_delivery(&"dlv_nothing".parse().unwrap(), at(7)).await.unwrap(), Retried::Unknown);
}

async fn a_dead_one_that_is_tried_again_holds_nobody(database: Database) {
    let store = migrated(&database, &shop()).await;
    publish_in(&store, &["user:a"], at(0)).await;
    let first = claim(&store, "shop", 9, at(1)).await;
    let id = first[0].lease.delivery().clone();
    settle(&store, first, "shop", Verdict::Dead, at(1)).await;

    store.retry_delivery(&id, at(2)).await.unwrap();
    publish_in(&store, &["user:a"], at(3)).await;
    let both = claim(&store, "shop", 9, at(3)).await;
    assert_eq!(both.len(), 2, "what comes after a dead one does not wait for its second life");
    assert!(both.iter().any(|claimed| *claimed.lease.delivery() == id && claimed.attempts == 1));
    settle(&store, both, "shop", Verdict::Done, at(4)).await;
    assert_eq!(store.attempts(&id).await.unwrap().len(), 2);
    assert_eq!(store.undelivered().await.unwrap(), []);
}
