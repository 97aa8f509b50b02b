//! The JSON Schema of the file, from the types and their doc comments.
//!
//! It is stricter than the derived one in that it allows no unknown keys, and looser in that it requires none: every
//! setting has a default or may come from the environment.

use schemars::Schema;
use schemars::generate::SchemaSettings;
use schemars::transform::{RecursiveTransform, Transform};
use serde_json::Value;

use crate::config::Config;
use crate::config::tree::{Step, Way};

/// The schema that editors and `config schema` use.
pub(super) fn of_the_file() -> Value {
    let mut schema = SchemaSettings::draft2020_12()
        .with(|settings| settings.inline_subschemas = true)
        .into_generator()
        .into_root_schema_for::<Config>();
    RecursiveTransform(close).transform(&mut schema);
    schema.insert("title".to_owned(), "lumo-bridge".into());
    schema.to_value()
}

/// The keys that are allowed in the table at the end of the way.
pub(super) fn keys(way: &Way) -> Vec<String> {
    let root = of_the_file();
    let table = way.0.iter().try_fold(&root, |schema, step| match step {
        Step::Key(key) => shapes(schema).find_map(|shape| {
            let named = shape.get("properties").and_then(|properties| properties.get(key));
            named.or_else(|| shape.get("additionalProperties").filter(|schema| schema.is_object()))
        }),
        Step::Index(_) => shapes(schema).find_map(|shape| shape.get("items")),
    });
    let properties = table.into_iter().flat_map(shapes).filter_map(|shape| shape.get("properties")?.as_object());
    properties.flat_map(|properties| properties.keys().cloned()).collect()
}

/// The ways to all settings that have a fixed name.
pub(super) fn settings() -> Vec<Way> {
    let mut found = Vec::new();
    descend(&of_the_file(), &Way::default(), &mut found);
    found
}

fn descend(schema: &Value, way: &Way, found: &mut Vec<Way>) {
    let properties = shapes(schema).filter_map(|shape| shape.get("properties")?.as_object()).flatten();
    let before = found.len();
    for (key, schema) in properties {
        descend(schema, &way.key(key), found);
    }
    // A secret is a setting as it stands, and has its sources below it.
    if found.len() == before || shapes(schema).count() > 1 {
        found.push(way.clone());
    }
}

/// The schema itself and its alternatives.
fn shapes(schema: &Value) -> impl Iterator<Item = &Value> {
    let alternatives = ["anyOf", "oneOf"].into_iter().filter_map(|word| schema.get(word)?.as_array()).flatten();
    std::iter::once(schema).chain(alternatives)
}

fn close(schema: &mut Schema) {
    let Some(object) = schema.as_object_mut() else { return };
    if !object.contains_key("properties") {
        return;
    }
    object.insert("additionalProperties".to_owned(), false.into());
    // Where serde falls back to nothing, there is no default worth telling.
    let properties = object.get_mut("properties").and_then(Value::as_object_mut).into_iter().flatten();
    for property in properties.filter_map(|(_, property)| property.as_object_mut()) {
        let says_nothing = property.get("default").is_some_and(|default| match default {
            Value::Null => true,
            Value::String(text) => text.is_empty(),
            Value::Array(items) => items.is_empty(),
            Value::Object(members) => members.is_empty(),
            Value::Bool(_) | Value::Number(_) => false,
        });
        if says_nothing {
            property.remove("default");
        }
    }
    // The one-key maps (secrets, `since`) do need their key; sections need none.
    if object.get("properties").and_then(Value::as_object).is_some_and(|properties| properties.len() > 1) {
        object.remove("required");
    }
}
