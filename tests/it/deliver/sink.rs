//! A sink, from the configuration to the merchant's own table, with kills in between.

use std::time::Duration;

use lumo_simulator::{Quirks, World};
use sea_orm::DbBackend;
use serde_json::json;

use crate::database::{Database, on_each_database};
use crate::world::{PATIENCE, Stage, random_changes, seed};

on_each_database!(
    every_effect_happens_once_and_in_order_whatever_is_killed,
    a_sink_is_checked_and_tried_without_an_effect,
    a_statement_is_given_what_is_known_of_the_deposit,
    a_statement_finds_the_tables_outside_of_the_schema_of_the_bridge,
);

const LEDGER: &str = "INSERT INTO ledger (event_id, stream, sequence) VALUES (:event_id, :stream, :sequence)";

async fn make_ledger(database: &Database) {
    let id = match database.backend() {
        DbBackend::Sqlite => "integer PRIMARY KEY AUTOINCREMENT",
        DbBackend::Postgres => "bigserial PRIMARY KEY",
        _ => "bigint AUTO_INCREMENT PRIMARY KEY",
    };
    // MySQL's text takes users for the same that differ in case or in blanks at the end.
    let stream = if database.backend() == DbBackend::MySql { "varbinary(2880)" } else { "varchar(720)" };
    let columns = format!("event_id varchar(128) NOT NULL, stream {stream} NOT NULL, sequence bigint NOT NULL");
    database.execute(&format!("CREATE TABLE ledger (id {id}, {columns})")).await;
}

async fn every_effect_happens_once_and_in_order_whatever_is_killed(database: Database) {
    let world = World::live(seed());
    world.seed(60, 240);
    let mut stage = Stage::with(database, world.clone(), Quirks::default(), Duration::from_millis(20)).await;
    stage.announce_history();
    stage.settings.set("lumo.page_size", json!(20));
    let sink = json!({ "sink": { "sql": LEDGER, "timeout": "1s" }, "events": ["wallet.*", "deposit.*"] });
    stage.settings.set("callbacks.endpoints.ledger", sink);

    // At first there is nothing to write to, and the changes are stored all the same.
    let bridge = stage.daemon();
    stage.until_imported().await;
    let failed = "SELECT COUNT(*) FROM lumo_deliveries WHERE endpoint = 'ledger' AND last_error IS NOT NULL";
    stage.database.until_at_least(1, PATIENCE, failed).await;
    assert_eq!(stage.database.count("lumo_deliveries", "endpoint = 'ledger' AND state = 'delivered'").await, 0);
    bridge.kill();
    make_ledger(&stage.database).await;

    // Killed while it catches up, and while pages are stored.
    for round in 1..=4 {
        random_changes(&world, 40);
        let bridge = stage.daemon();
        stage.database.until_at_least(40 * round, PATIENCE, "SELECT COUNT(*) FROM ledger").await;
        bridge.kill();
    }
    random_changes(&world, 40);
    let bridge = stage.daemon();
    stage.until_mirrored().await;
    stage.until_delivered().await;
    bridge.stop().await;

    let wanted = "SELECT COUNT(*) FROM lumo_deliveries WHERE endpoint = 'ledger' AND state = 'delivered'";
    let wanted = stage.database.number(wanted).await;
    assert!(wanted >= 300, "{wanted}");
    assert_eq!(stage.database.number("SELECT COUNT(*) FROM ledger").await, wanted);
    assert_eq!(stage.database.number("SELECT COUNT(DISTINCT event_id) FROM ledger").await, wanted);
    let overtaken = "SELECT COUNT(*) FROM ledger a JOIN ledger b ON b.stream = a.stream \
                     WHERE b.sequence > a.sequence AND b.id < a.id";
    assert_eq!(stage.database.number(overtaken).await, 0, "effects of one user are out of order");
    let unlogged = "SELECT COUNT(*) FROM lumo_deliveries d WHERE endpoint = 'ledger' AND NOT EXISTS \
                    (SELECT 1 FROM lumo_delivery_attempts a WHERE a.endpoint = d.endpoint AND a.seq = d.seq AND a.attempt = d.attempts)";
    let skipped = stage.database.count("lumo_deliveries", "endpoint = 'ledger' AND state = 'skipped'").await;
    assert_eq!(stage.database.number(unlogged).await, skipped);
}

async fn a_sink_is_checked_and_tried_without_an_effect(database: Database) {
    make_ledger(&database).await;
    let mut stage = Stage::new(database, World::live(seed())).await;
    let migrated = stage.command(&["migrate", "up"]).await;
    assert_eq!(migrated.status.code(), Some(0), "{migrated:?}");
    stage.settings.set(
        "callbacks.endpoints",
        json!({ "ledger": { "sink": { "sql": LEDGER, "timeout": "2s" }, "events": ["*"] } }),
    );
    let checked = stage.command(&["check", "--json"]).await;
    assert!(checked.stdout.contains("its statement can be prepared"), "{checked:?}");
    let tried = stage.command(&["endpoint", "test", "ledger"]).await;
    assert_eq!(tried.status.code(), Some(0), "{tried:?}");
    assert!(tried.stdout.contains("rolled back"), "{tried:?}");
    assert_eq!(stage.database.number("SELECT COUNT(*) FROM ledger").await, 0);

    stage.settings.set("callbacks.endpoints.ledger.sink.sql", json!(LEDGER.replace("ledger", "ledgre")));
    let checked = stage.command(&["check", "--json"]).await;
    assert!(checked.stdout.contains("the statement failed: ") && checked.stdout.contains("ledgre"), "{checked:?}");
    let tried = stage.command(&["endpoint", "test", "ledger"]).await;
    assert_eq!(tried.status.code(), Some(1), "{tried:?}");
    assert!(tried.stderr.contains("ledgre"), "{tried:?}");
}

async fn a_statement_is_given_what_is_known_of_the_deposit(database: Database) {
    let columns = ["deposit_id", "user_id", "status", "currency", "tx_hash", "address"];
    let texts = columns.map(|column| format!("{column} varchar(128)")).join(", ");
    database.execute(&format!("CREATE TABLE paid ({texts}, amount decimal(40, 18))")).await;
    let mut stage = Stage::new(database, World::live(seed())).await;
    let sql = "INSERT INTO paid VALUES (:object_id, :external_id, :status, :currency, :tx_hash, :address, :amount)";
    let paid = json!({ "sink": { "sql": sql, "timeout": "2s" }, "events": ["deposit.settled"] });
    stage.settings.set("callbacks.endpoints", json!({ "paid": paid }));
    stage.settings.set("lumo.settled_statuses", json!(["confirmed"]));
    let bridge = stage.daemon();
    stage.until_imported().await;
    let id = stage.world.add_deposit_for("bob", "12.500001").unwrap().id;
    stage.until_mirrored().await;
    assert_eq!(stage.database.number("SELECT COUNT(*) FROM paid").await, 0, "the money is not there yet");
    let deposit = stage.world.set_deposit_status(id, "confirmed").unwrap();
    stage.database.until_at_least(1, PATIENCE, "SELECT COUNT(*) FROM paid").await;
    stage.until_delivered().await;
    bridge.stop().await;
    let row = &stage.database.rows(&format!("SELECT {} FROM paid", columns.join(", "))).await[0];
    let row: Vec<&str> = row.iter().map(|cell| cell.as_deref().unwrap()).collect();
    let id = id.to_string();
    assert_eq!(row, [&*id, "bob", "confirmed", "USDT", &deposit.tx_hash, &deposit.to_address]);
    assert_eq!(stage.database.count("paid", "amount = 12.500001").await, 1);
}

async fn a_statement_finds_the_tables_outside_of_the_schema_of_the_bridge(database: Database) {
    database.execute("CREATE TABLE bookings (deposit varchar(128), known bigint)").await;
    let mut stage = Stage::new(database, World::live(seed())).await;
    if stage.database.backend() == DbBackend::Postgres {
        stage.settings.set("database.schema", json!("lumo"));
    }
    // Its own tables as well.
    let sql = "INSERT INTO bookings SELECT :object_id, COUNT(*) FROM lumo_user_deposits";
    let booked = json!({ "sink": { "sql": sql, "timeout": "2s" }, "events": ["deposit.created"] });
    stage.settings.set("callbacks.endpoints", json!({ "bookings": booked }));
    stage.announce_history();
    let migrated = stage.command(&["migrate", "up"]).await;
    assert_eq!(migrated.status.code(), Some(0), "{migrated:?}");
    let checked = stage.command(&["check", "--json"]).await;
    assert!(checked.stdout.contains("its statement can be prepared"), "{checked:?}");
    let tried = stage.command(&["endpoint", "test", "bookings"]).await;
    assert_eq!(tried.status.code(), Some(0), "{tried:?}");

    // The bridge's next statements find its own tables again.
    let bridge = stage.daemon();
    for user in ["ann", "bob"] {
        stage.world.add_deposit_for(user, "12.5").unwrap();
    }
    stage.database.until_at_least(2, PATIENCE, "SELECT COUNT(*) FROM bookings WHERE known > 0").await;
    bridge.stop().await;
}
