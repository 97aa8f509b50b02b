//! YAML as people write it: blocks, with texts as JSON writes them, which YAML reads as well.

use serde_json::Value;

/// The document, with a line break at its end.
pub(super) fn text(value: &Value) -> String {
    let mut text = String::new();
    block(&mut text, value, 0);
    text
}

fn block(text: &mut String, value: &Value, indent: usize) {
    let space = "  ".repeat(indent);
    match value {
        Value::Object(members) if !members.is_empty() => {
            for (key, member) in members {
                let plain = key.chars().all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_'));
                let key = if plain { key.clone() } else { Value::from(key.as_str()).to_string() };
                text.push_str(&format!("{space}{key}:"));
                after(text, member, indent);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                text.push_str(&format!("{space}-"));
                after(text, item, indent);
            }
        }
        other => text.push_str(&format!("{space}{other}\n")),
    }
}

/// What follows a key or a dash: on the same line if it is short, else below.
fn after(text: &mut String, value: &Value, indent: usize) {
    let is_long = value.as_object().is_some_and(|members| !members.is_empty())
        || value.as_array().is_some_and(|items| !items.is_empty());
    if is_long {
        text.push('\n');
        block(text, value, indent + 1);
    } else {
        text.push_str(&format!(" {value}\n"));
    }
}

#[test]
fn what_is_written_reads_back_as_the_same() {
    use config::{FileFormat, Format, ValueKind};
    let value = serde_json::json!({
        "a": { "b": [1, "x: y # z", { "c": null, "d": [] }], "$ref": "#/x" }, "e": {}, "f": true, "g": "no",
    });
    let table = FileFormat::Yaml.parse(None, &text(&value)).unwrap();
    let read: Value = config::Value::new(None, ValueKind::Table(table)).try_deserialize().unwrap();
    assert_eq!(read, value);
}
