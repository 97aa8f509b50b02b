//! TypeScript: an interface for each, and a union of all events that `type` tells apart.

use std::fmt::Write as _;

use super::{Kind, MADE, Member, Type, Types};

pub(super) fn document(types: &Types) -> String {
    let mut text = format!("// {MADE}\n");
    for part in types.parts.iter().chain([&types.envelope]).chain(&types.data) {
        interface(&mut text, part);
    }
    for event in &types.events {
        writeln!(
            text,
            "\n/** {} */\nexport interface {} extends Envelope {{\n  type: \"{}\";\n  data: {};\n}}",
            event.words, event.name, event.kind, event.data
        )
        .unwrap();
    }
    text.push_str(
        "\n/** The body of a callback. Others may be added: answer 2xx to a `type` that you do not know. */\n",
    );
    text.push_str("export type Event =");
    for event in &types.events {
        write!(text, "\n  | {}", event.name).unwrap();
    }
    text.push_str(";\n");
    text
}

fn interface(text: &mut String, of: &Type) {
    let words = if of.words.is_empty() { String::new() } else { format!("/** {} */\n", of.words) };
    writeln!(text, "\n{words}export interface {} {{", of.name).unwrap();
    for member in &of.members {
        let Member { name, is_optional, is_nullable, words, .. } = member;
        let optional = if *is_optional { "?" } else { "" };
        let null = if *is_nullable { " | null" } else { "" };
        // Each event has its own.
        let kind = if name == "data" { "object".to_owned() } else { spelled(&member.kind) };
        writeln!(text, "  /** {words} */\n  {name}{optional}: {kind}{null};").unwrap();
    }
    text.push_str("}\n");
}

fn spelled(kind: &Kind) -> String {
    match kind {
        Kind::Text | Kind::Amount | Kind::Time => "string".to_owned(),
        Kind::Whole => "number".to_owned(),
        Kind::Flag => "boolean".to_owned(),
        Kind::Texts => "string[]".to_owned(),
        Kind::Words(words) => words.iter().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(" | "),
        Kind::Number(number) => number.to_string(),
        Kind::Foreign => "{ [member: string]: unknown }".to_owned(),
        Kind::Anything => "unknown".to_owned(),
        Kind::ByField(name) => format!("{{ [field: string]: {name} }}"),
        Kind::Named(name) => name.clone(),
    }
}
