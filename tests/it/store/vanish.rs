//! What becomes of each record: known, held, stale, missing, and back again.

use std::collections::HashSet;

use lumo_bridge::model::record::{Deposit, Wallet};
use lumo_bridge::store::{Batch, Fate, Regressions, Store};
use serde_json::{Value, json};

use super::fixture::{at, deposit, ingest, kinds, listed, migrated, noticed, page, shop, wallet};
use crate::database::{Database, on_each_database};

on_each_database!(
    a_regression_is_held_until_it_is_confirmed,
    each_record_learns_its_fate,
    of_an_id_that_repeats_the_last_counts,
    what_vanishes_stays_and_says_since_when,
    what_changed_after_the_last_look_does_not_vanish,
    what_vanished_and_is_listed_again_is_back_at_once,
);

async fn a_regression_is_held_until_it_is_confirmed(database: Database) {
    let store = migrated(&database, &shop()).await;
    let blocked = listed(Wallet { is_blocked: true, ..wallet("w", "bob") });
    let paid = noticed(Deposit { status: "paid".to_owned(), ..deposit("d") });
    ingest(&store, std::slice::from_ref(&blocked), at(1)).await;
    ingest(&store, std::slice::from_ref(&paid), at(1)).await;

    let unblocked =
        || Batch { regressions: Regressions::HoldUnless(HashSet::new()), ..page(&[wallet("w", "bob")], at(100)) };
    let reopened = || Batch { regressions: Regressions::HoldUnless(HashSet::new()), ..page(&[deposit("d")], at(100)) };
    for _ in 0..2 {
        let caused = store.ingest(unblocked(), at(100)).await.unwrap();
        assert_eq!((caused.fates.as_slice(), caused.changed, caused.events), (&[Fate::Held][..], 0, 0));
        assert_eq!(store.ingest(reopened(), at(100)).await.unwrap().fates, [Fate::Held]);
    }
    assert!(store.wallet(&blocked.id).await.unwrap().unwrap().is_blocked);

    let confirmed = Regressions::HoldUnless(HashSet::from([blocked.id.clone()]));
    let caused = store.ingest(Batch { regressions: confirmed, ..unblocked() }, at(130)).await.unwrap();
    assert_eq!((caused.fates.as_slice(), caused.changed), (&[Fate::Changed][..], 1));
    let confirmed = Regressions::HoldUnless(HashSet::from([paid.id.clone()]));
    store.ingest(Batch { regressions: confirmed, ..reopened() }, at(130)).await.unwrap();
    let expected =
        ["wallet.created", "wallet.blocked", "deposit.created", "wallet.unblocked", "deposit.status_changed"];
    assert_eq!(kinds(&database).await, expected);
}

async fn each_record_learns_its_fate(database: Database) {
    let store = migrated(&database, &shop()).await;
    let blocked = |id: &str| listed(Wallet { is_blocked: true, ..wallet(id, id) });
    ingest(&store, &[wallet("known", "known"), blocked("held"), wallet("changed", "changed")], at(1)).await;
    ingest(&store, &[wallet("stale", "stale")], at(60)).await;
    let records = [
        listed(Wallet { address: Some("T".to_owned()), ..wallet("stale", "stale") }),
        wallet("known", "known"),
        wallet("new", "new"),
        wallet("held", "held"),
        blocked("changed"),
    ];
    let expected = [Fate::Stale, Fate::Known, Fate::Appeared, Fate::Held, Fate::Changed];
    let heads = store.heads(&records.iter().collect::<Vec<_>>(), None).await.unwrap();
    assert_eq!(heads.iter().flatten().count(), 4);
    for heads in [Some(heads), None] {
        let batch = Batch {
            heads,
            ending: lumo_bridge::store::Ending::RollBack,
            regressions: Regressions::HoldUnless(HashSet::new()),
            ..page(&records, at(50))
        };
        assert_eq!(store.ingest(batch, at(61)).await.unwrap().fates, expected);
    }
}

async fn of_an_id_that_repeats_the_last_counts(database: Database) {
    let store = migrated(&database, &shop()).await;
    let with = |address: &str| listed(Wallet { address: Some(address.to_owned()), ..wallet("w", "bob") });
    let caused = ingest(&store, &[with("1"), wallet("other", "eve"), with("2"), with("3")], at(1)).await;
    assert_eq!((caused.appeared, caused.fates.as_slice()), (2, &[Fate::Appeared; 4][..]));
    assert_eq!(store.wallet(&"w".parse().unwrap()).await.unwrap().unwrap().address.as_deref(), Some("3"));
    let caused = ingest(&store, &[with("1"), with("3")], at(1000)).await;
    assert_eq!((caused.changed, caused.fates.as_slice()), (0, &[Fate::Known; 2][..]));
    let caused = ingest(&store, &[with("3"), with("4")], at(1000)).await;
    assert_eq!((caused.changed, caused.fates.as_slice()), (1, &[Fate::Changed; 2][..]));
}

async fn last_body(database: &Database) -> Value {
    let sql = "SELECT body FROM lumo_events WHERE seq = (SELECT MAX(seq) FROM lumo_events)";
    serde_json::from_str(&database.value(sql).await).unwrap()
}

async fn gone<R: lumo_bridge::store::Publishes>(store: &Store, ids: &[&str], read_at: i64, now: i64) -> u64
where
    R::Id: std::str::FromStr<Err: std::fmt::Debug>,
{
    let ids = ids.iter().map(|id| id.parse().unwrap()).collect();
    store.vanish::<R>(ids, at(read_at), None, at(now)).await.unwrap()
}

async fn what_vanishes_stays_and_says_since_when(database: Database) {
    let store = migrated(&database, &shop()).await;
    ingest(&store, &[wallet("w1", "bob"), wallet("w2", "eve"), wallet("w3", "joe")], at(1)).await;
    let of_bob = noticed(Deposit { external_id: Some("bob".parse().unwrap()), ..deposit("d") });
    ingest(&store, &[of_bob], at(1)).await;

    assert_eq!(gone::<Wallet>(&store, &["w1", "w3", "unknown", "w1"], 5, 10).await, 2);
    assert_eq!(gone::<Wallet>(&store, &["w1", "w3"], 15, 20).await, 0, "it was missing already");
    assert_eq!(gone::<Wallet>(&store, &[], 15, 20).await, 0);
    let row = store.wallet(&"w1".parse().unwrap()).await.unwrap().unwrap();
    assert_eq!((row.version, row.missing_since, row.changed_at), (2, Some(at(10)), at(10)));
    assert_eq!((row.first_seen_at, row.row_no, &*row.raw), (at(1), 1, &*wallet("w1", "bob").raw));

    assert_eq!(gone::<Deposit>(&store, &["d"], 5, 10).await, 1);
    let body = last_body(&database).await;
    assert_eq!((&body["type"], &body["stream"]), (&json!("deposit.missing"), &json!("user:bob")));
    let since = json!({ "missing_since": { "from": null, "to": body["timestamp"] } });
    assert_eq!((&body["data"]["object"]["version"], &body["data"]["changes"]), (&json!(2), &since));
    assert_eq!(kinds(&database).await[4..], ["wallet.missing", "wallet.missing", "deposit.missing"]);
    assert_eq!(database.count("lumo_deliveries", "1 = 1").await, 7);
}

async fn what_changed_after_the_last_look_does_not_vanish(database: Database) {
    let store = migrated(&database, &shop()).await;
    ingest(&store, &[wallet("w", "bob")], at(1)).await;
    ingest(&store, &[listed(Wallet { is_blocked: true, ..wallet("w", "bob") })], at(100)).await;
    assert_eq!(gone::<Wallet>(&store, &["w"], 99, 200).await, 0);
    assert_eq!(gone::<Wallet>(&store, &["w"], 100, 200).await, 1);
}

async fn what_vanished_and_is_listed_again_is_back_at_once(database: Database) {
    let store = migrated(&database, &shop()).await;
    let blocked = listed(Wallet { is_blocked: true, ..wallet("w", "bob") });
    ingest(&store, std::slice::from_ref(&blocked), at(1)).await;
    for round in 1..=2 {
        let now = round * 1000;
        assert_eq!(gone::<Wallet>(&store, &["w"], now, now).await, 1);
        let held = Regressions::HoldUnless(HashSet::new());
        // A page that was asked for before it was found missing proves nothing.
        let stale = Batch { regressions: held.clone(), ..page(std::slice::from_ref(&blocked), at(now - 1)) };
        assert_eq!(store.ingest(stale, at(now + 1)).await.unwrap().fates, [Fate::Stale]);
        let batch = Batch { regressions: held, ..page(std::slice::from_ref(&blocked), at(now + 2)) };
        assert_eq!(store.ingest(batch, at(now + 2)).await.unwrap().fates, [Fate::Changed]);
        let row = store.wallet(&blocked.id).await.unwrap().unwrap();
        assert_eq!((row.version, row.missing_since, row.row_no), (round * 2 + 1, None, 1));
    }
    let expected = ["wallet.missing", "wallet.updated", "wallet.missing", "wallet.updated"];
    assert_eq!(kinds(&database).await[2..], expected);
    assert_eq!(last_body(&database).await["data"]["changes"]["missing_since"]["to"], Value::Null);
}
