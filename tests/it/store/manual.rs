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

/// One delivery in the state, which no method of the store makes: a finished one has left its lane, any other has a time
/// that is far away.
async fn in_state(database: &Database, store: &Store, stream: &str, state: State) -> Model {
    publish_in(store, &[stream], at(0)).await;
    let row = deliveries(store).await.pop().unwrap();
    let time = if database.is_sqlite() { "'2027-01-01T00:00:00+00:00'" } else { "'2027-01-01 00:00:00'" };
    let place =
        if state.is_final() { "lane = NULL, next_attempt_at = NULL" } else { &format!("next_attempt_at = {time}") };
    let (id, state) = (row.id.as_str(), state.as_str());
    database.execute(&format!("UPDATE lumo_deliveries SET state = '{state}', {place} WHERE id = '{id}'")).await;
    delivery(store, &row.id).await
}

async fn a_retry_makes_due_what_can_be_tried(database: Database) {
    let store = migrated(&database, &shop()).await;
    for (state, after) in [
        (State::Pending, State::Pending),
        (State::Held, State::Pending),
        (State::Retrying, State::Retrying),
        (State::Dead, State::Retrying),
        (State::Skipped, State::Retrying),
    ] {
        let row = in_state(&database, &store, &format!("user:{state:?}"), state).await;
        let mut queued = store.queued();
        queued.mark_unchanged();
        assert_eq!(store.retry_delivery(&row.id, at(7)).await.unwrap(), Retried::Due, "{state:?}");
        let expected = Model { state: after, next_attempt_at: Some(at(7)), ..row };
        assert_eq!(delivery(&store, &expected.id).await, expected, "{state:?}");
        assert!(queued.has_changed().unwrap(), "{state:?}: the delivery was not woken");

        let claimed = claim(&store, "shop", 9, at(7)).await;
        assert_eq!(claimed.len(), 1, "{state:?}");
        assert_eq!(*claimed[0].lease.delivery(), expected.id);
        settle(&store, claimed, "shop", Verdict::Done, at(8)).await;
    }
}

async fn a_retry_leaves_alone_what_is_delivered_or_under_way(database: Database) {
    let store = migrated(&database, &shop()).await;
    for state in [State::Delivered, State::Sending] {
        let row = in_state(&database, &store, &format!("user:{state:?}"), state).await;
        assert_eq!(store.retry_delivery(&row.id, at(7)).await.unwrap(), Retried::Untouched(state));
        assert_eq!(delivery(&store, &row.id).await, row);
    }
    assert!(claim(&store, "shop", 9, at(9)).await.is_empty());
}

async fn a_retry_does_not_overtake_what_goes_first(database: Database) {
    let store = migrated(&database, &shop()).await;
    publish_in(&store, &["user:a", "user:a", "user:a"], at(0)).await;
    let first = claim(&store, "shop", 9, at(1)).await;
    let waiting = deliveries(&store).await.split_off(1);
    for row in &waiting {
        assert_eq!(store.retry_delivery(&row.id, at(2)).await.unwrap(), Retried::Untouched(State::Pending));
    }
    assert_eq!(deliveries(&store).await.split_off(1), waiting);
    assert!(claim(&store, "shop", 9, at(2)).await.is_empty());

    // The next in line waits for the hold of the one before, and has a time: that the operator may move.
    settle(&store, first, "shop", Verdict::RetryAt(at(900)), at(3)).await;
    assert_eq!(store.retry_delivery(&waiting[0].id, at(4)).await.unwrap(), Retried::Due);
    assert_eq!(*claim(&store, "shop", 9, at(4)).await[0].lease.delivery(), waiting[0].id);
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
