//! The contract of events as data: what each type means, and the JSON Schema of their bodies.
//!
//! The schema is made from the types that bodies are serialised from, so it cannot say anything else than what is sent.

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::draft::Body;
use super::event::EventType;
use super::facts;

/// The kind of thing that `data.object` is.
#[must_use]
pub fn object_kind(kind: EventType) -> &'static str {
    match kind {
        EventType::SyncStalled
        | EventType::SyncRecovered
        | EventType::SyncUnauthorized
        | EventType::SyncRemovalsHeld => "listing",
        EventType::SyncItemRejected => "reject",
        EventType::SyncWrongAccount => "account",
        // A test has next to nothing to tell.
        EventType::BridgeTest => "test",
        _ => kind.as_str().split('.').next().unwrap_or_default(),
    }
}

/// When such an event happens, in a sentence.
#[must_use]
pub const fn meaning(kind: EventType) -> &'static str {
    match kind {
        EventType::WalletCreated => {
            "A user has a wallet, the first one. If it is blocked already, `wallet.blocked` follows."
        }
        EventType::WalletBlocked => {
            "A wallet was blocked, or is blocked when it is first seen: then `changes` has nothing before, and it follows \
             `wallet.created` or `wallet.replaced`."
        }
        EventType::WalletUnblocked => "A wallet is no longer blocked. It is sent after two reads have shown it.",
        EventType::WalletReplaced => {
            "A user has another wallet; `changes` names the one before. If it is blocked already, `wallet.blocked` follows."
        }
        EventType::WalletBalanceChanged => {
            "Nothing but balances has changed. Only for endpoints that name this type; a newer one replaces one that was \
             not delivered yet."
        }
        EventType::WalletUpdated => "Something else about a wallet has changed, or a missing one is listed again.",
        EventType::WalletMissing => "A wallet is no longer listed, by proof.",
        EventType::DepositCreated => "A user has paid something in.",
        EventType::DepositSettled => {
            "The money is there: the deposit has one of `lumo.settled_statuses` for the first time, as it appears or later. Once, \
             whatever its status does afterwards; never for what was stored in silence."
        }
        EventType::DepositStatusChanged => "A deposit has come further.",
        EventType::DepositUpdated => "Something else about a deposit has changed, or a missing one is listed again.",
        EventType::DepositMissing => "A deposit is no longer listed, by proof.",
        EventType::SyncStalled => "A listing has not been read completely for too long.",
        EventType::SyncRecovered => {
            "A trouble of a listing is over: it is read completely again, its key is taken, or no removal is held back; see `changes`."
        }
        EventType::SyncUnauthorized => "The API refuses the key.",
        EventType::SyncWrongAccount => {
            "The API key is of another company than the tables, or `lumo.base_url` names another server. Nothing is read until that \
             is put right or adopted: `lumo-bridge account show`."
        }
        EventType::SyncRemovalsHeld => {
            "Rows left a listing and are held back from being called missing: they are confirmed in portions, or, where they are \
             most of it, wait for `lumo-bridge sync all --accept-removals`. `error` says which."
        }
        EventType::SyncItemRejected => {
            "An item of a listing cannot be read and is kept aside: `lumo-bridge sync rejects`. Once, and again when the item \
             changes."
        }
        EventType::EndpointFailing => "An endpoint has failed five times running; what is for it is held.",
        EventType::EndpointSuspended => "An endpoint has answered 410 or failed for 72 hours; nothing is sent to it.",
        EventType::EndpointRecovered => "An endpoint has taken a callback again; what was held goes out.",
        EventType::DeliveryDead => "A delivery was given up after its last attempt.",
        EventType::BridgeTest => "The operator tries the endpoint: `lumo-bridge endpoint test`.",
    }
}

/// The name of the body's schema among `$defs`: `DepositCreated`.
#[must_use]
pub fn definition(kind: EventType) -> String {
    kind.as_str().split(['.', '_']).map(capitalised).collect()
}

fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect()
}

/// The JSON Schema of every body: one of the definitions, by `type`.
///
/// What all bodies share is `Envelope`, and `data` is the same for all types about one kind of object: so a generator makes
/// one type of each. Members may be added in the future, so none are forbidden.
#[must_use]
pub fn schema() -> Value {
    let settings = SchemaSettings::draft2020_12().for_serialize().with(|settings| settings.inline_subschemas = true);
    let mut generator = settings.into_generator();
    let mut envelope = generator.subschema_for::<Body<'_>>().to_value();
    envelope["properties"]["schema"]["const"] = 1.into();
    let data = envelope["properties"]["data"].take();
    envelope["properties"]["data"] = json!({ "description": data["description"], "type": "object" });
    let change = change(data["properties"]["changes"]["additionalProperties"].clone());

    let mut definitions = Map::from_iter([("Envelope".to_owned(), envelope), ("Change".to_owned(), change)]);
    for (kind, mut schema) in facts::objects(&mut generator).map(|(kind, schema)| (kind, schema.to_value())) {
        schema["properties"]["kind"]["const"] = kind.into();
        definitions.insert(format!("{}Object", capitalised(kind)), schema);
        definitions.insert(format!("{}Data", capitalised(kind)), data_about(data.clone(), kind));
    }
    definitions.insert("TestObject".to_owned(), tested());
    definitions.insert("TestData".to_owned(), data_about(data, "test"));
    for kind in EventType::ALL {
        definitions.insert(definition(*kind), event(*kind));
    }
    for (name, schema) in &mut definitions {
        schema["title"] = name.as_str().into();
        keep_standard_formats(schema);
    }
    let one_of = EventType::ALL.iter().map(|kind| json!({ "$ref": format!("#/$defs/{}", definition(*kind)) }));
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Event",
        "description": "The body of a callback of lumo-bridge.",
        "oneOf": one_of.collect::<Vec<_>>(),
        "$defs": definitions,
    })
}

/// A body of this type.
fn event(kind: EventType) -> Value {
    json!({
        "description": meaning(kind),
        "type": "object",
        "allOf": [{ "$ref": "#/$defs/Envelope" }],
        "properties": {
            "type": { "description": "What happened.", "type": "string", "const": kind.as_str() },
            "data": { "$ref": format!("#/$defs/{}Data", capitalised(object_kind(kind))) },
        },
        "required": ["type", "data"],
    })
}

/// What an event says about this kind of object.
fn data_about(mut data: Value, object: &str) -> Value {
    let words = data["properties"]["object"]["description"].take();
    let reference = format!("#/$defs/{}Object", capitalised(object));
    data["properties"]["object"] = json!({ "description": words, "$ref": reference });
    data["properties"]["changes"]["additionalProperties"] = json!({ "$ref": "#/$defs/Change" });
    if matches!(object, "wallet" | "deposit") {
        data["required"] = json!(["object", "changes", "upstream"]);
    } else if let Some(properties) = data["properties"].as_object_mut() {
        properties.remove("upstream");
    }
    data
}

/// A field that has changed. Generators need to be told that its value may be anything.
fn change(mut schema: Value) -> Value {
    for side in ["from", "to"] {
        schema["properties"][side]["type"] = json!(["string", "number", "boolean", "object", "array", "null"]);
    }
    schema
}

/// Drops the formats that JSON Schema does not know, as `uint32`.
fn keep_standard_formats(schema: &mut Value) {
    let Some(properties) = schema["properties"].as_object_mut() else { return };
    for member in properties.values_mut().filter_map(Value::as_object_mut) {
        if member.get("format").is_some_and(|format| format != "date-time") {
            member.remove("format");
        }
    }
}

fn tested() -> Value {
    json!({
        "description": "The endpoint that is tried.",
        "type": "object",
        "properties": {
            "kind": { "description": "What it is: `endpoint`.", "type": "string", "const": "endpoint" },
            "id": { "description": "Its name.", "type": "string" },
        },
        "required": ["kind", "id"],
    })
}
