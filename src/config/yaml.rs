//! A value as YAML for people: keys in the order of their types, one per line, short lists in brackets.
//!
//! It goes through JSON text, which keeps that order. Whether a text may stand without quotes is left to the parser: it
//! may if it reads back as itself.

use std::fmt;

use serde::Serialize;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::config::yaml_limits;

/// YAML that reads back as `value`.
pub(super) fn to_yaml(value: &impl Serialize) -> String {
    // Plain data in memory always serialises; if it did not, there would be nothing to show.
    serde_json::value::to_raw_value(value).map(|raw| after_key(raw.get(), 0)).unwrap_or_default()
}

/// What stands after the colon of a key, from its space or line break on.
fn after_key(json: &str, indent: usize) -> String {
    let members = match serde_json::from_str(json) {
        Ok(Members(members)) if !members.is_empty() && one_line_map(&members).is_none() => members,
        _ => return format!(" {}\n", inline(json)),
    };
    let lines = members
        .iter()
        .map(|(key, value)| format!("{:indent$}{}:{}", "", text(key, false), after_key(value.get(), indent + 2)));
    // The root stands after no key.
    let start = if indent == 0 { "" } else { "\n" };
    std::iter::once(start.to_owned()).chain(lines).collect()
}

/// A secret: `{ env: NAME }`.
fn one_line_map(members: &[(String, Box<RawValue>)]) -> Option<String> {
    let is_source = |key: &str| matches!(key, "env" | "file" | "value" | "not_after");
    members.iter().all(|(key, _)| is_source(key)).then(|| flow_map(members))
}

fn flow_map(members: &[(String, Box<RawValue>)]) -> String {
    let member = |(key, value): &(String, Box<RawValue>)| format!("{}: {}", text(key, true), inline(value.get()));
    format!("{{ {} }}", members.iter().map(member).collect::<Vec<_>>().join(", "))
}

fn inline(json: &str) -> String {
    if let Ok(string) = serde_json::from_str::<String>(json) {
        return text(&string, true);
    }
    if let Ok(items) = serde_json::from_str::<Vec<Box<RawValue>>>(json) {
        return format!("[{}]", items.iter().map(|item| inline(item.get())).collect::<Vec<_>>().join(", "));
    }
    match serde_json::from_str(json) {
        Ok(Members(members)) if !members.is_empty() => flow_map(&members),
        _ => json.to_owned(),
    }
}

/// A text, in quotes if it would otherwise be read as something else: here, or by a parser that knows `yes` and `on`.
fn text(text: &str, in_brackets: bool) -> String {
    let reads_back = |document: &str, wanted: &str| {
        yaml_limits::parse(None, document).is_ok_and(|table| {
            table.get("v").is_some_and(|value| match &value.kind {
                config::ValueKind::Array(items) => matches!(items.as_slice(), [item] if is_text(item, wanted)),
                _ => is_text(value, wanted),
            })
        })
    };
    let old_boolean = ["y", "n", "yes", "no", "on", "off"].contains(&text.to_ascii_lowercase().as_str());
    let document = if in_brackets { format!("v: [{text}]") } else { format!("v: {text}") };
    if !old_boolean && !text.contains(['\n', '#']) && reads_back(&document, text) {
        text.to_owned()
    } else {
        serde_json::Value::from(text).to_string()
    }
}

fn is_text(value: &config::Value, wanted: &str) -> bool {
    matches!(&value.kind, config::ValueKind::String(read) if read == wanted)
}

/// The members of a JSON object in their order.
struct Members(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;

        impl<'de> Visitor<'de> for InOrder {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(InOrder)
    }
}
