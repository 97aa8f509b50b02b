//! `docs/api.md`: each path of the HTTP API, what it takes and what it answers, as its OpenAPI description has it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;

const OPENING: &str = "\
<!-- Made from the code: LUMO_TEST_WRITE=1 cargo test --test it -- generated -->

# The HTTP API

What the daemon answers on `server.listen`, <http://127.0.0.1:8600/> unless configured otherwise. `GET /api/openapi.json` describes the
same for tools. [Over HTTP](commands.md#over-http) has examples, the dashboard, and what is not below `/api`.

- **Who may call.** Without a token in the configuration, everybody on this machine. Once `server.token` or `server.read_token` is set,
  callers send one as `Authorization: Bearer …`. GET takes either; POST and DELETE take `server.token` only
  ([who may look, and who may act](operations.md#who-may-look-and-who-may-act)).
- **What is sent.** A POST has `Content-Type: application/json` and an object of at most 64 KiB; no body counts as `{}`. What stands in a
  path is percent-encoded. In a list and in a body, a name that is not known is refused.
- **Lists** come page by page. `next` of a page is `after` of the next one, and null on the last.
- **What is not done** is answered with 4xx or 5xx and a `Refusal`: `code` is for programs, `message` and `hint` are for people.

Members have the names of the columns in [the tables](tables.md) where they are the same. New ones may be added.
";

pub(super) fn document(description: &Value) -> String {
    let mut text = OPENING.to_owned();
    let (mut group, mut answers) = ("", BTreeMap::new());
    for (path, operations) in description["paths"].as_object().unwrap() {
        let own = path.split('/').nth(2).unwrap();
        if own != group {
            let (first, rest) = own.split_at(1);
            writeln!(text, "\n## {}{rest}", first.to_uppercase()).unwrap();
            group = own;
        }
        for (method, operation) in operations.as_object().unwrap() {
            writeln!(text, "\n### `{} {path}`\n", method.to_uppercase()).unwrap();
            let content = operation["responses"]["200"]["content"].as_object().unwrap();
            let (kind, content) = content.iter().next().unwrap();
            let answer = named(&content["schema"]).unwrap_or_else(|| format!("`{kind}`"));
            writeln!(text, "{}. Answers {answer}.", operation["summary"].as_str().unwrap()).unwrap();
            inputs(&mut text, description, operation);
            gather(&mut answers, description, &operation["responses"]);
        }
    }
    text.push_str("\n## What is answered\n\n| name | is | members |\n|---|---|---|\n");
    for (name, schema) in answers {
        let members = schema["properties"].as_object().into_iter().flatten();
        let members = members.map(|(name, member)| match named(member) {
            Some(kind) => format!("`{name}` ({kind})"),
            None => format!("`{name}`"),
        });
        writeln!(text, "| `{name}` | {} | {} |", words(schema), members.collect::<Vec<_>>().join(", ")).unwrap();
    }
    text
}

/// What stands in the path, the query and the body, as a table.
fn inputs(text: &mut String, description: &Value, operation: &Value) {
    let mut rows = String::new();
    let mut row = |name: &str, place: &str, schema: &Value, is_required: bool, words: &str| {
        let required = if is_required { ", required" } else { "" };
        writeln!(rows, "| `{name}` | {place} | {}{required} | {words} |", kind(description, schema)).unwrap();
    };
    for parameter in operation["parameters"].as_array().unwrap() {
        let (name, place) = (parameter["name"].as_str().unwrap(), parameter["in"].as_str().unwrap());
        row(name, place, &parameter["schema"], parameter["required"] == true, &words(parameter));
    }
    let body = &operation["requestBody"]["content"]["application/json"]["schema"];
    for (name, member) in body["properties"].as_object().into_iter().flatten() {
        let is_required = body["required"].as_array().into_iter().flatten().any(|required| required == name.as_str());
        row(name, "body", member, is_required, &words(member));
    }
    if !rows.is_empty() {
        write!(text, "\n| name | in | type | |\n|---|---|---|---|\n{rows}").unwrap();
    }
}

/// What a value may be, for people.
fn kind(description: &Value, schema: &Value) -> String {
    if let Some(choices) = schema["anyOf"].as_array() {
        return kind(description, &choices[0]);
    }
    if let Some(reference) = schema["$ref"].as_str() {
        return kind(description, target(description, reference));
    }
    if let Some(choices) = schema["enum"].as_array() {
        return choices.iter().filter_map(Value::as_str).map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
    }
    let kinds = schema["type"].as_array().map_or(std::slice::from_ref(&schema["type"]), Vec::as_slice);
    match kinds[0].as_str().unwrap() {
        "string" => "text".to_owned(),
        "array" => format!("list of {}", kind(description, &schema["items"])),
        "object" => format!("object of {}", kind(description, &schema["additionalProperties"])),
        "integer" if schema.get("maximum").is_some() => {
            format!("{} to {}; {} if left out", schema["minimum"], schema["maximum"], schema["default"])
        }
        other => other.to_owned(),
    }
}

/// How an answer names what it holds, if that has a name.
fn named(schema: &Value) -> Option<String> {
    let inner = |name: &str| schema.get(name).and_then(named);
    let choice = || schema["anyOf"].as_array()?.iter().find_map(named);
    let reference = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()).map(|name| format!("`{name}`"));
    let list = || inner("items").map(|name| format!("list of {name}"));
    let by_name = || inner("additionalProperties").map(|name| format!("{name} by name"));
    reference.or_else(choice).or_else(list).or_else(by_name)
}

fn target<'a>(description: &'a Value, reference: &str) -> &'a Value {
    description.pointer(reference.strip_prefix('#').unwrap()).unwrap()
}

/// Everything that a value refers to, and what that refers to, by name.
fn gather<'a>(found: &mut BTreeMap<String, &'a Value>, description: &'a Value, value: &Value) {
    if let Some(reference) = value["$ref"].as_str() {
        let (name, schema) = (reference.rsplit('/').next().unwrap(), target(description, reference));
        if found.insert(name.to_owned(), schema).is_none() {
            gather(found, description, schema);
        }
    }
    match value {
        Value::Object(members) => members.values().for_each(|member| gather(found, description, member)),
        Value::Array(items) => items.iter().for_each(|item| gather(found, description, item)),
        _ => {}
    }
}

fn words(schema: &Value) -> String {
    schema["description"].as_str().unwrap_or_default().replace('\n', " ")
}
