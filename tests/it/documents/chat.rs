//! The recipes for chats and mail are configurations that load, with templates that fit every event that they name.

use config::{FileFormat, Format, ValueKind};
use lumo_bridge::app;
use lumo_bridge::config::Config;
use lumo_simulator::World;
use serde_json::{Value, json};

use super::{blocks, document};
use crate::database::Database;
use crate::world::{SECRET, Stage, seed};

const PAGE: &str = "docs/chat.md";

/// The endpoints of the page, by name, with secrets that are there.
fn recipes() -> Vec<(String, Value)> {
    let mut recipes = Vec::new();
    for block in blocks(&document(PAGE), "yaml") {
        let table = FileFormat::Yaml.parse(None, &block).unwrap();
        let shown: Value = config::Value::new(None, ValueKind::Table(table)).try_deserialize().unwrap();
        for (name, endpoint) in shown["callbacks"]["endpoints"].as_object().unwrap() {
            let mut endpoint = endpoint.clone();
            endpoint["secrets"] = json!([{ "value": SECRET }]);
            if let Some(bearer) = endpoint.pointer_mut("/auth/bearer") {
                *bearer = json!({ "value": "a-key-of-the-gateway" });
            }
            recipes.push((name.clone(), endpoint));
        }
    }
    recipes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_recipe_of_a_chat_makes_what_the_service_takes() {
    let mut stage = Stage::new(Database::sqlite().await, World::new(seed())).await;
    let recipes = recipes();
    assert_eq!(recipes.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["slack", "telegram", "mail"]);
    for (name, mut endpoint) in recipes {
        endpoint["url"] = stage.receiver.url("/chat").into();
        stage.settings.set(&format!("callbacks.endpoints.{name}"), endpoint);
    }
    let config = Config::load(Some(&stage.config_file()), []).unwrap().config;
    for endpoint in app::endpoints(&config.callbacks).unwrap() {
        assert_eq!(endpoint.rehearse(), [], "{}", endpoint.name());
    }

    for (endpoint, words, member, text) in [
        (
            "slack",
            &[
                "deposit.settled",
                "--set",
                "object.amount=12.5",
                "object.currency=USDT",
                "object.external_id=<!channel> & co",
            ][..],
            "/text",
            ":moneybag: 12.5 USDT from user &lt;!channel&gt; &amp; co, deposit ",
        ),
        ("slack", &["delivery.dead", "--set", "object.endpoint=shop"], "/text", ":x: gave up a callback for shop ("),
        ("slack", &["bridge.test"], "/text", ":warning: bridge.test: slack"),
        ("slack", &["sync.stalled"], "/text", ":warning: sync.stalled: deposits "),
        ("slack", &["sync.recovered"], "/text", ":white_check_mark: sync.recovered: deposits, "),
        (
            "telegram",
            &["deposit.settled", "--set", "object.amount=7", "object.currency=USDT", "object.external_id=42"],
            "/text",
            "Settled: 7 USDT from user 42\ndeposit ",
        ),
        ("telegram", &["sync.stalled"], "/text", "sync.stalled: "),
        ("telegram", &["endpoint.recovered"], "/text", "endpoint.recovered: telegram, "),
        ("mail", &["endpoint.failing"], "/subject", "lumo-bridge: endpoint.failing "),
        ("mail", &["delivery.dead"], "/text", "delivery.dead of delivery "),
        ("mail", &["sync.recovered"], "/text", "sync.recovered of listing "),
    ] {
        let test = [&["endpoint", "test", endpoint, "--event"][..], words].concat();
        let tested = stage.command(&test).await;
        assert_eq!(tested.status.code(), Some(0), "{tested:?}");
        let body = stage.receiver.received().last().unwrap().json().unwrap();
        let found = body.pointer(member).and_then(Value::as_str).unwrap_or_default();
        assert!(found.starts_with(text), "{endpoint}: {body:#}");
        let is_over = found.to_lowercase().contains("this trouble is over") && !found.contains("cannot be reached");
        assert_eq!(is_over, words[0].ends_with(".recovered"), "{endpoint}: {body:#}");
        match endpoint {
            "telegram" => {
                assert!(body["chat_id"].is_i64(), "{body:#}");
                assert_eq!(body["disable_notification"], json!(words[0] == "deposit.settled"), "{body:#}");
            }
            "mail" => assert_eq!(body["to"], json!(["ops@shop.example"])),
            _ => assert_eq!(body.as_object().unwrap().len(), 1, "{body:#}"),
        }
    }
}
