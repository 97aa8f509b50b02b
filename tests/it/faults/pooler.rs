//! PostgreSQL behind a pooler, and databases with fewer connections than the configuration wants.

use std::time::{Duration, Instant};

use lumo_simulator::World;
use sea_orm::{ConnectOptions, ConnectionTrait, DatabaseConnection, DbBackend, Statement};
use serde_json::json;

use crate::check::{Nobody, assert_found, found};
use crate::database::Database;
use crate::world::servers::{self, PoolMode, Server};
use crate::world::{Announced, PATIENCE, Stage, random_changes, seed};

const FEWER: &str = "the database gives fewer connections than `database.max_connections`; working with those";

async fn stage() -> (World, Stage) {
    stage_on(Database::postgres().await).await
}

async fn stage_on(database: Database) -> (World, Stage) {
    let world = World::live(seed());
    world.seed(20, 40);
    let mut stage = Stage::new(database, world.clone()).await;
    stage.announce_history();
    (world, stage)
}

/// A role of its own for the bridge, which may make tables: its name, and the url that it connects with.
async fn role(database: &Database, options: &str) -> (String, String) {
    let name = database.value("SELECT current_database()").await;
    let create = format!(
        "CREATE ROLE NAME LOGIN PASSWORD 'hush' {options}; \
         GRANT ALL ON DATABASE {name} TO NAME; GRANT ALL ON SCHEMA public TO NAME"
    );
    let role = Nobody::new(database, &create).await;
    (role.name.clone(), role.url().as_str().unwrap().to_owned())
}

async fn drop_role(database: &Database, name: &str) {
    database.execute(&format!("DROP OWNED BY {name}; DROP ROLE {name}")).await;
}

/// A bridge that reaches its database through a pooler.
struct Pooled {
    world: World,
    stage: Stage,
    role: String,
    url: String,
    _pooler: Server,
}

/// None where no pooler is installed.
async fn pooled(mode: PoolMode, settings: &str) -> Option<Pooled> {
    let (world, mut stage) = stage().await;
    let (role, url) = role(&stage.database, "").await;
    let (pooler, url) = servers::pgbouncer(&url, mode, settings).await?;
    stage.settings.set("database.url", json!(url));
    Some(Pooled { world, stage, role, url, _pooler: pooler })
}

/// Has the bridge keep its tables in a schema, in which what the test itself asks finds them, too.
async fn use_schema(stage: &mut Stage) {
    stage.settings.set("database.schema", json!("lumo"));
    let name = stage.database.value("SELECT current_database()").await;
    let others = "usename = current_user AND datname = current_database() AND pid <> pg_backend_pid()";
    let path = format!(
        "ALTER ROLE CURRENT_USER IN DATABASE {name} SET search_path = lumo; SET search_path = lumo; \
         SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}"
    );
    stage.database.execute(&path).await;
}

/// Runs a daemon until everything is stored and sent; gives its log.
async fn work(world: &World, stage: &Stage) -> String {
    let bridge = stage.daemon();
    stage.until_imported().await;
    random_changes(world, 20);
    stage.until_read_again().await;
    stage.until_mirrored().await;
    stage.until_delivered().await;
    stage.assert_told_once_and_in_order(&Announced::default()).await;
    let log = bridge.log();
    bridge.stop().await;
    log
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_a_pooler_of_sessions_everything_works() {
    let Some(mut pooled) = pooled(PoolMode::Session, "").await else { return };
    let Pooled { world, stage, role, .. } = &mut pooled;
    use_schema(stage).await;
    stage.settings.set("database.migrate", json!(false));
    assert_eq!(stage.command(&["migrate", "up"]).await.status.code(), Some(0));
    let findings = found(stage, &[], 0).await;
    assert_found(&findings, "tables", "ok", "up to date", "");
    assert_found(&findings, "connections", "ok", "8, all that `database.max_connections` asks for", "");
    let log = work(world, stage).await;
    assert!(!log.contains(FEWER), "{log}");
    drop_role(&stage.database, role).await;
}

/// What other clients of the pooler leave behind on each of its connections to the server: a statement of the name that comes
/// first. A connection that nobody has used yet would take the first statement, and hide what kind of pooler this is.
async fn leave_statements(url: &str, servers: usize) {
    let clients = merchants(url, servers).await;
    for client in &clients {
        let prepare = "BEGIN; DEALLOCATE ALL; PREPARE sqlx_s_1 AS SELECT 1";
        client.execute_unprepared(prepare).await.expect("nothing prepared");
    }
    for client in clients {
        client.execute_unprepared("COMMIT").await.expect("not committed");
        client.close().await.expect("not closed");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pooler_of_transactions_that_carries_no_prepared_statements_is_refused_in_one_sentence() {
    const SERVERS: usize = 3;
    let settings = format!("{}\ndefault_pool_size = {SERVERS}", servers::without_prepared_statements());
    let Some(pooled) = pooled(PoolMode::Transaction, &settings).await else { return };
    let Pooled { stage, role, url, .. } = &pooled;
    let sentence = "a pooler lends connections to the database per transaction and cannot carry prepared statements; \
                    connect to PostgreSQL directly, use `pool_mode = session`, or PgBouncer 1.21 or newer with \
                    `max_prepared_statements`";
    leave_statements(url, SERVERS).await;
    assert_found(&found(stage, &[], 1).await, "database", "fail", sentence, "");
    leave_statements(url, SERVERS).await;
    let text = stage.command(&["check"]).await.stdout;
    let after = text.split_once(sentence).unwrap_or_else(|| panic!("{text}")).1;
    assert!(!after.trim_start().starts_with("hint"), "{text}");
    for command in ["run", "status"] {
        leave_statements(url, SERVERS).await;
        let finished = stage.command(&[command]).await;
        assert_eq!(finished.status.code(), Some(1), "{finished:?}");
        let said: Vec<&str> = finished.stderr.lines().filter(|line| line.starts_with("error")).collect();
        assert!(matches!(said[..], [line] if line.ends_with(sentence)), "{finished:?}");
        assert!(!finished.stderr.contains("hint"), "{finished:?}");
    }
    drop_role(&stage.database, role).await;
}

/// The one connection is taken while the bridge finds out what kind of pooler this is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pooler_of_transactions_with_one_connection_is_known_for_one_at_once() {
    let settings = format!("{}\ndefault_pool_size = 1", servers::without_prepared_statements());
    let Some(pooled) = pooled(PoolMode::Transaction, &settings).await else { return };
    let Pooled { stage, role, url, .. } = &pooled;
    for merchant in merchants(url, 1).await {
        // So that the bridge's own first statement is taken.
        merchant.execute_unprepared("DEALLOCATE ALL").await.expect("not forgotten");
        merchant.close().await.expect("not closed");
    }
    let begun = Instant::now();
    let findings = found(stage, &[], 1).await;
    assert!(begun.elapsed() < Duration::from_secs(9), "it took {:?}", begun.elapsed());
    let sentence = "a pooler lends connections to the database per transaction and cannot carry prepared statements";
    assert_found(&findings, "database", "fail", sentence, "");
    drop_role(&stage.database, role).await;
}

/// Connections of the merchant's own application, all of them open.
async fn merchants(url: &str, number: usize) -> Vec<DatabaseConnection> {
    let mut opened = Vec::new();
    for _ in 0..number {
        let mut options = ConnectOptions::new(url);
        options.max_connections(1).min_connections(1).connect_timeout(PATIENCE).sqlx_logging(false);
        options.map_sqlx_postgres_opts(|postgres| postgres.extra_float_digits(None));
        opened.push(sea_orm::Database::connect(options).await.expect("the merchant's application is not let in"));
    }
    opened
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_bridge_sets_does_not_reach_the_merchants_application() {
    const CONNECTIONS: usize = 8;
    // Between two clients only statements are forgotten, so that whatever the first one sets is there.
    let settings = format!("server_reset_query = DEALLOCATE ALL\ndefault_pool_size = {CONNECTIONS}");
    let Some(mut pooled) = pooled(PoolMode::Session, &settings).await else { return };
    let Pooled { world, stage, role, url, .. } = &mut pooled;
    use_schema(stage).await;
    work(world, stage).await;
    let query = "SELECT COALESCE(string_agg(name || ' = ' || setting, ', ' ORDER BY name), '') FROM pg_settings \
                 WHERE source = 'session' AND setting IS DISTINCT FROM reset_val AND name NOT IN ('application_name', 'client_encoding', 'DateStyle', \
                 'TimeZone', 'standard_conforming_strings')";
    let merchants = merchants(url, CONNECTIONS).await;
    for merchant in &merchants {
        let row = merchant.query_one_raw(Statement::from_string(DbBackend::Postgres, query)).await.unwrap();
        assert_eq!(row.unwrap().try_get_by_index::<String>(0).unwrap(), "", "left in a session of the server");
    }
    drop(merchants);
    drop_role(&stage.database, role).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pooler_with_fewer_connections_than_clients_is_worked_with() {
    let Some(pooled) = pooled(PoolMode::Session, "default_pool_size = 3").await else { return };
    let Pooled { world, stage, role, .. } = &pooled;
    let reason = "the pooler has no more and lets the others wait";
    let words = format!("3 of the 8 of `database.max_connections` were given, of which a daemon takes 2: {reason}");
    assert_found(&found(stage, &[], 0).await, "connections", "warn", &words, "raise the limit of the server");
    let log = work(world, stage).await;
    assert!(log.contains(FEWER) && log.contains(reason), "{log}");
    assert!(!log.contains("slow statement"), "{log}");
    // The daemon leaves one.
    let bridge = stage.daemon();
    stage.until_read_again().await;
    assert_found(&found(stage, &[], 0).await, "tables", "ok", "up to date", "");
    bridge.stop().await;
    drop_role(&stage.database, role).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_with_fewer_connections_than_wanted_works_with_those() {
    let (world, mut stage) = stage().await;
    let (role, url) = role(&stage.database, "CONNECTION LIMIT 3").await;
    stage.settings.set("database.url", json!(url));
    let reason = format!("too many connections for role \"{role}\"");
    let words = format!("3 of the 8 of `database.max_connections` were given, of which a daemon takes 2: {reason}");
    assert_found(&found(&stage, &[], 0).await, "connections", "warn", &words, "raise the limit of the server");
    let text = stage.command(&["check"]).await.stdout;
    assert!(text.contains(&format!("warn connections: {words}\n")), "{text}");
    let log = work(&world, &stage).await;
    assert!(log.contains(FEWER) && log.contains("given=3"), "{log}");
    assert!(log.contains("too many connections for role") && !log.contains("pool timed out"), "{log}");
    drop_role(&stage.database, &role).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_connections_are_open_than_the_configuration_allows() {
    let (world, mut stage) = stage().await;
    let (role, url) = role(&stage.database, "").await;
    stage.settings.set("database.url", json!(url));
    stage.settings.set("database.max_connections", json!(8));
    let open = format!("SELECT COUNT(*) FROM pg_stat_activity WHERE usename = '{role}'");
    let mut most = 0;
    let watch = async {
        loop {
            most = most.max(stage.database.number(&open).await);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        _ = work(&world, &stage) => {}
        () = watch => {}
    }
    assert!((2..=8).contains(&most), "{most} connections were open at once");
    drop_role(&stage.database, &role).await;
}

/// What MySQL and MariaDB count for each user.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_of_mariadb_with_fewer_connections_than_wanted_works_with_those() {
    let (world, mut stage) = stage_on(Database::mariadb().await).await;
    let create = "CREATE USER NAME@'%' IDENTIFIED BY 'hush' WITH MAX_USER_CONNECTIONS 3; GRANT ALL ON *.* TO NAME@'%'";
    let user = Nobody::new(&stage.database, create).await;
    let (url, name) = (user.url(), user.name.clone());
    stage.settings.set("database.url", url);
    let words = "3 of the 8 of `database.max_connections` were given, of which a daemon takes 2: ";
    let findings = found(&stage, &[], 0).await;
    assert_found(&findings, "connections", "warn", words, "raise the limit of the server");
    assert_found(&findings, "connections", "warn", "max_user_connections", "");
    let log = work(&world, &stage).await;
    assert!(log.contains(FEWER) && log.contains("given=3") && log.contains("max_user_connections"), "{log}");
    assert!(!log.contains("pool timed out"), "{log}");

    stage.database.execute(&format!("ALTER USER {name}@'%' WITH MAX_USER_CONNECTIONS 0")).await;
    let open = format!("SELECT COUNT(*) FROM information_schema.processlist WHERE user = '{name}'");
    let bridge = stage.daemon();
    stage.until_read_again().await;
    random_changes(&world, 20);
    let mut most = 0;
    let watch = async {
        loop {
            most = most.max(stage.database.number(&open).await);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let goes_on = async {
        stage.until_read_again().await;
        stage.until_mirrored().await;
        stage.until_delivered().await;
    };
    tokio::select! {
        () = goes_on => {}
        () = watch => {}
    }
    bridge.stop().await;
    assert!((2..=8).contains(&most), "{most} connections were open at once");
    stage.database.execute(&format!("DROP USER {name}@'%'")).await;
}
