//! The order of rows by example: what goes first, and when the next one of a lane goes.

use lumo_bridge::model::actor::Actor;
use lumo_bridge::model::id::EventId;
use lumo_bridge::model::subscriber::Order;
use lumo_bridge::store::Store;
use lumo_bridge::store::replay::{ReplayFilter, Types};
use lumo_bridge_entity::exception::State;

use super::fixture::{HOLD, at, endpoint, migrated, publish_in, shop, subscriber};
use super::leader::{Came, Leader, Next};
use crate::database::{Database, on_each_database};

on_each_database!(
    what_is_due_first_goes_first,
    what_is_due_at_the_same_time_goes_in_the_order_of_the_log,
    the_next_goes_when_the_one_before_it_ends,
    the_next_goes_when_the_hold_of_the_one_before_it_has_passed,
    what_comes_behind_a_failing_one_waits_for_its_hold,
    with_one_lane_for_all_nothing_passes,
    a_probe_takes_the_oldest_row_tried_or_untried,
);

fn unordered() -> Vec<lumo_bridge::model::subscriber::Subscriber> {
    vec![subscriber("shop", &["*"], Order::None)]
}

fn streams(sent: &[Next]) -> Vec<&str> {
    sent.iter().map(|next| next.event.stream.as_str()).collect()
}

/// When the endpoint's next row is due.
async fn next_due(store: &Store, seconds: i64) -> Option<chrono::DateTime<chrono::Utc>> {
    store.due(&endpoint("shop"), 100, at(seconds)).await.unwrap().next_at
}

async fn what_is_due_first_goes_first(database: Database) {
    let store = migrated(&database, &unordered()).await;
    let due = store.due(&endpoint("shop"), 100, at(0)).await.unwrap();
    assert!(due.rows.is_empty() && due.next_at.is_none() && !due.has_rows);
    publish_in(&store, &["a", "b", "c"], at(0)).await;
    let mut leader = Leader::of(&store, "shop", at(1)).await;
    let times = |next: &Next| match next.event.stream.as_str() {
        "a" => at(30),
        "b" => at(10),
        _ => at(20),
    };
    assert_eq!(leader.pass(9, at(1), |next| Came::RetryAt(times(next))).await.len(), 3);
    assert_eq!(next_due(&store, 1).await, Some(at(10)));
    assert!(store.due(&endpoint("shop"), 100, at(1)).await.unwrap().has_rows);
    let due = store.due(&endpoint("shop"), 2, at(30)).await.unwrap();
    assert_eq!(due.rows.iter().map(|row| row.event.stream.as_str()).collect::<Vec<_>>(), ["b", "c"]);
    assert_eq!(store.due(&endpoint("shop"), 9, at(10)).await.unwrap().rows.len(), 1, "due means now or before");
    assert_eq!(streams(&leader.pass(9, at(20), |_| Came::Sending(at(90))).await), ["b", "c"]);
    assert_eq!(next_due(&store, 20).await, Some(at(30)));
    assert_eq!(next_due(&store, 30).await, Some(at(90)), "what is under way is due again then");
}

async fn what_is_due_at_the_same_time_goes_in_the_order_of_the_log(database: Database) {
    let store = migrated(&database, &unordered()).await;
    let names: Vec<String> = (0..30).map(|number| format!("{number:02}")).collect();
    publish_in(&store, &names.iter().map(String::as_str).collect::<Vec<_>>(), at(0)).await;
    let mut leader = Leader::of(&store, "shop", at(1)).await;
    let is_even = |next: &Next| next.event.seq % 2 == 0;
    // Rows move in the table as they are written; their order must not come from where they lie.
    leader.pass(30, at(1), |next| Came::RetryAt(if is_even(next) { at(3) } else { at(2) })).await;
    for seconds in [3, 2] {
        leader.pass(15, at(seconds), |_| Came::RetryAt(at(5))).await;
    }
    leader.pass(15, at(4), |_| Came::RetryAt(at(5))).await;
    assert_eq!(streams(&leader.pass(30, at(6), |_| Came::Delivered).await), names);
}

async fn the_next_goes_when_the_one_before_it_ends(database: Database) {
    let store = migrated(&database, &shop()).await;
    publish_in(&store, &["user:a", "user:a", "user:a", "user:a"], at(0)).await;
    let mut leader = Leader::of(&store, "shop", at(1)).await;
    assert_eq!(leader.pass(9, at(1), |_| Came::Sending(at(500))).await.len(), 1);
    for (seconds, came) in [(500, Came::Delivered), (501, Came::Dead), (502, Came::Delivered), (503, Came::Delivered)] {
        assert_eq!(leader.pass(9, at(seconds), |_| came).await.len(), 1, "two of one lane at once");
    }
    assert!(leader.deliver(at(99_999)).await.is_empty());
    assert_eq!(database.count("lumo_exceptions", "lane IS NOT NULL").await, 0);
}

async fn the_next_goes_when_the_hold_of_the_one_before_it_has_passed(database: Database) {
    let store = migrated(&database, &shop()).await;
    publish_in(&store, &["user:a", "user:a", "user:a", "user:b"], at(0)).await;
    let mut leader = Leader::of(&store, "shop", at(10)).await;
    let is_a = |next: &Next| next.event.stream == "user:a";
    let sent = leader.pass(9, at(10), |next| if is_a(next) { Came::RetryAt(at(1000)) } else { Came::Delivered }).await;
    assert_eq!(streams(&sent), ["user:a", "user:b"], "one user's failing delivery holds no other user");

    let passed = 10 + i64::try_from(HOLD.as_secs()).unwrap();
    assert!(leader.pass(9, at(passed - 1), |_| Came::Delivered).await.is_empty());
    let sent = leader.deliver(at(passed)).await;
    assert_eq!(sent.len(), 2, "the second, and then the third behind it");
    let first = leader.pass(9, at(1000), |_| Came::Delivered).await;
    assert_eq!((first.len(), first[0].attempts, first[0].event.seq), (1, 1, 1));
}

async fn what_comes_behind_a_failing_one_waits_for_its_hold(database: Database) {
    let store = migrated(&database, &shop()).await;
    publish_in(&store, &["user:a"], at(0)).await;
    let mut leader = Leader::of(&store, "shop", at(10)).await;
    leader.pass(9, at(10), |_| Came::RetryAt(at(1000))).await;
    publish_in(&store, &["user:a"], at(20)).await;
    assert!(leader.pass(9, at(20), |_| Came::Delivered).await.is_empty());
    assert_eq!(next_due(&store, 20).await, Some(at(70)), "it has a row, which waits");
    assert!(leader.pass(9, at(69), |_| Came::Delivered).await.is_empty());
    assert_eq!(leader.pass(9, at(70), |_| Came::Delivered).await.len(), 1);

    publish_in(&store, &["user:a"], at(80)).await;
    assert_eq!(
        leader.pass(9, at(80), |_| Came::Delivered).await.len(),
        1,
        "the hold has passed for whoever comes later as well"
    );
}

async fn with_one_lane_for_all_nothing_passes(database: Database) {
    let store = migrated(&database, &[subscriber("shop", &["*"], Order::Endpoint)]).await;
    publish_in(&store, &["user:a", "user:b", "user:c"], at(0)).await;
    let mut leader = Leader::of(&store, "shop", at(1)).await;
    assert_eq!(streams(&leader.pass(9, at(1), |_| Came::RetryAt(at(20))).await), ["user:a"]);
    assert!(leader.deliver(at(19)).await.is_empty());
    for stream in ["user:a", "user:b", "user:c"] {
        assert_eq!(streams(&leader.pass(9, at(20), |_| Came::Delivered).await), [stream]);
    }
}

async fn a_probe_takes_the_oldest_row_tried_or_untried(database: Database) {
    let store = migrated(&database, &shop()).await;
    let probe = async |tried| store.probe_row(&endpoint("shop"), tried, at(3)).await.unwrap().map(|row| row.event.seq);
    assert_eq!(probe(false).await, None);
    publish_in(&store, &["user:a", "user:a", "user:b"], at(0)).await;
    let mut leader = Leader::of(&store, "shop", at(1)).await;
    let is_a = |next: &Next| next.event.stream == "user:a";
    leader.pass(9, at(1), |next| if is_a(next) { Came::RetryAt(at(1000)) } else { Came::Delivered }).await;
    let states = database.rows("SELECT state FROM lumo_exceptions ORDER BY seq").await;
    let states: Vec<_> = states.iter().map(|row| row[0].as_deref().unwrap()).collect();
    assert_eq!(states, [State::Retrying.as_str(), State::Waiting.as_str()]);
    assert_eq!(probe(true).await, Some(1), "it is not due");
    assert_eq!(probe(false).await, None, "the second has a time, but it is that of its hold");

    let filter = ReplayFilter { ids: vec![draft_id(&store, 3).await], ..ReplayFilter::default() };
    let mut replay = store.begin_replay(filter, endpoint("shop"), Types::Any, Actor::API).await.unwrap();
    while store.replay(&mut replay, at(2)).await.unwrap().is_some() {}
    leader.refresh(at(2)).await;
    assert_eq!((probe(true).await, probe(false).await), (Some(1), Some(3)));
}

async fn draft_id(store: &Store, seq: i64) -> EventId {
    store.read_events(seq - 1, seq).await.unwrap().remove(0).id
}
