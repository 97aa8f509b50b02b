//! `check`: each thing that can be wrong is found, named, and comes with what to do about it.

mod fitness;
mod listen;
mod roots;
mod untrusted;

use lumo_simulator::{Answer, Fault, World};
use serde_json::{Value, json};
use url::Url;

use crate::database::Database;
use crate::world::{SECRET, Stage, seed};

/// A set-up in which all is well.
async fn healthy() -> Stage {
    let world = World::live(seed());
    world.seed(5, 5);
    let mut stage = Stage::new(Database::sqlite().await, world).await;
    stage.settings.set("lumo.settled_statuses", json!(["confirmed"]));
    stage
}

/// What was found, after the expected exit code.
pub(crate) async fn found(stage: &Stage, arguments: &[&str], code: i32) -> Vec<Value> {
    let finished = stage.command(&[&["check", "--json"], arguments].concat()).await;
    assert_eq!(finished.status.code(), Some(code), "{finished:?}");
    let document: Value = serde_json::from_str(&finished.stdout).expect("standard output is JSON");
    assert_eq!(document["is_healthy"], code == 0);
    document["findings"].as_array().unwrap().clone()
}

/// Asserts that there is this finding, with these words in it and in its hint.
pub(crate) fn assert_found(findings: &[Value], subject: &str, level: &str, words: &str, hint: &str) {
    let text = |finding: &Value, key: &str| finding[key].as_str().unwrap_or_default().to_owned();
    let is_it = |finding: &&Value| {
        text(finding, "subject") == subject
            && text(finding, "level") == level
            && text(finding, "message").contains(words)
            && text(finding, "hint").contains(hint)
    };
    assert!(findings.iter().any(|finding| is_it(&finding)), "no {level} of {subject}: {words} / {hint}: {findings:#?}");
}

fn closed() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}/", listener.local_addr().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_all_is_well_nothing_is_found_and_nothing_is_stored() {
    let stage = healthy().await;
    let findings = found(&stage, &["--send-test"], 0).await;
    assert!(findings.iter().all(|finding| finding["level"] == "ok"), "{findings:#?}");
    for subject in ["configuration", "secrets", "database", "tables", "API key", "clock", "endpoint shop"] {
        assert_found(&findings, subject, "ok", "", "");
    }
    assert_found(&findings, "schedule deposits", "ok", "next ", "");
    assert_eq!(stage.database.number("SELECT COUNT(*) FROM sqlite_master").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn that_no_status_counts_as_settled_is_found_before_there_are_tables() {
    let words = "shop: `deposit.settled` is wanted and never sent, as `lumo.settled_statuses` names no status";
    let remedy = "`lumo-bridge deposit statuses` will show which there are";
    let mut stage = healthy().await;
    stage.settings.set("lumo.settled_statuses", json!([]));
    let warned = |findings: &[Value]| findings.iter().filter(|finding| finding["subject"] == "settled").count();
    for url in [stage.database.url().to_owned(), "sqlite://not-there.db".to_owned()] {
        stage.settings.set("database.url", json!(url));
        let findings = found(&stage, &[], 0).await;
        assert_found(&findings, "settled", "warn", words, remedy);
        assert_eq!(warned(&findings), 1, "{findings:#?}");
    }
    stage.settings.set("database.url", json!("sqlite:///no/such/directory/shop.db"));
    assert_found(&found(&stage, &[], 1).await, "settled", "warn", words, remedy);
    stage.settings.set("callbacks.endpoints.shop.events", json!(["deposit.created"]));
    assert_eq!(warned(&found(&stage, &[], 1).await), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_with_the_api_is_found() {
    let mut stage = healthy().await;
    for (code, words, hint) in [
        (500, "Lumo is unavailable: answer 500", "a daemon asks again by itself; if this lasts, tell Lumo"),
        (429, "Lumo asks for fewer requests", "if this lasts, lower `lumo.rate`, or see what else uses the key"),
        (418, "Lumo refused the request with 418", "check lumo.base_url; if it is right, show Lumo this answer"),
    ] {
        stage.simulator.faults().at_random(1, 1.0, vec![Fault::Status { code, retry_after: None }]);
        assert_found(&found(&stage, &[], 1).await, "API key", "fail", words, hint);
    }
    stage.simulator.faults().clear();
    stage.world.rotate_key();
    assert_found(&found(&stage, &[], 1).await, "API key", "fail", "does not accept the API key", "lumo.api_key");

    stage.settings.set("lumo.base_url", json!(closed()));
    assert_found(&found(&stage, &[], 1).await, "API key", "fail", "no connection", "check that lumo.base_url");
    let text = stage.command(&["check"]).await.stdout;
    assert!(text.contains("fail API key: Lumo is unavailable: no connection: http://127.0.0.1:"), "{text}");

    let mut late = mockito::Server::new_async().await;
    let list = json!({ "wallets": [], "total": 0 }).to_string();
    let page = late.mock("GET", mockito::Matcher::Any).with_header("date", "Mon, 04 May 2026 10:11:12 GMT");
    page.with_body(list).create_async().await;
    stage.settings.set("lumo.base_url", json!(late.url()));
    let remedy = "the bridge goes by this machine's: if that is right, tell Lumo; if not, set it, for example with NTP";
    assert_found(&found(&stage, &[], 0).await, "clock", "warn", "this machine is ", remedy);
}

/// What a mock of the vendor's documentation answers: the same row whatever the offset, beside a total of 0.
fn mocked(path: &str) -> Answer {
    let time = "2026-05-04T10:11:12.345Z";
    let wallet = json!({
        "id": "739896b0-4cb3-40bd-9e5c-eed603333b73",
        "companyId": "61644a25-da5a-4317-94e2-3bc1eca8c766",
        "externalId": "42",
        "address": "TUHwiU8GCgN9nKAqUzTuRiyUZizzjMjWpc",
        "isBlocked": false,
        "lastUsdtBalance": 0,
        "lastTrxBalance": 0,
        "createdAt": time,
    });
    let page = match path {
        "/user-wallets" | "/user-wallets/blocked" => json!({ "wallets": [wallet], "total": 0 }),
        "/user-wallets/deposits" => {
            let deposit = json!({ "id": "d-1", "externalId": "42", "amount": 5, "status": "new", "createdAt": time });
            json!({ "deposits": [deposit], "total": 0 })
        }
        _ => return Answer::status(404),
    };
    Answer { body: page.to_string().into_bytes(), ..Answer::status(200) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mock_is_recognised_and_asked_once_a_schedule() {
    let sentence = "the server answers the same rows at every offset, as the vendor's documentation mock does; they are \
                    stored, and nothing is called complete";
    let mut stage = healthy().await;
    stage.receiver.script(|request| mocked(&request.path));
    let base_url = stage.receiver.url("");
    stage.settings.set("lumo.base_url", json!(base_url));
    stage.settings.set("sync.sweep.schedule", json!("@yearly"));
    let findings = found(&stage, &[], 0).await;
    assert_found(&findings, "wallets", "warn", sentence, "");
    assert_found(&findings, "API key", "ok", "takes it and lists at least 1 wallet, beside a total of 0", "");
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let synced = stage.command(&["sync"]).await;
    assert_eq!(synced.status.code(), Some(1), "{synced:?}");
    assert_eq!(words(&synced.stdout).matches(&format!("not complete: {sentence}")).count(), 3, "{synced:?}");

    let asked = || stage.receiver.received().iter().filter(|one| one.path == "/user-wallets/deposits").count();
    let (before, runs) = (asked(), stage.database.count("lumo_sync_runs", "listing = 'deposits'").await);
    let bridge = stage.daemon();
    stage.until_read_again().await;
    let status = stage.command(&["status"]).await.stdout;
    assert!(words(&status).contains(&format!("deposits: the first import is not done: {sentence}")), "{status}");
    bridge.stop().await;
    let runs = stage.database.count("lumo_sync_runs", "listing = 'deposits'").await - runs;
    let requests = i64::try_from(asked() - before).unwrap();
    assert!(requests <= 3 * (runs + 1), "{requests} requests in {runs} rounds");
    assert_eq!(stage.database.count("lumo_user_deposits", "1 = 1").await, 1);
    let complete = "complete_through IS NOT NULL OR proved_through IS NOT NULL";
    assert_eq!(stage.database.count("lumo_sync_state", complete).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_with_an_endpoint_is_found() {
    let mut stage = healthy().await;
    let other = "whsec_AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
    stage.settings.set("callbacks.endpoints.shop.secrets", json!([{ "value": other }]));
    let findings = found(&stage, &["--send-test"], 1).await;
    assert_found(&findings, "endpoint shop", "fail", "answered 401", "compare the secret");
    assert_found(&found(&stage, &[], 0).await, "endpoint shop", "ok", "accepts connections", "");

    stage.settings.set("callbacks.endpoints.shop.secrets", json!([{ "value": SECRET }]));
    stage.receiver.script(|_| Answer::status(500));
    let findings = found(&stage, &["--send-test"], 1).await;
    assert_found(&findings, "endpoint shop", "fail", "answered 500", "the log of the receiver");

    let plain = stage.receiver.url("/shop");
    stage.settings.set("callbacks.endpoints.shop.url", json!(plain.replace("http://", "https://")));
    let finished = stage.command(&["check", "--send-test"]).await;
    let expected =
        "no secure connection: it does not speak TLS on this port; call it over plain http, or name the port that does";
    assert!(finished.stdout.contains(expected), "{finished:?}");
    assert!(!finished.stdout.contains("certificate"), "{finished:?}");

    stage.settings.set("callbacks.endpoints.shop.url", json!(closed()));
    for arguments in [&[][..], &["--send-test"]] {
        let findings = found(&stage, arguments, 1).await;
        assert_found(&findings, "endpoint shop", "fail", "", "check that the receiver runs");
    }
    stage.settings.set("callbacks.egress.deny", json!(["127.0.0.0/8"]));
    assert_found(&found(&stage, &[], 1).await, "endpoint shop", "fail", "egress.deny", "take the network out");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_with_secrets_and_schedules_is_found() {
    let mut stage = healthy().await;
    stage.settings.set("callbacks.endpoints.shop.secrets", json!([{ "value": "whsec_dG9vIHNob3J0" }]));
    let findings = found(&stage, &[], 1).await;
    let words = "callbacks.endpoints.shop.secrets[0]: the key is 9 bytes long, not 24 to 64";
    assert_found(&findings, "endpoint shop", "fail", words, "openssl rand");
    assert!(!format!("{findings:?}").contains("dG9vIHNob3J0"), "a secret is never shown");

    stage.settings.set("callbacks.endpoints.shop.secrets", json!([{ "env": "SHOP_SECRET_THAT_IS_NOT_SET" }]));
    stage.settings.set("lumo.api_key", json!({ "file": "/no/such/file" }));
    let findings = found(&stage, &[], 1).await;
    assert_found(&findings, "secrets", "fail", "`SHOP_SECRET_THAT_IS_NOT_SET` is not set", "set it");
    assert_found(&findings, "secrets", "fail", "`/no/such/file` cannot be read", "check the path");
    assert_found(&findings, "API key", "fail", "not tried", "");

    let mut stage = healthy().await;
    let old = "whsec_AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
    let old = json!({ "value": old, "not_after": "2025-06-01T00:00:00Z" });
    stage.settings.set("callbacks.endpoints.shop.secrets", json!([{ "value": SECRET }, old]));
    let findings = found(&stage, &[], 0).await;
    assert_found(&findings, "secrets", "warn", "secret 2 of shop ended on 2025-06-01", "correct its `not_after`");
    assert!(findings.iter().all(|finding| finding["message"] != "all at hand"), "{findings:#?}");

    let mut stage = healthy().await;
    stage.settings.set("sync.sweep.schedule", json!("0 0 30 2 *"));
    let findings = found(&stage, &[], 2).await;
    assert_found(&findings, "configuration", "fail", "`0 0 30 2 *` is never due; name a date that exists", "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_with_the_database_is_found() {
    let mut stage = healthy().await;
    stage.settings.set("database.url", json!("sqlite:///no/such/directory/shop.db"));
    for migrate in [true, false] {
        stage.settings.set("database.migrate", json!(migrate));
        let findings = found(&stage, &[], 1).await;
        assert_found(&findings, "database", "fail", "the folder /no/such/directory does not exist", "make the folder");
    }
    // Nobody makes files there, not even root.
    stage.settings.set("database.url", json!("sqlite:///proc/shop.db"));
    let findings = found(&stage, &[], 1).await;
    let words = "there is no such file yet, and none can be made in /proc: ";
    assert_found(&findings, "database", "fail", words, "let this user write to the folder");
    let account = findings.iter().find(|finding| finding["subject"] == "account").unwrap();
    assert!(!account["message"].as_str().unwrap().contains("tables"), "{account}");
    stage.settings.set("database.url", json!(format!("sqlite://{}", std::env::temp_dir().display())));
    let findings = found(&stage, &[], 1).await;
    let words = "unable to open database file";
    assert_found(&findings, "database", "fail", words, "let this user read and write both the file");

    stage.settings.set("database.url", json!("sqlite://not-there.db"));
    stage.settings.set("database.migrate", json!(true));
    let findings = found(&stage, &[], 0).await;
    assert_found(
        &findings,
        "database",
        "ok",
        "/not-there.db: there is no such file yet; `lumo-bridge run` makes it",
        "",
    );
    let here = std::env::temp_dir();
    assert_found(&findings, "database", "ok", &format!("sqlite://{}", here.display()), "");
    stage.settings.set("database.migrate", json!(false));
    assert_found(&found(&stage, &[], 0).await, "database", "warn", "no such file yet", "lumo-bridge migrate up");
    for (url, remedy) in [
        ("sqlite://not-there.db".to_owned(), "run the command where the daemon runs"),
        (format!("sqlite://{}", here.join("not-there.db").display()), "correct `database.url`"),
    ] {
        stage.settings.set("database.url", json!(url));
        let looked = stage.command(&["status"]).await;
        let (_, named) = looked.stderr.split_once("there is no SQLite file ").unwrap_or_else(|| panic!("{looked:?}"));
        let (file, told) = named.split_once(';').unwrap();
        assert!(file.starts_with('/') && file.ends_with("/not-there.db"), "{file}");
        assert!(told.contains(remedy) && told.contains("lumo-bridge migrate up"), "{told}");
        assert!(looked.status.code() != Some(0) && !std::fs::exists(file).unwrap(), "it only looks");
    }
    stage.settings.set("database.url", json!(format!("postgres://me:hush@{}shop", &closed()["http://".len()..])));
    let findings = found(&stage, &[], 1).await;
    assert_found(&findings, "database", "fail", "database not reachable", "runs and can be reached from here");
    assert!(!format!("{findings:?}").contains("hush"));
}

#[test]
fn where_no_configuration_is_found_the_database_of_the_defaults_is_not_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let program = env!("CARGO_BIN_EXE_lumo-bridge");
    let looked = std::process::Command::new(program).arg("status").current_dir(folder.path()).env_clear().output();
    let (looked, url) = (looked.unwrap(), "/lumo-bridge.db, which does not exist");
    let said = String::from_utf8(looked.stderr).unwrap();
    assert_eq!(looked.status.code(), Some(1), "{said}");
    assert!(said.starts_with("error: no configuration file was found; ") && said.contains(url), "{said}");
    assert!(said.contains("name the file with `--config`"), "{said}");
}

/// A user of the server that may do nothing but what everybody may.
pub(crate) struct Nobody<'a> {
    database: &'a Database,
    pub(crate) name: String,
}

impl<'a> Nobody<'a> {
    pub(crate) async fn new(database: &'a Database, create: &str) -> Self {
        let name = format!("lumo_nobody_{:08x}", rand::random::<u32>());
        database.execute(&create.replace("NAME", &name)).await;
        Self { database, name }
    }

    pub(crate) fn url(&self) -> Value {
        let mut url = Url::parse(self.database.url()).unwrap();
        url.set_username(&self.name).unwrap();
        url.set_password(Some("hush")).unwrap();
        json!(url.as_str())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn missing_rights_and_tables_in_another_schema_are_found_on_postgres() {
    let world = World::live(seed());
    let mut stage = Stage::new(Database::postgres().await, world).await;
    stage.database.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC").await;
    let plain = stage.settings.clone();
    let nobody = Nobody::new(&stage.database, "CREATE ROLE NAME LOGIN PASSWORD 'hush'").await;
    let (url, name) = (nobody.url(), nobody.name.clone());
    stage.settings.set("database.url", json!(url.as_str().unwrap().replace(&name, "mistyped")));
    let findings = found(&stage, &[], 1).await;
    assert_found(&findings, "database", "fail", "database not reachable", "correct the user, the password");
    stage.settings.set("database.url", url);
    stage.settings.set("database.migrate", json!(false));
    let findings = found(&stage, &[], 1).await;
    assert_found(&findings, "tables", "fail", "steps pending", "`lumo-bridge migrate up` as a user that may");
    stage.settings.set("database.migrate", json!(true));
    let findings = found(&stage, &[], 1).await;
    assert_found(&findings, "tables", "fail", "tables may not be created", "CREATE on the schema");
    let run = stage.command(&["run"]).await;
    assert!(run.stderr.contains("`lumo-bridge check` says which right the database's user lacks"), "{run:?}");
    stage.settings.set("database.schema", json!("lumo"));
    let findings = found(&stage, &[], 1).await;
    assert_found(&findings, "tables", "fail", "tables may not be created", "CREATE on the database, or on the schema");
    assert!(!format!("{findings:?}").contains("hush"));
    assert!(!format!("{findings:?}").contains(" at line "), "{findings:#?}");
    stage.database.execute(&format!("DROP ROLE {name}")).await;

    stage.settings = plain.clone();
    let create = "CREATE ROLE NAME LOGIN SUPERUSER PASSWORD 'hush'";
    let reader = Nobody::new(&stage.database, create).await;
    stage.database.execute(&format!("ALTER ROLE {} SET default_transaction_read_only = on", reader.name)).await;
    let (url, name) = (reader.url(), reader.name.clone());
    stage.settings.set("database.url", url);
    let finished = stage.command(&["migrate", "up"]).await;
    assert!(finished.stderr.contains("database is read-only, for this user or altogether"), "{finished:?}");
    assert!(
        finished.stderr.contains("hint: name the primary server in `database.url`, or let its user write"),
        "{finished:?}"
    );
    assert!(!finished.stderr.contains("not reachable"), "{finished:?}");
    stage.database.execute(&format!("DROP ROLE {name}")).await;

    // Tables of another schema would be left alone, and a second set made beside them.
    stage.settings = plain;
    stage.settings.set("database.schema", json!("lumo"));
    assert_eq!(stage.command(&["migrate", "up"]).await.status.code(), Some(0));
    let findings = found(&stage, &[], 0).await;
    assert_found(&findings, "tables", "ok", "up to date", "");
    stage.settings.set("database.schema", Value::Null);
    let findings = found(&stage, &[], 0).await;
    assert_found(
        &findings,
        "tables",
        "warn",
        "none here, but there are some in the schema lumo",
        "set `database.schema`",
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn missing_rights_are_found_on_mariadb() {
    let mut stage = Stage::new(Database::mariadb().await, World::live(seed())).await;
    let nobody = Nobody::new(&stage.database, "CREATE USER NAME@'%' IDENTIFIED BY 'hush'").await;
    let (url, name) = (nobody.url(), nobody.name.clone());
    stage.database.execute(&format!("GRANT SELECT ON *.* TO {name}@'%'")).await;
    stage.settings.set("database.url", url);
    let findings = found(&stage, &[], 1).await;
    assert_found(&findings, "tables", "fail", "tables may not be created", "CREATE on the database");
    stage.database.execute(&format!("DROP USER {name}@'%'")).await;
}
