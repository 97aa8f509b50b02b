//! A long history: a million events that were delivered, as copies of a few.

use sea_orm::{ConnectionTrait, Database, DatabaseConnection, DbBackend};

/// The events that must be there, …
pub(crate) const BASE: usize = 20_000;
/// … and how often each is there afterwards.
const COPIES: usize = 50;

/// The columns behind the id and the number.
const EVENT: &str =
    "type, stream, stream_seq, object_kind, object_id, external_id, occurred_at, detected_at, origin, body";

/// Marks everything as delivered and copies it.
pub(crate) async fn fill(url: &str) {
    let database = Database::connect(url).await.unwrap();
    for copy in 1..COPIES {
        let mark: String =
            [copy / 25, copy % 25].iter().map(|part| char::from(b"abcdefghijklmnopqrstuvwxy"[*part])).collect();
        // Two letters in front of an id leave it as random as it was, and behind the one that it was copied from.
        let sql = format!(
            "INSERT INTO lumo_events (id, seq, {EVENT}) SELECT REPLACE(id, 'evt_', 'evt_{mark}'), seq + {}, {EVENT} \
             FROM lumo_events WHERE seq <= {BASE}",
            copy * BASE
        );
        run(&database, &sql).await;
    }
    let last = COPIES * BASE;
    for sql in [
        "INSERT INTO lumo_delivery_attempts (endpoint, seq, attempt, event_id, started_at, duration_ms, status, result, reason) \
         SELECT n.name, e.seq, 1, e.id, e.detected_at, 1, 204, 'delivered', 'live' \
         FROM lumo_endpoints n CROSS JOIN lumo_events e ORDER BY n.name, e.seq"
            .to_owned(),
        format!("UPDATE lumo_streams SET last_seq = {last} WHERE stream = '*'"),
        format!("UPDATE lumo_positions SET position = {last}"),
    ] {
        run(&database, &sql).await;
    }
    let analyze = match database.get_database_backend() {
        DbBackend::MySql => "ANALYZE TABLE lumo_events, lumo_exceptions, lumo_delivery_attempts",
        _ => "ANALYZE",
    };
    run(&database, analyze).await;
    database.close().await.unwrap();
}

async fn run(database: &DatabaseConnection, sql: &str) {
    database.execute_unprepared(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
}
