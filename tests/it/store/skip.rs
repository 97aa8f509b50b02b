//! Skipping: what the operator gives up ends at once, and its lane goes on as if it had never been there.

use lumo_bridge::model::id::DeliveryId;
use lumo_bridge::model::retry::Verdict;
use lumo_bridge::model::subscriber::Order;
use lumo_bridge::store::Store;
use lumo_bridge::store::manual::Retried;
use lumo_bridge::store::skip::Skipped;
use lumo_bridge_entity::delivery::{Model, State};

use super::fixture::{
    HOLD, at, claim, deliveries, delivery, endpoint, migrated, next_due, publish_in, settle, shop, subscriber,
};
use crate::database::{Database, on_each_database};

on_each_database!(
    what_is_not_finished_is_skipped_and_says_why,
    what_is_under_way_or_finished_is_left_alone,
    what_waits_behind_a_skipped_one_goes_on,
    what_waits_behind_two_waits_for_the_one_that_is_left,
    what_waits_behind_a_failed_one_keeps_to_its_hold,
    a_skipped_one_can_be_tried_again,
    everything_that_waits_for_an_endpoint_is_skipped_in_batches,
    claims_and_skips_at_once_leave_nothing_stuck,
);

async fn skip(store: &Store, id: &DeliveryId, seconds: i64) -> Skipped {
    store.skip_delivery(id, "booked by hand", at(seconds)).await.unwrap()
}

/// What is claimed now.
async fn due(store: &Store, seconds: i64) -> Vec<DeliveryId> {
    claim(store, "shop", 9, at(seconds)).await.iter().map(|claimed| claimed.lease.delivery().clone()).collect()
}

async fn what_is_not_finished_is_skipped_and_says_why(database: Database) {
    let store = migrated(&database, &shop()).await;
    for (number, state) in [State::Pending, State::Retrying, State::Held].into_iter().enumerate() {
        publish_in(&store, &[&format!("user:{number}")], at(0)).await;
        let row = deliveries(&store).await.pop().unwrap();
        let (id, name) = (row.id.as_str(), state.as_str());
        let set =
            format!("UPDATE lumo_deliveries SET state = '{name}', attempts = 3, last_status = 503 WHERE id = '{id}'");
        database.execute(&set).await;
        assert_eq!(skip(&store, &row.id, 5).await, Skipped::Skipped, "{state:?}");
        let expected = Model {
            state: State::Skipped,
            next_attempt_at: None,
            lane: None,
            last_error: Some("booked by hand".to_owned()),
            last_status: Some(503),
            attempts: 3,
            ..row
        };
        assert_eq!(delivery(&store, &expected.id).await, expected, "{state:?}");
    }
    assert!(due(&store, 99_999).await.is_empty());
    assert_eq!(next_due(&store, "shop").await, None);
    assert_eq!(skip(&store, &"dlv_nothing".parse().unwrap(), 6).await, Skipped::Unknown);
}

async fn what_is_under_way_or_finished_is_left_alone(database: Database) {
    let store = migrated(&database, &shop()).await;
    publish_in(&store, &["user:a"], at(0)).await;
    let claimed = claim(&store, "shop", 1, at(1)).await;
    let id = claimed[0].lease.delivery().clone();
    for (seconds, state) in [(2, State::Sending), (4, State::Delivered)] {
        let before = delivery(&store, &id).await;
        assert_eq!(before.state, state);
        assert_eq!(skip(&store, &id, seconds).await, Skipped::Untouched(state));
        assert_eq!(delivery(&store, &id).await, before);
        if state == State::Sending {
            let row = claim(&store, "shop", 1, at(1)).await;
            assert!(row.is_empty(), "it is still leased");
            database
                .execute("UPDATE lumo_deliveries SET state = 'delivered', lane = NULL, next_attempt_at = NULL")
                .await;
        }
    }
    for state in [State::Dead, State::Skipped] {
        database.execute(&format!("UPDATE lumo_deliveries SET state = '{}'", state.as_str())).await;
        assert_eq!(skip(&store, &id, 5).await, Skipped::Untouched(state));
        assert_eq!(delivery(&store, &id).await.last_error, None);
    }
}

async fn what_waits_behind_a_skipped_one_goes_on(database: Database) {
    let store = migrated(&database, &shop()).await;
    publish_in(&store, &["user:a", "user:a", "user:a", "user:b"], at(0)).await;
    let rows = deliveries(&store).await;
    let mut queued = store.queued();
    queued.mark_unchanged();
    assert_eq!(skip(&store, &rows[0].id, 1).await, Skipped::Skipped);
    assert!(queued.has_changed().unwrap(), "the delivery was not woken");
    assert_eq!(due(&store, 1).await, [rows[1].id.clone(), rows[3].id.clone()]);
    assert_eq!(delivery(&store, &rows[2].id).await.next_attempt_at, None);

    // What is published next queues behind what is left.
    publish_in(&store, &["user:b"], at(2)).await;
    let last = deliveries(&store).await.pop().unwrap();
    assert_eq!(last.next_attempt_at, None);
    assert_eq!(skip(&store, &last.id, 3).await, Skipped::Skipped);
    publish_in(&store, &["user:c"], at(4)).await;
    assert_eq!(due(&store, 4).await.len(), 1);
}

async fn what_waits_behind_two_waits_for_the_one_that_is_left(database: Database) {
    let store = migrated(&database, &shop()).await;
    publish_in(&store, &["user:a", "user:a", "user:a"], at(0)).await;
    let rows = deliveries(&store).await;
    let first = claim(&store, "shop", 9, at(1)).await;
    assert_eq!(skip(&store, &rows[1].id, 2).await, Skipped::Skipped);
    assert!(due(&store, 3).await.is_empty(), "the first is still under way");
    settle(&store, first, "shop", Verdict::Done, at(4)).await;
    assert_eq!(due(&store, 4).await, [rows[2].id.clone()]);
}

async fn what_waits_behind_a_failed_one_keeps_to_its_hold(database: Database) {
    let store = migrated(&database, &shop()).await;
    publish_in(&store, &["user:a", "user:a", "user:a", "user:a"], at(0)).await;
    let rows = deliveries(&store).await;
    settle(&store, claim(&store, "shop", 9, at(10)).await, "shop", Verdict::RetryAt(at(900)), at(10)).await;
    let passed = 10 + i64::try_from(HOLD.as_secs()).unwrap();

    assert_eq!(skip(&store, &rows[1].id, 20).await, Skipped::Skipped);
    assert_eq!(delivery(&store, &rows[2].id).await.next_attempt_at, Some(at(passed)), "as if it had been next");
    assert!(due(&store, passed - 1).await.is_empty());
    assert_eq!(due(&store, passed).await, [rows[2].id.clone()]);
    // The lease ends; by then the hold of the first has passed.
    let again = claim(&store, "shop", 9, at(passed + 100)).await;
    settle(&store, again, "shop", Verdict::RetryAt(at(1_000)), at(passed + 100)).await;
    assert_eq!(skip(&store, &rows[2].id, passed + 101).await, Skipped::Skipped);
    assert_eq!(due(&store, passed + 101).await, [rows[3].id.clone()]);
}

async fn a_skipped_one_can_be_tried_again(database: Database) {
    let store = migrated(&database, &shop()).await;
    publish_in(&store, &["user:a"], at(0)).await;
    let id = deliveries(&store).await[0].id.clone();
    skip(&store, &id, 1).await;
    assert_eq!(store.retry_delivery(&id, at(2)).await.unwrap(), Retried::Due);
    settle(&store, claim(&store, "shop", 1, at(2)).await, "shop", Verdict::Done, at(3)).await;
    assert_eq!(store.undelivered().await.unwrap(), []);
}

async fn everything_that_waits_for_an_endpoint_is_skipped_in_batches(database: Database) {
    let orders = [("lanes", Order::User), ("line", Order::Endpoint), ("none", Order::None), ("other", Order::User)];
    let subscribers = orders.map(|(name, order)| subscriber(name, &["*"], order));
    let store = migrated(&database, &subscribers).await;
    let streams: Vec<String> = (0..1100).map(|number| format!("user:{}", number % 7)).collect();
    publish_in(&store, &streams.iter().map(String::as_str).collect::<Vec<_>>(), at(0)).await;
    for ((name, order), later) in orders[..3].iter().zip(20..) {
        let sending = claim(&store, name, 2, at(1)).await;
        publish_in(&store, &["user:0"], at(later)).await;
        let (mut sum, mut after, mut batches) = (0, None, 0);
        while let Some((skipped, last)) =
            store.skip_waiting(&endpoint(name), after.as_ref(), at(8), "held", at(9)).await.unwrap()
        {
            sum += skipped;
            batches += 1;
            after = Some(last);
        }
        assert_eq!((sum, batches), (1100 - sending.len() as u64, 3), "{name}");
        let skipped = format!("endpoint = '{name}' AND state = 'skipped' AND last_error = 'held' AND lane IS NULL");
        assert_eq!(database.count("lumo_deliveries", &skipped).await, sum as i64);

        // What was under way is settled, and what came later is not skipped and can still go.
        let under_way = sending.len();
        assert_eq!(under_way, if *order == Order::Endpoint { 1 } else { 2 });
        settle(&store, sending, name, Verdict::Done, at(10)).await;
        let left = format!("endpoint = '{name}' AND state = 'pending'");
        let mut left = database.count("lumo_deliveries", &left).await;
        assert!(left > 0);
        while left > 0 {
            let claimed = claim(&store, name, 9, at(29)).await;
            assert!(!claimed.is_empty(), "{name}: {left} are stuck");
            left -= claimed.len() as i64;
            settle(&store, claimed, name, Verdict::Done, at(29)).await;
        }
    }
    assert_eq!(database.count("lumo_deliveries", "endpoint = 'other' AND state = 'pending'").await, 1103);
}

/// Two that claim and settle, and one that skips what it can get hold of.
async fn claims_and_skips_at_once_leave_nothing_stuck(database: Database) {
    let store = migrated(&database, &shop()).await;
    let streams: Vec<String> = (0..120).map(|number| format!("user:{}", number % 4)).collect();
    publish_in(&store, &streams.iter().map(String::as_str).collect::<Vec<_>>(), at(0)).await;
    let ids: Vec<_> = deliveries(&store).await.into_iter().map(|row| row.id).collect();
    let work = async |store: &Store| {
        loop {
            let claimed = claim(store, "shop", 3, at(1)).await;
            let left = deliveries(store).await.iter().any(|row| !row.state.is_final());
            if !left {
                return;
            }
            settle(store, claimed, "shop", Verdict::Done, at(1)).await;
        }
    };
    let skips = async {
        let mut skipped = 0;
        for id in ids.iter().step_by(3) {
            skipped += i64::from(skip(&store, id, 1).await == Skipped::Skipped);
        }
        skipped
    };
    let deadline = std::time::Duration::from_secs(60);
    let all = async { tokio::join!(work(&store), work(&store), skips) };
    let ((), (), skipped) = tokio::time::timeout(deadline, all).await.expect("a lane is stuck");
    assert_eq!(database.count("lumo_deliveries", "state = 'skipped'").await, skipped);
    assert_eq!(database.count("lumo_deliveries", "state = 'delivered'").await, 120 - skipped);
    assert_eq!(
        database.count("lumo_delivery_attempts", "1 = 1").await,
        120 - skipped,
        "none was attempted and skipped"
    );
}
