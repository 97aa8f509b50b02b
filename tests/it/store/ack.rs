//! Acknowledgement by row: what finishes a delivery, what does not, and what waits behind it.

use lumo_bridge::model::actor::Actor;
use lumo_bridge::model::subscriber::Order;
use lumo_bridge::store::Store;
use lumo_bridge::store::delivery::{Amend, Fate, Item};
use lumo_bridge_entity::attempt::AttemptResult;

use super::fixture::{at, deliveries, endpoint, migrated, publish_in, shop, subscriber};
use super::leader::{Came, Leader, PROCESS};
use crate::database::{Database, on_each_database};

on_each_database!(
    what_is_answered_keeps_its_lane_until_it_is_acknowledged,
    a_row_that_is_there_before_the_answer_finishes_at_once,
    without_a_row_in_time_the_attempt_has_failed,
    a_late_row_saves_the_next_attempt,
    a_row_finishes_the_delivery_of_its_endpoint_and_no_other,
    a_takeover_does_not_send_again_what_was_answered,
    a_takeover_does_not_send_again_what_was_acknowledged_while_nobody_led,
    what_was_answered_is_held_and_can_be_given_up_once_its_endpoint_is_removed,
);

/// Numbers of the rows that were acknowledged, and of those that should have been.
async fn looked(store: &Store, name: &str, seconds: i64) -> (Vec<i64>, Vec<i64>) {
    let rows = store.acknowledged(&endpoint(name), 100, at(seconds)).await.unwrap();
    let (noted, late): (Vec<_>, Vec<_>) = rows.into_iter().partition(|one| one.is_acknowledged);
    let seqs = |rows: Vec<lumo_bridge::store::delivery::Acknowledged>| {
        rows.into_iter().map(|one| one.row.event.seq).collect::<Vec<_>>()
    };
    (seqs(noted), seqs(late))
}

/// Writes what the look came to: acknowledged is done, and what is late comes to this.
async fn settle(store: &Store, leader: &mut Leader, name: &str, seconds: i64, late: Fate) {
    let rows = store.acknowledged(&endpoint(name), 100, at(seconds)).await.unwrap();
    let position = store.position(&endpoint(name)).await.unwrap().unwrap().position;
    let item = |one: lumo_bridge::store::delivery::Acknowledged| {
        let next = Leader::next_of(one.row);
        let tries = next.attempts;
        let (result, fate, error) = if one.is_acknowledged {
            (AttemptResult::Delivered, Fate::Done, None)
        } else {
            (AttemptResult::Failed, late, Some("not acknowledged".to_owned()))
        };
        let amend = Some(Amend { result, error });
        Item { attempt: None, amend, fate, attempts: tries, tries, ..next.item(Came::Delivered, at(seconds)) }
    };
    let items = rows.into_iter().map(item).collect();
    leader.commit(items, position, at(seconds)).await;
}

/// What a receiver does in its transaction, for every event.
async fn acknowledge(database: &Database, name: &str) {
    let known = format!("SELECT 1 FROM lumo_acks a WHERE a.event_id = e.id AND a.endpoint = '{name}'");
    let sql = format!("SELECT e.id, '{name}' FROM lumo_events e WHERE NOT EXISTS ({known})");
    database.execute(&format!("INSERT INTO lumo_acks (event_id, endpoint) {sql}")).await;
}

async fn shown(store: &Store) -> Vec<String> {
    let rows = deliveries(store).await.into_iter();
    rows.map(|row| format!("{} {} {:?}", row.state, row.attempts, row.last_error)).collect()
}

async fn what_is_answered_keeps_its_lane_until_it_is_acknowledged(database: Database) {
    let store = migrated(&database, &shop()).await;
    publish_in(&store, &["user:a", "user:a"], at(0)).await;
    let mut leader = Leader::of(&store, "shop", at(2)).await;
    leader.asks_acks = true;
    assert_eq!(leader.pass(9, at(2), |_| Came::Answered(at(32))).await.len(), 1);
    assert_eq!(shown(&store).await, ["awaiting_ack 1 None", "pending 0 None"]);
    assert!(leader.pass(9, at(30), |_| Came::Delivered).await.is_empty(), "what was answered is not sent again");
    assert_eq!(looked(&store, "shop", 31).await, (vec![], vec![]));

    acknowledge(&database, "shop").await;
    assert_eq!(looked(&store, "shop", 5).await, (vec![1, 2], vec![]), "the second was noted before it was sent");
    database.execute("DELETE FROM lumo_acks WHERE event_id IN (SELECT id FROM lumo_events WHERE seq = 2)").await;
    settle(&store, &mut leader, "shop", 5, Fate::Dead).await;
    assert_eq!(shown(&store).await, ["delivered 1 None", "pending 0 None"]);
    assert_eq!(leader.pass(9, at(6), |_| Came::Answered(at(36))).await.len(), 1, "its lane is free");
    let results = database.rows("SELECT result FROM lumo_delivery_attempts ORDER BY seq").await;
    assert_eq!(results, [[Some("delivered".to_owned())], [Some("answered".to_owned())]]);
}

async fn a_row_that_is_there_before_the_answer_finishes_at_once(database: Database) {
    let store = migrated(&database, &shop()).await;
    publish_in(&store, &["user:a", "user:b", "user:c"], at(0)).await;
    acknowledge(&database, "shop").await;
    let mut leader = Leader::of(&store, "shop", at(1)).await;
    leader.asks_acks = true;
    // Even where the answer got lost.
    let came = |seq| {
        if seq == 1 {
            Came::Answered(at(31))
        } else if seq == 2 {
            Came::RetryAt(at(60))
        } else {
            Came::Dead
        }
    };
    assert_eq!(leader.pass(9, at(1), |next| came(next.event.seq)).await.len(), 3);
    let states: Vec<_> = deliveries(&store).await.into_iter().map(|row| row.state.as_str()).collect();
    assert_eq!(states, ["delivered"; 3]);
    assert_eq!(database.count("lumo_exceptions", "1 = 1").await, 0);
    assert_eq!(database.count("lumo_delivery_attempts", "result = 'delivered'").await, 3);
    assert_eq!(database.count("lumo_events", "seq > 3").await, 0, "and nobody is told of a death");
}

async fn without_a_row_in_time_the_attempt_has_failed(database: Database) {
    let store = migrated(&database, &shop()).await;
    publish_in(&store, &["user:a"], at(0)).await;
    let mut leader = Leader::of(&store, "shop", at(1)).await;
    leader.asks_acks = true;
    leader.pass(9, at(1), |_| Came::Answered(at(31))).await;
    assert_eq!(looked(&store, "shop", 30).await, (vec![], vec![]));
    assert_eq!(looked(&store, "shop", 31).await, (vec![], vec![1]));
    settle(&store, &mut leader, "shop", 31, Fate::RetryAt(at(40))).await;
    assert_eq!(shown(&store).await, [r#"retrying 1 Some("not acknowledged")"#]);
    let attempts = database.rows("SELECT attempt, status, result, error FROM lumo_delivery_attempts").await;
    assert_eq!(attempts[0].iter().flatten().cloned().collect::<Vec<_>>(), ["1", "200", "failed", "not acknowledged"]);

    assert_eq!(leader.pass(9, at(40), |_| Came::Answered(at(70))).await.len(), 1);
    settle(&store, &mut leader, "shop", 70, Fate::Dead).await;
    assert_eq!(shown(&store).await[0], r#"dead 2 Some("not acknowledged")"#);
    assert_eq!(database.count("lumo_exceptions", "ack_by IS NOT NULL OR lane IS NOT NULL").await, 0);
}

async fn a_late_row_saves_the_next_attempt(database: Database) {
    let store = migrated(&database, &shop()).await;
    publish_in(&store, &["user:a", "user:b"], at(0)).await;
    let mut leader = Leader::of(&store, "shop", at(1)).await;
    leader.asks_acks = true;
    // One was answered and not acknowledged in time, the answer to the other never came.
    let came = |seq| if seq == 1 { Came::Answered(at(31)) } else { Came::RetryAt(at(90)) };
    leader.pass(9, at(1), |next| came(next.event.seq)).await;
    settle(&store, &mut leader, "shop", 31, Fate::RetryAt(at(90))).await;
    acknowledge(&database, "shop").await;
    assert_eq!(looked(&store, "shop", 32).await, (vec![1, 2], vec![]));
    settle(&store, &mut leader, "shop", 32, Fate::Dead).await;
    assert_eq!(shown(&store).await, ["delivered 1 None", "delivered 1 None"]);
    assert!(leader.deliver(at(999)).await.is_empty());
}

async fn a_row_finishes_the_delivery_of_its_endpoint_and_no_other(database: Database) {
    let subscribers = ["crm", "shop"].map(|name| subscriber(name, &["*"], Order::User));
    let store = migrated(&database, &subscribers).await;
    publish_in(&store, &["user:a"], at(0)).await;
    for name in ["crm", "shop"] {
        let mut leader = Leader::of(&store, name, at(1)).await;
        leader.asks_acks = true;
        leader.pass(9, at(1), |_| Came::Answered(at(31))).await;
    }
    acknowledge(&database, "crm").await;
    assert_eq!(looked(&store, "crm", 2).await, (vec![1], vec![]));
    assert_eq!(looked(&store, "shop", 2).await, (vec![], vec![]));
    assert_eq!(looked(&store, "shop", 31).await, (vec![], vec![1]));
}

async fn a_takeover_does_not_send_again_what_was_answered(database: Database) {
    let store = migrated(&database, &shop()).await;
    publish_in(&store, &["user:a", "user:b"], at(0)).await;
    let mut first = Leader::of(&store, "shop", at(1)).await;
    let came = |seq| if seq == 1 { Came::Answered(at(31)) } else { Came::Sending(at(31)) };
    first.pass(9, at(1), |next| came(next.event.seq)).await;
    drop(first);
    let mut second = Leader::after(&store, "shop", Some(PROCESS), at(2)).await;
    second.asks_acks = true;
    let sent = second.pass(9, at(2), |_| Came::Delivered).await;
    assert_eq!(sent.iter().map(|next| next.event.seq).collect::<Vec<_>>(), [2]);
    acknowledge(&database, "shop").await;
    settle(&store, &mut second, "shop", 3, Fate::Dead).await;
    assert_eq!(shown(&store).await, ["delivered 1 None", "delivered 1 None"]);
}

async fn a_takeover_does_not_send_again_what_was_acknowledged_while_nobody_led(database: Database) {
    let store = migrated(&database, &shop()).await;
    publish_in(&store, &["user:a", "user:b", "user:a", "user:c"], at(0)).await;
    let mut first = Leader::of(&store, "shop", at(1)).await;
    // Two are under way when the process dies, and one has failed.
    let came = |seq| if seq == 4 { Came::RetryAt(at(2)) } else { Came::Sending(at(60)) };
    first.pass(9, at(1), |next| came(next.event.seq)).await;
    drop(first);
    let acknowledged =
        "INSERT INTO lumo_acks (event_id, endpoint) SELECT id, 'shop' FROM lumo_events WHERE seq IN (1, 4)";
    database.execute(acknowledged).await;
    assert_eq!(
        looked(&store, "shop", 2).await,
        (vec![4], vec![]),
        "until then its process may be at work on the other"
    );

    let mut second = Leader::after(&store, "shop", Some(PROCESS), at(3)).await;
    second.asks_acks = true;
    let probe = store.probe_row(&endpoint("shop"), true, at(3)).await.unwrap();
    assert_eq!(probe.map(|row| row.event.seq), Some(2), "nor is an endpoint tried with it");
    let sent = second.pass(9, at(3), |_| Came::Answered(at(90))).await;
    assert_eq!(sent.iter().map(|next| next.event.seq).collect::<Vec<_>>(), [2]);
    assert_eq!(looked(&store, "shop", 3).await, (vec![1, 4], vec![]));
    settle(&store, &mut second, "shop", 4, Fate::Dead).await;
    let states = ["delivered 1 None", "awaiting_ack 1 None", "pending 0 None", "delivered 1 None"];
    assert_eq!(shown(&store).await, states);
    let attempts = "SELECT seq, attempt, result FROM lumo_delivery_attempts ORDER BY seq";
    let attempts: Vec<String> = database
        .rows(attempts)
        .await
        .iter()
        .map(|row| row.iter().flatten().map(String::as_str).collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(attempts, ["1 1 delivered", "2 1 answered", "4 1 delivered"]);
    assert_eq!(second.pass(9, at(4), |_| Came::Delivered).await.len(), 1, "the lane of what was acknowledged is free");
}

async fn what_was_answered_is_held_and_can_be_given_up_once_its_endpoint_is_removed(database: Database) {
    let store = migrated(&database, &shop()).await;
    publish_in(&store, &["user:a", "user:b", "user:c", "user:d", "user:e"], at(0)).await;
    let mut first = Leader::of(&store, "shop", at(1)).await;
    let came = |seq| match seq {
        4 => Came::Sending(at(20)),
        5 => Came::RetryAt(at(90)),
        _ => Came::Answered(at(31)),
    };
    first.pass(9, at(1), |next| came(next.event.seq)).await;
    drop(first);
    let states = async || deliveries(&store).await.into_iter().map(|row| row.state.as_str()).collect::<Vec<_>>();
    let skip = async |seconds: i64| store.skip_all_waiting(&endpoint("shop"), &Actor::API, at(seconds)).await.unwrap();
    let removed = store.with_subscribers(Vec::new()).register_endpoints(PROCESS, at(10)).await.unwrap().removed;
    assert_eq!(removed, [endpoint("shop")]);
    assert_eq!(states().await, ["held"; 5], "nobody is there who waits for a row");
    assert_eq!(database.count("lumo_deliveries", "state = 'held'").await, 5);

    let acknowledged = |seq: i64| {
        format!("INSERT INTO lumo_acks (event_id, endpoint) SELECT id, 'shop' FROM lumo_events WHERE seq = {seq}")
    };
    database.execute(&acknowledged(1)).await;
    assert_eq!(skip(19).await, 3);
    assert_eq!(states().await, ["delivered", "skipped", "skipped", "held", "skipped"]);
    assert_eq!(skip(20).await, 1, "its request counts as lost now");
    assert_eq!(skip(21).await, 0);
    let given_up = ["delivered", "skipped", "skipped", "skipped", "skipped"];
    assert_eq!(states().await, given_up);
    assert_eq!(database.count("lumo_undelivered", "state <> 'skipped'").await, 0);
    let results = database.rows("SELECT result FROM lumo_delivery_attempts WHERE seq = 1").await;
    assert_eq!(results, [[Some("delivered".to_owned())]]);

    // A row that comes later, and the endpoint that comes back, change nothing about that.
    database.execute(&acknowledged(2)).await;
    store.register_endpoints(PROCESS, at(40)).await.unwrap();
    let mut second = Leader::after(&store, "shop", Some(PROCESS), at(41)).await;
    second.asks_acks = true;
    assert_eq!(looked(&store, "shop", 41).await, (vec![], vec![]));
    assert!(second.deliver(at(999)).await.is_empty());
    assert_eq!(states().await, given_up);
}
