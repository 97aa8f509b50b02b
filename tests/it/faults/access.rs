//! Keys that are refused and databases that are not there: said in one clear line, and nothing is lost.

use std::time::Duration;

use lumo_bridge::model::Listing;
use lumo_simulator::{Fault, Operation, Quirks, World};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::check::Nobody;
use crate::database::{Database, on_each_database};
use crate::world::{PATIENCE, Stage, eventually, random_changes, seed};

on_each_database!(
    a_key_that_is_rotated_in_mid_pass_loses_nothing,
    what_is_said_of_a_refused_key_is_what_the_last_round_has_shown,
);

const REFUSED: &str = "Lumo does not accept the API key";

/// The schedule goes on ticking; what it asks of a server that has just refused the key is nothing.
#[tokio::test]
async fn a_listing_is_left_alone_after_the_key_was_refused_and_probed_again_later() {
    let world = World::new(seed());
    world.seed(5, 5);
    let stage = Stage::with(Database::sqlite().await, world.clone(), Quirks::default(), Duration::ZERO).await;
    let parts = stage.parts().await;
    world.rotate_key();
    let asked = || stage.simulator.requests().of(Operation::ListWallets);
    let stop = CancellationToken::new();
    for _ in 0..3 {
        parts.syncer.on_schedule(Listing::Wallets, &stop).await;
        assert_eq!(asked(), 1);
    }
    parts.syncer.on_schedule(Listing::Deposits, &stop).await;
    assert_eq!(asked(), 2, "each listing finds out for itself whose key it is");

    let impatient = parts.syncer.with_probe_after(Duration::ZERO);
    impatient.on_schedule(Listing::Blocked, &stop).await;
    impatient.on_schedule(Listing::Blocked, &stop).await;
    assert_eq!(asked(), 4, "the wait is over, nothing was asked");
    for own in [Operation::ListDeposits, Operation::ListBlockedWallets] {
        assert_eq!(stage.simulator.requests().of(own), 0, "nothing is read with a key that is nobody's");
    }
}

async fn a_key_that_is_rotated_in_mid_pass_loses_nothing(database: Database) {
    let world = World::live(seed());
    world.seed(100, 100);
    let mut stage = Stage::with(database, world.clone(), Quirks::default(), Duration::from_millis(50)).await;
    stage.settings.set("lumo.page_size", json!(10));
    let sync = stage.start(&["sync"]);
    let asked = || stage.simulator.requests().of(Operation::ListWallets);
    eventually!(PATIENCE, "some pages were read", asked() >= 4);
    world.rotate_key();
    let finished = sync.finished(PATIENCE).await;
    assert_eq!(finished.status.code(), Some(1), "{finished:?}");
    assert!(finished.stderr.contains(&format!("wallets not synced: page not read: {REFUSED}")), "{}", finished.stderr);
    assert!(finished.stderr.contains("put the current one in lumo.api_key"), "{}", finished.stderr);
    let stored = stage.database.count("lumo_user_wallets", "1 = 1").await;
    assert!((1..100).contains(&stored), "{stored} wallets were stored before the key was refused");
    let error = stage.database.value("SELECT last_error FROM lumo_sync_state WHERE listing = 'wallets'").await;
    assert!(error.contains(REFUSED), "{error}");
    assert_eq!(stage.database.count("lumo_sync_runs", "outcome = 'complete'").await, 0);

    // A daemon with the old key stays up and says so.
    let mut bridge = stage.daemon();
    bridge.until_logged("Lumo refuses the API key", PATIENCE).await;
    assert!(bridge.is_running());
    bridge.stop().await;
    assert_eq!(stage.database.count("lumo_user_wallets", "1 = 1").await, stored);

    stage.settings.set("lumo.api_key", json!({ "value": world.api_key() }));
    let finished = stage.command(&["--json", "sync"]).await;
    assert_eq!(finished.status.code(), Some(0), "{finished:?}");
    let passes: serde_json::Value = serde_json::from_str(&finished.stdout).expect("standard output is JSON");
    let outcomes: Vec<_> = passes.as_array().unwrap().iter().map(|pass| &pass["outcome"]).collect();
    assert_eq!(outcomes, ["complete", "complete", "complete"]);
    stage.assert_mirrored().await;
    let errors = stage.database.count("lumo_sync_state", "last_error IS NOT NULL").await;
    assert_eq!(errors, 0, "what is over is not reported any more");
    let announced = stage.announced().await;
    let bridge = stage.daemon();
    random_changes(&world, 20);
    stage.until_mirrored().await;
    stage.until_delivered().await;
    stage.assert_told_once_and_in_order(&announced).await;
    bridge.stop().await;
}

/// What `status` says, on one line.
async fn status(stage: &Stage) -> String {
    let finished = stage.command(&["status"]).await;
    assert_eq!(finished.status.code(), Some(0), "{finished:?}");
    finished.stdout.split_whitespace().collect::<Vec<_>>().join(" ")
}

async fn what_is_said_of_a_refused_key_is_what_the_last_round_has_shown(database: Database) {
    let world = World::live(seed());
    world.seed(5, 5);
    let mut stage = Stage::new(database, world.clone()).await;
    let parts = stage.parts().await;
    parts.sync().await;
    let syncer = parts.syncer.with_probe_after(Duration::ZERO);
    let (stop, stopped) = (CancellationToken::new(), CancellationToken::new());
    stopped.cancel();
    world.rotate_key();
    for listing in Listing::ALL {
        syncer.on_schedule(listing, &stop).await;
    }
    // A round that is stopped before it asks shows nothing.
    syncer.on_schedule(Listing::Blocked, &stopped).await;
    let said = status(&stage).await;
    assert!(said.starts_with("Lumo refuses the API key since "), "{said}");
    let flagged = "unauthorized_since IS NOT NULL";
    assert_eq!(stage.database.count("lumo_sync_state", flagged).await, 3);

    let away = Fault::Status { code: 503, retry_after: None };
    stage.simulator.faults().at_random(1, 1.0, vec![away]);
    syncer.on_schedule(Listing::Deposits, &stop).await;
    let said = status(&stage).await;
    assert!(said.starts_with("The last round failed: page not read: Lumo is unavailable: answer 503"), "{said}");
    assert!(said.contains("; Lumo refused the API key at "), "{said}");
    assert!(said.contains(", and whether it accepts the present one is not known."), "{said}");
    assert_eq!(stage.database.count("lumo_sync_state", flagged).await, 3);

    stage.simulator.faults().clear();
    stage.settings.set("lumo.api_key", json!({ "value": world.api_key() }));
    let parts = stage.parts().await;
    let unknown = Fault::Status { code: 404, retry_after: None };
    stage.simulator.faults().inject_on(Operation::ListDeposits, 1, unknown);
    parts.syncer.on_schedule(Listing::Deposits, &stop).await;
    assert_eq!(stage.simulator.faults().waiting(), 0, "the round has failed");
    let said = status(&stage).await;
    assert!(!said.contains("the API key since") && !said.contains("the API key at"), "{said}");
    assert!(said.contains("deposits: the last round was not complete: page not read: Lumo does not know it"), "{said}");
    assert_eq!(stage.database.count("lumo_sync_state", flagged).await, 0, "the key is one for all listings");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_not_there_is_one_clear_line() {
    let mut stage = Stage::new(Database::sqlite().await, World::new(1)).await;
    let closed = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    let places = [
        (format!("postgres://shop:hush@{closed}/shop"), closed.to_string(), "database not reachable"),
        (format!("mysql://shop:hush@{closed}/shop"), closed.to_string(), "database not reachable"),
        ("sqlite:///no/such/directory/shop.db".to_owned(), "/no/such/directory/shop.db".to_owned(), "cannot be made"),
    ];
    for (url, named, problem) in places {
        stage.settings.set("database.url", json!(url));
        for command in ["run", "sync"] {
            let finished = stage.command(&[command]).await;
            assert_eq!(finished.status.code(), Some(1), "{command} with {url}: {finished:?}");
            let errors: Vec<&str> = finished.stderr.lines().filter(|line| line.starts_with("error")).collect();
            assert_eq!(errors.len(), 1, "one line about {url}: {}", finished.stderr);
            assert!(errors[0].contains(problem), "{}", errors[0]);
            assert!(errors[0].contains(&named), "{command} names the database {named}: {}", errors[0]);
            for unwanted in ["panicked", "backtrace", "hush"] {
                assert!(!finished.stderr.contains(unwanted), "{}", finished.stderr);
            }
        }
    }
}

/// A session keeps the rights to a database that it began with.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_right_that_a_user_of_mariadb_is_given_reaches_the_daemon_that_runs() {
    let mut stage = Stage::new(Database::mariadb().await, World::live(seed())).await;
    stage.database.execute("CREATE TABLE ledger (event_id varchar(128) NOT NULL)").await;
    stage.database.execute("CREATE PROCEDURE book(id varchar(128)) INSERT INTO ledger VALUES (id)").await;
    let name = Url::parse(stage.database.url()).unwrap().path().trim_start_matches('/').to_owned();
    let rights = "SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, DROP, INDEX, CREATE VIEW";
    let create = format!("CREATE USER NAME@'%' IDENTIFIED BY 'hush'; GRANT {rights} ON {name}.* TO NAME@'%'");
    let user = Nobody::new(&stage.database, &create).await;
    let (url, user) = (user.url(), user.name.clone());
    stage.settings.set("database.url", url);
    let book = json!({ "sink": { "sql": "CALL book(:event_id)", "timeout": "2s" }, "events": ["deposit.created"] });
    stage.settings.set("callbacks.endpoints", json!({ "ledger": book }));
    let bridge = stage.daemon();
    stage.until_imported().await;
    stage.world.add_deposit_for("bob", "12.5").unwrap();
    let denied = "SELECT COUNT(*) FROM lumo_deliveries WHERE last_error LIKE '%execute command denied%'";
    stage.database.until_at_least(1, PATIENCE, denied).await;
    stage.database.execute(&format!("GRANT EXECUTE ON {name}.* TO {user}@'%'")).await;
    stage.database.until_at_least(1, PATIENCE, "SELECT COUNT(*) FROM ledger").await;
    stage.until_delivered().await;
    bridge.stop().await;
    stage.database.execute(&format!("DROP USER {user}@'%'")).await;
}
