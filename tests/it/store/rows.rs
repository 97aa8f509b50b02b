//! Row numbers: dense whoever writes, given once and for ever, and what is counted and found by them.

use lumo_bridge::model::Listing;
use lumo_bridge::model::facts::{Announce, History};
use lumo_bridge::model::record::{Deposit, Wallet};
use lumo_bridge::store::{Batch, RowCounts, Store, Whereabouts};
use tokio::task::JoinSet;

use super::fixture::{at, config, deposit, ingest, listed, migrated, noticed, page, shop, wallet};
use crate::database::{Database, on_each_database};

on_each_database!(
    rows_are_numbered_in_the_order_in_which_they_came,
    numbers_are_dense_however_many_write_at_once,
    a_silent_import_and_news_at_once_leave_no_hole_and_no_orphan,
    what_a_silent_import_finds_changed_is_told,
    row_counts_are_of_what_is_listed,
    rows_are_found_by_their_numbers,
    blocked_wallets_and_new_deposits_are_found_in_slices,
    few_rows_are_found_without_reading_all,
);

async fn row_no(store: &Store, id: &str) -> i64 {
    store.heads(&[&wallet(id, "whoever")], None).await.unwrap()[0].unwrap().row_no
}

fn history<R: lumo_bridge::model::diff::Record>(records: &[R], seconds: i64) -> Batch<R> {
    let started_at = at(1_000_000);
    let announce = Announce::Import { started_at, until: started_at, history: History::Silent };
    Batch { announce, ..page(records, at(seconds)) }
}

async fn assert_dense(database: &Database, table: &str, counter: &str, rows: i64) {
    let sql = format!("SELECT COUNT(DISTINCT row_no), MIN(row_no), MAX(row_no) FROM {table}");
    let found = database.rows(&sql).await.remove(0);
    let found: Vec<i64> = found.into_iter().map(|cell| cell.unwrap().parse().unwrap()).collect();
    assert_eq!(found, [rows, 1, rows], "{table}");
    assert_eq!(database.number(&format!("SELECT last_seq FROM lumo_streams WHERE stream = '{counter}'")).await, rows);
}

async fn rows_are_numbered_in_the_order_in_which_they_came(database: Database) {
    let store = migrated(&database, &shop()).await;
    ingest(&store, &[wallet("b", "1"), wallet("a", "2")], at(1)).await;
    let changed = listed(Wallet { is_blocked: true, ..wallet("b", "1") });
    ingest(&store, &[wallet("c", "3"), changed, wallet("a", "2")], at(1000)).await;
    ingest(&store, &[deposit("d")], at(1000)).await;
    for (id, number) in [("b", 1), ("a", 2), ("c", 3)] {
        assert_eq!(row_no(&store, id).await, number, "{id}");
    }
    assert_dense(&database, "lumo_user_wallets", "*wallets", 3).await;
    assert_dense(&database, "lumo_user_deposits", "*deposits", 1).await;
}

async fn numbers_are_dense_however_many_write_at_once(database: Database) {
    let first = migrated(&database, &shop()).await;
    let second = Store::open(&config(&database), shop()).await.unwrap();
    let mut tasks = JoinSet::new();
    for (number, store) in [(0, first.clone()), (1, second.clone()), (2, first), (3, second)] {
        tasks.spawn(async move {
            for round in 0..10 {
                // Some of them everybody writes, some only this one; half of the writers import.
                let id = |row: i32| if row < 5 { format!("{round}-{row}") } else { format!("{number}-{round}-{row}") };
                let wallets: Vec<_> = (0..10).map(|row| wallet(&id(row), &id(row))).collect();
                let batch = if number % 2 == 0 { history(&wallets, 1) } else { page(&wallets, at(1)) };
                store.ingest(batch, at(1)).await.unwrap();
            }
        });
    }
    tasks.join_all().await;
    assert_dense(&database, "lumo_user_wallets", "*wallets", 10 * (5 + 4 * 5)).await;
}

async fn a_silent_import_and_news_at_once_leave_no_hole_and_no_orphan(database: Database) {
    let store = migrated(&database, &shop()).await;
    for round in 0..30 {
        let ids: Vec<String> = (0..3).map(|number| format!("{round}-{number}")).collect();
        let wallets: Vec<_> = ids.iter().map(|id| wallet(id, id)).collect();
        let of = |id: &String| noticed(Deposit { wallet_id: Some(id.parse().unwrap()), ..deposit(id) });
        let deposits: Vec<_> = ids.iter().map(of).collect();
        let (silent_wallets, silent_deposits) = (round % 2 == 0, round % 3 != 0);
        let mut tasks = JoinSet::new();
        let other = store.clone();
        tasks.spawn(async move {
            let batch = if silent_deposits { history(&deposits, round) } else { page(&deposits, at(round)) };
            other.ingest(batch, at(round)).await.unwrap();
        });
        let other = store.clone();
        tasks.spawn(async move {
            let batch = if silent_wallets { history(&wallets, round) } else { page(&wallets, at(round)) };
            other.ingest(batch, at(round)).await.unwrap();
        });
        tasks.join_all().await;
    }
    assert_eq!(database.count("lumo_user_deposits", "external_id IS NULL").await, 0, "deposits without their user");
    assert_dense(&database, "lumo_user_wallets", "*wallets", 90).await;
    assert_dense(&database, "lumo_user_deposits", "*deposits", 90).await;
}

/// Its first look was before somebody else stored the row; what it knows of it is newer.
async fn what_a_silent_import_finds_changed_is_told(database: Database) {
    let store = migrated(&database, &shop()).await;
    let changed = listed(Wallet { address: Some("T-new".to_owned()), ..wallet("w", "bob") });
    let records = [wallet("other", "eve"), changed];
    let heads = store.heads(&records.iter().collect::<Vec<_>>(), None).await.unwrap();
    ingest(&store, &[wallet("w", "bob")], at(1)).await;
    let caused = store.ingest(Batch { heads: Some(heads), ..history(&records, 1000) }, at(1000)).await.unwrap();
    assert_eq!((caused.appeared, caused.changed, caused.events), (1, 1, 1));
    assert_eq!(super::fixture::kinds(&database).await, ["wallet.created", "wallet.updated"]);
    assert_dense(&database, "lumo_user_wallets", "*wallets", 2).await;
}

async fn row_counts_are_of_what_is_listed(database: Database) {
    let store = migrated(&database, &shop()).await;
    for listing in Listing::ALL {
        assert_eq!(store.row_counts(listing).await.unwrap(), RowCounts { listed: 0, last_row_no: 0 });
    }
    let blocked = |id: &str| listed(Wallet { is_blocked: true, ..wallet(id, id) });
    ingest(&store, &[wallet("a", "a"), blocked("b"), blocked("c"), wallet("d", "d")], at(1)).await;
    ingest(&store, &[deposit("d1"), deposit("d2")], at(1)).await;
    assert_eq!(
        store.vanish::<Wallet>(vec!["b".parse().unwrap(), "d".parse().unwrap()], at(2), None, at(2)).await.unwrap(),
        2
    );
    assert_eq!(store.vanish::<Deposit>(vec!["d1".parse().unwrap(); 2], at(2), None, at(2)).await.unwrap(), 1);
    assert_eq!(store.row_counts(Listing::Wallets).await.unwrap(), RowCounts { listed: 2, last_row_no: 4 });
    assert_eq!(store.row_counts(Listing::Blocked).await.unwrap(), RowCounts { listed: 1, last_row_no: 4 });
    assert_eq!(store.row_counts(Listing::Deposits).await.unwrap(), RowCounts { listed: 1, last_row_no: 2 });
}

fn ids(rows: &[Whereabouts]) -> Vec<(i64, &str)> {
    rows.iter().map(|row| (row.row_no, row.id.as_str())).collect()
}

async fn rows_are_found_by_their_numbers(database: Database) {
    let store = migrated(&database, &shop()).await;
    let wallets: Vec<_> = (1..=1200).map(|number| wallet(&format!("w{number}"), &format!("u{number}"))).collect();
    store.ingest(history(&wallets, 1), at(1)).await.unwrap();
    store.vanish::<Wallet>(vec!["w7".parse().unwrap()], at(2), None, at(2)).await.unwrap();
    ingest(&store, &[deposit("d")], at(1)).await;

    let found = store.by_row_no::<Wallet>(&[1200, 3, 7, 3, 0, -1, 5000]).await.unwrap();
    assert_eq!(ids(&found), [(3, "w3"), (1200, "w1200")]);
    assert_eq!(found[0].external_id.as_ref().map(|user| user.as_str()), Some("u3"));
    let all: Vec<i64> = (1..=1200).rev().collect();
    let found = store.by_row_no::<Wallet>(&all).await.unwrap();
    assert_eq!(found.len(), 1199);
    assert!(found.is_sorted_by_key(|row| row.row_no));
    assert_eq!(store.by_row_no::<Wallet>(&[]).await.unwrap(), []);
    let expected = Whereabouts { row_no: 1, id: "d".to_owned(), external_id: None };
    assert_eq!(store.by_row_no::<Deposit>(&[1, 2]).await.unwrap(), [expected]);
}

async fn blocked_wallets_and_new_deposits_are_found_in_slices(database: Database) {
    let store = migrated(&database, &shop()).await;
    let of = |number: i32| listed(Wallet { is_blocked: number % 2 == 0, ..wallet(&format!("w{number}"), "u") });
    ingest(&store, &(1..=9).map(of).collect::<Vec<_>>(), at(1)).await;
    let status = |number: i32| if number % 3 == 0 { "paid" } else { "new" }.to_owned();
    let of = |number: i32| noticed(Deposit { status: status(number), ..deposit(&format!("d{number}")) });
    let mut deposits: Vec<_> = (1..=9).map(of).collect();
    // Other words, however alike, are other statuses.
    deposits.extend(
        ["NEW", "new ", "newer", "n"]
            .map(|status| noticed(Deposit { status: status.to_owned(), ..deposit(&format!("odd {status}")) })),
    );
    ingest(&store, &deposits, at(1)).await;
    store.vanish::<Wallet>(vec!["w4".parse().unwrap()], at(2), None, at(2)).await.unwrap();
    store.vanish::<Deposit>(vec!["d2".parse().unwrap()], at(2), None, at(2)).await.unwrap();

    assert_eq!(ids(&store.blocked_wallets(0, 2).await.unwrap()), [(2, "w2"), (6, "w6")]);
    assert_eq!(ids(&store.blocked_wallets(6, 2).await.unwrap()), [(8, "w8")]);
    assert_eq!(ids(&store.blocked_wallets(8, 2).await.unwrap()), []);
    assert_eq!(ids(&store.new_deposits(0, 3).await.unwrap()), [(1, "d1"), (4, "d4"), (5, "d5")]);
    assert_eq!(ids(&store.new_deposits(5, 9).await.unwrap()), [(7, "d7"), (8, "d8")]);
}

/// Asks each database how it would go about it, with the rows that it has.
async fn few_rows_are_found_without_reading_all(database: Database) {
    let store = migrated(&database, &shop()).await;
    let of = |number: i32| {
        listed(Wallet { is_blocked: number % 500 == 0, ..wallet(&format!("w{number}"), &format!("u{number}")) })
    };
    store.ingest(history(&(1..=3000).map(of).collect::<Vec<_>>(), 1), at(1)).await.unwrap();
    let status = |number: i32| if number % 500 == 0 { "new" } else { "paid" }.to_owned();
    let of = |number: i32| noticed(Deposit { status: status(number), ..deposit(&format!("d{number}")) });
    store.ingest(history(&(1..=3000).map(of).collect::<Vec<_>>(), 1), at(1)).await.unwrap();
    for table in ["lumo_user_wallets", "lumo_user_deposits"] {
        let kind = if database.backend() == sea_orm::DbBackend::MySql { "TABLE" } else { "" };
        database.rows(&format!("ANALYZE {kind} {table}")).await;
    }
    let explain = if database.is_sqlite() { "EXPLAIN QUERY PLAN" } else { "EXPLAIN" };
    for (index, query) in [
        ("lumo_user_wallets_missing", "COUNT(*) FROM lumo_user_wallets WHERE missing_since IS NOT NULL"),
        (
            "lumo_user_wallets_blocked",
            "COUNT(*) FROM lumo_user_wallets WHERE is_blocked = TRUE AND missing_since IS NULL",
        ),
        ("lumo_user_deposits_missing", "COUNT(*) FROM lumo_user_deposits WHERE missing_since IS NOT NULL"),
        (
            "lumo_user_deposits_new",
            "id FROM lumo_user_deposits WHERE status = 'new' AND row_no > 5 AND missing_since IS NULL ORDER BY row_no",
        ),
    ] {
        let plan = database.rows(&format!("{explain} SELECT {query}")).await;
        let plan = plan.into_iter().flatten().flatten().collect::<Vec<_>>().join(" ");
        assert!(plan.contains(index), "{query}: {plan}");
    }
}
