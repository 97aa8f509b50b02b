//! From a deposit that appears to the booked money, whatever the server's deposits look like.

use std::time::Duration;

use lumo_simulator::{DepositShape, Order, Quirks, World};
use sea_orm::DbBackend;
use serde_json::{Value, json};

use super::json;
use crate::database::{Database, on_each_database};
use crate::world::{PATIENCE, Stage, eventually, seed};

on_each_database!(a_flat_deposit_is_told_booked_and_reconciled);

/// As floats they are one and the same.
const LARGE: &str = "10.000000000000000001";
const SMALL: &str = "9.999999999999999999";
const COLUMNS: [&str; 7] = ["deposit_id", "external_id", "status", "currency", "tx_hash", "address", "event_id"];
const BOOK: &str = "INSERT INTO bookings VALUES (:object_id, :external_id, :status, :currency, :tx_hash, :address, \
                    :event_id, :amount)";

async fn a_flat_deposit_is_told_booked_and_reconciled(database: Database) {
    Box::pin(told_booked_and_reconciled(database, "plain", DepositShape::Flat)).await;
}

macro_rules! in_each_shape {
    ($($preset:ident has $shape:ident),+ $(,)?) => {
        mod preset {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $preset() {
                    let database = super::Database::sqlite().await;
                    let shape = super::DepositShape::$shape;
                    Box::pin(super::told_booked_and_reconciled(database, stringify!($preset), shape)).await;
                }
            )+
        }
    };
}

// The presets that tell totals, without which a list is never known to be complete, in each shape, dressed and plain.
in_each_shape!(
    extra_fields has Flat,
    hides_blocked has Stringly,
    nested has Nested,
    newest_first has Nested,
);

async fn stage(database: Database, quirks: Quirks) -> Stage {
    let amount = match database.backend() {
        DbBackend::Sqlite => "text",
        _ => "decimal(40, 18)",
    };
    let texts = COLUMNS.map(|column| format!("{column} varchar(128)")).join(", ");
    database.execute(&format!("CREATE TABLE bookings ({texts}, amount {amount})")).await;
    let mut stage = Stage::with(database, World::live(seed()), quirks, Duration::ZERO).await;
    stage.settings.set("lumo.settled_statuses", json!(["confirmed"]));
    stage.add_endpoint("large", "/large", &["deposit.created", "deposit.settled"]);
    stage.settings.set("callbacks.endpoints.large.when", json!("data.object.amount > 10"));
    let books = json!({ "sink": { "sql": BOOK, "timeout": "2s" }, "events": ["deposit.settled"] });
    stage.settings.set("callbacks.endpoints.books", books);
    stage
}

async fn told_booked_and_reconciled(database: Database, preset: &str, shape: DepositShape) {
    let quirks = Quirks::preset(preset).expect("the preset is there");
    assert_eq!(quirks.shape, shape, "{preset}");
    assert_ne!(quirks.order, Order::Scattered, "{preset}");
    let stage = stage(database, quirks).await;
    let bridge = stage.daemon();
    stage.until_imported().await;
    let announced = stage.announced().await;
    // A deposit that does not name its user is the user's of its wallet.
    stage.world.add_wallet("bob");
    stage.until_mirrored().await;

    let deposits = [LARGE, SMALL].map(|amount| (stage.world.add_deposit_for("bob", amount).unwrap().id, amount));
    let created =
        format!("SELECT COUNT(*) FROM lumo_events WHERE {} = 'deposit.created'", stage.database.quote("type"));
    stage.database.until_at_least(2, PATIENCE, &created).await;
    for (id, _) in &deposits {
        stage.world.set_deposit_status(*id, "confirmed").unwrap();
    }
    stage.database.until_at_least(2, PATIENCE, "SELECT COUNT(*) FROM bookings").await;
    let decided = "endpoint = 'large' AND state IN ('delivered', 'filtered')";
    eventually!(PATIENCE, "`when` has decided", stage.database.count("lumo_deliveries", decided).await == 4);
    stage.until_mirrored().await;
    stage.until_delivered().await;
    // What is complete through a later moment is judged.
    stage.until_read_again().await;
    bridge.stop().await;
    stage.assert_told_once_and_in_order(&announced).await;

    for (id, amount) in &deposits {
        assert_told(&stage, &id.to_string(), amount).await;
        let deposit = stage.world.deposit(*id).unwrap();
        let columns = COLUMNS.join(", ");
        let amount_text = stage.database.text("amount");
        let sql = format!("SELECT {columns}, {amount_text} FROM bookings WHERE deposit_id = '{id}'");
        let rows = stage.database.rows(&sql).await;
        assert_eq!(rows.len(), 1, "booked once: {rows:?}");
        let booked: Vec<&str> = rows[0].iter().map(|cell| cell.as_deref().unwrap_or("-")).collect();
        let (hash, address) = (deposit.tx_hash.to_string(), deposit.to_address.to_string());
        assert_eq!(booked[..6], [&*id.to_string(), "bob", "confirmed", "USDT", &hash, &address], "{preset}");
        assert!(booked[6].starts_with("evt_"), "{booked:?}");
        assert_eq!(booked[7], *amount, "to the last digit");
    }
    assert_eq!(stage.database.count("bookings", "1 = 1").await, 2);
    assert_large_alone_was_sent(&stage);
    let deposits = deposits.map(|(id, amount)| (id.to_string(), amount));
    assert_listed(&stage, &deposits).await;
}

/// A deposit was told as it appeared and as it was settled, with its amount to the last digit.
async fn assert_told(stage: &Stage, id: &str, amount: &str) {
    let events: Vec<_> = stage.events().await.into_iter().filter(|event| event.object_id == id).collect();
    let kinds: Vec<&str> = events.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(kinds, ["deposit.created", "deposit.status_changed", "deposit.settled"]);
    for event in &events {
        let body = event.json();
        let object = &body["data"]["object"];
        assert_eq!((&object["amount"], &object["currency"]), (&json!(amount), &json!("USDT")), "{body:#}");
        assert_eq!((&object["external_id"], &body["stream"]), (&json!("bob"), &json!("user:bob")), "{body:#}");
        assert!(object["tx_hash"].is_string() && object["address"].is_string(), "{body:#}");
        assert_eq!(body["data"]["upstream"]["id"], id, "the item as listed: {body:#}");
        assert!(event.body.contains(amount), "as listed, to the last digit: {}", event.body);
    }
    assert_eq!(events[2].json()["data"]["object"]["status"], "confirmed");
}

/// What is more than ten was sent to the endpoint that wants that, and what is less by the last digit was not.
fn assert_large_alone_was_sent(stage: &Stage) {
    let received = stage.receiver.received();
    let sent = received.iter().filter(|request| request.path == "/large").map(|request| {
        let body = request.json().unwrap();
        (request.event_type.clone().unwrap(), body["data"]["object"]["amount"].as_str().unwrap().to_owned())
    });
    let mut sent: Vec<_> = sent.collect();
    sent.sort();
    let expected = ["deposit.created", "deposit.settled"].map(|kind| (kind.to_owned(), LARGE.to_owned()));
    assert_eq!(sent, expected);
}

/// Nothing differs from the books, and the lists show both.
async fn assert_listed(stage: &Stage, deposits: &[(String, &str)]) {
    let agreed = stage.command(&["reconcile", "--against", "SELECT deposit_id, amount FROM bookings"]).await;
    assert_eq!((agreed.status.code(), agreed.stdout.as_str()), (Some(0), ""), "{agreed:?}");
    let words = "nothing differs; settled deposits: 2, bookings: 2;";
    assert!(agreed.stderr.contains(words) && !agreed.stderr.contains("not judged"), "{agreed:?}");

    let csv = stage.command(&["deposit", "list", "--csv", "--settled"]).await;
    let lines: Vec<&str> = csv.stdout.trim_end().split("\r\n").collect();
    assert_eq!(lines.len(), 1 + deposits.len(), "{csv:?}");
    for (id, amount) in deposits {
        let line =
            lines.iter().find(|line| line.starts_with(&format!("{id},"))).unwrap_or_else(|| panic!("{id}: {csv:?}"));
        let deposit = stage.world.deposit(id.parse().unwrap()).unwrap();
        for part in [amount, "bob", "confirmed", "USDT", &*deposit.tx_hash, &*deposit.to_address] {
            assert!(line.contains(&format!(",{part},")), "{part}: {line}");
        }
    }
    let statuses: Value = json(&stage.command(&["deposit", "statuses", "--json"]).await);
    assert_eq!(statuses["statuses"], json!([{ "status": "confirmed", "deposits": 2, "is_settled": true }]));
    assert_eq!(statuses["transitions"][0]["times"], 2, "{statuses:#}");
}
