//! `docs/types`: the bodies of callbacks as types of the languages that receive them, made from their schema.

mod go;
mod php;
mod python;
mod typescript;

use lumo_bridge::model::catalogue::{definition, schema};
use lumo_bridge::model::event::EventType;
use lumo_bridge::model::sample;
use serde_json::Value;

/// What a member holds.
#[derive(Clone)]
enum Kind {
    Text,
    /// A decimal number in a string.
    Amount,
    Time,
    Whole,
    Flag,
    Texts,
    /// One of these words.
    Words(Vec<String>),
    Number(i64),
    /// An object whose members are not ours.
    Foreign,
    Anything,
    /// [`Type`]s by the name of a field.
    ByField(String),
    Named(String),
}

#[derive(Clone)]
struct Member {
    name: String,
    kind: Kind,
    is_optional: bool,
    is_nullable: bool,
    words: String,
}

struct Type {
    name: String,
    words: String,
    members: Vec<Member>,
}

/// One type of event: its name in code, its name in `type`, when it happens, and the name of its `data`.
struct Event {
    name: String,
    kind: &'static str,
    words: String,
    data: String,
}

/// What the schema says.
struct Types {
    envelope: Type,
    /// What `data` consists of, each after what it needs.
    parts: Vec<Type>,
    /// The types of `data`.
    data: Vec<Type>,
    events: Vec<Event>,
}

/// Who made the file.
const MADE: &str = "Made from docs/events.schema.json: LUMO_TEST_WRITE=1 cargo test --test it -- generated";

/// The files, by their names in `docs/types`.
pub(super) fn documents() -> [(&'static str, String); 5] {
    let types = Types::read(&schema());
    let samples = sample::in_order().map(|kind| super::sample(kind).to_string() + "\n").collect();
    [
        ("lumo_bridge.ts", typescript::document(&types)),
        ("lumo_bridge.py", python::document(&types)),
        ("lumo_bridge.go", go::document(&types)),
        ("LumoBridge.php", php::document(&types)),
        ("samples.jsonl", samples),
    ]
}

impl Types {
    fn read(schema: &Value) -> Self {
        let definitions = schema["$defs"].as_object().unwrap();
        let named = |ending: &str| {
            let names = definitions.keys().filter(|name| name.ends_with(ending));
            names.map(|name| Type::read(name, &definitions[name])).collect::<Vec<_>>()
        };
        let mut parts = vec![Type::read("Change", &definitions["Change"])];
        parts.extend(named("Object"));
        let event = |kind: &EventType| {
            let name = definition(*kind);
            let schema = &definitions[&name];
            Event {
                kind: kind.as_str(),
                words: words(schema),
                data: reference(&schema["properties"]["data"]).unwrap(),
                name,
            }
        };
        Self {
            envelope: Type::read("Envelope", &definitions["Envelope"]),
            parts,
            data: named("Data"),
            events: EventType::ALL.iter().map(event).collect(),
        }
    }
}

impl Type {
    fn read(name: &str, schema: &Value) -> Self {
        let required = schema["required"].as_array().unwrap();
        let member = |(name, schema): (&String, &Value)| {
            let kinds = schema["type"].as_array();
            let is_anything = kinds.is_some_and(|kinds| kinds.len() > 2);
            Member {
                name: name.clone(),
                kind: if is_anything { Kind::Anything } else { kind(schema) },
                is_optional: !required.iter().any(|known| known == name),
                is_nullable: kinds.is_some() && !is_anything,
                words: words(schema),
            }
        };
        let members = schema["properties"].as_object().unwrap().iter().map(member).collect();
        Self { name: name.to_owned(), words: words(schema), members }
    }
}

fn kind(schema: &Value) -> Kind {
    if let Some(name) = reference(schema) {
        return Kind::Named(name);
    }
    if let Some(words) = schema["oneOf"].as_array() {
        return Kind::Words(words.iter().map(|word| word["const"].as_str().unwrap().to_owned()).collect());
    }
    match &schema["const"] {
        Value::String(word) => return Kind::Words(vec![word.clone()]),
        Value::Number(number) => return Kind::Number(number.as_i64().unwrap()),
        _ => {}
    }
    let kind = schema["type"].as_str().or_else(|| schema["type"][0].as_str()).unwrap();
    match (kind, reference(&schema["additionalProperties"])) {
        ("object", Some(name)) => Kind::ByField(name),
        ("object", None) => Kind::Foreign,
        ("string", _) if schema["format"] == "date-time" => Kind::Time,
        ("string", _) if schema.get("pattern").is_some() => Kind::Amount,
        ("string", _) => Kind::Text,
        ("integer", _) => Kind::Whole,
        ("boolean", _) => Kind::Flag,
        ("array", _) => Kind::Texts,
        (other, _) => panic!("{other} is not expected: {schema}"),
    }
}

fn reference(schema: &Value) -> Option<String> {
    schema["$ref"].as_str().and_then(|path| path.strip_prefix("#/$defs/")).map(str::to_owned)
}

fn words(schema: &Value) -> String {
    let words = schema["description"].as_str().unwrap_or_default().split_whitespace();
    words.collect::<Vec<_>>().join(" ")
}

/// `block_reason` as `BlockReason`, or as `blockReason` if the first word is to stay small.
fn camel(name: &str, first_is_small: bool) -> String {
    let capitalised = |(index, word): (usize, &str)| {
        let mut letters = word.chars();
        let first = letters
            .next()
            .map(|letter| if index == 0 && first_is_small { letter } else { letter.to_ascii_uppercase() });
        first.into_iter().chain(letters).collect::<String>()
    };
    name.split(['_', '.']).enumerate().map(capitalised).collect()
}
