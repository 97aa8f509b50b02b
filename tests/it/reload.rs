//! SIGHUP: a file that has changed is in force as a whole, or not at all, and nothing is lost on the way.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;

use lumo_simulator::{Received, World};
use serde_json::json;

use crate::database::{Database, on_each_database};
use crate::world::{Bridge, PATIENCE, Stage, eventually, random_changes, seed};

on_each_database!(
    a_new_endpoint_receives_what_comes_from_then_on,
    the_settings_of_a_process_that_was_killed_differ_from_nobodys,
);

const IN_FORCE: &str = "configuration reloaded; it is in force";
const REFUSED: &str = "configuration not reloaded; the one before stays in force";
const DIFFERS: &str = "another running process has other settings for this endpoint";

async fn stage(database: Database) -> Stage {
    let world = World::live(seed());
    world.seed(20, 40);
    Stage::new(database, world).await
}

/// Changes the file, and waits until that was taken in.
async fn reload(bridge: &mut Bridge, file: &Path, text: &str, answer: &str) {
    let before = bridge.log().matches(answer).count();
    fs::write(file, text).unwrap();
    bridge.signal("HUP");
    eventually!(PATIENCE, format!("`{answer}` is logged"), bridge.log().matches(answer).count() > before);
    assert!(bridge.is_running());
}

async fn a_new_endpoint_receives_what_comes_from_then_on(database: Database) {
    let mut stage = stage(database).await;
    let file = stage.config_file();
    let mut bridge = stage.daemon_on(&file);
    stage.until_imported().await;
    let announced = stage.announced().await;
    let early = stage.world.add_deposit_for("user-000001", "1").unwrap().id.to_string();
    stage.until_mirrored().await;

    stage.add_endpoint("books", "/books", &["deposit.*"]);
    stage.add_endpoint("gone", "/gone", &["deposit.*"]);
    reload(&mut bridge, &file, &stage.settings.to_string(), IN_FORCE).await;
    stage.settings.set("callbacks.endpoints.gone", json!(null));
    let mut without = serde_json::from_str::<serde_json::Value>(&stage.settings.to_string()).unwrap();
    without["callbacks"]["endpoints"].as_object_mut().unwrap().remove("gone");
    // Things go on happening while one set of parts follows the other.
    random_changes(&stage.world, 20);
    reload(&mut bridge, &file, &without.to_string(), IN_FORCE).await;
    random_changes(&stage.world, 20);
    // It wants events until the parts of before, which have it, have ended.
    let removed = "SELECT COUNT(*) FROM lumo_endpoints WHERE name = 'gone' AND removed_at IS NOT NULL";
    stage.database.until_at_least(1, PATIENCE, removed).await;
    let late = stage.world.add_deposit_for("user-000001", "2").unwrap().id.to_string();
    stage.until_mirrored().await;
    let told = "endpoint IN ('shop', 'books') AND state NOT IN ('delivered', 'skipped')";
    eventually!(PATIENCE, "all is delivered", stage.database.count("lumo_deliveries", told).await == 0);
    bridge.stop().await;

    stage.assert_told_once_and_in_order(&announced).await;
    let created = |id: &str| {
        let is_it = |request: &Received| {
            request.path == "/books"
                && request.event_type.as_deref() == Some("deposit.created")
                && request.json().is_some_and(|body| body["data"]["object"]["id"] == *id)
        };
        stage.receiver.received().iter().filter(|request| is_it(request)).count()
    };
    assert_eq!((created(&early), created(&late)), (0, 1));
    let to = |name: &str| {
        format!("endpoint = '{name}' AND event_id IN (SELECT id FROM lumo_events WHERE object_id = '{late}')")
    };
    assert_eq!(stage.database.count("lumo_deliveries", &to("books")).await, 1);
    assert_eq!(stage.database.count("lumo_deliveries", &to("gone")).await, 0, "it was taken out before");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_file_changes_nothing() {
    let stage = stage(Database::sqlite().await).await;
    let file = stage.config_file();
    let mut bridge = stage.daemon_on(&file);
    stage.until_imported().await;
    let right = stage.settings.to_string();
    let changed = |path: &str, value: serde_json::Value| {
        let mut settings = stage.settings.clone();
        settings.set("callbacks.endpoints.shop.url", json!("http://127.0.0.1:9/"));
        settings.set(path, value);
        settings.to_string()
    };
    for (text, why) in [
        ("callbacks: [".to_owned(), "YAML"),
        (changed("callbacks.endpoints.shop.events", json!(["deposit.craeted"])), "did you mean"),
        (changed("callbacks.endpoints.shop.secrets", json!([{ "env": "NOT_SET_HERE" }])), "`NOT_SET_HERE` is not set"),
        (
            changed("callbacks.endpoints.shop.secrets", json!([{ "value": "whsec_c2hvcnQ=" }])),
            "the key is 5 bytes long",
        ),
        (changed("sync.deposits.schedule", json!("every day")), "write five"),
        (changed("lumo.rate", json!("many")), "lumo.rate"),
        (changed("database.url", json!("sqlite:///elsewhere.db")), "`database` has changed, which takes a restart"),
        (changed("server.listen", json!("127.0.0.1:1")), "`server.listen` has changed, which takes a restart"),
        (changed("log.format", json!("json")), "`log.format` has changed, which takes a restart"),
        (changed("telemetry.traces", json!("http://127.0.0.1:9/")), "`telemetry` has changed, which takes a restart"),
    ] {
        reload(&mut bridge, &file, &text, REFUSED).await;
        let log = bridge.log();
        let said = log.lines().rfind(|line| line.contains(REFUSED)).unwrap();
        assert!(said.contains(why), "{why}: {said}");
        assert!(!said.contains("c2hvcnQ="), "{said}");
    }
    fs::remove_file(&file).unwrap();
    bridge.signal("HUP");
    bridge.until_logged("there is no such file", PATIENCE).await;

    let announced = stage.announced().await;
    random_changes(&stage.world, 20);
    stage.until_mirrored().await;
    stage.until_delivered().await;
    assert_eq!(bridge.log().matches(IN_FORCE).count(), 0);
    reload(&mut bridge, &file, &right, IN_FORCE).await;
    random_changes(&stage.world, 20);
    stage.until_mirrored().await;
    stage.until_delivered().await;
    bridge.stop().await;
    stage.assert_told_once_and_in_order(&announced).await;
}

/// Each alias ten of the one before.
fn laughs() -> String {
    (1..10).fold("a0: &a0 [x]\n".to_owned(), |text, level| {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        format!("{text}a{level}: &a{level} [{aliases}]\n")
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_could_end_the_process_is_refused_and_callbacks_go_on() {
    let mut stage = stage(Database::sqlite().await).await;
    stage.settings.set("callbacks.endpoints.shop.headers", json!({ "X-Type": "{{ type }}" }));
    let file = stage.config_file();
    let mut bridge = stage.daemon_on(&file);
    stage.until_imported().await;
    let announced = stage.announced().await;
    let right = stage.settings.to_string();
    let shop = |key: &str, value: serde_json::Value| {
        let mut settings = stage.settings.clone();
        settings.set(&format!("callbacks.endpoints.shop.{key}"), value);
        settings.to_string()
    };
    let templated = |template: String| shop("body", json!(template));
    let addressed = |template: &str| shop("url", json!(format!("http://127.0.0.1:9/{template}")));
    let headed = |template: &str| shop("headers", json!({ "X-Type": template }));
    let chosen = |expression: &str| shop("when", json!(expression));
    let chain = |length: usize| format!("{{{{ {} }}}}", vec!["1"; length].join("+"));
    let replaced = "{% set x = range(9999) | join %}{{ x | replace('1', x) }}";
    for (text, why) in [
        ("- ".repeat(100_000), "is nested more than 64 deep"),
        (format!("log: {}", "[".repeat(100_000)), "is nested more than 64 deep"),
        (laughs(), "aliases written out"),
        (right.clone() + &" ".repeat(1024 * 1024), "is larger than 1048576 bytes"),
        (templated("{{ [1] * 10**12 }}".to_owned()), "`**` is not available"),
        (templated("{{ 'a\nb' | indent(100000000000000) }}".to_owned()), "`indent` takes at most 100 blanks"),
        (templated("{{ '%99999999999d' | format(1) }}".to_owned()), "`format` takes widths of at most 999"),
        (templated(replaced.to_owned()), "more than 4194304 bytes would be made"),
        (templated("{% for i in range(9999) %}{% set x = x ~ x %}{% endfor %}".to_owned()), "values into one"),
        (templated("{% set x = x ~ x %}".repeat(60)), "values into one"),
        (templated("{% for i in range(9999) %}{% for j in range(9999) %}{% endfor %}{% endfor %}".to_owned()), "fuel"),
        (templated(chain(100_000)), "longer than 64000 bytes"),
        (templated(chain(30_000)), "more than 1000 words"),
        (templated(format!("{{{{ {}1{} }}}}", "(".repeat(30_000), ")".repeat(30_000))), "more than 1000 words"),
        (templated("{% if type %}".repeat(4_000)), "more than 1000 tags"),
        (templated(format!("{}{}", "{% if type %}".repeat(400), "{% endif %}".repeat(400))), "recursion"),
        (addressed("{{ [1] * 10**12 }}"), "`**` is not available"),
        (addressed(&chain(30_000)), "more than 1000 words"),
        (headed("{{ [1] * 10**12 }}"), "`**` is not available"),
        (headed(&chain(30_000)), "more than 1000 words"),
        (chosen("[1] * 10**12 == type"), "arithmetic is not available"),
        (chosen(&vec!["1"; 100_000].join("+")), "the expression is longer than 4096 bytes"),
        (chosen(&"(".repeat(4_000)), "the expression has more than 1000 words"),
    ] {
        reload(&mut bridge, &file, &text, REFUSED).await;
        let log = bridge.log();
        let said = log.lines().rfind(|line| line.contains(REFUSED)).unwrap();
        assert!(said.contains(why), "{why}: {}", said.get(..2_000).unwrap_or(said));
        stage.world.add_deposit_for("user-000001", "1").unwrap();
    }
    stage.until_mirrored().await;
    stage.until_delivered().await;
    assert_eq!(bridge.log().matches(IN_FORCE).count(), 0);
    reload(&mut bridge, &file, &right, IN_FORCE).await;
    bridge.stop().await;
    stage.assert_told_once_and_in_order(&announced).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_is_not_taken_for_another_process() {
    let mut stage = stage(Database::sqlite().await).await;
    let file = stage.config_file();
    let mut bridge = stage.daemon_on(&file);
    stage.until_imported().await;
    for concurrency in [1, 2, 3] {
        stage.database.until_at_least(1, PATIENCE, "SELECT COUNT(*) FROM lumo_processes").await;
        stage.settings.set("callbacks.endpoints.shop.concurrency", json!(concurrency));
        reload(&mut bridge, &file, &stage.settings.to_string(), IN_FORCE).await;
    }
    let log = bridge.log();
    assert!(!log.contains(DIFFERS), "{log}");
    assert_eq!(log.matches("INFO started").count(), 1, "a reload says that it is in force: {log}");

    stage.settings.set("callbacks.endpoints.shop.concurrency", json!(4));
    let mut second = stage.daemon();
    second.until_logged(DIFFERS, PATIENCE).await;
    bridge.until_logged(DIFFERS, PATIENCE).await;
    second.stop().await;
    bridge.until_logged("no other running process has other settings for this endpoint any more", PATIENCE).await;
    assert_eq!(bridge.log().matches(DIFFERS).count(), 1, "{}", bridge.log());
    bridge.stop().await;
}

async fn the_settings_of_a_process_that_was_killed_differ_from_nobodys(database: Database) {
    let mut stage = stage(database).await;
    let bridge = stage.daemon();
    stage.until_imported().await;
    stage.database.until_at_least(1, PATIENCE, "SELECT MAX(beat) FROM lumo_processes").await;
    bridge.kill();
    let left = stage.database.value("SELECT process FROM lumo_processes").await;
    stage.settings.set("callbacks.endpoints.shop.url", json!(stage.receiver.url("/another/secret")));
    let bridge = stage.daemon();
    let beats = format!("SELECT COALESCE(MAX(beat), 0) FROM lumo_processes WHERE process <> {left}");
    stage.database.until_at_least(4, PATIENCE, &beats).await;
    assert!(!bridge.log().contains(DIFFERS), "{}", bridge.log());
    bridge.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn schedules_the_key_and_the_level_of_the_log_change_with_the_file() {
    let mut stage = stage(Database::sqlite().await).await;
    stage.settings.set("sync.deposits.schedule", json!("@yearly"));
    stage.settings.set("log.level", json!("warn"));
    let file = stage.config_file();
    let mut bridge = stage.daemon_on(&file);
    stage.until_imported().await;
    let deposit = stage.world.add_deposit_for("user-000001", "1").unwrap().id.to_string();
    let key = stage.world.rotate_key();
    bridge.until_logged("Lumo refuses the API key", PATIENCE).await;
    assert!(!bridge.log().contains("INFO"), "{}", bridge.log());

    stage.settings.set("lumo.api_key", json!({ "value": key }));
    stage.settings.set("sync.deposits.schedule", json!("* * * * * *"));
    stage.settings.set("log.level", json!("debug"));
    reload(&mut bridge, &file, &stage.settings.to_string(), IN_FORCE).await;
    let row = format!("SELECT COUNT(*) FROM lumo_user_deposits WHERE id = '{deposit}'");
    stage.database.until_at_least(1, PATIENCE, &row).await;
    bridge.until_logged("DEBUG", PATIENCE).await;
    bridge.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_admin_http_answers_all_the_time() {
    let mut stage = stage(Database::sqlite().await).await;
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    stage.settings.set("server.listen", json!(address));
    let file = stage.config_file();
    let mut bridge = stage.daemon_on(&file);
    bridge.until_logged("started", PATIENCE).await;
    let asking = std::thread::spawn(move || (0..400).filter(|_| !is_healthy(address)).count());
    let text = stage.settings.to_string();
    while !asking.is_finished() {
        reload(&mut bridge, &file, &text, IN_FORCE).await;
    }
    assert_eq!(asking.join().unwrap(), 0, "requests that were not answered");
    bridge.stop().await;
}

fn is_healthy(address: SocketAddr) -> bool {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(address)?;
        stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    ask().is_ok_and(|answer| answer.starts_with("HTTP/1.1 200 "))
}
