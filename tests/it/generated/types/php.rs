//! PHP 8.1: a class for each, with constructors that read what `json_decode` makes of a body.

use std::fmt::Write as _;

use super::{Kind, MADE, Member, Type, Types, camel};

const OPENING: &str = "
declare(strict_types=1);

namespace LumoBridge;
";

pub(super) fn document(types: &Types) -> String {
    let mut text = format!("<?php\n// {MADE}\n{OPENING}");
    for part in types.parts.iter().chain(&types.data) {
        class(&mut text, part, &spelled, &read);
    }
    let kinds: Vec<&str> = types.data.iter().map(|data| data.name.as_str()).collect();
    let all = kinds.join("|");
    let spelled_in_event = |member: &Member| if member.name == "data" { all.clone() } else { spelled(member) };
    let read_in_event = |member: &Member, from: &str| {
        if member.name == "data" { "self::data($body)".to_owned() } else { read(member, from) }
    };
    let words = "The body of a callback.".to_owned();
    let event = Type { name: "Event".to_owned(), words, members: types.envelope.members.clone() };
    class(&mut text, &event, &spelled_in_event, &read_in_event);
    // The class ends with what only it has.
    text.truncate(text.trim_end().trim_end_matches('}').trim_end().len());
    text.push_str(
        "\n\n    /** Reads a body whose signature was verified. Null for a type that was added later: answer 2xx. */\n    \
         public static function parse(string $body): ?self\n    {\n        \
         $read = json_decode($body, true, 512, JSON_THROW_ON_ERROR | JSON_BIGINT_AS_STRING);\n        \
         try {\n            return self::from($read);\n        \
         } catch (\\UnhandledMatchError) {\n            return null;\n        }\n    }\n\n    \
         private static function data(array $body): ",
    );
    writeln!(text, "{all}\n    {{\n        return match ($body['type']) {{").unwrap();
    for data in &types.data {
        let named = types.events.iter().filter(|event| event.data == data.name);
        let named: Vec<String> = named.map(|event| format!("'{}'", event.kind)).collect();
        writeln!(text, "            {} => {}::from($body['data']),", named.join(",\n            "), data.name).unwrap();
    }
    text.push_str("        };\n    }\n}\n");
    text
}

fn class(text: &mut String, of: &Type, spelled: &dyn Fn(&Member) -> String, read: &dyn Fn(&Member, &str) -> String) {
    let words = if of.words.is_empty() { String::new() } else { format!("/** {} */\n", of.words) };
    writeln!(text, "\n{words}final class {}\n{{\n    public function __construct(", of.name).unwrap();
    for member in &of.members {
        let field = camel(&member.name, true);
        writeln!(text, "        /** {} */\n        public readonly {} ${field},", member.words, spelled(member))
            .unwrap();
    }
    text.push_str(
        "    ) {\n    }\n\n    public static function from(array $body): self\n    {\n        return new self(\n",
    );
    for member in &of.members {
        let from = format!("$body['{}']", member.name);
        writeln!(text, "            {},", read(member, &from)).unwrap();
    }
    text.push_str("        );\n    }\n}\n");
}

fn spelled(member: &Member) -> String {
    let kind = match &member.kind {
        Kind::Text | Kind::Amount | Kind::Words(_) => "string",
        Kind::Time => r"\DateTimeImmutable",
        Kind::Whole | Kind::Number(_) => "int",
        Kind::Flag => "bool",
        Kind::Texts | Kind::Foreign | Kind::ByField(_) => "array",
        Kind::Anything => return "mixed".to_owned(),
        Kind::Named(name) => name,
    };
    let nullable = if member.is_optional || member.is_nullable { "?" } else { "" };
    format!("{nullable}{kind}")
}

fn read(member: &Member, from: &str) -> String {
    let is_there = !(member.is_optional || member.is_nullable);
    let made = match &member.kind {
        Kind::Time => format!("new \\DateTimeImmutable({from})"),
        Kind::Named(name) => format!("{name}::from({from})"),
        Kind::ByField(name) => format!("array_map({name}::from(...), {from})"),
        _ if is_there => return from.to_owned(),
        _ => return format!("{from} ?? null"),
    };
    if is_there { made } else { format!("isset({from}) ? {made} : null") }
}
