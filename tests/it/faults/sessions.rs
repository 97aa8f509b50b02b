//! Connections to the database that end, fall silent, or wait for others, while deliveries are under way.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use lumo_bridge::store::Store;
use lumo_simulator::{Answer, World};
use sea_orm::DbBackend;
use serde_json::json;
use url::Url;

use crate::admin::client::Client;
use crate::database::Database;
use crate::store::fixture::{at, config, migrated, shop};
use crate::world::{Announced, Gate, PATIENCE, Stage, eventually, random_changes, seed};

/// The time that a process has to drain, and a little.
const DRAINED: Duration = Duration::from_secs(12);

const CONCURRENCY: usize = 3;

/// The tests of this file need a database that is a server.
macro_rules! on_each_server {
    ($($name:ident),+ $(,)?) => {
        on_each_server!(@module postgres: $($name)+);
        on_each_server!(@module mariadb: $($name)+);
    };
    (@module $kind:ident: $($name:ident)+) => {
        mod $kind {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    Box::pin(super::$name(crate::database::Database::$kind().await)).await;
                }
            )+
        }
    };
}

on_each_server!(
    two_processes_whose_sessions_are_ended_over_and_over_lose_nothing,
    who_has_lost_its_own_lock_calls_nobody_dead,
    a_database_that_falls_silent_is_connected_to_anew,
    a_database_that_is_gone_is_told_and_gone_on_with_once_it_is_back,
    who_is_cut_off_in_silence_is_replaced_by_another,
    what_cannot_be_written_for_a_while_is_not_sent_again,
    a_server_far_away_is_worked_with_and_left_promptly,
);

/// What a restart of the server, a failover or an impatient operator does: every session of the bridge ends.
async fn end_sessions(database: &Database) {
    assert!(end_those_there_are(database).await > 0, "nobody is connected");
}

/// Returns how many there were.
async fn end_those_there_are(database: &Database) -> usize {
    let (list, end) = match database.backend() {
        DbBackend::Postgres => (
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'lumo-bridge'",
            "SELECT pg_terminate_backend({})",
        ),
        _ => {
            ("SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()", "KILL {}")
        }
    };
    let sessions: Vec<String> = database.rows(list).await.into_iter().flatten().flatten().collect();
    for session in &sessions {
        // It may have gone by itself.
        drop(database.try_execute(&end.replace("{}", session)).await);
    }
    sessions.len()
}

/// For longer than a living process would be without a lock otherwise.
async fn who_has_lost_its_own_lock_calls_nobody_dead(database: Database) {
    let store = migrated(&database, &shop()).await;
    let config = config(&database);
    let other = Store::open(&config, shop()).await.unwrap();
    let mut locks = Box::pin(store.hold_process_lock(&config)).await.unwrap();
    let _others = Box::pin(other.hold_process_lock(&config)).await.unwrap();
    let process = other.new_process();
    assert_eq!(locks.dead(&[process], at(0)).await.unwrap(), HashSet::new());
    let (began, mut checks) = (Instant::now(), 0);
    while began.elapsed() < Duration::from_secs(6) {
        end_those_there_are(&database).await;
        if let Ok(dead) = locks.dead(&[process], at(0)).await {
            assert_eq!(dead, HashSet::new());
            checks += 1;
        }
    }
    assert!(checks > 10, "{checks}");
}

async fn two_processes_whose_sessions_are_ended_over_and_over_lose_nothing(database: Database) {
    let world = World::live(seed());
    world.seed(40, 160);
    let mut stage = Stage::new(database, world.clone()).await;
    stage.announce_history();
    stage.settings.set("callbacks.defaults.concurrency", json!(CONCURRENCY));
    stage.receiver.script(|_| Answer::status(200).after(Duration::from_millis(60)));
    let mut bridges = [stage.daemon(), stage.daemon()];
    let mut held = 0;
    for round in 1..=6 {
        assert!(stage.receiver.wait_for(round * 20, PATIENCE).await, "callbacks have stopped");
        held += stage.unrecorded().await + CONCURRENCY;
        end_sessions(&stage.database).await;
        random_changes(&world, 10);
    }
    stage.until_imported().await;
    stage.until_mirrored().await;
    stage.until_delivered().await;
    stage.assert_told_once_and_in_order(&Announced::default()).await;
    let duplicates = stage.receiver.duplicates();
    assert!(duplicates <= held, "{duplicates} duplicates of {held} that were in hand");
    for bridge in &mut bridges {
        assert!(bridge.is_running(), "a lost session is no reason to end");
        let log = bridge.log();
        assert!(!log.contains("another process delivers"), "what was answered was thrown away:\n{log}");
    }
    for bridge in bridges {
        bridge.stop().await;
    }
}

async fn a_database_that_falls_silent_is_connected_to_anew(database: Database) {
    let world = World::live(seed());
    world.seed(30, 60);
    let mut stage = Stage::new(database, world.clone()).await;
    let (gate, url) = Gate::to_database(stage.database.url()).await;
    stage.settings.set("database.url", json!(url));
    stage.announce_history();
    stage.settings.set("callbacks.defaults.concurrency", json!(CONCURRENCY));
    stage.receiver.script(|_| Answer::status(200).after(Duration::from_millis(60)));
    let mut bridge = stage.daemon();
    assert!(stage.receiver.wait_for(20, PATIENCE).await);
    gate.hush();
    gate.open();
    random_changes(&world, 20);
    stage.until_imported().await;
    stage.until_mirrored().await;
    stage.until_delivered().await;
    assert!(gate.silent() > 0, "nothing was connected when it fell silent");
    stage.assert_told_once_and_in_order(&Announced::default()).await;
    assert!(bridge.is_running());
    bridge.stop().await;
}

const SILENT: &str = "ERROR the database does not answer; trying again";

/// As while it is restarted: the sessions end, and nobody answers new ones.
async fn a_database_that_is_gone_is_told_and_gone_on_with_once_it_is_back(database: Database) {
    let world = World::live(seed());
    world.seed(20, 40);
    let mut stage = Stage::new(database, world.clone()).await;
    let server = Url::parse(stage.database.url()).unwrap().socket_addrs(|| None).unwrap()[0];
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (gate, url) = Gate::to_database(stage.database.url()).await;
    stage.settings.set("database.url", json!(url));
    stage.settings.set("server.listen", json!("127.0.0.1:0"));
    stage.announce_history();
    let mut bridge = stage.daemon();
    let client = Client::of(&mut bridge).await;
    stage.until_imported().await;
    stage.until_mirrored().await;
    stage.until_delivered().await;
    eventually!(PATIENCE, "it is ready", client.get("/readyz").await.status == 200);

    let sent = stage.receiver.count();
    gate.lead_to(nobody);
    gate.cut();
    random_changes(&world, 20);
    eventually!(PATIENCE, "it is not ready, and says why and what to do", {
        let answer = client.get("/readyz").await;
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        let (problem, hint) = (text(&answer.body["problem"]), text(&answer.body["findings"][0]["hint"]));
        let says_why =
            ["database not reachable", "the database does not answer"].iter().any(|why| problem.contains(why));
        answer.status == 503 && says_why && hint.contains("`database.url`")
    });
    assert!(client.text("/metrics").await.contains("lumo_bridge_ready 0\n"));
    assert_eq!(client.text("/healthz").await, "ok\n");
    let looked = stage.command(&["status"]).await;
    assert_eq!(looked.status.code(), Some(1), "{looked:?}");
    assert!(looked.stderr.contains("database not reachable"), "{looked:?}");
    assert!(bridge.is_running(), "a database that is gone is no reason to end");
    assert_eq!(stage.receiver.count(), sent, "nothing is sent that is not stored");
    bridge.until_logged(SILENT, PATIENCE).await;

    gate.lead_to(server);
    stage.until_mirrored().await;
    stage.until_delivered().await;
    eventually!(PATIENCE, "it is ready again", client.get("/readyz").await.status == 200);
    bridge.until_logged("INFO the database answers again", PATIENCE).await;
    let log = bridge.log();
    let said: Vec<&str> = log.lines().filter(|line| line.contains(SILENT)).collect();
    let port = format!(":{}/", gate.addr().port());
    assert!(said.len() == 1 && said[0].contains("database=") && said[0].contains(&port), "{said:?}");
    for repeated in ["WARN lease of the listings", "WARN end of a commit", "WARN endpoints not looked at"] {
        let lines = log.lines().filter(|line| line.contains(repeated) && !line.contains(", still;")).count();
        assert!(lines <= 1, "{lines} times {repeated}: {log}");
    }
    assert!(!log.to_lowercase().contains("pool timed out"), "{log}");
    stage.assert_told_once_and_in_order(&Announced::default()).await;
    assert_eq!(stage.receiver.duplicates(), 0);
    bridge.stop().await;
}

/// A history that is told three at a time, under leases as short as they can be.
async fn with_short_leases(database: Database) -> (World, Stage) {
    let world = World::live(seed());
    world.seed(30, 60);
    let mut stage = Stage::new(database, world.clone()).await;
    stage.announce_history();
    stage.settings.set("callbacks.defaults.concurrency", json!(CONCURRENCY));
    stage.settings.set("callbacks.defaults.timeout", json!("1s"));
    stage.receiver.script(|_| Answer::status(200).after(Duration::from_millis(60)));
    (world, stage)
}

/// The server cannot know that nobody is at the other end: to it the process lives, and only time tells.
async fn who_is_cut_off_in_silence_is_replaced_by_another(database: Database) {
    let (world, mut stage) = with_short_leases(database).await;
    let direct = stage.database.url().to_owned();
    let (gate, url) = Gate::to_database(stage.database.url()).await;
    stage.settings.set("database.url", json!(url));
    let mut cut_off = stage.daemon();
    assert!(stage.receiver.wait_for(20, PATIENCE).await);
    gate.hush();
    // What is answered until the commit has taken too long: one request after the other takes 60 ms.
    let answered_meanwhile = CONCURRENCY * 10;
    let held = stage.unrecorded().await + CONCURRENCY + answered_meanwhile;
    stage.settings.set("database.url", json!(direct));
    let other = stage.daemon();
    random_changes(&world, 20);
    stage.until_imported().await;
    stage.until_mirrored().await;
    stage.until_delivered().await;

    // What the first one still believes to hold changes nothing when it comes back.
    let rows = "SELECT seq, state, attempts, last_status FROM lumo_deliveries ORDER BY seq";
    let delivered = stage.database.rows(rows).await;
    gate.open();
    cut_off.until_logged("another process delivers to the endpoint now", PATIENCE).await;
    world.add_wallet("news");
    stage.until_mirrored().await;
    stage.until_delivered().await;
    assert_eq!(stage.database.rows(rows).await[..delivered.len()], delivered);
    stage.assert_told_once_and_in_order(&Announced::default()).await;
    let duplicates = stage.receiver.duplicates();
    assert!(duplicates <= held, "{duplicates} duplicates of {held} that were in hand");
    assert!(cut_off.is_running());
    cut_off.stop().await;
    other.stop().await;
}

/// The end of a commit that took too long is found out before anything else is sent.
async fn what_cannot_be_written_for_a_while_is_not_sent_again(database: Database) {
    let (_, stage) = with_short_leases(database).await;
    let mut bridge = stage.daemon();
    assert!(stage.receiver.wait_for(20, PATIENCE).await);
    let held = stage.database.hold("SELECT name FROM lumo_endpoints FOR UPDATE").await;
    bridge.until_logged("attempts not written; trying again", PATIENCE).await;
    held.release().await;
    stage.until_imported().await;
    stage.until_mirrored().await;
    stage.until_delivered().await;
    stage.assert_told_once_and_in_order(&Announced::default()).await;
    assert_eq!(stage.receiver.duplicates(), 0);
    bridge.stop().await;
}

/// Every statement takes a tenth of a second, and the tables take hundreds of them.
async fn a_server_far_away_is_worked_with_and_left_promptly(database: Database) {
    let world = World::live(seed());
    world.seed(5, 5);
    let mut stage = Stage::new(database, world.clone()).await;
    let (gate, url) = Gate::to_database(stage.database.url()).await;
    gate.slow_down(Duration::from_millis(100));
    stage.announce_history();
    stage.settings.set("database.url", json!(url));
    stage.settings.set("server.listen", json!("127.0.0.1:0"));
    let mut bridge = stage.daemon();
    let client = Client::of_beginner(&mut bridge).await;
    assert_eq!(client.text("/healthz").await, "ok\n");
    assert!(!bridge.log().contains("tables brought up to date"), "it answers before the tables are made");
    eventually!(PATIENCE, "the tables are made", bridge.log().contains("tables brought up to date"));
    stage.until_imported().await;
    world.add_deposit_for("far away", "1.5").expect("a deposit");
    stage.until_mirrored().await;
    stage.until_delivered().await;
    stage.assert_told_once_and_in_order(&Announced::default()).await;
    assert_eq!(client.text("/healthz").await, "ok\n");
    bridge.signal("TERM");
    let finished = bridge.finished(DRAINED).await;
    assert_eq!(finished.status.code(), Some(0), "{}", finished.stderr);
}
