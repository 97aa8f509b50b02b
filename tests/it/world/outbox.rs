//! What must be true of events and callbacks once everything is delivered.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use lumo_simulator::{Received, Receiver, Verdict};
use serde_json::Value;

use crate::database::Database;

/// A row of `lumo_events`.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) id: String,
    pub(crate) seq: i64,
    pub(crate) kind: String,
    pub(crate) stream: String,
    pub(crate) stream_seq: i64,
    pub(crate) object_id: String,
    pub(crate) body: String,
}

impl Event {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("an event's body is JSON")
    }

    /// Whether it is about the bridge itself; endpoints that want everything of wallets and deposits do not get those.
    fn is_operational(&self) -> bool {
        ["sync:", "endpoint:"].iter().any(|prefix| self.stream.starts_with(prefix))
    }

    fn version(&self) -> i64 {
        self.json()["data"]["object"]["version"].as_i64().expect("an event tells its object's version")
    }
}

pub(super) async fn events(database: &Database) -> Vec<Event> {
    let sql = format!(
        "SELECT id, seq, {}, stream, stream_seq, object_id, body FROM lumo_events ORDER BY seq",
        database.quote("type")
    );
    let event = |row: Vec<Option<String>>| {
        let mut cells = row.into_iter().map(|cell| cell.expect("no column of an event is null here"));
        let mut next = || cells.next().expect("a cell");
        Event {
            id: next(),
            seq: next().parse().expect("seq is a number"),
            kind: next(),
            stream: next(),
            stream_seq: next().parse().expect("stream_seq is a number"),
            object_id: next(),
            body: next(),
        }
    };
    database.rows(&sql).await.into_iter().map(event).collect()
}

/// Up to which version the changes of each row need no event.
#[derive(Clone, Debug, Default)]
pub(crate) struct Announced(HashMap<String, i64>);

impl Announced {
    pub(super) async fn now(database: &Database) -> Self {
        Self(versions(database).await.into_iter().collect())
    }
}

async fn versions(database: &Database) -> BTreeMap<String, i64> {
    let sql = "SELECT id, version FROM lumo_user_wallets UNION ALL SELECT id, version FROM lumo_user_deposits";
    let rows = database.rows(sql).await.into_iter();
    rows.map(|row| (row[0].clone().unwrap(), row[1].as_deref().unwrap().parse().unwrap())).collect()
}

/// `seq` counts 1, 2, 3 … over all events, `stream_seq` within each stream, and bodies say the same as the columns.
pub(super) fn assert_dense(events: &[Event]) {
    let mut streams: HashMap<&str, i64> = HashMap::new();
    for (event, seq) in events.iter().zip(1..) {
        assert_eq!(event.seq, seq, "events are not dense at {event:?}");
        let last = streams.entry(&event.stream).or_insert(0);
        *last += 1;
        assert_eq!(event.stream_seq, *last, "stream is not dense at {event:?}");
        let body = event.json();
        for (field, column) in [("id", &event.id), ("type", &event.kind), ("stream", &event.stream)] {
            assert_eq!(body[field].as_str(), Some(column.as_str()), "body and column differ: {event:?}");
        }
        assert_eq!(body["sequence"].as_i64(), Some(event.stream_seq), "body and column differ: {event:?}");
        assert_eq!(body["data"]["object"]["id"].as_str(), Some(event.object_id.as_str()), "{event:?}");
    }
}

/// Every version of a row that is not announced yet has one event, a wallet that was blocked at first and a deposit that
/// is settled one more, and nothing else has.
pub(super) async fn assert_one_event_per_change(database: &Database, events: &[Event], announced: &Announced) {
    let mut told: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
    // A wallet that is blocked when it is first seen is two events of one version, and so is a change that settles a deposit.
    let is_second =
        |event: &&Event| event.kind == "deposit.settled" || (event.kind == "wallet.blocked" && event.version() == 1);
    for event in events.iter().filter(|event| !event.is_operational()).filter(|event| !is_second(event)) {
        told.entry(&event.object_id).or_default().push(event.version());
    }
    for (id, version) in versions(database).await {
        let first = announced.0.get(&id).copied().unwrap_or(0) + 1;
        let expected: Vec<i64> = (first..=version).collect();
        let mut found = told.remove(id.as_str()).unwrap_or_default();
        found.sort_unstable();
        assert_eq!(found, expected, "versions of {id} that have an event");
    }
    assert!(told.is_empty(), "events about rows that are not stored: {told:?}");
}

/// The events that the endpoint needs not be told, as a newer one stands for them.
pub(super) async fn replaced_balances(database: &Database, endpoint: &str) -> BTreeSet<String> {
    let sql = format!("SELECT event_id FROM lumo_deliveries WHERE endpoint = '{endpoint}' AND state = 'superseded'");
    database.rows(&sql).await.into_iter().flatten().flatten().collect()
}

/// The receiver accepted every event on this path, verified, as the bytes that are stored, in the order of its stream.
pub(super) fn assert_received(events: &[Event], receiver: &Receiver, path: &str) {
    let received = receiver.received();
    let mut by_id: HashMap<&str, Vec<&Arc<Received>>> = HashMap::new();
    for request in received.iter().filter(|request| request.path == path) {
        assert!(matches!(request.verdict, Verdict::Verified), "{:?}", request.verdict);
        by_id.entry(request.id.as_deref().expect("a callback has an id")).or_default().push(request);
    }
    let known: BTreeSet<&str> = events.iter().map(|event| event.id.as_str()).collect();
    assert_eq!(known.len(), events.len(), "ids of events are distinct");
    for event in events.iter().filter(|event| !event.is_operational()) {
        let requests = by_id.remove(event.id.as_str()).unwrap_or_default();
        assert!(requests.iter().any(|request| request.succeeded()), "never accepted: {event:?}");
        for request in requests {
            let body = String::from_utf8_lossy(&request.body);
            assert_eq!(body, event.body, "the body received is not the one stored");
            assert_eq!(request.header("lumo-event-type"), Some(event.kind.as_str()));
        }
    }
    assert!(by_id.is_empty(), "callbacks about events that are not stored: {:?}", by_id.keys());
    let inversions = receiver.order_violations().inversions;
    assert!(inversions.is_empty(), "out of order: {inversions:#?}");
}
