//! `check` tries all that a daemon does to the tables, and `run` refuses to start where it could not do it.

use lumo_simulator::World;
use serde_json::json;

use super::{Nobody, assert_found, found};
use crate::database::{Database, on_each_database};
use crate::world::{Announced, Stage, random_changes, seed, servers};

on_each_database!(what_check_tries_leaves_nothing_behind);

/// Asserts that `check` and `run` say this sentence, once and with nothing beside it, and `run` ends.
async fn assert_refused(stage: &Stage, sentence: &str) {
    assert_found(&found(stage, &[], 1).await, "tables", "fail", sentence, "");
    let text = stage.command(&["check"]).await.stdout;
    let (before, after) = text.split_once(&format!("fail tables: {sentence}\n")).unwrap_or_else(|| panic!("{text}"));
    assert!(!after.trim_start().starts_with("hint"), "{text}");
    assert!(!before.contains(sentence) && !after.contains(sentence), "{text}");

    let finished = stage.command(&["run"]).await;
    assert_eq!(finished.status.code(), Some(1), "{finished:?}");
    let said: Vec<&str> = finished.stderr.lines().filter(|line| line.contains(sentence)).collect();
    assert_eq!(said, [format!("error: the daemon cannot work with this database: {sentence}")], "{finished:?}");
    assert!(!finished.stderr.contains("hint"), "{finished:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_whose_encoding_lacks_characters_is_refused() {
    let stage = Stage::new(Database::postgres_in_latin1().await, World::live(seed())).await;
    let sentence = "the encoding of the database lacks characters that names have, emoji among them; make a database \
                    with `ENCODING 'UTF8' TEMPLATE template0` and name it in `database.url`";
    // The first time there are no tables, the second time there are.
    for _ in 0..2 {
        assert_refused(&stage, sentence).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_binary_log_of_statements_is_refused() {
    let Some(server) = servers::mariadb(&["--log-bin=log", "--binlog-format=STATEMENT"]).await else { return };
    let stage = Stage::new(Database::on_mariadb(server.addr()).await, World::live(seed())).await;
    let sentence = "the server's `binlog_format` is STATEMENT, which takes no writes at the isolation level READ \
                    COMMITTED; set `binlog_format = ROW` (or MIXED) in the server's configuration, and connect anew";
    for _ in 0..2 {
        assert_refused(&stage, sentence).await;
    }
    stage.database.execute("SET GLOBAL binlog_format = ROW").await;
    assert_found(&found(&stage, &[], 0).await, "tables", "ok", "up to date", "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_refuses_updates_without_a_key_is_worked_with() {
    let Some(server) = servers::mariadb(&["--sql-safe-updates=1"]).await else { return };
    let world = World::live(seed());
    world.seed(20, 40);
    let mut stage = Stage::new(Database::on_mariadb(server.addr()).await, world.clone()).await;
    assert_eq!(stage.database.value("SELECT @@GLOBAL.sql_safe_updates + 0").await, "1");
    stage.announce_history();
    let bridge = stage.daemon();
    stage.until_imported().await;
    random_changes(&world, 30);
    stage.until_read_again().await;
    stage.until_mirrored().await;
    stage.until_delivered().await;
    stage.assert_told_once_and_in_order(&Announced::default()).await;
    bridge.stop().await;
    assert_found(&found(&stage, &[], 0).await, "tables", "ok", "all that a daemon does to them was tried", "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_right_to_tables_that_is_missing_is_found_on_postgres() {
    let mut stage = Stage::new(Database::postgres().await, World::live(seed())).await;
    assert_eq!(stage.command(&["migrate", "up"]).await.status.code(), Some(0));
    let nobody = Nobody::new(&stage.database, "CREATE ROLE NAME LOGIN PASSWORD 'hush'").await;
    let (url, name) = (nobody.url(), nobody.name.clone());
    let grant = "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO";
    stage.database.execute(&format!("{grant} {name}; REVOKE DELETE ON lumo_sync_blocks FROM {name}")).await;
    stage.settings.set("database.url", url);
    let sentence = "the database's user may not do all that a daemon does: permission denied for table \
                    lumo_sync_blocks; grant it SELECT, INSERT, UPDATE and DELETE on every lumo_ table";
    assert_refused(&stage, sentence).await;
    stage.database.execute(&format!("{grant} {name}")).await;
    assert_found(&found(&stage, &[], 0).await, "tables", "ok", "up to date", "");

    let tables = "SELECT string_agg(tablename, ' ') FROM pg_tables WHERE schemaname = 'public' \
                  AND tablename <> 'lumo_migrations'";
    for table in stage.database.value(tables).await.split(' ') {
        stage.database.execute(&format!("REVOKE INSERT ON {table} FROM {name}")).await;
        let refusal = format!("permission denied for table {table};");
        assert_found(&found(&stage, &[], 1).await, "tables", "fail", &refusal, "");
        stage.database.execute(&format!("{grant} {name}")).await;
    }
    stage.database.execute(&format!("DROP OWNED BY {name}; DROP ROLE {name}")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_of_connections_that_is_reached_is_named() {
    let mut stage = Stage::new(Database::postgres().await, World::live(seed())).await;
    let nobody = Nobody::new(&stage.database, "CREATE ROLE NAME LOGIN PASSWORD 'hush' CONNECTION LIMIT 0").await;
    let (url, name) = (nobody.url(), nobody.name.clone());
    stage.settings.set("database.url", url);
    let (words, hint) = ("too many connections for role", "raise the limit of the server, database or user");
    assert_found(&found(&stage, &[], 1).await, "database", "fail", words, hint);
    stage.database.execute(&format!("DROP ROLE {name}")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_right_to_tables_that_is_missing_is_found_on_mariadb() {
    let mut stage = Stage::new(Database::mariadb().await, World::live(seed())).await;
    assert_eq!(stage.command(&["migrate", "up"]).await.status.code(), Some(0));
    let nobody = Nobody::new(&stage.database, "CREATE USER NAME@'%' IDENTIFIED BY 'hush'").await;
    let (url, name) = (nobody.url(), nobody.name.clone());
    stage.database.execute(&format!("GRANT SELECT, INSERT, UPDATE ON *.* TO {name}@'%'")).await;
    stage.settings.set("database.url", url);
    let findings = found(&stage, &[], 1).await;
    let refusal = "the database's user may not do all that a daemon does: DELETE command denied to user";
    assert_found(&findings, "tables", "fail", refusal, "");
    stage.database.execute(&format!("DROP USER {name}@'%'")).await;
}

async fn what_check_tries_leaves_nothing_behind(database: Database) {
    let mut stage = Stage::new(database, World::live(seed())).await;
    stage.settings.set("callbacks.endpoints.shop.events", json!(["*"]));
    assert_eq!(stage.command(&["migrate", "up"]).await.status.code(), Some(0));
    assert_found(&found(&stage, &[], 0).await, "tables", "ok", "all that a daemon does to them was tried", "");
    for table in ["lumo_user_wallets", "lumo_user_deposits", "lumo_events", "lumo_endpoints"] {
        assert_eq!(stage.database.count(table, "1 = 1").await, 0, "{table}");
    }
    assert_eq!(stage.receiver.count(), 0);
}
