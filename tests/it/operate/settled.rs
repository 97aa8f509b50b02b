//! When the money is there: told once, in order, by the statuses that the merchant names and no other.

use std::path::PathBuf;
use std::time::Duration;

use lumo_simulator::{DepositShape, Quirks, World};
use serde_json::{Value, json};

use crate::database::{Database, on_each_database};
use crate::world::{Bridge, PATIENCE, Stage, eventually, seed};

on_each_database!(
    a_deposit_is_told_as_settled_once_and_after_it_appeared,
    a_list_that_changes_tells_nothing_old,
    a_list_that_changes_again_and_again_tells_nothing_twice_and_nothing_old,
);

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

/// A daemon whose list of statuses changes, and the deposits that it looks on.
struct Changing {
    stage: Stage,
    file: PathBuf,
    bridge: Bridge,
}

impl Changing {
    async fn new(database: Database) -> (Self, String) {
        let (mut stage, old) = stage(database, DepositShape::Flat).await;
        stage.settings.set("lumo.settled_statuses", json!([]));
        let file = stage.config_file();
        let bridge = stage.daemon_on(&file);
        stage.until_imported().await;
        (Self { stage, file, bridge }, old)
    }

    fn write(&mut self, statuses: &[&str]) {
        self.stage.settings.set("lumo.settled_statuses", json!(statuses));
        std::fs::write(&self.file, self.stage.settings.to_string()).unwrap();
    }

    /// Names other statuses, and waits until they are what is read by. The log and `check` say how many deposits have such a
    /// status already.
    async fn reload(&mut self, statuses: &[&str], before: i64) {
        let reads = "this process reads the listings";
        let reading = self.bridge.log().matches(reads).count();
        let told = self.bridge.log().matches(&said(before)).count();
        self.write(statuses);
        self.bridge.signal("HUP");
        eventually!(PATIENCE, "the new list is read by", self.bridge.log().matches(reads).count() > reading);
        if before > 0 {
            eventually!(PATIENCE, said(before), self.bridge.log().matches(&said(before)).count() > told);
        }
        self.assert_checked(before).await;
    }

    /// The same by a start.
    async fn restart(&mut self, statuses: &[&str], before: i64) {
        self.write(statuses);
        self.bridge.signal("TERM");
        eventually!(PATIENCE, "it has stopped", !self.bridge.is_running());
        self.bridge = self.stage.daemon_on(&self.file);
        self.bridge.until_logged("this process reads the listings", PATIENCE).await;
        self.assert_checked(before).await;
    }

    async fn assert_checked(&self, before: i64) {
        let check = self.stage.command(&["check"]).await;
        let words = "deposits that had such a status before it was named: ";
        match before {
            0 => assert!(!check.stdout.contains(words), "{check:?}"),
            _ => assert!(check.stdout.contains(&format!("{words}{before};")), "{before}: {check:?}"),
        }
    }

    /// A new deposit that goes through these statuses, each of them seen.
    async fn deposit(&self, statuses: &[&str]) -> String {
        let id = self.stage.world.add_deposit_for("bob", "1.5").unwrap().id.to_string();
        until_status(&self.stage, &id, "new").await;
        self.goes(&id, statuses).await;
        id
    }

    async fn goes(&self, id: &str, statuses: &[&str]) {
        for status in statuses {
            self.stage.world.set_deposit_status(id.parse().unwrap(), status).unwrap();
            until_status(&self.stage, id, status).await;
        }
    }

    /// Asserts which deposits were told as settled so far, each of them once, and no other.
    async fn assert_settled(&self, expected: &[&str]) {
        let kind = self.stage.database.quote("type");
        let sql = format!("SELECT object_id FROM lumo_events WHERE {kind} = 'deposit.settled' ORDER BY seq");
        let told = self.stage.database.rows(&sql).await.into_iter().map(|row| row[0].clone().unwrap());
        assert_eq!(told.collect::<Vec<_>>(), expected);
    }

    async fn listed_as_settled(&self) -> Vec<String> {
        let listed = self.stage.command(&["deposit", "list", "--settled", "--json"]).await;
        let rows: Vec<Value> =
            serde_json::from_str(&listed.stdout).unwrap_or_else(|error| panic!("{error}: {listed:?}"));
        rows.iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect()
    }
}

fn said(before: i64) -> String {
    format!("nothing is sent about them, `lumo-bridge deposit list --settled` shows them deposits={before}")
}

async fn a_list_that_changes_again_and_again_tells_nothing_twice_and_nothing_old(database: Database) {
    let (mut daemon, old) = Changing::new(database).await;
    let announced = daemon.stage.announced().await;
    // While no status is named.
    let confirmed = daemon.deposit(&["confirmed"]).await;
    let credited = daemon.deposit(&["credited"]).await;
    let waiting = daemon.deposit(&[]).await;
    daemon.assert_settled(&[]).await;

    // `old` and `confirmed` have it.
    daemon.reload(&["confirmed"], 2).await;
    let first = daemon.deposit(&["confirmed"]).await;
    let unnamed = daemon.deposit(&["credited"]).await;
    daemon.goes(&waiting, &["confirmed"]).await;
    daemon.assert_settled(&[&first, &waiting]).await;
    let listed = daemon.listed_as_settled().await;
    for id in [&old, &confirmed, &first, &waiting] {
        assert!(listed.contains(id), "{id}: {listed:?}");
    }
    assert_eq!(listed.len(), 4, "{listed:?}");

    // And those that were credited in the meantime.
    daemon.reload(&["confirmed", "credited"], 4).await;
    let second = daemon.deposit(&["confirmed", "credited"]).await;
    daemon.goes(&first, &["credited", "new", "credited"]).await;
    daemon.goes(&confirmed, &["credited"]).await;
    daemon.goes(&credited, &["failed", "credited", "confirmed"]).await;
    daemon.assert_settled(&[&first, &waiting, &second]).await;
    assert_eq!(daemon.listed_as_settled().await.len(), 7);
    // What has moved since is settled in silence, and not to be counted any more.
    daemon.restart(&["confirmed", "credited"], 2).await;

    // Nothing is settled by no status, and what was settled before stays told.
    daemon.reload(&[], 0).await;
    let between = daemon.deposit(&["confirmed"]).await;
    daemon.goes(&second, &["failed"]).await;
    let refused = daemon.stage.command(&["deposit", "list", "--settled"]).await;
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    daemon.restart(&[], 0).await;
    daemon.assert_settled(&[&first, &waiting, &second]).await;

    // `unnamed` has it; `between` has it for the first time after it was named.
    daemon.reload(&["credited"], 1).await;
    daemon.goes(&between, &["credited"]).await;
    daemon.goes(&second, &["credited"]).await;
    daemon.goes(&unnamed, &["failed", "credited"]).await;
    let third = daemon.deposit(&["credited"]).await;
    daemon.assert_settled(&[&first, &waiting, &second, &between, &third]).await;

    // `old` is still confirmed. By a start with another list nothing old is told either.
    let late = daemon.deposit(&["confirmed"]).await;
    daemon.restart(&["credited", "confirmed"], 2).await;
    daemon.goes(&late, &["credited", "confirmed"]).await;
    daemon.goes(&old, &["credited"]).await;
    let last = daemon.deposit(&["confirmed", "credited"]).await;
    daemon.stage.until_mirrored().await;
    daemon.stage.until_delivered().await;
    let told = [&*first, &waiting, &second, &between, &third, &last];
    daemon.assert_settled(&told).await;
    let listed = daemon.listed_as_settled().await;
    for id in told.into_iter().chain([&*old, &confirmed, &credited, &unnamed, &late]) {
        assert!(listed.iter().any(|listed| listed == id), "{id}: {listed:?}");
    }
    daemon.bridge.stop().await;
    for id in told {
        let sent = daemon.stage.receiver.received().into_iter().filter(|request| {
            request.event_type.as_deref() == Some("deposit.settled")
                && request.json().is_some_and(|body| body["data"]["object"]["id"] == *id)
        });
        assert_eq!(sent.count(), 1, "{id}");
    }
    daemon.stage.assert_told_once_and_in_order(&announced).await;
}
