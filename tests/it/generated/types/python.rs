//! Python: models of Pydantic 2, with amounts as `Decimal`.

use std::fmt::Write as _;

use super::{Kind, MADE, Member, Type, Types};

const IMPORTS: &str = "
from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Dict, List, Literal, Optional, Union

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError


class Model(BaseModel):
    \"\"\"Takes members that are added later.\"\"\"

    model_config = ConfigDict(extra=\"allow\")
";

const CLOSING: &str = "
#: Reads the body of a callback: `event.validate_json(body)`. It refuses a type that was added later; `parse` does not.
event: TypeAdapter[Event] = TypeAdapter(Event)


def parse(body: Union[str, bytes]) -> Optional[Event]:
    \"\"\"Reads a body whose signature was verified. None for a type that was added later: answer 2xx.\"\"\"
    try:
        return event.validate_json(body)
    except ValidationError as error:
        if error.errors()[0][\"type\"] == \"union_tag_invalid\":
            return None
        raise
";

pub(super) fn document(types: &Types) -> String {
    let mut text = format!("# {MADE}\n\"\"\"The callbacks of lumo-bridge.\"\"\"\n{IMPORTS}");
    for part in types.parts.iter().chain(&types.data) {
        class(&mut text, part, |_| true);
    }
    // Each event has its own.
    class(&mut text, &types.envelope, |name| name != "type" && name != "data");
    for event in &types.events {
        writeln!(
            text,
            "\n\nclass {}(Envelope):\n    \"\"\"{}\"\"\"\n\n    type: Literal[\"{}\"]\n    data: {}",
            event.name, event.words, event.kind, event.data
        )
        .unwrap();
    }
    text.push_str("\n\nEvent = Annotated[\n    Union[\n");
    for event in &types.events {
        writeln!(text, "        {},", event.name).unwrap();
    }
    text.push_str("    ],\n    Field(discriminator=\"type\"),\n]\n");
    text.push_str(CLOSING);
    text
}

fn class(text: &mut String, of: &Type, is_wanted: impl Fn(&str) -> bool) {
    writeln!(text, "\n\nclass {}(Model):", of.name).unwrap();
    if !of.words.is_empty() {
        writeln!(text, "    \"\"\"{}\"\"\"\n", of.words).unwrap();
    }
    for member in of.members.iter().filter(|member| is_wanted(&member.name)) {
        let Member { name, is_optional, is_nullable, words, .. } = member;
        let kind = spelled(&member.kind);
        let kind = if *is_optional || *is_nullable { format!("Optional[{kind}]") } else { kind };
        let default = if *is_optional { " = None" } else { "" };
        // `from` is a word of the language, and `schema` a method of Pydantic's models.
        let (name, default) = match name.as_str() {
            "from" => ("from_".to_owned(), " = Field(alias=\"from\")"),
            "schema" => ("schema_".to_owned(), " = Field(alias=\"schema\")"),
            _ => (name.clone(), default),
        };
        writeln!(text, "    #: {words}\n    {name}: {kind}{default}").unwrap();
    }
}

fn spelled(kind: &Kind) -> String {
    match kind {
        Kind::Text => "str".to_owned(),
        Kind::Amount => "Decimal".to_owned(),
        Kind::Time => "datetime".to_owned(),
        Kind::Whole => "int".to_owned(),
        Kind::Flag => "bool".to_owned(),
        Kind::Texts => "List[str]".to_owned(),
        Kind::Words(words) => {
            format!("Literal[{}]", words.iter().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(", "))
        }
        Kind::Number(number) => format!("Literal[{number}]"),
        Kind::Foreign => "Dict[str, Any]".to_owned(),
        Kind::Anything => "Any".to_owned(),
        Kind::ByField(name) => format!("Dict[str, {name}]"),
        Kind::Named(name) => name.clone(),
    }
}
