//! Files that are made from the code are what the code makes of them now.
//!
//! `LUMO_TEST_WRITE=1 cargo test --test it -- generated` writes them anew.

mod api;
mod asyncapi;
mod events;
mod metrics;
mod options;
mod tables;
mod types;
mod yaml;

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use config::{FileFormat, Format, ValueKind};
use jsonschema::Validator;
use lumo_bridge::config::Config;
use lumo_bridge::model::catalogue;
use lumo_bridge::model::event::EventType;
use lumo_bridge::model::sample;
use lumo_bridge::store::schema;
use lumo_simulator::World;
use serde_json::Value;

use crate::admin::daemon;
use crate::database::Database;
use crate::store::fixture;
use crate::world::{PATIENCE, Stage, eventually, seed};

static EVENTS: LazyLock<Validator> = LazyLock::new(|| jsonschema::validator_for(&catalogue::schema()).unwrap());

/// Asserts that the body of a callback is as it is published.
pub(crate) fn assert_published(body: &Value) {
    let problems: Vec<String> = EVENTS.iter_errors(body).map(|error| error.to_string()).collect();
    assert!(problems.is_empty(), "{problems:?}: {body:#}");
}

fn path(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Compares a file with what it should be, or writes it if that is asked for.
fn assert_current(name: &str, text: &str) {
    if std::env::var_os("LUMO_TEST_WRITE").is_some() {
        fs::write(path(name), text).unwrap();
        return;
    }
    let stored = fs::read_to_string(path(name)).unwrap_or_default();
    let differs = stored.lines().zip(text.lines()).position(|(stored, made)| stored != made);
    let line = differs.unwrap_or_else(|| stored.lines().count().min(text.lines().count())) + 1;
    assert!(
        stored == text,
        "{name} is out of date from line {line} on: run `LUMO_TEST_WRITE=1 cargo test --test it -- generated`"
    );
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap() + "\n"
}

/// What the callbacks of each type look like.
fn sample(kind: EventType) -> Value {
    serde_json::from_str(&sample::body(kind)).unwrap()
}

#[test]
fn the_schema_of_the_configuration() {
    assert_current("config/lumo-bridge.schema.json", &pretty(&Config::schema()));
}

#[test]
fn the_schema_of_events() {
    assert_current("docs/events.schema.json", &pretty(&catalogue::schema()));
}

#[test]
fn the_list_of_events() {
    assert_current("docs/events.md", &events::document());
}

#[test]
fn the_types_of_other_languages() {
    for (name, text) in types::documents() {
        assert_current(&format!("docs/types/{name}"), &text);
    }
}

#[test]
fn the_description_for_tools() {
    assert_current("docs/asyncapi.yaml", &asyncapi::document());
}

#[test]
fn the_options_of_the_commands() {
    assert_current("docs/options.md", &options::document());
}

#[tokio::test]
async fn the_columns_of_the_tables() {
    let database = Database::sqlite().await;
    schema::up(&fixture::config(&database)).await.unwrap();
    assert_current("docs/tables.md", &tables::document(&database).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_paths_of_the_api() {
    let mut stage = Stage::new(Database::sqlite().await, World::live(seed())).await;
    let (bridge, client) = daemon(&mut stage).await;
    assert_current("docs/api.md", &api::document(&client.read("/api/openapi.json").await));
    bridge.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(not(target_os = "linux"), ignore = "only Linux tells of the process")]
async fn the_series_of_the_metrics() {
    let mut stage = Stage::new(Database::sqlite().await, World::live(seed())).await;
    let (bridge, client) = daemon(&mut stage).await;
    let mut scrape;
    eventually!(PATIENCE, format!("each series is told: {scrape}"), {
        scrape = client.text("/metrics").await;
        metrics::is_whole(&scrape)
    });
    assert_current("docs/metrics.md", &metrics::document(&scrape));
    bridge.stop().await;
}

#[test]
fn the_starter_file_names_the_schema_beside_it() {
    let starter = lumo_bridge::config::starter();
    let named = starter.lines().next().unwrap().strip_prefix("# yaml-language-server: $schema=").unwrap();
    assert_eq!(named, "lumo-bridge.schema.json");
}

#[test]
fn every_configuration_here_is_as_its_schema_says() {
    let schema = jsonschema::validator_for(&Config::schema()).unwrap();
    for name in ["config/default.yaml", "config/example.yaml", "config/starter.yaml", "packaging/config.yaml"] {
        let table = FileFormat::Yaml.parse(None, &fs::read_to_string(path(name)).unwrap()).unwrap();
        let value: Value = config::Value::new(None, ValueKind::Table(table)).try_deserialize().unwrap();
        let problems: Vec<String> =
            schema.iter_errors(&value).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert!(problems.is_empty(), "{name}: {problems:#?}");
    }
    let wrong = serde_json::json!({ "sync": { "deposit": {} } });
    assert!(!schema.is_valid(&wrong), "it finds nothing");
}

#[test]
fn every_sample_is_as_it_is_published_and_nothing_else_is() {
    for &kind in EventType::ALL {
        let body = sample(kind);
        assert_published(&body);
        for (at, wrong) in [
            ("/type", Value::from("deposit.strange")),
            ("/sequence", Value::from("17")),
            ("/timestamp", Value::Null),
            ("/data/object/kind", Value::from("thing")),
            ("/data/object/id", Value::from(7)),
            ("/data/changes", Value::from("none")),
        ] {
            let mut body = body.clone();
            *body.pointer_mut(at).unwrap() = wrong;
            assert!(!EVENTS.is_valid(&body), "{kind}: {at}");
        }
    }
}
