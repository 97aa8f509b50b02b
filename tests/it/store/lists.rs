//! Lists as people page through them.

use chrono::{DateTime, Utc};
use lumo_bridge::model::record::Deposit;
use lumo_bridge::store::Store;
use lumo_bridge::store::query::DepositFilter;

use super::fixture::{at, deposit, ingest, migrated, noticed};
use crate::database::{Database, on_each_database};

on_each_database!(deposits_without_a_time_come_last_on_whatever_page);

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
        let none = DepositFilter { status: Some("confirmed".to_owned()), ..filter };
        assert_eq!(paged(&store, none).await, [""; 0]);
    }
}
