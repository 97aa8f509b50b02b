//! What operators did: one row for each thing that a command changed, none for what it left as it was.

use std::time::Duration;

use lumo_bridge::callback::config::Retention as Config;
use lumo_bridge::clock::Clock;
use lumo_bridge::model::account::{Identity, Server};
use lumo_bridge::model::actor::Actor;
use lumo_bridge::model::subscriber::Statements;
use lumo_bridge::retention::Retention;
use lumo_bridge::setting::Span;
use lumo_bridge::store::Store;
use lumo_bridge::store::replay::{ReplayFilter, Types};
use lumo_bridge_entity::endpoint::State;
use tokio_util::sync::CancellationToken;

use super::fixture::{at, deliveries, draft, endpoint, migrated, publish, publish_in, shop};
use super::leader::{Came, Leader};
use crate::database::{Database, on_each_database};

on_each_database!(
    an_endpoint_that_is_as_it_should_be_leaves_no_row,
    each_delivery_that_a_command_changes_has_a_row,
    everything_that_waits_is_given_up_in_one_action,
    an_adoption_is_recorded_if_it_changes_anything,
    actions_go_with_what_they_were_done_to,
);

/// Each row in words, the oldest first.
pub(crate) async fn actions(database: &Database) -> Vec<String> {
    let sql = "SELECT actor, action, object, reason FROM lumo_operator_actions ORDER BY id";
    let words = |row: Vec<Option<String>>| row.into_iter().flatten().collect::<Vec<_>>().join(" ");
    database.rows(sql).await.into_iter().map(words).collect()
}

async fn set(store: &Store, state: State, by: &Actor, seconds: i64) {
    assert!(store.set_endpoint_state(&endpoint("shop"), state, by, at(seconds)).await.unwrap().is_some());
}

async fn an_endpoint_that_is_as_it_should_be_leaves_no_row(database: Database) {
    let store = migrated(&database, &shop()).await;
    let jan = Actor::cli("jan");
    set(&store, State::Active, &jan, 1).await;
    assert_eq!(actions(&database).await, Vec::<String>::new(), "nothing was the matter with it");
    for seconds in [2, 3] {
        set(&store, State::Paused, &jan, seconds).await;
    }
    for seconds in [4, 5] {
        set(&store, State::Active, &Actor::DASHBOARD, seconds).await;
    }
    assert_eq!(actions(&database).await, ["cli:jan pause shop", "dashboard resume shop"]);
    assert!(store.set_endpoint_state(&endpoint("none"), State::Paused, &jan, at(6)).await.unwrap().is_none());

    // It is active, and what failed is due at once by it.
    publish(&store, &[draft("user:a", "1")], at(7)).await;
    Leader::of(&store, "shop", at(8)).await.pass(9, at(8), |_| Came::RetryAt(at(900))).await;
    set(&store, State::Active, &Actor::API, 9).await;
    assert_eq!(actions(&database).await.len(), 3);
    let listed = store.list_actions(None, 2).await.unwrap();
    assert_eq!(listed.iter().map(|row| row.at).collect::<Vec<_>>(), [at(9), at(4)]);
    let rest = store.list_actions(listed.last().map(|row| row.id), 2).await.unwrap();
    assert_eq!(rest.iter().map(|row| row.at).collect::<Vec<_>>(), [at(2)]);
}

async fn each_delivery_that_a_command_changes_has_a_row(database: Database) {
    let store = migrated(&database, &shop()).await;
    publish_in(&store, &["user:a", "user:b", "user:c"], at(0)).await;
    let mut leader = Leader::of(&store, "shop", at(1)).await;
    leader.pass(1, at(1), |_| Came::Dead).await;
    leader.pass(1, at(1), |_| Came::Delivered).await;
    database.execute("UPDATE lumo_endpoints SET process = NULL").await;
    let ids: Vec<_> = deliveries(&store).await.into_iter().take(3).map(|row| row.id).collect();

    store.retry_deliveries(&ids, &Statements::default(), &Actor::API, at(2)).await.unwrap();
    let expected = [format!("api retry {}", ids[0])];
    assert_eq!(actions(&database).await, expected, "one is delivered, the other was not sent yet");
    store.skip_deliveries(&ids, "booked by hand", &Actor::cli("jan"), at(3)).await.unwrap();
    let skips = [0, 2].map(|at| format!("cli:jan skip {} booked by hand", ids[at]));
    let mut found = actions(&database).await.split_off(1);
    found.sort();
    let mut sorted = skips.to_vec();
    sorted.sort();
    assert_eq!(found, sorted);
    store.skip_deliveries(&ids, "again", &Actor::API, at(4)).await.unwrap();
    assert_eq!(actions(&database).await.len(), 3, "all are finished");

    let filter = ReplayFilter { ids: vec![ids[1].event.clone()], ..ReplayFilter::default() };
    for seconds in [5, 6] {
        let mut replay =
            store.begin_replay(filter.clone(), endpoint("shop"), Types::Any, Actor::DASHBOARD).await.unwrap();
        assert!(store.rehearse(&mut replay).await.unwrap().is_some());
        let mut replay =
            store.begin_replay(filter.clone(), endpoint("shop"), Types::Any, Actor::DASHBOARD).await.unwrap();
        while store.replay(&mut replay, at(seconds)).await.unwrap().is_some() {}
    }
    let about: Vec<_> = store.actions_on(&ids[1].event, 9).await.unwrap();
    assert_eq!(about.len(), 1, "the second finds it on its way: {about:?}");
    let row = &about[0];
    assert_eq!((row.at, row.actor.as_str(), row.action.as_str()), (at(5), "dashboard", "replay"));
    assert_eq!((row.object.as_str(), &row.reason), (ids[1].to_string().as_str(), &None));
    assert_eq!(store.actions_on(&ids[0].event, 1).await.unwrap().len(), 1, "only so many");
}

async fn everything_that_waits_is_given_up_in_one_action(database: Database) {
    let store = migrated(&database, &shop()).await;
    let streams: Vec<String> = (0..700).map(|number| format!("user:{number}")).collect();
    publish_in(&store, &streams.iter().map(String::as_str).collect::<Vec<_>>(), at(0)).await;
    // Rows for all, in more than one batch, and nothing beyond the position.
    Leader::of(&store, "shop", at(1)).await.pass(700, at(1), |_| Came::RetryAt(at(900))).await;
    assert_eq!(store.skip_all_waiting(&endpoint("shop"), &Actor::API, at(2)).await.unwrap(), 700);
    assert_eq!(actions(&database).await, ["api skip shop"]);
    assert_eq!(store.skip_all_waiting(&endpoint("shop"), &Actor::API, at(3)).await.unwrap(), 0);
    assert_eq!(actions(&database).await.len(), 1);
    // And nothing but what is beyond it.
    publish_in(&store, &["user:a", "user:b"], at(4)).await;
    assert_eq!(store.skip_all_waiting(&endpoint("shop"), &Actor::API, at(5)).await.unwrap(), 2);
    assert_eq!(actions(&database).await, ["api skip shop"; 2]);
}

async fn an_adoption_is_recorded_if_it_changes_anything(database: Database) {
    let store = migrated(&database, &shop()).await;
    let found = |company: &str, server: &str| Identity {
        company: company.parse().unwrap(),
        server: Server::of(&server.parse().unwrap()),
    };
    let jan = Actor::cli("jan");
    for (company, server) in [
        ("one", "https://a.example"),
        ("one", "https://a.example"),
        ("one", "https://b.example"),
        ("two", "https://b.example"),
    ] {
        store.adopt(&found(company, server), &jan, at(1)).await.unwrap();
    }
    assert_eq!(actions(&database).await, ["cli:jan adopt one", "cli:jan adopt one", "cli:jan adopt two"]);
}

async fn actions_go_with_what_they_were_done_to(database: Database) {
    let store = migrated(&database, &shop()).await;
    store.record_test(&endpoint("shop"), &Actor::API, at(0)).await.unwrap();
    let doubled = "INSERT INTO lumo_operator_actions (at, actor, action, object) \
                   SELECT at, actor, action, object FROM lumo_operator_actions";
    for _ in 0..10 {
        database.execute(doubled).await;
    }
    let days = |days: u64| Span(Duration::from_secs(days * 86_400));
    let clock = Clock::manual(at(0));
    clock.advance(chrono::TimeDelta::days(30));
    store.record_test(&endpoint("shop"), &Actor::API, clock.now()).await.unwrap();
    clock.advance(chrono::TimeDelta::days(59));
    let config = Config { events: days(14), dead: days(90), attempts: days(7) };
    let retention = Retention::new(store.clone(), clock.clone(), config);
    let stop = CancellationToken::new();
    assert_eq!(retention.apply(&stop).await.unwrap().actions, 0, "a delivery that died may still be there");
    clock.advance(chrono::TimeDelta::days(2));
    assert_eq!(retention.apply(&stop).await.unwrap().actions, 1024);
    assert_eq!(actions(&database).await, ["api test shop"]);
    assert_eq!(retention.apply(&stop).await.unwrap().actions, 0);
}
