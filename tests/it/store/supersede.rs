//! Superseding: of a wallet's balances that nobody has been told yet, only the newest is worth telling.

use lumo_bridge::model::draft::{Draft, repeated};
use lumo_bridge::model::event::EventType;
use lumo_bridge::model::id::EventId;
use lumo_bridge::model::record::Wallet;
use lumo_bridge::model::retry::Verdict;
use lumo_bridge::model::subscriber::Order;
use lumo_bridge::store::Store;
use lumo_bridge_entity::delivery::State;

use super::fixture::{
    at, claim, deliveries, draft, ingest, kinds, listed, migrated, publish, settle, subscriber, wallet,
};
use crate::database::{Database, on_each_database};

on_each_database!(
    a_newer_balance_replaces_one_that_was_not_attempted,
    what_was_attempted_once_is_left_to_its_schedule,
    other_wallets_types_and_endpoints_are_left_alone,
    a_lane_goes_on_around_what_is_replaced,
    a_listed_balance_replaces_the_one_before_it,
    what_is_known_already_replaces_nothing,
);

const NAMED: [&str; 3] = ["wallet.balance_changed", "deposit.*", "wallet.*"];

/// The balance of a wallet for the so manieth time.
fn balance(wallet: &str, version: i64) -> Draft {
    let kind = EventType::WalletBalanceChanged;
    let id = repeated("company", kind, wallet, version, "generation");
    Draft { id, kind, object_kind: "wallet", ..draft("user:bob", wallet) }
}

/// State and last error of an event's deliveries, by endpoint.
async fn states(store: &Store, event: &EventId) -> Vec<(String, State, Option<String>)> {
    let rows = deliveries(store).await.into_iter().filter(|row| row.event_id == *event);
    let mut states: Vec<_> = rows.map(|row| (row.endpoint.as_str().to_owned(), row.state, row.last_error)).collect();
    states.sort_by(|a, b| a.0.cmp(&b.0));
    states
}

fn superseded(endpoint: &str, by: &Draft) -> (String, State, Option<String>) {
    (endpoint.to_owned(), State::Skipped, Some(format!("superseded by {}", by.id)))
}

fn pending(endpoint: &str) -> (String, State, Option<String>) {
    (endpoint.to_owned(), State::Pending, None)
}

async fn a_newer_balance_replaces_one_that_was_not_attempted(database: Database) {
    let orders = [("all", Order::Endpoint), ("none", Order::None), ("user", Order::User)];
    let store = migrated(&database, &orders.map(|(name, order)| subscriber(name, &NAMED, order))).await;
    let drafts = [balance("w", 2), balance("w", 3), balance("w", 4)];
    for (draft, seconds) in drafts.iter().zip(1..) {
        publish(&store, std::slice::from_ref(draft), at(seconds)).await;
    }
    let names = ["all", "none", "user"];
    assert_eq!(states(&store, &drafts[0].id).await, names.map(|name| superseded(name, &drafts[1])));
    assert_eq!(states(&store, &drafts[1].id).await, names.map(|name| superseded(name, &drafts[2])));
    assert_eq!(states(&store, &drafts[2].id).await, names.map(pending));
    for name in names {
        let claimed = claim(&store, name, 9, at(9)).await;
        assert_eq!(claimed.len(), 1, "{name}");
        assert_eq!(claimed[0].event_id, drafts[2].id, "{name}");
    }
    assert_eq!(database.count("lumo_events", "1 = 1").await, 3, "the events themselves stay, and their numbers");
}

async fn what_was_attempted_once_is_left_to_its_schedule(database: Database) {
    let store = migrated(&database, &[subscriber("shop", &NAMED, Order::None)]).await;
    let drafts: Vec<_> = (2..8).map(|version| balance("w", version)).collect();
    publish(&store, &drafts[..1], at(1)).await;
    let under_way = claim(&store, "shop", 9, at(1)).await;
    publish(&store, &drafts[1..2], at(2)).await;
    assert_eq!(states(&store, &drafts[0].id).await[0].1, State::Sending);
    settle(&store, under_way, "shop", Verdict::RetryAt(at(900)), at(2)).await;
    publish(&store, &drafts[2..3], at(3)).await;
    assert_eq!(states(&store, &drafts[0].id).await[0].1, State::Retrying);
    assert_eq!(states(&store, &drafts[1].id).await, [superseded("shop", &drafts[2])]);

    let held = format!(
        "UPDATE lumo_deliveries SET state = 'held', attempts = %, next_attempt_at = NULL \
                        WHERE event_id = '{}'",
        drafts[2].id
    );
    database.execute(&held.replace('%', "1")).await;
    publish(&store, &drafts[3..4], at(4)).await;
    assert_eq!(states(&store, &drafts[2].id).await[0].1, State::Held, "held after an attempt");
    database.execute(&held.replace('%', "0")).await;
    publish(&store, &drafts[4..5], at(5)).await;
    assert_eq!(states(&store, &drafts[2].id).await, [superseded("shop", &drafts[4])]);
    assert_eq!(states(&store, &drafts[3].id).await, [superseded("shop", &drafts[4])]);
}

async fn other_wallets_types_and_endpoints_are_left_alone(database: Database) {
    let before = [subscriber("crm", &["wallet.balance_changed"], Order::User), subscriber("shop", &NAMED, Order::User)];
    let store = migrated(&database, &before).await;
    let updated = Draft { kind: EventType::WalletUpdated, ..balance("w", 9) };
    let updated = Draft { id: repeated("company", updated.kind, "w", 9, "generation"), ..updated };
    let older = [balance("w", 2), balance("other", 2), updated, draft("user:bob", "w")];
    publish(&store, &older, at(1)).await;

    // `crm` does not want them any more.
    let after = [subscriber("crm", &["deposit.*"], Order::User), subscriber("shop", &NAMED, Order::User)];
    let store = Store::open(&super::fixture::config(&database), after.to_vec()).await.unwrap();
    let newer = balance("w", 10);
    publish(&store, std::slice::from_ref(&newer), at(2)).await;
    assert_eq!(states(&store, &older[0].id).await, [pending("crm"), superseded("shop", &newer)]);
    assert_eq!(states(&store, &older[1].id).await, [pending("crm"), pending("shop")]);
    for untouched in &older[2..] {
        assert_eq!(states(&store, &untouched.id).await, [pending("shop")]);
    }
}

async fn a_lane_goes_on_around_what_is_replaced(database: Database) {
    let store = migrated(&database, &[subscriber("shop", &NAMED, Order::User)]).await;
    let (first, old, last, new) = (draft("user:bob", "1"), balance("w", 2), draft("user:bob", "2"), balance("w", 3));
    publish(&store, &[first.clone(), old.clone(), last.clone()], at(1)).await;
    let under_way = claim(&store, "shop", 9, at(1)).await;
    assert_eq!(under_way[0].event_id, first.id);
    publish(&store, std::slice::from_ref(&new), at(2)).await;
    settle(&store, under_way, "shop", Verdict::Done, at(3)).await;
    for expected in [&last, &new] {
        let claimed = claim(&store, "shop", 9, at(3)).await;
        assert_eq!(claimed.len(), 1);
        assert_eq!(claimed[0].event_id, expected.id);
        settle(&store, claimed, "shop", Verdict::Done, at(3)).await;
    }

    // Alone in its lane, it makes room at once.
    let (old, new) = (balance("w", 4), balance("w", 5));
    publish(&store, &[old], at(10)).await;
    publish(&store, std::slice::from_ref(&new), at(11)).await;
    let claimed = claim(&store, "shop", 9, at(11)).await;
    assert_eq!(claimed.iter().map(|claimed| &claimed.event_id).collect::<Vec<_>>(), [&new.id]);
}

async fn a_listed_balance_replaces_the_one_before_it(database: Database) {
    let store = migrated(&database, &[subscriber("shop", &NAMED, Order::User)]).await;
    let rich = |usdt: &str| listed(Wallet { last_usdt_balance: usdt.parse().ok(), ..wallet("w", "bob") });
    ingest(&store, &[wallet("w", "bob")], at(0)).await;
    for (usdt, seconds) in [("1", 1000), ("2", 2000), ("3", 3000)] {
        ingest(&store, &[rich(usdt)], at(seconds)).await;
    }
    assert_eq!(kinds(&database).await.len(), 4);
    let mut told = Vec::new();
    while let Some(claimed) = claim(&store, "shop", 9, at(4000)).await.pop() {
        let body: serde_json::Value = serde_json::from_str(&claimed.body).unwrap();
        told.push((body["sequence"].as_i64().unwrap(), body["data"]["object"]["last_usdt_balance"].clone()));
        settle(&store, vec![claimed], "shop", Verdict::Done, at(4000)).await;
    }
    assert_eq!(told, [(1, "0".into()), (4, "3".into())], "created, and the last balance");
}

async fn what_is_known_already_replaces_nothing(database: Database) {
    let store = migrated(&database, &[subscriber("shop", &NAMED, Order::User)]).await;
    let draft = balance("w", 2);
    assert_eq!(publish(&store, std::slice::from_ref(&draft), at(1)).await, 1);
    assert_eq!(publish(&store, std::slice::from_ref(&draft), at(2)).await, 0, "a second process noticed it as well");
    assert_eq!(states(&store, &draft.id).await, [pending("shop")]);
}
