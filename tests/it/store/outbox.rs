//! The outbox: numbers without holes in the order of commit, ids that stay, and a delivery for whoever wants one.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use lumo_bridge::model::draft::{Draft, repeated};
use lumo_bridge::model::event::EventType;
use lumo_bridge::model::record::Wallet;
use lumo_bridge::model::subscriber::Order;
use lumo_bridge::store::{Ending, Store, schema};
use tokio::task::JoinSet;

use super::fixture::{at, config, draft, ingest, listed, migrated, publish, shop, subscriber, wallet};
use crate::database::{Database, on_each_database};

on_each_database!(
    numbers_have_no_holes_however_many_publish_at_once,
    whoever_remembers_the_last_number_misses_none,
    an_undone_transaction_takes_no_number,
    an_event_is_published_once,
    ids_of_what_happens_once_survive_a_rebuilt_table_and_others_do_not,
    only_those_who_want_an_event_get_a_delivery,
    a_body_is_stored_as_it_is_sent,
);

const PUBLISHERS: usize = 8;
const ROUNDS: usize = 10;

/// Publishes three events per round, two of them in streams that others write to as well.
async fn publish_rounds(store: Store, publisher: usize) {
    for round in 0..ROUNDS {
        let object = |number: usize| format!("{publisher}-{round}-{number}");
        let drafts = [
            draft(&format!("user:{}", (publisher + round) % 3), &object(0)),
            draft(&format!("user:own{publisher}"), &object(1)),
            draft(&format!("user:{}", round % 3), &object(2)),
        ];
        assert_eq!(publish(&store, &drafts, at(1)).await, 3);
    }
}

/// A store of its own for each task, as another process would have.
async fn publishers(database: &Database) -> JoinSet<()> {
    let first = migrated(database, &shop()).await;
    let mut tasks = JoinSet::new();
    for publisher in 0..PUBLISHERS {
        let store = match publisher % 2 {
            0 => first.clone(),
            _ => Store::open(&config(database), shop()).await.unwrap(),
        };
        tasks.spawn(publish_rounds(store, publisher));
    }
    tasks
}

async fn numbers_have_no_holes_however_many_publish_at_once(database: Database) {
    publishers(&database).await.join_all().await;

    let rows = database.rows("SELECT seq, stream, stream_seq, body FROM lumo_events ORDER BY seq").await;
    assert_eq!(rows.len(), PUBLISHERS * ROUNDS * 3);
    let mut streams: HashMap<String, i64> = HashMap::new();
    for (row, expected) in rows.into_iter().zip(1..) {
        let [seq, stream, stream_seq, body] = row.map_cells();
        assert_eq!(seq, expected.to_string());
        let number = streams.entry(stream.clone()).or_insert(0);
        *number += 1;
        assert_eq!(stream_seq, number.to_string(), "{stream}");
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!((body["sequence"].as_i64(), body["stream"].as_str()), (Some(*number), Some(stream.as_str())));
    }
    assert_eq!(streams.len(), 3 + PUBLISHERS);
    // One delivery each, in the order of the events.
    let sql = "SELECT e.seq FROM lumo_deliveries d JOIN lumo_events e ON e.id = d.event_id ORDER BY d.id";
    let order: Vec<_> = database.rows(sql).await.into_iter().flatten().flatten().collect();
    assert_eq!(order, (1..=PUBLISHERS * ROUNDS * 3).map(|seq| seq.to_string()).collect::<Vec<_>>());
    // Of each lane the first may go, and no other.
    assert_eq!(database.count("lumo_deliveries", "next_attempt_at IS NOT NULL").await, streams.len() as i64);
}

trait Cells {
    fn map_cells<const N: usize>(self) -> [String; N];
}

impl Cells for Vec<Option<String>> {
    fn map_cells<const N: usize>(self) -> [String; N] {
        let cells: Vec<_> = self.into_iter().map(Option::unwrap).collect();
        cells.try_into().unwrap()
    }
}

async fn whoever_remembers_the_last_number_misses_none(database: Database) {
    let mut tasks = publishers(&database).await;
    let mut last = 0;
    while last < (PUBLISHERS * ROUNDS * 3) as i64 {
        let rows = database.rows(&format!("SELECT seq FROM lumo_events WHERE seq > {last} ORDER BY seq")).await;
        for row in rows {
            last += 1;
            assert_eq!(row, [Some(last.to_string())], "a number was committed after a greater one");
        }
        if tasks.is_empty() {
            assert_eq!(database.count("lumo_events", &format!("seq > {last}")).await, 0);
        }
        while let Some(done) = tasks.try_join_next() {
            done.unwrap();
        }
    }
}

async fn an_undone_transaction_takes_no_number(database: Database) {
    let store = migrated(&database, &shop()).await;
    publish(&store, &[draft("user:a", "1")], at(1)).await;
    let work = |tx: lumo_bridge::store::Tx| async move { tx.publish(vec![draft("user:a", "2")], at(1)).await };
    assert_eq!(store.tx_ending("test", Ending::RollBack, work).await.unwrap(), 1);
    publish(&store, &[draft("user:a", "3")], at(1)).await;
    let rows = database.rows("SELECT object_id, seq, stream_seq FROM lumo_events ORDER BY seq").await;
    let rows: Vec<[String; 3]> = rows.into_iter().map(Cells::map_cells).collect();
    assert_eq!(rows, [["1", "1", "1"], ["3", "2", "2"]]);
    assert_eq!(database.number("SELECT COUNT(*) FROM lumo_deliveries").await, 2);
}

async fn an_event_is_published_once(database: Database) {
    let store = migrated(&database, &shop()).await;
    let twice = [draft("user:a", "1"), draft("user:a", "1"), draft("user:b", "2")];
    assert_eq!(publish(&store, &twice, at(1)).await, 2);
    // Whatever else it says, the id is what counts.
    let other = Draft { stream: "user:c".to_owned(), ..draft("user:a", "1") };
    assert_eq!(publish(&store, &[other, draft("user:b", "3")], at(2)).await, 1);
    assert_eq!(publish(&store, &twice, at(3)).await, 0);

    let rows = database.rows("SELECT object_id, stream_seq FROM lumo_events ORDER BY seq").await;
    let rows: Vec<[String; 2]> = rows.into_iter().map(Cells::map_cells).collect();
    assert_eq!(rows, [["1", "1"], ["2", "1"], ["3", "2"]]);
    assert_eq!(database.number("SELECT COUNT(*) FROM lumo_deliveries").await, 3);
}

/// Type and id of every event.
async fn ids(database: &Database) -> Vec<[String; 2]> {
    let sql = format!("SELECT {}, id FROM lumo_events ORDER BY seq", database.quote("type"));
    database.rows(&sql).await.into_iter().map(Cells::map_cells).collect()
}

async fn ids_of_what_happens_once_survive_a_rebuilt_table_and_others_do_not(database: Database) {
    let blocked = listed(Wallet { is_blocked: true, ..wallet("w", "bob") });
    let config = config(&database);
    let mut lives = Vec::new();
    for _ in 0..2 {
        let store = migrated(&database, &shop()).await;
        ingest(&store, &[wallet("w", "bob")], at(0)).await;
        ingest(&store, &[listed(Wallet { created_at: at(9), ..wallet("w2", "bob") })], at(10)).await;
        ingest(&store, std::slice::from_ref(&blocked), at(1000)).await;
        ingest(&store, &[wallet("w", "bob")], at(2000)).await;
        ingest(&store, std::slice::from_ref(&blocked), at(3000)).await;
        lives.push((ids(&database).await, store.generation().await.unwrap().to_owned()));
        store.close().await;
        schema::down(&config, 9).await.unwrap();
    }
    let (first, second) = (&lives[0].0, &lives[1].0);
    let kinds = ["wallet.created", "wallet.replaced", "wallet.blocked", "wallet.unblocked", "wallet.blocked"];
    for life in [first, second] {
        assert_eq!(life.iter().map(|[kind, _]| kind.as_str()).collect::<Vec<_>>(), kinds);
        assert_ne!(life[2][1], life[4][1], "blocked twice is two events");
        assert!(life.iter().all(|[_, id]| id.len() == 30 && id.starts_with("evt_")), "{life:?}");
    }
    assert_eq!(first[..2], second[..2]);
    for number in 2..5 {
        assert_ne!(first[number], second[number]);
    }
    let id = repeated("company", EventType::WalletBlocked, "w", 2, &lives[0].1);
    assert_eq!(first[2][1], id.as_str());
}

async fn only_those_who_want_an_event_get_a_delivery(database: Database) {
    let subscribers = [
        subscriber("all", &["*"], Order::User),
        subscriber("blocks", &["wallet.blocked"], Order::None),
        subscriber("deposits", &["deposit.*"], Order::Endpoint),
        subscriber("unblocked", &["!wallet.blocked", "!deposit.*"], Order::User),
    ];
    let store = migrated(&database, &subscribers).await;
    ingest(&store, &[wallet("w", "bob")], at(0)).await;
    ingest(&store, &[listed(Wallet { is_blocked: true, ..wallet("w", "bob") })], at(1000)).await;
    publish(&store, &[draft("user:bob", "d"), Draft { kind: EventType::SyncStalled, ..draft("sync", "s") }], at(1))
        .await;

    let kind = database.quote("type");
    let sql = format!(
        "SELECT endpoint, {kind}, CASE WHEN lane IS NULL THEN 'none' WHEN lane = '*' THEN 'endpoint' ELSE 'user' END \
         FROM lumo_deliveries d JOIN lumo_events e ON e.id = d.event_id ORDER BY endpoint, seq"
    );
    let rows: Vec<[String; 3]> = database.rows(&sql).await.into_iter().map(Cells::map_cells).collect();
    assert_eq!(
        rows,
        [
            ["all", "wallet.created", "user"],
            ["all", "wallet.blocked", "user"],
            ["all", "deposit.created", "user"],
            ["blocks", "wallet.blocked", "none"],
            ["deposits", "deposit.created", "endpoint"],
            ["unblocked", "wallet.created", "user"],
        ]
    );
    assert_eq!(database.number("SELECT COUNT(*) FROM lumo_events").await, 4, "what nobody wants is an event as well");
}

async fn a_body_is_stored_as_it_is_sent(database: Database) {
    let store = migrated(&database, &shop()).await;
    let sent = Arc::new(AtomicUsize::new(0));
    ingest(&store, &[wallet("w", "bö\"b")], at(0)).await;
    for claimed in super::fixture::claim(&store, "shop", 9, at(1)).await {
        let id = claimed.event_id.as_str();
        let stored = database.value(&format!("SELECT body FROM lumo_events WHERE id = '{id}'")).await;
        assert_eq!(claimed.body, stored);
        assert!(stored.starts_with(&format!(r#"{{"id":"{id}","type":"wallet.created","schema":1,"#)), "{stored}");
        assert_eq!((claimed.event_type.as_str(), claimed.attempts), ("wallet.created", 0));
        sent.fetch_add(1, Ordering::Relaxed);
    }
    assert_eq!(sent.load(Ordering::Relaxed), 1);
}
