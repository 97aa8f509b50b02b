//! `docs/events.md`: every type of event, for people.

use std::fmt::Write as _;

use lumo_bridge::model::catalogue::{definition, meaning, schema};
use lumo_bridge::model::event::EventType;
use serde_json::Value;

use super::sample;

const OPENING: &str = "\
<!-- Made from the code: LUMO_TEST_WRITE=1 cargo test --test it -- generated -->

# Events

Each callback carries one event, as JSON. [events.schema.json](events.schema.json) is its schema, which
`lumo-bridge event schema` prints as well; [asyncapi.yaml](asyncapi.yaml) describes the same for tools. Members may be
added, so ignore what you do not know; what is here keeps its name and its meaning while `schema` is 1.

An endpoint's `events` names the types that it wants: `deposit.created`, `\"deposit.*\"`, `\"*\"` (everything about wallets and
deposits); a leading `!` excludes. `\"*\"` and `\"wallet.*\"` do not include `wallet.balance_changed`: name it. While no
endpoint names it, it is not recorded either.
";

/// The members of an object of the schema, as a table.
fn members(text: &mut String, schema: &Value) {
    let required = schema["required"].as_array().unwrap();
    text.push_str("| member | type | |\n|---|---|---|\n");
    for (name, member) in schema["properties"].as_object().unwrap() {
        let kind = match (&member["type"], member["format"].as_str()) {
            (_, Some("date-time")) => "time".to_owned(),
            (Value::String(kind), _) if member.get("pattern").is_some() => format!("{kind} of digits"),
            (Value::String(kind), _) => kind.clone(),
            (Value::Array(kinds), _) => {
                kinds.iter().map(|kind| kind.as_str().unwrap()).collect::<Vec<_>>().join(" or ")
            }
            _ if member.get("$ref").is_some() => "object".to_owned(),
            _ => "string".to_owned(),
        };
        let optional = if required.iter().any(|known| known == name) { "" } else { ", may be absent" };
        let words =
            member["description"].as_str().unwrap_or_else(|| panic!("{name} is not described")).replace('\n', " ");
        writeln!(text, "| `{name}` | {kind}{optional} | {words} |").unwrap();
    }
}

pub(super) fn document() -> String {
    let schema = schema();
    let definitions = &schema["$defs"];
    let mut text = OPENING.to_owned();
    text.push_str("\n## Every body\n\n");
    members(&mut text, &definitions["Envelope"]);
    text.push_str("\n`data` of events about wallets and deposits:\n\n");
    members(&mut text, &definitions["DepositData"]);
    text.push_str("\nEvents about listings, the account, endpoints and deliveries have no `upstream`.\n");

    for (title, name) in [
        ("Wallets", "Wallet"),
        ("Deposits", "Deposit"),
        ("Listings", "Listing"),
        ("Whose key it is", "Account"),
        ("Items that cannot be read", "Reject"),
        ("Endpoints", "Endpoint"),
        ("Deliveries", "Delivery"),
    ] {
        let object = format!("{name}Object");
        let is_about = |kind: &EventType| {
            definitions[definition(*kind)]["properties"]["data"]["$ref"] == format!("#/$defs/{name}Data")
        };
        let kinds: Vec<_> = EventType::ALL.iter().copied().filter(is_about).collect();
        writeln!(text, "\n## {title}\n\n| type | when |\n|---|---|").unwrap();
        for kind in &kinds {
            writeln!(text, "| `{kind}` | {} |", meaning(*kind)).unwrap();
        }
        text.push_str("\n`data.object`:\n\n");
        members(&mut text, &definitions[object]);
        let shown = kinds.iter().find(|kind| kind.as_str().ends_with("blocked")).or(kinds.get(1)).or(kinds.first());
        let body = serde_json::to_string_pretty(&sample(*shown.unwrap())).unwrap();
        writeln!(text, "\nFor example:\n\n```json\n{body}\n```").unwrap();
    }
    writeln!(text, "\n## Tests\n\n`bridge.test`: {}", meaning(EventType::BridgeTest)).unwrap();
    text
}
