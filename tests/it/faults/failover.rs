//! A failover: the server that was written to goes on answering, and takes no writes any more.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use lumo_bridge::model::Listing;
use lumo_bridge::model::record::Deposit;
use lumo_bridge::store::failpoint::{Failpoint, Fault, Step};
use lumo_bridge::store::query::DepositFilter;
use lumo_bridge::store::{Config, Error, Need, Store};
use lumo_simulator::World;
use sea_orm::DbBackend;
use serde_json::json;

use crate::admin::client::Client;
use crate::database::{Database, on_each_database};
use crate::store::fixture::{at, config, deposit, ingest, migrated, page, shop};
use crate::world::{Announced, PATIENCE, Stage, eventually, seed};

on_each_database!(a_session_that_became_read_only_is_not_used_again);

/// How soon rows are stored once they can be, on a busy machine.
const SOON: Duration = Duration::from_secs(30);

/// Every session is read-only that begins while this holds, for as long as it lasts, as those of a demoted server are.
async fn demote(database: &Database) {
    let name = database.value("SELECT current_database()").await;
    database.execute(&format!("ALTER DATABASE {name} SET default_transaction_read_only = on")).await;
    let others = "FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'lumo-bridge'";
    database.execute(&format!("SELECT pg_terminate_backend(pid) {others}")).await;
}

/// Sessions that begin from now on may write. Those that there are stay as they are. Returns the moment before.
async fn promote(database: &Database) -> String {
    let moment = database.value("SELECT CAST(clock_timestamp() AS text)").await;
    let name = database.value("SELECT current_database()").await;
    // This session may have begun in between.
    let sql =
        format!("SET default_transaction_read_only = off; ALTER DATABASE {name} RESET default_transaction_read_only");
    database.execute(&sql).await;
    moment
}

/// Waits until no session holds the lock of a process that begun before the moment, and one does that begun since.
async fn until_the_long_session_is_newer_than(moment: &str, database: &Database) {
    let sessions = |begun: &str| {
        format!(
            "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = \
             'lumo-bridge' AND pid IN (SELECT pid FROM pg_locks WHERE locktype = 'advisory') \
             AND backend_start {begun} '{moment}'"
        )
    };
    let (old, new) = (sessions("<"), sessions(">="));
    eventually!(PATIENCE, "the long session is new", {
        database.number(&old).await == 0 && database.number(&new).await == 1
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_failover_every_session_is_made_anew_and_storing_goes_on() {
    let world = World::live(seed());
    world.seed(10, 20);
    let mut stage = Stage::new(Database::postgres().await, world.clone()).await;
    stage.announce_history();
    stage.settings.set("server.listen", json!("127.0.0.1:0"));
    let mut bridge = stage.daemon();
    let client = Client::of(&mut bridge).await;
    stage.until_imported().await;
    stage.until_delivered().await;

    demote(&stage.database).await;
    for user in 0..20 {
        world.add_deposit_for(&format!("later {user}"), "1.5").expect("a deposit");
    }
    eventually!(PATIENCE, "it says that nothing can be written", {
        let problem = client.get("/readyz").await.body["problem"].as_str().unwrap_or_default().to_owned();
        problem.contains("database is read-only, for this user or altogether")
    });
    let promoted = promote(&stage.database).await;

    let since = Instant::now();
    let stored = "SELECT COUNT(*) FROM lumo_user_deposits WHERE external_id LIKE 'later %'";
    stage.database.until_at_least(20, PATIENCE, stored).await;
    assert!(since.elapsed() < SOON, "stored after {:?}", since.elapsed());
    stage.until_mirrored().await;
    stage.until_delivered().await;
    eventually!(PATIENCE, "it is ready again", client.get("/readyz").await.status == 200);
    // What lies in a pool is closed when it is needed.
    until_the_long_session_is_newer_than(&promoted, &stage.database).await;
    stage.assert_told_once_and_in_order(&Announced::default()).await;
    bridge.stop().await;
}

/// It begins between the last write that is refused and the first that succeeds, and writes nothing itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_begins_during_a_failover_is_made_anew_after_it() {
    let database = Database::postgres().await;
    drop(migrated(&database, &shop()).await);
    demote(&database).await;
    let store = Store::open(&config(&database), shop()).await.unwrap();
    let refused = store.ingest(page(&[deposit("a")], at(1)), at(1)).await.unwrap_err();
    assert!(refused.is_read_only(), "{refused:?}");
    let locks = store.hold_process_lock(&config(&database)).await.unwrap();
    let promoted = promote(&database).await;
    assert_eq!(ingest(&store, &[deposit("a")], at(2)).await.appeared, 1);
    until_the_long_session_is_newer_than(&promoted, &database).await;
    drop(locks);
}

async fn a_session_that_became_read_only_is_not_used_again(database: Database) {
    drop(migrated(&database, &shop()).await);
    let read_only = match database.backend() {
        DbBackend::Sqlite => "PRAGMA query_only = on; DELETE FROM lumo_meta WHERE name = 'none'",
        DbBackend::Postgres => {
            "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY; SET TRANSACTION READ ONLY; \
             DELETE FROM lumo_meta WHERE false"
        }
        _ => "SET SESSION TRANSACTION READ ONLY; SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = 1290, MESSAGE_TEXT = 'no'",
    };
    let once = AtomicBool::new(true);
    let failpoint = Failpoint::new(move |Step { transaction, .. }| {
        let strikes = transaction == "sync.page" && once.swap(false, Ordering::Relaxed);
        strikes.then(|| Fault::First(read_only.to_owned()))
    });
    let config = Config { max_connections: 1, ..config(&database) };
    let store = Store::open_failing(Need::Everything, &config, shop(), failpoint).await.unwrap();
    let refused = store.ingest(page(&[deposit("a")], at(1)), at(1)).await.unwrap_err();
    assert!(matches!(refused, Error::Unwritable(_)), "{refused:?}");
    assert!(store.write_trouble().is_some_and(|trouble| trouble.transaction == "sync.page"));
    assert_eq!(ingest(&store, &[deposit("a")], at(2)).await.appeared, 1);
    assert_eq!(store.write_trouble(), None);
}

/// The driver stops in the middle of what it sends, so nothing else can be asked there; whoever asks next gets another one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_met_a_value_without_encoding_is_not_used_again() {
    let database = Database::mariadb().await;
    let config = Config { max_connections: 1, ..config(&database) };
    drop(migrated(&database, &shop()).await);
    let store = Store::open(&config, shop()).await.unwrap();
    let beyond = chrono::DateTime::<chrono::Utc>::MIN_UTC;
    let odd = DepositFilter { since: Some(beyond), limit: 1, ..Default::default() };
    for _ in 0..3 {
        let (first, second) = (store.list_deposits(&odd), store.list_deposits(&odd));
        let (first, second, good) = tokio::join!(first, second, store.progress(Listing::Deposits));
        assert!(first.is_err() && second.is_err());
        good.unwrap();
        assert_eq!(ingest::<Deposit>(&store, &[], at(1)).await.appeared, 0);
    }
}
