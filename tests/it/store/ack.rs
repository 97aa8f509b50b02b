//! Acknowledgement by row: what finishes a delivery, what does not, and what it holds while it waits.

use std::time::Duration;

use lumo_bridge::model::retry::Verdict;
use lumo_bridge::model::subscriber::Order;
use lumo_bridge::store::replay::ReplayFilter;
use lumo_bridge::store::{Acks, Attempted, Cutoffs, Overdue, Settlement, Store};
use lumo_bridge_entity::delivery::State;

use super::fixture::{
    HOLD, at, claim, config, deliveries, delivery, endpoint, migrated, next_due, publish_in, settled, shop, subscriber,
};
use crate::database::{Database, on_each_database};

on_each_database!(
    what_is_answered_keeps_its_lane_until_it_is_acknowledged,
    a_row_that_is_there_before_the_answer_finishes_at_once,
    without_a_row_in_time_the_attempt_has_failed,
    a_late_row_saves_the_next_attempt,
    a_row_finishes_the_delivery_of_its_endpoint_and_no_other,
    what_waits_for_a_row_is_nobodys_work_left_behind,
    two_that_settle_the_same_settle_it_once,
    rows_go_with_their_delivery,
    a_replay_wants_a_row_of_its_own,
);

const WITHIN: Duration = Duration::from_secs(30);

fn answered(claimed: lumo_bridge::store::Claimed, name: &str, verdict: Verdict, seconds: i64) -> Settlement {
    Settlement { acks: Acks::Asked { within: WITHIN }, ..settled(claimed, name, verdict, at(seconds)) }
}

/// Claims everything, which the receiver answers with 200.
async fn answer_all(store: &Store, name: &str, seconds: i64) {
    let claimed = claim(store, name, 100, at(seconds)).await;
    assert!(!claimed.is_empty(), "nothing is due");
    let settlements: Vec<_> =
        claimed.into_iter().map(|claimed| answered(claimed, name, Verdict::Done, seconds)).collect();
    assert_eq!(store.settle(&settlements, at(seconds)).await.unwrap().lost, []);
}

fn end(overdue: Overdue, name: &str, verdict: Verdict, seconds: i64) -> Settlement {
    Settlement {
        attempts: overdue.attempts,
        lease: overdue.lease,
        endpoint: endpoint(name),
        counts: true,
        attempted: Attempted {
            started_at: at(seconds),
            duration: Duration::ZERO,
            status: overdue.last_status,
            error: (verdict != Verdict::Done).then(|| "not acknowledged".to_owned()),
            response_body: None,
        },
        verdict,
        blames_endpoint: false,
        max_hold: HOLD,
        endpoint_hold: None,
        hand_over: None,
        acks: Acks::Awaited,
    }
}

async fn overdue(store: &Store, name: &str, seconds: i64) -> Vec<Overdue> {
    store.acknowledgements(&endpoint(name), 100, at(seconds)).await.unwrap()
}

/// Settles what has been acknowledged, or should have been. Returns how many were and how many were not.
async fn look(store: &Store, name: &str, seconds: i64, late: Verdict) -> (usize, usize) {
    let overdue = overdue(store, name, seconds).await;
    let acknowledged = overdue.iter().filter(|one| one.is_acknowledged).count();
    let late_ones = overdue.len() - acknowledged;
    let verdict = |one: &Overdue| if one.is_acknowledged { Verdict::Done } else { late };
    let settlements: Vec<_> = overdue
        .into_iter()
        .map(|one| {
            let verdict = verdict(&one);
            end(one, name, verdict, seconds)
        })
        .collect();
    assert_eq!(store.settle(&settlements, at(seconds)).await.unwrap().lost, []);
    (acknowledged, late_ones)
}

/// What a receiver does in its transaction, for everything that is queued.
async fn acknowledge(database: &Database, name: &str) {
    let sql = format!(
        "INSERT INTO lumo_acks (event_id, endpoint) SELECT DISTINCT event_id, endpoint FROM lumo_deliveries d \
         WHERE endpoint = '{name}' AND NOT EXISTS (SELECT 1 FROM lumo_acks a WHERE a.event_id = d.event_id \
         AND a.endpoint = d.endpoint)"
    );
    database.execute(&sql).await;
}

async fn what_is_answered_keeps_its_lane_until_it_is_acknowledged(database: Database) {
    let store = migrated(&database, &shop()).await;
    publish_in(&store, &["user:a"], at(0)).await;
    publish_in(&store, &["user:a"], at(1)).await;
    answer_all(&store, "shop", 2).await;
    let rows = deliveries(&store).await;
    let first = &rows[0];
    assert_eq!((first.state, first.attempts, first.last_status), (State::Sending, 1, Some(200)));
    assert_eq!((first.next_attempt_at, first.ack_by), (None, Some(at(2) + WITHIN)));
    assert_eq!(store.attempts(&first.id).await.unwrap().len(), 1);
    assert_eq!(next_due(&store, "shop").await, Some(at(2) + HOLD), "the next one waits, for no longer than its hold");
    assert!(claim(&store, "shop", 9, at(30)).await.is_empty(), "and what was answered is not sent again");
    assert_eq!(overdue(&store, "shop", 31).await.len(), 0);

    acknowledge(&database, "shop").await;
    assert_eq!(look(&store, "shop", 5, Verdict::Dead).await, (1, 0));
    let first = delivery(&store, &first.id).await;
    assert_eq!((first.state, first.attempts, first.delivered_at), (State::Delivered, 1, Some(at(5))));
    assert_eq!((first.last_status, first.ack_by, first.lease_token), (Some(200), None, None));
    assert_eq!(next_due(&store, "shop").await, Some(at(5)), "its lane is free");
}

async fn a_row_that_is_there_before_the_answer_finishes_at_once(database: Database) {
    let store = migrated(&database, &shop()).await;
    publish_in(&store, &["user:a", "user:b"], at(0)).await;
    let claimed = claim(&store, "shop", 9, at(1)).await;
    acknowledge(&database, "shop").await;
    // Even where the answer got lost.
    let mut settlements = Vec::new();
    for (claimed, verdict) in claimed.into_iter().zip([Verdict::Done, Verdict::RetryAt(at(60))]) {
        settlements.push(answered(claimed, "shop", verdict, 2));
    }
    store.settle(&settlements, at(2)).await.unwrap();
    let rows = deliveries(&store).await;
    assert!(rows.iter().all(|row| (row.state, row.attempts, row.ack_by) == (State::Delivered, 1, None)), "{rows:?}");
    assert_eq!(overdue(&store, "shop", 999).await.len(), 0);
}

async fn without_a_row_in_time_the_attempt_has_failed(database: Database) {
    let store = migrated(&database, &shop()).await;
    publish_in(&store, &["user:a"], at(0)).await;
    answer_all(&store, "shop", 1).await;
    assert_eq!(look(&store, "shop", 30, Verdict::Dead).await, (0, 0));
    assert_eq!(look(&store, "shop", 31, Verdict::RetryAt(at(40))).await, (0, 1));
    let row = deliveries(&store).await.remove(0);
    assert_eq!((row.state, row.attempts, row.next_attempt_at), (State::Retrying, 1, Some(at(40))));
    assert_eq!((row.last_status, row.last_error.as_deref()), (Some(200), Some("not acknowledged")));
    assert_eq!(row.hold_until, Some(at(1) + HOLD), "its lane is held from the first answer");
    let history = store.attempts(&row.id).await.unwrap();
    assert_eq!(
        (history.len(), history[0].status, history[0].error.as_deref()),
        (1, Some(200), Some("not acknowledged"))
    );
    let standing = store.endpoint(&endpoint("shop")).await.unwrap().unwrap();
    assert_eq!((standing.consecutive_failures, standing.last_success_at), (0, Some(at(1))), "it does answer");

    answer_all(&store, "shop", 40).await;
    assert_eq!(look(&store, "shop", 70, Verdict::Dead).await, (0, 1));
    let row = deliveries(&store).await.remove(0);
    assert_eq!((row.state, row.attempts, row.ack_by, row.lease_token), (State::Dead, 2, None, None));
    assert_eq!(store.attempts(&row.id).await.unwrap().len(), 2);
}

async fn a_late_row_saves_the_next_attempt(database: Database) {
    let store = migrated(&database, &shop()).await;
    publish_in(&store, &["user:a", "user:b"], at(0)).await;
    // One was answered and not acknowledged in time, the answer to the other never came.
    let mut claimed = claim(&store, "shop", 9, at(1)).await;
    let unanswered = answered(claimed.pop().unwrap(), "shop", Verdict::RetryAt(at(90)), 1);
    let settlements = [answered(claimed.pop().unwrap(), "shop", Verdict::Done, 1), unanswered];
    store.settle(&settlements, at(1)).await.unwrap();
    assert_eq!(look(&store, "shop", 31, Verdict::RetryAt(at(90))).await, (0, 1));
    acknowledge(&database, "shop").await;
    assert_eq!(look(&store, "shop", 32, Verdict::Dead).await, (2, 0));
    let rows = deliveries(&store).await;
    assert!(rows.iter().all(|row| (row.state, row.attempts) == (State::Delivered, 1)), "{rows:?}");
    assert!(claim(&store, "shop", 9, at(999)).await.is_empty());
}

async fn a_row_finishes_the_delivery_of_its_endpoint_and_no_other(database: Database) {
    let subscribers = ["crm", "shop"].map(|name| subscriber(name, &["*"], Order::User));
    let store = migrated(&database, &subscribers).await;
    publish_in(&store, &["user:a"], at(0)).await;
    for name in ["crm", "shop"] {
        answer_all(&store, name, 1).await;
    }
    acknowledge(&database, "crm").await;
    assert_eq!(look(&store, "crm", 2, Verdict::Dead).await, (1, 0));
    assert_eq!(look(&store, "shop", 2, Verdict::Dead).await, (0, 0));
    assert_eq!(look(&store, "shop", 31, Verdict::RetryAt(at(40))).await, (0, 1));
}

async fn what_waits_for_a_row_is_nobodys_work_left_behind(database: Database) {
    let first = migrated(&database, &shop()).await;
    let roll = first.enroll(&config(&database)).await.unwrap();
    publish_in(&first, &["user:a", "user:b"], at(0)).await;
    let mut claimed = claim(&first, "shop", 9, at(1)).await;
    let kept = claimed.pop().unwrap();
    first.settle(&[answered(claimed.pop().unwrap(), "shop", Verdict::Done, 1)], at(1)).await.unwrap();
    drop((kept, roll));
    first.close().await;

    let second = Store::open(&config(&database), shop()).await.unwrap();
    let mut roll = second.enroll(&config(&database)).await.unwrap();
    let names = [endpoint("shop")];
    crate::world::eventually!(Duration::from_secs(20), "the database notices that the first is gone", {
        roll.take_back(&names, true, at(2)).await.unwrap() == 1
    });
    let states: Vec<_> = deliveries(&second).await.iter().map(|row| row.state).collect();
    assert_eq!(states, [State::Sending, State::Pending], "what was under way is due, what was answered is not");
    acknowledge(&database, "shop").await;
    assert_eq!(look(&second, "shop", 3, Verdict::Dead).await, (1, 0), "whoever lives settles it");
}

async fn two_that_settle_the_same_settle_it_once(database: Database) {
    let store = migrated(&database, &shop()).await;
    publish_in(&store, &["user:a"], at(0)).await;
    answer_all(&store, "shop", 1).await;
    let mut twice = vec![overdue(&store, "shop", 31).await.remove(0), overdue(&store, "shop", 31).await.remove(0)];
    let late = end(twice.pop().unwrap(), "shop", Verdict::RetryAt(at(32)), 31);
    assert_eq!(store.settle(&[late], at(31)).await.unwrap().lost, []);
    // It is sent again before the second comes.
    assert_eq!(claim(&store, "shop", 9, at(33)).await.len(), 1);
    let late = end(twice.pop().unwrap(), "shop", Verdict::Dead, 31);
    assert_eq!(store.settle(&[late], at(34)).await.unwrap().lost.len(), 1);
    assert_eq!(deliveries(&store).await[0].state, State::Sending);
}

async fn rows_go_with_their_delivery(database: Database) {
    let subscribers = ["crm", "shop"].map(|name| subscriber(name, &["*"], Order::User));
    let store = migrated(&database, &subscribers).await;
    publish_in(&store, &["user:a"], at(0)).await;
    for name in ["crm", "shop"] {
        acknowledge(&database, name).await;
    }
    answer_all(&store, "shop", 1).await;
    let cutoffs = Cutoffs { delivered: Some(at(100)), dead: Some(at(100)), attempts: None };
    let mut walk = store.walk_deliveries(at(100)).await.unwrap();
    while store.prune_deliveries(&mut walk, &cutoffs).await.unwrap().is_some() {}
    let left = database.rows("SELECT endpoint FROM lumo_acks").await;
    assert_eq!(left, [[Some("crm".to_owned())]], "the other's delivery is still on its way");
}

async fn a_replay_wants_a_row_of_its_own(database: Database) {
    let store = migrated(&database, &shop()).await;
    publish_in(&store, &["user:a"], at(0)).await;
    acknowledge(&database, "shop").await;
    answer_all(&store, "shop", 1).await;
    let mut replay = store.begin_replay(ReplayFilter::default(), endpoint("shop"), Order::User).await.unwrap();
    assert_eq!(store.replay(&mut replay, at(2)).await.unwrap().unwrap().queued, 1);
    answer_all(&store, "shop", 3).await;
    assert_eq!(deliveries(&store).await[1].state, State::Sending);
    acknowledge(&database, "shop").await;
    assert_eq!(look(&store, "shop", 4, Verdict::Dead).await, (1, 0));
}
