//! Go: a struct for each; `Data` of an event is read once its type is known.

use std::fmt::Write as _;

use super::{Kind, MADE, Member, Type, Types, camel};

const OPENING: &str = "
// Package lumobridge has the callbacks of lumo-bridge as types.
package lumobridge

import (
\t\"encoding/json\"
\t\"time\"
)
";

pub(super) fn document(types: &Types) -> String {
    let mut text = format!("// {MADE}\n{OPENING}");
    text.push_str(
        "\n// What `Envelope.Type` may be. Others may be added: answer 2xx to one that you do not know.\nconst (\n",
    );
    for event in &types.events {
        writeln!(text, "\t// {}\n\tType{} = \"{}\"\n", event.words, event.name, event.kind).unwrap();
    }
    text.truncate(text.trim_end().len());
    text.push_str("\n)\n");
    for part in [&types.envelope].into_iter().chain(&types.parts).chain(&types.data) {
        structure(&mut text, part);
    }
    for data in &types.data {
        let about = data.name.trim_end_matches("Data");
        writeln!(
            text,
            "\n// {about} reads the `data` of an event about such an object.\n\
             func (e Envelope) {about}() (data {name}, err error) {{\n\terr = json.Unmarshal(e.Data, &data)\n\treturn\n}}",
            name = data.name
        )
        .unwrap();
    }
    text
}

fn structure(text: &mut String, of: &Type) {
    let words = if of.words.is_empty() { "is what all bodies share." } else { &of.words };
    writeln!(text, "\n// {}: {words}\ntype {} struct {{", of.name, of.name).unwrap();
    for (index, member) in of.members.iter().enumerate() {
        let Member { name, is_optional, words, .. } = member;
        let blank = if index > 0 { "\n" } else { "" };
        let omitted = if *is_optional { ",omitempty" } else { "" };
        let pointer = if *is_optional && is_plain(&member.kind) { "*" } else { "" };
        let field = camel(name, false);
        let field = field.strip_suffix("Id").map_or(field.clone(), |before| format!("{before}ID"));
        writeln!(text, "{blank}\t// {words}\n\t{field} {pointer}{} `json:\"{name}{omitted}\"`", spelled(&member.kind))
            .unwrap();
    }
    text.push_str("}\n");
}

/// Whether nothing but a pointer tells that it is absent.
fn is_plain(kind: &Kind) -> bool {
    !matches!(kind, Kind::Texts | Kind::Foreign | Kind::Anything | Kind::ByField(_))
}

fn spelled(kind: &Kind) -> String {
    match kind {
        Kind::Text | Kind::Amount | Kind::Words(_) => "string".to_owned(),
        Kind::Time => "time.Time".to_owned(),
        Kind::Whole | Kind::Number(_) => "int64".to_owned(),
        Kind::Flag => "bool".to_owned(),
        Kind::Texts => "[]string".to_owned(),
        Kind::Foreign | Kind::Anything => "json.RawMessage".to_owned(),
        Kind::ByField(name) => format!("map[string]{name}"),
        Kind::Named(name) => name.clone(),
    }
}
