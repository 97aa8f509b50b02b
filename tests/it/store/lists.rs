//! Lists as people page through them.

use chrono::{DateTime, Utc};
use lumo_bridge::model::Listing;
use lumo_bridge::model::record::{Deposit, Wallet};
use lumo_bridge::store::Store;
use lumo_bridge::store::query::{DepositFilter, WalletFilter};

use super::fixture::{at, deposit, ingest, listed, migrated, noticed, wallet};
use crate::database::{Database, on_each_database};

on_each_database!(
    deposits_without_a_time_come_last_on_whatever_page,
    a_payment_is_found_by_its_transaction_and_its_address,
    a_row_counts_as_soon_as_it_is_stored,
);

fn made(id: &str, created_at: Option<DateTime<Utc>>) -> Deposit {
    noticed(Deposit { created_at, ..deposit(id) })
}

/// The ids of all pages of so many, one after the other.
async fn paged(store: &Store, filter: DepositFilter) -> Vec<String> {
    let (mut ids, mut after) = (Vec::new(), None);
    loop {
        let page = store.list_deposits(&DepositFilter { after, ..filter.clone() }).await.unwrap();
        let Some(last) = page.last() else { return ids };
        after = Some((last.created_at, last.id.clone()));
        ids.extend(page.iter().map(|row| row.id.to_string()));
    }
}

async fn deposits_without_a_time_come_last_on_whatever_page(database: Database) {
    let store = migrated(&database, &[]).await;
    let early = [made("a", Some(at(-9))), made("b", None), made("c", Some(at(-3))), made("d", Some(at(-3)))];
    ingest(&store, &early, at(0)).await;
    ingest(&store, &[made("e", None), made("f", Some(at(5)))], at(10)).await;
    for limit in 1..=7 {
        let filter = DepositFilter { limit, ..DepositFilter::default() };
        assert_eq!(paged(&store, filter.clone()).await, ["f", "d", "c", "a", "e", "b"], "in pages of {limit}");
        let since = |seconds| DepositFilter { since: Some(at(seconds)), ..filter.clone() };
        assert_eq!(paged(&store, since(-3)).await, ["f", "d", "c", "e", "b"], "in pages of {limit}");
        assert_eq!(paged(&store, since(5)).await, ["f", "e"], "in pages of {limit}");
        let until = |seconds| DepositFilter { until: Some(at(seconds)), ..since(-3) };
        assert_eq!(paged(&store, until(5)).await, ["d", "c", "b"], "in pages of {limit}");
        assert_eq!(paged(&store, until(-3)).await, [""; 0], "in pages of {limit}");
        let none = DepositFilter { status: Some("confirmed".to_owned()), ..filter };
        assert_eq!(paged(&store, none).await, [""; 0]);
    }
}

async fn a_payment_is_found_by_its_transaction_and_its_address(database: Database) {
    let store = migrated(&database, &[]).await;
    let long = "ж".repeat(300);
    let paid = |id: &str, hash: &str, address: &str| {
        let (tx_hash, address) = (Some(hash.to_owned()), Some(address.to_owned()));
        noticed(Deposit { tx_hash, address, ..deposit(id) })
    };
    ingest(
        &store,
        &[paid("a", "4FaB", "TX1"), paid("b", "77", "TX2"), paid("c", &long, &long), made("d", None)],
        at(0),
    )
    .await;
    let found = async |tx_hash: Option<&str>, address: Option<&str>| {
        let (tx_hash, address) = (tx_hash.map(str::to_owned), address.map(str::to_owned));
        let filter = DepositFilter { tx_hash, address, limit: 9, ..DepositFilter::default() };
        let rows = store.list_deposits(&filter).await.unwrap();
        rows.iter().map(|row| row.id.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(found(Some("4FaB"), None).await, ["a"]);
    assert_eq!(found(Some("77"), Some("TX2")).await, ["b"]);
    assert_eq!(found(Some("77"), Some("TX1")).await, [""; 0]);
    assert_eq!(found(None, Some("TX2")).await, ["b"]);
    assert_eq!(found(None, Some("tx2")).await, [""; 0], "the case of an address matters");
    assert_eq!(
        (found(Some(&long), None).await, found(None, Some(&long)).await),
        (vec!["c".to_owned()], vec!["c".to_owned()])
    );
    let lower = paid("e", "ab12", "TX3");
    ingest(&store, &[lower], at(1)).await;
    assert_eq!(found(Some("AB12"), None).await, ["e"]);

    ingest(&store, &[wallet("w-1", "bob")], at(2)).await;
    let address = store.wallet(&"w-1".parse().unwrap()).await.unwrap().unwrap().address;
    let filter =
        |address: &str| WalletFilter { address: Some(address.to_owned()), limit: 9, ..WalletFilter::default() };
    assert_eq!(store.list_wallets(&filter(address.as_deref().unwrap())).await.unwrap().len(), 1);
    assert_eq!(store.list_wallets(&filter("elsewhere")).await.unwrap().len(), 0);
}

async fn a_row_counts_as_soon_as_it_is_stored(database: Database) {
    let store = migrated(&database, &[]).await;
    let counted = async || {
        let mut rows = Vec::new();
        for listing in Listing::ALL {
            rows.push(store.rows(listing).await.unwrap());
        }
        rows
    };
    assert_eq!(counted().await, [0, 0, 0]);
    ingest(&store, &[wallet("w1", "bob"), wallet("w2", "eve")], at(0)).await;
    assert_eq!(counted().await, [2, 0, 0]);
    ingest(&store, &[made("d1", None)], at(1)).await;
    assert_eq!(counted().await, [2, 0, 1]);
    ingest(&store, &[listed(Wallet { is_blocked: true, ..wallet("w1", "bob") })], at(2)).await;
    assert_eq!(counted().await, [2, 1, 1]);
}
