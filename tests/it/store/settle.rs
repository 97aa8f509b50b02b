//! Settling: what an attempt met is written down, for the delivery, for its history and for its endpoint.

use std::time::Duration;

use lumo_bridge::model::retry::Verdict;
use lumo_bridge::model::subscriber::Order;
use lumo_bridge::store::{Attempted, Settlement, Store};
use lumo_bridge_entity::delivery::State;
use lumo_bridge_entity::endpoint::{self as endpoints, State as Health};

use super::fixture::{
    HOLD, LEASE, at, claim, deliveries, delivery, draft, endpoint, migrated, publish, publish_in, settle, settled,
    shop, subscriber,
};
use crate::database::{Database, on_each_database};

on_each_database!(
    each_attempt_is_recorded_with_what_it_met,
    a_delivered_one_is_done_for_good,
    a_dead_one_keeps_why,
    a_failure_keeps_its_first_hold,
    failures_in_a_row_are_counted_per_endpoint,
    an_endpoint_that_is_called_again_is_judged_anew,
    an_attempt_that_does_not_count_leaves_no_trace_but_its_error,
    what_comes_next_in_a_lane_is_handed_over,
    an_endpoint_that_asked_for_quiet_is_held_until_the_latest_time,
    a_batch_larger_than_a_statement_is_settled_whole,
    nothing_to_settle_is_nothing_to_do,
);

async fn health(store: &Store, name: &str) -> endpoints::Model {
    store.endpoint(&endpoint(name)).await.unwrap().unwrap()
}

/// One delivery, claimed.
async fn one(store: &Store, seconds: i64) -> lumo_bridge::store::Claimed {
    claim(store, "shop", 1, at(seconds)).await.pop().unwrap()
}

async fn each_attempt_is_recorded_with_what_it_met(database: Database) {
    let store = migrated(&database, &shop()).await;
    publish_in(&store, &["user:a"], at(0)).await;
    let met = [
        (None, Some("connection refused: \u{1f4a5}"), None),
        (Some(503), Some("answered 503"), Some("ответ \"busy\"\n".repeat(99))),
        (Some(204), None, None),
    ];
    for ((status, error, response_body), seconds) in met.clone().into_iter().zip([10, 20, 30]) {
        let attempted = Attempted {
            started_at: at(seconds) - chrono::TimeDelta::microseconds(1),
            duration: Duration::from_micros(12_999),
            status,
            error: error.map(str::to_owned),
            response_body,
        };
        let verdict = if status == Some(204) { Verdict::Done } else { Verdict::RetryAt(at(seconds + 10)) };
        let settlement = Settlement { attempted, ..settled(one(&store, seconds).await, "shop", verdict, at(seconds)) };
        assert_eq!(store.settle(&[settlement], at(seconds)).await.unwrap().lost, []);
    }
    let id = deliveries(&store).await[0].id.clone();
    let rows = store.attempts(&id).await.unwrap();
    assert_eq!(rows.len(), 3);
    for ((row, number), (status, error, response_body)) in rows.iter().zip(1..).zip(met) {
        assert_eq!((row.attempt, row.status), (number, status.map(i32::from)));
        assert_eq!((row.error.as_deref(), &row.response_body), (error, &response_body));
        assert_eq!(row.started_at, at(i64::from(number) * 10) - chrono::TimeDelta::microseconds(1));
        assert_eq!(row.duration_ms, 12);
    }
    let row = delivery(&store, &id).await;
    assert_eq!((row.attempts, row.state, row.last_status, row.last_error), (3, State::Delivered, Some(204), None));
}

async fn a_delivered_one_is_done_for_good(database: Database) {
    let store = migrated(&database, &shop()).await;
    publish_in(&store, &["user:a"], at(0)).await;
    let claimed = one(&store, 1).await;
    let id = claimed.lease.delivery().clone();
    settle(&store, vec![claimed], "shop", Verdict::Done, at(2)).await;

    let row = delivery(&store, &id).await;
    assert_eq!((row.state, row.attempts, row.delivered_at), (State::Delivered, 1, Some(at(2))));
    assert_eq!((row.next_attempt_at, row.lane, row.lease_token, row.hold_until), (None, None, None, None));
    assert_eq!((row.last_status, row.last_error), (Some(200), None));
    assert_eq!(store.undelivered().await.unwrap(), []);
}

async fn a_dead_one_keeps_why(database: Database) {
    let store = migrated(&database, &shop()).await;
    publish_in(&store, &["user:a", "user:b"], at(0)).await;
    let mut ids = Vec::new();
    // Different reasons in one batch must not be written over each other.
    let settlements: Vec<_> = claim(&store, "shop", 2, at(1))
        .await
        .into_iter()
        .zip([(400, "answered 400"), (410, "answered 410")])
        .map(|(claimed, (status, error))| {
            ids.push(claimed.lease.delivery().clone());
            let mut settlement = settled(claimed, "shop", Verdict::Dead, at(2));
            settlement.attempted.status = Some(status);
            settlement.attempted.error = Some(error.to_owned());
            settlement
        })
        .collect();
    store.settle(&settlements, at(2)).await.unwrap();
    for (id, (status, error)) in ids.iter().zip([(400, "answered 400"), (410, "answered 410")]) {
        let row = delivery(&store, id).await;
        assert_eq!((row.state, row.attempts, row.delivered_at, row.next_attempt_at), (State::Dead, 1, None, None));
        assert_eq!((row.last_status, row.last_error.as_deref()), (Some(status), Some(error)));
    }
    assert_eq!(store.undelivered().await.unwrap()[0].deliveries, 2);
}

async fn a_failure_keeps_its_first_hold(database: Database) {
    let store = migrated(&database, &shop()).await;
    publish_in(&store, &["user:a"], at(0)).await;
    for (seconds, next) in [(10, 50), (50, 90), (90, 130)] {
        let claimed = one(&store, seconds).await;
        settle(&store, vec![claimed], "shop", Verdict::RetryAt(at(next)), at(seconds)).await;
        let row = deliveries(&store).await.pop().unwrap();
        assert_eq!((row.state, row.next_attempt_at, row.lease_token), (State::Retrying, Some(at(next)), None));
        assert_eq!(row.hold_until, Some(at(10) + HOLD), "a lane is held from the first failure, not from the last");
    }
    assert_eq!(deliveries(&store).await[0].attempts, 3);
}

async fn failures_in_a_row_are_counted_per_endpoint(database: Database) {
    let subscribers = ["crm", "shop"].map(|name| subscriber(name, &["*"], Order::None));
    let store = migrated(&database, &subscribers).await;
    let names: Vec<String> = (0..12).map(|number| format!("{number}")).collect();
    publish_in(&store, &names.iter().map(String::as_str).collect::<Vec<_>>(), at(0)).await;
    let (done, dead, retry) = (Verdict::Done, Verdict::Dead, Verdict::RetryAt(at(9000)));
    let story = [
        (&[dead, retry][..], 2, None),
        (&[retry], 3, None),
        (&[done, retry, dead], 2, Some(12)),
        (&[retry], 3, Some(12)),
        (&[dead, done], 0, Some(14)),
    ];
    for ((verdicts, failures, success), now) in story.into_iter().zip(10..) {
        let claimed = claim(&store, "shop", verdicts.len(), at(now)).await;
        let batch: Vec<_> = claimed
            .into_iter()
            .zip(verdicts)
            .map(|(claimed, verdict)| settled(claimed, "shop", *verdict, at(now)))
            .collect();
        assert_eq!(batch.len(), verdicts.len());
        store.settle(&batch, at(now)).await.unwrap();
        let row = health(&store, "shop").await;
        assert_eq!((row.consecutive_failures, row.last_success_at), (failures, success.map(at)), "{verdicts:?}");
    }
    let untouched = health(&store, "crm").await;
    assert_eq!((untouched.consecutive_failures, untouched.last_success_at), (0, None));
}

async fn an_endpoint_that_is_called_again_is_judged_anew(database: Database) {
    let store = migrated(&database, &[subscriber("shop", &["*"], Order::None)]).await;
    publish_in(&store, &["user:a"], at(0)).await;
    settle(&store, vec![one(&store, 1).await], "shop", Verdict::RetryAt(at(99)), at(2)).await;
    assert!(store.set_endpoint_state(&endpoint("shop"), Health::Suspended, at(2)).await.unwrap());
    assert!(store.set_endpoint_state(&endpoint("shop"), Health::Active, at(3)).await.unwrap());
    let row = health(&store, "shop").await;
    assert_eq!((row.state, row.since, row.hold_until), (Health::Active, at(3), None));
    assert_eq!(row.consecutive_failures, 0);
    assert_eq!(claim(&store, "shop", 9, at(3)).await.len(), 1, "what failed need not wait any longer");
    assert!(!store.set_endpoint_state(&endpoint("nobody"), Health::Active, at(3)).await.unwrap());
}

async fn an_attempt_that_does_not_count_leaves_no_trace_but_its_error(database: Database) {
    let store = migrated(&database, &shop()).await;
    publish_in(&store, &["user:a", "user:a"], at(0)).await;
    let claimed = one(&store, 1).await;
    let id = claimed.lease.delivery().clone();
    let settlement = settled(claimed, "shop", Verdict::RetryAt(at(9)), at(2));
    store.settle(&[Settlement { counts: false, attempts: 0, ..settlement }], at(2)).await.unwrap();
    let row = delivery(&store, &id).await;
    assert_eq!((row.state, row.attempts, row.next_attempt_at), (State::Pending, 0, Some(at(9))));
    assert_eq!((row.hold_until, row.last_status), (None, Some(500)));
    assert!(store.attempts(&id).await.unwrap().is_empty());
    assert!(claim(&store, "shop", 9, at(8)).await.is_empty(), "what comes after it still waits");
}

async fn what_comes_next_in_a_lane_is_handed_over(database: Database) {
    let store = migrated(&database, &shop()).await;
    publish_in(&store, &["user:a", "user:a", "user:b"], at(0)).await;
    let ids: Vec<_> = deliveries(&store).await.into_iter().map(|row| row.id).collect();
    let claimed = claim(&store, "shop", 9, at(1)).await;
    let hand_over = |claimed| Settlement { hand_over: Some(LEASE), ..settled(claimed, "shop", Verdict::Done, at(2)) };
    let settlements: Vec<_> = claimed.into_iter().map(hand_over).collect();
    let mut handed = store.settle(&settlements, at(2)).await.unwrap().handed;
    let (name, next) = handed.pop().unwrap();
    assert!(handed.is_empty());
    assert_eq!((name, next.lease.delivery(), next.lease.until), (endpoint("shop"), &ids[1], at(2) + LEASE));
    assert!(claim(&store, "shop", 9, at(3)).await.is_empty(), "it is claimed");
    settle(&store, vec![next], "shop", Verdict::Done, at(3)).await;
    assert!(deliveries(&store).await.iter().all(|row| row.state == State::Delivered && row.attempts == 1));
}

async fn an_endpoint_that_asked_for_quiet_is_held_until_the_latest_time(database: Database) {
    let store = migrated(&database, &[subscriber("shop", &["*"], Order::None)]).await;
    publish_in(&store, &["user:a", "user:b", "user:c"], at(0)).await;
    let holds = [Some(at(50)), Some(at(70)), None];
    let batch: Vec<_> = claim(&store, "shop", 3, at(1))
        .await
        .into_iter()
        .zip(holds)
        .map(|(claimed, endpoint_hold)| {
            let settlement = settled(claimed, "shop", Verdict::RetryAt(at(80)), at(2));
            Settlement { endpoint_hold, ..settlement }
        })
        .collect();
    store.settle(&batch, at(2)).await.unwrap();
    assert_eq!(health(&store, "shop").await.hold_until, Some(at(70)));
}

async fn a_batch_larger_than_a_statement_is_settled_whole(database: Database) {
    let store = migrated(&database, &shop()).await;
    let drafts: Vec<_> =
        (0..1202).map(|number| draft(&format!("user:{}", number % 601), &number.to_string())).collect();
    publish(&store, &drafts, at(0)).await;
    for round in 1..=2 {
        let claimed = claim(&store, "shop", 5000, at(round)).await;
        assert_eq!(claimed.len(), 601, "round {round}");
        settle(&store, claimed, "shop", Verdict::Done, at(round)).await;
    }
    assert_eq!(database.count("lumo_deliveries", "state = 'delivered' AND attempts = 1").await, 1202);
    assert_eq!(database.number("SELECT COUNT(*) FROM lumo_delivery_attempts").await, 1202);
}

async fn nothing_to_settle_is_nothing_to_do(database: Database) {
    let store = migrated(&database, &shop()).await;
    store.close().await;
    assert_eq!(store.settle(&[], at(0)).await.unwrap().lost, [], "no statement is needed");
}
