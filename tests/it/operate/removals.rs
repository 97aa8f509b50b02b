//! Rows that leave a list in numbers, as the operator sees it: what is held back, why, and how it is let through.

use std::time::{Duration, Instant};

use lumo_simulator::World;
use serde_json::{Value, json};

use super::{json, until_told};
use crate::admin::Client;
use crate::database::{Database, on_each_database};
use crate::world::{Finished, PATIENCE, Stage, eventually, seed};

const ACCEPT: [&str; 3] = ["sync", "deposits", "--accept-removals"];
const MARKED: &str = "rows that are no longer listed, and marked as missing now:";

/// A company that was imported, with so many deposits of one user.
async fn imported(database: Database, deposits: usize) -> Stage {
    let stage = Stage::new(database, World::live(seed())).await;
    stage.world.add_wallet("ann");
    for _ in 0..deposits {
        stage.world.add_deposit_for("ann", "1").unwrap();
    }
    let synced = stage.command(&["sync"]).await;
    assert_eq!(synced.status.code(), Some(0), "{synced:?}");
    stage
}

fn remove(stage: &Stage, deposits: usize) {
    for _ in 0..deposits {
        let deposit = stage.world.random_deposit().unwrap();
        stage.world.remove_deposit(deposit.id).unwrap();
    }
}

/// What a command that succeeded printed, with one space between words.
fn words(finished: &Finished) -> String {
    assert_eq!(finished.status.code(), Some(0), "{finished:?}");
    finished.stdout.split_whitespace().collect::<Vec<_>>().join(" ")
}

async fn missing(stage: &Stage) -> i64 {
    stage.database.count("lumo_user_deposits", "missing_since IS NOT NULL").await
}

/// The listing of deposits in `status --json`, and the finding about what is held back.
async fn standing(stage: &Stage) -> (Value, Option<Value>) {
    let status = json(&stage.command(&["status", "--json"]).await);
    let find = |list: &str, key: &str, value: &str| {
        status[list].as_array().unwrap().iter().find(|entry| entry[key] == value).cloned()
    };
    (find("listings", "listing", "deposits").unwrap(), find("findings", "code", "removals_held"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn most_of_a_list_that_left_at_once_waits_for_the_operator_and_says_so() {
    let stage = imported(Database::sqlite().await, 60).await;
    remove(&stage, 50);
    let why = "50 of 60 rows left the list at once, which a broken server is the likelier reason for; they stay as listed \
               until the list shows them again, or `lumo-bridge sync deposits --accept-removals` says that they are gone";
    for _ in 0..2 {
        let synced = words(&stage.command(&["sync", "deposits"]).await);
        assert!(synced.contains(why) && !synced.contains(MARKED) && !synced.contains("not complete"), "{synced}");
    }
    let synced = json(&stage.command(&["sync", "deposits", "--json"]).await);
    assert_eq!((&synced[0]["removals_held"], &synced[0]["vanished"]), (&json!(why), &json!(0)));
    let status = words(&stage.command(&["status"]).await);
    assert!(status.contains(&format!("deposits: {why}")), "{status}");
    let (listing, finding) = standing(&stage).await;
    assert_eq!((&listing["removals_held"], &listing["removals_held_why"]), (&json!(50), &json!(why)));
    assert!(listing["removals_held_since"].is_string(), "{listing}");
    assert_eq!(finding.unwrap()["message"], format!("deposits: {why}"));
    assert_eq!(missing(&stage).await, 0);

    let accepted = words(&stage.command(&ACCEPT).await);
    assert!(accepted.contains(&format!("{MARKED} 50")) && !accepted.contains("at once"), "{accepted}");
    assert_eq!(missing(&stage).await, 50);
    let status = words(&stage.command(&["status"]).await);
    assert!(!status.contains("left the list"), "{status}");
    let (listing, finding) = standing(&stage).await;
    assert_eq!((&listing["removals_held"], &listing["removals_held_why"], finding), (&json!(null), &json!(null), None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_its_turn_to_be_confirmed_is_said_and_can_be_let_through() {
    let stage = imported(Database::sqlite().await, 120).await;
    remove(&stage, 45);
    let why = "25 rows that left the list stay as listed until each is confirmed, 20 at a time; `lumo-bridge sync deposits \
               --accept-removals` marks them all as missing now";
    let synced = words(&stage.command(&["sync", "deposits"]).await);
    assert!(synced.contains(why), "{synced}");
    let status = words(&stage.command(&["status"]).await);
    assert!(status.contains(&format!("deposits: {why}")), "{status}");
    let accepted = json(&stage.command(&["sync", "deposits", "--accept-removals", "--json"]).await);
    assert_eq!((&accepted[0]["vanished"], &accepted[0]["removals_held"]), (&json!(45), &json!(null)), "{accepted}");
    assert_eq!(missing(&stage).await, 45);
}

/// Whoever asks for a list to be complete is not told that it is while rows that left it are still shown as listed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn until_complete_ends_and_fails_while_removals_are_held_back() {
    const UNTIL_COMPLETE: [&str; 3] = ["sync", "deposits", "--until-complete"];
    let most = "50 of 60 rows left the list at once, which a broken server is the likelier reason for; they stay as listed \
                until the list shows them again, or `lumo-bridge sync deposits --accept-removals` says that they are gone";
    let portion = "that left the list stay as listed until each is confirmed, 20 at a time; `lumo-bridge sync deposits \
                   --accept-removals` marks them all as missing now";
    for (deposits, removed, why) in [(60, 50, most), (120, 45, portion)] {
        let stage = imported(Database::sqlite().await, deposits).await;
        words(&stage.command(&UNTIL_COMPLETE).await);
        remove(&stage, removed);
        let held = stage.command(&UNTIL_COMPLETE).await;
        assert_eq!(held.status.code(), Some(1), "{held:?}");
        let said = held.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(said.contains(why) && !said.contains("not complete"), "{held:?}");
        let accepted = words(&stage.command(&["sync", "deposits", "--until-complete", "--accept-removals"]).await);
        assert!(!accepted.contains("left the list"), "{accepted}");
        assert_eq!(missing(&stage).await, i64::try_from(removed).unwrap());
        words(&stage.command(&UNTIL_COMPLETE).await);
    }

    let stage = imported(Database::sqlite().await, 60).await;
    remove(&stage, 50);
    let held = stage.command(&["sync", "deposits", "--until-complete", "--json"]).await;
    assert_eq!(held.status.code(), Some(1), "{held:?}");
    let synced = json(&held);
    assert_eq!((&synced[0]["outcome"], &synced[0]["removals_held"]), (&json!("complete"), &json!(most)), "{synced}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn accepting_where_nothing_left_marks_nothing_and_succeeds() {
    let stage = imported(Database::sqlite().await, 30).await;
    for arguments in [&ACCEPT[..], &["sync", "all", "--accept-removals"]] {
        let accepted = words(&stage.command(arguments).await);
        assert!(!accepted.contains(MARKED) && !accepted.contains("not complete"), "{accepted}");
    }
    assert_eq!(missing(&stage).await, 0);
    let refused = stage.command(&["sync", "deposits", "--accept-removals", "--dry-run"]).await;
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
}

on_each_database!(a_daemon_takes_note_of_removals_that_were_accepted_beside_it);

async fn a_daemon_takes_note_of_removals_that_were_accepted_beside_it(database: Database) {
    let mut stage = imported(database, 60).await;
    stage.add_endpoint("ops", "/ops", &["sync.*"]);
    stage.settings.set("server.listen", json!("127.0.0.1:0"));
    let mut daemon = stage.daemon();
    let client = Client::of(&mut daemon).await;
    stage.until_read_again().await;
    remove(&stage, 50);
    until(&stage, |listing| listing["removals_held"] == 50).await;
    // Everybody is told, and how to let them through.
    let remedy = "or `lumo-bridge sync deposits --accept-removals` says that they are gone";
    let object = until_told(&stage, "sync.removals_held").await;
    assert!(object["error"].as_str().is_some_and(|why| why.ends_with(remedy)), "{object}");
    let log = daemon.log();
    assert_eq!((log.matches("rows left the list at once").count(), log.matches(remedy).count()), (1, 1), "{log}");
    let metric = "lumo_bridge_sync_removals_held{listing=\"deposits\"} 50\n";
    eventually!(PATIENCE, "the metric shows them", client.text("/metrics").await.contains(metric));
    assert_eq!(client.get("/readyz").await.status, 200, "what is listed is stored all the same");
    let accepted = words(&stage.command(&ACCEPT).await);
    assert!(accepted.contains(&format!("{MARKED} 50")), "{accepted}");
    // The daemon has begun another round since, and knows nothing of them any more.
    stage.until_read_again().await;
    until(&stage, |listing| listing["removals_held"].is_null() && listing["last_error"].is_null()).await;
    daemon.stop().await;
    assert_eq!(missing(&stage).await, 50);
    assert_eq!(stage.database.count("lumo_sync_state", "memory IS NULL").await, 0, "the command erases nothing");
    let events = |kind: &str| format!("type = '{kind}' AND object_id = 'deposits'");
    assert_eq!(stage.database.count("lumo_events", &events("sync.removals_held")).await, 1);
    assert_eq!(stage.database.count("lumo_events", &events("sync.recovered")).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_whole_list_that_is_gone_is_a_warning_in_each_log_whoever_noticed_it_first() {
    const LINE: &str = "WARN 60 of 60 rows left the list at once";
    let stage = imported(Database::sqlite().await, 60).await;
    remove(&stage, 60);
    words(&stage.command(&["sync", "deposits"]).await);
    for _ in 0..2 {
        let mut daemon = stage.daemon();
        daemon.until_logged(LINE, PATIENCE).await;
        stage.until_read_again().await;
        assert_eq!(daemon.log().matches(LINE).count(), 1, "{}", daemon.log());
        daemon.kill();
    }
    let mut daemon = stage.daemon();
    daemon.until_logged(LINE, PATIENCE).await;
    words(&stage.command(&ACCEPT).await);
    daemon.until_logged("no rows that left the list are held back any more listing=deposits", PATIENCE).await;
    assert_eq!(daemon.log().matches(LINE).count(), 1, "{}", daemon.log());
    daemon.stop().await;
}

/// Waits until the deposits stand so.
async fn until(stage: &Stage, stands: impl Fn(&Value) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let (listing, _) = standing(stage).await;
        if stands(&listing) {
            return;
        }
        assert!(Instant::now() < deadline, "{listing}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
