//! `/api/openapi.json`: the description of the API, made from its routes.

use axum::Json;
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::api;
use super::problem::Refusal;
use super::route::Route;

/// Where it is to be had.
pub(super) const PATH: &str = "/api/openapi.json";

const TOKEN: &str = "Needed where `server.token` or `server.read_token` is set. To the second, all but GET answers 403 \
                     `read_only`.";

pub(super) async fn document() -> Json<Value> {
    Json(describe(&api::routes()))
}

fn describe(routes: &[Route]) -> Value {
    let settings = |settings: SchemaSettings| {
        settings.with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
        })
    };
    let mut asked = settings(SchemaSettings::draft2020_12()).into_generator();
    let mut answered = settings(SchemaSettings::draft2020_12().for_serialize()).into_generator();
    let refusal = answered.subschema_for::<Refusal>().to_value();
    let mut paths: Map<String, Value> = Map::new();
    for route in routes {
        let operation = operation(route, &mut asked, &mut answered, &refusal);
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method.as_str().to_ascii_lowercase()] = operation;
    }
    let mut schemas = asked.take_definitions(true);
    schemas.extend(answered.take_definitions(true));
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "lumo-bridge",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "What lumo-bridge has stored and sent, and what an operator may do. Lists come newest first, page \
                by page: `next` of one page is `after` of the next.",
        },
        "security": [{ "token": [] }],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "token": { "type": "http", "scheme": "bearer", "description": TOKEN },
            },
        },
    })
}

fn operation(route: &Route, asked: &mut SchemaGenerator, answered: &mut SchemaGenerator, refusal: &Value) -> Value {
    let refused = json!({ "description": "Why it was not done", "content": content(refusal.clone()) });
    let answer = (route.answer)(answered).map(|schema| content(schema.to_value()));
    let done = match answer {
        Some(content) => json!({ "description": "Done", "content": content }),
        None => json!({ "description": "Events as they are stored, for ever", "content": { "text/event-stream": {} } }),
    };
    let mut parameters = path_parameters(route.path);
    if let Some(query) = (route.query)(asked) {
        parameters.extend(query_parameters(&query.to_value()));
    }
    let mut operation = json!({
        "summary": route.summary,
        "operationId": operation_id(route),
        "parameters": parameters,
        "responses": { "200": done, "4XX": refused.clone(), "5XX": refused },
    });
    if let Some(body) = (route.body)(asked) {
        operation["requestBody"] = json!({ "content": content(body.to_value()), "required": true });
    }
    operation
}

fn content(schema: Value) -> Value {
    json!({ "application/json": { "schema": schema } })
}

/// `post_wallets_id_block`: unlike any other, and the same in each version.
fn operation_id(route: &Route) -> String {
    let words = route.path.split(['/', '{', '}', '.']).filter(|word| !word.is_empty() && *word != "api");
    let verb = route.method.as_str().to_lowercase();
    std::iter::once(verb.as_str()).chain(words).collect::<Vec<_>>().join("_")
}

fn path_parameters(path: &str) -> Vec<Value> {
    let names = path.split('{').skip(1).filter_map(|rest| rest.split('}').next());
    let parameter =
        |name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string", "minLength": 1 } });
    names.map(parameter).collect()
}

/// The members of an object, each as a parameter.
fn query_parameters(schema: &Value) -> Vec<Value> {
    let is_required =
        |name: &str| schema["required"].as_array().is_some_and(|names| names.iter().any(|own| own == name));
    let members = schema["properties"].as_object().into_iter().flatten();
    members
        .map(|(name, schema)| {
            let mut schema = schema.clone();
            let description = schema.as_object_mut().and_then(|schema| schema.remove("description"));
            let mut parameter = json!({ "name": name, "in": "query", "required": is_required(name), "schema": schema });
            if let Some(description) = description {
                parameter["description"] = description;
            }
            parameter
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// Every `$ref` below the value.
    fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::Object(members) => {
                found.extend(members.get("$ref").and_then(Value::as_str));
                members.values().for_each(|value| references(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document = describe(&api::routes());
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(found.len() > 20, "{found:?}");
        for reference in found {
            let target = document.pointer(reference.strip_prefix('#').unwrap());
            assert!(target.is_some(), "{reference} leads nowhere");
        }
    }

    #[test]
    fn no_two_operations_have_one_id() {
        let ids: Vec<String> = api::routes().iter().map(operation_id).collect();
        assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len(), "{ids:?}");
        assert!(ids.contains(&"post_wallets_id_block".to_owned()), "{ids:?}");
    }
}
