//! `docs/asyncapi.yaml`: the callbacks for tools that read AsyncAPI 3.

use lumo_bridge::model::catalogue::{definition, meaning};
use lumo_bridge::model::event::EventType;
use serde_json::{Map, Value, json};

use super::{sample, yaml};

const DESCRIPTION: &str = "Signed HTTP callbacks, at least once each, in order per user. Signatures follow Standard \
                           Webhooks 1.0: HMAC-SHA256 over id.timestamp.body.";

pub(super) fn document() -> String {
    let (mut named, mut messages) = (Map::new(), Map::new());
    for &kind in EventType::ALL {
        let name = definition(kind);
        named.insert(name.clone(), json!({ "$ref": format!("#/components/messages/{name}") }));
        let mut message = json!({
            "name": kind.as_str(),
            "title": kind.as_str(),
            "summary": meaning(kind),
            "contentType": "application/json",
            "headers": { "$ref": "#/components/schemas/Headers" },
            "payload": { "$ref": format!("./events.schema.json#/$defs/{name}") },
        });
        if matches!(kind, EventType::WalletBlocked | EventType::DepositStatusChanged) {
            message["examples"] = json!([{ "payload": sample(kind) }]);
        }
        messages.insert(name, message);
    }
    let document = json!({
        "asyncapi": "3.0.0",
        "info": { "title": "Callbacks of lumo-bridge", "version": "1", "description": DESCRIPTION },
        "channels": {
            "callbacks": {
                "address": null,
                "title": "The url of an endpoint",
                "description": "What `callbacks.endpoints.<name>.url` names.",
                "messages": named,
            },
        },
        "operations": {
            "sendCallback": {
                "action": "send",
                "summary": "The bridge sends an event; any 2xx takes it.",
                "channel": { "$ref": "#/channels/callbacks" },
                "bindings": { "http": { "method": "POST", "bindingVersion": "0.3.0" } },
            },
        },
        "components": { "schemas": { "Headers": headers() }, "messages": messages },
    });
    format!("# Made from the code: LUMO_TEST_WRITE=1 cargo test --test it -- generated\n{}", yaml::text(&document))
}

fn headers() -> Value {
    let text = |words: &str| json!({ "type": "string", "description": words });
    json!({
        "type": "object",
        "properties": {
            "webhook-id": text("The event's id, the same on every attempt and replay."),
            "webhook-timestamp": text("Unix seconds of this attempt."),
            "webhook-signature": text("v1, and the base64 of a signature, one for each active secret, with blanks between."),
            "lumo-event-type": text("A copy of `type`, for routing."),
            "lumo-attempt": text("1, 2, 3 …"),
            "lumo-reason": text("live, replay, backfill or test."),
        },
        "required": ["webhook-id", "webhook-timestamp", "webhook-signature"],
    })
}
