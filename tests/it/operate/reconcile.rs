//! `reconcile`: what is settled and what is booked, on each database, and what no statement may do.

use std::time::{Duration, Instant};

use lumo_bridge::model::reconcile::{Rule, Select};
use lumo_bridge::store::reconcile::{ReconcileError, reconcile as compare};
use lumo_simulator::{Quirks, Total, World};
use sea_orm::DbBackend;
use serde_json::{Value, json};

use super::assert_refused;
use crate::check::{assert_found, found};
use crate::database::{Database, on_each_database};
use crate::world::{Finished, Stage, seed};

on_each_database!(
    every_kind_of_difference_is_told,
    what_agrees_is_said_in_one_sentence,
    no_statement_writes,
    a_float_is_no_amount,
    a_statement_that_does_not_end_is_ended,
    what_is_newer_or_of_a_former_company_is_not_judged,
);

const BOOKED: &str = "SELECT deposit_id, amount FROM bookings";
/// They differ in the last of 18 decimals.
const LISTED: &str = "3.000000000000000001";
const OTHER: &str = "3.000000000000000002";
const UNKNOWN: &str = "00000000-0000-4000-8000-000000000000";

/// A company, and a table of bookings that keeps every digit.
async fn stage(database: Database) -> Stage {
    let (id, amount) = match database.backend() {
        DbBackend::Postgres => ("uuid", "numeric(40, 20)"),
        DbBackend::MySql => ("varchar(64)", "decimal(40, 20)"),
        _ => ("varchar(64)", "text"),
    };
    database.execute(&format!("CREATE TABLE bookings (deposit_id {id}, amount {amount})")).await;
    let mut stage = Stage::new(database, World::live(seed())).await;
    stage.settings.set("lumo.settled_statuses", json!(["confirmed"]));
    stage
}

/// A deposit that is settled as Lumo lists it.
fn settled(stage: &Stage, amount: &str) -> String {
    let id = stage.world.add_deposit_for("bob", amount).unwrap().id;
    stage.world.set_deposit_status(id, "confirmed").unwrap();
    id.to_string()
}

async fn book(stage: &Stage, id: &str, amount: &str) {
    stage.database.execute(&format!("INSERT INTO bookings VALUES ('{id}', '{amount}')")).await;
}

async fn sync(stage: &Stage) {
    let parts = stage.parts().await;
    parts.sync().await;
    parts.store.close().await;
}

async fn reconciled(stage: &Stage, statement: &str, more: &[&str]) -> Finished {
    stage.command(&[&["reconcile", "--against", statement], more].concat()).await
}

async fn every_kind_of_difference_is_told(database: Database) {
    let stage = stage(database).await;
    let (agreed, missing, other) = (settled(&stage, "12.5"), settled(&stage, "7"), settled(&stage, LISTED));
    let pending = stage.world.add_deposit_for("eve", "2").unwrap().id.to_string();
    stage.world.add_deposit_for("eve", "4").unwrap();
    sync(&stage).await;
    for (id, amount) in [(&*agreed, "12"), (&*agreed, "0.50"), (&*other, OTHER), (&*pending, "2"), (UNKNOWN, "1")] {
        book(&stage, id, amount).await;
    }
    stage.database.execute("INSERT INTO bookings VALUES (NULL, '9')").await;
    let null = settled(&stage, "6");
    sync(&stage).await;
    stage.database.execute(&format!("INSERT INTO bookings VALUES ('{null}', NULL)")).await;

    let told = reconciled(&stage, BOOKED, &["--json"]).await;
    assert_eq!(told.status.code(), Some(1), "{told:?}");
    let told: Vec<Value> = told.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |id: Option<&str>| {
        let found: Vec<_> = told.iter().filter(|one| one["deposit_id"].as_str() == id).collect();
        assert_eq!(found.len(), 1, "{id:?}: {told:#?}");
        let text = |member: &str| found[0][member].as_str().unwrap_or("-").to_owned();
        [text("kind"), text("amount"), text("booked"), text("what")].join(" | ")
    };
    assert_eq!(told.len(), 6, "{told:#?}");
    assert_eq!(of(Some(&missing)), "not_booked | 7 | - | settled, not booked");
    assert_eq!(of(Some(&other)), format!("other_amount | {LISTED} | {OTHER} | booked with another amount"));
    assert_eq!(of(Some(&pending)), "not_settled | 2 | 2 | booked, not settled: status new");
    assert_eq!(of(Some(UNKNOWN)), "not_there | - | 1 | booked, no such deposit");
    assert_eq!(of(Some(&null)), "unreadable | 6 | - | the amount of a booking is null");
    assert_eq!(of(None), "unreadable | - | 9 | a booking whose deposit_id is null");
    let ids: Vec<_> = told.iter().filter_map(|one| one["deposit_id"].as_str()).collect();
    assert!(ids.is_sorted(), "{ids:?}");

    let csv = reconciled(&stage, BOOKED, &["--csv"]).await;
    assert_eq!(csv.status.code(), Some(1), "{csv:?}");
    let lines: Vec<_> = csv.stdout.trim_end().split("\r\n").collect();
    assert_eq!(lines[0], "kind,deposit_id,external_id,status,settled_at,amount,booked,bookings,what");
    assert_eq!(lines.len(), 7, "{csv:?}");
    assert!(lines.iter().any(|line| *line == format!("not_there,{UNKNOWN},,,,,1,1,\"booked, no such deposit\"")));

    let table = reconciled(&stage, BOOKED, &[]).await;
    assert_eq!(table.status.code(), Some(1), "{table:?}");
    for words in ["DEPOSIT", "BOOKED", &missing, OTHER, "booked, not settled: status new"] {
        assert!(table.stdout.contains(words), "{words}: {}", table.stdout);
    }
    let words = "differences: 6: settled and not booked 1, booked and not there 1, booked and not settled 1, booked with \
                 another amount 1, not comparable 2; settled deposits: 4, bookings: 7; judged through 20";
    assert!(table.stderr.contains(words), "{}", table.stderr);
}

async fn what_agrees_is_said_in_one_sentence(database: Database) {
    let stage = stage(database).await;
    for amount in ["12.5", "0.000000000000000001"] {
        settled(&stage, amount);
    }
    stage.world.add_deposit_for("eve", "4").unwrap();
    sync(&stage).await;
    let text = stage.database.text("amount");
    for statement in [
        "SELECT id AS deposit_id, amount FROM lumo_user_deposits WHERE status = 'confirmed'",
        "SELECT id AS deposit_id, amount FROM lumo_user_deposits WHERE status = 'confirmed'; -- all of them",
        &format!("SELECT id AS deposit_id, {text} AS amount, 7 AS more FROM lumo_user_deposits WHERE status <> 'new'"),
        "WITH booked AS (SELECT * FROM lumo_user_deposits) SELECT id AS deposit_id, amount FROM booked WHERE status = 'confirmed'",
    ] {
        let told = reconciled(&stage, statement, &[]).await;
        assert_eq!((told.status.code(), told.stdout.as_str()), (Some(0), ""), "{statement}: {told:?}");
        let words = "nothing differs; settled deposits: 2, bookings: 2; judged through 20";
        assert!(told.stderr.contains(words), "{}", told.stderr);
    }
    let empty = reconciled(&stage, "SELECT id AS deposit_id, amount FROM lumo_user_deposits", &["--csv"]).await;
    assert_eq!((empty.status.code(), empty.stdout.lines().count()), (Some(1), 2), "one is not settled: {empty:?}");
    let word = reconciled(&stage, "SELECT id AS deposit_id, 'many' AS amount FROM lumo_user_deposits", &[]).await;
    assert_eq!(word.status.code(), Some(1), "{word:?}");
    assert!(word.stdout.contains("the amount of a booking, `many`, is not a decimal number"), "{word:?}");
}

async fn no_statement_writes(database: Database) {
    let stage = stage(database).await;
    settled(&stage, "1");
    sync(&stage).await;
    book(&stage, UNKNOWN, "1").await;
    let backend = stage.database.backend();
    let mut refused = vec![
        ("DELETE FROM bookings", "begins with DELETE"),
        ("INSERT INTO bookings VALUES (NULL, 1) RETURNING deposit_id, amount", "begins with INSERT"),
        ("ATTACH 'other.db' AS other", "begins with ATTACH"),
        ("PRAGMA query_only = off", "begins with PRAGMA"),
        ("SELECT deposit_id, amount FROM bookings; DELETE FROM bookings", "more than one statement"),
        ("SELECT deposit_id, amount FROM bookings INTO OUTFILE '/tmp/lumo-bridge-out'", "INTO OUTFILE"),
        ("SELECT 1) AS x; --", "brackets"),
        ("SELECT deposit_id AS id, amount AS total FROM bookings", "columns `id`, `total`; it must give `deposit_id`"),
        ("SELECT deposit_id, amount FROM ledger", "the database refuses the statement: "),
        ("SELECT deposit_id, amount FORM bookings", "the database refuses the statement: "),
    ];
    match backend {
        DbBackend::Postgres => {
            let function = "CREATE FUNCTION book() RETURNS integer LANGUAGE plpgsql AS $$ BEGIN DELETE FROM bookings; \
                            RETURN 1; END $$";
            stage.database.execute(function).await;
            stage.database.execute("CREATE SEQUENCE numbers").await;
            refused.extend([
                ("SELECT deposit_id, book() AS amount FROM bookings", "the statement writes, and may only read"),
                ("SELECT deposit_id, nextval('numbers') AS amount FROM bookings", "the statement writes"),
                ("SELECT deposit_id, amount FROM bookings FOR UPDATE", "the statement writes"),
                ("WITH d AS (DELETE FROM bookings RETURNING *) SELECT * FROM d", "the database refuses"),
                ("SELECT deposit_id, pg_sleep(1), amount INTO copy FROM bookings", "the database refuses"),
            ]);
        }
        DbBackend::MySql => {
            let function = "CREATE FUNCTION book() RETURNS integer NOT DETERMINISTIC MODIFIES SQL DATA BEGIN \
                            DELETE FROM bookings; RETURN 1; END";
            stage.database.execute(function).await;
            refused.extend([
                ("SELECT deposit_id, book() AS amount FROM bookings", "the statement writes, and may only read"),
                ("SELECT 1 /*! + 1 */", "`/*!`"),
            ]);
        }
        _ => refused.extend([
            ("SELECT 1 AS deposit_id, load_extension('x') AS amount", "the database refuses"),
            ("WITH a AS (SELECT 1) DELETE FROM bookings", "the database refuses"),
        ]),
    }
    for (statement, words) in refused {
        let told = reconciled(&stage, statement, &["--csv"]).await;
        assert_refused(&told, 2, &[words]);
        assert_eq!(told.stdout, "", "{statement}");
        assert_eq!(stage.database.count("bookings", "amount IS NOT NULL").await, 1, "{statement}");
    }
}

async fn a_float_is_no_amount(database: Database) {
    let stage = stage(database).await;
    let id = settled(&stage, "12.5");
    sync(&stage).await;
    let backend = stage.database.backend();
    let kinds = match backend {
        DbBackend::Postgres => &["real", "double precision", "rough"][..],
        DbBackend::MySql => &["float", "double"],
        // A number with an affinity is kept as a float there.
        _ => &["real", "decimal(30, 6)"],
    };
    if backend == DbBackend::Postgres {
        stage.database.execute("CREATE DOMAIN rough AS double precision").await;
    }
    for (at, kind) in kinds.iter().enumerate() {
        stage.database.execute(&format!("CREATE TABLE rough{at} (deposit_id varchar(64), amount {kind})")).await;
        stage.database.execute(&format!("INSERT INTO rough{at} VALUES ('{id}', '12.5')")).await;
        let told = reconciled(&stage, &format!("SELECT deposit_id, amount FROM rough{at}"), &["--json"]).await;
        assert_refused(&told, 2, &["is a float (", "cast it to text or numeric"]);
        assert_eq!(told.stdout, "", "{kind}");
        let cast = stage.database.text("amount");
        let told = reconciled(&stage, &format!("SELECT deposit_id, {cast} AS amount FROM rough{at}"), &[]).await;
        assert_eq!(told.status.code(), Some(0), "{kind}: {told:?}");
    }
}

async fn a_statement_that_does_not_end_is_ended(database: Database) {
    let stage = stage(database).await;
    let parts = stage.parts().await;
    parts.store.close().await;
    let endless = match stage.database.backend() {
        DbBackend::Postgres => "SELECT 'a' AS deposit_id, pg_sleep(60)::text AS amount",
        DbBackend::MySql => "SELECT 'a' AS deposit_id, SLEEP(60) AS amount",
        _ => {
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i AS deposit_id, i AS amount FROM n"
        }
    };
    let (select, begun) = (Select::parse(endless).unwrap(), Instant::now());
    let rule = Rule { through: parts.clock.now(), statuses: Vec::new() };
    let limit = Duration::from_secs(1);
    let compared = compare(&parts.config.database, &select, rule, limit, |found| panic!("{found:?}")).await;
    assert!(matches!(compared, Err(ReconcileError::OutOfTime)), "{compared:?}");
    assert!(begun.elapsed() < Duration::from_secs(30), "by the database: {:?}", begun.elapsed());
    let running = match stage.database.backend() {
        DbBackend::Postgres => {
            "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'active' AND query LIKE \
             '%pg_sleep(60)%' AND pid <> pg_backend_pid()"
        }
        DbBackend::MySql => {
            "SELECT COUNT(*) FROM information_schema.processlist WHERE db = DATABASE() AND info LIKE '%SLEEP(60)%' AND id \
             <> CONNECTION_ID()"
        }
        _ => return,
    };
    assert_eq!(stage.database.number(running).await, 0, "it goes on");
}

async fn what_is_newer_or_of_a_former_company_is_not_judged(database: Database) {
    let stage = stage(database).await;
    let (old, former) = (settled(&stage, "1"), settled(&stage, "2"));
    tokio::time::sleep(Duration::from_millis(20)).await;
    let newer = settled(&stage, "3");
    sync(&stage).await;
    book(&stage, &former, "20").await;
    let before = reconciled(&stage, BOOKED, &["--csv"]).await;
    for id in [&old, &former, &newer] {
        assert!(before.stdout.contains(&**id), "{id}: {before:?}");
    }

    let through = format!("SELECT created_at FROM lumo_user_deposits WHERE id = '{newer}'");
    let moved = format!("UPDATE lumo_sync_state SET complete_through = ({through}) WHERE listing = 'deposits'");
    stage.database.execute(&moved).await;
    let set_apart = format!("UPDATE lumo_user_deposits SET former_company_id = 'another' WHERE id = '{former}'");
    stage.database.execute(&set_apart).await;
    let told = reconciled(&stage, BOOKED, &["--csv"]).await;
    assert_eq!(told.status.code(), Some(1), "{told:?}");
    assert!(told.stdout.contains(&old) && !told.stdout.contains(&former) && !told.stdout.contains(&newer), "{told:?}");
    for words in ["newer deposits, not judged: 1", "of a former company, not judged: 1", "settled deposits: 1,"] {
        assert!(told.stderr.contains(words), "{words}: {}", told.stderr);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_judged_says_why() {
    let mut stage = stage(Database::sqlite().await).await;
    let migrated = stage.command(&["migrate", "up"]).await;
    assert_eq!(migrated.status.code(), Some(0), "{migrated:?}");
    let unread = reconciled(&stage, BOOKED, &[]).await;
    assert_refused(&unread, 1, &["the deposits were never read completely", "`lumo-bridge sync deposits`"]);
    assert_refused(&reconciled(&stage, BOOKED, &["--csv", "--json"]).await, 2, &["`--csv` and `--json`"]);
    assert_refused(&reconciled(&stage, "", &[]).await, 2, &["--against: the statement is empty"]);
    stage.settings.set("lumo.settled_statuses", json!([]));
    let unnamed = reconciled(&stage, BOOKED, &[]).await;
    assert_refused(&unnamed, 2, &["`lumo.settled_statuses` names none", "deposit statuses"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_no_total_is_told_nobody_is_sent_to_read_again() {
    let quirks = Quirks { total: Total::Missing, ..Quirks::default() };
    let mut stage = Stage::with(Database::sqlite().await, World::live(seed()), quirks, Duration::ZERO).await;
    stage.settings.set("lumo.settled_statuses", json!(["confirmed"]));
    settled(&stage, "12.5");
    let read = stage.command(&["sync", "deposits"]).await;
    assert_eq!(read.status.code(), Some(1), "{read:?}");
    let unproved = reconciled(&stage, BOOKED, &[]).await;
    let words = ["never read completely: the server told no total", "`lumo-bridge deposit list --settled`"];
    assert_refused(&unproved, 1, &words);
    assert!(!unproved.stderr.contains("sync"), "{unproved:?}");
    let status = stage.command(&["status"]).await.stdout;
    assert!(status.contains("hint: reading it again proves no more; `lumo-bridge check`"), "{status}");
    let checked = found(&stage, &[], 0).await;
    assert_found(&checked, "total", "warn", "no list is ever proved", "`reconcile` judges nothing");
}
