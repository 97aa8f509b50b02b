//! Claiming: who gets what, in which order, and for how long.

use std::collections::HashSet;

use lumo_bridge::model::retry::Verdict;
use lumo_bridge::model::subscriber::Order;
use lumo_bridge::store::{Claimed, Store, Turn};
use lumo_bridge_entity::delivery::{Reason, State};
use lumo_bridge_entity::endpoint::State as Health;
use tokio::task::JoinSet;

use super::fixture::{
    LEASE, at, claim, deliveries, delivery, draft, endpoint, migrated, next_due, publish, publish_in, settle, settled,
    shop, subscriber,
};
use crate::database::{Database, on_each_database};

on_each_database!(
    the_oldest_are_claimed_first_and_no_more_than_asked_for,
    what_is_due_at_the_same_time_is_claimed_in_the_order_of_the_events,
    a_claimed_delivery_is_nobody_elses_until_its_lease_ends,
    a_lost_lease_changes_nothing_and_is_told,
    an_endpoint_sees_only_its_own_deliveries,
    many_that_claim_at_once_share_without_overlap,
    the_next_due_time_is_that_of_the_first,
    retries_leave_half_of_a_claim_to_first_attempts,
    a_probe_is_one_delivery_and_not_always_the_same,
    there_is_one_probe_at_a_time,
    a_probe_does_not_pass_what_it_waits_for,
    what_is_given_back_is_due_as_what_it_was,
);

fn unordered() -> Vec<lumo_bridge::model::subscriber::Subscriber> {
    vec![subscriber("shop", &["*"], Order::None)]
}

/// The streams of what was claimed, which the tests use as names.
fn streams(claimed: &[Claimed]) -> Vec<String> {
    let body = |claimed: &Claimed| serde_json::from_str::<serde_json::Value>(&claimed.body).unwrap();
    claimed.iter().map(|claimed| body(claimed)["stream"].as_str().unwrap().to_owned()).collect()
}

async fn the_oldest_are_claimed_first_and_no_more_than_asked_for(database: Database) {
    let store = migrated(&database, &unordered()).await;
    for (stream, seconds) in [("c", 30), ("a", 10), ("d", 35), ("b", 20)] {
        publish_in(&store, &[stream], at(seconds)).await;
    }
    assert!(claim(&store, "shop", 9, at(9)).await.is_empty(), "nothing is due yet");
    assert!(claim(&store, "shop", 0, at(36)).await.is_empty());
    assert_eq!(streams(&claim(&store, "shop", 9, at(10)).await), ["a"], "due means now or before");
    let mut two = streams(&claim(&store, "shop", 2, at(36)).await);
    two.sort();
    assert_eq!(two, ["b", "c"]);
    let claimed = claim(&store, "shop", 9, at(36)).await;
    assert_eq!(streams(&claimed), ["d"]);
    let row = delivery(&store, claimed[0].lease.delivery()).await;
    assert_eq!(
        (row.state, row.next_attempt_at, claimed[0].lease.until),
        (State::Sending, Some(at(36) + LEASE), at(36) + LEASE)
    );
    assert_eq!((claimed[0].reason, claimed[0].attempts), (Reason::Live, 0));
}

async fn what_is_due_at_the_same_time_is_claimed_in_the_order_of_the_events(database: Database) {
    let store = migrated(&database, &unordered()).await;
    let names: Vec<String> = (0..30).map(|number| format!("{number:02}")).collect();
    publish_in(&store, &names.iter().map(String::as_str).collect::<Vec<_>>(), at(0)).await;
    // Rows move in the table as they are written; their order must not come from where they lie.
    let later = claim(&store, "shop", 30, at(1)).await;
    let (even, odd): (Vec<_>, Vec<_>) = later.into_iter().enumerate().partition(|(number, _)| number % 2 == 0);
    for part in [odd, even] {
        let part = part.into_iter().map(|(_, claimed)| claimed).collect();
        settle(&store, part, "shop", Verdict::RetryAt(at(5)), at(2)).await;
    }
    let mut claimed = Vec::new();
    for _ in 0..3 {
        claimed.extend(streams(&claim(&store, "shop", 10, at(6)).await));
    }
    assert_eq!(claimed, names);
}

async fn a_claimed_delivery_is_nobody_elses_until_its_lease_ends(database: Database) {
    let store = migrated(&database, &unordered()).await;
    publish_in(&store, &["a"], at(0)).await;
    let until = at(1) + LEASE;
    let first = claim(&store, "shop", 9, at(1)).await;
    assert_eq!(first.len(), 1);
    assert!(claim(&store, "shop", 9, until - chrono::TimeDelta::microseconds(1)).await.is_empty());

    let second = claim(&store, "shop", 9, until).await;
    assert_eq!(streams(&second), ["a"]);
    assert_eq!(second[0].attempts, 0, "an attempt that nobody saw the end of is not counted");
    settle(&store, second, "shop", Verdict::Done, until).await;
    assert!(claim(&store, "shop", 9, at(100_000)).await.is_empty());
}

async fn a_lost_lease_changes_nothing_and_is_told(database: Database) {
    let store = migrated(&database, &unordered()).await;
    publish(&store, &[draft("a", "1"), draft("b", "2")], at(0)).await;
    let mut slow = claim(&store, "shop", 9, at(1)).await;
    let again = claim(&store, "shop", 1, at(500)).await;
    let id = again[0].lease.delivery().clone();
    slow.sort_by_key(|claimed| *claimed.lease.delivery() != id);
    let kept = slow.pop().unwrap();
    let lost = slow.pop().unwrap();
    let before = delivery(&store, &id).await;

    // In one batch with one that is not lost, which must be written.
    let kept_id = kept.lease.delivery().clone();
    let late = [settled(lost, "shop", Verdict::Dead, at(501)), settled(kept, "shop", Verdict::Done, at(501))];
    assert_eq!(store.settle(&late, at(501)).await.unwrap().lost, std::slice::from_ref(&id));

    assert_eq!(delivery(&store, &id).await, before);
    assert_eq!(
        delivery(&store, &kept_id).await.state,
        State::Delivered,
        "a lease that ended is good until it is claimed"
    );
    assert!(store.attempts(&id).await.unwrap().is_empty());
    assert_eq!(store.endpoint(&endpoint("shop")).await.unwrap().unwrap().consecutive_failures, 0);

    settle(&store, again, "shop", Verdict::Done, at(502)).await;
    assert!(deliveries(&store).await.iter().all(|row| row.state == State::Delivered && row.attempts == 1));
}

async fn an_endpoint_sees_only_its_own_deliveries(database: Database) {
    let subscribers = ["crm", "shop"].map(|name| subscriber(name, &["*"], Order::User));
    let store = migrated(&database, &subscribers).await;
    publish_in(&store, &["user:a", "user:a"], at(0)).await;

    // One endpoint's trouble holds no other.
    let taken = claim(&store, "crm", 9, at(1)).await;
    assert_eq!(taken.len(), 1);
    settle(&store, taken, "crm", Verdict::RetryAt(at(1000)), at(2)).await;
    for _ in 0..2 {
        let taken = claim(&store, "shop", 9, at(3)).await;
        assert_eq!(taken.len(), 1);
        settle(&store, taken, "shop", Verdict::Done, at(3)).await;
    }
    assert!(claim(&store, "crm", 9, at(3)).await.is_empty());
    assert!(claim(&store, "stranger", 9, at(3)).await.is_empty());
    let failures = async |name: &str| store.endpoint(&endpoint(name)).await.unwrap().unwrap().consecutive_failures;
    assert_eq!((failures("crm").await, failures("shop").await), (1, 0));
}

async fn many_that_claim_at_once_share_without_overlap(database: Database) {
    let store = migrated(&database, &unordered()).await;
    let names: Vec<String> = (0..200).map(|number| format!("{number}")).collect();
    publish_in(&store, &names.iter().map(String::as_str).collect::<Vec<_>>(), at(0)).await;
    let mut tasks = JoinSet::new();
    for _ in 0..8 {
        let store = store.clone();
        tasks.spawn(async move {
            let mut mine = Vec::new();
            // Until there is nothing left; another may hold rows at this moment, so that once is not enough.
            while next_due(&store, "shop").await.is_some_and(|due| due <= at(1)) {
                let claimed = claim(&store, "shop", 7, at(1)).await;
                assert!(claimed.len() <= 7, "{}", claimed.len());
                mine.extend(claimed.into_iter().map(|claimed| claimed.lease.delivery().clone()));
            }
            mine
        });
    }
    let all = tasks.join_all().await.concat();
    assert_eq!(all.len(), 200);
    assert_eq!(all.into_iter().collect::<HashSet<_>>().len(), 200);
}

async fn the_next_due_time_is_that_of_the_first(database: Database) {
    let store = migrated(&database, &unordered()).await;
    assert_eq!(next_due(&store, "shop").await, None);
    publish_in(&store, &["b"], at(7)).await;
    publish_in(&store, &["a"], at(5)).await;
    assert_eq!(next_due(&store, "shop").await, Some(at(5)));
    let taken = claim(&store, "shop", 1, at(6)).await;
    assert_eq!(next_due(&store, "shop").await, Some(at(7)), "the end of the lease is later");
    settle(&store, taken, "shop", Verdict::Done, at(6)).await;
    let taken = claim(&store, "shop", 1, at(8)).await;
    assert_eq!(next_due(&store, "shop").await, Some(at(8) + LEASE));
    settle(&store, taken, "shop", Verdict::Dead, at(9)).await;
    assert_eq!(next_due(&store, "shop").await, None);
}

async fn retries_leave_half_of_a_claim_to_first_attempts(database: Database) {
    let store = migrated(&database, &unordered()).await;
    let old: Vec<String> = (0..20).map(|number| format!("old {number}")).collect();
    publish_in(&store, &old.iter().map(String::as_str).collect::<Vec<_>>(), at(0)).await;
    let failed = claim(&store, "shop", 99, at(1)).await;
    settle(&store, failed, "shop", Verdict::RetryAt(at(2)), at(1)).await;
    publish_in(&store, &["new 1", "new 2", "new 3"], at(50)).await;

    let claimed = claim(&store, "shop", 4, at(60)).await;
    assert_eq!(claimed.iter().filter(|claimed| claimed.attempts == 0).count(), 2, "of four, two");
    let claimed = claim(&store, "shop", 4, at(60)).await;
    assert_eq!(claimed.iter().filter(|claimed| claimed.attempts == 0).count(), 1, "the last of them");
    assert_eq!(claimed.len(), 4, "what first attempts leave is for retries");
    assert_eq!(claim(&store, "shop", 99, at(60)).await.len(), 15);
}

/// From now on the endpoint fails and may be probed.
async fn fails(store: &Store) {
    let shop = endpoint("shop");
    let (from, to) = (Health::Active, Health::Failing);
    store.turn_endpoint(Turn { endpoint: &shop, from, to, hold_until: None, error: None }, at(0)).await.unwrap();
    store.probe_endpoint_at(&shop, at(0)).await.unwrap();
}

async fn a_probe_is_one_delivery_and_not_always_the_same(database: Database) {
    let store = migrated(&database, &unordered()).await;
    publish_in(&store, &["failed"], at(0)).await;
    let failed = claim(&store, "shop", 9, at(1)).await;
    settle(&store, failed, "shop", Verdict::RetryAt(at(1000)), at(1)).await;
    publish_in(&store, &["older", "younger"], at(2)).await;
    let probe = async |tried| {
        fails(&store).await;
        store.claim_probe(&endpoint("shop"), tried, LEASE, at(5)).await.unwrap()
    };

    let untried = probe(false).await.unwrap();
    assert_eq!((untried.attempts, untried.not_due_until), (0, None));
    let tried = probe(true).await.unwrap();
    assert_eq!((tried.attempts, tried.not_due_until), (1, Some(at(1000))), "it was not due");
    assert_eq!(streams(&[untried, tried]), ["older", "failed"]);
    assert_eq!(streams(&[probe(true).await.unwrap()]), ["younger"], "whatever there is");
    assert!(probe(false).await.is_none());
}

async fn there_is_one_probe_at_a_time(database: Database) {
    let store = migrated(&database, &unordered()).await;
    publish_in(&store, &["a", "b", "c"], at(0)).await;
    let probe = async |now| store.claim_probe(&endpoint("shop"), false, LEASE, at(now)).await.unwrap();
    assert!(probe(1).await.is_none(), "it does not fail");
    fails(&store).await;
    let first = probe(5).await.unwrap();
    assert!(probe(6).await.is_none());
    let until = first.lease.until.timestamp() - at(0).timestamp();
    assert!(probe(until).await.is_some(), "whoever probed has died");
    store.probe_endpoint_at(&endpoint("shop"), at(until + 1)).await.unwrap();
    assert!(probe(until + 1).await.is_some(), "the probe is settled");
}

async fn a_probe_does_not_pass_what_it_waits_for(database: Database) {
    let store = migrated(&database, &shop()).await;
    publish_in(&store, &["user:a", "user:a"], at(0)).await;
    let failed = claim(&store, "shop", 9, at(1)).await;
    let first = failed[0].lease.delivery().clone();
    settle(&store, failed, "shop", Verdict::RetryAt(at(1000)), at(1)).await;
    let probe = async |now| {
        fails(&store).await;
        store.claim_probe(&endpoint("shop"), false, LEASE, at(now)).await.unwrap()
    };
    let probed = probe(2).await.unwrap();
    assert_eq!(*probed.lease.delivery(), first, "the second has a time, but it is that of its hold");
    assert!(probe(3).await.is_none());
    let until = probed.lease.until.timestamp() - at(0).timestamp();
    assert_eq!(*probe(until).await.unwrap().lease.delivery(), first, "a lease that ended is probed again");
}

async fn what_is_given_back_is_due_as_what_it_was(database: Database) {
    let store = migrated(&database, &shop()).await;
    publish_in(&store, &["user:a", "user:b"], at(0)).await;
    let mut claimed = claim(&store, "shop", 9, at(1)).await;
    settle(&store, vec![claimed.remove(0)], "shop", Verdict::RetryAt(at(3)), at(2)).await;
    claimed.extend(claim(&store, "shop", 9, at(3)).await);
    store.release(claimed.into_iter().map(|claimed| claimed.lease).collect(), at(4)).await.unwrap();
    let states: Vec<_> =
        deliveries(&store).await.into_iter().map(|row| (row.state, row.attempts, row.next_attempt_at)).collect();
    assert_eq!(states, [(State::Retrying, 1, Some(at(4))), (State::Pending, 0, Some(at(4)))]);

    // What another has claimed since is not given back by whoever had it before.
    let old = claim(&store, "shop", 9, at(5)).await;
    let new = claim(&store, "shop", 9, at(500)).await;
    store.release(old.into_iter().map(|claimed| claimed.lease).collect(), at(501)).await.unwrap();
    settle(&store, new, "shop", Verdict::Done, at(502)).await;
    assert!(deliveries(&store).await.iter().all(|row| row.state == State::Delivered));
}
