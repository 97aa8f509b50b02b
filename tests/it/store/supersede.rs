//! Superseding: of a wallet's balances that an endpoint was not sent yet, only the newest is worth sending.

use lumo_bridge::model::draft::{Draft, repeated};
use lumo_bridge::model::event::EventType;
use lumo_bridge::model::id::EventId;
use lumo_bridge::model::record::Wallet;
use lumo_bridge::model::subscriber::Order;
use lumo_bridge::store::Store;

use super::fixture::{at, deliveries, draft, endpoint, ingest, kinds, listed, migrated, publish, subscriber, wallet};
use super::leader::{Came, Leader, PROCESS};
use crate::database::{Database, on_each_database};

on_each_database!(
    a_newer_balance_replaces_one_that_was_not_read,
    what_waits_as_a_row_is_replaced_when_it_becomes_due,
    only_what_the_endpoint_receives_as_well_replaces_anything,
    a_lane_goes_on_around_what_is_replaced,
    a_listed_balance_replaces_the_one_before_it,
);

const NAMED: [&str; 3] = ["wallet.balance_changed", "deposit.*", "wallet.*"];

/// The balance of a wallet, in its so manieth version.
fn balance(wallet: &str, version: i64) -> Draft {
    let kind = EventType::WalletBalanceChanged;
    let id = repeated("company", kind, wallet, version, "generation");
    Draft { id, kind, object_kind: "wallet", ..draft("user:bob", wallet) }
}

/// The state of an event's deliveries, by endpoint.
async fn states(store: &Store, event: &EventId) -> Vec<String> {
    let rows = deliveries(store).await.into_iter().filter(|row| row.id.event == *event);
    let mut states: Vec<_> = rows.map(|row| format!("{} {}", row.id.endpoint, row.state)).collect();
    states.sort();
    states
}

async fn a_newer_balance_replaces_one_that_was_not_read(database: Database) {
    let orders = [("all", Order::Endpoint), ("none", Order::None), ("user", Order::User)];
    let store = migrated(&database, &orders.map(|(name, order)| subscriber(name, &NAMED, order))).await;
    let drafts = [balance("w", 2), balance("w", 3), balance("w", 4)];
    for (draft, seconds) in drafts.iter().zip(1..) {
        publish(&store, std::slice::from_ref(draft), at(seconds)).await;
    }
    for (name, _) in orders {
        let mut slice = store.read_log(&endpoint(name), 0, 9, 1 << 20).await.unwrap();
        slice.superseded.sort_by_key(|(seq, _)| *seq);
        let newest = drafts[2].id.clone();
        assert_eq!(slice.superseded, [(1, newest.clone()), (2, newest.clone())], "{name}");
        assert_eq!(Leader::of(&store, name, at(9)).await.deliver(at(9)).await, [newest], "{name}");
    }
    for old in &drafts[..2] {
        assert_eq!(states(&store, &old.id).await, ["all superseded", "none superseded", "user superseded"]);
    }
    assert_eq!(database.count("lumo_events", "1 = 1").await, 3, "the events themselves stay, and their numbers");
    assert_eq!(database.count("lumo_exceptions", "1 = 1").await, 0);
    assert_eq!(database.count("lumo_undelivered", "1 = 1").await, 0);
}

async fn what_waits_as_a_row_is_replaced_when_it_becomes_due(database: Database) {
    let store = migrated(&database, &[subscriber("shop", &NAMED, Order::None)]).await;
    publish(&store, &[balance("w", 2)], at(1)).await;
    let mut leader = Leader::of(&store, "shop", at(1)).await;
    leader.pass(9, at(1), |_| Came::RetryAt(at(10))).await;
    let newer = balance("w", 3);
    publish(&store, std::slice::from_ref(&newer), at(2)).await;
    let due = store.due(&endpoint("shop"), 9, at(10)).await.unwrap().rows;
    assert_eq!(due.into_iter().map(|row| row.superseded_by).collect::<Vec<_>>(), [Some(newer.id)]);
}

async fn only_what_the_endpoint_receives_as_well_replaces_anything(database: Database) {
    let with = |crm: &[&str]| vec![subscriber("crm", crm, Order::User), subscriber("shop", &NAMED, Order::User)];
    let store = migrated(&database, &with(&["wallet.balance_changed"])).await;
    let updated = Draft { kind: EventType::WalletUpdated, ..balance("w", 9) };
    let updated = Draft { id: repeated("company", updated.kind, "w", 9, "generation"), ..updated };
    publish(&store, &[balance("w", 2), balance("other", 2), updated, draft("user:bob", "w")], at(1)).await;
    // `crm` does not want them any more.
    let store = store.with_subscribers(with(&["deposit.*"]));
    store.register_endpoints(PROCESS, at(2)).await.unwrap();
    let newer = balance("w", 10);
    publish(&store, std::slice::from_ref(&newer), at(3)).await;
    let superseded = async |name: &str| store.read_log(&endpoint(name), 0, 9, 1 << 20).await.unwrap().superseded;
    assert_eq!(superseded("shop").await, [(1, newer.id)], "no other wallet, and no other type");
    assert!(superseded("crm").await.is_empty(), "it would never receive the newer one");
}

async fn a_lane_goes_on_around_what_is_replaced(database: Database) {
    let store = migrated(&database, &[subscriber("shop", &NAMED, Order::User)]).await;
    let (first, old, last, new) = (draft("user:bob", "1"), balance("w", 2), draft("user:bob", "2"), balance("w", 3));
    publish(&store, &[first.clone(), old, last.clone()], at(1)).await;
    publish(&store, std::slice::from_ref(&new), at(2)).await;
    let mut leader = Leader::of(&store, "shop", at(3)).await;
    assert_eq!(leader.deliver(at(3)).await, [first.id, last.id, new.id]);
}

async fn a_listed_balance_replaces_the_one_before_it(database: Database) {
    let store = migrated(&database, &[subscriber("shop", &NAMED, Order::User)]).await;
    let rich = |usdt: &str| listed(Wallet { last_usdt_balance: usdt.parse().ok(), ..wallet("w", "bob") });
    ingest(&store, &[wallet("w", "bob")], at(0)).await;
    for (usdt, seconds) in [("1", 1000), ("2", 2000), ("3", 3000)] {
        ingest(&store, &[rich(usdt)], at(seconds)).await;
    }
    assert_eq!(kinds(&database).await.len(), 4);
    let sent = Leader::of(&store, "shop", at(4000)).await.pass(9, at(4000), |_| Came::Delivered).await;
    let told = sent.into_iter().map(|next| {
        let body: serde_json::Value = serde_json::from_str(&next.event.body).unwrap();
        (body["sequence"].as_i64().unwrap(), body["data"]["object"]["last_usdt_balance"].clone())
    });
    assert_eq!(told.collect::<Vec<_>>(), [(1, "0".into()), (4, "3".into())], "created, and the last balance");
}
