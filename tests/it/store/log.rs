//! The log: numbers without holes in the order of commit, ids that stay, and who reads which event.

use std::collections::HashMap;

use lumo_bridge::model::draft::{Draft, repeated};
use lumo_bridge::model::event::EventType;
use lumo_bridge::model::record::Wallet;
use lumo_bridge::model::subscriber::Order;
use lumo_bridge::store::{Ending, Store, schema};
use tokio::task::JoinSet;

use super::fixture::{
    at, config, draft, endpoint, ingest, listed, migrated, publish, publish_in, shop, subscriber, wallet,
};
use super::leader::{Leader, PROCESS};
use crate::database::{Database, on_each_database};

on_each_database!(
    numbers_have_no_holes_however_many_publish_at_once,
    whoever_remembers_the_last_number_misses_none,
    an_undone_transaction_takes_no_number,
    an_event_is_published_once,
    ids_of_what_happens_once_survive_a_rebuilt_table_and_others_do_not,
    only_those_who_want_an_event_read_it,
    what_an_endpoint_wants_counts_from_when_it_says_so,
    a_slice_of_the_log_ends_where_the_reader_may_go_on,
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
    // Nothing is written for an endpoint.
    assert_eq!(database.count("lumo_exceptions", "1 = 1").await, 0);
    assert_eq!(database.number("SELECT position FROM lumo_positions").await, 0);
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

/// The types that an endpoint reads from the log, after a number.
async fn read(store: &Store, name: &str, after: i64) -> Vec<String> {
    let slice = store.read_log(&endpoint(name), after, 1_000, 1 << 20).await.unwrap();
    slice.events.into_iter().map(|event| event.kind).collect()
}

async fn only_those_who_want_an_event_read_it(database: Database) {
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
    assert_eq!(read(&store, "all", 0).await, ["wallet.created", "wallet.blocked", "deposit.created"]);
    assert_eq!(read(&store, "blocks", 0).await, ["wallet.blocked"]);
    assert_eq!(read(&store, "deposits", 0).await, ["deposit.created"]);
    assert_eq!(read(&store, "unblocked", 0).await, ["wallet.created"]);
    assert!(read(&store, "stranger", 0).await.is_empty());
    assert_eq!(database.count("lumo_events", "1 = 1").await, 4, "what nobody wants is an event as well");
    // An event about an endpoint, and one that is only told to whom it is replayed.
    for (seq, audience) in [(1, "!all"), (2, "!blocks"), (3, "nobody")] {
        database.execute(&format!("UPDATE lumo_events SET audience = '{audience}' WHERE seq = {seq}")).await;
    }
    assert_eq!(read(&store, "all", 0).await, ["wallet.blocked"]);
    assert!(read(&store, "blocks", 0).await.is_empty() && read(&store, "deposits", 0).await.is_empty());
    assert_eq!(read(&store, "unblocked", 0).await, ["wallet.created"]);
}

async fn what_an_endpoint_wants_counts_from_when_it_says_so(database: Database) {
    let with = |patterns: &[&str]| vec![subscriber("shop", patterns, Order::User)];
    let store = migrated(&database, &with(&["deposit.created"])).await;
    let blocked = |number: i64| {
        let kind = EventType::WalletBlocked;
        Draft { kind, id: repeated("company", kind, "w", number, "generation"), ..draft("user:bob", "w") }
    };
    publish(&store, &[draft("user:bob", "1"), blocked(1)], at(1)).await;
    let store = store.with_subscribers(with(&["wallet.blocked"]));
    store.register_endpoints(PROCESS, at(2)).await.unwrap();
    store.register_endpoints(PROCESS, at(3)).await.unwrap();
    publish(&store, &[draft("user:bob", "2"), blocked(2)], at(4)).await;
    assert_eq!(read(&store, "shop", 0).await, ["deposit.created", "wallet.blocked"], "the first and the last");
    assert_eq!(read(&store, "shop", 1).await, ["wallet.blocked"]);

    // A change that is taken back before anything was published leaves nothing behind.
    let kind = database.quote("type");
    let ranges = format!("SELECT {kind}, from_seq, through_seq FROM lumo_subscriptions ORDER BY from_seq");
    let before = database.rows(&ranges).await;
    for patterns in [&["deposit.created"][..], &["wallet.blocked"]] {
        store.with_subscribers(with(patterns)).register_endpoints(PROCESS, at(5)).await.unwrap();
    }
    publish(&store, &[blocked(3)], at(6)).await;
    assert_eq!(read(&store, "shop", 3).await, ["wallet.blocked", "wallet.blocked"]);
    assert!(database.rows(&ranges).await.len() <= before.len() + 1);

    let without = store.with_subscribers(Vec::new());
    let removed = without.register_endpoints(PROCESS, at(7)).await.unwrap().removed;
    assert_eq!(removed, [endpoint("shop")]);
    publish(&without, &[blocked(4)], at(8)).await;
    assert_eq!(read(&store, "shop", 3).await.len(), 2, "it still gets what there was until then");
}

async fn a_slice_of_the_log_ends_where_the_reader_may_go_on(database: Database) {
    let store = migrated(&database, &[subscriber("shop", &["deposit.*"], Order::None)]).await;
    let empty = store.read_log(&endpoint("shop"), 0, 10, 1).await.unwrap();
    assert_eq!((empty.events.len(), empty.through), (0, 0));
    publish_in(&store, &["a", "b", "c"], at(0)).await;
    publish(&store, &[Draft { kind: EventType::SyncStalled, ..draft("sync", "s") }], at(1)).await;
    let slice = async |after, limit, bytes| {
        let slice = store.read_log(&endpoint("shop"), after, limit, bytes).await.unwrap();
        (slice.events.into_iter().map(|event| event.seq).collect::<Vec<_>>(), slice.through)
    };
    assert_eq!(slice(0, 10, 1 << 20).await, (vec![1, 2, 3], 4), "what nobody wants is passed");
    assert_eq!(slice(0, 2, 1 << 20).await, (vec![1, 2], 2));
    assert_eq!(slice(2, 2, 1 << 20).await, (vec![3], 4));
    assert_eq!(slice(4, 2, 1 << 20).await, (vec![], 4));
    assert!(!slice(0, 10, 1).await.0.is_empty(), "at least one, however large it is");
    // What has a row is not read again.
    let mut leader = Leader::of(&store, "shop", at(2)).await;
    leader.pass(1, at(2), |_| super::leader::Came::RetryAt(at(9))).await;
    assert_eq!(slice(0, 10, 1 << 20).await, (vec![2, 3], 4));
}

async fn a_body_is_stored_as_it_is_sent(database: Database) {
    let store = migrated(&database, &shop()).await;
    ingest(&store, &[wallet("w", "bö\"b")], at(0)).await;
    let read = store.read_log(&endpoint("shop"), 0, 9, 1 << 20).await.unwrap().events;
    let [event] = read.as_slice() else { panic!("{read:?}") };
    let id = event.id.as_str();
    let stored = database.value(&format!("SELECT body FROM lumo_events WHERE id = '{id}'")).await;
    assert_eq!(event.body, stored);
    assert!(stored.starts_with(&format!(r#"{{"id":"{id}","type":"wallet.created","schema":1,"#)), "{stored}");
    assert_eq!((event.kind.as_str(), event.seq), ("wallet.created", 1));
}
