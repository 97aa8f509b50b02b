//! Small things that the tests of the store are made of: records as listed, drafts, subscribers.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use lumo_bridge::model::Listing;
use lumo_bridge::model::diff::Record;
use lumo_bridge::model::draft::{Draft, Origin, once, rfc3339};
use lumo_bridge::model::event::EventType;
use lumo_bridge::model::facts::Announce;
use lumo_bridge::model::fingerprint::fingerprint;
use lumo_bridge::model::id::{DeliveryId, EndpointName};
use lumo_bridge::model::pattern::Patterns;
use lumo_bridge::model::record::{Deposit, Wallet};
use lumo_bridge::model::subscriber::{Order, Subscriber};
use lumo_bridge::store::query::{DeliveryFilter, DeliveryRow};
use lumo_bridge::store::{Batch, Checkpoint, Config, Ending, Ingested, Publishes, Regressions, Run, Store, schema};
use lumo_bridge_entity::run::Outcome;
use serde_json::value::RawValue;

use super::leader::PROCESS;
use crate::database::Database;

/// More than any test makes.
pub(crate) const ALL: u64 = 100_000;
/// For how long a failing delivery holds its lane.
pub(crate) const HOLD: Duration = Duration::from_secs(60);
pub(crate) const LEASE: Duration = Duration::from_secs(30);

/// Seconds after the moment at which every test begins.
pub(crate) fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_777_890_000, 0).unwrap() + TimeDelta::seconds(seconds)
}

pub(crate) fn config(database: &Database) -> Config {
    Config { url: database.url().parse().unwrap(), schema: None, max_connections: 12, migrate: false }
}

/// A store over new tables.
pub(crate) async fn migrated(database: &Database, subscribers: &[Subscriber]) -> Store {
    let config = config(database);
    schema::up(&config).await.unwrap();
    let store = Store::open(&config, subscribers.to_vec()).await.unwrap();
    store.register_endpoints(PROCESS, at(0)).await.unwrap();
    store
}

pub(crate) fn endpoint(name: &str) -> EndpointName {
    name.parse().unwrap()
}

pub(crate) fn subscriber(name: &str, patterns: &[&str], order: Order) -> Subscriber {
    let patterns = Patterns::parse(patterns.iter().copied()).unwrap();
    Subscriber { endpoint: endpoint(name), patterns, order, history: None, fingerprint: 1, lease: LEASE }
}

/// An endpoint `shop` that wants everything about wallets and deposits, a user's in order.
pub(crate) fn shop() -> Vec<Subscriber> {
    vec![subscriber("shop", &["*"], Order::User)]
}

/// A wallet of this user, created at the start.
pub(crate) fn wallet(id: &str, user: &str) -> Wallet {
    listed(Wallet {
        id: id.parse().unwrap(),
        company_id: "company".parse().unwrap(),
        external_id: user.parse().unwrap(),
        address: Some(format!("T-{id}")),
        is_blocked: false,
        block_reason: None,
        last_usdt_balance: "0".parse().ok(),
        last_trx_balance: "0".parse().ok(),
        created_at: at(0),
        raw: "".into(),
        fingerprint: 0,
    })
}

/// The wallet as a listing shows it.
pub(crate) fn listed(wallet: Wallet) -> Wallet {
    let item = serde_json::json!({
        "id": wallet.id, "companyId": wallet.company_id, "externalId": wallet.external_id, "address": wallet.address,
        "isBlocked": wallet.is_blocked, "blockReason": wallet.block_reason, "lastUsdtBalance": wallet.last_usdt_balance,
        "lastTrxBalance": wallet.last_trx_balance, "createdAt": rfc3339(wallet.created_at),
    });
    with_raw(wallet, &item.to_string())
}

/// The same wallet listed in these words.
pub(crate) fn with_raw(wallet: Wallet, raw: &str) -> Wallet {
    Wallet { raw: raw.into(), fingerprint: fingerprint(raw), ..wallet }
}

/// A deposit that says nothing but its status, and the member that the test is about.
pub(crate) fn deposit(id: &str) -> Deposit {
    noticed(Deposit {
        id: id.parse().unwrap(),
        company_id: None,
        wallet_id: None,
        external_id: None,
        address: None,
        from_address: None,
        tx_hash: None,
        amount: None,
        currency: None,
        status: "new".to_owned(),
        confirmations: None,
        block_number: None,
        created_at: None,
        updated_at: None,
        status_since: None,
        settled_at: None,
        raw: "".into(),
        fingerprint: 0,
    })
}

/// The deposit as a listing shows it.
pub(crate) fn noticed(deposit: Deposit) -> Deposit {
    let item = serde_json::json!({
        "id": deposit.id, "walletId": deposit.wallet_id, "externalId": deposit.external_id, "amount": deposit.amount,
        "status": deposit.status, "confirmations": deposit.confirmations, "txHash": deposit.tx_hash,
        "createdAt": deposit.created_at.map(rfc3339), "updatedAt": deposit.updated_at.map(rfc3339),
    });
    let raw = item.to_string();
    Deposit { fingerprint: fingerprint(&raw), raw: raw.into(), ..deposit }
}

/// A page of news, read and stored at this time.
pub(crate) fn page<R: Record>(records: &[R], now: DateTime<Utc>) -> Batch<R> {
    Batch {
        records: records.to_vec(),
        heads: None,
        read_at: now,
        announce: Announce::News,
        regressions: Regressions::Apply,
        checkpoint: Checkpoint::default(),
        fence: None,
        ending: Ending::Commit,
    }
}

/// Stores a page of news.
pub(crate) async fn ingest<R: Publishes>(store: &Store, records: &[R], now: DateTime<Utc>) -> Ingested {
    store.ingest(page(records, now), now).await.unwrap()
}

/// The record of a round that was complete.
pub(crate) fn round(listing: Listing, started_at: DateTime<Utc>, finished_at: DateTime<Utc>) -> Run {
    Run {
        listing,
        started_at,
        finished_at,
        outcome: Outcome::Complete,
        requests: 1,
        rows: 1,
        appeared: 0,
        changed: 0,
        rejected: 0,
        error: None,
    }
}

/// A draft of an event that happens once for its object.
pub(crate) fn draft(stream: &str, object: &str) -> Draft {
    let kind = EventType::DepositCreated;
    Draft {
        id: once("company", kind, object),
        kind,
        stream: stream.to_owned(),
        object_kind: "deposit",
        object_id: object.to_owned(),
        external_id: None,
        occurred_at: at(0),
        detected_at: at(0),
        origin: Origin::Live,
        object: RawValue::from_string("{}".to_owned()).unwrap(),
        changes: None,
        upstream: None,
    }
}

/// Publishes in a transaction; returns how many events were new.
pub(crate) async fn publish(store: &Store, drafts: &[Draft], now: DateTime<Utc>) -> usize {
    store.tx("test", |tx| async move { tx.publish(drafts.to_vec(), now).await }).await.unwrap()
}

/// Publishes one event in each of the streams.
pub(crate) async fn publish_in(store: &Store, streams: &[&str], now: DateTime<Utc>) {
    let object = |(number, stream): (usize, &&str)| draft(stream, &format!("{now} {stream} {number}"));
    let drafts: Vec<_> = streams.iter().enumerate().map(object).collect();
    assert_eq!(publish(store, &drafts, now).await, streams.len());
}

/// Every delivery: each event at each endpoint that wants it or has a row of it, the oldest event first.
pub(crate) async fn deliveries(store: &Store) -> Vec<DeliveryRow> {
    let filter = DeliveryFilter { limit: ALL, ..DeliveryFilter::default() };
    let mut rows = store.list_deliveries(&filter).await.unwrap();
    rows.reverse();
    rows
}

pub(crate) async fn delivery(store: &Store, id: &DeliveryId) -> DeliveryRow {
    store.delivery(id).await.unwrap().unwrap()
}

/// Type and stream of each event, in order.
pub(crate) async fn events(database: &Database) -> Vec<(String, String)> {
    let columns = format!("{}, stream", database.quote("type"));
    let rows = database.rows(&format!("SELECT {columns} FROM lumo_events ORDER BY seq")).await;
    rows.into_iter().map(|row| (row[0].clone().unwrap(), row[1].clone().unwrap())).collect()
}

/// The types of the events, in order.
pub(crate) async fn kinds(database: &Database) -> Vec<String> {
    events(database).await.into_iter().map(|(kind, _)| kind).collect()
}
