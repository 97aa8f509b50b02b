//! A long history: a million events that were delivered, as copies of a few.

use sea_orm::{ConnectionTrait, Database, DatabaseConnection, DbBackend};

/// The events that must be there, …
pub(crate) const BASE: usize = 20_000;
/// … and how often each is there afterwards.
const COPIES: usize = 50;

/// The columns behind the ids.
const EVENT: &str =
    "type, stream, stream_seq, object_kind, object_id, external_id, occurred_at, detected_at, origin, body";
const DELIVERY: &str = "endpoint, state, attempts, next_attempt_at, delivered_at, last_status, last_error, reason, \
                        created_at, lane, hold_until, lease_token, ack_by";
const ATTEMPT: &str = "attempt, started_at, duration_ms, status, error, response_body";

/// Marks everything as delivered and copies it.
pub(crate) async fn fill(url: &str) {
    let database = Database::connect(url).await.unwrap();
    for sql in [
        "UPDATE lumo_deliveries SET state = 'delivered', attempts = 1, next_attempt_at = NULL, lane = NULL, \
         delivered_at = created_at, last_status = 204",
        "INSERT INTO lumo_delivery_attempts (delivery_id, attempt, started_at, duration_ms, status) \
         SELECT id, 1, created_at, 1, 204 FROM lumo_deliveries",
    ] {
        run(&database, sql).await;
    }
    for copy in 1..COPIES {
        let mark: String =
            [copy / 25, copy % 25].iter().map(|part| char::from(b"abcdefghijklmnopqrstuvwxy"[*part])).collect();
        // Two letters in front of an id leave it as random as it was, and behind the ones that it was copied from.
        let (event, delivery) = (format!("'evt_', 'evt_{mark}'"), format!("'dlv_', 'dlv_0{mark}'"));
        for sql in [
            format!(
                "INSERT INTO lumo_events (id, seq, {EVENT}) SELECT REPLACE(id, {event}), seq + {}, {EVENT} \
                 FROM lumo_events WHERE seq <= {BASE}",
                copy * BASE
            ),
            format!(
                "INSERT INTO lumo_deliveries (id, event_id, {DELIVERY}) SELECT REPLACE(id, {delivery}), \
                 REPLACE(event_id, {event}), {DELIVERY} FROM lumo_deliveries WHERE id < 'dlv_00a'"
            ),
            format!(
                "INSERT INTO lumo_delivery_attempts (delivery_id, {ATTEMPT}) SELECT REPLACE(delivery_id, {delivery}), \
                 {ATTEMPT} FROM lumo_delivery_attempts WHERE delivery_id < 'dlv_00a'"
            ),
        ] {
            run(&database, &sql).await;
        }
    }
    // The ids of what comes from now on are behind all of these.
    run(&database, &format!("UPDATE lumo_streams SET last_seq = {} WHERE stream = '*'", COPIES * BASE)).await;
    run(&database, &format!("UPDATE lumo_streams SET last_seq = {} WHERE stream = '*deliveries'", 1_u64 << 60)).await;
    let analyze = match database.get_database_backend() {
        DbBackend::MySql => "ANALYZE TABLE lumo_events, lumo_deliveries, lumo_delivery_attempts",
        _ => "ANALYZE",
    };
    run(&database, analyze).await;
    database.close().await.unwrap();
}

async fn run(database: &DatabaseConnection, sql: &str) {
    database.execute_unprepared(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
}
