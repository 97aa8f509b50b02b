//! Which change is which event, and what the event says.

use lumo_bridge::model::record::{Deposit, Wallet};
use lumo_bridge::model::subscriber::Order;
use serde_json::{Value, json};

use super::fixture::{
    at, deposit, events, ingest, kinds, listed, migrated, noticed, shop, subscriber, wallet, with_raw,
};
use crate::database::{Database, on_each_database};

on_each_database!(
    blocking_and_unblocking_are_events_of_their_own,
    a_wallet_first_seen_blocked_is_created_and_then_blocked,
    a_newer_wallet_of_the_same_user_replaces_the_older,
    wallets_of_one_user_in_one_page_are_told_oldest_first,
    balances_alone_are_told_only_to_whom_names_them,
    balances_beside_something_else_are_part_of_that_event,
    a_member_that_nobody_knows_is_told_by_its_own_name,
    what_happens_to_a_deposit_is_told_by_its_kind,
    what_was_missing_and_is_listed_again_is_told,
);

/// The document of the last event.
async fn last(database: &Database) -> Value {
    let body = database.value("SELECT body FROM lumo_events WHERE seq = (SELECT MAX(seq) FROM lumo_events)").await;
    serde_json::from_str(&body).unwrap()
}

async fn blocking_and_unblocking_are_events_of_their_own(database: Database) {
    let store = migrated(&database, &shop()).await;
    let blocked = Wallet { is_blocked: true, block_reason: Some("fraud".to_owned()), ..wallet("w", "bob") };
    ingest(&store, &[wallet("w", "bob")], at(0)).await;
    assert_eq!(last(&database).await["data"]["changes"], Value::Null);

    ingest(&store, &[listed(blocked.clone())], at(1000)).await;
    let body = last(&database).await;
    assert_eq!(body["type"], "wallet.blocked");
    assert_eq!(
        body["data"]["changes"],
        json!({"is_blocked": {"from": false, "to": true}, "block_reason": {"from": null, "to": "fraud"}})
    );
    assert_eq!(body["data"]["object"]["version"], 2);
    assert_eq!((&body["sequence"], &body["stream"]), (&json!(2), &json!("user:bob")));

    // Only the reason changes: it stays blocked.
    ingest(&store, &[listed(Wallet { block_reason: Some("error".to_owned()), ..blocked })], at(2000)).await;
    ingest(&store, &[wallet("w", "bob")], at(3000)).await;
    assert_eq!(kinds(&database).await, ["wallet.created", "wallet.blocked", "wallet.updated", "wallet.unblocked"]);
}

async fn a_wallet_first_seen_blocked_is_created_and_then_blocked(database: Database) {
    let readme = subscriber("shop", &["deposit.*", "wallet.blocked", "wallet.replaced"], Order::User);
    let store = migrated(&database, &[readme]).await;
    let blocked = |id: &str, created_at| {
        let reason = Some("fraud".to_owned());
        listed(Wallet { is_blocked: true, block_reason: reason, created_at, ..wallet(id, "bob") })
    };
    assert_eq!(ingest(&store, &[blocked("w1", at(-50))], at(0)).await.events, 2);
    assert_eq!(kinds(&database).await, ["wallet.created", "wallet.blocked"]);
    let body = last(&database).await;
    let changes = json!({"is_blocked": {"from": null, "to": true}, "block_reason": {"from": null, "to": "fraud"}});
    assert_eq!((&body["data"]["changes"], &body["sequence"]), (&changes, &json!(2)));
    assert_eq!((&body["data"]["object"]["version"], &body["timestamp"]), (&json!(1), &json!("2026-05-04T10:20:00Z")));

    // The wallet that replaces it may be blocked as well; who listens for blocks hears of both, and of each once.
    ingest(&store, &[blocked("w2", at(-5))], at(10)).await;
    ingest(&store, &[blocked("w1", at(-50)), blocked("w2", at(-5))], at(20)).await;
    let kinds = kinds(&database).await;
    assert_eq!(kinds, ["wallet.created", "wallet.blocked", "wallet.replaced", "wallet.blocked"]);
    let sql = "SELECT e.object_id FROM lumo_deliveries d JOIN lumo_events e ON e.id = d.event_id ORDER BY e.seq";
    let told: Vec<_> = database.rows(sql).await.into_iter().flatten().flatten().collect();
    assert_eq!(told, ["w1", "w2", "w2"]);

    // Blocked again later, it is another block.
    let free = |id: &str| listed(Wallet { created_at: at(-50), ..wallet(id, "bob") });
    ingest(&store, &[free("w1")], at(1000)).await;
    ingest(&store, &[blocked("w1", at(-50))], at(2000)).await;
    assert_eq!(database.count("lumo_events", "object_id = 'w1'").await, 4);
}

async fn a_newer_wallet_of_the_same_user_replaces_the_older(database: Database) {
    let store = migrated(&database, &shop()).await;
    ingest(&store, &[listed(Wallet { created_at: at(-50), ..wallet("w1", "bob") }), wallet("x", "eve")], at(0)).await;
    ingest(&store, &[listed(Wallet { created_at: at(5), ..wallet("w2", "bob") })], at(10)).await;

    let body = last(&database).await;
    assert_eq!((&body["type"], &body["data"]["object"]["id"]), (&json!("wallet.replaced"), &json!("w2")));
    let changes = json!({"wallet_id": {"from": "w1", "to": "w2"}, "address": {"from": "T-w1", "to": "T-w2"}});
    assert_eq!(body["data"]["changes"], changes);

    // An older one that turns up later replaces nothing; a third one replaces the newest.
    ingest(&store, &[listed(Wallet { created_at: at(-99), ..wallet("w0", "bob") })], at(11)).await;
    assert_eq!(last(&database).await["type"], "wallet.created");
    ingest(&store, &[listed(Wallet { created_at: at(8), ..wallet("w3", "bob") })], at(12)).await;
    assert_eq!(last(&database).await["data"]["changes"]["wallet_id"], json!({"from": "w2", "to": "w3"}));
}

async fn wallets_of_one_user_in_one_page_are_told_oldest_first(database: Database) {
    let store = migrated(&database, &shop()).await;
    let created = |id: &str, seconds| listed(Wallet { created_at: at(seconds), ..wallet(id, "bob") });
    ingest(&store, &[created("c", 3), created("b", 2), created("a", 1)], at(10)).await;

    let sql = format!("SELECT object_id, {} FROM lumo_events ORDER BY stream_seq", database.quote("type"));
    let rows: Vec<_> = database.rows(&sql).await.into_iter().flatten().flatten().collect();
    assert_eq!(rows, ["a", "wallet.created", "b", "wallet.replaced", "c", "wallet.replaced"]);
    assert_eq!(last(&database).await["data"]["changes"]["wallet_id"], json!({"from": "b", "to": "c"}));
}

fn rich(id: &str, usdt: &str) -> Wallet {
    listed(Wallet { last_usdt_balance: usdt.parse().ok(), ..wallet(id, "bob") })
}

async fn balances_alone_are_told_only_to_whom_names_them(database: Database) {
    let store = migrated(&database, &shop()).await;
    ingest(&store, &[wallet("w", "bob")], at(0)).await;
    let caused = ingest(&store, &[rich("w", "7.5")], at(1000)).await;
    assert_eq!((caused.changed, caused.events), (1, 0));
    assert_eq!(database.count("lumo_user_wallets", "version = 2").await, 1);

    let names = [subscriber("crm", &["wallet.balance_changed"], Order::User), subscriber("shop", &["*"], Order::User)];
    let store = lumo_bridge::store::Store::open(&super::fixture::config(&database), names.to_vec()).await.unwrap();
    store.register_endpoints(super::leader::PROCESS, at(1500)).await.unwrap();
    assert_eq!(ingest(&store, &[rich("w", "8")], at(2000)).await.events, 1);
    assert_eq!(kinds(&database).await, ["wallet.created", "wallet.balance_changed"]);
    let changes = json!({"last_usdt_balance": {"from": "7.5", "to": "8"}});
    assert_eq!(last(&database).await["data"]["changes"], changes);
    let takers = database.rows("SELECT endpoint FROM lumo_deliveries ORDER BY seq, endpoint").await;
    assert_eq!(takers, [[Some("shop".to_owned())], [Some("crm".to_owned())]]);
}

async fn balances_beside_something_else_are_part_of_that_event(database: Database) {
    let store = migrated(&database, &shop()).await;
    ingest(&store, &[wallet("w", "bob")], at(0)).await;
    ingest(&store, &[listed(Wallet { address: Some("T-new".to_owned()), ..rich("w", "3") })], at(1000)).await;
    let body = last(&database).await;
    assert_eq!(body["type"], "wallet.updated");
    assert_eq!(body["data"]["changes"]["last_usdt_balance"], json!({"from": "0", "to": "3"}));
    assert_eq!(body["data"]["changes"]["address"], json!({"from": "T-w", "to": "T-new"}));
}

async fn a_member_that_nobody_knows_is_told_by_its_own_name(database: Database) {
    let store = migrated(&database, &shop()).await;
    let raw = |tail: &str| with_raw(wallet("w", "bob"), &format!(r#"{{"id":"w","isBlocked":false{tail}}}"#));
    ingest(&store, &[raw(r#","tier":"gold","limits":{"day":1.10}"#)], at(0)).await;
    ingest(&store, &[raw(r#","tier":"silver","limits":{"day":1.1},"vip":true"#)], at(1000)).await;

    let body = last(&database).await;
    assert_eq!(body["type"], "wallet.updated");
    let changes = json!({
        "upstream.tier": {"from": "gold", "to": "silver"},
        "upstream.vip": {"from": null, "to": true},
    });
    assert_eq!(body["data"]["changes"], changes, "1.10 is 1.1");
    assert_eq!(body["data"]["upstream"]["vip"], true);
}

async fn what_happens_to_a_deposit_is_told_by_its_kind(database: Database) {
    let store = migrated(&database, &shop()).await;
    let deposit = Deposit { external_id: Some("bob".parse().unwrap()), created_at: Some(at(-3)), ..deposit("d") };
    ingest(&store, &[noticed(deposit.clone())], at(0)).await;
    let body = last(&database).await;
    assert_eq!(
        (&body["timestamp"], &body["data"]["object"]["status"]),
        (&json!("2026-05-04T10:19:57Z"), &json!("new"))
    );
    assert!(body["data"]["object"].get("amount").is_none(), "what is not known is absent");

    let confirmed = Deposit { confirmations: Some(19), ..deposit.clone() };
    ingest(&store, &[noticed(confirmed.clone())], at(1000)).await;
    let paid = Deposit { status: "paid".to_owned(), updated_at: Some(at(1500)), ..confirmed };
    ingest(&store, &[noticed(paid)], at(2000)).await;

    let body = last(&database).await;
    assert_eq!(body["timestamp"], lumo_bridge::model::draft::rfc3339(at(1500)));
    assert_eq!(body["data"]["changes"]["status"], json!({"from": "new", "to": "paid"}));
    let user = "user:bob".to_owned();
    let told =
        ["deposit.created", "deposit.updated", "deposit.status_changed"].map(|kind| (kind.to_owned(), user.clone()));
    assert_eq!(events(&database).await, told);
}

async fn what_was_missing_and_is_listed_again_is_told(database: Database) {
    let store = migrated(&database, &shop()).await;
    ingest(&store, &[wallet("w", "bob")], at(0)).await;
    let time = if database.is_sqlite() { "'2026-05-05T00:00:00+00:00'" } else { "'2026-05-05 00:00:00'" };
    database.execute(&format!("UPDATE lumo_user_wallets SET missing_since = {time}")).await;

    assert_eq!(ingest(&store, &[wallet("w", "bob")], at(90_000)).await.changed, 1);

    assert_eq!(database.count("lumo_user_wallets", "missing_since IS NULL AND version = 2").await, 1);
    let changes = json!({"missing_since": {"from": "2026-05-05T00:00:00Z", "to": null}});
    let body = last(&database).await;
    assert_eq!((&body["type"], &body["data"]["changes"]), (&json!("wallet.updated"), &changes));
}
