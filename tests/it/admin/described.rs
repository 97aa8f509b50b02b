//! What is answered is what is described: every answer is held against the schema that `/api/openapi.json` gives for it.

use serde_json::{Value, json};

use super::running;
use crate::database::Database;

/// What in the value is not as the schema says; strict about members that no schema names.
fn differences(document: &Value, schema: &Value, value: &Value, at: &str, found: &mut Vec<String>) {
    if let Some(reference) = schema["$ref"].as_str() {
        let target = document.pointer(reference.strip_prefix('#').unwrap()).expect("a reference leads somewhere");
        return differences(document, target, value, at, found);
    }
    if let Some(choices) = schema["anyOf"].as_array() {
        let fits = |choice: &Value| {
            let mut found = Vec::new();
            differences(document, choice, value, at, &mut found);
            found.is_empty()
        };
        if !choices.iter().any(fits) {
            found.push(format!("{at} is none of the choices: {value}"));
        }
        return;
    }
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let kinds: Vec<&str> = match &schema["type"] {
        Value::String(kind) => vec![kind],
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => vec![kind],
    };
    if !kinds.contains(&kind) {
        return found.push(format!("{at} is {kind}, not {kinds:?}"));
    }
    if let Some(items) = value.as_array() {
        for (index, item) in items.iter().enumerate() {
            differences(document, &schema["items"], item, &format!("{at}[{index}]"), found);
        }
    }
    let (Some(members), Some(properties)) = (value.as_object(), schema["properties"].as_object()) else { return };
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !members.contains_key(name) {
            found.push(format!("{at}.{name} is missing"));
        }
    }
    for (name, member) in members {
        match properties.get(name) {
            Some(schema) => differences(document, schema, member, &format!("{at}.{name}"), found),
            None => found.push(format!("{at}.{name} is not described")),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_is_as_it_is_described() {
    let (_stage, bridge, client) = running(Database::sqlite().await, 2).await;
    let document = client.read("/api/openapi.json").await;
    let assert_described = |operation: &Value, status: u16, body: &Value, what: &str| {
        let responses = &operation["responses"];
        let response = if status == 200 { &responses["200"] } else { &responses[format!("{}XX", status / 100)] };
        let schema = &response["content"]["application/json"]["schema"];
        assert!(schema.is_object(), "{what}: {status} is not described: {operation}");
        let mut found = Vec::new();
        differences(&document, schema, body, "", &mut found);
        assert!(found.is_empty(), "{what}: {found:#?} in {body:#}");
    };
    let first = async |path: &str, key: &str| client.read(path).await["data"][0][key].as_str().unwrap().to_owned();
    let ids = [
        ("wallets", first("/api/wallets", "id").await),
        ("deposits", first("/api/deposits", "id").await),
        ("events", first("/api/events", "id").await),
        ("deliveries", first("/api/deliveries", "id").await),
        ("endpoints", "shop".to_owned()),
    ];
    let mut answered = 0;
    for (path, operations) in document["paths"].as_object().unwrap() {
        let group = path.split('/').nth(2).unwrap();
        let id = ids.iter().find(|(name, _)| *name == group).map_or("none", |(_, id)| id);
        let concrete = path.replace("{id}", id).replace("{name}", id);
        if let Some(get) =
            operations.get("get").filter(|get| get["responses"]["200"]["content"]["application/json"].is_object())
        {
            let answer = client.get(&concrete).await;
            assert_eq!(answer.status, 200, "{concrete}: {answer:?}");
            assert_described(get, 200, &answer.body, &concrete);
            let refused = client.get(&format!("{path}?no_such=1").replace("{id}", "none")).await;
            if refused.status != 200 {
                assert_described(get, refused.status, &refused.body, path);
            }
            answered += 1;
        }
        if let Some(post) = operations.get("post") {
            let body = match path.as_str() {
                "/api/wallets" => json!({ "externalId": "user 9" }),
                "/api/events/replay" => json!({ "endpoint": "shop", "since": "1d" }),
                path if path.ends_with("/skip") || path.contains("/wallets/") => json!({ "reason": "described" }),
                _ => json!({}),
            };
            let answer = client.post(&concrete, &body).await;
            assert_described(post, answer.status, &answer.body, &concrete);
            let refused = client.post(&concrete, &json!({ "no_such": 1 })).await;
            assert_eq!(refused.status, 400, "{concrete}: {refused:?}");
            assert_described(post, 400, &refused.body, &concrete);
            answered += 1;
        }
    }
    assert!(answered >= 20, "{answered}");
    bridge.stop().await;
}
