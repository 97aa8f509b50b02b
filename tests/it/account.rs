//! The account guard: the key of another company, or another server, reads nothing, writes nothing and tells nobody anything
//! but that, until it is put right or the tables are given to it.

mod foreign;
mod replicas;
mod writes;

use std::time::Duration;

use lumo_simulator::{Operation, Profile, Quirks, World};
use serde_json::{Value, json};

use crate::database::{Cell, Database, on_each_database};
use crate::world::{Bridge, PATIENCE, Stage, eventually, random_changes, seed};

on_each_database!(
    another_companys_key_reads_and_writes_nothing_until_it_is_put_right,
    another_company_is_adopted_and_the_former_one_counts_for_nothing,
);

const OTHER_KEY: &str = "lb2b_00000000000000000000000000000002";
const IN_FORCE: &str = "configuration reloaded; it is in force";

/// A company that is mirrored, and another one behind a key of its own.
struct Companies {
    stage: Stage,
    other: World,
    own_key: String,
}

/// What the tables hold and tell, and what was asked of Lumo.
struct Before {
    rows: [Vec<Vec<Cell>>; 2],
    events: usize,
    received: usize,
    writes: u64,
}

impl Companies {
    async fn new(database: Database) -> Self {
        Self::with(database, Quirks::default()).await
    }

    async fn with(database: Database, quirks: Quirks) -> Self {
        let world = World::live(seed());
        world.seed(20, 40);
        let own_key = world.api_key();
        let stage = Stage::with(database, world, quirks, Duration::ZERO).await;
        let other = World::live(seed().wrapping_add(1)).with_api_key(OTHER_KEY);
        other.seed(10, 30);
        stage.simulator.add_company(other.clone());
        Self { stage, other, own_key }
    }

    fn take_key(&mut self, key: &str) {
        self.stage.settings.set("lumo.api_key", json!({ "value": key }));
    }

    async fn rows_of(&self, world: &World) -> i64 {
        let company = world.company();
        self.stage.database.count("lumo_user_wallets", &format!("company_id = '{company}'")).await
    }

    async fn events_of(&self, kind: &str) -> i64 {
        let condition = format!("{} = '{kind}'", self.stage.database.quote("type"));
        self.stage.database.count("lumo_events", &condition).await
    }

    async fn until_wrong(&self) {
        let sql = "SELECT COUNT(*) FROM lumo_account WHERE wrong_since IS NOT NULL";
        self.stage.database.until_at_least(1, PATIENCE, sql).await;
    }

    async fn before(&self) -> Before {
        Before {
            rows: self.rows().await,
            events: self.stage.events().await.len(),
            received: self.stage.receiver.count(),
            writes: self.writes(),
        }
    }

    /// Both tables, as far as anything is stored, changed, set apart or called missing.
    async fn rows(&self) -> [Vec<Vec<Cell>>; 2] {
        let of = async |table: &str| {
            let columns = "id, company_id, version, missing_since, former_company_id, fingerprint";
            self.stage.database.rows(&format!("SELECT {columns} FROM {table} ORDER BY id")).await
        };
        [of("lumo_user_wallets").await, of("lumo_user_deposits").await]
    }

    /// How often Lumo was asked to change something.
    fn writes(&self) -> u64 {
        let writes = Operation::ALL.into_iter().filter(|operation| !operation.is_listing());
        writes.map(|operation| self.stage.simulator.requests().of(operation)).sum()
    }

    /// Asserts that since then nothing was stored or called missing, nothing written at Lumo, and nothing told but so often
    /// that the account is the wrong one.
    async fn nothing_of_another_company(&self, before: &Before, told: usize, way: &str) {
        assert_eq!(self.rows().await, before.rows, "{way}: the tables have changed");
        assert_eq!(self.writes(), before.writes, "{way}: something was written at Lumo");
        for table in ["lumo_rejects", "lumo_sync_state"] {
            let condition = if table == "lumo_rejects" { "1 = 1" } else { "removals_held IS NOT NULL" };
            assert_eq!(self.stage.database.count(table, condition).await, 0, "{way}: {table}");
        }
        let events = self.stage.events().await;
        let (old, new) = events.split_at(before.events);
        let kinds: Vec<&str> = new.iter().map(|event| event.kind.as_str()).collect();
        assert_eq!(kinds, vec!["sync.wrong_account"; told], "{way}: what was told");
        let received = self.stage.receiver.received();
        let known = |id: Option<&str>| old.iter().any(|event| id == Some(&*event.id));
        let sent = received[before.received..].iter().filter(|request| !known(request.id.as_deref()));
        let strange: Vec<_> =
            sent.filter(|request| request.event_type.as_deref() != Some("sync.wrong_account")).collect();
        assert!(strange.is_empty(), "{way}: what was sent: {strange:#?}");
    }

    /// Reads once with the right configuration, which ends the episode.
    async fn read_rightly(&self) {
        let synced = self.stage.command(&["sync"]).await;
        assert_eq!(synced.status.code(), Some(0), "{synced:?}");
        self.stage.assert_mirrored().await;
        assert_eq!(self.stage.database.count("lumo_account", "wrong_since IS NOT NULL").await, 0);
    }
}

/// Changes the file, and waits until it is in force.
async fn reload(stage: &Stage, bridge: &mut Bridge, file: &std::path::Path) {
    let before = bridge.log().matches(IN_FORCE).count();
    std::fs::write(file, stage.settings.to_string()).unwrap();
    bridge.signal("HUP");
    eventually!(PATIENCE, "the file is in force", bridge.log().matches(IN_FORCE).count() > before);
}

async fn another_companys_key_reads_and_writes_nothing_until_it_is_put_right(database: Database) {
    let mut companies = Companies::new(database).await;
    let file = companies.stage.config_file();
    let mut bridge = companies.stage.daemon_on(&file);
    companies.stage.until_imported().await;
    companies.stage.until_mirrored().await;
    let announced = companies.stage.announced().await;
    random_changes(&companies.stage.world, 10);
    companies.stage.until_mirrored().await;
    companies.stage.until_delivered().await;
    let (own, other) = (companies.stage.world.company().to_string(), companies.other.company().to_string());
    let told: Vec<Value> = companies.stage.events().await.iter().map(|event| event.json()).collect();
    assert!(!told.is_empty());
    assert!(told.iter().all(|body| body["company_id"] == own && body["environment"].is_string()), "{told:?}");

    // By a reload, and once more by a start.
    companies.take_key(OTHER_KEY);
    reload(&companies.stage, &mut bridge, &file).await;
    companies.until_wrong().await;
    random_changes(&companies.stage.world, 10);
    random_changes(&companies.other, 10);
    companies.stage.until_read_again().await;
    bridge.stop().await;
    let bridge = companies.stage.daemon_on(&file);
    companies.stage.until_read_again().await;

    let status = companies.stage.command(&["status"]).await;
    let sentence = format!("The API key belongs to company {other}, and the tables to company {own}");
    let said = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    assert!(said(&status.stdout).contains(&said(&sentence)), "{status:?}");
    let status: Value = serde_json::from_str(&companies.stage.command(&["status", "--json"]).await.stdout).unwrap();
    assert_eq!(status["findings"][0]["code"], "wrong_account", "{status:#}");
    assert_eq!(status["account"]["wrong"]["company_id"], other, "{status:#}");

    let wallets = companies.other.wallet_count();
    for arguments in [&["wallet", "create", "mallory"][..], &["sync", "deposits"], &["sync", "--dry-run"], &["check"]] {
        let refused = companies.stage.command(arguments).await;
        assert_eq!(refused.status.code(), Some(1), "{arguments:?}: {refused:?}");
        let text = said(&format!("{}{}", refused.stdout, refused.stderr));
        assert!(text.contains(&said(&format!("belongs to company {other}"))), "{arguments:?}: {refused:?}");
        assert!(text.contains("account adopt"), "{arguments:?}: {refused:?}");
    }
    assert_eq!(companies.other.wallet_count(), wallets, "nothing was written at Lumo");
    assert_eq!(companies.rows_of(&companies.other.clone()).await, 0, "nothing was stored");
    assert_eq!(companies.events_of("sync.wrong_account").await, 1);
    let kinds = format!(
        "SELECT COUNT(*) FROM lumo_events WHERE seq > (SELECT seq FROM lumo_events WHERE {} = 'sync.wrong_account')",
        companies.stage.database.quote("type")
    );
    assert_eq!(companies.stage.database.number(&kinds).await, 0, "nobody is told anything else");
    bridge.stop().await;

    // With the right key it goes on by itself.
    companies.take_key(&companies.own_key.clone());
    let bridge = companies.stage.daemon();
    companies.stage.until_mirrored().await;
    companies.stage.until_delivered().await;
    bridge.stop().await;
    assert_eq!(companies.stage.database.count("lumo_account", "wrong_since IS NOT NULL").await, 0);
    companies.stage.assert_told_once_and_in_order(&announced).await;
    assert_eq!(companies.events_of("wallet.missing").await, 0);
}

async fn another_company_is_adopted_and_the_former_one_counts_for_nothing(database: Database) {
    let mut companies = Companies::new(database).await;
    let bridge = companies.stage.daemon();
    companies.stage.until_imported().await;
    companies.stage.until_mirrored().await;
    bridge.stop().await;
    let before = companies.stage.events().await.len();
    let own_rows = companies.rows_of(&companies.stage.world.clone()).await;
    let (own, other) = (companies.stage.world.company().to_string(), companies.other.company().to_string());

    // The daemon that has the former company's key reads on while the tables pass to another.
    let former = companies.stage.daemon();
    companies.stage.until_read_again().await;
    companies.take_key(OTHER_KEY);
    for (arguments, said) in [
        (
            vec!["account", "adopt", &own, "--yes"],
            format!("the configured key belongs to company {other}, not to {own}"),
        ),
        (vec!["account", "adopt", &other], format!("the tables would belong to company {other} in place of {own}")),
    ] {
        let refused = companies.stage.command(&arguments).await;
        assert_eq!((refused.status.code(), refused.stderr.contains(&said)), (Some(2), true), "{refused:?}");
    }
    // As if a deposit had gone this way once.
    let gone = "INSERT INTO lumo_deposit_statuses VALUES ('new', 'gone', 1, 1, '1999-01-01 00:00:00')";
    companies.stage.database.execute(gone).await;
    let adopted = companies.stage.command(&["account", "adopt", &other, "--yes"]).await;
    assert_eq!(adopted.status.code(), Some(0), "{adopted:?}");
    companies.until_wrong().await;
    former.stop().await;
    assert_eq!(companies.stage.events().await.len(), before + 1, "it is the wrong one from then on");

    let bridge = companies.stage.daemon();
    companies.stage.until_imported().await;
    companies.other.add_deposit_for("user-000001", "12.5").unwrap();
    let of_other = format!("company_id = '{other}' AND former_company_id IS NULL");
    let deposits = companies.other.snapshot().deposits.len();
    eventually!(
        PATIENCE,
        "the other company's deposits are there",
        companies.stage.database.count("lumo_user_deposits", &of_other).await == i64::try_from(deposits).unwrap()
    );
    companies.stage.until_delivered().await;
    bridge.stop().await;

    let status: Value = serde_json::from_str(&companies.stage.command(&["status", "--json"]).await.stdout).unwrap();
    assert_eq!(status["listings"][2]["rows"], deposits, "{status:#}");
    assert_eq!(status["listings"][0]["rows"], companies.other.wallet_count(), "{status:#}");
    assert_eq!(status["listings"][2]["gap"], 0, "{status:#}");
    let former = format!("company_id = '{own}' AND former_company_id = '{own}' AND missing_since IS NULL");
    assert_eq!(companies.stage.database.count("lumo_user_wallets", &former).await, own_rows);
    let last = companies.stage.events().await.last().unwrap().json();
    assert_eq!((&last["type"], &last["company_id"]), (&json!("deposit.created"), &json!(other)), "{last:#}");
    assert_eq!(companies.events_of("deposit.created").await, 1, "its list was a first import");

    let transitions = companies.stage.database.count("lumo_deposit_statuses", "last_at < '2000-01-01'").await;
    assert_eq!(transitions, 0, "how the former company's deposits fared says nothing of these");

    // And back: what is known is known.
    companies.take_key(&companies.own_key.clone());
    let adopted = companies.stage.command(&["account", "adopt", &own, "--yes"]).await;
    assert_eq!(adopted.status.code(), Some(0), "{adopted:?}");
    let bridge = companies.stage.daemon();
    companies.stage.until_imported().await;
    companies.stage.until_read_again().await;
    bridge.stop().await;
    let current = "former_company_id IS NULL";
    assert_eq!(companies.stage.database.count("lumo_user_wallets", current).await, own_rows);
    assert_eq!(companies.events_of("deposit.created").await, 1);
    assert_eq!(companies.events_of("deposit.missing").await + companies.events_of("wallet.missing").await, 0);
}

/// The company is found out however little the server says, and a server that says nothing is not believed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_tells_no_company_reads_nothing_into_the_tables_of_one() {
    for profile in [Profile::Refuses, Profile::Absent] {
        let world = World::live(seed());
        let quirks = Quirks { profile, ..Quirks::default() };
        let mut stage = Stage::with(Database::sqlite().await, world.clone(), quirks, Default::default()).await;
        let bridge = stage.daemon();
        stage.until_imported().await;
        assert_eq!(stage.database.count("lumo_account", "1 = 1").await, 0, "an empty list names no company");
        world.add_deposit_for("user-000001", "1").unwrap();
        stage.until_mirrored().await;
        let known = format!("company_id = '{}'", world.company());
        let sql = format!("SELECT COUNT(*) FROM lumo_account WHERE {known}");
        stage.database.until_at_least(1, PATIENCE, &sql).await;
        bridge.stop().await;

        // Another company's key, whose lists are empty as well.
        stage.simulator.add_company(World::live(seed().wrapping_add(1)).with_api_key(OTHER_KEY));
        stage.settings.set("lumo.api_key", json!({ "value": OTHER_KEY }));
        let refused = stage.command(&["sync"]).await;
        assert_eq!(refused.status.code(), Some(1), "{refused:?}");
        assert!(refused.stderr.contains("cannot be found out"), "{refused:?}");
        let missing = stage.database.count("lumo_user_wallets", "missing_since IS NOT NULL").await;
        assert_eq!(missing, 0, "nothing is called missing");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_company_on_another_server_is_adopted_with_everything() {
    let world = World::live(seed());
    world.seed(10, 20);
    let mut stage = Stage::new(Database::sqlite().await, world.clone()).await;
    assert_eq!(stage.command(&["sync"]).await.status.code(), Some(0));
    let shown = stage.command(&["account", "show"]).await;
    let company = world.company().to_string();
    assert!(shown.stdout.contains(&format!("company {company}")), "{shown:?}");
    let runs = stage.database.count("lumo_sync_state", "proved_through IS NOT NULL").await;

    let url = stage.simulator.base_url().replace("127.0.0.1", "localhost");
    stage.settings.set("lumo.base_url", json!(url));
    let refused = stage.command(&["sync"]).await;
    assert!(refused.stderr.contains(&format!("`lumo.base_url` names {url}")), "{refused:?}");
    let adopted = stage.command(&["account", "adopt", &company, "--yes"]).await;
    assert!(adopted.stderr.contains("all that was stored is kept"), "{adopted:?}");
    assert_eq!(stage.database.count("lumo_sync_state", "proved_through IS NOT NULL").await, runs);
    assert_eq!(stage.command(&["sync"]).await.status.code(), Some(0));
    stage.assert_mirrored().await;
    assert_eq!(stage.events().await.len(), 1, "only that the server was another one");
}
