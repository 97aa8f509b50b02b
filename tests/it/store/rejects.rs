//! Items that could not be read: kept, announced once, counted as listed, and let go.

use lumo_bridge::model::Listing;
use lumo_bridge::model::record::Reject;
use lumo_bridge::model::subscriber::Order;
use lumo_bridge::store::{Batch, Checkpoint, KeptRejects, MAX_REJECTS, RejectFilter, Store};

use super::fixture::{at, deposit, ingest, migrated, page, subscriber};
use crate::database::{Database, on_each_database};

on_each_database!(
    an_item_that_cannot_be_read_is_kept_and_announced_once_for_each_content,
    a_kept_item_counts_as_listed_until_it_can_be_read_or_is_gone,
    kept_items_are_listed_page_by_page,
);

pub(super) fn reject(id: &str, content: &str) -> Reject {
    let raw = format!(r#"{{"id":"{id}","externalId":"{content}\u0000"}}"#);
    let problem = "contains a control character".to_owned();
    Reject::new(3, Some(id.to_owned()), &raw, "externalId".to_owned(), problem)
}

async fn keep(store: &Store, rejects: &[Reject], seconds: i64) -> KeptRejects {
    store.keep_rejects(Listing::Deposits, rejects, None, at(seconds)).await.unwrap()
}

fn news(keys: &[&str]) -> KeptRejects {
    KeptRejects { news: keys.iter().map(|key| (*key).to_owned()).collect(), refused: 0 }
}

async fn an_item_that_cannot_be_read_is_kept_and_announced_once_for_each_content(database: Database) {
    let names = [subscriber("ops", &["sync.item_rejected"], Order::User), subscriber("shop", &["*"], Order::User)];
    let store = migrated(&database, &names).await;
    let nameless = Reject::new(0, None, "[]", "item".to_owned(), "is not a JSON object".to_owned());
    assert_eq!(keep(&store, &[reject("d1", "a"), nameless.clone()], 0).await, news(&[&nameless.key, "d1"]));
    assert_eq!(keep(&store, &[reject("d1", "a"), nameless], 100).await, news(&[]));
    assert_eq!(keep(&store, &[reject("d1", "b")], 200).await, news(&["d1"]), "it has changed");
    // What was announced is not announced again.
    assert_eq!(keep(&store, &[reject("d1", "a")], 300).await, news(&["d1"]));

    let rows = store.list_rejects(&RejectFilter { limit: 10, ..RejectFilter::default() }).await.unwrap();
    let [unnamed, named] = rows.as_slice() else { panic!("{rows:?}") };
    assert_eq!((unnamed.id.as_deref(), unnamed.reason.as_str()), (None, "item is not a JSON object"));
    assert_eq!((named.id.as_deref(), named.reason.as_str()), (Some("d1"), "externalId contains a control character"));
    assert_eq!((named.first_seen_at, named.last_seen_at, &named.raw), (at(0), at(300), &reject("d1", "a").raw));
    assert_eq!((unnamed.last_seen_at, unnamed.listing.as_str()), (at(100), "deposits"));

    let events = database.rows("SELECT body FROM lumo_events ORDER BY seq").await;
    let bodies: Vec<serde_json::Value> =
        events.into_iter().flatten().flatten().map(|body| serde_json::from_str(&body).unwrap()).collect();
    bodies.iter().for_each(crate::generated::assert_published);
    let told = |body: &serde_json::Value| body["data"]["object"]["id"].as_str().unwrap().to_owned();
    assert_eq!(bodies.iter().map(told).collect::<Vec<_>>(), [unnamed.item.as_str(), "d1", "d1"]);
    assert_eq!((&bodies[0]["type"], &bodies[0]["stream"]), (&"sync.item_rejected".into(), &"sync:deposits".into()));
    assert_eq!(database.count("lumo_deliveries", "endpoint = 'ops'").await, 3);
    assert_eq!(database.count("lumo_deliveries", "endpoint = 'shop'").await, 0, "only for those that name it");
}

async fn a_kept_item_counts_as_listed_until_it_can_be_read_or_is_gone(database: Database) {
    let store = migrated(&database, &[]).await;
    let listed = async || store.row_counts(Listing::Deposits).await.unwrap().listed;
    ingest(&store, &[deposit("d1"), deposit("d2")], at(0)).await;
    keep(&store, &[reject("d2", "a"), reject("d3", "a"), reject("d2", "b").apart()], 1).await;
    // `d2` is stored as it was when it could be read; another item that has its id is one more.
    assert_eq!((listed().await, store.rejects(Listing::Deposits).await.unwrap()), (4, 3));
    assert_eq!(store.row_counts(Listing::Wallets).await.unwrap().listed, 0);

    // It can be read now: the row is stored and the kept item goes, both or none.
    let readable = ["d2", "d3"].map(|id| (Listing::Deposits, id.to_owned())).to_vec();
    let checkpoint = Checkpoint { readable, ..Checkpoint::default() };
    let batch = Batch { checkpoint, ..page(&[deposit("d2"), deposit("d3")], at(2)) };
    let caused = store.ingest(batch, at(2)).await.unwrap();
    assert_eq!((caused.appeared, caused.events, listed().await), (1, 1, 4));
    assert_eq!(store.rejects(Listing::Deposits).await.unwrap(), 1);

    assert_eq!(store.forget_rejects(Listing::Deposits, at(1), None).await.unwrap(), 0, "it was seen then");
    assert_eq!(store.forget_rejects(Listing::Wallets, at(9), None).await.unwrap(), 0);
    assert_eq!(store.forget_rejects(Listing::Deposits, at(9), None).await.unwrap(), 1);
    assert_eq!((listed().await, store.known_rejects().await.unwrap().len()), (3, 0));
}

async fn kept_items_are_listed_page_by_page(database: Database) {
    let store = migrated(&database, &[]).await;
    for listing in Listing::ALL {
        let rejects = ["b", "a"].map(|id| reject(id, "x"));
        store.keep_rejects(listing, &rejects, None, at(0)).await.unwrap();
    }
    let (mut after, mut found) = (None, Vec::new());
    loop {
        let filter = RejectFilter { listing: None, after: after.clone(), limit: 1 };
        let Some(row) = store.list_rejects(&filter).await.unwrap().pop() else { break };
        found.push(format!("{}/{}", row.listing, row.item));
        after = Some((row.listing.parse().unwrap(), row.item));
    }
    assert_eq!(found, ["blocked/a", "blocked/b", "deposits/a", "deposits/b", "wallets/a", "wallets/b"]);
    let only = RejectFilter { listing: Some(Listing::Blocked), limit: 9, ..RejectFilter::default() };
    assert_eq!(store.list_rejects(&only).await.unwrap().len(), 2);
}

#[tokio::test]
async fn there_is_room_for_so_many_and_no_more() {
    let database = Database::sqlite().await;
    let store = migrated(&database, &[]).await;
    let many: Vec<Reject> = (0..MAX_REJECTS + 2).map(|number| reject(&format!("d{number:05}"), "x")).collect();
    assert_eq!(keep(&store, &many, 0).await.refused, 2);
    assert_eq!(store.rejects(Listing::Deposits).await.unwrap(), MAX_REJECTS);
}
