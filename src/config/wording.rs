//! Serde's and the YAML parser's messages in our words.
//!
//! Above all they are kept from quoting a value that has the wrong type: it may be a password in the wrong place. A
//! message that is none of the known ones comes from our own types, which quote with care, and stays as it is.

use std::path::PathBuf;

use config::ConfigError;

use crate::config::{Place, Problem};

/// What an error says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wording {
    /// This field of the value is missing.
    Missing(String),
    /// The problem and, after a semicolon, the fix.
    Wrong(String),
}

/// Puts an error of the reader into words. Its own idea of the path is left out.
pub(super) fn of(error: &ConfigError) -> Wording {
    match error {
        ConfigError::At { error, .. } => of(error),
        // Below an element of a list there is no dot: `secrets[0]env`.
        ConfigError::NotFound(key) => Wording::Missing(key.rsplit(['.', ']']).next().unwrap_or(key).to_owned()),
        ConfigError::Type { unexpected, expected, .. } => Wording::Wrong(mismatch(&unexpected.to_string(), expected)),
        other => Wording::Wrong(message(&other.to_string())),
    }
}

fn message(message: &str) -> String {
    if let Some((unexpected, expected)) =
        message.strip_prefix("invalid type: ").and_then(|rest| rest.rsplit_once(", expected "))
    {
        return mismatch(unexpected, expected);
    }
    if let Some((word, choices)) =
        message.strip_prefix("unknown variant ").and_then(|rest| rest.split_once(", expected "))
    {
        return format!("{word} is not allowed here; write one of {}", choices.trim_start_matches("one of "));
    }
    if message == "invalid socket address syntax" {
        return "is no address with a port; write for example 127.0.0.1:8600".to_owned();
    }
    message.to_owned()
}

fn mismatch(unexpected: &str, expected: &str) -> String {
    let expected = match expected {
        "a sequence" => "a list, for example [a, b]",
        "a boolean" => "true or false",
        "a string" => "a text",
        "a map" => "a map of keys to values",
        _ if expected.starts_with("struct ") => "a map of keys to values",
        _ if expected.contains("unsigned") => "a whole number that is not negative and not too large",
        _ if expected.contains("integer") => "a whole number",
        _ if expected.contains("floating") => "a number",
        other => other,
    };
    let kind = match unexpected.split([' ', '`']).next().unwrap_or_default() {
        "unit" | "Option" => return format!("is empty; write {expected}, or leave the key out"),
        "string" => "a text",
        "integer" | "floating" => "a number",
        "boolean" => "a boolean",
        "sequence" => "a list",
        "map" => "a map",
        _ => "something else",
    };
    format!("is {kind}; write {expected}")
}

/// A file that is no YAML: the scanner ends its messages with `at byte 10 line 2 column 3`. Other messages quote what
/// they found, which is left out.
pub(super) fn syntax(message: &str, text: &str) -> Problem {
    let scanned = message.rsplit_once(" at byte ").and_then(|(what, place)| {
        let (_, line) = place.split_once(" line ")?;
        Some((what, line.split(' ').next()?.parse::<usize>().ok()?))
    });
    let template = template(text);
    // The scanner stops in the line of a template, or in the next; the reader of maps says no line.
    let is_template =
        |line: usize| scanned.map_or(message.contains("hash key"), |(_, at)| at == line || at == line + 1);
    if let Some(line) = template.filter(|line| is_template(*line)) {
        let text = "has a value that begins with `{{`, which YAML takes for a map; put it in quotes, for example \
                    \"{{ data.object.id }}\"";
        return Problem { place: Place::File { path: PathBuf::new(), line: Some(line) }, ..Problem::new("", text) };
    }
    let Some((what, line)) = scanned else {
        return Problem::new(
            "",
            if message.contains("YAML documents") {
                "holds several YAML documents; keep one"
            } else if message.contains("floating point number") {
                "has a number that cannot be read, such as .inf; correct it, or put it in quotes"
            } else if message.contains("hash key") {
                "has a key that is no text; give every value a key of its own"
            } else {
                "is no map of sections; write for example `log: { level: info }`"
            },
        );
    };
    if what.contains("anchor or alias") || what.contains("unknown anchor") {
        let text = "has a text that begins with `*` or `&`, which means something else in YAML; put it in quotes, for example \
                    events: [\"*\"]";
        return Problem { place: Place::File { path: PathBuf::new(), line: Some(line) }, ..Problem::new("", text) };
    }
    let twice = what.strip_suffix(": duplicated key in mapping").and_then(|key| key.split('"').nth(1));
    let text = twice.map_or_else(
        || format!("is not YAML: {what}; correct it here or just above"),
        |key| format!("has the key `{key}` twice; take one out"),
    );
    Problem { place: Place::File { path: PathBuf::new(), line: Some(line) }, ..Problem::new("", text) }
}

/// The first line in which a value begins with `{{` and is not in quotes. What is in a block of text is passed over.
fn template(text: &str) -> Option<usize> {
    let mut block = None;
    for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
        let indent = line.len() - line.trim_start().len();
        if block.is_some_and(|key| indent > key) {
            continue;
        }
        let is_block = line.rsplit_once(": ").is_some_and(|(_, value)| value.starts_with(['|', '>']));
        block = is_block.then_some(indent);
        let begins = |(before, _): (&str, &str)| {
            before.trim_end().ends_with([':', '-', ',', '[']) && !before.contains(['#', '\'', '"'])
        };
        if line.split_once("{{").is_some_and(begins) {
            return Some(number);
        }
    }
    None
}
