//! Two processes that read the same page at the same time: whoever is second finds the work done, and nothing is told
//! twice. Each of the racing stores has connections of its own, as another process would.

use futures_util::future::join_all;
use lumo_bridge::model::record::{Deposit, Wallet};
use lumo_bridge::store::{Ingested, Publishes, Store};
use tokio::task::JoinSet;

use super::fixture::{at, config, deposit, ingest, listed, migrated, noticed, page, shop, wallet};
use crate::database::{Database, on_each_database};

on_each_database!(
    a_page_that_two_store_at_once_is_told_once,
    a_change_that_two_see_at_once_is_told_once,
    two_different_changes_at_once_leave_one_version_each,
    a_deposit_and_its_wallet_that_come_at_once_find_each_other,
    a_transaction_that_fails_leaves_nothing,
);

const RACERS: usize = 4;

/// Stores of as many processes.
async fn racers(database: &Database) -> Vec<Store> {
    let first = migrated(database, &shop()).await;
    let config = config(database);
    let others = (1..RACERS).map(|_| async { Store::open(&config, shop()).await.unwrap() });
    let mut stores = join_all(others).await;
    stores.push(first);
    stores
}

/// Lets every store take the same page at once; returns what it caused in sum.
async fn race<R: Publishes>(stores: &[Store], records: &[R], seconds: i64) -> Ingested {
    let mut tasks = JoinSet::new();
    for store in stores {
        let (store, records) = (store.clone(), records.to_vec());
        tasks.spawn(async move { ingest(&store, &records, at(seconds)).await });
    }
    let add = |sum: Ingested, one: Ingested| Ingested {
        appeared: sum.appeared + one.appeared,
        changed: sum.changed + one.changed,
        events: sum.events + one.events,
        ..Ingested::default()
    };
    tasks.join_all().await.into_iter().fold(Ingested::default(), add)
}

/// 40 wallets, two of each user, in the given order.
fn wallets(blocked: bool, backwards: bool) -> Vec<Wallet> {
    let one = |number: i64| {
        let wallet = wallet(&format!("w{number:02}"), &format!("user{}", number % 20));
        listed(Wallet { is_blocked: blocked, created_at: at(number), ..wallet })
    };
    let mut all: Vec<_> = (0..40).map(one).collect();
    if backwards {
        all.reverse();
    }
    all
}

async fn a_page_that_two_store_at_once_is_told_once(database: Database) {
    let stores = racers(&database).await;
    let caused = race(&stores, &wallets(false, false), 100).await;
    assert_eq!((caused.appeared, caused.events), (40, 40));
    let caused = race(&stores, &(0..40).map(|n| deposit(&format!("d{n}"))).collect::<Vec<_>>(), 100).await;
    assert_eq!((caused.appeared, caused.events), (40, 40));

    assert_eq!(database.count("lumo_user_wallets", "version = 1").await, 40);
    assert_eq!(database.number("SELECT COUNT(*) FROM lumo_events").await, 80);
    assert_eq!(database.number("SELECT MAX(seq) FROM lumo_events").await, 80);
    assert_eq!(database.number("SELECT COUNT(*) FROM lumo_deliveries").await, 80);
}

async fn a_change_that_two_see_at_once_is_told_once(database: Database) {
    let stores = racers(&database).await;
    ingest(&stores[0], &wallets(false, false), at(100)).await;
    for round in 1..=5 {
        // In both orders: locks must not be taken in the order of the page.
        let page = wallets(round % 2 == 1, round % 3 == 0);
        let caused = race(&stores, &page, 100 + round * 1000).await;
        assert_eq!((caused.changed, caused.events), (40, 40), "round {round}");
        assert_eq!(database.count("lumo_user_wallets", &format!("version = {}", round + 1)).await, 40);
    }
    assert_eq!(database.number("SELECT MAX(seq) FROM lumo_events").await, 240);
}

async fn two_different_changes_at_once_leave_one_version_each(database: Database) {
    let stores = racers(&database).await;
    ingest(&stores[0], &wallets(false, false), at(0)).await;
    let mut tasks = JoinSet::new();
    for (number, store) in stores.into_iter().enumerate() {
        let mut page: Vec<_> = wallets(false, number % 2 == 0);
        for wallet in &mut page {
            *wallet = listed(Wallet { address: Some(format!("T{number}")), ..wallet.clone() });
        }
        tasks.spawn(async move { ingest(&store, &page, at(1000)).await });
    }
    let caused = tasks.join_all().await;
    assert!(caused.iter().all(|caused| (caused.changed, caused.events) == (40, 40)), "{caused:?}");
    assert_eq!(database.count("lumo_user_wallets", "version = 5").await, 40);
    // Each change begins where the one before ended.
    let sql = "SELECT object_id, body FROM lumo_events ORDER BY object_id, seq";
    let mut address = (String::new(), String::new());
    for row in database.rows(sql).await {
        let (id, body) = (row[0].clone().unwrap(), row[1].clone().unwrap());
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        let now = body["data"]["object"]["address"].as_str().unwrap().to_owned();
        if address.0 == id {
            assert_eq!(body["data"]["changes"]["address"], serde_json::json!({"from": address.1, "to": now}));
        }
        address = (id, now);
    }
}

async fn a_deposit_and_its_wallet_that_come_at_once_find_each_other(database: Database) {
    let store = migrated(&database, &shop()).await;
    for round in 0..60 {
        let id = format!("{round}");
        let wallets = vec![wallet(&id, &id)];
        let deposits = vec![noticed(Deposit { wallet_id: Some(id.parse().unwrap()), ..deposit(&id) })];
        let mut tasks = JoinSet::new();
        let other = store.clone();
        tasks.spawn(async move { ingest(&other, &deposits, at(round)).await });
        let other = store.clone();
        tasks.spawn(async move { ingest(&other, &wallets, at(round)).await });
        tasks.join_all().await;
    }
    assert_eq!(database.count("lumo_user_deposits", "external_id IS NULL").await, 0, "deposits without their user");
}

async fn a_transaction_that_fails_leaves_nothing(database: Database) {
    let store = migrated(&database, &shop()).await;
    let before = super::ingest::everything(&database).await;
    // No event can be made of the last one, which is found out when all rows are written; none of them must stay.
    let mut records: Vec<_> = (0..250).map(|number| wallet(&format!("w{number:03}"), "bob")).collect();
    records.push(Wallet { raw: "{".into(), ..wallet("w999", "bob") });
    assert!(store.ingest(page(&records, at(1)), at(1)).await.is_err());
    assert_eq!(super::ingest::everything(&database).await, before);
    ingest(&store, &records[..250], at(2)).await;
    assert_eq!(database.number("SELECT MAX(seq) FROM lumo_events").await, 250);
}
