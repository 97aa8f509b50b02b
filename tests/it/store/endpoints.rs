//! Which endpoints there are, and what becomes of one that is configured, resumed or put back.

use lumo_bridge::model::actor::Actor;
use lumo_bridge::model::subscriber::{Order, Subscriber};
use lumo_bridge::store::delivery::{EndpointNote, StateTransition};
use lumo_bridge::store::{Registered, Store};
use lumo_bridge_entity::endpoint::{Model, State};

use super::fixture::{at, config, draft, endpoint, migrated, publish, shop, subscriber};
use super::leader::{Came, Leader, PROCESS};
use crate::database::{Database, on_each_database};

on_each_database!(
    endpoints_that_come_and_go_are_noted_once,
    an_endpoint_that_another_process_knows_is_not_removed,
    the_settings_of_a_process_that_is_gone_can_be_replaced_unless_others_came_since,
    whoever_publishes_first_introduces_endpoints_and_removes_none,
    an_endpoint_that_is_resumed_is_judged_anew,
    a_position_beyond_the_log_is_set_right_by_a_resume,
    an_endpoint_that_is_put_back_is_judged_anew_unless_somebody_decided_about_it,
);

async fn row(store: &Store) -> Model {
    store.endpoint(&endpoint("shop")).await.unwrap().unwrap()
}

/// When its first row is due.
async fn next_due(store: &Store) -> Option<chrono::DateTime<chrono::Utc>> {
    store.due(&endpoint("shop"), 9, at(-1)).await.unwrap().next_at
}

async fn fails(leader: &mut Leader, seconds: i64) {
    let transition = Some(StateTransition { from: State::Active, to: State::Failing });
    let (last_success_at, last_error) = (None, Some("no".to_owned()));
    let hold_until = Some(at(500));
    leader.refresh(at(seconds)).await;
    leader.note = Some(EndpointNote {
        state: State::Failing,
        consecutive_failures: 5,
        last_success_at,
        last_error,
        hold_until,
        transition,
    });
    leader.commit(Vec::new(), 1, at(seconds)).await;
}

async fn endpoints_that_come_and_go_are_noted_once(database: Database) {
    let with = migrated(&database, &shop()).await;
    let without = Store::open(&config(&database), Vec::new()).await.unwrap();
    let removed = Registered { removed: vec![endpoint("shop")], ..Registered::default() };
    assert_eq!(with.register_endpoints(PROCESS, at(1)).await.unwrap(), Registered::default());
    assert_eq!(without.register_endpoints(PROCESS, at(2)).await.unwrap(), removed);
    assert_eq!(without.register_endpoints(PROCESS, at(3)).await.unwrap(), Registered::default());
    assert_eq!(row(&with).await.removed_at, Some(at(2)));
    let put_back = Registered { put_back: vec![endpoint("shop")], ..Registered::default() };
    assert_eq!(with.register_endpoints(PROCESS, at(4)).await.unwrap(), put_back);
    assert_eq!(row(&with).await.removed_at, None);
}

async fn an_endpoint_that_another_process_knows_is_not_removed(database: Database) {
    let with = migrated(&database, &shop()).await;
    let without = Store::open(&config(&database), Vec::new()).await.unwrap();
    with.beat(PROCESS, 1, r#"{"shop": 1}"#, at(1)).await.unwrap();
    assert_eq!(without.register_endpoints(8, at(2)).await.unwrap(), Registered::default());
    assert!(without.remove_endpoints(8, at(2)).await.unwrap().is_empty());
    // What this process was before it reloaded its configuration still has its endpoints.
    let former = with.new_process();
    assert!(with.has_number(former) && !without.has_number(former));
    with.beat(former, 1, r#"{"shop": 2}"#, at(3)).await.unwrap();
    assert_eq!(without.register_endpoints(8, at(3)).await.unwrap(), Registered::default());
    with.forget_processes(&[PROCESS, former]).await.unwrap();
    assert_eq!(without.remove_endpoints(8, at(4)).await.unwrap(), [endpoint("shop")]);
    assert!(without.remove_endpoints(8, at(5)).await.unwrap().is_empty());
    assert_eq!(database.count("lumo_subscriptions", "through_seq IS NULL").await, 0);
}

async fn the_settings_of_a_process_that_is_gone_can_be_replaced_unless_others_came_since(database: Database) {
    let wide = migrated(&database, &shop()).await;
    let other =
        |patterns: &[&str], fingerprint| vec![Subscriber { fingerprint, ..subscriber("shop", patterns, Order::User) }];
    let narrow = wide.with_subscribers(other(&["deposit.settled"], 2));
    wide.register_endpoints(PROCESS, at(1)).await.unwrap();
    narrow.register_endpoints(8, at(2)).await.unwrap();
    let left_behind = vec![row(&wide).await];
    publish(&wide, &[draft("user:a", "1")], at(3)).await;
    assert_eq!(wide.reclaim_endpoints(&left_behind).await.unwrap(), [endpoint("shop")]);
    publish(&wide, &[draft("user:a", "2")], at(4)).await;
    let slice = wide.read_log(&endpoint("shop"), 0, 9, 1 << 20).await.unwrap();
    assert_eq!(slice.events.len(), 1, "what was published since");

    assert!(wide.reclaim_endpoints(&left_behind).await.unwrap().is_empty(), "it has them already");
    let third = wide.with_subscribers(other(&["wallet.*"], 3));
    third.register_endpoints(9, at(5)).await.unwrap();
    assert!(narrow.reclaim_endpoints(&left_behind).await.unwrap().is_empty(), "another process came first");
    assert_eq!(row(&wide).await.fingerprint, 3);
}

async fn whoever_publishes_first_introduces_endpoints_and_removes_none(database: Database) {
    let store = migrated(&database, &[]).await;
    store.with_subscribers(shop()).introduce_endpoints(at(1)).await.unwrap();
    store.introduce_endpoints(at(2)).await.unwrap();
    assert_eq!(row(&store).await.removed_at, None);
    publish(&store, &[draft("user:a", "1")], at(3)).await;
    let slice = store.read_log(&endpoint("shop"), 0, 9, 1 << 20).await.unwrap();
    assert_eq!(slice.events.len(), 1, "what it publishes is for them");
}

async fn an_endpoint_that_is_resumed_is_judged_anew(database: Database) {
    let store = migrated(&database, &shop()).await;
    publish(&store, &[draft("user:a", "1")], at(0)).await;
    let mut leader = Leader::of(&store, "shop", at(1)).await;
    leader.pass(9, at(1), |_| Came::RetryAt(at(99))).await;
    fails(&mut leader, 2).await;
    assert!(store.set_endpoint_state(&endpoint("shop"), State::Suspended, &Actor::API, at(2)).await.unwrap().is_some());
    assert!(store.set_endpoint_state(&endpoint("shop"), State::Active, &Actor::API, at(3)).await.unwrap().is_some());
    let shown = row(&store).await;
    assert_eq!((shown.state, shown.since, shown.hold_until), (State::Active, at(3), None));
    assert_eq!(shown.consecutive_failures, 0);
    assert_eq!(leader.deliver(at(3)).await.len(), 1, "what failed need not wait any longer");
    assert!(store.set_endpoint_state(&endpoint("nobody"), State::Active, &Actor::API, at(3)).await.unwrap().is_none());
}

/// As after a restored backup.
async fn a_position_beyond_the_log_is_set_right_by_a_resume(database: Database) {
    let store = migrated(&database, &shop()).await;
    publish(&store, &[draft("user:a", "1")], at(0)).await;
    database.execute("UPDATE lumo_positions SET position = 1000").await;
    store.set_endpoint_state(&endpoint("shop"), State::Paused, &Actor::API, at(1)).await.unwrap();
    assert_eq!(store.position(&endpoint("shop")).await.unwrap().unwrap().position, 1000);
    store.set_endpoint_state(&endpoint("shop"), State::Active, &Actor::API, at(1)).await.unwrap();
    assert_eq!(store.position(&endpoint("shop")).await.unwrap().unwrap().position, 1);
    publish(&store, &[draft("user:a", "2")], at(2)).await;
    assert_eq!(Leader::of(&store, "shop", at(2)).await.deliver(at(2)).await.len(), 1);
}

async fn an_endpoint_that_is_put_back_is_judged_anew_unless_somebody_decided_about_it(database: Database) {
    let store = migrated(&database, &shop()).await;
    let without = Store::open(&config(&database), Vec::new()).await.unwrap();
    let away = async |seconds: i64| {
        without.register_endpoints(PROCESS, at(seconds)).await.unwrap();
        store.register_endpoints(PROCESS, at(seconds + 1)).await.unwrap();
        row(&store).await
    };
    publish(&store, &[draft("user:a", "1")], at(0)).await;
    let mut leader = Leader::of(&store, "shop", at(1)).await;
    leader.pass(9, at(1), |_| Came::RetryAt(at(9999))).await;
    assert_eq!(next_due(&store).await, Some(at(9999)));
    let back = away(10).await;
    assert_eq!((back.state, back.consecutive_failures), (State::Active, 0));
    assert_eq!(next_due(&store).await, Some(at(11)), "what failed need not wait any longer");

    fails(&mut leader, 20).await;
    let back = away(30).await;
    assert_eq!((back.state, back.since, back.hold_until), (State::Failing, at(31), None), "it is probed at once");

    for (seconds, state) in [(40, State::Paused), (50, State::Suspended)] {
        assert!(store.set_endpoint_state(&endpoint("shop"), state, &Actor::API, at(seconds)).await.unwrap().is_some());
        let back = away(seconds + 1).await;
        assert_eq!((back.state, back.since), (state, at(seconds)), "it waits for the operator");
    }
}
