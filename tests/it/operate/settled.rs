//! When the money is there: told once, in order, by the statuses that the merchant names and no other.

use std::time::Duration;

use lumo_simulator::{DepositShape, Quirks, World};
use serde_json::{Value, json};

use crate::database::{Database, on_each_database};
use crate::world::{PATIENCE, Stage, eventually, seed};

on_each_database!(a_deposit_is_told_as_settled_once_and_after_it_appeared, a_list_that_changes_tells_nothing_old);

/// The types of the events about a deposit, in their order.
async fn told(stage: &Stage, deposit: &str) -> Vec<String> {
    let kind = stage.database.quote("type");
    let sql = format!("SELECT {kind} FROM lumo_events WHERE object_id = '{deposit}' ORDER BY seq");
    stage.database.rows(&sql).await.into_iter().map(|row| row[0].clone().unwrap()).collect()
}

async fn settled_events(stage: &Stage) -> i64 {
    let condition = format!("{} = 'deposit.settled'", stage.database.quote("type"));
    stage.database.count("lumo_events", &condition).await
}

async fn until_status(stage: &Stage, deposit: &str, status: &str) {
    let sql = format!("SELECT COUNT(*) FROM lumo_user_deposits WHERE id = '{deposit}' AND status = '{status}'");
    stage.database.until_at_least(1, PATIENCE, &sql).await;
}

/// A company with old deposits, one of them confirmed, and a server of this shape.
async fn stage(database: Database, shape: DepositShape) -> (Stage, String) {
    let world = World::live(seed());
    // From before the first import by the clocks of both sides.
    world.seed(10, 1);
    let old = world.random_deposit().unwrap().id;
    world.set_deposit_status(old, "confirmed").unwrap();
    let mut stage = Stage::with(database, world, Quirks { shape, ..Quirks::default() }, Duration::ZERO).await;
    stage.settings.set("lumo.settled_statuses", json!(["confirmed"]));
    (stage, old.to_string())
}

async fn a_deposit_is_told_as_settled_once_and_after_it_appeared(database: Database) {
    Box::pin(told_once(database, DepositShape::Flat)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_a_deposit_looks_like_it_is_told_once() {
    for shape in [DepositShape::Stringly, DepositShape::Nested] {
        Box::pin(told_once(Database::sqlite().await, shape)).await;
    }
}

async fn told_once(database: Database, shape: DepositShape) {
    let (stage, old) = stage(database, shape).await;
    let bridge = stage.daemon();
    stage.until_imported().await;
    let announced = stage.announced().await;

    let world = stage.world.clone();
    let deposit = world.add_deposit_for("bob", "12.5").unwrap().id;
    until_status(&stage, &deposit.to_string(), "new").await;
    for status in ["confirmed", "failed", "confirmed"] {
        world.set_deposit_status(deposit, status).unwrap();
        until_status(&stage, &deposit.to_string(), status).await;
    }
    // One that has it as it appears: nobody saw it before.
    let at_once = world.add_deposit_for("eve", "3").unwrap().id;
    world.set_deposit_status(at_once, "confirmed").unwrap();
    stage.until_mirrored().await;
    stage.until_delivered().await;
    bridge.stop().await;

    let changed = "deposit.status_changed";
    assert_eq!(
        told(&stage, &deposit.to_string()).await,
        ["deposit.created", changed, "deposit.settled", changed, changed]
    );
    let appeared = told(&stage, &at_once.to_string()).await;
    // The bridge may have seen it between its two moments.
    assert!(
        appeared == ["deposit.created", "deposit.settled"]
            || appeared == ["deposit.created", changed, "deposit.settled"],
        "{appeared:?}"
    );
    let silent = told(&stage, &old).await;
    assert!(!silent.contains(&"deposit.settled".to_owned()), "what is stored in silence is never told: {silent:?}");
    stage.assert_told_once_and_in_order(&announced).await;

    let listed = stage.command(&["deposit", "list", "--settled", "--json"]).await;
    let mut ids: Vec<Value> = serde_json::from_str::<Vec<Value>>(&listed.stdout).expect("a list");
    ids.iter_mut().for_each(|row| *row = row["id"].take());
    ids.sort_by_key(ToString::to_string);
    let mut expected = vec![json!(old), json!(deposit.to_string()), json!(at_once.to_string())];
    expected.sort_by_key(ToString::to_string);
    assert_eq!(ids, expected);

    let statuses = stage.command(&["deposit", "statuses"]).await;
    for words in ["STATUS", "confirmed", "yes", "FROM", "failed", "changes are counted since"] {
        assert!(format!("{}{}", statuses.stdout, statuses.stderr).contains(words), "{words}: {statuses:?}");
    }
    let statuses: Value =
        serde_json::from_str(&stage.command(&["deposit", "statuses", "--json"]).await.stdout).expect("a document");
    assert_eq!(statuses["statuses"], json!([{ "status": "confirmed", "deposits": 3, "is_settled": true }]));
    let times = |from: &str, to: &str| {
        let all = statuses["transitions"].as_array().unwrap().iter();
        all.filter(|one| one["from"] == from && one["to"] == to).map(|one| one["times"].as_i64().unwrap()).sum::<i64>()
    };
    assert_eq!((times("confirmed", "failed"), times("failed", "confirmed")), (1, 1), "{statuses:#}");
    assert!((1..=2).contains(&times("new", "confirmed")), "{statuses:#}");
}

async fn a_list_that_changes_tells_nothing_old(database: Database) {
    let (mut stage, old) = stage(database, DepositShape::Flat).await;
    stage.settings.set("lumo.settled_statuses", json!([]));
    let file = stage.config_file();
    let mut bridge = stage.daemon_on(&file);
    stage.until_imported().await;
    let world = stage.world.clone();
    let deposit = world.add_deposit_for("bob", "1").unwrap().id;
    until_status(&stage, &deposit.to_string(), "new").await;
    world.set_deposit_status(deposit, "confirmed").unwrap();
    until_status(&stage, &deposit.to_string(), "confirmed").await;

    let check = stage.command(&["check"]).await;
    assert!(
        check.stdout.contains("shop: `deposit.settled` is wanted and never sent")
            && check.stdout.contains("deposits have: confirmed (2)"),
        "{check:?}"
    );
    let refused = stage.command(&["deposit", "list", "--settled"]).await;
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");

    stage.settings.set("lumo.settled_statuses", json!(["confirmed"]));
    std::fs::write(&file, stage.settings.to_string()).unwrap();
    bridge.signal("HUP");
    bridge.until_logged("deposits had a settled status before it was named", PATIENCE).await;
    assert!(bridge.log().contains("deposits=2"), "{}", bridge.log());
    let check = stage.command(&["check"]).await;
    assert!(check.stdout.contains("deposits that had such a status before it was named: 2"), "{check:?}");

    // What they do afterwards is told, but not that they are settled.
    for status in ["failed", "confirmed"] {
        world.set_deposit_status(deposit, status).unwrap();
        until_status(&stage, &deposit.to_string(), status).await;
    }
    let fresh = world.add_deposit_for("eve", "2").unwrap().id;
    until_status(&stage, &fresh.to_string(), "new").await;
    world.set_deposit_status(fresh, "confirmed").unwrap();
    until_status(&stage, &fresh.to_string(), "confirmed").await;
    eventually!(PATIENCE, "the new one is settled", settled_events(&stage).await == 1);
    stage.until_delivered().await;
    bridge.stop().await;
    assert_eq!(settled_events(&stage).await, 1);
    assert!(!told(&stage, &deposit.to_string()).await.contains(&"deposit.settled".to_owned()));
    let listed = stage.command(&["deposit", "list", "--settled"]).await;
    for id in [old, deposit.to_string(), fresh.to_string()] {
        assert!(listed.stdout.contains(&id[..8]), "{id}: {listed:?}");
    }
}
